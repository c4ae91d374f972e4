//! Takes back what an import left that never came to its end, and finishes one that came as far as its switch.

use crate::Result;
use crate::postgres::args::params;
use crate::postgres::link::{Connection, OptionalExtension};
use crate::postgres::{Lane, Postgres};
use model::TenantKey;

const TABLES: [&str; 5] = ["member", "registration", "device", "grp", "person"];

const UNFINISHED: &str = "SELECT tenant FROM meta WHERE importing <> 0";
const STANDING: &str = "SELECT generation, importing FROM meta WHERE tenant = $1";
const OVER: &str = "UPDATE meta SET importing = 0 WHERE tenant = $1";
/// Tokens of people who are inactive or gone, and of devices that are gone.
const TOKENS: &str = "UPDATE token t SET revoked_at = $2 WHERE t.tenant = $1 AND t.device IS NOT NULL AND t.revoked_at IS NULL AND NOT EXISTS \
    (SELECT 1 FROM device d JOIN meta m ON m.tenant = d.tenant AND d.since <= m.generation AND d.until > m.generation \
    WHERE d.tenant = t.tenant AND d.key = t.device AND (d.owner = 0 OR EXISTS (SELECT 1 FROM person p WHERE p.tenant = d.tenant \
    AND p.key = d.owner AND p.since <= m.generation AND p.until > m.generation AND p.active = 1)))";
const CODES: &str = "UPDATE code k SET used_at = $2 WHERE k.tenant = $1 AND k.used_at IS NULL AND NOT EXISTS (SELECT 1 FROM person p \
    JOIN meta m ON m.tenant = p.tenant WHERE p.tenant = k.tenant AND p.key = k.person AND p.since <= m.generation \
    AND p.until > m.generation AND p.active = 1)";

/// Mends every tenant whose last import did not come to its end and is not under way in another process.
pub(in crate::postgres) async fn recover(store: &Postgres) -> Result<()> {
    let unfinished = store.read(|c| Ok(c.prepare_cached(UNFINISHED)?.query_map(params![], |row| Ok(TenantKey(row.get(0)?)))?)).await?;
    for tenant in unfinished {
        let Ok(held) = super::Held::take(store, tenant).await else { continue };
        let mended = mend(store, tenant).await;
        held.let_go(tenant).await;
        mended?;
    }
    Ok(())
}

/// Mends one tenant, of which the caller holds the imports.
pub(super) async fn mend(store: &Postgres, tenant: TenantKey) -> Result<()> {
    let found = store
        .read(move |c| {
            Ok(c.prepare_cached(STANDING)?.query_row([tenant.0], |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?))).optional()?)
        })
        .await?;
    let (generation, importing) = found.ok_or(crate::StoreError::NotFound)?;
    match importing {
        0 => Ok(()),
        1 => {
            // What begins must be gone before what ended can stay: the two may share a unique value.
            for (of, sql) in [("since", "DELETE FROM"), ("until", "UPDATE")] {
                for table in TABLES {
                    store.write(Lane::Bulk, move |c, _| take_back(c, tenant, table, of, sql, generation + 1)).await?;
                }
            }
            over(store, tenant).await
        }
        _ => {
            store
                .write(Lane::Bulk, move |c, now| {
                    c.prepare_cached(TOKENS)?.execute(params![tenant.0, now.0])?;
                    c.prepare_cached(CODES)?.execute(params![tenant.0, now.0])?;
                    Ok(())
                })
                .await?;
            drop_dead(store, tenant, generation).await
        }
    }
}

fn take_back(c: &Connection, tenant: TenantKey, table: &str, of: &str, sql: &str, generation: i64) -> Result<()> {
    let set = if of == "until" { " SET until = 9223372036854775807" } else { "" };
    c.prepare(&format!("{sql} {table}{set} WHERE tenant = $1 AND {of} = $2"))?.execute(params![tenant.0, generation])?;
    Ok(())
}

/// Deletes what nobody sees any more since this generation is visible, and ends the import.
pub(super) async fn drop_dead(store: &Postgres, tenant: TenantKey, generation: i64) -> Result<()> {
    for table in TABLES {
        store
            .write(Lane::Bulk, move |c, _| {
                let mut drop = c.prepare(&format!("DELETE FROM {table} WHERE tenant = $1 AND until <= $2"))?;
                Ok(drop.execute(params![tenant.0, generation]).map(|_| ())?)
            })
            .await?;
    }
    over(store, tenant).await
}

async fn over(store: &Postgres, tenant: TenantKey) -> Result<()> {
    store.write(Lane::Bulk, move |c, _| Ok(c.prepare_cached(OVER)?.execute([tenant.0]).map(|_| ())?)).await
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[UNFINISHED, STANDING, OVER, TOKENS, CODES];
