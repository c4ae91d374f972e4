//! The sessions of one relay: a few, kept while they are used, one of them kept free for urgent mail.

use super::session::{Ending, Mail, Relay, Session};
use model::channel::Lane;
use model::outcome::Outcome;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An idle session is dropped after this.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// First pause after a failed connection; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Pause after a refused login: relays lock accounts that try too often.
const FAULT_PAUSE: Duration = Duration::from_secs(30);

/// Sessions with one relay.
pub(super) struct Pool {
    relay: Relay,
    every: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    /// Time between two mails, when the relay is to be paced.
    period: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<(Session, Instant)>,
    sweeping: bool,
    next: Option<Instant>,
    failure: Option<(Outcome, Instant, u32)>,
}

/// A ready session for one mail.
pub(super) struct Berth {
    pool: Arc<Pool>,
    session: Option<Session>,
    /// It has carried a mail before, so the relay may have closed it meanwhile.
    used: bool,
    _permits: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

impl Pool {
    pub(super) fn new(relay: Relay, connections: usize, per_second: Option<u32>) -> Pool {
        let connections = connections.max(1);
        Pool {
            relay,
            every: Arc::new(Semaphore::new(connections)),
            bulk: Arc::new(Semaphore::new((connections - 1).max(1))),
            period: per_second.map(|n| Duration::from_secs(1) / n.max(1)),
            state: Mutex::new(State::default()),
        }
    }

    /// The relay behind the sessions.
    pub(super) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Waits for a session of this lane and for the relay's pace.
    pub(super) async fn berth(self: &Arc<Self>, lane: Lane) -> Result<Berth, Outcome> {
        let never = "the semaphore is never closed";
        let bulk = match lane {
            Lane::Bulk => Some(self.bulk.clone().acquire_owned().await.expect(never)),
            Lane::Urgent => None,
        };
        let every = self.every.clone().acquire_owned().await.expect(never);
        let (session, used) = match self.idle_session().await {
            Some(session) => (session, true),
            None => (self.fresh().await?, false),
        };
        let berth = Berth { pool: self.clone(), session: Some(session), used, _permits: (every, bulk) };
        self.pace().await;
        Ok(berth)
    }

    async fn idle_session(&self) -> Option<Session> {
        loop {
            let (mut session, since) = self.state.lock().idle.pop()?;
            if since.elapsed() < IDLE && session.is_quiet().await {
                return Some(session);
            }
        }
    }

    /// Opens a session, unless one could not be opened a moment ago.
    async fn fresh(&self) -> Result<Session, Outcome> {
        if let Some((outcome, until, _)) = &self.state.lock().failure
            && *until > Instant::now()
        {
            return Err(outcome.clone());
        }
        let opened = self.relay.open().await;
        let mut state = self.state.lock();
        match &opened {
            Ok(_) => state.failure = None,
            Err(outcome) => {
                let in_a_row = state.failure.as_ref().map_or(0, |f| f.2) + 1;
                let pause = FIRST_PAUSE.saturating_mul(1 << (in_a_row - 1).min(10)).min(LONGEST_PAUSE);
                let pause = if matches!(outcome, Outcome::OurFault(_)) { FAULT_PAUSE } else { pause };
                if in_a_row == 1 {
                    let code = outcome.cause().map_or("", |c| c.code.as_ref());
                    tracing::warn!(relay = self.relay.host, cause = code, "no session with the relay");
                }
                state.failure = Some((outcome.clone(), Instant::now() + pause, in_a_row));
            }
        }
        opened
    }

    /// Waits for the next turn. At most one turn a session is taken ahead.
    async fn pace(&self) {
        let Some(period) = self.period else { return };
        let turn = {
            let mut state = self.state.lock();
            let turn = state.next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            state.next = Some(turn + period);
            turn
        };
        tokio::time::sleep_until(turn.into()).await;
    }

    fn keep(self: &Arc<Self>, session: Session) {
        let mut state = self.state.lock();
        state.idle.push((session, Instant::now()));
        if !state.sweeping
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            state.sweeping = true;
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
    }
}

/// Drops sessions that were idle for too long; ends when there is none left.
async fn sweep(pool: Weak<Pool>) {
    let mut going = true;
    while going {
        tokio::time::sleep(IDLE / 4).await;
        let Some(pool) = pool.upgrade() else { return };
        let old: Vec<_> = {
            let mut state = pool.state.lock();
            let old = state.idle.extract_if(.., |(_, since)| since.elapsed() >= IDLE).collect();
            going = !state.idle.is_empty();
            state.sweeping = going;
            old
        };
        drop(pool);
        for (session, _) in old {
            session.quit().await;
        }
    }
}

impl Berth {
    /// Hands a mail over. When a kept session turns out to be dead before the relay said yes to anything of the mail, a
    /// fresh one takes it: that concerns the connection, not the message.
    pub(super) async fn send(mut self, mail: &Mail<'_>) -> Outcome {
        let mut session = self.session.take().expect("a berth has its session until it is used");
        let (cause, untouched) = match session.send(mail).await {
            Ending::Answered(outcome) => {
                self.pool.keep(session);
                return outcome;
            }
            Ending::Broken { cause, untouched } => (cause, untouched),
        };
        drop(session);
        // A relay that is merely silent would be silent on a fresh session too.
        if !(self.used && untouched && cause.code != "timed_out") {
            return Outcome::TryLater { after: None, cause };
        }
        let mut session = match self.pool.fresh().await {
            Ok(session) => session,
            Err(outcome) => return outcome,
        };
        match session.send(mail).await {
            Ending::Answered(outcome) => {
                self.pool.keep(session);
                outcome
            }
            Ending::Broken { cause, .. } => Outcome::TryLater { after: None, cause },
        }
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.keep(session);
        }
    }
}
