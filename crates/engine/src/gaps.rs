//! Whiles in which an integration heard nothing: kept, shown to whoever asks why, and filled from call records where there are some.
//!
//! Until when an integration heard everything is kept, too, so that the next process knows what was missed between it and the
//! one before.

use crate::Engine;
use crate::admin::acts::Deed;
use model::objects::ObjectKind;
use model::{Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use store::{By, Change, NewObject, Object, Step, StoreError};
use uuid::Uuid;

/// A while in which an integration heard nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct GapView {
    pub integration: String,
    pub from: Timestamp,
    pub until: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filled: Option<Filled>,
}

/// What call records said of a while in which nothing was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Filled {
    /// Calls of which they say what became of them.
    pub calls: usize,
    /// Calls of which they do not say it.
    pub unknown: usize,
}

/// The name under which gaps are kept.
const GAPS: &str = "gaps";
/// Gaps that are kept, the newest; all of them stand in the audit.
const MOST_GAPS: usize = 500;
/// How far from an event a gap bears on it.
const AROUND: Duration = Duration::from_secs(3600);

/// How often a change is tried that others overtake.
const TRIES: usize = 20;

impl Engine {
    /// Writes down that an integration heard nothing for a while, so that nobody takes the silence for quiet.
    ///
    /// # Errors
    /// What the store says.
    pub async fn note_gap(&self, integration: &str, from: Timestamp, until: Timestamp) -> crate::Result<()> {
        let deed = Deed::of("integration.gap").with("integration", integration).with("from", from).with("until", until);
        self.note_by(By::Server, deed).await?;
        self.keep(GAPS, |before| {
            let mut gaps = before.map(kept_gaps).unwrap_or_default();
            // A process that ends in a gap says how long it was until then; the next one says the whole.
            gaps.retain(|gap| gap.integration != integration || gap.from < from || gap.until > until);
            gaps.insert(0, GapView { integration: integration.to_owned(), from, until, filled: None });
            gaps.truncate(MOST_GAPS);
            Some(json!({ "gaps": gaps }))
        })
        .await
    }

    /// Writes down what call records said of a gap.
    ///
    /// # Errors
    /// What the store says.
    pub async fn note_filled(&self, integration: &str, from: Timestamp, filled: Filled) -> crate::Result<()> {
        let mut news = false;
        self.keep(GAPS, |before| {
            let mut gaps = before.map(kept_gaps).unwrap_or_default();
            let gap = gaps.iter_mut().find(|gap| gap.integration == integration && gap.from == from)?;
            news = gap.filled != Some(filled);
            gap.filled = Some(filled);
            news.then(|| json!({ "gaps": gaps }))
        })
        .await?;
        if news {
            let deed = Deed::of("integration.gap_filled").with("integration", integration).with("from", from);
            self.note_by(By::Server, deed.with("calls", filled.calls).with("unknown", filled.unknown)).await?;
        }
        Ok(())
    }

    /// Until when an integration heard everything, as was noted last.
    ///
    /// # Errors
    /// What the store says.
    pub async fn heard_until(&self, integration: &str) -> crate::Result<Option<Timestamp>> {
        let row = self.inner.store.object_keyed(self.tenant_key(), ObjectKind::Work, &heard_key(integration)).await.map_err(wrong)?;
        Ok(row.as_ref().and_then(kept_heard))
    }

    /// Writes down that an integration heard everything until then.
    ///
    /// # Errors
    /// What the store says.
    pub async fn note_heard(&self, integration: &str, until: Timestamp) -> crate::Result<()> {
        self.keep(&heard_key(integration), |before| {
            let later = before.and_then(kept_heard).is_none_or(|before| before < until);
            later.then(|| json!({ "heardUntil": until }))
        })
        .await
    }

    /// Changes what is kept under a name, unless there is nothing to change.
    async fn keep(&self, name: &str, mut change: impl FnMut(Option<&Object>) -> Option<Value>) -> crate::Result<()> {
        let (store, tenant) = (&self.inner.store, self.tenant_key());
        for _ in 0..TRIES {
            let row = store.object_keyed(tenant, ObjectKind::Work, name).await.map_err(wrong)?;
            let Some(document) = change(row.as_ref()) else { return Ok(()) };
            let id = row.as_ref().map_or_else(Uuid::now_v7, |row| row.id);
            let object = NewObject { id, name: name.to_owned(), document, keys: vec![name.to_owned()], links: Vec::new(), due: None };
            let step = match &row {
                None => Step::Make(ObjectKind::Work, object),
                Some(row) => Step::Change(ObjectKind::Work, object, Some(row.version)),
            };
            match store.change(tenant, Change { steps: vec![step], ..Change::default() }).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Stale { .. } | StoreError::Taken { .. }) => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        Err(Refusal::unavailable("others write this down faster than can be; say it again in a moment"))
    }

    /// Gaps that bear on an event: for one that comes of what was heard, those of the time around it.
    pub(crate) async fn gaps_around(&self, kind: &str, at: Timestamp) -> crate::Result<Vec<GapView>> {
        if self.inner.event_type(kind).is_none_or(|(source, _)| source.hears().is_empty()) {
            return Ok(Vec::new());
        }
        let row = self.inner.store.object_keyed(self.tenant_key(), ObjectKind::Work, GAPS).await.map_err(wrong)?;
        let mut gaps = row.as_ref().map(kept_gaps).unwrap_or_default();
        gaps.retain(|gap| gap.from <= at.plus(AROUND) && gap.until.plus(AROUND) >= at);
        Ok(gaps)
    }
}

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("gaps", error)
}

fn heard_key(integration: &str) -> String {
    format!("heard/{integration}")
}

fn kept_heard(row: &Object) -> Option<Timestamp> {
    row.document.get("heardUntil").cloned().and_then(|until| serde_json::from_value(until).ok())
}

fn kept_gaps(row: &Object) -> Vec<GapView> {
    row.document.get("gaps").cloned().and_then(|gaps| serde_json::from_value(gaps).ok()).unwrap_or_default()
}
