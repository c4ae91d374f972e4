//! Objects: made, read, changed under their version, listed in pages, removed, named.

use super::world::World;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn a_change_under_an_old_version_is_refused_and_nothing_is_lost() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let group = world.group("Sales").await;
    let device = world.post("/api/v1/devices", json!({"name": "d", "platform": "ios"})).await.expect(201).id().to_owned();
    let cases = [
        (format!("/api/v1/users/{ada}"), "displayName"),
        (format!("/api/v1/groups/{group}"), "name"),
        (format!("/api/v1/devices/{device}"), "name"),
    ];
    for (path, field) in cases {
        let read = world.get(&path).await.expect(200);
        assert_eq!(read.header("etag"), "\"1\"");
        let change = |etag: &str, value: &str| world.ask("PATCH", &path).header("if-match", etag).json(json!({field: value}));
        let first = change("\"1\"", "One").send().await.expect(200);
        assert_eq!((first.header("etag"), first.json["version"].as_i64()), ("\"2\"", Some(2)));
        let late = change("\"1\"", "Two").send().await;
        assert_eq!(late.code(), (412, "stale"));
        assert!(late.json["detail"].as_str().is_some_and(|d| d.contains("at version 2")));
        assert_eq!(world.get(&path).await.json[field], "One");
        change("*", "Three").send().await.expect(200);
        assert_eq!(change("3", "Four").send().await.code(), (400, "invalid_if_match"));
        assert_eq!(world.ask("DELETE", &path).header("if-match", "\"1\"").send().await.code(), (412, "stale"));
        world.ask("DELETE", &path).header("if-match", "\"3\"").send().await.expect(204);
        assert_eq!(world.get(&path).await.code(), (404, "not_found"));
    }
}

#[tokio::test]
async fn an_act_under_an_old_version_is_refused_and_nothing_is_done() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    world.post("/api/v1/dial-plans", json!({"name": "Lyon", "numberOfDigitsInExtension": 4})).await.expect(201);
    let plan = "/api/v1/dial-plans/lyon";
    let read = world.get(plan).await.expect(200);
    assert_eq!(read.header("etag"), "\"1\"");
    let change = |etag: &str, on: bool| world.ask("PATCH", plan).header("if-match", etag).json(json!({"faxEnabled": on}));
    let first = change("\"1\"", false).send().await.expect(200);
    assert_eq!((first.header("etag"), first.json["object"]["version"].as_i64()), ("\"2\"", Some(2)));
    assert_eq!(change("\"1\"", true).send().await.code(), (412, "stale"));
    assert_eq!(change("2", true).send().await.code(), (400, "invalid_if_match"));
    let same = change("\"2\"", false).send().await.expect(200);
    assert_eq!((same.header("etag"), same.json["done"].clone()), ("\"2\"", json!(true)), "what changes nothing keeps the version");
    assert_eq!(world.ask("DELETE", plan).header("if-match", "\"1\"").send().await.code(), (412, "stale"));
    let box_of = format!("/api/v1/mailboxes/{ada}");
    let draft = json!({"umMailboxPolicy": "Lyon Default Policy", "extensions": ["1001"]});
    let enable = |etag: &str| world.ask("POST", &format!("{box_of}/enable")).header("if-match", etag).json(draft.clone());
    assert_eq!(enable("\"3\"").send().await.code(), (412, "stale"), "there is none of which a version was read");
    enable("*").send().await.expect(200);
    let disable = |etag: &str| world.ask("POST", &format!("{box_of}/disable")).header("if-match", etag);
    assert_eq!(disable("\"2\"").send().await.code(), (412, "stale"));
    disable("\"1\"").send().await.expect(200);
    assert_eq!(world.get(&box_of).await.code(), (404, "not_found"));
}

#[tokio::test]
async fn a_change_that_changes_nothing_keeps_the_version() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let reply = world.ask("PATCH", &format!("/api/v1/users/{ada}")).json(json!({"upn": "ada@example.org"})).send().await.expect(200);
    assert_eq!(reply.json["version"], 1);
}

