//! The channel suite: what every channel has to do, shown on each of them against its own fake.

mod stands;

use fakes::Mode;
use model::channel::Lane;
use model::outcome::Outcome;
use stands::{DEADLINE, Says, TITLE, code, eventually, every, words};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_letter_that_is_taken_is_accepted_and_arrives_once_with_its_words() {
    for stand in every().await {
        assert_eq!(stand.tell(1).await, Outcome::Accepted, "{}", stand.name);
        assert_eq!(stand.reached(1), 1, "{}", stand.name);
        assert!(stand.arrived().contains(TITLE), "{}", stand.name);
    }
}

#[tokio::test]
async fn what_the_other_side_says_is_classed_and_the_next_letter_still_passes() {
    let table = [(Says::Busy, "try_later", false), (Says::Refused, "rejected", false), (Says::Gone, "address_gone", false)];
    for stand in every().await {
        for (n, (says, word, whole)) in table.into_iter().enumerate() {
            let n = 10 + u32::try_from(n).expect("few rows");
            stand.says(n, says);
            let outcome = stand.tell(n).await;
            let cause = outcome.cause().expect("a cause");
            assert_eq!((outcome.word(), cause.whole_channel), (word, whole), "{} {says:?} {outcome:?}", stand.name);
            assert!(cause.status > 0 && stand.reached(n) == 0, "{} {says:?}", stand.name);
            assert_eq!(stand.tell(1).await, Outcome::Accepted, "{} after {says:?}", stand.name);
        }
        stand.says(20, Says::OurFault);
        let outcome = stand.tell(20).await;
        let whole = stand.has_one_provider();
        assert!(matches!(&outcome, Outcome::OurFault(cause) if cause.whole_channel == whole), "{} {outcome:?}", stand.name);
    }
}

#[tokio::test]
async fn a_silent_other_side_ends_in_try_later_at_the_deadline() {
    for stand in every().await {
        assert_eq!(stand.tell(1).await, Outcome::Accepted);
        stand.set_mode(Mode::Stall);
        let began = Instant::now();
        let outcome = stand.tell(2).await;
        assert!(matches!(outcome, Outcome::TryLater { .. }) && code(&outcome) == "timed_out", "{} {outcome:?}", stand.name);
        assert!(began.elapsed() >= DEADLINE && began.elapsed() < DEADLINE * 4, "{} {:?}", stand.name, began.elapsed());
        stand.set_mode(Mode::Ok);
        assert_eq!(stand.tell(3).await, Outcome::Accepted, "{} afterwards", stand.name);
    }
}

#[tokio::test]
async fn a_slow_other_side_within_the_deadline_is_waited_for() {
    for stand in every().await {
        stand.set_mode(Mode::Slow { latency_ms: 150 });
        let outcomes = futures_util::future::join_all((0..6).map(|n| stand.tell(n))).await;
        assert!(outcomes.iter().all(|o| *o == Outcome::Accepted), "{} {outcomes:?}", stand.name);
    }
}

#[tokio::test]
async fn a_text_of_any_length_is_made_to_fit_and_is_accepted() {
    for stand in every().await {
        for body in ["漢".repeat(3000), "\"\\\n".repeat(2000), "x".repeat(20_000)] {
            let rendered = stand.channel.render(&words(&body));
            assert_eq!(stand.tell_with(1, &rendered, |_| {}).await, Outcome::Accepted, "{}", stand.name);
        }
    }
}

#[tokio::test]
async fn a_refused_connection_concerns_the_whole_channel_and_passes_when_the_other_side_returns() {
    for stand in every().await {
        assert_eq!(stand.tell(1).await, Outcome::Accepted);
        stand.set_mode(Mode::Closed);
        eventually(stand.name, async || {
            let outcome = stand.tell(2).await;
            matches!(&outcome, Outcome::TryLater { cause, .. } if cause.whole_channel && cause.code == "connection_refused")
        })
        .await;
        stand.set_mode(Mode::Ok);
        eventually(stand.name, async || stand.tell(3).await == Outcome::Accepted).await;
        assert_eq!((stand.reached(2), stand.reached(3)), (0, 1), "{}", stand.name);
    }
}

#[tokio::test]
async fn a_reset_connection_loses_no_letter_silently() {
    for stand in every().await {
        assert_eq!(stand.tell(1).await, Outcome::Accepted);
        stand.set_mode(Mode::Reset);
        let outcome = stand.tell(2).await;
        assert!(matches!(outcome, Outcome::TryLater { .. }), "{} {outcome:?}", stand.name);
        stand.set_mode(Mode::Ok);
        eventually(stand.name, async || stand.tell(3).await == Outcome::Accepted).await;
    }
}

#[tokio::test]
async fn an_urgent_letter_has_room_while_campaigns_fill_theirs() {
    for stand in every().await {
        let mut taken = Vec::new();
        let full = async {
            while let Ok(slot) = stand.reserve(Lane::Bulk).await {
                taken.push(slot);
            }
        };
        let filled = tokio::time::timeout(Duration::from_millis(300), full).await;
        assert!(filled.is_err() && !taken.is_empty(), "{}: the bulk lane has an end, and does not fail at it", stand.name);
        let urgent = tokio::time::timeout(Duration::from_secs(2), stand.reserve(Lane::Urgent)).await;
        let slot = urgent.expect("room at once").map_err(|o| format!("{o:?}")).expect("a connection");
        assert_eq!(stand.hand(slot, 5, &stand.rendered, |_| {}).await, Outcome::Accepted, "{}", stand.name);
        drop(taken);
        assert_eq!(stand.tell(6).await, Outcome::Accepted, "{}: dropped slots give their room back", stand.name);
    }
}

#[tokio::test]
async fn connections_are_kept_between_letters() {
    for stand in every().await {
        for n in 0..20 {
            assert_eq!(stand.tell(n).await, Outcome::Accepted);
        }
        assert!(stand.connections() <= 2, "{} opened {}", stand.name, stand.connections());
    }
}
