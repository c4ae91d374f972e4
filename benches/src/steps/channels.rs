//! Campaigns by other channels than Apple's, in rounds: limit program, campaign, limit program, campaign … (rows 3 and 5),
//! and campaigns to browsers, for which there is no limit program (row 4).

use super::Bench;
use super::throughput::size;
use crate::campaign::{self, Ran, Text};
use crate::directory::Reached;
use crate::limit;
use crate::measures::{Measure, ask};
use crate::plots::{Drawn, OURS};
use crate::stores;
use anyhow::Result;
use std::time::Duration;

/// Rest between two measured programs, so that none pays for the other's end.
const REST: Duration = Duration::from_millis(500);
/// Mails of the limit program for each request of h2load: it takes about six times as long for one.
const MAILS_PER_REQUEST: u64 = 4;

/// Row 3: FCM over HTTP/2, against h2load on the same sink.
pub fn google(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.middle;
    let (limits, runs) = rounds(bench, people, Reached::Google, &Text::campaign(), limit::is_there(), |bench| {
        limit::run_google(&mut bench.sink, bench.options.sizes.limit, &bench.plan.folder)
    })?;
    let label = size(people);
    let drawn = |by: &str| bar(&format!("FCM, {label} devices"), by);
    let ratio = ask("3", format!("FCM deliveries/s against h2load, {label} devices"), "").at_least(0.35, 0.6);
    let mut measures = vec![match limits.as_slice() {
        [] => ratio.skipped("h2load (nghttp2-client) is not installed"),
        limits => ratio.median(&pairs(&runs, limits)),
    }];
    if !limits.is_empty() {
        measures.push(ask("3", format!("h2load on the same sink, beside {label} devices"), "/s").median(&limits).drawn(drawn("h2load")));
    }
    measures.push(ask("3", format!("FCM deliveries, {label} devices"), "/s").median(&each(&runs, Ran::rate)).drawn(drawn(OURS)));
    measures.push(ask("3", format!("CPU for 1,000 FCM deliveries, {label} devices"), "ms").median(&each(&runs, Ran::cpu_per_thousand)));
    Ok(measures)
}

/// Row 4: Web Push over HTTP/2, each message encrypted afresh. The endpoints name the sink's port, so the directory is filled
/// for each sink.
pub fn browsers(bench: &mut Bench) -> Result<Vec<Measure>> {
    let (people, by) = (bench.options.sizes.middle, Reached::Browser { port: bench.sink.port });
    stores::forget(&stores::data_by(&bench.stores, people, by))?;
    let (_, runs) = rounds(bench, people, by, &Text::campaign(), false, |_| Ok(0.0))?;
    let label = size(people);
    let rate = ask("4", format!("Web Push messages/s, encrypted afresh, {label} browsers"), "/s").at_least(10_000.0, 20_000.0);
    let cpu = ask("4", format!("CPU for 1,000 Web Push messages, {label} browsers"), "ms");
    let drawn = bar(&format!("Web Push, {label} browsers (no limit program)"), OURS);
    Ok(vec![rate.median(&each(&runs, Ran::rate)).drawn(drawn), cpu.median(&each(&runs, Ran::cpu_per_thousand))])
}

/// Row 5: mail, against postfix's `smtp-source -d` to the same sink.
pub fn mail(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.middle;
    let (limits, runs) = rounds(bench, people, Reached::Mail, &Text::mail(), limit::smtp_is_there(), |bench| {
        limit::run_mail(&mut bench.sink, bench.options.sizes.limit / MAILS_PER_REQUEST)
    })?;
    let label = size(people);
    let drawn = |by: &str| bar(&format!("Mail, {label} people"), by);
    let ratio = ask("5", format!("mails/s against smtp-source -d, {label} people"), "").at_least(0.5, 0.9);
    let mut measures = vec![match limits.as_slice() {
        [] => ratio.skipped("smtp-source (postfix) is not installed"),
        limits => ratio.median(&pairs(&runs, limits)),
    }];
    if !limits.is_empty() {
        measures.push(
            ask("5", format!("smtp-source -d -s 4, 1 KiB, to the same sink, beside {label} people"), "/s")
                .median(&limits)
                .drawn(drawn("smtp-source")),
        );
    }
    measures.push(ask("5", format!("mails, {label} people"), "/s").median(&each(&runs, Ran::rate)).drawn(drawn(OURS)));
    measures.push(ask("5", format!("CPU for 1,000 mails, {label} people"), "ms").median(&each(&runs, Ran::cpu_per_thousand)));
    Ok(measures)
}

/// A bar of the plot of rates.
fn bar(of: &str, by: &str) -> Drawn {
    Drawn::Rate { of: of.to_owned(), by: by.to_owned() }
}

type Limit = fn(&mut Bench) -> Result<f64>;

fn rounds(bench: &mut Bench, people: u32, by: Reached, text: &Text, with_limit: bool, limit: Limit) -> Result<(Vec<f64>, Vec<Ran>)> {
    let (mut limits, mut runs) = (Vec::new(), Vec::new());
    let mut server = bench.server_by(people, by)?;
    for round in 1..=bench.options.rounds {
        if with_limit {
            std::thread::sleep(REST);
            let rate = limit(bench)?;
            eprintln!("   round {round}: limit program {rate:.0}/s");
            limits.push(rate);
        }
        std::thread::sleep(REST);
        let ran = campaign::run_with(&mut server, &mut bench.sink, people, 0, text)?;
        eprintln!(
            "   round {round}: {people} in {:.3} s = {:.0}/s, CPU {:.2} ms/1k (sink {:.2}), peak {:.1} MiB",
            ran.seconds,
            ran.rate(),
            ran.cpu_per_thousand(),
            ran.sink_cpu_per_thousand(),
            ran.peak_mib
        );
        runs.push(ran);
    }
    server.stop()?;
    Ok((limits, runs))
}

fn each(runs: &[Ran], figure: fn(&Ran) -> f64) -> Vec<f64> {
    runs.iter().map(figure).collect()
}

fn pairs(runs: &[Ran], limits: &[f64]) -> Vec<f64> {
    runs.iter().zip(limits).map(|(run, limit)| run.rate() / limit).collect()
}
