//! The whole judgement on a tree, in the order in which faults are cheapest to find.

use crate::steps::{Ending, Steps, run, shown};
use crate::workspace::{Workspace, has};
use crate::{deny, fuzz, packaging, simulate, tidy};
use anyhow::Result;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// What the build itself needs of the machine: a program, the Debian package that brings it, and what it is for.
const NEEDED: [(&str, &str, &str); 3] = [
    ("cc", "build-essential", "SQLite and AWS-LC are C"),
    ("ld", "binutils", "linking"),
    ("git", "git", "cargo deny looks at the history of the advisory database"),
];

/// What some tests need of the machine beside that: a Debian package, a program that it brings, how one asks whether it is
/// there, and which tests are skipped, aloud, without it.
const WANTED: [(&str, &str, &[&str], &str); 11] = [
    ("postgresql-15", "/usr/lib/postgresql/15/bin/postgres", &["--version"], "the store in PostgreSQL, and several processes on it"),
    (
        "python3-venv",
        "python3",
        &["-c", "import venv, ensurepip"],
        "decryption of Web Push by Python's http_ece, signatures of mail by its dkimpy, Microsoft's Graph client, and Schemathesis over the API, which come from PyPI",
    ),
    ("npm", "npm", &["--version"], "Microsoft's Graph client in JavaScript, which comes from npm"),
    ("firefox-esr", "firefox-esr", &["--version"], "the push into a real Firefox"),
    ("postfix", "/usr/sbin/postconf", &["-d", "mail_version"], "mails through a real Postfix"),
    ("dovecot-lmtpd", "sh", &["-c", "test -x /usr/lib/dovecot/lmtp"], "mails in the mailboxes of a real Dovecot"),
    ("dovecot-imapd", "sh", &["-c", "test -x /usr/lib/dovecot/imap"], "mails read back over IMAP"),
    ("python3-dkim", "/usr/bin/python3", &["-c", "import dkim"], "the signatures of mails that were delivered"),
    ("kamailio", "/usr/sbin/kamailio", &["-v"], "calls through a real Kamailio"),
    ("kamailio-utils-modules", "sh", &["-c", "test -e /usr/lib/*/kamailio/modules/http_client.so"], "what Kamailio says of calls"),
    ("sip-tester", "sh", &["-c", "command -v sipp"], "the telephones on that Kamailio"),
];

/// How long each fuzz target runs in the check: enough to see that it works, and what broke plainly.
const FUZZ_SECONDS: u32 = 5;

/// Runs every step and prints the table.
///
/// # Errors
/// None of its own: a step that cannot do its work is a failed step.
pub fn check(workspace: &Workspace) -> Result<bool> {
    let mut steps = Steps::default();
    steps.run("tools", || tools(workspace));
    steps.run("rustfmt", || run(workspace.cargo(&["fmt", "--all", "--check"])));
    steps.run("tidy", || tidy::step(workspace));
    steps.run("clippy", || run(workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])));
    steps.run("programs", || run(workspace.cargo(&["build", "--workspace", "--bins"])));
    steps.run("tests", || tests(workspace));
    steps.run("alert rules", || packaging::alerts(workspace));
    steps.run("systemd unit", || packaging::unit(workspace));
    steps.run("fuzz", || fuzz::step(workspace, FUZZ_SECONDS, &[]));
    steps.run("simulation", || simulate::step(workspace));
    steps.run("cargo deny", || deny::rules(workspace));
    steps.run("advisories", || deny::advisories(workspace));
    steps.run("manual", || manual(workspace));
    print!("{}", steps.summary());
    std::io::stdout().flush()?;
    Ok(steps.passed())
}

/// Installs what is missing where that is allowed, else says what is missing.
fn tools(workspace: &Workspace) -> Ending {
    let missing: Vec<_> = NEEDED.iter().filter(|(program, _, _)| !has(program)).collect();
    for (program, package, purpose) in &missing {
        println!("{program} is missing (Debian package {package}): {purpose}");
    }
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
        if let Err(why) = install(&packages) {
            return Ending::Failed(format!("{why}; install {} and run again", packages.join(", ")));
        }
    }
    for (component, probe) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let there = workspace.cargo(&[probe, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
        if !there {
            println!("{component} is missing; asking rustup for it");
            if let Ending::Failed(why) = run({
                let mut rustup = Command::new("rustup");
                rustup.args(["component", "add", component]);
                rustup
            }) {
                return Ending::Failed(format!("{component} is missing: {why}"));
            }
        }
    }
    Ending::Passed(wanted())
}

/// Debian would make a cluster for the machine and start it; the tests start their own. An administrator's word stays.
fn without_main_cluster() {
    let file = std::path::Path::new("/etc/postgresql-common/createcluster.conf");
    if !file.exists() {
        // Where this cannot be written the installation fails as well, and says so.
        let _ = std::fs::create_dir_all("/etc/postgresql-common");
        let _ = std::fs::write(file, "create_main_cluster = false\n");
    }
}

