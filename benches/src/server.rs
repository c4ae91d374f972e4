//! The server that is measured: the release program with everything on, started on a data folder with the sink as its
//! Apple, spoken to over HTTP with the owner's token.

use crate::clock::unix_micros;
use crate::directory::Reached;
use crate::http::Client;
use crate::processes::Process;
use crate::sink::account::TOPIC;
use crate::sink::key::{KEY_ID, TEAM_ID};
use crate::sinks::Sink;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a start may take before it counts as failed.
const START: Duration = Duration::from_secs(60);
/// Between two tries to reach a server that starts.
const KNOCK: Duration = Duration::from_micros(250);
/// Lines of its log that are shown when it does not start.
const LOG_LINES: usize = 5;
/// How long a server may take to drain.
const DRAIN: Duration = Duration::from_secs(60);

/// What to start and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server program.
    pub program: PathBuf,
    /// Folder for configuration files and logs.
    pub folder: PathBuf,
    /// Connections to the provider; `None` leaves the default.
    pub connections: Option<u32>,
    /// Which channel is configured.
    pub by: Reached,
    /// Where the store is; `None`: in the data folder.
    pub database: Option<String>,
    /// The data folder of which the keys are used, for servers that share a store.
    pub keys: Option<PathBuf>,
}

/// A running server.
pub struct Server {
    /// The process.
    pub process: Process,
    /// The way in, signed in as owner.
    pub api: Client,
    /// Where it listens.
    pub port: u16,
    token: String,
    /// When it was started, in microseconds of Unix time.
    pub spawned_micros: u64,
    /// When it first answered.
    pub healthy_micros: u64,
}

impl Server {
    /// Starts the server on `data` and waits for its first answer.
    ///
    /// # Errors
    /// When it ends, or does not answer in time; its log says why.
    pub fn start(plan: &Plan, sink: &Sink, data: &Path) -> Result<Server> {
        let config = plan.folder.join("carillon.toml");
        std::fs::write(&config, configuration(plan, sink))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = File::options().create(true).append(true).open(plan.folder.join("server.log"))?;
        let mut command = Command::new(&plan.program);
        command.arg("serve").arg("--data").arg(data).arg("--config").arg(&config).arg("--listen").arg(format!("127.0.0.1:{port}"));
        // The benchmark asks by one token for everybody.
        command.env("CARILLON__SERVER__REQUESTS_PER_SECOND", "0");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let spawned_micros = unix_micros();
        let mut process = Process::start("the server", &mut command)?;
        let healthy_micros = first_answer(&mut process, port).with_context(|| end_of(&plan.folder.join("server.log")))?;
        let token = std::fs::read_to_string(data.join("bootstrap-token")).context("there is no owner's token")?.trim().to_owned();
        let api = Client::new(port, Some(token.clone()));
        Ok(Server { process, api, port, token, spawned_micros, healthy_micros })
    }

    /// Another connection to it, signed in as owner.
    pub fn another_way_in(&self) -> Client {
        Client::new(self.port, Some(self.token.clone()))
    }

    /// Raises the limits that would stop a benchmark, through the settings.
    ///
    /// # Errors
    /// When a setting is refused.
    pub fn raise_limits(&mut self) -> Result<()> {
        for key in ["limits.group_sends_per_hour", "limits.device_sends_per_hour"] {
            let path = format!("/api/v1/settings/{key}");
            self.api.ask("PUT", &path, Some(&json!({"value": 100_000}))).and_then(|a| a.json()).with_context(|| format!("PUT {path}"))?;
        }
        Ok(())
    }

    /// Imports CSV files and waits until they are visible; answers the report.
    ///
    /// # Errors
    /// When the import is refused, fails, or takes longer than `limit`.
    pub fn import(&mut self, files: &[PathBuf], limit: Duration) -> Result<Value> {
        let started = self.api.upload("/api/v1/directory/import", files)?.json().context("the import was not taken")?;
        let id = started["id"].as_str().context("the import has no id")?.to_owned();
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let job = self.api.get(&format!("/api/v1/directory/imports/{id}"))?;
            match job["state"].as_str() {
                Some("done") => return Ok(job["report"].clone()),
                Some("running") => std::thread::sleep(Duration::from_millis(50)),
                _ => bail!("the import failed: {job}"),
            }
        }
        bail!("the import took longer than {limit:?}")
    }

    /// The sum and the count of a histogram on the metrics page.
    ///
    /// # Errors
    /// When there is no such histogram.
    pub fn histogram(&mut self, name: &str) -> Result<(f64, f64)> {
        let answer = self.api.ask("GET", "/metrics", None)?;
        ensure!(answer.status == 200, "/metrics answered {}", answer.status);
        histogram(&String::from_utf8_lossy(&answer.body), name).with_context(|| format!("/metrics has no {name}"))
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it does not.
    pub fn stop(self) -> Result<()> {
        self.process.stop(DRAIN)
    }
}

