//! What strangers write to the channels, for tests that read arbitrary bytes: providers' answers, a relay's replies, and what
//! devices say about where they are reached. Nothing here sends.

use crate::http2::Answer;
use crate::{apns, bearer, email, fcm, webpush, wns};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use model::outcome::Outcome;
use model::time::Timestamp;

/// An answer with any status, headers (`name: value`, one a line) and body; none when the status is none.
fn answer(status: u16, headers: &str, body: &[u8]) -> Option<Answer> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")).take(20) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            map.append(name, value);
        }
    }
    Some(Answer { status: StatusCode::from_u16(status).ok()?, headers: map, body: Bytes::copy_from_slice(body) })
}

/// What each provider of pushes means by this, whatever was sent to it.
pub fn provider(status: u16, headers: &str, body: &[u8], now: Timestamp) -> Vec<Outcome> {
    let Some(answer) = answer(status, headers, body) else { return Vec::new() };
    let mut outcomes = Vec::new();
    for flag in [true, false] {
        outcomes.push(apns::said(&answer, flag, || flag, now));
        outcomes.push(fcm::said(&answer, || flag, now));
        outcomes.push(wns::said(&answer, || flag, now));
        outcomes.push(webpush::said(&answer, flag, now));
    }
    outcomes.extend(bearer::said(&answer, now));
    outcomes
}

/// What a relay means by this, at every stage.
pub fn relay(bytes: &[u8]) -> Vec<Outcome> {
    email::said(bytes)
}

/// Whether a browser's subscription can be used.
pub fn subscription(endpoint: &str, p256dh: &str, auth: &str) -> bool {
    webpush::subscription(endpoint, p256dh, auth)
}

/// Whether a channel URL leads to Microsoft's service.
pub fn channel_url(url: &str) -> bool {
    wns::leads_to_wns(url)
}
