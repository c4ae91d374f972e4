//! What an operator watches of the embedded store.

use super::Sqlite;
use super::columns::{unsigned, word};
use crate::watch::{Backlog, Nodes, Open, Watch, Watched};
use crate::{Ledger, Result, StoreError};
use async_trait::async_trait;
use model::event::EventState;
use model::{ChannelKind, Lane, Reason, State, TenantKey, Timestamp};
use rusqlite::Connection;

const BACKLOG: &str = "SELECT lane, channel, count(*) FILTER (WHERE node IS NULL), count(node), min(due) FILTER (WHERE node IS NULL) \
    FROM segment WHERE tenant = ?1 GROUP BY lane, channel";
const OPEN: &str = "SELECT c.channel, c.state, c.reason, sum(c.rows) FROM event e CROSS JOIN delivery_count c ON c.event = e.key \
    WHERE e.done_at IS NULL AND e.tenant = ?1 AND c.state IN (1, 2) AND c.rows > 0 GROUP BY c.channel, c.state, c.reason";
const EVENTS: &str = "SELECT state, count(*) FROM event WHERE done_at IS NULL AND tenant = ?1 GROUP BY state";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BACKLOG, OPEN, EVENTS];

#[async_trait]
impl Watch for Sqlite {
    async fn watch(&self, tenant: TenantKey) -> Result<Watched> {
        let bytes = self.size().await?;
        let mut log = self.file().as_os_str().to_owned();
        log.push("-wal");
        let log_bytes = std::fs::metadata(log).map_or(0, |meta| meta.len());
        let looked = self.read(move |c| Ok(Watched { bytes, log_bytes, ..look(c, tenant)? }));
        looked.await
    }
}

/// A lane's number in the tables.
pub(crate) fn lane(number: i64) -> Result<Lane> {
    match number {
        1 => Ok(Lane::Urgent),
        2 => Ok(Lane::Bulk),
        _ => Err(StoreError::Broken(format!("{number} is not a known lane"))),
    }
}

fn look(c: &Connection, tenant: TenantKey) -> Result<Watched> {
    let mut watched = Watched { nodes: Nodes::default(), ..Watched::default() };
    let mut select = c.prepare_cached(BACKLOG)?;
    let mut rows = select.query([tenant.0])?;
    while let Some(row) = rows.next()? {
        watched.backlog.push(Backlog {
            lane: lane(row.get(0)?)?,
            channel: word(ChannelKind::from_number, row.get(1)?, "channel")?,
            waiting: unsigned(row.get(2)?),
            claimed: unsigned(row.get(3)?),
            earliest_due: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        });
    }
    let mut select = c.prepare_cached(OPEN)?;
    let mut rows = select.query([tenant.0])?;
    while let Some(row) = rows.next()? {
        watched.open.push(Open {
            channel: word(ChannelKind::from_number, row.get(0)?, "channel")?,
            state: word(State::from_number, row.get(1)?, "state")?,
            reason: word(Reason::from_number, row.get(2)?, "reason")?,
            rows: unsigned(row.get(3)?),
        });
    }
    let mut select = c.prepare_cached(EVENTS)?;
    let mut rows = select.query([tenant.0])?;
    while let Some(row) = rows.next()? {
        watched.events.push((word(EventState::from_number, row.get(0)?, "state")?, unsigned(row.get(1)?)));
    }
    Ok(watched)
}
