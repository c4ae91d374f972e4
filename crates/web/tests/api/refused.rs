//! Bad input. Every field of every body and every parameter is given wrong values; what is answered stands, word for
//! word, in `tests/bad-input.md`. A field without a wrong value in the table fails the test.

use super::mistaken::{LEFT_OUT, declared, long, wrong_values};
use super::table::{HEAD, Table, kept, nothing_is_left_out};
use super::world::World;
use model::objects::ObjectDeclaration;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One operation: method, path, a body that would be taken, and wrong values for its fields.
struct Case {
    operation: (&'static str, String),
    base: Value,
    token: String,
    wrong: Vec<(&'static str, Value)>,
}

fn user_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("externalId", json!("")),
        ("externalId", long(257)),
        ("externalId", json!(7)),
        ("upn", json!("")),
        ("upn", json!("ada")),
        ("upn", json!("a b@example.org")),
        ("upn", Value::Null),
        ("displayName", json!("  ")),
        ("displayName", json!("a\u{7}b")),
        ("displayName", Value::Null),
        ("email", json!("ada@")),
        ("email", json!("Ada <ada@example.org>")),
        ("locale", json!("français")),
        ("timezone", json!("Europe/Lutetia")),
        ("licenses", json!(["E3", ""])),
        ("licenses", json!("E3")),
        ("licenses", Value::from(vec!["x"; 101])),
        ("managerUpn", json!("nobody@example.org")),
        ("phones", json!(["0155501234"])),
        ("active", json!("yes")),
        ("active", Value::Null),
        ("quietHours", json!("22-7")),
        ("quietHours", json!("22:00-22:00")),
    ]
}

fn device_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("externalId", json!("\n")),
        ("name", json!("")),
        ("name", Value::Null),
        ("ownerUpn", json!("nobody@example.org")),
        ("ownerUpn", json!("Twins")),
        ("ownerId", json!("not-an-id")),
        ("platform", json!("symbian")),
        ("platform", Value::Null),
        ("ownership", json!("shared")),
        ("enrolled", json!(1)),
        ("enrolledByUpn", json!("ada@example.org")),
        ("appInstalled", json!("yes")),
        ("notificationPermission", json!("maybe")),
        ("playServices", json!([])),
        ("pushEnabled", Value::Null),
    ]
}

fn registration_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("service", json!(LEFT_OUT)),
        ("service", json!("gcm")),
        ("app", json!("org example")),
        ("environment", json!("test")),
        ("token", json!(LEFT_OUT)),
        ("token", json!("xyz")),
        ("token", long(4_098)),
        ("endpoint", json!("https://push.example.net/x")),
        ("p256dh", json!("abc")),
        ("auth", json!("abc")),
    ]
}

fn web_push_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("token", json!("abc")),
        ("endpoint", json!(LEFT_OUT)),
        ("endpoint", json!("http://push.example.net/x")),
        ("p256dh", json!("abc")),
        ("auth", json!("abc")),
    ]
}

fn notification_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("title", json!(LEFT_OUT)),
        ("title", json!("")),
        ("title", long(51)),
        ("title", json!("a\nb")),
        ("title", json!(5)),
        ("body", json!("")),
        ("body", long(501)),
        ("groups", json!([])),
        ("groups", json!(["No such group"])),
        ("groups", json!(["Twins"])),
        ("groups", json!("Sales")),
        ("groups", Value::from(vec!["Sales"; 26])),
        ("users", json!(["nobody@example.org"])),
        ("users", Value::from(vec!["ada@example.org"; 101])),
        ("devices", json!(["no such device"])),
        ("devices", Value::from(vec!["x"; 101])),
        ("urgency", json!("urgent")),
        ("at", json!("tomorrow")),
        ("at", json!("2020-01-01T00:00:00Z")),
        ("at", json!("2999-01-01T00:00:00Z")),
        ("expiresIn", json!("2w")),
        ("expiresIn", json!("0m")),
        ("expiresIn", json!("29d")),
        ("expiresAt", json!("later")),
        ("expiresAt", json!("2020-01-01T00:00:00Z")),
        ("private", json!("yes")),
        ("audience", json!("everybody")),
    ]
}

