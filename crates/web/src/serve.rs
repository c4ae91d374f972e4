//! The server's connections: accepted one by one, each bounded, each told when it is time to go. Those that begin with a
//! request for an inbox stream are held by `lean`, all others by hyper. With a certificate every connection is TLS and speaks
//! HTTP/2 or HTTP/1.1, as the client wishes (ALPN, RFC 7301); hyper holds all of those.

use crate::aside;
use crate::lean::{self, First, HEAD_BYTES, Held};
use crate::limits::Limits;
use crate::pace::Peer;
use crate::places::{NoPlace, Place, Places, Turn};
use crate::problem::Problem;
use crate::rewound::Rewound;
use crate::tls::Tls;
use axum::body::Body;
use axum::{Extension, Router};
use bytes::Bytes;
use http::{Request, Response, header};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Largest head of a later request on a connection, and what hyper reads at once.
const LATER_HEAD_BYTES: usize = 64 * 1024;
/// Connections that are told at once that there is no place for them; more are closed without a word.
const TURNED_AWAY: usize = 64;
/// A client that acknowledges nothing for so long is gone: a stream's heartbeats notice it.
const DEAD_AFTER: Duration = Duration::from_secs(30);
/// Longest that a TLS handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Requests at once on one HTTP/2 connection (RFC 9113 §5.1.2 asks for at least 100).
const H2_REQUESTS: u32 = 200;
/// How often an HTTP/2 client that says nothing is asked whether it is there.
const H2_PING: Duration = Duration::from_secs(30);
/// How long accepting rests when there are no descriptors left.
const NO_ROOM_REST: Duration = Duration::from_millis(100);

/// The server is stopping: put beside every request, so that streams end and leave the time for draining to others.
#[derive(Clone)]
pub(crate) struct Stopping(pub CancellationToken);

/// Serves until `stop` is cancelled; then takes no new connection, lets requests that are under way finish, and after
/// `drain` cuts what is left.
///
/// # Errors
/// Only what the listener says about itself; faults of single connections end those.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken, drain: Duration) -> io::Result<()> {
    serve_by(listener, None, router, limits, stop, drain).await
}

/// The same over TLS. What [`Tls::replace`] is given holds for connections that begin after it.
///
/// # Errors
/// As [`serve`].
pub async fn serve_tls(
    listener: TcpListener,
    tls: Arc<Tls>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    serve_by(listener, Some(tls), router, limits, stop, drain).await
}

async fn serve_by(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    listener.local_addr()?;
    let router = router.layer(Extension(Stopping(stop.clone())));
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    let (places, turned_away) = (Places::new(limits.clone()), Arc::new(Semaphore::new(TURNED_AWAY)));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many descriptors, or a client that was gone before it was accepted: both pass.
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(NO_ROOM_REST).await;
                continue;
            }
        };
        places.settle().await;
        match places.enter(peer.ip()) {
            Ok(place) => {
                let way = Way {
                    router: router.clone(),
                    tls: tls.clone(),
                    stop: stop.clone(),
                    cut: cut.clone(),
                    head: limits.head,
                    peer: Peer(peer.ip()),
                    turn: place.turn(),
                };
                connections.spawn(connection(socket, way, place));
            }
            Err(why) => {
                let problem = no_place(why, &limits);
                // A client that expects TLS would not understand a word: it is closed.
                if tls.is_none()
                    && let Ok(permit) = turned_away.clone().try_acquire_owned()
                {
                    let cut = cut.clone();
                    connections.spawn(async move {
                        turn_away(socket, problem, cut).await;
                        drop(permit);
                    });
                }
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were cut after the time for draining");
        cut.cancel();
        connections.wait().await;
    }
    Ok(())
}

fn no_place(why: NoPlace, limits: &Limits) -> Problem {
    let (word, problem) = match why {
        NoPlace::Address => ("address", aside::full_for_address(limits.connections_per_address)),
        NoPlace::Anywhere => ("full", aside::full()),
    };
    metrics::counter!("carillon_connections_refused_total", "why" => word).increment(1);
    problem
}

