//! Whole stores on their way, by the command line: a backup of a running server, restored into the other engine, and a
//! migration there and back, after which everything is as it was and goes on. Skipped aloud without PostgreSQL.

use serde_json::Value;
use servers::PrivatePostgres;
use stories::{Org, Stage};

/// What must survive: people, groups, the notifications with their numbers, settings.
async fn picture(stage: &Stage) -> Vec<Value> {
    let api = &stage.api;
    let mut seen = vec![api.get("settings").await];
    for path in ["users?limit=200", "groups?limit=200", "devices?limit=200", "notifications?limit=50"] {
        seen.push(api.get(path).await["items"].clone());
    }
    seen
}

/// Lets the stage's server work on another database from the next start on.
fn on(stage: &Stage, database: &str) {
    stage.server.configure(&format!("database = {database:?}\n{}", stage.configuration()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_to_postgres_and_back_and_a_backup_of_either_restores_into_the_other() {
    let Some(postgres) = PrivatePostgres::shared() else {
        println!("SKIPPED: PostgreSQL is not installed, so no store was moved to it");
        return;
    };
    let mut stage = Stage::open().await;
    Org::new().crowd("staff", 60).import(&stage.api).await;
    let first = stage.api.tell("staff", "Before the move").await;
    stage.api.done(&first).await;
    let before = picture(&stage).await;
    let folder = stage.server.folder().path().to_owned();
    let file = |name: &str| folder.join(name).display().to_string();
    let (data, one) = (stage.server.data().display().to_string(), file("one.backup"));

    // A backup of the running server, in words and for programs.
    let said = stage.server.cli(&["backup", &one, "--data", &data]).ended(0);
    assert!(said.out.contains("at-rest key is not in it") && said.out.contains("delivery"), "{}", said.out);
    let again = stage.server.cli(&["backup", &one, "--data", &data, "--json"]).ended(7);
    assert!(again.problem()["detail"].as_str().unwrap_or_default().contains("exists already"), "{}", again.err);

    // To PostgreSQL: not while the server runs.
    let (here, there) = (format!("sqlite:{data}/carillon.db"), postgres.database());
    let running = stage.server.cli(&["migrate", "--from", &here, "--to", &there, "--json"]).ended(7);
    assert!(running.problem()["detail"].as_str().unwrap_or_default().contains("in use by process"), "{}", running.err);
    assert!(stage.server.terminate().success());
    let moved = stage.server.cli(&["migrate", "--from", &here, "--to", &there, "--json"]).ended(0).json();
    assert_eq!((&moved["tables"]["person"], &moved["keysIncluded"]), (&Value::from(60), &Value::from(false)), "{moved}");
    on(&stage, &there);
    stage.server.restart().await;
    stage.api = stories::Api::new(&stage.server.url(), &stage.server.token());
    assert_eq!(picture(&stage).await, before, "everything is as it was");
    let second = stage.api.tell("staff", "After the move").await;
    stage.api.done(&second).await;
    let after = picture(&stage).await;

    // A backup of it while it runs; a store that is there is left alone.
    let two = file("two.backup");
    stage.server.cli(&["backup", &two, "--database", &there]).ended(0);
    let refused = stage.server.cli(&["restore", &one, "--database", &there, "--json"]).ended(7);
    assert!(refused.problem()["detail"].as_str().unwrap_or_default().contains("holds a store already"), "{}", refused.err);
    let running = stage.server.cli(&["migrate", "--from", &there, "--to", "sqlite:never.db", "--json"]).ended(7);
    assert!(running.problem()["detail"].as_str().unwrap_or_default().contains("stop them first"), "{}", running.err);
    assert!(stage.server.terminate().success());

    // Back, and each backup into the other engine.
    let back = format!("sqlite:{}", file("back.db"));
    stage.server.cli(&["migrate", "--from", &there, "--to", &back]).ended(0);
    let (fresh, old) = (format!("sqlite:{}", file("restored/carillon.db")), postgres.database());
    stage.server.cli(&["restore", &two, "--database", &fresh]).ended(0);
    stage.server.cli(&["restore", &one, "--database", &old, "--json"]).ended(0);
    for (database, expected) in [(&back, &after), (&fresh, &after), (&old, &before)] {
        on(&stage, database);
        stage.server.restart().await;
        stage.api = stories::Api::new(&stage.server.url(), &stage.server.token());
        assert_eq!(&picture(&stage).await, expected, "{database}");
        assert!(stage.server.terminate().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filled_store_is_not_opened_without_the_key_that_sealed_it() {
    let Some(postgres) = PrivatePostgres::shared() else {
        println!("SKIPPED: PostgreSQL is not installed, so nothing was said about its at-rest key");
        return;
    };
    let database = format!("database = {:?}\n", postgres.database());
    let _first = stories::Server::start(&database).await;
    let mut other = stories::Server::prepare(&database);
    other.spawn();
    let ended = other.ended(stories::SOON);
    assert!(!ended.success());
    assert!(other.log().contains("at_rest_file") && other.log().contains("copy that file here"), "{}", other.log());
}
