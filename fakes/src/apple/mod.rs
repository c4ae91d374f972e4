//! A fake of Apple's push service: it speaks the provider API over HTTP/2 and tells no device anything.
//!
//! It checks method, path, provider token (signature, key, team, age), device token, topic, every `apns-` header and
//! the payload, echoes `apns-id`, and answers in Apple's statuses and reasons.

mod key;
mod rules;
mod serve;

pub use key::Key;
pub use rules::Answer;

use crate::authority::Authority;
use crate::control::{self, Page};
use crate::door::{self, Door};
use crate::pace::Pace;
use crate::recent::Recent;
use crate::script::{Mode, Prompter, Script};
use crate::tally::Tally;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// How the fake is started.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the control page listens, if there is one.
    pub control: Option<SocketAddr>,
    /// TLS with a certificate of this authority; without one, clear HTTP/2 with prior knowledge.
    pub tls: Option<Arc<Authority>>,
    /// SETTINGS_MAX_CONCURRENT_STREAMS of each connection.
    pub streams: u32,
    /// Only this key's provider tokens are taken; without one, any.
    pub key: Option<Key>,
    /// Only these topics are taken; when empty, any.
    pub topics: Vec<String>,
    /// Every payload must hold this text.
    pub text: Option<String>,
    /// How many requests the log keeps; 0 keeps none.
    pub record: usize,
    /// How many device tokens can be told apart when counting.
    pub tally_cells: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            control: None,
            tls: None,
            streams: 1000,
            key: None,
            topics: Vec::new(),
            text: None,
            record: 1000,
            tally_cells: 1 << 21,
        }
    }
}

/// What is required of every request.
#[derive(Clone)]
pub(crate) struct Checks {
    key: Option<Key>,
    topics: Vec<String>,
    text: Option<String>,
}

/// One request that arrived.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// Microseconds of Unix time.
    pub at_micros: u64,
    /// Device token.
    pub token: String,
    /// Every `apns-` header by its name, and the whole `authorization` header in tests; the control page omits that one.
    pub headers: HashMap<String, String>,
    /// Payload as it came.
    pub payload: String,
    /// Status of the answer; 0 while it is held back for ever.
    pub status: u16,
    /// Reason of the answer.
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
    /// Answered 200.
    pub accepted: u64,
    /// Answered otherwise.
    pub refused: u64,
    /// Different device tokens among the accepted.
    pub distinct: u64,
    /// Acceptances beyond the first of each token.
    pub repeats: u64,
    /// The most acceptances of one token.
    pub most: u64,
    /// Refused because the payload lacked the expected text.
    pub wrong_text: u64,
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
    wrong_text: AtomicU64,
    first_micros: AtomicU64,
    last_micros: AtomicU64,
}

pub(crate) struct State {
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
}

/// A running fake. It stops when this is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where its control page listens.
    pub control: Option<SocketAddr>,
    authority: Option<Arc<Authority>>,
    state: Arc<State>,
}

/// Starts a fake on the current runtime.
///
/// # Errors
/// When an address is not a loopback address or is in use.
pub async fn start(options: Options) -> io::Result<Running> {
    let (listener, addr) = door::bind(options.listen).await?;
    let tls = options.tls.as_ref().map(|authority| authority.server_config(&[b"h2"])).transpose()?.map(TlsAcceptor::from);
    let state = Arc::new(State {
        checks: watch::Sender::new(Arc::new(Checks { key: options.key, topics: options.topics, text: options.text })),
        script: Prompter::new(Script::default()),
        door: watch::Sender::new(Door::Open),
        pace: Pace::default(),
        tally: Mutex::new(Tally::new(options.tally_cells)),
        tally_cells: options.tally_cells,
        recent: Recent::new(options.record),
        counters: Counters::default(),
        clock_shift_seconds: AtomicI64::new(0),
        streams: options.streams,
    });
    let control = match options.control {
        Some(addr) => Some(control::open(addr, state.clone(), state.door.subscribe()).await?),
        None => None,
    };
    let serving = state.clone();
    let serve = Arc::new(move |stream| serve::connection(serving.clone(), tls.clone(), stream));
    tokio::spawn(door::attend(listener, addr, state.door.subscribe(), serve));
    Ok(Running { addr, control, authority: options.tls, state })
}

impl Running {
    /// The endpoint to configure: `https://127.0.0.1:PORT`, or `http://` without TLS.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.authority.is_some() { "https" } else { "http" }, self.addr)
    }

    /// Certificate of the authority to trust, when there is TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.authority.as_ref().map(|a| a.pem())
    }

    /// Changes how everybody is treated.
    pub fn set_mode(&self, mode: Mode) {
        self.state.set_mode(mode);
    }

    /// Answers one device token differently; `None` takes that back.
    pub fn answer(&self, token: &str, answer: Option<Answer>) {
        self.state.script.change(|script| {
            match answer {
                Some(answer) => script.answers.insert(token.to_owned(), answer),
                None => script.answers.remove(token),
            };
        });
    }

    /// Trusts another key from now on.
    pub fn set_key(&self, key: Option<Key>) {
        self.state.checks.send_modify(|checks| Arc::make_mut(checks).key = key);
    }

    /// Sets the fake's clock ahead (or back) of the machine's, for the age of provider tokens.
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

    /// How often `token` was accepted.
    pub fn reached(&self, token: &str) -> u64 {
        self.state.tally.lock().of(token)
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
            most: tally.most(),
            wrong_text: get(&c.wrong_text),
            first_micros: get(&c.first_micros),
            last_micros: get(&c.last_micros),
        }
    }
}

impl Page for State {
    fn title(&self) -> &'static str {
        "This is a fake of Apple's push service. Nothing that it accepts reaches a device."
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
        for counter in [&c.connections, &c.requests, &c.accepted, &c.refused, &c.wrong_text, &c.first_micros, &c.last_micros] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
