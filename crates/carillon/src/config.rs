//! The configuration of a server: where it listens, where it keeps things, which providers it may use, which other systems
//! may speak to it.
//!
//! In: a TOML file, the environment (`CARILLON__SECTION__KEY`) and the options of `carillon serve`, in rising order of
//! precedence. Out: a [`Config`] that can be trusted, or every fault at once, each with the place where it was written.
//! What people may change while the server runs (switches, limits, retention) is not here but in the settings API.

mod build;
mod files;
mod lists;
mod read;
mod schema;
mod smtp_in;
#[cfg(test)]
mod tests;

pub use integrations::asterisk::Settings as AsteriskConfig;
pub use read::Overrides;
pub use smtp_in::SmtpIn;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use store::transfer::Database;

/// The default file, complete and commented; what `carillon config print-default` prints.
pub const DEFAULT_TEXT: &str = include_str!("config.default.toml");

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where and as whom the server runs.
    pub server: Server,
    /// The store: a SQLite file, or a PostgreSQL database.
    pub database: Database,
    /// Where keys are kept.
    pub keys: Keys,
    /// What is logged, and how.
    pub log: Log,
    /// Where the audit goes as it grows, if anywhere.
    pub audit_syslog: Option<Syslog>,
    /// Which providers may be used.
    pub channels: Channels,
    /// In whose protocols other systems may speak to the server.
    pub integrations: Integrations,
    /// What was accepted but does nothing in this build, in sentences.
    pub warnings: Vec<String>,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Address and port; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The folder of everything that the server keeps.
    pub data: PathBuf,
    /// The organization's name, as mails show it.
    pub organization: String,
    /// The certificate of the listener; without one it speaks plain HTTP.
    pub tls: Option<ServerTls>,
    /// The URL by which people reach the server, when it is not the address that it listens on.
    pub public_url: Option<String>,
    /// What strangers may take of it.
    pub limits: web::Limits,
}

/// `[server.tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The certificate and what leads from it to a root (PEM), the server's own first.
    pub cert_file: PathBuf,
    /// Its private key (PEM).
    pub key_file: PathBuf,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A filter of `tracing`, such as `info,channels=debug`.
    pub level: String,
    /// How a line is written; `None`: in JSON where `--json` is given, else as text.
    pub format: Option<LogFormat>,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[keys]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Keys {
    /// The key that encrypts provider secrets and private texts at rest; made at the first start.
    pub at_rest_file: PathBuf,
    /// The key pair to which browsers' subscriptions are bound (VAPID, RFC 8292); PEM.
    pub vapid_file: PathBuf,
    /// The key that signs heads of the audit (Ed25519, PKCS #8); PEM.
    pub audit_file: PathBuf,
}

/// Where entries of the audit are sent as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// Over TCP; else over UDP.
    pub tcp: bool,
    /// `host:port`.
    pub address: String,
}

impl Syslog {
    /// Reads `tcp://host:port` or `udp://host:port`.
    pub fn parse(text: &str) -> Option<Syslog> {
        let (scheme, address) = text.split_once("://")?;
        let tcp = match scheme {
            "tcp" => true,
            "udp" => false,
            _ => return None,
        };
        let (host, port) = address.rsplit_once(':')?;
        let fine = !host.is_empty() && !host.contains(['/', '@']) && port.parse::<u16>().is_ok_and(|port| port > 0);
        fine.then(|| Syslog { tcp, address: address.to_owned() })
    }
}

/// `[channels.*]` of this build. A channel without a section is not configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channels {
    /// Apple Push Notification service.
    pub apns: Option<Apns>,
    /// Firebase Cloud Messaging.
    pub fcm: Option<Fcm>,
    /// Windows Push Notification Services.
    pub wns: Option<Wns>,
    /// Browsers, through the push services that they chose.
    pub webpush: Option<WebPush>,
    /// Mail through a relay.
    pub email: Option<Email>,
}

