//! A soak: the real server under a small, steady load for as long as it is told, and a judgement whether it stays as it is.
//! `cargo xtask soak --minutes 60 --rate 50` runs it.
//!
//! So many notifications a second go to one person each; ten apps hold their inbox streams open and confirm what comes. Every
//! few seconds the server's resident memory, descriptors, threads and the bytes of its store are read from outside.
//!
//! The rule. The first quarter is warming up. Of the samples after it, the last third is held against the first:
//! - memory: the median may grow by 5 % and 4 MiB;
//! - descriptors and threads: how few there were at some moment may grow by 4, and by 16 (how many there are at another goes by
//!   how busy the machine is, and a leak lifts the floor; threads for waiting that one busy moment needed stay while there is
//!   anything for them to do);
//! - store: it grows with what is kept (nothing is forgotten within a day), so bytes for each accepted notification count: they
//!   may grow by 10 % and 64 bytes. SQLite's write-ahead log is used over and over: it is held to 64 MiB by itself;
//! - every notification is accepted, and every device gets each of its pushes once. A request without an answer, or with a 503, is
//!   repeated under its Idempotency-Key, as a caller has to who keeps connections open: one may be closed in the moment in which it is
//!   written to. How many had to be is printed with the reasons.

use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use stories::{Api, App, Heard, Org, Stage};
use tokio::sync::Semaphore;

/// People who get notifications, each with one phone.
const PEOPLE: u64 = 1_000;
/// Of them, those who have an app with an open stream as well.
const APPS: u64 = 10;
/// Most requests under way: a server that does not keep up is not flooded.
const AT_ONCE: usize = 32;
/// Bounds of what may be asked for.
const MOST_MINUTES: u64 = 24 * 60;
const MOST_RATE: u64 = 500;
/// Samples of a run, at least; and the longest pause between two.
const SAMPLES: u32 = 120;
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Most bytes of the write-ahead log.
const MOST_LOG_BYTES: u64 = 64 << 20;
/// Tries of one request, and the pause between them.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_millis(500);
/// Rows of the printed table.
const ROWS: usize = 16;

/// What was seen of the server at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    accepted: u64,
    memory_kib: u64,
    descriptors: u64,
    threads: u64,
    store_bytes: u64,
    log_bytes: u64,
}

impl Sample {
    fn take(began: Instant, accepted: u64, stage: &Stage) -> Sample {
        let process = format!("/proc/{}", stage.server.pid());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Sample {
            at: began.elapsed(),
            accepted,
            memory_kib: number("VmRSS:"),
            descriptors: std::fs::read_dir(format!("{process}/fd")).map_or(0, |found| found.count() as u64),
            threads: number("Threads:"),
            store_bytes: bytes_of(&stage.server.data(), "carillon.db"),
            log_bytes: bytes_of(&stage.server.data(), "carillon.db-wal"),
        }
    }
}

fn bytes_of(folder: &Path, file: &str) -> u64 {
    std::fs::metadata(folder.join(file)).map_or(0, |meta| meta.len())
}

/// The load, and how it fared.
#[derive(Default)]
struct Load {
    accepted: AtomicU64,
    failed: AtomicU64,
    /// Why requests had to be repeated, or were given up, and how often.
    reasons: Mutex<BTreeMap<String, u64>>,
}

impl Load {
    async fn send(&self, api: &Api, n: u64) {
        let body = json!({"title": format!("Number {n}"), "body": "A soak.", "users": [format!("p-staff-{}", n % PEOPLE)]});
        let key = format!("soak-{n}");
        for _ in 0..TRIES {
            let answer = api.attempt(reqwest::Method::POST, "notifications", Some(&body), &[("idempotency-key", key.as_str())]).await;
            let reason = match answer {
                Ok(reply) if reply.status == 201 => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Ok(reply) => format!("{} {}", reply.status, reply.body["code"]),
                Err(error) => std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source())
                    .last()
                    .map_or_else(String::new, |e| e.to_string()),
            };
            *self.reasons.lock().expect("no holder panics").entry(reason).or_default() += 1;
            tokio::time::sleep(AGAIN).await;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends at a steady rate until the end.
async fn run(load: Arc<Load>, api: Api, rate: u64, until: Instant) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut clock = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate).unwrap_or(1));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for n in 0.. {
        clock.tick().await;
        if Instant::now() >= until {
            break;
        }
        let permit = room.clone().acquire_owned().await.expect("nobody closes it");
        let (load, api) = (load.clone(), api.clone());
        tokio::spawn(async move {
            load.send(&api, n).await;
            drop(permit);
        });
    }
    // Those that are still under way.
    let _ = room.acquire_many(u32::try_from(AT_ONCE).unwrap_or(1)).await;
}

