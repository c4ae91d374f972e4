//! The seam between one process and the store: every call goes through here. Here calls are slow, fail, lose their answer,
//! are cut off, and here processes crash: before a call is done or after. The work itself is done by the real store in
//! SQLite, to its end, while nothing else happens. What the store does not have, because it has one process, stands in
//! `cluster`: what several processes tell each other, as the store in PostgreSQL does it.

mod cluster;
mod directory;
mod ledger;
mod outbox;

use crate::invariant::Invariant;
use crate::process::Process;
use crate::world::World;
use model::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::{Result, Shared, StoreError};

/// Calls that change nothing; those to claim and to plan say themselves whether they found something.
const READS: [&str; 48] = [
    "entries",
    "entries_about",
    "head",
    "alias",
    "groups_of",
    "sunk",
    "watch",
    "objects",
    "object",
    "object_named",
    "objects_linked",
    "object_keyed",
    "objects_left",
    "objects_due",
    "next_due",
    "file",
    "people_with_phone",
    "settings",
    "settings_at",
    "standing",
    "published",
    "claim",
    "unplanned",
    "load",
    "event",
    "event_by_id",
    "events",
    "counts",
    "audience_page",
    "in_audience",
    "deliveries_of",
    "deliveries",
    "received",
    "recent_pushes",
    "inbox",
    "inbox_since",
    "inbox_head",
    "facts",
    "directory_version",
    "memberships",
    "person",
    "find_people",
    "find_groups",
    "group",
    "device",
    "registrations",
    "owners_of",
    "answered",
];

/// The store, as one process sees it.
pub struct Seam {
    /// Which process.
    pub process: Arc<Process>,
    /// The real one.
    pub store: Shared,
}

impl Seam {
    fn world(&self) -> &World {
        &self.process.world
    }

    /// One call. `seen` is what the world sees of it, at the moment in which it is done.
    async fn call<T>(
        &self,
        verb: &'static str,
        work: impl Future<Output = Result<T>> + Send,
        seen: impl FnOnce(&Result<T>) + Send,
    ) -> Result<T> {
        self.before(verb).await?;
        self.process.tick();
        let answer = self.world().run(work);
        self.world().state().between.writes += u64::from(!READS.contains(&verb));
        seen(&answer);
        self.after(verb).await?;
        answer
    }

    /// One call of which the world need not know more than that it was made.
    async fn pass<T>(&self, verb: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.call(verb, work, |_| ()).await
    }

    async fn before(&self, verb: &'static str) -> Result<()> {
        self.maybe_crash(verb, "before").await;
        let now = self.process.tick();
        let (delay, fails) = {
            let state = &mut *self.world().state();
            if state.circles(now) {
                let what = format!("p{} turns in circles: {verb}", self.process.number);
                state.breach(now, Invariant::NoCircles, None, what);
                // The run is over; nothing of it may keep the time from passing.
                state.faults.calm = true;
                self.process.crash_in.store(0, Ordering::SeqCst);
            }
            let faults = state.faults.clone();
            let delay = if state.chance.happens(faults.slow_calls) { state.chance.between(1, 900) } else { 0 };
            (delay, state.chance.happens(faults.failed_calls))
        };
        if delay > 0 {
            self.sleep(delay).await;
        }
        self.while_cut(verb).await?;
        if fails {
            self.hurt(verb, "fails");
            return Err(StoreError::Unavailable("a fault of the simulation".into()));
        }
        Ok(())
    }

    async fn after(&self, verb: &'static str) -> Result<()> {
        self.maybe_crash(verb, "after").await;
        let lost = {
            let state = &mut *self.world().state();
            let in_million = state.faults.lost_answers;
            state.chance.happens(in_million)
        };
        if lost {
            self.hurt(verb, "is done and its answer lost");
            return Err(StoreError::Unavailable("the connection was lost (a fault of the simulation)".into()));
        }
        Ok(())
    }

    fn hurt(&self, verb: &str, how: &str) {
        let now = self.process.tick();
        self.process.trouble(now);
        self.world().note(None, &format!("p{}: {verb} {how}", self.process.number));
    }

    async fn maybe_crash(&self, verb: &str, when: &str) {
        if !self.process.is_dead()
            && self.process.crash_in.load(Ordering::SeqCst) >= 0
            && self.process.crash_in.fetch_sub(1, Ordering::SeqCst) == 0
        {
            self.process.tick();
            self.process.die(&format!("{when} {verb}"));
        }
        if self.process.is_dead() {
            self.process.rest_in_peace().await;
        }
    }

    async fn while_cut(&self, verb: &str) -> Result<()> {
        if !self.process.is_cut() {
            return Ok(());
        }
        let mut patience = self.world().state().chance.between(100, 4_000);
        while self.process.is_cut() {
            if patience <= 0 {
                self.hurt(verb, "finds no store");
                return Err(StoreError::Unavailable("the store cannot be reached (a fault of the simulation)".into()));
            }
            patience -= 50;
            self.sleep(50).await;
        }
        Ok(())
    }

    async fn sleep(&self, ms: i64) {
        tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())).await;
        self.process.tick();
        if self.process.is_dead() {
            self.process.rest_in_peace().await;
        }
    }

    /// The moment by the store's clock that lies as far ahead as `until` lies by the caller's.
    fn until(&self, until: Timestamp) -> Timestamp {
        if !self.process.shared {
            return until;
        }
        let offset = self.process.offset_ms.load(Ordering::SeqCst);
        let callers = Timestamp(self.world().now().0 + offset);
        self.world().now().plus(until.since(callers))
    }
}
