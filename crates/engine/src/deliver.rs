//! Claims segments and has them carried. One loop for each channel and lane; a claimed segment is carried by a task of
//! its own (`carry`), a few at a time, so that the next one is loaded while this one is on the wire. A single urgent
//! notification has its own lane and never waits behind a campaign.

use crate::{Engine, carry};
use model::{Channel, ChannelKind, Lane, Outcome, Timestamp};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Claim, Lease};
use tokio::sync::Semaphore;

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

/// Carries claims that came with an acceptance, without a round through the loop.
pub(crate) fn carry_now(engine: &Engine, claims: Vec<Claim>) {
    for claim in claims {
        match engine.inner.channels.iter().find(|c| c.kind() == claim.channel) {
            Some(channel) => {
                let carrying = carry::segment(engine.clone(), channel.clone(), claim);
                engine.inner.tasks.spawn_on(carrying, &engine.inner.sending);
            }
            None => tracing::warn!(channel = %claim.channel, "a segment of a channel that is not set up"),
        }
    }
}

async fn lane_loop(engine: Engine, channel: Arc<dyn Channel>, lane: Lane, at_once: usize) {
    let inner = &engine.inner;
    let kind = channel.kind();
    let room = Arc::new(Semaphore::new(at_once));
    let mut bell = inner.planned.bell();
    loop {
        let permit = tokio::select! {
            () = inner.stop.cancelled() => return,
            permit = room.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        if let Some(until) = inner.pauses.until(kind, engine.now()) {
            drop(permit);
            if wait(&engine, until.since(engine.now())).await { continue } else { return }
        }
        bell.borrow_and_update();
        let lease = Lease { node: inner.node, until: engine.now().plus(LEASE) };
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
                () = inner.stop.cancelled() => return,
                _ = bell.changed() => {}
                () = tokio::time::sleep(nap) => {}
            }
            continue;
        }
        let mut permits = Some(permit);
        for claim in claims {
            let permit = permits.take().or_else(|| room.clone().try_acquire_owned().ok());
            let carrying = carry::segment(engine.clone(), channel.clone(), claim);
            let carried = async move {
                carrying.await;
                drop(permit);
            };
            inner.tasks.spawn_on(carried, &inner.sending);
        }
    }
}

/// Waits a while at most, since a pause may end early, and answers whether the engine goes on.
async fn wait(engine: &Engine, span: Duration) -> bool {
    tokio::select! {
        () = engine.inner.stop.cancelled() => false,
        () = tokio::time::sleep(span.min(POLL)) => true,
    }
}

/// Channels in trouble. After an outcome that concerns the whole channel nothing is claimed for a while; so a provider
/// that is down is asked now and then, not a million times, and the backlog is paced afterwards.
#[derive(Default)]
pub struct Pauses {
    /// A channel that is missing has not been proven to work by this process; one without a pause has.
    channels: RwLock<HashMap<ChannelKind, Option<Pause>>>,
}

struct Pause {
    until: Timestamp,
    strikes: u32,
    outcome: Outcome,
}

impl Pauses {
    /// Until when the channel rests, if it does.
    pub fn until(&self, channel: ChannelKind, now: Timestamp) -> Option<Timestamp> {
        self.channels.read().get(&channel)?.as_ref().map(|p| p.until).filter(|until| *until > now)
    }

    /// What put the channel to rest, while it rests.
    pub fn outcome(&self, channel: ChannelKind, now: Timestamp) -> Option<Outcome> {
        self.channels.read().get(&channel)?.as_ref().filter(|p| p.until > now).map(|p| p.outcome.clone())
    }

    /// Takes note of trouble; answers how many times in a row, or `None` while the channel rests already.
    pub fn strike(&self, channel: ChannelKind, outcome: &Outcome, now: Timestamp) -> Option<u32> {
        let mut channels = self.channels.write();
        let strikes = match channels.get(&channel) {
            Some(Some(pause)) if pause.until > now => return None,
            Some(Some(pause)) => pause.strikes + 1,
            Some(None) | None => 1,
        };
        let usual = Duration::from_secs(1 << strikes.min(6).saturating_sub(1));
        let span = match outcome {
            Outcome::OurFault(_) => FAULT_PAUSE,
            Outcome::TryLater { after: Some(after), .. } => usual.max(*after),
            _ => usual,
        };
        channels.insert(channel, Some(Pause { until: now.plus(span.min(LONGEST_PAUSE)), strikes, outcome: outcome.clone() }));
        Some(strikes)
    }

    /// The channel works; answers whether that is news: it was in trouble, or this process had not seen it work yet (an
    /// alarm may be left from before a restart).
    pub fn works(&self, channel: ChannelKind) -> bool {
        let known = matches!(self.channels.read().get(&channel), Some(None));
        !known && !matches!(self.channels.write().insert(channel, None), Some(None))
    }
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
        assert!(pauses.works(ChannelKind::Apns) && !pauses.works(ChannelKind::Apns));
        assert_eq!(pauses.until(ChannelKind::Apns, now), None);
    }
}
