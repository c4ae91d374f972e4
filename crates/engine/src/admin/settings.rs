//! Settings: read by every administrator, changed by those whose role names their permission. A push switch that is
//! turned off is off when the answer comes (SPEC §2).

use super::acts::Deed;
use super::fields::Faults;
use crate::Engine;
use crate::notifications::Page;
use model::policy::{PolicySnapshot, SettingDeclaration, SettingType};
use model::roles::{Actor, Permission};
use model::{ChannelKind, Fault, Locale, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A setting with its value now; `version` is the policy's, which moves with every change of any setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct SettingView {
    pub key: &'static str,
    pub value: Value,
    pub default: Value,
    /// `switch`, `number`, `choice` or `dailySpan`.
    pub r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<&'static [&'static str]>,
    pub help: &'static str,
    /// Who may change it.
    pub permission: Permission,
    pub version: i64,
}

/// A new value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct SettingDraft {
    pub value: Value,
}

/// New values of several settings; `null` returns one to its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct SettingsDraft {
    pub values: BTreeMap<String, Option<Value>>,
}

/// Most settings of one change.
pub const CHANGED_MOST: usize = 200;

fn view(declared: &SettingDeclaration, policy: &PolicySnapshot, locale: Locale) -> SettingView {
    let (kind, least, most, choices) = match declared.kind {
        SettingType::Switch => ("switch", None, None, None),
        SettingType::Number { least, most } => ("number", Some(least), Some(most), None),
        SettingType::Choice(words) => ("choice", None, None, Some(words)),
        SettingType::DailySpan => ("dailySpan", None, None, None),
        SettingType::Text { most } => ("text", None, i64::try_from(most).ok(), None),
        SettingType::Mail => ("mail", None, None, None),
        SettingType::Colour => ("colour", None, None, None),
    };
    SettingView {
        key: declared.key,
        value: policy.get(declared.key).cloned().unwrap_or_else(|| declared.default_value()),
        default: declared.default_value(),
        r#type: kind,
        least,
        most,
        choices,
        help: match locale {
            Locale::En => declared.help_en,
            Locale::Fr => declared.help_fr,
        },
        permission: declared.permission,
        version: policy.version,
    }
}

/// The channel that a setting switches, if it is such a switch.
fn switched_channel(key: &str) -> Option<ChannelKind> {
    let word = key.strip_prefix("push.")?.strip_suffix(".enabled")?;
    ChannelKind::from_word(word).filter(|channel| channel.service().is_some())
}

