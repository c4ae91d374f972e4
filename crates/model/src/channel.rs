//! The contract of a channel: a way to travel. It renders words once per (event, language, privacy class), waits for
//! room, hands one letter over and classes what came back. It never retries, waits for better times, stores, decides,
//! counts, or logs an address.

use crate::directory::Service;
use crate::event::Urgency;
use crate::ids::WireId;
use crate::outcome::Outcome;
use crate::source::Words;
use crate::time::{Clock, Timestamp};
use crate::words;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;

words! {
    /// A way to travel.
    ChannelKind {
        /// Apple Push Notification service.
        Apns = 1 "apns",
        /// Firebase Cloud Messaging.
        Fcm = 2 "fcm",
        /// Windows Push Notification Services.
        Wns = 3 "wns",
        /// Web Push (RFC 8030).
        WebPush = 4 "webpush",
        /// Mail.
        Email = 5 "email",
        /// The person's inbox, read in the app or streamed to it.
        Inbox = 6 "inbox",
    }
}

impl ChannelKind {
    /// The push channels, in the order in which a device prefers them.
    pub const PUSH: [ChannelKind; 4] = [ChannelKind::Apns, ChannelKind::Fcm, ChannelKind::Wns, ChannelKind::WebPush];

    /// The push service behind the channel.
    pub fn service(self) -> Option<Service> {
        match self {
            ChannelKind::Apns => Some(Service::Apns),
            ChannelKind::Fcm => Some(Service::Fcm),
            ChannelKind::Wns => Some(Service::Wns),
            ChannelKind::WebPush => Some(Service::WebPush),
            ChannelKind::Email | ChannelKind::Inbox => None,
        }
    }

    /// The channel that carries a service's pushes.
    pub fn of_service(service: Service) -> ChannelKind {
        match service {
            Service::Apns => ChannelKind::Apns,
            Service::Fcm => ChannelKind::Fcm,
            Service::Wns => ChannelKind::Wns,
            Service::WebPush => ChannelKind::WebPush,
        }
    }
}

/// A future on the heap, so that channels can stand in one list.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Which of a channel's connections to use: a single urgent notification never waits behind a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Single notifications and small events.
    Urgent,
    /// Campaigns.
    Bulk,
}

/// Where one channel reaches one recipient. Borrowed from the claim: addresses are read at the attempt, never copied.
#[derive(Clone, Copy, Debug)]
pub enum Address<'a> {
    /// A registration with a native push service.
    Registration {
        /// Token, as the service wrote it.
        token: &'a str,
        /// The app it belongs to (APNs topic); empty for the configured one.
        app: &'a str,
        /// Whether it belongs to the service's sandbox.
        sandbox: bool,
    },
    /// A channel of the Windows push service: the URL is the address.
    ChannelUrl {
        /// `https://…notify.windows.com/…`.
        url: &'a str,
    },
    /// A browser's subscription (RFC 8030, RFC 8291).
    Subscription {
        /// The push resource.
        endpoint: &'a str,
        /// The browser's public key: an uncompressed P-256 point in base64url, 87 characters.
        p256dh: &'a str,
        /// The browser's secret in clear: 16 bytes in base64url, 22 characters. Never logged.
        auth: &'a str,
    },
    /// A mailbox.
    Mailbox {
        /// `local@domain`.
        email: &'a str,
        /// Display name, may be empty.
        name: &'a str,
    },
}

/// Words in the channel's own form, made once and shared by every letter of an event in one language.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// What stands before the body and is the same in every letter (mail headers without addressee; empty for push).
    pub head: Bytes,
    /// The payload or MIME entity.
    pub body: Bytes,
    /// Letters under one word that go to one recipient belong together; empty: to none. Only mail has a use for it.
    pub thread: String,
}

/// A file that goes with a letter. Cloning it copies no bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterFile {
    /// Its name for the reader.
    pub name: String,
    /// Media type (RFC 2046).
    pub media_type: String,
    /// What is in it.
    pub bytes: Bytes,
}

