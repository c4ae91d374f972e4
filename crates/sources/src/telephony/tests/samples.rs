//! The calls of the samples folder: legs in, decisions and words out. Every row of SPEC §7 and of the telephony table has one.
//! After a wanted change of words run `UPDATE_SAMPLES=1 cargo test -p sources` and read the difference; decisions are written
//! by hand.

use super::super::calls::Gathering;
use super::super::telling::{Audio, Called, happenings};
use super::super::*;
use crate::phrases::outline;
use model::calls::Leg;
use model::source::{Branding, Content, Existing, Happening, Subject};
use model::{Locale, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use uuid::Uuid;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Sample {
    /// Why this call is interesting.
    story: String,
    organization: String,
    timezone: Option<String>,
    caller_in_directory: Option<String>,
    /// What of the dial plan bears on numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dial_plan: Option<Value>,
    audio: bool,
    policy_allows: bool,
    mailbox_allows: bool,
    voice_mail_text: String,
    legs: Vec<Leg>,
    /// Every event of the call, in order.
    expected: Vec<Decision>,
    /// The first event that is wanted by anybody, by language.
    words: BTreeMap<String, Expected>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    extension: String,
    kind: String,
    /// Reason with which the mail is suppressed, or `none`.
    mail: String,
    /// The same of a push.
    push: String,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    title: String,
    body: String,
    subject: String,
    text: String,
}

fn settings() -> PolicySnapshot {
    PolicySnapshot::new(1, &[], BTreeMap::new())
}

fn person(timezone: Option<String>) -> Subject {
    Subject {
        id: Uuid::from_u128(5),
        upn: "alice@example.org".to_owned(),
        display_name: "Alice".to_owned(),
        email: Some("alice@example.org".to_owned()),
        timezone,
        licenses: Vec::new(),
        phones: Vec::new(),
        active: true,
    }
}

fn object(kind: ObjectKind, document: Value) -> Existing {
    Existing { kind, id: Uuid::from_u128(6), name: "o".to_owned(), document }
}

fn events(sample: &Sample) -> Vec<Happening> {
    let mut call = Gathering::default();
    for leg in &sample.legs {
        let leg = leg.clone().checked().expect("a sample has legs that would be accepted");
        let at = leg.at;
        call.add(leg, at).expect("room");
    }
    let (person, audio) = (
        person(sample.timezone.clone()),
        Audio { file: Uuid::from_u128(9), name: "message.wav".to_owned(), media_type: "audio/wav".to_owned() },
    );
    let mailbox = object(ObjectKind::Mailbox, json!({"missedCallNotificationEnabled": sample.mailbox_allows}));
    let policy = object(
        ObjectKind::MailboxPolicy,
        json!({"allowMissedCallNotifications": sample.policy_allows, "voiceMailText": sample.voice_mail_text}),
    );
    let plan = sample.dial_plan.clone().map(|document| object(ObjectKind::DialPlan, document));
    let called = Called {
        person: &person,
        mailbox: &mailbox,
        policy: &policy,
        plan: plan.as_ref(),
        caller_in_directory: sample.caller_in_directory.as_deref(),
        audio: sample.audio.then_some(&audio),
    };
    call.tell(Some).iter().flat_map(|news| happenings(&news.verdict, &called, news.late)).collect()
}

fn decision(event: &Happening) -> Decision {
    let reason = |channel| Telephony.objection_on(channel, event.kind, &event.data, &settings()).unwrap_or(Reason::None).to_string();
    let extension = event.data["extension"].as_str().expect("an extension").to_owned();
    Decision { extension, kind: event.kind.to_owned(), mail: reason(ChannelKind::Email), push: reason(ChannelKind::Apns) }
}

fn tell(organization: &str, kind: &'static str, data: &Value, private: bool, locale: Locale) -> Words {
    let content = Content { data: data.clone(), ..Content::default() };
    let (event, at, branding) = (Uuid::from_u128(7), Timestamp(0), Branding::default());
    Telephony.words(&Telling { event, kind, content: &content, locale, private, at, organization, branding })
}

#[test]
fn every_sample_is_decided_and_told_as_expected() {
    let update = std::env::var_os("UPDATE_SAMPLES").is_some();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/telephony/samples");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).expect("the samples").map(|f| f.expect("a sample").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    assert!(files.len() >= 20, "samples are missing");
    for file in files {
        let mut sample: Sample = serde_json::from_str(&std::fs::read_to_string(&file).expect("readable")).expect("a sample");
        let events = events(&sample);
        assert_eq!(events.iter().map(decision).collect::<Vec<_>>(), sample.expected, "{}: {}", file.display(), sample.story);
        let Some(event) = events.iter().find(|event| decision(event).push == "none") else {
            assert!(sample.words.is_empty(), "{}", file.display());
            continue;
        };
        for locale in Locale::ALL {
            let words = tell(&sample.organization, event.kind, &event.data, false, locale);
            let told = Expected { title: words.title, body: words.body, subject: words.mail.subject, text: words.mail.text };
            let page = file.with_extension(format!("{locale}.html"));
            if update {
                std::fs::write(&page, &words.mail.html).expect("writable");
                sample.words.insert(locale.tag().to_owned(), told);
                std::fs::write(&file, serde_json::to_string_pretty(&sample).expect("JSON") + "\n").expect("writable");
                continue;
            }
            assert_eq!(Some(&told), sample.words.get(locale.tag()), "{} in {locale}", file.display());
            assert_eq!(words.mail.html, std::fs::read_to_string(&page).expect("the page"), "{}", page.display());
        }
    }
}

fn missed(caller: Value) -> Value {
    json!({"callId": "c", "dialPlan": "Lyon", "extension": "102", "calledAt": "2026-11-20T15:38:44Z", "caller": caller,
           "timezone": "Europe/Paris", "verdict": "missed", "ending": "no_answer", "policyAllows": true, "mailboxAllows": true})
}

#[test]
fn the_mails_of_one_call_are_one_thread_whatever_it_came_to_and_however_private() {
    let thread = |kind, data: &Value, private| tell("Lumen", kind, data, private, Locale::En).mail.thread;
    let call = missed(json!({}));
    let one = thread(CALL_MISSED, &call, false);
    assert!(one.as_deref().is_some_and(|thread| thread.starts_with("telephony\n")), "{one:?}");
    assert_eq!(thread(VOICEMAIL_RECEIVED, &call, false), one);
    assert_eq!(thread(CALL_MISSED, &call, true), one);
    for (field, other) in [("callId", "d"), ("dialPlan", "Paris")] {
        let mut data = call.clone();
        data[field] = json!(other);
        assert_ne!(thread(CALL_MISSED, &data, false), one, "another {field} is another call");
    }
    assert_eq!(thread(CALL_MISSED, &json!({}), false), None, "what cannot be read is told alone");
}

#[test]
fn the_html_calls_back_with_a_link_and_the_text_names_the_same_link() {
    let data = missed(json!({"number": "+33472100101", "name": "Bob"}));
    for locale in Locale::ALL {
        let mail = tell("Lumen", CALL_MISSED, &data, false, locale).mail;
        assert!(
            mail.html.contains("<a href=\"tel:+33472100101\" style=")
                && mail.html.contains(">+33\u{a0}4\u{a0}72\u{a0}10\u{a0}01\u{a0}01</a>"),
            "{}",
            mail.html
        );
        assert!(mail.text.contains("tel:+33472100101\n") && !mail.html.contains('\u{E000}'));
    }
}

#[test]
fn a_text_cannot_smuggle_in_a_link() {
    let data = missed(json!({"number": "+33472100101", "name": "\u{E000}Bob"}));
    let html = tell("Lumen", CALL_MISSED, &data, false, Locale::En).mail.html;
    assert_eq!(html.matches("<a href").count(), 1);
}

#[test]
fn a_number_is_shown_as_it_was_signalled_and_linked_as_whole_as_it_is_known() {
    for (number, link) in [("101", Some("tel:101")), ("0472100101", Some("tel:0472100101")), ("bob@example.org", None)] {
        let mail = tell("Lumen", CALL_MISSED, &missed(json!({ "number": number })), false, Locale::En).mail;
        assert_eq!(link.is_some(), mail.html.contains("<a href") && mail.text.contains(link.unwrap_or("?")), "{number}");
        assert!(mail.text.contains(&format!("Number: {number}\n")), "{}", mail.text);
    }
    let mut data = missed(json!({"number": "101"}));
    data["callerWhole"] = json!("+33472100101");
    let mail = tell("Lumen", CALL_MISSED, &data, false, Locale::En).mail;
    assert!(mail.text.contains("tel:+33472100101\n") && mail.text.contains("Number: 101\n"), "{}", mail.text);
    assert_eq!(mail.subject, "Missed call from 101");
}

#[test]
fn the_readers_language_tag_decides_the_form_of_the_time() {
    let mut data = missed(json!({}));
    data["locale"] = json!("en-US");
    assert!(tell("Lumen", CALL_MISSED, &data, false, Locale::En).body.ends_with("Friday, November 20, 2026 at 4:38 PM"));
    data["locale"] = json!("en-GB");
    assert!(tell("Lumen", CALL_MISSED, &data, false, Locale::En).body.ends_with("Friday 20 November 2026 at 16:38"));
}

#[test]
fn a_made_up_voice_message_has_audio_and_a_made_up_missed_call_none() {
    let (file, now) = (Uuid::from_u128(11), Timestamp(0));
    let mut content = Telephony.sample(VOICEMAIL_RECEIVED, Locale::En, &settings(), now).expect("a sample");
    let mail = |content: &Content| tell("Lumen", VOICEMAIL_RECEIVED, &content.data, false, Locale::En).mail;
    assert!(mail(&content).text.contains("attached to this mail (sample.wav)"), "a preview names it");
    let wav = Telephony.sample_file(VOICEMAIL_RECEIVED, &mut content, file).expect("audio");
    assert_eq!(mail(&content).files.iter().map(|named| named.file).collect::<Vec<_>>(), [file]);
    let size = |at: usize| u32::from_le_bytes(wav[at..at + 4].try_into().expect("four bytes")) as usize;
    assert_eq!((&wav[..4], &wav[8..16], &wav[36..40], wav.len()), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..], 44 + 16_000));
    assert_eq!((size(4), size(40)), (wav.len() - 8, wav.len() - 44));
    let mut missed = Telephony.sample(CALL_MISSED, Locale::En, &settings(), now).expect("a sample");
    assert_eq!(Telephony.sample_file(CALL_MISSED, &mut missed, file), None);
    assert!(tell("Lumen", CALL_MISSED, &missed.data, false, Locale::En).mail.files.is_empty());
}