#[tokio::test]
async fn null_clears_and_what_is_left_out_stays() {
    let world = World::new().await;
    world.user("boss@example.org").await;
    let whole = json!({
        "upn": "ada@example.org", "displayName": "Ada", "email": "ada@example.org", "externalId": "E1", "locale": "fr-CA",
        "timezone": "Europe/Paris", "licenses": ["E3", "E3", "P1"], "managerUpn": "boss@example.org", "phones": ["+33155501234"],
        "quietHours": "22:00-07:00"
    });
    let made = world.post("/api/v1/users", whole).await.expect(201);
    assert_eq!(made.json["licenses"], json!(["E3", "P1"]));
    assert_eq!(made.json["managerUpn"], "boss@example.org");
    let path = format!("/api/v1/users/{}", made.id());
    let change = json!({"email": null, "externalId": null, "locale": null, "timezone": null, "licenses": null, "managerUpn": null, "phones": null, "quietHours": ""});
    let after = world.ask("PATCH", &path).json(change).send().await.expect(200);
    for cleared in ["email", "externalId", "managerUpn", "quietHours"] {
        assert_eq!(after.json[cleared], Value::Null, "{cleared}");
    }
    assert_eq!((after.json["locale"].as_str(), after.json["timezone"].as_str()), (Some("en"), Some("UTC")));
    assert_eq!((after.json["licenses"].clone(), after.json["phones"].clone()), (json!([]), json!([])));
    assert_eq!((after.json["upn"].as_str(), after.json["displayName"].as_str()), (Some("ada@example.org"), Some("Ada")));
}

#[tokio::test]
async fn unique_fields_name_who_has_the_value() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let reply = world.post("/api/v1/users", json!({"upn": "ADA@example.org", "displayName": "x"})).await;
    assert_eq!(reply.code(), (409, "taken"));
    assert_eq!(reply.faults()[0].0, "upn");
    assert!(reply.json["detail"].as_str().is_some_and(|d| d.contains(&ada)), "{}", reply.text);
}

