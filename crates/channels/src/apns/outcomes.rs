//! What APNs says and what it means for a delivery: the one table, from Apple's "Handling notification responses".

use crate::spoken;
use model::outcome::{Cause, Outcome};
use model::time::Timestamp;
use std::borrow::Cow;
use std::time::Duration;

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Try this letter again.
    Later,
    /// Try everything again.
    LaterAll,
    /// This letter never passes.
    Rejected,
    /// The device token is dead.
    Gone,
    /// We are wrong about this letter.
    Fault,
    /// We are wrong about the topic: about everything, unless the registration named a topic of its own.
    FaultTopic,
    /// Our key, our endpoint: we are wrong about everything.
    FaultAll,
    /// The provider token was called old; what follows depends on whether a new one may be made.
    Expired,
}

/// Status, reason, meaning.
pub(super) const TABLE: &[(u16, &str, Class)] = &[
    (400, "BadCollapseId", Class::Rejected),
    (400, "BadDeviceToken", Class::Gone),
    (400, "BadExpirationDate", Class::Rejected),
    (400, "BadMessageId", Class::Rejected),
    (400, "BadPriority", Class::Rejected),
    (400, "BadTopic", Class::FaultTopic),
    (400, "DeviceTokenNotForTopic", Class::Fault),
    (400, "DuplicateHeaders", Class::Rejected),
    (400, "IdleTimeout", Class::Later),
    (400, "InvalidPushType", Class::Rejected),
    (400, "MissingDeviceToken", Class::Rejected),
    (400, "MissingTopic", Class::FaultTopic),
    (400, "PayloadEmpty", Class::Rejected),
    (400, "TopicDisallowed", Class::FaultTopic),
    (403, "BadCertificate", Class::FaultAll),
    (403, "BadCertificateEnvironment", Class::FaultAll),
    (403, "BadEnvironmentKeyIdInToken", Class::FaultAll),
    (403, "ExpiredProviderToken", Class::Expired),
    (403, "Forbidden", Class::FaultAll),
    (403, "InvalidProviderToken", Class::FaultAll),
    (403, "MissingProviderToken", Class::FaultAll),
    (403, "UnrelatedKeyIdInToken", Class::FaultAll),
    (404, "BadPath", Class::FaultAll),
    (405, "MethodNotAllowed", Class::FaultAll),
    (410, "ExpiredToken", Class::Gone),
    (410, "Unregistered", Class::Gone),
    (413, "PayloadTooLarge", Class::Rejected),
    (429, "TooManyProviderTokenUpdates", Class::LaterAll),
    (429, "TooManyRequests", Class::Later),
    (500, "InternalServerError", Class::Later),
    (503, "ServiceUnavailable", Class::LaterAll),
    (503, "Shutdown", Class::Later),
];

/// An answer as it came, and what has to be known beside it.
pub(super) struct Said<'a> {
    pub(super) status: u16,
    pub(super) reason: &'a str,
    /// Milliseconds of Unix time since when a token is gone.
    pub(super) timestamp: Option<i64>,
    pub(super) retry_after: Option<Duration>,
    /// The topic of the settings was used.
    pub(super) own_topic: bool,
    /// A new provider token is, or will be, in use instead of the one that was refused.
    pub(super) renewed: bool,
}

/// The outcome of an answer. A reason outside the table counts by its status, and never retires an address: an unknown
/// word is no proof that a device is gone.
pub(super) fn outcome(said: &Said<'_>) -> Outcome {
    if said.status == 200 {
        return Outcome::Accepted;
    }
    let row = TABLE.iter().find(|(status, reason, _)| *status == said.status && *reason == said.reason);
    let (code, class) = match row {
        Some((_, reason, class)) => (Cow::Borrowed(*reason), *class),
        None => (spoken::word(said.reason), by_status(said.status)),
    };
    let cause = |whole_channel| Cause { code: code.clone(), status: said.status, whole_channel, gone_since: None };
    let later = |whole_channel| Outcome::TryLater { after: said.retry_after, cause: cause(whole_channel) };
    match class {
        Class::Later => later(false),
        Class::LaterAll => later(true),
        Class::Rejected => Outcome::Rejected(cause(false)),
        Class::Gone => Outcome::AddressGone(Cause { gone_since: said.timestamp.map(Timestamp), ..cause(false) }),
        Class::Fault => Outcome::OurFault(cause(false)),
        Class::FaultTopic => Outcome::OurFault(cause(said.own_topic)),
        Class::FaultAll => Outcome::OurFault(cause(true)),
        Class::Expired if said.renewed => later(false),
        Class::Expired => Outcome::OurFault(cause(true)),
    }
}

