//! What the sink demands of a push to a browser (RFC 8030): a token that is signed by the key that it names, for this
//! service and for at most a day (RFC 8292), every header, and a body of the right form whose key and salt are not those of the one before.
//! All browsers share one key pair, the example of RFC 8291; one message in some hundreds is opened with it and read, because
//! opening them all would cost as much as encrypting them.

use crate::tokens;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey as PublicKey, agree};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;

/// What stands before the device in every path.
pub const PATH: &str = "/send/";
/// The browsers' public key (RFC 8291 §5).
pub const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
/// The browsers' secret.
pub const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
const PRIVATE: &str = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
/// One message in so many is opened.
const OPEN_EVERY: u64 = 256;
/// Salt, record size, length of the key id, key id (RFC 8188 §2.1).
const HEADER_BYTES: usize = 16 + 4 + 1 + 65;
/// Most bytes of a body.
const MOST_BODY_BYTES: usize = 4096;
/// How far ahead a token may end, in seconds.
const MOST_TOKEN_LIFE: u64 = 24 * 3600;

/// What is known of messages.
pub struct Browsers {
    origin: String,
    known_authorization: Option<HeaderValue>,
    last: [u8; HEADER_BYTES],
    taken: u64,
}

type Refused = (u16, &'static str);

impl Browsers {
    /// Of the push service on this port.
    pub fn new(port: u16) -> Browsers {
        Browsers { origin: format!("https://127.0.0.1:{port}"), known_authorization: None, last: [0; HEADER_BYTES], taken: 0 }
    }

    /// The device of a push that a push service would take.
    ///
    /// # Errors
    /// Status and reason of the refusal.
    pub fn examine(&mut self, head: &Parts, body: &[u8], texts: &[(String, String)], now: u64) -> Result<u32, Refused> {
        let device = head.uri.path().as_bytes().strip_prefix(PATH.as_bytes()).and_then(tokens::index).ok_or((404, "NotFound"))?;
        self.authorized(&head.headers, now)?;
        fields(&head.headers)?;
        if body.len() > MOST_BODY_BYTES {
            return Err((413, "TooLarge"));
        }
        let header = body.first_chunk::<HEADER_BYTES>().ok_or((400, "NoHeader"))?;
        if header[16..22] != [0, 0, 16, 0, 65, 4] || body.len() <= HEADER_BYTES + 17 {
            return Err((400, "WrongHeader"));
        }
        if header[..16] == self.last[..16] || header[21..] == self.last[21..] {
            return Err((400, "KeyOrSaltUsedTwice"));
        }
        self.last = *header;
        self.taken += 1;
        if self.taken % OPEN_EVERY == 1 {
            let text = open(body).ok_or((400, "CannotBeOpened"))?;
            let value: Value = serde_json::from_slice(&text).map_err(|_| (400, "NotJson"))?;
            if !texts.iter().any(|(title, body)| value["title"] == title.as_str() && value["body"] == body.as_str()) {
                return Err((400, "WrongText"));
            }
        }
        Ok(device)
    }

    fn authorized(&mut self, headers: &HeaderMap, now: u64) -> Result<(), Refused> {
        let value = headers.get(header::AUTHORIZATION).ok_or((401, "MissingVapid"))?;
        if self.known_authorization.as_ref() != Some(value) {
            let ends = verified(value, &self.origin).ok_or((401, "InvalidVapid"))?;
            if ends <= now || ends > now + MOST_TOKEN_LIFE {
                return Err((401, "InvalidVapidExpiry"));
            }
            self.known_authorization = Some(value.clone());
        }
        Ok(())
    }
}

/// When a token ends that is signed by the key that it names, for this origin.
fn verified(value: &HeaderValue, origin: &str) -> Option<u64> {
    let (token, key) = value.to_str().ok()?.strip_prefix("vapid t=")?.split_once(", k=")?;
    let (signed, signature) = token.rsplit_once('.')?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?).ok()?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, URL_SAFE_NO_PAD.decode(key).ok()?);
    public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    (claims["aud"] == origin).then(|| claims["exp"].as_u64()).flatten()
}

