//! The directory in and out, as CSV files. An import is received into a folder of its own, then runs as a job whose
//! progress can be followed; one at a time. An export is made whole, from one moment, and its files are handed out one by
//! one. Jobs are kept in memory only: a crash leaves nothing half done, and the same files may simply be sent again.

use super::acts::Deed;
use super::scope::{Sight, out_of_scope};
use super::users::conflict;
use crate::Engine;
use aws_lc_rs::digest::{Context, SHA256};
use model::roles::{Actor, Permission};
use model::{Refusal, RefusalKind};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{Import, ImportFile, ImportMode, ImportProgress, ImportReport, Shared};
use tokio::sync::watch;
use uuid::Uuid;

/// Most bytes of all files of an import: a million people with devices are about 400 MB.
pub const IMPORT_BYTES: u64 = 4 << 30;
/// Most files of an import; there are five kinds.
pub const IMPORT_FILES: usize = 20;
/// Finished imports whose reports can still be read.
const JOBS_KEPT: usize = 16;
/// How long the files of one export belong together.
const EXPORT_LIFE: Duration = Duration::from_secs(600);
/// The files of an export.
pub const EXPORT_FILES: [&str; 5] = ["people.csv", "groups.csv", "members.csv", "devices.csv", "registrations.csv"];

/// What an import does with what it is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ImportQuery {
    /// `upsert` (default) or `replace`.
    pub mode: Option<String>,
    /// Validate and report only.
    pub dry_run: bool,
    /// Let a replace remove more than 5 %.
    pub allow_many_removals: bool,
    /// The file's name in reports, where the body is the file itself.
    pub name: Option<String>,
}

impl ImportQuery {
    fn mode(&self) -> crate::Result<ImportMode> {
        match self.mode.as_deref() {
            None | Some("upsert") => Ok(ImportMode::Upsert),
            Some("replace") => Ok(ImportMode::Replace),
            Some(other) => Err(Refusal::field("mode", format!("{other:?} is not one of upsert, replace"))),
        }
    }
}

/// Imports and exports of this process.
#[derive(Default)]
pub struct Transfers {
    importing: Arc<AtomicBool>,
    jobs: Mutex<VecDeque<Arc<ImportJob>>>,
    export: tokio::sync::Mutex<Option<Exported>>,
    /// Moves with every change of the directory through this engine.
    edits: AtomicU64,
    swept: AtomicBool,
}

impl Transfers {
    /// The directory was changed: an export made before is not the present state.
    pub(crate) fn edited(&self) {
        self.edits.fetch_add(1, Ordering::SeqCst);
    }
}

/// A folder in which an import is received, and the right to import; given up when dropped.
pub struct ImportPlace {
    folder: Folder,
    files: Vec<ImportFile>,
    bytes: u64,
    by: Actor,
    _turn: Turn,
}

struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A folder that goes with its holder.
struct Folder(PathBuf);

impl Folder {
    fn make(scratch: &Path, name: &str) -> crate::Result<Folder> {
        let path = scratch.join(name);
        std::fs::create_dir_all(&path).map_err(|e| scratch_failed(&e))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now is swept at the next start.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// SHA-256 of a file, in hexadecimal.
fn file_hash(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let (mut context, mut part) = (Context::new(&SHA256), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(context.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect()),
            bytes => context.update(&part[..bytes]),
        }
    }
}

fn scratch_failed(error: &std::io::Error) -> Refusal {
    tracing::error!(%error, "the scratch folder does not take files");
    Refusal::unavailable("the server has no room for the files; see its log")
}

impl ImportPlace {
    /// A place for the next file.
    ///
    /// # Errors
    /// `too_many_files`; `unavailable` when the disk does not take it.
    pub async fn open(&mut self, name: &str) -> crate::Result<tokio::fs::File> {
        if self.files.len() >= IMPORT_FILES {
            return Err(Refusal::new(RefusalKind::TooLarge, "too_many_files", format!("an import has at most {IMPORT_FILES} files")));
        }
        let path = self.folder.0.join(format!("{}.csv", self.files.len()));
        let file = tokio::fs::File::create(&path).await.map_err(|e| scratch_failed(&e))?;
        self.files.push(ImportFile { name: plain_name(name, self.files.len()), path });
        Ok(file)
    }

