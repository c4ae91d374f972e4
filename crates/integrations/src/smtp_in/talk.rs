//! A client's session as a state machine: a line goes in, and out comes what to say or to do. No I/O here.

use super::Protocol;
use super::reply::Reply;
use super::wire::Line;
use crate::voicemail_mail::whose::Mailbox;
use model::refusal::Refusal;
use smtp_proto::{Error, MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_SMTPUTF8, MailFrom, RcptTo, Request};
use std::borrow::Cow;

/// Most recipients of a mail.
pub(super) const RECIPIENTS_MOST: usize = 100;
/// After so many errors the client is not listened to any more.
pub(super) const ERRORS_MOST: u32 = 10;

/// What follows from a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This is said.
    Say(Reply),
    /// This is said, and the connection ends.
    End(Reply),
    /// It has to be found out whose address this is; [`Talk::recipient`] goes on.
    Find(String),
    /// The mail comes next; [`Talk::mail_over`] goes on.
    Mail,
}

/// A session.
#[derive(Debug)]
pub(super) struct Talk {
    protocol: Protocol,
    name: String,
    most_bytes: usize,
    greeted: bool,
    /// Whether a mail was begun with `MAIL`.
    begun: bool,
    recipients: Vec<Mailbox>,
    errors: u32,
}

impl Talk {
    /// A session with a server of this name.
    pub fn new(protocol: Protocol, name: &str, most_bytes: usize) -> Talk {
        Talk { protocol, name: name.to_owned(), most_bytes, greeted: false, begun: false, recipients: Vec::new(), errors: 0 }
    }

    /// The first thing that is said.
    pub fn greeting(&self) -> Reply {
        Reply::bare(220, &format!("{} {} Carillon takes voice-mail mails", self.name, self.protocol.word()))
    }

    /// What follows from a line.
    pub fn line(&mut self, line: &Line) -> Step {
        let step = match line {
            Line::Whole(bytes) => self.command(bytes),
            Line::Long => say(500, "5.5.2", "the line is longer than 512 bytes"),
            Line::Bare => say(500, "5.5.2", "a line ends with CRLF and holds no other CR or LF"),
        };
        self.counted(step)
    }

    /// Goes on after it was found out whose address a recipient is.
    pub fn recipient(&mut self, found: Result<Option<Mailbox>, Refusal>) -> Step {
        let step = match found {
            Ok(Some(mailbox)) => {
                self.recipients.push(mailbox);
                say(250, "2.1.5", "recipient accepted")
            }
            Ok(None) => say(550, "5.1.1", "nobody with a mailbox has this address or extension; nothing is sent on from here"),
            Err(_) => say(451, "4.3.0", "the recipient cannot be looked up now; try again later"),
        };
        self.counted(step)
    }

    /// For whom the mail is that comes now.
    pub fn recipients(&self) -> &[Mailbox] {
        &self.recipients
    }

    /// Goes on after a mail, whatever became of it.
    pub fn mail_over(&mut self) {
        self.begun = false;
        self.recipients.clear();
    }

    fn counted(&mut self, step: Step) -> Step {
        if let Step::Say(reply) = &step
            && reply.is_error()
        {
            self.errors += 1;
            if self.errors >= ERRORS_MOST {
                return Step::End(Reply::new(421, "4.7.0", "too many errors; goodbye"));
            }
        }
        step
    }

    fn command(&mut self, line: &[u8]) -> Step {
        let request = match Request::parse(&mut line.iter()) {
            Ok(request) => request,
            Err(error) => return misread(&error),
        };
        match request {
            Request::Ehlo { .. } => self.hello(Protocol::Smtp, true),
            Request::Helo { .. } => self.hello(Protocol::Smtp, false),
            Request::Lhlo { .. } => self.hello(Protocol::Lmtp, true),
            Request::Mail { from } => self.mail(&from),
            Request::Rcpt { to } => self.rcpt(&to),
            Request::Data => self.data(),
            Request::Rset => {
                self.mail_over();
                say(250, "2.0.0", "forgotten")
            }
            Request::Noop { .. } => say(250, "2.0.0", "here"),
            Request::Help { .. } => say(214, "2.0.0", "this server takes voice-mail mails for people with a mailbox, and sends nothing on"),
            Request::Vrfy { .. } => say(252, "2.5.0", "name it as a recipient to find out"),
            Request::Quit => Step::End(Reply::new(221, "2.0.0", "goodbye")),
            Request::Expn { .. }
            | Request::Bdat { .. }
            | Request::Auth { .. }
            | Request::Etrn { .. }
            | Request::Atrn { .. }
            | Request::Burl { .. }
            | Request::StartTls => say(502, "5.5.1", "this command is not offered here"),
        }
    }

