//! One SMTP session of the fake (RFC 5321): reads commands, answers them in order, writes only when it has to wait.

use super::{Received, State, Tls};
use crate::noise::Noisy;
use crate::script::Mode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest command line; longer ones end the session.
const MOST_LINE_BYTES: usize = 64 << 10;
/// How long a client may say nothing.
const IDLE: Duration = Duration::from_secs(300);

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

struct Session {
    state: Arc<State>,
    stream: Pin<Box<dyn Stream>>,
    input: Vec<u8>,
    /// Where unread input begins.
    at: usize,
    output: Vec<u8>,
    tls: bool,
    trusted: bool,
    from: Option<String>,
    to: Vec<String>,
    taken: u64,
}

/// What a command leads to.
enum Next {
    On,
    Quit,
    Upgrade,
}

/// Serves one connection until it closes.
pub(super) async fn connection(state: Arc<State>, stream: TcpStream) {
    state.counters.connections.fetch_add(1, Ordering::Relaxed);
    if state.script.now().mode == Mode::Reset {
        let _ = stream.set_zero_linger();
        return;
    }
    let implicit = state.options.tls == Tls::Implicit;
    let stream: Pin<Box<dyn Stream>> = match (&state.acceptor, implicit) {
        (Some(acceptor), true) => match acceptor.accept(stream).await {
            Ok(stream) => Box::pin(Noisy::new(stream, state.script.noise())),
            Err(_) => return,
        },
        (_, _) => Box::pin(Noisy::new(stream, state.script.noise())),
    };
    let trusted = state.options.login.is_none();
    let mut session = Session {
        state,
        stream,
        input: Vec::new(),
        at: 0,
        output: b"220 localhost ESMTP fake relay (delivers nothing)\r\n".to_vec(),
        tls: implicit,
        trusted,
        from: None,
        to: Vec::new(),
        taken: 0,
    };
    let _ = session.run().await;
}

