//! What our own routes have in common: who asks and whether they may, a body within its bounds, a time within which there is
//! an answer, and refusals as problem documents. What stands in the body and what becomes of it is each route's own.

use crate::intake::Intake;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::Engine;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::roles::{Actor, Permission};
use model::{Refusal, RefusalKind, Timestamp};
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use web::bearer;
use web::problem::Problem;

/// Longest that a caller waits; less than the server's own bound, so that the answer is one of ours.
const PATIENCE: Duration = Duration::from_secs(25);
/// After which time a request is worth repeating that was not answered in time.
const SOON: Duration = Duration::from_secs(5);

/// What a request says, read whole.
pub(crate) struct Asked {
    /// Its headers.
    pub headers: HeaderMap,
    /// What stands behind the question mark.
    pub query: String,
    /// Its body.
    pub body: Bytes,
    /// When it came.
    pub received: Timestamp,
}

/// A route through which calls come in.
pub(crate) struct Door {
    /// Knows who asks.
    pub engine: Engine,
    /// Takes in what was said.
    pub intake: Arc<dyn Intake>,
    /// What the route is called in the audit.
    pub operation: &'static str,
    /// Largest body.
    pub most_bytes: usize,
    /// Refuses a body for its media type.
    pub media: fn(&HeaderMap) -> Result<(), Problem>,
}

impl Door {
    /// Answers a request: 202 with what `take` says, or a problem document.
    pub async fn answer<F>(self: Arc<Door>, request: Request, take: fn(Arc<dyn Intake>, Asked) -> F) -> Response
    where
        F: Future<Output = Result<Value, Problem>> + Send + 'static,
    {
        match self.serve(request, take).await {
            Ok(said) => {
                let mut response = (StatusCode::ACCEPTED, said.to_string()).into_response();
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(problem) => problem.into_response(),
        }
    }

    async fn serve<F>(&self, request: Request, take: fn(Arc<dyn Intake>, Asked) -> F) -> Result<Value, Problem>
    where
        F: Future<Output = Result<Value, Problem>> + Send + 'static,
    {
        let deadline = Instant::now() + PATIENCE;
        let asked = tokio::time::timeout_at(deadline, self.read(request)).await.map_err(|_| slow())??;
        // What was begun comes to its end, even where its caller does not wait for it.
        let work = tokio::spawn(take(self.intake.clone(), asked));
        match tokio::time::timeout_at(deadline, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(failed)) => {
                tracing::error!(operation = self.operation, %failed, "a request of an integration failed");
                Err(Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "a fault of the server; its log has more under this request's id",
                ))
            }
            Err(_) => Err(unanswered()),
        }
    }

    /// Who asks, and the body; strangers are refused before theirs is read.
    async fn read(&self, request: Request) -> Result<Asked, Problem> {
        let actor = self.engine.actor(bearer(request.headers())?).await?;
        self.may(&actor).await?;
        (self.media)(request.headers())?;
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or("").to_owned();
        let body = match Limited::new(body, self.most_bytes).collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(cause) if cause.downcast_ref::<LengthLimitError>().is_some() => {
                let detail = format!("the body is larger than {} bytes; send less at once", self.most_bytes);
                return Err(Refusal::new(RefusalKind::TooLarge, "too_large", detail).into());
            }
            Err(_) => return Err(Problem::malformed("incomplete_body", "the body ended early; send it again")),
        };
        Ok(Asked { headers: parts.headers, query, body, received: self.engine.now() })
    }

    /// Calls come in for everybody, so the right has to hold everywhere.
    async fn may(&self, actor: &Actor) -> Result<(), Problem> {
        let needed = Permission::TelephonyManage;
        if actor.everywhere().has(needed) {
            return Ok(());
        }
        let word = needed.word();
        let refusal = Refusal::forbidden(format!(
            "reporting calls needs {word} in the whole organization; use a token with the role telephony-admin, or another with {word}"
        ));
        self.engine.refused(actor, self.operation, refusal.code).await;
        Err(refusal.into())
    }
}

/// The media type of a body, without its parameters, in small letters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A body of another media type than `taken`.
pub(crate) fn other_media(media: &str, taken: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", format!("the body is {media:?}; send {taken}"))
}

/// A body that did not come in time: nothing was done.
fn slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not come in time; send it again")
}

/// Nobody knows yet whether it was taken. What comes in this way changes nothing the second time, so it may be repeated.
fn unanswered() -> Problem {
    let detail = "there was no answer in time; send it again: what was taken is not taken twice";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail).retry_after(SOON)
}
