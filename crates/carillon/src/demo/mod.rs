//! `carillon demo`: Carillon on SQLite in a fresh folder, with a sample organization and fake providers.
//!
//! The server is the real one, and everything that is put into it goes through its HTTP API. Only the demo starts
//! fakes, and it names them as fakes. Nothing leaves this machine.

mod organization;
mod providers;
#[cfg(test)]
mod tests;

use crate::cli::client::Client;
use crate::cli::output::{Out, Tone};
use crate::cli::serve::{quoted, run, stop_when_asked};
use crate::cli::{Result, Trouble};
use crate::config::{Config, Overrides};
use crate::exit::Exit;
use crate::wire::Ready;
use providers::Providers;
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// The port of a server that was told nothing; another free one is taken when something else is there.
const USUAL_PORT: u16 = 8480;

const EXAMPLES: &str = "\
Examples:
  carillon demo
  carillon demo --port 9000
  carillon demo --data ./demo-data

Ctrl-C stops it. Without --data its folder is removed then.";

/// Run a server with a sample organization and fake providers, to look around. Nothing leaves this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// Port to listen on [default: 8480, or a free one when that is taken]
    #[arg(long)]
    port: Option<u16>,
    /// New or empty folder to keep everything in [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub async fn command(args: Demo, out: &Out) -> Result<Exit> {
    let folder = Folder::open(args.data.as_deref())?;
    crate::log::to_stderr(&crate::config::Log { level: "error".into(), format: None }, out.json);
    let stop = CancellationToken::new();
    stop_when_asked(&stop);
    let providers = Providers::start(&folder.path).await?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port.unwrap_or_else(free_port)));
    let overrides = Overrides { data: Some(folder.path.clone()), listen: Some(listen), ..Overrides::default() };
    // Not from the environment: a variable meant for a real server must not bring a real provider into the demo.
    let config = Config::load(Some(&providers.config_file), [], &overrides)?;
    let beside = async |ready: Ready| {
        tokio::select! {
            shown = show(&ready, &providers, &folder.path, out) => shown,
            () = stop.cancelled() => Ok(()),
        }
    };
    match run(config, &[], &stop, false, beside).await {
        // Ctrl-C while the organization was being imported: the demo was told to stop, and did.
        Err(trouble) if trouble.exit == Exit::Interrupted && stop.is_cancelled() => Ok(Exit::Done),
        ended => ended.map(|()| Exit::Done),
    }
}

/// Fills the server, says what there is to see, and plays the devices until it is stopped.
async fn show(ready: &Ready, providers: &Providers, folder: &Path, out: &Out) -> Result<()> {
    let token = std::fs::read_to_string(&ready.token_file)
        .map_err(|e| Trouble::local(format!("{} cannot be read ({e})", ready.token_file.display())))?;
    let client = Client::new(&ready.url, Some(token.trim().to_owned()))?;
    let apps = organization::fill(&client, providers).await?;
    let guide = Guide::new(ready, providers, folder);
    out.say(&guide.object(), || guide.text(out));
    apps.play().await
}

/// The demo's data folder. A temporary one is removed when the demo ends, however it ends.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn open(given: Option<&Path>) -> Result<Folder> {
        let temporary = given.is_none();
        let path =
            given.map_or_else(|| std::env::temp_dir().join(format!("carillon-demo-{}", uuid::Uuid::new_v4().simple())), Path::to_owned);
        let wrong = |e: std::io::Error| Trouble::local(format!("{} cannot be used ({e}); name another folder with --data", path.display()));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&path).map_err(wrong)?;
        if std::fs::read_dir(&path).map_err(wrong)?.next().is_some() {
            let mend = "the demo starts afresh; name a new or empty folder, or run `carillon serve --data` on this one";
            return Err(Trouble::usage(format!("{} is not empty: {mend}", path.display())));
        }
        let path = path.canonicalize().map_err(wrong)?;
        Ok(Folder { path, temporary })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // Nothing to be done when the system keeps it; it lies where temporary things lie.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// The usual port if nobody listens there, else 0: the system chooses.
fn free_port() -> u16 {
    if TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT)).is_ok() { USUAL_PORT } else { 0 }
}

/// This program, as it can be called again.
fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "carillon".into())
}

/// What the demo says when it is ready.
struct Guide {
    url: String,
    folder: PathBuf,
    token_file: PathBuf,
    commands: [(&'static str, String); 3],
    fakes: Vec<(&'static str, String, String)>,
}

impl Guide {
    fn new(ready: &Ready, providers: &Providers, folder: &Path) -> Guide {
        let carillon = quoted(&program());
        let data = quoted(folder);
        let body = "\"At ten. Leave by the stairs, not by the lift.\"";
        let commands = [
            (
                "Send to everybody, through nested groups with a cycle, and watch:",
                format!("{carillon} send --data {data} --group \"All staff\" --title \"Fire drill\" --body {body} --wait"),
            ),
            ("Ask why Camille got it here and not there:", format!("{carillon} why --data {data} last {}", organization::CAMILLE)),
            ("See what reached the fake Apple:", format!("curl -s '{}/_fake/log?limit=3'", providers.apple_control())),
        ];
        Guide {
            url: ready.url.clone(),
            folder: folder.to_owned(),
            token_file: ready.token_file.clone(),
            commands,
            fakes: providers.listed(),
        }
    }

    fn object(&self) -> serde_json::Value {
        let commands: Vec<&String> = self.commands.iter().map(|(_, command)| command).collect();
        let fakes: Vec<_> =
            self.fakes.iter().map(|(name, address, control)| json!({ "fake": name, "address": address, "control": control })).collect();
        json!({ "url": self.url, "data": self.folder, "tokenFile": self.token_file, "commands": commands, "fakes": fakes })
    }

    fn text(&self, out: &Out) -> String {
        let head = |text: &str| out.paint(Tone::Strong, text);
        let mut lines = vec![
            format!("{} {}", head("Carillon demo:"), out.paint(Tone::Good, &self.url)),
            "60 people in two languages, nested groups, about 150 devices; API reference at /docs.".to_owned(),
            format!("Data: {}", self.folder.display()),
            String::new(),
            head("To sign in (the owner's token):"),
            format!("  export CARILLON_URL={}", self.url),
            format!("  export CARILLON_TOKEN=\"$(cat {})\"", quoted(&self.token_file)),
            String::new(),
            head("Three commands to try, in another terminal:"),
        ];
        for (n, (what, command)) in self.commands.iter().enumerate() {
            lines.push(format!("{}. {what}\n   {command}", n + 1));
        }
        let settings = format!("{} settings set --data {}", quoted(&program()), quoted(&self.folder));
        lines
            .push(format!("\nWindows push is switched off, to show what that does. To switch it on:\n   {settings} push.wns.enabled true"));
        lines.push(format!("\n{}", head("Fake providers, started by this demo alone; nothing leaves this machine:")));
        for (name, address, control) in &self.fakes {
            lines.push(format!("  {name} at {address}, what it got: {control}"));
        }
        lines.push(format!("\n{}", out.paint(Tone::Faint, "Ctrl-C stops it.")));
        lines.join("\n")
    }
}
