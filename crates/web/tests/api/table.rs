//! The table of wrong values and what the API answers to them: `tests/bad-input.md`.

use super::world::{Reply, World};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// Rows so far, and which fields they are about.
pub struct Table {
    /// The rows as Markdown.
    pub text: String,
    /// Operations and fields that have one.
    pub seen: BTreeSet<(String, String)>,
}

/// Parameters that take any text.
const ANY_TEXT: [(&str, &str); 8] = [
    ("/api/v1/users", "search"),
    ("/api/v1/users", "upn"),
    ("/api/v1/users", "externalId"),
    ("/api/v1/groups", "search"),
    ("/api/v1/groups", "name"),
    ("/api/v1/groups", "externalId"),
    ("/api/v1/directory/import", "name"),
    ("/api/v1/device/registration", "app"),
];

impl Table {
    /// Adds a row.
    pub fn row(&mut self, world: &World, method: &str, path: &str, field: &str, value: &str, reply: &Reply) {
        let template = world.described().template(path).unwrap_or(path).to_owned();
        let mut value = value.to_owned();
        if value.chars().count() > 60 {
            value = format!("{}… ({} characters)", value.chars().take(40).collect::<String>(), value.chars().count());
        }
        let detail = without_ids(reply.json["detail"].as_str().unwrap_or(""));
        let more = reply.faults().len().saturating_sub(1);
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        let first = reply.faults().first().map_or(detail, |(field, message)| without_ids(&format!("{field}: {message}")));
        let (status, code) = reply.code();
        let clean = |text: &str| text.replace('|', "\\|").replace(['\u{0}', '\n'], "␀");
        let _ = writeln!(
            self.text,
            "| {method} {} | {field} | `{}` | {status} {code} | {}{more} |",
            template.trim_start_matches("/api/v1/"),
            clean(&value),
            clean(&first)
        );
        self.seen.insert((format!("{method} {template}"), field.to_owned()));
    }
}

/// Ids and times differ from run to run.
fn without_ids(text: &str) -> String {
    let parts = text.split_inclusive([' ', '"', ')', ',', ';', ':']);
    let id = |part: &str| part.trim_end_matches([' ', '"', ')', ',', ';', ':']).to_owned();
    parts.map(|part| if uuid::Uuid::try_parse(&id(part)).is_ok() { part.replace(&id(part), "‹id›") } else { part.to_owned() }).collect()
}

/// The beginning of the file.
pub const HEAD: &str = "# Bad input\n\nWhat the API answers to wrong values: made by the test `refused`, which fails when an answer changes. One row for \
each request; the value stands in an otherwise acceptable request. Where a value makes several fields wrong, all are named in the answer and the first is shown.\n\n\
| Request | Field | Value | Status and code | Message |\n| --- | --- | --- | --- | --- |\n";

/// Every described field has a row.
pub fn nothing_is_left_out(world: &World, table: &Table) {
    let mut missing = Vec::new();
    for (path, item) in world.described().document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let fields = world.described().fields(&operation["requestBody"]["content"]["application/json"]["schema"]);
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let queries = parameters.iter().filter(|p| p["in"] == "query").filter_map(|p| p["name"].as_str().map(str::to_owned));
            for name in fields.into_iter().chain(queries) {
                let any = ANY_TEXT.contains(&(path.as_str(), name.as_str()))
                    || (path == "/api/v1/devices" && ["search", "name", "externalId"].contains(&name.as_str()));
                if !any && !table.seen.contains(&(format!("{} {path}", method.to_uppercase()), name.clone())) {
                    missing.push(format!("{method} {path} {name}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no wrong value is tried for {missing:#?}");
}

/// Holds the table against the file.
pub fn kept(text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-input.md");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, text).expect("the table is written");
    }
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    let changed: Vec<&str> = text.lines().filter(|line| !before.contains(line)).collect();
    assert!(before == text, "answers changed; look at them, then run the test with UPDATE_SNAPSHOTS=1:\n{}", changed.join("\n"));
}
