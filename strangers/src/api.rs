//! A whole server without its sockets: engine, SQLite and router, asked by an owner, a device and nobody.

use axum::Router;
use axum::body::Body;
use engine::keys::Keys;
use engine::{Engine, Parts};
use http::{Method, Request};
use http_body_util::BodyExt;
use model::{Clock, Timestamp};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use store::sqlite::Sqlite;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use uuid::Uuid;

/// Longest that one request may take; a fuzzer's machine is busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// Begins the name of each process's folder.
const FOLDER: &str = "carillon-strangers-";
/// The stream of an inbox does not end.
const ENDLESS: &str = "/api/v1/device/inbox/stream";
/// First lines of import files, one for each kind.
const HEADERS: [&str; 5] = [
    "external_id,upn,display_name,email,locale,timezone,licenses,manager_upn,phones,active\n",
    "external_id,name,description\n",
    "group,member_type,member\n",
    "external_id,name,owner_upn,platform,ownership,enrolled,app_installed,notification_permission,play_services,enrolled_by_upn\n",
    "device,service,app,environment,token,endpoint,p256dh,auth\n",
];

struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

struct World {
    runtime: Runtime,
    router: Router,
    owner: String,
    device: String,
    operations: Vec<(Method, String)>,
    /// Ids that there are, for paths.
    ids: Vec<String>,
}

static WORLD: LazyLock<World> = LazyLock::new(World::open);

/// A folder of this process; those of processes that are gone are removed.
fn folder() -> PathBuf {
    let all = std::env::temp_dir();
    for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let gone = name.strip_prefix(FOLDER).is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists());
        if gone {
            // Another process may be at it as well.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let own = all.join(format!("{FOLDER}{}", std::process::id()));
    std::fs::create_dir_all(&own).expect("a folder in the temporary one");
    own
}

