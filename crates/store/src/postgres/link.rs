//! One connection to PostgreSQL, used from a thread that may wait: statements that are prepared once, rows, copies, and a
//! bound on every wait. A connection that failed to answer in time is never used again.
//!
//! A connection has a runtime of its own, which the waiting thread drives: it reads and writes the socket itself. Handing each question
//! to another thread and each piece of an answer back woke four threads a round, which showed in profiles of campaigns.

use super::args::{Arg, Cell, FromCell, Params};
use crate::StoreError;
use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::future::join_all;
use std::cell::{Cell as Flag, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

/// How long plans are kept.
const PLANS_LAST: Duration = Duration::from_secs(30);

/// What went wrong with a statement.
#[derive(Debug)]
pub(crate) enum Fault {
    /// PostgreSQL refused, or the connection broke.
    Postgres(tokio_postgres::Error),
    /// No answer came in time.
    Silent(Duration),
    /// The connection was lost or given up before.
    Lost,
    /// There is no row where one was asked for.
    NoRow,
    /// What came back is not what was asked for.
    Strange(String),
}

/// What a statement answers.
pub(crate) type Sql<T> = Result<T, Fault>;

impl Fault {
    /// Whether a unique value was there already.
    pub fn is_taken(&self) -> bool {
        matches!(self, Fault::Postgres(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> StoreError {
        match fault {
            Fault::Postgres(error) => explain(&error),
            Fault::Silent(span) => StoreError::Unavailable(format!("PostgreSQL did not answer within {} s", span.as_secs())),
            Fault::Lost => StoreError::Unavailable("the connection to PostgreSQL was lost".into()),
            Fault::NoRow => StoreError::Broken("a row is missing".into()),
            Fault::Strange(what) => StoreError::Broken(what),
        }
    }
}

/// What passes is `Unavailable`: a lost connection, a server that stops or starts, a full disk, a lock that was held too
/// long. Everything else is a fault of ours or a damaged store. No value of a row is in the sentence.
pub(crate) fn explain(error: &tokio_postgres::Error) -> StoreError {
    let Some(db) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        return StoreError::Unavailable(format!("PostgreSQL cannot be reached: {cause}"));
    };
    let code = db.code().code();
    let text = format!("PostgreSQL answers {code}: {}", db.message());
    match &code[..2] {
        // Connection; authentication; no such database; transaction to be repeated; resources; limits of the operator;
        // locks and states; intervention; the system's own faults; a server that may only be read.
        "08" | "28" | "3D" | "40" | "53" | "54" | "55" | "57" | "58" | "25" => StoreError::Unavailable(text),
        _ => StoreError::Broken(text),
    }
}

/// Makes a missing row an answer.
pub(crate) trait OptionalExtension<T> {
    /// `None` instead of [`Fault::NoRow`].
    fn optional(self) -> Sql<Option<T>>;
}

impl<T> OptionalExtension<T> for Sql<T> {
    fn optional(self) -> Sql<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Fault::NoRow) => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

/// A row of an answer.
#[derive(Debug)]
pub(crate) struct Row(tokio_postgres::Row);

impl Row {
    /// The value in a column, counted from 0.
    pub fn get<'a, T: FromCell<'a>>(&'a self, column: usize) -> Sql<T> {
        T::from_cell(self.0.try_get::<_, Cell<'a>>(column).map_err(Fault::Postgres)?)
    }
}

/// Values as the driver takes them.
type Values<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// A statement with its values.
pub(crate) type Ask<'a> = (&'static str, Vec<Arg<'a>>);

/// A connection.
pub(crate) struct Connection {
    client: Client,
    /// Gone only while the connection is dropped.
    own: Option<Runtime>,
    statements: RefCell<HashMap<&'static str, Statement>>,
    patience: Duration,
    broken: Flag<bool>,
    conflict: Flag<bool>,
    begun: Flag<u64>,
    planned: Flag<Instant>,
    deferred: RefCell<Vec<Ask<'static>>>,
}

impl Connection {
    /// Wraps a client, whose bytes are moved by a task of its `own` runtime; `patience` is how long an answer may take.
    pub fn new(client: Client, own: Runtime, patience: Duration) -> Connection {
        Connection {
            client,
            own: Some(own),
            statements: RefCell::default(),
            patience,
            broken: Flag::new(false),
            conflict: Flag::new(false),
            begun: Flag::new(0),
            planned: Flag::new(Instant::now()),
            deferred: RefCell::default(),
        }
    }

    /// Whether it can be used again.
    pub fn is_sound(&self) -> bool {
        !self.broken.get() && !self.client.is_closed()
    }

    /// Whether the last transaction lost against another one and may be tried again. Asking forgets it.
    pub fn lost_to_another(&self) -> bool {
        self.conflict.replace(false)
    }

    /// Waits for an answer, but not for ever.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Sql<T> {
        if self.broken.get() {
            return Err(Fault::Lost);
        }
        let patience = self.patience;
        let own = self.own.as_ref().expect("a connection has its runtime until it is dropped");
        let answer = own.block_on(async { tokio::time::timeout(patience, answer).await });
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let code = error.code();
                if code == Some(&SqlState::T_R_DEADLOCK_DETECTED) || code == Some(&SqlState::T_R_SERIALIZATION_FAILURE) {
                    self.conflict.set(true);
                }
                if error.as_db_error().is_none() && self.client.is_closed() {
                    self.broken.set(true);
                }
                Err(Fault::Postgres(error))
            }
            Err(_) => {
                self.broken.set(true);
                Err(Fault::Silent(patience))
            }
        }
    }

    /// Runs statements without parameters, one after the other.
    pub fn batch(&self, sql: &str) -> Sql<()> {
        self.wait(self.client.batch_execute(sql))
    }

    /// Plans are made once and kept, so one that was made while a table was empty would read a full one from end to end:
    /// they are made anew as a connection's transactions grow fourfold, and after a while in any case.
    fn plan_anew_when_due(&self) -> Sql<()> {
        let begun = self.begun.get() + 1;
        self.begun.set(begun);
        let fourfold = begun.is_power_of_two() && begun.trailing_zeros().is_multiple_of(2) && begun > 1;
        if fourfold || self.planned.get().elapsed() > PLANS_LAST { self.plan_anew() } else { Ok(()) }
    }

    /// Forgets every plan.
    pub fn plan_anew(&self) -> Sql<()> {
        self.planned.set(Instant::now());
        self.batch("DISCARD PLANS")
    }

    /// Begins a transaction and runs statements in it, in one round.
    pub fn begin(&self, begin: &'static str, first: &[Ask<'_>]) -> Sql<Vec<Vec<Row>>> {
        self.plan_anew_when_due()?;
        let (prepared, values) = self.ready(first)?;
        self.wait(async {
            let (begun, rows) = futures_util::future::join(self.client.batch_execute(begin), self.rows(&prepared, &values)).await;
            begun?;
            rows
        })
    }

    /// Lets a statement, of which only the effect counts, go out with the end of the transaction: it saves a round.
    pub fn at_the_end(&self, sql: &'static str, args: Vec<Arg<'static>>) {
        self.deferred.borrow_mut().push((sql, args));
    }

    /// Ends a transaction. What was kept for its end goes out with it; where that fails nothing is committed: PostgreSQL
    /// rolls back a transaction in which a statement failed, whatever it is told.
    pub fn commit(&self) -> Sql<()> {
        let deferred = self.deferred.take();
        if deferred.is_empty() {
            return self.batch("COMMIT");
        }
        let (prepared, values) = self.ready(&deferred)?;
        self.wait(async {
            let last = join_all(prepared.iter().zip(&values).map(|(statement, values)| self.client.execute(statement, values)));
            let (last, ended) = futures_util::future::join(last, self.client.batch_execute("COMMIT")).await;
            last.into_iter().collect::<Result<Vec<_>, _>>()?;
            ended
        })
    }

    /// Undoes a transaction.
    pub fn roll_back(&self) -> Sql<()> {
        self.deferred.borrow_mut().clear();
        self.batch("ROLLBACK")
    }

    /// Runs several statements in one round.
    pub fn round(&self, all: &[Ask<'_>]) -> Sql<Vec<Vec<Row>>> {
        let (prepared, values) = self.ready(all)?;
        self.wait(self.rows(&prepared, &values))
    }

    /// Statements that go out together, prepared, with their values.
    fn ready<'a>(&self, all: &'a [Ask<'_>]) -> Sql<(Vec<Statement>, Vec<Values<'a>>)> {
        let prepared = all.iter().map(|(sql, _)| self.statement(sql)).collect::<Sql<Vec<_>>>()?;
        Ok((prepared, all.iter().map(|(_, args)| borrowed(args)).collect()))
    }

    /// Their rows, in their order. All are sent before the first answer is waited for.
    async fn rows(&self, prepared: &[Statement], values: &[Values<'_>]) -> Result<Vec<Vec<Row>>, tokio_postgres::Error> {
        let rows = join_all(prepared.iter().zip(values).map(|(statement, values)| self.client.query(statement, values))).await;
        rows.into_iter().map(|rows| Ok(rows?.into_iter().map(Row).collect())).collect()
    }

    /// Runs a statement that changes rows, and questions behind it that do not need to know how that went; answers how many rows
    /// it changed, and theirs.
    pub fn execute_and(&self, (sql, values): (&'static str, impl Params), then: &[Ask<'_>]) -> Sql<(usize, Vec<Vec<Row>>)> {
        let changing = self.statement(sql)?;
        let args = values.args();
        let changed = borrowed(&args);
        let (prepared, values) = self.ready(then)?;
        self.wait(async {
            let changing = self.client.execute(&changing, &changed);
            let (changed, rows) = futures_util::future::join(changing, self.rows(&prepared, &values)).await;
            Ok((usize::try_from(changed?).unwrap_or(usize::MAX), rows?))
        })
    }

    fn statement(&self, sql: &'static str) -> Sql<Statement> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.wait(self.client.prepare(sql))?;
        self.statements.borrow_mut().insert(sql, statement.clone());
        Ok(statement)
    }

    /// A statement, prepared once per connection.
    pub fn prepare_cached(&self, sql: &'static str) -> Sql<Prepared<'_>> {
        Ok(Prepared { c: self, statement: self.statement(sql)? })
    }

    /// A statement that is made up as it is needed.
    pub fn prepare(&self, sql: &str) -> Sql<Prepared<'_>> {
        Ok(Prepared { c: self, statement: self.wait(self.client.prepare(sql))? })
    }

    /// Copies a file in (PostgreSQL's binary copy format, whole: header, rows, trailer), where there is one, and runs statements
    /// behind it that do not need to know how that went.
    pub fn copy_in_and(&self, sql: &'static str, file: Option<Bytes>, then: &[Ask<'_>]) -> Sql<Vec<Vec<Row>>> {
        let Some(file) = file else { return self.round(then) };
        let copying = self.statement(sql)?;
        let (prepared, values) = self.ready(then)?;
        self.wait(async {
            let mut sink = Box::pin(self.client.copy_in(&copying).await?);
            sink.send(file).await?;
            // Polled in this order: the end of the file goes out first, and the statements without waiting for its answer.
            let (copied, rows) = futures_util::future::join(sink.as_mut().finish(), self.rows(&prepared, &values)).await;
            copied?;
            rows
        })
    }

    /// Copies a file in by a statement that is made up; answers how many rows there were.
    pub fn copy_in_made(&self, sql: &str, file: Bytes) -> Sql<u64> {
        self.wait(async {
            let mut sink = Box::pin(self.client.copy_in(sql).await?);
            sink.send(file).await?;
            sink.as_mut().finish().await
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A connection may be dropped where nobody may wait.
        if let Some(own) = self.own.take() {
            own.shutdown_background();
        }
    }
}

fn borrowed<'a>(args: &'a [Arg<'_>]) -> Values<'a> {
    args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect()
}

/// A statement that is ready.
pub(crate) struct Prepared<'c> {
    c: &'c Connection,
    statement: Statement,
}

impl Prepared<'_> {
    /// Runs it; answers how many rows it touched.
    pub fn execute(&mut self, params: impl Params) -> Sql<usize> {
        let args = params.args();
        let rows = self.c.wait(self.c.client.execute(&self.statement, &borrowed(&args)))?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    /// Runs it and fetches every row.
    pub fn all(&mut self, params: impl Params) -> Sql<Vec<Row>> {
        let args = params.args();
        let rows = self.c.wait(self.c.client.query(&self.statement, &borrowed(&args)))?;
        Ok(rows.into_iter().map(Row).collect())
    }

    /// Runs it and reads every row.
    pub fn query(&mut self, params: impl Params) -> Sql<Rows> {
        Ok(Rows { rows: self.all(params)?.into_iter(), current: None })
    }

    /// Runs it and reads the first row.
    ///
    /// # Errors
    /// [`Fault::NoRow`] where there is none.
    pub fn query_row<T>(&mut self, params: impl Params, read: impl FnOnce(&Row) -> Sql<T>) -> Sql<T> {
        self.all(params)?.first().map_or(Err(Fault::NoRow), read)
    }

    /// Runs it and reads each row.
    pub fn query_map<T>(&mut self, params: impl Params, read: impl FnMut(&Row) -> Sql<T>) -> Sql<Vec<T>> {
        self.all(params)?.iter().map(read).collect()
    }
}

/// Rows, one after the other.
pub(crate) struct Rows {
    rows: std::vec::IntoIter<Row>,
    current: Option<Row>,
}

impl Rows {
    /// The next one.
    pub fn next(&mut self) -> Sql<Option<&Row>> {
        self.current = self.rows.next();
        Ok(self.current.as_ref())
    }
}
