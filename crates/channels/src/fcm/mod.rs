//! Firebase Cloud Messaging: the HTTP v1 API over HTTP/2, as a service account.
//!
//! In: words, and letters to registrations of Android devices. Out: outcomes. One request per letter, POST
//! /v1/projects/PROJECT/messages:send; the registration token is part of the body. Knows nothing of attempts, receipts or
//! of who is behind a token.

mod account;
mod message;
mod outcomes;
mod probe;

use crate::bearer::{Bearer, SystemClock};
use crate::http2::{Answer, Pool, PoolSettings, Room, Target};
use crate::setup::ChannelSetupError;
use crate::spoken;
use account::Account;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use model::channel::{Address, Boxed, Channel, ChannelKind, Lane, Letter, Probe, Rendered, Slot};
use model::outcome::{Cause, Outcome};
use model::source::Words;
use model::time::{Clock, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Google's own host.
const GOOGLE: &str = "https://fcm.googleapis.com";

/// Settings of the channel. There is no `Debug`: it holds a key.
#[derive(Clone)]
pub struct FcmSettings {
    /// `https://HOST[:PORT]`, or `http://` on this machine.
    pub endpoint: String,
    /// Text of the service account's JSON file. Its `token_uri` is asked for access tokens.
    pub service_account: String,
    /// Certificates to trust instead of the machine's, at both endpoints.
    pub ca_pem: Option<String>,
    /// Connections for campaigns; one more is kept for urgent notifications.
    pub connections: usize,
    /// Most requests in flight on a connection; Google's SETTINGS narrow it.
    pub streams: usize,
    /// How long one request may take.
    pub deadline: Duration,
    /// Where the time of assertions comes from.
    pub clock: Arc<dyn Clock>,
}

impl Default for FcmSettings {
    fn default() -> Self {
        let pool = PoolSettings::default();
        FcmSettings {
            endpoint: GOOGLE.to_owned(),
            service_account: String::new(),
            ca_pem: None,
            connections: pool.connections,
            streams: pool.streams,
            deadline: pool.deadline,
            clock: Arc::new(SystemClock),
        }
    }
}

/// The channel to Android devices.
pub struct FcmChannel(Arc<Inner>);

struct Inner {
    target: Target,
    pool: Pool,
    deadline: Duration,
    /// The same for every letter: the token is in the body.
    uri: Uri,
    bearer: Arc<Bearer>,
}

impl FcmChannel {
    /// Checks the settings; opens no connection.
    ///
    /// # Errors
    /// The first setting that is wrong, with the rule and the mend.
    pub fn new(settings: FcmSettings) -> Result<FcmChannel, ChannelSetupError> {
        let ca_pem = settings.ca_pem.as_deref();
        let account = Account::read(&settings.service_account, ca_pem)?;
        let target = Target::parse(&settings.endpoint, ca_pem, "channels.fcm.endpoint", "channels.fcm.ca_file")?;
        let path = format!("/v1/projects/{}/messages:send", account.project);
        let uri = target.uri(Bytes::from(path)).map_err(|_| {
            let mend = "name the JSON file of a service account as Google's console gave it";
            ChannelSetupError::new("channels.fcm.service_account_file", "its project_id cannot stand in a path", mend)
        })?;
        let pool = PoolSettings {
            connections: settings.connections,
            streams: settings.streams,
            deadline: settings.deadline,
            ..PoolSettings::default()
        };
        let bearer = Bearer::new(account.site, account.path, Box::new(account.grant), settings.clock);
        Ok(FcmChannel(Arc::new(Inner { pool: Pool::new(target.clone(), pool), target, deadline: settings.deadline, uri, bearer })))
    }

    fn slot(&self, room: Room, authorization: HeaderValue) -> Box<dyn Slot> {
        Box::new(FcmSlot { room, authorization, inner: self.0.clone() })
    }
}

impl Channel for FcmChannel {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Fcm
    }

    fn render(&self, words: &Words) -> Rendered {
        message::shared(words)
    }

    fn reserve_now(&self, lane: Lane) -> Option<Box<dyn Slot>> {
        let authorization = self.0.bearer.now()?;
        Some(self.slot(self.0.pool.room_now(lane)?, authorization))
    }

    fn reserve(&self, lane: Lane) -> Boxed<'_, Result<Box<dyn Slot>, Outcome>> {
        Box::pin(async move {
            // Connections are opened while the token is on its way.
            let (authorization, room) = tokio::join!(self.0.bearer.current(), self.0.pool.room(lane));
            let room = room.map_err(|cause| Outcome::TryLater { after: None, cause })?;
            Ok(self.slot(room, authorization?))
        })
    }

    fn probe<'a>(&'a self, clock: &'a dyn Clock) -> Boxed<'a, Probe> {
        Box::pin(probe::probe(&self.0, clock))
    }
}

struct FcmSlot {
    room: Room,
    authorization: HeaderValue,
    inner: Arc<Inner>,
}

impl Slot for FcmSlot {
    fn send(self: Box<Self>, letter: &Letter<'_>) -> Boxed<'static, Outcome> {
        let FcmSlot { room, authorization, inner } = *self;
        let Address::Registration { token, .. } = letter.address else {
            return Box::pin(std::future::ready(Outcome::OurFault(Cause::of("wrong_address", 0))));
        };
        let body = message::whole(letter, token);
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = inner.uri.clone();
        *request.headers_mut() = headers(authorization.clone());
        let now = letter.now;
        let sent = room.send(request, body);
        Box::pin(async move { inner.outcome(sent.await, &authorization, now) })
    }
}

impl Inner {
    fn outcome(&self, answer: Result<Answer, Cause>, used: &HeaderValue, now: Timestamp) -> Outcome {
        match answer {
            Ok(answer) if answer.status.as_u16() == 200 => Outcome::Accepted,
            Ok(answer) => said(&answer, || self.bearer.refused(used), now),
            Err(cause) => Outcome::TryLater { after: None, cause },
        }
    }
}

/// What a refusal of Google's means; `renewed` is asked when it is about the access token.
pub(crate) fn said(answer: &Answer, renewed: impl FnOnce() -> bool, now: Timestamp) -> Outcome {
    let status = answer.status.as_u16();
    let refusal: outcomes::Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let renewed = outcomes::is_about_the_token(status, &refusal) && renewed();
    let retry_after = spoken::retry_after(&answer.headers, now);
    outcomes::outcome(&outcomes::Said { status, refusal: &refusal, retry_after, renewed })
}

fn headers(authorization: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(header::AUTHORIZATION, authorization);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}
