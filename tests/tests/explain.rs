//! Why: every reason that can occur, asked for person by person through the command line; and what reach foretells is
//! what happens.

use fakes::apple::Answer;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use stories::{App, Org, SOON, Stage, eventually, quiet_now, token_of, when};

/// One person for each reason that a directory, a provider or the person's own doing can give.
fn organization() -> Org {
    let mut org = Org::new();
    for name in ["fine", "picky", "sleeper", "rejected", "gone", "busy", "fault", "watcher"] {
        org.person(name).iphone(&format!("{name}-phone"), name);
    }
    org.person_with("inactive", |p| p.active = false).iphone("inactive-phone", "inactive");
    org.person("unenrolled").device("unenrolled-phone", "unenrolled", |d| d.enrolled = false);
    org.registration("unenrolled-phone", "apns", &token_of("unenrolled-phone"));
    org.person("borrower").device("borrowed-phone", "borrower", |d| d.enrolled_by = "fine".into());
    org.registration("borrowed-phone", "apns", &token_of("borrowed-phone"));
    org.person("appless").device("appless-phone", "appless", |d| d.app_installed = false);
    org.registration("appless-phone", "apns", &token_of("appless-phone"));
    org.person("denied").device("denied-phone", "denied", |d| d.permission = "denied".into());
    org.registration("denied-phone", "apns", &token_of("denied-phone"));
    org.person("unasked").device("unasked-phone", "unasked", |d| d.permission = "default".into());
    org.registration("unasked-phone", "apns", &token_of("unasked-phone"));
    org.person("playless").device("playless-phone", "playless", |d| {
        d.platform = "android".into();
        d.play_services = false;
    });
    org.person("crossed").device("crossed-phone", "crossed", |d| d.platform = "android".into());
    org.registration("crossed-phone", "apns", &token_of("crossed-phone"));
    org.person("twice").iphone("twice-phone", "twice").sandbox_registration("twice-phone", &token_of("twice-again"));
    org.person("bare").person_with("mailless", |p| p.email.clear());
    org.person("unregistered").device("unregistered-phone", "unregistered", |_| {});
    org.person("droid").device("droid-phone", "droid", |d| d.platform = "android".into()).registration(
        "droid-phone",
        "fcm",
        "fcm-token-of-droid",
    );
    org.person("webber").device("webber-browser", "webber", |d| d.platform = "browser".into()).subscription("webber-browser");
    org.person("stranger");
    let members = [
        "fine",
        "picky",
        "sleeper",
        "rejected",
        "gone",
        "busy",
        "fault",
        "watcher",
        "inactive",
        "unenrolled",
        "borrower",
        "appless",
        "denied",
        "unasked",
        "playless",
        "crossed",
        "twice",
        "bare",
        "mailless",
        "unregistered",
        "droid",
        "webber",
    ];
    let members: Vec<String> = members.iter().map(|name| format!("user:{name}")).collect();
    org.group("all", &members.iter().map(String::as_str).collect::<Vec<_>>());
    org
}

