//! Stories of tenants, settings, tokens, kept answers and alarms.

use super::scene::Stage;
use super::stories;
use crate::{Answer, NewObject, NewToken, Once, PersonFields, StoreError, TokenUse};
use model::objects::ObjectKind;
use model::roles::{Role, RoleId, Scope};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

stories![
    a_tenant_is_made_once,
    a_store_that_has_its_organization_founds_no_other_and_renames_it,
    a_setting_moves_the_policys_version_and_old_versions_can_be_replayed,
    a_setting_is_refused_at_another_version,
    a_token_is_found_by_its_hash_and_ends_when_revoked,
    a_devices_token_names_its_owner_now,
    a_persons_token_names_them_while_they_are_active,
    an_object_has_a_name_of_its_own_and_changes_at_its_version,
    an_answer_is_kept_for_a_day_and_its_key_is_free_after_that,
    an_alarm_counts_while_it_is_open_and_is_new_after_it_ended,
    a_backup_holds_what_was_committed,
];

async fn a_tenant_is_made_once(stage: Stage) {
    let (same, new) = stage.store.ensure_tenant("story", Uuid::from_u128(99)).await.expect("a tenant");
    assert!(!new && same.key == stage.tenant && same.id == Uuid::from_u128(1));
    let (other, new) = stage.store.ensure_tenant("other", Uuid::from_u128(2)).await.expect("another tenant");
    assert!(new && other.key != stage.tenant);
}

async fn a_store_that_has_its_organization_founds_no_other_and_renames_it(stage: Stage) {
    let (found, new) = stage.store.found("another name", Uuid::from_u128(98)).await.expect("found");
    assert!(!new && found.len() == 1 && found[0].key == stage.tenant && found[0].name == "story", "{found:?}");
    let renamed = stage.store.told(stage.tenant, super::audit::act("organization.rename", None));
    let late = renamed.rename_tenant(stage.tenant, "never its name", "x").await;
    assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
    assert_eq!(stage.store.head(stage.tenant).await.expect("a head").sequence, 0, "what was not done is not told");
    renamed.rename_tenant(stage.tenant, "story", "another name").await.expect("renamed");
    drop(renamed);
    let stage = stage.reopen().await;
    let (found, new) = stage.store.found("story", Uuid::from_u128(98)).await.expect("found");
    let one = found.first().expect("one");
    assert!(!new && found.len() == 1, "{found:?}");
    assert_eq!((one.key, one.id, one.name.as_str()), (stage.tenant, Uuid::from_u128(1), "another name"));
    assert_eq!(stage.store.head(stage.tenant).await.expect("a head").sequence, 1, "told with what was done");
}

async fn a_setting_moves_the_policys_version_and_old_versions_can_be_replayed(stage: Stage) {
    let store = &stage.store;
    let (first, empty) = store.settings(stage.tenant).await.expect("settings");
    assert!(empty.is_empty());
    let on = store.put_setting(stage.tenant, "push.apns.enabled", Some(json!(false)), Some(first)).await.expect("set");
    let off = store.put_setting(stage.tenant, "push.apns.enabled", None, None).await.expect("back to the default");
    assert!(first < on && on < off);
    let both = vec![("push.fcm.enabled".to_owned(), Some(json!(false))), ("push.apns.enabled".to_owned(), Some(json!(true)))];
    let set = store.put_settings(stage.tenant, both, Some(off)).await.expect("set");
    assert_eq!((set, store.settings(stage.tenant).await.expect("settings").1.len()), (off + 1, 2), "several make one version");
    let none = vec![("push.fcm.enabled".to_owned(), None), ("push.apns.enabled".to_owned(), None)];
    let off = store.put_settings(stage.tenant, none, Some(set)).await.expect("back to the defaults");
    let stage = stage.reopen().await;
    let store = &stage.store;
    assert_eq!(store.settings(stage.tenant).await.expect("settings"), (off, empty.clone()));
    assert_eq!(store.settings_at(stage.tenant, first).await.expect("the first"), Some(empty));
    let then = store.settings_at(stage.tenant, on).await.expect("a version").expect("it was kept");
    assert_eq!(then.get("push.apns.enabled"), Some(&json!(false)));
    assert_eq!(store.settings_at(stage.tenant, off + 1).await.expect("a version to come"), None);
}

async fn a_setting_is_refused_at_another_version(stage: Stage) {
    let (version, _) = stage.store.settings(stage.tenant).await.expect("settings");
    let refused = stage.store.put_setting(stage.tenant, "retention.days", Some(json!(1)), Some(version + 5)).await;
    assert!(matches!(refused, Err(StoreError::Stale { current }) if current == version), "{refused:?}");
    assert_eq!(stage.store.settings(stage.tenant).await.expect("settings").1.len(), 0);
}

fn token(n: u8, opens: TokenUse) -> NewToken {
    NewToken { id: Uuid::from_u128(u128::from(n)), hash: [n; 32], name: format!("token {n}"), opens, expires_at: None }
}

