//! `carillon group`: groups and their members, which may be people, groups and devices.

use super::client::Client;
use super::connect::Connection;
use super::listing::{self, Portion, print_object};
use super::output::{Out, field};
use super::trouble::{Result, Trouble};
use super::user::{something, text_or_null};
use crate::exit::Exit;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

const EXAMPLES: &str = "\
Examples:
  carillon group list
  carillon group create --name Lyon --description \"Lyon office\"
  carillon group members Lyon
  carillon group add Lyon --user ada@example.org --group Reception";

/// Groups and their members. A group is named by id, external id or unique name.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Group {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List groups
    #[command(after_help = "Examples:\n  carillon group list --search office\n  carillon group list --all --json")]
    List {
        /// Only those whose name holds this
        #[arg(long)]
        search: Option<String>,
        /// Only this name
        #[arg(long)]
        name: Option<String>,
        /// Only this external id
        #[arg(long)]
        external_id: Option<String>,
        #[command(flatten)]
        portion: Portion,
    },
    /// Show one
    #[command(after_help = "Example:\n  carillon group show Lyon")]
    Show {
        /// Which
        group: String,
    },
    /// Create one
    #[command(after_help = "Example:\n  carillon group create --name Lyon --external-id g-lyon")]
    Create(Fields),
    /// Change one; what is not named stays
    #[command(after_help = "Example:\n  carillon group update Lyon --description \"Lyon office, second floor\"")]
    Update {
        /// Which
        group: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Delete one; its members stay
    #[command(after_help = "Example:\n  carillon group delete Lyon")]
    Delete {
        /// Which
        group: String,
    },
    /// List the direct members of one
    #[command(after_help = "Example:\n  carillon group members Lyon --all")]
    Members {
        /// Which
        group: String,
        #[command(flatten)]
        portion: Portion,
    },
    /// Add members
    #[command(after_help = "Example:\n  carillon group add Lyon --user ada@example.org --group Reception")]
    Add {
        /// Which
        group: String,
        #[command(flatten)]
        members: Members,
    },
    /// Remove members
    #[command(after_help = "Example:\n  carillon group remove Lyon --user ada@example.org")]
    Remove {
        /// Which
        group: String,
        #[command(flatten)]
        members: Members,
    },
}

#[derive(Debug, clap::Args)]
struct Fields {
    /// Key in your own directory
    #[arg(long)]
    external_id: Option<String>,
    /// Name for people
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
}

impl Fields {
    fn body(&self) -> Value {
        let texts = [("externalId", &self.external_id), ("name", &self.name), ("description", &self.description)];
        let named = texts.into_iter().filter_map(|(name, value)| value.as_deref().map(|v| (name.to_owned(), text_or_null(v))));
        Value::Object(named.collect::<Map<_, _>>())
    }
}

#[derive(Debug, clap::Args)]
#[group(id = "members", required = true, multiple = true)]
struct Members {
    /// A person; repeatable
    #[arg(short, long = "user", value_name = "PERSON")]
    users: Vec<String>,
    /// A group, with everybody in it; repeatable
    #[arg(short, long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// A device; it never receives because of it; repeatable
    #[arg(short, long = "device", value_name = "DEVICE")]
    devices: Vec<String>,
}

impl Members {
    /// With every name resolved; all names that mean nothing or too much are told at once.
    async fn resolved(&self, client: &Client) -> Result<Vec<Value>> {
        let (mut found, mut wrong): (Vec<Value>, Vec<Trouble>) = Default::default();
        for (kind, names) in [("user", &self.users), ("group", &self.groups), ("device", &self.devices)] {
            for name in names {
                match client.resolve(kind, name).await {
                    Ok(id) => found.push(json!({ "memberType": kind, "id": id })),
                    Err(trouble) if trouble.document.is_none() && trouble.exit != Exit::Unavailable => wrong.push(trouble),
                    Err(trouble) => return Err(trouble),
                }
            }
        }
        match wrong.len() {
            0 => Ok(found),
            1 => Err(wrong.remove(0)),
            _ => {
                let said = wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
                Err(Trouble { detail: format!("{} members cannot be found:\n  {said}", wrong.len()), ids: Vec::new(), ..wrong.remove(0) })
            }
        }
    }
}

pub async fn command(args: Group, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    match args.action {
        Action::List { search, name, external_id, portion } => {
            let filters = [("search", &search), ("name", &name), ("externalId", &external_id)];
            let query: Vec<(&str, &str)> = filters.iter().filter_map(|(name, value)| value.as_deref().map(|v| (*name, v))).collect();
            let page = listing::fetch(&client, &["groups"], &query, &portion).await?;
            listing::print(out, &page, &["id", "externalId", "name", "description"], "There is no group.")
        }
        Action::Show { group } => {
            let id = client.resolve("group", &group).await?;
            print_object(out, &client.get(&["groups", &id], &[]).await?)
        }
        Action::Create(fields) => print_object(out, &client.post(&["groups"], &fields.body()).await?),
        Action::Update { group, fields } => {
            let body = something(fields.body())?;
            let id = client.resolve("group", &group).await?;
            print_object(out, &client.write(Method::PATCH, &["groups", &id], &body).await?)
        }
        Action::Delete { group } => {
            let id = client.resolve("group", &group).await?;
            client.delete(&["groups", &id], &[]).await?;
            out.say(&json!({ "id": id, "deleted": true }), || format!("Deleted the group {group}."));
            Ok(Exit::Done)
        }
        Action::Members { group, portion } => {
            let id = client.resolve("group", &group).await?;
            let page = listing::fetch(&client, &["groups", &id, "members"], &[], &portion).await?;
            listing::print(out, &page, &["memberType", "id", "name"], "It has no members.")
        }
        Action::Add { group, members } => change(&client, out, &group, "add", &members).await,
        Action::Remove { group, members } => change(&client, out, &group, "remove", &members).await,
    }
}

async fn change(client: &Client, out: &Out, group: &str, what: &str, members: &Members) -> Result<Exit> {
    let id = client.resolve("group", group).await?;
    let mut body = Map::new();
    body.insert(what.to_owned(), Value::Array(members.resolved(client).await?));
    let done = client.post(&["groups", &id, "members"], &Value::Object(body)).await?;
    out.say(&done, || format!("{group}: {} added, {} removed.", field(&done, "added"), field(&done, "removed")));
    Ok(Exit::Done)
}
