//! Processes that are measured: started here, read through `/proc`, and ended by their own id, whatever happens.

use anyhow::{Context, Result, bail};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A process that ends with its owner.
pub struct Process {
    child: Child,
    name: &'static str,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Process> {
        let child = command.spawn().with_context(|| format!("cannot start {name} ({})", command.get_program().display()))?;
        Ok(Process { child, name })
    }

    /// The running child.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end (SIGTERM) and waits; kills it when it does not within `limit`.
    ///
    /// # Errors
    /// When it had to be killed or failed.
    pub fn stop(mut self, limit: Duration) -> Result<()> {
        let id = self.id().to_string();
        Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id]).stderr(Stdio::null()).status()?;
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() { Ok(()) } else { bail!("{} ended with {status}", self.name) };
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("{} did not end within {limit:?} and was killed", self.name)
    }

    /// Ends it at once (SIGKILL), as a power cut would.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// User and system time of all its threads, in milliseconds, to 10 ms.
    ///
    /// # Errors
    /// When it is gone.
    pub fn cpu_ms(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        cpu_ticks(&stat).map(|ticks| ticks as f64 * MS_A_TICK).context("/proc/PID/stat is not as documented")
    }

    /// Resident memory now, in MiB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resident_mib(&self) -> Result<f64> {
        self.status_mib("VmRSS:")
    }

    /// Most resident memory since the last [`Process::forget_peak`], in MiB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn peak_mib(&self) -> Result<f64> {
        self.status_mib("VmHWM:")
    }

    /// Counts the peak from now on (proc(5), clear_refs).
    ///
    /// # Errors
    /// When that is not allowed here.
    pub fn forget_peak(&self) -> Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").context("the peak of memory cannot be reset")
    }

    fn status_mib(&self, field: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let kib = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        Ok(kib.with_context(|| format!("/proc/PID/status has no {field}"))? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// USER_HZ is 100 on every Linux that Rust runs on.
const MS_A_TICK: f64 = 10.0;

/// utime and stime, the 14th and 15th field; the second field is a name in brackets that may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_a_name_with_brackets() {
        assert_eq!(cpu_ticks("7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 1 0 5 1 1"), Some(42));
        assert_eq!(cpu_ticks("7 (a"), None);
    }

    #[test]
    fn a_process_ends_when_it_is_asked_to_and_when_it_is_dropped() {
        let sleeper = || Process::start("sleep", Command::new("sleep").arg("30")).unwrap();
        let ended = sleeper().stop(Duration::from_secs(5)).unwrap_err().to_string();
        assert!(ended.contains("signal"), "{ended}");
        let dropped = sleeper();
        assert!(dropped.resident_mib().unwrap() > 0.0);
        let path = format!("/proc/{}/stat", dropped.id());
        drop(dropped);
        assert!(!std::path::Path::new(&path).exists());
    }
}
