//! What people do while the engine runs: administrators send, send again, cancel, turn switches, change limits and groups;
//! people leave and come back, register their phones anew, and open their apps. Each errand is taken to one process; who
//! gets no answer asks another one, with the same idempotency key.

use crate::chance::Chance;
use crate::house::House;
use crate::invariant::Invariant;
use crate::planted::Plant;
use crate::process::{Life, Process};
use crate::truth::Request;
use crate::world::World;
use engine::Engine;
use engine::Repeat;
use engine::admin::repeat::Begun;
use engine::notifications::{NotificationDraft, ResendOnly};
use engine::receipts::ReceiptDraft;
use model::roles::{Actor, Grant, Scope};
use model::{EventKey, Locale, ReceiptKind, Refusal};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// How long somebody waits for an answer before they ask again.
const PATIENCE_MS: i64 = 6_000;
/// How often they ask.
const TRIES: u32 = 6;

/// Refusals that an honest engine gives now and then.
const HONEST: [&str; 13] = [
    "over_limit",
    "idempotency_in_progress",
    "already_final",
    "not_repeatable",
    "nobody_left",
    "stale",
    "out_of_scope",
    "text_erased",
    "not_found",
    "invalid",
    "taken",
    "forbidden",
    "store_unavailable",
];

/// A request that is not answered.
struct Open {
    request: usize,
    actor: Actor,
    draft: NotificationDraft,
    tries: u32,
    again_ms: i64,
}

/// What is done, and when the next is.
pub struct Errands {
    chance: Chance,
    house: House,
    every_ms: i64,
    next_ms: i64,
    open: Vec<Open>,
    turn: u64,
}

/// Where an errand is taken.
struct At {
    process: Arc<Process>,
    engine: Engine,
    handle: tokio::runtime::Handle,
}

impl Errands {
    /// For a house.
    pub fn new(mut chance: Chance, house: House) -> Errands {
        let every_ms = *chance.one_of(&[800, 2_500, 2_500, 7_000]);
        Errands { chance, house, every_ms, next_ms: 2_000, open: Vec::new(), turn: 0 }
    }

    /// Does what is due; `more` says whether new errands begin.
    pub fn run(&mut self, world: &Arc<World>, lives: &[&Life], more: bool) {
        let now = world.now_ms();
        self.ask_again(world, lives, now);
        if !more || now < self.next_ms {
            return;
        }
        self.next_ms = now + self.chance.between(self.every_ms / 4, self.every_ms * 2);
        let Some(at) = self.somewhere(lives) else { return };
        match self.chance.below(100) {
            0..=49 => self.send(world, &at, now),
            50..=54 => self.resend(world, &at),
            55..=60 => self.cancel(world, &at),
            61..=70 => self.set(&at),
            71..=82 => self.change_members(&at),
            83..=87 => self.leave_or_return(&at),
            88..=92 => self.register(&at),
            _ => self.open_app(world, &at),
        }
    }

    fn somewhere(&mut self, lives: &[&Life]) -> Option<At> {
        let ready = |life: &&Life| life.process.engine.lock().clone().map(|engine| (life.process.clone(), engine, life.handle()));
        let there: Vec<_> = lives.iter().filter(|life| !life.process.is_dead()).filter_map(ready).collect();
        if there.is_empty() {
            return None;
        }
        let (process, engine, handle) = self.chance.one_of(&there).clone();
        Some(At { process, engine, handle })
    }

    /// Who was not answered asks again, somewhere.
    fn ask_again(&mut self, world: &Arc<World>, lives: &[&Life], now: i64) {
        self.open.retain(|open| {
            let request = &world.state().truth.requests[open.request];
            !request.confirmed && !request.refused && open.tries < TRIES
        });
        for place in 0..self.open.len() {
            if now < self.open[place].again_ms {
                continue;
            }
            let Some(at) = self.somewhere(lives) else { return };
            let open = &mut self.open[place];
            (open.tries, open.again_ms) = (open.tries + 1, now + PATIENCE_MS);
            ask(&at, open.request, open.actor.clone(), open.draft.clone());
        }
    }

