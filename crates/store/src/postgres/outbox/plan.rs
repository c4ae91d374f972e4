//! Plans: rows of delivery, the segments that hold them, the counts and the cursor, a page at a time. The event's row is
//! held over the page: two processes that plan the same event take turns, and a page that the cursor covers already does
//! nothing. Rows go in by COPY.

use super::counts::Tally;
use super::{inbox, settle};
use crate::folded;
use crate::postgres::args::{Arg, params};
use crate::postgres::link::{Ask, Connection, Row};
use crate::postgres::{Span, copy};
use crate::sqlite::columns::unsigned;
use crate::{Claim, Lease, PagePlan, PlannedRow, Result};
use bytes::Bytes;
use model::event::EventState;
use model::{ChannelKind, DeliveryId, EventKey, Lane, PersonKey, SegmentKey, TenantKey, Timestamp};

const WHERE_IT_STANDS: &str = "SELECT tenant, state, cursor, recipients, planned_people FROM event WHERE key = $1 FOR NO KEY UPDATE";
const ROWS: &str = "COPY delivery (event, person, due, device, registration, facts, policy, seq, channel, state, reason) \
    FROM STDIN (FORMAT binary)";
const SEGMENTS: &str = "INSERT INTO segment (tenant, event, channel, lane, first, last, due, generation, node) \
    SELECT $1, $2, u.channel, $4, $5, $6, u.due, u.generation, CASE u.generation WHEN 1 THEN $9::bytea END \
    FROM unnest($3::bigint[], $7::bigint[], $8::bigint[]) AS u (channel, due, generation) RETURNING key, channel, generation";
const MOVE: &str = "UPDATE event SET cursor = $2, planned_people = $3, policy_version = $4, state = $5, done_at = $6, \
    reached_people = reached_people + $7, \
    title = CASE WHEN $5::smallint = 4 AND sealed = 1 AND inbox_seq IS NULL THEN NULL ELSE title END, \
    body = CASE WHEN $5::smallint = 4 AND sealed = 1 AND inbox_seq IS NULL THEN NULL ELSE body END WHERE key = $1";
const HAS_SEGMENT: &str = "SELECT EXISTS (SELECT 1 FROM segment WHERE event = $1)";
const COME: &str = "SELECT key, tenant, recipients FROM event WHERE done_at IS NULL AND state = 1 AND due_at <= $1 ORDER BY due_at LIMIT $2 \
    FOR NO KEY UPDATE SKIP LOCKED";
const RISE: &str = "UPDATE event SET state = 2, inbox_seq = $2 WHERE key = $1";
const WAITING: &str = "SELECT key FROM event WHERE done_at IS NULL AND state = 2 ORDER BY urgency DESC, due_at, key LIMIT $1";
const NEXT_HOUR: &str = "SELECT min(due_at) FROM event WHERE done_at IS NULL AND state = 1";

/// Scheduled events that are raised in one step.
const RISE_AT_ONCE: u32 = 100;

/// Number of a lane in the store.
pub(super) fn lane_number(lane: Lane) -> u8 {
    match lane {
        Lane::Urgent => 1,
        Lane::Bulk => 2,
    }
}

/// What a page asks first.
pub(super) fn look(event: EventKey) -> Vec<Ask<'static>> {
    vec![(WHERE_IT_STANDS, vec![Arg::Int(event.0)])]
}

/// Commits a page of plan; `seen` is what was answered to [`look`].
pub(super) fn plan(c: &Connection, now: Timestamp, page: &PagePlan, span: Span, seen: &[Vec<Row>]) -> Result<Vec<Claim>> {
    match seen.first().and_then(|rows| rows.first()) {
        Some(stand) => onward(c, now, (page.event, stand), page, span),
        None => Ok(Vec::new()),
    }
}

