//! How often: requests with one token, and failures of one address. Wrong tokens and wrong enrolment codes cost the store a
//! look each, and somebody who sends many of them is guessing or broken; a token that was right a moment ago passes all the
//! same, so that nobody is locked out by a neighbour behind the same address.

use crate::App;
use crate::ask::bearer;
use crate::limits::{Limits, counted};
use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::keys::sha256;
use http::{HeaderMap, StatusCode, header};
use model::{Refusal, RefusalKind};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Keys that one kind of count holds; about 5 MiB. What comes beyond is not counted.
const MOST: usize = 65_536;
/// How often all of them are looked through for those that can go: it takes a millisecond.
const SWEEP: Duration = Duration::from_secs(1);
/// A token may save up so many seconds' worth of requests.
const BURST_SECONDS: u32 = 10;
const API: &str = "/api/v1/";
/// Where a code is the credential.
const ENROL: &str = "/api/v1/device/enrol";

/// From which address a connection comes; put beside every request.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub IpAddr);

/// The counts of one process.
pub(crate) struct Pace {
    limits: Limits,
    tokens: Mutex<Counts<[u8; 32]>>,
    failures: Mutex<Counts<IpAddr>>,
}

/// Who sends a request, as far as it matters here.
#[derive(Clone, Copy)]
struct Caller {
    /// SHA-256 of its token.
    token: Option<[u8; 32]>,
    /// Its address, when that is known and not a proxy's own.
    address: Option<IpAddr>,
    /// It comes with an enrolment code.
    enrols: bool,
}

impl Pace {
    pub fn new(limits: Limits) -> Pace {
        let second =
            Counts::new(limits.requests_per_second, Duration::from_secs(1), limits.requests_per_second.saturating_mul(BURST_SECONDS));
        let minute = Counts::new(limits.failures_per_minute, Duration::from_secs(60), limits.failures_per_minute);
        Pace { limits, tokens: Mutex::new(second), failures: Mutex::new(minute) }
    }

    fn before(&self, caller: &Caller, now: Instant) -> Result<(), Problem> {
        if let Some(token) = caller.token
            && !caller.enrols
            && let Some(taken) = self.tokens.lock().take_known(token, now)
        {
            return taken.map_err(|wait| over("server.requests_per_second", self.limits.requests_per_second, 1, wait));
        }
        let wait = caller.address.and_then(|address| self.failures.lock().wait(address, now));
        wait.map_or(Ok(()), |wait| Err(over("server.failures_per_minute", self.limits.failures_per_minute, 60, wait)))
    }

    fn after(&self, caller: &Caller, status: StatusCode, now: Instant) {
        let failed = if caller.enrols { status.is_client_error() } else { status == StatusCode::UNAUTHORIZED };
        if failed {
            if let Some(address) = caller.address {
                self.failures.lock().add(address, now);
            }
            if let Some(token) = caller.token {
                self.tokens.lock().forget(&token);
            }
        } else if let Some(token) = caller.token
            && !caller.enrols
            && status != StatusCode::TOO_MANY_REQUESTS
            && !status.is_server_error()
        {
            self.tokens.lock().know(token, now);
        }
    }
}

fn over(limit: &str, allowed: u32, window: u64, wait: Duration) -> Problem {
    let kind =
        RefusalKind::OverLimit { limit: limit.into(), allowed: allowed.into(), window: Duration::from_secs(window), retry_after: wait };
    let what = if window == 1 { "requests a second with one token" } else { "wrong tokens or codes a minute from one address" };
    Refusal::new(kind, "over_limit", format!("{allowed} {what} are what this server takes; wait, as Retry-After says")).into()
}

