//! The store in PostgreSQL (15 or later), for one process or several.
//!
//! Every verb is one short job on a connection of its lane (`pool`, `link`), on a thread that may wait, in one
//! transaction. Where the embedded store has one writer, here rows are locked: a tenant's row in `meta` orders everything
//! that edits its directory, its settings and the order of its inbox; a segment's row orders what happens to its
//! deliveries; an event's row its plan and its end. Locks are taken in the order meta, segment, delivery, event, counts;
//! where two transactions meet all the same, PostgreSQL ends one and it is told again.
//!
//! Time is the database's own, so that processes with clocks of their own agree on leases and limits.

mod address;
pub(crate) mod args;
mod audit;
mod bell;
mod cluster;
mod copy;
mod directory;
mod facts;
mod import;
mod ledger;
mod link;
mod objects;
mod once;
pub(crate) mod opening;
mod outbox;
mod pool;
#[cfg(test)]
mod tests;
mod watch;

pub use address::Address;
pub(crate) use args::params;
pub(crate) use copy::File as CopyFile;
pub(crate) use link::Connection;
pub(crate) use opening::Standing;

use crate::{Result, StoreError};
use args::Arg;
use link::{Ask, Row};
use model::{Clock, Timestamp};
use pool::{Lane, Pool};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a job is told again that PostgreSQL ended in favour of another.
const AGAIN: usize = 6;
/// What is said of a change whose commit got no answer.
const UNKNOWN: &str = "the connection to PostgreSQL ended while the change was being committed, so it may have been made or not; \
    read it again, or repeat the request with its Idempotency-Key";

/// Milliseconds of Unix time by the database's clock.
const NOW: &str = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
/// The same, and the version of the tables: where no lock of a tenant has to come in between.
const NOW_AT: &str = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, version FROM carillon_store";
const ANY_TENANT: &str = "SELECT EXISTS (SELECT 1 FROM meta)";
/// Orders everything that edits what belongs to a tenant.
const LOCK_TENANT: &str = "SELECT generation FROM meta WHERE tenant = $1 FOR NO KEY UPDATE";

/// By whose clock leases end and limits are counted.
#[derive(Clone)]
pub enum Time {
    /// The database's: what processes that share it agree on. The caller's clock says how long a span is.
    Database(Arc<dyn Clock>),
    /// The caller's alone, for tests that set it.
    Given(Arc<dyn Clock>),
}

impl Time {
    /// The caller's clock.
    fn callers(&self) -> Timestamp {
        match self {
            Time::Database(clock) | Time::Given(clock) => clock.now(),
        }
    }
}

/// The store in PostgreSQL. A clone is another handle on the same.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
    /// The act that edits through this handle are.
    told: Option<Arc<crate::audit::Told>>,
}

struct Inner {
    pool: Arc<Pool>,
    bell: bell::Bell,
    scratch: std::path::PathBuf,
    time: Time,
    facts: FactsVersion,
}

/// For how long facts count as true while this process changes nothing: another one may change them unseen.
const FACTS_FOR: std::time::Duration = std::time::Duration::from_millis(500);

/// Moves with every change that this process makes to what facts are read from, and with time.
struct FactsVersion {
    changes: AtomicU64,
    since: std::time::Instant,
}

impl FactsVersion {
    fn now(&self) -> u64 {
        let spans = self.since.elapsed().as_millis() / FACTS_FOR.as_millis();
        // Both only grow, so their sum stands still only while both do.
        self.changes.load(Ordering::Acquire).wrapping_add(u64::try_from(spans).unwrap_or(u64::MAX))
    }

    fn moved(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }
}

impl Postgres {
    /// Connects, makes the tables or brings them to the version of this program, and voids the claims of processes that do
    /// not live: a process beats before it claims anything. Imports and exports work in files in the folder `scratch`.
    ///
    /// # Errors
    /// `Unavailable` when PostgreSQL cannot be reached, or the store there is only half filled (by a migration or a
    /// restore that did not end); `Broken` when it is one of a newer version.
    pub async fn open(address: Address, time: Time, scratch: std::path::PathBuf) -> Result<Postgres> {
        let pool = Arc::new(Pool::new(address.clone()));
        let lent = pool.take(Lane::Bulk).await?;
        let migrated = tokio::task::spawn_blocking(move || opening::migrate(lent.get()).map(|()| lent.home())).await;
        migrated.unwrap_or_else(|_| Err(StoreError::Broken("opening the store was interrupted".into())))?;
        let bell = bell::Bell::start(address);
        let store = Postgres {
            inner: Arc::new(Inner {
                pool,
                bell,
                scratch,
                time,
                facts: FactsVersion { changes: AtomicU64::new(0), since: std::time::Instant::now() },
            }),
            told: None,
        };
        crate::Outbox::void_claims(&store).await?;
        import::recover(&store).await?;
        Ok(store)
    }