/// Confirms what comes to an open app, for as long as there is something.
async fn listen(app: App) {
    let mut stream = app.stream(None).await;
    loop {
        let Heard::Frame(frame) = stream.next(Duration::from_secs(3_600)).await else { return };
        let event = (frame.event == "notification").then(|| frame.data["eventId"].as_str()).flatten();
        if let Some(event) = event {
            app.receipt(event, "received").await;
        }
    }
}

async fn soak(minutes: u64, rate: u64) -> bool {
    let stage = Stage::with(|scene| {
        scene.apple.record = 0;
        scene.log = "warn";
    })
    .await;
    let people = usize::try_from(PEOPLE).expect("a small number");
    Org::new().crowd("staff", people).import(&stage.api).await;
    for n in 0..APPS {
        let app = App::enrol(&stage.api, &format!("staff-{n}@example.org"), "an open app", "ipados").await;
        tokio::spawn(listen(app));
    }
    let (load, began) = (Arc::new(Load::default()), Instant::now());
    let span = Duration::from_secs(minutes * 60);
    let sending = tokio::spawn(run(load.clone(), stage.api.clone(), rate, began + span));
    let mut samples = Vec::new();
    while !sending.is_finished() {
        tokio::time::sleep((span / SAMPLES).min(LONGEST_PAUSE)).await;
        samples.push(Sample::take(began, load.accepted.load(Ordering::Relaxed), &stage));
    }
    let (accepted, failed) = (load.accepted.load(Ordering::Relaxed), load.failed.load(Ordering::Relaxed));
    let settled = Instant::now();
    while stage.apple.stats().accepted < accepted && settled.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    print(&samples);
    let pushed = stage.apple.stats().accepted;
    println!("\n{accepted} notifications accepted, {failed} not; {pushed} pushes at the fake Apple");
    for (reason, count) in load.reasons.lock().expect("no holder panics").iter() {
        println!("repeated {count} times: {reason}");
    }
    let mut faults = judge(&samples);
    if failed > 0 || pushed != accepted {
        faults.push(format!("{failed} were not accepted, and {pushed} pushes came of {accepted}"));
    }
    faults.iter().for_each(|fault| println!("NOT FLAT: {fault}"));
    if faults.is_empty() {
        println!("flat");
    }
    faults.is_empty()
}

fn print(samples: &[Sample]) {
    println!(
        "| Minute | Accepted | Memory MiB | Descriptors | Threads | Store MiB | Log MiB | Bytes each |\n|---|---|---|---|---|---|---|---|"
    );
    let first = samples.first();
    for sample in samples.iter().step_by((samples.len() / ROWS).max(1)) {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "| {:.1} | {} | {:.1} | {} | {} | {:.1} | {:.1} | {:.0} |",
            sample.at.as_secs_f64() / 60.0,
            sample.accepted,
            mib(sample.memory_kib << 10),
            sample.descriptors,
            sample.threads,
            mib(sample.store_bytes),
            mib(sample.log_bytes),
            first.map_or(0.0, |first| bytes_each(first, sample)),
        );
    }
}

/// Bytes of the store for each notification that was accepted between two moments.
fn bytes_each(from: &Sample, to: &Sample) -> f64 {
    to.store_bytes.saturating_sub(from.store_bytes) as f64 / to.accepted.saturating_sub(from.accepted).max(1) as f64
}

