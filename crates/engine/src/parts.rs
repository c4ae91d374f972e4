//! What the engine is made of, and its start and stop.

use crate::admin::acts::Deed;
use crate::admin::auth::Doorkeeper;
use crate::cards::Cards;
use crate::deliver::{Pauses, Rooms};
use crate::errands::Messenger;
use crate::inbox::Streams;
use crate::keys::Keys;
use crate::presence::Presence;
use crate::roster::Roster;
use crate::settler::Settler;
use crate::standing::{Standing, Wake};
use crate::suspicion::Suspicion;
use model::policy::{PolicySnapshot, SettingDeclaration, Terms};
use model::source::{EventTypeDeclaration, Source};
use model::{Channel, ChannelKind, Clock, Refusal, TenantKey, Timestamp};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use store::{By, Shared, StoreError, Tenant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How long the store may take to answer the question whether it is there: load balancers wait no longer.
const READY_WITHIN: std::time::Duration = std::time::Duration::from_secs(2);

/// What is handed in.
pub struct Parts {
    /// Where everything is remembered.
    pub store: Shared,
    /// The senders of this installation.
    pub channels: Vec<Arc<dyn Channel>>,
    /// The kinds of event.
    pub sources: Vec<Box<dyn Source>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The at-rest key.
    pub keys: Keys,
    /// The organization's name; what the store calls it gives way.
    pub organization: String,
    /// A folder for files that are being received.
    pub scratch: PathBuf,
    /// What this process does of the work.
    pub duties: Duties,
    /// Its name among the processes of the store, used for the first time.
    pub node: Uuid,
    /// A process that has surely ended: what it held is free at once.
    pub predecessor: Option<Uuid>,
    /// Who carries errands to outside systems; without one they wait.
    pub messenger: Option<Arc<dyn Messenger>>,
    /// Whether files may come later for what is heard without one.
    pub files_follow: bool,
    /// Where letters are sent from: `None` for a thread of their own. One who has to have everything happen in one order (the
    /// simulation) hands in the runtime that drives the rest.
    pub sending: Option<tokio::runtime::Handle>,
}

/// What a process does of the work; requests are answered by whoever serves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duties {
    /// Plans accepted events.
    pub dispatch: bool,
    /// Carries planned deliveries.
    pub deliver: bool,
    /// Does what happens by itself: forgetting.
    pub timers: bool,
}

impl Duties {
    /// Everything: the only choice on an embedded store.
    pub const ALL: Duties = Duties { dispatch: true, deliver: true, timers: true };
}

/// The running engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub store: Shared,
    pub channels: Vec<Arc<dyn Channel>>,
    pub sources: Vec<Box<dyn Source>>,
    pub clock: Arc<dyn Clock>,
    pub keys: Keys,
    pub tenant: Tenant,
    pub scratch: PathBuf,
    /// This process, in leases.
    pub node: Uuid,
    pub settings: Vec<SettingDeclaration>,
    pub standing: Standing,
    pub roster: Roster,
    pub presence: Presence,
    pub streams: Streams,
    pub settler: Settler,
    pub cards: Cards,
    pub pauses: Pauses,
    pub suspicion: Suspicion,
    /// Alarms that the store could not keep when they were raised, with what they say.
    pub unkept: parking_lot::Mutex<std::collections::BTreeMap<String, String>>,
    /// Room for campaign segments, which dispatch and deliver share.
    pub rooms: Rooms,
    pub doorkeeper: Doorkeeper,
    pub duties: Duties,
    /// Wakes dispatch: an event was accepted.
    pub accepted: Wake,
    /// Wakes deliver: a segment may be due.
    pub planned: Wake,
    /// Work has been left, or may be due sooner.
    pub work: Wake,
    /// People went, and what belonged to them may be left.
    pub left: Wake,
    pub messenger: Option<Arc<dyn Messenger>>,
    pub files_follow: bool,
    /// Wrong secrets of late.
    pub wrong_secrets: crate::keys::WrongSecrets,
    /// Settings, memberships or cancellations changed.
    pub changed: Wake,
    /// Events got their place in the inbox.
    pub published: Wake,
    /// Events that were cancelled in this process's life and still have waiting rows.
    pub cancelled: parking_lot::RwLock<HashSet<model::EventKey>>,
    pub configured: HashSet<ChannelKind>,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
    /// The sending thread: letters, connections and outcomes of all channels stay on one core, because handing them
    /// from thread to thread costs a quarter of the work.
    pub sending: tokio::runtime::Handle,
}

