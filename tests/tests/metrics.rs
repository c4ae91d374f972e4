//! The metrics: each is in the manual and each of the manual is there; Prometheus' own tool finds nothing to complain about;
//! labels are words of closed lists; what waits, why, and what became of it can be read.

use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use stories::{App, Org, SOON, Stage, eventually};

const MANUAL: &str = include_str!("../../docs/src/operator/metrics.md");
/// Only where an Asterisk is configured, where processes share the store, and with a certificate.
const ELSEWHERE: [&str; 7] = [
    "carillon_asterisk_connected",
    "carillon_asterisk_legs_total",
    "carillon_asterisk_waiting",
    "carillon_beat_timestamp_seconds",
    "carillon_tls_certificate_expiry_timestamp_seconds",
    "carillon_tls_handshake_failures_total",
    "carillon_tls_reloads_total",
];
/// Only after something that does not happen here.
const UNTOUCHED: [&str; 2] = ["carillon_alarm", "carillon_connections_refused_total"];

async fn read(stage: &Stage) -> String {
    stage.api.page("/metrics").await.fine().as_str().expect("text").to_owned()
}

/// The value of one series, by its name and labels as they are written.
fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn names(metrics: &str) -> BTreeSet<String> {
    metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned)).collect()
}

fn documented() -> BTreeSet<String> {
    let rows = MANUAL.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let plain = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    rows.filter(|name| name.starts_with("carillon_") || name.starts_with("process_")).filter(plain).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_in_the_manual_and_every_one_of_the_manual_is_there() {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.person("ada").iphone("ada-phone", "ada").person("bob");
    org.group("all", &["user:ada", "user:bob"]).import(&stage.api).await;
    let app = App::enrol(&stage.api, "ada@example.org", "ada-pad", "ipados").await;
    let mut stream = app.stream(None).await;
    let id = stage.api.tell("all", "A title").await;
    stream.event("notification", SOON).await;
    app.receipt(&id, "received").await;
    stage.api.done(&id).await;
    let later =
        json!({"title": "Later", "body": "b", "groups": ["all"], "sendAt": stories::time_in(std::time::Duration::from_secs(3_600))});
    stage.api.post("notifications", &later).await;
    stage.api.page("/nothing/here/42").await;

    let metrics = eventually("the gauges of the store", SOON, async || {
        let metrics = read(&stage).await;
        let sent = value(&metrics, "carillon_deliveries_settled_total{channel=\"apns\",state=\"accepted\",reason=\"none\"}").is_some();
        (sent && metrics.contains("carillon_segments{") && metrics.contains("carillon_deliveries_open{")).then_some(metrics)
    });
    // A delivery that waits is shown when the store is looked at while it waits; the alarm's story shows that.
    let metrics = match tokio::time::timeout(std::time::Duration::from_secs(5), metrics).await {
        Ok(metrics) => metrics,
        Err(_) => read(&stage).await,
    };
    let (there, known) = (names(&metrics), documented());
    let unknown: Vec<_> = there.difference(&known).collect();
    assert!(unknown.is_empty(), "not in the manual: {unknown:?}");
    let optional: BTreeSet<&str> = ELSEWHERE.into_iter().chain(UNTOUCHED).chain(["carillon_deliveries_open"]).collect();
    let missing: Vec<_> = known.difference(&there).filter(|name| !optional.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "in the manual and not there: {missing:?}");
    assert_eq!(value(&metrics, "carillon_store_up"), Some(1.0));
    assert_eq!(value(&metrics, "carillon_attempts_total{channel=\"apns\",outcome=\"accepted\"}"), Some(1.0));
    assert!(value(&metrics, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6));
    let started = value(&metrics, "process_start_time_seconds").expect("a start");
    assert!((jiff::Timestamp::now().as_second() as f64 - started).abs() < 300.0, "{started}");
    bounded(&metrics, &id);
    promtool(&metrics);
}

/// No label holds an id, and paths that nobody knows are one series.
fn bounded(metrics: &str, id: &str) {
    assert!(!metrics.contains(id) && !metrics.contains("nothing/here"), "an id or a stranger's path is a label");
    assert!(metrics.contains("route=\"unmatched\"") && metrics.contains("route=\"/api/v1/notifications/{id}\""));
    let mut series: BTreeMap<&str, u32> = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        *series.entry(line.split(['{', ' ']).next().unwrap_or("")).or_default() += 1;
    }
    let most = series.iter().max_by_key(|(_, count)| **count).expect("series");
    assert!(*most.1 < 2_000, "{most:?}");
    for label in ["upn", "user", "device", "token", "event", "person", "address"] {
        assert!(!metrics.contains(&format!("{label}=\"")), "{label} is a label");
    }
}

/// Prometheus' own tool: Debian's package prometheus has it.
fn promtool(metrics: &str) {
    let program = std::env::var_os("PROMTOOL_BIN").unwrap_or_else(|| "promtool".into());
    let child =
        Command::new(program).args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        println!("SKIPPED: promtool check metrics (promtool is not installed)");
        return;
    };
    child.stdin.take().expect("a pipe").write_all(metrics.as_bytes()).expect("it reads");
    let said = child.wait_with_output().expect("it ends");
    let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.trim().is_empty(), "promtool: {words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_and_why_can_be_read_and_so_can_the_alarm() {
    let stage = Stage::with(|scene| scene.wrong_key = Some(fakes::apple::Key::generate("STORYKEY01", "STORYTEAM1"))).await;
    Org::new().person("ada").iphone("ada-phone", "ada").group("all", &["user:ada"]).import(&stage.api).await;
    stage.api.tell("all", "A title").await;
    let waits = "carillon_deliveries_open{channel=\"apns\",state=\"held\",reason=\"our_fault\"}";
    eventually("the delivery that waits and the alarm", SOON, async || {
        let metrics = read(&stage).await;
        let alarm = value(&metrics, "carillon_alarm{code=\"apns_our_fault\"}") == Some(1.0);
        let segment = value(&metrics, "carillon_segments{channel=\"apns\",lane=\"urgent\",state=\"waiting\"}") == Some(1.0);
        let attempt = value(&metrics, "carillon_attempts_total{channel=\"apns\",outcome=\"our_fault\"}").is_some_and(|n| n >= 1.0);
        (value(&metrics, waits) == Some(1.0) && alarm && segment && attempt).then_some(())
    })
    .await;
}
