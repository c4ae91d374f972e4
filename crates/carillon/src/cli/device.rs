//! `carillon device`: devices and their registrations with push services.

use super::client::Page;
use super::connect::Connection;
use super::listing::{self, Portion, print_object};
use super::output::Out;
use super::trouble::Result;
use super::user::{something, text_or_null};
use crate::exit::Exit;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

const EXAMPLES: &str = "\
Examples:
  carillon device list --owner ada@example.org
  carillon device show \"Ada's iPhone\"
  carillon device registrations d-0042
  carillon device register d-0042 --service apns --token 0aff…";

/// Devices and their registrations. A device is named by id, external id or unique name.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Device {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List devices
    #[command(after_help = "Examples:\n  carillon device list --owner ada@example.org\n  carillon device list --platform ios --all --json")]
    List {
        /// Only those whose name holds this
        #[arg(long)]
        search: Option<String>,
        /// Only of this person
        #[arg(long, value_name = "PERSON")]
        owner: Option<String>,
        /// Only ios, ipados, android, windows, macos, linux or browser
        #[arg(long)]
        platform: Option<String>,
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
    #[command(after_help = "Example:\n  carillon device show d-0042")]
    Show {
        /// Which
        device: String,
    },
    /// Create one
    #[command(
        after_help = "Example:\n  carillon device create --name \"Ada's iPhone\" --owner ada@example.org --platform ios --enrolled true"
    )]
    Create(Fields),
    /// Change one; what is not named stays
    #[command(after_help = "Example:\n  carillon device update d-0042 --permission denied")]
    Update {
        /// Which
        device: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Delete one, with its registrations
    #[command(after_help = "Example:\n  carillon device delete d-0042")]
    Delete {
        /// Which
        device: String,
    },
    /// List the registrations of one; tokens are masked
    #[command(after_help = "Example:\n  carillon device registrations d-0042")]
    Registrations {
        /// Which
        device: String,
    },
    /// Register one with a push service
    #[command(
        after_help = "Examples:\n  carillon device register d-0042 --service apns --environment sandbox --token 0aff…\n  carillon device register d-7 --service webpush --endpoint https://push.example.org/x --p256dh B… --auth A…"
    )]
    Register {
        /// Which
        device: String,
        #[command(flatten)]
        registration: Registration,
    },
    /// Remove a registration
    #[command(after_help = "Example:\n  carillon device unregister d-0042 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11")]
    Unregister {
        /// Which
        device: String,
        /// Id of the registration
        registration: String,
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
    /// UPN of its owner
    #[arg(long, value_name = "UPN")]
    owner: Option<String>,
    /// ios, ipados, android, windows, macos, linux or browser
    #[arg(long)]
    platform: Option<String>,
    /// personal or corporate
    #[arg(long)]
    ownership: Option<String>,
    /// Whether it is enrolled
    #[arg(long, value_name = "BOOL")]
    enrolled: Option<bool>,
    /// UPN of whoever enrolled it, when that was not its owner
    #[arg(long, value_name = "UPN")]
    enrolled_by: Option<String>,
    /// Whether the app is installed
    #[arg(long, value_name = "BOOL")]
    app_installed: Option<bool>,
    /// granted, denied or default (not asked yet)
    #[arg(long)]
    permission: Option<String>,
    /// Whether an Android device has Play services
    #[arg(long, value_name = "BOOL")]
    play_services: Option<bool>,
    /// Whether its owner wants pushes on it
    #[arg(long, value_name = "BOOL")]
    push_enabled: Option<bool>,
}

impl Fields {
    fn body(&self) -> Value {
        let texts = [
            ("externalId", &self.external_id),
            ("name", &self.name),
            ("ownerUpn", &self.owner),
            ("platform", &self.platform),
            ("ownership", &self.ownership),
            ("enrolledByUpn", &self.enrolled_by),
            ("notificationPermission", &self.permission),
        ];
        let switches = [
            ("enrolled", self.enrolled),
            ("appInstalled", self.app_installed),
            ("playServices", self.play_services),
            ("pushEnabled", self.push_enabled),
        ];
        let texts = texts.into_iter().filter_map(|(name, value)| value.as_deref().map(|v| (name.to_owned(), text_or_null(v))));
        let switches = switches.into_iter().filter_map(|(name, value)| value.map(|v| (name.to_owned(), json!(v))));
        Value::Object(texts.chain(switches).collect::<Map<_, _>>())
    }
}

