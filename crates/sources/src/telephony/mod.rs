//! Telephony: tells people by mail and on their devices that they missed a call, or that somebody left them a voice message.
//!
//! Administrators keep dial plans, mailbox policies and mailboxes. A telephone system says of every leg of a call what became
//! of it; the legs are gathered and judged once ([`calls`]), and the verdict becomes events of the persons whose extensions
//! were called ([`telling`]).
//!
//! In: `call.missed` and `voicemail.received`, with the facts of the call. Out: words, and an objection where nobody is to be
//! told. A call that was taken is an event, too, of which every delivery is suppressed: so *why was I not told?* has an answer.
//!
//! Knows nothing of telephone systems' protocols, of SMTP or of storage.

pub mod calls;
mod cmdlets;
mod dial_plan;
mod fields;
mod gather;
mod local;
mod mailbox;
mod mailbox_policy;
mod policy_fields;
mod sample;
pub mod telling;
mod words;

use model::calls::LEG_TYPE;
use model::channel::ChannelKind;
use model::decision::Reason;
use model::objects::ObjectKind;
use model::policy::{EmailRule, PolicySnapshot, SettingDeclaration, SettingType};
use model::refusal::Refusal;
use model::roles::Permission;
use model::source::{
    Acting, Belongs, Concluding, Conclusion, Content, Declaration, EventTypeDeclaration, Existing, Gathered, Gathering, Ruling, Source,
    Telling, Tools, Wanted, Words,
};
use model::{Locale, Timestamp};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// A call that nobody took and for which no voice message was left.
pub const CALL_MISSED: &str = "call.missed";
/// A voice message.
pub const VOICEMAIL_RECEIVED: &str = "voicemail.received";

/// The setting that says when a missed call also goes by mail.
pub const MISSED_EMAIL_SETTING: &str = "call.missed.email";
/// The setting that says when a voice message also goes by mail.
pub const VOICEMAIL_EMAIL_SETTING: &str = "voicemail.received.email";

const MODES: SettingType = SettingType::Choice(&["off", "fallback", "always"]);

static DECLARATION: Declaration = Declaration {
    name: "telephony",
    event_types: &[
        EventTypeDeclaration {
            name: CALL_MISSED,
            expiry: Duration::from_secs(24 * 3600),
            email: EmailRule::Setting(MISSED_EMAIL_SETTING),
            inbox: true,
            push: true,
            voids_secrets: false,
        },
        EventTypeDeclaration {
            name: VOICEMAIL_RECEIVED,
            expiry: Duration::from_secs(5 * 24 * 3600),
            email: EmailRule::Setting(VOICEMAIL_EMAIL_SETTING),
            inbox: true,
            push: true,
            voids_secrets: false,
        },
    ],
    settings: &[
        SettingDeclaration {
            key: MISSED_EMAIL_SETTING,
            kind: MODES,
            default: "\"always\"",
            help_en: "When a missed call also goes by mail, where the mailbox policy allows it: off; fallback, when the person has no device that can get a push; always.",
            help_fr: "Quand un appel manqué part aussi par courriel, si la stratégie de boîte vocale le permet : off, jamais ; fallback, si aucun appareil de la personne ne peut le recevoir ; always, toujours.",
            permission: Permission::TelephonyManage,
        },
        SettingDeclaration {
            key: VOICEMAIL_EMAIL_SETTING,
            kind: MODES,
            default: "\"always\"",
            help_en: "When a voice message also goes by mail, with its audio: off; fallback, when the person has no device that can get a push; always.",
            help_fr: "Quand un message vocal part aussi par courriel, avec son enregistrement : off, jamais ; fallback, si aucun appareil de la personne ne peut le recevoir ; always, toujours.",
            permission: Permission::TelephonyManage,
        },
    ],
    objects: &[dial_plan::DECLARATION, mailbox_policy::DECLARATION, mailbox::DECLARATION],
    cmdlets: cmdlets::CMDLETS,
};

/// The source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telephony;

impl Source for Telephony {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn words(&self, telling: &Telling<'_>) -> Words {
        words::words(telling)
    }

    fn sample(&self, kind: &'static str, locale: Locale, _settings: &PolicySnapshot, now: Timestamp) -> Option<Content> {
        sample::content(kind, locale, now)
    }

    fn sample_file(&self, kind: &'static str, content: &mut Content, file: Uuid) -> Option<Vec<u8>> {
        sample::audio(kind, content, file)
    }

    fn objection(&self, kind: &'static str, data: &Value, _settings: &PolicySnapshot) -> Option<Reason> {
        telling::objection(None, kind, data)
    }

    fn objection_on(&self, channel: ChannelKind, kind: &'static str, data: &Value, _settings: &PolicySnapshot) -> Option<Reason> {
        telling::objection(Some(channel), kind, data)
    }

    fn objector(&self, reason: Reason, data: &Value, locale: Locale) -> Option<String> {
        telling::objector(reason, data, locale)
    }

    fn wants(&self, acting: &Acting<'_>) -> Vec<Wanted> {
        match acting.kind {
            ObjectKind::MailboxPolicy => mailbox_policy::wants(acting),
            ObjectKind::Mailbox => mailbox::wants(acting),
            ObjectKind::DialPlan
            | ObjectKind::Role
            | ObjectKind::RoleAssignment
            | ObjectKind::ConferencingBridge
            | ObjectKind::ConferencingUser
            | ObjectKind::Work => Vec::new(),
        }
    }

    fn hears(&self) -> &'static [&'static str] {
        &[LEG_TYPE]
    }

    fn belongs(&self, kind: &str, data: &Value) -> Result<Belongs, Refusal> {
        gather::belongs(kind, data)
    }

    fn gather(&self, gathering: &Gathering<'_>) -> Result<Gathered, Refusal> {
        gather::gather(gathering)
    }

    fn conclude(&self, concluding: &Concluding<'_>) -> Conclusion {
        gather::conclude(concluding)
    }

    fn act(&self, acting: &Acting<'_>, tools: &mut dyn Tools) -> Result<Ruling, Refusal> {
        match acting.kind {
            ObjectKind::DialPlan => dial_plan::act(acting, tools),
            ObjectKind::MailboxPolicy => mailbox_policy::act(acting),
            ObjectKind::Mailbox => mailbox::act(acting),
            ObjectKind::Role
            | ObjectKind::RoleAssignment
            | ObjectKind::ConferencingBridge
            | ObjectKind::ConferencingUser
            | ObjectKind::Work => Err(Refusal::not_found("act", acting.act)),
        }
    }
}

/// The keys under which the mailbox of a called extension may be found, in the order in which they are tried.
pub fn mailbox_keys(plan: &Existing, called: &str) -> Vec<String> {
    let id = plan.id.to_string();
    let prefix = fields::text(&plan.document, "e164Prefix");
    model::calls::extensions_of(called, prefix).iter().map(|extension| mailbox::key(&id, extension)).collect()
}

#[cfg(test)]
mod tests;
