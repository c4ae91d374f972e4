//! The import of CSV files into PostgreSQL, with the promise of the embedded store and most of its code: the tenant's
//! directory is copied into a file ([`mirror`]), against which the files are staged, checked and compared as they are
//! there; the rows that differ are then written by arrays ([`steps`]), in short transactions, as versions that nobody sees
//! yet; and one tiny transaction moves the generation. What changed between the copy and the writing is found by the
//! versions of the rows, and takes the import back ([`recover`]).

mod mirror;
mod recover;
mod steps;

pub(in crate::postgres) use recover::recover;

use super::args::{Arg, params};
use super::directory::versions::{next_keys, untold};
use super::link::Connection;
use super::{Lane, Postgres};
use crate::audit::{self, Told};
use crate::sqlite::import::apply::{Bases, filled};
use crate::sqlite::import::scratch::{Scratch, stopped};
use crate::sqlite::import::{StopOnDrop, check};
use crate::{Import, ImportReport, ImportSource, Result, StoreError};
use async_trait::async_trait;
use mirror::Mirror;
use model::TenantKey;
use rusqlite::types::Value;
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use steps::{ENDINGS, SHUTTING_OUT, STARTS, Write};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Rows of one statement: some ten milliseconds, during which edits of the tenant wait.
const ROWS: usize = 1_000;

const HOLD: &str = "SELECT pg_try_advisory_lock(1128354378, $1::bigint::integer)";
const LET_GO: &str = "SELECT pg_advisory_unlock(1128354378, $1::bigint::integer)";
/// A directory that grew at once is planned for at once, not when the next vacuum comes by.
const STATISTICS: &str = "ANALYZE person, grp, member, device, registration";
const BEGIN: &str = "UPDATE meta SET importing = 1 WHERE tenant = $1 AND generation = $2 AND importing = 0";
const SWITCH: &str =
    "UPDATE meta SET generation = $2, importing = 2, directory = directory + 1 WHERE tenant = $1 AND importing = 1 RETURNING directory";

/// The right to import for a tenant, in this process and every other; it goes with its connection.
struct Held(Connection);

impl Held {
    async fn take(store: &Postgres, tenant: TenantKey) -> Result<Held> {
        let c = store.inner.pool.connect(Lane::Bulk).await?;
        blocking(move || {
            let held: bool = c.prepare_cached(HOLD)?.query_row(params![tenant.0], |row| row.get(0))?;
            if held { Ok(Held(c)) } else { Err(StoreError::Unavailable("another import is running".into())) }
        })
        .await
    }

    /// Gives it back; where that fails it goes with the connection all the same, a little later.
    async fn let_go(self, tenant: TenantKey) {
        let let_go = blocking(move || Ok(self.0.prepare_cached(LET_GO)?.all(params![tenant.0]).map(|_| ())?));
        if let Err(error) = let_go.await {
            tracing::debug!(%error, "the right to import goes with its connection");
        }
    }
}

#[async_trait]
impl ImportSource for Postgres {
    async fn import(&self, tenant: TenantKey, import: Import) -> Result<ImportReport> {
        let mut stop = StopOnDrop(Some(import.progress.clone()));
        let held = Held::take(self, tenant).await?;
        let (store, told) = self.apart();
        // In a task of its own, so that it can take back what it wrote even when nobody waits for it any more.
        let task = tokio::spawn(async move {
            let report = run(&store, tenant, import, told).await;
            held.let_go(tenant).await;
            report
        });
        let report = task.await.unwrap_or_else(|_| Err(StoreError::Broken("the import was interrupted".into())));
        stop.0 = None;
        report
    }

    async fn export(&self, tenant: TenantKey, folder: PathBuf) -> Result<Vec<PathBuf>> {
        let (c, scratch) = (self.inner.pool.connect(Lane::Bulk).await?, self.inner.scratch.clone());
        blocking(move || {
            let mirror = Mirror::make(&c, tenant, &scratch)?;
            crate::sqlite::export::export(&rusqlite::Connection::open(mirror.file())?, tenant, &folder)
        })
        .await
    }
}

