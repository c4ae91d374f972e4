//! The inbox stream: server-sent events (HTML standard §9.2). Each write goes to the wire at once; heartbeats keep
//! proxies from closing an idle stream and notice a client that is gone. The stream ends when the server stops, so that
//! no restart has to wait for it; apps connect again with the last id that they saw.

use crate::App;
use crate::answer::Reply;
use crate::ask::{Asker, Query};
use crate::problem::Problem;
use crate::serve::Stopping;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use engine::inbox::{InboxStream, StreamItem};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often an idle stream says that it lives.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// How it says so, as a chunk.
pub(crate) static BEAT: LazyLock<Bytes> = LazyLock::new(|| chunk(": heartbeat\n\n"));
/// The first line, as a chunk: how long an app waits before it connects again.
pub(crate) static RETRY: LazyLock<Bytes> = LazyLock::new(|| chunk("retry: 2000\n\n"));

/// Where an app resumes, for clients that cannot set a header.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StreamQuery {
    last_event_id: Option<String>,
}

/// Where a connection that writes the stream by itself (`lean`) finds it; the answer then has a head only.
#[derive(Clone, Default)]
pub(crate) struct Seat(Arc<Mutex<Option<InboxStream>>>);

impl Seat {
    fn put(&self, inbox: InboxStream) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(inbox);
    }

    /// The stream, when one was opened.
    pub(crate) fn take(&self) -> Option<InboxStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Open {
    inbox: InboxStream,
    /// The server stops.
    close: CancellationToken,
    heartbeat: Interval,
    begun: bool,
}

/// `GET /api/v1/device/inbox/stream`.
pub async fn open(
    State(app): State<App>,
    asker: Asker,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
    stopping: Option<Extension<Stopping>>,
    seat: Option<Extension<Seat>>,
) -> Reply {
    let header = headers.get("last-event-id").map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let last = last_seen(header.or(query.last_event_id).as_deref())?;
    let inbox = app.engine.open_stream(&asker.actor, last).await?;
    let body = match seat {
        Some(Extension(seat)) => {
            seat.put(inbox);
            Body::empty()
        }
        None => body(inbox, stopping),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // nginx would otherwise hold events back until its buffer is full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// The stream as a body, for connections that carry other requests too.
fn body(inbox: InboxStream, stopping: Option<Extension<Stopping>>) -> Body {
    let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let close = stopping.map_or_else(CancellationToken::new, |Extension(Stopping(token))| token);
    let open = Open { inbox, close, heartbeat, begun: false };
    Body::from_stream(futures_util::stream::unfold(open, step))
}

/// An empty id is what browsers send before they saw any.
fn last_seen(text: Option<&str>) -> Result<Option<i64>, Problem> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Problem::malformed_field("invalid_last_event_id", "Last-Event-ID", "takes the id of an event of this stream, a whole number")
        }),
    }
}

async fn step(mut open: Open) -> Option<(Result<Bytes, Infallible>, Open)> {
    if !open.begun {
        open.begun = true;
        return Some((Ok(text(&RETRY)), open));
    }
    let said = tokio::select! {
        biased;
        () = open.close.cancelled() => return None,
        item = open.inbox.next() => event(&item?),
        _ = open.heartbeat.tick() => BEAT.clone(),
    };
    open.heartbeat.reset();
    Some((Ok(text(&said)), open))
}

/// One event, as a chunk. It is made once for all streams that show it.
pub(crate) fn event(item: &StreamItem) -> Bytes {
    match item {
        StreamItem::Notification(shown) => shown.written(|view| {
            // JSON has no line breaks of its own, so one `data` line is enough.
            let data = serde_json::to_string(view).expect("a view has only names as keys");
            chunk(&format!("id: {}\nevent: notification\ndata: {data}\n\n", view.seq))
        }),
        StreamItem::Withdrawn(event) => chunk(&format!("event: withdrawn\ndata: {{\"eventId\":\"{event}\"}}\n\n")),
    }
}

/// A chunk of the chunked coding (RFC 9112 §7.1).
fn chunk(text: &str) -> Bytes {
    Bytes::from(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// What is in a chunk.
pub(crate) fn text(chunk: &Bytes) -> Bytes {
    let size = chunk.iter().position(|byte| *byte == b'\n').expect("a chunk begins with its size");
    chunk.slice(size + 1..chunk.len() - 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_withdrawal_is_one_event_without_an_id() {
        let said = event(&StreamItem::Withdrawn(Uuid::nil()));
        assert!(said.starts_with(b"4b\r\n") && said.ends_with(b"\n\n\r\n"), "{said:?}");
        assert_eq!(&text(&said)[..], b"event: withdrawn\ndata: {\"eventId\":\"00000000-0000-0000-0000-000000000000\"}\n\n");
    }

    #[test]
    fn a_stream_resumes_only_after_a_number() {
        assert_eq!(last_seen(Some("17")), Ok(Some(17)));
        assert_eq!(last_seen(Some("")), Ok(None));
        assert_eq!(last_seen(Some("x")).map_err(|p| p.document()["code"].clone()), Err("invalid_last_event_id".into()));
    }
}
