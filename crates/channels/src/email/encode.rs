//! Text made safe for mail: quoted-printable bodies (RFC 2045 §6.7), encoded words in headers (RFC 2047), addresses
//! (RFC 5322), and dots at the beginning of lines (RFC 5321 §4.5.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// Longest line of quoted-printable text.
const QP_LINE: usize = 76;
/// Longest encoded word, and longest line that holds one.
const WORD: usize = 75;
/// What an encoded word has around its text.
const AROUND: usize = "=?UTF-8?B??=".len();
/// A plain header longer than this is folded.
const FOLD: usize = 76;

/// Encodes a text as quoted-printable with CRLF line ends. No line of it begins with a dot, and none can be mistaken
/// for a boundary that begins with `=_`.
pub(super) fn quoted_printable(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(text.len() * 5 / 4 + 16);
    for line in text.split('\n') {
        let mut column = 0;
        let bytes = line.as_bytes();
        for (i, &b) in bytes.iter().enumerate() {
            let last = i + 1 == bytes.len();
            let plain = match b {
                b'=' => false,
                b' ' | b'\t' => !last,
                b'.' => column > 0,
                b'F' => !(column == 0 && bytes[i..].starts_with(b"From ")),
                0x21..=0x7e => true,
                _ => false,
            };
            let width = if plain { 1 } else { 3 };
            if column + width > QP_LINE - 1 {
                out.push_str("=\r\n");
                column = 0;
            }
            if plain && !(b == b'.' && column == 0) {
                out.push(char::from(b));
                column += 1;
            } else {
                write!(out, "={b:02X}").expect("a string takes everything");
                column += 3;
            }
        }
        out.push_str("\r\n");
    }
    out
}

/// A header line `Name: text` with its CRLF, folded, encoded where it has to be. Line breaks in the text become spaces.
pub(super) fn header(name: &str, text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    let long_word = text.split(' ').any(|word| word.len() > FOLD - 2);
    if text.is_ascii() && !text.contains("=?") && !(long_word && text.len() + name.len() + 2 > FOLD) {
        return fold(name, text);
    }
    let words = encoded_words(text, name.len() + 2);
    format!("{name}: {words}\r\n")
}

fn fold(name: &str, text: &str) -> String {
    let mut out = format!("{name}:");
    let mut column = out.len();
    for word in text.split(' ') {
        if column + 1 + word.len() > FOLD && !word.is_empty() && column > name.len() + 1 {
            out.push_str("\r\n");
            column = 0;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push_str("\r\n");
    out
}

/// Encoded words, one to a line; `column` is where the first begins.
fn encoded_words(text: &str, column: usize) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut room = WORD.saturating_sub(column.max(1));
    while !rest.is_empty() {
        let most = room.saturating_sub(AROUND) / 4 * 3;
        let end = (0..=most.min(rest.len())).rev().find(|i| rest.is_char_boundary(*i)).unwrap_or(0);
        let end = if end == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { end };
        if !out.is_empty() {
            out.push_str("\r\n ");
        }
        write!(out, "=?UTF-8?B?{}?=", STANDARD.encode(&rest[..end])).expect("a string takes everything");
        rest = &rest[end..];
        room = WORD;
    }
    out
}

/// A mailbox for From or To: `Name <local@domain>`, the name quoted or encoded where it has to be. `column` is where it
/// begins.
pub(super) fn mailbox(name: &str, address: &str, column: usize) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let name = name.trim();
    let atoms = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
    if name.is_empty() {
        format!("<{address}>")
    } else if !name.is_ascii() || name.contains("=?") || name.len() > 60 {
        format!("{}\r\n <{address}>", encoded_words(name, column))
    } else if name.chars().all(atoms) {
        format!("{name} <{address}>")
    } else {
        format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// Whether a text can stand as an address in an envelope and a header: `local@domain`, nothing that would end it early.
pub(super) fn is_address(address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let bad = |c: char| c.is_control() || c.is_whitespace() || "<>()[]\\,;:\"".contains(c);
    let literal = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']'));
    let domain_ok = match literal {
        Some(inner) => !inner.is_empty() && inner.chars().all(|c| c.is_ascii_alphanumeric() || ".:".contains(c)),
        None => !domain.is_empty() && !domain.contains(bad) && domain.split('.').all(|label| !label.is_empty()),
    };
    !local.is_empty() && local.len() <= 64 && address.len() <= 254 && !local.contains(bad) && !local.contains('@') && domain_ok
}

