//! Data folders with a filled directory: made once by importing through the server, then used by several rows. Every row
//! starts its own server on them, as after a restart, so that no row inherits the memory of the import.

use crate::clock::{seconds, unix_micros};
use crate::directory::{self, Reached, Shape};
use crate::http::Client;
use crate::server::{Plan, Server};
use crate::sinks::Sink;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest import that is waited for.
const IMPORT: Duration = Duration::from_secs(1_200);
/// Between two requests to the server while it imports.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// What an import cost.
#[derive(Clone, Debug)]
pub struct Imported {
    /// People.
    pub people: u32,
    /// Rows of all files.
    pub rows: u64,
    /// From the written request to the visible directory.
    pub seconds: f64,
    /// Most resident memory meanwhile.
    pub peak_mib: f64,
    /// Milliseconds of other requests meanwhile.
    pub answers_ms: Vec<f64>,
}

/// Fills `data` with a directory, unless that was done before. Answers what it cost.
///
/// # Errors
/// When the server refuses the files, or what it reports is not what they hold.
pub fn fill(plan: &Plan, sink: &Sink, data: &Path, shape: Shape) -> Result<Option<Imported>> {
    let marker = data.with_extension("filled");
    if marker.exists() {
        return Ok(None);
    }
    if data.exists() {
        std::fs::remove_dir_all(data).context("a half-filled store cannot be removed")?;
    }
    let files = data.with_extension("csv");
    let paths = directory::write(shape, &files)?;
    let mut server = Server::start(plan, sink, data)?;
    server.raise_limits()?;
    server.process.forget_peak()?;
    let started = unix_micros();
    let (report, answers_ms) = while_asking(server.another_way_in(), || server.import(&paths, IMPORT))?;
    let seconds = seconds(started, unix_micros());
    let peak_mib = server.process.peak_mib()?;
    let rows = u64::from(shape.people) + 2 * u64::from(shape.devices()) + u64::from(shape.groups()) + shape.memberships();
    let created = |kind: &str| report[kind]["created"].as_u64().unwrap_or(0);
    let made: u64 = ["users", "groups", "members", "devices", "registrations"].iter().map(|kind| created(kind)).sum();
    ensure!(made == rows, "the import made {made} of {rows} rows: {report}");
    server.stop()?;
    std::fs::remove_dir_all(&files)?;
    std::fs::write(&marker, "")?;
    Ok(Some(Imported { people: shape.people, rows, seconds, peak_mib, answers_ms }))
}

/// Does something and meanwhile asks the server who it takes us for, again and again.
fn while_asking<T>(mut api: Client, work: impl FnOnce() -> Result<T>) -> Result<(T, Vec<f64>)> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| -> Result<Vec<f64>> {
            let mut spans = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let answer = api.ask("GET", "/api/v1/me", None)?;
                answer.json()?;
                spans.push(seconds(answer.written_micros, answer.read_micros) * 1e3);
                std::thread::sleep(ASK_EVERY);
            }
            Ok(spans)
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        let spans = asking.join().ok().context("the asking thread failed")?;
        Ok((done?, spans.context("the server did not answer while it imported")?))
    })
}

/// Lets go of a filled store: the next fill makes it anew.
///
/// # Errors
/// When its marker cannot be removed.
pub fn forget(data: &Path) -> Result<()> {
    let marker = data.with_extension("filled");
    if marker.exists() { std::fs::remove_file(marker).context("a filled store cannot be let go") } else { Ok(()) }
}

/// Where the data folder of so many people with iPhones lies.
pub fn data(folder: &Path, people: u32) -> PathBuf {
    data_by(folder, people, Reached::Apple)
}

/// Where the data folder of so many people who are reached by something lies.
pub fn data_by(folder: &Path, people: u32, by: Reached) -> PathBuf {
    match by {
        Reached::Apple => folder.join(format!("store-{people}")),
        Reached::Google => folder.join(format!("store-google-{people}")),
        Reached::Browser { .. } => folder.join(format!("store-browser-{people}")),
        Reached::Mail => folder.join(format!("store-mail-{people}")),
    }
}
