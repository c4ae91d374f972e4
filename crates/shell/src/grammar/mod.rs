//! What a line says: from characters to a [`Script`], and back.
//!
//! In: any text. Out: the pipelines that it holds, or one complaint with its place. Nothing here knows which cmdlets there
//! are. Parsing is total: every text gives one or the other, within bounds on length and depth, and what is printed of a
//! script parses to the same script.

mod ast;
mod expression;
mod parse;
mod print;
mod scan;

pub use ast::{Argument, Call, Expr, Form, Operator, Piece, Pipeline, Script, Span, Stage};
pub use parse::parse;

/// Most bytes of one text. A script of ten thousand lines fits; what is larger is data and belongs into a file for
/// `Import-Csv`.
pub const TEXT_MOST: usize = 1 << 20;
/// Deepest nesting of brackets and blocks. People write four or five; the bound keeps every walk of a script within a small stack.
pub const DEPTH_MOST: usize = 16;
/// Most operators of one condition, for the same reason.
pub const OPERATORS_MOST: usize = 100;
/// Most stages of one pipeline, for the same reason: each waits for the one before it.
pub const STAGES_MOST: usize = 25;
