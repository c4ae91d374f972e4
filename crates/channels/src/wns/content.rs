//! What is sent: a toast, which Windows shows by itself, or for a private message a raw notification, which goes to the
//! app; the app fetches the text and shows it.

use crate::cut::{fit, in_json};
use bytes::Bytes;
use model::channel::Rendered;
use model::source::Words;
use serde_json::json;

/// Microsoft's limit of a payload, in bytes.
pub(super) const MOST_BYTES: usize = 5000;
/// What a title may take once escaped when the body has to be shortened too.
const TITLE_BYTES: usize = 1024;
/// `X-WNS-Type` of a toast.
const TOAST: &[u8] = b"wns/toast";
/// `X-WNS-Type` of a raw notification.
const RAW: &[u8] = b"wns/raw";

/// Puts title and body into a form.
type Write = fn(&Words, &str, &str) -> String;

/// The payload, with its type as the head. A body that does not fit is cut at a character boundary; a title only when it
/// alone is enormous.
pub(super) fn content(words: &Words) -> Rendered {
    let (head, write, cost): (_, Write, fn(char) -> usize) = if words.private { (RAW, raw, in_json) } else { (TOAST, toast, in_xml) };
    let mut body = write(words, &words.title, &words.body);
    if body.len() > MOST_BYTES {
        let title = fit(&words.title, TITLE_BYTES, cost);
        let frame = write(words, &title, "").len();
        body = write(words, &title, &fit(&words.body, MOST_BYTES.saturating_sub(frame), cost));
    }
    Rendered { head: Bytes::from_static(head), body: body.into(), ..Rendered::default() }
}

/// Whether a payload is for the app alone.
pub(super) fn is_raw(rendered: &Rendered) -> bool {
    rendered.head == RAW
}

fn raw(words: &Words, title: &str, body: &str) -> String {
    json!({"eventId": words.event, "kind": words.kind, "private": true, "title": title, "body": body}).to_string()
}

/// The toast schema: <https://learn.microsoft.com/windows/apps/design/shell/tiles-and-notifications/toast-schema>. What
/// the app is started with when the toast is clicked names the event.
fn toast(words: &Words, title: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><toast launch=\"eventId={}&amp;kind={}\"><visual lang=\"{}\">\
         <binding template=\"ToastGeneric\"><text>{}</text><text>{}</text></binding></visual></toast>",
        words.event,
        escaped(words.kind),
        words.locale.tag(),
        escaped(title),
        escaped(body)
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if is_xml(c) => out.push(c),
            _ => out.push('\u{FFFD}'),
        }
    }
    out
}

/// What a character takes in a toast.
fn in_xml(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        '"' => 6,
        c if is_xml(c) => c.len_utf8(),
        _ => '\u{FFFD}'.len_utf8(),
    }
}

/// Characters that a document may hold at all (XML 1.0 §2.2).
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
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
            locale: Locale::Fr,
            private,
            title: title.into(),
            body: body.into(),
            mail: Mail::default(),
        }
    }

    #[test]
    fn a_toast_shows_title_and_body_and_starts_the_app_with_the_event() {
        let rendered = content(&words("Lift <1>", "Out & about", false));
        assert!(rendered.head == TOAST && !is_raw(&rendered));
        let text = String::from_utf8(rendered.body.to_vec()).expect("UTF-8");
        assert!(text.contains("<text>Lift &lt;1&gt;</text><text>Out &amp; about</text>"), "{text}");
        assert!(text.contains("launch=\"eventId=00000000-0000-0000-0000-000000000007&amp;kind=custom.notification\""), "{text}");
        assert!(text.contains("<visual lang=\"fr\">"), "{text}");
    }

    #[test]
    fn a_private_message_is_raw_and_holds_general_words_only() {
        let rendered = content(&words("Carillon", "New message", true));
        assert!(is_raw(&rendered));
        let value: serde_json::Value = serde_json::from_slice(&rendered.body).expect("JSON");
        assert_eq!((&value["private"], &value["body"]), (&json!(true), &json!("New message")));
        assert_eq!(value["eventId"], "00000000-0000-0000-0000-000000000007");
    }

    proptest! {
        #[test]
        fn every_payload_fits_and_no_text_breaks_out_of_its_element(
            title in prop_oneof!["\\PC{0,50}", "[\"&<>\u{0}-\u{1f}é😀\u{FFFE}]{0,3000}"],
            body in prop_oneof!["\\PC{0,500}", "[\"&<>\u{0}-\u{1f}a漢😀]{0,6000}", "[ -~]{4600,5100}"],
            private: bool,
        ) {
            let rendered = content(&words(&title, &body, private));
            prop_assert!(rendered.body.len() <= MOST_BYTES, "{} bytes", rendered.body.len());
            let text = std::str::from_utf8(&rendered.body).expect("UTF-8");
            if !private {
                prop_assert_eq!(text.matches('<').count(), 11);
                prop_assert!(text.chars().all(is_xml));
            }
        }
    }
}
