//! Stories of receipts, of the inbox, and of forgetting.

use super::scene::{Stage, people};
use super::stories;
use crate::{Acceptance, Addressed, Answer, InboxItem, NewEvent, Once, StoreError};
use model::event::EventState;
use model::limits::{Counted, HOUR, LimitTake};
use model::{ChannelKind, DeviceKey, EventKey, PersonKey, Reason, ReceiptKind, State, Timestamp};
use roaring::RoaringBitmap;
use std::time::Duration;
use uuid::Uuid;

stories![
    receipts_count_people_not_devices,
    a_receipt_from_outside_the_audience_is_refused,
    a_receipt_ends_the_presence_hold_of_its_device,
    a_receipt_of_the_last_row_that_waits_ends_the_event,
    the_inbox_is_in_the_order_in_which_events_may_travel,
    the_inbox_is_read_in_pages_both_ways,
    a_dismissed_item_is_shown_only_when_asked_for,
    an_event_for_another_device_is_left_out,
    the_unopened_are_those_who_have_it_and_did_not_open_it,
    forgetting_erases_old_texts_and_rows_in_short_steps_and_keeps_the_report,
    forgetting_leaves_what_is_under_way,
    texts_are_erased_when_they_are_dismissed_or_expired_everywhere,
    kept_answers_and_limit_counts_that_ran_out_go_too,
];

async fn receipt(stage: &Stage, person: u32, device: u32, event: Uuid, kind: ReceiptKind) -> bool {
    stage.store.receipt(stage.tenant, PersonKey(person), DeviceKey(device), event, kind).await.expect("a receipt is kept")
}

async fn receipts_count_people_not_devices(stage: Stage) {
    let event = stage.event(&people(2));
    let id = event.id;
    let key = stage.accept(event).await.key;
    assert!(receipt(&stage, 1, 11, id, ReceiptKind::Received).await);
    assert!(!receipt(&stage, 1, 11, id, ReceiptKind::Received).await, "a repeat is no error and not new");
    assert!(receipt(&stage, 1, 12, id, ReceiptKind::Received).await);
    assert!(receipt(&stage, 1, 12, id, ReceiptKind::Opened).await);
    assert!(receipt(&stage, 2, 21, id, ReceiptKind::Received).await);
    let stage = stage.reopen().await;
    assert_eq!(stage.store.counts(key).await.expect("counted").receipts, [2, 0, 1, 0]);
    let (_, receipts) = stage.store.deliveries_of(key, PersonKey(1)).await.expect("read");
    let said: Vec<(u32, ReceiptKind)> = receipts.iter().map(|one| (one.device.0, one.kind)).collect();
    assert_eq!(said, [(11, ReceiptKind::Received), (12, ReceiptKind::Received), (12, ReceiptKind::Opened)]);
    let asked = vec![DeviceKey(10), DeviceKey(11), DeviceKey(21)];
    assert_eq!(stage.store.received(key, asked).await.expect("asked"), [DeviceKey(11), DeviceKey(21)]);
}

async fn a_receipt_from_outside_the_audience_is_refused(stage: Stage) {
    let event = stage.event(&people(2));
    let id = event.id;
    stage.accept(event).await;
    for (person, event) in [(3, id), (1, Uuid::from_u128(404))] {
        let refused = stage.store.receipt(stage.tenant, PersonKey(person), DeviceKey(1), event, ReceiptKind::Opened).await;
        assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
    }
}

/// An event whose pushes wait because a stream is open; the rows of person n are on device n.
async fn presence(stage: &Stage, count: u32) -> (EventKey, Uuid) {
    let event = stage.event(&people(count));
    let id = event.id;
    let key = stage.accept(event).await.key;
    let due = stage.now().plus(Duration::from_secs(10));
    let rows = people(count).into_iter().map(|person| crate::PlannedRow {
        state: State::Held,
        reason: Reason::ShownInApp,
        due,
        ..stage.push(person)
    });
    stage.store.plan(stage.page(key, rows.collect(), true)).await.expect("planned");
    (key, id)
}

