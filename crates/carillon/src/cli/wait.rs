//! Follows a notification until nothing more will happen within a minute, with a live bar on a terminal.
//!
//! The server is polled: at once, then every 200 ms, slowing to every second. It ends when every delivery is final,
//! when what is left is held for longer than a minute, or when the notification itself is scheduled that far ahead.

use super::client::Client;
use super::notification::{counts_line, summary};
use super::output::{Out, Tone, field, number, text};
use super::trouble::Result;
use crate::exit::Exit;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::Timestamp;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What is held for longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// First and longest pause between two polls.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// How long a server that restarts is waited for.
const AWAY: Duration = Duration::from_secs(30);
/// Failed deliveries that are named.
const NAMED: usize = 10;

/// Why the waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Every delivery is final.
    Final,
    /// The rest is held for longer than a minute.
    Held,
    /// It is due in more than a minute.
    Scheduled,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            End::Final => "final",
            End::Held => "held",
            End::Scheduled => "scheduled",
        }
    }
}

/// Follows `notification` and prints what became of it.
///
/// # Errors
/// When the server refuses or is gone.
pub async fn follow_and_print(client: &Client, out: &Out, notification: Value, exit_status: bool) -> Result<Exit> {
    let began = Instant::now();
    let (mut last, end) = follow(client, notification).await?;
    let id = text(&last, "id").to_owned();
    let our_fault = match number(&last["counts"], "held") {
        0 => 0,
        _ => client
            .list(&["notifications", &id, "deliveries"], &[("state", "held"), ("reason", "our_fault")], NAMED, None)
            .await?
            .items
            .len(),
    };
    let failed = failures(&last["counts"]);
    last["wait"] = json!({ "ended": end.word(), "failed": failed, "held": number(&last["counts"], "held"), "ourFault": our_fault });
    if out.json {
        out.object(&last);
    } else {
        out.line(format!("\n{}", ending(out, &last, end, began.elapsed())));
        name_failures(client, out, &id, failed, our_fault).await?;
    }
    let fine = !exit_status || (failed == 0 && our_fault == 0);
    Ok(if fine { Exit::Done } else { Exit::Failed })
}

fn failures(counts: &Value) -> u64 {
    ["rejected", "gone", "expired"].iter().map(|state| number(counts, state)).sum()
}

async fn follow(client: &Client, mut notification: Value) -> Result<(Value, End)> {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:28} {pos}/{len}  {wide_msg}").expect("the template is well formed");
    bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    let id = text(&notification, "id").to_owned();
    let mut pause = PAUSES.0;
    loop {
        show(&bar, &notification);
        if let Some(end) = ended(client, &notification).await? {
            bar.finish_and_clear();
            return Ok((notification, end));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(PAUSES.1);
        notification = get_patiently(client, &id).await?;
    }
}

/// Asks for the notification; a server that restarts meanwhile gets some time.
async fn get_patiently(client: &Client, id: &str) -> Result<Value> {
    let began = Instant::now();
    loop {
        match client.get(&["notifications", id], &[]).await {
            Err(away) if away.exit == Exit::Unavailable && began.elapsed() < AWAY => tokio::time::sleep(PAUSES.1).await,
            other => return other,
        }
    }
}

fn show(bar: &ProgressBar, notification: &Value) {
    let counts = &notification["counts"];
    let waiting = number(counts, "scheduled") + number(counts, "held");
    let deliveries = number(counts, "deliveries");
    bar.set_length(deliveries);
    bar.set_position(deliveries.saturating_sub(waiting));
    bar.set_message(counts_line(counts));
}

/// Whether, and why, there is nothing to wait for.
async fn ended(client: &Client, notification: &Value) -> Result<Option<End>> {
    let now = now();
    match text(notification, "state") {
        "done" | "cancelled" => Ok(Some(End::Final)),
        "scheduled" => {
            let due = Timestamp::parse(text(notification, "dueAt")).unwrap_or(now);
            Ok((due > now.plus(PATIENCE)).then_some(End::Scheduled))
        }
        "sending" if number(&notification["counts"], "scheduled") == 0 => {
            let held = number(&notification["counts"], "held") > 0 && all_held_for_long(client, text(notification, "id"), now).await?;
            Ok(held.then_some(End::Held))
        }
        _ => Ok(None),
    }
}

