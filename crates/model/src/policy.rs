//! What the organization wants: every setting with its type and default, and an immutable, versioned snapshot of them.

use crate::channel::ChannelKind;
use crate::decision::Reason;
use crate::roles::Permission;
use crate::time::DailySpan;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SettingType {
    /// `true` or `false`.
    Switch,
    /// A whole number between two bounds, both allowed.
    Number {
        /// Smallest value.
        least: i64,
        /// Largest value.
        most: i64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A daily span such as `22:00-07:00`, or empty for none.
    DailySpan,
    /// Text of one line, up to so many characters; empty for none.
    Text {
        /// Most characters.
        most: usize,
    },
    /// A mail address, or empty for none.
    Mail,
    /// A colour as `#rrggbb`, or empty for none.
    Colour,
}

/// One setting, as its source or the engine declares it.
#[derive(Clone, Copy, Debug)]
pub struct SettingDeclaration {
    /// Dotted name.
    pub key: &'static str,
    /// What it takes.
    pub kind: SettingType,
    /// Its value until somebody sets it, as JSON.
    pub default: &'static str,
    /// What it does, in English.
    pub help_en: &'static str,
    /// What it does, in French.
    pub help_fr: &'static str,
    /// Who may change it.
    pub permission: Permission,
}

impl SettingDeclaration {
    /// The default as a JSON value.
    pub fn default_value(&self) -> Value {
        serde_json::from_str(self.default).expect("a declared default is JSON; a test parses each")
    }

    /// Accepts a value for this setting, or says what is wrong with it.
    ///
    /// # Errors
    /// A sentence with the rule and the mend.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let key = self.key;
        match self.kind {
            SettingType::Switch if value.is_boolean() => Ok(()),
            SettingType::Switch => Err(format!("{key} takes true or false, not {value}")),
            SettingType::Number { least, most } => match value.as_i64() {
                Some(n) if (least..=most).contains(&n) => Ok(()),
                _ => Err(format!("{key} takes a whole number from {least} to {most}, not {value}")),
            },
            SettingType::Choice(words) => match value.as_str() {
                Some(word) if words.contains(&word) => Ok(()),
                _ => Err(format!("{key} takes one of {}, not {value}", words.join(", "))),
            },
            SettingType::DailySpan => match value.as_str() {
                Some("") => Ok(()),
                Some(text) => DailySpan::parse(text).map(|_| ()).map_err(|e| format!("{key}: {e}")),
                None => Err(format!("{key} takes a span of the day such as \"22:00-07:00\", or \"\" for none, not {value}")),
            },
            SettingType::Text { most } => match value.as_str() {
                Some(text) if text.chars().count() <= most && !text.chars().any(char::is_control) => Ok(()),
                _ => Err(format!("{key} takes one line of text of at most {most} characters, not {value}")),
            },
            SettingType::Mail => match value.as_str() {
                Some(text) if text.is_empty() || crate::directory::check_email(text).is_ok() => Ok(()),
                _ => Err(format!("{key} takes a mail address such as team@example.org, or \"\" for none, not {value}")),
            },
            SettingType::Colour => match value.as_str() {
                Some(text) if text.is_empty() || is_colour(text) => Ok(()),
                _ => Err(format!("{key} takes a colour such as \"#1f4e79\", or \"\" for none, not {value}")),
            },
        }
    }
}

