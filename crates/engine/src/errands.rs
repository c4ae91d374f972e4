//! Errands: what an outside system (a conferencing bridge) has to confirm before people are told.
//!
//! An act that needs one keeps it, sealed, in the transaction in which it changes its object. The errands of one object run one
//! after another, each until it is confirmed; then the events that waited for it are accepted in the transaction in which
//! it ends. A system that does not answer is asked again, ever more seldom, and an alarm says so; nobody is told in between.

use crate::Engine;
use crate::happenings::Ready;
use crate::hearing::later;
use crate::work::{Todo, Work};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::objects::ObjectKind;
use model::source::{Errand, Happening};
use model::{Refusal, RefusalKind, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Change, NewObject, Object, Step, StoreError};
use uuid::Uuid;

/// Errands of one object that wait, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waiting {
    /// The object that they are about.
    pub object: Uuid,
    /// Each as sealed JSON in base64.
    pub sealed: Vec<String>,
    /// How often the first was tried.
    pub tries: u32,
}

/// One errand, as it is sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    id: Uuid,
    kind: u8,
    at: Uuid,
    data: Value,
    secret: Option<Value>,
    happenings: Vec<KeptHappening>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptHappening {
    kind: String,
    person: Uuid,
    data: Value,
    secret: Option<Value>,
    mail_to: Option<String>,
}

/// What goes to an outside system.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Outside name of the errand: the same when it is tried again.
    pub id: Uuid,
    /// When it is tried.
    pub at: Timestamp,
    /// Where: an absolute URL.
    pub url: String,
    /// The key that signs it.
    pub key: Vec<u8>,
    /// What it says, as JSON.
    pub body: String,
}

/// What an outside system says to an errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It knows.
    Confirmed,
    /// It does not, and why. It is asked again.
    NotYet(String),
}

/// Who carries errands to outside systems.
#[async_trait]
pub trait Messenger: Send + Sync + 'static {
    /// Carries one, within a bounded time.
    async fn carry(&self, outgoing: Outgoing) -> Answered;
}

/// The field of an object in which the URL of its outside system stands.
const URL: &str = "adapterUrl";
/// The field in which the key stands that signs, sealed.
const SIGNING_KEY: &str = "adapterSecret";

/// The alarm about a system that does not confirm.
pub(crate) const ALARM: &str = "errand_unconfirmed";
/// Tries without a confirmation after which the alarm is raised.
const PATIENCE: u32 = 3;

fn context(object: Uuid) -> String {
    format!("errand/{object}")
}

/// What the signing key of an object is sealed under.
pub(crate) fn signing_context(object: Uuid) -> String {
    format!("signing/{object}")
}

/// The name under which the errands of an object are found.
pub(crate) fn key(object: Uuid) -> String {
    format!("errand/{object}")
}

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("errand", error)
}

