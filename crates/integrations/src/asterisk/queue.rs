//! What is still to be handed on: calls that settle, audio that is looked for, and gaps, each with the instant at which it is due.

use super::calls::Ended;
use model::calls::Leg;
use model::time::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};
use tokio::time::Instant;

/// Most calls that wait. They take some ten megabytes, and a store that was away for so many calls is missed by more than us.
pub const MOST_WAITING: usize = 10_000;
/// Most gaps that wait one by one; further ones make the last longer.
const MOST_GAPS: usize = 100;

/// A piece of work.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Legs of a call that is over.
    Call(Box<Ended>),
    /// The audio of a leg, which is looked for until then.
    Audio {
        /// The leg, as it was taken without its audio.
        leg: Box<Leg>,
        /// When it is no more looked for.
        until: Instant,
    },
    /// The call records of a gap.
    Records {
        /// The gap.
        span: (Timestamp, Timestamp),
        /// How often they were read.
        turn: usize,
    },
}

/// Everything that waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    tasks: BTreeMap<(Instant, u64), Task>,
    /// Where a call stands in `tasks`.
    calls: HashMap<String, (Instant, u64)>,
    /// Calls that are being handed on at this moment: the next word about one waits for that.
    under_way: HashSet<String>,
    gaps: Vec<(Timestamp, Timestamp)>,
    placed: u64,
}

impl Queue {
    /// Puts a task in its place. What is known of a call later stands for what was known before, at the earlier one's time.
    /// `false` when there is no room.
    pub(super) fn put(&mut self, due: Instant, task: Task) -> bool {
        self.placed += 1;
        let mut place = (due, self.placed);
        if let Task::Call(ended) = &task {
            if let Some(before) = self.calls.remove(ended.call_id()) {
                self.tasks.remove(&before);
                place = before;
            } else if self.tasks.len() >= MOST_WAITING {
                return false;
            }
            self.calls.insert(ended.call_id().to_owned(), place);
        } else if self.tasks.len() >= MOST_WAITING {
            return false;
        }
        self.tasks.insert(place, task);
        true
    }

    /// Puts a task back that could not be done. Room is not asked for: it had some a moment ago.
    pub(super) fn put_back(&mut self, due: Instant, task: Task) {
        if let Task::Call(ended) = &task {
            self.under_way.remove(ended.call_id());
            if self.calls.contains_key(ended.call_id()) {
                return; // More is known by now.
            }
        }
        self.placed += 1;
        let place = (due, self.placed);
        if let Task::Call(ended) = &task {
            self.calls.insert(ended.call_id().to_owned(), place);
        }
        self.tasks.insert(place, task);
    }

    /// A task is done for good.
    pub(super) fn done(&mut self, task: &Task) {
        if let Task::Call(ended) = task {
            self.under_way.remove(ended.call_id());
        }
    }

    /// Takes out the first task that is due and can be done.
    pub(super) fn take(&mut self, now: Instant) -> Option<Task> {
        let free = |task: &Task| !matches!(task, Task::Call(ended) if self.under_way.contains(ended.call_id()));
        let place = self.tasks.iter().take_while(|((due, _), _)| *due <= now).find(|(_, task)| free(task)).map(|(place, _)| *place)?;
        let task = self.tasks.remove(&place)?;
        if let Task::Call(ended) = &task {
            self.calls.remove(ended.call_id());
            self.under_way.insert(ended.call_id().to_owned());
        }
        Some(task)
    }

