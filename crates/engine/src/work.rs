//! Work that is not finished yet and has its hour: calls that are gathered, errands to outside systems. Each is an
//! object that nobody is shown, found by when it is due; one process at a time does it. What is done is committed with the end, or the next
//! step, of the work, so a crash in between repeats it and loses nothing.

use crate::Engine;
use model::objects::ObjectKind;
use model::{Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use store::Object;

/// Most work looked at in one go.
const PAGE: u32 = 100;
/// Longest nap where other processes may leave work that has no bell here.
const SHARED_NAP: Duration = Duration::from_millis(500);
/// Longest nap where this process hears of all work.
const NAP: Duration = Duration::from_secs(30);
/// Shortest nap, when something is due that could not be done.
const BREATH: Duration = Duration::from_millis(250);

/// A piece of work as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Work {
    /// In whose name.
    pub by: String,
    /// What there is to do.
    #[serde(flatten)]
    pub todo: Todo,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "camelCase")]
pub(crate) enum Todo {
    /// Say what something comes to that was heard.
    Conclude {
        /// Whose rule it is.
        source: String,
        /// What was gathered.
        document: Value,
    },
    /// Tell an outside system, and people when that has confirmed.
    Confirm(crate::errands::Waiting),
    /// Do one act for many people.
    Bulk(crate::admin::bulk_acts::Bulk),
    /// See what becomes of a mail with a secret.
    Follow(crate::secrets::Following),
}

impl Work {
    /// Reads what is kept.
    ///
    /// # Errors
    /// It was written by a later version.
    pub fn read(document: &Value) -> crate::Result<Work> {
        serde_json::from_value(document.clone()).map_err(|error| Refusal::unavailable(format!("unfinished work cannot be read: {error}")))
    }

    /// As it is kept.
    pub fn document(&self) -> Value {
        serde_json::to_value(self).expect("work has only names as keys")
    }

    /// What was gathered, where it is a gathering.
    pub fn gathered(&self) -> Value {
        match &self.todo {
            Todo::Conclude { document, .. } => document.clone(),
            Todo::Confirm(_) | Todo::Bulk(_) | Todo::Follow(_) => Value::Null,
        }
    }
}

/// The loop.
pub(crate) async fn run(engine: Engine) {
    let inner = &engine.inner;
    let mut bell = inner.work.bell();
    let longest = if inner.store.is_shared() { SHARED_NAP } else { NAP };
    loop {
        let mut nap = longest;
        if engine.holds_role("work").await {
            match engine.work_due().await {
                Ok(next) => nap = next.map_or(longest, |next| next.since(engine.now()).clamp(Duration::from_millis(1), longest)),
                Err(refusal) => {
                    tracing::warn!(%refusal, "unfinished work cannot be done now");
                    nap = BREATH;
                }
            }
        }
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            () = bell.changed() => {}
            () = tokio::time::sleep(nap) => {}
        }
    }
}

impl Engine {
    /// Does what is due; answers when the next is.
    async fn work_due(&self) -> crate::Result<Option<Timestamp>> {
        let wrong = |e| crate::refusal("work", e);
        let (store, tenant) = (&self.inner.store, self.tenant_key());
        let due = store.objects_due(tenant, ObjectKind::Work, self.now(), PAGE).await.map_err(wrong)?;
        let mut stuck = false;
        for row in &due {
            if self.inner.stop.is_cancelled() {
                return Ok(None);
            }
            if let Err(refusal) = self.work_on(row).await {
                tracing::warn!(%refusal, work = %row.id, "a piece of unfinished work cannot be done now");
                stuck = true;
            }
        }
        if stuck {
            return Ok(Some(self.now().plus(BREATH)));
        }
        store.next_due(tenant, ObjectKind::Work).await.map_err(wrong)
    }

    async fn work_on(&self, row: &Object) -> crate::Result<()> {
        let work = Work::read(&row.document)?;
        match &work.todo {
            Todo::Conclude { source, document } => self.conclude(row, &work.by, source, document).await,
            Todo::Confirm(waiting) => self.confirm(row, &work, waiting).await,
            Todo::Bulk(bulk) => self.bulk_turn(row, &work, bulk).await,
            Todo::Follow(following) => self.follow(row, following).await,
        }
    }
}
