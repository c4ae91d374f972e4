//! Acceptance: the answer for repeats, the limits, the event with its audience and, for a small one, its whole plan: one
//! transaction, so that a crash cannot separate them.

use super::{audience, inbox, plan};
use crate::postgres::Span;
use crate::postgres::args::params;
use crate::postgres::link::Connection;
use crate::postgres::once;
use crate::sqlite::columns::to_json;
use crate::{Acceptance, Accepted, NewEvent, Result, StoreError};
use model::event::EventState;
use model::limits::LimitTake;
use model::{EventKey, TenantKey, Timestamp};
use std::time::Duration;

const LEAVE_WINDOW: &str = "DELETE FROM limit_take WHERE tenant = $1 AND setting = $2 AND subject = $3 AND at <= $4";
const COUNT: &str = "SELECT count(*) FROM limit_take WHERE tenant = $1 AND setting = $2 AND subject = $3";
/// The counted one with whose leaving there is room again.
const LEAVES: &str = "SELECT at FROM limit_take WHERE tenant = $1 AND setting = $2 AND subject = $3 ORDER BY at LIMIT 1 OFFSET $4";
const TAKE: &str = "INSERT INTO limit_take (tenant, setting, subject, at, event) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
const POLICY: &str = "SELECT policy FROM meta WHERE tenant = $1";
const EVENT: &str = "INSERT INTO event (tenant, id, kind, state, actor_token, actor_name, accepted_at, due_at, expires_at, urgency, mode, \
    private, addressed, data, recipients, directory_version, resend_of, inbox_seq, title, body, sealed) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) RETURNING key";

/// Accepts an event, or refuses it and leaves no trace.
pub(in crate::postgres) fn accept(
    c: &Connection,
    now: Timestamp,
    tenant: TenantKey,
    acceptance: &Acceptance,
    span: Span,
) -> Result<Accepted> {
    let Acceptance { event, takes, policy, once, plan } = acceptance;
    once::refuse_repeat(c, tenant, once.as_ref(), now)?;
    let due_now = event.due_at.is_none_or(|due| due <= now);
    if plan.is_some() && !due_now {
        return Err(StoreError::Broken("an event that waits for its hour cannot come with its plan".into()));
    }
    let (inbox_seq, current) = if due_now && event.inbox {
        let (seq, policy) = inbox::next_seq_and_policy(c, tenant)?;
        (Some(seq), policy)
    } else {
        (None, c.prepare_cached(POLICY)?.query_row([tenant.0], |row| row.get(0))?)
    };
    if policy.is_some_and(|policy| policy != current) {
        return Err(StoreError::Stale { current });
    }
    takes.iter().try_for_each(|take| refuse_surplus(c, tenant, take, now))?;
    let key = insert(c, now, tenant, event, (due_now, inbox_seq))?;
    audience::write(c, key, &event.audience, &event.by_device_only)?;
    if let Some(seq) = inbox_seq {
        inbox::place(c, key, seq, event.audience.len())?;
    }
    for take in takes {
        let counted = take.counted;
        c.prepare_cached(TAKE)?.execute(params![tenant.0, counted.setting(), counted.subject(), now.0, key.0])?;
    }
    let claims = match plan {
        None => Vec::new(),
        Some(page) => plan::plan_of(c, now, key, page, span)?,
    };
    once::keep(c, tenant, once.as_ref(), now)?;
    Ok(Accepted { key, at: now, claims, inbox_seq })
}

/// Counts what lies in the sliding window; the counts are exact because the tenant's row is held: acceptances come one
/// after another, in every process.
fn refuse_surplus(c: &Connection, tenant: TenantKey, take: &LimitTake, now: Timestamp) -> Result<()> {
    let (setting, subject) = (take.counted.setting(), take.counted.subject());
    c.prepare_cached(LEAVE_WINDOW)?.execute(params![tenant.0, setting, subject, now.minus(take.window).0])?;
    let count: u32 = c.prepare_cached(COUNT)?.query_row(params![tenant.0, setting, subject], |row| row.get(0))?;
    if count < take.allowed {
        return Ok(());
    }
    let retry_after = if take.allowed == 0 {
        take.window
    } else {
        let surplus = count - take.allowed;
        let at: i64 = c.prepare_cached(LEAVES)?.query_row(params![tenant.0, setting, subject, surplus], |row| row.get(0))?;
        Timestamp(at).plus(take.window).since(now).max(Duration::from_millis(1))
    };
    Err(StoreError::OverLimit { counted: take.counted, allowed: take.allowed, retry_after })
}

fn insert(c: &Connection, now: Timestamp, tenant: TenantKey, event: &NewEvent, (due, inbox_seq): (bool, Option<i64>)) -> Result<EventKey> {
    let state = if due { EventState::Accepted } else { EventState::Scheduled };
    let key = c.prepare_cached(EVENT)?.query_row(
        params![
            tenant.0,
            event.id.as_bytes(),
            event.kind,
            state.number(),
            event.actor.0.as_bytes(),
            event.actor.1,
            now.0,
            event.due_at.unwrap_or(now).0,
            event.expires_at.0,
            event.urgency.number(),
            event.mode.number(),
            event.private,
            to_json(&event.addressed)?,
            to_json(&event.data)?,
            i64::try_from(event.audience.len()).unwrap_or(i64::MAX),
            event.directory_version,
            event.resend_of.as_ref().map(uuid::Uuid::as_bytes),
            inbox_seq,
            event.text.title,
            event.text.body,
            event.text.sealed,
        ],
        |row| row.get(0),
    )?;
    Ok(EventKey(key))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[LEAVE_WINDOW, COUNT, LEAVES, TAKE, POLICY, EVENT];
