//! TLS of the listener: version 1.2 or later, a certificate and its key, which may be replaced while connections are open.

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What is offered by ALPN, the better first (RFC 9113 §3.2, RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate and the key that new connections are shown.
#[derive(Debug)]
pub struct Tls {
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// From PEM: the chain, the server's own certificate first, and its private key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    /// A sentence with what is wrong, when one of the two cannot be read or they do not belong together.
    pub fn new(chain_pem: &[u8], key_pem: &[u8]) -> Result<Tls, String> {
        Ok(Tls { current: ArcSwap::new(config(chain_pem, key_pem)?) })
    }

    /// Takes another pair for connections that begin from now on. Those that are open stay as they are.
    ///
    /// # Errors
    /// As [`Tls::new`]; then the old pair stays.
    pub fn replace(&self, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), String> {
        self.current.store(config(chain_pem, key_pem)?);
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn config(chain_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(chain_pem).collect();
    let chain = chain.map_err(|_| "the certificate file is not PEM".to_owned())?;
    if chain.is_empty() {
        return Err("the certificate file holds no block of type CERTIFICATE".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| "the key file holds no private key in PEM".to_owned())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("aws-lc-rs supports the default protocol versions").with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => "the key does not belong to the certificate".to_owned(),
        other => format!("certificate and key cannot be used: {other}"),
    })?;
    config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_wrong_pair_is_refused_in_words_and_the_old_one_stays() {
        let ((chain, key), (other_chain, other_key)) = (pair(), pair());
        let tls = Tls::new(chain.as_bytes(), key.as_bytes()).expect("a pair");
        let before = tls.current.load_full();
        let refused = |chain: &str, key: &str| tls.replace(chain.as_bytes(), key.as_bytes()).expect_err("refused");
        assert_eq!(refused(&chain, &other_key), "the key does not belong to the certificate");
        assert_eq!(refused(&key, &key), "the certificate file holds no block of type CERTIFICATE");
        assert_eq!(refused(&chain, "nothing"), "the key file holds no private key in PEM");
        assert!(Arc::ptr_eq(&before, &tls.current.load_full()));
        tls.replace(other_chain.as_bytes(), other_key.as_bytes()).expect("another pair");
        assert!(!Arc::ptr_eq(&before, &tls.current.load_full()));
    }
}
