//! Values as they are written, made into values as they are kept.

use super::{Parameter, Takes, rules};
use crate::compare::number;
use crate::item::{same, text};
use crate::wrong::{Both, Misfit, brief};
use model::Locale;
use model::objects::{FieldDeclaration, FieldType};
use model::policy::{SettingDeclaration, SettingType};
use serde_json::{Map, Value, json};

impl Parameter {
    /// A value for this parameter, checked against its declaration. `@{Add=…; Remove=…}` for a list stays a table, its values
    /// checked.
    ///
    /// # Errors
    /// The rule and the mend.
    pub(crate) fn convert(&self, value: Value) -> Result<Value, Misfit> {
        let bad = |why: Both| Misfit::BadValue { parameter: self.name.clone(), why };
        match self.takes {
            Takes::Switch | Takes::Field(FieldType::Flag) => {
                flag(&value).map(Value::from).ok_or_else(|| Misfit::NotAFlag { parameter: self.name.clone(), value: text(&value) })
            }
            Takes::Field(FieldType::List { of, .. }) if value.is_object() => self.add_remove(of, &value),
            Takes::Field(kind @ FieldType::Records { .. }) => checked(kind, value).map_err(bad),
            Takes::Field(_) if value.is_object() => Err(Misfit::NotAList { parameter: self.name.clone() }),
            Takes::Field(kind) => checked(kind, value).map_err(bad),
            Takes::Setting(setting) => of_setting(setting, value).map_err(bad),
            Takes::Count => count(&value).ok_or_else(|| {
                let fr = format!("prend un nombre entier ou Unlimited, pas {value}");
                bad(Both { en: format!("takes a whole number or Unlimited, not {value}"), fr })
            }),
            Takes::Block | Takes::Any => Ok(value),
        }
    }

    fn add_remove(&self, of: &'static FieldType, value: &Value) -> Result<Value, Misfit> {
        let mut kept = Map::new();
        for (name, values) in value.as_object().into_iter().flatten() {
            let key = ["Add", "Remove"].into_iter().find(|key| same(key, name));
            let key = key.ok_or_else(|| Misfit::AddRemoveOnly { parameter: self.name.clone() })?;
            let bad = |why: Both| Misfit::BadValue { parameter: self.name.clone(), why };
            let values: Vec<Value> =
                listed(values.clone()).into_iter().map(|one| checked(*of, one)).collect::<Result<_, _>>().map_err(bad)?;
            kept.insert(key.to_owned(), values.into());
        }
        if kept.is_empty() { Err(Misfit::AddRemoveOnly { parameter: self.name.clone() }) } else { Ok(kept.into()) }
    }
}

/// `$true`, `$false`, their words, and one and zero.
pub(crate) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(_) => number(value).filter(|n| [0.0, 1.0].contains(n)).map(|n| n > 0.0),
        Value::String(word) if ["true", "$true", "1"].iter().any(|yes| same(yes, word.trim())) => Some(true),
        Value::String(word) if ["false", "$false", "0"].iter().any(|no| same(no, word.trim())) => Some(false),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn count(value: &Value) -> Option<Value> {
    match value {
        Value::String(word) if same(word, "Unlimited") => Some(Value::Null),
        other => number(other).filter(|n| *n >= 0.0 && n.fract() == 0.0 && *n < 1e15).map(|n| json!(n as u64)),
    }
}

/// One value, or a list of them.
fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        single => vec![single],
    }
}

/// A value in the shape that a field keeps, and then by the field's own rule.
fn checked(kind: FieldType, value: Value) -> Result<Value, Both> {
    let shaped = match kind {
        FieldType::Flag => flag(&value).map_or(value, Value::from),
        FieldType::Whole { .. } | FieldType::WholeOrUnlimited { .. } => whole(value),
        FieldType::Text { .. }
        | FieldType::Choice(_)
        | FieldType::Digits { .. }
        | FieldType::Phone
        | FieldType::Mail
        | FieldType::Language
        | FieldType::Object(_) => plain(value, matches!(kind, FieldType::Text { .. }))?,
        FieldType::List { of, .. } => {
            let shaped: Result<Vec<Value>, Both> = listed(value).into_iter().map(|one| checked(*of, one)).collect();
            shaped?.into()
        }
        FieldType::Records { fields, .. } => {
            let shaped: Result<Vec<Value>, Both> = listed(value).into_iter().map(|one| record(fields, one)).collect();
            shaped?.into()
        }
    };
    kind.check(&shaped).map_err(|en| Both { en, fr: rules::of_field(kind, &shaped) })
}

/// Text from whatever was written; `$null` is empty text where that is a value.
fn plain(value: Value, may_be_empty: bool) -> Result<Value, Both> {
    match value {
        Value::Null if may_be_empty => Ok("".into()),
        Value::Number(_) | Value::Bool(_) => Ok(text(&value).into()),
        Value::Array(items) => {
            let many = items.len();
            Err(Both { en: format!("takes one value, not {many}"), fr: format!("prend une seule valeur, pas {many}") })
        }
        other => Ok(other),
    }
}

fn whole(value: Value) -> Value {
    match &value {
        Value::String(word) => word.trim().parse::<i64>().map_or(value, Value::from),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value,
    }
}

/// A table as one record: its names in any case, its values in shape.
fn record(fields: &'static [FieldDeclaration], value: Value) -> Result<Value, Both> {
    let Value::Object(given) = value else {
        let (such, got) = (fields.first().map_or("", |f| f.name), brief(&value.to_string()));
        let en = format!("takes records such as @{{{such}=…}}, not {got}");
        return Err(Both { en, fr: format!("prend des enregistrements comme @{{{such}=…}}, pas {got}") });
    };
    let inside = |name: &str, why: Both| {
        why.map(|why, locale| match locale {
            Locale::En => format!("{name}: {why}"),
            Locale::Fr => format!("{name} : {why}"),
        })
    };
    let mut record = Map::new();
    for (name, value) in given {
        match fields.iter().find(|field| same(field.name, &name) || field.aliases.iter().any(|alias| same(alias, &name))) {
            Some(field) => record.insert(field.name.to_owned(), checked(field.kind, value).map_err(|why| inside(&name, why))?),
            None => record.insert(name, value),
        };
    }
    Ok(record.into())
}

fn of_setting(setting: &'static SettingDeclaration, value: Value) -> Result<Value, Both> {
    let shaped = match setting.kind {
        SettingType::Switch => flag(&value).map_or(value, Value::from),
        SettingType::Number { .. } => whole(value),
        SettingType::Choice(words) => {
            let word = text(&value);
            words.iter().find(|known| same(known, &word)).map_or(value, |known| (*known).into())
        }
        SettingType::DailySpan | SettingType::Text { .. } | SettingType::Mail | SettingType::Colour => plain(value, true)?,
    };
    let without_key =
        |why: String| why.strip_prefix(setting.key).map_or(why.clone(), |rest| rest.trim_start_matches([' ', ':']).to_owned());
    match setting.check(&shaped) {
        Ok(()) => Ok(shaped),
        Err(why) => Err(Both { en: without_key(why), fr: rules::of_setting(setting, &shaped) }),
    }
}
