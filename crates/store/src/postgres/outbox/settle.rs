//! Settlements: what became of rows, under the claim's generation. The segments of a batch are held first, so a claim is
//! checked once and stands until the batch is committed; writes of a lost one are left out and reported.
//!
//! All rows are written by one statement, which counts on each row standing where the caller saw it. Where one does not
//! (something else ended it meanwhile), the batch is undone and told again row by row against what stands.

use super::counts::Tally;
use crate::postgres::args::{Arg, Texts, params};
use crate::postgres::link::{Ask, Connection, OptionalExtension, Row};
use crate::sqlite::columns::word;
use crate::{Attempt, Result, Settle, Settled, Settlement, StoreError};
use model::event::EventState;
use model::{ChannelKind, DeliveryId, EventKey, Reason, SegmentKey, State, TenantKey, Timestamp};
use std::collections::{BTreeSet, HashMap, HashSet};

const FAST: &str = "SAVEPOINT fast";
const BACK: &str = "ROLLBACK TO fast";
const SEGMENTS: &str = "SELECT key, generation, node IS NOT NULL, tenant, event, channel, first, last, woken FROM segment \
    WHERE key = ANY ($1) ORDER BY key FOR UPDATE";
/// The usual case, an accepted first try of a row that was free to go.
/// What is folded into it stays, as long as the policy is the one that decided it. Columns side by side in a SELECT cost a tenth
/// less than in FROM, where each would be gathered before the first row is written.
const FIRST_ACCEPTED: &str = "UPDATE delivery SET state = 3, reason = 0, facts = delivery.facts >> 32 << 32 | u.facts, due = 0, attempts = 1, \
    at = u.at, policy = u.policy \
    FROM (SELECT unnest($1::bigint[]) AS event, unnest($2::bigint[]) AS person, unnest($3::bigint[]) AS seq, unnest($4::bigint[]) AS facts, \
    unnest($5::bigint[]) AS at, unnest($6::bigint[]) AS policy) u \
    WHERE delivery.event = u.event AND delivery.person = u.person AND delivery.seq = u.seq AND state = 1 AND reason = 0 \
    AND (delivery.policy = u.policy OR delivery.facts < 4294967296)";
/// What is folded into rows of another policy gets a row of its own: suppressed (4) mail (5) that was not needed (12).
const UNFOLD: [&str; 2] = [
    "INSERT INTO delivery (event, person, due, facts, policy, seq, channel, state, reason) \
    SELECT d.event, d.person, 0, d.facts >> 32, d.policy, d.seq + 1, 5, 4, 12 \
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS u (event, person, seq, policy) \
    JOIN delivery d ON d.event = u.event AND d.person = u.person AND d.seq = u.seq WHERE d.facts >= 4294967296 AND d.policy <> u.policy",
    "UPDATE delivery SET facts = facts & 4294967295 \
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS u (event, person, seq, policy) \
    WHERE delivery.event = u.event AND delivery.person = u.person AND delivery.seq = u.seq AND delivery.policy <> u.policy",
];
/// Applies only where the row stands as the caller saw it, so that the counts stay right.
const ROWS: &str = "UPDATE delivery SET state = u.state, reason = u.reason, facts = delivery.facts >> 32 << 32 | u.facts, due = u.due, \
    attempts = greatest(delivery.attempts, u.attempts), at = coalesce(u.at, delivery.at), policy = u.policy \
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], \
    $10::bigint[], $11::bigint[], $12::bigint[]) \
    AS u (event, person, seq, state, reason, facts, due, attempts, at, policy, was_state, was_reason) \
    WHERE delivery.event = u.event AND delivery.person = u.person AND delivery.seq = u.seq \
    AND delivery.state = u.was_state AND delivery.reason = u.was_reason AND (delivery.policy = u.policy OR delivery.facts < 4294967296)";
const STANDS: &str = "SELECT d.event, d.person, d.seq, d.state, d.reason \
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS u (event, person, seq) \
    JOIN delivery d ON d.event = u.event AND d.person = u.person AND d.seq = u.seq ORDER BY d.event, d.person, d.seq FOR UPDATE OF d";
