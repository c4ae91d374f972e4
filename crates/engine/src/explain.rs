//! Why: everything about one person and one event. Each row is explained from what its decision was made from: the event,
//! the policy version and the recorded facts; what the other rules would have said is computed anew, not stored.

use crate::Engine;
use crate::admin::scope::Sight;
use crate::candidates::{Candidate, Setting, subjects};
use crate::gaps::GapView;
use model::decision::{Case, Decision, Rule, Verdict, explain};
use model::directory::{MemberKind, Platform};
use model::event::EventState;
use model::policy::{EmailRule, PolicySnapshot, Terms, switch_of};
use model::roles::{Actor, Permission};
use model::source::{EventTypeDeclaration, Source};
use model::{ChannelKind, DeviceKey, Facts, Locale, Reason, ReceiptKind, Refusal, State, Timestamp};
use serde::Serialize;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use store::{DeliveryRecord, Device, EventRow, FactsDepth, FactsPage, Person, ReceiptRow, Registration};
use uuid::Uuid;

/// Why one person got, or did not get, one event.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct WhyView {
    pub event: EventView,
    pub person: PersonView,
    pub in_audience: bool,
    pub decisions: Vec<DecisionView>,
    /// Whiles around the event in which an integration heard nothing: what happened then is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<GapView>,
}

/// The event.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct EventView {
    pub id: Uuid,
    pub kind: String,
    pub created_at: Timestamp,
    pub due_at: Timestamp,
    pub expires_at: Timestamp,
    pub state: EventState,
    pub title: Option<String>,
}

/// The person.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct PersonView {
    pub id: Uuid,
    pub upn: String,
    pub display_name: String,
    pub active: bool,
}

/// The device that a decision is about.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct DeviceView {
    pub id: Uuid,
    pub name: String,
    pub platform: Platform,
}

/// One decision.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct DecisionView {
    /// `null` for a person outside the audience.
    pub channel: Option<ChannelKind>,
    pub device: Option<DeviceView>,
    /// Masked.
    pub address: Option<String>,
    pub verdict: Verdict,
    pub rule: Rule,
    /// `null` where nothing objected.
    pub reason_code: Option<Reason>,
    pub reason: String,
    /// What every other rule says by itself, in the order in which they are asked.
    pub others: Vec<OtherView>,
    /// Names of the facts that hold.
    pub facts: Vec<String>,
    pub policy_version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryFateView>,
}

/// What one other rule says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct OtherView {
    pub rule: Rule,
    pub verdict: Verdict,
    pub reason_code: Option<Reason>,
    pub reason: String,
}

/// What became of the delivery.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct DeliveryFateView {
    /// The id under which it travels; absent for the inbox.
    pub id: Option<Uuid>,
    pub state: State,
    pub reason_code: Option<Reason>,
    /// When it may be tried again, while it waits.
    pub due: Option<Timestamp>,
    pub attempts: Vec<AttemptView>,
    pub receipts: Vec<ReceiptView>,
}

/// One try.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct AttemptView {
    pub number: u16,
    pub at: Timestamp,
    pub outcome: String,
    /// The provider's own word; empty for accepted.
    pub code: String,
    pub status: u16,
}

/// Evidence from a device.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ReceiptView {
    pub kind: ReceiptKind,
    pub at: Timestamp,
}

fn named(reason: Reason) -> Option<Reason> {
    Some(reason).filter(|r| *r != Reason::None)
}

/// Tells reasons in one language, with what it was that objected: a switch, a setting, or what the event's source knows from
/// what the event says.
struct Teller<'a> {
    event: &'a EventRow,
    kind: Option<(&'a dyn Source, &'static EventTypeDeclaration)>,
    locale: Locale,
}

impl Teller<'_> {
    fn tell(&self, reason: Reason, channel: ChannelKind, terms: &Terms) -> String {
        reason.sentence_with(self.objector(reason, channel, terms).as_deref(), self.locale)
    }

    fn objector(&self, reason: Reason, channel: ChannelKind, terms: &Terms) -> Option<String> {
        if reason == Reason::OrgSwitchOff {
            return switch_of(channel).map(|key| self.setting(key));
        }
        let (source, kind) = self.kind?;
        if terms.objection(channel) == Some(reason) {
            return source.objector(reason, &self.event.data, self.locale);
        }
        match kind.email {
            EmailRule::Setting(key) if reason == Reason::PolicyOff && channel == ChannelKind::Email => Some(self.setting(key)),
            EmailRule::Setting(_) | EmailRule::Only | EmailRule::Never => None,
        }
    }

    fn setting(&self, key: &str) -> String {
        match self.locale {
            Locale::En => format!("setting {key}"),
            Locale::Fr => format!("paramètre {key}"),
        }
    }
}

