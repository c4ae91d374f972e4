//! Forgetting, in short steps: texts first, then rows, then what ran out. The event itself with its counts stays, so that
//! its report outlives its text.

use crate::Result;
use model::{TenantKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

/// Rows of delivery that one step erases, about.
const ROWS: u32 = 1_000;
/// Texts, kept answers, limit counts or codes that one step erases.
const SMALL: u32 = 500;
/// How long pushes are remembered for the frequency cap, and takes for the limits, at the least.
const COUNTED: Duration = Duration::from_secs(24 * 3600);

const ERASE_OLD_TEXTS: &str = "UPDATE event SET title = NULL, body = NULL, data = 'null' WHERE key IN \
    (SELECT key FROM event WHERE forgotten = 0 AND tenant = ?1 AND accepted_at < ?2 AND state IN (4, 5) AND title IS NOT NULL LIMIT ?3)";
const ERASE_EXPIRED: &str = "UPDATE event SET title = NULL, body = NULL, data = 'null' WHERE key IN \
    (SELECT key FROM event WHERE title IS NOT NULL AND tenant = ?1 AND expires_at <= ?2 LIMIT ?3)";
const ERASE_PUT_AWAY: &str = "UPDATE event SET title = NULL, body = NULL, data = 'null' WHERE key IN \
    (SELECT key FROM event WHERE title IS NOT NULL AND dismissed >= recipients AND tenant = ?1 LIMIT ?2)";
const OLDEST: &str = "SELECT key FROM event WHERE forgotten = 0 AND tenant = ?1 AND accepted_at < ?2 AND state IN (4, 5) \
    AND NOT EXISTS (SELECT 1 FROM segment WHERE segment.event = event.key) ORDER BY accepted_at LIMIT 1";
/// The person up to whom one step goes.
const UP_TO: &str = "SELECT person FROM delivery WHERE event = ?1 ORDER BY person LIMIT 1 OFFSET ?2";
/// What hangs on the people of an event up to one; the deliveries, which say who they are, go last.
const ROWS_OF: [&str; 5] = [
    "DELETE FROM inbox_mark WHERE event = ?1 AND person IN (SELECT person FROM delivery WHERE event = ?1 AND person <= ?2)",
    "DELETE FROM personal WHERE event = ?1 AND person IN (SELECT person FROM delivery WHERE event = ?1 AND person <= ?2)",
    "DELETE FROM attempt WHERE event = ?1 AND person <= ?2",
    "DELETE FROM receipt WHERE event = ?1 AND person <= ?2",
    "DELETE FROM delivery WHERE event = ?1 AND person <= ?2",
];
const DROP_AUDIENCE: &str = "DELETE FROM audience WHERE event = ?1";
const FORGOTTEN: &str = "UPDATE event SET forgotten = 1, data = 'null' WHERE key = ?1";
const ANSWERS: &str =
    "DELETE FROM answer WHERE (tenant, token, key) IN (SELECT tenant, token, key FROM answer WHERE tenant = ?1 AND at <= ?2 LIMIT ?3)";
const TAKES: &str = "DELETE FROM limit_take WHERE (tenant, setting, subject, at, event) IN \
    (SELECT tenant, setting, subject, at, event FROM limit_take WHERE tenant = ?1 AND at <= ?2 LIMIT ?3)";
const PUSHES: &str = "DELETE FROM push_log WHERE (tenant, person, at, event, seq) IN \
    (SELECT tenant, person, at, event, seq FROM push_log WHERE tenant = ?1 AND at <= ?2 LIMIT ?3)";
const CODES: &str = "DELETE FROM code WHERE hash IN (SELECT hash FROM code WHERE tenant = ?1 AND expires <= ?2 LIMIT ?3)";

const FILES: &str = "DELETE FROM file WHERE (tenant, id) IN (SELECT tenant, id FROM file WHERE tenant = ?1 AND until <= ?2 LIMIT ?3)";

/// One short step; answers whether there is more to do.
pub(super) fn step(c: &Connection, now: Timestamp, tenant: TenantKey, before: Timestamp, erase_done: bool) -> Result<bool> {
    let full = |rows: usize| rows >= SMALL as usize;
    if full(c.prepare_cached(ERASE_OLD_TEXTS)?.execute(params![tenant.0, before.0, SMALL])?) {
        return Ok(true);
    }
    if erase_done {
        let expired = c.prepare_cached(ERASE_EXPIRED)?.execute(params![tenant.0, now.0, SMALL])?;
        let put_away = c.prepare_cached(ERASE_PUT_AWAY)?.execute(params![tenant.0, SMALL])?;
        if full(expired) || full(put_away) {
            return Ok(true);
        }
    }
    let kept_since = now.minus(super::super::once::KEPT).0;
    let counted_since = now.minus(COUNTED).0;
    let ran_out = [(ANSWERS, kept_since), (TAKES, counted_since), (PUSHES, counted_since), (CODES, now.0), (FILES, now.0)];
    for (sql, until) in ran_out {
        if full(c.prepare_cached(sql)?.execute(params![tenant.0, until, SMALL])?) {
            return Ok(true);
        }
    }
    rows_of_oldest(c, tenant, before)
}

/// Erases a page of the oldest event that is over; when nothing of it is left, its audience.
fn rows_of_oldest(c: &Connection, tenant: TenantKey, before: Timestamp) -> Result<bool> {
    let event: Option<i64> = c.prepare_cached(OLDEST)?.query_row(params![tenant.0, before.0], |row| row.get(0)).optional()?;
    let Some(event) = event else { return Ok(false) };
    let next: Option<u32> = c.prepare_cached(UP_TO)?.query_row(params![event, ROWS], |row| row.get(0)).optional()?;
    let up_to = next.unwrap_or(u32::MAX);
    for sql in ROWS_OF {
        c.prepare_cached(sql)?.execute(params![event, up_to])?;
    }
    if next.is_none() {
        c.prepare_cached(DROP_AUDIENCE)?.execute([event])?;
        c.prepare_cached(FORGOTTEN)?.execute([event])?;
    }
    Ok(true)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    ERASE_OLD_TEXTS,
    ERASE_EXPIRED,
    ERASE_PUT_AWAY,
    OLDEST,
    UP_TO,
    ROWS_OF[0],
    ROWS_OF[1],
    ROWS_OF[2],
    ROWS_OF[3],
    ROWS_OF[4],
    DROP_AUDIENCE,
    FORGOTTEN,
    FILES,
    ANSWERS,
    TAKES,
    CODES,
    PUSHES,
];
