//! Restarts on the large directory (row 12): to the first answer, and after `kill -9` in the middle of a campaign to the
//! first resumed push and to the end, with everything reached and the repeats counted (as in row 16).

use super::Bench;
use super::throughput::size;
use crate::campaign::{Text, cancel_unfinished, send_to_all, until_done};
use crate::clock::seconds;
use crate::measures::{Measure, ask};
use crate::server::{Plan, Server};
use crate::sink::STREAMS;
use crate::sink::account::{Expected, Stats};
use crate::sinks::Sink;
use anyhow::{Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

/// Connections that the server opens for campaigns unless told otherwise.
const CONNECTIONS: u32 = 4;
/// Outcomes of this many seconds may be unsettled when the server is cut (row 16).
const UNSETTLED_SECONDS: f64 = 0.01;
/// How long a campaign may take to its half, or from the restart to its next push.
const PATIENCE: Duration = Duration::from_secs(300);
/// Nothing more arrives from a dead server once the count has stood still for so long.
const QUIET: Duration = Duration::from_millis(100);

/// What a cut campaign showed.
pub(super) struct Cut {
    /// From the new process to its first push.
    pub resumed_ms: f64,
    /// Pushes that came twice.
    pub repeats: f64,
    allowed: f64,
    total_seconds: f64,
}

/// Row 12, second half.
pub fn large(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.large;
    let mut starts = Vec::new();
    for _ in 0..bench.options.sizes.starts {
        let server = bench.server(people)?;
        starts.push(seconds(server.spawned_micros, server.healthy_micros) * 1e3);
        server.stop()?;
    }
    let mut cuts = Vec::new();
    for _ in 0..bench.options.sizes.kills {
        bench.fill(people)?;
        let data = crate::stores::data(&bench.stores, people);
        let cut = cut(&bench.plan, &mut bench.sink, &data, people)?;
        eprintln!(
            "   resumed after {:.0} ms, {} repeats of at most {:.0}, {:.1} s in all",
            cut.resumed_ms, cut.repeats, cut.allowed, cut.total_seconds
        );
        cuts.push(cut);
    }
    let each = |figure: fn(&Cut) -> f64| cuts.iter().map(figure).collect::<Vec<f64>>();
    let label = size(people);
    let share: Vec<f64> = cuts.iter().map(|cut| cut.repeats / cut.allowed).collect();
    Ok(vec![
        ask("12", format!("start to first answer, {label} devices"), "ms").at_most(1000.0, 1000.0).median(&starts),
        ask("12", format!("kill -9 in a half-sent {label} campaign: start to first resumed push"), "ms")
            .at_most(2000.0, 300.0)
            .median(&each(|c| c.resumed_ms)),
        ask("12", format!("kill -9 in a half-sent {label} campaign: nothing missing; pushes that came twice"), "")
            .median(&each(|c| c.repeats)),
        ask("12", "the same against the window in flight and 10 ms of outcomes (row 16)", "").at_most(1.0, 1.0).median(&share),
    ])
}

/// Kills a server in the middle of a campaign and starts it again.
pub(super) fn cut(plan: &Plan, sink: &mut Sink, data: &Path, people: u32) -> Result<Cut> {
    let mut server = Server::start(plan, sink, data)?;
    cancel_unfinished(&mut server.api)?;
    let text = Text::campaign();
    sink.expect(&Expected { devices: people, texts: vec![text.pair()], ..Expected::default() })?;
    let accepted = send_to_all(&mut server.api, &text)?;
    let half = u64::from(people) / 2;
    until(sink, Duration::from_millis(5), |stats| stats.accepted >= half)?;
    server.process.kill()?;
    let before = quiet(sink)?;
    ensure!(before.distinct < u64::from(people), "the campaign was over before it was cut");
    sink.mark()?;
    let mut server = Server::start(plan, sink, data)?;
    let spawned_micros = server.spawned_micros;
    let resumed = until(sink, Duration::from_millis(5), |stats| stats.first_after_mark_micros > 0)?;
    let done_micros = until_done(&mut server.api, &accepted, people)?;
    let stats = sink.stats()?;
    server.stop()?;
    ensure!(stats.refused.is_empty(), "the sink refused requests: {:?}", stats.refused);
    ensure!(stats.distinct == u64::from(people), "{} of {people} devices were reached", stats.distinct);
    let rate = before.accepted as f64 / seconds(before.first_micros, before.last_micros).max(1e-3);
    Ok(Cut {
        resumed_ms: seconds(spawned_micros, resumed.first_after_mark_micros) * 1e3,
        repeats: stats.repeats as f64,
        allowed: f64::from(CONNECTIONS * STREAMS) + rate * UNSETTLED_SECONDS,
        total_seconds: seconds(accepted.written_micros, done_micros),
    })
}

/// Waits until the sink's counters satisfy a condition.
fn until(sink: &mut Sink, pause: Duration, enough: impl Fn(&Stats) -> bool) -> Result<Stats> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stats = sink.stats()?;
        if enough(&stats) {
            return Ok(stats);
        }
        ensure!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {stats:?}");
        std::thread::sleep(pause);
    }
}

/// What arrived once nothing more does.
fn quiet(sink: &mut Sink) -> Result<Stats> {
    let mut last = sink.stats()?;
    loop {
        std::thread::sleep(QUIET);
        let stats = sink.stats()?;
        if stats.accepted == last.accepted {
            return Ok(stats);
        }
        last = stats;
    }
}
