//! Brings what was heard to the intake: the legs of a call once it has settled, the audio of a voice message when it is there,
//! and the times at which nothing was heard, which call records fill where there are some.
//!
//! An intake that cannot take anything now is asked again later, and until then everything waits here. What it will never
//! take is said in the log and given up. No more is handed on of a call than what is new.

use super::calls::{Ended, SETTLING};
use super::hands::{Done, Hands};
use super::queue::{Queue, Task};
use super::rests::Rests;
use super::settings::Settings;
use crate::intake::Intake;
use model::calls::Leg;
use model::time::{Clock, Timestamp};
use model::{Refusal, RefusalKind};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

/// How long the audio of a voice message is looked for (SPEC §7).
pub const AUDIO_WAIT: Duration = Duration::from_secs(30);
/// How often.
const AUDIO_EVERY: Duration = Duration::from_millis(500);
/// How long after a gap its call records are read, and how long after that again: Asterisk may gather records for five minutes before
/// it writes them, and calls that went on at the end of the gap have theirs later.
const RECORDS_AFTER: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(55), Duration::from_secs(300)];
/// Most pieces of work at once; each may hold one audio.
const AT_ONCE: usize = 4;
/// How long it is remembered what was handed on: longer than a call is remembered after its end.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Most calls of which that is remembered; without it something is handed on twice, which does no harm.
const MOST_REMEMBERED: usize = 5_000;
/// Longest that the end of the process waits for what could not be handed on before.
const LAST_TRY: Duration = Duration::from_secs(5);

/// What the listener says.
#[derive(Clone, Debug)]
pub(super) enum Word {
    /// A call has ended, or there is news about one that had.
    Ended(Box<Ended>),
    /// Nothing was heard for a while.
    Missed {
        /// Since then.
        from: Timestamp,
        /// Until then.
        until: Timestamp,
    },
    /// Everything was heard until now, but for what was missed.
    Heard(Timestamp),
}

/// What is being done.
#[derive(Clone)]
enum Doing {
    Task(Task),
    Gap((Timestamp, Timestamp)),
    Note,
}

