//! What a telephone system says of a call: one leg of it at a time. The words that integrations and the telephony source
//! share; what a call comes to is ruled by the source.
//!
//! A *leg* is one try to reach one extension. A call may have many, and they are heard of in any order, twice, and with the
//! clocks of several machines.

mod reading;

use crate::refusal::{Fault, Refusal};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The type of the CloudEvent that carries a [`Leg`].
pub const LEG_TYPE: &str = "org.carillon.call.leg.v1";

/// Most characters of a call's and of a leg's id. A SIP Call-ID has no bound of its own (RFC 3261 §8.1.1.4); real ones have
/// well below a hundred.
pub const ID_CHARS: usize = 255;
/// Most characters of a called extension: a SIP address fits.
pub const EXTENSION_CHARS: usize = 128;
/// Most characters of a dial plan's name or id.
pub const PLAN_CHARS: usize = 64;
/// Most characters of a caller's number or name.
pub const CALLER_CHARS: usize = 128;
/// Most characters of the name of a recording.
pub const RECORDING_CHARS: usize = 1024;

/// What became of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegState {
    /// It rings.
    Ringing,
    /// Somebody took the call.
    Answered,
    /// It is over: the end of a conversation, or the caller's hang-up where nothing more exact is known.
    Ended,
    /// The caller hung up while it rang, or somebody else took the call (then `answeredElsewhere` says so).
    Cancelled,
    /// It rang until its time was up.
    NoAnswer,
    /// The person was on another call, or refused this one.
    Busy,
    /// It could not ring at all: not registered, switched off.
    Unreachable,
    /// The caller left a voice message for this extension.
    VoiceMessage,
}

impl LegState {
    /// Whether the leg still goes on.
    pub fn open(self) -> bool {
        match self {
            LegState::Ringing => true,
            LegState::Answered
            | LegState::Ended
            | LegState::Cancelled
            | LegState::NoAnswer
            | LegState::Busy
            | LegState::Unreachable
            | LegState::VoiceMessage => false,
        }
    }
}

/// Every state and its word.
const STATES: [(&str, LegState); 8] = [
    ("ringing", LegState::Ringing),
    ("answered", LegState::Answered),
    ("ended", LegState::Ended),
    ("cancelled", LegState::Cancelled),
    ("no_answer", LegState::NoAnswer),
    ("busy", LegState::Busy),
    ("unreachable", LegState::Unreachable),
    ("voice_message", LegState::VoiceMessage),
];

/// Who called, as far as the telephone system says. Neither field: an anonymous caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The number as it was signalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The name that the telephone system shows for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What telephone systems write where a caller withheld the number (RFC 3323 §4.1.1.3, RFC 3325 and their own habits).
const WITHHELD: [&str; 17] = [
    "anonymous",
    "unknown",
    "unknown caller",
    "an unknown caller",
    "unknown number",
    "restricted",
    "private",
    "private caller",
    "private number",
    "no caller id",
    "number withheld",
    "withheld",
    "unavailable",
    "not available",
    "asterisk",
    "anonymous@anonymous.invalid",
    "s",
];
/// In front of and behind what is no number, but a word about it: `(unknown)`, `<unknown>`.
const BRACKETS: [(char, char); 3] = [('(', ')'), ('<', '>'), ('[', ']')];

impl Caller {
    /// As it is kept: without blanks, quotes and words for *nobody*. Somebody without a number has no name either: what a
    /// telephone system shows then is an invention (SPEC §7).
    #[must_use]
    pub fn known(self) -> Caller {
        let bare = |text: Option<String>| text.map(|text| text.trim().trim_matches('"').trim().to_owned()).filter(|text| !withheld(text));
        let number = bare(self.number);
        let name = bare(self.name).filter(|name| number.as_ref().is_some_and(|number| number != name));
        Caller { number, name }
    }
}

fn withheld(text: &str) -> bool {
    let within = BRACKETS.iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    let remark = within.is_some_and(|within| !within.contains(|letter: char| letter.is_ascii_digit()));
    text.is_empty() || remark || WITHHELD.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// One leg of a call, as the data of a CloudEvent of type [`LEG_TYPE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Leg {
    /// The same for every leg of one call.
    pub call_id: String,
    /// Which leg; the same for everything that is said of it.
    pub leg_id: String,
    /// Dial plan of the extension, by name or id.
    pub dial_plan: String,
    /// Who was called.
    pub called_extension: String,
    /// Who called.
    #[serde(default)]
    pub caller: Caller,
    /// What became of it.
    pub state: LegState,
    /// When, by the clock of whoever says so.
    pub at: Timestamp,
    /// Whether it ended because somebody else took the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_elsewhere: Option<bool>,
    /// Where the audio of a voice message is: a name that the integration understands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
}

impl Leg {
    /// The same leg with its texts trimmed and its caller as it is kept.
    ///
    /// # Errors
    /// As [`Leg::parse`].
    pub fn checked(mut self) -> Result<Leg, Refusal> {
        let faults = self.check();
        if faults.is_empty() { Ok(self) } else { Err(Refusal::fields(faults)) }
    }

