//! The conformance suite on every engine of this build; one that is missing is printed as skipped, never as passed.

use async_trait::async_trait;
use model::Clock;
use servers::PrivatePostgres;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use store::conformance::{self, Engine, Place};
use store::postgres::{Address, Postgres, Time};
use store::sqlite::Sqlite;
use store::{Result, Shared};

/// Folders under the system's own place for such, removed when the story ends.
struct Embedded;

struct Folder(PathBuf);

#[async_trait]
impl Engine for Embedded {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn place(&self) -> Arc<dyn Place> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("carillon-conformance-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        Arc::new(Folder(std::env::temp_dir().join(name)))
    }
}

#[async_trait]
impl Place for Folder {
    async fn open(&self, clock: Arc<dyn Clock>) -> Result<Shared> {
        Ok(Arc::new(Sqlite::open(&self.0.join("carillon.db"), clock).await?))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_story_holds_on_sqlite() {
    conformance::run(Arc::new(Embedded)).await;
}

/// Databases of a private cluster.
struct Cluster(&'static PrivatePostgres);

struct Database(Address);

#[async_trait]
impl Engine for Cluster {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn place(&self) -> Arc<dyn Place> {
        Arc::new(Database(Address::parse(&self.0.database()).expect("an address")))
    }
}

#[async_trait]
impl Place for Database {
    async fn open(&self, clock: Arc<dyn Clock>) -> Result<Shared> {
        Ok(Arc::new(Postgres::open(self.0.clone(), Time::Given(clock), std::env::temp_dir()).await?))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_story_holds_on_postgres() {
    let Some(cluster) = PrivatePostgres::shared() else {
        println!("SKIPPED: the conformance suite on PostgreSQL (it is not installed)");
        return;
    };
    conformance::run(Arc::new(Cluster(cluster))).await;
}