async fn cases(world: &World) -> Vec<Case> {
    let owner = world.owner.clone();
    let case = |method, path: String, base, wrong| Case { operation: (method, path), base, token: owner.clone(), wrong };
    let (ada, sales) = (world.user("ada@example.org").await, world.group("Sales").await);
    for _ in 0..2 {
        world.group("Twins").await;
    }
    for upn in ["eve@example.org", "eva@example.org"] {
        world.user(upn).await;
    }
    let (device, app) = world.enrolled(&ada).await;
    let in_app = |method, path: &str, base, wrong| Case { operation: (method, path.to_owned()), base, token: app.clone(), wrong };
    let sent = json!({"title": "t", "body": "b", "users": ["ada@example.org"]});
    let notification = world.post("/api/v1/notifications", sent).await.expect(201).id().to_owned();
    let new_user = json!({"upn": "new@example.org", "displayName": "New"});
    let new_device = json!({"name": "phone", "platform": "ios", "ownerUpn": "ada@example.org"});
    let apns = json!({"service": "apns", "token": "0aff00112233"});
    let web_push = json!({"service": "webpush", "endpoint": "https://push.example.net/x", "p256dh": "x", "auth": "x"});
    let draft = json!({"title": "t", "body": "b", "groups": ["Sales"]});
    let watch = json!({"name": "Watch", "permissions": ["Directory/Read"]});
    let held = json!({"name": "Watchers", "role": "reader", "users": ["ada@example.org"]});
    let kept = json!({"name": "Kept", "permissions": ["Directory/Read"]});
    let role = format!("/api/v1/roles/{}", world.post("/api/v1/roles", kept).await.expect(201).id());
    let kept = json!({"name": "Kept", "role": "reader", "users": ["ada@example.org"]});
    let kept = world.post("/api/v1/role-assignments", kept).await.expect(201);
    let assignment = format!("/api/v1/role-assignments/{}", kept.id());
    let left_out = |fields: &[&'static str], mut more: Vec<(&'static str, Value)>| {
        more.extend(fields.iter().map(|f| (*f, json!(LEFT_OUT))));
        more
    };
    // A preview needs no text.
    let empty = |(field, value): &(&str, Value)| ["title", "body"].contains(field) && (value == "" || value == LEFT_OUT);
    let reach_fields = notification_fields().into_iter().filter(|pair| !empty(pair)).collect();
    vec![
        case(
            "POST",
            "/api/v1/bulk-acts".into(),
            json!({"object": "mailboxes", "act": "disable", "users": ["ada@example.org"]}),
            left_out(
                &["object", "act"],
                vec![
                    ("object", json!("dial-plans")),
                    ("act", json!("fly")),
                    ("given", json!(5)),
                    ("users", json!([])),
                    ("users", json!((0..10_001).map(|n| n.to_string()).collect::<Vec<_>>())),
                    ("items", json!([{"given": {}}])),
                    ("group", json!(5)),
                    ("where", json!({"colour": "red"})),
                ],
            ),
        ),
        case("POST", "/api/v1/users".into(), new_user, left_out(&["upn", "displayName"], user_fields())),
        case("PATCH", format!("/api/v1/users/{ada}"), json!({}), [user_fields(), vec![("managerUpn", json!("ada@example.org"))]].concat()),
        case(
            "POST",
            format!("/api/v1/users/{ada}/erasure"),
            json!({}),
            vec![("confirm", json!(LEFT_OUT)), ("confirm", json!("eve@example.org"))],
        ),
        case("POST", "/api/v1/groups".into(), json!({"name": "New"}), left_out(&["name"], group_fields())),
        case("PATCH", format!("/api/v1/groups/{sales}"), json!({}), group_fields()),
        case("POST", format!("/api/v1/groups/{sales}/members"), json!({}), member_fields()),
        case("POST", "/api/v1/devices".into(), new_device, left_out(&["name", "platform"], device_fields())),
        case("PATCH", format!("/api/v1/devices/{device}"), json!({"enrolled": false}), device_fields()),
        case("POST", format!("/api/v1/devices/{device}/registrations"), apns.clone(), registration_fields()),
        case("POST", format!("/api/v1/devices/{device}/registrations"), web_push, web_push_fields()),
        case("POST", "/api/v1/notifications".into(), draft.clone(), notification_fields()),
        case("POST", "/api/v1/notifications/reach".into(), draft, reach_fields),
        case("POST", format!("/api/v1/notifications/{notification}/resend"), json!({}), vec![("only", json!("all"))]),
        case("POST", "/api/v1/tokens".into(), json!({"name": "a", "role": "reader"}), left_out(&["name", "role"], token_fields())),
        case("POST", "/api/v1/roles".into(), watch, left_out(&["name", "permissions"], role_fields())),
        case("PATCH", role, json!({}), role_fields()),
        case("POST", "/api/v1/role-assignments".into(), held, left_out(&["name", "role", "users"], assignment_fields())),
        case("PATCH", assignment, json!({}), assignment_fields()),
        case(
            "PATCH",
            "/api/v1/settings".into(),
            json!({}),
            vec![
                ("values", json!(LEFT_OUT)),
                ("values", json!({})),
                ("values", json!({"push.apn.enabled": true, "retention.days": 7})),
                ("values", json!({"retention.days": -1, "push.apns.enabled": "no"})),
            ],
        ),
        case("PUT", "/api/v1/settings/push.apns.enabled".into(), json!({}), vec![("value", json!(LEFT_OUT)), ("value", json!("no"))]),
        case("PUT", "/api/v1/settings/retention.days".into(), json!({}), vec![("value", json!(-1)), ("value", json!(1.5))]),
        case("PUT", "/api/v1/settings/custom.email".into(), json!({}), vec![("value", json!("sometimes"))]),
        case("PUT", "/api/v1/settings/quiet_hours.default".into(), json!({}), vec![("value", json!("22-7")), ("value", Value::Null)]),
        case("POST", "/api/v1/device/enrol".into(), json!({"code": "2345-6789-ABCD", "name": "a", "platform": "ios"}), enrol_fields()),
        case(
            "POST",
            "/api/v1/mails/conferencing.info/test".into(),
            json!({"user": "ada@example.org"}),
            vec![("user", json!(LEFT_OUT)), ("user", json!(7)), ("user", json!("nobody@example.org")), ("locale", json!("de"))],
        ),
        in_app("PUT", "/api/v1/device/registration", apns, registration_fields()),
        in_app("PUT", "/api/v1/device/preferences", json!({}), preference_fields()),
        in_app("POST", "/api/v1/device/receipts", json!({}), receipt_fields()),
    ]
}

