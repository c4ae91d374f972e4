//! A provider that is 50 ms away: then the rate is what connections and streams allow, and must not fall below it.

use super::Bench;
use super::throughput::size;
use crate::campaign;
use crate::measures::{Measure, ask};
use crate::server::{Plan, Server};
use crate::sink::STREAMS;
use crate::stores;
use anyhow::Result;

/// How much later the sink answers.
const LATENCY_MS: u64 = 50;
/// Connections that are tried.
const CONNECTIONS: [u32; 3] = [1, 2, 4];
/// Rounds for each.
const ROUNDS: usize = 3;

/// The rate against connections × streams ÷ latency.
pub fn far_away(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.middle;
    bench.fill(people)?;
    let mut measures = Vec::new();
    for connections in CONNECTIONS {
        let plan = Plan { connections: Some(connections), ..bench.plan.clone() };
        let mut server = Server::start(&plan, &bench.sink, &stores::data(&bench.stores, people))?;
        let allowed = f64::from(connections) * f64::from(STREAMS) * 1000.0 / LATENCY_MS as f64;
        let mut shares = Vec::new();
        for _ in 0..ROUNDS.min(bench.options.rounds) {
            let ran = campaign::run(&mut server, &mut bench.sink, people, LATENCY_MS)?;
            eprintln!("   {connections} connections: {:.0}/s of {allowed:.0}/s", ran.rate());
            shares.push(ran.rate() / allowed);
        }
        server.stop()?;
        let what =
            format!("{LATENCY_MS} ms away, {connections} × {STREAMS} streams, {} devices: rate against {allowed:.0}/s", size(people));
        measures.push(ask("network", what, "").at_least(0.8, 0.9).median(&shares));
    }
    Ok(measures)
}
