//! Inbox streams that cost little. Tens of thousands of apps hold one each and say nothing for hours, so a connection whose
//! first request asks for a stream is not given to hyper, which keeps two buffers of 8 KiB for it: the request's head is read
//! here, goes through the same router as every other, and the answer is written by a task that holds the socket, the
//! stream and a timer. The connection serves that one request and says so (`Connection: close`).
//!
//! Whatever is not plainly such a request (another path or method, a body, bytes behind the head, a head that is wrong)
//! goes to hyper with all that was read, as does a stream that is asked for on a connection in use. A first head that is too
//! large or too slow is refused here, for every path.

use crate::aside;
use crate::pace::Peer;
use crate::problem::Problem;
use crate::stream::{BEAT, HEARTBEAT, RETRY, Seat, event, text};
use axum::Router;
use axum::body::Body;
use bytes::{Buf, Bytes};
use engine::inbox::InboxStream;
use http::{HeaderName, HeaderValue, Request, Uri, Version, header, response};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What the head of a request for a stream begins with.
const BEGINNING: &[u8] = b"GET /api/v1/device/inbox/stream";
/// Largest head of a connection's first request, in bytes.
pub(crate) const HEAD_BYTES: usize = 16 * 1024;
/// Room for the head that a request usually has.
const HEAD_USUAL: usize = 1024;
/// Most fields in a head; hyper's own bound.
const FIELDS: usize = 100;
/// Longest that a write may wait for an app that takes nothing.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// The end of a chunked body (RFC 9112 §7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What a connection begins with.
pub(crate) enum First {
    /// A request for a stream, and nothing behind it.
    Stream(Box<Request<Body>>),
    /// Something else; these bytes of it were read.
    Other(Bytes),
    /// A head that is too large or too slow, and what is said to it.
    Refused(Box<Problem>),
    /// Nothing: it ended, said nothing, or the server stops.
    Nothing,
}

/// Reads until it is known what the first request of a connection is. Before its first byte, `stop` ends it.
pub(crate) async fn first(socket: &mut (impl AsyncRead + Unpin), patience: Duration, stop: &CancellationToken) -> First {
    let mut read = Vec::with_capacity(HEAD_USUAL);
    let reading = async {
        loop {
            let ended = tokio::select! {
                biased;
                got = socket.read_buf(&mut read) => !matches!(got, Ok(1..)),
                () = stop.cancelled(), if read.is_empty() => true,
            };
            if ended {
                return First::Nothing;
            }
            match sort(&read) {
                Sort::Stream(request) => return First::Stream(request),
                Sort::Other => return First::Other(std::mem::take(&mut read).into()),
                Sort::ManyFields => return First::Refused(Box::new(aside::many_fields(FIELDS))),
                Sort::Unfinished if read.len() >= HEAD_BYTES => return First::Refused(Box::new(aside::large_head(HEAD_BYTES))),
                Sort::Unfinished => {}
            }
        }
    };
    let end = timeout(patience, reading).await;
    match end {
        Ok(first) => first,
        Err(_) if read.is_empty() => First::Nothing,
        Err(_) => First::Refused(Box::new(aside::slow_head(patience))),
    }
}

enum Sort {
    Stream(Box<Request<Body>>),
    Other,
    ManyFields,
    Unfinished,
}

fn sort(read: &[u8]) -> Sort {
    let known = read.len().min(BEGINNING.len());
    let usual = read[..known] != BEGINNING[..known] || read.get(known).is_some_and(|byte| !matches!(byte, b' ' | b'?'));
    if usual && read[0].is_ascii_alphabetic() && !is_whole(read) {
        return Sort::Unfinished;
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(read) {
        Err(httparse::Error::TooManyHeaders) => Sort::ManyFields,
        Ok(_) if usual => Sort::Other,
        Ok(httparse::Status::Partial) => Sort::Unfinished,
        Ok(httparse::Status::Complete(length)) if length == read.len() => request(&head).map_or(Sort::Other, |r| Sort::Stream(Box::new(r))),
        Ok(httparse::Status::Complete(_)) | Err(_) => Sort::Other,
    }
}

/// What is known of a connection's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A whole request for a stream.
    Stream,
    /// Something for hyper.
    Other,
    /// A head with too many fields.
    ManyFields,
    /// Nothing yet.
    Unfinished,
}

/// What is known of a connection's first bytes.
pub fn known(read: &[u8]) -> Head {
    if read.is_empty() {
        return Head::Unfinished;
    }
    match sort(read) {
        Sort::Stream(_) => Head::Stream,
        Sort::Other => Head::Other,
        Sort::ManyFields => Head::ManyFields,
        Sort::Unfinished => Head::Unfinished,
    }
}

