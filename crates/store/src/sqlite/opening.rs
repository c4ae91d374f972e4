//! Opening the data file: the lock on its folder, the pragmas, the versions of the schema, and the claims of earlier
//! processes, which the lock makes void.

use crate::folder::{self, FolderLock};
use crate::{Result, StoreError};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Marks our data files (`PRAGMA application_id`): "CARI".
const APPLICATION_ID: i64 = 0x4341_5249;

/// The schema's versions, oldest first: entry `n` leads from version `n` to `n + 1`. A released entry is never edited.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("forecast.sql"),
    include_str!("folded.sql"),
    concat!(include_str!("rights.sql"), include_str!("audit.sql")),
    include_str!("managed.sql"),
];

/// Page cache of the writer, in KiB: the working set of a campaign's settlements.
const WRITER_CACHE_KIB: i64 = 6 * 1024;

/// How many prepared statements the writer keeps: more than there are.
const WRITER_STATEMENTS: usize = 512;

/// Frees claims of earlier processes and fences them off; what they were about is due at once.
pub(super) const VOID_CLAIMS: &str = "UPDATE segment SET node = NULL, generation = generation + 1, due = 0 WHERE node IS NOT NULL";

/// A data file that is ready, and the lock that keeps others away.
pub(crate) struct Opened {
    pub connection: Connection,
    pub lock: FolderLock,
}

/// Opens the file for the writer.
pub(crate) fn open(file: &Path) -> Result<Opened> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let lock = folder::lock(folder)?;
    let connection = connect(file)?;
    migrate(&connection)?;
    connection.execute(VOID_CLAIMS, [])?;
    Ok(Opened { connection, lock })
}

/// Opens a file for the writer, or makes it.
pub(crate) fn connect(file: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", super::checkpoint::WAL_BOUND_BYTES)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.set_prepared_statement_cache_capacity(WRITER_STATEMENTS);
    Ok(connection)
}

/// The schema's version of a data file of ours; `None` for another program's.
pub(crate) fn version_of(connection: &Connection) -> Result<Option<usize>> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok((application == APPLICATION_ID).then(|| usize::try_from(version).unwrap_or(usize::MAX)))
}

/// Brings the file to the newest version, each step in a transaction of its own.
pub(crate) fn migrate(connection: &Connection) -> Result<()> {
    migrate_by(connection, MIGRATIONS)
}

/// The same with the steps of another version of this program.
pub(crate) fn migrate_by(connection: &Connection, steps: &[&str]) -> Result<()> {
    let newest = steps.len();
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (tables > 0 || version > 0) {
        return Err(StoreError::Broken("the data file is a database of another program".into()));
    }
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > newest {
        return Err(StoreError::Broken(format!(
            "the data file has version {version} and this program knows versions up to {newest}; use the newer program, or a backup from before it"
        )));
    }
    for (step, sql) in steps.iter().enumerate().skip(version) {
        let next = step + 1;
        let whole = format!("BEGIN IMMEDIATE;\n{sql}\nPRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {next}; COMMIT;");
        if let Err(error) = connection.execute_batch(&whole) {
            // The first error is the one to tell; without a transaction there is nothing to roll back.
            let _ = connection.execute_batch("ROLLBACK");
            return Err(error.into());
        }
    }
    Ok(())
}
