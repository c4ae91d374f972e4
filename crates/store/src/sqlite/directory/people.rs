//! People: reading, editing, and what leaves with a person.

use super::versions::{Needle, STILL, answer_once, editable, generation, may_edit, may_refer, moved, must_be_free, next_key, versions};
use crate::sqlite::columns;
use crate::{Named, Once, Person, PersonFields, PersonFilter, Result};
use model::{PersonKey, TenantKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

macro_rules! select_person {
    ($rest:literal) => {
        concat!(
            "SELECT p.key, p.id, p.version, p.external_id, p.upn, p.display_name, p.email, p.locale, p.timezone, p.licenses, p.manager, ",
            "p.phones, p.active, p.quiet_hours, (SELECT m.upn FROM person m WHERE m.tenant = p.tenant AND m.key = p.manager ",
            "AND m.since <= ?2 AND m.until > ?2) FROM person p WHERE p.tenant = ?1 AND p.since <= ?2 AND p.until > ?2 ",
            $rest
        )
    };
}

fn person_of(row: &Row<'_>) -> Result<Person> {
    let fields = PersonFields {
        external_id: row.get(3)?,
        upn: row.get(4)?,
        display_name: row.get(5)?,
        email: row.get(6)?,
        locale: row.get(7)?,
        timezone: row.get(8)?,
        licenses: columns::json(row.get_ref(9)?.as_str().unwrap_or("[]"), "a list of licences")?,
        manager: row.get::<_, Option<u32>>(10)?.map(PersonKey),
        phones: columns::json(row.get_ref(11)?.as_str().unwrap_or("[]"), "a list of phones")?,
        active: row.get(12)?,
        quiet_hours: row.get(13)?,
    };
    let id = columns::id(row.get_ref(1)?.as_blob().unwrap_or(&[]))?;
    Ok(Person { key: PersonKey(row.get(0)?), id, version: row.get(2)?, fields, manager_upn: row.get(14)? })
}

pub(super) fn get(c: &Connection, tenant: TenantKey, key: PersonKey) -> Result<Option<Person>> {
    let generation = generation(c, tenant)?;
    let mut statement = c.prepare_cached(select_person!("AND p.key = ?3"))?;
    let mut rows = statement.query(params![tenant.0, generation, key.0])?;
    rows.next()?.map(person_of).transpose()
}

fn written(c: &Connection, tenant: TenantKey, key: PersonKey) -> Result<Person> {
    get(c, tenant, key)?.ok_or_else(|| crate::StoreError::Broken("a person just written is not there".into()))
}

pub(super) fn list(c: &Connection, tenant: TenantKey, filter: &PersonFilter, after: PersonKey, limit: u32) -> Result<Vec<Person>> {
    let generation = generation(c, tenant)?;
    let needle = filter.search.as_deref().map(Needle::new);
    let mut statement = match (&filter.upn, &filter.external_id) {
        (Some(_), _) => {
            c.prepare_cached(select_person!("AND p.key > ?3 AND p.upn = ?4 AND (?5 IS NULL OR p.external_id = ?5) ORDER BY p.key"))?
        }
        (None, Some(_)) => c.prepare_cached(select_person!("AND p.key > ?3 AND ?4 IS NULL AND p.external_id = ?5 ORDER BY p.key"))?,
        (None, None) => c.prepare_cached(select_person!("AND p.key > ?3 AND ?4 IS NULL AND ?5 IS NULL ORDER BY p.key"))?,
    };
    let mut rows = statement.query(params![tenant.0, generation, after.0, filter.upn, filter.external_id])?;
    let mut found = Vec::new();
    while found.len() < limit as usize {
        let Some(row) = rows.next()? else { break };
        let fits = |column: usize| -> Result<bool> {
            let text = row.get_ref(column)?.as_str_or_null().unwrap_or(None).unwrap_or("");
            Ok(needle.as_ref().is_none_or(|needle| needle.is_in(text)))
        };
        let active_fits = match filter.active {
            Some(active) => row.get::<_, bool>(12)? == active,
            None => true,
        };
        if active_fits && (fits(4)? || fits(5)? || fits(3)? || fits(6)?) {
            found.push(person_of(row)?);
        }
    }
    Ok(found)
}

pub(super) fn find(c: &Connection, tenant: TenantKey, name: &str) -> Result<Vec<Named<PersonKey>>> {
    let generation = generation(c, tenant)?;
    let named = |sql: &'static str, value: &dyn rusqlite::ToSql| -> Result<Vec<Named<PersonKey>>> {
        let mut statement = c.prepare_cached(sql)?;
        let mut rows = statement.query(params![tenant.0, generation, value])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id = columns::id(row.get_ref(1)?.as_blob().unwrap_or(&[]))?;
            found.push(Named { key: PersonKey(row.get(0)?), id, name: row.get(2)?, external_id: row.get(3)? });
        }
        Ok(found)
    };
    if let Ok(id) = Uuid::parse_str(name) {
        let found = named(
            "SELECT key, id, upn, external_id FROM person WHERE id = ?3 AND tenant = ?1 AND since <= ?2 AND until > ?2",
            &id.as_bytes().as_slice(),
        )?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let found =
        named("SELECT key, id, upn, external_id FROM person WHERE tenant = ?1 AND external_id = ?3 AND since <= ?2 AND until > ?2", &name)?;
    if !found.is_empty() {
        return Ok(found);
    }
    named("SELECT key, id, upn, external_id FROM person WHERE tenant = ?1 AND upn = ?3 AND since <= ?2 AND until > ?2", &name)
}

