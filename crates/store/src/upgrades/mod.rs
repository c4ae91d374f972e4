//! Upgrades: a store of every version that has landed is opened by this program, holds what it held, and goes on.
//!
//! `fixtures/` has for each engine and version a store that was filled by a program of that time with [`story::fill`], as SQL:
//! `sqlite-2.sql`, or with a word behind it where one version wrote in two ways (`sqlite-2-folded.sql`). Whoever adds a step to
//! `MIGRATIONS` adds the fixture of the new version:
//!
//! ```text
//! CARILLON_MAKE_FIXTURES=1 cargo test -p store upgrades::make
//! ```

mod picture;
mod story;

use crate::postgres::{Address, Postgres, Time, opening as postgres_opening};
use crate::sqlite::{Sqlite, opening as sqlite_opening};
use crate::{Shared, StoreError};
use model::event::EventState;
use model::{Lane, PersonKey, TenantKey, Timestamp};
use picture::{Forecast, Picture, differences, picture};
use rusqlite::Connection;
use servers::PrivatePostgres;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use story::{PEOPLE, Still, THEN};
use uuid::Uuid;

/// Set where fixtures are to be made.
const MAKE: &str = "CARILLON_MAKE_FIXTURES";
/// Set in a child that is killed between two steps: its data file.
const KILLED: &str = "CARILLON_TEST_UPGRADE_OF";
/// Time after the leases of the story ran out.
const AFTER: Timestamp = Timestamp(THEN.0 + 120_000);

/// A store of some version, as SQL.
struct Fixture {
    name: String,
    version: usize,
    sql: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The fixtures of an engine, by version.
fn fixtures(engine: &str) -> Vec<Fixture> {
    let mut found: Vec<Fixture> = std::fs::read_dir(folder())
        .expect("the folder of the fixtures")
        .filter_map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem()?.to_str()?.to_owned();
            let version = name.strip_prefix(engine)?.strip_prefix('-')?.split('-').next()?.parse().ok()?;
            Some(Fixture { name, version, sql: std::fs::read_to_string(path).expect("a fixture") })
        })
        .collect();
    found.sort_by(|a, b| (a.version, &a.name).cmp(&(b.version, &b.name)));
    found
}

/// Every version has a fixture.
fn must_be_complete(engine: &str, newest: usize) {
    let found = fixtures(engine);
    for version in 1..=newest {
        assert!(
            found.iter().any(|fixture| fixture.version == version),
            "MIGRATIONS of {engine} lead to version {newest}, and crates/store/fixtures has no store of version {version}. \
             With the program that wrote that version (for the newest one: this), run {MAKE}=1 cargo test -p store upgrades::make, \
             and commit {engine}-{version}.sql; a version that landed is never edited again"
        );
    }
    let beyond = found.iter().find(|fixture| fixture.version > newest).map(|fixture| &fixture.name);
    assert_eq!(beyond, None, "there is no step to the version of this fixture");
}

#[test]
fn every_version_has_a_fixture() {
    if std::env::var_os(MAKE).is_none() {
        must_be_complete("sqlite", sqlite_opening::MIGRATIONS.len());
        must_be_complete("postgres", postgres_opening::MIGRATIONS.len());
    }
}

/// A folder of one's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("carillon-upgrade-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("carillon.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn lay_down(fixture: &Fixture, file: &Path) {
    Connection::open(file).and_then(|c| c.execute_batch(&fixture.sql)).unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
}

async fn open_sqlite(file: &Path, now: Timestamp) -> crate::Result<Sqlite> {
    Sqlite::open(file, Arc::new(Still(now))).await
}

async fn open_postgres(address: &str, now: Timestamp) -> crate::Result<Postgres> {
    let address = Address::parse(address).expect("an address");
    Postgres::open(address, Time::Given(Arc::new(Still(now))), std::env::temp_dir()).await
}

