//! `carillon import`: uploads CSV files as streams, then follows the import on the server to its end. All of it becomes
//! visible at once, or nothing does.

use super::client::Client;
use super::connect::Connection;
use super::output::{Out, Tone, cell, counted, number, text};
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::{Body, Method, multipart};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::io::ReaderStream;

/// Bytes read from a file at once.
const READ_BYTES: usize = 256 << 10;
/// First and longest pause between two polls.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// Faults that are printed; the rest is counted.
const SHOWN_FAULTS: usize = 200;
/// Removals that are printed before the question.
const SHOWN_REMOVALS: usize = 20;

const EXAMPLES: &str = "\
Examples:
  carillon import people.csv groups.csv members.csv devices.csv registrations.csv
  carillon import people.csv --dry-run
  carillon import *.csv --mode replace --allow-many-removals --json

Files are told apart by their header line, not by their name. The same files again change nothing.";

/// Import people, groups, members, devices and registrations from CSV files: all of it, or nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    /// CSV files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// upsert keeps what the files do not name; replace removes it
    #[arg(long, value_parser = ["upsert", "replace"], default_value = "upsert")]
    mode: String,
    /// Check and report, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Let replace remove more than 5 %
    #[arg(long)]
    allow_many_removals: bool,
    /// Do not ask before a replace on a terminal
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

pub async fn command(args: Import, out: &Out) -> Result<Exit> {
    for file in &args.files {
        let found = std::fs::metadata(file).map_err(|e| Trouble::usage(format!("{}: {e}", file.display())))?;
        if !found.is_file() {
            return Err(Trouble::usage(format!("{} is not a file; name the CSV files themselves", file.display())));
        }
    }
    let client = args.connection.client()?;
    // Who may not sign in is told so now: an upload that is refused half-way may lose the answer.
    client.get(&["me"], &[]).await?;
    let ask = args.mode == "replace"
        && !args.dry_run
        && !args.yes
        && !out.json
        && std::io::stdin().is_terminal()
        && std::io::stderr().is_terminal();
    if ask && !agreed(&upload(&client, &args.files, &args, true).await?)? {
        eprintln!("Nothing was changed.");
        return Ok(Exit::Interrupted);
    }
    let report = upload(&client, &args.files, &args, args.dry_run).await?;
    let faulty = number(&report, "faultCount") > 0;
    out.say(&report, || words(out, &report));
    Ok(if faulty { Exit::Use } else { Exit::Done })
}

/// Shows what a replace would remove and asks.
fn agreed(preview: &Value) -> Result<bool> {
    let removals: Vec<String> = preview["removals"].as_array().into_iter().flatten().map(cell).collect();
    let total: u64 = KINDS.iter().map(|kind| number(&preview[kind], "removed")).sum();
    if total == 0 {
        return Ok(true);
    }
    for name in removals.iter().take(SHOWN_REMOVALS) {
        eprintln!("  {name}");
    }
    eprint!("This removes {}. Go on? [y/N] ", counted(total, "object", "objects"));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|e| Trouble::local(format!("no answer can be read ({e})")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "o" | "oui"))
}

/// Uploads the files and waits for the report.
///
/// # Errors
/// With each bad cell as a fault, when the server refuses the files.
pub async fn upload(client: &Client, files: &[PathBuf], args: &Import, dry_run: bool) -> Result<Value> {
    let mut parts = Vec::new();
    for file in files {
        let name = file.file_name().map_or_else(|| "file.csv".into(), |n| n.to_string_lossy().into_owned());
        parts.push((name, Source::File(file.clone())));
    }
    let how = How { mode: &args.mode, dry_run, allow_many_removals: args.allow_many_removals };
    import(client, parts, &how).await
}

/// How an import is to be done.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// `upsert` or `replace`.
    pub mode: &'a str,
    /// Check and report only.
    pub dry_run: bool,
    /// Let a replace remove more than 5 %.
    pub allow_many_removals: bool,
}

/// Where a file's text comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From disk, read while it is sent.
    File(PathBuf),
    /// From this program.
    Text(Cow<'static, str>),
}

