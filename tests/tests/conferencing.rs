//! Conferencing: one act, one mail; the switch; and a bridge that has to confirm before anybody is told.

use fakes::relay::Received;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use stories::{Bridge, Org, SOON, Stage, eventually, shared_database, when};

const PARIS: &str = "+33155501234";
const FREE: &str = "+33800555111";

async fn staged(database: Option<String>) -> Stage {
    let stage = Stage::with(|scene| scene.database = database).await;
    let mut org = Org::new();
    org.person("ines").person_with("bruno", |row| row.locale = "fr".into());
    org.import(&stage.api).await;
    let numbers = json!([{"number": PARIS, "primaryLanguage": "fr-FR"}, {"number": FREE, "tollFree": true}]);
    let bridge = json!({"name": "Paris", "serviceNumbers": numbers, "defaultServiceNumber": PARIS});
    stage.api.post("conferencing-bridges", &bridge).await.with(201);
    stage
}

/// An act on a person's settings.
async fn act(stage: &Stage, person: &str, act: &str, given: Value) -> Value {
    let path = format!("conferencing-users/{person}@example.org");
    match act {
        "change" => stage.api.patch(&path, &given).await,
        _ => stage.api.ask(Method::POST, &format!("{path}/{act}"), Some(&given), &[]).await.with(200),
    }
}

fn header<'a>(mail: &'a Received, name: &str) -> &'a str {
    let head = mail.content.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

fn body(mail: &Received) -> String {
    let plain = mail.content.split("Content-Type: text/plain").nth(1).unwrap_or_default();
    // Soft line breaks and non-ASCII letters of quoted-printable.
    let plain = plain.split("\r\n--").next().unwrap_or_default().replace("=\r\n", "");
    plain.replace("=C3=A9", "é").replace("=C2=A0", " ").replace("\r\n", "\n")
}

async fn mails(stage: &Stage, count: usize) -> Vec<Received> {
    eventually("the mails", SOON, async || {
        let mut mails = stage.relay.mails(100);
        mails.sort_by_key(|mail| mail.at_micros);
        when(mails.len() >= count)?;
        Some(mails)
    })
    .await
}

