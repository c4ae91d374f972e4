//! What a verdict means for the person whose mailbox the extension belongs to: events with everything that there is to say,
//! and whether they are wanted.
//!
//! Also a call that was taken becomes an event: all of its deliveries are suppressed with the reason, so that *why was I not
//! told?* has an answer.

use super::calls::{Ending, Finding, Verdict};
use super::{CALL_MISSED, VOICEMAIL_RECEIVED, mailbox, policy_fields};
use model::Locale;
use model::calls::Caller;
use model::channel::ChannelKind;
use model::decision::Reason;
use model::source::{Existing, Happening, Subject};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The audio of a voice message among an event's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Audio {
    /// Which of the event's files.
    pub file: Uuid,
    /// Its name for the reader.
    pub name: String,
    /// Media type (RFC 2046).
    pub media_type: String,
}

/// What an event of this source says. Whatever else stands in its data is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The call.
    pub call_id: String,
    /// Dial plan of the extension, as the telephone system wrote it.
    pub dial_plan: String,
    /// Who was called.
    pub extension: String,
    /// When.
    pub called_at: Timestamp,
    /// Who called, as the telephone system says.
    #[serde(default)]
    pub caller: Caller,
    /// The caller's number with + and country code, where it is not signalled so and the dial plan tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_whole: Option<String>,
    /// Whose number that is, where the directory knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_in_directory: Option<String>,
    /// The reader's IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The reader's language tag (BCP 47), which the engine adds to what happens to one person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// What the call was.
    pub verdict: Finding,
    /// How it ended.
    pub ending: Ending,
    /// What the mailbox's policy is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_name: Option<String>,
    /// Whether the mailbox policy lets missed calls be mailed.
    pub policy_allows: bool,
    /// Whether the mailbox does.
    pub mailbox_allows: bool,
    /// The audio of a voice message, when it could be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Audio>,
    /// The policy's words for mails with a voice message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_mail_text: Option<String>,
}

/// The person behind a called extension.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// Who.
    pub person: &'a Subject,
    /// Their mailbox.
    pub mailbox: &'a Existing,
    /// The policy that it is under.
    pub policy: &'a Existing,
    /// The dial plan of the extension.
    pub plan: Option<&'a Existing>,
    /// Name of the person in the directory whose number the caller's is.
    pub caller_in_directory: Option<&'a str>,
    /// The audio of the voice message, when it could be had.
    pub audio: Option<&'a Audio>,
}

/// The events of one verdict. A voice message makes two: itself, and the missed call that is suppressed because of it, unless
/// they were told of the call already (`late`).
pub fn happenings(verdict: &Verdict, called: &Called<'_>, late: bool) -> Vec<Happening> {
    let flag = |object: &Existing, field: &str| object.document.get(field).and_then(Value::as_bool).unwrap_or(true);
    let caller = verdict.caller.clone().known();
    let told = Told {
        call_id: verdict.call_id.clone(),
        dial_plan: verdict.dial_plan.clone(),
        extension: verdict.extension.clone(),
        called_at: verdict.at,
        caller_in_directory: called.caller_in_directory.filter(|_| caller.number.is_some()).map(str::to_owned),
        caller_whole: called
            .plan
            .zip(caller.number.as_deref())
            .and_then(|(plan, number)| whole_number(number, &plan.document).filter(|whole| whole != number)),
        caller,
        timezone: called.person.timezone.clone(),
        locale: None,
        verdict: verdict.finding,
        ending: verdict.ending,
        policy_name: Some(called.policy.name.clone()).filter(|name| !name.is_empty()),
        policy_allows: flag(called.policy, policy_fields::MISSED_CALLS),
        mailbox_allows: flag(called.mailbox, mailbox::MISSED_CALLS),
        audio: None,
        voice_mail_text: None,
    };
    let happening = |kind: &'static str, told: &Told| Happening {
        kind,
        person: called.person.id,
        data: serde_json::to_value(told).expect("texts, flags and times are JSON"),
        secret: None,
        mail_to: None,
    };
    let mut events = Vec::with_capacity(2);
    if verdict.finding == Finding::VoiceMessageLeft {
        let text = super::fields::text(&called.policy.document, policy_fields::VOICE_MAIL_TEXT).map(str::to_owned);
        let voice = Told { audio: called.audio.cloned(), voice_mail_text: text, ..told.clone() };
        events.push(happening(VOICEMAIL_RECEIVED, &voice));
    }
    if !late {
        events.push(happening(CALL_MISSED, &told));
    }
    events
}

