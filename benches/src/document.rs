//! `docs/performance.md`: the table with its method and plots, and the remarks, which people write and this program keeps.
//! Beside it lie the figures themselves, so that named rows can be measured again without losing the others, and the
//! plots.

use crate::measures::{Measure, table};
use crate::plots::{NAMES, plots};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;

const BEGIN: &str = "<!-- remarks: kept by the benchmark program -->";
const END: &str = "<!-- end of remarks -->";
const TIME_BEGIN: &str = "<!-- where the time goes: kept by the benchmark program -->";
const TIME_END: &str = "<!-- end of where the time goes -->";

/// What each plot shows, in the order of their names, with the alternative text first.
const SHOWN: [(&str, &str); 4] = [
    (
        "Bars of deliveries a second of each channel beside those of its limit program",
        "Rows 1, 3, 4, 5 and 17. The limit programs store nothing, render nothing and decide nothing: they show what sink and machine can do.",
    ),
    (
        "Time and processor time for a delivery in small and large campaigns",
        "Rows 2 and 11. A level line means that a campaign's size costs nothing.",
    ),
    (
        "Percentiles of the time from a written request to its arrival at the provider, idle and during a campaign",
        "Rows 6 and 7, on a scale on which each line is ten times the one below.",
    ),
    (
        "Deliveries a second with a provider 50 ms away, by number of connections",
        "The rows *network*. The blue line is to follow whichever of the other two is lower.",
    ),
];

const INTRODUCTION: &str = "\
How fast Carillon is on a small machine, against what the same machine can do at all, and how to measure it again.
The figures are taken through the front door of the release program with everything on: an import and requests over HTTP in, TLS to a
provider that checks each request, and every outcome synced to disk before it counts. `docs/scaling.md` goes on from here to larger sizes.
";

const READING: &str = "\
## How to read the table

- **must** is what a release has to meet; **goal** is what is wanted; a dash means that the line is for information.
- **median** is the middle of the rounds, or the percentile that the line names; **min..max** are the least and the most of all samples.
- **verdict**: `goal met`, `must met` (but not the goal), `MUST MISSED`, `skipped` (a program is not installed), `FAILED` (a campaign in which a
  device was missing, repeated or refused is no figure).
- A line without a unit is a ratio, and the lines below it are what it was made of. Ratios are taken round by round, so that what
  disturbs the machine for a while disturbs both sides. Ratios and CPU for 1,000 are what to compare between machines; rates are not.
- Sender, sink and limit program share the processors. A provider elsewhere takes none of them, so a rate here is lower than that of the
  server alone; and a provider elsewhere is farther away and allows fewer streams, which is what the rows *network* are about.