    /// A connection for copies, apart from any store: its statements may take long.
    pub(crate) async fn link(address: &Address) -> Result<Connection> {
        Pool::new(address.clone()).connect(Lane::Bulk).await
    }

    /// The newest version of the tables.
    pub fn newest() -> usize {
        opening::MIGRATIONS.len()
    }

    /// Where the store is.
    pub(crate) fn address(&self) -> Address {
        self.inner.pool.address().clone()
    }

    /// Whether no organization was made here yet.
    ///
    /// # Errors
    /// `Unavailable` when PostgreSQL cannot be reached.
    pub async fn is_empty(&self) -> Result<bool> {
        self.read(|c| Ok(!c.prepare_cached(ANY_TENANT)?.query_row(params![], |row| row.get::<bool>(0))?)).await
    }

    /// Lets nothing in any more and closes the connections that are idle. Later calls on any handle answer `Unavailable`.
    pub fn close(&self) {
        self.inner.pool.close();
    }

    /// Runs a job in a transaction. An error undoes it.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        lane: Lane,
        job: impl FnMut(&Connection, Timestamp) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.transact(lane, None, job).await
    }

    /// The same for a job that begins with a look: its statements go out with the beginning of the transaction, which saves a
    /// round, and the job gets their rows.
    pub(crate) async fn write_after<T: Send + 'static>(
        &self,
        lane: Lane,
        look: Vec<Ask<'static>>,
        job: impl FnMut(&Connection, Timestamp, &[Vec<Row>]) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.through(lane, None, look, job).await
    }

    /// The same, after every other edit of what belongs to this tenant and before every later one.
    pub(crate) async fn edit<T: Send + 'static>(
        &self,
        tenant: model::TenantKey,
        job: impl FnMut(&Connection, Timestamp) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.transact(Lane::Urgent, Some(tenant), job).await
    }

    /// As [`Postgres::edit`], for a job that changes what facts are read from.
    pub(crate) async fn edit_facts<T: Send + 'static>(
        &self,
        tenant: model::TenantKey,
        job: impl FnMut(&Connection, Timestamp) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.edit(tenant, job).await.inspect(|_| self.facts_moved())
    }

    /// People, devices or registrations were changed.
    pub(crate) fn facts_moved(&self) {
        self.inner.facts.moved();
    }

    pub(crate) fn facts_version(&self) -> u64 {
        self.inner.facts.now()
    }

    /// Runs a job in a transaction, under the lock of a tenant's row where one is named. In the urgent lane the entry of the act
    /// that this handle was told of is part of the job.
    pub(crate) async fn transact<T: Send + 'static>(
        &self,
        lane: Lane,
        tenant: Option<model::TenantKey>,
        mut job: impl FnMut(&Connection, Timestamp) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self.told.clone().filter(|_| lane == Lane::Urgent) {
            None => self.through(lane, tenant, Vec::new(), move |c, now, _| job(c, now)).await,
            Some(told) => {
                let of = told.tenant;
                let both = move |c: &Connection, now, _: &[Vec<Row>]| {
                    job(c, now).and_then(|done| crate::audit::append(c, &told, now).map(|()| done))
                };
                // What is added to the audit is ordered by the tenant's row.
                self.through(lane, Some(tenant.unwrap_or(of)), Vec::new(), both).await
            }
        }
    }

    /// A handle that was told of nothing, and what this one was told of: for a verb of many steps.
    pub(crate) fn apart(&self) -> (Postgres, Option<Arc<crate::audit::Told>>) {
        (Postgres { inner: self.inner.clone(), told: None }, self.told.clone())
    }

    async fn through<T: Send + 'static>(
        &self,
        lane: Lane,
        tenant: Option<model::TenantKey>,
        look: Vec<Ask<'static>>,
        mut job: impl FnMut(&Connection, Timestamp, &[Vec<Row>]) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let began = std::time::Instant::now();
        let mut lent = self.inner.pool.take(lane).await?;
        let time = self.inner.time.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut rounds = 0;
            loop {
                rounds += 1;
                let mut committing = false;
                let answer = once_through(lent.get(), &time, (tenant, &look), &mut job, &mut committing);
                match answer {
                    // What may have been committed is not done again: the caller is told that nobody knows.
                    Err(_) if committing && !lent.get().is_sound() => {
                        lent.home();
                        return Err(StoreError::Unavailable(UNKNOWN.into()));
                    }
                    Err(_) if rounds == 1 && lent.renew() => {}
                    // Another was preferred: this one had no effect, and tries again.
                    Err(_) if lent.get().lost_to_another() && rounds < AGAIN => {}
                    answer => {
                        lent.home();
                        return answer;
                    }
                }
            }
        });
        let answer = done.await.unwrap_or_else(|_| Err(StoreError::Broken("a job of the store panicked".into())));
        metrics::histogram!("carillon_store_write_seconds", "lane" => lane.word()).record(began.elapsed().as_secs_f64());
        answer
    }

    /// Runs a job in one read-only transaction that sees one moment.
    pub(crate) async fn read<T: Send + 'static>(&self, mut job: impl FnMut(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        let mut lent = self.inner.pool.take(Lane::Read).await?;
        let done = tokio::task::spawn_blocking(move || {
            let mut first = true;
            loop {
                let answer = look(lent.get(), &mut job);
                if answer.is_err() && std::mem::take(&mut first) && lent.renew() {
                    continue;
                }
                lent.home();
                return answer;
            }
        });
        done.await.unwrap_or_else(|_| Err(StoreError::Broken("a question to the store panicked".into())))
    }

    /// What turns the caller's moments into the database's.
    pub(crate) fn span(&self) -> Span {
        match &self.inner.time {
            Time::Given(_) => Span(None),
            Time::Database(clock) => Span(Some(clock.now())),
        }
    }

    /// The caller's time where it counts, for statements that say `coalesce($n, the database's)`.
    pub(crate) fn given_now(&self) -> Option<i64> {
        match &self.inner.time {
            Time::Given(clock) => Some(clock.now().0),
            Time::Database(_) => None,
        }
    }

    /// Now, about: for questions that tell old from new by the day.
    pub(crate) fn about_now(&self) -> Timestamp {
        self.inner.time.callers()
    }
}

