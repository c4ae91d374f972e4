//! Who is asking: from a bearer secret to an actor. Only the SHA-256 of a secret is ever kept or compared. Answers are
//! remembered for some seconds, so that a busy caller does not cost a read per request; a revocation or deactivation in
//! this process is felt at once, one made by another process after [`FRESH`] at the latest.

use super::acts::Acts;
use super::repeat::Repeats;
use super::transfer::Transfers;
use crate::Engine;
use crate::keys::sha256;
use model::roles::{Actor, Grant};
use model::{DeviceKey, PersonKey, Refusal, RefusalKind, Timestamp};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::{Token, TokenUse};
use uuid::Uuid;

/// How long an answer of the store is trusted: bounds how late a revocation by another process is felt.
pub const FRESH: Duration = Duration::from_millis(800);
/// Tokens remembered at once: more than devices hold streams to one process; about 200 bytes each.
const MOST: usize = 65_536;
/// How often a device's *last seen* is written, at most.
const TOUCH: Duration = Duration::from_secs(60);
/// Longest secret that is looked at; ours have 47 characters.
const SECRET_BYTES: usize = 256;

/// One secret that was looked up.
#[derive(Clone)]
struct Known {
    actor: Actor,
    token: Uuid,
    expires_at: Option<Timestamp>,
    /// When one of the actor's role assignments ends.
    holds_until: Option<Timestamp>,
    looked_up_at: Timestamp,
}

/// Whom the door knows, what they asked already, and what they carry in and out.
#[derive(Default)]
pub struct Doorkeeper {
    known: RwLock<HashMap<[u8; 32], Known>>,
    /// Moves with every revocation, so that a look-up that began before it is not remembered after it.
    turns: AtomicU64,
    touched: Mutex<HashMap<DeviceKey, Timestamp>>,
    /// Requests with an idempotency key that are still open.
    pub(crate) repeats: Repeats,
    /// Imports and exports.
    pub(crate) transfers: Transfers,
    /// What was written into the audit lately.
    pub(crate) acts: Acts,
}

impl Doorkeeper {
    fn find(&self, hash: &[u8; 32], now: Timestamp) -> Option<Known> {
        let known = self.known.read().get(hash).cloned()?;
        let ended = known.holds_until.is_some_and(|end| now >= end);
        (!ended && now.since(known.looked_up_at) < FRESH && now >= known.looked_up_at).then_some(known)
    }

    fn keep(&self, hash: [u8; 32], known: Known, turn: u64) {
        let mut all = self.known.write();
        if self.turns.load(Ordering::SeqCst) != turn {
            return;
        }
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(hash, known);
    }

    fn forget(&self, which: impl Fn(&Known) -> bool) {
        let mut all = self.known.write();
        self.turns.fetch_add(1, Ordering::SeqCst);
        all.retain(|_, known| !which(known));
    }

    /// A token was revoked.
    pub(crate) fn forget_token(&self, id: Uuid) {
        self.forget(|known| known.token == id);
    }

    /// A person was deactivated or deleted.
    pub(crate) fn forget_person(&self, person: PersonKey) {
        self.forget(|known| match known.actor {
            Actor::Device { owner, .. } => owner == person,
            Actor::Admin { person: Some((key, _)), .. } => key == person,
            Actor::Admin { person: None, .. } => false,
        });
    }

    /// A device was deleted or changed hands.
    pub(crate) fn forget_device(&self, key: DeviceKey) {
        self.forget(|known| matches!(known.actor, Actor::Device { device, .. } if device == key));
    }

    /// Anybody may have changed: an import was applied.
    pub(crate) fn clear(&self) {
        self.forget(|_| true);
    }

    /// Whether the device's *last seen* is due to be written.
    fn should_touch(&self, device: DeviceKey, now: Timestamp) -> bool {
        let mut touched = self.touched.lock();
        if touched.get(&device).is_some_and(|last| now.since(*last) < TOUCH) {
            return false;
        }
        if touched.len() >= MOST {
            touched.retain(|_, last| now.since(*last) < TOUCH);
        }
        if touched.len() < MOST {
            touched.insert(device, now);
        }
        true
    }
}

