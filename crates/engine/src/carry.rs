//! Carries one claimed segment: loads its due rows, takes the last look at each, sends with many requests in flight, and
//! hands every outcome to the settler as it comes. Row by row the look can only narrow what was planned.

use crate::admin::registrations::AUTH_CONTEXT;
use crate::candidates::{Setting, Subject, subjects, vanished};
use crate::cards::Card;
use crate::deliver::Hand;
use crate::parts::Inner;
use crate::watch::Attempts;
use crate::{Engine, alarms};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use model::channel::Boxed;
use model::delivery::{Look, Step};
use model::directory::{Environment, Service};
use model::event::AudienceMode;
use model::policy::{PolicySnapshot, Terms};
use model::time::DailySpan;
use model::{
    Address, Cause, Channel, DeliveryId, DeviceKey, Facts, Lane, Letter, LetterFile, Outcome, PersonKey, Reason, RegistrationKey, Slot,
    State, Timestamp,
};
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use store::{
    Addresses, Attempt, Claim, DueRow, FactsDepth, FactsPage, RegistrationAddress, RegistrationFacts, Retirement, Settle, Settlement,
};
use tokio::sync::MutexGuard;

/// Wait before a claim that could not be renewed is tried again, and before rows are looked at again that came too early.
const AGAIN: Duration = Duration::from_millis(250);

/// A row on the wire: which of the segment's rows, what is true of it, and which registration it went to.
struct Flight {
    row: usize,
    facts: Facts,
    /// The policy that let it go; it may be another one when the answer comes.
    policy_version: i64,
    sent_to: Option<(RegistrationKey, i64)>,
    /// When it was handed over; `None` where there was no way.
    sent_at: Option<Timestamp>,
}

struct Carrier<'a> {
    engine: &'a Engine,
    channel: &'a dyn Channel,
    claim: &'a Claim,
    card: &'a Card,
    received: HashSet<DeviceKey>,
    /// Devices with a stream at another process.
    elsewhere: HashSet<DeviceKey>,
    capped: HashSet<PersonKey>,
    policy: Arc<PolicySnapshot>,
    terms: Terms,
    quiet: Option<DailySpan>,
    /// Whether pushes are counted, because the policy caps them.
    log_pushes: bool,
    /// Files that go with the mail.
    files: Arc<[LetterFile]>,
    renewed: Timestamp,
    attempts: Attempts,
    /// A row came before its time, by this process's clock.
    too_early: bool,
}

/// Carries a segment to its end, and releases it. What is in `hand` is not read again.
pub(crate) async fn segment(engine: Engine, channel: Arc<dyn Channel>, claim: Claim, hand: Option<Hand>) {
    engine.inner.settler.claimed(claim.segment);
    let not_before = match carry(&engine, channel.as_ref(), &claim, hand.as_ref()).await {
        Ok(not_before) => not_before,
        Err(refusal) => {
            tracing::error!(%refusal, channel = %claim.channel, "a segment cannot be carried now");
            engine.now().plus(Duration::from_secs(1))
        }
    };
    engine.inner.settler.put(Settle::Release { segment: claim.segment, generation: claim.generation, not_before }).await;
}

