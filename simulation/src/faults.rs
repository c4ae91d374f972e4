//! Which faults a run has, and how often: drawn from its seed, so that some runs have none and some have everything.

use crate::chance::Chance;

/// A run's faults. Shares are of a million.
#[derive(Clone, Debug)]
pub struct Faults {
    /// No fault happens any more: the run is to come to rest.
    pub calm: bool,
    /// Calls of the store that take a while.
    pub slow_calls: u64,
    /// Calls that are refused and do nothing.
    pub failed_calls: u64,
    /// Calls that are done and whose answer is lost.
    pub lost_answers: u64,
    /// Hints between processes that are lost; as many come twice or late.
    pub lost_wakes: u64,
    /// A process crashes about so often, in seconds; 0 for never.
    pub crash_every_s: i64,
    /// A process stands still about so often.
    pub pause_every_s: i64,
    /// A process is cut off from the store about so often.
    pub cut_every_s: i64,
    /// A clock is set about so often.
    pub clock_every_s: i64,
    /// Furthest that a clock is set off, in milliseconds.
    pub clock_off_ms: i64,
    /// The mood of a provider changes about so often.
    pub mood_every_s: i64,
}

impl Faults {
    /// None at all.
    pub const NONE: Faults = Faults {
        calm: false,
        slow_calls: 0,
        failed_calls: 0,
        lost_answers: 0,
        lost_wakes: 0,
        crash_every_s: 0,
        pause_every_s: 0,
        cut_every_s: 0,
        clock_every_s: 0,
        clock_off_ms: 0,
        mood_every_s: 0,
    };

    /// A seed's. `shared`: processes share the store, so that the network lies between them.
    pub fn draw(chance: &mut Chance, shared: bool) -> Faults {
        let mut faults = Faults::NONE;
        let kind = chance.below(8);
        if kind == 0 {
            return faults;
        }
        let mut some = |often: &[i64]| *chance.one_of(often);
        faults.mood_every_s = some(&[0, 15, 40]);
        faults.slow_calls = some(&[0, 5_000, 60_000]).unsigned_abs();
        if kind == 1 {
            return faults;
        }
        faults.crash_every_s = some(&[0, 25, 60, 150]);
        faults.pause_every_s = some(&[0, 30, 90]);
        faults.clock_every_s = some(&[0, 0, 50]);
        faults.clock_off_ms = some(&[400, 5_000, 30_000]);
        faults.failed_calls = some(&[0, 0, 1_000, 10_000]).unsigned_abs();
        if shared {
            faults.cut_every_s = some(&[0, 40, 100]);
            faults.lost_answers = some(&[0, 500, 5_000]).unsigned_abs();
            faults.lost_wakes = some(&[0, 100_000, 700_000]).unsigned_abs();
        }
        faults
    }

    /// Whether processes, network, store and clocks are sound all the time.
    pub fn are_none(&self) -> bool {
        let every = [self.crash_every_s, self.pause_every_s, self.cut_every_s, self.clock_every_s];
        every.iter().all(|s| *s == 0) && self.failed_calls == 0 && self.lost_answers == 0
    }
}
