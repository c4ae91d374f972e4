//! What the fake checks in a request, in the words of Mozilla's autopush.

use super::browser::well_formed;
use super::{Browser, Checks};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most bytes of a body (RFC 8030 §7.2).
const MOST_BODY_BYTES: usize = 4096;
/// How far ahead a token may end, in seconds (RFC 8292 §2).
const MOST_TOKEN_LIFE: i64 = 24 * 3600;
/// Most characters of a topic (RFC 8030 §5.4).
const MOST_TOPIC_CHARS: usize = 32;

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// Status of the response.
    pub status: u16,
    /// Mozilla's number of the error; without one the answer is plain text, as Google's are.
    #[serde(default)]
    pub errno: u16,
    /// What is said; empty when it was accepted.
    #[serde(default)]
    pub reason: String,
    /// Seconds of a `Retry-After` header.
    #[serde(default)]
    pub retry_after_seconds: Option<u64>,
}

impl Answer {
    /// 201.
    pub fn accepted() -> Answer {
        Answer::refused(201, 0, "")
    }

    /// A refusal.
    pub fn refused(status: u16, errno: u16, reason: &str) -> Answer {
        Answer { status, errno, reason: reason.to_owned(), retry_after_seconds: None }
    }

    /// 410, as Mozilla says it.
    pub fn gone() -> Answer {
        Answer::refused(410, 106, "No such subscription")
    }

    /// The key is not the one of the subscription, as Google says it.
    pub fn other_key() -> Answer {
        let words =
            "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.";
        Answer::refused(403, 0, words)
    }

    /// The same with a `Retry-After`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Answer {
        Answer { retry_after_seconds: Some(seconds), ..self }
    }

    /// The body of the response.
    pub(super) fn body(&self) -> String {
        if self.errno == 0 {
            return self.reason.clone();
        }
        let error = http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        serde_json::json!({"code": self.status, "errno": self.errno, "error": error, "message": self.reason}).to_string()
    }
}

/// A token whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The public key that signed it, in base64url.
    pub key: String,
    /// For which push service.
    pub aud: String,
    /// Until when, in Unix seconds.
    pub exp: i64,
    /// Whom the service may write to.
    pub sub: String,
}

/// Checks the signature of an `authorization` header (RFC 8292 §3); `None` when anything about its form is wrong.
pub fn verify_vapid(header: &str) -> Option<Verified> {
    let parameters = header.strip_prefix("vapid ")?;
    let parameter = |name: &str| parameters.split(',').find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='));
    let (token, key) = (parameter("t")?, parameter("k")?);
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let part = |text: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok() };
    let (head, claims) = (part(head)?, part(claims)?);
    if head["alg"] != "ES256" || head["typ"] != "JWT" {
        return None;
    }
    let public = URL_SAFE_NO_PAD.decode(key).ok()?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(signed.as_bytes(), &signature).ok()?;
    let text = |name: &str| claims[name].as_str().map(str::to_owned);
    Some(Verified { key: key.to_owned(), aud: text("aud")?, exp: claims["exp"].as_i64()?, sub: text("sub").unwrap_or_default() })
}

/// What one connection has already checked, so that a repeated header is not checked again.
#[derive(Default)]
pub(super) struct Seen {
    authorization: Option<(HeaderValue, Verified)>,
}

/// A request that the original would take: what it says once opened, when that was asked for; else the refusal. `now` is
/// Unix time in seconds by the fake's clock.
pub(super) fn examine(head: &Parts, body: &[u8], checks: &Checks, seen: &mut Seen, now: i64) -> Result<Option<Vec<u8>>, Answer> {
    if head.method != Method::POST {
        return Err(Answer::refused(405, 0, "Method Not Allowed"));
    }
    if subscription_of(head).is_none() {
        return Err(Answer::refused(404, 102, "Not Found"));
    }
    token(&head.headers, checks, seen, now)?;
    fields(&head.headers)?;
    if body.len() > MOST_BODY_BYTES {
        return Err(Answer::refused(413, 104, "This message is intended for a constrained device and is limited in size"));
    }
    if !well_formed(body) {
        return Err(Answer::refused(400, 110, "Invalid aes128gcm header"));
    }
    let Some(browser) = &checks.browser else { return Ok(None) };
    opened(browser, body, checks).map(Some)
}

/// The subscription of a path, or `None` when the path leads nowhere.
pub(super) fn subscription_of(head: &Parts) -> Option<&str> {
    head.uri.path().strip_prefix("/send/").filter(|id| !id.is_empty() && !id.contains('/'))
}

fn token(headers: &HeaderMap, checks: &Checks, seen: &mut Seen, now: i64) -> Result<(), Answer> {
    let wrong = |reason: &str| Err(Answer::refused(401, 109, reason));
    let Some(value) = headers.get(header::AUTHORIZATION) else { return wrong("Missing VAPID token") };
    let known = seen.authorization.as_ref().filter(|(known, _)| known == value).map(|(_, verified)| verified.clone());
    let Some(verified) = known.or_else(|| verify_vapid(value.to_str().ok()?)) else { return wrong("Invalid VAPID token") };
    seen.authorization = Some((value.clone(), verified.clone()));
    if !checks.origins.contains(&verified.aud) {
        return wrong("Invalid VAPID audience");
    }
    if verified.exp <= now {
        return wrong("Invalid VAPID expiry");
    }
    if verified.exp > now + MOST_TOKEN_LIFE {
        return wrong("The VAPID token expiration is too long");
    }
    match &checks.key {
        Some(key) if *key != verified.key => wrong("VAPID public key mismatch"),
        Some(_) | None => Ok(()),
    }
}

