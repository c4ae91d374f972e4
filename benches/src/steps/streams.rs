//! Open inbox streams (row 15): every person of a directory has an enrolled device whose app holds a stream; a notification
//! to all of them is timed from the written request to the last byte at the last app.

use super::Bench;
use super::throughput::size;
use crate::campaign::{Text, send};
use crate::directory::{EVERYONE, Reached, Shape};
use crate::http::Client;
use crate::listeners::Listeners;
use crate::measures::{Measure, ask, middle};
use crate::server::Server;
use crate::stores;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Devices that are enrolled side by side.
const ENROLLING: usize = 8;

/// Row 15, in one process.
pub fn one_process(bench: &mut Bench) -> Result<Vec<Measure>> {
    let people = bench.options.sizes.streams;
    let data = bench.stores.join(format!("store-streams-{people}"));
    let shape = Shape { people, nested: false, by: Reached::Mail };
    stores::fill(&bench.plan, &bench.sink, &data, shape)?;
    let server = Server::start(&bench.plan, &bench.sink, &data)?;
    let tokens = enrol(&server, people, &data)?;
    server.stop()?;
    let mut server = Server::start(&bench.plan, &bench.sink, &data)?;
    crate::campaign::cancel_unfinished(&mut server.api)?;
    let before = server.process.resident_mib()?;
    let mut listeners = Listeners::start(server.port, &tokens)?;
    let open = server.process.resident_mib()?;
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.rounds {
        let accepted = send(&mut server.api, &json!({"title": Text::single().title, "body": Text::single().body, "groups": [EVERYONE]}))?;
        let told = listeners.told()?;
        let after = |micros: u64| micros.saturating_sub(accepted.written_micros) as f64 / 1e3;
        first.push(after(told.first));
        last.push(after(told.last));
    }
    eprintln!("   {people} streams: {before:.1} MiB before, {open:.1} MiB open; last byte after {:.0} ms", middle(&last));
    server.stop()?;
    let many = size(people);
    Ok(vec![
        ask("15", format!("a notification to {many} open streams of one process, first byte at an app"), "ms").median(&first),
        ask("15", format!("a notification to {many} open streams of one process, last byte at the last app"), "ms")
            .at_most(1_000.0, 400.0)
            .median(&last),
        ask("15", format!("resident memory of the server for each of {many} streams"), "KiB")
            .at_most(10.0, 4.0)
            .single((open - before) * 1024.0 / f64::from(people)),
    ])
}

/// Enrols a device of every person and writes their tokens into a file.
pub(super) fn enrol(server: &Server, people: u32, data: &Path) -> Result<PathBuf> {
    let file = data.with_extension("tokens");
    if std::fs::read_to_string(&file).is_ok_and(|kept| kept.lines().count() == people as usize) {
        return Ok(file);
    }
    let ids = users(&mut server.another_way_in())?;
    ensure!(ids.len() == people as usize, "{} of {people} people are there", ids.len());
    let each = |share: usize| -> Result<Vec<String>> {
        let mut api = server.another_way_in();
        let mut app = Client::new(server.port, None);
        ids.iter().skip(share).step_by(ENROLLING).map(|user| enrol_one(&mut api, &mut app, user)).collect()
    };
    let each = &each;
    let tokens = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..ENROLLING).map(|share| scope.spawn(move || each(share))).collect();
        let done = threads.into_iter().map(|thread| thread.join().ok().context("an enrolling thread failed")?);
        done.collect::<Result<Vec<_>>>()
    })?;
    let tokens: Vec<String> = tokens.concat();
    ensure!(tokens.len() == people as usize, "{} of {people} devices were enrolled", tokens.len());
    std::fs::write(&file, tokens.join("\n") + "\n")?;
    Ok(file)
}

/// The ids of everybody.
fn users(api: &mut Client) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("/api/v1/users?limit=500{cursor}"))?;
        ids.extend(page["items"].as_array().into_iter().flatten().filter_map(|user| user["id"].as_str()).map(str::to_owned));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(ids),
        }
    }
}

fn enrol_one(api: &mut Client, app: &mut Client, user: &str) -> Result<String> {
    let code = api.post(&format!("/api/v1/users/{user}/enrolment-codes"), &json!({}))?;
    let code = code["code"].as_str().context("a code has no code")?;
    let draft = json!({"code": code, "name": format!("Phone of {user}"), "platform": "ios", "notificationPermission": "granted"});
    let enrolled = app.post("/api/v1/device/enrol", &draft)?;
    Ok(enrolled["token"].as_str().context("an enrolled device has no token")?.to_owned())
}
