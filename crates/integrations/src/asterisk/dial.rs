//! How a manager interface is reached: over TCP, or over TLS with the machine's roots or those of one file.

use super::settings::Settings;
use async_trait::async_trait;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection, whatever carries it.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Who opens connections; tests have one of their own.
#[async_trait]
pub(super) trait Dialer: Send + Sync {
    /// Opens a connection.
    async fn dial(&self) -> Result<Box<dyn Wire>, String>;
}

#[async_trait]
impl Dialer for Settings {
    async fn dial(&self) -> Result<Box<dyn Wire>, String> {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((bare, self.port)).await.map_err(|e| format!("no connection to {}:{} ({e})", self.host, self.port))?;
        // Small lines that are waited for; where it cannot be set they come a little later.
        let _ = tcp.set_nodelay(true);
        if !self.tls {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| format!("{} is no host name and no address", self.host))?;
        let connector = connector(self.ca_file.as_deref()).await?;
        let tls = connector.connect(name, tcp).await.map_err(|e| format!("no TLS with {}:{} ({e})", self.host, self.port))?;
        Ok(Box::new(tls))
    }
}

async fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, String> {
    let pem = match ca_file {
        Some(path) => Some(tokio::fs::read(path).await.map_err(|e| format!("{} cannot be read ({e})", path.display()))?),
        None => None,
    };
    // The machine's roots are some hundred files.
    let roots = tokio::task::spawn_blocking(move || roots(pem.as_deref())).await.map_err(|e| e.to_string())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports the default protocol versions")
        .with_root_certificates(roots?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match pem {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| "the CA file is not PEM".to_owned())?;
                roots.add(certificate).map_err(|_| "the CA file holds a certificate that cannot be read".to_owned())?;
            }
        }
    }
    if roots.is_empty() { Err("there are no certificates to trust; name a file of them as ca_file".to_owned()) } else { Ok(roots) }
}
