//! Devices. Their rows are clustered by owner, so a device that changes hands moves, and its registrations with it.

use super::people;
use super::versions::{Needle, STILL, answer_once, editable, generation, may_edit, moved, must_be_free, next_key, page_of};
use crate::postgres::args::{ToArg, params};
use crate::postgres::link::{Connection, OptionalExtension, Row};
use crate::sqlite::columns;
use crate::{Device, DeviceFields, DeviceFilter, Named, Once, Result, StoreError};
use model::directory::{EnrolmentSource, MemberKind, NotificationPermission, Ownership, Platform};
use model::{DeviceKey, PersonKey, TenantKey, Timestamp};
use std::collections::HashMap;
use uuid::Uuid;

macro_rules! select_device {
    ($rest:literal) => {
        concat!(
            "SELECT d.key, d.id, d.version, d.external_id, d.name, d.owner, d.platform, d.ownership, d.enrolled, d.enrolled_by, ",
            "d.enrolled_source, d.enrolled_at, d.app_installed, d.permission, d.play_services, d.push_enabled, d.last_seen, o.id, o.upn, ",
            "(SELECT e.upn FROM person e WHERE e.tenant = d.tenant AND e.key = d.enrolled_by AND e.since <= $2 AND e.until > $2) ",
            "FROM device d LEFT JOIN person o ON o.tenant = d.tenant AND o.key = d.owner AND o.since <= $2 AND o.until > $2 ",
            "WHERE d.tenant = $1 AND d.since <= $2 AND d.until > $2 ",
            $rest
        )
    };
}

fn device_of(row: &Row) -> Result<Device> {
    let source: Option<i64> = row.get(10)?;
    let owner: u32 = row.get(5)?;
    let fields = DeviceFields {
        external_id: row.get(3)?,
        name: row.get(4)?,
        owner: (owner != 0).then_some(PersonKey(owner)),
        platform: columns::word(Platform::from_number, row.get(6)?, "platform")?,
        ownership: columns::word(Ownership::from_number, row.get(7)?, "ownership")?,
        enrolled: row.get(8)?,
        enrolled_by: row.get::<Option<u32>>(9)?.map(PersonKey),
        enrolled_source: source.map(|n| columns::word(EnrolmentSource::from_number, n, "source of enrolment")).transpose()?,
        enrolled_at: row.get::<Option<i64>>(11)?.map(Timestamp),
        app_installed: row.get(12)?,
        permission: columns::word(NotificationPermission::from_number, row.get(13)?, "permission")?,
        play_services: row.get(14)?,
        push_enabled: row.get(15)?,
        last_seen: row.get::<Option<i64>>(16)?.map(Timestamp),
    };
    let id = columns::id(row.get(1)?)?;
    let owner = match row.get::<Option<&[u8]>>(17)? {
        Some(id) => Some((columns::id(id)?, row.get(18)?)),
        None => None,
    };
    Ok(Device { key: DeviceKey(row.get(0)?), id, version: row.get(2)?, fields, owner, enrolled_by_upn: row.get(19)? })
}

pub(super) fn get(c: &Connection, tenant: TenantKey, key: DeviceKey) -> Result<Option<Device>> {
    let generation = generation(c, tenant)?;
    let mut statement = c.prepare_cached(select_device!("AND d.key = $3"))?;
    let mut rows = statement.query(params![tenant.0, generation, key.0])?;
    rows.next()?.map(device_of).transpose()
}

fn written(c: &Connection, tenant: TenantKey, key: DeviceKey) -> Result<Device> {
    get(c, tenant, key)?.ok_or_else(|| StoreError::Broken("a device just written is not there".into()))
}

