//! `carillon doctor`: tests everything that sending needs, and says in a sentence what is wrong and what to do. It reads the
//! configuration as `serve` does, beside a server that runs or without one, and sends nothing to anybody. Nothing is made or
//! changed.

use super::client::Client;
use super::connect::{ADDRESS_FILE, TOKEN_FILE, place_on_this_machine};
use super::output::{Out, Tone, field};
use super::trouble::Result;
use crate::config::{self, Config, Faults, Overrides, ServerTls};
use crate::exit::Exit;
use crate::{tls, wire};
use model::channel::{Finding, Grade};
use model::{Channel, ChannelKind};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::transfer::Database;

const EXAMPLES: &str = "\
Examples:
  carillon doctor --config /etc/carillon/carillon.toml
  carillon doctor --data ./carillon-data
  carillon doctor --config carillon.toml --json

Exits 0 when nothing is wrong (warnings apart), 2 when the configuration or a key file is, 1 when something else is.";

/// A clock that is so far off is worth a look; provider tokens still work.
const CLOCK_WARNING_MS: u64 = 5_000;
/// Tokens are refused, and limits and leases mean something else than they say.
const CLOCK_ERROR_MS: u64 = 60_000;

/// Test the configuration, every provider, key, the database and the clock.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {
    /// Folder of everything that the server keeps [default: ./carillon-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file
    #[arg(short, long, value_name = "FILE", env = "CARILLON_CONFIG")]
    config: Option<PathBuf>,
}

/// What was found about one subject.
struct Check {
    /// `configuration`, `key files`, `database`, `server`, `clock`, or a channel.
    subject: &'static str,
    finding: Finding,
}

/// A certificate that ends sooner should have been renewed by now.
const CERTIFICATE_WARNING_S: i64 = 21 * 86_400;

const CONFIGURATION: &str = "configuration";
const LISTENER: &str = "listener";
const FILES: &str = "key files";
const DATABASE: &str = "database";
const SERVER: &str = "server";
const CLOCK: &str = "clock";
const CHANNELS: &str = "channels";

pub async fn command(args: Doctor, out: &Out) -> Result<Exit> {
    let overrides = Overrides { data: args.data, ..Overrides::default() };
    let checks = match Config::load(args.config.as_deref(), config::environment(), &overrides) {
        Ok(config) => examine(&config).await,
        Err(Faults(faults)) => {
            let wrong = |fault| Check { subject: CONFIGURATION, finding: Finding::wrong("faults", fault, "") };
            let mut checks: Vec<Check> = faults.into_iter().map(wrong).collect();
            let mend = "mend the configuration, then run doctor again";
            let rest = Finding::doubtful("rest", "providers, database and clock were not tried", mend);
            checks.push(Check { subject: CONFIGURATION, finding: rest });
            checks
        }
    };
    out.say(&object(&checks), || words(out, &checks));
    Ok(exit(&checks))
}

async fn examine(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    let note = |checks: &mut Vec<Check>, subject, finding| checks.push(Check { subject, finding });
    note(&mut checks, CONFIGURATION, Finding::fine("file", "every key is known and every file that it names is there"));
    for warning in &config.warnings {
        note(&mut checks, CONFIGURATION, Finding::doubtful("file", warning.clone(), "use a build that has it, or take the section out"));
    }
    files(config).into_iter().for_each(|finding| note(&mut checks, FILES, finding));

    if let Some(files) = &config.server.tls {
        certificate(files, jiff::Timestamp::now().as_second()).into_iter().for_each(|finding| note(&mut checks, LISTENER, finding));
    }

    let clock = wire::SystemClock;
    let inspection = store::inspect::inspect(&config.database, &clock).await;
    let mut clocks: Vec<(String, i64)> = Vec::new();
    clocks.extend(inspection.probe.clock_ahead_ms.map(|ahead| ("the database".to_owned(), ahead)));
    inspection.probe.findings.into_iter().for_each(|finding| note(&mut checks, DATABASE, finding));
    // A data file tells by its lock; of several servers on PostgreSQL, the one of this folder may run or not.
    let data = &config.server.data;
    if inspection.in_use || (matches!(config.database, Database::Postgres(_)) && data.join(ADDRESS_FILE).exists()) {
        server(data, inspection.in_use).await.into_iter().for_each(|finding| note(&mut checks, SERVER, finding));
    }

    match senders(config) {
        Err(error) => note(&mut checks, CHANNELS, Finding::wrong("settings", format!("{error:#}"), "")),
        Ok(senders) if senders.is_empty() => {
            note(&mut checks, CHANNELS, Finding::fine("settings", "no provider is configured; the inbox always works"));
        }
        Ok(senders) => {
            let probes = futures_util::future::join_all(senders.iter().map(|sender| sender.probe(&clock))).await;
            for (sender, probe) in senders.iter().zip(probes) {
                clocks.extend(probe.clock_ahead_ms.map(|ahead| (sender.kind().word().to_owned(), ahead)));
                probe.findings.into_iter().for_each(|finding| note(&mut checks, sender.kind().word(), finding));
            }
        }
    }
    note(&mut checks, CLOCK, clock_finding(&clocks));
    checks
}

