//! Writes what differs, in short jobs: old versions end with the next generation and new ones begin there, which nobody
//! sees until the generation moves. Every row that is ended must still be at the version that was compared.

use super::scratch::{NEW, Scratch, stopped};
use crate::audit::{Told, append};
use crate::sqlite::directory::versions::next_keys;
use crate::sqlite::{Sqlite, WriteLane, writer};
use crate::{Result, StoreError};
use model::TenantKey;
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, ErrorCode, Statement};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Most rows of one job.
const ROWS_PER_JOB: usize = 500;
/// Fewest; below this the commit costs more than the rows.
const FEWEST_ROWS: usize = 25;
/// How long a job should last: with those that wait together it must stay under the writer's 5 ms.
const JOB: Duration = Duration::from_micros(2_000);
/// Jobs that wait for the writer together, to be committed together: then the disk is waited for half as often.
const IN_FLIGHT: usize = 2;

/// One kind of change: what to read from the scratch file, and what to do with each row of it. The first three parameters
/// of the writing statement are the tenant, the new generation and the time; the columns of the row follow. It says OR
/// FAIL, which spares SQLite a copy of every page that it touches, kept for undoing one statement: here everything that
/// was written is taken back when one row fails.
pub(crate) struct Step {
    pub read: &'static str,
    /// Answers a row, for the same parameters, if the row may be written. Apart from the writing statement, which would
    /// collect its own rows in a temporary table first.
    guard: Option<&'static str>,
    write: &'static str,
    /// Whether the reading statement looks at the live directory: it is asked page by page then, so that no look lasts. Its
    /// first column is a number that grows, asked for behind ?1 and up to ?2 rows, and is not written.
    pub paged: bool,
    /// The column that takes a new id where it is empty.
    pub id: Option<usize>,
}

pub(crate) const ENDS: [Step; 5] = [
    Step {
        read: "SELECT key, version FROM person_change ORDER BY key",
        guard: None,
        write: "UPDATE OR FAIL person SET until = ?2 WHERE tenant = ?1 AND key = ?4 AND until = 9223372036854775807 AND version = ?5",
        paged: false,
        id: None,
    },
    Step {
        read: "SELECT key, version FROM grp_change ORDER BY key",
        guard: None,
        write: "UPDATE OR FAIL grp SET until = ?2 WHERE tenant = ?1 AND key = ?4 AND until = 9223372036854775807 AND version = ?5",
        paged: false,
        id: None,
    },
    Step {
        read: "SELECT old_owner, key, version FROM device_change ORDER BY old_owner, key",
        guard: None,
        write: "UPDATE OR FAIL device SET until = ?2 WHERE tenant = ?1 AND owner = ?4 AND key = ?5 AND until = 9223372036854775807 AND version = ?6",
        paged: false,
        id: None,
    },
    Step {
        read: "SELECT old_owner, device, key, version FROM registration_change ORDER BY old_owner, device, key",
        guard: None,
        write: "UPDATE OR FAIL registration SET until = ?2 WHERE tenant = ?1 AND owner = ?4 AND device = ?5 AND key = ?6 AND until = 9223372036854775807 \
                AND version = ?7",
        paged: false,
        id: None,
    },
    Step {
        read: "SELECT grp, kind, key FROM member_end ORDER BY grp, kind, key",
        guard: None,
        write: "UPDATE OR FAIL member SET until = ?2 WHERE tenant = ?1 AND grp = ?4 AND kind = ?5 AND key = ?6 AND until = 9223372036854775807",
        paged: false,
        id: None,
    },
];

