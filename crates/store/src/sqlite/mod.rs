//! The embedded store: one SQLite file in a folder of its own.
//!
//! One thread owns the only connection that writes (`writer`); it takes jobs in the order of their lanes and commits what
//! queued meanwhile together. A few read-only connections answer questions (`readers`), and one more moves the
//! write-ahead log into the file (`checkpoint`). An exclusive lock on the folder says that nobody else writes, so that
//! claims of a predecessor are void at opening (`opening`).

mod alone;
mod audit;
mod checkpoint;
pub(crate) mod columns;
pub(crate) mod directory;
pub(crate) mod export;
mod facts;
pub(crate) mod import;
mod ledger;
mod objects;
pub(crate) mod once;
pub(crate) mod opening;
mod outbox;
mod readers;
#[cfg(test)]
mod tests;
pub(crate) mod watch;
mod writer;

use crate::{Result, StoreError};
use model::{Clock, Timestamp};
use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which queue of the writer a job waits in. Lanes are served in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WriteLane {
    /// Somebody waits for the answer.
    Urgent,
    /// What became of deliveries.
    Settle,
    /// Pages of plan, and other steps of a walk.
    Plan,
    /// Steps of an import.
    Import,
}

impl WriteLane {
    /// Its word, for metrics.
    fn word(self) -> &'static str {
        match self {
            WriteLane::Urgent => "urgent",
            WriteLane::Settle => "settle",
            WriteLane::Plan => "plan",
            WriteLane::Import => "import",
        }
    }
}

/// The embedded store. A clone is another handle on the same; the last one that goes closes the file.
#[derive(Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
    /// The act that edits through this handle are.
    told: Option<Arc<crate::audit::Told>>,
}

/// Fields are dropped in this order: the writer ends before the lock on the folder goes.
struct Inner {
    writer: writer::Writer,
    checkpoint: checkpoint::Checkpoint,
    readers: readers::Readers,
    file: PathBuf,
    clock: Arc<dyn Clock>,
}

impl Sqlite {
    /// Opens the data file, or makes it, brings it to the version of this program and voids the claims of earlier
    /// processes.
    ///
    /// # Errors
    /// `Unavailable` when another process has the folder (its number is named) or the file cannot be opened;
    /// `Broken` when it is not a data file of this program or one of a newer version.
    pub async fn open(file: &Path, clock: Arc<dyn Clock>) -> Result<Sqlite> {
        let file = file.to_owned();
        let opened = tokio::task::spawn_blocking(move || Sqlite::open_now(file, clock)).await;
        let store = opened.unwrap_or_else(|_| Err(StoreError::Broken("opening the store was interrupted".into())))?;
        import::recover(&store).await?;
        Ok(store)
    }

    fn open_now(file: PathBuf, clock: Arc<dyn Clock>) -> Result<Sqlite> {
        let opening::Opened { connection, lock } = opening::open(&file)?;
        let readers = readers::Readers::open(&file)?;
        let checkpoint = checkpoint::Checkpoint::start(&file)?;
        let writer = writer::Writer::start(connection, clock.clone(), checkpoint.signal(), lock)?;
        Ok(Sqlite { inner: Arc::new(Inner { writer, checkpoint, readers, file, clock }), told: None })
    }

    /// The newest version of the tables.
    pub fn newest() -> usize {
        opening::MIGRATIONS.len()
    }

    /// Finishes what is queued, moves the log into the file and closes it. Later calls on any handle answer
    /// `Unavailable`.
    ///
    /// # Errors
    /// `Broken` when the writer could not end in order; what it had committed stays committed.
    pub async fn close(&self) -> Result<()> {
        let inner = self.inner.clone();
        let closed = tokio::task::spawn_blocking(move || {
            inner.checkpoint.stop();
            inner.writer.stop();
            inner.readers.close();
        });
        closed.await.map_err(|_| StoreError::Broken("closing the store was interrupted".into()))
    }

    /// Runs a job on the writer. It answers after the commit; an error undoes this job alone. In the urgent lane the entry of
    /// the act that this handle was told of is part of the job. All jobs of one commit see
    /// the same time, which never goes back.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        lane: WriteLane,
        job: impl FnOnce(&Connection, Timestamp) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let began = std::time::Instant::now();
        let answer = match self.told.clone().filter(|_| lane == WriteLane::Urgent) {
            None => self.inner.writer.write(lane, job).await,
            Some(told) => {
                let both = move |c: &Connection, now| job(c, now).and_then(|done| crate::audit::append(c, &told, now).map(|()| done));
                self.inner.writer.write(lane, both).await
            }
        };
        metrics::histogram!("carillon_store_write_seconds", "lane" => lane.word()).record(began.elapsed().as_secs_f64());
        answer
    }

    /// A handle that was told of nothing, and what this one was told of: for a verb of many steps.
    pub(crate) fn apart(&self) -> (Sqlite, Option<Arc<crate::audit::Told>>) {
        (Sqlite { inner: self.inner.clone(), told: None }, self.told.clone())
    }

    /// As [`Sqlite::write`], for somebody who waits, and for a job that changes what facts are read from.
    pub(crate) async fn write_facts<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection, Timestamp) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write(WriteLane::Urgent, move |c, now| job(c, now).inspect(|_| writer::facts_moved())).await
    }

    /// Runs a job in one read transaction on one of the read-only connections.
    pub(crate) async fn read<T: Send + 'static>(&self, job: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        self.inner.readers.read(job).await
    }

    /// Now, by the clock that was handed in at opening. Jobs of the writer are given their time instead.
    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// A read-only connection of one's own, for work that lasts (an export): it does not take one from the pool.
    pub(crate) fn reader(&self) -> Result<Connection> {
        readers::connect(&self.inner.file)
    }

    /// The data file; what belongs to the store on disk stands beside it.
    pub(crate) fn file(&self) -> &Path {
        &self.inner.file
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.checkpoint.stop();
        self.writer.stop();
    }
}

impl From<rusqlite::Error> for StoreError {
    /// A full or failing disk passes: `Unavailable`. Everything else is a fault of ours or a damaged file.
    fn from(error: rusqlite::Error) -> StoreError {
        let passes = matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::CannotOpen
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::ReadOnly
                    | ErrorCode::OutOfMemory
            )
        );
        if passes { StoreError::Unavailable(error.to_string()) } else { StoreError::Broken(error.to_string()) }
    }
}
