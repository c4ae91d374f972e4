//! What an app does: enrol, register, prefer, read, follow, confirm.

use super::world::{WEB_PUSH_KEY, World};
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

#[tokio::test]
async fn a_code_enrols_one_device_however_it_is_typed() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let made = world.ask("POST", &format!("/api/v1/users/{ada}/enrolment-codes")).send().await.expect(201);
    let code = made.json["code"].as_str().expect("a code").to_lowercase().replace('-', " ");
    let draft = json!({"code": code, "name": "Ada's phone", "platform": "android", "ownership": "corporate", "playServices": false});
    let enrol = || world.ask("POST", "/api/v1/device/enrol").nobody().json(draft.clone()).send();
    let first = enrol().await.expect(201);
    assert_eq!((first.json["userId"].as_str(), first.json["displayName"].as_str()), (Some(ada.as_str()), Some("ada@example.org")));
    assert_eq!(enrol().await.code(), (409, "spent"));
    let device = world.get(&format!("/api/v1/devices/{}", first.json["deviceId"].as_str().expect("an id"))).await.expect(200);
    assert_eq!((device.json["enrolledSource"].as_str(), device.json["enrolledByUpn"].as_str()), (Some("code"), Some("ada@example.org")));
    assert_eq!((device.json["appInstalled"].clone(), device.json["playServices"].clone()), (json!(true), json!(false)));
}

#[tokio::test]
async fn a_code_lives_a_day() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let made = world.ask("POST", &format!("/api/v1/users/{ada}/enrolment-codes")).send().await.expect(201);
    world.clock.forward(24 * 3_600_000 + 1_000);
    let draft = json!({"code": made.json["code"], "name": "late", "platform": "ios"});
    assert_eq!(world.ask("POST", "/api/v1/device/enrol").nobody().json(draft).send().await.code(), (409, "spent"));
}

#[tokio::test]
async fn a_browser_reads_the_key_to_subscribe_with_before_anybody_signed_in() {
    let world = World::new().await;
    let reply = world.ask("GET", "/api/v1/push/web-push-key").nobody().send().await.expect(200);
    assert_eq!(reply.json, json!({"publicKey": WEB_PUSH_KEY}));
}

#[tokio::test]
async fn preferences_are_the_devices_and_quiet_hours_the_persons() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (device, app) = world.enrolled(&ada).await;
    let path = "/api/v1/device/preferences";
    let read = world.ask("GET", path).token(&app).send().await.expect(200);
    assert_eq!(read.json, json!({"pushEnabled": true, "quietHours": null, "notificationPermission": "granted"}));
    let set = |body: Value| world.ask("PUT", path).token(&app).json(body).send();
    let after = set(json!({"pushEnabled": false, "quietHours": "22:00-07:00"})).await.expect(200);
    assert_eq!(after.json, json!({"pushEnabled": false, "quietHours": "22:00-07:00", "notificationPermission": "granted"}));
    assert_eq!(world.get(&format!("/api/v1/devices/{device}")).await.json["pushEnabled"], false);
    assert_eq!(world.get(&format!("/api/v1/users/{ada}")).await.json["quietHours"], "22:00-07:00");
    let cleared = set(json!({"quietHours": null, "notificationPermission": "denied"})).await.expect(200);
    assert_eq!(cleared.json, json!({"pushEnabled": false, "quietHours": null, "notificationPermission": "denied"}));
}

#[tokio::test]
async fn a_device_gives_up_only_the_registrations_that_it_names() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (device, app) = world.enrolled(&ada).await;
    let put = |body: Value| world.ask("PUT", "/api/v1/device/registration").token(&app).json(body).send();
    put(json!({"service": "apns", "app": "org.example.a", "token": "0aff00112233"})).await.expect(200);
    put(json!({"service": "apns", "app": "org.example.b", "token": "0aff00112244"})).await.expect(200);
    let delete = |query: &str| world.ask("DELETE", &format!("/api/v1/device/registration?{query}")).token(&app).send();
    delete("service=apns&app=org.example.a").await.expect(204);
    let left = world.get(&format!("/api/v1/devices/{device}/registrations")).await.expect(200);
    assert_eq!((left.json["items"].as_array().map(Vec::len), left.json["items"][0]["app"].as_str()), (Some(1), Some("org.example.b")));
    assert_eq!(delete("service=fcm").await.code(), (404, "not_found"));
}

