//! Single notifications to one person, on an idle server and while a campaign runs (rows 6 and 7).

use super::Bench;
use super::throughput::size;
use crate::campaign::{Singles, Text, send_to_all, singles, until_done};
use crate::measures::{Measure, ask, percentiles};
use crate::plots::{Drawn, PERCENTILES};
use crate::server::Server;
use crate::sink::account::Expected;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Between an answer and the next request.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the last one may be on its way.
const PATIENCE: Duration = Duration::from_secs(30);
/// Campaigns that are run, at most, until there are enough single notifications.
const MOST_CAMPAIGNS: usize = 4;
/// How long a campaign may take to its first push.
const FIRST_PUSH: Duration = Duration::from_secs(60);

/// Row 6.
pub fn idle(bench: &mut Bench) -> Result<Vec<Measure>> {
    let (people, count) = (bench.options.sizes.large, bench.options.singles);
    let mut server = bench.server(people)?;
    let spans = idle_spans(bench, &mut server, people)?;
    server.stop()?;
    let what = format!("idle: request written to request at the sink, {count} singles");
    Ok(vec![
        ask("6", format!("{what}, p50"), "ms").at_most(3.0, 1.0).median(&spans).drawn(line("idle", &spans)),
        ask("6", format!("{what}, p99"), "ms").at_most(10.0, 4.0).percentile(&spans, 99),
    ])
}

/// Milliseconds from written request to request at the sink, on a server that does nothing else.
pub(super) fn idle_spans(bench: &mut Bench, server: &mut Server, people: u32) -> Result<Vec<f64>> {
    let count = bench.options.singles;
    let single = Singles { person: people / 2, urgency: "normal", pause: PAUSE, patience: PATIENCE };
    bench.sink.expect(&Expected { devices: people, texts: vec![Text::single().pair()], watched: vec![single.person], latency_ms: 0 })?;
    let spans = singles(&mut server.api, &mut bench.sink, &single, |sent| Ok(sent < count))?;
    let refused = bench.sink.stats()?.refused;
    ensure!(refused.is_empty(), "the sink refused requests: {refused:?}");
    Ok(spans)
}

/// A line of the plot of latencies.
fn line(when: &str, spans: &[f64]) -> Drawn {
    Drawn::Latency { when: when.to_owned(), percentiles: percentiles(spans, PERCENTILES) }
}

/// Row 7.
pub fn during_a_campaign(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.large;
    let mut server = bench.server(people)?;
    let spans = busy_spans(bench, &mut server, people)?;
    server.stop()?;
    let what = format!("single notification during a {} campaign, {} singles", size(people), spans.len());
    Ok(vec![
        ask("7", format!("{what}, p50"), "ms")
            .at_most(100.0, 8.0)
            .median(&spans)
            .drawn(line(&format!("during a {} campaign", size(people)), &spans)),
        ask("7", format!("{what}, p99"), "ms").at_most(100.0, 40.0).percentile(&spans, 99),
    ])
}

/// Milliseconds from written request to request at the sink, while campaigns to everybody run.
pub(super) fn busy_spans(bench: &mut Bench, server: &mut Server, people: u32) -> Result<Vec<f64>> {
    let wanted = bench.options.singles;
    let single = Singles { person: people / 2, urgency: "high", pause: PAUSE, patience: PATIENCE };
    let mut way_in = server.another_way_in();
    let mut spans = Vec::new();
    for _ in 0..MOST_CAMPAIGNS {
        let texts = vec![Text::campaign().pair(), Text::single().pair()];
        bench.sink.expect(&Expected { devices: people, texts, watched: vec![single.person], latency_ms: 0 })?;
        let accepted = send_to_all(&mut server.api, &Text::campaign())?;
        let deadline = Instant::now() + FIRST_PUSH;
        while bench.sink.stats()?.accepted == 0 {
            ensure!(Instant::now() < deadline, "no push after {FIRST_PUSH:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        // The campaign's end is watched over a connection of its own, and left to itself a little before its last push.
        let mut api = server.another_way_in();
        let almost_all = u64::from(people) * 97 / 100;
        spans.extend(singles(&mut way_in, &mut bench.sink, &single, |_| {
            let counts = api.get(&format!("/api/v1/notifications/{}", accepted.id))?["counts"].clone();
            Ok(counts["accepted"].as_u64().unwrap_or(0) < almost_all)
        })?);
        until_done(&mut server.api, &accepted, people)?;
        let stats = bench.sink.stats()?;
        ensure!(stats.refused.is_empty() && stats.distinct == u64::from(people), "not everybody was reached: {stats:?}");
        eprintln!("   {} singles so far", spans.len());
        if spans.len() >= wanted {
            break;
        }
    }
    Ok(spans)
}
