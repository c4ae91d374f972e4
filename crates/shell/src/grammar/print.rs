//! A script in its plain spelling: one line for each pipeline, straight quotes, no aliases of punctuation.

use super::ast::{Argument, Call, Expr, Form, Piece, Pipeline, Script, Stage};
use super::scan::{ends_word, is_name};
use std::fmt::{Display, Formatter, Result, Write};

impl Display for Script {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        between(f, &self.pipelines, "; ")
    }
}

impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        between(f, &self.stages, " | ")
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Stage::Call(call) => call.fmt(f),
            Stage::Value(value) => value.fmt(f),
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&self.name)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

impl Display for Argument {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Argument::Parameter { name, value: None, .. } => write!(f, "-{name}"),
            Argument::Parameter { name, value: Some(value), .. } => write!(f, "-{name}:{value}"),
            Argument::Value(value) => value.fmt(f),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.form {
            Form::Bare(word) => bare(f, word),
            Form::Text(text) => quoted(f, text),
            Form::Mixed(pieces) => mixed(f, pieces),
            Form::Flag(flag) => write!(f, "${flag}"),
            Form::Null => f.write_str("$null"),
            Form::Item(path) => item(f, path),
            Form::List(items) => between(f, items, ", "),
            Form::Table(entries) => table(f, entries),
            Form::Block(script) => write!(f, "{{ {script} }}"),
            Form::Group(inner) => write!(f, "({inner})"),
            Form::Not(inner) => write!(f, "-not {inner}"),
            Form::Compare(left, operator, right) => write!(f, "{left} -{} {right}", operator.word()),
        }
    }
}

fn between<T: Display>(f: &mut Formatter<'_>, all: &[T], separator: &str) -> Result {
    all.iter().enumerate().try_for_each(|(place, one)| if place == 0 { write!(f, "{one}") } else { write!(f, "{separator}{one}") })
}

/// A word without quotes; what would end it or begin something else stands behind a backtick.
fn bare(f: &mut Formatter<'_>, word: &str) -> Result {
    let negative = word.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
    // Letters with a dash behind them at the beginning of brackets would be a cmdlet.
    let verb = word.find(|c: char| !c.is_ascii_alphabetic());
    for (place, letter) in word.char_indices() {
        let first = place == 0 && !letter.is_alphanumeric() && !negative;
        let dash = letter == '-' && verb == Some(place) && place > 0;
        if first || dash || ends_word(letter) || matches!(letter, '`' | '$') {
            f.write_char('`')?;
        }
        f.write_char(letter)?;
    }
    Ok(())
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

fn mixed(f: &mut Formatter<'_>, pieces: &[Piece]) -> Result {
    f.write_char('"')?;
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                for letter in text.chars() {
                    if matches!(letter, '`' | '"' | '$') {
                        f.write_char('`')?;
                    }
                    f.write_char(letter)?;
                }
            }
            Piece::Item(path) => {
                f.write_str("$(")?;
                item(f, path)?;
                f.write_char(')')?;
            }
        }
    }
    f.write_char('"')
}

fn item(f: &mut Formatter<'_>, path: &[String]) -> Result {
    f.write_str("$_")?;
    path.iter().try_for_each(|name| {
        f.write_char('.')?;
        key(f, name)
    })
}

fn table(f: &mut Formatter<'_>, entries: &[(String, Expr)]) -> Result {
    f.write_str("@{")?;
    for (place, (name, value)) in entries.iter().enumerate() {
        f.write_str(if place == 0 { "" } else { "; " })?;
        key(f, name)?;
        write!(f, " = {value}")?;
    }
    f.write_char('}')
}

fn key(f: &mut Formatter<'_>, name: &str) -> Result {
    if is_name(name) { f.write_str(name) } else { quoted(f, name) }
}
