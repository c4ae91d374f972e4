//! The message: what is the same for every device is written once per event, language and privacy class; token, life and
//! ids are put before it for each letter.
//!
//! A message is a *notification*, which the system shows even when the app sleeps, with *data* beside it for the app. Its
//! tag hides repeats where the system shows it, the data id where the app does. A private one holds general words; the
//! data tell the app to fetch the text.

use crate::cut::{fit, in_json};
use bytes::{BufMut, Bytes, BytesMut};
use model::channel::{Letter, Rendered};
use model::event::Urgency;
use model::source::Words;
use serde_json::json;

/// Google's limit for what a message carries, in bytes. Here it bounds the whole request but the token, to be safe.
pub(super) const MOST_BYTES: usize = 4096;
/// Most bytes of what [`whole`] puts before the shared part, apart from token and keys.
const FRAME_BYTES: usize = 256;
/// What a title may take once escaped when the body has to be shortened too.
const TITLE_BYTES: usize = 1024;
/// Longest life that Google takes: four weeks.
const MOST_SECONDS: u64 = 2_419_200;

/// The shared part: the rest of `data` and the notification. A body that does not fit is
/// cut at a character boundary; a title only when it alone is enormous.
pub(super) fn shared(words: &Words) -> Rendered {
    let most = MOST_BYTES - FRAME_BYTES;
    let mut body = write(words, &words.title, &words.body);
    if body.len() > most {
        let title = fit(&words.title, TITLE_BYTES, in_json);
        let frame = write(words, &title, "").len();
        body = write(words, &title, &fit(&words.body, most.saturating_sub(frame), in_json));
    }
    Rendered { body: body.into(), ..Rendered::default() }
}

/// `"eventId":…},"notification":{…}}}`: continues an open `data` object and closes everything.
fn write(words: &Words, title: &str, body: &str) -> Vec<u8> {
    let private = if words.private { "true" } else { "false" };
    let data = json!({"eventId": words.event, "kind": words.kind, "private": private}).to_string();
    let notification = json!({"title": title, "body": body});
    format!("{},\"notification\":{notification}}}}}", &data[1..]).into_bytes()
}

/// The whole request for one letter to `token`.
///
/// The collapse key is the event's: notifications that wait for a device that is offline are collapsible anyhow, all of an
/// app under one key unless told, so that only the last would come. Google keeps four keys for a device.
pub(super) fn whole(letter: &Letter<'_>, token: &str) -> Bytes {
    let shared = letter.content;
    let mut out = BytesMut::with_capacity(FRAME_BYTES + token.len() + shared.body.len());
    out.put_slice(b"{\"message\":{\"token\":");
    put_string(&mut out, token);
    out.put_slice(b",\"android\":{\"priority\":");
    out.put_slice(priority(letter.urgency));
    out.put_slice(b",\"ttl\":\"");
    put_number(&mut out, letter.expires_at.since(letter.now).as_secs().min(MOST_SECONDS));
    out.put_slice(b"s\",\"collapse_key\":");
    put_string(&mut out, letter.collapse_key);
    out.put_slice(b",\"notification\":{\"tag\":");
    put_string(&mut out, letter.collapse_key);
    out.put_slice(b",\"sound\":\"default\"}},\"data\":{\"id\":\"");
    let mut buffer = uuid::Uuid::encode_buffer();
    out.put_slice(letter.wire.uuid().hyphenated().encode_lower(&mut buffer).as_bytes());
    out.put_slice(b"\",");
    out.put_slice(&shared.body);
    out.freeze()
}

/// HIGH wakes a sleeping device at once, NORMAL waits until it wakes by itself.
fn priority(urgency: Urgency) -> &'static [u8] {
    match urgency {
        Urgency::High | Urgency::Normal => b"\"HIGH\"",
        Urgency::Low | Urgency::VeryLow => b"\"NORMAL\"",
    }
}

fn put_string(out: &mut BytesMut, text: &str) {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    if plain {
        out.put_u8(b'"');
        out.put_slice(text.as_bytes());
        out.put_u8(b'"');
    } else {
        out.put_slice(json!(text).to_string().as_bytes());
    }
}

