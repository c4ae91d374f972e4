//! The shape of a script: pipelines of calls, calls with arguments, arguments of expressions.

/// Where something stands in the text, in bytes. Two things that say the same are equal wherever they stand, so spans are
/// equal to each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// First byte.
    pub from: usize,
    /// Byte after the last.
    pub to: usize,
}

impl PartialEq for Span {
    fn eq(&self, _: &Span) -> bool {
        true
    }
}

impl Eq for Span {}

/// Everything that one text says, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// One after the other.
    pub pipelines: Vec<Pipeline>,
}

/// Stages through which objects go from left to right; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Where it stands.
    pub span: Span,
    /// Its stages.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A cmdlet with its arguments.
    Call(Call),
    /// A value that goes into the pipeline; only at its head.
    Value(Expr),
}

/// A cmdlet with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where the name stands.
    pub span: Span,
    /// The name as it was written.
    pub name: String,
    /// What follows it.
    pub arguments: Vec<Argument>,
}

/// What follows a cmdlet's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// `-Name`, or `-Name:value`. Whether a value behind it belongs to it depends on the parameter, and so is not known here.
    Parameter {
        /// Where it stands.
        span: Span,
        /// Its name as it was written, without the dash.
        name: String,
        /// What follows the colon.
        value: Option<Expr>,
    },
    /// A value.
    Value(Expr),
}

/// A value, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub form: Form,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A word without quotes; numbers too, since `00123` may be a number or a PIN.
    Bare(String),
    /// Quoted text without anything to fill in.
    Text(String),
    /// Text in double quotes with something to fill in.
    Mixed(Vec<Piece>),
    /// `$true` or `$false`.
    Flag(bool),
    /// `$null`.
    Null,
    /// `$_`, or a property of it: the names on the way.
    Item(Vec<String>),
    /// Values with commas between them; at least two.
    List(Vec<Expr>),
    /// `@{ key = value; … }`.
    Table(Vec<(String, Expr)>),
    /// `{ … }`.
    Block(Script),
    /// `( … )`.
    Group(Box<Expr>),
    /// `-not`, or `!`.
    Not(Box<Expr>),
    /// Two values and what stands between them.
    Compare(Box<Expr>, Operator, Box<Expr>),
}

/// A piece of text in double quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// `$_` or `$($_.Property)`.
    Item(Vec<String>),
}

macro_rules! operators {
    ($($name:ident $word:literal $what:literal),+ $(,)?) => {
        /// What may stand between two values of a condition.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Operator {
            $(#[doc = $what] $name),+
        }

        impl Operator {
            /// Every one.
            pub const ALL: &[Operator] = &[$(Operator::$name),+];

            /// As it is written, without the dash.
            pub fn word(self) -> &'static str {
                match self {
                    $(Operator::$name => $word),+
                }
            }
        }
    };
}

operators! {
    Eq "eq" "The same, without regard to case.",
    Ne "ne" "Not the same.",
    Gt "gt" "Greater.",
    Ge "ge" "Greater or the same.",
    Lt "lt" "Less.",
    Le "le" "Less or the same.",
    Like "like" "Fits a pattern of `*` and `?`.",
    NotLike "notlike" "Does not.",
    Match "match" "Holds what a regular expression describes.",
    NotMatch "notmatch" "Does not.",
    Contains "contains" "A list on the left holds the value on the right.",
    NotContains "notcontains" "It does not.",
    In "in" "The value on the left is in the list on the right.",
    NotIn "notin" "It is not.",
    And "and" "Both.",
    Or "or" "One or both.",
}

impl Operator {
    /// By its word, in any case.
    pub fn by_word(word: &str) -> Option<Operator> {
        Operator::ALL.iter().copied().find(|operator| operator.word().eq_ignore_ascii_case(word))
    }

    /// Whether it joins two conditions, and so binds less than those that compare.
    pub fn joins(self) -> bool {
        matches!(self, Operator::And | Operator::Or)
    }
}

impl Expr {
    /// Whether it says the same whatever object is in the pipeline.
    pub fn constant(&self) -> bool {
        match &self.form {
            Form::Bare(_) | Form::Text(_) | Form::Flag(_) | Form::Null => true,
            Form::Mixed(_) | Form::Item(_) | Form::Block(_) => false,
            Form::List(items) => items.iter().all(Expr::constant),
            Form::Table(entries) => entries.iter().all(|(_, value)| value.constant()),
            Form::Group(inner) | Form::Not(inner) => inner.constant(),
            Form::Compare(left, _, right) => left.constant() && right.constant(),
        }
    }

    /// The first place at which it speaks of `$_`, outside blocks, which bring their own.
    pub fn speaks_of_item(&self) -> Option<Span> {
        match &self.form {
            Form::Item(_) | Form::Mixed(_) => Some(self.span),
            Form::Bare(_) | Form::Text(_) | Form::Flag(_) | Form::Null | Form::Block(_) => None,
            Form::List(items) => items.iter().find_map(Expr::speaks_of_item),
            Form::Table(entries) => entries.iter().find_map(|(_, value)| value.speaks_of_item()),
            Form::Group(inner) | Form::Not(inner) => inner.speaks_of_item(),
            Form::Compare(left, _, right) => left.speaks_of_item().or_else(|| right.speaks_of_item()),
        }
    }
}