async fn a_token_is_found_by_its_hash_and_ends_when_revoked(stage: Stage) {
    let store = &stage.store;
    let opens = TokenUse::Admin { role: RoleId::BuiltIn(Role::Owner), scope: Scope::Everything };
    for n in 1..=3 {
        let once = Some(once(n, "same key"));
        store.create_token(stage.tenant, token(n, opens.clone()), once).await.expect("a token");
        stage.clock.pass(Duration::from_millis(1));
    }
    let repeat = store.create_token(stage.tenant, token(4, opens), Some(once(3, "same key"))).await;
    assert!(matches!(repeat, Err(StoreError::Replay(answer)) if answer.body == [3]));
    let listed = |tokens: Vec<crate::Token>| tokens.into_iter().map(|token| token.id.as_u128()).collect::<Vec<_>>();
    assert_eq!(listed(store.tokens(stage.tenant, None, 2).await.expect("tokens")), [3, 2]);
    assert_eq!(listed(store.tokens(stage.tenant, Some(Uuid::from_u128(2)), 2).await.expect("tokens")), [1]);
    store.revoke_token(stage.tenant, Uuid::from_u128(2)).await.expect("revoked");
    let found = store.find_token([2; 32]).await.expect("found").expect("it is kept");
    assert_eq!((found.revoked_at, found.owner), (Some(stage.now()), None));
    assert_eq!(store.find_token([9; 32]).await.expect("looked for"), None);
    assert!(matches!(store.revoke_token(stage.tenant, Uuid::from_u128(9)).await, Err(StoreError::NotFound)));
}

async fn a_devices_token_names_its_owner_now(stage: Stage) {
    let owner = stage.person("a@example.org").await;
    let (device, _) = stage.phone(owner).await;
    stage.store.create_token(stage.tenant, token(1, TokenUse::Device(device)), None).await.expect("a token");
    let found = stage.store.find_token([1; 32]).await.expect("found").expect("it is kept");
    assert_eq!((found.opens, found.owner), (TokenUse::Device(device), Some(owner)));
    assert!(stage.store.tokens(stage.tenant, None, 10).await.expect("tokens").is_empty(), "administrators' tokens only");
}

async fn a_persons_token_names_them_while_they_are_active(stage: Stage) {
    let person = stage.person("a@example.org").await;
    let own = TokenUse::Admin { role: RoleId::Own(Uuid::from_u128(7)), scope: Scope::Groups(vec![model::GroupKey(3)]) };
    for (n, opens) in [(1, TokenUse::Person(person)), (2, own.clone())] {
        stage.store.create_token(stage.tenant, token(n, opens), None).await.expect("a token");
    }
    let find = async |n: u8| stage.store.find_token([n; 32]).await.expect("found").expect("it is kept");
    let found = find(1).await;
    assert_eq!((found.opens, found.owner), (TokenUse::Person(person), Some(person)));
    assert_eq!(find(2).await.opens, own);
    assert_eq!(stage.store.tokens(stage.tenant, None, 10).await.expect("tokens").len(), 2);
    let fields = PersonFields { upn: "a@example.org".into(), active: false, ..PersonFields::default() };
    stage.store.update_person(stage.tenant, person, None, fields).await.expect("deactivated");
    assert_eq!(find(1).await.owner, None, "a person who left");
}

async fn an_object_has_a_name_of_its_own_and_changes_at_its_version(stage: Stage) {
    let (store, tenant, role, held) = (&stage.store, stage.tenant, ObjectKind::Role, ObjectKind::RoleAssignment);
    let object =
        |n: u128, name: &str| NewObject { id: Uuid::from_u128(n), name: name.into(), document: json!({"n": name}), ..NewObject::default() };
    for n in 1..=3 {
        let made = store.create_object(tenant, role, object(n, &format!("role {n}")), None).await.expect("made");
        assert_eq!((made.version, made.created_at), (1, stage.now()));
    }
    let first = Uuid::from_u128(1);
    let taken = store.create_object(tenant, role, object(4, "role 1"), None).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name", by }) if by == first), "{taken:?}");
    store.create_object(tenant, held, object(1, "role 1"), Some(once(1, "k"))).await.expect("another kind");
    let again = store.create_object(tenant, held, object(9, "x"), Some(once(1, "k"))).await;
    assert!(matches!(again, Err(StoreError::Replay(_))));
    let taken = store.change_object(tenant, role, object(2, "role 1"), None).await;
    assert!(matches!(taken, Err(StoreError::Taken { .. })));
    let stale = store.change_object(tenant, role, object(2, "x"), Some(5)).await;
    assert!(matches!(stale, Err(StoreError::Stale { current: 1 })));
    stage.clock.pass(Duration::from_secs(1));
    let changed = store.change_object(tenant, role, object(2, "other"), Some(1)).await.expect("changed");
    assert_eq!(
        (changed.version, changed.document, changed.changed_at.since(changed.created_at)),
        (2, json!({"n": "other"}), Duration::from_secs(1))
    );
    let stage = stage.reopen().await;
    let store = &stage.store;
    let names = |objects: Vec<crate::Object>| objects.into_iter().map(|object| object.name).collect::<Vec<_>>();
    assert_eq!(names(store.objects(tenant, role, None, 2).await.expect("listed")), ["role 1", "other"]);
    assert_eq!(names(store.objects(tenant, role, Some(Uuid::from_u128(2)), 2).await.expect("listed")), ["role 3"]);
    assert_eq!(store.object_named(tenant, role, "other").await.expect("asked").map(|object| object.id), Some(Uuid::from_u128(2)));
    assert!(matches!(store.delete_object(tenant, role, first, Some(2)).await, Err(StoreError::Stale { current: 1 })));
    store.delete_object(tenant, role, first, Some(1)).await.expect("removed");
    assert_eq!(store.object(tenant, role, first).await.expect("asked"), None);
    assert!(matches!(store.delete_object(tenant, role, first, None).await, Err(StoreError::NotFound)));
    assert!(store.object(tenant, held, first).await.expect("asked").is_some(), "the other kind's stays");
}

