//! How many requests a lane keeps under way. More than a provider can work on only wait at its door, where they cost memory, and
//! where they go out again if this process dies; fewer leave a provider that is far away idle. So: a usual number, and
//! more while answers do not wait for each other and more requests make more answers a second.

use std::time::{Duration, Instant};

/// Requests that are under way without further ado. At a provider that is 20 ms away they make 50,000 a second.
const USUAL: usize = 1000;
/// For how long the shortest answer counts, at least; it counts for twice that at most.
const MEMORY: Duration = Duration::from_secs(2);
/// After a pause of this length nothing is known about the provider.
const PAUSE: Duration = Duration::from_millis(250);
/// Of what a wider lane could bring it has to bring this share, or it is made narrower again.
const WORTH: f64 = 0.4;
/// After that it is left alone for so long.
const LEFT_ALONE: Duration = Duration::from_secs(2);

/// The width of a lane.
#[derive(Debug)]
pub(super) struct Width {
    now: usize,
    most: usize,
    /// The time of the quickest answer, of the present span and of the one before.
    shortest: Option<(Duration, Duration)>,
    span_began: Option<Instant>,
    last_answer: Option<Instant>,
    round: Round,
    /// Before the lane was widened: its width, and how long answers took.
    before: Option<(usize, Duration)>,
    /// Requests that were sent earlier say nothing about the present width.
    since: Option<Instant>,
    left_alone_until: Option<Instant>,
}

/// As many answers as may be under way, and what they took.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    answers: u32,
    took: Duration,
}

impl Width {
    /// Up to `most` requests.
    pub(super) fn new(most: usize) -> Width {
        Width {
            now: most.min(USUAL),
            most,
            shortest: None,
            span_began: None,
            last_answer: None,
            round: Round::default(),
            before: None,
            since: None,
            left_alone_until: None,
        }
    }

    /// How many requests may be under way.
    pub(super) fn requests(&self) -> usize {
        self.now
    }

    /// Takes note of an answer. While answers take less than twice the shortest, the lane is made wider, as long as that makes it
    /// faster; when they take three times as long, it is made narrower.
    pub(super) fn answered(&mut self, sent: Instant, now: Instant) {
        if self.most <= USUAL {
            return;
        }
        let took = now.saturating_duration_since(sent);
        if self.last_answer.replace(now).is_some_and(|last| sent.saturating_duration_since(last) > PAUSE) {
            let (now, most) = (self.now, self.most);
            *self = Width { now, last_answer: self.last_answer, ..Width::new(most) };
        }
        self.remember(took, now);
        if self.since.is_some_and(|since| sent < since) {
            return;
        }
        self.round.answers += 1;
        self.round.took += took;
        if (self.round.answers as usize) >= self.now {
            let Round { answers, took } = std::mem::take(&mut self.round);
            self.judge(took / answers, now);
        }
    }

    /// Judges a round by the time that its answers took. Of a full lane the answers a second are its width by that time.
    fn judge(&mut self, usual: Duration, now: Instant) {
        let Some((present, earlier)) = self.shortest else { return };
        let shortest = present.min(earlier);
        let brought = |(width, took): (usize, Duration)| {
            let wider = self.now as f64 / width as f64;
            wider * took.as_secs_f64() / usual.as_secs_f64() >= 1.0 + (wider - 1.0) * WORTH
        };
        if let Some(before) = self.before.take()
            && !brought(before)
        {
            self.left_alone_until = Some(now + LEFT_ALONE);
            self.set(before.0, now);
        } else if usual > shortest * 3 {
            self.set((self.now - self.now / 4).max(USUAL), now);
        } else if usual < shortest * 2 && self.now < self.most && self.left_alone_until.is_none_or(|until| until <= now) {
            self.before = Some((self.now, usual));
            self.set((self.now * 2).min(self.most), now);
        }
    }

    fn set(&mut self, width: usize, now: Instant) {
        if width != self.now {
            (self.now, self.since) = (width, Some(now));
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
    use std::collections::VecDeque;

    /// A provider that is `away`, and answers a request every `work` at the most.
    struct Provider {
        away: Duration,
        work: Duration,
    }

    /// Keeps a lane full for a while; answers how wide it was in the end, and when that was.
    fn run(width: &mut Width, provider: &Provider, start: Instant, span: Duration) -> (usize, Instant) {
        let mut under_way: VecDeque<(Instant, Instant)> = VecDeque::new();
        let (mut now, mut free) = (start, start);
        while now < start + span {
            let next = under_way.front().copied();
            let full = under_way.len() >= width.requests();
            match next.filter(|(_, answered)| full || *answered <= now) {
                Some((sent, answered)) => {
                    under_way.pop_front();
                    now = now.max(answered);
                    width.answered(sent, now);
                }
                None => {
                    now += Duration::from_micros(3);
                    free = (now + provider.away).max(free + provider.work);
                    under_way.push_back((now, free));
                }
            }
        }
        (width.requests(), now)
    }

    const FAR: Provider = Provider { away: Duration::from_millis(50), work: Duration::from_micros(5) };
    const BUSY: Provider = Provider { away: Duration::from_micros(300), work: Duration::from_micros(10) };

    #[test]
    fn a_provider_that_is_far_away_soon_gets_more_and_a_busy_one_does_not() {
        let start = Instant::now();
        assert_eq!(run(&mut Width::new(4000), &FAR, start, Duration::from_millis(300)).0, 4000);
        assert_eq!(run(&mut Width::new(500), &FAR, start, Duration::from_secs(1)).0, 500);
        let mut width = Width::new(4000);
        let mut from = start;
        for _ in 0..40 {
            // Whatever the shortest answer of these two seconds was: wider is not faster, so it does not stay.
            let (wide, until) = run(&mut width, &BUSY, from, Duration::from_millis(500));
            assert!(wide <= 2 * USUAL, "{wide}");
            from = until;
        }
        assert!(run(&mut width, &BUSY, from, Duration::from_millis(700)).0 <= 2 * USUAL);
    }

    #[test]
    fn a_lane_forgets_what_it_knew_in_a_pause() {
        let mut width = Width::new(4000);
        let (near, until) = run(&mut width, &BUSY, Instant::now(), Duration::from_secs(1));
        assert!(near <= 2 * USUAL, "{near}");
        let (far, until) = run(&mut width, &FAR, until + Duration::from_millis(500), Duration::from_millis(500));
        assert_eq!(far, 4000);
        let (near, _) = run(&mut width, &BUSY, until + Duration::from_millis(500), Duration::from_secs(2));
        assert!(near <= 2 * USUAL, "{near}");
    }
}