    /// Counts bytes before they are written.
    ///
    /// # Errors
    /// `too_large`.
    pub fn take(&mut self, bytes: usize) -> crate::Result<()> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes <= IMPORT_BYTES {
            return Ok(());
        }
        let detail = format!("the files are larger than {IMPORT_BYTES} bytes together; import them in parts");
        Err(Refusal::new(RefusalKind::TooLarge, "too_large", detail))
    }

    /// Reports a failing disk.
    pub fn failed(&self, error: &std::io::Error) -> Refusal {
        scratch_failed(error)
    }
}

/// The last part of a file's name, as reports show it.
fn plain_name(name: &str, place: usize) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or("");
    let clean: String = last.chars().filter(|c| !c.is_control()).take(100).collect();
    if clean.is_empty() { format!("file {}", place + 1) } else { clean }
}

/// One import, running or done.
pub struct ImportJob {
    id: Uuid,
    progress: Arc<ImportProgress>,
    end: watch::Sender<Option<Arc<ImportEnd>>>,
}

/// How an import ended.
#[derive(Debug)]
pub enum ImportEnd {
    /// It is done, or would be.
    Done(ImportReport),
    /// Nothing was applied; with the number of all bad cells, of which the refusal names the first thousand.
    Failed(Refusal, u64),
}

/// How far an import is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct ImportView {
    pub id: Uuid,
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    pub read: u64,
    /// 0 until the files were counted.
    pub total: u64,
    pub written: u64,
    pub to_write: u64,
}

impl ImportJob {
    /// Its name.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<Arc<ImportEnd>> {
        self.end.borrow().clone()
    }

    /// Waits for the end.
    pub async fn finished(&self) -> Arc<ImportEnd> {
        let mut end = self.end.subscribe();
        let ended = end.wait_for(Option::is_some).await.map(|end| end.clone());
        ended.ok().flatten().expect("the sender lives in this job, so waiting ends with a value")
    }

    /// How far it is.
    pub fn view(&self) -> ImportView {
        let (progress, of) = (&self.progress, |n: &AtomicU64| n.load(Ordering::Relaxed));
        let state = match self.end().as_deref() {
            None => "running",
            Some(ImportEnd::Done(_)) => "done",
            Some(ImportEnd::Failed(..)) => "failed",
        };
        ImportView {
            id: self.id,
            state,
            read: of(&progress.read),
            total: of(&progress.total),
            written: of(&progress.written),
            to_write: of(&progress.to_write),
        }
    }
}

impl Engine {
    fn allow_transfer(&self, actor: &Actor, permission: Permission) -> crate::Result<()> {
        match self.allow(actor, permission)? {
            Sight::Everything => Ok(()),
            Sight::Part { .. } => {
                Err(out_of_scope("imports and exports concern the whole organization, and the token's scope is some groups"))
            }
        }
    }

    /// Makes room for an import; only one is received or applied at a time.
    ///
    /// # Errors
    /// `forbidden`, `beyond_own_rights`; wrong values of the query; `import_in_progress`.
    pub async fn begin_import(&self, actor: &Actor, query: &ImportQuery) -> crate::Result<ImportPlace> {
        self.allow_transfer(actor, Permission::DirectoryWrite)?;
        self.may_fill(actor, None).await?;
        query.mode()?;
        let transfers = &self.inner.doorkeeper.transfers;
        if transfers.importing.swap(true, Ordering::SeqCst) {
            return Err(conflict("import_in_progress", "another import is being received or applied; try again when it is done"));
        }
        let turn = Turn(transfers.importing.clone());
        self.sweep();
        let folder = Folder::make(&self.inner.scratch, &format!("import-{}", Uuid::new_v4()))?;
        Ok(ImportPlace { folder, files: Vec::new(), bytes: 0, by: actor.clone(), _turn: turn })
    }

