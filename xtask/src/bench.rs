//! The benchmarks: builds the release server and the release benchmark program, then runs the rows asked for.

use crate::steps::{Ending, run};
use crate::workspace::Workspace;
use anyhow::{Result, bail};

/// Runs the rows, or all of them when none is named. The benchmark program finds the server by `CARILLON_BIN`.
///
/// # Errors
/// When a build or the program failed.
pub fn bench(workspace: &Workspace, rows: &[String]) -> Result<bool> {
    for package in [["-p", "carillon", "--bin", "carillon"], ["-p", "benches", "--bin", "bench"]] {
        let mut build = workspace.cargo(&["build", "--release"]);
        build.args(package);
        if let Ending::Failed(why) = run(build) {
            bail!(why);
        }
    }
    let release = workspace.target.join("release");
    let mut program = workspace.command(release.join("bench"));
    program.args(rows).env("CARILLON_BIN", release.join("carillon"));
    match run(program) {
        Ending::Failed(why) => bail!(why),
        Ending::Passed(_) | Ending::Skipped(_) => Ok(true),
    }
}
