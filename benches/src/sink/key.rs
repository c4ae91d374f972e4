//! The signing key that the sink hands out and whose provider tokens it takes (RFC 7515 with ES256, as Apple wants it).

use anyhow::{Context, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Id of the key.
pub const KEY_ID: &str = "BENCHKEY01";
/// Id of the team.
pub const TEAM_ID: &str = "BENCHTEAM1";
/// How old a provider token may be, in seconds.
const MOST_AGE: u64 = 3600;

/// A P-256 key pair, made at start.
pub struct Key {
    pair: EcdsaKeyPair,
    /// The private key as a `.p8` file.
    pub pem: String,
}

impl Key {
    /// Makes a new key.
    pub fn generate() -> Result<Key> {
        let wrong = "the system gives no key";
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).ok().context(wrong)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).ok().context(wrong)?;
        let text = STANDARD.encode(pkcs8.as_ref());
        let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        Ok(Key { pair, pem })
    }

    /// A provider token issued at `now` (Unix seconds), for the limit program.
    pub fn sign(&self, now: u64) -> Result<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "ES256", "kid": KEY_ID})), part(&json!({"iss": TEAM_ID, "iat": now})));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).ok().context("the key does not sign")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whether an `authorization` header holds a token of this key, team and time.
    pub fn accepts(&self, header: &[u8], now: u64) -> bool {
        self.issued_at(header).is_some_and(|issued| issued <= now + 300 && now.saturating_sub(issued) <= MOST_AGE)
    }

    fn issued_at(&self, header: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(header).ok()?;
        let (scheme, token) = text.split_once(' ')?;
        let (signed, signature) = token.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let part = |text: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok() };
        let (head, claims) = (part(head)?, part(claims)?);
        let named = scheme.eq_ignore_ascii_case("bearer") && head["alg"] == "ES256" && head["kid"] == KEY_ID && claims["iss"] == TEAM_ID;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref());
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        (named && public.verify(signed.as_bytes(), &signature).is_ok()).then(|| claims["iat"].as_u64()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_while_it_is_fresh_whole_and_ours() {
        let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let header = format!("bearer {}", key.sign(10_000).unwrap());
        assert!(key.accepts(header.as_bytes(), 10_000) && key.accepts(header.as_bytes(), 13_600));
        assert!(!key.accepts(header.as_bytes(), 13_601), "too old");
        assert!(!key.accepts(header.as_bytes(), 9_000), "from the future");
        assert!(!other.accepts(header.as_bytes(), 10_000), "another key");
        assert!(!key.accepts(&header.as_bytes()[..header.len() - 1], 10_000), "a signature cut short");
    }
}
