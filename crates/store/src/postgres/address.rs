//! Where PostgreSQL is, and how it is spoken to: the address as the operator wrote it, and TLS with verified certificates.
//!
//! A socket and a loopback address are spoken to in clear unless the address says otherwise; any other host must show a
//! certificate that the system, or `sslrootcert`, vouches for, unless the address says `sslmode=disable`.

use super::link::explain;
use crate::{Result, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, NoTls};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unanswered by the other side's machine.
const UNHEARD: Duration = Duration::from_secs(10);

/// An address that can be connected to.
#[derive(Clone)]
pub struct Address {
    config: Box<Config>,
    tls: Option<Tls>,
    shown: String,
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.config == other.config
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::fmt::Display for Address {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Address {
    /// Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`.
    ///
    /// # Errors
    /// A sentence with what is wrong; it never shows the password.
    pub fn parse(url: &str) -> std::result::Result<Address, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        if !base.starts_with("postgres://") && !base.starts_with("postgresql://") {
            return Err("the address of PostgreSQL begins with postgres://".to_owned());
        }
        let (mut mode, mut root, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value.to_owned()),
                Some(("sslrootcert", value)) => root = Some(value.replace("%2F", "/").replace("%2f", "/")),
                _ => rest.push(pair),
            }
        }
        let bare = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        let wrong = |error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!("the address of PostgreSQL cannot be read: {cause}; write postgres://user:password@host:5432/database")
        };
        let mut config: Config = bare.parse().map_err(wrong)?;
        let near = config.get_hosts().iter().all(is_near);
        let wanted = match mode.as_deref() {
            Some("disable") => false,
            None => !near,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(other) => return Err(format!("sslmode={other} is not one of disable, require, verify-full")),
        };
        config.ssl_mode(if wanted { SslMode::Require } else { SslMode::Disable });
        config.connect_timeout(CONNECT).tcp_user_timeout(UNHEARD).keepalives_idle(UNHEARD).keepalives_interval(UNHEARD);
        config.application_name("carillon");
        let tls = if wanted { Some(Tls::new(root.as_deref())?) } else { None };
        Ok(Address { shown: shown(&config), config: Box::new(config), tls })
    }

    /// Makes a connection. Its bytes are moved by a task of the runtime that this is called on.
    pub(super) async fn connect(&self) -> Result<Client> {
        let made = tokio::time::timeout(CONNECT * 2, async {
            match &self.tls {
                None => {
                    let (client, connection) = self.config.connect(NoTls).await?;
                    tokio::spawn(ended(connection));
                    Ok(client)
                }
                Some(tls) => {
                    let (client, connection) = self.config.connect(tls.clone()).await?;
                    tokio::spawn(ended(connection));
                    Ok(client)
                }
            }
        });
        match made.await {
            Ok(Ok(made)) => Ok(made),
            Ok(Err(error)) => Err(self.at(&error)),
            Err(_) => Err(StoreError::Unavailable(format!("{} did not answer within {} s", self.shown, (CONNECT * 2).as_secs()))),
        }
    }

    /// As [`Address::connect`], for a connection whose messages are read by the caller.
    pub(super) async fn listen(&self) -> Result<(Client, Listening)> {
        let made = tokio::time::timeout(CONNECT * 2, async {
            match &self.tls {
                None => self.config.connect(NoTls).await.map(|(client, connection)| (client, Listening::Clear(Box::new(connection)))),
                Some(tls) => {
                    self.config.connect(tls.clone()).await.map(|(client, connection)| (client, Listening::Tls(Box::new(connection))))
                }
            }
        });
        match made.await {
            Ok(Ok(made)) => Ok(made),
            Ok(Err(error)) => Err(self.at(&error)),
            Err(_) => Err(StoreError::Unavailable(format!("{} did not answer", self.shown))),
        }
    }

    fn at(&self, error: &tokio_postgres::Error) -> StoreError {
        match explain(error) {
            StoreError::Unavailable(why) => StoreError::Unavailable(format!("{}: {why}", self.shown)),
            StoreError::Broken(why) => StoreError::Broken(format!("{}: {why}", self.shown)),
            other => other,
        }
    }
}

async fn ended<C: Future<Output = std::result::Result<(), tokio_postgres::Error>>>(connection: C) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to PostgreSQL ended");
    }
}

fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name.starts_with('/')
                || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

fn shown(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("postgres://{host}:{port}/{}", config.get_dbname().unwrap_or_default())
}

type Socket = tokio_postgres::Socket;

/// A connection whose messages are read one by one.
pub(super) enum Listening {
    Clear(Box<tokio_postgres::Connection<Socket, tokio_postgres::tls::NoTlsStream>>),
    Tls(Box<tokio_postgres::Connection<Socket, Stream<Socket>>>),
}

impl Listening {
    /// The next message; `None` when the connection ended.
    pub fn poll(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::result::Result<tokio_postgres::AsyncMessage, tokio_postgres::Error>>> {
        match self {
            Listening::Clear(connection) => connection.poll_message(context),
            Listening::Tls(connection) => connection.poll_message(context),
        }
    }
}

/// TLS by rustls; the certificate is always verified.
#[derive(Clone)]
struct Tls(Arc<ClientConfig>);

impl Tls {
    fn new(root: Option<&str>) -> std::result::Result<Tls, String> {
        let mut roots = RootCertStore::empty();
        match root {
            Some(file) => {
                let certificates = CertificateDer::pem_file_iter(file).map_err(|error| format!("sslrootcert {file}: {error}"))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| format!("sslrootcert {file}: {error}"))?;
                    roots.add(certificate).map_err(|error| format!("sslrootcert {file}: {error}"))?;
                }
            }
            // What cannot be read among the system's certificates is left out.
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
        Ok(Tls(Arc::new(config)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Stream<S>;
    type TlsConnect = Connect;
    type Error = std::io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> std::io::Result<Connect> {
        let name = ServerName::try_from(domain.to_owned()).map_err(std::io::Error::other)?;
        Ok(Connect { config: self.0.clone(), name })
    }
}

/// One handshake.
pub(super) struct Connect {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Connect {
    type Stream = Stream<S>;
    type Error = std::io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = std::io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { Ok(Stream(TlsConnector::from(self.config).connect(self.name, stream).await?)) })
    }
}

/// An encrypted connection.
pub(super) struct Stream<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    /// The password is bound to the certificate only where the server asks; the certificate is verified in any case.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(context)
    }
}
