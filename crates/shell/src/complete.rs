//! What could stand where the cursor is: names of cmdlets, their parameters, and the words that a parameter takes.

use crate::catalogue::{Catalogue, Cmdlet, Parameter, Takes, said};
use crate::item::same;
use model::Locale;
use model::objects::FieldType;
use model::policy::SettingType;
use std::ops::Range;

/// Most candidates that are offered.
const MOST: usize = 200;

/// Something that could stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which bytes of the line it replaces.
    pub replaces: Range<usize>,
    /// What stands there then.
    pub text: String,
    /// What it is, for people.
    pub help: String,
}

/// A word of a line, and where it begins.
#[derive(Debug)]
struct Word<'l> {
    text: &'l str,
    from: usize,
}

/// The candidates for the word in which, or behind which, the cursor stands.
pub(crate) fn complete(catalogue: &Catalogue, line: &str, cursor: usize, locale: Locale) -> Vec<Candidate> {
    let cursor = (0..=cursor.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    let mut words = words(&line[..cursor]);
    let Some(current) = words.pop() else { return Vec::new() };
    let Some(name) = words.first() else { return names(catalogue, &current, locale) };
    let Some(cmdlet) = catalogue.find(name.text) else { return Vec::new() };
    if same(cmdlet.name, "Get-Help") && !current.text.starts_with('-') {
        return names(catalogue, &current, locale);
    }
    if let Some((parameter, value)) = current.text.strip_prefix('-').and_then(|word| word.split_once(':')) {
        let from = current.from + 1 + parameter.len() + 1;
        return of_parameter(cmdlet, parameter, &Word { text: value, from });
    }
    if current.text.starts_with('-') {
        return parameters(cmdlet, &words, &current, locale);
    }
    let before = words.last().and_then(|word| word.text.strip_prefix('-'));
    before.map_or_else(Vec::new, |parameter| of_parameter(cmdlet, parameter, &current))
}

/// The words of the innermost call that is open at the end of a text; the last is the one that is being written, and may be
/// empty. Nothing within quotes or remarks.
fn words(text: &str) -> Vec<Word<'_>> {
    let (mut words, mut start, mut quote) = (Vec::new(), 0, None);
    let mut outer: Vec<Vec<Word<'_>>> = Vec::new();
    for (at, letter) in text.char_indices() {
        let next = at + letter.len_utf8();
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '|' | ';' | '\n') => (words, start) = (Vec::new(), next),
            (None, '{' | '(') => {
                outer.push(std::mem::take(&mut words));
                start = next;
            }
            (None, '}' | ')') => (words, start) = (outer.pop().unwrap_or_default(), next),
            (None, letter) if letter.is_whitespace() || letter == ',' => {
                if start < at {
                    words.push(Word { text: &text[start..at], from: start });
                }
                start = next;
            }
            (None, _) => {}
        }
    }
    if quote.is_some() {
        return Vec::new();
    }
    words.push(Word { text: &text[start..], from: start });
    words
}

fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with))
}

fn candidate(current: &Word<'_>, text: String, help: String) -> Candidate {
    Candidate { replaces: current.from..current.from + current.text.len(), text, help }
}

fn names(catalogue: &Catalogue, current: &Word<'_>, locale: Locale) -> Vec<Candidate> {
    let fits = |cmdlet: &&Cmdlet| cmdlet.names().any(|name| begins(name, current.text));
    let of = |cmdlet: &Cmdlet| {
        let named =
            if begins(cmdlet.name, current.text) { Some(cmdlet.name) } else { cmdlet.names().find(|name| begins(name, current.text)) };
        candidate(current, named.unwrap_or(cmdlet.name).to_owned(), said(cmdlet.help, locale).to_owned())
    };
    catalogue.cmdlets().iter().filter(fits).take(MOST).map(of).collect()
}

fn parameters(cmdlet: &Cmdlet, words: &[Word<'_>], current: &Word<'_>, locale: Locale) -> Vec<Candidate> {
    let given = |parameter: &Parameter| {
        words.iter().filter_map(|word| word.text.strip_prefix('-')).any(|word| {
            let name = word.split(':').next().unwrap_or("");
            !name.is_empty() && cmdlet.parameter(name).is_ok_and(|at| cmdlet.parameters[at].name == parameter.name)
        })
    };
    let written = &current.text[1..];
    let fits = |parameter: &&Parameter| parameter.spellings().any(|spelling| begins(spelling, written)) && !given(parameter);
    let of = |parameter: &Parameter| candidate(current, format!("-{}", parameter.name), parameter.help(locale).to_owned());
    cmdlet.parameters.iter().filter(fits).take(MOST).map(of).collect()
}

fn of_parameter(cmdlet: &Cmdlet, name: &str, current: &Word<'_>) -> Vec<Candidate> {
    let Ok(at) = cmdlet.parameter(name) else { return Vec::new() };
    let words = choices(cmdlet.parameters[at].takes);
    words.into_iter().filter(|word| begins(word, current.text)).map(|word| candidate(current, word.to_owned(), String::new())).collect()
}

/// The words that a parameter takes, when there are few.
fn choices(takes: Takes) -> Vec<&'static str> {
    const FLAGS: [&str; 2] = ["$true", "$false"];
    match takes {
        Takes::Switch | Takes::Field(FieldType::Flag) => FLAGS.to_vec(),
        Takes::Field(FieldType::Choice(words)) => words.to_vec(),
        Takes::Field(FieldType::WholeOrUnlimited { .. }) | Takes::Count => vec!["Unlimited"],
        Takes::Field(FieldType::List { of, .. }) => choices(Takes::Field(*of)),
        Takes::Setting(setting) => match setting.kind {
            SettingType::Switch => FLAGS.to_vec(),
            SettingType::Choice(words) => words.to_vec(),
            SettingType::Number { .. } | SettingType::DailySpan | SettingType::Text { .. } | SettingType::Mail | SettingType::Colour => {
                Vec::new()
            }
        },
        Takes::Field(_) | Takes::Block | Takes::Any => Vec::new(),
    }
}
