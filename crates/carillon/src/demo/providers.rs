//! The fake providers of the demo, and the configuration that puts them in the place of real ones.

use super::organization::{
    APP, BAD_TOKEN, BUSY_ANDROID, GONE_ANDROID, GONE_BROWSER, GONE_TOKEN, GONE_WINDOWS, RETIRED_TOKEN, SAMPLE_PUSH_SERVICE,
};
use crate::cli::{Result, Trouble};
use fakes::{Authority, apple, google, microsoft, push_service, relay};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const KEY_ID: &str = "DEMOKEY001";
const TEAM_ID: &str = "DEMOTEAM01";
const PROJECT: &str = "carillon-demo";
/// For how long the fake Google sends the busy phone away.
const BUSY_SECONDS: u64 = 600;

/// Fakes that run until this is dropped.
pub struct Providers {
    apple: apple::Running,
    google: google::Running,
    microsoft: microsoft::Running,
    push: push_service::Running,
    relay: relay::Running,
    /// The configuration of the server that uses them.
    pub config_file: PathBuf,
}

impl Providers {
    /// Starts the fakes on free ports and writes keys and configuration into `folder`.
    ///
    /// # Errors
    /// When a port or the folder cannot be had.
    pub async fn start(folder: &Path) -> Result<Providers> {
        let start = |e: std::io::Error| Trouble::local(format!("the fake providers cannot be started ({e})"));
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let authority = Arc::new(Authority::generate().map_err(start)?);
        let key = apple::Key::generate(KEY_ID, TEAM_ID);
        let key_pem = key.pem().to_owned();
        let ca_pem = authority.pem().to_owned();
        let apple = apple::start(apple::Options {
            control: Some(anywhere),
            tls: Some(authority.clone()),
            key: Some(key),
            topics: vec![APP.to_owned()],
            tally_cells: 1 << 12,
            ..apple::Options::default()
        });
        let apple = apple.await.map_err(start)?;
        let google = google::Options { control: Some(anywhere), tls: Some(authority.clone()), ..google::Options::default() };
        let google = google::start(google, google::ServiceAccount::generate(PROJECT)).await.map_err(start)?;
        let application = microsoft::Application::generate();
        let microsoft = microsoft::Options { control: Some(anywhere), tls: Some(authority.clone()), ..microsoft::Options::default() };
        let microsoft = microsoft::start(microsoft, application.clone()).await.map_err(start)?;
        let push = push_service::Options { control: Some(anywhere), ..push_service::Options::new(authority) };
        let push = push_service::start(push).await.map_err(start)?;
        let relay = relay::start(relay::Options { control: Some(anywhere), tally_cells: 1 << 12, ..relay::Options::default() });
        let relay = relay.await.map_err(start)?;
        let files = folder.join("fakes");
        let config_file = folder.join("carillon.toml");
        let write = |path: &Path, text: &str| {
            std::fs::write(path, text).map_err(|e| Trouble::local(format!("{} cannot be written ({e})", path.display())))
        };
        std::fs::create_dir_all(&files).map_err(|e| Trouble::local(format!("{} cannot be made ({e})", files.display())))?;
        write(&files.join("fake-apple-key.p8"), &key_pem)?;
        write(&files.join("fakes-ca.pem"), &ca_pem)?;
        write(&files.join("fake-google-account.json"), &google.service_account())?;
        write(&files.join("fake-microsoft-secret"), &format!("{}\n", application.secret))?;
        let text = configuration(&apple.endpoint(), relay.addr)
            + &of_google(&google)
            + &of_microsoft(&microsoft, &application.client_id)
            + OF_BROWSERS;
        write(&config_file, &text)?;
        Ok(Providers { apple, google, microsoft, push, relay, config_file })
    }

    /// From now on the fakes refuse a few addresses, as the originals refuse those of lost, foreign and much-told devices.
    pub fn refuse_some(&self, now_ms: i64) {
        self.apple.answer(RETIRED_TOKEN, Some(apple::Answer::gone(now_ms)));
        self.apple.answer(GONE_TOKEN, Some(apple::Answer::gone(now_ms)));
        self.apple.answer(BAD_TOKEN, Some(apple::Answer::refused(400, "BadDeviceToken")));
        self.google.answer(GONE_ANDROID, Some(google::Answer::refused(404, "UNREGISTERED")));
        self.google.answer(BUSY_ANDROID, Some(google::Answer::refused(429, "QUOTA_EXCEEDED").retry_after(BUSY_SECONDS)));
        self.microsoft.answer(GONE_WINDOWS, Some(microsoft::Answer::refused(410, "The channel expired")));
        self.push.answer(GONE_BROWSER, Some(push_service::Answer::gone()));
    }

