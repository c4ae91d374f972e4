//! What push services say and what it means for a delivery: the one table, from RFC 8030, RFC 8292, and the error lists of
//! Mozilla's autopush, of Google's FCM, of Apple and of Windows.

use crate::spoken;
use model::outcome::{Cause, Outcome};
use std::borrow::Cow;
use std::time::Duration;

/// What an answer means. No answer alone concerns the whole channel: each subscription names a service of its own, and what
/// one of them says must not stop the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Taken.
    Accepted,
    /// Try this letter again.
    Later,
    /// This letter never passes.
    Rejected,
    /// The subscription has ended.
    Gone,
    /// Our token, our clock, our path: we are wrong.
    Fault,
    /// The subscription was made for another key than ours: its own matter while others pass, else our key was exchanged.
    OtherKey,
}

/// Status, a word that stands somewhere in the answer (any answer when empty), our name for it, meaning. The first row
/// that fits counts.
pub(super) const TABLE: &[(u16, &str, &str, Class)] = &[
    (200, "", "OK", Class::Accepted),
    (201, "", "Created", Class::Accepted),
    (202, "", "Accepted", Class::Accepted),
    (204, "", "NoContent", Class::Accepted),
    // Apple's and FCM's words about keys come with 400 as well as with 403.
    (400, "VapidPkHashMismatch", "VapidKeyMismatch", Class::OtherKey),
    (400, "UnauthorizedRegistration", "VapidKeyMismatch", Class::OtherKey),
    (400, "BadJwtToken", "BadJwtToken", Class::Fault),
    (400, "BadAuthorizationHeader", "BadAuthorizationHeader", Class::Fault),
    (400, "", "BadRequest", Class::Rejected),
    (401, "public key mismatch", "VapidKeyMismatch", Class::OtherKey),
    (401, "", "Unauthorized", Class::Fault),
    (403, "VapidPkHashMismatch", "VapidKeyMismatch", Class::OtherKey),
    (403, "public key mismatch", "VapidKeyMismatch", Class::OtherKey),
    (403, "do not correspond to the credentials", "VapidKeyMismatch", Class::OtherKey),
    (403, "does not correspond to the sender", "VapidKeyMismatch", Class::OtherKey),
    (403, "", "Forbidden", Class::Fault),
    (404, "BadPath", "BadPath", Class::Fault),
    (404, "", "NotFound", Class::Gone),
    (405, "", "MethodNotAllowed", Class::Fault),
    (406, "", "RateLimited", Class::Later),
    (410, "", "Gone", Class::Gone),
    (413, "", "PayloadTooLarge", Class::Rejected),
    (429, "", "TooManyRequests", Class::Later),
    (500, "", "InternalServerError", Class::Later),
    (502, "", "BadGateway", Class::Later),
    (503, "", "ServiceUnavailable", Class::Later),
];

/// Most bytes of an answer in which words are looked for.
const MOST_SEARCHED_BYTES: usize = 4096;

/// An answer as it came, and what has to be known beside it.
pub(super) struct Said<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
    pub(super) retry_after: Option<Duration>,
    /// The same service has accepted letters that were signed with the key in use.
    pub(super) key_proven: bool,
}

/// The outcome of an answer. A status outside the table never retires an address.
pub(super) fn outcome(said: &Said<'_>) -> Outcome {
    let text = String::from_utf8_lossy(&said.body[..said.body.len().min(MOST_SEARCHED_BYTES)]);
    let row = TABLE.iter().find(|(status, word, _, _)| *status == said.status && text.contains(word));
    let (code, class) = row.map_or_else(|| unknown(said.status), |(_, _, code, class)| (Cow::Borrowed(*code), *class));
    // The name of ours, and the service's own number for it where there is one (Mozilla's errno).
    let code = match serde_json::from_str::<Numbered>(&text).ok().and_then(|body| body.errno) {
        Some(errno) => Cow::Owned(format!("{code}_{errno}")),
        None => code,
    };
    let cause = Cause::of(code, said.status);
    match class {
        Class::Accepted => Outcome::Accepted,
        Class::Later => Outcome::TryLater { after: said.retry_after, cause },
        Class::Rejected => Outcome::Rejected(cause),
        Class::Gone => Outcome::AddressGone(cause),
        Class::Fault => Outcome::OurFault(cause),
        Class::OtherKey if said.key_proven => Outcome::Rejected(cause),
        Class::OtherKey => Outcome::OurFault(cause),
    }
}