/// What is not flat.
fn judge(samples: &[Sample]) -> Vec<String> {
    let warm = &samples[samples.len() / 4..];
    let third = warm.len() / 3;
    if third < 3 {
        return vec!["there are too few samples to judge".into()];
    }
    let (first, last) = (&warm[..third], &warm[warm.len() - third..]);
    let mut faults = Vec::new();
    let mut hold = |what: &str, before: f64, after: f64, room: f64| {
        println!("{what}: {before:.1} in the first third, {after:.1} in the last, at most {:.1}", before + room);
        if after > before + room {
            faults.push(format!("{what} went from {before:.1} to {after:.1}"));
        }
    };
    let memory = |part: &[Sample]| median(part.iter().map(|s| s.memory_kib).collect());
    hold("memory in KiB", memory(first), memory(last), memory(first) * 0.05 + 4096.0);
    let fewest = |part: &[Sample], of: fn(&Sample) -> u64| part.iter().map(of).min().unwrap_or(0) as f64;
    hold("descriptors", fewest(first, |s| s.descriptors), fewest(last, |s| s.descriptors), 4.0);
    hold("threads", fewest(first, |s| s.threads), fewest(last, |s| s.threads), 16.0);
    let each = |part: &[Sample]| bytes_each(&part[0], &part[part.len() - 1]);
    hold("store bytes for each notification", each(first), each(last), each(first) * 0.1 + 64.0);
    let log = samples.iter().map(|s| s.log_bytes).max().unwrap_or(0);
    if log > MOST_LOG_BYTES {
        faults.push(format!("log: {log} bytes, at most {MOST_LOG_BYTES}"));
    }
    faults
}

fn median(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    values[values.len() / 2] as f64
}

/// The value of an option, within its bounds.
fn option(args: &[String], name: &str, usual: u64, most: u64) -> Result<u64, String> {
    let Some(at) = args.iter().position(|arg| arg == name) else { return Ok(usual) };
    let value = args.get(at + 1).and_then(|text| text.parse().ok()).filter(|value| (1..=most).contains(value));
    value.ok_or_else(|| format!("{name} takes a whole number from 1 to {most}"))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let wanted = option(&args, "--minutes", 60, MOST_MINUTES).and_then(|m| Ok((m, option(&args, "--rate", 50, MOST_RATE)?)));
    let (minutes, rate) = match wanted {
        Ok(wanted) => wanted,
        Err(wrong) => {
            eprintln!("soak: {wrong}");
            return ExitCode::from(2);
        }
    };
    println!("a soak of {minutes} minutes at {rate} notifications a second");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let flat = runtime.expect("a runtime can be made").block_on(soak(minutes, rate));
    if flat { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(of: impl Fn(u64) -> Sample) -> Vec<Sample> {
        (0..120).map(of).collect()
    }

    fn flat(n: u64) -> Sample {
        Sample {
            at: Duration::from_secs(n),
            accepted: n * 50,
            memory_kib: 80_000 + n % 7 * 100,
            descriptors: 40 + n % 3,
            threads: 12,
            store_bytes: n * 50 * 900,
            log_bytes: 4 << 20,
        }
    }

    #[test]
    fn what_is_flat_passes_and_each_trend_is_named() {
        assert_eq!(judge(&samples(flat)), Vec::<String>::new());
        let trends: [(&str, fn(Sample, u64) -> Sample); 5] = [
            ("memory", |s, n| Sample { memory_kib: s.memory_kib + n * 200, ..s }),
            ("descriptors", |s, n| Sample { descriptors: s.descriptors + n / 10, ..s }),
            ("threads", |s, n| Sample { threads: s.threads + n / 2, ..s }),
            ("log", |s, n| Sample { log_bytes: s.log_bytes + n * (1 << 20), ..s }),
            ("store", |s, n| Sample { store_bytes: s.store_bytes + n * n * 300, ..s }),
        ];
        for (what, trend) in trends {
            let faults = judge(&samples(|n| trend(flat(n), n)));
            assert_eq!(faults.len(), 1, "{what}: {faults:?}");
            assert!(faults[0].starts_with(what), "{faults:?}");
        }
        assert_eq!(judge(&samples(flat)[..8]).len(), 1, "too few to judge");
    }
}
