//! `carillon bulk`: one act for many people, from a CSV file, a group or a filter.

use super::client::Client;
use super::connect::Connection;
use super::output::{Out, cell, counted, field, number, text};
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::objects::{ActDeclaration, FieldType, Naming, ObjectDeclaration};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  carillon bulk run mailboxes enable --csv new-hires.csv --set umMailboxPolicy=\"Lyon Default Policy\" --preview
  carillon bulk run conferencing-users change --where bridgeName=Paris --set resetLeaderPin=true --wait
  carillon bulk run conferencing-users enable --group Sales --set bridgeName=Paris
  carillon bulk show 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11
  carillon bulk results 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11

The CSV file has a column `user` (id, external id or UPN) and one for each parameter; other names of the first are
`upn` and `identity`. An empty cell gives nothing. Several values of one parameter are separated by semicolons.";

/// How often progress is asked for.
const PAUSE: Duration = Duration::from_millis(300);
/// Results shown to people; --json has all.
const SHOWN: usize = 20;

/// One act for many people, with a preview, progress and a result for each.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Bulk {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Do it, or say with --preview what would come of it
    #[command(after_help = "Example:\n  carillon bulk run conferencing-users enable --csv people.csv --preview")]
    Run(Run),
    /// Show how far one is
    #[command(after_help = "Example:\n  carillon bulk show 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11")]
    Show {
        /// Its id
        id: String,
    },
    /// Show what became of each person; new PINs are shown to whoever reads them first
    #[command(after_help = "Example:\n  carillon bulk results 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11 --json")]
    Results {
        /// Its id
        id: String,
    },
    /// Stop one: whoever was not reached yet is left alone
    #[command(after_help = "Example:\n  carillon bulk stop 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11")]
    Stop {
        /// Its id
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct Run {
    /// What it is about: conferencing-users or mailboxes
    object: String,
    /// The act, such as enable, change or disable
    act: String,
    /// People, and their parameters, from this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// A person: id, external id or UPN; repeatable
    #[arg(long = "user", value_name = "USER")]
    users: Vec<String>,
    /// Everybody in this group, nested ones included
    #[arg(long)]
    group: Option<String>,
    /// Everybody whose object shows this value; repeatable, all must hold
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    by: Vec<String>,
    /// A parameter for everybody; repeatable
    #[arg(long = "set", value_name = "PARAMETER=VALUE")]
    set: Vec<String>,
    /// Say who would change and which mails would go, and do nothing
    #[arg(long)]
    preview: bool,
    /// Wait for its end; exit 1 when somebody was refused
    #[arg(long, conflicts_with = "preview")]
    wait: bool,
}

pub async fn command(args: Bulk, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    match args.action {
        Action::Run(run) => start(&client, out, &run).await,
        Action::Show { id } => {
            let bulk = client.get(&["bulk-acts", &id], &[]).await?;
            out.say(&bulk, || shown(out, &bulk));
            Ok(Exit::Done)
        }
        Action::Results { id } => {
            let results = all_results(&client, &id).await?;
            out.say(&json!({ "id": id, "items": results }), || table(out, &results));
            Ok(Exit::Done)
        }
        Action::Stop { id } => {
            let bulk = client.post(&["bulk-acts", &id, "stop"], &json!({})).await?;
            out.say(&bulk, || shown(out, &bulk));
            Ok(Exit::Done)
        }
    }
}

async fn start(client: &Client, out: &Out, run: &Run) -> Result<Exit> {
    let (object, act) = declared(&run.object, &run.act)?;
    let mut draft = json!({ "object": object.path, "act": act.name, "given": {}, "users": run.users, "items": [], "where": {} });
    for pair in &run.set {
        let (name, value) = split(pair, "--set")?;
        let (name, value) = parameter(act, name, value, "--set")?;
        draft["given"][name] = value;
    }
    for pair in &run.by {
        let (name, value) = split(pair, "--where")?;
        let known = object.fields.iter().find(|one| one.name.eq_ignore_ascii_case(name));
        let known = known.ok_or_else(|| {
            let names: Vec<&str> = object.fields.iter().map(|one| one.name).collect();
            Trouble::usage(format!("--where {name}: {} have no such field; there are {}", object.path, names.join(", ")))
        })?;
        draft["where"][known.name] = typed(&known.kind, value).map_err(|rule| Trouble::usage(format!("--where {name}: {rule}")))?;
    }
    if let Some(group) = &run.group {
        draft["group"] = json!(group);
    }
    if let Some(file) = &run.csv {
        draft["items"] = json!(rows(file, act)?);
    }
    if run.preview {
        let preview = client.reckon(&["bulk-acts"], &[("preview", "true")], &draft).await?;
        out.say(&preview, || previewed(out, &preview));
        return Ok(if number(&preview, "failed") > 0 { Exit::Failed } else { Exit::Done });
    }
    let bulk = client.post(&["bulk-acts"], &draft).await?;
    if !run.wait {
        out.say(&bulk, || format!("{}\nIt goes on in the background: carillon bulk show {}", shown(out, &bulk), text(&bulk, "id")));
        return Ok(Exit::Done);
    }
    let end = follow(client, text(&bulk, "id")).await?;
    let results = all_results(client, text(&end, "id")).await?;
    let mut whole = end.clone();
    whole["results"] = json!(results);
    out.say(&whole, || format!("{}\n{}", shown(out, &end), table(out, &results)));
    let well = number(&end, "failed") == 0 && text(&end, "state") == "done";
    Ok(if well { Exit::Done } else { Exit::Failed })
}

/// The kind and the act as the sources declare them, so that values get their types.
fn declared(object: &str, act: &str) -> Result<(&'static ObjectDeclaration, &'static ActDeclaration)> {
    let all: Vec<&'static ObjectDeclaration> = sources::all().iter().flat_map(|source| source.declaration().objects).collect();
    let people = || all.iter().filter(|one| one.naming == Naming::Person);
    let found = people().find(|one| one.path == object).ok_or_else(|| {
        let known: Vec<&str> = people().map(|one| one.path).collect();
        Trouble::usage(format!("{object:?} is nothing that belongs to people; there are {}", known.join(", ")))
    })?;
    let known: Vec<&str> = found.acts.iter().map(|one| one.name).collect();
    let act = found.act(act).ok_or_else(|| Trouble::usage(format!("{act:?} is no act on {object}; there are {}", known.join(", "))))?;
    Ok((found, act))
}

fn split<'a>(pair: &'a str, option: &str) -> Result<(&'a str, &'a str)> {
    let wrong = || Trouble::usage(format!("{option} {pair:?} takes a name and a value such as bridgeName=Paris"));
    pair.split_once('=').map(|(name, value)| (name.trim(), value.trim())).filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)
}

