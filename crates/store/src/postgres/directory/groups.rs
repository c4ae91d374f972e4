//! Groups and who is in them. Nesting and cycles are no concern here: a membership is one row.

use super::versions::{
    Needle, STILL, answer_once, editable, generation, may_edit, may_refer, moved, must_be_free, next_key, page_of, versions,
};
use crate::postgres::args::{ToArg, params};
use crate::postgres::link::{Connection, OptionalExtension, Prepared, Row};
use crate::sqlite::columns;
use crate::{Group, GroupFields, GroupFilter, MemberChange, MemberRow, Named, Once, Result, StoreError};
use model::directory::{Member, MemberKind};
use model::{GroupKey, TenantKey, Timestamp};
use uuid::Uuid;

macro_rules! select_group {
    ($rest:literal) => {
        concat!("SELECT key, id, version, external_id, name, description FROM grp WHERE tenant = $1 AND since <= $2 AND until > $2 ", $rest)
    };
}

fn group_of(row: &Row) -> Result<Group> {
    let fields = GroupFields { external_id: row.get(3)?, name: row.get(4)?, description: row.get(5)? };
    let id = columns::id(row.get(1)?)?;
    Ok(Group { key: GroupKey(row.get(0)?), id, version: row.get(2)?, fields })
}

pub(super) fn get(c: &Connection, tenant: TenantKey, key: GroupKey) -> Result<Option<Group>> {
    let generation = generation(c, tenant)?;
    let mut statement = c.prepare_cached(select_group!("AND key = $3"))?;
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
        (Some(_), _) => {
            c.prepare_cached(select_group!("AND key > $3 AND name = $4 AND ($5::text IS NULL OR external_id = $5) ORDER BY key LIMIT $6"))?
        }
        (None, Some(_)) => {
            c.prepare_cached(select_group!("AND key > $3 AND $4::text IS NULL AND external_id = $5 ORDER BY key LIMIT $6"))?
        }
        (None, None) => c.prepare_cached(select_group!("AND key > $3 AND $4::text IS NULL AND $5::text IS NULL ORDER BY key LIMIT $6"))?,
    };
    let page = page_of(limit, filter.search.is_some());
    let (mut after, mut found) = (after.0, Vec::new());
    loop {
        let rows = statement.all(params![tenant.0, generation, after, filter.name, filter.external_id, page])?;
        for row in &rows {
            let fits = |column: usize| -> Result<bool> {
                let text = row.get::<Option<&str>>(column)?.unwrap_or("");
                Ok(needle.as_ref().is_none_or(|needle| needle.is_in(text)))
            };
            if fits(4)? || fits(3)? {
                found.push(group_of(row)?);
                if found.len() >= limit as usize {
                    return Ok(found);
                }
            }
        }
        match rows.last() {
            Some(last) if rows.len() == page as usize => after = last.get(0)?,
            _ => return Ok(found),
        }
    }
}

