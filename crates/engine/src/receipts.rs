//! Receipts: what apps say of a notification. `received` from an open app ends the push that waited for it.

use crate::Engine;
use model::roles::Actor;
use model::{Fault, PersonKey, ReceiptKind, Refusal};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most receipts of one request.
pub const MOST: usize = 500;

/// One receipt.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptDraft {
    /// For which event.
    pub event_id: Uuid,
    /// What it says.
    pub kind: ReceiptKind,
}

/// What was taken.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ReceiptsView {
    /// New ones.
    pub accepted: usize,
    /// Those that were known.
    pub repeated: usize,
}

impl Engine {
    /// Takes receipts of a device.
    ///
    /// # Errors
    /// `forbidden` unless the actor is a device; a receipt for an event that the device's owner never got.
    pub async fn receive_receipts(&self, actor: &Actor, receipts: Vec<ReceiptDraft>) -> crate::Result<ReceiptsView> {
        let (device, owner) = self.own_device(actor)?;
        if receipts.is_empty() || receipts.len() > MOST {
            return Err(Refusal::field("receipts", format!("{} receipts; send 1 to {MOST} at once", receipts.len())));
        }
        self.check_receipts(owner, &receipts).await?;
        let inner = &self.inner;
        let mut view = ReceiptsView::default();
        for receipt in &receipts {
            let new = inner.store.receipt(inner.tenant_key(), owner, device, receipt.event_id, receipt.kind).await;
            if new.map_err(|e| crate::refusal("receipt", e))? {
                view.accepted += 1;
            } else {
                view.repeated += 1;
            }
        }
        metrics::counter!("carillon_receipts_total").increment(view.accepted as u64);
        Ok(view)
    }

    /// Every receipt must be for an event of the device's owner, before any is kept.
    async fn check_receipts(&self, owner: PersonKey, receipts: &[ReceiptDraft]) -> crate::Result<()> {
        let inner = &self.inner;
        let wrong = |e| crate::refusal("receipt", e);
        let mut faults = Vec::new();
        for (index, receipt) in receipts.iter().enumerate() {
            let event = inner.store.event_by_id(inner.tenant_key(), receipt.event_id).await.map_err(wrong)?;
            let known = match event {
                Some(event) => inner.store.in_audience(event.key, owner).await.map_err(wrong)?.is_some(),
                None => false,
            };
            if !known {
                faults.push(Fault {
                    field: format!("receipts[{index}].eventId"),
                    message: format!("{} is no notification of this device's owner", receipt.event_id),
                });
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal::fields(faults)) }
    }
}
