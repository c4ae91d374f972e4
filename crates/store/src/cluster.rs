//! What processes that share one store tell each other. Rows are the truth and wakes are hints: a wake that is lost costs
//! lateness, never a notification. The embedded store has one process and answers for it alone.

use crate::{EventRow, Result};
use async_trait::async_trait;
use model::directory::Member;
use model::{DeviceKey, EventKey, GroupKey, TenantKey, Timestamp};
use tokio::sync::broadcast;
use uuid::Uuid;

/// A hint from another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// An event was accepted or became due: dispatch looks.
    Accepted,
    /// Segments may be due: deliver looks.
    Planned,
    /// Settings, memberships or cancellations moved: [`Cluster::standing`] is read again.
    Standing,
    /// Events stand in inboxes now, or were cancelled: [`Cluster::published`] is read.
    Published,
    /// Hints may have been missed (the connection was lost): look at everything.
    Everything,
}

/// What every process that shares the store reads again several times a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StandingRow {
    /// Version of the settings.
    pub policy: i64,
    /// Version of the memberships.
    pub directory: i64,
    /// Cancelled events of which rows may still wait.
    pub cancelled: Vec<EventKey>,
}

/// A change of a group's members; `true`: added, `false`: removed.
pub type MemberChange = (GroupKey, Member, bool);

/// One store, several processes.
#[async_trait]
pub trait Cluster {
    /// Whether other processes may share this store. Everything below is asked only then.
    fn is_shared(&self) -> bool;
    /// Hints from other processes; own ones do not come back. The embedded store's never speaks.
    fn wakes(&self) -> broadcast::Receiver<Wake>;
    /// Tells the other processes. Verbs of the store do not ring by themselves.
    async fn ring(&self, wake: Wake) -> Result<()>;
    /// What stands now.
    async fn standing(&self, tenant: TenantKey) -> Result<StandingRow>;
    /// Changes of memberships after `version`, in order, and the version they lead to; `None` when the log does not reach
    /// back that far or something happened that it cannot say: then everything is read again.
    async fn member_changes(&self, tenant: TenantKey, version: i64) -> Result<Option<(i64, Vec<MemberChange>)>>;
    /// This process lives until then, by the caller's clock. Streams and roles of a process whose beat ran out are void.
    async fn beat(&self, node: Uuid, until: Timestamp) -> Result<()>;
    /// The process ends: its streams, roles and claims are free at once.
    async fn leave(&self, node: Uuid) -> Result<()>;
    /// Takes or keeps a role that one process at a time has, until then; answers whether this process has it. A time that has
    /// passed lets it go.
    async fn hold_role(&self, role: &str, node: Uuid, until: Timestamp) -> Result<bool>;
    /// A device's stream was opened (`true`) or its last one closed (`false`) at this process.
    async fn stream(&self, tenant: TenantKey, node: Uuid, device: DeviceKey, open: bool) -> Result<()>;
    /// Events that got their place in the inbox behind `after`, in that order, at most `limit`. Places are given in the order
    /// of commits.
    async fn published(&self, tenant: TenantKey, after: i64, limit: u32) -> Result<Vec<EventRow>>;
    /// Which of these devices hold a stream at another living process.
    async fn streams_elsewhere(&self, tenant: TenantKey, node: Uuid, devices: Vec<DeviceKey>) -> Result<Vec<DeviceKey>>;
}