const ATTEMPTS: &str = "INSERT INTO attempt (event, person, seq, number, at, outcome, code, status) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[]) \
    ON CONFLICT (event, person, seq, number) DO UPDATE SET at = excluded.at, outcome = excluded.outcome, code = excluded.code, \
    status = excluded.status";
const RETIRE: &str = "UPDATE registration SET state = 2, retired_code = u.code, version = registration.version + 1 \
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[]) AS u (tenant, key, version, code, since) \
    WHERE registration.tenant = u.tenant AND registration.key = u.key AND registration.version = u.version AND state = 1 \
    AND registered_at <= u.since";
const LOG_PUSHES: &str = "INSERT INTO push_log (tenant, person, at, event, seq) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) ON CONFLICT DO NOTHING";
const EARLIEST: &str = "SELECT u.key, (SELECT min(due) FROM delivery d WHERE d.event = u.event AND d.person BETWEEN u.first AND u.last \
    AND d.channel = u.channel AND d.state IN (1, 2)) \
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS u (key, event, first, last, channel)";
const WAIT: &str = "UPDATE segment SET node = NULL, due = u.due, woken = u.woken \
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS u (key, due, woken) WHERE segment.key = u.key";
const GONE: &str = "DELETE FROM segment WHERE key = ANY ($1)";
/// Held before anybody asks whether a segment of an event is left: of two that let the last two go, the second sees it,
/// and so does a settlement that meets the last page of a plan. The event's own row would be held by every page.
pub(super) const HOLD_END: &str = "SELECT pg_advisory_xact_lock(key) FROM (SELECT key FROM unnest($1::bigint[]) AS u (key) ORDER BY key) k";
const EVENTS: &str = "SELECT e.key, e.state FROM event e WHERE e.key = ANY ($1) AND NOT EXISTS (SELECT 1 FROM segment s WHERE s.event = e.key) \
    ORDER BY e.key";
/// Secrets that nobody fetches from an inbox are erased with the last delivery.
const DONE: &str = "UPDATE event SET state = 4, done_at = $2, \
    title = CASE WHEN sealed = 1 AND inbox_seq IS NULL THEN NULL ELSE title END, \
    body = CASE WHEN sealed = 1 AND inbox_seq IS NULL THEN NULL ELSE body END WHERE key = $1 AND state = 3";
const HOLDING: &str = "SELECT key, last, node IS NOT NULL, first FROM segment WHERE event = $1 AND channel = $2 AND first <= $3 \
    ORDER BY first DESC LIMIT 1 FOR UPDATE";
const HURRY: &str = "UPDATE segment SET due = least(due, $2) WHERE key = $1";

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

/// A claim that ends with the batch.
struct Release {
    segment: SegmentKey,
    held: Held,
    not_before: Timestamp,
}

/// What a batch asks first.
pub(super) fn look(batch: &[Settle]) -> Vec<Ask<'static>> {
    let keys: BTreeSet<i64> = batch
        .iter()
        .map(|entry| match entry {
            Settle::Row(row) => row.segment.0,
            Settle::Release { segment, .. } => segment.0,
        })
        .collect();
    let keys: Vec<i64> = keys.into_iter().collect();
    vec![(FAST, Vec::new()), (SEGMENTS, vec![Arg::Ints(keys.into())])]
}

/// Writes a batch; `seen` is what was answered to [`look`].
pub(super) fn settle(c: &Connection, now: Timestamp, batch: &[Settle], seen: &[Vec<Row>]) -> Result<Settled> {
    match write(c, now, (batch, seen), false) {
        Ok(Some(settled)) => Ok(settled),
        Ok(None) => {
            c.batch(BACK)?;
            write(c, now, (batch, &c.round(&look(batch))?), true)?
                .ok_or_else(|| StoreError::Broken("a row of a held segment moved under its hold".into()))
        }
        Err(error) => Err(error),
    }
}