fn once(n: u8, key: &str) -> Once {
    let answer = Answer { request: [n; 32], status: 201, body: vec![n], location: format!("/{n}") };
    Once { token: Uuid::from_u128(u128::from(n)), key: key.into(), request: [n; 32], answer }
}

async fn an_answer_is_kept_for_a_day_and_its_key_is_free_after_that(stage: Stage) {
    let store = &stage.store;
    let accept = |n: u8| {
        let acceptance = crate::Acceptance {
            event: stage.event(&[]),
            takes: vec![],
            policy: None,
            once: Some(Once { token: Uuid::nil(), ..once(n, "k") }),
            plan: None,
        };
        store.accept(stage.tenant, acceptance)
    };
    accept(1).await.expect("the first");
    stage.clock.pass(Duration::from_secs(24 * 3600 - 1));
    assert!(matches!(accept(2).await, Err(StoreError::Replay(answer)) if answer.body == [1] && answer.request == [1; 32]));
    assert_eq!(store.answered(stage.tenant, Uuid::nil(), "k").await.expect("asked").map(|answer| answer.status), Some(201));
    assert_eq!(store.answered(stage.tenant, Uuid::nil(), "other").await.expect("asked"), None);
    stage.clock.pass(Duration::from_secs(1));
    assert_eq!(store.answered(stage.tenant, Uuid::nil(), "k").await.expect("asked"), None);
    accept(3).await.expect("the key is free");
    assert_eq!(store.answered(stage.tenant, Uuid::nil(), "k").await.expect("asked").map(|answer| answer.body), Some(vec![3]));
}

async fn an_alarm_counts_while_it_is_open_and_is_new_after_it_ended(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    assert!(store.raise_alarm(tenant, "apns_our_fault", "first").await.expect("raised"));
    stage.clock.pass(Duration::from_secs(1));
    assert!(!store.raise_alarm(tenant, "apns_our_fault", "again").await.expect("raised"));
    let open = store.alarms(tenant, 10).await.expect("alarms").remove(0);
    assert_eq!((open.count, open.detail.as_str(), open.last_at.since(open.raised_at)), (2, "again", Duration::from_secs(1)));
    assert!(store.clear_alarm(tenant, "apns_our_fault").await.expect("ended"));
    assert!(!store.clear_alarm(tenant, "apns_our_fault").await.expect("ended before"));
    store.raise_alarm(tenant, "disk_low", "x").await.expect("raised");
    let codes: Vec<String> = store.alarms(tenant, 10).await.expect("alarms").into_iter().map(|alarm| alarm.code).collect();
    assert_eq!(codes, ["disk_low", "apns_our_fault"], "open ones first");
    assert!(store.raise_alarm(tenant, "apns_our_fault", "anew").await.expect("raised"));
}

async fn a_backup_holds_what_was_committed(stage: Stage) {
    let place = std::env::temp_dir().join(format!("carillon-story-{}-{:p}", std::process::id(), &stage));
    std::fs::create_dir_all(&place).expect("a folder for the backup");
    stage.store.put_setting(stage.tenant, "retention.days", Some(json!(7)), None).await.expect("set");
    let size = stage.store.size().await.expect("measured");
    assert!(size > 0);
    stage.store.backup(place.clone()).await.expect("copied");
    let copied: u64 =
        std::fs::read_dir(&place).expect("the folder").map(|file| file.expect("a file").metadata().expect("its size").len()).sum();
    assert!(copied > 0);
    assert!(stage.store.backup(place.clone()).await.is_err(), "a backup never replaces one");
    std::fs::remove_dir_all(place).expect("removed");
}
