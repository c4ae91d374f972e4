//! Calls: the legs of one call are gathered, and judged once.
//!
//! In: [`model::calls::Leg`]s in any order, doubled, with the clocks of several machines. Out: for every called extension
//! one [`Verdict`]. [`Gathering`] is a plain document, so that it can be kept and survives a crash; [`judge`] is pure and
//! does not depend on the order in which legs came.
//!
//! Knows nothing of mailboxes, people or storage: what a verdict means for somebody is said in [`super::telling`].

mod gathering;
mod judge;

pub use gathering::{Gathering, HANG_UP_GRACE, LONGEST_SILENCE, MOST_PIECES, News, Piece, RECORDING_WAIT};
pub use judge::{Ending, Finding, Verdict, judge};

#[cfg(test)]
mod tests;
