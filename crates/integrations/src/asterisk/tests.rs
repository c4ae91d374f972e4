//! Captured calls of a real Asterisk 22, and calls made up after its table, from bytes to verdicts.

mod listening;
mod network;
mod records;
pub(super) mod replay;

use super::calls::Calls;
use super::login::wanted;
use super::wire::{Block, Frame, Reader};
use model::calls::{Leg, LegState};
use model::time::Timestamp;
use sources::telephony::calls::{Finding, Gathering, judge};

const NOW: Timestamp = Timestamp(1_795_189_200_000);

const ANSWERED: &str = include_str!("../../tests/asterisk/captured-answered.txt");
const CANCELLED: &str = include_str!("../../tests/asterisk/captured-caller-cancelled-while-ringing.txt");
const IN_GREETING: &str = include_str!("../../tests/asterisk/captured-no-answer-hangup-in-greeting.txt");
const VOICEMAIL: &str = include_str!("../../tests/asterisk/captured-no-answer-then-voicemail.txt");

fn blocks(transcript: &str) -> Vec<Block> {
    let frames = Reader::default().feed(transcript.as_bytes()).expect("Asterisk");
    frames.into_iter().filter_map(|frame| if let Frame::Block(block) = frame { Some(block) } else { None }).collect()
}

fn block(event: &str) -> Block {
    let lines: Vec<(&str, &str)> = event.lines().filter_map(|line| line.split_once(": ")).collect();
    Block::of(&lines)
}

/// The legs that come out of these events, once for each time that a call is reported.
fn reported(events: &[Block], mailboxes: &[&str]) -> Vec<Leg> {
    let mut calls = Calls::new("lyon", "Lyon");
    let mut legs = Vec::new();
    for event in events {
        if let Some(call) = calls.hear(event, NOW) {
            legs.extend(legs_of(&calls, &call, mailboxes));
        }
    }
    legs
}

fn legs_of(calls: &Calls, call: &str, mailboxes: &[&str]) -> Vec<Leg> {
    calls.ended(call).expect("a call that is remembered").legs(|extension| mailboxes.contains(&extension))
}

fn findings(legs: &[Leg]) -> Vec<(String, Finding)> {
    let mut call = Gathering::default();
    for leg in legs {
        call.add(leg.clone().checked().expect("a leg that the contract takes"), NOW).expect("room");
    }
    judge(&call).into_iter().map(|verdict| (verdict.extension, verdict.finding)).collect()
}

fn found(extension: &str, finding: Finding) -> Vec<(String, Finding)> {
    vec![(extension.to_owned(), finding)]
}

#[test]
fn the_captured_calls_are_judged_as_the_table_says() {
    for (transcript, finding, state) in [
        (ANSWERED, Finding::Answered, LegState::Answered),
        (CANCELLED, Finding::Missed, LegState::Cancelled),
        (IN_GREETING, Finding::Missed, LegState::NoAnswer),
        (VOICEMAIL, Finding::VoiceMessageLeft, LegState::NoAnswer),
    ] {
        let legs = reported(&blocks(transcript), &["101", "102"]);
        assert_eq!(findings(&legs), found("102", finding));
        assert!(legs.iter().any(|leg| leg.state == state), "{legs:?}");
        assert!(legs.iter().all(|leg| leg.caller.number.as_deref() == Some("101") && leg.caller.name.as_deref() == Some("Bob")));
    }
}

#[test]
fn the_voice_messages_audio_is_named_and_lies_in_the_spool() {
    let legs = reported(&blocks(VOICEMAIL), &["102"]);
    let voice = legs.iter().find(|leg| leg.state == LegState::VoiceMessage).expect("a voice message");
    let below = super::spool::below(voice.recording.as_deref().expect("audio")).expect("a place in the spool");
    assert_eq!(below.to_str(), Some("default/102/INBOX/msg0000"));
    assert_eq!((voice.call_id.as_str(), voice.at), ("lyon:1795189112.4", Timestamp(1_795_189_112_000)));
}

#[test]
fn the_same_comes_out_without_the_dialplans_own_event_and_from_that_event_alone() {
    for (transcript, finding) in [
        (ANSWERED, Finding::Answered),
        (CANCELLED, Finding::Missed),
        (IN_GREETING, Finding::Missed),
        (VOICEMAIL, Finding::VoiceMessageLeft),
    ] {
        let all = blocks(transcript);
        let (own, others): (Vec<Block>, Vec<Block>) = all.into_iter().partition(|block| block.event() == Some("UserEvent"));
        assert_eq!(findings(&reported(&others, &["102"])), found("102", finding), "without");
        assert_eq!(own.len(), 1);
        assert_eq!(findings(&reported(&own, &["102"])), found("102", finding), "alone");
    }
}

