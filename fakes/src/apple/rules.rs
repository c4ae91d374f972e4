//! What the fake checks in a request, in Apple's words.

use super::Checks;
use http::HeaderValue;
use http::header::HeaderMap;
use http::request::Parts;
use serde::{Deserialize, Serialize};

/// Most bytes of a payload.
pub(super) const MOST_PAYLOAD_BYTES: usize = 4096;
/// How old a provider token may be, in seconds.
const MOST_TOKEN_AGE: i64 = 3600;

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// Status of the response.
    pub status: u16,
    /// Apple's word; empty when it was accepted.
    #[serde(default)]
    pub reason: String,
    /// Milliseconds of Unix time since when the token is gone (410).
    #[serde(default)]
    pub timestamp: Option<i64>,
    /// Seconds of a `Retry-After` header.
    #[serde(default)]
    pub retry_after_seconds: Option<u64>,
}

impl Answer {
    /// 200.
    pub fn accepted() -> Answer {
        Answer::refused(200, "")
    }

    /// A refusal with a status and a reason.
    pub fn refused(status: u16, reason: &str) -> Answer {
        Answer { status, reason: reason.to_owned(), timestamp: None, retry_after_seconds: None }
    }

    /// 410 since `timestamp` (milliseconds of Unix time).
    pub fn gone(timestamp: i64) -> Answer {
        Answer { timestamp: Some(timestamp), ..Answer::refused(410, "Unregistered") }
    }

    /// The same with a `Retry-After`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Answer {
        Answer { retry_after_seconds: Some(seconds), ..self }
    }
}

/// What one connection has already checked, so that a repeated header or payload is not checked again.
#[derive(Default)]
pub(super) struct Seen {
    authorization: Option<(HeaderValue, i64)>,
    payload: Vec<u8>,
}

/// A refusal of the request, or nothing when Apple would take it. `now` is Unix time in seconds by the fake's clock.
pub(super) fn examine(head: &Parts, payload: &[u8], checks: &Checks, seen: &mut Seen, now: i64) -> Option<Answer> {
    if head.method != http::Method::POST {
        return Some(Answer::refused(405, "MethodNotAllowed"));
    }
    let token = token_of(head)?;
    let reason = provider_token(&head.headers, checks, seen, now).map(|reason| (403, reason));
    let reason = reason
        .or_else(|| device_token(token).map(|r| (400, r)))
        .or_else(|| topic(&head.headers, checks).map(|r| (400, r)))
        .or_else(|| fields(&head.headers).map(|r| (400, r)))
        .or_else(|| body(payload, checks, seen));
    reason.map(|(status, reason)| Answer::refused(status, reason))
}

/// The device token of a path, or `None` when the path leads nowhere.
pub(super) fn token_of(head: &Parts) -> Option<&str> {
    head.uri.path().strip_prefix("/3/device/")
}

fn provider_token(headers: &HeaderMap, checks: &Checks, seen: &mut Seen, now: i64) -> Option<&'static str> {
    let key = checks.key.as_ref()?;
    let Some(value) = headers.get(http::header::AUTHORIZATION) else { return Some("MissingProviderToken") };
    let known = seen.authorization.as_ref().filter(|(known, _)| known.as_bytes() == value.as_bytes()).map(|(_, issued)| *issued);
    let issued = known.or_else(|| {
        let token = value.to_str().ok()?;
        let token = token.strip_prefix("bearer ").or_else(|| token.strip_prefix("Bearer "))?;
        let issued = key.issued_at(token)?;
        seen.authorization = Some((value.clone(), issued));
        Some(issued)
    });
    match issued {
        None => Some("InvalidProviderToken"),
        Some(issued) if now - issued > MOST_TOKEN_AGE => Some("ExpiredProviderToken"),
        Some(issued) if issued - now > 300 => Some("InvalidProviderToken"),
        Some(_) => None,
    }
}

fn device_token(token: &str) -> Option<&'static str> {
    if token.is_empty() {
        return Some("MissingDeviceToken");
    }
    let hex = token.len().is_multiple_of(2) && (16..=200).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_hexdigit());
    (!hex).then_some("BadDeviceToken")
}

fn topic(headers: &HeaderMap, checks: &Checks) -> Option<&'static str> {
    let Some(topic) = headers.get("apns-topic") else { return Some("MissingTopic") };
    let known = checks.topics.is_empty() || checks.topics.iter().any(|t| t.as_bytes() == topic.as_bytes());
    (!known).then_some("TopicDisallowed")
}

