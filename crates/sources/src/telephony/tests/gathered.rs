//! The way of a call through the engine's questions: where its legs belong, what is kept of it, what it comes to.

use super::super::Telephony;
use model::calls::{LEG_TYPE, Leg, LegState};
use model::objects::ObjectKind;
use model::policy::PolicySnapshot;
use model::source::{Concluding, Conclusion, Existing, Gathered, Gathering, Happening, KeptFile, Met, Sought, Source, Subject};
use model::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

const NOON: Timestamp = Timestamp(1_795_176_000_000);
const PLAN: Uuid = Uuid::from_u128(1);

fn leg(call: &str, id: &str, extension: &str, state: LegState) -> Leg {
    let caller = serde_json::from_value(json!({"number": "102"})).expect("a caller");
    Leg {
        call_id: call.to_owned(),
        leg_id: id.to_owned(),
        dial_plan: "Lyon".to_owned(),
        called_extension: extension.to_owned(),
        caller,
        state,
        at: NOON,
        answered_elsewhere: None,
        recording: None,
    }
}

/// A store of gatherings, with their names.
#[derive(Default)]
struct Shelf(Vec<Gathered>);

impl Shelf {
    fn hear(&mut self, leg: &Leg, file: Option<&KeptFile>, after: u64) {
        let data = serde_json::to_value(leg).expect("JSON");
        let belongs = Telephony.belongs(LEG_TYPE, &data).expect("a leg");
        let mut found: Vec<usize> = Vec::new();
        for key in &belongs.keys {
            let place = self.0.iter().position(|one| one.keys.contains(key));
            found.extend(place.filter(|place| !found.contains(place)));
        }
        let before: Vec<Value> = found.iter().map(|place| self.0[*place].document.clone()).collect();
        let now = NOON.plus(Duration::from_millis(after));
        let gathering = Gathering { kind: LEG_TYPE, data: &data, file, files_follow: false, before: &before, now };
        let mut gathered = Telephony.gather(&gathering).expect("taken in");
        let names: std::collections::BTreeSet<&String> = gathered.keys.iter().collect();
        assert_eq!(names.len(), gathered.keys.len(), "each name once, or nothing can keep it: {:?}", gathered.keys);
        let mut gone: Vec<usize> = gathered.took.iter().chain(&gathered.goes_on).map(|place| found[*place]).collect();
        gone.sort_unstable();
        gone.into_iter().rev().for_each(|place| drop(self.0.remove(place)));
        let taken: Vec<&String> = self.0.iter().flat_map(|one| &one.keys).collect();
        gathered.keys.retain(|key| !taken.contains(&key));
        self.0.push(gathered);
    }

    /// What all of it comes to, an hour later.
    fn told(&self) -> Vec<Happening> {
        self.0.iter().flat_map(|one| concluded(&one.document)).collect()
    }
}

fn existing(kind: ObjectKind, id: u128, document: Value) -> Existing {
    Existing { kind, id: Uuid::from_u128(id), name: Uuid::from_u128(id + 1000).to_string(), document }
}

/// Two mailboxes, 101 and 102, of the people 1101 and 1102.
fn meet(sought: &Sought) -> Met {
    match sought {
        Sought::Object(ObjectKind::DialPlan, name) => {
            Met::Object((name == "Lyon").then(|| Existing { id: PLAN, ..existing(ObjectKind::DialPlan, 1, json!({})) }))
        }
        Sought::Object(_, name) => Met::Object((!name.is_empty()).then(|| existing(ObjectKind::MailboxPolicy, 50, json!({})))),
        Sought::Keyed(_, keys) => {
            let own = |extension: u128| keys.contains(&format!("{PLAN}/{extension}"));
            let mailbox = [101, 102].into_iter().find(|extension| own(*extension));
            Met::Object(mailbox.map(|extension| existing(ObjectKind::Mailbox, extension, json!({"umMailboxPolicy": "p"}))))
        }
        Sought::Person(id) => Met::Person(Uuid::parse_str(id).ok().map(|id| Subject {
            id,
            upn: format!("{id}@example.org"),
            display_name: format!("Person {}", id.as_u128()),
            email: None,
            timezone: None,
            licenses: vec![],
            phones: vec![],
            active: true,
        })),
        Sought::Phone(_) => Met::Name(None),
    }
}

fn concluded(document: &Value) -> Vec<Happening> {
    concluded_by(document, meet).0
}

