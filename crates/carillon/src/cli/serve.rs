//! `carillon serve`: reads the configuration, runs the server until it is told to stop, and says what it is doing.

use super::output::Out;
use super::trouble::{Result, Trouble};
use crate::config::{self, Config, LogFormat, Overrides};
use crate::exit::Exit;
use crate::log;
use crate::wire::{self, Ready, ServeOptions};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

const EXAMPLES: &str = "\
Examples:
  carillon serve
  carillon serve --data /var/lib/carillon --listen 127.0.0.1:8480 --config /etc/carillon/carillon.toml
  CARILLON__SERVER__LOG=debug carillon serve --data ./data
  carillon serve --config pg.toml --listen 127.0.0.1:8481 --only dispatch,deliver

SIGTERM or Ctrl-C drains what is under way and exits 0. SIGHUP reads the certificate again.";

/// The signal of a file that may not grow any further, by its number on every machine that this runs on (signal(7)).
#[cfg(target_os = "linux")]
const SIGXFSZ: i32 = 25;

/// Run the server. The first start makes the organization, an owner with a token, and keys, and says so.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// Folder of everything that the server keeps [default: ./carillon-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port [default: 127.0.0.1:8480]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Configuration file
    #[arg(short, long, value_name = "FILE", env = "CARILLON_CONFIG")]
    config: Option<PathBuf>,
    /// How lines of the log are written [default: text; json with --json]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, also by part [default: info]
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    /// Only these parts of the work, for several processes on one PostgreSQL [default: all]
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<Part>,
}

/// A part of a server's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Answer requests and hold the apps' streams.
    Api,
    /// Plan accepted events.
    Dispatch,
    /// Send what is planned.
    Deliver,
    /// What happens by itself: forgetting what is too old.
    Timers,
    /// Speak with other systems in their own protocols: Microsoft Graph's calls under /beta.
    Integrations,
}

pub async fn command(args: Serve, out: &Out) -> Result<Exit> {
    let overrides = Overrides { data: args.data, listen: args.listen, log_level: args.log_level, log_format: args.log_format };
    let config = Config::load(args.config.as_deref(), config::environment(), &overrides)?;
    log::to_stderr(&config.log, out.json);
    let stop = CancellationToken::new();
    stop_when_asked(&stop);
    survive_a_full_disk()?;
    let beside = async |ready: Ready| {
        if out.json {
            out.object(&json!({ "url": ready.url, "tokenFile": ready.token_file, "firstStart": ready.first_start }));
        }
        std::future::pending().await
    };
    run(config, &args.only, &stop, !out.json, beside).await?;
    Ok(Exit::Done)
}

/// Runs a server, or only some parts of one, until `stop` is cancelled or `beside`, which begins when requests are answered, ends.
///
/// # Errors
/// When the server cannot start (a folder in use, a port in use) or fails, or `beside` does.
pub async fn run(
    config: Config,
    only: &[Part],
    stop: &CancellationToken,
    announce: bool,
    beside: impl AsyncFnOnce(Ready) -> Result<()>,
) -> Result<()> {
    let (ready, told) = oneshot::channel();
    let serving = wire::serve(config, ServeOptions { announce, only: only.to_vec(), stop: stop.clone(), ready: Some(ready) });
    let beside = async {
        match told.await {
            Ok(ready) => beside(ready).await,
            // The server ended before it was ready, and says why itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::pin!(serving, beside);
    let failed = |e: anyhow::Error| Trouble::local(format!("{e:#}"));
    let aside = tokio::select! {
        ended = &mut serving => return ended.map_err(failed),
        aside = &mut beside => aside,
    };
    stop.cancel();
    serving.await.map_err(failed).and(aside)
}

/// Cancels `stop` at Ctrl-C or SIGTERM. Who presses Ctrl-C again does not want to wait for the draining.
pub fn stop_when_asked(stop: &CancellationToken) {
    let stop = stop.clone();
    tokio::spawn(async move {
        stop_asked().await;
        stop.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
    });
}

/// Where files may not grow any further (`ulimit -f`, `LimitFSIZE=`) the kernel sends SIGXFSZ, which ends a process that does not
/// take it. With the signal taken the write fails like one to a full disk, which is answered with 503 and passes.
fn survive_a_full_disk() -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Once taken, a signal stays taken for the life of the process, also when nobody listens any more.
        let taken = signal(SignalKind::from_raw(SIGXFSZ));
        taken.map(drop).map_err(|e| Trouble::local(format!("the signal of a full disk cannot be taken: {e}")))?;
    }
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_asked() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! { _ = term.recv() => {}, _ = tokio::signal::ctrl_c() => {} }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// A path as a shell takes it.
pub fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn paths_are_quoted_for_the_shell() {
        assert_eq!(quoted(Path::new("/a/b-c.d")), "/a/b-c.d");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
