//! A custom notification from an administrator to nested groups: everybody once, whatever the nesting.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use stories::{App, Org, SOON, Stage, eventually, token_of, when};

/// `everybody` holds `france` and `spain`; `france` holds `lyon` and `paris`; `paris` holds `everybody` again: a cycle.
fn organization() -> Org {
    let mut org = Org::new();
    for name in ["ada", "bob", "cyd", "dan", "eve"] {
        org.person(name).iphone(&format!("{name}-phone"), name);
    }
    org.iphone("ada-pad", "ada");
    // Fay has no phone; hers is another's, and in a group as a device.
    org.person("fay").person("guy").iphone("guy-phone", "guy");
    org.group("everybody", &["group:france", "group:spain", "user:eve"])
        .group("france", &["group:lyon", "group:paris", "user:ada"])
        .group("lyon", &["user:ada", "user:bob", "device:guy-phone"])
        .group("paris", &["user:cyd", "group:everybody"])
        .group("spain", &["user:dan", "user:fay", "user:ada", "group:spain"]);
    org
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nested_groups_with_a_cycle_reach_everybody_once_and_their_devices_as_members_are_ignored() {
    let stage = Stage::open().await;
    organization().import(&stage.api).await;
    let draft = json!({"title": "Fire drill", "body": "At ten. Leave by the stairs.", "groups": ["everybody", "lyon", "g-paris"]});
    let reach = stage.api.post("notifications/reach", &draft).await.with(200);
    assert_eq!((&reach["people"], &reach["devices"]), (&json!(6), &json!(6)), "{reach}");
    let accepted = stage.api.send(&draft).await;
    assert_eq!((&accepted["title"], &accepted["body"]), (&draft["title"], &draft["body"]), "the answer repeats the text");
    assert!(accepted["warnings"].as_array().is_some_and(|w| w.len() >= 3), "{accepted}");
    let id = accepted["id"].as_str().expect("an id");
    let done = stage.api.done(id).await;
    let counts = &done["counts"];
    assert_eq!((&counts["recipients"], &counts["planned"], &counts["accepted"]), (&json!(6), &json!(6), &json!(7)), "{done}");

    let reached: BTreeSet<String> = stage.apple.arrivals(100).into_iter().map(|arrival| arrival.token).collect();
    let expected = ["ada-phone", "ada-pad", "bob-phone", "cyd-phone", "dan-phone", "eve-phone"];
    assert_eq!(reached, expected.iter().map(|device| token_of(device)).collect());
    assert_eq!(stage.apple.stats().repeats, 0);
    assert_eq!(stage.relay.mails(10).iter().map(|mail| mail.to.clone()).collect::<Vec<_>>(), [["fay@mail.example.org"]]);

    let arrival = stage.apple.arrivals(1).remove(0);
    let payload: Value = serde_json::from_str(&arrival.payload).expect("a payload is JSON");
    assert_eq!(payload["aps"]["alert"], json!({"title": "Fire drill", "body": "At ten. Leave by the stairs."}));
    assert_eq!(payload["carillon"]["eventId"], accepted["eventId"]);
    for header in ["apns-topic", "apns-push-type", "apns-priority", "apns-expiration", "apns-collapse-id", "apns-id"] {
        assert!(arrival.headers.contains_key(header), "{header}: {:?}", arrival.headers);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_counts_and_report_follow_a_notification_from_acceptance_to_the_last_receipt() {
    let stage = Stage::open().await;
    organization().import(&stage.api).await;
    let app = App::enrol(&stage.api, "bob@example.org", "bob-tablet", "ipados").await;
    app.register(&token_of("bob-tablet")).await;
    let id = stage.api.tell("lyon", "Lunch").await;
    stage.api.done(&id).await;
    for kind in ["received", "shown", "opened"] {
        assert_eq!(app.receipt(&id, kind).await["accepted"], 1, "{kind}");
        assert_eq!(app.receipt(&id, kind).await["repeated"], 1, "{kind} again");
    }
    assert_eq!(app.titles().await, ["Lunch"]);
    app.receipt(&id, "dismissed").await;
    assert_eq!(app.titles().await, Vec::<String>::new());

    let counts = eventually("the receipts to be counted", SOON, async || {
        let counts = stage.api.notification(&id).await["counts"].clone();
        when(counts["dismissed"] == 1).map(|()| counts)
    })
    .await;
    assert_eq!((&counts["received"], &counts["shown"], &counts["opened"]), (&json!(1), &json!(1), &json!(1)), "{counts}");
    let report = stage.server.cli(&["notification", "report", &id, "--json"]).ended(0).json();
    assert_eq!((&report["title"], &report["recipients"], &report["opened"]), (&json!("Lunch"), &json!(2), &json!(1)), "{report}");
    assert_eq!(report["byChannel"]["apns"]["accepted"], 4, "{report}");
    assert_eq!(report["byReason"]["email_not_needed"], 2, "{report}");
    assert!(report["sender"].is_string() && report["createdAt"].is_string(), "{report}");

    let second = stage.api.tell("spain", "Siesta").await;
    stage.api.done(&second).await;
    let list = stage.server.cli(&["notification", "list", "--json"]).ended(0).json();
    let ids: Vec<&str> = list["items"].as_array().expect("items").iter().filter_map(|n| n["id"].as_str()).collect();
    assert_eq!(ids, [second.as_str(), id.as_str()], "newest first");
    let shown = stage.server.cli(&["notification", "show", &id, "--json"]).ended(0).json();
    assert_eq!(shown["addressed"]["groups"][0]["name"], "lyon", "{shown}");
    let rows = stage.server.cli(&["notification", "show", &id, "--deliveries", "--channel", "apns", "--json"]).ended(0).json();
    assert_eq!(rows["items"].as_array().map(Vec::len), Some(4), "{rows}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_sends_waits_and_says_by_its_exit_code_whether_a_delivery_failed() {
    let stage = Stage::open().await;
    organization().import(&stage.api).await;
    let fine = stage
        .server
        .cli(&["send", "--group", "lyon", "--title", "One", "--body", "x", "--wait", "--exit-status", "--json"])
        .ended(0)
        .json();
    assert_eq!((&fine["state"], &fine["counts"]["accepted"]), (&json!("done"), &json!(3)), "{fine}");
    assert!(fine["id"].is_string() && fine["eventId"].is_string());
    stage.apple.answer(&token_of("bob-phone"), Some(fakes::apple::Answer::refused(413, "PayloadTooLarge")));
    let args = ["send", "--user", "bob@example.org", "--user", "p-ada", "--title", "Two", "--body", "x", "--wait", "--json"];
    stage.server.cli(&args).ended(0);
    let failed = stage.server.cli(&[&args[..], &["--exit-status"]].concat()).ended(1);
    assert_eq!(failed.json()["counts"]["rejected"], 1);
    let nobody = stage.server.cli(&["send", "--group", "nowhere", "--title", "x", "--body", "x", "--json"]).ended(2);
    assert!(nobody.problem()["errors"][0]["field"].as_str().is_some_and(|f| f.starts_with("groups")), "{}", nobody.err);
    stage.server.cli_as("wrong", &["notification", "list"]).ended(3);
    stage.server.cli(&["notification", "show", "0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11"]).ended(4);
}
