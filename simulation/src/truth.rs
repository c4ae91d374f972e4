//! What is true, noted as it happens, and what must hold of it at once: at each letter that leaves, at each outcome that
//! is written, at each acceptance. What can be judged only at the end stands in `judgement`.

use crate::invariant::Invariant;
use crate::process::Process;
use crate::world::EPOCH_MS;
use model::directory::{Member, MemberKind};
use model::{ChannelKind, DeliveryId, DeviceKey, EventKey, GroupKey, Outcome, PersonKey, Reason, State, Timestamp};
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use store::{Accepted, NewEvent, Settlement};

/// How late other processes may still send after a switch or a cancellation (DESIGN §2: 250 ms, and 750 ms blind), and the
/// width of a slice in which only one process lives.
const OTHERS_MS: i64 = 1_000 + 150;
/// A letter may stand so long in a channel's queue, from which a switch calls it back and expiry does not.
const QUEUE_MS: i64 = 30;
/// Jitter, whole seconds and the way to the store.
const RETRY_SLACK_MS: i64 = 2_500;

/// One request to send, as the administrator knows it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The scope of its author; `None`: everything.
    pub scope: Option<Vec<GroupKey>>,
    /// The version of the memberships when it was made.
    pub version: i64,
    /// What was accepted for it.
    pub events: Vec<EventKey>,
    /// It was answered that it cannot be.
    pub refused: bool,
    /// Whether it was answered that it was accepted.
    pub confirmed: bool,
}

/// One telephone call.
#[derive(Clone, Debug, Default)]
pub struct CallTruth {
    /// Whom it was for.
    pub people: Vec<u32>,
    /// All that is said of it was taken in.
    pub confirmed: bool,
    /// What was told of it to whom.
    pub told: BTreeMap<(u32, String), Vec<EventKey>>,
}

/// An accepted event.
pub struct EventTruth {
    /// How many rows it was accepted with, where all of them were planned with it.
    pub planned: Option<usize>,
    /// Everybody it reaches.
    pub audience: RoaringBitmap,
    /// Those who are in it only because of a device.
    pub by_device_only: RoaringBitmap,
    /// Addressed devices.
    pub devices: Vec<DeviceKey>,
    /// Not worth telling after.
    pub expires_at: Timestamp,
    /// When it was cancelled in the store.
    pub cancelled_ms: Option<i64>,
    /// Which processes answered that it was, and when.
    pub cancel_answered: BTreeMap<usize, i64>,
}

/// One letter that left.
struct LetterTruth {
    process: Arc<Process>,
    at_ms: i64,
    taken: bool,
    told: Option<&'static str>,
}

/// One person's devices, by the service that reaches them.
#[derive(Clone, Debug, Default)]
pub struct PersonTruth {
    /// With Apple.
    pub apple: BTreeSet<DeviceKey>,
    /// With Google.
    pub google: BTreeSet<DeviceKey>,
}

/// Everything that is true.
#[derive(Default)]
pub struct Truth {
    /// Requests by number.
    pub requests: Vec<Request>,
    /// Accepted events.
    pub events: BTreeMap<EventKey, EventTruth>,
    /// Calls by number.
    pub calls: Vec<CallTruth>,
    /// Memberships by version.
    pub memberships: BTreeMap<i64, Arc<Vec<(GroupKey, Member)>>>,
    /// People.
    pub people: BTreeMap<u32, PersonTruth>,
    /// Whether each switched channel was on, from when.
    pub switches: BTreeMap<u8, Vec<(i64, bool)>>,
    /// Which process answered that a channel is off, and when.
    pub off_answered: BTreeMap<(usize, u8), i64>,
    /// The limit of sends to groups, from when.
    pub group_limit: Vec<(i64, u32)>,
    /// When requests to groups were accepted.
    pub group_sends: Vec<i64>,
    /// No clock is further off.
    pub skew_ms: i64,
    letters: BTreeMap<DeliveryId, Vec<LetterTruth>>,
    not_before: BTreeMap<DeliveryId, i64>,
    /// What a provider said last about when to come again, and about which attempt, once that is known.
    after: BTreeMap<DeliveryId, (Option<u16>, i64)>,
    /// Letters that a provider took more than once.
    pub repeats: u64,
}

type Wrong = Option<(Invariant, String)>;

