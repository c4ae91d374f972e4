//! What the fakes of HTTP providers have in common: they listen (HTTP/2, or HTTP/1.1 for those who speak it), misbehave
//! when they are told to, count and keep what arrived, and show it on a control page. What a provider checks and how it
//! answers is its own: an [`Original`].

use crate::authority::Authority;
use crate::control::{self, Page};
use crate::door::{self, Door};
use crate::noise::Noisy;
use crate::pace::Pace;
use crate::recent::Recent;
use crate::script::{Mode, PAGE, Prompter, Script};
use crate::tally::Tally;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// Most bytes of a request that are read; the originals refuse far less.
const MOST_BODY_BYTES: usize = 64 << 10;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How a fake is started.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the control page listens, if there is one.
    pub control: Option<SocketAddr>,
    /// TLS with a certificate of this authority; without one, in clear.
    pub tls: Option<Arc<Authority>>,
    /// Concurrent streams of an HTTP/2 connection.
    pub streams: u32,
    /// Every payload must hold this text.
    pub text: Option<String>,
    /// How many requests the log keeps; 0 keeps none.
    pub record: usize,
    /// How many addresses can be told apart when counting.
    pub tally_cells: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            control: None,
            tls: None,
            streams: 1000,
            text: None,
            record: 1000,
            tally_cells: 1 << 16,
        }
    }
}

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// Status of the response.
    pub status: u16,
    /// The provider's word; empty when it was accepted.
    #[serde(default)]
    pub reason: String,
    /// What the word is about, where the provider says that: a field, a device's state.
    #[serde(default)]
    pub about: String,
    /// When to come back, in seconds, in the provider's own header for it.
    #[serde(default)]
    pub retry_after_seconds: Option<u64>,
}

impl Answer {
    /// 200 without a word.
    pub fn accepted() -> Answer {
        Answer::refused(200, "")
    }

    /// A refusal with a status and a word.
    pub fn refused(status: u16, reason: &str) -> Answer {
        Answer { status, reason: reason.to_owned(), about: String::new(), retry_after_seconds: None }
    }

    /// The same about something.
    #[must_use]
    pub fn about(self, what: &str) -> Answer {
        Answer { about: what.to_owned(), ..self }
    }

    /// The same with a time to come back.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Answer {
        Answer { retry_after_seconds: Some(seconds), ..self }
    }
}

/// One request that arrived.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// Microseconds of Unix time.
    pub at_micros: u64,
    /// Whom it was for: registration token or channel URL.
    pub address: String,
    /// Every header by its name; the control page omits `authorization`.
    pub headers: HashMap<String, String>,
    /// Payload as it came.
    pub payload: String,
    /// Status of the answer; 0 while it is held back for ever.
    pub status: u16,
    /// Word of the answer.
    pub reason: String,
}

/// Counters since the start or the last clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Connections on which a push came.
    pub connections: u64,
    /// Pushes that arrived whole.
    pub requests: u64,
    /// Pushes that were taken.
    pub accepted: u64,
    /// Pushes that were not.
    pub refused: u64,
    /// Requests for an access token.
    pub tokens: u64,
    /// Different addresses among the accepted.
    pub distinct: u64,
    /// Acceptances beyond the first of each address.
    pub repeats: u64,
    /// Refused because the payload lacked the expected text.
    pub wrong_text: u64,
}

/// What a provider checks, and how it answers.
pub(crate) trait Original: Send + Sync + 'static {
    /// What this is, in one sentence.
    const TITLE: &'static str;
    /// What a connection offers to speak.
    const ALPN: &'static [&'static [u8]];

    /// The answer to a request for an access token, if it is one.
    fn token(&self, head: &Parts, body: &[u8]) -> Option<Response<Full<Bytes>>>;
    /// Whom a push is for.
    fn address(&self, head: &Parts, body: &[u8]) -> String;
    /// What the provider has against a push, or that it takes it.
    fn examine(&self, head: &Parts, body: &[u8]) -> Answer;
    /// Its refusal of too many.
    fn too_many(&self) -> Answer;
    /// Its refusal of a payload without the expected text.
    fn wrong_text(&self) -> Answer;
    /// Whether an answer means that it takes a push.
    fn takes(&self, answer: &Answer) -> bool;
    /// An answer in its form.
    fn respond(&self, answer: &Answer) -> Response<Full<Bytes>>;
}

#[derive(Default)]
struct Counters {
    connections: AtomicU64,
    requests: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    tokens: AtomicU64,
    wrong_text: AtomicU64,
}

struct State<O> {
    original: Arc<O>,
    script: Prompter<Answer>,
    door: watch::Sender<Door>,
    pace: Pace,
    tally: Mutex<Tally>,
    tally_cells: usize,
    recent: Recent<Arrival>,
    counters: Counters,
    text: Mutex<Option<String>>,
    streams: u32,
    clock_shift_seconds: AtomicI64,
}