/// `$real(x)` is the key that takes the place of a provisional one.
pub(crate) const BEGINNINGS: [Step; 7] = [
    Step {
        read: "SELECT p.key, $real(person:p.key), coalesce(l.version, 0) + 1, p.active, p.locale, nullif(p.email, ''), l.quiet_hours, p.timezone, l.id, \
               nullif(p.external_id, ''), p.upn, p.display_name, p.licenses, $real(person:p.manager), p.phones \
               FROM person p INDEXED BY person_key LEFT JOIN live.person l ON $seen(l) AND l.key = p.key WHERE p.key > ?1 \
               AND (p.key > $new OR EXISTS (SELECT 1 FROM person_change x WHERE x.key = p.key)) ORDER BY p.key LIMIT ?2",
        guard: None,
        write: "INSERT OR FAIL INTO person (tenant, since, until, key, version, active, locale, email, quiet_hours, timezone, id, external_id, upn, \
                display_name, licenses, manager, phones) \
                VALUES (?1, ?2, 9223372036854775807, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        paged: true,
        id: Some(7),
    },
    Step {
        read: "SELECT g.key, $real(grp:g.key), coalesce(l.version, 0) + 1, l.id, nullif(g.external_id, ''), g.name, coalesce(g.description, '') \
               FROM grp g INDEXED BY grp_key LEFT JOIN live.grp l ON $seen(l) AND l.key = g.key WHERE g.key > ?1 \
               AND (g.key > $new OR EXISTS (SELECT 1 FROM grp_change x WHERE x.key = g.key)) ORDER BY g.key LIMIT ?2",
        guard: None,
        write: "INSERT OR FAIL INTO grp (tenant, since, until, key, version, id, external_id, name, description) \
                VALUES (?1, ?2, 9223372036854775807, ?4, ?5, ?6, ?7, ?8, ?9)",
        paged: true,
        id: Some(2),
    },
    // Enrolled by this import: its source (2) and the time of writing.
    Step {
        read: "SELECT d.key, $real(person:d.owner), $real(device:d.key), coalesce(l.version, 0) + 1, d.platform, d.ownership, d.enrolled, \
               $real(person:d.enrolled_by), d.app_installed, d.permission, d.play_services, coalesce(l.push_enabled, 1), \
               CASE WHEN d.enrolled = 0 THEN NULL WHEN l.enrolled THEN l.enrolled_source ELSE 2 END, \
               CASE WHEN d.enrolled = 0 THEN NULL WHEN l.enrolled THEN l.enrolled_at ELSE -1 END, \
               l.last_seen, l.id, nullif(d.external_id, ''), d.name \
               FROM device d INDEXED BY device_key LEFT JOIN live.device l ON $seen(l) AND l.key = d.key WHERE d.key > ?1 \
               AND (d.key > $new OR EXISTS (SELECT 1 FROM device_change x WHERE x.key = d.key)) ORDER BY d.key LIMIT ?2",
        guard: Some(OWNER_STAYS),
        write: NEW_DEVICE,
        paged: true,
        id: Some(14),
    },
    // Devices that no file names and whose owner goes.
    Step {
        read: "SELECT x.key, 0, l.key, l.version + 1, l.platform, l.ownership, l.enrolled, l.enrolled_by, l.app_installed, l.permission, l.play_services, \
               l.push_enabled, l.enrolled_source, l.enrolled_at, l.last_seen, l.id, l.external_id, l.name FROM device_change x \
               CROSS JOIN live.device l ON $seen(l) AND l.key = x.key WHERE x.key > ?1 AND NOT x.removed \
               AND NOT EXISTS (SELECT 1 FROM device d WHERE d.key = x.key) ORDER BY x.key LIMIT ?2",
        guard: Some(OWNER_STAYS),
        write: NEW_DEVICE,
        paged: true,
        id: None,
    },
    Step {
        read: "SELECT r.key, $real(person:r.owner), $real(device:r.device), $real(registration:r.key), 1, r.service, CASE WHEN $inactive(r.owner) THEN 2 ELSE 1 END, \
               -1, r.environment, r.app, r.token, r.endpoint, r.p256dh, r.auth, NULL, CASE WHEN $inactive(r.owner) THEN 'person_inactive' END \
               FROM registration r INDEXED BY registration_key WHERE r.key > max(?1, $new) ORDER BY r.key LIMIT ?2",
        guard: Some(DEVICE_STAYS),
        write: NEW_REGISTRATION,
        paged: true,
        id: Some(13),
    },
    Step {
        read: "SELECT x.key, $real(person:x.new_owner), x.device, x.key, l.version + 1, l.service, \
               CASE WHEN $inactive(x.new_owner) THEN 2 WHEN r.row NOT NULL THEN 1 WHEN x.retired NOT NULL THEN 2 ELSE l.state END, \
               CASE WHEN r.row NOT NULL THEN -1 ELSE l.registered_at END, l.environment, l.app, coalesce(r.token, l.token), \
               coalesce(r.endpoint, l.endpoint), coalesce(r.p256dh, l.p256dh), \
               CASE WHEN r.row IS NULL OR length(r.auth) = 0 AND r.endpoint = l.endpoint THEN l.auth ELSE r.auth END, l.id, \
               CASE WHEN l.state = 2 AND r.row IS NULL THEN l.retired_code WHEN $inactive(x.new_owner) THEN 'person_inactive' \
                    WHEN r.row IS NULL THEN x.retired END \
               FROM registration_change x CROSS JOIN live.registration l ON $seen(l) AND l.owner = x.old_owner AND l.device = x.device AND l.key = x.key \
               LEFT JOIN registration r ON r.row = x.row WHERE x.key > ?1 AND NOT x.removed ORDER BY x.key LIMIT ?2",
        guard: Some(DEVICE_STAYS),
        write: NEW_REGISTRATION,
        paged: true,
        id: None,
    },
    Step {
        read: "SELECT $real(grp:m.grp), m.kind, CASE m.kind WHEN 1 THEN $real(person:m.key) WHEN 2 THEN $real(grp:m.key) ELSE $real(device:m.key) END \
               FROM member m WHERE m.held = 0 ORDER BY m.grp, m.kind, m.key",
        // The import stops when one of the two was removed meanwhile, or the membership is there already.
        guard: Some(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM grp WHERE tenant = ?1 AND key = ?4 AND until = 9223372036854775807) \
             AND CASE ?5 WHEN 1 THEN EXISTS (SELECT 1 FROM person WHERE tenant = ?1 AND key = ?6 AND until = 9223372036854775807) \
             WHEN 2 THEN EXISTS (SELECT 1 FROM grp WHERE tenant = ?1 AND key = ?6 AND until = 9223372036854775807) \
             ELSE EXISTS (SELECT 1 FROM device WHERE tenant = ?1 AND key = ?6 AND until = 9223372036854775807) END \
             AND NOT EXISTS (SELECT 1 FROM member WHERE tenant = ?1 AND grp = ?4 AND kind = ?5 AND key = ?6 AND until = 9223372036854775807)",
        ),
        write: "INSERT OR FAIL INTO member (tenant, since, until, grp, kind, key) VALUES (?1, ?2, 9223372036854775807, ?4, ?5, ?6)",
        paged: false,
        id: None,
    },
];

