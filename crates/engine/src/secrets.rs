//! What becomes of mails with a secret: each is followed until it arrived. One that does not arrive is noted with what it was about, and
//! an alarm says so: its reader has nothing, and nobody else knows the secret. A newer secret makes those before it void: what of
//! them still waits is cancelled.

use crate::Engine;
use crate::admin::acts::Deed;
use crate::happenings::Ready;
use crate::work::{Todo, Work};
use model::objects::{Naming, ObjectKind};
use model::{ChannelKind, PersonKey, Reason, Refusal, State, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{By, Change, NewObject, Object, Step, StoreError, Whom};
use uuid::Uuid;

/// The alarm about secrets that did not arrive.
pub(crate) const ALARM: &str = "secret_undelivered";
/// Pieces of work that are looked through at once for others that did not arrive.
const PAGE: u32 = 500;
/// When a mail is looked at first.
const FIRST: Duration = Duration::from_secs(5);
/// Longest until it is looked at again, while it waits.
const LONGEST: Duration = Duration::from_secs(600);
/// How often it is seen whether what is lost still matters to somebody.
const STILL: Duration = Duration::from_secs(3600);

/// Secrets of one person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Following {
    person: Uuid,
    /// The event that holds now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<Uuid>,
    /// Since when it is on its way.
    since: Timestamp,
    /// Events that hold no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    void: Vec<Uuid>,
    /// It did not arrive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lost: bool,
    /// One before it did not arrive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mends: bool,
}

/// What became of a mail.
enum Fate {
    Arrived,
    OnItsWay,
    Lost(Reason),
}

fn key(person: Uuid) -> String {
    format!("secret/{person}")
}

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("secret", error)
}

fn object(id: Uuid, following: &Following, due: Timestamp) -> NewObject {
    let work = Work { by: String::new(), todo: Todo::Follow(following.clone()) };
    NewObject { id, name: id.to_string(), document: work.document(), keys: vec![key(following.person)], links: Vec::new(), due: Some(due) }
}

