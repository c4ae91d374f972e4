//! The audit in PostgreSQL: a tenant's row orders what is added, whichever process adds it. What only has an effect goes out
//! with the end of the transaction.

use super::args::{Arg, params};
use super::directory::{devices, people};
use super::link::{Connection, OptionalExtension, Row, Sql};
use super::{Lane, Postgres};
use crate::audit::{Act, Book, Told, alias_of, append, entry, head};
use crate::sqlite::columns::id;
use crate::{Audit, Entry, Erased, Head, Result, Shared, StoreError};
use async_trait::async_trait;
use model::{DeviceKey, GroupKey, PersonKey, TenantKey, Timestamp};
use std::borrow::Cow;
use std::sync::Arc;
use uuid::Uuid;

const TIP: &str = "SELECT m.id, h.seq, h.hash FROM meta m LEFT JOIN audit_head h ON h.tenant = m.tenant WHERE m.tenant = $1";
const PERSON: &str = "SELECT key FROM person WHERE id = $2 AND tenant = $1 LIMIT 1";
const OWNER: &str = "SELECT owner FROM device WHERE id = $2 AND tenant = $1 AND owner <> 0 LIMIT 1";
const KEY: &str = "INSERT INTO audit_person (tenant, person, key) VALUES ($1, $2, $3) ON CONFLICT (tenant, person) DO UPDATE SET key = audit_person.key RETURNING key";
const KEY_OF: &str = "SELECT m.id, p.key FROM meta m JOIN audit_person p ON p.tenant = m.tenant WHERE m.tenant = $1 AND p.person = $2";
const ADD: &str = "INSERT INTO audit (tenant, seq, at, entry, hash) VALUES ($1, $2, $3, $4, $5)";
const ABOUT: &str = "INSERT INTO audit_about (tenant, person, seq) VALUES ($1, $2, $3)";
const END: &str = "INSERT INTO audit_head (tenant, seq, hash) VALUES ($1, $2, $3) ON CONFLICT (tenant) DO UPDATE SET seq = $2, hash = $3";
const ENTRIES: &str = "SELECT seq, entry, hash FROM audit WHERE tenant = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
const ENTRIES_ABOUT: &str = "SELECT a.seq, a.entry, a.hash FROM audit_about b JOIN audit a ON a.tenant = b.tenant AND a.seq = b.seq \
    WHERE b.tenant = $1 AND b.person = $2 AND b.seq >= $3 ORDER BY b.seq LIMIT $4";
const SUNK: &str = "SELECT seq FROM audit_sink WHERE tenant = $1 AND sink = $2";
const SINK: &str = "INSERT INTO audit_sink (tenant, sink, seq) VALUES ($1, $2, $3) ON CONFLICT (tenant, sink) DO UPDATE SET seq = greatest(audit_sink.seq, $3)";
const ID_OF: &str = "SELECT id FROM person WHERE tenant = $1 AND key = $2 LIMIT 1";
const GROUPS_OF: &str = "SELECT DISTINCT b.grp FROM member b JOIN meta m ON m.tenant = b.tenant \
    WHERE b.tenant = $1 AND b.kind = 1 AND b.key = $2 AND b.since <= m.generation AND b.until > m.generation ORDER BY b.grp";
const DEVICES_OF: &str = "SELECT DISTINCT key FROM device WHERE tenant = $1 AND owner = $2";
const TOKENS_OF: &str = "DELETE FROM token WHERE tenant = $1 AND device = $2";
const ANSWERS: &str = "DELETE FROM answer WHERE tenant = $1 AND position($2::bytea IN body) > 0";
const TEXTS: &str = "UPDATE event SET title = NULL, body = NULL, data = 'null' WHERE tenant = $1 AND recipients = 1 AND ( \
    title IS NOT NULL AND key IN (SELECT event FROM personal WHERE person = $2) \
    OR inbox_seq IS NULL AND data <> 'null' AND EXISTS (SELECT 1 FROM delivery d WHERE d.event = event.key AND d.person = $2))";
const UNLINK: &str = "UPDATE delivery SET device = NULL, registration = NULL WHERE person = $2 AND (device IS NOT NULL OR registration IS NOT NULL) \
    AND event IN (SELECT key FROM event WHERE tenant = $1 AND forgotten = 0)";
