//! What is true of the embedded store alone: its lock, its versions, its writer, its statements.

use super::{Sqlite, WriteLane, audit, ledger, objects, once, opening, outbox};
use crate::conformance::StoryClock;
use crate::{Ledger, Result, StoreError};
use model::{Clock, Timestamp};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// A folder for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("carillon-sqlite-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        Folder(std::env::temp_dir().join(name))
    }

    fn file(&self) -> PathBuf {
        self.0.join("carillon.db")
    }

    async fn open(&self) -> Result<Sqlite> {
        Sqlite::open(&self.file(), Arc::new(StoryClock::default())).await
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn runtime_test<F: Future<Output = ()>>(test: F) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime").block_on(test);
}

async fn put(store: &Sqlite, key: &'static str) -> Result<()> {
    store.write(WriteLane::Urgent, move |c, _| Ok(c.execute("INSERT INTO setting VALUES (1, ?1, '1')", [key]).map(|_| ())?)).await
}

async fn keys(store: &Sqlite) -> Vec<String> {
    let read = store.read(|c| {
        let mut select = c.prepare("SELECT key FROM setting ORDER BY key")?;
        let rows = select.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    });
    read.await.expect("settings can be read")
}

#[test]
fn every_statement_is_prepared() {
    let connection = Connection::open_in_memory().expect("a store in memory");
    for migration in opening::MIGRATIONS {
        connection.execute_batch(migration).expect("the schema is made");
    }
    let rooms = [&ledger::STATEMENTS, &once::STATEMENTS, &objects::STATEMENTS, &audit::STATEMENTS, &super::watch::STATEMENTS];
    let all = outbox::STATEMENTS.iter().chain(rooms).flat_map(|some| some.iter());
    let mut prepared = 0;
    for sql in all {
        connection.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        prepared += 1;
    }
    assert!(prepared > 80, "{prepared} statements are too few");
}

#[test]
fn a_claim_uses_the_index_and_a_look_up_of_one_person_is_a_search() {
    let connection = Connection::open_in_memory().expect("a store in memory");
    opening::MIGRATIONS.iter().for_each(|migration| connection.execute_batch(migration).expect("the schema is made"));
    for sql in outbox::STATEMENTS.iter().flat_map(|some| some.iter()).filter(|sql| !sql.starts_with("INSERT")) {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a plan");
        let mut steps = plan.raw_query();
        while let Some(step) = steps.next().expect("a step") {
            let step: String = step.get(3).expect("its words");
            // Only what waits is ever walked whole, and only at a start: claims to void, faults of ours to try again.
            let at_start = *sql == opening::VOID_CLAIMS || sql.contains("n.reason = 28");
            assert!(!step.starts_with("SCAN") || at_start || step == "SCAN CONSTANT ROW", "{step}: {sql}");
        }
    }
}

#[test]
fn a_second_opener_is_refused_and_told_who_has_the_folder() {
    runtime_test(async {
        let folder = Folder::new();
        let first = folder.open().await.expect("the first");
        let Err(StoreError::Unavailable(why)) = folder.open().await else { panic!("two writers on one file") };
        assert!(why.contains(&format!("process {}", std::process::id())), "{why}");
        assert!(why.contains(&folder.0.display().to_string()), "{why}");
        drop(first);
        folder.open().await.expect("the lock goes with its holder");
    });
}

#[test]
fn a_newer_store_and_a_foreign_file_are_refused_and_left_alone() {
    runtime_test(async {
        let folder = Folder::new();
        folder.open().await.expect("made").close().await.expect("closed");
        let file = Connection::open(folder.file()).expect("opened");
        file.pragma_update(None, "user_version", 99).expect("set");
        drop(file);
        let Err(StoreError::Broken(why)) = folder.open().await else { panic!("a newer store was opened") };
        assert!(why.contains("version 99") && why.contains("newer program"), "{why}");
        let other = Folder::new();
        std::fs::create_dir_all(&other.0).expect("a folder");
        Connection::open(other.file()).and_then(|c| c.execute_batch("CREATE TABLE theirs (x)")).expect("a foreign file");
        let Err(StoreError::Broken(why)) = other.open().await else { panic!("a foreign file was opened") };
        assert!(why.contains("another program"), "{why}");
    });
}

