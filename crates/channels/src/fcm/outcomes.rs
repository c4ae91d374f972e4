//! What FCM says and what it means for a delivery: the one table, from Google's "REST error codes for the HTTP v1 API".
//!
//! An answer may hold an FCM error code (`google.firebase.fcm.v1.FcmError`), else it has a canonical status
//! (`google.rpc.Code`). Only two answers retire an address: the FCM code `UNREGISTERED`, and an invalid argument whose
//! details name the token. A 404 without that code is a wrong project or a wrong endpoint, and would be said to everybody.

use crate::spoken;
use model::outcome::{Cause, Outcome};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Try this letter again.
    Later,
    /// Try this letter again, not before the quota has refilled.
    LaterQuota,
    /// Try everything again.
    LaterAll,
    /// This letter never passes, unless it was the token that was invalid.
    Invalid,
    /// The registration is dead.
    Gone,
    /// We are wrong about this registration, or it is not ours.
    Fault,
    /// Our account, our project, our endpoint: we are wrong about everything.
    FaultAll,
    /// The access token was refused; what follows depends on whether a new one may be made.
    Unauthorized,
}

/// FCM's own codes.
pub(super) const CODES: &[(&str, Class)] = &[
    ("UNSPECIFIED_ERROR", Class::Later),
    ("INVALID_ARGUMENT", Class::Invalid),
    ("UNREGISTERED", Class::Gone),
    // The token belongs to another project. If everybody's does, it is our file that is the wrong one.
    ("SENDER_ID_MISMATCH", Class::Fault),
    ("QUOTA_EXCEEDED", Class::LaterQuota),
    ("UNAVAILABLE", Class::LaterAll),
    ("INTERNAL", Class::Later),
    // The project's credentials for APNs or Web Push are wrong: only registrations that FCM passes on there feel it.
    ("THIRD_PARTY_AUTH_ERROR", Class::Fault),
];

/// Canonical statuses of answers without a code of FCM's own.
pub(super) const STATUSES: &[(&str, Class)] = &[
    ("INVALID_ARGUMENT", Class::Invalid),
    ("FAILED_PRECONDITION", Class::FaultAll),
    ("UNAUTHENTICATED", Class::Unauthorized),
    ("PERMISSION_DENIED", Class::FaultAll),
    ("NOT_FOUND", Class::FaultAll),
    ("RESOURCE_EXHAUSTED", Class::LaterQuota),
    ("ABORTED", Class::Later),
    ("CANCELLED", Class::Later),
    ("INTERNAL", Class::Later),
    ("UNAVAILABLE", Class::LaterAll),
    ("DEADLINE_EXCEEDED", Class::Later),
];

/// Google asks for at least a minute's patience with an exceeded quota whose answer names no time.
const QUOTA_WAIT: Duration = Duration::from_secs(60);

/// Body of a refusal (`google.rpc.Status`).
#[derive(Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    error: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(rename = "@type", default)]
    kind: String,
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    field_violations: Vec<Violation>,
}

#[derive(Deserialize)]
struct Violation {
    #[serde(default)]
    field: String,
}

impl Refusal {
    fn code(&self) -> Option<&str> {
        let fcm = self.error.details.iter().find(|d| d.kind.ends_with("google.firebase.fcm.v1.FcmError"))?;
        Some(fcm.error_code.as_str()).filter(|code| !code.is_empty())
    }

    /// Whether the details name the registration token, and nothing else, as the invalid field.
    fn names_the_token(&self) -> bool {
        let mut fields = self.error.details.iter().flat_map(|d| &d.field_violations).peekable();
        fields.peek().is_some() && fields.all(|violation| violation.field == "message.token")
    }
}

/// An answer as it came, and what has to be known beside it.
pub(super) struct Said<'a> {
    pub(super) status: u16,
    pub(super) refusal: &'a Refusal,
    pub(super) retry_after: Option<Duration>,
    /// Another access token is, or will be, in use instead of the one that was refused.
    pub(super) renewed: bool,
}

/// The outcome of an answer. A code outside the tables counts by its status, and never retires an address: an unknown
/// word is no proof that a device is gone.
pub(super) fn outcome(said: &Said<'_>) -> Outcome {
    if said.status == 200 {
        return Outcome::Accepted;
    }
    let (code, class) = classed(said);
    let cause = |whole_channel| Cause { code: code.clone(), status: said.status, whole_channel, gone_since: None };
    let later = |after, whole_channel| Outcome::TryLater { after, cause: cause(whole_channel) };
    match class {
        Class::Later => later(said.retry_after, false),
        Class::LaterQuota => later(said.retry_after.or(Some(QUOTA_WAIT)), false),
        Class::LaterAll => later(said.retry_after, true),
        Class::Invalid if said.refusal.names_the_token() => Outcome::AddressGone(cause(false)),
        Class::Invalid => Outcome::Rejected(cause(false)),
        Class::Gone => Outcome::AddressGone(cause(false)),
        Class::Fault => Outcome::OurFault(cause(false)),
        Class::FaultAll => Outcome::OurFault(cause(true)),
        Class::Unauthorized if said.renewed => later(None, false),
        Class::Unauthorized => Outcome::OurFault(cause(true)),
    }
}

fn classed(said: &Said<'_>) -> (Cow<'static, str>, Class) {
    let known = |table: &'static [(&'static str, Class)], word: &str| {
        table.iter().find(|(known, _)| *known == word).map(|(known, class)| (Cow::Borrowed(*known), *class))
    };
    let (code, status) = (said.refusal.code(), said.refusal.error.status.as_str());
    let found = match code {
        Some(code) => known(CODES, code),
        None => known(STATUSES, status),
    };
    // Words about a message or its token under a status about the server are somebody else's, such as a proxy's.
    let credible = |(_, class): &(_, Class)| !matches!(class, Class::Gone | Class::Invalid) || (400..500).contains(&said.status);
    found.filter(credible).unwrap_or_else(|| (spoken::word(code.unwrap_or(status)), by_status(said.status)))
}

