//! Settlements: what became of rows, under the claim's generation. A claim is checked once per batch; writes of a lost one
//! are left out and reported. The inner loop is one cached update by primary key.

use super::super::columns::{Repeated, word};
use super::super::writer;
use super::counts::Tally;
use crate::{Attempt, Result, Retirement, Settle, Settled, Settlement};
use model::event::EventState;
use model::{ChannelKind, EventKey, Reason, SegmentKey, State, TenantKey, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use std::collections::HashMap;

const SEGMENT: &str = "SELECT generation, node IS NOT NULL, tenant, event, channel, first, last, woken FROM segment WHERE key = ?1";
/// Applies only where the row stands as the caller saw it, so that the counts stay right.
/// What is folded into it stays, as long as the policy is the one that decided it.
const ROW: &str = "UPDATE delivery SET state = ?4, reason = ?5, facts = facts >> 32 << 32 | ?6, due = ?7, attempts = max(attempts, ?8), \
    at = coalesce(?9, at), policy = ?10 \
    WHERE event = ?1 AND person = ?2 AND seq = ?3 AND state = ?11 AND reason = ?12 AND (policy = ?10 OR facts < 4294967296)";
/// The same for the usual case, an accepted first try of a row that was free to go, with half the parameters.
const FIRST_ACCEPTED: &str = "UPDATE delivery SET state = 3, reason = 0, facts = facts >> 32 << 32 | ?4, due = 0, attempts = 1, at = ?5, \
    policy = ?6 WHERE event = ?1 AND person = ?2 AND seq = ?3 AND state = 1 AND reason = 0 AND (policy = ?6 OR facts < 4294967296)";
/// What is folded into a row gets a row of its own: suppressed (4) mail (5) that was not needed (12).
const UNFOLD: [&str; 2] = [
    "INSERT INTO delivery (event, person, seq, channel, state, reason, facts, policy, due) \
    SELECT event, person, seq + 1, 5, 4, 12, facts >> 32, policy, 0 FROM delivery \
    WHERE event = ?1 AND person = ?2 AND seq = ?3 AND facts >= 4294967296",
    "UPDATE delivery SET facts = facts & 4294967295 WHERE event = ?1 AND person = ?2 AND seq = ?3",
];
const STAND: &str = "SELECT state, reason FROM delivery WHERE event = ?1 AND person = ?2 AND seq = ?3";
const ATTEMPT: &str =
    "INSERT OR REPLACE INTO attempt (event, person, seq, number, at, outcome, code, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const RETIRE: &str = "UPDATE registration SET state = 2, retired_code = ?4, version = version + 1 \
    WHERE tenant = ?1 AND key = ?2 AND version = ?3 AND state = 1 AND registered_at <= ?5";
const LOG_PUSH: &str = "INSERT OR IGNORE INTO push_log (tenant, person, at, event, seq) VALUES (?1, ?2, ?3, ?4, ?5)";
const EARLIEST: &str = "SELECT min(due) FROM delivery WHERE event = ?1 AND person BETWEEN ?2 AND ?3 AND channel = ?4 AND state IN (1, 2)";
const WAIT: &str = "UPDATE segment SET node = NULL, due = ?2, woken = ?3 WHERE key = ?1";
const GONE: &str = "DELETE FROM segment WHERE key = ?1";
const EVENT: &str = "SELECT state, EXISTS (SELECT 1 FROM segment WHERE event = ?1) FROM event WHERE key = ?1";
/// Secrets that nobody fetches from an inbox are erased with the last delivery.
const DONE: &str = "UPDATE event SET state = 4, done_at = ?2, \
    title = CASE WHEN sealed = 1 AND inbox_seq IS NULL THEN NULL ELSE title END, \
    body = CASE WHEN sealed = 1 AND inbox_seq IS NULL THEN NULL ELSE body END WHERE key = ?1";
const HOLDING: &str = "SELECT key, last FROM segment WHERE event = ?1 AND channel = ?2 AND first <= ?3 ORDER BY first DESC LIMIT 1";
const HURRY: &str = "UPDATE segment SET due = min(due, ?2) WHERE key = ?1";

/// A segment as a batch finds it.
#[derive(Clone, Copy)]
struct Held {
    tenant: TenantKey,
    event: EventKey,
    channel: u8,
    first: u32,
    last: u32,
    generation: i64,
    woken: i64,
    claimed: bool,
}

/// Writes a batch.
pub(super) fn settle(c: &Connection, now: Timestamp, batch: &[Settle]) -> Result<Settled> {
    let mut settled = Settled::default();
    let mut claims = Claims::default();
    let mut latest: Option<((SegmentKey, i64), Option<Held>)> = None;
    let mut rows = Rows::new(c, now)?;
    for entry in batch {
        let claim = match entry {
            Settle::Row(row) => (row.segment, row.generation),
            Settle::Release { segment, generation, .. } => (*segment, *generation),
        };
        let held = match latest {
            Some((same, held)) if same == claim => held,
            _ => claims.find(c, claim)?,
        };
        latest = Some((claim, held));
        let Some(held) = held else {
            if !settled.lost.contains(&claim.0) {
                settled.lost.push(claim.0);
            }
            continue;
        };
        match entry {
            Settle::Row(row) => rows.settle(held.tenant, row)?,
            Settle::Release { segment, not_before, .. } => {
                // What this batch wrote so far decides what the segment waits for.
                release(c, now, *segment, held, *not_before, &mut settled)?;
                claims.seen.insert(claim, None);
                latest = None;
            }
        }
    }
    rows.tally.write(c)?;
    Ok(settled)
}

/// Claims that a batch met.
#[derive(Default)]
struct Claims {
    seen: HashMap<(SegmentKey, i64), Option<Held>>,
}

impl Claims {
    /// The segment, if the claim holds.
    fn find(&mut self, c: &Connection, claim: (SegmentKey, i64)) -> Result<Option<Held>> {
        if let Some(held) = self.seen.get(&claim) {
            return Ok(*held);
        }
        let held = held_under(c, claim.0)?.filter(|held| held.claimed && held.generation == claim.1);
        self.seen.insert(claim, held);
        Ok(held)
    }
}

fn held_under(c: &Connection, segment: SegmentKey) -> Result<Option<Held>> {
    let mut find = c.prepare_cached(SEGMENT)?;
    let held = find.query_row([segment.0], |row| {
        Ok(Held {
            generation: row.get(0)?,
            claimed: row.get(1)?,
            tenant: TenantKey(row.get(2)?),
            event: EventKey(row.get(3)?),
            channel: row.get(4)?,
            first: row.get(5)?,
            last: row.get(6)?,
            woken: row.get(7)?,
        })
    });
    Ok(held.optional()?)
}

/// The inner loop's statement and what it gathers.
struct Rows<'c> {
    c: &'c Connection,
    accepted: Repeated<'c, 6>,
    update: CachedStatement<'c>,
    tally: Tally,
    now: Timestamp,
}

