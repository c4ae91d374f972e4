//! Registrations of devices with push services, and the codes by which devices enrol.

use super::devices;
use super::versions::{STILL, answer_once, editable, generation, next_key, versions};
use crate::postgres::args::params;
use crate::postgres::link::{Connection, OptionalExtension, Row};
use crate::sqlite::columns;
use crate::{Device, Enrolment, Once, Registration, RegistrationFields, Result, StoreError};
use model::directory::{EnrolmentSource, Environment, RegistrationState, Service};
use model::{DeviceKey, PersonKey, RegistrationKey, TenantKey, Timestamp};
use uuid::Uuid;

macro_rules! select_registration {
    ($rest:literal) => {
        concat!(
            "SELECT key, id, device, version, service, app, environment, token, endpoint, p256dh, auth, state, retired_code, registered_at ",
            "FROM registration WHERE tenant = $1 AND owner = $3 AND device = $4 AND since <= $2 AND until > $2 ",
            $rest
        )
    };
}

fn registration_of(row: &Row) -> Result<Registration> {
    let fields = RegistrationFields {
        service: columns::word(Service::from_number, row.get(4)?, "service")?,
        app: row.get(5)?,
        environment: columns::word(Environment::from_number, row.get(6)?, "environment")?,
        token: row.get(7)?,
        endpoint: row.get(8)?,
        p256dh: row.get(9)?,
        auth: row.get(10)?,
    };
    Ok(Registration {
        key: RegistrationKey(row.get(0)?),
        id: columns::id(row.get(1)?)?,
        device: DeviceKey(row.get(2)?),
        version: row.get(3)?,
        fields,
        state: columns::word(RegistrationState::from_number, row.get(11)?, "state of a registration")?,
        retired_code: row.get(12)?,
        registered_at: Timestamp(row.get(13)?),
    })
}

pub(super) fn list(c: &Connection, tenant: TenantKey, device: DeviceKey) -> Result<Vec<Registration>> {
    let generation = generation(c, tenant)?;
    let Some(standing) = devices::standing(c, tenant, generation, device)? else { return Ok(Vec::new()) };
    let mut statement = c.prepare_cached(select_registration!("ORDER BY key"))?;
    let mut rows = statement.query(params![tenant.0, generation, standing.owner, device.0])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(registration_of(row)?);
    }
    Ok(found)
}

/// The owner under whom a device's registrations stand, when they may be edited.
fn owner_for_edit(c: &Connection, tenant: TenantKey, generation: i64, device: DeviceKey) -> Result<u32> {
    let standing = devices::standing(c, tenant, generation, device)?.ok_or(StoreError::NotFound)?;
    if standing.until != STILL {
        // A registration written now would stay behind if the import moves or removes the device.
        let next: Option<u32> = c
            .prepare_cached("SELECT owner FROM device WHERE tenant = $1 AND key = $2 AND until = $3")?
            .query_row(params![tenant.0, device.0, STILL], |row| row.get(0))
            .optional()?;
        if next != Some(standing.owner) {
            return Err(StoreError::ImportPending);
        }
    }
    Ok(standing.owner)
}

/// The key of the registration in the same place, (device, service, app, environment).
fn same_place(
    c: &Connection,
    tenant: TenantKey,
    generation: i64,
    owner: u32,
    device: DeviceKey,
    fields: &RegistrationFields,
) -> Result<Option<u32>> {
    let mut statement = c.prepare_cached(
        "SELECT key, since, until FROM registration WHERE tenant = $1 AND owner = $2 AND device = $3 AND until > $4 \
         AND service = $5 AND environment = $6 AND app = $7",
    )?;
    let mut rows = statement.query(params![
        tenant.0,
        owner,
        device.0,
        generation,
        fields.service.number(),
        fields.environment.number(),
        fields.app
    ])?;
    let mut there = None;
    while let Some(row) = rows.next()? {
        let (since, until): (i64, i64) = (row.get(1)?, row.get(2)?);
        if since > generation || until != STILL {
            return Err(StoreError::ImportPending);
        }
        there = Some(row.get(0)?);
    }
    Ok(there)
}

pub(super) fn put(
    c: &Connection,
    now: Timestamp,
    tenant: TenantKey,
    device: DeviceKey,
    id: Uuid,
    fields: &RegistrationFields,
    once: Option<&Once>,
) -> Result<Registration> {
    answer_once(c, tenant, once, now)?;
    let generation = editable(c, tenant)?;
    let owner = owner_for_edit(c, tenant, generation, device)?;
    let key = match same_place(c, tenant, generation, owner, device, fields)? {
        Some(key) => {
            c.prepare_cached(
                "UPDATE registration SET state = 1, retired_code = NULL, version = version + 1, registered_at = $6, token = $7, endpoint = $8, \
                 p256dh = $9, auth = $10 WHERE tenant = $1 AND owner = $2 AND device = $3 AND key = $4 AND until = $5",
            )?
            .execute(params![
                tenant.0,
                owner,
                device.0,
                key,
                STILL,
                now.0,
                fields.token,
                fields.endpoint,
                fields.p256dh,
                fields.auth
            ])?;
            key
        }
        None => insert(c, now, (tenant, generation, owner, device), id, fields)?,
    };
    retire_elsewhere(c, tenant, generation, device, fields)?;
    let mut statement = c.prepare_cached(select_registration!("AND key = $5"))?;
    let mut rows = statement.query(params![tenant.0, generation, owner, device.0, key])?;
    let row = rows.next()?.ok_or_else(|| StoreError::Broken("a registration just written is not there".into()))?;
    registration_of(row)
}

