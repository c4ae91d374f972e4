//! Web Push: messages to browsers through the push services that they chose (RFC 8030), encrypted for each browser (RFC
//! 8291), signed with our own key (RFC 8292).
//!
//! In: words, and letters to subscriptions. Out: outcomes. One request per letter, POST to the subscription's URL, over
//! HTTP/2, or HTTP/1.1 where a service speaks nothing newer. The URL comes from users: it has to be HTTPS, its host is reached through a guard, and redirections are not
//! followed. Every subscription may name another service, so what one of them says concerns the whole channel
//! only when all say it.

mod identities;
mod origins;
mod outcomes;
mod payload;
mod seal;
mod sealers;
mod vapid;

pub use vapid::vapid_public_key;

use crate::guard::Guard;
use crate::http2::{self, PoolSettings};
use crate::recall::{Handed, Recalls};
use crate::setup::ChannelSetupError;
use crate::spoken;
use crate::tls::{self, Names};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use identities::{Chosen, Identities};
use model::channel::{Address, Boxed, Channel, ChannelKind, Finding, Lane, Letter, Probe, Rendered, Slot};
use model::event::{MAX_EXPIRY, Urgency};
use model::outcome::{Cause, Outcome};
use model::source::Words;
use model::time::{Clock, Timestamp};
use origins::{Connectors, Endpoint, Origin, Origins, Room};
use seal::{Keys, Unusable};
use sealers::Sealers;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Letters of campaigns under way at once, over all services: what two connections to each of the usual ones carry.
const BULK_ROOM: usize = 2000;
/// Urgent letters under way at once.
const URGENT_ROOM: usize = 250;

/// Settings of the channel. There is no `Debug`: it holds a key.
#[derive(Clone)]
pub struct WebPushSettings {
    /// Text of the key file (PKCS #8 in PEM, P-256); browsers subscribe with its first key, and subscriptions that were made for a
    /// later one are still served.
    pub key: String,
    /// Whom a push service may write to: `mailto:…` or `https://…`.
    pub subject: String,
    /// Whether endpoints may lie in private networks and on this machine.
    pub allow_private_endpoints: bool,
    /// Certificates to trust beside the machine's.
    pub ca_pem: Option<String>,
    /// Connections to one service for campaigns; one more is kept for urgent notifications.
    pub connections: usize,
    /// Most requests in flight on a connection; the service's SETTINGS narrow it.
    pub streams: usize,
    /// How long one request may take, and how long one may wait for its connection.
    pub deadline: Duration,
}

impl Default for WebPushSettings {
    fn default() -> Self {
        let pool = PoolSettings::default();
        WebPushSettings {
            key: String::new(),
            subject: String::new(),
            allow_private_endpoints: false,
            ca_pem: None,
            connections: pool.connections,
            streams: pool.streams,
            deadline: pool.deadline,
        }
    }
}

/// The channel to browsers.
pub struct WebPushChannel(Arc<Inner>);

struct Inner {
    identities: Identities,
    origins: Origins,
    urgent: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    deadline: Duration,
    /// Started with the first campaign.
    sealers: OnceLock<Option<Sealers>>,
    recalls: Recalls,
}

impl WebPushChannel {
    /// Checks the settings; opens no connection.
    ///
    /// # Errors
    /// The first setting that is wrong, with the rule and the mend.
    pub fn new(settings: WebPushSettings) -> Result<WebPushChannel, ChannelSetupError> {
        let identities = Identities::new(&settings.key, &settings.subject)?;
        let names = Names { host: "channels.webpush", ca: "channels.webpush.ca_file" };
        let connector = |alpn: &[&[u8]]| tls::for_many(settings.ca_pem.as_deref(), alpn, &names);
        let connectors = Connectors { usual: connector(&[b"h2", b"http/1.1"])?, old: connector(&[b"http/1.1"])? };
        let pool = PoolSettings {
            connections: settings.connections,
            streams: settings.streams,
            deadline: settings.deadline,
            ..PoolSettings::default()
        };
        let inner = Inner {
            identities,
            origins: Origins::new(connectors, Guard::new(settings.allow_private_endpoints), pool),
            urgent: Arc::new(Semaphore::new(URGENT_ROOM)),
            bulk: Arc::new(Semaphore::new(BULK_ROOM)),
            deadline: settings.deadline,
            sealers: OnceLock::new(),
            recalls: Recalls::default(),
        };
        Ok(WebPushChannel(Arc::new(inner)))
    }

    fn slot(&self, lane: Lane, permit: OwnedSemaphorePermit) -> Box<dyn Slot> {
        Box::new(WebPushSlot { lane, permit, inner: self.0.clone() })
    }
}

impl Channel for WebPushChannel {
    fn kind(&self) -> ChannelKind {
        ChannelKind::WebPush
    }

    fn render(&self, words: &Words) -> Rendered {
        Rendered { body: payload::payload(words), ..Rendered::default() }
    }

    fn reserve_now(&self, lane: Lane) -> Option<Box<dyn Slot>> {
        let permit = self.0.room(lane).clone().try_acquire_owned().ok()?;
        Some(self.slot(lane, permit))
    }

