//! Why something was not done, in words for the caller and with a stable code for programs. It knows nothing of HTTP:
//! the web room and the command line each say it in their own way.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use uuid::Uuid;

/// What sort of refusal.
#[derive(Clone, Debug, PartialEq)]
pub enum RefusalKind {
    /// The request itself is malformed.
    Malformed,
    /// The request is well formed, but some of its values are not acceptable.
    Invalid,
    /// Nobody, or nobody known, is asking.
    Unauthenticated,
    /// The asker lacks a right, or the thing lies outside the scope.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// It contradicts the present state.
    Conflict,
    /// It was changed since the caller read it.
    Stale,
    /// The caller must say which version is being changed.
    VersionNeeded,
    /// It is larger than allowed.
    TooLarge,
    /// A caller's limit is reached.
    OverLimit {
        /// Name of the setting that holds the limit.
        limit: String,
        /// How many are allowed.
        allowed: u64,
        /// The window in which they are counted.
        window: Duration,
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Carillon cannot do it now.
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// One field, or one cell of a file, that is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The field's name as the caller wrote it, such as `title` or `people.csv:17:email`.
    pub field: String,
    /// The rule, and the mend.
    pub message: String,
}

/// A refusal: nothing was applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What sort.
    pub kind: RefusalKind,
    /// A stable word for programs.
    pub code: &'static str,
    /// A sentence for people: the thing, the rule, the mend.
    pub detail: String,
    /// The fields at fault, when there are any.
    pub faults: Vec<Fault>,
    /// For a name that may mean several objects: their ids; for a limit on each device: the device that reached it.
    pub ids: Vec<Uuid>,
}

impl Refusal {
    /// A refusal without fields.
    pub fn new(kind: RefusalKind, code: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal { kind, code, detail: detail.into(), faults: Vec::new(), ids: Vec::new() }
    }

    /// One field is not acceptable.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Refusal {
        Refusal::fields(vec![Fault { field: field.into(), message: message.into() }])
    }

    /// Some fields are not acceptable; `faults` is not empty.
    pub fn fields(faults: Vec<Fault>) -> Refusal {
        let detail = match faults.as_slice() {
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} fields are not acceptable; see errors", many.len()),
        };
        Refusal { faults, ..Refusal::new(RefusalKind::Invalid, "invalid_field", detail) }
    }

    /// There is no such thing.
    pub fn not_found(what: &str, name: &str) -> Refusal {
        Refusal::new(RefusalKind::NotFound, "not_found", format!("there is no {what} {name:?}"))
    }

    /// The asker lacks a right.
    pub fn forbidden(detail: impl Into<String>) -> Refusal {
        Refusal::new(RefusalKind::Forbidden, "forbidden", detail)
    }

    /// Carillon cannot do it now, because of `detail`.
    pub fn unavailable(detail: impl Into<String>) -> Refusal {
        Refusal::new(RefusalKind::Unavailable { retry_after: Duration::from_secs(5) }, "unavailable", detail)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Refusal {}