- A busy machine shows first in *min..max*, then in the sink's own CPU, last in CPU for 1,000. The load average before the run stands under
  [Machine](#machine).
";

const ROWS_EXPLAINED: &str = "\
### What each row means

| # | What is measured |
| --- | --- |
| 1 | One notification to everybody by APNs, deliveries a second from the written request to the state `done`, beside h2load on the same sink |
| 2 | The server's user and system time in the same campaigns; the sink's own beside it |
| 3 | Row 1 by FCM (HTTP v1) to Android phones: the answer is JSON and is read |
| 4 | Row 1 by Web Push: each message encrypted afresh for its browser (RFC 8291) |
| 5 | Row 1 by mail, with a text and an HTML part, beside postfix's smtp-source with shorter mails |
| 6 | A notification to one person on an idle server with the large directory, from the written request to its arrival at the sink |
| 7 | The same, urgent, while a campaign to everybody runs |
| 8 | The large campaign's own beginning: until its acceptance was answered, which means durable, and until its first push |
| 9 | Resolving a group of ten thousand nested ones to a million people, each once, by the server's own metric |
| 10 | The most resident memory during a campaign, and how much of it is the campaign's size |
| 11 | Time and CPU for a delivery by the campaign's size |
| 12 | Starts: with an empty store, the first ever, with the large directory, and after `kill -9` in the middle of a campaign, where pushes that came twice are counted |
| 13 | Size of the stripped program |
| 14 | Resident memory three seconds after the start, with an empty store |
| 15 | A notification to many open inbox streams, of one process and of three on one PostgreSQL, and what a stream takes of memory |
| 17 | Row 1 on PostgreSQL, whose own processor time is not in the server's |
| network | Row 1 with a sink that answers 50 ms later and 1, 2 and 4 connections, against the lesser of connections × streams ÷ latency and the rate of the same server with a sink that answers at once |
| import | The large directory from CSV, and how long other requests take meanwhile |
| why | An explanation of one person's part in a campaign to everybody, asked over HTTP right after it |
| reach | The reach report of a notification to everybody: how many people and devices, by channel and by reason |
";

const REPEAT: &str = "\
## Measure it again

On Debian 12 or a system like it, with two cores and 20 GB of disk free, build included (not a memory file system: every commit is synced). The
table's machine had 24 GiB of memory; the server itself stays below 200 MiB.

    sudo apt-get install git gcc libc6-dev binutils   # to build, and to strip the program (row 13)
    sudo apt-get install nghttp2-client               # h2load, the limit program of rows 1, 3 and 17
    sudo apt-get install postfix                      # smtp-source, that of row 5; \"No configuration\" will do, postfix need not run
    sudo apt-get install postgresql                   # row 17 and three processes of row 15: a private server is started, the system's is not used
    # Rust 1.95 or later: https://rustup.rs
    git clone REPOSITORY carillon && cd carillon
    cargo xtask bench --quick                           # small sizes: does everything work here?
    cargo xtask bench --write docs/performance.md       # everything, into this document

`cargo xtask bench` builds the server and the benchmark program in release mode first, then runs every row. Without one of these
programs the rows that need it are skipped and say so. Nothing listens outside the machine, and no account with any provider is needed.

| Command | What it does | About how long, two cores |
| --- | --- | --- |
| the first build | release mode, link-time optimized | 10 minutes |
| `cargo xtask bench --quick` | small sizes; its figures mean nothing and are never written | 1 minute |
| `cargo xtask bench` | all rows | 20 to 30 minutes, 4 of them for the import of a million |
| `cargo xtask bench 1 2` | some rows | 3 to 5 minutes |
| `… --stores DIR` | keeps the imported directories, for a next run | saves the imports; leaves the row *import* out |
| `… --rounds N`, `--singles N` | more rounds, more single notifications | |
| `… --write docs/performance.md` | table, plots and `docs/performance.json`, which holds the figures; rows that were not asked for stay with their day, if the machine is the same | |
| `… --again docs/performance.md` | writes table and plots from `docs/performance.json`, measuring nothing | at once |

For figures to quote: nothing else running (a load average under 0.2) and two runs that agree. The
exit code is 1 when a *must* is missed.
";

const METHOD: &str = "\
## Method

- The release server is driven over HTTP with everything on: SQLite with its journal synced at every commit, TLS to the provider,
  signed provider tokens, every outcome recorded, the limits raised through the settings. The directory comes in through
  `POST /api/v1/directory/import`: people with one iPhone each, 10,000, 100,000 and 1,000,000 of them, each size in a store of its own.
  The million is reached through 10,000 nested groups with 1,496,000 memberships.
- The provider is a sink in a process of its own, with one thread and 1,000 concurrent streams a connection, on the same cores. It checks every
  request: the provider token's signature, the topic, each header, the text, and that the device token is one of the campaign. It counts each device. A
  campaign in which one device is missing, one is pushed to twice, or one request is refused, is no figure but a failure.
- The limit program is `h2load -t1 -c2 -m250 -n200000`, with the headers of a push and 1 KiB of payload, against the same sink over TLS; rounds
  alternate (limit, campaign, limit, campaign …), and ratios are taken pair by pair. A campaign's payload is about 1 KB.
- Row 3 is the same with an Android phone each and Google's HTTP v1 API: the limit program sends a message of 1 KiB, the sink checks access token,
  message, text and device, and answers in JSON as Google does. Row 5 is people without a device, each told by mail: the limit program is postfix's
  `smtp-source -d -s 4` with mails of 1 KiB to the same sink, which speaks SMTP with PIPELINING, reads every mail whole, and checks recipient, subject and
  body. Carillon's mails, with a text and an HTML part, are larger.
- Row 4 is people with a browser each. The sink checks the VAPID token (signature, audience, end), every header, the form of each body, and that
  key and salt are not those of the body before; one message in 256 it decrypts and reads. It has no limit program: none encrypts.
- A campaign's time is from the written request to the state `done`: everything is sent, answered and committed. CPU is the server's user
  and system time meanwhile. Peak memory is the kernel's high-water mark, reset before each campaign. The server is restarted between import
  and campaigns.
- The rows *network* alternate too: the sink at once, then 50 ms later, on the same server; each 50 ms campaign is held against the lesser of what its
  streams allow and the campaign before it. Above what the machine can do at all, only that says something about waiting.
- Times between processes come from one clock. Percentiles are the nearest rank.
";

/// A measure and the day on which it was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Dated {
    date: String,
    #[serde(flatten)]
    measure: Measure,
}

