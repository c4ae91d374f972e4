//! The first start and every later one: what is made, what is said, what is refused, and how it ends.

use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use stories::{Api, Org, Server, Stage, run};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_makes_an_organization_an_owner_and_keys_and_says_so() {
    let mut server = Server::start("[server]\norganization = \"Little Shop\"\n").await;
    let token_file = server.data().join("bootstrap-token");
    assert_eq!(mode(&token_file), 0o600);
    let api = Api::new(&server.url(), &server.token());
    let me = api.get("me").await;
    assert_eq!(me["role"], "owner", "{me}");
    assert!(me["permissions"].as_array().is_some_and(|p| p.len() >= 10), "{me}");
    let said = format!("{}{}", server.printed(), server.log());
    for word in ["Little Shop", "owner", "bootstrap-token", "VAPID", "at-rest", &server.url()] {
        assert!(said.contains(word), "the first start says nothing of {word}:\n{said}");
    }
    assert!(!said.contains(&server.token()), "a token is never printed");
    let keys: Vec<_> = std::fs::read_dir(server.data().join("keys")).expect("the keys' folder").flatten().map(|e| e.path()).collect();
    assert!(keys.len() >= 2, "{keys:?}");
    for key in &keys {
        assert_eq!(mode(key), 0o600, "{}", key.display());
    }
    let before = (server.token(), keys.iter().map(|k| std::fs::read(k).expect("a key")).collect::<Vec<_>>());
    let printed = server.printed().len();
    assert!(server.terminate().success(), "SIGTERM ends it with 0");
    server.restart().await;
    let after = (server.token(), keys.iter().map(|k| std::fs::read(k).expect("a key")).collect::<Vec<_>>());
    assert!(before == after, "a later start makes nothing anew");
    assert!(!server.printed()[printed..].contains("First start"), "{}", server.printed());
    assert_eq!(Api::new(&server.url(), &server.token()).get("me").await["role"], "owner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_name_in_the_configuration_renames_the_organization_and_loses_nothing() {
    let mut server = Server::start("[server]\norganization = \"Little Shop\"\n").await;
    let api = Api::new(&server.url(), &server.token());
    let ada = json!({"upn": "ada@example.org", "displayName": "Ada"});
    api.post("users", &ada).await.with(201);
    assert!(server.terminate().success());
    let printed = server.printed().len();
    server.set_variable("CARILLON__SERVER__ORGANIZATION", "Large Shop");
    server.restart().await;
    assert!(!server.printed()[printed..].contains("First start"), "{}", server.printed());
    let said = server.log();
    assert!(said.contains("another name") && said.contains("Little Shop") && said.contains("Large Shop"), "{said}");
    let api = Api::new(&server.url(), &server.token());
    assert_eq!(api.all("users?search=ada").await.len(), 1);
    let preview = api.get("mails/call.missed/preview").await;
    assert!(preview["text"].as_str().is_some_and(|text| text.contains("Large Shop")), "{preview}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_folder_is_refused_with_a_clear_message() {
    let server = Server::start("").await;
    let folder = server.data().display().to_string();
    let second = run(&["serve", "--data", &folder, "--listen", "127.0.0.1:0"]);
    assert_ne!(second.code, 0, "{}", second.out);
    assert!(second.err.contains(&folder) && second.err.contains("in use"), "{}", second.err);
    assert!(!second.err.contains("panicked"), "{}", second.err);
    assert_eq!(Api::new(&server.url(), &server.token()).page("/readyz").await.status, 200, "the first one goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_existing_store_is_ready_at_once_and_keeps_what_was_accepted() {
    let mut stage = Stage::open().await;
    Org::new().crowd("staff", 300).import(&stage.api).await;
    let id = stage.api.tell("staff", "Kept").await;
    stage.api.done(&id).await;
    assert!(stage.server.terminate().success());
    // The goal is a second on a quiet machine; the stories share two cores with others, so the best of three counts.
    let mut best = Duration::MAX;
    for _ in 0..3 {
        best = best.min(stage.server.restart().await);
        assert!(stage.server.terminate().success(), "SIGTERM drains and ends with 0");
    }
    assert!(best < Duration::from_secs(2), "ready after {best:?}");
    stage.server.restart().await;
    let kept = stage.api.notification(&id).await;
    assert_eq!((&kept["title"], &kept["state"], &kept["counts"]["accepted"]), (&json!("Kept"), &json!("done"), &json!(300)));
    assert_eq!(stage.apple.stats().accepted, 300, "nothing is sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_drains_what_is_on_the_wire_and_the_next_start_sends_the_rest_once() {
    let mut stage = Stage::open().await;
    Org::new().crowd("staff", 400).import(&stage.api).await;
    stage.apple.set_mode(fakes::Mode::Rate { per_second: 200 });
    let id = stage.api.tell("staff", "Drained").await;
    stories::eventually("the campaign to be on the wire", stories::SOON, async || stories::when(stage.apple.stats().requests > 50)).await;
    assert!(stage.server.terminate().success(), "SIGTERM drains and ends with 0:\n{}", stage.server.log());
    stage.apple.set_mode(fakes::Mode::Ok);
    stage.server.restart().await;
    let done = stage.api.done(&id).await;
    assert_eq!(done["counts"]["accepted"], 400, "{done}");
    let stats = stage.apple.stats();
    assert_eq!((stats.distinct, stats.repeats), (400, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_of_a_channel_that_this_build_lacks_is_a_warning_and_an_unknown_key_is_an_error() {
    let server = Server::start("[channels.pigeon]\nloft = \"north\"\n\n[integrations.telex]\nline = 7\n").await;
    let said = format!("{}{}", server.printed(), server.log());
    assert!(said.contains("channels.pigeon") && said.contains("integrations.telex"), "{said}");
    let mut wrong = Server::prepare("[server]\nlistne = \"127.0.0.1:1\"\n");
    wrong.spawn();
    assert_eq!(wrong.ended(Duration::from_secs(20)).code(), Some(2));
    let said = wrong.log();
    assert!(said.contains("listne") && said.contains("listen"), "the message names the key and the one meant: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_sets_what_the_file_does_not() {
    let mut server = Server::prepare("");
    server.set_variable("CARILLON__SERVER__ORGANIZATION", "From The Air");
    server.restart().await;
    assert!(format!("{}{}", server.printed(), server.log()).contains("From The Air"));
    let mut wrong = Server::prepare("");
    wrong.set_variable("CARILLON__SERVER__ORGANISATION", "x");
    wrong.spawn();
    assert_eq!(wrong.ended(Duration::from_secs(20)).code(), Some(2));
    assert!(wrong.log().contains("CARILLON__SERVER__ORGANISATION"), "{}", wrong.log());
}

#[test]
fn the_default_configuration_checks() {
    let folder = stories::Folder::fresh();
    let printed = run(&["config", "print-default"]).ended(0);
    let file = folder.write("carillon.toml", &printed.out);
    let file = file.display().to_string();
    let checked = run(&["config", "check", "--config", &file, "--json"]).ended(0).json();
    assert_eq!((&checked["ok"], &checked["warnings"]), (&json!(true), &json!([])), "{checked}");
    folder.write("carillon.toml", &printed.out.replace("[server]", "[server]\ncolour = 1"));
    let refused = run(&["config", "check", "--config", &file]).ended(2);
    assert!(refused.err.contains("colour"), "{}", refused.err);
    for word in ["channels.apns", "channels.email", "key_file", "password_file", "at_rest_file", "database"] {
        assert!(printed.out.contains(word), "the default configuration does not show {word}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_metrics_and_the_description_of_the_api_are_open_pages() {
    let server = Server::start("").await;
    let api = Api::new(&server.url(), "nobody");
    assert_eq!(api.page("/healthz").await.with(200), "ok");
    api.page("/readyz").await.with(200);
    let metrics = api.page("/metrics").await.with(200);
    assert!(metrics.as_str().is_some_and(|text| text.contains("carillon_")), "{metrics}");
    let openapi = api.page("/openapi.json").await.with(200);
    assert!(openapi["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")), "{}", openapi["openapi"]);
    for path in ["/api/v1/notifications", "/api/v1/directory/import", "/api/v1/device/inbox/stream", "/api/v1/events/{id}/why"] {
        assert!(openapi["paths"][path].is_object(), "{path} is not described");
    }
    let docs = api.page("/docs").await.with(200);
    let text = docs.as_str().unwrap_or_default();
    assert!(text.contains("<html") && !text.contains("https://"), "a viewer that needs nothing from elsewhere");
    let stranger = api.post("notifications", &json!({})).await;
    assert_eq!(stranger.problem(401), "unauthenticated");
    assert!(stranger.header("www-authenticate").starts_with("Bearer"));
}
