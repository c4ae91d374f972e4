//! One connection to a relay: its opening (greeting, EHLO, STARTTLS, AUTH) and the dialogue of one mail after another.

use super::SmtpDeadlines;
use super::outcomes::{self, Stage};
use super::parcel::Parcel;
use super::reply::{Inbox, Reply};
use crate::tls::Tls;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::outcome::{Cause, Outcome};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where and how to open a session.
pub(super) struct Relay {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<Tls>,
    /// TLS begins with the first byte instead of with STARTTLS.
    pub(super) implicit: bool,
    pub(super) login: Option<(String, String)>,
    pub(super) deadlines: SmtpDeadlines,
}

/// What the relay offers (RFC 5321 §4.1.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Offers {
    pipelining: bool,
    starttls: bool,
    utf8: bool,
    size: Option<u64>,
    plain: bool,
    login: bool,
}

/// A session that is ready for a mail.
pub(super) struct Session {
    stream: Box<dyn Stream>,
    inbox: Inbox,
    offers: Offers,
    deadlines: SmtpDeadlines,
    /// The last mail was refused half way; the relay has to forget it first.
    stale: bool,
}

/// A mail to hand over.
pub(super) struct Mail<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    /// The mail itself.
    pub(super) parcel: &'a Parcel,
}

/// How a mail ended.
pub(super) enum Ending {
    /// With a reply; the session may go on.
    Answered(Outcome),
    /// With the session. `untouched`: the relay had not said yes to anything of the mail.
    Broken { cause: Cause, untouched: bool },
}

impl Relay {
    /// Connects, and brings the session to where it takes a mail.
    ///
    /// # Errors
    /// What every waiting mail has to be told.
    pub(super) async fn open(&self) -> Result<Session, Outcome> {
        let later = |code: &'static str| Outcome::TryLater { after: None, cause: Cause::of_channel(code, 0) };
        let dialing = tokio::time::timeout(self.deadlines.connect, crate::dial::dial(&self.host, self.port));
        let tcp = match dialing.await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(cause)) => return Err(Outcome::TryLater { after: None, cause }),
            Err(_) => return Err(later("timed_out")),
        };
        let name = own_name(&tcp);
        let mut session = Session::new(Box::new(tcp), self.deadlines);
        if self.implicit {
            session = self.secured(session).await?;
        }
        session.greeted().await?;
        session.hello(&name).await?;
        if self.tls.is_some() && !self.implicit {
            session = self.upgraded(session).await?;
            session.hello(&name).await?;
        }
        if let Some((user, password)) = &self.login {
            session.authenticate(user, password).await?;
        }
        Ok(session)
    }

    async fn upgraded(&self, mut session: Session) -> Result<Session, Outcome> {
        session.starttls().await?;
        self.secured(session).await
    }

    async fn secured(&self, session: Session) -> Result<Session, Outcome> {
        let failed = |code: &'static str| Outcome::TryLater { after: None, cause: Cause::of_channel(code, 0) };
        self.handshake(session).await.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => failed("timed_out"),
            _ => {
                tracing::debug!(relay = self.host, %error, "TLS failed");
                failed("tls_failed")
            }
        })
    }

    /// TLS, with the error as it came.
    pub(super) async fn handshake(&self, session: Session) -> io::Result<Session> {
        let tls = self.tls.as_ref().expect("a relay that is to be secured has TLS settings");
        let handshake = tls.connector.connect(tls.name.clone(), session.stream);
        let stream = tokio::time::timeout(self.deadlines.connect, handshake).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(Session::new(Box::new(stream), self.deadlines))
    }
}

