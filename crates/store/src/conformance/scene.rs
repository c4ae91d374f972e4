//! What stories are made of: a clock that they set, a tenant, people with phones, events for them, and a worker.

use super::Place;
use crate::{
    Acceptance, Accepted, Attempt, Claim, DeviceFields, DueRow, FactsDepth, Lease, NewEvent, PagePlan, PersonFields, PlannedRow,
    RegistrationFields, Settle, Settled, Settlement, Shared, Text,
};
use model::directory::{Environment, NotificationPermission, Ownership, Platform, Service};
use model::event::AudienceMode;
use model::{
    ChannelKind, Clock, DeliveryId, DeviceKey, EventKey, Facts, Lane, PersonKey, Reason, RegistrationKey, State, TenantKey, Timestamp,
    Urgency,
};
use roaring::RoaringBitmap;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// When stories begin.
pub(super) const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

/// A clock that stands until it is set.
#[derive(Debug)]
pub struct StoryClock(AtomicI64);

impl StoryClock {
    /// Lets time pass.
    pub fn pass(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_millis()).unwrap_or(0), Ordering::SeqCst);
    }
}

impl Default for StoryClock {
    fn default() -> StoryClock {
        StoryClock(AtomicI64::new(BEGIN.0))
    }
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// An open store with a tenant, for one story.
pub struct Stage {
    /// The store under test.
    pub store: Shared,
    /// Its clock.
    pub clock: Arc<StoryClock>,
    /// The tenant of the story.
    pub tenant: TenantKey,
    place: Arc<dyn Place>,
    ids: AtomicU64,
}

impl Stage {
    /// Opens a store in an empty place.
    ///
    /// # Panics
    /// When the store cannot be opened: every story is about an open one.
    pub async fn new(place: Arc<dyn Place>) -> Stage {
        let clock = Arc::new(StoryClock::default());
        let store = place.open(clock.clone()).await.expect("an empty place can be opened");
        let (tenant, new) = store.ensure_tenant("story", Uuid::from_u128(1)).await.expect("a tenant can be made");
        assert!(new, "the place is empty");
        Stage { store, clock, tenant: tenant.key, place, ids: AtomicU64::new(0) }
    }

    /// Lets the store go and opens what it left.
    ///
    /// # Panics
    /// When it cannot be opened again.
    pub async fn reopen(self) -> Stage {
        let Stage { store, clock, tenant, place, ids } = self;
        drop(store);
        let store = place.open(clock.clone()).await.expect("what was left can be opened");
        Stage { store, clock, tenant, place, ids }
    }

    /// Another handle on the same place, as a second process has it.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub(super) async fn another(&self) -> Shared {
        self.place.open(self.clock.clone()).await.expect("a shared store can be opened again")
    }

    /// Now, by the story's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new id; the same sequence in each telling.
    pub fn id(&self) -> Uuid {
        Uuid::from_u128(0x5707_0000_0000 + u128::from(self.ids.fetch_add(1, Ordering::SeqCst)))
    }

    /// Adds a person.
    pub(super) async fn person(&self, upn: &str) -> PersonKey {
        let fields = PersonFields {
            upn: upn.into(),
            display_name: upn.into(),
            locale: "en".into(),
            timezone: "UTC".into(),
            active: true,
            ..PersonFields::default()
        };
        self.store.create_person(self.tenant, self.id(), fields, None).await.expect("a person can be added").key
    }

    /// Adds a phone of a person with a registration.
    pub(super) async fn phone(&self, owner: PersonKey) -> (DeviceKey, RegistrationKey) {
        let device = DeviceFields {
            external_id: None,
            name: "phone".into(),
            owner: Some(owner),
            platform: Platform::Ios,
            ownership: Ownership::Personal,
            enrolled: true,
            enrolled_by: Some(owner),
            enrolled_source: None,
            enrolled_at: None,
            app_installed: true,
            permission: NotificationPermission::Granted,
            play_services: true,
            push_enabled: true,
            last_seen: None,
        };
        let device = self.store.create_device(self.tenant, self.id(), device, None).await.expect("a device can be added").key;
        let registration = self.register(device, &format!("token-{device}")).await;
        (device, registration)
    }