/// The listener's certificate and its key.
fn certificate(files: &ServerTls, now: i64) -> Vec<Finding> {
    let mend = "renew it; the server reads the files again by itself";
    let pair = match tls::read(files).and_then(|pair| pair.start().map(|_| pair)) {
        Ok(pair) => pair,
        Err(why) => return vec![Finding::wrong("certificate", why, "name the certificate's own key in [server.tls] key_file")],
    };
    let left = pair.not_after - now;
    let at = jiff::Timestamp::from_second(pair.not_after).map(|at| at.to_string()).unwrap_or_default();
    let validity = match left {
        ..=0 => Finding::wrong("validity", format!("the certificate ran out at {at}; clients refuse it"), mend),
        1..CERTIFICATE_WARNING_S => Finding::doubtful("validity", format!("the certificate ends in {} days, at {at}", left / 86_400), mend),
        _ => Finding::fine("validity", format!("the certificate holds until {at}")),
    };
    vec![Finding::fine("certificate", "certificate and key belong together"), validity, guarded("the certificate's key", &files.key_file)]
}

/// The senders, as `serve` makes them. Without a key for Web Push, which the first start makes, that channel is left out.
fn senders(config: &Config) -> anyhow::Result<Vec<Arc<dyn Channel>>> {
    let mut config = config.clone();
    let vapid = std::fs::read_to_string(&config.keys.vapid_file).unwrap_or_default();
    if vapid.is_empty() {
        config.channels.webpush = None;
    }
    wire::channels(&config, vapid)
}

/// Every file that holds a secret: there, readable, right, and not for everybody. What the configuration itself names was
/// read when it was loaded.
fn files(config: &Config) -> Vec<Finding> {
    let channels = &config.channels;
    let made_before = config.server.data.join(TOKEN_FILE).exists();
    let mut findings = vec![
        kept("at-rest key", &config.keys.at_rest_file, made_before, at_rest_fault),
        kept("VAPID key", &config.keys.vapid_file, made_before, |text| channels::vapid_public_key(text).err().map(|e| e.rule)),
    ];
    let named = [
        ("Apple's signing key", channels.apns.as_ref().map(|c| c.key_file.clone())),
        ("Google's service account", channels.fcm.as_ref().map(|c| c.service_account_file.clone())),
        ("Microsoft's client secret", channels.wns.as_ref().map(|c| c.secret_file.clone())),
        ("the relay's password", channels.email.as_ref().and_then(|c| c.password_file.clone())),
        ("the key that signs mail", channels.email.as_ref().and_then(|c| c.dkim.as_ref()).map(|d| d.key_file.clone())),
        ("the first token", Some(config.server.data.join(TOKEN_FILE)).filter(|file| file.exists())),
    ];
    findings.extend(named.into_iter().filter_map(|(what, file)| Some(guarded(what, &file?))));
    findings
}

fn at_rest_fault(text: &str) -> Option<String> {
    crate::key_files::parse_at_rest(text).err()
}

/// A key that the first start makes and that must never be lost after it.
fn kept(what: &'static str, file: &Path, made_before: bool, fault: impl Fn(&str) -> Option<String>) -> Finding {
    let shown = file.display();
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !made_before => {
            Finding::fine(what, format!("{shown} is not there yet; the first start makes it"))
        }
        Err(error) => {
            let mend = "restore it from its backup; with another key, what was sealed or subscribed with this one is lost";
            Finding::wrong(what, format!("{shown} cannot be read ({error})"), mend)
        }
        Ok(text) => match fault(&text) {
            Some(fault) => Finding::wrong(what, format!("{shown} is not a key: {fault}"), "restore it from its backup"),
            None => guarded(what, file),
        },
    }
}

