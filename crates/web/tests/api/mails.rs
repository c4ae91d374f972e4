//! Mails: how each looks, and one sent to a person as a test.

use super::world::{Reply, World};
use model::channel::Boxed;
use model::source::Words;
use model::{Channel, ChannelKind, Lane, Letter, Locale, Outcome, Rendered, Slot};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Takes every mail, and notes it.
#[derive(Clone, Default)]
struct Post(Arc<Mutex<Vec<String>>>);

impl Slot for Post {
    fn send(self: Box<Self>, letter: &Letter<'_>) -> Boxed<'static, Outcome> {
        let mut noted = String::from_utf8_lossy(&letter.content.body).into_owned();
        for file in letter.files {
            noted += &format!("\nFILE {} {} {}", file.name, file.media_type, file.bytes.len());
        }
        self.0.lock().push(noted);
        Box::pin(async { Outcome::Accepted })
    }
}

impl Channel for Post {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Email
    }

    fn render(&self, words: &Words) -> Rendered {
        Rendered { body: format!("{}\n{}", words.mail.subject, words.mail.text).into(), ..Rendered::default() }
    }

    fn reserve(&self, _: Lane) -> Boxed<'_, Result<Box<dyn Slot>, Outcome>> {
        let slot: Box<dyn Slot> = Box::new(self.clone());
        Box::pin(async move { Ok(slot) })
    }
}

