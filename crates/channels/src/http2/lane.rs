//! One lane: its connections, who waits for room, and when to try again after a failure.

use super::connect;
use super::link::Link;
use super::target::Target;
use super::{PoolSettings, Room};
use model::outcome::Cause;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// First pause after a failed connection; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A lane of a pool.
pub(super) struct LanePool {
    target: Arc<Target>,
    settings: PoolSettings,
    count: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: Vec<Arc<Link>>,
    connecting: usize,
    waiting: VecDeque<Waiting>,
    failure: Option<Failure>,
}

type Waiting = oneshot::Sender<Result<Room, Cause>>;

struct Failure {
    cause: Cause,
    until: Instant,
    in_a_row: u32,
}

/// The answer to a wish for room.
pub(super) enum Found {
    Now(Room),
    Later(oneshot::Receiver<Result<Room, Cause>>),
    Never(Cause),
}

impl LanePool {
    pub(super) fn new(target: Arc<Target>, settings: PoolSettings, count: usize) -> LanePool {
        LanePool { target, settings, count, state: Mutex::new(State::default()) }
    }

    pub(super) fn settings(&self) -> PoolSettings {
        self.settings
    }

    /// Takes room on the emptiest connection, or stands in line for it.
    pub(super) fn room(self: &Arc<Self>) -> Found {
        let mut state = self.state.lock();
        self.open_missing(&mut state);
        if state.waiting.is_empty()
            && let Some(link) = state.take()
        {
            return Found::Now(Room { lane: self.clone(), link: Some(link) });
        }
        if let Some(cause) = state.hopeless() {
            return Found::Never(cause);
        }
        let (waiting, later) = oneshot::channel();
        state.waiting.push_back(waiting);
        Found::Later(later)
    }

    /// Takes room on the emptiest connection, unless somebody stands in line or a connection is missing.
    pub(super) fn room_now(self: &Arc<Self>) -> Option<Room> {
        let mut state = self.state.lock();
        if !state.waiting.is_empty() || state.links.len() < self.count {
            return None;
        }
        state.take().map(|link| Room { lane: self.clone(), link: Some(link) })
    }

    /// Gives back the room of one request on a link.
    pub(super) fn release(self: &Arc<Self>, link: &Link) {
        let mut state = self.state.lock();
        link.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.serve(&mut state);
    }

    /// Lets those in line have what has become free.
    pub(super) fn widened(self: &Arc<Self>) {
        self.serve(&mut self.state.lock());
    }

    /// Takes a connection out of use: it went away or was told to.
    pub(super) fn retire(self: &Arc<Self>, link: &Arc<Link>) {
        let mut state = self.state.lock();
        let before = state.links.len();
        state.links.retain(|l| !Arc::ptr_eq(l, link));
        if state.links.len() < before && !state.waiting.is_empty() {
            self.open_missing(&mut state);
            state.give_up_if_hopeless();
        }
    }

    /// Starts connections up to the lane's number, all at once, unless the last one failed a moment ago.
    fn open_missing(self: &Arc<Self>, state: &mut State) {
        let missing = self.count.saturating_sub(state.links.len() + state.connecting);
        if missing == 0 || state.failure.as_ref().is_some_and(|f| f.until > Instant::now()) {
            return;
        }
        state.connecting += missing;
        for _ in 0..missing {
            let lane = self.clone();
            tokio::spawn(async move {
                let opened = connect::open(&lane).await;
                lane.opened(opened);
            });
        }
    }

    fn opened(self: &Arc<Self>, opened: Result<Arc<Link>, Cause>) {
        let mut state = self.state.lock();
        state.connecting -= 1;
        match opened {
            Ok(link) => {
                state.failure = None;
                state.links.push(link);
                self.serve(&mut state);
            }
            Err(cause) => {
                let in_a_row = state.failure.as_ref().map_or(0, |f| f.in_a_row) + 1;
                let pause = FIRST_PAUSE.saturating_mul(1 << (in_a_row - 1).min(10)).min(LONGEST_PAUSE);
                if in_a_row == 1 {
                    tracing::warn!(provider = self.target.authority(), cause = %cause.code, "no connection to the provider");
                }
                state.failure = Some(Failure { cause, until: Instant::now() + pause, in_a_row });
                state.give_up_if_hopeless();
            }
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    fn serve(self: &Arc<Self>, state: &mut State) {
        while !state.waiting.is_empty() {
            let Some(link) = state.take() else { return };
            let Some(waiting) = state.waiting.pop_front() else { return };
            let room = Room { lane: self.clone(), link: Some(link) };
            if let Err(Ok(mut refused)) = waiting.send(Ok(room))
                && let Some(link) = refused.link.take()
            {
                // Whoever waited has gone; its room is taken back here, for the lock is held.
                link.in_flight.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl State {
    /// Takes room on the connection with the most of it.
    fn take(&mut self) -> Option<Arc<Link>> {
        let link = self.links.iter().filter(|link| link.free() > 0).max_by_key(|link| link.free())?;
        link.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(link.clone())
    }

    /// Why nobody needs to wait: there is no connection and none on its way.
    fn hopeless(&self) -> Option<Cause> {
        if !self.links.is_empty() || self.connecting > 0 {
            return None;
        }
        Some(self.failure.as_ref().map_or_else(|| Cause::of_channel("connection_lost", 0), |f| f.cause.clone()))
    }

    fn give_up_if_hopeless(&mut self) {
        if let Some(cause) = self.hopeless() {
            for waiting in self.waiting.drain(..) {
                let _ = waiting.send(Err(cause.clone()));
            }
        }
    }
}
