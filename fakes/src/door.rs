//! Where a fake listens. The door can be shut (connections are refused) and opened again on the same port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Whether the fake listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// It does.
    Open,
    /// It refuses, and cuts what is open.
    Shut,
    /// It has ended.
    Gone,
}

/// How long a shut door that wants to open again waits between attempts to bind its port.
const REBIND: Duration = Duration::from_millis(20);

/// Waits until the door is no longer open.
pub(crate) async fn leaves(mut door: watch::Receiver<Door>) {
    let _ = door.wait_for(|d| *d != Door::Open).await;
}

/// Accepts until the door is gone and hands each connection to `serve`, which runs as a task and is cut when the door
/// shuts. Nagle's delay is off on every connection.
pub(crate) async fn attend<S, F>(listener: TcpListener, addr: SocketAddr, mut door: watch::Receiver<Door>, serve: Arc<S>)
where
    S: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut listener = Some(listener);
    loop {
        let state = *door.borrow_and_update();
        match (state, &listener) {
            (Door::Gone, _) => return,
            (Door::Shut, _) => {
                listener = None;
                if door.changed().await.is_err() {
                    return;
                }
            }
            (Door::Open, None) => match TcpListener::bind(addr).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => tokio::time::sleep(REBIND).await,
            },
            (Door::Open, Some(open)) => tokio::select! {
                accepted = open.accept() => match accepted {
                    Ok((stream, _)) => {
                        let _ = stream.set_nodelay(true);
                        let (serving, watched) = (serve.clone(), door.clone());
                        tokio::spawn(async move {
                            tokio::select! { () = serving(stream) => {}, () = leaves(watched) => {} }
                        });
                    }
                    Err(_) => tokio::time::sleep(REBIND).await,
                },
                changed = door.changed() => if changed.is_err() { return },
            },
        }
    }
}

/// Binds a loopback address; nothing here listens for the world.
pub(crate) async fn bind(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    if !addr.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{addr} is not a loopback address; fakes listen only there")));
    }
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}
