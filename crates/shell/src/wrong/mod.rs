//! What can be wrong with a line, in the reader's language: the thing, the rule, the mend, and a caret below the place.

mod en;
mod fr;

pub(crate) use fr::cited;

use crate::grammar::Span;
use model::Locale;
use model::objects::ObjectKind;

/// What was opened and never closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// `'`
    SingleQuote,
    /// `"`
    DoubleQuote,
    /// `{`
    Block,
    /// `@{`
    Table,
    /// `(`
    Bracket,
    /// `<#`
    Remark,
}

impl Opened {
    /// What is missing.
    pub(crate) fn closer(self) -> &'static str {
        match self {
            Opened::SingleQuote => "'",
            Opened::DoubleQuote => "\"",
            Opened::Block | Opened::Table => "}",
            Opened::Bracket => ")",
            Opened::Remark => "#>",
        }
    }
}

/// What PowerShell has and this shell does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// `$name`
    Variable(String),
    /// `=`
    Assignment,
    /// `if`, `while`, `function` …
    Keyword(String),
    /// `.Name(…)`
    Method(String),
    /// `[0]`
    Index,
    /// `[int]`
    TypeName,
    /// `$( … )`
    Subexpression,
    /// `( Get-Something )`
    CommandInBrackets,
    /// `@( … )`
    ListBrackets,
    /// `@"`
    HereString,
    /// `@name`
    Splat,
    /// `>` and `<`
    Redirection,
    /// `&` at the head of a statement.
    CallOperator,
    /// `&` at its end.
    Background,
    /// `&&` and `||`
    Chain(&'static str),
    /// `+`, `*`, `/`, `%`
    Arithmetic(char),
    /// Another operator, such as `-replace`.
    Operator(String),
    /// `. script.ps1`
    DotSource,
    /// `{ … }` at the head of a statement.
    LooseBlock,
}

/// A text in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Both {
    /// In English.
    pub en: String,
    /// In French.
    pub fr: String,
}

impl Both {
    /// The same change to both.
    pub(crate) fn map(self, change: impl Fn(String, Locale) -> String) -> Both {
        Both { en: change(self.en, Locale::En), fr: change(self.fr, Locale::Fr) }
    }
}

/// Why a text is not a script.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is said in words in both languages, in en.rs and fr.rs")]
pub enum Unreadable {
    TooLong { most: usize },
    TooDeep { most: usize },
    TooManyOperators { most: usize },
    TooManyStages { most: usize },
    Unclosed(Opened),
    NotPowerShell(Foreign),
    Unexpected(Option<char>),
    CommandMissing,
    NotACommand(String),
    ValueInPipe,
    ValueMissing,
    NotAParameter(String),
    LooseDash,
    LooseBacktick,
    QuoteInWord,
    DollarInWord,
    PropertyInText(String),
    OperatorWithoutLeft(String),
    KeyMissing,
    KeyTwice(String),
    EqualsMissing(String),
}

/// Why a script does not fit the cmdlets that there are.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is said in words in both languages, in en.rs and fr.rs")]
pub enum Misfit {
    UnknownCmdlet { name: String, near: Vec<String> },
    TranslatedVerb { name: String, meant: String },
    UnknownParameter { cmdlet: String, name: String, near: Vec<String> },
    NoSuchConcept { name: String, why: (&'static str, &'static str) },
    AmbiguousParameter { name: String, candidates: Vec<String> },
    ParameterTwice { name: String },
    ValueNeeded { parameter: String, takes: Both },
    SurplusValue { cmdlet: String, value: String },
    ValueBehindSwitch { parameter: String, value: String },
    ParametersMissing { cmdlet: String, names: Vec<String> },
    BadValue { parameter: String, why: Both },
    NotAFlag { parameter: String, value: String },
    BlockNeeded { cmdlet: String },
    ConditionNeeded,
    ItemOutside,
    IdentityAndFilter { cmdlet: String },
    NothingGiven { cmdlet: String },
    NoInput { cmdlet: String },
    NotAfterPipe { cmdlet: String },
    IdentityTwice { cmdlet: String },
    AddRemoveOnly { parameter: String },
    AddRemoveNew { parameter: String },
    NotAList { parameter: String },
    BadPattern { pattern: String, why: String },
    TooComplex { pattern: String },
}

