//! Who we are, to push services (RFC 8292): one key pair for all, and a token for each of them, signed rarely and shared
//! by all requests there.

use crate::setup::ChannelSetupError;
use crate::webpush::seal::base64url;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use http::HeaderValue;
use model::time::Timestamp;
use parking_lot::Mutex;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use std::time::Duration;

/// How long a token holds. RFC 8292 §2 allows 24 hours; half of it leaves room for clocks that are hours apart.
const HOLDS: Duration = Duration::from_secs(12 * 3600);
/// A token is replaced when it holds no longer than this.
const RENEW_BEFORE: Duration = Duration::from_secs(4 * 3600);
/// Setting that names whom a push service may write to.
const SUBJECT: &str = "channels.webpush.subject";

/// The key pair to which subscriptions are bound, and the contact.
pub(super) struct Identity {
    pair: EcdsaKeyPair,
    subject: String,
    /// The public key in base64url, `k` of every header.
    public: String,
}

impl Identity {
    /// From a key pair and the subject.
    pub(super) fn new(pair: EcdsaKeyPair, subject: &str) -> Result<Identity, ChannelSetupError> {
        let mend = "write mailto:ADDRESS or https://PAGE, where the operators of push services reach you";
        let contact = subject.strip_prefix("mailto:").or_else(|| subject.strip_prefix("https://"));
        // Anything that would have to be escaped in JSON is no part of an address.
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if !contact.is_some_and(plain) || (subject.starts_with("mailto:") && !subject.contains('@')) {
            return Err(ChannelSetupError::new(SUBJECT, format!("{subject:?} is no contact"), mend));
        }
        let public = base64url(pair.public_key().as_ref());
        Ok(Identity { pair, subject: subject.to_owned(), public })
    }

    /// The beginning of the public key, enough to tell two apart.
    pub(super) fn hint(&self) -> &str {
        &self.public[..8]
    }

    /// The value of an `authorization` header for an origin at a time, and until when it holds.
    fn sign(&self, origin: &str, now: Timestamp) -> (HeaderValue, Timestamp) {
        let until = now.plus(HOLDS);
        let signed = signing_input(origin, until.unix_seconds(), &self.subject);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("signing with a checked key needs randomness only");
        let header = format!("vapid t={signed}.{}, k={}", base64url(signature.as_ref()), self.public);
        let mut value = HeaderValue::try_from(header).expect("base64url is a header value");
        value.set_sensitive(true);
        (value, until)
    }
}

