//! Prints how many deliveries a second each store plans, claims, loads with facts and addresses, and settles: the engine's
//! path without the engine, on a directory of 20,000 people with a registered phone each.
//!
//!     cargo run --release -p store --example store_rate [-- DELIVERIES]

use model::event::AudienceMode;
use model::{ChannelKind, Clock, DeliveryId, Facts, Lane, PersonKey, Reason, State, TenantKey, Timestamp, Urgency};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::postgres::{Address, Postgres, Time};
use store::sqlite::Sqlite;
use store::{
    Acceptance, Addresses, Attempt, Claim, FactsDepth, Import, ImportFile, ImportMode, ImportProgress, Lease, NewEvent, PagePlan,
    PlannedRow, Settle, Settlement, Shared, Text,
};
use uuid::Uuid;

const PEOPLE: u32 = 20_000;
const PAGE: usize = 1_000;
const NODE: Uuid = Uuid::from_u128(1);

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is set");
        Timestamp(since.as_millis() as i64)
    }
}

fn main() {
    let deliveries = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200_000_u64);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let folder = std::env::temp_dir().join(format!("carillon-rate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let only = std::env::var("STORE").unwrap_or_default();
        if only != "postgres" {
            let sqlite = Sqlite::open(&folder.join("carillon.db"), Arc::new(Wall)).await.expect("opened");
            measure("sqlite", Arc::new(sqlite), &folder, deliveries).await;
        }
        if only != "sqlite" {
            match servers::PrivatePostgres::start(true) {
                None => println!("postgres: skipped, not installed"),
                Some(cluster) => {
                    let address = Address::parse(&cluster.database()).expect("an address");
                    let postgres = Postgres::open(address, Time::Database(Arc::new(Wall)), folder.clone()).await.expect("opened");
                    measure("postgres", Arc::new(postgres), &folder, deliveries).await;
                }
            }
        }
        std::fs::remove_dir_all(folder).expect("removed");
    });
}

