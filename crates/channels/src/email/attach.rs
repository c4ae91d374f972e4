//! Files that go with a mail: their names made harmless and put into header parameters (RFC 2183, RFC 2231), and their bytes
//! in base64 (RFC 2045 §6.8), a stretch at a time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::channel::LetterFile;
use std::fmt::Write;

/// Bytes of a file on one line of base64, which is 76 characters then.
const LINE: usize = 57;
/// Bytes of a file that are encoded at a time: whole lines, some 64 KiB of text.
pub(super) const STRETCH: usize = LINE * 840;
/// Longest name, in bytes: what a file system takes, less what a mail program may add to it.
const MOST_NAME: usize = 180;
/// Most characters of a name in one parameter.
const PIECE: usize = 50;
/// What a file without a type of its own is.
const ANYTHING: &str = "application/octet-stream";

/// The header of a file's part, with the empty line that ends it.
pub(super) fn header(file: &LetterFile) -> String {
    let (kind, name) = (media_type(&file.media_type), file_name(&file.name));
    let name = parameters("filename", &name);
    format!("Content-Type: {kind}\r\nContent-Disposition: attachment;\r\n {name}\r\nContent-Transfer-Encoding: base64\r\n\r\n")
}

/// A media type without its parameters. What is none, and what may not stand in base64 (RFC 2046 §5), is just bytes.
fn media_type(given: &str) -> &str {
    let bare = given.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b));
    match bare.split_once('/') {
        Some((class, kind)) if token(class) && token(kind) && bare.len() <= 100 => {
            let composite = ["multipart", "message"].iter().any(|word| class.eq_ignore_ascii_case(word));
            if composite { ANYTHING } else { bare }
        }
        Some(_) | None => ANYTHING,
    }
}

/// A name under which anybody can save the file: no folders, nothing that cannot be seen or that turns the direction of
/// writing, and not too long, with its ending kept.
fn file_name(given: &str) -> String {
    let bad = |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let name: String = given.chars().filter(|c| !bad(*c)).map(|c| if matches!(c, '/' | '\\') { '_' } else { c }).collect();
    let name = name.trim().trim_start_matches('.');
    if name.is_empty() {
        return "attachment".to_owned();
    }
    if name.len() <= MOST_NAME {
        return name.to_owned();
    }
    let ending = name.rfind('.').map_or("", |dot| &name[dot..]);
    let ending = if ending.len() <= 16 { ending } else { "" };
    let most = MOST_NAME - ending.len();
    let end = (0..=most).rev().find(|i| name.is_char_boundary(*i)).unwrap_or(0);
    format!("{}{ending}", &name[..end])
}

/// A parameter with a text as its value: quoted where it is short and plain, otherwise in numbered pieces (RFC 2231 §3),
/// in percent-encoded UTF-8 where it is not ASCII (§4).
fn parameters(parameter: &str, text: &str) -> String {
    if text.is_ascii() && text.len() <= PIECE {
        return format!("{parameter}={}", quoted(text));
    }
    let mut pieces: Vec<String> = Vec::new();
    for c in text.chars() {
        let written = if text.is_ascii() { c.to_string() } else { percent_encoded(c) };
        match pieces.last_mut() {
            Some(piece) if piece.len() + written.len() <= PIECE => piece.push_str(&written),
            Some(_) | None => pieces.push(written),
        }
    }
    if text.is_ascii() {
        let piece = |(i, piece): (usize, &String)| format!("{parameter}*{i}={}", quoted(piece));
        return pieces.iter().enumerate().map(piece).collect::<Vec<_>>().join(";\r\n ");
    }
    if let [whole] = pieces.as_slice() {
        return format!("{parameter}*=UTF-8''{whole}");
    }
    let piece = |(i, piece): (usize, &String)| format!("{parameter}*{i}*={}{piece}", if i == 0 { "UTF-8''" } else { "" });
    pieces.iter().enumerate().map(piece).collect::<Vec<_>>().join(";\r\n ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A character as the attribute-char of RFC 2231 §7 allows it.
fn percent_encoded(c: char) -> String {
    if c.is_ascii_alphanumeric() || "!#$&+-.^_`{|}~".contains(c) {
        return c.to_string();
    }
    let mut out = String::new();
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        write!(out, "%{byte:02X}").expect("a string takes everything");
    }
    out
}

/// How long so many bytes become, with their line ends.
pub(super) fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4 + bytes.div_ceil(LINE) * 2
}