const ENTRIES_OF: &str = "DELETE FROM audit_about WHERE tenant = $1 AND person = $2";
/// What is kept for the person alone, such as a mailbox: it has the person's outside name.
const OWN: [&str; 3] = [
    "DELETE FROM object_key WHERE tenant = $1 AND object IN (SELECT id FROM object WHERE tenant = $1 AND name = $2)",
    "DELETE FROM object_link WHERE tenant = $1 AND object IN (SELECT id FROM object WHERE tenant = $1 AND name = $2)",
    "DELETE FROM object WHERE tenant = $1 AND name = $2",
];
/// What else names a person by the inside name.
/// What the person sent as an administrator stays, under no name.
const SENT: &str = "UPDATE event SET actor_name = '' WHERE tenant = $1 AND actor_token = $2";
const REST: [&str; 8] = [
    "DELETE FROM phone WHERE tenant = $1 AND person = $2",
    "DELETE FROM token WHERE tenant = $1 AND person = $2",
    "DELETE FROM code WHERE tenant = $1 AND person = $2",
    "DELETE FROM receipt WHERE person = $2 AND event IN (SELECT key FROM event WHERE tenant = $1 AND forgotten = 0)",
    "DELETE FROM inbox_mark WHERE person = $2 AND $1::bigint > 0",
    "DELETE FROM personal WHERE person = $2 AND $1::bigint > 0",
    "DELETE FROM push_log WHERE tenant = $1 AND person = $2",
    "DELETE FROM audit_person WHERE tenant = $1 AND person = $2",
];

impl Book for Connection {
    fn tip(&self, tenant: TenantKey) -> Result<Head> {
        let row = self
            .prepare_cached(TIP)?
            .query_row([tenant.0], |row| Ok((row.get::<Vec<u8>>(0)?, row.get::<Option<i64>>(1)?, row.get::<Option<String>>(2)?)));
        let (bytes, sequence, hash) = row.optional()?.ok_or(StoreError::NotFound)?;
        Ok(head(id(&bytes)?, sequence.zip(hash)))
    }

    fn person(&self, tenant: TenantKey, id: Uuid) -> Result<Option<PersonKey>> {
        let found = self.prepare_cached(PERSON)?.query_row(params![tenant.0, id.as_bytes()], |row| row.get(0));
        Ok(found.optional()?.map(PersonKey))
    }

    fn owner(&self, tenant: TenantKey, device: Uuid) -> Result<Option<PersonKey>> {
        let found = self.prepare_cached(OWNER)?.query_row(params![tenant.0, device.as_bytes()], |row| row.get(0));
        Ok(found.optional()?.map(PersonKey))
    }

    fn key(&self, tenant: TenantKey, person: PersonKey, fresh: [u8; 32]) -> Result<Vec<u8>> {
        Ok(self.prepare_cached(KEY)?.query_row(params![tenant.0, person.0, fresh], |row| row.get(0))?)
    }

    fn keep(&self, tenant: TenantKey, at: Timestamp, sequence: i64, entry: &str, hash: &str, about: &[PersonKey]) -> Result<()> {
        let (of, sequence) = (Arg::Int(tenant.0.into()), Arg::Int(sequence));
        let text = |text: &str| Arg::Text(Cow::Owned(text.to_owned()));
        self.at_the_end(ADD, vec![of.clone(), sequence.clone(), Arg::Int(at.0), text(entry), text(hash)]);
        for person in about {
            self.at_the_end(ABOUT, vec![of.clone(), Arg::Int(person.0.into()), sequence.clone()]);
        }
        self.at_the_end(END, vec![of, sequence, text(hash)]);
        Ok(())
    }
}

#[async_trait]
impl Audit for Postgres {
    fn told(&self, tenant: TenantKey, act: Act) -> Shared {
        Arc::new(Postgres { inner: self.inner.clone(), told: Some(Arc::new(Told { tenant, act })) })
    }

    async fn note(&self, tenant: TenantKey, act: Act) -> Result<()> {
        let told = Told { tenant, act };
        self.edit(tenant, move |c, now| append(c, &told, now)).await
    }

    async fn entries(&self, tenant: TenantKey, from: i64, limit: u32) -> Result<Vec<Entry>> {
        self.read(move |c| Ok(c.prepare_cached(ENTRIES)?.query_map(params![tenant.0, from, limit], row)?)).await
    }

