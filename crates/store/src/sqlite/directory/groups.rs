//! Groups and who is in them. Nesting and cycles are no concern here: a membership is one row.

use super::versions::{Needle, STILL, answer_once, editable, generation, may_edit, may_refer, moved, must_be_free, next_key, versions};
use crate::sqlite::columns;
use crate::{Group, GroupFields, GroupFilter, MemberRow, Named, Once, Result, StoreError};
use model::directory::{Member, MemberKind};
use model::{GroupKey, TenantKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

macro_rules! select_group {
    ($rest:literal) => {
        concat!("SELECT key, id, version, external_id, name, description FROM grp WHERE tenant = ?1 AND since <= ?2 AND until > ?2 ", $rest)
    };
}

fn group_of(row: &Row<'_>) -> Result<Group> {
    let fields = GroupFields { external_id: row.get(3)?, name: row.get(4)?, description: row.get(5)? };
    let id = columns::id(row.get_ref(1)?.as_blob().unwrap_or(&[]))?;
    Ok(Group { key: GroupKey(row.get(0)?), id, version: row.get(2)?, fields })
}

pub(super) fn get(c: &Connection, tenant: TenantKey, key: GroupKey) -> Result<Option<Group>> {
    let generation = generation(c, tenant)?;
    let mut statement = c.prepare_cached(select_group!("AND key = ?3"))?;
    let mut rows = statement.query(params![tenant.0, generation, key.0])?;
    rows.next()?.map(group_of).transpose()
}

fn written(c: &Connection, tenant: TenantKey, key: GroupKey) -> Result<Group> {
    get(c, tenant, key)?.ok_or_else(|| StoreError::Broken("a group just written is not there".into()))
}

pub(super) fn list(c: &Connection, tenant: TenantKey, filter: &GroupFilter, after: GroupKey, limit: u32) -> Result<Vec<Group>> {
    let generation = generation(c, tenant)?;
    let needle = filter.search.as_deref().map(Needle::new);
    let mut statement = match (&filter.name, &filter.external_id) {
        (Some(_), _) => c.prepare_cached(select_group!("AND key > ?3 AND name = ?4 AND (?5 IS NULL OR external_id = ?5) ORDER BY key"))?,
        (None, Some(_)) => c.prepare_cached(select_group!("AND key > ?3 AND ?4 IS NULL AND external_id = ?5 ORDER BY key"))?,
        (None, None) => c.prepare_cached(select_group!("AND key > ?3 AND ?4 IS NULL AND ?5 IS NULL ORDER BY key"))?,
    };
    let mut rows = statement.query(params![tenant.0, generation, after.0, filter.name, filter.external_id])?;
    let mut found = Vec::new();
    while found.len() < limit as usize {
        let Some(row) = rows.next()? else { break };
        let fits = |column: usize| -> Result<bool> {
            let text = row.get_ref(column)?.as_str_or_null().unwrap_or(None).unwrap_or("");
            Ok(needle.as_ref().is_none_or(|needle| needle.is_in(text)))
        };
        if fits(4)? || fits(3)? {
            found.push(group_of(row)?);
        }
    }
    Ok(found)
}

pub(super) fn find(c: &Connection, tenant: TenantKey, name: &str) -> Result<Vec<Named<GroupKey>>> {
    let generation = generation(c, tenant)?;
    let named = |sql: &'static str, value: &dyn rusqlite::ToSql| -> Result<Vec<Named<GroupKey>>> {
        let mut statement = c.prepare_cached(sql)?;
        let mut rows = statement.query(params![tenant.0, generation, value])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let group = group_of(row)?;
            found.push(Named { key: group.key, id: group.id, name: group.fields.name, external_id: group.fields.external_id });
        }
        Ok(found)
    };
    if let Ok(id) = Uuid::parse_str(name) {
        let found = named(select_group!("AND id = ?3"), &id.as_bytes().as_slice())?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let found = named(select_group!("AND external_id = ?3"), &name)?;
    if !found.is_empty() {
        return Ok(found);
    }
    named(select_group!("AND name = ?3 ORDER BY key LIMIT 10"), &name)
}

fn check_unique(c: &Connection, tenant: TenantKey, generation: i64, but: u32, fields: &GroupFields) -> Result<()> {
    let Some(external) = &fields.external_id else { return Ok(()) };
    must_be_free(
        c,
        "SELECT id, since, until FROM grp WHERE tenant = ?1 AND external_id = ?2 AND key <> ?3",
        "externalId",
        generation,
        params![tenant.0, external, but],
    )
}

pub(super) fn create(
    c: &Connection,
    now: Timestamp,
    tenant: TenantKey,
    id: Uuid,
    fields: &GroupFields,
    once: Option<&Once>,
) -> Result<Group> {
    answer_once(c, tenant, once, now)?;
    let generation = editable(c, tenant)?;
    check_unique(c, tenant, generation, 0, fields)?;
    let key = GroupKey(next_key(c, "grp")?);
    c.prepare_cached(
        "INSERT INTO grp (tenant, key, since, until, id, external_id, name, description, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1)",
    )?
    .execute(params![tenant.0, key.0, generation, STILL, id.as_bytes().as_slice(), fields.external_id, fields.name, fields.description])?;
    moved(c, tenant)?;
    written(c, tenant, key)
}

