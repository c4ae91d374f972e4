//! One connection of the fake, in one task: requests are taken, checked and answered without a task of their own, so
//! that the fake is faster than what it measures.

use super::rules::{self, Answer, Seen};
use super::{Arrival, State};
use crate::noise::Noisy;
use crate::script::{Mode, PAGE, Script};
use bytes::{Bytes, BytesMut};
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;

/// Most bytes of a request that are kept; the original refuses above 4 KiB anyway.
const MOST_BODY_BYTES: usize = 64 << 10;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves one connection until it closes.
pub(super) async fn connection(state: Arc<State>, tls: Option<TlsAcceptor>, stream: TcpStream) {
    state.counters.connections.fetch_add(1, Ordering::Relaxed);
    let Some(acceptor) = tls else { return serve(state, stream).await };
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        serve(state, stream).await;
    }
}

/// What becomes of a connection after a look at it.
enum Next {
    /// It goes on.
    On,
    /// It ends without a farewell.
    Cut,
}

struct Serving {
    state: Arc<State>,
    follow: watch::Receiver<Arc<Script<Answer>>>,
    script: Arc<Script<Answer>>,
    follow_checks: watch::Receiver<Arc<super::Checks>>,
    checks: Arc<super::Checks>,
    seen: Seen,
    /// Requests whose body is not whole yet.
    partial: Vec<Partial>,
    /// Answers that wait for their time; each mode makes due times in order.
    held: VecDeque<(Instant, Pending)>,
    timer: Pin<Box<Sleep>>,
    /// Answers that never come. Dropping one would reset its stream.
    stalled: Vec<SendResponse<Bytes>>,
    taken: u64,
    leaving: Option<bool>,
}

struct Partial {
    head: Parts,
    body: RecvStream,
    kept: BytesMut,
    respond: SendResponse<Bytes>,
}

struct Pending {
    answer: Answer,
    apns_id: Option<HeaderValue>,
    /// The answer is a page of somebody else.
    page: bool,
    respond: SendResponse<Bytes>,
}

async fn serve<T: AsyncRead + AsyncWrite + Unpin>(state: Arc<State>, io: T) {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(state.streams)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .max_pending_accept_reset_streams(10_000)
        .max_concurrent_reset_streams(10_000);
    let Ok(Ok(mut connection)) = tokio::time::timeout(HANDSHAKE, builder.handshake::<_, Bytes>(Noisy::new(io, state.script.noise()))).await
    else {
        return;
    };
    let follow = state.script.follow();
    let follow_checks = state.checks.subscribe();
    let (script, checks) = (state.script.now(), follow_checks.borrow().clone());
    let mut serving = Serving {
        state,
        follow,
        script,
        follow_checks,
        checks,
        seen: Seen::default(),
        partial: Vec::new(),
        held: VecDeque::new(),
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        stalled: Vec::new(),
        taken: 0,
        leaving: None,
    };
    poll_fn(|cx| serving.poll(&mut connection, cx)).await;
}

