//! Claims: who works on which segment, fenced by a generation that grows with each claim; what a claim holds; and the
//! wakes that make waiting segments due early.
//!
//! A wake cannot be lost to a claim that is under way: it notes the generation from which on the segment is looked at
//! whole, and a release of an earlier generation makes the segment due at once.

use super::super::columns::word;
use super::super::{facts, opening};
use super::plan::lane_number;
use crate::folded;
use crate::{Claim, DueRow, FactsDepth, FactsPage, Lease, Loaded, Result};
use model::event::EventState;
use model::{ChannelKind, DeviceKey, EventKey, Lane, PersonKey, Reason, RegistrationKey, SegmentKey, State, TenantKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

const DUE: &str = "SELECT key, generation, tenant, event, first, last, due FROM segment \
    WHERE lane = ?1 AND channel = ?2 AND due <= ?3 ORDER BY due LIMIT ?4";
const TAKE: &str = "UPDATE segment SET generation = ?2, node = ?3, due = ?4 WHERE key = ?1";
const NEXT_DUE: &str = "SELECT min(due) FROM segment WHERE lane = ?1 AND channel = ?2 AND due > ?3";
const RENEW: &str = "UPDATE segment SET due = ?3 WHERE key = ?1 AND generation = ?2 AND node IS NOT NULL";
const STAND: &str = "SELECT s.generation, s.woken, e.state FROM segment s JOIN event e ON e.key = s.event WHERE s.key = ?1";
/// With `?6` (cancelled) or `?7` (woken) every row that is not final, whenever it is due: the caller may end it early.
const ROWS: &str = "SELECT person, seq, device, registration, state, reason, facts, attempts, due FROM delivery \
    WHERE event = ?1 AND person BETWEEN ?2 AND ?3 AND channel = ?4 AND state IN (1, 2) \
    AND (due <= ?5 OR ?6 OR ?7) ORDER BY person, seq";
const WAKE_CHANNEL: &str = "UPDATE segment SET woken = generation + 1, due = CASE WHEN node IS NULL THEN min(due, ?3) ELSE due END \
    WHERE lane IN (1, 2) AND channel = ?2 AND tenant = ?1";
const OUR_FAULTS: &str = "SELECT s.key FROM segment s WHERE EXISTS (SELECT 1 FROM delivery_count n \
    WHERE n.event = s.event AND n.channel = s.channel AND n.state = 2 AND n.reason = 28 AND n.rows > 0) ORDER BY s.key";
const SPAN: &str = "SELECT event, channel, first, last FROM segment WHERE key = ?1";
const MEND_ROWS: &str = "UPDATE delivery SET due = ?5 WHERE event = ?1 AND person BETWEEN ?2 AND ?3 AND channel = ?4 \
    AND state = 2 AND reason = 28 AND due > ?5";
const MEND_SEGMENT: &str = "UPDATE segment SET due = min(due, ?2) WHERE key = ?1 AND node IS NULL";

/// Claims segments that are due, the earliest first.
pub(super) fn claim(
    c: &Connection,
    now: Timestamp,
    channels: &[ChannelKind],
    lane: Lane,
    lease: Lease,
    limit: u32,
) -> Result<(Vec<Claim>, Option<Timestamp>)> {
    let mut due = c.prepare_cached(DUE)?;
    let mut found: Vec<(i64, Claim)> = Vec::new();
    for channel in channels {
        let mut rows = due.query(params![lane_number(lane), channel.number(), now.0, limit])?;
        while let Some(row) = rows.next()? {
            let claim = Claim {
                segment: SegmentKey(row.get(0)?),
                generation: row.get::<_, i64>(1)? + 1,
                tenant: TenantKey(row.get(2)?),
                event: EventKey(row.get(3)?),
                channel: *channel,
                from: PersonKey(row.get(4)?),
                to: PersonKey(row.get(5)?),
                lane,
            };
            found.push((row.get(6)?, claim));
        }
    }
    found.sort_by_key(|(due, claim)| (*due, claim.segment));
    let all = found.len();
    found.truncate(limit as usize);
    let full = found.len() == limit as usize;
    let mut take = c.prepare_cached(TAKE)?;
    for (_, claim) in &found {
        take.execute(params![claim.segment.0, claim.generation, lease.node.as_bytes(), lease.until.0])?;
    }
    let claims: Vec<Claim> = found.into_iter().map(|(_, claim)| claim).collect();
    // A full hand may have left some that are due; whether there are any costs one look more.
    let next = if all > claims.len() { Some(now) } else { next_due(c, channels, lane, if full { Timestamp(i64::MIN) } else { now })? };
    Ok((claims, next))
}

fn next_due(c: &Connection, channels: &[ChannelKind], lane: Lane, behind: Timestamp) -> Result<Option<Timestamp>> {
    let mut next = c.prepare_cached(NEXT_DUE)?;
    let mut earliest: Option<i64> = None;
    for channel in channels {
        let due: Option<i64> = next.query_row(params![lane_number(lane), channel.number(), behind.0], |row| row.get(0))?;
        earliest = [earliest, due].into_iter().flatten().min();
    }
    Ok(earliest.map(Timestamp))
}

/// Prolongs claims; answers those that are lost.
pub(super) fn renew(c: &Connection, claims: &[(SegmentKey, i64)], until: Timestamp) -> Result<Vec<SegmentKey>> {
    let mut renew = c.prepare_cached(RENEW)?;
    let mut lost = Vec::new();
    for (segment, generation) in claims {
        if renew.execute([segment.0, *generation, until.0])? == 0 {
            lost.push(*segment);
        }
    }
    Ok(lost)
}

/// The rows of a claim that are due, with the facts of their people. A lost claim holds nothing.
pub(super) fn load(c: &Connection, now: Timestamp, claim: &Claim, depth: FactsDepth) -> Result<Loaded> {
    let mut stand = c.prepare_cached(STAND)?;
    let found = stand.query_row([claim.segment.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, u8>(2)?)));
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

fn due_rows(c: &Connection, now: Timestamp, claim: &Claim, all: bool, woken: bool) -> Result<Vec<DueRow>> {
    let mut select = c.prepare_cached(ROWS)?;
    let mut rows = select.query(params![claim.event.0, claim.from.0, claim.to.0, claim.channel.number(), now.0, all, woken])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        due.push(DueRow {
            person: PersonKey(row.get(0)?),
            seq: row.get(1)?,
            device: row.get::<_, Option<u32>>(2)?.map(DeviceKey),
            registration: row.get::<_, Option<u32>>(3)?.map(RegistrationKey),
            state: word(State::from_number, row.get(4)?, "state")?,
            reason: word(Reason::from_number, row.get(5)?, "reason")?,
            facts: folded::own_facts(row.get(6)?),
            attempts: row.get(7)?,
            due: Timestamp(row.get(8)?),
        });
    }
    Ok(due)
}

