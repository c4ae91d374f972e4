//! A terminal at which a program runs and somebody types: Python's `pty`, so that the program sees what it would see in earnest.

use crate::python;
use serde_json::{Value, json};
use std::process::Command;

/// Types each step's keys once its words have appeared, answers where the cursor is when that is asked for, and gives back what
/// was on the screen, without colours and movements.
const SCRIPT: &str = r#"
import json, os, pty, re, select, signal, sys, time, fcntl, struct, termios
asked = json.load(sys.stdin)
child, terminal = pty.fork()
if child == 0:
    os.chdir(asked["folder"])
    os.execvpe(asked["program"], [asked["program"]] + asked["arguments"], {**os.environ, **asked["environment"]})
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
plain = lambda raw: re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>78])", "", raw.decode("utf-8", "replace")).replace("\r", "")
steps, raw, told, seen, end = asked["steps"], b"", 0, 0, time.monotonic() + asked["seconds"]
while time.monotonic() < end:
    ready, _, _ = select.select([terminal], [], [], 0.1)
    if ready:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            piece = b""
        if not piece:
            break
        raw += piece
        while raw.count(b"\x1b[6n") > told:
            told += 1
            os.write(terminal, b"\x1b[1;1R")
    elif steps and steps[0][0] in plain(raw[seen:]):
        seen = len(raw)
        os.write(terminal, steps.pop(0)[1].encode())
else:
    os.kill(child, signal.SIGKILL)
_, status = os.waitpid(child, 0)
json.dump({"screen": plain(raw), "code": os.waitstatus_to_exitcode(status), "left": steps}, sys.stdout)
"#;

/// What was on the screen, and with which number the program ended.
#[derive(Debug)]
pub struct Typed {
    /// All of it, in the order in which it was written.
    pub screen: String,
    /// The exit code.
    pub code: i64,
}

/// Runs a program at a terminal. Each step is what has to appear since the step before, and what is typed then.
///
/// # Panics
/// When something does not appear within a minute.
pub fn at_terminal(command: &Command, steps: &[(&str, &str)]) -> Typed {
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let environment: serde_json::Map<String, Value> =
        command.get_envs().filter_map(|(name, value)| Some((text(name), json!(text(value?))))).collect();
    let said = python(
        SCRIPT,
        &json!({
            "program": text(command.get_program()),
            "arguments": command.get_args().map(text).collect::<Vec<_>>(),
            "environment": environment,
            "folder": command.get_current_dir(),
            "steps": steps,
            "seconds": 60,
        }),
    );
    let typed = Typed { screen: said["screen"].as_str().unwrap_or_default().to_owned(), code: said["code"].as_i64().unwrap_or(-1) };
    assert_eq!(said["left"], json!([]), "in vain, at a screen of\n{}", typed.screen);
    typed
}
