//! The table of rights (SPEC §10): every operation of the description, for every built-in role, everywhere, inside the scope
//! of an assignment and outside it. An operation that is not in the table fails the test.

use super::world::{Reply, World};
use model::roles::Role;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Which roles may.
const OWNER: &[&str] = &["owner"];
const NOTIFIERS: &[&str] = &["owner", "notification-admin"];
const AUDITORS: &[&str] = &["owner", "auditor"];
const DEVICE_SENDERS: &[&str] = &["owner", "notification-admin", "help-desk"];
const CONFERENCING: &[&str] = &["owner", "conferencing-admin"];
const CONFERENCING_SENDERS: &[&str] = &["owner", "conferencing-admin", "help-desk"];
const TELEPHONY: &[&str] = &["owner", "telephony-admin"];
const ALL: &[&str] =
    &["owner", "notification-admin", "help-desk", "auditor", "reader", "conferencing-admin", "telephony-admin", "mail-access-admin"];
const NOBODY: &[&str] = &[];

/// How far a scope of some groups carries.
#[derive(Clone, Copy, PartialEq)]
enum Carries {
    /// To what lies within it: outside, the operation is refused or the object is not there.
    Object,
    /// Always, and it shows only what lies within.
    List,
    /// It shows the same to everybody.
    Always,
    /// Not at all: it concerns the whole organization.
    Nowhere,
    /// Nobody needs a token.
    Public,
}

