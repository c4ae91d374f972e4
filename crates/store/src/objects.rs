//! The contract of managed objects: small documents that administrators keep (own roles, bridges, dial plans), each with a
//! name that is its own within its kind, and a version. What a document holds is its declaration's business, not ours.
//!
//! An act changes several objects and tells people of it in one transaction, or does nothing.

use crate::{Acceptance, Accepted, Once, Result};
use async_trait::async_trait;
use model::objects::ObjectKind;
use model::{TenantKey, Timestamp};
use serde_json::Value;
use uuid::Uuid;

/// A managed object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Outside name.
    pub id: Uuid,
    /// Unique within its kind, case kept and told apart.
    pub name: String,
    /// Moves with every change.
    pub version: i64,
    /// What it says.
    pub document: Value,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub changed_at: Timestamp,
}

/// What an object is to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewObject {
    /// Outside name.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it says.
    pub document: Value,
    /// Further names that are its own within its kind.
    pub keys: Vec<String>,
    /// Objects that have to stay as long as it refers to them.
    pub links: Vec<Uuid>,
    /// When something has to be done about it.
    pub due: Option<Timestamp>,
}

/// A file beside an object or an event, such as the audio of a voice message.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFile {
    /// Outside name.
    pub id: Uuid,
    /// What it holds, sealed by whoever keeps it.
    pub content: Vec<u8>,
    /// Forgotten after this.
    pub until: Timestamp,
}

/// One change of an act.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A new object.
    Make(ObjectKind, NewObject),
    /// An object that is there, with `expected` only at that version.
    Change(ObjectKind, NewObject, Option<i64>),
    /// The end of one, with `expected` only at that version.
    End(ObjectKind, Uuid, Option<i64>),
}

/// An act: what changes, and what people are told of it.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// In this order.
    pub steps: Vec<Step>,
    /// Files that come with it.
    pub files: Vec<NewFile>,
    /// Events that come of it.
    pub events: Vec<Acceptance>,
    /// What is answered to a repeat.
    pub once: Option<Once>,
}

/// Managed objects.
#[async_trait]
pub trait Objects {
    /// Objects of a kind in the order of their ids; `after` excluded.
    async fn objects(&self, tenant: TenantKey, kind: ObjectKind, after: Option<Uuid>, limit: u32) -> Result<Vec<Object>>;
    /// One of them.
    async fn object(&self, tenant: TenantKey, kind: ObjectKind, id: Uuid) -> Result<Option<Object>>;
    /// The one with this name.
    async fn object_named(&self, tenant: TenantKey, kind: ObjectKind, name: &str) -> Result<Option<Object>>;
    /// Keeps a new one.
    ///
    /// # Errors
    /// `Taken` for a name or a key that another of the kind has; `Replay`.
    async fn create_object(&self, tenant: TenantKey, kind: ObjectKind, object: NewObject, once: Option<Once>) -> Result<Object>;
    /// Changes one. With `expected`, only at that version.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, `Taken`.
    async fn change_object(&self, tenant: TenantKey, kind: ObjectKind, object: NewObject, expected: Option<i64>) -> Result<Object>;
    /// Removes one. With `expected`, only at that version.
    ///
    /// # Errors
    /// `NotFound`, `Stale`; `InUse` while another object refers to it.
    async fn delete_object(&self, tenant: TenantKey, kind: ObjectKind, id: Uuid, expected: Option<i64>) -> Result<()>;
    /// Objects of a kind that refer to the object `target`, in the order of their ids.
    async fn objects_linked(&self, tenant: TenantKey, kind: ObjectKind, target: Uuid, limit: u32) -> Result<Vec<Object>>;
    /// The object of a kind that has this further name.
    async fn object_keyed(&self, tenant: TenantKey, kind: ObjectKind, key: &str) -> Result<Option<Object>>;
    /// Objects of a kind that are due at a time, the longest due first.
    async fn objects_due(&self, tenant: TenantKey, kind: ObjectKind, until: Timestamp, limit: u32) -> Result<Vec<Object>>;
    /// When the next object of a kind is due.
    async fn next_due(&self, tenant: TenantKey, kind: ObjectKind) -> Result<Option<Timestamp>>;
    /// Objects of a kind whose names are ids of people, and of these people none is in the directory: those among the next
    /// `most` by name behind `after`. With them the last name that was looked at; none when there is no further one.
    async fn objects_left(&self, tenant: TenantKey, kind: ObjectKind, after: &str, most: u32) -> Result<(Vec<Object>, Option<String>)>;
    /// What a file holds; none for one that was forgotten.
    async fn file(&self, tenant: TenantKey, id: Uuid) -> Result<Option<Vec<u8>>>;
    /// Does an act, whole or not at all; answers the events in their order.
    ///
    /// # Errors
    /// As the single verbs; nothing is applied then.
    async fn change(&self, tenant: TenantKey, change: Change) -> Result<Vec<Accepted>>;
}
