//! A fake push service (RFC 8030), with the manners of Mozilla's autopush: it takes messages for browsers and shows them
//! to nobody.
//!
//! It checks method, path, the VAPID token (signature, key, audience, end), every header of RFC 8030 and the form of the
//! encrypted body; it plays one browser behind all its subscriptions, opens every message with that browser's keys, and
//! answers 201 with `Location` and `TTL`, or in the statuses and numbers of the original.

mod browser;
mod old;
mod rules;
mod serve;

pub use browser::Browser;
pub use rules::{Answer, Verified, verify_vapid};

use crate::authority::Authority;
use crate::control::{self, Page};
use crate::door::{self, Door};
use crate::pace::Pace;
use crate::recent::Recent;
use crate::script::{Mode, Prompter, Script};
use crate::tally::Tally;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// How the fake is started.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the control page listens, if there is one.
    pub control: Option<SocketAddr>,
    /// Signs the certificate: endpoints of push services are always HTTPS.
    pub authority: Arc<Authority>,
    /// SETTINGS_MAX_CONCURRENT_STREAMS of each connection.
    pub streams: u32,
    /// Speaks HTTP/1.1 only; then the mode is that of everybody who behaves.
    pub old: bool,
    /// The VAPID public key (base64url) to which every subscription is bound; without one, any.
    pub key: Option<String>,
    /// The browser behind every subscription; without one, messages are not opened.
    pub browser: Option<Browser>,
    /// Every message must hold this text once opened.
    pub text: Option<String>,
    /// How many requests the log keeps; 0 keeps none.
    pub record: usize,
    /// How many subscriptions can be told apart when counting.
    pub tally_cells: usize,
    /// What was accepted is also handed on here, for whoever carries it to a browser.
    pub forward: Option<UnboundedSender<Arrival>>,
}

impl Options {
    /// The usual ones.
    pub fn new(authority: Arc<Authority>) -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            control: None,
            authority,
            streams: 100,
            old: false,
            key: None,
            browser: Some(Browser::generate()),
            text: None,
            record: 1000,
            tally_cells: 1 << 17,
            forward: None,
        }
    }
}

/// What is required of every request.
#[derive(Clone)]
pub(crate) struct Checks {
    key: Option<String>,
    /// How tokens may name this service.
    origins: Vec<String>,
    text: Option<String>,
    browser: Option<Browser>,
}

/// One request that arrived.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// Microseconds of Unix time.
    pub at_micros: u64,
    /// The subscription: what stands behind `/send/` in its endpoint.
    pub subscription: String,
    /// Every header by its name; the control page omits `authorization`.
    pub headers: HashMap<String, String>,
    /// Size of the body.
    pub bytes: usize,
    /// The body as it came.
    #[serde(skip)]
    pub body: Bytes,
    /// What the browser reads; empty when it was not opened.
    pub payload: String,
    /// Status of the answer; 0 while it is held back for ever.
    pub status: u16,
    /// What the answer says.
    pub reason: String,
}

/// Counters since the start or the last clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Connections that were opened.
    pub connections: u64,
    /// Requests that arrived whole.
    pub requests: u64,
    /// Answered 201.
    pub accepted: u64,
    /// Answered otherwise.
    pub refused: u64,
    /// Different subscriptions among the accepted.
    pub distinct: u64,
    /// Acceptances beyond the first of each subscription.
    pub repeats: u64,
    /// Microseconds of Unix time of the first request, 0 when there was none.
    pub first_micros: u64,
    /// Microseconds of Unix time of the last request.
    pub last_micros: u64,
}

#[derive(Default)]
struct Counters {
    connections: AtomicU64,
    requests: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    first_micros: AtomicU64,
    last_micros: AtomicU64,
}

pub(crate) struct State {
    origin: String,
    checks: watch::Sender<Arc<Checks>>,
    script: Prompter<Answer>,
    door: watch::Sender<Door>,
    pace: Pace,
    tally: Mutex<Tally>,
    tally_cells: usize,
    recent: Recent<Arrival>,
    counters: Counters,
    clock_shift_seconds: AtomicI64,
    streams: u32,
    forward: Option<UnboundedSender<Arrival>>,
}

/// A running fake. It stops when this is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where its control page listens.
    pub control: Option<SocketAddr>,
    /// The browser behind every subscription.
    pub browser: Option<Browser>,
    authority: Arc<Authority>,
    state: Arc<State>,
}