/// A parameter of the act, by its name in any case, with its value in the right type.
fn parameter(act: &ActDeclaration, name: &str, value: &str, place: &str) -> Result<(&'static str, Value)> {
    let known = |one: &&model::objects::FieldDeclaration| {
        one.name.eq_ignore_ascii_case(name) || one.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    };
    let found = act.parameters.iter().find(known).ok_or_else(|| {
        let names: Vec<&str> = act.parameters.iter().map(|one| one.name).collect();
        Trouble::usage(format!("{place} {name}: {} takes no such parameter; there are {}", act.name, names.join(", ")))
    })?;
    let value = typed(&found.kind, value).map_err(|rule| Trouble::usage(format!("{place} {name}: {rule}")))?;
    Ok((found.name, value))
}

/// A text as the JSON value that a field takes; the server checks the rest.
fn typed(kind: &FieldType, value: &str) -> std::result::Result<Value, String> {
    match kind {
        FieldType::Flag => match value.to_ascii_lowercase().as_str() {
            "true" | "$true" | "yes" | "1" => Ok(true.into()),
            "false" | "$false" | "no" | "0" => Ok(false.into()),
            _ => Err(format!("takes true or false, not {value:?}")),
        },
        FieldType::Whole { .. } => value.parse::<i64>().map(Value::from).map_err(|_| format!("takes a whole number, not {value:?}")),
        FieldType::WholeOrUnlimited { .. } => Ok(value.parse::<i64>().map_or_else(|_| value.into(), Value::from)),
        FieldType::List { of, .. } => {
            let parts = value.split([';', ',']).map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| typed(of, part)).collect::<std::result::Result<Vec<_>, _>>().map(Value::from)
        }
        FieldType::Records { .. } => serde_json::from_str(value).map_err(|error| format!("takes JSON: {error}")),
        FieldType::Text { .. }
        | FieldType::Choice(_)
        | FieldType::Digits { .. }
        | FieldType::Phone
        | FieldType::Mail
        | FieldType::Language
        | FieldType::Object(_) => Ok(value.into()),
    }
}