/// Refuses what comes too often.
pub(crate) async fn paced(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Integrations have paths of their own; what bears a token there counts the same.
    if !path.starts_with(API) && !request.headers().contains_key(header::AUTHORIZATION) {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>();
    let caller = Caller {
        token: bearer(request.headers()).ok().map(|token| sha256(token.as_bytes())),
        address: peer.and_then(|Peer(peer)| client(*peer, request.headers(), &app.extras.limits)),
        enrols: path == ENROL,
    };
    if let Err(problem) = app.pace.before(&caller, Instant::now()) {
        return problem.into_response();
    }
    let response = next.run(request).await;
    app.pace.after(&caller, response.status(), Instant::now());
    response
}

/// For whom a request comes: the peer; or, behind a proxy that is trusted, the last address of `X-Forwarded-For` that is not one
/// itself. None when a proxy does not say.
fn client(peer: IpAddr, headers: &HeaderMap, limits: &Limits) -> Option<IpAddr> {
    if !limits.trusts(peer) {
        return Some(counted(peer));
    }
    let fields: Vec<&str> = headers.get_all("x-forwarded-for").into_iter().filter_map(|value| value.to_str().ok()).collect();
    let named = fields.iter().flat_map(|field| field.split(',')).map(|one| one.trim().parse::<IpAddr>());
    // From the right: what stands further left was written by the client itself.
    for one in named.collect::<Vec<_>>().into_iter().rev() {
        let address = one.ok()?;
        if !limits.trusts(address) {
            return Some(counted(address));
        }
    }
    None
}

/// How much of its allowance each key has used: the instant at which it will have all of it again (the generic cell rate
/// algorithm, ITU-T I.371 annex A).
struct Counts<K> {
    /// Time in which one comes back; none without a bound.
    every: Option<Duration>,
    /// Time in which all come back.
    whole: Duration,
    again: HashMap<K, Instant>,
    /// When it was last looked through for keys that can go.
    swept: Option<Instant>,
}

impl<K: Eq + Hash> Counts<K> {
    fn new(allowed: u32, window: Duration, burst: u32) -> Counts<K> {
        let every = (allowed > 0).then(|| window / allowed.max(1));
        Counts { every, whole: every.unwrap_or_default() * burst, again: HashMap::new(), swept: None }
    }

    /// How long a key has to wait before it may use one more.
    fn wait(&self, key: K, now: Instant) -> Option<Duration> {
        let (every, again) = (self.every?, *self.again.get(&key)?);
        let wait = (again + every).saturating_duration_since(now).saturating_sub(self.whole);
        (!wait.is_zero()).then_some(wait)
    }

    /// A key uses one, whether or not it may.
    fn add(&mut self, key: K, now: Instant) {
        let Some(every) = self.every else { return };
        if !self.make_room(&key, now) {
            return;
        }
        let latest = now + self.whole;
        let again = self.again.entry(key).or_insert(now);
        *again = ((*again).max(now) + every).min(latest);
    }

    /// Uses one of a key that is known; none for others.
    fn take_known(&mut self, key: K, now: Instant) -> Option<Result<(), Duration>>
    where
        K: Copy,
    {
        if !self.again.contains_key(&key) {
            return None;
        }
        if let Some(wait) = self.wait(key, now) {
            return Some(Err(wait));
        }
        self.add(key, now);
        Some(Ok(()))
    }

    /// A key is known from now on.
    fn know(&mut self, key: K, now: Instant) {
        if self.make_room(&key, now) {
            self.again.entry(key).or_insert(now);
        }
    }

    fn forget(&mut self, key: &K) {
        self.again.remove(key);
    }

    /// Whether a key has or finds a place; keys that have all of their allowance again give theirs.
    fn make_room(&mut self, key: &K, now: Instant) -> bool {
        if self.again.len() < MOST || self.again.contains_key(key) {
            return true;
        }
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            self.again.retain(|_, again| *again > now);
        }
        self.again.len() < MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn pace(requests_per_second: u32, failures_per_minute: u32) -> Pace {
        Pace::new(Limits { requests_per_second, failures_per_minute, ..Limits::default() })
    }

    fn caller(token: u8, address: &str) -> Caller {
        Caller { token: Some([token; 32]), address: address.parse().ok(), enrols: false }
    }

    fn tries(pace: &Pace, caller: &Caller, status: StatusCode, times: usize, now: Instant) -> usize {
        let one = || {
            pace.before(caller, now).ok()?;
            pace.after(caller, status, now);
            Some(())
        };
        (0..times).filter_map(|_| one()).count()
    }

    #[test]
    fn a_token_has_its_requests_and_gets_them_back() {
        let (pace, now) = (pace(5, 60), Instant::now());
        let ada = caller(1, "192.0.2.1");
        // The first, of which nobody knew the token, is not counted.
        assert_eq!(tries(&pace, &ada, StatusCode::OK, 100, now), 51);
        assert_eq!(tries(&pace, &caller(2, "192.0.2.1"), StatusCode::OK, 10, now), 10, "another token");
        assert_eq!(tries(&pace, &ada, StatusCode::OK, 100, now + Duration::from_secs(1)), 5);
        let refused = pace.before(&ada, now + Duration::from_secs(1)).expect_err("it has none left").document();
        assert_eq!((refused["status"].as_u64(), refused["limit"]["name"].as_str()), (Some(429), Some("server.requests_per_second")));
        assert_eq!(refused["limit"]["allowed"], 5);
    }

    #[test]
    fn who_guesses_is_stopped_and_who_was_right_goes_on() {
        let (pace, now) = (pace(0, 10), Instant::now());
        let (right, wrong, far) = (caller(1, "192.0.2.1"), caller(2, "192.0.2.1"), caller(2, "192.0.2.2"));
        assert_eq!(tries(&pace, &right, StatusCode::OK, 1, now), 1);
        assert_eq!(tries(&pace, &wrong, StatusCode::UNAUTHORIZED, 100, now), 10);
        assert_eq!(tries(&pace, &right, StatusCode::OK, 100, now), 100, "its token is known");
        assert_eq!(tries(&pace, &caller(3, "192.0.2.1"), StatusCode::OK, 1, now), 0, "one that is not known waits");
        assert_eq!(tries(&pace, &far, StatusCode::UNAUTHORIZED, 3, now), 3, "another address");
        assert_eq!(tries(&pace, &wrong, StatusCode::UNAUTHORIZED, 100, now + Duration::from_secs(6)), 1, "one every six seconds");
        assert_eq!(
            tries(&pace, &right, StatusCode::UNAUTHORIZED, 2, now + Duration::from_secs(6)),
            1,
            "a token that was revoked is no longer known"
        );
    }

    #[test]
    fn codes_count_as_tokens_do() {
        let (pace, now) = (pace(0, 10), Instant::now());
        let guess = Caller { token: None, enrols: true, ..caller(0, "192.0.2.1") };
        assert_eq!(tries(&pace, &guess, StatusCode::CREATED, 20, now), 20);
        assert_eq!(tries(&pace, &guess, StatusCode::NOT_FOUND, 20, now), 10);
    }

    #[test]
    fn what_is_not_bounded_is_not_counted() {
        let (pace, now) = (pace(0, 0), Instant::now());
        assert_eq!(tries(&pace, &caller(1, "192.0.2.1"), StatusCode::OK, 1_000, now), 1_000);
        assert_eq!(tries(&pace, &caller(2, "192.0.2.1"), StatusCode::UNAUTHORIZED, 1_000, now), 1_000);
    }

    #[test]
    fn counts_do_not_grow_without_bound() {
        let (mut counts, now) = (Counts::new(1, Duration::from_secs(60), 1), Instant::now());
        (0..2 * MOST).for_each(|n| counts.add(n, now));
        assert_eq!(counts.again.len(), MOST);
        counts.add(2 * MOST, now + Duration::from_secs(61));
        assert_eq!(counts.again.len(), 1, "those of a minute ago are forgotten");
    }

    #[test]
    fn a_proxy_says_for_whom_it_asks_and_a_client_cannot() {
        let ask = |peer: &str, forwarded: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_static(forwarded));
            client(peer.parse().expect("an address"), &headers, &Limits::default()).map(|address| address.to_string())
        };
        assert_eq!(ask("192.0.2.1", "203.0.113.9").as_deref(), Some("192.0.2.1"), "nobody asked this peer");
        assert_eq!(ask("127.0.0.1", "203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(
            ask("127.0.0.1", "198.51.100.1, 203.0.113.9, 127.0.0.1").as_deref(),
            Some("203.0.113.9"),
            "what the client wrote itself"
        );
        assert_eq!(ask("127.0.0.1", "127.0.0.1"), None);
        assert_eq!(ask("127.0.0.1", "198.51.100.1, unknown"), None);
    }
}