/// The same, for the event of an acceptance, whose key the page cannot know.
pub(super) fn plan_of(c: &Connection, now: Timestamp, event: EventKey, page: &PagePlan, span: Span) -> Result<Vec<Claim>> {
    match c.round(&look(event))?.first().and_then(|rows| rows.first()) {
        Some(stand) => onward(c, now, (event, stand), page, span),
        None => Ok(Vec::new()),
    }
}

fn onward(c: &Connection, now: Timestamp, (event, stand): (EventKey, &Row), page: &PagePlan, span: Span) -> Result<Vec<Claim>> {
    let (tenant, state, cursor): (u32, u8, u32) = (stand.get(0)?, stand.get(1)?, stand.get(2)?);
    let (recipients, planned): (i64, i64) = (stand.get(3)?, stand.get(4)?);
    let covered = page.cursor.0 <= cursor && !(page.last && page.rows.is_empty());
    if state != EventState::Accepted.number() || covered {
        return Ok(Vec::new());
    }
    let begin = page.rows.partition_point(|row| row.person.0 <= cursor);
    let rows = &page.rows[begin..];
    let (file, people, reached, tally) = gather(event, page, rows)?;
    let segments = segments(now, (TenantKey(tenant), event), page, rows, span);
    let claims = claims(c.copy_in_and(ROWS, file, &segments)?, (TenantKey(tenant), event), page, rows)?;
    if page.last {
        c.prepare_cached(settle::HOLD_END)?.all(params![vec![event.0]])?;
    }
    let open = page.last && c.prepare_cached(HAS_SEGMENT)?.query_row([event.0], |row| row.get(0))?;
    let state = match (page.last, open) {
        (false, _) => EventState::Accepted,
        (true, true) => EventState::Sending,
        (true, false) => EventState::Done,
    };
    let values = [
        event.0,
        page.cursor.0.max(cursor).into(),
        if page.last { recipients } else { planned + people },
        page.policy_version,
        state.number().into(),
    ];
    let mut values: Vec<Arg<'static>> = values.map(Arg::Int).to_vec();
    values.push(if state == EventState::Done { Arg::Int(now.0) } else { Arg::Null });
    values.push(Arg::Int(reached));
    c.at_the_end(MOVE, values);
    tally.write(c);
    Ok(claims)
}

/// Rows as they are copied in; how many people they are about, for how many of those something goes, and their counts.
fn gather(event: EventKey, page: &PagePlan, rows: &[PlannedRow]) -> Result<(Option<Bytes>, i64, i64, Tally)> {
    let mut file = copy::File::with_capacity(rows.len(), 11 * 4 + 8 * 8);
    let mut tally = Tally::default();
    let (mut people, mut last) = (0, None);
    let (mut reached, mut hopeful) = (0, None);
    for (row, facts) in folded::fold(rows) {
        let due = if row.state.is_final() { 0 } else { row.due.0 };
        if let Some(facts) = facts {
            file.row(11);
            file.int8(event.0);
            file.int8(row.person.into());
            file.int8(due);
            file.some_int8(row.device.map(i64::from));
            file.some_int8(row.registration.map(i64::from));
            file.int8(facts);
            file.int4(page.policy_version)?;
            file.int4(row.seq.into())?;
            file.int2(row.channel.number());
            file.int2(row.state.number());
            file.int2(row.reason.number());
        }
        tally.plan(event, row);
        people += i64::from(last != Some(row.person));
        last = Some(row.person);
        if !row.state.is_final() && hopeful != last {
            reached += 1;
            hopeful = last;
        }
    }
    Ok(((!rows.is_empty()).then(|| file.end()), people, reached, tally))
}

