//! `carillon role`: what may be done under which name, and who holds it where.

use super::client::Client;
use super::connect::Connection;
use super::listing::{self, Portion, print_object};
use super::output::{Out, field};
use super::trouble::Result;
use crate::exit::Exit;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

const EXAMPLES: &str = "\
Examples:
  carillon role list
  carillon role create --name \"Duty officer\" --permission Notifications/SendToGroups --permission Directory/Read
  carillon role assign help-desk --to-group \"Help desk Lyon\" --scope Lyon
  carillon role assign \"Duty officer\" --to-user ada@example.org --expires-in 12h
  carillon role assignments
  carillon role unassign 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11";

/// Roles and role assignments: who may do what, and for which groups. Built-in roles are named by their word.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Role {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List roles: the built-in ones, then your own
    #[command(after_help = "Example:\n  carillon role list --json")]
    List(Portion),
    /// Show one and what it may do
    #[command(after_help = "Examples:\n  carillon role show help-desk\n  carillon role show \"Duty officer\"")]
    Show {
        /// Its word, id or name
        role: String,
    },
    /// Say who you are and what you may do where
    #[command(after_help = "Example:\n  carillon role mine --json")]
    Mine,
    /// Define one of your own
    #[command(after_help = "Example:\n  carillon role create --name Watch --permission Directory/Read --description \"Looks on\"")]
    Create {
        /// Unique; not a built-in role's word
        #[arg(long)]
        name: String,
        /// What it may do, such as Notifications/SendToGroups; repeatable
        #[arg(long = "permission", value_name = "PERMISSION", required = true)]
        permissions: Vec<String>,
        /// For whom it is
        #[arg(long)]
        description: Option<String>,
    },
    /// Change one of your own; what is not named stays
    #[command(after_help = "Example:\n  carillon role update Watch --permission Directory/Read --permission Audit/Read")]
    Update {
        /// Its id or name
        role: String,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        /// All that it may do from now on; repeatable
        #[arg(long = "permission", value_name = "PERMISSION")]
        permissions: Vec<String>,
        /// For whom it is
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete one of your own that nobody holds
    #[command(after_help = "Example:\n  carillon role delete Watch")]
    Delete {
        /// Its id or name
        role: String,
    },
    /// Give a role to people and groups, everywhere or for some groups
    #[command(after_help = "Example:\n  carillon role assign notification-admin --to-user ada@example.org --scope Lyon --expires-in 30d")]
    Assign {
        /// Its word, id or name
        role: String,
        /// A person who gets it: id, external id or UPN; repeatable
        #[arg(long = "to-user", value_name = "USER", required_unless_present = "to_groups")]
        to_users: Vec<String>,
        /// A group whose people get it, nested groups included; repeatable
        #[arg(long = "to-group", value_name = "GROUP")]
        to_groups: Vec<String>,
        /// Only over this group and everybody in it; repeatable
        #[arg(long = "scope", value_name = "GROUP")]
        scope: Vec<String>,
        /// Ends after so long, such as 8h or 90d
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<String>,
        /// A name for the assignment; made of the role and the holders when left out
        #[arg(long)]
        name: Option<String>,
    },
    /// List who holds which role
    #[command(after_help = "Example:\n  carillon role assignments --json")]
    Assignments(Portion),
    /// Take an assignment away; its rights end within a second
    #[command(after_help = "Example:\n  carillon role unassign 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11")]
    Unassign {
        /// The assignment's id
        id: String,
    },
}

