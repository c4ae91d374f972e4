//! `carillon notification`: what was sent, how far it is, and what to do about it.

use super::connect::Connection;
use super::listing::{self, Portion};
use super::output::{Out, Tone, cell, counted, field, number, text};
use super::report::{self, Form};
use super::trouble::Result;
use super::wait;
use crate::exit::Exit;
use clap::Subcommand;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  carillon notification list --limit 10
  carillon notification show 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11 --deliveries --state held
  carillon notification watch 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11
  carillon notification resend 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11 --failed";

const REPORT_EXAMPLES: &str = "\
Examples:
  carillon notification report last
  carillon notification report ID --format csv > report.csv
  carillon notification report last --format html --locale fr > rapport.html";

/// List, follow, cancel, resend and report notifications.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Notification {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List notifications, newest first: every event, also those of which nothing went
    #[command(
        after_help = "Examples:\n  carillon notification list --limit 10\n  carillon notification list --kind call.missed\n  carillon notification list --all --json"
    )]
    List {
        /// Only of this type of event, such as call.missed
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        #[command(flatten)]
        portion: Portion,
    },
    /// Show one, or its deliveries
    #[command(after_help = "Examples:\n  carillon notification show ID\n  carillon notification show ID --deliveries --state held")]
    Show {
        /// Its id, or last for the newest
        id: String,
        /// List its deliveries
        #[arg(long)]
        deliveries: bool,
        /// Only deliveries in this state: scheduled, held, accepted, suppressed, rejected, gone, expired, cancelled
        #[arg(long, value_name = "STATE", requires = "deliveries")]
        state: Option<String>,
        /// Only deliveries of this channel: apns, fcm, wns, webpush, email, inbox
        #[arg(long, value_name = "CHANNEL", requires = "deliveries")]
        channel: Option<String>,
        /// Only deliveries with this reason code
        #[arg(long, value_name = "CODE", requires = "deliveries")]
        reason: Option<String>,
        #[command(flatten)]
        portion: Portion,
    },
    /// Follow one until every delivery is final, or held for longer than a minute
    #[command(after_help = "Examples:\n  carillon notification watch ID\n  carillon notification watch ID --exit-status")]
    Watch {
        /// Its id, or last for the newest
        id: String,
        /// Exit 1 when some delivery failed
        #[arg(long)]
        exit_status: bool,
    },
    /// Stop one: what has not been sent is not sent, and apps withdraw what they show
    #[command(after_help = "Example:\n  carillon notification cancel ID")]
    Cancel {
        /// Its id
        id: String,
    },
    /// Send one again, to all, to those whom it failed to reach, or to those who did not open it
    #[command(after_help = "Examples:\n  carillon notification resend ID --failed\n  carillon notification resend ID --unopened --wait")]
    Resend {
        /// Its id
        id: String,
        /// Only to those whom it failed to reach
        #[arg(long, conflicts_with = "unopened")]
        failed: bool,
        /// Only to those who did not open it
        #[arg(long)]
        unopened: bool,
        /// Follow it until every delivery is final, or held for longer than a minute
        #[arg(short, long)]
        wait: bool,
        /// With --wait: exit 1 when some delivery failed
        #[arg(long, requires = "wait")]
        exit_status: bool,
    },
    /// Report on one: text, sender, time, what was forecast and what became of it; outlives the text
    #[command(after_help = REPORT_EXAMPLES)]
    Report {
        /// Its id, or last for the newest
        id: String,
        #[command(flatten)]
        form: Form,
    },
}

pub async fn command(args: Notification, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    match args.action {
        Action::List { kind, portion } => {
            let query: Vec<(&str, &str)> = kind.iter().map(|kind| ("kind", kind.as_str())).collect();
            let page = listing::fetch(&client, &["notifications"], &query, &portion).await?;
            let columns = ["id", "createdAt", "kind", "user", "state", "title", "recipients", "accepted", "failed", "shown", "opened"];
            listing::print_rows(out, &page, &columns, "No notification was sent yet.", list_cell)
        }
        Action::Show { id, deliveries: false, .. } => {
            let id = report::id_of(&client, &id).await?;
            let one = client.get(&["notifications", &id], &[]).await?;
            out.say(&one, || summary(out, &one));
            Ok(Exit::Done)
        }
        Action::Show { id, state, channel, reason, portion, .. } => {
            let id = report::id_of(&client, &id).await?;
            let filters = [("state", &state), ("channel", &channel), ("reason", &reason)];
            let query: Vec<(&str, &str)> = filters.iter().filter_map(|(name, value)| value.as_deref().map(|v| (*name, v))).collect();
            let page = listing::fetch(&client, &["notifications", &id, "deliveries"], &query, &portion).await?;
            let columns = ["upn", "channel", "deviceName", "state", "reasonCode", "attempts", "due"];
            listing::print(out, &page, &columns, "No delivery like that.")
        }
        Action::Watch { id, exit_status } => {
            let id = report::id_of(&client, &id).await?;
            let one = client.get(&["notifications", &id], &[]).await?;
            if !out.json {
                out.line(summary(out, &one));
            }
            wait::follow_and_print(&client, out, one, exit_status).await
        }
        Action::Cancel { id } => {
            let one = client.post(&["notifications", &id, "cancel"], &json!({})).await?;
            out.say(&one, || summary(out, &one));
            Ok(Exit::Done)
        }
        Action::Resend { id, failed, unopened, wait, exit_status } => {
            let body = match (failed, unopened) {
                (true, _) => json!({ "only": "failed" }),
                (_, true) => json!({ "only": "unopened" }),
                (false, false) => json!({}),
            };
            let one = client.post(&["notifications", &id, "resend"], &body).await?;
            if !wait {
                out.say(&one, || summary(out, &one));
                return Ok(Exit::Done);
            }
            if !out.json {
                out.line(summary(out, &one));
            }
            wait::follow_and_print(&client, out, one, exit_status).await
        }
        Action::Report { id, form } => report::show(&client, out, &id, &form).await,
    }
}

