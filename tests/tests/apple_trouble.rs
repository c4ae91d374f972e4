//! Apple in trouble: connections that close, reset or hang, a busy service, one that is away. Nothing is lost, the backlog
//! goes out, and a single notification never waits behind a campaign.

use fakes::Mode;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use stories::{Org, SOON, Stage, eventually, token_of, when};

/// People of the campaigns, each with one device.
const PEOPLE: usize = 1_500;
/// Streams on a connection of the fake.
const STREAMS: u32 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_survives_everything_that_connections_do() {
    const CROWD: u64 = 200;
    let stage = Stage::with(|scene| scene.apple.streams = STREAMS).await;
    Org::new().crowd("staff", 200).import(&stage.api).await;
    let trouble = [
        Mode::Goaway { after: 20, abrupt: false },
        Mode::Reset,
        Mode::Limit { per_second: 150, retry_after_seconds: Some(1) },
        Mode::Refuse { status: 500, reason: "InternalServerError".into(), retry_after_seconds: None },
        Mode::Closed,
    ];
    for (n, mode) in trouble.into_iter().enumerate() {
        let before = stage.apple.stats();
        stage.apple.set_mode(mode.clone());
        let id = stage.api.tell("staff", &format!("Number {n}")).await;
        eventually(&format!("{mode:?} to be felt"), SOON, async || {
            let (now, counts) = (stage.apple.stats(), stage.api.notification(&id).await["counts"].clone());
            let felt = now.connections >= before.connections + 5 || counts["held"].as_u64() > Some(0);
            when(felt || counts["accepted"] == CROWD)
        })
        .await;
        stage.apple.set_mode(Mode::Ok);
        let done = stage.api.done_within(&id, Duration::from_secs(40)).await;
        assert_eq!(done["counts"]["accepted"], CROWD, "{mode:?}: {done}");
        let payloads = stage.apple.arrivals(20_000);
        let reached: BTreeSet<&str> =
            payloads.iter().filter(|a| a.status == 200 && a.payload.contains(&id)).map(|a| a.token.as_str()).collect();
        assert_eq!(reached.len() as u64, CROWD, "{mode:?}: everybody is reached");
        let extra = payloads.iter().filter(|a| a.status == 200 && a.payload.contains(&id)).count() as u64 - CROWD;
        assert!(extra <= u64::from(4 * STREAMS), "{mode:?}: {extra} repeats; only what was on the wire may come again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_not_asked_to_death_and_ends_with_everybody_reached_once() {
    let stage = Stage::open().await;
    Org::new().crowd("staff", PEOPLE).import(&stage.api).await;
    stage.apple.set_mode(Mode::Refuse { status: 503, reason: "ServiceUnavailable".into(), retry_after_seconds: None });
    let id = stage.api.tell("staff", "Patience").await;
    let alarm = eventually("the alarm", SOON, async || {
        stage.api.alarms().await.into_iter().find(|alarm| alarm["code"].as_str().is_some_and(|code| code.contains("apns")))
    })
    .await;
    assert!(alarm["detail"].as_str().is_some_and(|d| d.contains("ServiceUnavailable")), "{alarm}");
    let asked = stage.apple.stats().requests;
    assert!(asked < PEOPLE as u64 * 3, "{asked} requests to a service that is away");
    stage.apple.set_mode(Mode::Ok);
    let done = stage.api.done_within(&id, Duration::from_secs(50)).await;
    assert_eq!(done["counts"]["accepted"], PEOPLE, "{done}");
    let stats = stage.apple.stats();
    assert_eq!((stats.distinct, stats.repeats), (PEOPLE as u64, 0), "{stats:?}");
    eventually("the alarm to be over", SOON, async || when(stage.api.alarms().await.is_empty())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_notification_does_not_wait_behind_a_campaign() {
    let stage = Stage::with(|scene| scene.apple.streams = STREAMS).await;
    Org::new().crowd("staff", PEOPLE).person("boss").iphone("boss-phone", "boss").import(&stage.api).await;
    stage.apple.set_mode(Mode::Rate { per_second: 100 });
    let campaign = stage.api.tell("staff", "Fifteen seconds long").await;
    eventually("the campaign to be under way", SOON, async || when(stage.apple.stats().requests >= 100)).await;
    for n in 0..3 {
        let began = Instant::now();
        let body = json!({"title": "Now", "body": "x", "users": ["boss@example.org"]});
        let sent = stage.api.send(&body).await;
        let id = sent["id"].as_str().expect("an id").to_owned();
        eventually("the single push to be on the wire", SOON, async || {
            let arrivals = stage.apple.arrivals(PEOPLE + 10);
            when(arrivals.iter().filter(|a| a.token == token_of("boss-phone") && a.payload.contains(&id)).count() == 1)
        })
        .await;
        assert!(began.elapsed() < Duration::from_secs(3), "number {n} took {:?}", began.elapsed());
    }
    let counts = stage.api.notification(&campaign).await["counts"].clone();
    assert!(counts["accepted"].as_u64().is_some_and(|n| n < PEOPLE as u64), "the campaign is still under way: {counts}");
    stage.apple.set_mode(Mode::Ok);
    assert_eq!(stage.api.done_within(&campaign, Duration::from_secs(40)).await["counts"]["accepted"], PEOPLE);
}
