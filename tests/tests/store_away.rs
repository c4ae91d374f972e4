//! PostgreSQL in trouble in the middle of a campaign: it crashes and comes back, stands still, is cut off, falls silent, loses
//! its answers. Everybody is reached, repeats stay within the bound, nobody lends a hand, and the API tells no lie
//! meanwhile: 503 with `Retry-After`, and what it said it took is there. Skipped aloud without PostgreSQL.

use fakes::Mode;
use reqwest::Method;
use serde_json::{Value, json};
use servers::PrivatePostgres;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use stories::{Api, App, Cable, Fault, Org, Reply, SOON, Stage, eventually, when};

/// People of the campaigns, each with one device, and what the fake takes in a second.
const PEOPLE: u64 = 4_000;
const PER_SECOND: u32 = 1_000;
/// Concurrent requests that the fake allows on a connection; bulk connections of the server.
const STREAMS: u32 = 100;
const CONNECTIONS: u32 = 2;
/// What can have been sent and not settled when a claim is lost: the window on the wire, and the outcomes that were answered and
/// not committed.
const BOUND: u64 = (STREAMS * CONNECTIONS * 2) as u64 + 1_000;
/// Longest wait for a campaign on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server, the way to its PostgreSQL, and a campaign that is under way.
struct Scene {
    stage: Stage,
    cable: Cable,
    app: App,
    campaign: String,
}

/// `None`, said aloud, where PostgreSQL is not installed.
async fn scene(postgres: Option<&PrivatePostgres>) -> Option<Scene> {
    let Some(postgres) = postgres else {
        println!("SKIPPED: PostgreSQL is not installed, so no story of its trouble was told");
        return None;
    };
    postgres.database();
    let name = format!("away{}", uuid::Uuid::new_v4().simple());
    postgres.sql("postgres", &format!("CREATE DATABASE {name}"));
    let address = postgres.tcp_address(&name);
    let (_, place) = address.rsplit_once('@').expect("an address with a user");
    let (place, _) = place.split_once('/').expect("an address with a database");
    let place: SocketAddr = place.parse().expect("a loopback address");
    let cable = Cable::to(place).await;
    let stage = Stage::with(|scene| {
        scene.database = Some(address.replace(&place.to_string(), &cable.addr.to_string()));
        scene.apple.streams = STREAMS;
        scene.apple.record = 0;
        scene.apns = format!("connections = {CONNECTIONS}");
    })
    .await;
    let people = usize::try_from(PEOPLE).expect("a small number");
    Org::new().crowd("staff", people).person("ada").import(&stage.api).await;
    let app = App::enrol(&stage.api, "ada@example.org", "Ada's phone", "ios").await;
    stage.apple.set_mode(Mode::Rate { per_second: PER_SECOND });
    let campaign = stage.api.tell("staff", "To everybody").await;
    let scene = Scene { stage, cable, app, campaign };
    scene.sent(PEOPLE / 8).await;
    Some(scene)
}

impl Scene {
    /// Waits until so many are at the fake.
    async fn sent(&self, pushes: u64) {
        eventually("a part of the campaign", SOON, async || when(self.stage.apple.stats().accepted >= pushes)).await;
    }

