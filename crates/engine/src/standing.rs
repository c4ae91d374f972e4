//! What stands: the policy in force, and the gate through which every request leaves.
//!
//! *Off means now*: whoever starts a request holds the gate for reading while it looks and hands over; whoever changes
//! the policy holds it for writing while the new snapshot is put up. So after a change was answered, nothing starts by
//! the old one.

use crate::neighbours;
use crate::parts::Inner;
use arc_swap::ArcSwap;
use model::policy::{PolicySnapshot, SettingDeclaration};
use model::{Refusal, TenantKey};
use parking_lot::{RwLock, RwLockReadGuard};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use store::Shared;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A wake-up that is never lost: who listened before it was rung will see it. It is a hint; rows are the truth. Listeners
/// wake in the order in which they wait (a `watch` channel would draw lots), so that a run of the simulation repeats.
#[derive(Default)]
pub struct Wake {
    bell: Arc<Rings>,
    /// Rings of this process only, to be told to the others.
    outside: Arc<Rings>,
}

#[derive(Default)]
struct Rings {
    count: AtomicU64,
    waiting: Notify,
}

impl Rings {
    fn ring(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.waiting.notify_waiters();
    }

    fn listen(self: &Arc<Rings>) -> Bell {
        Bell { heard: self.count.load(Ordering::Acquire), rings: self.clone() }
    }
}

/// Where to wait for rings; `changed` answers once for all since it last did.
pub struct Bell {
    rings: Arc<Rings>,
    heard: u64,
}

impl Bell {
    /// Takes every ring so far for heard.
    pub fn hear(&mut self) {
        self.heard = self.rings.count.load(Ordering::Acquire);
    }

    /// Waits for a ring that was not heard.
    pub async fn changed(&mut self) {
        loop {
            // Listens before it looks, so that no ring falls in between.
            let rings = self.rings.clone();
            let ring = rings.waiting.notified();
            tokio::pin!(ring);
            ring.as_mut().enable();
            let rung = self.rings.count.load(Ordering::Acquire);
            if rung != self.heard {
                self.heard = rung;
                return;
            }
            ring.await;
        }
    }
}

impl Wake {
    /// Rings, here and at the other processes.
    pub fn notify_one(&self) {
        self.heard();
        self.outside.ring();
    }

    /// Rings here: another process did.
    pub fn heard(&self) {
        self.bell.ring();
    }

    /// A bell to wait at.
    pub fn bell(&self) -> Bell {
        self.bell.listen()
    }

    /// A bell that only this process rings.
    pub fn outside(&self) -> Bell {
        self.outside.listen()
    }
}

/// The policy in force and the gate.
pub struct Standing {
    current: ArcSwap<PolicySnapshot>,
    gate: RwLock<()>,
    /// Whether what stands can be read: always, where nobody else can change it.
    sees: AtomicBool,
    /// When it was last read, in milliseconds after `opened`; `u64::MAX` where nobody else can change it.
    looked_ms: AtomicU64,
    opened: Instant,
    /// Rung when it was read.
    sighted: Arc<Rings>,
    /// One change at a time, so that snapshots go up in the order of their versions.
    turn: tokio::sync::Mutex<()>,
}

impl Standing {
    /// Reads the settings.
    pub(crate) async fn open(store: &Shared, tenant: TenantKey, declared: &[SettingDeclaration]) -> store::Result<Standing> {
        let (version, set) = store.settings(tenant).await?;
        let looked_ms = AtomicU64::new(if store.is_shared() { 0 } else { u64::MAX });
        let current = ArcSwap::from_pointee(PolicySnapshot::new(version, declared, set));
        Ok(Standing {
            current,
            gate: RwLock::new(()),
            sees: AtomicBool::new(true),
            looked_ms,
            opened: Instant::now(),
            sighted: Arc::default(),
            turn: tokio::sync::Mutex::new(()),
        })
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

    /// Whether what stands is known; nothing may start while it is not. A process that was stopped for a while does not
    /// know it, even before it had the time to notice.
    pub fn sees(&self) -> bool {
        let blind_ms = self.looked_ms.load(Ordering::Acquire).saturating_add(neighbours::BLIND.as_millis() as u64);
        self.sees.load(Ordering::Acquire) && (blind_ms == u64::MAX || self.since_opened_ms() < blind_ms)
    }

    fn since_opened_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Policy and cancellations were just taken over.
    pub(crate) fn looked(&self) {
        self.looked_ms.store(self.since_opened_ms(), Ordering::Release);
        self.sighted.ring();
    }

    /// Resolves once what stands is known.
    pub async fn sighted(&self) {
        let mut bell = self.sighted.listen();
        while !self.sees() {
            bell.changed().await;
        }
    }

    /// Notes whether what stands can be read; answers what was noted before. After `false` nothing starts.
    pub(crate) fn see(&self, inner: &Inner, sees: bool) -> bool {
        if self.sees.load(Ordering::Acquire) == sees {
            return sees;
        }
        let before = inner.closed(|| self.sees.swap(sees, Ordering::AcqRel));
        self.sighted.ring();
        before
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

    /// Sets values (`None`: the default), all or none, and puts the new snapshot up. After this returns, no request starts by the
    /// old one. Each value was checked by the caller, who also told the handle of the act; whether they go together with what
    /// stands is checked here.
    ///
    /// # Errors
    /// A fault of a setting, named by its key, when they do not go together; `stale` when `expected` is an older version; what the
    /// store says.
    pub(crate) async fn set(
        &self,
        inner: &Inner,
        told: &Shared,
        changes: Vec<(String, Option<Value>)>,
        expected: Option<i64>,
    ) -> Result<i64, Refusal> {
        let _turn = self.turn.lock().await;
        let tenant = inner.tenant_key();
        let wrong = |e| crate::refusal("setting", e);
        let before = self.policy();
        let mut after = changes.iter().fold((*before).clone(), |policy, (key, value)| policy.with(&inner.settings, key, value.clone()));
        // Several changes are one version.
        after.version = before.version + 1;
        for source in inner.sources.iter().filter(|source| source.check_settings(&before).is_ok()) {
            source.check_settings(&after).map_err(|fault| Refusal::fields(vec![fault]))?;
        }
        let version = told.put_settings(tenant, changes, expected).await.map_err(wrong)?;
        // The change is kept: from here on nothing may fail before it holds. Only where another process changed something in
        // between is there more to read than what was said here.
        let snapshot = if version == after.version {
            after
        } else {
            let (version, set) = inner.store.settings(tenant).await.map_err(wrong)?;
            PolicySnapshot::new(version, &inner.settings, set)
        };
        let version = snapshot.version;
        let snapshot = Arc::new(snapshot);
        inner.closed(|| self.current.store(snapshot));
        inner.planned.notify_one();
        inner.changed.notify_one();
        Ok(version)
    }
}