/// Whether a secret is for its owner only, or its group.
fn guarded(what: &'static str, file: &Path) -> Finding {
    let shown = file.display();
    match std::fs::metadata(file) {
        Err(error) => Finding::wrong(what, format!("{shown} cannot be read ({error})"), "name a file that the server may read"),
        Ok(meta) => match meta.permissions().mode() & 0o777 {
            mode if mode & 0o007 != 0 => {
                Finding::doubtful(what, format!("{shown} is for everybody on this machine (mode {mode:03o})"), format!("chmod 600 {shown}"))
            }
            mode if mode & 0o020 != 0 => {
                Finding::doubtful(what, format!("{shown} can be changed by its group (mode {mode:03o})"), format!("chmod 640 {shown}"))
            }
            mode => Finding::fine(what, format!("{shown} is right (mode {mode:03o})")),
        },
    }
}

/// Asks the server of the data folder, which is known to run or may: whether it answers, and what it wants to be mended.
async fn server(data: &Path, runs: bool) -> Vec<Finding> {
    let line = |name: &str| std::fs::read_to_string(data.join(name)).ok().and_then(|text| text.lines().next().map(str::to_owned));
    let Some(url) = line(ADDRESS_FILE) else {
        return vec![Finding::doubtful("answer", "the server has not said yet where it listens", "wait until it has started")];
    };
    let asked = match Client::at(&url, place_on_this_machine(data), line(TOKEN_FILE)) {
        Ok(client) => client.get(&["alarms"], &[]).await,
        Err(trouble) => Err(trouble),
    };
    match asked {
        Ok(alarms) => {
            let mut findings = vec![Finding::fine("answer", format!("the server at {url} answers"))];
            let open = alarms["items"].as_array().into_iter().flatten().filter(|alarm| alarm["clearedAt"].is_null());
            findings.extend(open.map(|alarm| {
                let found = format!("the alarm {} is open since {}", field(alarm, "code"), field(alarm, "raisedAt"));
                Finding::doubtful("alarm", found, field(alarm, "detail"))
            }));
            findings
        }
        Err(trouble) if trouble.exit == Exit::NotAllowed => {
            let found =
                format!("the server at {url} answers, but the token in {TOKEN_FILE} no longer opens it, so alarms are not asked for");
            vec![Finding::fine("answer", found)]
        }
        Err(_) if !runs => vec![Finding::fine("answer", format!("no server answers at {url}, where the last one of this folder listened"))],
        Err(trouble) => {
            let mend = "look at its log; if it hangs, stop it with SIGTERM and start it again";
            vec![Finding::wrong("answer", format!("a server runs, but does not answer: {}", trouble.detail), mend)]
        }
    }
}

/// This machine's clock against everybody who told the time.
fn clock_finding(clocks: &[(String, i64)]) -> Finding {
    let Some((who, ahead)) = clocks.iter().max_by_key(|(_, ahead)| ahead.unsigned_abs()) else {
        return Finding::fine("time", "nobody told the time to compare with");
    };
    let off = ahead.unsigned_abs();
    if off <= CLOCK_WARNING_MS {
        let names: Vec<&str> = clocks.iter().map(|(who, _)| who.as_str()).collect();
        return Finding::fine("time", format!("this machine's clock agrees with {}", names.join(", ")));
    }
    let direction = if *ahead > 0 { "behind" } else { "ahead of" };
    let found = format!("this machine's clock is {} s {direction} that of {who}", off.div_ceil(1000));
    let mend = "let it follow a time server (systemctl enable --now systemd-timesyncd, or chrony); tokens are refused when it is off";
    if off > CLOCK_ERROR_MS { Finding::wrong("time", found, mend) } else { Finding::doubtful("time", found, mend) }
}

fn count(checks: &[Check], grade: Grade) -> usize {
    checks.iter().filter(|check| check.finding.grade == grade).count()
}

fn exit(checks: &[Check]) -> Exit {
    let wrong = |subject: &[&str]| checks.iter().any(|c| c.finding.grade == Grade::Wrong && subject.contains(&c.subject));
    if wrong(&[CONFIGURATION, FILES, CHANNELS]) {
        Exit::Use
    } else if count(checks, Grade::Wrong) > 0 {
        Exit::Failed
    } else {
        Exit::Done
    }
}

fn object(checks: &[Check]) -> Value {
    let checks_shown: Vec<Value> = checks
        .iter()
        .map(|Check { subject, finding }| {
            json!({ "subject": subject, "step": finding.step, "grade": finding.grade, "found": finding.found, "mend": finding.mend })
        })
        .collect();
    let (errors, warnings) = (count(checks, Grade::Wrong), count(checks, Grade::Doubtful));
    json!({ "ok": errors == 0, "errors": errors, "warnings": warnings, "checks": checks_shown })
}

