//! `carillon send`: hands a notification to the server and, with `--wait`, follows it to its end.

use super::audience::{self, Addressed, Manner};
use super::connect::Connection;
use super::notification::summary;
use super::output::Out;
use super::trouble::Result;
use super::wait;
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  carillon send --group \"All staff\" --title \"Fire drill\" --body \"At ten. Leave by the stairs.\" --wait
  carillon send --user ada@example.org --user grace@example.org --title Hello --body - < message.txt
  carillon send --device \"Reception iPad\" --title Restart --body \"Please restart me.\" --urgency high
  carillon send --group Lyon --title Lunch --body \"It is ready.\" --at 2026-11-20T12:00:00+01:00 --expires-in 2h
  carillon send --group Lyon --title Test --body Test --wait --exit-status --json";

/// Send a notification to groups, people or devices. It is accepted, durably, when the command returns; what
/// providers accepted is not yet delivered.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Send {
    #[command(flatten)]
    addressed: Addressed,
    /// Title: 1 to 50 characters
    #[arg(short, long)]
    title: String,
    /// Text: 1 to 500 characters; - reads it from standard input
    #[arg(short, long)]
    body: String,
    #[command(flatten)]
    manner: Manner,
    /// Follow it until every delivery is final, or held for longer than a minute
    #[arg(short, long)]
    wait: bool,
    /// With --wait: exit 1 when some delivery failed
    #[arg(long, requires = "wait")]
    exit_status: bool,
    /// Repeating a command with the same key sends nothing twice
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub async fn command(args: Send, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    let body = audience::request(&args.addressed, &args.manner, Some(&args.title), Some(&args.body))?;
    let key = args.idempotency_key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let accepted = client.post_keyed(&["notifications"], &body, &key).await?;
    if !args.wait {
        out.say(&accepted, || summary(out, &accepted));
        return Ok(Exit::Done);
    }
    if !out.json {
        out.line(summary(out, &accepted));
    }
    wait::follow_and_print(&client, out, accepted, args.exit_status).await
}
