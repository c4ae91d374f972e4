//! The audio of a voice message that comes with its leg, as a `data:` URL (RFC 2397) in the field `recording`.

use crate::intake::Recording;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use model::calls::RECORDING_CHARS;
use model::refusal::{Fault, Refusal, RefusalKind};
use serde_json::Value;

/// Most bytes of audio in one event.
pub const RECORDING_BYTES: usize = 8 << 20;
/// Longest subtype of a media type (RFC 6838 §4.2).
const SUBTYPE_CHARS: usize = 127;
const FIELD: &str = "recording";
/// Base64 with or without its padding: tools differ.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Endings of files by their subtype; others get the subtype itself.
const ENDINGS: [(&str, &str); 6] =
    [("x-wav", "wav"), ("wave", "wav"), ("vnd.wave", "wav"), ("mpeg", "mp3"), ("mp4", "m4a"), ("x-gsm", "gsm")];

/// Takes the audio out of a leg's data, whose field then holds the file's name. Another text is a name already and stays.
pub(super) fn take_recording(data: &mut Value) -> Result<Option<Recording>, Refusal> {
    let Some(Value::String(text)) = data.get_mut(FIELD) else { return Ok(None) };
    let Some(rest) = text.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).map(|_| &text[5..]) else { return Ok(None) };
    let recording = audio(rest)?;
    text.clone_from(&recording.name);
    Ok(Some(recording))
}

fn audio(rest: &str) -> Result<Recording, Refusal> {
    let wrong = |message: &str| Refusal::field(FIELD, message);
    let (head, encoded) = rest.split_once(',').ok_or_else(|| wrong("is a data: URL without a comma before its data"))?;
    let mut parts = head.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let subtype = media_type.strip_prefix("audio/").filter(|subtype| is_subtype(subtype));
    let subtype = subtype.ok_or_else(|| wrong("is a data: URL of something else than audio; its media type has to be audio/…"))?;
    let (mut base64, mut name) = (false, None);
    for part in parts {
        match part.split_once('=') {
            Some((key, value)) if key.eq_ignore_ascii_case("name") => name = Some(bare_name(value)),
            Some(_) => {}
            None => base64 |= part.eq_ignore_ascii_case("base64"),
        }
    }
    if !base64 {
        return Err(wrong("is a data: URL whose data are not Base64; write data:audio/wav;base64,…"));
    }
    let ending = ENDINGS.iter().find(|(known, _)| *known == subtype).map_or(subtype, |(_, ending)| ending);
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("message.{ending}"));
    let bytes = decoded(encoded)?;
    Ok(Recording { name, media_type, bytes })
}

fn decoded(encoded: &str) -> Result<Vec<u8>, Refusal> {
    let encoded = percent_encoding::percent_decode_str(encoded).decode_utf8_lossy();
    if encoded.len() / 4 * 3 > RECORDING_BYTES + 3 {
        let message = format!("has more than {RECORDING_BYTES} bytes of audio; leave it out, or send a compressed form");
        let refusal = Refusal::new(RefusalKind::TooLarge, "too_large", format!("{FIELD}: {message}"));
        return Err(Refusal { faults: vec![Fault { field: FIELD.to_owned(), message }], ..refusal });
    }
    match BASE64.decode(encoded.as_bytes()) {
        Ok(bytes) if bytes.is_empty() => Err(Refusal::field(FIELD, "is a data: URL without any data; leave it out")),
        Ok(bytes) => Ok(bytes),
        Err(_) => Err(Refusal::field(FIELD, "is not Base64 (RFC 4648 §4) behind its comma")),
    }
}

/// RFC 6838 §4.2.
fn is_subtype(text: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    !text.is_empty() && text.len() <= SUBTYPE_CHARS && text.bytes().all(name)
}

/// A file's name without whatever path stands in front of it.
fn bare_name(value: &str) -> String {
    let text = percent_encoding::percent_decode_str(value.trim_matches('"')).decode_utf8_lossy();
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    last.trim().chars().filter(|letter| !letter.is_control()).take(RECORDING_CHARS / 8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn taken(text: &str) -> (Result<Option<Recording>, Refusal>, Value) {
        let mut data = json!({ "recording": text });
        let recording = take_recording(&mut data);
        (recording, data["recording"].take())
    }

    #[test]
    fn the_audio_of_a_data_url_is_taken_and_its_name_stays() {
        let wav = |name: &str| Recording { name: name.to_owned(), media_type: "audio/x-wav".to_owned(), bytes: b"RIFF".to_vec() };
        let (recording, name) = taken("data:audio/x-wav;base64,UklGRg==");
        assert_eq!((recording, name), (Ok(Some(wav("message.wav"))), json!("message.wav")));
        let (recording, name) = taken("DATA:Audio/X-WAV;name=%2Fspool%2Fmsg%200000.wav;BASE64,UklGRg%3D%3D");
        assert_eq!((recording, name), (Ok(Some(wav("msg 0000.wav"))), json!("msg 0000.wav")));
        assert_eq!(taken("data:audio/ogg;codecs=opus;base64,T2dn").1, "message.ogg");
    }

    #[test]
    fn another_text_is_a_name_and_stays() {
        for text in ["msg0000.wav", "/var/spool/x.wav", "", "http://pbx/x.wav", "dataé"] {
            assert_eq!(taken(text), (Ok(None), json!(text)));
        }
        assert_eq!(take_recording(&mut json!(7)), Ok(None));
        assert_eq!(take_recording(&mut json!({"recording": 7})), Ok(None));
    }

    #[test]
    fn what_is_not_audio_in_base64_is_refused_with_the_mend() {
        let wrong = |text: &str| taken(text).0.expect_err(text).to_string();
        assert!(wrong("data:text/html;base64,PGI+").contains("audio/…"));
        assert!(wrong("data:audio/;base64,UklGRg==").contains("audio/…"));
        assert!(wrong("data:audio/wav\u{e9};base64,UklGRg==").contains("audio/…"));
        assert!(wrong("data:audio/wav,RIFF").contains("not Base64"));
        assert!(wrong("data:audio/wav;base64").contains("comma"));
        assert!(wrong("data:audio/wav;base64,").contains("without any data"));
        assert!(wrong("data:audio/wav;base64,UklG Rg==").contains("RFC 4648"));
    }

    #[test]
    fn audio_has_a_largest_size() {
        let of = |bytes: usize| taken(&format!("data:audio/wav;base64,{}", BASE64.encode(vec![0; bytes]))).0;
        assert_eq!(of(RECORDING_BYTES).expect("audio").map(|audio| audio.bytes.len()), Some(RECORDING_BYTES));
        assert_eq!(of(RECORDING_BYTES + 8).expect_err("too much").kind, RefusalKind::TooLarge);
    }
}
