//! The real program: where it is, and how one run of it ends.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The binary under test: `CARILLON_BIN`, or the one of this workspace, built when it is not up to date.
///
/// # Panics
/// When it cannot be built.
pub fn carillon() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os("CARILLON_BIN") {
        Some(path) => path.into(),
        None => build("carillon", "carillon"),
    })
}

/// A binary of this workspace, built in the profile in which the stories were built themselves.
///
/// # Panics
/// When it cannot be built.
pub fn build(package: &str, binary: &str) -> PathBuf {
    let release = std::env::current_exe().is_ok_and(|exe| exe.components().any(|part| part.as_os_str() == "release"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "-p", package, "--bin", binary, "--message-format=json"]);
    if release {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo, which built the stories, is there");
    assert!(output.status.success(), "{binary} cannot be built");
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut built = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    built.next_back().expect("cargo names the executable that it built")
}

/// A command with nothing of this process's environment that would steer it.
pub(crate) fn command() -> Command {
    let mut command = Command::new(carillon());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARILLON")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1");
    command
}

/// Runs the program with these arguments, and nothing else, to its end.
///
/// # Panics
/// When it cannot be started.
pub fn run(args: &[&str]) -> Said {
    let output = command().args(args).stdin(Stdio::null()).output().expect("the program can be started");
    Said::of(args, &output)
}

/// What a run of the program said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The arguments, for messages.
    pub args: String,
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    pub(crate) fn of(args: &[&str], output: &std::process::Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { args: args.join(" "), code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Itself, when it ended with this code.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn ended(self, code: i32) -> Said {
        assert_eq!(self.code, code, "carillon {}\n--- out\n{}\n--- err\n{}", self.args, self.out, self.err);
        self
    }

    /// The one JSON object on standard output.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("carillon {} printed no JSON object ({e}):\n{}\n{}", self.args, self.out, self.err))
    }

    /// The problem document on standard error.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn problem(&self) -> Value {
        let last = self.err.lines().rev().find(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("carillon {} told no problem ({e}):\n{}", self.args, self.err))
    }
}
