//! Microsoft Graph's calls for custom notifications, so that scripts and tools which know Intune work with Carillon by
//! another address and token:
//!
//! | POST below `/beta/deviceManagement` | Does |
//! |---|---|
//! | `sendCustomNotificationToCompanyPortal` | to groups; 204 |
//! | `managedDevices/{id}/sendCustomNotificationToCompanyPortal` | to one device; 204 |
//! | `managedDevices/executeAction` with `customTextNotification` | to several devices; 200 with what became of each |
//!
//! In: a request with a token of Carillon's. Out: Graph's status codes, headers and error objects. Each call is one
//! operation of the engine, as the native API has it. `path` and `body` read, `error` says what was refused.

mod body;
mod error;
mod path;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use engine::Engine;
use engine::bulk::{BulkView, Fate};
use engine::notifications::NotificationDraft;
use error::Error;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::roles::Actor;
use model::{Refusal, RefusalKind};
pub use path::Call;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Largest body: ten thousand ids fit, as in the native API.
const BODY_BYTES: usize = 1 << 20;
/// Longest that a caller waits; less than the server's own bound, whose answer would not have Graph's shape.
const PATIENCE: Duration = Duration::from_secs(25);
/// Longest id of a request that is taken over from its caller.
const ID_BYTES: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
/// What the server calls the request in its log.
const SERVER_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Which notification a call made, for `carillon why` and the report. Graph's own answers have no place for it.
const NOTIFICATION_ID: HeaderName = HeaderName::from_static("carillon-notification-id");

/// What Graph calls the media type of an object.
const OBJECT: HeaderValue =
    HeaderValue::from_static("application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8");

/// What requests share.
struct Desk {
    engine: Engine,
    public_url: String,
}

/// Graph's paths over an engine. `public_url` is how the outside reaches this server, without a slash at its end.
pub fn router(engine: Engine, public_url: &str) -> Router {
    let desk = Arc::new(Desk { engine, public_url: public_url.to_owned() });
    // One route for each version: Graph's paths are read without case, and what is not there is said in Graph's shape.
    let mut router = Router::new();
    for place in ["/beta", "/beta/", "/beta/{*path}", "/v1.0", "/v1.0/", "/v1.0/{*path}"] {
        router = router.route(place, routing::any(answer));
    }
    router.with_state(desk)
}

/// The ids of a request, which stand in every answer.
#[derive(Clone, Debug)]
struct Ids {
    request: String,
    client: String,
}

impl Ids {
    fn of(headers: &HeaderMap) -> Ids {
        let plain = |name: &HeaderName| {
            let text = headers.get(name)?.to_str().ok()?;
            let plain =
                !text.is_empty() && text.len() <= ID_BYTES && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            plain.then(|| text.to_owned())
        };
        let request = plain(&SERVER_REQUEST_ID).unwrap_or_else(|| Uuid::now_v7().to_string());
        let client = plain(&CLIENT_REQUEST_ID).unwrap_or_else(|| request.clone());
        Ids { request, client }
    }
}

/// Answers a request, whatever becomes of it, in Graph's shape.
async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let ids = Ids::of(request.headers());
    let done = desk.clone().serve(request, &ids).await;
    let mut response = done.unwrap_or_else(|error| error.response(&ids.request, &ids.client, desk.engine.now()));
    for (name, value) in [(REQUEST_ID, &ids.request), (CLIENT_REQUEST_ID, &ids.client)] {
        response.headers_mut().insert(name, HeaderValue::try_from(value).expect("ids are visible ASCII"));
    }
    response
}

