//! The report: what was forecast beside what became of it, in every form that people and programs ask for.

use serde_json::{Value, json};
use std::time::Duration;
use stories::{Org, SOON, Stage, eventually, when};

/// People of the campaign, each with one iPhone.
const PEOPLE: u64 = 1_500;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forecast_and_outcome_differ_by_what_a_switch_that_was_turned_off_midway_held_back() {
    let stage = Stage::with(|scene| scene.apple.streams = 25).await;
    let mut org = Org::new();
    org.crowd("staff", usize::try_from(PEOPLE).expect("a small number"));
    // Two whom no push was to reach: one by mail instead, one by inbox only.
    org.person("mailed").person_with("quiet", |person| person.email = String::new()).group("staff", &["user:mailed", "user:quiet"]);
    org.import(&stage.api).await;
    stage.apple.set_mode(fakes::Mode::Rate { per_second: 300 });
    let id = stage.api.tell("staff", "Half of you").await;
    // The whole plan stands while the campaign is under way: the forecast is complete before the outcome is.
    let planned = eventually("the plan, with pushes under way", SOON, async || {
        let report = stage.api.get(&format!("notifications/{id}/report")).await;
        when(report["planned"] == PEOPLE + 2 && stage.apple.stats().requests >= 300).map(|()| report)
    })
    .await;
    let forecast = planned["forecast"].clone();
    assert_eq!((number(&forecast["people"]), number(&forecast["reached"]), number(&forecast["inboxOnly"])), (PEOPLE + 2, PEOPLE + 1, 1));
    assert_eq!(forecast["byChannel"]["apns"], json!({"people": PEOPLE, "deliveries": PEOPLE}), "{forecast}");
    assert_eq!(forecast["byChannel"]["email"], json!({"people": 1, "deliveries": 1}), "{forecast}");
    assert_eq!(forecast["unreachable"], json!({"no_device": 2, "no_email": 1}), "{forecast}");

    stage.api.set("push.apns.enabled", json!(false)).await;
    stage.api.done_within(&id, Duration::from_secs(40)).await;
    let report = stage.api.get(&format!("notifications/{id}/report")).await;
    assert_eq!(report["forecast"], forecast, "what was forecast does not change");
    let accepted = stage.apple.stats().accepted;
    let held_back = PEOPLE - accepted;
    assert!(held_back > 100, "{held_back}");
    let switch = json!([{"channel": "apns", "state": "suppressed", "reasonCode": "org_switch_off", "deliveries": held_back}]);
    assert_eq!(report["differences"], switch, "the whole difference is told, and by its reason");
    assert_eq!(report["byChannel"]["apns"]["accepted"], accepted);
    assert_eq!(report["unreachable"], json!({"no_device": 2, "no_email": 1, "org_switch_off": held_back}));
    assert_eq!(report["byReason"]["email_not_needed"], PEOPLE, "the older field counts these too");
    let sum = |field: &str| report["lines"].as_array().expect("lines").iter().map(|line| number(&line[field])).sum::<u64>();
    assert_eq!((sum("forecast"), sum("deliveries")), (number(&report["deliveries"]), number(&report["deliveries"])));

    // Side by side on the reach report, and for programs.
    let said = stage.server.cli(&["reach", "--of", "last"]).ended(0);
    for part in ["apns", "did not go", &format!("{held_back}"), "org_switch_off", "Forecast: 1501 of 1502 people"] {
        assert!(said.out.to_lowercase().contains(&part.to_lowercase()), "{part} is not in\n{}", said.out);
    }
    assert_eq!(stage.server.cli(&["reach", "--of", &id, "--json"]).ended(0).json()["forecast"], forecast);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_comes_as_text_csv_json_and_a_page_in_two_languages() {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.person("ada").iphone("ada-phone", "ada").person("bob").group("lyon", &["user:ada", "user:bob"]);
    org.import(&stage.api).await;
    let cli = |args: &[&str]| stage.server.cli(args);
    assert_eq!(cli(&["notification", "report", "last"]).ended(4).out, "", "there is none yet");
    let id = stage.api.tell("lyon", "Fire drill <at ten>").await;
    stage.api.done(&id).await;

    let text = cli(&["notification", "report", "last"]).ended(0).out;
    assert!(
        text.contains("Fire drill <at ten>") && text.contains("Forecast: 2 of 2 people, 1 device") && text.contains("no_device"),
        "{text}"
    );
    let json = cli(&["notification", "report", &id, "--format", "json"]).ended(0).json();
    assert_eq!(json, cli(&["notification", "report", "last", "--json"]).ended(0).json());
    assert_eq!(json, stage.api.get(&format!("notifications/{id}/report")).await);
    let csv = cli(&["notification", "report", &id, "--format", "csv"]).ended(0).out;
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "channel,state,reason,forecast,deliveries");
    assert!(lines.contains(&"apns,accepted,,0,1") && lines.contains(&"apns,scheduled,,1,0"), "{csv}");
    assert!(lines.contains(&"apns,suppressed,no_device,1,1") && lines.contains(&"email,suppressed,email_not_needed,1,1"), "{csv}");

    let page = |locale: &str| cli(&["notification", "report", &id, "--format", "html", "--locale", locale]).ended(0).out;
    let (english, french) = (page("en"), page("fr"));
    assert!(english.starts_with("<!doctype html>") && english.contains("<html lang=\"en\">") && english.contains("Forecast and outcome"));
    assert!(french.contains("<html lang=\"fr\">") && french.contains("Prévision et résultat"));
    for page in [&english, &french] {
        assert!(
            page.contains("Fire drill &lt;at ten&gt;") && !page.contains("<script") && !page.contains("http:") && !page.contains("https:")
        );
        assert!(page.contains("@media print") && page.matches("<caption>").count() >= 4);
    }
    // Without the option the environment says which language.
    let mut command = stage.server.cli_command(&stage.server.token(), &["notification", "report", "last", "--format", "html"]);
    let output = command.env_remove("LC_MESSAGES").env("LC_ALL", "fr_FR.UTF-8").output().expect("the program can be started");
    assert!(String::from_utf8_lossy(&output.stdout).contains("<html lang=\"fr\">"));
    cli(&["notification", "report", &id, "--format", "csv", "--json"]).ended(2);
    cli(&["notification", "report", &id, "--format", "pdf"]).ended(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_health_is_on_the_metrics_from_never_tried_to_down_and_up_again() {
    let stage = Stage::open().await;
    Org::new().person("ada").iphone("ada-phone", "ada").import(&stage.api).await;
    let metrics = async || {
        let page = reqwest::get(format!("{}/metrics", stage.server.url())).await.expect("metrics").text().await.expect("text");
        move |name: &str| {
            let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{page}"));
            line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
        }
    };
    let state = |state: &str| format!("carillon_channel_state{{channel=\"apns\",state=\"{state}\"}}");
    let now = metrics().await;
    assert_eq!((now(&state("never_tried")), now(&state("up"))), (1.0, 0.0));
    assert_eq!(now("carillon_channel_alarms_raised_total{channel=\"apns\"}"), 0.0);
    stage.apple.set_mode(fakes::Mode::Closed);
    let urgent = json!({"title": "Hello", "body": "World", "users": ["ada@example.org"]});
    let id = stage.api.send(&urgent).await["id"].as_str().expect("an id").to_owned();
    eventually("the channel to be down", SOON, async || when(metrics().await(&state("down")) == 1.0)).await;
    let now = metrics().await;
    assert!(now("carillon_channel_strikes{channel=\"apns\"}") >= 3.0);
    assert_eq!(now("carillon_channel_last_success_timestamp_seconds{channel=\"apns\"}"), 0.0);
    stage.apple.set_mode(fakes::Mode::Ok);
    stage.api.done_within(&id, Duration::from_secs(60)).await;
    let now = metrics().await;
    assert_eq!((now(&state("up")), now(&state("down")), now("carillon_channel_strikes{channel=\"apns\"}")), (1.0, 0.0, 0.0));
    let since = jiff::Timestamp::now().as_second() as f64 - now("carillon_channel_last_success_timestamp_seconds{channel=\"apns\"}");
    assert!((0.0..120.0).contains(&since), "{since}");
    assert_eq!(now("carillon_channel_alarms_raised_total{channel=\"apns\"}"), 1.0);
}
