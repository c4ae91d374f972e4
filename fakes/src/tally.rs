//! How often each address was reached, in a few bytes each, so that a test finds the missing and the repeated among
//! a million.
//!
//! An open-addressing table of 64-bit cells: 48 bits of fingerprint and a count of 16 bits. Two addresses share a cell
//! with a chance of about one in 10^8 each at a million; a test that needs certainty asks the log instead.

use std::hash::{BuildHasher, RandomState};

const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Counts by address. It grows to a fixed size and says when it is full.
#[derive(Clone, Debug)]
pub struct Tally {
    cells: Vec<u64>,
    hasher: RandomState,
    distinct: u64,
    total: u64,
    overflowed: bool,
}

impl Tally {
    /// A table of `cells` cells (rounded up to a power of two) of 8 bytes; it is full at three quarters of them.
    pub fn new(cells: usize) -> Tally {
        let cells = cells.max(64).next_power_of_two();
        Tally { cells: vec![0; cells], hasher: RandomState::new(), distinct: 0, total: 0, overflowed: false }
    }

    fn find(&self, address: &str) -> (usize, u64) {
        let hash = self.hasher.hash_one(address);
        let mark = (hash >> COUNT_BITS).max(1);
        let mask = self.cells.len() - 1;
        let mut at = (hash as usize) & mask;
        while self.cells[at] != 0 && self.cells[at] >> COUNT_BITS != mark {
            at = (at + 1) & mask;
        }
        (at, mark)
    }

    /// Counts one arrival.
    pub fn count(&mut self, address: &str) {
        self.total += 1;
        let (at, mark) = self.find(address);
        let cell = self.cells[at];
        if cell == 0 {
            if self.distinct >= self.cells.len() as u64 / 4 * 3 {
                self.overflowed = true;
                return;
            }
            self.distinct += 1;
            self.cells[at] = (mark << COUNT_BITS) | 1;
        } else if cell & COUNT_MASK < COUNT_MASK {
            self.cells[at] = cell + 1;
        }
    }

    /// How often `address` was reached.
    pub fn of(&self, address: &str) -> u64 {
        self.cells[self.find(address).0] & COUNT_MASK
    }

    /// How many addresses were reached.
    pub fn distinct(&self) -> u64 {
        self.distinct
    }

    /// How many arrivals there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Arrivals beyond the first of each address.
    pub fn repeats(&self) -> u64 {
        self.total - self.distinct
    }

    /// The most often that any address was reached.
    pub fn most(&self) -> u64 {
        self.cells.iter().map(|cell| cell & COUNT_MASK).max().unwrap_or(0)
    }

    /// Whether some addresses found no cell; then `distinct` is too small.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_addresses_and_their_repeats() {
        let mut tally = Tally::new(1 << 17);
        for i in 0..50_000 {
            tally.count(&format!("token-{i}"));
        }
        for _ in 0..3 {
            tally.count("token-7");
        }
        assert_eq!((tally.distinct(), tally.total(), tally.repeats()), (50_000, 50_003, 3));
        assert_eq!((tally.of("token-7"), tally.of("token-8"), tally.of("nobody"), tally.most()), (4, 1, 0, 4));
        assert!(!tally.overflowed());
    }

    #[test]
    fn a_full_table_says_so_and_ends() {
        let mut tally = Tally::new(64);
        for i in 0..1000 {
            tally.count(&format!("{i}"));
        }
        assert!(tally.overflowed());
        assert_eq!(tally.distinct(), 48);
    }
}
