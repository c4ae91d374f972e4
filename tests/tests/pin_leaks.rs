//! A PIN stands in the mail to its owner, in the webhook to its bridge and, where mail is off, once in an answer. Everything else
//! is searched for it, on both stores: what is kept (with every log of writes), what is said in logs at their loudest, in metrics,
//! in the API and in the audit; while the mail waits, after a crash, and when it is delivered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use servers::PrivatePostgres;
use std::path::{Path, PathBuf};
use std::process::Command;
use stories::{Bridge, Letter, Org, SOON, Stage, eventually, when};

/// So many digits do not occur by chance.
const DIGITS: usize = 12;

/// Everything that is searched on disk.
fn places(stage: &Stage, postgres: Option<&PrivatePostgres>) -> Vec<PathBuf> {
    if let Some(postgres) = postgres {
        postgres.sql("postgres", "CHECKPOINT");
    }
    let own = stage.server.folder().path().to_owned();
    [Some(own), postgres.map(|postgres| postgres.folder().to_owned())].into_iter().flatten().collect()
}

/// The files below some folders that hold one of these texts.
fn holders(places: &[PathBuf], texts: &[String]) -> Vec<String> {
    let mut grep = Command::new("grep");
    grep.args(["-r", "-a", "-l", "-F", "-D", "skip"]);
    for text in texts {
        grep.args(["-e", text]);
    }
    let output = grep.arg("--").args(places).output().expect("grep can be run");
    // Files may go while they are searched: 2 with nothing found is no find.
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The spellings in which a PIN may be written: as it is, in hexadecimal and in Base64, wherever it begins there.
fn spellings(pin: &str) -> Vec<String> {
    let hex: String = pin.bytes().map(|byte| format!("{byte:02x}")).collect();
    let shifted = |shift: usize| {
        let text = STANDARD.encode([vec![b' '; shift], pin.as_bytes().to_vec()].concat());
        // Without the letters that depend on what stands beside it.
        let from = if shift == 0 { 0 } else { 4 };
        text[from..(text.len() - 4).max(from)].to_owned()
    };
    [pin.to_owned(), hex].into_iter().chain((0..3).map(shifted)).collect()
}

/// What the server says to its owner about everything.
async fn said(stage: &Stage) -> Vec<(&'static str, String)> {
    let person = stage.api.id("user", "ines@example.org").await;
    let data = stage.api.get(&format!("users/{person}/data")).await;
    let mut said = vec![("personal data", data.to_string())];
    for event in data["notifications"].as_array().into_iter().flatten() {
        let id = event["id"].as_str().unwrap_or_default();
        said.push(("why", stage.api.why(id, "ines@example.org").await.to_string()));
        said.push(("deliveries", json!(stage.api.deliveries(id).await).to_string()));
    }
    for list in ["audit", "conferencing-users", "conferencing-bridges", "notifications", "settings"] {
        said.push(("a list", stage.api.get(&format!("{list}?limit=100")).await.to_string()));
    }
    for page in ["/metrics", "/openapi.json"] {
        said.push(("a page", stage.api.page(page).await.fine().to_string()));
    }
    said
}

async fn nowhere(stage: &Stage, postgres: Option<&PrivatePostgres>, pins: &[String], when: &str) {
    let places = places(stage, postgres);
    let texts: Vec<String> = pins.iter().flat_map(|pin| spellings(pin)).collect();
    let found = holders(&places, &texts);
    assert!(found.is_empty(), "{when}: a PIN stands in {found:?}");
    for (what, text) in said(stage).await {
        assert!(!pins.iter().any(|pin| text.contains(pin.as_str())), "{when}: a PIN stands in {what}: {text}");
    }
}

async fn act(stage: &Stage, act: &str, given: Value) -> Value {
    let path = "conferencing-users/ines@example.org";
    match act {
        "change" => stage.api.patch(path, &given).await,
        _ => stage.api.ask(Method::POST, &format!("{path}/{act}"), Some(&given), &[]).await.with(200),
    }
}

/// The PINs that the bridge was told so far.
fn told(bridge: &Bridge) -> Vec<String> {
    let pins = bridge.heard().into_iter().filter_map(|(_, said)| said["data"]["pin"].as_str().map(str::to_owned));
    let mut pins: Vec<String> = pins.collect();
    pins.dedup();
    pins
}

async fn a_pin_stands_nowhere(postgres: Option<&PrivatePostgres>) {
    let mut stage = Stage::with(|scene| {
        scene.database = postgres.map(PrivatePostgres::database);
        scene.log = "trace";
    })
    .await;
    Org::new().person("ines").import(&stage.api).await;
    stage.api.set("conferencing.pin_length", json!(DIGITS)).await;
    let bridge = Bridge::start().await;
    stage.api.post("conferencing-bridges", &json!({"name": "Paris", "adapterUrl": bridge.url()})).await.with(201);
    // The mailbox cannot be reached now, and the bridge confirms nothing yet.
    let address = "ines@mail.example.org";
    stage.relay.answer(address, Some("451 4.3.0 later"));
    let answer = act(&stage, "enable", json!({"bridgeName": "Paris"})).await;
    eventually("the bridge to be told", SOON, async || when(!told(&bridge).is_empty())).await;
    let first = told(&bridge).remove(0);
    assert!(first.len() == DIGITS && first.bytes().all(|byte| byte.is_ascii_digit()), "{first}");
    assert!(!answer.to_string().contains(&first), "{answer}");
    nowhere(&stage, postgres, std::slice::from_ref(&first), "while the bridge is asked").await;
    bridge.answers(204);
    eventually("a try at the mailbox", SOON, async || when(stage.relay.stats().refused > 0)).await;
    nowhere(&stage, postgres, std::slice::from_ref(&first), "while the mail waits").await;
    stage.server.kill9();
    stage.server.restart().await;
    stage.relay.answer(address, None);
    let mail = eventually("the mail", SOON, async || stage.relay.mails(1).pop()).await;
    let letter = Letter::read(vec![mail.content.into_bytes()]).remove(0);
    assert_eq!(letter.line("PIN").1, first, "and it is the mail that has it");
    nowhere(&stage, postgres, std::slice::from_ref(&first), "when it is delivered").await;
    // Another one by mail, and one that is shown once because mail is off.
    act(&stage, "change", json!({"resetLeaderPin": true})).await;
    eventually("the second mail", SOON, async || when(stage.relay.mails(9).len() == 2)).await;
    stage.api.set("conferencing.automatically_send_emails_to_users", json!(false)).await;
    let shown = act(&stage, "change", json!({"resetLeaderPin": true})).await;
    let once = shown["revealed"]["pin"].as_str().expect("a PIN, this once").to_owned();
    eventually("the bridge to be told of all three", SOON, async || when(told(&bridge).contains(&once))).await;
    let mut pins = told(&bridge);
    assert_eq!((pins.len(), &pins[0], &pins[2]), (3, &first, &once));
    nowhere(&stage, postgres, &pins, "after two more").await;
    assert!(stage.server.terminate().success());
    let left = holders(&places(&stage, postgres), &pins.iter().flat_map(|pin| spellings(pin)).collect::<Vec<_>>());
    assert!(left.is_empty(), "after the end a PIN stands in {left:?}");
    // The search searches: what may stand there is found, in the store and in the log.
    pins = vec![letter.line("Conference ID").1];
    let found = holders(&places(&stage, postgres), &pins);
    let kept = if postgres.is_some() { "base" } else { "carillon.db" };
    assert!(found.iter().any(|file| file.contains(kept)), "{pins:?} stands in the store: {found:?}");
    let log = holders(&places(&stage, None), &["an act was done".to_owned()]);
    assert!(log.iter().any(|file| Path::new(file).ends_with("server.log")), "the log was loud: {log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_stands_nowhere_in_the_embedded_store_and_nothing_says_it() {
    a_pin_stands_nowhere(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_stands_nowhere_in_postgresql_and_nothing_says_it() {
    match PrivatePostgres::shared() {
        Some(postgres) => a_pin_stands_nowhere(Some(postgres)).await,
        None => println!("SKIPPED: PostgreSQL is not installed, so it was not searched for a PIN"),
    }
}
