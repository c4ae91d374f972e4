//! Mail: submission to one relay (RFC 6409) by a client of our own.
//!
//! In: words, and letters to mailboxes. Out: outcomes. A few sessions are kept; the envelope goes out in one write where
//! the relay allows it, and Nagle's delay is off, so that a mail costs two round trips. Files go with a mail without being
//! copied (`parcel`); with a key, each mail is signed (`dkim`). Says nothing of bounces: those arrive elsewhere.

mod attach;
mod dkim;
mod encode;
mod mime;
mod outcomes;
mod parcel;
mod pool;
mod probe;
mod reply;
mod session;

pub use dkim::{DkimKey, DkimRecord, DkimSettings};

use crate::setup::{ChannelSetupError, is_loopback};
use crate::tls::{self, Names};
use dkim::Signer;
use mime::Sender;
use model::channel::{Address, Boxed, Channel, ChannelKind, Lane, Letter, Probe, Rendered, Slot};
use model::outcome::{Cause, Outcome};
use model::source::Words;
use model::time::{Clock, Timestamp};
use parcel::Parcel;
use pool::{Berth, Pool};
use session::{Mail, Relay};
use std::sync::Arc;
use std::time::Duration;

/// When TLS begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailTls {
    /// Never: for a relay on this machine.
    None,
    /// With STARTTLS (RFC 3207); a relay that does not offer it gets no mail.
    #[default]
    Starttls,
    /// With the first byte (RFC 8314).
    Implicit,
}

impl EmailTls {
    /// The value of a word of the configuration.
    pub fn from_word(word: &str) -> Option<EmailTls> {
        match word {
            "none" => Some(EmailTls::None),
            "starttls" => Some(EmailTls::Starttls),
            "implicit" => Some(EmailTls::Implicit),
            _ => None,
        }
    }
}

/// How long the relay may take. Shorter than RFC 5321 §4.5.3.2 allows, because a submission relay is near and a mail is
/// tried again; the last one is long, because a mail whose end was not answered may arrive twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmtpDeadlines {
    /// For the name and TCP, and again for TLS.
    pub connect: Duration,
    /// For the greeting and for each command.
    pub command: Duration,
    /// For taking the mail, and again for saying so.
    pub data: Duration,
}

impl Default for SmtpDeadlines {
    fn default() -> Self {
        SmtpDeadlines { connect: Duration::from_secs(10), command: Duration::from_secs(30), data: Duration::from_secs(120) }
    }
}

/// Settings of the channel. There is no `Debug`: it holds a password.
#[derive(Clone)]
pub struct EmailSettings {
    /// Name or address of the relay.
    pub host: String,
    /// Its port: usually 587 for STARTTLS, 465 for implicit TLS, 25 for none.
    pub port: u16,
    /// When TLS begins.
    pub tls: EmailTls,
    /// User name, when the relay wants a login.
    pub username: Option<String>,
    /// Password that belongs to it.
    pub password: Option<String>,
    /// `local@domain` or `Name <local@domain>`.
    pub from: String,
    /// Certificates to trust instead of the machine's.
    pub ca_pem: Option<String>,
    /// Most sessions at a time; with more than one, one is kept free for urgent mail.
    pub connections: usize,
    /// Most mails a second, when the relay limits them.
    pub per_second: Option<u32>,
    /// How long the relay may take.
    pub deadlines: SmtpDeadlines,
    /// With which key mails are signed, if they are.
    pub dkim: Option<DkimSettings>,
}

impl Default for EmailSettings {
    fn default() -> Self {
        EmailSettings {
            host: String::new(),
            port: 587,
            tls: EmailTls::Starttls,
            username: None,
            password: None,
            from: String::new(),
            ca_pem: None,
            connections: 4,
            per_second: None,
            deadlines: SmtpDeadlines::default(),
            dkim: None,
        }
    }
}

/// The channel to mailboxes.
pub struct EmailChannel {
    pool: Arc<Pool>,
    sender: Arc<Sender>,
    signer: Option<Arc<Signer>>,
}