const NEW_DEVICE: &str = "INSERT OR FAIL INTO device (tenant, since, until, owner, key, version, platform, ownership, enrolled, enrolled_by, \
    app_installed, permission, play_services, push_enabled, enrolled_source, enrolled_at, last_seen, id, external_id, name) \
    VALUES (?1, ?2, 9223372036854775807, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, CASE ?16 WHEN -1 THEN ?3 ELSE ?16 END, ?17, ?18, ?19, ?20)";

/// Only while the owner is there.
const OWNER_STAYS: &str =
    "SELECT 1 WHERE ?4 = 0 OR EXISTS (SELECT 1 FROM person WHERE tenant = ?1 AND key = ?4 AND until = 9223372036854775807)";

const NEW_REGISTRATION: &str = "INSERT OR FAIL INTO registration (tenant, since, until, owner, device, key, version, service, state, registered_at, \
    environment, app, token, endpoint, p256dh, auth, id, retired_code) \
    VALUES (?1, ?2, 9223372036854775807, ?4, ?5, ?6, ?7, ?8, ?9, CASE ?10 WHEN -1 THEN ?3 ELSE ?10 END, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

/// Only while the device is there with this owner, and the place is free.
const DEVICE_STAYS: &str = "SELECT 1 WHERE EXISTS (SELECT 1 FROM device WHERE tenant = ?1 AND owner = ?4 AND key = ?5 AND until = 9223372036854775807) \
    AND NOT EXISTS (SELECT 1 FROM registration r WHERE r.tenant = ?1 AND r.owner = ?4 AND r.device = ?5 AND r.until = 9223372036854775807 \
    AND r.service = ?8 AND r.environment = ?11 AND r.app = ?12)";

/// What nobody sees any more after the switch. Here the second parameter is the generation that is visible then.
const DEAD: [Step; 5] = [
    Step {
        read: ENDS[0].read,
        guard: None,
        write: "DELETE FROM person WHERE tenant = ?1 AND key = ?4 AND until = ?2",
        paged: false,
        id: None,
    },
    Step {
        read: ENDS[1].read,
        guard: None,
        write: "DELETE FROM grp WHERE tenant = ?1 AND key = ?4 AND until = ?2",
        paged: false,
        id: None,
    },
    Step {
        read: ENDS[2].read,
        guard: None,
        write: "DELETE FROM device WHERE tenant = ?1 AND owner = ?4 AND key = ?5 AND until = ?2",
        paged: false,
        id: None,
    },
    Step {
        read: ENDS[3].read,
        guard: None,
        write: "DELETE FROM registration WHERE tenant = ?1 AND owner = ?4 AND device = ?5 AND key = ?6 AND until = ?2",
        paged: false,
        id: None,
    },
    Step {
        read: ENDS[4].read,
        guard: None,
        write: "DELETE FROM member WHERE tenant = ?1 AND grp = ?4 AND kind = ?5 AND key = ?6 AND until = ?2",
        paged: false,
        id: None,
    },
];

