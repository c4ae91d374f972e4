//! A fake's rate: when the next answer is due, and how many were accepted in this second.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Shared by all connections of one fake.
#[derive(Default)]
pub(crate) struct Pace {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: Option<Instant>,
    second: Option<(Instant, u32)>,
}

impl Pace {
    /// Takes the next turn of a fake that answers `per_second` times a second.
    pub(crate) fn turn(&self, per_second: u32, now: Instant) -> Instant {
        let mut state = self.state.lock();
        let due = state.next.map_or(now, |next| next.max(now));
        state.next = Some(due + Duration::from_secs(1) / per_second.max(1));
        due
    }

    /// Whether one more fits into the current second.
    pub(crate) fn fits(&self, per_second: u32, now: Instant) -> bool {
        let mut state = self.state.lock();
        let (began, taken) = match state.second {
            Some((began, taken)) if now.duration_since(began) < Duration::from_secs(1) => (began, taken),
            _ => (now, 0),
        };
        let fits = taken < per_second;
        state.second = Some((began, if fits { taken + 1 } else { taken }));
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_lie_a_period_apart_and_a_second_holds_its_number() {
        let (pace, now) = (Pace::default(), Instant::now());
        let turns: Vec<_> = (0..3).map(|_| pace.turn(100, now) - now).collect();
        assert_eq!(turns, [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(20)]);
        let fits: Vec<_> = (0..3).map(|_| pace.fits(2, now)).collect();
        assert_eq!(fits, [true, true, false]);
        assert!(pace.fits(2, now + Duration::from_secs(1)));
    }
}