impl Post {
    /// The first mails, when there are so many.
    async fn received(&self, count: usize) -> Vec<String> {
        for _ in 0..500 {
            if self.0.lock().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.0.lock().clone()
    }
}

async fn addressed(world: &World, upn: &str, locale: &str) -> String {
    let draft = json!({"upn": upn, "displayName": upn, "email": upn, "locale": locale});
    world.post("/api/v1/users", draft).await.expect(201).id().to_owned()
}

const KINDS: [&str; 8] = [
    "custom.notification",
    "conferencing.enabled",
    "conferencing.changed",
    "conferencing.pin_reset",
    "conferencing.disabled",
    "conferencing.info",
    "call.missed",
    "voicemail.received",
];

#[tokio::test]
async fn every_mail_is_listed_and_can_be_looked_at_in_both_languages() {
    let world = World::new().await;
    let listed = world.get("/api/v1/mails").await.expect(200).json;
    let mut kinds: Vec<&str> = listed["items"].as_array().expect("items").iter().filter_map(|item| item["kind"].as_str()).collect();
    kinds.sort_unstable();
    let mut all = KINDS;
    all.sort_unstable();
    assert_eq!(kinds, all);
    for kind in KINDS {
        for locale in Locale::ALL {
            let mail = world.get(&format!("/api/v1/mails/{kind}/preview?locale={locale}")).await.expect(200);
            assert_eq!(mail.header("content-language"), locale.tag());
            let part = |name: &str| mail.json[name].as_str().expect("a text").to_owned();
            assert!(!part("subject").is_empty() && part("text").contains("Example"), "{kind} {locale}");
            assert!(part("html").contains(&format!("<html lang=\"{locale}\"")), "{kind} {locale}");
            let carries = matches!(kind, "conferencing.enabled" | "conferencing.pin_reset");
            assert_eq!(part("text").contains("48205"), carries, "{kind} {locale}");
        }
    }
    assert_eq!(world.get("/api/v1/mails/conferencing.begun/preview").await.code(), (404, "not_found"));
}

#[tokio::test]
async fn mails_bear_the_name_of_the_branding_where_there_is_one() {
    let world = World::new().await;
    let listed = world.get("/api/v1/settings").await.expect(200);
    assert!(listed.text.contains("branding.name"), "{}", listed.text);
    for kind in KINDS {
        let path = format!("/api/v1/mails/{kind}/preview");
        let set = |name: &str| world.ask("PUT", "/api/v1/settings/branding.name").json(json!({ "value": name })).send();
        set("Maison & Fils").await.expect(200);
        let mail = world.get(&path).await.expect(200).json;
        let part = |name: &str| mail[name].as_str().expect("a text").to_owned();
        assert!(part("html").contains("Maison &amp; Fils") && part("text").contains("Maison & Fils"), "{kind}: {mail}");
        assert!(mail["from"].is_null(), "the sender is another matter: {mail}");
        set("").await.expect(200);
        let mail = world.get(&path).await.expect(200).json;
        assert!(mail["html"].as_str().is_some_and(|html| !html.contains("Maison")), "{kind}: {mail}");
    }
    let long = json!({"value": "x".repeat(101)});
    let refused = world.ask("PUT", "/api/v1/settings/branding.name").json(long).send().await;
    assert_eq!(refused.code(), (422, "invalid_field"));
}

#[tokio::test]
async fn a_preview_in_a_browser_is_the_mail_itself_and_may_load_nothing_but_the_logo() {
    let world = World::new().await;
    let colour = json!({"value": "#8a1c5b"});
    world.ask("PUT", "/api/v1/settings/branding.colour").json(colour).send().await.expect(200);
    let path = "/api/v1/mails/conferencing.info/preview";
    assert_eq!(world.get(path).await.json["from"], Value::Null);
    let values = json!({"values": {
        "conferencing.send_email_from_address": "meetings@example.org",
        "conferencing.send_email_from_display_name": "Meetings",
        "conferencing.send_email_from_override": true,
    }});
    world.ask("PATCH", "/api/v1/settings").json(values).send().await.expect(200);
    assert_eq!(world.get(path).await.json["from"], json!({"name": "Meetings", "address": "meetings@example.org"}));
    let page = world.get(&format!("{path}?format=html&locale=fr")).await.expect(200);
    let accepted = world.ask("GET", path).header("accept", "text/html").header("accept-language", "fr").send().await.expect(200);
    assert_eq!(page.text, accepted.text);
    assert!(page.text.starts_with("<!doctype html>") && page.text.contains("583920174") && page.text.contains("#8a1c5b"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; img-src https:;") && policy.ends_with("sandbox") && !policy.contains("script"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_is_marked_goes_in_the_language_asked_for_and_past_the_switch_of_its_source() {
    let post = Post::default();
    let world = World::with(vec![Arc::new(post.clone())]).await;
    let off = json!({"value": false});
    world.ask("PUT", "/api/v1/settings/conferencing.automatically_send_emails_to_users").json(off).send().await.expect(200);
    let ada = addressed(&world, "ada@example.org", "fr").await;
    let test = world.post("/api/v1/mails/conferencing.enabled/test", json!({"user": "ada@example.org"})).await.expect(201);
    assert_eq!((test.json["userId"].as_str(), test.json["locale"].clone()), (Some(ada.as_str()), Value::Null));
    assert_eq!(test.json["mail"], "goes");
    assert_eq!(test.header("location"), format!("/api/v1/notifications/{}", test.id()));
    let first = &post.received(1).await[0];
    assert!(first.starts_with("[Test] Vous pouvez") && first.contains("Code PIN : 48205"), "{first}");
    world.post("/api/v1/mails/call.missed/test", json!({"user": ada, "locale": "en"})).await.expect(201);
    let second = &post.received(2).await[1];
    assert!(second.starts_with("[Test] Missed call from Alex Example") && !second.contains("FILE"), "{second}");
    // Every event is listed, with its kind and whom it is for; one kind can be asked for.
    let list = async |query: &str| world.get(&format!("/api/v1/notifications{query}")).await;
    let kinds = |reply: &Reply| {
        let items = reply.json["items"].as_array().expect("items").iter();
        items.map(|one| (one["kind"].as_str().unwrap_or("").to_owned(), one["addressed"]["users"][0]["name"].clone())).collect::<Vec<_>>()
    };
    let of = |kind: &str| (kind.to_owned(), json!("ada@example.org"));
    assert_eq!(kinds(&list("").await.expect(200)), [of("call.missed"), of("conferencing.enabled")]);
    assert_eq!(kinds(&list("?kind=call.missed").await.expect(200)), [of("call.missed")]);
    assert_eq!(kinds(&list("?kind=custom.notification").await.expect(200)), []);
    let unknown = list("?kind=call.lost").await;
    assert!(unknown.faults()[0].1.contains("call.missed") && unknown.code().0 == 422, "{}", unknown.text);
    world.post("/api/v1/mails/voicemail.received/test", json!({"user": ada, "locale": "en"})).await.expect(201);
    let third = &post.received(3).await[2];
    assert!(third.contains("attached to this mail (sample.wav)") && third.ends_with("\nFILE sample.wav audio/wav 16044"), "{third}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_is_not_sent_to_people_without_an_address_and_why_says_so() {
    let post = Post::default();
    let world = World::with(vec![Arc::new(post.clone())]).await;
    let eve = world.user("eve@example.org").await;
    let test = world.post("/api/v1/mails/conferencing.info/test", json!({"user": eve})).await.expect(201);
    assert_eq!(test.json["mail"], "no_email");
    let why = world.get(&format!("/api/v1/events/{}/why?person={eve}", test.id())).await.expect(200);
    assert!(why.text.contains("no_email") && post.0.lock().is_empty(), "{}", why.text);
}

#[tokio::test]
async fn a_test_is_for_those_who_manage_its_source_within_their_scope_and_is_written_down() {
    let world = World::new().await;
    let north = world.group("North").await;
    world.group("South").await;
    let ada = world.user("ada@example.org").await;
    world.add(&north, "user", &ada).await;
    let tried = async |role: &str, scope: &[&str], kind: &str| {
        let token = world.token(role, scope).await;
        world.ask("POST", &format!("/api/v1/mails/{kind}/test")).token(&token).json(json!({"user": ada})).send().await.status.as_u16()
    };
    assert_eq!(tried("conferencing-admin", &["North"], "conferencing.pin_reset").await, 201);
    assert_eq!(tried("telephony-admin", &[], "voicemail.received").await, 201);
    assert_eq!(tried("conferencing-admin", &["South"], "conferencing.pin_reset").await, 403);
    assert_eq!(tried("conferencing-admin", &[], "call.missed").await, 403);
    assert_eq!(tried("help-desk", &[], "conferencing.info").await, 403);
    let audit = world.get("/api/v1/audit").await.expect(200).json;
    let tests = audit["items"].as_array().expect("items").iter().filter(|entry| entry["operation"] == "mail.test");
    let kinds: Vec<&str> = tests.filter_map(|entry| entry["changes"]["kind"].as_str()).collect();
    assert_eq!(kinds.len(), 2, "{audit}");
    assert!(kinds.contains(&"conferencing.pin_reset") && kinds.contains(&"voicemail.received"));
    assert_eq!(world.get("/api/v1/conferencing-users").await.json["items"], json!([]), "nothing else changed");
}

#[tokio::test]
async fn a_test_that_is_repeated_with_its_key_is_sent_once() {
    let world = World::new().await;
    world.user("ada@example.org").await;
    let ask = || {
        let ask = world.ask("POST", "/api/v1/mails/conferencing.info/test").header("idempotency-key", "monday");
        ask.json(json!({"user": "ada@example.org"})).send()
    };
    let (first, second) = (ask().await.expect(201), ask().await.expect(201));
    assert_eq!((first.id(), second.header("idempotent-replay")), (second.id(), "true"));
    let other = world.ask("POST", "/api/v1/mails/conferencing.info/test").header("idempotency-key", "monday");
    assert_eq!(other.json(json!({"user": "eve@example.org"})).send().await.code(), (422, "idempotency_mismatch"));
    let wrong = world.post("/api/v1/mails/conferencing.info/test", json!({"user": "nobody@example.org"})).await;
    assert_eq!((wrong.code(), wrong.faults()[0].0), ((422, "invalid_field"), "user"));
}