fn group_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("externalId", json!("")),
        ("name", json!("")),
        ("name", long(257)),
        ("name", Value::Null),
        ("description", long(1_025)),
        ("description", json!("a\u{0}b")),
    ]
}

fn member_fields() -> Vec<(&'static str, Value)> {
    let member = |kind: &str, id: &str| json!([{"memberType": kind, "id": id}]);
    vec![
        ("add", json!([])),
        ("add", member("person", "ada@example.org")),
        ("add", member("user", "nobody@example.org")),
        ("add", member("user", "")),
        ("add", member("group", "Twins")),
        ("add", json!([{"memberType": "user", "id": "ada@example.org", "name": "Ada"}])),
        ("add", json!({})),
        ("add", Value::from(vec![member("user", "x")[0].clone(); 1_001])),
        ("remove", member("device", "no such device")),
    ]
}

fn token_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("name", json!("")),
        ("role", json!("king")),
        ("user", json!("nobody@example.org")),
        ("user", json!("ada@example.org")),
        ("scope", json!({"groups": []})),
        ("scope", json!({"groups": ["No such group", "Twins"]})),
        ("scope", json!("Sales")),
        ("expiresIn", json!("soon")),
        ("expiresIn", json!("0h")),
        ("expiresIn", json!("9999d")),
    ]
}

