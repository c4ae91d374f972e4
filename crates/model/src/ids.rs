//! Names of things. Inside, dense integers (they fit bitmaps and clustered tables); outside, UUIDs.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! key {
    ($(#[$doc:meta])* $name:ident($repr:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for i64 {
            fn from(key: $name) -> i64 {
                i64::from(key.0)
            }
        }
    };
}

key!(/// One organization.
    TenantKey(u32));
key!(/// One person; dense, so that an audience is a bitmap of these.
    PersonKey(u32));
key!(/// One group.
    GroupKey(u32));
key!(/// One device.
    DeviceKey(u32));
key!(/// One registration of a device with one push service.
    RegistrationKey(u32));
key!(/// One event; grows with acceptance.
    EventKey(i64));
key!(/// One page of deliveries of one event and channel: the unit of claim.
    SegmentKey(i64));

/// The id under which one delivery travels: it is computed from the delivery's own key and back again, so no table
/// of wire ids is needed. It becomes `apns-id` and the left side of a `Message-ID`, and is the same at every attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WireId(Uuid);

/// Marks our wire ids among all version-8 UUIDs (RFC 9562 §5.8); any other value is somebody else's id.
const WIRE_MARK: u128 = 0xCA7;

impl WireId {
    /// Packs event (48 bits), person (32) and sequence number (16) into a version-8 UUID.
    pub fn new(event: EventKey, person: PersonKey, seq: u16) -> WireId {
        let event = event.0 as u128 & 0xFFFF_FFFF_FFFF;
        let rest = (u128::from(person.0) << 16) | u128::from(seq);
        let bits = (event << 80) | (0x8 << 76) | (WIRE_MARK << 64) | (0b10 << 62) | rest;
        WireId(Uuid::from_u128(bits))
    }

    /// The delivery behind a wire id, or `None` when the id is not one of ours.
    pub fn parts(self) -> Option<(EventKey, PersonKey, u16)> {
        let bits = self.0.as_u128();
        if (bits >> 64) & 0xFFFF != 0x8000 | WIRE_MARK || (bits >> 48) & 0xFFFF != 0x8000 {
            return None;
        }
        Some((EventKey((bits >> 80) as i64), PersonKey((bits >> 16) as u32), bits as u16))
    }

    /// The id as a UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for WireId {
    fn from(id: Uuid) -> WireId {
        WireId(id)
    }
}

impl fmt::Display for WireId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wire_id_leads_back_to_its_delivery(event in 0i64..(1 << 47), person: u32, seq: u16) {
            let id = WireId::new(EventKey(event), PersonKey(person), seq);
            prop_assert_eq!(id.parts(), Some((EventKey(event), PersonKey(person), seq)));
            prop_assert_eq!(id.uuid().get_version_num(), 8);
        }
    }

    #[test]
    fn a_foreign_id_leads_nowhere() {
        assert_eq!(WireId::from(Uuid::nil()).parts(), None);
        assert_eq!(WireId::from(Uuid::max()).parts(), None);
    }
}
