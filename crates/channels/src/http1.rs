//! HTTP/1.1 for what speaks nothing newer: token endpoints, and the Windows push service, whose web interface is
//! documented as "HTTP 1.1, no chunking, no pipelining". A few connections, kept open, one request at a time on each.
//!
//! Who is here: a [`Site`] (whereto), a [`Connections`] with an urgent and a bulk lane, a [`Room`] for one request. Like
//! the HTTP/2 pool it reports a lost request and never repeats it.

use crate::dial::dial;
use crate::guard::Guard;
use crate::http2::Answer;
use crate::probing::{self, Place, Steps};
use crate::setup::{ChannelSetupError, is_loopback};
use crate::tls::{self, Names, Tls};
use bytes::{Bytes, BytesMut};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use model::channel::{Finding, Lane};
use model::outcome::Cause;
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Most bytes of an answer's body that are kept; access tokens take a few thousand.
const MOST_ANSWER_BYTES: usize = 64 << 10;
/// An idle connection is not used again after this: the other side may be about to close it.
const IDLE: Duration = Duration::from_secs(50);
/// How long a connection may take to be ready again after a whole answer; one that was cut short never is.
const SETTLE: Duration = Duration::from_millis(50);
/// First pause after a failed connection; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause after a failed connection.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where to: a host, and how to reach it.
pub(crate) struct Site {
    host: String,
    port: u16,
    /// `Host` header of every request.
    authority: HeaderValue,
    tls: Option<Tls>,
    /// Set where users name the host.
    guard: Option<Guard>,
}

impl Site {
    /// A host that a user named, by HTTPS, reached through a guard.
    pub(crate) fn guarded(authority: &Authority, tls: Tls, guard: Guard) -> Site {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let named = HeaderValue::from_str(authority.as_str()).expect("the host and port of a URL are a header value");
        Site { port: authority.port_u16().unwrap_or(443), host, authority: named, tls: Some(tls), guard: Some(guard) }
    }

    async fn dial(&self) -> Result<TcpStream, Cause> {
        match &self.guard {
            Some(guard) => guard.dial(&self.host, self.port).await,
            None => dial(&self.host, self.port).await,
        }
    }

    /// Reads a URL into a site and the path (with query) there. `http://` is for this machine only. `names` says which
    /// settings to blame.
    pub(crate) fn parse(url: &str, ca_pem: Option<&str>, names: &Names) -> Result<(Site, String), ChannelSetupError> {
        // The URL is not repeated here: a channel URL is a capability, and a wrong one may be anything.
        let wrong = |rule: &str| ChannelSetupError::new(names.host, rule, "write https://HOST/PATH");
        let uri: Uri = url.trim().parse().map_err(|_| wrong("is not a URL"))?;
        let authority: Authority = uri.authority().cloned().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("holds more than a host"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let (tls, usual) = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => (Some(tls::connector(&host, ca_pem, &[b"http/1.1"], names)?), 443),
            Some(scheme) if *scheme == Scheme::HTTP && is_loopback(&host) => (None, 80),
            Some(scheme) if *scheme == Scheme::HTTP => {
                return Err(wrong("would send credentials in clear over a network; http:// is for 127.0.0.1, [::1] and localhost"));
            }
            Some(_) | None => return Err(wrong("has no https://")),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let named = HeaderValue::from_str(authority.as_str()).map_err(|_| wrong("is not a URL"))?;
        Ok((Site { port: authority.port_u16().unwrap_or(usual), host, authority: named, tls, guard: None }, path))
    }

    /// Another host that is reached in the same way: with the same certificates, at the usual port.
    pub(crate) fn beside(&self, host: &str) -> Option<Site> {
        let name = ServerName::try_from(host.to_owned()).ok()?;
        let tls = self.tls.as_ref().map(|tls| Tls { connector: tls.connector.clone(), name });
        let port = if tls.is_some() { 443 } else { self.port };
        Some(Site { host: host.to_owned(), port, authority: HeaderValue::from_str(host).ok()?, tls, guard: None })
    }

    /// Opens a connection only to see how far it gets.
    pub(crate) async fn reach(&self, steps: Steps, findings: &mut Vec<Finding>) -> bool {
        let place = Place { host: &self.host, port: self.port, tls: self.tls.as_ref(), http2: false };
        probing::reach(place, self.dial(), steps, findings).await
    }

    /// The host, without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Opens a connection, lets it run in a task of its own, asks once, and closes it.
    pub(crate) async fn ask(&self, request: Request<()>, body: Bytes, within: Duration) -> Result<Answer, Cause> {
        let asking = async {
            let mut line = Line::open(self).await?;
            line.exchange(self.complete(request, body)).await
        };
        tokio::time::timeout(within, asking).await.unwrap_or_else(|_| Err(Cause::of_channel("timed_out", 0)))
    }

    fn complete(&self, request: Request<()>, body: Bytes) -> Request<Full<Bytes>> {
        let (mut head, ()) = request.into_parts();
        head.headers.insert(header::HOST, self.authority.clone());
        Request::from_parts(head, Full::new(body))
    }
}

/// One connection. Dropping it closes it.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

impl Line {
    async fn open(site: &Site) -> Result<Line, Cause> {
        let tcp = site.dial().await?;
        let Some(tls) = &site.tls else { return Line::begin(tcp).await };
        let stream = tls.connector.connect(tls.name.clone(), tcp).await.map_err(|error| {
            tracing::debug!(provider = site.host, %error, "TLS failed");
            Cause::of_channel("tls_failed", 0)
        })?;
        Line::begin(stream).await
    }