#[test]
fn a_callers_number_is_whole_by_the_dial_plan() {
    let plan = json!({"numberOfDigitsInExtension": 3, "countryOrRegionCode": "33", "e164Prefix": "+33472100"});
    let whole = |number, plan: &Value| telling::whole_number(number, plan);
    for number in ["102", "0472100102", "0033472100102", "+33 4 72 10 01 02"] {
        assert_eq!(whole(number, &plan).as_deref(), Some("+33472100102"), "{number}");
    }
    for number in ["1021", "15", "0155", "000472100102", "bob@example.org"] {
        assert_eq!(whole(number, &plan), None, "{number}");
    }
    let bare = json!({"numberOfDigitsInExtension": 3});
    assert_eq!((whole("102", &bare), whole("0472100102", &bare)), (None, None));
    let italy = json!({"numberOfDigitsInExtension": 3, "countryOrRegionCode": "39"});
    assert_eq!(whole("0669812345", &italy).as_deref(), Some("+390669812345"), "the 0 belongs to the number there");
    let america = json!({"numberOfDigitsInExtension": 4, "countryOrRegionCode": "1", "e164Prefix": "+1415555"});
    for number in ["4155550123", "14155550123", "0123"] {
        assert_eq!(whole(number, &america).as_deref(), Some("+14155550123"), "{number}");
    }
}

