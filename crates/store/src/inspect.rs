//! A look at a store without opening it: whether it is there, of this program's version, writable, and has room to grow.
//! Nothing is made, changed or locked for longer than the look takes.

use crate::postgres::{Postgres, Standing, params};
use crate::sqlite::opening;
use crate::transfer::Database;
use crate::{Result, StoreError};
use model::channel::{Finding, Probe};
use model::{Clock, Timestamp};
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::Path;

/// Below this much free space the store should get more soon: a campaign to a million people takes about 600 MB.
const LITTLE_BYTES: u64 = 1 << 30;
/// Below this much it may stand still at any moment.
const NEARLY_NONE_BYTES: u64 = 100 << 20;
/// The oldest PostgreSQL that is worked with, as it numbers itself.
const OLDEST_POSTGRES: i64 = 150_000;

const DATABASE: &str = "database";
const SCHEMA: &str = "schema";
const WRITABLE: &str = "writable";
const DISK: &str = "disk";
const LOCK: &str = "lock";

/// What a look found, and whether a server has the store open.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Step by step; and how far a database server's clock is ahead.
    pub probe: Probe,
    /// A server runs on the data file; always false for PostgreSQL, where several may.
    pub in_use: bool,
}

/// Looks at a store.
pub async fn inspect(database: &Database, clock: &dyn Clock) -> Inspection {
    match database {
        Database::Sqlite(file) => {
            let file = file.clone();
            tokio::task::spawn_blocking(move || sqlite(&file)).await.unwrap_or_default()
        }
        Database::Postgres(address) => {
            let mut inspection = Inspection::default();
            let before = clock.now();
            let looked = match Postgres::link(address).await {
                Ok(link) => tokio::task::spawn_blocking(move || postgres(&link))
                    .await
                    .unwrap_or_else(|_| Err(StoreError::Broken("the look was interrupted".into()))),
                Err(error) => Err(error),
            };
            match looked {
                Ok((findings, theirs)) => {
                    inspection.probe = Probe { findings, clock_ahead_ms: Some(ahead(theirs, before, clock.now())) };
                }
                Err(error) => {
                    let mend = "check the address, that PostgreSQL runs, and the user's password and rights";
                    inspection.probe.findings.push(Finding::wrong(DATABASE, error.to_string(), mend));
                }
            }
            inspection
        }
    }
}

fn ahead(theirs: Timestamp, before: Timestamp, after: Timestamp) -> i64 {
    if theirs.0 < before.0 { theirs.0 - before.0 } else { (theirs.0 - after.0).max(0) }
}

fn sqlite(file: &Path) -> Inspection {
    let mut inspection = Inspection::default();
    let findings = &mut inspection.probe.findings;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !file.exists() {
        findings.push(Finding::fine(DATABASE, format!("{} is not there yet; the first start makes it", file.display())));
    } else {
        match holder(folder) {
            Ok(None) => findings.push(Finding::fine(LOCK, "no server runs on the data folder")),
            Ok(Some(by)) => {
                findings.push(Finding::fine(LOCK, format!("a server runs on the data folder ({by})")));
                inspection.in_use = true;
            }
            Err(error) => findings.push(Finding::doubtful(LOCK, format!("the lock cannot be looked at ({error})"), mend_rights(folder))),
        }
        match version(file) {
            Ok(finding) => findings.extend([Finding::fine(DATABASE, format!("{} can be read", file.display())), finding]),
            Err(error) => {
                let found = format!("{} cannot be read ({error})", file.display());
                findings.push(Finding::wrong(DATABASE, found, "check who owns the file; if it is damaged, restore a backup"));
            }
        }
    }
    findings.push(writable(folder, file));
    findings.extend(room(folder));
    inspection
}

fn mend_rights(folder: &Path) -> String {
    format!("run this as the user that runs the server, who has to own {}", folder.display())
}