impl Engine {
    /// The step that keeps an errand behind those of the same object that wait.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn errand_step(&self, by: String, object: Uuid, errand: &Errand, happenings: &[Happening]) -> crate::Result<Step> {
        let kept = Kept {
            id: Uuid::now_v7(),
            kind: errand.kind.number(),
            at: errand.at,
            data: errand.data.clone(),
            secret: errand.secret.clone(),
            happenings: happenings.iter().map(kept).collect(),
        };
        let text = serde_json::to_vec(&kept).expect("an errand has only names as keys");
        let sealed = STANDARD.encode(self.inner.keys.seal(&context(object), &text));
        let (store, tenant) = (&self.inner.store, self.tenant_key());
        let row = store.object_keyed(tenant, ObjectKind::Work, &key(object)).await.map_err(wrong)?;
        let now = self.now();
        let Some(row) = row else {
            let work = Work { by, todo: Todo::Confirm(Waiting { object, sealed: vec![sealed], tries: 0 }) };
            let id = Uuid::now_v7();
            return Ok(Step::Make(ObjectKind::Work, self.errand_object(id, object, &work, now)));
        };
        let mut work = Work::read(&row.document)?;
        if let Todo::Confirm(waiting) = &mut work.todo {
            waiting.sealed.push(sealed);
        }
        Ok(Step::Change(ObjectKind::Work, self.errand_object(row.id, object, &work, now), Some(row.version)))
    }

    fn errand_object(&self, id: Uuid, object: Uuid, work: &Work, due: Timestamp) -> NewObject {
        NewObject { id, name: id.to_string(), document: work.document(), keys: vec![key(object)], links: Vec::new(), due: Some(due) }
    }

    /// Tries the first errand of an object.
    ///
    /// # Errors
    /// What the store says; it stays due.
    pub(crate) async fn confirm(&self, row: &Object, work: &Work, waiting: &Waiting) -> crate::Result<()> {
        let Some(kept) = waiting.sealed.first().and_then(|sealed| self.opened(waiting.object, sealed)) else {
            return Err(Refusal::unavailable("an errand cannot be opened; its at-rest key is missing"));
        };
        match self.carried(&kept).await? {
            Answered::Confirmed => self.confirmed(row, work, waiting, &kept).await,
            Answered::NotYet(why) => {
                tracing::warn!(errand = %kept.id, why, "an outside system has not confirmed");
                if waiting.tries + 1 >= PATIENCE {
                    self.raise_alarm(ALARM, &format!("the system at {} has not confirmed a change: {why}", kept.at)).await;
                }
                let tried = Waiting { tries: waiting.tries + 1, ..waiting.clone() };
                let again = later(self.now(), waiting.tries);
                let work = Work { todo: Todo::Confirm(tried), ..work.clone() };
                let object = self.errand_object(row.id, waiting.object, &work, again);
                self.step_on(Step::Change(ObjectKind::Work, object, Some(row.version)), Vec::new()).await
            }
        }
    }

    async fn carried(&self, kept: &Kept) -> crate::Result<Answered> {
        let kind = ObjectKind::from_number(kept.kind)
            .ok_or_else(|| Refusal::unavailable("an errand is about a kind of object that is unknown"))?;
        let at = self.inner.store.object(self.tenant_key(), kind, kept.at).await.map_err(wrong)?;
        let text = |field: &str| at.as_ref().and_then(|at| at.document.get(field)).and_then(Value::as_str).unwrap_or_default();
        // Whoever took the system away, or the object, does not want to wait for it.
        if text(URL).is_empty() {
            return Ok(Answered::Confirmed);
        }
        let Some(messenger) = &self.inner.messenger else {
            return Ok(Answered::NotYet("this process carries no errands".to_owned()));
        };
        let sealed = STANDARD.decode(text(SIGNING_KEY)).unwrap_or_default();
        let Some(key) = self.inner.keys.open(&signing_context(kept.at), &sealed) else {
            return Ok(Answered::NotYet("its signing key cannot be opened; set adapterUrl anew to make another".to_owned()));
        };
        let mut data = kept.data.clone();
        if let (Some(fields), Some(Value::Object(secret))) = (data.as_object_mut(), &kept.secret) {
            fields.extend(secret.clone());
        }
        let at = self.now();
        let body = json!({ "type": "carillon.errand.v1", "timestamp": at, "data": data }).to_string();
        Ok(messenger.carry(Outgoing { id: kept.id, at, url: text(URL).to_owned(), key, body }).await)
    }

    async fn confirmed(&self, row: &Object, work: &Work, waiting: &Waiting, kept: &Kept) -> crate::Result<()> {
        let author = (Uuid::nil(), work.by.clone());
        let mut ready: Vec<Ready> = Vec::new();
        for happening in kept.happenings.iter().filter_map(|one| self.opened_happening(one)) {
            match self.ready_for_one(&author, &happening).await {
                Ok(one) => ready.push(one),
                // The person was deleted since.
                Err(refusal) if refusal.kind == RefusalKind::NotFound => {}
                Err(refusal) => return Err(refusal),
            }
        }
        if waiting.tries >= PATIENCE {
            self.clear_alarm(ALARM).await;
        }
        let rest = waiting.sealed[1..].to_vec();
        let step = if rest.is_empty() {
            Step::End(ObjectKind::Work, row.id, Some(row.version))
        } else {
            let waiting = Waiting { object: waiting.object, sealed: rest, tries: 0 };
            let work = Work { todo: Todo::Confirm(waiting.clone()), ..work.clone() };
            Step::Change(ObjectKind::Work, self.errand_object(row.id, waiting.object, &work, self.now()), Some(row.version))
        };
        self.step_on(step, ready).await
    }

    /// Commits a step of work with its events.
    async fn step_on(&self, step: Step, ready: Vec<Ready>) -> crate::Result<()> {
        let steps = [vec![step], self.follow_secrets(&ready).await?].concat();
        let change = Change { steps, events: ready.iter().map(Ready::acceptance).collect(), ..Change::default() };
        match self.inner.store.change(self.tenant_key(), change).await {
            Ok(accepted) => ready.into_iter().zip(accepted).for_each(|(one, accepted)| self.send_off(one, accepted)),
            // Another errand came behind it, or the policy moved: it is tried again, and the other side knows it by its id.
            Err(StoreError::Stale { .. } | StoreError::NotFound) => {}
            Err(error) => return Err(wrong(error)),
        }
        Ok(())
    }

    fn opened(&self, object: Uuid, sealed: &str) -> Option<Kept> {
        let text = self.inner.keys.open(&context(object), &STANDARD.decode(sealed).ok()?)?;
        serde_json::from_slice(&text).ok()
    }

    fn opened_happening(&self, kept: &KeptHappening) -> Option<Happening> {
        let (_, kind) = self.inner.event_type(&kept.kind)?;
        let KeptHappening { person, data, secret, mail_to, .. } = kept.clone();
        Some(Happening { kind: kind.name, person, data, secret, mail_to })
    }
}

fn kept(happening: &Happening) -> KeptHappening {
    let Happening { kind, person, data, secret, mail_to } = happening.clone();
    KeptHappening { kind: kind.to_owned(), person, data, secret, mail_to }
}
