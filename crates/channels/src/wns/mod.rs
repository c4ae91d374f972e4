//! Windows Push Notification Services: toasts and raw notifications to channel URLs, as an Entra application.
//!
//! In: words, and letters to channel URLs. Out: outcomes. One request per letter, POST to the URL that the device gave,
//! over HTTP/1.1: the service's web interface is documented for nothing newer ("supports HTTP 1.1", no chunking, no
//! pipelining). Knows nothing of attempts, receipts or of who is behind a URL.

mod content;
mod hosts;
mod outcomes;
mod probe;

use crate::bearer::{Bearer, Grant, SystemClock, escaped};
use crate::http1::{Connections, Room, Site};
use crate::http2::{Answer, PoolSettings};
use crate::recall::Recalls;
use crate::setup::ChannelSetupError;
use crate::tls::Names;
use hosts::{ChannelUrl, Hosts};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use model::channel::{Address, Boxed, Channel, ChannelKind, Lane, Letter, Probe, Rendered, Slot};
use model::event::Urgency;
use model::outcome::{Cause, Outcome};
use model::source::Words;
use model::time::{Clock, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What an access token has to allow.
const SCOPE: &str = "https://wns.windows.com/.default";
/// Longest tag that Windows takes, in characters.
const MOST_TAG: usize = 16;
/// Group of all our toasts.
const GROUP: HeaderValue = HeaderValue::from_static("carillon");
/// How long a letter may wait for a connection to its host after it was handed over.
const ROOM_WITHIN: Duration = Duration::from_secs(1);
const SECRET_SETTING: &str = "channels.wns.secret_file";

/// Settings of the channel. There is no `Debug`: it holds a secret.
#[derive(Clone)]
pub struct WnsSettings {
    /// Where every letter goes instead of the host that its channel URL names: `https://HOST[:PORT]`, or `http://` on
    /// this machine. For tests and gateways.
    pub endpoint_override: Option<String>,
    /// Where access tokens come from: `https://login.microsoftonline.com/TENANT/oauth2/v2.0/token`.
    pub token_endpoint: String,
    /// The Entra application's id.
    pub client_id: String,
    /// Its secret.
    pub secret: String,
    /// Certificates to trust instead of the machine's, at both endpoints.
    pub ca_pem: Option<String>,
    /// Most requests under way at once, each on a connection of its own; as many again may be urgent ones.
    pub connections: usize,
    /// How long one request may take.
    pub deadline: Duration,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Default for WnsSettings {
    fn default() -> Self {
        WnsSettings {
            endpoint_override: None,
            token_endpoint: String::new(),
            client_id: String::new(),
            secret: String::new(),
            ca_pem: None,
            connections: 32,
            deadline: PoolSettings::default().deadline,
            clock: Arc::new(SystemClock),
        }
    }
}

/// The channel to Windows devices.
pub struct WnsChannel(Arc<Inner>);

struct Inner {
    way: Way,
    bearer: Arc<Bearer>,
    deadline: Duration,
    /// Of letters that wait for a connection to their host after they were handed over.
    recalls: Recalls,
}

/// Where letters go.
enum Way {
    /// All to one place.
    Override(Arc<Connections>),
    /// Each to the host that its URL names. Which one is known only when the letter is handed over, so what is reserved
    /// is a place among those under way.
    Hosts { hosts: Arc<Hosts>, urgent: Arc<Semaphore>, bulk: Arc<Semaphore> },
}

/// What was reserved.
enum Berth {
    Room(Room),
    Place(OwnedSemaphorePermit, Arc<Hosts>),
}

impl WnsChannel {
    /// Checks the settings; opens no connection.
    ///
    /// # Errors
    /// The first setting that is wrong, with the rule and the mend.
    pub fn new(settings: WnsSettings) -> Result<WnsChannel, ChannelSetupError> {
        let ca_pem = settings.ca_pem.clone();
        let connect = PoolSettings::default().connect;
        let lines = settings.connections.max(1);
        let open = move |site| Connections::new(site, lines, connect);
        let way = match &settings.endpoint_override {
            Some(endpoint) => Way::Override(open(place(endpoint, ca_pem.as_deref(), "channels.wns.endpoint_override")?)),
            None => {
                let names = Names { host: "channel URL", ca: "channels.wns.ca_file" };
                // Certificates are read once, now: that takes long, and a wrong CA file is found at the start.
                let (first, _) = Site::parse("https://dm3p.notify.windows.com/", ca_pem.as_deref(), &names)?;
                let made = move |host: &str| first.beside(host).ok_or_else(|| Cause::of("wrong_address", 0));
                let (urgent, bulk) = (Arc::new(Semaphore::new(lines)), Arc::new(Semaphore::new(lines)));
                Way::Hosts { hosts: Arc::new(Hosts::new(made, open)), urgent, bulk }
            }
        };
        let names = Names { host: "channels.wns.token_endpoint", ca: "channels.wns.ca_file" };
        let (site, path) = Site::parse(&settings.token_endpoint, settings.ca_pem.as_deref(), &names)?;
        for (setting, value) in [("channels.wns.client_id", &settings.client_id), (SECRET_SETTING, &settings.secret)] {
            if value.is_empty() {
                return Err(ChannelSetupError::new(setting, "it is empty", "copy it from the app registration in Entra"));
            }
        }
        let grant = ClientCredentials { client_id: settings.client_id, secret: settings.secret };
        let bearer = Bearer::new(site, path, Box::new(grant), settings.clock);
        Ok(WnsChannel(Arc::new(Inner { way, bearer, deadline: settings.deadline, recalls: Recalls::default() })))
    }

    fn slot(&self, lane: Lane, berth: Berth, authorization: HeaderValue) -> Box<dyn Slot> {
        Box::new(WnsSlot { lane, berth, authorization, inner: self.0.clone() })
    }
}

/// A host without a path.
fn place(endpoint: &str, ca_pem: Option<&str>, setting: &'static str) -> Result<Site, ChannelSetupError> {
    let (site, path) = Site::parse(endpoint, ca_pem, &Names { host: setting, ca: "channels.wns.ca_file" })?;
    if path != "/" {
        return Err(ChannelSetupError::new(setting, "holds more than a host and a port", "write https://HOST or https://HOST:PORT"));
    }
    Ok(site)
}

/// RFC 6749 §4.4 with the secret in the form, as Entra documents it.
struct ClientCredentials {
    client_id: String,
    secret: String,
}

impl Grant for ClientCredentials {
    fn form(&self, _now: Timestamp) -> String {
        let (id, secret, scope) = (escaped(&self.client_id), escaped(&self.secret), escaped(SCOPE));
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope={scope}")
    }
}

impl Channel for WnsChannel {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Wns
    }

    fn render(&self, words: &Words) -> Rendered {
        content::content(words)
    }

    fn reserve_now(&self, lane: Lane) -> Option<Box<dyn Slot>> {
        let authorization = self.0.bearer.now()?;
        let berth = match &self.0.way {
            Way::Override(connections) => Berth::Room(connections.room_now(lane)?),
            Way::Hosts { hosts, urgent, bulk } => {
                let places = if lane == Lane::Urgent { urgent } else { bulk };
                Berth::Place(places.clone().try_acquire_owned().ok()?, hosts.clone())
            }
        };
        Some(self.slot(lane, berth, authorization))
    }

    fn reserve(&self, lane: Lane) -> Boxed<'_, Result<Box<dyn Slot>, Outcome>> {
        Box::pin(async move {
            let authorization = self.0.bearer.current().await?;
            let berth = match &self.0.way {
                Way::Override(connections) => {
                    let room = connections.room(lane).await;
                    Berth::Room(room.map_err(|cause| Outcome::TryLater { after: None, cause })?)
                }
                Way::Hosts { hosts, urgent, bulk } => {
                    let places = if lane == Lane::Urgent { urgent } else { bulk };
                    Berth::Place(places.clone().acquire_owned().await.expect("the semaphore is never closed"), hosts.clone())
                }
            };
            Ok(self.slot(lane, berth, authorization))
        })
    }

    fn recall(&self) {
        self.0.recalls.recall();
    }

    fn probe<'a>(&'a self, clock: &'a dyn Clock) -> Boxed<'a, Probe> {
        Box::pin(probe::probe(&self.0, clock))
    }
}