/// One letter: what travels to one address at one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The same at every attempt of one delivery.
    pub wire: WireId,
    /// Whereto.
    pub address: Address<'a>,
    /// What.
    pub content: &'a Rendered,
    /// Files that go with it, in the order of [`crate::source::Mail::files`]; only mail carries them.
    pub files: &'a [LetterFile],
    /// How soon.
    pub urgency: Urgency,
    /// Not worth delivering after this.
    pub expires_at: Timestamp,
    /// Now, by the engine's clock.
    pub now: Timestamp,
    /// 22 characters; repeats of one event replace each other.
    pub collapse_key: &'a str,
}

/// Room for one letter on a ready connection. Dropping it gives the room back.
pub trait Slot: Send {
    /// Hands the letter over at once (this call does not wait) and answers when the other side did, or when the
    /// channel's own deadline passed. What the future needs of the letter is copied before this returns.
    fn send(self: Box<Self>, letter: &Letter<'_>) -> Boxed<'static, Outcome>;
}

/// A channel of this installation, with its settings and connections.
pub trait Channel: Send + Sync + 'static {
    /// Which.
    fn kind(&self) -> ChannelKind;

    /// Puts words into the channel's form. Text too long for the provider's payload is shortened at a character
    /// boundary; the inbox keeps the whole.
    fn render(&self, words: &Words) -> Rendered;

    /// Room for one more letter in this lane, where a connection has it right now. `None` says nothing about why not.
    fn reserve_now(&self, _lane: Lane) -> Option<Box<dyn Slot>> {
        None
    }

    /// Takes back every letter that was handed over and is not on its way yet: a switch was turned off, or an event was
    /// cancelled. Once this has returned, none of them starts; they are answered `TryLater` with the code `recalled`. A
    /// channel whose slots put letters on their way before `send` returns has nothing to take back.
    fn recall(&self) {}

    /// Waits until a connection is ready and has room for one more letter in this lane.
    ///
    /// # Errors
    /// The outcome that every waiting letter has now, when there can be no connection: it concerns the whole channel.
    fn reserve(&self, lane: Lane) -> Boxed<'_, Result<Box<dyn Slot>, Outcome>>;

    /// Tries everything that sending needs, as far as that is possible without sending to anybody: name, connection, TLS,
    /// credentials. One finding for each step, in order; the first that is wrong is the last. It uses connections of its
    /// own where that says more, and never takes longer than the channel's deadlines. The clock is compared with the
    /// other side's where that tells its time.
    fn probe<'a>(&'a self, _clock: &'a dyn Clock) -> Boxed<'a, Probe> {
        Box::pin(std::future::ready(Probe::default()))
    }
}

words! {
    /// How well something was found.
    Grade {
        /// As it should be.
        Fine = 1 "ok",
        /// It works, and somebody should look at it.
        Doubtful = 2 "warning",
        /// It does not work.
        Wrong = 3 "error",
    }
}

/// What one step of a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which step, in a word or two: `connection`, `TLS`, `credentials`.
    pub step: &'static str,
    /// How it is.
    pub grade: Grade,
    /// In a sentence without its full stop. No address, key or secret.
    pub found: String,
    /// What to do about it; empty where nothing has to be done.
    pub mend: String,
}

impl Finding {
    /// All is well.
    pub fn fine(step: &'static str, found: impl Into<String>) -> Finding {
        Finding { step, grade: Grade::Fine, found: found.into(), mend: String::new() }
    }

    /// It works, but.
    pub fn doubtful(step: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { step, grade: Grade::Doubtful, found: found.into(), mend: mend.into() }
    }

    /// It does not work.
    pub fn wrong(step: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { step, grade: Grade::Wrong, found: found.into(), mend: mend.into() }
    }
}

/// What a probe of a channel found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Step by step.
    pub findings: Vec<Finding>,
    /// How far the other side's clock is ahead of ours, in milliseconds, negative when it is behind; 0 within what its
    /// whole seconds and the time on the way leave open. `None` where it told no time.
    pub clock_ahead_ms: Option<i64>,
}