impl Engine {
    /// Why `person` (an id, external id or UPN) got, or did not get, an event.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `ambiguous_name`; what the store says.
    pub async fn why(&self, actor: &Actor, event: Uuid, person: &str, locale: Locale) -> crate::Result<WhyView> {
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let event = self.notification_row(event).await?;
        let person = self.person_in_sight(&sight, person).await?;
        let wrong = |e| crate::refusal("event", e);
        self.reads_texts(actor, &[&event]).await?;
        let readable = self.may_read(actor, &event).await?;
        let title = crate::cards::told(&self.inner, &event).map(|(title, _)| title).filter(|_| readable);
        let in_audience = self.inner.store.in_audience(event.key, person.key).await.map_err(wrong)?;
        let decisions = match in_audience {
            None => vec![outside(&event, locale)],
            Some(by_device_only) => self.decisions(&event, &person, by_device_only, locale).await?,
        };
        Ok(WhyView {
            person: PersonView {
                id: person.id,
                upn: person.fields.upn.clone(),
                display_name: person.fields.display_name.clone(),
                active: person.fields.active,
            },
            gaps: self.gaps_around(&event.kind, event.accepted_at).await?,
            in_audience: in_audience.is_some(),
            decisions,
            event: EventView {
                id: event.id,
                kind: event.kind.clone(),
                created_at: event.accepted_at,
                due_at: event.due_at,
                expires_at: event.expires_at,
                state: event.state,
                title,
            },
        })
    }

    async fn person_in_sight(&self, sight: &Sight, name: &str) -> crate::Result<Person> {
        let named = self.person_named(sight, name).await?.map_err(|unresolved| unresolved.refusal(MemberKind::User, name))?;
        let person = self.inner.store.person(self.inner.tenant_key(), named.key).await.map_err(|e| crate::refusal("person", e))?;
        person.ok_or_else(|| Refusal::not_found("person", name))
    }

