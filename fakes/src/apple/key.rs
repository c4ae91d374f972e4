//! A throw-away signing key, in the form in which Apple hands keys out, and the check of what it signed.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// A P-256 key with its key id and the team it belongs to.
#[derive(Clone, Debug)]
pub struct Key {
    /// Ten characters, `kid` of the provider token.
    pub key_id: String,
    /// Ten characters, `iss` of the provider token.
    pub team_id: String,
    pem: String,
    public: Vec<u8>,
}

impl Key {
    /// Makes a new key.
    ///
    /// # Panics
    /// When the machine gives no randomness.
    pub fn generate(key_id: &str, team_id: &str) -> Key {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("randomness");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).expect("a key just made can be read");
        let text = STANDARD.encode(pkcs8.as_ref());
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Key { key_id: key_id.to_owned(), team_id: team_id.to_owned(), pem, public: pair.public_key().as_ref().to_vec() }
    }

    /// The private key as PKCS #8 PEM: the text of a `.p8` file.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The public key as an uncompressed point.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Checks a provider token (RFC 7515, ES256) and returns when it was issued, in Unix seconds; `None` when anything
    /// but its age is wrong.
    pub fn issued_at(&self, token: &str) -> Option<i64> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |text: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok() };
        let (header, claims) = (part(header)?, part(claims)?);
        let right = header["alg"] == "ES256" && header["kid"] == self.key_id.as_str() && claims["iss"] == self.team_id.as_str();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.public);
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        (right && public.verify(signed.as_bytes(), &signature).is_ok()).then(|| claims["iat"].as_i64()).flatten()
    }
}
