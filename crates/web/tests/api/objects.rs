//! Managed objects of the sources over the API: what acts come to, what they reveal, by which names things are found.

use super::world::{Reply, World};
use serde_json::{Value, json};

/// A dial plan of extensions with four digits, with its default policy.
async fn plan(world: &World, name: &str) -> Reply {
    world.post("/api/v1/dial-plans", json!({"name": name, "numberOfDigitsInExtension": 4})).await.expect(201)
}

async fn enable_mailbox(world: &World, person: &str, extension: &str) -> Reply {
    let draft = json!({"umMailboxPolicy": "Lyon Default Policy", "extensions": [extension]});
    world.post(&format!("/api/v1/mailboxes/{person}/enable"), draft).await
}

/// Somebody with a mail address.
async fn mailed(world: &World, upn: &str) -> String {
    world.post("/api/v1/users", json!({"upn": upn, "displayName": upn, "email": upn})).await.expect(201).id().to_owned()
}

fn made(reply: &Reply) -> &str {
    reply.json["object"]["id"].as_str().expect("an id")
}

fn kinds(reply: &Reply) -> Vec<&str> {
    reply.json["events"].as_array().expect("events").iter().filter_map(|event| event["type"].as_str()).collect()
}

async fn automatic_mails(world: &World, on: bool) {
    let path = "/api/v1/settings/conferencing.automatically_send_emails_to_users";
    world.ask("PUT", path).json(json!({"value": on})).send().await.expect(200);
}

#[tokio::test]
async fn a_dial_plan_comes_with_its_default_policy_and_stays_while_the_policy_does() {
    let world = World::new().await;
    let lyon = plan(&world, "Lyon").await;
    let policy = world.get("/api/v1/mailbox-policies/lyon%20default%20policy").await.expect(200);
    assert_eq!((&policy.json["umDialPlan"], &policy.json["numberOfDigitsInExtension"]), (&json!(made(&lyon)), &json!(4)));
    assert_eq!((&policy.json["allowMissedCallNotifications"], &policy.json["name"]), (&json!(true), &json!("Lyon Default Policy")));
    let refused = world.ask("DELETE", "/api/v1/dial-plans/Lyon").send().await;
    assert_eq!((refused.code(), &refused.json["ids"]), ((409, "in_use"), &json!([policy.id()])));
    let by = "the dial plan is in use by the mailbox policy \"Lyon Default Policy\"; change or delete that first";
    assert_eq!(refused.json["detail"], by);
    let twin = world.post("/api/v1/dial-plans", json!({"name": "LYON", "numberOfDigitsInExtension": 5})).await;
    assert_eq!((twin.code(), twin.faults()[0]), ((409, "taken"), ("name", "the dial plan \"Lyon\" has this value; it must be unique")));
    world.post("/api/v1/mailbox-policies", json!({"name": "Nice Default Policy", "umDialPlan": "Lyon"})).await.expect(201);
    let nice = world.post("/api/v1/dial-plans", json!({"name": "Nice", "numberOfDigitsInExtension": 5})).await;
    assert!(
        nice.json["detail"].as_str().is_some_and(|d| d == "name is taken by the mailbox policy \"Nice Default Policy\""),
        "{}",
        nice.text
    );
    world.ask("DELETE", "/api/v1/mailbox-policies/Nice%20Default%20Policy").send().await.expect(200);
    assert_eq!(world.get("/api/v1/mailbox-policies").await.json["items"].as_array().map(Vec::len), Some(1), "nothing was half made");
    world.ask("DELETE", &format!("/api/v1/mailbox-policies/{}", policy.id())).send().await.expect(200);
    let gone = world.ask("DELETE", "/api/v1/dial-plans/lyon").send().await.expect(200);
    assert_eq!((&gone.json["object"], gone.header("etag")), (&Value::Null, ""));
    assert_eq!(world.get("/api/v1/dial-plans/Lyon").await.code(), (404, "not_found"));
}

