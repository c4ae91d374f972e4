//! The three forms of the specification, and what is refused.

use super::*;
use http::{HeaderName, HeaderValue};
use model::calls::{LEG_TYPE, Leg};
use proptest::prelude::*;
use serde_json::json;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header"))).collect()
}

fn leg() -> Value {
    json!({"callId": "1-26402@127.0.0.1", "legId": "z9hG4bK-1", "dialPlan": "Lyon", "calledExtension": "102",
           "caller": {"number": "101", "name": "\"Bob\""}, "state": "cancelled", "at": "2026-11-20T15:52:38Z"})
}

fn whole() -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "/kamailio/lyon", "type": LEG_TYPE, "time": "2026-11-20T15:52:38Z",
           "datacontenttype": "application/json", "subject": "102", "data": leg()})
}

fn structured_of(value: &Value) -> Result<Vec<CloudEvent>, Refusal> {
    read(&headers(&[("content-type", "application/cloudevents+json; charset=utf-8")]), value.to_string().as_bytes())
}

#[test]
fn the_three_forms_say_the_same() {
    let binary = read(
        &headers(&[
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/kamailio/lyon"),
            ("ce-type", LEG_TYPE),
            ("ce-time", "2026-11-20T15:52:38Z"),
            ("ce-subject", "102"),
        ]),
        leg().to_string().as_bytes(),
    )
    .expect("the binary form");
    assert_eq!(structured_of(&whole()).expect("the structured form"), binary);
    let mut packed = whole();
    packed["data_base64"] = json!(STANDARD.encode(leg().to_string()));
    packed.as_object_mut().expect("an object").remove("data");
    assert_eq!(structured_of(&packed).expect("Base64"), binary);
    let batch = read(&headers(&[("content-type", "application/cloudevents-batch+json")]), json!([whole(), whole()]).to_string().as_bytes());
    assert_eq!(batch.expect("a batch"), [binary.clone(), binary.clone()].concat());
    assert_eq!(binary[0].key(), "/kamailio/lyon 1");
    assert_eq!(Leg::parse(&binary[0].data).expect("a leg").caller.name.as_deref(), Some("Bob"));
}

#[test]
fn headers_are_percent_decoded_and_an_event_may_have_no_data() {
    let lines = [("ce-specversion", "1.0"), ("ce-id", "%C3%A9t%C3%A9%201"), ("ce-source", "/s"), ("ce-type", "t")];
    let events = read(&headers(&lines), b"").expect("an event");
    assert_eq!((events[0].id.as_str(), &events[0].data), ("été 1", &Value::Null));
}

#[test]
fn what_is_not_a_cloudevent_is_refused_with_the_attribute() {
    let wrong = |field: &str, value: Value| {
        let mut event = whole();
        event[field] = value;
        structured_of(&event).expect_err("a refusal").to_string()
    };
    assert!(wrong("specversion", json!("0.3")).contains("only 1.0"));
    assert!(wrong("id", json!("")).starts_with("id: takes one line"));
    assert!(wrong("id", json!(7)).contains("takes a text, not 7"));
    assert!(wrong("source", Value::Null).contains("source: is missing"));
    assert!(wrong("time", json!("noon")).contains("RFC 3339"));
    assert!(wrong("datacontenttype", json!("text/xml")).contains("application/json"));
    assert!(wrong("data_base64", json!("AA==")).contains("beside data"));
    assert!(wrong("type", json!("x".repeat(ATTRIBUTE_BYTES + 1))).contains("type"));
    let refused = |content_type: &str, body: &str| {
        read(&headers(&[("content-type", content_type)]), body.as_bytes()).expect_err("a refusal").to_string()
    };
    assert!(refused("application/cloudevents+json", "{").contains("not JSON"));
    assert!(refused("application/cloudevents+json", "[]").contains("JSON object"));
    assert!(refused("application/cloudevents+avro", "").contains("Content-Type"));
    assert!(refused("application/cloudevents-batch+json", "{}").contains("JSON array"));
    let bare = read(&headers(&[("content-type", "application/json")]), b"{}").expect_err("a refusal");
    let fields: Vec<&str> = bare.faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["ce-specversion", "ce-id", "ce-source", "ce-type"]);
    assert!(bare.faults[0].message.starts_with("is missing"));
}

