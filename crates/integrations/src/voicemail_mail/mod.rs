//! Voice-mail mails that a telephone system sends itself: by SMTP, or piped to a program (`mailcmd`).
//!
//! In: one mail, as it stands. Out: for which mailbox, by whom, when, and the audio. Asterisk says who called in
//! `X-Asterisk-CallerID` and `X-Asterisk-CallerIDName`; any other system may say it, and the mailbox, in `X-Voicemail-Caller`,
//! `X-Voicemail-Caller-Name` and `X-Voicemail-Mailbox`; where it reports the legs of its calls too, `X-Voicemail-Call-ID` says which
//! call it was. The words of a mail are not interpreted, only Asterisk's own subject
//! and message id, which name the mailbox.
//!
//! Bounds on the size of a mail are kept by whoever receives it, before it comes here.

pub mod route;
pub(crate) mod whose;

use crate::charset;
use mail_parser::{Address, HeaderName, Message, MessageParser, MimeHeaders, PartType};
use model::calls::{CALLER_CHARS, Caller, ID_CHARS, Leg, LegState};
use model::refusal::{Refusal, RefusalKind};
use model::time::Timestamp;
use std::borrow::Cow;

/// Largest mail that a listener should take: ten minutes of uncompressed telephone audio, encoded for mail, and room.
pub const MAIL_BYTES: usize = 32 << 20;
/// Largest header of a mail whose charset is looked at; real ones have a few KiB.
const HEADER_BYTES: usize = 256 << 10;
/// Most recipients that are looked at.
const RECIPIENTS: usize = 32;
/// Longest name of an audio file.
const NAME_CHARS: usize = 128;

/// One voice-mail mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoicemailMail {
    /// Its `Message-ID`, without angle brackets.
    pub message_id: Option<String>,
    /// Addresses of its `To` header.
    pub to: Vec<String>,
    /// The call in which it was left, as the system names it elsewhere.
    pub call_id: Option<String>,
    /// Mailbox for which the message was left.
    pub mailbox: Option<String>,
    /// Who left it.
    pub caller: Caller,
    /// When, by the telephone system's clock.
    pub at: Option<Timestamp>,
    /// The audio.
    pub audio: Option<AudioPart>,
}

/// The audio of a voice message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioPart {
    /// Name of the file, without a path.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Reads a mail.
///
/// # Errors
/// It is no mail at all, or neither audio nor a header says that it is about a voice message.
pub fn read(mail: &[u8]) -> Result<VoicemailMail, Refusal> {
    let refused = |detail: &str| Refusal::new(RefusalKind::Malformed, "no_voice_mail", detail);
    let no_mail = || refused("this is not a mail: it has no header");
    // Encoded words (RFC 2047) stand in headers of other systems' own, too.
    let parser = MessageParser::new()
        .with_mime_headers()
        .with_date_headers()
        .with_address_headers()
        .header_id(HeaderName::MessageId)
        .default_header_text();
    let whole = parser.parse(mail).ok_or_else(no_mail)?;
    let header_in_utf8 = header_in_utf8(mail);
    let alone = header_in_utf8.as_ref().map(|bytes| parser.parse(bytes).ok_or_else(no_mail)).transpose()?;
    let message = alone.as_ref().unwrap_or(&whole);
    let known = ["X-Asterisk-CallerID", "X-Asterisk-CallerIDName", "X-Voicemail-Caller", "X-Voicemail-Mailbox"];
    let audio = audio(&whole);
    if audio.is_none() && known.iter().all(|name| header(message, name, CALLER_CHARS).is_none()) {
        return Err(refused(
            "this mail is not about a voice message: it has no audio, and none of the headers X-Asterisk-CallerID, X-Voicemail-Caller, X-Voicemail-Mailbox",
        ));
    }
    let message_id = message.message_id().map(|id| line(id, ID_CHARS)).filter(|id| !id.is_empty());
    let mailbox = header(message, "X-Voicemail-Mailbox", CALLER_CHARS)
        .or_else(|| message_id.as_deref().and_then(mailbox_of_id))
        .or_else(|| message.subject().and_then(mailbox_of_subject));
    Ok(VoicemailMail {
        to: message.to().map(addresses).unwrap_or_default(),
        caller: caller(message),
        at: message.date().map(|date| Timestamp(date.to_timestamp().saturating_mul(1000))),
        call_id: header(message, "X-Voicemail-Call-ID", ID_CHARS),
        message_id,
        mailbox,
        audio,
    })
}

