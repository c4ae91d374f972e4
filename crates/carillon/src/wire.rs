//! Puts the rooms together: opens the store, makes keys on the first start, builds the channels that are configured,
//! starts the engine, serves the API, and takes everything down in order.

use crate::cli::Part;
use crate::config::{Apns, Config, Email, EmailTls, Fcm, WebPush, Wns};
use anyhow::{Context, bail};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use channels::{
    ApnsChannel, ApnsSettings, EmailChannel, EmailSettings, FcmChannel, FcmSettings, WebPushChannel, WebPushSettings, WnsChannel,
    WnsSettings, vapid_public_key,
};
use engine::keys::Keys;
use engine::{Engine, Parts};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use model::{Channel, Clock, Timestamp};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use store::postgres::{Postgres, Time};
use store::sqlite::Sqlite;
use store::transfer::Database;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long requests and deliveries that are under way may take after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(20);
/// How often samples of histograms are folded.
const UPKEEP: Duration = Duration::from_secs(5);

/// How to serve.
pub struct ServeOptions {
    /// Print what was made and where the server listens.
    pub announce: bool,
    /// Only these parts of the work; empty: all.
    pub only: Vec<Part>,
    /// Ends the server when cancelled.
    pub stop: CancellationToken,
    /// Told once the server listens.
    pub ready: Option<oneshot::Sender<Ready>>,
}

/// A server that listens.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where people reach it.
    pub url: String,
    /// The file that holds the owner's token.
    pub token_file: PathBuf,
    /// Whether the organization was made just now.
    pub first_start: bool,
}

/// The machine's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The store of this server.
enum Opened {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Opened {
    async fn open(config: &Config, clock: Arc<dyn Clock>) -> store::Result<Opened> {
        match &config.database {
            Database::Sqlite(file) => Ok(Opened::Sqlite(Sqlite::open(file, clock).await?)),
            Database::Postgres(address) => {
                let scratch = config.server.data.join("scratch");
                Ok(Opened::Postgres(Postgres::open(address.clone(), Time::Database(clock), scratch).await?))
            }
        }
    }

    fn shared(&self) -> store::Shared {
        match self {
            Opened::Sqlite(store) => Arc::new(store.clone()),
            Opened::Postgres(store) => Arc::new(store.clone()),
        }
    }

    /// A store that other servers filled was sealed with their key: a new one, made here, could not read it.
    async fn must_have_its_key(&self, at_rest_file: &Path) -> anyhow::Result<()> {
        if let Opened::Postgres(store) = self
            && !at_rest_file.exists()
            && !store.is_empty().await.map_err(|e| anyhow::anyhow!("{e}"))?
        {
            bail!(
                "keys.at_rest_file: {} does not exist, and the store was sealed with the key of the server that made it; copy that file here",
                at_rest_file.display()
            );
        }
        Ok(())
    }