impl Truth {
    /// Whether a letter may leave now.
    pub fn may_leave(&self, now: i64, process: &Process, kind: ChannelKind, id: DeliveryId) -> Wrong {
        let Some(event) = self.events.get(&id.event) else {
            return Some((Invariant::NothingLost, "a letter leaves of an event that was not accepted".into()));
        };
        self.in_time(now, process, event)
            .or_else(|| self.switched_on(now, process, kind))
            .or_else(|| not_cancelled(now, process, event))
            .or_else(|| self.not_too_early(now, id))
            .or_else(|| self.not_twice(now, process, id))
            .or_else(|| self.to_the_right_one(event, id))
    }

    fn in_time(&self, now: i64, process: &Process, event: &EventTruth) -> Wrong {
        let local = EPOCH_MS + now + process.offset_ms.load(Ordering::SeqCst);
        let late = local - event.expires_at.0;
        (late > QUEUE_MS).then(|| (Invariant::NothingAfterExpiry, format!("a letter leaves {late} ms after its expiry")))
    }

    fn switched_on(&self, now: i64, process: &Process, kind: ChannelKind) -> Wrong {
        let history = self.switches.get(&kind.number())?;
        let on_since = |ms: i64| {
            let before = history.iter().rev().find(|(at, _)| *at <= ms).is_none_or(|(_, on)| *on);
            before || history.iter().any(|(at, on)| *at > ms && *at <= now && *on)
        };
        if let Some(at) = self.off_answered.get(&(process.number, kind.number()))
            && !on_since(*at)
            && now > *at
        {
            return Some((
                Invariant::OffMeansNow,
                format!("{kind} leaves p{} {} ms after it answered that it is off", process.number, now - at),
            ));
        }
        let what = || format!("{kind} leaves although it has been off for more than {OTHERS_MS} ms");
        (!on_since(now - OTHERS_MS)).then(|| (Invariant::OffMeansNow, what()))
    }

    fn not_too_early(&self, now: i64, id: DeliveryId) -> Wrong {
        let due = self.not_before.get(&id)? - EPOCH_MS;
        let early = due - now - self.skew_ms;
        (early > 50).then(|| (Invariant::RetriedInTime, format!("a retry leaves {early} ms before its time")))
    }

    fn not_twice(&self, now: i64, process: &Process, id: DeliveryId) -> Wrong {
        // Who was cut off or stood still may have lost its claim to others.
        if process.was_in_trouble_since(now) {
            return None;
        }
        let before = self.letters.get(&id)?;
        let taken = before.iter().find(|l| l.taken && !matches!(l.told, Some("try_later")) && !l.process.was_in_trouble_since(l.at_ms))?;
        let what = format!(
            "a letter that p{} sent at {:.3} s, and that was taken, leaves again",
            taken.process.number,
            taken.at_ms as f64 / 1000.0
        );
        Some((Invariant::NotTwice, what))
    }

    fn to_the_right_one(&self, event: &EventTruth, id: DeliveryId) -> Wrong {
        if !event.audience.contains(id.person.0) {
            return Some((Invariant::AudienceIsRight, "a letter leaves to a person who is not in the audience".into()));
        }
        None
    }

    /// A letter left; answers which of the delivery's it is.
    pub fn left(&mut self, now: i64, process: &Arc<Process>, id: DeliveryId, taken: bool) -> usize {
        let letters = self.letters.entry(id).or_default();
        self.repeats += u64::from(taken && letters.iter().any(|l| l.taken));
        letters.push(LetterTruth { process: process.clone(), at_ms: now, taken, told: None });
        letters.len() - 1
    }