/// Header and claims of a token (RFC 8292 §2), ready to be signed.
fn signing_input(origin: &str, expires: i64, subject: &str) -> String {
    let header = base64url(br#"{"typ":"JWT","alg":"ES256"}"#);
    let claims = base64url(format!(r#"{{"aud":"{origin}","exp":{expires},"sub":"{subject}"}}"#).as_bytes());
    format!("{header}.{claims}")
}

/// Every key pair of a key file, in order; there is at least one.
pub(super) fn pairs(pem: &str) -> Result<Vec<EcdsaKeyPair>, ChannelSetupError> {
    let wrong = |rule| ChannelSetupError::new("keys/vapid.pem", rule, "restore it from its backup: subscriptions are bound to it");
    let blocks: Result<Vec<_>, _> = PrivatePkcs8KeyDer::pem_slice_iter(pem.as_bytes()).collect();
    let blocks = blocks.ok().filter(|blocks| !blocks.is_empty()).ok_or_else(|| wrong("the file holds no PRIVATE KEY block"))?;
    let read = |der: &PrivatePkcs8KeyDer<'_>| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der());
    blocks.iter().map(|der| read(der).map_err(|_| wrong("the file holds no P-256 key"))).collect()
}

/// The public key in force of a VAPID key file (PKCS #8 in PEM; the first of several), as browsers take it for `applicationServerKey`: an uncompressed
/// P-256 point in base64url, 87 characters.
///
/// # Errors
/// When the text holds no such key.
pub fn vapid_public_key(pem: &str) -> Result<String, ChannelSetupError> {
    Ok(base64url(pairs(pem)?[0].public_key().as_ref()))
}

/// The token in use with one origin.
#[derive(Default)]
pub(super) struct Token(Mutex<Option<(HeaderValue, Timestamp)>>);

impl Token {
    /// The value of the `authorization` header at `now`, signed anew when the last one's time is nearly over.
    pub(super) fn at(&self, identity: &Identity, origin: &str, now: Timestamp) -> HeaderValue {
        let mut current = self.0.lock();
        if let Some((value, until)) = current.as_ref()
            && until.since(now) > RENEW_BEFORE
            && until.since(now) <= HOLDS
        {
            return value.clone();
        }
        let fresh = identity.sign(origin, now);
        let value = fresh.0.clone();
        *current = Some(fresh);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fakes::push_service::{Verified, verify_vapid};

    const HOUR: i64 = 3_600_000;
    /// RFC 8292 §2.4.
    const EXAMPLE: &str = "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA, k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";

    fn one(key: &fakes::apple::Key) -> EcdsaKeyPair {
        pairs(key.pem()).expect("a key").remove(0)
    }

    fn identity() -> (fakes::apple::Key, Identity) {
        let key = fakes::apple::Key::generate("K", "T");
        let identity = Identity::new(one(&key), "mailto:push@example.com").expect("a key");
        (key, identity)
    }

    #[test]
    fn the_example_of_rfc_8292_is_what_we_would_sign_and_its_signature_is_what_the_fake_verifies() {
        let signed = signing_input("https://push.example.net", 1_453_523_768, "mailto:push@example.com");
        assert!(EXAMPLE.starts_with(&format!("vapid t={signed}.")), "{signed}");
        let verified = verify_vapid(EXAMPLE).expect("the published signature");
        assert_eq!(
            verified,
            Verified {
                key: "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs".into(),
                aud: "https://push.example.net".into(),
                exp: 1_453_523_768,
                sub: "mailto:push@example.com".into(),
            }
        );
        assert_eq!(verify_vapid(&EXAMPLE.replace("i3CY", "i3CZ")), None, "another signature");
    }

    #[test]
    fn a_token_names_the_origin_holds_twelve_hours_and_verifies_with_the_published_key() {
        let (key, identity) = identity();
        let value = Token::default().at(&identity, "https://push.example.net:8443", Timestamp(1_700_000_000_999));
        assert!(value.is_sensitive(), "it must not be printed");
        let verified = verify_vapid(value.to_str().expect("ASCII")).expect("a good signature");
        assert_eq!((verified.aud.as_str(), verified.exp), ("https://push.example.net:8443", 1_700_000_000 + 12 * 3600));
        assert_eq!(verified.key, base64url(key.public()));
        assert_eq!(verified.key, vapid_public_key(key.pem()).expect("a key"));
        assert_eq!(verified.key.len(), 87);
    }

    #[test]
    fn a_token_is_reused_for_eight_hours_and_signed_anew_before_its_end() {
        let (_, identity) = identity();
        let token = Token::default();
        let at = |hours: i64| token.at(&identity, "https://a", Timestamp(hours * HOUR));
        let first = at(0);
        assert_eq!(at(7), first);
        let second = at(8);
        assert_ne!(second, first);
        assert_eq!(at(15), second);
        // A clock that was hours ahead and is set back must not keep a token that holds for more than a day.
        assert_ne!(at(2), second);
    }

    #[test]
    fn wrong_subjects_and_keys_are_named() {
        let (key, _) = identity();
        for subject in ["", "ops@example.org", "mailto:", "mailto:nobody", "http://example.org", "mailto:a@b\"", "https://", "mailto:é@b"]
        {
            assert_eq!(Identity::new(one(&key), subject).err().expect(subject).setting, SUBJECT, "{subject}");
        }
        for subject in ["mailto:ops@example.org", "https://example.org/contact"] {
            assert!(Identity::new(one(&key), subject).is_ok(), "{subject}");
        }
        for pem in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert_eq!(vapid_public_key(pem).expect_err("no key").setting, "keys/vapid.pem");
        }
        let damaged = format!("{}\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", key.pem());
        assert!(vapid_public_key(&damaged).is_err(), "every key of the file is one");
    }
}
