//! Stories of acceptance: limits, repeats, all or nothing, scheduled hours, audiences.

use super::scene::{Stage, people};
use super::stories;
use crate::{Acceptance, Addressed, Answer, Once, StoreError};
use model::event::EventState;
use model::limits::{Counted, HOUR, LimitTake};
use model::{DeviceKey, EventKey, Lane, PersonKey, State, Timestamp, Urgency};
use roaring::RoaringBitmap;
use std::time::Duration;
use uuid::Uuid;

stories![
    an_event_comes_back_as_it_was_accepted,
    a_refused_acceptance_leaves_nothing,
    of_fifty_at_once_against_twenty_five_exactly_twenty_five_are_accepted,
    nothing_is_accepted_by_a_policy_that_does_not_stand_any_more,
    a_limit_slides_and_says_when_there_is_room_again,
    a_limit_holds_after_the_store_was_opened_again,
    limits_of_devices_are_counted_apart,
    an_idempotent_repeat_counts_nothing,
    a_small_event_is_planned_and_claimed_with_its_acceptance,
    an_event_that_nobody_can_get_is_done_at_once,
    a_scheduled_event_waits_for_its_hour,
    the_most_urgent_event_is_planned_first,
    an_audience_is_read_in_pages,
    events_are_listed_newest_first,
];

fn group_take(allowed: u32) -> LimitTake {
    LimitTake { counted: Counted::GroupSends, allowed, window: HOUR }
}

fn request(stage: &Stage, takes: Vec<LimitTake>) -> Acceptance {
    Acceptance { event: stage.event(&people(3)), takes, policy: None, once: None, plan: None }
}

async fn an_event_comes_back_as_it_was_accepted(stage: Stage) {
    let mut event = stage.event(&people(70_000));
    event.addressed = Addressed { groups: vec![model::GroupKey(3)], users: vec![PersonKey(4)], devices: vec![DeviceKey(5)] };
    event.resend_of = Some(Uuid::from_u128(77));
    (event.private, event.text.sealed, event.urgency) = (true, true, Urgency::High);
    let accepted = stage.accept(event.clone()).await;
    let stage = stage.reopen().await;
    let kept = stage.store.event_by_id(stage.tenant, event.id).await.expect("read").expect("kept");
    assert_eq!(Some(&kept), stage.store.event(stage.tenant, accepted.key).await.expect("read").as_ref());
    assert_eq!((kept.key, kept.id, kept.accepted_at, kept.due_at), (accepted.key, event.id, accepted.at, accepted.at));
    assert_eq!((kept.kind, kept.actor, kept.expires_at, kept.urgency), (event.kind, event.actor, event.expires_at, event.urgency));
    assert_eq!((kept.text, kept.data, kept.addressed, kept.resend_of), (Some(event.text), event.data, event.addressed, event.resend_of));
    assert_eq!((kept.recipients, kept.state, kept.private, kept.cursor), (70_000, EventState::Accepted, true, PersonKey(0)));
    assert_eq!((kept.inbox_seq, kept.done_at), (accepted.inbox_seq, None));
    let other = stage.store.ensure_tenant("other", Uuid::from_u128(2)).await.expect("a tenant").0.key;
    assert_eq!(stage.store.event(other, accepted.key).await.expect("read"), None, "another tenant does not see it");
}

async fn nothing_is_accepted_by_a_policy_that_does_not_stand_any_more(stage: Stage) {
    let (old, _) = stage.store.settings(stage.tenant).await.expect("settings");
    let by = |policy: i64, once: Option<Once>, due_at: Option<Timestamp>| {
        let mut request = Acceptance { policy: Some(policy), once, ..request(&stage, vec![group_take(25)]) };
        request.event.due_at = due_at;
        request
    };
    let first = by(old, Some(once(1)), None);
    stage.store.accept(stage.tenant, first.clone()).await.expect("by the policy that stands");
    let limit = Some(serde_json::json!(1));
    let new = stage.store.put_setting(stage.tenant, "limits.group_sends_per_hour", limit, None).await.expect("set");
    for due_at in [None, Some(stage.now().plus(Duration::from_secs(60)))] {
        let refused = stage.store.accept(stage.tenant, by(old, None, due_at)).await;
        assert!(matches!(refused, Err(StoreError::Stale { current }) if current == new), "{refused:?}");
    }
    let repeat = stage.store.accept(stage.tenant, first).await;
    assert!(matches!(repeat, Err(StoreError::Replay(_))), "what was answered once is answered again: {repeat:?}");
    stage.store.accept(stage.tenant, by(new, None, None)).await.expect("by the new one");
}

