//! Access tokens for a service that acts for itself (RFC 6749 §4.4, RFC 7523): fetched once for everybody who waits,
//! kept until shortly before their end, renewed in the background meanwhile.
//!
//! In: a [`Grant`], which says how to ask. Out: the value of an `authorization` header, or the outcome that every waiting
//! letter has while there is none. A refused secret or key is our fault; an endpoint that is away passes.

use crate::http1::Site;
use crate::http2::Answer;
use crate::probing::{self, Steps};
use crate::spoken;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use model::channel::Finding;
use model::outcome::{Cause, Outcome};
use model::time::{Clock, Timestamp};
use parking_lot::Mutex;
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long one request for a token may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// A token is not used in its last seconds: a letter takes a while to arrive.
const MARGIN: Duration = Duration::from_secs(30);
/// A token is renewed in the background when less than a tenth of its life is left, and this at most.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// Life of a token whose answer names none (RFC 6749 §5.1 only recommends `expires_in`).
const USUAL_LIFE: Duration = Duration::from_secs(600);
/// Longest life that is believed: an instant beyond all time cannot be reckoned with.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);
/// A token this young that is refused is not mended by a new one.
const YOUNG: Duration = Duration::from_secs(60);
/// First pause after a failed request for a token; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause when the endpoint cannot be reached.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Pause after a refusal: endpoints lock out clients that try too often.
const FAULT_PAUSE: Duration = Duration::from_secs(30);

/// The machine's clock, for those who were handed no other.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// What the findings of a probe are called, and what is to be done about a refusal.
pub(crate) struct Probing<'a> {
    pub(crate) steps: Steps,
    pub(crate) step: &'static str,
    pub(crate) mend: &'a str,
}

/// How a token is asked for.
pub(crate) trait Grant: Send + Sync + 'static {
    /// The form of the request (`application/x-www-form-urlencoded`), made at `now`.
    fn form(&self, now: Timestamp) -> String;
}

/// The token of one channel.
pub(crate) struct Bearer {
    site: Site,
    path: String,
    grant: Box<dyn Grant>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Rung after each request for a token.
    rung: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    fetching: bool,
    failure: Option<Failure>,
}

struct Held {
    value: HeaderValue,
    since: Instant,
    renew_at: Instant,
    ends_at: Instant,
    /// The other side has refused it.
    stale: bool,
}

struct Failure {
    outcome: Outcome,
    until: Instant,
    in_a_row: u32,
}

/// Body of a token endpoint's answer (RFC 6749 §5.1 and §5.2).
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    access_token: String,
    expires_in: Option<u64>,
    #[serde(default)]
    error: String,
}

impl Bearer {
    pub(crate) fn new(site: Site, path: String, grant: Box<dyn Grant>, clock: Arc<dyn Clock>) -> Arc<Bearer> {
        Arc::new(Bearer { site, path, grant, clock, state: Mutex::default(), rung: watch::Sender::new(0) })
    }

    /// The header of a token that is good now. Waits for one only when none is; everybody waits for the same request.
    ///
    /// # Errors
    /// The outcome of every letter while there is no token.
    pub(crate) async fn current(self: &Arc<Self>) -> Result<HeaderValue, Outcome> {
        let mut rung = self.rung.subscribe();
        // Two rounds are enough: after a request there is either a token or a failure. One more for a token that was
        // refused in between.
        for _ in 0..3 {
            match self.look() {
                Look::Token(value) => return Ok(value),
                Look::Failed(outcome) => return Err(outcome),
                Look::Wait => {
                    let _ = rung.changed().await;
                }
            }
        }
        Err(Outcome::TryLater { after: None, cause: Cause::of_channel("no_access_token", 0) })
    }

    /// The header of a token that is good now, if one is here.
    pub(crate) fn now(self: &Arc<Self>) -> Option<HeaderValue> {
        match self.look() {
            Look::Token(value) => Some(value),
            Look::Failed(_) | Look::Wait => None,
        }
    }

