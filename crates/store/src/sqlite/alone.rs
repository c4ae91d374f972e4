//! The embedded store has one process: nobody else rings, beats or holds streams. The lock on its folder sees to that.

use super::Sqlite;
use crate::{Cluster, EventRow, MemberChange, Result, StandingRow, Wake};
use async_trait::async_trait;
use model::{DeviceKey, TenantKey, Timestamp};
use tokio::sync::broadcast;
use uuid::Uuid;

#[async_trait]
impl Cluster for Sqlite {
    fn is_shared(&self) -> bool {
        false
    }

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        broadcast::channel(1).1
    }

    async fn ring(&self, _wake: Wake) -> Result<()> {
        Ok(())
    }

    async fn standing(&self, _tenant: TenantKey) -> Result<StandingRow> {
        Ok(StandingRow::default())
    }

    async fn member_changes(&self, _tenant: TenantKey, _version: i64) -> Result<Option<(i64, Vec<MemberChange>)>> {
        Ok(None)
    }

    async fn beat(&self, _node: Uuid, _until: Timestamp) -> Result<()> {
        Ok(())
    }

    async fn leave(&self, _node: Uuid) -> Result<()> {
        Ok(())
    }

    async fn hold_role(&self, _role: &str, _node: Uuid, _until: Timestamp) -> Result<bool> {
        Ok(true)
    }

    async fn stream(&self, _tenant: TenantKey, _node: Uuid, _device: DeviceKey, _open: bool) -> Result<()> {
        Ok(())
    }

    async fn published(&self, _tenant: TenantKey, _after: i64, _limit: u32) -> Result<Vec<EventRow>> {
        Ok(Vec::new())
    }

    async fn streams_elsewhere(&self, _tenant: TenantKey, _node: Uuid, _devices: Vec<DeviceKey>) -> Result<Vec<DeviceKey>> {
        Ok(Vec::new())
    }
}
