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