fn unauthenticated(detail: &str) -> Refusal {
    Refusal::new(RefusalKind::Unauthenticated, "unauthenticated", detail)
}

/// Tokens that are looked through at once for one of them.
const TOKENS_AT_ONCE: u32 = 500;

impl Engine {
    /// The actor behind a bearer secret.
    ///
    /// # Errors
    /// `unauthenticated`, saying what to do: unknown, revoked, expired, or of a device that nobody owns any more.
    pub async fn actor(&self, bearer: &str) -> crate::Result<Actor> {
        if bearer.is_empty() || bearer.len() > SECRET_BYTES {
            return Err(unauthenticated("this is not a token of Carillon; send the one you were given as Authorization: Bearer car_…"));
        }
        // Nearly every operation reads the roster, which is loaded behind the first answers of a start.
        self.inner.roster.loaded().await;
        let hash = sha256(bearer.as_bytes());
        let now = self.now();
        let known = match self.inner.doorkeeper.find(&hash, now) {
            Some(known) => known,
            None => self.look_up(hash, now).await?,
        };
        if known.expires_at.is_some_and(|end| now >= end) {
            return Err(unauthenticated("the token has expired; ask an owner for a new one"));
        }
        if let Actor::Device { device, .. } = known.actor {
            self.note_seen(device, now);
        }
        Ok(known.actor)
    }

    async fn look_up(&self, hash: [u8; 32], now: Timestamp) -> crate::Result<Known> {
        let turn = self.inner.doorkeeper.turns.load(Ordering::SeqCst);
        let found = self.inner.store.find_token(hash).await.map_err(|e| crate::refusal("token", e))?;
        let ours = found.filter(|token| token.tenant == self.tenant_key());
        let token =
            ours.ok_or_else(|| unauthenticated("the token is not known here; check that it is whole and belongs to this server"))?;
        let known = self.known(token, now).await?;
        self.inner.doorkeeper.keep(hash, known.clone(), turn);
        Ok(known)
    }

    /// Writes *last seen* beside the request, at most once a minute for each device.
    fn note_seen(&self, device: DeviceKey, now: Timestamp) {
        if !self.inner.doorkeeper.should_touch(device, now) {
            return;
        }
        let engine = self.clone();
        self.inner.tasks.spawn(async move {
            // A device that an import is changing, or that was just deleted, is seen again in a minute or never.
            if let Err(error) = engine.inner.store.touch_device(engine.tenant_key(), device, now).await {
                tracing::debug!(%error, "a device's last seen was not written");
            }
        });
    }
}

/// What may be told of a token before its rights are looked up.
fn usable(token: &Token) -> crate::Result<()> {
    if token.revoked_at.is_some() {
        return Err(unauthenticated("the token was revoked; ask an owner for a new one, or enrol the device again"));
    }
    match (&token.opens, token.owner) {
        (TokenUse::Device(_), None) => {
            Err(unauthenticated("the device of this token belongs to nobody any more; enrol it again with a new code"))
        }
        (TokenUse::Person(_), None) => Err(unauthenticated("the person of this token is inactive or was removed; ask an owner")),
        _ => Ok(()),
    }
}

impl Engine {
    /// Who acts by the token with this id, now.
    ///
    /// # Errors
    /// `unauthenticated` where it opens nothing any more; what the store says.
    pub(crate) async fn actor_of(&self, id: Uuid) -> crate::Result<Actor> {
        let (mut after, mut found) = (None, None);
        while found.is_none() {
            let page = self.inner.store.tokens(self.tenant_key(), after, TOKENS_AT_ONCE).await.map_err(|e| crate::refusal("token", e))?;
            after = page.last().map(|token| token.id);
            if after.is_none() {
                break;
            }
            found = page.into_iter().find(|token| token.id == id);
        }
        let token = found.ok_or_else(|| unauthenticated("the token is gone"))?;
        let now = self.now();
        let known = self.known(token, now).await?;
        if known.expires_at.is_some_and(|end| now >= end) {
            return Err(unauthenticated("the token has expired"));
        }
        Ok(known.actor)
    }

