//! Running totals of an event's deliveries by channel, state and reason: gathered over a batch, written once.

use super::super::columns::{unsigned, word};
use crate::{Count, Counts, Result};
use model::{ChannelKind, EventKey, Reason, State};
use rusqlite::{Connection, OptionalExtension, params};

const ADD: &str = "INSERT INTO delivery_count (event, channel, state, reason, rows) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (event, channel, state, reason) DO UPDATE SET rows = rows + excluded.rows";
const OF_EVENT: &str =
    "SELECT channel, state, reason, rows FROM delivery_count WHERE event = ?1 AND rows > 0 ORDER BY channel, state, reason";
const TOTALS: &str = "SELECT received, shown, opened, dismissed, planned_people FROM event WHERE key = ?1";

/// Which count of which event.
type Of = (EventKey, ChannelKind, State, Reason);

/// Changes of counts, gathered. A batch touches a handful of them, so a short list beats a map.
#[derive(Default)]
pub(super) struct Tally {
    changes: Vec<(Of, i64)>,
}

impl Tally {
    /// Counts rows that came to stand here; a negative number counts rows that left.
    pub fn add(&mut self, event: EventKey, channel: ChannelKind, stand: (State, Reason), rows: i64) {
        let of = (event, channel, stand.0, stand.1);
        match self.changes.iter_mut().find(|(same, _)| *same == of) {
            Some((_, sum)) => *sum += rows,
            None => self.changes.push((of, rows)),
        }
    }

    /// Counts one row that moved.
    pub fn moved(&mut self, event: EventKey, channel: ChannelKind, was: (State, Reason), now: (State, Reason)) {
        if was != now {
            self.add(event, channel, was, -1);
            self.add(event, channel, now, 1);
        }
    }

    /// Writes what was gathered.
    pub fn write(self, c: &Connection) -> Result<()> {
        let mut add = c.prepare_cached(ADD)?;
        for ((event, channel, state, reason), rows) in self.changes {
            if rows != 0 {
                add.execute(params![event.0, channel.number(), state.number(), reason.number(), rows])?;
            }
        }
        Ok(())
    }
}

/// The numbers of an event.
pub(super) fn of(c: &Connection, event: EventKey) -> Result<Counts> {
    let mut totals = c.prepare_cached(TOTALS)?;
    let found = totals.query_row([event.0], |row| Ok(([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?], row.get(4)?)));
    let (receipts, planned): ([i64; 4], i64) = found.optional()?.unwrap_or_default();
    Ok(Counts { deliveries: deliveries(c, event)?, receipts: receipts.map(unsigned), planned_people: unsigned(planned) })
}

/// The counts alone.
pub(super) fn deliveries(c: &Connection, event: EventKey) -> Result<Vec<Count>> {
    let mut all = c.prepare_cached(OF_EVENT)?;
    let mut rows = all.query([event.0])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        counts.push(Count {
            channel: word(ChannelKind::from_number, row.get(0)?, "channel")?,
            state: word(State::from_number, row.get(1)?, "state")?,
            reason: word(Reason::from_number, row.get(2)?, "reason")?,
            rows: unsigned(row.get(3)?),
        });
    }
    Ok(counts)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[ADD, OF_EVENT, TOTALS];
