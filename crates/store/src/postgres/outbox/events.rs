//! Looking events and deliveries up.

use super::{counts, plan};
use crate::folded;
use crate::postgres::args::{ToArg, params};
use crate::postgres::link::{Connection, Row};
use crate::sqlite::columns::{id, json, unsigned, word};
use crate::{Attempt, DeliveryFilter, DeliveryRecord, EventRow, ReceiptRow, Result, Text};
use model::event::{AudienceMode, EventState};
use model::{
    ChannelKind, DeliveryId, DeviceKey, EventKey, PersonKey, Reason, ReceiptKind, RegistrationKey, State, TenantKey, Timestamp, Urgency,
};
use roaring::RoaringBitmap;
use uuid::Uuid;

macro_rules! select_event {
    ($rest:literal) => {
        concat!(
            "SELECT key, tenant, id, kind, actor_token, actor_name, accepted_at, due_at, expires_at, urgency, mode, private, state, ",
            "addressed, data, recipients, directory_version, policy_version, cursor, resend_of, inbox_seq, done_at, title, body, sealed ",
            "FROM event WHERE ",
            $rest
        )
    };
}

const BY_KEY: &str = select_event!("key = $1");
const BY_ID: &str = select_event!("id = $1 AND tenant = $2");
const NEWEST: &str = select_event!("tenant = $1 AND key < $2 AND ($3::text IS NULL OR kind = $3) ORDER BY key DESC LIMIT $4");

/// Places are given while the tenant's row is held, so they are committed in their order.
const PUBLISHED: &str = select_event!("tenant = $1 AND inbox_seq > $2 ORDER BY inbox_seq LIMIT $3");

macro_rules! select_delivery {
    ($rest:literal) => {
        concat!("SELECT person, seq, channel, device, registration, state, reason, facts, due, policy, attempts, at FROM delivery WHERE event = $1 AND ", $rest)
    };
}

const OF_PERSON: &str = select_delivery!("person = $2 ORDER BY seq");
/// From a row on, for another may be folded into it; with the least facts of a row into which one is that is wanted.
const BEHIND: &str = select_delivery!(
    "(person, seq) >= ($2, $3) AND (($4::bigint IS NULL OR state = $4) AND ($5::bigint IS NULL OR channel = $5) \
     AND ($6::bigint IS NULL OR reason = $6) OR facts >= $8) ORDER BY person, seq LIMIT $7"
);
const ATTEMPTS: &str =
    "SELECT number, at, outcome, code, status FROM attempt WHERE event = $1 AND person = $2 AND seq = $3 ORDER BY number";
const RECEIPTS: &str = "SELECT device, kind, at FROM receipt WHERE event = $1 AND person = $2 ORDER BY at, kind, device";
/// 6: the inbox, which takes everything and so says nothing about what failed.
const FAILED: &str = "SELECT person, state = 3 FROM delivery WHERE event = $1 AND state IN (3, 5, 6, 7) AND channel <> 6 ORDER BY person";
const REACHED: &str = "SELECT person FROM delivery WHERE event = $1 AND (state = 3 OR reason = 18) ORDER BY person";
const CONFIRMED: &str = "SELECT person, kind = 3 FROM receipt WHERE event = $1";

/// One event.
pub(super) fn by_key(c: &Connection, key: EventKey) -> Result<Option<EventRow>> {
    first(c, BY_KEY, params![key.0])
}

/// One event by outside name.
pub(super) fn by_id(c: &Connection, tenant: TenantKey, id: Uuid) -> Result<Option<EventRow>> {
    first(c, BY_ID, params![id.as_bytes(), tenant.0])
}

fn first(c: &Connection, sql: &'static str, bound: &[&dyn ToArg]) -> Result<Option<EventRow>> {
    let mut select = c.prepare_cached(sql)?;
    let mut rows = select.query(bound)?;
    rows.next()?.map(event).transpose()
}

