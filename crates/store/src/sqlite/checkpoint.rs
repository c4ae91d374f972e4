//! Moves the write-ahead log into the data file, on a connection and thread of its own, so that no commit pays for it.
//!
//! The usual step is passive: it waits for nobody. Under a campaign the writer appends faster than a passive step can
//! catch up with, so a long log is finished with the writer held at its gate for the moment that the last pages take.

use crate::{Result, StoreError};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The log's size on disk after it was emptied is at most this, and a log that is longer is emptied with the writer
/// held. Readers that last keep it longer than this.
pub(super) const WAL_BOUND_BYTES: i64 = 64 * 1024 * 1024;

/// Pages in the log from which a passive step is worth its two syncs: 4 MiB.
const PASSIVE_PAGES: u32 = 1_000;

/// Pages in the log from which the writer is held for a moment so that the log begins anew: 16 MiB.
const RESTART_PAGES: u32 = 4_000;

/// Pages in the log from which the file is cut as well.
const TRUNCATE_PAGES: u32 = (WAL_BOUND_BYTES / 4096) as u32;

/// How long the writer may be held while readers of old pages end.
const HOLD: Duration = Duration::from_millis(20);

/// Rest after a step, so that a log that cannot shrink is not walked all the time.
const REST: Duration = Duration::from_millis(50);

/// What the writer and the checkpoint thread tell each other.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<Asked>,
    wake: Condvar,
    gate: Mutex<()>,
}

#[derive(Default)]
struct Asked {
    pages: u32,
    stop: bool,
}

impl Signal {
    /// After a commit: how many pages the log has.
    pub fn committed(&self, pages: u32) {
        if pages >= PASSIVE_PAGES {
            self.state.lock().pages = pages;
            self.wake.notify_one();
        }
    }

    /// The writer passes here before each transaction and holds the guard until it is committed.
    pub fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock()
    }
}

/// The thread.
pub(super) struct Checkpoint {
    signal: Arc<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Checkpoint {
    /// Starts it.
    pub fn start(file: &Path) -> Result<Checkpoint> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(HOLD)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_size_limit", WAL_BOUND_BYTES)?;
        connection.pragma_update(None, "cache_size", -256)?;
        let signal = Arc::new(Signal::default());
        let theirs = signal.clone();
        let thread = std::thread::Builder::new().name("store-checkpoint".into()).spawn(move || work(&connection, &theirs));
        let thread = thread.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Checkpoint { signal, thread: Mutex::new(Some(thread)) })
    }

    /// What the writer is given.
    pub fn signal(&self) -> Arc<Signal> {
        self.signal.clone()
    }

    /// Ends the thread; the writer makes the last checkpoint itself.
    pub fn stop(&self) {
        self.signal.state.lock().stop = true;
        self.signal.wake.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A thread that panicked has told so already, and there is nothing left to end.
            let _ = thread.join();
        }
    }
}

fn work(connection: &Connection, signal: &Signal) {
    loop {
        let pages = {
            let mut asked = signal.state.lock();
            while asked.pages == 0 && !asked.stop {
                signal.wake.wait(&mut asked);
            }
            if asked.stop {
                return;
            }
            std::mem::take(&mut asked.pages)
        };
        if let Err(error) = step(connection, signal, pages) {
            tracing::warn!(%error, "the write-ahead log could not be moved into the data file");
        }
        let mut asked = signal.state.lock();
        if !asked.stop {
            signal.wake.wait_for(&mut asked, REST);
        }
    }
}

fn step(connection: &Connection, signal: &Signal, pages: u32) -> rusqlite::Result<()> {
    run(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
    if pages < RESTART_PAGES {
        return Ok(());
    }
    let _gate = signal.gate.lock();
    run(connection, if pages < TRUNCATE_PAGES { "PRAGMA wal_checkpoint(RESTART)" } else { "PRAGMA wal_checkpoint(TRUNCATE)" })
}

/// Answers nothing: that a reader was in the way is no fault, the next step comes.
fn run(connection: &Connection, pragma: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(pragma)?.query_row([], |_| Ok(()))
}
