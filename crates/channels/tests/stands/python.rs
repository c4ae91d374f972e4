//! A Python with packages from PyPI, in an environment of its own below the target folder.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Python that can do `import`, with what it needs for it, or why there is none.
pub fn python(folder: &str, packages: &[&str], import: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let program = folder.join("bin/python");
    let ready = |program: &Path| run(program, &["-c", import]).is_ok();
    if ready(&program) {
        return Ok(program);
    }
    let place = folder.to_str().ok_or("the target folder has no plain name")?;
    run(Path::new("python3"), &["-m", "venv", "--clear", place])?;
    let mut install = vec!["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"];
    install.extend(packages);
    run(&program, &install)?;
    if ready(&program) { Ok(program) } else { Err(format!("{} was installed and cannot be used", packages.join(", "))) }
}

/// Runs a script that reads one JSON document and writes one.
pub fn ask(python: &Path, script: &str, asked: &serde_json::Value) -> serde_json::Value {
    let (input, output) = (Stdio::piped(), Stdio::piped());
    let command = Command::new(python).args(["-c", script]).stdin(input).stdout(output).stderr(Stdio::piped()).spawn();
    let mut child = command.expect("it was started a moment ago");
    child.stdin.take().expect("a pipe").write_all(asked.to_string().as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it writes JSON")
}

/// Says what was not tested, past the test harness, which keeps what passing tests print.
pub fn skipped(what: &str, why: &str) {
    let _ = writeln!(std::io::stdout(), "SKIPPED: {what} ({why})");
}

fn run(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{} cannot be started ({e})", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or("it says nothing").to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{} {}: {last}", program.display(), arguments.join(" "))) }
}
