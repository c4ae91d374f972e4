//! Stories of people, groups, devices, registrations, and the facts that decisions read.

use super::scene::Stage;
use super::stories;
use crate::{
    Answer, DeviceFields, DeviceFilter, Enrolment, FactsDepth, GroupFields, GroupFilter, NewToken, Once, PersonFields, PersonFilter,
    RegistrationFields, StoreError, TokenUse,
};
use model::directory::{
    EnrolmentSource, Environment, Member, MemberKind, NotificationPermission, Ownership, Platform, RegistrationState, Service,
};
use model::{DeviceKey, GroupKey, Locale, PersonKey, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

stories![
    a_person_is_found_by_id_then_external_id_then_name_without_case,
    a_taken_name_names_its_holder,
    an_edit_is_refused_at_another_version,
    people_are_listed_by_key_and_searched_without_case,
    a_repeated_creation_is_answered_as_before,
    whoever_is_deactivated_loses_registrations_tokens_and_codes,
    a_removed_person_leaves_devices_without_an_owner,
    groups_and_devices_may_share_a_name_and_are_all_found,
    groups_may_hold_each_other,
    what_is_removed_leaves_its_groups,
    a_device_that_changes_hands_takes_its_registrations_along,
    a_registration_is_replaced_in_its_place_and_moves_with_its_token,
    a_code_enrols_once_and_in_time,
    facts_are_those_of_the_asked_people_in_order,
    facts_are_as_deep_as_asked_for,
    the_number_of_the_facts_moves_with_each_change_of_them,
];

fn named(upn: &str) -> PersonFields {
    PersonFields {
        upn: upn.into(),
        display_name: upn.to_uppercase(),
        locale: "fr-CA".into(),
        timezone: "Europe/Paris".into(),
        active: true,
        ..PersonFields::default()
    }
}

fn device(name: &str, owner: Option<PersonKey>) -> DeviceFields {
    DeviceFields {
        external_id: None,
        name: name.into(),
        owner,
        platform: Platform::Android,
        ownership: Ownership::Corporate,
        enrolled: true,
        enrolled_by: owner,
        enrolled_source: Some(EnrolmentSource::Api),
        enrolled_at: Some(Timestamp(5)),
        app_installed: true,
        permission: NotificationPermission::Granted,
        play_services: false,
        push_enabled: true,
        last_seen: None,
    }
}

fn registration(token: &str) -> RegistrationFields {
    RegistrationFields {
        service: Service::Fcm,
        app: "org.example.app".into(),
        environment: Environment::Production,
        token: token.into(),
        endpoint: String::new(),
        p256dh: String::new(),
        auth: Vec::new(),
    }
}

fn group(name: &str) -> GroupFields {
    GroupFields { external_id: None, name: name.into(), description: String::new() }
}

fn user(key: PersonKey) -> Member {
    Member { kind: MemberKind::User, key: key.0 }
}

fn nested(key: GroupKey) -> Member {
    Member { kind: MemberKind::Group, key: key.0 }
}

fn thing(key: DeviceKey) -> Member {
    Member { kind: MemberKind::Device, key: key.0 }
}

async fn a_person_is_found_by_id_then_external_id_then_name_without_case(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let fields = PersonFields {
        external_id: Some("E 1".into()),
        licenses: vec!["calls".into()],
        phones: vec!["+33155501234".into()],
        ..named("Ada@example.org")
    };
    let ada = store.create_person(tenant, stage.id(), fields.clone(), None).await.expect("a person");
    assert_eq!((ada.version, &ada.fields), (1, &fields));
    let boss = PersonFields { manager: Some(ada.key), external_id: Some("ada@example.org".into()), ..named("bob@example.org") };
    let bob = store.create_person(tenant, stage.id(), boss, None).await.expect("another person");
    assert_eq!(bob.manager_upn.as_deref(), Some("Ada@example.org"));
    let keys = |found: Vec<crate::Named<PersonKey>>| found.into_iter().map(|n| n.key).collect::<Vec<_>>();
    assert_eq!(keys(store.find_people(tenant, &ada.id.to_string()).await.expect("by id")), [ada.key]);
    assert_eq!(keys(store.find_people(tenant, "E 1").await.expect("by external id")), [ada.key]);
    assert_eq!(keys(store.find_people(tenant, "ADA@EXAMPLE.ORG").await.expect("by name")), [ada.key]);
    assert_eq!(
        keys(store.find_people(tenant, "ada@example.org").await.expect("by external id")),
        [bob.key],
        "an external id comes before a name"
    );
    assert_eq!(keys(store.find_people(tenant, "nobody").await.expect("looked for")), []);
    assert_eq!(store.person(tenant, ada.key).await.expect("read"), Some(ada));
    let (other, _) = store.ensure_tenant("other", Uuid::from_u128(2)).await.expect("another tenant");
    assert_eq!(keys(store.find_people(other.key, "E 1").await.expect("looked for")), [], "tenants do not see each other");
    assert_eq!(store.person(other.key, bob.key).await.expect("read"), None);
}

async fn a_taken_name_names_its_holder(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let ada = store
        .create_person(tenant, stage.id(), PersonFields { external_id: Some("E1".into()), ..named("ada@example.org") }, None)
        .await
        .expect("a person");
    let bob = store.create_person(tenant, stage.id(), named("bob@example.org"), None).await.expect("a person");
    let again = store.create_person(tenant, stage.id(), named("ADA@example.org"), None).await;
    assert!(matches!(again, Err(StoreError::Taken { field: "upn", by }) if by == ada.id), "{again:?}");
    let renamed =
        store.update_person(tenant, bob.key, None, PersonFields { external_id: Some("E1".into()), ..named("bob@example.org") }).await;
    assert!(matches!(renamed, Err(StoreError::Taken { field: "externalId", by }) if by == ada.id), "{renamed:?}");
    let case = store.update_person(tenant, ada.key, None, named("ADA@example.org")).await.expect("one's own name in another case");
    assert_eq!(case.fields.upn, "ADA@example.org");
    let first = GroupFields { external_id: Some("G".into()), ..group("ops") };
    let ops = store.create_group(tenant, stage.id(), first.clone(), None).await.expect("a group");
    let again = store.create_group(tenant, stage.id(), first, None).await;
    assert!(matches!(again, Err(StoreError::Taken { field: "externalId", by }) if by == ops.id), "{again:?}");
}

async fn an_edit_is_refused_at_another_version(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let ada = store.create_person(tenant, stage.id(), named("ada@example.org"), None).await.expect("a person");
    let edited = store.update_person(tenant, ada.key, Some(1), named("ada@example.com")).await.expect("an edit");
    assert_eq!((edited.version, edited.id), (2, ada.id));
    let stale = store.update_person(tenant, ada.key, Some(1), named("ada@example.net")).await;
    assert!(matches!(stale, Err(StoreError::Stale { current: 2 })), "{stale:?}");
    assert!(matches!(store.delete_person(tenant, ada.key, Some(1)).await, Err(StoreError::Stale { current: 2 })));
    assert!(matches!(store.update_person(tenant, PersonKey(99), None, named("x@example.org")).await, Err(StoreError::NotFound)));
    let phone = store.create_device(tenant, stage.id(), device("phone", None), None).await.expect("a device");
    assert!(matches!(store.update_device(tenant, phone.key, Some(9), device("phone", None)).await, Err(StoreError::Stale { current: 1 })));
    store.touch_device(tenant, phone.key, Timestamp(77)).await.expect("touched");
    let seen = store.device(tenant, phone.key).await.expect("read").expect("there");
    assert_eq!((seen.version, seen.fields.last_seen), (1, Some(Timestamp(77))), "a sign of life is no edit");
    store.touch_device(tenant, phone.key, Timestamp(70)).await.expect("touched late");
    assert_eq!(store.device(tenant, phone.key).await.expect("read").expect("there").fields.last_seen, Some(Timestamp(77)));
}

async fn people_are_listed_by_key_and_searched_without_case(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let mut keys = Vec::new();
    for upn in ["ada@example.org", "bob@example.org", "cleo@example.org"] {
        keys.push(store.create_person(tenant, stage.id(), named(upn), None).await.expect("a person").key);
    }
    let emile = PersonFields {
        display_name: "Émile".into(),
        active: false,
        external_id: Some("X-9".into()),
        email: Some("emile.z@example.com".into()),
        ..named("e@example.org")
    };
    keys.push(store.create_person(tenant, stage.id(), emile, None).await.expect("a person").key);
    let list = |filter: PersonFilter, after: u32, limit: u32| {
        let store = store.clone();
        async move {
            store.people(tenant, filter, PersonKey(after), limit).await.expect("a list").into_iter().map(|p| p.key).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(PersonFilter::default(), 0, 2).await, keys[..2]);
    assert_eq!(list(PersonFilter::default(), keys[1].0, 9).await, keys[2..]);
    assert_eq!(list(PersonFilter { search: Some("BO".into()), ..PersonFilter::default() }, 0, 9).await, keys[1..2]);
    assert_eq!(list(PersonFilter { search: Some("émILE".into()), ..PersonFilter::default() }, 0, 9).await, keys[3..]);
    assert_eq!(list(PersonFilter { search: Some("EMILE.Z@".into()), ..PersonFilter::default() }, 0, 9).await, keys[3..], "by mail address");
    assert_eq!(list(PersonFilter { search: Some("x-9".into()), ..PersonFilter::default() }, 0, 9).await, keys[3..]);
    assert_eq!(list(PersonFilter { active: Some(true), ..PersonFilter::default() }, 0, 9).await, keys[..3]);
    assert_eq!(list(PersonFilter { upn: Some("CLEO@example.org".into()), ..PersonFilter::default() }, 0, 9).await, keys[2..3]);
    assert_eq!(list(PersonFilter { external_id: Some("X-9".into()), ..PersonFilter::default() }, 0, 9).await, keys[3..]);
}

async fn a_repeated_creation_is_answered_as_before(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let answer = Answer { request: [1; 32], status: 201, body: b"{}".to_vec(), location: "/x".into() };
    let once = || Some(Once { token: Uuid::from_u128(5), key: "k".into(), request: [1; 32], answer: answer.clone() });
    store.create_person(tenant, stage.id(), named("ada@example.org"), once()).await.expect("a person");
    let repeat = store.create_person(tenant, stage.id(), named("ada@example.org"), once()).await;
    assert!(matches!(repeat, Err(StoreError::Replay(kept)) if *kept == answer), "the repeat comes before the taken name");
    let refused = store
        .create_person(tenant, stage.id(), named("ada@example.org"), Some(Once { key: "other".into(), ..once().expect("given") }))
        .await;
    assert!(matches!(refused, Err(StoreError::Taken { .. })));
    assert_eq!(store.answered(tenant, Uuid::from_u128(5), "other").await.expect("asked"), None, "a refusal is not kept");
}

async fn whoever_is_deactivated_loses_registrations_tokens_and_codes(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let ada = stage.person("ada@example.org").await;
    let bob = stage.person("bob@example.org").await;
    let (phone, _) = stage.phone(ada).await;
    let (other, _) = stage.phone(bob).await;
    for (n, device) in [(1, phone), (2, other)] {
        let token = NewToken { id: stage.id(), hash: [n; 32], name: "app".into(), opens: TokenUse::Device(device), expires_at: None };
        store.create_token(tenant, token, None).await.expect("a token");
    }
    let expires = stage.now().plus(Duration::from_secs(60));
    store.create_code(tenant, [9; 32], ada, expires, None).await.expect("a code");
    let fields = PersonFields { active: false, ..named("ada@example.org") };
    store.update_person(tenant, ada, None, fields.clone()).await.expect("deactivated");
    let retired = &store.registrations(tenant, phone).await.expect("registrations")[0];
    assert_eq!((retired.state, retired.retired_code.as_deref(), retired.version), (RegistrationState::Retired, Some("person_inactive"), 2));
    assert_eq!(store.registrations(tenant, other).await.expect("registrations")[0].state, RegistrationState::Active);
    assert_eq!(store.find_token([1; 32]).await.expect("asked").expect("kept").revoked_at, Some(stage.now()));
    assert_eq!(store.find_token([2; 32]).await.expect("asked").expect("kept").revoked_at, None);
    let enrolment = Enrolment {
        code: [9; 32],
        device_id: stage.id(),
        device: device("new", None),
        token: NewToken { id: stage.id(), hash: [3; 32], name: "app".into(), opens: TokenUse::Device(DeviceKey(0)), expires_at: None },
    };
    assert!(matches!(store.enrol(enrolment, None, stage.now()).await, Err(StoreError::Spent)));
    let back = store.update_person(tenant, ada, None, PersonFields { active: true, ..fields }).await.expect("active again");
    assert!(back.fields.active);
    assert_eq!(
        store.registrations(tenant, phone).await.expect("registrations")[0].state,
        RegistrationState::Retired,
        "what was retired stays so"
    );
}

async fn a_removed_person_leaves_devices_without_an_owner(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let ada = stage.person("ada@example.org").await;
    let (phone, _) = stage.phone(ada).await;
    let ops = store.create_group(tenant, stage.id(), group("ops"), None).await.expect("a group");
    store.change_members(tenant, ops.key, vec![user(ada), thing(phone)], vec![], None).await.expect("members");
    let (before, _) = store.directory_version(tenant).await.expect("a version");
    store.delete_person(tenant, ada, None).await.expect("removed");
    assert!(store.directory_version(tenant).await.expect("a version").0 > before);
    assert_eq!(store.person(tenant, ada).await.expect("read"), None);
    let left = store.device(tenant, phone).await.expect("read").expect("it stays");
    assert_eq!((left.fields.owner, left.owner, left.version), (None, None, 2));
    assert_eq!(store.registrations(tenant, phone).await.expect("registrations"), []);
    assert_eq!(store.memberships(tenant).await.expect("members").1, [(ops.key, thing(phone))]);
    let next = stage.person("ada@example.org").await;
    assert!(next > ada, "keys are never given twice");
    assert_eq!(store.owners_of(tenant, vec![phone, DeviceKey(99)]).await.expect("owners"), [(phone, None)]);
}

async fn groups_and_devices_may_share_a_name_and_are_all_found(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let mut groups = Vec::new();
    let mut devices = Vec::new();
    for _ in 0..12 {
        groups.push(store.create_group(tenant, stage.id(), group("ops"), None).await.expect("a group").key);
        devices.push(store.create_device(tenant, stage.id(), device("phone", None), None).await.expect("a device").key);
    }
    let found = store.find_groups(tenant, "ops").await.expect("found");
    assert_eq!(found.iter().map(|n| n.key).collect::<Vec<_>>(), groups[..10], "at most ten");
    assert_eq!(store.find_devices(tenant, "phone").await.expect("found").len(), 10);
    assert_eq!(store.find_groups(tenant, &found[3].id.to_string()).await.expect("found"), [found[3].clone()]);
    let ext = GroupFields { external_id: Some("ops".into()), ..group("other") };
    let last = store.update_group(tenant, groups[11], None, ext).await.expect("an edit");
    assert_eq!(store.find_groups(tenant, "ops").await.expect("found").len(), 1, "an external id comes before a name");
    let filter = GroupFilter { search: Some("OTH".into()), ..GroupFilter::default() };
    assert_eq!(store.groups(tenant, filter, GroupKey(0), 9).await.expect("listed"), [last]);
    let filter = GroupFilter { name: Some("ops".into()), ..GroupFilter::default() };
    assert_eq!(store.groups(tenant, filter, groups[8], 9).await.expect("listed").len(), 2);
    let filter = DeviceFilter { name: Some("phone".into()), platform: Some(Platform::Android), ..DeviceFilter::default() };
    let listed = store.devices(tenant, filter, devices[9], 9).await.expect("listed");
    assert_eq!(listed.iter().map(|d| d.key).collect::<Vec<_>>(), devices[10..]);
}

async fn groups_may_hold_each_other(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let ada = stage.person("ada@example.org").await;
    let (phone, _) = stage.phone(ada).await;
    let a = store.create_group(tenant, stage.id(), group("a"), None).await.expect("a group").key;
    let b = store.create_group(tenant, stage.id(), group("b"), None).await.expect("a group").key;
    let (version, largest) = store.directory_version(tenant).await.expect("a version");
    assert_eq!(largest, ada);
    let added = store.change_members(tenant, a, vec![nested(b), user(ada), thing(phone)], vec![user(ada)], None).await.expect("members");
    assert_eq!(added, (3, 1), "what is added and removed at once is removed");
    assert_eq!(store.change_members(tenant, b, vec![nested(a), nested(b)], vec![], None).await.expect("a cycle"), (2, 0));
    assert_eq!(store.change_members(tenant, b, vec![nested(a)], vec![user(ada)], None).await.expect("nothing"), (0, 0));
    let (now, all) = store.memberships(tenant).await.expect("members");
    assert_eq!(all, [(a, nested(b)), (a, thing(phone)), (b, nested(a)), (b, nested(b))]);
    assert_eq!(now, version + 2, "only changes move the version");
    let shown = store.members(tenant, a, None, 1).await.expect("shown");
    assert_eq!((shown[0].member, shown[0].name.as_str(), shown.len()), (nested(b), "b", 1));
    let rest = store.members(tenant, a, Some(shown[0].member), 9).await.expect("shown");
    assert_eq!(rest.iter().map(|m| m.member).collect::<Vec<_>>(), [thing(phone)]);
    let missing = store.change_members(tenant, a, vec![user(ada), user(PersonKey(99))], vec![], None).await;
    assert!(matches!(missing, Err(StoreError::NotFound)));
    assert_eq!(store.memberships(tenant).await.expect("members").1.len(), 4, "all or nothing");
}

async fn what_is_removed_leaves_its_groups(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let ada = stage.person("ada@example.org").await;
    let (phone, _) = stage.phone(ada).await;
    let a = store.create_group(tenant, stage.id(), group("a"), None).await.expect("a group").key;
    let b = store.create_group(tenant, stage.id(), group("b"), None).await.expect("a group").key;
    store.change_members(tenant, a, vec![nested(b), user(ada), thing(phone)], vec![], None).await.expect("members");
    store.change_members(tenant, b, vec![nested(a)], vec![], None).await.expect("members");
    store.delete_group(tenant, b, Some(1)).await.expect("removed");
    assert_eq!(store.memberships(tenant).await.expect("members").1, [(a, user(ada)), (a, thing(phone))]);
    let token = NewToken { id: stage.id(), hash: [1; 32], name: "app".into(), opens: TokenUse::Device(phone), expires_at: None };
    store.create_token(tenant, token, None).await.expect("a token");
    store.delete_device(tenant, phone, None).await.expect("removed");
    assert_eq!(store.memberships(tenant).await.expect("members").1, [(a, user(ada))]);
    assert!(store.find_token([1; 32]).await.expect("asked").is_none_or(|token| token.revoked_at.is_some()));
    assert_eq!(store.registrations(tenant, phone).await.expect("registrations"), []);
    assert!(matches!(store.delete_device(tenant, phone, None).await, Err(StoreError::NotFound)));
}

async fn a_device_that_changes_hands_takes_its_registrations_along(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let ada = stage.person("ada@example.org").await;
    let bob = stage.person("bob@example.org").await;
    let (phone, key) = stage.phone(ada).await;
    let (version, _) = store.directory_version(tenant).await.expect("a version");
    let moved = store.update_device(tenant, phone, Some(1), device("phone", Some(bob))).await.expect("moved");
    assert_eq!(moved.owner.map(|(_, upn)| upn).as_deref(), Some("bob@example.org"));
    assert!(store.directory_version(tenant).await.expect("a version").0 > version);
    let page = store.facts(tenant, Arc::from([ada, bob]), FactsDepth::default()).await.expect("facts");
    assert_eq!(page.devices.iter().map(|d| (d.owner, d.key)).collect::<Vec<_>>(), [(bob, phone)]);
    assert_eq!(page.registrations.iter().map(|r| (r.owner, r.device, r.key)).collect::<Vec<_>>(), [(bob, phone, key)]);
    assert_eq!(store.registrations(tenant, phone).await.expect("registrations").len(), 1);
    assert_eq!(store.owners_of(tenant, vec![phone]).await.expect("owners"), [(phone, Some(bob))]);
    let lost = store.update_device(tenant, phone, None, device("phone", Some(PersonKey(99)))).await;
    assert!(matches!(lost, Err(StoreError::NotFound)), "an owner must exist");
}

async fn a_registration_is_replaced_in_its_place_and_moves_with_its_token(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let ada = stage.person("ada@example.org").await;
    let one = store.create_device(tenant, stage.id(), device("one", Some(ada)), None).await.expect("a device").key;
    let two = store.create_device(tenant, stage.id(), device("two", None), None).await.expect("a device").key;
    let first = store.put_registration(tenant, one, stage.id(), registration("t1"), None).await.expect("registered");
    stage.clock.pass(Duration::from_secs(1));
    let again = store.put_registration(tenant, one, stage.id(), registration("t2"), None).await.expect("registered");
    assert_eq!((again.key, again.id, again.version), (first.key, first.id, 2));
    assert_eq!((again.fields.token.as_str(), again.registered_at), ("t2", stage.now()));
    let sandbox = RegistrationFields { environment: Environment::Sandbox, ..registration("t3") };
    let sandbox = store.put_registration(tenant, one, stage.id(), sandbox, None).await.expect("registered");
    assert_ne!(sandbox.key, first.key, "another environment is another place");
    store.put_registration(tenant, two, stage.id(), registration("t2"), None).await.expect("registered elsewhere");
    let old = store.registrations(tenant, one).await.expect("registrations");
    assert_eq!((old[0].state, old[0].retired_code.as_deref()), (RegistrationState::Retired, Some("moved")));
    assert_eq!(old[1].state, RegistrationState::Active);
    let back = store.put_registration(tenant, one, stage.id(), registration("t4"), None).await.expect("registered");
    assert_eq!((back.key, back.state, back.retired_code.as_deref()), (first.key, RegistrationState::Active, None));
    store.delete_registration(tenant, one, sandbox.id).await.expect("removed");
    assert!(matches!(store.delete_registration(tenant, one, sandbox.id).await, Err(StoreError::NotFound)));
    assert_eq!(store.registrations(tenant, one).await.expect("registrations"), [back]);
    assert!(matches!(store.put_registration(tenant, DeviceKey(99), stage.id(), registration("t5"), None).await, Err(StoreError::NotFound)));
}

async fn a_code_enrols_once_and_in_time(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let ada = stage.person("ada@example.org").await;
    let expires = stage.now().plus(Duration::from_secs(60));
    store.create_code(tenant, [1; 32], ada, expires, None).await.expect("a code");
    store.create_code(tenant, [2; 32], ada, expires, None).await.expect("a code");
    let enrolment = |code: u8| Enrolment {
        code: [code; 32],
        device_id: stage.id(),
        device: device("new", None),
        token: NewToken { id: stage.id(), hash: [code; 32], name: "app".into(), opens: TokenUse::Device(DeviceKey(0)), expires_at: None },
    };
    let (whose, new) = store.enrol(enrolment(1), None, stage.now()).await.expect("enrolled");
    assert_eq!((whose, new.fields.owner, new.fields.enrolled_by), (tenant, Some(ada), Some(ada)));
    assert_eq!((new.fields.enrolled_source, new.fields.enrolled_at), (Some(EnrolmentSource::Code), Some(stage.now())));
    let token = store.find_token([1; 32]).await.expect("asked").expect("kept");
    assert_eq!((token.opens, token.owner), (TokenUse::Device(new.key), Some(ada)));
    assert!(matches!(store.enrol(enrolment(1), None, stage.now()).await, Err(StoreError::Spent)), "once");
    assert!(matches!(store.enrol(enrolment(2), None, expires).await, Err(StoreError::Spent)), "in time");
    assert!(matches!(store.enrol(enrolment(3), None, stage.now()).await, Err(StoreError::NotFound)));
    assert_eq!(
        store.devices(tenant, DeviceFilter { owner: Some(ada), ..DeviceFilter::default() }, DeviceKey(0), 9).await.expect("listed").len(),
        1
    );
    assert!(matches!(store.create_code(tenant, [4; 32], PersonKey(99), expires, None).await, Err(StoreError::NotFound)));
}

async fn facts_are_those_of_the_asked_people_in_order(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let mut people = Vec::new();
    for n in 0..60 {
        let key = stage.person(&format!("p{n:03}@example.org")).await;
        people.push(key);
        stage.phone(key).await;
        if n % 2 == 0 {
            stage.phone(key).await;
        }
    }
    store.create_device(tenant, stage.id(), device("nobody's", None), None).await.expect("a device");
    store.delete_person(tenant, people[7], None).await.expect("removed");
    let dense: Vec<PersonKey> = people[..20].to_vec();
    let every_third: Vec<PersonKey> = people.iter().step_by(3).copied().collect();
    let sparse = vec![people[0], people[7], people[59]];
    for asked in [dense, every_third, sparse, vec![people[5]], vec![]] {
        let page = store.facts(tenant, asked.clone().into(), FactsDepth::default()).await.expect("facts");
        let there: Vec<PersonKey> = asked.iter().copied().filter(|key| *key != people[7]).collect();
        assert_eq!(page.people.iter().map(|p| p.key).collect::<Vec<_>>(), there);
        let phones = |key: &PersonKey| if people.iter().position(|p| p == key).expect("asked for").is_multiple_of(2) { 2 } else { 1 };
        let owners: Vec<PersonKey> = there.iter().flat_map(|key| std::iter::repeat_n(*key, phones(key))).collect();
        assert_eq!(page.devices.iter().map(|d| d.owner).collect::<Vec<_>>(), owners);
        assert_eq!(page.registrations.iter().map(|r| r.owner).collect::<Vec<_>>(), owners);
        assert!(page.devices.is_sorted_by_key(|d| (d.owner, d.key)));
    }
    let page = store.facts_range(tenant, people[5], people[9], FactsDepth::default()).await.expect("facts");
    assert_eq!(page.people.len(), 4);
    let page = store.facts_range(tenant, PersonKey(0), PersonKey(u32::MAX), FactsDepth::default()).await.expect("facts");
    assert_eq!((page.people.len(), page.devices.len()), (59, 89), "nobody's devices are left out");
}

async fn facts_are_as_deep_as_asked_for(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let fields =
        PersonFields { email: Some("ada@mail.example.org".into()), quiet_hours: Some("22:00-07:00".into()), ..named("ada@example.org") };
    let ada = store.create_person(tenant, stage.id(), fields, None).await.expect("a person").key;
    let bob = store
        .create_person(tenant, stage.id(), PersonFields { active: false, ..named("bob@example.org") }, None)
        .await
        .expect("a person")
        .key;
    let phone = store
        .create_device(tenant, stage.id(), DeviceFields { enrolled_by: Some(bob), ..device("phone", Some(ada)) }, None)
        .await
        .expect("a device")
        .key;
    let registered = store.put_registration(tenant, phone, stage.id(), registration("secret"), None).await.expect("registered");
    let facts = |depth: FactsDepth| {
        let store = store.clone();
        async move { store.facts(tenant, Arc::from([ada, bob]), depth).await.expect("facts") }
    };
    let page = facts(FactsDepth::default()).await;
    let (first, second) = (&page.people[0], &page.people[1]);
    assert_eq!((first.active, first.has_email, first.locale), (true, true, Locale::Fr));
    assert_eq!((first.quiet_hours.as_deref(), first.timezone.as_deref()), (Some("22:00-07:00"), Some("Europe/Paris")));
    assert_eq!((second.active, second.has_email, second.quiet_hours.as_deref(), second.timezone.as_deref()), (false, false, None, None));
    assert_eq!((&first.mailbox, &page.registrations[0].address), (&None, &None));
    let device = page.devices[0];
    assert_eq!((device.platform, device.enrolled, device.enrolled_by_other, device.play_services), (Platform::Android, true, true, false));
    assert_eq!((page.registrations[0].version, page.registrations[0].registered_at), (1, registered.registered_at));
    let page = facts(FactsDepth { timezones: true, mailboxes: true, addresses: crate::Addresses::Of(Service::Fcm) }).await;
    assert_eq!(page.people[1].timezone.as_deref(), Some("Europe/Paris"));
    assert_eq!(page.people[0].mailbox.as_deref(), Some(&("ada@mail.example.org".to_owned(), "ADA@EXAMPLE.ORG".to_owned())));
    assert_eq!(page.address(&page.registrations[0]).map(|a| a.token), Some("secret"));
    let page = facts(FactsDepth { addresses: crate::Addresses::Of(Service::Apns), ..FactsDepth::default() }).await;
    assert_eq!(page.registrations[0].address, None, "another service's address stays where it is");
}

async fn the_number_of_the_facts_moves_with_each_change_of_them(stage: Stage) {
    let (store, tenant) = (&stage.store, stage.tenant);
    let mut stood = store.facts_version();
    let mut moved = |what: &str| {
        let stands = store.facts_version();
        assert_ne!(stands, stood, "{what}");
        stood = stands;
    };
    let ada = store.create_person(tenant, stage.id(), named("ada@example.org"), None).await.expect("a person").key;
    moved("a person came");
    let fields = PersonFields { quiet_hours: Some("22:00-07:00".into()), ..named("ada@example.org") };
    store.update_person(tenant, ada, None, fields).await.expect("changed");
    moved("a person changed");
    let phone = store.create_device(tenant, stage.id(), device("phone", Some(ada)), None).await.expect("a device").key;
    moved("a device came");
    store.update_device(tenant, phone, None, DeviceFields { play_services: true, ..device("phone", Some(ada)) }).await.expect("changed");
    moved("a device changed");
    let registered = store.put_registration(tenant, phone, stage.id(), registration("t1"), None).await.expect("registered");
    moved("a registration came");
    store.delete_registration(tenant, phone, registered.id).await.expect("removed");
    moved("a registration went");
    store.create_code(tenant, [9; 32], ada, stage.now().plus(Duration::from_secs(60)), None).await.expect("a code");
    let token = NewToken { id: stage.id(), hash: [3; 32], name: "app".into(), opens: TokenUse::Device(DeviceKey(0)), expires_at: None };
    let enrolment = Enrolment { code: [9; 32], device_id: stage.id(), device: device("new", None), token };
    store.enrol(enrolment, None, stage.now()).await.expect("enrolled");
    moved("a device enrolled");
    store.delete_device(tenant, phone, None).await.expect("removed");
    moved("a device went");
    store.delete_person(tenant, ada, None).await.expect("removed");
    moved("a person went");
}
