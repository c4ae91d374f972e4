//! A captured mail of Asterisk's, and mails that other systems send.

use super::*;
use proptest::prelude::*;

/// The captured mail, with a short piece of audio in the place of what was left out of the capture.
fn captured() -> String {
    include_str!("../../tests/voicemail_mail/captured-mailcmd.eml").replace("[base64 WAV data left out]", "UklGRiQAAABXQVZF")
}

#[test]
fn a_captured_mail_of_asterisk_is_read() {
    let mail = read(captured().as_bytes()).expect("a voice-mail mail");
    assert_eq!(mail.caller, Caller { number: Some("101".to_owned()), name: Some("Bob".to_owned()) });
    assert_eq!((mail.mailbox.as_deref(), mail.to.as_slice()), (Some("102"), ["alice@example.test".to_owned()].as_slice()));
    assert_eq!(mail.at, Some(Timestamp::parse("2026-11-20T15:38:44Z").expect("a time")));
    let audio = mail.audio.clone().expect("audio");
    assert_eq!((audio.name.as_str(), audio.media_type.as_str(), audio.bytes.starts_with(b"RIFF")), ("msg0000.wav", "audio/x-wav", true));
    let leg = mail.leg("Lyon", "102", "none", Timestamp(0)).checked().expect("a leg");
    assert_eq!((leg.state, leg.call_id.as_str()), (LegState::VoiceMessage, "mail:Asterisk-1-1327530612-102-30695@pbx"));
}

#[test]
fn the_mailbox_is_found_in_the_subject_or_in_a_header() {
    let without_id = captured().replace("Message-ID: <Asterisk-1-1327530612-102-30695@pbx>\n", "");
    assert_eq!(read(without_id.as_bytes()).expect("a mail").mailbox.as_deref(), Some("102"));
    let other =
        "From: pbx@example.test\nTo: a@example.test\nX-Voicemail-Mailbox: 7001\nX-Voicemail-Caller: +33472100101\nSubject: Hello\n\nhi\n";
    let mail = read(other.as_bytes()).expect("a mail");
    assert_eq!((mail.mailbox.as_deref(), mail.caller.number.as_deref(), mail.audio), (Some("7001"), Some("+33472100101"), None));
}

#[test]
fn a_mail_may_name_the_call_in_which_the_message_was_left() {
    let mail = read(captured().replace("MIME-Version", "X-Voicemail-Call-ID: 1-26402@127.0.0.1\nMIME-Version").as_bytes()).expect("a mail");
    assert_eq!(mail.leg("Lyon", "102", "none", Timestamp(0)).call_id, "1-26402@127.0.0.1");
}

#[test]
fn audio_is_known_by_its_name_and_its_name_has_no_path() {
    let mail = captured()
        .replace("audio/x-wav; name=\"msg0000.wav\"", "application/octet-stream")
        .replace("filename=\"msg0000.wav\"", "filename=\"..\\..\\x/msg.MP3\"");
    let audio = read(mail.as_bytes()).expect("a mail").audio.expect("audio");
    assert_eq!((audio.name.as_str(), audio.media_type.as_str()), ("msg.MP3", "audio/mpeg"));
}

#[test]
fn an_anonymous_caller_stays_anonymous() {
    let mail = captured().replace("X-Asterisk-CallerID: 101", "X-Asterisk-CallerID: Anonymous");
    assert_eq!(read(mail.as_bytes()).expect("a mail").caller, Caller::default());
}

/// The caller's name in a mail whose header says it so.
fn name_of(header: &[u8]) -> Option<String> {
    let mail = captured();
    let (before, after) = mail.split_once("X-Asterisk-CallerIDName: Bob").expect("a name");
    let mail = [before.as_bytes(), header, after.as_bytes()].concat();
    let read = read(&mail).expect("a mail");
    assert_eq!((read.mailbox.as_deref(), read.audio.is_some(), read.caller.number.as_deref()), (Some("102"), true, Some("101")));
    read.caller.name
}

#[test]
fn an_encoded_name_is_decoded() {
    for (header, name) in [
        ("X-Asterisk-CallerIDName: =?ISO-8859-1?Q?Andr=E9?=", "André"),
        ("X-Voicemail-Caller-Name: =?utf-8?q?L=C3=A9a?=", "Léa"),
        ("X-Voicemail-Caller-Name: =?utf-8?B?TMOpYQ==?= =?utf-8?q?_Dupont?=", "Léa Dupont"),
        ("X-Voicemail-Caller-Name: \"=?utf-8?q?L=C3=A9a?=\"", "Léa"),
        ("X-Voicemail-Caller-Name: Léa\n Dupont", "Léa Dupont"),
        ("X-Voicemail-Caller-Name: =?utf-8?q?L=C3=A9a", "=?utf-8?q?L=C3=A9a"),
    ] {
        assert_eq!(name_of(header.as_bytes()).as_deref(), Some(name), "{header}");
    }
}

#[test]
fn a_name_that_is_not_utf_8_is_latin() {
    assert_eq!(name_of(b"X-Asterisk-CallerIDName: Andr\xe9").as_deref(), Some("André"));
    assert_eq!(name_of(b"X-Asterisk-CallerIDName: Andr\xe9 =?utf-8?q?L=C3=A9a?=\nX-Other: L\xc3\xa9a").as_deref(), Some("André Léa"));
    let crlf = name_of(b"X-Asterisk-CallerIDName: \x8cuvre\r\nX-Other: x");
    assert_eq!(crlf.as_deref(), Some("Œuvre"));
}

#[test]
fn any_other_mail_is_refused() {
    for mail in ["", "From: a@example.test\nSubject: Lunch in mailbox 102\n\nhi\n", "\u{0}\u{1}"] {
        assert_eq!(read(mail.as_bytes()).expect_err("a refusal").code, "no_voice_mail", "{mail:?}");
    }
}

proptest! {
    #[test]
    fn nothing_that_a_stranger_sends_makes_it_fall_over(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
        let mut mail = captured().into_bytes();
        let at = bytes.len() % mail.len();
        mail.splice(at..at, bytes);
        let _ = read(&mail);
    }
}
