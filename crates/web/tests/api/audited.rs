//! The audit over the API: every operation that changes something leaves an entry, refusals and readings do, and a person can
//! be exported and erased. The list of operations comes from the description, so that no new one escapes.

use super::world::World;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Operations that change nothing that an administrator answers for, and why.
const NOT_AUDITED: [(&str, &str); 3] = [
    ("sendReceipts", "what a device says of what it got is kept as receipts of the notification"),
    ("previewReach", "it only looks ahead"),
    ("verifyConferencingBridge", "it only compares"),
];

async fn entries(world: &World) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/api/v1/audit?limit=500{cursor}")).await.expect(200);
        all.extend(page.json["items"].as_array().expect("items").iter().cloned());
        match page.json["nextCursor"].as_str() {
            None => return all,
            Some(next) => cursor = format!("&cursor={next}"),
        }
    }
}

/// Walks the whole chain up to its signed head.
async fn whole(world: &World) -> Vec<Value> {
    let all = entries(world).await;
    let mut walk = model::audit::Walk::default();
    for entry in &all {
        walk.step(entry.as_object().expect("an object"), store::audit::sha256_hex).expect("the chain is whole");
    }
    let head = world.get("/api/v1/audit/head").await.expect(200).json;
    let (sequence, hash) = engine::admin::audit::check_head(head.as_object().expect("an object")).expect("signed");
    assert_eq!((sequence, hash.as_str()), (walk.reached(), walk.hash()));
    all
}

