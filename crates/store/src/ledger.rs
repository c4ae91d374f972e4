//! The ledger's contract: tenants, settings, tokens, idempotency, alarms.

use crate::Result;
use async_trait::async_trait;
use model::roles::{RoleId, Scope};
use model::{DeviceKey, PersonKey, TenantKey, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// One organization.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Inside name.
    pub key: TenantKey,
    /// Outside name.
    pub id: Uuid,
    /// For people.
    pub name: String,
}

/// What was answered to a creating request, kept in the transaction that created (IETF draft Idempotency-Key).
#[derive(Clone, Debug, PartialEq)]
pub struct Once {
    /// Who asked.
    pub token: Uuid,
    /// The caller's key, at most 255 bytes.
    pub key: String,
    /// SHA-256 over method, path and body.
    pub request: [u8; 32],
    /// What is answered, less secrets.
    pub answer: Answer,
}

/// A kept answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// SHA-256 over method, path and body of the request that it answers.
    pub request: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: Vec<u8>,
    /// Value of the `Location` header, may be empty.
    pub location: String,
}

/// What a token opens.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenUse {
    /// Administration with a role inside a scope.
    Admin {
        /// What it may do.
        role: RoleId,
        /// Where.
        scope: Scope,
    },
    /// Administration with the roles that this person is assigned.
    Person(PersonKey),
    /// An app on a device.
    Device(DeviceKey),
}

/// A token to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct NewToken {
    /// Outside name.
    pub id: Uuid,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// For people.
    pub name: String,
    /// What it opens; for an enrolment the device is filled in by the store.
    pub opens: TokenUse,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// A token as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Whose.
    pub tenant: TenantKey,
    /// Outside name.
    pub id: Uuid,
    /// For people.
    pub name: String,
    /// What it opens.
    pub opens: TokenUse,
    /// For a device's token: the device's owner now. For a person's: the person, as long as they are active.
    pub owner: Option<PersonKey>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Something that a person has to mend.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// Stable word, such as `apns_our_fault`; one open alarm per code.
    pub code: String,
    /// A sentence with the cause and the mend.
    pub detail: String,
    /// When it was raised first.
    pub raised_at: Timestamp,
    /// When it was raised last.
    pub last_at: Timestamp,
    /// How often.
    pub count: i64,
    /// When it ended, if it has.
    pub cleared_at: Option<Timestamp>,
}

/// Tenants, settings, tokens, idempotency, alarms.
#[async_trait]
pub trait Ledger {
    /// Every tenant, in the order in which they were made, and whether one was made just now: an empty store gets its first.
    async fn found(&self, name: &str, id: Uuid) -> Result<(Vec<Tenant>, bool)>;
    /// Gives a tenant another name, as long as it has the one that it is thought to have ([`crate::StoreError::NotFound`] otherwise).
    async fn rename_tenant(&self, tenant: TenantKey, from: &str, to: &str) -> Result<()>;
    /// The tenant of this name, made beside the others where there is none: answers it and whether it is new. A server never
    /// asks for a second one; that tenants see nothing of each other is proved with it.
    async fn ensure_tenant(&self, name: &str, id: Uuid) -> Result<(Tenant, bool)>;

    /// What was set, and the policy's version.
    async fn settings(&self, tenant: TenantKey) -> Result<(i64, BTreeMap<String, Value>)>;
    /// Sets values (`None` returns one to its default), all or none, keeps the new snapshot, answers the new version. With
    /// `expected`, only at that version.
    async fn put_settings(&self, tenant: TenantKey, changes: Vec<(String, Option<Value>)>, expected: Option<i64>) -> Result<i64>;
    /// The same for one value.
    async fn put_setting(&self, tenant: TenantKey, key: &str, value: Option<Value>, expected: Option<i64>) -> Result<i64> {
        self.put_settings(tenant, vec![(key.to_owned(), value)], expected).await
    }
    /// What was set at a version, for replaying.
    async fn settings_at(&self, tenant: TenantKey, version: i64) -> Result<Option<BTreeMap<String, Value>>>;

    /// Keeps a token.
    async fn create_token(&self, tenant: TenantKey, token: NewToken, once: Option<Once>) -> Result<Token>;
    /// The token with this hash, revoked and expired ones too.
    async fn find_token(&self, hash: [u8; 32]) -> Result<Option<Token>>;
    /// Tokens of administrators, newest first; `after` excluded.
    async fn tokens(&self, tenant: TenantKey, after: Option<Uuid>, limit: u32) -> Result<Vec<Token>>;
    /// Ends a token now.
    async fn revoke_token(&self, tenant: TenantKey, id: Uuid) -> Result<()>;

    /// What was answered to this key, if it was used within the last day.
    async fn answered(&self, tenant: TenantKey, token: Uuid, key: &str) -> Result<Option<Answer>>;

    /// Raises an alarm, or counts it up when it is open. Answers whether it is newly raised.
    async fn raise_alarm(&self, tenant: TenantKey, code: &str, detail: &str) -> Result<bool>;
    /// Ends an alarm.
    async fn clear_alarm(&self, tenant: TenantKey, code: &str) -> Result<bool>;
    /// Alarms, open ones first, newest first.
    async fn alarms(&self, tenant: TenantKey, limit: u32) -> Result<Vec<Alarm>>;

    /// Bytes that the store takes on disk, for metrics.
    async fn size(&self) -> Result<u64>;
    /// Copies a consistent state into a new file or folder while work goes on.
    async fn backup(&self, to: std::path::PathBuf) -> Result<()>;
}
