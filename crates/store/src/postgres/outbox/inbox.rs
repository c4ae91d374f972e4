//! The inbox and the receipts. The inbox is computed: events for many from their audiences, events for few from a row for
//! each person; only what the person did with it is kept.

use super::{audience, events, stop};
use crate::postgres::args::params;
use crate::postgres::link::{Connection, OptionalExtension};
use crate::{InboxItem, Result, StoreError};
use model::event::EventState;
use model::{DeviceKey, EventKey, PersonKey, ReceiptKind, TenantKey, Timestamp};
use uuid::Uuid;

const NEXT_SEQ: &str = "UPDATE meta SET inbox_seq = inbox_seq + 1 WHERE tenant = $1 RETURNING inbox_seq, policy";
const HEAD: &str = "SELECT inbox_seq FROM meta WHERE tenant = $1";
const PLACE: &str = "INSERT INTO personal (person, inbox_seq, event) VALUES ($1, $2, $3)";
const FEW_DOWN: &str = "SELECT inbox_seq, event FROM personal WHERE person = $1 AND inbox_seq < $2 ORDER BY inbox_seq DESC LIMIT $3";
const FEW_UP: &str = "SELECT inbox_seq, event FROM personal WHERE person = $1 AND inbox_seq > $2 ORDER BY inbox_seq LIMIT $3";
const MANY_DOWN: &str =
    "SELECT inbox_seq, key FROM event WHERE tenant = $1 AND inbox_seq < $2 AND recipients > 32 ORDER BY inbox_seq DESC LIMIT $3";
const MANY_UP: &str =
    "SELECT inbox_seq, key FROM event WHERE tenant = $1 AND inbox_seq > $2 AND recipients > 32 ORDER BY inbox_seq LIMIT $3";
const MARKS: &str = "SELECT opened_at, dismissed_at FROM inbox_mark WHERE person = $1 AND event = $2";
const EVENT_OF: &str = "SELECT key FROM event WHERE id = $1 AND tenant = $2";
const KEEP: &str = "INSERT INTO receipt (event, person, device, kind, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
const FROM_OTHERS: &str = "SELECT EXISTS (SELECT 1 FROM receipt WHERE event = $1 AND person = $2 AND kind = $4 AND device <> $3)";
const COUNT_RECEIVED: &str = "UPDATE event SET received = received + 1 WHERE key = $1";
const COUNT_SHOWN: &str = "UPDATE event SET shown = shown + 1 WHERE key = $1";
const COUNT_OPENED: &str = "UPDATE event SET opened = opened + 1 WHERE key = $1";
const COUNT_DISMISSED: &str = "UPDATE event SET dismissed = dismissed + 1 WHERE key = $1";
const MARK_OPENED: &str = "INSERT INTO inbox_mark (person, event, opened_at) VALUES ($1, $2, $3) \
    ON CONFLICT (person, event) DO UPDATE SET opened_at = coalesce(inbox_mark.opened_at, $3)";
const MARK_DISMISSED: &str = "INSERT INTO inbox_mark (person, event, dismissed_at) VALUES ($1, $2, $3) \
    ON CONFLICT (person, event) DO UPDATE SET dismissed_at = coalesce(inbox_mark.dismissed_at, $3)";
const RECEIVED: &str = "SELECT DISTINCT device FROM receipt WHERE event = $1 AND device = ANY ($2)";
const PUSHES: &str =
    "SELECT person, count(*) FROM push_log WHERE tenant = $1 AND person = ANY ($2) AND at >= $3 GROUP BY person ORDER BY person";
/// Two devices of a person that confirm at the same moment are counted one after the other.
const ONE_BY_ONE: &str = "SELECT pg_advisory_xact_lock($1::bigint)";

/// Gives the next place in the order of the inbox.
pub(super) fn next_seq(c: &Connection, tenant: TenantKey) -> Result<i64> {
    next_seq_and_policy(c, tenant).map(|(seq, _)| seq)
}

