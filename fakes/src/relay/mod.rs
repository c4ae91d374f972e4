//! A fake mail relay: it speaks SMTP submission and delivers nothing.
//!
//! In clear, with STARTTLS or with TLS from the first byte; with or without AUTH; with PIPELINING (RFC 2920), SIZE,
//! 8BITMIME and enhanced status codes (RFC 2034). It keeps the last mails and answers single recipients as told.

mod session;

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
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// When TLS begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    #[default]
    None,
    /// After the STARTTLS command (RFC 3207); without it no mail is taken.
    Starttls,
    /// With the first byte (RFC 8314).
    Implicit,
}

/// How the fake is started.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the control page listens, if there is one.
    pub control: Option<SocketAddr>,
    /// When TLS begins.
    pub tls: Tls,
    /// Authority of the certificate; one is made when TLS is wanted and none is given.
    pub authority: Option<Arc<Authority>>,
    /// User name and password without which no mail is taken.
    pub login: Option<(String, String)>,
    /// Offer AUTH LOGIN only, not PLAIN.
    pub login_only: bool,
    /// Announce PIPELINING.
    pub pipelining: bool,
    /// Announced SIZE in bytes.
    pub size: u64,
    /// How many mails are kept; 0 keeps none.
    pub record: usize,
    /// How many recipients can be told apart when counting.
    pub tally_cells: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            control: None,
            tls: Tls::None,
            authority: None,
            login: None,
            login_only: false,
            pipelining: true,
            size: 10 << 20,
            record: 1000,
            tally_cells: 1 << 18,
        }
    }
}

/// A mail that was taken.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// Microseconds of Unix time.
    pub at_micros: u64,
    /// Envelope sender, without brackets.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Header and body with CRLF line ends, dots taken out again.
    pub content: String,
    /// It came over TLS.
    pub tls: bool,
}

/// Counters since the start or the last clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Connections that were opened.
    pub connections: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Mails that were taken.
    pub accepted: u64,
    /// Recipients that were refused.
    pub refused: u64,
    /// Different recipients among the taken mails.
    pub distinct: u64,
    /// Mails beyond the first of each recipient.
    pub repeats: u64,
}

#[derive(Default)]
struct Counters {
    connections: AtomicU64,
    logins: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
}

pub(crate) struct State {
    options: Options,
    /// Name and password that hold instead of those of the options.
    login: Mutex<Option<(String, String)>>,
    acceptor: Option<TlsAcceptor>,
    script: Prompter<String>,
    door: watch::Sender<Door>,
    pace: Pace,
    tally: Mutex<Tally>,
    recent: Recent<Received>,
    counters: Counters,
}

/// A running fake. It stops when this is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where its control page listens.
    pub control: Option<SocketAddr>,
    state: Arc<State>,
}

/// Starts a fake on the current runtime.
///
/// # Errors
/// When an address is not a loopback address or is in use.
pub async fn start(mut options: Options) -> io::Result<Running> {
    let (listener, addr) = door::bind(options.listen).await?;
    if options.tls != Tls::None && options.authority.is_none() {
        options.authority = Some(Arc::new(Authority::generate()?));
    }
    let acceptor = match (&options.authority, options.tls) {
        (Some(authority), Tls::Starttls | Tls::Implicit) => Some(TlsAcceptor::from(authority.server_config(&[])?)),
        (None, _) | (_, Tls::None) => None,
    };
    let state = Arc::new(State {
        login: Mutex::default(),
        acceptor,
        script: Prompter::new(Script::default()),
        door: watch::Sender::new(Door::Open),
        pace: Pace::default(),
        tally: Mutex::new(Tally::new(options.tally_cells)),
        recent: Recent::new(options.record),
        counters: Counters::default(),
        options,
    });
    let control = match state.options.control {
        Some(addr) => Some(control::open(addr, state.clone(), state.door.subscribe()).await?),
        None => None,
    };
    let serving = state.clone();
    let serve = Arc::new(move |stream| session::connection(serving.clone(), stream));
    tokio::spawn(door::attend(listener, addr, state.door.subscribe(), serve));
    Ok(Running { addr, control, state })
}

impl Running {
    /// Certificate of the authority to trust, when there is TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.state.options.authority.as_ref().map(|a| a.pem())
    }

    /// Changes how everybody is treated.
    pub fn set_mode(&self, mode: Mode) {
        self.state.set_mode(mode);
    }

    /// Takes this name and password from now on, and no others.
    pub fn set_login(&self, name: &str, password: &str) {
        *self.state.login.lock() = Some((name.to_owned(), password.to_owned()));
    }

    /// Answers RCPT for one recipient with `reply` (such as `550 5.1.1 no such user`); `None` takes that back.
    pub fn answer(&self, recipient: &str, reply: Option<&str>) {
        self.state.script.change(|script| {
            match reply {
                Some(reply) => script.answers.insert(recipient.to_owned(), reply.to_owned()),
                None => script.answers.remove(recipient),
            };
        });
    }

    /// Counters so far.
    pub fn stats(&self) -> Stats {
        self.state.count()
    }

    /// The last `limit` mails, oldest first.
    pub fn mails(&self, limit: usize) -> Vec<Received> {
        self.state.recent.last(limit)
    }

    /// How many mails `recipient` was sent.
    pub fn reached(&self, recipient: &str) -> u64 {
        self.state.tally.lock().of(recipient)
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
            logins: get(&c.logins),
            accepted: get(&c.accepted),
            refused: get(&c.refused),
            distinct: tally.distinct(),
            repeats: tally.repeats(),
        }
    }
}

impl Page for State {
    fn title(&self) -> &'static str {
        "This is a fake mail relay. Nothing that it accepts reaches a mailbox."
    }

    fn log(&self, limit: usize) -> Value {
        json!({"fake": self.title(), "items": self.recent.last(limit)})
    }

    fn stats(&self) -> Value {
        let mut stats = serde_json::to_value(self.count()).unwrap_or_default();
        stats["mode"] = serde_json::to_value(&self.script.now().mode).unwrap_or_default();
        stats
    }

    fn change(&self, mut wanted: Value) -> Result<(), String> {
        let object = wanted.as_object_mut().ok_or("the body is not a JSON object such as {\"mode\": \"ok\"}")?;
        if let Some(answers) = object.remove("answers") {
            let answers: HashMap<String, String> = serde_json::from_value(answers).map_err(|e| format!("answers: {e}"))?;
            self.script.change(|script| script.answers = answers);
        }
        if !object.is_empty() {
            self.set_mode(serde_json::from_value(wanted).map_err(|e| e.to_string())?);
        }
        Ok(())
    }

    fn clear(&self) {
        self.recent.clear();
        *self.tally.lock() = Tally::new(self.options.tally_cells);
        let c = &self.counters;
        for counter in [&c.connections, &c.logins, &c.accepted, &c.refused] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