/// A database with a fixture in it.
fn lay_down_postgres(cluster: &PrivatePostgres, fixture: &Fixture) -> String {
    let address = cluster.database();
    let name = address.rsplit('/').next().expect("a name").to_owned();
    cluster.sql(&name, &fixture.sql);
    address
}

/// A store that this program filled just now.
async fn fresh(engine: &str, folder: &Folder) -> Shared {
    let store: Shared = match engine {
        "sqlite" => Arc::new(open_sqlite(&folder.file(), THEN).await.expect("opened")),
        _ => Arc::new(open_postgres(&PrivatePostgres::shared().expect("asked before").database(), THEN).await.expect("opened")),
    };
    story::fill(&store).await.expect("filled");
    store
}

async fn tenant_of(store: &Shared) -> TenantKey {
    let (tenant, new) = store.ensure_tenant(story::NAME, Uuid::nil()).await.expect("a tenant");
    assert!(!new && tenant.id == story::id(0, 1), "the organization is there: {tenant:?}");
    tenant.key
}

/// The work that was under way is carried to its end, and what is new is taken.
async fn go_on(store: &Shared, tenant: TenantKey) {
    let events = store.unplanned(10).await.expect("events").0;
    let event = events.first().expect("one was planned to its first page");
    assert_eq!((events.len(), event.id, event.cursor), (1, story::id(5, story::UNDER_WAY), PersonKey(16)));
    story::plan(store, event.key, 17..=PEOPLE, true).await.expect("planned");
    for lane in [Lane::Bulk, Lane::Urgent] {
        for claim in story::claim(store, lane, story::id(8, 2), 100).await.expect("claimed") {
            story::send(store, &claim, usize::MAX, true).await.expect("settled");
        }
    }
    for (number, state) in [
        (story::DONE, EventState::Done),
        (story::UNDER_WAY, EventState::Done),
        (story::SINGLE, EventState::Done),
        (story::CANCELLED, EventState::Cancelled),
        (story::LATER, EventState::Scheduled),
    ] {
        let event = store.event_by_id(tenant, story::id(5, number)).await.expect("asked").expect("it is there");
        assert_eq!(event.state, state, "event {number}");
        if state == EventState::Done {
            let rows = store.counts(event.key).await.expect("counts").deliveries;
            assert!(rows.iter().all(|count| count.state.is_final() || count.rows == 0), "event {number}: {rows:?}");
        }
    }
    store.put_setting(tenant, "retention.days", Some(serde_json::json!(30)), None).await.expect("settings are taken");
}

/// What both stores say before and after the work goes on.
async fn same(store: &Shared, fresh: &Shared, name: &str, forecast: Forecast) {
    let (tenant, other) = (tenant_of(store).await, tenant_of(fresh).await);
    let compare = |a: &Picture, b: &Picture, when: &str| {
        let differ = differences(a, b);
        assert!(differ.is_empty(), "{name}, {when}: upgraded and fresh differ in {}\n{}", differ.len(), differ.join("\n"));
    };
    compare(&picture(store, tenant, forecast).await, &picture(fresh, other, forecast).await, "as opened");
    go_on(store, tenant).await;
    go_on(fresh, other).await;
    compare(&picture(store, tenant, forecast).await, &picture(fresh, other, forecast).await, "after the work went on");
}

fn forecast(engine: &str, fixture: &Fixture) -> Forecast {
    if engine == "sqlite" && fixture.version == 1 { Forecast::Unknown } else { Forecast::Known }
}

