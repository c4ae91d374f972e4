//! What the fake checks in a push.

use super::Answer;
use http::header::{self, HeaderMap};

/// Most bytes of a payload.
pub(super) const MOST_PAYLOAD_BYTES: usize = 5000;
/// Longest tag or group.
const MOST_TAG: usize = 16;

/// A refusal, or nothing when Microsoft would take it.
pub(super) fn examine(headers: &HeaderMap, body: &[u8]) -> Option<Answer> {
    fields(headers).map(|why| Answer::refused(400, why)).or_else(|| {
        let large = body.len() > MOST_PAYLOAD_BYTES;
        let toast = headers.get("x-wns-type").is_some_and(|kind| kind == "wns/toast");
        if large {
            Some(Answer::refused(413, "The payload is larger than 5000 bytes"))
        } else if toast && !is_toast(body) {
            Some(Answer::refused(200, "dropped"))
        } else {
            None
        }
    })
}

fn fields(headers: &HeaderMap) -> Option<&'static str> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("\u{0}"));
    let kind = text("x-wns-type");
    let wanted = match kind {
        Some("wns/toast" | "wns/tile" | "wns/badge") => "text/xml",
        Some("wns/raw") => "application/octet-stream",
        _ => return Some("X-WNS-Type is missing or wrong"),
    };
    if text(header::CONTENT_TYPE.as_str()).is_none_or(|form| !form.starts_with(wanted)) {
        return Some("Content-Type does not belong to X-WNS-Type");
    }
    if text(header::CONTENT_LENGTH.as_str()).is_none() || headers.contains_key(header::TRANSFER_ENCODING) {
        return Some("Content-Length is missing; chunking is not supported");
    }
    if text("x-wns-cache-policy").is_some_and(|policy| kind == Some("wns/toast") || !["cache", "no-cache"].contains(&policy)) {
        return Some("X-WNS-Cache-Policy is wrong, or stands with a toast");
    }
    if text("x-wns-requestforstatus").is_some_and(|wanted| !["true", "false"].contains(&wanted)) {
        return Some("X-WNS-RequestForStatus is neither true nor false");
    }
    if text("x-wns-ttl").is_some_and(|ttl| ttl.parse::<u32>().is_err()) {
        return Some("X-WNS-TTL is not a number of seconds");
    }
    if text("x-wns-priority").is_some_and(|priority| !["1", "2", "3", "4"].contains(&priority)) {
        return Some("X-WNS-PRIORITY is not 1 to 4");
    }
    let fine = |tag: &str| (1..=MOST_TAG).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    if ["x-wns-tag", "x-wns-group"].iter().any(|name| text(name).is_some_and(|tag| !fine(tag))) {
        return Some("X-WNS-Tag or X-WNS-Group is not 1 to 16 letters and digits");
    }
    None
}

/// Enough of a look to find a text that broke out: tags in pairs, no bare ampersand.
fn is_toast(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let opened = text.matches("<text>").count();
    let entities =
        text.match_indices('&').all(|(at, _)| ["&amp;", "&lt;", "&gt;", "&quot;", "&#"].iter().any(|e| text[at..].starts_with(e)));
    text.contains("<toast") && text.ends_with("</toast>") && opened > 0 && opened == text.matches("</text>").count() && entities
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOAST: &[u8] = b"<toast><visual><binding template=\"ToastGeneric\"><text>a &amp; b</text></binding></visual></toast>";

    fn ruling(edit: &[(&'static str, &str)], body: &[u8]) -> Option<u16> {
        let usual =
            [("x-wns-type", "wns/toast"), ("content-type", "text/xml"), ("content-length", "1"), ("x-wns-ttl", "60"), ("x-wns-tag", "abc")];
        let mut headers = HeaderMap::new();
        for (name, value) in usual.iter().chain(edit) {
            headers.insert(*name, value.parse().expect("a value"));
        }
        examine(&headers, body).map(|answer| answer.status)
    }

    #[test]
    fn every_wrong_header_is_a_bad_request_and_too_much_is_too_large() {
        assert_eq!(ruling(&[], TOAST), None);
        assert_eq!(ruling(&[("x-wns-type", "wns/raw"), ("content-type", "application/octet-stream")], b"anything"), None);
        for edit in [
            ("x-wns-type", "toast"),
            ("content-type", "application/json"),
            ("transfer-encoding", "chunked"),
            ("x-wns-cache-policy", "cache"),
            ("x-wns-requestforstatus", "yes"),
            ("x-wns-ttl", "soon"),
            ("x-wns-priority", "high"),
            ("x-wns-tag", "12345678901234567"),
            ("x-wns-group", "a-b"),
        ] {
            assert_eq!(ruling(&[edit], TOAST), Some(400), "{edit:?}");
        }
        assert_eq!(ruling(&[], &[b'x'; 5001]), Some(413));
        assert_eq!(ruling(&[], b"<toast><text>a & b</text></toast>"), Some(200), "dropped, as Windows cannot show it");
    }
}
