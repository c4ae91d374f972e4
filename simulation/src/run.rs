//! One run of a seed: builds the house, lets processes live slice by slice in an order that the seed decides, brings
//! faults and errands, then lets everything come to rest and judges.

use crate::between::Between;
use crate::calls::Calls;
use crate::chance::Chance;
use crate::errands::Errands;
use crate::faults::Faults;
use crate::house::{House, NAME};
use crate::invariant::Breach;
use crate::judgement;
use crate::planted::Plant;
use crate::process::{Life, Process, WallClock};
use crate::provider::{Providers, SimulatedChannel};
use crate::seam::Seam;
use crate::trace::Trace;
use crate::truth::Truth;
use crate::world::{State, StoreClock, World};
use engine::keys::Keys;
use engine::{Duties, Engine, Parts};
use model::{Channel, ChannelKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::Shared;
use store::sqlite::Sqlite;

/// Channels of every process.
const CHANNELS: [ChannelKind; 3] = [ChannelKind::Apns, ChannelKind::Fcm, ChannelKind::Email];
/// After the last expiry everything must have ended within this.
const REST_MS: i64 = 120_000;
/// After the last fault everything must have ended within this, however long it is worth telling: the longest wait for a retry, twice.
const CALM_MS: i64 = 1_800_000;
/// Within this after the last leg every call must have been told.
const TELLING_MS: i64 = 60_000;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Decides everything.
    pub seed: u64,
    /// Virtual hours in which errands and faults happen.
    pub hours: f64,
    /// The planted bug.
    pub plant: Option<Plant>,
    /// Print everything.
    pub aloud: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The first breach.
    pub breach: Option<Breach>,
    /// Equal for equal runs.
    pub hash: u64,
    /// How many things happened.
    pub events: u64,
    /// Accepted events.
    pub accepted: usize,
    /// Rows that were judged.
    pub rows: u64,
    /// Letters that left.
    pub letters: u64,
    /// Letters that a provider took again after a fault.
    pub repeats: u64,
    /// Lives of processes.
    pub lives: usize,
    /// Virtual seconds.
    pub seconds: i64,
}

struct Slot {
    life: Option<Life>,
    starts_ms: i64,
}

struct Run {
    world: Arc<World>,
    store: Shared,
    chance: Chance,
    slots: Vec<Slot>,
    lives: usize,
    shared: bool,
    scratch: PathBuf,
}

/// Runs an order.
///
/// # Panics
/// When the machine has no room for a small database.
pub fn run(order: Order) -> Report {
    let storing = tokio::runtime::Builder::new_multi_thread().worker_threads(1).max_blocking_threads(2).build();
    let storing = storing.expect("a runtime for the store");
    let folder = Folder::new(order.seed);
    let mut chance = Chance::new(order.seed);
    let nodes = *chance.one_of(&[1, 1, 2, 3, 3, 4, 5]);
    let shared = nodes > 1;
    let state = State {
        faults: Faults::draw(&mut chance, shared),
        chance: chance.fork(),
        trace: Trace::new(order.aloud),
        breach: None,
        truth: Truth::default(),
        between: Between::default(),
        providers: Providers::default(),
    };
    let world = World::new(state, order.plant, storing.handle().clone());
    let store = world.run(Sqlite::open(&folder.0.join("carillon.db"), Arc::new(StoreClock(world.clone()))));
    let store: Shared = Arc::new(store.expect("a fresh store"));
    let house = House::build(&world, &store, &mut chance);
    {
        let state = &mut *world.state();
        state.truth.skew_ms = if state.faults.clock_every_s > 0 { 2 * state.faults.clock_off_ms } else { 0 };
        state.truth.policy(0, "limits.group_sends_per_hour", None);
        let line = format!("seed {}: {nodes} processes, {} people, {:?}", order.seed, house.people.len(), state.faults);
        state.trace.note(0, None, &line);
    }
    let slots = (0..nodes).map(|n| Slot { life: None, starts_ms: n * 40 }).collect();
    let mut run = Run { world, store, chance: chance.fork(), slots, lives: 0, shared, scratch: folder.0.clone() };
    let errands = Errands::new(chance.fork(), house.clone());
    run.storm((order.hours * 3_600_000.0) as i64, errands, Calls::new(chance.fork(), house.clone()));
    run.rest();
    let (world, store) = (run.world.clone(), run.store.clone());
    let rows = judgement::judge(&world, &store, &house, run.engine());
    run.report(rows)
}