/// Reopens a store that was filled, later.
async fn fresh_later(engine: &str, folder: &Folder) -> Shared {
    let store = fresh(engine, folder).await;
    match engine {
        "sqlite" => {
            drop(store);
            Arc::new(open_sqlite(&folder.file(), AFTER).await.expect("opened again"))
        }
        _ => store,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_file_of_every_version_is_opened_and_goes_on() {
    for fixture in fixtures("sqlite") {
        let (folder, other) = (Folder::new(), Folder::new());
        lay_down(&fixture, &folder.file());
        let store: Shared = Arc::new(open_sqlite(&folder.file(), AFTER).await.unwrap_or_else(|e| panic!("{}: {e}", fixture.name)));
        same(&store, &fresh_later("sqlite", &other).await, &fixture.name, forecast("sqlite", &fixture)).await;
        println!("{}: upgraded, whole, and went on", fixture.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_every_version_is_opened_and_goes_on() {
    let Some(cluster) = PrivatePostgres::shared() else {
        return println!("SKIPPED: PostgreSQL is not installed, so no upgrade of its store was tried");
    };
    for fixture in fixtures("postgres") {
        let address = lay_down_postgres(cluster, &fixture);
        let store: Shared = Arc::new(open_postgres(&address, AFTER).await.unwrap_or_else(|e| panic!("{}: {e}", fixture.name)));
        let database = cluster.database();
        let filled: Shared = Arc::new(open_postgres(&database, THEN).await.expect("opened"));
        story::fill(&filled).await.expect("filled");
        drop(filled);
        let fresh: Shared = Arc::new(open_postgres(&database, AFTER).await.expect("opened again"));
        same(&store, &fresh, &fixture.name, forecast("postgres", &fixture)).await;
        println!("{}: upgraded, whole, and went on", fixture.name);
    }
}

/// The tables as they are written down, without what the engine adds by itself.
fn tables(c: &Connection) -> Vec<String> {
    let mut select = c.prepare("SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name").expect("a question");
    let rows = select.query_map([], |row| row.get::<_, String>(0)).expect("an answer");
    rows.map(|sql| sql.expect("words").split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_steps_still_lead_to_the_tables_that_landed() {
    for fixture in fixtures("sqlite") {
        let landed = Connection::open_in_memory().expect("a file in memory");
        landed.execute_batch(&fixture.sql).expect("laid down");
        let stepped = Connection::open_in_memory().expect("a file in memory");
        sqlite_opening::migrate_by(&stepped, &sqlite_opening::MIGRATIONS[..fixture.version]).expect("stepped");
        assert_eq!(
            tables(&stepped),
            tables(&landed),
            "{}: a step that landed was edited; put what is new into a step of its own",
            fixture.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_still_lead_to_the_tables_that_landed_on_postgres() {
    let Some(cluster) = PrivatePostgres::shared() else {
        return println!("SKIPPED: PostgreSQL is not installed, so the steps of its store were not compared with what landed");
    };
    const COLUMNS: &str = "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns \
        WHERE table_schema = 'public' ORDER BY 1, 2";
    const INDEXES: &str = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname";
    let tables = |address: &str| [COLUMNS, INDEXES].map(|sql| cluster.sql(address.rsplit('/').next().expect("a name"), sql));
    for fixture in fixtures("postgres") {
        let (landed, stepped) = (lay_down_postgres(cluster, &fixture), cluster.database());
        let link = Postgres::link(&Address::parse(&stepped).expect("an address")).await.expect("connected");
        let steps = tokio::task::spawn_blocking(move || link.bring_up_by(&postgres_opening::MIGRATIONS[..fixture.version]).map(drop));
        steps.await.expect("it ended").expect("stepped");
        assert_eq!(
            tables(&stepped),
            tables(&landed),
            "{}: a step that landed was edited; put what is new into a step of its own",
            fixture.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_store_is_refused_in_words() {
    let folder = Folder::new();
    let newest = sqlite_opening::MIGRATIONS.len();
    drop(fresh("sqlite", &folder).await);
    let set = |version: usize| {
        Connection::open(folder.file())
            .and_then(|c| c.pragma_update(None, "user_version", i64::try_from(version).expect("a few")))
            .expect("set");
    };
    set(newest + 1);
    let before = std::fs::read(folder.file()).expect("the file");
    let refused = open_sqlite(&folder.file(), AFTER).await.map(drop);
    let Err(StoreError::Broken(why)) = refused else { panic!("{refused:?}") };
    assert_eq!(
        why,
        format!(
            "the data file has version {} and this program knows versions up to {newest}; use the newer program, or a backup from before it",
            newest + 1
        )
    );
    assert!(before == std::fs::read(folder.file()).expect("the file"), "nothing was written");
    set(newest);
    open_sqlite(&folder.file(), AFTER).await.expect("the version that is right is opened");
}

/// What the child does: it takes the first step, says so, and is killed in the second one.
#[test]
fn a_child_that_is_killed_in_an_upgrade() {
    let Some(file) = std::env::var_os(KILLED).map(PathBuf::from) else { return };
    let connection = sqlite_opening::connect(&file).expect("opened");
    sqlite_opening::migrate_by(&connection, &sqlite_opening::MIGRATIONS[..2]).expect("to the second version");
    connection.execute_batch("BEGIN IMMEDIATE; ALTER TABLE alarm ADD COLUMN half INTEGER; PRAGMA user_version = 3").expect("half a step");
    println!("half way");
    std::thread::sleep(Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_was_killed_goes_on() {
    let fixture = fixtures("sqlite").into_iter().next().expect("the first version");
    let (folder, other) = (Folder::new(), Folder::new());
    lay_down(&fixture, &folder.file());
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "upgrades::a_child_that_is_killed_in_an_upgrade", "--nocapture", "--test-threads=1"])
        .env(KILLED, folder.file())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("its words")).lines();
    let said = lines.by_ref().map_while(Result::ok).find(|line| line.ends_with("half way"));
    child.kill().expect("killed");
    child.wait().expect("gone");
    assert!(said.is_some(), "the child never came half way");
    let store: Shared = Arc::new(open_sqlite(&folder.file(), AFTER).await.expect("opened after the kill"));
    same(&store, &fresh_later("sqlite", &other).await, "killed", Forecast::Unknown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_a_database_that_fails_in_a_step_goes_on_at_the_next_start() {
    let Some(cluster) = PrivatePostgres::shared() else {
        return println!("SKIPPED: PostgreSQL is not installed, so no interrupted upgrade of its store was tried");
    };
    let fixture = fixtures("postgres").into_iter().next().expect("the first version");
    let address = lay_down_postgres(cluster, &fixture);
    let name = address.rsplit('/').next().expect("a name").to_owned();
    let link = Postgres::link(&Address::parse(&address).expect("an address")).await.expect("connected");
    let failed = tokio::task::spawn_blocking(move || {
        let steps =
            [postgres_opening::MIGRATIONS[0], "ALTER TABLE alarm ADD COLUMN half integer; SELECT pg_terminate_backend(pg_backend_pid());"];
        link.bring_up_by(&steps).map(drop)
    });
    assert!(failed.await.expect("it ended").is_err(), "the connection was cut in the step");
    assert_eq!(cluster.sql(&name, "SELECT version FROM carillon_store"), "1", "the step has no effect");
    let store = open_postgres(&address, AFTER).await.expect("opened at the next start");
    assert_eq!(cluster.sql(&name, "SELECT version FROM carillon_store"), Postgres::newest().to_string());
    tenant_of(&(Arc::new(store) as Shared)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_an_older_version_stops_when_another_upgrades_the_database() {
    let Some(cluster) = PrivatePostgres::shared() else {
        return println!("SKIPPED: PostgreSQL is not installed, so nobody was upgraded behind anybody's back");
    };
    let address = cluster.database();
    let name = address.rsplit('/').next().expect("a name").to_owned();
    let older: Shared = Arc::new(open_postgres(&address, THEN).await.expect("opened"));
    let tenant = story::fill(&older).await.expect("filled");
    // A newer program takes a step while the older one writes as fast as it can.
    let writer = {
        let older = older.clone();
        tokio::spawn(async move {
            for round in 0u32.. {
                if let Err(error) = older.raise_alarm(tenant, &format!("round_{round}"), "written").await {
                    return (round, error);
                }
            }
            unreachable!("rounds are many")
        })
    };
    let link = Postgres::link(&Address::parse(&address).expect("an address")).await.expect("connected");
    let upgraded = tokio::task::spawn_blocking(move || {
        let step = "ALTER TABLE alarm ADD COLUMN newer integer; CREATE TABLE before_upgrade AS SELECT count(*) AS alarms FROM alarm;";
        link.bring_up_by(&[postgres_opening::MIGRATIONS, &[step]].concat()).map(drop)
    });
    upgraded.await.expect("it ended").expect("upgraded");
    let (rounds, error) = tokio::time::timeout(Duration::from_secs(20), writer).await.expect("it stops").expect("it ended");
    let (newest, next) = (Postgres::newest(), Postgres::newest() + 1);
    let wanted = format!(
        "another process brought the database to version {next} and this program works with version {newest}: nothing is accepted or \
         sent here any more; stop this process and start the program that the other one runs"
    );
    assert!(matches!(&error, StoreError::Unavailable(why) if *why == wanted), "{error:?}");
    let (before, now) = (cluster.sql(&name, "SELECT alarms FROM before_upgrade"), cluster.sql(&name, "SELECT count(*) FROM alarm"));
    assert_eq!((&before, before.parse::<u32>().ok()), (&now, Some(rounds + 2)), "not one row was written after the step");
    let blind = older.standing(tenant).await;
    assert!(matches!(&blind, Err(StoreError::Unavailable(_))), "sending stops too: {blind:?}");
    let refused = open_postgres(&address, AFTER).await.map(drop);
    assert!(matches!(&refused, Err(StoreError::Broken(why)) if why.contains(&format!("has version {next}"))), "{refused:?}");
}

/// Writes the fixtures of the newest versions, where that is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn make() {
    if std::env::var_os(MAKE).is_none() {
        return;
    }
    let folder = Folder::new();
    let store = open_sqlite(&folder.file(), THEN).await.expect("opened");
    story::fill(&(Arc::new(store.clone()) as Shared)).await.expect("filled");
    store.close().await.expect("closed");
    let version = sqlite_opening::MIGRATIONS.len();
    let dump = Command::new("sqlite3").arg(folder.file()).arg(".dump").output().expect("sqlite3 (Debian package sqlite3) can be run");
    let marks = format!("PRAGMA application_id = {}; PRAGMA user_version = {version};\n", 0x4341_5249);
    write(&format!("sqlite-{version}.sql"), &(String::from_utf8(dump.stdout).expect("text") + &marks));
    let cluster = PrivatePostgres::shared().expect("PostgreSQL is installed");
    let address = cluster.database();
    let store = open_postgres(&address, THEN).await.expect("opened");
    story::fill(&(Arc::new(store) as Shared)).await.expect("filled");
    let url = cluster.tcp_address(address.rsplit('/').next().expect("a name"));
    let options = ["--inserts", "--no-owner", "--no-privileges", "--no-comments", "-d", &url];
    let dump = Command::new("pg_dump").args(options).output().expect("pg_dump (Debian package postgresql-client) can be run");
    // pg_dump leaves the session without a search path, and its clients of some versions write words that older ones refuse.
    let text = String::from_utf8(dump.stdout).expect("text");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !["--", "SET ", "SELECT pg_catalog.set_config", "\\"].iter().any(|p| line.starts_with(p)));
    write(&format!("postgres-{}.sql", Postgres::newest()), &(lines.collect::<Vec<_>>().join("\n") + "\n"));
}

fn write(name: &str, text: &str) {
    assert!(text.len() > 10_000, "{name}: a store that was filled is larger");
    std::fs::write(folder().join(name), text).expect("written");
    println!("wrote crates/store/fixtures/{name}");
}
