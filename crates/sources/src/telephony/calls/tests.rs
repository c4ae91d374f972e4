//! What must hold for any call, in any order, with echoes and with clocks that are off.

use super::*;
use model::calls::{Caller, Leg, LegState};
use model::time::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

const NOON: Timestamp = Timestamp(1_795_176_000_000);

fn leg(id: &str, extension: &str, state: LegState, after_ms: i64) -> Leg {
    Leg {
        call_id: "c1".to_owned(),
        leg_id: id.to_owned(),
        dial_plan: "Lyon".to_owned(),
        called_extension: extension.to_owned(),
        caller: Caller { number: Some("+33472100101".to_owned()), name: None },
        state,
        at: Timestamp(NOON.0 + after_ms),
        answered_elsewhere: None,
        recording: None,
    }
}

fn gathered(legs: &[Leg]) -> Gathering {
    let mut call = Gathering::default();
    for leg in legs {
        call.add(leg.clone(), leg.at).expect("room");
    }
    call
}

fn findings(call: &Gathering) -> Vec<(String, Finding)> {
    judge(call).into_iter().map(|verdict| (verdict.extension, verdict.finding)).collect()
}

#[test]
fn a_ring_group_answered_by_one_is_missed_by_none() {
    let call = gathered(&[
        leg("a", "101", LegState::Ringing, 0),
        leg("b", "102", LegState::Ringing, 1),
        leg("a", "101", LegState::Answered, 4000),
        leg("b", "102", LegState::Cancelled, 4001),
    ]);
    assert_eq!(findings(&call), [("101".to_owned(), Finding::Answered), ("102".to_owned(), Finding::AnsweredElsewhere)]);
}

#[test]
fn several_called_persons_are_judged_each_for_themselves() {
    let call = gathered(&[
        leg("a", "101", LegState::NoAnswer, 0),
        leg("b", "102", LegState::NoAnswer, 0),
        leg("v", "102", LegState::VoiceMessage, 9),
    ]);
    assert_eq!(findings(&call), [("101".to_owned(), Finding::Missed), ("102".to_owned(), Finding::VoiceMessageLeft)]);
}

#[test]
fn a_voice_message_is_delivered_even_when_somebody_else_answered_first() {
    let call = gathered(&[leg("a", "101", LegState::Answered, 0), leg("v", "102", LegState::VoiceMessage, 9)]);
    assert_eq!(findings(&call)[1], ("102".to_owned(), Finding::VoiceMessageLeft));
}

#[test]
fn an_answer_elsewhere_that_only_the_telephone_reports_counts() {
    let call = gathered(&[Leg { answered_elsewhere: Some(true), ..leg("a", "101", LegState::Cancelled, 0) }]);
    assert_eq!(findings(&call), [("101".to_owned(), Finding::AnsweredElsewhere)]);
}

#[test]
fn a_call_is_judged_five_seconds_after_its_end_and_waits_thirty_for_audio_only_where_some_can_come() {
    let mut call = gathered(&[leg("a", "101", LegState::Ringing, 0)]);
    assert_eq!(call.due(false), Some(NOON.plus(LONGEST_SILENCE)));
    assert!(call.unfinished() && judge(&call).is_empty() && call.tell(Some).is_empty());
    call.add(leg("a", "101", LegState::NoAnswer, 6000), NOON.plus(Duration::from_secs(6))).expect("room");
    assert_eq!(call.due(true), Some(NOON.plus(Duration::from_secs(11))));
    call.add(leg("v", "101", LegState::VoiceMessage, 8000), NOON.plus(Duration::from_secs(8))).expect("room");
    assert_eq!(call.due(false), Some(NOON.plus(Duration::from_secs(13))));
    assert_eq!(call.due(true), Some(NOON.plus(Duration::from_secs(38))));
    let audio = Leg { recording: Some("msg0000".to_owned()), ..leg("v", "101", LegState::VoiceMessage, 8000) };
    assert!(call.add(audio, NOON.plus(Duration::from_secs(20))).expect("room"));
    assert_eq!(call.due(true), Some(NOON.plus(Duration::from_secs(13))));
    assert_eq!(judge(&call)[0].recording.as_deref(), Some("msg0000"));
    assert_eq!(Gathering::default().due(true), None);
}

#[test]
fn audio_that_another_leg_brings_is_not_waited_for() {
    let mut call = gathered(&[leg("a", "101", LegState::NoAnswer, 0), leg("v", "101", LegState::VoiceMessage, 0)]);
    assert_eq!(call.due(true), Some(NOON.plus(Duration::from_secs(30))));
    let mail = Leg { recording: Some("msg0000".to_owned()), ..leg("mail", "101", LegState::VoiceMessage, 1000) };
    call.add(mail, NOON.plus(Duration::from_secs(1))).expect("room");
    assert_eq!(call.due(true), Some(NOON.plus(Duration::from_secs(6))));
    assert_eq!((findings(&call).len(), judge(&call)[0].recording.as_deref()), (1, Some("msg0000")));
}

#[test]
fn a_telephone_that_rings_on_keeps_the_call_open_after_another_gave_up() {
    let call = gathered(&[leg("a", "101", LegState::NoAnswer, 0), leg("b", "102", LegState::Ringing, 100)]);
    assert!(call.unfinished());
}

