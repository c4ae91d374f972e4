//! Stand-ins for Apple, Google, Microsoft and a mail relay, for the demo, the tests and the benchmarks. They are fakes and say so.
//!
//! A fake speaks the original's protocol, checks every request as the original would, answers with the original's
//! words, and keeps what arrived. How it behaves can be changed while it runs: in a test through its handle, from
//! outside through a small control page on a port of its own.

pub mod apple;
mod authority;
mod control;
mod door;
pub mod google;
mod imitation;
pub mod microsoft;
mod noise;
mod pace;
pub mod push_service;
mod recent;
pub mod relay;
mod script;
mod tally;
mod tokens;

pub use authority::Authority;
pub use script::{Mode, Script};
pub use tally::Tally;

/// The wall clock in microseconds of Unix time.
pub(crate) fn unix_micros() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}