impl Engine {
    /// Opens the engine on its parts: founds the organization on first use or renames it, loads settings and memberships, and
    /// starts the loops. Answers the engine and whether the organization is new.
    ///
    /// # Errors
    /// What the store says.
    pub async fn start(parts: Parts) -> crate::Result<(Engine, bool)> {
        let wrong = |e| crate::refusal("store", e);
        let (tenant, renamed_from, fresh) = organization(&parts.store, &parts.organization).await?;
        let settings: Vec<SettingDeclaration> =
            model::policy::SETTINGS.iter().chain(parts.sources.iter().flat_map(|s| s.declaration().settings)).copied().collect();
        let standing = Standing::open(&parts.store, tenant.key, &settings).await.map_err(wrong)?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let sending = match parts.sending {
            Some(sending) => sending,
            None => sending_thread(tasks.clone())?,
        };
        let configured = parts.channels.iter().map(|c| c.kind()).chain([ChannelKind::Inbox]).collect();
        let inner = Arc::new(Inner {
            settler: Settler::new(),
            cards: Cards::default(),
            pauses: Pauses::default(),
            suspicion: Suspicion::default(),
            unkept: parking_lot::Mutex::default(),
            rooms: Rooms::new(&parts.channels),
            store: parts.store,
            channels: parts.channels,
            sources: parts.sources,
            clock: parts.clock,
            keys: parts.keys,
            tenant,
            scratch: parts.scratch,
            node: parts.node,
            settings,
            standing,
            roster: Roster::default(),
            presence: Presence::default(),
            streams: Streams::default(),
            doorkeeper: Doorkeeper::default(),
            accepted: Wake::default(),
            planned: Wake::default(),
            work: Wake::default(),
            left: Wake::default(),
            messenger: parts.messenger,
            files_follow: parts.files_follow,
            wrong_secrets: crate::keys::WrongSecrets::default(),
            changed: Wake::default(),
            published: Wake::default(),
            duties: parts.duties,
            cancelled: parking_lot::RwLock::default(),
            configured,
            stop,
            tasks,
            sending,
        });
        let engine = Engine { inner };
        if let Some(from) = renamed_from {
            engine.rename_organization(&from).await?;
        }
        if engine.inner.store.is_shared() {
            if let Some(predecessor) = parts.predecessor {
                engine.inner.store.leave(predecessor).await.map_err(wrong)?;
            }
            // Before the first claim: a process that starts beside this one frees the claims of those that do not beat.
            let alive = engine.now().plus(crate::neighbours::ALIVE);
            engine.inner.store.beat(engine.inner.node, alive).await.map_err(wrong)?;
        }
        engine.inner.store.void_claims().await.map_err(wrong)?;
        engine.inner.store.retry_our_faults().await.map_err(wrong)?;
        engine.start_loops();
        Ok((engine, fresh))
    }

    /// Keeps the organization's name of this start, where the store has another one. Of processes that begin at once with
    /// different names one wins; a running one never asks again, so that two of them never take turns.
    async fn rename_organization(&self, from: &str) -> crate::Result<()> {
        let to = &self.inner.tenant.name;
        let deed = Deed::of("organization.rename").with("name", [from, to]);
        match self.told_by(By::Server, deed).rename_tenant(self.inner.tenant_key(), from, to).await {
            Ok(()) => tracing::info!(from, to, "the organization has another name"),
            Err(StoreError::NotFound) => tracing::warn!(from, to, "another process renamed the organization at the same time"),
            Err(error) => return Err(crate::refusal("store", error)),
        }
        Ok(())
    }

    fn start_loops(&self) {
        let inner = &self.inner;
        inner.tasks.spawn(load_roster(self.clone()));
        inner.tasks.spawn(crate::settler::run(self.clone()));
        inner.tasks.spawn(crate::watch::run(self.clone()));
        if inner.duties.dispatch {
            inner.tasks.spawn(crate::dispatch::run(self.clone()));
        }
        if inner.duties.timers {
            inner.tasks.spawn(crate::timers::run(self.clone()));
            inner.tasks.spawn(crate::work::run(self.clone()));
            inner.tasks.spawn(crate::admin::leaving::run(self.clone()));
        }
        for channel in inner.channels.iter().filter(|_| inner.duties.deliver) {
            crate::deliver::start(self, channel.clone());
        }
        crate::neighbours::start(self);
    }

