//! The private key of a domain's signatures, and what DNS has to say of it.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;

/// Most bytes of one string of a TXT record (RFC 1035 §3.3).
const MOST_STRING: usize = 255;

/// A private key. There is no `Debug`.
pub struct DkimKey(Pair);

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl DkimKey {
    /// What to do about a key that is none.
    pub const MEND: &'static str = "make one with openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048, or -algorithm ed25519";

    /// Reads a PEM block of type `PRIVATE KEY` or `RSA PRIVATE KEY`.
    ///
    /// # Errors
    /// What is wrong with it, to stand behind a file's name. Nothing of the key is said.
    pub fn parse(pem: &str) -> Result<DkimKey, String> {
        let no_pem = |_| "holds no private key; it takes a PEM block of type PRIVATE KEY that no password protects".to_owned();
        let rsa = |read: Result<RsaKeyPair, aws_lc_rs::error::KeyRejected>| match read {
            Ok(pair) => Ok(DkimKey(Pair::Rsa(Box::new(pair)))),
            Err(refused) if refused.to_string().contains("TooSmall") => {
                Err("holds an RSA key of less than 2,048 bits, which receivers distrust".to_owned())
            }
            Err(_) => Err("holds a key that is neither RSA of 2,048 to 8,192 bits nor Ed25519".to_owned()),
        };
        match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(no_pem)? {
            PrivateKeyDer::Pkcs1(der) => rsa(RsaKeyPair::from_der(der.secret_pkcs1_der())),
            PrivateKeyDer::Pkcs8(der) => match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()) {
                Ok(pair) => Ok(DkimKey(Pair::Ed25519(pair))),
                Err(_) => rsa(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())),
            },
            _ => Err("holds a key that is neither RSA nor Ed25519".to_owned()),
        }
    }

    /// What DNS has to hold for signatures of this key.
    pub fn record(&self, domain: &str, selector: &str) -> DkimRecord {
        let (kind, public) = match &self.0 {
            Pair::Rsa(pair) => {
                let der = pair.public_key().as_der();
                ("rsa", STANDARD.encode(der.expect("the public half of a key that was read can be written").as_ref()))
            }
            Pair::Ed25519(pair) => ("ed25519", STANDARD.encode(pair.public_key().as_ref())),
        };
        DkimRecord { name: format!("{selector}._domainkey.{domain}"), value: format!("v=DKIM1; k={kind}; p={public}") }
    }

    /// The word for it in a signature, `a=`.
    pub(super) fn algorithm(&self) -> &'static str {
        match &self.0 {
            Pair::Rsa(_) => "rsa-sha256",
            Pair::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// Signs what has the relaxed form.
    pub(super) fn sign(&self, input: &[u8]) -> Option<Vec<u8>> {
        match &self.0 {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature).ok()?;
                Some(signature)
            }
            // RFC 8463 §3: the hash is what is signed.
            Pair::Ed25519(pair) => pair.try_sign(super::hash(input).as_ref()).ok().map(|signature| signature.as_ref().to_vec()),
        }
    }
}

impl fmt::Display for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pair::Rsa(pair) => write!(f, "an RSA key of {} bits", pair.public_modulus_len() * 8),
            Pair::Ed25519(_) => f.write_str("an Ed25519 key"),
        }
    }
}

/// A TXT record of DNS that tells receivers the public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimRecord {
    /// Its name, such as `carillon1._domainkey.example.org`.
    pub name: String,
    /// Its text, whole: `v=DKIM1; k=rsa; p=…`.
    pub value: String,
}

impl fmt::Display for DkimRecord {
    /// As a line of a zone file; a long text is cut into the strings of which DNS makes one again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} TXT", self.name)?;
        for part in self.value.as_bytes().chunks(MOST_STRING) {
            write!(f, " \"{}\"", String::from_utf8_lossy(part))?;
        }
        Ok(())
    }
}