#[test]
fn a_refused_or_panicking_job_undoes_itself_alone() {
    runtime_test(async {
        let folder = Folder::new();
        let store = folder.open().await.expect("opened");
        let bad = |panics: bool| {
            store.write(WriteLane::Urgent, move |c, _| -> Result<()> {
                c.execute("INSERT INTO setting VALUES (1, 'bad', '1')", [])?;
                if panics { panic!("as the test wants it") } else { Err(StoreError::NotFound) }
            })
        };
        let (a, b, c, d) = tokio::join!(put(&store, "a"), bad(true), bad(false), put(&store, "b"));
        assert!(matches!((a, b, c, d), (Ok(()), Err(StoreError::Broken(_)), Err(StoreError::NotFound), Ok(()))));
        assert_eq!(keys(&store).await, ["a", "b"]);
        let question = store.read(|_| -> Result<()> { panic!("as the test wants it") }).await;
        assert!(matches!(question, Err(StoreError::Broken(_))));
        for _ in 0..9 {
            assert_eq!(keys(&store).await.len(), 2, "no reader was lost");
        }
    });
}

#[test]
fn a_full_disk_refuses_the_whole_group_and_the_writer_goes_on() {
    runtime_test(async {
        let folder = Folder::new();
        let store = folder.open().await.expect("opened");
        let (begun, wait) = std::sync::mpsc::channel::<()>();
        let pages: i64 = store.read(|c| Ok(c.query_row("PRAGMA page_count", [], |row| row.get(0))?)).await.expect("pages");
        let limit = async |pages: i64| {
            let set =
                store.write(WriteLane::Urgent, move |c, _| Ok(c.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?));
            set.await.expect("the limit is set");
        };
        limit(pages + 4).await;
        // Holds the writer until all are queued, so that they are one group.
        let hold = store.write(WriteLane::Urgent, move |_, _| Ok(wait.recv().is_ok()));
        let fill =
            store.write(WriteLane::Urgent, |c, _| Ok(c.execute("INSERT INTO setting VALUES (1, 'big', hex(zeroblob(200000)))", [])?));
        let go = async { begun.send(()) };
        let (_, small, full, late, _) = tokio::join!(hold, put(&store, "small"), fill, put(&store, "late"), go);
        assert!(matches!(full, Err(StoreError::Unavailable(_))), "{full:?}");
        assert_eq!(keys(&store).await.contains(&"small".to_owned()), small.is_ok(), "an answer is what was committed");
        assert_eq!(keys(&store).await.contains(&"late".to_owned()), late.is_ok());
        limit(1 << 30).await;
        put(&store, "after").await.expect("the writer goes on");
    });
}

#[test]
fn lanes_are_served_in_their_order_and_bulk_work_waits_for_nobody_urgent() {
    runtime_test(async {
        let folder = Folder::new();
        let store = folder.open().await.expect("opened");
        let order = Arc::new(Mutex::new(Vec::new()));
        let (begun, wait) = std::sync::mpsc::channel::<()>();
        let hold = store.write(WriteLane::Urgent, move |_, _| Ok(wait.recv().is_ok()));
        let job = |lane: WriteLane| {
            let order = order.clone();
            store.write(lane, move |_, now| {
                order.lock().push(lane);
                Ok(now)
            })
        };
        let lanes = [WriteLane::Import, WriteLane::Plan, WriteLane::Settle, WriteLane::Urgent];
        let [a, b, c, d] = lanes.map(job);
        let go = async { begun.send(()) };
        let (held, ..) = tokio::join!(hold, a, b, c, d, go);
        assert!(held.expect("held"));
        assert_eq!(*order.lock(), [WriteLane::Urgent, WriteLane::Settle, WriteLane::Plan, WriteLane::Import]);
    });
}

