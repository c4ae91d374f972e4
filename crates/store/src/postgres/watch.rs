//! What an operator watches of the store in PostgreSQL.

use super::Postgres;
use super::args::params;
use super::link::Connection;
use crate::sqlite::columns::{unsigned, word};
use crate::sqlite::watch::lane;
use crate::watch::{Backlog, Nodes, Open, Watch, Watched};
use crate::{Ledger, Result};
use async_trait::async_trait;
use model::event::EventState;
use model::{ChannelKind, Reason, State, TenantKey, Timestamp};

const BACKLOG: &str = "SELECT lane::bigint, channel::bigint, count(*) FILTER (WHERE node IS NULL), count(node), min(due) FILTER (WHERE node IS NULL) \
    FROM segment WHERE tenant = $1 GROUP BY lane, channel";
const OPEN: &str = "SELECT c.channel::bigint, c.state::bigint, c.reason::bigint, sum(c.rows)::bigint FROM event e JOIN delivery_count c ON c.event = e.key \
    WHERE e.done_at IS NULL AND e.tenant = $1 AND c.state IN (1, 2) AND c.rows > 0 GROUP BY c.channel, c.state, c.reason";
const EVENTS: &str = "SELECT state::bigint, count(*) FROM event WHERE done_at IS NULL AND tenant = $1 GROUP BY state";
/// Beats end by the database's clock, or the caller's where that counts.
const NODES: &str = "SELECT count(*) FILTER (WHERE until > t.now), count(*) FILTER (WHERE until <= t.now) FROM node, \
    (SELECT coalesce($1, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) AS now) t";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BACKLOG, OPEN, EVENTS, NODES];

#[async_trait]
impl Watch for Postgres {
    async fn watch(&self, tenant: TenantKey) -> Result<Watched> {
        let bytes = self.size().await?;
        let now = self.given_now();
        self.read(move |c| Ok(Watched { bytes, ..look(c, tenant, now)? })).await
    }
}

fn look(c: &Connection, tenant: TenantKey, now: Option<i64>) -> Result<Watched> {
    let mut watched = Watched::default();
    for row in c.prepare_cached(BACKLOG)?.all(params![tenant.0])? {
        watched.backlog.push(Backlog {
            lane: lane(row.get(0)?)?,
            channel: word(ChannelKind::from_number, row.get(1)?, "channel")?,
            waiting: unsigned(row.get(2)?),
            claimed: unsigned(row.get(3)?),
            earliest_due: row.get::<Option<i64>>(4)?.map(Timestamp),
        });
    }
    for row in c.prepare_cached(OPEN)?.all(params![tenant.0])? {
        watched.open.push(Open {
            channel: word(ChannelKind::from_number, row.get(0)?, "channel")?,
            state: word(State::from_number, row.get(1)?, "state")?,
            reason: word(Reason::from_number, row.get(2)?, "reason")?,
            rows: unsigned(row.get(3)?),
        });
    }
    for row in c.prepare_cached(EVENTS)?.all(params![tenant.0])? {
        watched.events.push((word(EventState::from_number, row.get(0)?, "state")?, unsigned(row.get(1)?)));
    }
    let (living, lost) = c.prepare_cached(NODES)?.query_row(params![now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    watched.nodes = Nodes { living: unsigned(living), lost: unsigned(lost) };
    Ok(watched)
}
