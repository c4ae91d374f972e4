//! The audit through the real program: acts leave entries, `audit verify` finds every way of tampering with the store's file and
//! names the first bad entry, syslog gets everything in spite of an outage, and an erased person leaves the chain whole.

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use servers::PrivatePostgres;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;
use stories::{App, Org, SOON, Server, Stage, eventually, free_port};

/// Runs `audit verify`; answers the exit code and what it says.
fn verify(server: &Server, more: &[&str]) -> (i32, Value) {
    let said = server.cli(&[&["audit", "verify", "--json"], more].concat());
    let verdict = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{} {}", said.out, said.err));
    (said.code, verdict)
}

fn head(server: &Server, name: &str) -> String {
    let head = server.cli(&["audit", "head"]);
    server.folder().write(name, &head.out);
    server.folder().path().join(name).to_str().expect("a path of letters").to_owned()
}

/// Changes the store's file behind the server's back.
fn tamper(file: &Path, sql: &str) {
    let c = Connection::open(file).expect("the store's file");
    c.busy_timeout(Duration::from_secs(5)).expect("patience");
    c.execute_batch(&format!("BEGIN IMMEDIATE; {sql}; COMMIT")).expect("changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_tampering_is_found_and_the_first_bad_entry_is_named() {
    let stage = Stage::open().await;
    Org::new().crowd("staff", 5).import(&stage.api).await;
    for days in 1..=8 {
        stage.api.set("retention.days", json!(days)).await;
    }
    let id = stage.api.tell("staff", "Fire drill").await;
    stage.api.done(&id).await;
    let (code, whole) = verify(&stage.server, &[]);
    let entries = whole["entries"].as_i64().unwrap_or(0);
    assert!((code, &whole["whole"]) == (0, &json!(true)) && entries >= 11, "{whole}");
    let kept = head(&stage.server, "head.json");
    stage.api.set("retention.days", json!(30)).await;
    assert_eq!(verify(&stage.server, &["--head", &kept]).0, 0, "the chain grew behind the head");

    let file = stage.server.data().join("carillon.db");
    let copy = "CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM audit; CREATE TABLE IF NOT EXISTS kept_head AS SELECT * FROM audit_head";
    let back =
        "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept_head";
    tamper(&file, copy);
    let cut = "DELETE FROM audit WHERE seq >= 8";
    let end = "UPDATE audit_head SET seq = 7, hash = (SELECT hash FROM audit WHERE seq = 7)";
    let ways = [
        ("a changed field", "UPDATE audit SET entry = replace(entry, 'setting.set', 'setting.get') WHERE seq = 5".to_owned(), 5, false),
        ("a changed hash", "UPDATE audit SET hash = replace(hash, substr(hash, 1, 1), 'z') WHERE seq = 6".to_owned(), 6, false),
        ("an entry that is no JSON", "UPDATE audit SET entry = 'x' WHERE seq = 4".to_owned(), 4, false),
        ("a removed entry", "DELETE FROM audit WHERE seq = 5".to_owned(), 5, false),
        ("a removed first entry", "DELETE FROM audit WHERE seq = 1".to_owned(), 1, false),
        (
            "two swapped entries",
            "UPDATE audit SET seq = 1000 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 6; UPDATE audit SET seq = 6 WHERE seq = 1000"
                .to_owned(),
            5,
            false,
        ),
        ("a cut-off end", cut.to_owned(), 8, false),
        ("a cut-off end, and the end's place with it", format!("{cut}; {end}"), 8, true),
    ];
    for (way, sql, first_bad, only_by_head) in ways {
        tamper(&file, &sql);
        if only_by_head {
            assert_eq!(verify(&stage.server, &[]).0, 0, "{way}: nothing in the store tells");
        }
        let with_head: &[&str] = if only_by_head { &["--head", &kept] } else { &[] };
        let (code, verdict) = verify(&stage.server, with_head);
        assert_eq!((code, &verdict["whole"], &verdict["firstBad"]), (1, &json!(false), &json!(first_bad)), "{way}: {verdict}");
        tamper(&file, back);
        assert_eq!(verify(&stage.server, &["--head", &kept]).0, 0, "put back after {way}");
    }
    // A head that was touched proves nothing, and says so.
    let touched = std::fs::read_to_string(&kept).expect("a head").replace("\"sequence\":", "\"sequence\":1");
    stage.server.folder().write("touched.json", &touched);
    let said =
        stage.server.cli(&["audit", "verify", "--head", stage.server.folder().path().join("touched.json").to_str().expect("a path")]);
    assert!(said.code == 1 && said.err.contains("signature"), "{} {}", said.out, said.err);
    // The same walk over an export, without the server.
    let export = stage.server.cli(&["audit", "export"]);
    stage.server.folder().write("audit.jsonl", &export.out);
    let path = stage.server.folder().path().join("audit.jsonl");
    assert_eq!(verify(&stage.server, &["--file", path.to_str().expect("a path"), "--head", &kept]).0, 0);
    let lines: Vec<&str> = export.out.lines().collect();
    stage.server.folder().write("audit.jsonl", &[&lines[..2], &lines[3..]].concat().join("\n"));
    assert_eq!(verify(&stage.server, &["--file", path.to_str().expect("a path")]).1["firstBad"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_leaves_the_chain_whole_and_nothing_in_the_file() {
    let stage = Stage::open().await;
    let draft = json!({"upn": "ada.lovelace@example.org", "displayName": "Ada Lovelace", "email": "ada.lovelace@example.org"});
    let ada = stage.api.post("users", &draft).await.with(201);
    let app = App::enrol(&stage.api, "ada.lovelace@example.org", "pad", "ipados").await;
    drop(app);
    stage.api.patch(&format!("users/{}", ada["id"].as_str().expect("an id")), &json!({"displayName": "Countess Lovelace"})).await;
    let kept = head(&stage.server, "head.json");
    let exported = stage.server.cli(&["user", "export-data", "ada.lovelace@example.org"]);
    assert!(exported.code == 0 && exported.out.contains("Countess Lovelace") && exported.out.contains("user.update"), "{}", exported.err);
    let unsure = stage.server.cli(&["user", "erase", "ada.lovelace@example.org"]);
    assert!(unsure.code == 2 && unsure.err.contains("--confirm"), "{}", unsure.err);
    let said = stage.server.cli(&["user", "erase", "ada.lovelace@example.org", "--confirm", "ada.lovelace@example.org"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(verify(&stage.server, &["--head", &kept]).0, 0);
    let audit = stage.server.cli(&["audit", "export"]);
    assert!(audit.out.contains("user.erase") && !audit.out.to_lowercase().contains("lovelace"), "{}", audit.out);
    let mut server = stage.server;
    assert!(server.terminate().success());
    for (path, bytes) in server.bytes_at_rest() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let found = bytes.windows(8).any(|window| window.eq_ignore_ascii_case(b"lovelace"));
        assert!(!found || !name.starts_with("carillon.db"), "{} still names the person", path.display());
    }
}

/// The messages of a stream with octet counting (RFC 6587): each is as long as it says. `None` while the last is not whole.
fn framed(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|b| *b == b' ')?;
        let length: usize = std::str::from_utf8(&bytes[..blank]).expect("digits").parse().expect("a number");
        let end = blank + 1 + length;
        messages.push(String::from_utf8(bytes.get(blank + 1..end)?.to_vec()).expect("UTF-8"));
        bytes = &bytes[end..];
    }
    Some(messages)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syslog_gets_every_entry_also_those_of_an_outage() {
    let port = free_port();
    let stage = Stage::with(|scene| scene.more = format!("[audit]\nsyslog = \"tcp://127.0.0.1:{port}\"\n")).await;
    // Nobody listens yet: nothing waits for the collector.
    for days in 1..=5 {
        stage.api.set("retention.days", json!(days)).await;
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let (mut stream, _) = tokio::task::spawn_blocking(move || listener.accept()).await.expect("ran").expect("accepted");
    stage.api.set("retention.days", json!(6)).await;
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a bound");
    let mut got = Vec::new();
    let messages = eventually("six settings in syslog", SOON, async || {
        let mut part = [0; 4096];
        if let Ok(bytes) = stream.read(&mut part) {
            got.extend_from_slice(&part[..bytes]);
        }
        let messages = framed(&got)?;
        let settings = messages.iter().filter(|message| message.contains(" - setting.set [carillon@32473 ")).count();
        (settings >= 6).then_some(messages)
    })
    .await;
    let mut sequences = Vec::new();
    for message in &messages {
        assert!(message.starts_with("<109>1 ") && message.ends_with('}'), "{message}");
        let sequence = message.split("sequence=\"").nth(1).and_then(|text| text.split('"').next()).expect("a sequence");
        sequences.push(sequence.parse::<i64>().expect("a number"));
    }
    let whole: Vec<i64> = (1..=sequences.len() as i64).collect();
    assert_eq!(sequences, whole, "every entry once, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_edits_at_once_at_two_processes_leave_no_hole() {
    let Some(postgres) = PrivatePostgres::shared() else {
        return println!("SKIPPED: PostgreSQL is not installed, so no audit of several processes was walked");
    };
    let database = postgres.database();
    let stage = Stage::with(|scene| scene.database = Some(database)).await;
    let (_other, second) = stage.another(None).await;
    let before = verify(&stage.server, &[]).1["entries"].as_i64().unwrap_or(0);
    let edits = (0..20).map(|n| {
        let api = if n % 2 == 0 { stage.api.clone() } else { second.clone() };
        tokio::spawn(async move {
            let body = json!({"name": format!("group {n}")});
            api.ask(Method::POST, "groups", Some(&body), &[]).await.with(201);
        })
    });
    for edit in edits.collect::<Vec<_>>() {
        edit.await.expect("edited");
    }
    let (code, verdict) = verify(&stage.server, &[]);
    assert_eq!((code, verdict["entries"].as_i64()), (0, Some(before + 20)), "{verdict}");
}