impl Desk {
    async fn serve(self: Arc<Desk>, request: Request, ids: &Ids) -> Result<Response, Error> {
        let deadline = Instant::now() + PATIENCE;
        let (actor, call, bytes) = tokio::time::timeout_at(deadline, self.read(request)).await.map_err(|_| Error::slow())??;
        // A change that was begun comes to its end, even where its caller does not wait for it.
        let work = tokio::spawn(async move { self.call(&actor, call, &bytes).await });
        match tokio::time::timeout_at(deadline, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(failed)) => {
                tracing::error!(request = ids.request, %failed, "a request in Graph's shape failed");
                Err(Error::internal())
            }
            Err(_) => Err(Error::timeout()),
        }
    }

    /// Who asks for which call, and with which body.
    async fn read(&self, request: Request) -> Result<(Actor, Call, Bytes), Error> {
        let secret = bearer(request.headers())?;
        let actor = self.engine.actor(&secret).await?;
        let call = path::read(request.uri().path())?;
        if request.method() != Method::POST {
            return Err(Error::method(request.method()));
        }
        body::check_media_type(request.headers())?;
        Ok((actor, call, whole(request).await?))
    }

    async fn call(&self, actor: &Actor, call: Call, bytes: &[u8]) -> Result<Response, Error> {
        let (operation, done) = match call {
            Call::ToGroups => ("graph.toGroups", self.to_groups(actor, bytes).await),
            Call::ToDevice(id) => ("graph.toDevice", self.to_device(actor, id, bytes).await),
            Call::ToDevices => ("graph.toDevices", self.to_devices(actor, bytes).await),
        };
        if let Some(code) = done.as_ref().err().and_then(Error::want_of_right) {
            self.engine.refused(actor, operation, code).await;
        }
        done
    }

    async fn to_groups(&self, actor: &Actor, bytes: &[u8]) -> Result<Response, Error> {
        let said = body::groups(bytes)?;
        let draft = NotificationDraft { title: said.title, body: said.body, groups: said.names, ..NotificationDraft::default() };
        let sent = self.engine.send(actor, draft, None).await?;
        Ok(marked(StatusCode::NO_CONTENT.into_response(), sent.id))
    }

    async fn to_device(&self, actor: &Actor, id: String, bytes: &[u8]) -> Result<Response, Error> {
        let said = body::device(bytes)?;
        let BulkView { notification, devices } = self.engine.send_to_each(actor, &said.title, &said.body, &[id]).await?;
        if let Some(sent) = notification {
            return Ok(marked(StatusCode::NO_CONTENT.into_response(), sent.id));
        }
        Err(devices.into_iter().next().map_or_else(Error::internal, |(id, fate)| not_sent(&id, fate)))
    }

    async fn to_devices(&self, actor: &Actor, bytes: &[u8]) -> Result<Response, Error> {
        let said = body::devices(bytes)?;
        let view = self.engine.send_to_each(actor, &said.title, &said.body, &said.names).await?;
        let mut response = (StatusCode::OK, result(&self.public_url, &view.devices).to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, OBJECT);
        Ok(match view.notification {
            Some(sent) => marked(response, sent.id),
            None => response,
        })
    }
}

fn marked(mut response: Response, id: Uuid) -> Response {
    response.headers_mut().insert(NOTIFICATION_ID, HeaderValue::try_from(id.to_string()).expect("an id is visible ASCII"));
    response
}

/// What became of the one device that a call names, when nothing was sent.
fn not_sent(id: &str, fate: Fate) -> Error {
    match fate {
        Fate::Unknown => Refusal::not_found("managed device", id).into(),
        Fate::Ownerless => {
            Refusal::new(RefusalKind::Malformed, "ownerless", format!("the device {id:?} has no owner, so nobody would get it")).into()
        }
        Fate::Refused(refusal) => refusal.into(),
        Fate::Accepted => Error::internal(),
    }
}

/// Graph's `bulkManagedDeviceActionResult`: each name, as it was given, in one of four lists.
fn result(public_url: &str, devices: &[(String, Fate)]) -> Value {
    let list = |wanted: fn(&Fate) -> bool| -> Vec<&str> {
        devices.iter().filter(|(_, fate)| wanted(fate)).map(|(name, _)| name.as_str()).collect()
    };
    json!({
        "@odata.context": format!("{public_url}/beta/$metadata#microsoft.graph.bulkManagedDeviceActionResult"),
        "successfulDeviceIds": list(|fate| matches!(fate, Fate::Accepted)),
        "failedDeviceIds": list(|fate| matches!(fate, Fate::Refused(_))),
        "notFoundDeviceIds": list(|fate| matches!(fate, Fate::Unknown)),
        "notSupportedDeviceIds": list(|fate| matches!(fate, Fate::Ownerless)),
    })
}

