//! Problem documents (RFC 9457): how a refusal looks on the wire. Every refusal of this server is one of them, also those
//! of the router and of bodies that are not JSON. Handlers return a [`Problem`]; the outermost layer gives it its
//! `instance` and writes it, so that the request's id is in every one.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use model::{Fault, Refusal, RefusalKind};
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

/// The media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Longest sentence of an answer; some quote what was sent, which may be long.
const SENTENCE_CHARS: usize = 2_000;

/// A limit that was reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Limit {
    name: String,
    allowed: u64,
    window_seconds: u64,
    retry_after_seconds: u64,
}

/// A refusal, ready for the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<Fault>,
    ids: Vec<Uuid>,
    limit: Option<Limit>,
    fault_count: Option<u64>,
    retry_after: Option<Duration>,
}

/// The document itself, in the order in which people read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
    #[serde(skip_serializing_if = "Option::is_none")]
    fault_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a Limit>,
    #[serde(skip_serializing_if = "<[Uuid]>::is_empty")]
    ids: &'a [Uuid],
}

impl Problem {
    /// A problem of the web room itself.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            ids: Vec::new(),
            limit: None,
            fault_count: None,
            retry_after: None,
        }
    }

    /// A malformed request that has a name for what is wrong.
    pub fn malformed(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The same, about one field.
    pub fn malformed_field(code: &'static str, field: &str, message: &str) -> Problem {
        let detail = if field.is_empty() { message.to_owned() } else { format!("{field}: {message}") };
        let errors = if field.is_empty() { vec![] } else { vec![Fault { field: field.to_owned(), message: message.to_owned() }] };
        Problem { errors, ..Problem::malformed(code, detail) }
    }

    /// With the number of all bad cells of an import, of which only the first are listed.
    #[must_use]
    pub fn with_fault_count(mut self, count: u64) -> Problem {
        self.fault_count = Some(count);
        self
    }

    /// With the time after which to try again.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Problem {
        Problem { retry_after: Some(after), ..self }
    }

    /// Its stable word.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The document, for answers in which it is one part.
    pub fn document(&self) -> serde_json::Value {
        serde_json::to_value(self.body(None)).expect("a problem has only names as keys")
    }

    fn body(&self, request: Option<&str>) -> Document<'_> {
        Document {
            r#type: format!("urn:carillon:problem:{}", self.code),
            title: title(self.status),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            instance: request.map(|id| format!("urn:carillon:request:{id}")),
            errors: &self.errors,
            fault_count: self.fault_count,
            limit: self.limit.as_ref(),
            ids: &self.ids,
        }
    }

    /// Writes the document into `response`, whose headers stay.
    pub(crate) fn write(&self, response: &mut Response, request: &str) {
        let body = serde_json::to_vec(&self.body(Some(request))).expect("a problem has only names as keys");
        *response.body_mut() = Body::from(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    }

    fn headers(&self, response: &mut Response) {
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(after)));
        }
        if let Some(limit) = &self.limit {
            headers.insert(HeaderName::from_static("ratelimit-limit"), HeaderValue::from(limit.allowed));
            headers.insert(HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(0));
            headers.insert(HeaderName::from_static("ratelimit-reset"), HeaderValue::from(limit.retry_after_seconds));
        }
    }
}

/// Whole seconds, rounded up: whoever waits so long is not refused again.
fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// What sort of problem, for people; the same for every problem of a status.
fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "The request is malformed",
        401 => "Not signed in",
        403 => "Not allowed",
        404 => "Not found",
        405 => "Not a method of this resource",
        408 => "Too slow",
        409 => "It contradicts the present state",
        412 => "It was changed meanwhile",
        413 => "Too large",
        415 => "Not a media type that is understood here",
        422 => "Some values are not acceptable",
        428 => "The version is missing",
        429 => "A limit is reached",
        431 => "The head is too large",
        503 => "Not available now",
        _ => "The server failed",
    }
}

fn status(kind: &RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::Malformed => StatusCode::BAD_REQUEST,
        RefusalKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        RefusalKind::Forbidden => StatusCode::FORBIDDEN,
        RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::Conflict => StatusCode::CONFLICT,
        RefusalKind::Stale => StatusCode::PRECONDITION_FAILED,
        RefusalKind::VersionNeeded => StatusCode::PRECONDITION_REQUIRED,
        RefusalKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalKind::OverLimit { .. } => StatusCode::TOO_MANY_REQUESTS,
        RefusalKind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Cuts a sentence that quotes at length what was sent.
fn cut(sentence: &mut String) {
    if let Some((end, _)) = sentence.char_indices().nth(SENTENCE_CHARS) {
        sentence.truncate(end);
        sentence.push('…');
    }
}

impl From<Refusal> for Problem {
    fn from(mut refusal: Refusal) -> Problem {
        cut(&mut refusal.detail);
        for fault in &mut refusal.faults {
            cut(&mut fault.field);
            cut(&mut fault.message);
        }
        let status = status(&refusal.kind);
        let (limit, retry_after) = match refusal.kind {
            RefusalKind::OverLimit { limit, allowed, window, retry_after } => {
                let wait = seconds(retry_after).max(1);
                let limit = Limit { name: limit, allowed, window_seconds: window.as_secs(), retry_after_seconds: wait };
                (Some(limit), Some(Duration::from_secs(wait)))
            }
            RefusalKind::Unavailable { retry_after } => (None, Some(retry_after)),
            _ => (None, None),
        };
        Problem {
            status,
            code: refusal.code,
            detail: refusal.detail,
            errors: refusal.faults,
            ids: refusal.ids,
            limit,
            fault_count: None,
            retry_after,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        self.headers(&mut response);
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_not_repeated_at_length() {
        let problem = Problem::from(Refusal::field("callId", "é".repeat(1 << 20)));
        assert!(problem.document().to_string().len() < 9_000);
    }

    #[test]
    fn a_limit_is_named_in_the_document_and_in_the_headers() {
        let kind = RefusalKind::OverLimit {
            limit: "limits.group_sends_per_hour".into(),
            allowed: 25,
            window: Duration::from_secs(3_600),
            retry_after: Duration::from_millis(1_500),
        };
        let problem = Problem::from(Refusal::new(kind, "over_limit", "the limit is used"));
        let response = problem.clone().into_response();
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok().map(str::to_owned));
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(header("retry-after").as_deref(), Some("2"));
        assert_eq!(header("ratelimit-limit").as_deref(), Some("25"));
        assert_eq!(header("ratelimit-remaining").as_deref(), Some("0"));
        assert_eq!(header("ratelimit-reset").as_deref(), Some("2"));
        let limit = &problem.document()["limit"];
        assert_eq!((limit["name"].as_str(), limit["windowSeconds"].as_u64()), (Some("limits.group_sends_per_hour"), Some(3_600)));
    }

    #[test]
    fn an_unauthenticated_request_is_told_how_to_sign_in() {
        let response = Problem::from(Refusal::new(RefusalKind::Unauthenticated, "unauthenticated", "no token")).into_response();
        assert_eq!(response.headers().get(header::WWW_AUTHENTICATE).and_then(|v| v.to_str().ok()), Some("Bearer"));
    }
}
