//! What processes that share a store tell each other through it: beats, roles, streams, the log of memberships, who holds
//! which claim. The embedded store has none of this; here it stands beside it, as the store in PostgreSQL keeps it.

use crate::world::State;
use model::{DeviceKey, EventKey, SegmentKey, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use store::{MemberChange, Wake};
use uuid::Uuid;

/// A claim as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Its fencing number.
    pub generation: i64,
    /// By whom; `None` once it was released or voided.
    pub by: Option<Uuid>,
    /// Until when, in virtual milliseconds.
    pub until_ms: i64,
}

/// What is told.
#[derive(Default)]
pub struct Neighbourhood {
    /// Until when each process lives.
    pub beats: BTreeMap<Uuid, i64>,
    /// Who has each role, until when.
    pub roles: BTreeMap<String, (Uuid, i64)>,
    /// Open streams by process.
    pub streams: BTreeSet<(DeviceKey, Uuid)>,
    /// Each change of memberships with the version that it led to.
    pub member_log: Vec<(i64, Vec<MemberChange>)>,
    /// Every claim that was ever made.
    pub claims: BTreeMap<SegmentKey, Held>,
    /// Cancelled events that are not done.
    pub cancelled: BTreeSet<EventKey>,
    /// Events by their place in the inbox.
    pub published: BTreeMap<i64, EventKey>,
    /// Grows with every call that may have changed something.
    pub writes: u64,
    /// How often the store was asked in this millisecond.
    pub asked: (i64, u32),
    /// What polls found nothing, after how many writes, and when there is something at the earliest: until one of the two
    /// moves they would find nothing again, and the store is not asked.
    pub idle: BTreeMap<(u8, bool), (u64, Option<Timestamp>)>,
    /// What stands, after how many writes.
    pub stands: Option<(u64, i64, i64)>,
    /// Hints on their way: when they arrive, from which process, what.
    pub rings: Vec<(i64, usize, Wake)>,
}

impl Neighbourhood {
    /// What a poll that found nothing would find: the same, as long as nothing moved.
    pub fn still_idle(&self, poll: (u8, bool), now: Timestamp) -> Option<Option<Timestamp>> {
        let (writes, next) = self.idle.get(&poll)?;
        (*writes == self.writes && next.is_none_or(|next| next > now)).then_some(*next)
    }

    /// A poll found nothing.
    pub fn is_idle(&mut self, poll: (u8, bool), next: Option<Timestamp>) {
        self.idle.insert(poll, (self.writes, next));
    }

    /// Whether a process lives.
    pub fn lives(&self, process: Uuid, now_ms: i64) -> bool {
        self.beats.get(&process).is_some_and(|until| *until > now_ms)
    }
}

/// More questions than that in one millisecond are a circle.
const CIRCLE: u32 = 4_000;

impl State {
    /// The store is asked once more; answers whether that is once too often.
    pub fn circles(&mut self, now_ms: i64) -> bool {
        let (at, count) = self.common.asked;
        self.common.asked = if at == now_ms { (at, count + 1) } else { (now_ms, 1) };
        self.common.asked.1 > CIRCLE
    }

    /// A process tells the others; the hint may be lost, late or doubled.
    pub fn ring(&mut self, from: usize, wake: Wake, now_ms: i64) {
        let bad = if self.faults.calm { 0 } else { self.faults.lost_wakes };
        if self.chance.happens(bad) {
            return;
        }
        let copies = 1 + u64::from(self.chance.happens(bad));
        for _ in 0..copies {
            let late = if self.chance.happens(bad) { self.chance.between(10, 3_000) } else { 1 };
            self.common.rings.push((now_ms + late, from, wake));
        }
    }
}