    fn recall(&self) {
        self.0.recalls.recall();
    }

    /// Room is counted over all services: which of them a letter goes to is known only when it is sent.
    fn reserve(&self, lane: Lane) -> Boxed<'_, Result<Box<dyn Slot>, Outcome>> {
        Box::pin(async move {
            let permit = self.0.room(lane).clone().acquire_owned().await.expect("the semaphore is never closed");
            Ok(self.slot(lane, permit))
        })
    }

    /// Which services there are to reach, the browsers say; what can be tried without one is the key pair.
    fn probe<'a>(&'a self, _clock: &'a dyn Clock) -> Boxed<'a, Probe> {
        let found = format!("the VAPID key can be read and signs; its public key begins with {}", self.0.identities.in_force().hint());
        let services = "each browser names its own push service, so none is tried without sending to somebody";
        let findings = vec![Finding::fine("VAPID key", found), Finding::fine("connection", services)];
        Box::pin(std::future::ready(Probe { findings, clock_ahead_ms: None }))
    }
}

struct WebPushSlot {
    lane: Lane,
    permit: OwnedSemaphorePermit,
    inner: Arc<Inner>,
}

impl Slot for WebPushSlot {
    /// An urgent letter is encrypted here and is on its stream before this returns, where a connection has room at once, which
    /// is the usual case. The letters of a campaign are encrypted beside the sending thread, and go when that is done and
    /// there is room, unless they are recalled.
    fn send(self: Box<Self>, letter: &Letter<'_>) -> Boxed<'static, Outcome> {
        let WebPushSlot { lane, permit, inner } = *self;
        let asked = match inner.ask(letter) {
            Ok(asked) => asked,
            Err(outcome) => return Box::pin(std::future::ready(outcome)),
        };
        if lane == Lane::Urgent
            && let Some(room) = asked.origin.room_now(lane)
        {
            let (origin, chosen, now) = (asked.origin.clone(), asked.chosen, asked.now);
            let sent = seal::seal(&asked.plain, &asked.keys).map(|body| asked.put(room, body, inner.deadline));
            return Box::pin(async move {
                let outcome = match sent {
                    Ok(sent) => inner.outcome(&origin, chosen, sent.await, now),
                    Err(why) => unusable(why),
                };
                drop(permit);
                outcome
            });
        }
        let sealed = match lane {
            Lane::Urgent => None,
            Lane::Bulk => inner.sealers().map(|sealers| sealers.seal(asked.plain.clone(), asked.keys.clone())),
        };
        let handed = inner.recalls.handed();
        Box::pin(async move {
            let outcome = inner.send_later(lane, asked, sealed, handed).await;
            drop(permit);
            outcome
        })
    }
}

/// A letter as a request, all but encrypted.
struct Asked {
    origin: Arc<Origin>,
    request: Request<()>,
    keys: Keys,
    plain: Bytes,
    now: Timestamp,
    chosen: Chosen,
}

impl Asked {
    /// Puts the request on its stream before it returns.
    fn put(self, room: Room, body: Bytes, deadline: Duration) -> Boxed<'static, Result<http2::Answer, Cause>> {
        let mut request = self.request;
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        room.send(request, body, deadline)
    }
}

/// A message that is being encrypted elsewhere.
type Sealing = oneshot::Receiver<Result<Bytes, Unusable>>;

/// What becomes of a subscription that nothing can be encrypted for. A public key that is none is the subscription's own
/// fault; a secret that cannot be read may have been sealed with a key that we lost, and then every one of them is like that.
fn unusable(unusable: Unusable) -> Outcome {
    match unusable {
        Unusable::Point => Outcome::AddressGone(Cause::of("bad_subscription_key", 0)),
        Unusable::Secret => Outcome::OurFault(Cause::of("unreadable_subscription_secret", 0)),
    }
}