/// Uploads named texts and waits for the report.
///
/// # Errors
/// What the server refused.
pub async fn import(client: &Client, parts: Vec<(String, Source)>, how: &How<'_>) -> Result<Value> {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{bar:28} {binary_bytes}/{binary_total_bytes}  uploading").expect("the template is well formed");
    bar.set_style(style);
    let mut form = multipart::Form::new();
    for (name, source) in parts {
        let part = match source {
            Source::Text(text) => multipart::Part::text(text),
            Source::File(path) => streamed(&path, &bar).await?,
        };
        form = form.part("file", part.file_name(name));
    }
    let (dry_run, many) = (how.dry_run.to_string(), how.allow_many_removals.to_string());
    let query = [("mode", how.mode), ("dryRun", &dry_run), ("allowManyRemovals", &many)];
    let request = client.request(Method::POST, &["directory", "import"], &query).header("prefer", "respond-async").multipart(form);
    let response = tokio::select! {
        response = request.send() => response.map_err(|e| client.unreachable(&e))?,
        () = interrupted() => return Err(given_up("the upload was stopped; nothing was changed")),
    };
    bar.finish_and_clear();
    let response = client.accepted(response).await?;
    let pending = response.status() == reqwest::StatusCode::ACCEPTED;
    let answer = response.bytes().await.map_err(|e| client.unreachable(&e))?;
    let answer: Value = serde_json::from_slice(&answer).map_err(|_| Trouble::local("the server's answer is not JSON"))?;
    if pending { follow(client, text(&answer, "id")).await } else { Ok(answer) }
}

