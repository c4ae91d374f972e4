//! A real server of one story: a process with a folder and a port of its own. It goes with the story.

use crate::folder::{Folder, free_port};
use crate::program::{Said, carillon, command};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a start may take on a busy machine before the story gives up.
const START: Duration = Duration::from_secs(60);
/// How long a stop may take.
const STOP: Duration = Duration::from_secs(40);
/// How much of the log a failed story shows, in lines.
const LOG_LINES: usize = 60;

/// A server and everything that it keeps.
#[derive(Debug)]
pub struct Server {
    folder: Folder,
    port: u16,
    child: Option<Child>,
    variables: Vec<(String, String)>,
    only: Option<String>,
    descriptors: Option<u32>,
}

impl Server {
    /// Starts one with these sections in its configuration, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start(sections: &str) -> Server {
        let mut server = Server::prepare(sections);
        server.restart().await;
        server
    }

    /// Everything but the start.
    pub fn prepare(sections: &str) -> Server {
        let server =
            Server { folder: Folder::fresh(), port: free_port(), child: None, variables: Vec::new(), only: None, descriptors: None };
        server.configure(sections);
        server
    }

    /// Writes the configuration anew; it holds from the next start on.
    pub fn configure(&self, sections: &str) {
        self.folder.write("carillon.toml", sections);
    }

    /// Sets a variable of the environment of the next start.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Lets it do only these parts of the work from the next start on.
    pub fn only(&mut self, parts: &str) {
        self.only = Some(parts.to_owned());
    }

    /// Lets it have no more descriptors than this from the next start on.
    pub fn descriptors(&mut self, most: u32) {
        self.descriptors = Some(most);
    }

    /// Starts the process, again or for the first time; answers how long it took to become ready.
    ///
    /// # Panics
    /// When it runs already, ends, or does not become ready.
    pub async fn restart(&mut self) -> Duration {
        // Building it, when that is needed, is no part of the start.
        carillon();
        let began = Instant::now();
        self.spawn();
        let http = crate::api::http();
        let url = format!("{}/readyz", self.url());
        loop {
            if let Ok(answer) = http.get(&url).send().await
                && answer.status().is_success()
            {
                return began.elapsed();
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the server ended with {ended:?}:\n{}", self.log());
            assert!(began.elapsed() < START, "the server was not ready after {START:?}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// Starts the process and waits for nothing.
    ///
    /// # Panics
    /// When it runs already or cannot be started.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the server runs already");
        let mut command = match self.descriptors {
            None => command(),
            Some(most) => bounded(&command(), most),
        };
        command.arg("serve").arg("--data").arg(self.data()).args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        command.arg("--config").arg(self.folder.path().join("carillon.toml"));
        if let Some(only) = &self.only {
            command.args(["--only", only]);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(self.file("server.out")).stderr(self.file("server.log"));
        self.child = Some(command.spawn().expect("the program can be started"));
    }

    fn file(&self, name: &str) -> File {
        OpenOptions::new().create(true).append(true).open(self.folder.path().join(name)).expect("a log can be written")
    }

    /// Its URL; the same at every start.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of its process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a server that runs has a number").id()
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The story's folder, in which the data folder lies.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The first owner's token.
    ///
    /// # Panics
    /// When it was never started.
    pub fn token(&self) -> String {
        let text = std::fs::read_to_string(self.data().join("bootstrap-token")).expect("the first start writes the owner's token");
        text.trim().to_owned()
    }

    /// What it logged so far, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// What it printed so far, over all its lives.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.out")).unwrap_or_default()
    }

    /// SIGKILL, and waits until the process is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("a server that runs can be killed");
        child.kill().expect("our own child can be killed");
        child.wait().expect("our own child can be waited for");
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Panics
    /// When it does not run, or does not end in time.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended(STOP)
    }

    /// Sends a signal by its name, such as `TERM` or `STOP`.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, name: &str) {
        signal(self.child.as_ref().expect("a server that runs can be signalled"), name);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("a server was started");
        let status = wait(&mut child, within);
        status.unwrap_or_else(|| {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server did not end within {within:?}:\n{}", self.log())
        })
    }

    /// Runs a command of the program against this server and waits for its end.
    pub fn cli(&self, args: &[&str]) -> Said {
        self.cli_as(&self.token(), args)
    }

    /// The same with another token.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn cli_as(&self, token: &str, args: &[&str]) -> Said {
        let output = self.cli_command(token, args).stdin(Stdio::null()).output().expect("the program can be started");
        Said::of(args, &output)
    }

    /// A command against this server, to be started by the caller.
    pub fn cli_command(&self, token: &str, args: &[&str]) -> std::process::Command {
        let mut command = command();
        command.env("CARILLON_URL", self.url()).env("CARILLON_TOKEN", token).args(args).current_dir(self.folder.path());
        command
    }

    /// Every byte that it keeps on disk: the database, its log, keys and everything else in the data folder, and what it
    /// logged and printed.
    pub fn bytes_at_rest(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        collect(self.folder.path(), &mut found);
        found
    }
}

/// A command that may have only so many descriptors.
fn bounded(command: &Command, most: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]).arg(command.get_program());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path, bytes));
        }
    }
}

/// Sends a signal by its name to one process of ours.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status();
    assert!(sent.is_ok_and(|status| status.success()), "signal {name} cannot be sent");
}

/// Waits for a process to end.
pub(crate) fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if began.elapsed() < within => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) | Err(_) => return None,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the server's log, its end\n{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"));
        }
    }
}
