//! Settings: read by every administrator, changed by those whose role names their permission. A push switch that is
//! turned off is off when the answer comes (SPEC §2).

use super::acts::Deed;
use crate::Engine;
use crate::notifications::Page;
use model::policy::{PolicySnapshot, SettingDeclaration, SettingType};
use model::roles::{Actor, Permission};
use model::{ChannelKind, Locale, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

fn view(declared: &SettingDeclaration, policy: &PolicySnapshot, locale: Locale) -> SettingView {
    let (kind, least, most, choices) = match declared.kind {
        SettingType::Switch => ("switch", None, None, None),
        SettingType::Number { least, most } => ("number", Some(least), Some(most), None),
        SettingType::Choice(words) => ("choice", None, None, Some(words)),
        SettingType::DailySpan => ("dailySpan", None, None, None),
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
        self.inner.standing.set(&self.inner, &store, (declared.key, value), expected).await?;
        let policy = self.inner.standing.policy();
        // What waits for a channel that is off now becomes suppressed soon, not at its next hour.
        if let Some(channel) = switched_channel(declared.key).filter(|channel| !policy.channel_enabled(*channel)) {
            let woken = self.inner.store.wake_channel(self.tenant_key(), channel).await;
            woken.map_err(|e| crate::refusal("setting", e))?;
        }
        self.inner.planned.notify_one();
        Ok(view(&declared, &policy, locale))
    }
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
        assert!(near("colour", known()).is_empty());
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