async fn a_receipt_ends_the_presence_hold_of_its_device(stage: Stage) {
    let (event, id) = presence(&stage, 3).await;
    receipt(&stage, 1, 77, id, ReceiptKind::Received).await;
    assert_eq!(stage.count(event, State::Held, Reason::ShownInApp).await, 3, "another device of the person");
    receipt(&stage, 1, 1, id, ReceiptKind::Received).await;
    receipt(&stage, 2, 2, id, ReceiptKind::Shown).await;
    assert_eq!(stage.count(event, State::Suppressed, Reason::ShownInApp).await, 2);
    stage.clock.pass(Duration::from_secs(10));
    let claim = stage.claim(1).await.remove(0);
    assert_eq!(stage.rows(&claim).await.iter().map(|row| row.person.0).collect::<Vec<_>>(), [3], "a silent stream swallows no push");
}

async fn a_receipt_of_the_last_row_that_waits_ends_the_event(stage: Stage) {
    let (event, id) = presence(&stage, 1).await;
    receipt(&stage, 1, 1, id, ReceiptKind::Received).await;
    assert_eq!(stage.state(event).await, EventState::Done);
}

async fn inbox(stage: &Stage, person: u32) -> Vec<EventKey> {
    let items = stage.store.inbox(stage.tenant, PersonKey(person), None, None, 100, false).await.expect("read");
    assert!(items.windows(2).all(|pair| pair[0].seq > pair[1].seq), "newest first");
    items.into_iter().map(|item| item.event.key).collect()
}

async fn the_inbox_is_in_the_order_in_which_events_may_travel(stage: Stage) {
    let due_at = Some(stage.now().plus(Duration::from_secs(60)));
    // For few and for many: the two are kept differently.
    let later = stage.accept(NewEvent { due_at, ..stage.event(&people(2)) }).await.key;
    let later_for_many = stage.accept(NewEvent { due_at, ..stage.event(&people(100)) }).await.key;
    let many = stage.accept(stage.event(&people(50))).await.key;
    let few = stage.accept(stage.event(&people(1))).await.key;
    assert_eq!(inbox(&stage, 1).await, [few, many]);
    let head = stage.store.inbox_head(stage.tenant).await.expect("read");
    stage.clock.pass(Duration::from_secs(60));
    let (risen, _) = stage.store.unplanned(10).await.expect("asked");
    assert_eq!(risen.len(), 4);
    assert_eq!(inbox(&stage, 1).await, [later_for_many, later, few, many], "a scheduled event comes when its hour does");
    assert_eq!(inbox(&stage, 2).await, [later_for_many, later, many]);
    assert_eq!(inbox(&stage, 60).await, [later_for_many]);
    let since = stage.store.inbox_since(stage.tenant, PersonKey(1), None, head, 10).await.expect("read");
    assert_eq!(since.iter().map(|item| item.event.key).collect::<Vec<_>>(), [later, later_for_many], "a stream that resumes misses none");
}

async fn the_inbox_is_read_in_pages_both_ways(stage: Stage) {
    for n in 0..9 {
        stage.accept(stage.event(&people(if n % 3 == 0 { 40 } else { 2 }))).await;
        stage.accept(stage.event(&[PersonKey(500)])).await;
    }
    let seqs = |items: &[InboxItem]| items.iter().map(|item| item.seq).collect::<Vec<_>>();
    let all = seqs(&stage.store.inbox(stage.tenant, PersonKey(2), None, None, 100, false).await.expect("read"));
    assert_eq!(all.len(), 9);
    let (mut down, mut up) = (Vec::new(), Vec::new());
    loop {
        let page = stage.store.inbox(stage.tenant, PersonKey(2), None, down.last().copied(), 4, false).await.expect("read");
        if page.is_empty() {
            break;
        }
        down.extend(seqs(&page));
    }
    loop {
        let after = up.last().copied().unwrap_or(0);
        let page = stage.store.inbox_since(stage.tenant, PersonKey(2), None, after, 2).await.expect("read");
        if page.is_empty() {
            break;
        }
        up.extend(seqs(&page));
    }
    assert_eq!(down, all);
    up.reverse();
    assert_eq!(up, all);
}

