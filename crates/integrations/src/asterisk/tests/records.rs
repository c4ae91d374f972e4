//! Call records: what they say of calls that nobody heard, and how much of their file is read.

use super::super::records::While;
use super::super::settings::Settings;
use super::super::tail::look;
use super::replay::{BEGINNING, Desk, Folder, Pbx, Script, cues, listen};
use super::{ANSWERED, CANCELLED, VOICEMAIL, findings, found};
use crate::intake::Filled;
use model::calls::LegState;
use model::time::Timestamp;
use sources::telephony::calls::Finding;
use std::fmt::Write;
use std::time::Duration;

/// A record as `cdr_csv` writes it with `loguniqueid`, `loguserfield` and `newcdrcolumns`. Its dates are another zone's, which does
/// no harm.
fn row(unique: &str, dialled: &str, telephone: &str, application: &str, arguments: &str, seconds: [u32; 2], disposition: &str) -> String {
    let [duration, talked] = seconds;
    format!(
        "\"\",\"101\",\"{dialled}\",\"internal\",\"\"\"Bob\"\" <101>\",\"PJSIP/101-00000002\",\"{telephone}\",\"{application}\",\"{arguments}\",\
         \"2026-11-20 17:38:32\",,\"2026-11-20 17:38:38\",{duration},{talked},\"{disposition}\",\"DOCUMENTATION\",\"{unique}\",\"\",\"\",\"{unique}\",7\n"
    )
}

fn dial(unique: &str, telephone: &str, seconds: [u32; 2], disposition: &str) -> String {
    let number = telephone.rsplit('/').next().and_then(|name| name.split('-').next()).unwrap_or_default();
    row(unique, number, telephone, "Dial", &format!("PJSIP/{number},6"), seconds, disposition)
}

fn voice_mail(unique: &str, dialled: &str, seconds: [u32; 2]) -> String {
    row(unique, dialled, "", "VoiceMail", "102@default,u", seconds, "ANSWERED")
}

const CALL: &str = "1795189112.4";
/// The minute of the captured call.
const SPAN: While = (Timestamp(1_795_189_100_000), Timestamp(1_795_189_160_000));

fn settings(folder: &Folder, records: &str) -> Settings {
    let cdr_file = Some(folder.write("cdr-csv/Master.csv", records));
    Settings { cdr_file, ..folder.settings() }
}

/// What the records of one call come to, and how many calls stay unknown.
fn told(settings: &Settings, span: While) -> (Vec<(String, Finding)>, usize) {
    let read = look(settings, settings.cdr_file.as_deref().expect("a file"), span).expect("records");
    let legs: Vec<_> = read.calls.iter().flat_map(|ended| ended.legs(|extension| ["102", "103"].contains(&extension))).collect();
    assert!(legs.iter().all(|leg| leg.caller.number.as_deref() == Some("101") && leg.caller.name.as_deref() == Some("Bob")), "{legs:?}");
    assert!(legs.iter().all(|leg| leg.call_id == format!("lyon:{CALL}") && leg.at == Timestamp(1_795_189_112_000)), "{legs:?}");
    (findings(&legs), read.unknown)
}

#[test]
fn the_rows_of_the_table_are_told_from_their_records() {
    let answered = dial(CALL, "PJSIP/102-00000003", [2, 2], "ANSWERED");
    let rang_out = dial(CALL, "PJSIP/102-00000003", [6, 0], "NO ANSWER");
    let busy = dial(CALL, "PJSIP/102-00000003", [1, 0], "BUSY");
    let by_the_other = dial(CALL, "PJSIP/103-00000004", [9, 3], "ANSWERED");
    let in_greeting = voice_mail(CALL, "s-NOANSWER", [1, 0]);
    let not_registered = voice_mail(CALL, "102", [1, 0]);
    let nowhere = row(CALL, "102", "", "Dial", "PJSIP/102,6", [0, 0], "FAILED");
    let missed = found("102", Finding::Missed);
    let elsewhere = vec![("102".to_owned(), Finding::AnsweredElsewhere), ("103".to_owned(), Finding::Answered)];
    for (records, finding) in [
        (answered, found("102", Finding::Answered)),
        (rang_out.clone(), missed.clone()),
        (busy, missed.clone()),
        (rang_out.clone() + &in_greeting, missed.clone()),
        (in_greeting + &rang_out, missed.clone()),
        (not_registered, missed.clone()),
        (nowhere, missed),
        (rang_out.clone() + &by_the_other, elsewhere.clone()),
        (by_the_other + &rang_out, elsewhere),
    ] {
        let folder = Folder::new();
        assert_eq!(told(&settings(&folder, &records), SPAN), (finding, 0), "{records}");
    }
}

