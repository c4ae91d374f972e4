//! Stories of several processes on one store. They are told where a store can be shared; another one has nothing to say.

use super::scene::{people, release};
use super::{Stage, stories};
use crate::{Acceptance, GroupFields, PersonFields, Settle, Shared, StoreError, Wake};
use model::directory::{Member, MemberKind};
use model::event::EventState;
use model::limits::{Counted, HOUR, LimitTake};
use model::{ChannelKind, DeviceKey, Lane, PersonKey, Reason, ReceiptKind, State, Timestamp};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

stories![
    a_hint_reaches_the_other_process_and_not_oneself,
    what_stands_is_read_by_every_process,
    changes_of_membership_are_told_in_order,
    what_cannot_be_told_is_read_again,
    a_role_is_held_by_one_and_passes_on,
    streams_are_seen_elsewhere_while_their_process_lives,
    a_living_process_keeps_its_claims_when_another_opens,
    whoever_leaves_frees_its_claims_at_once,
    two_processes_share_the_work_without_doubling_it,
    a_process_that_slept_past_its_lease_writes_nothing,
    a_limit_is_exact_over_two_processes,
    a_repeat_in_another_process_is_answered_as_the_first,
    edits_of_two_processes_come_one_after_the_other,
    receipts_that_meet_settlements_leave_right_counts,
    an_event_ends_once_whoever_lets_its_last_segments_go,
    two_processes_plan_an_event_once,
    published_events_come_in_their_order,
];

const NODE: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);
const ACCEPTED: (State, Reason) = (State::Accepted, Reason::None);

/// A second handle, where there can be one.
async fn two(stage: &Stage) -> Option<Shared> {
    if stage.store.is_shared() { Some(stage.another().await) } else { None }
}

async fn hint(heard: &mut tokio::sync::broadcast::Receiver<Wake>) -> Option<Wake> {
    tokio::time::timeout(Duration::from_secs(5), heard.recv()).await.ok()?.ok()
}

async fn a_hint_reaches_the_other_process_and_not_oneself(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let (mut here, mut there) = (stage.store.wakes(), other.wakes());
    // Both listen once a hint of each got through.
    let mut greeted = (false, false);
    for _ in 0..100 {
        stage.store.ring(Wake::Standing).await.expect("rung");
        other.ring(Wake::Standing).await.expect("rung");
        tokio::time::sleep(Duration::from_millis(50)).await;
        greeted = (greeted.0 || here.try_recv().is_ok(), greeted.1 || there.try_recv().is_ok());
        if greeted == (true, true) {
            break;
        }
    }
    assert_eq!(greeted, (true, true), "hints go both ways");
    tokio::time::sleep(Duration::from_millis(200)).await;
    while here.try_recv().is_ok() {}
    while there.try_recv().is_ok() {}
    for wake in [Wake::Accepted, Wake::Planned, Wake::Published, Wake::Everything] {
        stage.store.ring(wake).await.expect("rung");
        assert_eq!(hint(&mut there).await, Some(wake));
    }
    assert!(here.try_recv().is_err(), "own hints do not come back");
}

async fn what_stands_is_read_by_every_process(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let before = other.standing(stage.tenant).await.expect("read");
    let policy = stage.store.put_setting(stage.tenant, "push.apns.enabled", Some(json!(false)), None).await.expect("set");
    let event = stage.campaign(&people(2)).await.key;
    stage.store.cancel(stage.tenant, event).await.expect("cancelled");
    let now = other.standing(stage.tenant).await.expect("read");
    assert_eq!((now.policy, now.directory, now.cancelled), (policy, before.directory, vec![event]));
    let claim = stage.claim(1).await.remove(0);
    stage.settle_all(&claim, (State::Cancelled, Reason::Cancelled), Timestamp(0)).await;
    assert_eq!(other.standing(stage.tenant).await.expect("read").cancelled, [], "nothing of it waits");
}

async fn group(stage: &Stage, name: &str) -> model::GroupKey {
    let fields = GroupFields { name: name.into(), ..GroupFields::default() };
    stage.store.create_group(stage.tenant, stage.id(), fields, None).await.expect("a group").key
}

fn user(key: PersonKey) -> Member {
    Member { kind: MemberKind::User, key: key.0 }
}

