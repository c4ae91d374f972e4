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
pub struct Wake(watch::Sender<u64>);

impl Default for Wake {
    fn default() -> Wake {
        Wake(watch::channel(0).0)
    }
}

impl Wake {
    /// Rings.
    pub fn notify_one(&self) {
        self.0.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// A bell to wait at; `changed` answers once for all rings since it last did.
    pub fn bell(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// The policy in force and the gate.
pub struct Standing {
    current: ArcSwap<PolicySnapshot>,
    gate: RwLock<()>,
    /// One change at a time, so that snapshots go up in the order of their versions.
    turn: tokio::sync::Mutex<()>,
}

impl Standing {
    /// Reads the settings.
    pub(crate) async fn open(store: &Shared, tenant: TenantKey, declared: &[SettingDeclaration]) -> store::Result<Standing> {
        let (version, set) = store.settings(tenant).await?;
        let current = ArcSwap::from_pointee(PolicySnapshot::new(version, declared, set));
        Ok(Standing { current, gate: RwLock::new(()), turn: tokio::sync::Mutex::new(()) })
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

    /// Runs `change` while nothing can start.
    pub fn closed<T>(&self, change: impl FnOnce() -> T) -> T {
        let _closed = self.gate.write();
        change()
    }

    /// Sets one value (`None`: its default) and puts the new snapshot up. After this returns, no request starts by the old
    /// one. The value was checked by the caller.
    ///
    /// # Errors
    /// `stale` when `expected` is an older version; what the store says.
    pub(crate) async fn set(&self, inner: &Inner, key: &str, value: Option<Value>, expected: Option<i64>) -> Result<i64, Refusal> {
        let _turn = self.turn.lock().await;
        let tenant = inner.tenant_key();
        let wrong = |e| crate::refusal("setting", e);
        inner.store.put_setting(tenant, key, value, expected).await.map_err(wrong)?;
        let (version, set) = inner.store.settings(tenant).await.map_err(wrong)?;
        let snapshot = Arc::new(PolicySnapshot::new(version, &inner.settings, set));
        self.closed(|| self.current.store(snapshot));
        inner.planned.notify_one();
        Ok(version)
    }
}
