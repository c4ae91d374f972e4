//! A request that is repeated: the first answer again, never a second notification.

use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use stories::{Org, Reply, Stage};

async fn keyed(stage: &Stage, path: &str, body: &Value, key: &str) -> Reply {
    stage.api.ask(Method::POST, path, Some(body), &[("idempotency-key", key)]).await
}

fn draft(title: &str) -> Value {
    json!({"title": title, "body": "x", "groups": ["lyon"]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_gets_the_first_answer_and_another_body_is_refused() {
    let mut stage = Stage::open().await;
    Org::new().person("ada").iphone("ada-phone", "ada").group("lyon", &["user:ada"]).import(&stage.api).await;
    let first = keyed(&stage, "notifications", &draft("Once"), "key-1").await;
    assert_eq!(first.header("idempotent-replay"), "");
    assert!(first.header("location").ends_with(first.body["id"].as_str().expect("an id")), "{:?}", first.headers);
    let first = first.with(201);
    stage.server.kill9();
    stage.server.restart().await;
    let again = keyed(&stage, "notifications", &draft("Once"), "key-1").await;
    assert_eq!(again.header("idempotent-replay"), "true");
    let again = again.with(201);
    for field in ["id", "eventId", "title", "createdAt"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    let other = keyed(&stage, "notifications", &draft("Twice"), "key-1").await;
    assert_eq!(other.problem(422), "idempotency_mismatch");
    assert_ne!(keyed(&stage, "notifications", &draft("Once"), "key-2").await.with(201)["id"], first["id"]);
    let elsewhere = keyed(&stage, "tokens", &json!({"name": "x", "role": "reader"}), "key-1").await;
    assert_eq!(elsewhere.problem(422), "idempotency_mismatch", "the path belongs to the request");
    for key in ["", "ü", &"k".repeat(256), "with\ttab"] {
        let Ok(wrong) = stage.api.attempt(Method::POST, "notifications", Some(&draft("Wrong")), &[("idempotency-key", key)]).await else {
            continue;
        };
        assert_eq!(wrong.status, 400, "{key:?}: {}", wrong.body);
    }
    assert_eq!(stage.api.all("notifications").await.len(), 2);
    stage.api.done(first["id"].as_str().expect("an id")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_repeats_at_the_same_time_make_one_notification() {
    let stage = Stage::open().await;
    Org::new().person("ada").iphone("ada-phone", "ada").group("lyon", &["user:ada"]).import(&stage.api).await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let api = stage.api.clone();
        tasks.push(tokio::spawn(async move {
            api.ask(Method::POST, "notifications", Some(&draft("Once")), &[("idempotency-key", "one-key")]).await
        }));
    }
    let mut ids = BTreeSet::new();
    for task in tasks {
        let reply = task.await.expect("no request panics");
        match reply.status {
            201 => drop(ids.insert(reply.body["id"].to_string())),
            409 => assert_eq!(reply.problem(409), "idempotency_in_progress"),
            other => panic!("{other}: {}", reply.body),
        }
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(stage.api.all("notifications").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_creating_request_may_be_repeated_and_secrets_are_shown_once() {
    let stage = Stage::open().await;
    Org::new().person("ada").import(&stage.api).await;
    let ada = stage.api.id("user", "p-ada").await;
    let codes = format!("users/{ada}/enrolment-codes");
    let table: [(&str, Value, &str); 5] = [
        ("users", json!({"upn": "bob@example.org", "displayName": "Bob"}), ""),
        ("groups", json!({"name": "Paris"}), ""),
        ("devices", json!({"name": "A phone", "ownerUpn": "ada@example.org", "platform": "ios"}), ""),
        ("tokens", json!({"name": "robot", "role": "reader"}), "token"),
        (&codes, json!({}), "code"),
    ];
    for (path, body, secret) in table {
        let first = keyed(&stage, path, &body, &format!("create-{path}")).await.with(201);
        let again = keyed(&stage, path, &body, &format!("create-{path}")).await;
        assert_eq!(again.header("idempotent-replay"), "true", "{path}");
        let again = again.with(201);
        assert_eq!(again["id"], first["id"], "{path}");
        if !secret.is_empty() {
            assert!(first[secret].is_string(), "{path}: {first}");
            assert!(again.get(secret).is_none_or(Value::is_null), "{path}: a secret is not shown twice");
        }
    }
    assert_eq!((stage.api.all("users").await.len(), stage.api.all("groups").await.len(), stage.api.all("devices").await.len()), (2, 1, 1));
}