impl VoicemailMail {
    /// The leg that it stands for: a voice message, left for this extension. Where the mail does not say in which call, it is one of
    /// its own, known by its `Message-ID`, in whose place stands `id` when it is missing.
    pub fn leg(&self, dial_plan: &str, extension: &str, id: &str, received: Timestamp) -> Leg {
        let id = self.message_id.as_deref().unwrap_or(id);
        Leg {
            call_id: self.call_id.clone().unwrap_or_else(|| format!("mail:{id}").chars().take(ID_CHARS).collect()),
            leg_id: format!("voice:{extension}"),
            dial_plan: dial_plan.to_owned(),
            called_extension: extension.to_owned(),
            caller: self.caller.clone(),
            state: LegState::VoiceMessage,
            at: self.at.unwrap_or(received),
            answered_elsewhere: None,
            recording: None,
        }
    }
}

/// The header of a mail, when some of it is not UTF-8, as it has to be to be read: in UTF-8 (RFC 6532 §3.2).
fn header_in_utf8(mail: &[u8]) -> Option<Vec<u8>> {
    let mut lines = mail.split_inclusive(|byte| *byte == b'\n');
    let end = lines.by_ref().take_while(|line| !matches!(line, [b'\n'] | [b'\r', b'\n'])).map(<[u8]>::len).sum::<usize>();
    let header = mail.get(..end).filter(|header| header.len() <= HEADER_BYTES && std::str::from_utf8(header).is_err())?;
    let text: String = header.split_inclusive(|byte| *byte == b'\n').map(charset::line).collect::<Vec<Cow<'_, str>>>().concat();
    Some(format!("{text}\n").into_bytes())
}

fn caller(message: &Message<'_>) -> Caller {
    let either =
        |one: &'static str, other: &'static str| header(message, one, CALLER_CHARS).or_else(|| header(message, other, CALLER_CHARS));
    let number = either("X-Asterisk-CallerID", "X-Voicemail-Caller");
    Caller { number, name: either("X-Asterisk-CallerIDName", "X-Voicemail-Caller-Name") }.known()
}

fn header(message: &Message<'_>, name: &'static str, most: usize) -> Option<String> {
    message.header(name).and_then(|value| value.as_text()).map(|text| line(text, most)).filter(|text| !text.is_empty())
}

fn line(text: &str, most: usize) -> String {
    let plain: String = text.chars().filter(|letter| !letter.is_control()).collect();
    plain.trim().chars().take(most).collect()
}

fn addresses(address: &Address<'_>) -> Vec<String> {
    address.iter().filter_map(|one| one.address()).map(|one| one.trim().to_ascii_lowercase()).take(RECIPIENTS).collect()
}

/// Asterisk's message id: `Asterisk-1-1327530612-102-30695@pbx` has the mailbox before the last number.
fn mailbox_of_id(id: &str) -> Option<String> {
    let parts: Vec<&str> = id.strip_prefix("Asterisk-")?.split('@').next()?.split('-').collect();
    let mailbox = parts.len().checked_sub(2).and_then(|at| parts.get(at)).filter(|_| parts.len() >= 4)?;
    (!mailbox.is_empty() && mailbox.bytes().all(|byte| byte.is_ascii_digit())).then(|| (*mailbox).to_owned())
}

/// Asterisk's own subject: `[PBX]: New message 1 in mailbox 102`.
fn mailbox_of_subject(subject: &str) -> Option<String> {
    let after = subject.rsplit_once("in mailbox ")?.1;
    let mailbox: String = after.chars().take_while(char::is_ascii_digit).take(CALLER_CHARS).collect();
    (!mailbox.is_empty()).then_some(mailbox)
}

/// Endings of audio files that some systems send as plain bytes.
const ENDINGS: [(&str, &str); 4] = [(".wav", "audio/wav"), (".mp3", "audio/mpeg"), (".ogg", "audio/ogg"), (".gsm", "audio/x-gsm")];

/// The first part that is audio, by its media type or by its name.
fn audio(message: &Message<'_>) -> Option<AudioPart> {
    message.parts.iter().find_map(|part| {
        let (PartType::Binary(bytes) | PartType::InlineBinary(bytes)) = &part.body else { return None };
        let name = part.attachment_name().map(bare_name).filter(|name| !name.is_empty());
        let by_name = name.as_ref().and_then(|name| ENDINGS.iter().find(|(ending, _)| name.to_ascii_lowercase().ends_with(ending)));
        let said = part.content_type().filter(|kind| kind.ctype().eq_ignore_ascii_case("audio"));
        let said = said.map(|kind| format!("audio/{}", line(kind.subtype().unwrap_or("x-unknown"), NAME_CHARS).to_ascii_lowercase()));
        let media_type = said.or_else(|| by_name.map(|(_, kind)| (*kind).to_owned()))?;
        let name = name.unwrap_or_else(|| "message.wav".to_owned());
        (!bytes.is_empty()).then(|| AudioPart { name, media_type, bytes: bytes.to_vec() })
    })
}

/// A file's name without whatever path stands in front of it.
fn bare_name(name: &str) -> String {
    line(name.rsplit(['/', '\\']).next().unwrap_or_default(), NAME_CHARS)
}

#[cfg(test)]
mod tests;