#[tokio::test]
async fn lists_come_in_pages_that_neither_miss_nor_repeat() {
    let world = World::new().await;
    for n in 0..23 {
        world.user(&format!("user{n:02}@example.org")).await;
        world.group(&format!("Group {n:02}")).await;
        world.post("/api/v1/devices", json!({"name": format!("device {n:02}"), "platform": "linux"})).await.expect(201);
    }
    let everyone = world.group("Everyone").await;
    for n in 0..23 {
        world.add(&everyone, "user", &format!("user{n:02}@example.org")).await;
        world.add(&everyone, "group", &format!("Group {n:02}")).await;
    }
    for (list, count) in
        [("/api/v1/users", 23_usize), ("/api/v1/groups", 24), ("/api/v1/devices", 23), (&format!("/api/v1/groups/{everyone}/members"), 46)]
    {
        let (mut seen, mut path, mut pages) = (BTreeSet::new(), format!("{list}?limit=10"), 0);
        loop {
            let page = world.get(&path).await.expect(200);
            pages += 1;
            let items = page.json["items"].as_array().expect("items");
            assert!(items.len() <= 10);
            for item in items {
                assert!(seen.insert(item["id"].as_str().expect("an id").to_owned()), "{list}: twice");
            }
            match page.json["nextCursor"].as_str() {
                Some(cursor) => path = format!("{list}?limit=10&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!((seen.len(), pages), (count, count.div_ceil(10)), "{list}");
    }
    let users = world.get("/api/v1/users?limit=2").await;
    let cursor = users.json["nextCursor"].as_str().expect("a cursor");
    assert_eq!(world.get(&format!("/api/v1/groups?cursor={cursor}")).await.code(), (422, "invalid_field"));
}

#[tokio::test]
async fn lists_are_filtered() {
    let world = World::new().await;
    let ada =
        world.post("/api/v1/users", json!({"upn": "ada@example.org", "displayName": "Ada Lovelace", "externalId": "E1"})).await.expect(201);
    world.post("/api/v1/users", json!({"upn": "eve@example.org", "displayName": "Eve", "active": false})).await.expect(201);
    let count = async |path: &str| world.get(path).await.expect(200).json["items"].as_array().map_or(0, Vec::len);
    assert_eq!(count("/api/v1/users?search=LOVE").await, 1);
    assert_eq!(count("/api/v1/users?upn=ADA@example.org").await, 1);
    assert_eq!(count("/api/v1/users?externalId=E1").await, 1);
    assert_eq!(count("/api/v1/users?active=false").await, 1);
    assert_eq!(count("/api/v1/users?active=true&search=eve").await, 0);
    let owner = ada.id();
    world.post("/api/v1/devices", json!({"name": "one", "platform": "ios", "ownerId": owner, "externalId": "D1"})).await.expect(201);
    world.post("/api/v1/devices", json!({"name": "two", "platform": "android"})).await.expect(201);
    assert_eq!(count("/api/v1/devices?owner=ada@example.org").await, 1);
    assert_eq!(count("/api/v1/devices?platform=android").await, 1);
    assert_eq!(count("/api/v1/devices?name=one&externalId=D1").await, 1);
}

#[tokio::test]
async fn an_ambiguous_name_lists_the_ids() {
    let world = World::new().await;
    let twins = [world.group("Twins").await, world.group("Twins").await];
    let found = world.get("/api/v1/resolve?kind=group&name=Twins").await.expect(200);
    assert_eq!(found.json["items"].as_array().map(Vec::len), Some(2));
    let reply = world.post("/api/v1/tokens", json!({"name": "x", "role": "reader", "scope": {"groups": ["Twins"]}})).await;
    assert_eq!(reply.faults(), [("scope.groups[0]", "\"Twins\" is the name of 2 groups; give the id of one")]);
    let ids: BTreeSet<&str> = reply.json["ids"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
    assert_eq!(ids, twins.iter().map(String::as_str).collect());
    let send = world.post("/api/v1/notifications", json!({"title": "t", "body": "b", "groups": ["Twins"]})).await;
    assert_eq!((send.code(), send.faults()[0].0), ((422, "invalid_field"), "groups[0]"));
    assert_eq!(send.json["ids"].as_array().map(Vec::len), Some(2), "{}", send.text);
    assert!(world.get("/api/v1/resolve?kind=group&name=Nobody").await.expect(200).json["items"] == json!([]));
}

#[tokio::test]
async fn members_are_added_and_removed_as_one_and_counted() {
    let world = World::new().await;
    let (sales, ada) = (world.group("Sales").await, world.user("ada@example.org").await);
    world.group("Inner").await;
    let path = format!("/api/v1/groups/{sales}/members");
    let add = json!({"add": [{"memberType": "user", "id": "ada@example.org"}, {"memberType": "user", "id": ada}, {"memberType": "group", "id": "Inner"}]});
    assert_eq!(world.post(&path, add.clone()).await.expect(200).json, json!({"added": 2, "removed": 0}));
    assert_eq!(world.post(&path, add).await.expect(200).json, json!({"added": 0, "removed": 0}));
    let half = json!({"add": [{"memberType": "group", "id": "Sales"}, {"memberType": "user", "id": "nobody"}]});
    assert_eq!(world.post(&path, half).await.code(), (422, "invalid_field"));
    let members = world.get(&path).await.expect(200);
    assert_eq!(members.json["items"].as_array().map(Vec::len), Some(2), "nothing was partly applied");
    let both = json!({"add": [{"memberType": "user", "id": ada}], "remove": [{"memberType": "user", "id": ada}]});
    assert_eq!(world.post(&path, both).await.faults()[0].0, "add[0]");
    let remove = json!({"remove": [{"memberType": "user", "id": ada}, {"memberType": "group", "id": sales}]});
    assert_eq!(world.post(&path, remove).await.expect(200).json, json!({"added": 0, "removed": 1}));
}

#[tokio::test]
async fn an_enrolled_device_says_by_whom_and_how() {
    let world = World::new().await;
    world.user("ada@example.org").await;
    world.user("eve@example.org").await;
    let draft = json!({"name": "d", "platform": "android", "ownerUpn": "ada@example.org", "enrolled": true});
    let made = world.post("/api/v1/devices", draft).await.expect(201);
    assert_eq!((made.json["enrolledByUpn"].as_str(), made.json["enrolledSource"].as_str()), (Some("ada@example.org"), Some("api")));
    assert!(made.json["enrolledAt"].is_string());
    let path = format!("/api/v1/devices/{}", made.id());
    let other = world.ask("PATCH", &path).json(json!({"enrolledByUpn": "eve@example.org"})).send().await.expect(200);
    assert_eq!(other.json["enrolledByUpn"], "eve@example.org");
    let gone = world.ask("PATCH", &path).json(json!({"enrolled": false, "ownerId": null})).send().await.expect(200);
    for field in ["enrolledByUpn", "enrolledSource", "enrolledAt", "ownerId", "ownerUpn"] {
        assert_eq!(gone.json[field], Value::Null, "{field}");
    }
}

#[tokio::test]
async fn registrations_show_no_secret_and_a_token_moves_with_its_phone() {
    let world = World::new().await;
    let device =
        async |name: &str| world.post("/api/v1/devices", json!({"name": name, "platform": "ios"})).await.expect(201).id().to_owned();
    let (one, two) = (device("one").await, device("two").await);
    let path = |id: &str| format!("/api/v1/devices/{id}/registrations");
    let made = world.post(&path(&one), json!({"service": "apns", "token": "0aff0011223344556677"})).await.expect(201);
    assert_eq!((made.json["token"].as_str(), made.json["state"].as_str()), (Some("0aff0011…"), Some("active")));
    assert!(!made.text.contains("0aff0011223344556677"));
    world.post(&path(&two), json!({"service": "apns", "token": "0aff0011223344556677"})).await.expect(201);
    let before = world.get(&path(&one)).await.expect(200);
    assert_eq!(
        (before.json["items"][0]["state"].as_str(), before.json["items"][0]["retiredCode"].as_str()),
        (Some("retired"), Some("moved"))
    );
    let again = world.post(&path(&one), json!({"service": "apns", "token": "0aff00112233445566ff"})).await.expect(201);
    assert_eq!((again.id(), again.json["state"].as_str()), (made.id(), Some("active")));
    world.ask("DELETE", &format!("{}/{}", path(&one), made.id())).send().await.expect(204);
    assert_eq!(world.ask("DELETE", &format!("{}/{}", path(&one), made.id())).send().await.code(), (404, "not_found"));
}

#[tokio::test]
async fn settings_are_checked_versioned_and_returned_to_their_default() {
    let world = World::new().await;
    let all = world.get("/api/v1/settings").await.expect(200);
    let keys: Vec<&str> = all.json["items"].as_array().expect("items").iter().filter_map(|s| s["key"].as_str()).collect();
    for key in ["push.apns.enabled", "limits.group_sends_per_hour", "retention.days", "custom.email", "quiet_hours.default"] {
        assert!(keys.contains(&key), "{key}");
    }
    let path = "/api/v1/settings/retention.days";
    let read = world.get(path).await.expect(200);
    assert_eq!(
        (read.json["value"].as_i64(), read.json["type"].as_str(), read.json["most"].as_i64()),
        (Some(30), Some("number"), Some(3650))
    );
    let etag = read.header("etag").to_owned();
    let set = world.ask("PUT", path).header("if-match", &etag).json(json!({"value": 7})).send().await.expect(200);
    assert_eq!(set.json["value"], 7);
    assert_ne!(set.header("etag"), etag);
    assert_eq!(world.ask("PUT", path).header("if-match", &etag).json(json!({"value": 8})).send().await.code(), (412, "stale"));
    let reset = world.ask("DELETE", path).send().await.expect(200);
    assert_eq!((reset.json["value"].clone(), reset.json["default"].clone()), (json!(30), json!(30)));
    several_settings_are_changed_together_or_not_at_all(&world).await;
    let unknown = world.get("/api/v1/settings/push.apn.enabled").await;
    assert_eq!(unknown.code(), (404, "not_found"));
    assert!(unknown.json["detail"].as_str().is_some_and(|d| d.contains("push.apns.enabled")), "{}", unknown.text);
    let french = world.ask("GET", path).header("accept-language", "fr").send().await;
    assert!(french.json["help"].as_str().is_some_and(|h| h.contains("Jours de conservation")));
}

async fn several_settings_are_changed_together_or_not_at_all(world: &World) {
    let all = "/api/v1/settings";
    let change = |values: Value| world.ask("PATCH", all).json(json!({ "values": values }));
    let from = |name: &str| format!("conferencing.send_email_from_{name}");
    let value = async |key: &str| world.get(&format!("{all}/{key}")).await.expect(200).json["value"].clone();
    let version = async || world.get("/api/v1/settings/retention.days").await.expect(200).header("etag").to_owned();
    let first = version().await;
    // A fault of one leaves all as they are, and so do values that do not go together.
    let refused = change(json!({"retention.days": 7, "push.apns.enabled": "no"})).send().await;
    assert_eq!(refused.faults()[0].0, "values.push.apns.enabled");
    let refused = change(json!({"retention.days": 7, (from("override")): true})).send().await;
    assert_eq!((refused.code(), refused.faults()[0].0), ((422, "invalid_field"), "values.conferencing.send_email_from_address"));
    let alone = world.ask("PUT", &format!("{all}/{}", from("override"))).json(json!({"value": true})).send().await;
    assert_eq!(alone.faults()[0].0, "value", "{}", alone.text);
    assert_eq!((value("retention.days").await, version().await), (json!(30), first.clone()));
    let done = change(
        json!({"retention.days": 7, (from("override")): true, (from("address")): "team@example.org", (from("display_name")): "Team"}),
    )
    .header("if-match", &first)
    .send()
    .await
    .expect(200);
    assert_eq!(done.json["items"].as_array().map(Vec::len), Some(4));
    assert_eq!((value("retention.days").await, value(&from("override")).await), (json!(7), json!(true)));
    assert_eq!(change(json!({"retention.days": 8})).header("if-match", &first).send().await.code(), (412, "stale"));
    change(json!({"retention.days": null, (from("override")): null})).send().await.expect(200);
    assert_eq!((value("retention.days").await, value(&from("override")).await), (json!(30), json!(false)));
}
