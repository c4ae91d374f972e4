//! Whole stores on their way: nothing is lost from one engine to the other and back, at whatever moment it is cut off, and
//! a backup taken under load is one moment.

use super::*;
use crate::conformance::StoryClock;
use crate::postgres::Time;
use crate::sqlite::Sqlite;
use crate::*;
use model::directory::{Environment, Member, MemberKind, NotificationPermission, Ownership, Platform, Service};
use model::event::AudienceMode;
use model::limits::{Counted, HOUR, LimitTake};
use model::{
    ChannelKind, DeliveryId, DeviceKey, EventKey, Facts, Lane, PersonKey, Reason, ReceiptKind, RegistrationKey, State, TenantKey,
    Timestamp, Urgency,
};
use serde_json::json;
use servers::PrivatePostgres;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Tells a child process what to migrate: the file and the address, with a space between.
const CHILD: &str = "CARILLON_TEST_MIGRATE";

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("carillon-transfer-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).expect("a folder");
        folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn silent() -> Tell {
    Arc::new(|_| true)
}

fn at(address: &str) -> Database {
    Database::parse(address).expect("a database")
}

async fn open_sqlite(file: &Path) -> Sqlite {
    Sqlite::open(file, Arc::new(StoryClock::default())).await.expect("opened")
}

async fn open_postgres(address: &str) -> Result<Postgres> {
    let clock = Time::Given(Arc::new(StoryClock::default()));
    Postgres::open(Address::parse(address).expect("an address"), clock, std::env::temp_dir()).await
}

fn event_for(people: std::ops::RangeInclusive<u32>, id: u128) -> NewEvent {
    NewEvent {
        inbox: true,
        id: Uuid::from_u128(id),
        kind: "custom.notification".into(),
        actor: (Uuid::from_u128(7), "Ada Ōé".into()),
        due_at: None,
        expires_at: Timestamp::NEVER,
        urgency: Urgency::High,
        mode: AudienceMode::Frozen,
        private: true,
        text: Text { title: vec![0, 1, 2, 255], body: b"body".to_vec(), sealed: true },
        data: json!({"a": "\u{0}ü"}),
        addressed: Addressed::default(),
        audience: people.collect(),
        by_device_only: [2].into_iter().collect(),
        directory_version: 1,
        resend_of: Some(Uuid::from_u128(3)),
    }
}

fn row(person: u32, now: Timestamp) -> PlannedRow {
    PlannedRow {
        person: PersonKey(person),
        seq: 0,
        channel: ChannelKind::Apns,
        device: Some(DeviceKey(person)),
        registration: (!person.is_multiple_of(3)).then_some(RegistrationKey(person)),
        state: State::Scheduled,
        reason: Reason::None,
        facts: Facts::ACTIVE,
        due: now,
    }
}

fn settlement(claim: &Claim, row: &DueRow, now: (State, Reason)) -> Settle {
    Settle::Row(Settlement {
        segment: claim.segment,
        generation: claim.generation,
        id: DeliveryId { event: claim.event, person: row.person, seq: row.seq },
        channel: claim.channel,
        was: (row.state, row.reason),
        now,
        due: row.due.plus(Duration::from_secs(3600)),
        facts: row.facts,
        policy_version: 2,
        attempt: Some(Attempt { number: row.attempts + 1, at: row.due, outcome: "x".into(), code: "Gone".into(), status: 410 }),
        log_push: true,
        retire: None,
    })
}

/// Puts something into every table.
async fn populate(store: &dyn Store) -> TenantKey {
    let (tenant, _) = store.ensure_tenant("Änne's", Uuid::from_u128(1)).await.expect("a tenant");
    let tenant = tenant.key;
    let once = |key: &str| {
        let request = [9; 32];
        let answer = Answer { request, status: 201, body: vec![1, 0, 2], location: "/x".into() };
        Some(Once { token: Uuid::from_u128(5), key: key.into(), request, answer })
    };
    for n in 1..=40_u32 {
        let fields = PersonFields {
            external_id: n.is_multiple_of(2).then(|| format!("e{n}")),
            upn: format!("P{n}@Example.org"),
            display_name: format!("Pérson {n}"),
            email: Some(format!("p{n}@example.org")),
            locale: "fr".into(),
            timezone: "Europe/Paris".into(),
            licenses: vec!["E3".into()],
            phones: vec!["+33123".into()],
            active: !n.is_multiple_of(7),
            ..PersonFields::default()
        };
        store.create_person(tenant, Uuid::from_u128(1_000 + u128::from(n)), fields, once(&format!("k{n}"))).await.expect("a person");
        let device = DeviceFields {
            external_id: Some(format!("d{n}")),
            name: "phone".into(),
            owner: Some(PersonKey(n)),
            platform: Platform::Ios,
            ownership: Ownership::Personal,
            enrolled: true,
            enrolled_by: Some(PersonKey(n)),
            enrolled_source: None,
            enrolled_at: Some(Timestamp(5)),
            app_installed: true,
            permission: NotificationPermission::Granted,
            play_services: true,
            push_enabled: true,
            last_seen: None,
        };
        let device = store.create_device(tenant, Uuid::from_u128(2_000 + u128::from(n)), device, None).await.expect("a device").key;
        let registration = RegistrationFields {
            service: Service::Apns,
            app: "app".into(),
            environment: Environment::Production,
            token: format!("t{n}"),
            endpoint: String::new(),
            p256dh: String::new(),
            auth: vec![0, 255, n as u8],
        };
        let id = Uuid::from_u128(3_000 + u128::from(n));
        store.put_registration(tenant, device, id, registration, None).await.expect("a registration");
    }
    let group = GroupFields { external_id: None, name: "all".into(), description: "everybody".into() };
    let group = store.create_group(tenant, Uuid::from_u128(4_000), group, None).await.expect("a group").key;
    let members = (1..=40).map(|key| Member { kind: MemberKind::User, key }).collect();
    store.change_members(tenant, group, members, vec![], None).await.expect("members");
    store.create_code(tenant, [8; 32], PersonKey(1), Timestamp::NEVER, None).await.expect("a code");
    store.put_setting(tenant, "retention.days", Some(json!(30)), None).await.expect("set");
    let opens = TokenUse::Admin { role: model::roles::RoleId::BuiltIn(model::roles::Role::Owner), scope: model::roles::Scope::Everything };
    let token = NewToken { id: Uuid::from_u128(6), hash: [6; 32], name: "t".into(), opens, expires_at: None };
    store.create_token(tenant, token, None).await.expect("a token");
    let object = NewObject {
        id: Uuid::from_u128(7),
        name: "Watch".into(),
        document: json!({"permissions": ["Directory/Read"]}),
        ..NewObject::default()
    };
    store.create_object(tenant, model::objects::ObjectKind::Role, object, None).await.expect("a role");
    let until = Timestamp(i64::MAX / 2);
    let held = NewObject {
        id: Uuid::from_u128(8),
        name: "held".into(),
        document: json!({}),
        keys: vec!["key".into()],
        links: vec![Uuid::from_u128(7)],
        due: Some(until),
    };
    let change = crate::Change {
        steps: vec![crate::Step::Make(model::objects::ObjectKind::Work, held)],
        files: vec![crate::NewFile { id: Uuid::from_u128(9), content: vec![0, 255, 10], until }],
        ..crate::Change::default()
    };
    store.change(tenant, change).await.expect("an object with a key, a link and a file");
    store.raise_alarm(tenant, "disk_low", "the disk is low").await.expect("raised");
    let take = LimitTake { counted: Counted::GroupSends, allowed: 25, window: HOUR };
    let acceptance = Acceptance { event: event_for(1..=40, 100), takes: vec![take], policy: None, once: None, plan: None };
    let event = store.accept(tenant, acceptance).await.expect("accepted");
    for (page, last) in [(1..=20, false), (21..=40, true)] {
        let cursor = PersonKey(*page.end());
        let rows = page.map(|person| row(person, event.at)).collect();
        let page = PagePlan { event: event.key, rows, policy_version: 2, lane: Lane::Bulk, cursor, last, claim: None };
        store.plan(page).await.expect("planned");
    }
    let lease = Lease { node: Uuid::from_u128(77), until: event.at.plus(Duration::from_secs(3600)) };
    let (claims, _) = store.claim(vec![ChannelKind::Apns], Lane::Bulk, lease, 2).await.expect("claimed");
    let rows = store.load(claims[0].clone(), FactsDepth::default()).await.expect("loaded").rows;
    let became = |row: &DueRow| match row.person.0 % 3 {
        0 => (State::Accepted, Reason::None),
        1 => (State::Held, Reason::ProviderUnavailable),
        _ => (State::Gone, Reason::ProviderGone),
    };
    let mut batch: Vec<Settle> = rows.iter().map(|row| settlement(&claims[0], row, became(row))).collect();
    batch.push(Settle::Release { segment: claims[0].segment, generation: claims[0].generation, not_before: Timestamp(0) });
    store.settle(batch.into()).await.expect("settled");
    store.receipt(tenant, PersonKey(3), DeviceKey(3), Uuid::from_u128(100), ReceiptKind::Opened).await.expect("kept");
    let small = Acceptance { event: event_for(1..=3, 101), takes: vec![], policy: None, once: None, plan: None };
    store.accept(tenant, small).await.expect("accepted");
    let act = Act {
        by: By::Token { id: Uuid::from_u128(6), name: "t".into() },
        operation: "user.update".into(),
        object: Some(Thing::User(Whom::Person(PersonKey(3)))),
        people: vec![],
        scope: None,
        outcome: "done".into(),
        changes: serde_json::Map::new(),
        seed: [5; 32],
    };
    store.note(tenant, act).await.expect("noted");
    store.sink_to(tenant, "syslog", 1).await.expect("noted");
    tenant
}

/// Every row of every table, and how far its counters are.
fn dump(file: &Path) -> Vec<String> {
    let c = Connection::open(file).expect("opened");
    let mut lines = Vec::new();
    for table in TABLES {
        let mut select = c.prepare(&format!("SELECT {} FROM {} ORDER BY {}", table.listed(), table.name, table.key)).expect("a table");
        let mut rows = select.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let cells: Vec<_> = (0..table.columns.len()).map(|n| format!("{:?}", row.get_ref(n).expect("a cell"))).collect();
            lines.push(format!("{}: {}", table.name, cells.join(" ")));
        }
    }
    let mut counters = c.prepare("SELECT name, seq FROM sqlite_sequence WHERE seq > 0 ORDER BY name").expect("counters");
    let counters = counters.query_map([], |row| Ok(format!("{}: {}", row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).expect("counters");
    lines.extend(counters.map(|line| line.expect("a line")));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_to_postgres_and_back_without_a_difference() {
    let Some(cluster) = PrivatePostgres::shared() else {
        return println!("SKIPPED: PostgreSQL is not installed, so nothing of its store was tried");
    };
    let folder = Folder::new();
    let (here, back) = (folder.file("carillon.db"), folder.file("back.db"));
    let store = open_sqlite(&here).await;
    populate(&store).await;
    let refused = migrate(Database::Sqlite(here.clone()), at(&cluster.database()), silent()).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("in use by process")), "{refused:?}");
    store.close().await.expect("closed");
    let before = dump(&here);
    for table in TABLES {
        assert!(before.iter().any(|line| line.starts_with(table.name)), "{} is empty and proves nothing", table.name);
    }
    let address = cluster.database();
    let copied = migrate(Database::Sqlite(here.clone()), at(&address), silent()).await.expect("moved");
    assert!(copied.rows() > 250 && copied.tables.len() == TABLES.len());
    assert_eq!(migrate(at(&address), Database::Sqlite(back.clone()), silent()).await.expect("moved back"), copied);
    assert_eq!(dump(&back), before);
    // The store goes on where it was, on the other engine too, and counts on.
    let store = open_postgres(&address).await.expect("opened");
    let tenant = store.ensure_tenant("Änne's", Uuid::nil()).await.expect("there").0.key;
    let accepted = Acceptance { event: event_for(1..=3, 102), takes: vec![], policy: None, once: None, plan: None };
    let accepted = store.accept(tenant, accepted).await.expect("accepted");
    assert_eq!((accepted.key, accepted.inbox_seq), (EventKey(3), Some(3)));
    let fields = PersonFields { upn: "p1@EXAMPLE.org".into(), ..PersonFields::default() };
    let taken = store.create_person(tenant, Uuid::from_u128(1), fields, None).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "upn", .. })), "{taken:?}");
    let (version, _) = store.directory_version(tenant).await.expect("read");
    assert_eq!(store.member_changes(tenant, version - 1).await.expect("asked"), None, "what was before is not told");
    let again = migrate(Database::Sqlite(here), at(&address), silent()).await;
    assert!(matches!(&again, Err(StoreError::Unavailable(why)) if why.contains("holds a store already")), "{again:?}");
    store.beat(Uuid::from_u128(1), Timestamp::NEVER).await.expect("beats");
    let running = migrate(at(&address), Database::Sqlite(folder.file("other.db")), silent()).await;
    assert!(matches!(&running, Err(StoreError::Unavailable(why)) if why.contains("stop them first")), "{running:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_cut_off_anywhere_is_completed_by_the_next() {
    let Some(cluster) = PrivatePostgres::shared() else {
        return println!("SKIPPED: PostgreSQL is not installed, so nothing of its store was tried");
    };
    let folder = Folder::new();
    let here = folder.file("carillon.db");
    let store = open_sqlite(&here).await;
    populate(&store).await;
    store.close().await.expect("closed");
    let before = dump(&here);
    let address = cluster.database();
    for stop_at in [1, 3, 12, TABLES.len()] {
        let stopping: Tell = Arc::new(move |step| step.place < stop_at);
        let cut = migrate(Database::Sqlite(here.clone()), at(&address), stopping).await;
        assert!(matches!(cut, Err(StoreError::Unavailable(_))), "{cut:?}");
        let Err(StoreError::Unavailable(why)) = open_postgres(&address).await else { panic!("a half store was opened") };
        assert!(why.contains("not whole"), "{why}");
    }
    migrate(Database::Sqlite(here.clone()), at(&address), silent()).await.expect("completed");
    let back = folder.file("back.db");
    let stopping: Tell = Arc::new(move |step| step.place < 9);
    assert!(migrate(at(&address), Database::Sqlite(back.clone()), stopping).await.is_err());
    assert!(!back.exists(), "a file has its name only when it is whole");
    migrate(at(&address), Database::Sqlite(back.clone()), silent()).await.expect("completed");
    assert_eq!(dump(&back), before);
}

