//! `POST /integrations/cloudevents`: one event or a batch, taken whole or not at all.
//!
//! What an event's type means stands in [`KINDS`]; a type that is not there is refused with those that are.

use super::recording::take_recording;
use super::{BATCH, CloudEvent, STRUCTURED, at_place, read};
use crate::door::{Asked, Door, media_type, other_media};
use crate::intake::{HeardLeg, Intake};
use axum::Router;
use axum::extract::{Request, State};
use axum::routing;
use engine::Engine;
use http::{HeaderMap, HeaderName, HeaderValue};
use model::Refusal;
use model::calls::{LEG_TYPE, Leg};
use serde_json::{Value, json};
use std::sync::Arc;
use web::problem::Problem;

/// Where it is.
pub const PATH: &str = "/integrations/cloudevents";
/// Largest body: the longest voice message in Base64, and room.
pub const BODY_BYTES: usize = 16 << 20;

/// What events come to.
#[derive(Debug, PartialEq)]
enum Said {
    /// Something about a call.
    Leg(Box<HeardLeg>),
}

/// How an event of one type is read.
type Reader = fn(CloudEvent) -> Result<Said, Refusal>;

/// Every type that is known here.
const KINDS: &[(&str, Reader)] = &[(LEG_TYPE, leg)];

/// The route over an engine, which knows who asks, and an intake.
pub fn router(engine: Engine, intake: Arc<dyn Intake>) -> Router {
    let door = Door { engine, intake, operation: "integrations.cloudevents", most_bytes: BODY_BYTES, media };
    let answer = |State(door): State<Arc<Door>>, request: Request| async move { door.answer(request, take).await };
    Router::new().route(PATH, routing::post(answer)).with_state(Arc::new(door))
}

/// The three forms, and data in JSON with the attributes in headers. A request without a body needs no media type.
fn media(headers: &HeaderMap) -> Result<(), Problem> {
    let media = media_type(headers);
    let json = matches!(media.as_str(), "" | "application/json" | "text/json") || media.ends_with("+json");
    if media == STRUCTURED || media == BATCH || (json && !media.starts_with("application/cloudevents")) {
        return Ok(());
    }
    Err(other_media(&media, &format!("{STRUCTURED}, {BATCH}, or application/json with ce- headers")))
}

async fn take(intake: Arc<dyn Intake>, asked: Asked) -> Result<Value, Problem> {
    let legs = legs(&asked.headers, &asked.body)?;
    let accepted = legs.len();
    if accepted > 0 {
        intake.take(legs).await?;
    }
    Ok(json!({ "accepted": accepted }))
}

/// Everything that a request says, or the first thing that is wrong with it.
///
/// # Errors
/// As [`read`]; an event of a type that is not known here; data that are not what its type says.
pub(crate) fn legs(headers: &HeaderMap, body: &[u8]) -> Result<Vec<HeardLeg>, Refusal> {
    let batch = media_type(headers) == BATCH;
    let one = |(at, event)| meant(event).map_err(|wrong| if batch { at_place(at, wrong) } else { wrong });
    let said: Vec<Said> = read(headers, body)?.into_iter().enumerate().map(one).collect::<Result<_, _>>()?;
    Ok(said.into_iter().map(|Said::Leg(leg)| *leg).collect())
}

/// What a stranger may send, for tests that read arbitrary bytes: `name: value`, one a line, and a body.
///
/// # Panics
/// When a leg that was taken is not in order.
#[doc(hidden)]
pub fn read_by_strangers(headers: &str, body: &[u8]) {
    let mut map = HeaderMap::new();
    for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")).take(20) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            map.append(name, value);
        }
    }
    for heard in legs(&map, body).unwrap_or_default() {
        assert!(heard.leg.clone().checked().is_ok(), "a leg that was taken is in order");
        assert!(heard.recording.is_none_or(|recording| heard.leg.recording.as_ref() == Some(&recording.name)), "audio has its name");
    }
}

fn meant(event: CloudEvent) -> Result<Said, Refusal> {
    if let Some((_, reader)) = KINDS.iter().find(|(kind, _)| *kind == event.kind) {
        return reader(event);
    }
    let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
    Err(Refusal::field("type", format!("{:?} is not an event that is known here; known: {}", event.kind, known.join(", "))))
}

fn leg(event: CloudEvent) -> Result<Said, Refusal> {
    let mut data = event.data;
    let recording = take_recording(&mut data)?;
    Ok(Said::Leg(Box::new(HeardLeg { leg: Leg::parse(&data)?, recording })))
}