async fn carry(engine: &Engine, channel: &dyn Channel, claim: &Claim, hand: Option<&Hand>) -> crate::Result<Timestamp> {
    let inner = &engine.inner;
    let card = engine.card(claim.event).await?;
    if card.event.mode == AudienceMode::Live {
        inner.roster.loaded().await;
    }
    let policy = inner.standing.policy();
    let loaded;
    let (rows, facts) = match hand.and_then(|hand| hand.loaded(engine, claim.channel)) {
        Some(known) => known,
        None => {
            let depth = FactsDepth {
                timezones: policy.quiet_hours().is_some(),
                mailboxes: claim.channel.service().is_none(),
                addresses: claim.channel.service().map_or(Addresses::None, Addresses::Of),
            };
            loaded = inner.store.load(claim.clone(), depth).await.map_err(|e| crate::refusal("segment", e))?;
            (loaded.rows.as_slice(), &loaded.facts)
        }
    };
    let elsewhere = engine.streams_elsewhere(|| rows.iter().filter_map(|row| row.device).collect()).await?;
    let received = received(engine, claim, rows, &elsewhere).await?;
    let terms = engine.inner.terms(&policy, card.kind, &card.event.data);
    let (quiet, log_pushes) = (policy.quiet_hours(), policy.frequency_cap().is_some());
    let files = if claim.channel == model::ChannelKind::Email { card.files(engine).await? } else { Arc::default() };
    let mut carrier = Carrier {
        engine,
        channel,
        claim,
        card: &card,
        received,
        elsewhere,
        capped: HashSet::new(),
        policy,
        terms,
        quiet,
        log_pushes,
        files,
        renewed: engine.now(),
        attempts: Attempts::of(claim.channel),
        too_early: false,
    };
    carrier.carry_rows(rows, facts).await;
    tracing::debug!(event = %card.event.id, channel = %claim.channel, rows = rows.len(), "a segment was carried");
    if carrier.too_early {
        // Where the store's clock is ahead of ours it calls the row due again as soon as the claim is released.
        tokio::time::sleep(AGAIN).await;
    }
    Ok(inner.pauses.until(claim.channel, engine.now()).unwrap_or_else(|| engine.now()))
}

/// Devices that confirmed the event in the open app: asked only for those that hold a stream, or did when the row was held.
async fn received(engine: &Engine, claim: &Claim, rows: &[DueRow], elsewhere: &HashSet<DeviceKey>) -> crate::Result<HashSet<DeviceKey>> {
    let presence = &engine.inner.presence;
    let asked: Vec<DeviceKey> = rows
        .iter()
        .filter_map(|row| row.device.filter(|d| row.reason == Reason::ShownInApp || presence.is_here(*d) || elsewhere.contains(d)))
        .collect();
    if asked.is_empty() {
        return Ok(HashSet::new());
    }
    let received = engine.inner.store.received(claim.event, asked).await.map_err(|e| crate::refusal("receipt", e))?;
    Ok(received.into_iter().collect())
}

/// A row on the wire and the answer that it waits for.
struct Flying {
    flight: Option<Flight>,
    answer: Boxed<'static, Outcome>,
}

impl Future for Flying {
    type Output = (Flight, Outcome);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = std::task::ready!(self.answer.as_mut().poll(cx));
        let flight = self.flight.take().expect("an answer comes once");
        Poll::Ready((flight, outcome))
    }
}

type OnTheWire = FuturesUnordered<Flying>;

impl<'a> Carrier<'a> {
    async fn carry_rows(&mut self, rows: &[DueRow], facts: &FactsPage) {
        let mut wire: OnTheWire = FuturesUnordered::new();
        let turn = self.turn().await;
        let mut people = subjects(facts).peekable();
        for (index, row) in rows.iter().enumerate() {
            while people.peek().is_some_and(|s| s.person.key < row.person) {
                people.next();
            }
            let subject = people.peek().filter(|s| s.person.key == row.person).copied();
            if self.engine.inner.stop.is_cancelled() || self.engine.inner.settler.is_lost(self.claim.segment) {
                break;
            }
            self.carry_row(index, rows, subject, &mut wire).await;
        }
        drop(turn);
        while let Some((flight, outcome)) = self.answer(&mut wire).await {
            self.settle(&rows[flight.row], flight, outcome).await;
        }
    }

    /// The next answer of those that are awaited. A provider may take longer than a lease lasts, so the claim is prolonged
    /// meanwhile: else another process would take it and send again what is on the wire.
    async fn answer(&mut self, wire: &mut OnTheWire) -> Option<(Flight, Outcome)> {
        let lease = self.engine.lease();
        while !wire.is_empty() {
            if self.engine.now().since(self.renewed) > lease / 4 {
                self.renew().await;
            }
            tokio::select! {
                biased;
                answer = wire.next() => return answer,
                () = tokio::time::sleep(lease / 4) => { self.renew().await; }
            }
        }
        None
    }