/// Names of the people whose number this is, two at most.
const WITH_PHONE: &str = "SELECT p.display_name FROM phone f JOIN person p ON p.tenant = f.tenant AND p.key = f.person AND p.since <= ?2 AND p.until > ?2 \
    WHERE f.tenant = ?1 AND f.number = ?3 AND instr(p.phones, '\"' || ?3 || '\"') > 0 ORDER BY p.key LIMIT 2";

pub(super) fn with_phone(c: &Connection, tenant: TenantKey, number: &str) -> Result<Vec<String>> {
    let generation = generation(c, tenant)?;
    let mut statement = c.prepare_cached(WITH_PHONE)?;
    let mut rows = statement.query(params![tenant.0, generation, number])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(row.get(0)?);
    }
    Ok(found)
}

fn check_unique(c: &Connection, tenant: TenantKey, generation: i64, but: u32, fields: &PersonFields) -> Result<()> {
    must_be_free(
        c,
        "SELECT id, since, until FROM person WHERE tenant = ?1 AND upn = ?2 AND key <> ?3",
        "upn",
        generation,
        params![tenant.0, fields.upn, but],
    )?;
    if let Some(external) = &fields.external_id {
        must_be_free(
            c,
            "SELECT id, since, until FROM person WHERE tenant = ?1 AND external_id = ?2 AND key <> ?3",
            "externalId",
            generation,
            params![tenant.0, external, but],
        )?;
    }
    Ok(())
}

pub(super) fn create(
    c: &Connection,
    now: Timestamp,
    tenant: TenantKey,
    id: Uuid,
    fields: &PersonFields,
    once: Option<&Once>,
) -> Result<Person> {
    answer_once(c, tenant, once, now)?;
    let generation = editable(c, tenant)?;
    check_unique(c, tenant, generation, 0, fields)?;
    let key = PersonKey(next_key(c, "person")?);
    c.prepare_cached(
        "INSERT INTO person (tenant, key, since, until, active, locale, email, quiet_hours, timezone, id, external_id, upn, display_name, \
         licenses, manager, phones, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, 1)",
    )?
    .execute(params![
        tenant.0,
        key.0,
        generation,
        STILL,
        fields.active,
        fields.locale,
        fields.email,
        fields.quiet_hours,
        fields.timezone,
        id.as_bytes().as_slice(),
        fields.external_id,
        fields.upn,
        fields.display_name,
        columns::to_json(&fields.licenses)?,
        fields.manager.map(|m| m.0),
        columns::to_json(&fields.phones)?,
    ])?;
    moved(c, tenant)?;
    written(c, tenant, key)
}

