//! Telephone calls while the engine runs: legs of calls to people with mailboxes, in any order and doubled, brought to one
//! process; who gets no answer brings them to another one. Each called extension has to be told of once, whatever crashes
//! between the legs and the word.

use crate::chance::Chance;
use crate::house::{House, PLAN};
use crate::process::Life;
use crate::truth::CallTruth;
use crate::world::World;
use engine::hearing::Piece;
use model::calls::{LEG_TYPE, LegState};
use serde_json::json;
use std::sync::Arc;

/// How long a telephone system waits before it says it again.
const PATIENCE_MS: i64 = 4_000;
/// How often it says it.
const TRIES: u32 = 8;
/// How the legs of a call end.
const ENDS: [LegState; 5] = [LegState::NoAnswer, LegState::Busy, LegState::Cancelled, LegState::Unreachable, LegState::Answered];

/// A call that was not taken in yet.
struct Open {
    call: usize,
    pieces: Vec<Piece>,
    tries: u32,
    again_ms: i64,
}

/// The telephone system.
pub struct Calls {
    chance: Chance,
    house: House,
    every_ms: i64,
    next_ms: i64,
    open: Vec<Open>,
}

impl Calls {
    /// For a house; half of them have no telephones.
    pub fn new(mut chance: Chance, house: House) -> Calls {
        let every_ms = *chance.one_of(&[0, 0, 1_500, 5_000]);
        Calls { chance, house, every_ms, next_ms: 4_000, open: Vec::new() }
    }

    /// Does what is due; `more` says whether new calls come.
    pub fn run(&mut self, world: &Arc<World>, lives: &[&Life], more: bool) {
        let now = world.now_ms();
        if more && self.every_ms > 0 && now >= self.next_ms && !self.house.extensions.is_empty() {
            self.next_ms = now + self.chance.between(self.every_ms / 4, self.every_ms * 2);
            self.ring(world, now);
        }
        self.open.retain(|open| !world.state().truth.calls[open.call].confirmed && open.tries < TRIES);
        for place in 0..self.open.len() {
            if now >= self.open[place].again_ms {
                self.bring(lives, place, now);
            }
        }
    }

    fn ring(&mut self, world: &World, now: i64) {
        let chance = &mut self.chance;
        let call = world.state().truth.calls.len();
        let mut called: Vec<(String, u32)> = Vec::new();
        for _ in 0..chance.between(1, 3) {
            let one = chance.one_of(&self.house.extensions).clone();
            if !called.contains(&one) {
                called.push(one);
            }
        }
        let at = world.now().plus(std::time::Duration::from_millis(chance.below(2_000)));
        let mut pieces = Vec::new();
        for (extension, _) in &called {
            let leg = |leg: &str, state: LegState| Piece {
                kind: LEG_TYPE.into(),
                data: json!({
                    "callId": format!("call-{call}"), "legId": format!("{extension}:{leg}"), "dialPlan": PLAN, "calledExtension": extension,
                    "caller": {"number": "+33472100101"}, "state": state, "at": at,
                }),
                file: None,
            };
            for telephone in 0..chance.between(1, 2) {
                let name = telephone.to_string();
                pieces.push(leg(&name, *chance.one_of(&ENDS)));
                if chance.below(2) == 0 {
                    pieces.push(leg(&name, LegState::Ringing));
                }
            }
            if chance.below(4) == 0 {
                pieces.push(leg("voice", LegState::VoiceMessage));
            }
        }
        if chance.below(3) == 0 {
            pieces.push(chance.one_of(&pieces).clone());
        }
        for place in (1..pieces.len()).rev() {
            pieces.swap(place, chance.below(place as u64 + 1) as usize);
        }
        let people = called.into_iter().map(|(_, person)| person).collect();
        world.state().truth.calls.push(CallTruth { people, ..CallTruth::default() });
        self.open.push(Open { call, pieces, tries: 0, again_ms: now });
    }

    fn bring(&mut self, lives: &[&Life], place: usize, now: i64) {
        let ready = |life: &&Life| life.process.engine.lock().clone().map(|engine| (life.process.clone(), engine, life.handle()));
        let there: Vec<_> = lives.iter().filter(|life| !life.process.is_dead()).filter_map(ready).collect();
        if there.is_empty() {
            return;
        }
        let (process, engine, handle) = self.chance.one_of(&there).clone();
        let open = &mut self.open[place];
        (open.tries, open.again_ms) = (open.tries + 1, now + PATIENCE_MS);
        let (call, pieces) = (open.call, open.pieces.clone());
        handle.spawn(async move {
            let taken = engine.hear("telephones", pieces).await;
            if crate::errands::heard(&process, "hear a call", taken).is_some() {
                process.world.state().truth.calls[call].confirmed = true;
            }
        });
    }
}
