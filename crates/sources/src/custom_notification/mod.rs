//! Custom notifications: an administrator writes a short message to groups, to single persons or to one device.
//!
//! In: `custom.notification`, with a title and a body that are valid already. Out: the author's own words for every
//! channel, or, when the message is private, only the word that there is one. Nothing here asks whether it is wanted: the
//! author wanted it, and the policy, the prerequisites and the person's own preference are the same for every kind.
//!
//! The words are the author's and stand in the author's language; only what Carillon adds (the small print of the mail,
//! the placeholder of a private message) is in the reader's.
//!
//! Knows nothing of SMTP, of Apple or of storage.

use crate::letterhead::{self, Letter};
use crate::phrases::Phrases;
use model::policy::{EmailRule, PolicySnapshot, SettingDeclaration, SettingType};
use model::roles::Permission;
use model::source::{Content, Declaration, EventTypeDeclaration, Mail, Source, Telling, Words};
use model::{Locale, Timestamp};
use serde_json::Value;
use std::sync::LazyLock;
use std::time::Duration;

/// The one event type of this source.
pub const CUSTOM_NOTIFICATION: &str = "custom.notification";

/// The setting that says when a custom notification also goes by mail.
pub const EMAIL_SETTING: &str = "custom.email";

/// How long a custom notification is worth telling unless its author says otherwise (SPEC §2).
pub const EXPIRY: Duration = Duration::from_secs(72 * 3600);

static DECLARATION: Declaration = Declaration {
    name: "custom_notification",
    event_types: &[EventTypeDeclaration {
        name: CUSTOM_NOTIFICATION,
        expiry: EXPIRY,
        email: EmailRule::Setting(EMAIL_SETTING),
        inbox: true,
        push: true,
        voids_secrets: false,
    }],
    settings: &[SettingDeclaration {
        key: EMAIL_SETTING,
        kind: SettingType::Choice(&["off", "fallback", "always"]),
        default: "\"fallback\"",
        help_en: "When a custom notification also goes by mail: off; fallback, when the person has no device that can get a push; always.",
        help_fr: "Quand une notification personnalisée part aussi par courriel : off, jamais ; fallback, si aucun appareil de la personne ne peut la recevoir ; always, toujours.",
        permission: Permission::PushSwitches,
    }],
    objects: &[],
    cmdlets: &[],
};

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases::new(include_str!("en.ftl"), include_str!("fr.ftl")));

/// The source.
#[derive(Clone, Copy, Debug, Default)]
pub struct CustomNotification;

impl Source for CustomNotification {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn sample(&self, _kind: &'static str, locale: Locale, _settings: &PolicySnapshot, _now: Timestamp) -> Option<Content> {
        let say = |phrase: &str| PHRASES.say(locale, phrase, &[]);
        Some(Content { title: say("sample-title"), body: say("sample-body"), data: Value::Null })
    }

    fn words(&self, telling: &Telling<'_>) -> Words {
        let (title, body, mail) = if telling.private { private(telling) } else { open(telling) };
        Words { event: telling.event, kind: CUSTOM_NOTIFICATION, locale: telling.locale, private: telling.private, title, body, mail }
    }
}

/// The author's words.
fn open(telling: &Telling<'_>) -> (String, String, Mail) {
    let content = telling.content;
    let notice = say(telling, "notice");
    let mail = mail(telling, content.title.clone(), &content.title, &content.body, &notice);
    (content.title.clone(), content.body.clone(), mail)
}

/// That there is a message, and where to read it; never a word of it.
fn private(telling: &Telling<'_>) -> (String, String, Mail) {
    let (title, body) = (say(telling, "private-title"), say(telling, "private-body"));
    let mail = mail(telling, say(telling, "private-subject"), &title, &body, &say(telling, "notice-private"));
    (title, body, mail)
}

fn mail(telling: &Telling<'_>, subject: String, heading: &str, body: &str, notice: &str) -> Mail {
    let Telling { locale, organization, branding, .. } = *telling;
    Mail {
        subject,
        text: plain(heading, body, notice),
        html: letterhead::document(&Letter { locale, organization, branding, preview: body, heading, lines: &[], body, notice }),
        ..Mail::default()
    }
}

/// The plain part: heading, text and, below the signature mark of RFC 3676 §4.3, the small print.
fn plain(heading: &str, body: &str, notice: &str) -> String {
    format!("{heading}\n\n{body}\n\n-- \n{notice}\n")
}

fn say(telling: &Telling<'_>, phrase: &str) -> String {
    PHRASES.say(telling.locale, phrase, &[("organization", telling.organization)])
}

/// Every phrase that the code above says.
#[cfg(test)]
const PHRASES_SAID: [&str; 7] =
    ["notice", "notice-private", "private-body", "private-subject", "private-title", "sample-body", "sample-title"];

#[cfg(test)]
mod tests;
