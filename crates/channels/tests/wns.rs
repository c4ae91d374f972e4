//! What only the Windows push service has to do: headers, channel URLs, connections that close, access tokens.

mod stands;

use channels::{WnsChannel, WnsSettings};
use fakes::Mode;
use fakes::microsoft::{Answer, Application};
use model::Timestamp;
use model::channel::Address;
use model::event::Urgency;
use model::outcome::Outcome;
use stands::{code, eventually, microsoft_stand, now, words};
use std::time::Duration;

#[tokio::test]
async fn the_request_is_the_one_that_microsoft_documents() {
    let stand = microsoft_stand("wns", true, |_, _| {}).await;
    for (urgency, priority) in [(Urgency::High, "1"), (Urgency::Normal, "1"), (Urgency::Low, "3"), (Urgency::VeryLow, "4")] {
        let at = now();
        let edit = |l: &mut model::Letter<'_>| (l.urgency, l.now, l.expires_at) = (urgency, at, at.plus(Duration::from_secs(90)));
        assert_eq!(stand.tell_with(7, &stand.rendered, edit).await, Outcome::Accepted);
        let arrival = stand.microsoft().arrivals(1).pop().expect("it arrived");
        let header = |name: &str| arrival.headers.get(name).map(String::as_str);
        assert!(stand.address(7).ends_with(&arrival.address), "{}", arrival.address);
        assert_eq!((header("x-wns-type"), header("content-type")), (Some("wns/toast"), Some("text/xml")));
        assert_eq!((header("x-wns-tag"), header("x-wns-group")), (Some("AAAAAAAAAAAAAADg"), Some("carillon")));
        assert_eq!((header("x-wns-ttl"), header("x-wns-priority")), (Some("90"), Some(priority)));
        assert_eq!((header("x-wns-requestforstatus"), header("x-wns-cache-policy")), (Some("true"), None));
        assert_eq!(header("content-length"), Some(arrival.payload.len().to_string().as_str()));
        assert!(header("transfer-encoding").is_none(), "chunking is not supported");
    }
    let mut private = words("general words");
    private.private = true;
    let rendered = stand.channel.render(&private);
    assert_eq!(stand.tell_with(8, &rendered, |_| {}).await, Outcome::Accepted);
    let arrival = stand.microsoft().arrivals(1).pop().expect("it arrived");
    assert_eq!((arrival.headers["x-wns-type"].as_str(), arrival.headers["content-type"].as_str()), ("wns/raw", "application/octet-stream"));
    assert_eq!(arrival.headers["x-wns-cache-policy"], "cache");
    assert!(!arrival.headers.contains_key("x-wns-tag"));
}

#[tokio::test]
async fn a_url_that_is_not_of_the_service_is_dead_and_nothing_leaves() {
    let stand = microsoft_stand("wns", false, |_, _| {}).await;
    for url in ["", "https://evil.example/?token=x", "http://db5p.notify.windows.com/?token=x", "https://127.0.0.1/?token=x"] {
        let outcome = stand.tell_with(1, &stand.rendered, |l| l.address = Address::ChannelUrl { url }).await;
        assert!(matches!(&outcome, Outcome::AddressGone(c) if c.code == "not_a_channel_url"), "{url} {outcome:?}");
    }
    assert_eq!(stand.microsoft().stats().requests, 0);
}

#[tokio::test]
async fn what_microsoft_dropped_for_an_absent_device_is_tried_again() {
    let stand = microsoft_stand("wns", false, |_, _| {}).await;
    for (n, about, word) in [(1, "tempdisconnected", "try_later"), (2, "disconnected", "try_later"), (3, "connected", "rejected")] {
        stand.microsoft().answer(&stand.address(n), Some(Answer::refused(200, "dropped").about(about)));
        assert_eq!(stand.tell(n).await.word(), word, "{about}");
    }
    stand.set_mode(Mode::Refuse { status: 406, reason: "throttled".into(), retry_after_seconds: Some(9) });
    let outcome = stand.tell(4).await;
    assert!(matches!(&outcome, Outcome::TryLater { after: Some(a), cause } if a.as_secs() == 9 && cause.whole_channel), "{outcome:?}");
}