async fn a_dismissed_item_is_shown_only_when_asked_for(stage: Stage) {
    let event = stage.event(&people(1));
    let id = event.id;
    stage.accept(event).await;
    receipt(&stage, 1, 1, id, ReceiptKind::Opened).await;
    let opened = stage.now();
    stage.clock.pass(Duration::from_secs(1));
    receipt(&stage, 1, 2, id, ReceiptKind::Opened).await;
    receipt(&stage, 1, 1, id, ReceiptKind::Dismissed).await;
    assert!(inbox(&stage, 1).await.is_empty());
    let item = stage.store.inbox(stage.tenant, PersonKey(1), None, None, 10, true).await.expect("read").remove(0);
    assert_eq!((item.opened_at, item.dismissed_at), (Some(opened), Some(stage.now())), "the first time counts");
}

async fn an_event_for_another_device_is_left_out(stage: Stage) {
    let mut event = stage.event(&people(2));
    event.addressed = Addressed { devices: vec![DeviceKey(10)], ..Addressed::default() };
    event.by_device_only = RoaringBitmap::from_iter([1]);
    stage.accept(event).await;
    let count = async |person, device: Option<u32>| {
        let device = device.map(DeviceKey);
        let up = stage.store.inbox_since(stage.tenant, PersonKey(person), device, 0, 10).await.expect("read").len();
        let down = stage.store.inbox(stage.tenant, PersonKey(person), device, None, 10, false).await.expect("read").len();
        assert_eq!(up, down);
        down
    };
    assert_eq!((count(1, Some(10)).await, count(1, Some(11)).await, count(1, None).await), (1, 0, 1));
    assert_eq!(count(2, Some(21)).await, 1, "who is in for another reason has it everywhere");
}

async fn the_unopened_are_those_who_have_it_and_did_not_open_it(stage: Stage) {
    let event = stage.event(&people(5));
    let id = event.id;
    let key = stage.accept(event).await.key;
    let mut rows: Vec<_> = people(5).into_iter().map(|person| stage.push(person)).collect();
    (rows[3].state, rows[3].reason) = (State::Suppressed, Reason::AppMissing);
    (rows[4].state, rows[4].reason) = (State::Suppressed, Reason::NoDevice);
    stage.store.plan(stage.page(key, rows, true)).await.expect("planned");
    stage.send_all().await;
    receipt(&stage, 1, 1, id, ReceiptKind::Opened).await;
    receipt(&stage, 2, 2, id, ReceiptKind::Shown).await;
    receipt(&stage, 4, 4, id, ReceiptKind::Received).await;
    assert_eq!(stage.store.unopened_people(key).await.expect("read").into_iter().collect::<Vec<_>>(), [2, 3, 4]);
}

/// Forgets until there is nothing more to do; answers how many steps that took.
async fn forget_all(stage: &Stage, before: Timestamp, erase_done: bool) -> u32 {
    for step in 1..1_000 {
        if !stage.store.forget(stage.tenant, before, erase_done).await.expect("a step") {
            return step;
        }
    }
    panic!("forgetting never ends");
}

async fn forgetting_erases_old_texts_and_rows_in_short_steps_and_keeps_the_report(stage: Stage) {
    let everybody = people(2_500);
    let old = stage.campaign(&everybody).await.key;
    stage.send_all().await;
    let id = stage.store.event(stage.tenant, old).await.expect("read").expect("kept").id;
    receipt(&stage, 1, 1, id, ReceiptKind::Opened).await;
    stage.clock.pass(Duration::from_secs(30 * 86_400));
    let new = stage.campaign(&people(1)).await.key;
    stage.send_all().await;
    assert!(forget_all(&stage, stage.now(), false).await > 2, "not all at once");
    let event = stage.store.event(stage.tenant, old).await.expect("read").expect("the report outlives the text");
    assert_eq!((event.text, event.data, event.state, event.recipients), (None, serde_json::Value::Null, EventState::Done, 2_500));
    let counts = stage.store.counts(old).await.expect("counted");
    let rows: u64 = counts.deliveries.iter().filter(|count| count.state == model::State::Accepted).map(|count| count.rows).sum();
    assert_eq!((rows, counts.receipts), (2_500, [0, 0, 1, 0]));
    let forecast: u64 = counts.deliveries.iter().filter(|count| count.state == model::State::Scheduled).map(|count| count.planned).sum();
    assert_eq!(forecast, 2_500, "the forecast outlives the text too");
    let (records, receipts) = stage.store.deliveries_of(old, PersonKey(1)).await.expect("read");
    assert!(records.is_empty() && receipts.is_empty());
    assert!(stage.store.deliveries(old, crate::DeliveryFilter::default(), None, 10).await.expect("read").is_empty());
    assert_eq!(inbox(&stage, 1).await, [new]);
    assert!(stage.store.event(stage.tenant, new).await.expect("read").expect("kept").text.is_some());
    assert_eq!(forget_all(&stage, stage.now(), false).await, 1, "it is forgotten once");
}