fn words(out: &Out, checks: &[Check]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut last = "";
    for Check { subject, finding } in checks {
        if *subject != last {
            if !last.is_empty() {
                lines.push(String::new());
            }
            lines.push(out.paint(Tone::Strong, title(subject)));
            last = subject;
        }
        let tone = match finding.grade {
            Grade::Fine => Tone::Good,
            Grade::Doubtful => Tone::Waiting,
            Grade::Wrong => Tone::Bad,
        };
        lines.push(format!("  {}  {}: {}", out.paint(tone, format!("{:7}", finding.grade.word())), finding.step, finding.found));
        if !finding.mend.is_empty() {
            lines.push(format!("           → {}", finding.mend));
        }
    }
    let (errors, warnings) = (count(checks, Grade::Wrong), count(checks, Grade::Doubtful));
    let said = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    lines.push(String::new());
    lines.push(match (errors, warnings) {
        (0, 0) => out.paint(Tone::Good, "All is well."),
        (0, _) => out.paint(Tone::Waiting, format!("It works, with {}.", said(warnings, "warning"))),
        _ => out.paint(Tone::Bad, format!("{}, {}.", said(errors, "error"), said(warnings, "warning"))),
    });
    lines.join("\n")
}

fn title(subject: &str) -> String {
    match ChannelKind::from_word(subject) {
        Some(kind) => format!("[channels.{kind}]"),
        None => subject.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subject: &'static str, finding: Finding) -> Check {
        Check { subject, finding }
    }

    #[test]
    fn the_exit_says_whether_the_configuration_or_something_else_is_wrong() {
        let fine = || check(DATABASE, Finding::fine("database", "it is there"));
        assert_eq!(exit(&[fine(), check(CLOCK, Finding::doubtful("time", "8 s", "set it"))]), Exit::Done);
        assert_eq!(exit(&[fine(), check("apns", Finding::wrong("TLS", "expired", "renew it"))]), Exit::Failed);
        assert_eq!(exit(&[check("apns", Finding::wrong("TLS", "", "")), check(FILES, Finding::wrong("key", "", ""))]), Exit::Use);
    }

    #[test]
    fn a_clock_is_a_warning_over_five_seconds_and_an_error_over_a_minute() {
        let grade = |ahead: &[i64]| clock_finding(&ahead.iter().map(|a| ("fcm".to_owned(), *a)).collect::<Vec<_>>()).grade;
        assert_eq!(grade(&[]), Grade::Fine);
        assert_eq!(grade(&[0, -5_000]), Grade::Fine);
        assert_eq!(grade(&[0, 5_001]), Grade::Doubtful);
        assert_eq!(grade(&[-60_001, 0]), Grade::Wrong);
        let said = clock_finding(&[("fcm".to_owned(), 90_000)]).found;
        assert_eq!(said, "this machine's clock is 90 s behind that of fcm");
    }

    #[test]
    fn findings_are_said_by_subject_with_the_mend() {
        let checks = [
            check(CONFIGURATION, Finding::fine("file", "fine")),
            check("apns", Finding::fine("connection", "it can be reached")),
            check("apns", Finding::wrong("signing key", "Apple refuses it", "name another")),
        ];
        let said = words(&Out::plain(), &checks);
        assert!(
            said.contains("[channels.apns]\n  ok       connection: it can be reached\n  error    signing key: Apple refuses it\n"),
            "{said}"
        );
        assert!(said.contains("→ name another") && said.ends_with("1 error, 0 warnings."), "{said}");
        let object = object(&checks);
        assert_eq!(
            (&object["ok"], &object["checks"][2]["grade"], &object["checks"][2]["mend"]),
            (&json!(false), &json!("error"), &json!("name another"))
        );
    }

    #[test]
    fn a_secret_for_everybody_is_a_warning_and_a_lost_key_an_error() {
        let folder = std::env::temp_dir().join(format!("carillon-doctor-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("at-rest.key");
        assert_eq!(kept("at-rest key", &file, false, at_rest_fault).grade, Grade::Fine);
        assert_eq!(kept("at-rest key", &file, true, at_rest_fault).grade, Grade::Wrong);
        for (text, mode, grade) in
            [("ab".repeat(32), 0o600, Grade::Fine), ("ab".repeat(32), 0o644, Grade::Doubtful), ("ab".into(), 0o600, Grade::Wrong)]
        {
            std::fs::write(&file, text).expect("written");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(kept("at-rest key", &file, true, at_rest_fault).grade, grade, "{mode:o}");
        }
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
