//! Managed objects in SQLite.

use super::columns::{id, json, to_json};
use super::{Sqlite, WriteLane, once};
use crate::{Accepted, Change, NewObject, Object, Objects, Once, Result, Step, StoreError};
use async_trait::async_trait;
use model::objects::ObjectKind;
use model::{TenantKey, Timestamp};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

const LIST: &str = "SELECT id, name, version, document, created_at, changed_at FROM object \
    WHERE tenant = ?1 AND kind = ?2 AND id > ?3 ORDER BY id LIMIT ?4";
const ONE: &str = "SELECT id, name, version, document, created_at, changed_at FROM object WHERE tenant = ?1 AND kind = ?2 AND id = ?3";
const NAMED: &str = "SELECT id, name, version, document, created_at, changed_at FROM object WHERE tenant = ?1 AND kind = ?2 AND name = ?3";
const CREATE: &str = "INSERT INTO object (tenant, kind, id, name, version, document, created_at, changed_at, due_at) \
    VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?6, ?7)";
const CHANGE: &str = "UPDATE object SET name = ?4, document = ?5, changed_at = ?6, due_at = ?7, version = version + 1 \
    WHERE tenant = ?1 AND kind = ?2 AND id = ?3";
const DELETE: &str = "DELETE FROM object WHERE tenant = ?1 AND kind = ?2 AND id = ?3";
const LINKED: &str = "SELECT o.id, o.name, o.version, o.document, o.created_at, o.changed_at FROM object_link l \
    JOIN object o ON o.tenant = l.tenant AND o.kind = l.kind AND o.id = l.object \
    WHERE l.tenant = ?1 AND l.target = ?2 AND l.kind = ?3 ORDER BY o.id LIMIT ?4";
const KEYED: &str = "SELECT o.id, o.name, o.version, o.document, o.created_at, o.changed_at FROM object_key k \
    JOIN object o ON o.tenant = k.tenant AND o.kind = k.kind AND o.id = k.object WHERE k.tenant = ?1 AND k.kind = ?2 AND k.key = ?3";
const DUE: &str = "SELECT id, name, version, document, created_at, changed_at FROM object \
    WHERE tenant = ?1 AND kind = ?2 AND due_at <= ?3 ORDER BY due_at LIMIT ?4";
const NEXT_DUE: &str = "SELECT MIN(due_at) FROM object WHERE tenant = ?1 AND kind = ?2 AND due_at IS NOT NULL";
const NAMES: &str = "SELECT name FROM object WHERE tenant = ?1 AND kind = ?2 AND name > ?3 ORDER BY name LIMIT ?4";
const PERSON: &str = "SELECT 1 FROM person p JOIN meta m ON m.tenant = p.tenant AND p.since <= m.generation AND p.until > m.generation \
    WHERE p.id = ?2 AND p.tenant = ?1";
