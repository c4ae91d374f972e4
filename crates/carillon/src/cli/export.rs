//! `carillon export`: writes the directory as the five CSV files, which import back without change.

use super::connect::Connection;
use super::output::Out;
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use reqwest::Method;
use serde_json::json;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;

const FILES: [&str; 5] = ["people.csv", "groups.csv", "members.csv", "devices.csv", "registrations.csv"];

const EXAMPLES: &str = "\
Examples:
  carillon export backup/
  carillon export . --json";

/// Export the directory as CSV files that import back without change.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    /// Folder for people.csv, groups.csv, members.csv, devices.csv and registrations.csv; files there are replaced
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

pub async fn command(args: Export, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    std::fs::create_dir_all(&args.folder).map_err(|e| Trouble::local(format!("{} cannot be made ({e})", args.folder.display())))?;
    let mut written = Vec::new();
    for name in FILES {
        let request = client.request(Method::GET, &["directory", "export", name], &[]);
        let response = client.accepted(request.send().await.map_err(|e| client.unreachable(&e))?).await?;
        let path = args.folder.join(name);
        let bytes = save(response, &path, |e| client.unreachable(e)).await?;
        written.push(json!({ "path": path, "bytes": bytes }));
    }
    out.say(&json!({ "files": written }), || {
        let rows = written.iter().map(|file| vec![super::output::field(file, "path"), super::output::field(file, "bytes")]);
        out.table(&["file", "bytes"], rows)
    });
    Ok(Exit::Done)
}

/// Writes beside the file first, so that a broken export never replaces a whole one. Tokens are inside: only the owner reads it.
async fn save(mut response: reqwest::Response, path: &Path, gone: impl Fn(&reqwest::Error) -> Trouble) -> Result<u64> {
    let wrong = |e: std::io::Error| Trouble::local(format!("{} cannot be written ({e})", path.display()));
    let partial = path.with_extension("csv.part");
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(&partial).await.map_err(wrong)?;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await.map_err(|e| gone(&e))? {
        file.write_all(&chunk).await.map_err(wrong)?;
        bytes += chunk.len() as u64;
    }
    file.sync_all().await.map_err(wrong)?;
    tokio::fs::rename(&partial, path).await.map_err(wrong)?;
    Ok(bytes)
}