impl EmailChannel {
    /// Checks the settings; opens no connection.
    ///
    /// # Errors
    /// The first setting that is wrong, with the rule and the mend.
    pub fn new(settings: EmailSettings) -> Result<EmailChannel, ChannelSetupError> {
        let wrong = |setting, rule: &str, mend: &str| Err(ChannelSetupError::new(setting, rule, mend));
        if settings.host.trim().is_empty() {
            return wrong("channels.email.host", "it is empty", "write the relay's name, such as relay.example.org");
        }
        if settings.port == 0 {
            return wrong("channels.email.port", "it is 0", "write 587 for starttls, 465 for implicit, 25 for none");
        }
        let Some(sender) = sender(&settings.from) else {
            return wrong(
                "channels.email.from",
                "it holds no address",
                "write carillon@example.org or \"Carillon <carillon@example.org>\"",
            );
        };
        let login = match (&settings.username, &settings.password) {
            (None, None) => None,
            (Some(user), Some(password)) if !user.is_empty() => Some((user.clone(), password.clone())),
            (Some(_), _) => {
                return wrong("channels.email.password_file", "there is a user name without a password", "name the password's file");
            }
            (None, Some(_)) => return wrong("channels.email.username", "there is a password without a user name", "write the user name"),
        };
        if login.is_some() && settings.tls == EmailTls::None && !is_loopback(&settings.host) {
            return wrong("channels.email.tls", "the password would travel in clear over a network", "write starttls or implicit");
        }
        let names = Names { host: "channels.email.host", ca: "channels.email.ca_file" };
        let tls = match settings.tls {
            EmailTls::None => None,
            EmailTls::Starttls | EmailTls::Implicit => Some(tls::connector(&settings.host, settings.ca_pem.as_deref(), &[], &names)?),
        };
        let signer = settings.dkim.as_ref().map(Signer::new).transpose()?.map(Arc::new);
        let relay = Relay {
            host: settings.host,
            port: settings.port,
            tls,
            implicit: settings.tls == EmailTls::Implicit,
            login,
            deadlines: settings.deadlines,
        };
        let pool = Pool::new(relay, settings.connections, settings.per_second);
        Ok(EmailChannel { pool: Arc::new(pool), sender: Arc::new(sender), signer })
    }
}

/// Reads what a relay says, reply by reply, and classes each as if it had come at every stage.
pub(crate) fn said(mut bytes: &[u8]) -> Vec<Outcome> {
    let (mut inbox, mut outcomes) = (reply::Inbox::default(), Vec::new());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // What is read from memory is ready at once.
    while let std::task::Poll::Ready(Ok(reply)) = std::pin::pin!(inbox.reply(&mut bytes)).poll(&mut context) {
        use outcomes::Stage;
        let stages = [Stage::Hello, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data];
        outcomes.extend(stages.map(|stage| outcomes::outcome(stage, &reply)));
        session::offers(&reply.text);
    }
    outcomes
}

/// Reads `local@domain` or `Name <local@domain>`.
fn sender(from: &str) -> Option<Sender> {
    let from = from.trim();
    let (name, address) = match from.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (name.trim().trim_matches('"'), address),
        None => ("", from),
    };
    let fits = encode::is_address(address) && address.is_ascii() && !name.contains(['<', '>']);
    fits.then(|| Sender { address: address.to_owned(), name: name.to_owned() })
}

impl Channel for EmailChannel {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Email
    }

    fn render(&self, words: &Words) -> Rendered {
        mime::render(words, &self.sender)
    }

    fn reserve(&self, lane: Lane) -> Boxed<'_, Result<Box<dyn Slot>, Outcome>> {
        Box::pin(async move {
            let berth = self.pool.berth(lane).await?;
            Ok(Box::new(EmailSlot { berth, sender: self.sender.clone(), signer: self.signer.clone() }) as Box<dyn Slot>)
        })
    }

    fn probe<'a>(&'a self, _clock: &'a dyn Clock) -> Boxed<'a, Probe> {
        Box::pin(async {
            let mut findings: Vec<_> = self.signer.iter().map(|signer| probe::signing(signer, self.sender.domain())).collect();
            findings.extend(probe::findings(self.pool.relay(), &self.sender.address).await);
            Probe { findings, clock_ahead_ms: None }
        })
    }
}

