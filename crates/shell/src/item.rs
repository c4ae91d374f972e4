//! What goes through a pipeline: objects with named properties in their order, and plain values.
//!
//! Names are shown in the spelling of parameters, with a capital first, and found in any case.

use model::objects::{FieldType, ObjectDeclaration, ObjectKind};
use serde_json::{Map, Value};

/// One thing in a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An object.
    Object(Object),
    /// A text, a number, a flag.
    Plain(Value),
}

/// An object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// What it is, when it came from the backend.
    pub kind: Option<ObjectKind>,
    /// Its properties, in the order in which they are shown.
    pub properties: Vec<(String, Value)>,
}

impl Object {
    /// As the backend has it: the name, then what is declared, then everything else.
    pub fn of(declaration: &ObjectDeclaration, mut fields: Map<String, Value>) -> Object {
        let mut properties = Vec::with_capacity(fields.len());
        let mut put = |name: &str, value: Value| properties.push((capital(name), value));
        for name in ["name", "displayName", "userPrincipalName"] {
            if let Some(value) = fields.remove(name) {
                put(name, value);
            }
        }
        for field in declaration.fields {
            if let Some(value) = fields.remove(field.name) {
                put(field.name, shown(field.kind, value));
            }
        }
        let last = ["id", "version"].map(|name| (name, fields.remove(name)));
        for (name, value) in fields {
            put(&name, value);
        }
        for (name, value) in last {
            if let Some(value) = value {
                put(name, value);
            }
        }
        Object { kind: Some(declaration.kind), properties }
    }

    /// From names and values, as they are.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, Value)>) -> Object {
        Object { kind: None, properties: pairs.into_iter().collect() }
    }

    /// One property, in any case. `Identity` is the id, for objects that have no property of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let exact = |name: &str| self.properties.iter().find(|(known, _)| same(known, name)).map(|(_, value)| value);
        exact(name).or_else(|| if same(name, "Identity") { exact("Id") } else { None })
    }

    /// Names of its properties.
    pub fn names(&self) -> Vec<String> {
        self.properties.iter().map(|(name, _)| name.clone()).collect()
    }

    /// How it is called in a sentence.
    pub fn label(&self) -> String {
        ["UserPrincipalName", "UPN", "Name", "Identity"].iter().find_map(|name| self.get(name)).map(text).unwrap_or_default()
    }

    /// As JSON. The order is lost; [`crate::view`] writes it with its order.
    pub fn value(&self) -> Value {
        self.properties.iter().cloned().collect::<Map<String, Value>>().into()
    }
}

impl Item {
    /// Follows names from property to property; nothing where there is none.
    pub fn at(&self, path: &[String]) -> Value {
        let mut names = path.iter();
        let mut here = match (self, names.next()) {
            (Item::Object(object), Some(name)) => object.get(name).cloned().unwrap_or_default(),
            (Item::Object(object), None) => object.value(),
            (Item::Plain(value), None) => value.clone(),
            (Item::Plain(value), Some(name)) => inner(value, name),
        };
        for name in names {
            here = inner(&here, name);
        }
        here
    }
}

fn inner(value: &Value, name: &str) -> Value {
    match value {
        Value::Object(fields) => fields.iter().find(|(known, _)| same(known, name)).map(|(_, value)| value.clone()).unwrap_or_default(),
        Value::Array(items) => match items.iter().map(|item| inner(item, name)).filter(|value| !value.is_null()).collect::<Vec<_>>() {
            none if none.is_empty() => Value::Null,
            some => some.into(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    }
}

/// Records within a field, with their names as they are shown.
fn shown(kind: FieldType, value: Value) -> Value {
    match (kind, value) {
        (FieldType::Records { fields, .. }, Value::Array(records)) => records
            .into_iter()
            .map(|record| match record {
                Value::Object(record) => record
                    .into_iter()
                    .map(|(name, value)| {
                        let inner = fields.iter().find(|field| field.name == name).map_or(FieldType::Flag, |field| field.kind);
                        (capital(&name), shown(inner, value))
                    })
                    .collect::<Map<_, _>>()
                    .into(),
                other => other,
            })
            .collect::<Vec<Value>>()
            .into(),
        (_, value) => value,
    }
}

/// A name as it is shown.
pub(crate) fn capital(name: &str) -> String {
    model::objects::spelled(name)
}

/// Whether two names are the same, whatever their case.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || one.to_lowercase() == other.to_lowercase()
}

/// A value as people read it and as it stands in text: control characters made visible, lists with commas.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            format!("@{{{}}}", fields.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join("; "))
        }
    }
}
