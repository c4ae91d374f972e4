//! What happens around every request: its id, its bounds in time, its headers, its metrics.

use crate::App;
use crate::problem::Problem;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use model::Refusal;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tracing::Instrument;
use uuid::Uuid;

/// Longest that a caller waits for an answer to begin. Imports and exports take as long as they take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Paths whose answers may take longer.
const PATIENT: &str = "/api/v1/directory/";
/// Longest request id that is taken over from a caller.
const ID_BYTES: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives a request its id and an answer its headers; writes problem documents; counts.
pub async fn sealed(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    // Inside, it is known by the same id: integrations show it in their own way.
    request.headers_mut().insert(REQUEST_ID, HeaderValue::try_from(&id).expect("ids are visible ASCII"));
    let method = method_word(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let span = tracing::info_span!("request", request = id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let _within = span.enter();
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.write(&mut response, &id);
    }
    dress(response.headers_mut(), &id);
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
    let (status, took) = (response.status(), started.elapsed());
    metrics::counter!("carillon_http_requests_total", "method" => method, "route" => route.clone(), "status" => status_class(status))
        .increment(1);
    metrics::histogram!("carillon_http_request_seconds", "method" => method, "route" => route.clone()).record(took.as_secs_f64());
    let took_ms = took.as_secs_f64() * 1_000.0;
    if status.is_server_error() {
        tracing::warn!(method, route, status = status.as_u16(), took_ms, "answered with a failure");
    } else {
        tracing::debug!(method, route, status = status.as_u16(), took_ms, "answered");
    }
    response
}

/// Tells the audit of refusals for want of a right, with the operation that was asked for.
pub async fn refused(State((app, operation)): State<(App, &'static str)>, request: Request, next: Next) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    let response = next.run(request).await;
    if response.status() == StatusCode::FORBIDDEN
        && let Some(code) = response.extensions().get::<Problem>().map(Problem::code)
        && let Some(bearer) = authorization.as_ref().and_then(|value| value.to_str().ok()?.split_once(' ')).map(|(_, bearer)| bearer.trim())
        && let Ok(actor) = app.engine.actor(bearer).await
    {
        app.engine.refused(&actor, operation, code).await;
    }
    response
}

/// A caller's own id, when it is short and plain; otherwise a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(&REQUEST_ID).and_then(|v| v.to_str().ok());
    let plain =
        |text: &&str| !text.is_empty() && text.len() <= ID_BYTES && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    given.filter(plain).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Metrics have one label for each hundred of statuses.
fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// Metrics have one label for each method that there is, and one for all others.
fn method_word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// Headers of every answer. The API's answers hold nothing to be shown in a page, so nothing may be loaded from them;
/// the viewer sets its own policy.
pub(crate) fn dress(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Bounds a request in time, and lets a change that was begun come to its end: a caller who hangs up in the middle of it
/// must not leave half of what follows a commit (open streams, waiting deliveries, cached tokens) undone.
pub async fn bounded(request: Request, next: Next) -> Response {
    let patience = if request.uri().path().starts_with(PATIENT) { Duration::MAX } else { PATIENCE };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let answer = if reads {
        let run = AssertUnwindSafe(next.run(request)).catch_unwind();
        tokio::time::timeout(patience, run).await.map(|ran| ran.map_err(|_| ()))
    } else {
        let run = tokio::spawn(next.run(request).in_current_span());
        tokio::time::timeout(patience, run).await.map(|ran| ran.map_err(|_| ()))
    };
    match answer {
        Ok(Ok(response)) => response,
        Ok(Err(())) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a fault of the server; its log has more under this request's id")
                .into_response()
        }
        Err(_) => {
            let detail = format!(
                "there was no answer within {} s; a change may still be made: repeat it with its Idempotency-Key",
                PATIENCE.as_secs()
            );
            Problem::from(Refusal { code: "timeout", ..Refusal::unavailable(detail) }).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_request_id_is_taken_over_when_it_is_plain() {
        let with = |id: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_static(id));
            request_id(&headers)
        };
        assert_eq!(with("job-17.a_B"), "job-17.a_B");
        assert_ne!(with("a b"), "a b");
        assert_eq!(request_id(&HeaderMap::new()).len(), 36);
    }
}