impl World {
    fn open() -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (engine, owner) = runtime.block_on(start());
        let extras = web::Extras {
            integrations: Vec::new(),
            metrics: Box::new(String::new),
            version: "0".into(),
            public_url: String::new(),
            web_push_key: String::new(),
            api: true,
            limits: web::Limits { requests_per_second: 0, ..web::Limits::default() },
        };
        let router = web::router(engine, extras);
        let mut world = World { runtime, router, owner, device: String::new(), operations: Vec::new(), ids: Vec::new() };
        world.furnish();
        world
    }

    fn furnish(&mut self) {
        let owner = self.owner.clone();
        let post = |path: &str, body: Value| self.must(Method::POST, path, &owner, &body);
        let person = post("/api/v1/users", json!({"upn": "ada@example.org", "displayName": "Ada", "externalId": "p-ada"}));
        let person = person["id"].as_str().expect("an id").to_owned();
        let group = post("/api/v1/groups", json!({"name": "lyon"}));
        let code = post(&format!("/api/v1/users/{person}/enrolment-codes"), json!({}));
        let device = post("/api/v1/device/enrol", json!({"code": code["code"], "name": "phone", "platform": "ios"}));
        let sent = post("/api/v1/notifications", json!({"title": "t", "body": "b", "users": ["ada@example.org"]}));
        let id = |object: &Value, name: &str| object[name].as_str().expect("an id").to_owned();
        let ids = vec![person, id(&group, "id"), id(&device, "deviceId"), id(&sent, "id")];
        let token = id(&device, "token");
        let document = self.must(Method::GET, "/openapi.json", &owner, &Value::Null);
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths").iter().filter(|(path, _)| *path != ENDLESS) {
            for method in item.as_object().expect("methods").keys() {
                operations.push((Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method"), path.clone()));
            }
        }
        (self.device, self.ids, self.operations) = (token, ids, operations);
    }

    fn must(&self, method: Method, path: &str, token: &str, body: &Value) -> Value {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).expect("a request");
        let (status, body) = self.send(request);
        assert!(status < 300, "{path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }

    /// Status and body of an answer, which must be in order whatever was asked.
    fn send(&self, request: Request<Body>) -> (u16, Vec<u8>) {
        let what = format!("{} {}", request.method(), request.uri());
        let asking = async {
            let response = self.router.clone().oneshot(request).await.expect("the router always answers");
            let (parts, body) = response.into_parts();
            (parts, body.collect().await.expect("a body").to_bytes())
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
        let (parts, body) = answer.unwrap_or_else(|_| panic!("{what} takes longer than {PATIENCE:?}"));
        let status = parts.status.as_u16();
        let said = String::from_utf8_lossy(&body);
        assert!(status < 500, "{what} failed: {status} {said}");
        if status >= 400 {
            let media = parts.headers.get("content-type").and_then(|v| v.to_str().ok());
            assert_eq!(media, Some("application/problem+json"), "{what}: {status} {said}");
            let problem: Value = serde_json::from_slice(&body).expect("a problem is JSON");
            assert_eq!(problem["status"], status, "{said}");
            assert!(problem["code"].is_string() && problem["detail"].is_string(), "{said}");
            assert!(body.len() < 1 << 20, "{what}: a refusal of {} bytes", body.len());
        }
        (status, body.to_vec())
    }
}

async fn start() -> (Engine, String) {
    let folder = folder();
    let clock: Arc<dyn Clock> = Arc::new(MachineClock);
    let store = Sqlite::open(&folder.join("carillon.db"), clock.clone()).await.expect("a store");
    let parts = Parts {
        messenger: None,
        files_follow: false,
        store: Arc::new(store),
        channels: Vec::new(),
        sources: sources::all(),
        clock,
        keys: Keys::new(vec![[7; 32]]).signing(&engine::keys::new_signing_key()).expect("a new key is one"),
        organization: "Strangers".into(),
        scratch: folder.join("scratch"),
        duties: engine::Duties { dispatch: false, deliver: false, timers: false },
        node: Uuid::new_v4(),
        predecessor: None,
        sending: None,
    };
    std::fs::create_dir_all(&parts.scratch).expect("a folder");
    let (engine, _) = Engine::start(parts).await.expect("an engine");
    let owner = engine.create_owner_token("owner").await.expect("a token");
    (engine, owner)
}

/// What may stand in a URL as it is.
fn escaped(text: &[u8]) -> String {
    text.iter()
        .map(|b| if b.is_ascii_alphanumeric() || b"-._~".contains(b) { char::from(*b).to_string() } else { format!("%{b:02x}") })
        .collect()
}

/// One request: a byte for the operation, a byte for the token, and lines for path, query and headers; the rest is the body.
pub fn ask(bytes: &[u8]) {
    let [operation, token, rest @ ..] = bytes else { return };
    let world = &*WORLD;
    let mut pieces = rest.splitn(4, |b| *b == b'\n');
    let mut next = || pieces.next().unwrap_or_default();
    let (word, query, headers, body) = (next(), next(), next(), next());
    let (method, path) = &world.operations[usize::from(*operation) % world.operations.len()];
    let word = match word {
        [at] => world.ids[usize::from(*at) % world.ids.len()].clone(),
        _ => escaped(word),
    };
    let path: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { word.as_str() } else { part }).collect();
    let query: String =
        query.iter().map(|b| if b.is_ascii_graphic() && *b != b'#' { char::from(*b).to_string() } else { format!("%{b:02x}") }).collect();
    let Ok(uri) = format!("{}?{query}", path.join("/")).parse::<http::Uri>() else { return };
    let mut request = Request::builder().method(method.clone()).uri(uri).header("content-type", "application/json");
    request = match token % 8 {
        0 => request,
        1 => request.header("authorization", format!("Bearer {}", world.device)),
        2 => request.header("authorization", headers),
        _ => request.header("authorization", format!("Bearer {}", world.owner)),
    };
    for (name, value) in ["idempotency-key", "if-match", "accept-language", "x-request-id", "accept", "x-forwarded-for"]
        .iter()
        .zip(headers.split(|b| *b == b'\t'))
    {
        if !value.is_empty() {
            request = request.header(*name, value);
        }
    }
    let Ok(request) = request.body(Body::from(body.to_vec())) else { return };
    world.send(request);
}

/// A CSV file: a byte for the kind of file, whose header line goes before it (or none), and the rows. It is checked and not applied.
pub fn import(bytes: &[u8]) {
    let Some((kind, rows)) = bytes.split_first() else { return };
    let world = &*WORLD;
    let header = HEADERS.get(usize::from(*kind) % (HEADERS.len() + 1)).copied().unwrap_or_default();
    let mode = if kind & 0x80 == 0 { "upsert" } else { "replace" };
    let request = Request::builder().method(Method::POST).uri(format!("/api/v1/directory/import?dryRun=true&mode={mode}"));
    let request = request.header("authorization", format!("Bearer {}", world.owner)).header("content-type", "text/csv");
    let body = [header.as_bytes(), rows].concat();
    world.send(request.body(Body::from(body)).expect("a request"));
}
