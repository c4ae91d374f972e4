//! The other side: providers and a mail relay that take letters, or are slow, busy, silent, out of order or lying. What
//! they took and what they answered is noted; the channels of each process stand here in place of the real ones.

use crate::chance::Chance;
use crate::invariant::Invariant;
use crate::planted::Plant;
use crate::process::Process;
use crate::world::World;
use model::channel::Boxed;
use model::source::Words;
use model::{Address, Cause, Channel, ChannelKind, DeliveryId, Lane, Letter, Outcome, Rendered, Slot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How a provider is minded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// Takes what it gets, soon.
    #[default]
    Sound,
    /// Takes its time.
    Slow,
    /// Says 429 now and then, with and without a time.
    Busy,
    /// Loses requests and answers.
    Lossy,
    /// There is no connection.
    Away,
    /// Calls addresses gone that are not, refuses what is right, or takes what it does not deliver.
    Lying,
    /// Does not take our key.
    Locked,
}

const MOODS: [Mood; 9] =
    [Mood::Sound, Mood::Sound, Mood::Sound, Mood::Slow, Mood::Busy, Mood::Lossy, Mood::Away, Mood::Lying, Mood::Locked];

/// How long a channel waits for an answer before it gives up.
const PATIENCE_MS: i64 = 10_000;

/// Every provider.
#[derive(Default)]
pub struct Providers {
    moods: BTreeMap<u8, Mood>,
    /// Addresses that were called gone.
    pub called_gone: BTreeSet<String>,
    /// Letters that went out.
    pub letters: u64,
}

impl Providers {
    /// A provider's mood changes.
    pub fn turn(&mut self, channel: ChannelKind, chance: &mut Chance) -> Mood {
        let mood = *chance.one_of(&MOODS);
        self.moods.insert(channel.number(), mood);
        mood
    }

    /// All are sound.
    pub fn recover(&mut self) {
        self.moods.clear();
    }

    fn mood(&self, channel: ChannelKind) -> Mood {
        self.moods.get(&channel.number()).copied().unwrap_or_default()
    }
}

/// What becomes of one letter.
struct Fate {
    /// Whether the provider takes it.
    taken: bool,
    outcome: Outcome,
    answer_ms: i64,
}

fn fate(mood: Mood, chance: &mut Chance) -> Fate {
    let soon = chance.between(1, 80);
    let accepted = |answer_ms| Fate { taken: true, outcome: Outcome::Accepted, answer_ms };
    let refused = |outcome| Fate { taken: false, outcome, answer_ms: soon };
    let silent = |taken| Fate { taken, outcome: Outcome::TryLater { after: None, cause: Cause::of("timeout", 0) }, answer_ms: PATIENCE_MS };
    match (mood, chance.below(10)) {
        (Mood::Sound | Mood::Away, _) => accepted(soon),
        (Mood::Slow, _) => accepted(chance.between(200, PATIENCE_MS - 500)),
        (Mood::Busy, 0..=3) => {
            let after = Some(Duration::from_secs(chance.between(1, 40).unsigned_abs()));
            refused(Outcome::TryLater { after, cause: Cause::of("TooManyRequests", 429) })
        }
        (Mood::Busy, 4..=5) => refused(Outcome::TryLater { after: None, cause: Cause::of("busy", 503) }),
        (Mood::Lossy, 0..=2) => silent(true),
        (Mood::Lossy, 3..=4) => silent(false),
        (Mood::Lying, 0..=2) => refused(Outcome::AddressGone(Cause::of("Unregistered", 410))),
        (Mood::Lying, 3) => refused(Outcome::Rejected(Cause::of("PayloadTooLarge", 413))),
        (Mood::Lying, 4..=5) => Fate { taken: false, outcome: Outcome::Accepted, answer_ms: soon },
        (Mood::Locked, 0..=6) => refused(Outcome::OurFault(Cause::of_channel("InvalidProviderToken", 403))),
        (Mood::Busy | Mood::Lossy | Mood::Lying | Mood::Locked, _) => accepted(soon),
    }
}

/// A channel of one process.
pub struct SimulatedChannel {
    /// Whose.
    pub process: Arc<Process>,
    /// Which.
    pub kind: ChannelKind,
}

struct Room {
    process: Arc<Process>,
    kind: ChannelKind,
}

impl Channel for SimulatedChannel {
    fn kind(&self) -> ChannelKind {
        self.kind
    }

    fn render(&self, words: &Words) -> Rendered {
        Rendered { body: words.title.clone().into(), ..Rendered::default() }
    }

    fn recall(&self) {
        self.process.recalls.fetch_add(1, Ordering::SeqCst);
    }

