//! Doctor: everything that sending needs is tried before anybody waits for it, and what is wrong is said with its mend.

use fakes::apple::Key;
use fakes::google::ServiceAccount;
use fakes::{Authority, google, microsoft};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use stories::{Said, Server, Stage};

/// The doctor, asked for its object; it ends with this code.
#[track_caller]
fn examined(server: &Server, code: i32) -> Said {
    server.cli(&["doctor", "--config", "carillon.toml", "--data", "data", "--json"]).ended(code)
}

/// The findings about one subject that are not fine.
fn trouble(said: &Said, subject: &str) -> Vec<Value> {
    let all = said.json()["checks"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|check| check["subject"] == subject && check["grade"] != "ok").collect()
}

/// Makes a file of the story its owner's alone, as a key should be.
fn private(server: &Server, names: &[&str]) {
    for name in names {
        let file = server.folder().path().join(name);
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    }
}

/// A stage on which every provider is configured and right.
struct Everybody {
    stage: Stage,
    google: google::Running,
    microsoft: microsoft::Running,
}

async fn everybody() -> Everybody {
    let authority = Arc::new(Authority::generate().expect("the machine has randomness"));
    let options = || google::Options { tls: Some(authority.clone()), ..google::Options::default() };
    let google = google::start(options(), ServiceAccount::generate("story-project")).await.expect("the fake Google starts");
    let application = microsoft::Application::generate();
    let microsoft = microsoft::start(options(), application.clone()).await.expect("the fake Microsoft starts");
    let stage = Stage::with(|scene| {
        scene.more = format!(
            "[channels.fcm]\nendpoint = \"{}\"\nservice_account_file = \"account.json\"\nca_file = \"others-ca.pem\"\n\n\
             [channels.wns]\nendpoint_override = \"{}\"\ntoken_endpoint = \"{}\"\nclient_id = \"{}\"\nsecret_file = \"wns-secret\"\n\
             ca_file = \"others-ca.pem\"\n\n[channels.webpush]\nsubject = \"mailto:ops@example.org\"\n",
            google.endpoint(),
            microsoft.endpoint(),
            microsoft.token_endpoint(),
            application.client_id,
        );
        scene.files = vec![
            ("account.json", google.service_account()),
            ("wns-secret", format!("{}\n", application.secret)),
            ("others-ca.pem", authority.pem().to_owned()),
        ];
    })
    .await;
    private(&stage.server, &["key.p8", "relay-password", "account.json", "wns-secret"]);
    Everybody { stage, google, microsoft }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_everything_right_all_is_well_and_nobody_is_told_anything() {
    let Everybody { mut stage, google, microsoft } = everybody().await;
    let found = examined(&stage.server, 0).json();
    assert_eq!((&found["ok"], &found["errors"], &found["warnings"]), (&true.into(), &0.into(), &0.into()), "{found:#}");
    let has = |subject: &str, step: &str| {
        let all = found["checks"].as_array().expect("checks");
        assert!(all.iter().any(|c| c["subject"] == subject && c["step"] == step), "no {step} of {subject} in {found:#}");
    };
    for (subject, step) in [
        ("configuration", "file"),
        ("key files", "at-rest key"),
        ("key files", "VAPID key"),
        ("database", "lock"),
        ("database", "schema"),
        ("database", "disk"),
        ("server", "answer"),
        ("apns", "TLS"),
        ("apns", "signing key"),
        ("fcm", "service account"),
        ("fcm", "project"),
        ("wns", "application"),
        ("webpush", "VAPID key"),
        ("email", "sign-in"),
        ("email", "sender"),
        ("clock", "time"),
    ] {
        has(subject, step);
    }
    let told = [stage.apple.stats().accepted, stage.relay.stats().accepted, google.stats().accepted, microsoft.stats().accepted];
    assert_eq!(told, [0; 4], "nobody is told anything");
    // The same without a server on the folder, in words.
    stage.server.terminate();
    let said = stage.server.cli_as("none", &["doctor", "--config", "carillon.toml", "--data", "data"]);
    let words = said.ended(0).out;
    assert!(words.contains("no server runs on the data folder") && words.ends_with("All is well.\n"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_apple_does_not_know_is_named_with_its_settings_and_exits_1() {
    let stage = Stage::with(|scene| scene.wrong_key = Some(Key::generate("STORYKEY01", "STORYTEAM1"))).await;
    let said = examined(&stage.server, 1);
    let apns = trouble(&said, "apns");
    assert_eq!(apns.len(), 1, "{apns:?}");
    assert_eq!((&apns[0]["step"], &apns[0]["grade"]), (&"signing key".into(), &"error".into()));
    assert!(apns[0]["found"].as_str().is_some_and(|f| f.contains("InvalidProviderToken")), "{apns:?}");
    assert!(apns[0]["mend"].as_str().is_some_and(|m| m.contains("channels.apns.key_file, key_id and team_id")), "{apns:?}");
    assert!(trouble(&said, "email").is_empty(), "the others are looked at all the same");
    // The story wrote its keys for everybody to read: that is a warning with the command that mends it.
    let files = trouble(&said, "key files");
    assert!(files.iter().any(|c| c["grade"] == "warning" && c["mend"].as_str().is_some_and(|m| m.starts_with("chmod 600 "))), "{files:?}");
    // A file that holds no key at all is a fault of the configuration.
    stage.server.folder().write("key.p8", "no key");
    let said = examined(&stage.server, 2);
    let faults = trouble(&said, "configuration");
    assert!(faults[0]["found"].as_str().is_some_and(|f| f.contains("holds no P-256 key")), "{faults:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_have_expired_or_are_not_trusted_are_told_apart() {
    let expired = Arc::new(Authority::expired().expect("the machine has randomness"));
    // The certificate to trust is that of Apple's authority; the relay's own is another one.
    let stage = Stage::with(|scene| {
        scene.apple.tls = Some(expired.clone());
        scene.files.push(("ca.pem", expired.pem().to_owned()));
    })
    .await;
    let said = examined(&stage.server, 1);
    let apns = trouble(&said, "apns");
    assert!(apns[0]["step"] == "TLS" && apns[0]["found"].as_str().is_some_and(|f| f.ends_with("has expired")), "{apns:?}");
    let email = trouble(&said, "email");
    assert!(email[0]["step"] == "TLS" && email[0]["found"].as_str().is_some_and(|f| f.contains("not trusted here")), "{email:?}");
    assert!(email[0]["mend"].as_str().is_some_and(|m| m.contains("channels.email.ca_file")), "{email:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_a_warning_at_first_and_an_error_beyond_a_minute() {
    let Everybody { stage, google, microsoft: _microsoft } = everybody().await;
    google.shift_clock(20);
    let said = examined(&stage.server, 0);
    let clock = trouble(&said, "clock");
    assert!(clock[0]["grade"] == "warning" && clock[0]["found"].as_str().is_some_and(|f| f.contains("behind that of fcm")), "{clock:?}");
    google.shift_clock(-300);
    let said = examined(&stage.server, 1);
    let clock = trouble(&said, "clock");
    assert!(clock[0]["grade"] == "error" && clock[0]["found"].as_str().is_some_and(|f| f.contains("ahead of that of fcm")), "{clock:?}");
    assert!(clock[0]["mend"].as_str().is_some_and(|m| m.contains("time server")), "{clock:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_that_refuse_or_are_away_are_told_one_by_one() {
    let Everybody { stage, google, microsoft: _microsoft } = everybody().await;
    google.set_account(ServiceAccount::generate("story-project"));
    stage.apple.set_mode(fakes::Mode::Closed);
    stage.server.folder().write("relay-password", "wrong\n");
    private(&stage.server, &["relay-password"]);
    let said = examined(&stage.server, 1);
    let first = |subject: &str| trouble(&said, subject).first().cloned().unwrap_or_default();
    assert!(
        first("fcm")["step"] == "service account" && first("fcm")["found"].as_str().is_some_and(|f| f.contains("invalid_grant")),
        "{said:?}"
    );
    assert!(
        first("apns")["step"] == "connection" && first("apns")["found"].as_str().is_some_and(|f| f.contains("refuses connections")),
        "{said:?}"
    );
    assert!(
        first("email")["step"] == "sign-in" && first("email")["found"].as_str().is_some_and(|f| f.contains("does not let us sign in")),
        "{said:?}"
    );
    assert!(trouble(&said, "wns").is_empty() && trouble(&said, "webpush").is_empty(), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_at_rest_key_and_an_alarm_of_the_server_are_told() {
    let mut stage = Stage::with(|scene| scene.wrong_key = Some(Key::generate("STORYKEY01", "STORYTEAM1"))).await;
    stories::Org::new().person("ada").iphone("ada-phone", "ada").import(&stage.api).await;
    stage.api.send(&json!({"title": "Hello", "body": "World", "users": ["ada@example.org"]})).await;
    stories::eventually("the alarm", stories::SOON, async || stories::when(!stage.api.alarms().await.is_empty())).await;
    let said = examined(&stage.server, 1);
    let server = trouble(&said, "server");
    assert!(server[0]["found"].as_str().is_some_and(|f| f.contains("apns_our_fault")), "{server:?}");
    stage.server.terminate();
    std::fs::remove_file(stage.server.data().join("keys/at-rest.key")).expect("a key");
    let said = examined(&stage.server, 2);
    let files = trouble(&said, "key files");
    let lost = files.iter().find(|c| c["step"] == "at-rest key").expect("it is missed");
    assert!(lost["mend"].as_str().is_some_and(|m| m.starts_with("restore it from its backup")), "{lost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_looked_at_as_a_data_file_is() {
    let Some(postgres) = servers::PrivatePostgres::shared() else {
        println!("SKIPPED: PostgreSQL is not installed, so the doctor did not look at one");
        return;
    };
    let address = postgres.database();
    let name = address.rsplit('/').next().expect("a name").to_owned();
    let database = address.clone();
    let mut stage = Stage::with(move |scene| scene.database = Some(database)).await;
    let found = examined(&stage.server, 0).json();
    let of = |step: &str| {
        let all = found["checks"].as_array().expect("checks");
        all.iter().find(|c| c["subject"] == "database" && c["step"] == step).cloned().unwrap_or_else(|| panic!("no {step} in {found:#}"))
    };
    assert!(of("database")["found"].as_str().is_some_and(|f| f.starts_with("PostgreSQL ")), "{found:#}");
    assert!(of("schema")["grade"] == "ok" && of("writable")["grade"] == "ok", "{found:#}");
    assert!(found["checks"].as_array().expect("checks").iter().any(|c| c["subject"] == "server" && c["grade"] == "ok"), "{found:#}");
    stage.server.terminate();
    postgres.sql(&name, "UPDATE carillon_store SET version = 99");
    let said = examined(&stage.server, 1);
    let database = trouble(&said, "database");
    assert!(database.len() == 1 && database[0]["found"].as_str().is_some_and(|f| f.starts_with("version 99")), "{database:?}");
    assert!(trouble(&said, "server").is_empty(), "a server that was stopped is no trouble");
}
