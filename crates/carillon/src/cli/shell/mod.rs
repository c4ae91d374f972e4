//! `carillon shell`: the documented cmdlets, over the HTTP API, with the caller's rights.
//!
//! What the cmdlets are comes from the sources' declarations; the language is the crate `shell`. Here is the front end: a
//! conversation at a terminal, a text from an option or a file, and the way to the server.

mod backend;
mod history;
mod interactive;
mod pace;
mod people;
#[cfg(test)]
mod reference;
mod screen;

use super::client::Client;
use super::connect::Connection;
use super::output::Out;
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use backend::Http;
use comfy_table::Table;
use model::Locale;
use pace::Pace;
use screen::Screen;
use shell::{Catalogue, Manner, Session, Terminal, Went};
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const EXAMPLES: &str = "\
Examples:
  carillon shell
  carillon shell -c 'Set-UMMailboxPolicy -identity MyUMMailboxPolicy -AllowMissedCallNotifications $false'
  carillon shell -f new-hires.ps1
  carillon shell --json -c 'Get-UMMailbox'

Exit codes with -c and -f: 0 when everything was done, 1 when anything was not; `exit N` ends with N.";

/// Largest script that is read, in bytes; the language itself takes less.
const SCRIPT_BYTES: u64 = 2 << 20;

/// The documented cmdlets: interactive, one line, or a script
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Admin {
    /// Run this text and leave
    #[arg(short = 'c', long = "command", value_name = "TEXT", conflicts_with = "file", allow_hyphen_values = true)]
    command: Option<String>,
    /// Run this script and leave; - reads it from the standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Every cmdlet of this build.
fn catalogue() -> (Catalogue, Vec<&'static model::objects::ObjectDeclaration>) {
    let declarations: Vec<_> = sources::all().iter().map(|source| source.declaration()).collect();
    let objects: Vec<_> = declarations.iter().flat_map(|one| one.objects).collect();
    let settings = model::policy::SETTINGS.iter().chain(declarations.iter().flat_map(|one| one.settings));
    (Catalogue::new(declarations.iter().flat_map(|one| one.cmdlets), objects.clone(), settings), objects)
}

/// The language that a person wants: `CARILLON_LANG`, else that of the environment.
fn locale(variable: impl Fn(&str) -> Option<String>) -> Locale {
    match variable("CARILLON_LANG").filter(|tag| !tag.is_empty()) {
        Some(tag) => Locale::from_tag(&tag),
        None => super::report::environment_locale(variable),
    }
}

/// Whether colours are wanted on the standard error (no-color.org).
fn wants_colour() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb") && std::io::stderr().is_terminal()
}

/// A shell, and what it needs.
pub struct Shell {
    client: Client,
    backend: Arc<Http>,
    catalogue: Arc<Catalogue>,
    manner: Manner,
    session: Session,
    screen: Screen,
    stop: Arc<AtomicBool>,
}

impl Shell {
    fn new(client: Client, json: bool, somebody: bool) -> Shell {
        let locale = locale(|name| std::env::var(name).ok());
        let (catalogue, objects) = catalogue();
        let (catalogue, pace, stop) = (Arc::new(catalogue), Arc::new(Pace::shown(locale)), Arc::new(AtomicBool::new(false)));
        let backend = Arc::new(Http::new(client.clone(), objects, locale, pace.clone()));
        let manner = Manner { locale, width: width(), json };
        let session = Session::new(catalogue.clone(), backend.clone(), manner);
        let screen = Screen { locale, somebody, colour: wants_colour(), pace, stop: stop.clone() };
        Shell { client, backend, catalogue, manner, session, screen, stop }
    }

    /// Another session over the same, for what only looks at lines.
    fn another(&self) -> Arc<Session> {
        Arc::new(Session::new(self.catalogue.clone(), self.backend.clone(), self.manner))
    }

    /// As wide as the terminal is now.
    fn fit(&mut self) {
        self.session.set_width(width());
    }

    /// Runs a text. Ctrl-C stops it behind the act that is being done, and a second one at once.
    async fn run(&mut self, text: &str) -> Went {
        self.stop.store(false, Ordering::Relaxed);
        self.backend.forget();
        self.screen.pace.begin();
        let pace = self.screen.pace.clone();
        let went = {
            let running = self.session.run(text, &mut self.screen);
            tokio::pin!(running);
            loop {
                tokio::select! {
                    went = &mut running => break went,
                    _ = tokio::signal::ctrl_c() => {
                        if self.stop.swap(true, Ordering::Relaxed) {
                            break Went::Badly;
                        }
                    }
                }
            }
        };
        pace.end();
        if self.interrupted() {
            self.screen.warn(match self.manner.locale {
                Locale::En => "stopped; the rest was not done",
                Locale::Fr => "arrêté ; le reste n’a pas été fait",
            });
        }
        went
    }

    fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Characters of a line of the terminal; no bound where there is none.
fn width() -> usize {
    let table = Table::new();
    table.width().filter(|_| std::io::stdout().is_terminal()).map_or(0, usize::from)
}

/// The text of a script.
fn script(path: &std::path::Path) -> Result<String> {
    let wrong = |why: String| Trouble::usage(format!("{} {why}", path.display()));
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(SCRIPT_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(SCRIPT_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| wrong(format!("cannot be read ({e})")))?;
    if bytes.len() as u64 > SCRIPT_BYTES {
        return Err(wrong(format!("is larger than {SCRIPT_BYTES} bytes; put what is data into a file for Import-Csv")));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not in UTF-8; save it so".into()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// Runs the shell.
///
/// # Errors
/// When there is no token, the script cannot be read, or the server is not there for a conversation.
pub async fn command(args: Admin, out: &Out) -> Result<Exit> {
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let text = match (args.command, args.file) {
        (Some(text), _) => Some(text),
        (None, Some(file)) => Some(script(&file)?),
        (None, None) if terminal => None,
        // A text that comes through a pipe is a script.
        (None, None) => Some(script("-".as_ref())?),
    };
    let client = args.connection.client().map_err(|trouble| match text {
        // A text was done or it was not.
        Some(_) => Trouble { exit: Exit::Failed, ..trouble },
        None => trouble,
    })?;
    let mut shell = Shell::new(client, out.json, terminal);
    let code = match text {
        Some(text) => {
            let _ = shell.run(&text).await;
            let code = shell.session.finish(&mut shell.screen);
            if shell.interrupted() {
                return Ok(Exit::Interrupted);
            }
            code
        }
        None => interactive::converse(shell).await?,
    };
    match code {
        0 => Ok(Exit::Done),
        1 => Ok(Exit::Failed),
        // The number that the text chose.
        other => std::process::exit(other & 0xff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_becomes_a_cmdlet_and_every_example_runs() {
        let (catalogue, _) = catalogue();
        assert_eq!(catalogue.faults(), [] as [String; 0]);
        for name in ["Set-UMMailboxPolicy", "set-csonlinedialinconferencingtenantsetting", "Get-CsPushNotificationConfiguration"] {
            assert!(catalogue.find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_language_is_the_programs_own_variable_or_the_environments() {
        let of = |pairs: &'static [(&str, &str)]| {
            locale(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[("CARILLON_LANG", "fr"), ("LANG", "en_GB.UTF-8")]), Locale::Fr);
        assert_eq!(of(&[("CARILLON_LANG", ""), ("LANG", "fr_FR.UTF-8")]), Locale::Fr);
        assert_eq!(of(&[]), Locale::En);
    }
}
