//! Later: scheduled notifications, stopping them, and what is not worth telling any more.

use serde_json::json;
use std::time::Duration;
use stories::{App, Org, SOON, Stage, eventually, time_in, token_of, when};

fn lyon() -> Org {
    let mut org = Org::new();
    org.person("ada").iphone("ada-phone", "ada").group("lyon", &["user:ada"]);
    org
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_notification_goes_at_its_hour_even_when_the_server_was_killed_meanwhile() {
    let mut stage = Stage::open().await;
    lyon().import(&stage.api).await;
    let app = App::enrol(&stage.api, "ada@example.org", "ada-pad", "ipados").await;
    let at = time_in(Duration::from_secs(5));
    let sent = stage.server.cli(&["send", "--group", "lyon", "--title", "Lunch", "--body", "x", "--at", &at, "--json"]).ended(0).json();
    assert_eq!((&sent["state"], &sent["dueAt"]), (&json!("scheduled"), &json!(at)), "{sent}");
    let id = sent["id"].as_str().expect("an id");
    assert!(app.inbox().await.is_empty(), "not in the inbox before its hour");
    stage.server.kill9();
    stage.server.restart().await;
    assert_eq!(stage.api.notification(id).await["state"], "scheduled");
    let done = stage.api.done(id).await;
    assert_eq!(done["counts"]["accepted"], 1, "{done}");
    let arrival = stage.apple.arrivals(1).remove(0);
    let due = i64::try_from(arrival.at_micros / 1_000).expect("a date of our times") - millis(&at);
    assert!((0..5_000).contains(&due), "it went {due} ms after its hour");
    assert_eq!(app.titles().await, ["Lunch"]);
}

fn millis(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_one_that_is_cancelled_never_goes() {
    let stage = Stage::open().await;
    lyon().import(&stage.api).await;
    let body = json!({"title": "Never", "body": "x", "groups": ["lyon"], "at": time_in(Duration::from_secs(3))});
    let id = stage.api.send(&body).await["id"].as_str().expect("an id").to_owned();
    let cancelled = stage.server.cli(&["notification", "cancel", &id, "--json"]).ended(0).json();
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    let after = json!({"title": "After", "body": "x", "groups": ["lyon"], "at": time_in(Duration::from_secs(4))});
    let after = stage.api.send(&after).await["id"].as_str().expect("an id").to_owned();
    stage.api.done(&after).await;
    assert_eq!(stage.apple.stats().requests, 1, "the one after it went, the cancelled one did not");
    let why = stage.api.why(&id, "p-ada").await;
    assert!(why.to_string().contains("\"cancelled\""), "{why}");
    stage.server.cli(&["notification", "cancel", &after, "--json"]).ended(5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaves_after_its_expiry_and_what_expired_is_recorded() {
    let stage = Stage::open().await;
    lyon().import(&stage.api).await;
    stage.apple.answer(&token_of("ada-phone"), Some(fakes::apple::Answer::refused(429, "TooManyRequests")));
    let body = json!({"title": "Short", "body": "x", "groups": ["lyon"], "expiresIn": "4s"});
    let id = stage.api.send(&body).await["id"].as_str().expect("an id").to_owned();
    let expires = millis(stage.api.notification(&id).await["expiresAt"].as_str().expect("a time"));
    let done = stage.api.done(&id).await;
    assert_eq!(done["counts"]["expired"], 1, "{done}");
    let arrivals = stage.apple.arrivals(100);
    assert!(arrivals.len() >= 2, "it was tried again while it was worth it");
    assert!(arrivals.iter().all(|a| i64::try_from(a.at_micros / 1_000).is_ok_and(|at| at <= expires + 500)), "nothing after expiry");
    let header = arrivals[0].headers.get("apns-expiration").and_then(|e| e.parse::<i64>().ok());
    assert_eq!(header, Some(expires.div_euclid(1_000)), "Apple is told too");
    let failed = stage.server.cli(&["notification", "watch", &id, "--exit-status", "--json"]);
    assert_eq!(failed.code, 1, "an expired delivery failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_that_make_no_sense_are_refused_with_the_rule() {
    let stage = Stage::open().await;
    lyon().import(&stage.api).await;
    let table = [
        (json!({"at": "tomorrow"}), "at", "RFC 3339"),
        (json!({"at": "2020-01-01T00:00:00Z"}), "at", "passed"),
        (json!({"at": "2199-01-01T00:00:00Z"}), "at", "ahead"),
        (json!({"expiresIn": "soon"}), "expiresIn", "2h"),
        (json!({"expiresIn": "400d"}), "expiresIn", "28 days"),
        (json!({"expiresAt": "2020-01-01T00:00:00Z"}), "expiresAt", "before"),
        (json!({"urgency": "extreme"}), "urgency", "very-low"),
        (json!({"audience": "dead"}), "audience", "frozen"),
    ];
    for (more, field, word) in table {
        let mut body = json!({"title": "x", "body": "x", "groups": ["lyon"]});
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        let refused = stage.api.post("notifications", &body).await;
        assert_eq!(refused.problem(422), "invalid_field", "{more}: {}", refused.body);
        let fault = &refused.body["errors"][0];
        assert_eq!(fault["field"], field, "{}", refused.body);
        assert!(fault["message"].as_str().is_some_and(|m| m.contains(word)), "{fault} lacks {word:?}");
    }
    let unknown = stage.api.post("notifications", &json!({"title": "x", "body": "x", "groups": ["lyon"], "colour": "red"})).await;
    assert_eq!(unknown.problem(400), "unknown_field", "{}", unknown.body);
    assert!(stage.api.all("notifications").await.is_empty());
    eventually("nothing to arrive", SOON, async || when(stage.apple.stats().requests == 0)).await;
}
