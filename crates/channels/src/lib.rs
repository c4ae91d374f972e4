//! How a notification travels: one folder per channel.
//!
//! A channel renders words once per event, language and privacy class, waits for room on a connection, hands one letter
//! over and classes what came back from one table per provider. It never retries, waits for better times, stores,
//! decides, counts, or logs an address. The inbox has no folder here: it is read from the store.

pub mod apns;
mod bearer;
mod cut;
mod dial;
pub mod email;
pub mod fcm;
mod guard;
mod http1;
pub mod http2;
mod probing;
mod recall;
mod setup;
mod spoken;
#[doc(hidden)]
pub mod strangers;
mod tls;
pub mod webpush;
pub mod wns;

pub use apns::{ApnsChannel, ApnsSettings};
pub use email::{DkimKey, DkimRecord, DkimSettings, EmailChannel, EmailSettings, EmailTls, SmtpDeadlines};
pub use fcm::{FcmChannel, FcmSettings};
pub use setup::ChannelSetupError;
pub use webpush::{WebPushChannel, WebPushSettings, vapid_public_key};
pub use wns::{WnsChannel, WnsSettings};
