//! One event to one address, after it was planned: its states, the last look before a send, and what an outcome makes
//! of it. Both can only narrow, and every delivery ends, at its expiry at the latest.

use crate::decision::{Decision, Reason, Verdict};
use crate::ids::{EventKey, PersonKey, WireId};
use crate::outcome::Outcome;
use crate::time::Timestamp;
use crate::words;
use std::time::Duration;

words! {
    /// Where a delivery stands.
    State {
        /// Planned, may go.
        Scheduled = 1 "scheduled",
        /// Waits for a time: quiet hours, an open stream, a retry.
        Held = 2 "held",
        /// The provider or relay took it. That is not yet *delivered*.
        Accepted = 3 "accepted",
        /// Decided against.
        Suppressed = 4 "suppressed",
        /// The provider refused the message for good.
        Rejected = 5 "rejected",
        /// The provider said that the address is gone.
        Gone = 6 "gone",
        /// Too late.
        Expired = 7 "expired",
        /// Stopped by an administrator.
        Cancelled = 8 "cancelled",
    }
}

impl State {
    /// Whether nothing more will happen to it.
    pub fn is_final(self) -> bool {
        match self {
            State::Scheduled | State::Held => false,
            State::Accepted | State::Suppressed | State::Rejected | State::Gone | State::Expired | State::Cancelled => true,
        }
    }

    /// Whether it ended without arriving although it was meant to go.
    pub fn is_failure(self) -> bool {
        match self {
            State::Rejected | State::Gone | State::Expired => true,
            State::Scheduled | State::Held | State::Accepted | State::Suppressed | State::Cancelled => false,
        }
    }
}

/// The primary key of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId {
    /// Of which event.
    pub event: EventKey,
    /// To whom.
    pub person: PersonKey,
    /// Which of the person's rows.
    pub seq: u16,
}

impl DeliveryId {
    /// The id under which it travels.
    pub fn wire(self) -> WireId {
        WireId::new(self.event, self.person, self.seq)
    }
}

/// What the last look before a send says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It may go now.
    Send,
    /// Not before this.
    Hold(Timestamp, Reason),
    /// Not at all.
    End(State, Reason),
}

/// The last look: expiry first, then a fresh decision from today's policy and facts. It can hold or end a delivery that
/// was planned to go; it never revives one.
pub fn last_look(expires_at: Timestamp, fresh: &Decision, now: Timestamp) -> Look {
    if now >= expires_at {
        return Look::End(State::Expired, Reason::Expired);
    }
    match (fresh.verdict, fresh.until) {
        (Verdict::Deliver, _) => Look::Send,
        (Verdict::Hold, Some(until)) if until < expires_at => Look::Hold(until, fresh.reason),
        (Verdict::Hold, _) => Look::Hold(expires_at, fresh.reason),
        (Verdict::Suppress, _) => Look::End(State::Suppressed, fresh.reason),
    }
}

/// What an outcome makes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It ended.
    End(State, Reason),
    /// It is tried again, not before this.
    Retry(Timestamp, Reason),
}

/// Waits between attempts (DESIGN §2); the last repeats.
const WAITS_SECONDS: [u64; 9] = [1, 2, 4, 8, 16, 30, 60, 300, 900];
/// First wait after a fault of ours: a person has to mend it, so it is not worth hurrying.
const OUR_FAULT_WAIT: Duration = Duration::from_secs(300);

/// Settles one attempt. `attempts` counts this one; `chance` in 0..1000 is the jitter, which adds up to a quarter.
///
/// Retries come at least `after` later when the provider said so, fall on whole seconds so that those of one segment
/// meet, and never past expiry.
pub fn settle(outcome: &Outcome, attempts: u16, expires_at: Timestamp, now: Timestamp, chance: u16) -> Step {
    let (wait, reason) = match outcome {
        Outcome::Accepted => return Step::End(State::Accepted, Reason::None),
        Outcome::Rejected(_) => return Step::End(State::Rejected, Reason::ProviderRejected),
        Outcome::AddressGone(_) => return Step::End(State::Gone, Reason::ProviderGone),
        Outcome::TryLater { after, .. } => (wait(attempts, chance).max(after.unwrap_or_default()), Reason::ProviderUnavailable),
        Outcome::OurFault(_) => (wait(attempts, chance).max(OUR_FAULT_WAIT), Reason::OurFault),
    };
    let due = Timestamp(now.plus(wait).0.saturating_add(999).div_euclid(1000).saturating_mul(1000));
    if due >= expires_at { Step::End(State::Expired, reason) } else { Step::Retry(due, reason) }
}

fn wait(attempts: u16, chance: u16) -> Duration {
    let step = usize::from(attempts.saturating_sub(1)).min(WAITS_SECONDS.len() - 1);
    let base = Duration::from_secs(WAITS_SECONDS[step]);
    base + base / 4 * u32::from(chance.min(999)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Rule;
    use crate::outcome::Cause;
    use proptest::prelude::*;

    fn outcome(kind: u8, after: Option<u64>) -> Outcome {
        let cause = Cause::of("x", 0);
        match kind {
            0 => Outcome::Accepted,
            1 => Outcome::TryLater { after: after.map(Duration::from_secs), cause },
            2 => Outcome::Rejected(cause),
            3 => Outcome::AddressGone(cause),
            _ => Outcome::OurFault(cause),
        }
    }

    proptest! {
        #[test]
        fn a_retry_never_comes_before_the_providers_word_nor_after_expiry(
            kind in 0u8..5, after in prop::option::of(0u64..10_000), attempts in 1u16..40, life in 0i64..100_000_000, chance in 0u16..1000
        ) {
            let (now, expires) = (Timestamp(5_000), Timestamp(5_000 + life));
            match settle(&outcome(kind, after), attempts, expires, now, chance) {
                Step::Retry(due, _) => {
                    prop_assert!(due > now && due < expires && due.0 % 1000 == 0);
                    if kind == 1 { prop_assert!(due >= now.plus(Duration::from_secs(after.unwrap_or(0)))); }
                }
                Step::End(state, _) => prop_assert!(state.is_final()),
            }
        }

        #[test]
        fn every_delivery_ends(kind in 0u8..5, chance in 0u16..1000) {
            let expires = Timestamp(0).plus(Duration::from_secs(72 * 3600));
            let mut now = Timestamp(0);
            let ended = (1u16..2000).any(|attempt| match settle(&outcome(kind, None), attempt, expires, now, chance) {
                Step::End(..) => true,
                Step::Retry(due, _) => { now = due; false }
            });
            prop_assert!(ended);
        }
    }

    #[test]
    fn the_last_look_can_only_narrow() {
        let deliver = Decision::DELIVER;
        assert_eq!(last_look(Timestamp(10), &deliver, Timestamp(9)), Look::Send);
        assert_eq!(last_look(Timestamp(10), &deliver, Timestamp(10)), Look::End(State::Expired, Reason::Expired));
        let off = Decision { verdict: Verdict::Suppress, rule: Rule::OrganizationSwitch, reason: Reason::OrgSwitchOff, until: None };
        assert_eq!(last_look(Timestamp(10), &off, Timestamp(9)), Look::End(State::Suppressed, Reason::OrgSwitchOff));
        let hold = Decision { verdict: Verdict::Hold, rule: Rule::QuietHours, reason: Reason::QuietHours, until: Some(Timestamp(50)) };
        assert_eq!(last_look(Timestamp(10), &hold, Timestamp(9)), Look::Hold(Timestamp(10), Reason::QuietHours));
    }
}
