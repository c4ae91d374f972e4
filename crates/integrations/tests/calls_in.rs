//! The routes by which calls come in, over a real engine, which knows who asks, and an intake that writes down what it was
//! given: rights, bounds, refusals in the shape of the native API, and that all is taken or none.

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::keys::Keys;
use engine::{Engine, Parts};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use integrations::intake::{Filled, HeardLeg, Intake};
use integrations::{cloudevents, voicemail_mail};
use model::calls::{LEG_TYPE, LegState};
use model::roles::Actor;
use model::{Clock, Refusal, RefusalKind, Timestamp};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use store::sqlite::Sqlite;
use tower::ServiceExt;
use uuid::Uuid;

const EVENTS: &str = "/integrations/cloudevents";
const MAIL: &str = "/integrations/voicemail";
const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const RFC822: &str = "message/rfc822";

struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

/// Knows `alice@example.test` and the extension 102 of the dial plan Lyon.
#[derive(Default)]
struct Written {
    heard: Mutex<Vec<Vec<HeardLeg>>>,
    refuses: Mutex<Option<Refusal>>,
}

#[async_trait]
impl Intake for Written {
    async fn take(&self, heard: Vec<HeardLeg>) -> Result<(), Refusal> {
        if let Some(refusal) = self.refuses.lock().expect("a lock").clone() {
            return Err(refusal);
        }
        self.heard.lock().expect("a lock").push(heard);
        Ok(())
    }

    async fn concerns(&self, dial_plan: &str, extension: &str) -> Result<bool, Refusal> {
        Ok((dial_plan, extension) == ("Lyon", "102"))
    }

    async fn mailbox_of(&self, address: &str) -> Result<Option<(String, String)>, Refusal> {
        Ok((address == "alice@example.test").then(|| ("Lyon".to_owned(), "102".to_owned())))
    }

    async fn missed_a_while(&self, _: &str, _: Timestamp, _: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }

    async fn filled(&self, _integration: &str, _from: Timestamp, _filled: Filled) -> Result<(), Refusal> {
        Ok(())
    }

    async fn heard_until(&self, _integration: &str) -> Result<Option<Timestamp>, Refusal> {
        Ok(None)
    }

    async fn note_heard(&self, _integration: &str, _until: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }
}

struct World {
    engine: Engine,
    router: Router,
    owner: Actor,
    secret: String,
    intake: Arc<Written>,
    folder: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

impl Reply {
    /// Status and code of a problem document that is complete.
    #[track_caller]
    fn problem(&self) -> (u16, &str) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.json);
        let text = |key: &str| self.json[key].as_str().unwrap_or("");
        assert!(!text("title").is_empty() && !text("detail").is_empty(), "{}", self.json);
        assert_eq!(self.json["status"], self.status);
        assert_eq!(self.json["type"], format!("urn:carillon:problem:{}", text("code")));
        assert!(text("instance").starts_with("urn:carillon:request:"), "{}", self.json);
        (self.status, text("code"))
    }

    fn detail(&self) -> &str {
        self.json["detail"].as_str().unwrap_or("")
    }
}

impl World {
    async fn new() -> World {
        let folder = std::env::temp_dir().join(format!("carillon-calls-{}", Uuid::new_v4()));
        std::fs::create_dir_all(folder.join("scratch")).expect("a folder");
        let clock = Arc::new(MachineClock);
        let parts = Parts {
            messenger: None,
            files_follow: false,
            store: Arc::new(Sqlite::open(&folder.join("carillon.db"), clock.clone()).await.expect("a store")),
            channels: Vec::new(),
            sources: sources::all(),
            clock,
            keys: Keys::new(vec![[7; 32]]),
            organization: "Example".into(),
            scratch: folder.join("scratch"),
            duties: engine::Duties::ALL,
            node: Uuid::new_v4(),
            predecessor: None,
            sending: None,
        };
        let (engine, _) = Engine::start(parts).await.expect("an engine");
        let secret = engine.create_owner_token("owner").await.expect("a token");
        let owner = engine.actor(&secret).await.expect("an actor");
        let intake = Arc::new(Written::default());
        let integrations =
            vec![cloudevents::route::router(engine.clone(), intake.clone()), voicemail_mail::route::router(engine.clone(), intake.clone())];
        let extras = web::Extras {
            metrics: Box::new(String::new),
            version: "0.1.0".into(),
            public_url: String::new(),
            web_push_key: String::new(),
            api: false,
            integrations,
            limits: web::Limits::default(),
        };
        let router = web::router(engine.clone(), extras);
        World { engine, router, owner, secret, intake, folder }
    }