/// Events, newest first.
pub(super) fn newest(
    c: &Connection,
    tenant: TenantKey,
    kind: Option<String>,
    before: Option<EventKey>,
    limit: u32,
) -> Result<Vec<EventRow>> {
    let mut select = c.prepare_cached(NEWEST)?;
    let mut rows = select.query(params![tenant.0, before.map_or(i64::MAX, |key| key.0), kind, limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(event(row)?);
    }
    Ok(events)
}

/// Events that got their place behind `after`, in that order.
pub(in crate::postgres) fn published(c: &Connection, tenant: TenantKey, after: i64, limit: u32) -> Result<Vec<EventRow>> {
    c.prepare_cached(PUBLISHED)?.all(params![tenant.0, after, limit])?.iter().map(event).collect()
}

fn event(row: &Row) -> Result<EventRow> {
    let time = |at: Option<i64>| at.map(Timestamp);
    let (title, body): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(22)?, row.get(23)?);
    let sealed = row.get(24)?;
    Ok(EventRow {
        key: EventKey(row.get(0)?),
        tenant: TenantKey(row.get(1)?),
        id: id(row.get(2)?)?,
        kind: row.get(3)?,
        actor: (id(row.get(4)?)?, row.get(5)?),
        accepted_at: Timestamp(row.get(6)?),
        due_at: Timestamp(row.get(7)?),
        expires_at: Timestamp(row.get(8)?),
        urgency: word(Urgency::from_number, row.get(9)?, "urgency")?,
        mode: word(AudienceMode::from_number, row.get(10)?, "audience mode")?,
        private: row.get(11)?,
        state: word(EventState::from_number, row.get(12)?, "event state")?,
        addressed: json(row.get(13)?, "whom an event names")?,
        data: json(row.get(14)?, "an event's data")?,
        recipients: unsigned(row.get(15)?),
        directory_version: row.get(16)?,
        policy_version: row.get(17)?,
        cursor: PersonKey(row.get(18)?),
        resend_of: row.get::<Option<Vec<u8>>>(19)?.map(|bytes| id(&bytes)).transpose()?,
        inbox_seq: row.get(20)?,
        done_at: time(row.get(21)?),
        text: title.zip(body).map(|(title, body)| Text { title, body, sealed }),
    })
}

/// A row, with its accepted first try, which has no row of its own, and the row that is folded into it.
fn delivery(c: &Connection, event: EventKey, row: &Row) -> Result<(DeliveryRecord, Option<DeliveryRecord>)> {
    let key = plan::id_of(event, row.get(0)?, row.get(1)?);
    let state = word(State::from_number, row.get(5)?, "state")?;
    let (tries, at): (u16, Option<i64>) = (row.get(10)?, row.get(11)?);
    let mut attempts = if tries == 0 { Vec::new() } else { attempts(c, key)? };
    if let (true, 1, State::Accepted, Some(at)) = (attempts.is_empty(), tries, state, at) {
        let outcome = model::Outcome::Accepted.word().into();
        attempts.push(Attempt { number: 1, at: Timestamp(at), outcome, code: "".into(), status: 0 });
    }
    let stored = row.get(7)?;
    let record = DeliveryRecord {
        id: key,
        channel: word(ChannelKind::from_number, row.get(2)?, "channel")?,
        device: row.get::<Option<u32>>(3)?.map(DeviceKey),
        registration: row.get::<Option<u32>>(4)?.map(RegistrationKey),
        state,
        reason: word(Reason::from_number, row.get(6)?, "reason")?,
        facts: folded::own_facts(stored),
        due: Timestamp(row.get(8)?),
        policy_version: row.get(9)?,
        attempts,
    };
    let folded = folded::unfold(&record, stored);
    Ok((record, folded))
}

fn attempts(c: &Connection, key: DeliveryId) -> Result<Vec<Attempt>> {
    let mut select = c.prepare_cached(ATTEMPTS)?;
    let rows = select.query_map(params![key.event.0, key.person.0, key.seq], |row| {
        let (outcome, code): (String, String) = (row.get(2)?, row.get(3)?);
        Ok(Attempt { number: row.get(0)?, at: Timestamp(row.get(1)?), outcome: outcome.into(), code: code.into(), status: row.get(4)? })
    })?;
    Ok(rows)
}

