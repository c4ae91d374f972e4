//! What only Web Push has to do: headers, tokens, keys, many services, the guard of the inside.

mod stands;

use channels::{WebPushChannel, WebPushSettings};
use fakes::Mode;
use fakes::apple::Key;
use fakes::push_service::{self, Answer, verify_vapid};
use model::channel::{Address, Lane};
use model::event::Urgency;
use model::outcome::Outcome;
use model::text::Locale;
use serde_json::{Value, json};
use stands::{Says, authority, code, eventually, now, push_stand, subscription, words};
use std::time::Duration;

#[tokio::test]
async fn the_request_is_the_one_that_rfc_8030_and_its_companions_describe() {
    let stand = push_stand("webpush", |_, _| {}).await;
    let mut words = words("body");
    (words.private, words.locale) = (true, Locale::Fr);
    let rendered = stand.channel.render(&words);
    let table = [(Urgency::High, "high"), (Urgency::Normal, "normal"), (Urgency::Low, "low"), (Urgency::VeryLow, "very-low")];
    for (urgency, word) in table {
        let at = now();
        let outcome = stand
            .tell_with(7, &rendered, |l| (l.urgency, l.now, l.expires_at) = (urgency, at, at.plus(Duration::from_millis(90_999))))
            .await;
        assert_eq!(outcome, Outcome::Accepted);
        let arrival = stand.push().arrivals(1).pop().expect("it arrived");
        let header = |name: &str| arrival.headers.get(name).map(String::as_str);
        assert_eq!(arrival.subscription, subscription(7));
        assert_eq!((header("ttl"), header("urgency"), header("content-encoding")), (Some("90"), Some(word), Some("aes128gcm")));
        assert_eq!(header("topic"), Some("AAAAAAAAAAAAAAAAAAAADg"));
        assert_eq!(header("content-length"), Some(arrival.bytes.to_string().as_str()));
        let token = verify_vapid(header("authorization").expect("a token")).expect("a good signature");
        assert_eq!((token.aud, token.sub), (format!("https://{}", stand.push().addr), "mailto:ops@example.org".into()));
        let left = token.exp - at.unix_seconds();
        assert!((11 * 3600..=12 * 3600).contains(&left), "{left}");
        let payload: Value = serde_json::from_str(&arrival.payload).expect("JSON");
        assert_eq!((&payload["body"], &payload["lang"], &payload["carillon"]["private"]), (&json!("body"), &json!("fr"), &json!(true)));
    }
    let tokens: std::collections::HashSet<_> =
        stand.push().arrivals(4).iter().map(|arrival| arrival.headers["authorization"].clone()).collect();
    assert_eq!(tokens.len(), 1, "one token for all letters to one service");
}

#[tokio::test]
async fn every_body_is_encrypted_afresh_and_none_is_longer_than_every_service_takes() {
    let stand = push_stand("webpush", |_, _| {}).await;
    let rendered = stand.channel.render(&words(&"é".repeat(10_000)));
    for n in 0..3 {
        assert_eq!(stand.tell_with(n, &rendered, |_| {}).await, Outcome::Accepted);
    }
    let bodies: std::collections::HashSet<_> = stand.push().arrivals(3).into_iter().map(|arrival| arrival.body).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| body.len() <= 4096 && body.len() > 3900));
}

#[tokio::test]
async fn busy_keeps_its_patience() {
    let stand = push_stand("webpush", |_, _| {}).await;
    stand.says(2, Says::Busy);
    assert!(matches!(stand.tell(2).await, Outcome::TryLater { after: Some(after), .. } if after == Duration::from_secs(7)));
    stand.set_mode(Mode::Limit { per_second: 2, retry_after_seconds: Some(3) });
    let outcomes = futures_util::future::join_all((10..20).map(|n| stand.tell(n))).await;
    assert!(outcomes.iter().any(|o| matches!(o, Outcome::TryLater { after: Some(a), .. } if a.as_secs() == 3)), "{outcomes:?}");
}