#[tokio::test]
async fn a_policy_that_a_mailbox_uses_cannot_be_deleted() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    plan(&world, "Lyon").await;
    let mailbox = enable_mailbox(&world, &ada, "1001").await.expect(200);
    assert_eq!(mailbox.json["object"]["user"]["upn"], "ada@example.org");
    let policy = "/api/v1/mailbox-policies/Lyon%20Default%20Policy";
    let refused = world.ask("DELETE", policy).send().await;
    assert_eq!((refused.code(), &refused.json["ids"]), ((409, "in_use"), &json!([made(&mailbox)])));
    assert_eq!(refused.json["detail"], "the mailbox policy is in use by ada@example.org (mailbox); change or delete that first");
    world.ask("POST", &format!("/api/v1/mailboxes/{ada}/disable")).send().await.expect(200);
    world.ask("DELETE", policy).send().await.expect(200);
}

#[tokio::test]
async fn an_extension_belongs_to_one_mailbox_of_its_plan() {
    let world = World::new().await;
    let (ada, ben) = (world.user("ada@example.org").await, world.user("ben@example.org").await);
    plan(&world, "Lyon").await;
    plan(&world, "Nice").await;
    enable_mailbox(&world, &ada, "1001").await.expect(200);
    let taken = enable_mailbox(&world, &ben, "1001").await;
    assert_eq!((taken.code(), taken.faults()[0].0), ((409, "taken"), "extensions"), "{}", taken.text);
    assert_eq!(taken.json["detail"], "extensions is taken by ada@example.org (mailbox)");
    assert_eq!(taken.faults()[0].1, "ada@example.org (mailbox) has this value; it must be unique");
    assert_eq!(enable_mailbox(&world, &ada, "1002").await.code(), (409, "already_enabled"));
    let elsewhere = json!({"umMailboxPolicy": "Nice Default Policy", "extensions": ["1001"]});
    world.post(&format!("/api/v1/mailboxes/{ben}/enable"), elsewhere).await.expect(200);
    let moved = world.ask("PATCH", &format!("/api/v1/mailboxes/{ada}")).json(json!({"extensions": ["1002", "1003"]})).send().await;
    assert_eq!(moved.expect(200).json["object"]["extensions"], json!(["1002", "1003"]));
    world.ask("POST", &format!("/api/v1/mailboxes/{ben}/disable")).send().await.expect(200);
    enable_mailbox(&world, &ben, "1001").await.expect(200);
}

#[tokio::test]
async fn objects_of_people_outside_the_scope_are_neither_shown_nor_touched() {
    let world = World::new().await;
    let (north, ada, eve) = (world.group("North").await, world.user("ada@example.org").await, world.user("eve@example.org").await);
    world.add(&north, "user", &ada).await;
    plan(&world, "Lyon").await;
    let (inside, outside) = (enable_mailbox(&world, &ada, "1001").await, enable_mailbox(&world, &eve, "1002").await);
    let token = world.token("telephony-admin", &["North"]).await;
    let ask = |method: &str, path: &str| world.ask(method, &format!("/api/v1/{path}")).token(&token);
    let list = ask("GET", "mailboxes").send().await.expect(200);
    let seen: Vec<&Value> = list.json["items"].as_array().expect("items").iter().map(|item| &item["user"]["id"]).collect();
    assert_eq!(seen, [&json!(ada)]);
    // By the person's id, by their UPN, and by the mailbox's own id.
    for name in [eve.as_str(), "eve@example.org", made(&outside)] {
        assert_eq!(ask("GET", &format!("mailboxes/{name}")).send().await.code(), (403, "out_of_scope"), "{name}");
        let change = ask("PATCH", &format!("mailboxes/{name}")).json(json!({"extensions": ["1003"]})).send().await;
        assert_eq!(change.code(), (403, "out_of_scope"), "{name}");
        assert_eq!(ask("POST", &format!("mailboxes/{name}/disable")).send().await.code(), (403, "out_of_scope"), "{name}");
    }
    // What somebody outside the scope has in the way has no name.
    let taken = ask("PATCH", &format!("mailboxes/{ada}")).json(json!({"extensions": ["1002"]})).send().await;
    assert_eq!((taken.code(), &taken.json["detail"]), ((409, "taken"), &json!("extensions is taken by somebody (mailbox)")));
    for hidden in ["eve", eve.as_str(), made(&outside)] {
        assert!(!taken.text.contains(hidden), "{hidden}: {}", taken.text);
    }
    ask("GET", &format!("mailboxes/{}", made(&inside))).send().await.expect(200);
    ask("PATCH", &format!("mailboxes/{ada}")).json(json!({"extensions": ["1003"]})).send().await.expect(200);
    // Everybody reads plans; to change one concerns all.
    ask("GET", "dial-plans/Lyon").send().await.expect(200);
    assert_eq!(ask("PATCH", "dial-plans/Lyon").json(json!({"faxEnabled": false})).send().await.code(), (403, "out_of_scope"));
}

