//! Drafts: what a caller wrote about an object, field by field, and how it becomes the object's new fields. Every wrong
//! field is reported, not only the first; nothing is applied unless all are right.

use model::{Fault, Refusal};
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One field of a draft: left out, explicitly nothing, or a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// Left out: it stays as it is.
    #[default]
    Absent,
    /// `null`: it is cleared, or goes back to its default.
    Null,
    /// A new value.
    Given(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Field<T>, D::Error> {
        Ok(Option::deserialize(d)?.map_or(Field::Null, Field::Given))
    }
}

impl<T> Field<T> {
    /// The value, when there is one.
    pub fn given(self) -> Option<T> {
        match self {
            Field::Given(value) => Some(value),
            Field::Absent | Field::Null => None,
        }
    }

    /// Whether the caller wrote the field at all.
    pub fn is_there(&self) -> bool {
        !matches!(self, Field::Absent)
    }
}

impl Field<String> {
    /// An empty text means the same as `null`: for fields whose empty value is said so elsewhere too (settings).
    pub(crate) fn or_empty(self) -> Field<String> {
        match self {
            Field::Given(text) if text.is_empty() => Field::Null,
            other => other,
        }
    }
}

/// A rule for one text, as `model::directory` has them.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// Most characters of a group's description.
pub(crate) const DESCRIPTION_CHARS: usize = 1_024;

/// The wrong fields found so far.
#[derive(Default)]
pub(crate) struct Faults {
    found: Vec<Fault>,
    ids: Vec<Uuid>,
}

impl Faults {
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.found.push(Fault { field: field.into(), message: message.into() });
    }

    /// A name that may mean several objects: their ids go along.
    pub fn add_with_ids(&mut self, field: impl Into<String>, message: impl Into<String>, ids: Vec<Uuid>) {
        self.add(field, message);
        self.ids.extend(ids);
    }

    /// # Errors
    /// All that was found, if anything.
    pub fn done(self) -> crate::Result<()> {
        if self.found.is_empty() { Ok(()) } else { Err(Refusal { ids: self.ids, ..Refusal::fields(self.found) }) }
    }

    /// A text that there must be.
    pub fn text(&mut self, name: &str, field: Field<String>, into: &mut String, check: Check) {
        match field {
            Field::Given(text) => {
                if let Err(message) = check(&text) {
                    self.add(name, message);
                }
                *into = text;
            }
            Field::Null => self.add(name, "must have a value, not null"),
            Field::Absent if into.is_empty() => self.add(name, "is missing; give it a value"),
            Field::Absent => {}
        }
    }

    /// A text that there may be.
    pub fn optional(&mut self, name: &str, field: Field<String>, into: &mut Option<String>, check: Check) {
        match field {
            Field::Given(text) => {
                if let Err(message) = check(&text) {
                    self.add(name, message);
                }
                *into = Some(text);
            }
            Field::Null => *into = None,
            Field::Absent => {}
        }
    }

    /// A text with a default, to which `null` returns it.
    pub fn defaulted(&mut self, name: &str, field: Field<String>, into: &mut String, default: &str, check: Check) {
        match field {
            Field::Given(text) => {
                if let Err(message) = check(&text) {
                    self.add(name, message);
                }
                *into = text;
            }
            Field::Null => default.clone_into(into),
            Field::Absent if into.is_empty() => default.clone_into(into),
            Field::Absent => {}
        }
    }

    /// One of some fixed words.
    pub fn word<T: DeserializeOwned>(&mut self, name: &str, field: Field<String>, into: &mut T) {
        match field {
            Field::Given(text) => match serde_json::from_value(text.into()) {
                Ok(value) => *into = value,
                Err(error) => self.add(name, error.to_string()),
            },
            Field::Null => self.add(name, "must have a value, not null"),
            Field::Absent => {}
        }
    }

    /// A yes or no.
    pub fn flag(&mut self, name: &str, field: Field<bool>, into: &mut bool) {
        match field {
            Field::Given(value) => *into = value,
            Field::Null => self.add(name, "takes true or false, not null"),
            Field::Absent => {}
        }
    }

    /// A list of texts; `null` empties it, repeats are kept once.
    pub fn list(&mut self, name: &str, field: Field<Vec<String>>, into: &mut Vec<String>, check: Check) {
        let most = model::directory::LIST_LENGTH;
        let given = match field {
            Field::Given(list) => list,
            Field::Null => Vec::new(),
            Field::Absent => return,
        };
        if given.len() > most {
            self.add(name, format!("has {} values; at most {most} are allowed", given.len()));
            return;
        }
        into.clear();
        for (place, text) in given.into_iter().enumerate() {
            if let Err(message) = check(&text) {
                self.add(format!("{name}[{place}]"), message);
            }
            if !into.contains(&text) {
                into.push(text);
            }
        }
    }
}

/// A description: any text without control characters other than line breaks, not overlong.
pub(crate) fn check_description(text: &str) -> Result<(), String> {
    let chars = text.chars().count();
    if chars > DESCRIPTION_CHARS {
        return Err(format!("the value has {chars} characters; at most {DESCRIPTION_CHARS} are allowed"));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err("the value holds a control character; remove it".into());
    }
    Ok(())
}

/// A person's own quiet hours.
pub(crate) fn check_quiet_hours(text: &str) -> Result<(), String> {
    model::time::DailySpan::parse(text).map(|_| ())
}

/// One object and how people know it, as a lookup answers it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedView {
    /// Outside name.
    pub id: Uuid,
    /// UPN, group name or device name.
    pub name: String,
    /// The id of an outside directory.
    pub external_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::directory::{Platform, check_email, check_name, check_phone};

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Draft {
        a: Field<String>,
        b: Field<String>,
        c: Field<String>,
    }

    #[test]
    fn absent_null_and_given_are_three_things() {
        let draft: Draft = serde_json::from_str(r#"{"b": null, "c": "x"}"#).expect("a draft");
        assert_eq!((draft.a, draft.b, draft.c), (Field::Absent, Field::Null, Field::Given("x".into())));
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let mut faults = Faults::default();
        let (mut name, mut mail, mut phones, mut platform) = (String::new(), None, vec![], Platform::Ios);
        faults.text("displayName", Field::Absent, &mut name, check_name);
        faults.optional("email", Field::Given("ada".into()), &mut mail, check_email);
        faults.list("phones", Field::Given(vec!["+33155501234".into(), "12".into()]), &mut phones, check_phone);
        faults.word("platform", Field::Given("symbian".into()), &mut platform);
        let refusal = faults.done().expect_err("wrong fields");
        let fields: Vec<_> = refusal.faults.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["displayName", "email", "phones[1]", "platform"]);
        assert_eq!(refusal.faults[3].message, r#""symbian" is not one of ios, ipados, android, windows, macos, linux, browser"#);
        assert_eq!(refusal.detail, "4 fields are not acceptable; see errors");
    }
}
