//! How a connection begins (name, TCP, TLS, HTTP/2 preface, the peer's SETTINGS) and what keeps it going.

use super::cork::{Cork, Corked, corked};
use super::lane::LanePool;
use super::link::Link;
use bytes::Bytes;
use h2::client::{Builder, Connection};
use h2::{Ping, PingPong};
use model::outcome::Cause;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

/// Streams that we open before the peer's SETTINGS say how many it allows. A connection is not used before they came.
const BEFORE_SETTINGS: usize = 1;
/// Bytes of answers that may be under way on a connection.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// How often a connection is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Opens a connection for a lane, and lets it run in a task of its own.
pub(super) async fn open(lane: &Arc<LanePool>) -> Result<Arc<Link>, Cause> {
    let opening = async {
        let tcp = lane.target().dial().await?;
        let Some(tls) = lane.target().tls() else { return begin(lane, tcp).await };
        let stream = tls.connector.connect(tls.name.clone(), tcp).await.map_err(|error| {
            tracing::debug!(provider = lane.target().authority(), %error, "TLS failed");
            Cause::of_channel("tls_failed", 0)
        })?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Cause::of_channel("no_http2", 0));
        }
        begin(lane, stream).await
    };
    tokio::time::timeout(lane.settings().connect, opening).await.unwrap_or_else(|_| Err(Cause::of_channel("timed_out", 0)))
}

async fn begin<T>(lane: &Arc<LanePool>, io: T) -> Result<Arc<Link>, Cause>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let failed = |_: h2::Error| Cause::of_channel("handshake_failed", 0);
    let (io, cork) = corked(io);
    let (sender, mut connection) = Builder::new()
        .initial_max_send_streams(BEFORE_SETTINGS)
        .enable_push(false)
        .max_concurrent_reset_streams(1024)
        // What the library lets small answers wait in memory goes by this; with its usual 64 KiB a thousand of them that come
        // at once end the connection ("too_many_data_frames").
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake::<_, Bytes>(io)
        .await
        .map_err(failed)?;
    let mut ping = connection.ping_pong().expect("nobody has taken it yet");
    // The peer's SETTINGS come before its answer to a ping (RFC 9113 §3.4), so after it the window is known.
    ping.send_ping(Ping::opaque()).map_err(failed)?;
    poll_fn(|cx| {
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(Err(Cause::of_channel("handshake_failed", 0)));
        }
        if let Poll::Ready(Err(_)) = cork.poll_pull(cx) {
            return Poll::Ready(Err(Cause::of_channel("handshake_failed", 0)));
        }
        ping.poll_pong(cx).map(|pong| pong.map(|_| ()).map_err(failed))
    })
    .await?;
    let cap = lane.settings().streams.max(1);
    let (held, released) = oneshot::channel();
    let link = Arc::new(Link::new(sender, window(&connection, cap), held));
    let driver = Driver {
        connection,
        cork,
        ping,
        pinged: false,
        timer: Box::pin(tokio::time::sleep(PING_EVERY)),
        cap,
        lane: Arc::downgrade(lane),
        link: Arc::downgrade(&link),
        released: Some(released),
    };
    tokio::spawn(driver.run());
    Ok(link)
}

fn window<T: AsyncRead + AsyncWrite + Unpin>(connection: &Connection<Corked<T>, Bytes>, cap: usize) -> usize {
    connection.max_concurrent_send_streams().clamp(1, cap)
}

/// Moves the bytes of one connection, follows its SETTINGS, notices GOAWAY and silence.
struct Driver<T: AsyncRead + AsyncWrite + Unpin> {
    connection: Connection<Corked<T>, Bytes>,
    cork: Cork<T>,
    ping: PingPong,
    pinged: bool,
    timer: Pin<Box<Sleep>>,
    cap: usize,
    lane: Weak<LanePool>,
    link: Weak<Link>,
    released: Option<oneshot::Receiver<()>>,
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Driver<T> {
    async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        if let (Some(lane), Some(link)) = (self.lane.upgrade(), self.link.upgrade()) {
            // Dropped first, so that requests under way learn of the end before anybody is sent elsewhere.
            drop(self.connection);
            lane.retire(&link);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_connection(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Some(released) = &mut self.released
            && Pin::new(released).poll(cx).is_ready()
        {
            // With no sender left, h2 closes the connection once its streams have ended; it has to be asked again.
            self.released = None;
            if self.poll_connection(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        self.follow();
        self.keep_alive(cx)
    }

    /// Lets the connection say what it has to say, then lets it go out together.
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ended = Pin::new(&mut self.connection).poll(cx).is_ready();
        let broken = matches!(self.cork.poll_pull(cx), Poll::Ready(Err(_)));
        if ended || broken { Poll::Ready(()) } else { Poll::Pending }
    }

    fn follow(&self) {
        let (Some(link), Some(lane)) = (self.link.upgrade(), self.lane.upgrade()) else { return };
        if !link.takes_more() {
            lane.retire(&link);
            return;
        }
        let window = window(&self.connection, self.cap);
        if link.window.swap(window, Ordering::Relaxed) < window {
            lane.widened();
        }
    }

    fn keep_alive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.pinged || self.ping.send_ping(Ping::opaque()).is_err() {
                return Poll::Ready(());
            }
            self.pinged = true;
            self.timer.as_mut().reset(Instant::now() + PONG_WITHIN);
        }
        match self.pinged.then(|| self.ping.poll_pong(cx)) {
            Some(Poll::Ready(Ok(_))) => {
                self.pinged = false;
                self.timer.as_mut().reset(Instant::now() + PING_EVERY);
                // Polled once more, so that the new time wakes this task.
                self.timer.as_mut().poll(cx)
            }
            Some(Poll::Ready(Err(_))) => Poll::Ready(()),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}
