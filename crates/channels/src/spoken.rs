//! What providers say in more than their status: patience, and words that we do not know.

use http::{HeaderMap, header};
use model::time::Timestamp;
use std::borrow::Cow;
use std::time::Duration;

/// Longest unknown word that is kept, in bytes.
const MOST_WORD_BYTES: usize = 64;

/// `Retry-After` of an answer, as seconds or as a date (RFC 9110 §10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    patience(headers.get(header::RETRY_AFTER)?.to_str().ok()?, now)
}

fn patience(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?;
    Some(Timestamp(at.timestamp().as_millisecond()).since(now))
}

/// An unknown code, as far as it looks like one: letters, digits and underscores, and not without end.
pub(crate) fn word(said: &str) -> Cow<'static, str> {
    let word: String = said.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(MOST_WORD_BYTES).collect();
    if word.is_empty() { Cow::Borrowed("unexpected_answer") } else { Cow::Owned(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = Timestamp(784_111_777_000);
        assert_eq!(patience(" 120 ", now), Some(Duration::from_secs(120)));
        assert_eq!(patience("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(patience("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO), "the past is now");
        assert_eq!(patience("soon", now), None);
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers, now), None);
        headers.insert(header::RETRY_AFTER, "7".parse().expect("a value"));
        assert_eq!(retry_after(&headers, now), Some(Duration::from_secs(7)));
    }

    #[test]
    fn unknown_words_are_kept_as_words_only() {
        assert_eq!(word("New Reason\r\n<b>"), "NewReasonb");
        assert_eq!(word("NEW_CODE"), "NEW_CODE");
        assert_eq!(word("<>"), "unexpected_answer");
        assert_eq!(word(&"x".repeat(1000)).len(), 64);
    }
}
