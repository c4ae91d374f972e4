//! What only APNs has to do: windows, GOAWAY, headers, keys, the sandbox.

mod stands;

use channels::{ApnsChannel, ApnsSettings};
use fakes::apple::{self, Answer, Key};
use fakes::{Mode, apple::Options};
use model::channel::{Address, Lane};
use model::event::Urgency;
use model::outcome::Outcome;
use model::text::Locale;
use model::{EventKey, PersonKey, Timestamp, WireId};
use stands::{apple_stand, authority, code, eventually, now, words};
use std::time::Duration;

#[tokio::test]
async fn the_request_is_the_one_that_apple_documents() {
    let stand = apple_stand("apns", true, |_, _| {}).await;
    let mut words = words("body");
    words.private = true;
    words.locale = Locale::Fr;
    let rendered = stand.channel.render(&words);
    for (urgency, priority) in [(Urgency::High, "10"), (Urgency::Normal, "10"), (Urgency::Low, "5"), (Urgency::VeryLow, "1")] {
        let outcome = stand.tell_with(7, &rendered, |l| (l.urgency, l.expires_at) = (urgency, Timestamp(1_800_000_000_999))).await;
        assert_eq!(outcome, Outcome::Accepted);
        let arrival = stand.apple().arrivals(1).pop().expect("it arrived");
        let header = |name: &str| arrival.headers.get(name).map(String::as_str);
        assert_eq!(arrival.token, stand.address(7));
        assert_eq!(header("apns-topic"), Some("org.example.app"));
        assert_eq!(header("apns-push-type"), Some("alert"));
        assert_eq!(header("apns-priority"), Some(priority));
        assert_eq!(header("apns-expiration"), Some("1800000000"));
        assert_eq!(header("apns-collapse-id"), Some("AAAAAAAAAAAAAAAAAAAADg"));
        assert_eq!(header("apns-id"), Some(WireId::new(EventKey(1), PersonKey(7), 0).to_string().as_str()));
        assert!(arrival.payload.contains(r#""mutable-content":1"#) && arrival.payload.contains(r#""private":true"#));
    }
}

#[tokio::test]
async fn a_registration_of_another_app_goes_to_its_own_topic() {
    let stand = apple_stand("apns", false, |_, _| {}).await;
    let token = stand.address(1);
    let to = |app| Address::Registration { token: &token, app, sandbox: false };
    assert_eq!(stand.tell_with(1, &stand.rendered, |l| l.address = to("org.example.other")).await, Outcome::Accepted);
    assert_eq!(stand.apple().arrivals(1)[0].headers["apns-topic"], "org.example.other");
    let outcome = stand.tell_with(1, &stand.rendered, |l| l.address = to("org.example.unknown")).await;
    assert!(matches!(&outcome, Outcome::OurFault(cause) if !cause.whole_channel && cause.code == "TopicDisallowed"), "{outcome:?}");
}

#[tokio::test]
async fn gone_keeps_apples_time_busy_keeps_its_patience() {
    let stand = apple_stand("apns", false, |_, _| {}).await;
    stand.says(1, stands::Says::Gone);
    assert_eq!(stand.tell(1).await.cause().and_then(|c| c.gone_since), Some(Timestamp(1_700_000_000_123)));
    stand.says(2, stands::Says::Busy);
    assert!(matches!(stand.tell(2).await, Outcome::TryLater { after: Some(after), .. } if after == Duration::from_secs(7)));
    stand.set_mode(Mode::Limit { per_second: 2, retry_after_seconds: Some(3) });
    let outcomes = futures_util::future::join_all((10..20).map(|n| stand.tell(n))).await;
    assert!(outcomes.iter().filter(|o| **o == Outcome::Accepted).count() <= 4, "{outcomes:?}");
    assert!(outcomes.iter().any(|o| matches!(o, Outcome::TryLater { after: Some(a), .. } if a.as_secs() == 3)), "{outcomes:?}");
}

#[tokio::test]
async fn a_token_that_would_change_the_path_never_leaves() {
    let stand = apple_stand("apns", false, |_, _| {}).await;
    for token in ["", "ab/../cd", "ab?x", "ab cd", "ab\r\ncd", "é"] {
        let address = Address::Registration { token, app: "", sandbox: false };
        let outcome = stand.tell_with(1, &stand.rendered, |l| l.address = address).await;
        assert!(matches!(&outcome, Outcome::AddressGone(cause) if cause.code == "BadDeviceToken"), "{token:?} {outcome:?}");
    }
    assert_eq!(stand.apple().stats().requests, 0);
}

#[tokio::test]
async fn a_wrong_key_is_our_fault_for_everybody_and_no_token_dies_of_it() {
    let stand = apple_stand("apns", false, |_, _| {}).await;
    stand.apple().set_key(Some(Key::generate("KEY4567890", "TEAM567890")));
    for n in 0..3 {
        let outcome = stand.tell(n).await;
        assert!(matches!(&outcome, Outcome::OurFault(c) if c.whole_channel && c.code == "InvalidProviderToken"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_provider_token_is_renewed_once_when_apple_calls_it_expired() {
    let stand = apple_stand("apns", false, |_, _| {}).await;
    let earlier = now().minus(Duration::from_secs(30 * 60));
    assert_eq!(stand.tell_with(1, &stand.rendered, |l| l.now = earlier).await, Outcome::Accepted);
    stand.apple().shift_clock(35 * 60);
    let outcome = stand.tell(2).await;
    assert!(matches!(&outcome, Outcome::TryLater { cause, .. } if cause.code == "ExpiredProviderToken"), "{outcome:?}");
    assert_eq!(stand.tell(3).await, Outcome::Accepted, "with the new token");
    stand.apple().shift_clock(3 * 3600);
    let outcome = stand.tell(4).await;
    assert!(matches!(&outcome, Outcome::OurFault(cause) if cause.whole_channel), "a clock is wrong: {outcome:?}");
}

#[tokio::test]
async fn the_window_is_what_the_peer_allows_and_moves_on_as_answers_come() {
    let stand = apple_stand("apns", true, |options, settings| (options.streams, settings.connections) = (3, 1)).await;
    stand.set_mode(Mode::Slow { latency_ms: 100 });
    let mut slots = Vec::new();
    for _ in 0..3 {
        slots.push(stand.reserve(Lane::Bulk).await.map_err(|o| format!("{o:?}")).expect("room"));
    }
    let fourth = tokio::time::timeout(Duration::from_millis(100), stand.reserve(Lane::Bulk)).await;
    assert!(fourth.is_err(), "three streams are three rooms");
    let sent = futures_util::future::join_all(slots.into_iter().map(|slot| stand.hand(slot, 1, &stand.rendered, |_| {})));
    let (sent, next) = tokio::join!(sent, stand.tell(2));
    assert!(sent.iter().all(|o| *o == Outcome::Accepted) && next == Outcome::Accepted, "{sent:?} {next:?}");
}

#[tokio::test]
async fn the_cap_is_ours_where_the_peer_allows_more() {
    let stand = apple_stand("apns", false, |_, settings| (settings.streams, settings.connections) = (2, 1)).await;
    let _kept = (stand.reserve(Lane::Bulk).await.is_ok(), stand.reserve(Lane::Bulk).await);
    let slots =
        futures_util::future::join_all((0..2).map(|_| tokio::time::timeout(Duration::from_millis(100), stand.reserve(Lane::Bulk)))).await;
    assert!(slots[0].is_ok() && slots[1].is_err(), "one slot was dropped, so one is free");
}

#[tokio::test]
async fn what_an_abrupt_goaway_cuts_is_tried_later_and_the_next_connection_takes_it() {
    for tls in [false, true] {
        let stand = apple_stand("apns", tls, |_, settings| settings.connections = 1).await;
        stand.set_mode(Mode::Goaway { after: 8, abrupt: true });
        let outcomes = futures_util::future::join_all((0..8).map(|n| stand.tell(n))).await;
        for outcome in &outcomes {
            let lost = ["goaway", "connection_lost", "stream_reset"].contains(&code(outcome).as_str());
            assert!(matches!(outcome, Outcome::TryLater { cause, .. } if !cause.whole_channel) && lost, "{outcome:?}");
        }
        stand.set_mode(Mode::Ok);
        for n in 0..8 {
            assert_eq!(stand.tell(n).await, Outcome::Accepted, "{n}");
        }
        assert_eq!(stand.apple().stats().connections, 2, "one connection was replaced");
    }
}

#[tokio::test]
async fn a_graceful_goaway_finishes_what_is_under_way() {
    let stand = apple_stand("apns", true, |_, settings| settings.connections = 1).await;
    stand.set_mode(Mode::Goaway { after: 10, abrupt: false });
    let mut later = 0;
    for round in 0..5 {
        let outcomes = futures_util::future::join_all((0..20).map(|n| stand.tell(round * 20 + n))).await;
        for outcome in outcomes {
            match outcome {
                Outcome::Accepted => {}
                Outcome::TryLater { cause, .. } if cause.code == "goaway" || cause.code == "refused_stream" => later += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    let stats = stand.apple().stats();
    assert_eq!(stats.accepted + later, 100, "every letter has one honest outcome: {stats:?}");
    assert_eq!(stats.repeats, 0);
    assert!(stats.connections > 1, "{stats:?}");
}

#[tokio::test]
async fn a_sandbox_registration_goes_to_the_sandbox() {
    let key = Key::generate("KEY4567890", "TEAM567890");
    let sandbox = apple::start(Options { key: Some(key.clone()), ..Options::default() }).await.expect("a free port");
    let (pem, endpoint) = (key.pem().to_owned(), sandbox.endpoint());
    let stand = apple_stand("apns", false, |options, settings| {
        options.key = Some(key);
        settings.key = pem;
        settings.sandbox_endpoint = Some(endpoint);
    })
    .await;
    let token = stand.address(1);
    let address = Address::Registration { token: &token, app: "", sandbox: true };
    // The first has to wait for a connection to the sandbox, and may be recalled until it has one.
    let slot = stand.reserve(Lane::Bulk).await.map_err(|o| format!("{o:?}")).expect("room");
    let waits = stand.hand(slot, 1, &stand.rendered, |l| l.address = address);
    let (recalled, ()) = tokio::join!(waits, async { stand.channel.recall() });
    assert_eq!((code(&recalled).as_str(), sandbox.stats().requests), ("recalled", 0));
    assert_eq!(stand.tell_with(1, &stand.rendered, |l| l.address = address).await, Outcome::Accepted);
    assert_eq!((sandbox.stats().accepted, stand.apple().stats().requests), (1, 0));
    sandbox.stop();
    eventually("the sandbox is away", async || {
        let outcome = stand.tell_with(1, &stand.rendered, |l| l.address = address).await;
        matches!(&outcome, Outcome::TryLater { cause, .. } if !cause.whole_channel && cause.code == "connection_refused")
    })
    .await;
    assert_eq!(stand.tell(2).await, Outcome::Accepted, "production goes on");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_in_tls_failed() {
    let stand = apple_stand("apns", true, |_, settings| settings.ca_pem = Some(authority().pem().to_owned())).await;
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::TryLater { cause, .. } if cause.whole_channel && cause.code == "tls_failed"), "{outcome:?}");
}

#[tokio::test]
async fn a_single_bad_answer_is_bounded_and_classed() {
    let stand = apple_stand("apns", false, |_, _| {}).await;
    stand.apple().answer(&stand.address(1), Some(Answer::refused(500, &"x".repeat(100_000))));
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::TryLater { cause, .. } if cause.status == 500 && cause.code.len() <= 64), "{outcome:?}");
    assert_eq!(stand.tell(2).await, Outcome::Accepted);
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let key = Key::generate("K", "T");
    let good = ApnsSettings {
        endpoint: "http://127.0.0.1:1".into(),
        key: key.pem().into(),
        key_id: "K".into(),
        team_id: "T".into(),
        topic: "t".into(),
        ..ApnsSettings::default()
    };
    assert!(ApnsChannel::new(good.clone()).is_ok());
    for (settings, setting) in [
        (ApnsSettings { endpoint: "http://example.org".into(), ..good.clone() }, "channels.apns.endpoint"),
        (ApnsSettings { sandbox_endpoint: Some("nowhere".into()), ..good.clone() }, "channels.apns.sandbox_endpoint"),
        (ApnsSettings { topic: String::new(), ..good.clone() }, "channels.apns.topic"),
        (ApnsSettings { key: "x".into(), ..good.clone() }, "channels.apns.key_file"),
    ] {
        assert_eq!(ApnsChannel::new(settings).err().expect(setting).setting, setting);
    }
}