impl Run {
    /// Errands and faults, up to a moment; afterwards who was not answered still asks again for a while.
    fn storm(&mut self, until_ms: i64, mut errands: Errands, mut calls: Calls) {
        let mut next = [0; 5];
        while self.world.now_ms() < until_ms + 60_000 && self.world.state().breach.is_none() {
            let calm = self.world.now_ms() >= until_ms;
            if calm && !self.world.state().faults.calm {
                self.heal();
            }
            if !calm {
                self.faults(&mut next);
            }
            let lives: Vec<&Life> = self.slots.iter().filter_map(|slot| slot.life.as_ref()).collect();
            errands.run(&self.world, &lives, !calm);
            calls.run(&self.world, &lives, !calm);
            let slice = *self.chance.one_of(if calm { &[50, 100] } else { &[1, 5, 20, 20, 40, 80] });
            self.slice(slice);
        }
    }

    /// Without faults, until every call is told and every event is done.
    fn rest(&mut self) {
        let calm_ms = self.world.now_ms();
        let told_ms = calm_ms + if self.world.state().truth.calls.is_empty() { 0 } else { TELLING_MS };
        while self.world.now_ms() < told_ms && self.world.state().breach.is_none() {
            self.slice(250);
        }
        while self.world.state().breach.is_none() {
            let open = judgement::open_events(&self.world, &self.store);
            let Some(last_expiry_ms) = open else { return };
            if self.world.now_ms() > last_expiry_ms.min(calm_ms + CALM_MS) + REST_MS {
                return judgement::not_ended(&self.world, &self.store);
            }
            for _ in 0..10 {
                self.slice(250);
            }
        }
    }

    fn heal(&mut self) {
        let now = self.world.now_ms();
        let state = &mut *self.world.state();
        state.faults = Faults { calm: true, ..Faults::NONE };
        state.providers.recover();
        state.trace.note(now, None, "faults end");
        for slot in &mut self.slots {
            slot.starts_ms = slot.starts_ms.min(now + 1_000);
            let Some(life) = &mut slot.life else { continue };
            life.paused_until_ms = life.paused_until_ms.min(now);
            life.process.cut_until_ms.store(0, Ordering::SeqCst);
            life.process.crash_in.store(-1, Ordering::SeqCst);
            if life.process.offset_ms.swap(0, Ordering::SeqCst) != 0 {
                life.process.trouble(now);
            }
        }
    }

    /// Everybody lives for a moment, one after another.
    fn slice(&mut self, ms: i64) {
        let from = self.world.now_ms();
        self.deliver_rings(from);
        let mut order: Vec<usize> = (0..self.slots.len()).collect();
        for place in (1..order.len()).rev() {
            order.swap(place, self.chance.below(place as u64 + 1) as usize);
        }
        for place in order {
            self.start_if_due(place, from);
            let slot = &mut self.slots[place];
            let Some(life) = &mut slot.life else { continue };
            if life.paused_until_ms <= from {
                life.live_until(from, from + ms);
            }
            if life.process.is_dead()
                && let Some(life) = slot.life.take()
            {
                life.end();
                slot.starts_ms = from + self.chance.between(200, 20_000);
            }
        }
        self.world.reach(from + ms);
    }

    fn deliver_rings(&mut self, now: i64) {
        let due: Vec<_> = {
            let rings = &mut self.world.state().between.rings;
            let due = rings.iter().filter(|(at, ..)| *at <= now).copied().collect();
            rings.retain(|(at, ..)| *at > now);
            due
        };
        for (_, from, wake) in due {
            for life in self.slots.iter().filter_map(|slot| slot.life.as_ref()).filter(|life| life.process.number != from) {
                // Nobody listens yet, or any more.
                let _ = life.process.wakes.send(wake);
            }
        }
    }

    fn start_if_due(&mut self, place: usize, now: i64) {
        if self.slots[place].life.is_some() || self.slots[place].starts_ms > now {
            return;
        }
        let off = {
            let state = &mut *self.world.state();
            // Alone on its store a process has the store's clock.
            let most = if self.shared && state.faults.clock_every_s > 0 { state.faults.clock_off_ms } else { 0 };
            self.chance.between(-most, most)
        };
        let process = Process::new(self.world.clone(), self.lives, self.shared, off);
        self.lives += 1;
        self.world.note(None, &format!("p{} starts, its clock {off} ms off", process.number));
        let life = Life::begin(process.clone());
        let channels = CHANNELS.map(|kind| Arc::new(SimulatedChannel { process: process.clone(), kind }) as Arc<dyn Channel>);
        let parts = Parts {
            messenger: None,
            files_follow: false,
            store: Arc::new(Seam { process: process.clone(), store: self.store.clone() }),
            channels: channels.into(),
            sources: sources::all(),
            clock: Arc::new(WallClock(process.clone())),
            keys: Keys::new(vec![[7; 32]]),
            organization: NAME.into(),
            scratch: self.scratch.clone(),
            duties: Duties::ALL,
            node: process.uuid,
            predecessor: None,
            sending: Some(life.handle()),
        };
        life.handle().spawn(async move {
            match Engine::start(parts).await {
                Ok((engine, _)) => *process.engine.lock() = Some(engine),
                Err(refusal) => process.die(&format!("because it cannot start: {}", refusal.code)),
            }
        });
        self.slots[place].life = Some(life);
    }

