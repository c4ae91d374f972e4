//! CloudEvents 1.0 over HTTP: one event in the binary or the structured form, or a batch.
//!
//! In: the headers and the body of a request. Out: [`CloudEvent`]s, whole and checked, or a refusal that names the attribute;
//! a batch is taken whole or not at all. What an event's type means is not known here but in [`route`].

mod recording;
pub mod route;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use model::refusal::{Fault, Refusal, RefusalKind};
use model::time::Timestamp;
use serde_json::{Map, Value};

/// Most events of one batch.
pub const BATCH_MOST: usize = 1000;
/// Most bytes of an attribute. The specification asks for short ones; intermediaries must forward 64 KiB in all.
pub const ATTRIBUTE_BYTES: usize = 2048;
/// Media type of the structured form.
const STRUCTURED: &str = "application/cloudevents+json";
/// Media type of a batch.
const BATCH: &str = "application/cloudevents-batch+json";

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudEvent {
    /// With the source it is unique.
    pub id: String,
    /// Where it happened.
    pub source: String,
    /// Its type.
    pub kind: String,
    /// What it is about.
    pub subject: Option<String>,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// What it says; `null` when it has no data.
    pub data: Value,
}

impl CloudEvent {
    /// What makes a repeat of this event known as one (CloudEvents §3.1.1: source and id together).
    pub fn key(&self) -> String {
        format!("{} {}", self.source, self.id)
    }
}

/// An event as far as it could be read, and what is wrong with it: attributes at fault are empty.
pub(crate) struct Read {
    pub event: CloudEvent,
    pub faults: Vec<Fault>,
}

/// Reads what a request brings, in whichever form its `Content-Type` says.
///
/// # Errors
/// What is not a CloudEvent of version 1.0 with JSON data: every attribute at fault, the rule and the mend.
pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Vec<CloudEvent>, Refusal> {
    let batch = media_type_of(headers) == BATCH;
    let (mut events, mut faults) = (Vec::new(), Vec::new());
    for (at, read) in each(headers, body)?.into_iter().enumerate() {
        faults.extend(if batch { at_place(at, read.faults) } else { read.faults });
        events.push(read.event);
    }
    if faults.is_empty() { Ok(events) } else { Err(Refusal::fields(faults)) }
}

/// Every event that a request brings, right or wrong.
///
/// # Errors
/// What is no event at all.
pub(crate) fn each(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Read>, Refusal> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media_type(content_type);
    if media == BATCH {
        let Value::Array(items) = json(body)? else { return Err(malformed("a batch is a JSON array of events")) };
        if items.len() > BATCH_MOST {
            let detail = format!("a batch has at most {BATCH_MOST} events, this one has {}; send several", items.len());
            return Err(Refusal::new(RefusalKind::TooLarge, "too_many_events", detail));
        }
        let one = |(at, item)| structured(item).map_err(|wrong| in_event(at, wrong));
        return items.into_iter().enumerate().map(one).collect();
    }
    if media == STRUCTURED {
        return Ok(vec![structured(json(body)?)?]);
    }
    if media.starts_with("application/cloudevents") {
        return Err(Refusal::field("Content-Type", format!("is {media}; events are taken as {STRUCTURED}, {BATCH} or with ce- headers")));
    }
    Ok(vec![binary(headers, content_type, body)?])
}

fn media_type_of(headers: &HeaderMap) -> String {
    media_type(headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default())
}

fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn malformed(detail: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Malformed, "malformed", detail)
}

/// The faults of an event of a batch, with its place in front of their names.
fn at_place(at: usize, faults: Vec<Fault>) -> Vec<Fault> {
    faults.into_iter().map(|fault| Fault { field: format!("{at}.{}", fault.field), ..fault }).collect()
}

/// A refusal of one event of a batch that is about more than its fields.
fn in_event(at: usize, wrong: Refusal) -> Refusal {
    let detail = format!("event {at} of the batch: {}", wrong.detail);
    Refusal { detail, faults: at_place(at, wrong.faults), ..wrong }
}

/// What was read, or nothing and the faults noted.
///
/// # Errors
/// A refusal that is about more than fields.
fn noted<T>(faults: &mut Vec<Fault>, read: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(wrong) if wrong.kind == RefusalKind::Invalid && !wrong.faults.is_empty() => {
            faults.extend(wrong.faults);
            Ok(None)
        }
        Err(wrong) => Err(wrong),
    }
}

fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|wrong| malformed(format!("the body is not JSON: {wrong}")))
}

