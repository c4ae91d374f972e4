//! `carillon alarm`: what the server wants an administrator to mend.

use super::client::Page;
use super::connect::Connection;
use super::listing;
use super::output::Out;
use super::trouble::Result;
use crate::exit::Exit;
use clap::Subcommand;

const EXAMPLES: &str = "\
Examples:
  carillon alarm list
  carillon alarm list --json";

/// Alarms that the server raised, such as a wrong provider key.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Alarm {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List alarms; those that are over have a time in the last column
    #[command(after_help = "Example:\n  carillon alarm list")]
    List,
}

pub async fn command(args: Alarm, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    let Action::List = args.action;
    let page = Page::of_answer(client.get(&["alarms"], &[]).await?);
    listing::print(out, &page, &["code", "detail", "raisedAt", "lastAt", "count", "clearedAt"], "No alarm.")
}
