//! Which version of a directory row is visible, and which may be edited.
//!
//! A row is visible while `since <= G AND G < until`, with G the tenant's generation. An ordinary edit changes the
//! visible row in place. While an import writes, old rows end at G + 1 and new ones begin there: an edit of an ended row
//! would be lost with the switch, so it is refused with [`StoreError::ImportPending`]. What an edit drags along (a
//! device's registrations, a person's memberships) is changed in every version, so that it holds whether the import
//! comes to its end or is taken back.

use crate::sqlite::once;
use crate::{Once, Result, StoreError};
use model::{TenantKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

/// `until` of a row that has no end.
pub(crate) const STILL: i64 = i64::MAX;

/// The generation that is visible now; 0, in which nothing is visible, for a tenant that does not exist.
pub(crate) fn generation(c: &Connection, tenant: TenantKey) -> Result<i64> {
    let mut statement = c.prepare_cached("SELECT generation FROM meta WHERE tenant = ?1")?;
    Ok(statement.query_row([tenant.0], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The generation for an edit.
///
/// # Errors
/// `NotFound` when there is no such tenant.
pub(crate) fn editable(c: &Connection, tenant: TenantKey) -> Result<i64> {
    match generation(c, tenant)? {
        0 => Err(StoreError::NotFound),
        generation => Ok(generation),
    }
}

/// Moves the directory's version.
pub(crate) fn moved(c: &Connection, tenant: TenantKey) -> Result<()> {
    c.prepare_cached("UPDATE meta SET directory = directory + 1 WHERE tenant = ?1")?.execute([tenant.0])?;
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
    let mut statement = c.prepare_cached("UPDATE sequence SET next = next + ?2 WHERE name = ?1 RETURNING next")?;
    let next: i64 = statement.query_row(params![name, count as i64], |row| row.get(0))?;
    let full = || StoreError::Broken(format!("the keys of {name} are used up"));
    // The last key stays free, so that "the next one" always exists.
    if next >= i64::from(u32::MAX) {
        return Err(full());
    }
    u32::try_from(next - count as i64).map_err(|_| full())
}

/// Checks that the visible row, as (until, version), may be edited.
///
/// # Errors
/// `NotFound`, `ImportPending` or `Stale`.
pub(crate) fn may_edit(row: Option<(i64, i64)>, expected: Option<i64>) -> Result<()> {
    let (until, version) = row.ok_or(StoreError::NotFound)?;
    if until != STILL {
        return Err(StoreError::ImportPending);
    }
    match expected {
        Some(expected) if expected != version => Err(StoreError::Stale { current: version }),
        Some(_) | None => Ok(()),
    }
}

/// Checks that something referred to will still be there: visible, and not removed by an import in progress. `rows`
/// holds (since, until) of its versions.
///
/// # Errors
/// `NotFound` or `ImportPending`.
pub(crate) fn may_refer(rows: &[(i64, i64)], generation: i64) -> Result<()> {
    if !rows.iter().any(|(since, until)| *since <= generation && generation < *until) {
        return Err(StoreError::NotFound);
    }
    if rows.iter().any(|(_, until)| *until == STILL) { Ok(()) } else { Err(StoreError::ImportPending) }
}

/// (since, until) of every version that a statement with parameters (tenant, key) finds.
pub(crate) fn versions(c: &Connection, sql: &'static str, tenant: TenantKey, key: u32) -> Result<Vec<(i64, i64)>> {
    let mut statement = c.prepare_cached(sql)?;
    let rows = statement.query_map([tenant.0, key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Checks that no other object has a unique value. The statement answers (id, since, until) of holders that are not over.
///
/// # Errors
/// `Taken` by a visible object, `ImportPending` by one that an import is about to show.
pub(crate) fn must_be_free(
    c: &Connection,
    sql: &'static str,
    field: &'static str,
    generation: i64,
    values: impl rusqlite::Params,
) -> Result<()> {
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        let (since, until): (i64, i64) = (row.get(1)?, row.get(2)?);
        if since > generation {
            return Err(StoreError::ImportPending);
        }
        if until > generation {
            return Err(StoreError::Taken { field, by: crate::sqlite::columns::id(row.get_ref(0)?.as_blob().unwrap_or(&[]))? });
        }
    }
    Ok(())
}

/// A text that is looked for in others without regard to case, also outside ASCII, which `LIKE` would not do.
pub(crate) struct Needle(String);

impl Needle {
    /// Prepares a search.
    pub fn new(text: &str) -> Needle {
        Needle(text.to_lowercase())
    }

    /// Whether `text` holds it, without regard to case.
    pub fn is_in(&self, text: &str) -> bool {
        if text.is_ascii() && self.0.is_ascii() {
            let (text, needle) = (text.as_bytes(), self.0.as_bytes());
            return needle.is_empty() || text.windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle));
        }
        text.to_lowercase().contains(&self.0)
    }
}