fn role_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("name", json!("")),
        ("name", json!("help-desk")),
        ("name", json!("01a1fee4-a278-7773-b7a4-516dceb8b1ea")),
        ("description", long(1025)),
        ("permissions", json!([])),
        ("permissions", json!(["Directory/Read", "Directory/Fly"])),
        ("permissions", Value::Null),
    ]
}

fn assignment_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("name", json!("")),
        ("role", json!("king")),
        ("role", Value::Null),
        ("users", json!(["nobody@example.org"])),
        ("users", json!([])),
        ("users", Value::from(vec!["x"; 101])),
        ("groups", json!(["No such group", "Twins"])),
        ("groups", Value::from(vec!["x"; 101])),
        ("scope", json!({"groups": []})),
        ("scope", json!({"groups": ["Twins"]})),
        ("expiresIn", json!("soon")),
        ("expiresIn", json!("0h")),
    ]
}

fn enrol_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("code", json!(LEFT_OUT)),
        ("code", json!("1234")),
        ("name", json!(LEFT_OUT)),
        ("name", json!("")),
        ("platform", json!(LEFT_OUT)),
        ("platform", json!("symbian")),
        ("ownership", json!("shared")),
        ("notificationPermission", json!("maybe")),
        ("playServices", json!("yes")),
    ]
}

fn preference_fields() -> Vec<(&'static str, Value)> {
    vec![("pushEnabled", json!("yes")), ("quietHours", json!("night")), ("notificationPermission", json!("maybe"))]
}

fn receipt_fields() -> Vec<(&'static str, Value)> {
    let receipt = |event: &str, kind: &str| json!([{"eventId": event, "kind": kind}]);
    let nobodys = "0197e1a2-5b1c-7d3e-9f40-6a7b8c9d0e1f";
    vec![
        ("receipts", json!([])),
        ("receipts", receipt("x", "opened")),
        ("receipts", receipt(nobodys, "read")),
        ("receipts", receipt(nobodys, "opened")),
        ("receipts", json!([{"eventId": nobodys}])),
        ("receipts", Value::from(vec![receipt(nobodys, "opened")[0].clone(); 501])),
    ]
}

