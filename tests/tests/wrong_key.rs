//! A wrong APNs key is our fault, not the devices': every registration is kept, an alarm is raised, and once the key is
//! mended everything that waited goes.

use fakes::apple::Key;
use serde_json::json;
use std::time::Duration;
use stories::{Org, SOON, Stage, eventually, token_of, when};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_keeps_every_registration_raises_an_alarm_and_is_mended_by_the_right_one() {
    let mut stage = Stage::with(|scene| scene.wrong_key = Some(Key::generate("STORYKEY01", "STORYTEAM1"))).await;
    Org::new().crowd("staff", 150).import(&stage.api).await;
    let id = stage.api.tell("staff", "Signed by somebody else").await;
    let alarm = eventually("the alarm", SOON, async || {
        stage.api.alarms().await.into_iter().find(|alarm| alarm["code"].as_str().is_some_and(|code| code.contains("apns")))
    })
    .await;
    assert!(alarm["detail"].as_str().is_some_and(|d| d.contains("InvalidProviderToken") && d.contains("key")), "{alarm}");
    let listed = stage.server.cli(&["alarm", "list"]).ended(0);
    assert!(listed.out.contains("InvalidProviderToken"), "{}", listed.out);
    // Whatever was tried waits with our fault as its reason; whatever was not, waits.
    eventually("some deliveries to wait", SOON, async || when(stage.api.notification(&id).await["counts"]["held"].as_u64() > Some(0)))
        .await;
    let held = stage.api.all(&format!("notifications/{id}/deliveries?state=held")).await;
    assert!(held.iter().all(|row| row["reasonCode"] == "our_fault"), "{held:?}");
    let counts = stage.api.notification(&id).await["counts"].clone();
    assert_eq!(
        (&counts["accepted"], &counts["gone"], &counts["rejected"], &counts["expired"]),
        (&json!(0), &json!(0), &json!(0), &json!(0))
    );
    let why = stage.server.cli(&["why", &id, held[0]["upn"].as_str().expect("a person"), "--json"]).ended(0).json();
    assert!(why.to_string().contains("our_fault"), "{why}");
    let said = stage.server.cli(&["notification", "watch", &id, "--exit-status", "--json"]);
    assert_eq!(said.code, 1, "deliveries that wait for a mended key are no success: {}", said.out);
    for n in [0, 77, 149] {
        let device = stage.api.id("device", &format!("staff-{n}-phone")).await;
        let registrations = stage.api.all(&format!("devices/{device}/registrations")).await;
        assert_eq!((registrations.len(), &registrations[0]["state"]), (1, &json!("active")), "{registrations:?}");
    }
    assert!(stage.apple.stats().requests < 150 * 3, "a wrong key is not tried without end: {:?}", stage.apple.stats());

    assert!(stage.server.terminate().success());
    stage.mend_key();
    stage.apple.clear();
    stage.server.restart().await;
    let done = stage.api.done_within(&id, Duration::from_secs(40)).await;
    assert_eq!(done["counts"]["accepted"], 150, "{done}");
    let stats = stage.apple.stats();
    assert_eq!((stats.distinct, stats.repeats), (150, 0), "{stats:?}");
    assert_eq!(stage.apple.reached(&token_of("staff-149-phone")), 1);
    eventually("the alarm to be over", SOON, async || {
        when(!stage.api.alarms().await.iter().any(|alarm| alarm["code"].as_str().is_some_and(|code| code.contains("our_fault"))))
    })
    .await;
}