/// A running fake. It stops when this is dropped.
pub(crate) struct Imitation<O> {
    pub(crate) addr: SocketAddr,
    pub(crate) control: Option<SocketAddr>,
    authority: Option<Arc<Authority>>,
    state: Arc<State<O>>,
}

/// Starts a fake on the current runtime.
pub(crate) async fn start<O: Original>(options: Options, original: O) -> io::Result<Imitation<O>> {
    let (listener, addr) = door::bind(options.listen).await?;
    let tls = options.tls.as_ref().map(|authority| authority.server_config(O::ALPN)).transpose()?.map(TlsAcceptor::from);
    let state = Arc::new(State {
        original: Arc::new(original),
        script: Prompter::new(Script::default()),
        door: watch::Sender::new(Door::Open),
        pace: Pace::default(),
        tally: Mutex::new(Tally::new(options.tally_cells)),
        tally_cells: options.tally_cells,
        recent: Recent::new(options.record),
        counters: Counters::default(),
        text: Mutex::new(options.text),
        streams: options.streams,
        clock_shift_seconds: AtomicI64::new(0),
    });
    let control = match options.control {
        Some(addr) => Some(control::open(addr, state.clone(), state.door.subscribe()).await?),
        None => None,
    };
    let serving = state.clone();
    let serve = Arc::new(move |stream| connection(serving.clone(), tls.clone(), stream));
    tokio::spawn(door::attend(listener, addr, state.door.subscribe(), serve));
    Ok(Imitation { addr, control, authority: options.tls, state })
}

impl<O: Original> Imitation<O> {
    pub(crate) fn endpoint(&self) -> String {
        format!("{}://{}", if self.authority.is_some() { "https" } else { "http" }, self.addr)
    }

    pub(crate) fn ca_pem(&self) -> Option<&str> {
        self.authority.as_ref().map(|a| a.pem())
    }

    pub(crate) fn original(&self) -> &O {
        &self.state.original
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.state.set_mode(mode);
    }

    pub(crate) fn answer(&self, address: &str, answer: Option<Answer>) {
        self.state.script.change(|script| {
            match answer {
                Some(answer) => script.answers.insert(address.to_owned(), answer),
                None => script.answers.remove(address),
            };
        });
    }

    pub(crate) fn shift_clock(&self, seconds: i64) {
        self.state.clock_shift_seconds.store(seconds, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        self.state.count()
    }

    pub(crate) fn arrivals(&self, limit: usize) -> Vec<Arrival> {
        self.state.recent.last(limit)
    }

    pub(crate) fn reached(&self, address: &str) -> u64 {
        self.state.tally.lock().of(address)
    }

    pub(crate) fn clear(&self) {
        self.state.clear();
    }
}

impl<O> Drop for Imitation<O> {
    fn drop(&mut self) {
        self.state.door.send_replace(Door::Gone);
    }
}

/// How a connection ends before its time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Not at all.
    None,
    /// It finishes what is under way (GOAWAY, or `Connection: close`).
    Graceful,
    /// It is cut.
    Cut,
}

/// One connection as its requests see it.
struct Wire {
    taken: AtomicU64,
    ending: watch::Sender<Ending>,
}

async fn connection<O: Original>(state: Arc<State<O>>, tls: Option<TlsAcceptor>, stream: TcpStream) {
    match tls {
        None => serve(state, stream).await,
        Some(acceptor) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                serve(state, stream).await;
            }
        }
    }
}

async fn serve<O: Original, T>(state: Arc<State<O>>, io: T)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let wire = Arc::new(Wire { taken: AtomicU64::new(0), ending: watch::Sender::new(Ending::None) });
    let mut ending = wire.ending.subscribe();
    let noise = state.script.noise();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(state.streams).initial_connection_window_size(16 << 20);
    let service = service_fn(move |request| push(state.clone(), wire.clone(), request));
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(Noisy::new(io, noise)), service));
    loop {
        tokio::select! {
            _ = serving.as_mut() => return,
            Ok(()) = ending.changed() => match *ending.borrow_and_update() {
                Ending::None => {}
                Ending::Graceful => serving.as_mut().graceful_shutdown(),
                Ending::Cut => return,
            },
        }
    }
}

