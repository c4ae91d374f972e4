//! How many requests a lane keeps under way. More than a provider can work on only wait at its door, where they cost memory, and
//! where they go out again if this process dies; fewer leave a provider that is far away idle. So: a usual number, and
//! more while that does not make answers slower.

use std::time::{Duration, Instant};

/// Requests that are under way without further ado. At a provider that is 20 ms away they make 50,000 a second.
const USUAL: usize = 1000;
/// For how long the shortest answer counts, at least; it counts for twice that at most.
const MEMORY: Duration = Duration::from_secs(10);

/// The width of a lane.
#[derive(Debug)]
pub(super) struct Width {
    now: usize,
    most: usize,
    /// The time of the quickest answer, of the present span and of the one before.
    shortest: Option<(Duration, Duration)>,
    span_began: Option<Instant>,
    /// Answers of this round, and the sum of their times. A round is as many as are under way.
    answers: u32,
    took: Duration,
}

impl Width {
    /// Up to `most` requests.
    pub(super) fn new(most: usize) -> Width {
        Width { now: most.min(USUAL), most, shortest: None, span_began: None, answers: 0, took: Duration::ZERO }
    }

    /// How many requests may be under way.
    pub(super) fn requests(&self) -> usize {
        self.now
    }

    /// Takes note of an answer. While answers take less than twice the shortest, they are not waiting for each other, and more may
    /// go; when they take four times as long, they do, and fewer go.
    pub(super) fn answered(&mut self, sent: Instant, now: Instant) {
        if self.most <= USUAL {
            return;
        }
        let took = now.saturating_duration_since(sent);
        self.remember(took, now);
        self.answers += 1;
        self.took += took;
        if (self.answers as usize) < self.now {
            return;
        }
        let usual = self.took / self.answers;
        (self.answers, self.took) = (0, Duration::ZERO);
        let Some((present, before)) = self.shortest else { return };
        let shortest = present.min(before);
        if usual < shortest * 2 {
            self.now = (self.now + self.now / 2).min(self.most);
        } else if usual > shortest * 4 {
            self.now = (self.now - self.now / 4).max(USUAL);
        }
    }

    fn remember(&mut self, took: Duration, now: Instant) {
        let began = *self.span_began.get_or_insert(now);
        let ended = now.saturating_duration_since(began) > MEMORY;
        self.shortest = Some(match self.shortest {
            None => (took, took),
            Some((present, _)) if ended => (took, present),
            Some((present, before)) => (present.min(took), before),
        });
        if ended {
            self.span_began = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider `away`, that works on `at_once` requests for a millisecond each: what the width becomes.
    fn after_a_while(width: &mut Width, away: Duration, at_once: u32, start: Instant) -> usize {
        let mut now = start;
        for _ in 0..200 {
            let under_way = u32::try_from(width.requests()).expect("small");
            let waiting = Duration::from_millis(1) * (under_way / at_once);
            for n in 0..under_way {
                // Answers of a round come one after the other: the first waits for nobody.
                let took = away + waiting * n / under_way;
                now += took / under_way;
                width.answered(now.checked_sub(took).unwrap_or(now), now);
            }
        }
        width.requests()
    }

    #[test]
    fn a_provider_that_is_far_away_gets_more_and_a_busy_one_does_not() {
        let start = Instant::now() + Duration::from_secs(60);
        let far = Duration::from_millis(50);
        assert_eq!(after_a_while(&mut Width::new(4000), far, 10_000, start), 4000);
        assert_eq!(after_a_while(&mut Width::new(500), far, 10_000, start), 500);
        assert_eq!(after_a_while(&mut Width::new(4000), Duration::from_micros(200), 100, start), USUAL);
    }

    #[test]
    fn a_provider_that_gets_busy_gets_less_again() {
        let start = Instant::now() + Duration::from_secs(60);
        let mut width = Width::new(4000);
        assert_eq!(after_a_while(&mut width, Duration::from_millis(1), 100_000, start), 4000);
        assert_eq!(after_a_while(&mut width, Duration::from_millis(1), 10, start + Duration::from_secs(60)), USUAL);
    }
}
