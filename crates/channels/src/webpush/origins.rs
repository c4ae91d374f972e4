//! Push services by their origin: for each its connections and a token. Browsers choose their service, so there may be
//! many; the usual ones are kept, and of the others the most recently used.

use super::identities::{Chosen, Identities, MOST_KEYS};
use super::vapid::Token;
use crate::guard::Guard;
use crate::http1::{self, Connections, Site};
use crate::http2::{self, Answer, Pool, PoolSettings, Target};
use crate::tls::Tls;
use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::uri::{Authority, PathAndQuery};
use http::{Uri, uri};
use model::channel::{Boxed, Lane};
use model::outcome::{Cause, Outcome};
use model::time::Timestamp;
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio_rustls::TlsConnector;

/// Origins known at once: each may hold a few connections. Nearly all browsers share five.
const MOST_ORIGINS: usize = 256;
/// Connections for campaigns to a service that speaks HTTP/1.1 only, one request at a time on each.
const OLD_CONNECTIONS: usize = 16;
/// Hosts, or ends of hosts, of the services behind nearly all browsers: Chrome and Edge on Android, Firefox, Safari, Edge.
const USUAL: [&str; 5] =
    ["fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com", ".push.apple.com", ".notify.windows.com"];
/// Refusals of our key in a row, with no acceptance between them, before a service is left in peace for a while.
const MOST_REFUSALS: u32 = 10;
/// Letters in a row without a good answer after which a service counts as being in trouble.
const IN_TROUBLE: u32 = 3;
/// Services that were not used for so long say nothing about how we stand.
const LATELY: Duration = Duration::from_secs(60);
/// How long it is left in peace. A person has to mend the key or the clock meanwhile.
const PEACE: Duration = Duration::from_secs(60);

/// One push service.
pub(super) struct Origin {
    /// As tokens name it (RFC 6454 §6.2): no port when it is the usual one.
    name: String,
    authority: Authority,
    pool: Pool,
    /// Taken instead of the pool once the service has shown that it speaks HTTP/1.1 only.
    old: Arc<Connections>,
    speaks_old: AtomicBool,
    /// One for each key pair.
    tokens: [Token; MOST_KEYS],
    usual: bool,
    used: AtomicU64,
    /// It has accepted a letter that was signed with our key.
    proven: AtomicBool,
    health: Mutex<Health>,
}

/// What the last answers of a service say about it.
#[derive(Default)]
struct Health {
    /// Answers in a row that refuse our key.
    refusals: u32,
    /// Letters in a row for which there was no connection, or an answer that refuses our key.
    trouble: u32,
    /// When there was the last answer, or should have been.
    noted: Timestamp,
    /// What is answered instead of asking, and until when.
    rest: Option<(Outcome, Timestamp)>,
}

