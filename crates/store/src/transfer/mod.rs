//! Whole stores on their way: from one engine to the other ([`migrate`]), into a file ([`backup`]), and out of one
//! ([`restore`]). A backup is always one SQLite file, whichever engine it came from.
//!
//! The keys that seal what is private are not part of a store and so in no backup: they are kept apart.

mod copying;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use copying::to_sqlite;
pub(crate) use tables::{TABLES, Table};

use crate::postgres::{Address, Connection as Link, Postgres, Standing, params};
use crate::sqlite::opening;
use crate::{Result, StoreError};
use copying::{count_on_in_sqlite, last_of_sqlite, to_postgres};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a store is.
#[derive(Clone, Debug, PartialEq)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Address),
}

impl Database {
    /// Reads `sqlite:PATH` or `postgres://…`.
    ///
    /// # Errors
    /// A sentence with what is wrong.
    pub fn parse(text: &str) -> std::result::Result<Database, String> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err("sqlite: is followed by the path of the data file, such as sqlite:/var/lib/carillon/carillon.db".to_owned()),
            Some(path) => Ok(Database::Sqlite(PathBuf::from(path))),
            None if text.starts_with("postgres://") || text.starts_with("postgresql://") => Address::parse(text).map(Database::Postgres),
            None => Err("a database is written as sqlite:PATH or postgres://user:password@host:5432/database".to_owned()),
        }
    }
}

impl std::fmt::Display for Database {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Database::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Database::Postgres(address) => address.fmt(f),
        }
    }
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The table that is being copied.
    pub table: &'static str,
    /// Which that is, from 1.
    pub place: usize,
    /// Of how many.
    pub tables: usize,
    /// Rows of it that were copied.
    pub rows: u64,
}

/// Who is told how far a copy is. It may stop it by answering `false`.
pub type Tell = Arc<dyn Fn(Step) -> bool + Send + Sync>;

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows of each table.
    pub tables: Vec<(&'static str, u64)>,
}

impl Copied {
    /// Rows in all.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }
}

/// Tells how far a copy is, table by table.
pub(crate) struct Steps {
    tell: Tell,
    of: usize,
    place: std::cell::Cell<usize>,
}

impl Steps {
    pub(crate) fn new(tell: Tell, of: usize) -> Steps {
        Steps { tell, of, place: std::cell::Cell::new(0) }
    }

    /// Steps that nobody watches.
    pub(crate) fn silent() -> Steps {
        Steps::new(Arc::new(|_| true), 0)
    }

    fn next(&self) {
        self.place.set(self.place.get() + 1);
    }

    pub(crate) fn rows(&self, table: &'static str, rows: u64) -> Result<()> {
        let step = Step { table, place: self.place.get(), tables: self.of, rows };
        if (self.tell)(step) { Ok(()) } else { Err(StoreError::Unavailable("the copy was stopped".into())) }
    }
}

/// Moves everything from one engine to the other. No server may run on either. Cut off at any moment it can be run again.
///
/// # Errors
/// `Unavailable` when a server runs, a side cannot be reached, or the target holds a store already; nothing is lost then.
pub async fn migrate(from: Database, to: Database, tell: Tell) -> Result<Copied> {
    match (from, to) {
        (Database::Sqlite(file), Database::Postgres(address)) => {
            if !file.exists() {
                return Err(StoreError::Unavailable(format!("there is no data file {}", file.display())));
            }
            blocking(move |runtime| {
                // Held until everything is there: no server changes what is being copied.
                let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
                let _lock = crate::folder::lock(&folder)?;
                let source = source_of(&file)?;
                fill_postgres(&source.0, &runtime.block_on(Postgres::link(&address))?, &tell)
            })
            .await
        }
        (Database::Postgres(address), Database::Sqlite(file)) => {
            blocking(move |runtime| {
                let link = runtime.block_on(Postgres::link(&address))?;
                let living: i64 = number(
                    &link,
                    "SELECT count(*) FROM node WHERE until > floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
                    &address,
                )?;
                if living > 0 {
                    return Err(StoreError::Unavailable(format!(
                        "{living} server(s) run on {address}; stop them first, or make a backup, which does not mind"
                    )));
                }
                fill_file(&link, &file, &tell)
            })
            .await
        }
        (Database::Sqlite(_), Database::Sqlite(_)) | (Database::Postgres(_), Database::Postgres(_)) => Err(StoreError::Unavailable(
            "a migration goes from sqlite: to postgres: or back; to copy a store within one engine make a backup and restore it".into(),
        )),
    }
}

