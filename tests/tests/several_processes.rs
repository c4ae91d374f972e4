//! Several processes on one PostgreSQL: they share the work without doubling it, limits stay exact, a switch that is turned
//! at one stops the others, and apps see everything wherever they are connected. Skipped aloud without PostgreSQL.

use fakes::Mode;
use reqwest::Method;
use serde_json::{Value, json};
use servers::PrivatePostgres;
use std::time::{Duration, Instant};
use stories::{App, Org, SOON, Stage, eventually, token_of, when};

/// Concurrent requests that the fake allows on a connection.
const STREAMS: u32 = 100;
/// Bulk connections of each process.
const CONNECTIONS: u32 = 2;
/// What one process can have sent and not settled when it is stopped or killed: the window on the wire, and the outcomes that
/// were answered and not committed.
const BOUND: u64 = (STREAMS * CONNECTIONS * 2) as u64 + 1_000;
/// Longest wait for a campaign on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A stage whose store is a database of its own; `None`, said aloud, where PostgreSQL is not installed.
async fn stage(connections: u32) -> Option<Stage> {
    let Some(postgres) = PrivatePostgres::shared() else {
        println!("SKIPPED: PostgreSQL is not installed, so no story of several processes was told");
        return None;
    };
    let database = postgres.database();
    let stage = Stage::with(|scene| {
        scene.database = Some(database);
        scene.apple.streams = STREAMS;
        scene.apple.record = 0;
        scene.apns = format!("connections = {connections}");
    });
    Some(stage.await)
}

fn number(value: &Value, key: &str) -> u64 {
    value["counts"][key].as_u64().unwrap_or(0)
}

