//! The import of CSV files, and what it promises: all or nothing, visible at once, in flat memory, with the store
//! answering as before.
//!
//! 1. [`stage`] reads the files ([`records`], [`header`]) into a scratch file beside the store ([`scratch`]), checks each
//!    cell and looks each row's object up in the live directory, which is attached read-only.
//! 2. [`matching`] and [`references`] settle with set-based statements which row is which object and what refers to what;
//!    [`changes`] finds what differs. Whatever is wrong becomes a fault ([`faults`]), and with a fault nothing is written.
//! 3. [`apply`] writes only the differing rows, in short jobs of the lowest lane, as versions of the next generation, and
//!    then moves the generation: all of it is visible at once. What was visible before is deleted after that.
//! 4. [`recover`] takes back what an import left that did not come so far.

pub(crate) mod apply;
mod changes;
mod faults;
pub(super) mod header;
mod matching;
mod records;
mod recover;
mod references;
pub(crate) mod scratch;
mod stage;
#[cfg(test)]
mod tests;

pub(crate) use recover::recover;

use super::Sqlite;
use crate::audit::{self, Told};
use crate::{Import, ImportProgress, ImportReport, ImportSource, Result, StoreError};
use async_trait::async_trait;
use model::TenantKey;
use parking_lot::Mutex;
use scratch::Scratch;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Imports that are running in this process, by data file and tenant: one at a time.
static RUNNING: Mutex<BTreeSet<(PathBuf, u32)>> = Mutex::new(BTreeSet::new());

/// A place in [`RUNNING`].
struct Running((PathBuf, u32));

impl Running {
    fn begin(store: &Sqlite, tenant: TenantKey) -> Result<Running> {
        let place = (store.file().to_owned(), tenant.0);
        if RUNNING.lock().insert(place.clone()) {
            Ok(Running(place))
        } else {
            Err(StoreError::Unavailable("another import is running".into()))
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.lock().remove(&self.0);
    }
}

/// Whoever asked went away: the import ends in order, and leaves nothing.
pub(crate) struct StopOnDrop(pub Option<Arc<ImportProgress>>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(progress) = &self.0 {
            progress.stop.store(true, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl ImportSource for Sqlite {
    async fn import(&self, tenant: TenantKey, import: Import) -> Result<ImportReport> {
        let mut stop = StopOnDrop(Some(import.progress.clone()));
        let running = Running::begin(self, tenant)?;
        let (store, told) = self.apart();
        // In a task of its own, so that it can take back what it wrote even when nobody waits for it any more.
        let task = tokio::spawn(async move {
            let _running = running;
            run(&store, tenant, import, told).await
        });
        let report = task.await.unwrap_or_else(|_| Err(StoreError::Broken("the import was interrupted".into())));
        stop.0 = None;
        report
    }

    async fn export(&self, tenant: TenantKey, folder: PathBuf) -> Result<Vec<PathBuf>> {
        let reader = self.reader()?;
        blocking(move || super::export::export(&reader, tenant, &folder)).await
    }
}

async fn run(store: &Sqlite, tenant: TenantKey, import: Import, told: Option<Arc<Told>>) -> Result<ImportReport> {
    recover::mend(store, tenant).await?;
    let dry_run = import.dry_run;
    let (theirs, progress) = (store.clone(), import.progress.clone());
    let (scratch, mut report) = blocking(move || check(theirs.file(), tenant, import)).await?;
    let told = told.map(|told| audit::counted(&told, &report)).transpose()?;
    let to_write = progress.to_write.load(Ordering::Relaxed);
    if dry_run || !report.is_clean() || to_write == 0 {
        scratch.remove();
        return Ok(report);
    }
    let written = match apply::write_versions(store, scratch).await {
        Ok(scratch) => apply::switch(store, scratch, told).await,
        Err(error) => Err(error),
    };
    let scratch = match written {
        Ok(scratch) => scratch,
        Err(error) => {
            if let Err(second) = recover::mend(store, tenant).await {
                tracing::error!(error = %second, "what a failed import wrote could not be taken back; the next start does it");
            }
            return Err(error);
        }
    };
    report.applied = true;
    match apply::clean(store, scratch).await {
        Ok(scratch) => scratch.remove(),
        // It is visible, so it is done; old versions cost only space.
        Err(error) => tracing::warn!(%error, "old versions of an import were not all deleted; the next import or start does it"),
    }
    Ok(report)
}

/// Reads and checks the files, and finds what differs from the directory in the data file `live`.
pub(crate) fn check(live: &Path, tenant: TenantKey, import: Import) -> Result<(Scratch, ImportReport)> {
    let mut scratch = Scratch::open(live, tenant, import)?;
    let mut report = ImportReport { dry_run: scratch.import.dry_run, ..ImportReport::default() };
    stage::stage(&mut scratch)?;
    matching::objects(&mut scratch)?;
    references::resolve(&mut scratch)?;
    changes::find(&mut scratch)?;
    changes::report(&mut scratch, &mut report)?;
    let faults = std::mem::take(&mut scratch.faults);
    report.fault_count = faults.count();
    report.faults = faults.into_named();
    scratch.import.progress.to_write.store(apply::rows(&scratch)?, Ordering::Relaxed);
    Ok((scratch, report))
}

/// Runs something that waits for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(StoreError::Broken("a step of the import panicked".into())))
}
