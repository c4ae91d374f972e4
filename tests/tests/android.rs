//! Android phones: retired by Google's own word and by nothing else. A wrong service account, a wrong project and tokens of
//! another sender are our fault: every registration stays, an alarm is raised, what was tried waits, and goes once mended.

use fakes::google::{self, Answer, ServiceAccount};
use fakes::{Authority, Mode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stories::{Api, Org, SOON, Stage, eventually, google_token_of, when};

const PROJECT: &str = "story-project";

struct Android {
    google: google::Running,
    account: ServiceAccount,
    stage: Stage,
}

/// A stage with Google; `known` may be another account than the server's.
async fn android(edit: impl FnOnce(&mut google::Options)) -> Android {
    let account = ServiceAccount::generate(PROJECT);
    let mut options = google::Options {
        tls: Some(Arc::new(Authority::generate().expect("the machine has randomness"))),
        record: 20_000,
        ..google::Options::default()
    };
    edit(&mut options);
    let google = google::start(options, account.clone()).await.expect("the fake Google starts");
    let stage = Stage::with(|scene| {
        scene.more = format!(
            "[channels.fcm]\nendpoint = \"{}\"\nservice_account_file = \"account.json\"\nca_file = \"google-ca.pem\"\n",
            google.endpoint()
        );
        let ca = google.ca_pem().expect("there is TLS").to_owned();
        scene.files = vec![("account.json", google.service_account()), ("google-ca.pem", ca)];
    })
    .await;
    Android { google, account, stage }
}

/// So many people with an Android phone each, in the group `NAME`.
fn crowd(name: &str, people: usize) -> Org {
    let mut org = Org::new();
    org.group(name, &[]);
    for n in 0..people {
        let person = format!("{name}-{n}");
        org.person(&person).android(&format!("{person}-phone"), &person).group(name, &[&format!("user:{person}")]);
    }
    org
}

async fn registration(api: &Api, device: &str) -> Value {
    let id = api.id("device", device).await;
    let all = api.all(&format!("devices/{id}/registrations")).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

/// Everybody's registration is there and active; nothing ended.
async fn nobody_lost_anything(api: &Api, id: &str, devices: &[String]) {
    let counts = api.notification(id).await["counts"].clone();
    let lost = ["accepted", "gone", "rejected", "expired"].map(|state| counts[state].as_u64().unwrap_or(0));
    assert_eq!(lost, [0; 4], "{counts}");
    for device in devices {
        let registration = registration(api, device).await;
        assert_eq!(registration["state"], "active", "{registration}");
    }
}

async fn alarm(api: &Api, code: &str) -> Value {
    eventually("the alarm", SOON, async || api.alarms().await.into_iter().find(|alarm| alarm["code"] == code)).await
}

async fn held_as_our_fault(api: &Api, id: &str) {
    eventually("deliveries to wait", SOON, async || when(api.notification(id).await["counts"]["held"].as_u64() > Some(0))).await;
    let held = api.all(&format!("notifications/{id}/deliveries?state=held")).await;
    assert!(held.iter().all(|row| row["reasonCode"] == "our_fault"), "{held:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_reaches_an_android_phone_with_its_text_and_its_ids() {
    let Android { google, stage, .. } = android(|_| {}).await;
    Org::new().person("ada").android("ada-phone", "ada").import(&stage.api).await;
    let sent = stage.api.send(&json!({"title": "Lift", "body": "Out of order.", "users": ["ada@example.org"]})).await;
    let id = sent["id"].as_str().expect("an id").to_owned();
    assert_eq!(stage.api.done(&id).await["counts"]["accepted"], 1);
    let arrival = google.arrivals(1).pop().expect("it arrived");
    let message: Value = serde_json::from_str(&arrival.payload).expect("JSON");
    let message = &message["message"];
    assert_eq!((&message["token"], &message["notification"]["body"]), (&json!(google_token_of("ada-phone")), &json!("Out of order.")));
    assert_eq!(message["data"]["eventId"], id);
    let tag = message["android"]["notification"]["tag"].as_str().expect("a tag").to_owned();
    assert_eq!((tag.len(), &message["android"]["collapse_key"]), (22, &json!(tag)));

    let private = json!({"title": "Payroll", "body": "Secret sum.", "users": ["ada@example.org"], "private": true});
    let sent = stage.api.send(&private).await;
    assert_eq!(stage.api.done(sent["id"].as_str().expect("an id")).await["counts"]["accepted"], 1);
    let arrival = google.arrivals(1).pop().expect("it arrived");
    assert!(!arrival.payload.contains("Secret") && !arrival.payload.contains("Payroll"), "{}", arrival.payload);
    assert!(arrival.payload.contains(r#""private":"true""#), "{}", arrival.payload);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_retired_when_google_says_unregistered_or_names_the_token_and_by_nothing_else() {
    let Android { google, stage, .. } = android(|_| {}).await;
    let words: [(&str, Answer, &str); 7] = [
        ("unregistered", Answer::refused(404, "UNREGISTERED"), "gone"),
        ("notoken", Answer::refused(400, "INVALID_ARGUMENT").about("message.token"), "gone"),
        ("argument", Answer::refused(400, "INVALID_ARGUMENT"), "rejected"),
        ("field", Answer::refused(400, "INVALID_ARGUMENT").about("message.android.ttl"), "rejected"),
        ("sender", Answer::refused(403, "SENDER_ID_MISMATCH"), "held"),
        ("quota", Answer::refused(429, "QUOTA_EXCEEDED").retry_after(3600), "held"),
        ("third", Answer::refused(401, "THIRD_PARTY_AUTH_ERROR"), "held"),
    ];
    let mut org = Org::new();
    for (name, answer, _) in &words {
        org.person(name).android(&format!("{name}-phone"), name).group("all", &[&format!("user:{name}")]);
        google.answer(&google_token_of(&format!("{name}-phone")), Some(answer.clone()));
    }
    org.import(&stage.api).await;
    let id = stage.api.tell("all", "Who is there?").await;
    eventually("everybody's answer", SOON, async || when(stage.api.notification(&id).await["counts"]["scheduled"] == 0)).await;
    for row in stage.api.deliveries(&id).await.iter().filter(|row| row["channel"] == "fcm") {
        let (_, answer, state) = words.iter().find(|(name, ..)| row["upn"] == format!("{name}@example.org")).expect("one of them");
        assert_eq!(row["state"], *state, "{} {row}", answer.reason);
    }
    for (name, answer, state) in &words {
        let registration = registration(&stage.api, &format!("{name}-phone")).await;
        if *state == "gone" {
            assert_eq!(
                (&registration["state"], &registration["retiredCode"]),
                (&json!("retired"), &json!(answer.reason)),
                "{registration}"
            );
        } else {
            assert_eq!(registration["state"], "active", "{} keeps it: {registration}", answer.reason);
        }
    }
    // A retired one is not asked again; registering anew brings it back.
    let device = stage.api.id("device", "unregistered-phone").await;
    google.answer(&google_token_of("unregistered-phone"), None);
    let body = json!({"service": "fcm", "token": google_token_of("unregistered-phone")});
    stage.api.post(&format!("devices/{device}/registrations"), &body).await.with(201);
    let again = stage.api.send(&json!({"title": "Again", "body": "x", "users": ["unregistered@example.org"]})).await;
    assert_eq!(stage.api.done(again["id"].as_str().expect("an id")).await["counts"]["accepted"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_another_sender_for_everybody_are_our_fault_and_delete_nobody() {
    let Android { google, mut stage, .. } = android(|_| {}).await;
    crowd("staff", 60).import(&stage.api).await;
    google.set_mode(Mode::Refuse { status: 403, reason: "SENDER_ID_MISMATCH".into(), retry_after_seconds: None });
    let id = stage.api.tell("staff", "Of a foreign project").await;
    held_as_our_fault(&stage.api, &id).await;
    let alarm = alarm(&stage.api, "fcm_our_fault").await;
    assert!(alarm["detail"].as_str().is_some_and(|d| d.contains("SENDER_ID_MISMATCH")), "{alarm}");
    nobody_lost_anything(&stage.api, &id, &["staff-0-phone".into(), "staff-31-phone".into(), "staff-59-phone".into()]).await;
    assert!(google.stats().requests <= 60 * 2, "it is not tried without end: {:?}", google.stats());

    assert!(stage.server.terminate().success());
    google.set_mode(Mode::Ok);
    google.clear();
    stage.server.restart().await;
    assert_eq!(stage.api.done_within(&id, Duration::from_secs(40)).await["counts"]["accepted"], 60);
    assert_eq!((google.stats().distinct, google.stats().repeats), (60, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_service_account_deletes_nobody_raises_an_alarm_and_is_mended_by_the_right_one() {
    let Android { google, account, mut stage } = android(|_| {}).await;
    crowd("staff", 60).import(&stage.api).await;
    google.set_account(ServiceAccount::generate(PROJECT));
    let id = stage.api.tell("staff", "Signed by somebody else").await;
    held_as_our_fault(&stage.api, &id).await;
    let alarm = alarm(&stage.api, "fcm_our_fault").await;
    assert!(alarm["detail"].as_str().is_some_and(|d| d.contains("invalid_grant") && d.contains("channels.fcm")), "{alarm}");
    nobody_lost_anything(&stage.api, &id, &["staff-0-phone".into(), "staff-59-phone".into()]).await;
    assert_eq!(google.stats().requests, 0, "without a token nothing is sent");
    assert!(google.stats().tokens < 10, "{:?}", google.stats());

    assert!(stage.server.terminate().success());
    google.set_account(account);
    google.clear();
    stage.server.restart().await;
    assert_eq!(stage.api.done_within(&id, Duration::from_secs(40)).await["counts"]["accepted"], 60);
    eventually("the alarm to be over", SOON, async || when(!stage.api.alarms().await.iter().any(|alarm| alarm["code"] == "fcm_our_fault")))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_that_google_does_not_find_or_does_not_allow_deletes_nobody() {
    for (status, reason) in [(404, "NOT_FOUND"), (403, "PERMISSION_DENIED"), (401, "UNAUTHENTICATED")] {
        let Android { google, stage, .. } = android(|_| {}).await;
        crowd("staff", 20).import(&stage.api).await;
        google.set_mode(Mode::Refuse { status, reason: reason.into(), retry_after_seconds: None });
        let id = stage.api.tell("staff", "To a wrong project").await;
        held_as_our_fault(&stage.api, &id).await;
        let alarm = alarm(&stage.api, "fcm_our_fault").await;
        assert!(alarm["detail"].as_str().is_some_and(|d| d.contains(reason)), "{alarm}");
        nobody_lost_anything(&stage.api, &id, &["staff-0-phone".into(), "staff-19-phone".into()]).await;
    }
}
