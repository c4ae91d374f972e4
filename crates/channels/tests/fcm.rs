//! What only FCM has to do: the message, GOAWAY, access tokens, faults that are ours.

mod stands;

use channels::{FcmChannel, FcmSettings};
use fakes::google::{Answer, ServiceAccount};
use fakes::{Mode, google};
use model::channel::{Address, Lane};
use model::outcome::Outcome;
use model::{EventKey, PersonKey, WireId};
use serde_json::Value;
use stands::{Stand, code, eventually, google_stand, words};
use std::time::Duration;

fn message(stand: &Stand) -> Value {
    let arrival = stand.google().arrivals(1).pop().expect("it arrived");
    assert_eq!(arrival.headers["content-type"], "application/json");
    serde_json::from_str::<Value>(&arrival.payload).expect("JSON")["message"].take()
}

#[tokio::test]
async fn the_request_is_the_one_that_google_documents() {
    let stand = google_stand("fcm", true, |_, _| {}).await;
    assert_eq!(stand.tell(7).await, Outcome::Accepted);
    let sent = message(&stand);
    assert_eq!(sent["token"], stand.address(7));
    assert_eq!(sent["notification"]["title"], stands::TITLE);
    let android = &sent["android"];
    assert_eq!((&android["priority"], &android["collapse_key"]), (&"HIGH".into(), &"AAAAAAAAAAAAAAAAAAAADg".into()));
    assert_eq!(android["notification"]["tag"], "AAAAAAAAAAAAAAAAAAAADg");
    let ttl: u64 = android["ttl"].as_str().and_then(|ttl| ttl.strip_suffix('s')).and_then(|ttl| ttl.parse().ok()).expect("seconds");
    assert!((3590..=3600).contains(&ttl), "{ttl}");
    assert_eq!(sent["data"]["id"], WireId::new(EventKey(1), PersonKey(7), 0).to_string());
    let mut private = words("general words");
    private.private = true;
    let rendered = stand.channel.render(&private);
    assert_eq!(stand.tell_with(8, &rendered, |_| {}).await, Outcome::Accepted);
    let sent = message(&stand);
    assert_eq!((&sent["data"]["private"], &sent["notification"]["body"]), (&"true".into(), &"general words".into()));
}

#[tokio::test]
async fn an_access_token_is_fetched_once_for_everybody_who_waits_and_kept() {
    let stand = google_stand("fcm", true, |_, _| {}).await;
    let outcomes = futures_util::future::join_all((0..50).map(|n| stand.tell(n))).await;
    assert!(outcomes.iter().all(|o| *o == Outcome::Accepted), "{outcomes:?}");
    for n in 0..20 {
        assert_eq!(stand.tell(n).await, Outcome::Accepted);
    }
    assert_eq!(stand.google().stats().tokens, 1);
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_in_the_background_and_nobody_waits() {
    let stand = google_stand("fcm", false, |_, _| {}).await;
    // Used for 4 seconds (30 before its end it is not), and renewed a tenth of its life before that.
    stand.google().set_token_life(34);
    assert_eq!(stand.tell(1).await, Outcome::Accepted);
    assert_eq!(stand.google().stats().tokens, 1);
    eventually("a second token", async || {
        assert_eq!(stand.tell(2).await, Outcome::Accepted);
        stand.google().stats().tokens >= 2
    })
    .await;
}

#[tokio::test]
async fn a_service_account_that_google_does_not_know_is_our_fault_for_everybody_and_tried_rarely() {
    let stand = google_stand("fcm", false, |_, _| {}).await;
    stand.google().set_account(ServiceAccount::generate("demo-project"));
    for n in 0..5 {
        let outcome = stand.tell(n).await;
        assert!(matches!(&outcome, Outcome::OurFault(c) if c.whole_channel && c.code == "invalid_grant" && c.status == 400), "{outcome:?}");
    }
    assert_eq!((stand.google().stats().tokens, stand.google().stats().requests), (1, 0));
}

#[tokio::test]
async fn a_token_endpoint_in_trouble_passes() {
    let stand = google_stand("fcm", false, |_, _| {}).await;
    stand.google().refuse_tokens(Some((503, "")));
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::TryLater { cause, .. } if cause.whole_channel && cause.status == 503), "{outcome:?}");
    stand.google().refuse_tokens(None);
    eventually("a token", async || stand.tell(2).await == Outcome::Accepted).await;
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_is_our_fault_and_no_registration_dies_of_it() {
    let stand = google_stand("fcm", false, |_, _| {}).await;
    assert_eq!(stand.tell(1).await, Outcome::Accepted);
    stand.google().revoke();
    for n in 2..5 {
        let outcome = stand.tell(n).await;
        assert!(matches!(&outcome, Outcome::OurFault(c) if c.whole_channel && c.code == "UNAUTHENTICATED"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_wrong_project_or_endpoint_is_our_fault_though_google_says_not_found() {
    let account = ServiceAccount::generate("demo-project");
    let other = google::start(google::Options::default(), ServiceAccount::generate("other-project")).await.expect("a free port");
    let known = google::start(google::Options::default(), account).await.expect("a free port");
    let settings = FcmSettings { endpoint: other.endpoint(), service_account: known.service_account(), ..FcmSettings::default() };
    let channel = FcmChannel::new(settings).expect("good settings");
    let stand = Stand {
        name: "fcm",
        rendered: model::Channel::render(&channel, &words("body")),
        fake: stands::Fake::Google(other),
        channel: Box::new(channel),
    };
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::OurFault(c) if c.whole_channel && c.code == "NOT_FOUND" && c.status == 404), "{outcome:?}");
}

#[tokio::test]
async fn a_foreign_token_is_kept_and_held_against_us_an_invalid_one_is_gone() {
    let stand = google_stand("fcm", false, |_, _| {}).await;
    stand.google().answer(&stand.address(1), Some(Answer::refused(403, "SENDER_ID_MISMATCH")));
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::OurFault(c) if !c.whole_channel && c.code == "SENDER_ID_MISMATCH"), "{outcome:?}");
    for token in ["", "short", "with \"quotes\" and \\", "é"] {
        let address = Address::Registration { token, app: "", sandbox: false };
        let outcome = stand.tell_with(1, &stand.rendered, |l| l.address = address).await;
        assert!(matches!(&outcome, Outcome::AddressGone(c) if c.code == "INVALID_ARGUMENT"), "{token:?} {outcome:?}");
    }
    assert_eq!(stand.tell(2).await, Outcome::Accepted);
}