#[tokio::test]
async fn a_refused_key_is_our_fault_retires_nothing_and_is_not_tried_without_end() {
    let stand = push_stand("webpush", |options, _| options.key = Some("B".repeat(87))).await;
    for n in 0..200 {
        let outcome = stand.tell(n).await;
        let whole = n >= 2; // The third in a row, and there is no other service.
        let right = matches!(&outcome, Outcome::OurFault(c) if c.whole_channel == whole && c.code == "VapidKeyMismatch_109");
        assert!(right, "{n} {outcome:?}");
    }
    assert_eq!(stand.push().stats().requests, 10, "then the service is left in peace");
    let later = now().plus(Duration::from_secs(61));
    stand.push().set_key(None);
    assert_eq!(stand.tell_with(1, &stand.rendered, |l| l.now = later).await, Outcome::Accepted, "it is asked again after a minute");
    assert_eq!(stand.tell(2).await, Outcome::Accepted);
}

#[tokio::test]
async fn a_subscription_made_for_another_key_is_its_own_matter_while_others_pass_and_is_kept() {
    let stand = push_stand("webpush", |_, _| {}).await;
    stand.push().answer(&subscription(1), Some(Answer::other_key()));
    let before = stand.tell(1).await;
    assert!(matches!(&before, Outcome::OurFault(_)), "nobody has passed yet: it may be our key {before:?}");
    assert_eq!(stand.tell(2).await, Outcome::Accepted);
    let after = stand.tell(1).await;
    assert!(matches!(&after, Outcome::Rejected(cause) if cause.code == "VapidKeyMismatch"), "{after:?}");
}

#[tokio::test]
async fn a_clock_that_is_a_day_wrong_is_our_fault() {
    let stand = push_stand("webpush", |_, _| {}).await;
    stand.push().shift_clock(13 * 3600);
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::OurFault(cause) if cause.code == "Unauthorized_109"), "{outcome:?}");
    stand.push().shift_clock(-11 * 3600);
    assert_eq!(stand.tell(2).await, Outcome::Accepted, "half a day is borne");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_retires_nothing_and_a_broken_public_key_does() {
    let stand = push_stand("webpush", |_, _| {}).await;
    let endpoint = stand.address(1);
    let browser = stand.push().browser.clone().expect("a browser");
    let (p256dh, auth) = (browser.p256dh(), browser.auth());
    let to = async |p256dh: &str, auth: &str| {
        let address = Address::Subscription { endpoint: &endpoint, p256dh, auth };
        stand.tell_with(1, &stand.rendered.clone(), |l| l.address = leaked(address)).await
    };
    assert!(matches!(to(&p256dh, "").await, Outcome::OurFault(c) if c.code == "unreadable_subscription_secret" && !c.whole_channel));
    assert!(matches!(to("BAAA", &auth).await, Outcome::AddressGone(c) if c.code == "bad_subscription_key"));
    assert_eq!(to(&p256dh, &auth).await, Outcome::Accepted);
    assert_eq!(stand.push().stats().requests, 1, "nothing left for what cannot be encrypted");
}

fn leaked(address: Address<'_>) -> Address<'static> {
    let Address::Subscription { endpoint, p256dh, auth } = address else { panic!("a subscription") };
    let leak = |text: &str| -> &'static str { text.to_owned().leak() };
    Address::Subscription { endpoint: leak(endpoint), p256dh: leak(p256dh), auth: leak(auth) }
}

#[tokio::test]
async fn the_inside_is_not_reached_unless_the_operator_allows_it() {
    let stand = push_stand("webpush", |_, settings| settings.allow_private_endpoints = false).await;
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::Rejected(cause) if cause.code == "forbidden_address"), "{outcome:?}");
    let browser = stand.push().browser.clone().expect("a browser");
    let port = stand.push().addr.port();
    for host in ["localhost", "127.1", "[::ffff:127.0.0.1]", "[::1]", "0x7f.0.0.1"] {
        let endpoint = format!("https://{host}:{port}/send/x");
        let address = leaked(Address::Subscription { endpoint: &endpoint, p256dh: &browser.p256dh(), auth: &browser.auth() });
        let outcome = stand.tell_with(1, &stand.rendered, |l| l.address = address).await;
        let said = code(&outcome);
        assert!(["forbidden_address", "dns_failed", "bad_endpoint"].contains(&said.as_str()), "{host} {outcome:?}");
        assert!(
            !matches!(outcome, Outcome::AddressGone(_)) || said == "bad_endpoint",
            "a name may resolve better tomorrow: {host} {outcome:?}"
        );
    }
    assert_eq!(stand.push().stats().connections, 0, "nobody knocked");
}

