//! Plans accepted events: walks the frozen audience in pages, loads facts, asks `decide` for each person and address, and
//! commits rows in segments. The first segment is on the wire while the last is not yet planned. A crash repeats at most
//! the page that was not committed.

use crate::candidates::{Setting, subjects};
use crate::deliver::{self, Hand};
use crate::inbox::Reached;
use crate::{Engine, neighbours};
use model::policy::PolicySnapshot;
use model::source::EventTypeDeclaration;
use model::{ChannelKind, DeviceKey, EventKey, Lane, PersonKey, Timestamp, Urgency};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use store::{Addresses, EventRow, FactsDepth, FactsPage, Lease, PagePlan, PlannedRow};
use tokio::sync::Semaphore;

/// People of one page: their rows make one segment a channel, and one short transaction.
const PAGE_PEOPLE: u32 = 1_000;
/// The same on a store of several processes, where each page is a few rounds to another program: pages are committed one after
/// the other, and with smaller ones a campaign waits for those rounds.
const PAGE_PEOPLE_SHARED: u32 = 2_000;
/// Events planned side by side; the urgent ones begin first.
const AT_ONCE: usize = 4;
/// Events looked at in one round.
const ROUND: u32 = 64;
/// A bell may be lost in a crash; this bounds the lateness.
const POLL: Duration = Duration::from_secs(1);
/// Wait before a plan that failed is taken up again.
const AGAIN: Duration = Duration::from_secs(1);
/// An event to at most this many people takes the urgent lane.
pub(crate) const SMALL: u64 = 100;

/// The loop.
pub(crate) async fn run(engine: Engine) {
    let inner = &engine.inner;
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let running: Arc<Mutex<HashSet<EventKey>>> = Arc::default();
    let mut bell = inner.accepted.bell();
    loop {
        bell.hear();
        let (events, next) = inner.store.unplanned(ROUND).await.unwrap_or_else(|error| {
            tracing::error!(%error, "accepted events cannot be read");
            (Vec::new(), None)
        });
        for event in events {
            if !running.lock().insert(event.key) {
                continue;
            }
            let permit = tokio::select! {
                biased;
                () = inner.stop.cancelled() => return,
                permit = room.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
            };
            let (engine, running) = (engine.clone(), running.clone());
            inner.tasks.spawn(async move {
                let key = event.key;
                let role = format!("plan/{key}");
                if engine.holds_role(&role).await {
                    if let Err(refusal) = plan_event(&engine, event, &role).await {
                        tracing::error!(event = %key, %refusal, "an event cannot be planned now");
                        tokio::time::sleep(AGAIN).await;
                    }
                    engine.drop_role(&role).await;
                } else {
                    // Another process plans it; should that one end, this one goes on.
                    tokio::time::sleep(POLL).await;
                }
                running.lock().remove(&key);
                drop(permit);
                engine.inner.accepted.heard();
            });
        }
        let nap = next.map_or(POLL, |at| at.since(engine.now()).min(POLL)).max(Duration::from_millis(1));
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            () = bell.changed() => {}
            () = tokio::time::sleep(nap) => {}
        }
    }
}

async fn plan_event(engine: &Engine, event: EventRow, role: &str) -> crate::Result<()> {
    let inner = &engine.inner;
    // The card may be older than the plan's progress.
    let cursor = event.cursor;
    let card = engine.keep_card(event);
    let event = &card.event;
    let lane = if event.recipients <= SMALL { Lane::Urgent } else { Lane::Bulk };
    let spec = Spec {
        kind: card.kind,
        data: &event.data,
        urgency: event.urgency,
        expires_at: event.expires_at,
        devices: &event.addressed.devices,
    };
    if cursor == PersonKey(0) {
        if inner.store.is_shared() {
            inner.published.notify_one();
        } else {
            show(engine, event).await?;
        }
    }
    let mut page = prepare(engine, &spec, event.key, cursor).await?;
    let mut held = engine.now();
    loop {
        if inner.stop.is_cancelled() || inner.cancelled.read().contains(&event.key) {
            return Ok(());
        }
        if engine.now().since(held) > neighbours::ALIVE / 4 {
            held = engine.now();
            if !engine.holds_role(role).await {
                return Ok(());
            }
        }
        let Prepared { planned, upto, last } = page;
        let planning = commit(engine, event.key, lane, planned, (upto, last));
        let following = async { if last { Ok(None) } else { prepare(engine, &spec, event.key, upto).await.map(Some) } };
        let (committed, following) = tokio::join!(planning, following);
        committed?;
        match following? {
            Some(next) => page = next,
            None => return Ok(()),
        }
    }
}