/// What the child does until it is killed: it migrates slowly.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_migrates_until_it_is_killed() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (file, address) = task.split_once(' ').expect("a file and an address");
    let slow: Tell = Arc::new(|step| {
        println!("step {}", step.place);
        std::thread::sleep(Duration::from_millis(30));
        true
    });
    migrate(Database::Sqlite(file.into()), at(address), slow).await.expect("moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_migration_is_completed_by_the_next() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let Some(cluster) = PrivatePostgres::shared() else {
        return println!("SKIPPED: PostgreSQL is not installed, so nothing of its store was tried");
    };
    let folder = Folder::new();
    let here = folder.file("carillon.db");
    let store = open_sqlite(&here).await;
    populate(&store).await;
    store.close().await.expect("closed");
    let before = dump(&here);
    let address = cluster.database();
    for wanted in ["step 2", "step 11"] {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "transfer::tests::a_child_that_migrates_until_it_is_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{} {address}", here.display()))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("its words")));
        assert!(lines.map_while(std::result::Result::ok).any(|line| line.ends_with(wanted)), "the child came so far");
        child.kill().expect("killed");
        child.wait().expect("gone");
        assert!(open_postgres(&address).await.is_err(), "a half store is not opened");
    }
    // The killed one's connection may hold the right to fill the database for a moment.
    let mut moved = migrate(Database::Sqlite(here.clone()), at(&address), silent()).await;
    for _ in 0..50 {
        if moved.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        moved = migrate(Database::Sqlite(here.clone()), at(&address), silent()).await;
    }
    moved.expect("completed");
    let back = folder.file("back.db");
    migrate(at(&address), Database::Sqlite(back.clone()), silent()).await.expect("back");
    assert_eq!(dump(&back), before);
}