/// What it comes to, and what is kept of it a minute later.
fn concluded_by(document: &Value, meet: impl Fn(&Sought) -> Met) -> (Vec<Happening>, Option<Value>) {
    let settings = PolicySnapshot::new(1, &[], BTreeMap::new());
    let mut met = Vec::new();
    for _ in 0..8 {
        match Telephony.conclude(&Concluding { document, met: &met, settings: &settings, now: NOON.plus(Duration::from_secs(60)) }) {
            Conclusion::Done(done) => return (done.happenings, done.keeps.map(|(document, ..)| document)),
            Conclusion::Seeks(sought) => met.extend(sought.iter().map(&meet)),
        }
    }
    panic!("it asks without end");
}

fn audio() -> KeptFile {
    KeptFile { id: Uuid::from_u128(77), name: "msg0000.wav".to_owned(), media_type: "audio/wav".to_owned() }
}

fn kinds(told: &[Happening]) -> Vec<(&'static str, Uuid, &str)> {
    let mut kinds: Vec<_> = told.iter().map(|one| (one.kind, one.person, one.data["verdict"].as_str().unwrap_or_default())).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn a_call_that_rang_out_is_told_to_whose_extension_it_was_with_the_colleagues_name() {
    let mut shelf = Shelf::default();
    shelf.hear(&leg("c", "a", "101", LegState::Ringing), None, 0);
    shelf.hear(&leg("c", "a", "101", LegState::NoAnswer), None, 9_000);
    shelf.hear(&leg("c", "b", "999", LegState::NoAnswer), None, 9_001);
    let told = shelf.told();
    assert_eq!(kinds(&told), [("call.missed", Uuid::from_u128(1101), "missed")], "nobody has 999");
    assert_eq!(told[0].data["callerInDirectory"], "Person 1102");
}

#[test]
fn a_voice_message_that_a_call_and_a_mail_tell_of_is_told_once_with_its_audio_whichever_comes_first() {
    let mail = leg("mail:<1@pbx>", "voice:101", "101", LegState::VoiceMessage);
    let call = [leg("c", "a", "101", LegState::NoAnswer), leg("c", "c:voice:101", "101", LegState::VoiceMessage)];
    for mail_first in [true, false] {
        let mut shelf = Shelf::default();
        if mail_first {
            shelf.hear(&mail, Some(&audio()), 0);
        }
        call.iter().for_each(|leg| shelf.hear(leg, None, 100));
        if !mail_first {
            shelf.hear(&mail, Some(&audio()), 200);
        }
        let told = shelf.told();
        let expected = [
            ("call.missed", Uuid::from_u128(1101), "voice_message_left"),
            ("voicemail.received", Uuid::from_u128(1101), "voice_message_left"),
        ];
        assert_eq!(kinds(&told), expected, "mail first: {mail_first}");
        let voice = told.iter().find(|one| one.kind == "voicemail.received").expect("told");
        assert_eq!(voice.data["audio"]["file"], json!(audio().id), "mail first: {mail_first}");
    }
}

#[test]
fn a_mail_is_the_audio_of_its_own_callers_call_and_of_no_other() {
    let from = |number: &str, leg: Leg| Leg { caller: serde_json::from_value(json!({"number": number})).expect("a caller"), ..leg };
    let voice = |call: &str, number: &str| from(number, leg(call, "v", "101", LegState::VoiceMessage));
    // Two who leave a message at the same time, each told by the call and by a mail, with the number written in two ways.
    let legs = [
        (voice("mail:1", "+33600000003"), true),
        (voice("d", "0155501234"), false),
        (voice("c", "0600000003"), false),
        (voice("mail:2", "+33155501234"), true),
    ];
    for order in [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0], [2, 1, 3, 0]] {
        let mut shelf = Shelf::default();
        order.iter().for_each(|place| shelf.hear(&legs[*place].0, legs[*place].1.then(audio).as_ref(), 100));
        let told = shelf.told();
        let voices: Vec<_> = told.iter().filter(|one| one.kind == "voicemail.received").collect();
        assert_eq!(voices.len(), 2, "{order:?}: {told:?}");
        assert!(voices.iter().all(|one| one.data["audio"]["file"] == json!(audio().id)), "{order:?}: {told:?}");
    }
    // A mail that names the call belongs to it, whatever number it has.
    let mut shelf = Shelf::default();
    shelf.hear(&voice("c", "115"), None, 0);
    shelf.hear(&Leg { leg_id: "mail".to_owned(), ..voice("c", "0155501234") }, Some(&audio()), 100);
    assert_eq!(shelf.told().iter().filter(|one| one.kind == "voicemail.received").count(), 1);
    // Whoever withholds a number from one of the two may be the caller.
    for (call, mail) in [("", "0155501234"), ("0155501234", ""), ("", "")] {
        let mut shelf = Shelf::default();
        shelf.hear(&voice("c", call), None, 0);
        shelf.hear(&voice("mail:1", mail), Some(&audio()), 100);
        assert_eq!(shelf.told().iter().filter(|one| one.kind == "voicemail.received").count(), 1, "{call:?} {mail:?}");
    }
}

