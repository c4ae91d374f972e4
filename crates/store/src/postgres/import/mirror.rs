//! A copy of a tenant's directory, as it is visible at one moment, in a SQLite file of its own: what an import is compared
//! with, and what an export is written from. So both are the same for either engine.

use crate::Result;
use crate::postgres::Connection;
use crate::sqlite::opening;
use crate::transfer::{Steps, TABLES, Table, to_sqlite};
use model::TenantKey;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Tables of the directory, and what else an import looks at.
const WANTED: [&str; 7] = ["meta", "person", "grp", "member", "device", "registration", "code"];

/// The file; it goes when this is dropped.
pub(super) struct Mirror(PathBuf);

impl Mirror {
    /// Copies what is visible. Writers are not held up: PostgreSQL shows one moment.
    pub fn make(c: &Connection, tenant: TenantKey, folder: &Path) -> Result<Mirror> {
        std::fs::create_dir_all(folder)?;
        let mirror = Mirror(folder.join(format!("directory-{}.db", Uuid::new_v4())));
        let file = opening::connect(&mirror.0)?;
        // It is thrown away with the import, so nothing of it is ever made durable.
        file.pragma_update(None, "journal_mode", "OFF")?;
        file.pragma_update(None, "synchronous", "OFF")?;
        opening::migrate(&file)?;
        c.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = on")?;
        let copied = copy(c, &file, tenant);
        c.batch(if copied.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        copied?;
        drop(file);
        Ok(mirror)
    }

    /// Where it is.
    pub fn file(&self) -> &Path {
        &self.0
    }
}

fn copy(c: &Connection, file: &rusqlite::Connection, tenant: TenantKey) -> Result<()> {
    file.execute_batch("BEGIN")?;
    for table in TABLES.iter().filter(|table| WANTED.contains(&table.name)) {
        to_sqlite(c, file, table, &visible(table, tenant), &Steps::silent())?;
    }
    file.execute_batch("COMMIT")?;
    Ok(())
}

/// Which rows of a table are this tenant's and visible.
fn visible(table: &Table, tenant: TenantKey) -> String {
    let versioned = table.columns.iter().any(|(name, _)| *name == "since");
    let seen =
        "since <= (SELECT generation FROM meta m WHERE m.tenant = $t) AND until > (SELECT generation FROM meta m WHERE m.tenant = $t)";
    let condition = if versioned { format!("WHERE tenant = $t AND {seen}") } else { "WHERE tenant = $t".to_owned() };
    condition.replace("$t", &tenant.0.to_string())
}

impl Drop for Mirror {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.0.as_os_str().to_owned();
            name.push(end);
            // What was not there need not go.
            let _ = std::fs::remove_file(PathBuf::from(name));
        }
    }
}
