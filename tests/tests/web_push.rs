//! Web Push through a fake push service: a notification reaches browsers encrypted; a subscription that has ended is
//! retired, and a key that the service refuses, or a word that it does not know, retires nothing.

use fakes::push_service::{self, Answer};
use fakes::{Authority, Mode};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stories::{App, Folder, Org, SOON, Stage, eventually, when};

/// A server that sends to browsers, and the push service that they chose.
struct Browsers {
    push: push_service::Running,
    stage: Stage,
    _folder: Folder,
}

impl Browsers {
    async fn open() -> Browsers {
        let authority = Arc::new(Authority::generate().expect("randomness"));
        let push = push_service::start(push_service::Options::new(authority.clone())).await.expect("the fake starts");
        let folder = Folder::fresh();
        folder.write("push-ca.pem", authority.pem());
        let ca_file = folder.path().join("push-ca.pem");
        let stage = Stage::with(|scene| {
            scene.more = format!(
                "[channels.webpush]\nsubject = \"mailto:operations@example.org\"\nallow_private_endpoints = true\nca_file = {ca_file:?}\n"
            );
        })
        .await;
        // As browsers do: every subscription is bound to the key that the server publishes.
        let key = stage.api.get("push/web-push-key").await["publicKey"].as_str().expect("a key").to_owned();
        push.set_key(Some(key));
        Browsers { push, stage, _folder: folder }
    }

    fn subscribe(&self, org: &mut Org, name: &str, owner: &str) {
        let browser = self.push.browser.as_ref().expect("the fake plays one");
        org.browser(name, owner, [&self.push.endpoint(name), &browser.p256dh(), &browser.auth()]);
    }

    /// So many people with one browser each, in the group `staff`.
    async fn staff(&self, people: usize) {
        let mut org = Org::new();
        org.group("staff", &[]);
        for n in 0..people {
            let person = format!("staff-{n}");
            org.person(&person).group("staff", &[&format!("user:{person}")]);
            self.subscribe(&mut org, &format!("{person}-browser"), &person);
        }
        org.import(&self.stage.api).await;
    }