impl Serving {
    fn poll<T: AsyncRead + AsyncWrite + Unpin>(&mut self, connection: &mut server::Connection<T, Bytes>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    if matches!(self.take(request, respond, cx), Next::Cut) {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => {
                    let moved = self.poll_partial(cx) | self.poll_held(cx);
                    match self.leaving.take() {
                        Some(true) => connection.abrupt_shutdown(Reason::NO_ERROR),
                        Some(false) => connection.graceful_shutdown(),
                        None if moved => {}
                        None => return Poll::Pending,
                    }
                }
            }
        }
    }

    fn take(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>, cx: &mut Context<'_>) -> Next {
        if self.follow.has_changed().unwrap_or(false) {
            self.script = self.follow.borrow_and_update().clone();
        }
        if self.script.mode == Mode::Reset {
            return Next::Cut;
        }
        let (head, body) = request.into_parts();
        let mut partial = Partial { head, body, kept: BytesMut::new(), respond };
        match partial.poll(cx) {
            Poll::Ready(Some(payload)) => self.decide(partial, &payload),
            Poll::Ready(None) => {}
            Poll::Pending => self.partial.push(partial),
        }
        Next::On
    }

    fn poll_partial(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        let mut at = 0;
        while at < self.partial.len() {
            match self.partial[at].poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(payload) => {
                    let partial = self.partial.swap_remove(at);
                    if let Some(payload) = payload {
                        self.decide(partial, &payload);
                    }
                    moved = true;
                }
            }
        }
        moved
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some((due, _)) = self.held.front() {
            let due = *due;
            if due > Instant::now() {
                self.timer.as_mut().reset(due.into());
                if self.timer.as_mut().poll(cx).is_pending() {
                    break;
                }
            }
            if let Some((_, pending)) = self.held.pop_front() {
                pending.send();
                moved = true;
            }
        }
        moved
    }

    /// Counts and logs a whole request, and answers it now, later or never.
    fn decide(&mut self, partial: Partial, payload: &[u8]) {
        let state = self.state.clone();
        let (counters, now) = (&state.counters, crate::unix_micros());
        counters.requests.fetch_add(1, Ordering::Relaxed);
        counters.last_micros.store(now, Ordering::Relaxed);
        if counters.first_micros.load(Ordering::Relaxed) == 0 {
            counters.first_micros.store(now, Ordering::Relaxed);
        }
        self.taken += 1;
        let answer = self.answer(&partial.head, payload, now);
        let stall = self.script.mode.is_mute();
        let token = rules::token_of(&partial.head).unwrap_or("");
        if answer.status == 200 && !stall {
            counters.accepted.fetch_add(1, Ordering::Relaxed);
            state.tally.lock().count(token);
        } else if !stall {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            counters.wrong_text.fetch_add(u64::from(answer.reason == "WrongText"), Ordering::Relaxed);
        }
        state.recent.keep(|| Arrival {
            at_micros: now,
            token: token.to_owned(),
            headers: headers_of(&partial.head),
            payload: String::from_utf8_lossy(payload).into_owned(),
            status: if stall { 0 } else { answer.status },
            reason: answer.reason.clone(),
        });
        if self.script.mode == Mode::Stall {
            self.stalled.push(partial.respond);
            return;
        }
        if let Mode::Goaway { after, abrupt } = self.script.mode
            && self.taken >= after
        {
            self.leaving = Some(abrupt);
        }
        let apns_id = partial.head.headers.get("apns-id").cloned();
        let pending = Pending { answer, apns_id, page: self.script.mode.page().is_some(), respond: partial.respond };
        match self.due() {
            Some(due) => self.held.push_back((due, pending)),
            None => pending.send(),
        }
    }

    fn due(&self) -> Option<Instant> {
        match self.script.mode {
            Mode::Slow { .. } => Some(Instant::now() + self.script.mode.latency()),
            Mode::Rate { per_second } => Some(self.state.pace.turn(per_second, Instant::now())),
            Mode::Goaway { abrupt: true, .. } => Some(Instant::now() + Duration::from_secs(60)),
            Mode::Ok | Mode::Limit { .. } | Mode::Refuse { .. } | Mode::Goaway { .. } | Mode::Noise | Mode::Babble { .. } => None,
            Mode::Reset | Mode::Stall | Mode::Closed => None,
        }
    }

    fn answer(&mut self, head: &Parts, payload: &[u8], now_micros: u64) -> Answer {
        let Some(token) = rules::token_of(head) else { return Answer::refused(404, "BadPath") };
        if !self.script.answers.is_empty()
            && let Some(answer) = self.script.answers.get(token)
        {
            return answer.clone();
        }
        match &self.script.mode {
            Mode::Babble { status } => return Answer::refused(*status, "Page"),
            Mode::Refuse { status, reason, retry_after_seconds } => {
                return Answer { retry_after_seconds: *retry_after_seconds, ..Answer::refused(*status, reason) };
            }
            Mode::Limit { per_second, retry_after_seconds } if !self.state.pace.fits(*per_second, Instant::now()) => {
                return Answer { retry_after_seconds: *retry_after_seconds, ..Answer::refused(429, "TooManyRequests") };
            }
            Mode::Limit { .. } | Mode::Ok | Mode::Slow { .. } | Mode::Rate { .. } => {}
            Mode::Reset | Mode::Goaway { .. } | Mode::Stall | Mode::Noise | Mode::Closed => {}
        }
        if self.follow_checks.has_changed().unwrap_or(false) {
            self.checks = self.follow_checks.borrow_and_update().clone();
            self.seen = Seen::default();
        }
        let shift = self.state.clock_shift_seconds.load(Ordering::Relaxed);
        let now = i64::try_from(now_micros / 1_000_000).unwrap_or(0) + shift;
        rules::examine(head, payload, &self.checks, &mut self.seen, now).unwrap_or_else(Answer::accepted)
    }
}

impl Partial {
    /// Reads what came; the whole payload when it has ended, `None` when the stream broke or is beyond any limit.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match self.body.poll_data(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Some(self.kept.split().freeze())),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(None),
                Poll::Ready(Some(Ok(data))) => {
                    let _ = self.body.flow_control().release_capacity(data.len());
                    if self.kept.is_empty() && self.body.is_end_stream() {
                        return Poll::Ready(Some(data));
                    }
                    if self.kept.len() + data.len() > MOST_BODY_BYTES {
                        return Poll::Ready(None);
                    }
                    self.kept.extend_from_slice(&data);
                }
            }
        }
    }
}

impl Pending {
    fn send(mut self) {
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(self.answer.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        let id = self.apns_id.take().or_else(|| HeaderValue::try_from(uuid::Uuid::new_v4().to_string()).ok());
        if let Some(mut id) = id {
            id.set_sensitive(true);
            headers.insert("apns-id", id);
        }
        if let Some(seconds) = self.answer.retry_after_seconds {
            headers.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.page {
            headers.remove("apns-id");
            if let Ok(mut stream) = self.respond.send_response(response, false) {
                let _ = stream.send_data(Bytes::from_static(PAGE.as_bytes()), true);
            }
            return;
        }
        if self.answer.status == 200 {
            let _ = self.respond.send_response(response, true);
            return;
        }
        let mut body = serde_json::json!({"reason": self.answer.reason});
        if let Some(timestamp) = self.answer.timestamp {
            body["timestamp"] = timestamp.into();
        }
        if let Ok(mut stream) = self.respond.send_response(response, false) {
            let _ = stream.send_data(Bytes::from(body.to_string()), true);
        }
    }
}

fn headers_of(head: &Parts) -> std::collections::HashMap<String, String> {
    let named = head.headers.iter().filter(|(name, _)| name.as_str().starts_with("apns-") || *name == http::header::AUTHORIZATION);
    named.map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}
