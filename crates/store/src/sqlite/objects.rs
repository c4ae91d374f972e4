//! Managed objects in SQLite.

use super::columns::{id, json, to_json};
use super::{Sqlite, WriteLane, once};
use crate::{NewObject, Object, Objects, Once, Result, StoreError};
use async_trait::async_trait;
use model::objects::ObjectKind;
use model::{TenantKey, Timestamp};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

const LIST: &str = "SELECT id, name, version, document, created_at, changed_at FROM object \
    WHERE tenant = ?1 AND kind = ?2 AND id > ?3 ORDER BY id LIMIT ?4";
const ONE: &str = "SELECT id, name, version, document, created_at, changed_at FROM object WHERE tenant = ?1 AND kind = ?2 AND id = ?3";
const NAMED: &str = "SELECT id, name, version, document, created_at, changed_at FROM object WHERE tenant = ?1 AND kind = ?2 AND name = ?3";
const CREATE: &str = "INSERT INTO object (tenant, kind, id, name, version, document, created_at, changed_at) \
    VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?6)";
const CHANGE: &str = "UPDATE object SET name = ?4, document = ?5, changed_at = ?6, version = version + 1 \
    WHERE tenant = ?1 AND kind = ?2 AND id = ?3";
const DELETE: &str = "DELETE FROM object WHERE tenant = ?1 AND kind = ?2 AND id = ?3";

#[async_trait]
impl Objects for Sqlite {
    async fn objects(&self, tenant: TenantKey, kind: ObjectKind, after: Option<Uuid>, limit: u32) -> Result<Vec<Object>> {
        let after = after.unwrap_or_else(Uuid::nil);
        self.read(move |c| {
            let mut list = c.prepare_cached(LIST)?;
            let mut rows = list.query(params![tenant.0, kind.number(), after.as_bytes(), limit])?;
            let mut objects = Vec::new();
            while let Some(row) = rows.next()? {
                objects.push(object(row)?);
            }
            Ok(objects)
        })
        .await
    }

    async fn object(&self, tenant: TenantKey, kind: ObjectKind, id: Uuid) -> Result<Option<Object>> {
        self.read(move |c| one(c, tenant, kind, id)).await
    }

    async fn object_named(&self, tenant: TenantKey, kind: ObjectKind, name: &str) -> Result<Option<Object>> {
        let name = name.to_owned();
        self.read(move |c| named(c, tenant, kind, &name)).await
    }

    async fn create_object(&self, tenant: TenantKey, kind: ObjectKind, object: NewObject, once: Option<Once>) -> Result<Object> {
        self.write(WriteLane::Urgent, move |c, now| {
            once::refuse_repeat(c, tenant, once.as_ref(), now)?;
            free(c, tenant, kind, &object)?;
            let NewObject { id, name, document } = &object;
            let values = params![tenant.0, kind.number(), id.as_bytes(), name, to_json(document)?, now.0];
            c.prepare_cached(CREATE)?.execute(values)?;
            once::keep(c, tenant, once.as_ref(), now)?;
            one(c, tenant, kind, *id)?.ok_or(StoreError::NotFound)
        })
        .await
    }

    async fn change_object(&self, tenant: TenantKey, kind: ObjectKind, object: NewObject, expected: Option<i64>) -> Result<Object> {
        self.write(WriteLane::Urgent, move |c, now| {
            at_version(c, tenant, kind, object.id, expected)?;
            free(c, tenant, kind, &object)?;
            let NewObject { id, name, document } = &object;
            let values = params![tenant.0, kind.number(), id.as_bytes(), name, to_json(document)?, now.0];
            c.prepare_cached(CHANGE)?.execute(values)?;
            one(c, tenant, kind, *id)?.ok_or(StoreError::NotFound)
        })
        .await
    }

    async fn delete_object(&self, tenant: TenantKey, kind: ObjectKind, id: Uuid, expected: Option<i64>) -> Result<()> {
        self.write(WriteLane::Urgent, move |c, _| {
            at_version(c, tenant, kind, id, expected)?;
            c.prepare_cached(DELETE)?.execute(params![tenant.0, kind.number(), id.as_bytes()])?;
            Ok(())
        })
        .await
    }
}

fn one(c: &Connection, tenant: TenantKey, kind: ObjectKind, id: Uuid) -> Result<Option<Object>> {
    let mut one = c.prepare_cached(ONE)?;
    let mut rows = one.query(params![tenant.0, kind.number(), id.as_bytes()])?;
    rows.next()?.map(object).transpose()
}

fn named(c: &Connection, tenant: TenantKey, kind: ObjectKind, name: &str) -> Result<Option<Object>> {
    let mut named = c.prepare_cached(NAMED)?;
    let mut rows = named.query(params![tenant.0, kind.number(), name])?;
    rows.next()?.map(object).transpose()
}

/// Refuses a name that another one has.
fn free(c: &Connection, tenant: TenantKey, kind: ObjectKind, object: &NewObject) -> Result<()> {
    match named(c, tenant, kind, &object.name)? {
        Some(other) if other.id != object.id => Err(StoreError::Taken { field: "name", by: other.id }),
        _ => Ok(()),
    }
}

/// Refuses an object that is gone or, with `expected`, at another version.
fn at_version(c: &Connection, tenant: TenantKey, kind: ObjectKind, id: Uuid, expected: Option<i64>) -> Result<()> {
    let current = one(c, tenant, kind, id)?.ok_or(StoreError::NotFound)?.version;
    if expected.is_some_and(|expected| expected != current) {
        return Err(StoreError::Stale { current });
    }
    Ok(())
}

fn object(row: &Row<'_>) -> Result<Object> {
    Ok(Object {
        id: id(&row.get::<_, Vec<u8>>(0)?)?,
        name: row.get(1)?,
        version: row.get(2)?,
        document: json(&row.get::<_, String>(3)?, "an object")?,
        created_at: Timestamp(row.get(4)?),
        changed_at: Timestamp(row.get(5)?),
    })
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[LIST, ONE, NAMED, CREATE, CHANGE, DELETE];