    async fn registrations(&self, device: &str) -> Vec<Value> {
        let device = self.stage.api.id("device", device).await;
        self.stage.api.all(&format!("devices/{device}/registrations")).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_reaches_browsers_encrypted_for_each_and_a_private_one_says_nothing() {
    let browsers = Browsers::open().await;
    browsers.staff(120).await;
    let api = &browsers.stage.api;
    let body = json!({"title": "Feu 🔥", "body": "Par l’escalier.", "groups": ["staff"], "urgency": "high", "expiresIn": "2h"});
    let sent = api.send(&body).await;
    let id = sent["id"].as_str().expect("an id").to_owned();
    assert_eq!(api.done(&id).await["counts"]["accepted"], 120);
    let stats = browsers.push.stats();
    assert_eq!((stats.accepted, stats.distinct, stats.repeats, stats.refused), (120, 120, 0, 0), "{stats:?}");
    for arrival in browsers.push.arrivals(120) {
        let payload: Value = serde_json::from_str(&arrival.payload).expect("JSON");
        assert_eq!((&payload["title"], &payload["body"]), (&json!("Feu 🔥"), &json!("Par l’escalier.")));
        assert_eq!(payload["carillon"]["eventId"], sent["eventId"]);
        assert_eq!(arrival.headers["urgency"], "high");
        assert_eq!(arrival.headers["topic"].len(), 22);
        let ttl: u32 = arrival.headers["ttl"].parse().expect("a number");
        assert!((7100..=7200).contains(&ttl), "{ttl}");
    }
    let private = json!({"title": "Salary", "body": "To be read in the app.", "users": ["staff-7@example.org"], "private": true});
    let id = api.send(&private).await["id"].as_str().expect("an id").to_owned();
    assert_eq!(api.done(&id).await["counts"]["accepted"], 1);
    let arrival = browsers.push.arrivals(1).pop().expect("it arrived");
    assert_eq!(arrival.subscription, "staff-7-browser");
    assert!(arrival.payload.contains(r#""private":true"#), "{}", arrival.payload);
    assert!(!arrival.payload.contains("Salary") && !arrival.payload.contains("in the app."), "{}", arrival.payload);
    // Neither an endpoint nor a key of a subscription is in the log.
    let log = browsers.stage.server.log();
    assert!(!log.contains("staff-7-browser") && !log.contains(&browsers.push.browser.as_ref().expect("a browser").auth()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_has_ended_is_retired_and_a_new_one_takes_its_place() {
    let browsers = Browsers::open().await;
    let mut org = Org::new();
    org.person("ada").person("bob").group("lyon", &["user:ada", "user:bob"]);
    browsers.subscribe(&mut org, "ada-browser", "ada");
    browsers.subscribe(&mut org, "bob-browser", "bob");
    org.import(&browsers.stage.api).await;
    let api = &browsers.stage.api;
    api.set("custom.email", json!("off")).await;
    browsers.push.answer("ada-browser", Some(Answer::gone()));
    let first = api.tell("lyon", "First").await;
    let done = api.done(&first).await;
    assert_eq!((&done["counts"]["gone"], &done["counts"]["accepted"]), (&json!(1), &json!(1)), "{done}");
    let registration = browsers.registrations("ada-browser").await.remove(0);
    assert_eq!((&registration["state"], &registration["retiredCode"]), (&json!("retired"), &json!("Gone_106")), "{registration}");
    assert_eq!(browsers.registrations("bob-browser").await[0]["state"], "active");
    browsers.push.answer("ada-browser", None);
    let second = api.tell("lyon", "Second").await;
    assert_eq!(api.done(&second).await["counts"]["accepted"], 1);
    let report = api.get(&format!("notifications/{second}/report")).await;
    assert_eq!(report["byReason"]["registration_retired"], 1, "{report}");
    assert_eq!(browsers.push.reached("ada-browser"), 0, "a retired subscription is not asked again");
    // The browser subscribes anew, as its app does when it is opened.
    let app = App::enrol(api, "ada@example.org", "Ada's new browser", "browser").await;
    let browser = browsers.push.browser.as_ref().expect("the fake plays one");
    let body =
        json!({"service": "webpush", "endpoint": browsers.push.endpoint("ada-anew"), "p256dh": browser.p256dh(), "auth": browser.auth()});
    app.ask(Method::PUT, "registration", Some(&body)).await.fine();
    let third = api.tell("lyon", "Third").await;
    assert_eq!(api.done(&third).await["counts"]["accepted"], 2);
    assert_eq!(browsers.push.reached("ada-anew"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_retires_nothing_raises_an_alarm_and_is_not_tried_to_death() {
    for (status, reason) in [(401, "Invalid VAPID token"), (403, "Forbidden")] {
        let mut browsers = Browsers::open().await;
        browsers.staff(150).await;
        let reason = reason.to_owned();
        browsers.push.set_mode(Mode::Refuse { status, reason, retry_after_seconds: None });
        let id = browsers.stage.api.tell("staff", "Signed by somebody else").await;
        let alarm = eventually("the alarm", SOON, async || {
            let alarms = browsers.stage.api.alarms().await;
            alarms.into_iter().find(|alarm| alarm["code"].as_str().is_some_and(|code| code.contains("webpush")))
        })
        .await;
        assert!(alarm["detail"].as_str().is_some_and(|d| d.contains(&status.to_string())), "{alarm}");
        eventually("every delivery to wait", SOON, async || when(browsers.stage.api.notification(&id).await["counts"]["held"] == 150))
            .await;
        let counts = browsers.stage.api.notification(&id).await["counts"].clone();
        assert_eq!((&counts["gone"], &counts["rejected"], &counts["expired"]), (&json!(0), &json!(0), &json!(0)), "{counts}");
        let held = browsers.stage.api.all(&format!("notifications/{id}/deliveries?state=held")).await;
        assert!(held.iter().all(|row| row["reasonCode"] == "our_fault"), "{:?}", held[0]);
        for n in [0, 77, 149] {
            let registrations = browsers.registrations(&format!("staff-{n}-browser")).await;
            assert_eq!((registrations.len(), &registrations[0]["state"]), (1, &json!("active")), "{registrations:?}");
        }
        let asked = browsers.push.stats().requests;
        assert!(asked <= 150, "a refused key is not tried twice with anybody meanwhile: {asked}");
        // What was wrong is mended (a clock, say), and the server is started again: everything that waited goes.
        browsers.push.set_mode(Mode::Ok);
        assert!(browsers.stage.server.terminate().success());
        browsers.stage.server.restart().await;
        let done = browsers.stage.api.done_within(&id, Duration::from_secs(40)).await;
        assert_eq!(done["counts"]["accepted"], 150, "{done}");
        eventually("the alarm to be over", SOON, async || when(browsers.stage.api.alarms().await.is_empty())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_of_the_inside_is_not_reached_unless_the_operator_allows_it() {
    let authority = Arc::new(Authority::generate().expect("randomness"));
    let push = push_service::start(push_service::Options::new(authority)).await.expect("the fake starts");
    let subject = "[channels.webpush]\nsubject = \"mailto:operations@example.org\"\n";
    let stage = Stage::with(|scene| scene.more = subject.into()).await;
    let browser = push.browser.as_ref().expect("the fake plays one");
    let endpoint = push.endpoint("x");
    let mut org = Org::new();
    org.person("eve").browser("eve-browser", "eve", [&endpoint, &browser.p256dh(), &browser.auth()]).import(&stage.api).await;
    let sent = stage.api.send(&json!({"title": "Inside", "body": "x", "users": ["eve@example.org"]})).await;
    let done = stage.api.done(sent["id"].as_str().expect("an id")).await;
    assert_eq!(done["counts"]["rejected"], 1, "{done}");
    let why = stage.api.why(sent["eventId"].as_str().expect("an id"), "eve@example.org").await;
    assert!(why.to_string().contains("forbidden_address"), "{why}");
    assert_eq!(push.stats().connections, 0, "nobody knocked");
}
