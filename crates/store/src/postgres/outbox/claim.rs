//! Claims: who works on which segment, fenced by a generation that grows with each claim; what a claim holds; and the
//! wakes that make waiting segments due early.
//!
//! Processes that claim at the same time pass over each other's rows (`SKIP LOCKED`). A wake cannot be lost to a claim
//! that is under way: it notes the generation from which on the segment is looked at whole, and a release of an earlier
//! generation makes the segment due at once.

use super::plan::lane_number;
use crate::folded;
use crate::postgres::args::params;
use crate::postgres::facts;
use crate::postgres::link::{Connection, OptionalExtension};
use crate::sqlite::columns::word;
use crate::{Claim, DueRow, FactsDepth, FactsPage, Lease, Loaded, Result};
use model::event::EventState;
use model::{ChannelKind, DeviceKey, EventKey, Lane, PersonKey, Reason, RegistrationKey, SegmentKey, State, TenantKey, Timestamp};

const DUE: &str = "SELECT s.key, s.generation, s.tenant, s.event, s.first, s.last, s.due, s.channel FROM unnest($2::bigint[]) AS c (channel) \
    CROSS JOIN LATERAL (SELECT * FROM segment WHERE lane = $1 AND channel = c.channel AND due <= $3 ORDER BY due LIMIT $4 \
    FOR UPDATE SKIP LOCKED) s";
const TAKE: &str = "UPDATE segment SET generation = u.generation, node = $3, due = $4 \
    FROM unnest($1::bigint[], $2::bigint[]) AS u (key, generation) WHERE segment.key = u.key";
const NEXT_DUE: &str = "SELECT min(s.due) FROM unnest($2::bigint[]) AS c (channel) CROSS JOIN LATERAL \
    (SELECT due FROM segment WHERE lane = $1 AND channel = c.channel AND due > $3 ORDER BY due LIMIT 1) s";
const RENEW: &str = "UPDATE segment SET due = $3 FROM unnest($1::bigint[], $2::bigint[]) AS u (key, generation) \
    WHERE segment.key = u.key AND segment.generation = u.generation AND segment.node IS NOT NULL RETURNING segment.key";
const STAND: &str = "SELECT s.generation, s.woken, e.state FROM segment s JOIN event e ON e.key = s.event WHERE s.key = $1";
/// With `$6` (cancelled) or `$7` (woken) every row that is not final, whenever it is due: the caller may end it early.
const ROWS: &str = "SELECT person, seq, device, registration, state, reason, facts, attempts, due FROM delivery \
    WHERE event = $1 AND person BETWEEN $2 AND $3 AND channel = $4 AND state IN (1, 2) \
    AND (due <= (SELECT coalesce($5, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)) OR $6::bigint = 1 OR $7::bigint = 1) \
    ORDER BY person, seq";
const WAKE_CHANNEL: &str = "WITH held AS (SELECT key FROM segment WHERE lane IN (1, 2) AND channel = $2 AND tenant = $1 ORDER BY key FOR UPDATE) \
    UPDATE segment SET woken = generation + 1, due = CASE WHEN node IS NULL THEN least(due, $3) ELSE due END \
    FROM held WHERE segment.key = held.key";
const OUR_FAULTS: &str = "SELECT s.key FROM segment s WHERE EXISTS (SELECT 1 FROM delivery_count n \
    WHERE n.event = s.event AND n.channel = s.channel AND n.state = 2 AND n.reason = 28 AND n.rows > 0) ORDER BY s.key";
const SPAN: &str = "SELECT event, channel, first, last FROM segment WHERE key = $1 FOR UPDATE";
const MEND_ROWS: &str = "UPDATE delivery SET due = $5 WHERE event = $1 AND person BETWEEN $2 AND $3 AND channel = $4 \
    AND state = 2 AND reason = 28 AND due > $5";
const MEND_SEGMENT: &str = "UPDATE segment SET due = least(due, $2) WHERE key = $1 AND node IS NULL";
/// Claims of processes that do not live.
const VOID_CLAIMS: &str = "UPDATE segment SET node = NULL, generation = generation + 1, due = 0 WHERE node IS NOT NULL \
    AND NOT EXISTS (SELECT 1 FROM node n WHERE n.node = segment.node AND n.until > $1)";

/// Claims segments that are due, the earliest first.
pub(super) fn claim(
    c: &Connection,
    now: Timestamp,
    channels: &[ChannelKind],
    lane: Lane,
    lease: Lease,
    limit: u32,
) -> Result<(Vec<Claim>, Option<Timestamp>)> {
    let wanted: Vec<i64> = channels.iter().map(|channel| channel.number().into()).collect();
    let mut found: Vec<(i64, Claim)> = Vec::new();
    for row in c.prepare_cached(DUE)?.all(params![lane_number(lane), wanted, now.0, limit])? {
        let claim = Claim {
            segment: SegmentKey(row.get(0)?),
            generation: row.get::<i64>(1)? + 1,
            tenant: TenantKey(row.get(2)?),
            event: EventKey(row.get(3)?),
            channel: word(ChannelKind::from_number, row.get(7)?, "channel")?,
            from: PersonKey(row.get(4)?),
            to: PersonKey(row.get(5)?),
            lane,
        };
        found.push((row.get(6)?, claim));
    }
    found.sort_by_key(|(due, claim)| (*due, claim.segment));
    let all = found.len();
    found.truncate(limit as usize);
    let full = found.len() == limit as usize;
    if !found.is_empty() {
        let keys: Vec<i64> = found.iter().map(|(_, claim)| claim.segment.0).collect();
        let generations: Vec<i64> = found.iter().map(|(_, claim)| claim.generation).collect();
        c.prepare_cached(TAKE)?.execute(params![keys, generations, lease.node.as_bytes(), lease.until.0])?;
    }
    let claims: Vec<Claim> = found.into_iter().map(|(_, claim)| claim).collect();
    // A full hand may have left some that are due; whether there are any costs one look more.
    let behind = if full { i64::MIN } else { now.0 };
    let next = if all > claims.len() {
        Some(now)
    } else {
        c.prepare_cached(NEXT_DUE)?.query_row(params![lane_number(lane), wanted, behind], |row| row.get::<Option<i64>>(0))?.map(Timestamp)
    };
    Ok((claims, next))
}

