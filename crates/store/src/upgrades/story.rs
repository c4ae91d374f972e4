//! What a store is filled with before it is upgraded: an organization in the middle of its work. It is told over the contract
//! alone, with ids and times of its own, so that every version of the program writes the same and a store of today can be
//! compared with an upgraded one.

use crate::{
    Acceptance, Answer, Attempt, Claim, DeviceFields, FactsDepth, GroupFields, Lease, NewEvent, NewToken, Once, PagePlan, PersonFields,
    PlannedRow, RegistrationFields, Result, Retirement, Settle, Settlement, Shared, Text, TokenUse,
};
use model::directory::{EnrolmentSource, Environment, Member, MemberKind, NotificationPermission, Ownership, Platform, Service};
use model::event::AudienceMode;
use model::limits::{Counted, LimitTake};
use model::roles::{Role, RoleId, Scope};
use model::{
    ChannelKind, Clock, DeliveryId, DeviceKey, EventKey, Facts, GroupKey, Lane, PersonKey, Reason, ReceiptKind, RegistrationKey, State,
    TenantKey, Timestamp, Urgency,
};
use roaring::RoaringBitmap;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// When all of it happened.
pub const THEN: Timestamp = Timestamp(1_795_000_000_000);
/// The organization.
pub const NAME: &str = "Maison d'été";
/// How many people there are.
pub const PEOPLE: u32 = 40;
/// How many of them a page of plan covers.
const PAGE: u32 = 16;
/// The process that had claimed what was under way.
const DEAD: Uuid = Uuid::from_u128(0xDEAD);

