//! The import's contract: whole CSV files in, a report of every bad cell or one visible change out.
//!
//! An import stages in a scratch file beside the store, is validated there against the live directory, and only the
//! rows that differ are written, in short transactions, as versions that nobody sees yet; then one tiny transaction
//! moves the directory's generation and all of it is visible at once. A crash before that moment leaves nothing.

use crate::{Result, StoreError};
use async_trait::async_trait;
use model::directory::Service;
use model::{Fault, TenantKey};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// What happens to objects that the files do not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportMode {
    /// They stay.
    #[default]
    Upsert,
    /// They are removed, of the kinds of object that the files hold; above 5 % only when told.
    Replace,
}

/// One file, on disk.
#[derive(Clone, Debug)]
pub struct ImportFile {
    /// The name that reports use.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// How far an import is; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct ImportProgress {
    /// Rows read and checked.
    pub read: AtomicU64,
    /// Rows in all, once the files were counted; 0 before.
    pub total: AtomicU64,
    /// Changes written.
    pub written: AtomicU64,
    /// Changes to write.
    pub to_write: AtomicU64,
    /// Set to give up.
    pub stop: AtomicBool,
}

/// What an import asks for.
#[derive(Clone)]
pub struct Import {
    /// The files; told apart by their header line.
    pub files: Vec<ImportFile>,
    /// Upsert or replace.
    pub mode: ImportMode,
    /// Validate and report only.
    pub dry_run: bool,
    /// Let a replace remove more than 5 %.
    pub allow_many_removals: bool,
    /// Seals a Web Push auth secret: (service, plain text) to what is kept.
    pub seal: Arc<dyn Fn(Service, &str) -> Vec<u8> + Send + Sync>,
    /// Where to note how far it is.
    pub progress: Arc<ImportProgress>,
}

/// Numbers for one kind of object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportCount {
    /// New.
    pub created: u64,
    /// Changed.
    pub updated: u64,
    /// The same as before.
    pub unchanged: u64,
    /// Removed.
    pub removed: u64,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Nothing was applied because that was asked for.
    pub dry_run: bool,
    /// Whether the directory changed.
    pub applied: bool,
    /// People.
    pub users: ImportCount,
    /// Groups.
    pub groups: ImportCount,
    /// Memberships.
    pub members: ImportCount,
    /// Devices.
    pub devices: ImportCount,
    /// Registrations.
    pub registrations: ImportCount,
    /// Every bad cell, as `file:line:column`; the first thousand.
    pub faults: Vec<Fault>,
    /// How many bad cells there are in all.
    pub fault_count: u64,
    /// What a replace removes, by name; the first hundred of each kind.
    pub removals: Vec<String>,
    /// People who became inactive with it, for ending what waits.
    #[serde(skip)]
    pub deactivated: Vec<model::PersonKey>,
}

/// Import and export of the directory.
#[async_trait]
pub trait ImportSource: Send + Sync {
    /// Imports files, all or nothing. A report with faults means that nothing was applied.
    async fn import(&self, tenant: TenantKey, import: Import) -> Result<ImportReport>;
    /// Writes the directory as the five CSV files into a folder, in a form that imports back without change.
    async fn export(&self, tenant: TenantKey, folder: PathBuf) -> Result<Vec<PathBuf>>;
}

/// Too many removals, unless told.
pub const REMOVAL_CEILING_PERCENT: u64 = 5;

impl ImportReport {
    /// Whether the files were acceptable.
    pub fn is_clean(&self) -> bool {
        self.fault_count == 0
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> StoreError {
        StoreError::Unavailable(error.to_string())
    }
}
