//! `carillon why`: the decision tree of one person and one event: per channel and device the verdict, the rule that
//! decided, what the other rules say, and what became of the delivery.

use super::client::Client;
use super::connect::Connection;
use super::output::{Out, Tone, cell, field, text};
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use serde_json::Value;

const EXAMPLES: &str = "\
Examples:
  carillon why 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11 ada@example.org
  carillon why 0193b3f0-6a51-7cc0-8000-2f1e5d8b0c11 p-017 --json
  carillon why last ada@example.org --facts";

/// Say why a person got a notification, or did not: each channel and device with its verdict and the rule that decided.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Why {
    /// The event's id, or the notification's; last: the newest notification
    event: String,
    /// The person: id, external id or UPN
    person: String,
    /// Also show the facts that each decision was made from, and the rules that do not object
    #[arg(long)]
    facts: bool,
    #[command(flatten)]
    connection: Connection,
}

pub async fn command(args: Why, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    let person = [("person", args.person.as_str())];
    let event = if args.event == "last" { newest(&client).await? } else { args.event };
    let why = match client.get(&["events", &event, "why"], &person).await {
        Err(refused) if refused.exit == Exit::NotFound => {
            // It may be the id of a notification whose event bears another.
            let of = client.get(&["notifications", &event], &[]).await.ok().map(|n| text(&n, "eventId").to_owned());
            match of.filter(|id| !id.is_empty() && *id != event) {
                Some(event) => client.get(&["events", &event, "why"], &person).await,
                None => Err::<Value, Trouble>(refused),
            }
        }
        other => other,
    }?;
    out.say(&why, || tree(out, &why, args.facts));
    Ok(Exit::Done)
}

async fn newest(client: &Client) -> Result<String> {
    let page = client.list(&["notifications"], &[], 1, None).await?;
    let newest = page.items.first().map(|n| text(n, "eventId").to_owned());
    newest.ok_or_else(|| Trouble::new(Exit::NotFound, "not_found", "no notification was sent yet"))
}

/// The whole explanation, for people.
fn tree(out: &Out, why: &Value, facts: bool) -> String {
    let (event, person) = (&why["event"], &why["person"]);
    let title = match text(event, "title") {
        "" => text(event, "kind").to_owned(),
        title => format!("{} ({})", cell(&title.into()), text(event, "kind")),
    };
    let who = match text(person, "upn") {
        "" => field(person, "displayName"),
        upn => format!("{} <{upn}>", field(person, "displayName")),
    };
    let place = if why["inAudience"].as_bool().unwrap_or(false) { "in the audience" } else { "not in the audience" };
    let mut lines = vec![
        format!("{}, accepted {}, {}", out.paint(Tone::Strong, title), field(event, "createdAt"), field(event, "state")),
        format!("{}: {place}", out.paint(Tone::Strong, who)),
    ];
    for gap in why["gaps"].as_array().into_iter().flatten() {
        let (from, until) = (field(gap, "from"), field(gap, "until"));
        let then = match (gap["filled"]["calls"].as_u64(), gap["filled"]["unknown"].as_u64()) {
            (Some(calls), Some(0)) => format!("its call records name {calls} calls then"),
            (Some(calls), Some(unknown)) => {
                format!("its call records name {calls} calls then, and {unknown} of which nobody knows what became")
            }
            _ => "calls then are not known".to_owned(),
        };
        lines.push(format!("Nothing was heard of {} from {from} until {until}: {then}.", field(gap, "integration")));
    }
    let decisions = why["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (n, decision) in decisions.iter().enumerate() {
        let last = n + 1 == decisions.len();
        let (corner, stem) = if last { ("└─", "  ") } else { ("├─", "│ ") };
        lines.push(format!("{corner} {}", heading(out, decision)));
        lines.extend(branch(out, decision, facts).into_iter().map(|line| format!("{stem} {line}")));
    }
    lines.join("\n")
}

fn heading(out: &Out, decision: &Value) -> String {
    let mut parts = vec![match text(decision, "channel") {
        "" => "every channel".to_owned(),
        channel => out.paint(Tone::Strong, channel),
    }];
    if let Some(device) = decision["device"].as_object() {
        let name = device.get("name").map(cell).unwrap_or_default();
        parts.push(format!("{name} ({})", device.get("platform").map(cell).unwrap_or_default()));
    }
    if !text(decision, "address").is_empty() {
        parts.push(out.paint(Tone::Faint, field(decision, "address")));
    }
    parts.join("  ")
}

fn tone(verdict: &str) -> Tone {
    match verdict {
        "deliver" => Tone::Good,
        "hold" => Tone::Waiting,
        _ => Tone::Bad,
    }
}

/// `suppress  permission_granted says permission_denied: the device does not let the app notify`.
fn ruling(out: &Out, decision: &Value) -> String {
    let verdict = text(decision, "verdict");
    let word = out.paint(tone(verdict), verdict);
    let (code, reason) = (text(decision, "reasonCode"), field(decision, "reason"));
    if code.is_empty() || code == "none" {
        return format!("{word}  no rule objects");
    }
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let until = match text(decision, "until") {
        "" => String::new(),
        until => format!(" (until {until})"),
    };
    format!("{word}  {} says {code}{reason}{until}", text(decision, "rule"))
}

