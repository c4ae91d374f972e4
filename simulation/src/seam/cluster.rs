//! What several processes tell each other. It follows the store in PostgreSQL verb by verb: leases go by the store's clock,
//! a process that does not beat has neither claims nor roles nor streams, and hints may be lost.

use super::Seam;
use crate::neighbourhood::Neighbourhood;
use crate::planted::Plant;
use async_trait::async_trait;
use model::{DeviceKey, SegmentKey, TenantKey, Timestamp};
use std::sync::atomic::Ordering;
use store::{Cluster, EventRow, MemberChange, Result, StandingRow, Wake};
use tokio::sync::broadcast;
use uuid::Uuid;

#[async_trait]
impl Cluster for Seam {
    fn is_shared(&self) -> bool {
        self.process.shared
    }

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.process.wakes.subscribe()
    }

    async fn ring(&self, wake: Wake) -> Result<()> {
        self.before("ring").await?;
        let now = self.process.tick();
        self.world().state().ring(self.process.number, wake, now);
        Ok(())
    }

    async fn standing(&self, tenant: TenantKey) -> Result<StandingRow> {
        let known = {
            let common = &self.world().state().common;
            common.stands.filter(|(writes, ..)| *writes == common.writes)
        };
        let (policy, directory) = match known {
            Some((_, policy, directory)) => {
                self.before("standing").await?;
                self.after("standing").await?;
                (policy, directory)
            }
            None => {
                let both = async {
                    let (policy, _) = self.store.settings(tenant).await?;
                    let (directory, _) = self.store.directory_version(tenant).await?;
                    Ok((policy, directory))
                };
                self.call("standing", both, |stands| {
                    if let Ok((policy, directory)) = stands {
                        let common = &mut self.world().state().common;
                        common.stands = Some((common.writes, *policy, *directory));
                    }
                })
                .await?
            }
        };
        let deaf = self.world().has(Plant::CancelNotAskedAtCarry);
        let cancelled = if deaf { Vec::new() } else { self.world().state().common.cancelled.iter().copied().collect() };
        Ok(StandingRow { policy, directory: self.version_seen(directory), cancelled })
    }

    async fn member_changes(&self, _: TenantKey, version: i64) -> Result<Option<(i64, Vec<MemberChange>)>> {
        self.before("member_changes").await?;
        self.process.tick();
        let state = self.world().state();
        let log = &state.common.member_log;
        let Some((current, _)) = log.last() else { return Ok(None) };
        let reaches_back = log.first().is_some_and(|(first, _)| *first <= version + 1);
        if !reaches_back || version > *current {
            return Ok(None);
        }
        let changes = log.iter().filter(|(to, _)| *to > version).flat_map(|(_, changes)| changes.iter().copied()).collect();
        Ok(Some((*current, changes)))
    }

    async fn beat(&self, node: Uuid, until: Timestamp) -> Result<()> {
        self.before("beat").await?;
        self.process.tick();
        let until = self.ms(until);
        self.world().state().common.beats.insert(node, until);
        self.after("beat").await
    }

    async fn leave(&self, node: Uuid) -> Result<()> {
        let held = {
            let common = &mut self.world().state().common;
            common.beats.remove(&node);
            common.roles.retain(|_, (by, _)| *by != node);
            common.streams.retain(|(_, by)| *by != node);
            held(common, |by| by == node)
        };
        self.call("leave", self.free(held), |_| ()).await
    }

    async fn hold_role(&self, role: &str, node: Uuid, until: Timestamp) -> Result<bool> {
        self.before("hold_role").await?;
        let now = self.process.tick();
        let until = self.ms(until);
        let held = {
            let roles = &mut self.world().state().common.roles;
            let free = roles.get(role).is_none_or(|(by, ends)| *by == node || *ends <= now);
            if free && until > now {
                roles.insert(role.to_owned(), (node, until));
            } else if free {
                roles.remove(role);
            }
            free && until > now
        };
        self.after("hold_role").await?;
        Ok(held)
    }

    async fn stream(&self, _: TenantKey, node: Uuid, device: DeviceKey, open: bool) -> Result<()> {
        self.before("stream").await?;
        let streams = &mut self.world().state().common.streams;
        if open {
            streams.insert((device, node));
        } else {
            streams.remove(&(device, node));
        }
        Ok(())
    }

    async fn published(&self, tenant: TenantKey, after: i64, limit: u32) -> Result<Vec<EventRow>> {
        let keys: Vec<_> = self.world().state().common.published.range(after + 1..).take(limit as usize).map(|(_, event)| *event).collect();
        let read = async {
            let mut events = Vec::new();
            for key in keys {
                events.extend(self.store.event(tenant, key).await?);
            }
            Ok(events)
        };
        self.pass("published", read).await
    }

    async fn streams_elsewhere(&self, _: TenantKey, node: Uuid, devices: Vec<DeviceKey>) -> Result<Vec<DeviceKey>> {
        self.before("streams_elsewhere").await?;
        let now = self.process.tick();
        let common = &self.world().state().common;
        let open = |device: &DeviceKey| common.streams.iter().any(|(of, by)| of == device && *by != node && common.lives(*by, now));
        Ok(devices.into_iter().filter(open).collect())
    }
}

/// Claims that stand, of processes that are meant.
fn held(common: &mut Neighbourhood, meant: impl Fn(Uuid) -> bool) -> Vec<(SegmentKey, i64)> {
    let mut found = Vec::new();
    for (segment, held) in &mut common.claims {
        if held.by.is_some_and(&meant) {
            held.until_ms = 0;
            found.push((*segment, held.generation));
        }
    }
    found
}

impl Seam {
    fn ms(&self, until: Timestamp) -> i64 {
        self.until(until).0 - crate::world::EPOCH_MS
    }

    /// Makes claims free: their leases end now.
    async fn free(&self, held: Vec<(SegmentKey, i64)>) -> Result<()> {
        if !held.is_empty() {
            self.store.renew(held, Timestamp(0)).await?;
        }
        Ok(())
    }

    /// Frees the claims of processes that do not live.
    pub(super) async fn void_shared(&self) -> Result<u64> {
        let now = self.process.tick();
        let held = {
            let common = &mut self.world().state().common;
            let dead: Vec<Uuid> = common.claims.values().filter_map(|held| held.by).filter(|by| !common.lives(*by, now)).collect();
            held(common, |by| dead.contains(&by))
        };
        let count = held.len() as u64;
        self.call("void_claims", self.free(held), |_| ()).await?;
        Ok(count)
    }

    /// The version of the memberships that this process is told.
    pub(super) fn version_seen(&self, version: i64) -> i64 {
        if !self.world().has(Plant::MembershipCacheNotRefreshed) {
            return version;
        }
        let first = &self.process.first_version;
        let _ = first.compare_exchange(-1, version, Ordering::SeqCst, Ordering::SeqCst);
        first.load(Ordering::SeqCst)
    }
}