/// Who has the data folder, if a server runs on it. Sharing the lock for a moment tells, and keeps nobody out.
fn holder(folder: &Path) -> std::io::Result<Option<String>> {
    let path = folder.join(crate::folder::LOCK_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let mut lock = File::open(path)?;
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            lock.read_to_string(&mut pid)?;
            Ok(Some(if pid.trim().is_empty() { "another process".into() } else { format!("process {}", pid.trim()) }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn version(file: &Path) -> Result<Finding> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let newest = opening::MIGRATIONS.len();
    Ok(match opening::version_of(&connection)? {
        None => {
            let mend = "name a file of its own in database = \"sqlite:…\"";
            Finding::wrong(SCHEMA, "the data file is a database of another program", mend)
        }
        Some(version) => versioned(version, newest),
    })
}

fn versioned(version: usize, newest: usize) -> Finding {
    match version {
        _ if version == newest => Finding::fine(SCHEMA, format!("version {version}, as this program has it")),
        _ if version < newest => Finding::fine(SCHEMA, format!("version {version}; the next start brings it to version {newest}")),
        _ => Finding::wrong(
            SCHEMA,
            format!("version {version}, and this program knows versions up to {newest}"),
            "use the newer program, or a backup from before it",
        ),
    }
}

/// Whether data file and folder can be written; the folder by making a file in it, since that is what a server does.
fn writable(folder: &Path, file: &Path) -> Finding {
    // The nearest folder that is there: the first start makes the rest.
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let draft = there.join(format!(".carillon-doctor-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).open(&draft).and_then(|_| std::fs::remove_file(&draft));
    let opened = if file.exists() { OpenOptions::new().append(true).open(file).map(|_| ()) } else { Ok(()) };
    match made.and(opened) {
        Ok(()) => Finding::fine(WRITABLE, format!("{} can be written", there.display())),
        Err(error) => Finding::wrong(WRITABLE, format!("{} cannot be written ({error})", there.display()), mend_rights(there)),
    }
}

/// Free space on the folder's disk, for users that are not root.
fn room(folder: &Path) -> Option<Finding> {
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} free on the disk of {}", size(free), there.display());
    let mend = "make room, or lower retention.days; a campaign to a million people takes about 600 MB";
    Some(match free {
        _ if free < NEARLY_NONE_BYTES => Finding::wrong(DISK, found, mend),
        _ if free < LITTLE_BYTES => Finding::doubtful(DISK, found, mend),
        _ => Finding::fine(DISK, found),
    })
}

fn size(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

fn postgres(link: &crate::postgres::Connection) -> Result<(Vec<Finding>, Timestamp)> {
    let number: i64 = link.prepare("SELECT current_setting('server_version_num')::bigint")?.query_row(params![], |row| row.get(0))?;
    let theirs = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let theirs: i64 = link.prepare(theirs)?.query_row(params![], |row| row.get(0))?;
    let mut findings = Vec::new();
    let found = format!("PostgreSQL {} answers", number / 10_000);
    findings.push(if number < OLDEST_POSTGRES {
        Finding::wrong(DATABASE, found, "bring it to PostgreSQL 15 or later")
    } else {
        Finding::fine(DATABASE, found)
    });
    findings.push(match link.standing()? {
        Standing::Absent => Finding::fine(SCHEMA, "there are no tables yet; the first start makes them"),
        Standing::Filling => Finding::wrong(
            SCHEMA,
            "a migration or a restore into this database did not end",
            "run that again until it says that it is done",
        ),
        Standing::Whole => {
            let version: i64 = link.prepare("SELECT version FROM carillon_store")?.query_row(params![], |row| row.get(0))?;
            versioned(usize::try_from(version).unwrap_or(usize::MAX), Postgres::newest())
        }
    });
    let reads_only = "SELECT current_setting('transaction_read_only') = 'on' OR pg_is_in_recovery()";
    let reads_only: bool = link.prepare(reads_only)?.query_row(params![], |row| row.get(0))?;
    let may = "SELECT has_schema_privilege(current_schema(), 'CREATE')";
    let may: bool = link.prepare(may)?.query_row(params![], |row| row.get(0))?;
    findings.push(match (reads_only, may) {
        (true, _) => Finding::wrong(WRITABLE, "the database server only takes reads", "name the primary, not a standby"),
        (false, false) => Finding::wrong(WRITABLE, "the user may not make tables", "make the user the owner of the database"),
        (false, true) => Finding::fine(WRITABLE, "the user may write and make tables"),
    });
    Ok((findings, Timestamp(theirs)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::channel::Grade;

    fn grades(inspection: &Inspection) -> Vec<(&'static str, Grade)> {
        inspection.probe.findings.iter().map(|f| (f.step, f.grade)).collect()
    }

    #[test]
    fn a_store_is_looked_at_without_being_made_or_changed() {
        let folder = std::env::temp_dir().join(format!("carillon-inspect-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("carillon.db");
        assert_eq!(grades(&sqlite(&file))[..2], [(DATABASE, Grade::Fine), (WRITABLE, Grade::Fine)]);
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0, "nothing was made");
        drop(opening::open(&file).map_err(|e| e.to_string()).expect("a store"));
        let found = sqlite(&file);
        assert!(!found.in_use);
        assert_eq!(grades(&found)[..4], [LOCK, DATABASE, SCHEMA, WRITABLE].map(|step| (step, Grade::Fine)));
        let opened = opening::open(&file).map_err(|e| e.to_string()).expect("a store");
        let found = sqlite(&file);
        assert!(found.in_use && found.probe.findings[0].found.contains(&format!("process {}", std::process::id())), "{found:?}");
        opened.connection.pragma_update(None, "user_version", 99).expect("set");
        drop(opened);
        let found = sqlite(&file);
        let wrong: Vec<_> = found.probe.findings.iter().filter(|f| f.grade == Grade::Wrong).collect();
        assert!(wrong.len() == 1 && wrong[0].step == SCHEMA && wrong[0].found.contains("version 99"), "{wrong:?}");
        std::fs::write(&file, "no database at all, but long enough to be looked at as one").expect("written");
        assert!(grades(&sqlite(&file)).contains(&(DATABASE, Grade::Wrong)));
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_clock_is_ahead_only_beyond_the_time_that_asking_took() {
        assert_eq!(ahead(Timestamp(1_500), Timestamp(1_000), Timestamp(2_000)), 0);
        assert_eq!(ahead(Timestamp(9_000), Timestamp(1_000), Timestamp(2_000)), 7_000);
        assert_eq!(ahead(Timestamp(400), Timestamp(1_000), Timestamp(2_000)), -600);
    }
}