#[test]
fn nothing_is_told_twice_and_a_late_voice_message_is_still_told() {
    let mut call = gathered(&[leg("a", "101", LegState::NoAnswer, 0)]);
    assert_eq!(call.tell(Some).len(), 1);
    assert!(call.tell(Some).is_empty());
    assert!(!call.add(leg("a", "101", LegState::NoAnswer, 0), NOON.plus(HANG_UP_GRACE)).expect("room"), "an echo is no news");
    call.add(leg("v", "101", LegState::VoiceMessage, 60_000), NOON.plus(LONGEST_SILENCE)).expect("room");
    let kept: Gathering = serde_json::from_str(&serde_json::to_string(&call).expect("JSON")).expect("the same");
    assert_eq!(kept, call, "a gathering survives being kept");
    assert_eq!(call.tell(Some).iter().map(|news| news.verdict.finding).collect::<Vec<_>>(), [Finding::VoiceMessageLeft]);
    assert!(call.was_told("LYON", "101", Finding::Missed) && call.tell(Some).is_empty());
}

#[test]
fn a_call_without_end_of_legs_is_bounded() {
    let mut call = Gathering::default();
    for at in 0..MOST_PIECES {
        call.add(leg(&at.to_string(), "101", LegState::Busy, 0), NOON).expect("room");
    }
    assert_eq!(call.add(leg("more", "101", LegState::Busy, 0), NOON).expect_err("full").code, "call_full");
    assert!(!call.add(leg("0", "101", LegState::Busy, 0), NOON).expect("an echo needs no room"));
}

#[test]
fn a_clock_that_is_plainly_wrong_is_not_believed() {
    const DAY: i64 = 86_400_000;
    for (off, believed) in [(-8 * DAY, false), (-6 * DAY, true), (14 * 60_000, true), (16 * 60_000, false)] {
        let mut call = Gathering::default();
        call.add(leg("a", "101", LegState::NoAnswer, off), NOON).expect("room");
        assert_eq!(judge(&call)[0].at, if believed { Timestamp(NOON.0 + off) } else { NOON }, "{off}");
    }
}

fn any_state() -> impl Strategy<Value = LegState> {
    prop_oneof![
        Just(LegState::Ringing),
        Just(LegState::Answered),
        Just(LegState::Ended),
        Just(LegState::Cancelled),
        Just(LegState::NoAnswer),
        Just(LegState::Busy),
        Just(LegState::Unreachable),
        Just(LegState::VoiceMessage),
    ]
}

/// A call of up to five legs to up to three extensions, each with some states; every leg that rings also ends.
fn any_call() -> impl Strategy<Value = Vec<Leg>> {
    let states = proptest::collection::vec(any_state(), 1..4);
    proptest::collection::vec((0..3usize, states, any::<bool>()), 1..6).prop_map(|legs| {
        let mut all = Vec::new();
        for (id, (extension, states, elsewhere)) in legs.into_iter().enumerate() {
            let extension = ["101", "102", "103"][extension];
            let ended = states.iter().any(|state| !state.open());
            for state in states.into_iter().chain((!ended).then_some(LegState::Cancelled)) {
                let answered_elsewhere = (elsewhere && state == LegState::Cancelled).then_some(true);
                all.push(Leg { answered_elsewhere, ..leg(&id.to_string(), extension, state, 10 * id as i64) });
            }
        }
        all
    })
}

proptest! {
    #[test]
    fn any_order_any_echo_and_any_skew_in_the_window_give_the_same_single_verdict(
        (calls, seeds) in any_call().prop_flat_map(|legs| {
            let echoes = proptest::collection::vec((0..legs.len(), -5000i64..5000, 0i64..5000), legs.len()..3 * legs.len() + 1);
            (Just(legs), echoes)
        })
    ) {
        let plain = gathered(&calls);
        let mut order: Vec<(usize, i64, i64)> = (0..calls.len()).map(|at| (at, 0, 0)).chain(seeds.iter().copied()).collect();
        order.sort_by_key(|(at, skew, late)| (skew.wrapping_mul(31).wrapping_add(*late), *at));
        let mut mixed = Gathering::default();
        for (at, skew, late) in order {
            let leg = &calls[at];
            let skewed = Leg { at: Timestamp(leg.at.0 + skew), ..leg.clone() };
            mixed.add(skewed, Timestamp(leg.at.0 + late)).expect("room");
        }
        let bare = |call: &Gathering| judge(call).into_iter().map(|v| Verdict { at: NOON, ..v }).collect::<Vec<_>>();
        prop_assert_eq!(bare(&plain), bare(&mixed));
        for (one, other) in judge(&plain).iter().zip(judge(&mixed)) {
            prop_assert!((one.at.0 - other.at.0).abs() <= 5000);
        }
        let mut extensions: Vec<&str> = calls.iter().map(|leg| leg.called_extension.as_str()).collect();
        extensions.sort_unstable();
        extensions.dedup();
        prop_assert_eq!(judge(&mixed).iter().map(|v| v.extension.clone()).collect::<Vec<_>>(), extensions, "one verdict for each extension");
        prop_assert_eq!(mixed.tell(Some).len(), judge(&mixed).len());
        prop_assert!(mixed.tell(Some).is_empty(), "and each is told once");
    }

    #[test]
    fn one_answer_anywhere_means_that_nobody_missed_the_call(mut calls in any_call(), at in 0usize..5) {
        calls.push(leg(&format!("x{at}"), "104", LegState::Answered, 0));
        prop_assert!(judge(&gathered(&calls)).iter().all(|verdict| verdict.finding != Finding::Missed));
    }
}
