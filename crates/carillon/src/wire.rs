//! Puts the rooms together: opens the store, makes keys on the first start, builds the channels that are configured,
//! starts the engine, serves the API, and takes everything down in order.

use crate::cli::Part;
use crate::config::{Apns, Config, Dkim, Email, EmailTls, Fcm, ServerTls, WebPush, Wns};
use crate::key_files::{self, folder, private_file, read};
use crate::{measure, signals, tls};
use anyhow::{Context, bail};
use channels::{
    ApnsChannel, ApnsSettings, DkimSettings, EmailChannel, EmailSettings, FcmChannel, FcmSettings, WebPushChannel, WebPushSettings,
    WnsChannel, WnsSettings, vapid_public_key,
};
use engine::keys::Keys;
use engine::{Engine, Parts};
use model::{Channel, Clock, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use store::postgres::{Postgres, Time};
use store::sqlite::Sqlite;
use store::transfer::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long requests and deliveries that are under way may take after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(20);

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

/// Listens to the telephone systems of the configuration, and for the mails that they send.
async fn hear_calls(config: &Config, engine: &Engine, stop: &CancellationToken) -> anyhow::Result<()> {
    if let Some(smtp_in) = &config.integrations.smtp_in {
        let listener = TcpListener::bind(smtp_in.listen).await;
        let listener =
            listener.map_err(|e| anyhow::anyhow!("[integrations.smtp_in] listen: {} cannot be listened on: {e}", smtp_in.listen))?;
        tracing::info!(address = %listener.local_addr()?, "voice-mail mails are taken");
        let name = config.server.public_url.as_deref().and_then(host_of).unwrap_or("carillon.invalid");
        let settings = smtp_in.settings(name, Arc::new(SystemClock));
        tokio::spawn(integrations::smtp_in::run(listener, settings, desk(engine, "SMTP"), stop.clone()));
    }
    for settings in config.integrations.asterisk.clone() {
        let desk = desk(engine, &format!("Asterisk {}", settings.name));
        tokio::spawn(integrations::asterisk::run(settings, desk, stop.clone()));
    }
    Ok(())
}

/// Takes in calls for an integration of this name.
fn desk(engine: &Engine, by: &str) -> Arc<dyn integrations::intake::Intake> {
    Arc::new(integrations::intake::Desk::new(engine.clone(), by))
}

/// The host of a URL.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    rest.split(['/', ':']).next().filter(|host| !host.is_empty())
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
    let (at_rest, at_rest_made) = key_files::at_rest_keys(&config.keys.at_rest_file)?;
    let vapid_file = config.keys.vapid_file.clone();
    let vapid_made = key_files::vapid_key(&vapid_file)?;
    let vapid = read(&vapid_file, "keys.vapid_file")?;
    let web_push_key = vapid_public_key(&vapid).map_err(|e| anyhow::anyhow!("{}: {e}", vapid_file.display()))?;
    let audit = key_files::audit_key(&config.keys.audit_file)?;
    let (node, predecessor) = name_of_this_process(&data)?;
    // Before anything is changed: a certificate that is wrong keeps the server from starting.
    let secured = config.server.tls.clone().map(Secured::read).transpose()?;
    let parts = Parts {
        messenger: Some(Arc::new(integrations::webhook::Webhooks::new()?)),
        files_follow: config.integrations.smtp_in.is_some(),
        store: store.shared(),
        channels: channels(&config, vapid)?,
        sources: sources::all(),
        clock,
        keys: Keys::new(at_rest)
            .signing(&audit)
            .map_err(|rule| anyhow::anyhow!("keys.audit_file: {} {rule}", config.keys.audit_file.display()))?,
        organization: config.server.organization.clone(),
        scratch: data.join("scratch"),
        duties: duties(&options.only),
        node,
        predecessor,
        sending: None,
    };
    folder(&parts.scratch)?;
    let metrics = measure::recorder();
    measure::build(shared);
    tokio::spawn(measure::keep_up(metrics.clone(), options.stop.clone()));
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
    let limits = crate::descriptors::fitting(config.server.limits.clone());
    let (listener, url) = listen(&config, secured.as_ref()).await?;
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
    if does(&options.only, Part::Integrations) {
        hear_calls(&config, &engine, &options.stop).await?;
    }
    let integrations = {
        let graph = config.integrations.graph.then_some(public_url.as_str());
        if does(&options.only, Part::Integrations) { integrations::doors(&engine, graph) } else { Vec::new() }
    };
    let extras = web::Extras {
        metrics: Box::new(move || {
            measure::process();
            metrics.render()
        }),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        public_url,
        web_push_key,
        api,
        integrations,
        limits: limits.clone(),
    };
    let served = answer(listener, secured, limits, web::router(engine.clone(), extras), &engine, &options.stop).await;
    if !engine.stop(DRAIN).await {
        tracing::warn!("some deliveries were still under way at the end; they go on at the next start");
    }
    let closed = store.close().await;
    served.context("the server failed")?;
    closed.map_err(|e| anyhow::anyhow!("{e}"))
}

/// The listener's certificate, and the files that it came from.
struct Secured {
    files: ServerTls,
    pair: tls::Pair,
    tls: Arc<web::Tls>,
}

impl Secured {
    fn read(files: ServerTls) -> anyhow::Result<Secured> {
        let wrong = |e| anyhow::anyhow!("[server.tls]: {e}");
        let pair = tls::read(&files).map_err(wrong)?;
        let tls = Arc::new(pair.start().map_err(wrong)?);
        Ok(Secured { files, pair, tls })
    }
}

/// Takes the address, and notes it in the data folder. Also how people reach it.
async fn listen(config: &Config, secured: Option<&Secured>) -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}; is something else there? choose another with --listen", config.server.listen))?;
    let address = listener.local_addr()?;
    let url = match secured {
        None => format!("http://{address}"),
        Some(secured) => format!("https://{}:{}", secured.pair.host(address.ip()), address.port()),
    };
    // The second line is where clients on this machine find the host of the first.
    std::fs::write(config.server.data.join("address"), format!("{url}\n{address}\n")).context("cannot write the address file")?;
    Ok((listener, url))
}

/// Answers requests until stopped.
async fn answer(
    listener: TcpListener,
    secured: Option<Secured>,
    limits: web::Limits,
    router: web::Router,
    engine: &Engine,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    let reload = signals::reloads();
    let watched = signals::serving(stop.clone());
    let served = match secured {
        Some(Secured { files, pair, tls }) => {
            tls::expires(&pair);
            tokio::spawn(tls::keep(tls.clone(), files, engine.clone(), reload, stop.clone()));
            web::serve_tls(listener, tls, router, limits, stop.clone(), DRAIN).await
        }
        None => {
            tokio::spawn(signals::nothing_to_reload(reload));
            web::serve(listener, router, limits, stop.clone(), DRAIN).await
        }
    };
    if !stop.is_cancelled() {
        watched.abort();
    }
    // It has a last word to say.
    let _ = watched.await;
    served
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
        dkim: config.dkim.as_ref().map(dkim_settings).transpose()?,
        ..EmailSettings::default()
    };
    EmailChannel::new(settings).map_err(|e| anyhow::anyhow!("{e}"))
}

fn dkim_settings(config: &Dkim) -> anyhow::Result<DkimSettings> {
    let key_pem = read(&config.key_file, "channels.email.dkim_key_file")?;
    Ok(DkimSettings { domain: config.domain.clone(), selector: config.selector.clone(), key_pem })
}

fn optional(path: Option<&Path>, setting: &str) -> anyhow::Result<Option<String>> {
    path.map(|path| read(path, setting)).transpose()
}