/// Hands on what is said, until nobody is left to say something.
pub(super) async fn run(settings: Settings, intake: Arc<dyn Intake>, clock: Arc<dyn Clock>, mut words: mpsc::Receiver<Word>) {
    let mut desk = Desk {
        hands: Hands { intake, settings: Arc::new(settings) },
        unread: 0,
        heard: None,
        clock,
        queue: Queue::default(),
        doing: JoinSet::new(),
        what: HashMap::new(),
        handed: HashMap::new(),
        rests: Rests::default(),
        not_before: Instant::now(),
    };
    loop {
        desk.begin();
        let next = desk.next();
        tokio::select! {
            biased;
            word = words.recv() => match word {
                Some(word) => desk.note(word),
                None => break,
            },
            Some(done) = desk.doing.join_next_with_id() => desk.finish(done),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
    // There is no later: what waits is tried at once, and once.
    desk.queue.all_due(Instant::now());
    desk.not_before = Instant::now();
    let last_try = async {
        loop {
            desk.begin();
            let Some(done) = desk.doing.join_next_with_id().await else { break };
            desk.finish(done);
        }
    };
    let _ = timeout(LAST_TRY, last_try).await;
    if let Some(until) = desk.heard.filter(|_| desk.nothing_missed() && desk.doing.is_empty()) {
        let _ = timeout(LAST_TRY, desk.hands.intake.note_heard(desk.hands.name(), until)).await;
    }
    let lost = desk.queue.len() + desk.doing.len();
    if lost > 0 {
        tracing::warn!(integration = desk.hands.name(), pieces = lost, "the process ends before everything heard of calls was handed on");
    }
}

struct Desk {
    hands: Hands,
    clock: Arc<dyn Clock>,
    queue: Queue,
    doing: JoinSet<Result<Done, Refusal>>,
    what: HashMap<Id, Doing>,
    /// What was handed on of each call, and when.
    handed: HashMap<String, (Instant, Vec<Leg>)>,
    rests: Rests,
    /// The intake rests until then.
    not_before: Instant,
    /// Gaps that were said and whose call records are still to be read.
    unread: usize,
    /// Until when everything was heard, as the listener said last, where that is not kept yet.
    heard: Option<Timestamp>,
}

impl Desk {
    fn note(&mut self, word: Word) {
        match word {
            Word::Ended(ended) => {
                let kept = self.queue.put(Instant::now() + SETTLING, Task::Call(ended));
                if !kept {
                    // Better a gap that is known than a silence that nobody can explain.
                    let now = self.clock.now();
                    self.queue.missed(now, now);
                    tracing::debug!(integration = self.hands.name(), "a call is given up: too many wait");
                }
            }
            Word::Missed { from, until } => self.queue.missed(from, until),
            Word::Heard(until) => self.heard = Some(until),
        }
        self.count();
    }

    /// Begins as much as may be done at once.
    fn begin(&mut self) {
        let now = Instant::now();
        while self.doing.len() < AT_ONCE && now >= self.not_before {
            let hands = self.hands.clone();
            if let Some(gap) = self.queue.gap() {
                let id = self.doing.spawn(hands.tell(gap, self.unread == 0)).id();
                self.what.insert(id, Doing::Gap(gap));
                continue;
            }
            if let Some(until) = self.heard.filter(|_| self.nothing_missed()) {
                self.heard = None;
                let id = self.doing.spawn(hands.note(until)).id();
                self.what.insert(id, Doing::Note);
                continue;
            }
            let Some(task) = self.queue.take(now) else { break };
            let id = match &task {
                Task::Call(ended) => {
                    let before = self.handed.get(ended.call_id()).map(|(_, legs)| legs.clone()).unwrap_or_default();
                    self.doing.spawn(hands.hand(ended.clone(), before)).id()
                }
                Task::Audio { leg, .. } => self.doing.spawn(hands.bring(leg.clone())).id(),
                Task::Records { span, .. } => self.doing.spawn(hands.fill(*span)).id(),
            };
            self.what.insert(id, Doing::Task(task));
        }
    }

    /// Whether everything that was not heard is told, and filled from call records where there are some.
    fn nothing_missed(&self) -> bool {
        let telling = self.what.values().any(|doing| matches!(doing, Doing::Gap(_)));
        !telling && !self.queue.has_gaps() && self.unread == 0
    }

    /// When there may be something to begin, if no word comes and nothing is finished before.
    fn next(&self) -> Option<Instant> {
        if self.doing.len() >= AT_ONCE {
            return None;
        }
        let task = self.queue.next().map(|due| due.max(self.not_before));
        let gap = (self.queue.has_gaps() || self.heard.is_some() && self.nothing_missed()).then_some(self.not_before);
        task.into_iter().chain(gap).min()
    }

    fn finish(&mut self, done: Result<(Id, Result<Done, Refusal>), tokio::task::JoinError>) {
        let (id, result) = match done {
            Ok((id, result)) => (id, result),
            Err(e) => (e.id(), Err(Refusal::unavailable("the intake fell over"))),
        };
        let Some(doing) = self.what.remove(&id) else { return };
        match result {
            Ok(done) => self.did(doing, done),
            Err(refusal) => self.refused(doing, &refusal),
        }
        self.count();
    }

    fn did(&mut self, doing: Doing, done: Done) {
        let now = Instant::now();
        if matches!(done, Done::Taken(_) | Done::Told | Done::Filled(_) | Done::Noted) {
            self.rests.over();
        }
        let task = match doing {
            Doing::Task(task) => task,
            Doing::Gap(span) => {
                if self.hands.settings.cdr_file.is_some() {
                    self.queue.put_back(now + RECORDS_AFTER[0], Task::Records { span, turn: 0 });
                    self.unread += 1;
                }
                return;
            }
            Doing::Note => return,
        };
        match (&task, done) {
            (Task::Call(ended), Done::Taken(legs)) => {
                self.taken(&legs, now);
                self.remember(ended.call_id(), legs, now);
            }
            (Task::Records { span, turn }, done) => {
                match done {
                    Done::Filled(legs) => self.taken(&legs, now),
                    Done::Unread(why) => self.no_records(&why),
                    Done::Taken(_) | Done::NotYet | Done::Never(_) | Done::Told | Done::Noted => {}
                }
                match RECORDS_AFTER.get(turn + 1) {
                    Some(after) => self.queue.put_back(now + *after, Task::Records { span: *span, turn: turn + 1 }),
                    None => self.unread -= 1,
                }
            }
            (Task::Audio { until, .. }, Done::NotYet) if now < *until => {
                self.queue.put_back(now + AUDIO_EVERY, task);
                return;
            }
            (Task::Audio { .. }, Done::NotYet) => self.no_audio("it did not come in time"),
            (Task::Audio { .. }, Done::Never(why)) => self.no_audio(why),
            (Task::Call(_) | Task::Audio { .. }, _) => {}
        }
        self.queue.done(&task);
    }

    /// Legs are kept for good: their audio is to be looked for, where there is a folder to look into.
    fn taken(&mut self, legs: &[Leg], now: Instant) {
        metrics::counter!("carillon_asterisk_legs_total", "outcome" => "taken").increment(legs.len() as u64);
        if self.hands.settings.spool_dir.is_none() {
            return;
        }
        for leg in legs.iter().filter(|leg| leg.recording.is_some()) {
            let audio = Task::Audio { leg: Box::new(leg.clone()), until: now + AUDIO_WAIT };
            self.queue.put(now, audio);
        }
    }

    fn no_records(&self, why: &str) {
        let integration = self.hands.name();
        tracing::warn!(
            integration,
            why,
            "the time without Asterisk is not filled from its call records; look at cdr_file of [[integrations.asterisk]] and its rights"
        );
    }

    fn no_audio(&self, why: &str) {
        let integration = self.hands.name();
        tracing::warn!(
            integration,
            why,
            "a voice message goes without its audio; look at spool_dir of [[integrations.asterisk]] and its rights"
        );
    }

    fn refused(&mut self, doing: Doing, refusal: &Refusal) {
        let now = Instant::now();
        let integration = self.hands.name();
        let least = match &refusal.kind {
            RefusalKind::Unavailable { retry_after } | RefusalKind::OverLimit { retry_after, .. } => Some(*retry_after),
            RefusalKind::Malformed
            | RefusalKind::Invalid
            | RefusalKind::Unauthenticated
            | RefusalKind::Forbidden
            | RefusalKind::NotFound
            | RefusalKind::Conflict
            | RefusalKind::Stale
            | RefusalKind::VersionNeeded
            | RefusalKind::TooLarge => None,
        };
        let Some(least) = least else {
            // What a refusal says of a field may hold a number; the names of the fields do not.
            let fields = refusal.faults.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>().join(", ");
            tracing::error!(integration, code = refusal.code, fields, "what was heard of a call is refused and given up");
            metrics::counter!("carillon_asterisk_legs_total", "outcome" => "refused").increment(1);
            if let Doing::Task(task) = doing {
                self.queue.done(&task);
                self.unread -= usize::from(matches!(task, Task::Records { .. }));
            }
            return;
        };
        // Several under way at once fail together, and that is one failure.
        if now >= self.not_before {
            let rest = self.rests.next(engine::keys::chance(501));
            self.not_before = now + rest.max(least.min(super::rests::LONGEST));
            tracing::debug!(integration, code = refusal.code, waiting = self.queue.len(), "what was heard waits: it cannot be taken now");
        }
        match doing {
            Doing::Task(task) => self.queue.put_back(self.not_before, task),
            Doing::Gap(gap) => self.queue.still_missed(gap),
            Doing::Note => {} // It is said again soon.
        }
    }

    fn remember(&mut self, call_id: &str, legs: Vec<Leg>, now: Instant) {
        if self.handed.len() >= MOST_REMEMBERED {
            self.handed.retain(|_, (since, _)| now.duration_since(*since) < REMEMBERED);
        }
        if self.handed.len() < MOST_REMEMBERED || self.handed.contains_key(call_id) {
            let known = self.handed.entry(call_id.to_owned()).or_insert_with(|| (now, Vec::new()));
            known.0 = now;
            known.1.retain(|leg| legs.iter().all(|newer| newer.leg_id != leg.leg_id));
            known.1.extend(legs);
        }
    }

    fn count(&self) {
        let waiting = self.queue.len() + self.doing.len();
        metrics::gauge!("carillon_asterisk_waiting", "integration" => self.hands.name().to_owned()).set(waiting as f64);
    }
}
