//! The payload: JSON of at most 4,096 bytes, made once per event, language and privacy class.

use crate::cut::{fit, in_json};
use bytes::Bytes;
use model::source::Words;
use serde_json::{Value, json};

/// Apple's limit for alerts, in bytes.
pub(super) const MOST_BYTES: usize = 4096;
/// What a title may take of it once escaped when the body has to be shortened too.
const TITLE_BYTES: usize = 1024;

/// Makes the payload. A body that does not fit is cut at a character boundary; a title only when it alone is enormous.
pub(super) fn payload(words: &Words) -> Bytes {
    let whole = write(words, &words.title, &words.body);
    if whole.len() <= MOST_BYTES {
        return whole.into();
    }
    let title = fit(&words.title, TITLE_BYTES, in_json);
    let frame = write(words, &title, "").len();
    let body = fit(&words.body, MOST_BYTES.saturating_sub(frame), in_json);
    write(words, &title, &body).into()
}

fn write(words: &Words, title: &str, body: &str) -> Vec<u8> {
    let mut aps = json!({"alert": {"title": title, "body": body}, "sound": "default"});
    if words.private {
        // The app's extension fetches the text and puts it in; where there is no extension, the app is woken to.
        aps["mutable-content"] = Value::from(1);
        aps["content-available"] = Value::from(1);
    }
    let carillon = json!({"eventId": words.event, "kind": words.kind, "private": words.private});
    serde_json::to_vec(&json!({"aps": aps, "carillon": carillon})).expect("a JSON value can be written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::source::Mail;
    use model::text::Locale;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn words(title: &str, body: &str, private: bool) -> Words {
        Words {
            event: Uuid::from_u128(7),
            kind: "custom.notification",
            locale: Locale::En,
            private,
            title: title.into(),
            body: body.into(),
            mail: Mail::default(),
        }
    }

    #[test]
    fn a_payload_says_title_body_event_and_kind() {
        let value: Value = serde_json::from_slice(&payload(&words("Lift", "Out of \"order\"", false))).expect("JSON");
        assert_eq!(value["aps"], json!({"alert": {"title": "Lift", "body": "Out of \"order\""}, "sound": "default"}));
        assert_eq!(value["carillon"]["eventId"], "00000000-0000-0000-0000-000000000007");
        assert_eq!(value["carillon"]["kind"], "custom.notification");
        assert_eq!(value["carillon"]["private"], false);
    }

    #[test]
    fn a_private_payload_lets_the_app_fetch_the_text() {
        let value: Value = serde_json::from_slice(&payload(&words("Carillon", "New message", true))).expect("JSON");
        assert_eq!((&value["aps"]["mutable-content"], &value["aps"]["content-available"]), (&json!(1), &json!(1)));
        assert_eq!(value["carillon"]["private"], true);
    }

    #[test]
    fn the_cut_wastes_no_room() {
        for c in ["x", "é", "漢", "😀", "\"", "\n", "\u{1}"] {
            let cut = payload(&words("t", &c.repeat(5000), false));
            let value: Value = serde_json::from_slice(&cut).expect("JSON");
            let body = value["aps"]["alert"]["body"].as_str().expect("a body");
            assert!(body.ends_with('…'), "{c:?}");
            // Line breaks at the cut are trimmed away, so they are not counted.
            assert!(c == "\n" || cut.len() > MOST_BYTES - 12, "{c:?} {}", cut.len());
        }
    }

    proptest! {
        #[test]
        fn every_payload_is_json_fits_and_holds_a_beginning_of_the_body(
            title in prop_oneof!["\\PC{0,50}", "[\"\\\\\u{1}-\u{1f}é😀]{0,3000}"],
            body in prop_oneof!["\\PC{0,500}", "[\"\\\\\u{0}-\u{1f}a漢😀]{0,5000}", "[ -~]{3800,4200}"],
            private: bool,
        ) {
            let cut = payload(&words(&title, &body, private));
            prop_assert!(cut.len() <= MOST_BYTES, "{} bytes", cut.len());
            let value: Value = serde_json::from_slice(&cut).expect("valid JSON");
            let kept = value["aps"]["alert"]["body"].as_str().expect("a body").to_owned();
            let stem = kept.strip_suffix('…').unwrap_or(&kept);
            prop_assert!(kept == body || body.starts_with(stem));
        }
    }
}