fn insert(
    c: &Connection,
    now: Timestamp,
    (tenant, generation, owner, device): (TenantKey, i64, u32, DeviceKey),
    id: Uuid,
    fields: &RegistrationFields,
) -> Result<u32> {
    let key = next_key(c, "registration")?;
    c.prepare_cached(
        "INSERT INTO registration (tenant, owner, device, key, since, until, service, state, version, registered_at, environment, app, token, \
         endpoint, p256dh, auth, id) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, 1, $8, $9, $10, $11, $12, $13, $14, $15)",
    )?
    .execute(params![
        tenant.0,
        owner,
        device.0,
        key,
        generation,
        STILL,
        fields.service.number(),
        now.0,
        fields.environment.number(),
        fields.app,
        fields.token,
        fields.endpoint,
        fields.p256dh,
        fields.auth,
        id.as_bytes(),
    ])?;
    Ok(key)
}

/// A push service knows a token once: where it stood before, it answers no more.
fn retire_elsewhere(c: &Connection, tenant: TenantKey, generation: i64, device: DeviceKey, fields: &RegistrationFields) -> Result<()> {
    c.prepare_cached(
        "UPDATE registration SET state = 2, retired_code = 'moved', version = version + 1 WHERE tenant = $1 AND service = $2 AND md5(token || ' ' || endpoint) = md5($3::text || ' ' || $4::text) \
         AND token = $3 AND endpoint = $4 AND device <> $5 AND state = 1 AND until > $6",
    )?
    .execute(params![tenant.0, fields.service.number(), fields.token, fields.endpoint, device.0, generation])?;
    Ok(())
}

pub(super) fn delete(c: &Connection, tenant: TenantKey, device: DeviceKey, id: Uuid) -> Result<()> {
    let generation = editable(c, tenant)?;
    let owner = owner_for_edit(c, tenant, generation, device)?;
    let found: Option<u32> = c
        .prepare_cached(select_registration!("AND id = $5"))?
        .query_row(params![tenant.0, generation, owner, device.0, id.as_bytes()], |row| row.get(0))
        .optional()?;
    let key = found.ok_or(StoreError::NotFound)?;
    let rows = versions(c, "SELECT since, until FROM registration WHERE tenant = $1 AND key = $2", tenant, key)?;
    if rows.iter().any(|(since, until)| *since > generation || (*until != STILL && *until > generation)) {
        return Err(StoreError::ImportPending);
    }
    c.prepare_cached("DELETE FROM registration WHERE tenant = $1 AND owner = $2 AND device = $3 AND key = $4")?
        .execute([tenant.0, owner, device.0, key])?;
    Ok(())
}

pub(super) fn create_code(
    c: &Connection,
    now: Timestamp,
    tenant: TenantKey,
    code: [u8; 32],
    (person, expires): (PersonKey, Timestamp),
    once: Option<&Once>,
) -> Result<()> {
    answer_once(c, tenant, once, now)?;
    let generation = editable(c, tenant)?;
    super::people::must_stay(c, tenant, generation, person)?;
    c.prepare_cached("INSERT INTO code (hash, tenant, person, expires) VALUES ($1, $2, $3, $4)")?.execute(params![
        code.as_slice(),
        tenant.0,
        person.0,
        expires.0
    ])?;
    Ok(())
}

pub(super) fn enrol(c: &Connection, enrolment: &Enrolment, once: Option<&Once>, now: Timestamp) -> Result<(TenantKey, Device)> {
    let code: Option<(u32, u32, i64)> = c
        .prepare_cached("SELECT tenant, person, expires FROM code WHERE hash = $1")?
        .query_row([enrolment.code.as_slice()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (tenant, person, expires) = code.ok_or(StoreError::NotFound)?;
    let (tenant, person) = (TenantKey(tenant), PersonKey(person));
    // The code is read again once edits of its tenant wait.
    editable(c, tenant)?;
    answer_once(c, tenant, once, now)?;
    let used_at: Option<i64> =
        c.prepare_cached("SELECT used_at FROM code WHERE hash = $1")?.query_row([enrolment.code.as_slice()], |row| row.get(0))?;
    let active = super::people::get(c, tenant, person)?.is_some_and(|person| person.fields.active);
    if used_at.is_some() || expires <= now.0 || !active {
        return Err(StoreError::Spent);
    }
    c.prepare_cached("UPDATE code SET used_at = $2 WHERE hash = $1")?.execute(params![enrolment.code.as_slice(), now.0])?;
    let mut fields = enrolment.device.clone();
    fields.owner = Some(person);
    fields.enrolled = true;
    fields.enrolled_by = Some(person);
    fields.enrolled_source = Some(EnrolmentSource::Code);
    fields.enrolled_at = Some(now);
    let device = devices::create(c, now, tenant, enrolment.device_id, &fields, None)?;
    let token = &enrolment.token;
    c.prepare_cached("INSERT INTO token (hash, tenant, id, name, device, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)")?
        .execute(params![
            token.hash.as_slice(),
            tenant.0,
            token.id.as_bytes(),
            token.name,
            device.key.0,
            now.0,
            token.expires_at.map(|t| t.0)
        ])?;
    Ok((tenant, device))
}
