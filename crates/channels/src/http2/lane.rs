//! One lane: its connections, who waits for room, how much there is of it, and when to try again after a failure.

use super::connect;
use super::link::Link;
use super::target::Target;
use super::width::Width;
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
/// Requests that go on one connection before it is somebody else's turn: what is sent together is written together.
const RUN: u32 = 32;

/// A lane of a pool.
pub(super) struct LanePool {
    target: Arc<Target>,
    settings: PoolSettings,
    count: usize,
    state: Mutex<State>,
}

struct State {
    links: Vec<Arc<Link>>,
    width: Width,
    /// Requests under way on all connections.
    in_flight: usize,
    /// How many more requests go on the first connection.
    run: u32,
    connecting: usize,
    waiting: VecDeque<Waiting>,
    failure: Option<Failure>,
}

/// Somebody who waits, and since when the lane is full; `None` while a connection is missing.
struct Waiting {
    answer: oneshot::Sender<Result<Room, Cause>>,
    full_since: Option<Instant>,
}

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
        let state = State {
            links: Vec::new(),
            width: Width::new(settings.streams.max(1) * count),
            in_flight: 0,
            run: 0,
            connecting: 0,
            waiting: VecDeque::new(),
            failure: None,
        };
        LanePool { target, settings, count, state: Mutex::new(state) }
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
            return Found::Now(Room::new(self, link));
        }
        if let Some(cause) = state.hopeless() {
            return Found::Never(cause);
        }
        let (answer, later) = oneshot::channel();
        let full_since = (state.links.len() == self.count).then(Instant::now);
        state.waiting.push_back(Waiting { answer, full_since });
        Found::Later(later)
    }

    /// Takes room on the emptiest connection, unless somebody stands in line or a connection is missing.
    pub(super) fn room_now(self: &Arc<Self>) -> Option<Room> {
        let mut state = self.state.lock();
        if !state.waiting.is_empty() || state.links.len() < self.count {
            return None;
        }
        state.take().map(|link| Room::new(self, link))
    }

    /// Gives back the room of one request on a link.
    pub(super) fn release(self: &Arc<Self>, link: &Link) {
        let mut state = self.state.lock();
        state.give_back(link);
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
            let Some(Waiting { answer, full_since }) = state.waiting.pop_front() else { return };
            if let Some(since) = full_since {
                state.width.waited(since.elapsed());
            }
            let room = Room::new(self, link);
            if let Err(Ok(mut refused)) = answer.send(Ok(room))
                && let Some(link) = refused.link.take()
            {
                // Whoever waited has gone; its room is taken back here, for the lock is held.
                state.give_back(&link);
            }
        }
    }
}

impl State {
    /// Takes room on the connection with the most of it, and for a run of requests on the same.
    fn take(&mut self) -> Option<Arc<Link>> {
        if self.in_flight >= self.width.requests() {
            return None;
        }
        if self.run == 0 || self.links.first()?.free() == 0 {
            let emptiest = (0..self.links.len()).max_by_key(|at| self.links[*at].free())?;
            self.links.swap(0, emptiest);
            self.run = RUN;
        }
        let link = self.links.first().filter(|link| link.free() > 0)?;
        self.run -= 1;
        if self.in_flight == 0 {
            self.width.begins(Instant::now());
        }
        self.in_flight += 1;
        link.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(link.clone())
    }

    fn give_back(&mut self, link: &Link) {
        self.in_flight -= 1;
        if self.in_flight == 0 {
            self.width.rests(Instant::now());
        }
        link.in_flight.fetch_sub(1, Ordering::Relaxed);
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
                let _ = waiting.answer.send(Err(cause.clone()));
            }
        }
    }
}