#[tokio::test]
async fn a_preview_changes_nothing_and_lists_the_events() {
    let world = World::new().await;
    let ada = mailed(&world, "ada@example.org").await;
    let path = format!("/api/v1/conferencing-users/{ada}");
    let ahead = world.post(&format!("{path}/enable?preview=true"), json!({})).await.expect(200);
    assert_eq!((&ahead.json["done"], kinds(&ahead)), (&json!(false), vec!["conferencing.enabled"]));
    assert_eq!((&ahead.json["events"][0]["userId"], ahead.json["events"][0].get("id")), (&json!(ada), None));
    assert_eq!((&ahead.json["object"]["licensed"], ahead.header("etag")), (&json!(true), ""));
    assert_eq!(world.get(&path).await.code(), (404, "not_found"));
    assert_eq!(world.get("/api/v1/conferencing-bridges").await.json["items"], json!([]), "nor was the first bridge made");
    world.post(&format!("{path}/enable"), json!({})).await.expect(200);
    let before = world.get(&path).await.expect(200).json;
    let reset = world.ask("PATCH", &format!("{path}?preview=true")).json(json!({"resetLeaderPin": true})).send().await.expect(200);
    assert_eq!((kinds(&reset), reset.json.get("revealed")), (vec!["conferencing.pin_reset"], None));
    let gone = world.ask("POST", &format!("{path}/disable?preview=true")).send().await.expect(200);
    assert_eq!((kinds(&gone), &gone.json["object"]), (vec!["conferencing.disabled"], &Value::Null));
    assert_eq!(world.get(&path).await.expect(200).json, before);
}

#[tokio::test]
async fn enabling_conferencing_tells_the_person_once() {
    let world = World::new().await;
    let ada = mailed(&world, "ada@example.org").await;
    let path = format!("/api/v1/conferencing-users/{ada}");
    let first = world.post(&format!("{path}/enable"), json!({})).await.expect(200);
    assert_eq!((kinds(&first), &first.json["events"][0]["userId"]), (vec!["conferencing.enabled"], &json!(ada)));
    assert!(first.json.get("revealed").is_none(), "the mail carries the PIN: {}", first.text);
    let object = &first.json["object"];
    assert_eq!(
        (&object["pin"], &object["pinToBeHandedOver"], &object["bridgeName"]),
        (&json!("********"), &json!(false), &json!("Default"))
    );
    let event = first.json["events"][0]["id"].as_str().expect("an event");
    let why = world.get(&format!("/api/v1/events/{event}/why?person={ada}")).await.expect(200);
    assert_eq!(why.json["eventId"].as_str().or(why.json["event"]["id"].as_str()), Some(event), "{}", why.text);
    let again = world.post(&format!("{path}/enable"), json!({})).await.expect(200);
    assert_eq!((kinds(&again).len(), &again.json["object"]), (0, object), "it is on already");
    assert!(again.json["remarks"][0].as_str().is_some_and(|remark| remark.contains("on already")));
    let french = world.ask("POST", &format!("{path}/enable")).header("accept-language", "fr").json(json!({})).send().await.expect(200);
    assert!(french.json["remarks"][0].as_str().is_some_and(|remark| remark.contains("déjà activée")), "{}", french.text);
}

