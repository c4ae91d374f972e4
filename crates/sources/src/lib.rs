//! What can happen: one folder per kind of event, each with its declaration and its words.
//!
//! In: an event's content and a language. Out: words for every channel. A source knows no channel's wire format, no table
//! and no URL; it imports the model alone. To add a source, write one folder and add one line to [`all`].

pub mod conferencing;
pub mod custom_notification;
mod letterhead;
pub mod mobile_alert;
mod phrases;
pub mod telephony;

use model::source::Source;

/// Every source of this build. This list is what makes a source exist: settings, event types and words of everything
/// in it are found from here, and nowhere else is a source named.
pub fn all() -> Vec<Box<dyn Source>> {
    vec![
        Box::new(custom_notification::CustomNotification),
        Box::new(mobile_alert::MobileAlert),
        Box::new(conferencing::Conferencing),
        Box::new(telephony::Telephony),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::cmdlets::{Reaches, SettingParameter};
    use model::objects::ObjectDeclaration;
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

    #[test]
    fn every_cmdlet_has_a_name_of_its_own_and_reaches_what_is_declared() {
        let all = all();
        let objects: Vec<&ObjectDeclaration> = all.iter().flat_map(|source| source.declaration().objects).collect();
        let mut settings: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
        settings.extend(all.iter().flat_map(|source| source.declaration().settings).map(|setting| setting.key));
        let mut names = BTreeSet::new();
        for cmdlet in all.iter().flat_map(|source| source.declaration().cmdlets) {
            for name in [cmdlet.name].iter().chain(cmdlet.aliases) {
                assert!(names.insert(name.to_lowercase()), "{name} is declared twice");
            }
            assert!(!cmdlet.help_en.is_empty() && !cmdlet.help_fr.is_empty() && !cmdlet.examples.is_empty(), "{}", cmdlet.name);
            let object = |kind| *objects.iter().find(|object| object.kind == kind).expect("a declared object");
            let known = |parameters: &[SettingParameter]| parameters.iter().all(|parameter| settings.contains(parameter.key));
            match cmdlet.reaches {
                Reaches::Show { kind, by } => {
                    assert!(by.iter().all(|name| object(kind).fields.iter().any(|field| field.name == *name)), "{}", cmdlet.name);
                }
                Reaches::Act { kind, act } => assert!(object(kind).act(act).is_some(), "{}", cmdlet.name),
                Reaches::ShowSettings(parameters) | Reaches::ChangeSettings(parameters) | Reaches::ResetSettings(parameters) => {
                    assert!(!parameters.is_empty() && known(parameters), "{}", cmdlet.name);
                }
            }
        }
    }

    #[test]
    fn every_object_is_declared_once_with_defaults_that_fit_and_help_in_both_languages() {
        let mut seen = BTreeSet::new();
        for source in all() {
            for object in source.declaration().objects {
                assert!(seen.insert(object.path) && !object.help_en.is_empty() && !object.help_fr.is_empty(), "{}", object.path);
                let mut acts = BTreeSet::new();
                for field in object.fields.iter().chain(object.acts.iter().flat_map(|act| act.parameters)) {
                    assert!(!field.help_en.is_empty() && !field.help_fr.is_empty(), "{}", field.name);
                    if let Some(default) = field.default_value() {
                        assert_eq!(field.check(&default), Ok(default), "{}", field.name);
                    }
                }
                for act in object.acts {
                    assert!(acts.insert(act.name) && !act.help_en.is_empty() && !act.help_fr.is_empty(), "{}", act.name);
                    let mut parameters = BTreeSet::new();
                    assert!(act.parameters.iter().all(|parameter| parameters.insert(parameter.parameter().to_lowercase())), "{}", act.name);
                }
            }
        }
    }
}