fn put_number(out: &mut BytesMut, number: u64) {
    use std::fmt::Write;
    write!(out, "{number}").expect("a buffer that grows takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::channel::Address;
    use model::source::Mail;
    use model::text::Locale;
    use model::{EventKey, PersonKey, Timestamp, WireId};
    use proptest::prelude::*;
    use serde_json::Value;
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

    fn message(words: &Words, urgency: Urgency, seconds: i64) -> Value {
        let content = shared(words);
        let letter = Letter {
            wire: WireId::new(EventKey(1), PersonKey(2), 3),
            address: Address::Registration { token: "t", app: "", sandbox: false },
            content: &content,
            files: &[],
            urgency,
            expires_at: Timestamp(seconds * 1000 + 999),
            now: Timestamp(0),
            collapse_key: "AAAAAAAAAAAAAAAAAAAADg",
        };
        let whole = whole(&letter, "to:\"ken");
        assert!(whole.len() <= MOST_BYTES, "{}", whole.len());
        serde_json::from_slice::<Value>(&whole).expect("JSON")["message"].take()
    }

    #[test]
    fn a_message_says_everything_that_google_documents() {
        let value = message(&words("Lift", "Out of \"order\"", false), Urgency::Normal, 3600);
        assert_eq!(value["token"], "to:\"ken");
        assert_eq!(value["notification"], json!({"title": "Lift", "body": "Out of \"order\""}));
        let tag = json!({"tag": "AAAAAAAAAAAAAAAAAAAADg", "sound": "default"});
        let android = json!({"priority": "HIGH", "ttl": "3600s", "collapse_key": "AAAAAAAAAAAAAAAAAAAADg", "notification": tag});
        assert_eq!(value["android"], android);
        let data = json!({
            "id": WireId::new(EventKey(1), PersonKey(2), 3).to_string(),
            "eventId": "00000000-0000-0000-0000-000000000007",
            "kind": "custom.notification",
            "private": "false",
        });
        assert_eq!(value["data"], data, "every value is a string, as FCM wants it");
    }

    #[test]
    fn a_private_message_shows_general_words_and_tells_the_app_to_fetch_the_text() {
        let value = message(&words("Carillon", "New message", true), Urgency::Normal, 60);
        assert_eq!(value["notification"], json!({"title": "Carillon", "body": "New message"}));
        assert_eq!((&value["data"]["private"], &value["data"]["kind"]), (&json!("true"), &json!("custom.notification")));
    }

    #[test]
    fn urgency_and_life_are_within_googles_bounds() {
        for (urgency, priority) in
            [(Urgency::High, "HIGH"), (Urgency::Normal, "HIGH"), (Urgency::Low, "NORMAL"), (Urgency::VeryLow, "NORMAL")]
        {
            assert_eq!(message(&words("t", "b", false), urgency, 1)["android"]["priority"], priority);
        }
        assert_eq!(message(&words("t", "b", false), Urgency::High, 9_999_999)["android"]["ttl"], "2419200s");
        assert_eq!(message(&words("t", "b", false), Urgency::High, -5)["android"]["ttl"], "0s");
    }

    proptest! {
        #[test]
        fn every_message_is_json_fits_and_holds_a_beginning_of_the_body(
            title in prop_oneof!["\\PC{0,50}", "[\"\\\\\u{1}-\u{1f}é😀]{0,3000}"],
            body in prop_oneof!["\\PC{0,500}", "[\"\\\\\u{0}-\u{1f}a漢😀]{0,5000}", "[ -~]{3500,4200}"],
            private: bool,
        ) {
            let value = message(&words(&title, &body, private), Urgency::High, 9_999_999);
            let kept = value["notification"]["body"].as_str().expect("a body").to_owned();
            let stem = kept.strip_suffix('…').unwrap_or(&kept);
            prop_assert!(kept == body || body.starts_with(stem));
        }
    }
}
