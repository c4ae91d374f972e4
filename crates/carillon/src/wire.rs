//! Puts the rooms together: opens the store, makes keys on the first start, builds the channels that are configured,
//! starts the engine, serves the API, and takes everything down in order.

use crate::config::{Apns, Config, Email, EmailTls};
use anyhow::{Context, bail};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use channels::{ApnsChannel, ApnsSettings, EmailChannel, EmailSettings};
use engine::keys::Keys;
use engine::{Engine, Parts};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use model::{Channel, Clock, Timestamp};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use store::sqlite::Sqlite;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How long requests and deliveries that are under way may take after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(20);

/// How to serve.
pub struct ServeOptions {
    /// Print what was made and where the server listens.
    pub announce: bool,
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
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
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
    let store = Sqlite::open(&config.database, clock.clone()).await.map_err(|e| anyhow::anyhow!("{e}"))?;
    let (at_rest, at_rest_made) = at_rest_key(&config.keys.at_rest_file)?;
    let vapid_file = data.join("keys/vapid.pem");
    let vapid_made = vapid_key(&vapid_file)?;
    let parts = Parts {
        store: Arc::new(store.clone()),
        channels: channels(&config)?,
        sources: sources::all(),
        clock,
        keys: Keys::new(vec![at_rest]),
        organization: config.server.organization.clone(),
        scratch: data.join("scratch"),
        duties: engine::Duties::ALL,
    };
    folder(&parts.scratch)?;
    let metrics = metrics();
    let (engine, fresh) = Engine::start(parts).await.map_err(|e| anyhow::anyhow!("{e}"))?;
    let token_file = data.join("bootstrap-token");
    // The token is made by the first start that gets this far; a start that was cut off in between is made good.
    let token_made = !token_file.exists();
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
        let made = Made { fresh, token: token_made, at_rest: at_rest_made, vapid: vapid_made };
        announce(&config, &url, &token_file, &vapid_file, &made);
    }
    let public_url = config.server.public_url.clone().unwrap_or_else(|| url.clone());
    if let Some(ready) = options.ready {
        // Whoever asked may have gone; the server serves all the same.
        let _ = ready.send(Ready { url, token_file, first_start: fresh });
    }
    let extras = web::Extras { metrics: Box::new(move || metrics.render()), version: env!("CARGO_PKG_VERSION").to_owned(), public_url };
    let served = web::serve(listener, web::router(engine.clone(), extras), options.stop.clone(), DRAIN).await;
    if !engine.stop(DRAIN).await {
        tracing::warn!("some deliveries were still under way at the end; they go on at the next start");
    }
    let closed = store.close().await;
    served.context("the server failed")?;
    closed.map_err(|e| anyhow::anyhow!("{e}"))
}

struct Made {
    fresh: bool,
    token: bool,
    at_rest: bool,
    vapid: bool,
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
    if made.vapid {
        println!("  the VAPID key          {} (mode 0600)", vapid_file.display());
    }
    println!("Carillon {} listens on {url}", env!("CARGO_PKG_VERSION"));
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
fn channels(config: &Config) -> anyhow::Result<Vec<Arc<dyn Channel>>> {
    let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
    if let Some(apns) = &config.channels.apns {
        channels.push(Arc::new(apns_channel(apns)?));
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

/// The VAPID key pair (RFC 8292), kept for the day when browsers are pushed to: subscriptions are bound to it. Answers
/// whether it was made now.
fn vapid_key(path: &Path) -> anyhow::Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    folder(path.parent().unwrap_or(Path::new(".")))?;
    let random = aws_lc_rs::rand::SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| anyhow::anyhow!("the VAPID key cannot be made"))?;
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pkcs8.as_ref());
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    private_file(path, format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")).as_bytes())?;
    Ok(true)
}
