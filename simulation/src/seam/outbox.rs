//! Events, plans, claims, outcomes: passed on, and held against what is true. Who holds which claim is noted from the
//! answers, so that a write under a claim that was lost is seen here whatever the store says.

use super::Seam;
use crate::between::Held;
use crate::invariant::Invariant;
use crate::planted::Plant;
use crate::provider::spell;
use crate::world::EPOCH_MS;
use async_trait::async_trait;
use model::event::EventState;
use model::{ChannelKind, DeliveryId, DeviceKey, EventKey, Lane, PersonKey, Reason, ReceiptKind, SegmentKey, State, TenantKey, Timestamp};
use roaring::RoaringBitmap;
use std::sync::Arc;
use std::time::Duration;
use store::{
    Acceptance, Accepted, Change, Claim, Counts, DeliveryFilter, DeliveryRecord, EventRow, FactsDepth, InboxItem, Lease, Loaded, NewEvent,
    Outbox, PagePlan, ReceiptRow, Result, Settle, Settled, StoreError,
};
use uuid::Uuid;

#[async_trait]
impl Outbox for Seam {
    async fn accept(&self, tenant: TenantKey, mut acceptance: Acceptance) -> Result<Accepted> {
        let request = request_of(&acceptance);
        self.plant_in_acceptance(&mut acceptance);
        let (event, to_groups) = (acceptance.event.clone(), !acceptance.event.addressed.groups.is_empty());
        let lease = acceptance.plan.as_mut().and_then(|plan| self.lease_of(plan));
        let planned = planned(&acceptance);
        self.call("accept", self.store.accept(tenant, acceptance), |done| {
            let now = self.world().now_ms();
            let state = &mut *self.world().state();
            match done {
                Ok(accepted) => self.accepted(state, (&event, request, planned), accepted, lease),
                Err(StoreError::OverLimit { .. }) if to_groups && event.addressed.devices.is_empty() => {
                    if let Some((invariant, what)) = state.truth.refused(now) {
                        state.breach(now, invariant, None, what);
                    }
                }
                Err(_) => {}
            }
        })
        .await
    }

    async fn unplanned(&self, limit: u32) -> Result<(Vec<EventRow>, Option<Timestamp>)> {
        if let Some(next) = self.idle("unplanned", PLANS).await? {
            return Ok((Vec::new(), next));
        }
        let (mut events, next) = self
            .call("unplanned", self.store.unplanned(limit), |found| {
                let Ok((events, next)) = found else { return };
                let between = &mut self.world().state().between;
                match events.is_empty() {
                    true => between.is_idle(PLANS, *next),
                    false => between.writes += 1,
                }
                between.published.extend(events.iter().filter_map(|event| Some((event.inbox_seq?, event.key))));
            })
            .await?;
        events.iter_mut().for_each(|event| self.plant_in_event(event));
        Ok((events, next))
    }

    async fn plan(&self, mut page: PagePlan) -> Result<Vec<Claim>> {
        let lease = self.lease_of(&mut page);
        self.plant_in_rows(&mut page);
        let line = format!("p{} plans {} rows of e{} up to u{}", self.process.number, page.rows.len(), page.event, page.cursor);
        self.call("plan", self.store.plan(page), |done| {
            let Ok(claims) = done else { return };
            let now = self.world().now_ms();
            let state = &mut *self.world().state();
            state.trace.note(now, None, &line);
            self.took(state, claims, lease);
        })
        .await
    }

    async fn claim(&self, channels: Vec<ChannelKind>, lane: Lane, lease: Lease, limit: u32) -> Result<(Vec<Claim>, Option<Timestamp>)> {
        let lease = Lease { node: lease.node, until: self.until(lease.until) };
        if self.world().has(Plant::LeaseNotHeeded) {
            let others = {
                let state = self.world().state();
                let held = state.between.claims.iter().filter(|(_, held)| held.by.is_some_and(|by| by != lease.node));
                held.map(|(segment, held)| (*segment, held.generation)).collect::<Vec<_>>()
            };
            self.world().run(self.store.renew(others, Timestamp(0)))?;
            self.world().state().between.writes += 1;
        }
        let until_ms = lease.until.0 - EPOCH_MS;
        let poll = (channels.first().map_or(0, |channel| channel.number()), lane == Lane::Bulk);
        if let Some(next) = self.idle("claim", poll).await? {
            return Ok((Vec::new(), next));
        }
        self.call("claim", self.store.claim(channels, lane, lease, limit), |found| {
            let Ok((claims, next)) = found else { return };
            let state = &mut *self.world().state();
            match claims.is_empty() {
                true => state.between.is_idle(poll, *next),
                false => state.between.writes += 1,
            }
            self.took(state, claims, Some(until_ms));
        })
        .await
    }

