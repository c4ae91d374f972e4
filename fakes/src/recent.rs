//! The last few things that arrived, with a bound.

use parking_lot::Mutex;
use std::collections::VecDeque;

/// A ring of at most `most` entries; the oldest goes first. Nothing is kept when `most` is 0.
pub(crate) struct Recent<T> {
    most: usize,
    kept: Mutex<VecDeque<T>>,
}

impl<T: Clone> Recent<T> {
    pub(crate) fn new(most: usize) -> Recent<T> {
        Recent { most, kept: Mutex::new(VecDeque::new()) }
    }

    /// Keeps what `entry` makes; it is not called when nothing is kept.
    pub(crate) fn keep(&self, entry: impl FnOnce() -> T) {
        if self.most == 0 {
            return;
        }
        let entry = entry();
        let mut kept = self.kept.lock();
        if kept.len() == self.most {
            kept.pop_front();
        }
        kept.push_back(entry);
    }

    /// The last `limit` entries, oldest first.
    pub(crate) fn last(&self, limit: usize) -> Vec<T> {
        let kept = self.kept.lock();
        kept.iter().skip(kept.len().saturating_sub(limit)).cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.kept.lock().clear();
    }
}
