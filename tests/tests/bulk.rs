//! One act for many people: what it would come to, from a CSV file and from a filter; done in the background, over a crash, once
//! for each.

use serde_json::json;
use std::time::Duration;
use stories::{Org, SOON, Stage, eventually, shared_database, when};

const PEOPLE: usize = 240;

async fn staged(database: Option<String>) -> Stage {
    let stage = Stage::with(|scene| scene.database = database).await;
    let mut org = Org::new();
    for n in 0..PEOPLE {
        org.person(&format!("p{n}")).group("sales", &[&format!("user:p{n}")]);
    }
    org.import(&stage.api).await;
    stage.api.post("conferencing-bridges", &json!({"name": "Paris"})).await.with(201);
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_act_that_a_crash_interrupts_goes_on_and_reaches_everybody_once() {
    interrupted(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_act_that_a_crash_interrupts_goes_on_and_reaches_everybody_once_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    interrupted(Some(database)).await;
}

async fn interrupted(database: Option<String>) {
    let mut stage = staged(database).await;
    let run = ["bulk", "run", "conferencing-users", "enable", "--group", "sales", "--set", "bridgeName=paris", "--json"];
    let preview = stage.server.cli(&[&run[..], &["--preview"]].concat()).ended(0).json();
    assert_eq!(
        (&preview["total"], &preview["failed"], &preview["mails"]["conferencing.enabled"]),
        (&json!(PEOPLE), &json!(0), &json!(PEOPLE))
    );
    assert!(stage.api.get("conferencing-users").await["items"].as_array().is_some_and(Vec::is_empty), "nothing was done");
    let bulk = stage.server.cli(&run).ended(0).json();
    let id = bulk["id"].as_str().expect("an id").to_owned();
    let far = async |stage: &Stage| stage.api.get(&format!("bulk-acts/{id}")).await;
    for part in [20, 90] {
        eventually("some of it", SOON, async || when(far(&stage).await["finished"].as_u64() > Some(part))).await;
        stage.server.kill9();
        stage.server.restart().await;
    }
    let end = eventually("its end", Duration::from_secs(60), async || {
        let bulk = far(&stage).await;
        when(bulk["state"] == "done")?;
        Some(bulk)
    })
    .await;
    assert_eq!((&end["total"], &end["finished"], &end["failed"]), (&json!(PEOPLE), &json!(PEOPLE), &json!(0)));
    let results = stage.server.cli(&["bulk", "results", &id, "--json"]).ended(0).json();
    let results = results["items"].as_array().expect("results").clone();
    assert_eq!(results.len(), PEOPLE);
    assert!(results.iter().all(|one| one["done"] == true && one["events"].as_array().map(Vec::len) == Some(1)), "{results:?}");
    eventually("the mails", Duration::from_secs(60), async || when(stage.relay.stats().distinct as usize == PEOPLE)).await;
    for event in &results {
        let id = event["events"][0]["id"].as_str().expect("an event");
        let mails = stage.relay.mails(1_000);
        let same = mails.iter().filter(|mail| mail.content.contains(&format!("X-Carillon-Event: {id}"))).count();
        assert!((1..=2).contains(&same), "{same} mails of {id}; a crash in the middle of handing over may repeat one");
    }
    let entries = stage.api.get("audit?limit=100").await;
    let bulk_entries =
        entries["items"].as_array().into_iter().flatten().filter(|one| one["operation"] == "conferencing-user.enable.bulk").count();
    assert_eq!(bulk_entries, 1, "a bulk act is one entry");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_a_csv_file_have_parameters_of_their_own_and_each_is_told_what_was_wrong() {
    from_a_file(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_a_csv_file_have_parameters_of_their_own_and_each_is_told_what_was_wrong_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    from_a_file(Some(database)).await;
}

async fn from_a_file(database: Option<String>) {
    let stage = staged(database).await;
    stage.api.post("dial-plans", &json!({"name": "Lyon", "numberOfDigitsInExtension": 3})).await.with(201);
    stage.server.folder().write(
        "hires.csv",
        "UPN,extensions\np0@example.org,100\np1@example.org,100\nnobody@example.org,102\np3@example.org,1034\np4@example.org,104;105\n",
    );
    let run = ["bulk", "run", "mailboxes", "enable", "--csv", "hires.csv", "--set", "umMailboxPolicy=Lyon Default Policy", "--json"];
    let end = stage.server.cli(&[&run[..], &["--wait"]].concat()).ended(1).json();
    let codes: Vec<String> =
        end["results"].as_array().into_iter().flatten().map(|one| one["problem"]["code"].as_str().unwrap_or("ok").to_owned()).collect();
    assert_eq!(codes, ["ok", "taken", "not_found", "invalid_field", "ok"], "{end}");
    let narrowed = ["bulk", "run", "conferencing-users", "change", "--where", "bridgeName=Paris", "--set", "resetLeaderPin=true", "--json"];
    assert_eq!(stage.server.cli(&narrowed).ended(2).problem()["code"], "invalid_field", "nobody is there yet");
    let path = "conferencing-users/p7@example.org/enable";
    stage.api.ask(reqwest::Method::POST, path, Some(&json!({"bridgeName": "Paris"})), &[]).await.with(200);
    stage.api.set("conferencing.automatically_send_emails_to_users", json!(false)).await;
    let end = stage.server.cli(&[&narrowed[..], &["--wait"]].concat()).ended(0).json();
    let only = &end["results"][0];
    assert_eq!((&only["user"], &only["events"][0]["mail"]), (&json!("p7@example.org"), &json!("policy_off")));
    assert_eq!(only["revealed"]["pin"].as_str().map(str::len), Some(5));
    let same = ["bulk", "run", "mailboxes", "change", "--user", "p0@example.org", "--user", "p4@example.org", "--wait", "--json"];
    let same = stage.server.cli(&[&same[..], &["--set", "missedCallNotificationEnabled=true"]].concat()).ended(0).json();
    assert_eq!((&same["finished"], &same["failed"]), (&json!(2), &json!(0)), "what changes nothing is done: {same}");
    let again = stage.server.cli(&["bulk", "results", end["id"].as_str().expect("an id"), "--json"]).ended(0).json();
    assert!(again["items"][0].get("revealed").is_none(), "a PIN is shown once: {again}");
}
