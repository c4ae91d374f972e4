//! From values to a [`Config`]: defaults, completeness, and whether each value makes sense. Collects every fault.

use super::read::{Given, Scalar, Values, place};
use super::schema::{SECTIONS, section};
use super::{
    Apns, Channels, Config, Dkim, Email, EmailTls, Faults, Fcm, Integrations, Keys, Log, LogFormat, Server, ServerTls, Syslog, WebPush, Wns,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use store::transfer::Database;

/// Apple's service for production registrations.
pub(super) const APPLE: &str = "https://api.push.apple.com";
/// Apple's service for sandbox registrations.
pub(super) const APPLE_SANDBOX: &str = "https://api.sandbox.push.apple.com";
/// Where a server listens that is told nothing: only this machine reaches it.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8480);
const DATA: &str = "./carillon-data";
const ORGANIZATION: &str = "Our organization";
const LOG: &str = "info";
/// More than one, so that one drains at a GOAWAY while the others carry on; four fill two processors (docs/performance.md).
const APNS_CONNECTIONS: u32 = 4;
/// What Apple has allowed on one connection for years; its SETTINGS say the truth.
const APNS_STREAMS: u32 = 1000;
const EMAIL_CONNECTIONS: u32 = 4;
/// Google's service.
pub(super) const GOOGLE: &str = "https://fcm.googleapis.com";
const FCM_CONNECTIONS: u32 = 2;
/// What Google allows on one connection is in its SETTINGS; a hundred is usual.
const FCM_STREAMS: u32 = 1000;
/// One request at a time on each: this bounds what Microsoft is asked at once.
const WNS_CONNECTIONS: u32 = 32;

pub(super) fn config(values: Values) -> Result<Config, Faults> {
    let mut desk = Desk(values);
    desk.complete();
    let server = desk.server();
    let log = desk.log();
    let database = desk.database(&server.data);
    let vapid_file = desk.path("keys", "vapid_file").unwrap_or_else(|| server.data.join("keys").join("vapid.pem"));
    let audit_file = desk.path("keys", "audit_file").unwrap_or_else(|| server.data.join("keys").join("audit.pem"));
    let audit_syslog = desk.syslog();
    let at_rest_file = desk.path("keys", "at_rest_file").unwrap_or_else(|| server.data.join("keys").join("at-rest.key"));
    let channels = Channels { apns: desk.apns(), fcm: desk.fcm(), wns: desk.wns(), webpush: desk.webpush(), email: desk.email() };
    let asterisk = super::lists::asterisk(&mut desk.0);
    let integrations = Integrations { graph: desk.flag("integrations.graph", "enabled", true), asterisk, smtp_in: desk.smtp_in() };
    let Desk(values) = desk;
    if values.faults.is_empty() {
        Ok(Config {
            server,
            database,
            keys: Keys { at_rest_file, vapid_file, audit_file },
            log,
            audit_syslog,
            channels,
            integrations,
            warnings: values.warnings,
        })
    } else {
        Err(Faults(values.faults))
    }
}

/// The values while they are taken off one by one. After a fault a default stands in, so that the next one is found too.
pub(super) struct Desk(pub(super) Values);

impl Desk {
    fn complete(&mut self) {
        for known in SECTIONS {
            let Some(origin) = self.0.present.get(known.name).cloned() else { continue };
            for key in known.keys.iter().filter(|k| k.required) {
                if !self.0.given.contains_key(&(known.name, key.name)) {
                    let missing = place(known.name, key.name);
                    self.0.faults.push(format!("{origin}: {missing} is missing; add {} = {:?}", key.name, key.example));
                }
            }
        }
    }

    pub(super) fn fault(&mut self, given: &Given, section: &str, key: &str, rule: impl std::fmt::Display) {
        let origin = &given.origin;
        let fault = if origin.starts_with("CARILLON__") || origin.starts_with("--") {
            format!("{origin}: {rule}")
        } else {
            format!("{origin}: {}: {rule}", place(section, key))
        };
        self.0.faults.push(fault);
    }

    pub(super) fn given(&self, section: &'static str, key: &'static str) -> Option<(Given, String)> {
        let given = self.0.given.get(&(section, key))?.clone();
        match &given.value {
            Scalar::Text(text) => Some((given.clone(), text.clone())),
            Scalar::Number(_) | Scalar::Flag(_) => None,
        }
    }

    pub(super) fn text(&self, section: &'static str, key: &'static str) -> Option<String> {
        self.given(section, key).map(|(_, text)| text)
    }

    fn path(&self, section: &'static str, key: &'static str) -> Option<PathBuf> {
        self.text(section, key).map(PathBuf::from)
    }

    pub(super) fn number(&self, section: &'static str, key: &'static str) -> Option<u32> {
        match self.0.given.get(&(section, key))?.value {
            Scalar::Number(n) => u32::try_from(n).ok(),
            Scalar::Text(_) | Scalar::Flag(_) => None,
        }
    }

    fn flag(&self, section: &'static str, key: &'static str, default: bool) -> bool {
        self.0.given.get(&(section, key)).map_or(default, |given| given.value == Scalar::Flag(true))
    }

    fn server(&mut self) -> Server {
        let mut listen = LISTEN;
        if let Some((given, text)) = self.given("server", "listen") {
            match text.parse() {
                Ok(address) => listen = address,
                Err(_) => {
                    self.fault(&given, "server", "listen", format_args!("{text:?} is not an address and port such as 127.0.0.1:8480"))
                }
            }
        }
        if let Some((given, text)) = self.given("server", "organization")
            && let Err(rule) = model::directory::check_name(&text)
        {
            self.fault(&given, "server", "organization", rule);
        }
        let public_url = self.url("server", "public_url");
        let limits = self.limits();
        Server {
            listen,
            data: self.path("server", "data").unwrap_or_else(|| DATA.into()),
            organization: self.text("server", "organization").unwrap_or_else(|| ORGANIZATION.into()),
            public_url,
            tls: self.tls(),
            limits,
        }
    }

    fn limits(&mut self) -> web::Limits {
        const AT: &str = "server";
        let usual = web::Limits::default();
        let mut trusted = usual.trusted;
        if let Some((given, text)) = self.given(AT, "trusted_proxies") {
            let named: Result<_, String> = match text.as_str() {
                "none" => Ok(Vec::new()),
                list => list.split(',').map(str::parse).collect(),
            };
            match named {
                Ok(named) => trusted = named,
                Err(rule) => self.fault(&given, AT, "trusted_proxies", format_args!("{rule}; separate several with commas, or write none")),
            }
        }
        let size = |n: Option<u32>, usual: usize| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(usual);
        let time = |n: Option<u32>, usual: Duration| n.map_or(usual, |n| Duration::from_secs(n.into()));
        web::Limits {
            connections: size(self.number(AT, "connections"), usual.connections),
            connections_per_address: size(self.number(AT, "connections_per_address"), usual.connections_per_address),
            head: time(self.number(AT, "head_seconds"), usual.head),
            body: time(self.number(AT, "body_seconds"), usual.body),
            requests_per_second: self.number(AT, "requests_per_second").unwrap_or(usual.requests_per_second),
            failures_per_minute: self.number(AT, "failures_per_minute").unwrap_or(usual.failures_per_minute),
            trusted,
        }
    }

    /// The certificate and its key, which have to belong together.
    fn tls(&mut self) -> Option<ServerTls> {
        const AT: &str = "server.tls";
        let origin = self.0.present.get(AT)?.clone();
        let files = ServerTls { cert_file: self.path(AT, "cert_file")?, key_file: self.path(AT, "key_file")? };
        // What is wrong with one file alone was said when it was looked at.
        if self.0.faults.is_empty()
            && files.cert_file.exists()
            && let Err(why) = crate::tls::read(&files).and_then(|pair| pair.start())
        {
            self.0.faults.push(format!("{origin}: [{AT}]: {why}"));
        }
        Some(files)
    }

    fn log(&mut self) -> Log {
        // [server] log is the older place of [log] level.
        let mut level = LOG.to_owned();
        for (section, key) in [("server", "log"), ("log", "level")] {
            let Some((given, text)) = self.given(section, key) else { continue };
            if let Err(e) = tracing_subscriber::EnvFilter::try_new(&text) {
                self.fault(&given, section, key, format_args!("{text:?} is not a filter such as info,channels=debug ({e})"));
            }
            level = text;
        }
        let format = self.text("log", "format").map(|word| if word == "json" { LogFormat::Json } else { LogFormat::Text });
        Log { level, format }
    }

    fn database(&mut self, data: &std::path::Path) -> Database {
        let default = Database::Sqlite(data.join("carillon.db"));
        let Some((given, text)) = self.given("", "database") else { return default };
        let (kind, rest) = text.split_once(':').unwrap_or((text.as_str(), ""));
        match kind {
            "sqlite" if !rest.trim_start_matches("//").is_empty() => Database::Sqlite(rest.strip_prefix("//").unwrap_or(rest).into()),
            "postgres" | "postgresql" => Database::parse(&text).unwrap_or_else(|rule| {
                self.fault(&given, "", "database", rule);
                default
            }),
            _ => {
                let rule = "is not a store; use \"sqlite:PATH\" or \"postgres://user:password@host/database\", or leave the key out for a file in the data folder";
                // Only the word before the colon is shown: the rest of a URL may hold a password.
                self.fault(&given, "", "database", format_args!("{kind:?} {rule}"));
                default
            }
        }
    }

    /// Where the audit goes as it grows.
    fn syslog(&mut self) -> Option<Syslog> {
        let (given, text) = self.given("audit", "syslog")?;
        let syslog = Syslog::parse(&text);
        if syslog.is_none() {
            self.fault(
                &given,
                "audit",
                "syslog",
                format_args!("{text:?} is not tcp:// or udp:// with a host and a port, such as tcp://127.0.0.1:601"),
            );
        }
        syslog
    }

    /// An absolute URL, without a slash at its end.
    fn url(&mut self, section: &'static str, key: &'static str) -> Option<String> {
        let (given, text) = self.given(section, key)?;
        let plain = |url: &reqwest::Url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let url = reqwest::Url::parse(&text).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.host_str().is_some() && plain(u));
        let Some(url) = url else {
            let example = section_example(section, key);
            self.fault(&given, section, key, format_args!("{text:?} is not a URL such as {example}"));
            return None;
        };
        if section.starts_with("channels.") && url.scheme() == "http" && !is_here(url.host_str().unwrap_or("")) {
            self.fault(
                &given,
                section,
                key,
                format_args!("{text:?} would send tokens in clear; use https (http is for this machine only)"),
            );
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    fn apns(&mut self) -> Option<Apns> {
        const AT: &str = "channels.apns";
        self.0.present.get(AT)?;
        let endpoint = self.url(AT, "endpoint");
        let sandbox = self.url(AT, "sandbox_endpoint");
        for key in ["key_id", "team_id"] {
            let Some((given, text)) = self.given(AT, key) else { continue };
            if !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
                self.fault(
                    &given,
                    AT,
                    key,
                    format_args!("{text:?} is not an id of letters and digits, as Apple's developer account shows it"),
                );
            }
        }
        if let Some((given, text)) = self.given(AT, "topic")
            && !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        {
            self.fault(&given, AT, "topic", format_args!("{text:?} is not a bundle id such as org.example.app"));
        }
        // Whoever puts another host in Apple's place must not find sandbox tokens at Apple.
        let sandbox_endpoint = sandbox.or_else(|| endpoint.clone().filter(|e| e != APPLE)).unwrap_or_else(|| APPLE_SANDBOX.into());
        Some(Apns {
            endpoint: endpoint.unwrap_or_else(|| APPLE.into()),
            sandbox_endpoint,
            key_file: self.path(AT, "key_file")?,
            key_id: self.text(AT, "key_id")?,
            team_id: self.text(AT, "team_id")?,
            topic: self.text(AT, "topic")?,
            ca_file: self.path(AT, "ca_file"),
            connections: self.number(AT, "connections").unwrap_or(APNS_CONNECTIONS),
            streams: self.number(AT, "streams").unwrap_or(APNS_STREAMS),
        })
    }

    fn webpush(&mut self) -> Option<WebPush> {
        const AT: &str = "channels.webpush";
        self.0.present.get(AT)?;
        if let Some((given, text)) = self.given(AT, "subject")
            && !is_contact(&text)
        {
            let rule = "is not a contact such as mailto:operations@example.org or https://example.org/contact";
            self.fault(&given, AT, "subject", format_args!("{text:?} {rule}"));
        }
        Some(WebPush {
            subject: self.text(AT, "subject")?,
            allow_private_endpoints: self.flag(AT, "allow_private_endpoints", false),
            ca_file: self.path(AT, "ca_file"),
        })
    }

    fn fcm(&mut self) -> Option<Fcm> {
        const AT: &str = "channels.fcm";
        self.0.present.get(AT)?;
        Some(Fcm {
            endpoint: self.url(AT, "endpoint").unwrap_or_else(|| GOOGLE.into()),
            service_account_file: self.path(AT, "service_account_file")?,
            ca_file: self.path(AT, "ca_file"),
            connections: self.number(AT, "connections").unwrap_or(FCM_CONNECTIONS),
            streams: self.number(AT, "streams").unwrap_or(FCM_STREAMS),
        })
    }

    fn wns(&mut self) -> Option<Wns> {
        const AT: &str = "channels.wns";
        self.0.present.get(AT)?;
        let (endpoint_override, token_endpoint) = (self.url(AT, "endpoint_override"), self.url(AT, "token_endpoint"));
        Some(Wns {
            endpoint_override,
            token_endpoint: token_endpoint?,
            client_id: self.text(AT, "client_id")?,
            secret_file: self.path(AT, "secret_file")?,
            ca_file: self.path(AT, "ca_file"),
            connections: self.number(AT, "connections").unwrap_or(WNS_CONNECTIONS),
        })
    }

    fn email(&mut self) -> Option<Email> {
        const AT: &str = "channels.email";
        let origin = self.0.present.get(AT)?.clone();
        let tls = match self.text(AT, "tls").as_deref() {
            Some("none") => EmailTls::None,
            Some("implicit") => EmailTls::Implicit,
            _ => EmailTls::Starttls,
        };
        let port = self.number(AT, "port").and_then(|p| u16::try_from(p).ok());
        if let Some((given, text)) = self.given(AT, "from") {
            let address = text.rsplit_once('<').map_or(text.as_str(), |(_, rest)| rest.trim_end_matches('>'));
            if model::directory::check_email(address).is_err() {
                let rule = format!("{text:?} is not a sender such as notifications@example.org or Example Org <notifications@example.org>");
                self.fault(&given, AT, "from", rule);
            }
        }
        let (username, password_file) = (self.text(AT, "username"), self.path(AT, "password_file"));
        match (&username, &password_file) {
            (Some(_), None) => {
                self.0.faults.push(format!("{origin}: [{AT}] password_file is missing; username and password_file go together"))
            }
            (None, Some(_)) => self.0.faults.push(format!("{origin}: [{AT}] username is missing; username and password_file go together")),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let dkim = self.dkim(&origin);
        let host = self.text(AT, "host");
        if tls == EmailTls::None && username.is_some() && !host.as_deref().is_some_and(is_here) {
            let rule = "tls = \"none\" would send the password readable to everybody on the way; use starttls or implicit";
            self.0.faults.push(format!("{origin}: [{AT}] {rule}"));
        }
        Some(Email {
            host: host?,
            port: port.unwrap_or(tls.usual_port()),
            tls,
            username,
            password_file,
            from: self.text(AT, "from")?,
            ca_file: self.path(AT, "ca_file"),
            connections: self.number(AT, "connections").unwrap_or(EMAIL_CONNECTIONS),
            per_second: self.number(AT, "per_second").unwrap_or(0),
            dkim,
        })
    }

    /// With which key mails are signed: three keys, all or none.
    fn dkim(&mut self, origin: &str) -> Option<Dkim> {
        const AT: &str = "channels.email";
        const KEYS: [&str; 3] = ["dkim_domain", "dkim_selector", "dkim_key_file"];
        let values = KEYS.map(|key| self.given(AT, key));
        if values.iter().all(Option::is_none) {
            return None;
        }
        for (key, _) in KEYS.iter().zip(&values).filter(|(_, value)| value.is_none()) {
            let rule = "dkim_domain, dkim_selector and dkim_key_file go together";
            self.0.faults.push(format!("{origin}: [{AT}] {key} is missing; {rule}"));
        }
        let [Some((domain_given, domain)), Some((selector_given, selector)), Some((_, key_file))] = values else { return None };
        if let Err(wrong) = channels::DkimSettings::check_names(&domain, &selector) {
            let (given, key) =
                if wrong.setting.ends_with("domain") { (&domain_given, "dkim_domain") } else { (&selector_given, "dkim_selector") };
            self.fault(given, AT, key, format_args!("{}; {}", wrong.rule, wrong.mend));
        }
        Some(Dkim { domain, selector, key_file: key_file.into() })
    }
}

impl EmailTls {
    /// The port that goes with it (RFC 5321 §4.5.4.2, RFC 6409 §3.1, RFC 8314 §3.3).
    pub fn usual_port(self) -> u16 {
        match self {
            EmailTls::None => 25,
            EmailTls::Starttls => 587,
            EmailTls::Implicit => 465,
        }
    }
}

/// A contact as RFC 8292 §2.1 wants it, for push services to write to.
fn is_contact(text: &str) -> bool {
    match text.strip_prefix("mailto:") {
        Some(address) => model::directory::check_email(address).is_ok(),
        None => reqwest::Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.host_str().is_some()),
    }
}

/// Whether a host is this machine: only there may secrets travel in clear.
fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn section_example(name: &str, key: &str) -> &'static str {
    section(name).and_then(|s| s.keys.iter().find(|k| k.name == key)).map_or("", |k| k.example)
}
