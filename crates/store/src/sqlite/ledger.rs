//! Tenants, settings, tokens, kept answers and alarms in SQLite.

use super::columns::{id, json, to_json, word};
use super::{Sqlite, WriteLane, once};
use crate::{Alarm, Answer, Ledger, NewToken, Once, Result, StoreError, Tenant, Token, TokenUse};
use async_trait::async_trait;
use model::roles::{Role, RoleId, Scope};
use model::{DeviceKey, PersonKey, TenantKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use uuid::Uuid;

const TENANT: &str = "SELECT tenant, id, name FROM meta WHERE name = ?1";
const ALL_TENANTS: &str = "SELECT tenant, id, name FROM meta ORDER BY tenant";
const RENAME_TENANT: &str = "UPDATE meta SET name = ?3 WHERE tenant = ?1 AND name = ?2";
const NEW_TENANT: &str = "INSERT INTO meta (id, name) VALUES (?1, ?2)";
const POLICY_VERSION: &str = "SELECT policy FROM meta WHERE tenant = ?1";
const SETTINGS: &str = "SELECT key, value FROM setting WHERE tenant = ?1 ORDER BY key";
const PUT_SETTING: &str = "INSERT OR REPLACE INTO setting (tenant, key, value) VALUES (?1, ?2, ?3)";
const DROP_SETTING: &str = "DELETE FROM setting WHERE tenant = ?1 AND key = ?2";
const NEXT_POLICY: &str = "UPDATE meta SET policy = policy + 1 WHERE tenant = ?1";
const KEEP_POLICY: &str = "INSERT INTO policy (tenant, version, at, settings) VALUES (?1, ?2, ?3, ?4)";
const POLICY_AT: &str = "SELECT settings FROM policy WHERE tenant = ?1 AND version = ?2";
const NEW_TOKEN: &str = "INSERT INTO token (hash, tenant, id, name, role, scope, device, created_at, expires_at, own_role, person) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const FIND_TOKEN: &str = "SELECT tenant, id, name, role, scope, device, created_at, expires_at, revoked_at, own_role, person \
    FROM token WHERE hash = ?1";
const OWNER: &str = "SELECT d.owner FROM device d JOIN meta m ON m.tenant = d.tenant \
    WHERE d.tenant = ?1 AND d.key = ?2 AND d.since <= m.generation AND d.until > m.generation";
const ACTIVE: &str = "SELECT p.active FROM person p JOIN meta m ON m.tenant = p.tenant \
    WHERE p.tenant = ?1 AND p.key = ?2 AND p.since <= m.generation AND p.until > m.generation";
const TOKENS: &str = "SELECT tenant, id, name, role, scope, device, created_at, expires_at, revoked_at, own_role, person \
    FROM token \
    WHERE tenant = ?1 AND device IS NULL AND (created_at, id) < (?2, ?3) ORDER BY created_at DESC, id DESC LIMIT ?4";
const TOKEN_TIME: &str = "SELECT created_at FROM token WHERE id = ?1 AND tenant = ?2";
const REVOKE: &str = "UPDATE token SET revoked_at = coalesce(revoked_at, ?3) WHERE tenant = ?1 AND id = ?2";
const RAISE: &str = "INSERT INTO alarm (tenant, code, raised_at, last_at, detail, count) VALUES (?1, ?2, ?3, ?3, ?4, 1) \
    ON CONFLICT (tenant, code) DO UPDATE SET last_at = ?3, detail = ?4, cleared_at = NULL, \
    raised_at = CASE WHEN cleared_at IS NULL THEN raised_at ELSE ?3 END, count = CASE WHEN cleared_at IS NULL THEN count + 1 ELSE 1 END \
    RETURNING count";
const CLEAR: &str = "UPDATE alarm SET cleared_at = ?3 WHERE tenant = ?1 AND code = ?2 AND cleared_at IS NULL";
const ALARMS: &str = "SELECT code, detail, raised_at, last_at, count, cleared_at FROM alarm WHERE tenant = ?1 \
    ORDER BY cleared_at IS NOT NULL, raised_at DESC, code LIMIT ?2";
const COPY: &str = "VACUUM INTO ?1";

#[async_trait]
impl Ledger for Sqlite {
    async fn found(&self, name: &str, id: Uuid) -> Result<(Vec<Tenant>, bool)> {
        let name = name.to_owned();
        self.write(WriteLane::Urgent, move |c, now| match tenants(c)? {
            none if none.is_empty() => Ok((vec![new_tenant(c, &name, id, now)?], true)),
            tenants => Ok((tenants, false)),
        })
        .await
    }

    async fn rename_tenant(&self, tenant: TenantKey, from: &str, to: &str) -> Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.write(WriteLane::Urgent, move |c, _| match c.prepare_cached(RENAME_TENANT)?.execute(params![tenant.0, from, to])? {
            0 => Err(StoreError::NotFound),
            _ => Ok(()),
        })
        .await
    }

    async fn ensure_tenant(&self, name: &str, id: Uuid) -> Result<(Tenant, bool)> {
        let name = name.to_owned();
        self.write(WriteLane::Urgent, move |c, now| ensure_tenant(c, &name, id, now)).await
    }

    async fn settings(&self, tenant: TenantKey) -> Result<(i64, BTreeMap<String, Value>)> {
        self.read(move |c| Ok((policy_version(c, tenant)?, settings(c, tenant)?))).await
    }

    async fn put_settings(&self, tenant: TenantKey, changes: Vec<(String, Option<Value>)>, expected: Option<i64>) -> Result<i64> {
        self.write(WriteLane::Urgent, move |c, now| put_settings(c, tenant, &changes, expected, now)).await
    }

    async fn settings_at(&self, tenant: TenantKey, version: i64) -> Result<Option<BTreeMap<String, Value>>> {
        self.read(move |c| {
            let text: Option<String> = c.prepare_cached(POLICY_AT)?.query_row(params![tenant.0, version], |row| row.get(0)).optional()?;
            text.map(|text| json(&text, "a policy")).transpose()
        })
        .await
    }

    async fn create_token(&self, tenant: TenantKey, token: NewToken, once: Option<Once>) -> Result<Token> {
        self.write(WriteLane::Urgent, move |c, now| {
            once::refuse_repeat(c, tenant, once.as_ref(), now)?;
            insert_token(c, tenant, &token, now)?;
            once::keep(c, tenant, once.as_ref(), now)?;
            find_token(c, &token.hash)?.ok_or(StoreError::NotFound)
        })
        .await
    }

    async fn find_token(&self, hash: [u8; 32]) -> Result<Option<Token>> {
        self.read(move |c| find_token(c, &hash)).await
    }

    async fn tokens(&self, tenant: TenantKey, after: Option<Uuid>, limit: u32) -> Result<Vec<Token>> {
        self.read(move |c| tokens(c, tenant, after, limit)).await
    }

    async fn revoke_token(&self, tenant: TenantKey, id: Uuid) -> Result<()> {
        self.write(WriteLane::Urgent, move |c, now| match c.prepare_cached(REVOKE)?.execute(params![tenant.0, id.as_bytes(), now.0])? {
            0 => Err(StoreError::NotFound),
            _ => Ok(()),
        })
        .await
    }

    async fn answered(&self, tenant: TenantKey, token: Uuid, key: &str) -> Result<Option<Answer>> {
        let (key, now) = (key.to_owned(), self.now());
        self.read(move |c| once::find(c, tenant, token, &key, now)).await
    }

    async fn raise_alarm(&self, tenant: TenantKey, code: &str, detail: &str) -> Result<bool> {
        let (code, detail) = (code.to_owned(), detail.to_owned());
        self.write(WriteLane::Urgent, move |c, now| {
            let count: i64 = c.prepare_cached(RAISE)?.query_row(params![tenant.0, code, now.0, detail], |row| row.get(0))?;
            Ok(count == 1)
        })
        .await
    }

    async fn clear_alarm(&self, tenant: TenantKey, code: &str) -> Result<bool> {
        let code = code.to_owned();
        self.write(WriteLane::Urgent, move |c, now| Ok(c.prepare_cached(CLEAR)?.execute(params![tenant.0, code, now.0])? > 0)).await
    }

    async fn alarms(&self, tenant: TenantKey, limit: u32) -> Result<Vec<Alarm>> {
        self.read(move |c| {
            let mut alarms = c.prepare_cached(ALARMS)?;
            let rows = alarms.query_map(params![tenant.0, limit], alarm)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn size(&self) -> Result<u64> {
        let file = self.file().to_owned();
        let sized = tokio::task::spawn_blocking(move || size(&file)).await;
        sized.unwrap_or_else(|_| Err(StoreError::Broken("measuring the store was interrupted".into())))
    }

    async fn backup(&self, to: PathBuf) -> Result<()> {
        let (reader, file) = (self.reader()?, self.file().to_owned());
        let copied = tokio::task::spawn_blocking(move || backup(&reader, &file, &to)).await;
        copied.unwrap_or_else(|_| Err(StoreError::Broken("the backup was interrupted".into())))
    }
}

fn ensure_tenant(c: &Connection, name: &str, new_id: Uuid, now: Timestamp) -> Result<(Tenant, bool)> {
    let mut find = c.prepare_cached(TENANT)?;
    match find.query_row([name], columns).optional()? {
        Some(found) => Ok((tenant(found)?, false)),
        None => Ok((new_tenant(c, name, new_id, now)?, true)),
    }
}

fn tenants(c: &Connection) -> Result<Vec<Tenant>> {
    let mut all = c.prepare_cached(ALL_TENANTS)?;
    let rows: Vec<TenantColumns> = all.query_map([], columns)?.collect::<rusqlite::Result<_>>()?;
    rows.into_iter().map(tenant).collect()
}

fn new_tenant(c: &Connection, name: &str, new_id: Uuid, now: Timestamp) -> Result<Tenant> {
    c.prepare_cached(NEW_TENANT)?.execute(params![new_id.as_bytes(), name])?;
    let key = u32::try_from(c.last_insert_rowid()).map_err(|_| StoreError::Broken("there are too many tenants".into()))?;
    c.prepare_cached(KEEP_POLICY)?.execute(params![key, 1, now.0, "{}"])?;
    Ok(Tenant { key: TenantKey(key), id: new_id, name: name.to_owned() })
}

type TenantColumns = (u32, Vec<u8>, String);

fn columns(row: &Row<'_>) -> rusqlite::Result<TenantColumns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn tenant((key, bytes, name): TenantColumns) -> Result<Tenant> {
    Ok(Tenant { key: TenantKey(key), id: id(&bytes)?, name })
}

fn policy_version(c: &Connection, tenant: TenantKey) -> Result<i64> {
    c.prepare_cached(POLICY_VERSION)?.query_row([tenant.0], |row| row.get(0)).optional()?.ok_or(StoreError::NotFound)
}

fn settings(c: &Connection, tenant: TenantKey) -> Result<BTreeMap<String, Value>> {
    let mut all = c.prepare_cached(SETTINGS)?;
    let mut rows = all.query([tenant.0])?;
    let mut settings = BTreeMap::new();
    while let Some(row) = rows.next()? {
        settings.insert(row.get(0)?, json(row.get_ref(1)?.as_str().unwrap_or_default(), "a setting")?);
    }
    Ok(settings)
}

fn put_settings(
    c: &Connection,
    tenant: TenantKey,
    changes: &[(String, Option<Value>)],
    expected: Option<i64>,
    now: Timestamp,
) -> Result<i64> {
    let current = policy_version(c, tenant)?;
    if expected.is_some_and(|expected| expected != current) {
        return Err(StoreError::Stale { current });
    }
    for (key, value) in changes {
        match value {
            Some(value) => c.prepare_cached(PUT_SETTING)?.execute(params![tenant.0, key, to_json(value)?])?,
            None => c.prepare_cached(DROP_SETTING)?.execute(params![tenant.0, key])?,
        };
    }
    c.prepare_cached(NEXT_POLICY)?.execute([tenant.0])?;
    let snapshot = to_json(&settings(c, tenant)?)?;
    c.prepare_cached(KEEP_POLICY)?.execute(params![tenant.0, current + 1, now.0, snapshot])?;
    Ok(current + 1)
}

/// Keeps a token; also a step of an enrolment.
pub(crate) fn insert_token(c: &Connection, tenant: TenantKey, token: &NewToken, now: Timestamp) -> Result<()> {
    let (mut role, mut own, mut scope, mut device, mut person) = (None, None, None, None, None);
    match &token.opens {
        TokenUse::Admin { role: held, scope: place } => {
            scope = Some(to_json(place)?);
            match held {
                RoleId::BuiltIn(held) => role = Some(held.number()),
                RoleId::Own(id) => own = Some(id.as_bytes().to_vec()),
            }
        }
        TokenUse::Person(key) => person = Some(key.0),
        TokenUse::Device(key) => device = Some(key.0),
    }
    c.prepare_cached(NEW_TOKEN)?.execute(params![
        token.hash,
        tenant.0,
        token.id.as_bytes(),
        token.name,
        role,
        scope,
        device,
        now.0,
        token.expires_at.map(|at| at.0),
        own,
        person
    ])?;
    Ok(())
}

fn find_token(c: &Connection, hash: &[u8; 32]) -> Result<Option<Token>> {
    let mut find = c.prepare_cached(FIND_TOKEN)?;
    let mut rows = find.query([hash])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut token = token(row)?;
    if let TokenUse::Person(person) = &token.opens {
        let active: Option<bool> = c.prepare_cached(ACTIVE)?.query_row([token.tenant.0, person.0], |row| row.get(0)).optional()?;
        token.owner = active.unwrap_or_default().then_some(*person);
    }
    if let TokenUse::Device(device) = &token.opens {
        let owner: Option<u32> = c.prepare_cached(OWNER)?.query_row([token.tenant.0, device.0], |row| row.get(0)).optional()?;
        token.owner = owner.filter(|owner| *owner != 0).map(PersonKey);
    }
    Ok(Some(token))
}

fn tokens(c: &Connection, tenant: TenantKey, after: Option<Uuid>, limit: u32) -> Result<Vec<Token>> {
    let (time, last) = match after {
        None => (i64::MAX, Uuid::max()),
        Some(after) => {
            let time = c.prepare_cached(TOKEN_TIME)?.query_row(params![after.as_bytes(), tenant.0], |row| row.get(0)).optional()?;
            (time.ok_or(StoreError::NotFound)?, after)
        }
    };
    let mut list = c.prepare_cached(TOKENS)?;
    let mut rows = list.query(params![tenant.0, time, last.as_bytes(), limit])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        tokens.push(token(row)?);
    }
    Ok(tokens)
}

/// A row of the token table; the person behind it is looked up apart.
fn token(row: &Row<'_>) -> Result<Token> {
    let (role, scope, device): (Option<i64>, Option<String>, Option<u32>) = (row.get(3)?, row.get(4)?, row.get(5)?);
    let (own, person): (Option<Vec<u8>>, Option<u32>) = (row.get(9)?, row.get(10)?);
    let held = match (role, own) {
        (Some(role), _) => Some(RoleId::BuiltIn(word(Role::from_number, role, "role")?)),
        (None, Some(own)) => Some(RoleId::Own(id(&own)?)),
        (None, None) => None,
    };
    let opens = match (held, scope, device, person) {
        (Some(role), Some(scope), ..) => TokenUse::Admin { role, scope: json::<Scope>(&scope, "a scope")? },
        (_, _, Some(device), _) => TokenUse::Device(DeviceKey(device)),
        (.., Some(person)) => TokenUse::Person(PersonKey(person)),
        _ => return Err(StoreError::Broken("a token opens nothing".into())),
    };
    let time = |at: Option<i64>| at.map(Timestamp);
    Ok(Token {
        tenant: TenantKey(row.get(0)?),
        id: id(&row.get::<_, Vec<u8>>(1)?)?,
        name: row.get(2)?,
        opens,
        owner: None,
        created_at: Timestamp(row.get(6)?),
        expires_at: time(row.get(7)?),
        revoked_at: time(row.get(8)?),
    })
}

fn alarm(row: &Row<'_>) -> rusqlite::Result<Alarm> {
    Ok(Alarm {
        code: row.get(0)?,
        detail: row.get(1)?,
        raised_at: Timestamp(row.get(2)?),
        last_at: Timestamp(row.get(3)?),
        count: row.get(4)?,
        cleared_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
    })
}

/// The data file and its log; the log's index is a file in memory only.
fn size(file: &Path) -> Result<u64> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let log = std::fs::metadata(log).map_or(0, |meta| meta.len());
    Ok(std::fs::metadata(file)?.len() + log)
}

/// Copies into a file that is named so only when it is whole. An existing folder gets the data file's own name.
fn backup(reader: &Connection, file: &Path, to: &Path) -> Result<()> {
    let to = if to.is_dir() { to.join(file.file_name().unwrap_or_default()) } else { to.to_owned() };
    if to.exists() {
        return Err(StoreError::Unavailable(format!("{} exists already; name a new file or a folder without it", to.display())));
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    if partial.exists() {
        std::fs::remove_file(&partial)?;
    }
    let name = partial.to_str().ok_or_else(|| StoreError::Unavailable("the backup's path is not UTF-8".into()))?;
    // The copy is a database of this connection while it is written; the store itself is open for reading only.
    reader.pragma_update(None, "query_only", false)?;
    reader.execute(COPY, [name])?;
    std::fs::File::open(&partial)?.sync_all()?;
    Ok(std::fs::rename(&partial, &to)?)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    TENANT,
    NEW_TENANT,
    POLICY_VERSION,
    SETTINGS,
    PUT_SETTING,
    DROP_SETTING,
    NEXT_POLICY,
    KEEP_POLICY,
    POLICY_AT,
    NEW_TOKEN,
    FIND_TOKEN,
    OWNER,
    ACTIVE,
    TOKENS,
    TOKEN_TIME,
    REVOKE,
    RAISE,
    CLEAR,
    ALARMS,
    COPY,
];