    /// Registers a device, or registers it anew.
    pub(super) async fn register(&self, device: DeviceKey, token: &str) -> RegistrationKey {
        let fields = RegistrationFields {
            service: Service::Apns,
            app: "org.example.app".into(),
            environment: Environment::Production,
            token: token.into(),
            endpoint: String::new(),
            p256dh: String::new(),
            auth: Vec::new(),
        };
        self.store.put_registration(self.tenant, device, self.id(), fields, None).await.expect("a device can be registered").key
    }

    /// An event for these people, worth telling for a day.
    pub(super) fn event(&self, people: &[PersonKey]) -> NewEvent {
        NewEvent {
            inbox: true,
            id: self.id(),
            kind: "custom.notification".into(),
            actor: (Uuid::from_u128(7), "Ada".into()),
            due_at: None,
            expires_at: self.now().plus(Duration::from_secs(86_400)),
            urgency: Urgency::Normal,
            mode: AudienceMode::Frozen,
            private: false,
            text: Text { title: b"Fire drill".to_vec(), body: b"At noon.".to_vec(), sealed: false },
            data: json!({"a": 1}),
            addressed: crate::Addressed::default(),
            audience: people.iter().map(|key| key.0).collect(),
            by_device_only: RoaringBitmap::new(),
            directory_version: 1,
            resend_of: None,
        }
    }

    /// Accepts an event without limits, kept answer or plan.
    pub(super) async fn accept(&self, event: NewEvent) -> Accepted {
        let acceptance = Acceptance { event, takes: vec![], policy: None, once: None, plan: None };
        self.store.accept(self.tenant, acceptance).await.expect("an event is accepted")
    }

    /// Accepts an event and plans one scheduled push for each person, as one page.
    pub(super) async fn campaign(&self, people: &[PersonKey]) -> Accepted {
        let accepted = self.accept(self.event(people)).await;
        let rows = people.iter().map(|person| self.push(*person)).collect();
        let claims = self.store.plan(self.page(accepted.key, rows, true)).await.expect("a page is planned");
        assert!(claims.is_empty(), "claims were not asked for");
        accepted
    }

    /// A push that may go now.
    pub(super) fn push(&self, person: PersonKey) -> PlannedRow {
        PlannedRow {
            person,
            seq: 0,
            channel: ChannelKind::Apns,
            device: Some(DeviceKey(person.0)),
            registration: Some(RegistrationKey(person.0)),
            state: State::Scheduled,
            reason: Reason::None,
            facts: Facts::ACTIVE,
            due: self.now(),
        }
    }

    /// A page of plan on the bulk lane.
    pub(super) fn page(&self, event: EventKey, rows: Vec<PlannedRow>, last: bool) -> PagePlan {
        let cursor = rows.last().map_or(PersonKey(0), |row| row.person);
        PagePlan { event, rows, policy_version: 1, lane: Lane::Bulk, cursor, last, claim: None }
    }

    /// A lease of a worker, for half a minute.
    pub(super) fn lease(&self, node: u128) -> Lease {
        Lease { node: Uuid::from_u128(node), until: self.now().plus(Duration::from_secs(30)) }
    }

    /// Claims what is due for pushes of campaigns.
    pub(super) async fn claim(&self, node: u128) -> Vec<Claim> {
        self.claim_and_next(node).await.0
    }

    /// The same, and when the next is due.
    pub(super) async fn claim_and_next(&self, node: u128) -> (Vec<Claim>, Option<Timestamp>) {
        self.store.claim(vec![ChannelKind::Apns], Lane::Bulk, self.lease(node), 100).await.expect("a claim is answered")
    }

