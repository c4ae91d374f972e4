//! `carillon audit`: who did what, and whether that record is whole. The chain is walked here, not in the server: what the
//! server answers is what is checked.

use super::client::Client;
use super::connect::Connection;
use super::listing::{self, Portion};
use super::output::{Out, Tone, cell};
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use crate::syslog;
use clap::{Subcommand, ValueEnum};
use engine::admin::audit::check_head;
use engine::keys::sha256;
use model::audit::{Break, Walk, canonical};
use serde_json::{Map, Value, json};
use std::io::BufRead;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  carillon audit list --user ada@example.org
  carillon audit head > head-2026-11-21.json           keep it elsewhere
  carillon audit verify --head head-2026-11-21.json    nothing before it was touched
  carillon audit export --format syslog > audit.log";

/// Entries asked for at once.
const PAGE: &str = "500";

/// Who did what, and whether that record is whole.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Audit {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List entries, oldest first; without --from, --user, --all or --cursor the last ones
    #[command(
        after_help = "Examples:\n  carillon audit list\n  carillon audit list --user ada@example.org --all\n  carillon audit list --from 1200 --limit 20 --json"
    )]
    List {
        /// Begin with this sequence
        #[arg(long, value_name = "N")]
        from: Option<i64>,
        /// Only entries that name this person
        #[arg(long, value_name = "PERSON")]
        user: Option<String>,
        #[command(flatten)]
        portion: Portion,
    },
    /// Print every entry, for another system
    #[command(
        after_help = "Examples:\n  carillon audit export > audit.jsonl\n  carillon audit export --format syslog --from 1200 | logger --rfc5424"
    )]
    Export {
        /// One JSON object a line, or RFC 5424
        #[arg(long, value_enum, default_value = "jsonl")]
        format: Format,
        /// Begin with this sequence
        #[arg(long, value_name = "N", default_value_t = 1)]
        from: i64,
    },
    /// Print where the audit ends now, signed with the organization's key
    #[command(after_help = "Example:\n  carillon audit head > head.json")]
    Head,
    /// Walk the whole chain and name the first entry that was changed, removed, moved or cut off
    #[command(
        after_help = "Examples:\n  carillon audit verify\n  carillon audit verify --head head.json\n  carillon audit verify --file audit.jsonl --head head.json"
    )]
    Verify {
        /// A head that was kept: the chain must still hold it
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
        /// Walk an export (JSON lines) instead of asking the server
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Syslog,
}

pub async fn command(args: Audit, out: &Out) -> Result<Exit> {
    match args.action {
        Action::List { from, user, portion } => list(&args.connection.client()?, from, user, portion, out).await,
        Action::Export { format, from } => export(&args.connection.client()?, format, from, out).await,
        Action::Head => {
            let head = args.connection.client()?.get(&["audit", "head"], &[]).await?;
            out.object(&head);
            Ok(Exit::Done)
        }
        Action::Verify { head, file } => {
            let kept = head.as_deref().map(kept_head).transpose()?;
            let verdict = match file {
                Some(file) => of_file(&file, kept.as_ref())?,
                None => of_server(&args.connection.client()?, kept.as_ref()).await?,
            };
            Ok(tell(&verdict, kept.is_some(), out))
        }
    }
}

async fn list(client: &Client, from: Option<i64>, user: Option<String>, portion: Portion, out: &Out) -> Result<Exit> {
    let last = from.is_none() && user.is_none() && portion.cursor.is_none() && !portion.all;
    let from = if last {
        let head = client.get(&["audit", "head"], &[]).await?;
        let end = head["sequence"].as_i64().unwrap_or(0);
        Some((end - i64::try_from(portion.limit).unwrap_or(i64::MAX) + 1).max(1))
    } else {
        from
    };
    let from = from.map(|n| n.to_string());
    let filters = [("from", from.as_deref()), ("user", user.as_deref())];
    let query: Vec<(&str, &str)> = filters.into_iter().filter_map(|(name, value)| value.map(|v| (name, v))).collect();
    let page = listing::fetch(client, &["audit"], &query, &portion).await?;
    let columns = ["sequence", "at", "actor", "operation", "object", "outcome", "changes"];
    listing::print_rows(out, &page, &columns, "Nothing yet.", |entry, column| match column {
        "actor" => words(&entry["actor"], &["kind", "name", "person"]),
        "object" => words(&entry["object"], &["kind", "id"]),
        "changes" if entry[column].is_null() => String::new(),
        "changes" => canonical(&entry[column]),
        "at" => cell(&entry[column]).replacen('T', " ", 1),
        other => cell(&entry[other]),
    })
}

fn words(object: &Value, names: &[&str]) -> String {
    names.iter().filter_map(|name| object[name].as_str()).collect::<Vec<_>>().join(" ")
}

/// Entries from one on, page by page.
async fn page(client: &Client, from: i64) -> Result<Vec<Map<String, Value>>> {
    let from = from.to_string();
    let mut answer = client.get(&["audit"], &[("from", &from), ("limit", PAGE)]).await?;
    let items = answer.get_mut("items").map(Value::take).unwrap_or_default();
    serde_json::from_value(items).map_err(|_| Trouble::new(Exit::Failed, "strange_answer", "the server's answer is not a list of entries"))
}

async fn export(client: &Client, format: Format, from: i64, out: &Out) -> Result<Exit> {
    let mut next = from.max(1);
    loop {
        let entries = page(client, next).await?;
        if entries.is_empty() {
            return Ok(Exit::Done);
        }
        next += i64::try_from(entries.len()).unwrap_or(i64::MAX);
        for entry in entries {
            match format {
                Format::Jsonl => out.line(canonical(&Value::Object(entry))),
                Format::Syslog => out.line(syslog::message(&entry)),
            }
        }
    }
}

