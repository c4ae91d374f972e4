//! Texts of telephone systems that do not say how they write: UTF-8, or else Windows-1252, which is what ISO-8859-1 is read as
//! everywhere (WHATWG Encoding §4.2) and what Asterisk's voice mail writes unless it is told otherwise.

use mail_parser::decoders::charsets::map::charset_decoder;
use std::borrow::Cow;

/// One line, without its end.
pub(crate) fn line(bytes: &[u8]) -> Cow<'_, str> {
    match (std::str::from_utf8(bytes), charset_decoder(b"windows-1252")) {
        (Ok(text), _) => Cow::Borrowed(text),
        (Err(_), Some(decode)) => Cow::Owned(decode(bytes)),
        (Err(_), None) => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf_8_is_windows_1252() {
        assert_eq!(line("Léa".as_bytes()), "Léa");
        assert_eq!(line(b"Andr\xe9 \x80"), "André €");
        assert_eq!(line(b""), "");
    }
}
