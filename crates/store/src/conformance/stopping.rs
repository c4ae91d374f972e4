//! Stories of cancelling, of leavers, and of new facts about people who wait.

use super::scene::{Stage, people, release};
use super::stories;
use crate::{Settle, StoreError};
use model::event::EventState;
use model::{DeviceKey, EventKey, PersonKey, Reason, State, Timestamp};
use std::time::Duration;

stories![
    a_cancelled_event_is_planned_no_further_and_its_rows_are_ended,
    a_cancel_midway_is_not_lost_to_a_claim_under_way,
    an_event_that_is_over_cannot_be_cancelled,
    a_scheduled_event_can_be_cancelled_before_its_hour,
    a_leavers_rows_end_at_once_with_the_reason,
    the_last_row_that_ends_outside_a_claim_ends_the_event,
    a_new_fact_makes_a_persons_rows_due,
    what_the_provider_took_counts_as_taken_even_if_it_was_ended_meanwhile,
];

/// A campaign whose every row waits for the morning.
async fn held(stage: &Stage, count: u32) -> EventKey {
    let event = stage.campaign(&people(count)).await.key;
    let claim = stage.claim(1).await.remove(0);
    stage.settle_all(&claim, (State::Held, Reason::QuietHours), stage.now().plus(Duration::from_secs(3600))).await;
    event
}

async fn a_cancelled_event_is_planned_no_further_and_its_rows_are_ended(stage: Stage) {
    let all = people(4);
    let event = stage.accept(stage.event(&all)).await.key;
    stage.store.plan(stage.page(event, vec![stage.push(all[0]), stage.push(all[1])], false)).await.expect("planned");
    let claim = stage.claim(1).await.remove(0);
    stage.settle_all(&claim, (State::Held, Reason::ProviderUnavailable), stage.now().plus(Duration::from_secs(3600))).await;
    assert_eq!(stage.store.cancel(stage.tenant, event).await.expect("cancelled"), EventState::Accepted);
    assert_eq!(stage.store.unplanned(10).await.expect("asked").0, []);
    let mut page = stage.page(event, vec![stage.push(all[2])], true);
    page.claim = Some((stage.lease(1), model::ChannelKind::ALL.to_vec()));
    assert!(stage.store.plan(page).await.expect("nothing to do").is_empty());
    let stage = stage.reopen().await;
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    assert_eq!(rows.len(), 2, "all of them, whatever they wait for");
    stage.settle_rows(&claim, &rows, (State::Cancelled, Reason::Cancelled), Timestamp(0)).await;
    assert_eq!(stage.count(event, State::Cancelled, Reason::Cancelled).await, 2);
    let kept = stage.store.event(stage.tenant, event).await.expect("read").expect("kept");
    assert_eq!((kept.state, kept.done_at.is_some()), (EventState::Cancelled, true));
    assert!(stage.claim(1).await.is_empty());
    let inbox = stage.store.inbox(stage.tenant, PersonKey(1), None, None, 10, true).await.expect("read");
    assert!(inbox.is_empty(), "what was stopped is taken back from the inbox");
    assert!(matches!(stage.store.cancel(stage.tenant, EventKey(999)).await, Err(StoreError::NotFound)));
}

async fn a_cancel_midway_is_not_lost_to_a_claim_under_way(stage: Stage) {
    let event = stage.campaign(&people(2)).await.key;
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    stage.store.cancel(stage.tenant, event).await.expect("cancelled");
    let held = stage.outcome(&claim, &rows[0], (State::Held, Reason::ProviderUnavailable), stage.now().plus(Duration::from_secs(900)));
    let settled = stage.store.settle([Settle::Row(held), release(&claim)].into()).await.expect("settled");
    assert_eq!((settled.next_due, settled.lost), (Some(stage.now()), vec![]));
    let again = stage.claim(1).await.remove(0);
    let settled = stage.settle_all(&again, (State::Cancelled, Reason::Cancelled), Timestamp(0)).await;
    assert_eq!(settled.done, [event], "whoever watches it learns that its last row ended");
    assert_eq!(stage.count(event, State::Cancelled, Reason::Cancelled).await, 2);
}

