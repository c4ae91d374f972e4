//! The outbox in SQLite. Each verb is one job of the writer or one question to a reader; the files beside this one hold
//! the steps, in the order in which an event meets them.

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

use super::{Sqlite, WriteLane};
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

/// Steps about an urgent event come before a campaign's.
fn lane_of(lane: Lane, bulk: WriteLane) -> WriteLane {
    match lane {
        Lane::Urgent => WriteLane::Urgent,
        Lane::Bulk => bulk,
    }
}

#[async_trait]
impl Outbox for Sqlite {
    async fn accept(&self, tenant: TenantKey, acceptance: Acceptance) -> Result<Accepted> {
        self.write(WriteLane::Urgent, move |c, now| accept::accept(c, now, tenant, acceptance)).await
    }

    async fn unplanned(&self, limit: u32) -> Result<(Vec<EventRow>, Option<Timestamp>)> {
        let (events, next) = self.read(move |c| plan::unplanned(c, limit)).await?;
        if next.is_none_or(|next| next > self.now()) {
            return Ok((events, next));
        }
        self.write(WriteLane::Urgent, move |c, now| {
            plan::rise(c, now)?;
            plan::unplanned(c, limit)
        })
        .await
    }

    async fn audience_page(&self, event: EventKey, after: Option<PersonKey>, limit: u32) -> Result<(Vec<PersonKey>, Vec<PersonKey>)> {
        self.read(move |c| audience::page(c, event, after, limit as usize)).await
    }

    async fn plan(&self, page: PagePlan) -> Result<Vec<Claim>> {
        self.write(lane_of(page.lane, WriteLane::Plan), move |c, now| plan::plan(c, now, page)).await
    }

    async fn claim(&self, channels: Vec<ChannelKind>, lane: Lane, lease: Lease, limit: u32) -> Result<(Vec<Claim>, Option<Timestamp>)> {
        self.write(lane_of(lane, WriteLane::Settle), move |c, now| claim::claim(c, now, &channels, lane, lease, limit)).await
    }

    async fn renew(&self, claims: Vec<(SegmentKey, i64)>, until: Timestamp) -> Result<Vec<SegmentKey>> {
        self.write(WriteLane::Urgent, move |c, _| claim::renew(c, &claims, until)).await
    }

    async fn load(&self, claim: Claim, depth: FactsDepth) -> Result<Loaded> {
        let now = self.now();
        self.read(move |c| claim::load(c, now, &claim, depth)).await
    }

    async fn settle(&self, batch: Arc<[Settle]>) -> Result<Settled> {
        self.write(WriteLane::Settle, move |c, now| settle::settle(c, now, &batch)).await
    }

    async fn void_claims(&self) -> Result<u64> {
        self.write(WriteLane::Urgent, |c, _| claim::void_claims(c)).await
    }

    async fn retry_our_faults(&self) -> Result<u64> {
        let mut rows = 0;
        for segment in self.read(claim::with_our_faults).await? {
            rows += self.write(WriteLane::Plan, move |c, now| claim::retry_our_faults(c, now, segment)).await?;
        }
        Ok(rows)
    }

    async fn cancel(&self, tenant: TenantKey, event: EventKey) -> Result<EventState> {
        self.write(WriteLane::Urgent, move |c, now| stop::cancel(c, now, tenant, event)).await
    }

    async fn end_waiting(&self, tenant: TenantKey, person: PersonKey, device: Option<DeviceKey>, reason: Option<Reason>) -> Result<u64> {
        // Found by a reader, so that the writer is not held up by the search; what is planned after this is planned from
        // the new facts.
        let mut ended = 0;
        for event in self.read(move |c| stop::waiting_events(c, tenant, person)).await? {
            ended += self.write(WriteLane::Urgent, move |c, now| stop::end_waiting(c, now, event, person, device, reason)).await?;
        }
        Ok(ended)
    }

    async fn wake_channel(&self, tenant: TenantKey, channel: ChannelKind) -> Result<u64> {
        self.write(WriteLane::Urgent, move |c, now| claim::wake_channel(c, now, tenant, channel)).await
    }

    async fn event(&self, tenant: TenantKey, key: EventKey) -> Result<Option<EventRow>> {
        self.read(move |c| Ok(events::by_key(c, key)?.filter(|event| event.tenant == tenant))).await
    }

    async fn event_by_id(&self, tenant: TenantKey, id: Uuid) -> Result<Option<EventRow>> {
        self.read(move |c| events::by_id(c, tenant, id)).await
    }

    async fn events(&self, tenant: TenantKey, kind: Option<String>, before: Option<EventKey>, limit: u32) -> Result<Vec<EventRow>> {
        self.read(move |c| events::newest(c, tenant, kind, before, limit)).await
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
        self.write(WriteLane::Urgent, move |c, now| inbox::receipt(c, now, tenant, (person, device), event, kind)).await
    }

    async fn received(&self, event: EventKey, devices: Vec<DeviceKey>) -> Result<Vec<DeviceKey>> {
        self.read(move |c| inbox::received(c, event, devices)).await
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
        self.write(WriteLane::Plan, move |c, now| forget::step(c, now, tenant, before, erase_done)).await
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
