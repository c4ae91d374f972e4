//! A campaign to 20,000 devices against a fake that takes 2,000 a second, and a server that is killed ten times and more while
//! work is outstanding: on accept, plan, send and settle. Every device is reached, and repeats stay within the bound.

use fakes::Mode;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use stories::{Api, Org, Reply, Stage, time_in};

/// Devices of the campaign, one for each person.
const DEVICES: usize = 20_000;
/// What the fake takes in a second.
const PER_SECOND: u32 = 2_000;
/// Concurrent requests that the fake allows on a connection.
const STREAMS: u32 = 100;
/// Connections of the server, for campaigns and for single notifications.
const CONNECTIONS: u32 = 2;
/// What can have been sent and not settled when a kill falls: the window on the wire, and the outcomes that were answered
/// and not committed, at most a thousand by DESIGN §2.
const BOUND_PER_KILL: u64 = (STREAMS * CONNECTIONS * 2) as u64 + 1_000;
/// Requests that are under way when a kill falls on *accept*, and how many of them are answered by then.
const REQUESTS: usize = 120;
const ANSWERED: [usize; 3] = [1, 4, 12];
/// Kills on the other three steps.
const KILLS_ON_PLAN: usize = 3;
const KILLS_ON_SEND: usize = 5;
const KILLS_ON_SETTLE: usize = 3;
/// The key of the campaign's request.
const CAMPAIGN: &str = "the-campaign";
/// Longest wait for anything within the campaign.
const PATIENCE: Duration = Duration::from_secs(90);

struct Campaign {
    stage: Stage,
    body: Value,
    kills: u64,
    id: String,
}

impl Campaign {
    /// Kills the server and starts it again.
    async fn kill(&mut self, step: &str) {
        let before = self.stage.apple.stats();
        self.stage.server.kill9();
        self.kills += 1;
        let took = self.stage.server.restart().await;
        println!("kill {} on {step}: {} accepted by the fake, back after {took:?}", self.kills, before.accepted);
    }

    /// Kills while requests are under way, and repeats each: what was answered is still there, and nothing is there twice.
    async fn accept(&mut self) {
        let at = time_in(Duration::from_secs(3 * 86_400));
        let mut cut_off = 0;
        for (round, answered) in ANSWERED.into_iter().enumerate() {
            let request = |n: usize| {
                let body = json!({"title": "Later", "body": "x", "users": [format!("p-staff-{n}")], "at": at});
                (format!("early-{round}-{n}"), body)
            };
            let done = Arc::new(AtomicUsize::new(0));
            let asked: Vec<_> = (0..REQUESTS)
                .map(|n| {
                    let (api, (key, body), done) = (self.stage.api.clone(), request(n), done.clone());
                    tokio::spawn(async move {
                        let answer = submit(&api, &body, &key).await;
                        done.fetch_add(1, Ordering::Relaxed);
                        answer
                    })
                })
                .collect();
            while done.load(Ordering::Relaxed) < answered {
                tokio::task::yield_now().await;
            }
            self.kill("accept").await;
            for (n, asked) in asked.into_iter().enumerate() {
                let first = asked.await.expect("no request panics");
                let (key, body) = request(n);
                let again = submit(&self.stage.api, &body, &key).await.expect("an answer");
                assert_eq!(again.status, 201, "{}", again.body);
                match first {
                    Some(first) => {
                        assert_eq!(
                            (again.header("idempotent-replay"), &again.body["id"]),
                            ("true", &first.body["id"]),
                            "what was accepted is kept"
                        );
                    }
                    None => cut_off += 1,
                }
            }
            println!("  {cut_off} requests were cut off so far, of {REQUESTS} in each round");
        }
        assert!(cut_off > 0, "every kill fell after every answer");
        let answer = submit(&self.stage.api, &self.body, CAMPAIGN).await.expect("an answer");
        assert_eq!((answer.status, &answer.body["counts"]["recipients"]), (201, &json!(DEVICES)), "{}", answer.body);
        self.id = answer.body["id"].as_str().expect("an id").to_owned();
        // Planning began with the answer; the first kill falls on it.
        let planned = loop {
            let planned = number(&self.counts().await, "planned");
            if planned > 0 {
                break planned;
            }
        };
        self.kill("plan").await;
        assert!(planned < DEVICES as u64, "planning was over before a kill fell on it");
        self.assert_accepted_once().await;
    }

