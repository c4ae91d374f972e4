//! The benchmark program: measures the release server by the rows of docs/performance.md and holds it to what a release
//! must meet.
//!
//! In: rows and options. Out: one table on standard output, progress on standard error, and, when asked, the document.
//! It starts the sink (this same program under another name), the server and the limit program, and ends each by its id.
//! It imports nothing of the server: it sees what any caller and any provider sees.

mod campaign;
mod clock;
mod directory;
mod document;
mod http;
mod limit;
mod listeners;
mod machine;
mod measures;
mod options;
mod plots;
mod processes;
mod server;
mod sink;
mod sinks;
mod steps;
mod stores;
mod tokens;

use anyhow::{Context, Result, bail, ensure};
use jiff::Zoned;
use options::{Options, USAGE};
use server::Plan;
use sinks::Sink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use steps::Bench;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, folder] = arguments.as_slice()
        && word == "sink"
    {
        return ended(sink::run(Path::new(folder)).map(|()| true));
    }
    if let [word, port, tokens] = arguments.as_slice()
        && word == "listeners"
    {
        let port = port.parse().context("the listeners want a port");
        return ended(port.and_then(|port| listeners::run(port, Path::new(tokens))).map(|()| true));
    }
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Options::read(&arguments) {
        Ok(options) => ended(bench(options)),
        Err(wrong) => {
            eprint!("bench: {wrong:#}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn ended(outcome: Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A folder that goes with the program.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Measures, prints, writes; answers whether every must is met.
fn bench(options: Options) -> Result<bool> {
    if let Some(path) = &options.again {
        return document::again(path).map(|()| true);
    }
    let program = std::env::current_exe()?;
    let beside = program.parent().context("the program lies in no folder")?;
    let server = std::env::var_os("CARILLON_BIN").map_or_else(|| beside.join("carillon"), PathBuf::from);
    ensure!(server.is_file(), "{} is no program; build it with `cargo build --release`, or name it by CARILLON_BIN", server.display());
    // Beside the program rather than in the system's temporary folder, which is memory on many machines.
    let folder = Folder(beside.join(format!("bench-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0)?;
    let stores = options.stores.clone().unwrap_or_else(|| folder.0.clone());
    std::fs::create_dir_all(&stores)?;
    let facts = machine::facts(&std::path::absolute(&stores)?, &server);
    for (name, fact) in &facts {
        eprintln!("{name}: {fact}");
    }
    let sink = Sink::start(&folder.0)?;
    let plan =
        Plan { program: server, folder: folder.0.clone(), connections: None, by: directory::Reached::Apple, database: None, keys: None };
    let write = options.write.clone();
    let quick = options.quick;
    let mut bench = Bench::new(options, sink, plan, stores);
    bench.run();
    let measures = std::mem::take(&mut bench.measures);
    drop(bench);
    print!("{}", measures::table(&measures));
    if let Some(path) = write {
        if quick {
            bail!("the figures of --quick mean nothing and are not written");
        }
        document::write(&path, &facts, &Zoned::now().date().to_string(), &measures)?;
    }
    let missed: Vec<&measures::Measure> = measures.iter().filter(|m| m.is_missed()).collect();
    if quick {
        // Small sizes say whether the program works, not whether the server is fast.
        return Ok(!measures.iter().any(|m| matches!(m.found, measures::Found::Failed(_))));
    }
    for measure in &missed {
        eprintln!("missed: row {}, {}", measure.row, measure.what);
    }
    Ok(missed.is_empty())
}