/// HTTP binding §3.1: attributes in headers, data in the body.
fn binary(headers: &HeaderMap, content_type: &str, body: &[u8]) -> Result<Read, Refusal> {
    let attribute = |name: &str| -> Result<Option<String>, Refusal> {
        let header = format!("ce-{name}");
        let Some(value) = headers.get(&header) else { return Ok(None) };
        let value =
            value.to_str().map_err(|_| Refusal::field(header.clone(), "holds characters that a header cannot; percent-encode them"))?;
        let value = percent_encoding::percent_decode_str(value).decode_utf8();
        value.map(|value| Some(value.into_owned())).map_err(|_| Refusal::field(header, "is not UTF-8 behind its percent-encoding"))
    };
    let mut faults = Vec::new();
    let data = if body.is_empty() { Ok(Value::Null) } else { data_of(content_type, "Content-Type", || json(body)) };
    let data = noted(&mut faults, data)?;
    event("ce-", attribute, data, faults)
}

/// JSON format §3: everything in one object.
fn structured(value: Value) -> Result<Read, Refusal> {
    let Value::Object(mut object) = value else { return Err(malformed("an event in the structured form is a JSON object")) };
    let content_type = object.get("datacontenttype").and_then(Value::as_str).unwrap_or("application/json").to_owned();
    let data = match (object.remove("data"), object.remove("data_base64")) {
        (Some(_), Some(_)) => Err(Refusal::field("data_base64", "stands beside data; an event has one of them")),
        (Some(data), None) => data_of(&content_type, "datacontenttype", || Ok(data)),
        (None, Some(data)) => data_of(&content_type, "datacontenttype", || decoded(&data)),
        (None, None) => Ok(Value::Null),
    };
    let mut faults = Vec::new();
    let data = noted(&mut faults, data)?;
    event("", |name| text(&object, name), data, faults)
}

fn decoded(data: &Value) -> Result<Value, Refusal> {
    let bytes = data.as_str().and_then(|text| STANDARD.decode(text).ok());
    let bytes = bytes.ok_or_else(|| Refusal::field("data_base64", "is not a text in Base64 (RFC 4648 §4)"))?;
    serde_json::from_slice(&bytes).map_err(|wrong| Refusal::field("data_base64", format!("is not JSON behind its Base64: {wrong}")))
}

fn data_of(content_type: &str, field: &str, data: impl FnOnce() -> Result<Value, Refusal>) -> Result<Value, Refusal> {
    let media = media_type(content_type);
    if media.is_empty() || media == "application/json" || media == "text/json" || media.ends_with("+json") {
        return data();
    }
    Err(Refusal::field(field, format!("is {media}; data are taken as application/json")))
}

fn text(object: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(_)) => Err(Refusal::field(name, "takes a text, not a list")),
        Some(Value::Object(_)) => Err(Refusal::field(name, "takes a text, not an object")),
        Some(other) => Err(Refusal::field(name, format!("takes a text, not {other}"))),
    }
}

/// The event of its attributes; `prefix` is what their names have in front where they stand. Data that cannot be read are none, and
/// `faults` says why.
fn event(
    prefix: &str,
    attribute: impl Fn(&str) -> Result<Option<String>, Refusal>,
    data: Option<Value>,
    mut faults: Vec<Fault>,
) -> Result<Read, Refusal> {
    let field = |name: &str| format!("{prefix}{name}");
    let optional = |name: &str| -> Result<Option<String>, Refusal> {
        match attribute(name)? {
            Some(value) if value.is_empty() || value.len() > ATTRIBUTE_BYTES || value.chars().any(char::is_control) => {
                Err(Refusal::field(field(name), format!("takes one line of 1 to {ATTRIBUTE_BYTES} bytes")))
            }
            other => Ok(other),
        }
    };
    let must = |name: &str| {
        optional(name)?.ok_or_else(|| Refusal::field(field(name), "is missing; CloudEvents 1.0 needs specversion, id, source and type"))
    };
    let version = must("specversion").and_then(|version| {
        if version == "1.0" { Ok(()) } else { Err(Refusal::field(field("specversion"), format!("is {version:?}; only 1.0 is taken"))) }
    });
    let time = optional("time")
        .and_then(|time| time.map(|time| Timestamp::parse(&time)).transpose().map_err(|wrong| Refusal::field(field("time"), wrong)));
    noted(&mut faults, version)?;
    let event = CloudEvent {
        id: noted(&mut faults, must("id"))?.unwrap_or_default(),
        source: noted(&mut faults, must("source"))?.unwrap_or_default(),
        kind: noted(&mut faults, must("type"))?.unwrap_or_default(),
        subject: noted(&mut faults, optional("subject"))?.flatten(),
        time: noted(&mut faults, time)?.flatten(),
        data: data.unwrap_or_default(),
    };
    Ok(Read { event, faults })
}

#[cfg(test)]
mod tests;
