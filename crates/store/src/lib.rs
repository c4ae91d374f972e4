//! What is remembered: verbs, not tables.
//!
//! The contract stands in [`Store`]; its parts are [`Directory`] (people, groups, devices), [`Outbox`] (events,
//! deliveries, claims, receipts, the inbox), [`Ledger`] (settings, tokens, idempotency, alarms), [`Audit`] (who did what), [`Cluster`] (what
//! processes that share a store tell each other) and [`Watch`] (what an operator watches). The embedded store is [`sqlite`]; [`mod@postgres`] is for one process or
//! several. [`transfer`] carries a whole store from one to the other, into a file and back. One suite of stories,
//! [`conformance`], runs over the contract; another engine is one more module and nothing else.
//!
//! No rule about who is told what lives here. Time is handed in at opening: limits are counted by that clock.

pub mod audit;
pub mod cluster;
pub mod conformance;
pub mod directory;
mod folded;
pub mod folder;
pub mod import;
pub mod inspect;
pub mod ledger;
pub mod objects;
pub mod outbox;
pub mod postgres;
pub mod sqlite;
pub mod transfer;
#[cfg(test)]
mod upgrades;
pub mod watch;

pub use audit::{Act, Audit, By, Entry, Erased, Head, Thing, Whom};
pub use cluster::{Cluster, MemberChange, StandingRow, Wake};
pub use directory::*;
pub use import::{Import, ImportFile, ImportMode, ImportProgress, ImportReport, ImportSource};
pub use ledger::*;
pub use objects::*;
pub use outbox::*;
pub use watch::Watch;

use model::limits::Counted;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Why the store did not do it. Nothing was applied.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique field is taken.
    #[error("{field} is taken")]
    Taken {
        /// Name of the field, as the API writes it.
        field: &'static str,
        /// The object that has it.
        by: Uuid,
    },
    /// The object was changed since it was read.
    #[error("the object is at version {current}")]
    Stale {
        /// Its version now.
        current: i64,
    },
    /// There is no such object.
    #[error("there is no such object")]
    NotFound,
    /// Another object refers to it.
    #[error("the object is in use")]
    InUse {
        /// One that does.
        by: Uuid,
    },
    /// The object is part of an import that is being applied; try again after it.
    #[error("an import is being applied to this object")]
    ImportPending,
    /// A limit is reached.
    #[error("limit reached")]
    OverLimit {
        /// Which.
        counted: Counted,
        /// How many are allowed.
        allowed: u32,
        /// When the oldest counted one leaves the window.
        retry_after: Duration,
    },
    /// The idempotency key was used before; here is what was answered.
    #[error("answered before")]
    Replay(Box<Answer>),
    /// The object was used up, revoked or too old (enrolment codes).
    #[error("used up or expired")]
    Spent,
    /// The store cannot take it now: full, out of reach.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A fault of ours or a damaged store.
    #[error("the store failed: {0}")]
    Broken(String),
}

/// What every verb answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The whole contract.
pub trait Store: Directory + Outbox + Ledger + Objects + Audit + ImportSource + Cluster + Watch + Send + Sync + 'static {}

impl<T: Directory + Outbox + Ledger + Objects + Audit + ImportSource + Cluster + Watch + Send + Sync + 'static> Store for T {}

/// A store that several rooms share.
pub type Shared = Arc<dyn Store>;