    fn send(&mut self, world: &Arc<World>, at: &At, now: i64) {
        let request = world.state().truth.requests.len();
        // The wall clock of the process is read inside it; the world's does for a wish.
        let draft = self.draft(request, world.now());
        let is_local = self.chance.below(5) == 0;
        let (actor, scope) = if is_local {
            let (actor, scope) = self.house.local();
            (actor, Some(scope))
        } else {
            (self.house.owner(), None)
        };
        let actor = match actor {
            Actor::Admin { token, name, person, grants } if world.has(Plant::ScopeNotHeeded) => {
                let grants = grants.into_iter().map(|grant| Grant { scope: Scope::Everything, ..grant }).collect();
                Actor::Admin { token, name, person, grants }
            }
            honest => honest,
        };
        let version = world.state().truth.memberships.keys().last().copied().unwrap_or(0);
        world.state().truth.requests.push(Request { scope, version, ..Request::default() });
        ask(at, request, actor.clone(), draft.clone());
        self.open.push(Open { request, actor, draft, tries: 1, again_ms: now + PATIENCE_MS });
    }

    fn draft(&mut self, request: usize, now: model::Timestamp) -> NotificationDraft {
        let chance = &mut self.chance;
        let mut draft = NotificationDraft { title: format!("request {request}"), body: "Body".into(), ..NotificationDraft::default() };
        if chance.below(2) == 0 {
            draft.groups.push(chance.one_of(&self.house.groups).1.to_string());
        }
        if draft.groups.is_empty() || chance.below(4) == 0 {
            draft.users.extend((0..chance.between(1, 3)).map(|_| chance.one_of(&self.house.people).id.to_string()));
            draft.users.dedup();
        }
        if chance.below(8) == 0 {
            draft.devices.extend(chance.one_of(&self.house.people).devices.first().map(|(_, id, _)| id.to_string()));
        }
        draft.urgency = Some((*chance.one_of(&["low", "normal", "normal", "high"])).into());
        if chance.below(6) == 0 {
            draft.audience = Some("live".into());
        }
        if chance.below(6) == 0 {
            draft.at = Some(now.plus(std::time::Duration::from_secs(chance.below(90) + 1)).to_string());
        }
        draft.expires_in = Some((*chance.one_of(&["1m", "1m", "2m", "2m", "5m", "10m"])).into());
        draft
    }

    fn resend(&mut self, world: &Arc<World>, at: &At) {
        let Some(event) = self.some_event(world) else { return };
        let only = *self.chance.one_of(&[None, Some(ResendOnly::Failed), Some(ResendOnly::Unopened)]);
        let (actor, engine, process) = (self.house.owner(), at.engine.clone(), at.process.clone());
        at.handle.spawn(async move {
            let Some(id) = outside(&engine, event).await else { return };
            heard(&process, "send again", engine.resend(&actor, id, only, None).await);
        });
    }

    fn some_event(&mut self, world: &World) -> Option<EventKey> {
        let state = world.state();
        let recent: Vec<EventKey> = state.truth.events.keys().rev().take(6).copied().collect();
        drop(state);
        (!recent.is_empty()).then(|| *self.chance.one_of(&recent))
    }

    fn cancel(&mut self, world: &Arc<World>, at: &At) {
        let Some(event) = self.some_event(world) else { return };
        let (actor, engine, process) = (self.house.owner(), at.engine.clone(), at.process.clone());
        at.handle.spawn(async move {
            let Some(id) = outside(&engine, event).await else { return };
            if heard(&process, "cancel", engine.cancel(&actor, id).await).is_some() {
                let now = process.tick();
                if let Some(truth) = process.world.state().truth.events.get_mut(&event) {
                    truth.cancel_answered.insert(process.number, now);
                }
            }
        });
    }

    fn set(&mut self, at: &At) {
        let chance = &mut self.chance;
        let (key, value): (&str, Value) = match chance.below(10) {
            0..=2 => ("push.apns.enabled", json!(chance.below(2) == 0)),
            3..=5 => ("push.fcm.enabled", json!(chance.below(2) == 0)),
            6 | 7 => ("limits.group_sends_per_hour", json!(chance.between(2, 40))),
            8 => ("push.frequency_cap.count", json!(chance.one_of(&[0, 0, 5]))),
            _ => ("custom.email", json!(chance.one_of(&["off", "fallback", "always"]))),
        };
        let (actor, engine, process) = (self.house.owner(), at.engine.clone(), at.process.clone());
        at.handle.spawn(async move {
            let channel = model::ChannelKind::PUSH.into_iter().find(|c| key == format!("push.{c}.enabled"));
            let off = value == json!(false);
            let set = engine.set_setting(&actor, key, Some(value), None, Locale::En).await;
            if heard(&process, "set", set).is_none() {
                return;
            }
            if let Some(channel) = channel.filter(|_| off) {
                let now = process.tick();
                process.world.state().truth.off_answered.insert((process.number, channel.number()), now);
            }
        });
    }

