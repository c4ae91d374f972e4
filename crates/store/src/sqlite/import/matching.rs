//! Settles which rows of the files are which objects of the directory: gives new objects their provisional keys, fills in
//! what the files leave out, and finds rows that mean the same object.

use super::scratch::{Kind, Scratch};
use super::stage::{BY_ID, BY_NAME};
use crate::Result;

/// People, groups, and devices as far as they need no people.
pub(super) fn objects(s: &mut Scratch) -> Result<()> {
    if s.kinds.contains(&Kind::People) {
        one_row_each(s, "person", "upn")?;
        fill_external(s, "person")?;
        s.run_pieces(
            "person.row",
            "UPDATE person SET (display_name, email, locale, timezone, licenses, phones, active, manager) = (SELECT \
             coalesce(person.display_name, l.display_name), coalesce(person.email, l.email), coalesce(person.locale, l.locale), \
             coalesce(person.timezone, l.timezone), coalesce(person.licenses, l.licenses), coalesce(person.phones, l.phones), \
             coalesce(person.active, l.active), CASE WHEN person.manager_upn IS NULL THEN l.manager END \
             FROM live.person l WHERE $seen(l) AND l.key = person.key) \
             WHERE row > ?1 AND row <= ?2 AND key IS NOT NULL AND (display_name IS NULL OR email IS NULL OR locale IS NULL \
             OR timezone IS NULL OR licenses IS NULL OR phones IS NULL OR active IS NULL OR manager_upn IS NULL)",
        )?;
        s.run(
            "UPDATE person SET display_name = coalesce(display_name, upn), locale = coalesce(locale, 'en'), timezone = coalesce(timezone, 'UTC'), \
             licenses = coalesce(licenses, '[]'), phones = coalesce(phones, '[]'), active = coalesce(active, 1) WHERE key IS NULL \
             AND (display_name IS NULL OR locale IS NULL OR timezone IS NULL OR licenses IS NULL OR phones IS NULL OR active IS NULL)",
        )?;
        // In the order of names, so that the directory's index of names grows at one end and not everywhere.
        give_keys(s, "person", "upn")?;
        s.run("CREATE INDEX person_upn ON person (upn, key)")?;
        s.run("CREATE INDEX person_external ON person (external_id, key) WHERE external_id <> ''")?;
        repeated(s, "person", &["upn"], "t.upn <> ''", "upn")?;
        repeated(s, "person", &["external_id"], "t.external_id <> ''", "external_id")?;
    }
    if s.kinds.contains(&Kind::Groups) {
        one_row_each(s, "grp", "name")?;
        fill_external(s, "grp")?;
        s.run_pieces(
            "grp.row",
            "UPDATE grp SET description = (SELECT l.description FROM live.grp l WHERE $seen(l) AND l.key = grp.key) \
             WHERE row > ?1 AND row <= ?2 AND key IS NOT NULL AND description IS NULL",
        )?;
        give_keys(s, "grp", "name")?;
        s.run("CREATE INDEX grp_name ON grp (name, key)")?;
        s.run("CREATE INDEX grp_external ON grp (external_id, key) WHERE external_id <> ''")?;
        repeated(s, "grp", &["external_id"], "t.external_id <> ''", "external_id")?;
        same_names(s, "grp")?;
    }
    if s.kinds.contains(&Kind::Devices) {
        one_row_each(s, "device", "name")?;
        fill_external(s, "device")?;
        fill_devices(s)?;
        s.run("CREATE INDEX device_external ON device (external_id) WHERE external_id <> ''")?;
        s.run("CREATE INDEX device_name ON device (name)")?;
        repeated(s, "device", &["external_id"], "t.external_id <> ''", "external_id")?;
        same_names(s, "device")?;
    }
    Ok(())
}

/// The external id of a row without the column, or matched by our own id, is the live one.
fn fill_external(s: &Scratch, table: &str) -> Result<()> {
    let fill = format!(
        "UPDATE {table} SET external_id = (SELECT l.external_id FROM live.{table} l WHERE $seen(l) AND l.key = {table}.key) \
         WHERE row > ?1 AND row <= ?2 AND key IS NOT NULL AND (external_id IS NULL OR by = {BY_ID})"
    );
    s.run_pieces(&format!("{table}.row"), &fill)
}

fn fill_devices(s: &mut Scratch) -> Result<()> {
    s.run_pieces(
        "device.row",
        "UPDATE device SET (platform, ownership, enrolled, app_installed, permission, play_services, owner, enrolled_by) = (SELECT \
         coalesce(device.platform, l.platform), coalesce(device.ownership, l.ownership), coalesce(device.enrolled, l.enrolled), \
         coalesce(device.app_installed, l.app_installed), coalesce(device.permission, l.permission), \
         coalesce(device.play_services, l.play_services), CASE WHEN device.owner_upn IS NULL THEN l.owner END, \
         CASE WHEN device.enrolled_by_upn IS NULL THEN l.enrolled_by END FROM live.device l WHERE $seen(l) AND l.key = device.key) \
         WHERE row > ?1 AND row <= ?2 AND key IS NOT NULL AND (platform IS NULL OR ownership IS NULL OR enrolled IS NULL \
         OR app_installed IS NULL OR permission IS NULL OR play_services IS NULL OR owner_upn IS NULL OR enrolled_by_upn IS NULL)",
    )?;
    // A platform that was given and is wrong is a fault already.
    if s.faults.count() == 0 {
        let lacking = s.sql("SELECT file, line FROM device WHERE platform IS NULL ORDER BY row");
        fault_each(s, &lacking, "platform", |_| Ok("the platform is missing; a new device needs one".into()))?;
    }
    s.run(
        "UPDATE device SET ownership = coalesce(ownership, 1), enrolled = coalesce(enrolled, 0), app_installed = coalesce(app_installed, 0), \
         permission = coalesce(permission, 3), play_services = coalesce(play_services, 1) WHERE key IS NULL AND (ownership IS NULL \
         OR enrolled IS NULL OR app_installed IS NULL OR permission IS NULL OR play_services IS NULL)",
    )?;
    Ok(())
}

