//! The scratch file of an import: everything that the files say, beside the live directory, which is attached read-only.
//! It is thrown away with the import, so nothing of it is ever made durable.
//!
//! Columns hold what the directory will hold. While the files are read, NULL means that the file lacks the column and
//! `''` that the cell is empty; [`super::matching`] fills the gaps from the live row. Keys of objects that do not exist
//! yet count up from [`NEW`]; they become real keys when the import is applied.

use super::faults::Faults;
use crate::sqlite::directory::versions::STILL;
use crate::{Import, ImportMode, Result, StoreError};
use model::TenantKey;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Keys above this are those of new objects: `NEW + 1` is the first. No real key reaches it.
pub(crate) const NEW: i64 = 1 << 40;

/// Page cache of the scratch file, and the most that a sort keeps in memory before it spills, in KiB.
const SCRATCH_CACHE_KIB: i64 = 32 * 1024;

/// Page cache of the attached directory, in KiB.
const LIVE_CACHE_KIB: i64 = 8 * 1024;

/// Rows, or keys, of one look at the live directory: about a twentieth of a second.
const PIECE: i64 = 20_000;

const SCHEMA: &str = "
CREATE TABLE person (row INTEGER PRIMARY KEY, file INTEGER, line INTEGER, key INTEGER, by INTEGER, external_id TEXT, upn TEXT COLLATE NOCASE,
  display_name TEXT, email TEXT, locale TEXT, timezone TEXT, licenses TEXT, manager_upn TEXT COLLATE NOCASE, phones TEXT, active INTEGER,
  manager INTEGER);
CREATE TABLE grp (row INTEGER PRIMARY KEY, file INTEGER, line INTEGER, key INTEGER, by INTEGER, external_id TEXT, name TEXT, description TEXT);
CREATE TABLE device (row INTEGER PRIMARY KEY, file INTEGER, line INTEGER, key INTEGER, by INTEGER, external_id TEXT, name TEXT,
  owner_upn TEXT COLLATE NOCASE, platform INTEGER, ownership INTEGER, enrolled INTEGER, app_installed INTEGER, permission INTEGER,
  play_services INTEGER, enrolled_by_upn TEXT COLLATE NOCASE, owner INTEGER, enrolled_by INTEGER);
CREATE TABLE registration (row INTEGER PRIMARY KEY, file INTEGER, line INTEGER, key INTEGER, device_name TEXT, device_id BLOB, service INTEGER,
  app TEXT, environment INTEGER, token TEXT, endpoint TEXT, p256dh TEXT, auth BLOB, device INTEGER, owner INTEGER);
CREATE TABLE member (row INTEGER PRIMARY KEY, file INTEGER, line INTEGER, grp_name TEXT, grp_id BLOB, kind INTEGER, key_name TEXT, key_id BLOB,
  grp INTEGER, key INTEGER, held INTEGER);

-- What happens to rows that exist. removed: 0 no, 1 because something else goes, 2 because the files do not name it.
CREATE TABLE person_change (key INTEGER PRIMARY KEY, version INTEGER, removed INTEGER, deactivated INTEGER NOT NULL DEFAULT 0);
CREATE TABLE grp_change (key INTEGER PRIMARY KEY, version INTEGER, removed INTEGER);
CREATE TABLE device_change (key INTEGER PRIMARY KEY, version INTEGER, old_owner INTEGER, new_owner INTEGER, removed INTEGER);
CREATE TABLE registration_change (key INTEGER PRIMARY KEY, version INTEGER, device INTEGER, old_owner INTEGER, new_owner INTEGER, removed INTEGER,
  row INTEGER, retired TEXT);
CREATE TABLE member_end (grp INTEGER, kind INTEGER, key INTEGER, removed INTEGER, PRIMARY KEY (grp, kind, key)) WITHOUT ROWID;
";

/// A kind of object, and of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    People,
    Groups,
    Members,
    Devices,
    Registrations,
}

/// The scratch file and what the import is about.
pub(crate) struct Scratch {
    pub c: Connection,
    pub tenant: TenantKey,
    /// The generation that is visible.
    pub generation: i64,
    pub import: Import,
    /// Which kinds the files hold.
    pub kinds: BTreeSet<Kind>,
    pub(super) faults: Faults,
    file: ScratchFile,
}

/// The path; the file goes when this is dropped.
struct ScratchFile(PathBuf);

impl Drop for ScratchFile {
    fn drop(&mut self) {
        // What cannot be removed now is removed before the next import.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Where an import of a tenant has its scratch file.
fn path(store: &Path, tenant: TenantKey) -> PathBuf {
    let mut name = store.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".import-{tenant}"));
    store.with_file_name(name)
}

/// Removes what a process that died left behind.
pub(super) fn tidy(store: &Path, tenant: TenantKey) {
    drop(ScratchFile(path(store, tenant)));
}