    /// Waits for the turn to hand letters over; urgent ones need none.
    async fn turn(&mut self) -> Option<MutexGuard<'a, ()>> {
        if self.claim.lane == Lane::Urgent {
            return None;
        }
        let engine: &'a Engine = self.engine;
        let lease = engine.lease();
        let turn = engine.inner.rooms.turn(self.claim.channel);
        tokio::pin!(turn);
        loop {
            tokio::select! {
                biased;
                turn = &mut turn => return turn,
                () = tokio::time::sleep(lease / 4) => { self.renew().await; }
            }
        }
    }

    /// Brings one row to rest or onto the wire.
    async fn carry_row(&mut self, index: usize, rows: &[DueRow], subject: Option<Subject<'_>>, wire: &mut OnTheWire) {
        let row = &rows[index];
        loop {
            if !self.may_go_on().await {
                return;
            }
            let now = self.engine.now();
            let (fresh, facts, registration) = self.look(row, subject, now);
            let (look, version) = (not_too_early(row, fresh, now), self.policy.version);
            self.too_early |= matches!(look, Look::Hold(until, _) if until <= row.due);
            match look {
                Look::End(state, reason) => return self.put(row, (state, reason), Timestamp::NEVER, (facts, version), None, None).await,
                Look::Hold(until, reason) => return self.put(row, (State::Held, reason), until, (facts, version), None, None).await,
                Look::Send => {}
            }
            if let Some(outcome) = self.engine.inner.pauses.outcome(self.claim.channel, now) {
                return self.give_up(row, facts, &outcome).await;
            }
            let slot = match self.reserve(rows, wire).await {
                Ok(slot) => slot,
                Err(outcome) => {
                    self.trouble(&outcome).await;
                    let flight = Flight { row: index, facts, policy_version: self.policy.version, sent_to: None, sent_at: None };
                    return self.settle(row, flight, outcome).await;
                }
            };
            let sent_to = registration.map(|r| (r.key, r.version));
            let flight = Flight { row: index, facts, policy_version: self.policy.version, sent_to, sent_at: Some(self.engine.now()) };
            let Some(flying) = self.hand_over(slot, row, subject, registration, flight) else { continue };
            wire.push(flying);
            return;
        }
    }

    /// Whether rows may still be sent under this claim. A process that was paused past its lease asks before it goes on; one
    /// that does not know what stands waits until it does.
    async fn may_go_on(&mut self) -> bool {
        let engine = self.engine;
        if !engine.inner.standing.sees() {
            tokio::select! {
                biased;
                () = engine.inner.standing.sighted() => {}
                () = engine.inner.stop.cancelled() => return false,
            }
        }
        while self.is_overdue() && !self.renew().await {
            tokio::select! {
                biased;
                () = tokio::time::sleep(AGAIN) => {}
                () = engine.inner.stop.cancelled() => return false,
            }
        }
        !engine.inner.settler.is_lost(self.claim.segment)
    }

    /// Whether the lease may have run out while this process was held up. Alone on its store a process cannot lose it.
    fn is_overdue(&self) -> bool {
        let inner = &self.engine.inner;
        let lease = self.engine.lease();
        inner.store.is_shared() && self.engine.now().since(self.renewed) > lease / 2 + lease / 4
    }

    /// Waits for room while outcomes of earlier rows come in.
    async fn reserve(&mut self, rows: &[DueRow], wire: &mut OnTheWire) -> Result<Box<dyn Slot>, Outcome> {
        let channel = self.channel;
        while let Some(Some((flight, outcome))) = wire.next().now_or_never() {
            self.settle(&rows[flight.row], flight, outcome).await;
        }
        if let Some(slot) = channel.reserve_now(self.claim.lane) {
            return Ok(slot);
        }
        let lease = self.engine.lease();
        let mut room = channel.reserve(self.claim.lane);
        loop {
            let renewal = tokio::time::sleep(lease / 4);
            tokio::select! {
                biased;
                Some((flight, outcome)) = wire.next(), if !wire.is_empty() => self.settle(&rows[flight.row], flight, outcome).await,
                slot = &mut room => return slot,
                () = renewal => { self.renew().await; }
            }
            if self.engine.now().since(self.renewed) > lease / 4 {
                self.renew().await;
            }
        }
    }

    /// Prolongs the claim; answers whether the store said something. Where processes share the store, a claim that could
    /// not be prolonged is taken to run out; alone, the lock on the data folder keeps it.
    async fn renew(&mut self) -> bool {
        let inner = &self.engine.inner;
        let asked_at = self.engine.now();
        let claims = vec![(self.claim.segment, self.claim.generation)];
        match inner.store.renew(claims, asked_at.plus(self.engine.lease())).await {
            Ok(lost) => {
                inner.settler.lose(lost);
                self.renewed = asked_at;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "a claim cannot be renewed");
                if !inner.store.is_shared() {
                    self.renewed = asked_at;
                }
                false
            }
        }
    }

    /// Hands a letter over, under the gate: `None` when the policy moved since the look, which is then taken again.
    fn hand_over(
        &self,
        slot: Box<dyn Slot>,
        row: &DueRow,
        subject: Option<Subject<'_>>,
        registration: Option<&RegistrationFacts>,
        flight: Flight,
    ) -> Option<Flying> {
        let inner = &self.engine.inner;
        let locale = subject?.person.locale;
        let content = self.card.rendered(inner, self.channel, locale)?;
        let secret;
        let address = match registration {
            Some(registration) => {
                let found = subject?.page.address(registration)?;
                secret = secret_of(inner, &found).unwrap_or_default();
                address(registration.service, found, &secret)
            }
            None => {
                let own = subject?.person.mailbox.as_deref();
                match (&self.card.mail_to, own) {
                    // The name is the person's and the address is not: it goes without one.
                    (Some(email), _) => Address::Mailbox { email, name: "" },
                    (None, own) => {
                        let (email, name) = own?;
                        Address::Mailbox { email, name }
                    }
                }
            }
        };
        let letter = Letter {
            wire: self.id(row).wire(),
            address,
            content: &content,
            files: &self.files,
            urgency: self.card.event.urgency,
            expires_at: self.card.event.expires_at,
            now: self.engine.now(),
            collapse_key: &self.card.collapse_key,
        };
        let _gate = inner.standing.gate();
        // Room may have come long after the look.
        let late = letter.now >= letter.expires_at;
        if late || !inner.standing.sees() || self.is_overdue() {
            return None;
        }
        if inner.standing.version() != self.policy.version || inner.cancelled.read().contains(&self.claim.event) {
            return None;
        }
        let answer = slot.send(&letter);
        Some(Flying { flight: Some(flight), answer })
    }

    /// The last look at one row: cancelled, live audience, then a fresh decision from today's policy and facts.
    fn look<'s>(&mut self, row: &DueRow, subject: Option<Subject<'s>>, now: Timestamp) -> (Look, Facts, Option<&'s RegistrationFacts>) {
        let inner = &self.engine.inner;
        if inner.standing.version() != self.policy.version {
            self.policy = inner.standing.policy();
            self.terms = inner.terms(&self.policy, self.card.kind, &self.card.event.data);
            (self.quiet, self.log_pushes) = (self.policy.quiet_hours(), self.policy.frequency_cap().is_some());
        }
        let end = |state, reason| (Look::End(state, reason), row.facts, None);
        if self.card.event.state == model::event::EventState::Cancelled || inner.cancelled.read().contains(&self.claim.event) {
            return end(State::Cancelled, Reason::Cancelled);
        }
        if now >= self.card.event.expires_at || self.card.content.is_none() {
            return end(State::Expired, Reason::Expired);
        }
        let Some(subject) = subject else { return end(State::Suppressed, Reason::PersonInactive) };
        if !self.card.still_addressed(inner, row.person) {
            return (Look::End(State::Suppressed, Reason::LeftAudience), row.facts.with(Facts::IN_AUDIENCE, false), None);
        }
        let setting = Setting {
            terms: &self.terms,
            urgency: self.card.event.urgency,
            push: self.card.kind.push,
            configured: &inner.configured,
            quiet: self.quiet,
            capped: &self.capped,
            mail_to: self.card.mail_to.is_some(),
            now,
            expires_at: self.card.event.expires_at,
        };
        let quiet_until = setting.quiet_until(subject.person);
        let Some(service) = self.claim.channel.service() else {
            let facts =
                setting.mail_facts(subject.person, row.facts).with(Facts::HAS_EMAIL, setting.mail_to || subject.person.mailbox.is_some());
            let fresh = setting.rule(self.claim.channel, None, None, facts, None).decision;
            return (model::delivery::last_look(self.card.event.expires_at, &fresh, now), facts, None);
        };
        let device = subject.devices.iter().find(|d| Some(d.key) == row.device);
        let registration = subject.registrations.iter().find(|r| Some(r.key) == row.registration);
        if let Some(reason) = vanished(device, registration.is_some_and(|r| r.address.is_some())) {
            return end(State::Suppressed, reason);
        }
        let device = device.expect("a row whose device vanished has ended");
        let waited = row.reason == Reason::ShownInApp;
        let facts = setting
            .push_facts(subject.person, device, registration, service, quiet_until.is_some())
            .with(Facts::OTHER_REGISTRATION, row.facts.has(Facts::OTHER_REGISTRATION))
            .with(Facts::RECEIVED_IN_APP, self.received.contains(&device.key))
            .with(Facts::STREAM_OPEN, !waited && (inner.presence.is_here(device.key) || self.elsewhere.contains(&device.key)));
        let fresh = setting.rule(self.claim.channel, row.device, row.registration, facts, quiet_until).decision;
        (model::delivery::last_look(self.card.event.expires_at, &fresh, now), facts, registration)
    }

    /// What an outcome makes of a row.
    async fn settle(&mut self, row: &DueRow, flight: Flight, outcome: Outcome) {
        let now = self.engine.now();
        if outcome.cause().is_some_and(|c| c.whole_channel) || matches!(outcome, Outcome::OurFault(_)) {
            self.trouble(&outcome).await;
        } else if self.engine.inner.pauses.works(self.claim.channel, now) {
            // Whatever the answer was about this one letter: the other side is there and takes our key.
            for alarm in ["unavailable", "our_fault"] {
                alarms::clear(self.engine, &format!("{}_{alarm}", self.claim.channel)).await;
            }
        }
        let number = row.attempts.saturating_add(1);
        let step = model::delivery::settle(&outcome, number, self.card.event.expires_at, now, self.chance(row));
        let cause = outcome.cause();
        let attempt = Attempt {
            number,
            at: now,
            outcome: outcome.word().into(),
            code: cause.map(|c| c.code.clone()).unwrap_or_default(),
            status: cause.map_or(0, |c| c.status),
        };
        let retire = match (&outcome, flight.sent_to) {
            (Outcome::AddressGone(cause), Some((registration, version))) if self.believes(cause).await => {
                Some(Retirement { registration, version, code: cause.code.to_string(), gone_since: cause.gone_since })
            }
            _ => None,
        };
        self.attempts.note(&outcome, flight.sent_at.map(|at| now.since(at)));
        if outcome == Outcome::Accepted && self.engine.inner.suspicion.accepted(self.claim.channel) {
            alarms::clear(self.engine, &format!("{}_suspicious_gone", self.claim.channel)).await;
        }
        let (state, due) = rest(step);
        self.put(row, state, due, (flight.facts, flight.policy_version), Some(attempt), retire).await;
    }

    /// Whether a provider's word that an address is gone is believed, or parked because too many say so.
    async fn believes(&self, cause: &Cause) -> bool {
        let (kind, inner) = (self.claim.channel, &self.engine.inner);
        if kind.service().is_none() {
            return true;
        }
        let most = u32::try_from(self.policy.number("registrations.suspicious_percent")).unwrap_or(100);
        if inner.suspicion.gone(kind, most) {
            return true;
        }
        if inner.suspicion.may_alarm(kind, self.engine.now()) {
            let detail = format!(
                "{kind} says of most addresses that they are gone ({}); their registrations are kept: check [channels.{kind}] endpoint, \
                 app and environment, or raise registrations.suspicious_percent if it is true",
                cause.code
            );
            alarms::raise(self.engine, &format!("{kind}_suspicious_gone"), &detail).await;
        }
        false
    }

    /// A row that is not even tried, because the whole channel rests: it waits as long as if it had been.
    async fn give_up(&mut self, row: &DueRow, facts: Facts, outcome: &Outcome) {
        let now = self.engine.now();
        let number = row.attempts.saturating_add(1);
        let step = model::delivery::settle(outcome, number, self.card.event.expires_at, now, self.chance(row));
        let (state, due) = rest(step);
        self.put(row, state, due, (facts, self.policy.version), None, None).await;
    }

    /// Trouble that concerns the whole channel, or a fault of ours.
    async fn trouble(&self, outcome: &Outcome) {
        let (kind, now) = (self.claim.channel, self.engine.now());
        let Some(cause) = outcome.cause() else { return };
        let ours = matches!(outcome, Outcome::OurFault(_));
        let inner = &self.engine.inner;
        let whole_channel = cause.whole_channel || ours && inner.suspicion.fault(kind);
        let strikes = if whole_channel { inner.pauses.strike(kind, outcome, now) } else { Some(1) };
        match strikes {
            Some(_) if ours && !inner.suspicion.may_alarm(kind, now) => {}
            Some(_) if ours => {
                let detail = format!(
                    "{kind} refuses what we send: {} ({}); check [channels.{kind}] key, ids, topic and clock",
                    cause.code, cause.status
                );
                alarms::raise(self.engine, &format!("{kind}_our_fault"), &detail).await;
            }
            Some(3..) => {
                let detail =
                    format!("{kind} cannot be reached or is busy: {} ({}); what waits goes out when it answers", cause.code, cause.status);
                alarms::raise(self.engine, &format!("{kind}_unavailable"), &detail).await;
            }
            _ => {}
        }
    }

    async fn put(
        &self,
        row: &DueRow,
        now: (State, Reason),
        due: Timestamp,
        (facts, policy_version): (Facts, i64),
        attempt: Option<Attempt>,
        retire: Option<Retirement>,
    ) {
        let log_push = self.log_pushes && now.0 == State::Accepted && self.claim.channel.service().is_some();
        let settlement = Settlement {
            segment: self.claim.segment,
            generation: self.claim.generation,
            id: self.id(row),
            channel: self.claim.channel,
            was: (row.state, row.reason),
            now,
            due,
            facts,
            attempt,
            retire,
            policy_version,
            log_push,
        };
        self.engine.inner.settler.put(Settle::Row(settlement)).await;
    }

    fn id(&self, row: &DueRow) -> DeliveryId {
        DeliveryId { event: self.claim.event, person: row.person, seq: row.seq }
    }

    /// Jitter in 0..1000, different for each row and try.
    fn chance(&self, row: &DueRow) -> u16 {
        let mixed = (u64::from(row.person.0) << 20 ^ u64::from(row.seq) << 8 ^ u64::from(row.attempts)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        u16::try_from((mixed >> 40) % 1000).expect("a remainder of 1000 fits")
    }
}

