//! Who may do what, and where: roles, scopes, leavers.

use super::world::World;
use http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn each_role_may_what_the_table_of_rights_says() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    world.group("Sales").await;
    world.enrolled(&ada).await;
    let to_group = json!({"title": "t", "body": "b", "groups": ["Sales"]});
    let to_device = json!({"title": "t", "body": "b", "devices": ["a phone"]});
    let switch = json!({"value": true});
    let operations: [(&str, &str, Value); 8] = [
        ("GET", "/api/v1/users", json!({})),
        ("POST", "/api/v1/groups", json!({"name": "x"})),
        ("POST", "/api/v1/notifications", to_group),
        ("POST", "/api/v1/notifications", to_device),
        ("PUT", "/api/v1/settings/push.apns.enabled", switch),
        ("PUT", "/api/v1/settings/retention.days", json!({"value": 30})),
        ("POST", "/api/v1/tokens", json!({"name": "x", "role": "reader"})),
        ("GET", "/api/v1/directory/export/registrations.csv", json!({})),
    ];
    let rights = [
        ("owner", [true, true, true, true, true, true, true, true]),
        ("notification-admin", [true, false, true, true, true, false, false, false]),
        ("help-desk", [true, false, false, true, false, false, false, false]),
        ("auditor", [true, false, false, false, false, false, false, false]),
        ("reader", [true, false, false, false, false, false, false, false]),
    ];
    for (role, may) in rights {
        let token = world.token(role, &[]).await;
        for ((method, path, body), may) in operations.iter().zip(may) {
            let reply = world.ask(method, path).token(&token).json(body.clone()).send().await;
            assert_eq!(reply.status.is_success(), may, "{role} {method} {path}: {}", reply.text);
            if !may {
                assert_eq!(reply.code(), (403, "forbidden"), "{role} {method} {path}");
                assert!(reply.json["detail"].as_str().is_some_and(|d| d.contains('/')), "the permission is named: {}", reply.text);
            }
        }
        let me = world.ask("GET", "/api/v1/me").token(&token).send().await.expect(200);
        assert_eq!((me.json["role"].as_str(), me.json["scope"].clone()), (Some(role), Value::Null));
    }
}

#[tokio::test]
async fn a_device_is_no_administrator_and_an_administrator_is_no_device() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (device, app) = world.enrolled(&ada).await;
    for path in ["/api/v1/users", "/api/v1/settings", "/api/v1/notifications", "/api/v1/tokens", "/api/v1/alarms"] {
        assert_eq!(world.ask("GET", path).token(&app).send().await.code(), (403, "forbidden"), "{path}");
    }
    for path in ["/api/v1/device/inbox", "/api/v1/device/inbox/stream", "/api/v1/device/preferences"] {
        assert_eq!(world.get(path).await.code(), (403, "forbidden"), "{path}");
    }
    let me = world.ask("GET", "/api/v1/me").token(&app).send().await.expect(200);
    assert_eq!((me.json["deviceId"].as_str(), me.json["userId"].as_str()), (Some(device.as_str()), Some(ada.as_str())));
}

/// Two departments; a token for the first, in which the second is not.
async fn departments(world: &World) -> (String, [String; 2], [String; 2]) {
    let (north, south) = (world.group("North").await, world.group("South").await);
    let inner = world.group("Inner").await;
    let (ada, eve) = (world.user("ada@example.org").await, world.user("eve@example.org").await);
    world.add(&north, "group", &inner).await;
    world.add(&inner, "user", &ada).await;
    world.add(&south, "user", &eve).await;
    let token = world.token("owner", &["North"]).await;
    (token, [north, south], [ada, eve])
}

#[tokio::test]
async fn a_scope_shows_its_groups_nested_ones_included_and_nothing_else() {
    let world = World::new().await;
    let (token, groups, people) = departments(&world).await;
    let ask = |path: &str| world.ask("GET", path).token(&token).send();
    let names = |reply: &super::world::Reply, field: &str| -> Vec<String> {
        let items = reply.json["items"].as_array().expect("items");
        items.iter().map(|i| i[field].as_str().expect("a text").to_owned()).collect()
    };
    assert_eq!(names(&ask("/api/v1/users").await.expect(200), "upn"), ["ada@example.org"]);
    assert_eq!(names(&ask("/api/v1/groups").await.expect(200), "name"), ["North", "Inner"]);
    ask(&format!("/api/v1/users/{}", people[0])).await.expect(200);
    assert_eq!(ask(&format!("/api/v1/users/{}", people[1])).await.code(), (403, "out_of_scope"));
    assert_eq!(ask(&format!("/api/v1/groups/{}/members", groups[1])).await.code(), (403, "out_of_scope"));
    assert_eq!(ask("/api/v1/resolve?kind=user&name=eve@example.org").await.expect(200).json["items"], json!([]));
    let me = ask("/api/v1/me").await.expect(200);
    assert_eq!(me.json["scope"]["groups"][0]["name"], "North");
}

