//! What commands print: one JSON object with `--json`, else lines and tables. Colours only on a terminal and without
//! `NO_COLOR` (no-color.org). Text from the server is shown without control characters, so it cannot drive a terminal.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::Value;
use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// What a piece of text means; the colour follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It goes, it is done.
    Good,
    /// It waits.
    Waiting,
    /// It failed.
    Bad,
    /// A heading.
    Strong,
    /// Less important.
    Faint,
}

/// Columns of a terminal below which tables are not fitted to it.
const LEAST_WIDTH: u16 = 60;

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// Whether a program reads.
    pub json: bool,
    colour: bool,
}

impl Out {
    /// For this process.
    pub fn new(json: bool) -> Out {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        Out { json, colour: !json && wanted && std::io::stdout().is_terminal() }
    }

    /// Without colours, whatever the terminal.
    #[cfg(test)]
    pub fn plain() -> Out {
        Out { json: false, colour: false }
    }

    /// One line on standard output. A reader that went away ends the program quietly, as it does for other tools.
    pub fn line(&self, text: impl Display) {
        let mut stdout = std::io::stdout().lock();
        if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
            std::process::exit(i32::from(crate::exit::Exit::Done.code()));
        }
    }

    /// One JSON object on one line.
    pub fn object(&self, value: &Value) {
        self.line(value);
    }

    /// The object for programs, the words for people.
    pub fn say(&self, value: &Value, words: impl FnOnce() -> String) {
        if self.json { self.object(value) } else { self.line(words()) }
    }

    /// `text` in the colour of its meaning.
    pub fn paint(&self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Waiting => "33",
            Tone::Bad => "31",
            Tone::Strong => "1",
            Tone::Faint => "2",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// A table without borders; as wide as the terminal, or as its content where there is none.
    pub fn table(&self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        // A terminal that does not know its width, or hardly has any, gets the lines as they are.
        let wraps = table.is_tty() && table.width().is_some_and(|width| width >= LEAST_WIDTH);
        table.set_content_arrangement(if wraps { ContentArrangement::Dynamic } else { ContentArrangement::Disabled });
        table.set_header(header.iter().map(|h| h.to_uppercase()));
        for row in rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for (n, name) in header.iter().enumerate() {
            // Ids are there to be copied, times to be compared.
            let whole = *name == "id" || *name == "due" || name.ends_with(" at");
            if let (true, Some(column)) = (whole, table.column_mut(n)) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table.trim_fmt()
    }

    /// Names and values, one pair a line, the values aligned; pairs without a value are left out.
    pub fn pairs(&self, pairs: &[(&str, String)]) -> String {
        let shown: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
        let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let line = |(name, value): &&(&str, String)| {
            let value = value.replace('\n', &format!("\n{}", " ".repeat(width + 2)));
            format!("{}{}  {value}", self.paint(Tone::Faint, name), " ".repeat(width - name.chars().count()))
        };
        shown.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A JSON value as people read it: texts without quotes and control characters, lists with commas, nothing for null.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(n) => n.to_string(),
        Value::String(text) => text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(map) => map.iter().map(|(k, v)| format!("{k} {}", cell(v))).collect::<Vec<_>>().join(", "),
    }
}

/// A field as people read it, on one line.
pub fn field(object: &Value, key: &str) -> String {
    cell(&object[key]).replace('\n', " ")
}

/// The text of a field, empty when there is none.
pub fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or("")
}

/// The number of a field, 0 when there is none.
pub fn number(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or(0)
}

/// `1 person`, `2 people`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_shown_without_what_drives_a_terminal() {
        assert_eq!(cell(&json!("a\u{1b}[31mb")), "a\u{fffd}[31mb");
        assert_eq!(cell(&json!(["E3", "E5"])), "E3, E5");
        assert_eq!((cell(&json!(null)), cell(&json!(true)), cell(&json!(7))), (String::new(), "yes".into(), "7".into()));
    }

    #[test]
    fn pairs_are_aligned_and_empty_ones_left_out() {
        let out = Out::plain();
        assert_eq!(out.pairs(&[("id", "1".into()), ("name", "x\ny".into()), ("note", String::new())]), "id    1\nname  x\n      y");
        assert_eq!(out.paint(Tone::Bad, "x"), "x");
    }

    #[test]
    fn a_table_has_a_header_and_aligned_columns() {
        let table = Out::plain().table(&["id", "name"], [vec!["1".into(), "Lyon".into()], vec!["22".into(), "Paris".into()]]);
        assert_eq!(table, "ID  NAME\n1   Lyon\n22  Paris");
    }
}
