//! The simulation: builds its program, then runs the seeds asked for. The check runs the seeds that once found something,
//! several hundred more, and one round of planted bugs.

use crate::steps::{Ending, run};
use crate::workspace::Workspace;
use anyhow::{Result, bail};

/// Seeds of the check, beside the named ones.
const SEEDS: &str = "1..251";
/// Virtual hours of faults and errands in each of them.
const HOURS: &str = "0.04";

/// Runs the simulation with these arguments.
///
/// # Errors
/// When it cannot be built.
pub fn simulate(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    match program(workspace, arguments)? {
        Ending::Failed(why) => {
            eprintln!("{why}");
            Ok(false)
        }
        Ending::Passed(_) | Ending::Skipped(_) => Ok(true),
    }
}

/// The part of it that every check runs.
pub fn step(workspace: &Workspace) -> Ending {
    for arguments in [&["--named"][..], &["--seeds", SEEDS, "--hours", HOURS], &["--planted"]] {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        match program(workspace, &arguments) {
            Ok(Ending::Passed(_)) => {}
            Ok(ending) => return ending,
            Err(cause) => return Ending::Failed(format!("{cause:#}")),
        }
    }
    Ending::Passed(format!("seeds {SEEDS} of {HOURS} virtual hours"))
}

fn program(workspace: &Workspace, arguments: &[String]) -> Result<Ending> {
    if let Ending::Failed(why) = run(workspace.cargo(&["build", "--quiet", "-p", "simulation"])) {
        bail!(why);
    }
    let mut program = workspace.command(workspace.target.join("debug/simulation"));
    program.args(arguments);
    Ok(run(program))
}
