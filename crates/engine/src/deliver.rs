//! Claims segments and has them carried. One loop for each channel and lane; a claimed segment is carried by a task of
//! its own (`carry`), a few at a time, so that the next one is loaded while this one is on the wire. A single urgent
//! notification has its own lane and never waits behind a campaign.

use crate::dispatch::{Planned, Read};
use crate::{Engine, carry};
use model::{Channel, ChannelKind, Lane, Outcome, Timestamp};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use store::{Claim, DueRow, FactsPage, Lease, PlannedRow};
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};

/// How long a claim lasts without renewal. Embedded, the lock on the data folder voids the claims of a predecessor, so
/// this only bounds a stuck worker.
pub(crate) const LEASE: Duration = Duration::from_secs(120);
/// A bell may be lost in a crash or between processes; this bounds the lateness.
const POLL: Duration = Duration::from_secs(1);
/// Campaign segments carried at once by a channel: enough to fill the windows of a provider that is 50 ms away, while some
/// are being loaded and others come to their end.
const BULK_AT_ONCE: usize = 12;
/// Urgent segments carried at once by a channel.
const URGENT_AT_ONCE: usize = 32;
/// How long a page of plan waits for room to be carried at once; then it goes into the store and is claimed later, so that
/// a slow provider does not hold up what goes by other channels.
const ROOM_WITHIN: Duration = Duration::from_millis(100);
/// Longest pause of a channel that is in trouble.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Pause of a channel whose key or configuration is refused: it takes a person to mend that.
const FAULT_PAUSE: Duration = Duration::from_secs(30);

/// Starts a channel's loops.
pub(crate) fn start(engine: &Engine, channel: Arc<dyn Channel>) {
    for (lane, at_once) in [(Lane::Urgent, URGENT_AT_ONCE), (Lane::Bulk, BULK_AT_ONCE)] {
        let inner = &engine.inner;
        inner.tasks.spawn_on(lane_loop(engine.clone(), channel.clone(), lane, at_once), &inner.sending);
    }
}

/// Rows that were planned a moment ago, and what they were planned from: while nothing of that has changed they are sent
/// from it, and not read again.
#[derive(Clone)]
pub(crate) struct Hand {
    rows: Arc<Vec<(ChannelKind, Vec<DueRow>)>>,
    read: Read,
}

impl Hand {
    /// Of a planned page, if its facts were read deep enough.
    pub(crate) fn of(planned: &Planned, now: Timestamp) -> Option<Hand> {
        let read = planned.read.clone()?;
        let mut rows: Vec<(ChannelKind, Vec<DueRow>)> = Vec::new();
        for row in planned.rows.iter().filter(|row| !row.state.is_final() && row.due <= now) {
            let due = DueRow {
                person: row.person,
                seq: row.seq,
                device: row.device,
                registration: row.registration,
                state: row.state,
                reason: row.reason,
                facts: row.facts,
                attempts: 0,
                due: row.due,
            };
            match rows.iter_mut().find(|(channel, _)| *channel == row.channel) {
                Some((_, of)) => of.push(due),
                None => rows.push((row.channel, vec![due])),
            }
        }
        Some(Hand { rows: Arc::new(rows), read })
    }

    /// A channel's rows with their facts, while these are true.
    pub(crate) fn loaded(&self, engine: &Engine, channel: ChannelKind) -> Option<(&[DueRow], &FactsPage)> {
        let true_now = engine.inner.store.facts_version() == self.read.version;
        let (_, rows) = self.rows.iter().find(|(of, _)| true_now && *of == channel)?;
        Some((rows, &self.read.facts))
    }
}

/// Carries claims that came with an acceptance, without a round through the loop.
pub(crate) fn carry_now(engine: &Engine, claims: Vec<Claim>, hand: Option<Hand>) {
    for claim in claims {
        spawn(engine, claim, hand.clone(), None);
    }
}

fn spawn(engine: &Engine, claim: Claim, hand: Option<Hand>, permit: Option<OwnedSemaphorePermit>) {
    let inner = &engine.inner;
    let Some(channel) = inner.channels.iter().find(|c| c.kind() == claim.channel) else {
        return tracing::warn!(channel = %claim.channel, "a segment of a channel that is not set up");
    };
    let carrying = carry::segment(engine.clone(), channel.clone(), claim, hand);
    let carried = async move {
        carrying.await;
        drop(permit);
    };
    inner.tasks.spawn_on(carried, &inner.sending);
}

/// Room for one campaign segment of a channel.
pub(crate) struct Place {
    /// Which.
    pub channel: ChannelKind,
    permit: OwnedSemaphorePermit,
}

/// Room for campaign segments of each channel, and whose turn it is to hand letters over. One at a time does: so letters
/// leave in long runs while the others wait for their answers, instead of each waking for one letter.
pub struct Rooms(HashMap<ChannelKind, (Arc<Semaphore>, tokio::sync::Mutex<()>)>);

