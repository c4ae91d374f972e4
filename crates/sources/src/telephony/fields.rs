//! How the objects of telephony declare their fields, keep what is given, and tell the caller what has no effect.

use model::objects::{FieldDeclaration, FieldType, Need, ObjectKind};
use model::refusal::Refusal;
use serde_json::{Map, Value};

/// A field that may be given.
pub(super) const fn may(
    name: &'static str,
    kind: FieldType,
    default: &'static str,
    help_en: &'static str,
    help_fr: &'static str,
) -> FieldDeclaration {
    FieldDeclaration { name, aliases: &[], kind, need: Need::May, default, works: true, help_en, help_fr }
}

/// A field that must be given.
pub(super) const fn must(name: &'static str, kind: FieldType, help_en: &'static str, help_fr: &'static str) -> FieldDeclaration {
    FieldDeclaration { need: Need::Must, ..may(name, kind, "", help_en, help_fr) }
}

/// A field that the documented systems have and from which nothing follows here.
pub(super) const fn idle(
    name: &'static str,
    kind: FieldType,
    default: &'static str,
    help_en: &'static str,
    help_fr: &'static str,
) -> FieldDeclaration {
    FieldDeclaration { works: false, ..may(name, kind, default, help_en, help_fr) }
}

/// Characters that names of dial plans and policies cannot hold.
const FORBIDDEN: &str = "\"/\\[]:;|=,+*?<>";

/// The name that is given, checked for characters that the documented systems forbid.
pub(super) fn name(given: &Map<String, Value>, most: usize, because: &str) -> Result<Option<String>, Refusal> {
    let Some(name) = given.get("name").and_then(Value::as_str).map(str::trim) else { return Ok(None) };
    let chars = name.chars().count();
    if name.is_empty() {
        return Err(Refusal::field("name", format!("is empty; give it 1 to {most} characters")));
    }
    if chars > most {
        let over = chars - most;
        return Err(Refusal::field("name", format!("has {chars} characters; at most {most} are allowed{because}. Shorten it by {over}")));
    }
    if let Some(letter) = name.chars().find(|letter| FORBIDDEN.contains(*letter) || letter.is_control()) {
        return Err(Refusal::field("name", format!("holds {letter:?}; a name takes none of {FORBIDDEN} and no control characters")));
    }
    Ok(Some(name.to_owned()))
}

/// The document of a new object: what is given, and the defaults.
pub(super) fn fresh(fields: &[FieldDeclaration], given: &Map<String, Value>) -> Map<String, Value> {
    let value = |field: &FieldDeclaration| {
        let given = given.get(field.name).filter(|value| !value.is_null()).cloned();
        given.or_else(|| field.default_value()).unwrap_or_default()
    };
    fields.iter().map(|field| (field.name.to_owned(), value(field))).collect()
}

/// The document with what is given put in; `null` returns a field to its default.
pub(super) fn changed(fields: &[FieldDeclaration], before: &Value, given: &Map<String, Value>) -> Map<String, Value> {
    let mut document = before.as_object().cloned().unwrap_or_default();
    for field in fields {
        match given.get(field.name) {
            Some(Value::Null) => {
                document.insert(field.name.to_owned(), field.default_value().unwrap_or_default());
            }
            Some(value) => {
                document.insert(field.name.to_owned(), value.clone());
            }
            None => {
                let missing = || field.default_value().unwrap_or_default();
                document.entry(field.name).or_insert_with(missing);
            }
        }
    }
    document
}

/// A sentence for everything that was given and from which nothing follows.
pub(super) fn idle_remarks(parameters: &[FieldDeclaration], given: &Map<String, Value>) -> Vec<(String, String)> {
    let idle: Vec<String> = parameters.iter().filter(|p| !p.works && given.contains_key(p.name)).map(FieldDeclaration::parameter).collect();
    if idle.is_empty() {
        return Vec::new();
    }
    let (en, fr) = if idle.len() == 1 {
        ("is accepted and has no effect here.", "est accepté et n’a aucun effet ici.")
    } else {
        ("are accepted and have no effect here.", "sont acceptés et n’ont aucun effet ici.")
    };
    let names = idle.join(", ");
    vec![(format!("{names} {en}"), format!("{names} {fr}"))]
}

/// A field that names an object that is not there.
pub(super) fn unknown(field: &str, kind: ObjectKind, name: &str) -> Refusal {
    Refusal::field(field, format!("there is no {kind} {name:?}; give the id or the name of one"))
}

/// Text of a document.
pub(super) fn text<'a>(document: &'a Value, field: &str) -> Option<&'a str> {
    document.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}