/// Writes it; `None` when a row does not stand where it was seen and `careful` did not look first.
fn write(c: &Connection, now: Timestamp, (batch, seen): (&[Settle], &[Vec<Row>]), careful: bool) -> Result<Option<Settled>> {
    let segments = segments(seen)?;
    let mut settled = Settled::default();
    let mut over: HashSet<(SegmentKey, i64)> = HashSet::new();
    let mut rows = Rows::new(batch.len(), now, careful);
    let mut releases: Vec<Release> = Vec::new();
    for entry in batch {
        let claim = match entry {
            Settle::Row(row) => (row.segment, row.generation),
            Settle::Release { segment, generation, .. } => (*segment, *generation),
        };
        let held = segments.get(&claim.0).filter(|held| held.claimed && held.generation == claim.1 && !over.contains(&claim));
        let Some(held) = held else {
            if !settled.lost.contains(&claim.0) {
                settled.lost.push(claim.0);
            }
            continue;
        };
        match entry {
            Settle::Row(row) => {
                if !rows.take(c, held.tenant, row)? {
                    return Ok(None);
                }
            }
            Settle::Release { segment, not_before, .. } => {
                releases.push(Release { segment: *segment, held: *held, not_before: *not_before });
                over.insert(claim);
            }
        }
    }
    // What this batch wrote decides what its segments wait for.
    let earliest = earliest(&releases);
    let Some(due) = rows.write(c, earliest.as_slice())? else { return Ok(None) };
    release(c, now, &releases, &due, &mut settled)?;
    rows.tally.write(c);
    Ok(Some(settled))
}

/// The segments of a batch, held until it is committed.
fn segments(seen: &[Vec<Row>]) -> Result<HashMap<SegmentKey, Held>> {
    let mut held = HashMap::new();
    for row in seen.iter().flatten() {
        let one = Held {
            generation: row.get(1)?,
            claimed: row.get(2)?,
            tenant: TenantKey(row.get(3)?),
            event: EventKey(row.get(4)?),
            channel: row.get(5)?,
            first: row.get(6)?,
            last: row.get(7)?,
            woken: row.get(8)?,
        };
        held.insert(SegmentKey(row.get(0)?), one);
    }
    Ok(held)
}

/// What is written about rows, gathered column by column.
struct Rows<'b> {
    now: Timestamp,
    careful: bool,
    met: HashSet<DeliveryId>,
    accepted: [Vec<i64>; 6],
    others: [Vec<i64>; 12],
    times: Vec<Option<i64>>,
    waiting: Vec<(TenantKey, &'b Settlement)>,
    tally: Tally,
}

