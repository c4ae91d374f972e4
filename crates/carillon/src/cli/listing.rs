//! What every list has in common: how much of it, from where on, and how it is printed.

use super::client::{Client, Page, Query};
use super::output::{Out, field};
use super::trouble::Result;
use crate::exit::Exit;
use serde_json::Value;

/// How much of a list, and from where on.
#[derive(Clone, Debug, clap::Args)]
pub struct Portion {
    /// Most items to print
    #[arg(long, default_value_t = 50, value_name = "N", conflicts_with = "all", value_parser = parse_limit)]
    pub limit: usize,
    /// Print the whole list
    #[arg(long)]
    pub all: bool,
    /// Continue after an earlier page: its nextCursor
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
}

fn parse_limit(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("takes a whole number from 1 on".into()),
    }
}

/// Asks for a portion of a list.
pub async fn fetch(client: &Client, path: &[&str], query: Query<'_>, portion: &Portion) -> Result<Page> {
    let limit = if portion.all { usize::MAX } else { portion.limit };
    client.list(path, query, limit, portion.cursor.as_deref()).await
}

/// Prints a page: the API's object for programs, these columns (JSON names) for people.
pub fn print(out: &Out, page: &Page, columns: &[&str], nothing: &str) -> Result<Exit> {
    print_rows(out, page, columns, nothing, shown)
}

/// The same with a way of its own to show a cell.
pub fn print_rows(out: &Out, page: &Page, columns: &[&str], nothing: &str, show: impl Fn(&Value, &str) -> String) -> Result<Exit> {
    if out.json {
        out.object(&page.to_json());
    } else if page.items.is_empty() {
        out.line(nothing);
    } else {
        let heads: Vec<String> = columns.iter().map(|c| words(c)).collect();
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        out.line(out.table(&heads, page.items.iter().map(|item| columns.iter().map(|c| show(item, c)).collect())));
        if let Some(next) = &page.next {
            out.line(format!("\nThere are more: --all, or --cursor {next}"));
        }
    }
    Ok(Exit::Done)
}

/// A field in a list; times to the second, since a list is for looking over.
pub fn shown(item: &Value, column: &str) -> String {
    let text = field(item, column);
    match text.split_once('.') {
        Some((second, _)) if is_time(column) => format!("{}Z", second.replacen('T', " ", 1)),
        _ => text,
    }
}

/// Whether a field of this name holds a time.
fn is_time(name: &str) -> bool {
    name == "due" || name.ends_with("At")
}

/// `displayName` as `display name`.
pub fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_uppercase() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

/// What people look for first; the other fields follow by name.
const FIRST: [&str; 7] = ["id", "externalId", "upn", "displayName", "name", "service", "token"];

/// Prints one object: itself for programs, its fields (those with a value) for people.
pub fn print_object(out: &Out, object: &Value) -> Result<Exit> {
    out.say(object, || {
        let mut names: Vec<&String> = object.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        names.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
        let pairs: Vec<(String, String)> = names.into_iter().map(|name| (words(name), super::output::cell(&object[name]))).collect();
        out.pairs(&pairs.iter().map(|(k, v)| (k.as_str(), v.clone())).collect::<Vec<_>>())
    });
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_api_become_words() {
        assert_eq!((words("displayName").as_str(), words("id").as_str()), ("display name", "id"));
    }

    #[test]
    fn times_in_lists_are_shown_to_the_second() {
        let item = serde_json::json!({"createdAt": "2026-11-20T18:25:07.058Z", "name": "a.b", "doneAt": null});
        assert_eq!(shown(&item, "createdAt"), "2026-11-20 18:25:07Z");
        assert_eq!((shown(&item, "name").as_str(), shown(&item, "doneAt").as_str()), ("a.b", ""));
    }

    #[test]
    fn a_limit_is_a_number_from_one_on() {
        assert_eq!(parse_limit("3"), Ok(3));
        assert!(parse_limit("0").is_err() && parse_limit("many").is_err());
    }
}
