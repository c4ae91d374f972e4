//! Pipelines, calls and their arguments.

use super::STAGES_MOST;
use super::ast::{Argument, Call, Pipeline, Script, Stage};
use super::scan::{Scan, ends_word, is_dash};
use crate::wrong::{Complaint, Foreign, Opened, Unreadable};

/// What begins statements that this shell does not have.
const KEYWORDS: &[&str] = &[
    "begin",
    "break",
    "catch",
    "class",
    "continue",
    "data",
    "do",
    "dynamicparam",
    "else",
    "elseif",
    "end",
    "enum",
    "filter",
    "finally",
    "for",
    "foreach",
    "from",
    "function",
    "if",
    "in",
    "param",
    "process",
    "return",
    "switch",
    "throw",
    "trap",
    "try",
    "until",
    "using",
    "while",
];

/// Reads a text.
///
/// # Errors
/// The first thing that is wrong with it, and where.
pub fn parse(text: &str) -> Result<Script, Complaint> {
    Scan::new(text)?.script(None)
}

impl Scan<'_> {
    /// Pipelines until the end, or until the brace that ends the block that began at a place.
    pub(super) fn script(&mut self, block: Option<usize>) -> Result<Script, Complaint> {
        let mut pipelines = Vec::new();
        loop {
            self.blank_lines()?;
            while self.take(";") {
                self.blank_lines()?;
            }
            match (self.peek(), block) {
                (None, None) => return Ok(Script { pipelines }),
                (None, Some(from)) => {
                    self.at = from + 1;
                    return self.complain(Unreadable::Unclosed(Opened::Block), from);
                }
                (Some('}'), Some(_)) => {
                    self.bump();
                    return Ok(Script { pipelines });
                }
                _ => pipelines.push(self.pipeline()?),
            }
            match self.peek() {
                None | Some(';' | '\n') => {}
                Some('}') if block.is_some() => {}
                Some(_) => return self.unexpected(),
            }
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, Complaint> {
        let (from, mut stages, mut to) = (self.at, Vec::new(), self.at);
        loop {
            if stages.len() == STAGES_MOST {
                return self.complain(Unreadable::TooManyStages { most: STAGES_MOST }, self.at);
            }
            stages.push(self.stage(stages.is_empty())?);
            to = to.max(self.at);
            self.blanks()?;
            if self.rest().starts_with("||") {
                return self.foreign(Foreign::Chain("||"), self.at);
            }
            if !self.take("|") {
                return Ok(Pipeline { span: self.trimmed(from, to), stages });
            }
            self.blank_lines()?;
        }
    }

    fn stage(&mut self, first: bool) -> Result<Stage, Complaint> {
        let from = self.at;
        if self.at_value() {
            let value = self.expression()?;
            self.blanks()?;
            if self.peek() == Some('=') {
                return self.foreign(Foreign::Assignment, self.at);
            }
            return if first { Ok(Stage::Value(value)) } else { self.complain(Unreadable::ValueInPipe, from) };
        }
        match self.peek() {
            None | Some('|' | ';' | '\n' | '}' | ')') => self.complain(Unreadable::CommandMissing, from),
            Some('{') => self.foreign(Foreign::LooseBlock, from),
            Some('[') => self.foreign(Foreign::TypeName, from),
            Some('&') => self.foreign(Foreign::CallOperator, from),
            Some('.') => self.foreign(Foreign::DotSource, from),
            Some(_) => self.call().map(Stage::Call),
        }
    }

    /// Whether what begins here is a value and not a cmdlet's name.
    fn at_value(&self) -> bool {
        let mut ahead = self.rest().chars();
        match ahead.next() {
            Some('$' | '(' | '@' | '!') => true,
            Some(c) if c.is_ascii_digit() => true,
            Some(c) if is_dash(c) => true,
            _ => self.at_quote(),
        }
    }

    fn call(&mut self) -> Result<Call, Complaint> {
        let from = self.at;
        let name = match self.peek() {
            Some('?' | '%') => self.bump().map(String::from).unwrap_or_default(),
            _ => self.take_while(|c| !ends_word(c) && !matches!(c, '`' | '$')).to_owned(),
        };
        let span = self.since(from);
        let letters = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.') || is_dash(c);
        let named = name.starts_with(char::is_alphabetic) && name.chars().all(letters);
        if !named && !matches!(name.as_str(), "?" | "%") {
            return if name.is_empty() { self.unexpected() } else { self.complain(Unreadable::NotACommand(name), from) };
        }
        let name: String = name.chars().map(|c| if is_dash(c) { '-' } else { c }).collect();
        self.blanks()?;
        let loops = !name.eq_ignore_ascii_case("foreach") || self.peek() == Some('(');
        if loops && KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(&name)) {
            return Err(Complaint::new(Unreadable::NotPowerShell(Foreign::Keyword(name)), span));
        }
        let mut arguments = Vec::new();
        while !matches!(self.peek(), None | Some('|' | ';' | '\n' | '}')) {
            arguments.push(self.argument()?);
            self.blanks()?;
        }
        Ok(Call { span, name, arguments })
    }

    fn argument(&mut self) -> Result<Argument, Complaint> {
        let from = self.at;
        let mut ahead = self.rest().chars();
        let dashed = ahead.next().is_some_and(is_dash);
        match ahead.next() {
            Some(digit) if dashed && (digit.is_ascii_digit() || digit == '.') => self.values().map(Argument::Value),
            _ if dashed => self.parameter(from),
            _ => self.values().map(Argument::Value),
        }
    }

    fn parameter(&mut self, from: usize) -> Result<Argument, Complaint> {
        self.bump();
        let name = self.take_while(|c| !ends_word(c) && !matches!(c, ':' | '`' | '$' | '=')).to_owned();
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !plain {
            return if name.is_empty() {
                self.complain(Unreadable::LooseDash, from)
            } else {
                self.complain(Unreadable::NotAParameter(name), from)
            };
        }
        if self.peek() == Some('=') {
            return self.complain(Unreadable::NotAParameter(format!("{name}=")), from);
        }
        let span = self.since(from);
        let value = if self.take(":") {
            self.blanks()?;
            Some(self.values()?)
        } else {
            None
        };
        Ok(Argument::Parameter { span, name, value })
    }

    /// A complaint about whatever stands here.
    pub(super) fn unexpected<T>(&self) -> Result<T, Complaint> {
        let from = self.at;
        match self.peek() {
            Some('>' | '<') => self.foreign(Foreign::Redirection, from),
            Some('&') if self.rest().starts_with("&&") => self.foreign(Foreign::Chain("&&"), from),
            Some('&') => self.foreign(Foreign::Background, from),
            Some('=') => self.foreign(Foreign::Assignment, from),
            Some('[') => self.foreign(Foreign::Index, from),
            Some(sign @ ('+' | '*' | '/' | '%')) => self.foreign(Foreign::Arithmetic(sign), from),
            other => self.complain(Unreadable::Unexpected(other), from),
        }
    }
}
