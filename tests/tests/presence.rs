//! Presence: an open app shows a notification itself, and a dead stream must not swallow the push.

use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use stories::{App, Heard, Org, SOON, Stage, eventually, token_of, when};

/// How long an open stream delays a push (SPEC §2).
const HOLD: Duration = Duration::from_secs(10);

async fn stage_with_ada() -> (Stage, App) {
    let stage = Stage::open().await;
    Org::new().person("ada").iphone("ada-phone", "ada").group("lyon", &["user:ada"]).import(&stage.api).await;
    let app = App::enrol(&stage.api, "ada@example.org", "ada-pad", "ipados").await;
    app.register(&token_of("ada-pad")).await;
    (stage, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_app_gets_it_there_and_not_as_a_push_and_it_stays_until_it_is_dismissed() {
    let (stage, app) = stage_with_ada().await;
    let mut stream = app.stream(None).await;
    let id = stage.api.tell("lyon", "In the app").await;
    let frame = stream.event("notification", SOON).await;
    assert_eq!((&frame.data["eventId"], &frame.data["title"]), (&json!(id), &json!("In the app")));
    app.receipt(&id, "received").await;
    let done = stage.api.done(&id).await;
    let report = stage.api.get(&format!("notifications/{id}/report")).await;
    assert_eq!(report["byReason"]["shown_in_app"], 1, "{report}");
    assert_eq!((&done["counts"]["accepted"], &done["counts"]["received"]), (&json!(1), &json!(1)), "the phone gets its push: {done}");
    app.receipt(&id, "shown").await;
    app.receipt(&id, "opened").await;
    assert_eq!(app.titles().await, ["In the app"], "what was opened stays");
    app.receipt(&id, "dismissed").await;
    assert!(app.inbox().await.is_empty());
    let put_away = app.ask(reqwest::Method::GET, "inbox?dismissed=true", None).await.fine();
    assert!(put_away["items"][0]["dismissedAt"].is_string() && put_away["items"][0]["openedAt"].is_string(), "{put_away}");
    assert_eq!(stage.apple.reached(&token_of("ada-phone")), 1);
    assert_eq!(stage.apple.reached(&token_of("ada-pad")), 0, "no push went to the device whose app was open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_stream_delays_the_push_by_ten_seconds_and_does_not_swallow_it() {
    let (stage, app) = stage_with_ada().await;
    // A phone that went out of reach: its connection stands, nobody reads it.
    let mut frozen = TcpStream::connect(("127.0.0.1", stage.server.port())).expect("the server listens");
    let request = format!(
        "GET /api/v1/device/inbox/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\r\n",
        app.token()
    );
    frozen.write_all(request.as_bytes()).expect("the request goes out");
    let mut head = [0; 12];
    frozen.read_exact(&mut head).expect("the answer begins");
    assert_eq!(&head, b"HTTP/1.1 200");

    let began = Instant::now();
    let id = stage.api.tell("lyon", "Nobody reads").await;
    eventually("the phone's push", SOON, async || when(stage.apple.reached(&token_of("ada-phone")) == 1)).await;
    let held = eventually("the hold", SOON, async || {
        let rows = stage.api.deliveries(&id).await;
        rows.into_iter().find(|row| row["deviceName"] == "ada-pad" && row["state"] == "held")
    })
    .await;
    assert_eq!(held["reasonCode"], "shown_in_app", "{held}");
    assert_eq!(stage.apple.reached(&token_of("ada-pad")), 0);
    eventually("the push that waited", HOLD + SOON, async || when(stage.apple.reached(&token_of("ada-pad")) == 1)).await;
    let took = began.elapsed();
    assert!(took >= HOLD - Duration::from_millis(500), "it waited for only {took:?}");
    assert_eq!(stage.api.done(&id).await["counts"]["accepted"], 2);
    assert_eq!(stage.apple.stats().repeats, 0);
    drop(frozen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_says_nothing_gets_the_push_and_one_that_closed_gets_it_at_once() {
    let (stage, app) = stage_with_ada().await;
    let mut stream = app.stream(None).await;
    let id = stage.api.tell("lyon", "Silence").await;
    stream.event("notification", SOON).await;
    // It has it, and does not say so: stuck.
    eventually("the push that waited", HOLD + SOON, async || when(stage.apple.reached(&token_of("ada-pad")) == 1)).await;
    stage.api.done(&id).await;
    drop(stream);
    let began = Instant::now();
    eventually("a push at once", SOON, async || {
        // How soon a server hears of a closed connection is the system's affair; each try is a notification of its own.
        let before = stage.apple.reached(&token_of("ada-pad"));
        let body = json!({"title": "At once", "body": "x", "users": ["ada@example.org"]});
        stage.api.send(&body).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        when(stage.apple.reached(&token_of("ada-pad")) > before)
    })
    .await;
    assert!(began.elapsed() < HOLD, "a closed app is not waited for: {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_resumes_behind_the_last_event_and_beats_while_nothing_happens() {
    let (stage, app) = stage_with_ada().await;
    let mut stream = app.stream(None).await;
    let Heard::Frame(first) = stream.next(SOON).await else { panic!("the stream begins with its retry time") };
    assert_eq!(first.retry, Some(2_000));
    stage.api.tell("lyon", "One").await;
    let one = stream.event("notification", SOON).await;
    assert_eq!(one.id, one.data["seq"].as_i64(), "the id is the place in the inbox");
    drop(stream);
    for title in ["Two", "Three"] {
        stage.api.tell("lyon", title).await;
    }
    let mut resumed = app.stream(one.id).await;
    for title in ["Two", "Three"] {
        assert_eq!(resumed.event("notification", SOON).await.data["title"], title);
    }
    stage.api.tell("lyon", "Four").await;
    assert_eq!(resumed.event("notification", SOON).await.data["title"], "Four", "nothing twice, nothing missing");
    let mut fresh = app.stream(None).await;
    stage.api.tell("lyon", "Five").await;
    assert_eq!(fresh.event("notification", SOON).await.data["title"], "Five", "without an id only what is new");
    let began = Instant::now();
    loop {
        match resumed.next(Duration::from_secs(25)).await {
            Heard::Frame(frame) if frame.comment.contains("heartbeat") => break,
            Heard::Frame(_) => {}
            other => panic!("no heartbeat, but {other:?}"),
        }
    }
    assert!(began.elapsed() < Duration::from_secs(20), "a beat every 15 s: {:?}", began.elapsed());
    assert_eq!(app.titles().await, ["Five", "Four", "Three", "Two", "One"]);
}