#[test]
fn an_anonymous_caller_gets_no_name_and_no_link() {
    for locale in Locale::ALL {
        let mail = tell("Lumen", CALL_MISSED, &missed(json!({})), false, locale).mail;
        assert!(!mail.html.contains("tel:") && !mail.text.contains("tel:"));
    }
    assert_eq!(tell("L", CALL_MISSED, &missed(json!({})), false, Locale::En).mail.subject, "Missed call from an anonymous caller");
    assert_eq!(tell("L", CALL_MISSED, &missed(json!({})), false, Locale::Fr).mail.subject, "Appel manqué : correspondant anonyme");
}

#[test]
fn a_private_telling_and_one_that_cannot_be_read_hold_nothing_of_the_call() {
    let data = missed(json!({"number": "+33472100101", "name": "Quetzal"}));
    for locale in Locale::ALL {
        for (data, private) in [(&data, true), (&json!({"caller": {"name": "Quetzal"}}), false)] {
            let words = tell("Lumen", VOICEMAIL_RECEIVED, data, private, locale);
            let everything = format!("{words:?}");
            assert!(!everything.contains("Quetzal") && !everything.contains("3347") && !everything.contains("tel:"));
            assert!(!words.body.is_empty() && !words.mail.subject.is_empty() && words.mail.html.contains("Lumen"));
        }
    }
}

