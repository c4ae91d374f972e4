//! The server's connections: accepted one by one, each bounded, each told when it is time to go. Those that begin with a
//! request for an inbox stream are held by `lean`, all others by hyper.

use crate::lean::{self, First, HEAD_BYTES, Held, Rewound};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use std::io;
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
                let way = Way { router: router.clone(), stop: stop.clone(), cut: cut.clone() };
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
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = way.stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            tokio::select! {
                ended = served => ended,
                () = way.cut.cancelled() => return None,
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
    None
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
        let way = Way { router: Router::new(), stop: CancellationToken::new(), cut: CancellationToken::new() };
        let size = std::mem::size_of_val(&connection(socket.expect("connected"), way, place));
        assert!(size < 1_024, "{size} bytes for each open stream");
    }
}
