//! A channel and its fake, side by side, behind one face, so that one suite runs over every channel.
#![allow(dead_code, missing_docs)]

pub mod python;

use channels::{ApnsChannel, ApnsSettings, EmailChannel, EmailSettings, EmailTls, SmtpDeadlines};
use channels::{FcmChannel, FcmSettings, WnsChannel, WnsSettings};
use channels::{WebPushChannel, WebPushSettings, vapid_public_key};
use fakes::apple::{Answer, Key};
use fakes::{Authority, Mode, apple, google, microsoft, push_service, relay};
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
    Google(google::Running),
    Microsoft(microsoft::Running),
    Relay(relay::Running),
    Push(push_service::Running),
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
        mail: Mail { subject: TITLE.into(), text: body.into(), html: format!("<p>{body}</p>"), ..Mail::default() },
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

/// Google's fake with `edit`ed options and settings.
pub async fn google_stand(name: &'static str, tls: bool, edit: impl FnOnce(&mut google::Options, &mut FcmSettings)) -> Stand {
    let mut settings = FcmSettings { deadline: DEADLINE, ..FcmSettings::default() };
    let mut options = google::Options { tls: tls.then(authority), ..google::Options::default() };
    edit(&mut options, &mut settings);
    let fake = google::start(options, google::ServiceAccount::generate("demo-project")).await.expect("a free port");
    settings.endpoint = fake.endpoint();
    settings.service_account = fake.service_account();
    settings.ca_pem = settings.ca_pem.or_else(|| fake.ca_pem().map(str::to_owned));
    let channel = FcmChannel::new(settings).expect("good settings");
    let rendered = channel.render(&words("body"));
    Stand { name, fake: Fake::Google(fake), channel: Box::new(channel), rendered }
}

/// Microsoft's fake with `edit`ed options and settings.
pub async fn microsoft_stand(name: &'static str, tls: bool, edit: impl FnOnce(&mut microsoft::Options, &mut WnsSettings)) -> Stand {
    let application = microsoft::Application::generate();
    let mut settings = WnsSettings {
        client_id: application.client_id.clone(),
        secret: application.secret.clone(),
        deadline: DEADLINE,
        ..WnsSettings::default()
    };
    let mut options = microsoft::Options { tls: tls.then(authority), ..microsoft::Options::default() };
    edit(&mut options, &mut settings);
    let fake = microsoft::start(options, application).await.expect("a free port");
    settings.endpoint_override = Some(fake.endpoint());
    settings.token_endpoint = fake.token_endpoint();
    settings.ca_pem = settings.ca_pem.or_else(|| fake.ca_pem().map(str::to_owned));
    let channel = WnsChannel::new(settings).expect("good settings");
    let rendered = channel.render(&words("body"));
    Stand { name, fake: Fake::Microsoft(fake), channel: Box::new(channel), rendered }
}

/// A fake push service with `edit`ed options and settings.
pub async fn push_stand(name: &'static str, edit: impl FnOnce(&mut push_service::Options, &mut WebPushSettings)) -> Stand {
    let key = Key::generate("K", "T");
    let mut options = push_service::Options::new(authority());
    options.key = Some(vapid_public_key(key.pem()).expect("a key"));
    let mut settings = WebPushSettings {
        key: key.pem().to_owned(),
        subject: "mailto:ops@example.org".into(),
        allow_private_endpoints: true,
        ca_pem: Some(options.authority.pem().to_owned()),
        deadline: DEADLINE,
        ..WebPushSettings::default()
    };
    edit(&mut options, &mut settings);
    let fake = push_service::start(options).await.expect("a free port");
    let channel = WebPushChannel::new(settings).expect("good settings");
    let rendered = channel.render(&words("body"));
    Stand { name, fake: Fake::Push(fake), channel: Box::new(channel), rendered }
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
        google_stand("fcm over TLS", true, |_, _| {}).await,
        google_stand("fcm in clear", false, |_, _| {}).await,
        microsoft_stand("wns over TLS", true, |_, _| {}).await,
        microsoft_stand("wns in clear", false, |_, _| {}).await,
        relay_stand("email in clear", relay::Tls::None, |_, _| {}).await,
        relay_stand("email with STARTTLS and AUTH PLAIN", relay::Tls::Starttls, login).await,
        relay_stand("email over TLS without PIPELINING, AUTH LOGIN", relay::Tls::Implicit, |options, settings| {
            login(options, settings);
            options.pipelining = false;
            options.login_only = true;
        })
        .await,
        push_stand("webpush", |_, _| {}).await,
    ]
}

impl Stand {
    pub fn apple(&self) -> &apple::Running {
        match &self.fake {
            Fake::Apple(fake) => fake,
            _ => panic!("{} is not Apple", self.name),
        }
    }

    pub fn relay(&self) -> &relay::Running {
        match &self.fake {
            Fake::Relay(fake) => fake,
            _ => panic!("{} is not a relay", self.name),
        }
    }

    pub fn google(&self) -> &google::Running {
        match &self.fake {
            Fake::Google(fake) => fake,
            _ => panic!("{} is not Google", self.name),
        }
    }

    pub fn microsoft(&self) -> &microsoft::Running {
        match &self.fake {
            Fake::Microsoft(fake) => fake,
            _ => panic!("{} is not Microsoft", self.name),
        }
    }