    /// Removes what earlier processes left in the scratch folder, once.
    fn sweep(&self) {
        if self.inner.doorkeeper.transfers.swept.swap(true, Ordering::SeqCst) {
            return;
        }
        let Ok(entries) = std::fs::read_dir(&self.inner.scratch) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let ours = ["import-", "export-"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix));
            if ours {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Starts an import of what was received. It goes on when the caller does not wait.
    ///
    /// # Errors
    /// Wrong values of the query; no file.
    pub fn import(&self, place: ImportPlace, query: ImportQuery) -> crate::Result<Arc<ImportJob>> {
        let mode = query.mode()?;
        if place.files.is_empty() {
            return Err(Refusal::field("files", "there is no file; send at least one CSV file"));
        }
        let job = Arc::new(ImportJob { id: Uuid::now_v7(), progress: Arc::default(), end: watch::channel(None).0 });
        let engine = self.clone();
        let import = Import {
            files: place.files.clone(),
            mode,
            dry_run: query.dry_run,
            allow_many_removals: query.allow_many_removals,
            seal: Arc::new(move |_, auth| engine.seal_auth(auth)),
            progress: job.progress.clone(),
        };
        self.keep_job(job.clone());
        let (engine, running) = (self.clone(), job.clone());
        self.inner.tasks.spawn(async move {
            let end = engine.run_import(&place.by, import).await;
            drop(place);
            running.end.send_replace(Some(Arc::new(end)));
        });
        Ok(job)
    }

    fn keep_job(&self, job: Arc<ImportJob>) {
        let mut jobs = self.inner.doorkeeper.transfers.jobs.lock();
        if jobs.len() >= JOBS_KEPT {
            jobs.pop_front();
        }
        jobs.push_back(job);
    }

    async fn run_import(&self, actor: &Actor, import: Import) -> ImportEnd {
        let dry_run = import.dry_run;
        let (deed, store) = match self.told_of_import(actor, &import).await {
            Ok(told) => told,
            Err(refusal) => return ImportEnd::Failed(refusal, 0),
        };
        let progress = import.progress.clone();
        // Under a task of its own, so that a fault of ours in the import ends the import and not the waiting for it.
        let tenant = self.tenant_key();
        let mut work = tokio::spawn(async move { store.import(tenant, import).await });
        let ended = tokio::select! {
            ended = &mut work => ended,
            () = self.inner.stop.cancelled() => {
                progress.stop.store(true, Ordering::SeqCst);
                work.await
            }
        };
        let report = match ended {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => return ImportEnd::Failed(crate::refusal("import", error), 0),
            Err(error) => {
                tracing::error!(%error, "the import failed");
                return ImportEnd::Failed(Refusal::unavailable("the import failed; nothing was applied; see the server's log"), 0);
            }
        };
        if !report.is_clean() {
            let detail = format!("{} cells are not acceptable; nothing was applied; see errors", report.fault_count);
            let refusal = Refusal { faults: report.faults, ..Refusal::new(RefusalKind::Invalid, "import_invalid", detail) };
            return ImportEnd::Failed(refusal, report.fault_count);
        }
        if report.applied {
            self.import_applied(&report).await;
        } else if !dry_run && let Err(refusal) = self.note(actor, deed.with("unchanged", true)).await {
            return ImportEnd::Failed(refusal, 0);
        }
        ImportEnd::Done(report)
    }

    /// The one entry of an import: how, and SHA-256 of each file; the store adds how many of each kind.
    async fn told_of_import(&self, actor: &Actor, import: &Import) -> crate::Result<(Deed, Shared)> {
        let paths: Vec<PathBuf> = import.files.iter().map(|file| file.path.clone()).collect();
        let hashes =
            tokio::task::spawn_blocking(move || paths.iter().map(|path| file_hash(path)).collect::<std::io::Result<Vec<String>>>());
        let hashes = hashes.await.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(|e| scratch_failed(&e))?;
        let deed = Deed::of("directory.import").with("mode", import.mode).with("files", hashes);
        let deed = if import.allow_many_removals { deed.with("allowManyRemovals", true) } else { deed };
        Ok((deed.clone(), self.told(actor, deed).await?))
    }

    /// Tells everybody who remembers something of the directory.
    async fn import_applied(&self, report: &ImportReport) {
        self.inner.doorkeeper.transfers.edited();
        self.inner.doorkeeper.clear();
        if let Err(error) = self.inner.roster.changed(&self.inner).await {
            tracing::error!(%error, "memberships could not be read again after an import");
        }
        for person in &report.deactivated {
            if let Err(error) = self.person_left(*person).await {
                tracing::error!(%error, "what waits for a person who left could not be ended; it is looked at before it is sent");
            }
        }
        if report.users.removed > 0 {
            self.inner.left.notify_one();
        }
        self.inner.planned.notify_one();
    }

    /// An import that was started in this process's life.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub fn import_job(&self, actor: &Actor, id: Uuid) -> crate::Result<Arc<ImportJob>> {
        self.allow_transfer(actor, Permission::DirectoryWrite)?;
        let jobs = self.inner.doorkeeper.transfers.jobs.lock();
        jobs.iter().find(|job| job.id == id).cloned().ok_or_else(|| Refusal::not_found("import", &id.to_string()))
    }

