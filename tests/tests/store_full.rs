//! A store that is full: SQLite at a limit of its files and on a disk without room, PostgreSQL on a disk without room. What
//! cannot be kept is refused with 503 and `Retry-After`, reads go on, what was accepted before is there, and when there is
//! room again the server goes on without a hand.

use fakes::Mode;
use reqwest::Method;
use serde_json::json;
use servers::PrivatePostgres;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stories::{Api, App, Org, SOON, Server, Stage, eventually, when};

/// People of the campaign, each with one device.
const PEOPLE: u64 = 3_000;
/// What the fake takes in a second.
const PER_SECOND: u32 = 600;
/// Notifications that are tried until the store is full.
const MOST_TRIES: usize = 4_000;
/// Longest wait for a campaign on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// What was taken and what was refused while the store filled up.
struct Filled {
    taken: Vec<String>,
    refused: usize,
}

/// Sends until the store has refused a few; everything else is taken.
async fn fill(api: &Api) -> Filled {
    let text = "All of the five hundred characters that a notification may have. ".repeat(8);
    let mut filled = Filled { taken: Vec::new(), refused: 0 };
    for n in 0..MOST_TRIES {
        let body = json!({"title": format!("Number {n}"), "body": &text[..490], "users": ["p-ada"]});
        let reply = api.ask(Method::POST, "notifications", Some(&body), &[("idempotency-key", &format!("full-{n}"))]).await;
        if reply.status == 201 {
            filled.taken.push(reply.body["id"].as_str().expect("an id").to_owned());
            continue;
        }
        assert_eq!(reply.problem(503), "store_unavailable", "{}", reply.body);
        let wait: u64 = reply.header("retry-after").parse().unwrap_or(0);
        assert!((1..=60).contains(&wait), "Retry-After {:?}", reply.header("retry-after"));
        filled.refused += 1;
        if filled.refused == 5 {
            return filled;
        }
    }
    panic!("{} were taken, and the store was never full", filled.taken.len())
}

