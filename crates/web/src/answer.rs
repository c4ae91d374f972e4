//! What handlers answer: objects with their version as ETag, new objects with their place, and kept answers to repeats.

use crate::App;
use crate::ask::{Asker, Creation, parse};
use crate::problem::Problem;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use engine::Repeat;
use engine::admin::repeat::Begun;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use uuid::Uuid;

/// What every handler answers.
pub type Reply = Result<Response, Problem>;

/// Says that an answer is the first one again.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replay");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A body of JSON.
pub fn json(status: StatusCode, view: &impl Serialize) -> Response {
    let body = serde_json::to_vec(view).expect("a view has only names as keys");
    let mut response = (status, Body::from(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// 200 with JSON.
pub fn ok(view: &impl Serialize) -> Reply {
    Ok(json(StatusCode::OK, view))
}

/// 200 with text of another kind.
pub fn text(media: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// 204.
pub fn nothing() -> Reply {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// 200 with JSON and the version as ETag.
pub fn versioned(view: &impl Serialize, version: i64) -> Reply {
    let mut response = json(StatusCode::OK, view);
    response.headers_mut().insert(header::ETAG, etag(version));
    Ok(response)
}

/// A version as it stands in heads.
pub fn etag(version: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("a number is visible ASCII")
}

/// What the answer to a creation says beside the object.
#[derive(Default)]
pub struct Made {
    /// The object's id, where it has a place of its own under the collection.
    pub id: Option<Uuid>,
    /// The object's version, where it can be edited.
    pub version: Option<i64>,
    /// 201 unless something else is said.
    pub status: Option<StatusCode>,
}

/// Runs a creating request once: a repeat with the same key gets the first answer. `place` is the collection in which
/// the new object is found; the path that was asked, unless said.
pub async fn create<D, V, Work>(
    app: &App,
    asker: &Asker,
    creation: Creation,
    place: Option<&str>,
    work: impl FnOnce(D, Option<Repeat>) -> Work,
    made: impl FnOnce(&V) -> Made,
) -> Reply
where
    D: DeserializeOwned,
    V: Serialize,
    Work: Future<Output = engine::Result<V>>,
{
    let place = place.unwrap_or(&creation.path).to_owned();
    let repeat = creation.key.map(|key| Repeat { key, request: creation.request, place: place.clone() });
    // Open until the answer is made, so that a repeat meanwhile is told to wait.
    let _open = match &repeat {
        None => None,
        Some(repeat) => match app.engine.begin(&asker.actor, repeat).await? {
            Begun::Replay(answer) => return Ok(replay(&answer)),
            Begun::Fresh(guard) => Some(guard),
        },
    };
    let body: &[u8] = if creation.body.is_empty() { b"{}" } else { &creation.body };
    let view = work(parse(body)?, repeat).await?;
    let made = made(&view);
    let mut response = json(made.status.unwrap_or(StatusCode::CREATED), &view);
    if let Some(id) = made.id {
        let location = HeaderValue::try_from(format!("{place}/{id}")).expect("a path and an id are visible ASCII");
        response.headers_mut().insert(header::LOCATION, location);
    }
    if let Some(version) = made.version {
        response.headers_mut().insert(header::ETAG, etag(version));
    }
    Ok(response)
}

fn replay(answer: &engine::admin::repeat::Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::CREATED);
    let mut response = (status, Body::from(answer.body.clone())).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if let Ok(location) = HeaderValue::try_from(&answer.location)
        && !answer.location.is_empty()
    {
        headers.insert(header::LOCATION, location);
    }
    // The first answer had the first version's ETag, where it had one.
    let body = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
    // An act's answer holds the object that it was done to.
    let version = [&body, &body["object"]].into_iter().find_map(|made| made.get("version")?.as_i64());
    if let Some(version) = version {
        headers.insert(header::ETAG, etag(version));
    }
    response
}
