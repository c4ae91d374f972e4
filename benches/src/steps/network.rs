//! A provider that is 50 ms away: then the rate is what connections and streams allow, or, where this machine cannot do that
//! at all, what it does with a provider that answers at once. Both are in the table, and the rate is held against the lesser.

use super::Bench;
use super::throughput::size;
use crate::campaign;
use crate::measures::{Measure, ask};
use crate::plots::{Drawn, Line};
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

/// The rate against the lesser of connections × streams ÷ latency and the rate of the same server without latency; rounds
/// alternate (at once, 50 ms, at once, 50 ms …).
pub fn far_away(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.middle;
    bench.fill(people)?;
    let mut measures = Vec::new();
    for connections in CONNECTIONS {
        let plan = Plan { connections: Some(connections), ..bench.plan.clone() };
        let mut server = Server::start(&plan, &bench.sink, &stores::data(&bench.stores, people))?;
        campaign::cancel_unfinished(&mut server.api)?;
        let allowed = f64::from(connections) * f64::from(STREAMS) * 1000.0 / LATENCY_MS as f64;
        let (mut near, mut far, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS.min(bench.options.rounds) {
            let at_once = campaign::run(&mut server, &mut bench.sink, people, 0)?.rate();
            let late = campaign::run(&mut server, &mut bench.sink, people, LATENCY_MS)?.rate();
            eprintln!("   {connections} connections: {late:.0}/s; streams allow {allowed:.0}/s, at once it is {at_once:.0}/s");
            shares.push(late / allowed.min(at_once));
            near.push(at_once);
            far.push(late);
        }
        server.stop()?;
        let what = format!("{LATENCY_MS} ms away, {connections} × {STREAMS} streams");
        let devices = size(people);
        let drawn = |line| Drawn::Far { line, connections, allowed };
        measures.extend([
            ask("network", format!("{what}, {devices} devices: rate against the lesser of the two below"), "")
                .at_least(0.8, 0.9)
                .median(&shares),
            ask("network", format!("{what}: what the streams allow"), "/s").single(allowed),
            ask("network", format!("{connections} × {STREAMS} streams, a provider that answers at once"), "/s")
                .median(&near)
                .drawn(drawn(Line::Near)),
            ask("network", format!("{what}: deliveries"), "/s").median(&far).drawn(drawn(Line::Found)),
        ]);
    }
    Ok(measures)
}
