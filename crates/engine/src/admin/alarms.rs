//! Alarms, for administrators to read: what a person has to mend.

use crate::Engine;
use crate::notifications::Page;
use model::Timestamp;
use model::roles::{Actor, Permission};
use serde::Serialize;

/// An alarm.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct AlarmView {
    pub code: String,
    pub detail: String,
    pub raised_at: Timestamp,
    pub last_at: Timestamp,
    pub count: i64,
    pub cleared_at: Option<Timestamp>,
}

/// Alarms shown at once: open ones first, then the newest. There is one for each code, so few.
const MOST: u32 = 200;

impl Engine {
    /// Alarms, open ones first.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn alarms(&self, actor: &Actor) -> crate::Result<Page<AlarmView>> {
        self.allow(actor, Permission::DirectoryRead)?;
        let rows = self.inner.store.alarms(self.tenant_key(), MOST).await.map_err(|e| crate::refusal("alarm", e))?;
        let view = |a: store::Alarm| AlarmView {
            code: a.code,
            detail: a.detail,
            raised_at: a.raised_at,
            last_at: a.last_at,
            count: a.count,
            cleared_at: a.cleared_at,
        };
        Ok(Page { items: rows.into_iter().map(view).collect(), next_cursor: None })
    }
}
