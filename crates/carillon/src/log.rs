//! The server's log: lines on standard error, as text for people or as one JSON object each. Only our own parts speak below
//! `info`: what libraries tell there holds headers, bodies and the values of statements, and no setting lets that out.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Our crates, as targets of log lines begin.
const OURS: [&str; 8] = ["carillon", "web", "engine", "store", "channels", "sources", "model", "integrations"];

/// Logs to standard error. `json` is what `--json` says, for when the configuration says nothing.
pub fn to_stderr(log: &Log, json: bool) {
    let wanted = EnvFilter::new(&log.level).and(filter_fn(may_speak));
    let format = log.format.unwrap_or(if json { LogFormat::Json } else { LogFormat::Text });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        // Flat, and with the request in which a line was written: the names are the manual's (operator/logs.md).
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
        // Colours are for terminals.
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    // A second start in one process (the tests) keeps the first logger.
    let _ = tracing_subscriber::registry().with(lines.with_filter(wanted)).try_init();
}

fn may_speak(line: &Metadata<'_>) -> bool {
    let part = line.target().split("::").next().unwrap_or("");
    *line.level() <= Level::INFO || OURS.contains(&part)
}