async fn a_refused_acceptance_leaves_nothing(stage: Stage) {
    let head = stage.store.inbox_head(stage.tenant).await.expect("read");
    let mut refused =
        request(&stage, vec![LimitTake { counted: Counted::DeviceSends(DeviceKey(1)), allowed: 9, window: HOUR }, group_take(0)]);
    refused.once = Some(once(1));
    let error = stage.store.accept(stage.tenant, refused.clone()).await.expect_err("no room at all");
    assert!(
        matches!(error, StoreError::OverLimit { counted: Counted::GroupSends, allowed: 0, retry_after } if retry_after == HOUR),
        "{error:?}"
    );
    assert_eq!(stage.store.event_by_id(stage.tenant, refused.event.id).await.expect("read"), None);
    assert_eq!(stage.store.answered(stage.tenant, Uuid::nil(), "k").await.expect("read"), None);
    assert_eq!(stage.store.inbox_head(stage.tenant).await.expect("read"), head);
    for _ in 0..9 {
        let take = LimitTake { counted: Counted::DeviceSends(DeviceKey(1)), allowed: 9, window: HOUR };
        stage.store.accept(stage.tenant, request(&stage, vec![take])).await.expect("the refused one did not count");
    }
}

async fn of_fifty_at_once_against_twenty_five_exactly_twenty_five_are_accepted(stage: Stage) {
    let mut tasks = Vec::new();
    for _ in 0..50 {
        let (store, tenant, request) = (stage.store.clone(), stage.tenant, request(&stage, vec![group_take(25)]));
        tasks.push(tokio::spawn(async move { store.accept(tenant, request).await }));
    }
    let (mut accepted, mut refused) = (0, 0);
    for task in tasks {
        match task.await.expect("a task ends") {
            Ok(_) => accepted += 1,
            Err(StoreError::OverLimit { allowed: 25, .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((accepted, refused), (25, 25));
}

async fn a_limit_slides_and_says_when_there_is_room_again(stage: Stage) {
    let accept = || stage.store.accept(stage.tenant, request(&stage, vec![group_take(2)]));
    accept().await.expect("the first");
    stage.clock.pass(Duration::from_secs(600));
    accept().await.expect("the second");
    stage.clock.pass(Duration::from_secs(600));
    let wait = |refused: Result<crate::Accepted, StoreError>| match refused {
        Err(StoreError::OverLimit { retry_after, .. }) => retry_after,
        other => panic!("{other:?}"),
    };
    assert_eq!(wait(accept().await), Duration::from_secs(2400));
    let narrower = stage.store.accept(stage.tenant, request(&stage, vec![group_take(1)])).await;
    assert_eq!(wait(narrower), Duration::from_secs(3000), "a lowered limit waits until enough have left");
    stage.clock.pass(Duration::from_millis(2_399_999));
    assert_eq!(wait(accept().await), Duration::from_millis(1));
    stage.clock.pass(Duration::from_millis(1));
    accept().await.expect("the first left the window");
    assert_eq!(wait(accept().await), Duration::from_secs(600));
}

async fn a_limit_holds_after_the_store_was_opened_again(stage: Stage) {
    for _ in 0..2 {
        stage.store.accept(stage.tenant, request(&stage, vec![group_take(2)])).await.expect("accepted");
    }
    let stage = stage.reopen().await;
    let refused = stage.store.accept(stage.tenant, request(&stage, vec![group_take(2)])).await;
    assert!(matches!(refused, Err(StoreError::OverLimit { .. })), "{refused:?}");
}

async fn limits_of_devices_are_counted_apart(stage: Stage) {
    let take = |device| LimitTake { counted: Counted::DeviceSends(DeviceKey(device)), allowed: 1, window: HOUR };
    stage.store.accept(stage.tenant, request(&stage, vec![take(1), take(2)])).await.expect("each counts");
    stage.store.accept(stage.tenant, request(&stage, vec![take(3)])).await.expect("another device");
    let refused = stage.store.accept(stage.tenant, request(&stage, vec![take(4), take(2)])).await;
    assert!(matches!(refused, Err(StoreError::OverLimit { counted: Counted::DeviceSends(DeviceKey(2)), .. })), "{refused:?}");
    stage.store.accept(stage.tenant, request(&stage, vec![take(4)])).await.expect("the refused request did not count");
}

fn once(n: u8) -> Once {
    let answer = Answer { request: [n; 32], status: 201, body: vec![n], location: String::new() };
    Once { token: Uuid::nil(), key: "k".into(), request: [n; 32], answer }
}

async fn an_idempotent_repeat_counts_nothing(stage: Stage) {
    let mut first = request(&stage, vec![group_take(2)]);
    first.once = Some(once(1));
    stage.store.accept(stage.tenant, first.clone()).await.expect("accepted");
    for _ in 0..5 {
        let mut repeat = request(&stage, vec![group_take(2)]);
        repeat.once = Some(once(2));
        let replay = stage.store.accept(stage.tenant, repeat).await;
        assert!(matches!(&replay, Err(StoreError::Replay(answer)) if answer.body == [1]), "{replay:?}");
    }
    stage.store.accept(stage.tenant, request(&stage, vec![group_take(2)])).await.expect("one place was left");
    let stage = stage.reopen().await;
    let replay = stage.store.accept(stage.tenant, first).await;
    assert!(matches!(&replay, Err(StoreError::Replay(answer)) if answer.body == [1]), "{replay:?}");
    assert_eq!(stage.store.events(stage.tenant, None, None, 10).await.expect("listed").len(), 2);
}

async fn a_small_event_is_planned_and_claimed_with_its_acceptance(stage: Stage) {
    let event = stage.event(&people(2));
    let mut page = stage.page(EventKey(0), vec![stage.push(PersonKey(1)), stage.push(PersonKey(2))], true);
    page.rows[1].state = State::Held;
    page.rows[1].due = stage.now().plus(Duration::from_secs(60));
    (page.lane, page.claim) = (Lane::Urgent, Some((stage.lease(1), model::ChannelKind::ALL.to_vec())));
    let acceptance = Acceptance { event, takes: vec![], policy: None, once: None, plan: Some(page) };
    let accepted = stage.store.accept(stage.tenant, acceptance).await.expect("accepted");
    assert_eq!(stage.state(accepted.key).await, EventState::Sending);
    let [claim] = &accepted.claims[..] else { panic!("one channel is one claim: {:?}", accepted.claims) };
    assert_eq!((claim.event, claim.generation, claim.from, claim.to), (accepted.key, 1, PersonKey(1), PersonKey(2)));
    let (free, _) = stage.store.claim(vec![claim.channel], Lane::Urgent, stage.lease(2), 10).await.expect("asked");
    assert!(free.is_empty(), "it is claimed already");
    let rows = stage.rows(claim).await;
    assert_eq!(rows.iter().map(|row| row.person.0).collect::<Vec<_>>(), [1], "the other is not due");
    let settled = stage.settle_all(claim, (State::Accepted, model::Reason::None), Timestamp(0)).await;
    assert!(settled.lost.is_empty() && settled.done.is_empty());
    assert_eq!(settled.next_due, Some(stage.now().plus(Duration::from_secs(60))));
    assert_eq!(stage.store.counts(accepted.key).await.expect("counted").planned_people, 2);
}

async fn an_event_that_nobody_can_get_is_done_at_once(stage: Stage) {
    let mut page = stage.page(EventKey(0), vec![stage.push(PersonKey(1))], true);
    (page.rows[0].state, page.rows[0].reason) = (State::Suppressed, model::Reason::NoDevice);
    page.claim = Some((stage.lease(1), model::ChannelKind::ALL.to_vec()));
    let acceptance = Acceptance { event: stage.event(&people(1)), takes: vec![], policy: None, once: None, plan: Some(page) };
    let accepted = stage.store.accept(stage.tenant, acceptance).await.expect("accepted");
    assert!(accepted.claims.is_empty());
    let event = stage.store.event(stage.tenant, accepted.key).await.expect("read").expect("kept");
    assert_eq!((event.state, event.done_at), (EventState::Done, Some(stage.now())));
    let nobody = stage.accept(stage.event(&[])).await;
    stage.store.plan(stage.page(nobody.key, vec![], true)).await.expect("planned");
    assert_eq!(stage.state(nobody.key).await, EventState::Done);
}

async fn a_scheduled_event_waits_for_its_hour(stage: Stage) {
    let hour = stage.now().plus(Duration::from_secs(3600));
    let later = stage.accept(crate::NewEvent { due_at: Some(hour), ..stage.event(&people(40)) }).await;
    assert_eq!((later.inbox_seq, stage.state(later.key).await), (None, EventState::Scheduled));
    assert_eq!(stage.store.unplanned(10).await.expect("asked"), (vec![], Some(hour)));
    assert!(stage.store.plan(stage.page(later.key, vec![stage.push(PersonKey(1))], true)).await.expect("planned").is_empty());
    assert_eq!(stage.count(later.key, State::Scheduled, model::Reason::None).await, 0, "nothing is planned before its hour");
    let stage = stage.reopen().await;
    stage.clock.pass(Duration::from_secs(3600));
    let (events, next) = stage.store.unplanned(10).await.expect("asked");
    assert_eq!((events.len(), next), (1, None));
    assert_eq!((events[0].key, events[0].state, events[0].inbox_seq.is_some()), (later.key, EventState::Accepted, true));
}

async fn the_most_urgent_event_is_planned_first(stage: Stage) {
    let mut keys = Vec::new();
    for urgency in [Urgency::Low, Urgency::High, Urgency::Normal] {
        keys.push(stage.accept(crate::NewEvent { urgency, ..stage.event(&people(1)) }).await.key);
        stage.clock.pass(Duration::from_millis(1));
    }
    let (events, _) = stage.store.unplanned(10).await.expect("asked");
    assert_eq!(events.iter().map(|event| event.key).collect::<Vec<_>>(), [keys[1], keys[2], keys[0]]);
    assert_eq!(stage.store.unplanned(1).await.expect("asked").0.len(), 1);
}

async fn an_audience_is_read_in_pages(stage: Stage) {
    let keys: Vec<PersonKey> = (65_530..65_545).chain([200_000, u32::MAX]).map(PersonKey).collect();
    let mut event = stage.event(&keys);
    event.by_device_only = RoaringBitmap::from_iter([65_536, 200_000]);
    let event = stage.accept(event).await.key;
    let (mut seen, mut devices, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let (page, by_device) = stage.store.audience_page(event, after, 4).await.expect("a page");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 4);
        after = Some(*last);
        seen.extend(page);
        devices.extend(by_device);
    }
    assert_eq!(seen, keys);
    assert_eq!(devices, [PersonKey(65_536), PersonKey(200_000)]);
    let ask = async |key| stage.store.in_audience(event, PersonKey(key)).await.expect("asked");
    assert_eq!((ask(65_536).await, ask(65_537).await, ask(1).await, ask(300_000).await), (Some(true), Some(false), None, None));
}

async fn events_are_listed_newest_first(stage: Stage) {
    let mut keys = Vec::new();
    for kind in ["custom.notification", "call.missed", "custom.notification"] {
        keys.push(stage.accept(crate::NewEvent { kind: kind.into(), ..stage.event(&people(1)) }).await.key);
    }
    let list = async |kind: Option<&str>, before| {
        let events = stage.store.events(stage.tenant, kind.map(str::to_owned), before, 2).await.expect("listed");
        events.into_iter().map(|event| event.key).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None).await, [keys[2], keys[1]]);
    assert_eq!(list(None, Some(keys[1])).await, [keys[0]]);
    assert_eq!(list(Some("custom.notification"), None).await, [keys[2], keys[0]]);
}