    async fn begin<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(io: T) -> Result<Line, Cause> {
        let (sender, connection) = handshake(TokioIo::new(io)).await.map_err(|_| Cause::of_channel("handshake_failed", 0))?;
        // Ends when the sender is dropped or the other side closes; whoever waits for an answer is told of its error.
        tokio::spawn(connection);
        Ok(Line { sender, since: Instant::now() })
    }

    fn is_usable(&self) -> bool {
        !self.sender.is_closed() && self.sender.is_ready() && self.since.elapsed() < IDLE
    }

    /// The request is queued before this returns.
    fn exchange(&mut self, request: Request<Full<Bytes>>) -> impl Future<Output = Result<Answer, Cause>> + Send + 'static + use<> {
        let sent = self.sender.send_request(request);
        self.since = Instant::now();
        async move {
            let lost = |_: hyper::Error| Cause::of("connection_lost", 0);
            let (head, mut body) = sent.await.map_err(lost)?.into_parts();
            let mut kept = BytesMut::new();
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame.map_err(lost)?.into_data() {
                    kept.extend_from_slice(&data);
                }
                if kept.len() > MOST_ANSWER_BYTES {
                    kept.truncate(MOST_ANSWER_BYTES);
                    break;
                }
            }
            Ok(Answer { status: head.status, headers: head.headers, body: kept.freeze() })
        }
    }
}

/// Connections to one site, in two lanes.
pub(crate) struct Connections {
    site: Site,
    /// How long a connection may take to become ready.
    connect: Duration,
    urgent: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Line>,
    failure: Option<Failure>,
}

struct Failure {
    cause: Cause,
    until: Instant,
    in_a_row: u32,
}

impl Connections {
    /// At most `lines` connections for campaigns, and as many at most for urgent notifications; none is opened yet.
    pub(crate) fn new(site: Site, lines: usize, connect: Duration) -> Arc<Connections> {
        let (urgent, bulk) = (Arc::new(Semaphore::new(lines.max(1))), Arc::new(Semaphore::new(lines.max(1))));
        Arc::new(Connections { site, connect, urgent, bulk, state: Mutex::default() })
    }

    /// Whereto.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Room that is there without waiting: a connection of the lane that is open and idle.
    pub(crate) fn room_now(self: &Arc<Self>, lane: Lane) -> Option<Room> {
        let permit = self.lane(lane).clone().try_acquire_owned().ok()?;
        let line = self.idle()?;
        Some(Room { connections: self.clone(), line: Some(line), _permit: permit })
    }