/// Somebody's second extension, 201 beside 101.
fn second(sought: &Sought) -> Met {
    match sought {
        Sought::Keyed(kind, keys) => {
            let first = keys.iter().map(|key| key.replace("/201", "/101")).collect();
            meet(&Sought::Keyed(*kind, first))
        }
        other => meet(other),
    }
}

#[test]
fn who_has_two_extensions_is_told_of_one_call_once() {
    let table = [
        ([LegState::NoAnswer, LegState::NoAnswer], vec![("call.missed", "missed")]),
        ([LegState::NoAnswer, LegState::Busy], vec![("call.missed", "missed")]),
        ([LegState::NoAnswer, LegState::Answered], vec![("call.missed", "answered")]),
        (
            [LegState::NoAnswer, LegState::VoiceMessage],
            vec![("call.missed", "voice_message_left"), ("voicemail.received", "voice_message_left")],
        ),
    ];
    for (states, expected) in table {
        let mut shelf = Shelf::default();
        shelf.hear(&leg("c", "a", "101", states[0]), None, 0);
        shelf.hear(&leg("c", "b", "201", states[1]), None, 0);
        let (told, kept) = concluded_by(&shelf.0[0].document, second);
        assert_eq!(kinds(&told).iter().map(|(kind, _, verdict)| (*kind, *verdict)).collect::<Vec<_>>(), expected, "{states:?}");
        // What comes later of the other extension is no second word.
        let mut late = Shelf(vec![Gathered { document: kept.expect("kept"), ..shelf.0[0].clone() }]);
        late.hear(&leg("c", "d", "201", LegState::Busy), None, 20_000);
        assert_eq!(concluded_by(&late.0[0].document, second).0, [], "{states:?}");
    }
}

#[test]
fn two_calls_that_leave_messages_at_one_extension_are_two_messages() {
    let mut shelf = Shelf::default();
    for call in ["c", "d"] {
        shelf.hear(&leg(call, "v", "101", LegState::VoiceMessage), None, 0);
    }
    assert_eq!(shelf.told().iter().filter(|one| one.kind == "voicemail.received").count(), 2);
    let mut mails = Shelf::default();
    for mail in ["mail:1", "mail:2"] {
        mails.hear(&leg(mail, "v", "101", LegState::VoiceMessage), Some(&audio()), 0);
    }
    assert_eq!(mails.told().iter().filter(|one| one.kind == "voicemail.received").count(), 2);
}

#[test]
fn a_named_recording_is_waited_for_and_a_message_without_one_is_not() {
    let mut named = Shelf::default();
    named.hear(&Leg { recording: Some("msg0000".to_owned()), ..leg("c", "v", "101", LegState::VoiceMessage) }, None, 0);
    assert_eq!(named.0[0].due, Some(NOON.plus(Duration::from_secs(30))));
    named.hear(&leg("c", "v", "101", LegState::VoiceMessage), Some(&audio()), 1_000);
    assert_eq!(named.0[0].due, Some(NOON.plus(Duration::from_secs(5))), "it has come");
    let mut bare = Shelf::default();
    bare.hear(&leg("c", "v", "101", LegState::VoiceMessage), None, 0);
    assert_eq!(bare.0[0].due, Some(NOON.plus(Duration::from_secs(5))));
}

proptest! {
    #[test]
    fn any_order_and_any_echo_of_a_call_comes_to_the_same(order in Just([0usize, 1, 2, 3, 4]).prop_shuffle(), echoes in proptest::collection::vec(0usize..5, 0..6)) {
        let legs = [
            leg("c", "a", "101", LegState::Ringing),
            leg("c", "b", "102", LegState::Ringing),
            leg("c", "a", "101", LegState::NoAnswer),
            leg("c", "b", "102", LegState::Busy),
            leg("c", "v", "102", LegState::VoiceMessage),
        ];
        let told = |order: &[usize]| {
            let mut shelf = Shelf::default();
            order.iter().for_each(|place| shelf.hear(&legs[*place], None, 10));
            prop_assert_eq!(shelf.0.len(), 1);
            Ok(shelf.told())
        };
        let usual = told(&[0, 1, 2, 3, 4])?;
        prop_assert_eq!(kinds(&usual).len(), 3);
        let mut heard = order.to_vec();
        heard.extend(echoes);
        let again = told(&heard)?;
        prop_assert_eq!(kinds(&again), kinds(&usual));
    }
}
