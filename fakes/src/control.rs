//! A fake's control page: plain HTTP on a loopback port of its own, for the demo, the stories and the benchmarks.
//!
//! `GET /_fake/log?limit=N` says what arrived, `GET /_fake/stats` counts it, `POST /_fake/mode` changes the behaviour,
//! `POST /_fake/clear` forgets what arrived.

use crate::door::{self, Door};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

/// Most bytes of a request to the control page.
const MOST_BODY_BYTES: usize = 4 << 20;
/// Entries of the log unless the caller says how many.
const LOG_LIMIT: usize = 100;

/// What a fake shows and lets be changed.
pub(crate) trait Page: Send + Sync + 'static {
    /// What this is, in one sentence.
    fn title(&self) -> &'static str;
    /// The last `limit` arrivals, oldest first.
    fn log(&self, limit: usize) -> Value;
    /// Counters.
    fn stats(&self) -> Value;
    /// Changes the behaviour.
    fn change(&self, wanted: Value) -> Result<(), String>;
    /// Forgets what arrived; the behaviour stays.
    fn clear(&self);
}

/// Serves the page until the door is gone, even while the fake itself is shut.
pub(crate) async fn open(addr: SocketAddr, page: Arc<dyn Page>, door: watch::Receiver<Door>) -> io::Result<SocketAddr> {
    let (listener, addr) = door::bind(addr).await?;
    tokio::spawn(async move {
        let mut ending = door.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = ending.wait_for(|d| *d == Door::Gone) => return,
            };
            let Ok((stream, _)) = accepted else { continue };
            let _ = stream.set_nodelay(true);
            let (page, mut ending) = (page.clone(), door.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(page.clone(), request));
                let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::select! { _ = serving => {}, _ = ending.wait_for(|d| *d == Door::Gone) => {} }
            });
        }
    });
    Ok(addr)
}

async fn answer(page: Arc<dyn Page>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, value) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/_fake/log") => {
            let query = request.uri().query().unwrap_or("");
            let limit = query.split('&').find_map(|pair| pair.strip_prefix("limit=")).and_then(|n| n.parse().ok());
            (StatusCode::OK, page.log(limit.unwrap_or(LOG_LIMIT)))
        }
        (&Method::GET, "/_fake/stats") => (StatusCode::OK, page.stats()),
        (&Method::POST, "/_fake/mode") => match wanted(request).await.and_then(|w| page.change(w)) {
            Ok(()) => (StatusCode::OK, json!({"ok": true})),
            Err(problem) => (StatusCode::BAD_REQUEST, json!({"error": problem})),
        },
        (&Method::POST, "/_fake/clear") => {
            page.clear();
            (StatusCode::OK, json!({"ok": true}))
        }
        _ => {
            let pages = ["GET /_fake/log?limit=100", "GET /_fake/stats", "POST /_fake/mode", "POST /_fake/clear"];
            (StatusCode::NOT_FOUND, json!({"fake": page.title(), "pages": pages}))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(format!("{value:#}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}

async fn wanted(request: Request<Incoming>) -> Result<Value, String> {
    let body = Limited::new(request.into_body(), MOST_BODY_BYTES).collect().await.map_err(|e| e.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|e| format!("the body is not JSON: {e}"))
}
