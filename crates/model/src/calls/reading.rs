//! A leg out of JSON, with everything that is wrong with it at once: each field by its name, with the rule and the mend.
//! `null` is the same as a field that is not there.

use super::{Caller, Leg, LegState, STATES};
use crate::refusal::{Fault, Refusal};
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// Most characters of a wrong value that are repeated.
const SHOWN_CHARS: usize = 60;
/// Most unknown fields of one object that are named.
const UNKNOWN_MOST: usize = 20;
/// The fields of a leg and, for those that must be there, what they are.
const FIELDS: [(&str, Option<&str>); 9] = [
    ("callId", Some("the id that is the same for every leg of the call")),
    ("legId", Some("the id of the leg, such as the extension")),
    ("dialPlan", Some("the name or id of the dial plan")),
    ("calledExtension", Some("the extension that was called")),
    ("caller", None),
    ("state", Some("what became of the leg, such as no_answer")),
    ("at", Some("when, such as 2026-11-20T08:30:00Z")),
    ("answeredElsewhere", None),
    ("recording", None),
];
const CALLER_FIELDS: [&str; 2] = ["number", "name"];

impl Leg {
    /// Reads a leg from JSON, whole and checked.
    ///
    /// # Errors
    /// Every field at fault, with the rule and the mend; `data` for what is no object.
    pub fn parse(value: &Value) -> Result<Leg, Refusal> {
        let names = || FIELDS.map(|(name, _)| name).join(", ");
        let object = match value {
            Value::Object(object) => object,
            Value::Null => {
                return Err(Refusal::field("data", format!("are missing; they say what became of a leg of a call: {}", names())));
            }
            other => return Err(Refusal::field("data", format!("take an object with {}, not {}", names(), shown(other)))),
        };
        let mut reading = Reading { object, within: "", faults: Vec::new() };
        let text = |reading: &mut Reading<'_>, name| reading.text(name).unwrap_or_default();
        let mut leg = Leg {
            call_id: text(&mut reading, "callId"),
            leg_id: text(&mut reading, "legId"),
            dial_plan: text(&mut reading, "dialPlan"),
            called_extension: text(&mut reading, "calledExtension"),
            caller: Caller::default(),
            // Of a state that cannot be read nothing more is said: this one may have a recording.
            state: reading.state().unwrap_or(LegState::VoiceMessage),
            at: reading.at().unwrap_or(Timestamp(0)),
            answered_elsewhere: reading.flag("answeredElsewhere"),
            recording: reading.text("recording"),
        };
        reading.complete();
        reading.unknown(&FIELDS.map(|(name, _)| name));
        let mut faults = reading.faults;
        leg.caller = caller(object, &mut faults);
        let more: Vec<Fault> = leg.check().into_iter().filter(|fault| faults.iter().all(|known| known.field != fault.field)).collect();
        faults.extend(more);
        faults.sort_by_key(|fault| place(&fault.field));
        if faults.is_empty() { Ok(leg) } else { Err(Refusal::fields(faults)) }
    }
}

/// Where a field stands in the contract; unknown ones come last.
fn place(field: &str) -> usize {
    let first = field.split('.').next().unwrap_or(field);
    FIELDS.iter().position(|(name, _)| *name == first).unwrap_or(FIELDS.len())
}

fn caller(leg: &Map<String, Value>, faults: &mut Vec<Fault>) -> Caller {
    let object = match leg.get("caller") {
        None | Some(Value::Null) => return Caller::default(),
        Some(Value::Object(object)) => object,
        Some(other) => {
            let message = format!("takes an object with number and name, not {}; leave it out for an anonymous caller", shown(other));
            faults.push(Fault { field: "caller".to_owned(), message });
            return Caller::default();
        }
    };
    let mut reading = Reading { object, within: "caller.", faults: Vec::new() };
    let caller = Caller { number: reading.text("number"), name: reading.text("name") };
    reading.unknown(&CALLER_FIELDS);
    faults.append(&mut reading.faults);
    caller
}

/// The fields of one object, and what is wrong with them.
struct Reading<'a> {
    object: &'a Map<String, Value>,
    /// What stands before the names of its fields.
    within: &'static str,
    faults: Vec<Fault>,
}

impl<'a> Reading<'a> {
    fn given(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&mut self, name: &str, message: String) {
        self.faults.push(Fault { field: format!("{}{name}", self.within), message });
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.given(name)? {
            Value::String(text) => Some(text.clone()),
            other => {
                self.wrong(name, format!("takes a text, not {}", shown(other)));
                None
            }
        }
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        match self.given(name)? {
            Value::Bool(flag) => Some(*flag),
            other => {
                self.wrong(name, format!("takes true or false, not {}", shown(other)));
                None
            }
        }
    }

    fn state(&mut self) -> Option<LegState> {
        let value = self.given("state")?;
        let state = value.as_str().and_then(|word| STATES.iter().find(|(known, _)| *known == word));
        if state.is_none() {
            let known = STATES.map(|(word, _)| word).join(", ");
            self.wrong("state", format!("is {}; it takes one of {known}", shown(value)));
        }
        state.map(|(_, state)| *state)
    }

