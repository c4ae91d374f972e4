//! How many requests a lane keeps under way. More than a provider can work on only wait at its door, where they cost memory, and
//! where they go out again if this process dies; fewer leave a provider that is far away idle. So: a usual number, and
//! more when a letter had to wait long for room.

use std::time::{Duration, Instant};

/// Requests that are under way without further ado. At a provider that is 20 ms away they make 50,000 a second.
const USUAL: usize = 1000;
/// A wait for room from which on there is too little of it.
const LONG: Duration = Duration::from_millis(20);
/// By so much a lane grows then.
const WIDER: usize = 4;
/// A lane in which nobody waited long for this time is made narrower.
const QUIET: Duration = Duration::from_secs(1);

/// The width of a lane.
#[derive(Debug)]
pub(super) struct Width {
    now: usize,
    most: usize,
    /// When somebody last had waited long, or the lane was last made narrower.
    quiet_since: Option<Instant>,
}

impl Width {
    /// Up to `most` requests.
    pub(super) fn new(most: usize) -> Width {
        Width { now: most.min(USUAL), most, quiet_since: None }
    }

    /// How many requests may be under way.
    pub(super) fn requests(&self) -> usize {
        self.now
    }

    /// Takes note of a wait for room in a full lane.
    pub(super) fn waited(&mut self, since: Instant, now: Instant) {
        let quiet = now.saturating_duration_since(*self.quiet_since.get_or_insert(now));
        if now.saturating_duration_since(since) >= LONG {
            (self.now, self.quiet_since) = ((self.now * WIDER).min(self.most), Some(now));
        } else if quiet >= QUIET && self.now > USUAL {
            (self.now, self.quiet_since) = ((self.now - self.now / 4).max(USUAL), Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_widened_when_letters_wait_long_and_narrowed_when_they_no_longer_do() {
        let mut now = Instant::now();
        let mut waits = |width: &mut Width, wait: Duration, times: u32| {
            for _ in 0..times {
                let since = now;
                now += wait;
                width.waited(since, now);
            }
            width.requests()
        };
        let (short, long) = (Duration::from_millis(3), Duration::from_millis(30));
        let mut width = Width::new(4000);
        assert_eq!(waits(&mut width, short, 10_000), USUAL);
        assert_eq!(waits(&mut width, long, 1), 4000);
        assert_eq!(waits(&mut width, long, 9), 4000);
        assert_eq!(waits(&mut width, short, 300), 4000, "not at once");
        assert_eq!(waits(&mut width, short, 100), 3000);
        assert_eq!(waits(&mut width, short, 10_000), USUAL);
        assert_eq!(waits(&mut Width::new(500), long, 10), 500);
    }
}