/// Copies a consistent state into a new file, while servers work on.
///
/// # Errors
/// `Unavailable` when the file exists already, or the store cannot be reached.
pub async fn backup(from: Database, to: PathBuf, tell: Tell) -> Result<Copied> {
    blocking(move |runtime| match from {
        Database::Sqlite(file) => {
            if !file.exists() {
                return Err(StoreError::Unavailable(format!("there is no data file {}", file.display())));
            }
            let source = source_of(&file)?;
            copy_file(&source.0, &to)?;
            count_rows(&source_of(&to)?.0)
        }
        Database::Postgres(address) => fill_file(&runtime.block_on(Postgres::link(&address))?, &to, &tell),
    })
    .await
}

/// Fills an empty place from a backup file.
///
/// # Errors
/// `Unavailable` when the place holds a store already, or the file is not a backup.
pub async fn restore(file: PathBuf, to: Database, tell: Tell) -> Result<Copied> {
    blocking(move |runtime| {
        if !file.exists() {
            return Err(StoreError::Unavailable(format!("there is no file {}", file.display())));
        }
        match to {
            Database::Sqlite(target) => {
                let source = source_of(&file)?;
                if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    std::fs::create_dir_all(folder)?;
                }
                copy_file(&source.0, &target)?;
                count_rows(&source.0)
            }
            Database::Postgres(address) => {
                let source = source_of(&file)?;
                fill_postgres(&source.0, &runtime.block_on(Postgres::link(&address))?, &tell)
            }
        }
    })
    .await
}

/// The backup of a store that is open: [`crate::Ledger::backup`]. An existing folder gets a file of our own name.
pub(crate) async fn backup_open(store: &Postgres, to: PathBuf) -> Result<()> {
    let address = store.address();
    let to = if to.is_dir() { to.join("carillon.db") } else { to };
    backup(Database::Postgres(address), to, Arc::new(|_| true)).await.map(|_| ())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce(tokio::runtime::Handle) -> Result<T> + Send + 'static) -> Result<T> {
    let runtime = tokio::runtime::Handle::current();
    let done = tokio::task::spawn_blocking(move || work(runtime)).await;
    done.unwrap_or_else(|_| Err(StoreError::Broken("the copy was interrupted".into())))
}

/// A file to read from, as one moment of it; and a copy that was made to bring an older one to our version, which goes.
fn source_of(file: &Path) -> Result<(Connection, Option<Draft>)> {
    let open = |file: &Path| Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = open(file)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    let foreign = || StoreError::Unavailable(format!("{} is not a data file or a backup of Carillon", file.display()));
    let version = opening::version_of(&connection).map_err(|_| foreign())?.ok_or_else(foreign)?;
    let newest = opening::MIGRATIONS.len();
    if version > newest {
        return Err(StoreError::Unavailable(format!(
            "{} has version {version} and this program knows versions up to {newest}; use the newer program",
            file.display()
        )));
    }
    if version == newest {
        connection.execute_batch("BEGIN")?;
        return Ok((connection, None));
    }
    let draft = Draft(std::env::temp_dir().join(format!("carillon-older-{}", uuid::Uuid::new_v4())));
    vacuum_into(&connection, &draft.0)?;
    opening::migrate(&opening::connect(&draft.0)?)?;
    let connection = open(&draft.0)?;
    connection.execute_batch("BEGIN")?;
    Ok((connection, Some(draft)))
}

/// A file that goes unless it is kept.
struct Draft(PathBuf);

impl Draft {
    /// A draft beside a file that must not exist.
    fn beside(file: &Path) -> Result<Draft> {
        if file.exists() {
            return Err(StoreError::Unavailable(format!("{} exists already and is left alone; name another file", file.display())));
        }
        let mut name = file.as_os_str().to_owned();
        name.push(".partial");
        let draft = Draft(PathBuf::from(name));
        draft.remove();
        Ok(draft)
    }

