//! Repeated requests: one effect, the first answer again, never a secret twice.

use super::world::{Reply, World};
use engine::Repeat;
use engine::admin::repeat::Begun;
use serde_json::{Value, json};

async fn ask(world: &World, path: &str, key: &str, body: Value) -> Reply {
    world.ask("POST", path).header("idempotency-key", key).json(body).send().await
}

#[tokio::test]
async fn every_creating_post_gives_its_first_answer_again() {
    let world = World::new().await;
    let (ada, sales) = (world.user("ada@example.org").await, world.group("Sales").await);
    world.add(&sales, "user", &ada).await;
    let device = world.post("/api/v1/devices", json!({"name": "d", "platform": "ios", "ownerId": ada})).await.expect(201).id().to_owned();
    let text = json!({"title": "t", "body": "b", "groups": ["Sales"]});
    let sent = world.post("/api/v1/notifications", text.clone()).await.expect(201).id().to_owned();
    let cases = [
        ("/api/v1/users".to_owned(), json!({"upn": "eve@example.org", "displayName": "Eve", "managerUpn": "ada@example.org"}), true),
        ("/api/v1/groups".into(), json!({"name": "Board"}), true),
        (
            format!("/api/v1/groups/{sales}/members"),
            json!({"add": [{"memberType": "device", "id": device}], "remove": [{"memberType": "user", "id": ada}]}),
            false,
        ),
        ("/api/v1/devices".into(), json!({"name": "e", "platform": "android", "ownerUpn": "ada@example.org", "enrolled": true}), true),
        (format!("/api/v1/devices/{device}/registrations"), json!({"service": "apns", "token": "0aff00112233"}), true),
        ("/api/v1/notifications".into(), text, true),
        (format!("/api/v1/notifications/{sent}/resend"), json!({}), true),
        ("/api/v1/conferencing-bridges".into(), json!({"name": "Paris"}), true),
        ("/api/v1/dial-plans".into(), json!({"name": "Lyon", "numberOfDigitsInExtension": 4}), true),
        ("/api/v1/mailbox-policies".into(), json!({"name": "Quiet", "umDialPlan": "Lyon"}), true),
        (format!("/api/v1/mailboxes/{ada}/enable"), json!({"umMailboxPolicy": "Quiet", "extensions": ["1001"]}), false),
        (format!("/api/v1/conferencing-users/{ada}/enable"), json!({"allowPstnOnlyMeetings": true}), false),
        (format!("/api/v1/conferencing-users/{ada}/send-info"), json!({}), false),
        (format!("/api/v1/conferencing-users/{ada}/disable"), json!({}), false),
        (format!("/api/v1/mailboxes/{ada}/disable"), json!({}), false),
    ];
    for (n, (path, body, located)) in cases.into_iter().enumerate() {
        let key = format!("key-{n}");
        let first = ask(&world, &path, &key, body.clone()).await;
        assert!(first.status.is_success(), "{path}: {}", first.text);
        let again = ask(&world, &path, &key, body.clone()).await;
        let mut kept = first.json.clone();
        if let Some(fields) = kept.as_object_mut() {
            // The PIN, which no mail carries to somebody without an address.
            fields.remove("revealed");
        }
        assert_eq!((again.status, &again.json), (first.status, &kept), "{path}");
        assert_eq!((first.header("idempotent-replay"), again.header("idempotent-replay")), ("", "true"), "{path}");
        assert_eq!(again.header("location"), first.header("location"), "{path}");
        assert_eq!(again.header("etag"), first.header("etag"), "{path}");
        let id = first.json["id"].as_str().or(first.json["object"]["id"].as_str()).unwrap_or("-");
        assert_eq!(first.header("location").ends_with(id), located, "{path}");
        let other = ask(&world, &path, &key, json!({"title": "other"})).await;
        assert_eq!(other.code(), (422, "idempotency_mismatch"), "{path}");
    }
    let users = world.get("/api/v1/users").await;
    assert_eq!(users.json["items"].as_array().map(Vec::len), Some(2), "Eve was made once");
}

#[tokio::test]
async fn secrets_are_not_in_a_repeated_answer() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let draft = json!({"name": "ci", "role": "reader", "expiresIn": "90d"});
    let first = ask(&world, "/api/v1/tokens", "t", draft.clone()).await.expect(201);
    let again = ask(&world, "/api/v1/tokens", "t", draft).await.expect(201);
    assert!(first.json["token"].as_str().is_some_and(|t| t.starts_with("car_")));
    assert!(again.json.get("token").is_none());
    assert_eq!((again.json["id"].clone(), again.json["expiresAt"].clone()), (first.json["id"].clone(), first.json["expiresAt"].clone()));
    let path = format!("/api/v1/users/{ada}/enrolment-codes");
    let first = ask(&world, &path, "c", json!({})).await.expect(201);
    let again = ask(&world, &path, "c", json!({})).await.expect(201);
    assert_eq!(first.json["code"].as_str().map(str::len), Some(14));
    assert!(again.json.get("code").is_none());
    assert_eq!(again.json["expiresAt"], first.json["expiresAt"]);
    let draft = json!({"name": "Paris", "adapterUrl": "https://bridge.example.net/hook"});
    let first = ask(&world, "/api/v1/conferencing-bridges", "b", draft.clone()).await.expect(201);
    let again = ask(&world, "/api/v1/conferencing-bridges", "b", draft).await.expect(201);
    assert!(first.json["revealed"]["adapterSecret"].as_str().is_some_and(|s| s.starts_with("whsec_")), "{}", first.text);
    assert!(again.json.get("revealed").is_none() && !again.text.contains("whsec_"), "{}", again.text);
    let path = format!("/api/v1/conferencing-users/{ada}/enable");
    let first = ask(&world, &path, "p", json!({})).await.expect(200);
    let again = ask(&world, &path, "p", json!({})).await.expect(200);
    let pin = first.json["revealed"]["pin"].as_str().expect("a PIN, for nobody mails it");
    assert!(again.json.get("revealed").is_none() && !again.text.contains(pin), "{}", again.text);
    assert_eq!((&again.json["object"], again.header("etag")), (&first.json["object"], first.header("etag")));
}

