//! Graph's error object, from a refusal of the engine: the status code, Graph's own word for it, a sentence, the parameters at
//! fault by Graph's names, and inside, Carillon's stable code with the ids and the time by which the request is found.

use super::body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use model::{Fault, Refusal, RefusalKind, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

/// A refusal, ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Error {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Carillon's word, the same as in the native API.
    inner: &'static str,
    details: Vec<Fault>,
    retry_after: Option<Duration>,
}

impl Error {
    /// A request that cannot be read.
    pub fn malformed(inner: &'static str, message: impl Into<String>) -> Error {
        Refusal::new(RefusalKind::Malformed, inner, message).into()
    }

    /// Another method than POST.
    pub fn method(method: &Method) -> Error {
        let message = format!("{method} is not possible here; actions are called by POST");
        Error { message, inner: "method_not_allowed", ..Error::of(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed") }
    }

    /// A body of another media type.
    pub fn media_type(media: &str) -> Error {
        let message = format!("the payload is {media:?}; send JSON with Content-Type: application/json");
        Error { message, inner: "unsupported_media_type", ..Error::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType") }
    }

    /// A fault of the server.
    pub fn internal() -> Error {
        let message = "a fault of the server; its log has more under this request's id".to_owned();
        Error { message, inner: "internal", ..Error::of(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError") }
    }

    /// A body that did not come in time: nothing was done.
    pub fn slow() -> Error {
        let message = "the body did not come in time; send it again".to_owned();
        Error { message, inner: "slow", ..Error::of(StatusCode::REQUEST_TIMEOUT, "RequestTimeout") }
    }

    /// No answer in time, and nobody knows whether there will be one. Not a 503 or 504: Graph's clients repeat those by
    /// themselves, and this may have been sent.
    pub fn timeout() -> Error {
        let message = "there was no answer in time, and it may still be sent: look whether it was before you repeat it".to_owned();
        Error { message, inner: "timeout", ..Error::of(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError") }
    }

    /// The stable word of a refusal for want of a right, of which the audit is told.
    pub fn want_of_right(&self) -> Option<&'static str> {
        (self.status == StatusCode::FORBIDDEN).then_some(self.inner)
    }

    fn of(status: StatusCode, code: &'static str) -> Error {
        Error { status, code, message: String::new(), inner: "", details: Vec::new(), retry_after: None }
    }

    #[cfg(test)]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    #[cfg(test)]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The answer.
    pub fn response(&self, request_id: &str, client_request_id: &str, now: Timestamp) -> Response {
        let mut response = (self.status, self.document(request_id, client_request_id, now).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(after)));
        }
        response
    }

    fn document(&self, request_id: &str, client_request_id: &str, now: Timestamp) -> Value {
        let inner = json!({
            "code": self.inner,
            "date": date(now),
            "request-id": request_id,
            "client-request-id": client_request_id,
        });
        let mut error = json!({"code": self.code, "message": self.message, "innerError": inner});
        if let [one] = self.details.as_slice() {
            error["target"] = json!(one.field);
        }
        if !self.details.is_empty() {
            let detail = |fault: &Fault| json!({"code": self.inner, "target": fault.field, "message": fault.message});
            error["details"] = self.details.iter().map(detail).collect();
        }
        json!({ "error": error })
    }
}

/// Graph writes its dates to the second and without a zone; they are in UTC.
fn date(now: Timestamp) -> String {
    now.to_string().chars().take("2026-11-21T15:04:05".len()).collect()
}

/// Whole seconds, rounded up and at least one: whoever waits so long is not refused again.
fn seconds(span: Duration) -> u64 {
    (span.as_secs() + u64::from(span.subsec_nanos() > 0)).max(1)
}

/// The status and Graph's word for each kind of refusal. What the native API answers with 422 is a 400 in Graph.
fn word(kind: &RefusalKind) -> (StatusCode, &'static str) {
    match kind {
        RefusalKind::Malformed | RefusalKind::Invalid => (StatusCode::BAD_REQUEST, "BadRequest"),
        RefusalKind::Unauthenticated => (StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken"),
        RefusalKind::Forbidden => (StatusCode::FORBIDDEN, "Forbidden"),
        RefusalKind::NotFound => (StatusCode::NOT_FOUND, "ResourceNotFound"),
        RefusalKind::Conflict => (StatusCode::CONFLICT, "Conflict"),
        RefusalKind::Stale => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
        RefusalKind::VersionNeeded => (StatusCode::PRECONDITION_REQUIRED, "PreconditionRequired"),
        RefusalKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
        RefusalKind::OverLimit { .. } => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        RefusalKind::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    }
}

/// The parameter of Graph's that a field of ours came from.
fn parameter(field: &str) -> String {
    let (name, rest) = field.find('[').map_or((field, ""), |at| field.split_at(at));
    let name = match name {
        "title" => body::TITLE,
        "body" => body::BODY,
        "groups" => body::GROUPS,
        "devices" => body::DEVICES,
        other => other,
    };
    format!("{name}{rest}")
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let (status, code) = word(&refusal.kind);
        let retry_after = match refusal.kind {
            RefusalKind::OverLimit { retry_after, .. } | RefusalKind::Unavailable { retry_after } => Some(retry_after),
            _ => None,
        };
        let details: Vec<Fault> =
            refusal.faults.into_iter().map(|fault| Fault { field: parameter(&fault.field), message: fault.message }).collect();
        let sentences: Vec<String> = details.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
        let message = if sentences.is_empty() { refusal.detail } else { sentences.join("; ") };
        Error { status, code, message, inner: refusal.code, details, retry_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_273_445_678);

    #[test]
    fn an_error_has_graphs_shape() {
        let refusal = Refusal::field("groups[3]", "there is no group \"x\"");
        assert_eq!(
            Error::from(refusal).document("r", "c", NOW),
            json!({"error": {
                "code": "BadRequest",
                "message": "groupsToNotify[3]: there is no group \"x\"",
                "target": "groupsToNotify[3]",
                "details": [{"code": "invalid_field", "target": "groupsToNotify[3]", "message": "there is no group \"x\""}],
                "innerError": {"code": "invalid_field", "date": "2026-11-21T15:04:05", "request-id": "r", "client-request-id": "c"},
            }})
        );
        let plain = Error::from(Refusal::forbidden("no")).document("r", "c", NOW);
        assert_eq!((plain["error"].get("details"), plain["error"].get("target")), (None, None));
    }

    #[test]
    fn two_faults_are_both_told_and_neither_is_the_target() {
        let fault = |field: &str| Fault { field: field.into(), message: "is wrong".into() };
        let made = Error::from(Refusal::fields(vec![fault("title"), fault("body")])).document("r", "c", NOW);
        assert_eq!(made["error"]["message"], "notificationTitle: is wrong; notificationBody: is wrong");
        assert_eq!(made["error"].get("target"), None);
    }

    #[test]
    fn limits_and_outages_say_when_to_try_again() {
        let limit = RefusalKind::OverLimit {
            limit: "limits.group_sends_per_hour".into(),
            allowed: 25,
            window: Duration::from_secs(3_600),
            retry_after: Duration::from_millis(1_500),
        };
        let waits = |refusal: Refusal, status: StatusCode, after: &str| {
            let response = Error::from(refusal).response("r", "c", NOW);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::RETRY_AFTER], after);
        };
        waits(Refusal::new(limit, "over_limit", "used"), StatusCode::TOO_MANY_REQUESTS, "2");
        waits(Refusal::unavailable("no"), StatusCode::SERVICE_UNAVAILABLE, "5");
        let response = Error::from(Refusal::new(RefusalKind::Unauthenticated, "unauthenticated", "no")).response("r", "c", NOW);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        assert_eq!(Error::method(&Method::GET).response("r", "c", NOW).headers()[header::ALLOW], "POST");
    }
}
