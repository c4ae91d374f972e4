//! Bugs that are planted to see that the invariants find them. Each sits at the seam between an engine and what it
//! stands on (store, clock, provider), where it has the effect that the bug would have in the engine; the product's own
//! code holds nothing of it. This file says what each does, and which invariants have to notice.

use crate::invariant::Invariant;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plant {
    /// Outcomes are written whatever became of the claim.
    SettleWithoutFencing,
    /// A row that should be tried again is put off until it is too late.
    LostRetryBucket,
    /// A limit lets one more through.
    LimitOffByOne,
    /// The answer to a switch is taken for its old value: letters go on.
    SwitchNotAskedAtCarry,
    /// Cancellations are not heard of.
    CancelNotAskedAtCarry,
    /// Whoever carries believes that an event lasts an hour longer.
    ForgottenExpiry,
    /// Every letter goes out twice.
    DoubleRetry,
    /// One row of a page is not written with the plan.
    DroppedRow,
    /// The audience is noted under a version of the memberships that is not the one it was made of.
    WrongMembershipVersion,
    /// A claim is never given back.
    ForgottenRelease,
    /// Memberships that others changed are not read again.
    MembershipCacheNotRefreshed,
    /// A page of plan gets lost, although its answer says that it is written.
    LostPage,
    /// An answer of the provider that says when to come again is read as: at once.
    RetryAfterIgnored,
    /// A repeated request is taken for a new one.
    ForgottenIdempotencyKey,
    /// A lease is taken for good as soon as a claim is asked for: others' claims count as free.
    LeaseNotHeeded,
    /// A scope is taken for the whole organization.
    ScopeNotHeeded,
    /// The policy's version is written wrongly with an outcome.
    WrongPolicyVersion,
    /// A leg of a call is answered as taken in, and is not kept.
    LostLeg,
    /// What a call came to is accepted, and that it was told is not kept.
    ForgottenWord,
}

impl Plant {
    /// Every one, with the invariants of which one must notice it.
    pub const ALL: &[(Plant, &'static [Invariant])] = &[
        (Plant::SettleWithoutFencing, &[Invariant::SettledByHolder]),
        (Plant::LostRetryBucket, &[Invariant::RetriedInTime, Invariant::EverythingEnds]),
        (Plant::LimitOffByOne, &[Invariant::LimitsHold]),
        (Plant::SwitchNotAskedAtCarry, &[Invariant::OffMeansNow]),
        (Plant::CancelNotAskedAtCarry, &[Invariant::CancelledMeansNow]),
        (Plant::ForgottenExpiry, &[Invariant::NothingAfterExpiry, Invariant::EverythingEnds]),
        (Plant::DoubleRetry, &[Invariant::NotTwice]),
        (Plant::DroppedRow, &[Invariant::NothingLost]),
        (Plant::WrongMembershipVersion, &[Invariant::AudienceIsRight]),
        (Plant::ForgottenRelease, &[Invariant::EverythingEnds]),
        (Plant::MembershipCacheNotRefreshed, &[Invariant::AudienceIsRight]),
        (Plant::LostPage, &[Invariant::NothingLost, Invariant::EverythingEnds]),
        (Plant::RetryAfterIgnored, &[Invariant::RetriedInTime]),
        (Plant::ForgottenIdempotencyKey, &[Invariant::AcceptedOnce]),
        (Plant::LeaseNotHeeded, &[Invariant::NotTwice, Invariant::OneHolder]),
        (Plant::ScopeNotHeeded, &[Invariant::InsideTheScope]),
        (Plant::WrongPolicyVersion, &[Invariant::Replayed]),
        (Plant::LostLeg, &[Invariant::NothingLost]),
        (Plant::ForgottenWord, &[Invariant::ToldOnce]),
    ];

    /// Its name, as it is written on the command line.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }
}