/// How we call ourselves: by the address that the relay sees (RFC 5321 §4.1.3).
pub(super) fn own_name(tcp: &TcpStream) -> String {
    match tcp.local_addr().map(|a| a.ip()) {
        Ok(std::net::IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        Ok(std::net::IpAddr::V4(ip)) => format!("[{ip}]"),
        Err(_) => "[127.0.0.1]".to_owned(),
    }
}

impl Session {
    /// Asks for TLS; the next bytes are its.
    pub(super) async fn starttls(&mut self) -> Result<(), Outcome> {
        if !self.offers.starttls {
            // Going on in clear would hand the mail to whoever took the offer out of the greeting.
            return Err(Outcome::OurFault(Cause::of_channel("starttls_not_offered", 0)));
        }
        let reply = self.ask(b"STARTTLS\r\n").await?;
        if reply.code != 220 || !self.inbox.is_empty() {
            return Err(outcomes::outcome(Stage::Hello, &reply));
        }
        Ok(())
    }

    /// Whether the relay would take a mail from this sender; it is told to forget it again.
    pub(super) async fn takes_sender(&mut self, from: &str) -> Result<(), Outcome> {
        let reply = self.ask(format!("MAIL FROM:<{from}>\r\n").as_bytes()).await?;
        if !reply.positive() {
            return Err(outcomes::outcome(Stage::Mail, &reply));
        }
        self.ask(b"RSET\r\n").await.map(|_| ())
    }

    /// Reads the greeting.
    pub(super) async fn greeted(&mut self) -> Result<(), Outcome> {
        let greeting = self.read(self.deadlines.command).await;
        let greeting = greeting.map_err(|e| Outcome::TryLater { after: None, cause: Cause::of_channel(word(&e), 0) })?;
        if greeting.positive() { Ok(()) } else { Err(outcomes::outcome(Stage::Hello, &greeting)) }
    }

    pub(super) fn over(tcp: TcpStream, deadlines: SmtpDeadlines) -> Session {
        Session::new(Box::new(tcp), deadlines)
    }

    fn new(stream: Box<dyn Stream>, deadlines: SmtpDeadlines) -> Session {
        Session { stream, inbox: Inbox::default(), offers: Offers::default(), deadlines, stale: false }
    }

    async fn read(&mut self, within: Duration) -> io::Result<Reply> {
        let reading = self.inbox.reply(&mut self.stream);
        tokio::time::timeout(within, reading).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn write(&mut self, bytes: &[u8], within: Duration) -> io::Result<()> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(within, writing).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// All that follows DATA, with the dot that ends it, in one write where it is small.
    async fn write_out(&mut self, parcel: &Parcel) -> io::Result<()> {
        let writing = async {
            let (mut stretches, mut out) = (parcel.wire(), Vec::new());
            while !stretches.is_over() {
                stretches.next(&mut out);
                if stretches.is_over() {
                    out.extend_from_slice(b".\r\n");
                }
                self.stream.write_all(&out).await?;
            }
            self.stream.flush().await
        };
        tokio::time::timeout(self.deadlines.data, writing).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn asked(&mut self, command: &[u8]) -> io::Result<Reply> {
        self.write(command, self.deadlines.command).await?;
        self.read(self.deadlines.command).await
    }

    /// A command of the opening, where a broken connection concerns everybody.
    async fn ask(&mut self, command: &[u8]) -> Result<Reply, Outcome> {
        let reply = self.asked(command).await;
        reply.map_err(|e| Outcome::TryLater { after: None, cause: Cause::of_channel(word(&e), 0) })
    }

    pub(super) async fn hello(&mut self, name: &str) -> Result<(), Outcome> {
        let reply = self.ask(format!("EHLO {name}\r\n").as_bytes()).await?;
        if reply.positive() {
            self.offers = Offers::read(&reply.text);
            return Ok(());
        }
        if reply.code == 421 || reply.code / 100 == 4 {
            return Err(outcomes::outcome(Stage::Hello, &reply));
        }
        let reply = self.ask(format!("HELO {name}\r\n").as_bytes()).await?;
        self.offers = Offers::default();
        if reply.positive() { Ok(()) } else { Err(outcomes::outcome(Stage::Hello, &reply)) }
    }

    /// AUTH PLAIN (RFC 4616), or LOGIN where that is all there is.
    pub(super) async fn authenticate(&mut self, user: &str, password: &str) -> Result<(), Outcome> {
        let reply = if self.offers.plain {
            let secret = STANDARD.encode(format!("\0{user}\0{password}"));
            self.ask(format!("AUTH PLAIN {secret}\r\n").as_bytes()).await?
        } else if self.offers.login {
            let mut reply = self.ask(b"AUTH LOGIN\r\n").await?;
            for secret in [user, password] {
                if reply.code != 334 {
                    break;
                }
                reply = self.ask(format!("{}\r\n", STANDARD.encode(secret)).as_bytes()).await?;
            }
            reply
        } else {
            return Err(Outcome::OurFault(Cause::of_channel("auth_not_offered", 0)));
        };
        if reply.positive() { Ok(()) } else { Err(outcomes::outcome(Stage::Auth, &reply)) }
    }

    /// Whether the relay has neither closed the idle connection nor said anything on it.
    pub(super) async fn is_quiet(&mut self) -> bool {
        let mut byte = [0; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        let heard = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.stream).poll_read(cx, &mut buffer).is_ready())).await;
        !heard && self.inbox.is_empty()
    }

    /// Says goodbye without waiting for the answer.
    pub(super) async fn quit(mut self) {
        let _ = self.write(b"QUIT\r\n", Duration::from_secs(1)).await;
    }

    /// Hands one mail over. Whether the session can take another is told beside.
    pub(super) async fn send(&mut self, mail: &Mail<'_>) -> Ending {
        if let Some(ending) = self.unfit(mail) {
            return ending;
        }
        match self.envelope(mail).await {
            Ok(()) => {}
            Err(ending) => return ending,
        }
        let broken = |e: &io::Error| Ending::Broken { cause: Cause::of(word(e), 0), untouched: false };
        if let Err(e) = self.write_out(mail.parcel).await {
            return broken(&e);
        }
        match self.read(self.deadlines.data).await {
            Ok(reply) if reply.positive() => Ending::Answered(Outcome::Accepted),
            Ok(reply) if reply.code == 421 => closing(&reply, false),
            Ok(reply) => Ending::Answered(outcomes::outcome(Stage::Data, &reply)),
            Err(e) => broken(&e),
        }
    }

    /// What can be refused without asking the relay.
    fn unfit(&self, mail: &Mail<'_>) -> Option<Ending> {
        let refuse = |code, status| Some(Ending::Answered(Outcome::Rejected(Cause::of(code, status))));
        if !mail.to.is_ascii() && !self.offers.utf8 {
            return refuse("5.6.7", 553);
        }
        match self.offers.size {
            Some(most) if most > 0 && mail.parcel.size() > most => refuse("5.3.4", 552),
            Some(_) | None => None,
        }
    }

    /// MAIL, RCPT and DATA, in one write where the relay allows it. Leaves the relay waiting for the mail.
    async fn envelope(&mut self, mail: &Mail<'_>) -> Result<(), Ending> {
        let mut first = format!("MAIL FROM:<{}>", mail.from);
        if self.offers.size.is_some() {
            first.push_str(&format!(" SIZE={}", mail.parcel.size()));
        }
        if !mail.to.is_ascii() {
            first.push_str(" SMTPUTF8 BODY=8BITMIME");
        }
        let commands = [
            (Stage::Mail, self.stale.then(|| "RSET\r\n".to_owned())),
            (Stage::Mail, Some(format!("{first}\r\n"))),
            (Stage::Rcpt, Some(format!("RCPT TO:<{}>\r\n", mail.to))),
            (Stage::Data, Some("DATA\r\n".to_owned())),
        ];
        let commands: Vec<_> = commands.into_iter().filter_map(|(stage, command)| command.map(|c| (stage, c))).collect();
        let mut untouched = true;
        let mut refusal = None;
        self.stale = true;
        if self.offers.pipelining {
            let all: String = commands.iter().map(|(_, command)| command.as_str()).collect();
            self.write(all.as_bytes(), self.deadlines.command).await.map_err(|e| broken(&e, untouched))?;
        }
        for (stage, command) in &commands {
            if !self.offers.pipelining {
                self.write(command.as_bytes(), self.deadlines.command).await.map_err(|e| broken(&e, untouched))?;
            }
            let reply = self.read(self.deadlines.command).await.map_err(|e| broken(&e, untouched))?;
            let wanted = if *stage == Stage::Data { reply.code == 354 } else { reply.positive() };
            if reply.code == 421 {
                return Err(closing(&reply, untouched));
            }
            if wanted && command != "RSET\r\n" {
                untouched = false;
            }
            if *stage == Stage::Data && wanted && refusal.is_some() {
                // It waits for a mail that has no recipient: an empty one, which it has to refuse (RFC 2920 §3.1).
                self.asked(b".\r\n").await.map_err(|e| broken(&e, untouched))?;
            } else if !wanted && refusal.is_none() {
                refusal = Some(outcomes::outcome(*stage, &reply));
                if !self.offers.pipelining {
                    break;
                }
            }
        }
        if let Some(outcome) = refusal {
            return Err(Ending::Answered(outcome));
        }
        self.stale = false;
        Ok(())
    }
}

fn broken(error: &io::Error, untouched: bool) -> Ending {
    Ending::Broken { cause: Cause::of(word(error), 0), untouched }
}

/// The relay closes the connection (421); the mail is told so unless another connection takes it.
fn closing(reply: &Reply, untouched: bool) -> Ending {
    let cause = match outcomes::outcome(Stage::Mail, reply) {
        Outcome::TryLater { cause, .. } => cause,
        Outcome::Accepted | Outcome::Rejected(_) | Outcome::AddressGone(_) | Outcome::OurFault(_) => Cause::of_channel("421", reply.code),
    };
    Ending::Broken { cause, untouched }
}

/// Our word for a connection that failed.
fn word(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::TimedOut => "timed_out",
        io::ErrorKind::InvalidData => "not_smtp",
        _ => "connection_lost",
    }
}

/// Reads what a relay offers, and forgets it.
pub(super) fn offers(text: &str) {
    Offers::read(text);
}

impl Offers {
    fn read(text: &str) -> Offers {
        let mut offers = Offers::default();
        for line in text.lines().skip(1) {
            let line = line.trim().to_ascii_uppercase();
            let mut words = line.split([' ', '=']);
            match words.next().unwrap_or("") {
                "PIPELINING" => offers.pipelining = true,
                "STARTTLS" => offers.starttls = true,
                "SMTPUTF8" => offers.utf8 = true,
                "SIZE" => offers.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
                "AUTH" => {
                    for mechanism in words {
                        offers.plain |= mechanism == "PLAIN";
                        offers.login |= mechanism == "LOGIN";
                    }
                }
                _ => {}
            }
        }
        offers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read_in_any_case_and_in_the_old_form() {
        let offers = Offers::read("relay says hello\npipelining\nSize 1000\nAUTH=LOGIN plain\nSTARTTLS\nX-OTHER");
        let expected = Offers { pipelining: true, starttls: true, utf8: false, size: Some(1000), plain: true, login: true };
        assert_eq!(offers, expected);
        assert_eq!(Offers::read("PIPELINING"), Offers::default(), "the first line is a greeting");
    }
}
