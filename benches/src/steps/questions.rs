//! Questions after a campaign to everybody: why one person got it, and who would be reached by the next (rows `why` and
//! `reach`).

use super::Bench;
use super::throughput::size;
use crate::campaign::{Text, send_to_all, until_done};
use crate::clock::seconds;
use crate::directory::{EVERYONE, upn};
use crate::measures::{Measure, ask};
use crate::sink::account::Expected;
use anyhow::{Context, Result, ensure};
use serde_json::json;

/// Persons who are asked about, spread over the directory.
const PERSONS: u32 = 300;
/// Reach reports that are asked for.
const REPORTS: usize = 10;

/// Rows `why` and `reach`.
pub fn after_a_campaign(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.large;
    let mut server = bench.server(people)?;
    let text = Text::campaign();
    bench.sink.expect(&Expected { devices: people, texts: vec![text.pair()], ..Expected::default() })?;
    let campaign = send_to_all(&mut server.api, &text)?;
    until_done(&mut server.api, &campaign, people)?;
    let mut whys = Vec::new();
    for n in 0..PERSONS {
        let person = upn(n * (people / PERSONS));
        let answer = server.api.ask("GET", &format!("/api/v1/events/{}/why?person={person}", campaign.id), None)?;
        let view = answer.json().with_context(|| format!("why {person}"))?;
        let decisions = view["decisions"].as_array().context("an explanation without decisions")?;
        ensure!(decisions.iter().any(|decision| decision["delivery"]["state"] == "accepted"), "{person} was reached: {view}");
        whys.push(seconds(answer.written_micros, answer.read_micros) * 1e3);
    }
    let mut reports = Vec::new();
    for _ in 0..REPORTS {
        let answer = server.api.ask(
            "POST",
            "/api/v1/notifications/reach",
            Some(&json!({"title": text.title, "body": text.body, "groups": [EVERYONE]})),
        )?;
        let view = answer.json().context("the reach report")?;
        ensure!(view["people"] == people, "{} of {people} people are in the report", view["people"]);
        reports.push(seconds(answer.written_micros, answer.read_micros) * 1e3);
    }
    server.stop()?;
    let label = size(people);
    Ok(vec![
        ask("why", format!("why of one person in a campaign of {label} deliveries, {PERSONS} persons, p99"), "ms")
            .at_most(50.0, 10.0)
            .percentile(&whys, 99),
        ask("reach", format!("reach report of a nested audience of {label} people"), "ms").at_most(1_000.0, 200.0).median(&reports),
    ])
}