impl<'b> Rows<'b> {
    fn new(rows: usize, now: Timestamp, careful: bool) -> Rows<'b> {
        Rows {
            now,
            careful,
            met: HashSet::with_capacity(rows),
            accepted: std::array::from_fn(|_| Vec::new()),
            others: std::array::from_fn(|_| Vec::new()),
            times: Vec::new(),
            waiting: Vec::with_capacity(rows),
            tally: Tally::default(),
        }
    }

    /// Takes a row up; one that was met before is written first, so that both count.
    fn take(&mut self, c: &Connection, tenant: TenantKey, row: &'b Settlement) -> Result<bool> {
        if !self.met.insert(row.id) {
            if self.write(c, &[])?.is_none() {
                return Ok(false);
            }
            self.met.insert(row.id);
        }
        self.waiting.push((tenant, row));
        Ok(true)
    }

    /// Writes what was taken up and asks what is to be known then; answers that, or nothing when a row did not stand where it
    /// was seen.
    fn write(&mut self, c: &Connection, then: &[Ask<'_>]) -> Result<Option<Vec<Vec<Row>>>> {
        let waiting = std::mem::take(&mut self.waiting);
        self.met.clear();
        if waiting.is_empty() {
            return Ok(Some(c.round(then)?));
        }
        let stands = if self.careful { Some(stands(c, &waiting)?) } else { None };
        for (_, row) in &waiting {
            let Some(was) = stand_of(row, stands.as_ref()) else { continue };
            self.gather(row, was);
            self.tally.moved(row.id.event, row.channel, was, row.now);
        }
        let answers = self.flush(c, then)?;
        if answers.is_some() {
            attempts(c, &waiting)?;
            retire(c, &waiting)?;
            log_pushes(c, &waiting, self.now)?;
        }
        Ok(answers)
    }

    fn gather(&mut self, row: &Settlement, was: (State, Reason)) {
        let id = row.id;
        let attempt = row.attempt.as_ref();
        let usual = was == (State::Scheduled, Reason::None) && row.now == (State::Accepted, Reason::None);
        if let Some(attempt) = attempt.filter(|attempt| usual && attempt.number == 1) {
            let values = [id.event.0, id.person.into(), id.seq.into(), row.facts.0.into(), attempt.at.0, row.policy_version];
            self.accepted.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
            return;
        }
        let values = [
            id.event.0,
            id.person.into(),
            id.seq.into(),
            row.now.0.number().into(),
            row.now.1.number().into(),
            row.facts.0.into(),
            if row.now.0.is_final() { 0 } else { row.due.0 },
            attempt.map_or(0, |attempt| attempt.number.into()),
            0,
            row.policy_version,
            was.0.number().into(),
            was.1.number().into(),
        ];
        self.others.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        self.times.push(attempt.map(|attempt| attempt.at.0));
    }

    fn flush(&mut self, c: &Connection, then: &[Ask<'_>]) -> Result<Option<Vec<Vec<Row>>>> {
        let (accepted, others) = (std::mem::take(&mut self.accepted), std::mem::take(&mut self.others));
        let times = std::mem::take(&mut self.times);
        let mut answers = None;
        if !accepted[0].is_empty() {
            let [event, person, seq, facts, at, policy] = &accepted;
            // The questions go with the last statement.
            let then = if others[0].is_empty() { then } else { &[] };
            let (written, rows) = c.execute_and((FIRST_ACCEPTED, params![event, person, seq, facts, at, policy]), then)?;
            if written != event.len() {
                return Ok(None);
            }
            answers = Some(rows);
        }
        if !others[0].is_empty() {
            let [event, person, seq, state, reason, facts, due, tries, _, policy, was_state, was_reason] = &others;
            let values = params![event, person, seq, state, reason, facts, due, tries, times, policy, was_state, was_reason];
            let (written, rows) = c.execute_and((ROWS, values), then)?;
            if written != event.len() {
                return Ok(None);
            }
            answers = Some(rows);
        }
        match answers {
            Some(answers) => Ok(Some(answers)),
            // Nothing of it is written: each row was ended by something else.
            None => Ok(Some(c.round(then)?)),
        }
    }
}

type Stands = HashMap<DeliveryId, (State, Reason)>;

/// Where rows stand, held; what is folded into rows whose policy changes stands alone afterwards.
fn stands(c: &Connection, rows: &[(TenantKey, &Settlement)]) -> Result<Stands> {
    let column = |of: fn(&Settlement) -> i64| rows.iter().map(|(_, row)| of(row)).collect::<Vec<i64>>();
    let (events, people, seqs) = (column(|row| row.id.event.0), column(|row| row.id.person.into()), column(|row| row.id.seq.into()));
    for sql in UNFOLD {
        c.prepare_cached(sql)?.execute(params![events.clone(), people.clone(), seqs.clone(), column(|row| row.policy_version)])?;
    }
    let ids = params![events, people, seqs];
    let mut stands = HashMap::with_capacity(rows.len());
    for row in c.prepare_cached(STANDS)?.all(ids)? {
        let id = super::plan::id_of(EventKey(row.get(0)?), row.get(1)?, row.get(2)?);
        stands.insert(id, (word(State::from_number, row.get(3)?, "state")?, word(Reason::from_number, row.get(4)?, "reason")?));
    }
    Ok(stands)
}

/// From where a row moves; `None` when it stays. A row that something else ended meanwhile (a receipt, a leaver) stays as
/// it is, unless the provider took the message: what was sent was sent.
fn stand_of(row: &Settlement, stands: Option<&Stands>) -> Option<(State, Reason)> {
    let Some(stands) = stands else { return Some(row.was) };
    let was = *stands.get(&row.id)?;
    let stays = was != row.was && was.0.is_final() && (row.now.0 != State::Accepted || was.0 == State::Accepted);
    (!stays).then_some(was)
}

/// Keeps every try but an accepted first one, whose time stands in the delivery.
fn attempts(c: &Connection, rows: &[(TenantKey, &Settlement)]) -> Result<()> {
    let kept: Vec<(&Settlement, &Attempt)> = rows
        .iter()
        .filter_map(|(_, row)| row.attempt.as_ref().map(|attempt| (*row, attempt)))
        .filter(|(row, attempt)| !(attempt.number == 1 && row.now.0 == State::Accepted))
        .collect();
    if kept.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&(&Settlement, &Attempt)) -> i64| kept.iter().map(of).collect::<Vec<i64>>();
    // PostgreSQL keeps no NUL in a text.
    let outcomes: Vec<String> = kept.iter().map(|(_, attempt)| attempt.outcome.replace('\0', "")).collect();
    let codes: Vec<String> = kept.iter().map(|(_, attempt)| attempt.code.replace('\0', "")).collect();
    c.prepare_cached(ATTEMPTS)?.execute(params![
        column(|(row, _)| row.id.event.0),
        column(|(row, _)| row.id.person.into()),
        column(|(row, _)| row.id.seq.into()),
        column(|(_, attempt)| attempt.number.into()),
        column(|(_, attempt)| attempt.at.0),
        Texts(&outcomes),
        Texts(&codes),
        column(|(_, attempt)| attempt.status.into())
    ])?;
    Ok(())
}

