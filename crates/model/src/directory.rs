//! People, groups, devices and their registrations: the fixed vocabularies and the rules of single fields.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Makes an enum whose values are stable words: as text in files and JSON, as a small number in the store.
#[macro_export]
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $number),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The stable word.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            /// The value of a stable word.
            pub fn from_word(word: &str) -> Option<$name> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }

            /// The stable number.
            pub fn number(self) -> u8 {
                self as u8
            }

            /// The value of a stable number.
            pub fn from_number(number: u8) -> Option<$name> {
                match number { $($number => Some($name::$variant),)+ _ => None }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.word())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let word = <::std::borrow::Cow<'de, str> as ::serde::Deserialize>::deserialize(d)?;
                $name::from_word(&word).ok_or_else(|| {
                    let known: Vec<_> = $name::ALL.iter().map(|v| v.word()).collect();
                    ::serde::de::Error::custom(format!("{word:?} is not one of {}", known.join(", ")))
                })
            }
        }
    };
}

words! {
    /// What a device runs.
    Platform {
        /// iPhone.
        Ios = 1 "ios",
        /// iPad.
        Ipados = 2 "ipados",
        /// Android.
        Android = 3 "android",
        /// Windows.
        Windows = 4 "windows",
        /// macOS.
        Macos = 5 "macos",
        /// Linux.
        Linux = 6 "linux",
        /// A browser profile.
        Browser = 7 "browser",
    }
}

words! {
    /// Who owns the hardware.
    Ownership {
        /// The person.
        Personal = 1 "personal",
        /// The organization.
        Corporate = 2 "corporate",
    }
}

words! {
    /// Whether the app may show notifications on the device.
    NotificationPermission {
        /// Yes.
        Granted = 1 "granted",
        /// No.
        Denied = 2 "denied",
        /// Not asked yet.
        Default = 3 "default",
    }
}

words! {
    /// A push service of a platform's maker.
    Service {
        /// Apple Push Notification service.
        Apns = 1 "apns",
        /// Firebase Cloud Messaging.
        Fcm = 2 "fcm",
        /// Windows Push Notification Services.
        Wns = 3 "wns",
        /// Web Push (RFC 8030).
        WebPush = 4 "webpush",
    }
}

words! {
    /// Which of a service's worlds a registration belongs to.
    Environment {
        /// The real one.
        Production = 1 "production",
        /// The developers' one.
        Sandbox = 2 "sandbox",
    }
}

words! {
    /// What became of a registration.
    RegistrationState {
        /// May be sent to.
        Active = 1 "active",
        /// The provider said that it will never answer again, or its owner left.
        Retired = 2 "retired",
    }
}

words! {
    /// What a member of a group is.
    MemberKind {
        /// A person.
        User = 1 "user",
        /// Another group.
        Group = 2 "group",
        /// A device; it never receives because of it (SPEC §4).
        Device = 3 "device",
    }
}

words! {
    /// How a device came to be enrolled.
    EnrolmentSource {
        /// By an administrator, through the API.
        Api = 1 "api",
        /// From an import.
        Import = 2 "import",
        /// With a single-use code.
        Code = 3 "code",
    }
}

impl Platform {
    /// The maker's own push service for this platform.
    pub fn native_service(self) -> Option<Service> {
        match self {
            Platform::Ios | Platform::Ipados => Some(Service::Apns),
            Platform::Android => Some(Service::Fcm),
            Platform::Windows => Some(Service::Wns),
            Platform::Macos | Platform::Linux | Platform::Browser => None,
        }
    }

    /// Whether a registration with `service` can reach a device of this platform.
    pub fn is_served_by(self, service: Service) -> bool {
        match service {
            Service::WebPush => true,
            native => self.native_service() == Some(native),
        }
    }

    /// The one service whose missing registration is worth a line of its own: the native one, else Web Push.
    pub fn usual_service(self) -> Service {
        self.native_service().unwrap_or(Service::WebPush)
    }
}

/// Most characters of a name, an external id or an address. Enough for every directory seen; keeps rows narrow.
pub const NAME_CHARS: usize = 256;
/// Most bytes of a push token. APNs and FCM promise no length; theirs are 32 to 200 bytes today.
pub const TOKEN_BYTES: usize = 4096;
/// Most licences, phones or similar values in one list.
pub const LIST_LENGTH: usize = 100;