/// Whether an answer is about the access token, before its outcome is known.
pub(super) fn is_about_the_token(status: u16, refusal: &Refusal) -> bool {
    let said = Said { status, refusal, retry_after: None, renewed: false };
    classed(&said).1 == Class::Unauthorized
}

fn by_status(status: u16) -> Class {
    match status {
        400 | 413 => Class::Invalid,
        401 => Class::Unauthorized,
        408 => Class::Later,
        429 => Class::LaterQuota,
        500..=599 => Class::LaterAll,
        _ => Class::FaultAll,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn refusal(status: &str, code: &str, field: &str) -> Refusal {
        let mut details: Vec<Value> = Vec::new();
        if !code.is_empty() {
            details.push(json!({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}));
        }
        if !field.is_empty() {
            let violations = json!([{"field": field, "description": "Invalid"}]);
            details.push(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}));
        }
        let body = json!({"error": {"code": 400, "message": "m", "status": status, "details": details}});
        serde_json::from_value(body).expect("a refusal")
    }

    fn said(status: u16, refusal: &Refusal) -> Outcome {
        outcome(&Said { status, refusal, retry_after: None, renewed: false })
    }

    #[test]
    fn every_code_that_google_documents_has_its_outcome() {
        let table = [
            (500, "UNSPECIFIED_ERROR", "try_later", false),
            (400, "INVALID_ARGUMENT", "rejected", false),
            (404, "UNREGISTERED", "address_gone", false),
            (403, "SENDER_ID_MISMATCH", "our_fault", false),
            (429, "QUOTA_EXCEEDED", "try_later", false),
            (503, "UNAVAILABLE", "try_later", true),
            (500, "INTERNAL", "try_later", false),
            (401, "THIRD_PARTY_AUTH_ERROR", "our_fault", false),
        ];
        assert_eq!(table.map(|(_, code, ..)| code).to_vec(), CODES.iter().map(|(code, _)| *code).collect::<Vec<_>>());
        for (status, code, word, whole) in table {
            let outcome = said(status, &refusal("WHATEVER", code, ""));
            let cause = outcome.cause().expect("a cause");
            assert_eq!((outcome.word(), cause.code.as_ref(), cause.status, cause.whole_channel), (word, code, status, whole));
        }
    }

    #[test]
    fn answers_without_a_code_of_fcms_own_never_retire_an_address() {
        for (status, word, expected, whole) in [
            (400, "INVALID_ARGUMENT", "rejected", false),
            (401, "UNAUTHENTICATED", "our_fault", true),
            (403, "PERMISSION_DENIED", "our_fault", true),
            (404, "NOT_FOUND", "our_fault", true),
            (429, "RESOURCE_EXHAUSTED", "try_later", false),
            (503, "UNAVAILABLE", "try_later", true),
        ] {
            let outcome = said(status, &refusal(word, "", ""));
            assert_eq!((outcome.word(), outcome.cause().map(|c| c.whole_channel)), (expected, Some(whole)), "{status} {word}");
        }
        for status in [400, 401, 403, 404, 410, 413, 429, 500, 502, 503, 301, 418] {
            for word in ["", "SOMETHING_NEW"] {
                for code in ["", "SOMETHING_NEW"] {
                    assert_ne!(said(status, &refusal(word, code, "")).word(), "address_gone", "{status} {word} {code}");
                }
            }
            assert_ne!(said(status, &Refusal::default()).word(), "address_gone", "{status} without a body that can be read");
        }
    }

    #[test]
    fn an_invalid_argument_retires_an_address_only_when_the_details_name_the_token() {
        assert_eq!(said(400, &refusal("INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.token")).word(), "address_gone");
        assert_eq!(said(400, &refusal("INVALID_ARGUMENT", "", "message.token")).word(), "address_gone");
        for field in ["message.android.ttl", "message.data[0].value", "message", "message.tokens", ""] {
            assert_eq!(said(400, &refusal("INVALID_ARGUMENT", "INVALID_ARGUMENT", field)).word(), "rejected", "{field}");
        }
        let mut two = refusal("INVALID_ARGUMENT", "", "message.token");
        two.error.details[0].field_violations.push(Violation { field: "message.android.ttl".into() });
        assert_eq!(said(400, &two).word(), "rejected", "another field is wrong too");
    }

    #[test]
    fn an_exceeded_quota_waits_as_long_as_google_says_or_a_minute() {
        let quota = refusal("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "");
        assert!(matches!(said(429, &quota), Outcome::TryLater { after: Some(after), .. } if after == QUOTA_WAIT));
        let seven = outcome(&Said { status: 429, refusal: &quota, retry_after: Some(Duration::from_secs(7)), renewed: false });
        assert!(matches!(seven, Outcome::TryLater { after: Some(after), .. } if after.as_secs() == 7));
    }

    #[test]
    fn a_refused_access_token_is_tried_again_once_another_is_in_use() {
        let refused = refusal("UNAUTHENTICATED", "", "");
        assert!(is_about_the_token(401, &refused) && !is_about_the_token(401, &refusal("", "THIRD_PARTY_AUTH_ERROR", "")));
        let outcome = outcome(&Said { status: 401, refusal: &refused, retry_after: None, renewed: true });
        assert!(matches!(outcome, Outcome::TryLater { cause, .. } if !cause.whole_channel));
    }
}
