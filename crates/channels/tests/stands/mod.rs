//! A channel and its fake, side by side, behind one face, so that one suite runs over every channel.
#![allow(dead_code, missing_docs)]

use channels::{ApnsChannel, ApnsSettings, EmailChannel, EmailSettings, EmailTls, SmtpDeadlines};
use fakes::apple::{Answer, Key};
use fakes::{Authority, Mode, apple, relay};
use model::channel::{Address, Channel, Lane, Letter, Rendered, Slot};
use model::event::Urgency;
use model::outcome::Outcome;
use model::source::{Mail, Words};
use model::text::Locale;
use model::{EventKey, PersonKey, Timestamp, WireId};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub const TITLE: &str = "Title of the secret notice";
pub const PASSWORD: &str = "correct-horse-battery";
pub const DEADLINE: Duration = Duration::from_millis(400);

pub enum Fake {
    Apple(apple::Running),
    Relay(relay::Running),
}

pub struct Stand {
    pub name: &'static str,
    pub fake: Fake,
    pub channel: Box<dyn Channel>,
    pub rendered: Rendered,
}

/// What the other side says to one address.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    Busy,
    Refused,
    Gone,
    OurFault,
}

pub fn words(body: &str) -> Words {
    Words {
        event: Uuid::from_u128(0xE),
        kind: "custom.notification",
        locale: Locale::En,
        private: false,
        title: TITLE.into(),
        body: body.into(),
        mail: Mail { subject: TITLE.into(), text: body.into(), html: format!("<p>{body}</p>") },
    }
}

pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("before the year 292 million"))
}

pub fn authority() -> Arc<Authority> {
    Arc::new(Authority::generate().expect("randomness"))
}

/// Apple's fake with `edit`ed options and settings.
pub async fn apple_stand(name: &'static str, tls: bool, edit: impl FnOnce(&mut apple::Options, &mut ApnsSettings)) -> Stand {
    let key = Key::generate("KEY4567890", "TEAM567890");
    let mut settings = ApnsSettings {
        key: key.pem().to_owned(),
        key_id: key.key_id.clone(),
        team_id: key.team_id.clone(),
        topic: "org.example.app".into(),
        deadline: DEADLINE,
        ..ApnsSettings::default()
    };
    let mut options = apple::Options {
        tls: tls.then(authority),
        key: Some(key),
        topics: vec!["org.example.app".into(), "org.example.other".into()],
        ..apple::Options::default()
    };
    edit(&mut options, &mut settings);
    let fake = apple::start(options).await.expect("a free port");
    settings.endpoint = fake.endpoint();
    settings.ca_pem = settings.ca_pem.or_else(|| fake.ca_pem().map(str::to_owned));
    let channel = ApnsChannel::new(settings).expect("good settings");
    let rendered = channel.render(&words("body"));
    Stand { name, fake: Fake::Apple(fake), channel: Box::new(channel), rendered }
}

/// The relay's fake with `edit`ed options and settings.
pub async fn relay_stand(name: &'static str, tls: relay::Tls, edit: impl FnOnce(&mut relay::Options, &mut EmailSettings)) -> Stand {
    let mut options = relay::Options { tls, ..relay::Options::default() };
    let mut settings = EmailSettings {
        tls: match tls {
            relay::Tls::None => EmailTls::None,
            relay::Tls::Starttls => EmailTls::Starttls,
            relay::Tls::Implicit => EmailTls::Implicit,
        },
        from: "Carillon <carillon@example.org>".into(),
        deadlines: SmtpDeadlines { connect: Duration::from_secs(2), command: DEADLINE, data: DEADLINE },
        ..EmailSettings::default()
    };
    edit(&mut options, &mut settings);
    let fake = relay::start(options).await.expect("a free port");
    settings.host = fake.addr.ip().to_string();
    settings.port = fake.addr.port();
    settings.ca_pem = settings.ca_pem.or_else(|| fake.ca_pem().map(str::to_owned));
    let channel = EmailChannel::new(settings).expect("good settings");
    let rendered = channel.render(&words("body"));
    Stand { name, fake: Fake::Relay(fake), channel: Box::new(channel), rendered }
}

/// Every channel in every way in which it can be connected.
pub async fn every() -> Vec<Stand> {
    let login = |options: &mut relay::Options, settings: &mut EmailSettings| {
        options.login = Some(("carillon".into(), PASSWORD.into()));
        settings.username = Some("carillon".into());
        settings.password = Some(PASSWORD.into());
    };
    vec![
        apple_stand("apns over TLS", true, |_, _| {}).await,
        apple_stand("apns in clear", false, |_, _| {}).await,
        relay_stand("email in clear", relay::Tls::None, |_, _| {}).await,
        relay_stand("email with STARTTLS and AUTH PLAIN", relay::Tls::Starttls, login).await,
        relay_stand("email over TLS without PIPELINING, AUTH LOGIN", relay::Tls::Implicit, |options, settings| {
            login(options, settings);
            options.pipelining = false;
            options.login_only = true;
        })
        .await,
    ]
}

