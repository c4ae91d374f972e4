//! The fakes as programs of their own, as a newcomer starts them beside a server: what they print is the server's
//! configuration, and their control pages show what arrived.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use stories::{Api, Org, SOON, Server, build, channel_of, eventually, google_token_of, token_of, when};

/// A fake that goes with the story.
struct Fake {
    child: Child,
    /// Everything that it printed.
    said: String,
    /// The lines of a configuration that it printed.
    settings: String,
    /// Its control page.
    control: String,
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(binary: &str, folder: &Path, args: &[&str]) -> Fake {
    let mut command = Command::new(build("fakes", binary));
    command.args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]).args(args).current_dir(folder);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the fake starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let (mut said, mut settings) = (Vec::new(), String::new());
    for line in lines.by_ref() {
        if line.starts_with('[') || !settings.is_empty() {
            settings.push_str(&line);
            settings.push('\n');
        }
        said.push(line);
        if settings.contains("ca_file") {
            break;
        }
    }
    let text = said.join("\n");
    assert!(text.contains("fake") && text.contains("reaches a"), "it says that it is a fake: {text}");
    let at = text.find("http://127.0.0.1").expect("the control page is printed");
    let control = text[at..].split("/_fake").next().unwrap_or_default().to_owned();
    Fake { child, said: text, settings, control }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_runs_on_what_the_fakes_print_and_their_pages_show_what_arrived() {
    let mut server = Server::prepare("");
    let folder = server.folder().path().to_owned();
    let apple = start("fake-apple", &folder, &["--write-ca", "apple-ca.pem", "--write-key", "apple.p8", "--topic", "org.example.app"]);
    let relay = start("fake-relay", &folder, &["--tls", "starttls", "--write-ca", "relay-ca.pem"]);
    server.configure(&format!("{}\n{}", apple.settings, relay.settings));
    server.restart().await;
    let api = Api::new(&server.url(), &server.token());
    Org::new().person("ada").iphone("ada-phone", "ada").person("bob").group("two", &["user:ada", "user:bob"]).import(&api).await;
    let (at_apple, at_relay) = (Api::new(&apple.control, ""), Api::new(&relay.control, ""));
    let id = api.tell("two", "Through processes").await;
    assert_eq!(api.done(&id).await["counts"]["accepted"], 2);
    let log = at_apple.page("/_fake/log").await.with(200);
    let arrival = &log["items"][0];
    assert_eq!((&arrival["token"], &arrival["status"]), (&json!(token_of("ada-phone")), &json!(200)), "{log}");
    assert!(arrival["headers"].get("authorization").is_none(), "the page shows no provider token");
    let mails = at_relay.page("/_fake/log").await.with(200);
    assert_eq!(mails["items"][0]["to"], json!(["bob@mail.example.org"]), "{mails}");

    // Their behaviour is changed through the page.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client without TLS");
    let told = client
        .post(format!("{}/_fake/mode", apple.control))
        .json(&json!({"mode": "refuse", "status": 503, "reason": "ServiceUnavailable"}));
    assert!(told.send().await.expect("the page answers").status().is_success());
    let held = api.tell("two", "Later").await;
    eventually("the push to wait", SOON, async || when(api.notification(&held).await["counts"]["held"] == 1)).await;
    let told = client.post(format!("{}/_fake/mode", apple.control)).json(&json!({"mode": "ok"}));
    assert!(told.send().await.expect("the page answers").status().is_success());
    assert_eq!(api.done(&held).await["counts"]["accepted"], 2);
    let stats: Value = at_apple.page("/_fake/stats").await.with(200);
    assert_eq!((&stats["accepted"], &stats["distinct"]), (&json!(2), &json!(1)), "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn googles_and_microsofts_fakes_are_programs_too_and_give_tokens_to_whoever_they_made_known() {
    let mut server = Server::prepare("");
    let folder = server.folder().path().to_owned();
    let google = start("fake-google", &folder, &["--write-ca", "google-ca.pem", "--write-account", "google.json"]);
    let microsoft = start("fake-microsoft", &folder, &["--write-ca", "microsoft-ca.pem", "--write-secret", "wns-secret"]);
    server.configure(&format!("{}\n{}", google.settings, microsoft.settings));
    server.restart().await;
    let api = Api::new(&server.url(), &server.token());
    Org::new()
        .person("ada")
        .android("ada-phone", "ada")
        .person("bob")
        .windows("bob-pc", "bob")
        .group("two", &["user:ada", "user:bob"])
        .import(&api)
        .await;
    let id = api.tell("two", "Through processes").await;
    assert_eq!(api.done(&id).await["counts"]["accepted"], 2);
    for (fake, address) in [(google, google_token_of("ada-phone")), (microsoft, channel_of("bob-pc"))] {
        let page = Api::new(&fake.control, "");
        let log = page.page("/_fake/log").await.with(200);
        let arrival = &log["items"][0];
        assert!(arrival["address"].as_str().is_some_and(|seen| address.ends_with(seen)), "{log}");
        assert!(arrival["headers"].get("authorization").is_none(), "the page shows no access token");
        let stats = page.page("/_fake/stats").await.with(200);
        assert_eq!((&stats["accepted"], &stats["tokens"]), (&json!(1), &json!(1)), "{stats}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_registered_with_what_the_fake_push_service_prints() {
    let mut server = Server::prepare("");
    let folder = server.folder().path().to_owned();
    let push = start("fake-push-service", &folder, &["--write-ca", "push-ca.pem", "--text", "Through"]);
    server.configure(&push.settings);
    server.restart().await;
    let api = Api::new(&server.url(), &server.token());
    let word =
        |name: &str| push.said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = ")).expect("it is printed").to_owned();
    let endpoint = word("endpoint").replace("ANY", "ada-browser");
    let mut org = Org::new();
    org.person("ada").browser("ada-browser", "ada", [&endpoint, &word("p256dh"), &word("auth")]).group("one", &["user:ada"]);
    org.import(&api).await;
    assert_eq!(api.done(&api.tell("one", "Through processes").await).await["counts"]["accepted"], 1);
    let log = Api::new(&push.control, "").page("/_fake/log").await.with(200);
    assert_eq!(log["items"][0]["subscription"], "ada-browser", "{log}");
    assert!(log["items"][0]["payload"].as_str().is_some_and(|text| text.contains("Through processes")), "{log}");
    assert!(log["items"][0]["headers"].get("authorization").is_none(), "the page shows no token");
}