impl Engine {
    /// Every setting of this build.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn settings(&self, actor: &Actor, locale: Locale) -> crate::Result<Page<SettingView>> {
        self.allow(actor, Permission::DirectoryRead)?;
        let policy = self.inner.standing.policy();
        let mut items: Vec<SettingView> = self.inner.settings.iter().map(|declared| view(declared, &policy, locale)).collect();
        items.sort_by_key(|setting| setting.key);
        Ok(Page { items, next_cursor: None })
    }

    /// One setting.
    ///
    /// # Errors
    /// `forbidden`; `not_found`, naming settings that are written alike.
    pub fn read_setting(&self, actor: &Actor, key: &str, locale: Locale) -> crate::Result<SettingView> {
        self.allow(actor, Permission::DirectoryRead)?;
        Ok(view(self.declared(key)?, &self.inner.standing.policy(), locale))
    }

    fn declared(&self, key: &str) -> crate::Result<&SettingDeclaration> {
        self.inner.settings.iter().find(|d| d.key == key).ok_or_else(|| {
            let mut refusal = Refusal::not_found("setting", key);
            let near = near(key, self.inner.settings.iter().map(|d| d.key));
            if !near.is_empty() {
                refusal.detail.push_str(&format!("; did you mean {}?", near.join(" or ")));
            }
            refusal
        })
    }

    /// Sets a value, or with `None` returns it to its default. After this answers, nothing starts by the old value.
    ///
    /// # Errors
    /// `forbidden`; `not_found`; a fault of `value`; `stale` when `expected` is an older policy version.
    pub async fn set_setting(
        &self,
        actor: &Actor,
        key: &str,
        value: Option<Value>,
        expected: Option<i64>,
        locale: Locale,
    ) -> crate::Result<SettingView> {
        let declared = *self.declared(key)?;
        self.allow_everywhere(actor, declared.permission)?;
        if let Some(value) = &value {
            declared.check(value).map_err(|message| Refusal::field("value", message))?;
        }
        let before = self.inner.standing.policy().get(declared.key).cloned();
        let deed = Deed::to("setting.set", "setting", declared.key).with("value", [&before, &value]);
        let store = self.told(actor, deed).await?;
        let set = self.inner.standing.set(&self.inner, &store, vec![(declared.key.to_owned(), value)], expected).await;
        set.map_err(|refusal| renamed(refusal, |_| "value".to_owned()))?;
        self.settings_hold([declared.key]).await?;
        Ok(view(&declared, &self.inner.standing.policy(), locale))
    }

    /// Sets several values, or with `None` returns them to their defaults: all or none, as one version. After this answers, nothing
    /// starts by the old values.
    ///
    /// # Errors
    /// `forbidden` when one of them is not the actor's to change; every wrong key and value; settings that do not go together;
    /// `stale` when `expected` is an older policy version.
    pub async fn change_settings(
        &self,
        actor: &Actor,
        draft: SettingsDraft,
        expected: Option<i64>,
        locale: Locale,
    ) -> crate::Result<Page<SettingView>> {
        if draft.values.is_empty() || draft.values.len() > CHANGED_MOST {
            return Err(Refusal::field("values", format!("takes 1 to {CHANGED_MOST} settings, not {}", draft.values.len())));
        }
        let (mut faults, mut declared, mut deed) = (Faults::default(), Vec::new(), Deed::of("setting.set"));
        let policy = self.inner.standing.policy();
        for (key, value) in &draft.values {
            match self.declared(key) {
                Ok(setting) => {
                    self.allow_everywhere(actor, setting.permission)?;
                    if let Some(Err(message)) = value.as_ref().map(|value| setting.check(value)) {
                        faults.add(in_values(key), message);
                    }
                    deed = deed.with(setting.key, [&policy.get(key).cloned(), value]);
                    declared.push(*setting);
                }
                Err(refusal) => faults.add(in_values(key), refusal.detail),
            }
        }
        if declared.is_empty() {
            self.allow(actor, Permission::DirectoryRead)?;
        }
        faults.done()?;
        let store = self.told(actor, deed).await?;
        let set = self.inner.standing.set(&self.inner, &store, draft.values.into_iter().collect(), expected).await;
        set.map_err(|refusal| renamed(refusal, in_values))?;
        let keys: Vec<&'static str> = declared.iter().map(|setting| setting.key).collect();
        self.settings_hold(keys).await?;
        let policy = self.inner.standing.policy();
        Ok(Page { items: declared.iter().map(|setting| view(setting, &policy, locale)).collect(), next_cursor: None })
    }

    /// What waits for a channel that is off now becomes suppressed soon, not at its next hour.
    async fn settings_hold(&self, keys: impl IntoIterator<Item = &'static str>) -> crate::Result<()> {
        let policy = self.inner.standing.policy();
        for channel in keys.into_iter().filter_map(switched_channel).filter(|channel| !policy.channel_enabled(*channel)) {
            let woken = self.inner.store.wake_channel(self.tenant_key(), channel).await;
            woken.map_err(|e| crate::refusal("setting", e))?;
        }
        self.inner.planned.notify_one();
        Ok(())
    }
}

fn in_values(key: &str) -> String {
    format!("values.{key}")
}

/// A refusal with its fields under other names.
fn renamed(refusal: Refusal, name: impl Fn(&str) -> String) -> Refusal {
    if refusal.faults.is_empty() {
        return refusal;
    }
    Refusal::fields(refusal.faults.into_iter().map(|fault| Fault { field: name(&fault.field), message: fault.message }).collect())
}

/// Names that are written alike: at most three.
fn near<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<(usize, &str)> = known
        .map(|name| (if key.len() >= 3 && name.contains(key) { 0 } else { distance(key, name) }, name))
        .filter(|(steps, name)| *steps <= name.len() / 3)
        .collect();
    found.sort();
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Edits (a letter added, dropped or changed) from one word to another. Keys longer than any setting are not compared.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 100;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(LONGEST).collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_met_with_the_near_ones() {
        let known = || model::policy::SETTINGS.iter().map(|d| d.key);
        assert_eq!(near("push.apn.enabled", known())[0], "push.apns.enabled");
        assert_eq!(near("retention", known()), ["retention.days"]);
        assert!(near("zebra", known()).is_empty());
    }

    #[test]
    fn only_switches_of_push_services_switch_a_channel() {
        assert_eq!(switched_channel("push.apns.enabled"), Some(ChannelKind::Apns));
        assert_eq!(switched_channel("push.webpush.enabled"), Some(ChannelKind::WebPush));
        for other in ["push.email.enabled", "push.frequency_cap.count", "retention.days"] {
            assert_eq!(switched_channel(other), None, "{other}");
        }
    }

    #[test]
    fn words_that_differ_in_one_letter_are_one_edit_apart() {
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("abc", "abc")), (3, 3, 0));
    }
}