async fn changes_of_membership_are_told_in_order(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let (ada, bob) = (stage.person("ada@example.org").await, stage.person("bob@example.org").await);
    let (staff, all) = (group(&stage, "staff").await, group(&stage, "all").await);
    let (version, _) = other.directory_version(stage.tenant).await.expect("read");
    assert_eq!(other.member_changes(stage.tenant, version).await.expect("read"), Some((version, vec![])));
    let change = async |group, add, remove| stage.store.change_members(stage.tenant, group, add, remove, None).await.expect("changed");
    change(staff, vec![user(ada), user(bob)], vec![]).await;
    change(all, vec![Member { kind: MemberKind::Group, key: staff.0 }], vec![]).await;
    change(staff, vec![user(ada)], vec![user(bob)]).await;
    stage.store.delete_person(stage.tenant, ada, None).await.expect("removed");
    stage.store.delete_group(stage.tenant, staff, None).await.expect("removed");
    let (now, changes) = other.member_changes(stage.tenant, version).await.expect("read").expect("told");
    assert_eq!(now, stage.store.directory_version(stage.tenant).await.expect("read").0);
    let nested = Member { kind: MemberKind::Group, key: staff.0 };
    let expected = [
        (staff, user(ada), true),
        (staff, user(bob), true),
        (all, nested, true),
        (staff, user(bob), false),
        (staff, user(ada), false),
        (all, nested, false),
    ];
    assert_eq!(changes, expected);
    let middle = other.member_changes(stage.tenant, version + 2).await.expect("read").expect("told");
    assert_eq!(middle, (now, expected[3..].to_vec()));
}

