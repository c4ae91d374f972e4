//! PostgreSQL instead of SQLite (row 17), and three processes on one store (row 15): on a cluster of its own, which waits for
//! the disk as one in earnest does, on the same two cores as everything else.

use super::streams::enrol;
use super::throughput::size;
use super::{Bench, restart, singles};
use crate::campaign::{self, Ran, Text, send};
use crate::directory::{EVERYONE, Reached, Shape};
use crate::limit;
use crate::listeners::Listeners;
use crate::measures::{Measure, ask};
use crate::plots::{Drawn, OURS};
use crate::server::{Plan, Server};
use crate::stores;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use servers::PrivatePostgres;
use std::time::{Duration, Instant};

/// Rest between two measured programs.
const REST: Duration = Duration::from_millis(500);
/// Processes that share a store.
const PROCESSES: u32 = 3;
const MISSING: &str = "PostgreSQL is not installed";

/// Row 17: campaigns to the middle and the large directory, each beside the limit program.
pub fn campaigns(bench: &mut Bench) -> Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for people in [bench.options.sizes.middle, bench.options.sizes.large] {
        measures.extend(campaigns_to(bench, people)?);
    }
    Ok(measures)
}

fn campaigns_to(bench: &mut Bench, people: u32) -> Result<Vec<Measure>> {
    let label = size(people);
    let ratio = ask("17", format!("APNs deliveries/s on PostgreSQL against h2load, {label} devices"), "").at_least(0.3, 0.6);
    let Some(postgres) = PrivatePostgres::start(true) else { return Ok(vec![ratio.skipped(MISSING)]) };
    let plan = Plan { database: Some(postgres.database()), ..bench.plan.clone() };
    let data = bench.plan.folder.join(format!("store-postgres-{people}"));
    let filling = Instant::now();
    stores::fill(&plan, &bench.sink, &data, Shape { people, nested: false, by: Reached::Apple })?;
    eprintln!("   {label} people and devices imported in {:.1} s", filling.elapsed().as_secs_f64());
    postgres.analyse();
    let mut server = Server::start(&plan, &bench.sink, &data)?;
    let (mut limits, mut runs): (Vec<f64>, Vec<Ran>) = (Vec::new(), Vec::new());
    for round in 1..=bench.options.rounds {
        if limit::is_there() {
            std::thread::sleep(REST);
            limits.push(limit::run(&mut bench.sink, bench.options.sizes.limit, &bench.plan.folder)?);
        }
        std::thread::sleep(REST);
        let ran = campaign::run(&mut server, &mut bench.sink, people, 0)?;
        eprintln!("   round {round}: {:.0}/s, CPU {:.2} ms/1k without PostgreSQL's own", ran.rate(), ran.cpu_per_thousand());
        runs.push(ran);
    }
    let mut more = if people == bench.options.sizes.large { large(bench, &mut server, &label, people, &runs)? } else { Vec::new() };
    server.stop()?;
    if people == bench.options.sizes.large {
        let cut = restart::cut(&plan, &mut bench.sink, &data, people)?;
        let what = format!("PostgreSQL: kill -9 in a half-sent {label} campaign");
        more.push(ask("17", format!("{what}: start to first resumed push"), "ms").single(cut.resumed_ms));
        more.push(ask("17", format!("{what}: nothing missing; pushes that came twice"), "").single(cut.repeats));
    }
    let each = |figure: fn(&Ran) -> f64| runs.iter().map(figure).collect::<Vec<f64>>();
    let pairs: Vec<f64> = runs.iter().zip(&limits).map(|(run, limit)| run.rate() / limit).collect();
    let ratio = if pairs.is_empty() { ratio.skipped("h2load (nghttp2-client) is not installed") } else { ratio.median(&pairs) };
    let cpu = format!("CPU for 1,000 deliveries on PostgreSQL, {label} devices, without PostgreSQL's own");
    let drawn = |by: &str| Drawn::Rate { of: format!("APNs on PostgreSQL, {label} devices"), by: by.to_owned() };
    let mut measures = vec![ratio];
    if !limits.is_empty() {
        let beside = ask("17", format!("h2load on the same sink, beside {label} devices on PostgreSQL"), "/s");
        measures.push(beside.median(&limits).drawn(drawn("h2load")));
    }
    let rate = ask("17", format!("APNs deliveries on PostgreSQL, {label} devices"), "/s");
    measures.push(rate.median(&each(Ran::rate)).drawn(drawn(OURS)));
    measures.push(ask("17", cpu, "ms").median(&each(Ran::cpu_per_thousand)));
    measures.append(&mut more);
    Ok(measures)
}