impl Engine {
    /// The steps with which the secrets of events are followed that are about to be accepted, and those before them become void.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn follow_secrets(&self, ready: &[Ready]) -> crate::Result<Vec<Step>> {
        let mut steps = Vec::new();
        for one in ready {
            let voids = self.inner.event_type(one.kind()).is_some_and(|(_, kind)| kind.voids_secrets);
            if !one.is_secret() && !voids {
                continue;
            }
            let person = one.person();
            let row = self.inner.store.object_keyed(self.tenant_key(), ObjectKind::Work, &key(person)).await.map_err(wrong)?;
            let before = row.as_ref().map(|row| following(&row.document)).transpose()?.flatten();
            let mends = before.as_ref().is_some_and(|before| before.lost || before.mends);
            let void = before.map(|before| before.void.into_iter().chain(before.event).collect()).unwrap_or_default();
            let event = one.is_secret().then(|| one.id());
            let now = self.now();
            match row {
                None if event.is_none() => {}
                None => {
                    let following = Following { person, event, since: now, ..Following::default() };
                    steps.push(Step::Make(ObjectKind::Work, object(Uuid::now_v7(), &following, now.plus(FIRST))));
                }
                Some(row) => {
                    let following = Following { person, event, since: now, void, lost: false, mends };
                    steps.push(Step::Change(ObjectKind::Work, object(row.id, &following, now), Some(row.version)));
                }
            }
        }
        Ok(steps)
    }

    /// Looks at what became of a person's secrets.
    ///
    /// # Errors
    /// What the store says; it stays due.
    pub(crate) async fn follow(&self, row: &Object, following: &Following) -> crate::Result<()> {
        for event in &following.void {
            self.stop_secret(*event).await?;
        }
        let mended = following.lost || following.mends;
        let end = Step::End(ObjectKind::Work, row.id, Some(row.version));
        let person = self.inner.store.find_people(self.tenant_key(), &following.person.to_string()).await.map_err(wrong)?;
        let (Some(event), Some(person)) = (following.event, person.first().map(|one| one.key)) else {
            return self.followed(end, mended).await;
        };
        let now = self.now();
        let change = |following: &Following, due| Step::Change(ObjectKind::Work, object(row.id, following, due), Some(row.version));
        if following.lost {
            // It is about nothing any more when what it belonged to has ended.
            let still = !self.noted_by(event, following.person).await?.is_empty();
            return self.followed(if still { change(following, now.plus(STILL)) } else { end }, mended).await;
        }
        match self.fate_of_mail(event, person).await? {
            Fate::Arrived => self.followed(end, mended).await,
            Fate::OnItsWay => {
                let wait = (now.since(following.since) / 4).clamp(FIRST, LONGEST);
                self.followed(change(&Following { void: Vec::new(), ..following.clone() }, now.plus(wait)), false).await
            }
            Fate::Lost(reason) => {
                let lost = Following { void: Vec::new(), lost: true, ..following.clone() };
                self.lost(event, person, (following.person, reason), change(&lost, now.plus(STILL))).await
            }
        }
    }

    async fn fate_of_mail(&self, event: Uuid, person: PersonKey) -> crate::Result<Fate> {
        let (store, tenant) = (&self.inner.store, self.tenant_key());
        let Some(event) = store.event_by_id(tenant, event).await.map_err(wrong)? else { return Ok(Fate::Arrived) };
        let (rows, _) = store.deliveries_of(event.key, person).await.map_err(wrong)?;
        let mails = || rows.iter().filter(|row| row.channel == ChannelKind::Email);
        Ok(if mails().any(|row| row.state == State::Accepted) {
            Fate::Arrived
        } else if mails().next().is_none() || mails().any(|row| !row.state.is_final()) {
            Fate::OnItsWay
        } else {
            Fate::Lost(mails().next_back().map_or(Reason::None, |row| row.reason))
        })
    }

    /// Cancels what still waits of a secret that holds no more.
    async fn stop_secret(&self, id: Uuid) -> crate::Result<()> {
        let (inner, tenant) = (&self.inner, self.tenant_key());
        let Some(event) = inner.store.event_by_id(tenant, id).await.map_err(wrong)? else { return Ok(()) };
        if event.state.is_final() {
            return Ok(());
        }
        let deed = Deed::to("secret.void", "event", id);
        self.told_by(By::Server, deed).cancel(tenant, event.key).await.map_err(wrong)?;
        self.stopped(event.key, id);
        Ok(())
    }

    /// The steps with which the source notes that a secret did not arrive.
    async fn noted_by(&self, event: Uuid, person: Uuid) -> crate::Result<Vec<Step>> {
        let (store, tenant) = (&self.inner.store, self.tenant_key());
        let Some(event) = store.event_by_id(tenant, event).await.map_err(wrong)? else { return Ok(Vec::new()) };
        let Some((source, kind)) = self.inner.event_type(&event.kind) else { return Ok(Vec::new()) };
        let mut steps = Vec::new();
        for declaration in source.declaration().objects.iter().filter(|one| one.naming == Naming::Person) {
            let Some(row) = self.named_object(self.declared_object(declaration.kind)?, &person.to_string()).await? else { continue };
            let existing = crate::admin::objects::existing(declaration.kind, &row);
            if let Some(keeping) = source.undelivered(kind.name, &existing) {
                steps.push(Step::Change(declaration.kind, crate::admin::acting::new_object(row.id, &keeping), Some(row.version)));
            }
        }
        Ok(steps)
    }

    async fn lost(&self, event: Uuid, key: PersonKey, (person, reason): (Uuid, Reason), step: Step) -> crate::Result<()> {
        let mut steps = self.noted_by(event, person).await?;
        if steps.is_empty() {
            // Whatever it was about has ended.
            return self.followed(step, false).await;
        }
        steps.push(step);
        let deed = Deed::to("secret.undelivered", "event", event).about([Whom::Person(key)]).with("reason", reason.word());
        let change = Change { steps, ..Change::default() };
        match self.told_by(By::Server, deed).change(self.tenant_key(), change).await {
            Ok(_) => {
                // An alarm names no address.
                let detail = format!(
                    "a mail with a secret for the person {person} did not arrive ({}): make a new one and hand it over",
                    reason.word()
                );
                self.raise_alarm(ALARM, &detail).await;
                Ok(())
            }
            // It changed meanwhile, and is looked at again.
            Err(StoreError::Stale { .. }) => Ok(()),
            Err(error) => Err(wrong(error)),
        }
    }

    /// Commits a step; where something that was lost is `mended` by it, the alarm ends with the last.
    async fn followed(&self, step: Step, mended: bool) -> crate::Result<()> {
        let (store, tenant) = (&self.inner.store, self.tenant_key());
        match store.change(tenant, Change { steps: vec![step], ..Change::default() }).await {
            Ok(_) | Err(StoreError::Stale { .. }) => {}
            Err(error) => return Err(wrong(error)),
        }
        if mended && !self.is_anything_lost().await? {
            self.clear_alarm(ALARM).await;
        }
        Ok(())
    }

    async fn is_anything_lost(&self) -> crate::Result<bool> {
        let mut after = None;
        loop {
            let page = self.inner.store.objects(self.tenant_key(), ObjectKind::Work, after, PAGE).await.map_err(wrong)?;
            let lost = |row: &Object| following(&row.document).ok().flatten().is_some_and(|following| following.lost);
            if page.iter().any(lost) {
                return Ok(true);
            }
            after = page.last().map(|row| row.id);
            if page.len() < PAGE as usize {
                return Ok(false);
            }
        }
    }
}

fn following(document: &serde_json::Value) -> crate::Result<Option<Following>> {
    Ok(match Work::read(document)?.todo {
        Todo::Follow(following) => Some(following),
        Todo::Conclude { .. } | Todo::Confirm(_) | Todo::Bulk(_) => None,
    })
}