    /// Everything that asks the store refuses honestly, at once.
    async fn assert_honest(&self) {
        let api = &self.stage.api;
        let id = &self.campaign;
        let page = api.page("/readyz").await;
        assert_away(&page);
        assert_eq!(api.page("/healthz").await.status, 200, "the process lives");
        let began = Instant::now();
        for path in [
            "notifications",
            "users",
            "groups",
            "devices",
            "tokens",
            "alarms",
            "resolve?kind=user&name=ada@example.org",
            &format!("notifications/{id}"),
            &format!("notifications/{id}/deliveries"),
            &format!("notifications/{id}/report"),
            &format!("events/{id}/why?person=p-staff-1"),
        ] {
            assert_away(&api.ask(Method::GET, path, None, &[]).await);
        }
        let send = json!({"title": "Now", "body": "x", "users": ["ada@example.org"]});
        assert_away(&api.post("notifications", &send).await);
        assert_away(&api.post("groups", &json!({"name": "made while the store was away"})).await);
        assert_away(&api.ask(Method::PUT, "settings/push.apns.enabled", Some(&json!({"value": false})), &[]).await);
        assert_away(&self.app.ask(Method::GET, "inbox", None).await);
        let receipt = json!({"receipts": [{"eventId": id, "kind": "opened"}]});
        assert_away(&self.app.ask(Method::POST, "receipts", Some(&receipt)).await);
        println!("sixteen requests were refused in {:?}", began.elapsed());
        let metrics = self.stage.api.page("/metrics").await.body.to_string();
        assert!(metrics.contains(r#"carillon_alarm{code=\"store_unavailable\"} 1"#), "the alarm is in the metrics");
    }

    /// The campaign comes to its end by itself, everybody is reached, and nothing of the trouble is left.
    async fn assert_whole(&self, repeats: u64) {
        let done = self.stage.api.done_within(&self.campaign, PATIENCE).await;
        let counts = &done["counts"];
        assert_eq!((&counts["accepted"], &counts["planned"]), (&json!(PEOPLE), &json!(PEOPLE)), "{counts}");
        let stats = self.stage.apple.stats();
        println!("{} repeats, bound {repeats}; the most for one device: {}", stats.repeats, stats.most);
        assert_eq!(stats.distinct, PEOPLE, "every device was reached: {stats:?}");
        assert!(stats.repeats <= repeats, "{stats:?}");
        assert_eq!(self.stage.api.page("/readyz").await.status, 200);
        eventually("the alarm to be over", SOON, async || when(self.stage.api.alarms().await.is_empty())).await;
        let rows = self.stage.api.all(&format!("notifications/{}/deliveries?state=accepted", self.campaign)).await;
        let people: HashSet<&str> = rows.iter().filter_map(|row| row["upn"].as_str()).collect();
        assert_eq!((rows.len() as u64, people.len() as u64), (PEOPLE, PEOPLE), "one row for each");
    }

    /// The alarm about the store was kept, once that could be done, and is over.
    async fn assert_alarm_was_kept(&self) {
        let all = self.stage.api.all("alarms").await;
        let told = all.iter().any(|alarm| alarm["code"] == "store_unavailable" && !alarm["clearedAt"].is_null());
        assert!(told, "{all:?}");
    }
}

/// 503 with `Retry-After` and a problem document.
#[track_caller]
fn assert_away(reply: &Reply) {
    let code = reply.problem(503).to_owned();
    assert!(code == "store_unavailable" || code == "unavailable", "{}: {}", reply.asked, reply.body);
    let wait: u64 = reply.header("retry-after").parse().unwrap_or(0);
    assert!((1..=60).contains(&wait), "{}: Retry-After {:?}", reply.asked, reply.header("retry-after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_crashes_in_the_middle_of_a_campaign_and_comes_back() {
    let postgres = PrivatePostgres::start(false);
    let Some(scene) = scene(postgres.as_ref()).await else { return };
    let postgres = postgres.as_ref().expect("there is a scene");
    for part in [4, 2] {
        scene.sent(PEOPLE / part).await;
        postgres.crash();
        eventually("it to be noticed", SOON, async || when(scene.stage.api.page("/readyz").await.status == 503)).await;
        scene.assert_honest().await;
        postgres.restart();
    }
    scene.assert_whole(BOUND).await;
    scene.assert_alarm_was_kept().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_stands_still_and_nothing_is_sent_until_it_goes_on() {
    let postgres = PrivatePostgres::start(false);
    let Some(scene) = scene(postgres.as_ref()).await else { return };
    let postgres = postgres.as_ref().expect("there is a scene");
    postgres.signal("STOP");
    // A request that is under way is answered when there is something to say.
    let api = scene.stage.api.clone();
    let body = json!({"title": "Meanwhile", "body": "x", "users": ["p-ada"]});
    let asked = tokio::spawn(async move { api.ask(Method::POST, "notifications", Some(&body), &[("idempotency-key", "meanwhile")]).await });
    let began = Instant::now();
    assert_away(&scene.stage.api.page("/readyz").await);
    assert!(began.elapsed() < Duration::from_secs(4), "a load balancer waits no longer");
    // A policy that cannot be read for three quarters of a second allows nothing.
    let sent = scene.stage.apple.stats().accepted;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.stage.apple.stats().accepted, sent, "nothing is sent by a policy that cannot be read");
    postgres.signal("CONT");
    let answer = asked.await.expect("no panic").with(201);
    scene.assert_whole(BOUND).await;
    assert_eq!(scene.app.inbox().await.len(), 1, "what was answered 201 is there, once");
    scene.stage.api.done(answer["id"].as_str().expect("an id")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_to_postgresql_is_pulled_out_silent_and_cut_in_the_middle_of_answers() {
    let Some(scene) = scene(PrivatePostgres::shared()).await else { return };
    scene.cable.set(Fault::Pulled);
    eventually("it to be noticed", SOON, async || when(scene.stage.api.page("/readyz").await.status == 503)).await;
    scene.assert_honest().await;
    scene.cable.set(Fault::None);
    scene.sent(PEOPLE * 3 / 8).await;
    // Dead without a word, and then every connection is found dead.
    scene.cable.set(Fault::Silent);
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.cable.reset();
    scene.cable.set(Fault::CutAfter(30_000));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    scene.cable.set(Fault::Late(Duration::from_millis(20)));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    scene.cable.reset();
    scene.cable.set(Fault::None);
    scene.assert_whole(BOUND).await;
    println!("{} connections, of which {} were cut", scene.cable.connections(), scene.cable.cut());
    assert!(scene.cable.cut() > 10, "the faults were felt: {}", scene.cable.cut());
}

/// One request with a key, until it is taken; answers the notification and how often it was refused.
async fn persistent(api: &Api, body: &Value, key: &str) -> (Reply, u32) {
    for refused in 0..50 {
        let reply = api.ask(Method::POST, "notifications", Some(body), &[("idempotency-key", key)]).await;
        match reply.status {
            201 => return (reply, refused),
            503 => assert_away(&reply),
            // Two tries at once would answer this; here it must not be, but it is no lie.
            other => panic!("answered {other}: {}", reply.body),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("refused for ever")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_neither_done_twice_nor_denied() {
    let Some(scene) = scene(PrivatePostgres::shared()).await else { return };
    let api = &scene.stage.api;
    let mut unsure = 0;
    for n in 0..6 {
        scene.cable.set(Fault::AnswerLost { first: "Number", word: "COMMIT" });
        let body = json!({"title": format!("Number {n}"), "body": "x", "users": ["p-ada"]});
        let first = api.ask(Method::POST, "notifications", Some(&body), &[("idempotency-key", &format!("lost-{n}"))]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        scene.cable.set(Fault::None);
        assert_away(&first);
        let (again, _) = persistent(api, &body, &format!("lost-{n}")).await;
        unsure += u32::from(again.header("idempotent-replay") == "true");
    }
    println!("{unsure} of 6 refused requests had been committed and were found by their key");
    assert!(unsure > 0, "no answer to a commit was lost");
    scene.assert_whole(BOUND).await;
    let titles = scene.app.titles().await;
    assert_eq!(titles.len(), 6, "each once: {titles:?}");
}
