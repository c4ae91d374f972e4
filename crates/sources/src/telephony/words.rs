//! Calls and voice messages in words: what a lock screen shows, and the mail with the number to call back.
//!
//! A caller is named by the directory where it knows the number, otherwise by the number itself, with the name that the
//! telephone system shows for it in front. A caller without a number has no name (SPEC §7).

use super::calls::Ending;
use super::telling::Told;
use super::{CALL_MISSED, VOICEMAIL_RECEIVED, local};
use crate::letterhead::{self, Letter};
use crate::phrases::Phrases;
use model::Locale;
use model::objects::phone;
use model::source::{Mail, MailFile, Telling, Words};
use serde_json::Value;
use std::sync::LazyLock;

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases::new(include_str!("en.ftl"), include_str!("fr.ftl")));

/// Holds the place of the link while the letterhead, which takes plain text only, makes a document of the letter. It is a
/// private-use character, and is taken out of every text that comes from elsewhere.
const LINK_PLACE: char = '\u{E000}';

/// The phrases in which the two event types differ.
struct Kind {
    name: &'static str,
    title: &'static str,
    subject: &'static str,
    body: &'static str,
    private: &'static str,
    notice: &'static str,
}

const MISSED: Kind = Kind {
    name: CALL_MISSED,
    title: "missed-title",
    subject: "missed-subject",
    body: "missed-body",
    private: "private-missed-body",
    notice: "notice-missed",
};
const VOICEMAIL: Kind = Kind {
    name: VOICEMAIL_RECEIVED,
    title: "voicemail-title",
    subject: "voicemail-subject",
    body: "voicemail-body",
    private: "private-voicemail-body",
    notice: "notice-voicemail",
};

/// One event in words. What cannot be read as this source's own is told without content, as a private one is.
pub(super) fn words(telling: &Telling<'_>) -> Words {
    let kind = if telling.kind == VOICEMAIL_RECEIVED { &VOICEMAIL } else { &MISSED };
    let told: Option<Told> = serde_json::from_value(telling.content.data.clone()).ok().filter(|_| !telling.private);
    let title = say(telling.locale, kind.title, &[]);
    let (body, mut mail) = match &told {
        Some(told) => open(telling, kind, told, &title),
        None => private(telling, kind, &title),
    };
    mail.thread = thread(&telling.content.data);
    Words { event: telling.event, kind: kind.name, locale: telling.locale, private: telling.private, title, body, mail }
}

/// One call is one thread, also where it is told in private: a missed call, and the voice message that came later than it could
/// be waited for.
fn thread(data: &Value) -> Option<String> {
    let part = |name: &str| data.get(name).and_then(Value::as_str).filter(|part| !part.is_empty());
    let (plan, call) = (part("dialPlan").unwrap_or_default(), part("callId")?);
    Some(format!("telephony\n{plan}\n{call}"))
}

fn open(telling: &Telling<'_>, kind: &Kind, told: &Told, title: &str) -> (String, Mail) {
    let locale = telling.locale;
    let when = local::time(told.called_at, told.timezone.as_deref(), locale, told.locale.as_deref());
    let (caller, start) = names(told, locale);
    let subject = say(locale, kind.subject, &[("caller", &caller)]);
    let push = say(locale, "push-body", &[("caller", &start), ("when", &when)]);
    let first = say(locale, kind.body, &[("caller", &start), ("when", &when)]);
    let link = whole(told).or_else(|| told.caller.number.as_deref().and_then(phone)).map(|number| local::link(&number));
    let lines = |link: Option<&str>| lines(kind, told, &first, link, locale).join("\n");
    let notice = say(locale, kind.notice, &[("organization", telling.organization)]);
    let body = lines(link.as_deref());
    let placed = lines(link.as_ref().map(|_| LINK_PLACE.to_string()).as_deref());
    let letter = Letter {
        locale,
        organization: telling.organization,
        branding: telling.branding,
        preview: &first,
        heading: title,
        lines: &[],
        body: &placed,
        notice: &notice,
    };
    let number = number(told, locale).unwrap_or_default();
    let html = with_link(&letterhead::document(&letter), link.as_deref().unwrap_or_default(), &number);
    let text = format!("{title}\n\n{body}\n\n-- \n{notice}\n");
    (push, Mail { subject, text, html, files: files(told), ..Mail::default() })
}

