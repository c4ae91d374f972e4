//! Every key is rotated: what waited or was sealed before still goes or is read, and what is done after goes by the new key.

use fakes::apple::Key;
use fakes::google::{self, ServiceAccount};
use fakes::microsoft::{self, Application};
use fakes::{Authority, push_service};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use stories::{Api, App, Folder, Org, Reply, SOON, Server, Stage, eventually, when};

async fn me(api: &Api) -> Reply {
    api.ask(Method::GET, "me", None, &[]).await
}

async fn restart(stage: &mut Stage) {
    assert!(stage.server.terminate().success());
    stage.server.restart().await;
}

fn authority() -> Arc<Authority> {
    Arc::new(Authority::generate().expect("the machine has randomness"))
}

/// One notification to somebody; answers how many deliveries were accepted.
async fn accepted(api: &Api, person: &str, title: &str) -> u64 {
    let sent = api.send(&json!({"title": title, "body": "b", "users": [format!("{person}@example.org")]})).await;
    api.done(sent["id"].as_str().expect("an id")).await["counts"]["accepted"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apples_signing_key_is_rotated_by_file_id_and_restart() {
    let mut stage = Stage::open().await;
    Org::new().person("ada").iphone("ada-phone", "ada").import(&stage.api).await;
    assert_eq!(accepted(&stage.api, "ada", "old").await, 1);
    let fresh = Key::generate("STORYKEY02", &stage.key.team_id);
    stage.apple.set_key(Some(fresh.clone()));
    stage.server.folder().write("key-2.p8", fresh.pem());
    stage
        .server
        .set_variable("CARILLON__CHANNELS__APNS__KEY_FILE", stage.server.folder().path().join("key-2.p8").to_str().expect("a name"));
    stage.server.set_variable("CARILLON__CHANNELS__APNS__KEY_ID", "STORYKEY02");
    restart(&mut stage).await;
    assert_eq!(accepted(&stage.api, "ada", "new").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn googles_service_account_is_rotated_by_file_and_restart() {
    let account = ServiceAccount::generate("story-project");
    let options = google::Options { tls: Some(authority()), record: 100, ..google::Options::default() };
    let google = google::start(options, account).await.expect("the fake Google starts");
    let mut stage = Stage::with(|scene| {
        scene.more = format!(
            "[channels.fcm]\nendpoint = \"{}\"\nservice_account_file = \"account.json\"\nca_file = \"google-ca.pem\"\n",
            google.endpoint()
        );
        scene.files = vec![("account.json", google.service_account()), ("google-ca.pem", google.ca_pem().expect("TLS").to_owned())];
    })
    .await;
    Org::new().person("ada").android("ada-phone", "ada").import(&stage.api).await;
    assert_eq!(accepted(&stage.api, "ada", "old").await, 1);
    google.set_account(ServiceAccount::generate("story-project"));
    google.revoke();
    stage.server.folder().write("account.json", &google.service_account());
    restart(&mut stage).await;
    assert_eq!(accepted(&stage.api, "ada", "new").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn microsofts_secret_is_rotated_by_file_and_restart() {
    let application = Application::generate();
    let options = microsoft::Options { tls: Some(authority()), record: 100, ..microsoft::Options::default() };
    let microsoft = microsoft::start(options, application.clone()).await.expect("the fake Microsoft starts");
    let mut stage = Stage::with(|scene| {
        scene.more = format!(
            "[channels.wns]\nendpoint_override = \"{}\"\ntoken_endpoint = \"{}\"\nclient_id = \"{}\"\nsecret_file = \"wns-secret\"\n\
             ca_file = \"microsoft-ca.pem\"\n",
            microsoft.endpoint(),
            microsoft.token_endpoint(),
            application.client_id
        );
        let ca = microsoft.ca_pem().expect("there is TLS").to_owned();
        scene.files = vec![("wns-secret", format!("{}\n", application.secret)), ("microsoft-ca.pem", ca)];
    })
    .await;
    Org::new().person("ada").windows("ada-pc", "ada").import(&stage.api).await;
    assert_eq!(accepted(&stage.api, "ada", "old").await, 1);
    let fresh = Application { secret: Application::generate().secret, ..application };
    stage.server.folder().write("wns-secret", &format!("{}\n", fresh.secret));
    microsoft.set_application(fresh);
    microsoft.revoke();
    restart(&mut stage).await;
    assert_eq!(accepted(&stage.api, "ada", "new").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_relays_password_is_rotated_by_file_and_restart() {
    let mut stage = Stage::open().await;
    Org::new().person("ada").import(&stage.api).await;
    assert_eq!(accepted(&stage.api, "ada", "old").await, 1);
    stage.relay.set_login("carillon", "another-secret");
    stage.server.folder().write("relay-password", "another-secret\n");
    restart(&mut stage).await;
    assert_eq!(accepted(&stage.api, "ada", "new").await, 1);
    assert_eq!(stage.relay.reached("ada@mail.example.org"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_vapid_key_is_given_to_browsers_and_subscriptions_to_the_old_one_still_get_everything() {
    let authority = authority();
    let push = push_service::start(push_service::Options::new(authority.clone())).await.expect("the fake starts");
    let folder = Folder::fresh();
    folder.write("push-ca.pem", authority.pem());
    let ca_file = folder.path().join("push-ca.pem");
    let mut stage = Stage::with(|scene| {
        scene.more = format!(
            "[channels.webpush]\nsubject = \"mailto:operations@example.org\"\nallow_private_endpoints = true\nca_file = {ca_file:?}\n"
        );
    })
    .await;
    let key = async |api: &Api| api.get("push/web-push-key").await["publicKey"].as_str().expect("a key").to_owned();
    let old = key(&stage.api).await;
    push.set_key(Some(old.clone()));
    let browser = push.browser.as_ref().expect("the fake plays one");
    let mut org = Org::new();
    org.person("ada").browser("ada-browser", "ada", [&push.endpoint("ada-browser"), &browser.p256dh(), &browser.auth()]);
    org.import(&stage.api).await;
    assert_eq!(accepted(&stage.api, "ada", "old").await, 1);

    let config = stage.server.folder().path().join("carillon.toml");
    let (config, data) = (config.to_str().expect("a name").to_owned(), stage.server.data().to_str().expect("a name").to_owned());
    let said = stage.server.cli(&["keys", "rotate", "vapid", "--config", &config, "--data", &data, "--json"]).ended(0).json();
    assert_eq!(said["keys"], 2);
    restart(&mut stage).await;
    let fresh = key(&stage.api).await;
    assert_ne!(fresh, old);
    assert_eq!(said["publicKey"], fresh.as_str());
    // The subscription is bound to the old key: the service refuses the new one, once, and takes the old.
    push.clear();
    assert_eq!(accepted(&stage.api, "ada", "to the old subscription").await, 1);
    assert_eq!(accepted(&stage.api, "ada", "and again").await, 1);
    let stats = push.stats();
    assert_eq!((stats.accepted, stats.refused), (2, 1), "{stats:?}");
    let device = stage.api.id("device", "ada-browser").await;
    let registrations = stage.api.all(&format!("devices/{device}/registrations")).await;
    assert_eq!(registrations[0]["state"], "active", "{registrations:?}");
    assert!(stage.api.alarms().await.is_empty(), "nothing is wrong");
    // When the app is opened it sees another key and subscribes anew.
    push.set_key(Some(fresh));
    let app = App::enrol(&stage.api, "ada@example.org", "Ada's browser, anew", "browser").await;
    let body = json!({"service": "webpush", "endpoint": push.endpoint("ada-anew"), "p256dh": browser.p256dh(), "auth": browser.auth()});
    app.ask(Method::PUT, "registration", Some(&body)).await.fine();
    stage.api.delete(&format!("devices/{device}")).await;
    assert_eq!(accepted(&stage.api, "ada", "to the new one").await, 1);
    assert_eq!(push.reached("ada-anew"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_at_rest_key_seals_and_what_the_old_one_sealed_is_still_read() {
    let mut stage = Stage::open().await;
    Org::new().person("ada").iphone("ada-phone", "ada").import(&stage.api).await;
    let private = |title: &str| json!({"title": title, "body": "b", "users": ["ada@example.org"], "private": true});
    let old = stage.api.send(&private("Sealed before")).await;
    let config = stage.server.folder().path().join("carillon.toml");
    let (config, data) = (config.to_str().expect("a name").to_owned(), stage.server.data().to_str().expect("a name").to_owned());
    let rotate = ["keys", "rotate", "at-rest", "--config", &config, "--data", &data];
    assert!(stage.server.cli(&rotate).ended(0).out.contains("2 keys"));
    restart(&mut stage).await;
    let new = stage.api.send(&private("Sealed after")).await;
    let title = async |api: &Api, sent: &Value| api.notification(sent["id"].as_str().expect("an id")).await["title"].clone();
    assert_eq!((title(&stage.api, &old).await, title(&stage.api, &new).await), (json!("Sealed before"), json!("Sealed after")));
    // With the new key alone only what came after it can be read.
    let file = stage.server.data().join("keys/at-rest.key");
    let keys = std::fs::read_to_string(&file).expect("the file");
    std::fs::write(&file, keys.lines().next().expect("the new key")).expect("written");
    restart(&mut stage).await;
    assert_eq!((title(&stage.api, &old).await, title(&stage.api, &new).await), (Value::Null, json!("Sealed after")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_tokens_are_rotated_by_a_new_one_and_a_revocation() {
    let server = Server::start("").await;
    let api = Api::new(&server.url(), &server.token());
    let made = async |name: &str| api.post("tokens", &json!({"name": name, "role": "notification-admin"})).await.with(201);
    let (old, new) = (made("sender of May").await, made("sender of June").await);
    let with = |made: &Value| api.with_token(made["token"].as_str().expect("a secret"));
    assert_eq!((me(&with(&old)).await.status, me(&with(&new)).await.status), (200, 200));
    api.delete(&format!("tokens/{}", old["id"].as_str().expect("an id"))).await;
    assert_eq!((me(&with(&old)).await.status, me(&with(&new)).await.status), (401, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_token_is_rotated_by_removing_its_file_and_revoking_it() {
    let mut server = Server::start("").await;
    let old = server.token();
    std::fs::remove_file(server.data().join("bootstrap-token")).expect("removed");
    assert!(server.terminate().success());
    server.restart().await;
    let new = server.token();
    assert_ne!(new, old);
    let api = Api::new(&server.url(), &new);
    let tokens = api.all("tokens").await;
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    let own = me(&api).await.with(200);
    let first = tokens.iter().filter(|token| token["name"] == "bootstrap").min_by_key(|token| token["id"].as_str().map(str::to_owned));
    api.delete(&format!("tokens/{}", first.expect("the first")["id"].as_str().expect("an id"))).await;
    eventually("the first token to be refused", SOON, async || when(me(&api.with_token(&old)).await.status == 401)).await;
    assert_eq!(me(&api).await.with(200)["name"], own["name"]);
}
