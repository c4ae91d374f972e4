//! The audit's contract: who did what, as one chain of entries for each tenant, written in the transaction of the act.
//!
//! Whoever acts takes a handle on the store that is told of the act ([`Audit::told`]); the edit that goes through this
//! handle commits together with the act's entry, or not at all. Entries are never changed and never removed. A person
//! appears in them under a pseudonym: an HMAC under a random key of the person's own. With that key erased, nothing leads from an
//! entry to the person, and the chain is as whole as before.

use crate::{Result, Shared, StoreError};
use async_trait::async_trait;
use aws_lc_rs::{digest, hmac};
use model::audit::{BEGINNING, hashed_form};
use model::{GroupKey, PersonKey, TenantKey, Timestamp};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use uuid::Uuid;

/// Bytes of a pseudonym: by chance two people of a million share one once in two million organizations.
const ALIAS_BYTES: usize = 10;

/// A person of whom an act knows the inside name, or something that leads to it once the act is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// This person.
    Person(PersonKey),
    /// The person with this outside name.
    Named(Uuid),
    /// The owner of the device with this outside name.
    OwnerOf(Uuid),
}

/// In whose name something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// An administrator or a program of theirs, by a token that stands for nobody in particular.
    Token {
        /// The token.
        id: Uuid,
        /// What it is called.
        name: String,
    },
    /// A person of the organization, by this token.
    Person {
        /// The token.
        token: Uuid,
        /// Who.
        person: PersonKey,
    },
    /// An app on a device.
    Device {
        /// Which.
        id: Uuid,
        /// Whose.
        owner: PersonKey,
    },
    /// Whoever holds an enrolment code.
    Code,
    /// The server itself.
    Server,
}

/// What something was done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// An object that is not a person, by its stable name.
    Object(&'static str, String),
    /// A person.
    User(Whom),
}

/// Something that was done, or refused, on its way into the audit. It holds no content, PIN, token or address, and names
/// people only where they become pseudonyms.
#[derive(Clone, Debug)]
pub struct Act {
    /// By whom.
    pub by: By,
    /// Stable word, such as `user.update`.
    pub operation: Cow<'static, str>,
    /// To what.
    pub object: Option<Thing>,
    /// Other people whom it concerns.
    pub people: Vec<Whom>,
    /// The groups within which the actor may act, by their outside names; `None`: the whole organization.
    pub scope: Option<Vec<String>>,
    /// `done`, or the code with which it was refused.
    pub outcome: Cow<'static, str>,
    /// What changed: by field `[before, after]`, or a number, or a word where the value itself must not be told.
    pub changes: Map<String, Value>,
    /// Chance from which keys of people are made who have none yet; never used twice.
    pub seed: [u8; 32],
}

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in the tenant's chain, from 1, without holes.
    pub sequence: i64,
    /// The JSON object, its hash included.
    pub body: Map<String, Value>,
}

/// Where a chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The tenant's outside name.
    pub tenant: Uuid,
    /// The last entry; 0 for none.
    pub sequence: i64,
    /// Its hash.
    pub hash: String,
}

/// What an erasure took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Devices with their registrations and tokens.
    pub devices: u64,
    /// Events for this person alone, of which the texts went.
    pub texts: u64,
    /// Rows of delivery that lost what led to a device.
    pub deliveries: u64,
    /// Audit entries that lead to nobody now.
    pub entries: u64,
}

/// The audit.
#[async_trait]
pub trait Audit {
    /// A handle on the same store whose edits are this act: each verb of an edit that goes through it commits together with
    /// the act's entry. Take one for each edit; an import writes its entry when it becomes visible.
    fn told(&self, tenant: TenantKey, act: Act) -> Shared;
    /// Writes the entry of something that changes nothing here: a refusal, a reading of texts.
    async fn note(&self, tenant: TenantKey, act: Act) -> Result<()>;
    /// Entries from a place on, in order.
    async fn entries(&self, tenant: TenantKey, from: i64, limit: u32) -> Result<Vec<Entry>>;
    /// Entries about a person from a place on, in order.
    async fn entries_about(&self, tenant: TenantKey, person: PersonKey, from: i64, limit: u32) -> Result<Vec<Entry>>;
    /// Where the chain ends.
    async fn head(&self, tenant: TenantKey) -> Result<Head>;
    /// The person's pseudonym, if an entry has needed one.
    async fn alias(&self, tenant: TenantKey, person: PersonKey) -> Result<Option<String>>;
    /// The groups of which a person is a direct member.
    async fn groups_of(&self, tenant: TenantKey, person: PersonKey) -> Result<Vec<GroupKey>>;
    /// Erases everything about a person who is in no import under way: the person, their devices, registrations, tokens, codes,
    /// memberships, inbox and receipts, the texts written to them alone, and the key of their pseudonym. Numbers of campaigns
    /// and the chain stay as they are. One transaction.
    async fn erase_person(&self, tenant: TenantKey, person: PersonKey) -> Result<Erased>;
    /// The last entry that was handed to a sink (such as syslog).
    async fn sunk(&self, tenant: TenantKey, sink: &str) -> Result<i64>;
    /// Notes it.
    async fn sink_to(&self, tenant: TenantKey, sink: &str, sequence: i64) -> Result<()>;
}

/// An act that a handle was told of.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub tenant: TenantKey,
    pub act: Act,
}