#[tokio::test]
async fn a_preview_and_the_act_itself_are_two_requests() {
    let world = World::new().await;
    let draft = json!({"name": "Lyon", "numberOfDigitsInExtension": 4});
    let ahead = ask(&world, "/api/v1/dial-plans?preview=true", "k", draft.clone()).await.expect(200);
    assert_eq!(ahead.json["done"], json!(false));
    let done = ask(&world, "/api/v1/dial-plans", "k", draft.clone()).await.expect(201);
    assert_eq!((done.json["done"].clone(), done.header("idempotent-replay")), (json!(true), ""));
    assert_eq!(ask(&world, "/api/v1/dial-plans?preview=true", "k", draft).await.code(), (422, "idempotency_mismatch"));
}

#[tokio::test]
async fn an_enrolment_is_repeated_by_its_code_and_its_key() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let code = async || {
        let made = world.post(&format!("/api/v1/users/{ada}/enrolment-codes"), json!({})).await.expect(201);
        made.json["code"].as_str().expect("a code").to_owned()
    };
    let enrol = async |key: &str, body: Value| {
        world.ask("POST", "/api/v1/device/enrol").nobody().header("idempotency-key", key).json(body).send().await
    };
    let code_one = code().await;
    let body = json!({"code": code_one, "name": "Phone", "platform": "ios"});
    let first = enrol("e", body.clone()).await.expect(201);
    let again = enrol("e", body.clone()).await.expect(201);
    assert!(first.json["token"].is_string() && again.json.get("token").is_none());
    assert_eq!((again.json["deviceId"].clone(), again.json["userId"].clone()), (first.json["deviceId"].clone(), json!(ada)));
    assert_eq!((first.header("idempotent-replay"), again.header("idempotent-replay")), ("", "true"));
    let other = json!({"code": code_one, "name": "Another", "platform": "ios"});
    assert_eq!(enrol("e", other).await.code(), (422, "idempotency_mismatch"));
    assert_eq!(enrol("f", body).await.code(), (409, "spent"));
    enrol("e", json!({"code": code().await, "name": "Tablet", "platform": "ipados"})).await.expect(201);
}

#[tokio::test]
async fn a_request_that_is_still_open_is_not_done_twice() {
    let world = World::new().await;
    let actor = world.engine.actor(&world.owner).await.expect("the owner");
    let repeat = Repeat { key: "k".into(), request: [0; 32], place: "/api/v1/users".into() };
    let open = world.engine.begin(&actor, &repeat).await.expect("it begins");
    assert!(matches!(open, Begun::Fresh(_)));
    let body = json!({"upn": "eve@example.org", "displayName": "Eve"});
    assert_eq!(ask(&world, "/api/v1/users", "k", body.clone()).await.code(), (409, "idempotency_in_progress"));
    drop(open);
    ask(&world, "/api/v1/users", "k", body).await.expect(201);
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_key() {
    let world = World::new().await;
    let wrong = ask(&world, "/api/v1/users", "k", json!({"upn": "x", "displayName": "Eve"})).await;
    assert_eq!(wrong.code(), (422, "invalid_field"));
    ask(&world, "/api/v1/users", "k", json!({"upn": "eve@example.org", "displayName": "Eve"})).await.expect(201);
}

#[tokio::test]
async fn two_tokens_may_use_the_same_key_and_a_key_ends_after_a_day() {
    let world = World::new().await;
    let second = world.token("owner", &[]).await;
    let body = |upn: &str| json!({"upn": upn, "displayName": "x"});
    ask(&world, "/api/v1/users", "k", body("a@example.org")).await.expect(201);
    let other = world.ask("POST", "/api/v1/users").token(&second).header("idempotency-key", "k").json(body("b@example.org")).send().await;
    assert_eq!((other.status.as_u16(), other.header("idempotent-replay")), (201, ""));
    world.clock.forward(24 * 3_600_000 + 1);
    ask(&world, "/api/v1/users", "k", body("c@example.org")).await.expect(201);
}

#[tokio::test]
async fn keys_that_are_empty_too_long_or_invisible_are_refused() {
    let world = World::new().await;
    for wrong in ["", "a b", &"x".repeat(256)] {
        let reply = ask(&world, "/api/v1/groups", wrong, json!({"name": "x"})).await;
        assert_eq!(reply.code(), (400, "invalid_idempotency_key"), "{wrong:?}");
    }
}