async fn measure(name: &str, store: Shared, folder: &std::path::Path, deliveries: u64) {
    let (tenant, _) = store.ensure_tenant("rate", Uuid::from_u128(9)).await.expect("a tenant");
    store.beat(NODE, Wall.now().plus(Duration::from_secs(3600))).await.expect("beats");
    let began = Instant::now();
    populate(&store, tenant.key, folder).await;
    println!("{name}: {PEOPLE} people, devices and registrations imported in {:.1} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let events = deliveries.div_ceil(u64::from(PEOPLE));
    let planner = tokio::spawn(plan_all(store.clone(), tenant.key, events));
    let (sender, settler) = tokio::sync::mpsc::channel::<Settle>(8_192);
    let settler = tokio::spawn(settle_all(store.clone(), settler));
    let workers: Vec<_> = (0..2).map(|_| tokio::spawn(deliver(store.clone(), events * u64::from(PEOPLE), sender.clone()))).collect();
    drop(sender);
    let (planned, spent) = planner.await.expect("planned");
    let planning = began.elapsed();
    for worker in workers {
        worker.await.expect("delivered");
    }
    let (settled, settling) = settler.await.expect("settled");
    let took = began.elapsed().as_secs_f64();
    println!(
        "{name}: {settled} of {planned} deliveries in {took:.2} s: {:.0}/s (planning ended after {:.2} s; planning waited {:.2} s for facts and {:.2} s for pages; settling {:.2} s)",
        settled as f64 / took,
        planning.as_secs_f64(),
        spent.0.as_secs_f64(),
        spent.1.as_secs_f64(),
        settling.as_secs_f64()
    );
    assert_eq!(settled, planned);
}

async fn populate(store: &Shared, tenant: TenantKey, folder: &std::path::Path) {
    let (mut people, mut devices) = (String::from("external_id,upn,display_name\n"), String::from("external_id,name,owner_upn,platform\n"));
    let mut registrations = String::from("device,service,app,environment,token\n");
    for n in 1..=PEOPLE {
        people.push_str(&format!("e{n},p{n:06}@example.org,Person {n}\n"));
        devices.push_str(&format!("d{n},phone,p{n:06}@example.org,ios\n"));
        registrations.push_str(&format!("d{n},apns,org.example.app,production,{n:064x}\n"));
    }
    let mut files = Vec::new();
    for (name, text) in [("people.csv", people), ("devices.csv", devices), ("registrations.csv", registrations)] {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        files.push(ImportFile { name: name.into(), path });
    }
    let import = Import {
        files,
        mode: ImportMode::Upsert,
        dry_run: false,
        allow_many_removals: false,
        seal: Arc::new(|_, plain| plain.as_bytes().to_vec()),
        progress: Arc::new(ImportProgress::default()),
    };
    let report = store.import(tenant, import).await.expect("imported");
    assert!(report.applied, "{report:?}");
}

async fn plan_all(store: Shared, tenant: TenantKey, events: u64) -> (u64, (Duration, Duration)) {
    let (mut planned, mut reading, mut writing) = (0, Duration::ZERO, Duration::ZERO);
    for n in 0..events {
        let event = NewEvent {
            inbox: true,
            id: Uuid::from_u128(u128::from(n) + 1),
            kind: "custom.notification".into(),
            actor: (Uuid::nil(), "rate".into()),
            due_at: None,
            expires_at: Timestamp::NEVER,
            urgency: Urgency::Normal,
            mode: AudienceMode::Frozen,
            private: false,
            text: Text::default(),
            data: serde_json::Value::Null,
            addressed: store::Addressed::default(),
            audience: (1..=PEOPLE).collect(),
            by_device_only: roaring::RoaringBitmap::new(),
            directory_version: 1,
            resend_of: None,
        };
        let event =
            store.accept(tenant, Acceptance { event, takes: vec![], policy: None, once: None, plan: None }).await.expect("accepted").key;
        let keys: Vec<PersonKey> = (1..=PEOPLE).map(PersonKey).collect();
        for page in keys.chunks(PAGE) {
            let began = Instant::now();
            let facts = store.facts(tenant, page.into(), FactsDepth::default()).await.expect("facts");
            reading += began.elapsed();
            let rows: Vec<PlannedRow> = facts
                .registrations
                .iter()
                .map(|one| PlannedRow {
                    person: one.owner,
                    seq: 0,
                    channel: ChannelKind::Apns,
                    device: Some(one.device),
                    registration: Some(one.key),
                    state: State::Scheduled,
                    reason: Reason::None,
                    facts: Facts::ACTIVE,
                    due: Wall.now(),
                })
                .collect();
            planned += rows.len() as u64;
            let cursor = page.last().copied().expect("a page is not empty");
            let page = PagePlan { event, rows, policy_version: 1, lane: Lane::Bulk, cursor, last: cursor.0 == PEOPLE, claim: None };
            let began = Instant::now();
            store.plan(page).await.expect("planned");
            writing += began.elapsed();
        }
    }
    (planned, (reading, writing))
}

async fn deliver(store: Shared, all: u64, outcomes: tokio::sync::mpsc::Sender<Settle>) {
    static DONE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let mut idle = 0;
    loop {
        let lease = Lease { node: NODE, until: Wall.now().plus(Duration::from_secs(60)) };
        let (claims, _) = store.claim(vec![ChannelKind::Apns], Lane::Bulk, lease, 2).await.expect("claimed");
        if claims.is_empty() {
            idle += 1;
            if DONE.load(std::sync::atomic::Ordering::SeqCst).is_multiple_of(all) && idle > 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        }
        idle = 0;
        for claim in claims {
            let rows = send(&store, &claim, &outcomes).await;
            DONE.fetch_add(rows, std::sync::atomic::Ordering::SeqCst);
        }
    }
}

async fn send(store: &Shared, claim: &Claim, outcomes: &tokio::sync::mpsc::Sender<Settle>) -> u64 {
    let depth = FactsDepth { addresses: Addresses::Of(model::directory::Service::Apns), ..FactsDepth::default() };
    let loaded = store.load(claim.clone(), depth).await.expect("loaded");
    assert_eq!(loaded.rows.len(), loaded.facts.registrations.len());
    for row in &loaded.rows {
        let settlement = Settlement {
            segment: claim.segment,
            generation: claim.generation,
            id: DeliveryId { event: claim.event, person: row.person, seq: row.seq },
            channel: claim.channel,
            was: (row.state, row.reason),
            now: (State::Accepted, Reason::None),
            due: Timestamp(0),
            facts: row.facts,
            policy_version: 1,
            attempt: Some(Attempt { number: 1, at: Wall.now(), outcome: "accepted".into(), code: "".into(), status: 200 }),
            retire: None,
            log_push: false,
        };
        outcomes.send(Settle::Row(settlement)).await.expect("taken");
    }
    let release = Settle::Release { segment: claim.segment, generation: claim.generation, not_before: Timestamp(0) };
    outcomes.send(release).await.expect("taken");
    loaded.rows.len() as u64
}

async fn settle_all(store: Shared, mut outcomes: tokio::sync::mpsc::Receiver<Settle>) -> (u64, Duration) {
    let (mut settled, mut spent) = (0, Duration::ZERO);
    let mut batch = Vec::new();
    while outcomes.recv_many(&mut batch, 1_000).await > 0 {
        settled += batch.iter().filter(|one| matches!(one, Settle::Row(_))).count() as u64;
        let began = Instant::now();
        let lost = store.settle(std::mem::take(&mut batch).into()).await.expect("settled").lost;
        spent += began.elapsed();
        assert!(lost.is_empty());
    }
    (settled, spent)
}
