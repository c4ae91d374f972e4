//! Encryption beside the sending thread. Agreeing on a key costs more than everything else that a letter needs, so the
//! letters of a campaign are encrypted by threads of their own, one for each core, while the sending thread sends.

use super::seal::{self, Keys, Unusable};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Most threads: a core encrypts 15,000 to 20,000 messages a second, more than one sending thread sends.
const MOST_THREADS: usize = 4;

/// One message to encrypt.
struct Job {
    plain: Bytes,
    keys: Keys,
    sealed: oneshot::Sender<Result<Bytes, Unusable>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

/// The threads. They end when this is dropped.
pub(super) struct Sealers(Arc<Shared>);

impl Sealers {
    /// Starts them; `None` when the system gives no thread.
    pub(super) fn start() -> Option<Sealers> {
        let sealers = Sealers(Arc::default());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let started = (0..cores.min(MOST_THREADS)).filter(|_| {
            let shared = sealers.0.clone();
            std::thread::Builder::new().name("sealing".into()).spawn(move || work(&shared)).is_ok()
        });
        (started.count() > 0).then_some(sealers)
    }

    /// Encrypts as soon as a thread is free. The queue is as long as there is room for letters, which is bounded.
    pub(super) fn seal(&self, plain: Bytes, keys: Keys) -> oneshot::Receiver<Result<Bytes, Unusable>> {
        let (sealed, later) = oneshot::channel();
        self.0.queue.lock().jobs.push_back(Job { plain, keys, sealed });
        self.0.filled.notify_one();
        later
    }
}

impl Drop for Sealers {
    fn drop(&mut self) {
        self.0.queue.lock().closed = true;
        self.0.filled.notify_all();
    }
}

fn work(shared: &Shared) {
    while let Some(Job { plain, keys, sealed }) = next(shared) {
        // Whoever waited may have gone; then nobody needs it.
        let _ = sealed.send(seal::seal(&plain, &keys));
    }
}

fn next(shared: &Shared) -> Option<Job> {
    let mut queue = shared.queue.lock();
    loop {
        if queue.closed {
            return None;
        }
        match queue.jobs.pop_front() {
            Some(job) if job.sealed.is_closed() => {}
            Some(job) => return Some(job),
            None => shared.filled.wait(&mut queue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fakes::push_service::Browser;

    #[tokio::test]
    async fn everything_that_is_handed_in_comes_back_sealed_and_the_threads_end() {
        let browser = Browser::generate();
        let keys = Keys::parse(&browser.p256dh(), &browser.auth()).expect("keys");
        let sealers = Sealers::start().expect("threads");
        let waiting: Vec<_> = (0..100).map(|n| (n, sealers.seal(Bytes::from(format!("number {n}")), keys.clone()))).collect();
        for (n, sealed) in waiting {
            let body = sealed.await.expect("sealed").expect("good keys");
            assert_eq!(browser.open(&body), Some(format!("number {n}").into_bytes()));
        }
        let shared = Arc::downgrade(&sealers.0);
        drop(sealers);
        for _ in 0..200 {
            if shared.strong_count() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the threads live on");
    }
}
