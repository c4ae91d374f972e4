//! From file, environment and options to one set of values, each with the place where it was written. Knows names and
//! types; whether a value makes sense is for `build`.

use super::LogFormat;
use super::schema::{self, FAMILIES, Key, Kind, LISTS, SECTIONS, Section, list, nearest, section, title, top_level};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::Value;

/// The prefix of environment variables that set something.
const PREFIX: &str = "CARILLON__";

/// What the command line says; it wins over file and environment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--log-level`.
    pub log_level: Option<String>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
}

/// A value that has its key's type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Number(i64),
    Flag(bool),
}

/// A value and where it was written, for messages.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub value: Scalar,
    pub origin: String,
}

/// One of the sections of a name of which there may be several.
#[derive(Debug)]
pub(super) struct Entry {
    pub section: &'static Section,
    /// Which one in its file, counted from 1.
    pub number: usize,
    pub origin: String,
    pub given: BTreeMap<&'static str, Scalar>,
    /// What was wrong with keys: those are not missing.
    pub wrong: BTreeSet<&'static str>,
}

impl Entry {
    /// The file, and which section and key of it.
    pub(super) fn place(&self, key: &str) -> String {
        let gap = if key.is_empty() { "" } else { " " };
        format!("{}: {} number {}{gap}{key}", self.origin, title(self.section.name), self.number)
    }
}

/// Everything that was given, and what was wrong with the rest.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub given: BTreeMap<(&'static str, &'static str), Given>,
    /// Sections that were named, even if nothing in them was right.
    pub present: BTreeMap<&'static str, String>,
    /// Sections of which there may be several, in the order of the file.
    pub entries: Vec<Entry>,
    pub faults: Vec<String>,
    pub warnings: Vec<String>,
    lacking: BTreeSet<String>,
}

