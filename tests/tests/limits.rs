//! The limits of SPEC §4: on the text, on whom one notification names, and on how often one may send.

use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use stories::{Api, Org, Reply, Stage};

fn small_org() -> Org {
    let mut org = Org::new();
    org.person("ada").iphone("ada-phone", "ada").person("bob").iphone("bob-phone", "bob");
    org.group("lyon", &["user:ada"]).group("outer", &["group:lyon", "user:bob"]);
    org
}

fn to_user(title: &str, body: &str) -> Value {
    json!({"title": title, "body": body, "users": ["ada@example.org"]})
}

fn to_group(title: &str) -> Value {
    json!({"title": title, "body": "x", "groups": ["lyon"]})
}

/// A 429 that names its limit in every way the contract asks for.
fn assert_limited(reply: &Reply, name: &str, allowed: u64) {
    assert_eq!(reply.problem(429), "over_limit");
    let limit = &reply.body["limit"];
    assert_eq!(
        (&limit["name"], &limit["allowed"], &limit["windowSeconds"]),
        (&json!(name), &json!(allowed), &json!(3600)),
        "{}",
        reply.body
    );
    let retry: u64 = reply.header("retry-after").parse().expect("Retry-After in seconds");
    assert!((3000..=3600).contains(&retry), "a sliding hour that has just begun: {retry}");
    assert_eq!(limit["retryAfterSeconds"], retry);
    assert_eq!((reply.header("ratelimit-limit"), reply.header("ratelimit-remaining")), (allowed.to_string().as_str(), "0"));
    assert_eq!(reply.header("ratelimit-reset"), retry.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn titles_and_bodies_are_counted_in_characters_after_composition_and_never_cut() {
    let stage = Stage::open().await;
    small_org().import(&stage.api).await;
    let fits = [
        ("a".repeat(50), "b".repeat(500)),
        // Two code points each before composition, one after it.
        ("e\u{301}".repeat(50), "a\u{30a}".repeat(500)),
        // Four bytes, one character each.
        ("😀".repeat(50), "𝄞".repeat(500)),
        ("x".into(), "x".into()),
    ];
    for (title, body) in &fits {
        let sent = stage.api.send(&to_user(title, body)).await;
        let said = sent["title"].as_str().expect("the title");
        assert_eq!(said.chars().count(), title.chars().filter(|c| !matches!(c, '\u{301}' | '\u{30a}')).count());
        stage.api.done(sent["id"].as_str().expect("an id")).await;
    }
    let refused = [
        ("a".repeat(51), "b".into(), "title", "at most 50"),
        ("e\u{301}".repeat(51), "b".into(), "title", "51 characters"),
        ("😀".repeat(51), "b".into(), "title", "shorten it by 1"),
        // A letter and a mark that compose to nothing: two characters each.
        ("x\u{301}".repeat(26), "b".into(), "title", "52 characters"),
        ("a".into(), "b".repeat(501), "body", "at most 500"),
        ("a".into(), "\u{1F469}\u{200D}\u{1F680}".repeat(167), "body", "501 characters"),
        (String::new(), "b".into(), "title", "empty"),
        ("a".into(), "   ".into(), "body", "empty"),
        ("a\u{7}".into(), "b".into(), "title", "U+0007"),
    ];
    let before = stage.apple.stats().requests;
    for (title, body, field, word) in &refused {
        let reply = stage.api.post("notifications", &to_user(title, body)).await;
        assert_eq!(reply.problem(422), "invalid_field", "{}", reply.body);
        let fault = &reply.body["errors"][0];
        assert_eq!(fault["field"], *field, "{}", reply.body);
        assert!(fault["message"].as_str().is_some_and(|m| m.contains(word)), "{fault} lacks {word:?}");
    }
    assert_eq!(stage.api.all("notifications").await.len(), fits.len(), "a refused one leaves nothing behind");
    assert_eq!(stage.apple.stats().requests, before);
    // What is longer than Apple takes is shortened for Apple; the inbox keeps the whole.
    let whole = "\"\\".repeat(250);
    let sent = stage.api.send(&to_user("Quotes", &whole)).await;
    assert_eq!(sent["body"], whole);
    stage.api.done(sent["id"].as_str().expect("an id")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_names_at_most_25_groups_and_100_people_whatever_is_nested_in_them() {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.group("root", &[]);
    for n in 0..26 {
        org.person(&format!("m{n}")).group(&format!("g{n}"), &[&format!("user:m{n}")]).group("root", &[&format!("group:g{n}")]);
    }
    for n in 0..101 {
        org.person(&format!("u{n}"));
    }
    org.import(&stage.api).await;
    let groups = |n: usize| (0..n).map(|i| format!("g{i}")).collect::<Vec<_>>();
    let users = |n: usize| (0..n).map(|i| format!("u{i}@example.org")).collect::<Vec<_>>();
    let draft = |groups: Vec<String>, users: Vec<String>| json!({"title": "x", "body": "x", "groups": groups, "users": users});
    for (body, field, setting) in [
        (draft(groups(26), vec![]), "groups", "limits.groups_per_notification"),
        (draft(vec![], users(101)), "users", "limits.users_per_notification"),
    ] {
        let reply = stage.api.post("notifications", &body).await;
        assert_eq!(reply.status, 422, "{}", reply.body);
        assert_eq!(reply.body["errors"][0]["field"], field, "{}", reply.body);
        assert!(reply.body.to_string().contains(setting), "the limit is named: {}", reply.body);
    }
    let all = stage.api.send(&draft(groups(25), users(100))).await;
    assert_eq!(all["counts"]["recipients"], 125, "{all}");
    let nested = stage.api.send(&draft(vec!["root".into()], vec![])).await;
    assert_eq!(nested["counts"]["recipients"], 26, "nested groups are not counted: {nested}");
    stage.api.set("limits.groups_per_notification", json!(26)).await;
    stage.api.send(&draft(groups(26), vec![])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_five_group_sends_an_hour_then_429_through_restart_and_kill_and_refusals_and_replays_do_not_count() {
    let mut stage = Stage::open().await;
    small_org().import(&stage.api).await;
    let keyed = |key: &'static str| [("idempotency-key", key)];
    let first = stage.api.ask(Method::POST, "notifications", Some(&to_group("One")), &keyed("story-1")).await.with(201);
    for _ in 0..5 {
        let replay = stage.api.ask(Method::POST, "notifications", Some(&to_group("One")), &keyed("story-1")).await;
        assert_eq!(replay.header("idempotent-replay"), "true");
        assert_eq!(replay.with(201)["id"], first["id"]);
    }
    for _ in 0..5 {
        stage.api.post("notifications", &to_group(&"x".repeat(51))).await.with(422);
        stage.api.post("notifications/reach", &to_group("Reach")).await.with(200);
    }
    // Two, three: a resend and a scheduled one count when they are accepted.
    let id = first["id"].as_str().expect("an id");
    stage.api.done(id).await;
    stage.api.post(&format!("notifications/{id}/resend"), &json!({})).await.with(201);
    let mut later = to_group("Later");
    later["at"] = json!(in_days(3));
    let scheduled = stage.api.send(&later).await;
    stage.api.post(&format!("notifications/{}/cancel", scheduled["id"].as_str().expect("an id")), &json!({})).await.with(200);
    for n in 4..=20 {
        stage.api.send(&to_group(&format!("Number {n}"))).await;
    }
    stage.server.kill9();
    stage.server.restart().await;
    // A group that is only nested, and a mixed request: each names a group and counts once.
    for n in 21..=25 {
        let body = json!({"title": format!("Number {n}"), "body": "x", "groups": ["outer", "lyon"], "users": ["bob@example.org"]});
        stage.api.send(&body).await;
    }
    assert_limited(&stage.api.post("notifications", &to_group("Too many")).await, "limits.group_sends_per_hour", 25);
    assert_limited(&stage.api.post(&format!("notifications/{id}/resend"), &json!({})).await, "limits.group_sends_per_hour", 25);
    assert!(stage.server.terminate().success());
    stage.server.restart().await;
    assert_limited(&stage.api.post("notifications", &to_group("Too many")).await, "limits.group_sends_per_hour", 25);
    for n in 0..30 {
        stage.api.send(&to_user(&format!("Single {n}"), "x")).await;
    }
    let said = stage.server.cli(&["send", "--group", "lyon", "--title", "x", "--body", "x", "--json"]).ended(6);
    assert_eq!(said.problem()["limit"]["name"], "limits.group_sends_per_hour");
    stage.api.set("limits.group_sends_per_hour", json!(26)).await;
    stage.api.send(&to_group("One more")).await;
    assert_limited(&stage.api.post("notifications", &to_group("Too many")).await, "limits.group_sends_per_hour", 26);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_sends_an_hour_to_one_device_each_device_counted_by_itself() {
    let stage = Stage::open().await;
    small_org().import(&stage.api).await;
    let to = |devices: &[&str]| json!({"title": "x", "body": "x", "devices": devices});
    for _ in 0..9 {
        stage.api.send(&to(&["ada-phone"])).await;
    }
    stage.api.send(&to(&["ada-phone", "bob-phone"])).await;
    assert_limited(&stage.api.post("notifications", &to(&["ada-phone"])).await, "limits.device_sends_per_hour", 10);
    assert_limited(&stage.api.post("notifications", &to(&["bob-phone", "ada-phone"])).await, "limits.device_sends_per_hour", 10);
    for _ in 0..9 {
        stage.api.send(&to(&["bob-phone"])).await;
    }
    assert_limited(&stage.api.post("notifications", &to(&["bob-phone"])).await, "limits.device_sends_per_hour", 10);
    stage.api.send(&to_user("People are not counted", "x")).await;
    stage.api.send(&to_group("Nor does this count for a device")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_at_the_same_time_exactly_twenty_five_are_accepted() {
    let stage = Stage::open().await;
    small_org().import(&stage.api).await;
    let api = Arc::new(stage.api.clone());
    let start = Arc::new(tokio::sync::Barrier::new(50));
    let mut tasks = Vec::new();
    for n in 0..50 {
        let (api, start): (Arc<Api>, _) = (api.clone(), start.clone());
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            api.post("notifications", &to_group(&format!("At once {n}"))).await.status
        }));
    }
    let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
    for task in tasks {
        *seen.entry(task.await.expect("no request panics")).or_default() += 1;
    }
    assert_eq!(seen, BTreeMap::from([(201, 25), (429, 25)]));
    assert_eq!(stage.api.all("notifications").await.len(), 25);
}

/// A time so many days from now.
fn in_days(days: u64) -> String {
    stories::time_in(std::time::Duration::from_secs(days * 86_400))
}