impl Rooms {
    pub(crate) fn new(channels: &[Arc<dyn Channel>]) -> Rooms {
        Rooms(channels.iter().map(|channel| (channel.kind(), (Arc::new(Semaphore::new(BULK_AT_ONCE)), Mutex::default()))).collect())
    }

    fn of(&self, channel: ChannelKind) -> Option<&Arc<Semaphore>> {
        self.0.get(&channel).map(|(room, _)| room)
    }

    /// Waits for the turn to hand over a campaign's letters.
    pub(crate) async fn turn(&self, channel: ChannelKind) -> Option<MutexGuard<'_, ()>> {
        match self.0.get(&channel) {
            Some((_, turn)) => Some(turn.lock().await),
            None => None,
        }
    }
}

/// Waits a moment until a push channel has room for a campaign's segment: a page that is planned then can be carried at
/// once, from what was read for the plan. Answers whether there is room. A channel that is in trouble is not waited for.
pub(crate) async fn room(engine: &Engine) -> bool {
    let inner = &engine.inner;
    let now = engine.now();
    let open = |channel: &&ChannelKind| inner.pauses.until(**channel, now).is_none();
    let rooms: Vec<&Arc<Semaphore>> = ChannelKind::PUSH.iter().filter(open).filter_map(|channel| inner.rooms.of(*channel)).collect();
    if rooms.iter().any(|room| room.available_permits() > 0) {
        return true;
    }
    if rooms.is_empty() {
        return false;
    }
    let free = futures_util::future::select_all(rooms.into_iter().map(|room| Box::pin(room.acquire())));
    tokio::time::timeout(ROOM_WITHIN, free).await.is_ok()
}

/// Takes places for what is due of planned rows, where there is room.
pub(crate) fn places(engine: &Engine, rows: &[PlannedRow]) -> Vec<Place> {
    let inner = &engine.inner;
    let now = engine.now();
    let due = |channel: ChannelKind| rows.iter().any(|row| row.channel == channel && !row.state.is_final() && row.due <= now);
    let free = |channel: ChannelKind| {
        inner.rooms.of(channel).filter(|_| inner.pauses.until(channel, now).is_none())?.clone().try_acquire_owned().ok()
    };
    let channels = ChannelKind::PUSH.into_iter().filter(|channel| due(*channel));
    channels.filter_map(|channel| Some(Place { channel, permit: free(channel)? })).collect()
}

/// Carries claims that came with a page of plan, each in its place.
pub(crate) fn carry_placed(engine: &Engine, claims: Vec<Claim>, mut places: Vec<Place>, hand: Option<Hand>) {
    for claim in claims {
        let place = places.iter().position(|place| place.channel == claim.channel).map(|at| places.swap_remove(at));
        spawn(engine, claim, hand.clone(), place.map(|place| place.permit));
    }
}

async fn lane_loop(engine: Engine, channel: Arc<dyn Channel>, lane: Lane, at_once: usize) {
    let inner = &engine.inner;
    let kind = channel.kind();
    let room = match (lane, inner.rooms.of(kind)) {
        (Lane::Bulk, Some(room)) => room.clone(),
        (Lane::Bulk, None) | (Lane::Urgent, _) => Arc::new(Semaphore::new(at_once)),
    };
    let mut bell = inner.planned.bell();
    loop {
        let permit = tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            permit = room.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        if let Some(until) = inner.pauses.until(kind, engine.now()) {
            drop(permit);
            if wait(&engine, until.since(engine.now())).await { continue } else { return }
        }
        bell.hear();
        let lease = Lease { node: inner.node, until: engine.now().plus(engine.lease()) };
        let most = 1 + room.available_permits().min(at_once - 1);
        let claimed = inner.store.claim(vec![kind], lane, lease, u32::try_from(most).unwrap_or(1)).await;
        let (claims, next) = claimed.unwrap_or_else(|error| {
            tracing::error!(%error, channel = %kind, "segments cannot be claimed");
            (Vec::new(), None)
        });
        if claims.is_empty() {
            drop(permit);
            let nap = next.map_or(POLL, |at| at.since(engine.now()).min(POLL)).max(Duration::from_millis(1));
            tokio::select! {
                biased;
                () = inner.stop.cancelled() => return,
                () = bell.changed() => {}
                () = tokio::time::sleep(nap) => {}
            }
            continue;
        }
        let mut permits = Some(permit);
        for claim in claims {
            let permit = permits.take().or_else(|| room.clone().try_acquire_owned().ok());
            spawn(&engine, claim, None, permit);
        }
    }
}

/// Waits a while at most, since a pause may end early, and answers whether the engine goes on.
async fn wait(engine: &Engine, span: Duration) -> bool {
    tokio::select! {
        biased;
        () = engine.inner.stop.cancelled() => false,
        () = tokio::time::sleep(span.min(POLL)) => true,
    }
}