    async fn token(&self, made: Value) -> String {
        let draft = serde_json::from_value(made).expect("a draft");
        self.engine.create_token(&self.owner, draft, None).await.expect("a token").token.expect("its secret")
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let mut request = Request::builder().method("POST").uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).expect("a request")).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Reply { status: parts.status.as_u16(), headers: parts.headers, json: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    async fn post_as(&self, secret: &str, path: &str, media: &str, body: impl Into<Body>) -> Reply {
        let bearer = format!("Bearer {secret}");
        self.ask(path, &[("authorization", &bearer), ("content-type", media)], body).await
    }

    async fn post(&self, path: &str, media: &str, body: impl Into<Body>) -> Reply {
        self.post_as(&self.secret, path, media, body).await
    }

    fn heard(&self) -> Vec<HeardLeg> {
        self.intake.heard.lock().expect("a lock").concat()
    }
}

fn leg() -> Value {
    json!({"callId": "1-26402@127.0.0.1", "legId": "102", "dialPlan": "Lyon", "calledExtension": "102",
           "caller": {"number": "101", "name": "Bob"}, "state": "no_answer", "at": "2026-11-20T15:52:38Z"})
}

fn event(data: &Value) -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "/kamailio/lyon", "type": LEG_TYPE, "data": data})
}

fn voice_message(recording: &str) -> Value {
    let mut leg = leg();
    leg["state"] = json!("voice_message");
    leg["recording"] = json!(recording);
    leg
}

fn voice_mail() -> String {
    include_str!("voicemail_mail/captured-mailcmd.eml").replace("[base64 WAV data left out]", "UklGRiQAAABXQVZF")
}

#[tokio::test]
async fn an_event_in_each_form_is_taken() {
    let world = World::new().await;
    let bearer = format!("bearer {}", world.secret);
    let attributes = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/kamailio/lyon"),
        ("ce-type", LEG_TYPE),
    ];
    let binary = world.ask(EVENTS, &attributes, leg().to_string()).await;
    assert_eq!((binary.status, binary.json), (202, json!({"accepted": 1})));
    let structured = world.post(EVENTS, STRUCTURED, event(&leg()).to_string()).await;
    assert_eq!((structured.status, structured.json), (202, json!({"accepted": 1})));
    let batch = world.post(EVENTS, BATCH, json!([event(&leg()), event(&leg())]).to_string()).await;
    assert_eq!((batch.status, batch.json), (202, json!({"accepted": 2})));
    let none = world.post(EVENTS, BATCH, "[]").await;
    assert_eq!((none.status, none.json), (202, json!({"accepted": 0})));
    let heard = world.heard();
    assert!(heard.len() == 4 && heard.iter().all(|one| *one == heard[0] && one.leg.state == LegState::NoAnswer));
    assert_eq!(world.intake.heard.lock().expect("a lock").len(), 3, "a batch is one act, and an empty one none");
}

#[tokio::test]
async fn the_audio_of_a_data_url_is_taken_and_another_text_is_a_name() {
    let world = World::new().await;
    let audio = format!("data:audio/wav;base64,{}", STANDARD.encode("RIFF"));
    for recording in [audio.as_str(), "msg0000.wav"] {
        assert_eq!(world.post(EVENTS, STRUCTURED, event(&voice_message(recording)).to_string()).await.status, 202);
    }
    let heard = world.heard();
    let recording = heard[0].recording.as_ref().expect("a recording");
    assert_eq!((heard[0].leg.recording.as_deref(), recording.bytes.as_slice()), (Some("message.wav"), &b"RIFF"[..]));
    assert_eq!((heard[1].leg.recording.as_deref(), heard[1].recording.as_ref()), (Some("msg0000.wav"), None));
    let large = format!("data:audio/wav;base64,{}", "A".repeat(12 << 20));
    let refused = world.post(EVENTS, STRUCTURED, event(&voice_message(&large)).to_string()).await;
    assert_eq!((refused.problem(), &refused.json["errors"][0]["field"]), ((413, "too_large"), &json!("data.recording")));
    let mut ringing = voice_message(&audio);
    ringing["state"] = json!("ringing");
    assert_eq!(world.post(EVENTS, STRUCTURED, event(&ringing).to_string()).await.problem(), (422, "invalid_field"));
}