#[tokio::test]
async fn devices_within_a_scope_are_those_of_its_people_and_those_in_its_groups() {
    let world = World::new().await;
    let (token, groups, people) = departments(&world).await;
    let make = async |name: &str, owner: Option<&str>| {
        let draft = json!({"name": name, "platform": "ios", "ownerId": owner});
        world.post("/api/v1/devices", draft).await.expect(201).id().to_owned()
    };
    let (owned, foreign, member) =
        (make("owned", Some(&people[0])).await, make("foreign", Some(&people[1])).await, make("member", None).await);
    world.add(&groups[0], "device", &member).await;
    let list = world.ask("GET", "/api/v1/devices").token(&token).send().await.expect(200);
    let seen: Vec<&str> = list.json["items"].as_array().expect("items").iter().filter_map(|d| d["id"].as_str()).collect();
    assert_eq!(seen, [owned.as_str(), member.as_str()]);
    let patch = |id: &str| world.ask("PATCH", &format!("/api/v1/devices/{id}")).token(&token).json(json!({"name": "renamed"})).send();
    patch(&owned).await.expect(200);
    patch(&member).await.expect(200);
    assert_eq!(patch(&foreign).await.code(), (403, "out_of_scope"));
}

#[tokio::test]
async fn a_scope_cannot_be_widened_from_inside() {
    let world = World::new().await;
    let (token, groups, people) = departments(&world).await;
    let add = json!({"add": [{"memberType": "user", "id": people[1]}]});
    let reply = world.ask("POST", &format!("/api/v1/groups/{}/members", groups[0])).token(&token).json(add).send().await;
    assert_eq!(reply.faults()[0].0, "add[0].id", "{}", reply.text);
    for (path, body) in [
        ("/api/v1/users", json!({"upn": "x@example.org", "displayName": "x"})),
        ("/api/v1/groups", json!({"name": "x"})),
        ("/api/v1/devices", json!({"name": "x", "platform": "ios"})),
        ("/api/v1/tokens", json!({"name": "x", "role": "owner"})),
        ("/api/v1/directory/import", json!({})),
    ] {
        let reply = world.ask("POST", path).token(&token).json(body).send().await;
        assert_eq!(reply.code(), (403, "out_of_scope"), "{path}: {}", reply.text);
    }
    let set = world.ask("PUT", "/api/v1/settings/retention.days").token(&token).json(json!({"value": 1})).send().await;
    assert_eq!(set.code(), (403, "out_of_scope"));
}

#[tokio::test]
async fn a_leaver_loses_tokens_codes_and_registrations_at_once() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (device, app) = world.enrolled(&ada).await;
    let inbox = || world.ask("GET", "/api/v1/device/inbox").token(&app).send();
    inbox().await.expect(200);
    world
        .ask("PUT", "/api/v1/device/registration")
        .token(&app)
        .json(json!({"service": "apns", "token": "0aff00112233"}))
        .send()
        .await
        .expect(200);
    let code = world.ask("POST", &format!("/api/v1/users/{ada}/enrolment-codes")).send().await.expect(201);
    let stream = world.ask("GET", "/api/v1/device/inbox/stream").token(&app).request();
    let stream = tower::ServiceExt::oneshot(world.router.clone(), stream).await.expect("a stream");
    assert_eq!(stream.status(), StatusCode::OK);
    world.ask("PATCH", &format!("/api/v1/users/{ada}")).json(json!({"active": false})).send().await.expect(200);
    let refused = inbox().await;
    assert_eq!(refused.code(), (401, "unauthenticated"));
    let registrations = world.get(&format!("/api/v1/devices/{device}/registrations")).await.expect(200);
    assert_eq!(registrations.json["items"][0]["retiredCode"], "person_inactive");
    let draft = json!({"code": code.json["code"], "name": "late", "platform": "ios"});
    assert_eq!(world.ask("POST", "/api/v1/device/enrol").nobody().json(draft).send().await.code(), (409, "spent"));
    assert_eq!(world.ask("POST", &format!("/api/v1/users/{ada}/enrolment-codes")).send().await.code(), (409, "person_inactive"));
    let rest = http_body_util::BodyExt::collect(stream.into_body());
    let rest = tokio::time::timeout(std::time::Duration::from_secs(5), rest).await.expect("the stream ends").expect("in order");
    assert!(rest.to_bytes().starts_with(b"retry: 2000"));
}