/// Channel, verdict and reason code of a decision.
type Ruling = (&'static str, &'static str, &'static str);

/// Whether one decision about this person has channel, verdict and reason, and is explained in full.
fn holds(why: &Value, channel: &str, verdict: &str, reason: &str) -> bool {
    let code = |decision: &Value| {
        let delivery = decision["delivery"]["reasonCode"].as_str();
        decision["reasonCode"].as_str().or(delivery).unwrap_or("none").to_owned()
    };
    let decisions = why["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    decisions.iter().any(|d| d["channel"].as_str().unwrap_or("every") == channel && d["verdict"] == verdict && code(d) == reason)
}

/// Asks through the command line until the answer has all of these.
async fn told(stage: &Stage, event: &str, person: &str, expected: &[(&str, &str, &str)]) -> Value {
    let mut last;
    let within = SOON;
    let began = std::time::Instant::now();
    loop {
        last = stage.server.cli(&["why", event, &format!("p-{person}"), "--json"]).ended(0).json();
        if expected.iter().all(|(channel, verdict, reason)| holds(&last, channel, verdict, reason)) {
            break;
        }
        assert!(began.elapsed() < within, "{person}: expected {expected:?}, told {last:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for decision in last["decisions"].as_array().expect("decisions") {
        assert!(decision["rule"].is_string() && decision["reason"].is_string(), "{person}: {decision}");
        if !decision["channel"].is_null() {
            assert!(decision["others"].as_array().is_some_and(|o| o.len() >= 12), "the other rules are told: {decision}");
        }
    }
    last
}

/// The attempt is told in the provider's own words, and the address masked.
async fn attempts_are_told(stage: &Stage, event: &str) {
    let gone = told(stage, event, "gone", &[]).await;
    let row = gone["decisions"].as_array().expect("decisions").iter().find(|d| d["channel"] == "apns").expect("the push");
    let attempt = &row["delivery"]["attempts"][0];
    assert_eq!((&attempt["number"], &attempt["code"], &attempt["status"]), (&json!(1), &json!("Unregistered"), &json!(410)), "{row}");
    assert_eq!(row["delivery"]["state"], "gone");
    assert_eq!(row["device"]["name"], "gone-phone");
    let address = row["address"].as_str().expect("a masked address");
    assert!(address.ends_with('…') && address.len() < 16 && !address.contains(&token_of("gone-phone")), "{address}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_is_explained_for_the_person_whom_it_concerns() {
    let stage = Stage::open().await;
    organization().import(&stage.api).await;
    let picky = stage.api.id("device", "picky-phone").await;
    stage.api.patch(&format!("devices/{picky}"), &json!({"pushEnabled": false})).await;
    let sleeper = stage.api.id("user", "p-sleeper").await;
    stage.api.patch(&format!("users/{sleeper}"), &json!({"quietHours": quiet_now()})).await;
    stage.apple.answer(&token_of("rejected-phone"), Some(Answer::refused(413, "PayloadTooLarge")));
    stage.apple.answer(&token_of("gone-phone"), Some(Answer::refused(410, "Unregistered")));
    stage.apple.answer(&token_of("busy-phone"), Some(Answer::refused(429, "TooManyRequests").retry_after(3000)));
    stage.apple.answer(&token_of("fault-phone"), Some(Answer::refused(400, "DeviceTokenNotForTopic")));
    let app = App::enrol(&stage.api, "watcher@example.org", "watcher-pad", "ipados").await;
    app.register(&token_of("watcher-pad")).await;
    let mut stream = app.stream(None).await;

    let event = stage.api.tell("all", "Everything at once").await;
    let frame = stream.event("notification", SOON).await;
    assert_eq!(frame.data["eventId"], event.as_str());
    app.receipt(&event, "received").await;

    let goes = "deliver";
    let ends = "suppress";
    let table: &[(&str, &[Ruling])] = &[
        ("fine", &[("apns", goes, "none"), ("email", ends, "email_not_needed"), ("inbox", goes, "none")]),
        ("inactive", &[("apns", ends, "person_inactive"), ("email", ends, "person_inactive"), ("inbox", ends, "person_inactive")]),
        ("unenrolled", &[("apns", ends, "not_enrolled"), ("email", goes, "none")]),
        ("borrower", &[("apns", ends, "enrolled_by_other")]),
        ("appless", &[("apns", ends, "app_missing")]),
        ("denied", &[("apns", ends, "permission_denied")]),
        ("unasked", &[("apns", ends, "permission_denied")]),
        ("playless", &[("fcm", ends, "no_play_services")]),
        ("crossed", &[("apns", ends, "platform_unsupported")]),
        ("twice", &[("apns", ends, "other_registration"), ("apns", goes, "none")]),
        ("bare", &[("apns", ends, "no_device"), ("email", goes, "none")]),
        ("mailless", &[("apns", ends, "no_device"), ("email", ends, "no_email"), ("inbox", goes, "none")]),
        ("unregistered", &[("apns", ends, "no_registration")]),
        // Channels that this installation does not have.
        ("droid", &[("fcm", ends, "provider_unavailable"), ("email", goes, "none")]),
        ("webber", &[("webpush", ends, "provider_unavailable"), ("email", goes, "none")]),
        ("picky", &[("apns", ends, "preference_off"), ("email", goes, "none")]),
        ("sleeper", &[("apns", "hold", "quiet_hours")]),
        ("rejected", &[("apns", goes, "provider_rejected")]),
        ("gone", &[("apns", goes, "provider_gone")]),
        ("busy", &[("apns", goes, "provider_unavailable")]),
        ("fault", &[("apns", goes, "our_fault")]),
        ("watcher", &[("apns", ends, "shown_in_app"), ("apns", goes, "none")]),
    ];
    for (person, expected) in table {
        told(&stage, &event, person, expected).await;
    }
    let outside = told(&stage, &event, "stranger", &[("every", ends, "not_in_audience")]).await;
    assert_eq!((&outside["inAudience"], outside["decisions"].as_array().map(Vec::len)), (&json!(false), Some(1)), "{outside}");
    assert!(outside["decisions"][0]["channel"].is_null());

    attempts_are_told(&stage, &event).await;
    let watched = told(&stage, &event, "watcher", &[]).await;
    assert!(watched["decisions"].to_string().contains("\"received\""), "receipts are told: {watched}");

    // The registration that Apple called gone is not tried again.
    let second = stage.api.tell("all", "Once more").await;
    told(&stage, &second, "gone", &[("apns", ends, "registration_retired"), ("email", goes, "none")]).await;
    let tree = stage.server.cli(&["why", &event, "denied@example.org"]).ended(0);
    assert!(tree.out.contains("permission_denied") && tree.out.contains("├─"), "{}", tree.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_organization_decides_and_what_time_brings_is_explained_too() {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.person("ada").iphone("ada-phone", "ada").person("bob").iphone("bob-phone", "bob").person("cyd");
    org.person("dan").iphone("dan-phone", "dan");
    org.group("pair", &["user:ada", "user:cyd"]).group("sleepers", &["user:bob"]).group("capped", &["user:dan"]);
    org.import(&stage.api).await;
    let bob = stage.api.id("user", "p-bob").await;
    stage.api.patch(&format!("users/{bob}"), &json!({"quietHours": quiet_now()})).await;

    stage.api.set("push.apns.enabled", json!(false)).await;
    stage.api.set("custom.email", json!("off")).await;
    let off = stage.api.tell("pair", "Switched off").await;
    told(&stage, &off, "ada", &[("apns", "suppress", "org_switch_off"), ("email", "suppress", "policy_off"), ("inbox", "deliver", "none")])
        .await;
    told(&stage, &off, "cyd", &[("apns", "suppress", "org_switch_off")]).await;
    stage.api.set("push.apns.enabled", json!(true)).await;
    stage.api.set("custom.email", json!("fallback")).await;
    // Explained from the policy of then, and named.
    let ada = told(&stage, &off, "ada", &[("apns", "suppress", "org_switch_off")]).await;
    let says = |channel: &str| {
        let decisions = ada["decisions"].as_array().expect("decisions");
        decisions.iter().find(|one| one["channel"] == channel).expect("a row")["reason"].as_str().expect("a sentence").to_owned()
    };
    assert_eq!(says("apns"), "the organization turned this push service off: setting push.apns.enabled");
    assert_eq!(says("email"), "a policy turns this off: setting custom.email");

    let held = stage.api.send(&json!({"title": "Short", "body": "x", "groups": ["sleepers"], "expiresIn": "2s"})).await;
    let held = held["id"].as_str().expect("an id");
    told(&stage, held, "bob", &[("apns", "deliver", "expired")]).await;
    assert_eq!(stage.api.done(held).await["counts"]["expired"], 1);

    let stopped = stage.api.tell("sleepers", "Stopped").await;
    told(&stage, &stopped, "bob", &[("apns", "hold", "quiet_hours")]).await;
    stage.api.post(&format!("notifications/{stopped}/cancel"), &json!({})).await.with(200);
    told(&stage, &stopped, "bob", &[("apns", "suppress", "cancelled")]).await;
    let urgent = stage.api.send(&json!({"title": "Urgent", "body": "x", "groups": ["sleepers"], "urgency": "high"})).await;
    told(&stage, urgent["id"].as_str().expect("an id"), "bob", &[("apns", "deliver", "none")]).await;
    eventually("high urgency to pass quiet hours", SOON, async || when(stage.apple.reached(&token_of("bob-phone")) == 1)).await;

    stage.api.set("push.frequency_cap.count", json!(1)).await;
    let first = stage.api.tell("capped", "First").await;
    told(&stage, &first, "dan", &[("apns", "deliver", "none")]).await;
    eventually("the first push", SOON, async || when(stage.apple.reached(&token_of("dan-phone")) == 1)).await;
    stage.api.done(&first).await;
    let second = stage.api.tell("capped", "Second").await;
    told(&stage, &second, "dan", &[("apns", "suppress", "frequency_cap")]).await;
    stage.api.set("push.frequency_cap.count", json!(0)).await;

    let body = json!({"title": "Live", "body": "x", "groups": ["sleepers"], "audience": "live"});
    let live = stage.api.send(&body).await["id"].as_str().expect("an id").to_owned();
    told(&stage, &live, "bob", &[("apns", "hold", "quiet_hours")]).await;
    let group = stage.api.id("group", "sleepers").await;
    stage.api.post(&format!("groups/{group}/members"), &json!({"remove": [{"memberType": "user", "id": bob}]})).await.fine();
    stage.api.patch(&format!("users/{bob}"), &json!({"quietHours": null})).await;
    told(&stage, &live, "bob", &[("apns", "suppress", "left_audience")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reach_foretells_is_what_happens() {
    let stage = Stage::open().await;
    organization().import(&stage.api).await;
    let picky = stage.api.id("device", "picky-phone").await;
    stage.api.patch(&format!("devices/{picky}"), &json!({"pushEnabled": false})).await;
    let draft = json!({"title": "Foretold", "body": "x", "groups": ["all"]});
    let reach = stage.server.cli(&["reach", "--group", "all", "--json"]).ended(0).json();
    assert_eq!(reach["people"], 22, "{reach}");
    let mut foretold: BTreeSet<(String, String, String, String)> = BTreeSet::new();
    let key = |item: &Value| {
        let text = |name: &str| item[name].as_str().unwrap_or("").to_owned();
        (text("upn"), text("channel"), text("deviceName"), text("reasonCode"))
    };
    for (code, sums) in reach["byReason"].as_object().expect("reasons") {
        let path = format!("notifications/reach?list=reason:{code}&limit=500");
        let listed = stage.api.post(&path, &draft).await.with(200);
        let items = listed["items"].as_array().expect("items");
        assert_eq!(sums["rows"], items.len(), "{code}");
        foretold.extend(items.iter().filter(|item| item["channel"] != "inbox").map(key));
    }
    for channel in ["apns", "email"] {
        let path = format!("notifications/reach?list=channel:{channel}&limit=500");
        let listed = stage.api.post(&path, &draft).await.with(200);
        let items = listed["items"].as_array().expect("items");
        assert_eq!(reach["byChannel"][channel]["deliveries"], items.len(), "{channel}");
        foretold.extend(items.iter().map(key));
    }
    assert_eq!(stage.apple.stats().requests + stage.relay.stats().accepted, 0, "nothing is sent by asking");

    let sent = stage.api.send(&draft).await;
    let id = sent["id"].as_str().expect("an id");
    let done = stage.api.done(id).await;
    let happened: BTreeSet<_> = stage.api.deliveries(id).await.iter().map(key).collect();
    assert_eq!(happened, foretold);
    let accepted: u64 = ["apns", "email"].iter().filter_map(|c| reach["byChannel"][c]["deliveries"].as_u64()).sum();
    assert_eq!(done["counts"]["accepted"], accepted, "{done}");
    let one = stage.server.cli(&["reach", "--group", "all", "--list", "reason:permission_denied", "--json"]).ended(0).json();
    let names: Vec<&str> = one["items"].as_array().expect("items").iter().filter_map(|i| i["upn"].as_str()).collect();
    assert_eq!(names.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from(["denied@example.org", "unasked@example.org"]));
    let by_inbox = stage.server.cli(&["reach", "--user", "p-mailless", "--list", "inbox-only", "--json"]).ended(0).json();
    assert_eq!((&by_inbox["inboxOnly"], &by_inbox["items"][0]["upn"]), (&json!(1), &json!("mailless@example.org")), "{by_inbox}");
    let nobody = stage.server.cli(&["reach", "--user", "p-inactive", "--json"]).ended(0).json();
    assert_eq!((&nobody["people"], &nobody["unreachable"]), (&json!(1), &json!(1)), "{nobody}");
}