/// Whether the answer may mean that the subscription was made for another of our keys.
pub(super) fn may_want_another_key(said: &Said<'_>) -> bool {
    match outcome(said) {
        Outcome::OurFault(_) => matches!(said.status, 400 | 401 | 403),
        Outcome::Accepted | Outcome::TryLater { .. } | Outcome::Rejected(_) | Outcome::AddressGone(_) => false,
    }
}

/// The part of Mozilla's errors that is looked at.
#[derive(serde::Deserialize)]
struct Numbered {
    errno: Option<u16>,
}

/// A status that no row names. Redirections are not followed (the new place was never checked, and RFC 8030 has none), and
/// pass when whoever redirects is out of the way.
fn unknown(status: u16) -> (Cow<'static, str>, Class) {
    let class = match status {
        300..=399 | 408 | 425 | 500..=599 => Class::Later,
        _ => Class::Rejected,
    };
    (spoken::word(&format!("status_{status}")), class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> Said<'_> {
        Said { status, body: body.as_bytes(), retry_after: None, key_proven: true }
    }

    #[test]
    fn every_row_of_the_table_has_its_outcome() {
        for (status, word, code, class) in TABLE {
            let outcome = outcome(&said(*status, &format!("<p>{word}</p>")));
            let wanted = match class {
                Class::Accepted => "accepted",
                Class::Later => "try_later",
                Class::Rejected | Class::OtherKey => "rejected",
                Class::Gone => "address_gone",
                Class::Fault => "our_fault",
            };
            assert_eq!(outcome.word(), wanted, "{status} {word}");
            if let Some(cause) = outcome.cause() {
                assert_eq!((cause.code.as_ref(), cause.status, cause.whole_channel), (*code, *status, false), "{status} {word}");
            }
        }
    }

    #[test]
    fn the_words_of_the_services_are_understood() {
        let mozilla = |errno: u16, message: &str| format!(r#"{{"code":401,"errno":{errno},"error":"Unauthorized","message":"{message}"}}"#);
        let fcm =
            "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.\n";
        for (status, body, word, code) in [
            (401, mozilla(109, "Missing VAPID public key"), "our_fault", "Unauthorized_109"),
            (401, mozilla(109, "VAPID public key mismatch"), "rejected", "VapidKeyMismatch_109"),
            (410, mozilla(106, "No such subscription"), "address_gone", "Gone_106"),
            (404, mozilla(102, "Not Found"), "address_gone", "NotFound_102"),
            (403, fcm.to_owned(), "rejected", "VapidKeyMismatch"),
            (403, "permission denied: invalid JWT provided".into(), "our_fault", "Forbidden"),
            (403, r#"{"reason":"BadJwtToken"}"#.into(), "our_fault", "Forbidden"),
            (400, r#"{"reason":"VapidPkHashMismatch"}"#.into(), "rejected", "VapidKeyMismatch"),
            (404, r#"{"reason":"BadPath"}"#.into(), "our_fault", "BadPath"),
            (413, String::new(), "rejected", "PayloadTooLarge"),
            (503, mozilla(201, "Please slow down"), "try_later", "ServiceUnavailable_201"),
        ] {
            let outcome = outcome(&said(status, &body));
            assert_eq!((outcome.word(), outcome.cause().map(|c| c.code.as_ref())), (word, Some(code)), "{status} {body}");
        }
    }

    #[test]
    fn only_the_two_statuses_of_rfc_8030_retire_an_address() {
        for status in (100..600).filter(|status| ![404, 410].contains(status)) {
            for body in ["", "gone", "unsubscribed", "{\"errno\":106}"] {
                assert_ne!(outcome(&said(status, body)).word(), "address_gone", "{status} {body}");
            }
        }
    }

    #[test]
    fn an_exchanged_key_is_our_fault_until_the_key_is_proven_and_never_retires_anything() {
        for (status, word, _, _) in TABLE.iter().filter(|(_, _, _, class)| *class == Class::OtherKey) {
            assert_eq!(outcome(&Said { key_proven: false, ..said(*status, word) }).word(), "our_fault", "{word}");
            assert_eq!(outcome(&said(*status, word)).word(), "rejected", "{word}");
        }
    }

    #[test]
    fn busy_keeps_its_patience_and_a_redirection_is_not_followed() {
        let busy = outcome(&Said { retry_after: Some(Duration::from_secs(7)), ..said(429, "") });
        assert!(matches!(busy, Outcome::TryLater { after: Some(after), .. } if after == Duration::from_secs(7)));
        let moved = outcome(&said(307, ""));
        assert_eq!((moved.word(), moved.cause().map(|c| c.code.as_ref())), ("try_later", Some("status_307")));
        assert_eq!(outcome(&said(418, "")).word(), "rejected");
    }
}