    /// Gives it its name, durably.
    fn keep(self, name: &Path) -> Result<()> {
        std::fs::File::open(&self.0)?.sync_all()?;
        std::fs::rename(&self.0, name)?;
        if let Some(folder) = name.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn remove(&self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.0.as_os_str().to_owned();
            name.push(end);
            // What was not there need not go.
            let _ = std::fs::remove_file(PathBuf::from(name));
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.remove();
    }
}

fn vacuum_into(from: &Connection, to: &Path) -> Result<()> {
    let name = to.to_str().ok_or_else(|| StoreError::Unavailable("the path is not UTF-8".into()))?;
    from.execute("VACUUM INTO ?1", [name])?;
    Ok(())
}

/// One file into another.
fn copy_file(from: &Connection, to: &Path) -> Result<()> {
    let draft = Draft::beside(to)?;
    // A copy sees one moment by itself, and cannot be part of another transaction.
    from.execute_batch("COMMIT")?;
    vacuum_into(from, &draft.0)?;
    from.execute_batch("BEGIN")?;
    draft.keep(to)
}

fn count_rows(c: &Connection) -> Result<Copied> {
    let mut copied = Copied::default();
    for table in TABLES {
        let rows: i64 = c.query_row(&format!("SELECT count(*) FROM {}", table.name), [], |row| row.get(0))?;
        copied.tables.push((table.name, rows.unsigned_abs()));
    }
    Ok(copied)
}

fn number(link: &Link, sql: &str, at: &Address) -> Result<i64> {
    if link.standing()? == Standing::Absent {
        return Err(StoreError::Unavailable(format!("there is no store of Carillon in {at}")));
    }
    Ok(link.prepare(sql)?.query_row(params![], |row| row.get(0))?)
}

/// PostgreSQL into a new file: one moment of it, while servers work on.
fn fill_file(from: &Link, to: &Path, tell: &Tell) -> Result<Copied> {
    match from.standing()? {
        Standing::Whole => {}
        Standing::Absent => return Err(StoreError::Unavailable("there is no store of Carillon in that database".into())),
        Standing::Filling => {
            return Err(StoreError::Unavailable(
                "the store in that database is not whole: a migration or a restore into it did not end; run that again first".into(),
            ));
        }
    }
    from.must_be_of_our_version()?;
    let draft = Draft::beside(to)?;
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let file = opening::connect(&draft.0)?;
    // Nothing of it counts before it has its name.
    file.pragma_update(None, "journal_mode", "OFF")?;
    file.pragma_update(None, "synchronous", "OFF")?;
    opening::migrate(&file)?;
    let steps = Steps::new(tell.clone(), TABLES.len());
    from.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on")?;
    file.execute_batch("BEGIN; DELETE FROM sequence")?;
    let mut copied = Copied::default();
    for table in TABLES {
        steps.next();
        copied.tables.push((table.name, to_sqlite(from, &file, table, "", &steps)?));
    }
    for (table, column) in TABLES.iter().filter_map(|table| table.counted.map(|column| (table, column))) {
        if table.name != "meta" {
            let sequence = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}_{column}_seq", table.name);
            let last: i64 = from.prepare(&sequence)?.query_row(params![], |row| row.get(0))?;
            count_on_in_sqlite(&file, table, last)?;
        }
    }
    file.execute_batch("COMMIT")?;
    from.batch("COMMIT")?;
    file.close().map_err(|(_, error)| StoreError::from(error))?;
    draft.keep(to)?;
    Ok(copied)
}

/// A file into an empty database. The database says of itself that it is not whole until everything is there, and no
/// server opens it until then.
fn fill_postgres(from: &Connection, to: &Link, tell: &Tell) -> Result<Copied> {
    to.hold_for_filling()?;
    if to.standing()? == Standing::Whole {
        let tenants: i64 = to.prepare("SELECT count(*) FROM meta")?.query_row(params![], |row| row.get(0))?;
        if tenants > 0 {
            return Err(StoreError::Unavailable(
                "the database holds a store already and is left alone; name an empty database, or drop that store first".into(),
            ));
        }
    }
    to.bring_up()?;
    to.mark_filling(true)?;
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    // What an attempt before this one left goes.
    to.batch(&format!("TRUNCATE {}, node, role, stream, member_log, member_floor", names.join(", ")))?;
    let steps = Steps::new(tell.clone(), TABLES.len());
    let mut copied = Copied::default();
    for table in TABLES {
        steps.next();
        to.batch("BEGIN")?;
        let rows = to_postgres(from, to, table, &steps)?;
        if let Some(column) = table.counted {
            let last = last_of_sqlite(from, table, column)?;
            to.batch(&format!("SELECT setval('{}_{column}_seq', {}, {})", table.name, last.max(1), last > 0))?;
        }
        to.batch("COMMIT")?;
        copied.tables.push((table.name, rows));
    }
    // Changes of memberships are told from here on.
    to.batch("INSERT INTO member_floor (tenant, version) SELECT tenant, directory FROM meta; ANALYZE")?;
    to.mark_filling(false)?;
    Ok(copied)
}
