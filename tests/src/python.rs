//! The machine's Python: another implementation to hold ours against (mails, IMAP, SMTP, signatures), from its own library.

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The machine's Pythons: the one on the path, and Debian's, which has the modules that come as packages.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// Runs a script with this JSON on its standard input; answers the JSON that it prints.
///
/// # Panics
/// When there is no Python, or the script fails.
pub fn python(script: &str, asked: &Value) -> Value {
    run(PYTHONS[0], script, asked)
}

/// The same with `dkim`, Debian's package python3-dkim; `None` where it is not installed.
///
/// # Panics
/// When the script fails.
pub fn python_with_dkim(script: &str, asked: &Value) -> Option<Value> {
    static FOUND: OnceLock<Option<&str>> = OnceLock::new();
    let imports = |python: &&str| {
        let asked = Command::new(python).args(["-c", "import dkim"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    let found = *FOUND.get_or_init(|| PYTHONS.into_iter().find(imports));
    found.map(|python| run(python, script, asked))
}

fn run(python: &str, script: &str, asked: &Value) -> Value {
    let mut command = Command::new(python);
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("python3 is here");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = asked.to_string();
    // It may have failed before it read: then its own words say so below.
    let writer = std::thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("written");
    assert!(output.status.success(), "Python failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}
