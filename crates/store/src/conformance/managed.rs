//! Stories of managed objects: their further names, what refers to what, acts that change several, what is due, and files.

use super::import::{Folder, all_files, import_of, imported};
use super::scene::{Stage, people};
use super::stories;
use crate::{Acceptance, Answer, Change, Import, ImportMode, NewEvent, NewFile, NewObject, Once, Step, StoreError, Text};
use model::event::EventState;
use model::objects::ObjectKind;
use model::{Reason, State};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

stories![
    a_further_name_is_an_objects_own_and_is_free_when_it_lets_go,
    an_object_stays_while_another_refers_to_it,
    an_act_is_done_whole_or_not_at_all,
    an_act_is_done_once_under_its_key,
    an_object_is_found_when_it_is_due,
    a_file_stays_until_its_hour,
    a_secret_that_nobody_fetches_is_erased_with_the_last_delivery,
    an_event_outside_the_inbox_is_planned_at_once,
    a_number_is_found_at_whoever_has_it_now,
    what_belonged_to_people_whom_a_replace_removed_is_found,
];

const PLAN: ObjectKind = ObjectKind::DialPlan;
const BOX: ObjectKind = ObjectKind::Mailbox;

fn object(n: u128, keys: &[&str], links: &[u128]) -> NewObject {
    NewObject {
        id: Uuid::from_u128(n),
        name: format!("object {n}"),
        document: json!({ "n": n.to_string() }),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        links: links.iter().map(|link| Uuid::from_u128(*link)).collect(),
        due: None,
    }
}

fn steps(steps: Vec<Step>) -> Change {
    Change { steps, ..Change::default() }
}

async fn a_further_name_is_an_objects_own_and_is_free_when_it_lets_go(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    store.create_object(tenant, BOX, object(1, &["ext/101", "ext/102"], &[]), None).await.expect("made");
    let taken = store.create_object(tenant, BOX, object(2, &["ext/102"], &[]), None).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "key", by }) if by == Uuid::from_u128(1)), "{taken:?}");
    assert_eq!(store.object(tenant, BOX, Uuid::from_u128(2)).await.expect("asked"), None, "nothing of it is kept");
    store.create_object(tenant, PLAN, object(3, &["ext/102"], &[]), None).await.expect("another kind has names of its own");
    store.change_object(tenant, BOX, object(1, &["ext/101"], &[]), None).await.expect("lets one go");
    store.create_object(tenant, BOX, object(2, &["ext/102"], &[]), None).await.expect("free now");
    let stage = stage.reopen().await;
    let found = async |key: &str| stage.store.object_keyed(stage.tenant, BOX, key).await.expect("asked").map(|one| one.id.as_u128());
    assert_eq!((found("ext/101").await, found("ext/102").await, found("ext/103").await), (Some(1), Some(2), None));
    stage.store.delete_object(stage.tenant, BOX, Uuid::from_u128(1), None).await.expect("ended");
    assert_eq!(found("ext/101").await, None);
}

