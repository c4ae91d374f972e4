//! What happened: one event, whom it names, how urgent it is, how long it is worth telling.

use crate::words;
use std::time::Duration;
use uuid::Uuid;

/// The dotted lower-case name of an event type, such as `custom.notification`.
pub type EventType = &'static str;

words! {
    /// How soon it matters (RFC 8030 §5.3).
    Urgency {
        /// On power and Wi-Fi.
        VeryLow = 1 "very-low",
        /// On power or Wi-Fi.
        Low = 2 "low",
        /// Usual.
        Normal = 3 "normal",
        /// Now; passes quiet hours.
        High = 4 "high",
    }
}

words! {
    /// What a group's membership means for an event.
    AudienceMode {
        /// As it was at acceptance.
        Frozen = 1 "frozen",
        /// As it was at acceptance, and still so at each attempt.
        Live = 2 "live",
    }
}

words! {
    /// Where an event stands on its way.
    EventState {
        /// Accepted, waits for its hour.
        Scheduled = 1 "scheduled",
        /// Accepted, not yet wholly planned.
        Accepted = 2 "accepted",
        /// Every delivery is planned; some are not final.
        Sending = 3 "sending",
        /// Every delivery is final.
        Done = 4 "done",
        /// Stopped by an administrator.
        Cancelled = 5 "cancelled",
    }
}

impl EventState {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            EventState::Done | EventState::Cancelled => true,
            EventState::Scheduled | EventState::Accepted | EventState::Sending => false,
        }
    }
}

/// Longest time that an event may be worth telling: Apple and FCM keep nothing longer than about four weeks.
pub const MAX_EXPIRY: Duration = Duration::from_secs(28 * 24 * 3600);
/// Farthest that an event may be scheduled ahead.
pub const MAX_AHEAD: Duration = Duration::from_secs(366 * 24 * 3600);

/// What replaces what at the provider: one event replaces its own repeats (RFC 8030 §5.4 allows 32 characters of the
/// URL-safe alphabet; 22 are a UUID in base64url).
pub fn collapse_key(event: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = event.as_u128();
    let six = |i: u32| if i < 21 { bits >> (122 - 6 * i) } else { bits << 4 };
    (0..22).map(|i| char::from(ALPHABET[(six(i) & 63) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collapse_key_has_22_url_safe_characters_and_tells_events_apart() {
        let id = 0xFFFF_0000_1234_5678_9ABC_DEF0_1122_3344;
        let first = collapse_key(Uuid::from_u128(id));
        assert_eq!(first.len(), 22);
        assert!(first.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_ne!(first, collapse_key(Uuid::from_u128(id ^ 1)));
    }
}