/// What goes wrong while a script runs, before a backend is asked.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is said in words in both languages, in en.rs and fr.rs")]
pub enum Mishap {
    EmptyIdentity,
    SeveralIdentities,
    WildcardIdentity(String),
    OnlyGlobal(String),
    OtherKind { is: ObjectKind, wants: ObjectKind },
    NoIdentity { there: Vec<String> },
    NobodyToAsk,
    NoProperty { name: String, there: Vec<String> },
    NotANumber { property: String, value: String },
    TooMany { most: usize },
    CannotRead { path: String, cause: String },
    CannotWrite { path: String, cause: String },
    FileTooLarge { path: String, most: usize },
    NotUtf8 { path: String },
    BadCsv { path: String, line: u64, cause: Both },
    TwiceInHeader { path: String, name: String },
    NoHelp { name: String, near: Vec<String> },
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Wrong {
    /// The text is not a script.
    Unreadable(Unreadable),
    /// The script does not fit the cmdlets.
    Misfit(Misfit),
    /// It went wrong while it ran.
    Mishap(Mishap),
}

impl From<Unreadable> for Wrong {
    fn from(wrong: Unreadable) -> Wrong {
        Wrong::Unreadable(wrong)
    }
}

impl From<Misfit> for Wrong {
    fn from(wrong: Misfit) -> Wrong {
        Wrong::Misfit(wrong)
    }
}

impl From<Mishap> for Wrong {
    fn from(wrong: Mishap) -> Wrong {
        Wrong::Mishap(wrong)
    }
}

impl Wrong {
    /// In words.
    pub fn say(&self, locale: Locale) -> String {
        match (self, locale) {
            (Wrong::Unreadable(wrong), Locale::En) => en::unreadable(wrong),
            (Wrong::Unreadable(wrong), Locale::Fr) => fr::unreadable(wrong),
            (Wrong::Misfit(wrong), Locale::En) => en::misfit(wrong),
            (Wrong::Misfit(wrong), Locale::Fr) => fr::misfit(wrong),
            (Wrong::Mishap(wrong), Locale::En) => en::mishap(wrong),
            (Wrong::Mishap(wrong), Locale::Fr) => fr::mishap(wrong),
        }
    }

    /// Whether more lines may mend it: something is open still.
    pub fn unfinished(&self) -> bool {
        matches!(self, Wrong::Unreadable(Unreadable::Unclosed(_) | Unreadable::LooseBacktick))
    }
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    /// What.
    pub wrong: Wrong,
    /// Where in the text.
    pub span: Span,
}

/// Most characters of a line that are shown around a caret.
const SHOWN: usize = 100;

impl Complaint {
    /// A complaint.
    pub fn new(wrong: impl Into<Wrong>, span: Span) -> Complaint {
        Complaint { wrong: wrong.into(), span }
    }

    /// In words, with the line and a caret below the place.
    pub fn show(&self, text: &str, locale: Locale) -> String {
        let from = self.span.from.min(text.len());
        let from = (0..=from).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let start = text[..from].rfind('\n').map_or(0, |end| end + 1);
        let line = text[start..].split(['\n', '\r']).next().unwrap_or("");
        let column = text[start..from].chars().count();
        let to = self.span.to.clamp(from, start + line.len().max(from - start));
        let length = text.get(from..to).map_or(1, |marked| marked.chars().count()).max(1);
        let skipped = column.saturating_sub(SHOWN / 2);
        let shown: String = line.chars().skip(skipped).take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let carets = "^".repeat(length.min(SHOWN.saturating_sub(column - skipped)).max(1));
        let number = text[..start].matches('\n').count() + 1;
        let several = text.trim_end().contains('\n');
        let place = match (several, locale) {
            (false, _) => String::new(),
            (true, Locale::En) => format!("line {number}: "),
            (true, Locale::Fr) => format!("ligne {number} : "),
        };
        format!("{place}{}\n  {shown}\n  {}{carets}", self.wrong.say(locale), " ".repeat(column - skipped))
    }
}

/// Names with commas between them, at most so many.
pub(crate) fn some(names: &[String], most: usize) -> String {
    let more = if names.len() > most { ", …" } else { "" };
    format!("{}{more}", names.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// A text as it is shown within a sentence: on one line, and not without end.
pub(crate) fn brief(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    model::text::shorten(&plain, 120)
}
