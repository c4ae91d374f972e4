//! What is said to connections that no request was taken from, and how a connection is left behind whose client still
//! writes: its answer must reach it all the same.

use crate::lean;
use crate::problem::Problem;
use crate::watch;
use axum::response::IntoResponse;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use uuid::Uuid;

/// Longest that a refusal waits for a client that takes nothing.
const SAYING: Duration = Duration::from_secs(5);
/// Longest that a client which was refused may go on writing before the connection is cut.
const LINGER: Duration = Duration::from_secs(15);
/// Longest pause in that.
const LINGER_PAUSE: Duration = Duration::from_secs(2);
/// How much is read and forgotten at once, in bytes.
const SINK: usize = 16 * 1024;
/// When somebody for whom there was no place should come again.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// Every place is taken.
pub(crate) fn full() -> Problem {
    let detail = "every connection that this server may have is taken; try again in some seconds";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", detail).retry_after(COME_AGAIN)
}

/// The address has its share.
pub(crate) fn full_for_address(most: usize) -> Problem {
    let detail =
        format!("there are {most} connections from this address, which is what one may have; close some, or use one for several requests");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_connections", detail).retry_after(COME_AGAIN)
}

/// The head of the request did not come in time.
pub(crate) fn slow_head(patience: Duration) -> Problem {
    let detail = format!("the head of the request was not whole after {} s; send it at once", patience.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "head_too_slow", detail)
}

/// The head of the request is too long.
pub(crate) fn large_head(most: usize) -> Problem {
    let detail = format!("the head of the request is larger than {most} bytes; send shorter fields, or fewer");
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", detail)
}

/// The head of the request has too many fields.
pub(crate) fn many_fields(most: usize) -> Problem {
    let detail = format!("the head of the request has more than {most} fields; send fewer");
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", detail)
}

/// Says it, and leaves the connection in order.
pub(crate) async fn refuse(socket: &mut (impl AsyncRead + AsyncWrite + Unpin), problem: Problem) {
    let id = Uuid::now_v7().to_string();
    let mut response = problem.clone().into_response();
    problem.write(&mut response, &id);
    watch::dress(response.headers_mut(), &id);
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else { return };
    let body = body.to_bytes();
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let mut out = lean::head(&parts, true);
    out.extend_from_slice(&body);
    if matches!(timeout(SAYING, socket.write_all(&out)).await, Ok(Ok(()))) {
        linger(socket).await;
    }
}

/// Closes our side and reads on for a while (RFC 9112 §9.6): a connection that is closed before everything was read is
/// reset, and its client, which was still writing, may never see what it was answered.
pub(crate) async fn linger(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    // A connection that cannot be closed in order has nobody at its other end.
    if socket.shutdown().await.is_ok() {
        forget(socket, LINGER, LINGER_PAUSE).await;
    }
}

async fn forget(socket: &mut (impl AsyncRead + Unpin), most: Duration, pause: Duration) {
    let mut sink = vec![0; SINK];
    let reading = async { while matches!(timeout(pause, socket.read(&mut sink)).await, Ok(Ok(1..))) {} };
    // Whoever writes for longer than that has not listened for as long.
    let _ = timeout(most, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test]
    async fn a_client_that_still_writes_gets_its_answer() {
        let (mut near, mut far) = tokio::io::duplex(1_024);
        let writing = async {
            far.write_all(&[b'x'; 100_000]).await.expect("somebody reads");
            far.shutdown().await.expect("in order");
            let mut said = String::new();
            far.read_to_string(&mut said).await.expect("an answer");
            said
        };
        let (said, ()) = tokio::join!(writing, refuse(&mut near, full()));
        assert!(said.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && said.contains("retry-after: 5\r\n"), "{said}");
        assert!(said.contains("connection: close\r\n") && said.contains("\"code\":\"too_many_connections\""), "{said}");
    }

    #[tokio::test]
    async fn nobody_lingers_for_ever() {
        let (most, pause) = (Duration::from_millis(300), Duration::from_millis(100));
        let (mut near, mut far) = tokio::io::duplex(64);
        let begun = Instant::now();
        let dripping = async {
            while far.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = dripping => panic!("it is read until it is enough"),
            () = forget(&mut near, most, pause) => assert!(begun.elapsed() >= most),
        }
        let (mut near, _silent) = tokio::io::duplex(64);
        let begun = Instant::now();
        forget(&mut near, Duration::from_secs(60), pause).await;
        assert!((pause..Duration::from_secs(30)).contains(&begun.elapsed()));
    }
}