    async fn renew(&self, claims: Vec<(SegmentKey, i64)>, until: Timestamp) -> Result<Vec<SegmentKey>> {
        let until = self.until(until);
        let asked = claims.clone();
        self.call("renew", self.store.renew(claims, until), |lost| {
            let Ok(lost) = lost else { return };
            let between = &mut self.world().state().between;
            for (segment, generation) in asked.into_iter().filter(|(segment, _)| !lost.contains(segment)) {
                if let Some(held) = between.claims.get_mut(&segment).filter(|held| held.generation == generation) {
                    held.until_ms = until.0 - EPOCH_MS;
                }
            }
        })
        .await
    }

    async fn settle(&self, batch: Arc<[Settle]>) -> Result<Settled> {
        let written = self.plant_in_settlements(&batch);
        self.call("settle", self.store.settle(written), |done| {
            if let Ok(settled) = done {
                self.wrote(&batch, settled);
            }
        })
        .await
    }

    async fn void_claims(&self) -> Result<u64> {
        if self.process.shared {
            return self.void_shared().await;
        }
        self.call("void_claims", self.store.void_claims(), |done| {
            if done.is_ok() {
                // The store fences off whoever held one, with a number of its own.
                self.world().state().between.claims.values_mut().for_each(|held| held.by = None);
            }
        })
        .await
    }

    async fn cancel(&self, tenant: TenantKey, event: EventKey) -> Result<EventState> {
        self.call("cancel", self.store.cancel(tenant, event), |done| {
            if done.is_ok() {
                let now = self.world().now_ms();
                let state = &mut *self.world().state();
                state.between.cancelled.insert(event);
                if let Some(truth) = state.truth.events.get_mut(&event) {
                    truth.cancelled_ms.get_or_insert(now);
                }
                state.trace.note(now, None, &format!("p{} cancels e{event}", self.process.number));
            }
        })
        .await
    }

    async fn event(&self, tenant: TenantKey, key: EventKey) -> Result<Option<EventRow>> {
        let mut event = self.pass("event", self.store.event(tenant, key)).await?;
        event.iter_mut().for_each(|event| self.plant_in_event(event));
        Ok(event)
    }

    async fn event_by_id(&self, tenant: TenantKey, id: Uuid) -> Result<Option<EventRow>> {
        self.pass("event_by_id", self.store.event_by_id(tenant, id)).await
    }

    async fn audience_page(&self, event: EventKey, after: Option<PersonKey>, limit: u32) -> Result<(Vec<PersonKey>, Vec<PersonKey>)> {
        self.pass("audience_page", self.store.audience_page(event, after, limit)).await
    }

    async fn load(&self, claim: Claim, depth: FactsDepth) -> Result<Loaded> {
        self.pass("load", self.store.load(claim, depth)).await
    }

    async fn retry_our_faults(&self) -> Result<u64> {
        self.pass("retry_our_faults", self.store.retry_our_faults()).await
    }

    async fn end_waiting(&self, tenant: TenantKey, person: PersonKey, device: Option<DeviceKey>, reason: Option<Reason>) -> Result<u64> {
        self.pass("end_waiting", self.store.end_waiting(tenant, person, device, reason)).await
    }

    async fn wake_channel(&self, tenant: TenantKey, channel: ChannelKind) -> Result<u64> {
        self.pass("wake_channel", self.store.wake_channel(tenant, channel)).await
    }

    async fn events(&self, tenant: TenantKey, kind: Option<String>, before: Option<EventKey>, limit: u32) -> Result<Vec<EventRow>> {
        self.pass("events", self.store.events(tenant, kind, before, limit)).await
    }

    async fn counts(&self, event: EventKey) -> Result<Counts> {
        self.pass("counts", self.store.counts(event)).await
    }

    async fn in_audience(&self, event: EventKey, person: PersonKey) -> Result<Option<bool>> {
        self.pass("in_audience", self.store.in_audience(event, person)).await
    }

    async fn deliveries_of(&self, event: EventKey, person: PersonKey) -> Result<(Vec<DeliveryRecord>, Vec<ReceiptRow>)> {
        self.pass("deliveries_of", self.store.deliveries_of(event, person)).await
    }

