//! The samples of this folder, told in every language, against the words expected of them; and what must hold for any
//! text. After a wanted change of words run `UPDATE_SAMPLES=1 cargo test -p sources` and read the difference.

use super::*;
use crate::phrases::outline;
use model::source::{Branding, Content};
use model::{Body, Locale, Timestamp, Title};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use uuid::Uuid;

/// One event and what is expected of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    /// Why this event is interesting.
    story: String,
    organization: String,
    private: bool,
    title: String,
    body: String,
    /// By language.
    expected: BTreeMap<String, Expected>,
}

/// The words; the HTML document stands in a file of its own beside the sample, so that a browser shows it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    title: String,
    body: String,
    subject: String,
    text: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/custom_notification/samples")
}

fn tell(organization: &str, title: &str, body: &str, private: bool, locale: Locale) -> Words {
    let content = Content { title: title.to_owned(), body: body.to_owned(), ..Content::default() };
    CustomNotification.words(&Telling {
        event: Uuid::from_u128(7),
        kind: CUSTOM_NOTIFICATION,
        content: &content,
        locale,
        private,
        at: Timestamp(0),
        organization,
        branding: Branding::default(),
    })
}

#[test]
fn every_sample_is_told_in_the_expected_words() {
    let update = std::env::var_os("UPDATE_SAMPLES").is_some();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).expect("the samples").map(|f| f.expect("a sample").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    assert!(files.len() >= 5, "samples are missing");
    for file in files {
        let mut sample: Sample = serde_json::from_str(&std::fs::read_to_string(&file).expect("readable")).expect("a sample");
        Title::new(&sample.title).expect("a sample has a title that would be accepted");
        Body::new(&sample.body).expect("a sample has a body that would be accepted");
        for locale in Locale::ALL {
            let words = tell(&sample.organization, &sample.title, &sample.body, sample.private, locale);
            let told = Expected { title: words.title, body: words.body, subject: words.mail.subject, text: words.mail.text };
            let page = file.with_extension(format!("{locale}.html"));
            if update {
                std::fs::write(&page, &words.mail.html).expect("writable");
                sample.expected.insert(locale.tag().to_owned(), told);
                let json = serde_json::to_string_pretty(&sample).expect("JSON");
                std::fs::write(&file, json + "\n").expect("writable");
                continue;
            }
            assert_eq!(Some(&told), sample.expected.get(locale.tag()), "{} in {locale}", file.display());
            assert_eq!(words.mail.html, std::fs::read_to_string(&page).expect("the page"), "{}", page.display());
        }
    }
}

#[test]
fn both_languages_have_the_same_phrases_with_the_same_variables() {
    let (en, fr) = (outline(include_str!("en.ftl")), outline(include_str!("fr.ftl")));
    assert_eq!(en, fr);
    assert_eq!(en.keys().collect::<Vec<_>>(), PHRASES_SAID.iter().collect::<Vec<_>>());
    for locale in Locale::ALL {
        for phrase in PHRASES_SAID {
            let said = PHRASES.say(locale, phrase, &[("organization", "Lumen")]);
            assert!(!said.is_empty() && !said.contains('{'), "{phrase} in {locale}: {said}");
        }
    }
}

#[test]
fn a_private_message_leaks_neither_title_nor_body_anywhere() {
    for locale in Locale::ALL {
        let words = tell("Lumen", "Zanzibar", "Quetzal and <Xylophone>", true, locale);
        assert!(words.private);
        let everything = format!("{words:?}");
        for secret in ["Zanzibar", "Quetzal", "Xylophone"] {
            assert!(!everything.contains(secret), "{secret} in {locale}");
        }
        assert!(!words.title.is_empty() && !words.body.is_empty() && words.mail.html.contains("Lumen"));
    }
}

#[test]
fn the_words_are_the_authors_own_in_push_subject_and_text() {
    let (title, body) = ("Fermé à 18 h & après", "L’accès « Nord » est fermé.\nMerci <3\n\tL’accueil");
    let words = tell("Lumen", title, body, false, Locale::Fr);
    assert_eq!((words.title.as_str(), words.body.as_str(), words.mail.subject.as_str()), (title, body, title));
    assert!(words.mail.text.starts_with(&format!("{title}\n\n{body}\n")));
    assert_eq!((words.kind, words.private, words.locale), (CUSTOM_NOTIFICATION, false, Locale::Fr));
}

#[test]
fn markup_accents_and_line_breaks_survive_in_html() {
    let html = tell("A & B", "<b>Été</b>", "\"un\" & 'deux'\ntrois <img src=x>", false, Locale::En).mail.html;
    assert!(html.contains("&lt;b&gt;Été&lt;/b&gt;") && html.contains("A &amp; B"));
    assert!(html.contains("&quot;un&quot; &amp; &#39;deux&#39;<br>\ntrois &lt;img src=x&gt;"));
    assert!(!html.contains("<b>") && !html.contains("<img"));
}

#[test]
fn the_mail_is_a_document_in_the_readers_language_that_says_why_it_came() {
    let en = tell("Lumen", "t", "b", false, Locale::En).mail;
    let fr = tell("Lumen", "t", "b", false, Locale::Fr).mail;
    assert!(en.html.contains("<html lang=\"en\"") && fr.html.contains("<html lang=\"fr\""));
    assert!(en.html.contains("You receive this mail because Lumen") && fr.html.contains("Vous recevez ce courriel parce que Lumen"));
    assert!(en.text.contains("\n-- \nYou receive this mail") && fr.text.contains("\n-- \nVous recevez ce courriel"));
    assert!(!en.html.contains('\u{2068}') && !en.text.contains('\u{2068}'), "isolating marks are off");
}

#[test]
fn the_longest_message_makes_a_mail_of_at_most_16_kib() {
    let html = tell(&"&".repeat(256), &"\"".repeat(50), &"\"".repeat(500), false, Locale::Fr).mail.html;
    assert!(html.len() < 16 * 1024, "{} bytes", html.len());
}