    async fn close(&self) -> store::Result<()> {
        match self {
            Opened::Sqlite(store) => store.close().await,
            Opened::Postgres(store) => {
                store.close();
                Ok(())
            }
        }
    }
}

/// Serves until stopped.
///
/// # Errors
/// Whatever keeps the server from starting, in a sentence with the thing and the mend.
pub async fn serve(config: Config, options: ServeOptions) -> anyhow::Result<()> {
    let data = config.server.data.clone();
    folder(&data)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The embedded store locks the folder itself.
    let shared = matches!(config.database, Database::Postgres(_));
    let _lock = shared.then(|| store::folder::lock(&data)).transpose().map_err(|e| anyhow::anyhow!("{e}"))?;
    let store = Opened::open(&config, clock.clone()).await.map_err(|e| anyhow::anyhow!("{e}"))?;
    store.must_have_its_key(&config.keys.at_rest_file).await?;
    let (at_rest, at_rest_made) = at_rest_key(&config.keys.at_rest_file)?;
    let vapid_file = config.keys.vapid_file.clone();
    let vapid_made = vapid_key(&vapid_file)?;
    let vapid = read(&vapid_file, "keys.vapid_file")?;
    let web_push_key = vapid_public_key(&vapid).map_err(|e| anyhow::anyhow!("{}: {e}", vapid_file.display()))?;
    let audit = audit_key(&config.keys.audit_file)?;
    let (node, predecessor) = name_of_this_process(&data)?;
    let parts = Parts {
        store: store.shared(),
        channels: channels(&config, vapid)?,
        sources: sources::all(),
        clock,
        keys: Keys::new(vec![at_rest])
            .signing(&audit)
            .map_err(|rule| anyhow::anyhow!("keys.audit_file: {} {rule}", config.keys.audit_file.display()))?,
        organization: config.server.organization.clone(),
        scratch: data.join("scratch"),
        duties: duties(&options.only),
        node,
        predecessor,
    };
    folder(&parts.scratch)?;
    let metrics = metrics();
    tokio::spawn(keep_up(metrics.clone(), options.stop.clone()));
    let (engine, fresh) = Engine::start(parts).await.map_err(|e| anyhow::anyhow!("{e}"))?;
    if let Some(syslog) = config.audit_syslog.clone() {
        tokio::spawn(crate::syslog::run(engine.clone(), syslog, options.stop.clone()));
    }
    let token_file = data.join("bootstrap-token");
    // The token is made by the first start that gets this far; a start that was cut off in between is made good.
    let api = does(&options.only, Part::Api);
    let token_made = api && !token_file.exists();
    if token_made {
        let token = engine.create_owner_token("bootstrap").await.map_err(|e| anyhow::anyhow!("{e}"))?;
        private_file(&token_file, format!("{token}\n").as_bytes())?;
    }
    let listener = tokio::net::TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}; is something else there? choose another with --listen", config.server.listen))?;
    let url = format!("http://{}", listener.local_addr()?);
    std::fs::write(data.join("address"), format!("{url}\n")).context("cannot write the address file")?;
    if options.announce {
        let vapid = vapid_made.then(|| web_push_key.clone());
        let made = Made { fresh, token: token_made, at_rest: at_rest_made, vapid };
        announce(&config, &url, &token_file, &vapid_file, &made);
    }
    let public_url = config.server.public_url.clone().unwrap_or_else(|| url.clone());
    if let Some(ready) = options.ready {
        // Whoever asked may have gone; the server serves all the same.
        let _ = ready.send(Ready { url, token_file, first_start: fresh });
    }
    let extras = web::Extras {
        metrics: Box::new(move || metrics.render()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        public_url,
        web_push_key,
        api,
    };
    let served = web::serve(listener, web::router(engine.clone(), extras), options.stop.clone(), DRAIN).await;
    if !engine.stop(DRAIN).await {
        tracing::warn!("some deliveries were still under way at the end; they go on at the next start");
    }
    let closed = store.close().await;
    served.context("the server failed")?;
    closed.map_err(|e| anyhow::anyhow!("{e}"))
}

/// A fresh name among the processes of the store, and that of the process which had the data folder before. It has ended, for
/// the folder is locked.
fn name_of_this_process(data: &Path) -> anyhow::Result<(Uuid, Option<Uuid>)> {
    let file = data.join("node");
    let before = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    let node = Uuid::new_v4();
    std::fs::write(&file, format!("{node}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    Ok((node, before))
}

fn does(only: &[Part], part: Part) -> bool {
    only.is_empty() || only.contains(&part)
}

fn duties(only: &[Part]) -> engine::Duties {
    engine::Duties { dispatch: does(only, Part::Dispatch), deliver: does(only, Part::Deliver), timers: does(only, Part::Timers) }
}

struct Made {
    fresh: bool,
    token: bool,
    at_rest: bool,
    /// The public key of a VAPID key pair that was made just now.
    vapid: Option<String>,
}

fn announce(config: &Config, url: &str, token_file: &Path, vapid_file: &Path, made: &Made) {
    if made.fresh {
        println!("First start of {:?}. Made:", config.server.organization);
        println!("  the organization and its owner");
    }
    if made.token {
        println!("  the owner's token      {} (mode 0600)", token_file.display());
    }
    if made.at_rest {
        println!(
            "  the at-rest key        {} (mode 0600; keep it outside the data folder in production, and back it up apart)",
            config.keys.at_rest_file.display()
        );
    }
    if let Some(public) = &made.vapid {
        println!("  the VAPID key          {} (mode 0600); browsers subscribe with its public key", vapid_file.display());
        println!("                         {public}");
    }
    println!("Carillon {} listens on {url}", env!("CARGO_PKG_VERSION"));
}

/// Folds the samples of histograms now and then: without it they pile up until somebody reads the metrics.
async fn keep_up(metrics: PrometheusHandle, stop: CancellationToken) {
    while tokio::time::timeout(UPKEEP, stop.cancelled()).await.is_err() {
        metrics.run_upkeep();
    }
}

fn metrics() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        let buckets = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let suffix = metrics_exporter_prometheus::Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(suffix, &buckets).expect("the list of buckets is not empty");
        builder.install_recorder().expect("no other recorder is installed in this process")
    });
    handle.clone()
}

