//! The server without anything: how large it is, how soon it answers, what it takes at rest (rows 12, 13 and 14).

use super::Bench;
use crate::clock::seconds;
use crate::measures::{Measure, ask};
use crate::server::Server;
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Duration;

/// How long the server rests before its memory is read.
const REST: Duration = Duration::from_secs(3);

/// Row 13.
pub fn size(bench: &mut Bench) -> Result<Vec<Measure>> {
    let asked = ask("13", "stripped program, no other server needed", "MB").at_most(40.0, 20.0);
    let copy = bench.plan.folder.join("stripped");
    std::fs::copy(&bench.plan.program, &copy).context("the server program cannot be copied")?;
    match Command::new("strip").arg(&copy).status() {
        Ok(status) => ensure!(status.success(), "strip ended with {status}"),
        Err(_) => return Ok(vec![asked.skipped("strip (binutils) is not installed")]),
    }
    let bytes = copy.metadata()?.len();
    std::fs::remove_file(&copy)?;
    Ok(vec![asked.single(bytes as f64 / 1e6)])
}

/// Row 12, first half: the very first start, which also makes the store and the keys, and a later one.
pub fn cold_start(bench: &mut Bench) -> Result<Vec<Measure>> {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.sizes.starts {
        let data = bench.plan.folder.join("empty");
        for spans in [&mut first, &mut later] {
            let server = Server::start(&bench.plan, &bench.sink, &data)?;
            spans.push(seconds(server.spawned_micros, server.healthy_micros) * 1e3);
            server.stop()?;
        }
        std::fs::remove_dir_all(&data)?;
    }
    Ok(vec![
        ask("12", "cold start to first answer, empty store", "ms").at_most(100.0, 25.0).median(&later),
        ask("12", "first start ever (makes store and keys) to first answer", "ms").at_most(100.0, 25.0).median(&first),
    ])
}

/// Row 14.
pub fn at_rest(bench: &mut Bench) -> Result<Vec<Measure>> {
    let data = bench.plan.folder.join("empty");
    let server = Server::start(&bench.plan, &bench.sink, &data)?;
    std::thread::sleep(REST);
    let resident = server.process.resident_mib()?;
    server.stop()?;
    std::fs::remove_dir_all(&data)?;
    Ok(vec![ask("14", "resting RSS, empty", "MiB").at_most(30.0, 15.0).single(resident)])
}