    async fn decisions(&self, event: &EventRow, person: &Person, by_device_only: bool, locale: Locale) -> crate::Result<Vec<DecisionView>> {
        let inner = &self.inner;
        let wrong = |e| crate::refusal("delivery", e);
        let (records, receipts) = inner.store.deliveries_of(event.key, person.key).await.map_err(wrong)?;
        let things = self.things(&records, &receipts).await?;
        let teller = Teller { event, kind: inner.event_type(&event.kind), locale };
        let kind = teller.kind.map(|(_, kind)| kind);
        // A type that this build does not know any more has nothing to say for itself.
        let by = |policy: &PolicySnapshot| match kind {
            Some(kind) => inner.terms(policy, kind, &event.data),
            None => policy.terms(model::policy::EmailRule::Never),
        };
        let mut policies: HashMap<i64, Terms> = HashMap::new();
        let mut views = Vec::new();
        for record in &records {
            let terms = match policies.entry(record.policy_version) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(open) => {
                    let policy = self.policy_at(record.policy_version).await?;
                    *open.insert(by(&policy))
                }
            };
            views.push(recorded(&teller, record, &terms, &things, &receipts));
        }
        let policy = inner.standing.policy();
        let terms = by(&policy);
        let facts = inner.store.facts(inner.tenant_key(), Arc::new([person.key]), FactsDepth { timezones: true, ..FactsDepth::default() });
        let facts = facts.await.map_err(wrong)?;
        if records.is_empty() {
            let only = by_device_only.then_some(event.addressed.devices.as_slice());
            views.extend(self.unplanned(&teller, &facts, &policy, &terms, only).await?);
        }
        if kind.is_some_and(|k| k.inbox) {
            views.extend(self.in_the_inbox(&teller, &facts, &policy, &terms, &receipts));
        }
        Ok(views)
    }

    async fn policy_at(&self, version: i64) -> crate::Result<Arc<PolicySnapshot>> {
        let inner = &self.inner;
        let current = inner.standing.policy();
        if version == current.version {
            return Ok(current);
        }
        let set = inner.store.settings_at(inner.tenant_key(), version).await.map_err(|e| crate::refusal("policy", e))?;
        Ok(set.map_or(current, |set| Arc::new(PolicySnapshot::new(version, &inner.settings, set))))
    }

    /// Devices and registrations that records and receipts name.
    async fn things(&self, records: &[DeliveryRecord], receipts: &[ReceiptRow]) -> crate::Result<Things> {
        let inner = &self.inner;
        let wrong = |e| crate::refusal("device", e);
        let keys: HashSet<DeviceKey> = records.iter().filter_map(|r| r.device).chain(receipts.iter().map(|r| r.device)).collect();
        let mut things = Things::default();
        for key in keys {
            if let Some(device) = inner.store.device(inner.tenant_key(), key).await.map_err(wrong)? {
                things.registrations.extend(inner.store.registrations(inner.tenant_key(), key).await.map_err(wrong)?);
                things.devices.insert(key, device);
            }
        }
        Ok(things)
    }

    fn bearings<'a>(
        &'a self,
        event: &EventRow,
        policy: &PolicySnapshot,
        terms: &'a Terms,
        capped: &'a HashSet<model::PersonKey>,
    ) -> Setting<'a> {
        Setting {
            terms,
            urgency: event.urgency,
            push: self.inner.event_type(&event.kind).is_some_and(|(_, k)| k.push),
            configured: &self.inner.configured,
            quiet: policy.quiet_hours(),
            capped,
            mail_to: crate::happenings::mail_to(&event.data).is_some(),
            now: self.now(),
            expires_at: event.expires_at,
        }
    }

    /// A person whose page is not planned: what the rules say now, or that it was stopped before.
    async fn unplanned(
        &self,
        teller: &Teller<'_>,
        facts: &FactsPage,
        policy: &PolicySnapshot,
        terms: &Terms,
        only: Option<&[DeviceKey]>,
    ) -> crate::Result<Vec<DecisionView>> {
        let (event, capped) = (teller.event, HashSet::new());
        let setting = self.bearings(event, policy, terms, &capped);
        let mut views = Vec::new();
        for subject in subjects(facts) {
            let mut candidates = Vec::new();
            setting.candidates(subject, only, &mut candidates);
            for candidate in candidates {
                let mut view = ruled(&setting, &candidate, teller);
                if event.state == EventState::Cancelled {
                    (view.verdict, view.rule) = (Verdict::Suppress, Rule::Default);
                    view.reason_code = Some(Reason::Cancelled);
                    view.reason = Reason::Cancelled.sentence(teller.locale).to_owned();
                }
                if let Some(key) = candidate.device {
                    let device = self.inner.store.device(self.inner.tenant_key(), key).await.map_err(|e| crate::refusal("device", e))?;
                    view.device = device.as_ref().map(device_view);
                }
                views.push(view);
            }
        }
        Ok(views)
    }

    /// The inbox has no row: it is there once the event may travel and the person is active.
    fn in_the_inbox(
        &self,
        teller: &Teller<'_>,
        facts: &FactsPage,
        policy: &PolicySnapshot,
        terms: &Terms,
        receipts: &[ReceiptRow],
    ) -> Option<DecisionView> {
        let person = facts.people.first()?;
        let (event, capped) = (teller.event, HashSet::new());
        let setting = self.bearings(event, policy, terms, &capped);
        let mut view = ruled(&setting, &setting.inbox(person), teller);
        let there = view.verdict == Verdict::Deliver && event.inbox_seq.is_some();
        let state = match (there, view.verdict, event.state) {
            (_, _, EventState::Cancelled) => State::Cancelled,
            (true, _, _) => State::Accepted,
            (false, Verdict::Suppress, _) => State::Suppressed,
            (false, Verdict::Deliver | Verdict::Hold, _) => State::Scheduled,
        };
        view.delivery = Some(DeliveryFateView {
            id: None,
            state,
            reason_code: view.reason_code,
            due: (state == State::Scheduled).then_some(event.due_at),
            attempts: Vec::new(),
            receipts: receipts.iter().map(|r| ReceiptView { kind: r.kind, at: r.at }).collect(),
        });
        Some(view)
    }
}

#[derive(Default)]
struct Things {
    devices: HashMap<DeviceKey, Device>,
    registrations: Vec<Registration>,
}