    async fn known(&self, token: Token, now: Timestamp) -> crate::Result<Known> {
        usable(&token)?;
        let id = token.id;
        let (actor, holds_until) = match (token.opens, token.owner) {
            (TokenUse::Device(device), Some(owner)) => (Actor::Device { device, owner }, None),
            (TokenUse::Person(_), Some(person)) => {
                let (grants, until) = self.grants_of(person, now).await?;
                let found = self.inner.store.person(self.tenant_key(), person).await.map_err(|e| crate::refusal("user", e))?;
                let found = found.ok_or_else(|| unauthenticated("the person of this token was removed; ask an owner"))?;
                (Actor::Admin { token: id, name: found.fields.display_name, person: Some((person, found.id)), grants }, until)
            }
            (TokenUse::Admin { role, scope }, _) => {
                let permissions = self.permissions_of(role).await?;
                (Actor::Admin { token: id, name: token.name, person: None, grants: vec![Grant { permissions, scope }] }, None)
            }
            (_, None) => return Err(unauthenticated("this token opens nothing; ask an owner for a new one")),
        };
        Ok(Known { actor, token: id, expires_at: token.expires_at, holds_until, looked_up_at: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(device: u32, owner: u32, at: i64) -> Known {
        let actor = Actor::Device { device: DeviceKey(device), owner: PersonKey(owner) };
        Known { actor, token: Uuid::from_u128(u128::from(device)), expires_at: None, holds_until: None, looked_up_at: Timestamp(at) }
    }

    #[test]
    fn a_deactivated_persons_devices_are_forgotten_at_once() {
        let door = Doorkeeper::default();
        door.keep([1; 32], device(1, 7, 0), 0);
        door.keep([2; 32], device(2, 8, 0), 0);
        door.forget_person(PersonKey(7));
        assert!(door.find(&[1; 32], Timestamp(0)).is_none() && door.find(&[2; 32], Timestamp(0)).is_some());
    }

    #[test]
    fn a_look_up_that_began_before_a_revocation_is_not_remembered() {
        let door = Doorkeeper::default();
        let turn = door.turns.load(Ordering::SeqCst);
        door.forget_token(Uuid::from_u128(1));
        door.keep([1; 32], device(1, 7, 0), turn);
        assert!(door.find(&[1; 32], Timestamp(0)).is_none());
    }

    #[test]
    fn an_answer_is_trusted_for_less_than_a_second() {
        let door = Doorkeeper::default();
        door.keep([1; 32], device(1, 7, 1_000), 0);
        assert!(door.find(&[1; 32], Timestamp(1_799)).is_some());
        assert!(door.find(&[1; 32], Timestamp(1_800)).is_none());
        assert!(door.find(&[1; 32], Timestamp(0)).is_none(), "a clock that went back");
    }

    #[test]
    fn last_seen_is_written_once_a_minute() {
        let door = Doorkeeper::default();
        assert!(door.should_touch(DeviceKey(1), Timestamp(0)));
        assert!(!door.should_touch(DeviceKey(1), Timestamp(59_999)));
        assert!(door.should_touch(DeviceKey(1), Timestamp(60_000)));
    }

    #[test]
    fn revoked_tokens_and_devices_of_nobody_are_told_what_to_do() {
        let token = |opens, owner, revoked_at| Token {
            tenant: model::TenantKey(1),
            id: Uuid::nil(),
            name: "x".into(),
            opens,
            owner,
            created_at: Timestamp(0),
            expires_at: None,
            revoked_at,
        };
        let orphan = usable(&token(TokenUse::Device(DeviceKey(1)), None, None)).expect_err("nobody's");
        assert!(orphan.detail.contains("enrol it again"));
        let revoked = usable(&token(TokenUse::Device(DeviceKey(1)), Some(PersonKey(1)), Some(Timestamp(0))));
        assert!(revoked.expect_err("revoked").detail.contains("was revoked"));
    }
}