/// Wrong parameters: path, parameter, value.
async fn queries(world: &World) -> Vec<(&'static str, String, &'static str, &'static str)> {
    let (user, group) = (world.user("query@example.org").await, world.group("Query").await);
    let sent = json!({"title": "t", "body": "b", "users": ["query@example.org"]});
    let notification = world.post("/api/v1/notifications", sent).await.expect(201).id().to_owned();
    let deliveries = format!("/api/v1/notifications/{notification}/deliveries");
    let report = format!("/api/v1/notifications/{notification}/report");
    let mut all = vec![
        ("GET", "/api/v1/users".to_owned(), "active", "maybe"),
        ("POST", "/api/v1/bulk-acts".into(), "preview", "maybe"),
        ("GET", "/api/v1/bulk-acts/01a20044-61f3-71df-a6fd-dd52b7366e1c/results".into(), "cursor", "x"),
        ("GET", "/api/v1/audit".into(), "from", "0"),
        ("GET", "/api/v1/audit".into(), "user", "nobody@example.org"),
        ("GET", "/api/v1/devices".into(), "platform", "symbian"),
        ("GET", "/api/v1/devices".into(), "owner", "nobody@example.org"),
        ("GET", "/api/v1/resolve".into(), "kind", "person"),
        ("GET", "/api/v1/resolve?kind=user".into(), "name", ""),
        ("GET", report, "format", "pdf"),
        ("GET", "/api/v1/mails/conferencing.info/preview".into(), "locale", "de"),
        ("GET", "/api/v1/mails/conferencing.info/preview".into(), "format", "pdf"),
        ("GET", "/api/v1/notifications".into(), "kind", "call.lost"),
        ("GET", deliveries.clone(), "state", "sent"),
        ("GET", deliveries.clone(), "channel", "sms"),
        ("GET", deliveries.clone(), "reason", "because"),
        ("GET", format!("/api/v1/events/{notification}/why"), "person", ""),
        ("GET", format!("/api/v1/events/{notification}/why"), "person", "nobody@example.org"),
        ("POST", "/api/v1/directory/import".into(), "mode", "merge"),
        ("POST", "/api/v1/directory/import".into(), "dryRun", "maybe"),
        ("POST", "/api/v1/directory/import".into(), "allowManyRemovals", "maybe"),
        ("POST", "/api/v1/notifications/reach".into(), "list", "everybody"),
        ("POST", "/api/v1/notifications/reach?list=inboxOnly".into(), "limit", "0"),
        ("POST", "/api/v1/notifications/reach?list=inboxOnly".into(), "cursor", "%25"),
    ];
    let lists = [
        "/api/v1/users".to_owned(),
        "/api/v1/groups".into(),
        format!("/api/v1/groups/{group}/members"),
        "/api/v1/devices".into(),
        "/api/v1/notifications".into(),
        deliveries,
        "/api/v1/tokens".into(),
        "/api/v1/roles".into(),
        "/api/v1/role-assignments".into(),
        "/api/v1/audit".into(),
    ];
    let declared: Vec<&ObjectDeclaration> = world.engine.object_declarations().collect();
    for list in lists.into_iter().chain(declared.iter().map(|one| format!("/api/v1/{}", one.path))) {
        all.extend(
            [("limit", "0"), ("limit", "501"), ("limit", "ten"), ("cursor", "abc")].map(|(name, value)| ("GET", list.clone(), name, value)),
        );
    }
    // Nothing is looked at before the parameters are understood.
    for (one, act) in declared.iter().flat_map(|one| one.acts.iter().map(move |act| (one, act))) {
        let collection = format!("/api/v1/{}", one.path);
        let (method, path) = match act.name {
            "create" => ("POST", collection),
            "change" => ("PATCH", format!("{collection}/x")),
            "delete" => ("DELETE", format!("{collection}/x")),
            other => ("POST", format!("{collection}/x/{other}")),
        };
        all.push((method, path, "preview", "maybe"));
    }
    let (_, app) = world.enrolled(&user).await;
    all.extend([
        ("APP", format!("/api/v1/device/inbox|{app}"), "limit", "0"),
        ("APP", format!("/api/v1/device/inbox|{app}"), "cursor", "abc"),
        ("APP", format!("/api/v1/device/inbox|{app}"), "dismissed", "maybe"),
        ("APP", format!("/api/v1/device/inbox/stream|{app}"), "lastEventId", "abc"),
        ("APP DELETE", format!("/api/v1/device/registration|{app}"), "service", "gcm"),
        ("APP DELETE", format!("/api/v1/device/registration?service=apns|{app}"), "environment", "test"),
    ]);
    all
}