/// What lies beside the document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Figures {
    machine: Vec<(String, String)>,
    measures: Vec<Dated>,
}

/// Writes the document, with the remarks that it held before, its figures and its plots. Rows that were not measured this time
/// stay as they were, when they were measured on the same machine.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(path: &Path, facts: &[(&'static str, String)], date: &str, measures: &[Measure]) -> Result<()> {
    let machine: Vec<(String, String)> = facts.iter().map(|(name, fact)| ((*name).to_owned(), fact.clone())).collect();
    let figures = merged(read(path)?, machine, date, measures);
    let text = serde_json::to_string_pretty(&figures)? + "\n";
    std::fs::write(path.with_extension("json"), text).context("the figures cannot be written")?;
    again(path)
}

/// Writes the document and its plots from the figures beside it, measuring nothing.
///
/// # Errors
/// When there are no figures, or a file cannot be written.
pub fn again(path: &Path) -> Result<()> {
    let figures = read(path)?;
    ensure!(!figures.measures.is_empty(), "there are no figures beside {}", path.display());
    let before = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
    let text = compose(&figures, &before);
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    let images = path.parent().unwrap_or(Path::new(".")).join("images");
    std::fs::create_dir_all(&images)?;
    let measures: Vec<Measure> = figures.measures.into_iter().map(|dated| dated.measure).collect();
    for (name, picture) in plots(&measures) {
        std::fs::write(images.join(format!("{name}.svg")), picture).with_context(|| format!("the plot {name} cannot be written"))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Figures> {
    let file = path.with_extension("json");
    if !file.exists() {
        return Ok(Figures::default());
    }
    serde_json::from_str(&std::fs::read_to_string(&file)?).with_context(|| format!("{} is not as this program writes it", file.display()))
}

/// Facts that change from run to run of one machine.
const PASSING: [&str; 2] = ["Load average before", "Server"];

/// The new figures in place of the old ones of their rows. Figures of another machine go.
fn merged(before: Figures, machine: Vec<(String, String)>, date: &str, measures: &[Measure]) -> Figures {
    let lasting =
        |facts: &[(String, String)]| facts.iter().filter(|(name, _)| !PASSING.contains(&name.as_str())).cloned().collect::<Vec<_>>();
    let mut kept = if lasting(&before.machine) == lasting(&machine) { before.measures } else { Vec::new() };
    kept.retain(|old| !measures.iter().any(|new| new.row == old.measure.row));
    kept.extend(measures.iter().map(|measure| Dated { date: date.to_owned(), measure: measure.clone() }));
    kept.sort_by_key(|dated| crate::options::ROWS.iter().position(|row| *row == dated.measure.row));
    Figures { machine, measures: kept }
}

/// What people wrote between two marks.
fn kept<'a>(before: &'a str, begin: &str, end: &str) -> &'a str {
    before.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map_or("\n", |(kept, _)| kept)
}

/// The day of most rows, and the other days with their rows.
fn days(figures: &Figures) -> String {
    let mut days: Vec<(&str, Vec<&str>)> = Vec::new();
    for Dated { date, measure } in &figures.measures {
        let place = days.iter().position(|(day, _)| day == date).unwrap_or(days.len());
        if place == days.len() {
            days.push((date, Vec::new()));
        }
        if !days[place].1.contains(&&*measure.row) {
            days[place].1.push(&measure.row);
        }
    }
    days.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
    let others: Vec<String> = days.iter().skip(1).map(|(day, rows)| format!("; {} on {day}", rows.join(", "))).collect();
    days.first().map_or_else(String::new, |(day, _)| format!("Measured on {day}{}.", others.concat()))
}