fn fields(headers: &HeaderMap) -> Result<(), Answer> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("\u{0}"));
    let wrong = |errno, reason: &str| Err(Answer::refused(400, errno, reason));
    match text("ttl") {
        None => return wrong(111, "Missing TTL Header"),
        Some(ttl) if ttl.parse::<u32>().is_err() => return wrong(112, "Invalid TTL header value"),
        Some(_) => {}
    }
    if text("urgency").is_some_and(|urgency| !["very-low", "low", "normal", "high"].contains(&urgency)) {
        return wrong(114, "Invalid Urgency header value");
    }
    let fits = |topic: &str| topic.len() <= MOST_TOPIC_CHARS && topic.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if text("topic").is_some_and(|topic| !fits(topic)) {
        return wrong(113, "Invalid Topic header value");
    }
    if text("content-encoding") != Some("aes128gcm") {
        return wrong(110, "Invalid Content-Encoding");
    }
    Ok(())
}

fn opened(browser: &Browser, body: &[u8], checks: &Checks) -> Result<Vec<u8>, Answer> {
    let plain = browser.open(body).ok_or_else(|| Answer::refused(400, 0, "the fake's browser cannot open this message"))?;
    match &checks.text {
        Some(text) if !plain.windows(text.len()).any(|window| window == text.as_bytes()) => Err(Answer::refused(400, 0, "WrongText")),
        Some(_) | None => Ok(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apple::Key;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use http::Request;

    type Row<'a> = (&'a str, &'a [(&'static str, &'a str)], &'a [u8], u16, u16);
    const NOW: i64 = 1_700_000_000;
    const AUD: &str = "https://127.0.0.1:1";

    fn vapid(key: &Key, aud: &str, exp: i64) -> String {
        let der: String = key.pem().lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(der).expect("base64");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).expect("a key");
        let part = |text: String| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(r#"{"typ":"JWT","alg":"ES256"}"#.into()), part(format!(r#"{{"aud":"{aud}","exp":{exp}}}"#)));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
        format!("vapid t={signed}.{}, k={}", part_of(signature.as_ref()), part_of(key.public()))
    }

    fn part_of(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn every_mistake_has_its_status_and_number() {
        let (key, other) = (Key::generate("K", "T"), Key::generate("K", "T"));
        let checks = Checks { key: Some(part_of(key.public())), origins: vec![AUD.into()], text: None, browser: None };
        let body = [&[0; 16][..], &4096_u32.to_be_bytes(), &[65, 4], &[0; 64], &[0; 20]].concat();
        let right = vapid(&key, AUD, NOW + 3600);
        let ruling = |path: &str, headers: &[(&'static str, &str)], body: &[u8]| {
            let mut request = Request::post(path).body(()).expect("a request");
            for (name, value) in [("authorization", right.as_str()), ("ttl", "60"), ("content-encoding", "aes128gcm")].iter().chain(headers)
            {
                request.headers_mut().insert(*name, value.parse().expect("a value"));
            }
            examine(&request.into_parts().0, body, &checks, &mut Seen::default(), NOW).err().map(|a| (a.status, a.errno, a.reason))
        };
        assert_eq!(ruling("/send/a", &[("topic", "AAAAAAAAAAAAAAAAAAAADg"), ("urgency", "high")], &body), None);
        let table: [Row<'_>; 14] = [
            ("/elsewhere", &[], &body, 404, 102),
            ("/send/", &[], &body, 404, 102),
            ("/send/a", &[("authorization", "vapid t=a.b.c, k=x")], &body, 401, 109),
            ("/send/a", &[("authorization", &vapid(&other, AUD, NOW + 3600))], &body, 401, 109),
            ("/send/a", &[("authorization", &vapid(&key, "https://other.example", NOW + 3600))], &body, 401, 109),
            ("/send/a", &[("authorization", &vapid(&key, AUD, NOW))], &body, 401, 109),
            ("/send/a", &[("authorization", &vapid(&key, AUD, NOW + 90_000))], &body, 401, 109),
            ("/send/a", &[("ttl", "soon")], &body, 400, 112),
            ("/send/a", &[("urgency", "shout")], &body, 400, 114),
            ("/send/a", &[("topic", "no spaces")], &body, 400, 113),
            ("/send/a", &[("topic", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")], &body, 400, 113),
            ("/send/a", &[("content-encoding", "aesgcm")], &body, 400, 110),
            ("/send/a", &[], b"short", 400, 110),
            ("/send/a", &[], &[0; 4097], 413, 104),
        ];
        for (path, headers, body, status, errno) in table {
            let said = ruling(path, headers, body).map(|(status, errno, _)| (status, errno));
            assert_eq!(said, Some((status, errno)), "{path} {headers:?}");
        }
    }
}
