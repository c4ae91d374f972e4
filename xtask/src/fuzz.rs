//! The fuzz targets: built with libFuzzer on stable Rust and run for a while each.
//!
//! What `cargo fuzz` asks of a nightly compiler is the sanitizer; its coverage is a pass of LLVM, which stable Rust runs as well.

use crate::steps::{Ending, run};
use crate::workspace::{Workspace, has};
use anyhow::Result;
use std::path::Path;
use std::process::{Command, Stdio};

/// Coverage for libFuzzer: counters for each edge, their places, and the values that are compared.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";
/// A target of its own, so that what runs while building (macros, build scripts) is left as it is.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Largest input, in bytes: enough for every parser to reach its bounds but that of whole bodies.
const MOST_BYTES: u32 = 8_192;
/// Longest that one input may take, in seconds, and most memory, in MiB: beyond is a finding.
const TIMEOUT_SECONDS: u32 = 25;
const MEMORY_MIB: u32 = 2_048;

/// Runs these targets, or all, for so many seconds each.
///
/// # Errors
/// None of its own: what fails is said and answered.
pub fn fuzz(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let (mut seconds, mut names) = (60, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seconds" => seconds = rest.next().and_then(|n| n.parse().ok()).ok_or_else(|| anyhow::anyhow!("--seconds takes a number"))?,
            name => names.push(name.to_owned()),
        }
    }
    Ok(match step(workspace, seconds, &names) {
        Ending::Passed(note) => {
            println!("{note}");
            true
        }
        Ending::Skipped(why) => {
            println!("SKIPPED: fuzzing ({why})");
            true
        }
        Ending::Failed(why) => {
            println!("FAILED: {why}");
            false
        }
    })
}

/// The same as a step of the check.
pub fn step(workspace: &Workspace, seconds: u32, names: &[String]) -> Ending {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ending::Skipped(format!("it is set up for {TRIPLE}"));
    }
    if !has("c++") {
        return Ending::Skipped("libFuzzer is C++, and there is no compiler for it".into());
    }
    let folder = workspace.target.join("fuzz");
    if let Err(ending) = build(workspace, &folder) {
        return ending;
    }
    let all = targets(workspace);
    if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
        return Ending::Failed(format!("there is no target {unknown}; there are {}", all.join(", ")));
    }
    let chosen: Vec<&String> = all.iter().filter(|name| names.is_empty() || names.contains(name)).collect();
    let mut failed = Vec::new();
    for name in &chosen {
        println!("fuzzing {name} for {seconds} s");
        if let Ending::Failed(why) = run(program(workspace, &folder, name, seconds)) {
            println!("{name}: {why}");
            failed.push(name.as_str());
        }
    }
    if failed.is_empty() {
        Ending::Passed(format!("{} targets, {seconds} s each", chosen.len()))
    } else {
        let place = folder.join("found");
        Ending::Failed(format!("{}; the inputs are in {}", failed.join(", "), place.display()))
    }
}

/// Builds every target. What cannot be fetched is no fault of the tree.
fn build(workspace: &Workspace, folder: &Path) -> Result<(), Ending> {
    let cargo = |arguments: &[&str]| {
        let mut cargo = workspace.cargo(arguments);
        cargo.args(["--manifest-path", "fuzz/Cargo.toml"]).env("CARGO_TARGET_DIR", folder);
        cargo
    };
    let fetched = cargo(&["fetch", "--locked", "--target", TRIPLE]).stderr(Stdio::piped()).output();
    let fetched = fetched.map_err(|e| Ending::Failed(format!("cannot run cargo: {e}")))?;
    if !fetched.status.success() {
        let said = String::from_utf8_lossy(&fetched.stderr);
        let away = ["download", "Could not resolve", "Unable to update registry", "failed to get"].iter().any(|word| said.contains(word));
        let last = said.lines().last().unwrap_or("").to_owned();
        return Err(if away { Ending::Skipped(format!("its crates are out of reach: {last}")) } else { Ending::Failed(said.into_owned()) });
    }
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", TRIPLE.to_uppercase().replace('-', "_"));
    let mut building = cargo(&["build", "--bins", "--locked", "--target", TRIPLE]);
    building.env(variable, COVERAGE).env_remove("RUSTFLAGS");
    match run(building) {
        Ending::Passed(_) => Ok(()),
        ending => Err(ending),
    }
}

/// The targets by the folders of their seeds.
fn targets(workspace: &Workspace) -> Vec<String> {
    let entries = std::fs::read_dir(workspace.root.join("fuzz/corpus")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// One run: what it finds interesting is kept below the target folder and goes on from there the next time.
fn program(workspace: &Workspace, folder: &Path, name: &str, seconds: u32) -> Command {
    let (kept, found) = (folder.join("corpus").join(name), folder.join("found"));
    for folder in [&kept, &found] {
        // Where this cannot be made libFuzzer says so.
        let _ = std::fs::create_dir_all(folder);
    }
    let mut command = workspace.command(folder.join(TRIPLE).join("debug").join(name));
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={MOST_BYTES}"));
    command.arg(format!("-timeout={TIMEOUT_SECONDS}")).arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    command.arg(format!("-artifact_prefix={}/{name}-", found.display())).args(["-print_final_stats=1", "-verbosity=0", "-detect_leaks=0"]);
    command.arg(kept).arg(workspace.root.join("fuzz/corpus").join(name));
    command
}
