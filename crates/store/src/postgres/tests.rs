//! What is true of the store in PostgreSQL alone: its statements and tables, its versions, and what it does when
//! PostgreSQL is away.

use super::*;
use crate::conformance::StoryClock;
use crate::transfer::TABLES;
use crate::{Cluster, Directory, Ledger, Outbox, PersonFields, Wake};
use servers::PrivatePostgres;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The machine's clock.
struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is set");
        Timestamp(i64::try_from(since.as_millis()).expect("a time that fits"))
    }
}

/// The cluster of these tests; without one they say that they are skipped.
macro_rules! cluster {
    () => {
        match PrivatePostgres::shared() {
            Some(cluster) => cluster,
            None => {
                println!("SKIPPED: PostgreSQL is not installed, so nothing of its store was tried");
                return;
            }
        }
    };
}

async fn open_at(address: &str) -> Result<Postgres> {
    let address = Address::parse(address).expect("an address");
    Postgres::open(address, Time::Given(Arc::new(StoryClock::default())), std::env::temp_dir()).await
}

fn statements() -> Vec<&'static str> {
    let mut all: Vec<&'static str> = outbox::STATEMENTS.iter().flat_map(|some| some.iter().copied()).collect();
    all.extend(ledger::STATEMENTS.iter().chain(once::STATEMENTS).chain(objects::STATEMENTS));
    all.extend(cluster::STATEMENTS.iter().chain(watch::STATEMENTS).chain(audit::STATEMENTS));
    all.extend(import::statements());
    all.extend(facts::statements());
    all.extend([NOW, NOW_AT, opening::STANDS_AT, LOCK_TENANT, ANY_TENANT]);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_is_prepared() {
    let store = open_at(&cluster!().database()).await.expect("opened");
    let prepared = store
        .read(|c| {
            for sql in statements() {
                if let Err(fault) = c.prepare(sql) {
                    panic!("{:?}: {sql}", StoreError::from(fault));
                }
            }
            Ok(statements().len())
        })
        .await;
    let prepared = prepared.expect("every statement is one of PostgreSQL's");
    assert!(prepared > 120, "{prepared} statements are too few");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_the_outbox_reads_a_table_from_end_to_end() {
    let store = open_at(&cluster!().database()).await.expect("opened");
    let plans = store.read(|c| {
        let mut plans = Vec::new();
        for sql in outbox::STATEMENTS.iter().flat_map(|some| some.iter()).filter(|sql| !sql.starts_with("COPY")) {
            c.batch(&format!("PREPARE asked AS {sql}"))?;
            let count =
                c.prepare("SELECT coalesce(array_length(parameter_types, 1), 0) FROM pg_prepared_statements WHERE name = 'asked'")?;
            let count: i64 = { count }.query_row(params![], |row| row.get(0))?;
            let values = vec!["NULL"; usize::try_from(count).unwrap_or(0)].join(", ");
            let values = if values.is_empty() { values } else { format!("({values})") };
            let mut plan = c.prepare(&format!("EXPLAIN EXECUTE asked{values}"))?;
            let lines: Vec<String> = plan.query_map(params![], |row| row.get(0))?;
            plans.push((*sql, lines));
            c.batch("DEALLOCATE asked")?;
        }
        Ok(plans)
    });
    for (sql, lines) in plans.await.expect("plans") {
        let scan = lines.iter().find(|line| line.contains("Seq Scan"));
        // Only what waits is ever walked whole, and only at a start: claims to void, faults of ours to try again.
        let at_start = sql.contains("node IS NOT NULL \u{20}AND NOT EXISTS")
            || sql.contains("SET node = NULL, generation")
            || sql.contains("n.reason = 28");
        assert!(scan.is_none() || at_start, "{scan:?}: {sql}\n{lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_have_the_tables_and_columns_that_are_copied() {
    let store = open_at(&cluster!().database()).await.expect("opened");
    let sqlite = rusqlite::Connection::open_in_memory().expect("a file in memory");
    crate::sqlite::opening::migrate(&sqlite).expect("the tables are made");
    let listed: BTreeSet<(String, String)> =
        TABLES.iter().flat_map(|table| table.columns.iter().map(|(column, _)| (table.name.to_owned(), (*column).to_owned()))).collect();
    let mut columns = sqlite
        .prepare("SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'")
        .expect("a question");
    let here: rusqlite::Result<BTreeSet<(String, String)>> =
        columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("columns").collect();
    assert_eq!(here.expect("columns"), listed, "SQLite");
    let there = store.read(|c| {
        let mut select = c.prepare(
            "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name \
             NOT IN ('node', 'role', 'stream', 'member_log', 'member_floor', 'carillon_store')",
        )?;
        Ok(select.query_map(params![], |row| Ok((row.get(0)?, row.get(1)?)))?)
    });
    let there: BTreeSet<(String, String)> = there.await.expect("columns").into_iter().collect();
    assert_eq!(there, listed, "PostgreSQL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_store_a_half_filled_one_and_a_foreign_database_are_refused() {
    let cluster = cluster!();
    let address = cluster.database();
    let name = address.rsplit('/').next().expect("a name").to_owned();
    open_at(&address).await.expect("made").close();
    cluster.sql(&name, "UPDATE carillon_store SET version = 99");
    let Err(StoreError::Broken(why)) = open_at(&address).await else { panic!("a newer store was opened") };
    assert!(why.contains("version 99") && why.contains("newer program"), "{why}");
    cluster.sql(&name, &format!("UPDATE carillon_store SET version = {}, filling = 1", Postgres::newest()));
    let Err(StoreError::Unavailable(why)) = open_at(&address).await else { panic!("a half store was opened") };
    assert!(why.contains("not whole") && why.contains("run that again"), "{why}");
    let foreign = cluster.database();
    cluster.sql(foreign.rsplit('/').next().expect("a name"), "CREATE TABLE person (theirs text)");
    let Err(StoreError::Broken(why)) = open_at(&foreign).await else { panic!("a foreign database was taken") };
    assert!(why.contains("another program"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_open_an_empty_database_make_its_tables_once() {
    let address = cluster!().database();
    let (a, b, c) = tokio::join!(open_at(&address), open_at(&address), open_at(&address));
    let (a, b) = (a.expect("opened"), b.and(c).expect("opened"));
    let (made, again) = tokio::join!(a.found("one", Uuid::from_u128(1)), b.found("another", Uuid::from_u128(2)));
    let (made, again) = (made.expect("founded"), again.expect("founded"));
    assert!(made.0 == again.0 && made.0.len() == 1, "{made:?} {again:?}");
    assert!(made.1 != again.1, "one of them made it");
}

async fn answers(store: &Postgres, within: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < within {
        if store.settings(model::TenantKey(1)).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

fn person(upn: &str) -> PersonFields {
    PersonFields { upn: upn.into(), locale: "en".into(), timezone: "UTC".into(), active: true, ..PersonFields::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_is_told_as_unavailable_and_found_again() {
    let Some(cluster) = PrivatePostgres::start(false) else {
        return println!("SKIPPED: PostgreSQL is not installed, so nothing of its store was tried");
    };
    for by_port in [false, true] {
        cluster.sql("postgres", &format!("CREATE DATABASE gone{by_port}"));
        let name = format!("gone{by_port}");
        let address = if by_port { cluster.tcp_address(&name) } else { cluster.address(&name) };
        let address = Address::parse(&address).expect("an address");
        let store = Postgres::open(address.clone(), Time::Database(Arc::new(Wall)), std::env::temp_dir()).await.expect("opened");
        let other = Postgres::open(address, Time::Database(Arc::new(Wall)), std::env::temp_dir()).await.expect("opened");
        let (tenant, _) = store.ensure_tenant("one", Uuid::from_u128(1)).await.expect("a tenant");
        let mut heard = store.wakes();
        store.create_person(tenant.key, Uuid::from_u128(2), person("ada@example.org"), None).await.expect("added");
        cluster.crash();
        for _ in 0..3 {
            let began = Instant::now();
            assert!(matches!(store.settings(tenant.key).await, Err(StoreError::Unavailable(_))));
            let added = store.create_person(tenant.key, Uuid::from_u128(3), person("bob@example.org"), None).await;
            assert!(matches!(added, Err(StoreError::Unavailable(_))), "{added:?}");
            assert!(began.elapsed() < Duration::from_secs(5), "it hung");
        }
        cluster.restart();
        assert!(answers(&store, Duration::from_secs(10)).await, "it recovers by itself");
        store.create_person(tenant.key, Uuid::from_u128(3), person("bob@example.org"), None).await.expect("added");
        assert_eq!(store.find_people(tenant.key, "bob@example.org").await.expect("found").len(), 1);
        // Hints may have been missed, and come again.
        let missed =
            tokio::time::timeout(Duration::from_secs(10), async { while heard.recv().await.expect("heard") != Wake::Everything {} });
        missed.await.expect("told to look at everything");
        let again = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                other.ring(Wake::Planned).await.expect("rung");
                if let Ok(Ok(Wake::Planned)) = tokio::time::timeout(Duration::from_millis(100), heard.recv()).await {
                    return;
                }
            }
        });
        again.await.expect("hints come again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_while_it_is_idle_costs_nobody_an_error() {
    let cluster = cluster!();
    let address = cluster.database();
    let store = open_at(&address).await.expect("opened");
    let (tenant, _) = store.ensure_tenant("one", Uuid::from_u128(1)).await.expect("a tenant");
    for round in 0..3 {
        cluster.sql(
            "postgres",
            &format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
                address.rsplit('/').next().expect("a name")
            ),
        );
        store.put_setting(tenant.key, "k", Some(round.into()), None).await.expect("set");
        store.settings(tenant.key).await.expect("read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_waited_for_but_not_for_ever() {
    let Some(cluster) = PrivatePostgres::start(false) else {
        return println!("SKIPPED: PostgreSQL is not installed, so nothing of its store was tried");
    };
    let store = Postgres::open(
        Address::parse(&cluster.address("postgres")).expect("an address"),
        Time::Database(Arc::new(Wall)),
        std::env::temp_dir(),
    );
    let store = store.await.expect("opened");
    let (tenant, _) = store.ensure_tenant("one", Uuid::from_u128(1)).await.expect("a tenant");
    cluster.signal("STOP");
    let began = Instant::now();
    let asked: Vec<_> = (0..12)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.settings(tenant.key).await })
        })
        .collect();
    for answer in asked {
        assert!(matches!(answer.await.expect("answered"), Err(StoreError::Unavailable(_))));
    }
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    cluster.signal("CONT");
    assert!(answers(&store, Duration::from_secs(15)).await, "no connection was lost for good");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_databases_clock_counts_and_the_callers_says_how_long() {
    /// A clock that is an hour slow.
    struct Slow;
    impl Clock for Slow {
        fn now(&self) -> Timestamp {
            Wall.now().minus(Duration::from_secs(3600))
        }
    }
    let address = Address::parse(&cluster!().database()).expect("an address");
    let right = Postgres::open(address.clone(), Time::Database(Arc::new(Wall)), std::env::temp_dir()).await.expect("opened");
    let slow = Postgres::open(address, Time::Database(Arc::new(Slow)), std::env::temp_dir()).await.expect("opened");
    let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
    right.beat(a, Wall.now().plus(Duration::from_secs(60))).await.expect("beats");
    slow.beat(b, Slow.now().plus(Duration::from_secs(60))).await.expect("beats");
    assert!(slow.hold_role("timers", b, Slow.now().plus(Duration::from_millis(700))).await.expect("asked"));
    assert!(
        !right.hold_role("timers", a, Wall.now().plus(Duration::from_secs(1))).await.expect("asked"),
        "it is held though its clock is slow"
    );
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(right.hold_role("timers", a, Wall.now().plus(Duration::from_secs(1))).await.expect("asked"), "it ran out");
    assert_eq!(right.void_claims().await.expect("voided"), 0);
}

#[test]
fn an_address_says_what_is_wrong_and_never_the_password() {
    for (text, wanted) in [
        ("mysql://x", "begins with postgres://"),
        ("postgres://u:secret@h:x/db", "cannot be read"),
        ("postgres://u:secret@h/db?sslmode=prefer", "sslmode=prefer"),
        ("postgres://u:secret@h/db?sslrootcert=/nowhere.pem", "/nowhere.pem"),
    ] {
        let why = Address::parse(text).expect_err(text);
        assert!(why.contains(wanted) && !why.contains("secret"), "{why}");
    }
    let shown = Address::parse("postgres://u:secret@db.example.org:5433/carillon?sslmode=disable").expect("an address");
    assert_eq!(shown.to_string(), "postgres://db.example.org:5433/carillon");
    assert_eq!(format!("{shown:?}"), shown.to_string());
}