    fn look(self: &Arc<Self>) -> Look {
        let mut state = self.state.lock();
        let now = Instant::now();
        let failed = state.failure.as_ref().filter(|f| f.until > now).map(|f| f.outcome.clone());
        if let Some(held) = state.held.as_ref().filter(|held| !held.stale && now < held.ends_at) {
            let value = held.value.clone();
            if now >= held.renew_at && failed.is_none() {
                self.fetch(&mut state);
            }
            return Look::Token(value);
        }
        if let Some(outcome) = failed {
            return Look::Failed(outcome);
        }
        self.fetch(&mut state);
        Look::Wait
    }

    fn fetch(self: &Arc<Self>, state: &mut State) {
        if !state.fetching {
            state.fetching = true;
            tokio::spawn(self.clone().fetched());
        }
    }

    async fn fetched(self: Arc<Self>) {
        let asked = self.ask().await;
        {
            let mut state = self.state.lock();
            state.fetching = false;
            match asked {
                Ok(held) => (state.held, state.failure) = (Some(held), None),
                Err(outcome) => self.failed(&mut state, outcome),
            }
        }
        self.rung.send_modify(|n| *n = n.wrapping_add(1));
    }

    fn failed(&self, state: &mut State, outcome: Outcome) {
        let in_a_row = state.failure.as_ref().map_or(0, |f| f.in_a_row) + 1;
        let pause = match &outcome {
            Outcome::OurFault(_) => FAULT_PAUSE,
            Outcome::TryLater { after: Some(after), .. } => (*after).min(FAULT_PAUSE),
            _ => FIRST_PAUSE.saturating_mul(1 << (in_a_row - 1).min(10)).min(LONGEST_PAUSE),
        };
        if in_a_row == 1 {
            let code = outcome.cause().map_or("", |cause| cause.code.as_ref());
            tracing::warn!(endpoint = self.site.host(), cause = code, "no access token");
        }
        state.failure = Some(Failure { outcome, until: Instant::now() + pause, in_a_row });
    }

    async fn ask(&self) -> Result<Held, Outcome> {
        let now = self.clock.now();
        // Without a token nothing goes to anybody, whatever became of this request.
        let answer = self.asked(now).await.map_err(|cause| later(None, Cause { whole_channel: true, ..cause }))?;
        held(&answer, now)
    }

    /// Asks for a token to see whether one is given, step by step; answers its header, and how far the other side's clock is
    /// ahead.
    pub(crate) async fn probe(
        &self,
        probing: &Probing<'_>,
        clock: &dyn Clock,
        findings: &mut Vec<Finding>,
    ) -> (Option<HeaderValue>, Option<i64>) {
        if !self.site.reach(probing.steps, findings).await {
            return (None, None);
        }
        let before = clock.now();
        let answer = self.asked(before).await;
        let ahead = answer.as_ref().ok().and_then(|answer| probing::ahead(&answer.headers, before, clock.now()));
        let host = self.site.host();
        let outcome = match answer.map_err(|cause| later(None, cause)).and_then(|answer| held(&answer, before)) {
            Ok(held) => {
                findings.push(Finding::fine(probing.step, format!("{host} gives an access token")));
                return (Some(held.value), ahead);
            }
            Err(outcome) => outcome,
        };
        let refused = |cause: &Cause| (format!("{host} refuses our credentials: {} ({})", cause.code, cause.status), probing.mend);
        findings.push(probing::credentials(probing.step, host, &outcome, refused));
        (None, ahead)
    }

    async fn asked(&self, now: Timestamp) -> Result<Answer, Cause> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.parse().expect("the path was part of a URL that could be read");
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        self.site.ask(request, Bytes::from(self.grant.form(now)), DEADLINE).await
    }

    /// The other side refused `used`. Whether another token is, or will be, in use instead; if not, the refusal is our
    /// fault: a token just made was refused.
    pub(crate) fn refused(&self, used: &HeaderValue) -> bool {
        let mut state = self.state.lock();
        let Some(held) = state.held.as_mut().filter(|held| held.value == *used) else { return true };
        held.stale |= held.since.elapsed() >= YOUNG;
        held.stale
    }
}

enum Look {
    Token(HeaderValue),
    Failed(Outcome),
    Wait,
}

