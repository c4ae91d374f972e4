//! A fake of Google's Firebase Cloud Messaging: it speaks the HTTP v1 API over HTTP/2 and tells no device anything.
//!
//! On the same address it gives access tokens (`POST /token`) to the one service account that it knows. It checks method,
//! path, project, access token and the whole message, and answers in Google's statuses, codes and details.

mod account;
mod rules;

pub use crate::imitation::{Answer, Arrival, Options, Stats};
pub use account::ServiceAccount;

use crate::imitation::{self, Imitation, Original};
use crate::script::Mode;
use crate::tokens::Tokens;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;

/// What an access token has to allow.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

pub(crate) struct Google {
    account: Mutex<ServiceAccount>,
    tokens: Tokens,
}

/// A running fake. It stops when this is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where its control page listens.
    pub control: Option<SocketAddr>,
    fake: Imitation<Google>,
}

/// Starts a fake that knows `account` on the current runtime.
///
/// # Errors
/// When an address is not a loopback address or is in use.
pub async fn start(options: Options, account: ServiceAccount) -> io::Result<Running> {
    let fake = imitation::start(options, Google { account: Mutex::new(account), tokens: Tokens::new("ya29.") }).await?;
    Ok(Running { addr: fake.addr, control: fake.control, fake })
}

impl Running {
    /// The endpoint to configure: `https://127.0.0.1:PORT`, or `http://` without TLS.
    pub fn endpoint(&self) -> String {
        self.fake.endpoint()
    }

    /// Where access tokens come from: `token_uri` of the service account's file.
    pub fn token_uri(&self) -> String {
        format!("{}/token", self.fake.endpoint())
    }

    /// The service account's file for this fake.
    pub fn service_account(&self) -> String {
        self.fake.original().account.lock().json(&self.token_uri())
    }

    /// Certificate of the authority to trust, when there is TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.fake.ca_pem()
    }

    /// Changes how everybody is treated.
    pub fn set_mode(&self, mode: Mode) {
        self.fake.set_mode(mode);
    }

    /// Answers one registration token differently; `None` takes that back.
    pub fn answer(&self, token: &str, answer: Option<Answer>) {
        self.fake.answer(token, answer);
    }

    /// Knows another service account from now on; tokens of the one before are not taken any more.
    pub fn set_account(&self, account: ServiceAccount) {
        *self.fake.original().account.lock() = account;
        self.fake.original().tokens.revoke();
    }

    /// Takes no access token that was given until now.
    pub fn revoke(&self) {
        self.fake.original().tokens.revoke();
    }

    /// How long access tokens live from now on, in seconds.
    pub fn set_token_life(&self, seconds: u64) {
        self.fake.original().tokens.set_life(seconds);
    }

    /// Answers requests for tokens with this status and error instead; `None` takes that back.
    pub fn refuse_tokens(&self, refusal: Option<(u16, &str)>) {
        self.fake.original().tokens.refuse(refusal);
    }

    /// Shifts the clock by which answers are dated (`Date`), in seconds; 0 is right.
    pub fn shift_clock(&self, seconds: i64) {
        self.fake.shift_clock(seconds);
    }

    /// Counters so far.
    pub fn stats(&self) -> Stats {
        self.fake.stats()
    }

    /// The last `limit` pushes, oldest first.
    pub fn arrivals(&self, limit: usize) -> Vec<Arrival> {
        self.fake.arrivals(limit)
    }

    /// How often `token` was accepted.
    pub fn reached(&self, token: &str) -> u64 {
        self.fake.reached(token)
    }

    /// Forgets what arrived.
    pub fn clear(&self) {
        self.fake.clear();
    }
}

impl Original for Google {
    const TITLE: &'static str = "This is a fake of Google's push service. Nothing that it accepts reaches a device.";
    const ALPN: &'static [&'static [u8]] = &[b"h2", b"http/1.1"];

    fn token(&self, head: &Parts, body: &[u8]) -> Option<Response<Full<Bytes>>> {
        if head.uri.path() != "/token" {
            return None;
        }
        let form = crate::tokens::form(body);
        let account = self.account.lock();
        let granted = form.get("grant_type").is_some_and(|g| g == "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let claims = form.get("assertion").and_then(|assertion| account.verified(assertion));
        let now = crate::unix_micros() / 1_000_000;
        let right = |claims: &Value| {
            let (issued, ends) = (claims["iat"].as_u64().unwrap_or(0), claims["exp"].as_u64().unwrap_or(0));
            claims["iss"] == account.email.as_str()
                && claims["scope"] == SCOPE
                && claims["aud"].as_str().is_some_and(|aud| aud.ends_with("/token"))
                && issued <= now + 300
                && ends > now
                && ends <= issued + 3600
        };
        Some(self.tokens.answer(match claims {
            _ if head.method != Method::POST || !granted => Err((400, "unsupported_grant_type", "Invalid grant_type")),
            Some(claims) if right(&claims) => Ok(()),
            Some(_) => Err((400, "invalid_grant", "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe")),
            None => Err((400, "invalid_grant", "Invalid JWT Signature.")),
        }))
    }

    fn address(&self, _head: &Parts, body: &[u8]) -> String {
        let message: Value = serde_json::from_slice(body).unwrap_or_default();
        message["message"]["token"].as_str().unwrap_or("").to_owned()
    }

    fn examine(&self, head: &Parts, body: &[u8]) -> Answer {
        if head.method != Method::POST || head.uri.path() != format!("/v1/projects/{}/messages:send", self.account.lock().project) {
            return Answer::refused(404, "NOT_FOUND");
        }
        if !self.tokens.takes(head.headers.get(header::AUTHORIZATION)) {
            return Answer::refused(401, "UNAUTHENTICATED");
        }
        rules::examine(body).unwrap_or_else(Answer::accepted)
    }

    fn too_many(&self) -> Answer {
        Answer::refused(429, "QUOTA_EXCEEDED")
    }

    fn wrong_text(&self) -> Answer {
        Answer::refused(400, "INVALID_ARGUMENT").about("message.notification.body")
    }

    fn takes(&self, answer: &Answer) -> bool {
        answer.status == 200
    }

    fn respond(&self, answer: &Answer) -> Response<Full<Bytes>> {
        let body = if answer.status == 200 {
            json!({"name": format!("projects/{}/messages/0:{}", self.account.lock().project, uuid::Uuid::new_v4().simple())})
        } else {
            rules::refusal(answer)
        };
        let mut response = Response::new(Full::from(format!("{body:#}\n")));
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
        if let Some(seconds) = answer.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
