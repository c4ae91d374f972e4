//! Kills a process that writes with SIGKILL, again and again, and opens what it left: nothing that was answered is
//! missing, no half of a transaction is there, and the work can be carried on to its end.

use model::event::{AudienceMode, EventState};
use model::{ChannelKind, Clock, DeliveryId, Facts, Lane, PersonKey, Reason, State, TenantKey, Timestamp, Urgency};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use store::sqlite::Sqlite;
use store::{
    Acceptance, Attempt, DeliveryFilter, EventRow, FactsDepth, Lease, Ledger, NewEvent, Outbox, PagePlan, PlannedRow, Settle, Settlement,
    Text,
};
use uuid::Uuid;

/// Set in the child: the folder in which it works until it is killed.
const FOLDER: &str = "CARILLON_TEST_KILLED_IN";
const ROUNDS: u64 = 6;
const PEOPLE: u32 = 300;
const PAGE: u32 = 50;

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is set");
        Timestamp(since.as_millis() as i64)
    }
}

async fn open(folder: &Path) -> (Sqlite, TenantKey) {
    let store = Sqlite::open(&folder.join("carillon.db"), Arc::new(Wall)).await.expect("what was left can be opened");
    let (tenant, _) = store.ensure_tenant("killed", Uuid::nil()).await.expect("a tenant");
    (store, tenant.key)
}

async fn accept(store: &Sqlite, tenant: TenantKey, id: Uuid) {
    let event = NewEvent {
        inbox: true,
        id,
        kind: "custom.notification".into(),
        actor: (Uuid::nil(), "Ada".into()),
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
    store.accept(tenant, Acceptance { event, takes: vec![], policy: None, once: None, plan: None }).await.expect("accepted");
}

/// Plans one page of an event.
async fn plan(store: &Sqlite, event: &EventRow) {
    let (people, _) = store.audience_page(event.key, Some(event.cursor), PAGE).await.expect("a page");
    let row = |person: &PersonKey| PlannedRow {
        person: *person,
        seq: 0,
        channel: ChannelKind::Apns,
        device: None,
        registration: None,
        state: State::Scheduled,
        reason: Reason::None,
        facts: Facts::ACTIVE,
        due: Wall.now(),
    };
    let cursor = people.last().copied().unwrap_or(event.cursor);
    let last = people.len() < PAGE as usize || cursor.0 == PEOPLE;
    let rows = people.iter().map(row).collect();
    let page = PagePlan { event: event.key, rows, policy_version: 1, lane: Lane::Bulk, cursor, last, claim: None };
    store.plan(page).await.expect("planned");
}

/// Claims, sends and settles one segment; answers whether there was one.
async fn deliver(store: &Sqlite) -> bool {
    let lease = Lease { node: Uuid::from_u128(1), until: Wall.now().plus(Duration::from_secs(60)) };
    let (claims, _) = store.claim(vec![ChannelKind::Apns], Lane::Bulk, lease, 1).await.expect("claimed");
    let Some(claim) = claims.into_iter().next() else { return false };
    let rows = store.load(claim.clone(), FactsDepth::default()).await.expect("loaded").rows;
    let settlement = |row: &store::DueRow| {
        Settle::Row(Settlement {
            segment: claim.segment,
            generation: claim.generation,
            id: DeliveryId { event: claim.event, person: row.person, seq: row.seq },
            channel: claim.channel,
            was: (row.state, row.reason),
            now: (State::Accepted, Reason::None),
            due: Timestamp(0),
            facts: row.facts,
            policy_version: 1,
            attempt: Some(Attempt { number: 1, at: Wall.now(), outcome: "accepted".into(), code: "".into(), status: 0 }),
            retire: None,
            log_push: false,
        })
    };
    for half in rows.chunks(PAGE as usize / 2) {
        store.settle(half.iter().map(settlement).collect()).await.expect("settled");
    }
    let release = Settle::Release { segment: claim.segment, generation: claim.generation, not_before: Timestamp(0) };
    assert!(store.settle([release].into()).await.expect("released").lost.is_empty());
    true
}

/// The running totals are those of the rows, each person at most once, and who is planned is who the cursor says.
async fn check(store: &Sqlite, event: &EventRow) {
    let counts = store.counts(event.key).await.expect("counted");
    let rows = store.deliveries(event.key, DeliveryFilter::default(), None, u32::MAX).await.expect("listed");
    let people: Vec<u32> = rows.iter().map(|row| row.id.person.0).collect();
    assert_eq!(people, (1..=event.cursor.0).collect::<Vec<_>>(), "a page is there whole or not at all");
    assert_eq!(counts.planned_people, u64::from(event.cursor.0));
    for count in &counts.deliveries {
        assert_eq!(rows.iter().filter(|row| row.state == count.state && row.reason == count.reason).count() as u64, count.rows);
    }
    assert_eq!(counts.deliveries.iter().map(|count| count.rows).sum::<u64>(), rows.len() as u64);
}

/// What the child does until it is killed: it tells each acceptance after it was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let (store, tenant) = open(&folder).await;
    println!("ready");
    let sender = store.clone();
    tokio::spawn(async move {
        loop {
            if !deliver(&sender).await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    loop {
        let id = Uuid::from_u128(u128::from(std::process::id()) << 64 | Wall.now().0 as u128);
        accept(&store, tenant, id).await;
        println!("accepted {id}");
        while let Some(event) = store.unplanned(1).await.expect("asked").0.first() {
            plan(&store, event).await;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_writer_leaves_everything_that_it_answered_and_no_half_of_anything() {
    if std::env::var_os(FOLDER).is_some() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("carillon-killed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut accepted: Vec<Uuid> = Vec::new();
    for round in 0..ROUNDS {
        accepted.extend(write_until_killed(&folder, Duration::from_millis(40 + round * 37)));
        let (store, tenant) = open(&folder).await;
        for id in &accepted {
            assert!(store.event_by_id(tenant, *id).await.expect("read").is_some(), "{id} was answered");
        }
        for event in store.events(tenant, None, None, u32::MAX).await.expect("listed") {
            check(&store, &event).await;
        }
        store.close().await.expect("closed");
    }
    assert!(accepted.len() > ROUNDS as usize, "{} events are too few to prove anything", accepted.len());
    let (store, tenant) = open(&folder).await;
    while let Some(event) = store.unplanned(1).await.expect("asked").0.first() {
        plan(&store, event).await;
    }
    while deliver(&store).await {}
    for event in store.events(tenant, None, None, u32::MAX).await.expect("listed") {
        check(&store, &event).await;
        assert_eq!((event.state, event.cursor.0), (EventState::Done, PEOPLE));
    }
    drop(store);
    std::fs::remove_dir_all(folder).expect("removed");
}

/// Runs the child, lets it work for a while, kills it, and answers what it said was accepted.
fn write_until_killed(folder: &Path, work: Duration) -> Vec<Uuid> {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["--exact", "a_child_that_writes_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("its words")).lines();
    let (ready, wait) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut accepted = Vec::new();
        for line in lines.map_while(Result::ok) {
            if line.ends_with("ready") {
                // Nobody waits any more when the child was too slow; it is killed all the same.
                let _ = ready.send(());
            } else if let Some(id) = line.strip_prefix("accepted ").and_then(|id| id.parse().ok()) {
                accepted.push(id);
            }
        }
        accepted
    });
    let began = wait.recv_timeout(Duration::from_secs(30));
    std::thread::sleep(work);
    child.kill().expect("killed");
    child.wait().expect("gone");
    assert!(began.is_ok(), "the child never began");
    reader.join().expect("its words were read")
}