#[tokio::test]
async fn every_field_with_a_wrong_value_is_refused_with_the_rule_and_the_mend() {
    let world = World::new().await;
    let mut table = Table { text: HEAD.to_owned(), seen: BTreeSet::new() };
    for case in cases(&world).await {
        let (method, path) = &case.operation;
        for (field, value) in &case.wrong {
            let mut body = case.base.clone();
            let shown = if value == LEFT_OUT {
                body.as_object_mut().expect("an object").remove(*field);
                "(left out)".to_owned()
            } else {
                body[*field] = value.clone();
                value.to_string()
            };
            let reply = world.ask(method, path).token(&case.token).json(body).send().await;
            assert!(matches!(reply.status.as_u16(), 400 | 422), "{method} {path} {field}={shown}: {}", reply.text);
            let named = reply.faults().iter().any(|(f, _)| f.starts_with(field) || (*field == "scope" && f.starts_with("scope")));
            let pair = reply
                .faults()
                .iter()
                .any(|(f, _)| (*field == "token" && *f == "endpoint") || *f == "value" || *f == "add" || *f == "groups");
            assert!(named || pair, "{method} {path} {field}={shown} is not named: {}", reply.text);
            table.row(&world, method, path, field, &shown, &reply);
        }
    }
    for (method, path, name, value) in queries(&world).await {
        let (path, token) = path.split_once('|').map_or((path.clone(), world.owner.clone()), |(p, t)| (p.to_owned(), t.to_owned()));
        let method = method.strip_prefix("APP").map_or(method, |m| if m.is_empty() { "GET" } else { m.trim() });
        let mark = if path.contains('?') { '&' } else { '?' };
        let body = json!({"title": "t", "body": "b", "users": ["ada@example.org"]});
        let reply = world.ask(method, &format!("{path}{mark}{name}={value}")).token(&token).json(body).send().await;
        assert!(matches!(reply.status.as_u16(), 400 | 404 | 422), "{method} {path} {name}={value}: {}", reply.text);
        table.row(&world, method, &path, name, value, &reply);
    }
    for (operation, base, field) in declared(&world).await {
        for (value, rule) in wrong_values(&field) {
            declared_field(&world, &mut table, (&operation, &base), field.name, (value, &rule)).await;
        }
    }
    nothing_is_left_out(&world, &table);
    kept(&table.text);
}

/// A declared field with a wrong value: the answer names the field, and says the rule and the mend.
async fn declared_field(
    world: &World,
    table: &mut Table,
    ((method, path), base): (&(&str, String), &Value),
    field: &str,
    (value, rule): (Value, &str),
) {
    let mut body = base.clone();
    let mut shown = value.to_string();
    if value == LEFT_OUT {
        body.as_object_mut().expect("an object").remove(field);
        shown = "(left out)".to_owned();
    } else {
        body[field] = value;
    }
    let reply = world.ask(method, path).json(body).send().await;
    let told = format!("{method} {path} {field}={shown}: {}", reply.text);
    assert_eq!(reply.code(), (422, "invalid_field"), "{told}");
    assert_eq!(reply.faults().len(), 1, "{told}");
    let (named, message) = reply.faults()[0];
    assert_eq!((named, message.starts_with(rule)), (field, true), "{told}: the rule is {rule:?}");
    table.row(world, method, path, field, &shown, &reply);
}

#[tokio::test]
async fn all_wrong_fields_are_named_at_once_and_nothing_is_applied() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let draft = json!({"upn": "x", "email": "y", "timezone": "Mars/Olympus", "phones": ["1", "2"], "displayName": "New name"});
    let reply = world.ask("PATCH", &format!("/api/v1/users/{ada}")).json(draft).send().await;
    assert_eq!(reply.code(), (422, "invalid_field"));
    let fields: Vec<&str> = reply.faults().iter().map(|(f, _)| *f).collect();
    assert_eq!(fields, ["upn", "email", "timezone", "phones[0]", "phones[1]"]);
    let after = world.get(&format!("/api/v1/users/{ada}")).await;
    assert_eq!((after.json["displayName"].as_str(), after.json["version"].as_i64()), (Some("ada@example.org"), Some(1)));
}

#[tokio::test]
async fn bodies_that_are_no_json_or_too_large_or_of_another_type_are_refused() {
    let world = World::new().await;
    let ask = |media: &str, body: &str| world.ask("POST", "/api/v1/users").bytes(media, body.as_bytes().to_vec());
    let reply = ask("application/json", "{\"upn\": }").send().await;
    assert_eq!(reply.code(), (400, "malformed_json"));
    assert_eq!(reply.json["detail"], "the body is not JSON: expected value at line 1, column 9");
    let reply = ask("application/json", "[]").send().await;
    assert_eq!(reply.code(), (400, "wrong_type"));
    let reply = ask("text/plain", "{}").send().await;
    assert_eq!(reply.code(), (415, "unsupported_media_type"));
    let large = format!("{{\"upn\": \"{}\"}}", "x".repeat(1 << 20));
    let reply = ask("application/json", &large).send().await;
    assert_eq!(reply.code(), (413, "too_large"));
    assert_eq!(reply.json["detail"], "the body is larger than 1048576 bytes; send less at once");
}