pub(super) fn list(c: &Connection, tenant: TenantKey, filter: &DeviceFilter, after: DeviceKey, limit: u32) -> Result<Vec<Device>> {
    let generation = generation(c, tenant)?;
    let needle = filter.search.as_deref().map(Needle::new);
    let mut statement = if filter.owner.is_some() {
        c.prepare_cached(select_device!(
            "AND d.owner = $4 AND d.key > $3 AND ($5::text IS NULL OR d.name = $5) AND ($6::text IS NULL OR d.external_id = $6) ORDER BY d.key LIMIT $7"
        ))?
    } else if filter.external_id.is_some() {
        c.prepare_cached(select_device!(
            "AND d.key > $3 AND $4::bigint IS NULL AND ($5::text IS NULL OR d.name = $5) AND d.external_id = $6 ORDER BY d.key LIMIT $7"
        ))?
    } else if filter.name.is_some() {
        c.prepare_cached(select_device!(
            "AND d.key > $3 AND $4::bigint IS NULL AND d.name = $5 AND $6::text IS NULL ORDER BY d.key LIMIT $7"
        ))?
    } else {
        c.prepare_cached(select_device!(
            "AND d.key > $3 AND $4::bigint IS NULL AND $5::text IS NULL AND $6::text IS NULL ORDER BY d.key LIMIT $7"
        ))?
    };
    let page = page_of(limit, filter.search.is_some() || filter.platform.is_some());
    let (mut after, mut found) = (after.0, Vec::new());
    loop {
        let rows = statement.all(params![tenant.0, generation, after, filter.owner.map(|o| o.0), filter.name, filter.external_id, page])?;
        for row in &rows {
            let fits = |column: usize| -> Result<bool> {
                let text = row.get::<Option<&str>>(column)?.unwrap_or("");
                Ok(needle.as_ref().is_none_or(|needle| needle.is_in(text)))
            };
            let platform_fits = match filter.platform {
                Some(platform) => row.get::<u8>(6)? == platform.number(),
                None => true,
            };
            if platform_fits && (fits(4)? || fits(3)?) {
                found.push(device_of(row)?);
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

pub(super) fn find(c: &Connection, tenant: TenantKey, name: &str) -> Result<Vec<Named<DeviceKey>>> {
    let generation = generation(c, tenant)?;
    let named = |sql: &'static str, value: &dyn ToArg| -> Result<Vec<Named<DeviceKey>>> {
        let mut statement = c.prepare_cached(sql)?;
        let mut rows = statement.query(vec![tenant.0.arg(), generation.arg(), value.arg()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id = columns::id(row.get(1)?)?;
            found.push(Named { key: DeviceKey(row.get(0)?), id, name: row.get(2)?, external_id: row.get(3)? });
        }
        Ok(found)
    };
    if let Ok(id) = Uuid::parse_str(name) {
        let found = named(
            "SELECT key, id, name, external_id FROM device WHERE id = $3 AND tenant = $1 AND since <= $2 AND until > $2",
            id.as_bytes(),
        )?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let found = named(
        "SELECT key, id, name, external_id FROM device WHERE tenant = $1 AND external_id = $3 AND since <= $2 AND until > $2",
        &name,
    )?;
    if !found.is_empty() {
        return Ok(found);
    }
    named(
        "SELECT key, id, name, external_id FROM device WHERE tenant = $1 AND name = $3 AND since <= $2 AND until > $2 ORDER BY key LIMIT 10",
        &name,
    )
}

fn check(c: &Connection, tenant: TenantKey, generation: i64, but: u32, fields: &DeviceFields) -> Result<()> {
    if let Some(external) = &fields.external_id {
        must_be_free(
            c,
            "SELECT id, since, until FROM device WHERE tenant = $1 AND external_id = $2 AND key <> $3",
            "externalId",
            generation,
            params![tenant.0, external, but],
        )?;
    }
    if let Some(owner) = fields.owner {
        people::must_stay(c, tenant, generation, owner)?;
    }
    Ok(())
}

pub(super) fn create(
    c: &Connection,
    now: Timestamp,
    tenant: TenantKey,
    id: Uuid,
    fields: &DeviceFields,
    once: Option<&Once>,
) -> Result<Device> {
    answer_once(c, tenant, once, now)?;
    let generation = editable(c, tenant)?;
    check(c, tenant, generation, 0, fields)?;
    let key = DeviceKey(next_key(c, "device")?);
    c.prepare_cached(
        "INSERT INTO device (tenant, owner, key, since, until, platform, ownership, enrolled, enrolled_by, app_installed, permission, \
         play_services, push_enabled, enrolled_source, enrolled_at, last_seen, id, external_id, name, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 1)",
    )?
    .execute(params![
        tenant.0,
        fields.owner.unwrap_or_default().0,
        key.0,
        generation,
        STILL,
        fields.platform.number(),
        fields.ownership.number(),
        fields.enrolled,
        fields.enrolled_by.map(|p| p.0),
        fields.app_installed,
        fields.permission.number(),
        fields.play_services,
        fields.push_enabled,
        fields.enrolled_source.map(EnrolmentSource::number),
        fields.enrolled_at.map(|t| t.0),
        fields.last_seen.map(|t| t.0),
        id.as_bytes(),
        fields.external_id,
        fields.name,
    ])?;
    written(c, tenant, key)
}

/// The visible row of a device, for an edit.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    pub owner: u32,
    pub until: i64,
    pub version: i64,
}

pub(super) fn standing(c: &Connection, tenant: TenantKey, generation: i64, key: DeviceKey) -> Result<Option<Standing>> {
    let mut statement =
        c.prepare_cached("SELECT owner, until, version FROM device WHERE tenant = $1 AND key = $2 AND since <= $3 AND until > $3")?;
    let standing = statement.query_row(params![tenant.0, key.0, generation], |row| {
        Ok(Standing { owner: row.get(0)?, until: row.get(1)?, version: row.get(2)? })
    });
    Ok(standing.optional()?)
}

pub(super) fn update(c: &Connection, tenant: TenantKey, key: DeviceKey, expected: Option<i64>, fields: &DeviceFields) -> Result<Device> {
    let generation = editable(c, tenant)?;
    let standing = standing(c, tenant, generation, key)?;
    may_edit(standing.map(|s| (s.until, s.version)), expected)?;
    check(c, tenant, generation, key.0, fields)?;
    let (old, new) = (standing.map_or(0, |s| s.owner), fields.owner.unwrap_or_default().0);
    c.prepare_cached(
        "UPDATE device SET owner = $5, platform = $6, ownership = $7, enrolled = $8, enrolled_by = $9, app_installed = $10, permission = $11, \
         play_services = $12, push_enabled = $13, enrolled_source = $14, enrolled_at = $15, last_seen = $16, external_id = $17, name = $18, \
         version = version + 1 WHERE tenant = $1 AND owner = $2 AND key = $3 AND until = $4",
    )?
    .execute(params![
        tenant.0,
        old,
        key.0,
        STILL,
        new,
        fields.platform.number(),
        fields.ownership.number(),
        fields.enrolled,
        fields.enrolled_by.map(|p| p.0),
        fields.app_installed,
        fields.permission.number(),
        fields.play_services,
        fields.push_enabled,
        fields.enrolled_source.map(EnrolmentSource::number),
        fields.enrolled_at.map(|t| t.0),
        fields.last_seen.map(|t| t.0),
        fields.external_id,
        fields.name,
    ])?;
    if old != new {
        c.prepare_cached("UPDATE registration SET owner = $3 WHERE tenant = $1 AND owner = $2 AND device = $4")?
            .execute([tenant.0, old, new, key.0])?;
        moved(c, tenant, &[])?;
    }
    written(c, tenant, key)
}

pub(super) fn touch(c: &Connection, tenant: TenantKey, key: DeviceKey, at: Timestamp) -> Result<()> {
    let generation = generation(c, tenant)?;
    let mut statement = c.prepare_cached(
        "UPDATE device SET last_seen = greatest(coalesce(last_seen, 0), $4) WHERE tenant = $1 AND key = $2 AND until > $3",
    )?;
    if statement.execute(params![tenant.0, key.0, generation, at.0])? == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

pub(crate) fn delete(c: &Connection, now: Timestamp, tenant: TenantKey, key: DeviceKey, expected: Option<i64>) -> Result<()> {
    let generation = editable(c, tenant)?;
    let standing = standing(c, tenant, generation, key)?;
    may_edit(standing.map(|s| (s.until, s.version)), expected)?;
    let owner = standing.map_or(0, |s| s.owner);
    c.prepare_cached("DELETE FROM registration WHERE tenant = $1 AND owner = $2 AND device = $3")?.execute([tenant.0, owner, key.0])?;
    let gone = super::groups::leave_groups(c, tenant, generation, MemberKind::Device, key.0)?;
    c.prepare_cached("UPDATE token SET revoked_at = $2 WHERE device = $1 AND revoked_at IS NULL")?.execute(params![key.0, now.0])?;
    c.prepare_cached("DELETE FROM device WHERE tenant = $1 AND key = $2")?.execute([tenant.0, key.0])?;
    moved(c, tenant, &gone)
}

pub(super) fn owners_of(c: &Connection, tenant: TenantKey, devices: &[DeviceKey]) -> Result<Vec<(DeviceKey, Option<PersonKey>)>> {
    let generation = generation(c, tenant)?;
    let keys: Vec<i64> = devices.iter().map(|device| device.0.into()).collect();
    let mut statement =
        c.prepare_cached("SELECT key, owner FROM device WHERE tenant = $1 AND key = ANY ($3) AND since <= $2 AND until > $2")?;
    let mut owners = HashMap::new();
    for row in statement.all(params![tenant.0, generation, keys])? {
        owners.insert(DeviceKey(row.get(0)?), row.get::<u32>(1)?);
    }
    let owner = |key: &DeviceKey| owners.get(key).map(|owner| (*key, (*owner != 0).then_some(PersonKey(*owner))));
    Ok(devices.iter().filter_map(owner).collect())
}