/// A page that is decided and not committed.
struct Prepared {
    planned: Planned,
    /// The last person of the page.
    upto: PersonKey,
    /// Whether it is the event's last.
    last: bool,
}

/// Reads and decides the page that follows a person.
async fn prepare(engine: &Engine, spec: &Spec<'_>, event: EventKey, after: PersonKey) -> crate::Result<Prepared> {
    let page = next_page(engine, event, after).await?;
    let last = page.people.len() < page_people(engine) as usize;
    let upto = page.people.last().copied().unwrap_or(after);
    let reading = if deliver::room(engine).await { Reading::PushAddresses } else { Reading::Facts };
    Ok(Prepared { planned: rows(engine, spec, page, reading).await?, upto, last })
}

/// Commits a page, and has carried at once what there is room for.
async fn commit(engine: &Engine, event: EventKey, lane: Lane, planned: Planned, (cursor, last): (PersonKey, bool)) -> crate::Result<()> {
    let inner = &engine.inner;
    let places = deliver::places(engine, planned.read.as_ref().map_or(&[], |_| &planned.rows));
    let claim = (!places.is_empty()).then(|| {
        let lease = Lease { node: inner.node, until: engine.now().plus(engine.lease()) };
        (lease, places.iter().map(|place| place.channel).collect())
    });
    let hand = Hand::of(&planned, engine.now());
    let segments = segments(&planned.rows);
    crate::watch::planned(&planned.rows);
    let plan = PagePlan { event, rows: planned.rows, policy_version: planned.policy_version, lane, cursor, last, claim };
    let claims = inner.store.plan(plan).await.map_err(|e| crate::refusal("event", e))?;
    if claims.len() < segments {
        inner.planned.notify_one();
    }
    deliver::carry_placed(engine, claims, places, hand);
    Ok(())
}

/// How many segments a page makes: one for each channel with a row that is not final.
fn segments(rows: &[PlannedRow]) -> usize {
    let waits = |channel: &&ChannelKind| rows.iter().any(|row| row.channel == **channel && !row.state.is_final());
    ChannelKind::ALL.iter().filter(waits).count()
}

/// Shows the event in the open apps of its audience; read at once, so that apps have it before pushes go.
pub(crate) async fn show(engine: &Engine, event: &EventRow) -> crate::Result<()> {
    if engine.inner.streams.count() == 0 {
        return Ok(());
    }
    let (mut audience, mut by_device_only, mut after) = (RoaringBitmap::new(), RoaringBitmap::new(), None);
    loop {
        let most = 100_000;
        let (people, by_device) = engine.inner.store.audience_page(event.key, after, most).await.map_err(|e| crate::refusal("event", e))?;
        audience.extend(people.iter().map(|p| p.0));
        by_device_only.extend(by_device.iter().map(|p| p.0));
        after = people.last().copied();
        if people.len() < most as usize {
            break;
        }
    }
    engine.publish(event, &Reached { audience: &audience, by_device_only: &by_device_only });
    Ok(())
}

/// A page of people to be planned, with those of them who were addressed through devices only.
#[derive(Default)]
pub(crate) struct People {
    pub people: Arc<[PersonKey]>,
    pub by_device: HashSet<PersonKey>,
}

fn page_people(engine: &Engine) -> u32 {
    if engine.inner.store.is_shared() { PAGE_PEOPLE_SHARED } else { PAGE_PEOPLE }
}