impl<'c> Rows<'c> {
    fn new(c: &'c Connection, now: Timestamp) -> Result<Rows<'c>> {
        Ok(Rows { c, accepted: Repeated::new(c, FIRST_ACCEPTED)?, update: c.prepare_cached(ROW)?, tally: Tally::default(), now })
    }

    fn settle(&mut self, tenant: TenantKey, row: &Settlement) -> Result<()> {
        if self.update(row, row.was)? {
            self.tally.moved(row.id.event, row.channel, row.was, row.now);
        } else {
            self.settle_moved(row)?;
        }
        if let Some(attempt) = &row.attempt {
            let first_accepted = attempt.number == 1 && row.now.0 == State::Accepted;
            if !first_accepted {
                keep_attempt(self.c, row, attempt)?;
            }
        }
        if let Some(retirement) = &row.retire {
            retire(self.c, tenant, retirement)?;
        }
        if row.log_push && row.now.0 == State::Accepted {
            let at = row.attempt.as_ref().map_or(self.now, |attempt| attempt.at);
            let person = row.id.person.0;
            self.c.prepare_cached(LOG_PUSH)?.execute(params![tenant.0, person, at.0, row.id.event.0, row.id.seq])?;
        }
        Ok(())
    }

    fn update(&mut self, row: &Settlement, was: (State, Reason)) -> Result<bool> {
        let attempt = row.attempt.as_ref();
        let usual = was == (State::Scheduled, Reason::None) && row.now == (State::Accepted, Reason::None);
        if let Some(attempt) = attempt.filter(|attempt| usual && attempt.number == 1) {
            let id = row.id;
            let values = [id.event.0, id.person.into(), id.seq.into(), row.facts.0.into(), attempt.at.0, row.policy_version];
            return Ok(self.accepted.run(values.map(Some))? > 0);
        }
        let changed = self.update.execute((
            row.id.event.0,
            row.id.person.0,
            row.id.seq,
            row.now.0.number(),
            row.now.1.number(),
            row.facts.0,
            if row.now.0.is_final() { 0 } else { row.due.0 },
            attempt.map_or(0, |attempt| attempt.number),
            attempt.map(|attempt| attempt.at.0),
            row.policy_version,
            was.0.number(),
            was.1.number(),
        ))?;
        Ok(changed > 0)
    }

    /// The row does not stand where the claim saw it: something else ended it meanwhile (a receipt, a leaver). That stays,
    /// unless the provider took the message: what was sent was sent. Or the policy is no longer the one that decided what is
    /// folded into it.
    fn settle_moved(&mut self, row: &Settlement) -> Result<()> {
        let mut stand = self.c.prepare_cached(STAND)?;
        let found = stand.query_row(params![row.id.event.0, row.id.person.0, row.id.seq], |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((state, reason)) = found.optional()? else { return Ok(()) };
        let was = (word(State::from_number, state, "state")?, word(Reason::from_number, reason, "reason")?);
        let stays = was.0.is_final() && (row.now.0 != State::Accepted || was.0 == State::Accepted);
        if stays {
            return Ok(());
        }
        for sql in UNFOLD {
            self.c.prepare_cached(sql)?.execute(params![row.id.event.0, row.id.person.0, row.id.seq])?;
        }
        if self.update(row, was)? {
            self.tally.moved(row.id.event, row.channel, was, row.now);
        }
        Ok(())
    }
}

fn keep_attempt(c: &Connection, row: &Settlement, attempt: &Attempt) -> Result<()> {
    c.prepare_cached(ATTEMPT)?.execute(params![
        row.id.event.0,
        row.id.person.0,
        row.id.seq,
        attempt.number,
        attempt.at.0,
        attempt.outcome,
        attempt.code,
        attempt.status
    ])?;
    Ok(())
}

/// Retires a registration, unless it changed since it was sent to, or was made after it was gone.
fn retire(c: &Connection, tenant: TenantKey, gone: &Retirement) -> Result<()> {
    let since = gone.gone_since.unwrap_or(Timestamp::NEVER);
    c.prepare_cached(RETIRE)?.execute(params![tenant.0, gone.registration.0, gone.version, gone.code, since.0])?;
    writer::facts_moved();
    Ok(())
}

fn release(c: &Connection, now: Timestamp, segment: SegmentKey, held: Held, not_before: Timestamp, settled: &mut Settled) -> Result<()> {
    match wait(c, now, segment, held, not_before)? {
        Some(due) => settled.next_due = Some(settled.next_due.map_or(due, |next| next.min(due))),
        None => settled.done.extend(finish(c, now, held.event)?.then_some(held.event)),
    }
    Ok(())
}

/// Lets a segment wait for its earliest row, or removes it. A wake that came while it was claimed makes it due at once.
fn wait(c: &Connection, now: Timestamp, segment: SegmentKey, held: Held, not_before: Timestamp) -> Result<Option<Timestamp>> {
    let Some(earliest) = earliest(c, held)? else {
        c.prepare_cached(GONE)?.execute([segment.0])?;
        return Ok(None);
    };
    let woken = if held.woken > held.generation { held.woken } else { 0 };
    let due = if woken > 0 { now } else { earliest.max(not_before) };
    c.prepare_cached(WAIT)?.execute([segment.0, due.0, woken])?;
    Ok(Some(due))
}

/// After a segment is gone: whether that was the event's last, and it is over.
fn finish(c: &Connection, now: Timestamp, event: EventKey) -> Result<bool> {
    let found = c.prepare_cached(EVENT)?.query_row([event.0], |row| Ok((row.get::<_, u8>(0)?, row.get::<_, bool>(1)?))).optional()?;
    match found {
        Some((state, false)) if state == EventState::Sending.number() => {
            c.prepare_cached(DONE)?.execute([event.0, now.0])?;
            Ok(true)
        }
        Some((state, false)) => Ok(state == EventState::Cancelled.number()),
        _ => Ok(false),
    }
}

/// After a row of a person was ended or hurried outside a claim: the waiting segment that holds it is looked at anew; a
/// claimed one is when its claim ends.
pub(super) fn look_again(c: &Connection, now: Timestamp, event: EventKey, channel: ChannelKind, person: u32) -> Result<()> {
    let mut holding = c.prepare_cached(HOLDING)?;
    let found = holding.query_row(params![event.0, channel.number(), person], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?)));
    let Some(key) = found.optional()?.and_then(|(key, last)| (last >= person).then_some(SegmentKey(key))) else { return Ok(()) };
    let Some(held) = held_under(c, key)?.filter(|held| !held.claimed) else { return Ok(()) };
    match earliest(c, held)? {
        Some(due) if due <= now => {
            c.prepare_cached(HURRY)?.execute([key.0, now.0])?;
        }
        // It keeps the time that it had: a release may have set it later than its rows (pacing).
        Some(_) => {}
        None => {
            c.prepare_cached(GONE)?.execute([key.0])?;
            finish(c, now, event)?;
        }
    }
    Ok(())
}

fn earliest(c: &Connection, held: Held) -> Result<Option<Timestamp>> {
    let span = params![held.event.0, held.first, held.last, held.channel];
    let due: Option<i64> = c.prepare_cached(EARLIEST)?.query_row(span, |row| row.get(0))?;
    Ok(due.map(Timestamp))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    SEGMENT,
    ROW,
    FIRST_ACCEPTED,
    UNFOLD[0],
    UNFOLD[1],
    STAND,
    ATTEMPT,
    RETIRE,
    LOG_PUSH,
    EARLIEST,
    WAIT,
    GONE,
    EVENT,
    DONE,
    HOLDING,
    HURRY,
];
