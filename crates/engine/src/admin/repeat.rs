//! Repeated requests (IETF draft Idempotency-Key): a creating request that carries a key is done once, whatever the
//! network makes of it. The answer is kept by the store in the transaction that creates; here stand the requests that are
//! still open, and the comparison.

use crate::{Engine, Repeat};
use model::roles::Actor;
use model::{Refusal, RefusalKind};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;
use store::Once;

pub use store::Answer;
use uuid::Uuid;

/// Longest key.
const KEY_BYTES: usize = 255;

type Open = Arc<Mutex<HashSet<(Uuid, String)>>>;

/// Keys of requests that are being worked on. Bounded by the number of connections.
#[derive(Default)]
pub struct Repeats {
    open: Open,
}

/// Keeps a key open until dropped.
#[derive(Debug)]
pub struct RepeatGuard {
    open: Open,
    key: (Uuid, String),
}

impl Drop for RepeatGuard {
    fn drop(&mut self) {
        self.open.lock().remove(&self.key);
    }
}

/// What to do with a request that carries a key.
#[derive(Debug)]
pub enum Begun {
    /// It is new: do it, and drop the guard when it was answered.
    Fresh(RepeatGuard),
    /// It was done before: this was the answer.
    Replay(Answer),
}

impl Engine {
    /// Begins a request that carries an idempotency key.
    ///
    /// # Errors
    /// `invalid_idempotency_key`, `idempotency_mismatch`, `idempotency_in_progress`.
    pub async fn begin(&self, actor: &Actor, repeat: &Repeat) -> crate::Result<Begun> {
        self.begin_for(asker(actor), repeat).await
    }

    /// The same for whoever is known by something else than a token.
    ///
    /// # Errors
    /// As [`Engine::begin`].
    pub(super) async fn begin_for(&self, asker: Uuid, repeat: &Repeat) -> crate::Result<Begun> {
        let visible = repeat.key.bytes().all(|b| b.is_ascii_graphic());
        if repeat.key.is_empty() || repeat.key.len() > KEY_BYTES || !visible {
            let rule = format!("takes 1 to {KEY_BYTES} visible ASCII characters, without blanks");
            return Err(Refusal {
                kind: RefusalKind::Malformed,
                code: "invalid_idempotency_key",
                ..Refusal::field("Idempotency-Key", rule)
            });
        }
        let key = (asker, repeat.key.clone());
        if !self.inner.doorkeeper.repeats.open.lock().insert(key.clone()) {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "idempotency_in_progress",
                "a request with this Idempotency-Key is still being worked on; repeat it in a moment",
            ));
        }
        let guard = RepeatGuard { open: self.inner.doorkeeper.repeats.open.clone(), key };
        let kept = self.inner.store.answered(self.tenant_key(), guard.key.0, &repeat.key).await;
        match kept.map_err(|e| crate::refusal("request", e))? {
            None => Ok(Begun::Fresh(guard)),
            Some(answer) if answer.request == repeat.request => Ok(Begun::Replay(answer)),
            Some(_) => Err(Refusal::new(
                RefusalKind::Invalid,
                "idempotency_mismatch",
                "this Idempotency-Key was used for another request within the last day; take a new key for a new request",
            )),
        }
    }
}

/// In whose name keys are kept: two tokens may use the same one.
fn asker(actor: &Actor) -> Uuid {
    match actor {
        Actor::Admin { token, .. } => *token,
        Actor::Device { .. } => Uuid::nil(),
    }
}

/// The answer to keep for a request that creates the object `id`: the view without secrets.
pub(crate) fn created(actor: &Actor, repeat: Option<&Repeat>, view: &impl Serialize, id: &str) -> Option<Once> {
    repeat.map(|repeat| kept(actor, repeat, 201, view, format!("{}/{id}", repeat.place)))
}

/// The answer to keep for a request that changes something without making an object with a place of its own.
pub(crate) fn kept(actor: &Actor, repeat: &Repeat, status: u16, view: &impl Serialize, location: String) -> Once {
    let body = serde_json::to_vec(view).expect("a view has only names as keys");
    Once {
        token: asker(actor),
        key: repeat.key.clone(),
        request: repeat.request,
        answer: Answer { request: repeat.request, status, body, location },
    }
}
