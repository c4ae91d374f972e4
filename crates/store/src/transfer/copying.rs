//! Copies tables between a SQLite file and a PostgreSQL database, in flat memory.

use super::Steps;
use super::tables::{Kind, Table};
use crate::postgres::{Connection as Link, CopyFile, params};
use crate::{Result, StoreError};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

/// Rows that are fetched from PostgreSQL at once.
const FETCH: usize = 5_000;
/// Bytes that are sent to PostgreSQL at once.
const SEND: usize = 4 << 20;

/// Copies a table, or the rows of it that `condition` names, into a SQLite file. The caller holds a transaction on both
/// sides: PostgreSQL's sees one moment.
pub(crate) fn to_sqlite(from: &Link, to: &Connection, table: &Table, condition: &str, steps: &Steps) -> Result<u64> {
    let columns = table.listed();
    from.batch(&format!("DECLARE copying NO SCROLL CURSOR FOR SELECT {columns} FROM {} {condition} ORDER BY {}", table.name, table.key))?;
    let marks = vec!["?"; table.columns.len()].join(", ");
    let mut insert = to.prepare(&format!("INSERT INTO {} ({columns}) VALUES ({marks})", table.name))?;
    let mut fetch = from.prepare(&format!("FETCH FORWARD {FETCH} FROM copying"))?;
    let mut copied = 0;
    loop {
        let rows = fetch.all(params![])?;
        for row in &rows {
            for (place, (_, kind)) in table.columns.iter().enumerate() {
                let value = match kind {
                    Kind::Big | Kind::Whole | Kind::Small => row.get::<Option<i64>>(place)?.map_or(ValueRef::Null, ValueRef::Integer),
                    Kind::Text => row.get::<Option<&str>>(place)?.map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())),
                    Kind::Bytes => row.get::<Option<&[u8]>>(place)?.map_or(ValueRef::Null, ValueRef::Blob),
                };
                insert.raw_bind_parameter(place + 1, rusqlite::types::ToSqlOutput::Borrowed(value))?;
            }
            insert.raw_execute()?;
        }
        copied += rows.len() as u64;
        steps.rows(table.name, copied)?;
        if rows.len() < FETCH {
            break;
        }
    }
    from.batch("CLOSE copying")?;
    Ok(copied)
}

/// Copies a table of a SQLite file into PostgreSQL. The caller holds a transaction on the file.
pub(crate) fn to_postgres(from: &Connection, to: &Link, table: &Table, steps: &Steps) -> Result<u64> {
    let columns = table.listed();
    let copy = format!("COPY {} ({columns}) FROM STDIN (FORMAT binary)", table.name);
    let mut select = from.prepare(&format!("SELECT {columns} FROM {} ORDER BY {}", table.name, table.key))?;
    let mut rows = select.query([])?;
    let (mut file, mut copied, mut held) = (CopyFile::with_capacity(0, 0), 0, 0);
    while let Some(row) = rows.next()? {
        file.row(i16::try_from(table.columns.len()).unwrap_or(i16::MAX));
        for (place, (name, kind)) in table.columns.iter().enumerate() {
            let value = row.get_ref(place)?;
            cell(&mut file, value, *kind)
                .map_err(|error| StoreError::Broken(format!("{}.{name} cannot be copied: {error}", table.name)))?;
        }
        held += 1;
        if file.len() > SEND {
            copied += to.copy_in_made(&copy, std::mem::replace(&mut file, CopyFile::with_capacity(0, 0)).end())?;
            held = 0;
            steps.rows(table.name, copied)?;
        }
    }
    if held > 0 {
        copied += to.copy_in_made(&copy, file.end())?;
    }
    steps.rows(table.name, copied)?;
    Ok(copied)
}

fn cell(file: &mut CopyFile, value: ValueRef<'_>, kind: Kind) -> Result<()> {
    match (value, kind) {
        (ValueRef::Null, _) => file.null(),
        (ValueRef::Integer(number), Kind::Big) => file.int8(number),
        (ValueRef::Integer(number), Kind::Whole) => file.int4(number)?,
        (ValueRef::Integer(number), Kind::Small) => file.narrow(number)?,
        // PostgreSQL keeps no NUL in a text; nothing that we accept holds one.
        (ValueRef::Text(text), Kind::Text) if text.contains(&0) => {
            file.bytes(&text.iter().copied().filter(|byte| *byte != 0).collect::<Vec<_>>())?;
        }
        (ValueRef::Text(text), Kind::Text) => file.bytes(text)?,
        (ValueRef::Blob(bytes), Kind::Bytes) => file.bytes(bytes)?,
        (other, _) => return Err(StoreError::Broken(format!("it holds {}", other.data_type()))),
    }
    Ok(())
}

/// The last key that a table's own sequence gave, in a SQLite file.
pub(crate) fn last_of_sqlite(c: &Connection, table: &Table, column: &str) -> Result<i64> {
    // Only tables that were ever written to have a row here, and only those that count for themselves.
    let kept: Option<i64> = c.query_row("SELECT max(seq) FROM sqlite_sequence WHERE name = ?1", [table.name], |row| row.get(0))?;
    let last: Option<i64> = c.query_row(&format!("SELECT max({column}) FROM {}", table.name), [], |row| row.get(0))?;
    Ok(kept.unwrap_or(0).max(last.unwrap_or(0)))
}

/// Lets a SQLite file count on behind this key.
pub(crate) fn count_on_in_sqlite(c: &Connection, table: &Table, last: i64) -> Result<()> {
    let values = || params_from_iter([Value::Text(table.name.to_owned()), Value::Integer(last)]);
    if c.execute("UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1", values())? == 0 && last > 0 {
        c.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", values())?;
    }
    Ok(())
}