fn fields(headers: &HeaderMap) -> Option<&'static str> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("\u{0}"));
    if text("apns-priority").is_some_and(|p| !["1", "5", "10"].contains(&p)) {
        return Some("BadPriority");
    }
    if text("apns-expiration").is_some_and(|e| e.parse::<u64>().is_err()) {
        return Some("BadExpirationDate");
    }
    if text("apns-collapse-id").is_some_and(|c| c.len() > 64) {
        return Some("BadCollapseId");
    }
    if text("apns-id").is_some_and(|id| uuid::Uuid::try_parse(id).is_err()) {
        return Some("BadMessageId");
    }
    let known = ["alert", "background", "voip", "complication", "fileprovider", "mdm", "location", "liveactivity", "pushtotalk", "widgets"];
    text("apns-push-type").is_none_or(|t| !known.contains(&t)).then_some("InvalidPushType")
}

fn body(payload: &[u8], checks: &Checks, seen: &mut Seen) -> Option<(u16, &'static str)> {
    if payload.is_empty() {
        return Some((400, "PayloadEmpty"));
    }
    if payload.len() > MOST_PAYLOAD_BYTES {
        return Some((413, "PayloadTooLarge"));
    }
    if payload != seen.payload {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(payload) else { return Some((400, "PayloadEmpty")) };
        if !value["aps"].is_object() {
            return Some((400, "PayloadEmpty"));
        }
        seen.payload = payload.to_vec();
    }
    if let Some(text) = &checks.text {
        let found = payload.windows(text.len()).any(|window| window == text.as_bytes());
        return (!found).then_some((400, "WrongText"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const BODY: &[u8] = br#"{"aps":{"alert":"x"}}"#;
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);
    const PATH: &str = "/3/device/00112233445566778899";

    fn ruling(path: &str, headers: &[(&str, &str)], payload: &[u8]) -> Option<(u16, String)> {
        let mut request = Request::post(path);
        for (name, value) in [("apns-topic", "t"), ("apns-push-type", "alert")].iter().chain(headers) {
            if !value.is_empty() {
                request
                    .headers_mut()
                    .expect("no error so far")
                    .insert(http::HeaderName::try_from(*name).expect("a name"), value.parse().expect("a value"));
            } else {
                request.headers_mut().expect("no error so far").remove(*name);
            }
        }
        let head = request.body(()).expect("a request").into_parts().0;
        let checks = Checks { key: None, topics: vec!["t".into()], text: Some("alert".into()) };
        examine(&head, payload, &checks, &mut Seen::default(), 0).map(|answer| (answer.status, answer.reason))
    }

    #[test]
    fn every_mistake_has_apples_word() {
        assert_eq!(ruling(PATH, &[], BODY), None);
        let long = "x".repeat(65);
        let large = [b"{\"aps\":{},\"x\":\"".as_slice(), &[b'x'; 5000], b"\"}"].concat();
        let table: &[Row<'_>] = &[
            ("/3/device/", &[], BODY, 400, "MissingDeviceToken"),
            ("/3/device/xyz", &[], BODY, 400, "BadDeviceToken"),
            ("/3/device/001", &[], BODY, 400, "BadDeviceToken"),
            (PATH, &[("apns-topic", "")], BODY, 400, "MissingTopic"),
            (PATH, &[("apns-topic", "other")], BODY, 400, "TopicDisallowed"),
            (PATH, &[("apns-priority", "7")], BODY, 400, "BadPriority"),
            (PATH, &[("apns-expiration", "soon")], BODY, 400, "BadExpirationDate"),
            (PATH, &[("apns-collapse-id", &long)], BODY, 400, "BadCollapseId"),
            (PATH, &[("apns-id", "7")], BODY, 400, "BadMessageId"),
            (PATH, &[("apns-push-type", "shout")], BODY, 400, "InvalidPushType"),
            (PATH, &[], b"", 400, "PayloadEmpty"),
            (PATH, &[], b"not JSON", 400, "PayloadEmpty"),
            (PATH, &[], &large, 413, "PayloadTooLarge"),
            (PATH, &[], br#"{"aps":{}}"#, 400, "WrongText"),
        ];
        for (path, headers, payload, status, reason) in table {
            assert_eq!(ruling(path, headers, payload), Some((*status, (*reason).to_owned())), "{path} {headers:?}");
        }
    }

    #[test]
    fn a_provider_token_has_to_be_there_signed_and_young() {
        let checks = Checks { key: Some(super::super::Key::generate("K", "T")), topics: vec![], text: None };
        let said = |value: &str| {
            let mut headers = HeaderMap::new();
            if !value.is_empty() {
                headers.insert("authorization", value.parse().expect("a value"));
            }
            provider_token(&headers, &checks, &mut Seen::default(), 0)
        };
        assert_eq!(said(""), Some("MissingProviderToken"));
        assert_eq!(said("bearer a.b.c"), Some("InvalidProviderToken"));
        assert_eq!(said("basic x"), Some("InvalidProviderToken"));
    }
}
