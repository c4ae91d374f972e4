//! Read-only connections: a small pool, used on the runtime's blocking threads, each job in one read transaction.

use crate::{Result, StoreError};
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many questions are answered at the same time: more than cores, since some wait for the disk.
const READERS: usize = 4;

/// Page cache of one reader, in KiB. The system's own cache is behind it.
const READER_CACHE_KIB: i64 = 1024;

/// How many prepared statements a reader keeps.
const READER_STATEMENTS: usize = 128;

/// The pool.
pub(super) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    room: Arc<Semaphore>,
}

impl Readers {
    /// Opens every connection of the pool.
    pub fn open(file: &Path) -> Result<Readers> {
        let free = (0..READERS).map(|_| connect(file)).collect::<Result<Vec<_>>>()?;
        Ok(Readers { free: Arc::new(Mutex::new(free)), room: Arc::new(Semaphore::new(READERS)) })
    }

    /// Runs a job in a read transaction.
    pub async fn read<T: Send + 'static>(&self, job: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let permit = self.room.clone().acquire_owned().await.map_err(|_| closed())?;
        let connection = self.free.lock().pop().ok_or_else(closed)?;
        let lent = Lent { connection: Some(connection), home: self.free.clone(), permit };
        let answer = tokio::task::spawn_blocking(move || lent.run(job)).await;
        answer.unwrap_or_else(|_| Err(StoreError::Broken("a question to the store panicked".into())))
    }

    /// Closes the connections that are not in use; those in use are closed as they come home.
    pub fn close(&self) {
        self.room.close();
        self.free.lock().clear();
    }
}

/// A connection on loan; it goes home however the job ends.
struct Lent {
    connection: Option<Connection>,
    home: Arc<Mutex<Vec<Connection>>>,
    permit: tokio::sync::OwnedSemaphorePermit,
}

impl Lent {
    fn run<T>(&self, job: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.connection.as_ref().expect("a loan has its connection until it is dropped");
        connection.prepare_cached("BEGIN")?.execute([])?;
        let answer = job(connection);
        connection.prepare_cached("COMMIT")?.execute([])?;
        answer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // A job that panicked left its transaction open.
        let sound = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
        if sound && !self.permit.semaphore().is_closed() {
            self.home.lock().push(connection);
        }
    }
}

/// Opens a read-only connection.
pub(super) fn connect(file: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.set_prepared_statement_cache_capacity(READER_STATEMENTS);
    rusqlite::vtab::array::load_module(&connection)?;
    Ok(connection)
}