impl Origin {
    fn new(authority: &Authority, connectors: &Connectors, guard: &Guard, settings: PoolSettings) -> Option<Origin> {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).ok()?;
        let tls = Tls { connector: connectors.usual.clone(), name: name.clone() };
        let old = Site::guarded(authority, Tls { connector: connectors.old.clone(), name }, guard.clone());
        let usual = is_usual(host);
        Some(Origin {
            name: format!("https://{authority}"),
            authority: authority.clone(),
            pool: Pool::new(Target::guarded(authority.clone(), tls, guard.clone()), settings),
            old: Connections::new(old, OLD_CONNECTIONS, settings.connect),
            speaks_old: AtomicBool::new(false),
            tokens: Default::default(),
            usual,
            used: AtomicU64::new(0),
            proven: AtomicBool::new(false),
            health: Mutex::default(),
        })
    }

    /// The `authorization` header for this service.
    pub(super) fn token(&self, identities: &Identities, chosen: Chosen, now: Timestamp) -> HeaderValue {
        self.tokens[chosen.key].at(identities.at(chosen), &self.name, now)
    }

    /// Room on a ready connection of a lane, if there is some right now and nobody stands in line.
    pub(super) fn room_now(&self, lane: Lane) -> Option<Room> {
        match self.speaks_old.load(Ordering::Relaxed) {
            false => self.pool.room_now(lane).map(Room::Usual),
            true => self.old.room_now(lane).map(Room::Old),
        }
    }

    /// Waits for room on a ready connection of a lane: of HTTP/2, unless the service does not speak it.
    ///
    /// # Errors
    /// Why there can be no connection now.
    pub(super) async fn room(&self, lane: Lane) -> Result<Room, Cause> {
        if !self.speaks_old.load(Ordering::Relaxed) {
            match self.pool.room(lane).await {
                Err(cause) if cause.code == "no_http2" => self.speaks_old.store(true, Ordering::Relaxed),
                room => return room.map(Room::Usual),
            }
        }
        self.old.room(lane).await.map(Room::Old)
    }

    /// The URI of a path here.
    pub(super) fn uri(&self, path: PathAndQuery) -> Uri {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(uri::Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).expect("scheme, authority and path are all there")
    }

    /// Whether this service has accepted a letter with our key since it is known here.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// What every letter is answered while the service refuses our key; so it is not asked a million times.
    pub(super) fn resting(&self, now: Timestamp) -> Option<Outcome> {
        let health = self.health.lock();
        let (outcome, until) = health.rest.as_ref()?;
        // A clock that is set back must not prolong the rest.
        (now < *until && until.since(now) <= PEACE).then(|| outcome.clone())
    }

    /// Takes note of an answer, or of its absence.
    fn note(&self, outcome: &Outcome, now: Timestamp) {
        let mut health = self.health.lock();
        health.noted = now;
        match outcome {
            Outcome::Accepted => {
                self.proven.store(true, Ordering::Relaxed);
                (health.refusals, health.trouble, health.rest) = (0, 0, None);
            }
            Outcome::OurFault(_) => {
                (health.refusals, health.trouble) = (health.refusals.saturating_add(1), health.trouble.saturating_add(1));
                if health.refusals >= MOST_REFUSALS {
                    health.rest = Some((outcome.clone(), now.plus(PEACE)));
                }
            }
            Outcome::TryLater { cause, .. } if cause.whole_channel => health.trouble = health.trouble.saturating_add(1),
            // Letters that were cut off with their connection say nothing about the next connection.
            Outcome::TryLater { cause, .. } if cause.status == 0 => {}
            Outcome::TryLater { .. } | Outcome::Rejected(_) | Outcome::AddressGone(_) => health.trouble = 0,
        }
    }

    /// Whether it has been silent or has refused our key for some time, when it was of use lately.
    fn is_in_trouble(&self, now: Timestamp) -> Option<bool> {
        let health = self.health.lock();
        (now.since(health.noted) <= LATELY).then_some(health.trouble >= IN_TROUBLE)
    }
}

/// Room for one request.
pub(super) enum Room {
    /// A stream of a connection of HTTP/2.
    Usual(http2::Room),
    /// A connection of HTTP/1.1.
    Old(http1::Room),
}

impl Room {
    /// Puts a request on its way before it returns; the future gives the answer, or why there is none.
    pub(super) fn send(self, mut request: Request<()>, body: Bytes, deadline: Duration) -> Boxed<'static, Result<Answer, Cause>> {
        match self {
            Room::Usual(room) => Box::pin(room.send(request, body)),
            Room::Old(room) => {
                // HTTP/1.1 names the path alone, and the host in a header (RFC 9112 §3.2.1).
                let path = request.uri().path_and_query().cloned();
                *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
                Box::pin(room.send(request, body, deadline))
            }
        }
    }
}

/// TLS for the services: what is offered first, and what where that was refused.
pub(super) struct Connectors {
    /// Offers HTTP/2 and HTTP/1.1.
    pub(super) usual: TlsConnector,
    /// Offers HTTP/1.1.
    pub(super) old: TlsConnector,
}

fn is_usual(host: &str) -> bool {
    USUAL.iter().any(|usual| match usual.strip_prefix('.') {
        Some(_) => host.ends_with(usual),
        None => host == *usual,
    })
}

/// What a subscription's URL is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Host and port, in lower case, the port only when it is not 443.
    pub(super) authority: Authority,
    pub(super) path: PathAndQuery,
}