async fn an_event_that_is_over_cannot_be_cancelled(stage: Stage) {
    let event = stage.campaign(&people(1)).await.key;
    stage.send_all().await;
    let before = stage.store.event(stage.tenant, event).await.expect("read");
    stage.clock.pass(Duration::from_secs(1));
    assert_eq!(stage.store.cancel(stage.tenant, event).await.expect("asked"), EventState::Done);
    assert_eq!(stage.store.event(stage.tenant, event).await.expect("read"), before);
}

async fn a_scheduled_event_can_be_cancelled_before_its_hour(stage: Stage) {
    let due_at = Some(stage.now().plus(Duration::from_secs(60)));
    let event = stage.accept(crate::NewEvent { due_at, ..stage.event(&people(1)) }).await.key;
    assert_eq!(stage.store.cancel(stage.tenant, event).await.expect("cancelled"), EventState::Scheduled);
    stage.clock.pass(Duration::from_secs(60));
    assert_eq!(stage.store.unplanned(10).await.expect("asked"), (vec![], None));
    assert!(stage.store.inbox(stage.tenant, PersonKey(1), None, None, 10, true).await.expect("read").is_empty());
}

async fn a_leavers_rows_end_at_once_with_the_reason(stage: Stage) {
    let events = [held(&stage, 3).await, held(&stage, 2).await];
    let end = async |person, device| {
        let reason = Some(Reason::PersonInactive);
        stage.store.end_waiting(stage.tenant, PersonKey(person), device, reason).await.expect("ended")
    };
    assert_eq!(end(2, Some(DeviceKey(77))).await, 0, "another device's rows");
    assert_eq!(end(2, Some(DeviceKey(2))).await, 2);
    assert_eq!((end(2, None).await, end(99, None).await), (0, 0));
    for event in events {
        assert_eq!(stage.count(event, State::Suppressed, Reason::PersonInactive).await, 1);
        assert_eq!(stage.state(event).await, EventState::Sending, "the others wait as before");
    }
    assert!(stage.claim(1).await.is_empty());
}

async fn the_last_row_that_ends_outside_a_claim_ends_the_event(stage: Stage) {
    let event = held(&stage, 1).await;
    assert_eq!(stage.store.end_waiting(stage.tenant, PersonKey(1), None, Some(Reason::PersonInactive)).await.expect("ended"), 1);
    assert_eq!(stage.state(event).await, EventState::Done);
    stage.clock.pass(Duration::from_secs(7200));
    assert_eq!(stage.claim_and_next(1).await, (vec![], None));
}

async fn a_new_fact_makes_a_persons_rows_due(stage: Stage) {
    let event = held(&stage, 3).await;
    assert_eq!(stage.store.end_waiting(stage.tenant, PersonKey(2), None, None).await.expect("hurried"), 0);
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    assert_eq!(rows.iter().map(|row| row.person.0).collect::<Vec<_>>(), [2], "only that person's");
    // While the worker looks at the old facts, the next one comes.
    stage.store.end_waiting(stage.tenant, PersonKey(2), None, None).await.expect("hurried");
    let settled = stage.settle_rows(&claim, &rows, (State::Held, Reason::QuietHours), stage.now().plus(Duration::from_secs(60))).await;
    assert_eq!(settled.next_due, Some(stage.now()));
    assert_eq!(stage.count(event, State::Held, Reason::QuietHours).await, 3);
}

async fn what_the_provider_took_counts_as_taken_even_if_it_was_ended_meanwhile(stage: Stage) {
    let event = stage.campaign(&people(2)).await.key;
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    for person in people(2) {
        assert_eq!(stage.store.end_waiting(stage.tenant, person, None, Some(Reason::PersonInactive)).await.expect("ended"), 1);
    }
    assert_eq!(stage.state(event).await, EventState::Sending, "its claim is not over");
    let batch = vec![
        Settle::Row(stage.outcome(&claim, &rows[0], (State::Accepted, Reason::None), Timestamp(0))),
        Settle::Row(stage.outcome(&claim, &rows[1], (State::Held, Reason::ProviderUnavailable), stage.now())),
        release(&claim),
    ];
    assert_eq!(stage.store.settle(batch.into()).await.expect("settled").done, [event]);
    assert_eq!(stage.count(event, State::Accepted, Reason::None).await, 1);
    assert_eq!(stage.count(event, State::Suppressed, Reason::PersonInactive).await, 1);
}