/// Installs what only some tests need, where that is allowed; answers what stays missing.
fn wanted() -> String {
    let is_there = |program: &str, question: &[&str]| {
        let asked = Command::new(program).args(question).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    let mut lacking = Vec::new();
    for (package, program, question, purpose) in WANTED {
        let named = program == "firefox-esr" && std::env::var_os("FIREFOX_BIN").is_some();
        if named || is_there(program, question) {
            continue;
        }
        println!("{program} is missing or incomplete (Debian package {package}): {purpose}");
        if package.starts_with("postgresql") {
            without_main_cluster();
        }
        match install(&[package]) {
            Ok(()) if is_there(program, question) => {}
            Ok(()) => lacking.push(format!("{package} does not help here")),
            Err(why) => lacking.push(format!("{package}: {why}")),
        }
    }
    if lacking.is_empty() { String::new() } else { format!("some tests will be skipped: {}", lacking.join("; ")) }
}

/// Debian starts the servers that it installs, and the tests start their own: while this lives nothing is started. An
/// administrator's word stays.
struct Unstarted(bool);

impl Unstarted {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn begin() -> Unstarted {
        let policy = std::path::Path::new(Self::POLICY);
        let ours = !policy.exists() && std::fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok();
        if ours {
            let _ = std::fs::set_permissions(policy, std::fs::Permissions::from_mode(0o755));
        }
        Unstarted(ours)
    }
}

impl Drop for Unstarted {
    fn drop(&mut self) {
        if self.0 {
            let _ = std::fs::remove_file(Self::POLICY);
        }
    }
}

/// Installs Debian packages; only root with apt-get may.
fn install(packages: &[&str]) -> Result<(), String> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0");
    if !root || !has("apt-get") {
        return Err("cannot install here (it takes root and apt-get)".into());
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        run(command)
    };
    // Nothing of the machine's own goes for it, such as another mail server.
    let add = |packages: &[&str]| {
        let fixed = ["install", "-y", "--no-install-recommends", "--no-remove"];
        match apt(&[&fixed[..], packages].concat()) {
            Ending::Failed(why) => Err(why),
            Ending::Passed(_) | Ending::Skipped(_) => Ok(()),
        }
    };
    let _unstarted = Unstarted::begin();
    if add(packages).is_ok() {
        return Ok(());
    }
    apt(&["update"]);
    // One that cannot be had does not keep the others away.
    add(packages).or_else(|_| packages.iter().map(|package| add(&[*package])).fold(Ok(()), Result::and))
}

/// Every test of every crate, the stories and the examples in the documentation included. The stories drive the real
/// programs, whose paths they get by the environment.
fn tests(workspace: &Workspace) -> Ending {
    let programs = workspace.target.join("debug");
    let mut command = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
    command.stdout(Stdio::piped());
    for (variable, program) in [("CARILLON_BIN", "carillon"), ("FAKE_APPLE_BIN", "fake-apple"), ("FAKE_RELAY_BIN", "fake-relay")] {
        command.env(variable, programs.join(program));
    }
    match packaging::promtool(workspace) {
        Ok(program) => drop(command.env("PROMTOOL_BIN", program)),
        Err(why) => println!("{why}"),
    }
    let typed = shown(&command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(cause) => return Ending::Failed(format!("cannot run {typed}: {cause}")),
    };
    let mut tally = Tally::default();
    let output = child.stdout.take().expect("the output was asked for");
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.read(&line);
    }
    match child.wait() {
        Ok(status) if status.success() && tally.failed == 0 => Ending::Passed(tally.spell()),
        Ok(status) => Ending::Failed(format!("{} ({typed} ended with {status})", tally.spell())),
        Err(cause) => Ending::Failed(format!("{typed}: {cause}")),
    }
}

/// The sum of cargo's `test result:` lines, and the names of tests that failed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    programs: u32,
    passed: u32,
    failed: u32,
    ignored: u32,
    failures: Vec<String>,
    /// What tests said that they did not try, and why.
    skipped: Vec<String>,
}

impl Tally {
    fn read(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            self.failures.push(name.to_owned());
        }
        if let Some((_, what)) = line.split_once("SKIPPED: ") {
            self.skipped.push(what.to_owned());
        }
        let Some(counts) = line.strip_prefix("test result: ").and_then(|l| l.split_once(". ")).map(|(_, counts)| counts) else {
            return;
        };
        self.programs += 1;
        for count in counts.split("; ") {
            let (number, what) = count.split_once(' ').unwrap_or(("", ""));
            let number: u32 = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    fn spell(&self) -> String {
        let mut text = format!("{} passed; {} failed; {} ignored; in {} programs", self.passed, self.failed, self.ignored, self.programs);
        if !self.failures.is_empty() {
            text.push_str(&format!(": {}", self.failures.join(", ")));
        }
        if !self.skipped.is_empty() {
            text.push_str(&format!("; SKIPPED: {}", self.skipped.join("; ")));
        }
        text
    }
}

/// The manual, where mdBook is there; tidy has looked at its links already.
fn manual(workspace: &Workspace) -> Ending {
    if has("mdbook") {
        let mut book = workspace.command("mdbook");
        book.args(["build", "docs", "--dest-dir"]).arg(workspace.target.join("book"));
        run(book)
    } else {
        Ending::Skipped("mdbook is not installed (cargo install mdbook)".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_result_lines_are_added_up() {
        let mut tally = Tally::default();
        tally.read("test a::b ... ok");
        tally.read("test result: ok. 17 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        tally.read("test a::c ... FAILED");
        tally.read("test result: FAILED. 2 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        assert_eq!((tally.programs, tally.passed, tally.failed, tally.ignored), (2, 19, 1, 3));
        assert_eq!(tally.spell(), "19 passed; 1 failed; 3 ignored; in 2 programs: a::c");
        tally.read("test firefox ... SKIPPED: the Firefox story (no Firefox)");
        assert!(tally.spell().ends_with("a::c; SKIPPED: the Firefox story (no Firefox)"), "{}", tally.spell());
    }
}
