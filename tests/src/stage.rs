//! A stage: the fakes of Apple and of a mail relay in this process, and a real server that is set up for them.

use crate::api::Api;
use crate::cable::Cable;
use crate::server::Server;
use fakes::apple::Key;
use fakes::{Authority, apple, relay};
use std::net::SocketAddr;
use std::sync::Arc;

/// The app's bundle id, for which the fake Apple takes pushes.
const TOPIC: &str = "org.example.carillon";

/// What is special about a stage, before it opens.
pub struct Scene {
    /// The fake Apple.
    pub apple: apple::Options,
    /// The fake relay.
    pub relay: relay::Options,
    /// Further lines of `[channels.apns]`.
    pub apns: String,
    /// Further lines of `[channels.email]`.
    pub email: String,
    /// Further sections.
    pub more: String,
    /// Further files beside the configuration: name and text.
    pub files: Vec<(&'static str, String)>,
    /// Whether the server reaches Apple and the relay by cables that can be broken.
    pub cabled: bool,
    /// Where the store is, when it is not in the data folder.
    pub database: Option<String>,
    /// The filter of the server's log.
    pub log: &'static str,
    /// The key that the server signs with, when it is not the one that the fake Apple knows.
    pub wrong_key: Option<Key>,
}

/// Fakes, server and a client of an owner.
pub struct Stage {
    /// The fake Apple.
    pub apple: apple::Running,
    /// The fake relay.
    pub relay: relay::Running,
    /// The ways to Apple and to the relay, where they are cables.
    pub cables: Vec<Cable>,
    /// The server.
    pub server: Server,
    /// The API as its first owner sees it.
    pub api: Api,
    /// The key that the fake Apple knows.
    pub key: Key,
    configuration: String,
}

impl Stage {
    /// The usual one.
    pub async fn open() -> Stage {
        Stage::with(|_| {}).await
    }

    /// One with something special.
    ///
    /// # Panics
    /// When the fakes or the server cannot start.
    pub async fn with(edit: impl FnOnce(&mut Scene)) -> Stage {
        let authority = Arc::new(Authority::generate().expect("the machine has randomness"));
        let key = Key::generate("STORYKEY01", "STORYTEAM1");
        let mut scene = Scene {
            apple: apple::Options {
                tls: Some(authority.clone()),
                key: Some(key.clone()),
                topics: vec![TOPIC.into()],
                record: 20_000,
                tally_cells: 1 << 16,
                ..apple::Options::default()
            },
            relay: relay::Options {
                tls: relay::Tls::Starttls,
                authority: Some(authority.clone()),
                login: Some(("carillon".into(), "secret-of-the-relay".into())),
                record: 20_000,
                tally_cells: 1 << 16,
                ..relay::Options::default()
            },
            apns: String::new(),
            email: String::new(),
            more: String::new(),
            files: Vec::new(),
            cabled: false,
            database: None,
            log: "info",
            wrong_key: None,
        };
        edit(&mut scene);
        let apple = apple::start(scene.apple).await.expect("the fake Apple starts");
        let relay = relay::start(scene.relay).await.expect("the fake relay starts");
        let mut cables = Vec::new();
        if scene.cabled {
            cables.extend([Cable::to(apple.addr).await, Cable::to(relay.addr).await]);
        }
        let way = |n: usize, to: SocketAddr| cables.get(n).map_or(to, |cable: &Cable| cable.addr);
        let (to_apple, to_relay) = (way(0, apple.addr), way(1, relay.addr));
        let mut server = Server::prepare("");
        server.folder().write("ca.pem", authority.pem());
        server.folder().write("relay-password", "secret-of-the-relay\n");
        for (name, text) in &scene.files {
            server.folder().write(name, text);
        }
        write_key(&server, scene.wrong_key.as_ref().unwrap_or(&key));
        let (log, apns, email, more) = (scene.log, scene.apns, scene.email, scene.more);
        let database = scene.database.map(|address| format!("database = \"{address}\"\n\n")).unwrap_or_default();
        let configuration = format!(
            "{database}[server]\norganization = \"Example Org\"\nlog = \"{log}\"\n\n\
             [channels.apns]\nendpoint = \"{}\"\nkey_file = \"key.p8\"\nkey_id = \"{}\"\nteam_id = \"{}\"\ntopic = \"{TOPIC}\"\nca_file = \"ca.pem\"\n{apns}\n\
             [channels.email]\nhost = \"{}\"\nport = {}\ntls = \"starttls\"\nusername = \"carillon\"\npassword_file = \"relay-password\"\n\
             from = \"Example Org <notifications@example.org>\"\nca_file = \"ca.pem\"\n{email}\n{more}\n",
            apple.endpoint().replace(&apple.addr.to_string(), &to_apple.to_string()),
            key.key_id,
            key.team_id,
            to_relay.ip(),
            to_relay.port(),
        );
        server.configure(&configuration);
        server.restart().await;
        let api = Api::new(&server.url(), &server.token());
        Stage { apple, relay, cables, server, api, key, configuration }
    }

    /// Another process on the same store, with the same keys: of the same work, or `only` these parts of it.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn another(&self, only: Option<&str>) -> (Server, Api) {
        self.another_by(|_| {}, only).await
    }

    /// The same, when `edit` has changed what it is configured with: another way to the store, say.
    ///
    /// # Panics
    /// As [`Stage::another`].
    pub async fn another_by(&self, edit: impl FnOnce(&mut String), only: Option<&str>) -> (Server, Api) {
        let mut server = Server::prepare("");
        for name in ["ca.pem", "relay-password", "key.p8"] {
            let text = std::fs::read_to_string(self.server.folder().path().join(name)).expect("the first server's files are there");
            server.folder().write(name, &text);
        }
        let keys = self.server.data().join("keys");
        let mut configuration = format!(
            "{}\n[keys]\nat_rest_file = {:?}\nvapid_file = {:?}\naudit_file = {:?}\n",
            self.configuration,
            keys.join("at-rest.key"),
            keys.join("vapid.pem"),
            keys.join("audit.pem"),
        );
        edit(&mut configuration);
        server.configure(&configuration);
        if let Some(only) = only {
            server.only(only);
        }
        server.restart().await;
        let api = Api::new(&server.url(), &self.server.token());
        (server, api)
    }

    /// What its server is configured with, less the database.
    pub fn configuration(&self) -> &str {
        &self.configuration
    }

    /// Gives the server the key that the fake Apple knows; it holds from the next start on.
    pub fn mend_key(&self) {
        write_key(&self.server, &self.key);
    }
}

fn write_key(server: &Server, key: &Key) {
    server.folder().write("key.p8", key.pem());
}
