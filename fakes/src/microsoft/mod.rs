//! A fake of Windows Push Notification Services and of Entra's token endpoint: it tells no device anything.
//!
//! On one address it gives access tokens (`POST /TENANT/oauth2/v2.0/token`) to the one application that it knows, and
//! takes pushes to channel URLs whose path and query it is asked for. Like the original it speaks HTTP/1.1. It checks
//! method, access token, every `X-WNS-` header and the payload, and answers in Microsoft's statuses and headers.

mod rules;

pub use crate::imitation::{Answer, Arrival, Options, Stats};

use crate::imitation::{self, Imitation, Original};
use crate::script::Mode;
use crate::tokens::{self, Tokens};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use parking_lot::Mutex;
use std::io;
use std::net::SocketAddr;

/// What an access token has to allow.
const SCOPE: &str = "https://wns.windows.com/.default";

/// An Entra application: who may push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The tenant in the token endpoint's path.
    pub tenant: String,
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`.
    pub secret: String,
}

impl Application {
    /// Makes up a new one.
    pub fn generate() -> Application {
        let id = || uuid::Uuid::new_v4();
        Application { tenant: id().to_string(), client_id: id().to_string(), secret: format!("fake~{}", id().simple()) }
    }
}

pub(crate) struct Microsoft {
    application: Mutex<Application>,
    tokens: Tokens,
}

/// A running fake. It stops when this is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where its control page listens.
    pub control: Option<SocketAddr>,
    fake: Imitation<Microsoft>,
}

/// Starts a fake that knows `application` on the current runtime.
///
/// # Errors
/// When an address is not a loopback address or is in use.
pub async fn start(options: Options, application: Application) -> io::Result<Running> {
    let original = Microsoft { application: Mutex::new(application), tokens: Tokens::new("eyJ0eXAiOiJKV1Qi.") };
    let fake = imitation::start(options, original).await?;
    Ok(Running { addr: fake.addr, control: fake.control, fake })
}

impl Running {
    /// The endpoint to configure: `https://127.0.0.1:PORT`, or `http://` without TLS.
    pub fn endpoint(&self) -> String {
        self.fake.endpoint()
    }

    /// Where access tokens come from.
    pub fn token_endpoint(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.fake.endpoint(), self.fake.original().application.lock().tenant)
    }

    /// Certificate of the authority to trust, when there is TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.fake.ca_pem()
    }

    /// Changes how everybody is treated.
    pub fn set_mode(&self, mode: Mode) {
        self.fake.set_mode(mode);
    }

    /// Answers one channel URL differently; `None` takes that back.
    pub fn answer(&self, url: &str, answer: Option<Answer>) {
        self.fake.answer(path_of(url), answer);
    }

    /// Knows another application from now on; tokens of the one before are not taken any more.
    pub fn set_application(&self, application: Application) {
        *self.fake.original().application.lock() = application;
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

    /// How often a channel URL was accepted.
    pub fn reached(&self, url: &str) -> u64 {
        self.fake.reached(path_of(url))
    }

    /// Forgets what arrived.
    pub fn clear(&self) {
        self.fake.clear();
    }
}

/// Path and query of a channel URL: what is left of it when another host stands in for Microsoft's.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find(['/', '?']).map_or("/", |at| &rest[at..])
}

impl Original for Microsoft {
    const TITLE: &'static str = "This is a fake of Microsoft's push service for Windows. Nothing that it accepts reaches a device.";
    const ALPN: &'static [&'static [u8]] = &[b"http/1.1"];

    fn token(&self, head: &Parts, body: &[u8]) -> Option<Response<Full<Bytes>>> {
        let tenant = head.uri.path().strip_prefix('/').and_then(|path| path.strip_suffix("/oauth2/v2.0/token"))?;
        let form = tokens::form(body);
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let known = self.application.lock();
        Some(self.tokens.answer(if head.method != Method::POST || field("grant_type") != "client_credentials" {
            Err((400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type."))
        } else if tenant != known.tenant {
            Err((400, "invalid_request", "AADSTS90002: Tenant not found."))
        } else if field("client_id") != known.client_id {
            Err((400, "unauthorized_client", "AADSTS700016: Application was not found in the directory."))
        } else if field("client_secret") != known.secret {
            Err((401, "invalid_client", "AADSTS7000215: Invalid client secret provided."))
        } else if field("scope") != SCOPE {
            Err((400, "invalid_scope", "AADSTS70011: The provided value for scope is not valid."))
        } else {
            Ok(())
        }))
    }

    fn address(&self, head: &Parts, _body: &[u8]) -> String {
        head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned()
    }

    fn examine(&self, head: &Parts, body: &[u8]) -> Answer {
        if head.method != Method::POST {
            return Answer::refused(405, "Method Not Allowed");
        }
        if !self.tokens.takes(head.headers.get(header::AUTHORIZATION)) {
            return Answer::refused(401, "The OAuth ticket is invalid");
        }
        if !head.uri.query().is_some_and(|query| query.contains("token=")) {
            return Answer::refused(404, "The channel URI is not valid");
        }
        rules::examine(&head.headers, body).unwrap_or_else(Answer::accepted)
    }

    fn too_many(&self) -> Answer {
        Answer::refused(406, "The cloud service exceeded its throttle limit")
    }

    fn wrong_text(&self) -> Answer {
        Answer::refused(400, "Wrong text")
    }

    fn takes(&self, answer: &Answer) -> bool {
        answer.status == 200 && matches!(answer.reason.as_str(), "" | "received")
    }

    /// For a 200 the word is `X-WNS-Status` and what it is about the device's state, else the word is the description.
    fn respond(&self, answer: &Answer) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let id = uuid::Uuid::new_v4().simple().to_string();
        let or = |text: &str, usual: &str| if text.is_empty() { usual.to_owned() } else { text.to_owned() };
        let mut pairs = vec![("x-wns-msg-id", id[..16].to_uppercase()), ("x-wns-debug-trace", "FAKE0001".to_owned())];
        if answer.status == 200 {
            pairs.push(("x-wns-status", or(&answer.reason, "received")));
            pairs.push(("x-wns-deviceconnectionstatus", or(&answer.about, "connected")));
        } else {
            pairs.push(("x-wns-error-description", format!("{} (said by a fake)", answer.reason)));
        }
        if let Some(seconds) = answer.retry_after_seconds {
            pairs.push(("x-wns-continue-after", seconds.to_string()));
        }
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
