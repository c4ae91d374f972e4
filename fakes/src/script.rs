//! How a fake behaves, changeable while it runs: a mode for everybody and answers for single addresses.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How the fake treats everybody for whom no answer of their own is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Mode {
    /// Checks and accepts at once.
    #[default]
    Ok,
    /// Answers everything so much later.
    Slow {
        /// Milliseconds between question and answer.
        latency_ms: u64,
    },
    /// Answers at most so many a second; the others wait for their turn.
    Rate {
        /// Answers a second over all connections.
        per_second: u32,
    },
    /// Accepts so many in each second and sends the others away for a while (429, or 450 from the relay).
    Limit {
        /// Acceptances in each second.
        per_second: u32,
        /// What the refusal says about when to come back.
        #[serde(default)]
        retry_after_seconds: Option<u64>,
    },
    /// Refuses everything alike.
    Refuse {
        /// Status (HTTP) or reply code (SMTP).
        status: u16,
        /// Reason (APNs) or reply text with its enhanced code (SMTP).
        reason: String,
        /// What the refusal says about when to come back.
        #[serde(default)]
        retry_after_seconds: Option<u64>,
    },
    /// Takes connections and resets them at the first request.
    Reset,
    /// Tells each connection to go away after so many requests (SMTP: 421).
    Goaway {
        /// Requests that a connection may still carry.
        after: u64,
        /// Leaves at once, with requests unanswered, instead of finishing what is under way.
        #[serde(default)]
        abrupt: bool,
    },
    /// Takes everything and never answers.
    Stall,
    /// Takes everything and answers in bytes that are no answer of any protocol. Nothing of it counts as accepted.
    Noise,
    /// Takes nothing: answers like a box on the way that knows nothing of the provider, with this status and a page for people (SMTP:
    /// with a line that is no reply).
    Babble {
        /// Status of the page.
        status: u16,
    },
    /// Does not listen at all: connections are refused, open ones are cut.
    Closed,
}

/// The whole behaviour: the mode, and what single addresses (tokens, recipients) are answered instead.
#[derive(Clone, Debug)]
pub struct Script<A> {
    /// For everybody else.
    pub mode: Mode,
    /// By address.
    pub answers: HashMap<String, A>,
}

impl<A> Default for Script<A> {
    fn default() -> Self {
        Script { mode: Mode::Ok, answers: HashMap::new() }
    }
}

/// The place where a script is changed and where every connection hears of it.
pub(crate) struct Prompter<A> {
    script: watch::Sender<Arc<Script<A>>>,
    noise: Arc<AtomicBool>,
}

/// The page of a box on the way.
pub(crate) const PAGE: &str = "<html><head><title>Sorry</title></head><body>{\"error\": <h1>The upstream is away</h1></body></html>";

impl<A: Clone + Send + Sync + 'static> Prompter<A> {
    pub(crate) fn new(script: Script<A>) -> Prompter<A> {
        Prompter { script: watch::Sender::new(Arc::new(script)), noise: Arc::default() }
    }

    pub(crate) fn change(&self, edit: impl FnOnce(&mut Script<A>)) {
        self.script.send_modify(|script| {
            edit(Arc::make_mut(script));
            self.noise.store(script.mode == Mode::Noise, Ordering::Relaxed);
        });
    }

    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Script<A>>> {
        self.script.subscribe()
    }

    /// Whether connections talk noise, as it changes.
    pub(crate) fn noise(&self) -> Arc<AtomicBool> {
        self.noise.clone()
    }

    pub(crate) fn now(&self) -> Arc<Script<A>> {
        self.script.borrow().clone()
    }
}

impl Mode {
    /// Whether what is taken gets no answer that anybody could read, and so does not count.
    pub(crate) fn is_mute(&self) -> bool {
        matches!(self, Mode::Stall | Mode::Noise)
    }

    /// The status of a page that is answered in place of everything.
    pub(crate) fn page(&self) -> Option<u16> {
        if let Mode::Babble { status } = self { Some(*status) } else { None }
    }

    /// How long this mode holds an answer back, apart from pacing.
    pub(crate) fn latency(&self) -> Duration {
        match self {
            Mode::Slow { latency_ms } => Duration::from_millis(*latency_ms),
            Mode::Ok
            | Mode::Rate { .. }
            | Mode::Limit { .. }
            | Mode::Refuse { .. }
            | Mode::Reset
            | Mode::Goaway { .. }
            | Mode::Stall
            | Mode::Noise
            | Mode::Babble { .. }
            | Mode::Closed => Duration::ZERO,
        }
    }
}
