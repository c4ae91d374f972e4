//! Refusals of our own routes, as problem documents (RFC 9457): the same shape, words and headers as in the native API, so that
//! whoever reads one can read the other.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use model::{Refusal, RefusalKind};
use serde_json::{Value, json};
use std::time::Duration;

/// The media type of problem documents.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// After which time a request is worth repeating that was not answered in time.
const SOON: Duration = Duration::from_secs(5);

/// Longest sentence of an answer; some quote what was sent, which may be long.
const SENTENCE_CHARS: usize = 2_000;

/// A refusal, ready for the wire.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    status: StatusCode,
    refusal: Refusal,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, refusal: Refusal::new(RefusalKind::Malformed, code, detail) }
    }

    /// A request that cannot be read.
    pub fn malformed(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// A body of another media type than `taken`.
    pub fn media_type(media: &str, taken: &str) -> Problem {
        let detail = format!("the body is {media:?}; send {taken}");
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// A body that did not come in time: nothing was done.
    pub fn slow() -> Problem {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "slow", "the body did not come in time; send it again")
    }

    /// Nobody knows yet whether it was taken. What comes in this way changes nothing the second time, so it may be repeated.
    pub fn timeout() -> Problem {
        let detail = "there was no answer in time; send it again: what was taken is not taken twice";
        let kind = RefusalKind::Unavailable { retry_after: SOON };
        Problem { status: StatusCode::SERVICE_UNAVAILABLE, refusal: Refusal::new(kind, "timeout", detail) }
    }

    /// A fault of the server.
    pub fn internal() -> Problem {
        let detail = "a fault of the server; its log has more under this request's id";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The answer; `request` is the id by which the server's log knows the request.
    pub fn response(&self, request: &str) -> Response {
        let mut response = (self.status, self.document(request).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        match &self.refusal.kind {
            RefusalKind::Unavailable { retry_after } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(*retry_after)));
            }
            RefusalKind::OverLimit { allowed, retry_after, .. } => {
                let wait = seconds(*retry_after);
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
                headers.insert(HeaderName::from_static("ratelimit-limit"), HeaderValue::from(*allowed));
                headers.insert(HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(0));
                headers.insert(HeaderName::from_static("ratelimit-reset"), HeaderValue::from(wait));
            }
            _ => {}
        }
        response
    }

    fn document(&self, request: &str) -> Value {
        let refusal = &self.refusal;
        let mut document = json!({
            "type": format!("urn:carillon:problem:{}", refusal.code),
            "title": title(self.status),
            "status": self.status.as_u16(),
            "detail": refusal.detail,
            "code": refusal.code,
            "instance": format!("urn:carillon:request:{request}"),
        });
        if !refusal.faults.is_empty() {
            document["errors"] = json!(refusal.faults);
        }
        if !refusal.ids.is_empty() {
            document["ids"] = json!(refusal.ids);
        }
        if let RefusalKind::OverLimit { limit, allowed, window, retry_after } = &refusal.kind {
            let (window, wait) = (window.as_secs(), seconds(*retry_after));
            document["limit"] = json!({"name": limit, "allowed": allowed, "windowSeconds": window, "retryAfterSeconds": wait});
        }
        document
    }
}

impl From<Refusal> for Problem {
    fn from(mut refusal: Refusal) -> Problem {
        cut(&mut refusal.detail);
        for fault in &mut refusal.faults {
            cut(&mut fault.field);
            cut(&mut fault.message);
        }
        Problem { status: status(&refusal.kind), refusal }
    }
}

fn cut(sentence: &mut String) {
    if let Some((end, _)) = sentence.char_indices().nth(SENTENCE_CHARS) {
        sentence.truncate(end);
        sentence.push('…');
    }
}

/// Whole seconds, rounded up and at least one: whoever waits so long is not refused again.
fn seconds(span: Duration) -> u64 {
    (span.as_secs() + u64::from(span.subsec_nanos() > 0)).max(1)
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

/// What sort of problem, for people, in the words of the native API.
fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "The request is malformed",
        401 => "Not signed in",
        403 => "Not allowed",
        404 => "Not found",
        408 => "Too slow",
        409 => "It contradicts the present state",
        412 => "It was changed meanwhile",
        413 => "Too large",
        415 => "Not a media type that is understood here",
        422 => "Some values are not acceptable",
        428 => "The version is missing",
        429 => "A limit is reached",
        503 => "Not available now",
        _ => "The server failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_shape_of_the_native_api() {
        let problem = Problem::from(Refusal::field("callId", "is missing"));
        assert_eq!(
            problem.document("r-1"),
            json!({
                "type": "urn:carillon:problem:invalid_field", "title": "Some values are not acceptable", "status": 422,
                "detail": "callId: is missing", "code": "invalid_field", "instance": "urn:carillon:request:r-1",
                "errors": [{"field": "callId", "message": "is missing"}],
            })
        );
        let none = Problem::from(Refusal::forbidden("no")).document("r-1");
        assert_eq!((none.get("errors"), none.get("limit"), none.get("ids")), (None, None, None));
    }

    #[test]
    fn what_was_sent_is_not_repeated_at_length() {
        let problem = Problem::from(Refusal::field("callId", "é".repeat(1 << 20)));
        assert!(problem.document("r").to_string().len() < 9_000);
    }

    #[test]
    fn limits_and_outages_say_when_to_try_again() {
        let limit = RefusalKind::OverLimit {
            limit: "limits.x".into(),
            allowed: 25,
            window: Duration::from_secs(3_600),
            retry_after: Duration::from_millis(1_500),
        };
        let limited = Problem::from(Refusal::new(limit, "over_limit", "used"));
        assert_eq!(limited.document("r")["limit"]["retryAfterSeconds"], 2);
        let answer = limited.response("r");
        assert_eq!((answer.status().as_u16(), &answer.headers()[header::RETRY_AFTER]), (429, &HeaderValue::from_static("2")));
        let answer = Problem::from(Refusal::unavailable("no")).response("r");
        assert_eq!((answer.status().as_u16(), &answer.headers()[header::RETRY_AFTER]), (503, &HeaderValue::from_static("5")));
        let answer = Problem::from(Refusal::new(RefusalKind::Unauthenticated, "unauthenticated", "no")).response("r");
        assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
