//! Steps of a check: each is announced, timed, and stands in the table at the end. A failing step does not keep the
//! later ones from running, so that one run shows everything that is wrong.

use std::process::Command;
use std::time::{Duration, Instant};

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should; with a word about what was seen, which may be empty.
    Passed(String),
    /// It did not run, and why.
    Skipped(String),
    /// It found something wrong, or could not do its work.
    Failed(String),
}

/// The steps so far.
#[derive(Debug, Default)]
pub struct Steps {
    done: Vec<(&'static str, Duration, Ending)>,
}

impl Steps {
    /// Announces, runs and times one step.
    pub fn run(&mut self, name: &'static str, step: impl FnOnce() -> Ending) {
        println!("\n──── {name}");
        let begun = Instant::now();
        let ending = step();
        let took = begun.elapsed();
        match &ending {
            Ending::Passed(_) => println!("──── {name}: passed in {}", spell(took)),
            Ending::Skipped(why) => println!("──── {name}: SKIPPED: {why}"),
            Ending::Failed(why) => println!("──── {name}: FAILED after {}: {why}", spell(took)),
        }
        self.done.push((name, took, ending));
    }

    /// Whether no step failed.
    pub fn passed(&self) -> bool {
        !self.done.iter().any(|(_, _, ending)| matches!(ending, Ending::Failed(_)))
    }

    /// The table, one line a step, and a closing line.
    pub fn summary(&self) -> String {
        let mut text = String::from("\n──── summary\n");
        for (name, took, ending) in &self.done {
            let (word, note) = match ending {
                Ending::Passed(note) => ("passed", note),
                Ending::Skipped(note) => ("SKIPPED", note),
                Ending::Failed(note) => ("FAILED", note),
            };
            text.push_str(format!("{name:<14} {word:<8} {:>9}  {note}", spell(*took)).trim_end());
            text.push('\n');
        }
        let total: Duration = self.done.iter().map(|(_, took, _)| *took).sum();
        let failed: Vec<&str> = self.done.iter().filter(|(_, _, e)| matches!(e, Ending::Failed(_))).map(|(name, _, _)| *name).collect();
        let skipped = self.done.iter().filter(|(_, _, e)| matches!(e, Ending::Skipped(_))).count();
        if failed.is_empty() {
            text.push_str(&format!("check passed in {} ({skipped} skipped)\n", spell(total)));
        } else {
            text.push_str(&format!("check FAILED in {}: {}\n", spell(total), failed.join(", ")));
        }
        text
    }
}

/// Runs a command to its end with its output shown; a status other than 0 is a failure.
pub fn run(mut command: Command) -> Ending {
    match command.status() {
        Ok(status) if status.success() => Ending::Passed(String::new()),
        Ok(status) => Ending::Failed(format!("{} ended with {status}", shown(&command))),
        Err(cause) => Ending::Failed(format!("cannot run {}: {cause}", shown(&command))),
    }
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

/// A duration for people.
fn spell(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds >= 60 { format!("{} min {:02} s", seconds / 60, seconds % 60) } else { format!("{:.1} s", span.as_secs_f32()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_failed_and_what_was_skipped() {
        let mut steps = Steps::default();
        steps.run("one", || Ending::Passed("3 passed".into()));
        steps.run("two", || Ending::Skipped("not there".into()));
        assert!(steps.passed() && steps.summary().contains("check passed") && steps.summary().contains("(1 skipped)"));
        steps.run("three", || Ending::Failed("broken".into()));
        let summary = steps.summary();
        assert!(!steps.passed() && summary.contains("check FAILED") && summary.trim_end().ends_with("three"));
        assert!(summary.contains("3 passed") && summary.contains("not there") && summary.contains("broken"));
    }

    #[test]
    fn a_command_that_fails_is_named() {
        let ending = run(Command::new("false"));
        assert!(matches!(ending, Ending::Failed(why) if why.starts_with("false ended with")));
        assert_eq!(run(Command::new("true")), Ending::Passed(String::new()));
        assert!(matches!(run(Command::new("no-such-program-anywhere")), Ending::Failed(_)));
    }
}