/// What rows 6, 7, 8 and 10 ask of the embedded store, on PostgreSQL.
fn large(bench: &mut Bench, server: &mut Server, label: &str, people: u32, runs: &[Ran]) -> Result<Vec<Measure>> {
    let each = |figure: fn(&Ran) -> f64| runs.iter().map(figure).collect::<Vec<f64>>();
    let campaign = format!("PostgreSQL: {label}-device campaign");
    let mut measures = vec![
        ask("17", format!("{campaign}: durable accept answered"), "ms").median(&each(|r| r.accept_ms)),
        ask("17", format!("{campaign}: first push at the sink"), "ms").median(&each(|r| r.first_push_ms)),
        ask("17", format!("{campaign}: peak RSS of the server"), "MiB").median(&each(|r| r.peak_mib)),
    ];
    let idle = singles::idle_spans(bench, server, people)?;
    let busy = singles::busy_spans(bench, server, people)?;
    for (when, spans) in [("idle".to_owned(), idle), (format!("during a {label} campaign"), busy)] {
        let what = format!("PostgreSQL, {when}: request written to request at the sink, {} singles", spans.len());
        measures.push(ask("17", format!("{what}, p50"), "ms").median(&spans));
        measures.push(ask("17", format!("{what}, p99"), "ms").percentile(&spans, 99));
    }
    Ok(measures)
}

/// Row 15 in three processes: a notification is accepted by the first and shown by all.
pub fn three_processes(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.streams_of_three;
    let last_byte =
        ask("15", format!("a notification to {} open streams of three processes, last byte at the last app", size(people)), "ms")
            .at_most(1_000.0, 400.0);
    let Some(postgres) = PrivatePostgres::start(true) else { return Ok(vec![last_byte.skipped(MISSING)]) };
    let folder = bench.plan.folder.clone();
    let first_data = folder.join("store-three-0");
    let plan = Plan { database: Some(postgres.database()), ..bench.plan.clone() };
    stores::fill(&plan, &bench.sink, &first_data, Shape { people, nested: false, by: Reached::Mail })?;
    let plan = Plan { keys: Some(first_data.clone()), ..plan };
    let mut processes = Vec::new();
    for n in 0..PROCESSES {
        processes.push(Server::start(&plan, &bench.sink, &folder.join(format!("store-three-{n}")))?);
    }
    let tokens = enrol(&processes[0], people, &first_data)?;
    let tokens = std::fs::read_to_string(tokens)?;
    let tokens: Vec<&str> = tokens.lines().collect();
    let mut listeners = Vec::new();
    for (n, (process, share)) in processes.iter().zip(tokens.chunks(tokens.len().div_ceil(PROCESSES as usize))).enumerate() {
        let file = folder.join(format!("share-{n}.tokens"));
        std::fs::write(&file, share.join("\n") + "\n")?;
        listeners.push(Listeners::start(process.port, &file)?);
    }
    ensure!(listeners.len() == PROCESSES as usize, "there are fewer listeners than processes");
    let mut spans = Vec::new();
    for _ in 0..bench.options.rounds {
        let text = Text::single();
        let accepted = send(&mut processes[0].api, &json!({"title": text.title, "body": text.body, "groups": [EVERYONE]}))?;
        let mut last = 0;
        for share in &mut listeners {
            last = last.max(share.told().context("a process showed it to fewer apps than are open there")?.last);
        }
        spans.push(last.saturating_sub(accepted.written_micros) as f64 / 1e3);
        eprintln!("   {people} streams of {PROCESSES} processes: last byte after {:.0} ms", spans[spans.len() - 1]);
    }
    drop(listeners);
    processes.into_iter().try_for_each(Server::stop)?;
    Ok(vec![last_byte.median(&spans)])
}
