//! `docs/performance.md`: the table with its method, and the remarks, which people write and this program keeps.

use crate::measures::{Measure, table};
use anyhow::{Context, Result};
use std::path::Path;

const BEGIN: &str = "<!-- remarks: kept by the benchmark program -->";
const END: &str = "<!-- end of remarks -->";

const METHOD: &str = "\
`cargo xtask bench --write docs/performance.md` measures all of this again; `cargo xtask bench 1 2` some rows, `--quick` nothing but
that the program works.

- The release server is driven over HTTP with everything on: SQLite with its journal synced at every commit, TLS to the provider,
  signed provider tokens, every outcome recorded, the limits raised through the settings. The directory comes in through
  `POST /api/v1/directory/import`: people with one iPhone each, 10,000, 100,000 and 1,000,000 of them, each size in a store of its own.
  The million is reached through 10,000 nested groups with 1,496,000 memberships.
- The provider is a sink in a process of its own, with one thread and 1,000 concurrent streams a connection, on the same cores. It checks every
  request: the provider token's signature, the topic, each header, the text, and that the device token is one of the campaign. It counts each device. A
  campaign in which one device is missing, one is pushed to twice, or one request is refused, is no figure but a failure.
- The limit program is `h2load -t1 -c2 -m250 -n200000`, with the headers of a push and 1 KiB of payload, against the same sink over TLS; rounds
  alternate (limit, campaign, limit, campaign …), and ratios are taken pair by pair. A campaign's payload is about 1 KB.
- A campaign's time is from the written request to the state `done`: everything is sent, answered and committed. CPU is the server's user
  and system time meanwhile. Peak memory is the kernel's high-water mark, reset before each campaign. The server is restarted between import
  and campaigns.
- Times between processes come from one clock. Shown are medians (or the percentile named) and the least and the most of all samples.
- *must* is what a release has to meet, *goal* what is wanted; a dash is for information. The provider being on the same machine, these are limits of
  the program, not promises of delivery; the rows *network* show that with a provider 50 ms away the rate is what its streams allow.
";

/// Writes the document, with the remarks that it held before.
///
/// # Errors
/// When the file cannot be read or written.
pub fn write(path: &Path, facts: &[(&'static str, String)], date: &str, measures: &[Measure]) -> Result<()> {
    let before = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
    let text = compose(facts, date, measures, remarks(&before));
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn remarks(before: &str) -> &str {
    before.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map_or("\n", |(remarks, _)| remarks)
}

fn compose(facts: &[(&'static str, String)], date: &str, measures: &[Measure], remarks: &str) -> String {
    let facts: String = facts.iter().map(|(name, fact)| format!("- {name}: {fact}\n")).collect();
    let table = table(measures);
    format!(
        "# Performance\n\n## Figures\n\nMeasured on {date}.\n\n{table}\n## What is short of the goal, and why\n\n{BEGIN}{remarks}{END}\n\n\
         ## Method\n\n{METHOD}\n## Machine\n\n{facts}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::ask;

    #[test]
    fn remarks_outlive_the_table() {
        let measures = [ask("1", "rate", "").at_least(0.45, 0.75).single(0.5)];
        let first = compose(&[("Memory", "1 GiB".into())], "2026-11-20", &measures, remarks(""));
        let written = first.replace(&format!("{BEGIN}\n"), &format!("{BEGIN}\nRow 1 waits for the disk.\n"));
        assert_ne!(first, written);
        let second = compose(&[], "2026-11-21", &[], remarks(&written));
        assert!(second.contains("Row 1 waits for the disk.") && second.contains("2026-11-21") && !second.contains("0.45"));
        assert!(first.contains("| 1 ") && first.contains("- Memory: 1 GiB"));
    }
}