fn fields(headers: &HeaderMap) -> Result<(), Refused> {
    let value = |name: &str| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let ttl = value("ttl");
    if ttl.is_empty() || !ttl.iter().all(u8::is_ascii_digit) {
        return Err((400, "BadTtl"));
    }
    if !matches!(value("urgency"), b"very-low" | b"low" | b"normal" | b"high") {
        return Err((400, "BadUrgency"));
    }
    if value("topic").len() != 22 {
        return Err((400, "BadTopic"));
    }
    if value("content-encoding") == b"aes128gcm" { Ok(()) } else { Err((400, "BadContentEncoding")) }
}

/// Opens a message (RFC 8291, RFC 8188).
fn open(body: &[u8]) -> Option<Vec<u8>> {
    let raw = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let (salt, sender) = (&body[..16], &body[21..HEADER_BYTES]);
    let key = PrivateKey::from_private_key(&ECDH_P256, &raw(PRIVATE)?).ok()?;
    let shared = agree(&key, PublicKey::new(&ECDH_P256, sender), (), |shared| Ok(shared.to_vec())).ok()?;
    let ikm = hkdf(&raw(AUTH)?, &shared, &[b"WebPush: info\0", raw(P256DH)?.as_slice(), sender].concat());
    let key = hkdf(salt, &ikm, b"Content-Encoding: aes128gcm\0");
    let nonce = hkdf(salt, &ikm, b"Content-Encoding: nonce\0");
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).ok()?);
    let mut text = body[HEADER_BYTES..].to_vec();
    let length = key.open_in_place(Nonce::try_assume_unique_for_key(&nonce[..12]).ok()?, Aad::empty(), &mut text).ok()?.len();
    text.truncate(length);
    let end = text.iter().rposition(|byte| *byte != 0).filter(|end| text[*end] == 2)?;
    text.truncate(end);
    Some(text)
}

/// HKDF with SHA-256, its first block (RFC 5869).
fn hkdf(salt: &[u8], ikm: &[u8], info: &[u8]) -> [u8; 32] {
    let sign = |key: &[u8], data: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    let mut block = [0; 32];
    block.copy_from_slice(sign(sign(salt, ikm).as_ref(), &[info, &[1]].concat()).as_ref());
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::key::Key;
    use http::Request;

    /// The message of RFC 8291 §5, "When I grow up, I want to be a watermelon".
    const MESSAGE: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    #[test]
    fn the_example_of_rfc_8291_is_opened() {
        let message = URL_SAFE_NO_PAD.decode(MESSAGE).unwrap();
        assert_eq!(open(&message).unwrap(), b"When I grow up, I want to be a watermelon");
    }

    #[test]
    fn a_wrong_device_token_header_or_body_is_refused() {
        let mut browsers = Browsers::new(7);
        let path = format!("{PATH}{}", std::str::from_utf8(&tokens::token(3)).unwrap());
        let request = |path: &str, authorization: &str| {
            let request = Request::post(path).header("authorization", authorization).header("ttl", "5").header("urgency", "normal");
            let request = request.header("topic", "AAAAAAAAAAAAAAAAAAAADg").header("content-encoding", "aes128gcm");
            request.body(()).unwrap().into_parts().0
        };
        let message = URL_SAFE_NO_PAD.decode(MESSAGE).unwrap();
        let mut said = |head: &Parts, body: &[u8]| browsers.examine(head, body, &[], 1_000).unwrap_err().1;
        assert_eq!(said(&request("/send/x", "a"), &message), "NotFound");
        assert_eq!(said(&request(&path, "bearer x"), &message), "InvalidVapid");
        let signed = Key::generate().unwrap().sign(1_000).unwrap();
        assert_eq!(said(&request(&path, &format!("vapid t={signed}, k=AAAA")), &message), "InvalidVapid");
        browsers.known_authorization = Some(HeaderValue::from_static("a"));
        let mut said = |body: &[u8]| browsers.examine(&request(&path, "a"), body, &[], 1_000).unwrap_err().1;
        assert_eq!(said(b"short"), "NoHeader");
        assert_eq!(said(&[0; 200]), "WrongHeader");
        assert_eq!(said(&[0; 5000]), "TooLarge");
        assert_eq!(said(&message), "NotJson", "opened and read");
        assert_eq!(said(&message), "KeyOrSaltUsedTwice");
    }
}