fn standing(c: &Connection, tenant: TenantKey, generation: i64, key: GroupKey) -> Result<Option<(i64, i64)>> {
    let mut statement = c.prepare_cached("SELECT until, version FROM grp WHERE tenant = ?1 AND key = ?2 AND since <= ?3 AND until > ?3")?;
    Ok(statement.query_row(params![tenant.0, key.0, generation], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

pub(super) fn update(c: &Connection, tenant: TenantKey, key: GroupKey, expected: Option<i64>, fields: &GroupFields) -> Result<Group> {
    let generation = editable(c, tenant)?;
    may_edit(standing(c, tenant, generation, key)?, expected)?;
    check_unique(c, tenant, generation, key.0, fields)?;
    c.prepare_cached(
        "UPDATE grp SET external_id = ?4, name = ?5, description = ?6, version = version + 1 WHERE tenant = ?1 AND key = ?2 AND until = ?3",
    )?
    .execute(params![tenant.0, key.0, STILL, fields.external_id, fields.name, fields.description])?;
    written(c, tenant, key)
}

pub(super) fn delete(c: &Connection, tenant: TenantKey, key: GroupKey, expected: Option<i64>) -> Result<()> {
    let generation = editable(c, tenant)?;
    may_edit(standing(c, tenant, generation, key)?, expected)?;
    c.prepare_cached("DELETE FROM member WHERE tenant = ?1 AND grp = ?2")?.execute([tenant.0, key.0])?;
    c.prepare_cached("DELETE FROM member WHERE tenant = ?1 AND kind = 2 AND key = ?2")?.execute([tenant.0, key.0])?;
    c.prepare_cached("DELETE FROM grp WHERE tenant = ?1 AND key = ?2")?.execute([tenant.0, key.0])?;
    moved(c, tenant)
}

fn must_stay(c: &Connection, tenant: TenantKey, generation: i64, kind: MemberKind, key: u32) -> Result<()> {
    let sql = match kind {
        MemberKind::User => "SELECT since, until FROM person WHERE tenant = ?1 AND key = ?2",
        MemberKind::Group => "SELECT since, until FROM grp WHERE tenant = ?1 AND key = ?2",
        MemberKind::Device => "SELECT since, until FROM device WHERE tenant = ?1 AND key = ?2",
    };
    may_refer(&versions(c, sql, tenant, key)?, generation)
}

/// Whether the membership is there, for an edit.
fn is_member(c: &Connection, tenant: TenantKey, generation: i64, group: GroupKey, member: Member) -> Result<bool> {
    let mut statement =
        c.prepare_cached("SELECT since, until FROM member WHERE tenant = ?1 AND grp = ?2 AND kind = ?3 AND key = ?4 AND until > ?5")?;
    let mut rows = statement.query(params![tenant.0, group.0, member.kind.number(), member.key, generation])?;
    let mut there = false;
    while let Some(row) = rows.next()? {
        let (since, until): (i64, i64) = (row.get(0)?, row.get(1)?);
        // Begins or ends with the import in progress.
        if since > generation || until != STILL {
            return Err(StoreError::ImportPending);
        }
        there = true;
    }
    Ok(there)
}

pub(super) fn change_members(
    c: &Connection,
    now: Timestamp,
    tenant: TenantKey,
    group: GroupKey,
    change: (&[Member], &[Member]),
    once: Option<&Once>,
) -> Result<(u64, u64)> {
    answer_once(c, tenant, once, now)?;
    let generation = editable(c, tenant)?;
    must_stay(c, tenant, generation, MemberKind::Group, group.0)?;
    let (mut added, mut removed) = (0, 0);
    for member in change.0 {
        must_stay(c, tenant, generation, member.kind, member.key)?;
        if !is_member(c, tenant, generation, group, *member)? {
            c.prepare_cached("INSERT INTO member (tenant, grp, kind, key, since, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![tenant.0, group.0, member.kind.number(), member.key, generation, STILL])?;
            added += 1;
        }
    }
    for member in change.1 {
        if is_member(c, tenant, generation, group, *member)? {
            c.prepare_cached("DELETE FROM member WHERE tenant = ?1 AND grp = ?2 AND kind = ?3 AND key = ?4 AND until = ?5")?
                .execute(params![tenant.0, group.0, member.kind.number(), member.key, STILL])?;
            removed += 1;
        }
    }
    if added + removed > 0 {
        moved(c, tenant)?;
    }
    Ok((added, removed))
}

pub(super) fn members(c: &Connection, tenant: TenantKey, group: GroupKey, after: Option<Member>, limit: u32) -> Result<Vec<MemberRow>> {
    let generation = generation(c, tenant)?;
    let after = after.map_or((0, 0), |member| (member.kind.number(), member.key));
    let mut statement = c.prepare_cached(
        "SELECT kind, key FROM member WHERE tenant = ?1 AND grp = ?3 AND (kind, key) > (?4, ?5) AND since <= ?2 AND until > ?2 ORDER BY kind, key",
    )?;
    let mut rows = statement.query(params![tenant.0, generation, group.0, after.0, after.1])?;
    let mut found = Vec::new();
    while found.len() < limit as usize {
        let Some(row) = rows.next()? else { break };
        let kind = columns::word(MemberKind::from_number, row.get(0)?, "kind of member")?;
        let member = Member { kind, key: row.get(1)? };
        let sql = match kind {
            MemberKind::User => "SELECT id, upn FROM person WHERE tenant = ?1 AND key = ?3 AND since <= ?2 AND until > ?2",
            MemberKind::Group => "SELECT id, name FROM grp WHERE tenant = ?1 AND key = ?3 AND since <= ?2 AND until > ?2",
            MemberKind::Device => "SELECT id, name FROM device WHERE tenant = ?1 AND key = ?3 AND since <= ?2 AND until > ?2",
        };
        let mut named = c.prepare_cached(sql)?;
        let shown = named.query_row(params![tenant.0, generation, member.key], |row| {
            Ok((row.get_ref(0)?.as_blob().unwrap_or(&[]).to_vec(), row.get(1)?))
        });
        if let Some((id, name)) = shown.optional()? {
            found.push(MemberRow { member, id: columns::id(&id)?, name });
        }
    }
    Ok(found)
}
