//! Plans: rows of delivery, the segments that hold them, the counts and the cursor, a page at a time. A page that the
//! cursor covers already does nothing, so a walk that a crash cut off is simply walked again.

use super::super::columns::{Repeated, unsigned};
use super::counts::Tally;
use super::inbox;
use crate::folded;
use crate::{Claim, Lease, PagePlan, PlannedRow, Result};
use model::event::EventState;
use model::{ChannelKind, DeliveryId, EventKey, Lane, PersonKey, SegmentKey, TenantKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

const WHERE_IT_STANDS: &str = "SELECT tenant, state, cursor, recipients, planned_people FROM event WHERE key = ?1";
const ROW: &str = "INSERT INTO delivery (event, person, seq, channel, state, reason, facts, device, registration, policy, due) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const SEGMENT: &str = "INSERT INTO segment (tenant, event, channel, lane, first, last, due, generation, node) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const MOVE: &str = "UPDATE event SET cursor = ?2, planned_people = ?3, policy_version = ?4, state = ?5, done_at = ?6, \
    reached_people = reached_people + ?7, \
    title = CASE WHEN ?5 = 4 AND sealed = 1 AND inbox_seq IS NULL THEN NULL ELSE title END, \
    body = CASE WHEN ?5 = 4 AND sealed = 1 AND inbox_seq IS NULL THEN NULL ELSE body END WHERE key = ?1";
const HAS_SEGMENT: &str = "SELECT EXISTS (SELECT 1 FROM segment WHERE event = ?1)";
const COME: &str =
    "SELECT key, tenant, recipients FROM event WHERE done_at IS NULL AND state = 1 AND due_at <= ?1 ORDER BY due_at LIMIT ?2";
const RISE: &str = "UPDATE event SET state = 2, inbox_seq = ?2 WHERE key = ?1";
const WAITING: &str = "SELECT key FROM event WHERE done_at IS NULL AND state = 2 ORDER BY urgency DESC, due_at, key LIMIT ?1";
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

/// Commits a page of plan.
pub(super) fn plan(c: &Connection, now: Timestamp, page: PagePlan) -> Result<Vec<Claim>> {
    let mut stand = c.prepare_cached(WHERE_IT_STANDS)?;
    let found = stand.query_row([page.event.0], |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, u8>(1)?, row.get::<_, u32>(2)?, row.get::<_, i64>(3)?, row.get::<_, i64>(4)?))
    });
    let Some((tenant, state, cursor, recipients, planned)) = found.optional()? else { return Ok(Vec::new()) };
    let covered = page.cursor.0 <= cursor && !(page.last && page.rows.is_empty());
    if state != EventState::Accepted.number() || covered {
        return Ok(Vec::new());
    }
    let begin = page.rows.partition_point(|row| row.person.0 <= cursor);
    let rows = &page.rows[begin..];
    let (people, reached) = insert_rows(c, &page, rows)?;
    let claims = insert_segments(c, now, TenantKey(tenant), &page, rows)?;
    let open = page.last && c.prepare_cached(HAS_SEGMENT)?.query_row([page.event.0], |row| row.get(0))?;
    let state = match (page.last, open) {
        (false, _) => EventState::Accepted,
        (true, true) => EventState::Sending,
        (true, false) => EventState::Done,
    };
    c.prepare_cached(MOVE)?.execute(params![
        page.event.0,
        page.cursor.0.max(cursor),
        if page.last { recipients } else { planned + people },
        page.policy_version,
        state.number(),
        (state == EventState::Done).then_some(now.0),
        reached
    ])?;
    Ok(claims)
}

