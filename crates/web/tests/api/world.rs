//! A server for one test: engine and store in a folder of their own, the router, and an owner's token.

use super::schema::{self, Described};
use axum::Router;
use axum::body::Body;
use engine::keys::Keys;
use engine::{Engine, Parts};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use model::{Channel, Clock, Timestamp};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store::sqlite::Sqlite;
use tower::ServiceExt;
use uuid::Uuid;

/// The key that these servers give to browsers: that of RFC 8292 §2.4.
pub const WEB_PUSH_KEY: &str = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";

/// A clock that runs, and that a test can put forward.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn forward(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond() + self.0.load(Ordering::SeqCst))
    }
}

pub struct World {
    pub engine: Engine,
    pub router: Router,
    pub clock: Arc<TestClock>,
    pub owner: String,
    described: Arc<Described>,
    folder: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// The status and the code of a problem.
    pub fn code(&self) -> (u16, &str) {
        (self.status.as_u16(), self.json["code"].as_str().unwrap_or(""))
    }

    pub fn id(&self) -> &str {
        self.json["id"].as_str().expect("an id")
    }

    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Field and message of every fault.
    pub fn faults(&self) -> Vec<(&str, &str)> {
        let errors = self.json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().map(|e| (e["field"].as_str().unwrap_or(""), e["message"].as_str().unwrap_or(""))).collect()
    }
}

/// A request that is being made.
pub struct Ask<'a> {
    world: &'a World,
    method: Method,
    path: String,
    token: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ask<'_> {
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub fn nobody(mut self) -> Self {
        self.token = None;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn json(self, body: Value) -> Self {
        self.bytes("application/json", body.to_string().into_bytes())
    }

    pub fn bytes(mut self, media: &str, body: Vec<u8>) -> Self {
        self.headers.push(("content-type".into(), media.into()));
        self.body = body;
        self
    }

    pub fn request(&self) -> Request<Body> {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body.clone())).expect("a request")
    }

    pub async fn send(self) -> Reply {
        let response = self.world.router.clone().oneshot(self.request()).await.expect("the router always answers");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let reply = Reply { status: parts.status, headers: parts.headers, text, json };
        self.world.described.check(&self.method, &self.path, &reply);
        reply
    }
}

impl World {
    pub async fn new() -> World {
        World::with(Vec::new()).await
    }

    /// One that can send.
    pub async fn with(channels: Vec<Arc<dyn Channel>>) -> World {
        let folder = std::env::temp_dir().join(format!("carillon-web-{}", Uuid::new_v4()));
        std::fs::create_dir_all(folder.join("scratch")).expect("a folder");
        let clock = Arc::new(TestClock(AtomicI64::new(0)));
        let store = Sqlite::open(&folder.join("carillon.db"), clock.clone()).await.expect("a store");
        let parts = Parts {
            messenger: None,
            files_follow: false,
            store: Arc::new(store),
            channels,
            sources: sources::all(),
            clock: clock.clone(),
            keys: Keys::new(vec![[7; 32]]).signing(&engine::keys::new_signing_key()).expect("a key"),
            organization: "Example".into(),
            scratch: folder.join("scratch"),
            duties: engine::Duties::ALL,
            node: Uuid::new_v4(),
            predecessor: None,
            sending: None,
        };
        let (engine, fresh) = Engine::start(parts).await.expect("an engine");
        assert!(fresh);
        let owner = engine.create_owner_token("owner").await.expect("a token");
        let extras = web::Extras {
            metrics: Box::new(|| "# metrics\n".into()),
            version: "0.1.0".into(),
            public_url: String::new(),
            web_push_key: WEB_PUSH_KEY.into(),
            api: true,
            integrations: Vec::new(),
            limits: web::Limits::default(),
        };
        let router = web::router(engine.clone(), extras);
        let described = schema::of(&router).await;
        World { engine, router, clock, owner, described, folder }
    }

    /// A request of the owner, unless something else is said.
    pub fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        Ask { world: self, method, path: path.to_owned(), token: Some(self.owner.clone()), headers: Vec::new(), body: Vec::new() }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask("POST", path).json(body).send().await
    }

    pub fn described(&self) -> &Described {
        &self.described
    }

    /// A user; answers the id.
    pub async fn user(&self, upn: &str) -> String {
        let reply = self.post("/api/v1/users", json!({"upn": upn, "displayName": upn})).await.expect(201);
        reply.id().to_owned()
    }

    /// A group; answers the id.
    pub async fn group(&self, name: &str) -> String {
        self.post("/api/v1/groups", json!({"name": name})).await.expect(201).id().to_owned()
    }

    pub async fn add(&self, group: &str, kind: &str, id: &str) {
        let change = json!({"add": [{"memberType": kind, "id": id}]});
        self.post(&format!("/api/v1/groups/{group}/members"), change).await.expect(200);
    }

    /// A token with a role, for some groups or everywhere.
    pub async fn token(&self, role: &str, groups: &[&str]) -> String {
        let mut draft = json!({"name": format!("a {role}"), "role": role});
        if !groups.is_empty() {
            draft["scope"] = json!({"groups": groups});
        }
        let reply = self.post("/api/v1/tokens", draft).await.expect(201);
        reply.json["token"].as_str().expect("a secret").to_owned()
    }

    /// A device that enrolled with a code: its id and token.
    pub async fn enrolled(&self, user: &str) -> (String, String) {
        let code = self.ask("POST", &format!("/api/v1/users/{user}/enrolment-codes")).send().await.expect(201);
        let draft = json!({"code": code.json["code"], "name": "a phone", "platform": "ios", "notificationPermission": "granted"});
        let reply = self.ask("POST", "/api/v1/device/enrol").nobody().json(draft).send().await.expect(201);
        let of = |name: &str| reply.json[name].as_str().expect("a text").to_owned();
        (of("deviceId"), of("token"))
    }
}