impl Stand {
    pub fn apple(&self) -> &apple::Running {
        match &self.fake {
            Fake::Apple(fake) => fake,
            Fake::Relay(_) => panic!("{} is not Apple", self.name),
        }
    }

    pub fn relay(&self) -> &relay::Running {
        match &self.fake {
            Fake::Relay(fake) => fake,
            Fake::Apple(_) => panic!("{} is not a relay", self.name),
        }
    }

    pub fn set_mode(&self, mode: Mode) {
        match &self.fake {
            Fake::Apple(fake) => fake.set_mode(mode),
            Fake::Relay(fake) => fake.set_mode(mode),
        }
    }

    pub fn address(&self, n: u32) -> String {
        match &self.fake {
            Fake::Apple(_) => format!("{n:064x}"),
            Fake::Relay(_) => format!("person{n}@example.net"),
        }
    }

    pub fn says(&self, n: u32, says: Says) {
        let address = self.address(n);
        match &self.fake {
            Fake::Apple(fake) => {
                let answer = match says {
                    Says::Busy => Answer::refused(429, "TooManyRequests").retry_after(7),
                    Says::Refused => Answer::refused(413, "PayloadTooLarge"),
                    Says::Gone => Answer::gone(1_700_000_000_123),
                    Says::OurFault => Answer::refused(403, "InvalidProviderToken"),
                };
                fake.answer(&address, Some(answer));
            }
            Fake::Relay(fake) => {
                let reply = match says {
                    Says::Busy => "450 4.7.1 greylisted",
                    Says::Refused => "554 5.7.1 looks like spam",
                    Says::Gone => "550 5.1.1 no such user",
                    Says::OurFault => "530 5.7.0 log in first",
                };
                fake.answer(&address, Some(reply));
            }
        }
    }

    pub fn reached(&self, n: u32) -> u64 {
        match &self.fake {
            Fake::Apple(fake) => fake.reached(&self.address(n)),
            Fake::Relay(fake) => fake.reached(&self.address(n)),
        }
    }

    pub fn connections(&self) -> u64 {
        match &self.fake {
            Fake::Apple(fake) => fake.stats().connections,
            Fake::Relay(fake) => fake.stats().connections,
        }
    }

    /// What arrived last, as text.
    pub fn arrived(&self) -> String {
        match &self.fake {
            Fake::Apple(fake) => fake.arrivals(1).pop().expect("something arrived").payload,
            Fake::Relay(fake) => fake.mails(1).pop().expect("something arrived").content,
        }
    }

    pub async fn reserve(&self, lane: Lane) -> Result<Box<dyn Slot>, Outcome> {
        self.channel.reserve(lane).await
    }

    pub async fn tell(&self, n: u32) -> Outcome {
        self.tell_with(n, &self.rendered, |_| {}).await
    }

    pub async fn tell_with<'a>(&self, n: u32, content: &'a Rendered, edit: impl FnOnce(&mut Letter<'a>)) -> Outcome {
        let slot = match self.reserve(Lane::Bulk).await {
            Ok(slot) => slot,
            Err(outcome) => return outcome,
        };
        self.hand(slot, n, content, edit).await
    }

    pub async fn hand<'a>(&self, slot: Box<dyn Slot>, n: u32, content: &'a Rendered, edit: impl FnOnce(&mut Letter<'a>)) -> Outcome {
        // Leaked, so that an edit may put in any address that lives as long as the content.
        let text: &'static str = self.address(n).leak();
        let address = match &self.fake {
            Fake::Apple(_) => Address::Registration { token: text, app: "", sandbox: false },
            Fake::Relay(_) => Address::Mailbox { email: text, name: "Zoë" },
        };
        let mut letter = Letter {
            wire: WireId::new(EventKey(1), PersonKey(n), 0),
            address,
            content,
            urgency: Urgency::Normal,
            expires_at: now().plus(Duration::from_secs(3600)),
            now: now(),
            collapse_key: "AAAAAAAAAAAAAAAAAAAADg",
        };
        edit(&mut letter);
        slot.send(&letter).await
    }
}

/// The code of an outcome's cause, or `accepted`.
pub fn code(outcome: &Outcome) -> String {
    outcome.cause().map_or("accepted".into(), |cause| cause.code.to_string())
}

/// Asks again until `done`, for at most five seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    for _ in 0..200 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what}: not within five seconds");
}
