//! The soak: builds the release server and the program of the soak, and runs it. By hand, because it lasts.

use crate::steps::{Ending, run};
use crate::workspace::Workspace;
use anyhow::{Result, bail};

/// Runs it with these arguments (`--minutes N`, `--rate R`).
///
/// # Errors
/// When a build or the program failed, or what it measured was not flat.
pub fn soak(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    for package in [["-p", "carillon", "--bin", "carillon"], ["-p", "stories", "--bin", "soak"]] {
        let mut build = workspace.cargo(&["build", "--release"]);
        build.args(package);
        if let Ending::Failed(why) = run(build) {
            bail!(why);
        }
    }
    let release = workspace.target.join("release");
    let mut program = workspace.command(release.join("soak"));
    program.args(arguments).env("CARILLON_BIN", release.join("carillon"));
    match run(program) {
        Ending::Failed(why) => bail!(why),
        Ending::Passed(_) | Ending::Skipped(_) => Ok(true),
    }
}
