//! A device token that Apple calls gone: retired, unless it was registered after the moment that Apple names, or
//! registered anew while the answer was on its way.

use fakes::Mode;
use fakes::apple::Answer;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stories::{App, Org, SOON, Stage, eventually, token_of, when};

fn millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a date of our times")
}

async fn registration(stage: &Stage, device: &str) -> Value {
    let id = stage.api.id("device", device).await;
    let all = stage.api.all(&format!("devices/{id}/registrations")).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

async fn tell(stage: &Stage, person: &str) -> Value {
    let body = json!({"title": "Anybody there?", "body": "x", "users": [format!("{person}@example.org")]});
    let sent = stage.api.send(&body).await;
    stage.api.done(sent["id"].as_str().expect("an id")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_registered_after_apples_moment_is_kept_and_an_older_one_is_retired() {
    let stage = Stage::open().await;
    Org::new().person("old").iphone("old-phone", "old").person("new").iphone("new-phone", "new").import(&stage.api).await;
    stage.apple.answer(&token_of("old-phone"), Some(Answer::gone(millis() + 60_000)));
    stage.apple.answer(&token_of("new-phone"), Some(Answer::gone(millis() - 3_600_000)));
    assert_eq!(tell(&stage, "old").await["counts"]["gone"], 1);
    assert_eq!(tell(&stage, "new").await["counts"]["gone"], 1);
    let old = registration(&stage, "old-phone").await;
    assert_eq!((&old["state"], &old["retiredCode"]), (&json!("retired"), &json!("Unregistered")), "{old}");
    let new = registration(&stage, "new-phone").await;
    assert_eq!(new["state"], "active", "it was registered an hour after the moment that Apple names: {new}");
    assert!(!old["token"].as_str().expect("a masked token").contains(&token_of("old-phone")), "{old}");

    stage.apple.answer(&token_of("new-phone"), None);
    stage.apple.answer(&token_of("old-phone"), None);
    assert_eq!(tell(&stage, "new").await["counts"]["accepted"], 1);
    let second = tell(&stage, "old").await;
    let report = stage.api.get(&format!("notifications/{}/report", second["id"].as_str().expect("an id"))).await;
    assert_eq!(report["byReason"]["registration_retired"], 1, "{report}");
    assert_eq!(stage.apple.reached(&token_of("old-phone")), 0, "a retired registration is not asked again");
    // The app registers again with the same token: Apple gave it out anew.
    let device = stage.api.id("device", "old-phone").await;
    let body = json!({"service": "apns", "token": token_of("old-phone")});
    stage.api.post(&format!("devices/{device}/registrations"), &body).await.with(201);
    assert_eq!(tell(&stage, "old").await["counts"]["accepted"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_registered_anew_while_the_answer_travels_is_not_retired_by_it() {
    let stage = Stage::open().await;
    Org::new().person("ada").import(&stage.api).await;
    let app = App::enrol(&stage.api, "ada@example.org", "ada-pad", "ipados").await;
    app.register(&token_of("first")).await;
    stage.apple.set_mode(Mode::Slow { latency_ms: 2_500 });
    stage.apple.answer(&token_of("first"), Some(Answer::refused(410, "Unregistered")));
    let body = json!({"title": "Crossing", "body": "x", "users": ["ada@example.org"]});
    let sent = stage.api.send(&body).await;
    eventually("the request to be on its way", SOON, async || when(stage.apple.stats().requests == 1)).await;
    app.register(&token_of("second")).await;
    let done = stage.api.done(sent["id"].as_str().expect("an id")).await;
    assert_eq!(done["counts"]["gone"], 1, "{done}");
    let active: Vec<Value> = stage
        .api
        .all(&format!("devices/{}/registrations", app.device))
        .await
        .into_iter()
        .filter(|registration| registration["state"] == "active")
        .collect();
    assert_eq!(active.len(), 1, "the new registration lives: {active:?}");
    stage.apple.set_mode(Mode::Ok);
    tell(&stage, "ada").await;
    eventually("the push to the new token", Duration::from_secs(10), async || when(stage.apple.reached(&token_of("second")) == 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_most_answers_say_gone_they_are_not_believed_and_an_alarm_says_so() {
    const PEOPLE: u64 = 300;
    let stage = Stage::open().await;
    Org::new().crowd("staff", PEOPLE as usize).import(&stage.api).await;
    (0..PEOPLE).for_each(|n| stage.apple.answer(&token_of(&format!("staff-{n}-phone")), Some(Answer::refused(410, "Unregistered"))));
    let first = stage.api.tell("staff", "To everybody").await;
    assert_eq!(stage.api.done(&first).await["counts"]["gone"], PEOPLE, "each delivery ends with the provider's word");
    let alarms = stage.api.alarms().await;
    assert!(alarms.iter().any(|alarm| alarm["code"] == "apns_suspicious_gone"), "{alarms:?}");
    // The wrong environment was mended: nobody has to register again but the few that were believed.
    (0..PEOPLE).for_each(|n| stage.apple.answer(&token_of(&format!("staff-{n}-phone")), None));
    let second = stage.api.tell("staff", "Once more").await;
    stage.api.done(&second).await;
    let report = stage.api.get(&format!("notifications/{second}/report")).await;
    let (kept, retired) = (&report["byChannel"]["apns"]["accepted"], report["byReason"]["registration_retired"].as_u64().unwrap_or(0));
    assert!(retired <= 20, "{retired} registrations were retired: {report}");
    assert_eq!(kept.as_u64(), Some(PEOPLE - retired), "{report}");
    eventually("the end of the alarm", SOON, async || {
        when(!stage.api.alarms().await.iter().any(|alarm| alarm["code"] == "apns_suspicious_gone"))
    })
    .await;
}
