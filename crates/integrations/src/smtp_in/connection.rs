//! One connection: reads, waits, writes. What is said is decided in `talk`.

use super::reply::Reply;
use super::talk::{Step, Talk};
use super::wire::{Commands, Excess, Mail};
use super::{Protocol, Settings};
use crate::intake::{HeardLeg, Intake};
use crate::voicemail_mail::whose::{Letter, Mailbox, mailbox_at};
use model::refusal::Refusal;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest silence (RFC 5321 §4.5.3.2.7).
const IDLE: Duration = Duration::from_secs(5 * 60);
/// Longest that a mail takes to come.
const MAIL_TIME: Duration = Duration::from_secs(10 * 60);
/// Longest that looking up a recipient takes.
const LOOK_UP: Duration = Duration::from_secs(30);
/// Longest that taking in a mail takes; clients wait ten minutes (RFC 5321 §4.5.3.2.6).
const TAKE: Duration = Duration::from_secs(4 * 60);
/// Time for a mail that is being sent when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// How much is read at once.
const CHUNK: usize = 16 << 10;
/// The unit in which memory is given out.
const UNIT: usize = 64 << 10;

/// The memory that mails share.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    /// Of so many bytes.
    pub fn new(bytes: usize) -> Room {
        Room(Arc::new(Semaphore::new(bytes.div_ceil(UNIT) + 1)))
    }

    /// Takes room until `held` is enough for so many bytes; whether there was some.
    pub fn reach(&self, held: &mut Vec<OwnedSemaphorePermit>, bytes: usize) -> bool {
        while held.len().saturating_mul(UNIT) < bytes {
            match self.0.clone().try_acquire_owned() {
                Ok(permit) => held.push(permit),
                Err(_) => return false,
            }
        }
        true
    }
}

/// What came of a mail's bytes.
enum Came {
    Whole(Vec<u8>),
    Excess(Excess),
    /// Others need the memory.
    NoRoom,
    /// The client was too slow, or the server stops.
    Late(Reply),
}

/// A connection with a client.
pub(super) struct Connection<S> {
    stream: S,
    settings: Arc<Settings>,
    intake: Arc<dyn Intake>,
    room: Room,
    stop: CancellationToken,
    talk: Talk,
    commands: Commands,
    out: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(stream: S, settings: Arc<Settings>, intake: Arc<dyn Intake>, room: Room, stop: CancellationToken) -> Connection<S> {
        let talk = Talk::new(settings.protocol, &settings.name, settings.max_bytes);
        Connection { stream, settings, intake, room, stop, talk, commands: Commands::default(), out: Vec::new() }
    }

    /// Speaks with the client until either has enough.
    pub async fn serve(mut self) -> io::Result<()> {
        self.talk.greeting().write(&mut self.out);
        let mut chunk = vec![0; CHUNK];
        loop {
            while let Some(line) = self.commands.line() {
                let step = self.talk.line(&line);
                if !self.go_on(step, &mut chunk).await? {
                    return self.farewell().await;
                }
            }
            self.flush().await?;
            let read = tokio::select! {
                () = self.stop.cancelled() => {
                    Reply::new(421, "4.3.2", "this server stops; try again later").write(&mut self.out);
                    return self.farewell().await;
                }
                read = tokio::time::timeout(IDLE, self.stream.read(&mut chunk)) => read,
            };
            match read {
                Ok(read) => match read? {
                    0 => return Ok(()),
                    n => self.commands.push(&chunk[..n]),
                },
                Err(_) => {
                    Reply::new(421, "4.4.2", "nothing was said for five minutes; goodbye").write(&mut self.out);
                    return self.farewell().await;
                }
            }
        }
    }

