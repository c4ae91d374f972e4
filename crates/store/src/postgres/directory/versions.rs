//! Which version of a directory row is visible, and which may be edited.
//!
//! A row is visible while `since <= G AND G < until`, with G the tenant's generation. An ordinary edit changes the
//! visible row in place. While an import writes, old rows end at G + 1 and new ones begin there: an edit of an ended row
//! would be lost with the switch, so it is refused with [`StoreError::ImportPending`]. What an edit drags along (a
//! device's registrations, a person's memberships) is changed in every version, so that it holds whether the import
//! comes to its end or is taken back.

use crate::postgres::args::{Params, params};
use crate::postgres::link::{Connection, OptionalExtension};
use crate::postgres::once;
pub(crate) use crate::sqlite::directory::versions::{Needle, STILL, may_edit, may_refer};
use crate::{MemberChange, Once, Result, StoreError};
use model::{TenantKey, Timestamp};

/// The generation that is visible now; 0, in which nothing is visible, for a tenant that does not exist.
pub(crate) fn generation(c: &Connection, tenant: TenantKey) -> Result<i64> {
    let mut statement = c.prepare_cached("SELECT generation FROM meta WHERE tenant = $1")?;
    Ok(statement.query_row([tenant.0], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The generation for an edit. The tenant's row stays locked until the edit is committed: edits come one after another, in
/// every process.
///
/// # Errors
/// `NotFound` when there is no such tenant.
pub(crate) fn editable(c: &Connection, tenant: TenantKey) -> Result<i64> {
    let locked = c.prepare_cached(crate::postgres::LOCK_TENANT)?.query_row([tenant.0], |row| row.get(0)).optional()?;
    locked.ok_or(StoreError::NotFound)
}

/// Changes of one version of the memberships that are told one by one; above this everything is read again.
const TOLD: usize = 10_000;
/// Versions that are told; who is further behind reads everything again.
const KEPT_VERSIONS: i64 = 10_000;

/// Moves the directory's version, and tells other processes by which changes of membership (there may be none).
pub(crate) fn moved(c: &Connection, tenant: TenantKey, changes: &[MemberChange]) -> Result<()> {
    let mut next = c.prepare_cached("UPDATE meta SET directory = directory + 1 WHERE tenant = $1 RETURNING directory")?;
    let version: i64 = next.query_row([tenant.0], |row| row.get(0))?;
    if changes.len() > TOLD {
        return untold(c, tenant, version);
    }
    if !changes.is_empty() {
        let column = |of: fn(&MemberChange) -> i64| changes.iter().map(of).collect::<Vec<i64>>();
        c.prepare_cached(
            "INSERT INTO member_log (tenant, version, grp, kind, key, added) SELECT $1, $2, u.grp, u.kind, u.key, u.added \
             FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) WITH ORDINALITY AS u (grp, kind, key, added, place) ORDER BY u.place",
        )?
        .execute(params![
            tenant.0,
            version,
            column(|(group, _, _)| group.0.into()),
            column(|(_, member, _)| member.kind.number().into()),
            column(|(_, member, _)| member.key.into()),
            column(|(_, _, added)| i64::from(*added))
        ])?;
    }
    if version % 1_000 == 0 {
        untold(c, tenant, version - KEPT_VERSIONS)?;
    }
    Ok(())
}

/// Lets the log of memberships begin behind a version.
pub(crate) fn untold(c: &Connection, tenant: TenantKey, version: i64) -> Result<()> {
    c.prepare_cached("DELETE FROM member_log WHERE tenant = $1 AND version <= $2")?.execute(params![tenant.0, version])?;
    c.prepare_cached(
        "INSERT INTO member_floor (tenant, version) VALUES ($1, $2) \
         ON CONFLICT (tenant) DO UPDATE SET version = greatest(member_floor.version, excluded.version)",
    )?
    .execute(params![tenant.0, version])?;
    Ok(())
}

/// Refuses a repeat of a creating request, else keeps its answer.
///
/// # Errors
/// `Replay` with what was answered.
pub(crate) fn answer_once(c: &Connection, tenant: TenantKey, once: Option<&Once>, now: Timestamp) -> Result<()> {
    once::refuse_repeat(c, tenant, once, now)?;
    once::keep(c, tenant, once, now)
}

/// Takes the next key of a sequence; keys are never given twice.
pub(crate) fn next_key(c: &Connection, name: &'static str) -> Result<u32> {
    next_keys(c, name, 1)
}

/// Takes `count` keys of a sequence in a row; answers the first.
pub(crate) fn next_keys(c: &Connection, name: &'static str, count: u64) -> Result<u32> {
    let mut statement = c.prepare_cached("UPDATE sequence SET next = next + $2 WHERE name = $1 RETURNING next")?;
    let next: i64 = statement.query_row(params![name, count as i64], |row| row.get(0))?;
    let full = || StoreError::Broken(format!("the keys of {name} are used up"));
    // The last key stays free, so that "the next one" always exists.
    if next >= i64::from(u32::MAX) {
        return Err(full());
    }
    u32::try_from(next - count as i64).map_err(|_| full())
}

/// (since, until) of every version that a statement with parameters (tenant, key) finds.
pub(crate) fn versions(c: &Connection, sql: &'static str, tenant: TenantKey, key: u32) -> Result<Vec<(i64, i64)>> {
    let mut statement = c.prepare_cached(sql)?;
    let rows = statement.query_map([tenant.0, key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows)
}

/// Checks that no other object has a unique value. The statement answers (id, since, until) of holders that are not over.
///
/// # Errors
/// `Taken` by a visible object, `ImportPending` by one that an import is about to show.
pub(crate) fn must_be_free(c: &Connection, sql: &'static str, field: &'static str, generation: i64, values: impl Params) -> Result<()> {
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        let (since, until): (i64, i64) = (row.get(1)?, row.get(2)?);
        if since > generation {
            return Err(StoreError::ImportPending);
        }
        if until > generation {
            return Err(StoreError::Taken { field, by: crate::sqlite::columns::id(row.get(0)?)? });
        }
    }
    Ok(())
}

/// Rows of one look at a list, when some of them may not be wanted.
const LOOK: u32 = 1_000;

/// How many rows to ask for.
pub(crate) fn page_of(limit: u32, sieved: bool) -> u32 {
    if sieved { limit.max(LOOK) } else { limit }
}