/// Reads a stream until it holds `mark`.
async fn until(body: &mut Body, mark: &str) -> String {
    let mut text = String::new();
    while !text.contains(mark) {
        let frame =
            tokio::time::timeout(Duration::from_secs(5), body.frame()).await.expect("something comes").expect("no end").expect("no fault");
        text.push_str(&String::from_utf8_lossy(frame.data_ref().expect("data")));
    }
    text
}

async fn stream(world: &World, app: &str, last: Option<&str>) -> Body {
    let mut ask = world.ask("GET", "/api/v1/device/inbox/stream").token(app);
    if let Some(last) = last {
        ask = ask.header("last-event-id", last);
    }
    let response = world.router.clone().oneshot(ask.request()).await.expect("an answer");
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok().map(str::to_owned));
    assert_eq!(header("content-type").as_deref(), Some("text/event-stream"));
    assert_eq!(header("x-accel-buffering").as_deref(), Some("no"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store"));
    response.into_body()
}

#[tokio::test]
async fn an_open_stream_gets_what_is_sent_and_resumes_where_it_was() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (_, app) = world.enrolled(&ada).await;
    let send = |title: &str| world.post("/api/v1/notifications", json!({"title": title, "body": "b", "users": ["ada@example.org"]}));
    let mut open = stream(&world, &app, None).await;
    assert!(until(&mut open, "retry").await.starts_with("retry: 2000\n\n"));
    let first = send("first").await.expect(201);
    let text = until(&mut open, "\n\n").await;
    assert!(text.contains("event: notification\n") && text.contains("\"title\":\"first\"") && text.contains(first.id()), "{text}");
    let seen = text.lines().find_map(|l| l.strip_prefix("id: ")).expect("an id").to_owned();
    drop(open);
    send("second").await.expect(201);
    let mut again = stream(&world, &app, Some(&seen)).await;
    let text = until(&mut again, "second").await;
    assert!(!text.contains("first"), "{text}");
    world.ask("POST", &format!("/api/v1/notifications/{}/cancel", first.id())).send().await;
    let inbox = world.ask("GET", "/api/v1/device/inbox").token(&app).send().await.expect(200);
    assert!(inbox.json["items"].as_array().is_some_and(|items| items.iter().any(|i| i["title"] == "second")));
}

