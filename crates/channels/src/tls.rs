//! TLS of outgoing connections: rustls over aws-lc-rs, with the machine's roots or one CA file and nothing else.

use crate::setup::ChannelSetupError;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// A connector and the name to check the other side's certificate against.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) connector: TlsConnector,
    pub(crate) name: ServerName<'static>,
}

/// Names of the settings that TLS is made from.
pub(crate) struct Names {
    pub(crate) host: &'static str,
    pub(crate) ca: &'static str,
}

/// Makes a connector to `host` that offers `alpn`. `ca_pem` replaces the machine's roots.
pub(crate) fn connector(host: &str, ca_pem: Option<&str>, alpn: &[&[u8]], names: &Names) -> Result<Tls, ChannelSetupError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| {
        ChannelSetupError::new(names.host, "the host is no DNS name or IP address", "write a name such as relay.example.org")
    })?;
    Ok(Tls { connector: trusting(roots(ca_pem, names)?, alpn), name })
}

/// Makes a connector for many hosts that offers `alpn`. `ca_pem` is trusted beside the machine's roots.
pub(crate) fn for_many(ca_pem: Option<&str>, alpn: &[&[u8]], names: &Names) -> Result<TlsConnector, ChannelSetupError> {
    let Some(pem) = ca_pem else { return Ok(trusting(roots(None, names)?, alpn)) };
    let mut both = roots(Some(pem), names)?;
    both.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(trusting(both, alpn))
}

fn trusting(roots: RootCertStore, alpn: &[&[u8]]) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

fn roots(ca_pem: Option<&str>, names: &Names) -> Result<RootCertStore, ChannelSetupError> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = ca_pem else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let rule = "this machine has no root certificates";
            return Err(ChannelSetupError::new(names.ca, rule, "install the package ca-certificates, or name a CA file"));
        }
        return Ok(roots);
    };
    let wrong = |rule: &str| ChannelSetupError::new(names.ca, rule, "name a PEM file with one or more CERTIFICATE blocks");
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| wrong("the file is not PEM"))?;
        roots.add(certificate).map_err(|_| wrong("the file holds a certificate that cannot be read"))?;
    }
    if roots.is_empty() { Err(wrong("the file holds no certificate")) } else { Ok(roots) }
}
