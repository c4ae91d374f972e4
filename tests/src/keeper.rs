//! Real servers of a story: each runs below a shell that stops it when the story ends, however that ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running server.
#[derive(Debug)]
pub(crate) struct Keeper {
    shell: Child,
}

impl Keeper {
    /// Runs `start`, which stays in the foreground, in `folder`; at the end of the story `stop`, in which `$server` is its
    /// process id.
    ///
    /// # Panics
    /// When there is no shell.
    pub fn run(folder: &Path, start: &str, stop: &str) -> Keeper {
        let script = format!("{start} >>keeper.log 2>&1 </dev/null & server=$!; read -r _; {stop} >>keeper.log 2>&1; wait");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Keeper { shell: shell.spawn().expect("a shell can be started") }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
