//! Letters that were handed over and have to wait before they can start, and how they are called back.

use model::outcome::Cause;
use parking_lot::RwLock;

/// How often a channel's letters were recalled. Held for reading while a letter starts, so that none starts once
/// [`recall`](Recalls::recall) has returned.
#[derive(Default)]
pub(crate) struct Recalls(RwLock<u64>);

/// When a letter was handed over, as the number of recalls before it.
#[derive(Clone, Copy)]
pub(crate) struct Handed(u64);

impl Recalls {
    /// For a letter that is handed over now.
    pub(crate) fn handed(&self) -> Handed {
        Handed(*self.0.read())
    }

    /// Keeps whatever was handed over and has not started from starting.
    pub(crate) fn recall(&self) {
        *self.0.write() += 1;
    }

    /// Starts a letter that has waited. `start` must not wait.
    ///
    /// # Errors
    /// `recalled`, when it was recalled since it was handed over.
    pub(crate) fn start<T>(&self, handed: Handed, start: impl FnOnce() -> T) -> Result<T, Cause> {
        let recalls = self.0.read();
        if *recalls == handed.0 { Ok(start()) } else { Err(Cause::of("recalled", 0)) }
    }
}
