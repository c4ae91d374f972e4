//! The provider token: a JWT signed with ES256 (RFC 7515, RFC 7518 §3.4), made rarely and shared by all requests.
//!
//! Apple refuses tokens older than an hour, and providers that make one more often than every 20 minutes.

use crate::setup::ChannelSetupError;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use model::time::Timestamp;
use parking_lot::Mutex;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use std::time::Duration;

/// A token of this age is replaced.
const RENEW_AFTER: Duration = Duration::from_secs(40 * 60);
/// No token is made within this time of the last.
const NOT_WITHIN: Duration = Duration::from_secs(20 * 60);

/// The signing key of one team and the token in use.
pub(super) struct ProviderToken {
    pair: EcdsaKeyPair,
    /// Encoded JOSE header.
    header: String,
    team_id: String,
    current: Mutex<Option<Signed>>,
}

struct Signed {
    value: HeaderValue,
    at: Timestamp,
    /// Apple has called it expired.
    stale: bool,
}

impl ProviderToken {
    /// Reads the text of a `.p8` file.
    pub(super) fn new(pem: &str, key_id: &str, team_id: &str) -> Result<ProviderToken, ChannelSetupError> {
        for (setting, id) in [("channels.apns.key_id", key_id), ("channels.apns.team_id", team_id)] {
            if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
                let mend = "copy the ten letters and digits from Apple's developer site";
                return Err(ChannelSetupError::new(setting, "it has to be letters and digits", mend));
            }
        }
        let wrong = |rule| ChannelSetupError::new("channels.apns.key_file", rule, "name the .p8 file as Apple's developer site gave it");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong("the file holds no PRIVATE KEY block"))?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der())
            .map_err(|_| wrong("the file holds no P-256 key"))?;
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","kid":"{key_id}"}}"#));
        Ok(ProviderToken { pair, header, team_id: team_id.to_owned(), current: Mutex::new(None) })
    }

    /// The value of the `authorization` header at `now`.
    pub(super) fn at(&self, now: Timestamp) -> HeaderValue {
        let mut current = self.current.lock();
        if let Some(signed) = current.as_ref() {
            let age = now.since(signed.at);
            if age < NOT_WITHIN || (age < RENEW_AFTER && !signed.stale) {
                return signed.value.clone();
            }
        }
        let value = self.sign(now);
        *current = Some(Signed { value: value.clone(), at: now, stale: false });
        value
    }

    /// Apple called `used` expired. Whether a new token is, or will at the next request be, in use instead: a second
    /// refusal of the same kind within 20 minutes means that a clock is wrong, and no new token mends that.
    pub(super) fn expired(&self, used: &HeaderValue, now: Timestamp) -> bool {
        let mut current = self.current.lock();
        let Some(signed) = current.as_mut() else { return true };
        if signed.value != *used {
            return true;
        }
        signed.stale = true;
        now.since(signed.at) >= NOT_WITHIN
    }

    fn sign(&self, now: Timestamp) -> HeaderValue {
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"{}","iat":{}}}"#, self.team_id, now.unix_seconds()));
        let signed = format!("{}.{claims}", self.header);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("signing with a checked key needs randomness only");
        let token = format!("bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        let mut value = HeaderValue::try_from(token).expect("base64url is a header value");
        value.set_sensitive(true);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fakes::apple::Key;

    const MINUTE: i64 = 60_000;

    fn token() -> (Key, ProviderToken) {
        let key = Key::generate("ABC123DEFG", "DEF123GHIJ");
        let token = ProviderToken::new(key.pem(), "ABC123DEFG", "DEF123GHIJ").expect("a key");
        (key, token)
    }

    #[test]
    fn a_token_has_the_shape_that_apple_documents_and_verifies_with_the_public_key() {
        let (key, token) = token();
        let value = token.at(Timestamp(1_700_000_000_999));
        assert!(value.is_sensitive(), "it must not be printed");
        let text = value.to_str().expect("ASCII").strip_prefix("bearer ").expect("a bearer token").to_owned();
        assert_eq!(key.issued_at(&text), Some(1_700_000_000));
        let parts: Vec<_> = text.split('.').map(|p| URL_SAFE_NO_PAD.decode(p).expect("base64url without padding")).collect();
        assert_eq!(parts[0], br#"{"alg":"ES256","kid":"ABC123DEFG"}"#);
        assert_eq!(parts[1], br#"{"iss":"DEF123GHIJ","iat":1700000000}"#);
        assert_eq!(parts[2].len(), 64, "r and s, not DER");
        let other = Key::generate("ABC123DEFG", "DEF123GHIJ");
        assert_eq!(other.issued_at(&text), None, "another key must not verify it");
    }

    #[test]
    fn a_token_is_reused_for_40_minutes_and_never_renewed_within_20() {
        let (_, token) = token();
        let first = token.at(Timestamp(0));
        assert_eq!(token.at(Timestamp(39 * MINUTE)), first);
        let second = token.at(Timestamp(40 * MINUTE));
        assert_ne!(second, first);
        assert!(!token.expired(&second, Timestamp(41 * MINUTE)), "a fresh token that is called expired is our fault");
        assert_eq!(token.at(Timestamp(59 * MINUTE)), second, "within 20 minutes nothing is signed");
        assert_ne!(token.at(Timestamp(60 * MINUTE)), second, "then the stale token is replaced before its 40 minutes");
    }

    #[test]
    fn a_token_called_expired_is_replaced_once_and_its_stragglers_just_try_again() {
        let (_, token) = token();
        let first = token.at(Timestamp(0));
        assert!(token.expired(&first, Timestamp(25 * MINUTE)));
        let second = token.at(Timestamp(25 * MINUTE));
        assert_ne!(second, first);
        assert!(token.expired(&first, Timestamp(25 * MINUTE)), "a straggler with the old token");
        assert!(!token.expired(&second, Timestamp(26 * MINUTE)));
        assert_eq!(token.at(Timestamp(26 * MINUTE)), second);
    }

    #[test]
    fn wrong_keys_and_ids_name_their_setting() {
        let key = Key::generate("K", "T");
        for (pem, key_id, team_id, setting) in [
            ("", "K", "T", "channels.apns.key_file"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "K", "T", "channels.apns.key_file"),
            (key.pem(), "", "T", "channels.apns.key_id"),
            (key.pem(), "K", "T\"", "channels.apns.team_id"),
        ] {
            assert_eq!(ProviderToken::new(pem, key_id, team_id).err().expect(setting).setting, setting);
        }
    }
}
