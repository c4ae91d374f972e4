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
use model::refusal::{Refusal, RefusalKind};
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

/// Reads what a request brings, in whichever form its `Content-Type` says.
///
/// # Errors
/// What is not a CloudEvent of version 1.0 with JSON data: the attribute, the rule and the mend.
pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Vec<CloudEvent>, Refusal> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media_type(content_type);
    if media == BATCH {
        let Value::Array(items) = json(body)? else { return Err(malformed("a batch is a JSON array of events")) };
        if items.len() > BATCH_MOST {
            let detail = format!("a batch has at most {BATCH_MOST} events, this one has {}; send several", items.len());
            return Err(Refusal::new(RefusalKind::TooLarge, "too_many_events", detail));
        }
        let one = |(at, item)| structured(item).map_err(|wrong: Refusal| at_place(at, wrong));
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

fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn malformed(detail: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Malformed, "malformed", detail)
}

fn at_place(at: usize, mut wrong: Refusal) -> Refusal {
    for fault in &mut wrong.faults {
        fault.field = format!("{at}.{}", fault.field);
    }
    wrong.detail = format!("event {at} of the batch: {}", wrong.detail);
    wrong
}

fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|wrong| malformed(format!("the body is not JSON: {wrong}")))
}

/// HTTP binding §3.1: attributes in headers, data in the body.
fn binary(headers: &HeaderMap, content_type: &str, body: &[u8]) -> Result<CloudEvent, Refusal> {
    let attribute = |name: &str| -> Result<Option<String>, Refusal> {
        let header = format!("ce-{name}");
        let Some(value) = headers.get(&header) else { return Ok(None) };
        let value =
            value.to_str().map_err(|_| Refusal::field(header.clone(), "holds characters that a header cannot; percent-encode them"))?;
        let value = percent_encoding::percent_decode_str(value).decode_utf8();
        value.map(|value| Some(value.into_owned())).map_err(|_| Refusal::field(header, "is not UTF-8 behind its percent-encoding"))
    };
    let data = if body.is_empty() { Value::Null } else { data_of(content_type, "Content-Type", || json(body))? };
    event("ce-", attribute, data)
}

/// JSON format §3: everything in one object.
fn structured(value: Value) -> Result<CloudEvent, Refusal> {
    let Value::Object(mut object) = value else { return Err(malformed("an event in the structured form is a JSON object")) };
    let content_type = object.get("datacontenttype").and_then(Value::as_str).unwrap_or("application/json").to_owned();
    let data = match (object.remove("data"), object.remove("data_base64")) {
        (Some(_), Some(_)) => return Err(Refusal::field("data_base64", "stands beside data; an event has one of them")),
        (Some(data), None) => data_of(&content_type, "datacontenttype", || Ok(data))?,
        (None, Some(data)) => data_of(&content_type, "datacontenttype", || decoded(&data))?,
        (None, None) => Value::Null,
    };
    event("", |name| text(&object, name), data)
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
        Some(other) => Err(Refusal::field(name, format!("takes a text, not {other}"))),
    }
}

/// The event of its attributes; `prefix` is what their names have in front where they stand.
fn event(prefix: &str, attribute: impl Fn(&str) -> Result<Option<String>, Refusal>, data: Value) -> Result<CloudEvent, Refusal> {
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
    let version = must("specversion")?;
    if version != "1.0" {
        return Err(Refusal::field(field("specversion"), format!("is {version:?}; only 1.0 is taken")));
    }
    let time = optional("time")?.map(|time| Timestamp::parse(&time)).transpose().map_err(|wrong| Refusal::field(field("time"), wrong))?;
    Ok(CloudEvent { id: must("id")?, source: must("source")?, kind: must("type")?, subject: optional("subject")?, time, data })
}

#[cfg(test)]
mod tests;
