//! Replays: what arrives at the intake of captured calls, at any speed, doubled, interleaved, cut off, and while something is
//! away.

use super::super::calls::SETTLING;
use super::replay::{BEGINNING, Cue, Desk, Folder, Pbx, Script, cues, listen};
use super::{ANSWERED, CANCELLED, IN_GREETING, VOICEMAIL, findings, found, with_ids_of_its_own};
use crate::intake::HeardLeg;
use model::calls::LegState;
use sources::telephony::calls::Finding;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The captured calls, the legs that come of each, and what they are judged as.
fn calls() -> [(&'static str, Vec<&'static str>, Finding); 4] {
    [
        (ANSWERED, vec!["102 1795189287.37 Answered"], Finding::Answered),
        (CANCELLED, vec!["102 1795189141.16 Cancelled"], Finding::Missed),
        (IN_GREETING, vec!["102 1795189130.12 NoAnswer"], Finding::Missed),
        (VOICEMAIL, vec!["102 1795189112.5 NoAnswer", "102 1795189112.4:voice:102 VoiceMessage"], Finding::VoiceMessageLeft),
    ]
}

fn told(act: &[HeardLeg]) -> Vec<String> {
    act.iter().map(|HeardLeg { leg, .. }| format!("{} {} {:?}", leg.called_extension, leg.leg_id, leg.state)).collect()
}

/// Plays scripts one connection after the other, and answers what was taken.
async fn played(scripts: impl IntoIterator<Item = Script>, long: Duration) -> std::sync::Arc<Desk> {
    let (folder, pbx, desk) = (Folder::new(), Pbx::of(scripts), Desk::with(&["101", "102"]));
    listen(folder.settings(), &pbx, &desk, long).await;
    desk
}