/// The caller in a subject, and at the beginning of a sentence.
fn names(told: &Told, locale: Locale) -> (String, String) {
    let Some(number) = number(told, locale) else {
        return (say(locale, "anonymous", &[]), say(locale, "anonymous-start", &[]));
    };
    let name = match (&told.caller_in_directory, &told.caller.name) {
        (Some(name), _) => plain(name),
        (None, Some(name)) => format!("{} ({number})", plain(name)),
        (None, None) => number,
    };
    (name.clone(), name)
}

/// The caller's number with + and country code, where it is known: only that can be called from any telephone.
fn whole(told: &Told) -> Option<String> {
    told.caller_whole.as_deref().or(told.caller.number.as_deref()).and_then(local::whole)
}

/// The caller's number for people: as it was signalled, because colleagues know each other by their extensions.
fn number(told: &Told, locale: Locale) -> Option<String> {
    told.caller.number.as_deref().map(|number| local::number(&plain(number), locale))
}

fn lines(kind: &Kind, told: &Told, first: &str, link: Option<&str>, locale: Locale) -> Vec<String> {
    let voicemail = kind.name == VOICEMAIL_RECEIVED;
    let mut lines = vec![first.to_owned()];
    lines.push(match &told.audio {
        Some(audio) if voicemail => say(locale, "with-audio", &[("file", &plain(&audio.name))]),
        None if voicemail => say(locale, "without-audio", &[]),
        Some(_) | None => say(locale, ending(told.ending), &[]),
    });
    lines.push(String::new());
    if let Some(number) = number(told, locale) {
        lines.push(say(locale, "number", &[("number", &number)]));
    }
    lines.push(say(locale, "called", &[("extension", &plain(&told.extension))]));
    if let Some(link) = link {
        lines.push(say(locale, "call-back", &[("link", link)]));
    }
    if let Some(text) = told.voice_mail_text.as_deref().filter(|_| voicemail) {
        lines.extend([String::new(), plain(text)]);
    }
    lines
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::NoAnswer => "ending-no-answer",
        Ending::Busy => "ending-busy",
        Ending::Cancelled => "ending-cancelled",
        Ending::Unreachable => "ending-unreachable",
    }
}

fn files(told: &Told) -> Vec<MailFile> {
    let file =
        |audio: &super::telling::Audio| MailFile { name: plain(&audio.name), media_type: audio.media_type.clone(), file: audio.file };
    told.audio.iter().map(file).collect()
}

/// That something came, and nothing of it.
fn private(telling: &Telling<'_>, kind: &Kind, title: &str) -> (String, Mail) {
    let Telling { locale, organization, branding, .. } = *telling;
    let body = say(locale, kind.private, &[]);
    let notice = say(locale, kind.notice, &[("organization", organization)]);
    let letter = Letter { locale, organization, branding, preview: &body, heading: title, lines: &[], body: &body, notice: &notice };
    let html = letterhead::document(&letter);
    let text = format!("{title}\n\n{body}\n\n-- \n{notice}\n");
    (body, Mail { subject: title.to_owned(), text, html, ..Mail::default() })
}

/// Puts the link in its place. `link` is digits behind `tel:`, so nothing in it needs to be made safe; the number is. The link
/// has the colour of the text around it: a mail program's own blue cannot be read on dark ground.
fn with_link(document: &str, link: &str, number: &str) -> String {
    let anchor = format!("<a href=\"{link}\" style=\"color:inherit;text-decoration:underline;\">{}</a>", letterhead::escape(number));
    document.replace(LINK_PLACE, &anchor)
}

/// One line of text from elsewhere.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| *letter != LINK_PLACE && !letter.is_control()).collect()
}

pub(super) fn say(locale: Locale, phrase: &str, variables: &[(&str, &str)]) -> String {
    PHRASES.say(locale, phrase, variables)
}
