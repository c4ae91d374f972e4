//! The writer: one thread that owns the connection. Jobs wait in four bounded queues and are taken in the order of their
//! lanes; what queued meanwhile is committed together, for at most about [`GROUP`]. Each job has a savepoint, so that a
//! refusal does not undo its neighbours, and is answered after the commit.

use super::WriteLane;
use super::checkpoint::Signal;
use crate::folder::FolderLock;
use crate::{Result, StoreError};
use model::{Clock, Timestamp};
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How long jobs are gathered into one transaction: what is committed lags by about this.
const GROUP: Duration = Duration::from_millis(5);

/// Jobs that may wait in each lane, urgent first; whoever comes then waits to be let in.
const ROOM: [usize; 4] = [1024, 256, 64, 16];

thread_local! {
    /// Pages in the log after the last commit of this thread: SQLite's hook can carry no state of its own.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
    /// Whether the transaction at hand changes what facts are read from.
    static FACTS_MOVED: Cell<bool> = const { Cell::new(false) };
}

/// Called by a job that changes people, devices or registrations.
pub(super) fn facts_moved() {
    FACTS_MOVED.set(true);
}

/// A job in a queue.
trait Job: Send {
    /// Runs it; answers how its savepoint ends.
    fn run(&mut self, connection: &Connection, now: Timestamp) -> Ran;
    /// Tells the caller: what the job answered, or why the commit failed.
    fn tell(self: Box<Self>, failed: Option<&StoreError>);
}

enum Ran {
    Done,
    Refused,
    /// The disk is full or fails: nothing of the group can be trusted to commit.
    Failing(StoreError),
}

struct Asked<T, F> {
    job: Option<F>,
    answer: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
    _room: OwnedSemaphorePermit,
}

impl<T: Send, F: FnOnce(&Connection, Timestamp) -> Result<T> + Send> Job for Asked<T, F> {
    fn run(&mut self, connection: &Connection, now: Timestamp) -> Ran {
        let Some(job) = self.job.take() else { return Ran::Refused };
        let answer = catch_unwind(AssertUnwindSafe(|| job(connection, now)))
            .unwrap_or_else(|_| Err(StoreError::Broken("a job of the writer panicked".into())));
        let ran = match &answer {
            Ok(_) => Ran::Done,
            Err(error @ StoreError::Unavailable(_)) => Ran::Failing(error.clone()),
            Err(_) => Ran::Refused,
        };
        self.answer = Some(answer);
        ran
    }

    fn tell(self: Box<Self>, failed: Option<&StoreError>) {
        let answer = match (failed, self.answer) {
            // What a job was refused for stands, whatever became of its neighbours.
            (_, Some(Err(error))) => Err(error),
            (Some(error), _) => Err(error.clone()),
            (None, Some(Ok(value))) => Ok(value),
            (None, None) => Err(StoreError::Broken("a job of the writer was not run".into())),
        };
        // Nobody listening any more is no fault: the work is committed all the same.
        let _ = self.reply.send(answer);
    }
}

#[derive(Default)]
struct Queues {
    lanes: [VecDeque<Box<dyn Job>>; 4],
    stop: bool,
}

impl Queues {
    fn first(&self) -> Option<usize> {
        self.lanes.iter().position(|lane| !lane.is_empty())
    }
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    facts_version: AtomicU64,
    wake: Condvar,
}

