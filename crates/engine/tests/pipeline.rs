//! The engine over a real store, with a channel whose outcomes are scripted: the flow from draft to settled outcome, and
//! what can narrow it on the way.

use engine::inbox::{InboxQuery, StreamItem};
use engine::keys::Keys;
use engine::notifications::{DeliveryQuery, NotificationDraft, ResendOnly};
use engine::receipts::ReceiptDraft;
use engine::{Engine, Parts, Repeat};
use model::channel::Boxed;
use model::directory::{Environment, Member, MemberKind, NotificationPermission, Ownership, Platform, Service};
use model::event::EventState;
use model::roles::{Actor, Grant, Permissions, Role, Scope};
use model::source::{Declaration, EventTypeDeclaration, Mail, Source, Telling, Words};
use model::{
    Cause, Channel, ChannelKind, Clock, DeviceKey, GroupKey, Lane, Letter, Locale, Outcome, PersonKey, Reason, ReceiptKind, Refusal,
    RefusalKind, Rendered, Slot, State, TenantKey, Timestamp,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use store::sqlite::Sqlite;
use store::{DeviceFields, GroupFields, PersonFields, RegistrationFields, Shared};
use uuid::Uuid;

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Answers as told, and notes every letter.
#[derive(Default)]
struct Scripted {
    answer: Mutex<Option<Outcome>>,
    sent: Mutex<Vec<String>>,
}

struct ScriptedChannel(Arc<Scripted>);
struct ScriptedSlot(Arc<Scripted>);

impl Slot for ScriptedSlot {
    fn send(self: Box<Self>, letter: &Letter<'_>) -> Boxed<'static, Outcome> {
        let body = String::from_utf8_lossy(&letter.content.body).into_owned();
        self.0.sent.lock().push(body);
        let outcome = self.0.answer.lock().clone().unwrap_or(Outcome::Accepted);
        Box::pin(async move { outcome })
    }
}

impl Channel for ScriptedChannel {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Apns
    }

    fn render(&self, words: &Words) -> Rendered {
        Rendered { body: format!("{}|{}", words.title, words.body).into(), ..Rendered::default() }
    }

    fn reserve(&self, _: Lane) -> Boxed<'_, Result<Box<dyn Slot>, Outcome>> {
        let slot: Box<dyn Slot> = Box::new(ScriptedSlot(self.0.clone()));
        Box::pin(async move { Ok(slot) })
    }
}

/// A source whose words are the author's own.
struct Plain;

const PLAIN: Declaration = Declaration {
    name: "plain",
    event_types: &[EventTypeDeclaration {
        name: "custom.notification",
        expiry: Duration::from_secs(72 * 3600),
        email: model::policy::EmailRule::Never,
        inbox: true,
        push: true,
        voids_secrets: false,
    }],
    settings: &[],
    objects: &[],
    cmdlets: &[],
};

impl Source for Plain {
    fn declaration(&self) -> &'static Declaration {
        &PLAIN
    }

    fn words(&self, telling: &Telling<'_>) -> Words {
        let shown = |text: &str| if telling.private { "private".to_owned() } else { text.to_owned() };
        Words {
            event: telling.event,
            kind: telling.kind,
            locale: telling.locale,
            private: telling.private,
            title: shown(&telling.content.title),
            body: shown(&telling.content.body),
            mail: Mail::default(),
        }
    }
}