/// Appends text with CRLF line ends so that no line of it ends the mail: a dot at a line's beginning is doubled.
pub(super) fn stuff_dots(text: &[u8], out: &mut Vec<u8>) {
    let mut begin = 0;
    let at_line_start = out.is_empty() || out.ends_with(b"\n");
    if at_line_start && text.first() == Some(&b'.') {
        out.push(b'.');
    }
    for i in 1..text.len() {
        if text[i] == b'.' && text[i - 1] == b'\n' {
            out.extend_from_slice(&text[begin..i]);
            out.push(b'.');
            begin = i;
        }
    }
    out.extend_from_slice(&text[begin..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quoted_printable_follows_the_rfc() {
        assert_eq!(quoted_printable("a=b\nÉté \n.\nFrom me"), "a=3Db\r\n=C3=89t=C3=A9=20\r\n=2E\r\n=46rom me\r\n");
        let long = quoted_printable(&"é".repeat(100));
        assert!(long.lines().all(|line| line.len() <= QP_LINE));
        assert!(long.contains("=\r\n"));
    }

    #[test]
    fn headers_are_plain_where_they_can_be_and_encoded_where_they_must() {
        assert_eq!(header("Subject", "Lift out of order"), "Subject: Lift out of order\r\n");
        assert_eq!(header("Subject", "Été"), "Subject: =?UTF-8?B?w4l0w6k=?=\r\n");
        assert_eq!(header("Subject", "a\r\nBcc: x@y"), "Subject: a  Bcc: x@y\r\n", "no header can be smuggled in");
        let long = header("Subject", &"word ".repeat(60));
        assert!(long.lines().all(|line| line.len() <= FOLD) && long.lines().skip(1).all(|line| line.starts_with(' ')), "{long}");
        let encoded = header("Subject", &"日本語".repeat(40));
        assert!(encoded.lines().all(|line| line.len() <= 76), "{encoded}");
        assert!(header("Subject", &"x".repeat(300)).lines().all(|line| line.len() <= 76));
    }

    #[test]
    fn names_are_bare_quoted_or_encoded() {
        assert_eq!(mailbox("", "a@b.c", 4), "<a@b.c>");
        assert_eq!(mailbox("Anna Bell", "a@b.c", 4), "Anna Bell <a@b.c>");
        assert_eq!(mailbox("Bell, \"A\"", "a@b.c", 4), "\"Bell, \\\"A\\\"\" <a@b.c>");
        assert_eq!(mailbox("Zoë", "a@b.c", 4), "=?UTF-8?B?Wm/Dqw==?=\r\n <a@b.c>");
        assert_eq!(mailbox("x\r\nBcc: y", "a@b.c", 4), "\"x  Bcc: y\" <a@b.c>");
    }

    #[test]
    fn addresses_that_would_end_the_command_are_none() {
        for good in ["a@b", "a.b+c@example.org", "o'neil@example.org", "a@[127.0.0.1]", "é@example.org"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a@b>", "a b@c", "a@b\r\nRCPT TO:<x@y>", "a@b..c", "<a@b>", "a@b@c", "a\"@b", "a@[x y]"] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }

    fn stuffed(text: &str) -> String {
        let mut out = Vec::new();
        stuff_dots(text.as_bytes(), &mut out);
        String::from_utf8(out).expect("UTF-8 stays UTF-8")
    }

    #[test]
    fn dots_are_doubled_at_the_beginning_of_lines_only() {
        assert_eq!(stuffed(".\r\na.b\r\n..c\r\n"), "..\r\na.b\r\n...c\r\n");
        assert_eq!(stuffed(""), "");
    }

    proptest! {
        #[test]
        fn no_text_can_end_a_mail_early(text in "[.a\r\né]{0,40}") {
            let text = text.replace('\r', "").replace('\n', "\r\n");
            let out = stuffed(&text);
            let framed = ["\r\n", &out].concat();
            prop_assert!(!framed.contains("\r\n.\r\n"));
            let back: Vec<_> = out.split("\r\n").map(|l| l.strip_prefix('.').unwrap_or(l)).collect();
            prop_assert_eq!(back.join("\r\n"), text);
        }

        #[test]
        fn quoted_printable_is_ascii_short_and_without_leading_dots(text in "[ -~\n\té.=F漢]{0,300}") {
            let out = quoted_printable(&text);
            prop_assert!(out.is_ascii());
            for line in out.split("\r\n") {
                prop_assert!(line.len() <= QP_LINE && !line.starts_with('.') && !line.ends_with(' '), "{:?}", line);
            }
        }
    }
}