const FILE: &str = "SELECT content FROM file WHERE tenant = ?1 AND id = ?2";
const KEEP_FILE: &str = "INSERT INTO file (tenant, id, content, until) VALUES (?1, ?2, ?3, ?4)";
const KEY: &str = "INSERT INTO object_key (tenant, kind, key, object) VALUES (?1, ?2, ?3, ?4)";
const KEY_OF: &str = "SELECT object FROM object_key WHERE tenant = ?1 AND kind = ?2 AND key = ?3";
const FORGET_KEYS: &str = "DELETE FROM object_key WHERE tenant = ?1 AND object = ?2";
const LINK: &str = "INSERT INTO object_link (tenant, target, kind, object) VALUES (?1, ?2, ?3, ?4)";
const FORGET_LINKS: &str = "DELETE FROM object_link WHERE tenant = ?1 AND object = ?2";
const IN_USE: &str = "SELECT object FROM object_link WHERE tenant = ?1 AND target = ?2 LIMIT 1";
const IS_THERE: &str = "SELECT 1 FROM object WHERE tenant = ?1 AND id = ?2 LIMIT 1";

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
            make(c, now, tenant, kind, &object)?;
            once::keep(c, tenant, once.as_ref(), now)?;
            one(c, tenant, kind, object.id)?.ok_or(StoreError::NotFound)
        })
        .await
    }

    async fn change_object(&self, tenant: TenantKey, kind: ObjectKind, object: NewObject, expected: Option<i64>) -> Result<Object> {
        self.write(WriteLane::Urgent, move |c, now| {
            alter(c, now, tenant, kind, &object, expected)?;
            one(c, tenant, kind, object.id)?.ok_or(StoreError::NotFound)
        })
        .await
    }

    async fn delete_object(&self, tenant: TenantKey, kind: ObjectKind, id: Uuid, expected: Option<i64>) -> Result<()> {
        self.write(WriteLane::Urgent, move |c, _| end(c, tenant, kind, id, expected)).await
    }

    async fn objects_linked(&self, tenant: TenantKey, kind: ObjectKind, target: Uuid, limit: u32) -> Result<Vec<Object>> {
        self.read(move |c| {
            let mut linked = c.prepare_cached(LINKED)?;
            let mut rows = linked.query(params![tenant.0, target.as_bytes(), kind.number(), limit])?;
            let mut objects = Vec::new();
            while let Some(row) = rows.next()? {
                objects.push(object(row)?);
            }
            Ok(objects)
        })
        .await
    }

    async fn object_keyed(&self, tenant: TenantKey, kind: ObjectKind, key: &str) -> Result<Option<Object>> {
        let key = key.to_owned();
        self.read(move |c| {
            let mut keyed = c.prepare_cached(KEYED)?;
            let mut rows = keyed.query(params![tenant.0, kind.number(), key])?;
            rows.next()?.map(object).transpose()
        })
        .await
    }

    async fn objects_due(&self, tenant: TenantKey, kind: ObjectKind, until: Timestamp, limit: u32) -> Result<Vec<Object>> {
        self.read(move |c| {
            let mut due = c.prepare_cached(DUE)?;
            let mut rows = due.query(params![tenant.0, kind.number(), until.0, limit])?;
            let mut objects = Vec::new();
            while let Some(row) = rows.next()? {
                objects.push(object(row)?);
            }
            Ok(objects)
        })
        .await
    }

    async fn next_due(&self, tenant: TenantKey, kind: ObjectKind) -> Result<Option<Timestamp>> {
        self.read(move |c| {
            let mut next = c.prepare_cached(NEXT_DUE)?;
            let mut rows = next.query(params![tenant.0, kind.number()])?;
            let row = rows.next()?;
            Ok(row.map(|row| row.get::<_, Option<i64>>(0)).transpose()?.flatten().map(Timestamp))
        })
        .await
    }

    async fn objects_left(&self, tenant: TenantKey, kind: ObjectKind, after: &str, most: u32) -> Result<(Vec<Object>, Option<String>)> {
        let after = after.to_owned();
        self.read(move |c| {
            let mut names = c.prepare_cached(NAMES)?;
            let names = names.query_map(params![tenant.0, kind.number(), after, most], |row| row.get::<_, String>(0))?;
            let names = names.collect::<rusqlite::Result<Vec<_>>>()?;
            // People are looked at after the names: somebody who came in between is not missed.
            let mut person = c.prepare_cached(PERSON)?;
            let mut left = Vec::new();
            for name in &names {
                let Ok(id) = Uuid::parse_str(name) else { continue };
                if !person.exists(params![tenant.0, id.as_bytes()])? {
                    left.extend(named(c, tenant, kind, name)?);
                }
            }
            let last = names.last().filter(|_| names.len() == most as usize).cloned();
            Ok((left, last))
        })
        .await
    }

    async fn file(&self, tenant: TenantKey, id: Uuid) -> Result<Option<Vec<u8>>> {
        self.read(move |c| {
            let mut file = c.prepare_cached(FILE)?;
            let mut rows = file.query(params![tenant.0, id.as_bytes()])?;
            Ok(rows.next()?.map(|row| row.get::<_, Vec<u8>>(0)).transpose()?)
        })
        .await
    }

    async fn change(&self, tenant: TenantKey, change: Change) -> Result<Vec<Accepted>> {
        self.write(WriteLane::Urgent, move |c, now| {
            once::refuse_repeat(c, tenant, change.once.as_ref(), now)?;
            for step in &change.steps {
                match step {
                    Step::Make(kind, object) => make(c, now, tenant, *kind, object)?,
                    Step::Change(kind, object, expected) => alter(c, now, tenant, *kind, object, *expected)?,
                    Step::End(kind, id, expected) => end(c, tenant, *kind, *id, *expected)?,
                }
            }
            for file in &change.files {
                c.prepare_cached(KEEP_FILE)?.execute(params![tenant.0, file.id.as_bytes(), file.content, file.until.0])?;
            }
            let accepted = change
                .events
                .iter()
                .map(|event| crate::sqlite::outbox::accept::accept(c, now, tenant, event.clone()))
                .collect::<Result<Vec<_>>>()?;
            once::keep(c, tenant, change.once.as_ref(), now)?;
            Ok(accepted)
        })
        .await
    }
}