    fn hello(&mut self, protocol: Protocol, extended: bool) -> Step {
        if protocol != self.protocol {
            let mend = match self.protocol {
                Protocol::Smtp => "this is SMTP; begin with EHLO",
                Protocol::Lmtp => "this is LMTP; begin with LHLO",
            };
            return say(500, "5.5.1", mend);
        }
        self.greeted = true;
        self.mail_over();
        if !extended {
            return Step::Say(Reply::bare(250, &self.name));
        }
        let size = format!("SIZE {}", self.most_bytes);
        let extensions = ["PIPELINING".to_owned(), size, "8BITMIME".to_owned(), "ENHANCEDSTATUSCODES".to_owned()];
        Step::Say(Reply::lines(250, std::iter::once(self.name.clone()).chain(extensions)))
    }

    fn mail(&mut self, from: &MailFrom<Cow<'_, str>>) -> Step {
        if !self.greeted {
            return say(503, "5.5.1", "say hello first");
        }
        if self.begun {
            return say(503, "5.5.1", "a mail was begun; RSET forgets it");
        }
        if from.flags & MAIL_SMTPUTF8 != 0 {
            return say(555, "5.6.7", "SMTPUTF8 is not offered here");
        }
        let others = from.flags & !(MAIL_BODY_7BIT | MAIL_BODY_8BITMIME) != 0 || !only_size(from);
        if others {
            return say(555, "5.5.4", "a parameter of an extension that is not offered here; take SIZE and BODY=8BITMIME");
        }
        if from.size > self.most_bytes {
            return say(552, "5.3.4", &format!("a mail has at most {} bytes here", self.most_bytes));
        }
        self.begun = true;
        say(250, "2.1.0", "sender accepted")
    }

    fn rcpt(&mut self, to: &RcptTo<Cow<'_, str>>) -> Step {
        if !self.begun {
            return say(503, "5.5.1", "name the sender with MAIL first");
        }
        if to.flags != 0 || to.orcpt.is_some() || to.rrvs != 0 {
            return say(555, "5.5.4", "a parameter of an extension that is not offered here");
        }
        if self.recipients.len() >= RECIPIENTS_MOST {
            return say(452, "4.5.3", "a mail has at most 100 recipients here; send the others one of their own");
        }
        Step::Find(to.address.clone().into_owned())
    }

    fn data(&mut self) -> Step {
        if !self.begun {
            return say(503, "5.5.1", "name the sender with MAIL first");
        }
        if self.recipients.is_empty() {
            return say(503, "5.5.1", "no recipient was accepted");
        }
        Step::Mail
    }
}

fn say(code: u16, enhanced: &str, text: &str) -> Step {
    Step::Say(Reply::new(code, enhanced, text))
}

/// Whether `MAIL` has no parameter of an extension that was not offered, but `SIZE` and `BODY`.
fn only_size(from: &MailFrom<Cow<'_, str>>) -> bool {
    let plain = MailFrom { address: from.address.clone(), flags: from.flags, size: from.size, ..MailFrom::default() };
    *from == plain
}

fn misread(error: &Error) -> Step {
    match error {
        Error::UnknownCommand => say(500, "5.5.1", "there is no such command"),
        Error::InvalidSenderAddress => say(501, "5.1.7", "the sender is not an address"),
        Error::InvalidRecipientAddress => say(501, "5.1.3", "the recipient is not an address"),
        Error::SyntaxError { syntax } => say(501, "5.5.4", &format!("written as: {syntax}")),
        Error::InvalidParameter { param } => say(501, "5.5.4", &format!("the parameter {param} has no such value")),
        Error::UnsupportedParameter { .. } => say(555, "5.5.4", "a parameter that is not known here"),
        Error::NeedsMoreData { .. } | Error::ResponseTooLong | Error::InvalidResponse { .. } => {
            say(500, "5.5.2", "the line cannot be read")
        }
    }
}