async fn turn_away(mut socket: TcpStream, problem: Problem, cut: CancellationToken) {
    tokio::select! {
        () = cut.cancelled() => {}
        () = aside::refuse(&mut socket, problem) => {}
    }
}

/// What a connection leads to, and what ends it.
struct Way {
    router: Router,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
    cut: CancellationToken,
    head: Duration,
    peer: Peer,
    turn: Turn,
}

/// A connection from its first byte to its last. What a stream leaves behind it when it is open is small: all that comes
/// before is boxed and dropped by then, and nothing is held twice (arguments of an `async fn` are).
fn connection(socket: TcpStream, way: Way, place: Place) -> impl Future<Output = ()> + Send {
    if let Err(error) = prepare(&socket) {
        tracing::debug!(%error, "a connection's options were not set");
    }
    let stop = way.stop.clone();
    metrics::gauge!("carillon_http_connections", "protocol" => if way.tls.is_some() { "tls" } else { "plain" }).increment(1.0);
    let counted = Counted(way.tls.is_some());
    let beginning = Box::pin(begin(socket, way));
    async move {
        let (_place, _counted) = (place, counted);
        let held = beginning.await;
        if let Some(held) = held {
            lean::hold(held, stop).await;
        }
    }
}

/// A connection in the gauge of those that are open.
struct Counted(bool);

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("carillon_http_connections", "protocol" => if self.0 { "tls" } else { "plain" }).decrement(1.0);
    }
}

/// Serves a connection; or opens the stream that it asks for first, and hands it back.
async fn begin(mut socket: TcpStream, way: Way) -> Option<Held> {
    if let Some(tls) = &way.tls {
        let tls = tls.clone();
        secured(socket, &tls, way).await;
        return None;
    }
    let first = tokio::select! {
        () = way.cut.cancelled() => return None,
        () = way.turn.over() => return None,
        first = lean::first(&mut socket, way.head, &way.stop) => first,
    };
    match first {
        First::Nothing => None,
        First::Stream(request) => {
            way.turn.is_busy();
            tokio::select! {
                () = way.cut.cancelled() => None,
                held = lean::answer(socket, *request, way.router, way.peer) => held,
            }
        }
        First::Other(front) => {
            usual(front, socket, way, LATER_HEAD_BYTES).await;
            None
        }
        First::Refused(problem) => {
            metrics::counter!("carillon_connections_refused_total", "why" => "head").increment(1);
            turn_away(socket, *problem, way.cut).await;
            None
        }
    }
}

/// Serves a connection over TLS, by the protocol that the client chose.
async fn secured(socket: TcpStream, tls: &Tls, way: Way) {
    let shaking = tokio::time::timeout(HANDSHAKE_PATIENCE.min(way.head), tls.acceptor().accept(socket));
    let shaken = tokio::select! {
        // Nothing was asked yet.
        () = way.stop.cancelled() => return,
        () = way.turn.over() => return,
        shaken = shaking => shaken,
    };
    let why = match shaken {
        Ok(Ok(socket)) if socket.get_ref().1.alpn_protocol() == Some(b"h2") => return multiplexed(socket, way).await,
        Ok(Ok(socket)) => return usual(Bytes::new(), socket, way, HEAD_BYTES).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "too slow".to_owned(),
    };
    metrics::counter!("carillon_tls_handshake_failures_total").increment(1);
    tracing::debug!(why, "a TLS handshake failed");
}

/// Serves a connection by HTTP/2.
async fn multiplexed(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, way: Way) {
    let noted = Noted::new(&way);
    let mut server = http2::Builder::new(TokioExecutor::new());
    server.timer(TokioTimer::new()).max_concurrent_streams(H2_REQUESTS).keep_alive_interval(H2_PING).keep_alive_timeout(DEAD_AFTER);
    server.max_header_list_size(u32::try_from(HEAD_BYTES).expect("some kilobytes"));
    let served = server.serve_connection(TokioIo::new(Rewound::new(Bytes::new(), socket)), noted);
    to_its_end(std::pin::pin!(served), |served| served.graceful_shutdown(), &way).await;
}

