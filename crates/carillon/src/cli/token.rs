//! `carillon token`: who may use the API, as what, and where.

use super::connect::Connection;
use super::listing::{self, Portion};
use super::output::{Out, Tone, cell, field};
use super::trouble::Result;
use crate::exit::Exit;
use clap::Subcommand;
use serde_json::{Map, Value, json};

const EXAMPLES: &str = "\
Examples:
  carillon token create --name \"Help desk\" --role help-desk
  carillon token create --name Lyon --role notification-admin --group Lyon --expires-in 90d
  carillon token create --name \"Ada's laptop\" --user ada@example.org
  carillon token list
  carillon token revoke 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11";

/// Access tokens: who may use the API, as what, and for which groups.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Token {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Issue a token; its secret is shown once
    #[command(after_help = "Example:\n  carillon token create --name Lyon --role notification-admin --group Lyon --expires-in 90d")]
    Create {
        /// Shown as the sender of what it sends
        #[arg(long)]
        name: String,
        /// What it may do: a built-in role's word, or the id or name of one of your own (see `carillon role list`)
        #[arg(long, required_unless_present = "user")]
        role: Option<String>,
        /// For this person, who may what their role assignments say: id, external id or UPN
        #[arg(long, conflicts_with_all = ["role", "groups"])]
        user: Option<String>,
        /// Only for this group and everybody in it; repeatable
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Good for so long, such as 12h or 90d
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<String>,
    },
    /// List tokens, without their secrets
    #[command(after_help = "Example:\n  carillon token list --json")]
    List(Portion),
    /// Revoke one; it is refused from now on
    #[command(after_help = "Example:\n  carillon token revoke 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11")]
    Revoke {
        /// Its id
        id: String,
    },
}

pub async fn command(args: Token, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    match args.action {
        Action::Create { name, role, user, groups, expires_in } => {
            let mut body = Map::from_iter([("name".to_owned(), json!(name))]);
            let given = [("role", role), ("user", user)];
            body.extend(given.into_iter().filter_map(|(key, value)| value.map(|value| (key.to_owned(), json!(value)))));
            if !groups.is_empty() {
                let mut ids = Vec::new();
                for group in &groups {
                    ids.push(client.resolve("group", group).await?);
                }
                body.insert("scope".into(), json!({ "groups": ids }));
            }
            if let Some(span) = expires_in {
                body.insert("expiresIn".into(), json!(span));
            }
            let token = client.post(&["tokens"], &Value::Object(body)).await?;
            out.say(&token, || {
                let pairs = [
                    ("id", field(&token, "id")),
                    ("role", field(&token, "role")),
                    ("user", field(&token["user"], "name")),
                    ("expires at", field(&token, "expiresAt")),
                ];
                let note = out.paint(Tone::Waiting, "The secret is shown only now:");
                format!("{}\n{note}\n{}", out.pairs(&pairs), cell(&token["token"]))
            });
            Ok(Exit::Done)
        }
        Action::List(portion) => {
            let page = listing::fetch(&client, &["tokens"], &[], &portion).await?;
            let columns = ["id", "name", "role", "user", "scope", "createdAt", "expiresAt", "revokedAt"];
            listing::print_rows(out, &page, &columns, "There is no token.", |token, column| match column {
                "scope" => scope(token),
                "user" => field(&token["user"], "name"),
                other => listing::shown(token, other),
            })
        }
        Action::Revoke { id } => {
            client.delete(&["tokens", &id], &[]).await?;
            out.say(&json!({ "id": id, "revoked": true }), || format!("Revoked {id}."));
            Ok(Exit::Done)
        }
    }
}

/// Names of the groups that a token is limited to.
fn scope(token: &Value) -> String {
    if token["role"].is_null() {
        return "as assigned".into();
    }
    match token["scope"]["groups"].as_array() {
        Some(groups) => groups.iter().map(|group| field(group, "name")).collect::<Vec<_>>().join(", "),
        None => "everything".into(),
    }
}