fn is_colour(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

macro_rules! number {
    ($key:literal, $least:literal, $most:literal, $default:literal, $en:literal, $fr:literal) => {
        SettingDeclaration {
            key: $key,
            kind: SettingType::Number { least: $least, most: $most },
            default: $default,
            help_en: $en,
            help_fr: $fr,
            permission: Permission::SettingsManage,
        }
    };
}

macro_rules! switch {
    ($key:literal, $en:literal, $fr:literal) => {
        SettingDeclaration {
            key: $key,
            kind: SettingType::Switch,
            default: "true",
            help_en: $en,
            help_fr: $fr,
            permission: Permission::PushSwitches,
        }
    };
}

/// The engine's own settings; every source adds its own to them.
pub const SETTINGS: &[SettingDeclaration] = &[
    switch!(
        "push.apns.enabled",
        "Push through Apple (APNs). Off stops it for everybody, at once; the inbox still has everything.",
        "Notifications poussées par Apple (APNs). Désactivé : arrêt immédiat pour tous ; la boîte de réception garde tout."
    ),
    switch!(
        "push.fcm.enabled",
        "Push through Google (FCM). Off stops it for everybody, at once; the inbox still has everything.",
        "Notifications poussées par Google (FCM). Désactivé : arrêt immédiat pour tous ; la boîte de réception garde tout."
    ),
    switch!(
        "push.wns.enabled",
        "Push through Microsoft (WNS). Off stops it for everybody, at once; the inbox still has everything.",
        "Notifications poussées par Microsoft (WNS). Désactivé : arrêt immédiat pour tous ; la boîte de réception garde tout."
    ),
    switch!(
        "push.webpush.enabled",
        "Push through browsers' services (Web Push). Off stops it for everybody, at once; the inbox still has everything.",
        "Notifications poussées par les navigateurs (Web Push). Désactivé : arrêt immédiat pour tous ; la boîte de réception garde tout."
    ),
    SettingDeclaration {
        key: "quiet_hours.default",
        kind: SettingType::DailySpan,
        default: "\"\"",
        help_en: "Quiet hours of people who chose none, in their own time zone: pushes wait until they end. Urgency high passes. Empty: none.",
        help_fr: "Heures calmes des personnes sans choix propre, dans leur fuseau : les notifications poussées attendent. L’urgence haute passe. Vide : aucune.",
        permission: Permission::PushSwitches,
    },
    SettingDeclaration {
        key: "push.frequency_cap.count",
        kind: SettingType::Number { least: 0, most: 10_000 },
        default: "0",
        help_en: "Most pushes that one person gets within push.frequency_cap.minutes; 0 means no cap. The surplus stays in the inbox.",
        help_fr: "Nombre maximal de notifications poussées par personne pendant push.frequency_cap.minutes ; 0 : sans plafond. Le surplus reste dans la boîte de réception.",
        permission: Permission::PushSwitches,
    },
    SettingDeclaration {
        key: "push.frequency_cap.minutes",
        kind: SettingType::Number { least: 1, most: 10_080 },
        default: "60",
        help_en: "Length of the window of push.frequency_cap.count, in minutes.",
        help_fr: "Durée de la fenêtre de push.frequency_cap.count, en minutes.",
        permission: Permission::PushSwitches,
    },
    number!(
        "registrations.suspicious_percent",
        1,
        100,
        "50",
        "When more than this share of a push service's last 200 answers say that an address is gone, such answers are not believed: \
         registrations stay and an alarm is raised. 100: always believed.",
        "Quand plus de cette part des 200 dernières réponses d’un service annonce une adresse disparue, ces réponses ne sont pas crues : \
         les inscriptions restent et une alarme est levée. 100 : toujours crues."
    ),
    number!(
        "limits.group_sends_per_hour",
        1,
        100_000,
        "25",
        "Notifications to groups that the organization may send within any hour.",
        "Notifications à des groupes que l’organisation peut envoyer par heure glissante."
    ),
    number!(
        "limits.device_sends_per_hour",
        1,
        100_000,
        "10",
        "Notifications to one device that may be sent within any hour.",
        "Notifications à un même appareil autorisées par heure glissante."
    ),
    number!(
        "limits.groups_per_notification",
        1,
        10_000,
        "25",
        "Groups that one notification may address directly; nested groups are not counted.",
        "Groupes qu’une notification peut viser directement ; les groupes imbriqués ne comptent pas."
    ),
    number!(
        "limits.users_per_notification",
        1,
        10_000,
        "100",
        "People that one notification may address directly.",
        "Personnes qu’une notification peut viser directement."
    ),
    number!(
        "limits.devices_per_notification",
        1,
        10_000,
        "100",
        "Devices that one notification may address directly.",
        "Appareils qu’une notification peut viser directement."
    ),
    SettingDeclaration {
        key: "retention.days",
        kind: SettingType::Number { least: 0, most: 3650 },
        default: "30",
        help_en: "Days for which message texts and deliveries are kept. 0: a text is erased as soon as it is dismissed or expired everywhere.",
        help_fr: "Jours de conservation des textes et des envois. 0 : un texte est effacé dès qu’il est masqué ou expiré partout.",
        permission: Permission::SettingsManage,
    },
    SettingDeclaration {
        key: "branding.name",
        kind: SettingType::Text { most: 100 },
        default: "\"\"",
        help_en: "The organization's name in its mails. Empty: its name in the server's configuration ([server] organization).",
        help_fr: "Nom de l’organisation dans ses courriels. Vide : son nom dans la configuration du serveur ([server] organization).",
        permission: Permission::SettingsManage,
    },
    SettingDeclaration {
        key: "branding.colour",
        kind: SettingType::Colour,
        default: "\"\"",
        help_en: "The organization's colour in its mails, as #rrggbb. Empty: Carillon's blue.",
        help_fr: "Couleur de l’organisation dans ses courriels, au format #rrggbb. Vide : le bleu de Carillon.",
        permission: Permission::SettingsManage,
    },
    SettingDeclaration {
        key: "branding.logo_url",
        kind: SettingType::Text { most: 500 },
        default: "\"\"",
        help_en: "Where the organization's logo for its mails is: an address that begins with https://. Empty: no logo.",
        help_fr: "Adresse du logo de l’organisation pour ses courriels ; elle commence par https://. Vide : pas de logo.",
        permission: Permission::SettingsManage,
    },
];

/// The organization's switch of a channel. Email and inbox have none.
pub fn switch_of(channel: ChannelKind) -> Option<&'static str> {
    match channel {
        ChannelKind::Apns => Some("push.apns.enabled"),
        ChannelKind::Fcm => Some("push.fcm.enabled"),
        ChannelKind::Wns => Some("push.wns.enabled"),
        ChannelKind::WebPush => Some("push.webpush.enabled"),
        ChannelKind::Email | ChannelKind::Inbox => None,
    }
}

