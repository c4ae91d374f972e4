//! The limit program: h2load of nghttp2, one thread, two connections, 250 requests in flight on each, against the same
//! sink over TLS, with the same headers that a push carries and a payload of 1 KiB, all of which the sink checks.

use crate::campaign::Text;
use crate::processes::Process;
use crate::sink::account::{Expected, TOPIC};
use crate::sink::{google, mail};
use crate::sinks::Sink;
use crate::tokens;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

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
    let headers = [
        format!("authorization: bearer {}", sink.token),
        format!("apns-topic: {TOPIC}"),
        "apns-push-type: alert".to_owned(),
        "apns-priority: 10".to_owned(),
        "apns-expiration: 1800000000".to_owned(),
        "apns-id: 00000000-0000-7000-8000-000000000000".to_owned(),
        "apns-collapse-id: 00000000-0000-7000-8000-000000000000".to_owned(),
    ];
    let device = tokens::token(tokens::LIMIT);
    let url = format!("https://127.0.0.1:{}/3/device/{}", sink.port, std::str::from_utf8(&device)?);
    h2load(sink, requests, &file, &headers, &url)
}

/// The same against the sink as Google: the message holds the device, the answer is JSON.
///
/// # Errors
/// When one of the requests failed or was refused.
pub fn run_google(sink: &mut Sink, requests: u64, folder: &Path) -> Result<f64> {
    let text = Text::campaign();
    sink.expect(&Expected { texts: vec![text.pair()], ..Expected::default() })?;
    let file = folder.join("limit-message.json");
    std::fs::write(&file, google::limit_message(&text.pair(), PAYLOAD_BYTES))?;
    let headers = [format!("authorization: Bearer {}", sink.google_token), "content-type: application/json".to_owned()];
    let url = format!("https://127.0.0.1:{}{}", sink.port, google::PATH);
    h2load(sink, requests, &file, &headers, &url)
}

fn h2load(sink: &mut Sink, requests: u64, file: &Path, headers: &[String], url: &str) -> Result<f64> {
    let mut command = Command::new("h2load");
    command.args(["-t1", "-c2", "-m250", &format!("-n{requests}"), "-d"]).arg(file);
    for header in headers {
        command.args(["-H", header]);
    }
    command.arg(url);
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

/// Whether smtp-source is installed; distributions keep it where administrators' programs are.
pub fn smtp_is_there() -> bool {
    smtp_source().is_some()
}

fn smtp_source() -> Option<&'static str> {
    ["/usr/sbin/smtp-source", "/usr/bin/smtp-source"].into_iter().find(|path| Path::new(path).exists())
}

/// Mails a second of postfix's `smtp-source -d -s 4` (sessions kept) with 1 KiB each, to the same sink.
///
/// # Errors
/// When one of the mails was not taken.
pub fn run_mail(sink: &mut Sink, mails: u64) -> Result<f64> {
    sink.expect(&Expected::default())?;
    let program = smtp_source().context("smtp-source (postfix) is not installed")?;
    let mut command = Command::new(program);
    command.args(["-d", "-s", "4", "-l", &PAYLOAD_BYTES.to_string(), "-m", &mails.to_string()]);
    command.args(["-f", "bench@bench.example.org", "-t", mail::LIMIT, &format!("127.0.0.1:{}", sink.mail)]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status().context("smtp-source cannot be started")?;
    let seconds = began.elapsed().as_secs_f64();
    let stats = sink.stats()?;
    ensure!(status.success() && stats.limit == mails, "the sink took {} of smtp-source's {mails} mails ({status})", stats.limit);
    Ok(mails as f64 / seconds)
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
