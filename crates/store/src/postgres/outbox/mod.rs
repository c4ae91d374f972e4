//! The outbox in PostgreSQL. Each verb is one transaction; the files beside this one hold the steps, in the order in which
//! an event meets them.

pub(super) mod accept;
mod audience;
mod claim;
mod counts;
mod events;
mod forget;
mod inbox;
mod plan;
mod settle;
mod stop;

pub(super) use events::published;

use super::{Lane as Connections, Postgres};
use crate::{
    Acceptance, Accepted, Claim, Counts, DeliveryFilter, DeliveryRecord, EventRow, FactsDepth, InboxItem, Lease, Loaded, Outbox, PagePlan,
    ReceiptRow, Result, Settle, Settled,
};
use async_trait::async_trait;
use model::event::EventState;
use model::{ChannelKind, DeliveryId, DeviceKey, EventKey, Lane, PersonKey, Reason, ReceiptKind, SegmentKey, TenantKey, Timestamp};
use roaring::RoaringBitmap;
use std::sync::Arc;
use uuid::Uuid;

/// How far two clocks may lie apart before a scheduled event is looked at in vain, or late.
const SKEW: std::time::Duration = std::time::Duration::from_secs(60);

/// Steps about an urgent event come before a campaign's.
fn lane_of(lane: Lane, bulk: Connections) -> Connections {
    match lane {
        Lane::Urgent => Connections::Urgent,
        Lane::Bulk => bulk,
    }
}

#[async_trait]
impl Outbox for Postgres {
    async fn accept(&self, tenant: TenantKey, acceptance: Acceptance) -> Result<Accepted> {
        let span = self.span();
        self.edit(tenant, move |c, now| accept::accept(c, now, tenant, &acceptance, span)).await
    }

    async fn unplanned(&self, limit: u32) -> Result<(Vec<EventRow>, Option<Timestamp>)> {
        let (events, next) = self.read(move |c| plan::unplanned(c, limit)).await?;
        if next.is_none_or(|next| next > self.about_now().plus(SKEW)) {
            return Ok((events, next));
        }
        self.write(Connections::Urgent, move |c, now| {
            if next.is_none_or(|next| next > now) {
                return Ok((events.clone(), next));
            }
            plan::rise(c, now)?;
            plan::unplanned(c, limit)
        })
        .await
    }

    async fn audience_page(&self, event: EventKey, after: Option<PersonKey>, limit: u32) -> Result<(Vec<PersonKey>, Vec<PersonKey>)> {
        self.read(move |c| audience::page(c, event, after, limit as usize)).await
    }

    async fn plan(&self, page: PagePlan) -> Result<Vec<Claim>> {
        let span = self.span();
        let look = plan::look(page.event);
        self.write_after(lane_of(page.lane, Connections::Plan), look, move |c, now, seen| plan::plan(c, now, &page, span, seen)).await
    }

    async fn claim(&self, channels: Vec<ChannelKind>, lane: Lane, lease: Lease, limit: u32) -> Result<(Vec<Claim>, Option<Timestamp>)> {
        let span = self.span();
        self.write(lane_of(lane, Connections::Plan), move |c, now| {
            let lease = Lease { node: lease.node, until: span.until(now, lease.until) };
            claim::claim(c, now, &channels, lane, lease, limit)
        })
        .await
    }

    async fn renew(&self, claims: Vec<(SegmentKey, i64)>, until: Timestamp) -> Result<Vec<SegmentKey>> {
        let span = self.span();
        self.write(Connections::Urgent, move |c, now| claim::renew(c, &claims, span.until(now, until))).await
    }

    async fn load(&self, claim: Claim, depth: FactsDepth) -> Result<Loaded> {
        let now = self.given_now();
        self.read(move |c| claim::load(c, now, &claim, depth)).await
    }

    async fn settle(&self, batch: Arc<[Settle]>) -> Result<Settled> {
        let retires = batch.iter().any(|entry| matches!(entry, Settle::Row(row) if row.retire.is_some()));
        let look = settle::look(&batch);
        let settled = self.write_after(Connections::Settle, look, move |c, now, seen| settle::settle(c, now, &batch, seen)).await?;
        if retires {
            self.facts_moved();
        }
        Ok(settled)
    }

    async fn void_claims(&self) -> Result<u64> {
        self.write(Connections::Urgent, claim::void_claims).await
    }

    async fn retry_our_faults(&self) -> Result<u64> {
        let mut rows = 0;
        for segment in self.read(claim::with_our_faults).await? {
            rows += self.write(Connections::Plan, move |c, now| claim::retry_our_faults(c, now, segment)).await?;
        }
        Ok(rows)
    }

    async fn cancel(&self, tenant: TenantKey, event: EventKey) -> Result<EventState> {
        self.write(Connections::Urgent, move |c, now| stop::cancel(c, now, tenant, event)).await
    }