#[test]
fn a_late_voice_message_is_one_event_when_the_missed_call_was_told() {
    let sample = Sample {
        story: String::new(),
        organization: "Lumen".to_owned(),
        timezone: None,
        caller_in_directory: None,
        dial_plan: None,
        audio: false,
        policy_allows: true,
        mailbox_allows: true,
        voice_mail_text: String::new(),
        legs: Vec::new(),
        expected: Vec::new(),
        words: BTreeMap::new(),
    };
    assert!(events(&sample).is_empty());
    let leg = Leg::parse(
        &json!({"callId": "c", "legId": "v", "dialPlan": "Lyon", "calledExtension": "102", "state": "voice_message", "at": "2026-11-20T15:38:44Z"}),
    );
    let mut call = Gathering::default();
    call.add(leg.expect("a leg"), Timestamp(0)).expect("room");
    let (person, object) = (person(None), object(ObjectKind::Mailbox, json!({})));
    let called = Called { person: &person, mailbox: &object, policy: &object, plan: None, caller_in_directory: None, audio: None };
    let kinds = |told| happenings(&judge_one(&call), &called, told).iter().map(|event| event.kind).collect::<Vec<_>>();
    assert_eq!(kinds(false), [VOICEMAIL_RECEIVED, CALL_MISSED]);
    assert_eq!(kinds(true), [VOICEMAIL_RECEIVED]);
}

fn judge_one(call: &Gathering) -> super::super::calls::Verdict {
    super::super::calls::judge(call).remove(0)
}

#[test]
fn both_languages_have_the_same_phrases_with_the_same_variables() {
    assert_eq!(outline(include_str!("../en.ftl")), outline(include_str!("../fr.ftl")));
}

#[test]
fn the_directory_is_asked_for_every_spelling_of_a_callers_number() {
    let plan = json!({"numberOfDigitsInExtension": 3, "countryOrRegionCode": "33", "e164Prefix": "+33472100"});
    assert_eq!(telling::spellings("101", &plan), ["101", "+33472100101"]);
    assert_eq!(telling::spellings("0472100101", &plan), ["0472100101", "+33472100101"]);
    assert_eq!(telling::spellings("0033472100101", &plan), ["0033472100101", "+33472100101"]);
    assert_eq!(telling::spellings("+33472100101", &plan), ["+33472100101"]);
    assert!(telling::spellings("bob@example.org", &plan).is_empty());
}

/// What `why` says behind the reason for which a channel carries nothing.
fn objector(data: &Value, channel: ChannelKind, locale: Locale) -> Option<String> {
    let reason = Telephony.objection_on(channel, CALL_MISSED, data, &settings())?;
    Telephony.objector(reason, data, locale)
}

#[test]
fn what_turned_a_mail_off_is_told_by_its_name_from_what_the_event_says() {
    let missed = |policy: bool, mailbox: bool| {
        let mut sample: Sample = serde_json::from_str(include_str!("../samples/policy_off_stops_the_mail_alone.json")).expect("a sample");
        (sample.policy_allows, sample.mailbox_allows) = (policy, mailbox);
        events(&sample).remove(0).data
    };
    let by_policy = missed(false, false);
    assert_eq!(by_policy["policyName"], "o");
    let mail = |data: &Value, locale| objector(data, ChannelKind::Email, locale);
    assert_eq!(mail(&by_policy, Locale::En).as_deref(), Some("the mailbox policy o has AllowMissedCallNotifications off"));
    assert_eq!(mail(&by_policy, Locale::Fr).as_deref(), Some("la stratégie de boîte vocale o désactive AllowMissedCallNotifications"));
    assert_eq!(objector(&by_policy, ChannelKind::Apns, Locale::En), None, "a policy for mails stops no push");
    let mut older = by_policy.clone();
    older.as_object_mut().expect("fields").remove("policyName");
    assert_eq!(mail(&older, Locale::En).as_deref(), Some("the mailbox policy has AllowMissedCallNotifications off"));
    let by_mailbox = missed(true, false);
    assert_eq!(mail(&by_mailbox, Locale::En).as_deref(), Some("the mailbox has MissedCallNotificationEnabled off"));
    assert_eq!(mail(&by_mailbox, Locale::Fr).as_deref(), Some("la boîte vocale désactive MissedCallNotificationEnabled"));
    assert_eq!(mail(&missed(true, true), Locale::En), None);
    assert_eq!(Telephony.objector(Reason::Answered, &by_policy, Locale::En), None, "that says it all");
}
