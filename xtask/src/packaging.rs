//! What is packaged beside the program: alert rules for Prometheus and the systemd unit, judged by the tools of those.

use crate::steps::{Ending, run};
use crate::workspace::{Workspace, has};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Highest exposure that `systemd-analyze security` may give the unit, in tenths; the manual names what it gave.
const EXPOSURE: u32 = 15;

/// Prometheus' own tool: the installed one, or Debian's, taken out of its package into the target folder (installing the
/// package would start a server on this machine).
pub fn promtool(workspace: &Workspace) -> Result<PathBuf, String> {
    if has("promtool") {
        return Ok("promtool".into());
    }
    let folder = workspace.target.join("tools/prometheus");
    let program = folder.join("usr/bin/promtool");
    if program.exists() {
        return Ok(program);
    }
    if !has("apt-get") || !has("dpkg-deb") {
        return Err("promtool is not installed (Debian package prometheus)".into());
    }
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    println!("promtool is missing; taking it out of Debian's package prometheus");
    let script = "apt-get download prometheus || { apt-get update && apt-get download prometheus; } && dpkg-deb -x prometheus_*.deb .";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(&folder).stdin(Stdio::null());
    match run(shell) {
        Ending::Passed(_) if program.exists() => Ok(program),
        _ => Err("promtool is not installed, and Debian's package prometheus is out of reach".into()),
    }
}

/// Syntax and unit tests of the alert rules.
pub fn alerts(workspace: &Workspace) -> Ending {
    let promtool = match promtool(workspace) {
        Ok(program) => program,
        Err(why) => return Ending::Skipped(why),
    };
    for arguments in [["check", "rules", "carillon.rules.yml"], ["test", "rules", "carillon.rules.test.yml"]] {
        let mut command = Command::new(&promtool);
        command.args(arguments).current_dir(workspace.root.join("packaging/prometheus"));
        if let failed @ Ending::Failed(_) = run(command) {
            return failed;
        }
    }
    Ending::Passed(String::new())
}

/// The unit can be loaded, and is as closed as the manual says.
pub fn unit(workspace: &Workspace) -> Ending {
    if !has("systemd-analyze") {
        return Ending::Skipped("systemd-analyze is not installed (Debian package systemd)".into());
    }
    let text = match std::fs::read_to_string(workspace.root.join("packaging/systemd/carillon.service")) {
        Ok(text) => text,
        Err(cause) => return Ending::Failed(format!("packaging/systemd/carillon.service: {cause}")),
    };
    let folder = workspace.target.join("tools/unit");
    let unit = folder.join("carillon.service");
    // The program is not installed here: another one that is there stands in.
    let text = text.replace("/usr/local/bin/carillon", "/bin/true");
    if let Err(cause) = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&unit, text)) {
        return Ending::Failed(format!("{}: {cause}", unit.display()));
    }
    let ask = |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).arg(&unit).stdin(Stdio::null()).output();
    match ask(&["verify", "--man=no"]) {
        Ok(said) if said.status.success() && said.stderr.is_empty() => {}
        Ok(said) => return Ending::Failed(format!("systemd-analyze verify: {}", String::from_utf8_lossy(&said.stderr).trim())),
        Err(cause) => return Ending::Failed(format!("systemd-analyze: {cause}")),
    }
    match ask(&["security", "--offline=true", "--no-pager"]) {
        Ok(said) => judge(&String::from_utf8_lossy(&said.stdout)),
        Err(cause) => Ending::Failed(format!("systemd-analyze: {cause}")),
    }
}

fn judge(said: &str) -> Ending {
    let line = said.lines().find(|line| line.contains("Overall exposure level")).unwrap_or("");
    let word = line.rsplit_once(": ").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or("");
    let tenths = word.split_once('.').and_then(|(whole, tenth)| Some(whole.parse::<u32>().ok()? * 10 + tenth.parse::<u32>().ok()?));
    match tenths {
        Some(tenths) if tenths <= EXPOSURE => Ending::Passed(format!("exposure {word} of 10")),
        Some(_) => Ending::Failed(format!("the unit is more open than it was: exposure {word}, at most {EXPOSURE} tenths")),
        None => Ending::Skipped("this systemd cannot judge a unit that is not installed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exposure_is_read_and_bounded() {
        let said = |level: &str| format!("✓ PrivateTmp= fine\n\n→ Overall exposure level for carillon.service: {level} OK 🙂\n");
        assert_eq!(judge(&said("1.2")), Ending::Passed("exposure 1.2 of 10".into()));
        assert!(matches!(judge(&said("9.6")), Ending::Failed(_)));
        assert!(matches!(judge("nothing"), Ending::Skipped(_)));
    }
}