    fn at(&mut self) -> Option<Timestamp> {
        let value = self.given("at")?;
        let at = value.as_str().and_then(|text| Timestamp::parse(text).ok());
        if at.is_none() {
            self.wrong("at", format!("is {}; it takes a time as in RFC 3339, such as 2026-11-20T08:30:00Z", shown(value)));
        }
        at
    }

    /// Whether every field is there that must be.
    fn complete(&mut self) {
        for (name, what) in FIELDS {
            if let Some(what) = what.filter(|_| self.given(name).is_none()) {
                self.wrong(name, format!("is missing; it is {what}"));
            }
        }
    }

    fn unknown(&mut self, known: &[&str]) {
        let strange = self.object.keys().filter(|name| !known.contains(&name.as_str())).take(UNKNOWN_MOST);
        for name in strange.map(|name| cut(name)).collect::<Vec<_>>() {
            self.wrong(&name, format!("is not known here; there are {}", known.join(", ")));
        }
    }
}

/// A wrong value in a sentence, in JSON and not at length.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("{:?}", cut(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_CHARS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn leg() -> Value {
        json!({"callId": "c1", "legId": "l1", "dialPlan": "Lyon", "calledExtension": "102", "caller": {"number": "101", "name": "Bob"},
               "state": "no_answer", "at": "2026-11-20T15:38:44Z"})
    }

    fn with(field: &str, value: Value) -> Value {
        let mut leg = leg();
        leg[field] = value;
        leg
    }

    /// The one fault of a leg, as `field: message`.
    fn wrong(value: &Value) -> String {
        let refusal = Leg::parse(value).expect_err("a refusal");
        assert_eq!(refusal.faults.len(), 1, "{refusal:?}");
        refusal.to_string()
    }

    #[test]
    fn a_wrong_field_is_refused_with_its_name_the_rule_and_the_mend() {
        for (field, value, said) in [
            ("callId", json!(" "), "callId: takes one line of 1 to 255 characters; this has 0"),
            ("callId", json!(7), "callId: takes a text, not 7"),
            ("callId", Value::Null, "callId: is missing; it is the id that is the same for every leg of the call"),
            ("calledExtension", json!("1".repeat(129)), "calledExtension: takes one line of 1 to 128 characters; this has 129"),
            (
                "state",
                json!("dead"),
                "state: is \"dead\"; it takes one of ringing, answered, ended, cancelled, no_answer, busy, unreachable, voice_message",
            ),
            ("at", json!("yesterday"), "at: is \"yesterday\"; it takes a time as in RFC 3339, such as 2026-11-20T08:30:00Z"),
            ("at", json!(1_795_189_121), "at: is 1795189121; it takes a time as in RFC 3339, such as 2026-11-20T08:30:00Z"),
            ("caller", json!("101"), "caller: takes an object with number and name, not \"101\"; leave it out for an anonymous caller"),
            ("caller", json!({"number": 101}), "caller.number: takes a text, not 101"),
            ("caller", json!({"nmber": "101"}), "caller.nmber: is not known here; there are number, name"),
            ("answeredElsewhere", json!("yes"), "answeredElsewhere: takes true or false, not \"yes\""),
            ("recording", json!(["a"]), "recording: takes a text, not a list"),
            ("recording", json!("msg0000"), "recording: belongs to a leg whose state is voice_message; leave it out here"),
        ] {
            assert_eq!(wrong(&with(field, value)), said);
        }
        assert!(wrong(&with("answeredElswhere", json!(true))).starts_with("answeredElswhere: is not known here; there are callId, "));
        assert!(wrong(&json!("x")).starts_with("data: take an object with callId, "));
        assert!(wrong(&Value::Null).starts_with("data: are missing; "));
        assert!(wrong(&with("state", json!("x".repeat(1000)))).contains("xx…\"; it takes one of"), "a long value is cut");
    }

    #[test]
    fn every_wrong_field_is_named_at_once_in_the_order_of_the_contract() {
        let refusal = Leg::parse(&json!({"at": "noon", "state": "foo", "colour": "red", "legId": "\u{7}", "caller": {"name": 1, "x": 1},
            "recording": "msg0000"}));
        let faults = refusal.expect_err("a refusal").faults;
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["callId", "legId", "dialPlan", "calledExtension", "caller.name", "caller.x", "state", "at", "colour"]);
    }

    #[test]
    fn null_is_the_same_as_nothing() {
        let mut bare = with("recording", Value::Null);
        for field in ["caller", "answeredElsewhere"] {
            bare[field] = Value::Null;
        }
        let leg = Leg::parse(&bare).expect("a leg");
        assert_eq!((leg.caller, leg.answered_elsewhere, leg.recording), (Caller::default(), None, None));
        let unnamed = Leg::parse(&with("caller", json!({"number": "101", "name": null}))).expect("a leg");
        assert_eq!(unnamed.caller.number.as_deref(), Some("101"));
    }
}