    /// Brings the faults that are due.
    fn faults(&mut self, next: &mut [i64; 5]) {
        let now = self.world.now_ms();
        let faults = self.world.state().faults.clone();
        let often = [faults.crash_every_s, faults.pause_every_s, faults.cut_every_s, faults.clock_every_s, faults.mood_every_s];
        for (kind, every_s) in often.into_iter().enumerate().filter(|(_, s)| *s > 0) {
            if next[kind] == 0 {
                next[kind] = now + self.chance.between(1_000, every_s * 1_000);
            }
            if now < next[kind] {
                continue;
            }
            next[kind] = now + self.chance.between(every_s * 200, every_s * 2_000);
            if kind == 4 {
                let channel = *self.chance.one_of(&CHANNELS);
                let mood = self.world.state().providers.turn(channel, &mut self.chance);
                self.world.note(None, &format!("{channel} is {mood:?} now"));
            } else {
                self.fault(kind, now, faults.clock_off_ms);
            }
        }
    }

    fn fault(&mut self, kind: usize, now: i64, off_ms: i64) {
        let place = self.chance.below(self.slots.len() as u64) as usize;
        let span = *self.chance.one_of(&[300, 1_000, 3_000, 9_000, 14_000, 30_000]) + self.chance.between(0, 900);
        let Some(life) = &mut self.slots[place].life else { return };
        let process = life.process.clone();
        match kind {
            0 if self.chance.below(4) == 0 => stop(life),
            0 => process.crash_in.store(self.chance.between(0, 30), Ordering::SeqCst),
            1 => {
                self.world.note(None, &format!("p{} stands still for {span} ms", process.number));
                life.paused_until_ms = now + span;
                process.trouble(now + span);
            }
            2 => {
                self.world.note(None, &format!("p{} is cut off for {span} ms", process.number));
                process.cut_until_ms.store(now + span, Ordering::SeqCst);
                process.trouble(now + span);
            }
            _ if self.shared => {
                let off = self.chance.between(-off_ms, off_ms);
                self.world.note(None, &format!("the clock of p{} is set {off} ms off", process.number));
                process.offset_ms.store(off, Ordering::SeqCst);
                process.trouble(now);
            }
            _ => {}
        }
    }

    fn engine(&mut self) -> Option<(Engine, &mut Life)> {
        let life = self.slots.iter_mut().filter_map(|slot| slot.life.as_mut()).find(|life| life.process.engine.lock().is_some())?;
        let engine = life.process.engine.lock().clone()?;
        Some((engine, life))
    }

    fn report(mut self, rows: u64) -> Report {
        for slot in &mut self.slots {
            if let Some(life) = slot.life.take() {
                life.end();
            }
        }
        let state = &mut *self.world.state();
        // Letters know their processes, and these the world: the circle is opened here.
        let truth = std::mem::take(&mut state.truth);
        Report {
            breach: state.breach.clone(),
            hash: state.trace.hash(),
            events: state.trace.events(),
            accepted: truth.events.len(),
            rows,
            letters: state.providers.letters,
            repeats: truth.repeats,
            lives: self.lives,
            seconds: self.world.now_ms() / 1_000,
        }
    }
}

/// Stops a process in order, as a new version is put in its place.
fn stop(life: &Life) {
    let process = life.process.clone();
    let Some(engine) = process.engine.lock().clone() else { return };
    process.world.note(None, &format!("p{} is told to stop", process.number));
    life.handle().spawn(async move {
        if !engine.stop(Duration::from_secs(15)).await {
            process.trouble(process.tick());
        }
        process.die("no more: it stopped in order");
    });
}

/// A folder that goes with the run. In memory, where the system has such a place.
struct Folder(PathBuf);

impl Folder {
    fn new(seed: u64) -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let memory = PathBuf::from("/dev/shm");
        let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let name = format!("carillon-simulation-{}-{seed}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let folder = place.join(name);
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
