//! Proofs about the command line as a whole: it is well formed, every command shows an example, wrong use exits 2.

use super::Cli;
use clap::{CommandFactory, Parser};

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

/// Every command with those below it, as `carillon user list`.
fn all(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
    let path = format!("{path} {}", command.get_name()).trim().to_owned();
    found.push((path.clone(), command.clone()));
    for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
        all(sub, &path, found);
    }
}

#[test]
fn the_help_of_every_command_says_what_it_does_and_shows_an_example_of_it() {
    let mut found = Vec::new();
    all(&Cli::command(), "", &mut found);
    assert!(found.len() > 50, "only {} commands", found.len());
    for (path, mut command) in found {
        let help = command.render_long_help().to_string();
        assert!(command.get_about().is_some(), "{path} does not say what it does");
        let example = help.split("Example").nth(1).unwrap_or_default();
        let shows = example.contains(&path) || (command.has_subcommands() && example.contains("carillon "));
        assert!(shows, "the help of `{path}` shows no example of it:\n{help}");
        for option in command.get_arguments().filter(|a| !a.is_hide_set()) {
            assert!(option.get_help().is_some(), "{path}: {} has no help", option.get_id());
        }
    }
}

#[test]
fn the_examples_parse() {
    let mut found = Vec::new();
    all(&Cli::command(), "", &mut found);
    for (path, command) in found {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().map(str::trim).filter(|l| l.starts_with("carillon ") && !l.contains('|'));
        for line in lines {
            let words = words(line.split(['<', '>']).next().unwrap_or_default());
            if let Err(e) = Cli::try_parse_from(&words) {
                panic!("{path}: the example does not parse: {line}\n{e}");
            }
        }
    }
}

/// Words of a shell line, with quotes of either kind; what follows two blanks is a remark.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut blanks = 0;
    for c in line.chars() {
        blanks = if c == ' ' && quote.is_none() { blanks + 1 } else { 0 };
        match c {
            '"' | '\'' if quote.is_none() => quote = Some(c),
            c if quote == Some(c) => quote = None,
            ' ' if quote.is_none() && blanks == 2 => break,
            ' ' if quote.is_none() => words.push(String::new()),
            c => words.last_mut().expect("there is a word").push(c),
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

#[test]
fn wrong_use_is_refused_with_exit_code_2() {
    let table: &[&[&str]] = &[
        &["send", "--title", "T", "--body", "B"],
        &["send", "--group", "g", "--body", "B"],
        &["send", "--group", "g", "--title", "T", "--body", "B", "--urgency", "huge"],
        &["send", "--group", "g", "--title", "T", "--body", "B", "--audience", "all"],
        &["send", "--group", "g", "--title", "T", "--body", "B", "--exit-status"],
        &["send", "--group", "g", "--title", "T", "--body", "B", "--expires-in", "2h", "--expires-at", "2026-11-20T08:30:00Z"],
        &["reach", "--group", "g", "--list", "reason:nonsense"],
        &["import"],
        &["import", "x.csv", "--mode", "merge"],
        &["notification", "resend", "id", "--failed", "--unopened"],
        &["notification", "list", "--limit", "0"],
        &["serve", "--listen", "here"],
        &["token", "create", "--name", "n"],
        &["token", "create", "--name", "n", "--user", "u", "--role", "reader"],
        &["role", "assign", "reader"],
        &["role", "create", "--name", "n"],
        &["device", "register", "d", "--service", "webpush", "--endpoint", "https://x"],
        &["agent", "listen", "--auto-open", "--no-receipts"],
        &["agent", "listen", "--count", "0"],
        &["group", "add", "g"],
        &["settings", "set", "key"],
        &["shell", "-c", "Get-Help", "-f", "help.ps1"],
        &["shell", "Get-Help"],
        &["nonsense"],
    ];
    for args in table {
        let error = Cli::try_parse_from(std::iter::once(&"carillon").chain(args.iter())).expect_err(&args.join(" "));
        assert_eq!(error.exit_code(), 2, "{}", args.join(" "));
    }
}

#[test]
fn options_repeat_and_json_stands_anywhere() {
    for line in [
        "carillon send --group a --group b --user c --device d --title T --body B --json",
        "carillon --json notification list --limit 3 --data /tmp/x",
        "carillon notification list --kind call.missed --all --json",
        "carillon notification --data /tmp/x list --json",
        "carillon settings set quiet_hours.default 22:00-07:00",
    ] {
        let cli = Cli::try_parse_from(words(line)).expect(line);
        assert_eq!(cli.json, line.contains("--json"), "{line}");
    }
}