#[tokio::test]
async fn an_event_of_another_type_is_refused_with_those_that_are_known() {
    let world = World::new().await;
    let mut other = event(&leg());
    other["type"] = json!("org.example.weather");
    let refused = world.post(EVENTS, STRUCTURED, other.to_string()).await;
    assert_eq!(refused.problem(), (422, "invalid_field"));
    assert!(refused.detail().contains("\"org.example.weather\" is not an event that is known here; known: org.carillon.call.leg.v1"));
}

#[tokio::test]
async fn one_wrong_event_of_a_batch_refuses_all_of_it_and_is_named() {
    let world = World::new().await;
    let mut wrong = leg();
    wrong["callId"] = json!("");
    let refused = world.post(EVENTS, BATCH, json!([event(&leg()), event(&wrong)]).to_string()).await;
    assert_eq!((refused.problem(), &refused.json["errors"][0]["field"]), ((422, "invalid_field"), &json!("1.data.callId")));
    assert!(refused.detail().starts_with("1.data.callId: takes one line"), "{}", refused.detail());
    assert!(world.heard().is_empty());
}

#[tokio::test]
async fn calls_are_reported_with_the_right_for_telephony_in_the_whole_organization() {
    let world = World::new().await;
    let draft = serde_json::from_value(json!({"name": "north", "externalId": "g-north"})).expect("a draft");
    world.engine.create_group(&world.owner, draft, None).await.expect("a group");
    let admin = world.token(json!({"name": "pbx", "role": "telephony-admin"})).await;
    let scoped = world.token(json!({"name": "a pbx of the north", "role": "telephony-admin", "scope": {"groups": ["g-north"]}})).await;
    let reader = world.token(json!({"name": "reader", "role": "reader"})).await;
    let asks = [(EVENTS, STRUCTURED, event(&leg()).to_string()), (MAIL, RFC822, voice_mail())];
    for (path, media, body) in asks {
        for secret in [&scoped, &reader] {
            let refused = world.post_as(secret, path, media, body.clone()).await;
            assert_eq!(refused.problem(), (403, "forbidden"), "{path}");
            assert!(refused.detail().contains("Telephony/Manage") && refused.detail().contains("telephony-admin"));
        }
        let stranger = world.post_as("car_nobody", path, media, body.clone()).await;
        assert_eq!(
            (stranger.problem(), &stranger.headers["www-authenticate"]),
            ((401, "unauthenticated"), &"Bearer".parse().expect("a value"))
        );
        assert_eq!(world.ask(path, &[("content-type", media)], body.clone()).await.problem(), (401, "unauthenticated"));
        assert!(world.heard().is_empty());
        assert_eq!(world.post_as(&admin, path, media, body).await.status, 202, "{path}");
        world.intake.heard.lock().expect("a lock").clear();
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_the_reason() {
    let world = World::new().await;
    for media in ["text/plain", "application/cloudevents+avro", "message/rfc822"] {
        assert_eq!(world.post(EVENTS, media, "x").await.problem(), (415, "unsupported_media_type"), "{media}");
    }
    assert_eq!(world.post(EVENTS, STRUCTURED, "{").await.problem(), (400, "malformed"));
    assert_eq!(world.post(EVENTS, "application/json", leg().to_string()).await.problem(), (422, "invalid_field"));
    assert_eq!(world.post(EVENTS, STRUCTURED, vec![b' '; (16 << 20) + 1]).await.problem(), (413, "too_large"));
    assert_eq!(world.post(MAIL, "text/plain", voice_mail()).await.problem(), (415, "unsupported_media_type"));
    assert_eq!(world.post(MAIL, RFC822, vec![b' '; voicemail_mail::MAIL_BYTES + 1]).await.problem(), (413, "too_large"));
    assert_eq!(world.post(MAIL, RFC822, "Subject: Lunch\n\nAt noon?\n").await.problem(), (400, "no_voice_mail"));
    assert_eq!(world.post(&format!("{MAIL}?plan=Lyon"), RFC822, voice_mail()).await.problem(), (400, "unknown_parameter"));
    assert_eq!(world.post(&format!("{MAIL}?dialPlan="), RFC822, voice_mail()).await.problem(), (422, "invalid_field"));
    assert!(world.heard().is_empty());
}

#[tokio::test]
async fn what_the_intake_refuses_is_said_and_what_is_away_comes_back() {
    let world = World::new().await;
    let limit = RefusalKind::TooLarge;
    for (refusal, said) in [
        (Refusal::unavailable("the store is away"), (503, "unavailable")),
        (Refusal::field("dialPlan", "there is no dial plan \"Lyon\""), (422, "invalid_field")),
        (Refusal::new(limit, "too_large", "the audio is too large"), (413, "too_large")),
    ] {
        *world.intake.refuses.lock().expect("a lock") = Some(refusal);
        for reply in [world.post(EVENTS, STRUCTURED, event(&leg()).to_string()).await, world.post(MAIL, RFC822, voice_mail()).await] {
            assert_eq!(reply.problem(), said);
            assert_eq!(reply.headers.contains_key("retry-after"), said.0 == 503);
        }
    }
    let field = |reply: &Reply| reply.json["errors"][0]["field"].as_str().unwrap_or_default().to_owned();
    for (form, sent, said, named) in [
        (STRUCTURED, event(&leg()), "dialPlan", "data.dialPlan"),
        (BATCH, json!([event(&leg())]), "dialPlan", "0.data.dialPlan"),
        (BATCH, json!([event(&leg()), event(&leg())]), "1.dialPlan", "1.data.dialPlan"),
    ] {
        *world.intake.refuses.lock().expect("a lock") = Some(Refusal::field(said, "there is no dial plan \"Lyon\""));
        let reply = world.post(EVENTS, form, sent.to_string()).await;
        assert_eq!((field(&reply).as_str(), reply.detail().starts_with(named)), (named, true), "{}", reply.detail());
    }
}

#[tokio::test]
async fn a_mail_is_for_the_mailbox_that_it_names_or_for_its_recipient() {
    let world = World::new().await;
    let by_number = world.post(&format!("{MAIL}?dialPlan=Lyon"), RFC822, voice_mail().replace("alice@", "nobody@")).await;
    assert_eq!((by_number.status, by_number.json), (202, json!({"accepted": 1, "dialPlan": "Lyon", "extension": "102"})));
    let elsewhere = voice_mail().replace("-102-", "-999-").replace("mailbox_102", "mailbox_999");
    assert_eq!(world.post(MAIL, RFC822, elsewhere.clone()).await.status, 202, "by its recipient");
    assert_eq!(world.post(&format!("{MAIL}?dialPlan=Lyon"), RFC822, elsewhere).await.status, 202, "999 is nobody's, and alice is somebody");
    let heard = world.heard();
    assert!(heard.iter().all(|heard| heard.leg.called_extension == "102" && heard.leg.state == LegState::VoiceMessage));
    assert!(heard[0].recording.as_ref().is_some_and(|audio| audio.name == "msg0000.wav" && audio.bytes.starts_with(b"RIFF")));
    let stranger = voice_mail().replace("alice@", "nobody@");
    let refused = world.post(MAIL, RFC822, stranger).await;
    assert_eq!(refused.problem(), (422, "unknown_mailbox"));
    assert!(refused.detail().contains("\"102\", but no dial plan was said") && refused.detail().contains("nobody@example.test"));
}

#[tokio::test]
async fn the_same_mail_again_says_the_same() {
    let world = World::new().await;
    for _ in 0..2 {
        assert_eq!(world.post(MAIL, RFC822, voice_mail()).await.status, 202);
    }
    let heard = world.heard();
    assert_eq!(heard[0], heard[1]);
}
