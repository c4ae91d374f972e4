//! Deactivating a person: registrations, tokens and streams end at once, and what waits is suppressed.

use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use stories::{App, Heard, Org, SOON, Stage, eventually, quiet_now, token_of};

async fn open() -> (Stage, App) {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.person("leaver").iphone("leaver-phone", "leaver").person("stayer").iphone("stayer-phone", "stayer");
    org.group("all", &["user:leaver", "user:stayer"]).import(&stage.api).await;
    let app = App::enrol(&stage.api, "leaver@example.org", "leaver-pad", "ipados").await;
    app.register(&token_of("leaver-pad")).await;
    (stage, app)
}

async fn assert_gone(stage: &Stage, app: &App, waiting: &str) {
    let refused = app.ask(Method::GET, "inbox", None).await;
    assert_eq!(refused.problem(401), "unauthenticated", "the device's token is dead");
    for device in ["leaver-phone", "leaver-pad"] {
        let id = stage.api.id("device", device).await;
        for registration in stage.api.all(&format!("devices/{id}/registrations")).await {
            assert_eq!(registration["state"], "retired", "{device}: {registration}");
        }
    }
    let why = stage.api.why(waiting, "leaver@example.org").await;
    for push in why["decisions"].as_array().expect("decisions").iter().filter(|d| d["channel"] == "apns") {
        assert_eq!((&push["delivery"]["state"], &push["reasonCode"]), (&json!("suppressed"), &json!("person_inactive")), "{push}");
    }
    let other = stage.api.tell("all", "Without you").await;
    let done = stage.api.done(&other).await;
    assert_eq!(
        (&done["counts"]["recipients"], &done["counts"]["accepted"]),
        (&json!(2), &json!(1)),
        "inactive people stay in the audience: {done}"
    );
    let report = stage.api.get(&format!("notifications/{other}/report")).await;
    assert!(report["byReason"]["person_inactive"].as_u64().is_some_and(|n| n >= 2), "{report}");
    assert_eq!(stage.apple.reached(&token_of("leaver-phone")) + stage.apple.reached(&token_of("leaver-pad")), 0);
    assert_eq!(stage.relay.reached("leaver@mail.example.org"), 0);
}

/// Waits for the end of a stream that an administrator's act closed.
async fn assert_ends(stream: &mut stories::Stream) {
    let mut heard = stream.next(SOON).await;
    while let Heard::Frame(_) = heard {
        heard = stream.next(SOON).await;
    }
    assert_eq!(heard, Heard::End, "the stream is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deactivation_ends_tokens_streams_and_registrations_at_once_and_suppresses_what_waits() {
    let (stage, app) = open().await;
    let leaver = stage.api.id("user", "p-leaver").await;
    stage.api.patch(&format!("users/{leaver}"), &json!({"quietHours": quiet_now()})).await;
    let waiting = stage.api.tell("all", "Waits for the morning").await;
    eventually("the hold", SOON, async || {
        let rows = stage.api.all(&format!("notifications/{waiting}/deliveries?state=held")).await;
        stories::when(rows.len() == 2)
    })
    .await;
    let mut stream = app.stream(None).await;
    stage.server.cli(&["user", "update", "p-leaver", "--active", "false", "--json"]).ended(0);
    assert_gone(&stage, &app, &waiting).await;
    assert_ends(&mut stream).await;
    stage.api.done(&waiting).await;
    // Coming back revives the person, not the old tokens.
    stage.api.patch(&format!("users/{leaver}"), &json!({"active": true})).await;
    assert_eq!(app.ask(Method::GET, "inbox", None).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deactivation_by_import_does_the_same() {
    let (stage, app) = open().await;
    let leaver = stage.api.id("user", "p-leaver").await;
    stage.api.patch(&format!("users/{leaver}"), &json!({"quietHours": quiet_now()})).await;
    let waiting = stage.api.tell("all", "Waits for the morning").await;
    eventually("the hold", SOON, async || {
        let rows = stage.api.all(&format!("notifications/{waiting}/deliveries?state=held")).await;
        stories::when(rows.len() == 2)
    })
    .await;
    let mut stream = app.stream(None).await;
    Org::new().person_with("leaver", |p| p.active = false).import(&stage.api).await;
    eventually("what waits to end", Duration::from_secs(10), async || {
        stories::when(stage.api.all(&format!("notifications/{waiting}/deliveries?state=held")).await.is_empty())
    })
    .await;
    assert_gone(&stage, &app, &waiting).await;
    assert_ends(&mut stream).await;
}
