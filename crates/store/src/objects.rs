//! The contract of managed objects: small documents that administrators keep (own roles, role assignments), each with a
//! name that is its own within its kind, and a version. What a document holds is its declaration's business, not ours.

use crate::{Once, Result};
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
#[derive(Clone, Debug, PartialEq)]
pub struct NewObject {
    /// Outside name.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it says.
    pub document: Value,
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
    /// `Taken` for a name that another of the kind has; `Replay`.
    async fn create_object(&self, tenant: TenantKey, kind: ObjectKind, object: NewObject, once: Option<Once>) -> Result<Object>;
    /// Changes one. With `expected`, only at that version.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, `Taken`.
    async fn change_object(&self, tenant: TenantKey, kind: ObjectKind, object: NewObject, expected: Option<i64>) -> Result<Object>;
    /// Removes one. With `expected`, only at that version.
    ///
    /// # Errors
    /// `NotFound`, `Stale`.
    async fn delete_object(&self, tenant: TenantKey, kind: ObjectKind, id: Uuid, expected: Option<i64>) -> Result<()>;
}