/// Reads go on, and the alarm is in the metrics.
async fn assert_reads(api: &Api, app: &App, filled: &Filled) {
    let newest = filled.taken.last().expect("some were taken");
    assert_eq!(api.notification(newest).await["id"], json!(newest));
    assert_eq!(api.get("users").await["items"].as_array().map(Vec::is_empty), Some(false));
    assert!(!app.inbox().await.is_empty(), "the inbox is read");
    // Between two refusals a small write may find room, which ends the alarm until the next.
    eventually("the alarm to be in the metrics", SOON, async || {
        let more = json!({"title": "More", "body": "It is full.".repeat(40), "users": ["p-ada"]});
        let refused = api.post("notifications", &more).await.status == 503;
        let metrics = api.page("/metrics").await.body.to_string();
        when(refused && metrics.contains(r#"carillon_alarm{code=\"store_unavailable\"} 1"#))
    })
    .await;
}

/// Room is back: everything that was taken is there, once, the campaign reaches everybody, and the alarm ends.
async fn assert_whole(stage: &Stage, app: &App, campaign: &str, filled: &Filled) {
    let api = &stage.api;
    eventually("it to take notifications again", SOON, async || {
        let reply = api.post("notifications", &json!({"title": "After", "body": "x", "users": ["p-ada"]})).await;
        when(reply.status == 201)
    })
    .await;
    let done = api.done_within(campaign, PATIENCE).await;
    assert_eq!((&done["counts"]["accepted"], &done["counts"]["planned"]), (&json!(PEOPLE), &json!(PEOPLE)), "{done}");
    let stats = stage.apple.stats();
    assert_eq!((stats.distinct, stats.repeats), (PEOPLE, 0), "{stats:?}");
    for id in &filled.taken {
        assert_eq!(api.done(id).await["state"], "done");
    }
    let shown = app.ask(Method::GET, "inbox?limit=500", None).await.fine();
    let shown = shown["items"].as_array().map_or(0, Vec::len);
    assert!(shown > filled.taken.len().min(499), "{shown} in the inbox, {} taken", filled.taken.len());
    eventually("the alarm to be over", SOON, async || when(api.alarms().await.is_empty())).await;
    println!("{} taken, {} refused, then everything went on", filled.taken.len(), filled.refused);
}

async fn stage(database: Option<String>) -> (Stage, App) {
    let stage = Stage::with(|scene| {
        scene.database = database;
        scene.apple.record = 0;
    })
    .await;
    let people = usize::try_from(PEOPLE).expect("a small number");
    Org::new().crowd("staff", people).person("ada").import(&stage.api).await;
    let app = App::enrol(&stage.api, "ada@example.org", "Ada's phone", "ios").await;
    stage.api.set("custom.email", json!("off")).await;
    (stage, app)
}

/// A campaign that is under way.
async fn campaign(stage: &Stage) -> String {
    stage.apple.set_mode(Mode::Rate { per_second: PER_SECOND });
    let id = stage.api.tell("staff", "To everybody").await;
    eventually("a part of the campaign", SOON, async || when(stage.apple.stats().accepted >= PEOPLE / 8)).await;
    id
}

/// Limits how large the server's files may become; `None` takes that back.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let soft = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let pid = server.pid().to_string();
    let set = std::process::Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={soft}:unlimited")]).status();
    assert!(set.is_ok_and(|status| status.success()), "prlimit of util-linux is there");
}

fn largest_file(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_may_not_grow_refuse_what_is_new_and_lose_nothing() {
    let (stage, app) = stage(None).await;
    let campaign = campaign(&stage).await;
    limit_files(&stage.server, Some(largest_file(&stage.server.data()) + (64 << 10)));
    let filled = fill(&stage.api).await;
    assert_reads(&stage.api, &app, &filled).await;
    limit_files(&stage.server, None);
    assert_whole(&stage, &app, &campaign, &filled).await;
}

/// A file system of its own of so many bytes; unmounted with the story.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, said aloud, where this process may not mount one.
    fn mount(bytes: u64) -> Option<SmallDisk> {
        let place = std::env::temp_dir().join(format!("carillon-disk-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&place).expect("a temporary folder can be made");
        let size = format!("size={bytes},mode=0777");
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&place).output();
        if mounted.is_ok_and(|said| said.status.success()) {
            return Some(SmallDisk(place));
        }
        let _ = std::fs::remove_dir(&place);
        println!("SKIPPED: a small disk cannot be mounted here (that takes root), so no story of a full disk was told");
        None
    }

    /// Leaves so many bytes of room.
    fn leave(&self, bytes: u64) {
        let said = std::process::Command::new("df").args(["--output=avail", "-B1"]).arg(&self.0).output().expect("df can be run");
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let room: u64 = text.lines().last().and_then(|line| line.trim().parse().ok()).expect("a number of bytes");
        let len = usize::try_from(room.saturating_sub(bytes)).expect("it fits");
        std::fs::write(self.0.join("ballast"), vec![1; len]).expect("there is room for the ballast");
    }

    /// Gives the room back.
    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("the ballast is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open there is about to end: it goes with the last of them.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_room_under_sqlite_refuses_what_is_new_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(96 << 20) else { return };
    let (stage, app) = stage(Some(format!("sqlite:{}", disk.0.join("carillon.db").display()))).await;
    let campaign = campaign(&stage).await;
    disk.leave(128 << 10);
    let filled = fill(&stage.api).await;
    assert_reads(&stage.api, &app, &filled).await;
    disk.free();
    assert_whole(&stage, &app, &campaign, &filled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_room_under_postgresql_refuses_what_is_new_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(96 << 20) else { return };
    let Some(postgres) = PrivatePostgres::shared() else {
        println!("SKIPPED: PostgreSQL is not installed, so no story of its full disk was told");
        return;
    };
    postgres.tablespace(&disk.0, "small");
    postgres.sql("postgres", "CREATE DATABASE small TABLESPACE small");
    let (stage, app) = stage(Some(postgres.address("small"))).await;
    let campaign = campaign(&stage).await;
    disk.leave(256 << 10);
    let filled = fill(&stage.api).await;
    assert_reads(&stage.api, &app, &filled).await;
    disk.free();
    assert_whole(&stage, &app, &campaign, &filled).await;
    drop(stage);
    postgres.sql("postgres", "DROP DATABASE small WITH (FORCE)");
    postgres.sql("postgres", "DROP TABLESPACE small");
}