    /// The campaign's request, repeated, gets the first answer; and there is nothing twice.
    async fn assert_accepted_once(&self) {
        let again = submit(&self.stage.api, &self.body, CAMPAIGN).await.expect("an answer");
        assert_eq!((again.header("idempotent-replay"), &again.body["id"]), ("true", &json!(self.id)), "{}", again.body);
        assert_eq!(self.stage.api.all("notifications").await.len(), ANSWERED.len() * REQUESTS + 1);
    }

    async fn counts(&self) -> Value {
        self.stage.api.notification(&self.id).await["counts"].clone()
    }

    /// Kills as soon as `ripe` holds of the server's counts and of what the fake accepted; the work must not be over.
    async fn kill_when(&mut self, step: &str, ripe: impl Fn(&Value, u64) -> bool) {
        let began = Instant::now();
        loop {
            let counts = self.counts().await;
            let accepted = self.stage.apple.stats().accepted;
            if ripe(&counts, accepted) {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "no moment to kill on {step}: {counts}, {accepted} at the fake");
        }
        self.kill(step).await;
    }
}

/// One request with a key; `None` when the server was killed before it answered.
async fn submit(api: &Api, body: &Value, key: &str) -> Option<Reply> {
    api.attempt(Method::POST, "notifications", Some(body), &[("idempotency-key", key)]).await.ok()
}

fn number(counts: &Value, key: &str) -> u64 {
    counts[key].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_reaches_every_device_although_the_server_is_killed_again_and_again() {
    let stage = Stage::with(|scene| {
        scene.apple.streams = STREAMS;
        scene.apple.record = 0;
        scene.apns = format!("connections = {CONNECTIONS}");
    })
    .await;
    stage.apple.set_mode(Mode::Rate { per_second: PER_SECOND });
    Org::new().crowd("staff", DEVICES).import(&stage.api).await;
    let body = json!({"title": "To everybody", "body": "Twenty thousand times.", "groups": ["staff"]});
    let mut campaign = Campaign { stage, body, kills: 0, id: String::new() };

    campaign.accept().await;
    for _ in 0..KILLS_ON_PLAN {
        let planned = number(&campaign.counts().await, "planned");
        if planned >= DEVICES as u64 {
            break;
        }
        campaign.kill_when("plan", |counts, _| number(counts, "planned") > planned || number(counts, "planned") >= DEVICES as u64).await;
    }
    // While requests are on the wire: a step of progress between two kills.
    for n in 0..KILLS_ON_SEND as u64 {
        let goal = (n + 1) * DEVICES as u64 / 9;
        campaign.kill_when("send", |_, accepted| accepted >= goal).await;
    }
    // Right after outcomes were committed, while the next ones queue.
    for n in 0..KILLS_ON_SETTLE as u64 {
        let settled = number(&campaign.counts().await, "accepted");
        let goal = (settled + 200).max(DEVICES as u64 * 5 / 8 + n * 1_500);
        campaign.kill_when("settle", |counts, _| number(counts, "accepted") >= goal).await;
    }
    let counts = campaign.counts().await;
    let outstanding = DEVICES as u64 - number(&counts, "accepted");
    assert!(outstanding > 0, "the last kill fell while work was outstanding: {counts}");
    assert!(campaign.kills >= 10, "{} kills", campaign.kills);

    let done = campaign.stage.api.done_within(&campaign.id, PATIENCE).await;
    let counts = &done["counts"];
    assert_eq!((number(counts, "accepted"), number(counts, "planned")), (DEVICES as u64, DEVICES as u64), "{counts}");
    let stats = campaign.stage.apple.stats();
    assert_eq!(stats.distinct, DEVICES as u64, "every device was reached: {stats:?}");
    let bound = campaign.kills * BOUND_PER_KILL;
    println!("{} kills, {} repeats, bound {bound}; the most for one device: {}", campaign.kills, stats.repeats, stats.most);
    assert!(stats.repeats <= bound, "{} repeats after {} kills; at most {bound}", stats.repeats, campaign.kills);
    assert!(stats.most <= campaign.kills + 1, "{stats:?}");
    campaign.assert_accepted_once().await;
}