/// Inserts rows and their counts; answers how many people they are about, and for how many of those something goes.
fn insert_rows(c: &Connection, page: &PagePlan, rows: &[PlannedRow]) -> Result<(i64, i64)> {
    let mut insert = Repeated::<11>::new(c, ROW)?;
    let mut tally = Tally::default();
    let (mut people, mut last) = (0, None);
    let (mut reached, mut hopeful) = (0, None);
    for (row, facts) in folded::fold(rows) {
        let due = if row.state.is_final() { 0 } else { row.due.0 };
        if facts.is_some() {
            insert.run([
                Some(page.event.0),
                Some(row.person.into()),
                Some(row.seq.into()),
                Some(row.channel.number().into()),
                Some(row.state.number().into()),
                Some(row.reason.number().into()),
                facts,
                row.device.map(i64::from),
                row.registration.map(i64::from),
                Some(page.policy_version),
                Some(due),
            ])?;
        }
        tally.plan(page.event, row);
        people += i64::from(last != Some(row.person));
        last = Some(row.person);
        if !row.state.is_final() && hopeful != last {
            reached += 1;
            hopeful = last;
        }
    }
    tally.write(c)?;
    Ok((people, reached))
}

/// One segment per channel with a row that is not final. Those that are due are claimed where the page asks for it.
fn insert_segments(c: &Connection, now: Timestamp, tenant: TenantKey, page: &PagePlan, rows: &[PlannedRow]) -> Result<Vec<Claim>> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
    let (from, to) = (first.person, last.person);
    let mut dues: Vec<(ChannelKind, Timestamp)> = Vec::new();
    for row in rows.iter().filter(|row| !row.state.is_final()) {
        match dues.iter_mut().find(|(channel, _)| *channel == row.channel) {
            Some((_, due)) => *due = (*due).min(row.due),
            None => dues.push((row.channel, row.due)),
        }
    }
    let mut insert = c.prepare_cached(SEGMENT)?;
    let mut claims = Vec::new();
    for (channel, due) in dues {
        let lease = page.claim.as_ref().filter(|(_, channels)| due <= now && channels.contains(&channel)).map(|(lease, _)| *lease);
        let (due, generation, node) = match &lease {
            Some(Lease { node, until }) => (*until, 1, Some(node.as_bytes())),
            None => (due, 0, None),
        };
        let lane = lane_number(page.lane);
        insert.execute(params![tenant.0, page.event.0, channel.number(), lane, from.0, to.0, due.0, generation, node])?;
        if lease.is_some() {
            let segment = SegmentKey(c.last_insert_rowid());
            claims.push(Claim { segment, generation, tenant, event: page.event, channel, from, to, lane: page.lane });
        }
    }
    Ok(claims)
}

/// Gives scheduled events whose hour has come their place in the inbox.
pub(super) fn rise(c: &Connection, now: Timestamp) -> Result<()> {
    let mut come = c.prepare_cached(COME)?;
    let rows = come.query_map(params![now.0, RISE_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (key, tenant, recipients) in rows.collect::<rusqlite::Result<Vec<(i64, u32, i64)>>>()? {
        let seq = inbox::next_seq(c, TenantKey(tenant))?;
        c.prepare_cached(RISE)?.execute([key, seq])?;
        inbox::place(c, EventKey(key), seq, unsigned(recipients))?;
    }
    Ok(())
}

/// Events to plan, the most urgent first, and the hour of the next scheduled one.
pub(super) fn unplanned(c: &Connection, limit: u32) -> Result<(Vec<crate::EventRow>, Option<Timestamp>)> {
    let keys = c.prepare_cached(WAITING)?.query_map([limit], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut events = Vec::with_capacity(keys.len());
    for key in keys {
        events.extend(super::events::by_key(c, EventKey(key))?);
    }
    let next: Option<i64> = c.prepare_cached(NEXT_HOUR)?.query_row([], |row| row.get(0))?;
    Ok((events, next.map(Timestamp)))
}

/// The key of a row.
pub(super) fn id_of(event: EventKey, person: u32, seq: u16) -> DeliveryId {
    DeliveryId { event, person: PersonKey(person), seq }
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[WHERE_IT_STANDS, ROW, SEGMENT, MOVE, HAS_SEGMENT, COME, RISE, WAITING, NEXT_HOUR];