impl Inner {
    fn room(&self, lane: Lane) -> &Arc<Semaphore> {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Bulk => &self.bulk,
        }
    }

    fn ask(&self, letter: &Letter<'_>) -> Result<Asked, Outcome> {
        let Address::Subscription { endpoint, p256dh, auth } = letter.address else {
            return Err(Outcome::OurFault(Cause::of("wrong_address", 0)));
        };
        let chosen = self.identities.choose(endpoint);
        let endpoint = Endpoint::parse(endpoint).ok_or_else(|| Outcome::AddressGone(Cause::of("bad_endpoint", 0)))?;
        let keys = Keys::parse(p256dh, auth).map_err(unusable)?;
        let origin = self.origins.find(&endpoint.authority).map_err(Outcome::Rejected)?;
        if let Some(outcome) = origin.resting(letter.now) {
            return Err(self.origins.judged(&origin, outcome, letter.now));
        }
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers(letter, origin.token(&self.identities, chosen, letter.now));
        *request.uri_mut() = origin.uri(endpoint.path);
        Ok(Asked { origin, request, keys, plain: letter.content.body.clone(), now: letter.now, chosen })
    }

    fn sealers(&self) -> Option<&Sealers> {
        self.sealers.get_or_init(Sealers::start).as_ref()
    }

    /// Waits for the encryption and for room, looks whether the letter was recalled meanwhile, and sends it.
    async fn send_later(&self, lane: Lane, asked: Asked, sealed: Option<Sealing>, handed: Handed) -> Outcome {
        let (origin, chosen, now) = (asked.origin.clone(), asked.chosen, asked.now);
        let sealed = match sealed {
            // Nobody answers when the threads have ended: then it is done here.
            Some(sealed) => sealed.await.unwrap_or_else(|_| seal::seal(&asked.plain, &asked.keys)),
            None => seal::seal(&asked.plain, &asked.keys),
        };
        let body = match sealed {
            Ok(body) => body,
            Err(why) => return unusable(why),
        };
        let room = match origin.room_now(lane) {
            Some(room) => Ok(room),
            None => {
                // On the heap, for opening a connection takes kilobytes of state and every letter would carry them.
                let room = Box::pin(tokio::time::timeout(self.deadline, origin.room(lane))).await;
                room.unwrap_or_else(|_| Err(Cause::of("timed_out", 0)))
            }
        };
        let room = match room {
            Ok(room) => room,
            Err(cause) => return self.outcome(&origin, chosen, Err(cause), now),
        };
        match self.recalls.start(handed, || asked.put(room, body, self.deadline)) {
            Ok(sent) => self.outcome(&origin, chosen, sent.await, now),
            Err(cause) => Outcome::TryLater { after: None, cause },
        }
    }

    fn outcome(&self, origin: &Origin, chosen: Chosen, answer: Result<http2::Answer, Cause>, now: Timestamp) -> Outcome {
        let outcome = match answer {
            // The next attempt goes with an older key, and what this one was answered says nothing about the service.
            Ok(answer) if outcomes::may_want_another_key(&read(&answer, false, now)) && self.identities.go_back(chosen) => {
                return Outcome::TryLater { after: None, cause: Cause::of("VapidKeyMismatch", answer.status.as_u16()) };
            }
            Ok(answer) => said(&answer, origin.is_proven(), now),
            // One service that cannot be reached says nothing about the others; that is for `note` to judge.
            Err(cause) => Outcome::TryLater { after: None, cause },
        };
        self.origins.note(origin, outcome, now)
    }
}

/// What an answer of a push service means.
pub(crate) fn said(answer: &http2::Answer, key_proven: bool, now: Timestamp) -> Outcome {
    outcomes::outcome(&read(answer, key_proven, now))
}

fn read(answer: &http2::Answer, key_proven: bool, now: Timestamp) -> outcomes::Said<'_> {
    let retry_after = spoken::retry_after(&answer.headers, now);
    outcomes::Said { status: answer.status.as_u16(), body: &answer.body, retry_after, key_proven }
}

/// Reads a subscription as a browser gave it and, when it can be used, seals something for it.
pub(crate) fn subscription(endpoint: &str, p256dh: &str, auth: &str) -> bool {
    let keys = seal::Keys::parse(p256dh, auth);
    let sealed = keys.is_ok_and(|keys| seal::seal(b"{}", &keys).is_ok());
    origins::Endpoint::parse(endpoint).is_some() && sealed
}

/// The request's headers (RFC 8030 §5, RFC 8188, RFC 8292).
fn headers(letter: &Letter<'_>, token: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::AUTHORIZATION, token);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
    let ttl = letter.expires_at.since(letter.now).min(MAX_EXPIRY).as_secs();
    headers.insert(HeaderName::from_static("ttl"), HeaderValue::from(ttl));
    headers.insert(HeaderName::from_static("urgency"), HeaderValue::from_static(urgency(letter.urgency)));
    if let Ok(topic) = HeaderValue::from_str(letter.collapse_key)
        && !topic.is_empty()
    {
        headers.insert(HeaderName::from_static("topic"), topic);
    }
    headers
}

/// RFC 8030 §5.3.
fn urgency(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::VeryLow => "very-low",
        Urgency::Low => "low",
        Urgency::Normal => "normal",
        Urgency::High => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_under_way_takes_little_memory() {
        let authority = fakes::Authority::generate().expect("randomness");
        let key = fakes::apple::Key::generate("K", "T");
        let ca_pem = Some(authority.pem().to_owned());
        let subject = "mailto:a@example.org".to_owned();
        let settings = WebPushSettings { key: key.pem().to_owned(), subject, ca_pem, ..WebPushSettings::default() };
        let inner = WebPushChannel::new(settings).expect("good settings").0;
        let browser = fakes::push_service::Browser::generate();
        let keys = Keys::parse(&browser.p256dh(), &browser.auth()).expect("keys");
        let origin = inner.origins.find(&"push.example.net".parse().expect("a host")).expect("an origin");
        let asked = Asked {
            origin,
            request: Request::new(()),
            keys,
            plain: Bytes::new(),
            now: Timestamp(0),
            chosen: Chosen { subscription: 0, key: 0 },
        };
        let handed = inner.recalls.handed();
        let bytes = std::mem::size_of_val(&inner.send_later(Lane::Bulk, asked, None, handed));
        assert!(bytes <= 2048, "{bytes} bytes");
    }
}