/// A head that somebody kept: its sequence and hash, after its signature was checked.
struct Kept {
    sequence: i64,
    hash: String,
    tenant: String,
}

fn kept_head(file: &Path) -> Result<Kept> {
    let text = std::fs::read_to_string(file).map_err(|e| Trouble::usage(format!("cannot read {}: {e}", file.display())))?;
    head_of(&text).map_err(|rule| Trouble::new(Exit::Failed, "head_invalid", format!("{}: {rule}", file.display())))
}

fn head_of(text: &str) -> std::result::Result<Kept, String> {
    let head: Map<String, Value> = serde_json::from_str(text).map_err(|_| "is not a head as `carillon audit head` prints it".to_owned())?;
    let (sequence, hash) = check_head(&head)?;
    Ok(Kept { sequence, hash, tenant: head.get("tenant").and_then(Value::as_str).unwrap_or("").to_owned() })
}

/// What a walk found.
struct Verdict {
    entries: i64,
    hash: String,
    wrong: Option<Break>,
}

/// A walk that also looks for the heads on its way.
struct Check<'a> {
    walk: Walk,
    kept: Option<&'a Kept>,
}

impl Check<'_> {
    fn step(&mut self, entry: &Map<String, Value>) -> std::result::Result<(), Break> {
        self.walk.step(entry, |bytes| sha256(bytes).iter().map(|b| format!("{b:02x}")).collect())?;
        let Some(kept) = self.kept else { return Ok(()) };
        if entry.get("tenant").and_then(Value::as_str) != Some(&kept.tenant) {
            return Err(Break { sequence: self.walk.reached(), wrong: model::audit::Wrong::Foreign });
        }
        if self.walk.reached() == kept.sequence { self.walk.meets(kept.sequence, &kept.hash) } else { Ok(()) }
    }

    fn end(self, wrong: Option<Break>) -> Verdict {
        let wrong = wrong.or_else(|| self.kept.and_then(|kept| self.walk.meets(kept.sequence, &kept.hash).err()));
        Verdict { entries: self.walk.reached(), hash: self.walk.hash().to_owned(), wrong }
    }
}

async fn of_server(client: &Client, kept: Option<&Kept>) -> Result<Verdict> {
    // The chain grows while it is walked: it is walked up to where it ends now.
    let text = client.get(&["audit", "head"], &[]).await?.to_string();
    let now = head_of(&text).map_err(|rule| Trouble::new(Exit::Failed, "head_invalid", format!("the server's head: {rule}")))?;
    let mut check = Check { walk: Walk::default(), kept };
    while check.walk.reached() < now.sequence {
        let entries = page(client, check.walk.reached() + 1).await?;
        if entries.is_empty() {
            break;
        }
        for entry in entries.iter().take(usize::try_from(now.sequence - check.walk.reached()).unwrap_or(usize::MAX)) {
            if let Err(wrong) = check.step(entry) {
                return Ok(check.end(Some(wrong)));
            }
        }
    }
    let wrong = check.walk.meets(now.sequence, &now.hash).err();
    Ok(check.end(wrong))
}

fn of_file(file: &Path, kept: Option<&Kept>) -> Result<Verdict> {
    let cannot = |e: std::io::Error| Trouble::usage(format!("cannot read {}: {e}", file.display()));
    let mut check = Check { walk: Walk::default(), kept };
    for line in std::io::BufReader::new(std::fs::File::open(file).map_err(cannot)?).lines() {
        // A line that is no object is an entry that was changed.
        let entry = serde_json::from_str(&line.map_err(cannot)?).unwrap_or_default();
        if let Err(wrong) = check.step(&entry) {
            return Ok(check.end(Some(wrong)));
        }
    }
    Ok(check.end(None))
}

fn tell(verdict: &Verdict, with_head: bool, out: &Out) -> Exit {
    let Verdict { entries, hash, wrong } = verdict;
    let view = json!({
        "whole": wrong.is_none(),
        "entries": entries,
        "hash": hash,
        "firstBad": wrong.as_ref().map(|wrong| wrong.sequence),
        "detail": wrong.as_ref().map(Break::to_string),
    });
    match wrong {
        None => {
            let head = if with_head { ", and holds the head" } else { "" };
            out.say(&view, || out.paint(Tone::Good, format!("The audit is whole: {entries} entries{head}.")));
            Exit::Done
        }
        Some(wrong) => {
            out.say(&view, || {
                out.paint(Tone::Bad, format!("The audit is not whole: {wrong}. {entries} entries before it are as they were written."))
            });
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_was_touched_is_refused() {
        let keys = engine::keys::Keys::new(vec![[7; 32]]).signing(&engine::keys::new_signing_key()).expect("a key");
        let encode = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
        let mut head = Map::new();
        head.insert("tenant".into(), json!("t"));
        head.insert("sequence".into(), json!(3));
        head.insert("hash".into(), json!("abc"));
        head.insert("key".into(), json!(encode(keys.public_key().expect("a key"))));
        let signature = keys.sign(model::audit::signed_form(&head).as_bytes()).expect("signed");
        head.insert("signature".into(), json!(encode(&signature)));
        let text = Value::Object(head.clone()).to_string();
        assert!(head_of(&text).is_ok_and(|kept| kept.sequence == 3 && kept.hash == "abc"));
        assert!(head_of(&text.replace("abc", "abd")).is_err_and(|rule| rule.contains("signature")));
        assert!(head_of("{}").is_err() && head_of("x").is_err());
    }
}