impl Session {
    async fn run(&mut self) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            let line = String::from_utf8_lossy(&line).into_owned();
            match self.command(&line).await? {
                Next::On => {}
                Next::Quit => return self.flush().await,
                Next::Upgrade => self.upgrade().await?,
            }
        }
    }

    /// The next line without its line end. Replies are written only here, when nothing more has come in (RFC 2920 §3.2).
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.input[self.at..].iter().position(|b| *b == b'\n') {
                let line = self.input[self.at..self.at + end].to_vec();
                self.at += end + 1;
                return Ok(line.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(line));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.input.drain(..self.at);
        self.at = 0;
        let read = tokio::time::timeout(IDLE, self.stream.read_buf(&mut self.input)).await;
        let most = usize::try_from(self.state.options.size).unwrap_or(usize::MAX).saturating_mul(2).max(MOST_LINE_BYTES);
        match read {
            Ok(Ok(n)) if n > 0 && self.input.len() <= most => Ok(()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await?;
            self.output.clear();
        }
        Ok(())
    }

    fn reply(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    async fn command(&mut self, line: &str) -> io::Result<Next> {
        let script = self.state.script.now();
        if script.mode == Mode::Stall {
            self.flush().await?;
            return std::future::pending().await;
        }
        if let Mode::Babble { status } = script.mode {
            self.reply(&format!("HTTP/1.1 {status} Sorry\r\n\r\n{}", crate::script::PAGE));
            return Ok(Next::Quit);
        }
        if matches!(script.mode, Mode::Goaway { after, .. } if self.taken >= after) {
            self.reply("421 4.3.2 the fake relay closes this connection");
            return Ok(Next::Quit);
        }
        let verb = line.split([' ', ':']).next().unwrap_or("").to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => self.hello(),
            "HELO" => self.reply("250 localhost"),
            "STARTTLS" if self.state.options.tls == Tls::Starttls && !self.tls => {
                self.reply("220 2.0.0 go ahead");
                return Ok(Next::Upgrade);
            }
            "AUTH" => self.auth(line).await?,
            "MAIL" | "RCPT" | "DATA" if self.state.options.tls == Tls::Starttls && !self.tls => self.reply("530 5.7.0 STARTTLS first"),
            "MAIL" | "RCPT" | "DATA" if !self.trusted => self.reply("530 5.7.0 authentication required"),
            "MAIL" => self.mail(line),
            "RCPT" => self.rcpt(line),
            "DATA" => return self.data().await,
            "RSET" => {
                self.reset();
                self.reply("250 2.0.0 reset");
            }
            "NOOP" => self.reply("250 2.0.0 nothing done"),
            "QUIT" => {
                self.reply("221 2.0.0 bye");
                return Ok(Next::Quit);
            }
            _ => self.reply("500 5.5.2 not a command of this fake"),
        }
        Ok(Next::On)
    }

    fn hello(&mut self) {
        let options = &self.state.options;
        let mut offers = vec!["localhost fakes a relay".to_owned(), format!("SIZE {}", options.size), "8BITMIME".into()];
        offers.push("ENHANCEDSTATUSCODES".into());
        if options.pipelining {
            offers.push("PIPELINING".into());
        }
        if options.tls == Tls::Starttls && !self.tls {
            offers.push("STARTTLS".into());
        }
        if options.login.is_some() && (self.tls || options.tls == Tls::None) {
            offers.push(if options.login_only { "AUTH LOGIN".into() } else { "AUTH PLAIN LOGIN".into() });
        }
        let last = offers.len() - 1;
        for (i, offer) in offers.into_iter().enumerate() {
            self.reply(&format!("250{}{offer}", if i == last { ' ' } else { '-' }));
        }
        self.reset();
    }

    async fn upgrade(&mut self) -> io::Result<()> {
        self.flush().await?;
        // What was sent in clear after STARTTLS is thrown away (RFC 3207 §4.2).
        self.input.clear();
        self.at = 0;
        let clear = std::mem::replace(&mut self.stream, Box::pin(tokio::io::empty()));
        let acceptor = self.state.acceptor.clone().ok_or(io::ErrorKind::InvalidInput)?;
        self.stream = Box::pin(Noisy::new(acceptor.accept(clear).await?, self.state.script.noise()));
        self.tls = true;
        Ok(())
    }

    async fn auth(&mut self, line: &str) -> io::Result<()> {
        let set = self.state.login.lock().clone();
        let Some((user, password)) = set.or_else(|| self.state.options.login.clone()) else {
            self.reply("503 5.5.1 no authentication here");
            return Ok(());
        };
        let mut words = line.split(' ').skip(1);
        let method = words.next().unwrap_or("").to_ascii_uppercase();
        let said = match method.as_str() {
            "PLAIN" => {
                let first = match words.next() {
                    Some(word) => word.to_owned(),
                    None => self.ask("").await?,
                };
                let decoded = decode(&first);
                let mut parts = decoded.splitn(3, '\0').skip(1);
                (parts.next().unwrap_or("").to_owned(), parts.next().unwrap_or("").to_owned())
            }
            "LOGIN" => {
                let name = self.ask("VXNlcm5hbWU6").await?;
                (decode(&name), decode(&self.ask("UGFzc3dvcmQ6").await?))
            }
            _ => {
                self.reply("504 5.5.4 unknown mechanism");
                return Ok(());
            }
        };
        self.trusted = said == (user, password);
        if self.trusted {
            self.state.counters.logins.fetch_add(1, Ordering::Relaxed);
        }
        self.reply(if self.trusted { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user name or password" });
        Ok(())
    }

    async fn ask(&mut self, question: &str) -> io::Result<String> {
        self.reply(&format!("334 {question}"));
        Ok(String::from_utf8_lossy(&self.line().await?).into_owned())
    }

    fn mail(&mut self, line: &str) {
        match path(line) {
            Some(from) if self.from.is_none() => {
                self.from = Some(from);
                self.reply("250 2.1.0 sender ok");
            }
            Some(_) => self.reply("503 5.5.1 one mail at a time"),
            None => self.reply("501 5.5.4 MAIL FROM:<address>"),
        }
    }

    fn rcpt(&mut self, line: &str) {
        let Some(to) = path(line).filter(|to| !to.is_empty()) else { return self.reply("501 5.1.3 RCPT TO:<address>") };
        let reply = match (self.from.is_some(), self.ruling(&to)) {
            (false, _) => "503 5.5.1 MAIL first".to_owned(),
            (true, Some(reply)) => reply,
            (true, None) => {
                self.to.push(to);
                return self.reply("250 2.1.5 recipient ok");
            }
        };
        self.state.counters.refused.fetch_add(1, Ordering::Relaxed);
        self.reply(&reply);
    }

    /// The refusal that the script has for a recipient.
    fn ruling(&self, to: &str) -> Option<String> {
        let script = self.state.script.now();
        if let Some(reply) = script.answers.get(to) {
            return Some(reply.clone());
        }
        match &script.mode {
            Mode::Refuse { status, reason, .. } => Some(format!("{status} {reason}")),
            Mode::Limit { per_second, .. } if !self.state.pace.fits(*per_second, Instant::now()) => {
                Some("450 4.7.1 too many mails, come back later".to_owned())
            }
            Mode::Limit { .. } | Mode::Ok | Mode::Slow { .. } | Mode::Rate { .. } => None,
            Mode::Reset | Mode::Goaway { .. } | Mode::Stall | Mode::Noise | Mode::Babble { .. } | Mode::Closed => None,
        }
    }

    async fn data(&mut self) -> io::Result<Next> {
        if self.to.is_empty() {
            self.reply(if self.from.is_some() { "554 5.5.1 no valid recipients" } else { "503 5.5.1 MAIL first" });
            return Ok(Next::On);
        }
        self.reply("354 end with a dot on a line of its own");
        let content = self.content().await?;
        let script = self.state.script.now();
        if script.mode == Mode::Reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let due = match script.mode {
            Mode::Rate { per_second } => self.state.pace.turn(per_second, Instant::now()),
            Mode::Slow { .. } => Instant::now() + script.mode.latency(),
            Mode::Ok | Mode::Limit { .. } | Mode::Refuse { .. } | Mode::Goaway { .. } | Mode::Noise | Mode::Babble { .. } => Instant::now(),
            Mode::Reset | Mode::Stall | Mode::Closed => Instant::now(),
        };
        if content.len() as u64 > self.state.options.size {
            self.reply("552 5.3.4 too big");
        } else if script.mode == Mode::Noise {
            self.reply("250 2.0.0 taken, says the noise");
        } else {
            self.take(content);
            self.reply("250 2.0.0 taken, and thrown away");
        }
        self.reset();
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        Ok(Next::On)
    }

    async fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::with_capacity(4096);
        loop {
            let line = self.line().await?;
            if line == b"." {
                return Ok(content);
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            content.extend_from_slice(b"\r\n");
        }
    }

    fn take(&mut self, content: Vec<u8>) {
        self.taken += 1;
        self.state.counters.accepted.fetch_add(1, Ordering::Relaxed);
        {
            let mut tally = self.state.tally.lock();
            self.to.iter().for_each(|to| tally.count(to));
        }
        self.state.recent.keep(|| Received {
            at_micros: crate::unix_micros(),
            from: self.from.clone().unwrap_or_default(),
            to: self.to.clone(),
            content: String::from_utf8_lossy(&content).into_owned(),
            tls: self.tls,
        });
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }
}

/// The address between the brackets of MAIL or RCPT.
fn path(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('<')?;
    rest.split_once('>').map(|(address, _)| address.to_owned())
}

fn decode(text: &str) -> String {
    String::from_utf8_lossy(&STANDARD.decode(text).unwrap_or_default()).into_owned()
}