/// When a kind of event also goes by email.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailMode {
    /// Never.
    Off,
    /// When no push goes to any device of the person.
    Fallback,
    /// Always.
    Always,
}

/// Where a kind of event takes its [`EmailMode`] from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailRule {
    /// From the setting of this name, a choice of `off`, `fallback`, `always`.
    Setting(&'static str),
    /// It is a mail and nothing else.
    Only,
    /// It never travels by mail.
    Never,
}

/// All settings at one version. Immutable; a change makes the next version.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySnapshot {
    /// Grows by one at each change.
    pub version: i64,
    values: BTreeMap<String, Value>,
}

impl PolicySnapshot {
    /// From the declarations and what was set; values of settings that this build does not declare are kept aside.
    pub fn new(version: i64, declared: &[SettingDeclaration], set: BTreeMap<String, Value>) -> PolicySnapshot {
        let mut values: BTreeMap<String, Value> = declared.iter().map(|d| (d.key.to_owned(), d.default_value())).collect();
        for (key, value) in set {
            let valid = declared.iter().find(|d| d.key == key).is_none_or(|d| d.check(&value).is_ok());
            if valid {
                values.insert(key, value);
            }
        }
        PolicySnapshot { version, values }
    }

    /// The next version, in which one setting has another value (`None`: its default).
    #[must_use]
    pub fn with(&self, declared: &[SettingDeclaration], key: &str, value: Option<Value>) -> PolicySnapshot {
        let default = || declared.iter().find(|d| d.key == key).map(SettingDeclaration::default_value);
        let mut values = self.values.clone();
        match value.or_else(default) {
            Some(value) => values.insert(key.to_owned(), value),
            None => values.remove(key),
        };
        PolicySnapshot { version: self.version + 1, values }
    }

