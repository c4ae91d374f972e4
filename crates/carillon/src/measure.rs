//! The metrics of the process: the recorder that collects what every room counts, what each metric means, and what the
//! operating system says of the process.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often samples of histograms are folded. A campaign takes a hundred thousand a second, and each waits in memory until then: folded
/// every five seconds they made a fifth of its peak.
const UPKEEP: Duration = Duration::from_millis(250);
/// Bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 14] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of the buckets of counts.
const ROWS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0];

/// The recorder of this process.
pub fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), &ROWS))
            .expect("the lists of buckets are not empty");
        let handle = builder.install_recorder().expect("no other recorder is installed in this process");
        describe();
        handle
    });
    handle.clone()
}

/// Folds the samples of histograms now and then: without it they pile up until somebody reads the metrics.
pub async fn keep_up(metrics: PrometheusHandle, stop: CancellationToken) {
    while tokio::time::timeout(UPKEEP, stop.cancelled()).await.is_err() {
        metrics.run_upkeep();
    }
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

use Kind::{Counter, Gauge, Histogram};

/// Every metric of this program, with what its help says. The manual's table (operator/metrics.md) has the same.
const METRICS: &[(&str, Kind, &str)] = &[
    ("carillon_accept_seconds", Histogram, "From the request to its durable acceptance"),
    ("carillon_alarm", Gauge, "1 while the alarm is open"),
    ("carillon_asterisk_connected", Gauge, "1 while this Asterisk is heard"),
    ("carillon_asterisk_legs_total", Counter, "Legs of calls that were handed on"),
    ("carillon_asterisk_waiting", Gauge, "What was heard of calls and is not handed on yet"),
    ("carillon_attempt_seconds", Histogram, "From handing a letter over to the other side's answer"),
    ("carillon_attempts_total", Counter, "Attempts by what came back"),
    ("carillon_beat_timestamp_seconds", Gauge, "When this process last told the others that it lives"),
    ("carillon_build_info", Gauge, "1, with the version, the kind of store and the version of its tables"),
    ("carillon_channel_alarms_raised_total", Counter, "Alarms raised about the channel"),
    ("carillon_channel_last_success_timestamp_seconds", Gauge, "When the provider last answered as it does when all is well"),
    ("carillon_channel_state", Gauge, "1 for the state that the channel is in"),
    ("carillon_channel_strikes", Gauge, "How often in a row the channel did not work"),
    ("carillon_claims_lost_total", Counter, "Claims that went to another process before they were settled"),
    ("carillon_connections_refused_total", Counter, "Connections that were closed to make room, or found no place"),
    ("carillon_deliveries_open", Gauge, "Deliveries that are not final, by why they wait"),
    ("carillon_deliveries_planned_total", Counter, "Deliveries by what the plan decided"),
    ("carillon_deliveries_settled_total", Counter, "Deliveries that became final after the plan"),
    ("carillon_events_accepted_total", Counter, "Events accepted"),
    ("carillon_events_open", Gauge, "Events that are not done"),
    ("carillon_http_connections", Gauge, "Open connections of clients"),
    ("carillon_http_request_seconds", Histogram, "Time to answer a request"),
    ("carillon_http_requests_total", Counter, "Requests answered"),
    ("carillon_nodes", Gauge, "Processes that share the store"),
    ("carillon_policy_version", Gauge, "Version of the settings in force"),
    ("carillon_receipts_total", Counter, "Receipts taken from devices"),
    ("carillon_resolve_seconds", Histogram, "Time to find everybody whom a group notification names"),
    ("carillon_segment_overdue_seconds", Gauge, "How long the earliest segment that is due has waited"),
    ("carillon_segments", Gauge, "Pages of deliveries that wait or are being worked on"),
    ("carillon_sending_allowed", Gauge, "1 while this process knows what the policy allows"),
    ("carillon_settle_batch_rows", Histogram, "Outcomes committed together"),
    ("carillon_store_bytes", Gauge, "What the store takes on disk"),
    ("carillon_store_log_bytes", Gauge, "What the write-ahead log of the embedded store takes of that"),
    ("carillon_store_up", Gauge, "1 while the store answers this process"),
    ("carillon_store_write_seconds", Histogram, "From asking for a change to its commit"),
    ("carillon_stream_items_total", Counter, "Inbox entries sent to open streams"),
    ("carillon_streams_open", Gauge, "Open inbox streams"),
    ("carillon_tls_certificate_expiry_timestamp_seconds", Gauge, "When the listener's certificate runs out"),
    ("carillon_tls_handshake_failures_total", Counter, "TLS handshakes of clients that failed"),
    ("carillon_tls_reloads_total", Counter, "Times the certificate was read again"),
    ("process_cpu_seconds_total", Counter, "Processor time of this process"),
    ("process_max_fds", Gauge, "Most descriptors that this process may have open"),
    ("process_open_fds", Gauge, "Descriptors that this process has open"),
    ("process_resident_memory_bytes", Gauge, "Memory that this process holds"),
    ("process_start_time_seconds", Gauge, "When this process began"),
    ("process_threads", Gauge, "Threads of this process"),
    ("process_virtual_memory_bytes", Gauge, "Addresses that this process has"),
];

fn describe() {
    for (name, kind, help) in METRICS {
        match kind {
            Counter => metrics::describe_counter!(*name, *help),
            Gauge => metrics::describe_gauge!(*name, *help),
            Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
    // What is counted rarely is there from the start, at 0: an alert on its rise needs that.
    for name in ["carillon_claims_lost_total", "carillon_receipts_total", "carillon_stream_items_total"] {
        metrics::counter!(name).increment(0);
    }
    metrics::gauge!("carillon_streams_open").set(0.0);
}

/// Says what runs here.
pub fn build(shared: bool) {
    let (store, schema) =
        if shared { ("postgres", store::postgres::Postgres::newest()) } else { ("sqlite", store::sqlite::Sqlite::newest()) };
    let version = env!("CARGO_PKG_VERSION");
    metrics::gauge!("carillon_build_info", "version" => version, "store" => store, "schema" => schema.to_string()).set(1.0);
}

/// Reads what the operating system says of this process; called before metrics are read. The names are those of Prometheus'
/// own client libraries.
#[cfg(target_os = "linux")]
pub fn process() {
    use procfs::{CurrentSI, WithCurrentSystemInfo};
    let Ok(me) = procfs::process::Process::myself() else { return };
    if let Ok(stat) = me.stat() {
        let ticks = procfs::ticks_per_second();
        metrics::counter!("process_cpu_seconds_total").absolute((stat.utime + stat.stime) / ticks);
        metrics::gauge!("process_resident_memory_bytes").set(stat.rss_bytes().get() as f64);
        metrics::gauge!("process_virtual_memory_bytes").set(stat.vsize as f64);
        metrics::gauge!("process_threads").set(stat.num_threads as f64);
        if let Ok(kernel) = procfs::KernelStats::current() {
            metrics::gauge!("process_start_time_seconds").set(kernel.btime as f64 + stat.starttime as f64 / ticks as f64);
        }
    }
    if let Ok(open) = me.fd_count() {
        metrics::gauge!("process_open_fds").set(open as f64);
    }
    if let Ok(limits) = me.limits()
        && let procfs::process::LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        metrics::gauge!("process_max_fds").set(most as f64);
    }
}

/// Elsewhere nothing is known.
#[cfg(not(target_os = "linux"))]
pub fn process() {}

#[cfg(test)]
mod tests {
    use super::*;

    const MANUAL: &str = include_str!("../../../docs/src/operator/metrics.md");

    const RULES: &str = include_str!("../../../packaging/prometheus/carillon.rules.yml");

    /// The alerts that an alarm of this code sets off, by the matchers of their expressions.
    fn alerts_on(code: &str) -> Vec<&'static str> {
        let mut name = "";
        let mut found = Vec::new();
        for line in RULES.lines().map(str::trim) {
            if let Some(alert) = line.strip_prefix("- alert: ") {
                name = alert;
            }
            let Some((_, matchers)) = line.split_once("carillon_alarm{") else { continue };
            let matchers = matchers.split('}').next().unwrap_or("");
            let holds = |matcher: &str| {
                let value = matcher.split('"').nth(1).unwrap_or("");
                // The only patterns are alternatives of words, some with a free beginning.
                let one = |pattern: &str| pattern.strip_prefix(".+").map_or(code == pattern, |end| code.ends_with(end));
                let any = value.split('|').any(one);
                if matcher.contains("!=") || matcher.contains("!~") { !any } else { any }
            };
            if matchers.split(',').all(holds) {
                found.push(name);
            }
        }
        found
    }

    #[test]
    fn each_alarm_has_one_alert_of_its_own_and_stands_in_the_manual() {
        for code in engine::alarms::codes() {
            let alerts = alerts_on(&code);
            assert!(alerts.len() == 1 && alerts != ["CarillonOtherAlarm"], "{code}: {alerts:?}");
            let of_channel = code.split_once('_').filter(|(channel, _)| model::ChannelKind::from_word(channel).is_some());
            let shown = of_channel.map_or(code.clone(), |(_, word)| format!("apns_{word}"));
            assert!(MANUAL.contains(&format!("| `{shown}`")), "{code} is not in the manual's table of alarms");
        }
        assert_eq!(alerts_on("something_new"), ["CarillonOtherAlarm"]);
    }

    #[test]
    fn the_rules_speak_of_metrics_that_there_are_and_the_manual_of_every_alert() {
        for word in RULES.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            let metric = word.trim_end_matches("_bucket");
            if metric.starts_with("carillon_") || metric.starts_with("process_") {
                assert!(METRICS.iter().any(|(name, _, _)| *name == metric), "{word} is no metric");
            }
        }
        let alerts: Vec<&str> = RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
        for alert in &alerts {
            assert!(MANUAL.contains(&format!("| `{alert}` |")), "{alert} is not in the manual");
        }
        let texts = |what: &str| RULES.lines().filter(|line| line.trim().starts_with(what)).count();
        assert_eq!((texts("summary:"), texts("description:"), texts("runbook:")), (alerts.len(), alerts.len(), alerts.len()));
        assert_eq!(MANUAL.lines().filter(|line| line.starts_with("| `Carillon")).count(), alerts.len());
    }

    /// Name and kind of every row of the manual's tables that names a metric.
    fn documented() -> Vec<(String, String)> {
        let rows = MANUAL.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.strip_suffix('`')?;
            let metric = name.starts_with("carillon_") || name.starts_with("process_");
            metric.then_some((name.to_owned(), cells.next()?.to_owned()))
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        rows
    }

    #[test]
    fn the_manual_names_every_metric_and_no_other() {
        let known: Vec<_> = METRICS.iter().map(|(name, kind, _)| ((*name).to_owned(), format!("{kind:?}").to_lowercase())).collect();
        assert!(known.is_sorted(), "the list is sorted, so that it can be read");
        assert_eq!(documented(), known);
    }
}
