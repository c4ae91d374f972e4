//! Takes back what an import left that never came to its end, and finishes one that came as far as its switch. In short
//! steps, so that the store answers meanwhile.

use super::scratch;
use crate::sqlite::directory::versions::STILL;
use crate::sqlite::{Sqlite, WriteLane};
use crate::{Result, StoreError};
use model::TenantKey;
use rusqlite::{OptionalExtension, params};

/// Rows of one step.
const ROWS: i64 = 250;

/// A table of versions, and the columns of its key before `since`.
struct Versions {
    table: &'static str,
    key: &'static str,
    columns: usize,
}

const TABLES: [Versions; 5] = [
    Versions { table: "member", key: "grp, kind, key", columns: 3 },
    Versions { table: "registration", key: "owner, device, key", columns: 3 },
    Versions { table: "device", key: "owner, key", columns: 2 },
    Versions { table: "grp", key: "key", columns: 1 },
    Versions { table: "person", key: "key", columns: 1 },
];

/// What to do with the rows of a condition.
#[derive(Clone, Copy)]
enum Mend {
    /// Versions that nobody saw yet go.
    DropPending,
    /// Versions that were to end stay.
    Revive,
    /// Versions that nobody sees any more go.
    DropDead,
}

/// Mends every tenant whose last import did not come to its end. For the opening of the store, and after a failure.
pub(crate) async fn recover(store: &Sqlite) -> Result<()> {
    let unfinished = store
        .read(|c| {
            let mut statement = c.prepare_cached("SELECT tenant FROM meta WHERE importing <> 0")?;
            let tenants = statement.query_map([], |row| row.get(0).map(TenantKey))?;
            Ok(tenants.collect::<rusqlite::Result<Vec<_>>>()?)
        })
        .await?;
    for tenant in unfinished {
        scratch::tidy(store.file(), tenant);
        mend(store, tenant).await?;
    }
    Ok(())
}

/// Mends one tenant.
pub(super) async fn mend(store: &Sqlite, tenant: TenantKey) -> Result<()> {
    let found = store
        .read(move |c| {
            let mut statement = c.prepare_cached("SELECT generation, importing FROM meta WHERE tenant = ?1")?;
            Ok(statement.query_row([tenant.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()?)
        })
        .await?;
    let (generation, importing) = found.ok_or(StoreError::NotFound)?;
    match importing {
        0 => return Ok(()),
        1 => {
            // What begins must be gone before what ended can stay: the two may share a unique value.
            for table in &TABLES {
                walk(store, tenant, table, Mend::DropPending, generation).await?;
            }
            for table in &TABLES {
                walk(store, tenant, table, Mend::Revive, generation).await?;
            }
        }
        _ => {
            shut_out(store, tenant).await?;
            for table in &TABLES {
                walk(store, tenant, table, Mend::DropDead, generation).await?;
            }
        }
    }
    store
        .write(WriteLane::Import, move |c, _| {
            c.prepare_cached("UPDATE meta SET importing = 0 WHERE tenant = ?1")?.execute([tenant.0])?;
            Ok(())
        })
        .await
}

/// Walks a table once: finds rows by reading, and writes only where there are some.
async fn walk(store: &Sqlite, tenant: TenantKey, of: &'static Versions, mend: Mend, generation: i64) -> Result<()> {
    let marks = |from: usize| (from..from + of.columns + 1).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
    let (wanted, bound) = match mend {
        Mend::DropPending => ("since = ?2", generation + 1),
        Mend::Revive => ("until = ?2", generation + 1),
        Mend::DropDead => ("until <= ?2", generation),
    };
    let (table, key) = (of.table, of.key);
    let find = format!(
        "SELECT {key}, since FROM {table} WHERE tenant = ?1 AND ({key}, since) > ({}) AND {wanted} ORDER BY {key}, since LIMIT {ROWS}",
        marks(3)
    );
    let set = match mend {
        Mend::DropPending | Mend::DropDead => format!("DELETE FROM {table}"),
        Mend::Revive => format!("UPDATE {table} SET until = {STILL}"),
    };
    let write = format!("{set} WHERE tenant = ?1 AND {wanted} AND ({key}, since) = ({})", marks(3));
    let mut after = vec![-1_i64; of.columns + 1];
    loop {
        let (find, from) = (find.clone(), after.clone());
        let rows: Vec<Vec<i64>> = store
            .read(move |c| {
                let mut statement = c.prepare_cached(&find)?;
                let values = [i64::from(tenant.0), bound].into_iter().chain(from);
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push((0..=of.columns).map(|column| row.get(column)).collect::<rusqlite::Result<_>>()?);
                }
                Ok(found)
            })
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after.clone_from(last);
        let write = write.clone();
        store
            .write(WriteLane::Import, move |c, _| {
                let mut statement = c.prepare_cached(&write)?;
                for row in rows {
                    statement.execute(rusqlite::params_from_iter([i64::from(tenant.0), bound].into_iter().chain(row)))?;
                }
                Ok(())
            })
            .await?;
    }
}

/// Revokes tokens and voids codes of people who are inactive or gone, and tokens of devices that are gone.
async fn shut_out(store: &Sqlite, tenant: TenantKey) -> Result<()> {
    let (tokens, codes) = store
        .read(move |c| {
            let owner_is_out = "EXISTS (SELECT 1 FROM device d JOIN meta m ON m.tenant = d.tenant AND d.since <= m.generation AND d.until > m.generation \
                WHERE d.tenant = t.tenant AND d.key = t.device AND (d.owner = 0 OR EXISTS (SELECT 1 FROM person p WHERE p.tenant = d.tenant \
                AND p.key = d.owner AND p.since <= m.generation AND p.until > m.generation AND p.active)))";
            let tokens = format!("SELECT hash FROM token t WHERE tenant = ?1 AND device IS NOT NULL AND revoked_at IS NULL AND NOT {owner_is_out}");
            let codes = "SELECT hash FROM code k WHERE tenant = ?1 AND used_at IS NULL AND NOT EXISTS (SELECT 1 FROM person p \
                JOIN meta m ON m.tenant = p.tenant WHERE p.tenant = k.tenant AND p.key = k.person AND p.since <= m.generation \
                AND p.until > m.generation AND p.active)";
            let hashes = |sql: &str| -> Result<Vec<Vec<u8>>> {
                let mut statement = c.prepare(sql)?;
                let hashes = statement.query_map([tenant.0], |row| row.get(0))?;
                Ok(hashes.collect::<rusqlite::Result<_>>()?)
            };
            Ok((hashes(&tokens)?, hashes(codes)?))
        })
        .await?;
    for (sql, hashes) in
        [("UPDATE token SET revoked_at = ?2 WHERE hash = ?1", tokens), ("UPDATE code SET used_at = ?2 WHERE hash = ?1", codes)]
    {
        for some in hashes.chunks(ROWS as usize) {
            let some = some.to_vec();
            store
                .write(WriteLane::Import, move |c, now| {
                    let mut statement = c.prepare_cached(sql)?;
                    for hash in some {
                        statement.execute(params![hash, now.0])?;
                    }
                    Ok(())
                })
                .await?;
        }
    }
    Ok(())
}
