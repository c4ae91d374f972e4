//! Apple Push Notification service: the provider API over HTTP/2, with a signing key.
//!
//! In: words, and letters to registrations. Out: outcomes. One request per letter, POST /3/device/TOKEN. Knows nothing
//! of attempts, receipts or of who is behind a token.

mod outcomes;
mod payload;
mod probe;
mod token;

use crate::http2::{self, Pool, PoolSettings, Room, Target};
use crate::recall::{Handed, Recalls};
use crate::setup::ChannelSetupError;
use crate::spoken;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use model::channel::{Address, Boxed, Channel, ChannelKind, Lane, Letter, Probe, Rendered, Slot};
use model::event::Urgency;
use model::outcome::{Cause, Outcome};
use model::source::Words;
use model::time::{Clock, Timestamp};
use parking_lot::Mutex;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use token::ProviderToken;

/// Apple's own host; its registrations have a sandbox beside it.
const APPLE: &str = "api.push.apple.com";
/// Where registrations of development builds live.
const APPLE_SANDBOX: &str = "api.sandbox.push.apple.com";

/// Settings of the channel. There is no `Debug`: it holds a key.
#[derive(Clone)]
pub struct ApnsSettings {
    /// `https://HOST[:PORT]`, or `http://` on this machine.
    pub endpoint: String,
    /// Where registrations of the sandbox go. Without it they go to `endpoint`, except when that is Apple's own host:
    /// then they go to Apple's sandbox, because Apple's production calls every sandbox token bad.
    pub sandbox_endpoint: Option<String>,
    /// Text of the `.p8` file.
    pub key: String,
    /// Id of the key.
    pub key_id: String,
    /// Id of the team.
    pub team_id: String,
    /// Topic for registrations that name no app.
    pub topic: String,
    /// Certificates to trust instead of the machine's.
    pub ca_pem: Option<String>,
    /// Connections for campaigns; one more is kept for urgent notifications.
    pub connections: usize,
    /// Most requests in flight on a connection; Apple's SETTINGS narrow it.
    pub streams: usize,
    /// How long one request may take.
    pub deadline: Duration,
}

impl Default for ApnsSettings {
    fn default() -> Self {
        let pool = PoolSettings::default();
        ApnsSettings {
            endpoint: format!("https://{APPLE}"),
            sandbox_endpoint: None,
            key: String::new(),
            key_id: String::new(),
            team_id: String::new(),
            topic: String::new(),
            ca_pem: None,
            connections: pool.connections,
            streams: pool.streams,
            deadline: pool.deadline,
        }
    }
}

/// The channel to Apple devices.
pub struct ApnsChannel(Arc<Inner>);

struct Inner {
    target: Target,
    pool: Pool,
    sandbox: Option<(Target, Pool)>,
    token: ProviderToken,
    topic: HeaderValue,
    deadline: Duration,
    /// What the last letter's headers were made of.
    common: Mutex<Option<Common>>,
    /// Of letters to the sandbox, which wait for its connection after they were handed over.
    recalls: Recalls,
}

impl ApnsChannel {
    /// Checks the settings; opens no connection.
    ///
    /// # Errors
    /// The first setting that is wrong, with the rule and the mend.
    pub fn new(settings: ApnsSettings) -> Result<ApnsChannel, ChannelSetupError> {
        let pool = PoolSettings {
            connections: settings.connections,
            streams: settings.streams,
            deadline: settings.deadline,
            ..PoolSettings::default()
        };
        let target = |endpoint: &str, setting| Target::parse(endpoint, settings.ca_pem.as_deref(), setting, "channels.apns.ca_file");
        let main = target(&settings.endpoint, "channels.apns.endpoint")?;
        let beside = settings.sandbox_endpoint.clone().or_else(|| {
            let apple = main.host().eq_ignore_ascii_case(APPLE);
            apple.then(|| format!("https://{APPLE_SANDBOX}:{}", main.port()))
        });
        let sandbox = match beside {
            Some(endpoint) => {
                let target = target(&endpoint, "channels.apns.sandbox_endpoint")?;
                Some((target.clone(), Pool::new(target, PoolSettings { connections: 1, ..pool })))
            }
            None => None,
        };
        let topic = HeaderValue::from_str(&settings.topic).ok().filter(|topic| !topic.is_empty());
        let topic = topic.ok_or_else(|| {
            let mend = "write the app's bundle identifier, such as org.example.app";
            ChannelSetupError::new("channels.apns.topic", "it is empty or holds other than ASCII", mend)
        })?;
        let token = ProviderToken::new(&settings.key, &settings.key_id, &settings.team_id)?;
        let inner = Inner {
            pool: Pool::new(main.clone(), pool),
            target: main,
            sandbox,
            token,
            topic,
            deadline: settings.deadline,
            common: Mutex::default(),
            recalls: Recalls::default(),
        };
        Ok(ApnsChannel(Arc::new(inner)))
    }
}

