//! Presence: which devices hold an open inbox stream. An open stream may be a dead one, so presence never suppresses a
//! push by itself: it delays it until the app confirms, or for ten seconds.

use model::DeviceKey;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// Devices with an open stream, and how many each has.
#[derive(Default)]
pub struct Presence {
    open: Arc<RwLock<HashMap<DeviceKey, u32>>>,
}

/// Keeps a device present until dropped.
pub struct Here {
    open: Arc<RwLock<HashMap<DeviceKey, u32>>>,
    device: DeviceKey,
}

impl Here {
    /// How many streams the device has.
    pub fn streams(&self) -> usize {
        self.open.read().get(&self.device).map_or(0, |n| *n as usize)
    }
}

impl Presence {
    /// The device opened a stream.
    pub fn enter(&self, device: DeviceKey) -> Here {
        *self.open.write().entry(device).or_insert(0) += 1;
        Here { open: self.open.clone(), device }
    }

    /// Whether the device holds an open stream.
    pub fn is_here(&self, device: DeviceKey) -> bool {
        self.open.read().contains_key(&device)
    }

    /// How many devices are present.
    pub fn count(&self) -> usize {
        self.open.read().len()
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let mut open = self.open.write();
        if let Some(n) = open.get_mut(&self.device) {
            *n -= 1;
            if *n == 0 {
                open.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_here_while_any_of_its_streams_is_open() {
        let presence = Presence::default();
        let first = presence.enter(DeviceKey(7));
        let second = presence.enter(DeviceKey(7));
        drop(first);
        assert!(presence.is_here(DeviceKey(7)));
        drop(second);
        assert!(!presence.is_here(DeviceKey(7)) && presence.count() == 0);
    }
}
