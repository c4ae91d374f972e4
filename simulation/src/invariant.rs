//! What must hold through every fault (DESIGN §8.6), and a breach of it.

use model::DeliveryId;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// What was accepted is in the store, and every person of its audience has exactly one row for each address.
    NothingLost,
    /// A request that is repeated with its key is accepted once.
    AcceptedOnce,
    /// Of a call each person who was called is told once, however often and wherever its legs are brought.
    ToldOnce,
    /// Every event and every delivery ends, at its expiry at the latest.
    EverythingEnds,
    /// Nothing leaves after its expiry.
    NothingAfterExpiry,
    /// After a switch was answered nothing leaves through its channel: from the answering process at once, from the others
    /// within a second.
    OffMeansNow,
    /// The same of a cancelled event.
    CancelledMeansNow,
    /// What a provider took does not go out again, unless a process or the network failed in between.
    NotTwice,
    /// A retry comes neither before its time (never before `Retry-After`) nor long after.
    RetriedInTime,
    /// Never more than a limit allows in any window, and nobody refused while there is room.
    LimitsHold,
    /// Outcomes are written under the claim that stands, and no other.
    SettledByHolder,
    /// A segment is claimed by one process at a time.
    OneHolder,
    /// What a row says of its fate is what the provider said.
    TrueOutcomes,
    /// The audience is what the memberships of its version say, and that version is not older than the request.
    AudienceIsRight,
    /// Nothing goes to anybody outside the scope of its author.
    InsideTheScope,
    /// Every row is explained, and its decision comes out the same when it is made again from what it was made of.
    Replayed,
    /// Running totals are what counting says.
    CountsAreRight,
    /// An address that the provider did not call gone is kept.
    AddressesKept,
    /// No process asks the store thousands of times in a moment.
    NoCircles,
    /// The engine does not fail by itself: no panic, no request refused for no reason.
    NoFault,
}

/// A breach.
#[derive(Clone, Debug)]
pub struct Breach {
    /// Of what.
    pub invariant: Invariant,
    /// When, in virtual milliseconds since the start.
    pub at_ms: i64,
    /// What was seen, in a sentence.
    pub what: String,
    /// Of which delivery.
    pub delivery: Option<DeliveryId>,
    /// What happened before, of that delivery or of everything.
    pub before: Vec<String>,
}
