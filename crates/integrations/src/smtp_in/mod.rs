//! A listener for voice-mail mails, in SMTP (RFC 5321, with SIZE, PIPELINING, 8BITMIME and enhanced codes) or in LMTP
//! (RFC 2033): every telephone system can send these, and many can nothing else.
//!
//! It is no mail server. A recipient is somebody with a mailbox, or is refused; nothing is sent on, so there is nothing to
//! relay. A mail is acknowledged when the intake has it for good, and not before.
//!
//! `wire` makes lines and mails of bytes, `talk` decides what a line means, `reply` writes what is said to it, `connection`
//! does the reading, the waiting and the writing.

mod connection;
mod reply;
mod talk;
#[cfg(test)]
mod tests;
mod wire;

use crate::intake::Intake;
use connection::{Connection, Room};
use model::Clock;
use reply::Reply;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections at once.
const CONNECTIONS: usize = 100;
/// Mails that are being read take at most so much memory together, or one mail of the largest size.
const MEMORY_BYTES: usize = 256 << 20;
/// Pause after the system had no connection to give, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest that it takes to tell somebody who is not let in.
const FAREWELL: Duration = Duration::from_secs(1);

/// Which protocol a listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321: one answer for a mail.
    #[default]
    Smtp,
    /// RFC 2033: one answer for each of its recipients.
    Lmtp,
}

impl Protocol {
    fn word(self) -> &'static str {
        match self {
            Protocol::Smtp => "ESMTP",
            Protocol::Lmtp => "LMTP",
        }
    }
}

/// Whether somebody with this address may connect.
pub type Admits = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// How a listener behaves.
#[derive(Clone)]
pub struct Settings {
    /// Which protocol it speaks.
    pub protocol: Protocol,
    /// Dial plan whose extensions may stand in front of the `@` of a recipient.
    pub dial_plan: Option<String>,
    /// Largest mail.
    pub max_bytes: usize,
    /// What the server calls itself: a name without blanks.
    pub name: String,
    /// Who may connect.
    pub admits: Admits,
    /// Tells when a mail without a date came.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { protocol, dial_plan, max_bytes, name, admits: _, clock: _ } = self;
        let mut shown = f.debug_struct("Settings");
        shown.field("protocol", protocol).field("dial_plan", dial_plan).field("max_bytes", max_bytes).field("name", name);
        shown.finish_non_exhaustive()
    }
}

/// Takes in mails until it is told to stop; then mails that are being sent have a moment to come to their end. What was not
/// acknowledged, the telephone system sends again.
pub async fn run(listener: TcpListener, settings: Settings, intake: Arc<dyn Intake>, stop: CancellationToken) {
    let room = Room::new(MEMORY_BYTES.max(settings.max_bytes));
    let (settings, places) = (Arc::new(settings), Arc::new(Semaphore::new(CONNECTIONS)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection for mail could be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if !(settings.admits)(peer.ip().to_canonical()) {
            turn_away(stream, peer, &Reply::new(554, "5.7.1", "this address may not connect here; see allowed_networks")).await;
            continue;
        }
        let Ok(place) = places.clone().try_acquire_owned() else {
            turn_away(stream, peer, &Reply::new(421, "4.3.2", "too many connections; try again later")).await;
            continue;
        };
        // Without it the last reply may wait for the client's acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let connection = Connection::new(stream, settings.clone(), intake.clone(), room.clone(), stop.clone());
        connections.spawn(async move {
            let _place = place;
            if let Err(error) = connection.serve().await {
                tracing::debug!(%error, %peer, "a connection for mail ended early");
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn turn_away(mut stream: TcpStream, peer: SocketAddr, reply: &Reply) {
    tracing::debug!(%peer, ?reply, "a connection for mail was turned away");
    let mut out = Vec::new();
    reply.write(&mut out);
    // Whoever does not read it is turned away all the same.
    let _ = tokio::time::timeout(FAREWELL, stream.write_all(&out)).await;
}

/// What a stranger may send, for tests that read arbitrary bytes: everything is read as a session in which every recipient is
/// known, and every mail is read as a voice-mail mail.
///
/// # Panics
/// When a reply is not in order, or what is kept is more than was allowed.
#[doc(hidden)]
pub fn read_by_strangers(bytes: &[u8]) {
    connection::read_by_strangers(bytes);
}
