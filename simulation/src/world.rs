//! The world of one run: its time, its chance, its faults, and what is true in it. Everything happens on one thread, in
//! one order that the seed decides.

use crate::chance::Chance;
use crate::faults::Faults;
use crate::invariant::{Breach, Invariant};
use crate::neighbourhood::Neighbourhood;
use crate::planted::Plant;
use crate::provider::Providers;
use crate::trace::Trace;
use crate::truth::Truth;
use model::{Clock, DeliveryId, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// When every run begins: 2027-01-15T08:00:00Z.
pub const EPOCH_MS: i64 = 1_800_000_000_000;

/// One run's world.
pub struct World {
    now_ms: AtomicI64,
    storing: tokio::runtime::Handle,
    state: Mutex<State>,
    /// The planted bug, if there is one.
    pub plant: Option<Plant>,
}

/// What changes in it.
pub struct State {
    /// Decides about faults.
    pub chance: Chance,
    /// Which faults there are, and how often.
    pub faults: Faults,
    /// What happened.
    pub trace: Trace,
    /// The first breach; the run ends with it.
    pub breach: Option<Breach>,
    /// What is true, whatever the engines believe.
    pub truth: Truth,
    /// What processes tell each other through the store.
    pub common: Neighbourhood,
    /// The other side.
    pub providers: Providers,
}

impl World {
    /// A new one. `storing` runs what the store does in threads of its own.
    pub fn new(state: State, plant: Option<Plant>, storing: tokio::runtime::Handle) -> Arc<World> {
        Arc::new(World { now_ms: AtomicI64::new(0), storing, state: Mutex::new(state), plant })
    }

    /// What changes; held for a moment.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Virtual milliseconds since the start.
    pub fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    /// Brings the time up to this; it never goes back.
    pub fn reach(&self, ms: i64) -> i64 {
        self.now_ms.fetch_max(ms, Ordering::SeqCst).max(ms)
    }

    /// The store's time.
    pub fn now(&self) -> Timestamp {
        Timestamp(EPOCH_MS + self.now_ms())
    }

    /// Notes what happened.
    pub fn note(&self, of: Option<DeliveryId>, what: &str) {
        let at = self.now_ms();
        self.state().trace.note(at, of, what);
    }

    /// Notes a breach; the first one counts.
    pub fn breach(&self, invariant: Invariant, delivery: Option<DeliveryId>, what: String) {
        let at = self.now_ms();
        self.state().breach(at, invariant, delivery, what);
    }

    /// Whether a bug is planted.
    pub fn has(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }

    /// Does work of the real store to its end, while nothing else happens and no virtual time passes.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let _inside = self.storing.enter();
        let mut work = pin!(tokio::task::unconstrained(work));
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match work.as_mut().poll(&mut context) {
                Poll::Ready(done) => return done,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

impl State {
    /// Notes a breach; the first one counts.
    pub fn breach(&mut self, at_ms: i64, invariant: Invariant, delivery: Option<DeliveryId>, what: String) {
        if self.breach.is_none() {
            let before = self.trace.last_of(delivery);
            self.breach = Some(Breach { invariant, at_ms, what, delivery, before });
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The store's clock: the world's.
pub struct StoreClock(pub Arc<World>);

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}