    /// Brings it into the form in which it is kept, as far as it can be, and says what is wrong with the rest.
    fn check(&mut self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut text = |field: &str, value: &mut String, most: usize| {
            *value = value.trim().to_owned();
            if let Some(message) = wrong_text(value, most) {
                faults.push(Fault { field: field.to_owned(), message });
            }
        };
        text("callId", &mut self.call_id, ID_CHARS);
        text("legId", &mut self.leg_id, ID_CHARS);
        text("dialPlan", &mut self.dial_plan, PLAN_CHARS);
        text("calledExtension", &mut self.called_extension, EXTENSION_CHARS);
        self.caller = std::mem::take(&mut self.caller).known();
        for (field, value) in [("caller.number", &mut self.caller.number), ("caller.name", &mut self.caller.name)] {
            if let Some(value) = value {
                text(field, value, CALLER_CHARS);
            }
        }
        if let Some(recording) = &mut self.recording {
            text("recording", recording, RECORDING_CHARS);
        }
        if self.recording.is_some() && self.state != LegState::VoiceMessage {
            let message = "belongs to a leg whose state is voice_message; leave it out here".to_owned();
            faults.push(Fault { field: "recording".to_owned(), message });
        }
        faults
    }

    /// Whether it says that somebody took the call.
    pub fn says_answered(&self) -> bool {
        self.state == LegState::Answered || self.answered_elsewhere == Some(true)
    }
}

fn wrong_text(text: &str, most: usize) -> Option<String> {
    let chars = text.chars().count();
    let wrong = chars == 0 || chars > most || text.chars().any(char::is_control);
    wrong.then(|| format!("takes one line of 1 to {most} characters; this has {chars}"))
}

/// The bare extension of what was dialled: without `sip:`, `tel:` and what follows an `@`, and, where the dial plan has an
/// E.164 prefix, without that prefix. A SIP address that is a mailbox's own stays whole, so both are answered: the whole
/// first.
pub fn extensions_of(called: &str, e164_prefix: Option<&str>) -> Vec<String> {
    let lower = called.trim().to_ascii_lowercase();
    let bare = ["sip:", "sips:", "tel:"].iter().find_map(|scheme| lower.strip_prefix(scheme)).unwrap_or(&lower);
    let bare = bare.split([';', '?']).next().unwrap_or(bare);
    let user = bare.split('@').next().unwrap_or(bare);
    let number = crate::objects::phone(user).unwrap_or_else(|| user.to_owned());
    let inner = e164_prefix.filter(|prefix| !prefix.is_empty()).and_then(|prefix| {
        let digits = |text: &str| text.trim_start_matches('+').to_owned();
        digits(&number).strip_prefix(&digits(prefix)).map(str::to_owned).filter(|rest| !rest.is_empty())
    });
    let mut found: Vec<String> = Vec::new();
    for name in [Some(bare.to_owned()), Some(number), inner].into_iter().flatten() {
        if !name.is_empty() && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn leg() -> Value {
        json!({"callId": "c1", "legId": "l1", "dialPlan": "Lyon", "calledExtension": "102", "caller": {"number": "101", "name": "Bob"},
               "state": "no_answer", "at": "2026-11-20T15:38:44Z"})
    }

    fn with(field: &str, value: Value) -> Value {
        let mut leg = leg();
        leg[field] = value;
        leg
    }

    #[test]
    fn a_leg_is_read_and_written_in_the_words_of_the_contract() {
        let read = Leg::parse(&leg()).expect("a leg");
        assert_eq!((read.state, read.caller.name.as_deref()), (LegState::NoAnswer, Some("Bob")));
        let mut written = leg();
        written["at"] = json!("2026-11-20T15:38:44.000Z");
        assert_eq!(serde_json::to_value(&read).expect("JSON"), written);
        for (word, state) in STATES {
            assert_eq!(Leg::parse(&with("state", json!(word))).expect("a leg").state, state);
            assert_eq!(json!(state), json!(word), "it is written as it is read");
        }
    }

    #[test]
    fn an_anonymous_caller_has_neither_number_nor_name() {
        for number in [
            "",
            "anonymous",
            "<unknown>",
            "(unknown)",
            "(Number not given)",
            "[private]",
            "Unknown Caller",
            "Restricted",
            " \"unknown\" ",
            "()",
        ] {
            let caller = Caller { number: Some(number.to_owned()), name: Some("Bob".to_owned()) };
            assert_eq!(caller.known(), Caller::default(), "{number:?}");
        }
        let named = Caller { number: Some("101".to_owned()), name: Some("\"Bob\"".to_owned()) };
        assert_eq!(named.known().name.as_deref(), Some("Bob"));
        let bracketed = Caller { number: Some("(0033) 472".to_owned()), name: Some("(unknown)".to_owned()) };
        assert_eq!(bracketed.clone().known(), Caller { name: None, ..bracketed }, "digits in brackets are a number");
        let echoed = Caller { number: Some("101".to_owned()), name: Some("101".to_owned()) };
        assert_eq!(echoed.known().name, None, "a number in the place of the name is no name");
    }

    #[test]
    fn what_was_dialled_leads_to_the_extension() {
        assert_eq!(extensions_of("102", None), ["102"]);
        assert_eq!(extensions_of("+33 1 55 50 1102", Some("+3315550")), ["+33 1 55 50 1102", "+33155501102", "1102"]);
        assert_eq!(extensions_of("sip:alice@example.org;user=phone", None), ["alice@example.org", "alice"]);
        assert!(extensions_of("", None).is_empty());
    }
}
