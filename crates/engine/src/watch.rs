//! The gauges: what waits and how long, what the store takes, which alarms are open, who shares the store. Counters are where
//! things are counted. No label holds an id or a word that a person chose.

use crate::Engine;
use model::{ChannelKind, Outcome, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use store::PlannedRow;
use store::watch::Watched;

/// How often the store is looked at.
const EVERY: Duration = Duration::from_secs(10);
/// Most alarms that are shown; there are a few dozen codes.
const ALARMS: u32 = 200;

/// The loop, in every process.
pub(crate) async fn run(engine: Engine) {
    let mut shown = Shown::default();
    loop {
        gauges(&engine, &mut shown).await;
        tokio::select! {
            () = engine.inner.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Series that were shown before and have to say 0 when there is nothing any more.
#[derive(Default)]
struct Shown {
    open: BTreeSet<(&'static str, &'static str, &'static str)>,
    alarms: BTreeSet<String>,
}

async fn gauges(engine: &Engine, shown: &mut Shown) {
    let inner = &engine.inner;
    metrics::gauge!("carillon_policy_version").set(inner.standing.version() as f64);
    metrics::gauge!("carillon_sending_allowed").set(if inner.standing.sees() { 1.0 } else { 0.0 });
    let looked = inner.store.watch(inner.tenant_key()).await;
    metrics::gauge!("carillon_store_up").set(if looked.is_ok() { 1.0 } else { 0.0 });
    match looked {
        Ok(watched) => show(&watched, engine.now(), shown),
        Err(error) => tracing::debug!(%error, "the store cannot be looked at"),
    }
    if let Ok(alarms) = inner.store.alarms(inner.tenant_key(), ALARMS).await {
        // One that the store could not keep is open all the same.
        let unkept: Vec<String> = inner.unkept.lock().keys().cloned().collect();
        let kept = alarms.into_iter().filter(|alarm| alarm.cleared_at.is_none()).map(|alarm| alarm.code);
        let open: BTreeSet<String> = kept.chain(unkept).collect();
        shown.alarms.difference(&open).for_each(|code| metrics::gauge!("carillon_alarm", "code" => code.clone()).set(0.0));
        open.iter().for_each(|code| metrics::gauge!("carillon_alarm", "code" => code.clone()).set(1.0));
        shown.alarms = open;
    }
}

fn show(watched: &Watched, now: Timestamp, shown: &mut Shown) {
    metrics::gauge!("carillon_store_bytes").set(watched.bytes as f64);
    metrics::gauge!("carillon_store_log_bytes").set(watched.log_bytes as f64);
    metrics::gauge!("carillon_nodes", "state" => "living").set(watched.nodes.living as f64);
    metrics::gauge!("carillon_nodes", "state" => "lost").set(watched.nodes.lost as f64);
    for state in model::event::EventState::ALL.iter().filter(|state| !state.is_final()) {
        let events = watched.events.iter().find(|(one, _)| one == state).map_or(0, |(_, events)| *events);
        metrics::gauge!("carillon_events_open", "state" => state.word()).set(events as f64);
    }
    for channel in ChannelKind::ALL {
        for lane in [model::Lane::Urgent, model::Lane::Bulk] {
            let found = watched.backlog.iter().find(|one| (one.channel, one.lane) == (*channel, lane));
            let (channel, lane) = (channel.word(), lane_word(lane));
            let (waiting, claimed) = found.map_or((0, 0), |one| (one.waiting, one.claimed));
            metrics::gauge!("carillon_segments", "channel" => channel, "lane" => lane, "state" => "waiting").set(waiting as f64);
            metrics::gauge!("carillon_segments", "channel" => channel, "lane" => lane, "state" => "claimed").set(claimed as f64);
            let late = found.and_then(|one| one.earliest_due).map_or(Duration::ZERO, |due| now.since(due));
            metrics::gauge!("carillon_segment_overdue_seconds", "channel" => channel, "lane" => lane).set(late.as_secs_f64());
        }
    }
    let open: BTreeMap<_, _> =
        watched.open.iter().map(|one| ((one.channel.word(), one.state.word(), one.reason.word()), one.rows)).collect();
    shown.open.extend(open.keys());
    for series in &shown.open {
        let (channel, state, reason) = *series;
        let rows = open.get(series).copied().unwrap_or(0);
        metrics::gauge!("carillon_deliveries_open", "channel" => channel, "state" => state, "reason" => reason).set(rows as f64);
    }
}

fn lane_word(lane: model::Lane) -> &'static str {
    match lane {
        model::Lane::Urgent => "urgent",
        model::Lane::Bulk => "bulk",
    }
}

/// Counts what a page of plan decided.
pub(crate) fn planned(rows: &[PlannedRow]) {
    let mut counts: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    rows.iter().for_each(|row| *counts.entry((row.channel.word(), row.state.word(), row.reason.word())).or_default() += 1);
    for ((channel, state, reason), rows) in counts {
        let labels = [("channel", channel), ("state", state), ("reason", reason)].map(|(name, word)| (name.to_owned(), word.to_owned()));
        metrics::counter!("carillon_deliveries_planned_total", &labels).increment(rows);
    }
}

/// Counts deliveries that became final after they were sent, or looked at for the last time.
pub(crate) fn settled(batch: &[store::Settle]) {
    let mut counts: BTreeMap<(&'static str, &'static str, &'static str), u64> = BTreeMap::new();
    for settle in batch {
        if let store::Settle::Row(row) = settle
            && row.now.0.is_final()
        {
            *counts.entry((row.channel.word(), row.now.0.word(), row.now.1.word())).or_default() += 1;
        }
    }
    for ((channel, state, reason), rows) in counts {
        metrics::counter!("carillon_deliveries_settled_total", "channel" => channel, "state" => state, "reason" => reason).increment(rows);
    }
}

/// What came back of the letters of one claim: counted by outcome, and how long the other side took.
pub(crate) struct Attempts {
    channel: &'static str,
    outcomes: Vec<(&'static str, metrics::Counter, metrics::Histogram)>,
}

impl Attempts {
    pub(crate) fn of(channel: ChannelKind) -> Attempts {
        Attempts { channel: channel.word(), outcomes: Vec::new() }
    }

    /// Notes one; `took` is missing where nothing was sent.
    pub(crate) fn note(&mut self, outcome: &Outcome, took: Option<Duration>) {
        let word = outcome.word();
        let at = self.outcomes.iter().position(|(known, _, _)| *known == word).unwrap_or_else(|| {
            let channel = self.channel;
            let counter = metrics::counter!("carillon_attempts_total", "channel" => channel, "outcome" => word);
            let seconds = metrics::histogram!("carillon_attempt_seconds", "channel" => channel, "outcome" => word);
            self.outcomes.push((word, counter, seconds));
            self.outcomes.len() - 1
        });
        let (_, counter, seconds) = &self.outcomes[at];
        counter.increment(1);
        if let Some(took) = took {
            seconds.record(took.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_words_of_closed_lists() {
        // 7 channels, 8 states and some thirty reasons bound every series here.
        assert!(ChannelKind::ALL.len() <= 8 && model::State::ALL.len() <= 8 && model::Reason::ALL.len() <= 40);
        assert_eq!((lane_word(model::Lane::Urgent), lane_word(model::Lane::Bulk)), ("urgent", "bulk"));
    }
}
