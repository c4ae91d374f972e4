//! The limit program: h2load of nghttp2, one thread, two connections, 250 requests in flight on each, against the same
//! sink over TLS, with the same headers that a push carries and a payload of 1 KiB, all of which the sink checks.

use crate::campaign::Text;
use crate::processes::Process;
use crate::sink::account::{Expected, TOPIC};
use crate::sinks::Sink;
use crate::tokens;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// Bytes of a payload of the limit program.
const PAYLOAD_BYTES: usize = 1024;

/// Whether h2load is installed.
pub fn is_there() -> bool {
    Command::new("h2load").arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Requests a second that the sink answered.
///
/// # Errors
/// When one of the requests failed or was refused.
pub fn run(sink: &mut Sink, requests: u64, folder: &Path) -> Result<f64> {
    let text = Text::campaign();
    sink.expect(&Expected { texts: vec![text.pair()], ..Expected::default() })?;
    let payload = payload(&text);
    let file = folder.join("limit-payload.json");
    std::fs::write(&file, &payload)?;
    let mut command = Command::new("h2load");
    command.args(["-t1", "-c2", "-m250", &format!("-n{requests}"), "-d"]).arg(&file);
    let headers = [
        format!("authorization: bearer {}", sink.token),
        format!("apns-topic: {TOPIC}"),
        "apns-push-type: alert".to_owned(),
        "apns-priority: 10".to_owned(),
        "apns-expiration: 1800000000".to_owned(),
        "apns-id: 00000000-0000-7000-8000-000000000000".to_owned(),
        "apns-collapse-id: 00000000-0000-7000-8000-000000000000".to_owned(),
    ];
    for header in &headers {
        command.args(["-H", header]);
    }
    let device = tokens::token(tokens::LIMIT);
    command.arg(format!("https://127.0.0.1:{}/3/device/{}", sink.port, std::str::from_utf8(&device)?));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process::start("h2load", &mut command)?;
    let mut said = String::new();
    process.child().stdout.take().context("h2load has no output")?.read_to_string(&mut said)?;
    let stats = sink.stats()?;
    ensure!(
        stats.refused.is_empty() && stats.limit == requests,
        "the sink took {} of h2load's {requests} requests: {:?}",
        stats.limit,
        stats.refused
    );
    rate(&said).with_context(|| format!("h2load said something unknown: {said}"))
}

/// A payload of a notification's shape, filled up to the size of the limit program's.
fn payload(text: &Text) -> String {
    let make = |filler: &str| {
        let alert = json!({"alert": {"title": text.title, "body": text.body}, "sound": "default"});
        json!({"aps": alert, "carillon": {"eventId": "", "kind": filler}}).to_string()
    };
    let filler = "x".repeat(PAYLOAD_BYTES.saturating_sub(make("").len()));
    make(&filler)
}

/// `finished in 1.26s, 158400.12 req/s, 12.34MB/s`
fn rate(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.starts_with("finished in"))?;
    line.split(", ").find_map(|part| part.strip_suffix(" req/s"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_what_h2load_says() {
        let said = "starting benchmark...\n\nfinished in 1.26s, 158400.12 req/s, 12.34MB/s\nrequests: 200000 total\n";
        assert_eq!(rate(said), Some(158_400.12));
        assert_eq!(rate("nothing"), None);
    }

    #[test]
    fn the_limit_payload_is_a_kibibyte() {
        assert_eq!(payload(&Text::campaign()).len(), PAYLOAD_BYTES);
    }
}
