//! The server's connections: accepted one by one, each bounded, each told when it is time to go. Those that begin with a
//! request for an inbox stream are held by `lean`, all others by hyper.

use crate::aside;
use crate::lean::{self, First, Held};
use crate::limits::Limits;
use crate::pace::Peer;
use crate::places::{NoPlace, Place, Places, Turn};
use crate::problem::Problem;
use crate::rewound::Rewound;
use axum::body::Body;
use axum::{Extension, Router};
use bytes::Bytes;
use http::{Request, Response, header};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
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
        match places.enter(peer.ip()) {
            Ok(place) => {
                let way = Way {
                    router: router.clone(),
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
                if let Ok(permit) = turned_away.clone().try_acquire_owned() {
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
    let beginning = Box::pin(begin(socket, way));
    async move {
        let _place = place;
        let held = beginning.await;
        if let Some(held) = held {
            lean::hold(held, stop).await;
        }
    }
}

/// Serves a connection; or opens the stream that it asks for first, and hands it back.
async fn begin(mut socket: TcpStream, way: Way) -> Option<Held> {
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
            usual(front, socket, way).await;
            None
        }
        First::Refused(problem) => {
            metrics::counter!("carillon_connections_refused_total", "why" => "head").increment(1);
            turn_away(socket, *problem, way.cut).await;
            None
        }
    }
}

/// Serves a connection by hyper.
async fn usual(front: Bytes, socket: TcpStream, way: Way) {
    let mut socket = Rewound::new(front, socket);
    let noted = Noted { router: TowerToHyperService::new(way.router), turn: way.turn.clone(), peer: way.peer, unread: Arc::default() };
    let unread = noted.unread.clone();
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(way.head).max_buf_size(LATER_HEAD_BYTES);
    let ended = {
        let mut served = std::pin::pin!(server.serve_connection(TokioIo::new(&mut socket), noted));
        tokio::select! {
            ended = served.as_mut() => ended,
            () = way.turn.over() => return,
            () = way.cut.cancelled() => return,
            () = way.stop.cancelled() => {
                served.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = served => ended,
                    () = way.cut.cancelled() => return,
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
    if unread.load(Ordering::Relaxed) {
        tokio::select! {
            () = way.cut.cancelled() => {}
            () = aside::linger(&mut socket) => {}
        }
    }
}

/// The router, for the requests of one connection: notes when there is one, and whether its body may have been left unread.
struct Noted {
    router: TowerToHyperService<Router>,
    turn: Turn,
    peer: Peer,
    unread: Arc<AtomicBool>,
}

impl Service<Request<Incoming>> for Noted {
    type Response = Response<Answering>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answering>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.turn.is_busy();
        let has_body = request.headers().contains_key(header::CONTENT_LENGTH) || request.headers().contains_key(header::TRANSFER_ENCODING);
        request.extensions_mut().insert(self.peer);
        let (asked, turn, unread) = (self.router.call(request), self.turn.clone(), self.unread.clone());
        Box::pin(async move {
            let response = asked.await?;
            unread.store(has_body && !response.status().is_success(), Ordering::Relaxed);
            Ok(response.map(|body| Answering { body, turn }))
        })
    }
}

/// The body of an answer; when it is written, the connection waits for its client again.
struct Answering {
    body: Body,
    turn: Turn,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.turn.waits();
    }
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
        let way = Way { router: Router::new(), stop, cut, head: Duration::from_secs(1), peer: Peer(peer), turn: place.turn() };
        let size = std::mem::size_of_val(&connection(socket.expect("connected"), way, place));
        assert!(size < 1_024, "{size} bytes for each open stream");
    }
}
