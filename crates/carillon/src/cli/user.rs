//! `carillon user`: people.

use super::connect::Connection;
use super::listing::{self, Portion, print_object};
use super::output::{Out, field};
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::io::IsTerminal;

const EXAMPLES: &str = "\
Examples:
  carillon user list --search ada
  carillon user show ada@example.org
  carillon user update ada@example.org --active false
  carillon user enrolment-code ada@example.org
  carillon user export-data ada@example.org > ada.json
  carillon user erase ada@example.org";

/// People. A person is named by id, external id or UPN.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct User {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List people
    #[command(after_help = "Examples:\n  carillon user list --search ada\n  carillon user list --active false --all --json")]
    List {
        /// Only those whose name, UPN or mail address holds this
        #[arg(long)]
        search: Option<String>,
        /// Only this UPN
        #[arg(long)]
        upn: Option<String>,
        /// Only this external id
        #[arg(long)]
        external_id: Option<String>,
        /// Only active people, or only those who are not
        #[arg(long, value_name = "BOOL")]
        active: Option<bool>,
        #[command(flatten)]
        portion: Portion,
    },
    /// Show one
    #[command(after_help = "Example:\n  carillon user show ada@example.org")]
    Show {
        /// Who
        person: String,
    },
    /// Create one
    #[command(
        after_help = "Example:\n  carillon user create --upn ada@example.org --display-name \"Ada Lovelace\" --locale en --timezone Europe/London"
    )]
    Create(Fields),
    /// Change one; what is not named stays. An empty text removes a value
    #[command(
        after_help = "Examples:\n  carillon user update ada@example.org --quiet-hours 22:00-07:00\n  carillon user update p-017 --active false"
    )]
    Update {
        /// Who
        person: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Delete one, with their devices
    #[command(after_help = "Example:\n  carillon user delete ada@example.org")]
    Delete {
        /// Who
        person: String,
    },
    /// Print everything that is kept about one, as one JSON document
    #[command(after_help = "Example:\n  carillon user export-data ada@example.org > ada.json")]
    ExportData {
        /// Who
        person: String,
    },
    /// Erase one and everything about them; it cannot be undone
    #[command(
        after_help = "Examples:\n  carillon user erase ada@example.org\n  carillon user erase 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11 --confirm ada@example.org"
    )]
    Erase {
        /// Who
        person: String,
        /// Their UPN, so that nothing is asked
        #[arg(long, value_name = "UPN")]
        confirm: Option<String>,
    },
    /// Issue a single-use code with which the person enrols a device within 24 hours
    #[command(after_help = "Example:\n  carillon user enrolment-code ada@example.org --json")]
    EnrolmentCode {
        /// Who
        person: String,
    },
}

#[derive(Debug, clap::Args)]
struct Fields {
    /// Key in your own directory
    #[arg(long)]
    external_id: Option<String>,
    /// User principal name
    #[arg(long)]
    upn: Option<String>,
    /// Name for people
    #[arg(long)]
    display_name: Option<String>,
    /// Mail address
    #[arg(long)]
    email: Option<String>,
    /// Language, such as en or fr-CA
    #[arg(long)]
    locale: Option<String>,
    /// IANA time zone, such as Europe/Paris
    #[arg(long)]
    timezone: Option<String>,
    /// A licence; repeatable
    #[arg(long = "license")]
    licenses: Vec<String>,
    /// UPN of the manager
    #[arg(long, value_name = "UPN")]
    manager: Option<String>,
    /// A number in E.164; repeatable
    #[arg(long = "phone")]
    phones: Vec<String>,
    /// Whether the person is active; false retires registrations and tokens at once
    #[arg(long, value_name = "BOOL")]
    active: Option<bool>,
    /// Pushes wait during this span of the person's day, such as 22:00-07:00
    #[arg(long, value_name = "SPAN")]
    quiet_hours: Option<String>,
}

