//! The benchmark program's side of the sink: starts it as a process of its own, tells it what to expect, and reads what
//! arrived.

use crate::http::Client;
use crate::processes::Process;
use crate::sink::account::{Arrival, Expected, Stats};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A running sink.
pub struct Sink {
    control: Client,
    /// Where pushes go.
    pub port: u16,
    /// Where mail goes.
    pub mail: u16,
    /// A provider token for the limit program.
    pub token: String,
    /// The same of Google: an access token.
    pub google_token: String,
    /// The service account as which Google is asked for access tokens.
    pub account_file: PathBuf,
    /// Its certificate.
    pub ca_file: PathBuf,
    /// The signing key that it takes.
    pub key_file: PathBuf,
    process: Process,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Announced {
    port: u16,
    control: u16,
    mail: u16,
    token: String,
    google_token: String,
}

impl Sink {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not say where it listens.
    pub fn start(folder: &Path) -> Result<Sink> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("sink").arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start("the sink", &mut command)?;
        let mut line = String::new();
        let output = process.child().stdout.take().context("the sink has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let announced: Announced = serde_json::from_str(&line).context("the sink did not start")?;
        Ok(Sink {
            control: Client::new(announced.control, None),
            port: announced.port,
            mail: announced.mail,
            token: announced.token,
            google_token: announced.google_token,
            account_file: folder.join("service-account.json"),
            ca_file: folder.join("ca.pem"),
            key_file: folder.join("key.p8"),
            process,
        })
    }

    /// Forgets what arrived and expects this from now on.
    ///
    /// # Errors
    /// When the sink is gone.
    pub fn expect(&mut self, expected: &Expected) -> Result<()> {
        self.control.post("/reset", &json!(expected)).map(drop)
    }

    /// The next request is the first after this mark.
    ///
    /// # Errors
    /// When the sink is gone.
    pub fn mark(&mut self) -> Result<()> {
        self.control.post("/mark", &json!({})).map(drop)
    }

    /// Processor time that the sink has used, in milliseconds.
    ///
    /// # Errors
    /// When the sink is gone.
    pub fn cpu_ms(&self) -> Result<f64> {
        self.process.cpu_ms()
    }

    /// What arrived.
    ///
    /// # Errors
    /// When the sink is gone.
    pub fn stats(&mut self) -> Result<Stats> {
        Ok(serde_json::from_value(self.control.get("/stats")?)?)
    }

    /// Arrivals of the watched devices.
    ///
    /// # Errors
    /// When the sink is gone.
    pub fn arrivals(&mut self) -> Result<Vec<Arrival>> {
        Ok(serde_json::from_value(self.control.get("/arrivals")?)?)
    }
}

/// Every device reached, none of them twice, nothing refused: else a figure is worth nothing.
///
/// # Errors
/// What is wrong.
pub fn all_reached(stats: &Stats, devices: u32) -> Result<()> {
    ensure!(stats.refused.is_empty(), "the sink refused requests: {:?}", stats.refused);
    ensure!(stats.distinct == u64::from(devices), "{} of {devices} devices were reached", stats.distinct);
    ensure!(stats.repeats == 0, "{} pushes came twice", stats.repeats);
    Ok(())
}