#[test]
fn a_batch_with_one_fault_is_refused_whole_and_names_the_event() {
    let mut bad = whole();
    bad["id"] = Value::Null;
    let batch = headers(&[("content-type", "application/cloudevents-batch+json")]);
    let refusal = read(&batch, json!([whole(), bad]).to_string().as_bytes()).expect_err("a refusal");
    assert!(refusal.detail.starts_with("1.id: is missing") && refusal.faults[0].field == "1.id", "{refusal:?}");
    let no_object = read(&batch, json!([whole(), 7]).to_string().as_bytes()).expect_err("a refusal");
    assert!(no_object.detail.starts_with("event 1 of the batch: an event in the structured form"), "{no_object:?}");
    let many = vec![whole(); BATCH_MOST + 1];
    assert_eq!(read(&batch, json!(many).to_string().as_bytes()).expect_err("too many").kind, RefusalKind::TooLarge);
}

/// Fields that are named when this is sent, in the structured form or as a batch.
fn named(sent: &Value) -> Vec<String> {
    let form = if sent.is_array() { "application/cloudevents-batch+json" } else { "application/cloudevents+json" };
    let refusal = route::legs(&headers(&[("content-type", form)]), sent.to_string().as_bytes()).expect_err("a refusal");
    assert_eq!((&refusal.kind, refusal.code), (&RefusalKind::Invalid, "invalid_field"), "{refusal:?}");
    for fault in &refusal.faults {
        assert!(!fault.message.contains("variant") && !fault.message.contains("struct"), "{fault:?}");
    }
    refusal.faults.into_iter().map(|fault| fault.field).collect()
}

#[test]
fn every_wrong_field_of_an_event_is_named_where_it_stands() {
    let with = |field: &str, value: Value| {
        let mut event = whole();
        event["data"][field] = value;
        event
    };
    assert_eq!(named(&with("state", json!("foo"))), ["data.state"]);
    assert_eq!(named(&with("at", json!("noon"))), ["data.at"]);
    assert_eq!(named(&with("callId", Value::Null)), ["data.callId"]);
    assert_eq!(named(&with("colour", json!(1))), ["data.colour"]);
    assert_eq!(named(&with("recording", json!("data:text/html;base64,PGI+"))), ["data.recording"]);
    let mut bare = whole();
    bare["data"] = Value::Null;
    assert_eq!(named(&bare), ["data"]);
    bare["data"] = json!([1]);
    assert_eq!(named(&bare), ["data"]);
    let mut all = with("state", json!("foo"));
    (all["id"], all["specversion"], all["data"]["at"]) = (json!(7), json!("0.3"), json!(1));
    assert_eq!(named(&all), ["specversion", "id", "data.state", "data.at"]);
    assert_eq!(
        named(&json!([whole(), with("state", json!("foo")), all])),
        ["1.data.state", "2.specversion", "2.id", "2.data.state", "2.data.at"]
    );
    let mut other = whole();
    other["datacontenttype"] = json!("text/xml");
    assert_eq!(named(&other), ["datacontenttype"], "data that were not read are not missing");
    assert_eq!(named(&json!(vec![all; 1000])).len(), 100, "an answer has a bound");
}

#[test]
fn a_caller_that_is_null_is_anonymous() {
    let mut event = whole();
    event["data"]["caller"] = Value::Null;
    let heard = route::legs(&headers(&[("content-type", STRUCTURED)]), event.to_string().as_bytes()).expect("a leg");
    assert_eq!(heard[0].leg.caller, model::calls::Caller::default());
}

proptest! {
    #[test]
    fn nothing_that_a_stranger_sends_makes_it_fall_over(body in proptest::collection::vec(any::<u8>(), 0..200), form in 0usize..3) {
        let media = ["application/json", STRUCTURED, BATCH][form];
        let _ = read(&headers(&[("content-type", media)]), &body);
    }
}