#[tokio::test]
async fn unknown_paths_methods_and_ids_are_problem_documents() {
    let world = World::new().await;
    let reply = world.get("/api/v1/nothing").await;
    assert_eq!(reply.code(), (404, "unknown_path"));
    assert_eq!(reply.json["type"], "urn:carillon:problem:unknown_path");
    let reply = world.ask("PUT", "/api/v1/users").send().await;
    assert_eq!(reply.code(), (405, "method_not_allowed"));
    assert!(reply.header("allow").contains("GET") && reply.header("allow").contains("POST"));
    let reply = world.get("/api/v1/users/ada").await;
    assert_eq!(reply.code(), (404, "not_found"));
    assert!(reply.json["detail"].as_str().is_some_and(|d| d.contains("/api/v1/resolve")));
    let reply = world.get("/api/v1/users/0197e1a2-5b1c-7d3e-9f40-6a7b8c9d0e1f").await;
    assert_eq!(reply.code(), (404, "not_found"));
}

#[tokio::test]
async fn a_problem_carries_the_requests_id() {
    let world = World::new().await;
    let reply = world.ask("GET", "/api/v1/nothing").header("x-request-id", "job-17").send().await;
    assert_eq!((reply.header("x-request-id"), reply.json["instance"].as_str()), ("job-17", Some("urn:carillon:request:job-17")));
    let reply = world.ask("GET", "/api/v1/nothing").header("x-request-id", "a b").send().await;
    assert_eq!(reply.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn tokens_that_are_missing_unknown_revoked_or_expired_are_told_what_to_do() {
    let world = World::new().await;
    let me = "/api/v1/me";
    let reply = world.ask("GET", me).nobody().send().await;
    assert_eq!((reply.code(), reply.header("www-authenticate")), ((401, "unauthenticated"), "Bearer"));
    let reply = world.ask("GET", me).nobody().header("authorization", "Basic abc").send().await;
    assert!(reply.json["detail"].as_str().is_some_and(|d| d.starts_with("only bearer tokens")));
    let reply = world.ask("GET", me).token("car_unknown").send().await;
    assert!(reply.json["detail"].as_str().is_some_and(|d| d.contains("is not known here")));
    let made = world.post("/api/v1/tokens", json!({"name": "short", "role": "reader", "expiresIn": "1h"})).await.expect(201);
    let secret = made.json["token"].as_str().expect("a secret");
    world.ask("GET", me).token(secret).send().await.expect(200);
    world.clock.forward(3_600_000);
    let reply = world.ask("GET", me).token(secret).send().await;
    assert!(reply.json["detail"].as_str().is_some_and(|d| d.contains("has expired")), "{}", reply.text);
    let made = world.post("/api/v1/tokens", json!({"name": "gone", "role": "reader"})).await.expect(201);
    let secret = made.json["token"].as_str().expect("a secret");
    world.ask("GET", me).token(secret).send().await.expect(200);
    world.ask("DELETE", &format!("/api/v1/tokens/{}", made.id())).send().await.expect(204);
    let reply = world.ask("GET", me).token(secret).send().await;
    assert!(reply.json["detail"].as_str().is_some_and(|d| d.contains("was revoked")), "{}", reply.text);
}

#[tokio::test]
async fn the_last_owners_token_cannot_be_revoked() {
    let world = World::new().await;
    let tokens = world.get("/api/v1/tokens").await.expect(200);
    let path = format!("/api/v1/tokens/{}", tokens.json["items"][0]["id"].as_str().expect("an id"));
    assert_eq!(world.ask("DELETE", &path).send().await.code(), (409, "last_owner"));
    world.token("owner", &[]).await;
    world.ask("DELETE", &path).send().await.expect(204);
}
