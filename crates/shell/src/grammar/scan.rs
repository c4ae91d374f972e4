//! Characters: blanks, remarks, words, quoted text. Typographic quotes and dashes count as plain ones where they begin or
//! end something, because examples are copied from documents that have them.

use super::ast::{Piece, Span};
use super::{DEPTH_MOST, TEXT_MOST};
use crate::wrong::{Complaint, Foreign, Opened, Unreadable};

/// A place in a text.
pub(super) struct Scan<'t> {
    /// The text.
    text: &'t str,
    /// The next byte.
    pub(super) at: usize,
    /// How deep in brackets and blocks.
    depth: usize,
}

/// Whether a character stands for a dash.
pub(super) fn is_dash(c: char) -> bool {
    matches!(c, '-' | '–' | '—' | '―')
}

/// Whether a character may stand in the name of a property.
pub(super) fn is_name_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a text can stand as a name without quotes.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_letter)
}

/// Whether a character ends a word without quotes.
pub(super) fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '|' | ';' | ',' | '(' | ')' | '{' | '}' | '"' | '\'' | '&' | '<' | '>')
}

/// The characters that end text that this one began, when it does begin one.
fn closing(c: char) -> Option<(&'static [char], bool)> {
    match c {
        '\'' => Some((&['\''], false)),
        '‘' | '’' | '‚' | '‛' => Some((&['‘', '’', '‚', '‛'], false)),
        '"' => Some((&['"'], true)),
        '“' | '”' | '„' => Some((&['“', '”', '„'], true)),
        _ => None,
    }
}