async fn campaign(stage: &Stage, people: usize, per_second: u32) -> String {
    Org::new().crowd("staff", people).import(&stage.api).await;
    stage.apple.set_mode(Mode::Rate { per_second });
    stage.api.tell("staff", "To everybody").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_stopped_past_its_lease_and_continued_repeats_no_more_than_its_window() {
    const PEOPLE: u64 = 12_000;
    let Some(stage) = stage(CONNECTIONS).await else { return };
    let (other, _) = stage.another(None).await;
    let id = campaign(&stage, PEOPLE as usize, 800).await;
    eventually("a part of it", SOON, async || when(stage.apple.stats().accepted > PEOPLE / 8)).await;
    other.signal("STOP");
    println!("stopped one of two after {} pushes", stage.apple.stats().accepted);
    // Longer than its lease: the other takes its segments over.
    tokio::time::sleep(Duration::from_secs(13)).await;
    other.signal("CONT");
    let done = stage.api.done_within(&id, PATIENCE).await;
    assert_eq!(number(&done, "accepted"), PEOPLE, "{done}");
    let stats = stage.apple.stats();
    println!("{} repeats, bound {BOUND}", stats.repeats);
    assert_eq!(stats.distinct, PEOPLE, "every device was reached: {stats:?}");
    assert!(stats.repeats <= BOUND, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_of_two_processes_is_killed_the_other_does_the_rest() {
    const PEOPLE: u64 = 8_000;
    let Some(stage) = stage(CONNECTIONS).await else { return };
    let (mut other, _) = stage.another(None).await;
    let id = campaign(&stage, PEOPLE as usize, 800).await;
    eventually("a part of it", SOON, async || when(stage.apple.stats().accepted > PEOPLE / 8)).await;
    other.kill9();
    let done = stage.api.done_within(&id, PATIENCE).await;
    assert_eq!((number(&done, "accepted"), number(&done, "planned")), (PEOPLE, PEOPLE), "{done}");
    let stats = stage.apple.stats();
    assert_eq!(stats.distinct, PEOPLE, "every device was reached: {stats:?}");
    assert!(stats.repeats <= BOUND, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_and_started_again_on_its_folder_goes_on_without_waiting_for_its_own_leases() {
    const PEOPLE: u64 = 8_000;
    let Some(mut stage) = stage(CONNECTIONS).await else { return };
    let id = campaign(&stage, PEOPLE as usize, 800).await;
    eventually("a part of it", SOON, async || when(stage.apple.stats().accepted > PEOPLE / 8)).await;
    stage.server.kill9();
    let before = stage.apple.stats().accepted;
    stage.server.restart().await;
    // A lease lasts ten seconds; nobody else is there to take these over.
    let patience = Duration::from_secs(4);
    eventually("the next push", patience, async || when(stage.apple.stats().accepted > before)).await;
    let done = stage.api.done_within(&id, PATIENCE).await;
    assert_eq!(number(&done, "accepted"), PEOPLE, "{done}");
    let stats = stage.apple.stats();
    assert!(stats.distinct == PEOPLE && stats.repeats <= BOUND, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_concurrent_group_sends_at_two_processes_against_a_limit_of_25_accept_exactly_25() {
    let Some(stage) = stage(1).await else { return };
    let (_other, there) = stage.another(None).await;
    Org::new().person("ada").iphone("ada-phone", "ada").group("lyon", &["user:ada"]).import(&stage.api).await;
    let sends: Vec<_> = (0..200)
        .map(|n| {
            let api = if n % 2 == 0 { stage.api.clone() } else { there.clone() };
            let body = json!({"title": format!("Number {n}"), "body": "x", "groups": ["lyon"]});
            tokio::spawn(async move { api.ask(Method::POST, "notifications", Some(&body), &[]).await.status })
        })
        .collect();
    let (mut accepted, mut refused) = (0, 0);
    for send in sends {
        match send.await.expect("no request panics") {
            201 => accepted += 1,
            429 => refused += 1,
            other => panic!("answered {other}"),
        }
    }
    assert_eq!((accepted, refused), (25, 175));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_that_is_turned_off_at_one_process_stops_the_other_within_a_second() {
    const PEOPLE: usize = 20_000;
    let Some(stage) = stage(CONNECTIONS).await else { return };
    let (_other, there) = stage.another(None).await;
    let id = campaign(&stage, PEOPLE, 1_000).await;
    eventually("a part of it", SOON, async || when(stage.apple.stats().accepted > 1_500)).await;
    there.set("push.apns.enabled", json!(false)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // What was on the wire when the switch was turned may still be answered; nothing is sent after it.
    let after_a_second = stage.apple.stats().requests;
    stage.api.done_within(&id, PATIENCE).await;
    let end = stage.apple.stats().requests;
    let wire = u64::from(STREAMS * CONNECTIONS * 2);
    println!("{after_a_second} requests a second after the switch, {end} in the end");
    assert!(end <= after_a_second + wire, "{end} requests, {after_a_second} a second after the switch was turned off");
    let report = stage.api.get(&format!("notifications/{id}/report")).await;
    let pushed = report["byChannel"]["apns"]["accepted"].as_u64().unwrap_or(0);
    let off = report["byReason"]["org_switch_off"].as_u64().unwrap_or(0);
    assert!(pushed < PEOPLE as u64 && off > 0, "{report}");
    assert_eq!(pushed + off, PEOPLE as u64, "everybody is accounted for: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_open_at_one_process_gets_what_is_sent_at_the_other_and_no_push_beside_it() {
    let Some(stage) = stage(1).await else { return };
    let (_other, there) = stage.another(None).await;
    Org::new().person("ada").iphone("ada-phone", "ada").group("lyon", &["user:ada"]).import(&stage.api).await;
    let app = App::enrol(&there, "ada@example.org", "ada-pad", "ipados").await;
    app.register(&token_of("ada-pad")).await;
    let mut stream = app.stream(None).await;
    for (n, title) in ["First", "Second", "Third"].into_iter().enumerate() {
        let id = stage.api.tell("lyon", title).await;
        let frame = stream.event("notification", SOON).await;
        assert_eq!((&frame.data["eventId"], &frame.data["title"]), (&json!(id), &json!(title)));
        app.receipt(&id, "received").await;
        stage.api.done(&id).await;
        assert_eq!(stage.apple.reached(&token_of("ada-phone")), n as u64 + 1, "the phone gets its push");
    }
    assert_eq!(stage.apple.reached(&token_of("ada-pad")), 0, "no push went to the device whose app was open at the other process");
    let id = stage.api.send(&json!({"title": "Later", "body": "x", "users": ["ada@example.org"], "expiresIn": "2h"})).await["id"].clone();
    stream.event("notification", SOON).await;
    stage.api.post(&format!("notifications/{}/cancel", id.as_str().expect("an id")), &json!({})).await;
    stream.event("withdrawn", SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_changes_holds_at_the_other() {
    let Some(stage) = stage(1).await else { return };
    let (_other, there) = stage.another(None).await;
    Org::new()
        .person("ada")
        .iphone("ada-phone", "ada")
        .person("bob")
        .iphone("bob-phone", "bob")
        .group("lyon", &["user:ada"])
        .import(&stage.api)
        .await;
    // Known at the other process before it changes here.
    let id = there.tell("lyon", "Before").await;
    assert_eq!(number(&there.done(&id).await, "recipients"), 1);
    let lyon = stage.api.id("group", "lyon").await;
    let bob = stage.api.id("user", "bob@example.org").await;
    stage.api.post(&format!("groups/{lyon}/members"), &json!({"add": [{"memberType": "user", "id": bob}]})).await.fine();
    let id = there.tell("lyon", "After").await;
    assert_eq!(number(&there.done(&id).await, "recipients"), 2, "the member that was added at the first process");
    let made = stage.api.post("tokens", &json!({"name": "helper", "role": "reader"})).await.with(201);
    let helper = there.with_token(made["token"].as_str().expect("a new token shows its secret once"));
    assert_eq!(helper.ask(Method::GET, "me", None, &[]).await.status, 200);
    stage.api.delete(&format!("tokens/{}", made["id"].as_str().expect("an id"))).await;
    let began = Instant::now();
    eventually("the revocation", SOON, async || when(helper.ask(Method::GET, "me", None, &[]).await.status == 401)).await;
    assert!(began.elapsed() < Duration::from_secs(2), "the token still worked for {:?}", began.elapsed());
    // A person's token holds what is assigned at the first process, within a second, and no longer than that.
    let made = stage.api.post("tokens", &json!({"name": "bob", "user": "bob@example.org"})).await.with(201);
    let bobs = there.with_token(made["token"].as_str().expect("a new token shows its secret once"));
    let status = async || bobs.ask(Method::GET, "users", None, &[]).await.status;
    assert_eq!(status().await, 403);
    let held = json!({"name": "readers", "role": "reader", "users": ["bob@example.org"]});
    let held = stage.api.post("role-assignments", &held).await.with(201);
    eventually("the assignment", SOON, async || when(status().await == 200)).await;
    stage.api.delete(&format!("role-assignments/{}", held["id"].as_str().expect("an id"))).await;
    let began = Instant::now();
    eventually("the end of the assignment", SOON, async || when(status().await == 403)).await;
    assert!(began.elapsed() < Duration::from_secs(2), "the role still held for {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parts_of_the_work_can_be_done_by_processes_of_their_own() {
    let Some(mut stage) = stage(1).await else { return };
    let (deliver, _) = stage.another(Some("deliver")).await;
    assert!(stage.server.terminate().success());
    stage.server.only("api,dispatch,timers");
    stage.server.restart().await;
    let answer = reqwest::get(format!("{}/api/v1/me", deliver.url())).await.expect("an answer");
    assert_eq!(answer.status(), 404, "a process that only delivers answers no requests");
    assert_eq!(reqwest::get(format!("{}/healthz", deliver.url())).await.expect("an answer").status(), 200);
    Org::new().person("ada").iphone("ada-phone", "ada").crowd("staff", 150).import(&stage.api).await;
    let id = stage.api.send(&json!({"title": "One", "body": "x", "users": ["ada@example.org"]})).await["id"].clone();
    stage.api.done(id.as_str().expect("an id")).await;
    let id = stage.api.tell("staff", "Many").await;
    let done = stage.api.done(&id).await;
    assert_eq!(number(&done, "accepted"), 150, "{done}");
}
