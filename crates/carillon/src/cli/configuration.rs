//! `carillon config`: checks a configuration with everything it names, and prints the default one.

use super::output::{Out, Tone};
use super::trouble::Result;
use crate::config::{self, Config, Overrides};
use crate::exit::Exit;
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  carillon config print-default > carillon.toml
  carillon config check --config carillon.toml
  CARILLON__SERVER__LISTEN=127.0.0.1:9000 carillon config check";

/// Check a configuration file, or print the default one.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Configuration {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check a file, the environment, and the files that they name; says everything that is wrong at once
    #[command(after_help = "Example:\n  carillon config check --config /etc/carillon/carillon.toml")]
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE", env = "CARILLON_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Print the default configuration, complete and commented
    #[command(after_help = "Example:\n  carillon config print-default > carillon.toml")]
    PrintDefault,
}

pub fn command(args: &Configuration, out: &Out) -> Result<Exit> {
    match &args.action {
        Action::PrintDefault => out.say(&json!({ "config": config::DEFAULT_TEXT }), || config::DEFAULT_TEXT.trim_end().to_owned()),
        Action::Check { config: file } => {
            let config = Config::load(file.as_deref(), config::environment(), &Overrides::default())?;
            let channels: Vec<&str> = [("apns", config.channels.apns.is_some()), ("email", config.channels.email.is_some())]
                .iter()
                .filter(|c| c.1)
                .map(|c| c.0)
                .collect();
            let asterisk: Vec<&str> = config.integrations.asterisk.iter().map(|one| one.name.as_str()).collect();
            let object = json!({ "ok": true, "warnings": config.warnings, "listen": config.server.listen, "data": config.server.data,
                "database": config.database.to_string(), "channels": channels, "asterisk": asterisk });
            out.say(&object, || {
                let warnings = config.warnings.iter().map(|w| format!("{} {w}\n", out.paint(Tone::Waiting, "warning:")));
                let channels = if channels.is_empty() { "none; the inbox always works".to_owned() } else { channels.join(", ") };
                let pairs = [
                    ("listen", config.server.listen.to_string()),
                    ("data", config.server.data.display().to_string()),
                    ("database", config.database.to_string()),
                    ("channels", channels),
                    ("asterisk", asterisk.join(", ")),
                ];
                format!("{}{}\n{}", warnings.collect::<String>(), out.paint(Tone::Good, "The configuration is fine."), out.pairs(&pairs))
            });
        }
    }
    Ok(Exit::Done)
}