#[tokio::test]
async fn an_endpoint_that_is_not_https_never_leaves() {
    let stand = push_stand("webpush", |_, _| {}).await;
    let browser = stand.push().browser.clone().expect("a browser");
    for endpoint in ["http://127.0.0.1/send/x", "https://me@127.0.0.1/send/x", "nonsense", ""] {
        let address = leaked(Address::Subscription { endpoint, p256dh: &browser.p256dh(), auth: &browser.auth() });
        let outcome = stand.tell_with(1, &stand.rendered, |l| l.address = address).await;
        assert!(matches!(&outcome, Outcome::AddressGone(cause) if cause.code == "bad_endpoint"), "{endpoint:?} {outcome:?}");
    }
    assert_eq!(stand.push().stats().connections, 0);
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let stand = push_stand("webpush", |_, _| {}).await;
    stand.push().answer(&subscription(1), Some(Answer::refused(307, 0, "elsewhere")));
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::TryLater { cause, .. } if cause.code == "status_307"), "{outcome:?}");
    assert_eq!(stand.push().stats().requests, 1);
}

#[tokio::test]
async fn one_service_that_is_away_does_not_hold_up_the_others() {
    let stand = push_stand("webpush", |_, _| {}).await;
    let other = push_service::start(push_service::Options::new(authority())).await.expect("a free port");
    let browser = other.browser.clone().expect("a browser");
    let endpoint = other.endpoint("x");
    let elsewhere = leaked(Address::Subscription { endpoint: &endpoint, p256dh: &browser.p256dh(), auth: &browser.auth() });
    // The other service's certificate is not trusted here: connections there fail, one after another.
    for n in 0..20 {
        let (lost, taken) = tokio::join!(stand.tell_with(n, &stand.rendered, |l| l.address = elsewhere), stand.tell(n));
        assert!(matches!(&lost, Outcome::TryLater { cause, .. } if !cause.whole_channel && cause.code == "tls_failed"), "{lost:?}");
        assert_eq!(taken, Outcome::Accepted);
    }
}

#[tokio::test]
async fn what_an_abrupt_goaway_cuts_is_tried_later_and_the_next_connection_takes_it() {
    let stand = push_stand("webpush", |_, settings| settings.connections = 1).await;
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
}

#[tokio::test]
async fn a_graceful_goaway_finishes_what_is_under_way() {
    let stand = push_stand("webpush", |_, settings| settings.connections = 1).await;
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
    let stats = stand.push().stats();
    assert_eq!((stats.accepted + later, stats.repeats), (100, 0), "every letter has one honest outcome: {stats:?}");
}

#[tokio::test]
async fn more_letters_than_streams_wait_for_their_turn() {
    let stand = push_stand("webpush", |options, settings| (options.streams, settings.connections) = (3, 1)).await;
    stand.set_mode(Mode::Slow { latency_ms: 20 });
    let outcomes = futures_util::future::join_all((0..30).map(|n| stand.tell(n))).await;
    assert!(outcomes.iter().all(|o| *o == Outcome::Accepted), "{outcomes:?}");
    assert_eq!(stand.push().stats().distinct, 30);
}

