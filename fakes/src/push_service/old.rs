//! A connection to a fake that speaks HTTP/1.1 only. It checks and counts as the other does, and knows no modes.

use super::rules::{self, Answer, Seen};
use super::{Arrival, State};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Serves one connection until it closes.
pub(super) async fn connection(state: Arc<State>, acceptor: TlsAcceptor, stream: TcpStream) {
    state.counters.connections.fetch_add(1, Ordering::Relaxed);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| answer(state.clone(), request));
    // Ends with the client's connection, whole or cut.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (now, checks) = (crate::unix_micros(), state.checks.borrow().clone());
    let seconds = i64::try_from(now / 1_000_000).unwrap_or(0) + state.clock_shift_seconds.load(Ordering::Relaxed);
    let subscription = rules::subscription_of(&head).unwrap_or("").to_owned();
    let examined = match state.script.now().answers.get(&subscription) {
        Some(answer) => Err(answer.clone()),
        None => rules::examine(&head, &body, &checks, &mut Seen::default(), seconds),
    };
    let (answer, plain) = examined.map_or_else(|answer| (answer, None), |plain| (Answer::accepted(), plain));
    state.counters.requests.fetch_add(1, Ordering::Relaxed);
    if answer.status == 201 {
        state.counters.accepted.fetch_add(1, Ordering::Relaxed);
        state.tally.lock().count(&subscription);
    } else {
        state.counters.refused.fetch_add(1, Ordering::Relaxed);
    }
    state.recent.keep(|| Arrival {
        at_micros: now,
        subscription,
        headers: texts(&head.headers),
        bytes: body.len(),
        body: body.clone(),
        payload: String::from_utf8_lossy(&plain.unwrap_or_default()).into_owned(),
        status: answer.status,
        reason: answer.reason.clone(),
    });
    let mut response = Response::new(Full::from(answer.body()));
    *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    Ok(response)
}

fn texts(headers: &HeaderMap) -> std::collections::HashMap<String, String> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}
