//! How objects look: a table or a list for people, JSON for programs. Control characters never reach a terminal: names and
//! texts come from strangers.

use crate::item::{Item, Object, text};
use crate::run::narrowed;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// Most properties of objects that are shown as a table unless somebody asks for one.
const COLUMNS_USUAL: usize = 5;

/// Items as they are shown when nobody said how: texts as they are, objects with few properties as a table, others as lists.
pub(crate) fn usual(items: &[Item], width: usize) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = items;
    while let Some(first) = rest.first() {
        let alike = rest.iter().take_while(|item| names(item) == names(first)).count();
        let (these, others) = rest.split_at(alike);
        rest = others;
        parts.push(match first {
            Item::Plain(_) => these.iter().map(line).collect::<Vec<_>>().join("\n"),
            Item::Object(object) if object.properties.len() > COLUMNS_USUAL => list(these, &[]),
            Item::Object(_) => table(these, &[], width),
        });
    }
    parts.join("\n\n")
}

fn names(item: &Item) -> Option<Vec<&str>> {
    match item {
        Item::Object(object) => Some(object.properties.iter().map(|(name, _)| name.as_str()).collect()),
        Item::Plain(_) => None,
    }
}

/// A plain value on lines of its own; pages of help have several.
fn line(item: &Item) -> String {
    match item {
        Item::Plain(value) => harmless(&text(value), true),
        Item::Object(object) => harmless(&object.label(), false),
    }
}

/// Control characters made visible; line breaks where they may be.
fn harmless(text: &str, lines: bool) -> String {
    text.chars().map(|c| if c.is_control() && !(lines && c == '\n') { '\u{fffd}' } else { c }).collect()
}

/// The same properties for all: those that are asked for, or those of the first.
fn columns(items: &[Item], names: &[String]) -> Vec<Object> {
    let object = |item: &Item| match if names.is_empty() { item.clone() } else { narrowed(item, names) } {
        Item::Object(object) => object,
        Item::Plain(value) => Object::from_pairs([("Value".to_owned(), value)]),
    };
    items.iter().map(object).collect()
}

/// A table without borders, no wider than the width; long cells are broken.
pub(crate) fn table(items: &[Item], names: &[String], width: usize) -> String {
    let objects = columns(items, names);
    let Some(first) = objects.first() else { return String::new() };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if width > 0 {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    let header = first.names();
    table.set_header(header.iter().map(|name| harmless(name, false)));
    for object in &objects {
        table.add_row(header.iter().map(|name| harmless(&object.get(name).map(text).unwrap_or_default(), false)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// A property on each line, a blank line between objects.
pub(crate) fn list(items: &[Item], names: &[String]) -> String {
    let one = |object: &Object| {
        let width = object.properties.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let line = |(name, value): &(String, Value)| {
            format!("{}{} : {}", harmless(name, false), " ".repeat(width - name.chars().count()), harmless(&text(value), false))
                .trim_end()
                .to_owned()
        };
        object.properties.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    columns(items, names).iter().map(one).collect::<Vec<_>>().join("\n\n")
}

/// JSON of one object as an object, of several as an array, with properties in their order.
pub(crate) fn json(items: &[Item], compressed: bool) -> String {
    match items {
        [one] => object(one, compressed, 0),
        many if compressed => format!("[{}]", many.iter().map(|item| object(item, true, 0)).collect::<Vec<_>>().join(",")),
        many => format!("[\n{}\n]", many.iter().map(|item| format!("  {}", object(item, false, 1))).collect::<Vec<_>>().join(",\n")),
    }
}

/// JSON of one item.
pub(crate) fn object(item: &Item, compressed: bool, depth: usize) -> String {
    let properties = match item {
        Item::Plain(value) => return value.to_string(),
        Item::Object(object) => object.properties.iter(),
    };
    let (colon, between) = if compressed { (":", ",".to_owned()) } else { (": ", format!(",\n{}", "  ".repeat(depth + 1))) };
    let inner: Vec<String> = properties.map(|(name, value)| format!("{}{colon}{value}", Value::from(name.as_str()))).collect();
    match compressed {
        _ if inner.is_empty() => "{}".to_owned(),
        true => format!("{{{}}}", inner.join(&between)),
        false => format!("{{\n{0}  {1}\n{0}}}", "  ".repeat(depth), inner.join(&between)),
    }
}
