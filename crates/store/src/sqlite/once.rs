//! Kept answers (IETF draft Idempotency-Key): looked up and written in the transaction that creates, so that a crash
//! cannot separate the two.

use crate::{Answer, Once, Result, StoreError};
use model::{TenantKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;
use uuid::Uuid;

/// How long an answer is kept.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 3600);

const FIND: &str = "SELECT request, status, body, location FROM answer WHERE tenant = ?1 AND token = ?2 AND key = ?3 AND at > ?4";
const KEEP: &str =
    "INSERT OR REPLACE INTO answer (tenant, token, key, request, status, body, location, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

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
