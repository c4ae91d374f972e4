//! What the benchmark program was asked to do.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// The rows that can be asked for, in the order of the table.
pub const ROWS: [&str; 20] =
    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "17", "network", "import", "why", "reach"];

/// How it is used.
pub const USAGE: &str = "\
Usage: bench [ROW…] [OPTIONS]

Rows: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 17 (docs/performance.md), network (50 ms away), import,
why and reach (questions after a campaign); without rows, all of them.

Options:
  --rounds N      interleaved rounds of limit program and campaign [5]
  --singles N     single notifications of rows 6 and 7, at least [300]
  --quick         small sizes, to try out the program itself; its figures mean nothing
  --write FILE    write table and plots into a document, keeping its remarks and the rows that were not asked for
                  (docs/performance.md; the figures go beside it, the plots into images/)
  --again FILE    write such a document again from the figures beside it, measuring nothing
  --stores DIR    keep the filled stores there, and use those that are there already
  --help          this text

CARILLON_BIN names the server program; without it, the one beside this program is taken.
Exit code: 0 when every must is met, 1 when one is missed or could not be measured, 2 for wrong use.
";

/// Sizes of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Devices of the small, middle and large directory.
    pub small: u32,
    pub middle: u32,
    pub large: u32,
    /// Requests of the limit program.
    pub limit: u64,
    /// Campaigns on the small directory.
    pub small_campaigns: usize,
    /// Starts of row 12.
    pub starts: usize,
    /// Resolutions of row 9.
    pub resolutions: usize,
    /// Campaigns that are cut by `kill -9`.
    pub kills: usize,
    /// Open inbox streams of one process.
    pub streams: u32,
    /// Open inbox streams of three processes together.
    pub streams_of_three: u32,
}

const FULL: Sizes = Sizes {
    small: 10_000,
    middle: 100_000,
    large: 1_000_000,
    limit: 200_000,
    small_campaigns: 20,
    starts: 7,
    resolutions: 21,
    kills: 3,
    streams: 19_000,
    streams_of_three: 50_000,
};
const QUICK: Sizes = Sizes {
    small: 500,
    middle: 2_000,
    large: 20_000,
    limit: 20_000,
    small_campaigns: 3,
    starts: 2,
    resolutions: 3,
    kills: 1,
    streams: 200,
    streams_of_three: 300,
};

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Rows; empty means all.
    rows: Vec<String>,
    /// Interleaved rounds.
    pub rounds: usize,
    /// Single notifications.
    pub singles: usize,
    /// Whether the sizes are too small to mean anything.
    pub quick: bool,
    /// Where the table goes beside the output.
    pub write: Option<PathBuf>,
    /// Which document is only to be written again.
    pub again: Option<PathBuf>,
    /// Where filled stores are kept.
    pub stores: Option<PathBuf>,
    /// Sizes.
    pub sizes: Sizes,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(arguments: &[String]) -> Result<Options> {
        let mut options =
            Options { rows: Vec::new(), rounds: 0, singles: 0, quick: false, write: None, again: None, stores: None, sizes: FULL };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--rounds" => options.rounds = count(argument, value()?)?,
                "--singles" => options.singles = count(argument, value()?)?,
                "--quick" => options.quick = true,
                "--write" => options.write = Some(PathBuf::from(value()?)),
                "--again" => options.again = Some(PathBuf::from(value()?)),
                "--stores" => options.stores = Some(PathBuf::from(value()?)),
                row if ROWS.contains(&row) => options.rows.push(row.to_owned()),
                other => bail!("there is no row or option {other:?}"),
            }
        }
        if options.quick {
            options.sizes = QUICK;
        }
        let (rounds, singles) = if options.quick { (2, 30) } else { (5, 300) };
        options.rounds = if options.rounds == 0 { rounds } else { options.rounds };
        options.singles = if options.singles == 0 { singles } else { options.singles };
        Ok(options)
    }

    /// Whether a row is wanted.
    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|r| r == row)
    }
}

fn count(name: &str, value: &str) -> Result<usize> {
    value.parse().ok().filter(|n| (1..=10_000).contains(n)).with_context(|| format!("{name} takes a number from 1 to 10000, not {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Options> {
        Options::read(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn rows_and_options_may_stand_in_any_order() {
        let options = read("1 --rounds 3 12 --quick").unwrap();
        assert!(options.wants("1") && options.wants("12") && !options.wants("2"));
        assert_eq!((options.rounds, options.singles, options.sizes), (3, 30, QUICK));
        let all = read("").unwrap();
        assert!(ROWS.iter().all(|row| all.wants(row)));
    }

    #[test]
    fn wrong_words_are_named() {
        for (words, said) in [("99", "\"99\""), ("--rounds", "needs a value"), ("--rounds 0", "from 1 to 10000"), ("--fast", "\"--fast\"")]
        {
            let error = read(words).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
