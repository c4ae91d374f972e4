//! People whom a directory import removes: what was theirs ends with them, also when the server is killed at that moment.

use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use stories::{Bridge, Org, SOON, Stage, eventually, shared_database, telephony, when};

const PARIS: &str = "+33155501234";
const ALL: &str = "?mode=replace&allowManyRemovals=true";

/// Ada has a mailbox and conferencing on a bridge that confirms, ben has neither. Answers also ada's id and conference ID.
async fn staged(database: Option<String>) -> (Stage, Bridge, String, Value) {
    let stage = Stage::with(|scene| scene.database = database).await;
    Org::new().person("ada").person("ben").import(&stage.api).await;
    telephony::dial_plan(&stage.api).await;
    telephony::mailbox(&stage.api, "ada", telephony::POLICY, "101").await;
    let bridge = Bridge::start().await;
    bridge.answers(204);
    let numbers = json!([{"number": PARIS, "primaryLanguage": "fr-FR"}]);
    let paris = json!({"name": "Paris", "serviceNumbers": numbers, "defaultServiceNumber": PARIS, "adapterUrl": bridge.url()});
    stage.api.post("conferencing-bridges", &paris).await.with(201);
    stage.api.post("conferencing-users/ada@example.org/enable", &json!({"bridgeName": "Paris"})).await.with(200);
    eventually("the mail", SOON, async || when(stage.relay.mails(10).len() == 1)).await;
    let began = bridge.heard().pop().expect("a webhook").1["data"].clone();
    assert_eq!((&began["change"], &began["upn"]), (&json!("began"), &json!("ada@example.org")));
    let ada = stage.api.id("user", "ada@example.org").await;
    (stage, bridge, ada, began["conferenceId"].clone())
}

/// That what ada had is free, the bridge and the audit know it, and nobody was mailed.
async fn assert_ended(stage: &Stage, bridge: &Bridge, ada: &str, conference: &Value) {
    let given = json!({"umMailboxPolicy": telephony::POLICY, "extensions": ["101"]});
    eventually("the extension to be free", SOON, async || {
        when(stage.api.ask(Method::POST, "mailboxes/ben@example.org/enable", Some(&given), &[]).await.status == 200)
    })
    .await;
    let ended = eventually("the bridge to know", SOON, async || {
        bridge.heard().into_iter().map(|(_, said)| said["data"].clone()).find(|data| data["change"] == "ended")
    })
    .await;
    assert_eq!((&ended["user"], &ended["upn"], &ended["previousConferenceId"]), (&json!(ada), &Value::Null, conference));
    let entries = stage.api.all("audit").await;
    for word in ["mailbox.disable", "conferencing-user.disable"] {
        let actors: Vec<&Value> = entries.iter().filter(|entry| entry["operation"] == word).map(|entry| &entry["actor"]).collect();
        assert_eq!(actors, [&json!({"kind": "server"})], "{word}");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.relay.mails(10).len(), 1, "who is gone is not mailed");
}

async fn an_extension_is_free(database: Option<String>) {
    let (stage, bridge, ada, conference) = staged(database).await;
    Org::new().person("ben").try_import(&stage.api, ALL).await.with(200);
    assert_ended(&stage, &bridge, &ada, &conference).await;
    // Whoever comes back is somebody new.
    Org::new().person("ada").import(&stage.api).await;
    assert_ne!(stage.api.id("user", "ada@example.org").await, ada);
    for kind in ["mailboxes", "conferencing-users"] {
        let asked = stage.api.ask(Method::GET, &format!("{kind}/ada@example.org"), None, &[]).await;
        assert_eq!(asked.problem(404), "not_found");
    }
    telephony::mailbox(&stage.api, "ada", telephony::POLICY, "102").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_an_import_removes_leaves_a_free_extension_and_a_bridge_that_knows() {
    an_extension_is_free(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_an_import_removes_leaves_a_free_extension_and_a_bridge_that_knows_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    an_extension_is_free(Some(database)).await;
}

async fn killed_with_the_import(database: Option<String>) {
    let (mut stage, bridge, ada, conference) = staged(database).await;
    Org::new().person("ben").try_import(&stage.api, ALL).await.with(200);
    stage.server.kill9();
    stage.server.restart().await;
    assert_ended(&stage, &bridge, &ada, &conference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_right_after_an_import_leaves_nothing_of_whom_it_removed() {
    killed_with_the_import(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_right_after_an_import_leaves_nothing_of_whom_it_removed_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    killed_with_the_import(Some(database)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_removes_another_one_ends() {
    let Some(database) = shared_database() else { return };
    let (mut stage, bridge, ada, conference) = staged(Some(database)).await;
    // It imports and goes, and does none of the work that has its hour.
    let (mut other, api) = stage.another(Some("api")).await;
    Org::new().person("ben").try_import(&api, ALL).await.with(200);
    other.kill9();
    assert_ended(&stage, &bridge, &ada, &conference).await;
    stage.server.terminate();
}
