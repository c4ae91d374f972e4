//! Made-up calls for looking at the mails and for sending them as a test.
//!
//! In: which mail, in which language, and the time. Out: its content: a caller whom nobody knows, whose number is of the
//! ranges that the regulators keep for stories (Arcep, NANPA). There is no audio, so none is promised.

use super::VOICEMAIL_RECEIVED;
use super::calls::{Ending, Finding};
use super::telling::Told;
use model::calls::Caller;
use model::source::Content;
use model::{Locale, Timestamp};

/// What a sample of this mail says.
pub(super) fn content(kind: &str, locale: Locale, now: Timestamp) -> Option<Content> {
    let (number, name, zone) = match locale {
        Locale::En => ("+12125550123", "Alex Example", "America/New_York"),
        Locale::Fr => ("+33199001234", "Camille Exemple", "Europe/Paris"),
    };
    let told = Told {
        call_id: "sample".to_owned(),
        dial_plan: String::new(),
        extension: "1234".to_owned(),
        called_at: now,
        caller: Caller { number: Some(number.to_owned()), name: Some(name.to_owned()) },
        caller_in_directory: None,
        timezone: Some(zone.to_owned()),
        verdict: if kind == VOICEMAIL_RECEIVED { Finding::VoiceMessageLeft } else { Finding::Missed },
        ending: Ending::NoAnswer,
        policy_name: None,
        policy_allows: true,
        mailbox_allows: true,
        audio: None,
        voice_mail_text: None,
    };
    Some(Content { data: serde_json::to_value(told).ok()?, ..Content::default() })
}
