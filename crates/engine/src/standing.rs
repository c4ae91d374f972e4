//! What stands: the policy in force, and the gate through which every request leaves.
//!
//! *Off means now*: whoever starts a request holds the gate for reading while it looks and hands over; whoever changes
//! the policy holds it for writing while the new snapshot is put up. So after a change was answered, nothing starts by
//! the old one.

use crate::parts::Inner;
use arc_swap::ArcSwap;
use model::policy::{PolicySnapshot, SettingDeclaration};
use model::{Refusal, TenantKey};
use parking_lot::{RwLock, RwLockReadGuard};
use serde_json::Value;
use std::sync::Arc;
use store::Shared;
use tokio::sync::watch;

/// A wake-up that is never lost: who subscribed before it was rung will see it. It is a hint; rows are the truth.
pub struct Wake {
    bell: watch::Sender<u64>,
    /// Rings of this process only, to be told to the others.
    outside: watch::Sender<u64>,
}

/// Where to wait for rings; `changed` answers once for all since it last did.
pub type Bell = watch::Receiver<u64>;

impl Default for Wake {
    fn default() -> Wake {
        Wake { bell: watch::channel(0).0, outside: watch::channel(0).0 }
    }
}

impl Wake {
    /// Rings, here and at the other processes.
    pub fn notify_one(&self) {
        self.heard();
        self.outside.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Rings here: another process did.
    pub fn heard(&self) {
        self.bell.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// A bell to wait at.
    pub fn bell(&self) -> Bell {
        self.bell.subscribe()
    }

    /// A bell that only this process rings.
    pub fn outside(&self) -> Bell {
        self.outside.subscribe()
    }
}

/// The policy in force and the gate.
pub struct Standing {
    current: ArcSwap<PolicySnapshot>,
    gate: RwLock<()>,
    /// Whether what stands can be read: always, where nobody else can change it.
    sees: watch::Sender<bool>,
    /// One change at a time, so that snapshots go up in the order of their versions.
    turn: tokio::sync::Mutex<()>,
}

impl Standing {
    /// Reads the settings.
    pub(crate) async fn open(store: &Shared, tenant: TenantKey, declared: &[SettingDeclaration]) -> store::Result<Standing> {
        let (version, set) = store.settings(tenant).await?;
        let current = ArcSwap::from_pointee(PolicySnapshot::new(version, declared, set));
        Ok(Standing { current, gate: RwLock::new(()), sees: watch::channel(true).0, turn: tokio::sync::Mutex::new(()) })
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<PolicySnapshot> {
        self.current.load_full()
    }

    /// Its version, without taking a reference.
    pub fn version(&self) -> i64 {
        self.current.load().version
    }

    /// Held while one request is looked at and handed over.
    pub fn gate(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read()
    }

    /// Whether what stands is known; nothing may start while it is not.
    pub fn sees(&self) -> bool {
        *self.sees.borrow()
    }

    /// Resolves once what stands is known.
    pub async fn sighted(&self) {
        if !self.sees() {
            // The sender lives here, so waiting ends with the value.
            let _ = self.sees.subscribe().wait_for(|sees| *sees).await;
        }
    }

    /// Notes whether what stands can be read; answers what was noted before. After `false` nothing starts.
    pub(crate) fn see(&self, inner: &Inner, sees: bool) -> bool {
        if self.sees() == sees {
            return sees;
        }
        inner.closed(|| self.sees.send_replace(sees))
    }

    /// Takes over settings that another process changed.
    pub(crate) async fn read_again(&self, inner: &Inner) -> store::Result<()> {
        let _turn = self.turn.lock().await;
        let (version, set) = inner.store.settings(inner.tenant_key()).await?;
        if version > self.version() {
            let snapshot = Arc::new(PolicySnapshot::new(version, &inner.settings, set));
            inner.closed(|| self.current.store(snapshot));
        }
        Ok(())
    }

    /// Runs `change` while nothing can start.
    pub fn closed<T>(&self, change: impl FnOnce() -> T) -> T {
        let _closed = self.gate.write();
        change()
    }

    /// Sets one value (`None`: its default) and puts the new snapshot up. After this returns, no request starts by the old
    /// one. The value was checked by the caller, who also told the handle of the act.
    ///
    /// # Errors
    /// `stale` when `expected` is an older version; what the store says.
    pub(crate) async fn set(
        &self,
        inner: &Inner,
        told: &Shared,
        (key, value): (&str, Option<Value>),
        expected: Option<i64>,
    ) -> Result<i64, Refusal> {
        let _turn = self.turn.lock().await;
        let tenant = inner.tenant_key();
        let wrong = |e| crate::refusal("setting", e);
        told.put_setting(tenant, key, value, expected).await.map_err(wrong)?;
        let (version, set) = inner.store.settings(tenant).await.map_err(wrong)?;
        let snapshot = Arc::new(PolicySnapshot::new(version, &inner.settings, set));
        inner.closed(|| self.current.store(snapshot));
        inner.planned.notify_one();
        inner.changed.notify_one();
        Ok(version)
    }
}
