//! The time that the processes of a benchmark share: the machine's own, in microseconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds of Unix time. Every process here reads the same clock, so that times of two of them can be subtracted.
pub fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Seconds between two such times; 0 when they are the wrong way round.
pub fn seconds(from_micros: u64, to_micros: u64) -> f64 {
    to_micros.saturating_sub(from_micros) as f64 / 1e6
}
