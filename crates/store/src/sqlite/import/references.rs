//! What the rows of the files refer to: objects of the same files, in any order, or of the live directory.

use super::matching::{fault_each, give_keys, repeated};
use super::scratch::{Kind, Scratch};
use crate::Result;
use rusqlite::{Connection, OptionalExtension};

/// Stands for "more than one".
const MANY: i64 = -1;

/// Ids of live objects, for people, at most ten.
pub(super) fn ids_of(c: &Connection, table: &str, keys: &[i64]) -> Result<String> {
    let mut ids = Vec::new();
    for key in keys.iter().take(10) {
        let sql = format!("SELECT id FROM live.{table} WHERE key = ?1 ORDER BY until DESC LIMIT 1");
        let id: Option<Vec<u8>> = c.query_row(&sql, [key], |row| row.get(0)).optional()?;
        ids.push(id.and_then(|id| uuid::Uuid::from_slice(&id).ok()).unwrap_or_default().to_string());
    }
    if keys.len() > ids.len() {
        ids.push("…".to_owned());
    }
    Ok(ids.join(", "))
}

/// The key of a person whose user principal name stands in `column`.
fn person_by_upn(column: &str) -> String {
    format!(
        "(SELECT p.key FROM person p WHERE p.upn = {column}), \
         (SELECT l.key FROM live.person l WHERE $kept_person AND $seen(l) AND l.upn = {column} AND NOT EXISTS (SELECT 1 FROM person p WHERE p.key = l.key))"
    )
}

/// The key of an object by external id, else by the id of ours in `id`.
fn by_external(table: &str, column: &str, id: &str) -> String {
    format!(
        "(SELECT x.key FROM {table} x WHERE x.external_id = {column} AND x.external_id <> ''), \
         (SELECT l.key FROM live.{table} l WHERE $kept_{table} AND $seen(l) AND l.external_id = {column} \
          AND NOT EXISTS (SELECT 1 FROM {table} x WHERE x.key = l.key)), \
         (SELECT l.key FROM live.{table} l WHERE {id} IS NOT NULL AND $seen(l) AND l.id = {id} \
          AND ($kept_{table} OR EXISTS (SELECT 1 FROM {table} x WHERE x.key = l.key)))"
    )
}

/// The key of a group or device by its name; [`MANY`] when it is not unique.
fn by_name(table: &str, column: &str) -> String {
    format!(
        "(SELECT CASE count(*) WHEN 0 THEN NULL WHEN 1 THEN max(k) ELSE {MANY} END FROM (SELECT x.key AS k FROM {table} x WHERE x.name = {column} \
         UNION ALL SELECT l.key FROM live.{table} l WHERE $kept_{table} AND $seen(l) AND l.name = {column} \
         AND NOT EXISTS (SELECT 1 FROM {table} x WHERE x.key = l.key)))"
    )
}

/// Resolves everything, in the order in which keys come to be known.
pub(super) fn resolve(s: &mut Scratch) -> Result<()> {
    if s.kinds.contains(&Kind::People) {
        resolve_people(s, "person", "manager_upn", "manager", "NULL")?;
        unknown(s, "person", "manager_upn", "manager", "person")?;
    }
    if s.kinds.contains(&Kind::Devices) {
        devices(s)?;
    }
    if s.kinds.contains(&Kind::Registrations) {
        registrations(s)?;
    }
    if s.kinds.contains(&Kind::Members) {
        members(s)?;
    }
    // What follows walks every kind by its keys, also those of which there is no file.
    for table in ["person", "grp", "device", "registration"] {
        s.run(&format!("CREATE INDEX IF NOT EXISTS {table}_key ON {table} (key)"))?;
    }
    Ok(())
}

/// Fills in the keys of people who are referred to by name.
fn resolve_people(s: &Scratch, table: &str, name: &str, key: &str, none: &str) -> Result<()> {
    let found = person_by_upn(&format!("{table}.{name}"));
    let update = format!("UPDATE {table} SET {key} = coalesce({found}, {none}) WHERE {name} <> '' AND row > ?1 AND row <= ?2");
    s.run_pieces(&format!("{table}.row"), &update)
}

