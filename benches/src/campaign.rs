//! Sending and following: a notification to a group from the request to the state `done`, with what it cost, and single
//! notifications to one person with the moment at which each reached the sink.

use crate::clock::{seconds, unix_micros};
use crate::directory::{EVERYONE, upn};
use crate::http::Client;
use crate::server::Server;
use crate::sink::account::{Expected, Stats};
use crate::sinks::{Sink, all_reached};
use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Between two looks at a campaign. The end is the time that the server recorded, so this does not blur it.
const LOOK: Duration = Duration::from_millis(40);
/// Slowest campaign that is waited for, in deliveries a second, beside half a minute.
const SLOWEST_PER_SECOND: u64 = 2_000;

/// How long cancelled notifications may take to come to rest.
const REST_AFTER_CANCEL: Duration = Duration::from_secs(60);

/// A title and a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub title: String,
    pub body: String,
}

impl Text {
    /// The longest that may be sent, in letters of one and two bytes: a payload of about 1 KB.
    pub fn campaign() -> Text {
        let title = "Réunion générale déplacée : nouvelle salle prévue";
        let sentence =
            "La réunion générale prévue à midi a été déplacée à l’étage supérieur, où l’équipe présentera ses résultats très détaillés. ";
        Text { title: title.to_owned(), body: sentence.repeat(5).chars().take(499).collect::<String>().trim_end().to_owned() }
    }

    /// A campaign by mail: a title that stands in a header as it is.
    pub fn mail() -> Text {
        let sentence = "The general meeting of noon has moved to the upper floor, where the team will show its results in detail. ";
        let body = sentence.repeat(5).chars().take(499).collect::<String>().trim_end().to_owned();
        Text { title: "General meeting moved".to_owned(), body }
    }

    /// The text of single notifications.
    pub fn single() -> Text {
        Text { title: "Single".to_owned(), body: "A notification to one person.".to_owned() }
    }

    /// As the sink expects it.
    pub fn pair(&self) -> (String, String) {
        (self.title.clone(), self.body.clone())
    }
}

/// What a campaign cost.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Devices.
    pub devices: u32,
    /// From the written request to the state `done`.
    pub seconds: f64,
    /// From the written request to its answer.
    pub accept_ms: f64,
    /// From the written request to the first push at the sink.
    pub first_push_ms: f64,
    /// From the written request to the last push at the sink.
    pub last_push_ms: f64,
    /// Processor time of the server.
    pub cpu_ms: f64,
    /// Processor time of the sink.
    pub sink_cpu_ms: f64,
    /// Most resident memory of the server meanwhile.
    pub peak_mib: f64,
}

impl Ran {
    /// Deliveries a second.
    pub fn rate(&self) -> f64 {
        f64::from(self.devices) / self.seconds
    }

    /// Processor milliseconds for a thousand deliveries.
    pub fn cpu_per_thousand(&self) -> f64 {
        self.cpu_ms * 1000.0 / f64::from(self.devices)
    }

    /// The same of the sink.
    pub fn sink_cpu_per_thousand(&self) -> f64 {
        self.sink_cpu_ms * 1000.0 / f64::from(self.devices)
    }

    /// Microseconds for a delivery.
    pub fn micros_per_delivery(&self) -> f64 {
        self.seconds * 1e6 / f64::from(self.devices)
    }
}

/// An accepted notification.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Its id, which is also the event's.
    pub id: String,
    /// When the request was written, in microseconds of Unix time.
    pub written_micros: u64,
    /// When the answer had been read.
    pub read_micros: u64,
}

/// Sends to everybody.
///
/// # Errors
/// When it is not accepted.
pub fn send_to_all(api: &mut Client, text: &Text) -> Result<Accepted> {
    send(api, &json!({"title": text.title, "body": text.body, "groups": [EVERYONE]}))
}

/// Sends whatever the draft says.
///
/// # Errors
/// When it is not accepted.
pub fn send(api: &mut Client, draft: &Value) -> Result<Accepted> {
    let answer = api.ask("POST", "/api/v1/notifications", Some(draft))?;
    let view = answer.json().context("the notification was not accepted")?;
    let id = view["id"].as_str().context("the notification has no id")?.to_owned();
    Ok(Accepted { id, written_micros: answer.written_micros, read_micros: answer.read_micros })
}

/// Sends to everybody, waits for the end, and checks that the sink saw each device exactly once.
///
/// # Errors
/// When anything is missing, refused or repeated.
pub fn run(server: &mut Server, sink: &mut Sink, devices: u32, latency_ms: u64) -> Result<Ran> {
    run_with(server, sink, devices, latency_ms, &Text::campaign())
}

