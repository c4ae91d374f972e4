//! The five mails of conferencing, in words.
//!
//! In: the facts of an event and, in two of the five, the PIN, which arrives sealed with the event's body. Out: subject, plain
//! text and HTML. The lines that people (and their programs) look for stand first in the plain text, each by itself, the PIN
//! before the conference ID, both undivided; nothing above them says that they follow.

use super::{CHANGED, DISABLED, ENABLED, PIN_RESET};
use crate::letterhead::{self, Letter};
use crate::phrases::Phrases;
use model::Locale;
use model::source::{Content, Mail, Telling, Words};
use serde_json::Value;
use std::sync::LazyLock;

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases::new(include_str!("en.ftl"), include_str!("fr.ftl")));

/// All of these mails are about the same thing, which a person has once: how they hold conferences.
const THREAD: &str = "conferencing";

/// The event in words.
pub(super) fn words(telling: &Telling<'_>) -> Words {
    let Telling { event, kind, locale, private, organization, branding, content, .. } = *telling;
    let say = |phrase: &str| PHRASES.say(locale, phrase, &[("organization", organization)]);
    let heading = say(heading(kind));
    let lines: Vec<(String, String)> = lines(kind, content).into_iter().map(|line| line.said(say)).collect();
    let texts: Vec<String> = texts(kind, content).into_iter().map(say).collect();
    let body = texts.join("\n\n");
    let notice = say("notice");
    let preview = say("preview");
    let html = letterhead::document(&Letter {
        locale,
        organization,
        branding,
        preview: &preview,
        heading: &heading,
        lines: &lines,
        body: &body,
        notice: &notice,
    });
    let line = |(name, value): &(String, String)| PHRASES.say(locale, "line", &[("name", name), ("value", value)]) + "\n";
    let lines: String = lines.iter().map(line).collect();
    let gap = if lines.is_empty() { "" } else { "\n" };
    let text = format!("{heading}\n\n{lines}{gap}{body}\n\n-- \n{notice}\n");
    let mail =
        Mail { subject: heading.clone(), text, html, from: sender(&content.data), thread: Some(THREAD.to_owned()), ..Mail::default() };
    Words { event, kind, locale, private, title: heading, body: preview, mail }
}

/// Which setting stopped a mail.
pub(super) fn off(when_it_happened: bool, locale: Locale) -> String {
    let phrase = if when_it_happened { "off-when-it-happened" } else { "off-by-setting" };
    PHRASES.say(locale, phrase, &[("setting", super::settings::AUTOMATIC_MAILS)])
}

fn heading(kind: &str) -> &'static str {
    match kind {
        ENABLED => "enabled-heading",
        CHANGED => "changed-heading",
        PIN_RESET => "reset-heading",
        DISABLED => "disabled-heading",
        _info => "info-heading",
    }
}

/// One line with its name and value, before it is put in a language.
struct Line {
    name: &'static str,
    /// Digits, or nothing where there are none to say.
    value: Option<String>,
}

impl Line {
    fn said(self, say: impl Fn(&str) -> String) -> (String, String) {
        let value = self.value.unwrap_or_else(|| say("number-missing"));
        (say(self.name), value)
    }
}

fn fact(content: &Content, name: &str) -> Option<String> {
    content.data.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn holds(content: &Content, name: &str) -> bool {
    content.data.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// The PIN, where the mail is one of the two that carry it.
fn pin(kind: &str, content: &Content) -> Option<String> {
    let sealed: Option<Value> = serde_json::from_str(&content.body).ok();
    let pin = sealed.as_ref().and_then(|sealed| sealed.get("pin")).and_then(Value::as_str);
    pin.filter(|_| kind == ENABLED || kind == PIN_RESET).map(str::to_owned)
}

fn lines(kind: &str, content: &Content) -> Vec<Line> {
    if kind == DISABLED {
        return Vec::new();
    }
    let line = |name, value: Option<String>| value.map(|value| Line { name, value: Some(value) });
    let mut lines: Vec<Line> = line("name-pin", pin(kind, content)).into_iter().collect();
    lines.extend(line("name-conference-id", fact(content, "conferenceId")));
    lines.push(Line { name: "name-number", value: fact(content, "serviceNumber") });
    lines
}

/// The paragraphs of a mail, in their order.
fn texts(kind: &str, content: &Content) -> Vec<&'static str> {
    let numberless = fact(content, "serviceNumber").is_none();
    let with_pin = pin(kind, content).is_some();
    let old_id = holds(content, "newConferenceId");
    let parts: &[(&str, bool)] = match kind {
        ENABLED => &[("enabled-text", true), ("number-missing-text", numberless), ("keep-text", with_pin), ("update-text", true)],
        CHANGED => &[("changed-text", true), ("old-id-text", old_id), ("number-missing-text", numberless), ("update-text", true)],
        PIN_RESET => &[
            ("reset-text", true),
            ("keep-text", with_pin),
            ("old-id-text", old_id),
            ("number-missing-text", numberless),
            ("update-text", holds(content, "newDetails")),
        ],
        DISABLED => &[("disabled-text", true), ("remove-text", true)],
        _info => &[("info-text", true), ("number-missing-text", numberless)],
    };
    parts.iter().filter(|(_, said)| *said).map(|(phrase, _)| *phrase).collect()
}

/// Who writes, when it is not the organization's usual address: name and address.
fn sender(data: &Value) -> Option<(String, String)> {
    let part = |name: &str| data.get("from").and_then(|from| from.get(name)).and_then(Value::as_str).map(str::to_owned);
    part("name").zip(part("address"))
}

/// Every phrase that the code above says, with the phrases in the files held against it by a test.
#[cfg(test)]
pub(super) const PHRASES_SAID: [&str; 24] = [
    "changed-heading",
    "changed-text",
    "disabled-heading",
    "disabled-text",
    "enabled-heading",
    "enabled-text",
    "info-heading",
    "info-text",
    "keep-text",
    "line",
    "name-conference-id",
    "name-number",
    "name-pin",
    "notice",
    "number-missing",
    "number-missing-text",
    "off-by-setting",
    "off-when-it-happened",
    "old-id-text",
    "preview",
    "remove-text",
    "reset-heading",
    "reset-text",
    "update-text",
];

/// One phrase, for the test that holds the languages together.
#[cfg(test)]
pub(super) fn phrase(locale: model::Locale, phrase: &str) -> String {
    PHRASES.say(locale, phrase, &[("organization", "Lumen"), ("name", "Name"), ("value", "1"), ("setting", "a.setting")])
}