/// (until, version, active) of the visible row.
fn standing(c: &Connection, tenant: TenantKey, generation: i64, key: PersonKey) -> Result<Option<(i64, i64, bool)>> {
    let mut statement =
        c.prepare_cached("SELECT until, version, active FROM person WHERE tenant = ?1 AND key = ?2 AND since <= ?3 AND until > ?3")?;
    Ok(statement.query_row(params![tenant.0, key.0, generation], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?)
}

pub(super) fn update(
    c: &Connection,
    now: Timestamp,
    tenant: TenantKey,
    key: PersonKey,
    expected: Option<i64>,
    fields: &PersonFields,
) -> Result<Person> {
    let generation = editable(c, tenant)?;
    let standing = standing(c, tenant, generation, key)?;
    may_edit(standing.map(|(until, version, _)| (until, version)), expected)?;
    check_unique(c, tenant, generation, key.0, fields)?;
    c.prepare_cached(
        "UPDATE person SET active = ?4, locale = ?5, email = ?6, quiet_hours = ?7, timezone = ?8, external_id = ?9, upn = ?10, \
         display_name = ?11, licenses = ?12, manager = ?13, phones = ?14, version = version + 1 \
         WHERE tenant = ?1 AND key = ?2 AND until = ?3",
    )?
    .execute(params![
        tenant.0,
        key.0,
        STILL,
        fields.active,
        fields.locale,
        fields.email,
        fields.quiet_hours,
        fields.timezone,
        fields.external_id,
        fields.upn,
        fields.display_name,
        columns::to_json(&fields.licenses)?,
        fields.manager.map(|m| m.0),
        columns::to_json(&fields.phones)?,
    ])?;
    if standing.is_some_and(|(_, _, was_active)| was_active) && !fields.active {
        c.prepare_cached(
            "UPDATE registration SET state = 2, retired_code = 'person_inactive', version = version + 1 \
             WHERE tenant = ?1 AND owner = ?2 AND state = 1 AND until > ?3",
        )?
        .execute(params![tenant.0, key.0, generation])?;
        shut_out(c, now, tenant, key)?;
    }
    written(c, tenant, key)
}

/// Revokes the tokens of a person's devices and voids the person's open codes.
pub(crate) fn shut_out(c: &Connection, now: Timestamp, tenant: TenantKey, key: PersonKey) -> Result<()> {
    c.prepare_cached(
        "UPDATE token SET revoked_at = ?3 WHERE revoked_at IS NULL AND device IN (SELECT key FROM device WHERE tenant = ?1 AND owner = ?2)",
    )?
    .execute(params![tenant.0, key.0, now.0])?;
    c.prepare_cached("UPDATE code SET used_at = ?3 WHERE tenant = ?1 AND person = ?2 AND used_at IS NULL")?
        .execute(params![tenant.0, key.0, now.0])?;
    Ok(())
}

pub(crate) fn delete(c: &Connection, now: Timestamp, tenant: TenantKey, key: PersonKey, expected: Option<i64>) -> Result<()> {
    let generation = editable(c, tenant)?;
    let standing = standing(c, tenant, generation, key)?;
    may_edit(standing.map(|(until, version, _)| (until, version)), expected)?;
    shut_out(c, now, tenant, key)?;
    c.prepare_cached("DELETE FROM registration WHERE tenant = ?1 AND owner = ?2")?.execute([tenant.0, key.0])?;
    c.prepare_cached("UPDATE device SET owner = 0, version = version + 1 WHERE tenant = ?1 AND owner = ?2")?.execute([tenant.0, key.0])?;
    c.prepare_cached("DELETE FROM member WHERE tenant = ?1 AND kind = 1 AND key = ?2")?.execute([tenant.0, key.0])?;
    c.prepare_cached("DELETE FROM person WHERE tenant = ?1 AND key = ?2")?.execute([tenant.0, key.0])?;
    moved(c, tenant)
}

/// Checks that a person can be referred to.
pub(super) fn must_stay(c: &Connection, tenant: TenantKey, generation: i64, key: PersonKey) -> Result<()> {
    may_refer(&versions(c, "SELECT since, until FROM person WHERE tenant = ?1 AND key = ?2", tenant, key.0)?, generation)
}