fn device_view(device: &Device) -> DeviceView {
    DeviceView { id: device.id, name: device.fields.name.clone(), platform: device.fields.platform }
}

/// The first characters of an address, enough to tell two apart.
fn masked(text: &str) -> String {
    let shown: String = text.chars().take(8).collect();
    format!("{shown}…")
}

fn outside(event: &EventRow, locale: Locale) -> DecisionView {
    DecisionView {
        channel: None,
        device: None,
        address: None,
        verdict: Verdict::Suppress,
        rule: Rule::Audience,
        reason_code: Some(Reason::NotInAudience),
        reason: Reason::NotInAudience.sentence(locale).to_owned(),
        others: Vec::new(),
        facts: Vec::new(),
        policy_version: event.policy_version,
        delivery: None,
    }
}

fn others(decided: Rule, case: &Case<'_>, teller: &Teller<'_>) -> Vec<OtherView> {
    let all = explain(case).into_iter().filter(|(rule, _)| *rule != decided);
    all.map(|(rule, Decision { verdict, reason, .. })| OtherView {
        rule,
        verdict,
        reason_code: named(reason),
        reason: teller.tell(reason, case.channel, case.terms),
    })
    .collect()
}

/// A candidate that has no row.
fn ruled(setting: &Setting<'_>, candidate: &Candidate, teller: &Teller<'_>) -> DecisionView {
    let decision = candidate.decision;
    let case = Case {
        channel: candidate.channel,
        urgency: setting.urgency,
        terms: setting.terms,
        facts: candidate.facts,
        quiet_until: decision.until.unwrap_or(setting.now),
        now: setting.now,
    };
    DecisionView {
        channel: Some(candidate.channel),
        device: None,
        address: None,
        verdict: decision.verdict,
        rule: decision.rule,
        reason_code: named(decision.reason),
        reason: teller.tell(decision.reason, candidate.channel, setting.terms),
        others: others(decision.rule, &case, teller),
        facts: candidate.facts.names(),
        policy_version: setting.terms.version,
        delivery: None,
    }
}

/// What was decided, by what a row says now: ended or held by a rule, or let go and then met its fate.
fn verdict_of(record: &DeliveryRecord) -> Verdict {
    let held_by_rule = matches!(record.reason, Reason::ShownInApp | Reason::QuietHours);
    match record.state {
        State::Suppressed | State::Cancelled => Verdict::Suppress,
        State::Held if held_by_rule => Verdict::Hold,
        State::Held | State::Scheduled | State::Accepted | State::Rejected | State::Gone | State::Expired => Verdict::Deliver,
    }
}

fn recorded(teller: &Teller<'_>, record: &DeliveryRecord, terms: &Terms, things: &Things, receipts: &[ReceiptRow]) -> DecisionView {
    let case = Case {
        channel: record.channel,
        urgency: teller.event.urgency,
        terms,
        facts: record.facts,
        quiet_until: record.due,
        now: record.due,
    };
    let rule = if record.reason == Reason::ProviderUnavailable && !record.facts.has(Facts::CHANNEL_CONFIGURED) {
        Rule::ChannelConfigured
    } else {
        record.reason.rule()
    };
    let device = record.device.and_then(|key| things.devices.get(&key));
    let registration = things.registrations.iter().find(|r| Some(r.key) == record.registration);
    let address = registration.map(|r| masked(if r.fields.token.is_empty() { &r.fields.endpoint } else { &r.fields.token }));
    let from_here = receipts.iter().filter(|r| Some(r.device) == record.device);
    DecisionView {
        channel: Some(record.channel),
        device: device.map(device_view),
        address,
        verdict: verdict_of(record),
        rule,
        reason_code: named(record.reason),
        reason: teller.tell(record.reason, record.channel, terms),
        others: others(rule, &case, teller),
        facts: record.facts.names(),
        policy_version: record.policy_version,
        delivery: Some(DeliveryFateView {
            id: Some(record.id.wire().uuid()),
            state: record.state,
            reason_code: named(record.reason),
            due: (!record.state.is_final()).then_some(record.due),
            attempts: record
                .attempts
                .iter()
                .map(|a| AttemptView {
                    number: a.number,
                    at: a.at,
                    outcome: a.outcome.to_string(),
                    code: a.code.to_string(),
                    status: a.status,
                })
                .collect(),
            receipts: from_here.map(|r| ReceiptView { kind: r.kind, at: r.at }).collect(),
        }),
    }
}