/// Notes a fault in a column for each (file, line, …) that a statement answers.
pub(super) fn fault_each(
    s: &mut Scratch,
    sql: &str,
    column: &str,
    message: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<String>,
) -> Result<()> {
    let mut statement = s.c.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let file: u32 = row.get(0)?;
        let name = s.import.files.get(file as usize).map_or("", |file| &file.name);
        s.faults.cell((file, name), row.get(1)?, column, message(row)?);
    }
    Ok(())
}

/// Two rows must not mean the same live object. One that found it by external id is it; then one that found it by its name
/// is a new object that takes the name over.
fn one_row_each(s: &mut Scratch, table: &str, column: &str) -> Result<()> {
    s.run(&format!(
        "UPDATE {table} SET key = NULL WHERE by = {BY_NAME} AND key IN (SELECT key FROM {table} WHERE key IS NOT NULL GROUP BY key \
         HAVING count(*) > 1 AND sum(by <> {BY_NAME}) > 0)"
    ))?;
    let twice = format!(
        "WITH d AS MATERIALIZED (SELECT key, min(row) AS first FROM {table} WHERE key IS NOT NULL GROUP BY key HAVING count(*) > 1) \
         SELECT t.file, t.line, o.file, o.line FROM d CROSS JOIN {table} t ON t.key = d.key CROSS JOIN {table} o ON o.row = d.first \
         WHERE t.row <> d.first ORDER BY t.row"
    );
    fault_pairs(s, &twice, column, "the row means the same object as")
}

/// As [`fault_each`], for rows (file, line, other file, other line).
fn fault_pairs(s: &mut Scratch, sql: &str, column: &str, what: &str) -> Result<()> {
    let names: Vec<String> = s.import.files.iter().map(|file| file.name.clone()).collect();
    fault_each(s, sql, column, |row| {
        let (file, line): (u32, u32) = (row.get(2)?, row.get(3)?);
        let place =
            if file == row.get::<_, u32>(0)? { String::new() } else { format!("{}:", names.get(file as usize).map_or("", String::as_str)) };
        Ok(format!("{what} line {place}{line}; keep one of them"))
    })
}

/// Finds rows that repeat what must be there once.
pub(super) fn repeated(s: &mut Scratch, table: &str, columns: &[&str], condition: &str, fault_column: &str) -> Result<()> {
    let listed = columns.iter().map(|c| format!("t.{c}")).collect::<Vec<_>>().join(", ");
    let same = columns.iter().map(|c| format!("t.{c} = d.{c}")).collect::<Vec<_>>().join(" AND ");
    let sql = format!(
        "WITH d AS MATERIALIZED (SELECT {listed}, min(t.row) AS first FROM {table} t WHERE {condition} GROUP BY {listed} HAVING count(*) > 1) \
         SELECT t.file, t.line, o.file, o.line FROM d CROSS JOIN {table} t ON {same} CROSS JOIN {table} o ON o.row = d.first \
         WHERE t.row <> d.first AND {condition} ORDER BY t.row"
    );
    s.go_on()?;
    fault_pairs(s, &sql, fault_column, "the same value stands on")
}

/// A row without an external id is known by its name alone, which no other row may have then.
fn same_names(s: &mut Scratch, table: &str) -> Result<()> {
    let sql = format!(
        "WITH d AS MATERIALIZED (SELECT name, min(row) AS first FROM {table} WHERE name <> '' GROUP BY name \
         HAVING count(*) > 1 AND sum(by = {BY_NAME} AND coalesce(external_id, '') = '') > 0) \
         SELECT t.file, t.line, o.file, o.line FROM d CROSS JOIN {table} t ON t.name = d.name CROSS JOIN {table} o ON o.row = d.first \
         WHERE t.row <> d.first ORDER BY t.row"
    );
    s.go_on()?;
    let names: Vec<String> = s.import.files.iter().map(|file| file.name.clone()).collect();
    fault_each(s, &sql, "name", |row| {
        let (file, line): (u32, u32) = (row.get(2)?, row.get(3)?);
        Ok(format!(
            "the name stands on line {line} of {} as well; give every row of this name an external_id",
            names.get(file as usize).map_or("", String::as_str)
        ))
    })
}

/// Gives new objects provisional keys in an order, and makes keys searchable.
pub(super) fn give_keys(s: &Scratch, table: &str, order: &str) -> Result<()> {
    s.run(&format!(
        "UPDATE {table} SET key = $new + n.place FROM (SELECT row AS r, row_number() OVER (ORDER BY {order}) AS place FROM {table} WHERE key IS NULL) n \
         WHERE {table}.row = n.r"
    ))?;
    s.run(&format!("CREATE INDEX {table}_key ON {table} (key)"))?;
    Ok(())
}