    fn reserve(&self, _: Lane) -> Boxed<'_, Result<Box<dyn Slot>, Outcome>> {
        Box::pin(async move {
            let (away, wait) = {
                let mut state = self.process.world.state();
                let mood = state.providers.mood(self.kind);
                let wait = if state.chance.happens(100_000) { state.chance.between(1, 400) } else { 0 };
                (mood == Mood::Away && !state.faults.calm, wait)
            };
            if wait > 0 {
                tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
            }
            if self.process.is_dead() {
                self.process.rest_in_peace().await;
            }
            if away {
                return Err(Outcome::TryLater { after: None, cause: Cause::of_channel("connection_refused", 0) });
            }
            let room: Box<dyn Slot> = Box::new(Room { process: self.process.clone(), kind: self.kind });
            Ok(room)
        })
    }
}

/// What is kept of a letter that is on its way.
struct OnItsWay {
    id: DeliveryId,
    address: String,
}

impl Slot for Room {
    fn send(self: Box<Self>, letter: &Letter<'_>) -> Boxed<'static, Outcome> {
        let Room { process, kind } = *self;
        process.tick();
        let Some((event, person, seq)) = letter.wire.parts() else {
            process.world.breach(Invariant::NoFault, None, "a letter bears an id that is not ours".into());
            return Box::pin(std::future::ready(Outcome::Accepted));
        };
        let address = match letter.address {
            Address::Registration { token, .. } => token.to_owned(),
            Address::Mailbox { email, .. } => email.to_owned(),
            Address::ChannelUrl { url } => url.to_owned(),
            Address::Subscription { endpoint, .. } => endpoint.to_owned(),
        };
        let letter = OnItsWay { id: DeliveryId { event, person, seq }, address };
        // Google's letters stand in a queue of ours for a moment, from which they can be called back.
        let queued_ms = if kind == ChannelKind::Fcm { process.world.state().chance.between(0, 25) } else { 0 };
        if queued_ms == 0 {
            let answer = go(&process, kind, &letter);
            return Box::pin(answer);
        }
        let recalls = process.recalls.load(Ordering::SeqCst);
        let started = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(queued_ms.unsigned_abs())).await;
            if process.is_dead() {
                process.rest_in_peace().await;
            }
            process.tick();
            if process.recalls.load(Ordering::SeqCst) != recalls {
                return Outcome::TryLater { after: None, cause: Cause::of("recalled", 0) };
            }
            go(&process, kind, &letter).await
        });
        Box::pin(async move { started.await.unwrap_or(Outcome::TryLater { after: None, cause: Cause::of("ended", 0) }) })
    }
}

/// A letter leaves: from here on the other side has it, or has not, whatever becomes of the process.
fn go(process: &Arc<Process>, kind: ChannelKind, letter: &OnItsWay) -> impl Future<Output = Outcome> + Send + use<> {
    let world = process.world.clone();
    let (fate, turn) = leave(&world, process, kind, letter);
    if world.has(Plant::DoubleRetry) {
        leave(&world, process, kind, letter);
    }
    let (process, id) = (process.clone(), letter.id);
    async move {
        tokio::time::sleep(Duration::from_millis(fate.answer_ms.unsigned_abs())).await;
        if process.is_dead() {
            process.rest_in_peace().await;
        }
        let now = process.tick();
        let world = &process.world;
        {
            let state = &mut *world.state();
            state.trace.note(now, Some(id), &format!("p{} hears of {}: {:?}", process.number, spell(id), fate.outcome));
            state.truth.told(id, turn, &fate.outcome);
        }
        match fate.outcome {
            Outcome::TryLater { after: Some(_), cause } if world.has(Plant::RetryAfterIgnored) => Outcome::TryLater { after: None, cause },
            outcome => outcome,
        }
    }
}

fn leave(world: &World, process: &Arc<Process>, kind: ChannelKind, letter: &OnItsWay) -> (Fate, usize) {
    let now = world.now_ms();
    let state = &mut *world.state();
    let mood = if state.faults.calm { Mood::Sound } else { state.providers.mood(kind) };
    let fate = fate(mood, &mut state.chance);
    if matches!(fate.outcome, Outcome::AddressGone(_)) {
        state.providers.called_gone.insert(letter.address.clone());
    }
    state.providers.letters += 1;
    let line = format!("p{} sends {} by {kind} ({})", process.number, spell(letter.id), if fate.taken { "taken" } else { "not taken" });
    state.trace.note(now, Some(letter.id), &line);
    let breach = state.truth.may_leave(now, process, kind, letter.id);
    if let Some((invariant, what)) = breach {
        state.breach(now, invariant, Some(letter.id), what);
    }
    let turn = state.truth.left(now, process, letter.id, fate.taken);
    (fate, turn)
}

/// A delivery, for the trace.
pub fn spell(id: DeliveryId) -> String {
    format!("e{}/u{}/{}", id.event, id.person, id.seq)
}
