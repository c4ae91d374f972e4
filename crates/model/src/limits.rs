//! Limits that refuse a caller's surplus. They are counted in a sliding window by the store's clock, in the same
//! transaction that accepts the event.

use std::time::Duration;

/// The window of the hourly limits of SPEC §4.
pub const HOUR: Duration = Duration::from_secs(3600);

/// What is being counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Accepted requests that name a group, per tenant.
    GroupSends,
    /// Accepted requests that name this device.
    DeviceSends(crate::ids::DeviceKey),
}

impl Counted {
    /// The setting that holds the limit.
    pub fn setting(self) -> &'static str {
        match self {
            Counted::GroupSends => "limits.group_sends_per_hour",
            Counted::DeviceSends(_) => "limits.device_sends_per_hour",
        }
    }

    /// The store's subject number: devices by their key, the tenant-wide count as 0 (no device has key 0).
    pub fn subject(self) -> u32 {
        match self {
            Counted::GroupSends => 0,
            Counted::DeviceSends(device) => device.0,
        }
    }
}

/// One count that an acceptance takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitTake {
    /// What is counted.
    pub counted: Counted,
    /// How many may lie within the window, this one included.
    pub allowed: u32,
    /// The window.
    pub window: Duration,
}
