//! Connections, by what they are for: whoever waits for an answer never waits for a campaign's pages, and outcomes are
//! settled one batch after the other. A connection that did not come home in order is closed, and another takes its
//! place when it is needed.

use super::address::Address;
use super::link::Connection;
use crate::{Result, StoreError};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Questions.
    Read,
    /// Somebody waits for the answer.
    Urgent,
    /// What became of deliveries: one connection, so that batches keep their order.
    Settle,
    /// Pages of plan and claims of campaigns.
    Plan,
    /// Imports, exports and copies: they may take long.
    Bulk,
}

impl Lane {
    /// Its word, for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Lane::Read => "read",
            Lane::Urgent => "urgent",
            Lane::Settle => "settle",
            Lane::Plan => "plan",
            Lane::Bulk => "import",
        }
    }
}

/// Connections of each lane, in the order of [`Lane`].
const ROOM: [usize; 5] = [4, 4, 1, 3, 1];

/// How long a statement may take on the server, and how long it may wait for a lock.
const STATEMENT: Duration = Duration::from_secs(15);
const LOCK: Duration = Duration::from_secs(5);
/// A process that stands still in a transaction is put out after this, so that its locks hold nobody up.
const STANDING_STILL: Duration = Duration::from_secs(3);
/// How long an answer is waited for: a little more than the server may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for imports and copies.
const BULK_STATEMENT: Duration = Duration::from_secs(600);
const BULK_PATIENCE: Duration = Duration::from_secs(620);
/// How long a lane may be full.
const FULL: Duration = Duration::from_secs(20);

/// The connections.
pub(super) struct Pool {
    address: Address,
    lanes: [PoolLane; 5],
}

struct PoolLane {
    room: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// An empty pool.
    pub fn new(address: Address) -> Pool {
        let lanes = ROOM.map(|n| PoolLane { room: Arc::new(Semaphore::new(n)), idle: Mutex::default() });
        Pool { address, lanes }
    }

    /// Where it connects to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A connection, idle or new.
    ///
    /// # Errors
    /// `Unavailable` when PostgreSQL cannot be reached, everything is busy for long, or the store is closed.
    pub async fn take(self: &Arc<Self>, lane: Lane) -> Result<Lent> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let room = self.lanes[lane as usize].room.clone();
        let permit = match tokio::time::timeout(FULL, room.acquire_owned()).await {
            Ok(permit) => permit.map_err(|_| closed())?,
            Err(_) => return Err(StoreError::Unavailable(format!("PostgreSQL kept every connection busy for {} s", FULL.as_secs()))),
        };
        let idle = self.idle(lane);
        let fresh = idle.is_none();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect(lane).await?,
        };
        Ok(Lent { connection: Some(connection), fresh, lane, home: self.clone(), _permit: permit })
    }

    fn idle(&self, lane: Lane) -> Option<Connection> {
        let mut idle = self.lanes[lane as usize].idle.lock();
        while let Some(connection) = idle.pop() {
            if connection.is_sound() {
                return Some(connection);
            }
        }
        None
    }

    /// A new connection with the settings of its lane. It is made, as it is used, on a thread that may wait.
    pub async fn connect(&self, lane: Lane) -> Result<Connection> {
        let address = self.address.clone();
        let made = tokio::task::spawn_blocking(move || connect(&address, lane)).await;
        made.unwrap_or_else(|_| Err(StoreError::Broken("connecting to PostgreSQL was interrupted".into())))
    }

    /// Lets nobody in any more; connections in use are closed as they come home.
    pub fn close(&self) {
        for lane in &self.lanes {
            lane.room.close();
            lane.idle.lock().clear();
        }
    }
}

/// Makes a connection, on a thread that may wait.
fn connect(address: &Address, lane: Lane) -> Result<Connection> {
    let (statement, patience) = if lane == Lane::Bulk { (BULK_STATEMENT, BULK_PATIENCE) } else { (STATEMENT, PATIENCE) };
    // Statements are written for their index: a plan made while a table was empty must not read a full one from end to
    // end. Plans are made once.
    let settings = format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; SET jit = off; \
         SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; \
         SET client_min_messages = error; SET default_transaction_isolation = 'read committed'; SET bytea_output = 'hex'",
        statement.as_millis(),
        LOCK.as_millis(),
        (if lane == Lane::Bulk { BULK_STATEMENT } else { STANDING_STILL }).as_millis(),
    );
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let own = own.map_err(|error| StoreError::Unavailable(format!("a connection to PostgreSQL cannot be driven: {error}")))?;
    let made = own.block_on(async {
        let client = address.connect().await?;
        match tokio::time::timeout(PATIENCE, client.batch_execute(&settings)).await {
            Ok(Ok(())) => Ok(client),
            Ok(Err(error)) => Err(super::link::explain(&error)),
            Err(_) => Err(StoreError::Unavailable("PostgreSQL did not answer".into())),
        }
    });
    Ok(Connection::new(made?, own, patience))
}

/// A connection on loan.
pub(super) struct Lent {
    connection: Option<Connection>,
    fresh: bool,
    lane: Lane,
    home: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Lent {
    /// The connection.
    pub fn get(&self) -> &Connection {
        self.connection.as_ref().expect("a loan has its connection until it is dropped")
    }

    /// Takes a new connection in the place of one that had died while it was idle; answers whether there is one.
    pub fn renew(&mut self) -> bool {
        if self.fresh || self.get().is_sound() {
            return false;
        }
        match connect(&self.home.address, self.lane) {
            Ok(connection) => {
                self.connection = Some(connection);
                self.fresh = true;
                true
            }
            Err(_) => false,
        }
    }

    /// Gives it back, in order.
    pub fn home(mut self) {
        if let Some(connection) = self.connection.take()
            && connection.is_sound()
            && !self.home.lanes[self.lane as usize].room.is_closed()
        {
            self.home.lanes[self.lane as usize].idle.lock().push(connection);
        }
    }
}