/// One segment per channel with a row that is not final. Those that are due are claimed where the page asks for it.
fn segments(now: Timestamp, (tenant, event): (TenantKey, EventKey), page: &PagePlan, rows: &[PlannedRow], span: Span) -> Vec<Ask<'static>> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Vec::new() };
    let mut dues: Vec<(ChannelKind, Timestamp)> = Vec::new();
    for row in rows.iter().filter(|row| !row.state.is_final()) {
        match dues.iter_mut().find(|(channel, _)| *channel == row.channel) {
            Some((_, due)) => *due = (*due).min(row.due),
            None => dues.push((row.channel, row.due)),
        }
    }
    if dues.is_empty() {
        return Vec::new();
    }
    let lease =
        |channel, due| page.claim.as_ref().filter(|(_, channels)| due <= now && channels.contains(&channel)).map(|(lease, _)| *lease);
    let (mut channels, mut waits, mut generations) = (Vec::new(), Vec::new(), Vec::new());
    for (channel, due) in dues {
        let lease: Option<Lease> = lease(channel, due);
        channels.push(i64::from(channel.number()));
        waits.push(lease.map_or(due, |lease| span.until(now, lease.until)).0);
        generations.push(i64::from(lease.is_some()));
    }
    let node = page.claim.as_ref().map(|(lease, _)| lease.node.as_bytes().to_vec());
    let columns = |numbers: Vec<i64>| Arg::Ints(numbers.into());
    let values = vec![
        Arg::Int(tenant.0.into()),
        Arg::Int(event.0),
        columns(channels),
        Arg::Int(lane_number(page.lane).into()),
        Arg::Int(first.person.0.into()),
        Arg::Int(last.person.0.into()),
        columns(waits),
        columns(generations),
        node.map_or(Arg::Null, |node| Arg::Blob(node.into())),
    ];
    vec![(SEGMENTS, values)]
}

/// The claims among the segments that were made.
fn claims(made: Vec<Vec<Row>>, (tenant, event): (TenantKey, EventKey), page: &PagePlan, rows: &[PlannedRow]) -> Result<Vec<Claim>> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
    let (from, to) = (first.person, last.person);
    let mut claims = Vec::new();
    for row in made.iter().flatten() {
        let generation: i64 = row.get(2)?;
        if generation == 1 {
            let channel = crate::sqlite::columns::word(ChannelKind::from_number, row.get(1)?, "channel")?;
            claims.push(Claim { segment: SegmentKey(row.get(0)?), generation, tenant, event, channel, from, to, lane: page.lane });
        }
    }
    claims.sort_by_key(|claim| claim.segment);
    Ok(claims)
}

/// Gives scheduled events whose hour has come their place in the inbox.
pub(super) fn rise(c: &Connection, now: Timestamp) -> Result<()> {
    let mut come = c.prepare_cached(COME)?;
    let mut rows = come.query_map(params![now.0, RISE_AT_ONCE], |row| Ok((row.get(1)?, row.get(0)?, row.get(2)?)))?;
    // Tenants in one order: the next place locks the tenant's row.
    rows.sort_by_key(|(tenant, ..): &(u32, i64, i64)| *tenant);
    for (tenant, key, recipients) in rows {
        let seq = inbox::next_seq(c, TenantKey(tenant))?;
        c.prepare_cached(RISE)?.execute([key, seq])?;
        inbox::place(c, EventKey(key), seq, unsigned(recipients))?;
    }
    Ok(())
}

/// Events to plan, the most urgent first, and the hour of the next scheduled one.
pub(super) fn unplanned(c: &Connection, limit: u32) -> Result<(Vec<crate::EventRow>, Option<Timestamp>)> {
    let keys: Vec<i64> = c.prepare_cached(WAITING)?.query_map([limit], |row| row.get(0))?;
    let mut events = Vec::with_capacity(keys.len());
    for key in keys {
        events.extend(super::events::by_key(c, EventKey(key))?);
    }
    let next: Option<i64> = c.prepare_cached(NEXT_HOUR)?.query_row(params![], |row| row.get(0))?;
    Ok((events, next.map(Timestamp)))
}

/// The key of a row.
pub(super) fn id_of(event: EventKey, person: u32, seq: u16) -> DeliveryId {
    DeliveryId { event, person: PersonKey(person), seq }
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[WHERE_IT_STANDS, ROWS, SEGMENTS, MOVE, HAS_SEGMENT, COME, RISE, WAITING, NEXT_HOUR];