    /// Does what a line asks for; whether the session goes on.
    async fn go_on(&mut self, step: Step, chunk: &mut [u8]) -> io::Result<bool> {
        let step = match step {
            Step::Find(address) => {
                let found = self.find(&address).await;
                self.talk.recipient(found)
            }
            other => other,
        };
        match step {
            Step::Say(reply) => reply.write(&mut self.out),
            Step::End(reply) => {
                reply.write(&mut self.out);
                return Ok(false);
            }
            Step::Mail => return self.mail(chunk).await,
            Step::Find(_) => {}
        }
        Ok(true)
    }

    async fn find(&self, address: &str) -> Result<Option<Mailbox>, Refusal> {
        let looked = mailbox_at(self.intake.as_ref(), self.settings.dial_plan.as_deref(), address);
        tokio::time::timeout(LOOK_UP, looked).await.unwrap_or_else(|_| Err(Refusal::unavailable("the look took too long")))
    }

    /// Reads a mail and takes it in; whether the session goes on.
    async fn mail(&mut self, chunk: &mut [u8]) -> io::Result<bool> {
        // RFC 2920 §3.1: DATA is the last of its group. What came behind it would be read as another's commands.
        if !self.commands.is_empty() {
            Reply::new(503, "5.5.0", "wait for the reply to DATA before the mail; goodbye").write(&mut self.out);
            return Ok(false);
        }
        Reply::bare(354, "the mail, and a line with a dot").write(&mut self.out);
        self.flush().await?;
        let mut room = Vec::new();
        let came = self.read_mail(chunk, &mut room).await?;
        let said = match came {
            Came::Whole(bytes) => self.take(bytes).await,
            Came::Excess(Excess::Size) => {
                let text = format!("the mail is larger than {} bytes", self.settings.max_bytes);
                self.all(&Reply::new(552, "5.3.4", &text))
            }
            Came::Excess(Excess::Line) => self.all(&Reply::new(554, "5.6.0", "the mail has a line of more than 1000 bytes")),
            Came::NoRoom => self.all(&Reply::new(452, "4.3.1", "other mails take all the room; try again later")),
            Came::Late(reply) => {
                reply.write(&mut self.out);
                return Ok(false);
            }
        };
        said.iter().for_each(|reply| reply.write(&mut self.out));
        self.talk.mail_over();
        Ok(true)
    }

