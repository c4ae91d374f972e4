//! What happens by itself: forgetting what is older than the retention allows. Scheduled events are picked up
//! by dispatch at their hour.

use crate::Engine;
use std::time::Duration;

/// How often to look whether there is something to forget.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// With `retention.days` 0 texts go as soon as they are dismissed or expired everywhere.
const ERASE_EVERY: Duration = Duration::from_secs(1);
/// Between two short steps of forgetting, so that they never crowd out work.
const BREATH: Duration = Duration::from_millis(20);
const DAY: Duration = Duration::from_secs(86_400);

/// The loop.
pub(crate) async fn run(engine: Engine) {
    let inner = &engine.inner;
    // A change of policy rings it too: a shorter retention begins at once.
    let mut bell = inner.planned.bell();
    loop {
        let version = inner.standing.version();
        let days = u32::try_from(inner.standing.policy().number("retention.days")).unwrap_or(30);
        let nap = if days == 0 { ERASE_EVERY } else { FORGET_EVERY };
        if engine.holds_role("timers").await {
            forget(&engine, days).await;
        }
        let woken = async {
            while inner.standing.version() == version {
                bell.changed().await;
            }
        };
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(nap) => {}
            () = woken => {}
        }
    }
}

async fn forget(engine: &Engine, days: u32) {
    let inner = &engine.inner;
    // Zero days erases texts at once; what was decided about them is still explained for a day.
    let before = engine.now().minus(DAY * days.max(1));
    loop {
        match inner.store.forget(inner.tenant_key(), before, days == 0).await {
            Ok(true) if !inner.stop.is_cancelled() => tokio::time::sleep(BREATH).await,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "what is too old cannot be forgotten now");
                return;
            }
        }
    }
}
