//! Conferencing: who may hold audio conferences, on which bridge, by which number, with which conference ID and PIN; and the
//! mails that tell people when that changes (SPEC §6).
//!
//! In: acts of administrators on bridges (`bridge`) and on people's conferencing settings (`user`). Out: what is kept, what
//! the bridge has to confirm, and at most one mail for each act (`due` says which): enabled, details changed, PIN reset,
//! ended, or the details once more. `mails` puts it in words. One setting stops the automatic mails; the details that an
//! administrator sends by hand go all the same, and never with a PIN.
//!
//! A PIN (`pin`) leaves this folder in three ways only: hashed, to be kept; sealed, in the mails *enabled* and *PIN reset* and
//! in the errand to the bridge; and once, in the answer to the administrator, when no mail carries it.
//!
//! Knows nothing of SMTP, of a bridge's wire format or of storage.

mod bridge;
mod cmdlets;
mod due;
mod fields;
mod mails;
mod pin;
mod sample;
mod settings;
mod user;

use model::decision::Reason;
use model::objects::ObjectKind;
use model::policy::{EmailRule, PolicySnapshot};
use model::source::{Acting, Content, Declaration, EventTypeDeclaration, Existing, Keeping, Ruling, Source, Telling, Tools, Wanted, Words};
use model::{Fault, Locale, Refusal, Timestamp};
use serde_json::Value;
use std::time::Duration;

/// Conferencing was turned on for a person (E1 of SPEC §6).
pub const ENABLED: &str = "conferencing.enabled";
/// The conference ID or the default number changed (E2).
pub const CHANGED: &str = "conferencing.changed";
/// An administrator reset the PIN (E3).
pub const PIN_RESET: &str = "conferencing.pin_reset";
/// Conferencing ended for a person (E4).
pub const DISABLED: &str = "conferencing.disabled";
/// An administrator sends the details (E5).
pub const INFO: &str = "conferencing.info";

/// How long a mail about conferencing is worth sending: as long as a relay that is away is waited for elsewhere.
pub const EXPIRY: Duration = Duration::from_secs(5 * 24 * 3600);

/// The bridge that is used unless another is named.
pub const DEFAULT_BRIDGE: &str = bridge::DEFAULT;
/// The field of a kept conferencing user that holds the PIN in the form of [`Tools::keep`].
pub const PIN_FIELD: &str = "pinHash";

const fn mail(name: &'static str) -> EventTypeDeclaration {
    EventTypeDeclaration { name, expiry: EXPIRY, email: EmailRule::Only, inbox: false, push: false, voids_secrets: false }
}

/// After one of these the PIN that a mail before it carries is no more the person's.
const fn ends_pin(name: &'static str) -> EventTypeDeclaration {
    EventTypeDeclaration { voids_secrets: true, ..mail(name) }
}

static DECLARATION: Declaration = Declaration {
    name: "conferencing",
    event_types: &[ends_pin(ENABLED), mail(CHANGED), ends_pin(PIN_RESET), ends_pin(DISABLED), mail(INFO)],
    settings: settings::SETTINGS,
    objects: &[bridge::BRIDGES, user::USERS],
    cmdlets: cmdlets::CMDLETS,
};

/// The source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conferencing;

impl Source for Conferencing {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn words(&self, telling: &Telling<'_>) -> Words {
        mails::words(telling)
    }

    fn sample(&self, kind: &'static str, locale: Locale, settings: &PolicySnapshot, _now: Timestamp) -> Option<Content> {
        sample::content(kind, locale, settings)
    }

    fn objection(&self, kind: &'static str, data: &Value, settings: &PolicySnapshot) -> Option<Reason> {
        due::objection(kind, data, settings)
    }

    fn objector(&self, reason: Reason, data: &Value, locale: Locale) -> Option<String> {
        (reason == Reason::PolicyOff).then(|| mails::off(due::was_off(data), locale))
    }

    fn check_settings(&self, settings: &PolicySnapshot) -> Result<(), Fault> {
        settings::check(settings)
    }

    fn wants(&self, acting: &Acting<'_>) -> Vec<Wanted> {
        if acting.kind == ObjectKind::ConferencingBridge { bridge::wants(acting) } else { user::wants(acting) }
    }

    fn act(&self, acting: &Acting<'_>, tools: &mut dyn Tools) -> Result<Ruling, Refusal> {
        let mut ruling =
            if acting.kind == ObjectKind::ConferencingBridge { bridge::act(acting, tools)? } else { user::act(acting, tools)? };
        let act = DECLARATION.objects.iter().find(|object| object.kind == acting.kind).and_then(|object| object.act(acting.act));
        let idle = |name: &&String| act.is_some_and(|act| act.parameters.iter().any(|p| p.name == name.as_str() && !p.works));
        for name in acting.given.keys().filter(idle) {
            ruling.remarks.push((format!("{name} was taken and has no effect."), format!("{name} est accepté, sans effet.")));
        }
        Ok(ruling)
    }

    fn undelivered(&self, _kind: &'static str, object: &Existing) -> Option<Keeping> {
        if object.kind == ObjectKind::ConferencingUser { user::undelivered(object) } else { None }
    }

    fn shown(&self, kind: ObjectKind, document: &Value) -> Value {
        if kind == ObjectKind::ConferencingBridge { bridge::shown(document) } else { user::shown(document) }
    }
}

/// Reads what an object holds.
fn kept<T: serde::de::DeserializeOwned>(existing: &Existing) -> Result<T, Refusal> {
    let unreadable = |e| Refusal::unavailable(format!("what is kept of the {} {:?} cannot be read: {e}", existing.kind, existing.name));
    serde_json::from_value(existing.document.clone()).map_err(unreadable)
}

/// A text that was given.
fn text<'a>(acting: &Acting<'a>, name: &str) -> Option<&'a str> {
    acting.given.get(name).and_then(Value::as_str)
}

/// A switch that was given.
fn flag(acting: &Acting<'_>, name: &str) -> Option<bool> {
    acting.given.get(name).and_then(Value::as_bool)
}

#[cfg(test)]
mod tests;