#[derive(Debug, clap::Args)]
struct Registration {
    /// apns, fcm, wns or webpush
    #[arg(long)]
    service: String,
    /// The app, such as its bundle id
    #[arg(long)]
    app: Option<String>,
    /// production or sandbox
    #[arg(long)]
    environment: Option<String>,
    /// The token that the service issued
    #[arg(long, required_unless_present = "endpoint", conflicts_with_all = ["endpoint", "p256dh", "auth"])]
    token: Option<String>,
    /// Web Push: the subscription's endpoint
    #[arg(long, value_name = "URL", requires_all = ["p256dh", "auth"])]
    endpoint: Option<String>,
    /// Web Push: the subscription's public key
    #[arg(long)]
    p256dh: Option<String>,
    /// Web Push: the subscription's secret
    #[arg(long)]
    auth: Option<String>,
}

impl Registration {
    fn body(&self) -> Value {
        let texts = [
            ("app", &self.app),
            ("environment", &self.environment),
            ("token", &self.token),
            ("endpoint", &self.endpoint),
            ("p256dh", &self.p256dh),
            ("auth", &self.auth),
        ];
        let texts = texts.into_iter().filter_map(|(name, value)| value.as_deref().map(|v| (name.to_owned(), json!(v))));
        Value::Object(std::iter::once(("service".to_owned(), json!(self.service))).chain(texts).collect::<Map<_, _>>())
    }
}

pub async fn command(args: Device, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    match args.action {
        Action::List { search, owner, platform, name, external_id, portion } => {
            let filters = [("search", &search), ("owner", &owner), ("platform", &platform), ("name", &name), ("externalId", &external_id)];
            let query: Vec<(&str, &str)> = filters.iter().filter_map(|(name, value)| value.as_deref().map(|v| (*name, v))).collect();
            let page = listing::fetch(&client, &["devices"], &query, &portion).await?;
            let columns = ["id", "externalId", "name", "ownerUpn", "platform", "enrolled", "appInstalled", "notificationPermission"];
            listing::print(out, &page, &columns, "There is no device.")
        }
        Action::Show { device } => {
            let id = client.resolve("device", &device).await?;
            print_object(out, &client.get(&["devices", &id], &[]).await?)
        }
        Action::Create(fields) => print_object(out, &client.post(&["devices"], &fields.body()).await?),
        Action::Update { device, fields } => {
            let body = something(fields.body())?;
            let id = client.resolve("device", &device).await?;
            print_object(out, &client.write(Method::PATCH, &["devices", &id], &body).await?)
        }
        Action::Delete { device } => {
            let id = client.resolve("device", &device).await?;
            client.delete(&["devices", &id], &[]).await?;
            out.say(&json!({ "id": id, "deleted": true }), || format!("Deleted the device {device}."));
            Ok(Exit::Done)
        }
        Action::Registrations { device } => {
            let id = client.resolve("device", &device).await?;
            let page = Page::of_answer(client.get(&["devices", &id, "registrations"], &[]).await?);
            let columns = ["id", "service", "app", "environment", "token", "state", "retiredCode", "registeredAt"];
            listing::print(out, &page, &columns, "It has no registration.")
        }
        Action::Register { device, registration } => {
            let id = client.resolve("device", &device).await?;
            print_object(out, &client.post(&["devices", &id, "registrations"], &registration.body()).await?)
        }
        Action::Unregister { device, registration } => {
            let id = client.resolve("device", &device).await?;
            client.delete(&["devices", &id, "registrations", &registration], &[]).await?;
            out.say(&json!({ "id": registration, "deleted": true }), || format!("Removed the registration {registration}."));
            Ok(Exit::Done)
        }
    }
}