struct EmailSlot {
    berth: Berth,
    sender: Arc<Sender>,
    signer: Option<Arc<Signer>>,
}

impl Slot for EmailSlot {
    /// The mail is put together before this returns; it is signed, and the dialogue runs, as the future is polled.
    fn send(self: Box<Self>, letter: &Letter<'_>) -> Boxed<'static, Outcome> {
        let Address::Mailbox { email, name } = letter.address else {
            return Box::pin(std::future::ready(Outcome::OurFault(Cause::of("wrong_address", 0))));
        };
        if !encode::is_address(email) {
            return Box::pin(std::future::ready(Outcome::AddressGone(Cause::of("5.1.3", 0))));
        }
        let EmailSlot { berth, sender, signer } = *self;
        let parcel = mime::parcel(letter, name, email, &sender);
        let (to, now) = (email.to_owned(), letter.now);
        Box::pin(async move {
            let parcel = match signer {
                None => Some(parcel),
                Some(signer) => signed(signer, parcel, now).await,
            };
            match parcel {
                Some(parcel) => berth.send(&Mail { from: &sender.address, to: &to, parcel: &parcel }).await,
                None => Outcome::OurFault(Cause::of_channel("dkim_failed", 0)),
            }
        })
    }
}

/// Signs off the threads that answer the network: an RSA signature takes a millisecond or more, the hash of a large file ten.
async fn signed(signer: Arc<Signer>, mut parcel: Parcel, now: Timestamp) -> Option<Parcel> {
    let signing = tokio::task::spawn_blocking(move || signer.sign(&mut parcel, now).map(|()| parcel));
    signing.await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> EmailSettings {
        EmailSettings { host: "127.0.0.1".into(), from: "a@b.example".into(), tls: EmailTls::None, ..EmailSettings::default() }
    }

    #[test]
    fn wrong_settings_are_named_with_the_mend() {
        let table: [(EmailSettings, &str); 8] = [
            (EmailSettings { host: " ".into(), ..settings() }, "channels.email.host"),
            (EmailSettings { port: 0, ..settings() }, "channels.email.port"),
            (EmailSettings { from: "nobody".into(), ..settings() }, "channels.email.from"),
            (EmailSettings { from: "a@b\r\nX: y".into(), ..settings() }, "channels.email.from"),
            (EmailSettings { username: Some("u".into()), ..settings() }, "channels.email.password_file"),
            (EmailSettings { password: Some("p".into()), ..settings() }, "channels.email.username"),
            (
                EmailSettings { host: "relay.example".into(), username: Some("u".into()), password: Some("p".into()), ..settings() },
                "channels.email.tls",
            ),
            (EmailSettings { tls: EmailTls::Implicit, ca_pem: Some("no".into()), ..settings() }, "channels.email.ca_file"),
        ];
        for (settings, setting) in table {
            let error = EmailChannel::new(settings).err().expect(setting);
            assert_eq!(error.setting, setting);
            assert!(error.to_string().starts_with(setting) && !error.mend.is_empty());
        }
        assert!(EmailChannel::new(settings()).is_ok());
    }

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        let read = |from| sender(from).map(|s| (s.name, s.address));
        assert_eq!(read("a@b.c"), Some((String::new(), "a@b.c".into())));
        assert_eq!(read("Carillon <a@b.c>"), Some(("Carillon".into(), "a@b.c".into())));
        assert_eq!(read("\"Bell, Tower\" <a@b.c>"), Some(("Bell, Tower".into(), "a@b.c".into())));
        assert_eq!(read("Carillon a@b.c"), None);
        assert_eq!(EmailTls::from_word("starttls"), Some(EmailTls::Starttls));
        assert_eq!(EmailTls::from_word("ssl"), None);
    }
}
