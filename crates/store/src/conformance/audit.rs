//! Stories of the audit: an act and its entry are one, the chain has no holes, and a person can be forgotten in it.

use super::scene::Stage;
use super::stories;
use crate::audit::sha256_hex;
use crate::{
    Act, By, DeliveryFilter, Enrolment, Import, ImportFile, ImportMode, ImportProgress, NewToken, Shared, StoreError, Thing, TokenUse, Whom,
};
use model::audit::{BEGINNING, Walk};
use model::directory::Platform;
use model::{PersonKey, Reason, ReceiptKind, State};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

stories![
    an_edit_and_its_entry_are_one,
    an_edit_that_is_refused_leaves_no_entry,
    concurrent_edits_leave_no_hole,
    each_tenant_has_a_chain_of_its_own,
    a_person_appears_under_one_pseudonym_and_is_found_by_it,
    whoever_enrols_with_a_code_is_found_by_the_device,
    an_import_is_one_entry_with_its_counts,
    an_erased_person_is_gone_and_the_chain_is_whole,
    a_sink_goes_on_where_it_stopped,
];

/// An act of a token; the seed is different each time.
pub(super) fn act(operation: &'static str, object: Option<Thing>) -> Act {
    let seed = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    Act {
        by: By::Token { id: Uuid::from_u128(7), name: "story".into() },
        operation: operation.into(),
        object,
        people: Vec::new(),
        scope: None,
        outcome: "done".into(),
        changes: Map::new(),
        seed: seed.try_into().expect("two ids are 32 bytes"),
    }
}

fn told(stage: &Stage, operation: &'static str) -> Shared {
    stage.store.told(stage.tenant, act(operation, None))
}

/// Walks the chain to its end, which must be the head; answers the entries.
async fn whole(stage: &Stage) -> Vec<Map<String, Value>> {
    let mut walk = Walk::default();
    let mut all = Vec::new();
    loop {
        let page = stage.store.entries(stage.tenant, walk.reached() + 1, 7).await.expect("entries can be read");
        for entry in &page {
            walk.step(&entry.body, sha256_hex).expect("the chain is whole");
            assert_eq!(walk.reached(), entry.sequence);
        }
        if page.is_empty() {
            break;
        }
        all.extend(page.into_iter().map(|entry| entry.body));
    }
    let head = stage.store.head(stage.tenant).await.expect("a head");
    assert_eq!((head.sequence, head.hash.as_str()), (walk.reached(), walk.hash()), "the walk ends at the head");
    all
}

fn text<'a>(entry: &'a Map<String, Value>, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or("")
}

async fn an_edit_and_its_entry_are_one(stage: Stage) {
    assert_eq!(stage.store.head(stage.tenant).await.expect("a head").hash, BEGINNING, "nothing was done yet");
    let mut change = act("setting.set", Some(Thing::Object("setting", "retention.days".into())));
    change.changes.insert("value".into(), json!([30, 7]));
    change.scope = Some(vec!["group-1".into()]);
    let version =
        stage.store.told(stage.tenant, change).put_setting(stage.tenant, "retention.days", Some(json!(7)), None).await.expect("set");
    stage.clock.pass(Duration::from_secs(1));
    stage.store.note(stage.tenant, Act { outcome: "forbidden".into(), ..act("token.create", None) }).await.expect("noted");
    let stage = stage.reopen().await;
    assert_eq!(stage.store.settings(stage.tenant).await.expect("settings").0, version);
    let entries = whole(&stage).await;
    assert_eq!(entries.len(), 2);
    let first = Value::Object(entries[0].clone());
    assert_eq!(first["object"], json!({"kind": "setting", "id": "retention.days"}));
    assert_eq!(first["actor"], json!({"kind": "token", "id": Uuid::from_u128(7), "name": "story"}));
    assert_eq!((&first["changes"], &first["scope"]), (&json!({"value": [30, 7]}), &json!(["group-1"])));
    assert_eq!((text(&entries[0], "outcome"), text(&entries[0], "tenant")), ("done", Uuid::from_u128(1).to_string().as_str()));
    assert_eq!((text(&entries[1], "outcome"), text(&entries[1], "scope")), ("forbidden", "organization"));
    assert!(text(&entries[0], "at") < text(&entries[1], "at"), "times are the store's");
}

async fn an_edit_that_is_refused_leaves_no_entry(stage: Stage) {
    let (version, _) = stage.store.settings(stage.tenant).await.expect("settings");
    let stale = told(&stage, "setting.set").put_setting(stage.tenant, "retention.days", Some(json!(1)), Some(version + 1)).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");
    let missing = told(&stage, "user.delete").delete_person(stage.tenant, PersonKey(404), None).await;
    assert!(matches!(missing, Err(StoreError::NotFound)), "{missing:?}");
    assert!(whole(&stage).await.is_empty());
}