/// Looks through what is held until something is due within the minute.
async fn all_held_for_long(client: &Client, id: &str, now: Timestamp) -> Result<bool> {
    let mut cursor = None;
    loop {
        let page = client.list(&["notifications", id, "deliveries"], &[("state", "held")], 500, cursor.as_deref()).await?;
        let long = |row: &Value| Timestamp::parse(text(row, "due")).is_ok_and(|due| due > now.plus(PATIENCE));
        if !page.items.iter().all(long) {
            return Ok(false);
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(!page.items.is_empty() || cursor.is_some()),
        }
    }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

fn ending(out: &Out, notification: &Value, end: End, took: Duration) -> String {
    let counts = &notification["counts"];
    let line = counts_line(counts);
    let deliveries = number(counts, "deliveries");
    let took = took.as_secs_f64();
    match end {
        End::Final if text(notification, "state") == "cancelled" => out.paint(Tone::Waiting, format!("Cancelled. {line}")),
        End::Final if failures(counts) > 0 => {
            format!("{} {line}", out.paint(Tone::Bad, format!("All {deliveries} deliveries are final after {took:.1} s:")))
        }
        End::Final => format!("{} {line}", out.paint(Tone::Good, format!("All {deliveries} deliveries are final after {took:.1} s:"))),
        End::Held => {
            let said = out.paint(Tone::Waiting, format!("After {took:.1} s only held deliveries are left, none due within a minute:"));
            format!("{said} {line}")
        }
        End::Scheduled => format!(
            "{}\n{}",
            out.paint(Tone::Waiting, format!("Scheduled for {}.", field(notification, "dueAt"))),
            summary(out, notification)
        ),
    }
}

async fn name_failures(client: &Client, out: &Out, id: &str, failed: u64, our_fault: usize) -> Result<()> {
    if failed == 0 && our_fault == 0 {
        return Ok(());
    }
    let mut rows = Vec::new();
    for query in
        [&[("state", "rejected")][..], &[("state", "gone")], &[("state", "expired")], &[("state", "held"), ("reason", "our_fault")]]
    {
        if rows.len() < NAMED {
            rows.extend(client.list(&["notifications", id, "deliveries"], query, NAMED - rows.len(), None).await?.items);
        }
    }
    let columns = ["upn", "channel", "deviceName", "state", "reasonCode"];
    out.line(out.table(
        &["person", "channel", "device", "state", "reason"],
        rows.iter().map(|row| columns.iter().map(|c| field(row, c)).collect()),
    ));
    if failed > rows.len() as u64 {
        out.line(format!("… and {} more: carillon notification show {id} --deliveries --state rejected", failed - rows.len() as u64));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::canned::{Answer, Canned};

    fn client() -> Client {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Client::new("http://127.0.0.1:9", None).expect("a client that is not asked anything")
    }

    #[tokio::test]
    async fn it_ends_when_all_is_final_or_scheduled_far_ahead() {
        let client = client();
        let far = now().plus(Duration::from_secs(90)).to_string();
        let near = now().plus(Duration::from_secs(5)).to_string();
        let table = [
            (json!({"state": "done"}), Some(End::Final)),
            (json!({"state": "cancelled"}), Some(End::Final)),
            (json!({"state": "accepted", "counts": {}}), None),
            (json!({"state": "sending", "counts": {"scheduled": 1, "held": 0}}), None),
            (json!({"state": "sending", "counts": {"scheduled": 0, "held": 0}}), None),
            (json!({"state": "scheduled", "dueAt": far}), Some(End::Scheduled)),
            (json!({"state": "scheduled", "dueAt": near}), None),
        ];
        for (notification, end) in table {
            assert_eq!(ended(&client, &notification).await, Ok(end), "{notification}");
        }
    }

    #[test]
    fn failures_are_what_was_meant_to_go_and_did_not() {
        assert_eq!(failures(&json!({"accepted": 9, "suppressed": 4, "rejected": 1, "gone": 2, "expired": 3, "cancelled": 5})), 6);
    }

    fn notification(state: &str, counts: Value) -> Value {
        json!({ "id": "n", "state": state, "counts": counts })
    }

    #[tokio::test]
    async fn it_follows_to_the_end_and_the_exit_status_tells_of_failures() {
        let server = Canned::start(|n, request| {
            if request.contains("/deliveries") {
                return Answer::Json(200, json!({"items": [{"upn": "ada@example.org", "state": "gone"}], "nextCursor": null}));
            }
            let counts = json!({"deliveries": 3, "accepted": 2, "gone": 1});
            Answer::Json(
                200,
                if n < 2 { notification("sending", json!({"deliveries": 3, "scheduled": 3 - n})) } else { notification("done", counts) },
            )
        })
        .await;
        let first = notification("accepted", json!({}));
        assert_eq!(follow_and_print(&server.client(), &Out::plain(), first.clone(), true).await, Ok(Exit::Failed));
        assert!(server.asked()[0].starts_with("GET /api/v1/notifications/n "));
        assert_eq!(follow_and_print(&server.client(), &Out::plain(), first, false).await, Ok(Exit::Done));
    }

    #[tokio::test]
    async fn what_is_held_for_longer_than_a_minute_is_not_waited_for_unless_something_is_due_sooner() {
        let server = Canned::start(|n, request| {
            if !request.contains("/deliveries") {
                return Answer::Json(200, notification("sending", json!({"deliveries": 2, "held": 2})));
            }
            let soon = now().plus(Duration::from_secs(if n < 3 { 10 } else { 700 })).to_string();
            let late = now().plus(Duration::from_secs(900)).to_string();
            Answer::Json(200, json!({"items": if request.contains("our_fault") { json!([]) } else { json!([{"due": late}, {"due": soon}]) }, "nextCursor": null}))
        })
        .await;
        let first = notification("sending", json!({"deliveries": 2, "held": 2}));
        let (last, end) = follow(&server.client(), first).await.expect("an end");
        assert_eq!((end, number(&last["counts"], "held")), (End::Held, 2));
        assert!(server.asked().len() >= 4, "it looked again while something was due soon");
    }

    #[tokio::test]
    async fn a_delivery_that_waits_for_our_fault_fails_the_exit_status() {
        let server = Canned::start(|_, _| {
            Answer::Json(200, json!({"items": [{"due": now().plus(Duration::from_secs(300)).to_string(), "reasonCode": "our_fault"}], "nextCursor": null}))
        })
        .await;
        let held = notification("sending", json!({"deliveries": 1, "held": 1}));
        assert_eq!(follow_and_print(&server.client(), &Out::plain(), held, true).await, Ok(Exit::Failed));
    }
}