#[test]
fn doubled_events_change_nothing() {
    for transcript in [ANSWERED, CANCELLED, IN_GREETING, VOICEMAIL] {
        let once = blocks(transcript);
        let twice: Vec<Block> = once.iter().flat_map(|block| [block.clone(), block.clone()]).collect();
        let again = [once.clone(), once.clone()].concat();
        assert_eq!(findings(&reported(&twice, &["102"])), findings(&reported(&once, &["102"])));
        assert_eq!(findings(&reported(&again, &["102"])), findings(&reported(&once, &["102"])));
    }
}

#[test]
fn a_hundred_interleaved_calls_do_not_mix() {
    let kinds = [
        (ANSWERED, Finding::Answered),
        (CANCELLED, Finding::Missed),
        (IN_GREETING, Finding::Missed),
        (VOICEMAIL, Finding::VoiceMessageLeft),
    ];
    let mut lanes: Vec<std::collections::VecDeque<Block>> =
        (0..100).map(|n| blocks(&with_ids_of_its_own(kinds[n % 4].0, n)).into_iter().filter(wanted).collect()).collect();
    let mut calls = Calls::new("lyon", "Lyon");
    let mut legs: std::collections::BTreeMap<String, Vec<Leg>> = std::collections::BTreeMap::new();
    while lanes.iter().any(|lane| !lane.is_empty()) {
        for event in lanes.iter_mut().filter_map(std::collections::VecDeque::pop_front) {
            if let Some(call) = calls.hear(&event, NOW) {
                legs.entry(call.clone()).or_default().extend(legs_of(&calls, &call, &["102"]));
            }
        }
    }
    assert_eq!((legs.len(), calls.going_on()), (100, 0));
    for (call, legs) in legs {
        let n: usize = call.rsplit('.').next().and_then(|n| n.parse().ok()).expect("a number");
        assert_eq!(findings(&legs), found("102", kinds[(n / 1000) % 4].1), "{call}");
    }
}

/// The transcript with call ids of its own: `.1000 n` in the place of the ids' ends.
fn with_ids_of_its_own(transcript: &str, n: usize) -> String {
    let first = transcript.lines().find_map(|line| line.strip_prefix("Linkedid: ")).expect("an id");
    let (seconds, number) = first.split_once('.').expect("an id of Asterisk's");
    let number: usize = number.trim().parse().expect("a number");
    (0..10).rev().fold(transcript.to_owned(), |text, at| {
        text.lines().map(|line| replaced(line, &format!("{seconds}.{}", number + at), &format!("{seconds}.{}", n * 1000 + at))).collect()
    })
}

fn replaced(line: &str, from: &str, to: &str) -> String {
    match line.split_once(": ") {
        Some((name, value)) if value.trim() == from => format!("{name}: {to}\n"),
        _ => format!("{line}\n"),
    }
}

#[test]
fn a_call_that_was_cut_off_says_nothing_it_does_not_know() {
    let all: Vec<Block> = blocks(CANCELLED).into_iter().filter(|block| wanted(block) && block.event() != Some("UserEvent")).collect();
    let ring = all.iter().position(|block| block.event() == Some("DialBegin")).expect("it rang");
    let mut calls = Calls::new("lyon", "Lyon");
    for event in &all[..=ring] {
        assert_eq!(calls.hear(event, NOW), None);
    }
    calls.lost();
    assert_eq!(calls.going_on(), 1);
    let end = all.iter().rfind(|block| block.event() == Some("Hangup")).expect("its end");
    let call = calls.hear(end, NOW).expect("the call's end");
    assert!(legs_of(&calls, &call, &["102"]).is_empty(), "whether it was answered in the gap is not known");
    assert!(calls.forget(NOW.plus(super::calls::AFTERWARDS * 2)).is_empty() && calls.going_on() == 0);
}

#[test]
fn a_call_of_which_no_end_is_heard_is_given_up_by_name() {
    let mut calls = Calls::new("lyon", "Lyon");
    for event in blocks(CANCELLED).iter().take_while(|block| block.event() != Some("DialEnd")) {
        calls.hear(event, NOW);
    }
    assert!(calls.forget(NOW.plus(super::calls::AFTERWARDS * 2)).is_empty());
    assert_eq!(calls.forget(NOW.plus(super::calls::LONGEST_SILENCE * 2)), ["1795189141.15"]);
}

fn channel(unique: &str, exten: &str) -> Block {
    Block::of(&[
        ("Event", "Newchannel"),
        ("CallerIDNum", "101"),
        ("CallerIDName", "Bob"),
        ("Exten", exten),
        ("Uniqueid", unique),
        ("Linkedid", "1795189112.4"),
    ])
}

fn dial(event: &str, telephone: &str, unique: &str, status: &str) -> Block {
    let dest = format!("PJSIP/{telephone}-0000000f");
    Block::of(&[
        ("Event", event),
        ("Uniqueid", "1795189112.4"),
        ("Linkedid", "1795189112.4"),
        ("DestChannel", &dest),
        ("DestUniqueid", unique),
        ("DialStatus", status),
    ])
}

