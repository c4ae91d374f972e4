//! Three processes on one PostgreSQL: one is killed in the middle of a campaign and one is cut off from the store for longer
//! than its leases last. The third does the rest, the one that is cut off refuses honestly and sends nothing, and takes
//! part again by itself. Skipped aloud without PostgreSQL.

use fakes::Mode;
use reqwest::Method;
use serde_json::json;
use servers::PrivatePostgres;
use std::net::SocketAddr;
use std::time::Duration;
use stories::{Cable, Fault, Org, SOON, Stage, eventually, when};

/// People of the campaign, each with one device, and what the fake takes in a second.
const PEOPLE: u64 = 9_000;
const PER_SECOND: u32 = 700;
/// Concurrent requests that the fake allows on a connection; bulk connections of each process.
const STREAMS: u32 = 100;
const CONNECTIONS: u32 = 2;
/// What one process can have sent and not settled when it is killed or loses its claims: the window on the wire, and the outcomes that
/// were answered and not committed.
const BOUND: u64 = (STREAMS * CONNECTIONS * 2) as u64 + 1_000;
/// Longer than a lease, which is ten seconds.
const CUT_OFF: Duration = Duration::from_secs(12);
/// Longest wait for a campaign on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_is_killed_and_one_is_cut_off_and_everybody_is_reached() {
    let Some(postgres) = PrivatePostgres::shared() else {
        println!("SKIPPED: PostgreSQL is not installed, so no story of three processes was told");
        return;
    };
    let name = format!("three{}", uuid::Uuid::new_v4().simple());
    postgres.sql("postgres", &format!("CREATE DATABASE {name}"));
    let address = postgres.tcp_address(&name);
    let place = address.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/')).map(|(place, _)| place.to_owned());
    let place = place.expect("an address with a host");
    let cable = Cable::to(place.parse::<SocketAddr>().expect("a loopback address")).await;
    let stage = Stage::with(|scene| {
        scene.database = Some(address.clone());
        scene.apple.streams = STREAMS;
        scene.apple.record = 0;
        scene.apns = format!("connections = {CONNECTIONS}");
    })
    .await;
    let (mut killed, _) = stage.another(None).await;
    let (_cut_off, there) = stage.another_by(|text| *text = text.replace(&place, &cable.addr.to_string()), None).await;
    let people = usize::try_from(PEOPLE).expect("a small number");
    Org::new().crowd("staff", people).import(&stage.api).await;
    stage.apple.set_mode(Mode::Rate { per_second: PER_SECOND });
    let id = stage.api.tell("staff", "To everybody").await;
    eventually("a part of it", SOON, async || when(stage.apple.stats().accepted > PEOPLE / 8)).await;

    killed.kill9();
    cable.set(Fault::Pulled);
    eventually("the cut to be noticed", SOON, async || when(there.page("/readyz").await.status == 503)).await;
    let body = json!({"title": "Now", "body": "x", "users": ["p-staff-1"]});
    for reply in [
        there.post("notifications", &body).await,
        there.ask(Method::GET, &format!("notifications/{id}"), None, &[]).await,
        there.ask(Method::GET, "groups", None, &[]).await,
    ] {
        assert_eq!(reply.problem(503), "store_unavailable");
        assert!(!reply.header("retry-after").is_empty(), "{}", reply.asked);
    }
    assert_eq!(stage.api.page("/readyz").await.status, 200, "the third goes on");
    tokio::time::sleep(CUT_OFF).await;
    cable.set(Fault::None);
    eventually("it to be ready again", SOON, async || when(there.page("/readyz").await.status == 200)).await;

    let done = stage.api.done_within(&id, PATIENCE).await;
    assert_eq!((&done["counts"]["accepted"], &done["counts"]["planned"]), (&json!(PEOPLE), &json!(PEOPLE)), "{done}");
    let stats = stage.apple.stats();
    let bound = 2 * BOUND;
    println!("{} repeats, bound {bound}; the most for one device: {}", stats.repeats, stats.most);
    assert_eq!(stats.distinct, PEOPLE, "every device was reached: {stats:?}");
    assert!(stats.repeats <= bound, "{stats:?}");
    // It takes part again.
    let sent = there.send(&body).await;
    stage.api.done(sent["id"].as_str().expect("an id")).await;
    eventually("the alarm to be over", SOON, async || when(stage.api.alarms().await.is_empty())).await;
}