/// What an append needs of a store, inside the transaction at hand.
pub(crate) trait Book {
    /// Where the chain ends; nobody else appends before this transaction ends.
    fn tip(&self, tenant: TenantKey) -> Result<Head>;
    /// The inside name of a person who was just made, or is there.
    fn person(&self, tenant: TenantKey, id: Uuid) -> Result<Option<PersonKey>>;
    /// The owner of a device.
    fn owner(&self, tenant: TenantKey, device: Uuid) -> Result<Option<PersonKey>>;
    /// The person's key; `fresh` is kept where there is none.
    fn key(&self, tenant: TenantKey, person: PersonKey, fresh: [u8; 32]) -> Result<Vec<u8>>;
    /// Keeps an entry, whom it is about, and the new end of the chain.
    fn keep(&self, tenant: TenantKey, at: Timestamp, sequence: i64, entry: &str, hash: &str, about: &[PersonKey]) -> Result<()>;
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A person's pseudonym under their key.
pub(crate) fn alias_of(key: &[u8], tenant: Uuid, person: PersonKey) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, format!("carillon/audit/person/{tenant}/{person}").as_bytes());
    format!("p-{}", hex(&tag.as_ref()[..ALIAS_BYTES]))
}

struct Aliases<'a, B> {
    book: &'a B,
    told: &'a Told,
    tenant: Uuid,
    about: Vec<PersonKey>,
}

impl<B: Book> Aliases<'_, B> {
    fn of(&mut self, whom: Whom) -> Result<Option<String>> {
        let tenant = self.told.tenant;
        let person = match whom {
            Whom::Person(person) => Some(person),
            Whom::Named(id) => self.book.person(tenant, id)?,
            Whom::OwnerOf(device) => self.book.owner(tenant, device)?,
        };
        let Some(person) = person else { return Ok(None) };
        let seed = hmac::Key::new(hmac::HMAC_SHA256, &self.told.act.seed);
        let mut fresh = [0; 32];
        fresh.copy_from_slice(hmac::sign(&seed, format!("{person}").as_bytes()).as_ref());
        let key = self.book.key(tenant, person, fresh)?;
        if !self.about.contains(&person) {
            self.about.push(person);
        }
        Ok(Some(alias_of(&key, self.tenant, person)))
    }
}

/// Writes the act's entry behind the last one.
pub(crate) fn append(book: &impl Book, told: &Told, at: Timestamp) -> Result<()> {
    let tip = book.tip(told.tenant)?;
    let act = &told.act;
    let mut aliases = Aliases { book, told, tenant: tip.tenant, about: Vec::new() };
    let mut entry = Map::new();
    entry.insert("actor".into(), actor(&mut aliases, &act.by)?);
    entry.insert("at".into(), json!(at));
    entry.insert("operation".into(), json!(act.operation));
    entry.insert("outcome".into(), json!(act.outcome));
    entry.insert("previous".into(), json!(tip.hash));
    entry.insert("scope".into(), act.scope.as_ref().map_or_else(|| json!("organization"), |groups| json!(groups)));
    entry.insert("sequence".into(), json!(tip.sequence + 1));
    entry.insert("tenant".into(), json!(tip.tenant));
    match &act.object {
        None => {}
        Some(Thing::Object(kind, id)) => drop(entry.insert("object".into(), json!({ "kind": kind, "id": id }))),
        Some(Thing::User(whom)) => drop(entry.insert("object".into(), json!({ "kind": "user", "id": aliases.of(*whom)? }))),
    }
    let mut people = Vec::new();
    for whom in &act.people {
        people.extend(aliases.of(*whom)?);
    }
    if !people.is_empty() {
        entry.insert("people".into(), json!(people));
    }
    if !act.changes.is_empty() {
        entry.insert("changes".into(), Value::Object(act.changes.clone()));
    }
    let about = aliases.about;
    let text = hashed_form(&entry);
    book.keep(told.tenant, at, tip.sequence + 1, &text, &sha256_hex(text.as_bytes()), &about)
}

fn actor(aliases: &mut Aliases<'_, impl Book>, by: &By) -> Result<Value> {
    Ok(match by {
        By::Token { id, name } => json!({ "kind": "token", "id": id, "name": name }),
        By::Person { token, person } => {
            json!({ "kind": "person", "id": token, "person": aliases.of(Whom::Person(*person))? })
        }
        By::Device { id, owner } => json!({ "kind": "device", "id": id, "person": aliases.of(Whom::Person(*owner))? }),
        By::Code => json!({ "kind": "code" }),
        By::Server => json!({ "kind": "server" }),
    })
}

/// An entry from its row. What is not JSON any more is answered as an entry without content: a walk along the chain names it.
pub(crate) fn entry(sequence: i64, text: &str, hash: &str) -> Entry {
    let mut body = serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    if body.is_empty() {
        body.insert("sequence".into(), json!(sequence));
    }
    body.insert("hash".into(), json!(hash));
    Entry { sequence, body }
}

/// The head of a chain that may have no entry yet.
pub(crate) fn head(tenant: Uuid, kept: Option<(i64, String)>) -> Head {
    let (sequence, hash) = kept.unwrap_or_else(|| (0, BEGINNING.to_owned()));
    Head { tenant, sequence, hash }
}

/// What an import puts into its entry beside what the caller said: how many of each kind.
pub(crate) fn counted(told: &Told, report: &crate::ImportReport) -> Result<Told> {
    let mut told = told.clone();
    let kinds = [
        ("users", report.users),
        ("groups", report.groups),
        ("members", report.members),
        ("devices", report.devices),
        ("registrations", report.registrations),
    ];
    for (kind, count) in kinds {
        let count = serde_json::to_value(count).map_err(|e| StoreError::Broken(e.to_string()))?;
        told.act.changes.insert(kind.into(), count);
    }
    Ok(told)
}
