//! What WNS says and what it means for a delivery: the one table, from Microsoft's "Push notification service request
//! and response headers".
//!
//! A 404 or 410 retires an address only when the Windows push service itself said it: its answers carry headers of its
//! own (`X-WNS-…`), those of a proxy, or of a wrong endpoint that would say it to everybody, do not.

use crate::spoken;
use http::HeaderMap;
use model::outcome::{Cause, Outcome};
use model::time::Timestamp;
use std::borrow::Cow;
use std::time::Duration;

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Taken, if `X-WNS-Status` says so.
    Taken,
    /// Try this letter again.
    Later,
    /// Try everything again.
    LaterAll,
    /// This letter never passes.
    Rejected,
    /// The channel URL is dead.
    Gone,
    /// We are wrong about this registration: its channel belongs to another app.
    Fault,
    /// We are wrong about everything.
    FaultAll,
    /// The access token was refused; what follows depends on whether a new one may be made.
    Unauthorized,
}

/// Status, our word for it (Microsoft has none), meaning.
pub(super) const TABLE: &[(u16, &str, Class)] = &[
    (200, "ok", Class::Taken),
    (400, "bad_request", Class::Rejected),
    (401, "unauthorized", Class::Unauthorized),
    (403, "forbidden", Class::Fault),
    (404, "channel_not_found", Class::Gone),
    (405, "method_not_allowed", Class::FaultAll),
    (406, "throttled", Class::LaterAll),
    (410, "channel_expired", Class::Gone),
    (413, "payload_too_large", Class::Rejected),
    (429, "throttled", Class::Later),
    (500, "internal_error", Class::Later),
    (503, "unavailable", Class::LaterAll),
];

/// An answer as it came, and what has to be known beside it.
pub(super) struct Said<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    pub(super) now: Timestamp,
    /// Another access token is, or will be, in use instead of the one that was refused.
    pub(super) renewed: bool,
}

/// The outcome of an answer. A status outside the table counts by its hundred, and never retires an address.
pub(super) fn outcome(said: &Said<'_>) -> Outcome {
    let row = TABLE.iter().find(|(status, ..)| *status == said.status);
    let (code, class) = row.map_or(("unexpected_answer", by_status(said.status)), |(_, code, class)| (*code, *class));
    let cause = |whole_channel| Cause { whole_channel, ..Cause::of(Cow::Borrowed(code), said.status) };
    let later = |whole_channel| Outcome::TryLater { after: said.after(), cause: cause(whole_channel) };
    match class {
        Class::Taken => said.taken(),
        Class::Later => later(false),
        Class::LaterAll => later(true),
        Class::Rejected => Outcome::Rejected(cause(false)),
        Class::Gone if said.is_from_wns() => Outcome::AddressGone(cause(false)),
        Class::Gone => Outcome::OurFault(Cause::of_channel("not_from_wns", said.status)),
        Class::Fault => Outcome::OurFault(cause(false)),
        Class::FaultAll => Outcome::OurFault(cause(true)),
        Class::Unauthorized if said.renewed => later(false),
        Class::Unauthorized => Outcome::OurFault(cause(true)),
    }
}

impl Said<'_> {
    fn text(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Seconds, in Microsoft's own header or the usual one.
    fn after(&self) -> Option<Duration> {
        let own = self.text("x-wns-continue-after").trim().parse().ok().map(Duration::from_secs);
        own.or_else(|| spoken::retry_after(self.headers, self.now))
    }

    fn is_from_wns(&self) -> bool {
        self.headers.keys().any(|name| name.as_str().starts_with("x-wns-"))
    }

    /// 200: Microsoft says in a header what it did. What it dropped because the device is away is worth another try,
    /// what the device does not want is not.
    fn taken(&self) -> Outcome {
        let away = self.text("x-wns-deviceconnectionstatus").contains("disconnected");
        match self.text("x-wns-status") {
            "" | "received" => Outcome::Accepted,
            "channelthrottled" => Outcome::TryLater { after: self.after(), cause: Cause::of("channelthrottled", self.status) },
            "dropped" if away => Outcome::TryLater { after: self.after(), cause: Cause::of("dropped_while_disconnected", self.status) },
            "dropped" => Outcome::Rejected(Cause::of("dropped", self.status)),
            other => Outcome::TryLater { after: self.after(), cause: Cause::of(spoken::word(other), self.status) },
        }
    }
}

fn by_status(status: u16) -> Class {
    match status {
        400..=499 => Class::FaultAll,
        500..=599 => Class::LaterAll,
        // Redirects are not followed: the token would go to somebody else.
        _ => Class::FaultAll,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, headers: &[(&'static str, &str)]) -> Outcome {
        let headers = headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a value"))).collect();
        outcome(&Said { status, headers: &headers, now: Timestamp(0), renewed: false })
    }

    const OWN: (&str, &str) = ("x-wns-msg-id", "1B5A1F30B0E1E9C3");

    #[test]
    fn every_status_that_microsoft_documents_has_its_outcome() {
        let table = [
            (400, "rejected", false),
            (401, "our_fault", true),
            (403, "our_fault", false),
            (404, "address_gone", false),
            (405, "our_fault", true),
            (406, "try_later", true),
            (410, "address_gone", false),
            (413, "rejected", false),
            (500, "try_later", false),
            (503, "try_later", true),
        ];
        for (status, word, whole) in table {
            let outcome = said(status, &[OWN]);
            let cause = outcome.cause().expect("a cause");
            assert_eq!((outcome.word(), cause.status, cause.whole_channel), (word, status, whole), "{status}");
        }
    }

    #[test]
    fn only_the_windows_push_service_itself_retires_an_address() {
        for status in [200, 301, 400, 401, 403, 404, 405, 406, 410, 411, 413, 418, 429, 500, 502, 503] {
            assert_ne!(said(status, &[("server", "proxy")]).word(), "address_gone", "{status} without a header of its own");
            let gone = said(status, &[OWN]).word() == "address_gone";
            assert_eq!(gone, matches!(status, 404 | 410), "{status}");
        }
        let wrong = said(404, &[]);
        assert!(matches!(&wrong, Outcome::OurFault(cause) if cause.whole_channel && cause.code == "not_from_wns"), "{wrong:?}");
    }

    #[test]
    fn a_success_says_in_a_header_what_became_of_it() {
        let status = |status, connection| said(200, &[("x-wns-status", status), ("x-wns-deviceconnectionstatus", connection)]);
        assert_eq!(status("received", "connected"), Outcome::Accepted);
        assert_eq!(status("received", "disconnected"), Outcome::Accepted);
        assert_eq!(said(200, &[]), Outcome::Accepted);
        assert_eq!(status("dropped", "connected").word(), "rejected");
        assert_eq!(status("dropped", "tempdisconnected").word(), "try_later");
        let throttled = said(200, &[("x-wns-status", "channelthrottled"), ("x-wns-continue-after", "30")]);
        assert!(matches!(&throttled, Outcome::TryLater { after: Some(after), cause } if after.as_secs() == 30 && !cause.whole_channel));
    }

    #[test]
    fn a_refused_access_token_is_tried_again_once_another_is_in_use() {
        let outcome = outcome(&Said { status: 401, headers: &HeaderMap::new(), now: Timestamp(0), renewed: true });
        assert!(matches!(outcome, Outcome::TryLater { cause, .. } if !cause.whole_channel));
    }
}
