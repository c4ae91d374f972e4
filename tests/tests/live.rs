//! Frozen and live audiences: somebody leaves a group between acceptance and attempt.

use serde_json::{Value, json};
use std::time::Duration;
use stories::{Org, SOON, Stage, eventually, quiet_now, time_in, token_of, when};

async fn leave(stage: &Stage, group: &str, person: &str) {
    let (group, user) = (stage.api.id("group", group).await, stage.api.id("user", person).await);
    let body = json!({"remove": [{"memberType": "user", "id": user}]});
    assert_eq!(stage.api.post(&format!("groups/{group}/members"), &body).await.fine()["removed"], 1);
}

fn push_of(why: &Value) -> Value {
    why["decisions"].as_array().into_iter().flatten().find(|d| d["channel"] == "apns").cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_left_before_the_hour_gets_a_frozen_one_and_not_a_live_one() {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.person("ada").iphone("ada-phone", "ada").person("bob").iphone("bob-phone", "bob").person("cyd").iphone("cyd-phone", "cyd");
    org.group("inner", &["user:ada"]).group("outer", &["group:inner", "user:bob"]).import(&stage.api).await;
    let at = time_in(Duration::from_secs(4));
    let send = async |mode: &str| {
        let body = json!({"title": mode, "body": "x", "groups": ["outer"], "at": at, "audience": mode});
        stage.api.send(&body).await["id"].as_str().expect("an id").to_owned()
    };
    let (frozen, live) = (send("frozen").await, send("live").await);
    // Ada leaves a nested group, Cyd joins: neither kind of audience grows.
    leave(&stage, "inner", "p-ada").await;
    let (inner, cyd) = (stage.api.id("group", "inner").await, stage.api.id("user", "p-cyd").await);
    stage.api.post(&format!("groups/{inner}/members"), &json!({"add": [{"memberType": "user", "id": cyd}]})).await.fine();
    assert_eq!(stage.apple.stats().requests, 0, "nothing goes before its hour");
    let frozen_done = stage.api.done(&frozen).await;
    let live_done = stage.api.done(&live).await;
    assert_eq!((&frozen_done["counts"]["accepted"], &live_done["counts"]["accepted"]), (&json!(2), &json!(1)), "{live_done}");
    assert_eq!(stage.apple.reached(&token_of("ada-phone")), 1);
    assert_eq!(stage.apple.reached(&token_of("bob-phone")), 2);
    assert_eq!(stage.apple.reached(&token_of("cyd-phone")), 0);
    let push = push_of(&stage.api.why(&live, "p-ada").await);
    assert_eq!(
        (&push["verdict"], &push["reasonCode"], &push["rule"]),
        (&json!("suppress"), &json!("left_audience"), &json!("audience")),
        "{push}"
    );
    let report = stage.api.get(&format!("notifications/{live}/report")).await;
    assert!(report["byReason"]["left_audience"].as_u64().is_some_and(|n| n >= 1), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_left_while_it_was_held_gets_a_frozen_one_and_not_a_live_one() {
    let mut stage = Stage::open().await;
    Org::new().person("ada").iphone("ada-phone", "ada").group("lyon", &["user:ada"]).import(&stage.api).await;
    let ada = stage.api.id("user", "p-ada").await;
    stage.api.patch(&format!("users/{ada}"), &json!({"quietHours": quiet_now()})).await;
    let send = async |mode: &str| {
        let body = json!({"title": mode, "body": "x", "groups": ["lyon"], "audience": mode});
        stage.api.send(&body).await["id"].as_str().expect("an id").to_owned()
    };
    let (frozen, live) = (send("frozen").await, send("live").await);
    for id in [&frozen, &live] {
        eventually("the hold", SOON, async || when(stage.api.notification(id).await["counts"]["held"] == 1)).await;
    }
    leave(&stage, "lyon", "p-ada").await;
    // The audience of acceptance and the membership of today both survive a crash.
    stage.server.kill9();
    stage.server.restart().await;
    assert_eq!(stage.apple.stats().requests, 0);
    stage.api.patch(&format!("users/{ada}"), &json!({"quietHours": null})).await;
    assert_eq!(stage.api.done(&frozen).await["counts"]["accepted"], 1);
    let done = stage.api.done(&live).await;
    assert_eq!(done["counts"]["accepted"], 0, "{done}");
    assert_eq!(push_of(&stage.api.why(&live, "p-ada").await)["reasonCode"], "left_audience");
    assert_eq!(stage.apple.reached(&token_of("ada-phone")), 1);
}