/// Tokens and codes of people who left, and tokens of devices that went.
pub(crate) const SHUT_OUT: [Step; 3] = [
    Step {
        read: "SELECT key FROM person_change WHERE deactivated OR removed ORDER BY key",
        // Also by the versions that nobody sees any more: they tell whose the device was.
        guard: None,
        write: "UPDATE token SET revoked_at = ?3 WHERE revoked_at IS NULL AND device IN (SELECT key FROM device WHERE tenant = ?1 AND owner = ?4)",
        paged: false,
        id: None,
    },
    Step {
        read: "SELECT key FROM device_change WHERE removed ORDER BY key",
        guard: None,
        write: "UPDATE token SET revoked_at = ?3 WHERE revoked_at IS NULL AND device = ?4 AND tenant = ?1",
        paged: false,
        id: None,
    },
    Step {
        read: "SELECT k.hash FROM live.code k WHERE k.tenant = $tenant AND k.used_at IS NULL \
               AND EXISTS (SELECT 1 FROM person_change x WHERE x.key = k.person AND (x.deactivated OR x.removed))",
        guard: None,
        write: "UPDATE code SET used_at = ?3 WHERE tenant = ?1 AND hash = ?4",
        paged: false,
        id: None,
    },
];

/// First real keys of the new objects.
#[derive(Clone, Copy)]
pub(crate) struct Bases {
    pub person: u32,
    pub grp: u32,
    pub device: u32,
    pub registration: u32,
}

/// Fills in what [`Scratch::sql`] does not know.
pub(crate) fn filled(s: &Scratch, bases: Bases, template: &str) -> String {
    let mut sql = template.to_owned();
    for (mark, of) in [("$real(", 6), ("$inactive(", 10)] {
        while let Some(at) = sql.find(mark) {
            let end = at + sql[at..].find(')').expect("a parenthesis is closed");
            let inner = sql[at + of..end].to_owned();
            let text = if mark == "$real(" { real(bases, &inner) } else { inactive(&inner) };
            sql.replace_range(at..=end, &text);
        }
    }
    s.sql(&sql)
}

fn real(bases: Bases, inner: &str) -> String {
    let (of, column) = inner.split_once(':').expect("a provisional key has its kind");
    let base = match of {
        "person" => bases.person,
        "grp" => bases.grp,
        "device" => bases.device,
        _ => bases.registration,
    };
    format!("CASE WHEN {column} > {NEW} THEN {column} - {} ELSE {column} END", NEW + 1 - i64::from(base))
}

fn inactive(owner: &str) -> String {
    format!(
        "(coalesce((SELECT q.active FROM person q WHERE q.key = {owner}), \
         (SELECT q.active FROM live.person q WHERE $seen(q) AND q.key = {owner}), 1) = 0)"
    )
}

/// How many rows are to be written.
pub(super) fn rows(s: &Scratch) -> Result<u64> {
    let mut rows = 0;
    for table in ["person", "grp", "device", "registration"] {
        rows += s.number(&format!("SELECT count(*) FROM {table} WHERE key > $new"))?;
        rows += s.number(&format!("SELECT coalesce(sum(CASE WHEN removed THEN 1 ELSE 2 END), 0) FROM {table}_change"))?;
    }
    Ok(rows + s.number("SELECT count(*) FROM member_end")? + s.number("SELECT count(*) FROM member WHERE held = 0")?)
}

