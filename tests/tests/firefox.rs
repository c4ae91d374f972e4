//! A real browser: Firefox subscribes with Carillon's key, is registered through the API as its app would, and shows what
//! `carillon send` says, decrypted by Firefox itself.

use fakes::Authority;
use fakes::push_service::{self, Options};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use stories::{App, Autopush, Firefox, Folder, Org, Page, SOON, Stage, eventually};
use tokio::sync::mpsc;

/// Firefox starts, makes a profile and subscribes; on two busy cores that takes its time.
const BROWSER: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firefox_subscribes_and_shows_what_an_administrator_sends() {
    let authority = Arc::new(Authority::generate().expect("randomness"));
    let (forward, mut arrivals) = mpsc::unbounded_channel();
    // Firefox has its own keys: this fake cannot open what is sent to it, and hands it on.
    let options = Options { browser: None, forward: Some(forward), ..Options::new(authority.clone()) };
    let push = push_service::start(options).await.expect("the fake starts");
    let endpoint = push.endpoint("");
    let (carry, carried) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(arrival) = arrivals.recv().await {
            let _ = carry.send((arrival.subscription, arrival.body.to_vec()));
        }
    });
    let autopush = Autopush::start(move |subscription| format!("{endpoint}{subscription}"), carried).await.expect("a free port");
    let folder = Folder::fresh();
    folder.write("push-ca.pem", authority.pem());
    let ca_file = folder.path().join("push-ca.pem");
    let stage = Stage::with(|scene| {
        scene.more = format!(
            "[channels.webpush]\nsubject = \"mailto:operations@example.org\"\nallow_private_endpoints = true\nca_file = {ca_file:?}\n"
        );
    })
    .await;
    let key = stage.api.page("/api/v1/push/web-push-key").await.with(200)["publicKey"].as_str().expect("a key").to_owned();
    let page = Page::serve(&key).await.expect("a free port");
    let Some(_firefox) = Firefox::open(page.addr, autopush.addr) else {
        // Past the test harness, which keeps what passing tests print.
        let _ = writeln!(
            std::io::stdout(),
            "SKIPPED: the Firefox story (install the Debian package firefox-esr, or name a Firefox by FIREFOX_BIN)"
        );
        return;
    };
    let find = |name: &'static str| page.said().into_iter().find(|said| !said[name].is_null()).map(|mut said| said[name].take());
    let subscription = eventually("Firefox to subscribe", BROWSER, async || find("subscription")).await;
    let channel = subscription["endpoint"].as_str().and_then(|url| url.rsplit('/').next()).expect("an endpoint").to_owned();
    assert_eq!(autopush.key_of(&channel).as_deref(), Some(key.as_str()), "Firefox bound the subscription to the server's key");
    push.set_key(Some(key));

    Org::new().person("ada").group("lyon", &["user:ada"]).import(&stage.api).await;
    let app = App::enrol(&stage.api, "ada@example.org", "Ada's Firefox", "browser").await;
    let keys = &subscription["keys"];
    let body = json!({"service": "webpush", "endpoint": subscription["endpoint"], "p256dh": keys["p256dh"], "auth": keys["auth"]});
    app.ask(Method::PUT, "registration", Some(&body)).await.fine();

    let (title, text) = ("Réunion déplacée 🔔", "Salle 2, à l’étage: “14 h”.\nMerci.");
    let sent = stage.server.cli(&["send", "--group", "lyon", "--title", title, "--body", text, "--wait", "--json"]).ended(0).json();
    let shown = eventually("Firefox to show it", SOON, async || find("shown")).await;
    let event = &sent["eventId"];
    assert_eq!(shown, json!([{"title": title, "body": text, "lang": "en", "tag": event}]), "{sent}");
    let payload = find("push").expect("what the worker read");
    assert_eq!((&payload["carillon"]["eventId"], &payload["carillon"]["private"]), (event, &json!(false)));
    eventually("Firefox's word that it opened it", SOON, async || (autopush.acknowledged() == [100]).then_some(())).await;
    let stats = push.stats();
    assert_eq!((stats.accepted, stats.refused), (1, 0), "{stats:?}");

    // A private one says in the browser only that there is something.
    let args = ["send", "--user", "ada@example.org", "--title", "Salary", "--body", "For you alone.", "--private", "--wait", "--json"];
    stage.server.cli(&args).ended(0);
    let private = |said: &Value| said["push"]["carillon"]["private"] == true;
    let said = eventually("the private one", SOON, async || page.said().into_iter().find(private)).await;
    assert!(!said.to_string().contains("Salary") && !said.to_string().contains("For you alone."), "{said}");
}