impl Channel for ApnsChannel {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Apns
    }

    fn render(&self, words: &Words) -> Rendered {
        Rendered { body: payload::payload(words), ..Rendered::default() }
    }

    fn reserve_now(&self, lane: Lane) -> Option<Box<dyn Slot>> {
        let room = self.0.pool.room_now(lane)?;
        Some(Box::new(ApnsSlot { room, lane, inner: self.0.clone() }))
    }

    fn reserve(&self, lane: Lane) -> Boxed<'_, Result<Box<dyn Slot>, Outcome>> {
        Box::pin(async move {
            match self.0.pool.room(lane).await {
                Ok(room) => Ok(Box::new(ApnsSlot { room, lane, inner: self.0.clone() }) as Box<dyn Slot>),
                Err(cause) => Err(Outcome::TryLater { after: None, cause }),
            }
        })
    }

    fn recall(&self) {
        self.0.recalls.recall();
    }

    fn probe<'a>(&'a self, clock: &'a dyn Clock) -> Boxed<'a, Probe> {
        Box::pin(probe::probe(&self.0, clock))
    }
}

struct ApnsSlot {
    room: Room,
    lane: Lane,
    inner: Arc<Inner>,
}

impl Slot for ApnsSlot {
    fn send(self: Box<Self>, letter: &Letter<'_>) -> Boxed<'static, Outcome> {
        let ApnsSlot { room, lane, inner } = *self;
        let asked = match inner.ask(letter) {
            Ok(asked) => asked,
            Err(outcome) => return Box::pin(std::future::ready(outcome)),
        };
        let Asked { request, token, own_topic, sandbox } = asked;
        let (body, now) = (letter.content.body.clone(), letter.now);
        if sandbox && inner.sandbox.is_some() {
            // The sandbox has connections of its own, known only now; this one is free again at once.
            drop(room);
            let handed = inner.recalls.handed();
            return Box::pin(async move {
                let answer = inner.send_beside(lane, request, body, handed).await;
                inner.outcome(answer, &token, own_topic, now)
            });
        }
        let sent = room.send(request, body);
        Box::pin(async move {
            let answer = sent.await;
            inner.outcome(answer, &token, own_topic, now)
        })
    }
}

/// A letter as a request.
struct Asked {
    request: Request<()>,
    /// The provider token that it carries.
    token: HeaderValue,
    own_topic: bool,
    sandbox: bool,
}

/// Body of a refusal.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    reason: String,
    timestamp: Option<i64>,
}

impl Inner {
    fn ask(&self, letter: &Letter<'_>) -> Result<Asked, Outcome> {
        let Address::Registration { token: device, app, sandbox } = letter.address else {
            return Err(Outcome::OurFault(Cause::of("wrong_address", 0)));
        };
        let target = match &self.sandbox {
            Some((target, _)) if sandbox => target,
            Some(_) | None => &self.target,
        };
        // Anything but letters and digits could lead to another path; Apple's tokens are hexadecimal.
        let bad = || Outcome::AddressGone(Cause::of("BadDeviceToken", 0));
        if device.is_empty() || !device.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(bad());
        }
        let uri = target.uri(Bytes::from(["/3/device/", device].concat())).map_err(|_| bad())?;
        let own_topic = app.is_empty() || app.as_bytes() == self.topic.as_bytes();
        let topic = if own_topic { Ok(self.topic.clone()) } else { HeaderValue::from_str(app) };
        let topic = topic.map_err(|_| Outcome::OurFault(Cause::of("BadTopic", 0)))?;
        let token = self.token.at(letter.now);
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers(letter, &token, &topic);
        Ok(Asked { request, token, own_topic, sandbox })
    }

    async fn send_beside(&self, lane: Lane, request: Request<()>, body: Bytes, handed: Handed) -> Result<http2::Answer, Cause> {
        let (_, pool) = self.sandbox.as_ref().expect("the caller has looked");
        let room = tokio::time::timeout(self.deadline, pool.room(lane)).await;
        // The sandbox being away says nothing about the channel that everybody else uses.
        let room = room.unwrap_or_else(|_| Err(Cause::of("timed_out", 0))).map_err(|cause| Cause { whole_channel: false, ..cause })?;
        self.recalls.start(handed, || room.send(request, body))?.await
    }

    fn outcome(&self, answer: Result<http2::Answer, Cause>, token: &HeaderValue, own_topic: bool, now: Timestamp) -> Outcome {
        match answer {
            Ok(answer) if answer.status.as_u16() == 200 => Outcome::Accepted,
            Ok(answer) => said(&answer, own_topic, || self.token.expired(token, now), now),
            Err(cause) => Outcome::TryLater { after: None, cause },
        }
    }
}