/// `[channels.apns]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Apns {
    /// Base URL for production registrations.
    pub endpoint: String,
    /// Base URL for sandbox registrations.
    pub sandbox_endpoint: String,
    /// The `.p8` signing key (PKCS #8, P-256).
    pub key_file: PathBuf,
    /// The key's id, `kid` of the token.
    pub key_id: String,
    /// The team's id, `iss` of the token.
    pub team_id: String,
    /// The app's bundle id, for registrations that name no app.
    pub topic: String,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// HTTP/2 connections to the endpoint.
    pub connections: u32,
    /// Most requests under way on one connection; the peer may allow fewer.
    pub streams: u32,
}

/// `[channels.webpush]`. Its key pair is made at the first start.
#[derive(Clone, Debug, PartialEq)]
pub struct WebPush {
    /// Whom a push service may write to: `mailto:…` or `https://…`.
    pub subject: String,
    /// Whether endpoints may lie in private networks and on this machine.
    pub allow_private_endpoints: bool,
    /// Certificates (PEM) to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// `[channels.fcm]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fcm {
    /// Base URL.
    pub endpoint: String,
    /// The service account's JSON file, as Google's console gives it.
    pub service_account_file: PathBuf,
    /// Certificates (PEM) to trust instead of the system's, here and where access tokens come from.
    pub ca_file: Option<PathBuf>,
    /// HTTP/2 connections to the endpoint.
    pub connections: u32,
    /// Most requests under way on one connection; the peer may allow fewer.
    pub streams: u32,
}

/// `[channels.wns]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Wns {
    /// Where everything goes instead of the hosts that channel URLs name.
    pub endpoint_override: Option<String>,
    /// Where access tokens come from; the tenant is part of it.
    pub token_endpoint: String,
    /// The Entra application's id.
    pub client_id: String,
    /// File whose first line is its secret.
    pub secret_file: PathBuf,
    /// Certificates (PEM) to trust instead of the system's, at both.
    pub ca_file: Option<PathBuf>,
    /// Most requests under way at once, each on a connection of its own.
    pub connections: u32,
}

/// `[channels.email]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Email {
    /// The relay's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: EmailTls,
    /// Name to sign in with; together with `password_file`.
    pub username: Option<String>,
    /// File whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Sender: an address, or `Name <address>`.
    pub from: String,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Connections to the relay.
    pub connections: u32,
    /// Most mails a second; 0 sets no pace.
    pub per_second: u32,
    /// With which key mails are signed, if they are.
    pub dkim: Option<Dkim>,
}

/// The keys `dkim_…` of `[channels.email]`: all or none.
#[derive(Clone, Debug, PartialEq)]
pub struct Dkim {
    /// The domain that signs.
    pub domain: String,
    /// Under which name it publishes the key.
    pub selector: String,
    /// The private key (PEM, RSA or Ed25519).
    pub key_file: PathBuf,
}

/// `[integrations.*]` of this build.
#[derive(Clone, Debug, PartialEq)]
pub struct Integrations {
    /// Whether Microsoft Graph's calls for custom notifications are answered, under `/beta`.
    pub graph: bool,
    /// Asterisks whose calls are heard, each with a name of its own.
    pub asterisk: Vec<AsteriskConfig>,
    /// Where telephone systems may send their voice-mail mails, if anywhere.
    pub smtp_in: Option<SmtpIn>,
}

/// How a connection to a relay is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailTls {
    /// Not at all.
    None,
    /// Plain at first, then STARTTLS, or no mail goes (RFC 3207).
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
}

/// Everything that is wrong with a configuration, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Faults {}

impl Config {
    /// Reads the file (if any), the environment and the overrides, and looks into the files that they name.
    ///
    /// Relative paths count from the folder of the file in which they stand, else from the working folder.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &Overrides,
    ) -> Result<Config, Faults> {
        let text = match file {
            None => None,
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => Some((path, text)),
                Err(e) => {
                    return Err(Faults(vec![format!("{}: cannot be read ({e}); name a readable file with --config", path.display())]));
                }
            },
        };
        let mut values = read::layers(text.as_ref().map(|(path, text)| (*path, text.as_str())), environment, overrides);
        values.faults.extend(files::faults(&values));
        build::config(values)
    }
}

/// The environment of this process, as far as it is text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
