//! Running totals of an event's deliveries by channel, state and reason: gathered over a batch, written once.

use crate::postgres::args::Arg;
use crate::postgres::link::{Connection, OptionalExtension};
use crate::sqlite::columns::{unsigned, word};
use crate::{Count, Counts, PlannedRow, Result};
use model::{ChannelKind, EventKey, PersonKey, Reason, State};

/// In one order, so that processes that count the same event do not wait for each other crosswise.
const ADD: &str = "INSERT INTO delivery_count (event, channel, state, reason, rows, planned, people) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) ORDER BY 1, 2, 3, 4 \
    ON CONFLICT (event, channel, state, reason) DO UPDATE SET rows = delivery_count.rows + excluded.rows, \
    planned = delivery_count.planned + excluded.planned, people = delivery_count.people + excluded.people";
const OF_EVENT: &str = "SELECT channel, state, reason, rows, planned, people FROM delivery_count \
    WHERE event = $1 AND (rows > 0 OR planned > 0) ORDER BY channel, state, reason";
const TOTALS: &str = "SELECT received, shown, opened, dismissed, planned_people, reached_people FROM event WHERE key = $1";

/// Which count of which event.
type Of = (EventKey, ChannelKind, State, Reason);

/// Changes of counts, gathered. A batch touches a handful of them, so a short list beats a map.
#[derive(Default)]
pub(super) struct Tally {
    changes: Vec<(Of, Change)>,
}

/// How one count changes.
#[derive(Clone, Copy, Default)]
struct Change {
    rows: i64,
    /// Rows that the plan put here, and the people to whom they belong.
    planned: i64,
    people: i64,
    /// The last of these people: a plan's rows come in person order.
    last: Option<PersonKey>,
}

impl Tally {
    /// Counts rows that came to stand here; a negative number counts rows that left.
    pub fn add(&mut self, event: EventKey, channel: ChannelKind, stand: (State, Reason), rows: i64) {
        self.change((event, channel, stand.0, stand.1)).rows += rows;
    }

    /// Counts one row of a plan, which is also what was forecast. Rows come in person order.
    pub fn plan(&mut self, event: EventKey, row: &PlannedRow) {
        let change = self.change((event, row.channel, row.state, row.reason));
        change.rows += 1;
        change.planned += 1;
        change.people += i64::from(change.last.replace(row.person) != Some(row.person));
    }

    fn change(&mut self, of: Of) -> &mut Change {
        let at = self.changes.iter().position(|(same, _)| *same == of).unwrap_or_else(|| {
            self.changes.push((of, Change::default()));
            self.changes.len() - 1
        });
        &mut self.changes[at].1
    }

    /// Counts one row that moved.
    pub fn moved(&mut self, event: EventKey, channel: ChannelKind, was: (State, Reason), now: (State, Reason)) {
        if was != now {
            self.add(event, channel, was, -1);
            self.add(event, channel, now, 1);
        }
    }

    /// Writes what was gathered, with the end of the transaction: the counts of an event are met by everybody who works on
    /// it, and so are held shortest.
    pub fn write(self, c: &Connection) {
        let moved: Vec<_> = self.changes.into_iter().filter(|(_, change)| change.rows != 0 || change.planned != 0).collect();
        if moved.is_empty() {
            return;
        }
        let column = |of: fn(&(Of, Change)) -> i64| Arg::Ints(moved.iter().map(of).collect::<Vec<i64>>().into());
        let values = vec![
            column(|((event, ..), _)| event.0),
            column(|((_, channel, ..), _)| channel.number().into()),
            column(|((_, _, state, _), _)| state.number().into()),
            column(|((.., reason), _)| reason.number().into()),
            column(|(_, change)| change.rows),
            column(|(_, change)| change.planned),
            column(|(_, change)| change.people),
        ];
        c.at_the_end(ADD, values);
    }
}

/// The numbers of an event.
pub(super) fn of(c: &Connection, event: EventKey) -> Result<Counts> {
    let mut totals = c.prepare_cached(TOTALS)?;
    let found = totals.query_row([event.0], |row| Ok(([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?], row.get(4)?, row.get(5)?)));
    let (receipts, planned, reached): ([i64; 4], i64, i64) = found.optional()?.unwrap_or_default();
    Ok(Counts {
        deliveries: deliveries(c, event)?,
        receipts: receipts.map(unsigned),
        planned_people: unsigned(planned),
        reached_people: unsigned(reached),
    })
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
            planned: unsigned(row.get(4)?),
            people: unsigned(row.get(5)?),
        });
    }
    Ok(counts)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[ADD, OF_EVENT, TOTALS];