/// Retires registrations, unless they changed since they were sent to, or were made after they were gone.
fn retire(c: &Connection, rows: &[(TenantKey, &Settlement)]) -> Result<()> {
    let gone: Vec<_> = rows.iter().filter_map(|(tenant, row)| row.retire.as_ref().map(|gone| (*tenant, gone))).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let codes: Vec<String> = gone.iter().map(|(_, gone)| gone.code.replace('\0', "")).collect();
    c.prepare_cached(RETIRE)?.execute(params![
        gone.iter().map(|(tenant, _)| tenant.0.into()).collect::<Vec<i64>>(),
        gone.iter().map(|(_, gone)| gone.registration.0.into()).collect::<Vec<i64>>(),
        gone.iter().map(|(_, gone)| gone.version).collect::<Vec<i64>>(),
        Texts(&codes),
        gone.iter().map(|(_, gone)| gone.gone_since.unwrap_or(Timestamp::NEVER).0).collect::<Vec<i64>>()
    ])?;
    Ok(())
}

fn log_pushes(c: &Connection, rows: &[(TenantKey, &Settlement)], now: Timestamp) -> Result<()> {
    let pushes: Vec<_> = rows.iter().filter(|(_, row)| row.log_push && row.now.0 == State::Accepted).collect();
    if pushes.is_empty() {
        return Ok(());
    }
    let at = |row: &Settlement| row.attempt.as_ref().map_or(now, |attempt| attempt.at).0;
    c.prepare_cached(LOG_PUSHES)?.execute(params![
        pushes.iter().map(|(tenant, _)| tenant.0.into()).collect::<Vec<i64>>(),
        pushes.iter().map(|(_, row)| row.id.person.into()).collect::<Vec<i64>>(),
        pushes.iter().map(|(_, row)| at(row)).collect::<Vec<i64>>(),
        pushes.iter().map(|(_, row)| row.id.event.0).collect::<Vec<i64>>(),
        pushes.iter().map(|(_, row)| row.id.seq.into()).collect::<Vec<i64>>()
    ])?;
    Ok(())
}

/// For what released segments wait: the question.
fn earliest(releases: &[Release]) -> Vec<Ask<'static>> {
    if releases.is_empty() {
        return Vec::new();
    }
    let column = |of: fn(&Release) -> i64| Arg::Ints(releases.iter().map(of).collect::<Vec<i64>>().into());
    let spans = vec![
        column(|one| one.segment.0),
        column(|one| one.held.event.0),
        column(|one| one.held.first.into()),
        column(|one| one.held.last.into()),
        column(|one| one.held.channel.into()),
    ];
    vec![(EARLIEST, spans)]
}