/// Accepts, plans and sends until it is told to stop.
async fn load(store: Shared, tenant: TenantKey, stop: Arc<AtomicBool>, worker: u128) {
    let mut id = worker << 64;
    while !stop.load(Ordering::Relaxed) {
        id += 1;
        let acceptance = Acceptance { event: event_for(1..=60, id), takes: vec![], policy: None, once: None, plan: None };
        let event = store.accept(tenant, acceptance).await.expect("accepted");
        for (page, last) in [(1..=30, false), (31..=60, true)] {
            let cursor = PersonKey(*page.end());
            let rows = page.map(|person| row(person, event.at)).collect();
            let page = PagePlan { event: event.key, rows, policy_version: 2, lane: Lane::Bulk, cursor, last, claim: None };
            store.plan(page).await.expect("planned");
        }
        let lease = Lease { node: Uuid::from_u128(worker), until: event.at.plus(Duration::from_secs(60)) };
        for claim in store.claim(vec![ChannelKind::Apns], Lane::Bulk, lease, 4).await.expect("claimed").0 {
            let rows = store.load(claim.clone(), FactsDepth::default()).await.expect("loaded").rows;
            let mut batch: Vec<Settle> = rows.iter().map(|row| settlement(&claim, row, (State::Accepted, Reason::None))).collect();
            batch.push(Settle::Release { segment: claim.segment, generation: claim.generation, not_before: Timestamp(0) });
            store.settle(batch.into()).await.expect("settled");
        }
    }
}

