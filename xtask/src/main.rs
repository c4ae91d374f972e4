//! What developers and the build run.
//!
//! `cargo xtask check` is the whole judgement on a tree: formatting, tidiness, lints, every test, dependencies, the
//! manual. `cargo xtask bench` measures. `cargo xtask fuzz` lets libFuzzer write what strangers might. `cargo xtask simulate`
//! runs the engine through seeded faults. `cargo xtask tidy` is the quick part of the check that reads and compiles nothing.
//! Each task prints what it does; nothing is skipped silently.

mod bench;
mod check;
mod deny;
mod fuzz;
mod packaging;
mod simulate;
mod soak;
mod steps;
mod tidy;
mod workspace;

use std::process::ExitCode;
use workspace::Workspace;

const USAGE: &str = "\
Usage: cargo xtask <TASK>

Tasks:
  check           rustfmt, tidy, clippy, all tests, simulation, cargo deny, the manual; installs what it needs where it may
  bench [ROW…]    the benchmark program in release mode; without rows, all of them
  fuzz [--seconds N] [TARGET…]
                  the fuzz targets, built with libFuzzer on stable Rust; 60 s each unless said
  soak [OPTION…]  the server under a small load for an hour, and whether it stays as it is; --minutes N, --rate R
  simulate [ARG…] the engine on a fake clock and a fake network, with faults; `simulate --help` says more
  tidy            the rules of the tree: who imports whom, lengths, names, words

Exit code: 0 when everything passed, 1 when something failed, 2 for wrong use.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    let passed = match (task, rest) {
        ("check", []) => Workspace::find().and_then(|w| check::check(&w)),
        ("bench", rows) => Workspace::find().and_then(|w| bench::bench(&w, rows)),
        ("fuzz", arguments) => Workspace::find().and_then(|w| fuzz::fuzz(&w, arguments)),
        ("soak", options) => Workspace::find().and_then(|w| soak::soak(&w, options)),
        ("simulate", arguments) => Workspace::find().and_then(|w| simulate::simulate(&w, arguments)),
        ("tidy", []) => Workspace::find().and_then(|w| tidy::tidy(&w)),
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("cargo xtask {}: there is no such task or it takes no such argument\n\n{USAGE}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(cause) => {
            eprintln!("cargo xtask {task}: {cause:#}");
            ExitCode::FAILURE
        }
    }
}
