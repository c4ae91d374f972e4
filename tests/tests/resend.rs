//! Sending again: to those whom it failed to reach, to those who did not open it, and never from nothing.

use fakes::apple::Answer;
use serde_json::json;
use std::time::Duration;
use stories::{App, Org, SOON, Stage, eventually, token_of, when};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resend_to_the_failed_goes_to_them_and_to_nobody_else() {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.crowd("staff", 5).person("late").iphone("late-phone", "late").import(&stage.api).await;
    let phone = |n: usize| token_of(&format!("staff-{n}-phone"));
    stage.apple.answer(&phone(1), Some(Answer::refused(413, "PayloadTooLarge")));
    stage.apple.answer(&phone(3), Some(Answer::refused(410, "Unregistered")));
    let id = stage.api.tell("staff", "Once").await;
    let done = stage.api.done(&id).await;
    assert_eq!((&done["counts"]["accepted"], &done["counts"]["rejected"], &done["counts"]["gone"]), (&json!(3), &json!(1), &json!(1)));
    // Somebody who joined later was not failed by the first one.
    let (group, late) = (stage.api.id("group", "staff").await, stage.api.id("user", "p-late").await);
    stage.api.post(&format!("groups/{group}/members"), &json!({"add": [{"memberType": "user", "id": late}]})).await.fine();
    stage.apple.answer(&phone(1), None);
    stage.apple.answer(&phone(3), None);
    let again = stage.server.cli(&["notification", "resend", &id, "--failed", "--wait", "--json"]).ended(0).json();
    assert_eq!((&again["resendOf"], &again["counts"]["recipients"], &again["title"]), (&json!(id), &json!(2), &json!("Once")), "{again}");
    assert_eq!(stage.apple.reached(&phone(1)), 1);
    // The other's registration is gone for good, so that person gets a mail.
    assert_eq!(stage.relay.reached("staff-3@mail.example.org"), 1);
    assert_eq!((stage.apple.reached(&phone(0)), stage.apple.reached(&token_of("late-phone"))), (1, 0));
    let whole = stage.api.post(&format!("notifications/{id}/resend"), &json!({})).await.with(201);
    assert_eq!(whole["counts"]["recipients"], 6, "a resend to all takes the group as it is now: {whole}");
    let fine = again["id"].as_str().expect("an id");
    let nobody = stage.api.post(&format!("notifications/{fine}/resend"), &json!({"only": "failed"})).await;
    assert_eq!(nobody.problem(409), "nobody_left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reminder_goes_to_those_who_did_not_open_it() {
    let stage = Stage::open().await;
    Org::new().crowd("staff", 4).import(&stage.api).await;
    let apps = [
        App::enrol(&stage.api, "staff-0@example.org", "pad-0", "ipados").await,
        App::enrol(&stage.api, "staff-2@example.org", "pad-2", "ipados").await,
    ];
    let id = stage.api.tell("staff", "Read me").await;
    stage.api.done(&id).await;
    apps[0].receipt(&id, "opened").await;
    apps[1].receipt(&id, "shown").await;
    stage.apple.clear();
    let again = stage.server.cli(&["notification", "resend", &id, "--unopened", "--wait", "--json"]).ended(0).json();
    assert_eq!(again["counts"]["recipients"], 3, "{again}");
    let reached: Vec<u64> = (0..4).map(|n| stage.apple.reached(&token_of(&format!("staff-{n}-phone")))).collect();
    assert_eq!(reached, [0, 1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_was_erased_cannot_be_sent_again_and_its_report_outlives_it() {
    let stage = Stage::open().await;
    Org::new().crowd("staff", 2).import(&stage.api).await;
    let apps = [
        App::enrol(&stage.api, "staff-0@example.org", "pad-0", "ipados").await,
        App::enrol(&stage.api, "staff-1@example.org", "pad-1", "ipados").await,
    ];
    stage.api.set("retention.days", json!(0)).await;
    let put_away = stage.api.tell("staff", "Put away").await;
    let body = json!({"title": "Too late", "body": "x", "groups": ["staff"], "expiresIn": "3s"});
    let expired = stage.api.send(&body).await["id"].as_str().expect("an id").to_owned();
    let kept = stage.api.tell("staff", "Kept").await;
    for id in [&put_away, &expired, &kept] {
        stage.api.done(id).await;
    }
    for app in &apps {
        app.receipt(&put_away, "dismissed").await;
    }
    apps[0].receipt(&kept, "dismissed").await;
    for id in [&put_away, &expired] {
        eventually("the text to be erased", SOON + Duration::from_secs(5), async || {
            when(stage.api.notification(id).await["title"].is_null())
        })
        .await;
        for body in [json!({}), json!({"only": "unopened"}), json!({"only": "failed"})] {
            let refused = stage.api.post(&format!("notifications/{id}/resend"), &body).await;
            assert_eq!(refused.problem(409), "text_erased", "{}", refused.body);
        }
        let report = stage.api.get(&format!("notifications/{id}/report")).await;
        assert_eq!((&report["title"], &report["recipients"], &report["accepted"]), (&json!(null), &json!(2), &json!(2)), "{report}");
    }
    assert_eq!(stage.api.notification(&kept).await["title"], "Kept", "one person still has it");
    stage.server.cli(&["notification", "resend", &put_away, "--json"]).ended(5);
    stage.api.post(&format!("notifications/{kept}/resend"), &json!({})).await.with(201);
}