/// Each event's totals are those of its rows, and a page of its plan is there whole or not at all.
async fn is_one_moment(store: &dyn Store, tenant: TenantKey) -> usize {
    let events = store.events(tenant, None, None, 100_000).await.expect("listed");
    for event in &events {
        let counts = store.counts(event.key).await.expect("counted");
        let rows = store.deliveries(event.key, DeliveryFilter::default(), None, 100_000).await.expect("listed");
        assert_eq!(rows.len(), event.cursor.0 as usize, "a page is there whole or not at all");
        assert_eq!(counts.planned_people, u64::from(event.cursor.0));
        for count in &counts.deliveries {
            assert_eq!(rows.iter().filter(|row| row.state == count.state && row.reason == count.reason).count() as u64, count.rows);
        }
        assert_eq!(store.in_audience(event.key, PersonKey(60)).await.expect("asked"), Some(false));
    }
    events.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_one_moment_and_restores_into_either_engine() {
    let Some(cluster) = PrivatePostgres::shared() else {
        return println!("SKIPPED: PostgreSQL is not installed, so nothing of its store was tried");
    };
    let folder = Folder::new();
    let (file, address) = (folder.file("carillon.db"), cluster.database());
    let stores: [(Shared, Database); 2] = [
        (Arc::new(open_sqlite(&file).await), Database::Sqlite(file.clone())),
        (Arc::new(open_postgres(&address).await.expect("opened")), at(&address)),
    ];
    for (n, (store, database)) in stores.into_iter().enumerate() {
        let tenant = store.ensure_tenant("loaded", Uuid::from_u128(1)).await.expect("a tenant").0.key;
        let stop = Arc::new(AtomicBool::new(false));
        let workers: Vec<_> = (1..=2).map(|worker| tokio::spawn(load(store.clone(), tenant, stop.clone(), worker))).collect();
        tokio::time::sleep(Duration::from_millis(700)).await;
        let (one, two) = (folder.file(&format!("one{n}")), folder.file(&format!("two{n}")));
        let copied = backup(database.clone(), one.clone(), silent()).await.expect("copied");
        tokio::time::sleep(Duration::from_millis(200)).await;
        store.backup(two.clone()).await.expect("copied by the store itself");
        assert!(workers.iter().all(|worker| !worker.is_finished()), "the load went on");
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.await.expect("ended in order");
        }
        assert!(copied.rows() > 500, "{copied:?}");
        let refused = backup(database.clone(), one.clone(), silent()).await;
        assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("exists already")), "{refused:?}");
        let refused = restore(one.clone(), database, silent()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "a store that is there is left alone: {refused:?}");
        let mut seen = Vec::new();
        for (place, backup) in [&one, &two].into_iter().enumerate() {
            let target = folder.file(&format!("restored{n}{place}/carillon.db"));
            assert_eq!(
                restore(backup.clone(), Database::Sqlite(target.clone()), silent()).await.expect("restored").tables.len(),
                TABLES.len()
            );
            let address = cluster.database();
            restore(backup.clone(), at(&address), silent()).await.expect("restored");
            assert_eq!(dump(&target), dump(backup));
            let (a, b) = (open_sqlite(&target).await, open_postgres(&address).await.expect("opened"));
            let events = is_one_moment(&a, tenant).await;
            assert_eq!(is_one_moment(&b, tenant).await, events);
            seen.push(events);
        }
        assert!(seen[0] > 3 && seen[1] >= seen[0], "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_an_older_version_is_restored_and_a_foreign_file_is_not() {
    let Some(cluster) = PrivatePostgres::shared() else {
        return println!("SKIPPED: PostgreSQL is not installed, so nothing of its store was tried");
    };
    let folder = Folder::new();
    let old = folder.file("old.db");
    let c = Connection::open(&old).expect("made");
    c.execute_batch(opening::MIGRATIONS[0]).expect("the first version");
    c.execute_batch("INSERT INTO meta (id, name) VALUES (x'00000000000000000000000000000001', 'old'); PRAGMA user_version = 1")
        .expect("filled");
    drop(c);
    let foreign = restore(old.clone(), at(&cluster.database()), silent()).await;
    assert!(matches!(&foreign, Err(StoreError::Unavailable(why)) if why.contains("not a data file")), "{foreign:?}");
    Connection::open(&old).and_then(|c| c.pragma_update(None, "application_id", 0x4341_5249)).expect("marked as ours");
    let address = cluster.database();
    restore(old.clone(), at(&address), silent()).await.expect("restored");
    let store = open_postgres(&address).await.expect("opened");
    assert!(!store.ensure_tenant("old", Uuid::nil()).await.expect("there").1);
    Connection::open(&old).and_then(|c| c.pragma_update(None, "user_version", 99)).expect("newer");
    let newer = restore(old, at(&cluster.database()), silent()).await;
    assert!(matches!(&newer, Err(StoreError::Unavailable(why)) if why.contains("version 99")), "{newer:?}");
}

#[test]
fn a_database_is_read_from_its_address() {
    assert_eq!(at("sqlite:/a/b.db"), Database::Sqlite("/a/b.db".into()));
    assert_eq!(at("postgres://u:secret@localhost/c").to_string(), "postgres://localhost:5432/c");
    for text in ["sqlite:", "carillon.db", "mysql://x"] {
        assert!(Database::parse(text).is_err(), "{text}");
    }
}