    fn change_members(&mut self, at: &At) {
        let chance = &mut self.chance;
        let group = chance.one_of(&self.house.groups).1;
        let who = json!([{"memberType": "user", "id": chance.one_of(&self.house.people).id}]);
        let draft = if chance.below(2) == 0 { json!({"add": who}) } else { json!({"remove": who}) };
        let draft = serde_json::from_value(draft).expect("a draft");
        let (actor, engine, process) = (self.house.owner(), at.engine.clone(), at.process.clone());
        at.handle.spawn(async move {
            heard(&process, "change members", engine.change_members(&actor, group, draft, None).await);
        });
    }

    fn leave_or_return(&mut self, at: &At) {
        let id = self.chance.one_of(&self.house.people).id;
        let draft = serde_json::from_value(json!({"active": self.chance.below(3) > 0})).expect("a draft");
        let (actor, engine, process) = (self.house.owner(), at.engine.clone(), at.process.clone());
        at.handle.spawn(async move {
            heard(&process, "change a person", engine.update_user(&actor, id, draft, None).await);
        });
    }

    fn register(&mut self, at: &At) {
        self.turn += 1;
        let Some((device, _, service)) = self.chance.one_of(&self.house.people).devices.first().copied() else { return };
        let fields = crate::house::registration(service, device, self.turn);
        let (tenant, engine, id) = (self.house.tenant, at.engine.clone(), Uuid::from_u128(0x2000_0000 + u128::from(self.turn)));
        at.handle.spawn(async move {
            // What the app's request does after its checks.
            let _ = engine.store().put_registration(tenant, device, id, fields, None).await;
        });
    }

    /// Somebody's app is open for a while; it confirms what it is shown, or does not.
    fn open_app(&mut self, world: &Arc<World>, at: &At) {
        let person = self.chance.one_of(&self.house.people).clone();
        let Some((device, ..)) = person.devices.first().copied() else { return };
        let (app, engine, process) = (Actor::Device { device, owner: person.key }, at.engine.clone(), at.process.clone());
        let (span, confirms) = (self.chance.between(1, 40), self.chance.below(3) > 0);
        world.note(None, &format!("p{} is the app of u{} for {span} s", at.process.number, person.key));
        at.handle.spawn(async move {
            let Ok(mut stream) = engine.open_stream(&app, None).await else { return };
            let shown = async {
                while let Some(item) = stream.next().await {
                    let engine::inbox::StreamItem::Notification(item) = item else { continue };
                    let receipt = ReceiptDraft { event_id: item.event_id, kind: ReceiptKind::Received };
                    if confirms {
                        heard(&process, "confirm", engine.receive_receipts(&app, vec![receipt]).await);
                    }
                }
            };
            // Its end is the end of the app.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(span.unsigned_abs()), shown).await;
        });
    }
}

async fn outside(engine: &Engine, event: EventKey) -> Option<Uuid> {
    engine.store().event(engine.tenant().key, event).await.ok()?.map(|row| row.id)
}

/// Asks to send.
fn ask(at: &At, request: usize, actor: Actor, draft: NotificationDraft) {
    let (engine, process) = (at.engine.clone(), at.process.clone());
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&(request as u64).to_le_bytes());
    let repeat = Repeat { key: format!("request-{request}"), request: hash, place: "/api/v1/notifications".into() };
    at.handle.spawn(async move {
        let confirmed = match heard(&process, "begin", engine.begin(&actor, &repeat).await) {
            Some(Begun::Fresh(_guard)) => match engine.send(&actor, draft, Some(repeat)).await {
                Ok(_) => true,
                Err(refusal) => {
                    let over = matches!(refusal.code, "over_limit" | "out_of_scope" | "forbidden" | "invalid");
                    heard::<()>(&process, "send", Err(refusal));
                    if over {
                        // A refusal is an answer too; nobody asks again.
                        process.world.state().truth.requests[request].refused = true;
                    }
                    return;
                }
            },
            Some(Begun::Replay(_)) => true,
            None => return,
        };
        if confirmed {
            process.tick();
            process.world.state().truth.requests[request].confirmed = true;
        }
    });
}

/// Takes an answer; a refusal that an honest engine does not give is a breach.
pub fn heard<T>(process: &Process, what: &str, answer: Result<T, Refusal>) -> Option<T> {
    let now = process.tick();
    match answer {
        Ok(answer) => Some(answer),
        Err(refusal) => {
            let state = &mut *process.world.state();
            state.trace.note(now, None, &format!("p{} refuses to {what}: {}", process.number, refusal.code));
            let none = state.faults.are_none();
            if !HONEST.contains(&refusal.code) || refusal.code == "store_unavailable" && none {
                state.breach(now, Invariant::NoFault, None, format!("p{} refuses to {what}: {refusal}", process.number));
            }
            None
        }
    }
}