async fn streamed(path: &Path, bar: &ProgressBar) -> Result<multipart::Part> {
    let wrong = |e: std::io::Error| Trouble::usage(format!("{}: {e}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(wrong)?;
    let length = file.metadata().await.map_err(wrong)?.len();
    bar.inc_length(length);
    let bar = bar.clone();
    let stream = ReaderStream::with_capacity(file, READ_BYTES).inspect_ok(move |chunk| bar.inc(chunk.len() as u64));
    Ok(multipart::Part::stream_with_length(Body::wrap_stream(stream), length))
}

async fn follow(client: &Client, id: &str) -> Result<Value> {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:28} {human_pos}/{human_len}  {msg}").expect("the template is well formed");
    bar.set_style(style);
    let mut pause = PAUSES.0;
    loop {
        let import = client.get(&["directory", "imports", id], &[]).await?;
        match text(&import, "state") {
            "done" => {
                bar.finish_and_clear();
                let mut report = import["report"].clone();
                report["id"] = json!(id);
                return Ok(report);
            }
            "failed" => {
                bar.finish_and_clear();
                let problem = &import["problem"];
                let status = problem["status"].as_u64().and_then(|s| u16::try_from(s).ok()).unwrap_or(422);
                return Err(with_count(Trouble::of_answer(status, problem.to_string().as_bytes())));
            }
            _ => {
                let (read, to_write) = (number(&import, "read"), number(&import, "toWrite"));
                let writing = to_write > 0;
                bar.set_length(if writing { to_write } else { number(&import, "total").max(read) });
                bar.set_position(if writing { number(&import, "written") } else { read });
                bar.set_message(if writing { "changes written" } else { "rows read" });
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = interrupted() => return stop(client, id).await,
        }
        pause = (pause * 5 / 4).min(PAUSES.1);
    }
}

/// Ends at Ctrl-C, or never where that cannot be seen.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn given_up(detail: &str) -> Trouble {
    eprintln!("\n{detail}");
    Trouble::new(Exit::Interrupted, "interrupted", detail)
}

/// Gives a running import up. It may have become visible just before; the server knows.
async fn stop(client: &Client, id: &str) -> Result<Value> {
    let end = client.delete(&["directory", "imports", id], &[]).await?;
    let applied = end["report"]["applied"].as_bool().unwrap_or(false);
    Err(given_up(if applied { "the import had just become visible; it stands" } else { "the import was given up; nothing was changed" }))
}

/// Prints no more faults than a person reads, and says how many there are.
fn with_count(mut trouble: Trouble) -> Trouble {
    let total = trouble.document.as_ref().map_or(0, |d| number(d, "faultCount")).max(trouble.faults.len() as u64);
    if trouble.faults.len() > SHOWN_FAULTS {
        trouble.faults.truncate(SHOWN_FAULTS);
        trouble.ids.push(format!("… {} faults in all; --json has more of them", total));
    }
    trouble
}

/// The kinds of object of a report, by their JSON names.
const KINDS: [&str; 5] = ["users", "groups", "members", "devices", "registrations"];

fn words(out: &Out, report: &Value) -> String {
    let columns = ["created", "updated", "unchanged", "removed"];
    let rows = KINDS.iter().map(|kind| {
        let counts = columns.iter().map(|column| number(&report[kind], column).to_string());
        std::iter::once((*kind).to_owned()).chain(counts).collect()
    });
    let mut lines = vec![out.table(&["", "created", "updated", "unchanged", "removed"], rows)];
    for removal in report["removals"].as_array().into_iter().flatten() {
        lines.push(format!("  removed: {}", cell(removal)));
    }
    for fault in report["faults"].as_array().into_iter().flatten().take(SHOWN_FAULTS) {
        lines.push(format!("  {}: {}", text(fault, "field"), cell(&fault["message"])));
    }
    let faults = number(report, "faultCount");
    lines.push(if faults > 0 {
        out.paint(Tone::Bad, format!("{} in the files; nothing was changed.", counted(faults, "fault", "faults")))
    } else if report["dryRun"].as_bool().unwrap_or(false) {
        out.paint(Tone::Waiting, "This was a dry run; nothing was changed.")
    } else if report["applied"].as_bool().unwrap_or(false) {
        out.paint(Tone::Good, "Imported; all of it is visible now.")
    } else {
        "Nothing had to be changed.".to_owned()
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::canned::{Answer, Canned};

    #[test]
    fn a_report_says_what_changed() {
        let report = json!({"dryRun": false, "applied": true, "users": {"created": 60, "updated": 0, "unchanged": 0, "removed": 0}, "faultCount": 0});
        let said = words(&Out::plain(), &report);
        assert!(said.contains("users") && said.contains("60") && said.ends_with("Imported; all of it is visible now."), "{said}");
        let same = json!({"dryRun": false, "applied": false, "faultCount": 0});
        assert!(words(&Out::plain(), &same).ends_with("Nothing had to be changed."));
    }

    #[test]
    fn many_faults_are_cut_and_counted() {
        let faults: Vec<Value> = (0..300).map(|n| json!({"field": format!("people.csv:{n}:email"), "message": "is wrong"})).collect();
        let document = json!({"code": "import_invalid", "detail": "5000 faults", "errors": faults, "faultCount": 5000});
        let trouble = with_count(Trouble::of_answer(422, document.to_string().as_bytes()));
        assert_eq!((trouble.exit, trouble.faults.len()), (Exit::Use, SHOWN_FAULTS));
        assert!(trouble.to_string().ends_with("… 5000 faults in all; --json has more of them"));
    }

    #[tokio::test]
    async fn files_are_streamed_and_the_import_is_followed_to_its_report() {
        let server = Canned::start(|n, _| match n {
            0 => Answer::Json(202, json!({"id": "i", "state": "running"})),
            1 => Answer::Json(200, json!({"id": "i", "state": "running", "read": 1, "total": 2, "written": 0, "toWrite": 0})),
            2 => Answer::Json(200, json!({"id": "i", "state": "done", "report": {"applied": true, "users": {"created": 1}}})),
            _ => Answer::Json(
                200,
                json!({"id": "i", "state": "failed", "problem": {"status": 422, "code": "import_invalid", "detail": "1 fault",
                "errors": [{"field": "people.csv:2:email", "message": "is wrong"}], "faultCount": 1}}),
            ),
        })
        .await;
        let file = std::env::temp_dir().join(format!("carillon-people-{}.csv", uuid::Uuid::new_v4()));
        std::fs::write(&file, "upn\nada@example.org\n").expect("a file");
        let how = How { mode: "replace", dry_run: true, allow_many_removals: false };
        let parts = || vec![("people.csv".to_owned(), Source::File(file.clone()))];
        let report = import(&server.client(), parts(), &how).await.expect("a report");
        assert_eq!((report["users"]["created"].as_u64(), report["id"].as_str()), (Some(1), Some("i")));
        let asked = server.asked();
        assert!(asked[0].starts_with("POST /api/v1/directory/import?mode=replace&dryRun=true&allowManyRemovals=false "), "{}", asked[0]);
        assert!(
            asked[0].contains("prefer: respond-async")
                && asked[0].contains("filename=\"people.csv\"")
                && asked[0].contains("ada@example.org")
        );
        let trouble = follow(&server.client(), "i").await.expect_err("bad cells");
        assert_eq!((trouble.exit, trouble.faults.len()), (Exit::Use, 1));
        std::fs::remove_file(&file).expect("removed");
    }
}