/// What a refusal of Apple's means; `renewed` is asked when it calls the provider token old.
pub(crate) fn said(answer: &http2::Answer, own_topic: bool, renewed: impl FnOnce() -> bool, now: Timestamp) -> Outcome {
    let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let expired = refusal.reason == "ExpiredProviderToken";
    outcomes::outcome(&outcomes::Said {
        status: answer.status.as_u16(),
        reason: &refusal.reason,
        timestamp: refusal.timestamp,
        retry_after: spoken::retry_after(&answer.headers, now),
        own_topic,
        renewed: expired && renewed(),
    })
}

/// The headers that all letters of an event have in common, and what they were made of.
struct Common {
    token: HeaderValue,
    topic: HeaderValue,
    urgency: Urgency,
    expires_at: Timestamp,
    collapse_key: Box<str>,
    headers: HeaderMap,
}

impl Common {
    fn new(letter: &Letter<'_>, token: &HeaderValue, topic: &HeaderValue) -> Common {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::AUTHORIZATION, token.clone());
        headers.insert(HeaderName::from_static("apns-topic"), topic.clone());
        headers.insert(HeaderName::from_static("apns-push-type"), HeaderValue::from_static("alert"));
        headers.insert(HeaderName::from_static("apns-priority"), HeaderValue::from_static(priority(letter.urgency)));
        let expiration = letter.expires_at.unix_seconds().clamp(0, i64::from(u32::MAX));
        headers.insert(HeaderName::from_static("apns-expiration"), HeaderValue::from(expiration));
        if let Ok(collapse) = HeaderValue::from_str(letter.collapse_key)
            && !collapse.is_empty()
        {
            headers.insert(HeaderName::from_static("apns-collapse-id"), collapse);
        }
        let (urgency, expires_at) = (letter.urgency, letter.expires_at);
        Common { token: token.clone(), topic: topic.clone(), urgency, expires_at, collapse_key: letter.collapse_key.into(), headers }
    }

    fn fits(&self, letter: &Letter<'_>, token: &HeaderValue, topic: &HeaderValue) -> bool {
        *self.collapse_key == *letter.collapse_key
            && (self.expires_at, self.urgency) == (letter.expires_at, letter.urgency)
            && self.topic == *topic
            && self.token == *token
    }
}

impl Inner {
    /// The request's headers: those of the letter before, which nearly always belong to the same event, with an id of its
    /// own. The path and the id differ in every request; they are kept out of the header compression table (the id by
    /// its mark), as Apple asks, so that the rest stays in it.
    fn headers(&self, letter: &Letter<'_>, token: &HeaderValue, topic: &HeaderValue) -> HeaderMap {
        let mut headers = {
            let mut common = self.common.lock();
            match common.as_ref().filter(|common| common.fits(letter, token, topic)) {
                Some(common) => common.headers.clone(),
                None => common.insert(Common::new(letter, token, topic)).headers.clone(),
            }
        };
        let mut buffer = uuid::Uuid::encode_buffer();
        let id = letter.wire.uuid().hyphenated().encode_lower(&mut buffer);
        let mut id = HeaderValue::from_str(id).expect("a UUID is a header value");
        id.set_sensitive(true);
        headers.insert(HeaderName::from_static("apns-id"), id);
        headers
    }
}

/// Apple: 10 sends at once, 5 minds the device's power, 1 puts power before everything and wakes nothing.
fn priority(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::High | Urgency::Normal => "10",
        Urgency::Low => "5",
        Urgency::VeryLow => "1",
    }
}
