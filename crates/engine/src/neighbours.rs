//! Other processes on the same store: what they changed is noticed here, and what this one changed is told them. Rows are
//! the truth; a hint that is lost costs lateness. None of this runs on an embedded store, which has one process.
//!
//! *Off means now* holds on every process within a second: the policy's version is read again every [`LOOK`], and a
//! process that cannot read it for [`BLIND`] stops sending until it can.

use crate::standing::Bell;
use crate::{Engine, alarms, dispatch};
use model::{DeviceKey, EventKey, Timestamp};
use std::collections::HashSet;
use std::time::Duration;
use store::{StandingRow, Wake};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// How often policy, memberships and cancellations are read again.
const LOOK: Duration = Duration::from_millis(250);
/// A process that could not read them for so long stops sending.
pub(crate) const BLIND: Duration = Duration::from_millis(750);
/// How often a process says that it lives.
const BEAT: Duration = Duration::from_secs(2);
/// A process that was silent for so long is taken for dead: its claims, roles and streams are free. Also the length of
/// every lease here.
pub(crate) const ALIVE: Duration = Duration::from_secs(10);
/// Hints of one kind are told at most this often.
const BREATH: Duration = Duration::from_millis(10);
/// A hint may be lost; this bounds how late an event is shown in the apps that are open at another process.
const POLL: Duration = Duration::from_secs(1);
/// Events read at once to be shown.
const PAGE: u32 = 64;
/// Most cancelled events remembered; those that are done with leave by themselves.
const CANCELLED: usize = 10_000;

/// Starts the loops of a process that has neighbours.
pub(crate) fn start(engine: &Engine) {
    let inner = &engine.inner;
    if !inner.store.is_shared() {
        return;
    }
    inner.tasks.spawn(listen(engine.clone()));
    inner.tasks.spawn(look(engine.clone()));
    inner.tasks.spawn(beat(engine.clone()));
    inner.tasks.spawn(show(engine.clone()));
    for (bell, wake) in [
        (&inner.accepted, Wake::Accepted),
        (&inner.planned, Wake::Planned),
        (&inner.changed, Wake::Standing),
        (&inner.published, Wake::Published),
    ] {
        inner.tasks.spawn(tell(engine.clone(), bell.outside(), wake));
    }
}

