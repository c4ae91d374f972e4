//! What came back: the classed result of one attempt, and evidence from the other side.

use crate::time::Timestamp;
use crate::words;
use std::borrow::Cow;
use std::time::Duration;

/// Why an attempt ended as it did, in the provider's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The provider's own code, such as `Unregistered`, `5.1.1`, or ours such as `connection_refused`.
    pub code: Cow<'static, str>,
    /// The numeric status of the answer, 0 when there was none.
    pub status: u16,
    /// It is not about this message or address but about everything sent through this channel.
    pub whole_channel: bool,
    /// For a gone address: since when, by the provider's clock.
    pub gone_since: Option<Timestamp>,
}

impl Cause {
    /// A cause that concerns one message or address.
    pub fn of(code: impl Into<Cow<'static, str>>, status: u16) -> Cause {
        Cause { code: code.into(), status, whole_channel: false, gone_since: None }
    }

    /// A cause that concerns the channel.
    pub fn of_channel(code: impl Into<Cow<'static, str>>, status: u16) -> Cause {
        Cause { whole_channel: true, ..Cause::of(code, status) }
    }
}

/// The result of one attempt. A channel answers for each delivery from one table per provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it. That is not yet *delivered*.
    Accepted,
    /// A condition that passes.
    TryLater {
        /// The other side's own word for when, if it gave one.
        after: Option<Duration>,
        /// What it said.
        cause: Cause,
    },
    /// This message will never pass.
    Rejected(Cause),
    /// This address will never answer.
    AddressGone(Cause),
    /// Wrong key, wrong topic: the address is kept, an alarm is raised.
    OurFault(Cause),
}

impl Outcome {
    /// The stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::TryLater { .. } => "try_later",
            Outcome::Rejected(_) => "rejected",
            Outcome::AddressGone(_) => "address_gone",
            Outcome::OurFault(_) => "our_fault",
        }
    }

    /// What the other side said, unless it simply accepted.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Outcome::Accepted => None,
            Outcome::TryLater { cause, .. } | Outcome::Rejected(cause) | Outcome::AddressGone(cause) | Outcome::OurFault(cause) => {
                Some(cause)
            }
        }
    }
}

words! {
    /// Evidence from a device that holds the notification, in the order in which it usually comes.
    ReceiptKind {
        /// The app has it.
        Received = 1 "received",
        /// It was shown.
        Shown = 2 "shown",
        /// The person opened it.
        Opened = 3 "opened",
        /// The person put it away.
        Dismissed = 4 "dismissed",
    }
}
