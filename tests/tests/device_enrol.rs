//! A device on the command line: enrols with a code, listens, sends receipts; two processes, as an app would be.

use reqwest::Method;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use stories::{App, Org, SOON, Stage, eventually, when};

/// A child that does not outlive the story.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts an agent; what it prints comes line by line.
fn listen(stage: &Stage, state: &str, more: &[&str]) -> (Agent, Receiver<Value>) {
    let args = [&["agent", "listen", "--state", state, "--json"][..], more].concat();
    let mut command = stage.server.cli_command("", &args);
    let mut agent = Agent(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts"));
    let pipe = agent.0.stdout.take().expect("a pipe");
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let item = serde_json::from_str(&line).expect("a JSON object on each line");
            if tell.send(item).is_err() {
                return;
            }
        }
    });
    (agent, told)
}

/// The next thing printed about this event; what belongs to others is passed over.
fn printed(told: &Receiver<Value>, event: &str) -> Value {
    loop {
        let item = told.recv_timeout(SOON).unwrap_or_else(|e| panic!("the agent prints nothing about {event}: {e}"));
        if item["eventId"] == event {
            return item;
        }
    }
}

fn enroll(stage: &Stage, state: &str) -> Value {
    let code = stage.server.cli(&["user", "enrolment-code", "ada@example.org", "--json"]).ended(0).json();
    let code = code["code"].as_str().expect("a code").to_owned();
    let args = ["agent", "enroll", "--url", &stage.server.url(), "--code", &code, "--name", "Ada's terminal", "--platform", "linux"];
    let enrolled = stage.server.cli_as("", &[&args[..], &["--state", state, "--json"]].concat()).ended(0).json();
    let twice = stage.server.cli_as("", &[&args[..], &["--state", "other.json", "--json"]].concat());
    assert_ne!(twice.code, 0, "a code is good for one device");
    assert_eq!(twice.problem()["code"], "spent");
    enrolled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_enrols_listens_prints_what_arrives_and_confirms_it() {
    let mut stage = Stage::open().await;
    Org::new().person("ada").group("lyon", &["user:ada"]).import(&stage.api).await;
    let state = stage.server.folder().path().join("agent.json");
    let state_text = state.display().to_string();
    let enrolled = enroll(&stage, &state_text);
    assert_eq!(std::fs::metadata(&state).expect("the state file").permissions().mode() & 0o777, 0o600);
    let device = stage.api.get(&format!("devices/{}", enrolled["deviceId"].as_str().expect("an id"))).await;
    assert_eq!(
        (&device["platform"], &device["enrolled"], &device["enrolledSource"]),
        (&json!("linux"), &json!(true), &json!("code")),
        "{device}"
    );
    assert_eq!((&device["ownerUpn"], &device["notificationPermission"]), (&json!("ada@example.org"), &json!("granted")), "{device}");

    let (agent, told) = listen(&stage, &state_text, &["--auto-open"]);
    // A new stream shows only what is new; until it shows something, it is not open yet.
    eventually("the stream to be open", SOON, async || {
        stage.api.send(&json!({"title": "Are you there?", "body": "x", "users": ["ada@example.org"]})).await;
        told.recv_timeout(Duration::from_millis(500)).ok()
    })
    .await;
    let id = stage.api.tell("lyon", "Hello, terminal").await;
    assert_eq!(printed(&told, &id)["title"], "Hello, terminal");
    eventually("three receipts", SOON, async || {
        let counts = stage.api.notification(&id).await["counts"].clone();
        when(counts["received"] == 1 && counts["shown"] == 1 && counts["opened"] == 1)
    })
    .await;
    // The server dies and comes back; the agent finds it and misses nothing.
    stage.server.kill9();
    stage.server.restart().await;
    let second = stage.api.tell("lyon", "Still there?").await;
    assert_eq!(printed(&told, &second)["title"], "Still there?");
    drop(agent);
    let third = stage.api.tell("lyon", "While away").await;
    let (mut resumed, told) = listen(&stage, &state_text, &["--count", "1"]);
    let item = told.recv_timeout(SOON).expect("a line");
    assert_eq!(item["eventId"], third.as_str(), "what came meanwhile is shown, nothing twice");
    assert_eq!(resumed.0.wait().expect("our own child").code(), Some(0), "--count ends it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_sees_and_changes_only_its_own() {
    let stage = Stage::open().await;
    Org::new().person("ada").person("bob").group("lyon", &["user:ada"]).import(&stage.api).await;
    let ada = App::enrol(&stage.api, "ada@example.org", "ada-pad", "ipados").await;
    let bob = App::enrol(&stage.api, "bob@example.org", "bob-pad", "ipados").await;
    let id = stage.api.tell("lyon", "For Ada").await;
    assert_eq!((ada.titles().await, bob.titles().await), (vec!["For Ada".to_owned()], vec![]));
    let foreign = bob.ask(Method::POST, "receipts", Some(&json!({"receipts": [{"eventId": id, "kind": "opened"}]}))).await;
    assert_eq!(foreign.problem(422), "invalid_field", "{}", foreign.body);
    assert_eq!(stage.api.notification(&id).await["counts"]["opened"], 0);
    let as_device = stage.api.with_token(ada.token());
    for (method, path) in [
        (Method::GET, "users".to_owned()),
        (Method::GET, "notifications".to_owned()),
        (Method::GET, format!("devices/{}", bob.device)),
        (Method::GET, format!("events/{id}/why?person=p-ada")),
        (Method::GET, "settings".to_owned()),
    ] {
        assert_eq!(as_device.ask(method, &path, None, &[]).await.problem(403), "forbidden", "{path}");
    }
    assert_eq!(stage.api.ask(Method::GET, "device/inbox", None, &[]).await.problem(403), "forbidden", "an administrator is no device");
    let preferences = ada.prefer(&json!({"pushEnabled": false, "quietHours": "22:00-07:00"})).await;
    assert_eq!((&preferences["pushEnabled"], &preferences["quietHours"]), (&json!(false), &json!("22:00-07:00")), "{preferences}");
    let wrong = ada.ask(Method::PUT, "preferences", Some(&json!({"quietHours": "late"}))).await;
    assert_eq!(wrong.problem(422), "invalid_field");
    let device = stage.api.get(&format!("devices/{}", ada.device)).await;
    assert_eq!(device["pushEnabled"], false, "{device}");
    let code = App::enrol(&stage.api, "ada@example.org", "ada-second", "ios").await;
    assert_ne!(code.device, ada.device);
}
