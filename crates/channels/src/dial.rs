//! TCP to another machine: its name resolved, its addresses tried in order, Nagle's delay off.

use model::outcome::Cause;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long one address of several may take before the next is tried.
const PER_ADDRESS: Duration = Duration::from_secs(3);

/// Connects to the first address of `host` that answers.
pub(crate) async fn dial(host: &str, port: u16) -> Result<TcpStream, Cause> {
    connect(tokio::net::lookup_host((host, port)).await.map_err(|_| Cause::of_channel("dns_failed", 0))?).await
}

/// Connects to the first of these addresses that answers.
pub(crate) async fn connect(addresses: impl IntoIterator<Item = SocketAddr>) -> Result<TcpStream, Cause> {
    let mut last = "dns_failed";
    for address in addresses {
        match tokio::time::timeout(PER_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => last = "connection_refused",
            Ok(Err(_)) => last = "connection_failed",
            Err(_) => last = "timed_out",
        }
    }
    Err(Cause::of_channel(last, 0))
}