/// The thread and its queues.
pub(super) struct Writer {
    shared: Arc<Shared>,
    room: [Arc<Semaphore>; 4],
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts it. The lock on the folder is held until the last job is committed and the file is closed.
    pub fn start(connection: Connection, clock: Arc<dyn Clock>, signal: Arc<Signal>, lock: FolderLock) -> Result<Writer> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || {
            let _held = lock;
            rusqlite::vtab::array::load_module(&connection).expect("the module is built in");
            connection.wal_hook(Some(|_, pages| {
                LOG_PAGES.set(u32::try_from(pages).unwrap_or(0));
                Ok(())
            }));
            work(&connection, &theirs, &*clock, &signal);
            close(connection);
        });
        let thread = thread.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Writer { shared, room: ROOM.map(|n| Arc::new(Semaphore::new(n))), thread: Mutex::new(Some(thread)) })
    }

    /// Queues a job and waits for its commit.
    pub async fn write<T: Send + 'static>(
        &self,
        lane: WriteLane,
        job: impl FnOnce(&Connection, Timestamp) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let lane = lane as usize;
        let room = self.room[lane].clone().acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        {
            let mut queues = self.shared.queues.lock();
            if queues.stop {
                return Err(closed());
            }
            queues.lanes[lane].push_back(Box::new(Asked { job: Some(job), answer: None, reply, _room: room }));
        }
        self.shared.wake.notify_one();
        answer.await.unwrap_or_else(|_| Err(StoreError::Broken("the writer ended".into())))
    }

    /// Moves after each commit that changed what facts are read from, before its callers are answered.
    pub fn facts_version(&self) -> u64 {
        self.shared.facts_version.load(Ordering::Acquire)
    }

    /// Ends the thread after everything queued is committed.
    pub fn stop(&self) {
        self.shared.queues.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A thread that panicked has told so already, and there is nothing left to end.
            let _ = thread.join();
        }
    }
}

fn work(connection: &Connection, shared: &Shared, clock: &dyn Clock, signal: &Signal) {
    let mut last = Timestamp(i64::MIN);
    loop {
        {
            let mut queues = shared.queues.lock();
            while queues.first().is_none() {
                if queues.stop {
                    return;
                }
                shared.wake.wait(&mut queues);
            }
        }
        let gate = signal.gate();
        last = last.max(clock.now());
        let mut group = Vec::new();
        let failed = transaction(connection, shared, last, &mut group).err();
        if failed.is_some() && !connection.is_autocommit() {
            // Where even this fails the next BEGIN says so.
            let _ = connection.execute_batch("ROLLBACK");
        }
        parking_lot::MutexGuard::unlock_fair(gate);
        if FACTS_MOVED.replace(false) {
            shared.facts_version.fetch_add(1, Ordering::Release);
        }
        if let Some(error) = &failed {
            tracing::error!(%error, jobs = group.len(), "a transaction failed");
        }
        group.into_iter().for_each(|job| job.tell(failed.as_ref()));
        signal.committed(LOG_PAGES.get());
    }
}

/// One transaction. On an error nothing of it is committed.
fn transaction(connection: &Connection, shared: &Shared, now: Timestamp, group: &mut Vec<Box<dyn Job>>) -> Result<()> {
    let began = Instant::now();
    // A job is taken before anything can fail, so that a store that cannot begin answers instead of turning in circles.
    let mut next = take(shared, group, None);
    let begun = run(connection, "BEGIN IMMEDIATE");
    let mut urgent = false;
    while let Some((lane, mut job)) = next {
        urgent |= lane == WriteLane::Urgent as usize;
        if let Err(error) = &begun {
            group.push(job);
            return Err(error.clone());
        }
        let ran = attempt(connection, &mut *job, now);
        group.push(job);
        ran?;
        if began.elapsed() >= GROUP {
            break;
        }
        next = take(shared, group, urgent.then_some(WriteLane::Plan as usize));
    }
    run(connection, "COMMIT")
}

/// The next job of the best lane; lanes from `below` on are left for the next transaction, so that nobody who waits for
/// an answer waits for a campaign's page as well.
fn take(shared: &Shared, group: &[Box<dyn Job>], below: Option<usize>) -> Option<(usize, Box<dyn Job>)> {
    let mut queues = shared.queues.lock();
    let lane = queues.first()?;
    if !group.is_empty() && below.is_some_and(|below| lane >= below) {
        return None;
    }
    queues.lanes[lane].pop_front().map(|job| (lane, job))
}

fn attempt(connection: &Connection, job: &mut dyn Job, now: Timestamp) -> Result<()> {
    run(connection, "SAVEPOINT job")?;
    match job.run(connection, now) {
        Ran::Done => run(connection, "RELEASE job"),
        Ran::Failing(error) => Err(error),
        Ran::Refused => {
            run(connection, "ROLLBACK TO job")?;
            run(connection, "RELEASE job")
        }
    }
}

fn run(connection: &Connection, sql: &'static str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// The last checkpoint. What fails here is done at the next opening.
fn close(connection: Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log stays for the next start");
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "the data file was not closed in order");
    }
}
