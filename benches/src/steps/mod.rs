//! The steps of a benchmark. Each starts what it needs, measures one or several rows, and ends it; a step that fails fails
//! its rows and nothing else.

mod audience;
mod bare;
mod channels;
mod network;
mod postgres;
mod questions;
mod restart;
mod singles;
mod streams;
mod throughput;

use crate::directory::{Reached, Shape};
use crate::measures::{Measure, ask};
use crate::options::{Options, ROWS};
use crate::server::{Plan, Server};
use crate::sinks::Sink;
use crate::stores::{self, Imported};
use anyhow::Result;
use std::collections::HashMap;
use std::path::PathBuf;
use throughput::Rounds;

/// Everything that the steps share.
pub struct Bench {
    /// What was asked for.
    pub options: Options,
    /// The sink.
    pub sink: Sink,
    /// How the server is started.
    pub plan: Plan,
    /// Where the stores lie.
    pub stores: PathBuf,
    /// What was found.
    pub measures: Vec<Measure>,
    /// Rounds on the small directory, which the large ones are held against.
    small: Option<Rounds>,
    filled: HashMap<u32, Result<(), String>>,
}

/// One step: the rows it measures, what it is, and how.
type Step = (&'static [&'static str], &'static str, fn(&mut Bench) -> Result<Vec<Measure>>);

const STEPS: &[Step] = &[
    (&["13"], "size of the program", bare::size),
    (&["12"], "cold start on an empty store", bare::cold_start),
    (&["14"], "memory at rest", bare::at_rest),
    (&["10", "11"], "campaigns to the small directory", throughput::small),
    (&["1", "2"], "campaigns to the middle directory", throughput::middle_sized),
    (&["network"], "a provider 50 ms away", network::far_away),
    (&["3"], "campaigns to Android phones", channels::google),
    (&["4"], "campaigns to browsers", channels::browsers),
    (&["5"], "campaigns by mail", channels::mail),
    (&["15"], "open inbox streams", streams::one_process),
    (&["15"], "open inbox streams of three processes", postgres::three_processes),
    (&["17"], "campaigns on PostgreSQL", postgres::campaigns),
    (&["import"], "import of the large directory", import),
    (&["6"], "single notifications, idle", singles::idle),
    (&["9"], "nested audience", audience::nested),
    (&["1", "2", "8", "10", "11"], "campaigns to the large directory", throughput::large),
    (&["7"], "single notifications during a campaign", singles::during_a_campaign),
    (&["why", "reach"], "questions after a campaign", questions::after_a_campaign),
    (&["12"], "restarts on the large directory", restart::large),
];

impl Bench {
    /// A benchmark that has not measured anything.
    pub fn new(options: Options, sink: Sink, plan: Plan, stores: PathBuf) -> Bench {
        Bench { options, sink, plan, stores, measures: Vec::new(), small: None, filled: HashMap::new() }
    }

    /// Runs every step of which a row is wanted, and sorts what was found by row.
    pub fn run(&mut self) {
        for (rows, name, step) in STEPS {
            let wanted: Vec<&'static str> = rows.iter().copied().filter(|row| self.options.wants(row)).collect();
            if wanted.is_empty() {
                continue;
            }
            eprintln!("== {name} (row {})", wanted.join(", "));
            match step(self) {
                Ok(found) => {
                    let found: Vec<Measure> = found.into_iter().filter(|m| self.options.wants(&m.row)).collect();
                    eprint!("{}", crate::measures::table(&found));
                    self.measures.extend(found);
                }
                Err(error) => {
                    eprintln!("   failed: {error:#}");
                    self.measures.extend(wanted.iter().map(|row| ask(row, *name, "").failed(format!("{error:#}"))));
                }
            }
        }
        let place = |row: &str| ROWS.iter().position(|r| *r == row);
        self.measures.sort_by_key(|measure| place(&measure.row));
    }

    /// A server on the filled store of so many people, with nothing left to send of a step that failed.
    fn server(&mut self, people: u32) -> Result<Server> {
        self.fill(people)?;
        let mut server = Server::start(&self.plan, &self.sink, &stores::data(&self.stores, people))?;
        crate::campaign::cancel_unfinished(&mut server.api)?;
        Ok(server)
    }

    /// A server whose people are reached by something else than iPhones, all in one group.
    fn server_by(&mut self, people: u32, by: Reached) -> Result<Server> {
        let plan = Plan { by, ..self.plan.clone() };
        let data = stores::data_by(&self.stores, people, by);
        stores::fill(&plan, &self.sink, &data, Shape { people, nested: false, by })?;
        let mut server = Server::start(&plan, &self.sink, &data)?;
        crate::campaign::cancel_unfinished(&mut server.api)?;
        Ok(server)
    }

    /// Fills the store of so many people, once.
    fn fill(&mut self, people: u32) -> Result<()> {
        if let Some(before) = self.filled.get(&people) {
            return before.clone().map_err(anyhow::Error::msg);
        }
        let shape = Shape { people, nested: people == self.options.sizes.large, by: Reached::Apple };
        let filled = stores::fill(&self.plan, &self.sink, &stores::data(&self.stores, people), shape);
        let outcome = filled.as_ref().map(|_| ()).map_err(|error| format!("{error:#}"));
        self.filled.insert(people, outcome);
        if let Some(imported) = filled? {
            self.note_import(&imported);
        }
        Ok(())
    }

    fn note_import(&mut self, imported: &Imported) {
        let Imported { people, rows, seconds, peak_mib, answers_ms } = imported;
        eprintln!("   imported {people} people, {rows} rows in {seconds:.1} s, peak {peak_mib:.0} MiB");
        if *people == self.options.sizes.large && self.options.wants("import") {
            let what = format!("import of {people} people with devices and nested groups, {rows} rows");
            self.measures.push(ask("import", format!("{what}: time"), "s").single(*seconds));
            self.measures.push(ask("import", format!("{what}: peak RSS"), "MiB").single(*peak_mib));
            self.measures.push(ask("import", "other requests meanwhile, p99", "ms").percentile(answers_ms, 99));
        }
    }
}

fn import(bench: &mut Bench) -> Result<Vec<Measure>> {
    bench.fill(bench.options.sizes.large)?;
    let told = bench.measures.iter().any(|measure| measure.row == "import");
    Ok(if told { Vec::new() } else { vec![ask("import", "import of the large directory", "").skipped("the store was kept from before")] })
}