async fn run(store: &Postgres, tenant: TenantKey, import: Import, told: Option<Arc<Told>>) -> Result<ImportReport> {
    recover::mend(store, tenant).await?;
    let dry_run = import.dry_run;
    let (c, folder, progress) = (store.inner.pool.connect(Lane::Bulk).await?, store.inner.scratch.clone(), import.progress.clone());
    let (mirror, scratch, mut report) = blocking(move || {
        let mirror = Mirror::make(&c, tenant, &folder)?;
        let (scratch, report) = check(mirror.file(), tenant, import)?;
        Ok((mirror, scratch, report))
    })
    .await?;
    let told = told.map(|told| audit::counted(&told, &report)).transpose()?;
    if dry_run || !report.is_clean() || progress.to_write.load(Ordering::Relaxed) == 0 {
        scratch.remove();
        return Ok(report);
    }
    let written = match write_versions(store, scratch).await {
        Ok(scratch) => switch(store, scratch, told).await,
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
    let generation = scratch.generation + 1;
    let none = Bases { person: 0, grp: 0, device: 0, registration: 0 };
    let cleaned = match walk(store, scratch, none, &SHUTTING_OUT, generation, false).await {
        Ok(scratch) => {
            scratch.remove();
            recover::drop_dead(store, tenant, generation).await.and(store.write(Lane::Bulk, |c, _| Ok(c.batch(STATISTICS)?)).await)
        }
        Err(error) => Err(error),
    };
    if let Err(error) = cleaned {
        // It is visible, so it is done; old versions cost only space.
        tracing::warn!(%error, "old versions of an import were not all deleted; the next import or start does it");
    }
    drop(mirror);
    Ok(report)
}

/// Writes the changes of a scratch file as versions that nobody sees yet. Answers the scratch file for what follows.
async fn write_versions(store: &Postgres, scratch: Scratch) -> Result<Scratch> {
    let (tenant, generation) = (scratch.tenant, scratch.generation);
    let (scratch, [people, groups, devices, registrations]) = blocking(move || {
        let counts = [
            scratch.number("SELECT count(*) FROM person WHERE key > $new")?,
            scratch.number("SELECT count(*) FROM grp WHERE key > $new")?,
            scratch.number("SELECT count(*) FROM device WHERE key > $new")?,
            scratch.number("SELECT count(*) FROM registration WHERE key > $new")?,
        ];
        Ok((scratch, counts))
    })
    .await?;
    let bases = store
        .edit(tenant, move |c, _| {
            if c.prepare_cached(BEGIN)?.execute(params![tenant.0, generation])? == 0 {
                return Err(StoreError::ImportPending);
            }
            Ok(Bases {
                person: next_keys(c, "person", people)?,
                grp: next_keys(c, "grp", groups)?,
                device: next_keys(c, "device", devices)?,
                registration: next_keys(c, "registration", registrations)?,
            })
        })
        .await?;
    let scratch = walk(store, scratch, bases, &ENDINGS, generation + 1, true).await?;
    walk(store, scratch, bases, &STARTS, generation + 1, true).await
}

/// Shows what was written: the one moment in which the directory changes, and in which the audit gets its entry.
async fn switch(store: &Postgres, scratch: Scratch, told: Option<Told>) -> Result<Scratch> {
    scratch.go_on()?;
    let (tenant, generation) = (scratch.tenant, scratch.generation);
    store
        .edit_facts(tenant, move |c, now| {
            let version: i64 = c.prepare_cached(SWITCH)?.query_row(params![tenant.0, generation + 1], |row| row.get(0))?;
            // What an import changed is not told one by one.
            untold(c, tenant, version)?;
            told.as_ref().map_or(Ok(()), |told| audit::append(c, told, now))
        })
        .await?;
    Ok(scratch)
}

/// Rows on their way from the scratch file.
struct Chunk {
    write: &'static Write,
    /// Which of its step, from 1.
    place: usize,
    rows: usize,
    columns: Vec<Arg<'static>>,
}

/// Takes steps one after the other: one thread reads the next rows while PostgreSQL writes.
async fn walk(store: &Postgres, scratch: Scratch, bases: Bases, steps: &'static [Write], generation: i64, strict: bool) -> Result<Scratch> {
    let (tenant, progress) = (scratch.tenant, scratch.import.progress.clone());
    let (sender, mut chunks) = mpsc::channel::<Chunk>(2);
    let reading = tokio::task::spawn_blocking(move || {
        for step in steps {
            read(&scratch, bases, step, &sender)?;
        }
        Ok(scratch)
    });
    let mut end = Ok(());
    while end.is_ok()
        && let Some(chunk) = chunks.recv().await
    {
        let rows = chunk.rows;
        let job = move |c: &Connection, now: model::Timestamp| write(c, (tenant, generation, now.0), &chunk, strict);
        end = store.transact(Lane::Bulk, Some(tenant), job).await;
        if strict {
            progress.written.fetch_add(rows as u64, Ordering::Relaxed);
            if end.is_ok() && progress.stop.load(Ordering::Relaxed) {
                end = Err(stopped());
            }
        }
    }
    drop(chunks);
    let scratch = reading.await.map_err(|_| StoreError::Broken("reading the scratch file was interrupted".into()))?;
    end.and(scratch)
}

/// Reads the rows of a step and sends them on. Ends early when nobody takes them: the writing side tells why.
fn read(scratch: &Scratch, bases: Bases, write: &'static Write, sender: &mpsc::Sender<Chunk>) -> Result<()> {
    let step = write.of;
    let mut statement = scratch.c.prepare(&filled(scratch, bases, step.read))?;
    let skipped = usize::from(step.paged);
    let (mut after, mut place): (i64, usize) = (0, 0);
    loop {
        let mut found = if step.paged { statement.query([after, ROWS as i64])? } else { statement.query([])? };
        let mut gathered = Gathered::new(write);
        let mut taken = 0;
        while let Some(row) = found.next()? {
            for column in 0..write.kinds.len() {
                let value: Value = row.get(column + skipped)?;
                let id_wanted = step.id == Some(column) && value == Value::Null;
                gathered.push(column, if id_wanted { Value::Blob(Uuid::now_v7().as_bytes().to_vec()) } else { value })?;
            }
            if step.paged {
                after = row.get(0)?;
            }
            taken += 1;
            gathered.rows += 1;
            if gathered.rows == ROWS {
                let full = std::mem::replace(&mut gathered, Gathered::new(write));
                place += 1;
                sender.blocking_send(full.chunk(place)).map_err(|_| stopped())?;
            }
        }
        drop(found);
        if gathered.rows > 0 {
            place += 1;
            sender.blocking_send(gathered.chunk(place)).map_err(|_| stopped())?;
        }
        if !step.paged || taken < ROWS {
            return Ok(());
        }
    }
}

/// Values of one statement, column by column.
struct Gathered {
    write: &'static Write,
    rows: usize,
    columns: Vec<Column>,
}

enum Column {
    Numbers(Vec<Option<i64>>),
    Texts(Vec<Option<Cow<'static, str>>>),
    Bytes(Vec<Option<Cow<'static, [u8]>>>),
}

impl Gathered {
    fn new(write: &'static Write) -> Gathered {
        let columns = write.kinds.bytes().map(|kind| match kind {
            b't' => Column::Texts(Vec::with_capacity(ROWS)),
            b'b' => Column::Bytes(Vec::with_capacity(ROWS)),
            _ => Column::Numbers(Vec::with_capacity(ROWS)),
        });
        Gathered { write, rows: 0, columns: columns.collect() }
    }

    fn push(&mut self, column: usize, value: Value) -> Result<()> {
        match (&mut self.columns[column], value) {
            (Column::Numbers(numbers), Value::Integer(number)) => numbers.push(Some(number)),
            (Column::Numbers(numbers), Value::Null) => numbers.push(None),
            (Column::Texts(texts), Value::Text(text)) => texts.push(Some(Cow::Owned(text))),
            (Column::Texts(texts), Value::Null) => texts.push(None),
            (Column::Bytes(all), Value::Blob(bytes)) => all.push(Some(Cow::Owned(bytes))),
            (Column::Bytes(all), Value::Null) => all.push(None),
            (_, other) => return Err(StoreError::Broken(format!("column {column} of a step holds {}", other.data_type()))),
        }
        Ok(())
    }

    fn chunk(self, place: usize) -> Chunk {
        let columns = self.columns.into_iter().map(|column| match column {
            Column::Numbers(numbers) => Arg::SomeInts(Cow::Owned(numbers)),
            Column::Texts(texts) => Arg::Texts(texts),
            Column::Bytes(all) => Arg::Blobs(all),
        });
        Chunk { write: self.write, place, rows: self.rows, columns: columns.collect() }
    }
}

/// Writes a chunk.
fn write(c: &Connection, (tenant, generation, now): (TenantKey, i64, i64), chunk: &Chunk, strict: bool) -> Result<()> {
    // The table that is written grows: what is planned for one chunk is wrong for many.
    if chunk.place.is_power_of_two() {
        c.plan_anew()?;
    }
    let mut values = vec![Arg::Int(tenant.0.into()), Arg::Int(generation), Arg::Int(now)];
    values.extend(chunk.columns.iter().cloned());
    let written = match c.prepare_cached(chunk.write.sql)?.execute(values) {
        Ok(rows) => rows,
        // Somebody took a unique value meanwhile.
        Err(fault) if fault.is_taken() => 0,
        Err(fault) => return Err(fault.into()),
    };
    if strict && written != chunk.rows {
        return Err(StoreError::Unavailable(
            "the directory was changed while the import was being applied; nothing of it was applied, run it again".into(),
        ));
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(StoreError::Broken("a step of the import panicked".into())))
}

/// Every statement of the import, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    let steps = ENDINGS.iter().chain(&STARTS).chain(&SHUTTING_OUT).map(|write| write.sql);
    steps.chain([HOLD, LET_GO, BEGIN, SWITCH]).chain(recover::STATEMENTS.iter().copied()).collect()
}
