//! The words of a notification: a title, a body, a language. Each exists only if it is valid.

use serde::{Deserialize, Serialize};
use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// Most characters of a title, counted as Unicode scalar values after NFC (SPEC §4).
pub const TITLE_CHARS: usize = 50;
/// Most characters of a body, counted likewise.
pub const BODY_CHARS: usize = 500;

fn checked(what: &str, text: &str, most: usize, line_breaks: bool) -> Result<String, String> {
    let text: String = text.nfc().collect();
    let chars = text.chars().count();
    if text.trim().is_empty() {
        return Err(format!("the {what} is empty; give it 1 to {most} characters"));
    }
    if chars > most {
        return Err(format!("the {what} has {chars} characters; at most {most} are allowed, shorten it by {}", chars - most));
    }
    let allowed = |c: char| !c.is_control() || (line_breaks && (c == '\n' || c == '\t'));
    if let Some(c) = text.chars().find(|c| !allowed(*c)) {
        return Err(format!("the {what} holds the control character U+{:04X}; remove it", u32::from(c)));
    }
    Ok(text)
}

/// The title of a custom notification: 1 to 50 characters, one line, in NFC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Title(String);

impl Title {
    /// # Errors
    /// A sentence with the rule and the mend.
    pub fn new(text: &str) -> Result<Title, String> {
        checked("title", text, TITLE_CHARS, false).map(Title)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The body of a custom notification: 1 to 500 characters in NFC; line breaks and tabs are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Body(String);

impl Body {
    /// Windows line breaks become plain ones before counting.
    ///
    /// # Errors
    /// A sentence with the rule and the mend.
    pub fn new(text: &str) -> Result<Body, String> {
        checked("body", &text.replace("\r\n", "\n"), BODY_CHARS, true).map(Body)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A language that Carillon speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// English, also for every locale that Carillon does not speak.
    #[default]
    En,
    /// French.
    Fr,
}

impl Locale {
    /// Every language, in the order in which menus show them.
    pub const ALL: [Locale; 2] = [Locale::En, Locale::Fr];

    /// From a BCP 47 tag such as `fr-CA`: the language decides.
    pub fn from_tag(tag: &str) -> Locale {
        let language = tag.split(['-', '_']).next().unwrap_or("");
        if language.eq_ignore_ascii_case("fr") { Locale::Fr } else { Locale::En }
    }

    /// The language subtag.
    pub fn tag(self) -> &'static str {
        match self {
            Locale::En => "en",
            Locale::Fr => "fr",
        }
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

/// Cuts `text` to at most `most_bytes` of UTF-8 at a character boundary and marks the cut with an ellipsis; a text that
/// fits comes back whole. Used where a provider's payload is smaller than the text; the inbox keeps the whole.
pub fn shorten(text: &str, most_bytes: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= most_bytes {
        return text.to_owned();
    }
    let room = most_bytes.saturating_sub(MARK.len());
    let end = (0..=room).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let kept = text[..end].trim_end();
    if most_bytes < MARK.len() { String::new() } else { format!("{kept}{MARK}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn characters_are_counted_after_composition() {
        let decomposed = "e\u{301}".repeat(50);
        assert_eq!(Title::new(&decomposed).expect("50 characters after NFC").as_str().chars().count(), 50);
        assert!(Title::new(&"é".repeat(51)).expect_err("51").contains("at most 50"));
        assert!(Body::new(&"x".repeat(500)).is_ok());
        assert!(Body::new(&"x".repeat(501)).expect_err("501").contains("shorten it by 1"));
    }

    #[test]
    fn empty_and_control_characters_are_refused() {
        assert!(Title::new("  ").is_err());
        assert!(Title::new("a\nb").expect_err("line break").contains("U+000A"));
        assert_eq!(Body::new("a\r\nb").expect("a line break").as_str(), "a\nb");
        assert!(Body::new("a\u{0}b").is_err());
    }

    proptest! {
        #[test]
        fn a_shortened_text_fits_and_is_a_prefix(text in "\\PC{0,80}", most in 3usize..60) {
            let short = shorten(&text, most);
            prop_assert!(short.len() <= most);
            let kept = short.strip_suffix('…').unwrap_or(&short);
            prop_assert!(text.starts_with(kept) || short == text);
        }
    }
}
