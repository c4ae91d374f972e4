//! Microsoft Graph's calls for custom notifications, made by Microsoft's own clients as they come from PyPI and npm, over HTTPS.
//! Where a registry is out of reach the story says so and is skipped. The calls themselves are also tested without strangers,
//! in `crates/integrations`.

use fakes::Authority;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use stories::{Front, Org, Stage, Stranger, token_of};

/// The versions that were there when this was written; each brings the calls as Microsoft's own description of them has them.
const PYTHON: &str = "msgraph-beta-sdk==1.66.0";
const JAVASCRIPT: &str = "@microsoft/microsoft-graph-client@3.0.7";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

fn skipped(what: &str, why: &str) {
    // Past the test harness, which keeps what passing tests print.
    let _ = writeln!(std::io::stdout(), "SKIPPED: Graph's calls by {what} ({why})");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn microsofts_client_for_python_sends_and_is_refused_as_by_graph() {
    match Stranger::python(folder("msgraph-beta-sdk"), &[PYTHON], "import msgraph_beta, kiota_http") {
        Ok(python) => drive(&python, "graph.py", "python").await,
        Err(why) => skipped(PYTHON, &why),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn microsofts_client_for_javascript_sends_and_is_refused_as_by_graph() {
    match Stranger::node(folder("microsoft-graph-client"), &[JAVASCRIPT], "require('@microsoft/microsoft-graph-client')") {
        Ok(node) => drive(&node, "graph.js", "javascript").await,
        Err(why) => skipped(JAVASCRIPT, &why),
    }
}

/// Calls that a client is to make, each with what is expected of it.
#[derive(Default)]
struct Calls {
    asked: Vec<Value>,
    expected: Vec<Expected>,
}

enum Expected {
    /// 204.
    Done,
    /// 200 with these four lists: successful, failed, not found, not supported.
    Lists([Vec<&'static str>; 4]),
    /// Status, Graph's code, Carillon's code, and a part of the message.
    Refused(u16, &'static str, &'static str, &'static str),
}

impl Calls {
    fn ask(&mut self, token: &str, to: Value, expected: Expected) {
        self.say(token, to, "Réunion 🔔", "Salle 2, à l’étage.", expected);
    }

    fn say(&mut self, token: &str, to: Value, title: &str, body: &str, expected: Expected) {
        let mut asked = json!({"token": token, "title": title, "body": body, "requestId": request_id(self.asked.len())});
        asked.as_object_mut().expect("an object").extend(to.as_object().expect("an object").clone());
        self.asked.push(asked);
        self.expected.push(expected);
    }

    fn check(&self, answers: &[Value]) {
        assert_eq!(answers.len(), self.expected.len());
        for (index, (answer, expected)) in answers.iter().zip(&self.expected).enumerate() {
            let what = format!("call {index}, {}: {answer}", self.asked[index]);
            match expected {
                Expected::Done => assert_eq!(*answer, json!({"done": true}), "{what}"),
                Expected::Lists([successful, failed, not_found, not_supported]) => {
                    let lists = json!({"successful": successful, "failed": failed, "notFound": not_found, "notSupported": not_supported});
                    assert_eq!(*answer, lists, "{what}");
                }
                Expected::Refused(status, code, inner, part) => {
                    assert_eq!(
                        (&answer["status"], &answer["code"], &answer["inner"]),
                        (&json!(status), &json!(code), &json!(inner)),
                        "{what}"
                    );
                    assert!(answer["message"].as_str().is_some_and(|m| m.contains(part)), "{what}");
                    assert_eq!(answer["clientRequestId"], request_id(index), "{what}");
                    assert_eq!(answer["requestId"].as_str().map(str::len), Some(36), "{what}");
                    assert!(answer["date"].as_str().is_some_and(|date| date.starts_with("20")), "{what}");
                    let after = answer["retryAfter"].as_str().map(|text| text.parse::<u64>().expect("seconds"));
                    assert_eq!(after.is_some_and(|s| (3_000..=3_600).contains(&s)), *status == 429, "{what}");
                }
            }
        }
    }
}

fn request_id(index: usize) -> String {
    format!("00000000-0000-4000-8000-{index:012}")
}

async fn drive(client: &Stranger, name: &str, language: &str) {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.person("ada").iphone("ada-phone", "ada").person("bob").iphone("bob-phone", "bob").device("spare", "", |_| {});
    org.group("lyon", &["user:ada"]).group("paris", &["user:bob"]).group("all", &["group:lyon", "group:paris"]).import(&stage.api).await;
    let paris = stage.api.id("group", "g-paris").await;
    let scoped = json!({"name": "lyon", "role": "notification-admin", "scope": {"groups": ["lyon"]}});
    let scoped = stage.api.post("tokens", &scoped).await.with(201)["token"].as_str().expect("a secret").to_owned();
    let (owner, reader, help) = (stage.server.token(), stage.api.token("reader").await, stage.api.token("help-desk").await);
    // Three sends to groups and four to Ada's phone are below, and one more of each.
    stage.api.set("limits.group_sends_per_hour", json!(3)).await;
    stage.api.set("limits.device_sends_per_hour", json!(4)).await;

    let mut calls = Calls::default();
    let groups = |names: &[&str]| json!({ "groups": names });
    let device = |id: &str| json!({ "device": id });
    let devices = |ids: &[&str]| json!({ "devices": ids });
    let refused = |status, code, inner, part| Expected::Refused(status, code, inner, part);
    calls.ask(&owner, groups(&["g-lyon", &paris]), Expected::Done);
    calls.ask(&owner, device("d-ada-phone"), Expected::Done);
    let mixed = devices(&["d-ada-phone", "d-nobody", "d-spare", "d-bob-phone"]);
    calls.ask(&owner, mixed, Expected::Lists([vec!["d-ada-phone", "d-bob-phone"], vec![], vec!["d-nobody"], vec!["d-spare"]]));
    // Who is not known, and who may not.
    for to in [groups(&["g-lyon"]), device("d-ada-phone"), devices(&["d-ada-phone"])] {
        calls.ask("car_unknown", to.clone(), refused(401, "InvalidAuthenticationToken", "unauthenticated", "is not known here"));
        calls.ask(&reader, to, refused(403, "Forbidden", "forbidden", "needs the permission"));
    }
    calls.ask(&help, groups(&["g-lyon"]), refused(403, "Forbidden", "forbidden", "Notifications/SendToGroups"));
    calls.ask(&help, device("d-ada-phone"), Expected::Done);
    // Inside the scope, and outside.
    calls.ask(&scoped, groups(&["g-lyon"]), Expected::Done);
    calls.ask(&scoped, groups(&["g-paris"]), refused(403, "Forbidden", "out_of_scope", "outside the scope"));
    calls.ask(&scoped, device("d-bob-phone"), refused(403, "Forbidden", "out_of_scope", "outside the scope"));
    calls.ask(
        &scoped,
        devices(&["d-ada-phone", "d-bob-phone"]),
        Expected::Lists([vec!["d-ada-phone"], vec!["d-bob-phone"], vec![], vec![]]),
    );
    // Texts, lists and names.
    let long = "é".repeat(51);
    calls.say(&owner, groups(&["g-lyon"]), &long, "B", refused(400, "BadRequest", "invalid_field", "notificationTitle: the title has 51"));
    calls.say(&owner, device("d-ada-phone"), "T", "", refused(400, "BadRequest", "invalid_field", "notificationBody: the body is empty"));
    let many: Vec<&str> = std::iter::repeat_n("g-lyon", 26).collect();
    calls.ask(&owner, groups(&many), refused(400, "BadRequest", "invalid_field", "at most 25"));
    calls.ask(&owner, groups(&["g-lyon", "g-no"]), refused(400, "BadRequest", "invalid_field", "groupsToNotify[1]: there is no group"));
    calls.ask(&owner, device("d-nobody"), refused(404, "ResourceNotFound", "not_found", "d-nobody"));
    // The hour's limits.
    calls.ask(&owner, groups(&["g-all"]), Expected::Done);
    calls.ask(&owner, groups(&["g-all"]), refused(429, "TooManyRequests", "over_limit", "limits.group_sends_per_hour allows 3"));
    calls.ask(&owner, device("d-ada-phone"), refused(429, "TooManyRequests", "over_limit", "limits.device_sends_per_hour allows 4"));
    calls.ask(
        &owner,
        devices(&["d-ada-phone", "d-bob-phone"]),
        Expected::Lists([vec!["d-bob-phone"], vec!["d-ada-phone"], vec![], vec![]]),
    );

    let authority = Authority::generate().expect("the machine has randomness");
    let front = Front::start(&authority, stage.server.port()).await.expect("a free port");
    let ca = stage.server.folder().write("front-ca.pem", authority.pem());
    let said = json!({"base": front.url(), "calls": calls.asked}).to_string();
    let answers = tokio::task::block_in_place(|| client.run(&script(name), &ca, &owner, &said));
    calls.check(&serde_json::from_str::<Vec<Value>>(&answers).expect("a list of answers"));

    // Each that was accepted is an ordinary event: listed, sent, explained, reported.
    let listed = stage.api.all("notifications").await;
    let by = |sender: &str| listed.iter().filter(|event| event["sender"] == sender).count();
    assert_eq!((listed.len(), by("help-desk"), by("lyon")), (8, 1, 2), "{listed:?}");
    for event in &listed {
        let id = event["id"].as_str().expect("an id");
        stage.api.done(id).await;
        assert_eq!(event["title"], "Réunion 🔔");
    }
    // Groups: both, Ada, both. Devices: Ada, both, Ada, Ada, Bob.
    let reached = ["ada-phone", "bob-phone"].map(|phone| stage.apple.reached(&token_of(phone)));
    assert_eq!(reached, [7, 4]);
    let first = listed.last().and_then(|event| event["id"].as_str()).expect("the first call's");
    let why = stage.api.why(first, "bob@example.org").await;
    assert_eq!((&why["inAudience"], &why["decisions"][0]["delivery"]["state"]), (&json!(true), &json!("accepted")), "{why}");
    let report = stage.api.get(&format!("notifications/{first}/report")).await;
    assert_eq!((&report["recipients"], &report["accepted"]), (&json!(2), &json!(2)), "{report}");

    // The manual's example in this language, with this server's address in it.
    for limit in ["limits.group_sends_per_hour", "limits.device_sends_per_hour"] {
        stage.api.set(limit, json!(100)).await;
    }
    let example = example(language).replace("https://carillon.example.org", &front.url()).replace("carillon.example.org", "localhost");
    let file = stage.server.folder().write(&format!("example-{name}"), &example);
    tokio::task::block_in_place(|| client.run(&file, &ca, &owner, ""));
    let listed = stage.api.all("notifications").await;
    assert_eq!(listed.len(), 9, "{listed:?}");
    assert!(example.contains(listed[0]["title"].as_str().expect("a title")), "{}", listed[0]);
}

/// The manual's example in a language.
fn example(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/integrations/graph.md");
    let page = std::fs::read_to_string(page).expect("the manual has this page");
    let fence = format!("```{language}\n");
    let (_, rest) = page.split_once(&fence).expect("an example in this language");
    rest.split_once("```").expect("the example ends").0.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integration_that_is_turned_off_is_not_there() {
    let stage = Stage::with(|scene| scene.more = "[integrations.graph]\nenabled = false\n".into()).await;
    assert_eq!(stage.api.page("/beta/deviceManagement/managedDevices").await.problem(404), "unknown_path");
    let stage = Stage::open().await;
    let reply = stage.api.page("/beta/deviceManagement/managedDevices").await;
    assert_eq!((reply.status, &reply.body["error"]["code"]), (401, &json!("InvalidAuthenticationToken")));
    assert_eq!(reply.header("request-id"), reply.header("x-request-id"), "the server's log and Graph's answer name it alike");
}
