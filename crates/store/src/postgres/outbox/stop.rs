//! Stopping: an event by an administrator, a person's waiting rows by a leaver or a new fact.

use super::counts::Tally;
use super::settle::look_again;
use crate::postgres::args::params;
use crate::postgres::link::{Connection, OptionalExtension};
use crate::sqlite::columns::word;
use crate::{Result, StoreError};
use model::event::EventState;
use model::{ChannelKind, DeviceKey, EventKey, PersonKey, Reason, State, TenantKey, Timestamp};

const STATE: &str = "SELECT state FROM event WHERE key = $1 AND tenant = $2 FOR NO KEY UPDATE";
/// Segments are held before their event and before their rows, as a settlement does.
const HOLD_SEGMENTS: &str = "SELECT key FROM segment WHERE event = $1 ORDER BY key FOR UPDATE";
const HOLD_HOLDING: &str = "SELECT key FROM segment WHERE event = $1 AND first <= $2 AND last >= $2 ORDER BY key FOR UPDATE";
const CANCEL: &str = "UPDATE event SET state = 5, done_at = $2, \
    title = CASE WHEN sealed = 1 AND inbox_seq IS NULL THEN NULL ELSE title END, \
    body = CASE WHEN sealed = 1 AND inbox_seq IS NULL THEN NULL ELSE body END WHERE key = $1";
const WAKE_EVENT: &str =
    "UPDATE segment SET woken = generation + 1, due = CASE WHEN node IS NULL THEN least(due, $2) ELSE due END WHERE event = $1";
/// Events that may hold waiting rows of a person; the rest of a cancelled event is ended by its own waking.
const OPEN: &str = "SELECT e.key FROM event e WHERE e.done_at IS NULL AND e.state IN (2, 3) AND e.tenant = $1 \
    AND EXISTS (SELECT 1 FROM delivery d WHERE d.event = e.key AND d.person = $2 AND d.state IN (1, 2))";
const WAITING: &str =
    "SELECT seq, channel, state, reason, device FROM delivery WHERE event = $1 AND person = $2 AND state IN (1, 2) ORDER BY seq FOR UPDATE";
const END: &str = "UPDATE delivery SET state = $4, reason = $5, due = 0 WHERE event = $1 AND person = $2 AND seq = $3";
const HURRY: &str = "UPDATE delivery SET due = least(due, $4) WHERE event = $1 AND person = $2 AND seq = $3";
const WAKE_CLAIMED: &str =
    "UPDATE segment SET woken = generation + 1 WHERE node IS NOT NULL AND event = $1 AND channel = $2 AND first <= $3 AND last >= $3";

/// Stops an event; answers where it stood.
pub(super) fn cancel(c: &Connection, now: Timestamp, tenant: TenantKey, event: EventKey) -> Result<EventState> {
    c.prepare_cached(HOLD_SEGMENTS)?.all([event.0])?;
    let state: Option<i64> = c.prepare_cached(STATE)?.query_row(params![event.0, tenant.0], |row| row.get(0)).optional()?;
    let state = word(EventState::from_number, state.ok_or(StoreError::NotFound)?, "event state")?;
    if !state.is_final() {
        c.prepare_cached(CANCEL)?.execute([event.0, now.0])?;
        c.prepare_cached(WAKE_EVENT)?.execute([event.0, now.0])?;
    }
    Ok(state)
}

/// Events in which a person waits for something.
pub(super) fn waiting_events(c: &Connection, tenant: TenantKey, person: PersonKey) -> Result<Vec<EventKey>> {
    let mut open = c.prepare_cached(OPEN)?;
    Ok(open.query_map([tenant.0, person.0], |row| Ok(EventKey(row.get(0)?)))?)
}

/// One row that waits.
pub(super) struct Waiting {
    seq: u16,
    channel: ChannelKind,
    stand: (State, Reason),
    device: Option<DeviceKey>,
}

