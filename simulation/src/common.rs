//! What processes that share a store tell each other through it: beats, roles, streams, the log of memberships, who holds
//! which claim. The embedded store has none of this; here it stands beside it, as the store in PostgreSQL keeps it.

use crate::world::State;
use model::{DeviceKey, EventKey, SegmentKey};
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
pub struct Common {
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
    /// Hints on their way: when they arrive, from which process, what.
    pub rings: Vec<(i64, usize, Wake)>,
}

impl Common {
    /// Whether a process lives.
    pub fn lives(&self, process: Uuid, now_ms: i64) -> bool {
        self.beats.get(&process).is_some_and(|until| *until > now_ms)
    }
}

impl State {
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
