//! What is written down about the work says nothing of its content: a campaign with marked texts, names, addresses and tokens,
//! at the most talkative level, in both formats and on both stores; then everything that was logged, and the metrics, are
//! searched.

use reqwest::Method;
use serde_json::{Value, json};
use servers::PrivatePostgres;
use stories::{App, Org, SOON, Scene, Stage, eventually, token_of};

const TITLE: &str = "Zanzibar quartz meeting";
const BODY: &str = "The xylophone combination is walrus-seventeen";
/// The short name of a person: part of the UPN, the mailbox and the display name.
const PERSON: &str = "marmaduke-ferret";
const DEVICE: &str = "pocket-ferret";
const GROUP: &str = "gerbil-committee";

async fn work(edit: impl FnOnce(&mut Scene)) -> (Stage, Vec<String>, String) {
    let mut stage = Stage::with(|scene| {
        scene.log = "trace";
        edit(scene);
    })
    .await;
    Org::new()
        .person(PERSON)
        .iphone(DEVICE, PERSON)
        .person("badger-nobody")
        .group(GROUP, &[&format!("user:{PERSON}"), "user:badger-nobody"])
        .import(&stage.api)
        .await;
    let app = App::enrol(&stage.api, &format!("{PERSON}@example.org"), "tablet-ferret", "ipados").await;
    let mut stream = app.stream(None).await;
    let mut ids = Vec::new();
    for private in [false, true] {
        let body = json!({"title": TITLE, "body": BODY, "groups": [GROUP], "private": private});
        let headers = [("x-request-id", "story-request-17")];
        let sent = stage.api.ask(Method::POST, "notifications", Some(&body), &headers).await;
        assert_eq!(sent.header("x-request-id"), "story-request-17", "the caller's id is answered");
        ids.push(sent.with(201)["id"].as_str().expect("an id").to_owned());
    }
    stream.event("notification", SOON).await;
    app.receipt(&ids[0], "opened").await;
    for id in &ids {
        stage.api.done(id).await;
    }
    // What is refused is logged too: a body that is wrong, a token that is none, a name that nobody has.
    stage.api.post("notifications", &json!({"title": TITLE, "body": BODY, "groups": [GROUP], "quartz": BODY})).await.problem(400);
    stage.api.with_token("car_xylophone").ask(Method::GET, "users", None, &[]).await.problem(401);
    stage.api.ask(Method::GET, &format!("resolve?kind=user&name={PERSON}-x"), None, &[]).await;
    assert_eq!(stage.apple.reached(&token_of(DEVICE)), 2, "the campaign went out");
    assert_eq!(stage.relay.reached("badger-nobody@mail.example.org"), 2);
    let metrics = stage.api.page("/metrics").await.fine().as_str().expect("text").to_owned();
    let secrets = vec![stage.server.token(), app.token().to_owned()];
    assert!(stage.server.terminate().success());
    (stage, secrets, metrics)
}

/// Nothing of the content, and the work can be seen all the same.
fn search(stage: &Stage, secrets: &[String], metrics: &str) -> String {
    let log = stage.server.log();
    let mut marks = vec![TITLE.to_owned(), BODY.into(), PERSON.into(), DEVICE.into(), GROUP.into(), token_of(DEVICE)];
    marks.extend(
        ["xylophone", "walrus", "quartz", "ferret", "badger", "gerbil", "secret-of-the-relay", "mail.example.org", "car_"]
            .map(str::to_owned),
    );
    marks.extend(["Bearer", "bearer ", "PRIVATE KEY"].map(str::to_owned));
    // Without what all tokens begin with, too.
    marks.extend(secrets.iter().flat_map(|secret| [secret.clone(), secret.trim_start_matches("car_")[..12].to_owned()]));
    for (what, text) in [("the log", log.as_str()), ("the metrics", metrics)] {
        for mark in &marks {
            let line = text.lines().find(|line| line.contains(mark.as_str()));
            assert!(line.is_none(), "{what} holds {mark:?}: {}", line.unwrap_or(""));
        }
    }
    assert!(log.contains("story-request-17") && log.contains("TRACE") | log.contains("DEBUG"), "the search searched something:\n{log}");
    assert!(!log.contains('\u{1b}'), "no colours where no terminal is");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_for_people_says_nothing_of_the_content() {
    let (stage, secrets, metrics) = work(|_| {}).await;
    let log = search(&stage, &secrets, &metrics);
    assert!(
        log.lines().any(|line| line.contains("an event was accepted") && line.contains("request{request=\"story-request-17\"}")),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_json_says_nothing_of_the_content_and_its_names_are_stable() {
    let database = PrivatePostgres::shared().map(PrivatePostgres::database);
    if database.is_none() {
        println!("SKIPPED: the log of the store in PostgreSQL (it is not installed); the embedded store's is searched");
    }
    let (stage, secrets, metrics) = work(|scene| {
        scene.more = "[log]\nformat = \"json\"\nlevel = \"trace\"\n".into();
        scene.database = database;
    })
    .await;
    let log = search(&stage, &secrets, &metrics);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    for line in &lines {
        let text = |name: &str| line[name].as_str().is_some_and(|text| !text.is_empty());
        assert!(["timestamp", "level", "target"].into_iter().all(text), "{line}");
        assert!(line["timestamp"].as_str().is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok()), "{line}");
    }
    let with =
        |message: &str| lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("no line says {message:?}:\n{log}"));
    let accepted = with("an event was accepted");
    assert_eq!((&accepted["span"]["request"], &accepted["kind"]), (&json!("story-request-17"), &json!("custom.notification")));
    assert!(accepted["event"].as_str().is_some_and(|id| id.parse::<uuid::Uuid>().is_ok()), "{accepted}");
    let carried = with("a segment was carried");
    assert!(carried["channel"] == "apns" || carried["channel"] == "email", "{carried}");
    let answered = with("answered");
    assert!(answered["took_ms"].is_number() && answered["status"].is_number() && answered["route"].is_string(), "{answered}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_does_not_end_a_server_without_a_certificate() {
    let stage = Stage::open().await;
    stage.server.signal("HUP");
    eventually("the word about it", SOON, async || stage.server.log().contains("SIGHUP").then_some(())).await;
    assert_eq!(stage.api.page("/healthz").await.fine(), "ok");
}
