//! How long to wait before something is tried again: 1, 2, 4 … 30 s, each shortened by chance by up to half, so that many who
//! wait for one do not come back at once.

use std::time::Duration;

/// First wait.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// Doublings after which the longest is reached.
const DOUBLINGS: u32 = 5;

/// How often in a row something went wrong.
#[derive(Debug, Default)]
pub(super) struct Rests {
    failures: u32,
}

impl Rests {
    /// It works again.
    pub(super) fn over(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure. `chance` is at most 500, and takes so many thousandths off.
    pub(super) fn next(&mut self, chance: u32) -> Duration {
        let whole = (FIRST * 2_u32.pow(self.failures.min(DOUBLINGS))).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        whole * (1000 - chance.min(500)) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_chance_takes_half_at_most() {
        let mut rests = Rests::default();
        let seconds: Vec<u64> = (0..8).map(|_| rests.next(0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(rests.next(10_000), LONGEST / 2);
        rests.over();
        assert_eq!(rests.next(250), Duration::from_millis(750));
    }
}
