//! `carillon settings`: what the organization decides while the server runs.

use super::client::Page;
use super::connect::Connection;
use super::listing;
use super::output::{Out, cell, field};
use super::trouble::Result;
use crate::exit::Exit;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  carillon settings list
  carillon settings get push.apns.enabled
  carillon settings set push.apns.enabled false
  carillon settings set quiet_hours.default 22:00-07:00
  carillon settings reset push.apns.enabled";

/// Settings that change while the server runs: push switches, limits, quiet hours, retention.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Settings {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List every setting with its value and default
    #[command(after_help = "Example:\n  carillon settings list")]
    List,
    /// Show one
    #[command(after_help = "Example:\n  carillon settings get custom.email")]
    Get {
        /// Its name
        key: String,
    },
    /// Set one; off means now
    #[command(after_help = "Examples:\n  carillon settings set push.apns.enabled false\n  carillon settings set custom.email always")]
    Set {
        /// Its name
        key: String,
        /// Its new value: true, false, a number, a word
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Go back to the default
    #[command(after_help = "Example:\n  carillon settings reset custom.email")]
    Reset {
        /// Its name
        key: String,
    },
}

/// A switch or a number as such, anything else as a word.
fn value_of(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_) | Value::String(_))) => value,
        _ => json!(text),
    }
}

pub async fn command(args: Settings, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    match args.action {
        Action::List => {
            let answer = client.get(&["settings"], &[]).await?;
            if out.json {
                out.object(&answer);
                return Ok(Exit::Done);
            }
            let columns = ["key", "value", "default", "help"];
            listing::print_rows(out, &Page::of_answer(answer), &columns, "There is no setting.", |setting, column| match column {
                "value" | "default" => shown(&setting[column]),
                other => field(setting, other),
            })
        }
        Action::Get { key } => {
            let setting = client.get(&["settings", &key], &[]).await?;
            out.say(&setting, || {
                let choices = setting["choices"].as_array().map(|c| c.iter().map(cell).collect::<Vec<_>>().join(", "));
                let pairs = [
                    ("key", key.clone()),
                    ("value", shown(&setting["value"])),
                    ("default", shown(&setting["default"])),
                    ("takes", choices.unwrap_or_else(|| field(&setting, "type"))),
                    ("help", field(&setting, "help")),
                ];
                out.pairs(&pairs)
            });
            Ok(Exit::Done)
        }
        Action::Set { key, value } => {
            let setting = client.write(Method::PUT, &["settings", &key], &json!({ "value": value_of(&value) })).await?;
            out.say(&setting, || format!("{key} is now {}.", shown(&setting["value"])));
            Ok(Exit::Done)
        }
        Action::Reset { key } => {
            client.delete(&["settings", &key], &[]).await?;
            let setting = client.get(&["settings", &key], &[]).await?;
            out.say(&setting, || format!("{key} is {} again, its default.", shown(&setting["value"])));
            Ok(Exit::Done)
        }
    }
}

/// A value as `settings set` takes it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(_) => cell(value),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_switches_numbers_or_words() {
        let table = [
            ("false", json!(false)),
            ("25", json!(25)),
            ("always", json!("always")),
            ("", json!("")),
            ("22:00-07:00", json!("22:00-07:00")),
        ];
        for (text, value) in table {
            assert_eq!(value_of(text), value, "{text}");
        }
    }
}
