//! Writes the directory as the five CSV files of the import, in a form that imports back without change.
//!
//! Registrations that are retired are left out: importing them elsewhere would bring dead addresses to life. The secret of
//! a Web Push subscription is sealed and so left empty: it imports back into the same directory, where it is known; for
//! another directory those rows must be removed, and the browsers subscribe anew.
//!
//! An object that neither an external id nor a unique name tells apart has its own id in the column `external_id`.

use super::directory::versions::generation;
use super::import::header::{DEVICES, Form, GROUPS, MEMBERS, PEOPLE, REGISTRATIONS};
use crate::{Result, StoreError};
use model::TenantKey;
use model::directory::{Environment, MemberKind, NotificationPermission, Ownership, Platform, Service};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use std::path::{Path, PathBuf};

/// How a column of the answer becomes a cell.
#[derive(Clone, Copy)]
enum Cell {
    Text,
    /// true or false.
    Switch,
    /// JSON list of texts, to be separated by semicolons.
    List,
    /// Text, or an id of ours.
    Name,
    Word(fn(u8) -> Option<&'static str>),
}

const PEOPLE_ROWS: &str = "SELECT p.external_id, p.upn, p.display_name, p.email, p.locale, p.timezone, p.licenses, \
    (SELECT m.upn FROM person m WHERE m.tenant = p.tenant AND m.key = p.manager AND m.since <= ?2 AND m.until > ?2), p.phones, p.active \
    FROM person p WHERE p.tenant = ?1 AND p.since <= ?2 AND p.until > ?2 ORDER BY p.key";

/// `external_id` of a group or device in its own row: its id where its name is not unique.
macro_rules! own_external {
    ($table:literal, $x:literal) => {
        concat!(
            "coalesce(",
            $x,
            ".external_id, CASE WHEN EXISTS (SELECT 1 FROM ",
            $table,
            " o WHERE o.tenant = ?1 AND o.name = ",
            $x,
            ".name AND o.since <= ?2 AND o.until > ?2 AND o.key <> ",
            $x,
            ".key) THEN ",
            $x,
            ".id END)"
        )
    };
}

/// How a reference names an object: external id, else the name if that is unique and nobody's external id, else the id.
macro_rules! reference {
    ($table:literal, $name:literal, $x:literal) => {
        concat!(
            "coalesce(",
            $x,
            ".external_id, CASE WHEN EXISTS (SELECT 1 FROM ",
            $table,
            " o WHERE o.tenant = ?1 AND o.",
            $name,
            " = ",
            $x,
            ".",
            $name,
            " AND o.since <= ?2 AND o.until > ?2 AND o.key <> ",
            $x,
            ".key) OR EXISTS (SELECT 1 FROM ",
            $table,
            " o WHERE o.tenant = ?1 AND o.external_id = ",
            $x,
            ".",
            $name,
            " AND o.since <= ?2 AND o.until > ?2) THEN ",
            $x,
            ".id ELSE ",
            $x,
            ".",
            $name,
            " END)"
        )
    };
}

const GROUP_ROWS: &str = concat!(
    "SELECT ",
    own_external!("grp", "g"),
    ", g.name, g.description FROM grp g WHERE g.tenant = ?1 AND g.since <= ?2 AND g.until > ?2 ORDER BY g.key"
);

const MEMBER_ROWS: &str = concat!(
    "SELECT ",
    reference!("grp", "name", "g"),
    ", m.kind, CASE m.kind WHEN 1 THEN (SELECT ",
    reference!("person", "upn", "p"),
    " FROM person p WHERE p.tenant = ?1 AND p.key = m.key AND p.since <= ?2 AND p.until > ?2) WHEN 2 THEN (SELECT ",
    reference!("grp", "name", "n"),
    " FROM grp n WHERE n.tenant = ?1 AND n.key = m.key AND n.since <= ?2 AND n.until > ?2) ELSE (SELECT ",
    reference!("device", "name", "d"),
    " FROM device d WHERE d.tenant = ?1 AND d.key = m.key AND d.since <= ?2 AND d.until > ?2) END ",
    "FROM member m CROSS JOIN grp g ON g.tenant = m.tenant AND g.key = m.grp AND g.since <= ?2 AND g.until > ?2 ",
    "WHERE m.tenant = ?1 AND m.since <= ?2 AND m.until > ?2 ORDER BY m.grp, m.kind, m.key"
);

const DEVICE_ROWS: &str = concat!(
    "SELECT ",
    own_external!("device", "d"),
    ", d.name, (SELECT o.upn FROM person o WHERE o.tenant = ?1 AND o.key = d.owner AND o.since <= ?2 AND o.until > ?2), d.platform, d.ownership, ",
    "d.enrolled, d.app_installed, d.permission, d.play_services, ",
    "(SELECT e.upn FROM person e WHERE e.tenant = ?1 AND e.key = d.enrolled_by AND e.since <= ?2 AND e.until > ?2) ",
    "FROM device d WHERE d.tenant = ?1 AND d.since <= ?2 AND d.until > ?2 ORDER BY d.owner, d.key"
);

const REGISTRATION_ROWS: &str = concat!(
    "SELECT ",
    reference!("device", "name", "d"),
    ", r.service, r.app, r.environment, r.token, r.endpoint, r.p256dh, '' ",
    "FROM registration r CROSS JOIN device d ON d.tenant = r.tenant AND d.owner = r.owner AND d.key = r.device AND d.since <= ?2 AND d.until > ?2 ",
    "WHERE r.tenant = ?1 AND r.since <= ?2 AND r.until > ?2 AND r.state = 1 ORDER BY r.owner, r.device, r.key"
);

/// Writes the files, all of one moment; answers their paths.
pub(crate) fn export(c: &Connection, tenant: TenantKey, folder: &Path) -> Result<Vec<PathBuf>> {
    use Cell::{List, Name, Switch, Text, Word};
    std::fs::create_dir_all(folder)?;
    let kind = Word(|n| MemberKind::from_number(n).map(MemberKind::word));
    let platform = Word(|n| Platform::from_number(n).map(Platform::word));
    let ownership = Word(|n| Ownership::from_number(n).map(Ownership::word));
    let permission = Word(|n| NotificationPermission::from_number(n).map(NotificationPermission::word));
    let service = Word(|n| Service::from_number(n).map(Service::word));
    let environment = Word(|n| Environment::from_number(n).map(Environment::word));
    let files: [(&str, &Form, &str, &[Cell]); 5] = [
        ("people.csv", &PEOPLE, PEOPLE_ROWS, &[Text, Text, Text, Text, Text, Text, List, Text, List, Switch]),
        ("groups.csv", &GROUPS, GROUP_ROWS, &[Name, Text, Text]),
        ("members.csv", &MEMBERS, MEMBER_ROWS, &[Name, kind, Name]),
        ("devices.csv", &DEVICES, DEVICE_ROWS, &[Name, Text, Text, platform, ownership, Switch, Switch, permission, Switch, Text]),
        ("registrations.csv", &REGISTRATIONS, REGISTRATION_ROWS, &[Name, service, Text, environment, Text, Text, Text, Text]),
    ];
    c.execute_batch("BEGIN")?;
    let generation = generation(c, tenant)?;
    let mut paths = Vec::new();
    for (name, form, sql, cells) in files {
        let path = folder.join(name);
        write(c, (tenant, generation), &path, form, sql, cells)?;
        paths.push(path);
    }
    c.execute_batch("COMMIT")?;
    Ok(paths)
}

fn write(c: &Connection, (tenant, generation): (TenantKey, i64), path: &Path, form: &Form, sql: &str, cells: &[Cell]) -> Result<()> {
    let failed = |error: csv::Error| StoreError::Unavailable(format!("{} cannot be written: {error}", path.display()));
    let mut file = csv::Writer::from_path(path).map_err(failed)?;
    file.write_record(form.columns).map_err(failed)?;
    let mut statement = c.prepare(sql)?;
    let mut rows = statement.query([i64::from(tenant.0), generation])?;
    while let Some(row) = rows.next()? {
        for (column, cell) in cells.iter().enumerate() {
            file.write_field(text(row, column, *cell)?).map_err(failed)?;
        }
        file.write_record(None::<&[u8]>).map_err(failed)?;
    }
    file.flush()?;
    Ok(())
}

fn text(row: &Row<'_>, column: usize, cell: Cell) -> Result<String> {
    let value = row.get_ref(column)?;
    let strange = || StoreError::Broken("a column does not hold what it should".into());
    Ok(match (cell, value) {
        (_, ValueRef::Null) => String::new(),
        (Cell::Switch, ValueRef::Integer(n)) => (n != 0).to_string(),
        (Cell::Word(word), ValueRef::Integer(n)) => u8::try_from(n).ok().and_then(word).ok_or_else(strange)?.to_owned(),
        (Cell::List, ValueRef::Text(json)) => {
            let list: Vec<String> = serde_json::from_slice(json).map_err(|_| strange())?;
            list.join(";")
        }
        (Cell::Name, ValueRef::Blob(id)) => super::columns::id(id)?.to_string(),
        (Cell::Text | Cell::Name, ValueRef::Text(text)) => String::from_utf8(text.to_vec()).map_err(|_| strange())?,
        _ => return Err(strange()),
    })
}
