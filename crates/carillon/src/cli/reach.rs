//! `carillon reach`: whom a notification would reach, by which channel, and whom not and why. Nothing is sent.

use super::audience::{self, Addressed, Manner};
use super::client::Page;
use super::connect::Connection;
use super::listing::{self, Portion};
use super::output::{Out, Tone, cell, counted, number};
use super::report;
use super::trouble::Result;
use crate::exit::Exit;
use model::Locale;
use model::decision::Reason;
use serde_json::Value;

const EXAMPLES: &str = "\
Examples:
  carillon reach --group \"All staff\"
  carillon reach --group Lyon --group Paris --list reason:permission_denied --all
  carillon reach --user ada@example.org --title Hello --body World --json
  carillon reach --group Lyon --list inbox-only
  carillon reach --of last                             after a send: forecast beside outcome";

/// Say whom a notification would reach, and whom not and why, without sending it. Takes the arguments of `send`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Reach {
    #[command(flatten)]
    addressed: Addressed,
    /// Title: 1 to 50 characters
    #[arg(short, long)]
    title: Option<String>,
    /// Text: 1 to 500 characters; - reads it from standard input
    #[arg(short, long)]
    body: Option<String>,
    #[command(flatten)]
    manner: Manner,
    /// Instead: whom a notification that was sent was to reach, and whom it did: its id, or last for the newest
    #[arg(long, value_name = "ID", group = "addressed", conflicts_with_all = ["groups", "users", "devices", "list"])]
    of: Option<String>,
    /// Also list people: reason:CODE, channel:KIND, inbox-only or unreachable
    #[arg(long, value_name = "WHOM", value_parser = parse_list)]
    list: Option<String>,
    #[command(flatten)]
    portion: Portion,
    #[command(flatten)]
    connection: Connection,
}

/// Accepts the four forms and writes them as the API does.
fn parse_list(text: &str) -> std::result::Result<String, String> {
    match text.split_once(':') {
        Some(("reason", code)) if Reason::from_word(code).is_some() => Ok(text.to_owned()),
        Some(("reason", code)) => Err(format!("there is no reason code {code:?}; `carillon reach` without --list shows those that occur")),
        Some(("channel", kind)) if model::channel::ChannelKind::from_word(kind).is_some() => Ok(text.to_owned()),
        Some(("channel", kind)) => Err(format!("there is no channel {kind:?}; there are apns, fcm, wns, webpush, email, inbox")),
        None if matches!(text, "inbox-only" | "inboxOnly") => Ok("inboxOnly".into()),
        None if text == "unreachable" => Ok(text.to_owned()),
        _ => Err("takes reason:CODE, channel:KIND, inbox-only or unreachable".into()),
    }
}

pub async fn command(args: Reach, out: &Out) -> Result<Exit> {
    let client = args.connection.client()?;
    if let Some(id) = &args.of {
        let id = report::id_of(&client, id).await?;
        let sent = client.get(&["notifications", &id, "report"], &[]).await?;
        out.say(&sent, || report::beside(out, &sent));
        return Ok(Exit::Done);
    }
    let body = audience::request(&args.addressed, &args.manner, args.title.as_deref(), args.body.as_deref())?;
    let Some(list) = &args.list else {
        let reach = client.reckon(&["notifications", "reach"], &[], &body).await?;
        out.say(&reach, || shown(out, &reach));
        return Ok(Exit::Done);
    };
    let want = if args.portion.all { usize::MAX } else { args.portion.limit };
    let mut page = Page { items: Vec::new(), next: args.portion.cursor.clone() };
    let mut reach = Value::Null;
    while reach.is_null() || (page.next.is_some() && page.items.len() < want) {
        let limit = (want - page.items.len()).min(500).to_string();
        let mut query = vec![("list", list.as_str()), ("limit", &limit)];
        if let Some(cursor) = &page.next {
            query.push(("cursor", cursor));
        }
        reach = client.reckon(&["notifications", "reach"], &query, &body).await?;
        let more = Page::of_answer(reach.clone());
        page.items.extend(more.items);
        page.next = more.next;
    }
    if out.json {
        reach["items"] = Value::Array(page.items);
        reach["nextCursor"] = serde_json::json!(page.next);
        out.object(&reach);
        return Ok(Exit::Done);
    }
    out.line(shown(out, &reach));
    out.line("");
    listing::print(out, &page, &["upn", "displayName", "deviceName", "channel", "reasonCode"], "Nobody.")
}

fn shown(out: &Out, reach: &Value) -> String {
    let people = counted(number(reach, "people"), "person", "people");
    let devices = counted(number(reach, "devices"), "device", "devices");
    let mut lines = vec![out.paint(Tone::Strong, format!("{people}, {devices}"))];
    let channels = reach["byChannel"].as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = channels.map(|(channel, n)| vec![channel.clone(), cell(&n["people"]), cell(&n["deliveries"])]).collect();
    lines.push(out.table(&["channel", "people", "deliveries"], rows));
    lines.push(format!("\nBy inbox only: {}   not at all: {}", cell(&reach["inboxOnly"]), cell(&reach["unreachable"])));
    let reasons: Vec<Vec<String>> = reach["byReason"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(code, n)| {
            let meaning = Reason::from_word(code).map_or("", |r| r.sentence(Locale::En));
            vec![code.clone(), cell(&n["people"]), cell(&n["rows"]), meaning.to_owned()]
        })
        .collect();
    if !reasons.is_empty() {
        lines.push(String::new());
        lines.push(out.table(&["not pushed or mailed because", "people", "rows", "meaning"], reasons));
    }
    for warning in reach["warnings"].as_array().into_iter().flatten() {
        lines.push(format!("{} {}", out.paint(Tone::Waiting, "note:"), cell(warning)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_named_in_one_of_four_forms() {
        assert_eq!(parse_list("reason:no_device"), Ok("reason:no_device".into()));
        assert_eq!(parse_list("inbox-only"), Ok("inboxOnly".into()));
        assert_eq!(parse_list("channel:apns"), Ok("channel:apns".into()));
        for wrong in ["reason:nonsense", "channel:pigeon", "all", ""] {
            assert!(parse_list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_report_names_channels_and_reasons() {
        let reach = json!({"people": 60, "devices": 1, "byChannel": {"apns": {"people": 20, "deliveries": 31}, "inbox": {"people": 60}},
            "byReason": {"no_device": {"people": 3, "rows": 3}}, "inboxOnly": 4, "unreachable": 0});
        let text = shown(&Out::plain(), &reach);
        assert!(text.starts_with("60 people, 1 device\n"), "{text}");
        assert!(text.contains("apns") && text.contains("31") && text.contains("By inbox only: 4"), "{text}");
        assert!(text.contains(Reason::NoDevice.sentence(Locale::En)), "{text}");
    }
}