    /// The due rows of a claim.
    pub(super) async fn rows(&self, claim: &Claim) -> Vec<DueRow> {
        self.store.load(claim.clone(), FactsDepth::default()).await.expect("a claim is loaded").rows
    }

    /// What became of a row, at its first try where there was one.
    pub(super) fn outcome(&self, claim: &Claim, row: &DueRow, now: (State, Reason), due: Timestamp) -> Settlement {
        let accepted = now.0 == State::Accepted;
        let tried =
            accepted || matches!(now.1, Reason::ProviderUnavailable | Reason::OurFault | Reason::ProviderGone | Reason::ProviderRejected);
        let word = if accepted { "accepted" } else { "try_later" };
        let attempt = Attempt { number: row.attempts + 1, at: self.now(), outcome: word.into(), code: "".into(), status: 0 };
        Settlement {
            segment: claim.segment,
            generation: claim.generation,
            id: DeliveryId { event: claim.event, person: row.person, seq: row.seq },
            channel: claim.channel,
            was: (row.state, row.reason),
            now,
            due,
            facts: row.facts,
            policy_version: 2,
            attempt: tried.then_some(attempt),
            log_push: false,
            retire: None,
        }
    }

    /// Settles what is due of a claim alike and releases it.
    pub(super) async fn settle_all(&self, claim: &Claim, now: (State, Reason), due: Timestamp) -> Settled {
        let rows = self.rows(claim).await;
        self.settle_rows(claim, &rows, now, due).await
    }

    /// Settles these rows of a claim alike and releases it.
    pub(super) async fn settle_rows(&self, claim: &Claim, rows: &[DueRow], now: (State, Reason), due: Timestamp) -> Settled {
        let mut batch: Vec<Settle> = rows.iter().map(|row| Settle::Row(self.outcome(claim, row, now, due))).collect();
        batch.push(release(claim));
        self.store.settle(batch.into()).await.expect("a batch is settled")
    }

    /// Lets a worker send everything that is due.
    pub(super) async fn send_all(&self) -> Settled {
        let mut all = Settled::default();
        for claim in self.claim(1).await {
            let settled = self.settle_all(&claim, (State::Accepted, Reason::None), Timestamp(0)).await;
            all.done.extend(settled.done);
            all.lost.extend(settled.lost);
            all.next_due = settled.next_due.or(all.next_due);
        }
        all
    }

    /// How many rows of an event stand here, by the running totals; the totals are compared with the rows themselves.
    pub(super) async fn count(&self, event: EventKey, state: State, reason: Reason) -> u64 {
        let counts = self.store.counts(event).await.expect("an event has counts").deliveries;
        let rows = self.store.deliveries(event, crate::DeliveryFilter::default(), None, u32::MAX).await.expect("rows can be listed");
        for count in &counts {
            let same = |row: &&crate::DeliveryRecord| (row.channel, row.state, row.reason) == (count.channel, count.state, count.reason);
            assert_eq!(rows.iter().filter(same).count() as u64, count.rows, "the totals are those of the rows: {count:?}");
        }
        assert_eq!(counts.iter().map(|count| count.rows).sum::<u64>(), rows.len() as u64, "every row is counted once");
        counts.iter().filter(|count| count.state == state && count.reason == reason).map(|count| count.rows).sum()
    }

    /// Where an event stands.
    pub(super) async fn state(&self, event: EventKey) -> model::event::EventState {
        self.store.event(self.tenant, event).await.expect("an event can be read").expect("the event exists").state
    }
}

/// The end of a claim.
pub(super) fn release(claim: &Claim) -> Settle {
    Settle::Release { segment: claim.segment, generation: claim.generation, not_before: Timestamp(0) }
}

/// Keys 1 to `count`, for stories in which nobody is looked up in the directory.
pub(super) fn people(count: u32) -> Vec<PersonKey> {
    (1..=count).map(PersonKey).collect()
}