async fn concurrent_edits_leave_no_hole(stage: Stage) {
    let mut second = None;
    if stage.store.is_shared() {
        second = Some(stage.another().await);
    }
    let edits = (0..20_u32).map(|n| {
        let store = if n % 2 == 0 { &stage.store } else { second.as_ref().unwrap_or(&stage.store) };
        let (store, tenant) = (store.told(stage.tenant, act("token.create", None)), stage.tenant);
        tokio::spawn(async move {
            let opens = TokenUse::Device(model::DeviceKey(n));
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            let token = NewToken { id: Uuid::from_u128(1_000 + u128::from(n)), hash, name: format!("{n}"), opens, expires_at: None };
            store.create_token(tenant, token, None).await.map(|_| ())
        })
    });
    for edit in edits.collect::<Vec<_>>() {
        edit.await.expect("told").expect("edited");
    }
    assert_eq!(whole(&stage).await.len(), 20);
}

async fn each_tenant_has_a_chain_of_its_own(stage: Stage) {
    let (other, _) = stage.store.ensure_tenant("other", Uuid::from_u128(2)).await.expect("another tenant");
    for _ in 0..3 {
        stage.store.note(stage.tenant, act("a", None)).await.expect("noted");
        stage.store.note(other.key, act("b", None)).await.expect("noted");
    }
    let entries = whole(&stage).await;
    assert!(entries.len() == 3 && entries.iter().all(|entry| text(entry, "operation") == "a"));
    let head = stage.store.head(other.key).await.expect("a head");
    assert_eq!((head.sequence, head.tenant), (3, Uuid::from_u128(2)));
}

async fn a_person_appears_under_one_pseudonym_and_is_found_by_it(stage: Stage) {
    let (ada, bob) = (stage.person("ada@example.org").await, stage.person("bob@example.org").await);
    assert_eq!(stage.store.alias(stage.tenant, ada).await.expect("asked"), None, "nobody spoke of them yet");
    let id = stage.store.person(stage.tenant, ada).await.expect("read").expect("is there").id;
    for whom in [Whom::Person(ada), Whom::Named(id), Whom::Person(bob)] {
        stage.store.note(stage.tenant, act("user.update", Some(Thing::User(whom)))).await.expect("noted");
    }
    let mut both = act("device.update", None);
    both.people = vec![Whom::Person(bob), Whom::Person(ada)];
    stage.store.note(stage.tenant, both).await.expect("noted");
    let entries = whole(&stage).await;
    let objects: Vec<&str> = entries[..3].iter().map(|entry| entry["object"]["id"].as_str().unwrap_or("")).collect();
    assert!(objects[0] == objects[1] && objects[0] != objects[2] && objects[0].starts_with("p-"), "{objects:?}");
    assert_eq!(entries[3]["people"], json!([objects[2], objects[0]]));
    assert_eq!(stage.store.alias(stage.tenant, ada).await.expect("asked").as_deref(), Some(objects[0]));
    let about = stage.store.entries_about(stage.tenant, ada, 0, 10).await.expect("asked");
    assert_eq!(about.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(stage.store.entries_about(stage.tenant, ada, 2, 1).await.expect("asked")[0].sequence, 2);
}

async fn whoever_enrols_with_a_code_is_found_by_the_device(stage: Stage) {
    let ada = stage.person("ada@example.org").await;
    let expires = stage.now().plus(Duration::from_secs(60));
    stage.store.create_code(stage.tenant, [1; 32], ada, expires, None).await.expect("a code");
    let (phone, _) = stage.phone(ada).await;
    let device = stage.store.device(stage.tenant, phone).await.expect("read").expect("is there").fields;
    let device = crate::DeviceFields { platform: Platform::Android, ..device };
    let id = stage.id();
    let opens = TokenUse::Device(model::DeviceKey(0));
    let token = NewToken { id: stage.id(), hash: [2; 32], name: "x".into(), opens, expires_at: None };
    let mut enrolling = act("device.enrol", Some(Thing::Object("device", id.to_string())));
    (enrolling.by, enrolling.people) = (By::Code, vec![Whom::OwnerOf(id)]);
    let store = stage.store.told(stage.tenant, enrolling);
    store.enrol(Enrolment { code: [1; 32], device_id: id, device, token }, None, stage.now()).await.expect("enrolled");
    let entries = whole(&stage).await;
    assert_eq!((entries.len(), &entries[0]["actor"]), (1, &json!({"kind": "code"})));
    assert_eq!(entries[0]["people"][0].as_str(), stage.store.alias(stage.tenant, ada).await.expect("asked").as_deref());
}

async fn an_import_is_one_entry_with_its_counts(stage: Stage) {
    let path = std::env::temp_dir().join(format!("carillon-story-{}.csv", Uuid::new_v4()));
    let rows: String = (0..50).map(|n| format!("e{n},p{n}@example.org,P {n},,en,UTC,,,,true\n")).collect();
    let head = "external_id,upn,display_name,email,locale,timezone,licenses,manager_upn,phones,active\n";
    std::fs::write(&path, format!("{head}{rows}")).expect("a file");
    let import = |dry_run| Import {
        files: vec![ImportFile { name: "people.csv".into(), path: path.clone() }],
        mode: ImportMode::Upsert,
        dry_run,
        allow_many_removals: false,
        seal: Arc::new(|_, plain| plain.as_bytes().to_vec()),
        progress: Arc::new(ImportProgress::default()),
    };
    told(&stage, "directory.import").import(stage.tenant, import(true)).await.expect("tried");
    assert!(whole(&stage).await.is_empty(), "a dry run changes nothing");
    let report = told(&stage, "directory.import").import(stage.tenant, import(false)).await.expect("imported");
    assert!(report.applied);
    let entries = whole(&stage).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["changes"]["users"], json!({"created": 50, "updated": 0, "unchanged": 0, "removed": 0}));
    std::fs::remove_file(path).expect("removed");
}