/// The same, with the version of the policy that stands: it is in the same row.
pub(super) fn next_seq_and_policy(c: &Connection, tenant: TenantKey) -> Result<(i64, i64)> {
    let mut next = c.prepare_cached(NEXT_SEQ)?;
    next.query_row([tenant.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?.ok_or(StoreError::NotFound)
}

/// The last place given.
pub(super) fn head(c: &Connection, tenant: TenantKey) -> Result<i64> {
    c.prepare_cached(HEAD)?.query_row([tenant.0], |row| row.get(0)).optional()?.ok_or(StoreError::NotFound)
}

/// Puts an event for few in the inbox of each.
pub(super) fn place(c: &Connection, event: EventKey, seq: i64, recipients: u64) -> Result<()> {
    if recipients <= audience::PERSONAL {
        let (people, _) = audience::page(c, event, None, recipients as usize)?;
        let mut place = c.prepare_cached(PLACE)?;
        for person in people {
            place.execute(params![person.0, seq, event.0])?;
        }
    }
    Ok(())
}

/// Whose inbox, and on which device it is read.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub tenant: TenantKey,
    pub person: PersonKey,
    pub device: Option<DeviceKey>,
}

/// Newest first, behind `before`.
pub(super) fn down(c: &Connection, of: Reader, before: Option<i64>, limit: u32, dismissed: bool) -> Result<Vec<InboxItem>> {
    walk(c, of, [FEW_DOWN, MANY_DOWN], before.unwrap_or(i64::MAX), limit, dismissed, |few, many| few > many)
}

/// Oldest first, behind `after`.
pub(super) fn up(c: &Connection, of: Reader, after: i64, limit: u32) -> Result<Vec<InboxItem>> {
    walk(c, of, [FEW_UP, MANY_UP], after, limit, true, |few, many| few < many)
}

/// Merges the two kinds of events, each in its order.
fn walk(
    c: &Connection,
    of: Reader,
    [few, many]: [&'static str; 2],
    start: i64,
    limit: u32,
    dismissed: bool,
    comes_first: impl Fn(i64, i64) -> bool,
) -> Result<Vec<InboxItem>> {
    let (mut few, mut many) = (Walk::new(few, of.person.0, start), Walk::new(many, of.tenant.0, start));
    let mut items = Vec::new();
    while items.len() < limit as usize {
        let take_few = match (few.peek(c)?, many.peek(c)?) {
            (Some((a, _)), Some((b, _))) => comes_first(a, b),
            (Some(_), _) => true,
            (None, _) => false,
        };
        let Some((seq, key)) = (if take_few { few.take() } else { many.take() }) else { break };
        items.extend(item(c, of, seq, key)?.filter(|item| dismissed || item.dismissed_at.is_none()));
    }
    Ok(items)
}

/// Events of one kind in their order, read page by page.
struct Walk {
    sql: &'static str,
    whose: u32,
    from: i64,
    page: std::collections::VecDeque<(i64, EventKey)>,
    over: bool,
}

impl Walk {
    /// Events that are read at once.
    const PAGE: u32 = 64;

    fn new(sql: &'static str, whose: u32, from: i64) -> Walk {
        Walk { sql, whose, from, page: std::collections::VecDeque::new(), over: false }
    }

    fn peek(&mut self, c: &Connection) -> Result<Option<(i64, EventKey)>> {
        if self.page.is_empty() && !self.over {
            let rows = c
                .prepare_cached(self.sql)?
                .query_map(params![self.whose, self.from, Walk::PAGE], |row| Ok((row.get::<i64>(0)?, EventKey(row.get(1)?))))?;
            self.over = rows.len() < Walk::PAGE as usize;
            self.from = rows.last().map_or(self.from, |(seq, _)| *seq);
            self.page.extend(rows);
        }
        Ok(self.page.front().copied())
    }

    fn take(&mut self) -> Option<(i64, EventKey)> {
        self.page.pop_front()
    }
}

/// The item, if the event is for this person and device, was not cancelled and still has a text.
fn item(c: &Connection, of: Reader, seq: i64, key: EventKey) -> Result<Option<InboxItem>> {
    let Some(by_device_only) = audience::holds(c, key, of.person)? else { return Ok(None) };
    let Some(event) = events::by_key(c, key)?.filter(|event| event.text.is_some() && event.state != EventState::Cancelled) else {
        return Ok(None);
    };
    if by_device_only && of.device.is_some_and(|device| !event.addressed.devices.contains(&device)) {
        return Ok(None);
    }
    let mut marks = c.prepare_cached(MARKS)?;
    let marks = marks.query_row(params![of.person.0, key.0], |row| Ok((row.get::<Option<i64>>(0)?, row.get::<Option<i64>>(1)?)));
    let (opened, dismissed) = marks.optional()?.unwrap_or_default();
    Ok(Some(InboxItem { seq, event, opened_at: opened.map(Timestamp), dismissed_at: dismissed.map(Timestamp) }))
}

/// Keeps a receipt; answers whether it was new. Totals count people: the first device of a person counts.
pub(super) fn receipt(
    c: &Connection,
    now: Timestamp,
    tenant: TenantKey,
    from: (PersonKey, DeviceKey),
    event: Uuid,
    kind: ReceiptKind,
) -> Result<bool> {
    let (person, device) = from;
    let key: Option<i64> = c.prepare_cached(EVENT_OF)?.query_row(params![event.as_bytes(), tenant.0], |row| row.get(0)).optional()?;
    let event = EventKey(key.ok_or(StoreError::NotFound)?);
    if audience::holds(c, event, person)?.is_none() {
        return Err(StoreError::NotFound);
    }
    let place = event.0.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) ^ i64::from(person.0);
    c.prepare_cached(ONE_BY_ONE)?.all([place])?;
    let kept = c.prepare_cached(KEEP)?.execute(params![event.0, person.0, device.0, kind.number(), now.0])?;
    if kept == 0 {
        return Ok(false);
    }
    // Locks are taken in the order of a settlement: segments, rows, the event, its counts. The event is counted up below.
    stop::waiting(c, event, person)?;
    let counted: bool = c.prepare_cached(FROM_OTHERS)?.query_row(params![event.0, person.0, device.0, kind.number()], |row| row.get(0))?;
    if !counted {
        let count = match kind {
            ReceiptKind::Received => COUNT_RECEIVED,
            ReceiptKind::Shown => COUNT_SHOWN,
            ReceiptKind::Opened => COUNT_OPENED,
            ReceiptKind::Dismissed => COUNT_DISMISSED,
        };
        c.prepare_cached(count)?.execute([event.0])?;
    }
    let mark = match kind {
        ReceiptKind::Received | ReceiptKind::Shown => None,
        ReceiptKind::Opened => Some(MARK_OPENED),
        ReceiptKind::Dismissed => Some(MARK_DISMISSED),
    };
    if let Some(mark) = mark {
        c.prepare_cached(mark)?.execute(params![person.0, event.0, now.0])?;
    }
    stop::end_presence(c, now, event, person, device)?;
    Ok(true)
}

/// Which of the devices confirmed that they have it.
pub(super) fn received(c: &Connection, event: EventKey, mut devices: Vec<DeviceKey>) -> Result<Vec<DeviceKey>> {
    let keys: Vec<i64> = devices.iter().map(|device| device.0.into()).collect();
    let confirmed = c.prepare_cached(RECEIVED)?.query_map(params![event.0, keys], |row| Ok(DeviceKey(row.get(0)?)))?;
    devices.retain(|device| confirmed.contains(device));
    Ok(devices)
}

/// How many pushes each person had.
pub(super) fn recent_pushes(c: &Connection, tenant: TenantKey, people: &[PersonKey], since: Timestamp) -> Result<Vec<(PersonKey, u32)>> {
    let keys: Vec<i64> = people.iter().map(|person| person.0.into()).collect();
    let counted = c.prepare_cached(PUSHES)?.query_map(params![tenant.0, keys, since.0], |row| Ok((PersonKey(row.get(0)?), row.get(1)?)));
    Ok(counted?)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    NEXT_SEQ,
    HEAD,
    PLACE,
    FEW_DOWN,
    FEW_UP,
    MANY_DOWN,
    MANY_UP,
    MARKS,
    EVENT_OF,
    KEEP,
    FROM_OTHERS,
    COUNT_RECEIVED,
    COUNT_SHOWN,
    COUNT_OPENED,
    COUNT_DISMISSED,
    MARK_OPENED,
    MARK_DISMISSED,
    RECEIVED,
    PUSHES,
    ONE_BY_ONE,
];
