//! The command line: what each command takes and where it goes. Every command but `serve`, `demo`, `config`, `doctor` and
//! those that carry whole stores (`migrate`, `backup`, `restore`) is a client of the HTTP API and can do nothing that the
//! API would refuse.

pub mod agent;
mod alarm;
mod audience;
mod audit;
pub mod bulk;
#[cfg(test)]
mod canned;
pub mod client;
mod configuration;
pub mod connect;
mod device;
mod doctor;
mod export;
mod group;
pub mod import;
mod keys;
mod listing;
mod mail;
mod mailcmd;
mod notification;
pub mod output;
mod reach;
mod report;
mod role;
mod send;
pub mod serve;
mod settings;
mod shell;
#[cfg(test)]
mod tests;
mod token;
mod transfer;
mod trouble;
mod user;
mod wait;
mod why;

pub use serve::Part;
pub use trouble::{Result, Trouble};

use crate::demo;
use crate::exit::Exit;
use clap::{Parser, Subcommand};
use output::Out;
use std::future::Future;

const EXAMPLES: &str = "\
Examples:
  carillon demo                                        see everything, on fakes
  carillon serve --data /var/lib/carillon              run it in earnest
  carillon send --group Lyon --title Hello --body \"The lift works again.\" --wait
  carillon why 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11 ada@example.org";

/// The examples, and the one table of exit codes.
fn examples_and_exit_codes() -> String {
    let line = |(exit, meaning): &(Exit, &str)| format!("  {:3}  {meaning}", exit.code());
    let table: Vec<String> = Exit::TABLE.iter().map(line).collect();
    format!("{EXAMPLES}\n\nExit codes:\n{}", table.join("\n"))
}

/// Carillon, the self-hosted notification control plane of an organization.
#[derive(Debug, Parser)]
#[command(name = "carillon", version, after_help = examples_and_exit_codes(), subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// Print one JSON object on standard output, for programs
    #[arg(long, global = true, display_order = 900)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Run a server with a sample organization and fake providers, to look around
    Demo(demo::Demo),
    /// Check a configuration file, or print the default one
    Config(configuration::Configuration),
    /// Test the configuration, every provider, key, the database and the clock; say what to mend
    Doctor(doctor::Doctor),
    /// Import people, groups, members, devices and registrations from CSV files
    Import(import::Import),
    /// Export the directory as CSV files that import back
    Export(export::Export),
    /// Send a notification to groups, people or devices
    Send(send::Send),
    /// Say whom a notification would reach, and whom not and why, without sending it
    Reach(reach::Reach),
    /// List, follow, cancel, resend and report notifications
    Notification(notification::Notification),
    /// Say why a person got a notification, or did not
    Why(why::Why),
    /// People
    User(user::User),
    /// Groups and their members
    Group(group::Group),
    /// Devices and their registrations
    Device(device::Device),
    /// Settings that change while the server runs
    Settings(settings::Settings),
    /// One act for many people: from a CSV file, a group or a filter
    Bulk(bulk::Bulk),
    /// How each mail looks, and one sent to a person as a test
    Mail(mail::Mail),
    /// The documented cmdlets: a shell for administrators, interactive or for scripts
    Shell(shell::Admin),
    /// Roles, and who holds them where
    Role(role::Role),
    /// Access tokens
    Token(token::Token),
    /// Alarms that the server raised
    Alarm(alarm::Alarm),
    /// Rotate the keys that Carillon makes itself
    Keys(keys::Keys),
    /// Who did what, and whether that record is whole
    Audit(audit::Audit),
    /// Move everything from SQLite to PostgreSQL, or back
    Migrate(transfer::Migrate),
    /// Copy the store into one file, while servers run
    Backup(transfer::Backup),
    /// Fill an empty store from a backup
    Restore(transfer::Restore),
    /// Hand in a voice-mail mail that a telephone system pipes to a program
    Mailcmd(mailcmd::Mailcmd),
    /// Be a device on the command line: enrol, listen, send receipts
    Agent(agent::Agent),
}

/// Runs a command to its end and says how that was.
pub async fn run(cli: Cli) -> Exit {
    let out = Out::new(cli.json);
    let ended = match cli.command {
        Command::Serve(args) => serve::command(args, &out).await,
        Command::Demo(args) => demo::command(args, &out).await,
        Command::Config(args) => configuration::command(&args, &out),
        Command::Doctor(args) => interruptible(doctor::command(args, &out)).await,
        Command::Import(args) => import::command(args, &out).await,
        Command::Export(args) => interruptible(export::command(args, &out)).await,
        Command::Send(args) => interruptible(send::command(args, &out)).await,
        Command::Reach(args) => interruptible(reach::command(args, &out)).await,
        Command::Notification(args) => interruptible(notification::command(args, &out)).await,
        Command::Why(args) => interruptible(why::command(args, &out)).await,
        Command::User(args) => interruptible(user::command(args, &out)).await,
        Command::Group(args) => interruptible(group::command(args, &out)).await,
        Command::Device(args) => interruptible(device::command(args, &out)).await,
        Command::Settings(args) => interruptible(settings::command(args, &out)).await,
        Command::Bulk(args) => interruptible(bulk::command(args, &out)).await,
        Command::Mail(args) => interruptible(mail::command(args, &out)).await,
        Command::Shell(args) => shell::command(args, &out).await,
        Command::Role(args) => interruptible(role::command(args, &out)).await,
        Command::Token(args) => interruptible(token::command(args, &out)).await,
        Command::Alarm(args) => interruptible(alarm::command(args, &out)).await,
        Command::Keys(args) => keys::command(args, &out),
        Command::Audit(args) => interruptible(audit::command(args, &out)).await,
        Command::Migrate(args) => interruptible(transfer::migrate(args, &out)).await,
        Command::Backup(args) => interruptible(transfer::backup(args, &out)).await,
        Command::Restore(args) => interruptible(transfer::restore(args, &out)).await,
        Command::Mailcmd(args) => interruptible(mailcmd::command(args, &out)).await,
        Command::Agent(args) => interruptible(agent::command(args, &out)).await,
    };
    match ended {
        Ok(exit) => exit,
        Err(trouble) => {
            if out.json {
                eprintln!("{}", trouble.document());
            } else if trouble.exit != Exit::Interrupted {
                eprintln!("error: {trouble}");
            }
            trouble.exit
        }
    }
}

/// The command, until Ctrl-C.
async fn interruptible(command: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    tokio::select! {
        ended = command => ended,
        _ = tokio::signal::ctrl_c() => Err(Trouble::new(Exit::Interrupted, "interrupted", "interrupted")),
    }
}
