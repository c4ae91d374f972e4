//! Every provider in trouble at once, each in every way: connections that close, reset or hang, answers in noise, pages of
//! strangers, ways that break in the middle of a byte. Nothing that was accepted is lost, nobody is retired by a stranger's
//! word, repeats stay within what was on the wire, and everything goes on by itself.

use fakes::google::{self, ServiceAccount};
use fakes::microsoft::{self, Application};
use fakes::push_service;
use fakes::{Authority, Mode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stories::{Cable, Fault, Org, SOON, Stage, channel_of, eventually, when};

/// People who are reached by each channel, and by it alone.
const EACH: u64 = 40;
/// Streams on a connection of a fake.
const STREAMS: u32 = 10;
/// The channels, in the order of [`House::stats`].
const CHANNELS: [&str; 5] = ["apns", "email", "fcm", "wns", "webpush"];
/// Longest wait for what was held to go out: pauses double up to 32 s, and the fifth time in a row makes 16 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with five channels, each behind a cable.
struct House {
    stage: Stage,
    google: google::Running,
    microsoft: microsoft::Running,
    push: push_service::Running,
    /// The ways to Google, Microsoft and the push service; those to Apple and the relay are the stage's.
    cables: [Cable; 3],
}

/// What a provider saw.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    connections: u64,
    accepted: u64,
    distinct: u64,
    repeats: u64,
}

impl House {
    async fn open() -> House {
        let authority = || Arc::new(Authority::generate().expect("the machine has randomness"));
        let options = || google::Options { tls: Some(authority()), record: 0, streams: STREAMS, ..google::Options::default() };
        let (account, application) = (ServiceAccount::generate("story-project"), Application::generate());
        let google = google::start(options(), account).await.expect("the fake Google starts");
        let microsoft = microsoft::start(options(), application.clone()).await.expect("the fake Microsoft starts");
        let push = push_service::Options { record: 0, streams: STREAMS, ..push_service::Options::new(authority()) };
        let push = push_service::start(push).await.expect("the fake push service starts");
        let cables = [Cable::to(google.addr).await, Cable::to(microsoft.addr).await, Cable::to(push.addr).await];
        let by_cable = |text: String, n: usize, to: std::net::SocketAddr| text.replace(&to.to_string(), &cables[n].addr.to_string());
        push.known_as(&format!("https://{}", cables[2].addr));
        let stage = Stage::with(|scene| {
            scene.cabled = true;
            (scene.apple.record, scene.apple.streams) = (0, STREAMS);
            scene.relay.record = 0;
            scene.email = "per_second = 1000".into();
            scene.more = format!(
                "[channels.fcm]\nendpoint = \"{}\"\nservice_account_file = \"account.json\"\nca_file = \"google-ca.pem\"\n\n\
                 [channels.wns]\nendpoint_override = \"{}\"\ntoken_endpoint = \"{}\"\nclient_id = \"{}\"\nsecret_file = \"wns-secret\"\n\
                 ca_file = \"microsoft-ca.pem\"\n\n\
                 [channels.webpush]\nsubject = \"mailto:operations@example.org\"\nallow_private_endpoints = true\nca_file = \"push-ca.pem\"\n",
                by_cable(google.endpoint(), 0, google.addr),
                by_cable(microsoft.endpoint(), 1, microsoft.addr),
                by_cable(microsoft.token_endpoint(), 1, microsoft.addr),
                application.client_id,
            );
            let ca = |pem: Option<&str>| pem.expect("there is TLS").to_owned();
            scene.files = vec![
                ("account.json", by_cable(google.service_account(), 0, google.addr)),
                ("google-ca.pem", ca(google.ca_pem())),
                ("wns-secret", format!("{}\n", application.secret)),
                ("microsoft-ca.pem", ca(microsoft.ca_pem())),
                ("push-ca.pem", push.ca_pem().to_owned()),
            ];
        })
        .await;
        let house = House { stage, google, microsoft, push, cables };
        house.people().await;
        house
    }

