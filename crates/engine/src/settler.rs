//! One writer of outcomes. Workers hand in what became of rows; this loop commits whatever queued while the last commit
//! ran, so what is committed lags what was answered by one commit. While the store cannot write, outcomes wait here and
//! sending stops by back-pressure: nothing that was answered is forgotten.

use crate::{Engine, alarms};
use model::SegmentKey;
use parking_lot::{Mutex, RwLock};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use store::Settle;
use tokio::sync::mpsc;

/// Most settlements of one commit (DESIGN §2: about 1,000 outcomes).
const BATCH: usize = 1_000;
/// Most settlements that wait for a commit; with the window on the wire it bounds what a crash can send again.
const QUEUE: usize = 1_000;
/// While outcomes stream in, a commit waits this long for more of them: a few large commits cost far less than many small
/// ones, and what is committed still lags by no more than about 5 ms.
const GATHER: Duration = Duration::from_millis(4);
/// A commit of at least this many says that outcomes stream in; below it the next one is not kept waiting.
const STREAM: usize = 64;
/// Wait before a failed commit is tried again; telling of it takes no longer.
const AGAIN: Duration = Duration::from_millis(500);

/// The queue of settlements.
pub struct Settler {
    queue: mpsc::Sender<Settle>,
    taken: Mutex<Option<mpsc::Receiver<Settle>>>,
    lost: RwLock<HashSet<SegmentKey>>,
}

impl Settler {
    pub(crate) fn new() -> Settler {
        let (queue, taken) = mpsc::channel(QUEUE);
        Settler { queue, taken: Mutex::new(Some(taken)), lost: RwLock::default() }
    }

    /// Hands in one settlement; waits while the queue is full.
    pub async fn put(&self, settle: Settle) {
        // The receiver lives as long as the engine's loops; at the very end of a stop there is nobody left to tell.
        let _ = self.queue.send(settle).await;
    }

    /// Whether the claim on this segment was lost to another process.
    pub fn is_lost(&self, segment: SegmentKey) -> bool {
        self.lost.read().contains(&segment)
    }

    /// Claims on these segments were lost to another process.
    pub(crate) fn lose(&self, segments: Vec<SegmentKey>) {
        if !segments.is_empty() {
            self.lost.write().extend(segments);
        }
    }

    /// The segment was claimed anew.
    pub fn claimed(&self, segment: SegmentKey) {
        if self.is_lost(segment) {
            self.lost.write().remove(&segment);
        }
    }
}

/// The loop. Ends when the engine stops and every worker has handed in its last.
pub(crate) async fn run(engine: Engine) {
    let Some(mut queue) = engine.inner.settler.taken.lock().take() else { return };
    let mut batch = Vec::with_capacity(BATCH);
    let mut streaming = false;
    // An alarm may be left from before a restart: the first commit ends it.
    let mut sound = false;
    loop {
        let received = tokio::select! {
            biased;
            n = queue.recv_many(&mut batch, BATCH) => n,
            () = idle_and_stopping(&engine) => 0,
        };
        if received == 0 {
            return;
        }
        if streaming && batch.len() < BATCH {
            tokio::time::sleep(GATHER).await;
            while batch.len() < BATCH
                && let Ok(more) = queue.try_recv()
            {
                batch.push(more);
            }
        }
        streaming = batch.len() >= STREAM;
        sound &= commit(&engine, std::mem::take(&mut batch)).await;
        if !sound && !engine.inner.stop.is_cancelled() {
            alarms::clear(&engine, alarms::STORE).await;
        }
        sound = true;
    }
}

/// Resolves when the engine stops and only this loop is left.
async fn idle_and_stopping(engine: &Engine) {
    engine.inner.stop.cancelled().await;
    while engine.inner.tasks.len() > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Commits a batch, however often it takes; answers whether it went at once.
async fn commit(engine: &Engine, batch: Vec<Settle>) -> bool {
    let inner = &engine.inner;
    let mut at_once = true;
    metrics::histogram!("carillon_settle_batch_rows").record(batch.len() as f64);
    let batch: Arc<[Settle]> = batch.into();
    loop {
        match inner.store.settle(batch.clone()).await {
            Ok(settled) => {
                crate::watch::settled(&batch);
                if !settled.lost.is_empty() {
                    metrics::counter!("carillon_claims_lost_total").increment(settled.lost.len() as u64);
                    tracing::warn!(segments = settled.lost.len(), "claims were lost to another process");
                    inner.settler.lose(settled.lost);
                }
                if !settled.done.is_empty() {
                    inner.cards.forget(&settled.done);
                    let mut cancelled = inner.cancelled.write();
                    settled.done.iter().for_each(|event| {
                        cancelled.remove(event);
                    });
                }
                if settled.next_due.is_some() {
                    inner.planned.notify_one();
                }
                return at_once;
            }
            Err(error) => {
                at_once = false;
                tracing::error!(%error, rows = batch.len(), "outcomes cannot be written; they wait");
                let detail = format!("outcomes cannot be written: {error}; free space, or mend the disk or the database");
                let told = tokio::time::timeout(AGAIN, alarms::raise(engine, alarms::STORE, &detail));
                let (_, ()) = tokio::join!(told, tokio::time::sleep(AGAIN));
                if inner.stop.is_cancelled() && inner.tasks.len() <= 1 {
                    return false;
                }
            }
        }
    }
}