#[test]
fn whether_a_message_was_left_is_seen_in_the_spool_folder_and_stays_unknown_without_one() {
    let folder = Folder::new();
    let records = dial(CALL, "PJSIP/102-00000003", [6, 0], "NO ANSWER") + &voice_mail(CALL, "s-NOANSWER", [6, 6]);
    let mut settings = settings(&folder, &records);
    assert_eq!(told(&settings, SPAN), (vec![], 1));
    settings.spool_dir = Some(folder.0.join("voicemail"));
    assert_eq!(told(&settings, SPAN), (found("102", Finding::Missed), 0));
    folder.write("voicemail/default/102/INBOX/msg0000.txt", "origtime=1795180000\n");
    assert_eq!(told(&settings, SPAN), (found("102", Finding::Missed), 0), "a message of another call");
    let (outside, left) = (Folder::new(), include_str!("../../../tests/asterisk/captured-msg0000.txt"));
    outside.write("msg0000.txt", left);
    std::os::unix::fs::symlink(&outside.0, folder.0.join("voicemail/default/102/Urgent")).expect("a link");
    assert_eq!(told(&settings, SPAN), (found("102", Finding::Missed), 0), "what lies behind a link is not read");
    folder.write("voicemail/default/102/Old/msg0003.txt", left);
    assert_eq!(told(&settings, SPAN), (found("102", Finding::VoiceMessageLeft), 0), "it was listened to since");
    let read = look(&settings, settings.cdr_file.as_deref().expect("a file"), SPAN).expect("records");
    let voice = read.calls[0].legs(|extension| extension == "102").pop().expect("legs");
    let below = super::super::spool::below(voice.recording.as_deref().expect("audio")).expect("a place in the spool");
    assert_eq!((voice.state, below.to_str()), (LegState::VoiceMessage, Some("default/102/Old/msg0003")));
}

#[test]
fn only_calls_that_bear_on_the_while_are_read_however_large_the_file_is() {
    let folder = Folder::new();
    let mut records = String::new();
    // A hundred thousand records, one each second, of which the call is somewhere in the middle.
    for at in 0..100_000 {
        let began = 1_795_139_112 + at;
        let unique = if at == 50_000 { CALL.to_owned() } else { format!("{began}.1") };
        let to = if at == 50_000 { "102" } else { "999" };
        write!(records, "{}", dial(&unique, &format!("PJSIP/{to}-0000000a"), [1, 0], "NO ANSWER")).expect("written");
    }
    let settings = settings(&folder, &records);
    assert_eq!(told(&settings, SPAN), (found("102", Finding::Missed), 0));
    let read = look(&settings, settings.cdr_file.as_deref().expect("a file"), SPAN).expect("records");
    assert!((60..=180).contains(&read.calls.len()), "{} of a minute and what may have ended before it", read.calls.len());
    // What was put aside in between is read, too.
    std::fs::rename(folder.0.join("cdr-csv/Master.csv"), folder.0.join("cdr-csv/Master.csv.1")).expect("put aside");
    assert_eq!(told(&settings, SPAN), (found("102", Finding::Missed), 0), "no call since");
    folder.write("cdr-csv/Master.csv", dial("1795239113.1", "PJSIP/999-00000003", [1, 0], "BUSY"));
    assert_eq!(told(&settings, SPAN), (found("102", Finding::Missed), 0));
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = Folder::new();
    let short = row(CALL, "102", "PJSIP/102-00000003", "Dial", "PJSIP/102", [6, 0], "BUSY");
    let nameless = short.rsplitn(6, ',').last().expect("columns").to_owned() + "\n";
    let table = [
        (nameless.as_str(), "set loguniqueid = yes"),
        ("clid,src,dst\n", "is not what cdr_csv writes"),
        ("\u{0}\u{1}\n\n\"", "is not what cdr_csv writes"),
    ];
    for (records, why) in table {
        let settings = settings(&folder, records);
        let said = look(&settings, settings.cdr_file.as_deref().expect("a file"), SPAN).expect_err("unreadable");
        assert!(said.contains(why), "{said}");
    }
    let settings = settings(&folder, "");
    assert!(look(&settings, &folder.0.join("cdr-csv/Master.csv"), SPAN).expect("no call yet").calls.is_empty());
    assert!(look(&settings, &folder.0, SPAN).expect_err("a folder").contains("cannot be read"));
    assert!(look(&settings, &folder.0.join("none/Master.csv"), SPAN).expect_err("no folder").contains("cannot be read"));
}

