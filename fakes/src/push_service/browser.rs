//! The receiving side: a browser's key pair and secret, and how it opens a message (RFC 8291, RFC 8188). It shares no code
//! with the sender.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

/// Salt, record size, length of the key id, key id.
pub(super) const HEADER_BYTES: usize = 16 + 4 + 1 + 65;

/// What a browser keeps of a subscription.
#[derive(Clone)]
pub struct Browser(Arc<Inner>);

struct Inner {
    key: PrivateKey,
    public: Vec<u8>,
    secret: Vec<u8>,
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Browser")
    }
}

impl Browser {
    /// A new one.
    ///
    /// # Panics
    /// When the machine gives no randomness.
    pub fn generate() -> Browser {
        let mut secret = [0; 16];
        rand::fill(&mut secret).expect("randomness");
        Browser::new(PrivateKey::generate(&ECDH_P256).expect("randomness"), &secret).expect("a key just made has a public one")
    }

    /// From a private key and a secret, such as those of RFC 8291; `None` when they are not that.
    pub fn from_private(key: &[u8], secret: &[u8]) -> Option<Browser> {
        Browser::new(PrivateKey::from_private_key(&ECDH_P256, key).ok()?, secret)
    }

    fn new(key: PrivateKey, secret: &[u8]) -> Option<Browser> {
        let public = key.compute_public_key().ok()?.as_ref().to_vec();
        Some(Browser(Arc::new(Inner { key, public, secret: secret.to_vec() })))
    }

    /// The public key in base64url, as `PushSubscription.getKey("p256dh")` gives it.
    pub fn p256dh(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0.public)
    }

    /// The secret in base64url, as `PushSubscription.getKey("auth")` gives it.
    pub fn auth(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0.secret)
    }

    /// Opens a message; `None` when it was not made for this browser, or is damaged.
    pub fn open(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (header, sealed) = body.split_at_checked(HEADER_BYTES)?;
        let (salt, sender) = (&header[..16], &header[21..]);
        if !well_formed(body) {
            return None;
        }
        let inner = &self.0;
        let shared = agree(&inner.key, UnparsedPublicKey::new(&ECDH_P256, sender), (), |shared| Ok(shared.to_vec())).ok()?;
        let info = [b"WebPush: info\0".as_slice(), &inner.public, sender].concat();
        let ikm = hkdf(&inner.secret, &shared, &info, 32);
        let key = hkdf(salt, &ikm, b"Content-Encoding: aes128gcm\0", 16);
        let nonce = hkdf(salt, &ikm, b"Content-Encoding: nonce\0", 12);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?);
        let mut text = sealed.to_vec();
        let length = key.open_in_place(Nonce::try_assume_unique_for_key(&nonce).ok()?, Aad::empty(), &mut text).ok()?.len();
        text.truncate(length);
        // Zeros, and before them the delimiter of the last record.
        let end = text.iter().rposition(|byte| *byte != 0)?;
        if text[end] != 2 {
            return None;
        }
        text.truncate(end);
        Some(text)
    }
}

/// Whether a body begins as `aes128gcm` wants it, with a P-256 point as its key id and one record.
pub(super) fn well_formed(body: &[u8]) -> bool {
    let Some((header, sealed)) = body.split_at_checked(HEADER_BYTES) else { return false };
    let record = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
    header[20] == 65
        && header[21] == 4
        && record >= 18
        && sealed.len() > 16
        && sealed.len() <= usize::try_from(record).unwrap_or(usize::MAX)
}

/// HKDF with SHA-256 for at most one block (RFC 5869), written out.
fn hkdf(salt: &[u8], ikm: &[u8], info: &[u8], length: usize) -> Vec<u8> {
    let sign = |key: &[u8], data: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    let prk = sign(salt, ikm);
    sign(prk.as_ref(), &[info, &[1]].concat()).as_ref()[..length].to_vec()
}
