//! The mail relay: away for a while, and what its replies mean.

use serde_json::json;
use std::time::Duration;
use stories::{Org, SOON, Stage, eventually, when};

/// People who can be reached by mail only.
const PEOPLE: usize = 60;
/// Mails a second that the relay's settings allow.
const PACE: usize = 20;

fn by_mail_only(people: usize) -> Org {
    let mut org = Org::new();
    for n in 0..people {
        org.person(&format!("m{n}")).group("mail", &[&format!("user:m{n}")]);
    }
    org
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_down_loses_nothing_and_the_backlog_goes_out_paced_each_mail_once() {
    let mut stage = Stage::with(|scene| scene.email = format!("per_second = {PACE}")).await;
    by_mail_only(PEOPLE).import(&stage.api).await;
    stage.relay.set_mode(fakes::Mode::Closed);
    let id = stage.api.tell("mail", "By post").await;
    eventually("the mails to wait", SOON, async || {
        let counts = stage.api.notification(&id).await["counts"].clone();
        when(counts["held"].as_u64() > Some(0) && counts["accepted"] == 0)
    })
    .await;
    let alarm = eventually("the alarm", SOON, async || {
        stage.api.alarms().await.into_iter().find(|alarm| alarm["code"].as_str().is_some_and(|code| code.contains("email")))
    })
    .await;
    assert!(alarm["detail"].as_str().is_some_and(|d| !d.contains("@")), "an alarm names no address: {alarm}");
    let second = stage.api.tell("mail", "By post, too").await;
    // The outage outlives the server.
    stage.server.kill9();
    stage.server.restart().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.relay.set_mode(fakes::Mode::Ok);
    for id in [&id, &second] {
        let done = stage.api.done_within(id, Duration::from_secs(50)).await;
        assert_eq!(done["counts"]["accepted"], PEOPLE, "{done}");
    }
    let stats = stage.relay.stats();
    assert_eq!((stats.accepted, stats.distinct), (2 * PEOPLE as u64, PEOPLE as u64), "{stats:?}");
    for n in 0..PEOPLE {
        assert_eq!(stage.relay.reached(&format!("m{n}@mail.example.org")), 2, "person {n}: each of two mails once");
    }
    let mut at: Vec<u64> = stage.relay.mails(1_000).iter().map(|mail| mail.at_micros).collect();
    at.sort_unstable();
    let most = at.iter().map(|from| at.iter().filter(|t| (*from..from + 1_000_000).contains(t)).count()).max().unwrap_or(0);
    assert!(most <= PACE * 2, "{most} mails within a second, {PACE} are allowed");
    assert!(stage.relay.mails(1_000).iter().all(|mail| mail.tls), "nothing goes in clear");
    eventually("the alarm to be over", SOON, async || {
        when(!stage.api.alarms().await.iter().any(|alarm| alarm["code"].as_str().is_some_and(|code| code.contains("email"))))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_relay_replies_for_one_recipient_concerns_that_recipient_alone() {
    let stage = Stage::open().await;
    by_mail_only(5).import(&stage.api).await;
    stage.relay.answer("m1@mail.example.org", Some("550 5.1.1 no such user"));
    stage.relay.answer("m2@mail.example.org", Some("452 4.2.2 mailbox full"));
    stage.relay.answer("m3@mail.example.org", Some("554 5.6.0 no such content here"));
    let id = stage.api.tell("mail", "Replies").await;
    let outcome = async |n: usize| {
        let rows = stage.api.deliveries(&id).await;
        let row = rows.into_iter().find(|row| row["channel"] == "email" && row["upn"] == format!("m{n}@example.org"));
        let row = row.unwrap_or_default();
        let text = |key: &str| row[key].as_str().unwrap_or("").to_owned();
        (text("state"), text("reasonCode"))
    };
    let expected = [
        (0, "accepted", ""),
        (1, "gone", "provider_gone"),
        (2, "held", "provider_unavailable"),
        (3, "rejected", "provider_rejected"),
        (4, "accepted", ""),
    ];
    for (n, state, reason) in expected {
        eventually(&format!("person {n} to be {state}"), SOON, async || when(outcome(n).await == (state.into(), reason.into()))).await;
    }
    let why = stage.api.why(&id, "p-m1").await;
    let attempt =
        &why["decisions"].as_array().expect("decisions").iter().find(|d| d["channel"] == "email").expect("mail")["delivery"]["attempts"][0];
    assert_eq!((&attempt["code"], &attempt["status"]), (&json!("5.1.1"), &json!(550)), "{why}");
    stage.relay.answer("m2@mail.example.org", None);
    eventually("the full mailbox to have room", SOON, async || when(outcome(2).await.0 == "accepted")).await;
    assert_eq!(stage.relay.reached("m2@mail.example.org"), 1);
    let mail = stage.relay.mails(10).into_iter().find(|mail| mail.to == ["m0@mail.example.org"]).expect("a mail");
    assert_eq!(mail.from, "notifications@example.org");
    for header in ["Message-ID: <", "Subject: Replies", "Date: ", "To: ", "Auto-Submitted: auto-generated", "Content-Language: en"] {
        assert!(mail.content.contains(header), "{header}:\n{}", mail.content);
    }
    assert!(mail.content.contains("text/plain") && mail.content.contains("text/html") && mail.content.contains("Replies, in full."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_follows_the_setting_off_fallback_or_always() {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.person("ada").iphone("ada-phone", "ada").person_with("zoé", |p| {
        p.locale = "fr-FR".into();
        p.email = "zoe@mail.example.org".into();
    });
    org.group("two", &["user:ada", "user:zoé"]).import(&stage.api).await;
    for (mode, mails) in [("fallback", (0, 1)), ("always", (1, 2)), ("off", (1, 2))] {
        stage.api.set("custom.email", json!(mode)).await;
        let id = stage.api.tell("two", mode).await;
        stage.api.done(&id).await;
        assert_eq!((stage.relay.reached("ada@mail.example.org"), stage.relay.reached("zoe@mail.example.org")), mails, "{mode}");
    }
    let french = stage.relay.mails(10).into_iter().find(|mail| mail.to == ["zoe@mail.example.org"]).expect("a mail");
    assert!(french.content.contains("Content-Language: fr"), "{}", french.content);
}