impl<'t> Scan<'t> {
    /// At the beginning.
    pub(super) fn new(text: &'t str) -> Result<Scan<'t>, Complaint> {
        if text.len() > TEXT_MOST {
            return Err(Complaint::new(Unreadable::TooLong { most: TEXT_MOST }, Span { from: 0, to: 0 }));
        }
        Ok(Scan { text, at: 0, depth: 0 })
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// The next character.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes the next character.
    pub(super) fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Takes what stands here, if it does.
    pub(super) fn take(&mut self, what: &str) -> bool {
        let there = self.rest().starts_with(what);
        if there {
            self.at += what.len();
        }
        there
    }

    /// Takes characters as long as they are such.
    pub(super) fn take_while(&mut self, such: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !such(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Where something stands that ends at a place, less the blanks behind it.
    pub(super) fn trimmed(&self, from: usize, to: usize) -> Span {
        Span { from, to: from + self.text[from..to].trim_end().len() }
    }

    /// From a place until here.
    pub(super) fn since(&self, from: usize) -> Span {
        Span { from, to: self.at }
    }

    /// A complaint about what stands from a place until here, or about the next character.
    pub(super) fn complain<T>(&self, wrong: Unreadable, from: usize) -> Result<T, Complaint> {
        let to = if from == self.at { self.at + self.peek().map_or(0, char::len_utf8) } else { self.at };
        Err(Complaint::new(wrong, Span { from, to }))
    }

    /// A complaint that this is PowerShell that the shell does not have.
    pub(super) fn foreign<T>(&self, what: Foreign, from: usize) -> Result<T, Complaint> {
        self.complain(Unreadable::NotPowerShell(what), from)
    }

    /// One level deeper, for as long as `inner` reads.
    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Complaint>) -> Result<T, Complaint> {
        if self.depth == DEPTH_MOST {
            return self.complain(Unreadable::TooDeep { most: DEPTH_MOST }, self.at);
        }
        self.depth += 1;
        let read = inner(self);
        self.depth -= 1;
        read
    }

    /// Skips blanks, remarks and continued ends of lines.
    pub(super) fn blanks(&mut self) -> Result<(), Complaint> {
        loop {
            self.take_while(|c| c.is_whitespace() && c != '\n');
            let from = self.at;
            if self.take("`\n") || self.take("`\r\n") {
                continue;
            } else if self.take("<#") {
                match self.rest().find("#>") {
                    Some(end) => self.at += end + 2,
                    None => return self.complain(Unreadable::Unclosed(Opened::Remark), from),
                }
            } else if self.peek() == Some('#') {
                self.take_while(|c| c != '\n');
            } else {
                return Ok(());
            }
        }
    }

    /// Skips blanks and ends of lines.
    pub(super) fn blank_lines(&mut self) -> Result<(), Complaint> {
        self.blanks()?;
        while self.take("\n") {
            self.blanks()?;
        }
        Ok(())
    }

    /// Whether quoted text begins here.
    pub(super) fn at_quote(&self) -> bool {
        self.peek().and_then(closing).is_some()
    }

    /// A word without quotes.
    pub(super) fn word(&mut self) -> Result<String, Complaint> {
        let (from, mut word) = (self.at, String::new());
        while let Some(letter) = self.peek() {
            if letter == '`' {
                if ["`\n", "`\r\n"].iter().any(|end| self.rest().starts_with(end)) {
                    break;
                }
                self.bump();
                match self.bump() {
                    Some('\n') | None => return self.complain(Unreadable::LooseBacktick, from),
                    Some(escaped) => word.push(escaped),
                }
            } else if letter == '$' {
                return self.complain(Unreadable::DollarInWord, self.at);
            } else if matches!(letter, '"' | '\'') && !word.is_empty() {
                return self.complain(Unreadable::QuoteInWord, self.at);
            } else if ends_word(letter) {
                break;
            } else {
                word.push(letter);
                self.bump();
            }
        }
        if word.is_empty() { self.complain(Unreadable::Unexpected(self.peek()), from) } else { Ok(word) }
    }

    /// Quoted text, with the pieces that are filled in.
    pub(super) fn quoted(&mut self) -> Result<Vec<Piece>, Complaint> {
        let from = self.at;
        let Some((closers, fills)) = self.bump().and_then(closing) else { return self.complain(Unreadable::ValueMissing, from) };
        let (mut pieces, mut text) = (Vec::new(), String::new());
        loop {
            let here = self.at;
            match self.bump() {
                None => {
                    let wrong = Unreadable::Unclosed(if fills { Opened::DoubleQuote } else { Opened::SingleQuote });
                    let quote = self.text[from..].chars().next().map_or(0, char::len_utf8);
                    return Err(Complaint::new(wrong, Span { from, to: from + quote }));
                }
                Some(quote) if closers.contains(&quote) => match self.peek() {
                    Some(again) if closers.contains(&again) && again == quote => {
                        text.push(quote);
                        self.bump();
                    }
                    _ => break,
                },
                Some('`') if fills => match self.bump() {
                    Some(escaped) => text.push(unescaped(escaped)),
                    None => self.at = here + 1,
                },
                Some('$') if fills => match self.filling(here)? {
                    Some(path) => {
                        if !text.is_empty() {
                            pieces.push(Piece::Text(std::mem::take(&mut text)));
                        }
                        pieces.push(Piece::Item(path));
                    }
                    None => text.push('$'),
                },
                Some(letter) => text.push(letter),
            }
        }
        if !text.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(pieces)
    }

    /// What stands behind a dollar in double quotes.
    fn filling(&mut self, from: usize) -> Result<Option<Vec<String>>, Complaint> {
        if self.take("(") {
            self.blanks()?;
            let path = if self.take("$") { self.item(from)? } else { None };
            self.blanks()?;
            return match path {
                Some(path) if self.take(")") => Ok(Some(path)),
                _ => self.foreign(Foreign::Subexpression, from),
            };
        }
        let name = self.take_while(is_name_letter);
        if name.is_empty() {
            return Ok(None);
        }
        if name != "_" && !name.eq_ignore_ascii_case("PSItem") {
            return self.foreign(Foreign::Variable(name.to_owned()), from);
        }
        let mut ahead = self.rest().chars();
        if ahead.next() == Some('.') && ahead.next().is_some_and(is_name_letter) {
            self.bump();
            let property = self.take_while(is_name_letter).to_owned();
            return self.complain(Unreadable::PropertyInText(property), from);
        }
        Ok(Some(Vec::new()))
    }

    /// `_` and properties, behind a dollar that was taken; nothing for another variable, which is left where it is.
    pub(super) fn item(&mut self, from: usize) -> Result<Option<Vec<String>>, Complaint> {
        let start = self.at;
        let name = self.take_while(is_name_letter);
        if name != "_" && !name.eq_ignore_ascii_case("PSItem") {
            self.at = start;
            return Ok(None);
        }
        let mut path = Vec::new();
        while self.peek() == Some('.') {
            self.bump();
            let property = if self.at_quote() {
                match self.quoted()?.as_slice() {
                    [Piece::Text(text)] if !text.is_empty() => text.clone(),
                    _ => return self.foreign(Foreign::Subexpression, from),
                }
            } else {
                self.take_while(is_name_letter).to_owned()
            };
            match self.peek() {
                next if property.is_empty() => return self.complain(Unreadable::Unexpected(next), self.at),
                Some('(') => return self.foreign(Foreign::Method(property), from),
                _ => path.push(property),
            }
        }
        match self.peek() {
            Some('[') => self.foreign(Foreign::Index, from),
            _ => Ok(Some(path)),
        }
    }
}

/// What a character behind a backtick in double quotes stands for.
fn unescaped(c: char) -> char {
    match c {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '0' => '\0',
        other => other,
    }
}