    /// As many people for each channel, in the group `staff`.
    async fn people(&self) {
        let mut org = Org::new();
        let browser = self.push.browser.clone().expect("the fake plays one");
        for n in 0..EACH {
            for channel in CHANNELS {
                let person = format!("{channel}-{n}");
                org.person_with(&person, |row| {
                    if channel != "email" {
                        row.email = String::new();
                    }
                });
                org.group("staff", &[&format!("user:{person}")]);
                let device = format!("{person}-device");
                match channel {
                    "apns" => org.iphone(&device, &person),
                    "fcm" => org.android(&device, &person),
                    "wns" => org.windows(&device, &person),
                    "webpush" => {
                        let endpoint = format!("https://{}/send/{device}", self.cables[2].addr);
                        org.browser(&device, &person, [&endpoint, &browser.p256dh(), &browser.auth()])
                    }
                    _ => &mut org,
                };
            }
        }
        org.import(&self.stage.api).await;
    }

    /// What each provider saw, by the order of [`CHANNELS`].
    fn stats(&self) -> [Seen; 5] {
        let (apple, relay, push) = (self.stage.apple.stats(), self.stage.relay.stats(), self.push.stats());
        let seen = |connections, accepted, distinct, repeats| Seen { connections, accepted, distinct, repeats };
        let [google, microsoft] =
            [self.google.stats(), self.microsoft.stats()].map(|s| seen(s.connections, s.accepted, s.distinct, s.repeats));
        [
            seen(apple.connections, apple.accepted, apple.distinct, apple.repeats),
            seen(relay.connections, relay.accepted, relay.distinct, relay.repeats),
            google,
            microsoft,
            seen(push.connections, push.accepted, push.distinct, push.repeats),
        ]
    }

    fn clear(&self) {
        self.stage.apple.clear();
        self.stage.relay.clear();
        self.google.clear();
        self.microsoft.clear();
        self.push.clear();
    }

    fn set_mode(&self, mode: &Mode) {
        self.stage.apple.set_mode(mode.clone());
        self.stage.relay.set_mode(mode.clone());
        self.google.set_mode(mode.clone());
        self.microsoft.set_mode(mode.clone());
        self.push.set_mode(mode.clone());
    }

    fn ways(&self) -> impl Iterator<Item = &Cable> {
        self.stage.cables.iter().chain(&self.cables)
    }

    fn set_ways(&self, fault: &Fault) {
        self.ways().for_each(|cable| cable.set(fault.clone()));
    }

    /// How many of a channel's deliveries stand so.
    async fn count(&self, id: &str, channel: &str, state: &str) -> u64 {
        let report = self.stage.api.get(&format!("notifications/{id}/report")).await;
        report["byChannel"][channel][state].as_u64().unwrap_or(0)
    }

    /// Sends to everybody while something is wrong, until every channel felt it; answers the notification.
    async fn feel(&self, what: &str) -> String {
        let cuts: Vec<u64> = self.ways().map(Cable::cut).collect();
        let id = self.stage.api.tell("staff", what).await;
        for (n, channel) in CHANNELS.into_iter().enumerate() {
            eventually(&format!("{channel} to feel {what}"), SOON, async || {
                let cut = self.ways().nth(n).is_some_and(|cable| cable.cut() > cuts[n]);
                if cut || self.stats()[n].connections >= 2 || self.count(&id, channel, "held").await > 0 {
                    return Some(());
                }
                // Only a farewell in good order lets everybody be reached meanwhile.
                when(self.count(&id, channel, "accepted").await == EACH)
            })
            .await;
        }
        id
    }

    /// Everything is mended: everybody is reached, and no more often than what was on the wire when connections were lost.
    /// Answers how many connections that took.
    async fn assert_whole(&self, id: &str, what: &str) -> u64 {
        let done = self.stage.api.done_within(id, PATIENCE).await;
        assert_eq!(done["counts"]["accepted"], json!(EACH * 5), "{what}: {done}");
        for (channel, seen) in CHANNELS.into_iter().zip(self.stats()) {
            assert_eq!(seen.distinct, EACH, "{what}: {channel} reached everybody: {seen:?}");
            let bound = seen.connections.max(1) * u64::from(STREAMS);
            assert!(seen.repeats <= bound, "{what}: {channel}: {seen:?}, at most {bound} repeats");
            println!("{what}: {channel}: {} connections, {} repeats", seen.connections, seen.repeats);
        }
        for (device, service) in
            [("apns-7-device", "apns"), ("fcm-7-device", "fcm"), ("wns-7-device", "wns"), ("webpush-7-device", "webpush")]
        {
            self.assert_registered(device, service).await;
        }
        eventually("the alarms to be over", SOON, async || when(self.stage.api.alarms().await.is_empty())).await;
        let connections = self.stats().iter().map(|seen| seen.connections).sum();
        self.clear();
        connections
    }