/// Serves a connection by HTTP/1.1. A head may be as large as `most`.
async fn usual(front: Bytes, socket: impl AsyncRead + AsyncWrite + Unpin + Send, way: Way, most: usize) {
    let mut socket = Rewound::new(front, socket);
    let noted = Noted::new(&way);
    let unread = noted.unread.clone();
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(way.head).max_buf_size(most);
    let ended = {
        let served = server.serve_connection(TokioIo::new(&mut socket), noted);
        to_its_end(std::pin::pin!(served), |served| served.graceful_shutdown(), &way).await
    };
    if ended && unread.load(Ordering::Relaxed) {
        tokio::select! {
            () = way.cut.cancelled() => {}
            () = aside::linger(&mut socket) => {}
        }
    }
}

/// Serves until the connection ends, and tells it when the server stops. Answers whether it came to its own end: not when it
/// was cut, or gave its place to another.
async fn to_its_end<C: Future<Output = hyper::Result<()>>>(mut served: Pin<&mut C>, wind_up: impl FnOnce(Pin<&mut C>), way: &Way) -> bool {
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = way.turn.over() => return false,
        () = way.cut.cancelled() => return false,
        () = way.stop.cancelled() => {
            wind_up(served.as_mut());
            tokio::select! {
                ended = served => ended,
                () = way.cut.cancelled() => return false,
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
    true
}

/// The router, for the requests of one connection: notes when there is one, and whether its body may have been left unread.
struct Noted {
    router: TowerToHyperService<Router>,
    turn: Turn,
    peer: Peer,
    /// Requests that are not answered to their end; HTTP/2 has several at once.
    under_way: Arc<AtomicUsize>,
    unread: Arc<AtomicBool>,
}

impl Noted {
    fn new(way: &Way) -> Noted {
        let router = TowerToHyperService::new(way.router.clone());
        Noted { router, turn: way.turn.clone(), peer: way.peer, under_way: Arc::default(), unread: Arc::default() }
    }
}

/// A request from its head to the end of its answer.
struct Busy {
    turn: Turn,
    under_way: Arc<AtomicUsize>,
}

impl Busy {
    fn new(turn: Turn, under_way: Arc<AtomicUsize>) -> Busy {
        if under_way.fetch_add(1, Ordering::AcqRel) == 0 {
            turn.is_busy();
        }
        Busy { turn, under_way }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.turn.waits();
        }
    }
}

impl Service<Request<Incoming>> for Noted {
    type Response = Response<Answering>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answering>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let busy = Busy::new(self.turn.clone(), self.under_way.clone());
        let has_body = request.headers().contains_key(header::CONTENT_LENGTH) || request.headers().contains_key(header::TRANSFER_ENCODING);
        request.extensions_mut().insert(self.peer);
        let (asked, unread) = (self.router.call(request), self.unread.clone());
        Box::pin(async move {
            let response = asked.await?;
            unread.store(has_body && !response.status().is_success(), Ordering::Relaxed);
            Ok(response.map(|body| Answering { body, _busy: busy }))
        })
    }
}

/// The body of an answer; when it is written, the connection waits for its client again.
struct Answering {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Small answers go at once (Nagle's algorithm off: a factor of ten on loopback), and a dead client is noticed.
fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let options = SockRef::from(socket);
    options.set_tcp_keepalive(&TcpKeepalive::new().with_time(DEAD_AFTER).with_interval(Duration::from_secs(10)))?;
    #[cfg(target_os = "linux")]
    options.set_tcp_user_timeout(Some(DEAD_AFTER))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_costs_less_than_a_kibibyte_beside_what_is_boxed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (socket, _) = tokio::join!(TcpStream::connect(address), listener.accept());
        let peer = address.ip();
        let place = Places::new(Limits::default()).enter(peer).expect("room");
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let way = Way { router: Router::new(), tls: None, stop, cut, head: Duration::from_secs(1), peer: Peer(peer), turn: place.turn() };
        let size = std::mem::size_of_val(&connection(socket.expect("connected"), way, place));
        assert!(size < 1_024, "{size} bytes for each open stream");
    }
}
