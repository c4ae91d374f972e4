//! What a decision is made from, beside the event and the policy: a fixed-width set of yes/no facts about one person,
//! one channel and one address. It is kept in the delivery row, so the row can be explained and replayed for ever.

use std::fmt;

/// The facts of one candidate row. Adding a fact adds a bit; a bit is never given a second meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts(pub u32);

macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident = $bit:literal),+ $(,)?) => {
        impl Facts {
            $($(#[$doc])* pub const $name: Facts = Facts(1 << $bit);)+

            /// Every fact with its name, for explanations.
            pub const NAMED: &'static [(Facts, &'static str)] = &[$((Facts::$name, stringify!($name))),+];
        }
    };
}

facts! {
    /// The person is active.
    ACTIVE = 0,
    /// The person holds the licence that the event type asks for, or it asks for none.
    LICENSED = 1,
    /// The row is about a device.
    HAS_DEVICE = 2,
    /// The device is enrolled.
    ENROLLED = 3,
    /// The device was enrolled by somebody else than its owner.
    ENROLLED_BY_OTHER = 4,
    /// The app (or portal) is installed on the device.
    APP_INSTALLED = 5,
    /// The device lets the app show notifications.
    PERMISSION_GRANTED = 6,
    /// The service needs Play services on the device, and they are missing.
    LACKS_PLAY_SERVICES = 7,
    /// The platform is one that the service reaches.
    PLATFORM_SERVED = 8,
    /// The row is about a registration.
    HAS_REGISTRATION = 9,
    /// The registration was retired.
    REGISTRATION_RETIRED = 10,
    /// Another registration of the same device is used instead.
    OTHER_REGISTRATION = 11,
    /// The person has a mailbox address.
    HAS_EMAIL = 12,
    /// A push goes, or waits to go, to some device of the person.
    PUSH_GOES = 13,
    /// The person turned push off on this device, or this kind on this channel.
    PREFERENCE_OFF = 14,
    /// The app on the device holds an open inbox stream; it may be a dead one.
    STREAM_OPEN = 15,
    /// The app on the device confirmed that it has the notification.
    RECEIVED_IN_APP = 16,
    /// It is a quiet hour for the person.
    QUIET_HOUR = 17,
    /// The person has had as many pushes as the policy allows.
    CAP_REACHED = 18,
    /// This installation has a sender for the channel.
    CHANNEL_CONFIGURED = 19,
    /// The person is (still) in the audience.
    IN_AUDIENCE = 20,
}

impl Facts {
    /// Whether every fact of `other` holds.
    pub fn has(self, other: Facts) -> bool {
        self.0 & other.0 == other.0
    }

    /// With `other` set or cleared.
    #[must_use]
    pub fn with(self, other: Facts, holds: bool) -> Facts {
        if holds { Facts(self.0 | other.0) } else { Facts(self.0 & !other.0) }
    }

    /// Names of the facts that hold, in lower case.
    pub fn names(self) -> Vec<String> {
        Facts::NAMED.iter().filter(|(fact, _)| self.has(*fact)).map(|(_, name)| name.to_lowercase()).collect()
    }
}

impl std::ops::BitOr for Facts {
    type Output = Facts;

    fn bitor(self, other: Facts) -> Facts {
        Facts(self.0 | other.0)
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}
