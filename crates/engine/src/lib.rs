//! When it happens. An event comes in through `intake`, is planned by `dispatch`, sent by `deliver` and settled; receipts
//! come back through `receipts`. `admin` is the one way to read and change everything else: permission, scope and audit
//! live there, once. `explain` and `reach` say why, and whom.
//!
//! The engine names no source, channel or integration: it is handed lists. Time and chance are handed in too.

mod addressing;
pub mod admin;
pub mod alarms;
pub mod bulk;
pub mod candidates;
pub mod cards;
mod carry;
pub mod deliver;
pub mod dispatch;
pub mod errands;
pub mod explain;
pub mod gaps;
pub mod happenings;
pub mod health;
pub mod hearing;
pub mod inbox;
pub mod intake;
pub mod keys;
mod neighbours;
pub mod notifications;
pub mod parts;
pub mod presence;
pub mod reach;
pub mod receipts;
pub mod report;
pub mod roster;
mod secrets;
pub mod settler;
pub mod standing;
pub mod suspicion;
pub mod timers;
mod watch;
mod work;

pub use parts::{Duties, Engine, Parts};

use model::{Refusal, RefusalKind};
use std::time::Duration;
use store::StoreError;

/// What every operation answers.
pub type Result<T> = std::result::Result<T, Refusal>;

/// A creating request that may be repeated by its caller (IETF draft Idempotency-Key): the answer is kept in the
/// transaction that creates.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// The caller's key.
    pub key: String,
    /// SHA-256 over method, path and body.
    pub request: [u8; 32],
    /// The collection's path, from which the `Location` of the new object is made.
    pub place: String,
}

/// Says a store's refusal in the words of the API. `what` names the kind of object.
pub fn refusal(what: &str, error: StoreError) -> Refusal {
    match error {
        StoreError::Taken { field, by } => Refusal {
            faults: vec![model::Fault {
                field: field.to_owned(),
                message: format!("another {what} ({by}) has this value; it must be unique"),
            }],
            ..Refusal::new(RefusalKind::Conflict, "taken", format!("{field} is taken by the {what} {by}"))
        },
        StoreError::Stale { current } => Refusal::new(
            RefusalKind::Stale,
            "stale",
            format!("the {what} was changed meanwhile: it is at version {current}; read it again and repeat the change"),
        ),
        StoreError::NotFound => Refusal::new(RefusalKind::NotFound, "not_found", format!("there is no such {what}")),
        StoreError::InUse { by } => Refusal {
            ids: vec![by],
            ..Refusal::new(RefusalKind::Conflict, "in_use", format!("the {what} is in use by {by}; change or delete that first"))
        },
        StoreError::ImportPending => Refusal::new(
            RefusalKind::Conflict,
            "import_in_progress",
            format!("an import that changes this {what} is being applied; repeat the change after it"),
        ),
        StoreError::OverLimit { counted, allowed, retry_after } => Refusal::new(
            RefusalKind::OverLimit {
                limit: counted.setting().to_owned(),
                allowed: u64::from(allowed),
                window: model::limits::HOUR,
                retry_after,
            },
            "over_limit",
            format!(
                "the limit {} allows {allowed} an hour and they are used; the next is possible in {} s",
                counted.setting(),
                retry_after.as_secs().max(1)
            ),
        ),
        StoreError::Replay(_) => Refusal::new(
            RefusalKind::Conflict,
            "idempotency_in_progress",
            "a request with this Idempotency-Key was just answered; repeat it",
        ),
        StoreError::Spent => Refusal::new(RefusalKind::Conflict, "spent", "the code was used or is too old; ask for a new one"),
        StoreError::Unavailable(cause) => Refusal::new(
            RefusalKind::Unavailable { retry_after: Duration::from_secs(5) },
            "store_unavailable",
            format!("the store cannot take it now: {cause}"),
        ),
        StoreError::Broken(cause) => {
            tracing::error!(cause, "the store failed");
            Refusal::new(
                RefusalKind::Unavailable { retry_after: Duration::from_secs(30) },
                "store_failed",
                "the store failed; see the server's log",
            )
        }
    }
}
