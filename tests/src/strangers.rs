//! Clients that others wrote, from PyPI and npm, each in a folder of its own that is kept between runs. What cannot be had here
//! is told, so that a story can say aloud what it skipped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program with the packages that a script needs.
#[derive(Debug)]
pub struct Stranger {
    program: PathBuf,
    folder: PathBuf,
}

impl Stranger {
    /// A Python with these packages from PyPI, in the folder; `probe` is a statement that works once they are there.
    ///
    /// # Errors
    /// Why there is none.
    pub fn python(folder: PathBuf, packages: &[&str], probe: &str) -> Result<Stranger, String> {
        let program = folder.join("bin/python");
        let ready = || run(Command::new(&program).args(["-c", probe])).is_ok();
        if !ready() {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
            let install =
                ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--retries", "1", "--timeout", "20"];
            run(Command::new(&program).args(install).args(packages))?;
        }
        if !ready() {
            return Err(format!("{} were installed, and {probe:?} does not work", packages.join(", ")));
        }
        Ok(Stranger { program, folder })
    }

    /// A Node with these packages from npm, in the folder; `probe` is an expression that works once they are there.
    ///
    /// # Errors
    /// Why there is none.
    pub fn node(folder: PathBuf, packages: &[&str], probe: &str) -> Result<Stranger, String> {
        std::fs::create_dir_all(&folder).map_err(|e| format!("{} cannot be made ({e})", folder.display()))?;
        let ready = || run(Command::new("node").args(["-e", probe]).current_dir(&folder)).is_ok();
        if !ready() {
            let install =
                ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=20000", "--prefix"];
            run(Command::new("npm").args(install).arg(&folder).args(packages))?;
        }
        if !ready() {
            return Err(format!("{} were installed, and {probe:?} does not work", packages.join(", ")));
        }
        Ok(Stranger { program: "node".into(), folder })
    }

    /// Runs a script with `said` as its input and `token` as `CARILLON_TOKEN`, trusting the certificates of `ca` too; answers what
    /// it printed. Proxies of the machine are passed by: the story's server is here.
    ///
    /// # Panics
    /// When the script fails.
    pub fn run(&self, script: &Path, ca: &Path, token: &str, said: &str) -> String {
        let mut command = Command::new(&self.program);
        command.arg(script).current_dir(&self.folder).env("CARILLON_TOKEN", token).env("NO_PROXY", "*").env("no_proxy", "*");
        command.env("SSL_CERT_FILE", ca).env("NODE_EXTRA_CA_CERTS", ca).env("NODE_PATH", self.folder.join("node_modules"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it ran before");
        child.stdin.take().expect("a pipe").write_all(said.as_bytes()).expect("it reads what it is told");
        let output = child.wait_with_output().expect("our own child can be waited for");
        assert!(output.status.success(), "{} failed: {}", script.display(), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints UTF-8")
    }
}

/// Runs a command to its end; the last line of its complaint when it fails.
fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{name} cannot be started ({e})"))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it says nothing").to_owned();
    Err(format!("{name} failed: {complaint}"))
}