#[tokio::test]
async fn room_is_there_at_once_and_given_back() {
    let stand = push_stand("webpush", |_, _| {}).await;
    let slot = stand.channel.reserve_now(Lane::Urgent).expect("room without a connection");
    assert_eq!(stand.hand(slot, 1, &stand.rendered, |_| {}).await, Outcome::Accepted);
    eventually("room again", async || stand.channel.reserve_now(Lane::Urgent).is_some()).await;
}

#[tokio::test]
async fn a_service_that_speaks_nothing_newer_is_spoken_to_over_http_1() {
    let stand = push_stand("webpush", |options, _| options.old = true).await;
    let outcomes = futures_util::future::join_all((0..40).map(|n| stand.tell(n))).await;
    assert!(outcomes.iter().all(|o| *o == Outcome::Accepted), "{outcomes:?}");
    let stats = stand.push().stats();
    assert_eq!((stats.accepted, stats.distinct, stats.repeats), (40, 40, 0), "{stats:?}");
    assert!(stats.connections <= 2 + 16, "kept and bounded: {stats:?}");
    let arrival = stand.push().arrivals(1).pop().expect("it arrived");
    assert_eq!(arrival.headers["host"], stand.push().addr.to_string());
    assert!(arrival.payload.contains("body"), "{}", arrival.payload);
    stand.says(50, Says::Gone);
    assert!(matches!(stand.tell(50).await, Outcome::AddressGone(_)));
    let slot = stand.reserve(Lane::Urgent).await.map_err(|o| format!("{o:?}")).expect("room");
    assert_eq!(stand.hand(slot, 51, &stand.rendered, |_| {}).await, Outcome::Accepted, "urgent, on a connection of its own");
    let shut = push_stand("webpush", |options, settings| (options.old, settings.allow_private_endpoints) = (true, false)).await;
    assert_eq!(code(&shut.tell(1).await), "forbidden_address", "the guard holds there too");
}

#[tokio::test]
async fn letters_that_wait_are_recalled_and_none_of_them_starts() {
    let stand = push_stand("webpush", |options, settings| {
        (options.streams, settings.connections, settings.deadline) = (2, 1, Duration::from_secs(5));
    })
    .await;
    assert_eq!(stand.tell(0).await, Outcome::Accepted);
    stand.set_mode(Mode::Slow { latency_ms: 300 });
    let letters = futures_util::future::join_all((1..=20).map(|n| stand.tell(n)));
    let recalling = async {
        eventually("two on their way", async || stand.push().stats().requests == 3).await;
        stand.channel.recall();
    };
    let (outcomes, ()) = tokio::join!(letters, recalling);
    let taken = outcomes.iter().filter(|outcome| **outcome == Outcome::Accepted).count();
    let back = outcomes.iter().filter(|outcome| code(outcome) == "recalled").count();
    assert_eq!((taken, back), (2, 18), "{outcomes:?}");
    assert_eq!(stand.push().stats().requests, 3);
    stand.set_mode(Mode::Ok);
    assert_eq!(stand.tell(30).await, Outcome::Accepted, "what is handed over afterwards goes");
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let key = Key::generate("K", "T");
    let good = WebPushSettings { key: key.pem().into(), subject: "mailto:ops@example.org".into(), ..WebPushSettings::default() };
    let trusted = authority();
    assert!(WebPushChannel::new(WebPushSettings { ca_pem: Some(trusted.pem().to_owned()), ..good.clone() }).is_ok());
    for (settings, setting) in [
        (WebPushSettings { key: "x".into(), ..good.clone() }, "keys/vapid.pem"),
        (WebPushSettings { subject: "ops@example.org".into(), ..good.clone() }, "channels.webpush.subject"),
        (WebPushSettings { ca_pem: Some("nothing".into()), ..good.clone() }, "channels.webpush.ca_file"),
    ] {
        assert_eq!(WebPushChannel::new(settings).err().expect(setting).setting, setting);
    }
}