#[test]
fn closing_finishes_what_is_queued_and_empties_the_log() {
    runtime_test(async {
        let folder = Folder::new();
        let store = folder.open().await.expect("opened");
        let queued: Vec<_> = (0..200)
            .map(|n| {
                let store = store.clone();
                let insert = move |c: &Connection, _| Ok(c.execute("INSERT INTO setting VALUES (1, ?1, '1')", [n])?);
                tokio::spawn(async move { store.write(WriteLane::Plan, insert).await })
            })
            .collect();
        for job in queued {
            job.await.expect("a task ends").expect("queued before the end");
        }
        store.close().await.expect("closed");
        assert!(matches!(put(&store, "late").await, Err(StoreError::Unavailable(_))));
        assert!(matches!(store.ensure_tenant("x", Uuid::nil()).await, Err(StoreError::Unavailable(_))));
        assert!(matches!(store.settings(model::TenantKey(1)).await, Err(StoreError::Unavailable(_))));
        let log = std::fs::metadata(folder.0.join("carillon.db-wal")).map_or(0, |meta| meta.len());
        assert_eq!(log, 0);
        let again = folder.open().await.expect("a closed store gave its lock back");
        assert_eq!(keys(&again).await.len(), 200);
    });
}

#[test]
fn what_was_answered_is_in_the_files_as_they_lie() {
    runtime_test(async {
        let folder = Folder::new();
        let store = folder.open().await.expect("opened");
        put(&store, "a").await.expect("committed");
        // The files as a crash at this moment would leave them.
        let crashed = Folder::new();
        std::fs::create_dir_all(&crashed.0).expect("a folder");
        for name in ["carillon.db", "carillon.db-wal"] {
            std::fs::copy(folder.0.join(name), crashed.0.join(name)).expect("copied");
        }
        assert_eq!(keys(&crashed.open().await.expect("recovered")).await, ["a"]);
    });
}

#[test]
fn a_long_log_is_emptied_while_writing_goes_on() {
    runtime_test(async {
        let folder = Folder::new();
        let store = folder.open().await.expect("opened");
        for _ in 0..200 {
            let write = |c: &Connection, _| {
                c.execute("INSERT OR REPLACE INTO setting VALUES (1, 'big', hex(zeroblob(300000)))", [])?;
                Ok(())
            };
            store.write(WriteLane::Plan, write).await.expect("written");
        }
        // 120 MB went through it.
        let log = std::fs::metadata(folder.0.join("carillon.db-wal")).expect("the log").len();
        assert!(log < 100 << 20, "{log} bytes");
    });
}

/// A clock that jumps back.
struct Jumping(AtomicI64);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_sub(1_000, Ordering::SeqCst))
    }
}

#[test]
fn the_writers_time_never_goes_back_and_is_one_per_commit() {
    runtime_test(async {
        let folder = Folder::new();
        let store = Sqlite::open(&folder.file(), Arc::new(Jumping(AtomicI64::new(1_000_000)))).await.expect("opened");
        let mut last = Timestamp(0);
        for _ in 0..5 {
            let now = store.write(WriteLane::Urgent, |_, now| Ok(now)).await.expect("told");
            assert!(now >= last);
            last = now;
        }
        let (begun, wait) = std::sync::mpsc::channel::<()>();
        let hold = store.write(WriteLane::Urgent, move |_, now| Ok((wait.recv().is_ok(), now)));
        let one = store.write(WriteLane::Urgent, |_, now| Ok(now));
        let go = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            begun.send(())
        };
        let (held, one, _) = tokio::join!(hold, one, go);
        assert!(one.expect("told") >= held.expect("held").1);
    });
}
