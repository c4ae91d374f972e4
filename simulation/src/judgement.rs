//! The judgement at the end, when everything has come to rest: nothing lost, everything ended, every row explained and its
//! decision made again, totals that are right, addresses kept.

use crate::house::House;
use crate::invariant::Invariant;
use crate::process::Life;
use crate::provider::spell;
use crate::truth::CallTruth;
use crate::world::{EPOCH_MS, World};
use engine::Engine;
use model::decision::{Case, Verdict, decide};
use model::directory::RegistrationState;
use model::event::EventState;
use model::policy::{EmailRule, PolicySnapshot, SettingDeclaration};
use model::{ChannelKind, DeliveryId, EventKey, Facts, Locale, PersonKey, Reason, State};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{DeliveryFilter, DeliveryRecord, EventRow, Shared};

/// Rows read at once.
const PAGE: u32 = 500;

/// When the last event that is not final expires, in virtual milliseconds; `None` when every event is final.
pub fn open_events(world: &Arc<World>, store: &Shared) -> Option<i64> {
    let keys: Vec<EventKey> = world.state().truth.events.keys().copied().collect();
    let tenant = model::TenantKey(1);
    let open = keys.iter().filter_map(|key| world.run(store.event(tenant, *key)).ok().flatten());
    open.filter(|event| !has_ended(world, store, event)).map(|event| event.expires_at.0 - EPOCH_MS).max()
}

/// An event has ended when it is done; a cancelled one when none of its rows waits.
fn has_ended(world: &World, store: &Shared, event: &EventRow) -> bool {
    match event.state {
        EventState::Done => true,
        EventState::Cancelled => {
            let counts = world.run(store.counts(event.key)).expect("readable");
            counts.deliveries.iter().all(|count| count.state.is_final() || count.rows == 0)
        }
        EventState::Scheduled | EventState::Accepted | EventState::Sending => false,
    }
}

/// Notes which event did not end.
pub fn not_ended(world: &Arc<World>, store: &Shared) {
    let keys: Vec<EventKey> = world.state().truth.events.keys().copied().collect();
    for key in keys {
        let Ok(Some(event)) = world.run(store.event(model::TenantKey(1), key)) else { continue };
        if has_ended(world, store, &event) {
            continue;
        }
        let waits = rows(world, store, key).into_iter().find(|row| !row.state.is_final());
        let what = format!("e{key} is still {:?} long after its expiry; of its rows waits {waits:?}", event.state);
        return world.breach(Invariant::EverythingEnds, waits.map(|row| row.id), what);
    }
}

fn rows(world: &World, store: &Shared, event: EventKey) -> Vec<DeliveryRecord> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = world.run(store.deliveries(event, DeliveryFilter::default(), after, PAGE)).expect("readable");
        after = page.last().map(|row| row.id);
        let full = page.len() == PAGE as usize;
        all.extend(page);
        if !full {
            return all;
        }
    }
}

/// Judges everything; answers how many rows were judged.
pub fn judge(world: &Arc<World>, store: &Shared, house: &House, engine: Option<(Engine, &mut Life)>) -> u64 {
    if world.state().breach.is_some() {
        return 0;
    }
    let mut policies = Policies { world, store, known: BTreeMap::new() };
    let keys: Vec<EventKey> = world.state().truth.events.keys().copied().collect();
    let mut judged = 0;
    for key in &keys {
        let Some(event) = world.run(store.event(house.tenant, *key)).expect("readable") else {
            world.breach(Invariant::NothingLost, None, format!("e{key} was accepted and is not in the store"));
            continue;
        };
        let rows = rows(world, store, *key);
        judged += rows.len() as u64;
        complete(world, &event, &rows);
        rows.iter().for_each(|row| ended(world, &event, row));
        rows.iter().for_each(|row| replayed(world, &mut policies, &event, row));
        counted(world, store, &event, &rows);
    }
    confirmed(world);
    calls_told(world);
    addresses_kept(world, store, house);
    if let Some((engine, life)) = engine {
        explained(world, house, &keys, &engine, life);
    }
    judged
}

