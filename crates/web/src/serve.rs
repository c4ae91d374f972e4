//! The server's connections: accepted one by one, each bounded, each told when it is time to go. Those that begin with a
//! request for an inbox stream are held by `lean`, all others by hyper. With a certificate every connection is TLS and speaks
//! HTTP/2 or HTTP/1.1, as the client wishes (ALPN, RFC 7301); hyper holds all of those.

use crate::lean::{self, First, HEAD_BYTES, Held, Rewound};
use crate::tls::Tls;
use axum::{Extension, Router};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once. Open inbox streams are connections, so it is high; the operating system's limit on descriptors
/// is usually reached first, and then new ones wait.
const CONNECTIONS: usize = 60_000;
/// Longest that a client may take to send the head of a request, and longest that an idle connection is kept.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
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
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken, drain: Duration) -> io::Result<()> {
    serve_by(listener, None, router, stop, drain).await
}

/// The same over TLS. What [`Tls::replace`] is given holds for connections that begin after it.
///
/// # Errors
/// As [`serve`].
pub async fn serve_tls(listener: TcpListener, tls: Arc<Tls>, router: Router, stop: CancellationToken, drain: Duration) -> io::Result<()> {
    serve_by(listener, Some(tls), router, stop, drain).await
}

async fn serve_by(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    stop: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    listener.local_addr()?;
    let router = router.layer(Extension(Stopping(stop.clone())));
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = room.clone().acquire_owned() => place.map_err(io::Error::other)?,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let way = Way { router: router.clone(), tls: tls.clone(), stop: stop.clone(), cut: cut.clone() };
                connections.spawn(connection(socket, way, place));
            }
            Err(error) => {
                // Too many descriptors, or a client that was gone before it was accepted: both pass.
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(NO_ROOM_REST).await;
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

/// What a connection leads to, and what ends it.
struct Way {
    router: Router,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// A connection from its first byte to its last. What a stream leaves behind it when it is open is small: all that comes
/// before is boxed and dropped by then, and nothing is held twice (arguments of an `async fn` are).
fn connection(socket: TcpStream, way: Way, place: OwnedSemaphorePermit) -> impl Future<Output = ()> + Send {
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
        first = lean::first(&mut socket, HEAD_PATIENCE, &way.stop) => first,
    };
    let mut server = http1::Builder::new();
    let front = match first {
        First::Nothing => return None,
        First::Stream(request) => {
            return tokio::select! {
                () = way.cut.cancelled() => None,
                held = lean::answer(socket, *request, way.router) => held,
            };
        }
        First::Other(front) => front,
        First::TooLarge(front) => {
            // It says so in its own way, as for any other path.
            server.max_buf_size(HEAD_BYTES);
            front
        }
    };
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE);
    let served = server.serve_connection(TokioIo::new(Rewound::new(front, socket)), TowerToHyperService::new(way.router));
    to_its_end(std::pin::pin!(served), |served| served.graceful_shutdown(), &way.stop, &way.cut).await;
    None
}

/// Serves a connection over TLS, by the protocol that the client chose.
async fn secured(socket: TcpStream, tls: &Tls, way: Way) {
    let shaking = tokio::time::timeout(HANDSHAKE_PATIENCE, tls.acceptor().accept(socket));
    let shaken = tokio::select! {
        // Nothing was asked yet.
        () = way.stop.cancelled() => return,
        shaken = shaking => shaken,
    };
    let socket = match shaken {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => {
            metrics::counter!("carillon_tls_handshake_failures_total").increment(1);
            return tracing::debug!(%error, "a TLS handshake failed");
        }
        Err(_) => {
            metrics::counter!("carillon_tls_handshake_failures_total").increment(1);
            return tracing::debug!("a TLS handshake was too slow");
        }
    };
    let (stop, cut, service) = (way.stop, way.cut, TowerToHyperService::new(way.router));
    if socket.get_ref().1.alpn_protocol() == Some(b"h2") {
        let mut server = http2::Builder::new(TokioExecutor::new());
        server.timer(TokioTimer::new()).max_concurrent_streams(H2_REQUESTS).keep_alive_interval(H2_PING).keep_alive_timeout(DEAD_AFTER);
        server.max_header_list_size(u32::try_from(HEAD_BYTES).expect("some kilobytes"));
        let served = server.serve_connection(TokioIo::new(socket), service);
        to_its_end(std::pin::pin!(served), |served| served.graceful_shutdown(), &stop, &cut).await;
    } else {
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(HEAD_BYTES);
        let served = server.serve_connection(TokioIo::new(socket), service);
        to_its_end(std::pin::pin!(served), |served| served.graceful_shutdown(), &stop, &cut).await;
    }
}

/// Serves until the connection ends; tells it when the server stops, and lets it go when it is cut.
async fn to_its_end<C: Future<Output = hyper::Result<()>>>(
    mut served: Pin<&mut C>,
    wind_up: impl FnOnce(Pin<&mut C>),
    stop: &CancellationToken,
    cut: &CancellationToken,
) {
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            wind_up(served.as_mut());
            tokio::select! {
                ended = served => ended,
                () = cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
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
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("room");
        let way = Way { router: Router::new(), tls: None, stop: CancellationToken::new(), cut: CancellationToken::new() };
        let size = std::mem::size_of_val(&connection(socket.expect("connected"), way, place));
        assert!(size < 1_024, "{size} bytes for each open stream");
    }
}