    /// Gives a running import up; unless it is just becoming visible, nothing of it is applied.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn stop_import(&self, actor: &Actor, id: Uuid) -> crate::Result<Arc<ImportJob>> {
        let job = self.import_job(actor, id)?;
        self.note(actor, Deed::to("directory.import.stop", "import", id)).await?;
        job.progress.stop.store(true, Ordering::SeqCst);
        job.finished().await;
        Ok(job)
    }
}

/// An export on disk. Each file is handed out once: asking again for one makes a new export.
struct Exported {
    folder: Folder,
    made_at: Instant,
    edits: u64,
    by: Option<Uuid>,
    handed: HashSet<String>,
}

/// A file that is ready to be sent.
pub struct ExportFile {
    /// Open for reading; it stays readable when a newer export takes its place.
    pub file: tokio::fs::File,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Engine {
    /// One of the five CSV files of the directory. Files that one caller asks for one after another, while nothing is
    /// changed, are of one moment and fit together.
    ///
    /// # Errors
    /// `forbidden` (registrations hold tokens, so they need the right to change the directory); `not_found`.
    pub async fn export_file(&self, actor: &Actor, name: &str) -> crate::Result<ExportFile> {
        let permission = if name == "registrations.csv" { Permission::DirectoryWrite } else { Permission::DirectoryRead };
        self.allow_transfer(actor, permission)?;
        if !EXPORT_FILES.contains(&name) {
            let mut refusal = Refusal::not_found("file", name);
            refusal.detail.push_str(&format!("; there are {}", EXPORT_FILES.join(", ")));
            return Err(refusal);
        }
        self.note(actor, Deed::to("directory.export", "file", name)).await?;
        let by = match actor {
            Actor::Admin { token, .. } => Some(*token),
            Actor::Device { .. } => None,
        };
        let transfers = &self.inner.doorkeeper.transfers;
        let mut slot = transfers.export.lock().await;
        let edits = transfers.edits.load(Ordering::SeqCst);
        let fits = |e: &Exported| e.by == by && e.edits == edits && e.made_at.elapsed() < EXPORT_LIFE && !e.handed.contains(name);
        if !slot.as_ref().is_some_and(fits) {
            *slot = None;
            *slot = Some(self.export(by, edits).await?);
        }
        let exported = slot.as_mut().expect("an export was just made");
        let file = tokio::fs::File::open(exported.folder.0.join(name)).await.map_err(|e| scratch_failed(&e))?;
        let bytes = file.metadata().await.map_err(|e| scratch_failed(&e))?.len();
        exported.handed.insert(name.to_owned());
        if exported.handed.len() == EXPORT_FILES.len() {
            *slot = None;
        }
        Ok(ExportFile { file, bytes })
    }

    async fn export(&self, by: Option<Uuid>, edits: u64) -> crate::Result<Exported> {
        self.sweep();
        let folder = Folder::make(&self.inner.scratch, &format!("export-{}", Uuid::new_v4()))?;
        let made = self.inner.store.export(self.tenant_key(), folder.0.clone()).await;
        made.map_err(|e| crate::refusal("export", e))?;
        Ok(Exported { folder, made_at: Instant::now(), edits, by, handed: HashSet::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_in_reports_is_its_last_part() {
        assert_eq!(plain_name("../../etc/people.csv", 0), "people.csv");
        assert_eq!(plain_name("C:\\files\\groups.csv", 0), "groups.csv");
        assert_eq!(plain_name("a\nb.csv", 0), "ab.csv");
        assert_eq!(plain_name("", 1), "file 2");
    }

    #[test]
    fn a_folder_goes_with_its_holder() {
        let scratch = std::env::temp_dir().join(format!("carillon-{}", Uuid::new_v4()));
        let folder = Folder::make(&scratch, "import-1").expect("a folder");
        let path = folder.0.clone();
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());
        std::fs::remove_dir_all(&scratch).expect("an empty folder");
    }
}
