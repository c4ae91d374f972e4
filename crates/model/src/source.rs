//! The contract of a source: a family of event types with its settings, rule and words. Everything else (settings API,
//! explanation, templates) is derived from the declaration.

use crate::policy::{EmailRule, SettingDeclaration};
use crate::text::Locale;
use crate::time::Timestamp;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// One event type of a source.
#[derive(Clone, Copy, Debug)]
pub struct EventTypeDeclaration {
    /// Dotted lower-case name.
    pub name: &'static str,
    /// How long it is worth telling unless the caller says otherwise.
    pub expiry: Duration,
    /// When it also goes by email.
    pub email: EmailRule,
    /// Whether it stands in the inbox; email-only kinds do not.
    pub inbox: bool,
    /// Whether it is pushed.
    pub push: bool,
}

/// What a source declares.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Name of the source's folder.
    pub name: &'static str,
    /// What can happen.
    pub event_types: &'static [EventTypeDeclaration],
    /// What can be set.
    pub settings: &'static [SettingDeclaration],
}

/// What an event says, before anybody puts it in words: the author's text or the facts of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// Title, when the author wrote one.
    pub title: String,
    /// Body, when the author wrote one.
    pub body: String,
    /// Everything else, as the event type's schema says.
    pub data: Value,
}

/// An event in words of one language, for every channel to take what it can carry.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// The event.
    pub event: Uuid,
    /// Its type.
    pub kind: &'static str,
    /// In which language.
    pub locale: Locale,
    /// Whether `title` and `body` hold nothing of the content and the app has to fetch it.
    pub private: bool,
    /// What a lock screen shows first.
    pub title: String,
    /// What a lock screen shows next.
    pub body: String,
    /// The mail, when the event type ever goes by mail.
    pub mail: Mail,
}

/// A mail in one language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Subject line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML document.
    pub html: String,
}

/// A family of event types.
pub trait Source: Send + Sync + 'static {
    /// What it declares.
    fn declaration(&self) -> &'static Declaration;

    /// Puts one event in words of one language. `kind` is one of the declared names.
    fn words(&self, telling: &Telling<'_>) -> Words;
}

/// What [`Source::words`] is given.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// The event.
    pub event: Uuid,
    /// One of the declared names.
    pub kind: &'static str,
    /// What it says.
    pub content: &'a Content,
    /// In which language.
    pub locale: Locale,
    /// Push and mail carry no content.
    pub private: bool,
    /// When it was accepted.
    pub at: Timestamp,
    /// Name of the organization.
    pub organization: &'a str,
}
