//! Brings what was heard to the intake: the legs of a call once it has settled, the audio of a voice message when it is there,
//! and the times at which nothing was heard.
//!
//! An intake that cannot take anything now is asked again later, and until then everything waits here. What it will never
//! take is said in the log and given up. No more is handed on of a call than what is new.

use super::audio::{self, Look};
use super::calls::{Ended, SETTLING};
use super::queue::{Queue, Task};
use super::rests::Rests;
use super::settings::Settings;
use super::spool;
use crate::intake::{HeardLeg, Intake};
use model::calls::{Leg, LegState, RECORDING_CHARS};
use model::time::{Clock, Timestamp};
use model::{Refusal, RefusalKind};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

/// How long the audio of a voice message is looked for (SPEC §7).
pub const AUDIO_WAIT: Duration = Duration::from_secs(30);
/// How often.
const AUDIO_EVERY: Duration = Duration::from_millis(500);
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
}

/// What a piece of work came to.
enum Done {
    /// These legs are kept for good.
    Taken(Vec<Leg>),
    /// The audio is not there.
    NotYet,
    /// The audio will not come.
    Never(&'static str),
    /// The gap is kept.
    Told,
}

/// What is being done.
#[derive(Clone)]
enum Doing {
    Task(Task),
    Gap((Timestamp, Timestamp)),
}

/// Hands on what is said, until nobody is left to say something.
pub(super) async fn run(settings: Settings, intake: Arc<dyn Intake>, clock: Arc<dyn Clock>, mut words: mpsc::Receiver<Word>) {
    let mut desk = Desk {
        hands: Hands { intake, integration: settings.name.into(), spool_dir: settings.spool_dir.map(Arc::new) },
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
    let lost = desk.queue.len() + desk.doing.len();
    if lost > 0 {
        tracing::warn!(
            integration = &*desk.hands.integration,
            pieces = lost,
            "the process ends before everything heard of calls was handed on"
        );
    }
}

/// What a piece of work needs.
#[derive(Clone)]
struct Hands {
    intake: Arc<dyn Intake>,
    integration: Arc<str>,
    spool_dir: Option<Arc<PathBuf>>,
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
                    tracing::debug!(integration = &*self.hands.integration, "a call is given up: too many wait");
                }
            }
            Word::Missed { from, until } => self.queue.missed(from, until),
        }
        self.count();
    }

    /// Begins as much as may be done at once.
    fn begin(&mut self) {
        let now = Instant::now();
        while self.doing.len() < AT_ONCE && now >= self.not_before {
            let hands = self.hands.clone();
            if let Some(gap) = self.queue.gap() {
                let id = self.doing.spawn(hands.tell(gap)).id();
                self.what.insert(id, Doing::Gap(gap));
                continue;
            }
            let Some(task) = self.queue.take(now) else { break };
            let id = match &task {
                Task::Call(ended) => {
                    let before = self.handed.get(ended.call_id()).map(|(_, legs)| legs.clone()).unwrap_or_default();
                    self.doing.spawn(hands.hand(ended.clone(), before)).id()
                }
                Task::Audio { leg, .. } => self.doing.spawn(hands.bring(leg.clone())).id(),
            };
            self.what.insert(id, Doing::Task(task));
        }
    }

    /// When there may be something to begin, if no word comes and nothing is finished before.
    fn next(&self) -> Option<Instant> {
        if self.doing.len() >= AT_ONCE {
            return None;
        }
        let task = self.queue.next().map(|due| due.max(self.not_before));
        let gap = self.queue.has_gaps().then_some(self.not_before);
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
        if matches!(done, Done::Taken(_) | Done::Told) {
            self.rests.over();
        }
        let Doing::Task(task) = doing else { return };
        match (&task, done) {
            (Task::Call(ended), Done::Taken(legs)) => {
                metrics::counter!("carillon_asterisk_legs_total", "outcome" => "taken").increment(legs.len() as u64);
                for leg in legs.iter().filter(|leg| leg.recording.is_some()) {
                    let audio = Task::Audio { leg: Box::new(leg.clone()), until: now + AUDIO_WAIT };
                    self.queue.put(now, audio);
                }
                self.remember(ended.call_id(), legs, now);
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

    fn no_audio(&self, why: &str) {
        let integration = &*self.hands.integration;
        tracing::warn!(
            integration,
            why,
            "a voice message goes without its audio; look at spool_dir of [[integrations.asterisk]] and its rights"
        );
    }

    fn refused(&mut self, doing: Doing, refusal: &Refusal) {
        let now = Instant::now();
        let integration = &*self.hands.integration;
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
        metrics::gauge!("carillon_asterisk_waiting", "integration" => self.hands.integration.to_string()).set(waiting as f64);
    }
}

impl Hands {
    /// Hands on the legs of a call, as far as they were not handed on `before`.
    async fn hand(self, ended: Box<Ended>, before: Vec<Leg>) -> Result<Done, Refusal> {
        let mut ours = BTreeSet::new();
        for extension in ended.candidates() {
            if self.intake.concerns(ended.dial_plan(), &extension).await? {
                ours.insert(extension);
            }
        }
        let mut legs = ended.legs(|extension| ours.contains(extension));
        for leg in &mut legs {
            // A name is a promise that the audio may come: not where nobody looks for it.
            let can_come = self.spool_dir.is_some() && leg.state == LegState::VoiceMessage;
            leg.recording = leg.recording.take().filter(|name| can_come && name.len() <= RECORDING_CHARS && spool::below(name).is_some());
        }
        legs.retain(|leg| !before.contains(leg));
        if !legs.is_empty() {
            self.intake.take(legs.iter().map(|leg| HeardLeg { leg: leg.clone(), recording: None }).collect()).await?;
        }
        Ok(Done::Taken(legs))
    }

    /// Hands on a leg once more with its audio, if that is there.
    async fn bring(self, leg: Box<Leg>) -> Result<Done, Refusal> {
        let Some(spool_dir) = self.spool_dir.clone() else { return Ok(Done::Never("no spool folder is configured")) };
        let wanted = leg.clone();
        let look = tokio::task::spawn_blocking(move || audio::look(&spool_dir, &wanted)).await;
        match look.unwrap_or(Look::NotYet) {
            Look::Here(recording) => {
                self.intake.take(vec![HeardLeg { leg: (*leg).clone(), recording: Some(recording) }]).await?;
                Ok(Done::Taken(vec![*leg]))
            }
            Look::NotYet => Ok(Done::NotYet),
            Look::Never(why) => Ok(Done::Never(why)),
        }
    }

    /// Says that nothing was heard for a while.
    async fn tell(self, (from, until): (Timestamp, Timestamp)) -> Result<Done, Refusal> {
        self.intake.missed_a_while(&self.integration, from, until).await?;
        Ok(Done::Told)
    }
}