/// Seconds since 1970 on the tests' clock.
fn second(after: u64) -> i64 {
    BEGINNING.0 / 1000 + i64::try_from(after).expect("small")
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_filled_once_and_what_is_written_late_is_found_too() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let mut settings = settings(&folder, "");
    settings.spool_dir = Some(folder.0.join("voicemail"));
    // It was heard a while ago, by another process.
    *desk.heard_until.lock().expect("whole") = Some(Timestamp(BEGINNING.0 - 60_000));
    let pbx = Pbx::of([Script::Closed, Script::Play(cues(ANSWERED, 100))]);
    let call = |unique: &str| dial(unique, "PJSIP/102-00000003", [6, 0], "NO ANSWER");
    let (early, late, outside) = (format!("{}.1", second(0) - 50), format!("{}.2", second(0) - 5), format!("{}.3", second(0) - 7_200));
    folder.write("cdr-csv/Master.csv", call(&outside) + &call(&early));
    tokio::join!(listen(settings, &pbx, &desk, Duration::from_secs(600)), async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let seen: Vec<String> = desk.legs().iter().map(|leg| leg.call_id.clone()).collect();
        assert_eq!(seen, ["lyon:1795189287.36".to_owned(), format!("lyon:{early}")], "what is heard does not wait");
        assert_eq!(*desk.heard_until.lock().expect("whole"), Some(Timestamp(BEGINNING.0 - 60_000)), "not all is read yet");
        folder.write("cdr-csv/Master.csv", call(&outside) + &call(&early) + &call(&late));
    });
    let late_ones = desk.legs().iter().filter(|leg| leg.call_id == format!("lyon:{late}")).count();
    assert!(late_ones > 0 && desk.legs().iter().all(|leg| leg.call_id != format!("lyon:{outside}")));
    assert_eq!(desk.missed().len(), 1);
    assert_eq!(desk.missed()[0].0, Timestamp(BEGINNING.0 - 60_000), "since the process before");
    let filled = desk.filled.lock().expect("whole").clone();
    let calls = |calls| Filled { calls, unknown: 0 };
    assert_eq!(filled, [calls(1), calls(2), calls(2)]);
    let until = desk.heard_until.lock().expect("whole").expect("kept");
    assert!(until.since(BEGINNING) >= Duration::from_secs(590), "the end of the process is kept, too: {until:?}");
}

#[tokio::test(start_paused = true)]
async fn records_that_were_not_read_are_left_to_the_next_process() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let before = Timestamp(BEGINNING.0 - 60_000);
    *desk.heard_until.lock().expect("whole") = Some(before);
    let settings = settings(&folder, "");
    listen(settings.clone(), &Pbx::of([]), &desk, Duration::from_secs(20)).await;
    assert_eq!((desk.missed().len(), *desk.heard_until.lock().expect("whole")), (1, Some(before)));
    // A store that is away at first does not cost the gap.
    desk.away.store(5, std::sync::atomic::Ordering::Relaxed);
    folder.write("cdr-csv/Master.csv", dial(&format!("{}.1", second(0) - 50), "PJSIP/102-00000003", [6, 0], "BUSY"));
    listen(settings, &Pbx::of([Script::Play(cues(CANCELLED, 100))]), &desk, Duration::from_secs(500)).await;
    assert_eq!(desk.missed().len(), 2, "as it is known by now");
    assert!(desk.legs().iter().any(|leg| leg.state == LegState::Busy), "{:?}", desk.legs());
    assert!(desk.heard_until.lock().expect("whole").is_some_and(|until| until > BEGINNING));
}

#[tokio::test(start_paused = true)]
async fn a_first_process_that_ends_while_its_records_are_read_leaves_word_for_the_next() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let settings = settings(&folder, "");
    listen(settings, &Pbx::of([Script::Closed]), &desk, Duration::from_secs(10)).await;
    let until = desk.heard_until.lock().expect("whole").expect("kept");
    assert!(until.since(BEGINNING) < Duration::from_secs(2), "{until:?}: until Asterisk was missed first");
}

#[tokio::test(start_paused = true)]
async fn without_call_records_a_gap_is_told_and_the_time_goes_on() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let pbx = Pbx::of([Script::Cut(cues(VOICEMAIL, 100)), Script::Closed]);
    listen(folder.settings(), &pbx, &desk, Duration::from_secs(120)).await;
    assert_eq!((desk.missed().len(), desk.filled.lock().expect("whole").len()), (1, 0));
    let until = desk.heard_until.lock().expect("whole").expect("kept");
    assert!(until.since(BEGINNING) >= Duration::from_secs(110), "{until:?}");
}