struct House {
    engine: Engine,
    store: Shared,
    clock: Arc<SetClock>,
    provider: Arc<Scripted>,
    owner: Actor,
    folder: std::path::PathBuf,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl House {
    async fn new() -> House {
        let folder = std::env::temp_dir().join(format!("carillon-engine-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let clock = Arc::new(SetClock(AtomicI64::new(1_800_000_000_000)));
        let store: Shared = Arc::new(Sqlite::open(&folder.join("carillon.db"), clock.clone()).await.expect("a fresh store"));
        let provider = Arc::new(Scripted::default());
        let parts = Parts {
            messenger: None,
            files_follow: false,
            store: store.clone(),
            channels: vec![Arc::new(ScriptedChannel(provider.clone()))],
            sources: vec![Box::new(Plain)],
            clock: clock.clone(),
            keys: Keys::new(vec![[7; 32]]),
            organization: "Test".into(),
            scratch: folder.clone(),
            duties: engine::Duties::ALL,
            node: Uuid::new_v4(),
            predecessor: None,
            sending: None,
        };
        let (engine, fresh) = Engine::start(parts).await.expect("the engine starts");
        assert!(fresh);
        let owner = Actor::Admin {
            token: Uuid::new_v4(),
            name: "owner".into(),
            person: None,
            grants: vec![Grant { permissions: Role::Owner.permissions(), scope: Scope::Everything }],
        };
        House { engine, store, clock, provider, owner, folder }
    }

    fn tenant(&self) -> TenantKey {
        self.engine.tenant().key
    }

    /// A person with one iPhone that can be pushed to.
    async fn person(&self, name: &str) -> (PersonKey, DeviceKey) {
        let fields = PersonFields {
            upn: format!("{name}@example.org"),
            display_name: name.into(),
            locale: "en".into(),
            timezone: "UTC".into(),
            active: true,
            ..PersonFields::default()
        };
        let person = self.store.create_person(self.tenant(), Uuid::new_v4(), fields, None).await.expect("a person");
        let device = DeviceFields {
            external_id: None,
            name: format!("{name}'s iPhone"),
            owner: Some(person.key),
            platform: Platform::Ios,
            ownership: Ownership::Personal,
            enrolled: true,
            enrolled_by: Some(person.key),
            enrolled_source: None,
            enrolled_at: None,
            app_installed: true,
            permission: NotificationPermission::Granted,
            play_services: true,
            push_enabled: true,
            last_seen: None,
        };
        let device = self.store.create_device(self.tenant(), Uuid::new_v4(), device, None).await.expect("a device");
        let registration = RegistrationFields {
            service: Service::Apns,
            app: String::new(),
            environment: Environment::Production,
            token: format!("{:064x}", device.key.0),
            endpoint: String::new(),
            p256dh: String::new(),
            auth: Vec::new(),
        };
        let put = self.store.put_registration(self.tenant(), device.key, Uuid::new_v4(), registration, None).await;
        put.expect("a registration");
        (person.key, device.key)
    }

    async fn group(&self, name: &str, members: &[Member]) -> GroupKey {
        let fields = GroupFields { name: name.into(), ..GroupFields::default() };
        let group = self.store.create_group(self.tenant(), Uuid::new_v4(), fields, None).await.expect("a group");
        if !members.is_empty() {
            self.members(group.key, members, &[]).await;
        }
        group.key
    }

    async fn members(&self, group: GroupKey, add: &[Member], remove: &[Member]) {
        let group = self.store.group(self.tenant(), group).await.expect("readable").expect("there");
        let ids = |members: Vec<Member>| async move {
            let mut out = Vec::new();
            for member in members {
                let id = match member.kind {
                    MemberKind::User => self.store.person(self.tenant(), PersonKey(member.key)).await.expect("readable").expect("there").id,
                    MemberKind::Group => self.store.group(self.tenant(), GroupKey(member.key)).await.expect("readable").expect("there").id,
                    MemberKind::Device => {
                        self.store.device(self.tenant(), DeviceKey(member.key)).await.expect("readable").expect("there").id
                    }
                };
                out.push(serde_json::json!({"memberType": member.kind.word(), "id": id}));
            }
            out
        };
        let draft = serde_json::json!({"add": ids(add.to_vec()).await, "remove": ids(remove.to_vec()).await});
        let draft = serde_json::from_value(draft).expect("a draft");
        self.engine.change_members(&self.owner, group.id, draft, None).await.expect("members change");
    }

    async fn send(&self, groups: &[&str], users: &[&str]) -> engine::Result<engine::notifications::NotificationView> {
        self.engine.send(&self.owner, draft(groups, users), None).await
    }

    /// Waits until an event is done, for at most ten seconds.
    async fn done(&self, id: Uuid) -> engine::notifications::NotificationView {
        for _ in 0..1_000 {
            let view = self.engine.notification(&self.owner, id).await.expect("readable");
            if view.state.is_final() {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the notification did not end: {:?}", self.engine.notification(&self.owner, id).await);
    }

    async fn waits(&self, id: Uuid, state: State) -> bool {
        for _ in 0..1_000 {
            let query = DeliveryQuery { state: Some(state), ..DeliveryQuery::default() };
            if !self.engine.deliveries(&self.owner, id, query).await.expect("readable").items.is_empty() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    async fn reason(&self, id: Uuid, person: &str, channel: ChannelKind) -> Option<Reason> {
        let why = self.engine.why(&self.owner, id, person, Locale::En).await.expect("explained");
        why.decisions.iter().find(|d| d.channel == Some(channel)).expect("a decision on the channel").reason_code
    }

    fn sent(&self) -> usize {
        self.provider.sent.lock().len()
    }

    fn later(&self, span: Duration) {
        self.clock.0.fetch_add(i64::try_from(span.as_millis()).expect("a short span"), Ordering::SeqCst);
    }
}

fn draft(groups: &[&str], users: &[&str]) -> NotificationDraft {
    NotificationDraft {
        title: "Title".into(),
        body: "Body".into(),
        groups: groups.iter().map(|g| (*g).into()).collect(),
        users: users.iter().map(|u| (*u).into()).collect(),
        ..NotificationDraft::default()
    }
}

fn user(key: PersonKey) -> Member {
    Member { kind: MemberKind::User, key: key.0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_groups_reach_everybody_once_and_every_row_ends() {
    let house = House::new().await;
    let mut people = Vec::new();
    for n in 0..150 {
        people.push(house.person(&format!("p{n}")).await.0);
    }
    let inner: Vec<Member> = people.iter().map(|p| user(*p)).collect();
    let all = house.group("All", &[]).await;
    let nested = house.group("Nested", &inner).await;
    house.members(all, &[Member { kind: MemberKind::Group, key: nested.0 }, user(people[0])], &[]).await;
    house.members(nested, &[Member { kind: MemberKind::Group, key: all.0 }], &[]).await;
    let sent = house.send(&["All"], &["p1@example.org"]).await.expect("accepted");
    let done = house.done(sent.id).await;
    assert_eq!((done.counts.recipients, done.counts.accepted), (150, 150));
    assert_eq!(house.sent(), 150);
    let outcome = house.engine.reach(&house.owner, draft(&["All"], &[]), Default::default()).await.expect("a forecast");
    assert_eq!((outcome.people, outcome.devices, outcome.inbox_only), (150, 150, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_event_is_on_the_wire_without_a_second_round() {
    let house = House::new().await;
    house.person("ada").await;
    let view = house.send(&[], &["ada@example.org"]).await.expect("accepted");
    assert_eq!((view.counts.recipients, view.counts.planned, view.state), (1, 1, EventState::Sending));
    assert_eq!(house.done(view.id).await.counts.accepted, 1);
    assert_eq!(*house.provider.sent.lock(), ["Title|Body"]);
    assert_eq!(house.reason(view.id, "ada@example.org", ChannelKind::Apns).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_is_off_suppresses_and_a_later_one_ends_what_waits() {
    let house = House::new().await;
    house.person("ada").await;
    *house.provider.answer.lock() =
        Some(Outcome::TryLater { after: Some(Duration::from_secs(600)), cause: Cause::of("TooManyRequests", 429) });
    let waiting = house.send(&[], &["ada@example.org"]).await.expect("accepted");
    assert!(house.waits(waiting.id, State::Held).await);
    assert_eq!(house.reason(waiting.id, "ada@example.org", ChannelKind::Apns).await, Some(Reason::ProviderUnavailable));
    let before = house.sent();
    house
        .engine
        .set_setting(&house.owner, "push.apns.enabled", Some(serde_json::json!(false)), None, Locale::En)
        .await
        .expect("turned off");
    let ended = house.done(waiting.id).await;
    // The push and the mail, which this kind never takes.
    assert_eq!((ended.counts.suppressed, ended.counts.held), (2, 0));
    let refused = house.send(&[], &["ada@example.org"]).await.expect("accepted all the same");
    assert_eq!(house.done(refused.id).await.counts.suppressed, 2);
    assert_eq!(house.reason(refused.id, "ada@example.org", ChannelKind::Apns).await, Some(Reason::OrgSwitchOff));
    assert_eq!(house.sent(), before, "nothing went out after the switch");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_app_gets_it_and_its_receipt_ends_the_push() {
    let house = House::new().await;
    let (owner, device) = house.person("ada").await;
    let app = Actor::Device { device, owner };
    let mut stream = house.engine.open_stream(&app, None).await.expect("a stream");
    let sent = house.send(&[], &["ada@example.org"]).await.expect("accepted");
    let Some(StreamItem::Notification(item)) = stream.next().await else { panic!("nothing came") };
    assert_eq!((item.event_id, item.title.as_deref()), (sent.id, Some("Title")));
    assert!(house.waits(sent.id, State::Held).await, "the push waits for the receipt");
    let receipt = ReceiptDraft { event_id: sent.id, kind: ReceiptKind::Received };
    assert_eq!(house.engine.receive_receipts(&app, vec![receipt, receipt]).await.expect("taken").accepted, 1);
    house.done(sent.id).await;
    assert_eq!(house.reason(sent.id, "ada@example.org", ChannelKind::Apns).await, Some(Reason::ShownInApp));
    assert_eq!(house.sent(), 0);
    let inbox = house.engine.device_inbox(&app, InboxQuery::default()).await.expect("an inbox");
    assert_eq!(inbox.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_stream_delays_the_push_and_does_not_swallow_it() {
    let house = House::new().await;
    let (owner, device) = house.person("ada").await;
    let _silent = house.engine.open_stream(&Actor::Device { device, owner }, None).await.expect("a stream");
    let sent = house.send(&[], &["ada@example.org"]).await.expect("accepted");
    assert!(house.waits(sent.id, State::Held).await);
    assert_eq!(house.sent(), 0);
    house.later(Duration::from_secs(11));
    assert_eq!(house.done(sent.id).await.counts.accepted, 1);
    assert_eq!(house.sent(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_resumes_with_what_it_missed_and_nothing_twice() {
    let house = House::new().await;
    let (owner, device) = house.person("ada").await;
    let app = Actor::Device { device, owner };
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(house.send(&[], &["ada@example.org"]).await.expect("accepted").id);
    }
    let first = house.engine.device_inbox(&app, InboxQuery::default()).await.expect("an inbox").items.pop().expect("the oldest");
    let mut stream = house.engine.open_stream(&app, Some(first.seq)).await.expect("a stream");
    for expected in &ids[1..] {
        let Some(StreamItem::Notification(item)) = stream.next().await else { panic!("nothing came") };
        assert_eq!(item.event_id, *expected);
    }
    let nothing = tokio::time::timeout(Duration::from_millis(50), stream.next()).await;
    assert!(nothing.is_err(), "nothing comes twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_a_live_audience_does_not_get_what_waited_and_a_frozen_one_does() {
    let house = House::new().await;
    let (ada, _) = house.person("ada").await;
    let team = house.group("Team", &[user(ada)]).await;
    *house.provider.answer.lock() =
        Some(Outcome::TryLater { after: Some(Duration::from_secs(60)), cause: Cause::of("TooManyRequests", 429) });
    let mut live = draft(&["Team"], &[]);
    live.audience = Some("live".into());
    let live = house.engine.send(&house.owner, live, None).await.expect("accepted");
    let frozen = house.send(&["Team"], &[]).await.expect("accepted");
    assert!(house.waits(live.id, State::Held).await && house.waits(frozen.id, State::Held).await);
    house.members(team, &[], &[user(ada)]).await;
    *house.provider.answer.lock() = None;
    house.later(Duration::from_secs(120));
    house.done(live.id).await;
    house.done(frozen.id).await;
    assert_eq!(house.reason(live.id, "ada@example.org", ChannelKind::Apns).await, Some(Reason::LeftAudience));
    assert_eq!(house.reason(frozen.id, "ada@example.org", ChannelKind::Apns).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_ours_keeps_the_address_waits_and_raises_an_alarm() {
    let house = House::new().await;
    let (_, device) = house.person("ada").await;
    *house.provider.answer.lock() = Some(Outcome::OurFault(Cause::of_channel("InvalidProviderToken", 403)));
    let sent = house.send(&[], &["ada@example.org"]).await.expect("accepted");
    assert!(house.waits(sent.id, State::Held).await);
    assert_eq!(house.reason(sent.id, "ada@example.org", ChannelKind::Apns).await, Some(Reason::OurFault));
    let registrations = house.store.registrations(house.tenant(), device).await.expect("readable");
    assert!(registrations.iter().all(|r| r.state == model::directory::RegistrationState::Active));
    let alarms = house.store.alarms(house.tenant(), 10).await.expect("readable");
    assert_eq!(alarms.first().map(|a| a.code.as_str()), Some("apns_our_fault"));
    *house.provider.answer.lock() = None;
    house.later(Duration::from_secs(400));
    assert_eq!(house.done(sent.id).await.counts.accepted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gone_address_is_retired_and_the_failed_are_sent_to_again() {
    let house = House::new().await;
    let (_, device) = house.person("ada").await;
    *house.provider.answer.lock() = Some(Outcome::AddressGone(Cause::of("Unregistered", 410)));
    let sent = house.send(&[], &["ada@example.org"]).await.expect("accepted");
    assert_eq!(house.done(sent.id).await.counts.gone, 1);
    let registrations = house.store.registrations(house.tenant(), device).await.expect("readable");
    assert_eq!(registrations[0].retired_code.as_deref(), Some("Unregistered"));
    let again = house.engine.resend(&house.owner, sent.id, Some(ResendOnly::Failed), None).await.expect("accepted");
    assert_eq!((again.resend_of, again.counts.recipients), (Some(sent.id), 1));
    house.done(again.id).await;
    assert_eq!(house.reason(again.id, "ada@example.org", ChannelKind::Apns).await, Some(Reason::RegistrationRetired));
    let nobody = house.engine.resend(&house.owner, again.id, Some(ResendOnly::Unopened), None).await;
    assert_eq!(nobody.expect_err("nobody has it").code, "nobody_left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_event_waits_for_its_hour_and_a_cancelled_one_never_goes() {
    let house = House::new().await;
    house.person("ada").await;
    let mut at = draft(&[], &["ada@example.org"]);
    at.at = Some(house.engine.now().plus(Duration::from_secs(3600)).to_string());
    let first = house.engine.send(&house.owner, at.clone(), None).await.expect("accepted");
    let second = house.engine.send(&house.owner, at, None).await.expect("accepted");
    assert_eq!(first.state, EventState::Scheduled);
    house.engine.cancel(&house.owner, second.id).await.expect("stopped");
    house.later(Duration::from_secs(3601));
    assert_eq!(house.done(first.id).await.counts.accepted, 1);
    assert_eq!(house.sent(), 1);
    assert_eq!(house.reason(second.id, "ada@example.org", ChannelKind::Apns).await, Some(Reason::Cancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_exact_under_concurrency_and_a_repeat_is_not_counted() {
    let house = House::new().await;
    let (ada, _) = house.person("ada").await;
    house.group("Team", &[user(ada)]).await;
    let tries = futures_util::future::join_all((0..40).map(|_| house.send(&["Team"], &[]))).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!(accepted.len(), 25);
    for refusal in refused {
        let Err(Refusal { kind: RefusalKind::OverLimit { limit, allowed, .. }, .. }) = refusal else { panic!("another refusal") };
        assert_eq!((limit.as_str(), allowed), ("limits.group_sends_per_hour", 25));
    }
    // The store reads the clock once for all that it writes together: nothing of the first hour is under way any more.
    for one in accepted.into_iter().flatten() {
        house.done(one.id).await;
    }
    house.later(Duration::from_secs(3601));
    let repeat = Repeat { key: "k".into(), request: [1; 32], place: "/api/v1/notifications".into() };
    house.engine.send(&house.owner, draft(&["Team"], &[]), Some(repeat.clone())).await.expect("accepted");
    let repeated = house.engine.send(&house.owner, draft(&["Team"], &[]), Some(repeat)).await;
    assert_eq!(repeated.expect_err("answered before").code, "idempotency_in_progress");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_and_scope_are_looked_at_before_anything_else() {
    let house = House::new().await;
    let (ada, _) = house.person("ada").await;
    let (eve, _) = house.person("eve").await;
    let team = house.group("Team", &[user(ada)]).await;
    house.group("Others", &[user(eve)]).await;
    let reader = Actor::Admin {
        token: Uuid::nil(),
        name: "r".into(),
        person: None,
        grants: vec![Grant { permissions: Role::Reader.permissions(), scope: Scope::Everything }],
    };
    assert_eq!(house.engine.send(&reader, draft(&["Team"], &[]), None).await.expect_err("a reader").code, "forbidden");
    let local = Actor::Admin {
        token: Uuid::nil(),
        name: "l".into(),
        person: None,
        grants: vec![Grant { permissions: Permissions::all(), scope: Scope::Groups(vec![team]) }],
    };
    house.engine.send(&local, draft(&["Team"], &["ada@example.org"]), None).await.expect("inside the scope");
    for outside in [draft(&["Others"], &[]), draft(&[], &["eve@example.org"])] {
        assert_eq!(house.engine.send(&local, outside, None).await.expect_err("outside").kind, RefusalKind::Forbidden);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_text_is_sealed_in_the_store_and_whole_in_the_inbox() {
    let house = House::new().await;
    let (owner, device) = house.person("ada").await;
    let mut private = draft(&[], &["ada@example.org"]);
    private.private = true;
    private.body = "the secret word".into();
    let sent = house.engine.send(&house.owner, private, None).await.expect("accepted");
    house.done(sent.id).await;
    assert_eq!(*house.provider.sent.lock(), ["private|private"]);
    let row = house.store.event_by_id(house.tenant(), sent.id).await.expect("readable").expect("there");
    let text = row.text.expect("kept");
    assert!(text.sealed && !text.body.windows(6).any(|w| w == b"secret"));
    let app = Actor::Device { device, owner };
    let inbox = house.engine.device_inbox(&app, InboxQuery::default()).await.expect("an inbox");
    assert_eq!(inbox.items[0].body.as_deref(), Some("the secret word"));
}