#[tokio::test]
async fn a_connection_that_the_other_side_closes_is_replaced_and_no_letter_comes_twice() {
    let stand = microsoft_stand("wns", true, |_, settings| settings.connections = 1).await;
    stand.set_mode(Mode::Goaway { after: 3, abrupt: false });
    for n in 0..12 {
        assert_eq!(stand.tell(n).await, Outcome::Accepted, "{n}");
    }
    let stats = stand.microsoft().stats();
    assert_eq!((stats.accepted, stats.repeats, stats.connections), (12, 0, 4), "{stats:?}");
    stand.set_mode(Mode::Goaway { after: 1, abrupt: true });
    let outcome = stand.tell(20).await;
    assert!(
        matches!(&outcome, Outcome::TryLater { cause, .. } if !cause.whole_channel) && code(&outcome) == "connection_lost",
        "{outcome:?}"
    );
    stand.set_mode(Mode::Ok);
    eventually("the next connection", async || stand.tell(21).await == Outcome::Accepted).await;
}

#[tokio::test]
async fn credentials_that_entra_refuses_are_our_fault_for_everybody_and_tried_rarely() {
    let stand = microsoft_stand("wns", false, |_, settings| settings.secret = "wrong".into()).await;
    for n in 0..5 {
        let outcome = stand.tell(n).await;
        assert!(
            matches!(&outcome, Outcome::OurFault(c) if c.whole_channel && c.code == "invalid_client" && c.status == 401),
            "{outcome:?}"
        );
    }
    assert_eq!((stand.microsoft().stats().tokens, stand.microsoft().stats().requests), (1, 0));
}

#[tokio::test]
async fn a_channel_of_another_app_is_kept_and_held_against_us() {
    let stand = microsoft_stand("wns", false, |_, _| {}).await;
    stand.microsoft().answer(&stand.address(1), Some(Answer::refused(403, "not yours")));
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::OurFault(c) if !c.whole_channel && c.status == 403), "{outcome:?}");
    stand.microsoft().set_application(Application::generate());
    let outcome = stand.tell(2).await;
    assert!(matches!(&outcome, Outcome::OurFault(c) if c.whole_channel && c.status == 401), "{outcome:?}");
}

#[tokio::test]
async fn a_life_that_has_ended_is_never_sent_as_for_ever() {
    let stand = microsoft_stand("wns", false, |_, _| {}).await;
    assert_eq!(stand.tell_with(1, &stand.rendered, |l| l.expires_at = Timestamp(0)).await, Outcome::Accepted);
    assert_eq!(stand.microsoft().arrivals(1)[0].headers["x-wns-ttl"], "1");
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let good = WnsSettings {
        endpoint_override: Some("http://127.0.0.1:1".into()),
        token_endpoint: "http://127.0.0.1:1/t/oauth2/v2.0/token".into(),
        client_id: "c".into(),
        secret: "s".into(),
        ..WnsSettings::default()
    };
    assert!(WnsChannel::new(good.clone()).is_ok());
    for (settings, setting) in [
        (WnsSettings { endpoint_override: Some("http://example.org".into()), ..good.clone() }, "channels.wns.endpoint_override"),
        (WnsSettings { endpoint_override: Some("http://127.0.0.1:1/path".into()), ..good.clone() }, "channels.wns.endpoint_override"),
        (WnsSettings { token_endpoint: "http://example.org/token".into(), ..good.clone() }, "channels.wns.token_endpoint"),
        (WnsSettings { client_id: String::new(), ..good.clone() }, "channels.wns.client_id"),
        (WnsSettings { secret: String::new(), ..good.clone() }, "channels.wns.secret_file"),
    ] {
        assert_eq!(WnsChannel::new(settings).err().expect(setting).setting, setting);
    }
}