async fn an_object_stays_while_another_refers_to_it(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    store.create_object(tenant, PLAN, object(1, &[], &[]), None).await.expect("made");
    for n in [2, 3] {
        store.create_object(tenant, BOX, object(n, &[], &[1]), None).await.expect("made");
    }
    let linked = async |limit| {
        let found = store.objects_linked(tenant, BOX, Uuid::from_u128(1), limit).await.expect("asked");
        found.into_iter().map(|one| one.id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!((linked(10).await, linked(1).await), (vec![2, 3], vec![2]));
    let kept = store.delete_object(tenant, PLAN, Uuid::from_u128(1), None).await;
    assert!(matches!(kept, Err(StoreError::InUse { by }) if by == Uuid::from_u128(2)), "{kept:?}");
    store.change_object(tenant, BOX, object(2, &[], &[]), None).await.expect("lets go");
    store.delete_object(tenant, BOX, Uuid::from_u128(3), None).await.expect("ended");
    store.delete_object(tenant, PLAN, Uuid::from_u128(1), None).await.expect("free now");
    let gone = store.create_object(tenant, BOX, object(4, &[], &[1]), None).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "nothing refers to what is gone: {gone:?}");
}

async fn an_act_is_done_whole_or_not_at_all(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let event = Acceptance { event: stage.event(&people(1)), takes: vec![], policy: None, once: None, plan: None };
    let id = event.event.id;
    let wrong = Change {
        steps: vec![Step::Make(PLAN, object(1, &[], &[])), Step::Change(BOX, object(2, &[], &[]), None)],
        files: vec![NewFile { id, content: vec![1], until: stage.now().plus(Duration::from_secs(9)) }],
        events: vec![event.clone()],
        once: None,
    };
    assert!(matches!(store.change(tenant, wrong.clone()).await, Err(StoreError::NotFound)));
    assert_eq!(store.object(tenant, PLAN, Uuid::from_u128(1)).await.expect("asked"), None);
    assert!(store.event_by_id(tenant, id).await.expect("asked").is_none());
    assert_eq!(store.file(tenant, id).await.expect("asked"), None);
    let right = Change { steps: vec![Step::Make(PLAN, object(1, &[], &[])), Step::Make(BOX, object(2, &[], &[1]))], ..wrong };
    let accepted = store.change(tenant, right).await.expect("done");
    assert_eq!(store.event(tenant, accepted[0].key).await.expect("asked").map(|event| event.id), Some(id));
    assert_eq!(store.file(tenant, id).await.expect("asked"), Some(vec![1]));
    let stale = steps(vec![Step::End(BOX, Uuid::from_u128(2), None), Step::End(PLAN, Uuid::from_u128(1), Some(7))]);
    assert!(matches!(store.change(tenant, stale).await, Err(StoreError::Stale { current: 1 })));
    assert!(store.object(tenant, BOX, Uuid::from_u128(2)).await.expect("asked").is_some());
    let end = steps(vec![Step::End(BOX, Uuid::from_u128(2), Some(1)), Step::End(PLAN, Uuid::from_u128(1), Some(1))]);
    store.change(tenant, end).await.expect("in this order nothing is in use");
}

async fn an_act_is_done_once_under_its_key(stage: Stage) {
    let once = || {
        let answer = Answer { request: [1; 32], status: 201, body: vec![1], location: "/1".into() };
        Some(Once { token: Uuid::nil(), key: "k".into(), request: [1; 32], answer })
    };
    let change = |n| Change { once: once(), ..steps(vec![Step::Make(PLAN, object(n, &[], &[]))]) };
    stage.store.change(stage.tenant, change(1)).await.expect("done");
    assert!(matches!(stage.store.change(stage.tenant, change(2)).await, Err(StoreError::Replay(answer)) if answer.body == [1]));
    assert_eq!(stage.store.object(stage.tenant, PLAN, Uuid::from_u128(2)).await.expect("asked"), None);
}

async fn an_object_is_found_when_it_is_due(stage: Stage) {
    let at = |seconds| Some(stage.now().plus(Duration::from_secs(seconds)));
    let (late, soon) = (at(60), at(5));
    assert_eq!(stage.store.next_due(stage.tenant, ObjectKind::Work).await.expect("asked"), None);
    for (n, due) in [(1, late), (2, soon), (3, None)] {
        let object = NewObject { due, ..object(n, &[], &[]) };
        stage.store.create_object(stage.tenant, ObjectKind::Work, object, None).await.expect("made");
    }
    let stage = stage.reopen().await;
    let due = async || {
        let found = stage.store.objects_due(stage.tenant, ObjectKind::Work, stage.now(), 10).await.expect("asked");
        found.into_iter().map(|one| one.id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(stage.store.next_due(stage.tenant, ObjectKind::Work).await.expect("asked"), soon);
    assert_eq!(due().await, [0; 0]);
    stage.clock.pass(Duration::from_secs(5));
    assert_eq!(due().await, [2]);
    stage.clock.pass(Duration::from_secs(60));
    assert_eq!(due().await, [2, 1], "the longest due first");
    stage.store.change_object(stage.tenant, ObjectKind::Work, object(2, &[], &[]), None).await.expect("put off for good");
    assert_eq!((due().await, stage.store.next_due(stage.tenant, ObjectKind::Work).await.expect("asked")), (vec![1], late));
}

async fn a_file_stays_until_its_hour(stage: Stage) {
    let file = |n: u128, seconds| NewFile {
        id: Uuid::from_u128(n),
        content: vec![7; 200_000],
        until: stage.now().plus(Duration::from_secs(seconds)),
    };
    let change = Change { files: vec![file(1, 60), file(2, 600)], ..Change::default() };
    stage.store.change(stage.tenant, change).await.expect("kept");
    let kept = async |n| stage.store.file(stage.tenant, Uuid::from_u128(n)).await.expect("asked").map(|content| content.len());
    assert_eq!((kept(1).await, kept(3).await), (Some(200_000), None));
    stage.clock.pass(Duration::from_secs(61));
    while stage.store.forget(stage.tenant, model::Timestamp(0), false).await.expect("a step") {}
    assert_eq!((kept(1).await, kept(2).await), (None, Some(200_000)));
}

fn secret(event: NewEvent, inbox: bool) -> NewEvent {
    NewEvent { inbox, text: Text { title: vec![1], body: vec![2], sealed: true }, ..event }
}

async fn a_secret_that_nobody_fetches_is_erased_with_the_last_delivery(stage: Stage) {
    let ada = people(1);
    let (fetched, told) = (secret(stage.event(&ada), true), secret(stage.event(&ada), false));
    let (fetched, told) = (stage.accept(fetched).await.key, stage.accept(told).await.key);
    let nothing = stage.accept(secret(stage.event(&ada), false)).await.key;
    for event in [fetched, told] {
        stage.store.plan(stage.page(event, vec![stage.push(ada[0])], true)).await.expect("planned");
    }
    let silent = crate::PlannedRow { state: State::Suppressed, reason: Reason::PolicyOff, ..stage.push(ada[0]) };
    stage.store.plan(stage.page(nothing, vec![silent], true)).await.expect("planned");
    let text = async |event| stage.store.event(stage.tenant, event).await.expect("read").expect("kept").text.is_some();
    assert_eq!((text(fetched).await, text(told).await, text(nothing).await), (true, true, false));
    stage.send_all().await;
    assert_eq!((text(fetched).await, text(told).await), (true, false));
    let cancelled = stage.accept(secret(stage.event(&ada), false)).await.key;
    stage.store.plan(stage.page(cancelled, vec![stage.push(ada[0])], true)).await.expect("planned");
    stage.store.cancel(stage.tenant, cancelled).await.expect("cancelled");
    assert!(!text(cancelled).await);
}

async fn an_event_outside_the_inbox_is_planned_at_once(stage: Stage) {
    let ada = people(1);
    let event = stage.accept(NewEvent { inbox: false, ..stage.event(&ada) }).await;
    assert_eq!((stage.state(event.key).await, event.inbox_seq), (EventState::Accepted, None));
    let mut page = stage.page(event.key, vec![stage.push(ada[0])], true);
    page.event = model::EventKey(0);
    let with_plan =
        Acceptance { event: NewEvent { inbox: false, ..stage.event(&ada) }, takes: vec![], policy: None, once: None, plan: Some(page) };
    let planned = stage.store.accept(stage.tenant, with_plan).await.expect("accepted");
    assert_eq!(stage.state(planned.key).await, EventState::Sending);
    assert_eq!(stage.count(planned.key, State::Scheduled, Reason::None).await, 1);
}

async fn a_number_is_found_at_whoever_has_it_now(stage: Stage) {
    let named = async |number: &str| stage.store.people_with_phone(stage.tenant, number).await.expect("asked");
    let fields = |upn: &str, phones: &[&str]| crate::PersonFields {
        upn: upn.into(),
        display_name: upn.split('@').next().unwrap_or_default().into(),
        locale: "en".into(),
        timezone: "UTC".into(),
        active: true,
        phones: phones.iter().map(|phone| (*phone).to_owned()).collect(),
        ..crate::PersonFields::default()
    };
    let person = |fields| stage.store.create_person(stage.tenant, stage.id(), fields, None);
    let ada = person(fields("ada@example.org", &["+33155501001", "+33155501002"])).await.expect("made").key;
    person(fields("bob@example.org", &["+33155501002"])).await.expect("made");
    assert_eq!((named("+33155501001").await, named("+3315550100").await), (vec!["ada".to_owned()], vec![]));
    assert_eq!(named("+33155501002").await, ["ada", "bob"]);
    stage.store.update_person(stage.tenant, ada, None, fields("ada@example.org", &["+33155501001", "+33155501003"])).await.expect("moved");
    assert_eq!((named("+33155501002").await, named("+33155501003").await), (vec!["bob".to_owned()], vec!["ada".to_owned()]));
    stage.store.erase_person(stage.tenant, ada).await.expect("erased");
    assert_eq!(named("+33155501001").await, [""; 0]);
}

async fn what_belonged_to_people_whom_a_replace_removed_is_found(stage: Stage) {
    imported(&stage, &all_files()).await;
    let id = async |name: &str| stage.store.find_people(stage.tenant, name).await.expect("looked for")[0].id;
    let (ada, bob) = (id("E1").await, id("E2").await);
    for (kind, name) in [(BOX, ada), (BOX, bob), (ObjectKind::ConferencingUser, bob), (BOX, Uuid::from_u128(9))] {
        let object = NewObject { id: stage.id(), name: name.to_string(), ..NewObject::default() };
        stage.store.create_object(stage.tenant, kind, object, None).await.expect("made");
    }
    let named = NewObject { id: stage.id(), name: "of its own".into(), ..NewObject::default() };
    stage.store.create_object(stage.tenant, BOX, named, None).await.expect("made");
    let left = async |kind, most: u32| {
        let (mut found, mut after, mut looks) = (Vec::new(), Some(String::new()), 0);
        while let Some(name) = after {
            let (left, last) = stage.store.objects_left(stage.tenant, kind, &name, most).await.expect("asked");
            found.extend(left.into_iter().map(|one| one.name));
            (after, looks) = (last, looks + 1);
        }
        (found, looks)
    };
    let nobody = Uuid::from_u128(9).to_string();
    assert_eq!(left(BOX, 10).await, (vec![nobody.clone()], 1));
    assert_eq!(left(BOX, 1).await, (vec![nobody.clone()], 5), "page by page, and the last page is empty");
    let folder = Folder::new();
    let replace = |text: &str| {
        let people = folder.file("people.csv", text);
        Import { mode: ImportMode::Replace, allow_many_removals: true, ..import_of(vec![people]) }
    };
    let bob_alone = "external_id,upn\nE2,bob@example.org\n";
    assert!(stage.store.import(stage.tenant, replace(bob_alone)).await.expect("answered").applied);
    assert_eq!(left(BOX, 10).await.0, [nobody.clone(), ada.to_string()]);
    assert_eq!(left(ObjectKind::ConferencingUser, 10).await.0, [""; 0]);
    // Whoever comes back is somebody new; whoever stays is the same however often they are changed.
    let both = "external_id,upn,display_name\nE2,bob@example.org,Robert\nE1,ada@example.org,Ada\n";
    assert!(stage.store.import(stage.tenant, replace(both)).await.expect("answered").applied);
    assert!(id("E1").await != ada && id("E2").await == bob);
    let stage = stage.reopen().await;
    let (left, last) = stage.store.objects_left(stage.tenant, BOX, "", 10).await.expect("asked");
    assert_eq!((left.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), last), (vec![nobody, ada.to_string()], None));
}