    async fn deliveries(
        &self,
        event: EventKey,
        filter: DeliveryFilter,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>> {
        self.pass("deliveries", self.store.deliveries(event, filter, after, limit)).await
    }

    async fn failed_people(&self, event: EventKey) -> Result<RoaringBitmap> {
        self.pass("failed_people", self.store.failed_people(event)).await
    }

    async fn unopened_people(&self, event: EventKey) -> Result<RoaringBitmap> {
        self.pass("unopened_people", self.store.unopened_people(event)).await
    }

    async fn receipt(&self, tenant: TenantKey, person: PersonKey, device: DeviceKey, event: Uuid, kind: ReceiptKind) -> Result<bool> {
        self.pass("receipt", self.store.receipt(tenant, person, device, event, kind)).await
    }

    async fn received(&self, event: EventKey, devices: Vec<DeviceKey>) -> Result<Vec<DeviceKey>> {
        self.pass("received", self.store.received(event, devices)).await
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
        self.pass("inbox", self.store.inbox(tenant, person, device, before, limit, dismissed)).await
    }

    async fn inbox_since(
        &self,
        tenant: TenantKey,
        person: PersonKey,
        device: Option<DeviceKey>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<InboxItem>> {
        self.pass("inbox_since", self.store.inbox_since(tenant, person, device, after, limit)).await
    }

    async fn inbox_head(&self, tenant: TenantKey) -> Result<i64> {
        self.pass("inbox_head", self.store.inbox_head(tenant)).await
    }

    async fn recent_pushes(&self, tenant: TenantKey, people: Vec<PersonKey>, since: Timestamp) -> Result<Vec<(PersonKey, u32)>> {
        self.pass("recent_pushes", self.store.recent_pushes(tenant, people, since)).await
    }

    async fn forget(&self, tenant: TenantKey, before: Timestamp, erase_done: bool) -> Result<bool> {
        self.pass("forget", self.store.forget(tenant, before, erase_done)).await
    }
}

/// How many rows an event is accepted with that did not come of a request.
fn planned(acceptance: &Acceptance) -> Option<usize> {
    let whole = acceptance.plan.as_ref().filter(|_| acceptance.event.kind != sources::custom_notification::CUSTOM_NOTIFICATION);
    whole.map(|plan| plan.rows.len())
}

/// The number of the request, which its title bears.
fn request_of(acceptance: &Acceptance) -> Option<usize> {
    // What repeats another event bears its title, and has an audience of its own.
    if acceptance.event.resend_of.is_some() {
        return None;
    }
    std::str::from_utf8(&acceptance.event.text.title).ok()?.strip_prefix("request ")?.parse().ok()
}

/// Stands for dispatch among the polls, which are channels and lanes otherwise.
const PLANS: (u8, bool) = (u8::MAX, false);

impl Seam {
    /// A poll that would find nothing again, without a word of the store.
    async fn idle(&self, verb: &'static str, poll: (u8, bool)) -> Result<Option<Option<Timestamp>>> {
        self.process.tick();
        let Some(next) = self.world().state().between.still_idle(poll, self.world().now()) else { return Ok(None) };
        self.before(verb).await?;
        self.after(verb).await?;
        Ok(Some(next))
    }

    /// An event was accepted.
    pub(super) fn accepted(
        &self,
        state: &mut crate::world::State,
        (event, request, planned): (&NewEvent, Option<usize>, Option<usize>),
        accepted: &Accepted,
        lease: Option<i64>,
    ) {
        let now = self.world().now_ms();
        let (number, people) = (self.process.number, event.audience.len());
        state.trace.note(now, None, &format!("p{number} accepts e{} for request {request:?}, {people} people", accepted.key));
        let wrong = state.truth.accepted(now, request, event, planned, accepted);
        if let Some((invariant, what)) = wrong.or_else(|| state.truth.told_of_call(event, accepted.key)) {
            state.breach(now, invariant, None, format!("e{}: {what}", accepted.key));
        }
        state.between.published.extend(accepted.inbox_seq.map(|seq| (seq, accepted.key)));
        self.took(state, &accepted.claims, lease);
    }

    /// An act with its events, and how it stands with the planted bugs.
    pub(super) async fn change_and_accept(&self, tenant: TenantKey, mut change: Change) -> Result<Vec<Accepted>> {
        if self.world().has(Plant::LostLeg) && change.events.is_empty() {
            return Ok(Vec::new());
        }
        if self.world().has(Plant::ForgottenWord) && !change.events.is_empty() {
            change.steps.clear();
        }
        let mut seen = Vec::new();
        for acceptance in &mut change.events {
            let lease = acceptance.plan.as_mut().and_then(|plan| self.lease_of(plan));
            seen.push((acceptance.event.clone(), planned(acceptance), lease));
        }
        self.call("change", self.store.change(tenant, change), |done| {
            let Ok(accepted) = done else { return };
            let state = &mut *self.world().state();
            for ((event, planned, lease), accepted) in seen.iter().zip(accepted) {
                self.accepted(state, (event, None, *planned), accepted, *lease);
            }
        })
        .await
    }

    /// Claims were answered.
    fn took(&self, state: &mut crate::world::State, claims: &[Claim], until_ms: Option<i64>) {
        let now = self.world().now_ms();
        for claim in claims {
            let (line, held) = (
                format!(
                    "p{} claims s{} of e{} by {} ({})",
                    self.process.number, claim.segment.0, claim.event, claim.channel, claim.generation
                ),
                Held { generation: claim.generation, by: Some(self.process.uuid), until_ms: until_ms.unwrap_or(0) },
            );
            state.trace.note(now, None, &line);
            let before = state.between.claims.insert(claim.segment, held);
            if let Some(before) = before.filter(|b| b.by.is_some_and(|by| by != self.process.uuid) && b.until_ms > now) {
                let what = format!("s{} is claimed although it is held for {} ms more", claim.segment.0, before.until_ms - now);
                state.breach(now, Invariant::OneHolder, None, what);
            }
        }
    }

    /// Outcomes were written.
    fn wrote(&self, batch: &[Settle], settled: &Settled) {
        let now = self.world().now_ms();
        let state = &mut *self.world().state();
        for entry in batch {
            let (segment, generation) = match entry {
                Settle::Row(row) => (row.segment, row.generation),
                Settle::Release { segment, generation, .. } => (*segment, *generation),
            };
            if settled.lost.contains(&segment) {
                continue;
            }
            let stands = state.between.claims.get(&segment).copied();
            if !stands.is_some_and(|held| held.by.is_some() && held.generation == generation) {
                let what = format!("p{} writes s{} under claim {generation}; {stands:?} stands", self.process.number, segment.0);
                state.breach(now, Invariant::SettledByHolder, None, what);
            }
            match entry {
                Settle::Row(row) => {
                    let line = format!("p{} settles {} as {} {:?}", self.process.number, spell(row.id), row.now.0, row.now.1);
                    state.trace.note(now, Some(row.id), &line);
                    if let Some((invariant, what)) = state.truth.settled(row) {
                        state.breach(now, invariant, Some(row.id), what);
                    }
                }
                Settle::Release { .. } => {
                    if let Some(held) = state.between.claims.get_mut(&segment) {
                        held.by = None;
                    }
                }
            }
        }
        settled.done.iter().for_each(|event| {
            state.between.cancelled.remove(event);
        });
    }

    /// The lease that a plan asks for, by the store's clock; the plan's is set to it.
    fn lease_of(&self, plan: &mut PagePlan) -> Option<i64> {
        let (lease, _) = plan.claim.as_mut()?;
        lease.until = self.until(lease.until);
        Some(lease.until.0 - EPOCH_MS)
    }

    fn plant_in_acceptance(&self, acceptance: &mut Acceptance) {
        let Some(plant) = self.world().plant else { return };
        match plant {
            Plant::LimitOffByOne => acceptance.takes.iter_mut().for_each(|take| take.allowed += 1),
            Plant::WrongMembershipVersion => acceptance.event.directory_version -= 1,
            Plant::ForgottenIdempotencyKey => acceptance.once = None,
            _ => {}
        }
        if let Some(plan) = &mut acceptance.plan {
            self.plant_in_rows(plan);
        }
    }

    fn plant_in_rows(&self, page: &mut PagePlan) {
        match self.world().plant {
            Some(Plant::DroppedRow) if page.rows.len() > 2 => {
                page.rows.pop();
            }
            Some(Plant::LostPage) => page.rows.clear(),
            _ => {}
        }
    }

    fn plant_in_event(&self, event: &mut EventRow) {
        if self.world().has(Plant::ForgottenExpiry) {
            event.expires_at = event.expires_at.plus(Duration::from_secs(3_600));
        }
    }

    fn plant_in_settlements(&self, batch: &Arc<[Settle]>) -> Arc<[Settle]> {
        let Some(plant) = self.world().plant else { return batch.clone() };
        let mut entries = batch.to_vec();
        match plant {
            Plant::ForgottenRelease => entries.retain(|entry| matches!(entry, Settle::Row(_))),
            Plant::SettleWithoutFencing => {
                let state = self.world().state();
                for entry in &mut entries {
                    let (Settle::Row(store::Settlement { segment, generation, .. }) | Settle::Release { segment, generation, .. }) = entry;
                    if let Some(held) = state.between.claims.get(segment) {
                        *generation = held.generation;
                    }
                }
            }
            Plant::LostRetryBucket | Plant::WrongPolicyVersion => {
                for entry in &mut entries {
                    let Settle::Row(row) = entry else { continue };
                    if plant == Plant::WrongPolicyVersion {
                        row.policy_version = (row.policy_version - 1).max(1);
                    } else if row.now.0 == State::Held && row.attempt.is_some() {
                        row.due = row.due.plus(Duration::from_secs(36_000));
                    }
                }
            }
            _ => {}
        }
        entries.into()
    }
}
