//! The directory in and out: all or nothing, visible at once, and out as it came in.

use super::world::{Reply, World};
use serde_json::{Value, json};
use std::time::Duration;

const PEOPLE: &str = "external_id,upn,display_name,email,locale,timezone,licenses,manager_upn,phones,active\n\
E1,ada@example.org,Ada,ada@example.org,fr,Europe/Paris,E3,,+33155501234,true\nE2,eve@example.org,Eve,,en,UTC,,ada@example.org,,true\n";
const GROUPS: &str = "external_id,name,description\nG1,Sales,Everybody in sales\n";
const MEMBERS: &str = "group,member_type,member\nG1,user,E1\nG1,user,E2\n";

/// A multipart body of files.
fn multipart(files: &[(&str, &str)]) -> (String, Vec<u8>) {
    let boundary = "frontier";
    let mut body = String::new();
    for (name, text) in files {
        body.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/csv\r\n\r\n{text}\r\n"
        ));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    (format!("multipart/form-data; boundary={boundary}"), body.into_bytes())
}

async fn import(world: &World, query: &str, files: &[(&str, &str)]) -> Reply {
    let (media, body) = multipart(files);
    world.ask("POST", &format!("/api/v1/directory/import{query}")).bytes(&media, body).send().await
}

const ALL: [(&str, &str); 3] = [("people.csv", PEOPLE), ("groups.csv", GROUPS), ("members.csv", MEMBERS)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_become_visible_as_a_whole_and_the_same_files_change_nothing() {
    let world = World::new().await;
    let first = import(&world, "", &ALL).await.expect(200);
    assert_eq!((first.json["users"]["created"].as_u64(), first.json["members"]["created"].as_u64()), (Some(2), Some(2)));
    let reach = json!({"groups": ["Sales"]});
    assert_eq!(world.post("/api/v1/notifications/reach", reach).await.expect(200).json["people"], 2, "the resident roster knows it");
    let again = import(&world, "", &ALL).await.expect(200);
    assert_eq!((again.json["applied"].clone(), again.json["users"]["unchanged"].as_u64()), (json!(false), Some(2)));
}

#[tokio::test]
async fn a_bad_cell_is_named_by_file_line_and_column_and_nothing_is_applied() {
    let world = World::new().await;
    let bad = PEOPLE.replace("eve@example.org,Eve,", "eve,Eve,nonsense");
    let reply = import(&world, "", &[("people.csv", &bad), ("groups.csv", GROUPS)]).await;
    assert_eq!(reply.code(), (422, "import_invalid"));
    let fields: Vec<&str> = reply.faults().iter().map(|(f, _)| *f).collect();
    assert!(fields.contains(&"people.csv:3:upn") && fields.contains(&"people.csv:3:email"), "{fields:?}");
    assert!(reply.json["faultCount"].as_u64().is_some_and(|n| n >= 2));
    assert_eq!(world.get("/api/v1/groups").await.json["items"], json!([]));
}

#[tokio::test]
async fn a_dry_run_reports_and_changes_nothing() {
    let world = World::new().await;
    let reply = import(&world, "?dryRun=true", &ALL).await.expect(200);
    assert_eq!((reply.json["dryRun"].clone(), reply.json["applied"].clone()), (json!(true), json!(false)));
    assert_eq!(world.get("/api/v1/users").await.json["items"], json!([]));
}

#[tokio::test]
async fn one_file_may_be_the_body_itself() {
    let world = World::new().await;
    let body = |text: &str| world.ask("POST", "/api/v1/directory/import?name=staff.csv").bytes("text/csv", text.as_bytes().to_vec());
    body(PEOPLE).send().await.expect(200);
    let reply = body("upn,display_name\nada,Ada\n").send().await;
    assert_eq!(reply.faults()[0].0, "staff.csv:2:upn");
    let wrong = world.ask("POST", "/api/v1/directory/import").bytes("application/json", b"{}".to_vec()).send().await;
    assert_eq!(wrong.code(), (415, "unsupported_media_type"));
    let empty = import(&world, "", &[]).await;
    assert_eq!((empty.code(), empty.faults()[0].0), ((422, "invalid_field"), "files"));
}

#[tokio::test]
async fn an_import_can_be_followed_as_a_job() {
    let world = World::new().await;
    let (media, body) = multipart(&ALL);
    let ask = world.ask("POST", "/api/v1/directory/import").header("prefer", "respond-async").bytes(&media, body);
    let started = ask.send().await.expect(202);
    assert_eq!(started.header("preference-applied"), "respond-async");
    let place = started.header("location").to_owned();
    let mut job = Value::Null;
    for _ in 0..200 {
        job = world.get(&place).await.expect(200).json;
        if job["state"] != "running" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["report"]["users"]["created"], 2);
    let stopped = world.ask("DELETE", &place).send().await.expect(200);
    assert_eq!(stopped.json["state"], "done", "what is done stays done");
}

#[tokio::test]
async fn only_one_import_is_received_at_a_time() {
    let world = World::new().await;
    let actor = world.engine.actor(&world.owner).await.expect("the owner");
    let place = world.engine.begin_import(&actor, &Default::default()).await.expect("room");
    assert_eq!(import(&world, "", &ALL).await.code(), (409, "import_in_progress"));
    drop(place);
    import(&world, "", &ALL).await.expect(200);
}

#[tokio::test]
async fn leavers_of_an_import_lose_their_tokens() {
    let world = World::new().await;
    import(&world, "", &[("people.csv", PEOPLE)]).await.expect(200);
    let found = world.get("/api/v1/resolve?kind=user&name=E1").await.expect(200);
    let (_, app) = world.enrolled(found.json["items"][0]["id"].as_str().expect("an id")).await;
    world.ask("GET", "/api/v1/device/inbox").token(&app).send().await.expect(200);
    let left = PEOPLE.replace("+33155501234,true", "+33155501234,false");
    import(&world, "", &[("people.csv", &left)]).await.expect(200);
    assert_eq!(world.ask("GET", "/api/v1/device/inbox").token(&app).send().await.code(), (401, "unauthenticated"));
}

#[tokio::test]
async fn what_is_exported_imports_back_without_change() {
    let world = World::new().await;
    import(&world, "", &ALL).await.expect(200);
    let mut files = Vec::new();
    for name in ["people.csv", "groups.csv", "members.csv", "devices.csv", "registrations.csv"] {
        let reply = world.get(&format!("/api/v1/directory/export/{name}")).await.expect(200);
        assert_eq!(reply.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(reply.header("content-length"), reply.text.len().to_string());
        files.push((name, reply.text));
    }
    assert!(files[0].1.contains("ada@example.org"));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let again = import(&world, "", &files).await.expect(200);
    assert_eq!(again.json["applied"], false, "{}", again.text);
    assert_eq!(world.get("/api/v1/directory/export/all.csv").await.code(), (404, "not_found"));
}

#[tokio::test]
async fn an_export_is_never_older_than_the_last_change() {
    let world = World::new().await;
    import(&world, "", &ALL).await.expect(200);
    world.get("/api/v1/directory/export/people.csv").await.expect(200);
    world.group("Board").await;
    let groups = world.get("/api/v1/directory/export/groups.csv").await.expect(200);
    assert!(groups.text.contains("Board"));
}