fn devices(s: &mut Scratch) -> Result<()> {
    resolve_people(s, "device", "owner_upn", "owner", "0")?;
    unknown(s, "device", "owner_upn", "nullif(t.owner, 0)", "person")?;
    s.run("UPDATE device SET owner = 0 WHERE owner IS NULL")?;
    if s.replaces(Kind::People) {
        s.run("UPDATE device SET owner = 0 WHERE owner_upn IS NULL AND owner <> 0 AND NOT EXISTS (SELECT 1 FROM person p WHERE p.key = device.owner)")?;
    }
    resolve_people(s, "device", "enrolled_by_upn", "enrolled_by", "NULL")?;
    unknown(s, "device", "enrolled_by_upn", "enrolled_by", "person")?;
    // In the order in which the directory keeps devices.
    give_keys(s, "device", "owner, name")
}

fn registrations(s: &mut Scratch) -> Result<()> {
    let update = format!(
        "UPDATE registration SET device = coalesce({}, {}) WHERE device_name <> '' AND row > ?1 AND row <= ?2",
        by_external("device", "registration.device_name", "registration.device_id"),
        by_name("device", "registration.device_name")
    );
    s.run_pieces("registration.row", &update)?;
    unknown(s, "registration", "device_name", "device", "device")?;
    ambiguous(s, "registration", "device", "device_name", "device")?;
    s.run("UPDATE registration SET device = NULL WHERE device < 0")?;
    s.run_pieces(
        "registration.row",
        "UPDATE registration SET owner = coalesce((SELECT d.owner FROM device d WHERE d.key = registration.device), \
         (SELECT CASE WHEN $kept_person OR EXISTS (SELECT 1 FROM person p WHERE p.key = l.owner) THEN l.owner ELSE 0 END FROM live.device l \
          WHERE $seen(l) AND l.key = registration.device)) WHERE device IS NOT NULL AND row > ?1 AND row <= ?2",
    )?;
    s.run_pieces(
        "registration.row",
        "UPDATE registration SET key = (SELECT l.key FROM live.device d CROSS JOIN live.registration l ON $seen(l) AND l.owner = d.owner \
         AND l.device = d.key WHERE $seen(d) AND d.key = registration.device AND l.service = registration.service \
         AND l.environment = registration.environment AND l.app = registration.app) \
         WHERE device < $new AND row > ?1 AND row <= ?2",
    )?;
    give_keys(s, "registration", "owner, device")?;
    s.run("CREATE INDEX registration_place ON registration (device, service, environment, app)")?;
    repeated(s, "registration", &["device", "service", "environment", "app"], "t.device IS NOT NULL", "device")?;
    s.run("CREATE INDEX registration_token ON registration (token, service, endpoint)")?;
    repeated(s, "registration", &["token", "service", "endpoint"], "t.token <> ''", "token")?;
    repeated(s, "registration", &["token", "service", "endpoint"], "t.token = '' AND t.endpoint <> ''", "endpoint")?;
    // A secret may be left out where it is known: exports hold none, since it is sealed.
    let lacking = s.sql(
        "SELECT r.file, r.line FROM registration r WHERE r.service = 4 AND length(r.auth) = 0 AND NOT EXISTS (SELECT 1 FROM live.registration l \
         WHERE $seen(l) AND l.key = r.key AND l.endpoint = r.endpoint AND l.p256dh = r.p256dh) ORDER BY r.row",
    );
    fault_each(s, &lacking, "auth", |_| {
        Ok("the secret is missing; give the 16 bytes of the subscription in base64url, or remove the row: the browser subscribes anew"
            .into())
    })
}