/// Lets segments wait for their earliest rows, or removes them; `due` is what was answered to [`earliest`]. A wake that came
/// while one was claimed makes it due at once.
fn release(c: &Connection, now: Timestamp, releases: &[Release], due: &[Vec<Row>], settled: &mut Settled) -> Result<()> {
    if releases.is_empty() {
        return Ok(());
    }
    let mut earliest: HashMap<SegmentKey, Option<i64>> = HashMap::with_capacity(releases.len());
    for row in due.iter().flatten() {
        earliest.insert(SegmentKey(row.get(0)?), row.get(1)?);
    }
    let (mut waits, mut gone, mut events) = ([const { Vec::new() }; 3], Vec::new(), BTreeSet::new());
    for Release { segment, held, not_before } in releases {
        let Some(due) = earliest.get(segment).copied().flatten() else {
            gone.push(segment.0);
            events.insert(held.event.0);
            continue;
        };
        let woken = if held.woken > held.generation { held.woken } else { 0 };
        let due = if woken > 0 { now } else { Timestamp(due).max(*not_before) };
        settled.next_due = Some(settled.next_due.map_or(due, |next| next.min(due)));
        waits.iter_mut().zip([segment.0, due.0, woken]).for_each(|(column, value)| column.push(value));
    }
    if !waits[0].is_empty() {
        c.at_the_end(WAIT, waits.into_iter().map(|column| Arg::Ints(column.into())).collect());
    }
    if !gone.is_empty() {
        settled.done.extend(finish(c, now, gone, events.into_iter().collect())?);
    }
    Ok(())
}

/// Removes segments; answers which events are over with them.
fn finish(c: &Connection, now: Timestamp, gone: Vec<i64>, events: Vec<i64>) -> Result<Vec<EventKey>> {
    let events = Arg::Ints(events.into());
    let answers = c.round(&[(GONE, vec![Arg::Ints(gone.into())]), (HOLD_END, vec![events.clone()]), (EVENTS, vec![events])])?;
    let mut over = Vec::new();
    for row in answers.last().into_iter().flatten() {
        let (key, state): (i64, u8) = (row.get(0)?, row.get(1)?);
        if state == EventState::Sending.number() {
            c.prepare_cached(DONE)?.execute([key, now.0])?;
            over.push(EventKey(key));
        } else if state == EventState::Cancelled.number() {
            over.push(EventKey(key));
        }
    }
    Ok(over)
}

/// After a row of a person was ended or hurried outside a claim: the waiting segment that holds it is looked at anew; a
/// claimed one is when its claim ends.
pub(super) fn look_again(c: &Connection, now: Timestamp, event: EventKey, channel: ChannelKind, person: u32) -> Result<()> {
    let mut holding = c.prepare_cached(HOLDING)?;
    let found = holding.query_row(params![event.0, channel.number(), person], |row| {
        Ok((row.get::<i64>(0)?, row.get::<u32>(1)?, row.get::<bool>(2)?, row.get::<u32>(3)?))
    });
    let Some((key, last, claimed, first)) = found.optional()? else { return Ok(()) };
    if last < person || claimed {
        return Ok(());
    }
    let one = |value: i64| vec![value];
    let span = params![one(key), one(event.0), one(first.into()), one(last.into()), one(channel.number().into())];
    let earliest: Option<i64> = c.prepare_cached(EARLIEST)?.query_row(span, |row| row.get(1))?;
    match earliest {
        Some(due) if due <= now.0 => {
            c.prepare_cached(HURRY)?.execute([key, now.0])?;
        }
        // It keeps the time that it had: a release may have set it later than its rows (pacing).
        Some(_) => {}
        None => {
            finish(c, now, one(key), one(event.0))?;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    SEGMENTS,
    FIRST_ACCEPTED,
    UNFOLD[0],
    UNFOLD[1],
    ROWS,
    STANDS,
    ATTEMPTS,
    RETIRE,
    LOG_PUSHES,
    EARLIEST,
    WAIT,
    GONE,
    HOLD_END,
    EVENTS,
    DONE,
    HOLDING,
    HURRY,
];
