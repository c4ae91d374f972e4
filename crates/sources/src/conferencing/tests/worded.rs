//! The mails in words: each in both languages as files, and what has to hold for every mail.

use super::*;
use crate::phrases::outline;
use model::source::{Branding, Content};
use model::text::Locale;

const PIN: &str = "48205";

fn tell(kind: &'static str, data: Value, secret: Option<&str>, locale: Locale, branding: Branding<'_>) -> Words {
    let body = secret.map(|pin| json!({ "pin": pin }).to_string()).unwrap_or_default();
    let content = Content { title: String::new(), body, data };
    let telling = Telling {
        event: Uuid::from_u128(7),
        kind,
        content: &content,
        locale,
        private: false,
        at: Timestamp(0),
        organization: "Lumen",
        branding,
    };
    Conferencing.words(&telling)
}

const LUMEN: Branding<'_> = Branding { colour: "#8a1c5b", logo_url: "https://example.org/lumen.png" };

fn details() -> Value {
    json!({"conferenceId": "583920174", "serviceNumber": "+33155501234", "newConferenceId": false, "newDetails": false})
}

fn numberless() -> Value {
    json!({"conferenceId": "583920174", "serviceNumber": null})
}

fn renewed() -> Value {
    json!({"conferenceId": "583920174", "serviceNumber": "+33155501234", "newConferenceId": true, "newDetails": true})
}

/// Each mail that is kept as a file: its name, type, facts, and whether it has the PIN.
fn mails() -> Vec<(&'static str, &'static str, Value, bool)> {
    vec![
        ("enabled", ENABLED, details(), true),
        ("enabled_without_number", ENABLED, numberless(), true),
        ("enabled_with_pin_shown_elsewhere", ENABLED, details(), false),
        ("changed", CHANGED, renewed(), false),
        ("pin_reset", PIN_RESET, details(), true),
        ("pin_reset_with_new_id", PIN_RESET, renewed(), true),
        ("disabled", DISABLED, json!({}), false),
        ("info", INFO, details(), false),
        ("info_without_number", INFO, numberless(), false),
    ]
}

#[test]
fn every_mail_is_told_in_the_expected_words() {
    for (name, kind, data, with_pin) in mails() {
        for locale in Locale::ALL {
            let mail = tell(kind, data.clone(), with_pin.then_some(PIN), locale, LUMEN).mail;
            let page = folder().join("mails").join(format!("{name}.{locale}.html"));
            hold(&page.with_extension("txt"), &format!("Subject: {}\n\n{}", mail.subject, mail.text));
            hold(&page, &mail.html);
        }
    }
}

#[test]
fn the_pin_stands_alone_on_its_line_above_the_conference_id_and_nothing_above_it_names_it() {
    let lines =
        [(Locale::En, "PIN: 48205", "Conference ID: 583920174"), (Locale::Fr, "Code PIN : 48205", "Identifiant de conférence : 583920174")];
    for (locale, pin_line, id_line) in lines {
        for (_, kind, data, with_pin) in mails().into_iter().filter(|(_, kind, ..)| *kind != DISABLED) {
            let mail = tell(kind, data, with_pin.then_some(PIN), locale, LUMEN).mail;
            let place = |line: &str| mail.text.lines().position(|l| l == line);
            let id_place = place(id_line).expect("the conference ID has a line");
            assert_eq!(place(pin_line), with_pin.then(|| id_place - 1), "{kind} {locale}");
            let first = if with_pin { id_place - 1 } else { id_place };
            let above = mail.text.lines().take(first).chain([mail.subject.as_str()]).collect::<String>().to_lowercase();
            assert!(!above.contains("pin") && !above.contains("code"), "{above}");
        }
    }
}

#[test]
fn only_the_mails_enabled_and_pin_reset_carry_a_pin_even_if_another_were_given_one() {
    for kind in [ENABLED, CHANGED, PIN_RESET, DISABLED, INFO] {
        for locale in Locale::ALL {
            let words = tell(kind, details(), Some(PIN), locale, LUMEN);
            let carries = kind == ENABLED || kind == PIN_RESET;
            assert_eq!(words.mail.text.contains(PIN), carries, "{kind}");
            assert_eq!(words.mail.html.contains(PIN), carries, "{kind}");
            let outside = format!("{} {} {}", words.title, words.body, words.mail.subject);
            assert!(!outside.contains(PIN), "neither a list of mails nor a lock screen shows it");
            let preview = words.mail.html.split("<div style=\"display:none").nth(1).and_then(|rest| rest.split("</div>").next());
            assert!(preview.is_some_and(|preview| !preview.contains(PIN)));
        }
    }
}

#[test]
fn details_by_hand_are_the_conference_id_and_the_number_only() {
    let text = tell(INFO, details(), Some(PIN), Locale::En, LUMEN).mail.text;
    assert!(text.contains("Conference ID: 583920174\nPhone number: +33155501234\n"));
    assert!(!text.to_lowercase().contains("pin") && !text.contains("scheduled"));
}

#[test]
fn a_mail_without_a_number_says_so_and_an_end_says_how_to_clear_meetings() {
    for kind in [ENABLED, INFO] {
        let said = |locale| tell(kind, numberless(), None, locale, LUMEN).mail;
        assert!(said(Locale::En).text.contains("Phone number: not set yet") && said(Locale::En).html.contains("not set yet"));
        assert!(said(Locale::Fr).text.contains("Numéro de téléphone : pas encore défini"));
    }
    let end = tell(DISABLED, json!({}), None, Locale::En, LUMEN).mail;
    assert!(end.text.contains("take both out") && !end.text.contains("Conference ID:"));
}

#[test]
fn a_mail_comes_from_the_sender_in_its_facts_and_has_the_organizations_colour() {
    let mut data = details();
    data["from"] = json!({"name": "Amos Marble", "address": "amos.marble@example.org"});
    let mail = tell(INFO, data, None, Locale::En, LUMEN).mail;
    assert_eq!(mail.from, Some(("Amos Marble".to_owned(), "amos.marble@example.org".to_owned())));
    assert!(mail.html.contains("#8a1c5b") && mail.html.contains("https://example.org/lumen.png"));
    assert_eq!(tell(INFO, details(), None, Locale::En, LUMEN).mail.from, None);
}

#[test]
fn all_mails_of_a_person_are_one_thread() {
    for (name, kind, data, with_pin) in mails() {
        let mail = tell(kind, data, with_pin.then_some(PIN), Locale::Fr, LUMEN).mail;
        assert_eq!(mail.thread.as_deref(), Some("conferencing"), "{name}");
    }
}

#[test]
fn both_languages_have_the_same_phrases_with_the_same_variables() {
    let (en, fr) = (outline(include_str!("../en.ftl")), outline(include_str!("../fr.ftl")));
    assert_eq!(en, fr);
    assert_eq!(en.keys().collect::<Vec<_>>(), mails::PHRASES_SAID.iter().collect::<Vec<_>>());
    for locale in Locale::ALL {
        for phrase in mails::PHRASES_SAID {
            let said = mails::phrase(locale, phrase);
            assert!(!said.is_empty() && !said.contains('{'), "{phrase} in {locale}: {said}");
        }
    }
}
