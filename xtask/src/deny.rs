//! What `cargo deny` says about the dependencies: no banned crate, licences that fit, one registry. The rules stand in
//! `deny.toml`. Advisories need a database from the network; out of reach, they are skipped aloud.

use crate::steps::{Ending, run, shown};
use crate::workspace::{Workspace, has};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The version whose rules `deny.toml` is written for.
const VERSION: &str = "0.20.2";
/// How long to wait for the advisory database: it takes seconds where it can be reached at all.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bans, licences and sources.
pub fn rules(workspace: &Workspace) -> Ending {
    let program = match program(workspace) {
        Ok(program) => program,
        Err(why) => return Ending::Failed(why),
    };
    let mut command = workspace.command(program);
    command.args(["--all-features", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
    run(command)
}

/// Known faults of the dependencies.
pub fn advisories(workspace: &Workspace) -> Ending {
    let program = match program(workspace) {
        Ok(program) => program,
        Err(why) => return Ending::Failed(why),
    };
    let log = workspace.target.join("advisories.log");
    let mut command = workspace.command(program);
    command.args(["check", "advisories"]).stdin(Stdio::null());
    match std::fs::File::create(&log).and_then(|file| command.stderr(file).spawn()) {
        Ok(child) => judge(wait(child), &std::fs::read_to_string(&log).unwrap_or_default()),
        Err(cause) => Ending::Failed(format!("cannot run {}: {cause}", shown(&command))),
    }
}

/// `Some(true)` when it passed, `None` when it took too long and was stopped.
fn wait(mut child: std::process::Child) -> Option<bool> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) => std::thread::sleep(Duration::from_millis(200)),
            Err(_) => break,
        }
    }
    // It may have ended just now; either way there is nothing to judge.
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn judge(passed: Option<bool>, log: &str) -> Ending {
    let out_of_reach = ["failed to fetch advisory database", "failed to load advisory database", "failed to acquire"];
    match passed {
        Some(true) => Ending::Passed(String::new()),
        None => Ending::Skipped("the advisory database did not come in time".into()),
        Some(false) if out_of_reach.iter().any(|words| log.contains(words)) => {
            Ending::Skipped("the advisory database is out of reach".into())
        }
        Some(false) => {
            eprint!("{log}");
            Ending::Failed("there are advisories against dependencies, or they could not be judged".into())
        }
    }
}

/// The installed program, or one built into the target folder. Unoptimised: it runs for seconds and builds for minutes.
fn program(workspace: &Workspace) -> Result<PathBuf, String> {
    let tools = workspace.target.join("tools");
    let built = tools.join("bin/cargo-deny");
    if built.exists() {
        return Ok(built);
    }
    if has("cargo-deny") {
        return Ok(PathBuf::from("cargo-deny"));
    }
    println!("cargo-deny is missing; building {VERSION} into the target folder");
    let mut install = workspace.cargo(&["install", "--locked", "--debug", "cargo-deny", "--version", VERSION]);
    install.arg("--root").arg(&tools).env("CARGO_TARGET_DIR", tools.join("build")).env("CARGO_PROFILE_DEV_DEBUG", "0");
    match run(install) {
        Ending::Failed(why) => Err(format!("cargo-deny is missing and could not be built: {why}")),
        Ending::Passed(_) | Ending::Skipped(_) => Ok(built),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_database_is_skipped_and_an_advisory_is_not() {
        assert_eq!(judge(Some(true), ""), Ending::Passed(String::new()));
        assert!(matches!(judge(None, ""), Ending::Skipped(_)));
        assert!(matches!(judge(Some(false), "error: failed to fetch advisory database from git"), Ending::Skipped(_)));
        assert!(matches!(judge(Some(false), "error[vulnerability]: a hole"), Ending::Failed(_)));
    }
}
