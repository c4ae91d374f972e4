//! How many requests a lane keeps under way. More than a provider can work on only wait at its door, where they cost memory, and
//! where they go out again if this process dies; fewer leave a provider that is far away idle. So: a usual number, and
//! more from the moment on in which a letter had to wait long for room, until the lane comes to rest.

use std::time::{Duration, Instant};

/// Requests that are under way without further ado. At a provider that is 20 ms away they make 50,000 a second.
const USUAL: usize = 1000;
/// A wait for room from which on there is too little of it.
const LONG: Duration = Duration::from_millis(20);
/// By so much a lane grows then.
const WIDER: usize = 4;
/// After a rest of this length a lane begins anew.
const REST: Duration = Duration::from_millis(250);

/// The width of a lane.
#[derive(Debug)]
pub(super) struct Width {
    now: usize,
    most: usize,
    /// Since when nothing is under way.
    resting_since: Option<Instant>,
}

impl Width {
    /// Up to `most` requests.
    pub(super) fn new(most: usize) -> Width {
        Width { now: most.min(USUAL), most, resting_since: None }
    }

    /// How many requests may be under way.
    pub(super) fn requests(&self) -> usize {
        self.now
    }

    /// Takes note of a wait for room in a full lane. Once a lane is wide its waits are short however far the provider is, so
    /// they are no reason to make it narrower.
    pub(super) fn waited(&mut self, wait: Duration) {
        if wait >= LONG {
            self.now = (self.now * WIDER).min(self.most);
        }
    }

    /// The last request that was under way has ended.
    pub(super) fn rests(&mut self, now: Instant) {
        self.resting_since = Some(now);
    }

    /// The first request goes on its way again.
    pub(super) fn begins(&mut self, now: Instant) {
        if self.resting_since.take().is_some_and(|since| now.saturating_duration_since(since) >= REST) {
            self.now = self.most.min(USUAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_wide_from_the_first_long_wait_until_it_rests() {
        let (start, short, long) = (Instant::now(), Duration::from_millis(3), Duration::from_millis(30));
        let mut width = Width::new(6000);
        (0..10_000).for_each(|_| width.waited(short));
        assert_eq!(width.requests(), USUAL);
        width.waited(long);
        assert_eq!(width.requests(), 4000);
        width.waited(long);
        (0..10_000).for_each(|_| width.waited(short));
        assert_eq!(width.requests(), 6000, "and stays so");
        width.rests(start);
        width.begins(start + REST / 2);
        assert_eq!(width.requests(), 6000, "a gap is no rest");
        width.rests(start);
        width.begins(start + REST);
        assert_eq!(width.requests(), USUAL);
        let mut narrow = Width::new(500);
        narrow.waited(long);
        assert_eq!(narrow.requests(), 500);
    }
}