    /// Waits for a ready connection of this lane.
    ///
    /// # Errors
    /// Why there can be no connection now. After a failure this answers at once for a short while (0.1 s, doubling up
    /// to 5 s) before a connection is tried again.
    pub(crate) async fn room(self: &Arc<Self>, lane: Lane) -> Result<Room, Cause> {
        let permit = self.lane(lane).clone().acquire_owned().await.expect("the semaphore is never closed");
        let line = match self.idle() {
            Some(line) => line,
            None => self.fresh().await?,
        };
        Ok(Room { connections: self.clone(), line: Some(line), _permit: permit })
    }

    /// Waits for a ready connection of this lane, but not for longer than `within`: then it is still opened, and is there
    /// for whoever comes next.
    pub(crate) async fn room_within(self: &Arc<Self>, lane: Lane, within: Duration) -> Result<Room, Cause> {
        let (ready, waiting) = oneshot::channel();
        let connections = self.clone();
        // A room that nobody takes is given back by being dropped.
        tokio::spawn(async move { drop(ready.send(connections.room(lane).await)) });
        match tokio::time::timeout(within, waiting).await {
            Ok(Ok(room)) => room,
            Ok(Err(_)) => Err(Cause::of_channel("connection_lost", 0)),
            Err(_) => Err(Cause::of("connecting", 0)),
        }
    }

    fn lane(&self, lane: Lane) -> &Arc<Semaphore> {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Bulk => &self.bulk,
        }
    }

    fn idle(&self) -> Option<Line> {
        let mut state = self.state.lock();
        while let Some(line) = state.idle.pop() {
            if line.is_usable() {
                return Some(line);
            }
        }
        None
    }

    async fn fresh(&self) -> Result<Line, Cause> {
        if let Some(failure) = &self.state.lock().failure
            && failure.until > Instant::now()
        {
            return Err(failure.cause.clone());
        }
        let opening = async {
            let mut line = Line::open(&self.site).await?;
            line.sender.ready().await.map_err(|_| Cause::of_channel("handshake_failed", 0))?;
            Ok(line)
        };
        let opened = tokio::time::timeout(self.connect, opening).await.unwrap_or_else(|_| Err(Cause::of_channel("timed_out", 0)));
        let mut state = self.state.lock();
        match &opened {
            Ok(_) => state.failure = None,
            Err(cause) => {
                let in_a_row = state.failure.as_ref().map_or(0, |f| f.in_a_row) + 1;
                let pause = FIRST_PAUSE.saturating_mul(1 << (in_a_row - 1).min(10)).min(LONGEST_PAUSE);
                if in_a_row == 1 {
                    tracing::warn!(provider = self.site.host, cause = %cause.code, "no connection to the provider");
                }
                state.failure = Some(Failure { cause: cause.clone(), until: Instant::now() + pause, in_a_row });
            }
        }
        opened
    }
}

/// A ready connection for one request. Dropping it gives it back.
pub(crate) struct Room {
    connections: Arc<Connections>,
    line: Option<Line>,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    /// Queues a request before it returns; the future gives the answer, or why there is none.
    pub(crate) fn send(
        mut self,
        request: Request<()>,
        body: Bytes,
        deadline: Duration,
    ) -> impl Future<Output = Result<Answer, Cause>> + Send + 'static + use<> {
        // Taken out until the answer came whole: a connection that is out of step is closed by being dropped.
        let mut line = self.line.take().expect("a room has its connection until it is used");
        let answer = line.exchange(self.connections.site.complete(request, body));
        async move {
            let answered = tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| Err(Cause::of("timed_out", 0)));
            if answered.is_ok() && tokio::time::timeout(SETTLE, line.sender.ready()).await.is_ok_and(|ready| ready.is_ok()) {
                self.line = Some(line);
            }
            drop(self);
            answered
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            let mut state = self.connections.state.lock();
            // Those that were idle for long, or were closed, go; the others stay for the next request.
            state.idle.retain(Line::is_usable);
            state.idle.push(line);
        }
    }
}