async fn forgetting_leaves_what_is_under_way(stage: Stage) {
    let due_at = Some(stage.now().plus(Duration::from_secs(90 * 86_400)));
    let scheduled = stage.accept(NewEvent { due_at, ..stage.event(&people(1)) }).await.key;
    let sending = stage.campaign(&people(1)).await.key;
    stage.clock.pass(Duration::from_secs(40 * 86_400));
    forget_all(&stage, stage.now(), false).await;
    for event in [scheduled, sending] {
        assert!(stage.store.event(stage.tenant, event).await.expect("read").expect("kept").text.is_some());
    }
    assert_eq!(stage.count(sending, State::Scheduled, Reason::None).await, 1);
    let claims = stage.store.claim(vec![ChannelKind::Apns], model::Lane::Bulk, stage.lease(1), 9).await.expect("claimed").0;
    assert_eq!(stage.rows(&claims[0]).await.len(), 1);
}

async fn texts_are_erased_when_they_are_dismissed_or_expired_everywhere(stage: Stage) {
    let (put_away, expiring, kept) = (stage.event(&people(2)), stage.event(&people(1)), stage.event(&people(1)));
    let id = put_away.id;
    let expires_at = stage.now().plus(Duration::from_secs(60));
    let put_away = stage.accept(put_away).await.key;
    let expiring = stage.accept(NewEvent { expires_at, ..expiring }).await.key;
    let kept = stage.accept(kept).await.key;
    let texts = async || {
        forget_all(&stage, Timestamp(0), true).await;
        let mut texts = Vec::new();
        for key in [put_away, expiring, kept] {
            texts.push(stage.store.event(stage.tenant, key).await.expect("read").expect("kept").text.is_some());
        }
        texts
    };
    receipt(&stage, 1, 1, id, ReceiptKind::Dismissed).await;
    assert_eq!(texts().await, [true, true, true]);
    receipt(&stage, 2, 2, id, ReceiptKind::Dismissed).await;
    assert_eq!(texts().await, [false, true, true]);
    stage.clock.pass(Duration::from_secs(60));
    assert_eq!(texts().await, [false, false, true]);
    assert_eq!(inbox(&stage, 1).await, [kept], "an erased text is not shown");
}

async fn kept_answers_and_limit_counts_that_ran_out_go_too(stage: Stage) {
    let answer = Answer { request: [1; 32], status: 201, body: vec![], location: String::new() };
    let once = |key: String| Some(Once { token: Uuid::nil(), key, request: [1; 32], answer: answer.clone() });
    let takes = vec![LimitTake { counted: Counted::GroupSends, allowed: 9_999, window: HOUR }];
    for n in 0..600 {
        let acceptance =
            Acceptance { event: stage.event(&people(1)), takes: takes.clone(), policy: None, once: once(n.to_string()), plan: None };
        stage.store.accept(stage.tenant, acceptance).await.expect("accepted");
    }
    forget_all(&stage, Timestamp(0), false).await;
    assert!(stage.store.answered(stage.tenant, Uuid::nil(), "5").await.expect("asked").is_some());
    stage.clock.pass(Duration::from_secs(86_400));
    assert!(forget_all(&stage, Timestamp(0), false).await > 2, "two kinds, each in two steps");
    assert_eq!(forget_all(&stage, Timestamp(0), false).await, 1, "nothing is left");
}
