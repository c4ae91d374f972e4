//! One life of a process: from its start to its end or its crash. It has a runtime of its own with virtual time, so that
//! it can stand still, be cut off, have a wrong clock, and be killed between any two steps: killing drops the runtime with
//! every task in it.

use crate::world::{EPOCH_MS, World};
use engine::Engine;
use model::{Clock, Timestamp};
use parking_lot::Mutex;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use store::Wake;
use tokio::sync::broadcast;
use tokio::time::Instant;
use uuid::Uuid;

/// How long after a trouble its consequences may show: the longest lease, and a little.
pub const AFTERMATH_MS: i64 = 25_000;

/// A process that is further behind than this was stopped; timers end on whole milliseconds.
const LAG: Duration = Duration::from_millis(2);

/// What is known of a process from outside.
pub struct Process {
    /// Where it lives.
    pub world: Arc<World>,
    /// Which of the lives of this run, from 0.
    pub number: usize,
    /// Its name in leases.
    pub uuid: Uuid,
    /// Whether others share the store.
    pub shared: bool,
    base: Mutex<Option<(Instant, i64)>>,
    /// How far its clock is off.
    pub offset_ms: AtomicI64,
    dead: AtomicBool,
    /// Calls of the store until it crashes; negative for never.
    pub crash_in: AtomicI64,
    /// Cut off from the store until then.
    pub cut_until_ms: AtomicI64,
    /// When trouble of its own last ended.
    pub trouble_ms: AtomicI64,
    /// Moves when letters that wait are called back.
    pub recalls: AtomicU64,
    /// Its own changes of the directory.
    pub moves: AtomicU64,
    /// The version of the memberships that it saw first.
    pub first_version: AtomicI64,
    /// Where hints of the others come in.
    pub wakes: broadcast::Sender<Wake>,
    /// The engine, once it runs.
    pub engine: Mutex<Option<Engine>>,
}

impl Process {
    /// A process that is about to start.
    pub fn new(world: Arc<World>, number: usize, shared: bool, offset_ms: i64) -> Arc<Process> {
        Arc::new(Process {
            world,
            number,
            uuid: Uuid::from_u128(0xCA71_1103 << 64 | (number as u128 + 1)),
            shared,
            base: Mutex::new(None),
            offset_ms: AtomicI64::new(offset_ms),
            dead: AtomicBool::new(false),
            crash_in: AtomicI64::new(-1),
            cut_until_ms: AtomicI64::new(0),
            trouble_ms: AtomicI64::new(i64::MIN),
            recalls: AtomicU64::new(0),
            moves: AtomicU64::new(0),
            first_version: AtomicI64::new(-1),
            wakes: broadcast::channel(64).0,
            engine: Mutex::new(None),
        })
    }

    /// Brings the world's time up to where this process is; answers it. Only inside its runtime.
    pub fn tick(&self) -> i64 {
        match *self.base.lock() {
            Some((instant, ms)) => {
                let passed = Instant::now().saturating_duration_since(instant);
                self.world.reach(ms + i64::try_from(passed.as_millis()).unwrap_or(0))
            }
            None => self.world.now_ms(),
        }
    }

    /// Whether it crashed.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// It crashes here: nothing of it happens any more.
    pub fn die(&self, why: &str) {
        if !self.dead.swap(true, Ordering::SeqCst) {
            self.world.note(None, &format!("p{} crashes {why}", self.number));
        }
    }

    /// What a dead process does.
    pub async fn rest_in_peace(&self) {
        pending::<()>().await;
    }

    /// Notes trouble that ends then.
    pub fn trouble(&self, until_ms: i64) {
        self.trouble_ms.fetch_max(until_ms, Ordering::SeqCst);
    }

    /// Whether something that it did then may have gone wrong through no fault of the engine.
    pub fn was_in_trouble_since(&self, ms: i64) -> bool {
        self.is_dead() || self.trouble_ms.load(Ordering::SeqCst).saturating_add(AFTERMATH_MS) >= ms
    }

    /// Whether it is cut off.
    pub fn is_cut(&self) -> bool {
        self.world.now_ms() < self.cut_until_ms.load(Ordering::SeqCst)
    }
}

/// A process's wall clock.
pub struct WallClock(pub Arc<Process>);

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp(EPOCH_MS + self.0.tick() + self.0.offset_ms.load(Ordering::SeqCst))
    }
}

/// The runtime of a process.
pub struct Life {
    /// Whose.
    pub process: Arc<Process>,
    runtime: tokio::runtime::Runtime,
    /// It stands still until then.
    pub paused_until_ms: i64,
}

impl Life {
    /// Begins one, at the world's time.
    pub fn begin(process: Arc<Process>) -> Life {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without network needs nothing of the system");
        let now = process.world.now_ms();
        let instant = runtime.block_on(async { Instant::now() });
        *process.base.lock() = Some((instant, now));
        Life { process, runtime, paused_until_ms: 0 }
    }

    /// The runtime's handle.
    pub fn handle(&self) -> tokio::runtime::Handle {
        self.runtime.handle().clone()
    }

    /// Lets it live up to a moment. After a pause, which ended at `from_ms`, its timers find that much time has passed at
    /// once, as they do in a process that was stopped.
    pub fn live_until(&mut self, from_ms: i64, ms: i64) {
        let (start, base_ms) = self.process.base.lock().expect("set when the life began");
        let after = |ms: i64| Duration::from_millis((ms - base_ms).max(0).unsigned_abs());
        self.runtime.block_on(async {
            let behind = (start + after(from_ms)).saturating_duration_since(Instant::now());
            if behind > LAG {
                tokio::time::advance(behind).await;
            }
            tokio::time::sleep_until(start + after(ms)).await;
        });
        self.process.world.reach(ms);
    }

    /// Does something inside it, to its end; virtual time may pass.
    pub fn inside<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Its end: every task is dropped where it is.
    pub fn end(self) {
        self.process.die("(ended)");
        *self.process.engine.lock() = None;
        self.runtime.shutdown_background();
    }
}