    /// The sample's registrations with the fake push service in the place of the browsers' services, and the keys of the
    /// browser that it plays in the place of theirs.
    pub fn subscribed(&self, registrations: &str) -> String {
        let browser = self.push.browser.as_ref().expect("the fake plays a browser unless it is told not to");
        let line = |line: &str| match line.split_once(SAMPLE_PUSH_SERVICE).and_then(|(head, rest)| Some((head, rest.split_once(',')?.0))) {
            Some((head, word)) => format!("{head}{},{},{}\n", self.push.endpoint(word), browser.p256dh(), browser.auth()),
            None => format!("{line}\n"),
        };
        registrations.lines().map(line).collect()
    }

    /// Forgets what arrived while the demo was being prepared.
    pub fn forget(&self) {
        self.apple.clear();
        self.google.clear();
        self.microsoft.clear();
        self.push.clear();
        self.relay.clear();
    }

    /// Where the fake Apple shows what it got.
    pub fn apple_control(&self) -> String {
        control(self.apple.control)
    }

    /// Each fake: its name, its address, its control page.
    pub fn listed(&self) -> Vec<(&'static str, String, String)> {
        let log = |address| format!("{}/_fake/log", control(address));
        vec![
            ("fake Apple (APNs)", self.apple.endpoint(), log(self.apple.control)),
            ("fake Google (FCM)", self.google.endpoint(), log(self.google.control)),
            ("fake Microsoft (WNS)", self.microsoft.endpoint(), log(self.microsoft.control)),
            ("fake push service of browsers (Web Push)", format!("https://{}", self.push.addr), log(self.push.control)),
            ("fake mail relay (SMTP)", self.relay.addr.to_string(), log(self.relay.control)),
        ]
    }
}

fn control(address: Option<SocketAddr>) -> String {
    let address = address.expect("every fake was started with a control page");
    format!("http://{address}")
}

fn configuration(apple: &str, relay: SocketAddr) -> String {
    format!(
        "# Written by `carillon demo`. The providers below are fakes on this machine.\n\n\
         [server]\norganization = \"Carillon Demo\"\nlog = \"error\"\n\n\
         [channels.apns]\nendpoint = \"{apple}\"\nkey_file = \"fakes/fake-apple-key.p8\"\nkey_id = \"{KEY_ID}\"\nteam_id = \"{TEAM_ID}\"\n\
         topic = \"{APP}\"\nca_file = \"fakes/fakes-ca.pem\"\n\n\
         [channels.email]\nhost = \"{}\"\nport = {}\ntls = \"none\"\nfrom = \"Carillon Demo <notifications@example.org>\"\n",
        relay.ip(),
        relay.port()
    )
}

/// Its endpoints are those that browsers name, so only what may be reached is set.
const OF_BROWSERS: &str = "\n[channels.webpush]\nsubject = \"mailto:operations@example.org\"\nallow_private_endpoints = true\n\
                           ca_file = \"fakes/fakes-ca.pem\"\n";

fn of_google(google: &google::Running) -> String {
    let files = "service_account_file = \"fakes/fake-google-account.json\"\nca_file = \"fakes/fakes-ca.pem\"";
    format!("\n[channels.fcm]\nendpoint = \"{}\"\n{files}\n", google.endpoint())
}

fn of_microsoft(microsoft: &microsoft::Running, client_id: &str) -> String {
    let (endpoint, tokens) = (microsoft.endpoint(), microsoft.token_endpoint());
    let files = "secret_file = \"fakes/fake-microsoft-secret\"\nca_file = \"fakes/fakes-ca.pem\"";
    format!("\n[channels.wns]\nendpoint_override = \"{endpoint}\"\ntoken_endpoint = \"{tokens}\"\nclient_id = \"{client_id}\"\n{files}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    #[tokio::test]
    async fn the_written_configuration_is_accepted_and_names_only_this_machine() {
        let folder = std::env::temp_dir().join(format!("carillon-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let providers = Providers::start(&folder).await.expect("fakes");
        let config = Config::load(Some(&providers.config_file), [], &Overrides::default()).expect("a configuration");
        let apns = config.channels.apns.expect("apns");
        assert_eq!((apns.endpoint.as_str(), apns.sandbox_endpoint.as_str()), (providers.apple.endpoint().as_str(), apns.endpoint.as_str()));
        assert_eq!(config.channels.email.expect("email").host, "127.0.0.1");
        assert!(config.channels.webpush.expect("webpush").allow_private_endpoints);
        let sample = super::super::organization::FILES[4].1;
        let subscribed = providers.subscribed(sample);
        assert!(sample.contains(SAMPLE_PUSH_SERVICE) && !subscribed.contains(SAMPLE_PUSH_SERVICE), "no browser's service but the fake");
        assert_eq!(subscribed.lines().count(), sample.lines().count());
        assert!(subscribed.contains(&format!("webpush,,production,,{},B", providers.push.endpoint(GONE_BROWSER))));
        assert_eq!(config.channels.fcm.expect("fcm").endpoint, providers.google.endpoint());
        assert_eq!(config.channels.wns.expect("wns").endpoint_override, Some(providers.microsoft.endpoint()));
        assert!(
            providers
                .listed()
                .iter()
                .all(|(name, address, log)| name.starts_with("fake ") && address.contains("127.0.0.1") && log.contains("127.0.0.1"))
        );
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