    async fn assert_registered(&self, device: &str, service: &str) {
        let key = self.stage.api.id("device", device).await;
        let found = self.stage.api.all(&format!("devices/{key}/registrations")).await;
        assert_eq!((&found[0]["service"], &found[0]["state"]), (&json!(service), &json!("active")), "{found:?}");
    }

    /// Behaves so until every channel felt it, then well.
    async fn trouble(&self, mode: Mode) -> u64 {
        let what = format!("{mode:?}").chars().take(40).collect::<String>();
        self.set_mode(&mode);
        let id = self.feel(&what).await;
        self.set_mode(&Mode::Ok);
        self.assert_whole(&id, &what).await
    }

    /// The same for the ways there.
    async fn broken_ways(&self, fault: Fault) {
        let what = format!("{fault:?}");
        self.set_ways(&fault);
        // What is open is broken as well.
        self.ways().for_each(Cable::reset);
        let id = self.feel(&what).await;
        self.set_ways(&Fault::None);
        self.assert_whole(&id, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_reset_or_told_to_go_away_lose_nothing() {
    let house = House::open().await;
    house.trouble(Mode::Reset).await;
    for abrupt in [false, true] {
        let connections = house.trouble(Mode::Goaway { after: 3, abrupt }).await;
        assert!(connections >= 5, "connections were told to go away: {connections} new ones");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_and_pages_of_strangers_lose_nothing_and_retire_nobody() {
    let house = House::open().await;
    house.trouble(Mode::Noise).await;
    house.trouble(Mode::Babble { status: 502 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_who_says_that_everybody_is_gone_is_not_believed() {
    for status in [404, 410] {
        let house = House::open().await;
        house.set_mode(&Mode::Babble { status });
        let id = house.stage.api.tell("staff", "Gone, says the box on the way").await;
        eventually("each to be tried", SOON, async || {
            let counts = house.stage.api.notification(&id).await["counts"].clone();
            when(counts["scheduled"] == 0 && counts["planned"] == EACH * 5)
        })
        .await;
        // A push service has no word of its own beside the status (RFC 8030 §7.3), so this is held against its other answers
        // instead (`registrations.suspicious_percent`), of which there must be more.
        for channel in ["apns", "fcm", "wns"] {
            for n in (0..EACH).step_by(10) {
                house.assert_registered(&format!("{channel}-{n}-device"), channel).await;
            }
            assert_eq!(house.count(&id, channel, "accepted").await, 0, "{channel} {status}");
        }
        let report: Value = house.stage.api.get(&format!("notifications/{id}/report")).await;
        println!("{status}: {}", report["byReason"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ways_that_break_in_a_handshake_in_an_answer_or_without_a_word_lose_nothing() {
    let house = House::open().await;
    // In the middle of the TLS handshake; a little later; bytes that are others.
    house.broken_ways(Fault::CutAfter(300)).await;
    house.broken_ways(Fault::CutAfter(3_000)).await;
    house.broken_ways(Fault::Noise).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_that_hang_and_ways_that_fall_silent_hold_up_nobody_for_ever() {
    let house = House::open().await;
    // So that connections are open, and die without a word while requests are on the wire.
    let first = house.stage.api.tell("staff", "First").await;
    house.stage.api.done(&first).await;
    house.clear();
    house.set_mode(&Mode::Stall);
    let id = house.stage.api.tell("staff", "Into silence").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    house.set_ways(&Fault::Silent);
    house.set_mode(&Mode::Ok);
    // A push service that hangs is given 20 s; the server is asked something else meanwhile.
    house.stage.api.get("users").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    house.ways().for_each(Cable::reset);
    house.set_ways(&Fault::None);
    let done = house.stage.api.done_within(&id, PATIENCE).await;
    assert_eq!(done["counts"]["accepted"], json!(EACH * 5), "{done}");
    for (channel, seen) in CHANNELS.into_iter().zip(house.stats()) {
        assert_eq!(seen.distinct, EACH, "{channel} reached everybody: {seen:?}");
        assert_eq!((seen.accepted, seen.repeats), (EACH, 0), "{channel}: what was never answered was not taken");
    }
    assert_eq!(house.microsoft.reached(&channel_of("wns-3-device")), 1);
}