/// Appends bytes as lines of base64. Only the last stretch of a file may be shorter than [`STRETCH`].
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(encoded_len(bytes.len()));
    let mut line = [0; 76];
    for chunk in bytes.chunks(LINE) {
        let written = STANDARD.encode_slice(chunk, &mut line).expect("57 bytes are 76 characters");
        out.extend_from_slice(&line[..written]);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> String {
        header(&LetterFile { name: name.into(), media_type: "audio/wav".into(), bytes: bytes::Bytes::new() })
    }

    #[test]
    fn a_plain_name_is_quoted_and_any_other_is_percent_encoded() {
        assert_eq!(parameters("filename", "message.wav"), "filename=\"message.wav\"");
        assert_eq!(parameters("filename", "a \"b\".wav"), "filename=\"a \\\"b\\\".wav\"");
        assert_eq!(parameters("filename", "été.wav"), "filename*=UTF-8''%C3%A9t%C3%A9.wav");
        let long = parameters("filename", &"é".repeat(20));
        assert!(long.starts_with("filename*0*=UTF-8''%C3%A9") && long.contains(";\r\n filename*1*=%C3%A9"), "{long}");
        let plain = parameters("filename", &"x".repeat(60));
        assert_eq!(plain, format!("filename*0=\"{}\";\r\n filename*1=\"{}\"", "x".repeat(50), "x".repeat(10)));
    }

    #[test]
    fn a_name_can_neither_smuggle_a_header_nor_leave_its_folder_nor_hide_its_ending() {
        for (given, expected) in [
            ("a\r\nBcc: x@y.wav", "aBcc: x@y.wav"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("C:\\voice.wav", "C:_voice.wav"),
            ("\u{202e}vaw.exe", "vaw.exe"),
            (" \t", "attachment"),
            ("...", "attachment"),
        ] {
            assert_eq!(file_name(given), expected);
            assert!(named(given).lines().all(|line| line.len() <= 78 && !line.starts_with("Bcc")), "{given:?}");
        }
        let long = file_name(&format!("{}.wav", "é".repeat(500)));
        assert!(long.len() <= MOST_NAME && long.ends_with("é.wav"), "{long}");
        assert!(named(&"漢字\"; x=".repeat(200)).lines().all(|line| line.len() <= 78 && line.is_ascii()));
    }

    #[test]
    fn a_media_type_is_taken_without_parameters_and_only_if_it_may_be_encoded() {
        for (given, expected) in [
            ("audio/wav", "audio/wav"),
            (" audio/x-gsm ; rate=8000", "audio/x-gsm"),
            ("audio/wav\r\nBcc: x", ANYTHING),
            ("message/rfc822", ANYTHING),
            ("Multipart/mixed", ANYTHING),
            ("wav", ANYTHING),
            ("", ANYTHING),
        ] {
            assert_eq!(media_type(given), expected);
        }
    }

    #[test]
    fn bytes_become_lines_of_76_characters_whether_at_once_or_in_stretches() {
        for length in [0, 1, 56, 57, 58, STRETCH - 1, STRETCH, STRETCH + 1] {
            let bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let (mut at_once, mut in_stretches) = (Vec::new(), Vec::new());
            encode(&bytes, &mut at_once);
            bytes.chunks(STRETCH).for_each(|stretch| encode(stretch, &mut in_stretches));
            assert_eq!(at_once, in_stretches);
            assert_eq!(at_once.len(), encoded_len(length));
            let text = String::from_utf8(at_once).expect("ASCII");
            assert!(text.lines().all(|line| line.len() <= 76));
            assert_eq!(STANDARD.decode(text.replace("\r\n", "")).expect("base64"), bytes);
        }
    }
}
