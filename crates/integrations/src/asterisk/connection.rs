//! One connection to a manager interface, from its first line to its end: signs in, and notices when nobody is there any more.

use super::dial::Wire;
use super::login;
use super::wire::{Block, Frame, Reader, action};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

/// Longest wait for an answer: to the connection, to the challenge, to the login, to a ping.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How often the other side is asked whether it is still there.
pub(super) const PING_EVERY: Duration = Duration::from_secs(15);
/// What is read at once.
const PIECE_BYTES: usize = 16 * 1024;
/// Most characters of Asterisk's own words that are shown.
const SHOWN_CHARS: usize = 120;

/// Why a connection is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// We are not let in: a person has to mend something.
    Refused(String),
    /// It broke, or never came about.
    Broken(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Refused(why) | Trouble::Broken(why) => f.write_str(why),
        }
    }
}

/// A connection that is signed in.
pub(super) struct Connection {
    wire: Box<dyn Wire>,
    reader: Reader,
    frames: VecDeque<Frame>,
    piece: Vec<u8>,
    pings: u64,
    /// When the next ping is due.
    ping_at: Instant,
    /// The ping that is not answered yet, and until when it has to be.
    asked: Option<(String, Instant)>,
}

impl Connection {
    /// Signs in, and asks for few events.
    pub(super) async fn sign_in(wire: Box<dyn Wire>, username: &str, secret: &str) -> Result<Connection, Trouble> {
        let piece = vec![0; PIECE_BYTES];
        let (reader, frames) = (Reader::default(), VecDeque::new());
        let mut own = Connection { wire, reader, frames, piece, pings: 0, ping_at: Instant::now() + PING_EVERY, asked: None };
        // The banner comes unasked; whoever else listens there hears nothing from us.
        patiently(own.read()).await?;
        own.say(&login::challenge()).await?;
        let answer = own.answer_to(login::CHALLENGE).await?;
        let Some(challenge) = login::challenge_in(&answer) else {
            return Err(Trouble::Refused(format!("it gives no challenge to sign in with (it says {:?})", words(&answer))));
        };
        own.say(&login::login(username, secret, challenge)).await?;
        let answer = own.answer_to(login::LOGIN).await?;
        if !answer.succeeded() {
            return Err(Trouble::Refused(format!("it refuses the login of {username:?} (it says {:?})", words(&answer))));
        }
        // Where these cannot be written any more, reading says so, after what has come until then.
        let _ = own.say(&login::filters().concat()).await;
        own.ping_at = Instant::now() + PING_EVERY;
        Ok(own)
    }

    /// The next event or answer. Nothing is lost when the wait for it is given up.
    pub(super) async fn next(&mut self) -> Result<Block, Trouble> {
        loop {
            let wait_until = self.asked.as_ref().map_or(self.ping_at, |(_, until)| *until);
            tokio::select! {
                biased;
                read = self.read() => {
                    let Frame::Block(block) = read? else { continue };
                    if self.asked.as_ref().is_some_and(|(id, _)| block.answers(id)) {
                        self.asked = None;
                    }
                    return Ok(block);
                }
                () = sleep_until(wait_until) => self.ping().await?,
            }
        }
    }

    /// Asks whether the other side is there, or finds that it is not.
    async fn ping(&mut self) -> Result<(), Trouble> {
        if self.asked.is_some() {
            return Err(Trouble::Broken(format!("nothing answers any more (a ping was not answered for {} s)", PATIENCE.as_secs())));
        }
        self.pings += 1;
        let id = format!("carillon-ping-{}", self.pings);
        self.say(&action("Ping", &id, &[])).await?;
        let now = Instant::now();
        self.asked = Some((id, now + PATIENCE));
        self.ping_at = now + PING_EVERY;
        Ok(())
    }

    async fn say(&mut self, text: &str) -> Result<(), Trouble> {
        let written = async {
            self.wire.write_all(text.as_bytes()).await?;
            self.wire.flush().await
        };
        match timeout(PATIENCE, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(Trouble::Broken(format!("the connection broke ({e})"))),
            Err(_) => Err(Trouble::Broken("the other side takes nothing any more".to_owned())),
        }
    }

    /// The answer to an action; what comes before it came without being asked for.
    async fn answer_to(&mut self, id: &str) -> Result<Block, Trouble> {
        let answer = async {
            loop {
                match self.read().await? {
                    Frame::Block(block) if block.answers(id) => return Ok(block),
                    Frame::Block(_) | Frame::Banner(_) => {}
                }
            }
        };
        patiently(answer).await
    }

    async fn read(&mut self) -> Result<Frame, Trouble> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            let count = self.wire.read(&mut self.piece).await.map_err(|e| Trouble::Broken(format!("the connection broke ({e})")))?;
            if count == 0 {
                return Err(Trouble::Broken("the other side closed the connection".to_owned()));
            }
            self.frames.extend(self.reader.feed(&self.piece[..count]).map_err(|fault| Trouble::Broken(fault.to_string()))?);
        }
    }
}

async fn patiently<T>(answer: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let silent = || Trouble::Broken(format!("nothing answers (for {} s)", PATIENCE.as_secs()));
    timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(silent()))
}

/// What Asterisk says to a refusal, short and on one line.
fn words(answer: &Block) -> String {
    answer.get("Message").unwrap_or("nothing").chars().filter(|letter| !letter.is_control()).take(SHOWN_CHARS).collect()
}