fn later(after: Option<Duration>, cause: Cause) -> Outcome {
    Outcome::TryLater { after, cause }
}

/// What is wrong with an answer of a token endpoint, if it brings no token.
pub(crate) fn said(answer: &Answer, now: Timestamp) -> Option<Outcome> {
    held(answer, now).err()
}

/// What an answer of a token endpoint means: 4xx is about our credentials, except "too many" and "too slow".
fn held(answer: &Answer, now: Timestamp) -> Result<Held, Outcome> {
    let status = answer.status.as_u16();
    let said: Said = serde_json::from_slice(&answer.body).unwrap_or_default();
    if status == 200 {
        let value = Some(format!("Bearer {}", said.access_token)).filter(|_| !said.access_token.is_empty());
        let value = value.and_then(|value| HeaderValue::try_from(value).ok());
        let mut value = value.ok_or_else(|| later(None, Cause::of_channel("no_access_token", status)))?;
        value.set_sensitive(true);
        let life = said.expires_in.map_or(USUAL_LIFE, Duration::from_secs).min(LONGEST_LIFE);
        let since = Instant::now();
        let ends_at = since + life.saturating_sub(MARGIN);
        let renew_at = since + life.saturating_sub(MARGIN + RENEW_BEFORE.min(life / 10));
        return Ok(Held { value, since, renew_at, ends_at, stale: false });
    }
    let passes = matches!(status, 408 | 429 | 500..=599) || said.error == "temporarily_unavailable";
    let cause = Cause::of_channel(spoken::word(&said.error), status);
    Err(if passes { later(spoken::retry_after(&answer.headers, now), cause) } else { Outcome::OurFault(cause) })
}

/// A value of a form: everything but the unreserved characters of RFC 3986 §2.3 is escaped.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) }
    }

    fn refusal(status: u16, body: &str) -> (&'static str, String, bool) {
        let outcome = held(&answer(status, body), Timestamp(0)).err().expect("no token");
        let cause = outcome.cause().expect("a cause");
        (outcome.word(), cause.code.to_string(), cause.whole_channel)
    }

    #[test]
    fn a_token_is_kept_until_shortly_before_its_end() {
        let held = held(&answer(200, r#"{"access_token":"abc","expires_in":3600,"token_type":"Bearer"}"#), Timestamp(0));
        let held = held.map_err(|o| format!("{o:?}")).expect("a token");
        assert_eq!(held.value, "Bearer abc");
        assert!(held.value.is_sensitive(), "it must not be printed");
        assert_eq!((held.ends_at - held.since).as_secs(), 3570);
        assert_eq!((held.renew_at - held.since).as_secs(), 3270);
    }

    #[test]
    fn a_life_beyond_all_time_is_a_day() {
        for life in ["86401", "9223372036854775807", "18446744073709551615"] {
            let held = held(&answer(200, &format!(r#"{{"access_token":"abc","expires_in":{life}}}"#)), Timestamp(0));
            let held = held.map_err(|o| format!("{o:?}")).expect("a token");
            assert_eq!(held.ends_at - held.since, LONGEST_LIFE - MARGIN);
        }
    }

    #[test]
    fn a_refusal_of_our_credentials_is_our_fault_and_an_endpoint_in_trouble_passes() {
        let ours = ("our_fault", "invalid_grant".to_owned(), true);
        assert_eq!(refusal(400, r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#), ours);
        assert_eq!(refusal(401, r#"{"error":"invalid_client"}"#).0, "our_fault");
        assert_eq!(refusal(404, "<html>"), ("our_fault", "unexpected_answer".to_owned(), true));
        for (status, body) in [(503, ""), (429, "{}"), (500, "{}"), (400, r#"{"error":"temporarily_unavailable"}"#), (200, "{}")] {
            assert_eq!(refusal(status, body).0, "try_later", "{status} {body}");
        }
    }

    #[test]
    fn values_of_a_form_are_escaped() {
        assert_eq!(escaped("a-b._~c"), "a-b._~c");
        assert_eq!(escaped("https://x/.default é&="), "https%3A%2F%2Fx%2F.default%20%C3%A9%26%3D");
    }
}