#[tokio::test(start_paused = true)]
async fn each_captured_call_gives_exactly_one_set_of_legs_at_original_and_at_hundredfold_speed() {
    for (transcript, legs, finding) in calls() {
        for speed in [1, 100] {
            let desk = played([Script::Play(cues(transcript, speed))], 2 * MINUTE).await;
            let acts = desk.acts();
            assert_eq!(acts.len(), 1, "{acts:?}");
            assert_eq!(told(&acts[0]), legs);
            assert_eq!(findings(&desk.legs()), found("102", finding));
            assert!(desk.legs().iter().all(|leg| leg.caller.number.as_deref() == Some("101") && leg.dial_plan == "Lyon"));
            assert!(desk.legs().iter().all(|leg| leg.recording.is_none()), "nobody looks for audio without a spool folder");
            assert_eq!(desk.missed(), [], "the first connection has missed nothing");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn doubled_events_and_doubled_calls_give_one_set() {
    for (transcript, legs, _) in calls() {
        let once = cues(transcript, 100);
        let twice: Vec<Cue> = once.iter().flat_map(|cue| [cue.clone(), cue.clone()]).collect();
        let again = [once.clone(), once].concat();
        for script in [twice, again] {
            let acts = played([Script::Play(script)], MINUTE).await.acts();
            assert_eq!(acts.len(), 1, "{acts:?}");
            assert_eq!(told(&acts[0]), legs);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_interleaved_calls_give_one_set_each() {
    const MANY: usize = 300;
    let kinds = calls();
    let mut lanes: Vec<std::collections::VecDeque<Cue>> =
        (0..MANY).map(|n| cues(&with_ids_of_its_own(kinds[n % 4].0, n), 1000).into()).collect();
    let mut mixed = Vec::new();
    while lanes.iter().any(|lane| !lane.is_empty()) {
        mixed.extend(lanes.iter_mut().filter_map(std::collections::VecDeque::pop_front).map(|(_, event)| (Duration::ZERO, event)));
    }
    let desk = played([Script::Play(mixed)], MINUTE).await;
    let mut acts: BTreeMap<String, Vec<Vec<HeardLeg>>> = BTreeMap::new();
    for act in desk.acts() {
        let calls: BTreeSet<&str> = act.iter().map(|heard| heard.leg.call_id.as_str()).collect();
        assert_eq!(calls.len(), 1, "an act is of one call");
        acts.entry(act[0].leg.call_id.clone()).or_default().push(act);
    }
    assert_eq!(acts.len(), MANY);
    for (call, acts) in acts {
        let n: usize = call.rsplit('.').next().and_then(|n| n.parse().ok()).expect("a number");
        let (_, legs, finding) = &kinds[(n / 1000) % 4];
        assert_eq!((acts.len(), acts[0].len()), (1, legs.len()), "{call}");
        let legs: Vec<_> = acts.into_iter().flatten().map(|heard| heard.leg).collect();
        assert_eq!(findings(&legs), found("102", *finding), "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_off_anywhere_and_comes_back_changes_no_judgement_while_nothing_is_missed() {
    for (transcript, _, finding) in calls() {
        // What is not wanted cannot matter where it is cut.
        let all: Vec<Cue> = cues(transcript, 100).into_iter().filter(|(_, event)| super::wanted(&super::block(event))).collect();
        for at in 0..=all.len() {
            // The event in the middle of which it breaks is said again; its first half is worth nothing.
            let half = all.get(at).map(|(after, event)| (*after, event[..event.len() / 2].to_owned()));
            let before = all[..at].iter().cloned().chain(half).collect();
            let rest = all[at..].iter().map(|(_, event)| (Duration::ZERO, event.clone())).collect();
            let desk = played([Script::Cut(before), Script::Play(rest)], MINUTE).await;
            assert_eq!(findings(&desk.legs()), found("102", finding), "cut before event {at}");
            let missed = desk.missed();
            assert_eq!(missed.len(), 1, "cut before event {at}");
            assert!(missed[0].0 >= BEGINNING && missed[0].0 < missed[0].1 && missed[0].1 < BEGINNING.plus(MINUTE));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_happened_in_a_gap_is_not_made_up() {
    let own = |event: &str| event.contains("Event: UserEvent") || event.contains("Variable: DIALSTATUS");
    let all: Vec<Cue> = cues(CANCELLED, 100).into_iter().filter(|(_, event)| !own(event)).collect();
    let ring = all.iter().position(|(_, event)| event.contains("Event: DialBegin")).expect("it rings");
    let end = all.iter().rposition(|(_, event)| event.contains("Event: Hangup\r\n")).expect("it ends");
    let later = vec![(Duration::from_secs(1), all[end].1.clone())];
    let whole = all[..=ring].iter().chain(&later).cloned().collect();
    assert_eq!(played([Script::Play(whole)], MINUTE).await.acts().len(), 1, "without a gap it rang until the caller hung up");
    let desk = played([Script::Cut(all[..=ring].to_vec()), Script::Closed, Script::Closed, Script::Play(later)], MINUTE).await;
    assert!(desk.acts().is_empty(), "whether it was answered is not known: {:?}", desk.acts());
    assert_eq!(desk.missed().len(), 1, "one gap, however often nobody listened");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ended_before_the_connection_broke_is_handed_on_while_it_is_away() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let pbx = Pbx::of([Script::Cut(cues(CANCELLED, 100))].into_iter().chain((0..100).map(|_| Script::Closed)));
    listen(folder.settings(), &pbx, &desk, 2 * MINUTE).await;
    assert_eq!(desk.acts().len(), 1);
    let missed = desk.missed();
    assert_eq!(missed.len(), 1, "told at the end, because it would be forgotten");
    assert!(missed[0].1.since(missed[0].0) > MINUTE + MINUTE / 2);
    let dialled = pbx.dialled();
    let waits: Vec<Duration> = dialled.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] <= Duration::from_secs(2) && waits.iter().all(|wait| *wait <= Duration::from_secs(30)), "{waits:?}");
    assert!(waits[5..].iter().all(|wait| *wait >= Duration::from_secs(15)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_answers_is_given_up_and_the_gap_begins_with_the_last_word() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let pbx = Pbx::of([Script::Deaf(cues(CANCELLED, 100)), Script::Play(cues(VOICEMAIL, 100))]);
    listen(folder.settings(), &pbx, &desk, 2 * MINUTE).await;
    let dialled = pbx.dialled();
    assert_eq!(dialled.len(), 2);
    assert!((Duration::from_secs(25)..Duration::from_secs(27)).contains(&dialled[1]), "{dialled:?}");
    assert_eq!(desk.acts().len(), 2);
    let missed = desk.missed();
    assert_eq!(missed.len(), 1);
    assert!(missed[0].0 < BEGINNING.plus(Duration::from_secs(1)) && missed[0].1 >= BEGINNING.plus(Duration::from_secs(25)), "{missed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_says_anything_is_left_after_a_while() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let pbx = Pbx::of([Script::Mute, Script::Mute, Script::Play(cues(CANCELLED, 100))]);
    listen(folder.settings(), &pbx, &desk, 2 * MINUTE).await;
    let dialled = pbx.dialled();
    assert_eq!(dialled.len(), 3);
    assert!(dialled[1] >= Duration::from_secs(10) && dialled[2] <= Duration::from_secs(24), "{dialled:?}");
    assert_eq!((desk.acts().len(), desk.missed().len()), (1, 1));
    assert_eq!(desk.missed()[0].0, BEGINNING, "it should have been heard from the beginning");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_tried_once_a_minute_and_a_mended_one_needs_no_restart() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let settings = folder.settings();
    folder.write("secret", "wrong\n");
    let pbx = Pbx::of([Script::Play(Vec::new()), Script::Play(Vec::new()), Script::Play(cues(CANCELLED, 100))]);
    tokio::join!(listen(settings, &pbx, &desk, 3 * MINUTE), async {
        tokio::time::sleep(MINUTE + MINUTE / 2).await;
        assert_eq!(pbx.logins.load(Ordering::Relaxed), 2);
        folder.settings();
    });
    assert_eq!((pbx.logins.load(Ordering::Relaxed), desk.acts().len(), desk.missed().len()), (3, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_waits_while_the_intake_is_away() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    desk.away.store(12, Ordering::Relaxed);
    let many = (0..40).flat_map(|n| cues(&with_ids_of_its_own(CANCELLED, n), 100)).map(|(_, event)| (Duration::ZERO, event)).collect();
    let pbx = Pbx::of([Script::Cut(many)]);
    listen(folder.settings(), &pbx, &desk, 10 * MINUTE).await;
    let calls: BTreeSet<String> = desk.legs().into_iter().map(|leg| leg.call_id).collect();
    assert_eq!((calls.len(), desk.acts().len(), desk.missed().len()), (40, 40, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_never_taken_is_given_up_and_keeps_nothing_else_back() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    desk.never.store(1, Ordering::Relaxed);
    let later = cues(CANCELLED, 100).into_iter().map(|(after, event)| (after + Duration::from_secs(10), event));
    let pbx = Pbx::of([Script::Play(cues(VOICEMAIL, 100).into_iter().chain(later).collect())]);
    listen(folder.settings(), &pbx, &desk, MINUTE).await;
    assert_eq!(desk.acts().iter().map(|act| told(act)).collect::<Vec<_>>(), [["102 1795189141.16 Cancelled"]]);
}

/// What is taken of a call with a voice message of which only a lamp tells, so long after the call's end.
async fn with_a_lamp(after: Duration) -> Vec<Vec<String>> {
    let (lamp, call): (Vec<Cue>, Vec<Cue>) = cues(VOICEMAIL, 100)
        .into_iter()
        .filter(|(_, event)| !event.contains("VMSTATUS") && !event.contains("Event: UserEvent"))
        .partition(|(_, event)| event.contains("Event: MessageWaiting"));
    let late = lamp.into_iter().map(|(_, event)| (after, event));
    let desk = played([Script::Play(call.into_iter().chain(late).collect())], MINUTE).await;
    desk.acts().iter().map(|act| told(act)).collect()
}

#[tokio::test(start_paused = true)]
async fn news_after_a_calls_end_is_handed_on_and_nothing_twice() {
    for after in [SETTLING * 2, Duration::from_secs(5)] {
        assert_eq!(with_a_lamp(after).await, [["102 1795189112.5 NoAnswer"], ["102 1795189112.4:voice:102 VoiceMessage"]], "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_word_that_comes_just_after_a_calls_end_goes_with_the_call() {
    assert_eq!(with_a_lamp(SETTLING / 4).await, [["102 1795189112.5 NoAnswer", "102 1795189112.4:voice:102 VoiceMessage"]]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_hands_on_at_once_what_would_still_have_settled() {
    let desk = played([Script::Play(cues(CANCELLED, 1000))], SETTLING / 2).await;
    assert_eq!(desk.acts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_voice_message_is_taken_at_once_and_again_with_its_audio() {
    const TEXT: &str = include_str!("../../../tests/asterisk/captured-msg0000.txt");
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let mut settings = folder.settings();
    settings.spool_dir = Some(folder.0.join("voicemail"));
    let pbx = Pbx::of([Script::Play(cues(VOICEMAIL, 100))]);
    let inbox = "voicemail/default/102/INBOX";
    tokio::join!(listen(settings, &pbx, &desk, 2 * MINUTE), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(desk.acts().len(), 1, "the legs do not wait for the audio");
        folder.write(&format!("{inbox}/msg0000.wav"), b"RIFF half");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(desk.acts().len(), 1, "audio without its text is not whole");
        folder.write(&format!("{inbox}/msg0000.wav"), b"RIFF whole");
        folder.write(&format!("{inbox}/msg0000.txt"), TEXT);
    });
    let acts = desk.acts();
    let [legs, with_audio] = acts.as_slice() else { panic!("{acts:?}") };
    assert_eq!(legs.len(), 2);
    assert!(legs.iter().all(|heard| heard.recording.is_none()));
    let [voice] = with_audio.as_slice() else { panic!("{with_audio:?}") };
    assert_eq!((voice.leg.state, &voice.leg), (LegState::VoiceMessage, &legs[1].leg));
    let recording = voice.recording.as_ref().expect("audio");
    assert_eq!((recording.name.as_str(), recording.media_type.as_str()), ("msg0000.wav", "audio/wav"));
    assert_eq!(recording.bytes, b"RIFF whole");
}

#[tokio::test(start_paused = true)]
async fn audio_that_does_not_come_is_not_waited_for_longer_than_half_a_minute() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let mut settings = folder.settings();
    settings.spool_dir = Some(folder.0.join("voicemail"));
    let pbx = Pbx::of([Script::Play(cues(VOICEMAIL, 100))]);
    tokio::join!(listen(settings, &pbx, &desk, 2 * MINUTE), async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        folder.write("voicemail/default/102/INBOX/msg0000.wav", b"RIFF");
        folder.write("voicemail/default/102/INBOX/msg0000.txt", "origtime=1795189121\n");
    });
    assert_eq!(desk.acts().len(), 1);
}
