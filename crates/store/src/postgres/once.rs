//! Kept answers (IETF draft Idempotency-Key): looked up and written in the transaction that creates, so that a crash
//! cannot separate the two. The job that creates holds its tenant's row, so that a repeat in another process waits for it.

use super::args::params;
use super::link::{Connection, OptionalExtension};
use crate::{Answer, Once, Result, StoreError};
use model::{TenantKey, Timestamp};
use uuid::Uuid;

pub(crate) use crate::sqlite::once::KEPT;

const FIND: &str = "SELECT request, status, body, location FROM answer WHERE tenant = $1 AND token = $2 AND key = $3 AND at > $4";
const KEEP: &str = "INSERT INTO answer (tenant, token, key, request, status, body, location, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
     ON CONFLICT (tenant, token, key) DO UPDATE SET request = excluded.request, status = excluded.status, body = excluded.body, \
     location = excluded.location, at = excluded.at";

/// What was answered to this key within the last day.
pub(crate) fn find(c: &Connection, tenant: TenantKey, token: Uuid, key: &str, now: Timestamp) -> Result<Option<Answer>> {
    let mut find = c.prepare_cached(FIND)?;
    let answer = find.query_row(params![tenant.0, token.as_bytes(), key, now.minus(KEPT).0], |row| {
        Ok(Answer { request: row.get(0)?, status: row.get(1)?, body: row.get(2)?, location: row.get(3)? })
    });
    Ok(answer.optional()?)
}

/// Refuses a repeat with [`StoreError::Replay`]. The first thing that a creating job does.
pub(crate) fn refuse_repeat(c: &Connection, tenant: TenantKey, once: Option<&Once>, now: Timestamp) -> Result<()> {
    let Some(once) = once else { return Ok(()) };
    match find(c, tenant, once.token, &once.key, now)? {
        Some(answer) => Err(StoreError::Replay(Box::new(answer))),
        None => Ok(()),
    }
}

/// Keeps the answer for repeats. An older one under the same key is a day old and gives way.
pub(crate) fn keep(c: &Connection, tenant: TenantKey, once: Option<&Once>, now: Timestamp) -> Result<()> {
    let Some(once) = once else { return Ok(()) };
    let answer = &once.answer;
    c.prepare_cached(KEEP)?.execute(params![
        tenant.0,
        once.token.as_bytes(),
        once.key,
        once.request,
        answer.status,
        answer.body,
        answer.location,
        now.0
    ])?;
    Ok(())
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIND, KEEP];