/// The last lines of the log, which goes with its folder; without the indented ones, which say the owner's first token.
fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let told: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    let lines = &told[told.len().saturating_sub(LOG_LINES)..];
    format!("its log ends with: {}", lines.join(" / "))
}

fn configuration(plan: &Plan, sink: &Sink) -> String {
    let text = |path: &Path| path.display().to_string();
    let mut config = match plan.by {
        Reached::Apple => apple(sink),
        Reached::Google => format!(
            "[channels.fcm]\nendpoint = \"https://127.0.0.1:{}\"\nservice_account_file = {:?}\nca_file = {:?}\n",
            sink.port,
            text(&sink.account_file),
            text(&sink.ca_file),
        ),
        Reached::Browser { .. } => format!(
            "[channels.webpush]\nsubject = \"mailto:bench@bench.example.org\"\nallow_private_endpoints = true\nca_file = {:?}\n",
            text(&sink.ca_file),
        ),
        Reached::Mail => format!(
            "[channels.email]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"Bench <bench@bench.example.org>\"\n",
            sink.mail
        ),
    };
    if let Some(connections) = plan.connections {
        config.push_str(&format!("connections = {connections}\n"));
    }
    if let Some(keys) = &plan.keys {
        let file = |name: &str| text(&keys.join("keys").join(name));
        config.push_str(&format!("\n[keys]\nat_rest_file = {:?}\nvapid_file = {:?}\n", file("at-rest.key"), file("vapid.pem")));
    }
    if let Some(database) = &plan.database {
        config.insert_str(0, &format!("database = \"{database}\"\n\n"));
    }
    config
}

fn apple(sink: &Sink) -> String {
    let text = |path: &Path| path.display().to_string();
    format!(
        "[channels.apns]\nendpoint = \"https://127.0.0.1:{}\"\nkey_file = {:?}\nkey_id = \"{KEY_ID}\"\nteam_id = \"{TEAM_ID}\"\n\
         topic = \"{TOPIC}\"\nca_file = {:?}\n",
        sink.port,
        text(&sink.key_file),
        text(&sink.ca_file),
    )
}

/// When `/healthz` first said yes.
fn first_answer(process: &mut Process, port: u16) -> Result<u64> {
    let deadline = Instant::now() + START;
    let mut client = Client::new(port, None);
    while Instant::now() < deadline {
        match client.ask("GET", "/healthz", None) {
            Ok(answer) if answer.status == 200 => return Ok(answer.read_micros),
            Ok(_) | Err(_) => std::thread::sleep(KNOCK),
        }
        if let Some(status) = process.ended()? {
            bail!("the server ended with {status} before it answered");
        }
    }
    bail!("the server did not answer within {START:?}")
}

/// The Prometheus text form: `name_sum VALUE` and `name_count VALUE`, summed over labels.
fn histogram(text: &str, name: &str) -> Option<(f64, f64)> {
    let sum = |suffix: &str| {
        let series = format!("{name}_{suffix}");
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(&series)?;
            if !rest.starts_with([' ', '{']) {
                return None;
            }
            rest.rsplit(' ').next()?.parse::<f64>().ok()
        });
        values.reduce(|a, b| a + b)
    };
    Some((sum("sum")?, sum("count")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_read_with_and_without_labels() {
        let text = "# TYPE x histogram\nx_bucket{le=\"1\"} 3\nx_sum 0.5\nx_count 3\ny_sum{a=\"b\"} 1\ny_sum{a=\"c\"} 2\ny_count{a=\"b\"} 1\ny_count{a=\"c\"} 1\n";
        assert_eq!(histogram(text, "x"), Some((0.5, 3.0)));
        assert_eq!(histogram(text, "y"), Some((3.0, 2.0)));
        assert_eq!(histogram(text, "z"), None);
    }
}
