//! The nested audience (row 9): acceptances to the outermost of ten thousand groups, due in an hour and cancelled at
//! once, timed by the server's own metric of resolving alone.

use super::Bench;
use super::throughput::size;
use crate::campaign::{Text, send};
use crate::clock::unix_micros;
use crate::directory::{EVERYONE, Reached, Shape};
use crate::measures::{Measure, ask};
use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::json;

/// The metric.
const METRIC: &str = "carillon_resolve_seconds";
/// How far ahead the notifications are due, in microseconds: none of them may go out.
const AHEAD_MICROS: u64 = 3_600_000_000;

/// Row 9.
pub fn nested(bench: &mut Bench) -> Result<Vec<Measure>> {
    let shape = Shape { people: bench.options.sizes.large, nested: true, by: Reached::Apple };
    let mut server = bench.server(shape.people)?;
    let due = Timestamp::from_microsecond(i64::try_from(unix_micros() + AHEAD_MICROS)?)?;
    let text = Text::single();
    let draft = json!({"title": text.title, "body": text.body, "groups": [EVERYONE], "at": format!("{due:.3}")});
    let mut spans = Vec::new();
    let mut before = (0.0, 0.0);
    // The series is not there before its first sample.
    if let Ok(there) = server.histogram(METRIC) {
        before = there;
    }
    for _ in 0..bench.options.sizes.resolutions {
        let accepted = send(&mut server.api, &draft)?;
        let view = server.api.get(&format!("/api/v1/notifications/{}", accepted.id))?;
        let recipients = view["counts"]["recipients"].as_u64().context("the notification counts no recipients")?;
        ensure!(recipients == u64::from(shape.people), "{recipients} of {} people are in the audience", shape.people);
        server.api.post(&format!("/api/v1/notifications/{}/cancel", accepted.id), &json!({}))?;
        let (sum, count) = server.histogram(METRIC)?;
        ensure!(count > before.1, "{METRIC} did not count the resolution");
        spans.push((sum - before.0) * 1e3 / (count - before.1));
        before = (sum, count);
    }
    server.stop()?;
    let what = format!(
        "nested audience, {} people, {} groups, {} memberships, de-duplicated",
        size(shape.people),
        size(shape.groups()),
        shape.memberships()
    );
    Ok(vec![ask("9", what, "ms").at_most(40.0, 10.0).median(&spans)])
}