#[tokio::test]
async fn receipts_are_counted_once_and_mark_the_inbox() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (_, app) = world.enrolled(&ada).await;
    let sent = world.post("/api/v1/notifications", json!({"title": "t", "body": "b", "users": ["ada@example.org"]})).await.expect(201);
    let event = sent.json["eventId"].clone();
    let receipt = |kind: &str| json!({"receipts": [{"eventId": event, "kind": kind}]});
    let tell = |body: Value| world.ask("POST", "/api/v1/device/receipts").token(&app).json(body).send();
    assert_eq!(tell(receipt("opened")).await.expect(200).json, json!({"accepted": 1, "repeated": 0}));
    assert_eq!(tell(receipt("opened")).await.expect(200).json, json!({"accepted": 0, "repeated": 1}));
    let inbox = world.ask("GET", "/api/v1/device/inbox").token(&app).send().await.expect(200);
    assert!(inbox.json["items"][0]["openedAt"].is_string());
    tell(receipt("dismissed")).await.expect(200);
    let count = async |query: &str| {
        let reply = world.ask("GET", &format!("/api/v1/device/inbox{query}")).token(&app).send().await.expect(200);
        reply.json["items"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((count("").await, count("?dismissed=true").await), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_are_followed_explained_and_reported_as_described() {
    let world = World::new().await;
    let (ada, sales) = (world.user("ada@example.org").await, world.group("Sales").await);
    world.add(&sales, "user", &ada).await;
    world.enrolled(&ada).await;
    let draft = json!({"title": "t", "body": "b", "groups": ["Sales"], "urgency": "high", "expiresIn": "2h"});
    let reach = world.post("/api/v1/notifications/reach?list=inboxOnly", draft.clone()).await.expect(200);
    assert_eq!(reach.json["people"], 1);
    let sent = world.post("/api/v1/notifications", draft).await.expect(201);
    assert_eq!((sent.json["title"].as_str(), sent.json["sender"].as_str()), (Some("t"), Some("owner")));
    let path = format!("/api/v1/notifications/{}", sent.id());
    world.get(&path).await.expect(200);
    world.get(&format!("{path}/report")).await.expect(200);
    let deliveries = world.get(&format!("{path}/deliveries?state=suppressed")).await.expect(200);
    assert!(deliveries.json["items"].as_array().is_some_and(|items| !items.is_empty()), "{}", deliveries.text);
    let why = world.ask("GET", &format!("/api/v1/events/{}/why?person=ada@example.org", sent.id())).header("accept-language", "fr");
    let why = why.send().await.expect(200);
    assert_eq!(why.json["inAudience"], true);
    let list = world.get("/api/v1/notifications?limit=1").await.expect(200);
    assert_eq!(list.json["items"][0]["id"], sent.json["id"]);
    let at = model::Clock::now(&*world.clock).plus(Duration::from_secs(3_600));
    let later =
        world.post("/api/v1/notifications", json!({"title": "t", "body": "b", "users": ["ada@example.org"], "at": at})).await.expect(201);
    assert_eq!(later.json["state"], "scheduled");
    let stopped = world.ask("POST", &format!("/api/v1/notifications/{}/cancel", later.id())).send().await.expect(200);
    assert_eq!(stopped.json["state"], "cancelled");
    let again = world.ask("POST", &format!("{path}/resend")).send().await.expect(201);
    assert_eq!(again.json["resendOf"], sent.json["id"]);
}

#[tokio::test]
async fn a_report_comes_as_json_csv_or_a_page_in_the_callers_language() {
    let world = World::new().await;
    let (ada, sales) = (world.user("ada@example.org").await, world.group("Sales").await);
    world.add(&sales, "user", &ada).await;
    let sent = world.post("/api/v1/notifications", json!({"title": "<b>", "body": "b", "groups": ["Sales"]})).await.expect(201);
    let path = format!("/api/v1/notifications/{}/report", sent.id());
    let json = world.get(&path).await.expect(200);
    assert_eq!((json.json["title"].as_str(), json.json["body"].as_str()), (Some("<b>"), Some("b")));
    let planned = &json.json["lines"];
    assert_eq!(json.json["forecast"]["people"], 1, "{}", json.text);
    assert_eq!(json.json["unreachable"]["no_device"], 1, "{}", json.text);
    let csv = world.get(&format!("{path}?format=csv")).await.expect(200);
    assert!(csv.header("content-disposition").ends_with(&format!("report-{}.csv\"", sent.id())));
    assert_eq!(csv.text.split("\r\n").filter(|l| !l.is_empty()).count(), 1 + planned.as_array().map_or(0, Vec::len), "{}", csv.text);
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = world.ask("GET", &path).header("accept", browser).header("accept-language", "fr").send().await.expect(200);
    assert!(page.text.contains("<html lang=\"fr\">") && page.text.contains("Rapport de notification"), "{}", page.text);
    assert!(page.text.contains("&lt;b&gt;") && !page.text.contains("<b>"));
    assert!(page.header("content-security-policy").contains("style-src 'sha256-"));
    assert_eq!((page.header("content-language"), page.header("vary")), ("fr", "accept, accept-language"));
    let wins = world.ask("GET", &format!("{path}?format=json")).header("accept", "text/html").send().await.expect(200);
    assert_eq!(wins.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_limit_that_is_reached_is_named_with_the_time_to_wait() {
    let world = World::new().await;
    world.group("Sales").await;
    world.ask("PUT", "/api/v1/settings/limits.group_sends_per_hour").json(json!({"value": 1})).send().await.expect(200);
    let draft = json!({"title": "t", "body": "b", "groups": ["Sales"]});
    world.post("/api/v1/notifications", draft.clone()).await.expect(201);
    let reply = world.post("/api/v1/notifications", draft).await;
    assert_eq!(reply.code(), (429, "over_limit"));
    let wait: u64 = reply.header("retry-after").parse().expect("seconds");
    assert!((3_590..=3_600).contains(&wait), "{wait}");
    assert_eq!((reply.header("ratelimit-limit"), reply.header("ratelimit-remaining")), ("1", "0"));
    assert_eq!(reply.json["limit"]["name"], "limits.group_sends_per_hour");
}
