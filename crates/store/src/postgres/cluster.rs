//! What processes that share the database tell each other: hints by NOTIFY, everything else by rows.

use super::args::params;
use super::link::{Connection, OptionalExtension};
use super::{Lane, Postgres};
use crate::sqlite::columns::word;
use crate::{Cluster, EventRow, MemberChange, Result, StandingRow, Wake};
use async_trait::async_trait;
use model::directory::{Member, MemberKind};
use model::{DeviceKey, EventKey, GroupKey, TenantKey, Timestamp};
use tokio::sync::broadcast;
use uuid::Uuid;

const STANDING: &str = "SELECT m.policy, m.directory, s.version FROM meta m, carillon_store s WHERE m.tenant = $1";
const CANCELLED: &str = "SELECT e.key FROM event e WHERE e.tenant = $1 AND e.state = 5 AND e.forgotten = 0 \
    AND EXISTS (SELECT 1 FROM segment s WHERE s.event = e.key) ORDER BY e.key";
const FLOOR: &str =
    "SELECT m.directory, coalesce((SELECT f.version FROM member_floor f WHERE f.tenant = m.tenant), 0) FROM meta m WHERE m.tenant = $1";
const CHANGES: &str = "SELECT grp, kind, key, added FROM member_log WHERE tenant = $1 AND version > $2 ORDER BY version, place";
const BEAT: &str = "INSERT INTO node (node, until) VALUES ($1, $2) ON CONFLICT (node) DO UPDATE SET until = excluded.until";
/// What processes left behind that did not say that they went.
const SWEEP: [&str; 2] =
    ["DELETE FROM node WHERE until < $1", "DELETE FROM stream s WHERE NOT EXISTS (SELECT 1 FROM node n WHERE n.node = s.node)"];
const LEAVE: [&str; 3] = ["DELETE FROM node WHERE node = $1", "DELETE FROM role WHERE node = $1", "DELETE FROM stream WHERE node = $1"];
const FREE: &str = "WITH held AS (SELECT key FROM segment WHERE node = $1 ORDER BY key FOR UPDATE) \
    UPDATE segment SET node = NULL, generation = generation + 1, due = 0 FROM held WHERE segment.key = held.key";
const HOLD: &str = "INSERT INTO role (role, node, until) VALUES ($1, $2, $3) ON CONFLICT (role) DO UPDATE SET node = excluded.node, until = excluded.until \
    WHERE role.node = excluded.node OR role.until <= $4 OR NOT EXISTS (SELECT 1 FROM node n WHERE n.node = role.node AND n.until > $4) \
    RETURNING node";
const LET_GO: &str = "DELETE FROM role WHERE role = $1 AND node = $2";
const OPEN: &str = "INSERT INTO stream (tenant, device, node) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const CLOSE: &str = "DELETE FROM stream WHERE tenant = $1 AND device = $2 AND node = $3";
const ELSEWHERE: &str = "SELECT DISTINCT s.device FROM stream s JOIN node n ON n.node = s.node AND n.until > \
    coalesce($4, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) \
    WHERE s.tenant = $1 AND s.device = ANY ($3) AND s.node <> $2";

