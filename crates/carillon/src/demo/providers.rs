//! The fake providers of the demo, and the configuration that puts them in the place of real ones.

use super::organization::{APP, BAD_TOKEN, GONE_TOKEN, RETIRED_TOKEN};
use crate::cli::{Result, Trouble};
use fakes::{Authority, apple, relay};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const KEY_ID: &str = "DEMOKEY001";
const TEAM_ID: &str = "DEMOTEAM01";

/// Fakes that run until this is dropped.
pub struct Providers {
    apple: apple::Running,
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
            tls: Some(authority),
            key: Some(key),
            topics: vec![APP.to_owned()],
            tally_cells: 1 << 12,
            ..apple::Options::default()
        });
        let apple = apple.await.map_err(start)?;
        let relay = relay::start(relay::Options { control: Some(anywhere), tally_cells: 1 << 12, ..relay::Options::default() });
        let relay = relay.await.map_err(start)?;
        let files = folder.join("fakes");
        let config_file = folder.join("carillon.toml");
        let write = |path: &Path, text: &str| {
            std::fs::write(path, text).map_err(|e| Trouble::local(format!("{} cannot be written ({e})", path.display())))
        };
        std::fs::create_dir_all(&files).map_err(|e| Trouble::local(format!("{} cannot be made ({e})", files.display())))?;
        write(&files.join("fake-apple-key.p8"), &key_pem)?;
        write(&files.join("fake-apple-ca.pem"), &ca_pem)?;
        write(&config_file, &configuration(&apple.endpoint(), relay.addr))?;
        Ok(Providers { apple, relay, config_file })
    }

    /// From now on the fake Apple refuses three tokens, as Apple refuses those of lost and of foreign devices.
    pub fn refuse_some(&self, now_ms: i64) {
        self.apple.answer(RETIRED_TOKEN, Some(apple::Answer::gone(now_ms)));
        self.apple.answer(GONE_TOKEN, Some(apple::Answer::gone(now_ms)));
        self.apple.answer(BAD_TOKEN, Some(apple::Answer::refused(400, "BadDeviceToken")));
    }

    /// Forgets what arrived while the demo was being prepared.
    pub fn forget(&self) {
        self.apple.clear();
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
            ("fake mail relay (SMTP)", self.relay.addr.to_string(), log(self.relay.control)),
        ]
    }
}

fn control(address: Option<SocketAddr>) -> String {
    let address = address.expect("both fakes were started with a control page");
    format!("http://{address}")
}

fn configuration(apple: &str, relay: SocketAddr) -> String {
    format!(
        "# Written by `carillon demo`. The providers below are fakes on this machine.\n\n\
         [server]\norganization = \"Carillon Demo\"\nlog = \"error\"\n\n\
         [channels.apns]\nendpoint = \"{apple}\"\nkey_file = \"fakes/fake-apple-key.p8\"\nkey_id = \"{KEY_ID}\"\nteam_id = \"{TEAM_ID}\"\n\
         topic = \"{APP}\"\nca_file = \"fakes/fake-apple-ca.pem\"\n\n\
         [channels.email]\nhost = \"{}\"\nport = {}\ntls = \"none\"\nfrom = \"Carillon Demo <notifications@example.org>\"\n",
        relay.ip(),
        relay.port()
    )
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
        assert!(
            providers
                .listed()
                .iter()
                .all(|(name, address, log)| name.starts_with("fake ") && address.contains("127.0.0.1") && log.contains("127.0.0.1"))
        );
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