pub(super) fn layers(
    file: Option<(&Path, &str)>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Values {
    let mut values = Values::default();
    if let Some((path, text)) = file {
        values.read_file(path, text);
    }
    let mut variables: Vec<(String, String)> = environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (name, text) in variables {
        values.read_variable(&name, &text);
    }
    if let Some(data) = &overrides.data {
        values.put("server", "data", Scalar::Text(data.to_string_lossy().into_owned()), "--data");
    }
    if let Some(listen) = overrides.listen {
        values.put("server", "listen", Scalar::Text(listen.to_string()), "--listen");
    }
    if let Some(level) = &overrides.log_level {
        values.put("log", "level", Scalar::Text(level.clone()), "--log-level");
    }
    if let Some(format) = overrides.log_format {
        let word = match format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        values.put("log", "format", Scalar::Text(word.to_owned()), "--log-format");
    }
    values
}

impl Values {
    fn put(&mut self, section: &'static str, key: &'static str, value: Scalar, origin: &str) {
        self.present.entry(section).or_insert_with(|| origin.to_owned());
        self.given.insert((section, key), Given { value, origin: origin.to_owned() });
    }

    fn read_file(&mut self, path: &Path, text: &str) {
        let origin = path.display().to_string();
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(e) => {
                let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
                self.faults.push(format!("{origin}, line {line}: not TOML: {}", e.message().trim()));
                return;
            }
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        for (name, value) in table {
            match value {
                Value::Table(keys) if FAMILIES.contains(&name.as_str()) => {
                    for (member, value) in keys {
                        self.read_section(&format!("{name}.{member}"), value, &origin, folder);
                    }
                }
                Value::Table(mut keys) => {
                    // Sections below a section, such as [server.tls].
                    let below = |key: &String| section(&format!("{name}.{key}")).is_some();
                    for key in keys.keys().filter(|key| below(key)).cloned().collect::<Vec<_>>() {
                        if let Some(value) = keys.remove(&key) {
                            self.read_section(&format!("{name}.{key}"), value, &origin, folder);
                        }
                    }
                    self.read_section(&name, Value::Table(keys), &origin, folder);
                }
                value => self.read_key("", &name, value, &origin, folder),
            }
        }
    }

    fn read_section(&mut self, name: &str, value: Value, origin: &str, folder: &Path) {
        if let Some(known) = list(name) {
            self.read_list(known, value, origin, folder);
            return;
        }
        let Some(known) = section(name) else {
            let family = name.split_once('.').map(|(family, _)| family);
            match value {
                Value::Table(_) | Value::Array(_) if family.is_some() => self.lacks(name, origin),
                Value::Table(_) => self.unknown_top_level(name, origin),
                _ => self.faults.push(format!("{origin}: {name} is not a section; write [{name}] and its keys below")),
            }
            return;
        };
        let Value::Table(keys) = value else {
            self.faults.push(format!("{origin}: {name} is one section; write [{name}] and its keys below"));
            return;
        };
        self.present.entry(known.name).or_insert_with(|| origin.to_owned());
        for (key, value) in keys {
            self.read_key(known.name, &key, value, origin, folder);
        }
    }

    fn read_list(&mut self, known: &'static Section, value: Value, origin: &str, folder: &Path) {
        let tables = match value {
            Value::Array(tables) if tables.iter().all(Value::is_table) => tables,
            _ => {
                let title = title(known.name);
                self.faults.push(format!("{origin}: there may be several of {}; write {title} above the keys of each", known.name));
                return;
            }
        };
        for (at, table) in tables.into_iter().enumerate() {
            let mut entry =
                Entry { section: known, number: at + 1, origin: origin.to_owned(), given: BTreeMap::new(), wrong: BTreeSet::new() };
            for (name, value) in table.as_table().into_iter().flatten() {
                let Some(key) = known.keys.iter().find(|key| key.name == name) else {
                    self.faults.push(format!("{} {}", entry.place(""), unknown_key(known, name)));
                    continue;
                };
                match scalar(key, value) {
                    Ok(value) => drop(entry.given.insert(key.name, located(key, value, folder))),
                    Err(rule) => {
                        entry.wrong.insert(key.name);
                        self.faults.push(format!("{}: {rule}", entry.place(key.name)));
                    }
                }
            }
            self.entries.push(entry);
        }
    }

    fn read_key(&mut self, section_name: &str, name: &str, value: Value, origin: &str, folder: &Path) {
        let Some((section, key)) = self.find(section_name, name, origin) else { return };
        match scalar(key, &value) {
            Ok(value) => self.put(section, key.name, located(key, value, folder), origin),
            Err(rule) => self.faults.push(format!("{origin}: {}: {rule}", place(section, key.name))),
        }
    }

    fn read_variable(&mut self, variable: &str, text: &str) {
        let parts: Vec<String> = variable[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        let Some((name, path)) = parts.split_last() else { return };
        if text.is_empty() {
            return; // An empty variable is how many launchers say "not set".
        }
        let section_name = path.join(".");
        if list(&section_name).is_some() {
            let title = title(&section_name);
            self.faults.push(format!("{variable}: there may be several of {title}, and a variable cannot say which; write it in the file"));
            return;
        }
        if section(&section_name).is_none() {
            match path.first() {
                Some(family) if path.len() == 2 && FAMILIES.contains(&family.as_str()) => self.lacks(&section_name, variable),
                _ => self.unknown_top_level(if section_name.is_empty() { name } else { &section_name }, variable),
            }
            return;
        }
        let Some((section, key)) = self.find(&section_name, name, variable) else { return };
        let value = match key.kind {
            Kind::Number { .. } => text.trim().parse().map_or(Value::String(text.to_owned()), Value::Integer),
            Kind::Flag => text.trim().parse().map_or(Value::String(text.to_owned()), Value::Boolean),
            Kind::Text | Kind::Path | Kind::Store | Kind::Choice(_) => Value::String(text.to_owned()),
        };
        match scalar(key, &value) {
            Ok(value) => self.put(section, key.name, value, variable),
            Err(rule) => self.faults.push(format!("{variable}: {rule}")),
        }
    }

    /// The section and key of these names, or a fault that says which there are.
    fn find(&mut self, section_name: &str, name: &str, origin: &str) -> Option<(&'static str, &'static Key)> {
        let known = section(section_name)?;
        if let Some(key) = known.keys.iter().find(|k| k.name == name) {
            return Some((known.name, key));
        }
        if section_name.is_empty() {
            self.unknown_top_level(name, origin);
            return None;
        }
        self.faults.push(format!("{origin}: {} {}", title(section_name), unknown_key(known, name)));
        None
    }

    fn unknown_top_level(&mut self, name: &str, origin: &str) {
        let sections = SECTIONS.iter().skip(1).chain(LISTS).map(|s| s.name);
        let known: Vec<&str> = SECTIONS[0].keys.iter().map(|k| k.name).chain(sections).collect();
        let hint = nearest(name, known).map_or(".".to_owned(), |n| format!("; did you mean {n}?"));
        self.faults.push(format!("{origin}: there is no key or section {name:?}{hint} At the top level stand: {}", top_level().join(", ")));
    }

    fn lacks(&mut self, name: &str, origin: &str) {
        if self.lacking.insert(name.to_owned()) {
            self.warnings.push(format!("{origin}: {} is accepted, but this build has no {name}; it does nothing", schema::title(name)));
        }
    }
}

/// `[section] key`, or the bare key at the top level.
pub(super) fn place(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("[{section}] {key}") }
}

/// What is wrong with a key that its section does not have.
fn unknown_key(known: &Section, name: &str) -> String {
    let names: Vec<&str> = known.keys.iter().map(|k| k.name).collect();
    let hint = nearest(name, names.iter().copied()).map_or(".".to_owned(), |n| format!("; did you mean {n}?"));
    format!("has no key {name:?}{hint} It knows: {}", names.join(", "))
}

/// A path that counts from `folder`, as whole; other values as they are.
fn located(key: &Key, value: Scalar, folder: &Path) -> Scalar {
    match (key.kind, value) {
        (Kind::Path, Scalar::Text(text)) => Scalar::Text(join(folder, &text)),
        (Kind::Store, Scalar::Text(text)) => Scalar::Text(join_store(folder, &text)),
        (_, value) => value,
    }
}

fn scalar(key: &Key, value: &Value) -> Result<Scalar, String> {
    match (key.kind, value) {
        (Kind::Text | Kind::Path | Kind::Store, Value::String(text)) if !text.trim().is_empty() => Ok(Scalar::Text(text.trim().to_owned())),
        (Kind::Text | Kind::Path | Kind::Store, _) => Err(format!("takes text such as {:?}, not {value}", key.example)),
        (Kind::Choice(words), Value::String(text)) if words.contains(&text.as_str()) => Ok(Scalar::Text(text.clone())),
        (Kind::Choice(words), _) => Err(format!("takes one of {}, not {value}", words.join(", "))),
        (Kind::Flag, Value::Boolean(flag)) => Ok(Scalar::Flag(*flag)),
        (Kind::Flag, _) => Err(format!("takes true or false, not {value}")),
        (Kind::Number { least, most }, Value::Integer(n)) if (least..=most).contains(n) => Ok(Scalar::Number(*n)),
        (Kind::Number { least, most }, _) => Err(format!("takes a whole number from {least} to {most}, not {value}")),
    }
}

fn join(folder: &Path, path: &str) -> String {
    // Collecting the components takes out `.` in the middle.
    folder.join(path).components().collect::<PathBuf>().to_string_lossy().into_owned()
}

/// Makes the path of a `sqlite:` store count from `folder`; other stores stay as they are, to be refused later.
fn join_store(folder: &Path, store: &str) -> String {
    match store.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => format!("sqlite:{}", join(folder, path.strip_prefix("//").unwrap_or(path))),
        _ => store.to_owned(),
    }
}