fn branch(out: &Out, decision: &Value, facts: bool) -> Vec<String> {
    let mut lines = vec![ruling(out, decision)];
    // A delivery that the ruling ended says nothing new.
    let ended_by_ruling = |d: &&Value| text(d, "state") == "suppressed" && d["reasonCode"] == decision["reasonCode"];
    if let Some(delivery) = decision.get("delivery").filter(|d| d.is_object() && !ended_by_ruling(d)) {
        lines.extend(delivery_lines(out, delivery));
    }
    let others: Vec<&Value> = decision["others"].as_array().into_iter().flatten().collect();
    let objects = |other: &&&Value| !matches!(text(other, "verdict"), "deliver" | "");
    for other in others.iter().filter(objects) {
        lines.push(format!("{} {}", out.paint(Tone::Faint, "would also:"), ruling(out, other)));
    }
    let silent: Vec<&str> = others.iter().filter(|o| !objects(o)).map(|o| text(o, "rule")).collect();
    if facts && !silent.is_empty() {
        lines.push(out.paint(Tone::Faint, format!("do not object: {}", silent.join(", "))));
    }
    if facts && !decision["facts"].is_null() {
        lines.push(
            out.paint(Tone::Faint, format!("facts: {}; policy version {}", cell(&decision["facts"]), cell(&decision["policyVersion"]))),
        );
    }
    lines
}

fn delivery_lines(out: &Out, delivery: &Value) -> Vec<String> {
    let state = text(delivery, "state");
    let tone = match state {
        "accepted" => Tone::Good,
        "scheduled" | "held" => Tone::Waiting,
        "suppressed" | "cancelled" => Tone::Faint,
        _ => Tone::Bad,
    };
    let mut line = format!("delivery {}", out.paint(tone, state));
    let code = text(delivery, "reasonCode");
    if !code.is_empty() && code != "none" {
        line.push_str(&format!(" because of {code}"));
    }
    if matches!(state, "scheduled" | "held") && !text(delivery, "due").is_empty() {
        line.push_str(&format!(", due {}", field(delivery, "due")));
    }
    let mut lines = vec![line];
    for attempt in delivery["attempts"].as_array().into_iter().flatten() {
        let said = [field(attempt, "outcome"), field(attempt, "code"), field(attempt, "status")];
        let said: Vec<String> = said.into_iter().filter(|s| !s.is_empty() && s != "0").collect();
        lines.push(format!("  attempt {} at {}: {}", cell(&attempt["number"]), field(attempt, "at"), said.join(" ")));
    }
    for receipt in delivery["receipts"].as_array().into_iter().flatten() {
        lines.push(format!("  {} at {}", out.paint(Tone::Good, field(receipt, "kind")), field(receipt, "at")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_tree_shows_verdict_rule_attempts_receipts_and_the_other_rules() {
        let why = json!({
        "event": {"id": "e", "kind": "custom.notification", "createdAt": "2026-11-20T09:00:00.000Z", "state": "sending", "title": "Fire drill"},
        "person": {"id": "p", "upn": "ada@example.org", "displayName": "Ada"}, "inAudience": true,
        "decisions": [
            {"channel": "apns", "device": {"id": "d", "name": "Ada's iPhone", "platform": "ios"}, "address": "0aff0011…", "verdict": "deliver",
             "rule": "default", "reasonCode": null, "reason": null, "others": [{"rule": "active", "verdict": "deliver"}, {"rule": "enrolment", "verdict": "deliver"}],
             "facts": ["active"], "policyVersion": 3,
             "delivery": {"state": "accepted", "attempts": [{"number": 1, "at": "09:00:01", "outcome": "accepted", "code": "", "status": 200}],
                          "receipts": [{"kind": "shown", "at": "09:00:02"}]}},
            {"channel": "email", "device": null, "address": null, "verdict": "suppress", "rule": "address", "reasonCode": "email_not_needed",
             "reason": "a push goes", "others": [{"rule": "preference", "verdict": "suppress", "reasonCode": "preference_off", "reason": "turned off"}]},
        ]});
        let said = tree(&Out::plain(), &why, true);
        let expected = "\
Fire drill (custom.notification), accepted 2026-11-20T09:00:00.000Z, sending
Ada <ada@example.org>: in the audience
├─ apns  Ada's iPhone (ios)  0aff0011…
│  deliver  no rule objects
│  delivery accepted
│    attempt 1 at 09:00:01: accepted 200
│    shown at 09:00:02
│  do not object: active, enrolment
│  facts: active; policy version 3
└─ email
   suppress  address says email_not_needed: a push goes
   would also: suppress  preference says preference_off: turned off";
        assert_eq!(said, expected);
    }

    #[test]
    fn somebody_outside_the_audience_has_one_line() {
        let why = json!({"event": {"kind": "custom.notification", "createdAt": "t", "state": "done"}, "person": {"displayName": "Ada"}, "inAudience": false,
            "decisions": [{"channel": null, "verdict": "suppress", "rule": "audience", "reasonCode": "not_in_audience", "reason": "was never in it", "others": []}]});
        let said = tree(&Out::plain(), &why, false);
        assert!(
            said.ends_with("Ada: not in the audience\n└─ every channel\n   suppress  audience says not_in_audience: was never in it"),
            "{said}"
        );
    }
}
