//! Asterisk's manager interface (AMI): what it says of calls becomes legs.
//!
//! In: the bytes of a manager connection. Out: [`model::calls::Leg`]s, once the caller has hung up. `wire` reads and writes the
//! protocol, `login` answers the challenge and asks for the few events that matter, `calls` groups events by `Linkedid` and
//! says what became of each leg, `spool` reads what voice mail leaves on the disk, `records` reads call records as the events
//! that they stand for.
//!
//! These open no connection and no file, and do not know who has which extension. What keeps a connection and brings the
//! legs to the [`crate::intake::Intake`] is [`run`]: `dial` reaches Asterisk, `connection` signs in and notices silence, `client`
//! comes back after a loss, `handing` waits until a call has settled and tries again what could not be taken (`hands`
//! do it, `queue` is what waits), `audio` reads voice messages, `tail` the file of call records.

mod audio;
pub mod calls;
mod client;
mod connection;
mod dial;
mod handing;
mod hands;
mod heard;
pub mod login;
mod queue;
mod records;
mod rests;
mod settings;
pub mod spool;
mod tail;
pub mod wire;

pub use client::run;
pub use settings::{PORT, Settings, TLS_PORT, check_name};

#[cfg(test)]
mod tests;
