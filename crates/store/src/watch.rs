//! What an operator watches of a store: how much waits in it and how long, and whose processes share it. One look every few
//! seconds; it takes no lock that work needs.

use crate::Result;
use async_trait::async_trait;
use model::event::EventState;
use model::{ChannelKind, Lane, Reason, State, TenantKey, Timestamp};

/// Segments of one channel and lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// How they travel.
    pub channel: ChannelKind,
    /// Single notifications, or campaigns.
    pub lane: Lane,
    /// Segments that wait, for their hour or for a worker.
    pub waiting: u64,
    /// Segments that a worker has.
    pub claimed: u64,
    /// Since when the earliest of those that wait is, or will be, due.
    pub earliest_due: Option<Timestamp>,
}

/// Deliveries of events that are not done, which are not final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// How they travel.
    pub channel: ChannelKind,
    /// `Scheduled` or `Held`.
    pub state: State,
    /// Why they wait.
    pub reason: Reason,
    /// How many.
    pub rows: u64,
}

/// Processes that share a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Those that beat.
    pub living: u64,
    /// Those whose beat ran out and who did not say that they went.
    pub lost: u64,
}

/// One look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Segments by channel and lane.
    pub backlog: Vec<Backlog>,
    /// Deliveries that are not final.
    pub open: Vec<Open>,
    /// Events that are not done, by state.
    pub events: Vec<(EventState, u64)>,
    /// Processes; none for the embedded store, which has one.
    pub nodes: Nodes,
    /// Bytes on disk, the log included.
    pub bytes: u64,
    /// Bytes of the write-ahead log of the embedded store; 0 for PostgreSQL, which has one for all its databases.
    pub log_bytes: u64,
}

/// Looking.
#[async_trait]
pub trait Watch {
    /// How the store stands.
    async fn watch(&self, tenant: TenantKey) -> Result<Watched>;
}
