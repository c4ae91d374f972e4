//! The shared sender pool: a few HTTP/2 connections to one provider, each with a window of requests in flight.
//!
//! Who is here: a [`Target`] (whereto), a [`Pool`] with an urgent and a bulk lane, a [`Room`] for one request. A room is
//! counted against the window that the peer's SETTINGS allow, connections are opened when they are first wanted, and one
//! that was told to go away takes no new request. Built straight on `h2`: a request then needs no task of its own and
//! is on its stream before `send` returns (measured, h2 sends 1.6 times as much per CPU second as hyper's connection).
//! A lost request is reported, never repeated: that is the engine's to decide.

mod connect;
mod cork;
mod lane;
mod link;
mod target;
mod width;

pub use target::Target;

use lane::LanePool;
use link::Link;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use model::channel::Lane;
use model::outcome::Cause;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of a response body that are kept; the rest is read off and forgotten with its stream.
const MOST_RESPONSE_BYTES: usize = 16 << 10;

/// Sizes and deadlines of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Connections of the bulk lane; the urgent lane has one of its own beside them.
    pub connections: usize,
    /// Most requests in flight on one connection, however many the peer allows.
    pub streams: usize,
    /// How long one request may take from hand-over to the end of its answer.
    pub deadline: Duration,
    /// How long a connection may take to become ready: name, TCP, TLS and the peer's SETTINGS.
    pub connect: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        PoolSettings { connections: 2, streams: 500, deadline: Duration::from_secs(20), connect: Duration::from_secs(10) }
    }
}

/// Connections to one provider.
pub struct Pool {
    urgent: Arc<LanePool>,
    bulk: Arc<LanePool>,
}

impl Pool {
    /// A pool without connections; they are opened when room is first asked for.
    pub fn new(target: Target, settings: PoolSettings) -> Pool {
        let target = Arc::new(target);
        Pool {
            urgent: Arc::new(LanePool::new(target.clone(), settings, 1)),
            bulk: Arc::new(LanePool::new(target, settings, settings.connections.max(1))),
        }
    }

    /// Room on a ready connection of a lane, if there is some right now and nobody stands in line.
    pub fn room_now(&self, lane: Lane) -> Option<Room> {
        self.lane(lane).room_now()
    }

    fn lane(&self, lane: Lane) -> &Arc<LanePool> {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Bulk => &self.bulk,
        }
    }

    /// Waits for room on a ready connection of a lane. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// Why there can be no connection now. After a failure this answers at once for a short while (0.1 s, doubling up
    /// to 5 s) before a connection is tried again.
    pub async fn room(&self, lane: Lane) -> Result<Room, Cause> {
        match self.lane(lane).room() {
            lane::Found::Now(room) => Ok(room),
            lane::Found::Never(cause) => Err(cause),
            lane::Found::Later(waiting) => waiting.await.unwrap_or_else(|_| Err(Cause::of_channel("connection_lost", 0))),
        }
    }
}

/// Room for one request on one connection. Dropping it gives it back.
pub struct Room {
    lane: Arc<LanePool>,
    link: Option<Arc<Link>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, at most 16 KiB of it.
    pub body: Bytes,
}

impl Room {
    fn new(lane: &Arc<LanePool>, link: Arc<Link>) -> Room {
        Room { lane: lane.clone(), link: Some(link) }
    }

    /// Puts a request on its stream before it returns; the future gives the answer, or why there is none. A request
    /// whose cause is `goaway` or `refused_stream` was not processed by the other side; of the others that is unknown.
    pub fn send(self, request: Request<()>, body: Bytes) -> impl Future<Output = Result<Answer, Cause>> + Send + 'static + use<> {
        let link = self.link.as_ref().expect("a room has its link until it is dropped");
        let started = link.send(request, body);
        if started.is_err() {
            self.lane.retire(link);
        }
        let deadline = self.lane.settings().deadline;
        async move {
            // The room is given back when this future ends, or is dropped.
            let _room = self;
            let response = started.map_err(|e| cause_of(&e))?;
            match tokio::time::timeout(deadline, answer(response)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(cause_of(&error)),
                Err(_) => Err(Cause::of("timed_out", 0)),
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            self.lane.release(&link);
        }
    }
}

async fn answer(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let mut kept = BytesMut::new();
    if !body.is_end_stream() {
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            kept.extend_from_slice(&data);
            if kept.len() > MOST_RESPONSE_BYTES {
                kept.truncate(MOST_RESPONSE_BYTES);
                break;
            }
        }
    }
    Ok(Answer { status: head.status, headers: head.headers, body: kept.freeze() })
}

/// Our word for a request that got no answer.
fn cause_of(error: &h2::Error) -> Cause {
    let code = if error.is_go_away() {
        "goaway"
    } else if error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM) {
        "refused_stream"
    } else if error.is_reset() {
        "stream_reset"
    } else {
        "connection_lost"
    };
    Cause::of(code, 0)
}
