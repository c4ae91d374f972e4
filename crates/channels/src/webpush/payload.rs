//! The payload: JSON that a service worker reads, made once per event, language and privacy class, and encrypted for each
//! browser.

use super::seal::MOST_PLAIN_BYTES;
use crate::cut::{fit, in_json};
use bytes::Bytes;
use model::source::Words;
use serde_json::json;

/// What a title may take once escaped when the body has to be shortened too.
const TITLE_BYTES: usize = 1024;

/// Makes the payload. A body that does not fit is cut at a character boundary; a title only when it alone is enormous.
pub(super) fn payload(words: &Words) -> Bytes {
    let whole = write(words, &words.title, &words.body);
    if whole.len() <= MOST_PLAIN_BYTES {
        return whole.into();
    }
    let title = fit(&words.title, TITLE_BYTES, in_json);
    let frame = write(words, &title, "").len();
    let body = fit(&words.body, MOST_PLAIN_BYTES.saturating_sub(frame), in_json);
    write(words, &title, &body).into()
}

/// A private one holds no content: its words say only that there is something, and the app fetches it by the event's id.
fn write(words: &Words, title: &str, body: &str) -> Vec<u8> {
    let carillon = json!({"eventId": words.event, "kind": words.kind, "private": words.private});
    let payload = json!({"title": title, "body": body, "lang": words.locale.tag(), "carillon": carillon});
    serde_json::to_vec(&payload).expect("a JSON value can be written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::source::Mail;
    use model::text::Locale;
    use proptest::prelude::*;
    use serde_json::Value;
    use uuid::Uuid;

    fn words(title: &str, body: &str, private: bool) -> Words {
        Words {
            event: Uuid::from_u128(7),
            kind: "custom.notification",
            locale: Locale::Fr,
            private,
            title: title.into(),
            body: body.into(),
            mail: Mail::default(),
        }
    }

    #[test]
    fn a_payload_says_title_body_language_event_and_kind() {
        let value: Value = serde_json::from_slice(&payload(&words("Lift", "Out of \"order\"", false))).expect("JSON");
        let carillon = json!({"eventId": "00000000-0000-0000-0000-000000000007", "kind": "custom.notification", "private": false});
        assert_eq!(value, json!({"title": "Lift", "body": "Out of \"order\"", "lang": "fr", "carillon": carillon}));
    }

    #[test]
    fn the_cut_wastes_no_room() {
        for c in ["x", "é", "漢", "😀", "\"", "\u{1}"] {
            let cut = payload(&words("t", &c.repeat(5000), true));
            let value: Value = serde_json::from_slice(&cut).expect("JSON");
            assert!(value["body"].as_str().is_some_and(|body| body.ends_with('…')), "{c:?}");
            assert!(cut.len() > MOST_PLAIN_BYTES - 12, "{c:?} {}", cut.len());
            assert_eq!(value["carillon"]["private"], true);
        }
    }

    proptest! {
        #[test]
        fn every_payload_is_json_fits_and_holds_a_beginning_of_the_body(
            title in prop_oneof!["\\PC{0,50}", "[\"\\\\\u{1}-\u{1f}é😀]{0,3000}"],
            body in prop_oneof!["\\PC{0,500}", "[\"\\\\\u{0}-\u{1f}a漢😀]{0,5000}", "[ -~]{3800,4200}"],
        ) {
            let cut = payload(&words(&title, &body, false));
            prop_assert!(cut.len() <= MOST_PLAIN_BYTES, "{} bytes", cut.len());
            let value: Value = serde_json::from_slice(&cut).expect("valid JSON");
            let kept = value["body"].as_str().expect("a body").to_owned();
            let stem = kept.strip_suffix('…').unwrap_or(&kept);
            prop_assert!(kept == body || body.starts_with(stem));
        }
    }
}