async fn an_erased_person_is_gone_and_the_chain_is_whole(stage: Stage) {
    let (ada, bob) = (stage.person("ada@example.org").await, stage.person("bob@example.org").await);
    let (phone, _) = stage.phone(ada).await;
    let other = stage.phone(bob).await.0;
    let token = NewToken { id: stage.id(), hash: [3; 32], name: "Ada's".into(), opens: TokenUse::Device(phone), expires_at: None };
    stage.store.create_token(stage.tenant, token, None).await.expect("a token");
    let alone = stage.campaign(&[ada]).await;
    let wide = stage.event(&[ada, bob]);
    let wide_id = wide.id;
    let many = stage.accept(wide).await;
    stage.store.plan(stage.page(many.key, vec![stage.push(ada), stage.push(bob)], true)).await.expect("planned");
    stage.send_all().await;
    stage.store.receipt(stage.tenant, ada, phone, wide_id, ReceiptKind::Opened).await.expect("a receipt");
    let about = act("user.update", Some(Thing::User(Whom::Person(ada))));
    stage.store.note(stage.tenant, about).await.expect("noted");
    let alias = stage.store.alias(stage.tenant, ada).await.expect("asked").expect("was spoken of");
    let erasing = act("user.erase", Some(Thing::Object("user", alias)));
    let erased = stage.store.told(stage.tenant, erasing).erase_person(stage.tenant, ada).await.expect("erased");
    assert_eq!((erased.devices, erased.texts, erased.deliveries, erased.entries), (1, 1, 2, 1));
    let stage = stage.reopen().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    assert!(store.person(tenant, ada).await.expect("read").is_none() && store.device(tenant, phone).await.expect("read").is_none());
    assert!(store.find_people(tenant, "ada@example.org").await.expect("asked").is_empty());
    assert!(
        store.find_token([3; 32]).await.expect("asked").is_none() && store.registrations(tenant, phone).await.expect("read").is_empty()
    );
    assert!(store.inbox(tenant, ada, None, None, 10, true).await.expect("read").is_empty());
    assert!(store.event(tenant, alone.key).await.expect("read").expect("is there").text.is_none(), "it was to her alone");
    assert!(store.event(tenant, many.key).await.expect("read").expect("is there").text.is_some());
    // Numbers stay, and lead to nobody.
    assert_eq!(store.counts(many.key).await.expect("counted").receipts, [0, 0, 1, 0]);
    assert_eq!(stage.count(many.key, State::Accepted, Reason::None).await, 2);
    let rows = store.deliveries(many.key, DeliveryFilter::default(), None, 10).await.expect("rows");
    let linked: Vec<(PersonKey, bool)> = rows.iter().map(|row| (row.id.person, row.device.is_some())).collect();
    assert_eq!(linked, [(ada, false), (bob, true)]);
    assert!(store.deliveries_of(many.key, ada).await.expect("read").1.is_empty(), "no receipt of hers");
    assert!(store.device(tenant, other).await.expect("read").is_some(), "nobody else lost anything");
    assert_eq!(store.alias(tenant, ada).await.expect("asked"), None);
    assert!(store.entries_about(tenant, ada, 0, 10).await.expect("asked").is_empty());
    assert_eq!(whole(&stage).await.len(), 2);
    assert!(matches!(store.erase_person(tenant, ada).await, Err(StoreError::NotFound)));
}

async fn a_sink_goes_on_where_it_stopped(stage: Stage) {
    assert_eq!(stage.store.sunk(stage.tenant, "syslog").await.expect("asked"), 0);
    for sequence in [3, 9, 5] {
        stage.store.sink_to(stage.tenant, "syslog", sequence).await.expect("noted");
    }
    let stage = stage.reopen().await;
    assert_eq!(stage.store.sunk(stage.tenant, "syslog").await.expect("asked"), 9, "it never goes back");
    assert_eq!(stage.store.sunk(stage.tenant, "other").await.expect("asked"), 0);
}