/// One line: an operation, who may, how far a scope carries, what is sent (`$name` stands for an id of the stage), and
/// what the path and the query are filled with where it is not the usual.
struct Line(&'static str, &'static [&'static str], Carries, Option<Value>, &'static [(&'static str, &'static str)], &'static str);

/// Objects that the sources declare. Those of people follow the person's scope; the others are everybody's to read, and
/// concern the whole organization.
fn managed() -> Vec<Line> {
    use Carries::{Always, List, Nowhere, Object};
    let none = || None;
    let plan = Some(json!({"name": "$fresh plan", "numberOfDigitsInExtension": 4}));
    let mailbox = Some(json!({"umMailboxPolicy": "$policy", "extensions": ["$fresh_extension"]}));
    let dialled = Some(json!({"conferenceId": "123456789"}));
    let (person, user): (&[_], &[_]) = (&[("name", "$person")], &[("name", "$user")]);
    let (policy, bridge): (&[_], &[_]) = (&[("name", "$policy")], &[("name", "$bridge")]);
    vec![
        Line("listConferencingBridges", ALL, Always, none(), &[], ""),
        Line("createConferencingBridge", CONFERENCING, Nowhere, Some(json!({"name": "$fresh bridge"})), &[], ""),
        Line("getConferencingBridge", ALL, Always, none(), bridge, ""),
        Line("changeConferencingBridge", CONFERENCING, Nowhere, Some(json!({"force": true})), bridge, ""),
        Line("deleteConferencingBridge", CONFERENCING, Nowhere, none(), bridge, ""),
        Line("verifyConferencingBridge", CONFERENCING, Nowhere, dialled, bridge, ""),
        Line("listConferencingUsers", ALL, List, none(), &[], ""),
        Line("getConferencingUser", ALL, Object, none(), person, ""),
        Line("enableConferencingUser", CONFERENCING, Object, Some(json!({})), user, ""),
        Line("changeConferencingUser", CONFERENCING, Object, Some(json!({"resetConferenceId": true})), person, ""),
        Line("changeConferencingUser", CONFERENCING, Object, Some(json!({"resetLeaderPin": true})), person, ""),
        Line("changeConferencingUser", CONFERENCING_SENDERS, Object, Some(json!({"sendEmail": true})), person, ""),
        Line(
            "changeConferencingUser",
            CONFERENCING_SENDERS,
            Object,
            Some(json!({"sendEmail": true, "sendEmailToAddress": "ada@example.com"})),
            person,
            "",
        ),
        Line("changeConferencingUser", CONFERENCING, Object, Some(json!({"sendEmail": true, "resetLeaderPin": true})), person, ""),
        Line(
            "changeConferencingUser",
            CONFERENCING,
            Object,
            Some(json!({"sendEmail": true, "sendEmailFromAddress": "a@example.org", "sendEmailFromDisplayName": "A"})),
            person,
            "",
        ),
        Line("disableConferencingUser", CONFERENCING, Object, Some(json!({})), person, ""),
        Line("sendInfoConferencingUser", CONFERENCING_SENDERS, Object, none(), person, ""),
        Line("listDialPlans", ALL, Always, none(), &[], ""),
        Line("startBulkAct", TELEPHONY, Always, Some(json!({"object": "mailboxes", "act": "disable", "users": ["$user"]})), &[], ""),
        Line(
            "startBulkAct",
            CONFERENCING,
            Always,
            Some(json!({"object": "conferencing-users", "act": "disable", "users": ["$user"]})),
            &[],
            "?preview=true",
        ),
        Line("getBulkAct", TELEPHONY, Nowhere, none(), &[("id", "$bulk")], ""),
        Line("listBulkActResults", TELEPHONY, Nowhere, none(), &[("id", "$bulk")], ""),
        Line("stopBulkAct", TELEPHONY, Nowhere, none(), &[("id", "$bulk")], ""),
        Line("createDialPlan", TELEPHONY, Nowhere, plan, &[], ""),
        Line("getDialPlan", ALL, Always, none(), &[("name", "$plan")], ""),
        Line("changeDialPlan", TELEPHONY, Nowhere, Some(json!({"faxEnabled": false})), &[("name", "$plan")], ""),
        Line("deleteDialPlan", TELEPHONY, Nowhere, none(), &[("name", "$bare_plan")], ""),
        Line("listMailboxPolicies", ALL, Always, none(), &[], ""),
        Line("createMailboxPolicy", TELEPHONY, Nowhere, Some(json!({"name": "$fresh policy", "umDialPlan": "$plan"})), &[], ""),
        Line("getMailboxPolicy", ALL, Always, none(), policy, ""),
        Line("changeMailboxPolicy", TELEPHONY, Nowhere, Some(json!({"allowMissedCallNotifications": false})), policy, ""),
        Line("deleteMailboxPolicy", TELEPHONY, Nowhere, none(), &[("name", "$spare_policy")], ""),
        Line("listMailboxes", ALL, List, none(), &[], ""),
        Line("getMailbox", ALL, Object, none(), person, ""),
        Line("enableMailbox", TELEPHONY, Object, mailbox, user, ""),
        Line("changeMailbox", TELEPHONY, Object, Some(json!({"missedCallNotificationEnabled": false})), person, ""),
        Line("disableMailbox", TELEPHONY, Object, none(), person, ""),
    ]
}

fn table() -> Vec<Line> {
    use Carries::{Always, List, Nowhere, Object, Public};
    let none = || None;
    let to = |kind: &str, id: &str| Some(json!({"title": "t", "body": "b", kind: [id]}));
    let about = |kind: &str, id: &str| Some(json!({kind: [id]}));
    let named = |name: &str| Some(json!({"name": name}));
    let own: &[(&str, &str)] = &[("id", "$own_event")];
    let personal: &[(&str, &str)] = &[("id", "$device_event")];
    let mut lines = managed();
    lines.extend([
        Line("listAlarms", ALL, Always, none(), &[], ""),
        Line("enrolDevice", ALL, Public, none(), &[], ""),
        Line("readInbox", NOBODY, Always, none(), &[], ""),
        Line("streamInbox", NOBODY, Always, none(), &[], ""),
        Line("getPreferences", NOBODY, Always, none(), &[], ""),
        Line("setPreferences", NOBODY, Always, Some(json!({})), &[], ""),
        Line("sendReceipts", NOBODY, Always, Some(json!({"receipts": []})), &[], ""),
        Line("registerDevice", NOBODY, Always, Some(json!({"service": "apns", "token": "0aff00112233"})), &[], ""),
        Line("unregisterDevice", NOBODY, Always, none(), &[], ""),
        Line("listDevices", ALL, List, none(), &[], ""),
        Line("createDevice", OWNER, Object, Some(json!({"name": "$fresh", "platform": "ios", "ownerId": "$user"})), &[], ""),
        Line("getDevice", ALL, Object, none(), &[("id", "$device")], ""),
        Line("deleteDevice", OWNER, Object, none(), &[("id", "$device")], ""),
        Line("updateDevice", OWNER, Object, named("renamed"), &[("id", "$device")], ""),
        Line("listRegistrations", ALL, Object, none(), &[("id", "$device")], ""),
        Line("createRegistration", OWNER, Object, Some(json!({"service": "apns", "token": "0aff00112244"})), &[("id", "$device")], ""),
        Line("deleteRegistration", OWNER, Object, none(), &[("id", "$device"), ("registrationId", "$registration")], ""),
        Line("exportFile", ALL, Nowhere, none(), &[("file", "people.csv")], ""),
        Line("exportFile", OWNER, Nowhere, none(), &[("file", "registrations.csv")], ""),
        Line("importDirectory", OWNER, Nowhere, Some(json!("csv")), &[], "?name=groups.csv&dryRun=true"),
        Line("getImport", OWNER, Nowhere, none(), &[("id", "$import")], ""),
        Line("stopImport", OWNER, Nowhere, none(), &[("id", "$import")], ""),
        Line("explain", ALL, Object, none(), &[("id", "$event")], "?person=$user"),
        Line("listGroups", ALL, List, none(), &[], ""),
        Line("createGroup", OWNER, Nowhere, named("$fresh"), &[], ""),
        Line("getGroup", ALL, Object, none(), &[("id", "$group")], ""),
        Line("deleteGroup", OWNER, Object, none(), &[("id", "$group")], ""),
        Line("updateGroup", OWNER, Object, Some(json!({"description": "x"})), &[("id", "$group")], ""),
        Line("listMembers", ALL, Object, none(), &[("id", "$group")], ""),
        Line("changeMembers", OWNER, Object, Some(json!({"add": [{"memberType": "user", "id": "$user"}]})), &[("id", "$group")], ""),
        Line("listAudit", AUDITORS, Nowhere, none(), &[], ""),
        Line("auditHead", AUDITORS, Nowhere, none(), &[], ""),
        Line("exportPersonalData", OWNER, Nowhere, none(), &[("id", "$user")], ""),
        Line("eraseUser", OWNER, Nowhere, Some(json!({"confirm": "$upn"})), &[("id", "$user")], ""),
        Line("listMails", ALL, Always, none(), &[], ""),
        Line("previewMail", ALL, Always, none(), &[("kind", "conferencing.enabled")], ""),
        Line("testMail", CONFERENCING, Object, Some(json!({"user": "$user"})), &[("kind", "conferencing.enabled")], ""),
        Line("testMail", TELEPHONY, Object, Some(json!({"user": "$user"})), &[("kind", "call.missed")], ""),
        Line("testMail", NOTIFIERS, Object, Some(json!({"user": "$user"})), &[("kind", "custom.notification")], ""),
        Line("whoAmI", ALL, Always, none(), &[], ""),
        Line("listNotifications", ALL, List, none(), &[], ""),
        Line("sendNotification", NOTIFIERS, Object, to("groups", "$group"), &[], ""),
        Line("sendNotification", NOTIFIERS, Object, to("users", "$user"), &[], ""),
        Line("sendNotification", DEVICE_SENDERS, Object, to("devices", "$device"), &[], ""),
        Line("previewReach", NOTIFIERS, Object, about("groups", "$group"), &[], ""),
        Line("previewReach", NOTIFIERS, Object, about("users", "$user"), &[], ""),
        Line("previewReach", DEVICE_SENDERS, Object, about("devices", "$device"), &[], ""),
        Line("getNotification", ALL, Object, none(), own, ""),
        Line("cancelNotification", NOTIFIERS, Object, none(), own, ""),
        Line("cancelNotification", DEVICE_SENDERS, Object, none(), personal, ""),
        Line("listDeliveries", ALL, Object, none(), own, ""),
        Line("getReport", ALL, Object, none(), own, ""),
        Line("resendNotification", NOTIFIERS, Object, Some(json!({})), own, ""),
        Line("resendNotification", DEVICE_SENDERS, Object, Some(json!({})), personal, ""),
        Line("getWebPushKey", ALL, Public, none(), &[], ""),
        Line("resolve", ALL, List, none(), &[], "?kind=user&name=$user"),
        Line("listSettings", ALL, Always, none(), &[], ""),
        Line("getSetting", ALL, Always, none(), &[("key", "retention.days")], ""),
        Line("setSetting", OWNER, Nowhere, Some(json!({"value": 30})), &[("key", "retention.days")], ""),
        Line("setSetting", OWNER, Nowhere, Some(json!({"value": 500})), &[("key", "limits.group_sends_per_hour")], ""),
        Line("setSetting", NOTIFIERS, Nowhere, Some(json!({"value": true})), &[("key", "push.apns.enabled")], ""),
        Line("changeSettings", NOTIFIERS, Nowhere, Some(json!({"values": {"push.apns.enabled": true}})), &[], ""),
        Line("changeSettings", OWNER, Nowhere, Some(json!({"values": {"push.apns.enabled": true, "retention.days": null}})), &[], ""),
        Line("setSetting", CONFERENCING, Nowhere, Some(json!({"value": 6})), &[("key", "conferencing.pin_length")], ""),
        Line("setSetting", TELEPHONY, Nowhere, Some(json!({"value": "fallback"})), &[("key", "call.missed.email")], ""),
        Line("resetSetting", OWNER, Nowhere, none(), &[("key", "retention.days")], ""),
        Line("resetSetting", CONFERENCING, Nowhere, none(), &[("key", "conferencing.pin_length")], ""),
        Line("resetSetting", NOTIFIERS, Nowhere, none(), &[("key", "push.fcm.enabled")], ""),
        Line("listRoles", ALL, Always, none(), &[], ""),
        Line("createRole", OWNER, Nowhere, Some(json!({"name": "$fresh", "permissions": ["Directory/Read"]})), &[], ""),
        Line("getRole", ALL, Always, none(), &[("id", "$role")], ""),
        Line("updateRole", OWNER, Nowhere, Some(json!({"description": "x"})), &[("id", "$role")], ""),
        Line("deleteRole", OWNER, Nowhere, none(), &[("id", "$role")], ""),
        Line("listRoleAssignments", OWNER, Nowhere, none(), &[], ""),
        Line("createRoleAssignment", OWNER, Nowhere, Some(json!({"name": "$fresh", "role": "reader", "users": ["$user"]})), &[], ""),
        Line("getRoleAssignment", OWNER, Nowhere, none(), &[("id", "$assignment")], ""),
        Line("updateRoleAssignment", OWNER, Nowhere, named("$fresh"), &[("id", "$assignment")], ""),
        Line("deleteRoleAssignment", OWNER, Nowhere, none(), &[("id", "$assignment")], ""),
        Line("listTokens", OWNER, Nowhere, none(), &[], ""),
        Line("createToken", OWNER, Nowhere, Some(json!({"name": "x", "role": "reader"})), &[], ""),
        Line("revokeToken", OWNER, Nowhere, none(), &[("id", "$token")], ""),
        Line("listUsers", ALL, List, none(), &[], ""),
        Line("createUser", OWNER, Nowhere, Some(json!({"upn": "$fresh@example.org", "displayName": "x"})), &[], ""),
        Line("getUser", ALL, Object, none(), &[("id", "$user")], ""),
        Line("deleteUser", OWNER, Object, none(), &[("id", "$user")], ""),
        Line("updateUser", OWNER, Object, Some(json!({"displayName": "y"})), &[("id", "$user")], ""),
        Line("createEnrolmentCode", OWNER, Object, none(), &[("id", "$user")], ""),
        Line("docs", ALL, Public, none(), &[], ""),
        Line("docsStyle", ALL, Public, none(), &[], ""),
        Line("health", ALL, Public, none(), &[], ""),
        Line("metrics", ALL, Public, none(), &[], ""),
        Line("openapi", ALL, Public, none(), &[], ""),
        Line("readiness", ALL, Public, none(), &[], ""),
    ]);
    lines
}

/// Objects inside the group North, made anew for every operation that may change them.
struct Stage(BTreeMap<&'static str, String>);

impl Stage {
    /// What the lines of one part of the table need.
    async fn of(world: &World, north: &str, number: usize, managed: bool) -> Stage {
        if managed { Stage::of_managed(world, north, number).await } else { Stage::new(world, north, number).await }
    }

    /// A person in North, and the group through which.
    async fn people(world: &World, north: &str, name: &str) -> (String, String) {
        let user = world.user(&format!("{name}-user@example.org")).await;
        let group = world.group(&format!("{name}-group")).await;
        world.add(&group, "user", &user).await;
        world.add(north, "group", &group).await;
        (user, group)
    }

    /// Managed objects: a person with conferencing and a mailbox, one without, and a plan, a policy and a bridge on which
    /// nothing hangs.
    async fn of_managed(world: &World, north: &str, number: usize) -> Stage {
        let (user, group) = Stage::people(world, north, &format!("fresh-{number}")).await;
        let person = world.user(&format!("fresh-{number}-person@example.org")).await;
        world.add(&group, "user", &person).await;
        let made = async |path: &str, body: Value| {
            let reply = world.post(&format!("/api/v1/{path}"), body).await;
            assert!(reply.status.is_success(), "{path}: {}", reply.text);
            reply.json["object"]["id"].as_str().expect("an id").to_owned()
        };
        let plan = json!({"name": format!("plan {number}"), "numberOfDigitsInExtension": 6});
        let plan = made("dial-plans", plan).await;
        let bare = json!({"name": format!("bare {number}"), "numberOfDigitsInExtension": 6, "generateUmMailboxPolicy": false});
        let policy = format!("plan {number} Default Policy");
        let spare = json!({"name": format!("spare {number}"), "umDialPlan": plan});
        let mailbox = json!({"umMailboxPolicy": policy, "extensions": ["100000"]});
        made(&format!("mailboxes/{person}/enable"), mailbox).await;
        made(&format!("conferencing-users/{person}/enable"), json!({})).await;
        let bulk = json!({"object": "mailboxes", "act": "disable", "users": [user]});
        let bulk = world.post("/api/v1/bulk-acts", bulk).await.expect(202).id().to_owned();
        let policy = world.get(&format!("/api/v1/mailbox-policies/{}", policy.replace(' ', "%20"))).await.expect(200).id().to_owned();
        Stage(BTreeMap::from([
            ("$user", user),
            ("$group", group),
            ("$bulk", bulk),
            ("$fresh", format!("fresh-{number}-new")),
            ("$bare_plan", made("dial-plans", bare).await),
            ("$spare_policy", made("mailbox-policies", spare).await),
            ("$bridge", made("conferencing-bridges", json!({"name": format!("bridge {number}")})).await),
            ("$plan", plan),
            ("$policy", policy),
            ("$person", person),
            ("$fresh_extension", "200000".to_owned()),
        ]))
    }

    async fn new(world: &World, north: &str, number: usize) -> Stage {
        let name = format!("fresh-{number}");
        let (user, group) = Stage::people(world, north, &name).await;
        let draft = json!({"name": format!("{name}-device"), "platform": "ios", "ownerId": user});
        let device = world.post("/api/v1/devices", draft).await.expect(201).id().to_owned();
        let registration = json!({"service": "apns", "token": format!("{number:064x}")});
        let registration = world.post(&format!("/api/v1/devices/{device}/registrations"), registration).await.expect(201).id().to_owned();
        let send = async |kind: &str, id: &str| {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
            let draft = json!({"title": "secret title", "body": "b", kind: [id], "at": at.to_string()});
            world.post("/api/v1/notifications", draft).await.expect(201).id().to_owned()
        };
        let (event, device_event) = (send("groups", &group).await, send("devices", &device).await);
        let role = json!({"name": format!("{name}-role"), "permissions": ["Directory/Read"]});
        let role = world.post("/api/v1/roles", role).await.expect(201).id().to_owned();
        let held = json!({"name": format!("{name}-held"), "role": "reader", "users": [user]});
        let assignment = world.post("/api/v1/role-assignments", held).await.expect(201).id().to_owned();
        let token = world.post("/api/v1/tokens", json!({"name": "x", "role": "reader"})).await.expect(201).id().to_owned();
        let import = world.ask("POST", "/api/v1/directory/import?name=groups.csv&dryRun=true").header("prefer", "respond-async");
        let import = import.bytes("text/csv", CSV.as_bytes().to_vec()).send().await.expect(202).id().to_owned();
        // Another import may follow at once.
        while world.get(&format!("/api/v1/directory/imports/{import}")).await.json["state"] == "running" {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Stage(BTreeMap::from([
            ("$upn", format!("{name}-user@example.org")),
            ("$user", user),
            ("$group", group),
            ("$device_event", device_event),
            ("$device", device),
            ("$registration", registration),
            ("$own_event", event.clone()),
            ("$event", event),
            ("$role", role),
            ("$assignment", assignment),
            ("$token", token),
            ("$import", import),
            ("$fresh", format!("{name}-new")),
        ]))
    }

    fn filled(&self, text: &str) -> String {
        // Longer names first: one may begin another.
        self.0.iter().rev().fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
    }

    async fn ask(&self, world: &World, token: &str, method: &str, path: &str, line: &Line) -> Reply {
        let Line(_, _, _, body, places, query) = line;
        let path = places.iter().fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
        let ask = world.ask(method, &self.filled(&format!("{path}{query}"))).token(token);
        match body {
            Some(Value::String(_)) => ask.bytes("text/csv", CSV.as_bytes().to_vec()).send().await,
            Some(body) => ask.json(serde_json::from_str(&self.filled(&body.to_string())).expect("JSON")).send().await,
            None => ask.send().await,
        }
    }
}

const CSV: &str = "external_id,name,description\nG1,Imported,x\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_is_open_to_the_roles_of_the_table_within_their_scope_and_to_nobody_else() {
    let world = World::new().await;
    for limit in ["limits.group_sends_per_hour", "limits.device_sends_per_hour"] {
        let set = json!({"value": if limit.starts_with("limits.group") { 100_000 } else { 1_000 }});
        world.ask("PUT", &format!("/api/v1/settings/{limit}")).json(set).send().await.expect(200);
    }
    let north = world.group("North").await;
    world.group("South").await;
    let document = world.described().document.clone();
    let mut operations: BTreeMap<&str, (String, &str)> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            operations.insert(operation["operationId"].as_str().expect("an id"), (method.to_uppercase(), path));
        }
    }
    let lines = table();
    let listed: BTreeSet<&str> = lines.iter().map(|line| line.0).collect();
    assert_eq!(listed, operations.keys().copied().collect(), "every operation stands in the table of rights, and no other");
    assert_eq!(ALL.iter().collect::<BTreeSet<_>>(), Role::ALL.iter().map(|role| role.word()).collect::<Vec<_>>().iter().collect());

    let mut tokens = Vec::new();
    for role in ALL {
        let everywhere = world.token(role, &[]).await;
        let (inside, outside) = (world.token(role, &["North"]).await, world.token(role, &["South"]).await);
        tokens.push((role, [(everywhere, "everywhere"), (inside, "inside"), (outside, "outside")]));
    }
    let (mut number, mut tried) = (0, 0);
    let mut stage = Stage::new(&world, &north, number).await;
    let (managed, mut of_managed): (BTreeSet<&str>, bool) = (managed().iter().map(|line| line.0).collect(), false);
    for line in &lines {
        let Line(id, may, carries, ..) = line;
        if *carries == Carries::Public {
            continue;
        }
        let (method, path) = &operations[id];
        if managed.contains(id) != of_managed {
            (number, of_managed) = (number + 1, !of_managed);
            stage = Stage::of(&world, &north, number, of_managed).await;
        }
        for (role, places) in &tokens {
            for (token, place) in places {
                let holds = may.contains(role);
                let open = holds
                    && (*place == "everywhere" || *carries != Carries::Nowhere)
                    && (*place != "outside" || *carries != Carries::Object);
                let reply = stage.ask(&world, token, method, path, line).await;
                let told = format!("{id} as {role} {place}: {} {}", reply.status, reply.text);
                tried += 1;
                if open {
                    assert!(reply.status.is_success(), "{told}");
                    if *carries == Carries::List && *place == "outside" {
                        let seen = stage.0.values().find(|id| reply.text.contains(id.as_str()));
                        assert!(seen.is_none() || *id == "resolve" && reply.json["items"] == json!([]), "{told}");
                    }
                    if method != "GET" {
                        number += 1;
                        stage = Stage::of(&world, &north, number, of_managed).await;
                    }
                } else if holds && *carries == Carries::Object {
                    // Refused, not there, or a field that names what is out of reach.
                    assert!(matches!(reply.status.as_u16(), 403 | 404 | 422), "{told}");
                    assert!(!reply.text.contains("secret title"), "{told}");
                } else {
                    assert_eq!(reply.status.as_u16(), 403, "{told}");
                }
            }
        }
    }
    assert!(tried > 2_200, "{tried}");
}

#[tokio::test]
async fn message_texts_are_for_owners_and_auditors_in_their_scope_and_for_the_sender() {
    let world = World::new().await;
    let north = world.group("North").await;
    world.group("South").await;
    let ada = world.user("ada@example.org").await;
    world.add(&north, "user", &ada).await;
    let text = json!({"title": "secret title", "body": "b", "groups": ["North"]});
    let sender = world.token("notification-admin", &[]).await;
    let event = world.ask("POST", "/api/v1/notifications").token(&sender).json(text).send().await.expect(201).id().to_owned();
    let reads = async |token: &str| {
        let reply = world.ask("GET", &format!("/api/v1/notifications/{event}")).token(token).send().await.expect(200);
        reply.text.contains("secret title")
    };
    assert!(reads(&world.owner).await && reads(&sender).await);
    assert!(reads(&world.token("auditor", &["North"]).await).await);
    for role in ["notification-admin", "help-desk", "reader", "telephony-admin"] {
        assert!(!reads(&world.token(role, &[]).await).await, "{role}");
    }
}

/// A person's token, and what it may.
async fn person(world: &World, upn: &str) -> (String, String) {
    let id = world.user(upn).await;
    let token = world.post("/api/v1/tokens", json!({"name": "x", "user": upn})).await.expect(201);
    (id, token.json["token"].as_str().expect("a secret").to_owned())
}

#[tokio::test]
async fn assignments_add_up_for_each_object_and_their_scopes_do_not_leak_into_each_other() {
    let world = World::new().await;
    let (north, south, team) = (world.group("North").await, world.group("South").await, world.group("Team").await);
    let (ada, token) = person(&world, "ada@example.org").await;
    let (ben, cid) = (world.user("ben@example.org").await, world.user("cid@example.org").await);
    world.add(&north, "user", &ben).await;
    world.add(&south, "user", &cid).await;
    let send = |group: &str| {
        let text = json!({"title": "t", "body": "b", "groups": [group]});
        world.ask("POST", "/api/v1/notifications").token(&token).json(text).send()
    };
    let see = |user: &str| world.ask("GET", &format!("/api/v1/users/{user}")).token(&token).send();
    assert_eq!(see(&ben).await.code(), (403, "forbidden"), "nothing is assigned");
    // One for herself, one through a group that she is in by another group.
    let held = json!({"name": "readers", "role": "reader", "users": ["ada@example.org"], "scope": {"groups": ["South"]}});
    world.post("/api/v1/role-assignments", held).await.expect(201);
    let inner = world.group("Inner").await;
    world.add(&team, "group", &inner).await;
    world.add(&inner, "user", &ada).await;
    let held = json!({"name": "senders", "role": "notification-admin", "groups": ["Team"], "scope": {"groups": ["North"]}});
    let held = world.post("/api/v1/role-assignments", held).await.expect(201);
    see(&ben).await.expect(200);
    see(&cid).await.expect(200);
    send("North").await.expect(201);
    assert_eq!(send("South").await.code(), (403, "out_of_scope"), "the right to send holds in North alone");
    let me = world.ask("GET", "/api/v1/me").token(&token).send().await.expect(200);
    assert_eq!((me.json["grants"].as_array().map(Vec::len), me.json["userId"].as_str()), (Some(2), Some(ada.as_str())));
    // The role is taken away: the right ends at once.
    world.ask("DELETE", &format!("/api/v1/role-assignments/{}", held.id())).send().await.expect(204);
    assert_eq!(send("North").await.code(), (403, "forbidden"));
    assert_eq!(see(&ben).await.code(), (403, "out_of_scope"));
}

#[tokio::test]
async fn an_assignment_ends_at_its_hour_and_a_leavers_token_rests() {
    let world = World::new().await;
    let (ada, token) = person(&world, "ada@example.org").await;
    let held = json!({"name": "for an hour", "role": "reader", "users": ["ada@example.org"], "expiresIn": "1h"});
    let held = world.post("/api/v1/role-assignments", held).await.expect(201);
    assert!(held.json["expiresAt"].is_string());
    let list = || world.ask("GET", "/api/v1/users").token(&token).send();
    list().await.expect(200);
    world.clock.forward(3_600_000);
    assert_eq!(list().await.code(), (403, "forbidden"));
    let change = json!({"expiresIn": null});
    world.ask("PATCH", &format!("/api/v1/role-assignments/{}", held.id())).json(change).send().await.expect(200);
    list().await.expect(200);
    world.ask("PATCH", &format!("/api/v1/users/{ada}")).json(json!({"active": false})).send().await.expect(200);
    assert_eq!(list().await.code(), (401, "unauthenticated"));
}

#[tokio::test]
async fn own_roles_are_defined_changed_and_held_and_built_in_ones_stay() {
    let world = World::new().await;
    let draft = json!({"name": "Duty officer", "permissions": ["Notifications/SendToGroups", "Directory/Read"]});
    let role = world.post("/api/v1/roles", draft.clone()).await.expect(201);
    assert_eq!(world.post("/api/v1/roles", draft).await.code(), (409, "taken"));
    let token = world.token("Duty officer", &[]).await;
    world.group("North").await;
    let send = || {
        let text = json!({"title": "t", "body": "b", "groups": ["North"]});
        world.ask("POST", "/api/v1/notifications").token(&token).json(text).send()
    };
    send().await.expect(201);
    let path = format!("/api/v1/roles/{}", role.id());
    let change = || world.ask("PATCH", &path).json(json!({"permissions": ["Directory/Read"]}));
    assert_eq!(change().header("if-match", "\"7\"").send().await.code(), (412, "stale"));
    change().header("if-match", "\"1\"").send().await.expect(200);
    assert_eq!(send().await.code(), (403, "forbidden"), "a changed role holds at once");
    assert_eq!(world.ask("DELETE", &path).send().await.code(), (409, "role_in_use"));
    for wrong in ["PATCH", "DELETE"] {
        let ask = world.ask(wrong, "/api/v1/roles/owner");
        let reply = if wrong == "PATCH" { ask.json(json!({"name": "x"})).send().await } else { ask.send().await };
        assert_eq!(reply.code(), (409, "built_in"));
    }
    let wrong = world.post("/api/v1/roles", json!({"name": "owner", "permissions": ["Directory/Fly"]})).await;
    assert_eq!(wrong.faults().iter().map(|(field, _)| *field).collect::<Vec<_>>(), ["name", "permissions[0]"], "{}", wrong.text);
    let roles = world.get("/api/v1/roles").await.expect(200);
    assert_eq!(roles.json["items"].as_array().map(Vec::len), Some(Role::ALL.len() + 1));
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let world = World::new().await;
    let draft = json!({"name": "Deputy", "permissions": ["Roles/Manage", "Tokens/Manage", "Directory/Read"]});
    world.post("/api/v1/roles", draft).await.expect(201);
    let deputy = world.token("Deputy", &[]).await;
    let (_, _) = person(&world, "ada@example.org").await;
    let ask = |path: &str, body: Value| world.ask("POST", path).token(&deputy).json(body).send();
    for (path, body) in [
        ("/api/v1/tokens", json!({"name": "x", "role": "owner"})),
        ("/api/v1/roles", json!({"name": "x", "permissions": ["Content/Read"]})),
        ("/api/v1/role-assignments", json!({"name": "x", "role": "owner", "users": ["ada@example.org"]})),
    ] {
        assert_eq!(ask(path, body).await.code(), (403, "beyond_own_rights"), "{path}");
    }
    ask("/api/v1/tokens", json!({"name": "x", "role": "reader"})).await.expect(201);
    let held = json!({"name": "x", "role": "reader", "users": ["ada@example.org"]});
    ask("/api/v1/role-assignments", held).await.expect(201);
    // A group that holds a role is filled only by those who could give the role.
    let (outer, inner) = (world.group("Owners").await, world.group("Inner").await);
    world.add(&outer, "group", &inner).await;
    let cid = world.user("cid@example.org").await;
    let clerk = json!({"name": "Clerk", "permissions": ["Directory/Write", "Directory/Read"]});
    world.post("/api/v1/roles", clerk).await.expect(201);
    let clerk = world.token("Clerk", &[]).await;
    let fill = |group: &str, member: &str| {
        let change = json!({"add": [{"memberType": "user", "id": member}]});
        world.ask("POST", &format!("/api/v1/groups/{group}/members")).token(&clerk).json(change).send()
    };
    let import = || {
        let ask = world.ask("POST", "/api/v1/directory/import?name=groups.csv&dryRun=true").token(&clerk);
        ask.bytes("text/csv", CSV.as_bytes().to_vec()).send()
    };
    fill(&inner, &cid).await.expect(200);
    import().await.expect(200);
    let held = json!({"name": "owners", "role": "owner", "groups": ["Owners"]});
    world.post("/api/v1/role-assignments", held).await.expect(201);
    let dan = world.user("dan@example.org").await;
    for group in [&outer, &inner] {
        assert_eq!(fill(group, &dan).await.code(), (403, "beyond_own_rights"));
    }
    assert_eq!(import().await.code(), (403, "beyond_own_rights"));
    let other = world.group("Other").await;
    fill(&other, &dan).await.expect(200);
    let wrong = ask("/api/v1/tokens", json!({"name": "x", "user": "ada@example.org", "role": "reader"})).await;
    assert_eq!(wrong.faults()[0].0, "user", "{}", wrong.text);
}
