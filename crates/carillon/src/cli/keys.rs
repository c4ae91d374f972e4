//! `carillon keys`: rotates the two keys that Carillon makes itself. Works on the files, beside a server that runs or not; a
//! server reads them when it starts.

use super::output::Out;
use super::trouble::{Result, Trouble};
use crate::config::{self, Config, Overrides};
use crate::exit::Exit;
use crate::key_files;
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  carillon keys rotate at-rest --config /etc/carillon/carillon.toml
  carillon keys rotate vapid --data /var/lib/carillon

Other keys are rotated where they come from; the manual's chapter on security tells how.";

/// Rotate the keys that Carillon makes itself
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Put a new key in front of its file; older ones stay for what was sealed or subscribed with them
    #[command(after_help = EXAMPLES)]
    Rotate {
        /// Which key
        #[arg(value_enum)]
        key: Key,
        /// The server's data folder [default: ./carillon-data]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// The server's configuration file
        #[arg(short, long, value_name = "FILE", env = "CARILLON_CONFIG")]
        config: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    /// The key that encrypts private texts and Web Push secrets
    AtRest,
    /// The key pair that browsers subscribe with
    Vapid,
}

pub fn command(args: Keys, out: &Out) -> Result<Exit> {
    let Action::Rotate { key, data, config } = args.action;
    let config = Config::load(config.as_deref(), config::environment(), &Overrides { data, ..Overrides::default() })?;
    let failed = |e: anyhow::Error| Trouble::local(format!("{e:#}"));
    let (file, keys, public) = match key {
        Key::AtRest => {
            let file = config.keys.at_rest_file;
            let keys = key_files::rotate_at_rest(&file).map_err(failed)?;
            (file, keys, None)
        }
        Key::Vapid => {
            let file = config.keys.vapid_file;
            let (keys, public) = key_files::rotate_vapid(&file).map_err(failed)?;
            (file, keys, Some(public))
        }
    };
    let object = json!({ "file": file, "keys": keys, "publicKey": public });
    out.say(&object, || {
        let place = file.display();
        let next = match &public {
            None => "Back it up apart from the store, and restart the server: from then on it seals with the new key, and still opens what older ones sealed.",
            Some(_) => "Restart the server: from then on browsers are given the new key, and subscriptions to older ones are still served.",
        };
        format!("{place} holds {keys} keys now, a new one in front. {next}")
    });
    Ok(Exit::Done)
}