struct WnsSlot {
    lane: Lane,
    berth: Berth,
    authorization: HeaderValue,
    inner: Arc<Inner>,
}

impl Slot for WnsSlot {
    fn send(self: Box<Self>, letter: &Letter<'_>) -> Boxed<'static, Outcome> {
        let WnsSlot { lane, berth, authorization, inner } = *self;
        let Address::ChannelUrl { url } = letter.address else {
            return Box::pin(std::future::ready(Outcome::OurFault(Cause::of("wrong_address", 0))));
        };
        // A URL that is none of Microsoft's was never a channel: it is dead, and nothing is sent to it.
        let wrong = || Box::pin(std::future::ready(Outcome::AddressGone(Cause::of("not_a_channel_url", 0))));
        let Some(url) = ChannelUrl::read(url) else { return wrong() };
        let Some(request) = request(letter, url, authorization.clone()) else { return wrong() };
        let (body, now, deadline) = (letter.content.body.clone(), letter.now, inner.deadline);
        match berth {
            Berth::Room(room) => {
                let sent = room.send(request, body, deadline);
                Box::pin(async move { inner.outcome(sent.await, &authorization, now) })
            }
            Berth::Place(place, hosts) => {
                let connections = match hosts.of(url.host) {
                    Ok(connections) => connections,
                    Err(cause) => return Box::pin(std::future::ready(Outcome::AddressGone(cause))),
                };
                // Usually there is an open connection, and the request starts before this returns.
                let room = connections.room_now(lane);
                let sent = room.map(|room| Ok(room.send(request.clone(), body.clone(), deadline)));
                let handed = inner.recalls.handed();
                Box::pin(async move {
                    let _place = place;
                    let sent = match sent {
                        Some(sent) => sent,
                        None => match beside(&connections, lane).await {
                            Ok(room) => inner.recalls.start(handed, || room.send(request, body, deadline)),
                            Err(cause) => Err(cause),
                        },
                    };
                    let answer = match sent {
                        Ok(sent) => sent.await,
                        Err(cause) => Err(cause),
                    };
                    inner.outcome(answer, &authorization, now)
                })
            }
        }
    }
}

/// Room at one of many hosts, for whom there was no open connection when the letter was handed over. It is not waited for
/// long, for it keeps a place among those under way. The connection is opened all the same, and is there for the next
/// attempt. One host being away says nothing about the others.
async fn beside(connections: &Arc<Connections>, lane: Lane) -> Result<Room, Cause> {
    connections.room_within(lane, ROOM_WITHIN).await.map_err(|cause| Cause { whole_channel: false, ..cause })
}

impl Inner {
    fn outcome(&self, answer: Result<Answer, Cause>, used: &HeaderValue, now: Timestamp) -> Outcome {
        match answer {
            Ok(answer) => said(&answer, || self.bearer.refused(used), now),
            Err(cause) => Outcome::TryLater { after: None, cause },
        }
    }
}

/// Whether a device's channel URL leads to the service.
pub(crate) fn leads_to_wns(url: &str) -> bool {
    ChannelUrl::read(url).is_some()
}

/// What an answer of Microsoft's means; `renewed` is asked when it refuses the access token.
pub(crate) fn said(answer: &Answer, renewed: impl FnOnce() -> bool, now: Timestamp) -> Outcome {
    let status = answer.status.as_u16();
    outcomes::outcome(&outcomes::Said { status, headers: &answer.headers, now, renewed: status == 401 && renewed() })
}

fn request(letter: &Letter<'_>, url: ChannelUrl<'_>, authorization: HeaderValue) -> Option<Request<()>> {
    let path = if url.path.starts_with('?') { format!("/{}", url.path) } else { url.path.to_owned() };
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().ok()?;
    *request.headers_mut() = headers(letter, authorization);
    Some(request)
}

fn headers(letter: &Letter<'_>, authorization: HeaderValue) -> HeaderMap {
    let raw = content::is_raw(letter.content);
    let name = HeaderName::from_static;
    let mut headers = HeaderMap::with_capacity(10);
    headers.insert(header::AUTHORIZATION, authorization);
    let (kind, form) = if raw { ("wns/raw", "application/octet-stream") } else { ("wns/toast", "text/xml") };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
    headers.insert(name("x-wns-type"), HeaderValue::from_static(kind));
    headers.insert(name("x-wns-ttl"), HeaderValue::from(letter.expires_at.since(letter.now).as_secs().max(1)));
    headers.insert(name("x-wns-requestforstatus"), HeaderValue::from_static("true"));
    headers.insert(name("x-wns-priority"), HeaderValue::from_static(priority(letter.urgency)));
    if raw {
        // Raw notifications are not kept for a device that is away unless one asks for it.
        headers.insert(name("x-wns-cache-policy"), HeaderValue::from_static("cache"));
    } else {
        headers.insert(name("x-wns-tag"), tag(letter.collapse_key));
        headers.insert(name("x-wns-group"), GROUP);
    }
    headers
}

/// Letters and digits only, at most 16 of them: the end of the collapse key, which tells events apart best.
fn tag(collapse_key: &str) -> HeaderValue {
    let plain: Vec<u8> = collapse_key
        .bytes()
        .map(|b| match b {
            b'-' => b'x',
            b'_' => b'y',
            b => b,
        })
        .filter(u8::is_ascii_alphanumeric)
        .collect();
    let end = &plain[plain.len().saturating_sub(MOST_TAG)..];
    HeaderValue::from_bytes(end).expect("letters and digits are a header value")
}

/// Microsoft: 1 is delivered at once, 3 minds the device's power, 4 waits for mains. Toasts have 1 unless told.
fn priority(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::High | Urgency::Normal => "1",
        Urgency::Low => "3",
        Urgency::VeryLow => "4",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_windows_takes() {
        assert_eq!(tag("AAAAAAAAAAAAAAAAAAAADg"), "AAAAAAAAAAAAAADg");
        assert_eq!(tag("0123456789abcdef-_ghij"), "6789abcdefxyghij");
        assert_eq!(tag("é"), "");
    }

    /// A channel without an override, to which every host of the service is the fake, but for one that is away.
    async fn to_hosts() -> (fakes::microsoft::Running, WnsChannel) {
        let application = fakes::microsoft::Application::generate();
        let grant = ClientCredentials { client_id: application.client_id.clone(), secret: application.secret.clone() };
        let fake = fakes::microsoft::start(fakes::microsoft::Options::default(), application).await.expect("a free port");
        let names = || Names { host: "h", ca: "c" };
        let endpoint = fake.endpoint();
        let made = move |host: &str| {
            let endpoint = if host.starts_with("away") { "http://127.0.0.1:9" } else { endpoint.as_str() };
            Site::parse(endpoint, None, &names()).map(|(site, _)| site).map_err(|_| Cause::of("wrong_address", 0))
        };
        let hosts = Arc::new(Hosts::new(made, |site| Connections::new(site, 2, Duration::from_secs(1))));
        let (site, path) = Site::parse(&fake.token_endpoint(), None, &names()).expect("a URL");
        let way = Way::Hosts { hosts, urgent: Arc::new(Semaphore::new(2)), bulk: Arc::new(Semaphore::new(8)) };
        let bearer = Bearer::new(site, path, Box::new(grant), Arc::new(SystemClock));
        (fake, WnsChannel(Arc::new(Inner { way, bearer, deadline: Duration::from_secs(2), recalls: Recalls::default() })))
    }

    async fn tell(channel: &WnsChannel, url: &str) -> Outcome {
        hand(channel, url).await.await
    }

    async fn hand(channel: &WnsChannel, url: &str) -> Boxed<'static, Outcome> {
        let content =
            Rendered { head: bytes::Bytes::from_static(b"wns/raw"), body: bytes::Bytes::from_static(b"{}"), ..Rendered::default() };
        let letter = Letter {
            wire: model::WireId::from(uuid::Uuid::nil()),
            address: Address::ChannelUrl { url },
            content: &content,
            files: &[],
            urgency: Urgency::Normal,
            expires_at: Timestamp(60_000),
            now: Timestamp(0),
            collapse_key: "k",
        };
        let slot = channel.reserve(Lane::Bulk).await.map_err(|o| format!("{o:?}")).expect("a place");
        slot.send(&letter)
    }