    /// The answer to a letter reached its process.
    pub fn told(&mut self, id: DeliveryId, turn: usize, outcome: &Outcome) {
        if let Some(letter) = self.letters.get_mut(&id).and_then(|letters| letters.get_mut(turn)) {
            letter.told = Some(outcome.word());
        }
        match outcome {
            Outcome::TryLater { after: Some(after), .. } => {
                self.after.insert(id, (None, i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
            }
            _ => self.after.remove(&id),
        };
    }

    /// An outcome was written.
    pub fn settled(&mut self, row: &Settlement) -> Wrong {
        let Some(attempt) = &row.attempt else { return None };
        let told = self.letters.get(&row.id).into_iter().flatten().filter_map(|l| l.told);
        let said: Option<&str> = match row.now.0 {
            State::Accepted => Some("accepted"),
            State::Rejected => Some("rejected"),
            State::Gone => Some("address_gone"),
            State::Held | State::Expired | State::Scheduled | State::Suppressed | State::Cancelled => None,
        };
        if let Some(said) = said
            && !told.clone().any(|told| told == said)
        {
            return Some((Invariant::TrueOutcomes, format!("a row becomes {} although no provider said {said}", row.now.0)));
        }
        if row.now != (State::Held, Reason::ProviderUnavailable) {
            self.not_before.remove(&row.id);
            return None;
        }
        self.not_before.insert(row.id, row.due.0);
        // It is about this attempt and no later one; an outcome may be written again when its answer was lost.
        let after = self.after.get_mut(&row.id).map_or(0, |(about, after)| {
            let this = *about.get_or_insert(attempt.number) == attempt.number;
            if this { *after } else { 0 }
        });
        let wait = row.due.0 - attempt.at.0;
        if wait < after {
            return Some((Invariant::RetriedInTime, format!("a retry is due {wait} ms after its attempt; the provider said {after} ms")));
        }
        let step = [1, 2, 4, 8, 16, 30, 60, 300, 900][usize::from(attempt.number.clamp(1, 9)) - 1] * 1_000;
        let most = (step + step / 4).max(after) + RETRY_SLACK_MS;
        let what = || format!("retry {} is due {wait} ms after its attempt; at most {most} ms are allowed", attempt.number);
        (wait > most).then(|| (Invariant::RetriedInTime, what()))
    }

    /// An event was accepted; `planned` rows came with it, where it was planned whole.
    pub fn accepted(&mut self, now: i64, request: Option<usize>, event: &NewEvent, planned: Option<usize>, accepted: &Accepted) -> Wrong {
        let truth = EventTruth {
            planned,
            audience: event.audience.clone(),
            by_device_only: event.by_device_only.clone(),
            devices: event.addressed.devices.clone(),
            expires_at: event.expires_at,
            cancelled_ms: None,
            cancel_answered: BTreeMap::new(),
        };
        self.events.insert(accepted.key, truth);
        let to_groups = !event.addressed.groups.is_empty();
        let over = to_groups.then(|| self.over_limit(now, accepted.at)).flatten();
        if to_groups {
            self.group_sends.push(accepted.at.0);
        }
        over.or_else(|| self.accepted_once(request?, accepted.key)).or_else(|| self.audience_is_right(request, event))
    }

    /// An event came of a call.
    pub fn told_of_call(&mut self, event: &NewEvent, key: EventKey) -> Wrong {
        let number = event.data.get("callId")?.as_str()?.strip_prefix("call-")?.parse::<usize>().ok()?;
        let person = event.audience.min()?;
        let call = &mut self.calls[number];
        let told = call.told.entry((person, event.kind.clone())).or_default();
        told.push(key);
        (told.len() > 1).then(|| (Invariant::ToldOnce, format!("of call {number} u{person} is told twice: {} {told:?}", event.kind)))
    }

    fn over_limit(&self, now: i64, at: Timestamp) -> Wrong {
        let used = self.group_sends_before(at.0);
        // A process may know the limit that stood a second ago.
        let known = self.group_limit.iter().rposition(|(since, _)| *since <= now - OTHERS_MS).unwrap_or(0);
        let allowed = self.group_limit[known..].iter().map(|(_, limit)| *limit).max()?;
        let what = || format!("{} requests to groups were accepted within an hour; the limit is {allowed}", used + 1);
        (used + 1 > allowed as usize).then(|| (Invariant::LimitsHold, what()))
    }

    fn group_sends_before(&self, at: i64) -> usize {
        self.group_sends.iter().filter(|sent| **sent > at - 3_600_000).count()
    }

    /// A request was refused because of the limit.
    pub fn refused(&self, now: i64) -> Wrong {
        let used = self.group_sends_before(EPOCH_MS + now);
        let known = self.group_limit.iter().rposition(|(since, _)| *since <= now - OTHERS_MS).unwrap_or(0);
        let allowed = self.group_limit[known..].iter().map(|(_, limit)| *limit).min()?;
        let what = || format!("a request to a group is refused although {used} of {allowed} are used");
        (used < allowed as usize).then(|| (Invariant::LimitsHold, what()))
    }

    fn accepted_once(&mut self, request: usize, key: EventKey) -> Wrong {
        let request = &mut self.requests[request];
        request.events.push(key);
        (request.events.len() > 1).then(|| (Invariant::AcceptedOnce, format!("one request became the events {:?}", request.events)))
    }

    fn audience_is_right(&self, request: Option<usize>, event: &NewEvent) -> Wrong {
        let request = request.map(|number| &self.requests[number])?;
        let Some(members) = self.memberships.get(&event.directory_version) else {
            let what = format!("version {} of the memberships was never seen", event.directory_version);
            return Some((Invariant::AudienceIsRight, what));
        };
        if !event.addressed.groups.is_empty() && event.directory_version < request.version {
            let what = format!("it was made of version {}; {} stood before the request", event.directory_version, request.version);
            return Some((Invariant::AudienceIsRight, what));
        }
        let mut right = people_of(members, &event.addressed.groups);
        right.extend(event.addressed.users.iter().map(|p| p.0));
        let by_name = event.audience.clone() - &event.by_device_only;
        if right != by_name {
            let what = format!("it holds {by_name:?}; the memberships of version {} say {right:?}", event.directory_version);
            return Some((Invariant::AudienceIsRight, what));
        }
        let scope = people_of(members, request.scope.as_ref()?);
        let outside = &event.audience - scope;
        (!outside.is_empty()).then(|| (Invariant::InsideTheScope, format!("it reaches {outside:?} outside the scope of its author")))
    }

    /// A setting was changed.
    pub fn policy(&mut self, now: i64, key: &str, value: Option<&serde_json::Value>) {
        let channel = ChannelKind::PUSH.into_iter().find(|c| key == format!("push.{c}.enabled"));
        if let Some(channel) = channel {
            let on = value.and_then(serde_json::Value::as_bool).unwrap_or(true);
            self.switches.entry(channel.number()).or_default().push((now, on));
        }
        if key == "limits.group_sends_per_hour" {
            let limit = value.and_then(serde_json::Value::as_u64).unwrap_or(25);
            self.group_limit.push((now, u32::try_from(limit).unwrap_or(u32::MAX)));
        }
    }

    /// Rows that a plan has to have made for a person.
    pub fn rows_of(&self, event: &EventTruth, person: PersonKey) -> usize {
        if let Some(planned) = event.planned {
            return planned;
        }
        let Some(known) = self.people.get(&person.0) else { return 0 };
        let by_device = event.by_device_only.contains(person.0);
        let of = |devices: &BTreeSet<DeviceKey>| devices.iter().filter(|d| !by_device || event.devices.contains(d)).count().max(1);
        of(&known.apple) + of(&known.google) + 1
    }

    /// Whether a provider ever took a letter of this delivery, or said that it did.
    pub fn was_taken(&self, id: DeliveryId) -> bool {
        self.letters.get(&id).into_iter().flatten().any(|l| l.told == Some("accepted"))
    }
}

fn not_cancelled(now: i64, process: &Process, event: &EventTruth) -> Wrong {
    if let Some(at) = event.cancel_answered.get(&process.number)
        && now > *at
    {
        return Some((
            Invariant::CancelledMeansNow,
            format!("a letter leaves {} ms after this process answered that it is cancelled", now - at),
        ));
    }
    let since = now - event.cancelled_ms?;
    (since > OTHERS_MS).then(|| (Invariant::CancelledMeansNow, format!("a letter leaves {since} ms after its event was cancelled")))
}

/// Everybody in these groups, nested ones included.
pub fn people_of(members: &[(GroupKey, Member)], groups: &[GroupKey]) -> RoaringBitmap {
    let (mut people, mut seen, mut open) = (RoaringBitmap::new(), BTreeSet::new(), groups.to_vec());
    while let Some(group) = open.pop() {
        if !seen.insert(group) {
            continue;
        }
        for (_, member) in members.iter().filter(|(of, _)| *of == group) {
            match member.kind {
                MemberKind::User => {
                    people.insert(member.key);
                }
                MemberKind::Group => open.push(GroupKey(member.key)),
                MemberKind::Device => {}
            }
        }
    }
    people
}
