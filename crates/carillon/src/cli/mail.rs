//! `carillon mail`: how each mail looks, and one sent to a person as a test.

use super::client::{Client, Page};
use super::connect::Connection;
use super::listing;
use super::output::{Out, Tone, cell, field, text};
use super::report::parse_locale;
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use clap::Subcommand;
use model::Locale;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  carillon mail list
  carillon mail preview conferencing.enabled --locale fr
  carillon mail preview call.missed --html missed.html
  carillon mail test conferencing.info ada@example.org";

/// How each mail looks, with content that is made up, and one sent to a person as a test.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Mail {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the mails that there are
    #[command(after_help = "Example:\n  carillon mail list --json")]
    List,
    /// Show how one looks: its subject and plain part, and with --html its page
    #[command(after_help = "Examples:\n  carillon mail preview conferencing.pin_reset --locale fr\n  \
                            carillon mail preview voicemail.received --html voicemail.html")]
    Preview {
        /// Which, such as conferencing.enabled
        kind: String,
        /// Language: en or fr [default: that of the environment]
        #[arg(long, value_name = "LANGUAGE", value_parser = parse_locale)]
        locale: Option<Locale>,
        /// Write the HTML part into this file; - for standard output
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Send one to a person, marked as a test; nothing else changes by it
    #[command(after_help = "Examples:\n  carillon mail test conferencing.enabled ada@example.org\n  \
                            carillon mail test call.missed ada@example.org --locale fr --json")]
    Test {
        /// Which, such as conferencing.enabled
        kind: String,
        /// Who gets it: id, external id or UPN
        user: String,
        /// Language: en or fr [default: the person's own]
        #[arg(long, value_name = "LANGUAGE", value_parser = parse_locale)]
        locale: Option<Locale>,
    },
}

pub async fn command(args: Mail, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    match args.action {
        Action::List => {
            let page = Page::of_answer(client.get(&["mails"], &[]).await?);
            listing::print(out, &page, &["kind", "source", "mailOnly", "permission"], "There is no mail.")
        }
        Action::Preview { kind, locale, html } => {
            let locale = locale.unwrap_or_else(|| super::report::environment_locale(|name| std::env::var(name).ok()));
            let mail = client.get(&["mails", &kind, "preview"], &[("locale", locale.tag())]).await?;
            match html {
                Some(file) => written(out, &file, &mail),
                None => {
                    out.say(&mail, || shown(out, &mail));
                    Ok(Exit::Done)
                }
            }
        }
        Action::Test { kind, user, locale } => test(&client, out, &kind, &user, locale).await,
    }
}

async fn test(client: &Client, out: &Out, kind: &str, user: &str, locale: Option<Locale>) -> Result<Exit> {
    let mut body = json!({ "user": user });
    if let Some(locale) = locale {
        body["locale"] = json!(locale.tag());
    }
    let test = client.post(&["mails", kind, "test"], &body).await?;
    out.say(&test, || {
        let id = field(&test, "id");
        let first = match text(&test, "mail") {
            "goes" => format!("Accepted as {id}."),
            reason => format!("Accepted as {id}, but no mail goes: {reason}."),
        };
        format!("{first}\nWhat became of it: carillon why {id} {user}")
    });
    Ok(Exit::Done)
}

/// Subject, sender and plain part.
fn shown(out: &Out, mail: &Value) -> String {
    let mut lines = vec![out.paint(Tone::Strong, field(mail, "subject"))];
    if mail["from"].is_object() {
        lines.push(format!("{} <{}>", field(&mail["from"], "name"), field(&mail["from"], "address")));
    }
    lines.extend([String::new(), cell(&mail["text"]).trim_end().to_owned()]);
    lines.join("\n")
}

/// Writes the HTML part.
fn written(out: &Out, file: &Path, mail: &Value) -> Result<Exit> {
    let page = text(mail, "html");
    if file == Path::new("-") {
        if out.json {
            return Err(Trouble::usage("--json and --html - both write to standard output; leave one of them out"));
        }
        // A reader that went away is no error of ours.
        let _ = std::io::stdout().lock().write_all(page.as_bytes());
        return Ok(Exit::Done);
    }
    let failed = |error| Trouble::new(Exit::Failed, "file", format!("{} cannot be written: {error}", file.display()));
    std::fs::write(file, page).map_err(failed)?;
    let name = file.display().to_string();
    out.say(&json!({ "kind": mail["kind"], "locale": mail["locale"], "file": name }), || format!("Written: {name}"));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_shows_subject_sender_and_the_plain_part_line_by_line() {
        let mail = json!({"subject": "Missed call", "from": {"name": "Lumen", "address": "tel@example.org"}, "text": "a\n\nb\u{1b}[31m\n"});
        let text = shown(&Out::plain(), &mail);
        assert!(text.starts_with("Missed call\nLumen <tel@example.org>\n\na\n\nb"), "{text:?}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn the_html_part_is_written_into_a_file_that_is_named() {
        let file = std::env::temp_dir().join(format!("carillon-mail-{}.html", uuid::Uuid::new_v4()));
        let mail = json!({"kind": "call.missed", "locale": "en", "html": "<!doctype html>"});
        assert_eq!(written(&Out::plain(), &file, &mail).expect("a file"), Exit::Done);
        assert_eq!(std::fs::read_to_string(&file).expect("the file"), "<!doctype html>");
        std::fs::remove_file(&file).expect("the file");
        assert!(written(&Out::plain(), Path::new("/nowhere/at/all.html"), &mail).is_err());
    }
}