async fn push<O: Original>(state: Arc<State<O>>, wire: Arc<Wire>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let script = state.script.now();
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MOST_BODY_BYTES).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    if let Some(answer) = state.original.token(&head, &body) {
        state.counters.tokens.fetch_add(1, Ordering::Relaxed);
        return Ok(state.dated(answer));
    }
    let nth = wire.taken.fetch_add(1, Ordering::Relaxed) + 1;
    if nth == 1 {
        state.counters.connections.fetch_add(1, Ordering::Relaxed);
    }
    if script.mode == Mode::Reset {
        wire.ending.send_replace(Ending::Cut);
        return std::future::pending().await;
    }
    if let Some(status) = script.mode.page() {
        let mut page = Response::new(Full::from(PAGE));
        *page.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_GATEWAY);
        page.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/html"));
        state.counters.refused.fetch_add(1, Ordering::Relaxed);
        return Ok(state.dated(page));
    }
    let address = state.original.address(&head, &body);
    let answer = state.answer(&script, &address, &head, &body);
    state.note(&script.mode, &address, &head, &body, &answer);
    match script.mode {
        Mode::Stall => return std::future::pending().await,
        Mode::Goaway { after, abrupt } => {
            if nth >= after {
                wire.ending.send_replace(if abrupt { Ending::Cut } else { Ending::Graceful });
            }
            if abrupt {
                return std::future::pending().await;
            }
        }
        Mode::Slow { .. } => tokio::time::sleep(script.mode.latency()).await,
        Mode::Rate { per_second } => tokio::time::sleep_until(state.pace.turn(per_second, Instant::now()).into()).await,
        Mode::Ok | Mode::Limit { .. } | Mode::Refuse { .. } | Mode::Reset | Mode::Noise | Mode::Babble { .. } | Mode::Closed => {}
    }
    Ok(state.dated(state.original.respond(&answer)))
}

impl<O: Original> State<O> {
    /// With the time by a shifted clock; by a right one the server itself writes it.
    fn dated(&self, mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        let shift = self.clock_shift_seconds.load(Ordering::Relaxed);
        if shift != 0 {
            let seconds = i64::try_from(crate::unix_micros() / 1_000_000).unwrap_or(0).saturating_add(shift);
            let time = jiff::Timestamp::from_second(seconds).expect("a time of ours, shifted a little");
            let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).expect("a year of four digits");
            response.headers_mut().insert(http::header::DATE, date.parse().expect("a date is visible ASCII"));
        }
        response
    }

    fn answer(&self, script: &Script<Answer>, address: &str, head: &Parts, body: &[u8]) -> Answer {
        if let Some(answer) = script.answers.get(address) {
            return answer.clone();
        }
        match &script.mode {
            Mode::Refuse { status, reason, retry_after_seconds } => {
                return Answer { retry_after_seconds: *retry_after_seconds, ..Answer::refused(*status, reason) };
            }
            Mode::Limit { per_second, retry_after_seconds } if !self.pace.fits(*per_second, Instant::now()) => {
                return Answer { retry_after_seconds: *retry_after_seconds, ..self.original.too_many() };
            }
            Mode::Limit { .. } | Mode::Ok | Mode::Slow { .. } | Mode::Rate { .. } => {}
            Mode::Reset | Mode::Goaway { .. } | Mode::Stall | Mode::Noise | Mode::Babble { .. } | Mode::Closed => {}
        }
        let answer = self.original.examine(head, body);
        let wanted = self.text.lock();
        let lacks = |text: &String| !body.windows(text.len().max(1)).any(|window| window == text.as_bytes());
        if self.original.takes(&answer) && wanted.as_ref().is_some_and(lacks) {
            self.counters.wrong_text.fetch_add(1, Ordering::Relaxed);
            return self.original.wrong_text();
        }
        answer
    }

    /// Counts and logs a whole push.
    fn note(&self, mode: &Mode, address: &str, head: &Parts, body: &[u8], answer: &Answer) {
        let stall = mode.is_mute();
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        if self.original.takes(answer) && !stall {
            self.counters.accepted.fetch_add(1, Ordering::Relaxed);
            self.tally.lock().count(address);
        } else if !stall {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.recent.keep(|| Arrival {
            at_micros: crate::unix_micros(),
            address: address.to_owned(),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
            payload: String::from_utf8_lossy(body).into_owned(),
            status: if stall { 0 } else { answer.status },
            reason: answer.reason.clone(),
        });
    }

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
            tokens: get(&c.tokens),
            distinct: tally.distinct(),
            repeats: tally.repeats(),
            wrong_text: get(&c.wrong_text),
        }
    }
}

impl<O: Original> Page for State<O> {
    fn title(&self) -> &'static str {
        O::TITLE
    }

    fn log(&self, limit: usize) -> Value {
        let mut arrivals = self.recent.last(limit);
        for arrival in &mut arrivals {
            arrival.headers.remove("authorization");
        }
        json!({"fake": O::TITLE, "items": arrivals})
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
            *self.text.lock() = text.as_str().map(str::to_owned);
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
        for counter in [&c.connections, &c.requests, &c.accepted, &c.refused, &c.tokens, &c.wrong_text] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
