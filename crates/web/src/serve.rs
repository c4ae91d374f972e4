//! The server's connections: accepted one by one, each bounded, each told when it is time to go.

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
                connections.spawn(connection(socket, router.clone(), stop.clone(), cut.clone(), place));
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

async fn connection(socket: TcpStream, router: Router, stop: CancellationToken, cut: CancellationToken, _place: OwnedSemaphorePermit) {
    if let Err(error) = prepare(&socket) {
        tracing::debug!(%error, "a connection's options were not set");
    }
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE);
    let serving = server.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = serving => ended,
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