/// Every person of the audience has exactly one row for each address.
fn complete(world: &World, event: &EventRow, rows: &[DeliveryRecord]) {
    let mut of: BTreeMap<PersonKey, Vec<&DeliveryRecord>> = BTreeMap::new();
    rows.iter().for_each(|row| of.entry(row.id.person).or_default().push(row));
    let wrong = {
        let state = world.state();
        let truth = &state.truth.events[&event.key];
        let missing = truth.audience.iter().map(PersonKey).find_map(|person| {
            let (have, right) = (of.get(&person).map_or(0, Vec::len), state.truth.rows_of(truth, person));
            // A cancelled event may not be planned to its end.
            let unplanned = event.state == EventState::Cancelled && have == 0;
            (have != right && !unplanned).then(|| format!("e{}: u{person} has {have} rows and should have {right}", event.key))
        });
        let stray = of.keys().find(|person| !truth.audience.contains(person.0));
        missing.or_else(|| stray.map(|person| format!("e{}: u{person} has rows and is not in the audience", event.key)))
    };
    let doubled = of.iter().find_map(|(person, rows)| {
        let mut addresses: Vec<_> = rows.iter().map(|row| (row.channel.number(), row.device, row.registration)).collect();
        addresses.sort_unstable();
        let twice = addresses.windows(2).any(|two| two[0] == two[1]);
        twice.then(|| format!("e{}: u{person} has two rows for one address", event.key))
    });
    if let Some(what) = wrong.or(doubled) {
        world.breach(Invariant::NothingLost, None, what);
    }
}

fn ended(world: &World, event: &EventRow, row: &DeliveryRecord) {
    if !row.state.is_final() {
        let what = format!("{} is {} after e{} became {:?}", spell(row.id), row.state, event.key, event.state);
        world.breach(Invariant::EverythingEnds, Some(row.id), what);
    }
    let taken = world.state().truth.was_taken(row.id);
    if row.state == State::Accepted && !taken {
        world.breach(Invariant::TrueOutcomes, Some(row.id), format!("{} is accepted and nobody took it", spell(row.id)));
    }
}

/// Policies by version.
struct Policies<'a> {
    world: &'a World,
    store: &'a Shared,
    known: BTreeMap<i64, PolicySnapshot>,
}

impl Policies<'_> {
    fn at(&mut self, version: i64) -> Option<&PolicySnapshot> {
        if !self.known.contains_key(&version) {
            let set = self.world.run(self.store.settings_at(model::TenantKey(1), version)).expect("readable");
            let declared: Vec<SettingDeclaration> =
                model::policy::SETTINGS.iter().chain(sources::all().iter().flat_map(|s| s.declaration().settings)).copied().collect();
            // Before the first change nothing is kept: everything is at its default.
            let set = set.or_else(|| (version <= 1).then(BTreeMap::new))?;
            self.known.insert(version, PolicySnapshot::new(version, &declared, set));
        }
        self.known.get(&version)
    }
}

/// Makes a row's decision again from what it was made of: the event, the policy's version and the facts.
fn replayed(world: &World, policies: &mut Policies<'_>, event: &EventRow, row: &DeliveryRecord) {
    let Some(policy) = policies.at(row.policy_version) else {
        let what = format!("{} was decided by policy {}, which is not kept", spell(row.id), row.policy_version);
        return world.breach(Invariant::Replayed, Some(row.id), what);
    };
    let mail =
        sources::all().iter().find_map(|s| s.declaration().event_types.iter().find(|kind| kind.name == event.kind).map(|kind| kind.email));
    let terms = policy.terms(mail.unwrap_or(EmailRule::Never));
    let case = Case { channel: row.channel, urgency: event.urgency, terms: &terms, facts: row.facts, quiet_until: row.due, now: row.due };
    let again = decide(&case);
    let same = match row.state {
        State::Accepted | State::Rejected | State::Gone => again.verdict == Verdict::Deliver,
        State::Suppressed if ended_otherwise(row.reason) => true,
        // No rule of `decide`, but told by the facts all the same.
        State::Suppressed if row.reason == Reason::LeftAudience => !row.facts.has(Facts::IN_AUDIENCE),
        State::Suppressed => again.verdict == Verdict::Suppress && again.reason == row.reason,
        State::Expired | State::Cancelled | State::Scheduled | State::Held => true,
    };
    if !same {
        let what = format!(
            "{} is {} ({:?}); made again from policy {} and its facts {:?} the decision is {again:?}",
            spell(row.id),
            row.state,
            row.reason,
            row.policy_version,
            row.facts.names()
        );
        world.breach(Invariant::Replayed, Some(row.id), what);
    }
}