impl Scratch {
    /// Makes the file beside the live directory, and attaches that.
    pub fn open(live: &Path, tenant: TenantKey, import: Import) -> Result<Scratch> {
        let file = ScratchFile(path(live, tenant));
        if file.0.exists() {
            std::fs::remove_file(&file.0)?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let c = Connection::open_with_flags(&file.0, flags)?;
        c.busy_timeout(std::time::Duration::from_secs(5))?;
        c.pragma_update(None, "journal_mode", "OFF")?;
        c.pragma_update(None, "synchronous", "OFF")?;
        // Of this file alone: without a schema it would hold for the live directory too, and lock everybody out.
        c.pragma_update(Some("main"), "locking_mode", "EXCLUSIVE")?;
        c.pragma_update(None, "cache_size", -SCRATCH_CACHE_KIB)?;
        c.set_prepared_statement_cache_capacity(64);
        c.execute("ATTACH ?1 AS live", [uri(live)?])?;
        c.pragma_update(Some("live"), "cache_size", -LIVE_CACHE_KIB)?;
        c.execute_batch(SCHEMA)?;
        let generation = c.query_row("SELECT generation FROM live.meta WHERE tenant = ?1", [tenant.0], |row| row.get(0));
        let generation = generation.map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => StoreError::NotFound,
            error => error.into(),
        })?;
        Ok(Scratch { c, tenant, generation, import, kinds: BTreeSet::new(), faults: Faults::default(), file })
    }

    /// Whether objects of this kind that the files do not name go.
    pub fn replaces(&self, kind: Kind) -> bool {
        self.import.mode == ImportMode::Replace && self.kinds.contains(&kind)
    }

    /// Fills a statement in: `$tenant`, `$new`, `$still`; `$seen(x)` for "row x of the live directory is visible";
    /// `$kept_person`, `$kept_grp` and `$kept_device` for "live objects that the files do not name stay".
    pub fn sql(&self, template: &str) -> String {
        let mut sql = template
            .replace("$tenant", &self.tenant.0.to_string())
            .replace("$new", &NEW.to_string())
            .replace("$still", &STILL.to_string())
            .replace("$kept_person", if self.replaces(Kind::People) { "0" } else { "1" })
            .replace("$kept_grp", if self.replaces(Kind::Groups) { "0" } else { "1" })
            .replace("$kept_device", if self.replaces(Kind::Devices) { "0" } else { "1" });
        while let Some(at) = sql.find("$seen(") {
            let end = at + sql[at..].find(')').expect("a parenthesis is closed");
            let row = sql[at + 6..end].to_owned();
            let seen = format!("{row}.tenant = {} AND {row}.since <= {g} AND {row}.until > {g}", self.tenant.0, g = self.generation);
            sql.replace_range(at..=end, &seen);
        }
        sql
    }

    /// Runs a statement that is filled in by [`Scratch::sql`]; answers how many rows it wrote.
    ///
    /// # Errors
    /// Also when the import was told to stop.
    pub fn run(&self, template: &str) -> Result<usize> {
        self.go_on()?;
        Ok(self.c.execute(&self.sql(template), [])?)
    }

    /// Runs a statement that looks at the live directory, piece by piece, so that no look lasts: a long one would keep the
    /// store's log from being emptied. `over` is the column that is walked (`table.column`); `$piece` stands for the
    /// condition on it, with the parameters ?1 and ?2.
    ///
    /// # Errors
    /// As [`Scratch::run`].
    pub fn run_pieces(&self, over: &str, template: &str) -> Result<()> {
        let (table, column) = over.rsplit_once('.').expect("a column is written with its table");
        let limit = if column == "key" { format!(" WHERE {column} < {NEW}") } else { String::new() };
        let last: Option<i64> = self.c.query_row(&format!("SELECT max({column}) FROM {table}{limit}"), [], |row| row.get(0))?;
        let mut statement = self.c.prepare(&self.sql(template))?;
        let mut from = 0;
        while from < last.unwrap_or(0) {
            self.go_on()?;
            statement.execute([from, from + PIECE])?;
            from += PIECE;
        }
        Ok(())
    }

    /// The one number that a statement answers.
    pub fn number(&self, template: &str) -> Result<u64> {
        let number: i64 = self.c.query_row(&self.sql(template), [], |row| row.get(0))?;
        Ok(number.unsigned_abs())
    }

    /// # Errors
    /// When the import was told to stop.
    pub fn go_on(&self) -> Result<()> {
        if self.import.progress.stop.load(Ordering::Relaxed) { Err(stopped()) } else { Ok(()) }
    }

    /// Name of a file, for reports.
    pub fn file_name(&self, file: u32) -> &str {
        self.import.files.get(file as usize).map_or("", |file| &file.name)
    }

    /// Closes and removes the file.
    pub fn remove(self) {
        let Scratch { c, file, .. } = self;
        drop(c);
        drop(file);
    }
}

/// What an import that was told to stop answers.
pub(crate) fn stopped() -> StoreError {
    StoreError::Unavailable("the import was stopped; nothing was applied".into())
}

/// The store's file as a read-only SQLite URI.
fn uri(file: &Path) -> Result<String> {
    let path = std::path::absolute(file)?;
    let text = path.to_str().ok_or_else(|| StoreError::Unavailable("the path of the data file is not UTF-8".into()))?;
    let mut uri = String::from("file://");
    for byte in text.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?mode=ro");
    Ok(uri)
}