/// A row that was woken before its time may be ended, but not sent: a provider's word for when to come again stands, and an
/// open app is waited for.
fn not_too_early(row: &DueRow, look: Look, now: Timestamp) -> Look {
    let bound = matches!(row.reason, Reason::ProviderUnavailable | Reason::OurFault | Reason::ShownInApp);
    if look == Look::Send && bound && row.due > now { Look::Hold(row.due, row.reason) } else { look }
}

fn rest(step: Step) -> ((State, Reason), Timestamp) {
    match step {
        Step::End(state, reason) => ((state, reason), Timestamp::NEVER),
        Step::Retry(due, reason) => ((State::Held, reason), due),
    }
}

/// A Web Push subscription's secret, opened for the letter.
fn secret_of(inner: &Inner, address: &RegistrationAddress<'_>) -> Option<String> {
    let sealed = Some(address.auth).filter(|auth| !auth.is_empty())?;
    String::from_utf8(inner.keys.open(AUTH_CONTEXT, sealed)?).ok()
}

fn address<'s>(service: Service, found: RegistrationAddress<'s>, auth: &'s str) -> Address<'s> {
    match service {
        Service::Apns | Service::Fcm => {
            Address::Registration { token: found.token, app: found.app, sandbox: found.environment == Environment::Sandbox }
        }
        Service::Wns => Address::ChannelUrl { url: found.endpoint },
        Service::WebPush => Address::Subscription { endpoint: found.endpoint, p256dh: found.p256dh, auth },
    }
}
