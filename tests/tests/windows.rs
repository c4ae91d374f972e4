//! Windows devices: retired by the words of Microsoft's push service and by nothing else. A wrong secret and channels of
//! another app are our fault: every registration stays, an alarm is raised, what was tried waits, and goes once mended.

use fakes::microsoft::{self, Answer, Application};
use fakes::{Authority, Mode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stories::{Api, Org, SOON, Stage, channel_of, eventually, when};

struct Windows {
    microsoft: microsoft::Running,
    application: Application,
    stage: Stage,
}

async fn windows() -> Windows {
    let application = Application::generate();
    let options = microsoft::Options {
        tls: Some(Arc::new(Authority::generate().expect("the machine has randomness"))),
        record: 20_000,
        ..microsoft::Options::default()
    };
    let microsoft = microsoft::start(options, application.clone()).await.expect("the fake Microsoft starts");
    let stage = Stage::with(|scene| {
        scene.more = format!(
            "[channels.wns]\nendpoint_override = \"{}\"\ntoken_endpoint = \"{}\"\nclient_id = \"{}\"\nsecret_file = \"wns-secret\"\n\
             ca_file = \"microsoft-ca.pem\"\n",
            microsoft.endpoint(),
            microsoft.token_endpoint(),
            application.client_id
        );
        let ca = microsoft.ca_pem().expect("there is TLS").to_owned();
        scene.files = vec![("wns-secret", format!("{}\n", application.secret)), ("microsoft-ca.pem", ca)];
    })
    .await;
    Windows { microsoft, application, stage }
}

fn crowd(name: &str, people: usize) -> Org {
    let mut org = Org::new();
    org.group(name, &[]);
    for n in 0..people {
        let person = format!("{name}-{n}");
        org.person(&person).windows(&format!("{person}-pc"), &person).group(name, &[&format!("user:{person}")]);
    }
    org
}

async fn registration(api: &Api, device: &str) -> Value {
    let id = api.id("device", device).await;
    let all = api.all(&format!("devices/{id}/registrations")).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

async fn our_fault(api: &Api, id: &str, said: &str, devices: &[&str]) {
    eventually("deliveries to wait", SOON, async || when(api.notification(id).await["counts"]["held"].as_u64() > Some(0))).await;
    let held = api.all(&format!("notifications/{id}/deliveries?state=held")).await;
    assert!(held.iter().all(|row| row["reasonCode"] == "our_fault"), "{held:?}");
    let alarm = eventually("the alarm", SOON, async || api.alarms().await.into_iter().find(|alarm| alarm["code"] == "wns_our_fault")).await;
    assert!(alarm["detail"].as_str().is_some_and(|d| d.contains(said) && d.contains("channels.wns")), "{alarm}");
    let counts = api.notification(id).await["counts"].clone();
    let lost = ["accepted", "gone", "rejected", "expired"].map(|state| counts[state].as_u64().unwrap_or(0));
    assert_eq!(lost, [0; 4], "{counts}");
    for device in devices {
        let registration = registration(api, device).await;
        assert_eq!(registration["state"], "active", "{registration}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_reaches_a_windows_pc_as_a_toast_and_a_private_one_as_a_raw_notification() {
    let Windows { microsoft, stage, .. } = windows().await;
    Org::new().person("ada").windows("ada-pc", "ada").import(&stage.api).await;
    let sent = stage.api.send(&json!({"title": "Lift <2>", "body": "Out & about.", "users": ["ada@example.org"]})).await;
    assert_eq!(stage.api.done(sent["id"].as_str().expect("an id")).await["counts"]["accepted"], 1);
    let arrival = microsoft.arrivals(1).pop().expect("it arrived");
    assert!(channel_of("ada-pc").ends_with(&arrival.address), "{}", arrival.address);
    assert_eq!(arrival.headers["x-wns-type"], "wns/toast");
    assert!(arrival.payload.contains("<text>Lift &lt;2&gt;</text><text>Out &amp; about.</text>"), "{}", arrival.payload);

    let private = json!({"title": "Payroll", "body": "Secret sum.", "users": ["ada@example.org"], "private": true});
    let sent = stage.api.send(&private).await;
    assert_eq!(stage.api.done(sent["id"].as_str().expect("an id")).await["counts"]["accepted"], 1);
    let arrival = microsoft.arrivals(1).pop().expect("it arrived");
    assert_eq!(arrival.headers["x-wns-type"], "wns/raw");
    assert!(!arrival.payload.contains("Secret") && !arrival.payload.contains("Payroll"), "{}", arrival.payload);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_retired_when_microsoft_says_expired_or_not_found_and_by_nothing_else() {
    let Windows { microsoft, stage, .. } = windows().await;
    let words: [(&str, Answer, &str); 7] = [
        ("expired", Answer::refused(410, "expired"), "gone"),
        ("unknown", Answer::refused(404, "not found"), "gone"),
        ("header", Answer::refused(400, "bad header"), "rejected"),
        ("dropped", Answer::refused(200, "dropped"), "rejected"),
        ("absent", Answer::refused(200, "dropped").about("disconnected").retry_after(3600), "held"),
        ("throttled", Answer::refused(200, "channelthrottled").retry_after(3600), "held"),
        ("foreign", Answer::refused(403, "not yours"), "held"),
    ];
    let mut org = Org::new();
    for (name, answer, _) in &words {
        org.person(name).windows(&format!("{name}-pc"), name).group("all", &[&format!("user:{name}")]);
        microsoft.answer(&channel_of(&format!("{name}-pc")), Some(answer.clone()));
    }
    org.import(&stage.api).await;
    let id = stage.api.tell("all", "Who is there?").await;
    eventually("everybody's answer", SOON, async || when(stage.api.notification(&id).await["counts"]["scheduled"] == 0)).await;
    for row in stage.api.deliveries(&id).await.iter().filter(|row| row["channel"] == "wns") {
        let (_, answer, state) = words.iter().find(|(name, ..)| row["upn"] == format!("{name}@example.org")).expect("one of them");
        assert_eq!(row["state"], *state, "{} {row}", answer.reason);
    }
    for (name, answer, state) in &words {
        let registration = registration(&stage.api, &format!("{name}-pc")).await;
        let wanted = if *state == "gone" { "retired" } else { "active" };
        assert_eq!(registration["state"], wanted, "{} {}: {registration}", answer.status, answer.reason);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_of_another_app_for_everybody_are_our_fault_and_delete_nobody() {
    let Windows { microsoft, mut stage, .. } = windows().await;
    crowd("staff", 30).import(&stage.api).await;
    microsoft.set_mode(Mode::Refuse { status: 403, reason: "not yours".into(), retry_after_seconds: None });
    let id = stage.api.tell("staff", "From a foreign app").await;
    our_fault(&stage.api, &id, "403", &["staff-0-pc", "staff-29-pc"]).await;
    assert!(stage.server.terminate().success());
    microsoft.set_mode(Mode::Ok);
    microsoft.clear();
    stage.server.restart().await;
    assert_eq!(stage.api.done_within(&id, Duration::from_secs(40)).await["counts"]["accepted"], 30);
    assert_eq!((microsoft.stats().distinct, microsoft.stats().repeats), (30, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_deletes_nobody_raises_an_alarm_and_is_mended_by_the_right_one() {
    let Windows { microsoft, application, mut stage } = windows().await;
    crowd("staff", 30).import(&stage.api).await;
    microsoft.set_application(Application { secret: "another".into(), ..application.clone() });
    let id = stage.api.tell("staff", "With a wrong secret").await;
    our_fault(&stage.api, &id, "invalid_client", &["staff-0-pc", "staff-29-pc"]).await;
    assert_eq!(microsoft.stats().requests, 0, "without a token nothing is sent");
    assert!(stage.server.terminate().success());
    microsoft.set_application(application);
    microsoft.clear();
    stage.server.restart().await;
    assert_eq!(stage.api.done_within(&id, Duration::from_secs(40)).await["counts"]["accepted"], 30);
    eventually("the alarm to be over", SOON, async || when(!stage.api.alarms().await.iter().any(|alarm| alarm["code"] == "wns_our_fault")))
        .await;
}