impl Fields {
    fn body(&self) -> Value {
        let mut body = Map::new();
        let texts = [
            ("externalId", &self.external_id),
            ("upn", &self.upn),
            ("displayName", &self.display_name),
            ("email", &self.email),
            ("locale", &self.locale),
            ("timezone", &self.timezone),
            ("managerUpn", &self.manager),
            ("quietHours", &self.quiet_hours),
        ];
        for (name, value) in texts {
            if let Some(text) = value {
                body.insert(name.into(), text_or_null(text));
            }
        }
        for (name, list) in [("licenses", &self.licenses), ("phones", &self.phones)] {
            if !list.is_empty() {
                body.insert(name.into(), json!(list.iter().filter(|s| !s.is_empty()).collect::<Vec<_>>()));
            }
        }
        if let Some(active) = self.active {
            body.insert("active".into(), json!(active));
        }
        Value::Object(body)
    }
}

/// An empty text means: no value.
pub fn text_or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}

/// Refuses a change that changes nothing, so that a forgotten option is seen.
pub fn something(body: Value) -> Result<Value> {
    match body.as_object() {
        Some(map) if map.is_empty() => Err(Trouble::usage("nothing to change was named; see --help for what can be changed")),
        _ => Ok(body),
    }
}

/// Asks for the UPN on the terminal; elsewhere it must be given.
fn typed_again(name: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Trouble::usage("everything about this person would go, for ever; give their UPN with --confirm"));
    }
    eprint!("Everything about {name} goes, for ever. Type their UPN to confirm: ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|e| Trouble::usage(format!("nothing can be read from the terminal: {e}")))?;
    Ok(line.trim().to_owned())
}

pub async fn command(args: User, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    match args.action {
        Action::List { search, upn, external_id, active, portion } => {
            let active = active.map(|a| a.to_string());
            let filters = [("search", &search), ("upn", &upn), ("externalId", &external_id), ("active", &active)];
            let query: Vec<(&str, &str)> = filters.iter().filter_map(|(name, value)| value.as_deref().map(|v| (*name, v))).collect();
            let page = listing::fetch(&client, &["users"], &query, &portion).await?;
            listing::print(out, &page, &["id", "externalId", "upn", "displayName", "email", "locale", "active"], "Nobody.")
        }
        Action::Show { person } => {
            let id = client.resolve("user", &person).await?;
            print_object(out, &client.get(&["users", &id], &[]).await?)
        }
        Action::Create(fields) => print_object(out, &client.post(&["users"], &fields.body()).await?),
        Action::Update { person, fields } => {
            let body = something(fields.body())?;
            let id = client.resolve("user", &person).await?;
            print_object(out, &client.write(Method::PATCH, &["users", &id], &body).await?)
        }
        Action::Delete { person } => {
            let id = client.resolve("user", &person).await?;
            client.delete(&["users", &id], &[]).await?;
            out.say(&json!({ "id": id, "deleted": true }), || format!("Deleted {person}."));
            Ok(Exit::Done)
        }
        Action::ExportData { person } => {
            let id = client.resolve("user", &person).await?;
            let data = client.get(&["users", &id, "data"], &[]).await?;
            out.say(&data, || serde_json::to_string_pretty(&data).unwrap_or_default());
            Ok(Exit::Done)
        }
        Action::Erase { person, confirm } => {
            let id = client.resolve("user", &person).await?;
            let confirm = match confirm {
                Some(upn) => upn,
                None => typed_again(&field(&client.get(&["users", &id], &[]).await?, "displayName"))?,
            };
            let erased = client.post(&["users", &id, "erasure"], &json!({ "confirm": confirm })).await?;
            out.say(&erased, || {
                let number = |name: &str| field(&erased, name);
                format!(
                    "Erased, with {} devices and {} texts; {} deliveries and {} audit entries lead to nobody now.",
                    number("devices"),
                    number("texts"),
                    number("deliveries"),
                    number("auditEntries")
                )
            });
            Ok(Exit::Done)
        }
        Action::EnrolmentCode { person } => {
            let id = client.resolve("user", &person).await?;
            let code = client.post(&["users", &id, "enrolment-codes"], &json!({})).await?;
            out.say(&code, || format!("{}\nGood for one device until {}.", field(&code, "code"), field(&code, "expiresAt")));
            Ok(Exit::Done)
        }
    }
}
