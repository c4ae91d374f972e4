//! Bringing a database to the version of this program: one process at a time, each step in a transaction of its own.

use super::args::params;
use super::link::{Connection, OptionalExtension};
use crate::{Result, StoreError};

/// The schema's versions, oldest first: entry `n` leads from version `n` to `n + 1`. A released entry is never edited.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("folded.sql"),
    concat!(include_str!("rights.sql"), include_str!("audit.sql")),
    include_str!("managed.sql"),
];

/// Held by whoever makes or changes the tables (0x43415249 is "CARI").
const LOCK: &str = "SELECT pg_advisory_lock(1128354377, 1)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(1128354377, 1)";
/// `filling` is how far a restore or a migration into this database has come: 0 none is under way, 1 it is not whole.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS carillon_store (version integer NOT NULL, filling smallint NOT NULL DEFAULT 0)";
const VERSION: &str = "SELECT version, filling FROM carillon_store";
/// The version, for transactions that write: reading it keeps a step of an upgrade waiting until they end, and the step keeps
/// them waiting until it ends.
pub(super) const STANDS_AT: &str = "SELECT version FROM carillon_store";
/// Taken by each step after the first, before anything else.
const ALONE: &str = "LOCK TABLE carillon_store IN ACCESS EXCLUSIVE MODE";
const OTHERS: &str =
    "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename IN ('meta', 'event', 'person')";

/// Whether the store here is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There are no tables of ours.
    Absent,
    /// It can be opened.
    Whole,
    /// A restore or migration into it did not end.
    Filling,
}

/// Makes the tables, or brings them to the newest version.
///
/// # Errors
/// `Unavailable` for a store that is only half filled, `Broken` for one of a newer version or another program.
pub(super) fn migrate(c: &Connection) -> Result<()> {
    if c.bring_up()? == Standing::Filling {
        return Err(StoreError::Unavailable(
            "the store in this database is not whole: a migration or a restore into it did not end; run that again until it says that it is done"
                .into(),
        ));
    }
    Ok(())
}

impl Connection {
    /// Brings the tables to the newest version; answers how the store stood before.
    pub fn bring_up(&self) -> Result<Standing> {
        self.batch(LOCK)?;
        let standing = under_lock(self, MIGRATIONS);
        self.batch(UNLOCK)?;
        standing
    }

    /// The same with the steps of another version of this program.
    #[cfg(test)]
    pub fn bring_up_by(&self, steps: &[&str]) -> Result<Standing> {
        self.batch(LOCK)?;
        let standing = under_lock(self, steps);
        self.batch(UNLOCK)?;
        standing
    }

    /// How the store stands, without changing anything.
    pub fn standing(&self) -> Result<Standing> {
        let there: bool = self.prepare("SELECT to_regclass('carillon_store') IS NOT NULL")?.query_row(params![], |row| row.get(0))?;
        if !there {
            return Ok(Standing::Absent);
        }
        let found = self.prepare(VERSION)?.query_row(params![], |row| row.get::<bool>(1)).optional()?;
        Ok(match found {
            None => Standing::Absent,
            Some(true) => Standing::Filling,
            Some(false) => Standing::Whole,
        })
    }

    /// Checks that the tables are those of this program: for whoever reads them without opening the store.
    ///
    /// # Errors
    /// `Unavailable` for another version.
    pub fn must_be_of_our_version(&self) -> Result<()> {
        let version: i64 = self.prepare(VERSION)?.query_row(params![], |row| row.get(0))?;
        if usize::try_from(version).ok() == Some(MIGRATIONS.len()) {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "the database has version {version} and this program works with version {}; start its server once, or use the program of that version",
            MIGRATIONS.len()
        )))
    }

    /// Notes that the store is being filled, or that it is whole.
    pub fn mark_filling(&self, filling: bool) -> Result<()> {
        self.prepare("UPDATE carillon_store SET filling = $1")?.execute(params![filling])?;
        Ok(())
    }

    /// Takes the right to fill this database, until the connection ends.
    ///
    /// # Errors
    /// `Unavailable` when somebody else is filling it.
    pub fn hold_for_filling(&self) -> Result<()> {
        let held: bool = self.prepare("SELECT pg_try_advisory_lock(1128354377, 3)")?.query_row(params![], |row| row.get(0))?;
        if held { Ok(()) } else { Err(StoreError::Unavailable("another migration or restore into this database is running".into())) }
    }
}

/// Whether a store at this version is one that this process may go on with: another process may have upgraded it meanwhile.
///
/// # Errors
/// `Unavailable`, which says what to do.
pub(super) fn must_stand_at(version: i64) -> Result<()> {
    if usize::try_from(version).ok() == Some(MIGRATIONS.len()) {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "another process brought the database to version {version} and this program works with version {}: nothing is accepted or sent here any more; stop this process and start the program that the other one runs",
        MIGRATIONS.len()
    )))
}

fn under_lock(c: &Connection, steps: &[&str]) -> Result<Standing> {
    let before = c.standing()?;
    let newest = steps.len();
    let mut version = 0;
    if before == Standing::Absent {
        let others: i64 = c.prepare(OTHERS)?.query_row(params![], |row| row.get(0))?;
        if others > 0 {
            return Err(StoreError::Broken("the database holds tables of another program; give Carillon a database of its own".into()));
        }
    } else {
        version = c.prepare(VERSION)?.query_row(params![], |row| row.get::<i64>(0))?.try_into().unwrap_or(usize::MAX);
    }
    if version > newest {
        return Err(StoreError::Broken(format!(
            "the database has version {version} and this program knows versions up to {newest}; use the newer program, or a backup from before it"
        )));
    }
    for (step, sql) in steps.iter().enumerate().skip(version) {
        let next = step + 1;
        let (before, kept) = if step == 0 {
            (String::new(), format!("{TABLE}; DELETE FROM carillon_store; INSERT INTO carillon_store (version) VALUES ({next})"))
        } else {
            (format!("{ALONE};"), format!("UPDATE carillon_store SET version = {next}"))
        };
        if let Err(fault) = c.batch(&format!("BEGIN; {before}\n{sql}\n{kept}; COMMIT")) {
            // The first error is the one to tell.
            let _ = c.batch("ROLLBACK");
            return Err(fault.into());
        }
    }
    Ok(before)
}