    /// One value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Every value, by name.
    pub fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }

    /// A declared number.
    pub fn number(&self, key: &str) -> i64 {
        self.get(key).and_then(Value::as_i64).unwrap_or(0)
    }

    /// A declared switch.
    pub fn switch(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether the organization's switch lets this channel travel.
    pub fn channel_enabled(&self, channel: ChannelKind) -> bool {
        switch_of(channel).is_none_or(|key| self.switch(key))
    }

    /// The organization's name in its mails; `of_house` is the one that it has otherwise.
    pub fn organization<'a>(&'a self, of_house: &'a str) -> &'a str {
        self.get("branding.name").and_then(Value::as_str).map(str::trim).filter(|name| !name.is_empty()).unwrap_or(of_house)
    }

    /// The organization's quiet hours.
    pub fn quiet_hours(&self) -> Option<DailySpan> {
        self.get("quiet_hours.default").and_then(Value::as_str).and_then(|s| DailySpan::parse(s).ok())
    }

    /// The most pushes a person gets within a window, when there is a cap.
    pub fn frequency_cap(&self) -> Option<(u32, Duration)> {
        let count = u32::try_from(self.number("push.frequency_cap.count")).unwrap_or(0);
        let minutes = u64::try_from(self.number("push.frequency_cap.minutes")).unwrap_or(60);
        (count > 0).then(|| (count, Duration::from_secs(minutes * 60)))
    }

    /// What the policy says for one kind of event: read once per segment, not per row.
    pub fn terms(&self, email: EmailRule) -> Terms {
        let email = match email {
            EmailRule::Only => EmailMode::Always,
            EmailRule::Never => EmailMode::Off,
            EmailRule::Setting(key) => match self.get(key).and_then(Value::as_str) {
                Some("always") => EmailMode::Always,
                Some("fallback") => EmailMode::Fallback,
                _ => EmailMode::Off,
            },
        };
        let mut enabled = [true; ChannelKind::ALL.len() + 1];
        for channel in ChannelKind::ALL {
            enabled[usize::from(channel.number())] = self.channel_enabled(*channel);
        }
        Terms { version: self.version, enabled, email, objections: [None; ChannelKind::ALL.len() + 1] }
    }
}

/// The part of a policy that one kind of event is decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The policy's version.
    pub version: i64,
    enabled: [bool; ChannelKind::ALL.len() + 1],
    /// When it also goes by email.
    pub email: EmailMode,
    objections: [Option<Reason>; ChannelKind::ALL.len() + 1],
}

impl Terms {
    /// The same for one event, with what its source has against it by each channel.
    #[must_use]
    pub fn objecting(mut self, objection: impl Fn(ChannelKind) -> Option<Reason>) -> Terms {
        for channel in ChannelKind::ALL {
            self.objections[usize::from(channel.number())] = objection(*channel);
        }
        self
    }

    /// What the event's source has against this channel.
    pub fn objection(&self, channel: ChannelKind) -> Option<Reason> {
        self.objections[usize::from(channel.number())]
    }

    /// Whether the organization lets this channel travel.
    pub fn enabled(&self, channel: ChannelKind) -> bool {
        self.enabled[usize::from(channel.number())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_default_is_a_value_that_its_own_setting_accepts() {
        for d in SETTINGS {
            assert_eq!(d.check(&d.default_value()), Ok(()), "{}", d.key);
            assert!(!d.help_en.is_empty() && !d.help_fr.is_empty());
        }
    }

    #[test]
    fn mails_bear_the_organizations_name_unless_they_have_one_of_their_own() {
        let named = |name: &str| PolicySnapshot::new(1, SETTINGS, BTreeMap::from([("branding.name".to_owned(), json!(name))]));
        let name = |policy: PolicySnapshot| policy.organization("Example Ltd").to_owned();
        assert_eq!(name(PolicySnapshot::new(1, SETTINGS, BTreeMap::new())), "Example Ltd");
        assert_eq!((name(named("")), name(named(" "))), ("Example Ltd".to_owned(), "Example Ltd".to_owned()));
        assert_eq!(name(named("The Example")), "The Example");
        assert_eq!(name(named("two\nlines")), "Example Ltd", "what the setting does not take");
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_rule() {
        let by_key = |key: &str| SETTINGS.iter().find(|d| d.key == key).expect("declared");
        assert_eq!(
            by_key("limits.group_sends_per_hour").check(&json!(0)),
            Err("limits.group_sends_per_hour takes a whole number from 1 to 100000, not 0".into())
        );
        assert!(by_key("push.apns.enabled").check(&json!("no")).is_err());
        assert!(by_key("quiet_hours.default").check(&json!("22-7")).is_err());
        assert!(by_key("quiet_hours.default").check(&json!("")).is_ok());
    }

    #[test]
    fn push_is_on_until_it_is_turned_off() {
        let fresh = PolicySnapshot::new(1, SETTINGS, BTreeMap::new());
        assert!(fresh.channel_enabled(ChannelKind::Apns));
        let off = PolicySnapshot::new(2, SETTINGS, BTreeMap::from([("push.apns.enabled".into(), json!(false))]));
        assert!(!off.channel_enabled(ChannelKind::Apns) && off.channel_enabled(ChannelKind::Fcm));
        assert!(!off.terms(EmailRule::Never).enabled(ChannelKind::Apns));
    }
}