/// Hears the others.
async fn listen(engine: Engine) {
    let inner = &engine.inner;
    let mut wakes = inner.store.wakes();
    loop {
        let wake = tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            wake = wakes.recv() => wake,
        };
        match wake {
            Ok(Wake::Accepted) => inner.accepted.heard(),
            Ok(Wake::Planned) => inner.planned.heard(),
            Ok(Wake::Standing) => inner.changed.heard(),
            Ok(Wake::Published) => inner.published.heard(),
            Ok(Wake::Everything) | Err(RecvError::Lagged(_)) => {
                for bell in [&inner.accepted, &inner.planned, &inner.changed, &inner.published] {
                    bell.heard();
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Tells the others of one kind of thing, however often it happens, at a bounded rate.
async fn tell(engine: Engine, mut rung: Bell, wake: Wake) {
    let inner = &engine.inner;
    loop {
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            () = rung.changed() => {}
        }
        rung.hear();
        if let Err(error) = inner.store.ring(wake).await {
            tracing::debug!(%error, "the other processes cannot be told; they will see for themselves");
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// Reads again what stands, and stops sending while that cannot be done.
async fn look(engine: Engine) {
    let inner = &engine.inner;
    let mut bell = inner.changed.bell();
    let mut seen = Instant::now();
    // It is looked four times a second: what is wrong is told when it begins and when it changes, not each time.
    let mut told = String::new();
    loop {
        let wrong = match tokio::time::timeout(BLIND, inner.store.standing(inner.tenant_key())).await {
            Ok(Ok(row)) => match take_over(&engine, row).await {
                Ok(()) => {
                    seen = Instant::now();
                    alarms::store_works(&engine).await;
                    String::new()
                }
                Err(error) => format!("what another process changed cannot be read: {error}"),
            },
            Ok(Err(error)) => format!("what stands cannot be read: {error}"),
            Err(_) => "what stands cannot be read in time".to_owned(),
        };
        if !wrong.is_empty() && wrong != told {
            tracing::warn!("{wrong}");
        }
        told = wrong;
        let sees = seen.elapsed() < BLIND;
        if inner.standing.see(inner, sees) != sees {
            match sees {
                true => tracing::info!("sending goes on: the policy can be read again"),
                false => alarms::store_failed(&engine, "the policy cannot be read, so it is not known what it allows, and sending stops"),
            }
        }
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
            () = bell.changed() => {}
        }
        bell.hear();
    }
}

async fn take_over(engine: &Engine, row: StandingRow) -> store::Result<()> {
    let inner = &engine.inner;
    if row.policy > inner.standing.version() {
        inner.standing.read_again(inner).await?;
        inner.planned.heard();
    }
    let known = inner.cancelled.read().clone();
    let new: HashSet<_> = row.cancelled.into_iter().filter(|event| !known.contains(event)).collect();
    if !new.is_empty() {
        inner.closed(|| {
            let mut cancelled = inner.cancelled.write();
            if cancelled.len() > CANCELLED {
                cancelled.clear();
            }
            cancelled.extend(&new);
        });
        inner.planned.heard();
        withdraw(engine, &new).await?;
    }
    inner.standing.looked();
    if inner.roster.is_loaded() {
        inner.roster.catch_up(&inner.store, inner.tenant_key(), row.directory).await?;
    }
    Ok(())
}

/// Takes events that another process cancelled away from the apps that are open here.
async fn withdraw(engine: &Engine, events: &HashSet<EventKey>) -> store::Result<()> {
    let inner = &engine.inner;
    if inner.streams.count() == 0 {
        return Ok(());
    }
    for event in events {
        if let Some(event) = inner.store.event(inner.tenant_key(), *event).await? {
            engine.withdraw(event.id);
        }
    }
    Ok(())
}

/// Says that this process lives.
async fn beat(engine: Engine) {
    let inner = &engine.inner;
    loop {
        let now = engine.now();
        match inner.store.beat(inner.node, now.plus(ALIVE)).await {
            Ok(()) => metrics::gauge!("carillon_beat_timestamp_seconds").set(now.unix_seconds() as f64),
            Err(error) => tracing::warn!(%error, "the other processes cannot be told that this one lives"),
        }
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(BEAT) => {}
        }
    }
}

/// Shows events in the open apps of this process, in the order of their places in the inbox, whichever process accepted
/// them: a stream that resumes by place then misses nothing.
async fn show(engine: Engine) {
    let inner = &engine.inner;
    let mut bell = inner.published.bell();
    let mut head = None;
    loop {
        if let Err(error) = show_new(&engine, &mut head).await {
            tracing::warn!(%error, "new notifications cannot be shown in open apps now");
        }
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(POLL) => {}
            () = bell.changed() => {}
        }
        bell.hear();
    }
}

async fn show_new(engine: &Engine, head: &mut Option<i64>) -> store::Result<()> {
    let inner = &engine.inner;
    let tenant = inner.tenant_key();
    let Some(mut after) = *head else {
        *head = Some(inner.store.inbox_head(tenant).await?);
        return Ok(());
    };
    loop {
        let events = inner.store.published(tenant, after, PAGE).await?;
        for event in &events {
            if let Err(refusal) = dispatch::show(engine, event).await {
                tracing::warn!(%refusal, "an event cannot be shown in open apps");
            }
            after = event.inbox_seq.unwrap_or(after);
            *head = Some(after);
        }
        if events.len() < PAGE as usize {
            return Ok(());
        }
    }
}

impl Engine {
    /// How long a claim lasts without renewal.
    pub(crate) fn lease(&self) -> Duration {
        if self.inner.store.is_shared() { ALIVE } else { crate::deliver::LEASE }
    }

    /// Takes or keeps a role that one process at a time has. On an embedded store this process has every role.
    pub(crate) async fn holds_role(&self, role: &str) -> bool {
        let inner = &self.inner;
        if !inner.store.is_shared() {
            return true;
        }
        let until = self.now().plus(ALIVE);
        inner.store.hold_role(role, inner.node, until).await.unwrap_or_else(|error| {
            tracing::warn!(%error, role, "a role cannot be taken");
            false
        })
    }

    /// Lets a role go.
    pub(crate) async fn drop_role(&self, role: &str) {
        let inner = &self.inner;
        if inner.store.is_shared()
            && let Err(error) = inner.store.hold_role(role, inner.node, Timestamp(0)).await
        {
            tracing::debug!(%error, role, "a role cannot be let go; it runs out");
        }
    }

    /// Brings the resident memberships to the store's version before an audience is resolved.
    pub(crate) async fn caught_up(&self) -> crate::Result<()> {
        let inner = &self.inner;
        if !inner.store.is_shared() {
            return Ok(());
        }
        let wrong = |e| crate::refusal("group", e);
        let (version, _) = inner.store.directory_version(inner.tenant_key()).await.map_err(wrong)?;
        inner.roster.catch_up(&inner.store, inner.tenant_key(), version).await.map_err(wrong)
    }

    /// Tells the other processes that a device's first stream opened or its last one closed here.
    pub(crate) async fn tell_stream(&self, device: DeviceKey, open: bool) {
        let inner = &self.inner;
        if inner.store.is_shared()
            && let Err(error) = inner.store.stream(inner.tenant_key(), inner.node, device, open).await
        {
            tracing::debug!(%error, "the other processes cannot be told of a stream; a push may come beside it");
        }
    }

    /// Which of these devices hold a stream at another process.
    pub(crate) async fn streams_elsewhere(&self, devices: impl FnOnce() -> Vec<DeviceKey>) -> crate::Result<HashSet<DeviceKey>> {
        let inner = &self.inner;
        if !inner.store.is_shared() {
            return Ok(HashSet::new());
        }
        let devices = devices();
        if devices.is_empty() {
            return Ok(HashSet::new());
        }
        let found = inner.store.streams_elsewhere(inner.tenant_key(), inner.node, devices).await;
        Ok(found.map_err(|e| crate::refusal("device", e))?.into_iter().collect())
    }
}