/// A clock that stands.
pub struct Still(pub Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// An id that says where it belongs.
pub fn id(kind: u32, number: u32) -> Uuid {
    Uuid::from_u128(u128::from(kind) << 64 | u128::from(number))
}

/// Events of the story, by their number in [`id`]`(5, …)`.
pub const DONE: u32 = 1;
/// Planned to the first page; one segment of it was claimed and half settled when the process died.
pub const UNDER_WAY: u32 = 2;
/// Due in an hour.
pub const LATER: u32 = 3;
/// Cancelled while it waited.
pub const CANCELLED: u32 = 4;
/// To one person, by mail too, private.
pub const SINGLE: u32 = 5;

/// Fills an empty store.
///
/// # Errors
/// What the store says.
pub async fn fill(store: &Shared) -> Result<TenantKey> {
    let tenant = store.ensure_tenant(NAME, id(0, 1)).await?.0.key;
    directory(store, tenant).await?;
    accounts(store, tenant).await?;
    finished(store, tenant).await?;
    under_way(store, tenant).await?;
    let mut later = event(LATER, 1..=PEOPLE);
    later.due_at = Some(THEN.plus(Duration::from_secs(3_600)));
    accept(store, tenant, later).await?;
    let cancelled = accept(store, tenant, event(CANCELLED, 1..=PEOPLE)).await?;
    plan(store, cancelled, 1..=PEOPLE, true).await?;
    store.cancel(tenant, cancelled).await?;
    single(store, tenant).await?;
    Ok(tenant)
}

async fn directory(store: &Shared, tenant: TenantKey) -> Result<()> {
    for number in 1..=PEOPLE {
        let fields = PersonFields {
            external_id: (number % 3 == 0).then(|| format!("ext-{number}")),
            upn: format!("person{number}@example.org"),
            display_name: format!("Élodie Noël {number}"),
            email: (number % 5 != 0).then(|| format!("person{number}@mail.example.org")),
            locale: if number % 2 == 0 { "fr".into() } else { "en".into() },
            timezone: "Europe/Paris".into(),
            licenses: vec!["push".into()],
            manager: (number > 1).then_some(PersonKey(1)),
            phones: vec![format!("+3315550{number:04}")],
            active: true,
            quiet_hours: (number == 7).then(|| "22:00-06:00".into()),
        };
        store.create_person(tenant, id(1, number), fields, None).await?;
        device(store, tenant, number).await?;
    }
    for number in 1..=2 {
        let fields =
            GroupFields { external_id: Some(format!("grp-{number}")), name: format!("Équipe {number}"), description: "A team".into() };
        store.create_group(tenant, id(2, number), fields, None).await?;
    }
    let user = |key| Member { kind: MemberKind::User, key };
    let people = (1..=20).map(user).collect();
    store.change_members(tenant, GroupKey(1), people, vec![], None).await?;
    store.change_members(tenant, GroupKey(2), vec![Member { kind: MemberKind::Group, key: 1 }, user(30)], vec![], None).await?;
    // One who left: their registration is retired, their device's token is revoked.
    let mut left = store.person(tenant, PersonKey(PEOPLE)).await?.expect("made above").fields;
    left.active = false;
    store.update_person(tenant, PersonKey(PEOPLE), None, left).await?;
    store.create_code(tenant, [9; 32], PersonKey(2), THEN.plus(Duration::from_secs(900)), None).await
}

async fn device(store: &Shared, tenant: TenantKey, number: u32) -> Result<()> {
    let browser = number.is_multiple_of(4);
    let fields = DeviceFields {
        external_id: None,
        name: format!("device {number}"),
        owner: Some(PersonKey(number)),
        platform: if browser { Platform::Linux } else { Platform::Ios },
        ownership: Ownership::Personal,
        enrolled: true,
        enrolled_by: Some(PersonKey(number)),
        enrolled_source: Some(EnrolmentSource::Code),
        enrolled_at: Some(THEN),
        app_installed: true,
        permission: NotificationPermission::Granted,
        play_services: true,
        push_enabled: number != 11,
        last_seen: Some(THEN),
    };
    let key = store.create_device(tenant, id(3, number), fields, None).await?.key;
    let fields = if browser {
        RegistrationFields {
            service: Service::WebPush,
            app: String::new(),
            environment: Environment::Production,
            token: String::new(),
            endpoint: format!("https://push.example.net/{number}"),
            p256dh: "BPub".into(),
            auth: vec![7; 44],
        }
    } else {
        RegistrationFields {
            service: Service::Apns,
            app: "org.example.app".into(),
            environment: Environment::Production,
            token: format!("{number:064x}"),
            endpoint: String::new(),
            p256dh: String::new(),
            auth: vec![],
        }
    };
    store.put_registration(tenant, key, id(4, number), fields, None).await?;
    let token = NewToken {
        id: id(6, number),
        hash: [u8::try_from(number).expect("few people"); 32],
        name: format!("device {number}"),
        opens: TokenUse::Device(key),
        expires_at: None,
    };
    store.create_token(tenant, token, None).await.map(drop)
}

async fn accounts(store: &Shared, tenant: TenantKey) -> Result<()> {
    store.put_setting(tenant, "push.enabled", Some(json!(true)), None).await?;
    store.put_setting(tenant, "retention.days", Some(json!(90)), None).await?;
    let token = |number, name: &str, scope| NewToken {
        id: id(7, number),
        hash: [100 + u8::try_from(number).expect("few tokens"); 32],
        name: name.into(),
        opens: TokenUse::Admin { role: RoleId::BuiltIn(Role::Owner), scope },
        expires_at: Some(THEN.plus(Duration::from_secs(86_400 * 365))),
    };
    let answer = Answer { request: [3; 32], status: 201, body: b"{\"version\":1}".to_vec(), location: "/api/v1/tokens/1".into() };
    let once = Once { token: id(7, 1), key: "first".into(), request: [3; 32], answer };
    store.create_token(tenant, token(1, "Ada", Scope::Everything), Some(once)).await?;
    store.create_token(tenant, token(2, "Bea", Scope::Groups(vec![GroupKey(1)])), None).await?;
    store.revoke_token(tenant, id(7, 2)).await?;
    store.raise_alarm(tenant, "apns_our_fault", "the key is refused").await?;
    store.raise_alarm(tenant, "store_unavailable", "the disk is full").await?;
    store.clear_alarm(tenant, "store_unavailable").await.map(drop)
}

fn event(number: u32, people: impl Iterator<Item = u32>) -> NewEvent {
    NewEvent {
        inbox: true,
        id: id(5, number),
        kind: "custom.notification".into(),
        actor: (id(7, 1), "Ada".into()),
        due_at: None,
        expires_at: THEN.plus(Duration::from_secs(86_400 * 30)),
        urgency: Urgency::Normal,
        mode: AudienceMode::Frozen,
        private: false,
        text: Text { title: "Exercice d'évacuation".into(), body: "À midi.".into(), sealed: false },
        data: json!({"number": number}),
        addressed: crate::Addressed { groups: vec![GroupKey(1)], users: vec![PersonKey(1)], devices: vec![] },
        audience: people.collect(),
        by_device_only: RoaringBitmap::new(),
        directory_version: 1,
        resend_of: None,
    }
}

async fn accept(store: &Shared, tenant: TenantKey, event: NewEvent) -> Result<EventKey> {
    let takes = vec![LimitTake { counted: Counted::GroupSends, allowed: 100, window: Duration::from_secs(3_600) }];
    Ok(store.accept(tenant, Acceptance { event, takes, policy: None, once: None, plan: None }).await?.key)
}

/// A push that may go, and beside it the mail that is not needed.
fn rows(person: u32) -> [PlannedRow; 2] {
    let push = PlannedRow {
        person: PersonKey(person),
        seq: 0,
        channel: if person.is_multiple_of(4) { ChannelKind::WebPush } else { ChannelKind::Apns },
        device: Some(DeviceKey(person)),
        registration: Some(RegistrationKey(person)),
        state: State::Scheduled,
        reason: Reason::None,
        facts: Facts::ACTIVE,
        due: THEN,
    };
    let mail = PlannedRow {
        seq: 1,
        channel: ChannelKind::Email,
        device: None,
        registration: None,
        state: State::Suppressed,
        reason: Reason::EmailNotNeeded,
        facts: Facts::ACTIVE.with(Facts::PUSH_GOES, true),
        due: Timestamp(0),
        ..push.clone()
    };
    [push, mail]
}

/// Plans one page of an event.
///
/// # Errors
/// What the store says.
pub async fn plan(store: &Shared, event: EventKey, people: std::ops::RangeInclusive<u32>, last: bool) -> Result<()> {
    let cursor = PersonKey(*people.end());
    let rows = people.flat_map(rows).collect();
    let page = PagePlan { event, rows, policy_version: 3, lane: Lane::Bulk, cursor, last, claim: None };
    store.plan(page).await.map(drop)
}

/// Claims what is due on this lane, at most `limit` segments.
///
/// # Errors
/// What the store says.
pub async fn claim(store: &Shared, lane: Lane, node: Uuid, limit: u32) -> Result<Vec<Claim>> {
    let lease = Lease { node, until: THEN.plus(Duration::from_secs(30)) };
    Ok(store.claim(vec![ChannelKind::Apns, ChannelKind::WebPush, ChannelKind::Email], lane, lease, limit).await?.0)
}

/// What becomes of a row: nearly all are accepted.
fn fate(person: PersonKey) -> (State, Reason, &'static str, u16) {
    match person.0 {
        3 => (State::Gone, Reason::ProviderGone, "Unregistered", 410),
        5 => (State::Rejected, Reason::ProviderRejected, "PayloadTooLarge", 413),
        _ => (State::Accepted, Reason::None, "", 200),
    }
}

/// Sends what is due of a claim: the first `most` rows are settled, and with `release` the claim ends.
///
/// # Errors
/// What the store says.
pub async fn send(store: &Shared, claim: &Claim, most: usize, release: bool) -> Result<()> {
    let rows = store.load(claim.clone(), FactsDepth::default()).await?.rows;
    let settlement = |row: &crate::DueRow| {
        let (state, reason, code, status) = fate(row.person);
        let gone = state == State::Gone;
        let retire =
            gone.then(|| Retirement { registration: RegistrationKey(row.person.0), version: 1, code: code.into(), gone_since: None });
        Settle::Row(Settlement {
            segment: claim.segment,
            generation: claim.generation,
            id: DeliveryId { event: claim.event, person: row.person, seq: row.seq },
            channel: claim.channel,
            was: (row.state, row.reason),
            now: (state, reason),
            due: Timestamp(0),
            facts: row.facts,
            policy_version: 3,
            attempt: Some(Attempt { number: row.attempts + 1, at: THEN, outcome: "told".into(), code: code.into(), status }),
            log_push: true,
            retire,
        })
    };
    let mut batch: Vec<Settle> = rows.iter().take(most).map(settlement).collect();
    if release {
        batch.push(Settle::Release { segment: claim.segment, generation: claim.generation, not_before: Timestamp(0) });
    }
    store.settle(batch.into()).await.map(drop)
}

async fn finished(store: &Shared, tenant: TenantKey) -> Result<()> {
    let key = accept(store, tenant, event(DONE, 1..=PEOPLE)).await?;
    for first in (1..=PEOPLE).step_by(PAGE as usize) {
        let last = (first + PAGE - 1).min(PEOPLE);
        plan(store, key, first..=last, last == PEOPLE).await?;
    }
    for claim in claim(store, Lane::Bulk, id(8, 1), 100).await? {
        send(store, &claim, usize::MAX, true).await?;
    }
    for person in 1..=4 {
        store.receipt(tenant, PersonKey(person), DeviceKey(person), id(5, DONE), ReceiptKind::Received).await?;
    }
    store.receipt(tenant, PersonKey(1), DeviceKey(1), id(5, DONE), ReceiptKind::Opened).await?;
    store.receipt(tenant, PersonKey(2), DeviceKey(2), id(5, DONE), ReceiptKind::Dismissed).await.map(drop)
}

async fn under_way(store: &Shared, tenant: TenantKey) -> Result<()> {
    let key = accept(store, tenant, event(UNDER_WAY, 1..=PEOPLE)).await?;
    plan(store, key, 1..=PAGE, false).await?;
    let claims = claim(store, Lane::Bulk, DEAD, 1).await?;
    send(store, claims.first().expect("a segment is due"), 5, false).await
}

async fn single(store: &Shared, tenant: TenantKey) -> Result<()> {
    let mut event = event(SINGLE, 30..=30);
    event.private = true;
    event.urgency = Urgency::High;
    event.text = Text { title: vec![1; 40], body: vec![2; 60], sealed: true };
    let mut held = rows(30);
    (held[0].state, held[0].reason, held[0].due) = (State::Held, Reason::ProviderUnavailable, THEN.plus(Duration::from_secs(60)));
    let page = PagePlan {
        event: EventKey(0),
        rows: held.into(),
        policy_version: 3,
        lane: Lane::Urgent,
        cursor: PersonKey(30),
        last: true,
        claim: None,
    };
    store.accept(tenant, Acceptance { event, takes: vec![], policy: None, once: None, plan: Some(page) }).await.map(drop)
}