#[tokio::test]
async fn a_pin_that_no_mail_carries_is_shown_once_and_has_to_be_handed_over() {
    let world = World::new().await;
    let ada = mailed(&world, "ada@example.org").await;
    let path = format!("/api/v1/conferencing-users/{ada}");
    world.post(&format!("{path}/enable"), json!({})).await.expect(200);
    automatic_mails(&world, false).await;
    let reset = world.ask("PATCH", &path).json(json!({"resetLeaderPin": true})).send().await.expect(200);
    let pin = reset.json["revealed"]["pin"].as_str().expect("a PIN");
    assert!(pin.len() == 5 && pin.bytes().all(|b| b.is_ascii_digit()), "{pin}");
    assert!(reset.json["remarks"].to_string().contains("hand it over"), "{}", reset.text);
    let read = world.get(&path).await.expect(200);
    assert_eq!((&read.json["pin"], &read.json["pinToBeHandedOver"]), (&json!("********"), &json!(true)));
    assert!(!read.text.contains("pinHash") && !world.get("/api/v1/conferencing-users").await.text.contains("pinHash"));
    automatic_mails(&world, true).await;
    let mailed = world.ask("PATCH", &path).json(json!({"resetLeaderPin": true})).send().await.expect(200);
    assert!(mailed.json.get("revealed").is_none(), "{}", mailed.text);
    assert_eq!(world.get(&path).await.expect(200).json["pinToBeHandedOver"], json!(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_asks_is_told_who_is_the_organizer_until_too_many_pins_were_wrong() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    world.post("/api/v1/conferencing-bridges", json!({"name": "Paris"})).await.expect(201);
    let draft = json!({"bridgeName": "paris", "conferenceId": "583920174"});
    let enabled = world.post(&format!("/api/v1/conferencing-users/{ada}/enable"), draft).await.expect(200);
    let pin = enabled.json["revealed"]["pin"].as_str().expect("a PIN, for nobody mails it").to_owned();
    let wrong = if pin == "86421" { "86422" } else { "86421" };
    let verify =
        async |body: Value| world.post("/api/v1/conferencing-bridges/PARIS/verify", body).await.expect(200).json["revealed"].clone();
    let with = async |pin: &str| verify(json!({"conferenceId": "583920174", "pin": pin})).await;
    assert_eq!(verify(json!({"conferenceId": "583920174"})).await, json!({"valid": true, "userId": ada}));
    assert_eq!(verify(json!({"conferenceId": "100000000"})).await, json!({"valid": false}));
    assert_eq!(verify(json!({"conferenceId": "100000000", "pin": wrong})).await, json!({"valid": false, "organizer": false}));
    assert_eq!(with(&pin).await, json!({"valid": true, "userId": ada, "organizer": true}));
    for _ in 0..5 {
        assert_eq!(with(wrong).await, json!({"valid": false, "userId": ada, "organizer": false}));
    }
    let locked = with(&pin).await;
    assert_eq!((&locked["valid"], &locked["organizer"]), (&json!(false), &json!(false)), "the right one, too");
    assert!(locked["lockedForSeconds"].as_u64().is_some_and(|wait| (880..=900).contains(&wait)), "{locked}");
    world.clock.forward(15 * 60_000);
    assert_eq!(with(&pin).await["organizer"], json!(true));
    let read = world.get(&format!("/api/v1/conferencing-users/{ada}")).await.expect(200);
    assert_eq!(read.json["version"], json!(1), "asking changes nothing");
    // On another bridge the same conference ID is nobody's.
    world.post("/api/v1/conferencing-bridges", json!({"name": "Nice"})).await.expect(201);
    let elsewhere = world.post("/api/v1/conferencing-bridges/Nice/verify", json!({"conferenceId": "583920174"})).await.expect(200);
    assert_eq!(elsewhere.json["revealed"], json!({"valid": false}));
    assert_eq!(elsewhere.json["object"], Value::Null, "a verdict says nothing of the bridge itself");
}

#[tokio::test]
async fn an_adapters_secret_is_shown_once_and_what_it_has_to_confirm_waits() {
    let world = World::new().await;
    let ada = mailed(&world, "ada@example.org").await;
    let draft = json!({"name": "Paris", "adapterUrl": "https://bridge.example.net/hook"});
    let made = world.post("/api/v1/conferencing-bridges", draft).await.expect(201);
    let secret = made.json["revealed"]["adapterSecret"].as_str().expect("a secret");
    assert!(secret.starts_with("whsec_"));
    assert_eq!((&made.json["object"]["adapterSecret"], &made.json["object"]["recordOnly"]), (&json!("********"), &json!(false)));
    let read = world.get("/api/v1/conferencing-bridges/paris").await.expect(200);
    assert_eq!(read.json["adapterSecret"], json!("********"));
    assert!(!world.get("/api/v1/conferencing-bridges").await.text.contains(secret));
    let enable = format!("/api/v1/conferencing-users/{ada}/enable");
    let waits = world.post(&enable, json!({"bridgeName": "Paris"})).await.expect(200);
    assert_eq!((&waits.json["waits"], kinds(&waits)), (&json!(true), vec!["conferencing.enabled"]));
    assert!(waits.json["events"][0].get("id").is_none(), "the event comes when the bridge has confirmed");
    let used = world.ask("DELETE", "/api/v1/conferencing-bridges/Paris").send().await;
    assert_eq!((used.code(), &used.json["ids"]), ((409, "in_use"), &json!([waits.json["object"]["id"]])));
    let by = "the bridge \"Paris\" is used by ada@example.org and perhaps others; move them to another bridge first";
    assert_eq!(used.json["detail"], by);
    let other =
        world.ask("PATCH", "/api/v1/conferencing-bridges/Paris").json(json!({"adapterUrl": "https://other.example.net"})).send().await;
    assert!(other.expect(200).json["revealed"]["adapterSecret"].as_str().is_some_and(|other| other != secret), "a key of its own");
    let none = world.ask("PATCH", "/api/v1/conferencing-bridges/Paris").json(json!({"adapterUrl": ""})).send().await.expect(200);
    assert_eq!((none.json.get("revealed"), &none.json["object"]["adapterSecret"]), (None, &Value::Null));
}

#[tokio::test]
async fn objects_are_found_by_id_and_by_name_without_regard_to_case_and_people_by_whatever_names_them() {
    let world = World::new().await;
    let draft = json!({"upn": "ada@example.org", "displayName": "Ada", "externalId": "E1"});
    let ada = world.post("/api/v1/users", draft).await.expect(201).id().to_owned();
    let lyon = plan(&world, "Lyon Été").await;
    for name in [made(&lyon), "Lyon%20%C3%89t%C3%A9", "lYON%20%C3%A9T%C3%89"] {
        assert_eq!(world.get(&format!("/api/v1/dial-plans/{name}")).await.expect(200).id(), made(&lyon), "{name}");
    }
    let draft = json!({"umMailboxPolicy": "lyon été DEFAULT policy", "extensions": ["1001"]});
    let mailbox = world.post("/api/v1/mailboxes/ADA@example.org/enable", draft.clone()).await.expect(200);
    for name in [made(&mailbox), &ada, "E1", "Ada@Example.org"] {
        assert_eq!(world.get(&format!("/api/v1/mailboxes/{name}")).await.expect(200).id(), made(&mailbox), "{name}");
    }
    let unknown = world.post("/api/v1/mailboxes/nobody@example.org/enable", draft.clone()).await;
    assert_eq!(unknown.code(), (404, "not_found"));
    assert!(unknown.json["detail"].as_str().is_some_and(|d| d.contains("a user principal name")), "{}", unknown.text);
    assert_eq!(world.get("/api/v1/dial-plans/Nice").await.code(), (404, "not_found"));
    // An id, an external id and a user principal name are unique each, and hold in this order: a name means one person.
    let twin = json!({"upn": "eve@example.org", "displayName": "Eve", "externalId": "ada@example.org"});
    let eve = world.post("/api/v1/users", twin).await.expect(201).id().to_owned();
    let draft = json!({"umMailboxPolicy": "Lyon Été Default Policy", "extensions": ["1002"]});
    let second = world.post("/api/v1/mailboxes/ada@example.org/enable", draft).await.expect(200);
    assert_eq!(second.json["object"]["user"]["id"], json!(eve));
    // A display name names nobody: two may have the same.
    assert_eq!(world.get("/api/v1/mailboxes/Ada").await.code(), (404, "not_found"));
}

#[tokio::test]
async fn lists_of_objects_come_in_pages_that_neither_miss_nor_repeat() {
    let world = World::new().await;
    for n in 0..7 {
        world.post("/api/v1/conferencing-bridges", json!({"name": format!("Bridge {n}")})).await.expect(201);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/api/v1/conferencing-bridges?limit=3{cursor}")).await.expect(200);
        seen.extend(page.json["items"].as_array().expect("items").iter().map(|item| item["name"].as_str().expect("a name").to_owned()));
        match page.json["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..7).map(|n| format!("Bridge {n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_belonged_to_somebody_who_is_gone_ends_with_them() {
    let world = World::new().await;
    let ben = world.user("ben@example.org").await;
    plan(&world, "Lyon").await;
    for going in ["deleted", "erased"] {
        let upn = format!("{going}@example.org");
        let ada = mailed(&world, &upn).await;
        let mailbox = enable_mailbox(&world, &ada, "1001").await.expect(200);
        world.post(&format!("/api/v1/conferencing-users/{ada}/enable"), json!({"conferenceId": "583920174"})).await.expect(200);
        if going == "erased" {
            world.post(&format!("/api/v1/users/{ada}/erasure"), json!({"confirm": upn})).await.expect(200);
        } else {
            let delete = |etag: &str| world.ask("DELETE", &format!("/api/v1/users/{ada}")).header("if-match", etag);
            assert_eq!(delete("\"7\"").send().await.code(), (412, "stale"));
            world.get(&format!("/api/v1/mailboxes/{ada}")).await.expect(200);
            delete("\"1\"").send().await.expect(204);
        }
        assert_eq!(world.get("/api/v1/mailboxes").await.expect(200).json["items"], json!([]));
        assert_eq!(world.get(&format!("/api/v1/mailboxes/{}", made(&mailbox))).await.code(), (404, "not_found"));
        let dialled = json!({"conferenceId": "583920174"});
        let verified = world.post("/api/v1/conferencing-bridges/Default/verify", dialled).await.expect(200);
        assert_eq!(verified.json["revealed"], json!({"valid": false}), "{going}");
        enable_mailbox(&world, &ben, "1001").await.expect(200);
        world.ask("POST", &format!("/api/v1/mailboxes/{ben}/disable")).send().await.expect(200);
    }
    let entries = world.get("/api/v1/audit?limit=500").await.expect(200).json["items"].clone();
    let ended = |word: &str| entries.as_array().expect("items").iter().filter(|entry| entry["operation"] == word).count();
    assert_eq!((ended("conferencing-user.disable"), ended("mailbox.disable")), (2, 4));
}