    async fn end_waiting(&self, tenant: TenantKey, person: PersonKey, device: Option<DeviceKey>, reason: Option<Reason>) -> Result<u64> {
        // Found by a reader, so that the writer is not held up by the search; what is planned after this is planned from
        // the new facts.
        let mut ended = 0;
        for event in self.read(move |c| stop::waiting_events(c, tenant, person)).await? {
            ended += self.write(Connections::Urgent, move |c, now| stop::end_waiting(c, now, event, person, device, reason)).await?;
        }
        Ok(ended)
    }

    async fn wake_channel(&self, tenant: TenantKey, channel: ChannelKind) -> Result<u64> {
        self.write(Connections::Urgent, move |c, now| claim::wake_channel(c, now, tenant, channel)).await
    }

    async fn event(&self, tenant: TenantKey, key: EventKey) -> Result<Option<EventRow>> {
        self.read(move |c| Ok(events::by_key(c, key)?.filter(|event| event.tenant == tenant))).await
    }

    async fn event_by_id(&self, tenant: TenantKey, id: Uuid) -> Result<Option<EventRow>> {
        self.read(move |c| events::by_id(c, tenant, id)).await
    }

    async fn events(&self, tenant: TenantKey, kind: Option<String>, before: Option<EventKey>, limit: u32) -> Result<Vec<EventRow>> {
        self.read(move |c| events::newest(c, tenant, kind.clone(), before, limit)).await
    }

    async fn counts(&self, event: EventKey) -> Result<Counts> {
        self.read(move |c| counts::of(c, event)).await
    }

    async fn in_audience(&self, event: EventKey, person: PersonKey) -> Result<Option<bool>> {
        self.read(move |c| audience::holds(c, event, person)).await
    }

    async fn deliveries_of(&self, event: EventKey, person: PersonKey) -> Result<(Vec<DeliveryRecord>, Vec<ReceiptRow>)> {
        self.read(move |c| events::of_person(c, event, person)).await
    }

    async fn deliveries(
        &self,
        event: EventKey,
        filter: DeliveryFilter,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>> {
        self.read(move |c| events::behind(c, event, filter, after, limit)).await
    }

    async fn failed_people(&self, event: EventKey) -> Result<RoaringBitmap> {
        self.read(move |c| events::failed_people(c, event)).await
    }

    async fn unopened_people(&self, event: EventKey) -> Result<RoaringBitmap> {
        self.read(move |c| events::unopened_people(c, event)).await
    }

    async fn receipt(&self, tenant: TenantKey, person: PersonKey, device: DeviceKey, event: Uuid, kind: ReceiptKind) -> Result<bool> {
        self.write(Connections::Urgent, move |c, now| inbox::receipt(c, now, tenant, (person, device), event, kind)).await
    }

    async fn received(&self, event: EventKey, devices: Vec<DeviceKey>) -> Result<Vec<DeviceKey>> {
        self.read(move |c| inbox::received(c, event, devices.clone())).await
    }

    async fn inbox(
        &self,
        tenant: TenantKey,
        person: PersonKey,
        device: Option<DeviceKey>,
        before: Option<i64>,
        limit: u32,
        dismissed: bool,
    ) -> Result<Vec<InboxItem>> {
        self.read(move |c| inbox::down(c, inbox::Reader { tenant, person, device }, before, limit, dismissed)).await
    }

    async fn inbox_since(
        &self,
        tenant: TenantKey,
        person: PersonKey,
        device: Option<DeviceKey>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<InboxItem>> {
        self.read(move |c| inbox::up(c, inbox::Reader { tenant, person, device }, after, limit)).await
    }

    async fn inbox_head(&self, tenant: TenantKey) -> Result<i64> {
        self.read(move |c| inbox::head(c, tenant)).await
    }

    async fn recent_pushes(&self, tenant: TenantKey, people: Vec<PersonKey>, since: Timestamp) -> Result<Vec<(PersonKey, u32)>> {
        self.read(move |c| inbox::recent_pushes(c, tenant, &people, since)).await
    }

    async fn forget(&self, tenant: TenantKey, before: Timestamp, erase_done: bool) -> Result<bool> {
        self.write(Connections::Plan, move |c, now| forget::step(c, now, tenant, before, erase_done)).await
    }
}

/// Every statement of the outbox, for the test that prepares them all.
#[cfg(test)]
pub(super) const STATEMENTS: &[&[&str]] = &[
    accept::STATEMENTS,
    audience::STATEMENTS,
    claim::STATEMENTS,
    counts::STATEMENTS,
    events::STATEMENTS,
    forget::STATEMENTS,
    inbox::STATEMENTS,
    plan::STATEMENTS,
    settle::STATEMENTS,
    stop::STATEMENTS,
];