/// The number by which the directory is asked for a caller's name, in the spellings in which it may stand there: as it was
/// signalled, with the dial plan's country code for a national number, and behind its prefix for an extension.
pub fn spellings(caller: &str, plan: &Value) -> Vec<String> {
    let Some(number) = model::objects::phone(caller) else { return Vec::new() };
    let mut found = vec![number.clone()];
    if number.starts_with('+') {
        return found;
    }
    if let Some(rest) = number.strip_prefix("00") {
        found.push(format!("+{rest}"));
    } else if let (Some(code), Some(rest)) = (super::fields::text(plan, "countryOrRegionCode"), number.strip_prefix('0')) {
        found.push(format!("+{code}{rest}"));
    }
    let digits = plan[super::dial_plan::DIGITS].as_u64();
    if let Some(prefix) = super::fields::text(plan, "e164Prefix").filter(|_| digits == u64::try_from(number.len()).ok()) {
        found.push(format!("{prefix}{number}"));
    }
    found
}

/// Country codes whose national numbers keep their leading 0 (Italy, San Marino, the Vatican).
const KEEP_ZERO: [&str; 3] = ["39", "378", "379"];
/// The country code of the North American plan, whose numbers have ten digits and no 0 in front.
const NORTH_AMERICA: &str = "1";

/// The number by which a caller can be called from anywhere, with + and country code (E.164 §6): as it was signalled, with the dial
/// plan's country code for a national number, and behind its prefix for an extension. Nothing where that is not known.
pub fn whole_number(caller: &str, plan: &Value) -> Option<String> {
    if let Some(whole) = super::local::whole(caller) {
        return Some(whole);
    }
    let number = model::objects::phone(caller).filter(|number| !number.starts_with('+'))?;
    let digits = plan[super::dial_plan::DIGITS].as_u64();
    if digits == u64::try_from(number.len()).ok() {
        let prefix = super::fields::text(plan, "e164Prefix")?;
        return super::local::whole(&format!("{prefix}{number}"));
    }
    let code = super::fields::text(plan, "countryOrRegionCode")?;
    let rest = match number.strip_prefix('0') {
        Some(_) if KEEP_ZERO.contains(&code) => Some(number.as_str()),
        Some(rest) => Some(rest).filter(|rest| !rest.starts_with('0')),
        None if code == NORTH_AMERICA => {
            let rest = number.strip_prefix('1').filter(|rest| rest.len() == 10).unwrap_or(&number);
            Some(rest).filter(|rest| rest.len() == 10 && rest.starts_with(|first: char| ('2'..='9').contains(&first)))
        }
        None => None,
    };
    super::local::whole(&format!("+{code}{}", rest?))
}

/// Why an event is not wanted by a channel. What the call was holds for every channel; the policy and the mailbox stop only
/// the mail, while pushes follow the push switches (SPEC §5, §7).
pub(super) fn objection(channel: Option<ChannelKind>, kind: &str, data: &Value) -> Option<Reason> {
    if kind != CALL_MISSED {
        return None;
    }
    match data.get("verdict").and_then(Value::as_str) {
        Some("answered") => return Some(Reason::Answered),
        Some("answered_elsewhere") => return Some(Reason::AnsweredElsewhere),
        Some("voice_message_left") => return Some(Reason::VoiceMessageLeft),
        _ => {}
    }
    let off = |field: &str| data.get(field) == Some(&Value::Bool(false));
    match channel {
        Some(ChannelKind::Email) | None if off("policyAllows") => Some(Reason::PolicyOff),
        Some(ChannelKind::Email) | None if off("mailboxAllows") => Some(Reason::PreferenceOff),
        _ => None,
    }
}

/// What turned the mail off, by the reason that [`objection`] gave: the mailbox policy under its name of then, or the mailbox.
pub(super) fn objector(reason: Reason, data: &Value, locale: Locale) -> Option<String> {
    match (reason, super::fields::text(data, "policyName")) {
        (Reason::PolicyOff, Some(policy)) => Some(super::words::say(locale, "off-by-policy", &[("policy", policy)])),
        (Reason::PolicyOff, None) => Some(super::words::say(locale, "off-by-some-policy", &[])),
        (Reason::PreferenceOff, _) => Some(super::words::say(locale, "off-by-mailbox", &[])),
        _ => None,
    }
}