pub async fn command(args: Role, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    match args.action {
        Action::List(portion) => {
            let page = listing::fetch(&client, &["roles"], &[], &portion).await?;
            listing::print_rows(out, &page, &["id", "name", "builtIn", "description"], "There is no role.", listing::shown)
        }
        Action::Show { role } => {
            let role = client.get(&["roles", &role], &[]).await?;
            print_object(out, &role)
        }
        Action::Mine => {
            let me = client.get(&["me"], &[]).await?;
            out.say(&me, || {
                let grants = me["grants"].as_array().map(Vec::as_slice).unwrap_or_default();
                let lines = grants.iter().map(|grant| format!("over {}: {}", over(grant), permissions(grant)));
                format!("{}\n{}", field(&me, "name"), lines.collect::<Vec<_>>().join("\n"))
            });
            Ok(Exit::Done)
        }
        Action::Create { name, permissions, description } => {
            let role = client.post(&["roles"], &body(Some(name), permissions, description)).await?;
            print_object(out, &role)
        }
        Action::Update { role, name, permissions, description } => {
            let body = body(name, permissions, description);
            let id = id_of(&client, &role).await?;
            let role = client.write(Method::PATCH, &["roles", &id], &body).await?;
            print_object(out, &role)
        }
        Action::Delete { role } => {
            let id = id_of(&client, &role).await?;
            client.delete(&["roles", &id], &[]).await?;
            out.say(&json!({ "id": id, "deleted": true }), || format!("Deleted {role}."));
            Ok(Exit::Done)
        }
        Action::Assign { role, to_users, to_groups, scope, expires_in, name } => {
            let holders: Vec<&str> = to_users.iter().chain(&to_groups).map(String::as_str).collect();
            let name = name.unwrap_or_else(|| default_name(&role, &holders, &scope));
            let mut body = Map::from_iter([
                ("name".to_owned(), json!(name)),
                ("role".to_owned(), json!(role)),
                ("users".to_owned(), json!(to_users)),
                ("groups".to_owned(), json!(to_groups)),
            ]);
            if !scope.is_empty() {
                body.insert("scope".into(), json!({ "groups": scope }));
            }
            if let Some(span) = expires_in {
                body.insert("expiresIn".into(), json!(span));
            }
            let held = client.post(&["role-assignments"], &Value::Object(body)).await?;
            out.say(&held, || {
                let pairs = [
                    ("id", field(&held, "id")),
                    ("role", field(&held, "role")),
                    ("to", names(&[&held["users"], &held["groups"]])),
                    ("over", over(&held)),
                    ("expires at", field(&held, "expiresAt")),
                ];
                out.pairs(&pairs)
            });
            Ok(Exit::Done)
        }
        Action::Assignments(portion) => {
            let page = listing::fetch(&client, &["role-assignments"], &[], &portion).await?;
            let columns = ["id", "name", "role", "to", "over", "expiresAt"];
            listing::print_rows(out, &page, &columns, "Nobody holds a role by assignment.", |held, column| match column {
                "to" => names(&[&held["users"], &held["groups"]]),
                "over" => over(held),
                other => listing::shown(held, other),
            })
        }
        Action::Unassign { id } => {
            client.delete(&["role-assignments", &id], &[]).await?;
            out.say(&json!({ "id": id, "deleted": true }), || format!("Taken away: {id}."));
            Ok(Exit::Done)
        }
    }
}

fn body(name: Option<String>, permissions: Vec<String>, description: Option<String>) -> Value {
    let mut body = Map::new();
    let texts = [("name", name), ("description", description)];
    body.extend(texts.into_iter().filter_map(|(key, value)| value.map(|value| (key.to_owned(), json!(value)))));
    if !permissions.is_empty() {
        body.insert("permissions".into(), json!(permissions));
    }
    Value::Object(body)
}

/// The id of a role that is named in any way.
async fn id_of(client: &Client, role: &str) -> Result<String> {
    Ok(field(&client.get(&["roles", role], &[]).await?, "id"))
}

fn default_name(role: &str, holders: &[&str], scope: &[String]) -> String {
    let place = if scope.is_empty() { String::new() } else { format!(" over {}", scope.join(", ")) };
    let name = format!("{role}: {}{place}", holders.join(", "));
    name.chars().take(200).collect()
}

fn names(lists: &[&Value]) -> String {
    let all = lists.iter().filter_map(|list| list.as_array()).flatten();
    all.map(|one| field(one, "name")).collect::<Vec<_>>().join(", ")
}

fn permissions(grant: &Value) -> String {
    let all = grant["permissions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn over(held: &Value) -> String {
    match held["scope"]["groups"].as_array() {
        Some(groups) => groups.iter().map(|group| field(group, "name")).collect::<Vec<_>>().join(", "),
        None => "everything".into(),
    }
}
