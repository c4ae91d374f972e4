//! Values and conditions.
//!
//! As in PowerShell, a comma binds more than a comparison, a comparison more than `-and` and `-or`, and these two bind the
//! same, from left to right.

use super::OPERATORS_MOST;
use super::ast::{Expr, Form, Operator, Piece};
use super::scan::{Scan, is_dash, is_name_letter};
use crate::wrong::{Complaint, Foreign, Opened, Unreadable};

impl Scan<'_> {
    /// A condition, or a value.
    pub(super) fn expression(&mut self) -> Result<Expr, Complaint> {
        let (from, mut count) = (self.at, 0);
        let mut left = self.comparison(&mut count)?;
        while let Some(operator) = self.operator(true, &mut count)? {
            let right = self.comparison(&mut count)?;
            left = Expr { span: self.since(from), form: Form::Compare(Box::new(left), operator, Box::new(right)) };
        }
        Ok(left)
    }

    fn comparison(&mut self, count: &mut usize) -> Result<Expr, Complaint> {
        self.blank_lines()?;
        let from = self.at;
        let mut left = self.negation()?;
        while let Some(operator) = self.operator(false, count)? {
            self.blank_lines()?;
            let right = self.negation()?;
            left = Expr { span: self.since(from), form: Form::Compare(Box::new(left), operator, Box::new(right)) };
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expr, Complaint> {
        let from = self.at;
        let not = self.dashed_word().filter(|(word, _)| word.eq_ignore_ascii_case("not")).map(|(_, length)| length);
        if self.take("!") || not.is_some() {
            self.at += not.unwrap_or(0);
            self.blank_lines()?;
            let inner = self.deeper(Scan::negation)?;
            return Ok(Expr { span: self.since(from), form: Form::Not(Box::new(inner)) });
        }
        match self.dashed_word() {
            Some((word, length)) => {
                self.at += length;
                self.complain(Unreadable::OperatorWithoutLeft(word), from)
            }
            None => self.values(),
        }
    }

    /// The next operator, when it is one that joins, or one that compares.
    fn operator(&mut self, joining: bool, count: &mut usize) -> Result<Option<Operator>, Complaint> {
        self.blanks()?;
        let from = self.at;
        let Some((word, length)) = self.dashed_word() else { return Ok(None) };
        let Some(operator) = Operator::by_word(&word) else {
            self.at += length;
            return self.foreign(Foreign::Operator(word), from);
        };
        if operator.joins() != joining {
            return Ok(None);
        }
        self.at += length;
        *count += 1;
        if *count > OPERATORS_MOST {
            return self.complain(Unreadable::TooManyOperators { most: OPERATORS_MOST }, from);
        }
        Ok(Some(operator))
    }

    /// A dash with letters behind it, and its length.
    fn dashed_word(&self) -> Option<(String, usize)> {
        let rest = self.rest();
        let dash = rest.chars().next().filter(|c| is_dash(*c))?.len_utf8();
        let letters = rest[dash..].find(|c: char| !is_name_letter(c)).unwrap_or(rest.len() - dash);
        let word = &rest[dash..dash + letters];
        word.starts_with(|c: char| c.is_alphabetic()).then(|| (word.to_owned(), dash + letters))
    }

    /// One value, or several with commas between them.
    pub(super) fn values(&mut self) -> Result<Expr, Complaint> {
        let from = self.at;
        let first = self.value()?;
        let mut items = vec![first];
        let mut end = self.at;
        loop {
            self.blanks()?;
            if !self.take(",") {
                break;
            }
            self.blank_lines()?;
            items.push(self.value()?);
            end = self.at;
        }
        let span = super::Span { from, to: end };
        Ok(if items.len() == 1 { items.swap_remove(0) } else { Expr { span, form: Form::List(items) } })
    }

    fn value(&mut self) -> Result<Expr, Complaint> {
        let from = self.at;
        let form = match self.peek() {
            None | Some('|' | ';' | '\n' | '}' | ')' | ',') => return self.complain(Unreadable::ValueMissing, from),
            Some('$') => self.dollar()?,
            Some('@') => self.at_sign()?,
            Some('[') => return self.foreign(Foreign::TypeName, from),
            Some('(') => self.deeper(Scan::group)?,
            Some('{') => {
                self.bump();
                Form::Block(self.deeper(|scan| scan.script(Some(from)))?)
            }
            Some('&' | '<' | '>') => return self.unexpected(),
            Some(_) if self.at_quote() => text(self.quoted()?),
            Some(c) if is_dash(c) => {
                self.bump();
                if !self.peek().is_some_and(|c| c.is_ascii_digit() || c == '.') {
                    return self.complain(Unreadable::LooseDash, from);
                }
                Form::Bare(format!("-{}", self.word()?))
            }
            Some(_) => Form::Bare(self.word()?),
        };
        match self.peek() {
            Some('"' | '\'') => self.complain(Unreadable::QuoteInWord, self.at),
            Some('(' | '{') => self.complain(Unreadable::Unexpected(self.peek()), self.at),
            _ => Ok(Expr { span: self.since(from), form }),
        }
    }

    fn dollar(&mut self) -> Result<Form, Complaint> {
        let from = self.at;
        self.bump();
        if let Some(path) = self.item(from)? {
            return Ok(Form::Item(path));
        }
        if matches!(self.peek(), Some('(' | '{')) {
            return self.foreign(Foreign::Subexpression, from);
        }
        let name = self.take_while(|c| is_name_letter(c) || c == ':').to_owned();
        match name.to_ascii_lowercase().as_str() {
            "true" => Ok(Form::Flag(true)),
            "false" => Ok(Form::Flag(false)),
            "null" => Ok(Form::Null),
            _ => self.foreign(Foreign::Variable(name), from),
        }
    }

    fn at_sign(&mut self) -> Result<Form, Complaint> {
        let from = self.at;
        self.bump();
        match self.peek() {
            Some('{') => {
                self.bump();
                self.deeper(|scan| scan.table(from))
            }
            Some('(') => self.foreign(Foreign::ListBrackets, from),
            Some('"' | '\'') => self.foreign(Foreign::HereString, from),
            _ => self.foreign(Foreign::Splat, from),
        }
    }

    /// The inside of `@{ … }`.
    fn table(&mut self, from: usize) -> Result<Form, Complaint> {
        let mut entries: Vec<(String, Expr)> = Vec::new();
        loop {
            self.blank_lines()?;
            while self.take(";") {
                self.blank_lines()?;
            }
            if self.take("}") {
                return Ok(Form::Table(entries));
            }
            let here = self.at;
            let key = match text_key(self)? {
                Some(key) => key,
                None if self.peek().is_none() => {
                    self.at = from + 2;
                    return self.complain(Unreadable::Unclosed(Opened::Table), from);
                }
                None => return self.complain(Unreadable::KeyMissing, here),
            };
            if entries.iter().any(|(known, _)| known.eq_ignore_ascii_case(&key)) {
                return self.complain(Unreadable::KeyTwice(key), here);
            }
            self.blanks()?;
            if !self.take("=") {
                return self.complain(Unreadable::EqualsMissing(key), here);
            }
            self.blanks()?;
            entries.push((key, self.values()?));
            self.blanks()?;
            if !matches!(self.peek(), None | Some(';' | '\n' | '}')) {
                return self.unexpected();
            }
        }
    }

    /// The inside of `( … )`.
    fn group(&mut self) -> Result<Form, Complaint> {
        let from = self.at;
        self.bump();
        self.blank_lines()?;
        let verb = self.rest().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
        if !verb.is_empty() && self.rest()[verb.len()..].starts_with('-') {
            return self.foreign(Foreign::CommandInBrackets, from);
        }
        let inner = self.expression()?;
        self.blank_lines()?;
        match self.peek() {
            Some(')') => {
                self.bump();
                Ok(Form::Group(Box::new(inner)))
            }
            None => {
                self.at = from + 1;
                self.complain(Unreadable::Unclosed(Opened::Bracket), from)
            }
            Some('|') => self.foreign(Foreign::CommandInBrackets, from),
            Some(_) => self.unexpected(),
        }
    }
}

/// Quoted text; without anything to fill in, it is plain.
fn text(mut pieces: Vec<Piece>) -> Form {
    match pieces.as_mut_slice() {
        [Piece::Text(text)] => Form::Text(std::mem::take(text)),
        _ => Form::Mixed(pieces),
    }
}

/// The key of an entry, with quotes or without; nothing when there is none here.
fn text_key(scan: &mut Scan<'_>) -> Result<Option<String>, Complaint> {
    if scan.at_quote() {
        let from = scan.at;
        return match scan.quoted()?.as_slice() {
            [Piece::Text(text)] => Ok(Some(text.clone())),
            _ => scan.complain(Unreadable::KeyMissing, from),
        };
    }
    let name = scan.take_while(is_name_letter);
    Ok((!name.is_empty()).then(|| name.to_owned()))
}