impl Endpoint {
    /// Reads the URL of a push resource: HTTPS, a host, no user.
    pub(super) fn parse(url: &str) -> Option<Endpoint> {
        let uri: Uri = url.parse().ok()?;
        if uri.scheme() != Some(&uri::Scheme::HTTPS) {
            return None;
        }
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let host = authority.host();
        // Nearly every URL is written as it has to be; then nothing is made anew.
        let plain = authority.port().is_none() && !authority.as_str().ends_with(':') && !host.bytes().any(|b| b.is_ascii_uppercase());
        let authority = if plain {
            authority.clone()
        } else {
            let port = authority.port_u16().filter(|port| *port != 443).map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}{port}", host.to_ascii_lowercase()).parse().ok()?
        };
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Some(Endpoint { authority, path })
    }
}

/// The push services that are known at the moment.
pub(super) struct Origins {
    connectors: Connectors,
    guard: Guard,
    settings: PoolSettings,
    known: Mutex<HashMap<Authority, Arc<Origin>>>,
    clock: AtomicU64,
}

impl Origins {
    pub(super) fn new(connectors: Connectors, guard: Guard, settings: PoolSettings) -> Origins {
        Origins { connectors, guard, settings, known: Mutex::default(), clock: AtomicU64::new(1) }
    }