/// What each operation is asked for, and the word of its entry.
struct Asked {
    method: &'static str,
    path: String,
    body: Value,
    token: Option<String>,
    word: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_that_changes_something_leaves_an_entry() {
    let world = World::new().await;
    let mut seen: BTreeSet<String> = NOT_AUDITED.iter().map(|(id, _)| (*id).to_owned()).collect();
    for id in changing(&world) {
        if seen.contains(&id) {
            continue;
        }
        let asked = asked(&world, &id).await;
        let before = entries(&world).await.len();
        let mut ask = world.ask(asked.method, &asked.path);
        ask = match &asked.token {
            Some(token) if token.is_empty() => ask.nobody(),
            Some(token) => ask.token(token),
            None => ask,
        };
        let ask = match &asked.body {
            Value::Null => ask,
            Value::String(csv) => ask.bytes("text/csv", csv.clone().into_bytes()),
            body => ask.json(body.clone()),
        };
        let reply = ask.send().await;
        assert!(reply.status.is_success(), "{id}: {}", reply.text);
        let all = entries(&world).await;
        assert_eq!(all.len(), before + 1, "{id} leaves one entry");
        let entry = &all[before];
        assert_eq!((entry["operation"].as_str(), entry["outcome"].as_str()), (Some(asked.word), Some("done")), "{id}: {entry}");
        seen.insert(id);
    }
    assert!(seen.len() > 28, "{seen:?}");
    let text = Value::from(whole(&world).await).to_string();
    for private in ["example.org", "Ada", "Quiet words", "0aff00112233", "car_"].iter().chain(&PRIVATE) {
        assert!(!text.contains(private), "{private} stands in the audit: {text}");
    }
}

/// What is given about managed objects, and stands in no entry: numbers, PINs, addresses and where an adapter is.
const PRIVATE: [&str; 7] = ["33155501", "583920174", "86420", "nobody-knows", "bridge.example.net", "whsec_", "700001"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_is_told_with_its_switches_and_without_numbers_pins_and_addresses() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let before = entries(&world).await.len();
    let numbers = json!([{"number": "+33155501000", "tollFree": false}]);
    let draft = json!({"name": "Paris", "serviceNumbers": numbers, "adapterUrl": "https://bridge.example.net/hook"});
    let secret = world.post("/api/v1/conferencing-bridges", draft).await.expect(201).json["revealed"]["adapterSecret"].clone();
    let draft = json!({"name": "Lyon", "serviceNumbers": numbers, "defaultServiceNumber": "+33155501000"});
    world.post("/api/v1/conferencing-bridges", draft).await.expect(201);
    let path = format!("/api/v1/conferencing-users/{ada}");
    let draft = json!({"bridgeName": "Lyon", "conferenceId": "583920174", "allowPstnOnlyMeetings": true});
    let first = world.post(&format!("{path}/enable"), draft.clone()).await.expect(200).json;
    world.post(&format!("{path}/enable"), draft).await.expect(200);
    let reset = json!({"resetLeaderPin": true, "sendEmail": true, "sendEmailToAddress": "nobody-knows@example.net"});
    world.ask("PATCH", &format!("{path}?preview=true")).json(reset.clone()).send().await.expect(200);
    world.ask("PATCH", &path).json(reset).send().await.expect(200);
    let dialled = json!({"conferenceId": "583920174", "pin": first["revealed"]["pin"]});
    world.post("/api/v1/conferencing-bridges/Lyon/verify", dialled).await.expect(200);
    let all = whole(&world).await;
    let told: Vec<(&str, &Value)> = all[before..].iter().map(|e| (e["operation"].as_str().unwrap_or(""), &e["changes"])).collect();
    let given = json!({"name": "given", "serviceNumbers": "given", "adapterUrl": "given"});
    let enabled = json!({"bridgeName": "given", "conferenceId": "given", "allowPstnOnlyMeetings": true, "mail": null,
        "pinToBeHandedOver": true, "events": ["conferencing.enabled"]});
    let reset = json!({"resetLeaderPin": true, "sendEmail": true, "sendEmailToAddress": "given", "mail": "conferencing.pin_reset",
        "events": ["conferencing.pin_reset"]});
    assert_eq!(
        told,
        [
            ("conferencing-bridge.create", &given),
            ("conferencing-bridge.create", &json!({"name": "given", "serviceNumbers": "given", "defaultServiceNumber": "given"})),
            ("conferencing-user.enable", &enabled),
            ("conferencing-user.change", &reset),
        ],
        "what is on already, a preview and a comparison leave none"
    );
    let text = Value::from(all).to_string();
    let pin = first["revealed"]["pin"].as_str().expect("a PIN");
    assert!(!text.contains(&format!("\"{pin}\"")) && !text.contains(secret.as_str().expect("a secret")) && !text.contains(&ada));
    for private in PRIVATE {
        assert!(!text.contains(private), "{private} stands in the audit: {text}");
    }
    let about = world.get("/api/v1/audit?user=ada@example.org").await.expect(200);
    let about: Vec<&str> = about.json["items"].as_array().expect("items").iter().filter_map(|e| e["operation"].as_str()).collect();
    assert_eq!(about, ["user.create", "conferencing-user.enable", "conferencing-user.change"], "found by the person, kept by a pseudonym");
}

/// The ids of all operations that are not plain readings.
fn changing(world: &World) -> Vec<String> {
    let paths = world.described().document["paths"].as_object().expect("paths").clone();
    let methods = paths.into_iter().flat_map(|(_, item)| item.as_object().expect("methods").clone());
    methods.filter(|(method, _)| method != "get").map(|(_, o)| o["operationId"].as_str().expect("an id").to_owned()).collect()
}

/// The path of a new role.
async fn role(world: &World, n: u32) -> String {
    let draft = json!({"name": format!("Role {n}"), "permissions": ["Directory/Read"]});
    format!("roles/{}", world.post("/api/v1/roles", draft).await.expect(201).id())
}

fn holding(user: &str, n: u32) -> Value {
    json!({"name": format!("Ada {n}"), "role": "reader", "users": [user]})
}

/// The path of a new role assignment.
async fn held(world: &World, user: &str, n: u32) -> String {
    format!("role-assignments/{}", world.post("/api/v1/role-assignments", holding(user, n)).await.expect(201).id())
}

/// A request that succeeds, on objects of its own.
async fn asked(world: &World, id: &str) -> Asked {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let upn = format!("ada{n}@example.org");
    let ada = world.user(&upn).await;
    let (device, app) = world.enrolled(&ada).await;
    let group = world.group(&format!("Group {n}")).await;
    world.add(&group, "user", &ada).await;
    let registration = json!({"service": "apns", "token": format!("0aff00112233{n:04}")});
    let of_device =
        |method, rest: &str, body, word| Asked { method, path: format!("/api/v1/device/{rest}"), body, token: Some(app.clone()), word };
    let of = |method, path: String, body, word| Asked { method, path: format!("/api/v1/{path}"), body, token: None, word };
    let sent = async || {
        let message = json!({"title": "Quiet words", "body": "b", "users": [ada]});
        world.post("/api/v1/notifications", message).await.expect(201).id().to_owned()
    };
    let registered = async || {
        let reply = world.post(&format!("/api/v1/devices/{device}/registrations"), registration.clone()).await;
        reply.expect(201).id().to_owned()
    };
    match id {
        "enrolDevice" => {
            let code = world.ask("POST", &format!("/api/v1/users/{ada}/enrolment-codes")).send().await.expect(201);
            let draft = json!({"code": code.json["code"], "name": "Ada's phone", "platform": "ios"});
            Asked { token: Some(String::new()), ..of("POST", "device/enrol".into(), draft, "device.enrol") }
        }
        "setPreferences" => of_device("PUT", "preferences", json!({"pushEnabled": false}), "device.preferences"),
        "registerDevice" => of_device("PUT", "registration", registration, "registration.put"),
        "unregisterDevice" => {
            registered().await;
            of_device("DELETE", "registration?service=apns", Value::Null, "registration.delete")
        }
        "createDevice" => {
            let draft = json!({"name": "Ada's pad", "platform": "ios", "ownerId": ada});
            of("POST", "devices".into(), draft, "device.create")
        }
        "updateDevice" => of("PATCH", format!("devices/{device}"), json!({"name": "Ada's own", "enrolled": false}), "device.update"),
        "deleteDevice" => of("DELETE", format!("devices/{device}"), Value::Null, "device.delete"),
        "createRegistration" => of("POST", format!("devices/{device}/registrations"), registration, "registration.put"),
        "deleteRegistration" => {
            let path = format!("devices/{device}/registrations/{}", registered().await);
            of("DELETE", path, Value::Null, "registration.delete")
        }
        "importDirectory" => {
            let csv = format!("upn,display_name\nada{n}.import@example.org,Ada\n");
            of("POST", "directory/import".into(), json!(csv), "directory.import")
        }
        "stopImport" => {
            let csv = format!("upn,display_name\nada{n}.import@example.org,Ada\n");
            let ask = world.ask("POST", "/api/v1/directory/import").header("prefer", "respond-async").bytes("text/csv", csv.into_bytes());
            let job = ask.send().await.expect(202).id().to_owned();
            while world.get(&format!("/api/v1/directory/imports/{job}")).await.json["state"] == "running" {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            of("DELETE", format!("directory/imports/{job}"), Value::Null, "directory.import.stop")
        }
        "createGroup" => of("POST", "groups".into(), json!({"name": "Sales"}), "group.create"),
        "updateGroup" => of("PATCH", format!("groups/{group}"), json!({"name": "More sales"}), "group.update"),
        "deleteGroup" => of("DELETE", format!("groups/{group}"), Value::Null, "group.delete"),
        "changeMembers" => {
            let draft = json!({"remove": [{"memberType": "user", "id": ada}]});
            of("POST", format!("groups/{group}/members"), draft, "group.members")
        }
        "sendNotification" => {
            let draft = json!({"title": "Quiet words", "body": "b", "groups": [group]});
            of("POST", "notifications".into(), draft, "notification.send")
        }
        "cancelNotification" => {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
            let message = json!({"title": "Quiet words", "body": "b", "users": [ada], "at": at.to_string()});
            let id = world.post("/api/v1/notifications", message).await.expect(201).id().to_owned();
            of("POST", format!("notifications/{id}/cancel"), Value::Null, "notification.cancel")
        }
        "resendNotification" => of("POST", format!("notifications/{}/resend", sent().await), json!({}), "notification.resend"),
        "testMail" => of("POST", "mails/conferencing.info/test".into(), json!({"user": ada}), "mail.test"),
        "setSetting" => of("PUT", "settings/retention.days".into(), json!({"value": 7}), "setting.set"),
        "changeSettings" => {
            of("PATCH", "settings".into(), json!({"values": {"retention.days": 7, "push.apns.enabled": false}}), "setting.set")
        }
        "resetSetting" => of("DELETE", "settings/retention.days".into(), Value::Null, "setting.set"),
        "createRole" => {
            let draft = json!({"name": format!("Role {n}"), "permissions": ["Directory/Read"]});
            of("POST", "roles".into(), draft, "role.create")
        }
        "updateRole" => of("PATCH", role(world, n).await, json!({"description": "x"}), "role.update"),
        "deleteRole" => of("DELETE", role(world, n).await, Value::Null, "role.delete"),
        "createRoleAssignment" => of("POST", "role-assignments".into(), holding(&ada, n), "role.assign"),
        "updateRoleAssignment" => of("PATCH", held(world, &ada, n).await, json!({"expiresIn": "1h"}), "role.assignment.update"),
        "deleteRoleAssignment" => of("DELETE", held(world, &ada, n).await, Value::Null, "role.unassign"),
        "createToken" => of("POST", "tokens".into(), json!({"name": "a tool", "role": "reader"}), "token.create"),
        "revokeToken" => {
            let made = world.post("/api/v1/tokens", json!({"name": "a tool", "role": "reader"})).await.expect(201);
            of("DELETE", format!("tokens/{}", made.id()), Value::Null, "token.revoke")
        }
        "createUser" => {
            let draft = json!({"upn": format!("{upn}.new"), "displayName": "Ada Lovelace"});
            of("POST", "users".into(), draft, "user.create")
        }
        "updateUser" => of("PATCH", format!("users/{ada}"), json!({"displayName": "Ada K.", "active": false}), "user.update"),
        "deleteUser" => of("DELETE", format!("users/{ada}"), Value::Null, "user.delete"),
        "createEnrolmentCode" => of("POST", format!("users/{ada}/enrolment-codes"), Value::Null, "enrolment-code.create"),
        "eraseUser" => of("POST", format!("users/{ada}/erasure"), json!({"confirm": upn}), "user.erase"),
        other => managed(world, other, n, &ada)
            .await
            .unwrap_or_else(|| panic!("{other} changes something: say here how it is asked for and which entry it leaves, or why none")),
    }
}

/// The same for the objects that sources declare.
async fn managed(world: &World, id: &str, n: u32, ada: &str) -> Option<Asked> {
    let of = |method, path: String, body, word| Some(Asked { method, path: format!("/api/v1/{path}"), body, token: None, word });
    let made = async |path: &str, body: Value| {
        let reply = world.post(&format!("/api/v1/{path}"), body).await;
        assert!(reply.status.is_success(), "{path}: {}", reply.text);
        format!("{path}/{}", reply.json["object"]["id"].as_str().expect("an id"))
    };
    let bridge = json!({"name": format!("Bridge {n}"), "serviceNumbers": [{"number": "+33155501234"}],
        "defaultServiceNumber": "+33155501234", "adapterUrl": ""});
    let plan = json!({"name": format!("Plan {n}"), "numberOfDigitsInExtension": 6, "e164Prefix": "+33155501"});
    let policy = json!({"name": format!("Policy {n}"), "umDialPlan": format!("Plan {n}"), "voiceMailText": "Quiet words"});
    let extension = json!({"umMailboxPolicy": format!("Plan {n} Default Policy"), "extensions": ["700001"], "pin": "86420"});
    let (conferencing, mailbox) = (format!("conferencing-users/{ada}"), format!("mailboxes/{ada}"));
    if id.ends_with("MailboxPolicy") || id.ends_with("Mailbox") {
        made("dial-plans", plan.clone()).await;
    }
    if ["changeMailbox", "disableMailbox"].contains(&id) {
        made(&format!("{mailbox}/enable"), extension.clone()).await;
    }
    if ["changeConferencingUser", "disableConferencingUser", "sendInfoConferencingUser"].contains(&id) {
        made(&format!("{conferencing}/enable"), json!({})).await;
    }
    match id {
        "createConferencingBridge" => of("POST", "conferencing-bridges".into(), bridge, "conferencing-bridge.create"),
        "changeConferencingBridge" => {
            let change = json!({"adapterUrl": "https://bridge.example.net/hook"});
            of("PATCH", made("conferencing-bridges", bridge).await, change, "conferencing-bridge.change")
        }
        "deleteConferencingBridge" => of("DELETE", made("conferencing-bridges", bridge).await, Value::Null, "conferencing-bridge.delete"),
        "enableConferencingUser" => {
            let draft = json!({"conferenceId": "583920174", "sendEmail": true, "sendEmailToAddress": "nobody-knows@example.net"});
            of("POST", format!("{conferencing}/enable"), draft, "conferencing-user.enable")
        }
        "changeConferencingUser" => of("PATCH", conferencing, json!({"resetLeaderPin": true}), "conferencing-user.change"),
        "disableConferencingUser" => of("POST", format!("{conferencing}/disable"), Value::Null, "conferencing-user.disable"),
        "sendInfoConferencingUser" => of("POST", format!("{conferencing}/send-info"), Value::Null, "conferencing-user.send-info"),
        "createDialPlan" => of("POST", "dial-plans".into(), plan, "dial-plan.create"),
        "changeDialPlan" => of("PATCH", made("dial-plans", plan).await, json!({"countryOrRegionCode": "33"}), "dial-plan.change"),
        "deleteDialPlan" => {
            let bare = json!({"name": format!("Bare {n}"), "numberOfDigitsInExtension": 6, "generateUmMailboxPolicy": false});
            of("DELETE", made("dial-plans", bare).await, Value::Null, "dial-plan.delete")
        }
        "createMailboxPolicy" => of("POST", "mailbox-policies".into(), policy, "mailbox-policy.create"),
        "changeMailboxPolicy" => {
            let change = json!({"voiceMailText": "More quiet words", "allowMissedCallNotifications": false});
            of("PATCH", made("mailbox-policies", policy).await, change, "mailbox-policy.change")
        }
        "deleteMailboxPolicy" => of("DELETE", made("mailbox-policies", policy).await, Value::Null, "mailbox-policy.delete"),
        "enableMailbox" => of("POST", format!("{mailbox}/enable"), extension, "mailbox.enable"),
        "changeMailbox" => of("PATCH", mailbox, json!({"extensions": ["700002"]}), "mailbox.change"),
        "disableMailbox" => of("POST", format!("{mailbox}/disable"), Value::Null, "mailbox.disable"),
        "startBulkAct" => {
            let draft = json!({"object": "mailboxes", "act": "disable", "users": [ada]});
            of("POST", "bulk-acts".into(), draft, "mailbox.disable.bulk")
        }
        "stopBulkAct" => {
            // So many that it has not ended by then.
            let users: Vec<String> = (0..5_000).map(|n| format!("nobody{n}@example.net")).collect();
            let draft = json!({"object": "mailboxes", "act": "disable", "users": users});
            let bulk = world.post("/api/v1/bulk-acts", draft).await.expect(202).id().to_owned();
            of("POST", format!("bulk-acts/{bulk}/stop"), Value::Null, "bulk.stop")
        }
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_is_told_without_saying_who_somebody_is() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let change = json!({"displayName": "Countess", "active": false, "timezone": "Europe/Paris"});
    world.ask("PATCH", &format!("/api/v1/users/{ada}")).json(change).send().await.expect(200);
    world.ask("PATCH", &format!("/api/v1/users/{ada}")).json(json!({"active": false})).send().await.expect(200);
    world.ask("PUT", "/api/v1/settings/retention.days").json(json!({"value": 7})).send().await.expect(200);
    let all = whole(&world).await;
    let of = |operation: &str| all.iter().filter(|entry| entry["operation"] == operation).collect::<Vec<_>>();
    assert_eq!(of("user.update").len(), 1, "what changes nothing leaves no entry");
    let changes = json!({"displayName": "changed", "active": [true, false], "timezone": ["UTC", "Europe/Paris"]});
    assert_eq!(of("user.update")[0]["changes"], changes);
    assert_eq!(of("user.update")[0]["object"], of("user.create")[0]["object"], "one pseudonym");
    assert_eq!(of("setting.set")[0]["changes"]["value"][1], 7);
    assert_eq!(of("setting.set")[0]["actor"]["name"], "owner");
    let about = world.get("/api/v1/audit?user=ada@example.org").await.expect(200);
    assert_eq!(about.json["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(world.get("/api/v1/audit?user=nobody").await.code(), (404, "not_found"));
    assert_eq!(world.get("/api/v1/audit?from=0").await.faults()[0].0, "from");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_for_want_of_a_right_is_written_once_a_minute() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (_, app) = world.enrolled(&ada).await;
    let id = "0197e1a2-5b1c-7d3e-9f40-6a7b8c9d0e1f";
    let paths = world.described().document["paths"].as_object().expect("paths").clone();
    let mut refused = BTreeMap::new();
    for (path, item) in paths {
        // A stream that a device may hold does not end.
        if path.ends_with("/stream") {
            continue;
        }
        for (method, operation) in item.as_object().expect("methods") {
            let path = path.split('/').map(|part| if part.starts_with('{') { id } else { part }).collect::<Vec<_>>().join("/");
            let ask = world.ask(&method.to_uppercase(), &path).token(&app);
            let ask = if method == "get" { ask } else { ask.json(json!({})) };
            let reply = ask.send().await;
            if reply.status == 403 {
                refused.insert(operation["operationId"].as_str().expect("an id").to_owned(), reply.code().1.to_owned());
            }
        }
    }
    assert!(refused.len() > 15, "{refused:?}");
    let all = whole(&world).await;
    let written: BTreeMap<String, String> = all
        .iter()
        .filter(|entry| entry["outcome"] != "done")
        .map(|entry| (entry["operation"].as_str().expect("a word").to_owned(), entry["outcome"].as_str().expect("a word").to_owned()))
        .collect();
    assert_eq!(written, refused);
    let reader = world.token("reader", &[]).await;
    let before = entries(&world).await.len();
    for _ in 0..5 {
        world.ask("POST", "/api/v1/groups").token(&reader).json(json!({"name": "x"})).send().await.expect(403);
    }
    assert_eq!(entries(&world).await.len(), before + 1, "a flood is one entry");
    world.clock.forward(61_000);
    world.ask("POST", "/api/v1/groups").token(&reader).json(json!({"name": "x"})).send().await.expect(403);
    assert_eq!(entries(&world).await.last().expect("an entry")["changes"]["more"], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_the_texts_of_others_is_written_down() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let message = json!({"title": "Quiet words", "body": "b", "users": [ada]});
    let id = world.post("/api/v1/notifications", message.clone()).await.expect(201).id().to_owned();
    world.post("/api/v1/notifications", message).await.expect(201);
    let (auditor, reader) = (world.token("auditor", &[]).await, world.token("reader", &[]).await);
    let readings = async || entries(&world).await.into_iter().filter(|entry| entry["operation"] == "notification.read").collect::<Vec<_>>();
    world.get(&format!("/api/v1/notifications/{id}")).await.expect(200);
    world.ask("GET", &format!("/api/v1/notifications/{id}")).token(&reader).send().await.expect(200);
    assert!(readings().await.is_empty(), "one's own texts, and no texts");
    for path in [format!("/api/v1/notifications/{id}"), format!("/api/v1/notifications/{id}/report")] {
        world.ask("GET", &path).token(&auditor).send().await.expect(200);
    }
    assert_eq!(readings().await.len(), 1, "once an hour");
    assert_eq!(readings().await[0]["object"], json!({"kind": "notification", "id": id}));
    world.ask("GET", "/api/v1/notifications").token(&auditor).send().await.expect(200);
    assert_eq!(readings().await.len(), 2, "the other one is new");
    let page = world.ask("GET", "/api/v1/audit").token(&auditor).send().await.expect(200);
    assert!(page.json["items"].as_array().is_some_and(|items| !items.is_empty()));
    assert_eq!(world.ask("GET", "/api/v1/audit").token(&reader).send().await.code(), (403, "forbidden"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_exported_whole_and_erased_whole() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let group = world.group("Sales").await;
    world.add(&group, "user", &ada).await;
    let (device, app) = world.enrolled(&ada).await;
    let registration = json!({"service": "apns", "token": "0aff00112233445566"});
    world.ask("PUT", "/api/v1/device/registration").token(&app).json(registration.clone()).send().await.expect(200);
    let before = entries(&world).await.len();
    world.ask("PUT", "/api/v1/device/registration").token(&app).json(registration).send().await.expect(200);
    assert_eq!(entries(&world).await.len(), before, "an app that says the same again changes nothing");
    let message = json!({"title": "Quiet words", "body": "b", "users": [ada]});
    let id = world.post("/api/v1/notifications", message).await.expect(201).id().to_owned();
    let data = world.get(&format!("/api/v1/users/{ada}/data")).await.expect(200).json;
    assert_eq!((data["user"]["upn"].as_str(), data["groups"][0]["name"].as_str()), (Some("ada@example.org"), Some("Sales")));
    assert_eq!(
        (data["devices"][0]["id"].as_str(), data["notifications"][0]["title"].as_str()),
        (Some(device.as_str()), Some("Quiet words"))
    );
    assert_eq!(data["devices"][0]["registrations"][0]["token"], "0aff0011…");
    assert_eq!(data["audit"].as_array().map(|all| all.last().expect("an entry")["operation"].clone()), Some(json!("user.export")));
    let erasure = format!("/api/v1/users/{ada}/erasure");
    let erase = |confirm: &str| world.post(&erasure, json!({"confirm": confirm}));
    assert_eq!(erase("eve@example.org").await.faults()[0].0, "confirm");
    let auditor = world.token("auditor", &[]).await;
    for path in [format!("/api/v1/users/{ada}/data"), format!("/api/v1/users/{ada}/erasure")] {
        let ask = if path.ends_with("data") { world.ask("GET", &path) } else { world.ask("POST", &path).json(json!({"confirm": "x"})) };
        assert_eq!(ask.token(&auditor).send().await.code(), (403, "forbidden"));
    }
    let erased = erase("Ada@example.org").await.expect(200).json;
    assert_eq!((erased["devices"].as_u64(), erased["texts"].as_u64()), (Some(1), Some(1)));
    assert!(erased["auditEntries"].as_u64() > Some(4), "{erased}");
    assert_eq!(world.get(&format!("/api/v1/users/{ada}")).await.code().0, 404);
    assert_eq!(world.get(&format!("/api/v1/devices/{device}")).await.code().0, 404);
    assert_eq!(world.ask("GET", "/api/v1/device/inbox").token(&app).send().await.code().0, 401);
    let kept = world.get(&format!("/api/v1/notifications/{id}")).await.expect(200).json;
    assert_eq!((kept["title"].clone(), kept["counts"]["recipients"].as_u64()), (Value::Null, Some(1)));
    let all = whole(&world).await;
    assert_eq!(all.last().expect("an entry")["operation"], "user.erase");
    assert!(!Value::from(all).to_string().contains(&ada), "no entry holds the id of a person");
}