/// The senders of this installation.
pub(crate) fn channels(config: &Config, vapid: String) -> anyhow::Result<Vec<Arc<dyn Channel>>> {
    let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
    if let Some(apns) = &config.channels.apns {
        channels.push(Arc::new(apns_channel(apns)?));
    }
    if let Some(webpush) = &config.channels.webpush {
        channels.push(Arc::new(webpush_channel(webpush, vapid)?));
    }
    if let Some(fcm) = &config.channels.fcm {
        channels.push(Arc::new(fcm_channel(fcm)?));
    }
    if let Some(wns) = &config.channels.wns {
        channels.push(Arc::new(wns_channel(wns)?));
    }
    if let Some(email) = &config.channels.email {
        channels.push(Arc::new(email_channel(email)?));
    }
    Ok(channels)
}

fn apns_channel(config: &Apns) -> anyhow::Result<ApnsChannel> {
    let settings = ApnsSettings {
        endpoint: config.endpoint.clone(),
        sandbox_endpoint: Some(config.sandbox_endpoint.clone()).filter(|e| !e.is_empty()),
        key: read(&config.key_file, "channels.apns.key_file")?,
        key_id: config.key_id.clone(),
        team_id: config.team_id.clone(),
        topic: config.topic.clone(),
        ca_pem: optional(config.ca_file.as_deref(), "channels.apns.ca_file")?,
        connections: usize::try_from(config.connections)?,
        streams: usize::try_from(config.streams)?,
        ..ApnsSettings::default()
    };
    ApnsChannel::new(settings).map_err(|e| anyhow::anyhow!("{e}"))
}

fn webpush_channel(config: &WebPush, key: String) -> anyhow::Result<WebPushChannel> {
    let settings = WebPushSettings {
        key,
        subject: config.subject.clone(),
        allow_private_endpoints: config.allow_private_endpoints,
        ca_pem: optional(config.ca_file.as_deref(), "channels.webpush.ca_file")?,
        ..WebPushSettings::default()
    };
    WebPushChannel::new(settings).map_err(|e| anyhow::anyhow!("{e}"))
}

fn fcm_channel(config: &Fcm) -> anyhow::Result<FcmChannel> {
    let settings = FcmSettings {
        endpoint: config.endpoint.clone(),
        service_account: read(&config.service_account_file, "channels.fcm.service_account_file")?,
        ca_pem: optional(config.ca_file.as_deref(), "channels.fcm.ca_file")?,
        connections: usize::try_from(config.connections)?,
        streams: usize::try_from(config.streams)?,
        clock: Arc::new(SystemClock),
        ..FcmSettings::default()
    };
    FcmChannel::new(settings).map_err(|e| anyhow::anyhow!("{e}"))
}

fn wns_channel(config: &Wns) -> anyhow::Result<WnsChannel> {
    let secret = read(&config.secret_file, "channels.wns.secret_file")?;
    let settings = WnsSettings {
        endpoint_override: config.endpoint_override.clone(),
        token_endpoint: config.token_endpoint.clone(),
        client_id: config.client_id.clone(),
        secret: secret.lines().next().unwrap_or("").to_owned(),
        ca_pem: optional(config.ca_file.as_deref(), "channels.wns.ca_file")?,
        connections: usize::try_from(config.connections)?,
        clock: Arc::new(SystemClock),
        ..WnsSettings::default()
    };
    WnsChannel::new(settings).map_err(|e| anyhow::anyhow!("{e}"))
}