pub(super) fn find(c: &Connection, tenant: TenantKey, name: &str) -> Result<Vec<Named<GroupKey>>> {
    let generation = generation(c, tenant)?;
    let named = |sql: &'static str, value: &dyn ToArg| -> Result<Vec<Named<GroupKey>>> {
        let mut statement = c.prepare_cached(sql)?;
        let mut rows = statement.query(vec![tenant.0.arg(), generation.arg(), value.arg()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let group = group_of(row)?;
            found.push(Named { key: group.key, id: group.id, name: group.fields.name, external_id: group.fields.external_id });
        }
        Ok(found)
    };
    if let Ok(id) = Uuid::parse_str(name) {
        let found = named(select_group!("AND id = $3"), id.as_bytes())?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let found = named(select_group!("AND external_id = $3"), &name)?;
    if !found.is_empty() {
        return Ok(found);
    }
    named(select_group!("AND name = $3 ORDER BY key LIMIT 10"), &name)
}

fn check_unique(c: &Connection, tenant: TenantKey, generation: i64, but: u32, fields: &GroupFields) -> Result<()> {
    let Some(external) = &fields.external_id else { return Ok(()) };
    must_be_free(
        c,
        "SELECT id, since, until FROM grp WHERE tenant = $1 AND external_id = $2 AND key <> $3",
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
        "INSERT INTO grp (tenant, key, since, until, id, external_id, name, description, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1)",
    )?
    .execute(params![tenant.0, key.0, generation, STILL, id.as_bytes(), fields.external_id, fields.name, fields.description])?;
    moved(c, tenant, &[])?;
    written(c, tenant, key)
}

fn standing(c: &Connection, tenant: TenantKey, generation: i64, key: GroupKey) -> Result<Option<(i64, i64)>> {
    let mut statement = c.prepare_cached("SELECT until, version FROM grp WHERE tenant = $1 AND key = $2 AND since <= $3 AND until > $3")?;
    Ok(statement.query_row(params![tenant.0, key.0, generation], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

pub(super) fn update(c: &Connection, tenant: TenantKey, key: GroupKey, expected: Option<i64>, fields: &GroupFields) -> Result<Group> {
    let generation = editable(c, tenant)?;
    may_edit(standing(c, tenant, generation, key)?, expected)?;
    check_unique(c, tenant, generation, key.0, fields)?;
    c.prepare_cached(
        "UPDATE grp SET external_id = $4, name = $5, description = $6, version = version + 1 WHERE tenant = $1 AND key = $2 AND until = $3",
    )?
    .execute(params![tenant.0, key.0, STILL, fields.external_id, fields.name, fields.description])?;
    written(c, tenant, key)
}

pub(super) fn delete(c: &Connection, tenant: TenantKey, key: GroupKey, expected: Option<i64>) -> Result<()> {
    let generation = editable(c, tenant)?;
    may_edit(standing(c, tenant, generation, key)?, expected)?;
    let mut gone = removed(
        &mut c.prepare_cached("DELETE FROM member WHERE tenant = $1 AND grp = $2 RETURNING grp, kind, key, since <= $3 AND until > $3")?,
        params![tenant.0, key.0, generation],
    )?;
    gone.extend(leave_groups(c, tenant, generation, MemberKind::Group, key.0)?);
    c.prepare_cached("DELETE FROM grp WHERE tenant = $1 AND key = $2")?.execute([tenant.0, key.0])?;
    moved(c, tenant, &gone)
}

/// Removes an object from every group, in every version; answers what was visible of it.
pub(super) fn leave_groups(c: &Connection, tenant: TenantKey, generation: i64, kind: MemberKind, key: u32) -> Result<Vec<MemberChange>> {
    let mut leave = c.prepare_cached(
        "DELETE FROM member WHERE tenant = $1 AND kind = $4 AND key = $2 RETURNING grp, kind, key, since <= $3 AND until > $3",
    )?;
    removed(&mut leave, params![tenant.0, key, generation, kind.number()])
}

fn removed(statement: &mut Prepared<'_>, params: &[&dyn ToArg]) -> Result<Vec<MemberChange>> {
    let mut gone = Vec::new();
    for row in statement.all(params)? {
        if row.get(3)? {
            let kind = columns::word(MemberKind::from_number, row.get(1)?, "kind of member")?;
            gone.push((GroupKey(row.get(0)?), Member { kind, key: row.get(2)? }, false));
        }
    }
    Ok(gone)
}

fn must_stay(c: &Connection, tenant: TenantKey, generation: i64, kind: MemberKind, key: u32) -> Result<()> {
    let sql = match kind {
        MemberKind::User => "SELECT since, until FROM person WHERE tenant = $1 AND key = $2",
        MemberKind::Group => "SELECT since, until FROM grp WHERE tenant = $1 AND key = $2",
        MemberKind::Device => "SELECT since, until FROM device WHERE tenant = $1 AND key = $2",
    };
    may_refer(&versions(c, sql, tenant, key)?, generation)
}

/// Whether the membership is there, for an edit.
fn is_member(c: &Connection, tenant: TenantKey, generation: i64, group: GroupKey, member: Member) -> Result<bool> {
    let mut statement =
        c.prepare_cached("SELECT since, until FROM member WHERE tenant = $1 AND grp = $2 AND kind = $3 AND key = $4 AND until > $5")?;
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
    let (mut added, mut removed, mut told) = (0, 0, Vec::new());
    for member in change.0 {
        must_stay(c, tenant, generation, member.kind, member.key)?;
        if !is_member(c, tenant, generation, group, *member)? {
            c.prepare_cached("INSERT INTO member (tenant, grp, kind, key, since, until) VALUES ($1, $2, $3, $4, $5, $6)")?
                .execute(params![tenant.0, group.0, member.kind.number(), member.key, generation, STILL])?;
            added += 1;
            told.push((group, *member, true));
        }
    }
    for member in change.1 {
        if is_member(c, tenant, generation, group, *member)? {
            c.prepare_cached("DELETE FROM member WHERE tenant = $1 AND grp = $2 AND kind = $3 AND key = $4 AND until = $5")?
                .execute(params![tenant.0, group.0, member.kind.number(), member.key, STILL])?;
            removed += 1;
            told.push((group, *member, false));
        }
    }
    if added + removed > 0 {
        moved(c, tenant, &told)?;
    }
    Ok((added, removed))
}

pub(super) fn members(c: &Connection, tenant: TenantKey, group: GroupKey, after: Option<Member>, limit: u32) -> Result<Vec<MemberRow>> {
    let generation = generation(c, tenant)?;
    let after = after.map_or((0, 0), |member| (member.kind.number(), member.key));
    let mut statement = c.prepare_cached(
        "SELECT m.kind, m.key, coalesce(p.id, g.id, d.id), coalesce(p.upn, g.name, d.name) FROM member m \
         LEFT JOIN person p ON m.kind = 1 AND p.tenant = m.tenant AND p.key = m.key AND p.since <= $2 AND p.until > $2 \
         LEFT JOIN grp g ON m.kind = 2 AND g.tenant = m.tenant AND g.key = m.key AND g.since <= $2 AND g.until > $2 \
         LEFT JOIN device d ON m.kind = 3 AND d.tenant = m.tenant AND d.key = m.key AND d.since <= $2 AND d.until > $2 \
         WHERE m.tenant = $1 AND m.grp = $3 AND (m.kind, m.key) > ($4, $5) AND m.since <= $2 AND m.until > $2 \
         AND coalesce(p.id, g.id, d.id) IS NOT NULL ORDER BY m.kind, m.key LIMIT $6",
    )?;
    let mut found = Vec::new();
    for row in statement.all(params![tenant.0, generation, group.0, after.0, after.1, limit])? {
        let kind = columns::word(MemberKind::from_number, row.get(0)?, "kind of member")?;
        found.push(MemberRow { member: Member { kind, key: row.get(1)? }, id: columns::id(row.get(2)?)?, name: row.get(3)? });
    }
    Ok(found)
}