    /// When the first task that can be done is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let free = |task: &Task| !matches!(task, Task::Call(ended) if self.under_way.contains(ended.call_id()));
        self.tasks.iter().find(|(_, task)| free(task)).map(|((due, _), _)| *due)
    }

    /// Makes everything due: there is no later. Call records are left to the next process, which knows that they are not read.
    pub(super) fn all_due(&mut self, now: Instant) {
        for (_, task) in std::mem::take(&mut self.tasks) {
            if matches!(task, Task::Records { .. }) {
                continue;
            }
            if let Task::Call(ended) = &task {
                self.calls.remove(ended.call_id());
            }
            let kept = self.put(now, task);
            debug_assert!(kept, "there was room for it");
        }
    }

    /// Keeps a gap, apart or as part of the last one.
    pub(super) fn missed(&mut self, from: Timestamp, until: Timestamp) {
        let full = self.gaps.len() >= MOST_GAPS;
        match self.gaps.last_mut().filter(|last| full || last.1 >= from) {
            Some(last) => last.1 = last.1.max(until),
            None => self.gaps.push((from, until)),
        }
    }

    /// Takes out the first gap.
    pub(super) fn gap(&mut self) -> Option<(Timestamp, Timestamp)> {
        (!self.gaps.is_empty()).then(|| self.gaps.remove(0))
    }

    /// A gap that could not be told.
    pub(super) fn still_missed(&mut self, gap: (Timestamp, Timestamp)) {
        self.gaps.insert(0, gap);
    }

    /// Whether there are gaps to be told.
    pub(super) fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.tasks.len() + self.gaps.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::calls::Calls;
    use super::super::wire::Block;
    use super::*;
    use std::time::Duration;

    fn call(unique: &str) -> Task {
        let mut calls = Calls::new("lyon", "Lyon");
        let hangup = Block::of(&[("Event", "Hangup"), ("Uniqueid", unique), ("Linkedid", unique)]);
        let call_id = calls.hear(&hangup, Timestamp(0)).expect("its end");
        Task::Call(Box::new(calls.ended(&call_id).expect("remembered")))
    }

    fn id(task: Option<Task>) -> Option<String> {
        task.map(|task| match task {
            Task::Call(ended) => ended.call_id().to_owned(),
            Task::Audio { .. } => "audio".to_owned(),
            Task::Records { .. } => "records".to_owned(),
        })
    }

    #[test]
    fn a_call_waits_once_and_is_handed_on_once_at_a_time() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        assert!(queue.put(later, call("1")) && queue.put(later + Duration::from_secs(1), call("1")));
        assert_eq!((queue.len(), queue.next()), (1, Some(later)), "the earlier time holds");
        assert!(queue.take(now).is_none());
        let first = queue.take(later).expect("due");
        assert!(queue.put(later, call("1")));
        assert!(queue.take(later).is_none() && queue.next().is_none(), "one of it is under way");
        queue.put_back(later, first);
        assert_eq!(queue.len(), 1, "what is known by now stands for what was known");
        assert_eq!(id(queue.take(later)), Some("1".to_owned()));
    }

    #[test]
    fn there_is_room_for_so_many_and_news_of_those_still_find_it() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for n in 0..MOST_WAITING {
            assert!(queue.put(now, call(&n.to_string())));
        }
        assert!(!queue.put(now, call("one more")) && queue.put(now, call("7")));
        assert_eq!(id(queue.take(now)), Some("0".to_owned()), "the oldest first");
    }

    #[test]
    fn gaps_that_touch_are_one_and_too_many_make_the_last_longer() {
        let mut queue = Queue::default();
        queue.missed(Timestamp(1), Timestamp(5));
        queue.missed(Timestamp(5), Timestamp(6));
        queue.missed(Timestamp(10), Timestamp(11));
        assert_eq!(
            (queue.gap(), queue.gap(), queue.gap()),
            (Some((Timestamp(1), Timestamp(6))), Some((Timestamp(10), Timestamp(11))), None)
        );
        for n in 0..1000 {
            queue.missed(Timestamp(n * 10), Timestamp(n * 10 + 1));
        }
        assert_eq!(queue.len(), MOST_GAPS);
        assert_eq!(queue.gaps.last(), Some(&(Timestamp(990), Timestamp(9991))));
    }
}