#[async_trait]
impl Cluster for Postgres {
    fn is_shared(&self) -> bool {
        true
    }

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.inner.bell.listen()
    }

    async fn ring(&self, wake: Wake) -> Result<()> {
        self.inner.bell.ring(wake)
    }

    async fn standing(&self, tenant: TenantKey) -> Result<StandingRow> {
        self.read(move |c| {
            let answers =
                c.round(&[(STANDING, vec![super::Arg::Int(tenant.0.into())]), (CANCELLED, vec![super::Arg::Int(tenant.0.into())])])?;
            let [standing, cancelled] = &answers[..] else { return Ok(StandingRow::default()) };
            let (policy, directory) = match standing.first() {
                Some(row) => {
                    super::opening::must_stand_at(row.get(2)?)?;
                    (row.get(0)?, row.get(1)?)
                }
                None => return Err(crate::StoreError::NotFound),
            };
            let cancelled = cancelled.iter().map(|row| Ok(EventKey(row.get(0)?))).collect::<Result<_>>()?;
            Ok(StandingRow { policy, directory, cancelled })
        })
        .await
    }

    async fn member_changes(&self, tenant: TenantKey, version: i64) -> Result<Option<(i64, Vec<MemberChange>)>> {
        self.read(move |c| member_changes(c, tenant, version)).await
    }

    async fn beat(&self, node: Uuid, until: Timestamp) -> Result<()> {
        let span = self.span();
        self.write(Lane::Urgent, move |c, now| {
            c.prepare_cached(BEAT)?.execute(params![node.as_bytes(), span.until(now, until).0])?;
            c.prepare_cached(SWEEP[0])?.execute([now.minus(FORGET).0])?;
            c.prepare_cached(SWEEP[1])?.execute(params![])?;
            Ok(())
        })
        .await
    }

    async fn leave(&self, node: Uuid) -> Result<()> {
        self.write(Lane::Urgent, move |c, _| {
            for sql in LEAVE {
                c.prepare_cached(sql)?.execute(params![node.as_bytes()])?;
            }
            c.prepare_cached(FREE)?.execute(params![node.as_bytes()])?;
            Ok(())
        })
        .await
    }

    async fn hold_role(&self, role: &str, node: Uuid, until: Timestamp) -> Result<bool> {
        let (role, span) = (role.to_owned(), self.span());
        self.write(Lane::Urgent, move |c, now| {
            let until = span.until(now, until);
            if until <= now {
                c.prepare_cached(LET_GO)?.execute(params![role, node.as_bytes()])?;
                return Ok(false);
            }
            let held = c.prepare_cached(HOLD)?.query_row(params![role, node.as_bytes(), until.0, now.0], |_| Ok(())).optional()?;
            Ok(held.is_some())
        })
        .await
    }

    async fn stream(&self, tenant: TenantKey, node: Uuid, device: DeviceKey, open: bool) -> Result<()> {
        self.write(Lane::Urgent, move |c, _| {
            c.prepare_cached(if open { OPEN } else { CLOSE })?.execute(params![tenant.0, device.0, node.as_bytes()])?;
            Ok(())
        })
        .await
    }

    async fn published(&self, tenant: TenantKey, after: i64, limit: u32) -> Result<Vec<EventRow>> {
        self.read(move |c| super::outbox::published(c, tenant, after, limit)).await
    }

    async fn streams_elsewhere(&self, tenant: TenantKey, node: Uuid, devices: Vec<DeviceKey>) -> Result<Vec<DeviceKey>> {
        let keys: Vec<i64> = devices.iter().map(|device| device.0.into()).collect();
        let now = self.given_now();
        self.read(move |c| {
            let found =
                c.prepare_cached(ELSEWHERE)?.query_map(params![tenant.0, node.as_bytes(), keys, now], |row| Ok(DeviceKey(row.get(0)?)))?;
            Ok(devices.iter().copied().filter(|device| found.contains(device)).collect())
        })
        .await
    }
}

/// How long a process whose beat ran out is remembered.
const FORGET: std::time::Duration = std::time::Duration::from_secs(60);

fn member_changes(c: &Connection, tenant: TenantKey, version: i64) -> Result<Option<(i64, Vec<MemberChange>)>> {
    let found = c.prepare_cached(FLOOR)?.query_row([tenant.0], |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?))).optional()?;
    let Some((current, floor)) = found else { return Err(crate::StoreError::NotFound) };
    // A version that this store has not reached was made by another one: a restore went back.
    if version < floor || version > current {
        return Ok(None);
    }
    let mut changes = Vec::new();
    for row in c.prepare_cached(CHANGES)?.all(params![tenant.0, version])? {
        let kind = word(MemberKind::from_number, row.get(1)?, "kind of member")?;
        changes.push((GroupKey(row.get(0)?), Member { kind, key: row.get(2)? }, row.get(3)?));
    }
    Ok(Some((current, changes)))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    STANDING, CANCELLED, FLOOR, CHANGES, BEAT, SWEEP[0], SWEEP[1], LEAVE[0], LEAVE[1], LEAVE[2], FREE, HOLD, LET_GO, OPEN, CLOSE, ELSEWHERE,
];