fn by_status(status: u16) -> Class {
    match status {
        400 | 410 | 413 => Class::Rejected,
        429 => Class::Later,
        500..=599 => Class::LaterAll,
        _ => Class::FaultAll,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, reason: &str) -> Said<'_> {
        Said { status, reason, timestamp: None, retry_after: None, own_topic: true, renewed: false }
    }

    #[test]
    fn every_row_of_the_table_has_its_outcome() {
        for (status, reason, class) in TABLE {
            let outcome = outcome(&said(*status, reason));
            let cause = outcome.cause().expect("a refusal has a cause");
            assert_eq!((cause.code.as_ref(), cause.status), (*reason, *status));
            let (word, whole) = match class {
                Class::Later => ("try_later", false),
                Class::LaterAll => ("try_later", true),
                Class::Rejected => ("rejected", false),
                Class::Gone => ("address_gone", false),
                Class::Fault => ("our_fault", false),
                Class::FaultTopic | Class::FaultAll | Class::Expired => ("our_fault", true),
            };
            assert_eq!((outcome.word(), cause.whole_channel), (word, whole), "{status} {reason}");
        }
    }

    #[test]
    fn only_the_three_words_about_dead_tokens_retire_an_address() {
        let gone: Vec<_> = TABLE.iter().filter(|(_, _, class)| *class == Class::Gone).map(|(_, reason, _)| *reason).collect();
        assert_eq!(gone, ["BadDeviceToken", "ExpiredToken", "Unregistered"]);
        for status in [400, 403, 404, 410, 413, 429, 500, 503, 301, 418] {
            for reason in ["", "SomethingNew", "<html>"] {
                assert_ne!(outcome(&said(status, reason)).word(), "address_gone", "{status} {reason}");
            }
        }
    }

    #[test]
    fn our_key_and_our_topic_are_never_taken_for_dead_tokens() {
        for (status, reason, class) in TABLE {
            let about_us = ["Topic", "Provider", "Certificate", "KeyId"].iter().any(|word| reason.contains(word));
            assert!(!about_us || *class != Class::Gone, "{status} {reason}");
        }
    }

    #[test]
    fn gone_keeps_apples_time_and_busy_keeps_its_patience() {
        let gone = outcome(&Said { timestamp: Some(1_700_000_000_123), ..said(410, "Unregistered") });
        assert_eq!(gone.cause().and_then(|c| c.gone_since), Some(Timestamp(1_700_000_000_123)));
        let busy = outcome(&Said { retry_after: Some(Duration::from_secs(7)), ..said(429, "TooManyRequests") });
        assert!(matches!(busy, Outcome::TryLater { after: Some(after), .. } if after == Duration::from_secs(7)));
    }

    #[test]
    fn a_foreign_topic_is_a_fault_of_one_registration() {
        let outcome = outcome(&Said { own_topic: false, ..said(400, "TopicDisallowed") });
        assert!(matches!(outcome, Outcome::OurFault(cause) if !cause.whole_channel));
    }

    #[test]
    fn an_expired_token_is_tried_again_once_a_new_one_is_in_use() {
        assert_eq!(outcome(&Said { renewed: true, ..said(403, "ExpiredProviderToken") }).word(), "try_later");
        assert_eq!(outcome(&said(403, "ExpiredProviderToken")).word(), "our_fault");
    }

    #[test]
    fn unknown_reasons_are_kept_as_words_only() {
        let outcome = outcome(&said(400, "New Reason\r\n<b>"));
        assert_eq!(outcome.cause().map(|c| c.code.as_ref()), Some("NewReasonb"));
        assert_eq!(super::outcome(&said(502, "")).cause().map(|c| c.code.as_ref()), Some("unexpected_answer"));
    }
}