fn fits(what: &str, text: &str) -> Result<(), String> {
    let chars = text.chars().count();
    if text.trim().is_empty() {
        return Err(format!("{what} is empty; give it a value"));
    }
    if chars > NAME_CHARS {
        return Err(format!("{what} has {chars} characters; at most {NAME_CHARS} are allowed"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{what} holds a control character; remove it"));
    }
    Ok(())
}

/// Checks a display name, a group's or device's name, or an external id.
///
/// # Errors
/// A sentence with the rule and the mend; the caller names the field.
pub fn check_name(text: &str) -> Result<(), String> {
    fits("the value", text)
}

/// Checks a user principal name: `name@domain`, no blanks.
///
/// # Errors
/// As [`check_name`].
pub fn check_upn(text: &str) -> Result<(), String> {
    fits("the value", text)?;
    let parts: Vec<&str> = text.split('@').collect();
    if parts.len() != 2 || parts.iter().any(|p| p.is_empty()) || text.contains(char::is_whitespace) {
        return Err(format!("{text:?} is not a user principal name such as ada@example.org"));
    }
    Ok(())
}

/// Checks a mailbox address: one `@`, a local part of at most 64 bytes, a domain, at most 254 bytes in all
/// (RFC 5321 §4.5.3.1), no blanks, no angle brackets.
///
/// # Errors
/// As [`check_name`].
pub fn check_email(text: &str) -> Result<(), String> {
    fits("the value", text)?;
    let wrong = || format!("{text:?} is not a mail address such as ada@example.org");
    let (local, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c);
    let domain_ok = !domain.is_empty() && !domain.starts_with(['.', '-']) && !domain.ends_with(['.', '-']) && !domain.contains("..");
    if local.is_empty() || local.len() > 64 || local.contains('@') || !domain_ok || text.len() > 254 || text.contains(odd) {
        return Err(wrong());
    }
    Ok(())
}

/// Checks a telephone number in E.164: `+`, then 7 to 15 digits, the first not 0.
///
/// # Errors
/// As [`check_name`].
pub fn check_phone(text: &str) -> Result<(), String> {
    let digits = text.strip_prefix('+').unwrap_or("");
    let well_formed = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if well_formed { Ok(()) } else { Err(format!("{text:?} is not a number in E.164 such as +33155501234")) }
}

/// Checks an IANA time zone name.
///
/// # Errors
/// As [`check_name`].
pub fn check_time_zone(text: &str) -> Result<(), String> {
    match jiff::tz::TimeZone::get(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{text:?} is not an IANA time zone such as Europe/Paris")),
    }
}

/// Checks a locale: a language tag such as `fr` or `fr-CA`.
///
/// # Errors
/// As [`check_name`].
pub fn check_locale(text: &str) -> Result<(), String> {
    let mut parts = text.split(['-', '_']);
    let language = parts.next().unwrap_or("");
    let language_ok = (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_alphabetic());
    let rest_ok = parts.all(|p| (2..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()));
    if language_ok && rest_ok { Ok(()) } else { Err(format!("{text:?} is not a language tag such as en or fr-CA")) }
}

/// Checks a registration's token for its service: APNs tokens are hexadecimal of even length, others printable ASCII.
///
/// # Errors
/// As [`check_name`].
pub fn check_token(service: Service, token: &str) -> Result<(), String> {
    if token.is_empty() {
        return Err("the token is empty; give the one that the push service issued".into());
    }
    if token.len() > TOKEN_BYTES {
        return Err(format!("the token has {} bytes; at most {TOKEN_BYTES} are allowed", token.len()));
    }
    let hex = token.len() >= 8 && token.len().is_multiple_of(2) && token.bytes().all(|b| b.is_ascii_hexdigit());
    match service {
        Service::Apns if !hex => Err("an APNs token has at least 8 hexadecimal digits, two a byte".into()),
        Service::Apns => Ok(()),
        Service::Fcm | Service::Wns | Service::WebPush => {
            if token.bytes().all(|b| b.is_ascii_graphic()) {
                Ok(())
            } else {
                Err("the token holds a blank or a character outside ASCII".into())
            }
        }
    }
}

/// A device in a group stands for itself only; this is what a member of a group may be, with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it is.
    pub kind: MemberKind,
    /// Its key among its kind.
    pub key: u32,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_checked_by_their_standards() {
        assert!(check_email("ada@example.org").is_ok());
        for wrong in ["", "ada", "ada@", "@x", "a b@x.org", "a@x..org", "<a@x.org>", "a@b@c"] {
            assert!(check_email(wrong).is_err(), "{wrong}");
        }
        assert!(check_phone("+33155501234").is_ok());
        for wrong in ["", "0155501234", "+0155501234", "+33 1", "+1234567890123456"] {
            assert!(check_phone(wrong).is_err(), "{wrong}");
        }
        assert!(check_time_zone("Europe/Paris").is_ok());
        assert!(check_time_zone("Europe/Lutetia").is_err());
        assert!(check_locale("fr-CA").is_ok() && check_locale("français").is_err());
        assert!(check_token(Service::Apns, "0aff00112233").is_ok() && check_token(Service::Apns, "xyz").is_err());
        assert!(check_upn("ada@example.org").is_ok() && check_upn("ada").is_err());
    }

    #[test]
    fn words_and_numbers_lead_back() {
        for p in Platform::ALL {
            assert_eq!(Platform::from_word(p.word()), Some(*p));
            assert_eq!(Platform::from_number(p.number()), Some(*p));
        }
    }
}