/// The value behind a name on a line of its own.
fn line<'a>(body: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ").or_else(|| rest.strip_prefix(" : ")));
    body.lines().find_map(value).unwrap_or_else(|| panic!("no line {name:?} in {body}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_act_sends_its_one_mail_and_the_switch_stops_all_but_those_sent_by_hand() {
    each_act_and_the_switch(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_act_sends_its_one_mail_and_the_switch_stops_all_but_those_sent_by_hand_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    each_act_and_the_switch(Some(database)).await;
}

async fn each_act_and_the_switch(database: Option<String>) {
    let stage = staged(database).await;
    let enabled = act(&stage, "ines", "enable", json!({"bridgeName": "Paris"})).await;
    assert_eq!((enabled["events"][0]["type"].as_str(), enabled["waits"].as_bool()), (Some("conferencing.enabled"), Some(false)));
    let event = enabled["events"][0]["id"].as_str().expect("an event").to_owned();
    let first = mails(&stage, 1).await.remove(0);
    assert_eq!((header(&first, "X-Carillon-Event"), header(&first, "X-Carillon-Kind")), (event.as_str(), "conferencing.enabled"));
    let text = body(&first);
    let (pin, id) = (line(&text, "PIN").to_owned(), line(&text, "Conference ID").to_owned());
    assert!(pin.len() == 5 && pin.bytes().all(|b| b.is_ascii_digit()) && id.len() == 9, "{text}");
    assert!(text.find("PIN: ") < text.find("Conference ID: "), "{text}");
    let verify = async |pin: &str| {
        let asked = json!({"conferenceId": id, "pin": pin});
        stage.api.ask(Method::POST, "conferencing-bridges/paris/verify", Some(&asked), &[]).await.with(200)["revealed"].clone()
    };
    let right = verify(&pin).await;
    assert_eq!((&right["valid"], &right["organizer"]), (&json!(true), &json!(true)));
    let wrong = verify(if pin == "86421" { "86422" } else { "86421" }).await;
    assert_eq!((&wrong["valid"], &wrong["organizer"], &wrong["userId"]), (&json!(false), &json!(false), &right["userId"]));
    let changed = act(&stage, "ines", "change", json!({"resetConferenceId": true})).await;
    assert_eq!(changed["events"][0]["type"], "conferencing.changed");
    let second = mails(&stage, 2).await.remove(1);
    let text = body(&second);
    assert!(line(&text, "Conference ID") != id && !text.contains("PIN"), "{text}");
    assert_eq!(verify(&pin).await, json!({"valid": false, "organizer": false}), "the old one is dead at once");
    let reset = act(&stage, "ines", "change", json!({"resetLeaderPin": true, "resetConferenceId": true})).await;
    assert_eq!(reset["events"].as_array().map(Vec::len), Some(1), "one act, one mail: {reset}");
    let third = mails(&stage, 3).await.remove(2);
    assert_eq!(header(&third, "X-Carillon-Kind"), "conferencing.pin_reset");
    assert!(line(&body(&third), "PIN") != pin);
    // Off: nothing of the first four goes, and why says so. By hand it goes all the same, without the PIN.
    stage.api.set("conferencing.automatically_send_emails_to_users", json!(false)).await;
    let silent = act(&stage, "ines", "change", json!({"resetLeaderPin": true})).await;
    let told_once = silent["revealed"]["pin"].as_str().expect("a PIN, this once").to_owned();
    assert_eq!(told_once.len(), 5);
    let event = silent["events"][0]["id"].as_str().expect("an event").to_owned();
    let why = stage.api.why(&event, "ines@example.org").await;
    assert!(why.to_string().contains("policy_off") && why.to_string().contains("AutomaticallySendEmailsToUsers was off"), "{why}");
    let shown = stage.api.get("conferencing-users/ines@example.org").await;
    assert_eq!((&shown["pin"], &shown["pinToBeHandedOver"]), (&json!("********"), &json!(true)));
    act(&stage, "ines", "send-info", json!({})).await;
    let fourth = mails(&stage, 4).await.remove(3);
    assert_eq!(header(&fourth, "X-Carillon-Kind"), "conferencing.info");
    assert!(!body(&fourth).contains("PIN") && !fourth.content.contains(&told_once), "{}", body(&fourth));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.relay.mails(100).len(), 4, "and nothing else");
    stage.api.set("conferencing.automatically_send_emails_to_users", json!(true)).await;
    act(&stage, "bruno", "enable", json!({"bridgeName": "Paris"})).await;
    let french = mails(&stage, 5).await.remove(4);
    assert!(line(&body(&french), "Code PIN").len() == 5 && line(&body(&french), "Identifiant de conférence").len() == 9);
    act(&stage, "bruno", "disable", json!({})).await;
    let last = mails(&stage, 6).await.remove(5);
    assert_eq!(header(&last, "X-Carillon-Kind"), "conferencing.disabled");
    assert!(!body(&last).contains("PIN"), "{}", body(&last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_with_an_adapter_confirms_before_anybody_is_told_also_over_a_crash() {
    a_bridge_confirms(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_with_an_adapter_confirms_before_anybody_is_told_also_over_a_crash_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    a_bridge_confirms(Some(database)).await;
}

async fn a_bridge_confirms(database: Option<String>) {
    let mut stage = staged(database).await;
    let bridge = Bridge::start().await;
    let url = bridge.url();
    let set = stage.api.patch("conferencing-bridges/Paris", &json!({ "adapterUrl": url })).await;
    let secret = set["revealed"]["adapterSecret"].as_str().expect("a secret, this once").to_owned();
    assert_eq!(stage.api.get("conferencing-bridges/Paris").await["adapterSecret"], "********");
    let enabled = act(&stage, "ines", "enable", json!({"bridgeName": "Paris"})).await;
    assert_eq!((enabled["waits"].as_bool(), enabled["events"][0]["type"].as_str()), (Some(true), Some("conferencing.enabled")));
    eventually("a first try", SOON, async || when(!bridge.heard().is_empty())).await;
    assert!(stage.relay.mails(10).is_empty(), "nobody is told before it confirmed");
    stage.server.kill9();
    bridge.answers(204);
    stage.server.restart().await;
    let mail = mails(&stage, 1).await.remove(0);
    let heard = bridge.heard();
    let (headers, said) = heard.last().expect("a webhook");
    let get = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()).unwrap_or_default();
    let text = body(&mail);
    assert_eq!((&said["type"], &said["data"]["change"]), (&json!("carillon.errand.v1"), &json!("began")));
    assert_eq!(
        (said["data"]["pin"].as_str(), said["data"]["conferenceId"].as_str()),
        (Some(line(&text, "PIN")), Some(line(&text, "Conference ID")))
    );
    // The signature, computed here by another implementation.
    let raw = bridge.raw().pop().expect("one");
    let signed = format!("{}.{}.{raw}", get("webhook-id"), get("webhook-timestamp"));
    let made = openssl_hmac(&secret, &signed);
    assert_eq!(get("webhook-signature"), format!("v1,{made}"));
    let ids: Vec<String> = heard
        .iter()
        .map(|(headers, _)| headers.iter().find(|(n, _)| n == "webhook-id").map(|(_, v)| v.clone()).unwrap_or_default())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same errand has the same id: {ids:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.relay.mails(10).len(), 1);
    // A new PIN leaves the conference ID as it is: nothing no longer holds. The shell says for what the mail waits.
    let line = "Set-CsOnlineDialInConferencingUser ines@example.org -ResetLeaderPin";
    let shell = stage.server.cli(&["shell", "-c", line]).ended(0);
    assert!(shell.err.contains("the mail goes when it has"), "{}", shell.err);
    let (_, reset) =
        eventually("the new PIN", SOON, async || bridge.heard().into_iter().find(|(_, s)| s["data"]["change"] == "changed")).await;
    assert_eq!((&reset["data"]["conferenceId"], &reset["data"]["previousConferenceId"]), (&said["data"]["conferenceId"], &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_inactive_is_said_to_be_inactive() {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.person_with("ines", |row| row.active = false);
    org.import(&stage.api).await;
    let enabled = act(&stage, "ines", "enable", json!({})).await;
    let remarks = enabled["remarks"].to_string();
    assert!(remarks.contains("is inactive") && !remarks.contains("no mail address"), "{remarks}");
}

/// HMAC-SHA256 by the machine's Python, in base64.
fn openssl_hmac(secret: &str, text: &str) -> String {
    let script = "import base64,hashlib,hmac,sys\nkey=base64.b64decode(sys.argv[1][6:])\nprint(base64.b64encode(hmac.new(key,sys.argv[2].encode(),hashlib.sha256).digest()).decode())";
    let output = std::process::Command::new("python3").args(["-c", script, secret, text]).output().expect("python3 is here");
    String::from_utf8(output.stdout).expect("ASCII").trim().to_owned()
}

async fn a_pin_that_does_not_arrive(database: Option<String>) {
    let refuse = |status: u16| fakes::Mode::Refuse { status, reason: "5.7.1 not now".into(), retry_after_seconds: None };
    let alarmed = async |stage: &Stage| stage.api.alarms().await.iter().any(|alarm| alarm["code"] == "secret_undelivered");
    let mut stage = staged(database).await;
    stage.relay.answer("ines@mail.example.org", Some("550 5.1.1 no such user"));
    act(&stage, "ines", "enable", json!({"bridgeName": "Paris"})).await;
    eventually("the alarm", SOON, async || when(alarmed(&stage).await)).await;
    let shown = async |stage: &Stage| stage.api.get("conferencing-users/ines@example.org").await["pinToBeHandedOver"].clone();
    assert_eq!(shown(&stage).await, true, "it is recorded that somebody has to do something");
    let audit = stage.api.all("audit").await;
    let noted = audit.iter().find(|entry| entry["operation"] == "secret.undelivered").expect("an entry");
    assert_eq!(noted["changes"]["reason"], "provider_gone", "{noted}");
    // Two new ones wait for a relay that is busy, also over a crash: the newer makes the older void.
    stage.relay.answer("ines@mail.example.org", None);
    stage.relay.set_mode(refuse(451));
    let older = act(&stage, "ines", "change", json!({"resetLeaderPin": true})).await["events"][0]["id"].clone();
    act(&stage, "ines", "change", json!({"resetLeaderPin": true})).await;
    stage.server.kill9();
    stage.server.restart().await;
    let cancelled = async || when(stage.api.why(older.as_str()?, "ines@example.org").await.to_string().contains("\"cancelled\""));
    eventually("the older one to be cancelled", SOON, cancelled).await;
    stage.relay.set_mode(fakes::Mode::Ok);
    let mail = mails(&stage, 1).await.remove(0);
    assert_eq!(header(&mail, "X-Carillon-Kind"), "conferencing.pin_reset");
    eventually("the end of the alarm", SOON, async || when(!alarmed(&stage).await)).await;
    assert_eq!(shown(&stage).await, false);
    // A PIN that ends before it arrives is not told any more.
    stage.relay.set_mode(refuse(451));
    act(&stage, "ines", "change", json!({"resetLeaderPin": true})).await;
    act(&stage, "ines", "disable", json!({})).await;
    stage.relay.set_mode(fakes::Mode::Ok);
    let kinds: Vec<String> = mails(&stage, 2).await.iter().map(|mail| header(mail, "X-Carillon-Kind").to_owned()).collect();
    assert_eq!(kinds, ["conferencing.pin_reset", "conferencing.disabled"]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.relay.mails(100).len(), 2, "and nothing else");
    assert!(!alarmed(&stage).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_that_does_not_arrive_is_noted_and_a_newer_one_makes_it_void() {
    a_pin_that_does_not_arrive(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_that_does_not_arrive_is_noted_and_a_newer_one_makes_it_void_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    a_pin_that_does_not_arrive(Some(database)).await;
}
