//! `POST /integrations/cloudevents`: one event or a batch, taken whole or not at all.
//!
//! What an event's type means stands in [`KINDS`]; a type that is not there is refused with those that are.

use super::recording::take_recording;
use super::{BATCH, CloudEvent, Read, STRUCTURED, at_place, each, in_event, noted};
use crate::door::{Asked, Door, media_type, other_media};
use crate::intake::{HeardLeg, Intake};
use axum::Router;
use axum::extract::{Request, State};
use axum::routing;
use engine::Engine;
use http::{HeaderMap, HeaderName, HeaderValue};
use model::Refusal;
use model::calls::{LEG_TYPE, Leg};
use model::refusal::Fault;
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
        let batch = media_type(&asked.headers) == BATCH;
        intake.take(legs).await.map_err(|wrong| placed(wrong, batch, accepted))?;
    }
    Ok(json!({ "accepted": accepted }))
}

/// What the intake says of the fields of legs, by where they stand in what was sent. Of several legs it says the place itself.
fn placed(wrong: Refusal, batch: bool, legs: usize) -> Refusal {
    let place = |fault: Fault| {
        let (at, field) = match fault.field.split_once('.').filter(|(at, _)| legs > 1 && at.parse::<usize>().is_ok()) {
            Some((at, field)) => (at, field),
            None => ("0", fault.field.as_str()),
        };
        let field = if batch { format!("{at}.data.{field}") } else { format!("data.{field}") };
        Fault { field, ..fault }
    };
    renamed(wrong, place)
}

/// Most wrong fields of a batch that are named; no telephone system reads more.
const FAULTS_MOST: usize = 100;

/// Everything that a request says, or everything that is wrong with it.
///
/// # Errors
/// As [`super::read`]; an event of a type that is not known here; data that are not what its type says.
pub(crate) fn legs(headers: &HeaderMap, body: &[u8]) -> Result<Vec<HeardLeg>, Refusal> {
    let batch = media_type(headers) == BATCH;
    let (mut legs, mut faults) = (Vec::new(), Vec::new());
    for (at, read) in each(headers, body)?.into_iter().enumerate() {
        let mut wrong = Vec::new();
        let said = meant(read, &mut wrong).map_err(|wrong| if batch { in_event(at, wrong) } else { wrong })?;
        legs.extend(said.map(|Said::Leg(leg)| *leg));
        faults.extend(if batch { at_place(at, wrong) } else { wrong });
        if faults.len() >= FAULTS_MOST {
            faults.truncate(FAULTS_MOST);
            break;
        }
    }
    if faults.is_empty() { Ok(legs) } else { Err(Refusal::fields(faults)) }
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

/// What an event means, or nothing and what is wrong with it.
fn meant(read: Read, faults: &mut Vec<Fault>) -> Result<Option<Said>, Refusal> {
    let Read { event, faults: wrong } = read;
    let known = |name: &str| wrong.iter().any(|fault| fault.field == name);
    // Data that could not be read are not missing, too.
    let unread = ["data", "data_base64", "datacontenttype", "Content-Type"].into_iter().any(known);
    let whole = wrong.is_empty();
    faults.extend(wrong);
    if event.kind.is_empty() {
        return Ok(None);
    }
    let Some((_, reader)) = KINDS.iter().find(|(kind, _)| *kind == event.kind) else {
        let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let message = format!("{:?} is not an event that is known here; known: {}", event.kind, known.join(", "));
        faults.push(Fault { field: "type".to_owned(), message });
        return Ok(None);
    };
    if unread {
        return Ok(None);
    }
    let said = noted(faults, reader(event))?;
    Ok(said.filter(|_| whole))
}

fn leg(event: CloudEvent) -> Result<Said, Refusal> {
    let mut data = event.data;
    let recording = take_recording(&mut data).map_err(in_data)?;
    let leg = Leg::parse(&data).map_err(|wrong| if data.is_object() { in_data(wrong) } else { wrong })?;
    Ok(Said::Leg(Box::new(HeardLeg { leg, recording })))
}

/// The fields of an event's data by their place in it.
fn in_data(wrong: Refusal) -> Refusal {
    renamed(wrong, |fault| Fault { field: format!("data.{}", fault.field), ..fault })
}

fn renamed(wrong: Refusal, name: impl Fn(Fault) -> Fault) -> Refusal {
    if wrong.faults.is_empty() {
        return wrong;
    }
    let faults: Vec<Fault> = wrong.faults.into_iter().map(name).collect();
    let detail = Refusal::fields(faults.clone()).detail;
    Refusal { detail, faults, ..wrong }
}