/// The secret of the bearer token. Tools that take nothing but a JSON Web Token may carry it in the `jti` of one (RFC 7519
/// §4.1.7): nothing else in it is looked at, nor is its signature, for the secret proves itself.
fn bearer(headers: &HeaderMap) -> Result<String, Error> {
    let wrong = |detail: &str| Error::from(Refusal::new(RefusalKind::Unauthenticated, "unauthenticated", detail));
    let value = headers.get(header::AUTHORIZATION).ok_or_else(|| wrong("Access token is empty; send Authorization: Bearer car_…"))?;
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(wrong("only bearer tokens are accepted; send Authorization: Bearer car_…"));
    }
    let token = token.trim();
    Ok(enclosed(token).unwrap_or_else(|| token.to_owned()))
}

fn enclosed(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return None };
    let claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    claims.get("jti")?.as_str().map(str::to_owned)
}

async fn whole(request: Request) -> Result<Bytes, Error> {
    match Limited::new(request.into_body(), BODY_BYTES).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(cause) if cause.downcast_ref::<LengthLimitError>().is_some() => {
            let detail = format!("the body is larger than {BODY_BYTES} bytes; send less at once");
            Err(Refusal::new(RefusalKind::TooLarge, "too_large", detail).into())
        }
        Err(_) => Err(Error::malformed("incomplete_body", "the body ended early; send it again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a header"))])
    }

    #[test]
    fn a_token_may_stand_in_the_jti_of_a_json_web_token() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":4102444800,"jti":"car_abc"}"#);
        let secret = |token: String| bearer(&headers(header::AUTHORIZATION, &token)).map_err(|e| e.status());
        let four = format!("a.{claims}.b.c");
        for (token, expected) in [
            ("Bearer car_abc".to_owned(), Ok("car_abc")),
            ("bearer  car_abc ".to_owned(), Ok("car_abc")),
            (format!("Bearer eyJhbGciOiJub25lIn0.{claims}."), Ok("car_abc")),
            (format!("Bearer eyJhbGciOiJSUzI1NiJ9.{claims}.c2lnbmVk"), Ok("car_abc")),
            // What is no such token is taken as it stands, and known to nobody.
            ("Bearer a.b.c".to_owned(), Ok("a.b.c")),
            (format!("Bearer {four}"), Ok(four.as_str())),
            ("Basic YTpi".to_owned(), Err(StatusCode::UNAUTHORIZED)),
            ("Bearer".to_owned(), Err(StatusCode::UNAUTHORIZED)),
        ] {
            assert_eq!(secret(token.clone()).as_deref(), expected.as_ref().map(|s| *s), "{token}");
        }
        assert_eq!(bearer(&HeaderMap::new()).map_err(|e| e.status()), Err(StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn ids_are_echoed_when_they_are_plain_and_made_when_they_are_not() {
        let ids = Ids::of(&headers(CLIENT_REQUEST_ID, "7b1a9f0e-0000-4000-8000-1234567890ab"));
        assert_eq!(ids.client, "7b1a9f0e-0000-4000-8000-1234567890ab");
        assert_eq!(ids.request.len(), 36);
        let ids = Ids::of(&headers(CLIENT_REQUEST_ID, "a b\"<script>"));
        assert_eq!(ids.client, ids.request);
        assert_eq!(Ids::of(&headers(SERVER_REQUEST_ID, "job-17")).request, "job-17");
    }

    #[test]
    fn every_fate_has_its_list() {
        let refused = Fate::Refused(Refusal::forbidden("x"));
        let all = [("a", Fate::Accepted), ("b", Fate::Unknown), ("c", Fate::Ownerless), ("d", refused)];
        let made = result("https://c.example", &all.map(|(name, fate)| (name.to_owned(), fate)));
        assert_eq!(
            made,
            json!({
                "@odata.context": "https://c.example/beta/$metadata#microsoft.graph.bulkManagedDeviceActionResult",
                "successfulDeviceIds": ["a"], "notFoundDeviceIds": ["b"], "notSupportedDeviceIds": ["c"], "failedDeviceIds": ["d"],
            })
        );
    }
}