/// Everything about one person and event.
pub(super) fn of_person(c: &Connection, event: EventKey, person: PersonKey) -> Result<(Vec<DeliveryRecord>, Vec<ReceiptRow>)> {
    let mut select = c.prepare_cached(OF_PERSON)?;
    let mut rows = select.query(params![event.0, person.0])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let (record, folded) = delivery(c, event, row)?;
        records.push(record);
        records.extend(folded);
    }
    let mut select = c.prepare_cached(RECEIPTS)?;
    let mut rows = select.query(params![event.0, person.0])?;
    let mut receipts = Vec::new();
    while let Some(row) = rows.next()? {
        let kind = word(ReceiptKind::from_number, row.get(1)?, "receipt")?;
        receipts.push(ReceiptRow { device: DeviceKey(row.get(0)?), kind, at: Timestamp(row.get(2)?) });
    }
    Ok((records, receipts))
}

/// Deliveries of an event. The running totals say beforehand whether any row can match.
pub(super) fn behind(
    c: &Connection,
    event: EventKey,
    filter: DeliveryFilter,
    after: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<DeliveryRecord>> {
    let DeliveryFilter { state, channel, reason } = filter;
    let wanted = |count: &crate::Count| {
        state.is_none_or(|one| one == count.state)
            && channel.is_none_or(|one| one == count.channel)
            && reason.is_none_or(|one| one == count.reason)
    };
    if !counts::deliveries(c, event)?.iter().any(wanted) {
        return Ok(Vec::new());
    }
    let (person, seq) = after.map_or((-1, 0), |after| (i64::from(after.person.0), after.seq));
    let (state, channel, reason) = (state.map(State::number), channel.map(ChannelKind::number), reason.map(Reason::number));
    let mut select = c.prepare_cached(BEHIND)?;
    let folds = if folded::wanted(filter) { folded::FOLD } else { i64::MAX };
    // Of the first row only what is folded into it may be new.
    let mut rows = select.query(params![event.0, person, seq, state, channel, reason, limit.saturating_add(1), folds])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let (record, folded) = delivery(c, event, row)?;
        let new = |record: &DeliveryRecord| after.is_none_or(|after| (record.id.person, record.id.seq) > (after.person, after.seq));
        records.extend([Some(record), folded].into_iter().flatten().filter(|one| new(one) && folded::lets_through(filter, one)));
    }
    records.truncate(limit as usize);
    Ok(records)
}

/// People for whom something failed and nothing but the inbox took it.
pub(super) fn failed_people(c: &Connection, event: EventKey) -> Result<RoaringBitmap> {
    let (mut failed, mut accepted) = (RoaringBitmap::new(), RoaringBitmap::new());
    let mut select = c.prepare_cached(FAILED)?;
    let mut rows = select.query([event.0])?;
    while let Some(row) = rows.next()? {
        let set = if row.get(1)? { &mut accepted } else { &mut failed };
        set.insert(row.get(0)?);
    }
    Ok(failed - accepted)
}

/// People who have it, by a channel or in the app, and did not open it.
pub(super) fn unopened_people(c: &Connection, event: EventKey) -> Result<RoaringBitmap> {
    let (mut reached, mut opened) = (RoaringBitmap::new(), RoaringBitmap::new());
    let mut select = c.prepare_cached(REACHED)?;
    let mut rows = select.query([event.0])?;
    while let Some(row) = rows.next()? {
        reached.insert(row.get(0)?);
    }
    let mut select = c.prepare_cached(CONFIRMED)?;
    let mut rows = select.query([event.0])?;
    while let Some(row) = rows.next()? {
        let person = row.get(0)?;
        reached.insert(person);
        if row.get(1)? {
            opened.insert(person);
        }
    }
    Ok(reached - opened)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[BY_KEY, BY_ID, NEWEST, PUBLISHED, OF_PERSON, BEHIND, ATTEMPTS, RECEIPTS, FAILED, REACHED, CONFIRMED];