/// A person's rows of one event that wait.
pub(super) fn waiting(c: &Connection, event: EventKey, person: PersonKey) -> Result<Vec<Waiting>> {
    c.prepare_cached(HOLD_HOLDING)?.all(params![event.0, person.0])?;
    let mut select = c.prepare_cached(WAITING)?;
    let mut rows = select.query(params![event.0, person.0])?;
    let mut waiting = Vec::new();
    while let Some(row) = rows.next()? {
        waiting.push(Waiting {
            seq: row.get(0)?,
            channel: word(ChannelKind::from_number, row.get(1)?, "channel")?,
            stand: (word(State::from_number, row.get(2)?, "state")?, word(Reason::from_number, row.get(3)?, "reason")?),
            device: row.get::<Option<u32>>(4)?.map(DeviceKey),
        });
    }
    Ok(waiting)
}

/// Ends a person's waiting rows of one event as suppressed for `reason`, or hurries them; answers how many ended.
pub(super) fn end_waiting(
    c: &Connection,
    now: Timestamp,
    event: EventKey,
    person: PersonKey,
    device: Option<DeviceKey>,
    reason: Option<Reason>,
) -> Result<u64> {
    let rows: Vec<Waiting> = waiting(c, event, person)?.into_iter().filter(|row| device.is_none() || row.device == device).collect();
    match reason {
        Some(reason) => end(c, now, event, person, &rows, reason),
        None => hurry(c, now, event, person, &rows).map(|()| 0),
    }
}

/// Ends these rows as suppressed for `reason`.
fn end(c: &Connection, now: Timestamp, event: EventKey, person: PersonKey, rows: &[Waiting], reason: Reason) -> Result<u64> {
    let mut tally = Tally::default();
    for row in rows {
        c.prepare_cached(END)?.execute(params![event.0, person.0, row.seq, State::Suppressed.number(), reason.number()])?;
        tally.moved(event, row.channel, row.stand, (State::Suppressed, reason));
    }
    each_channel(rows).try_for_each(|channel| look_again(c, now, event, channel, person.0))?;
    // Counts come last in the order of locks, behind the event.
    tally.write(c);
    Ok(rows.len() as u64)
}

/// Ends the rows of a device that wait for its app to confirm (the presence hold).
pub(super) fn end_presence(c: &Connection, now: Timestamp, event: EventKey, person: PersonKey, device: DeviceKey) -> Result<()> {
    let mut rows = waiting(c, event, person)?;
    rows.retain(|row| row.device == Some(device) && row.stand == (State::Held, Reason::ShownInApp));
    end(c, now, event, person, &rows, Reason::ShownInApp).map(|_| ())
}

/// Makes rows due now, less those that keep a provider's own word for when to come again.
fn hurry(c: &Connection, now: Timestamp, event: EventKey, person: PersonKey, rows: &[Waiting]) -> Result<()> {
    let hurried = || rows.iter().filter(|row| !matches!(row.stand.1, Reason::ProviderUnavailable | Reason::OurFault));
    for row in hurried() {
        c.prepare_cached(HURRY)?.execute(params![event.0, person.0, row.seq, now.0])?;
    }
    for channel in each_channel(rows).filter(|channel| hurried().any(|row| row.channel == *channel)) {
        look_again(c, now, event, channel, person.0)?;
        // Whoever has the segment may have looked at the old facts: it is looked at once more.
        c.prepare_cached(WAKE_CLAIMED)?.execute(params![event.0, channel.number(), person.0])?;
    }
    Ok(())
}

fn each_channel(rows: &[Waiting]) -> impl Iterator<Item = ChannelKind> {
    ChannelKind::ALL.iter().copied().filter(|channel| rows.iter().any(|row| row.channel == *channel))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[STATE, HOLD_SEGMENTS, HOLD_HOLDING, CANCEL, WAKE_EVENT, OPEN, WAITING, END, HURRY, WAKE_CLAIMED];
