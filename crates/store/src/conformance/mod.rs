//! The conformance suite: stories that hold for every store, told over the contract alone.
//!
//! An engine under test says how to make an empty place and how to open a store in it; [`run`] tells every story, each in a
//! place of its own, and names those that failed. Another engine is one more [`Engine`] and one more line in a test.

mod acceptance;
mod accounts;
mod audit;
mod campaigns;
mod cluster;
mod directory;
mod import;
mod inboxes;
mod managed;
mod scene;
mod stopping;

pub use scene::{Stage, StoryClock};

use crate::{Result, Shared};
use async_trait::async_trait;
use model::Clock;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// An engine under test.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Its name, for the report.
    fn name(&self) -> &'static str;
    /// A new place without a store.
    async fn place(&self) -> Arc<dyn Place>;
}

/// Where one store lives; it stays when the store is closed.
#[async_trait]
pub trait Place: Send + Sync + 'static {
    /// Opens the store here, or makes it.
    async fn open(&self, clock: Arc<dyn Clock>) -> Result<Shared>;
}

/// One story. It panics where a promise is broken.
#[derive(Clone, Copy)]
pub struct Story {
    /// The promise, as a sentence.
    pub name: &'static str,
    /// Tells it.
    pub tell: fn(Stage) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Lists the stories of one file, which are async functions from [`Stage`] to nothing.
macro_rules! stories {
    ($($name:ident),+ $(,)?) => {
        /// The stories of this file.
        pub(super) const STORIES: &[$crate::conformance::Story] =
            &[$($crate::conformance::Story { name: stringify!($name), tell: |stage| Box::pin($name(stage)) }),+];
    };
}
pub(crate) use stories;

/// Every story.
pub fn all() -> Vec<Story> {
    [
        directory::STORIES,
        import::STORIES,
        accounts::STORIES,
        audit::STORIES,
        acceptance::STORIES,
        campaigns::STORIES,
        inboxes::STORIES,
        managed::STORIES,
        stopping::STORIES,
        cluster::STORIES,
    ]
    .concat()
}

/// Tells every story on an engine and prints a line for each.
///
/// # Panics
/// When a story failed; all of them are told first.
pub async fn run(engine: Arc<dyn Engine>) {
    let mut failed = Vec::new();
    // For whoever mends one promise: tells only the stories whose names hold this.
    let only = std::env::var("CARILLON_STORIES").unwrap_or_default();
    for story in all().into_iter().filter(|story| only.split(',').any(|part| story.name.contains(part))) {
        let place = engine.place().await;
        let told = tokio::spawn(async move { (story.tell)(Stage::new(place).await).await }).await;
        println!("{}: {} … {}", engine.name(), story.name, if told.is_ok() { "ok" } else { "FAILED" });
        if told.is_err() {
            failed.push(story.name);
        }
    }
    assert!(failed.is_empty(), "{} broke its promise: {}", engine.name(), failed.join(", "));
}
