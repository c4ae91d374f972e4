//! Listens to one Asterisk for as long as the process lives: connects, signs in, hears what becomes of calls, and comes back
//! when the connection is lost.
//!
//! What was heard goes to [`super::handing`], which brings it to the intake in its own time, so that a slow store never keeps
//! the connection waiting. A connection that was away is said there, too.

use super::calls::Calls;
use super::connection::{Connection, PATIENCE, Trouble};
use super::dial::Dialer;
use super::handing::{self, Word};
use super::rests::{LONGEST, Rests};
use super::settings::Settings;
use crate::intake::Intake;
use model::time::{Clock, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Wait after a refused login: only a person mends it, and Asterisk's hosts lock out those who try too often.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// What was heard and not yet put in order; that takes no time, so that there is never much of it.
const WORDS: usize = 1024;
/// Longest takes to connect and to sign in, each answer included.
const OPENING: Duration = Duration::from_secs(5 * PATIENCE.as_secs());
/// How often it is said that everything is heard: so much may seem missed after a crash that was not.
const HEARD_EVERY: Duration = Duration::from_secs(30);

/// The machine's clock.
struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Listens to an Asterisk until it is told to stop. What was heard by then and not handed on gets one more try.
pub async fn run(settings: Settings, intake: Arc<dyn Intake>, stop: CancellationToken) {
    let dialer = settings.clone();
    keep(settings, intake, Arc::new(MachineClock), &dialer, stop).await;
}

pub(super) async fn keep(settings: Settings, intake: Arc<dyn Intake>, clock: Arc<dyn Clock>, dialer: &dyn Dialer, stop: CancellationToken) {
    // What an earlier process heard last: since then nobody did.
    let before = intake.heard_until(&settings.name).await.unwrap_or_else(|refusal| {
        tracing::warn!(integration = settings.name, %refusal, "it is not known until when Asterisk was heard last");
        None
    });
    let (words, heard) = mpsc::channel(WORDS);
    let handing = handing::run(settings.clone(), intake, clock.clone(), heard);
    let now = clock.now();
    let calls = Calls::new(&settings.name, &settings.dial_plan);
    let mut client =
        Client { settings, clock, calls, words, last: now, away: before.filter(|before| *before < now), hears: false, complained: None };
    let listening = async move {
        stop.run_until_cancelled(client.listen(dialer)).await;
        if client.hears {
            client.say(Word::Heard(client.clock.now())).await;
        }
        client.back().await;
    };
    // The client goes at its end, and with it the words: the handing comes to its own end then.
    tokio::join!(listening, handing);
}

struct Client {
    settings: Settings,
    clock: Arc<dyn Clock>,
    calls: Calls,
    words: mpsc::Sender<Word>,
    /// When something was last heard.
    last: Timestamp,
    /// Since when the connection is away.
    away: Option<Timestamp>,
    /// Whether it stands.
    hears: bool,
    /// What was last said about it in the log.
    complained: Option<String>,
}

impl Client {
    async fn listen(&mut self, dialer: &dyn Dialer) {
        let mut rests = Rests::default();
        loop {
            let trouble = match self.open(dialer).await {
                Ok(connection) => {
                    rests.over();
                    self.back().await;
                    let trouble = self.hear_out(connection).await;
                    self.calls.lost();
                    trouble
                }
                Err(trouble) => trouble,
            };
            self.away.get_or_insert(self.last);
            self.connected(false);
            self.complain(&trouble);
            let wait = match trouble {
                Trouble::Refused(_) => REFUSED_WAIT,
                Trouble::Broken(_) => rests.next(engine::keys::chance(501)).min(LONGEST),
            };
            sleep(wait).await;
        }
    }

    async fn open(&self, dialer: &dyn Dialer) -> Result<Connection, Trouble> {
        let file = &self.settings.secret_file;
        let text = tokio::fs::read_to_string(file).await;
        let text = text.map_err(|e| Trouble::Refused(format!("the secret cannot be read from {} ({e})", file.display())))?;
        let secret = text.lines().next().unwrap_or_default();
        let opening = async {
            let wire = timeout(PATIENCE, dialer.dial()).await;
            let wire =
                wire.map_err(|_| Trouble::Broken(format!("no connection within {} s", PATIENCE.as_secs())))?.map_err(Trouble::Broken)?;
            Connection::sign_in(wire, &self.settings.username, secret).await
        };
        timeout(OPENING, opening).await.unwrap_or_else(|_| Err(Trouble::Broken("signing in takes too long".to_owned())))
    }

    /// Hears what there is to hear until the connection is lost.
    async fn hear_out(&mut self, mut connection: Connection) -> Trouble {
        self.connected(true);
        self.last = self.clock.now();
        let mut said = self.last;
        self.say(Word::Heard(said)).await;
        loop {
            let block = match connection.next().await {
                Ok(block) => block,
                Err(trouble) => return trouble,
            };
            let now = self.clock.now();
            self.last = now;
            let ended = self.calls.hear(&block, now).and_then(|call_id| self.calls.ended(&call_id));
            if let Some(ended) = ended {
                self.say(Word::Ended(Box::new(ended))).await;
            }
            // Answers to pings come often enough, and calls are counted in thousands at most.
            if block.event().is_none() {
                if now.since(said) >= HEARD_EVERY {
                    said = now;
                    self.say(Word::Heard(now)).await;
                }
                let given_up = self.calls.forget(now).len();
                if given_up > 0 {
                    tracing::info!(integration = self.settings.name, calls = given_up, "calls whose end was never heard are given up");
                }
            }
        }
    }

    /// The connection stands again, or will not be missed any more: what was missed is said.
    async fn back(&mut self) {
        let Some(from) = self.away.take() else { return };
        let until = self.clock.now();
        self.complained = None;
        tracing::info!(integration = self.settings.name, seconds = until.since(from).as_secs(), "the time without Asterisk is over");
        self.say(Word::Missed { from, until }).await;
    }

    async fn say(&self, word: Word) {
        // It listens for as long as there is somebody to speak.
        let _ = self.words.send(word).await;
    }

    /// Says once what is wrong, and again when it is something else.
    fn complain(&mut self, trouble: &Trouble) {
        let why = trouble.to_string();
        let integration = self.settings.name.as_str();
        if self.complained.as_ref() == Some(&why) {
            tracing::debug!(integration, why, "Asterisk is still not heard");
            return;
        }
        match trouble {
            Trouble::Refused(_) => {
                let mend = "compare username and secret_file with the account in Asterisk's manager.conf, and look at its permit and deny";
                tracing::warn!(
                    integration,
                    why,
                    "Asterisk lets nobody in and no calls are heard; {mend}; next try in {} s",
                    REFUSED_WAIT.as_secs()
                );
            }
            Trouble::Broken(_) => {
                let mend = "look whether manager.conf has enabled = yes, and at host, port and tls of [[integrations.asterisk]]";
                tracing::warn!(integration, why, "Asterisk is not heard; it is tried again by itself; where that does not help, {mend}");
            }
        }
        self.complained = Some(why);
    }

    fn connected(&mut self, now: bool) {
        self.hears = now;
        metrics::gauge!("carillon_asterisk_connected", "integration" => self.settings.name.clone()).set(if now { 1.0 } else { 0.0 });
    }
}