/// Starts a fake on the current runtime.
///
/// # Errors
/// When an address is not a loopback address or is in use.
pub async fn start(options: Options) -> io::Result<Running> {
    let (listener, addr) = door::bind(options.listen).await?;
    let tls = TlsAcceptor::from(options.authority.server_config(if options.old { &[b"http/1.1"] } else { &[b"h2"] })?);
    let origins = vec![format!("https://{addr}"), format!("https://localhost:{}", addr.port())];
    let checks = Checks { key: options.key, origins, text: options.text, browser: options.browser.clone() };
    let state = Arc::new(State {
        origin: format!("https://{addr}"),
        checks: watch::Sender::new(Arc::new(checks)),
        script: Prompter::new(Script::default()),
        door: watch::Sender::new(Door::Open),
        pace: Pace::default(),
        tally: Mutex::new(Tally::new(options.tally_cells)),
        tally_cells: options.tally_cells,
        recent: Recent::new(options.record),
        counters: Counters::default(),
        clock_shift_seconds: AtomicI64::new(0),
        streams: options.streams,
        forward: options.forward,
    });
    let control = match options.control {
        Some(addr) => Some(control::open(addr, state.clone(), state.door.subscribe()).await?),
        None => None,
    };
    let serving = state.clone();
    let door = state.door.subscribe();
    if options.old {
        let serve = Arc::new(move |stream| old::connection(serving.clone(), tls.clone(), stream));
        tokio::spawn(door::attend(listener, addr, door, serve));
    } else {
        let serve = Arc::new(move |stream| serve::connection(serving.clone(), tls.clone(), stream));
        tokio::spawn(door::attend(listener, addr, door, serve));
    }
    Ok(Running { addr, control, browser: options.browser, authority: options.authority, state })
}

impl Running {
    /// The endpoint of a subscription: `https://127.0.0.1:PORT/send/ID`.
    pub fn endpoint(&self, subscription: &str) -> String {
        format!("{}/send/{subscription}", self.state.origin)
    }

    /// Certificate of the authority to trust.
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// Changes how everybody is treated.
    pub fn set_mode(&self, mode: Mode) {
        self.state.set_mode(mode);
    }

    /// Answers one subscription differently; `None` takes that back.
    pub fn answer(&self, subscription: &str, answer: Option<Answer>) {
        self.state.script.change(|script| {
            match answer {
                Some(answer) => script.answers.insert(subscription.to_owned(), answer),
                None => script.answers.remove(subscription),
            };
        });
    }

    /// Binds every subscription to another key from now on.
    pub fn set_key(&self, key: Option<String>) {
        self.state.checks.send_modify(|checks| Arc::make_mut(checks).key = key);
    }

    /// Takes tokens that name the service by this origin too: the end of a cable that leads here.
    pub fn known_as(&self, origin: &str) {
        self.state.checks.send_modify(|checks| Arc::make_mut(checks).origins.push(origin.to_owned()));
    }

    /// Sets the fake's clock ahead (or back) of the machine's, for the end of tokens.
    pub fn shift_clock(&self, seconds: i64) {
        self.state.clock_shift_seconds.store(seconds, Ordering::Relaxed);
    }

    /// Counters so far.
    pub fn stats(&self) -> Stats {
        self.state.count()
    }

    /// The last `limit` requests, oldest first.
    pub fn arrivals(&self, limit: usize) -> Vec<Arrival> {
        self.state.recent.last(limit)
    }

    /// How often a subscription was accepted.
    pub fn reached(&self, subscription: &str) -> u64 {
        self.state.tally.lock().of(subscription)
    }

    /// Forgets what arrived.
    pub fn clear(&self) {
        self.state.clear();
    }

    /// Stops listening and cuts every connection.
    pub fn stop(self) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        self.state.door.send_replace(Door::Gone);
    }
}

impl State {
    fn set_mode(&self, mode: Mode) {
        let door = if mode == Mode::Closed { Door::Shut } else { Door::Open };
        self.script.change(|script| script.mode = mode);
        self.door.send_if_modified(|d| *d != door && std::mem::replace(d, door) != door);
    }

    fn count(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (c, tally) = (&self.counters, self.tally.lock());
        Stats {
            connections: get(&c.connections),
            requests: get(&c.requests),
            accepted: get(&c.accepted),
            refused: get(&c.refused),
            distinct: tally.distinct(),
            repeats: tally.repeats(),
            first_micros: get(&c.first_micros),
            last_micros: get(&c.last_micros),
        }
    }
}

impl Page for State {
    fn title(&self) -> &'static str {
        "This is a fake push service. No browser gets what it accepts."
    }

    fn log(&self, limit: usize) -> Value {
        let mut arrivals = self.recent.last(limit);
        for arrival in &mut arrivals {
            arrival.headers.remove("authorization");
        }
        json!({"fake": self.title(), "items": arrivals})
    }

    fn stats(&self) -> Value {
        let mut stats = serde_json::to_value(self.count()).unwrap_or_default();
        stats["mode"] = serde_json::to_value(&self.script.now().mode).unwrap_or_default();
        stats
    }

    fn change(&self, mut wanted: Value) -> Result<(), String> {
        let object = wanted.as_object_mut().ok_or("the body is not a JSON object such as {\"mode\": \"ok\"}")?;
        if let Some(answers) = object.remove("answers") {
            let answers: HashMap<String, Answer> = serde_json::from_value(answers).map_err(|e| format!("answers: {e}"))?;
            self.script.change(|script| script.answers = answers);
        }
        if let Some(text) = object.remove("text") {
            self.checks.send_modify(|checks| Arc::make_mut(checks).text = text.as_str().map(str::to_owned));
        }
        if !object.is_empty() {
            self.set_mode(serde_json::from_value(wanted).map_err(|e| e.to_string())?);
        }
        Ok(())
    }

    fn clear(&self) {
        self.recent.clear();
        *self.tally.lock() = Tally::new(self.tally_cells);
        let c = &self.counters;
        for counter in [&c.connections, &c.requests, &c.accepted, &c.refused, &c.first_micros, &c.last_micros] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