fn list_cell(item: &Value, column: &str) -> String {
    let counts = &item["counts"];
    match column {
        "user" => only_user(item).to_owned(),
        "title" if item["title"].is_null() => "(not shown)".into(),
        "recipients" | "accepted" | "shown" | "opened" => field(counts, column),
        "failed" => (number(counts, "rejected") + number(counts, "gone") + number(counts, "expired")).to_string(),
        other => listing::shown(item, other),
    }
}

/// To whom it is, where that is one person.
fn only_user(item: &Value) -> &str {
    let named = |kind: &str| item["addressed"][kind].as_array().map(Vec::as_slice).unwrap_or_default();
    match (named("users"), named("groups"), named("devices")) {
        ([one], [], []) => text(one, "name"),
        _ => "",
    }
}

/// A notification in a few lines: ids, words, whom it names, how far it is, and the author's warnings.
pub fn summary(out: &Out, one: &Value) -> String {
    let names = |kind: &str| {
        let list = one["addressed"][kind].as_array().into_iter().flatten();
        list.map(|o| field(o, "name")).collect::<Vec<_>>().join(", ")
    };
    let said = match (text(one, "title"), text(one, "body")) {
        ("", "") => "(not shown)".to_owned(),
        (title, body) => format!("{}\n{}", out.paint(Tone::Strong, cell(&json!(title))), cell(&json!(body))),
    };
    let counts = &one["counts"];
    let planned = format!("{} of {}", number(counts, "planned"), counted(number(counts, "recipients"), "recipient", "recipients"));
    let state = text(one, "state");
    let tone = if matches!(state, "done" | "sending") { Tone::Good } else { Tone::Waiting };
    let mut pairs = vec![
        ("id", field(one, "id")),
        ("eventId", field(one, "eventId")),
        ("text", said),
        ("groups", names("groups")),
        ("users", names("users")),
        ("devices", names("devices")),
        ("sender", field(one, "sender")),
        ("resend of", field(one, "resendOf")),
        ("accepted at", field(one, "createdAt")),
    ];
    if one["dueAt"] != one["createdAt"] {
        pairs.push(("due at", field(one, "dueAt")));
    }
    pairs.extend([
        ("expires at", field(one, "expiresAt")),
        ("state", out.paint(tone, state)),
        ("planned", planned),
        ("deliveries", format!("{}  {}", number(counts, "deliveries"), counts_line(counts)).trim_end().to_owned()),
    ]);
    let mut text = out.pairs(&pairs);
    for warning in one["warnings"].as_array().into_iter().flatten() {
        text.push_str(&format!("\n{} {}", out.paint(Tone::Waiting, "note:"), cell(warning)));
    }
    text
}

/// The counts that are not zero: deliveries in the order in which they move, then what people's devices said.
pub fn counts_line(counts: &Value) -> String {
    const DELIVERIES: [&str; 8] = ["scheduled", "held", "accepted", "suppressed", "rejected", "gone", "expired", "cancelled"];
    const RECEIPTS: [&str; 4] = ["received", "shown", "opened", "dismissed"];
    let part = |names: &[&str]| {
        let shown = names.iter().filter(|name| number(counts, name) > 0);
        shown.map(|name| format!("{} {name}", number(counts, name))).collect::<Vec<_>>().join(", ")
    };
    let parts = [part(&DELIVERIES), part(&RECEIPTS)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_the_kind_and_the_one_person_whom_an_event_is_for() {
        let event =
            |users: Value, groups: Value| json!({"kind": "call.missed", "addressed": {"groups": groups, "users": users, "devices": []}});
        let (ada, ben, lyon) = (json!({"name": "ada@example.org"}), json!({"name": "ben@example.org"}), json!({"name": "Lyon"}));
        let one = event(json!([ada]), json!([]));
        assert_eq!((list_cell(&one, "kind").as_str(), list_cell(&one, "user").as_str()), ("call.missed", "ada@example.org"));
        for many in [event(json!([ada, ben]), json!([])), event(json!([ada]), json!([lyon])), event(json!([]), json!([lyon]))] {
            assert_eq!(list_cell(&many, "user"), "", "{many}");
        }
    }

    #[test]
    fn a_summary_prints_id_event_and_counts() {
        let one = json!({"id": "n", "eventId": "e", "title": "T", "body": "B", "state": "sending", "createdAt": "c", "dueAt": "c",
            "addressed": {"groups": [{"id": "1", "name": "Lyon"}], "users": [], "devices": []},
            "counts": {"recipients": 3, "planned": 3, "deliveries": 5, "accepted": 2, "suppressed": 3, "held": 0, "shown": 1}, "warnings": ["third parties"]});
        let said = summary(&Out::plain(), &one);
        for part in [
            "id           n",
            "eventId      e",
            "groups       Lyon",
            "3 of 3 recipients",
            "5  2 accepted, 3 suppressed; 1 shown",
            "note: third parties",
        ] {
            assert!(said.contains(part), "{part} is not in\n{said}");
        }
        assert!(!said.contains("due at") && !said.contains("users"), "{said}");
    }
}
