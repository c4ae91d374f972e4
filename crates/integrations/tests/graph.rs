//! Graph's calls over a real engine and a real store: who may call what, what is refused and how that looks, and that what
//! comes in this way is an ordinary event.

use axum::Router;
use axum::body::Body;
use engine::keys::Keys;
use engine::notifications::NotificationQuery;
use engine::{Engine, Parts};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use integrations::graph::{self, Call};
use model::roles::Actor;
use model::{Clock, Locale, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use store::sqlite::Sqlite;
use tower::ServiceExt;
use uuid::Uuid;

const TO_GROUPS: &str = "/beta/deviceManagement/sendCustomNotificationToCompanyPortal";
const TO_DEVICES: &str = "/beta/deviceManagement/managedDevices/executeAction";

struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

/// An engine with a small organization: Ada with a phone in the group North, Eve with a phone in the group South, and a
/// phone that nobody owns. External ids are `g-north`, `d-ada` and so on.
struct World {
    engine: Engine,
    router: Router,
    owner: Actor,
    secret: String,
    folder: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What came back.
struct Reply {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// Status, Graph's code and Carillon's, of an error that is complete.
    #[track_caller]
    fn error(&self) -> (u16, &str, &str) {
        let error = &self.json["error"];
        let inner = &error["innerError"];
        assert_eq!(self.header("content-type"), "application/json", "{}", self.json);
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()), "{}", self.json);
        assert_eq!(inner["request-id"], self.header("request-id"), "{}", self.json);
        assert_eq!(inner["client-request-id"], self.header("client-request-id"), "{}", self.json);
        assert_eq!(inner["date"].as_str().map(str::len), Some(19), "{}", self.json);
        (self.status, error["code"].as_str().unwrap_or(""), inner["code"].as_str().unwrap_or(""))
    }

    #[track_caller]
    fn message(&self) -> &str {
        self.json["error"]["message"].as_str().expect("a message")
    }
}

fn draft<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("a draft")
}

impl World {
    async fn new() -> World {
        let folder = std::env::temp_dir().join(format!("carillon-graph-{}", Uuid::new_v4()));
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
        let router = graph::router(engine.clone(), "https://carillon.example.org");
        let world = World { engine, router, owner, secret, folder };
        for (group, person) in [("north", "ada"), ("south", "eve")] {
            world.people_and_phone(group, person).await;
        }
        world.device(json!({"name": "spare", "platform": "ios", "externalId": "d-spare"})).await;
        world
    }

    async fn people_and_phone(&self, group: &str, person: &str) {
        let upn = format!("{person}@example.org");
        let user = self.engine.create_user(&self.owner, draft(json!({"upn": upn, "displayName": person})), None).await.expect("a user");
        let made = draft(json!({"name": group, "externalId": format!("g-{group}")}));
        let group = self.engine.create_group(&self.owner, made, None).await.expect("a group");
        let members = draft(json!({"add": [{"memberType": "user", "id": user.id}]}));
        self.engine.change_members(&self.owner, group.id, members, None).await.expect("a member");
        let phone = json!({"name": person, "platform": "ios", "externalId": format!("d-{person}"), "ownerUpn": upn, "enrolled": true});
        self.device(phone).await;
    }

    async fn device(&self, device: Value) -> Uuid {
        self.engine.create_device(&self.owner, draft(device), None).await.expect("a device").id
    }

    async fn token(&self, role: &str, groups: &[&str]) -> String {
        let mut made = json!({"name": format!("a {role}"), "role": role});
        if !groups.is_empty() {
            made["scope"] = json!({"groups": groups});
        }
        self.engine.create_token(&self.owner, draft(made), None).await.expect("a token").token.expect("its secret")
    }

    async fn set(&self, key: &str, value: u64) {
        self.engine.set_setting(&self.owner, key, Some(json!(value)), None, Locale::En).await.expect("a setting");
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).expect("a request")).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status.as_u16(), headers: parts.headers, json }
    }

    async fn post_as(&self, secret: &str, path: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {secret}");
        self.ask("POST", path, &[("authorization", &bearer), ("content-type", "application/json")], body.to_string().into_bytes()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_as(&self.secret, path, body).await
    }

    async fn sent(&self) -> usize {
        self.engine
            .notifications(&self.owner, NotificationQuery { limit: Some(500), ..NotificationQuery::default() })
            .await
            .expect("a list")
            .items
            .len()
    }
}