fn make(c: &Connection, now: Timestamp, tenant: TenantKey, kind: ObjectKind, object: &NewObject) -> Result<()> {
    free(c, tenant, kind, object)?;
    let NewObject { id, name, document, due, .. } = object;
    let values = params![tenant.0, kind.number(), id.as_bytes(), name, to_json(document)?, now.0, due.map(|due| due.0)];
    c.prepare_cached(CREATE)?.execute(values)?;
    bind(c, tenant, kind, object)
}

fn alter(c: &Connection, now: Timestamp, tenant: TenantKey, kind: ObjectKind, object: &NewObject, expected: Option<i64>) -> Result<()> {
    at_version(c, tenant, kind, object.id, expected)?;
    free(c, tenant, kind, object)?;
    let NewObject { id, name, document, due, .. } = object;
    let values = params![tenant.0, kind.number(), id.as_bytes(), name, to_json(document)?, now.0, due.map(|due| due.0)];
    c.prepare_cached(CHANGE)?.execute(values)?;
    unbind(c, tenant, *id)?;
    bind(c, tenant, kind, object)
}

fn end(c: &Connection, tenant: TenantKey, kind: ObjectKind, gone: Uuid, expected: Option<i64>) -> Result<()> {
    at_version(c, tenant, kind, gone, expected)?;
    let mut in_use = c.prepare_cached(IN_USE)?;
    let mut rows = in_use.query(params![tenant.0, gone.as_bytes()])?;
    if let Some(row) = rows.next()? {
        return Err(StoreError::InUse { by: id(&row.get::<_, Vec<u8>>(0)?)? });
    }
    c.prepare_cached(DELETE)?.execute(params![tenant.0, kind.number(), gone.as_bytes()])?;
    unbind(c, tenant, gone)
}

/// Writes an object's further names and what it refers to.
fn bind(c: &Connection, tenant: TenantKey, kind: ObjectKind, object: &NewObject) -> Result<()> {
    for key in &object.keys {
        let mut key_of = c.prepare_cached(KEY_OF)?;
        let mut rows = key_of.query(params![tenant.0, kind.number(), key])?;
        if let Some(row) = rows.next()? {
            return Err(StoreError::Taken { field: "key", by: id(&row.get::<_, Vec<u8>>(0)?)? });
        }
        c.prepare_cached(KEY)?.execute(params![tenant.0, kind.number(), key, object.id.as_bytes()])?;
    }
    for target in &object.links {
        // What is referred to may have ended since it was looked at.
        let mut is_there = c.prepare_cached(IS_THERE)?;
        if is_there.query(params![tenant.0, target.as_bytes()])?.next()?.is_none() {
            return Err(StoreError::NotFound);
        }
        c.prepare_cached(LINK)?.execute(params![tenant.0, target.as_bytes(), kind.number(), object.id.as_bytes()])?;
    }
    Ok(())
}

fn unbind(c: &Connection, tenant: TenantKey, id: Uuid) -> Result<()> {
    for forget in [FORGET_KEYS, FORGET_LINKS] {
        c.prepare_cached(forget)?.execute(params![tenant.0, id.as_bytes()])?;
    }
    Ok(())
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
pub(super) const STATEMENTS: &[&str] = &[
    LIST,
    ONE,
    NAMED,
    CREATE,
    CHANGE,
    DELETE,
    LINKED,
    KEYED,
    KEY,
    KEY_OF,
    FORGET_KEYS,
    LINK,
    FORGET_LINKS,
    IN_USE,
    IS_THERE,
    DUE,
    NEXT_DUE,
    NAMES,
    PERSON,
    FILE,
    KEEP_FILE,
];
