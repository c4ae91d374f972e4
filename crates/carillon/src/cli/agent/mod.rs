//! `carillon agent`: a device on the command line. It enrols with a code, holds the inbox stream, prints what arrives
//! and sends receipts: what an app does, for testing, for servers without a screen, and for the demo.

mod listen;
mod sse;
pub mod state;

pub use listen::{Listening, listen};

use super::client::Client;
use super::output::{Out, Tone, field, text};
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use clap::Subcommand;
use serde_json::{Map, json};
use state::AgentState;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  carillon user enrolment-code ada@example.org
  carillon agent enroll --url http://127.0.0.1:8480 --code ABCD-EFGH --name \"Ada's terminal\" --platform linux
  carillon agent listen --auto-open
  carillon agent listen --count 1 --json";

/// Be a device on the command line: enrol with a code, listen, send receipts.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Agent {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Enrol this device with a single-use code; its token is kept in the state file, for its owner only
    #[command(
        after_help = "Example:\n  carillon agent enroll --url http://127.0.0.1:8480 --code ABCD-EFGH --name terminal --platform linux --state ./ada.json"
    )]
    Enroll {
        /// URL of the server
        #[arg(long, env = "CARILLON_URL", default_value = "http://127.0.0.1:8480")]
        url: String,
        /// The code that `carillon user enrolment-code` printed
        #[arg(long)]
        code: String,
        /// Name of the device
        #[arg(long)]
        name: String,
        /// ios, ipados, android, windows, macos, linux or browser
        #[arg(long, default_value = "linux")]
        platform: String,
        /// personal or corporate
        #[arg(long)]
        ownership: Option<String>,
        /// Whether it may show notifications: granted, denied or default
        #[arg(long, default_value = "granted")]
        permission: String,
        #[command(flatten)]
        state: StateFile,
    },
    /// Hold the inbox stream, print what arrives and send received and shown receipts, until Ctrl-C
    #[command(
        after_help = "Examples:\n  carillon agent listen\n  carillon agent listen --state ./ada.json --count 1 --json\n  carillon agent listen --no-receipts"
    )]
    Listen {
        #[command(flatten)]
        state: StateFile,
        /// Also send an opened receipt for each notification
        #[arg(long, conflicts_with = "no_receipts")]
        auto_open: bool,
        /// Send no receipts, as an app does that is stuck
        #[arg(long)]
        no_receipts: bool,
        /// End after so many notifications
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
}

#[derive(Debug, clap::Args)]
struct StateFile {
    /// Where the device's token and place in the stream are kept [default: agent.json in the state folder of the user]
    #[arg(long = "state", value_name = "FILE", env = "CARILLON_AGENT_STATE")]
    file: Option<PathBuf>,
}

impl StateFile {
    fn path(&self) -> Result<PathBuf> {
        match &self.file {
            Some(path) => Ok(path.clone()),
            None => {
                state::usual_path().ok_or_else(|| Trouble::usage("there is no home folder to keep the state in; name a file with --state"))
            }
        }
    }
}

pub async fn command(args: Agent, out: &Out) -> Result<Exit> {
    match args.action {
        Action::Enroll { url, code, name, platform, ownership, permission, state } => {
            let path = state.path()?;
            let client = Client::new(&url, None)?;
            let device =
                Enrolment { code: &code, name: &name, platform: &platform, ownership: ownership.as_deref(), permission: &permission };
            let agent = enrol(&client, &device).await?;
            agent.save(&path)?;
            let object = json!({ "deviceId": agent.device_id, "userId": agent.user_id, "displayName": agent.display_name, "state": path });
            out.say(&object, || {
                let done = out.paint(Tone::Good, format!("{name} is enrolled for {}.", agent.display_name));
                format!("{done}\nIts token is in {}. Now: carillon agent listen", super::serve::quoted(&path))
            });
            Ok(Exit::Done)
        }
        Action::Listen { state, auto_open, no_receipts, count } => {
            let path = state.path()?;
            let how = Listening { auto_open, receipts: !no_receipts, count };
            let mut agent = AgentState::load(&path)?;
            if !out.json {
                out.line(out.paint(Tone::Faint, format!("{} for {} at {}", agent.name, agent.display_name, agent.url)));
            }
            listen(&mut agent, &how, |agent, arrival| {
                agent.save(&path)?;
                arrival.print(out);
                Ok(())
            })
            .await?;
            Ok(Exit::Done)
        }
    }
}

/// What a device says of itself when it enrols.
#[derive(Clone, Copy, Debug)]
pub struct Enrolment<'a> {
    /// Single-use code.
    pub code: &'a str,
    /// Name of the device.
    pub name: &'a str,
    /// What it runs.
    pub platform: &'a str,
    /// Who owns it.
    pub ownership: Option<&'a str>,
    /// Whether it may show notifications.
    pub permission: &'a str,
}

/// Enrols a device; the server need not know the caller.
///
/// # Errors
/// When the code is unknown, used or too old.
pub async fn enrol(client: &Client, device: &Enrolment<'_>) -> Result<AgentState> {
    let mut body = Map::from_iter([
        ("code".to_owned(), json!(device.code)),
        ("name".to_owned(), json!(device.name)),
        ("platform".to_owned(), json!(device.platform)),
        ("notificationPermission".to_owned(), json!(device.permission)),
    ]);
    if let Some(ownership) = device.ownership {
        body.insert("ownership".into(), json!(ownership));
    }
    let answer = client.post(&["device", "enrol"], &body.into()).await?;
    if text(&answer, "token").is_empty() {
        let why = "the server enrolled the device but did not give its token again; issue a new code and enrol once more";
        return Err(Trouble::local(why));
    }
    Ok(AgentState {
        url: client.base().to_owned(),
        token: text(&answer, "token").to_owned(),
        device_id: field(&answer, "deviceId"),
        user_id: field(&answer, "userId"),
        display_name: field(&answer, "displayName"),
        name: device.name.to_owned(),
        last_event_id: None,
    })
}