/// The caller's clock at one moment, where it is not the clock that counts.
#[derive(Clone, Copy)]
pub(crate) struct Span(Option<Timestamp>);

impl Span {
    /// The moment that lies as far behind `now` as `until` lay behind the caller's clock.
    pub fn until(self, now: Timestamp, until: Timestamp) -> Timestamp {
        match self.0 {
            None => until,
            Some(callers) => now.plus(until.since(callers)),
        }
    }
}

fn once_through<T>(
    c: &Connection,
    time: &Time,
    (tenant, look): (Option<model::TenantKey>, &[Ask<'static>]),
    job: &mut impl FnMut(&Connection, Timestamp, &[Vec<Row>]) -> Result<T>,
    committing: &mut bool,
) -> Result<T> {
    // The version comes first: an upgrade waits for whoever has read it, and nobody may hold anything that it needs meanwhile.
    let mut first: Vec<Ask<'_>> = Vec::with_capacity(3 + look.len());
    match (tenant, time) {
        (None, Time::Database(_)) => first.push((NOW_AT, Vec::new())),
        (None, Time::Given(_)) => first.push((opening::STANDS_AT, Vec::new())),
        (Some(tenant), time) => {
            first.push((opening::STANDS_AT, Vec::new()));
            first.push((LOCK_TENANT, vec![Arg::Int(tenant.0.into())]));
            if let Time::Database(_) = time {
                first.push((NOW, Vec::new()));
            }
        }
    }
    let own = first.len();
    first.extend(look.iter().cloned());
    let answer = c.begin("BEGIN", &first).map_err(StoreError::from).and_then(|rows| {
        let (rows, seen) = rows.split_at(own.min(rows.len()));
        let row = |of: Option<&Vec<link::Row>>, column: usize| match of.and_then(|rows| rows.first()) {
            Some(row) => row.get(column).map_err(StoreError::from),
            None => Err(StoreError::Broken("the database does not say of which version it is".into())),
        };
        let combined = own == 1 && matches!(time, Time::Database(_));
        opening::must_stand_at(row(rows.first(), usize::from(combined))?)?;
        let now = match time {
            Time::Database(_) => Timestamp(row(rows.last(), 0)?),
            Time::Given(_) => time.callers(),
        };
        job(c, now, seen)
    });
    let answer = answer.and_then(|value| {
        *committing = true;
        c.commit().map(|()| value).map_err(StoreError::from)
    });
    if answer.is_err() && c.is_sound() {
        // Where even this fails the connection is not used again.
        let _ = c.roll_back();
    }
    answer
}

fn look<T>(c: &Connection, job: &mut impl FnMut(&Connection) -> Result<T>) -> Result<T> {
    c.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", &[])?;
    let answer = job(c);
    c.batch(if answer.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    answer
}