fn members(s: &mut Scratch) -> Result<()> {
    let update = format!(
        "UPDATE member SET grp = coalesce({}, {}) WHERE grp_name <> '' AND row > ?1 AND row <= ?2",
        by_external("grp", "member.grp_name", "member.grp_id"),
        by_name("grp", "member.grp_name")
    );
    s.run_pieces("member.row", &update)?;
    unknown(s, "member", "grp_name", "grp", "group")?;
    ambiguous(s, "member", "grp", "grp_name", "grp")?;
    for (kind, table, word) in [(1, "person", "person"), (2, "grp", "group"), (3, "device", "device")] {
        let external = by_external(table, "member.key_name", "member.key_id");
        let name = if table == "person" { person_by_upn("member.key_name") } else { by_name(table, "member.key_name") };
        let update = format!(
            "UPDATE member SET key = coalesce({external}, {name}) WHERE kind = {kind} AND key_name <> '' AND row > ?1 AND row <= ?2"
        );
        s.run_pieces("member.row", &update)?;
        let sql =
            s.sql(&format!("SELECT file, line, key_name FROM member WHERE kind = {kind} AND key_name <> '' AND key IS NULL ORDER BY row"));
        fault_each(s, &sql, "member", |row| Ok(no_such(word, &row.get::<_, String>(2)?)))?;
    }
    ambiguous(s, "member", "key", "key_name", "grp")?;
    s.run("UPDATE member SET grp = NULL WHERE grp < 0 OR key < 0")?;
    s.run("CREATE INDEX member_place ON member (grp, kind, key)")?;
    repeated(s, "member", &["grp", "kind", "key"], "t.grp IS NOT NULL", "member")?;
    s.run_pieces(
        "member.row",
        "UPDATE member SET held = EXISTS (SELECT 1 FROM live.member l WHERE $seen(l) AND l.grp = member.grp AND l.kind = member.kind \
         AND l.key = member.key) WHERE row > ?1 AND row <= ?2",
    )
}

fn no_such(word: &str, name: &str) -> String {
    format!("there is no {word} {name:?} in the directory or in the files; add it, or correct the name")
}

/// The column of a file that a column of the scratch file comes from.
fn written(column: &str) -> &str {
    match column {
        "grp_name" => "group",
        "key_name" => "member",
        "device_name" => "device",
        same => same,
    }
}

/// Names every reference that leads nowhere.
fn unknown(s: &mut Scratch, table: &str, name: &str, key: &str, word: &str) -> Result<()> {
    let key = if key.contains("t.") { key.to_owned() } else { format!("t.{key}") };
    let sql = format!("SELECT t.file, t.line, t.{name} FROM {table} t WHERE t.{name} <> '' AND {key} IS NULL ORDER BY t.row");
    fault_each(s, &sql, written(name), |row| Ok(no_such(word, &row.get::<_, String>(2)?)))
}

/// Names every reference that leads to several objects, with their ids; those of the files have none yet.
fn ambiguous(s: &mut Scratch, table: &str, key: &str, name: &str, of: &str) -> Result<()> {
    let of_kind = if key == "key" { "t.kind" } else { "0" };
    let sql = format!("SELECT t.file, t.line, t.{name}, {of_kind} FROM {table} t WHERE t.{key} = {MANY} ORDER BY t.row");
    let mut found: Vec<(u32, u32, String, String)> = Vec::new();
    {
        let mut statement = s.c.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let of = if row.get::<_, u8>(3)? == 3 { "device" } else { of };
            let name: String = row.get(2)?;
            found.push((row.get(0)?, row.get(1)?, means(s, of, &name)?, name));
        }
    }
    for (file, line, means, named) in found {
        let message = format!("{named:?} may mean {means}; write the external_id or the id instead");
        let title = s.file_name(file).to_owned();
        s.faults.cell((file, &title), line, written(name), message);
    }
    Ok(())
}

/// What an ambiguous name may mean.
fn means(s: &Scratch, table: &str, name: &str) -> Result<String> {
    let live = s.sql(&format!("SELECT l.key FROM live.{table} l WHERE $seen(l) AND l.name = ?1 LIMIT 11"));
    let keys = s.c.prepare_cached(&live)?.query_map([name], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut means = ids_of(&s.c, table, &keys)?;
    let staged = format!("SELECT file, line FROM {table} WHERE name = ?1 AND key > {} LIMIT 10", super::scratch::NEW);
    let mut statement = s.c.prepare_cached(&staged)?;
    let mut rows = statement.query([name])?;
    while let Some(row) = rows.next()? {
        let separator = if means.is_empty() { "" } else { ", " };
        means.push_str(&format!("{separator}{} line {}", s.file_name(row.get(0)?), row.get::<_, u32>(1)?));
    }
    Ok(means)
}