fn variable(name: &str, value: &str) -> Block {
    Block::of(&[("Event", "VarSet"), ("Variable", name), ("Value", value), ("Uniqueid", "1795189112.4"), ("Linkedid", "1795189112.4")])
}

fn voice_mail(arguments: &str) -> Block {
    Block::of(&[
        ("Event", "Newexten"),
        ("Application", "VoiceMail"),
        ("AppData", arguments),
        ("Uniqueid", "1795189112.4"),
        ("Linkedid", "1795189112.4"),
    ])
}

fn hangup(unique: &str, cause: &str) -> Block {
    Block::of(&[("Event", "Hangup"), ("Cause", cause), ("Uniqueid", unique), ("Linkedid", "1795189112.4")])
}

fn end() -> Block {
    hangup("1795189112.4", "16")
}

#[test]
fn the_rows_of_the_table_without_a_capture_are_judged_as_it_says() {
    let busy = [
        channel("1795189112.4", "102"),
        dial("DialBegin", "102", "5", ""),
        dial("DialEnd", "102", "5", "BUSY"),
        variable("DIALSTATUS", "BUSY"),
        voice_mail("102@default,b"),
        variable("VMSTATUS", "SUCCESS"),
        end(),
    ];
    assert_eq!(findings(&reported(&busy, &["102"])), found("102", Finding::VoiceMessageLeft));
    let away = [
        channel("1795189112.4", "102"),
        variable("DIALSTATUS", "CHANUNAVAIL"),
        voice_mail("102@default,u"),
        variable("VMSTATUS", "FAILED"),
        end(),
    ];
    let legs = reported(&away, &["102"]);
    assert_eq!((findings(&legs), legs[0].state), (found("102", Finding::Missed), LegState::Unreachable));
    let two = [
        channel("1795189112.4", "102"),
        dial("DialBegin", "102", "5", ""),
        dial("DialBegin", "102", "6", ""),
        dial("DialEnd", "102", "5", "CANCEL"),
        dial("DialEnd", "102", "6", "ANSWER"),
        end(),
    ];
    assert_eq!(findings(&reported(&two, &["102"])), found("102", Finding::Answered));
}

#[test]
fn a_ring_group_is_its_members_and_one_answer_is_for_all() {
    let group = [
        channel("1795189112.4", "600"),
        dial("DialBegin", "102", "5", ""),
        dial("DialBegin", "103", "6", ""),
        dial("DialEnd", "102", "5", "CANCEL"),
        dial("DialEnd", "103", "6", "ANSWER"),
        end(),
    ];
    let both = vec![("102".to_owned(), Finding::AnsweredElsewhere), ("103".to_owned(), Finding::Answered)];
    assert_eq!(findings(&reported(&group, &["102", "103"])), both);
    assert_eq!(findings(&reported(&group, &["102"])), found("102", Finding::AnsweredElsewhere), "one who answers need not have a mailbox");
    let queue = [channel("1795189112.4", "600"), dial("DialBegin", "102", "5", ""), hangup("5", "26"), end()];
    assert_eq!(findings(&reported(&queue, &["102"])), found("102", Finding::AnsweredElsewhere));
}

#[test]
fn a_callers_strange_name_does_not_cost_the_call() {
    let name = "\u{7}Bob ".repeat(200);
    let call = [("Event", "Newchannel"), ("CallerIDNum", "101"), ("CallerIDName", name.as_str()), ("Exten", "102")];
    let ids = [("Uniqueid", "1795189112.4"), ("Linkedid", "1795189112.4")];
    let legs = reported(&[Block::of(&[call.as_slice(), &ids].concat()), end()], &["102"]);
    let leg = legs[0].clone().checked().expect("a leg that the contract takes");
    assert!(leg.caller.name.is_some_and(|name| name.starts_with("Bob Bob")));
}

#[test]
fn the_first_tier_with_a_mailbox_decides_who_was_called() {
    let events = [
        channel("1795189112.4", "600"),
        dial("DialBegin", "103", "5", ""),
        dial("DialEnd", "103", "5", "NOANSWER"),
        voice_mail("104@default,u"),
        variable("VMSTATUS", "SUCCESS"),
        end(),
    ];
    let called =
        |mailboxes: &[&str]| findings(&reported(&events, mailboxes)).into_iter().map(|(extension, _)| extension).collect::<Vec<_>>();
    assert_eq!(called(&["103", "600"]), ["103"]);
    assert_eq!(called(&["600"]), ["600"]);
    assert_eq!(
        findings(&reported(&events, &["103", "104"])),
        [found("103", Finding::Missed), found("104", Finding::VoiceMessageLeft)].concat()
    );
    assert_eq!(
        findings(&reported(&events, &["103"])),
        found("103", Finding::VoiceMessageLeft),
        "a mailbox of nobody's is that of the one called"
    );
    assert!(reported(&events, &[]).is_empty());
}
