//! Campaigns in rounds: limit program, campaign, limit program, campaign … (rows 1, 2, 8, 10 and 11).

use super::Bench;
use crate::campaign::{self, Ran};
use crate::limit;
use crate::measures::{Asked, Measure, ask, middle};
use crate::plots::{Drawn, OURS};
use anyhow::Result;
use std::time::Duration;

/// Rest between two measured programs, so that none pays for the other's end.
const REST: Duration = Duration::from_millis(500);

/// What the rounds on one directory found.
pub struct Rounds {
    /// Requests a second of the limit program, one for each campaign; empty when it was not run.
    limits: Vec<f64>,
    runs: Vec<Ran>,
}

impl Rounds {
    fn each(&self, figure: impl Fn(&Ran) -> f64) -> Vec<f64> {
        self.runs.iter().map(figure).collect()
    }

    /// Processor milliseconds for a thousand deliveries over all campaigns together: a short one alone is too short for
    /// the kernel's clock of 10 ms.
    fn cpu_per_thousand(&self) -> f64 {
        let devices: f64 = self.runs.iter().map(|run| f64::from(run.devices)).sum();
        self.runs.iter().map(|run| run.cpu_ms).sum::<f64>() * 1000.0 / devices
    }
}

fn rounds(bench: &mut Bench, people: u32, count: usize, with_limit: bool) -> Result<Rounds> {
    let mut rounds = Rounds { limits: Vec::new(), runs: Vec::new() };
    let mut server = bench.server(people)?;
    for round in 1..=count {
        if with_limit {
            std::thread::sleep(REST);
            let rate = limit::run(&mut bench.sink, bench.options.sizes.limit, &bench.plan.folder)?;
            eprintln!("   round {round}: limit program {rate:.0}/s");
            rounds.limits.push(rate);
        }
        std::thread::sleep(REST);
        let ran = campaign::run(&mut server, &mut bench.sink, people, 0)?;
        eprintln!(
            "   round {round}: {people} devices in {:.3} s = {:.0}/s, CPU {:.2} ms/1k (sink {:.2}), peak {:.1} MiB, accepted after {:.1} ms, pushes from {:.1} to {:.0} ms",
            ran.seconds,
            ran.rate(),
            ran.cpu_per_thousand(),
            ran.sink_cpu_per_thousand(),
            ran.peak_mib,
            ran.accept_ms,
            ran.first_push_ms,
            ran.last_push_ms,
        );
        rounds.runs.push(ran);
    }
    server.stop()?;
    Ok(rounds)
}

/// Rows 10 and 11, the side that the large campaigns are held against.
pub fn small(bench: &mut Bench) -> Result<Vec<Measure>> {
    let (people, count) = (bench.options.sizes.small, bench.options.sizes.small_campaigns);
    let rounds = rounds(bench, people, count, false)?;
    let label = size(people);
    let measures = vec![
        ask("10", format!("peak RSS, {label} campaign"), "MiB").median(&rounds.each(|run| run.peak_mib)),
        time_for_one(&rounds, people),
        ask("11", format!("CPU for 1,000 deliveries, {label} campaigns together"), "ms")
            .single(rounds.cpu_per_thousand())
            .drawn(Drawn::Cpu { devices: people }),
    ];
    bench.small = Some(rounds);
    Ok(measures)
}

/// Rows 1 and 2 at the middle size.
pub fn middle_sized(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.middle;
    let rounds = rounds(bench, people, bench.options.rounds, bench.options.wants("1") && limit::is_there())?;
    let mut measures = rate_and_cpu(&rounds, people);
    measures.push(time_for_one(&rounds, people));
    Ok(measures)
}

/// Rows 1, 2, 8, 10 and 11 at the large size.
pub fn large(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.large;
    let rounds = rounds(bench, people, bench.options.rounds, bench.options.wants("1") && limit::is_there())?;
    let label = size(people);
    let mut measures = rate_and_cpu(&rounds, people);
    let accept = ask("8", format!("{label}-device campaign: durable accept answered"), "ms").at_most(50.0, 5.0);
    measures.push(accept.median(&rounds.each(|run| run.accept_ms)));
    let first = ask("8", format!("{label}-device campaign: first push at the sink"), "ms").at_most(250.0, 30.0);
    measures.push(first.median(&rounds.each(|run| run.first_push_ms)));
    let peaks = rounds.each(|run| run.peak_mib);
    measures.push(ask("10", format!("peak RSS, {label} campaign"), "MiB").at_most(128.0, 64.0).median(&peaks));
    measures.push(time_for_one(&rounds, people));
    if let Some(small) = &bench.small {
        let against = format!("{label} against {}", size(bench.options.sizes.small));
        let ratio = |asked: Asked, samples: Vec<f64>, base: f64| asked.median(&samples.iter().map(|s| s / base).collect::<Vec<_>>());
        let peak = ask("10", format!("peak RSS, {against}"), "").at_most(1.5, 1.2);
        measures.push(ratio(peak, peaks, middle(&small.each(|run| run.peak_mib))));
        let time = ask("11", format!("time for a delivery, {against}"), "").at_most(1.25, 1.05);
        measures.push(ratio(time, rounds.each(Ran::micros_per_delivery), middle(&small.each(Ran::micros_per_delivery))));
        let cpu = ask("11", format!("CPU for a delivery, {against}"), "").at_most(1.25, 1.05);
        measures.push(ratio(cpu, rounds.each(Ran::cpu_per_thousand), small.cpu_per_thousand()));
    }
    Ok(measures)
}

fn rate_and_cpu(rounds: &Rounds, people: u32) -> Vec<Measure> {
    let label = size(people);
    let ratio = ask("1", format!("APNs deliveries/s against h2load, {label} devices"), "").at_least(0.45, 0.75);
    let drawn = |by: &str| Drawn::Rate { of: format!("APNs, {label} devices"), by: by.to_owned() };
    let mut measures = Vec::new();
    if rounds.limits.is_empty() {
        measures.push(ratio.skipped("h2load (nghttp2-client) is not installed"));
    } else {
        let pairs: Vec<f64> = rounds.runs.iter().zip(&rounds.limits).map(|(run, limit)| run.rate() / limit).collect();
        measures.push(ratio.median(&pairs));
        measures
            .push(ask("1", format!("h2load on the same sink, beside {label} devices"), "/s").median(&rounds.limits).drawn(drawn("h2load")));
    }
    measures.push(ask("1", format!("APNs deliveries, {label} devices"), "/s").median(&rounds.each(Ran::rate)).drawn(drawn(OURS)));
    let cpu = ask("2", format!("CPU for 1,000 deliveries, {label} devices"), "ms").at_most(15.0, 8.0);
    measures.push(cpu.median(&rounds.each(Ran::cpu_per_thousand)).drawn(Drawn::Cpu { devices: people }));
    let sink = ask("2", format!("the sink's own CPU for 1,000, {label} devices (a busy machine shows here too)"), "ms");
    measures.push(sink.median(&rounds.each(Ran::sink_cpu_per_thousand)));
    measures
}

/// Row 11, the time itself.
fn time_for_one(rounds: &Rounds, people: u32) -> Measure {
    let asked = ask("11", format!("time for a delivery, {} campaign", size(people)), "µs");
    asked.median(&rounds.each(Ran::micros_per_delivery)).drawn(Drawn::Time { devices: people })
}

/// `10k`, `1M`.
pub fn size(people: u32) -> String {
    match people {
        n if n.is_multiple_of(1_000_000) => format!("{}M", n / 1_000_000),
        n if n.is_multiple_of(1_000) => format!("{}k", n / 1_000),
        n => n.to_string(),
    }
}