/// Channels in trouble. After an outcome that concerns the whole channel nothing is claimed for a while; so a provider
/// that is down is asked now and then, not a million times, and the backlog is paced afterwards.
#[derive(Default)]
pub struct Pauses {
    /// Each channel, by its number.
    channels: RwLock<[Trial; CHANNELS]>,
    /// When each last worked; in milliseconds, 0 for never.
    worked: [AtomicI64; CHANNELS],
}

/// Channels have smaller numbers.
const CHANNELS: usize = 8;

/// What this process knows of a channel.
#[derive(Default)]
enum Trial {
    #[default]
    NotTried,
    Works,
    Trouble(Pause),
}

struct Pause {
    until: Timestamp,
    strikes: u32,
    outcome: Outcome,
}

impl Pauses {
    /// Until when the channel rests, if it does.
    pub fn until(&self, channel: ChannelKind, now: Timestamp) -> Option<Timestamp> {
        match &self.channels.read()[index(channel)] {
            Trial::Trouble(pause) => Some(pause.until).filter(|until| *until > now),
            Trial::NotTried | Trial::Works => None,
        }
    }

    /// What put the channel to rest, while it rests.
    pub fn outcome(&self, channel: ChannelKind, now: Timestamp) -> Option<Outcome> {
        match &self.channels.read()[index(channel)] {
            Trial::Trouble(pause) if pause.until > now => Some(pause.outcome.clone()),
            Trial::Trouble(_) | Trial::NotTried | Trial::Works => None,
        }
    }

    /// `None` when the channel was not tried yet, else its trouble: strikes in a row, and the last outcome.
    pub fn trouble(&self, channel: ChannelKind) -> Option<Option<(u32, Outcome)>> {
        match &self.channels.read()[index(channel)] {
            Trial::NotTried => None,
            Trial::Works => Some(None),
            Trial::Trouble(pause) => Some(Some((pause.strikes, pause.outcome.clone()))),
        }
    }

    /// When the channel last worked.
    pub fn last_success(&self, channel: ChannelKind) -> Option<Timestamp> {
        let worked = self.worked[index(channel)].load(Ordering::Relaxed);
        (worked != 0).then_some(Timestamp(worked))
    }

    /// Takes note of trouble; answers how many times in a row, or `None` while the channel rests already.
    pub fn strike(&self, channel: ChannelKind, outcome: &Outcome, now: Timestamp) -> Option<u32> {
        let trial = &mut self.channels.write()[index(channel)];
        let strikes = match trial {
            Trial::Trouble(pause) if pause.until > now => return None,
            Trial::Trouble(pause) => pause.strikes + 1,
            Trial::NotTried | Trial::Works => 1,
        };
        let usual = Duration::from_secs(1 << strikes.min(6).saturating_sub(1));
        let span = match outcome {
            Outcome::OurFault(_) => FAULT_PAUSE,
            Outcome::TryLater { after: Some(after), .. } => usual.max(*after),
            _ => usual,
        };
        *trial = Trial::Trouble(Pause { until: now.plus(span.min(LONGEST_PAUSE)), strikes, outcome: outcome.clone() });
        Some(strikes)
    }

    /// The channel works; answers whether that is news: it was in trouble, or this process had not seen it work yet (an
    /// alarm may be left from before a restart).
    pub fn works(&self, channel: ChannelKind, now: Timestamp) -> bool {
        self.worked[index(channel)].store(now.0, Ordering::Relaxed);
        let known = matches!(self.channels.read()[index(channel)], Trial::Works);
        !known && !matches!(std::mem::replace(&mut self.channels.write()[index(channel)], Trial::Works), Trial::Works)
    }
}

fn index(channel: ChannelKind) -> usize {
    usize::from(channel.number())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Cause;

    #[test]
    fn pauses_double_up_to_a_minute_and_end_with_the_first_success() {
        let pauses = Pauses::default();
        let down = Outcome::TryLater { after: None, cause: Cause::of_channel("connection_refused", 0) };
        let mut now = Timestamp(0);
        let mut spans = Vec::new();
        for _ in 0..8 {
            assert!(pauses.strike(ChannelKind::Apns, &down, now).is_some());
            assert_eq!(pauses.strike(ChannelKind::Apns, &down, now), None, "it rests already");
            let until = pauses.until(ChannelKind::Apns, now).expect("it rests");
            spans.push(until.since(now).as_secs());
            now = until;
        }
        assert_eq!(spans, [1, 2, 4, 8, 16, 32, 32, 32]);
        assert!(pauses.works(ChannelKind::Apns, now) && !pauses.works(ChannelKind::Apns, now));
        assert_eq!(pauses.until(ChannelKind::Apns, now), None);
    }
}
