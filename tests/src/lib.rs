//! Stories: one file per feature of Carillon, end to end through the real binary, real SQLite, real HTTP and real SMTP.
//!
//! A story opens a [`Stage`]: the two fakes (in this process, so that they can be told what to do and asked what they
//! saw) and a server of its own (another process, a folder and a port of its own). It fills the directory with an
//! [`Org`], acts through the [`Api`], the command line ([`Server::cli`]) or as an [`App`] on a device, and looks at what
//! can be seen from outside. Nothing here reads the database.
//!
//! Stories run beside each other: `cargo test -p stories`, as many at once as the machine has cores. They wait by polling
//! ([`eventually`]) and never sleep to be right. `CARILLON_BIN` names another binary than the one of this workspace.

mod api;
mod app;
mod autopush;
mod bridge;
mod cable;
mod firefox;
mod folder;
mod front;
mod keeper;
mod letter;
mod org;
mod post_office;
mod program;
mod python;
mod server;
mod stage;
mod strangers;
mod switchboard;
pub mod telephony;
mod terminal;

pub use api::{Api, Reply};
pub use app::{App, Frame, Heard, Stream};
pub use autopush::Autopush;
pub use bridge::{Bridge, Webhook};
pub use cable::{Cable, Fault};
pub use firefox::{Firefox, Page};
pub use folder::{Folder, free_port, listens_to_udp};
pub use front::Front;
pub use letter::{Letter, LetterPart};
pub use org::{DeviceRow, Org, PersonRow, channel_of, google_token_of, token_of};
pub use post_office::PostOffice;
pub use program::{Said, build, carillon, run};
pub use python::{python, python_with_dkim};
pub use server::Server;
pub use stage::{Scene, Stage};
pub use strangers::Stranger;
pub use switchboard::Switchboard;
pub use terminal::{Typed, at_terminal};

use std::time::{Duration, Instant};

/// Long enough for anything that happens at once, on a machine with two busy cores.
pub const SOON: Duration = Duration::from_secs(20);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(40);

/// Looks again and again until `look` sees something.
///
/// # Panics
/// When that takes longer than `within`; `what` says what was waited for.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < within, "waited {within:?} in vain for: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// The time so long from now, as RFC 3339.
pub fn time_in(span: Duration) -> String {
    let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let now = jiff::Timestamp::now().as_millisecond();
    jiff::Timestamp::from_millisecond(now.saturating_add(millis)).map(|at| format!("{at:.3}")).unwrap_or_default()
}

/// Quiet hours in UTC that began an hour ago and last for two hours more.
pub fn quiet_now() -> String {
    let minute = jiff::Timestamp::now().as_second().div_euclid(60).rem_euclid(1_440);
    let clock = |minute: i64| format!("{:02}:{:02}", minute.rem_euclid(1_440) / 60, minute.rem_euclid(60));
    format!("{}-{}", clock(minute - 60), clock(minute + 120))
}

/// `Some` when it holds; for [`eventually`].
pub fn when(holds: bool) -> Option<()> {
    holds.then_some(())
}

/// A PostgreSQL database of the story's own; `None`, said aloud, where PostgreSQL is not installed.
pub fn shared_database() -> Option<String> {
    let found = servers::PrivatePostgres::shared().map(servers::PrivatePostgres::database);
    if found.is_none() {
        println!("SKIPPED: PostgreSQL is not installed, so the story was told on SQLite alone");
    }
    found
}

/// The beginning of a configuration whose store is there, or in the data folder.
pub fn at(database: Option<String>) -> String {
    database.map(|address| format!("database = \"{address}\"\n\n")).unwrap_or_default()
}