    async fn entries_about(&self, tenant: TenantKey, person: PersonKey, from: i64, limit: u32) -> Result<Vec<Entry>> {
        self.read(move |c| Ok(c.prepare_cached(ENTRIES_ABOUT)?.query_map(params![tenant.0, person.0, from, limit], row)?)).await
    }

    async fn head(&self, tenant: TenantKey) -> Result<Head> {
        self.read(move |c| c.tip(tenant)).await
    }

    async fn alias(&self, tenant: TenantKey, person: PersonKey) -> Result<Option<String>> {
        self.read(move |c| {
            let mut find = c.prepare_cached(KEY_OF)?;
            let found = find.query_row([tenant.0, person.0], |row| Ok((row.get::<Vec<u8>>(0)?, row.get::<Vec<u8>>(1)?)));
            found.optional()?.map(|(tenant, key)| Ok(alias_of(&key, id(&tenant)?, person))).transpose()
        })
        .await
    }

    async fn groups_of(&self, tenant: TenantKey, person: PersonKey) -> Result<Vec<GroupKey>> {
        self.read(move |c| Ok(c.prepare_cached(GROUPS_OF)?.query_map([tenant.0, person.0], |row| row.get(0).map(GroupKey))?)).await
    }

    async fn erase_person(&self, tenant: TenantKey, person: PersonKey) -> Result<Erased> {
        self.edit_facts(tenant, move |c, now| erase(c, now, tenant, person)).await
    }

    async fn sunk(&self, tenant: TenantKey, sink: &str) -> Result<i64> {
        let sink = sink.to_owned();
        self.read(move |c| Ok(c.prepare_cached(SUNK)?.query_row(params![tenant.0, sink], |row| row.get(0)).optional()?.unwrap_or(0))).await
    }

    async fn sink_to(&self, tenant: TenantKey, sink: &str, sequence: i64) -> Result<()> {
        let sink = sink.to_owned();
        self.write(Lane::Plan, move |c, _| Ok(c.prepare_cached(SINK)?.execute(params![tenant.0, sink, sequence]).map(|_| ())?)).await
    }
}

fn row(row: &Row) -> Sql<Entry> {
    Ok(entry(row.get(0)?, row.get::<&str>(1)?, row.get::<&str>(2)?))
}

fn erase(c: &Connection, now: Timestamp, tenant: TenantKey, person: PersonKey) -> Result<Erased> {
    let found: Option<Vec<u8>> = c.prepare_cached(ID_OF)?.query_row([tenant.0, person.0], |row| row.get(0)).optional()?;
    let outside = id(&found.ok_or(StoreError::NotFound)?)?;
    let keys: Vec<u32> = c.prepare_cached(DEVICES_OF)?.query_map([tenant.0, person.0], |row| row.get(0))?;
    for device in &keys {
        devices::delete(c, now, tenant, DeviceKey(*device), None)?;
        c.prepare_cached(TOKENS_OF)?.execute([tenant.0, *device])?;
    }
    people::delete(c, now, tenant, person, None)?;
    c.prepare_cached(ANSWERS)?.execute(params![tenant.0, outside.to_string().into_bytes()])?;
    c.prepare_cached(SENT)?.execute(params![tenant.0, outside.as_bytes()])?;
    let both = [tenant.0, person.0];
    for sql in OWN {
        c.prepare_cached(sql)?.execute(params![tenant.0, outside.to_string()])?;
    }
    let texts = c.prepare_cached(TEXTS)?.execute(both)? as u64;
    let deliveries = c.prepare_cached(UNLINK)?.execute(both)? as u64;
    let entries = c.prepare_cached(ENTRIES_OF)?.execute(both)? as u64;
    for sql in REST {
        c.prepare_cached(sql)?.execute(both)?;
    }
    Ok(Erased { devices: keys.len() as u64, texts, deliveries, entries })
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    TIP,
    PERSON,
    OWNER,
    KEY,
    KEY_OF,
    ADD,
    ABOUT,
    END,
    ENTRIES,
    ENTRIES_ABOUT,
    SUNK,
    SINK,
    ID_OF,
    GROUPS_OF,
    DEVICES_OF,
    TOKENS_OF,
    SENT,
    ANSWERS,
    TEXTS,
    OWN[0],
    OWN[1],
    OWN[2],
    UNLINK,
    ENTRIES_OF,
    REST[0],
    REST[1],
    REST[2],
    REST[3],
    REST[4],
    REST[5],
    REST[6],
    REST[7],
];