/// The same with another text.
///
/// # Errors
/// When anything is missing, refused or repeated.
pub fn run_with(server: &mut Server, sink: &mut Sink, devices: u32, latency_ms: u64, text: &Text) -> Result<Ran> {
    sink.expect(&Expected { devices, texts: vec![text.pair()], latency_ms, ..Expected::default() })?;
    server.process.forget_peak()?;
    let (before, sink_before) = (server.process.cpu_ms()?, sink.cpu_ms()?);
    let accepted = send_to_all(&mut server.api, text)?;
    let done_micros = until_done(&mut server.api, &accepted, devices)?;
    let cpu_ms = server.process.cpu_ms()? - before;
    let sink_cpu_ms = sink.cpu_ms()? - sink_before;
    let peak_mib = server.process.peak_mib()?;
    let stats = sink.stats()?;
    all_reached(&stats, devices)?;
    check_end(&stats, done_micros)?;
    let since = |micros| seconds(accepted.written_micros, micros);
    Ok(Ran {
        devices,
        seconds: since(done_micros),
        accept_ms: since(accepted.read_micros) * 1e3,
        first_push_ms: since(stats.first_micros) * 1e3,
        last_push_ms: since(stats.last_micros) * 1e3,
        cpu_ms,
        sink_cpu_ms,
        peak_mib,
    })
}

/// A campaign cannot be done before its last push was at the sink; both clocks are the same, in milliseconds.
fn check_end(stats: &Stats, done_micros: u64) -> Result<()> {
    ensure!(done_micros + 2_000 >= stats.last_micros, "done {} µs before the last push arrived", stats.last_micros - done_micros);
    Ok(())
}

/// Waits until a notification is done; answers when that was, by the server's record, in microseconds of Unix time.
///
/// # Errors
/// When it takes too long, or not everything was accepted.
pub fn until_done(api: &mut Client, accepted: &Accepted, devices: u32) -> Result<u64> {
    let limit = Duration::from_secs(30 + u64::from(devices) / SLOWEST_PER_SECOND);
    let deadline = Instant::now() + limit;
    let mut view = Value::Null;
    while Instant::now() < deadline {
        view = api.get(&format!("/api/v1/notifications/{}", accepted.id))?;
        if view["state"] == "done" {
            let counts = &view["counts"];
            ensure!(counts["accepted"] == devices, "{} of {devices} deliveries were accepted: {counts}", counts["accepted"]);
            let done: Timestamp = view["doneAt"].as_str().context("done without a time")?.parse().context("doneAt is no time")?;
            let done = u64::try_from(done.as_microsecond())?;
            ensure!(done <= unix_micros() + 1_000 && done + 1_000 >= accepted.written_micros, "doneAt is not between the request and now");
            return Ok(done);
        }
        std::thread::sleep(LOOK);
    }
    bail!("not done after {limit:?}: {}", view["counts"])
}

/// Cancels what an earlier step left unfinished, and waits until nothing of it is under way.
///
/// # Errors
/// When it does not come to rest.
pub fn cancel_unfinished(api: &mut Client) -> Result<()> {
    let deadline = Instant::now() + REST_AFTER_CANCEL;
    loop {
        let list = api.get("/api/v1/notifications?limit=50")?;
        let items = list["items"].as_array().context("the list of notifications has no items")?;
        let unfinished: Vec<&Value> = items.iter().filter(|n| n["state"] != "done" && n["state"] != "cancelled").collect();
        if unfinished.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{} notifications are unfinished and cannot be cancelled", unfinished.len());
        for notification in unfinished {
            let id = notification["id"].as_str().unwrap_or_default();
            // One that came to its end meanwhile answers that it cannot be cancelled any more.
            api.ask("POST", &format!("/api/v1/notifications/{id}/cancel"), None)?;
        }
        std::thread::sleep(LOOK);
    }
}

/// Single notifications to one person, one after another, `pause` apart, while `go_on` says so. Answers the milliseconds
/// from each written request to its arrival at the sink.
///
/// # Errors
/// When one of them did not arrive.
pub fn singles(api: &mut Client, sink: &mut Sink, single: &Singles, mut go_on: impl FnMut(usize) -> Result<bool>) -> Result<Vec<f64>> {
    let text = Text::single();
    let draft = json!({"title": text.title, "body": text.body, "users": [upn(single.person)], "urgency": single.urgency});
    let mut sent = Vec::new();
    while go_on(sent.len())? {
        sent.push(send(api, &draft)?);
        std::thread::sleep(single.pause);
    }
    let deadline = Instant::now() + single.patience;
    loop {
        let arrived: HashMap<String, u64> = sink.arrivals()?.into_iter().rev().map(|a| (a.event, a.at_micros)).collect();
        let missing = sent.iter().filter(|accepted| !arrived.contains_key(&accepted.id)).count();
        if missing == 0 {
            let span = |accepted: &Accepted| arrived.get(&accepted.id).map(|at| seconds(accepted.written_micros, *at) * 1e3);
            return Ok(sent.iter().filter_map(span).collect());
        }
        ensure!(Instant::now() < deadline, "{missing} of {} single notifications did not arrive", sent.len());
        std::thread::sleep(LOOK);
    }
}

/// How single notifications are sent.
#[derive(Clone, Copy, Debug)]
pub struct Singles {
    /// To whom.
    pub person: u32,
    /// `normal` or `high`.
    pub urgency: &'static str,
    /// Between an answer and the next request.
    pub pause: Duration,
    /// How long the last may be on its way.
    pub patience: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_campaign_text_is_within_the_limits_and_nearly_as_long_as_they_allow() {
        let text = Text::campaign();
        assert!((45..=50).contains(&text.title.chars().count()), "{}", text.title.chars().count());
        assert!((490..=500).contains(&text.body.chars().count()));
        assert_eq!(text.body, text.body.trim());
    }
}