/// Prolongs claims; answers those that are lost.
pub(super) fn renew(c: &Connection, claims: &[(SegmentKey, i64)], until: Timestamp) -> Result<Vec<SegmentKey>> {
    // In one order, as every statement that holds several segments.
    let mut sorted = claims.to_vec();
    sorted.sort_unstable();
    let keys: Vec<i64> = sorted.iter().map(|(segment, _)| segment.0).collect();
    let generations: Vec<i64> = sorted.iter().map(|(_, generation)| *generation).collect();
    let kept = c.prepare_cached(RENEW)?.query_map(params![keys, generations, until.0], |row| row.get::<i64>(0))?;
    Ok(claims.iter().map(|(segment, _)| *segment).filter(|segment| !kept.contains(&segment.0)).collect())
}

/// The rows of a claim that are due, with the facts of their people. A lost claim holds nothing. Without `now` the
/// database's clock says what is due.
pub(super) fn load(c: &Connection, now: Option<i64>, claim: &Claim, depth: FactsDepth) -> Result<Loaded> {
    let mut stand = c.prepare_cached(STAND)?;
    let found = stand.query_row([claim.segment.0], |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?, row.get::<u8>(2)?)));
    let Some((generation, woken, state)) = found.optional()? else { return Ok(Loaded::default()) };
    if generation != claim.generation {
        return Ok(Loaded::default());
    }
    let cancelled = state == EventState::Cancelled.number();
    let woken = woken != 0 && woken <= generation;
    let rows = due_rows(c, now, claim, cancelled, woken)?;
    let mut people: Vec<PersonKey> = rows.iter().map(|row| row.person).collect();
    people.dedup();
    let facts = match (people.first(), people.last()) {
        (Some(first), Some(last)) if dense(people.len(), *first, *last) => facts::range(c, claim.tenant, *first, *last, depth)?,
        (Some(_), Some(_)) => facts::page(c, claim.tenant, &people, depth)?,
        _ => FactsPage::default(),
    };
    Ok(Loaded { rows, facts })
}

/// Whether people lie so close together that one scan over the span is the cheaper way.
fn dense(people: usize, first: PersonKey, last: PersonKey) -> bool {
    people > 8 && (last.0 - first.0) as usize <= people.saturating_mul(2)
}

fn due_rows(c: &Connection, now: Option<i64>, claim: &Claim, all: bool, woken: bool) -> Result<Vec<DueRow>> {
    let mut select = c.prepare_cached(ROWS)?;
    let rows = select.all(params![claim.event.0, claim.from.0, claim.to.0, claim.channel.number(), now, all, woken])?;
    let mut due = Vec::with_capacity(rows.len());
    for row in &rows {
        due.push(DueRow {
            person: PersonKey(row.get(0)?),
            seq: row.get(1)?,
            device: row.get::<Option<u32>>(2)?.map(DeviceKey),
            registration: row.get::<Option<u32>>(3)?.map(RegistrationKey),
            state: word(State::from_number, row.get(4)?, "state")?,
            reason: word(Reason::from_number, row.get(5)?, "reason")?,
            facts: folded::own_facts(row.get(6)?),
            attempts: row.get(7)?,
            due: Timestamp(row.get(8)?),
        });
    }
    Ok(due)
}

/// Frees claims of processes that do not live, and fences them off.
pub(super) fn void_claims(c: &Connection, now: Timestamp) -> Result<u64> {
    Ok(c.prepare_cached(VOID_CLAIMS)?.execute([now.0])? as u64)
}

/// Makes waiting segments of a channel due now; answers how many there are.
pub(super) fn wake_channel(c: &Connection, now: Timestamp, tenant: TenantKey, channel: ChannelKind) -> Result<u64> {
    Ok(c.prepare_cached(WAKE_CHANNEL)?.execute(params![tenant.0, channel.number(), now.0])? as u64)
}

/// Segments that hold a row which waits because of a fault of ours.
pub(super) fn with_our_faults(c: &Connection) -> Result<Vec<SegmentKey>> {
    Ok(c.prepare_cached(OUR_FAULTS)?.query_map(params![], |row| Ok(SegmentKey(row.get(0)?)))?)
}

/// Makes such rows of one segment due now; answers how many.
pub(super) fn retry_our_faults(c: &Connection, now: Timestamp, segment: SegmentKey) -> Result<u64> {
    let mut span = c.prepare_cached(SPAN)?;
    let found = span.query_row([segment.0], |row| Ok((row.get::<i64>(0)?, row.get::<u8>(1)?, row.get::<u32>(2)?, row.get::<u32>(3)?)));
    let Some((event, channel, first, last)) = found.optional()? else { return Ok(0) };
    let rows = c.prepare_cached(MEND_ROWS)?.execute(params![event, first, last, channel, now.0])?;
    if rows > 0 {
        c.prepare_cached(MEND_SEGMENT)?.execute([segment.0, now.0])?;
    }
    Ok(rows as u64)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[DUE, TAKE, NEXT_DUE, RENEW, STAND, ROWS, WAKE_CHANNEL, OUR_FAULTS, SPAN, MEND_ROWS, MEND_SEGMENT, VOID_CLAIMS];