fn to_groups(names: &[&str]) -> Value {
    json!({"notificationTitle": "T", "notificationBody": "B", "groupsToNotify": names})
}

fn to_device(id: &str) -> String {
    format!("/beta/deviceManagement/managedDevices/{id}/sendCustomNotificationToCompanyPortal")
}

fn text() -> Value {
    json!({"notificationTitle": "T", "notificationBody": "B"})
}

fn to_devices(names: &[&str]) -> Value {
    json!({"actionName": "customTextNotification", "notificationTitle": "T", "notificationBody": "B", "deviceIds": names})
}

/// Every call, to what belongs to `group` and `person`. A new call does not compile before it stands here.
fn every_call(group: &str, person: &str) -> [(Call, String, Value); 3] {
    let device = format!("d-{person}");
    [Call::ToGroups, Call::ToDevice(device.clone()), Call::ToDevices].map(|call| {
        let (path, body) = match &call {
            Call::ToGroups => (TO_GROUPS.to_owned(), to_groups(&[&format!("g-{group}")])),
            Call::ToDevice(id) => (to_device(id), text()),
            Call::ToDevices => (TO_DEVICES.to_owned(), to_devices(&[&device])),
        };
        (call, path, body)
    })
}

#[tokio::test]
async fn each_role_may_call_what_the_table_of_rights_says_and_only_inside_its_scope() {
    let world = World::new().await;
    // To groups, to one device, to several devices.
    let rights = [
        ("owner", [true, true, true]),
        ("notification-admin", [true, true, true]),
        ("help-desk", [false, true, true]),
        ("auditor", [false, false, false]),
        ("reader", [false, false, false]),
        ("conferencing-admin", [false, false, false]),
        ("telephony-admin", [false, false, false]),
        ("mail-access-admin", [false, false, false]),
    ];
    let named: Vec<&str> = rights.iter().map(|(role, _)| *role).collect();
    assert!(model::roles::Role::ALL.iter().all(|role| named.contains(&role.word())), "every built-in role has its line");
    world.set("limits.device_sends_per_hour", 100).await;
    for (role, may) in rights {
        for groups in [&[][..], &["north"]] {
            let token = world.token(role, groups).await;
            let scoped = !groups.is_empty();
            for (group, person, inside) in [("north", "ada", true), ("south", "eve", !scoped)] {
                for ((call, path, body), may) in every_call(group, person).into_iter().zip(may) {
                    let before = world.sent().await;
                    let reply = world.post_as(&token, &path, &body).await;
                    let what = format!("{role} {call:?} scoped={scoped} inside={inside}: {}", reply.json);
                    let done = may && inside;
                    assert_eq!(world.sent().await - before, usize::from(done), "{what}");
                    match (&call, may, inside) {
                        (_, false, _) => assert_eq!(reply.error(), (403, "Forbidden", "forbidden"), "{what}"),
                        (Call::ToDevices, true, _) => {
                            let lists = (&reply.json["successfulDeviceIds"], &reply.json["failedDeviceIds"]);
                            let (yes, no) = (json!([format!("d-{person}")]), json!([]));
                            assert_eq!(lists, if inside { (&yes, &no) } else { (&no, &yes) }, "{what}");
                        }
                        (Call::ToGroups | Call::ToDevice(_), true, true) => assert_eq!(reply.status, 204, "{what}"),
                        (Call::ToGroups | Call::ToDevice(_), true, false) => {
                            assert_eq!(reply.error(), (403, "Forbidden", "out_of_scope"), "{what}");
                        }
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn whoever_is_not_known_is_told_so_before_anything_else() {
    let world = World::new().await;
    let body = to_groups(&["g-north"]).to_string().into_bytes();
    for headers in
        [&[][..], &[("authorization", "Basic YTpi")], &[("authorization", "Bearer car_unknown")], &[("authorization", "Bearer ")]]
    {
        for path in [TO_GROUPS, TO_DEVICES, "/beta/users", "/v1.0/me", "/beta"] {
            let reply = world.ask("POST", path, headers, body.clone()).await;
            assert_eq!(reply.error(), (401, "InvalidAuthenticationToken", "unauthenticated"), "{path} {headers:?}");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
    }
    assert_eq!(world.sent().await, 0);
}

#[tokio::test]
async fn a_token_inside_a_json_web_token_opens_what_it_opens_alone() {
    let world = World::new().await;
    let enclose = |secret: &str| {
        let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
        format!("{}.{}.", encode(r#"{"alg":"none","typ":"JWT"}"#), encode(&json!({"jti": secret, "exp": 4_102_444_800_u64}).to_string()))
    };
    let reply = world.post_as(&enclose(&world.secret), TO_GROUPS, &to_groups(&["g-north"])).await;
    assert_eq!(reply.status, 204, "{}", reply.json);
    assert_eq!(world.post_as(&enclose("car_unknown"), TO_GROUPS, &to_groups(&["g-north"])).await.error().0, 401);
    let reader = world.token("reader", &[]).await;
    assert_eq!(world.post_as(&enclose(&reader), TO_GROUPS, &to_groups(&["g-north"])).await.error().0, 403);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_graphs_shape() {
    let world = World::new().await;
    let bearer = format!("Bearer {}", world.secret);
    let whole = to_groups(&["g-north"]).to_string().into_bytes();
    let large = vec![b' '; (1 << 20) + 1];
    let cases: [(&str, &str, &str, &[u8], (u16, &str, &str)); 8] = [
        ("GET", TO_GROUPS, "application/json", b"", (405, "MethodNotAllowed", "method_not_allowed")),
        ("POST", "/beta/deviceManagement/managedDevices", "application/json", &whole, (400, "BadRequest", "unknown_path")),
        ("POST", "/v1.0/deviceManagement/managedDevices/executeAction", "application/json", &whole, (400, "BadRequest", "unknown_path")),
        ("POST", TO_GROUPS, "text/plain", &whole, (415, "UnsupportedMediaType", "unsupported_media_type")),
        ("POST", TO_GROUPS, "application/json; charset=utf-8", b"", (400, "BadRequest", "malformed_json")),
        ("POST", TO_GROUPS, "application/json", b"{", (400, "BadRequest", "malformed_json")),
        ("POST", TO_GROUPS, "application/json", b"{\"title\": 1}", (400, "BadRequest", "invalid_field")),
        ("POST", TO_GROUPS, "application/json", &large, (413, "RequestEntityTooLarge", "too_large")),
    ];
    for (method, path, media, body, expected) in cases {
        let reply = world.ask(method, path, &[("authorization", &bearer), ("content-type", media)], body.to_vec()).await;
        assert_eq!(reply.error(), expected, "{method} {path} {media}: {}", reply.json);
    }
    assert_eq!(world.ask("GET", TO_GROUPS, &[("authorization", &bearer)], vec![]).await.header("allow"), "POST");
    assert_eq!(world.sent().await, 0);
}

#[tokio::test]
async fn wrong_texts_and_names_are_told_by_graphs_parameters() {
    let world = World::new().await;
    let long = "x".repeat(51);
    let many: Vec<String> = (0..26).map(|n| format!("g-{n}")).collect();
    let with =
        |title: &str, body: &str, groups: Value| json!({"notificationTitle": title, "notificationBody": body, "groupsToNotify": groups});
    for (body, targets, word) in [
        (with(&long, "B", json!(["g-north"])), vec!["notificationTitle"], "at most 50"),
        (with("T", &"x".repeat(501), json!(["g-north"])), vec!["notificationBody"], "at most 500"),
        (json!({"groupsToNotify": ["g-north"]}), vec!["notificationTitle", "notificationBody"], "is empty"),
        (with("T", "B", json!([])), vec!["groupsToNotify"], "nobody is addressed"),
        (with("T", "B", Value::Null), vec!["groupsToNotify"], "nobody is addressed"),
        (with("T", "B", json!(["g-north", "g-nowhere"])), vec!["groupsToNotify[1]"], "there is no group \"g-nowhere\""),
    ] {
        let reply = world.post(TO_GROUPS, &body).await;
        assert_eq!(reply.error(), (400, "BadRequest", "invalid_field"), "{}", reply.json);
        let details = reply.json["error"]["details"].as_array().expect("details");
        assert_eq!(details.iter().map(|d| d["target"].as_str().expect("a target")).collect::<Vec<_>>(), targets, "{}", reply.json);
        assert!(reply.message().contains(word), "{}", reply.json);
    }
    let reply = world.post(TO_GROUPS, &with("T", "B", json!(many))).await;
    assert!(
        reply.message().contains("groupsToNotify: 26 are addressed; limits.groups_per_notification allows at most 25"),
        "{}",
        reply.json
    );
    let reply = world.post(TO_DEVICES, &to_devices(&[])).await;
    assert!(reply.message().starts_with("deviceIds: nobody is addressed"), "{}", reply.json);
    let all: Vec<String> = (0..101).map(|n| format!("d-{n}")).collect();
    let reply = world.post(TO_DEVICES, &to_devices(&all.iter().map(String::as_str).collect::<Vec<_>>())).await;
    assert!(reply.message().starts_with("deviceIds: 101 are addressed; limits.devices_per_notification"), "{}", reply.json);
    assert_eq!(world.post(&to_device("d-nobody"), &text()).await.error(), (404, "ResourceNotFound", "not_found"));
    assert_eq!(world.post(&to_device("d-spare"), &text()).await.error(), (400, "BadRequest", "ownerless"));
    assert_eq!(world.sent().await, 0);
}

#[tokio::test]
async fn of_several_devices_each_is_told_what_became_of_it_and_one_event_goes_to_the_rest() {
    let world = World::new().await;
    let ada = world.engine.lookup(&world.owner, "device", "d-ada").await.expect("found")[0].id.to_string();
    let names = ["d-ada", "d-nobody", "d-spare", &ada, "d-eve", "d-eve"];
    let reply = world.post(TO_DEVICES, &to_devices(&names)).await;
    assert_eq!(reply.status, 200, "{}", reply.json);
    assert!(reply.header("content-type").starts_with("application/json;odata.metadata=minimal"), "{}", reply.header("content-type"));
    assert_eq!(
        reply.json,
        json!({
            "@odata.context": "https://carillon.example.org/beta/$metadata#microsoft.graph.bulkManagedDeviceActionResult",
            "successfulDeviceIds": ["d-ada", ada, "d-eve"],
            "failedDeviceIds": [],
            "notFoundDeviceIds": ["d-nobody"],
            "notSupportedDeviceIds": ["d-spare"],
        })
    );
    let id = reply.header("carillon-notification-id").parse().expect("the event's id");
    let event = world.engine.notification(&world.owner, id).await.expect("an ordinary event");
    assert_eq!((event.title.as_deref(), event.addressed.devices.len(), event.counts.recipients), (Some("T"), 2, 2));
    // Nine more for Ada: then hers is left out, and Eve's is not.
    for _ in 0..9 {
        assert_eq!(world.post(&to_device("d-ada"), &text()).await.status, 204);
    }
    let reply = world.post(TO_DEVICES, &to_devices(&["d-ada", "d-eve"])).await;
    assert_eq!((&reply.json["failedDeviceIds"], &reply.json["successfulDeviceIds"]), (&json!(["d-ada"]), &json!(["d-eve"])));
    assert_eq!(world.sent().await, 11);
    let reply = world.post(TO_DEVICES, &to_devices(&["d-ada", "d-nobody"])).await;
    assert_eq!((reply.status, reply.header("carillon-notification-id")), (200, ""), "nothing was left to send");
    let reply = world.post(&to_device("d-ada"), &text()).await;
    assert_eq!(reply.error(), (429, "TooManyRequests", "over_limit"));
    assert!(reply.message().contains("limits.device_sends_per_hour allows 10"), "{}", reply.json);
    assert_eq!(world.sent().await, 11);
}

#[tokio::test]
async fn the_hourly_limit_of_groups_is_one_for_both_apis() {
    let world = World::new().await;
    world.set("limits.group_sends_per_hour", 2).await;
    let native = draft(json!({"title": "T", "body": "B", "groups": ["g-north"]}));
    world.engine.send(&world.owner, native, None).await.expect("the first");
    assert_eq!(world.post(TO_GROUPS, &to_groups(&["g-nowhere"])).await.status, 400, "what is refused is not counted");
    assert_eq!(world.post(TO_GROUPS, &to_groups(&["g-north"])).await.status, 204);
    let reply = world.post(TO_GROUPS, &to_groups(&["g-north"])).await;
    assert_eq!(reply.error(), (429, "TooManyRequests", "over_limit"));
    let after: u64 = reply.header("retry-after").parse().expect("seconds");
    assert!((3_590..=3_600).contains(&after), "{after}");
    assert!(reply.message().contains("limits.group_sends_per_hour allows 2 an hour"), "{}", reply.json);
}

#[tokio::test]
async fn a_send_to_groups_is_an_ordinary_event_that_can_be_explained() {
    let world = World::new().await;
    let north = world.engine.lookup(&world.owner, "group", "g-north").await.expect("found")[0].id;
    let token = world.token("notification-admin", &["north"]).await;
    let reply = world.post_as(&token, TO_GROUPS, &to_groups(&[&north.to_string()])).await;
    assert_eq!((reply.status, &reply.json), (204, &Value::Null));
    let id = reply.header("carillon-notification-id").parse().expect("the event's id");
    let event = world.engine.notification(&world.owner, id).await.expect("an ordinary event");
    assert_eq!((event.kind.as_str(), event.sender.as_str()), ("custom.notification", "a notification-admin"));
    assert_eq!(event.addressed.groups.iter().map(|g| g.id).collect::<Vec<_>>(), [Some(north)]);
    let why = world.engine.why(&world.owner, id, "ada@example.org", Locale::En).await.expect("an explanation");
    let why = serde_json::to_value(why).expect("JSON");
    assert_eq!((&why["inAudience"], &why["event"]["id"]), (&json!(true), &json!(id)));
    assert!(why["decisions"].as_array().is_some_and(|d| !d.is_empty()), "{why}");
}

#[tokio::test]
async fn requests_are_known_by_the_ids_that_their_callers_gave() {
    let world = World::new().await;
    let bearer = format!("Bearer {}", world.secret);
    let body = to_groups(&["g-north"]).to_string().into_bytes();
    let given = [("authorization", bearer.as_str()), ("client-request-id", "c-1"), ("x-request-id", "r-1")];
    for path in [TO_GROUPS, "/beta/users"] {
        let reply = world.ask("POST", path, &given, body.clone()).await;
        assert_eq!((reply.header("request-id"), reply.header("client-request-id")), ("r-1", "c-1"));
    }
    let reply = world.ask("POST", TO_GROUPS, &given[..1], body).await;
    assert_eq!(reply.header("request-id").len(), 36);
    assert_eq!(reply.header("request-id"), reply.header("client-request-id"));
}

#[tokio::test]
async fn the_token_of_a_device_opens_nothing_here() {
    let world = World::new().await;
    let ada = world.engine.lookup(&world.owner, "user", "ada@example.org").await.expect("found")[0].id;
    let code = world.engine.create_code(&world.owner, ada, None).await.expect("a code");
    let code = serde_json::to_value(code).expect("JSON")["code"].clone();
    let enrolled = world.engine.enrol(draft(json!({"code": code, "name": "x", "platform": "ios"})), None).await.expect("a device");
    let token = serde_json::to_value(enrolled).expect("JSON")["token"].as_str().expect("a token").to_owned();
    for (call, path, body) in every_call("north", "ada") {
        assert_eq!(world.post_as(&token, &path, &body).await.error(), (403, "Forbidden", "forbidden"), "{call:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    // The store works on threads of its own, for which a paused clock does not wait: first what it needs is known.
    tokio::time::resume();
    let world = World::new().await;
    let bearer = format!("Bearer {}", world.secret);
    world.post(TO_GROUPS, &to_groups(&["g-north"])).await;
    let body = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request = Request::builder().method("POST").uri(TO_GROUPS).header("authorization", bearer).body(body).expect("a request");
    tokio::time::pause();
    let response = world.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.status().as_u16(), 408);
    tokio::time::resume();
    assert_eq!(world.sent().await, 1);
}