#[tokio::test]
async fn an_exceeded_quota_keeps_its_patience() {
    let stand = google_stand("fcm", false, |_, _| {}).await;
    stand.set_mode(Mode::Limit { per_second: 2, retry_after_seconds: Some(3) });
    let outcomes = futures_util::future::join_all((10..20).map(|n| stand.tell(n))).await;
    assert!(outcomes.iter().any(|o| matches!(o, Outcome::TryLater { after: Some(a), .. } if a.as_secs() == 3)), "{outcomes:?}");
}

#[tokio::test]
async fn a_graceful_goaway_finishes_what_is_under_way() {
    let stand = google_stand("fcm", true, |_, settings| settings.connections = 1).await;
    stand.set_mode(Mode::Goaway { after: 10, abrupt: false });
    let mut later = 0;
    for round in 0..5 {
        for outcome in futures_util::future::join_all((0..20).map(|n| stand.tell(round * 20 + n))).await {
            match outcome {
                Outcome::Accepted => {}
                Outcome::TryLater { cause, .. } if cause.code == "goaway" || cause.code == "refused_stream" => later += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    let stats = stand.google().stats();
    assert_eq!(stats.accepted + later, 100, "every letter has one honest outcome: {stats:?}");
    assert!(stats.repeats == 0 && stats.connections > 1, "{stats:?}");
}

#[tokio::test]
async fn what_a_cut_connection_loses_is_tried_later_and_the_next_one_takes_it() {
    let stand = google_stand("fcm", true, |_, settings| settings.connections = 1).await;
    stand.set_mode(Mode::Goaway { after: 8, abrupt: true });
    for outcome in futures_util::future::join_all((0..8).map(|n| stand.tell(n))).await {
        let lost = ["goaway", "connection_lost", "stream_reset"].contains(&code(&outcome).as_str());
        assert!(matches!(&outcome, Outcome::TryLater { cause, .. } if !cause.whole_channel) && lost, "{outcome:?}");
    }
    stand.set_mode(Mode::Ok);
    for n in 0..8 {
        assert_eq!(stand.tell(n).await, Outcome::Accepted, "{n}");
    }
}

#[tokio::test]
async fn the_window_is_what_the_peer_allows() {
    let stand = google_stand("fcm", true, |options, settings| (options.streams, settings.connections) = (3, 1)).await;
    stand.set_mode(Mode::Slow { latency_ms: 100 });
    let mut slots = Vec::new();
    for _ in 0..3 {
        slots.push(stand.reserve(Lane::Bulk).await.map_err(|o| format!("{o:?}")).expect("room"));
    }
    let fourth = tokio::time::timeout(Duration::from_millis(100), stand.reserve(Lane::Bulk)).await;
    assert!(fourth.is_err(), "three streams are three rooms");
    let sent = futures_util::future::join_all(slots.into_iter().map(|slot| stand.hand(slot, 1, &stand.rendered, |_| {}))).await;
    assert!(sent.iter().all(|o| *o == Outcome::Accepted), "{sent:?}");
}

#[tokio::test]
async fn a_long_body_that_is_no_json_is_classed_by_its_status() {
    let stand = google_stand("fcm", false, |_, _| {}).await;
    stand.google().answer(&stand.address(1), Some(Answer::refused(404, "UNREGISTERED").about(&"x".repeat(100_000))));
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::OurFault(_)), "an answer that cannot be read retires nobody: {outcome:?}");
    assert_eq!(stand.tell(2).await, Outcome::Accepted);
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let account = ServiceAccount::generate("p");
    let good = FcmSettings {
        endpoint: "http://127.0.0.1:1".into(),
        service_account: account.json("http://127.0.0.1:1/token"),
        ..FcmSettings::default()
    };
    assert!(FcmChannel::new(good.clone()).is_ok());
    for (settings, setting) in [
        (FcmSettings { endpoint: "http://example.org".into(), ..good.clone() }, "channels.fcm.endpoint"),
        (FcmSettings { service_account: "{}".into(), ..good.clone() }, "channels.fcm.service_account_file"),
        (FcmSettings { service_account: account.json("http://example.org/token"), ..good.clone() }, "channels.fcm.service_account_file"),
        (FcmSettings { endpoint: "https://localhost".into(), ca_pem: Some("x".into()), ..good.clone() }, "channels.fcm.ca_file"),
    ] {
        assert_eq!(FcmChannel::new(settings).err().expect(setting).setting, setting);
    }
}