    /// The service of this authority.
    ///
    /// # Errors
    /// Why it is never asked: it is written as an address that the guard forbids, or cannot be reached by TLS.
    pub(super) fn find(&self, authority: &Authority) -> Result<Arc<Origin>, Cause> {
        let tick = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut known = self.known.lock();
        if let Some(origin) = known.get(authority) {
            origin.used.store(tick, Ordering::Relaxed);
            return Ok(origin.clone());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if !self.guard.admits(host) {
            return Err(Cause::of(crate::guard::FORBIDDEN, 0));
        }
        let made = Origin::new(authority, &self.connectors, &self.guard, self.settings);
        let origin = Arc::new(made.ok_or_else(|| Cause::of("bad_endpoint", 0))?);
        origin.used.store(tick, Ordering::Relaxed);
        if known.len() >= MOST_ORIGINS {
            // Requests under way keep their origin, and its connections, until they are answered.
            let oldest = known.iter().filter(|(_, o)| !o.usual).min_by_key(|(_, o)| o.used.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(authority, _)| authority.clone()) {
                known.remove(&oldest);
            }
        }
        known.insert(authority.clone(), origin.clone());
        Ok(origin)
    }

    /// Takes note of what a letter to a service came to. When every service that was of use lately is in trouble, it is not
    /// theirs but ours (our key, our clock, our network), and then it concerns the whole channel.
    pub(super) fn note(&self, origin: &Origin, outcome: Outcome, now: Timestamp) -> Outcome {
        origin.note(&outcome, now);
        self.judged(origin, outcome, now)
    }

    /// The same without taking note: for what is answered in a service's place.
    pub(super) fn judged(&self, origin: &Origin, mut outcome: Outcome, now: Timestamp) -> Outcome {
        if let Outcome::OurFault(cause) | Outcome::TryLater { cause, .. } = &mut outcome {
            let ours = || self.known.lock().values().all(|other| other.is_in_trouble(now).unwrap_or(true));
            cause.whole_channel = origin.is_in_trouble(now) == Some(true) && ours();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{self, Names};

    fn origins(allow_private: bool) -> Origins {
        let authority = fakes::Authority::generate().expect("randomness");
        let names = Names { host: "h", ca: "c" };
        let connector = tls::for_many(Some(authority.pem()), &[b"h2"], &names).expect("a connector");
        Origins::new(Connectors { usual: connector.clone(), old: connector }, Guard::new(allow_private), PoolSettings::default())
    }

    fn endpoint(url: &str) -> Option<(String, String)> {
        Endpoint::parse(url).map(|e| (e.authority.to_string(), e.path.to_string()))
    }

    #[test]
    fn an_endpoint_is_https_and_its_origin_is_written_as_tokens_name_it() {
        for (url, authority, path) in [
            ("https://push.example.net/send/abc?x=1", "push.example.net", "/send/abc?x=1"),
            ("https://Push.Example.NET:443/a", "push.example.net", "/a"),
            ("https://push.example.net:8443/a", "push.example.net:8443", "/a"),
            ("https://[::1]:8443/a", "[::1]:8443", "/a"),
            ("https://push.example.net", "push.example.net", "/"),
        ] {
            assert_eq!(endpoint(url), Some((authority.to_owned(), path.to_owned())), "{url}");
        }
        for url in ["http://push.example.net/a", "https://me@push.example.net/a", "ftp://x/", "push.example.net", "", "https://"] {
            assert_eq!(endpoint(url), None, "{url}");
        }
    }

    #[test]
    fn the_known_origins_are_bounded_and_the_usual_ones_stay() {
        let origins = origins(false);
        let find = |host: &str| origins.find(&host.parse().expect("a host")).expect("an origin");
        let usual = ["fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com", "db5p.notify.windows.com"];
        let kept: Vec<_> = usual.map(find).into_iter().collect();
        for n in 0..MOST_ORIGINS * 2 {
            find(&format!("push{n}.example.net"));
        }
        assert_eq!(origins.known.lock().len(), MOST_ORIGINS);
        for (host, before) in usual.iter().zip(&kept) {
            assert!(Arc::ptr_eq(&find(host), before), "{host}");
        }
        assert!(!is_usual("evil-notify.windows.com.example.net") && !is_usual("notfcm.googleapis.com"));
    }

    #[test]
    fn an_address_inside_is_refused_before_anything_is_made() {
        let (shut, open) = (origins(false), origins(true));
        for host in ["127.0.0.1:8443", "[::1]", "10.1.2.3", "169.254.169.254"] {
            let authority = host.parse().expect("a host");
            assert_eq!(shut.find(&authority).err().map(|c| c.code), Some(crate::guard::FORBIDDEN.into()), "{host}");
            assert!(open.find(&authority).is_ok(), "{host}");
        }
        assert!(shut.known.lock().is_empty());
    }

    #[test]
    fn trouble_with_every_service_is_ours_and_trouble_with_one_of_several_is_not() {
        let origins = origins(false);
        let find = |host: &str| origins.find(&host.parse().expect("a host")).expect("an origin");
        let (one, other, idle) = (find("one.example.net"), find("other.example.net"), find("idle.example.net"));
        let now = Timestamp(1_000_000);
        let silent = Outcome::TryLater { after: None, cause: Cause::of_channel("connection_refused", 0) };
        let fault = Outcome::OurFault(Cause::of("Forbidden", 403));
        let whole = |origin: &Origin, outcome: &Outcome, now| {
            origins.note(origin, outcome.clone(), now).cause().is_some_and(|cause| cause.whole_channel)
        };
        origins.note(&idle, Outcome::Accepted, now.minus(LATELY + Duration::from_secs(1)));
        assert_eq!([0; 3].map(|_| whole(&one, &silent, now)), [false, false, true], "the third in a row, and nobody else is of use");
        assert!(!whole(&other, &Outcome::Accepted, now) && !whole(&one, &silent, now), "the other one works");
        assert_eq!([0; 3].map(|_| whole(&other, &fault, now)), [false, false, true], "now both are in trouble");
        assert!(!whole(&one, &Outcome::AddressGone(Cause::of("Gone", 410)), now), "an answer about a subscription is a good one");
        assert!(!whole(&other, &fault, now));
    }

    #[test]
    fn a_service_that_refuses_our_key_again_and_again_is_left_in_peace_for_a_minute() {
        let origins = origins(false);
        let origin = origins.find(&"push.example.net".parse().expect("a host")).expect("an origin");
        let fault = Outcome::OurFault(Cause::of("Forbidden", 403));
        let now = Timestamp(1_000_000);
        for _ in 1..MOST_REFUSALS {
            origins.note(&origin, fault.clone(), now);
        }
        assert_eq!(origin.resting(now), None);
        origin.note(&fault, now);
        assert_eq!(origin.resting(now), Some(fault.clone()));
        assert_eq!(origin.resting(now.plus(PEACE)), None, "then it is asked again");
        origin.note(&Outcome::Accepted, now);
        assert_eq!(origin.resting(now), None, "an acceptance ends it");
        assert!(origin.is_proven());
        origin.note(&fault, now);
        assert_eq!(origin.resting(now), None, "counting begins anew");
    }
}