    /// Stops taking up work, waits for what is on the wire and its settlement (at most `limit`), and answers whether
    /// everything came to rest.
    pub async fn stop(&self, limit: std::time::Duration) -> bool {
        self.inner.stop.cancel();
        self.inner.streams.close();
        self.inner.tasks.close();
        let rested = tokio::time::timeout(limit, self.inner.tasks.wait()).await.is_ok();
        if self.inner.store.is_shared()
            && let Err(error) = self.inner.store.leave(self.inner.node).await
        {
            tracing::warn!(%error, "the other processes cannot be told that this one ends; they will notice");
        }
        rested
    }

    /// Cancelled when the engine stops: for streams that have to end.
    pub fn stopping(&self) -> CancellationToken {
        self.inner.stop.clone()
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The organization.
    pub fn tenant(&self) -> &Tenant {
        &self.inner.tenant
    }

    /// Whether everything that requests need is there. A store that does not answer within [`READY_WITHIN`] is not.
    pub async fn ready(&self) -> bool {
        let (store, tenant) = (&self.inner.store, self.inner.tenant.key);
        // What several processes share may also be of another version by now: then requests belong elsewhere.
        let answers = async { if store.is_shared() { store.standing(tenant).await.is_ok() } else { store.settings(tenant).await.is_ok() } };
        self.inner.roster.is_loaded() && tokio::time::timeout(READY_WITHIN, answers).await.unwrap_or(false)
    }

    /// The store, for wiring and metrics.
    pub fn store(&self) -> &Shared {
        &self.inner.store
    }
}

/// The store's organization under its name of now, the name that it had if that was another one, and whether it was founded
/// just now. A store has one; of several (as a changed name made them once) it is the one of this name, and none is added.
async fn organization(store: &Shared, name: &str) -> crate::Result<(Tenant, Option<String>, bool)> {
    let (mut tenants, fresh) = store.found(name, Uuid::now_v7()).await.map_err(|e| crate::refusal("store", e))?;
    if let Some(at) = tenants.iter().position(|tenant| tenant.name == name) {
        return Ok((tenants.swap_remove(at), None, fresh));
    }
    match (tenants.pop(), tenants.as_slice()) {
        (Some(only), []) => Ok((Tenant { name: name.to_owned(), ..only.clone() }, Some(only.name), false)),
        (last, others) => {
            let names: Vec<String> = others.iter().chain(&last).map(|tenant| format!("{:?}", tenant.name)).collect();
            Err(Refusal::unavailable(format!(
                "the store holds several organizations ({}) and none is called {name:?}; set [server] organization to the name of the one to serve",
                names.join(", ")
            )))
        }
    }
}

/// Starts the sending thread. It ends when the engine stopped and its last task ended.
fn sending_thread(tasks: TaskTracker) -> crate::Result<tokio::runtime::Handle> {
    let wrong = |e: std::io::Error| Refusal::unavailable(format!("the sending thread cannot be started: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(wrong)?;
    let handle = runtime.handle().clone();
    let thread = std::thread::Builder::new().name("sending".into());
    thread.spawn(move || runtime.block_on(tasks.wait())).map_err(wrong)?;
    Ok(handle)
}

/// Loads the memberships, however often it takes.
async fn load_roster(engine: Engine) {
    let inner = &engine.inner;
    while let Err(error) = inner.roster.load(&inner.store, inner.tenant_key()).await {
        tracing::error!(%error, "memberships cannot be read; trying again");
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
        }
    }
}

impl Inner {
    pub fn tenant_key(&self) -> TenantKey {
        self.tenant.key
    }

    /// Runs `change` while nothing can start, and calls back what was handed over and did not leave yet: it is looked at
    /// anew.
    pub fn closed<T>(&self, change: impl FnOnce() -> T) -> T {
        self.standing.closed(|| {
            let done = change();
            self.channels.iter().for_each(|channel| channel.recall());
            done
        })
    }

    /// What a policy says for one event: by its kind, and by what its source has against it. A test of a mail is asked for by
    /// name, so its source has nothing against it.
    pub fn terms(&self, policy: &PolicySnapshot, kind: &'static EventTypeDeclaration, data: &serde_json::Value) -> Terms {
        let terms = policy.terms(kind.email);
        match self.event_type(kind.name) {
            Some(_) if crate::happenings::is_test(data) => terms,
            Some((source, _)) => terms.objecting(|channel| source.objection_on(channel, kind.name, data, policy)),
            None => terms,
        }
    }

    /// The declaration of an event type.
    pub fn event_type(&self, kind: &str) -> Option<(&dyn Source, &'static EventTypeDeclaration)> {
        self.sources.iter().find_map(|source| {
            let found = source.declaration().event_types.iter().find(|t| t.name == kind)?;
            Some((source.as_ref(), found))
        })
    }
}