    pub fn push(&self) -> &push_service::Running {
        match &self.fake {
            Fake::Push(fake) => fake,
            _ => panic!("{} is no push service", self.name),
        }
    }

    /// Whether every letter goes to the same provider, so that one refusal of our key is the whole channel's. Browsers choose
    /// theirs.
    pub fn has_one_provider(&self) -> bool {
        !matches!(self.fake, Fake::Push(_))
    }

    pub fn set_mode(&self, mode: Mode) {
        match &self.fake {
            Fake::Apple(fake) => fake.set_mode(mode),
            Fake::Google(fake) => fake.set_mode(mode),
            Fake::Microsoft(fake) => fake.set_mode(mode),
            Fake::Relay(fake) => fake.set_mode(mode),
            Fake::Push(fake) => fake.set_mode(mode),
        }
    }

    pub fn address(&self, n: u32) -> String {
        match &self.fake {
            Fake::Apple(_) => format!("{n:064x}"),
            Fake::Google(_) => format!("dGVzdA:APA91b{n:032x}"),
            Fake::Microsoft(_) => format!("https://db5p.notify.windows.com/?token=AwYAAA{n:032x}"),
            Fake::Relay(_) => format!("person{n}@example.net"),
            Fake::Push(fake) => fake.endpoint(&subscription(n)),
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
            Fake::Google(fake) => {
                let answer = match says {
                    Says::Busy => google::Answer::refused(429, "QUOTA_EXCEEDED").retry_after(7),
                    Says::Refused => google::Answer::refused(400, "INVALID_ARGUMENT").about("message.android.ttl"),
                    Says::Gone => google::Answer::refused(404, "UNREGISTERED"),
                    Says::OurFault => google::Answer::refused(403, "PERMISSION_DENIED"),
                };
                fake.answer(&address, Some(answer));
            }
            Fake::Microsoft(fake) => {
                let answer = match says {
                    Says::Busy => microsoft::Answer::refused(200, "channelthrottled").retry_after(7),
                    Says::Refused => microsoft::Answer::refused(413, "too large"),
                    Says::Gone => microsoft::Answer::refused(410, "expired"),
                    Says::OurFault => microsoft::Answer::refused(401, "no ticket"),
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
            Fake::Push(fake) => {
                let answer = match says {
                    Says::Busy => push_service::Answer::refused(429, 201, "Too many requests").retry_after(7),
                    Says::Refused => push_service::Answer::refused(413, 104, "Payload too large"),
                    Says::Gone => push_service::Answer::gone(),
                    Says::OurFault => push_service::Answer::refused(401, 109, "Invalid VAPID token"),
                };
                fake.answer(&subscription(n), Some(answer));
            }
        }
    }

    pub fn reached(&self, n: u32) -> u64 {
        match &self.fake {
            Fake::Apple(fake) => fake.reached(&self.address(n)),
            Fake::Google(fake) => fake.reached(&self.address(n)),
            Fake::Microsoft(fake) => fake.reached(&self.address(n)),
            Fake::Relay(fake) => fake.reached(&self.address(n)),
            Fake::Push(fake) => fake.reached(&subscription(n)),
        }
    }

    pub fn connections(&self) -> u64 {
        match &self.fake {
            Fake::Apple(fake) => fake.stats().connections,
            Fake::Google(fake) => fake.stats().connections,
            Fake::Microsoft(fake) => fake.stats().connections,
            Fake::Relay(fake) => fake.stats().connections,
            Fake::Push(fake) => fake.stats().connections,
        }
    }

    /// What arrived last, as text.
    pub fn arrived(&self) -> String {
        match &self.fake {
            Fake::Apple(fake) => fake.arrivals(1).pop().expect("something arrived").payload,
            Fake::Google(fake) => fake.arrivals(1).pop().expect("something arrived").payload,
            Fake::Microsoft(fake) => fake.arrivals(1).pop().expect("something arrived").payload,
            Fake::Relay(fake) => fake.mails(1).pop().expect("something arrived").content,
            Fake::Push(fake) => fake.arrivals(1).pop().expect("something arrived").payload,
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
            Fake::Apple(_) | Fake::Google(_) => Address::Registration { token: text, app: "", sandbox: false },
            Fake::Microsoft(_) => Address::ChannelUrl { url: text },
            Fake::Relay(_) => Address::Mailbox { email: text, name: "Zoë" },
            Fake::Push(fake) => {
                let browser = fake.browser.as_ref().expect("these fakes play one");
                Address::Subscription { endpoint: text, p256dh: browser.p256dh().leak(), auth: browser.auth().leak() }
            }
        };
        let mut letter = Letter {
            wire: WireId::new(EventKey(1), PersonKey(n), 0),
            address,
            content,
            files: &[],
            urgency: Urgency::Normal,
            expires_at: now().plus(Duration::from_secs(3600)),
            now: now(),
            collapse_key: "AAAAAAAAAAAAAAAAAAAADg",
        };
        edit(&mut letter);
        slot.send(&letter).await
    }
}

/// What stands in a subscription's endpoint: as long and as hard to guess as real ones.
pub fn subscription(n: u32) -> String {
    format!("gAAAAABrAGp34j6L9fGWHXQf2Y-HaCLS_{n:010}")
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