    #[tokio::test]
    async fn without_an_override_each_host_has_its_connections_and_one_that_is_away_harms_no_other() {
        let (fake, channel) = to_hosts().await;
        let url = |host: &str, n: u32| format!("https://{host}.notify.windows.com/?token={n}");
        let tries = (0..40).map(|n| url(["db5p", "dm3p", "hk2p"][n as usize % 3], n)).collect::<Vec<_>>();
        for outcome in futures_util::future::join_all(tries.iter().map(|url| tell(&channel, url))).await {
            assert_eq!(outcome, Outcome::Accepted);
        }
        assert!(fake.stats().distinct == 40 && fake.stats().connections <= 6, "{:?}", fake.stats());
        let away = tell(&channel, &url("away", 1)).await;
        assert!(matches!(&away, Outcome::TryLater { cause, .. } if !cause.whole_channel && cause.code == "connection_refused"), "{away:?}");
        assert_eq!(tell(&channel, &url("db5p", 41)).await, Outcome::Accepted);
    }

    #[tokio::test]
    async fn a_letter_that_waits_for_its_host_is_recalled_and_one_that_is_on_its_way_is_not() {
        let (fake, channel) = to_hosts().await;
        let url = "https://db5p.notify.windows.com/?token=1";
        let waits = hand(&channel, url).await;
        channel.recall();
        let recalled = Outcome::TryLater { after: None, cause: Cause::of("recalled", 0) };
        assert_eq!((waits.await, fake.stats().requests), (recalled, 0));
        assert_eq!(tell(&channel, url).await, Outcome::Accepted, "what is handed over afterwards goes");
        let on_its_way = hand(&channel, url).await;
        channel.recall();
        assert_eq!((on_its_way.await, fake.stats().requests), (Outcome::Accepted, 2));
    }

    #[test]
    fn credentials_are_asked_with_as_entra_documents_it() {
        let grant = ClientCredentials { client_id: "0b5c".into(), secret: "a~b&c=d".into() };
        assert_eq!(
            grant.form(Timestamp(0)),
            "grant_type=client_credentials&client_id=0b5c&client_secret=a~b%26c%3Dd&scope=https%3A%2F%2Fwns.windows.com%2F.default"
        );
    }
}