    async fn read_mail(&mut self, chunk: &mut [u8], held: &mut Vec<OwnedSemaphorePermit>) -> io::Result<Came> {
        let mut mail = Mail::new(self.settings.max_bytes);
        let mut full = false;
        let mut deadline = Instant::now() + MAIL_TIME;
        let mut stopping = false;
        loop {
            let until = deadline.min(Instant::now() + IDLE);
            let read = tokio::select! {
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    deadline = deadline.min(Instant::now() + GRACE);
                    continue;
                }
                read = tokio::time::timeout_at(until, self.stream.read(chunk)) => read,
            };
            let n = match read {
                Ok(read) => read?,
                Err(_) if stopping => return Ok(Came::Late(Reply::new(421, "4.3.2", "this server stops; try again later"))),
                Err(_) => return Ok(Came::Late(Reply::new(421, "4.4.2", "the mail did not come in time; goodbye"))),
            };
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = mail.push(&chunk[..n]);
            if !full && !self.room.reach(held, mail.len()) {
                full = true;
                mail.give_up();
                held.clear();
            }
            if let Some(end) = end {
                self.commands.push(&chunk[end..n]);
                return Ok(match mail.whole() {
                    Ok(bytes) => Came::Whole(bytes),
                    Err(_) if full => Came::NoRoom,
                    Err(excess) => Came::Excess(excess),
                });
            }
        }
    }

    /// The same reply as often as the protocol wants one.
    fn all(&self, reply: &Reply) -> Vec<Reply> {
        match self.settings.protocol {
            Protocol::Smtp => vec![reply.clone()],
            Protocol::Lmtp => vec![reply.clone(); self.talk.recipients().len()],
        }
    }

    /// Hands a mail to the intake: for all of its recipients at once, or, where each has an answer of its own, one by one.
    async fn take(&self, bytes: Vec<u8>) -> Vec<Reply> {
        let letter = match Letter::read(&bytes) {
            Ok(letter) => letter,
            Err(refusal) => return self.all(&Reply::refused(&refusal)),
        };
        drop(bytes);
        let received = self.settings.clock.now();
        let leg = |mailbox: &Mailbox| letter.leg(mailbox, received);
        match self.settings.protocol {
            Protocol::Smtp => {
                let once: BTreeSet<&Mailbox> = self.talk.recipients().iter().collect();
                vec![self.hand_in(once.into_iter().map(leg).collect()).await]
            }
            Protocol::Lmtp => {
                let mut replies = Vec::new();
                for mailbox in self.talk.recipients() {
                    replies.push(self.hand_in(leg(mailbox).map(|leg| vec![leg])).await);
                }
                replies
            }
        }
    }

    async fn hand_in(&self, legs: Result<Vec<HeardLeg>, Refusal>) -> Reply {
        let intake = self.intake.clone();
        // What was begun comes to its end, even where the client does not wait for it.
        let work = tokio::spawn(async move { intake.take(legs?).await });
        match tokio::time::timeout(TAKE, work).await {
            Ok(Ok(Ok(()))) => Reply::new(250, "2.0.0", "taken"),
            Ok(Ok(Err(refusal))) => Reply::refused(&refusal),
            Ok(Err(failed)) => {
                tracing::error!(%failed, "taking in a voice-mail mail failed");
                Reply::new(451, "4.3.0", "a fault of the server; its log has more")
            }
            Err(_) => Reply::new(451, "4.3.0", "it took too long; try again later"),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        let written = tokio::time::timeout(IDLE, async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        });
        written.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn farewell(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await
    }
}

/// See [`super::read_by_strangers`].
pub(super) fn read_by_strangers(bytes: &[u8]) {
    const MOST: usize = 4096;
    let mut talk = Talk::new(Protocol::Smtp, "mx.example.org", MOST);
    let (mut commands, mut said) = (Commands::default(), Vec::new());
    commands.push(bytes);
    while let Some(line) = commands.line() {
        let mut step = talk.line(&line);
        if let Step::Find(address) = step {
            step = talk.recipient(Ok(Some(Mailbox { dial_plan: "Lyon".to_owned(), extension: address })));
        }
        match step {
            Step::Say(reply) => reply.write(&mut said),
            Step::End(_) => break,
            Step::Mail => talk.mail_over(),
            Step::Find(_) => panic!("a recipient is asked for once"),
        }
    }
    for line in said.split_inclusive(|byte| *byte == b'\n') {
        assert!(line.ends_with(b"\r\n") && line.len() <= super::wire::COMMAND_BYTES, "a reply is one short line");
        assert!(line[..3].iter().all(u8::is_ascii_digit), "a reply begins with its code");
    }
    let (mut whole, mut cut) = (Mail::new(MOST), Mail::new(MOST));
    let end = whole.push(bytes);
    assert!(whole.len() <= MOST, "no more is kept than was allowed");
    let pieces = bytes.iter().position(|byte| cut.push(std::slice::from_ref(byte)).is_some()).map(|last| last + 1);
    assert_eq!(end, pieces, "where a mail ends does not depend on how it is cut");
    let mail = whole.whole();
    assert_eq!(mail, cut.whole());
    if let Some(end) = end {
        assert!(bytes[..end].ends_with(b".\r\n"), "only a dot alone on its line ends a mail");
    }
    if let Ok(Ok(letter)) = mail.map(|mail| Letter::read(&mail)) {
        let mailbox = Mailbox { dial_plan: "Lyon".to_owned(), extension: "102".to_owned() };
        assert!(letter.leg(&mailbox, model::Timestamp(0)).is_ok(), "what is read of a mail is a leg in order");
    }
}