/// Frees every claim and fences its holder off.
pub(super) fn void_claims(c: &Connection) -> Result<u64> {
    Ok(c.prepare_cached(opening::VOID_CLAIMS)?.execute([])? as u64)
}

/// Makes waiting segments of a channel due now; answers how many there are.
pub(super) fn wake_channel(c: &Connection, now: Timestamp, tenant: TenantKey, channel: ChannelKind) -> Result<u64> {
    Ok(c.prepare_cached(WAKE_CHANNEL)?.execute(params![tenant.0, channel.number(), now.0])? as u64)
}

/// Segments that hold a row which waits because of a fault of ours.
pub(super) fn with_our_faults(c: &Connection) -> Result<Vec<SegmentKey>> {
    let mut select = c.prepare_cached(OUR_FAULTS)?;
    let keys = select.query_map([], |row| Ok(SegmentKey(row.get(0)?)))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// Makes such rows of one segment due now; answers how many.
pub(super) fn retry_our_faults(c: &Connection, now: Timestamp, segment: SegmentKey) -> Result<u64> {
    let mut span = c.prepare_cached(SPAN)?;
    let found =
        span.query_row([segment.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u8>(1)?, row.get::<_, u32>(2)?, row.get::<_, u32>(3)?)));
    let Some((event, channel, first, last)) = found.optional()? else { return Ok(0) };
    let rows = c.prepare_cached(MEND_ROWS)?.execute(params![event, first, last, channel, now.0])?;
    if rows > 0 {
        c.prepare_cached(MEND_SEGMENT)?.execute([segment.0, now.0])?;
    }
    Ok(rows as u64)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[DUE, TAKE, NEXT_DUE, RENEW, STAND, ROWS, WAKE_CHANNEL, OUR_FAULTS, SPAN, MEND_ROWS, MEND_SEGMENT, opening::VOID_CLAIMS];