/// Reasons that no rule gave: a person left, the thing is gone, the open app has it, the call was not missed.
fn ended_otherwise(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PersonInactive
            | Reason::NoDevice
            | Reason::NoRegistration
            | Reason::ShownInApp
            | Reason::Answered
            | Reason::AnsweredElsewhere
            | Reason::VoiceMessageLeft
    )
}

fn counted(world: &World, store: &Shared, event: &EventRow, rows: &[DeliveryRecord]) {
    let mut right: BTreeMap<(u8, u8, u8), u64> = BTreeMap::new();
    rows.iter().for_each(|row| *right.entry((row.channel.number(), row.state.number(), row.reason.number())).or_default() += 1);
    let counts = world.run(store.counts(event.key)).expect("readable");
    let kept: BTreeMap<_, _> = counts
        .deliveries
        .iter()
        .filter(|count| count.rows > 0)
        .map(|count| ((count.channel.number(), count.state.number(), count.reason.number()), count.rows))
        .collect();
    if kept != right {
        world.breach(Invariant::CountsAreRight, None, format!("e{}: the totals say {kept:?}, counting says {right:?}", event.key));
    }
}

/// Whoever was told that it was accepted finds it.
fn confirmed(world: &World) {
    let lost = {
        let state = world.state();
        state.truth.requests.iter().position(|request| request.confirmed && request.events.is_empty())
    };
    if let Some(request) = lost {
        world.breach(Invariant::NothingLost, None, format!("request {request} was answered as accepted and there is no event of it"));
    }
}

/// Whoever a call was for is told of it, once all that is said of it was taken in.
fn calls_told(world: &World) {
    let lost = {
        let state = world.state();
        let of = |(number, call): (usize, &CallTruth)| {
            let untold = |person: &&u32| !call.told.contains_key(&(**person, sources::telephony::CALL_MISSED.to_owned()));
            call.people
                .iter()
                .filter(|_| call.confirmed)
                .find(untold)
                .map(|person| format!("call {number} was taken in and u{person} is not told"))
        };
        state.truth.calls.iter().enumerate().find_map(of)
    };
    if let Some(what) = lost {
        world.breach(Invariant::NothingLost, None, what);
    }
}

fn addresses_kept(world: &World, store: &Shared, house: &House) {
    for (device, ..) in house.people.iter().flat_map(|person| &person.devices) {
        for registration in world.run(store.registrations(house.tenant, *device)).expect("readable") {
            let by_provider = registration.retired_code.as_deref() == Some("Unregistered");
            let retired = registration.state == RegistrationState::Retired;
            let said = world.state().providers.called_gone.contains(&registration.fields.token);
            if retired && by_provider && !said {
                let what = format!("the registration of device {device} was retired, and nobody said that it is gone");
                world.breach(Invariant::AddressesKept, None, what);
            }
        }
    }
}

/// The engine's own explanation of some rows: the same states and reasons, in words.
fn explained(world: &World, house: &House, keys: &[EventKey], engine: &Engine, life: &mut Life) {
    let owner = house.owner();
    for key in keys.iter().rev().take(12) {
        let person = {
            let state = world.state();
            let audience = &state.truth.events[key].audience;
            let first = audience.min().and_then(|first| house.people.iter().find(|p| p.key.0 == first));
            first.map(|p| (p.key, p.id))
        };
        let Some((person, id)) = person else { continue };
        let why = life.inside(async {
            let event = engine.store().event(house.tenant, *key).await.ok()??;
            Some(engine.why(&owner, event.id, &id.to_string(), Locale::En).await)
        });
        let wrong = match why {
            Some(Ok(why)) => {
                let silent = why.decisions.iter().find(|d| d.reason.is_empty() && d.reason_code.is_some());
                let none = why.decisions.iter().all(|d| d.channel == Some(ChannelKind::Inbox));
                silent.map(|d| format!("{:?} is not put in words", d.reason_code)).or(none.then(|| "no row is explained".to_owned()))
            }
            Some(Err(refusal)) => Some(format!("it is not explained: {refusal}")),
            None => Some("it cannot be read".to_owned()),
        };
        if let Some(what) = wrong {
            let id = DeliveryId { event: *key, person, seq: 0 };
            world.breach(Invariant::Replayed, Some(id), format!("e{key}, u{person}: {what}"));
        }
    }
}
