//! Made-up calls for looking at the mails and for sending them as a test.
//!
//! In: which mail, in which language, and the time. Out: its content: a caller whom nobody knows, whose number is of the
//! ranges that the regulators keep for stories (Arcep, NANPA). The audio of a voice message is a second of a quiet tone.

use super::VOICEMAIL_RECEIVED;
use super::calls::{Ending, Finding};
use super::telling::{Audio, Told};
use model::calls::Caller;
use model::source::Content;
use model::{Locale, Timestamp};
use uuid::Uuid;

/// Samples of a second, as on telephone lines (ITU-T G.711).
const RATE: u32 = 8_000;
/// One period of a sine of 400 Hz, thirty decibels below the loudest.
const TONE: [i16; 20] = [0, 309, 588, 809, 951, 1000, 951, 809, 588, 309, 0, -309, -588, -809, -951, -1000, -951, -809, -588, -309];

/// What a sample of this mail says.
pub(super) fn content(kind: &str, locale: Locale, now: Timestamp) -> Option<Content> {
    let voicemail = kind == VOICEMAIL_RECEIVED;
    let audio = || Audio { file: Uuid::nil(), name: "sample.wav".to_owned(), media_type: "audio/wav".to_owned() };
    let (number, name, zone) = match locale {
        Locale::En => ("+12125550123", "Alex Example", "America/New_York"),
        Locale::Fr => ("+33199001234", "Camille Exemple", "Europe/Paris"),
    };
    let told = Told {
        call_id: "sample".to_owned(),
        dial_plan: String::new(),
        extension: "1234".to_owned(),
        called_at: now,
        caller: Caller { number: Some(number.to_owned()), name: Some(name.to_owned()) },
        caller_whole: None,
        caller_in_directory: None,
        timezone: Some(zone.to_owned()),
        locale: None,
        verdict: if voicemail { Finding::VoiceMessageLeft } else { Finding::Missed },
        ending: Ending::NoAnswer,
        policy_name: None,
        policy_allows: true,
        mailbox_allows: true,
        audio: voicemail.then(audio),
        voice_mail_text: None,
    };
    Some(Content { data: serde_json::to_value(told).ok()?, ..Content::default() })
}

/// Names this file as the audio of a made-up voice message, and answers what it holds.
pub(super) fn audio(kind: &str, content: &mut Content, file: Uuid) -> Option<Vec<u8>> {
    let named = content.data.pointer_mut("/audio/file").filter(|_| kind == VOICEMAIL_RECEIVED)?;
    *named = file.to_string().into();
    Some(tone())
}

/// A second of a quiet tone as WAV: one channel of 16 bits, not compressed (RFC 2361, appendix A.1).
fn tone() -> Vec<u8> {
    const BYTES: u32 = 2 * RATE;
    let mut wav = Vec::new();
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + BYTES).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&16u32.to_le_bytes());
    wav.extend([1u16, 1].iter().flat_map(|field| field.to_le_bytes()));
    wav.extend([RATE, BYTES].iter().flat_map(|field| field.to_le_bytes()));
    wav.extend([2u16, 16].iter().flat_map(|field| field.to_le_bytes()));
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&BYTES.to_le_bytes());
    let samples = TONE.iter().cycle().zip(0..RATE);
    wav.extend(samples.flat_map(|(sample, _)| sample.to_le_bytes()));
    wav
}
