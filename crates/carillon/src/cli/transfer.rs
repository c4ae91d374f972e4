//! `carillon migrate`, `backup` and `restore`: whole stores on their way. These speak to the database itself, not to a
//! server: a backup is also for the day on which no server runs.

use super::output::{Out, Tone};
use super::trouble::{Result, Trouble};
use crate::config::{self, Config, Overrides};
use crate::exit::Exit;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use store::StoreError;
use store::transfer::{self, Copied, Database, Step, Tell};

const MIGRATE_EXAMPLES: &str = "\
Examples:
  carillon migrate --from sqlite:/var/lib/carillon/carillon.db --to postgres://carillon:secret@db.example.org/carillon
  carillon migrate --from postgres://carillon@localhost/carillon --to sqlite:./carillon-data/carillon.db

Stop every server first. Cut off at any moment, the same command run again completes it: until then no server opens the
target. The source is left as it was. The at-rest key is not part of a store: take its file along.";

const BACKUP_EXAMPLES: &str = "\
Examples:
  carillon backup /backup/carillon-2026-11-20.db --config /etc/carillon/carillon.toml
  carillon backup carillon.backup --data ./carillon-data
  carillon backup carillon.backup --database postgres://carillon@localhost/carillon

Servers may run meanwhile: the file holds one moment. The keys that seal private texts and secrets are not in it.";

const RESTORE_EXAMPLES: &str = "\
Examples:
  carillon restore /backup/carillon-2026-11-20.db --config /etc/carillon/carillon.toml
  carillon restore carillon.backup --database postgres://carillon@localhost/carillon

The target must be empty; a store that is there is left alone. Cut off at any moment, the same command run again
completes it. Put the at-rest key back as well.";

/// Move everything from SQLite to PostgreSQL, or back
#[derive(Debug, clap::Args)]
#[command(after_help = MIGRATE_EXAMPLES)]
pub struct Migrate {
    /// Where the store is: sqlite:PATH or postgres://…
    #[arg(long, value_name = "DATABASE", value_parser = Database::parse)]
    from: Database,
    /// Where it goes: an empty PostgreSQL database, or a file that does not exist
    #[arg(long, value_name = "DATABASE", value_parser = Database::parse)]
    to: Database,
}

/// Copy the store into one file, while servers run
#[derive(Debug, clap::Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub struct Backup {
    /// The file to make; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    store: Store,
}

/// Fill an empty store from a backup
#[derive(Debug, clap::Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    store: Store,
}

/// Which store is meant: the one that a server with the same options would open.
#[derive(Debug, clap::Args)]
struct Store {
    /// The store itself: sqlite:PATH or postgres://… [default: as the configuration says]
    #[arg(long, value_name = "DATABASE", value_parser = Database::parse)]
    database: Option<Database>,
    /// The server's data folder [default: ./carillon-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The server's configuration file
    #[arg(short, long, value_name = "FILE", env = "CARILLON_CONFIG")]
    config: Option<PathBuf>,
}

impl Store {
    /// The database, and where its at-rest key is.
    fn find(self) -> Result<(Database, PathBuf)> {
        let overrides = Overrides { data: self.data, ..Overrides::default() };
        let config = Config::load(self.config.as_deref(), config::environment(), &overrides)?;
        Ok((self.database.unwrap_or(config.database), config.keys.at_rest_file))
    }
}

pub async fn migrate(args: Migrate, out: &Out) -> Result<Exit> {
    let began = Instant::now();
    let (from, to) = (args.from.to_string(), args.to.to_string());
    let copied = transfer::migrate(args.from, args.to, progress(out)).await.map_err(trouble)?;
    let words = format!("Everything moved from {from} to {to}: write the new one into the configuration as database.");
    done(out, &copied, began, &json!({ "from": from, "to": to }), &words, None);
    Ok(Exit::Done)
}

pub async fn backup(args: Backup, out: &Out) -> Result<Exit> {
    let began = Instant::now();
    let (database, key) = args.store.find()?;
    let from = database.to_string();
    let copied = transfer::backup(database, args.file.clone(), progress(out)).await.map_err(trouble)?;
    let bytes = std::fs::metadata(&args.file).map_or(0, |meta| meta.len());
    let words = format!("{from} is copied into {} ({bytes} bytes).", args.file.display());
    done(out, &copied, began, &json!({ "from": from, "file": args.file, "bytes": bytes }), &words, Some(&key));
    Ok(Exit::Done)
}

pub async fn restore(args: Restore, out: &Out) -> Result<Exit> {
    let began = Instant::now();
    let (database, key) = args.store.find()?;
    let to = database.to_string();
    let copied = transfer::restore(args.file.clone(), database, progress(out)).await.map_err(trouble)?;
    let words = format!("{to} is filled from {}.", args.file.display());
    done(out, &copied, began, &json!({ "file": args.file, "to": to }), &words, Some(&key));
    Ok(Exit::Done)
}

/// A line for each table that had rows, and for each hundred thousand of them, on standard error; a program that reads is
/// told at the end.
fn progress(out: &Out) -> Tell {
    const OFTEN: u64 = 100_000;
    let (quiet, last) = (out.json, std::sync::Mutex::new(None::<Step>));
    let line = |step: Step| eprintln!("{:>3}/{} {}: {} rows", step.place, step.tables, step.table, step.rows);
    Arc::new(move |step| {
        let mut last = last.lock().expect("nobody panics while it holds this");
        let before = last.replace(step);
        if quiet {
            return true;
        }
        match before {
            Some(before) if before.table != step.table && before.rows > 0 => line(before),
            Some(before) if before.table == step.table && before.rows / OFTEN != step.rows / OFTEN => line(step),
            _ => {}
        }
        true
    })
}

fn done(out: &Out, copied: &Copied, began: Instant, about: &serde_json::Value, words: &str, key: Option<&std::path::Path>) {
    let tables: serde_json::Map<String, serde_json::Value> =
        copied.tables.iter().map(|(name, rows)| ((*name).to_owned(), json!(rows))).collect();
    let mut object = json!({ "rows": copied.rows(), "tables": tables, "milliseconds": began.elapsed().as_millis() as u64,
        "keysIncluded": false });
    if let (Some(object), Some(about)) = (object.as_object_mut(), about.as_object()) {
        object.extend(about.clone());
    }
    out.say(&object, || {
        let rows = copied.tables.iter().filter(|(_, rows)| *rows > 0).map(|(name, rows)| vec![(*name).to_owned(), rows.to_string()]);
        let table = out.table(&["table", "rows"], rows);
        let keys = match key {
            Some(key) => format!("The at-rest key is not in it: keep {} apart, without it private texts cannot be read.", key.display()),
            None => "The at-rest key is not part of a store: take its file along.".to_owned(),
        };
        format!("{table}\n{}\n{}", out.paint(Tone::Good, words), out.paint(Tone::Waiting, keys))
    });
}

fn trouble(error: StoreError) -> Trouble {
    match error {
        StoreError::Unavailable(why) => Trouble::new(Exit::Unavailable, "store_unavailable", why),
        other => Trouble::local(other.to_string()),
    }
}