/// Whether there is an empty line, which ends a head (RFC 9112 §2.1).
fn is_whole(read: &[u8]) -> bool {
    read.windows(3).any(|three| three == b"\n\r\n") || read.windows(2).any(|two| two == b"\n\n")
}

/// The request, unless it is one with a body or with a wish that only hyper fulfils.
fn request(head: &httparse::Request<'_, '_>) -> Option<Request<Body>> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::try_from(head.path?).ok()?;
    *request.version_mut() = if head.version? == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    for field in head.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT, header::UPGRADE].contains(&name) {
            return None;
        }
        request.headers_mut().append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(request)
}

/// An open stream and its way to the app.
pub(crate) struct Held {
    socket: TcpStream,
    inbox: InboxStream,
    /// Whether the body goes in chunks; for HTTP/1.0 it ends with the connection.
    chunked: bool,
}

/// Asks the router and writes what it answers: a refusal in full, of a stream the head and the first line. Boxed by the
/// caller, so that nothing of this is kept while the stream is open.
pub(crate) async fn answer(mut socket: TcpStream, mut request: Request<Body>, router: Router, peer: Peer) -> Option<Held> {
    let (seat, chunked) = (Seat::default(), request.version() == Version::HTTP_11);
    request.extensions_mut().insert(seat.clone());
    request.extensions_mut().insert(peer);
    let Ok(response) = TowerToHyperService::new(router).call(request).await;
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let inbox = seat.take().filter(|_| parts.status.is_success());
    let rest = if inbox.is_some() {
        parts.headers.remove(header::CONTENT_LENGTH);
        if chunked {
            parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        framed(&RETRY, chunked)
    } else {
        let whole = body.collect().await.ok()?.to_bytes();
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
        whole
    };
    let mut out = head(&parts, chunked);
    out.extend_from_slice(&rest);
    timeout(WRITE_PATIENCE, socket.write_all(&out)).await.ok()?.ok()?;
    let Some(inbox) = inbox else {
        // An answer that cannot be ended in order was not taken: nobody is left to tell.
        let _ = socket.shutdown().await;
        return None;
    };
    Some(Held { socket, inbox, chunked })
}

fn framed(chunk: &Bytes, chunked: bool) -> Bytes {
    if chunked { chunk.clone() } else { text(chunk) }
}

/// The head of an answer (RFC 9112 §4), in the version of the request.
pub(crate) fn head(parts: &response::Parts, one_one: bool) -> Vec<u8> {
    let version = if one_one { "HTTP/1.1" } else { "HTTP/1.0" };
    let reason = parts.status.canonical_reason().unwrap_or("");
    let mut out = format!("{version} {} {reason}\r\n", parts.status.as_str()).into_bytes();
    for (name, value) in &parts.headers {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(piece);
        }
    }
    let now = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now());
    if let Ok(now) = now
        && !parts.headers.contains_key(header::DATE)
    {
        out.extend_from_slice(format!("date: {now}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Writes the stream until it ends, the app goes away, or the server stops. This is what an open stream costs, so it
/// keeps no buffer and one timer: between two writes for the heartbeat, in a write for its patience.
#[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
pub(crate) fn hold(mut held: Held, stop: CancellationToken) -> impl Future<Output = ()> + Send {
    async move {
        let mut stopped = pin!(stop.cancelled());
        let mut timer = pin!(sleep(HEARTBEAT));
        loop {
            let said = tokio::select! {
                biased;
                () = stopped.as_mut() => break,
                () = gone(&held.socket) => return,
                item = held.inbox.next() => match item {
                    Some(item) => event(&item),
                    None => break,
                },
                () = timer.as_mut() => BEAT.clone(),
            };
            timer.as_mut().reset(Instant::now() + WRITE_PATIENCE);
            let written = tokio::select! {
                biased;
                written = write(&held.socket, framed(&said, held.chunked)) => written,
                () = stopped.as_mut() => return,
                () = timer.as_mut() => return,
            };
            if written.is_err() {
                return;
            }
            timer.as_mut().reset(Instant::now() + HEARTBEAT);
        }
        // As far as it goes at once: an app that does not take the end sees the connection's.
        if held.chunked {
            let _ = held.socket.try_write(LAST_CHUNK);
        }
        let _ = held.socket.shutdown().await;
    }
}

/// Waits until the app closes its side. It was told that no other request is taken here, so bytes mean the same.
async fn gone(socket: &TcpStream) {
    poll_fn(|context| {
        loop {
            if ready!(socket.poll_read_ready(context)).is_err() {
                return Poll::Ready(());
            }
            match socket.try_read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Poll::Ready(()),
            }
        }
    })
    .await;
}

async fn write(socket: &TcpStream, mut rest: Bytes) -> io::Result<()> {
    poll_fn(|context| {
        while !rest.is_empty() {
            match socket.try_write(&rest) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => rest.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_write_ready(context))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const WHOLE: &str = "GET /api/v1/device/inbox/stream?lastEventId=7 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\n\r\n";

    fn is_other(read: &str) -> bool {
        matches!(sort(read.as_bytes()), Sort::Other)
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.expect("connected"), far.expect("accepted").0)
    }

    #[test]
    fn a_request_for_a_stream_is_known_when_its_head_is_whole() {
        for length in 0..WHOLE.len() {
            assert!(matches!(sort(&WHOLE.as_bytes()[..length]), Sort::Unfinished), "{:?}", &WHOLE[..length]);
        }
        let Sort::Stream(request) = sort(WHOLE.as_bytes()) else { panic!("it is one") };
        assert_eq!((request.uri().query(), request.version()), (Some("lastEventId=7"), Version::HTTP_11));
        assert_eq!(request.headers().get("authorization").map(HeaderValue::as_bytes), Some(&b"Bearer a"[..]));
    }

    #[test]
    fn what_only_resembles_it_goes_the_usual_way() {
        assert!(is_other("POST /api/v1/device/inbox/stream HTTP/1.1\r\n\r\n"));
        assert!(is_other("GET /api/v1/device/inbox/streams HTTP/1.1\r\n\r\n"));
        for end in ["\r\n\r\n", "\n\n", "\n\r\n", "\r\n\n"] {
            assert!(is_other(&format!("GET /api/v1/x HTTP/1.1{end}")), "{end:?} ends a head");
        }
        assert!(is_other("\u{16}\u{3}"), "TLS");
        assert!(is_other(&format!("{WHOLE}G")), "bytes behind the head");
        for field in ["Content-Length: 1", "Transfer-Encoding: chunked", "Expect: 100-continue", "Upgrade: websocket", "no colon"] {
            assert!(is_other(&WHOLE.replace("Host: x", field)), "{field}");
        }
    }

    #[test]
    fn every_head_is_awaited_and_its_fields_are_counted() {
        for whole in [WHOLE, "PATCH /x HTTP/1.1\r\nHost: x\r\n\r\n"] {
            for length in 1..whole.len() {
                assert!(matches!(sort(&whole.as_bytes()[..length]), Sort::Unfinished), "{:?}", &whole[..length]);
            }
            let fields = |n: usize| whole.replace("Host: x\r\n", &"a: b\r\n".repeat(n));
            assert!(matches!(sort(fields(FIELDS + 1).as_bytes()), Sort::ManyFields));
            assert!(!matches!(sort(fields(FIELDS - 1).as_bytes()), Sort::ManyFields));
        }
    }

    #[tokio::test]
    async fn a_head_that_is_too_slow_is_told_and_one_that_is_cut_off_is_nothing() {
        let (mut near, mut far) = tokio::io::duplex(1_024);
        let stop = CancellationToken::new();
        near.write_all(&WHOLE.as_bytes()[..40]).await.expect("room");
        let begun = Instant::now();
        let First::Refused(problem) = first(&mut far, Duration::from_millis(50), &stop).await else { panic!("it is slow") };
        assert!(begun.elapsed() >= Duration::from_millis(50));
        assert_eq!(problem.document()["code"], "head_too_slow");
        assert!(matches!(first(&mut far, Duration::from_millis(50), &stop).await, First::Nothing), "nothing was said");
        near.write_all(b"GET /api").await.expect("room");
        drop(near);
        assert!(matches!(first(&mut far, Duration::from_secs(5), &stop).await, First::Nothing));
    }

    #[tokio::test]
    async fn a_stopping_server_waits_for_a_begun_head_and_for_no_other() {
        let (mut near, mut far) = tokio::io::duplex(1_024);
        let stop = CancellationToken::new();
        stop.cancel();
        assert!(matches!(first(&mut far, Duration::from_secs(5), &stop).await, First::Nothing));
        near.write_all(&WHOLE.as_bytes()[..40]).await.expect("room");
        let (read, written) = tokio::join!(first(&mut far, Duration::from_secs(5), &stop), near.write_all(&WHOLE.as_bytes()[40..]));
        written.expect("room");
        assert!(matches!(read, First::Stream(_)));
    }

    #[tokio::test]
    async fn a_write_goes_on_when_the_app_reads_again() {
        let (near, mut far) = pair().await;
        let said: Bytes = (0..16 << 20).map(|n: u32| n.to_le_bytes()[1]).collect::<Vec<u8>>().into();
        let reading = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut read = vec![0; said.len()];
            far.read_exact(&mut read).await.map(|_| read)
        };
        let (written, read) = tokio::join!(write(&near, said.clone()), reading);
        written.expect("it goes through");
        assert!(read.expect("all of it") == said, "in order");
    }
}
