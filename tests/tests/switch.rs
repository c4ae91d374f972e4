//! Off means now: a push switch that is turned off while a campaign is under way.

use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stories::{Org, SOON, Stage, eventually, when};

/// People of the campaign, each with one device.
const PEOPLE: usize = 3_000;
/// Streams that the fake allows on a connection; the server has two connections for campaigns and two for the rest.
const STREAMS: u32 = 25;
/// What can be on the wire at one moment.
const WINDOW: u64 = 4 * STREAMS as u64;

fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(since.as_micros()).expect("a date of our times")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_switch_was_turned_off_nothing_starts_and_what_waited_is_suppressed() {
    let stage = Stage::with(|scene| scene.apple.streams = STREAMS).await;
    Org::new().crowd("staff", PEOPLE).import(&stage.api).await;
    stage.apple.set_mode(fakes::Mode::Rate { per_second: 400 });
    let id = stage.api.tell("staff", "Half of you").await;
    eventually("the campaign to be under way", SOON, async || when(stage.apple.stats().requests >= 500)).await;

    stage.api.set("push.apns.enabled", json!(false)).await;
    let moment = micros();
    let done = stage.api.done(&id).await;
    // What was on the wire is answered and counted; nothing else may come, however long one looks.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let arrivals = stage.apple.arrivals(PEOPLE);
    let late = arrivals.iter().filter(|arrival| arrival.at_micros > moment).count() as u64;
    assert!(late <= WINDOW, "{late} requests arrived after the switch was off; at most {WINDOW} were on the wire");
    let too_late = arrivals.iter().filter(|arrival| arrival.at_micros > moment + 1_000_000).count();
    assert_eq!(too_late, 0, "requests that began long after the switch was off");

    let sent = stage.apple.stats();
    assert!(sent.requests < PEOPLE as u64 - 500, "{sent:?}");
    let counts = &done["counts"];
    assert_eq!(counts["accepted"], sent.accepted, "{counts}");
    let report = stage.api.get(&format!("notifications/{id}/report")).await;
    assert_eq!(report["byReason"]["org_switch_off"], PEOPLE as u64 - sent.accepted, "{report}");
    assert_eq!(counts["recipients"], PEOPLE, "{counts}");

    // On again: what was suppressed stays so, what is new goes.
    stage.api.set("push.apns.enabled", json!(true)).await;
    stage.apple.set_mode(fakes::Mode::Ok);
    let again = stage.api.tell("staff", "All of you").await;
    assert_eq!(stage.api.done_within(&again, Duration::from_secs(40)).await["counts"]["accepted"], PEOPLE);
    assert_eq!(stage.api.notification(&id).await["counts"]["accepted"], sent.accepted, "nothing is revived");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_campaign_stops_in_the_same_way_and_apps_take_it_away() {
    let stage = Stage::with(|scene| scene.apple.streams = STREAMS).await;
    Org::new().crowd("staff", PEOPLE).import(&stage.api).await;
    let app = stories::App::enrol(&stage.api, "staff-7@example.org", "pad", "ipados").await;
    let mut stream = app.stream(None).await;
    stage.apple.set_mode(fakes::Mode::Rate { per_second: 400 });
    let id = stage.api.tell("staff", "Never mind").await;
    eventually("the campaign to be under way", SOON, async || when(stage.apple.stats().requests >= 500)).await;
    assert_eq!(stream.event("notification", SOON).await.data["title"], "Never mind");
    stage.server.cli(&["notification", "cancel", &id, "--json"]).ended(0);
    let moment = micros();
    assert_eq!(stream.event("withdrawn", SOON).await.data["eventId"], id.as_str());
    let settled = eventually("everything to come to rest", SOON, async || {
        let one = stage.api.notification(&id).await;
        let waiting = one["counts"]["scheduled"].as_u64().unwrap_or(1) + one["counts"]["held"].as_u64().unwrap_or(1);
        when(waiting == 0 && one["state"] == "cancelled").map(|()| one)
    })
    .await;
    let arrivals = stage.apple.arrivals(PEOPLE);
    let late = arrivals.iter().filter(|arrival| arrival.at_micros > moment).count() as u64;
    assert!(late <= WINDOW, "{late} requests arrived after the cancel");
    let counts = &settled["counts"];
    let accepted = counts["accepted"].as_u64().expect("a count");
    assert_eq!(accepted, stage.apple.stats().accepted, "{counts}");
    assert!(counts["cancelled"].as_u64().is_some_and(|c| c > 500), "{counts}");
    assert_eq!(app.inbox().await.len(), 0, "a cancelled one is not in the inbox");
    let twice = stage.api.post(&format!("notifications/{id}/cancel"), &json!({})).await;
    assert!(matches!(twice.status, 200 | 409), "{}", twice.body);
}