fn email_channel(config: &Email) -> anyhow::Result<EmailChannel> {
    let password = optional(config.password_file.as_deref(), "channels.email.password_file")?;
    let settings = EmailSettings {
        host: config.host.clone(),
        port: config.port,
        tls: match config.tls {
            EmailTls::None => channels::EmailTls::None,
            EmailTls::Starttls => channels::EmailTls::Starttls,
            EmailTls::Implicit => channels::EmailTls::Implicit,
        },
        username: config.username.clone(),
        password: password.and_then(|text| text.lines().next().map(str::to_owned)),
        from: config.from.clone(),
        ca_pem: optional(config.ca_file.as_deref(), "channels.email.ca_file")?,
        connections: usize::try_from(config.connections)?,
        per_second: Some(config.per_second).filter(|n| *n > 0),
        ..EmailSettings::default()
    };
    EmailChannel::new(settings).map_err(|e| anyhow::anyhow!("{e}"))
}

fn read(path: &Path, setting: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{setting}: cannot read {}", path.display()))
}

fn optional(path: Option<&Path>, setting: &str) -> anyhow::Result<Option<String>> {
    path.map(|path| read(path, setting)).transpose()
}

fn folder(path: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the folder {}; choose another with --data", path.display()))
}

/// Writes a file that only this user can read, whole or not at all.
fn private_file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let draft = path.with_extension("new");
    let cannot = || format!("cannot write {}", path.display());
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).with_context(cannot)?;
    file.write_all(content).with_context(cannot)?;
    file.sync_all().with_context(cannot)?;
    std::fs::rename(&draft, path).with_context(cannot)
}

/// The at-rest key: 32 bytes in hexadecimal, made on the first start. Also whether it was made now.
fn at_rest_key(path: &Path) -> anyhow::Result<([u8; 32], bool)> {
    if !path.exists() {
        folder(path.parent().unwrap_or(Path::new(".")))?;
        let mut key = [0u8; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
        let text: String = key.iter().map(|b| format!("{b:02x}")).collect();
        private_file(path, format!("{text}\n").as_bytes())?;
        return Ok((key, true));
    }
    let text = read(path, "keys.at_rest_file")?;
    let text = text.trim();
    let byte = |i: usize| text.get(2 * i..2 * i + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    let mut key = [0u8; 32];
    for (i, slot) in key.iter_mut().enumerate() {
        match byte(i) {
            Some(b) if text.len() == 64 => *slot = b,
            _ => bail!("keys.at_rest_file: {} does not hold 64 hexadecimal digits; restore it from its backup", path.display()),
        }
    }
    Ok((key, false))
}

/// The VAPID key pair (RFC 8292): subscriptions are bound to it, so it is made even before browsers are pushed to. Answers
/// whether it was made now.
fn vapid_key(path: &Path) -> anyhow::Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    folder(path.parent().unwrap_or(Path::new(".")))?;
    let random = aws_lc_rs::rand::SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| anyhow::anyhow!("the VAPID key cannot be made"))?;
    private_pem(path, pkcs8.as_ref())?;
    Ok(true)
}

fn private_pem(path: &Path, pkcs8: &[u8]) -> anyhow::Result<()> {
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pkcs8);
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    private_file(path, format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")).as_bytes())
}

/// The key that signs heads of the audit (Ed25519, PKCS #8), made on the first start.
fn audit_key(path: &Path) -> anyhow::Result<Vec<u8>> {
    if !path.exists() {
        folder(path.parent().unwrap_or(Path::new(".")))?;
        private_pem(path, &engine::keys::new_signing_key())?;
    }
    let key = <PrivatePkcs8KeyDer as PemObject>::from_pem_file(path);
    let key = key.map_err(|e| {
        anyhow::anyhow!("keys.audit_file: {} holds no private key in PEM ({e:?}); restore it from its backup", path.display())
    })?;
    Ok(key.secret_pkcs8_der().to_vec())
}
