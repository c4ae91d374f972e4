//! A telephone system as the stories know it: a dial plan of three digits, people with extensions, and what it says of calls.

use crate::api::{Api, Reply};
use crate::letter::Letter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The dial plan of every story.
pub const PLAN: &str = "Lyon";
/// The policy that comes with it.
pub const POLICY: &str = "Lyon Default Policy";

/// When the calls of the stories began: a minute ago, so that it is believed.
pub fn called_at() -> Timestamp {
    static AT: OnceLock<Timestamp> = OnceLock::new();
    *AT.get_or_init(|| Timestamp::now() - jiff::SignedDuration::from_mins(1))
}

/// That time in words for a reader there: in English, and in French with plain spaces.
///
/// # Panics
/// When there is no such zone.
pub fn called_in(zone: &str) -> [String; 2] {
    const WEEKDAYS: [&str; 7] = ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"];
    const MONTHS: &str = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre";
    let at = called_at().in_tz(zone).expect("a zone of the tables");
    let weekday = WEEKDAYS[usize::try_from(at.weekday().to_monday_zero_offset()).unwrap_or(0)];
    let month = MONTHS.split(' ').nth(usize::try_from(at.month() - 1).unwrap_or(0)).unwrap_or_default();
    let day = if at.day() == 1 { "1er".to_owned() } else { at.day().to_string() };
    let french = format!("{weekday} {day} {month} {} à {} h {:02}", at.year(), at.hour(), at.minute());
    [at.strftime("%A %-d %B %Y at %H:%M").to_string(), french]
}

/// Creates the dial plan: three digits, France, and whole numbers that begin with +33472100.
pub async fn dial_plan(api: &Api) {
    let plan = json!({"name": PLAN, "numberOfDigitsInExtension": 3, "countryOrRegionCode": "33", "e164Prefix": "+33472100"});
    api.post("dial-plans", &plan).await.with(201);
}

/// Gives a person an extension.
pub async fn mailbox(api: &Api, person: &str, policy: &str, extension: &str) -> Value {
    let given = json!({"umMailboxPolicy": policy, "extensions": [extension]});
    api.ask(Method::POST, &format!("mailboxes/{person}@example.org/enable"), Some(&given), &[]).await.fine()
}

/// What became of a leg, as a CloudEvent; the leg is named by the extension. `more` is merged into its data.
pub fn leg(call: &str, extension: &str, state: &str, more: &Value) -> Value {
    let mut data = json!({
        "callId": call,
        "legId": extension,
        "dialPlan": PLAN,
        "calledExtension": extension,
        "caller": {"number": "+33612345678"},
        "state": state,
        "at": format!("{:.3}", called_at()),
    });
    if let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) {
        data.extend(more.clone());
    }
    let kind = "org.carillon.call.leg.v1";
    json!({"specversion": "1.0", "id": format!("{call}/{extension}/{state}"), "source": "/story", "type": kind, "data": data})
}

/// Says legs, in one batch.
pub async fn say(api: &Api, legs: &[Value]) -> Reply {
    let request = api.outside(Method::POST, "/integrations/cloudevents");
    let request = request.header("content-type", "application/cloudevents-batch+json").body(json!(legs).to_string());
    Reply::of("POST cloudevents".into(), request).await.expect("the server answers")
}

/// Half a second of noise that plays, with every byte there is: 8 kHz, 8 bits, one channel, with a head of 44 bytes. No two names sound the same.
pub fn wav(name: &str) -> Vec<u8> {
    const SAMPLES: u32 = 4_000;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + SAMPLES).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend([1, 0, 1, 0]);
    wav.extend(8_000_u32.to_le_bytes());
    wav.extend(8_000_u32.to_le_bytes());
    wav.extend([1, 0, 8, 0]);
    wav.extend(b"data");
    wav.extend(SAMPLES.to_le_bytes());
    let sounds = name.bytes().chain((0..=255).cycle());
    wav.extend(sounds.take(SAMPLES as usize));
    wav
}

/// Audio as a `data:` URL.
pub fn data_url(audio: &[u8], name: &str) -> String {
    format!("data:audio/wav;name={name};base64,{}", STANDARD.encode(audio))
}

/// A voice-mail mail for an extension as a telephone system writes it; `headers` are further ones, each with its end.
///
/// # Panics
/// Never: Base64 is ASCII.
pub fn voice_mail(extension: &str, audio: &[u8], headers: &str) -> String {
    let audio = STANDARD.encode(audio);
    let lines: Vec<&str> = audio.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!(
        "Date: Fri, 20 Nov 2026 15:38:44 +0000\r\nFrom: \"PBX\" <voicemail@example.org>\r\nTo: <{extension}@pbx.example.org>\r\n\
         Subject: A message waits\r\nMessage-ID: <Asterisk-1-777-{extension}-42@pbx>\r\n{headers}X-Asterisk-CallerID: 115\r\n\
         X-Asterisk-CallerIDName: Desk of Lea\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"----b\"\r\n\r\n\
         ------b\r\nContent-Type: text/plain; charset=ISO-8859-1\r\n\r\nSomebody left a message of three seconds.\r\n\r\n\
         ------b\r\nContent-Type: audio/x-wav; name=\"msg0000.wav\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"msg0000.wav\"\r\n\r\n{}\r\n------b--\r\n",
        lines.join("\r\n")
    )
}

/// Seconds that audio lasts, by Python's reader of WAV.
pub fn seconds(audio: &[u8]) -> f64 {
    let script = "import base64,io,json,sys,wave\nsound=wave.open(io.BytesIO(base64.b64decode(json.load(sys.stdin))))\nprint(sound.getnframes()/sound.getframerate())";
    crate::python::python(script, &json!(STANDARD.encode(audio))).as_f64().expect("a number")
}

/// The events of one type that a person has: id, and the reason of the decision about the mail.
pub async fn events(api: &Api, person: &str, kind: &str) -> Vec<(String, Option<String>)> {
    let id = api.id("user", &format!("{person}@example.org")).await;
    let data = api.get(&format!("users/{id}/data")).await;
    let events = data["notifications"].as_array().cloned().unwrap_or_default();
    let of_kind = events.iter().filter(|event| event["kind"] == kind);
    let reason = |event: &Value| {
        let deliveries = event["deliveries"].as_array().cloned().unwrap_or_default();
        let mail = deliveries.iter().find(|delivery| delivery["channel"] == "email").cloned()?;
        mail["reasonCode"].as_str().map(str::to_owned)
    };
    of_kind.map(|event| (event["id"].as_str().unwrap_or_default().to_owned(), reason(event))).collect()
}

/// The reason for which `why` says that there was no mail; nothing when there was one.
///
/// # Panics
/// When it has no word about mail.
pub async fn why_no_mail(api: &Api, event: &str, person: &str) -> Option<String> {
    let why = api.why(event, &format!("{person}@example.org")).await;
    let decisions = why["decisions"].as_array().cloned().unwrap_or_default();
    let mail = decisions.iter().find(|decision| decision["channel"] == "email");
    mail.unwrap_or_else(|| panic!("no word about mail: {why}"))["reasonCode"].as_str().map(str::to_owned)
}

/// What a mail says of itself: event type, and the first line of what it says.
pub fn kind_of(letter: &Letter) -> &str {
    letter.header("X-Carillon-Kind")
}