/// Writes the changes of a scratch file as versions that nobody sees yet. Answers the scratch file for what follows.
///
/// # Errors
/// Whatever stops it; what was written is still there then and must be taken back.
pub(super) async fn write_versions(store: &Sqlite, scratch: Scratch) -> Result<Scratch> {
    let (tenant, generation) = (scratch.tenant, scratch.generation);
    let (scratch, [people, groups, devices, registrations]) = super::blocking(move || {
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
        .write(WriteLane::Import, move |c, _| {
            let begun = c
                .prepare_cached("UPDATE meta SET importing = 1 WHERE tenant = ?1 AND generation = ?2 AND importing = 0")?
                .execute(rusqlite::params![tenant.0, generation])?;
            if begun == 0 {
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
    let steps = ENDS.iter().chain(&BEGINNINGS);
    walk(store, scratch, bases, steps, generation + 1, true).await
}

/// Shows what was written: the one moment in which the directory changes, and in which the audit gets its entry.
///
/// # Errors
/// As [`write_versions`].
pub(super) async fn switch(store: &Sqlite, scratch: Scratch, told: Option<Told>) -> Result<Scratch> {
    scratch.go_on()?;
    let (tenant, generation) = (scratch.tenant, scratch.generation);
    store
        .write(WriteLane::Import, move |c, now| {
            c.prepare_cached(
                "UPDATE meta SET generation = ?2, importing = 2, directory = directory + 1 WHERE tenant = ?1 AND importing = 1",
            )?
            .execute(rusqlite::params![tenant.0, generation + 1])?;
            writer::facts_moved();
            told.map_or(Ok(()), |told| append(c, &told, now))
        })
        .await?;
    Ok(scratch)
}

/// After the switch: shuts out who left, and deletes what nobody sees any more.
pub(super) async fn clean(store: &Sqlite, scratch: Scratch) -> Result<Scratch> {
    let (tenant, generation) = (scratch.tenant, scratch.generation);
    let none = Bases { person: 0, grp: 0, device: 0, registration: 0 };
    let scratch = walk(store, scratch, none, SHUT_OUT.iter().chain(&DEAD), generation + 1, false).await?;
    store
        .write(WriteLane::Import, move |c, _| {
            c.prepare_cached("UPDATE meta SET importing = 0 WHERE tenant = ?1 AND importing = 2")?.execute([tenant.0])?;
            Ok(())
        })
        .await?;
    Ok(scratch)
}

/// Rows on their way from the scratch file to the writer.
struct Chunk {
    guard: Option<&'static str>,
    write: &'static str,
    width: usize,
    values: Vec<Value>,
}

/// Takes steps one after the other: one thread reads the next rows while the writer writes.
async fn walk(
    store: &Sqlite,
    scratch: Scratch,
    bases: Bases,
    steps: impl Iterator<Item = &'static Step> + Send + 'static,
    generation: i64,
    strict: bool,
) -> Result<Scratch> {
    let tenant = scratch.tenant;
    let progress = scratch.import.progress.clone();
    let rows = Arc::new(AtomicUsize::new(FEWEST_ROWS * 4));
    let (sender, mut chunks) = mpsc::channel(2);
    let sizes = rows.clone();
    let reading = tokio::task::spawn_blocking(move || {
        for step in steps {
            read(&scratch, bases, step, &sizes, &sender)?;
        }
        Ok(scratch)
    });
    let mut waiting = VecDeque::new();
    let mut end = Ok(());
    while end.is_ok() {
        let chunk: Option<Chunk> = chunks.recv().await;
        let ended = chunk.is_none();
        if let Some(chunk) = chunk {
            waiting.push_back(queued(write_later(store, (tenant, generation), chunk, strict)).await);
        }
        while end.is_ok() && (waiting.len() >= IN_FLIGHT || ended) {
            let Some(first) = waiting.pop_front() else { break };
            end = first.await.map(|written| {
                let fitting = written.rows as f64 * JOB.as_secs_f64() / written.took.as_secs_f64().max(1e-6);
                rows.store((fitting as usize).clamp(FEWEST_ROWS, ROWS_PER_JOB), Ordering::Relaxed);
                let counted = if strict { written.rows as u64 } else { 0 };
                progress.written.fetch_add(counted, Ordering::Relaxed);
            });
        }
        if ended {
            break;
        }
        if strict && progress.stop.load(Ordering::Relaxed) {
            end = end.and(Err(stopped()));
        }
    }
    // What is queued is written whatever happens: only after it can anything be taken back.
    for later in waiting {
        let _ = later.await;
    }
    drop(chunks);
    let scratch = reading.await.map_err(|_| StoreError::Broken("reading the scratch file was interrupted".into()))?;
    end.and(scratch)
}

/// A job that is done.
struct Written {
    rows: usize,
    took: Duration,
}

type Writing<'a> = Pin<Box<dyn Future<Output = Result<Written>> + Send + 'a>>;

fn write_later(store: &Sqlite, (tenant, generation): (TenantKey, i64), chunk: Chunk, strict: bool) -> Writing<'_> {
    let rows = chunk.values.len() / chunk.width;
    Box::pin(async move {
        let job = move |c: &Connection, now: model::Timestamp| {
            let began = Instant::now();
            let missed = write(c, (tenant, generation, now.0), chunk, strict)?;
            Ok((missed, began.elapsed()))
        };
        let (missed, took) = store.write(WriteLane::Import, job).await?;
        if missed {
            return Err(StoreError::Unavailable(
                "the directory was changed while the import was being applied; nothing of it was applied, run it again".into(),
            ));
        }
        Ok(Written { rows, took })
    })
}

/// Asks once, which puts the job into the writer's queue: so jobs keep their order while several wait.
async fn queued(mut writing: Writing<'_>) -> Writing<'_> {
    let mut answer = None;
    std::future::poll_fn(|context| {
        if let Poll::Ready(ready) = writing.as_mut().poll(context) {
            answer = Some(ready);
        }
        Poll::Ready(())
    })
    .await;
    match answer {
        Some(answer) => Box::pin(std::future::ready(answer)),
        None => writing,
    }
}

/// Reads the rows of a step and sends them on. Ends early when nobody takes them: the writing side tells why.
fn read(scratch: &Scratch, bases: Bases, step: &Step, rows: &AtomicUsize, sender: &mpsc::Sender<Chunk>) -> Result<()> {
    let mut statement = scratch.c.prepare(&filled(scratch, bases, step.read))?;
    let skipped = usize::from(step.paged);
    let width = statement.column_count() - skipped;
    let mut after = 0;
    loop {
        let limit = rows.load(Ordering::Relaxed);
        let mut found = if step.paged { statement.query([after, limit as i64])? } else { statement.query([])? };
        let mut values = Vec::with_capacity(width * limit);
        let mut taken = 0;
        while let Some(row) = found.next()? {
            for column in 0..width {
                let value: Value = row.get(column + skipped)?;
                let id_wanted = step.id == Some(column) && value == Value::Null;
                values.push(if id_wanted { Value::Blob(Uuid::now_v7().as_bytes().to_vec()) } else { value });
            }
            if step.paged {
                after = row.get(0)?;
            }
            taken += 1;
            if !step.paged && values.len() >= width * rows.load(Ordering::Relaxed) {
                send(step, width, std::mem::take(&mut values), sender)?;
            }
        }
        // The look at the live directory ends here, before the writer is waited for.
        drop(found);
        if !values.is_empty() {
            send(step, width, values, sender)?;
        }
        if !step.paged || taken < limit {
            return Ok(());
        }
    }
}

fn send(step: &Step, width: usize, values: Vec<Value>, sender: &mpsc::Sender<Chunk>) -> Result<()> {
    sender.blocking_send(Chunk { guard: step.guard, write: step.write, width, values }).map_err(|_| stopped())
}

/// Writes a chunk; answers whether a row was not as it had been compared.
fn write(c: &Connection, (tenant, generation, now): (TenantKey, i64, i64), chunk: Chunk, strict: bool) -> Result<bool> {
    let prepared = |sql: &str| -> Result<CachedStatement<'_>> {
        let mut statement = c.prepare_cached(sql)?;
        let most = statement.parameter_count();
        for (place, value) in (1..=most).zip([i64::from(tenant.0), generation, now]) {
            statement.raw_bind_parameter(place, value)?;
        }
        Ok(statement)
    };
    let mut guard = chunk.guard.map(prepared).transpose()?;
    let mut statement = prepared(chunk.write)?;
    for row in chunk.values.chunks_exact(chunk.width) {
        if let Some(guard) = &mut guard {
            bind(guard, row)?;
            if guard.raw_query().next()?.is_none() {
                return Ok(true);
            }
        }
        bind(&mut statement, row)?;
        match statement.raw_execute() {
            Ok(0) if strict => return Ok(true),
            Ok(_) => {}
            // Somebody took a unique value meanwhile.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// A statement may need fewer columns than its row has: a deletion reads the same rows as the ending that it follows.
fn bind(statement: &mut Statement<'_>, row: &[Value]) -> rusqlite::Result<()> {
    let most = statement.parameter_count();
    for (place, value) in (4..=most).zip(row) {
        statement.raw_bind_parameter(place, value)?;
    }
    Ok(())
}
