//! One connection as its users see it: a sender, a window and a count.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// A ready connection. When the last holder lets go of it, its driver closes it.
pub(super) struct Link {
    sender: Mutex<SendRequest<Bytes>>,
    /// Requests that have room here; changed under the lane's lock only.
    pub(super) in_flight: AtomicUsize,
    /// How many may have room, by the peer's SETTINGS and our own cap.
    pub(super) window: AtomicUsize,
    /// Tells the driver that nobody holds the link any more.
    _held: oneshot::Sender<()>,
}

impl Link {
    pub(super) fn new(sender: SendRequest<Bytes>, window: usize, held: oneshot::Sender<()>) -> Link {
        Link { sender: Mutex::new(sender), in_flight: AtomicUsize::new(0), window: AtomicUsize::new(window), _held: held }
    }

    pub(super) fn free(&self) -> usize {
        self.window.load(Ordering::Relaxed).saturating_sub(self.in_flight.load(Ordering::Relaxed))
    }

    /// Whether new requests may still be sent: false after GOAWAY or an error.
    pub(super) fn takes_more(&self) -> bool {
        let mut idle = Context::from_waker(Waker::noop());
        !matches!(self.sender.lock().poll_ready(&mut idle), Poll::Ready(Err(_)))
    }

    /// Opens a stream and queues the whole request on it.
    pub(super) fn send(&self, request: Request<()>, body: Bytes) -> Result<ResponseFuture, h2::Error> {
        let mut sender = self.sender.lock();
        let mut idle = Context::from_waker(Waker::noop());
        let opened = match sender.poll_ready(&mut idle) {
            Poll::Ready(Ok(())) => sender.send_request(request, body.is_empty()),
            // The peer has lowered its limit under us: this sender may not queue a second stream, a fresh one may.
            Poll::Pending => sender.clone().send_request(request, body.is_empty()),
            Poll::Ready(Err(error)) => return Err(error),
        };
        drop(sender);
        let (response, mut stream) = opened?;
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        Ok(response)
    }
}
