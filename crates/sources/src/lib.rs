//! What can happen: one folder per kind of event, each with its declaration and its words.
//!
//! In: an event's content and a language. Out: words for every channel. A source knows no channel's wire format, no table
//! and no URL; it imports the model alone. To add a source, write one folder and add one line to [`all`].

pub mod custom_notification;
mod letterhead;
mod phrases;

use model::source::Source;

/// Every source of this build. This list is what makes a source exist: settings, event types and words of everything
/// in it are found from here, and nowhere else is a source named.
pub fn all() -> Vec<Box<dyn Source>> {
    vec![Box::new(custom_notification::CustomNotification)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::policy::{EmailRule, SETTINGS, SettingType};
    use std::collections::BTreeSet;

    #[test]
    fn every_event_type_and_setting_is_declared_once() {
        let mut seen: BTreeSet<&str> = SETTINGS.iter().map(|s| s.key).collect();
        for source in all() {
            for name in source.declaration().event_types.iter().map(|e| e.name).chain(source.declaration().settings.iter().map(|s| s.key)) {
                assert!(seen.insert(name), "{name} is declared twice");
            }
        }
    }

    #[test]
    fn every_declared_setting_accepts_its_default_and_has_words_in_both_languages() {
        for source in all() {
            for setting in source.declaration().settings {
                assert_eq!(setting.check(&setting.default_value()), Ok(()), "{}", setting.key);
                assert!(!setting.help_en.is_empty() && !setting.help_fr.is_empty(), "{}", setting.key);
            }
        }
    }

    #[test]
    fn every_event_type_has_a_dotted_name_an_expiry_and_a_declared_email_setting() {
        for source in all() {
            let declaration = source.declaration();
            for event in declaration.event_types {
                assert!(
                    event.name.contains('.') && event.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_'),
                    "{}",
                    event.name
                );
                assert!(!event.expiry.is_zero() && event.expiry <= model::event::MAX_EXPIRY, "{}", event.name);
                if let EmailRule::Setting(key) = event.email {
                    let setting =
                        declaration.settings.iter().find(|s| s.key == key).expect("the email setting is declared beside its event type");
                    assert_eq!(setting.kind, SettingType::Choice(&["off", "fallback", "always"]));
                }
            }
        }
    }
}