/// The people of a CSV file, each with the parameters of the columns.
fn rows(file: &Path, act: &ActDeclaration) -> Result<Vec<Value>> {
    let wrong = |what: String| Trouble::usage(format!("{}: {what}", file.display()));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(file).map_err(|e| wrong(e.to_string()))?;
    let header = reader.headers().map_err(|e| wrong(e.to_string()))?.clone();
    let is_user = |name: &str| {
        ["user", "upn", "identity", "userprincipalname"].contains(&name.trim_start_matches('\u{feff}').to_lowercase().as_str())
    };
    let whose =
        header.iter().position(is_user).ok_or_else(|| wrong("has no column user; name people by id, external id or UPN there".into()))?;
    let mut items = Vec::new();
    for (line, record) in reader.records().enumerate() {
        let record = record.map_err(|e| wrong(e.to_string()))?;
        let place = format!("line {}", line + 2);
        let user = record.get(whose).unwrap_or_default();
        if user.is_empty() {
            return Err(wrong(format!("{place}: user is empty")));
        }
        let mut given = Map::new();
        for (column, value) in
            header.iter().zip(record.iter()).enumerate().filter(|(at, (_, value))| *at != whose && !value.is_empty()).map(|(_, pair)| pair)
        {
            let (name, value) = parameter(act, column, value, &place).map_err(|trouble| wrong(trouble.to_string()))?;
            given.insert(name.to_owned(), value);
        }
        items.push(json!({ "user": user, "given": given }));
    }
    Ok(items)
}

async fn follow(client: &Client, id: &str) -> Result<Value> {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{bar:28} {human_pos}/{human_len}  {msg}").expect("the template is well formed"));
    loop {
        let bulk = client.get(&["bulk-acts", id], &[]).await?;
        bar.set_length(number(&bulk, "total"));
        bar.set_position(number(&bulk, "finished"));
        bar.set_message(format!("{} refused", number(&bulk, "failed")));
        if text(&bulk, "state") != "running" {
            bar.finish_and_clear();
            return Ok(bulk);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn all_results(client: &Client, id: &str) -> Result<Vec<Value>> {
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let query: Vec<(&str, &str)> = cursor.as_deref().map(|cursor| ("cursor", cursor)).into_iter().collect();
        let page = client.get(&["bulk-acts", id, "results"], &query).await?;
        all.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(all),
        }
    }
}

fn shown(out: &Out, bulk: &Value) -> String {
    let names = ["id", "object", "act", "state", "reason", "total", "finished", "failed", "createdBy", "createdAt", "endedAt"];
    let pairs: Vec<(&str, String)> =
        names.into_iter().filter(|name| !bulk[*name].is_null()).map(|name| (name, field(bulk, name))).collect();
    out.pairs(&pairs)
}

fn previewed(out: &Out, preview: &Value) -> String {
    let total = number(preview, "total");
    let failed = number(preview, "failed");
    let mut lines = vec![format!("{} would change, {failed} would be refused.", counted(total - failed, "person", "people"))];
    for (kind, count) in preview["mails"].as_object().into_iter().flatten() {
        lines.push(format!("Mails {kind}: {}", cell(count)));
    }
    lines.push(table(out, preview["results"].as_array().map_or(&[][..], Vec::as_slice)));
    lines.join("\n")
}

fn table(out: &Out, results: &[Value]) -> String {
    if results.is_empty() {
        return "Nobody yet.".to_owned();
    }
    let rows = results.iter().take(SHOWN).map(|result| {
        let events: Vec<String> = result["events"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|event| {
                let (kind, mail) = (text(event, "type"), text(event, "mail"));
                if mail == "goes" { kind.to_owned() } else { format!("{kind} (no mail: {mail})") }
            })
            .collect();
        let revealed: Vec<String> =
            result["revealed"].as_object().into_iter().flatten().map(|(name, value)| format!("{name} {}", cell(value))).collect();
        let problem = text(&result["problem"], "detail").to_owned();
        let ended = if result["done"] == true { "ok".to_owned() } else { field(&result["problem"], "code") };
        vec![field(result, "user"), ended, events.join(", "), [revealed, vec![problem]].concat().join(" ").trim().to_owned()]
    });
    let table = out.table(&["user", "result", "events", ""], rows);
    if results.len() > SHOWN { format!("{table}\n… {} in all; --json has all of them", results.len()) } else { table }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_csv_file_get_the_types_of_their_parameters() {
        let (_, enable) = declared("mailboxes", "enable").expect("declared");
        assert_eq!(parameter(enable, "EXTENSIONS", "101; 102", "x").expect("a list"), ("extensions", json!(["101", "102"])));
        assert_eq!(parameter(enable, "missedCallNotificationEnabled", "$false", "x").expect("a switch").1, json!(false));
        assert!(
            parameter(enable, "colour", "red", "line 2")
                .expect_err("unknown")
                .to_string()
                .contains("line 2 colour: enable takes no such parameter")
        );
        assert!(declared("dial-plans", "create").is_err(), "nothing that belongs to people");
        assert!(split("x", "--set").is_err());
    }
}