async fn next_page(engine: &Engine, event: EventKey, after: PersonKey) -> crate::Result<People> {
    let after = (after != PersonKey(0)).then_some(after);
    let (people, by_device) =
        engine.inner.store.audience_page(event, after, page_people(engine)).await.map_err(|e| crate::refusal("event", e))?;
    Ok(People { people: people.into(), by_device: by_device.into_iter().collect() })
}

/// What planning needs of an event.
pub(crate) struct Spec<'a> {
    pub kind: &'static EventTypeDeclaration,
    /// What the event says beside its text.
    pub data: &'a serde_json::Value,
    pub urgency: Urgency,
    pub expires_at: Timestamp,
    pub devices: &'a [DeviceKey],
}

/// What the facts of a page are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// To decide, and no more.
    Facts,
    /// To decide, and to push from what was read.
    PushAddresses,
    /// To decide, and to send everything from what was read.
    Everything,
}

/// A planned page.
pub(crate) struct Planned {
    /// The rows.
    pub rows: Vec<PlannedRow>,
    /// The version of the policy that decided them.
    pub policy_version: i64,
    /// What they were decided from, where it may be sent from too.
    pub read: Option<Read>,
}

/// Facts as they were read, and the number that tells whether they still stand.
#[derive(Clone)]
pub(crate) struct Read {
    /// The facts.
    pub facts: Arc<FactsPage>,
    /// The store's number when they were read.
    pub version: u64,
}

/// Plans the rows of a page of people.
pub(crate) async fn rows(engine: &Engine, spec: &Spec<'_>, page: People, reading: Reading) -> crate::Result<Planned> {
    let inner = &engine.inner;
    let policy = inner.standing.policy();
    if page.people.is_empty() {
        return Ok(Planned { rows: Vec::new(), policy_version: policy.version, read: None });
    }
    // Read before the facts: a change in between makes them look old, never new.
    let version = (reading != Reading::Facts).then(|| inner.store.facts_version());
    let depth = FactsDepth {
        timezones: policy.quiet_hours().is_some(),
        mailboxes: version.is_some() && reading == Reading::Everything,
        addresses: if version.is_some() { Addresses::All } else { Addresses::None },
    };
    let facts = inner.store.facts(inner.tenant_key(), page.people.clone(), depth).await.map_err(|e| crate::refusal("person", e))?;
    let capped = capped(engine, &policy, &page.people).await?;
    let terms = inner.terms(&policy, spec.kind, spec.data);
    let setting = Setting {
        terms: &terms,
        urgency: spec.urgency,
        push: spec.kind.push,
        configured: &inner.configured,
        quiet: policy.quiet_hours(),
        capped: &capped,
        mail_to: crate::happenings::mail_to(spec.data).is_some(),
        now: engine.now(),
        expires_at: spec.expires_at,
    };
    let mut rows = Vec::with_capacity(page.people.len() * 2);
    let mut candidates = Vec::new();
    for subject in subjects(&facts) {
        let only = page.by_device.contains(&subject.person.key).then_some(spec.devices);
        setting.candidates(subject, only, &mut candidates);
        setting.rows(subject.person.key, &candidates, &mut rows);
    }
    let read = version.map(|version| Read { facts: Arc::new(facts), version });
    Ok(Planned { rows, policy_version: policy.version, read })
}

/// People of a page who have had as many pushes as the policy allows.
pub(crate) async fn capped(engine: &Engine, policy: &PolicySnapshot, people: &[PersonKey]) -> crate::Result<HashSet<PersonKey>> {
    let Some((most, window)) = policy.frequency_cap() else { return Ok(HashSet::new()) };
    let inner = &engine.inner;
    let since = engine.now().minus(window);
    let recent = inner.store.recent_pushes(inner.tenant_key(), people.to_vec(), since).await.map_err(|e| crate::refusal("person", e))?;
    Ok(recent.into_iter().filter(|(_, count)| *count >= most).map(|(person, _)| person).collect())
}