fn compose(figures: &Figures, before: &str) -> String {
    let (remarks, time) = (kept(before, BEGIN, END), kept(before, TIME_BEGIN, TIME_END));
    let facts: String = figures.machine.iter().map(|(name, fact)| format!("- {name}: {fact}\n")).collect();
    let measures: Vec<Measure> = figures.measures.iter().map(|dated| dated.measure.clone()).collect();
    let pictures: String =
        NAMES.iter().zip(SHOWN).map(|(name, (instead, says))| format!("![{instead}](images/{name}.svg)\n\n{says}\n\n")).collect();
    let (days, table) = (days(figures), table(&measures));
    format!(
        "# Performance\n\n{INTRODUCTION}\n## Figures\n\n{days} The table is explained [below](#how-to-read-the-table).\n\n{table}\n## Plots\n\n\
         {pictures}## What is short of the goal, and why\n\n{BEGIN}{remarks}{END}\n\n## Where the time goes\n\n\
         {TIME_BEGIN}{time}{TIME_END}\n\n{READING}\n{ROWS_EXPLAINED}\n{REPEAT}\n{METHOD}\n## Machine\n\n{facts}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::ask;

    fn figures(machine: &[(&str, &str)], date: &str, measures: &[Measure]) -> Figures {
        let machine = machine.iter().map(|(name, fact)| ((*name).to_owned(), (*fact).to_owned())).collect();
        merged(Figures::default(), machine, date, measures)
    }

    #[test]
    fn remarks_outlive_the_table() {
        let measures = [ask("1", "rate", "").at_least(0.45, 0.75).single(0.5)];
        let first = compose(&figures(&[("Memory", "1 GiB")], "2026-11-20", &measures), "");
        let written = first.replace(&format!("{BEGIN}\n"), &format!("{BEGIN}\nRow 1 waits for the disk.\n"));
        assert_ne!(first, written);
        let other = [ask("2", "CPU", "ms").single(7.0)];
        let second = compose(&figures(&[], "2026-11-21", &other), &written);
        assert!(second.contains("Row 1 waits for the disk.") && second.contains("2026-11-21") && !second.contains("≥ 0.45"));
        assert!(first.contains("| 1 ") && first.contains("- Memory: 1 GiB"));
    }

    #[test]
    fn rows_that_were_not_measured_again_stay_with_their_day_unless_the_machine_is_another() {
        let (one, two) = (ask("1", "rate", "").single(0.5), ask("2", "CPU", "ms").single(7.0));
        let here = vec![("Memory".to_owned(), "1 GiB".to_owned()), ("Server".to_owned(), "new".to_owned())];
        let before = figures(&[("Memory", "1 GiB"), ("Server", "old")], "2026-11-20", &[one.clone(), two]);
        let again = ask("2", "CPU", "ms").single(6.0);
        let after = merged(before.clone(), here, "2026-11-21", std::slice::from_ref(&again));
        assert_eq!(after.measures.iter().map(|dated| &dated.measure).collect::<Vec<_>>(), [&one, &again]);
        assert_eq!(days(&after), "Measured on 2026-11-20; 2 on 2026-11-21.");
        let elsewhere = merged(before, vec![("Memory".to_owned(), "2 GiB".to_owned())], "2026-11-21", &[again]);
        assert_eq!(elsewhere.measures.len(), 1);
    }

    #[test]
    fn figures_are_read_as_they_were_written() {
        let drawn = crate::plots::Drawn::Latency { when: "idle".to_owned(), percentiles: vec![(50, 1.25), (100, 9.0)] };
        let measures = [ask("6", "idle", "ms").at_most(3.0, 1.0).single(1.25).drawn(drawn), ask("3", "rate", "").skipped("no h2load")];
        let written = figures(&[("Memory", "1 GiB")], "2026-11-20", &measures);
        let read: Figures = serde_json::from_str(&serde_json::to_string(&written).unwrap()).unwrap();
        assert_eq!(read, written);
    }

    #[test]
    fn every_plot_is_linked_and_every_row_is_explained() {
        let text = compose(&figures(&[], "2026-11-20", &[]), "");
        for name in NAMES {
            assert!(text.contains(&format!("](images/{name}.svg)")), "{name}");
        }
        for row in crate::options::ROWS {
            assert!(ROWS_EXPLAINED.contains(&format!("| {row} |")), "{row}");
        }
    }
}