async fn what_cannot_be_told_is_read_again(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let (version, _) = other.directory_version(stage.tenant).await.expect("read");
    let folder = std::env::temp_dir().join(format!("carillon-story-{}", Uuid::new_v4()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("people.csv");
    std::fs::write(&path, "external_id,upn,display_name\ne1,ada@example.org,Ada\n").expect("written");
    let import = crate::Import {
        files: vec![crate::ImportFile { name: "people.csv".into(), path }],
        mode: crate::ImportMode::Upsert,
        dry_run: false,
        allow_many_removals: false,
        seal: std::sync::Arc::new(|_, plain| plain.as_bytes().to_vec()),
        progress: std::sync::Arc::default(),
    };
    assert!(stage.store.import(stage.tenant, import).await.expect("imported").applied);
    assert_eq!(other.member_changes(stage.tenant, version).await.expect("read"), None);
    let (now, _) = other.directory_version(stage.tenant).await.expect("read");
    assert_eq!(other.member_changes(stage.tenant, now).await.expect("read"), Some((now, vec![])));
    assert_eq!(other.member_changes(stage.tenant, now + 1).await.expect("read"), None, "a version from elsewhere");
    std::fs::remove_dir_all(folder).expect("removed");
}

async fn a_role_is_held_by_one_and_passes_on(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let later = |seconds| stage.now().plus(Duration::from_secs(seconds));
    for (store, node) in [(&stage.store, NODE), (&other, OTHER)] {
        store.beat(node, later(100)).await.expect("beats");
    }
    let hold = async |store: &Shared, node, until| store.hold_role("timers", node, until).await.expect("asked");
    assert!(hold(&stage.store, NODE, later(10)).await);
    assert!(!hold(&other, OTHER, later(10)).await);
    assert!(hold(&stage.store, NODE, later(10)).await, "it is kept");
    stage.clock.pass(Duration::from_secs(11));
    assert!(hold(&other, OTHER, stage.now().plus(Duration::from_secs(10))).await, "it ran out");
    assert!(!hold(&stage.store, NODE, stage.now().plus(Duration::from_secs(10))).await);
    assert!(!hold(&other, OTHER, stage.now()).await, "let go");
    assert!(hold(&stage.store, NODE, stage.now().plus(Duration::from_secs(500))).await);
    stage.store.leave(NODE).await.expect("left");
    assert!(hold(&other, OTHER, stage.now().plus(Duration::from_secs(500))).await, "whoever leaves lets go");
    stage.clock.pass(Duration::from_secs(200));
    assert!(hold(&stage.store, NODE, stage.now().plus(Duration::from_secs(5))).await, "whoever does not beat has let go");
}

async fn streams_are_seen_elsewhere_while_their_process_lives(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let until = stage.now().plus(Duration::from_secs(10));
    stage.store.beat(NODE, until).await.expect("beats");
    other.beat(OTHER, until).await.expect("beats");
    let open = async |device, open| stage.store.stream(stage.tenant, NODE, DeviceKey(device), open).await.expect("noted");
    let all: Vec<DeviceKey> = [3, 1, 2].map(DeviceKey).to_vec();
    let seen = async |store: &Shared, node| store.streams_elsewhere(stage.tenant, node, all.clone()).await.expect("asked");
    open(1, true).await;
    open(3, true).await;
    open(3, true).await;
    assert_eq!(seen(&other, OTHER).await, [DeviceKey(3), DeviceKey(1)]);
    assert_eq!(seen(&stage.store, NODE).await, [], "one's own are not elsewhere");
    open(3, false).await;
    assert_eq!(seen(&other, OTHER).await, [DeviceKey(1)]);
    stage.clock.pass(Duration::from_secs(11));
    assert_eq!(seen(&other, OTHER).await, [], "a process that does not beat has no streams");
    stage.store.beat(NODE, stage.now().plus(Duration::from_secs(10))).await.expect("beats again");
    assert_eq!(seen(&other, OTHER).await, [DeviceKey(1)]);
    stage.store.leave(NODE).await.expect("left");
    stage.store.beat(NODE, stage.now().plus(Duration::from_secs(10))).await.expect("comes back");
    assert_eq!(seen(&other, OTHER).await, []);
}

async fn a_living_process_keeps_its_claims_when_another_opens(stage: Stage) {
    if !stage.store.is_shared() {
        return;
    }
    stage.store.beat(NODE, stage.now().plus(Duration::from_secs(60))).await.expect("beats");
    let event = stage.campaign(&people(3)).await.key;
    let claim = stage.claim(1).await.remove(0);
    let other = stage.another().await;
    assert_eq!(other.void_claims().await.expect("voided"), 0);
    assert_eq!(stage.settle_all(&claim, ACCEPTED, Timestamp(0)).await.done, [event]);
}

async fn whoever_leaves_frees_its_claims_at_once(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    stage.store.beat(NODE, stage.now().plus(Duration::from_secs(60))).await.expect("beats");
    stage.campaign(&people(3)).await;
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    stage.store.leave(NODE).await.expect("left");
    let lease = stage.lease(2);
    let (again, _) = other.claim(vec![ChannelKind::Apns], Lane::Bulk, lease, 10).await.expect("claimed");
    assert_eq!(again.len(), 1);
    assert_eq!(stage.settle_rows(&claim, &rows, ACCEPTED, Timestamp(0)).await.lost, [claim.segment]);
}

async fn two_processes_share_the_work_without_doubling_it(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let all = people(40);
    let event = stage.accept(stage.event(&all)).await.key;
    for page in all.chunks(2) {
        let rows = page.iter().map(|person| stage.push(*person)).collect();
        stage.store.plan(stage.page(event, rows, page.last() == all.last())).await.expect("planned");
    }
    let mut taken = Vec::new();
    let claim = |store: Shared, node| {
        let lease = stage.lease(node);
        async move { store.claim(vec![ChannelKind::Apns], Lane::Bulk, lease, 3).await.expect("claimed").0 }
    };
    loop {
        let (a, b) = tokio::join!(claim(stage.store.clone(), 1), claim(other.clone(), 2));
        if a.is_empty() && b.is_empty() {
            break;
        }
        taken.extend(a.into_iter().chain(b));
    }
    let segments: BTreeSet<_> = taken.iter().map(|claim| claim.segment).collect();
    assert_eq!((segments.len(), taken.len()), (20, 20), "each segment once");
    let mut done = Vec::new();
    for claim in &taken {
        done.extend(stage.settle_all(claim, ACCEPTED, Timestamp(0)).await.done);
    }
    assert_eq!(done, [event]);
    assert_eq!(stage.count(event, State::Accepted, Reason::None).await, 40);
}

async fn a_process_that_slept_past_its_lease_writes_nothing(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let event = stage.campaign(&people(4)).await.key;
    let old = stage.claim(1).await.remove(0);
    let rows = stage.rows(&old).await;
    stage.clock.pass(Duration::from_secs(31));
    let (new, _) = other.claim(vec![ChannelKind::Apns], Lane::Bulk, stage.lease(2), 1).await.expect("claimed");
    assert_eq!(new[0].generation, old.generation + 1);
    assert_eq!(stage.store.renew(vec![(old.segment, old.generation)], Timestamp::NEVER).await.expect("asked"), [old.segment]);
    let late = stage.settle_rows(&old, &rows, (State::Gone, Reason::ProviderGone), Timestamp(0)).await;
    assert_eq!((late.lost, late.done), (vec![old.segment], vec![]));
    assert_eq!(stage.count(event, State::Scheduled, Reason::None).await, 4, "nothing of it was written");
    assert_eq!(stage.settle_rows(&new[0], &rows, ACCEPTED, Timestamp(0)).await.done, [event]);
}

async fn a_limit_is_exact_over_two_processes(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let asked = (0..60_u32).map(|n| {
        let store = if n.is_multiple_of(2) { stage.store.clone() } else { other.clone() };
        let take = LimitTake { counted: Counted::GroupSends, allowed: 25, window: HOUR };
        let acceptance = Acceptance { event: stage.event(&people(1)), takes: vec![take], policy: None, once: None, plan: None };
        let tenant = stage.tenant;
        tokio::spawn(async move { store.accept(tenant, acceptance).await })
    });
    let (mut accepted, mut refused) = (0, 0);
    for answer in asked.collect::<Vec<_>>() {
        match answer.await.expect("answered") {
            Ok(_) => accepted += 1,
            Err(StoreError::OverLimit { allowed: 25, .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((accepted, refused), (25, 35));
}

async fn a_repeat_in_another_process_is_answered_as_the_first(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let request = [7; 32];
    let answer = crate::Answer { request, status: 201, body: b"{}".to_vec(), location: String::new() };
    let once = crate::Once { token: Uuid::from_u128(9), key: "k".into(), request, answer: answer.clone() };
    let ask = |store: &Shared, n: u128| {
        let fields =
            PersonFields { upn: format!("p{n}@example.org"), locale: "en".into(), timezone: "UTC".into(), ..PersonFields::default() };
        let (store, tenant, once) = (store.clone(), stage.tenant, once.clone());
        async move { store.create_person(tenant, Uuid::from_u128(100 + n), fields, Some(once)).await }
    };
    let (a, b, c) = tokio::join!(ask(&stage.store, 1), ask(&other, 2), ask(&stage.store, 3));
    let answers = [a, b, c];
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let replays = answers.iter().filter(|one| matches!(one, Err(StoreError::Replay(kept)) if **kept == answer)).count();
    assert_eq!(replays, 2, "{answers:?}");
}

async fn edits_of_two_processes_come_one_after_the_other(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let make = |n: u32| {
        let store = if n.is_multiple_of(2) { stage.store.clone() } else { other.clone() };
        let upn = format!("p{}@example.org", n / 2);
        let fields = PersonFields { upn, locale: "en".into(), timezone: "UTC".into(), ..PersonFields::default() };
        let tenant = stage.tenant;
        tokio::spawn(async move { store.create_person(tenant, Uuid::from_u128(1_000 + u128::from(n)), fields, None).await })
    };
    let before = stage.store.directory_version(stage.tenant).await.expect("read").0;
    let (mut keys, mut taken) = (BTreeSet::new(), 0);
    for answer in (0..20).map(make).collect::<Vec<_>>() {
        match answer.await.expect("answered") {
            Ok(person) => assert!(keys.insert(person.key), "a key is given once"),
            Err(StoreError::Taken { field: "upn", .. }) => taken += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((keys.len(), taken), (10, 10));
    assert_eq!(stage.store.directory_version(stage.tenant).await.expect("read").0, before + 10);
}

async fn receipts_that_meet_settlements_leave_right_counts(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let all = people(30);
    let event = stage.accept(stage.event(&all)).await;
    let id = stage.store.event(stage.tenant, event.key).await.expect("read").expect("there").id;
    let mut rows: Vec<_> = all.iter().map(|person| stage.push(*person)).collect();
    for row in &mut rows {
        (row.state, row.reason) = (State::Held, Reason::ShownInApp);
    }
    stage.store.plan(stage.page(event.key, rows, true)).await.expect("planned");
    let claim = stage.claim(1).await.remove(0);
    let due = stage.rows(&claim).await;
    let receipts = all.iter().filter(|person| person.0 % 2 == 0).map(|person| {
        let (store, tenant, person) = (other.clone(), stage.tenant, *person);
        tokio::spawn(async move { store.receipt(tenant, person, DeviceKey(person.0), id, ReceiptKind::Received).await })
    });
    let receipts: Vec<_> = receipts.collect();
    let mut done = Vec::new();
    for some in due.chunks(7) {
        let batch: Vec<Settle> = some.iter().map(|row| Settle::Row(stage.outcome(&claim, row, ACCEPTED, Timestamp(0)))).collect();
        done.extend(stage.store.settle(batch.into()).await.expect("settled").done);
    }
    done.extend(stage.store.settle([release(&claim)].into()).await.expect("settled").done);
    for receipt in receipts {
        assert!(receipt.await.expect("answered").expect("kept"));
    }
    assert_eq!(done, [event.key]);
    // What the provider took counts as taken; the totals are compared with the rows.
    assert_eq!(stage.count(event.key, State::Accepted, Reason::None).await, 30);
    assert_eq!(stage.store.counts(event.key).await.expect("counted").receipts, [15, 0, 0, 0]);
}

async fn an_event_ends_once_whoever_lets_its_last_segments_go(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    for _ in 0..10 {
        let all = people(4);
        let event = stage.accept(stage.event(&all)).await.key;
        for page in all.chunks(2) {
            let rows = page.iter().map(|person| stage.push(*person)).collect();
            stage.store.plan(stage.page(event, rows, page.last() == all.last())).await.expect("planned");
        }
        let claims = stage.claim(1).await;
        let mut batches = Vec::new();
        for claim in &claims {
            let rows = stage.rows(claim).await;
            let batch = rows.iter().map(|row| Settle::Row(stage.outcome(claim, row, ACCEPTED, Timestamp(0)))).chain([release(claim)]);
            batches.push(batch.collect::<Vec<_>>());
        }
        let (a, b) = tokio::join!(stage.store.settle(batches.remove(0).into()), other.settle(batches.remove(0).into()));
        let done = [a.expect("settled").done, b.expect("settled").done].concat();
        assert_eq!((done, stage.state(event).await), (vec![event], EventState::Done));
    }
}

async fn two_processes_plan_an_event_once(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let all = people(60);
    let event = stage.accept(stage.event(&all)).await.key;
    for page in all.chunks(6) {
        let plan = stage.page(event, page.iter().map(|person| stage.push(*person)).collect(), page.last() == all.last());
        let (a, b) = tokio::join!(stage.store.plan(plan.clone()), other.plan(plan));
        a.and(b).expect("planned");
    }
    assert_eq!(stage.count(event, State::Scheduled, Reason::None).await, 60);
    assert_eq!(stage.store.counts(event).await.expect("counted").planned_people, 60);
    assert_eq!(stage.claim(1).await.len(), 10);
}

async fn published_events_come_in_their_order(stage: Stage) {
    let Some(other) = two(&stage).await else { return };
    let accept = |n: u32| {
        let store = if n.is_multiple_of(2) { stage.store.clone() } else { other.clone() };
        let acceptance = Acceptance { event: stage.event(&people(1 + n % 3)), takes: vec![], policy: None, once: None, plan: None };
        let tenant = stage.tenant;
        tokio::spawn(async move { store.accept(tenant, acceptance).await.expect("accepted") })
    };
    let mut accepted = Vec::new();
    for answer in (0..12).map(accept).collect::<Vec<_>>() {
        let one = answer.await.expect("answered");
        accepted.push((one.inbox_seq.expect("it may travel"), one.key));
    }
    accepted.sort_unstable();
    let seen = other.published(stage.tenant, 0, 100).await.expect("read");
    assert_eq!(seen.iter().map(|event| (event.inbox_seq.expect("placed"), event.key)).collect::<Vec<_>>(), accepted);
    let behind = other.published(stage.tenant, accepted[7].0, 3).await.expect("read");
    assert_eq!(behind.iter().map(|event| event.key).collect::<Vec<_>>(), accepted[8..11].iter().map(|(_, key)| *key).collect::<Vec<_>>());
}
