//! `carillon notification report`, and `carillon reach --of`: what was forecast beside what became of it. Text is made here;
//! the other forms are the server's own.

use super::client::Client;
use super::output::{Out, Tone, cell, counted, field, number, text};
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use model::Locale;
use model::decision::Reason;
use reqwest::Method;
use reqwest::header::ACCEPT_LANGUAGE;
use serde_json::{Value, json};
use std::io::Write;

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines and tables
    Text,
    /// One line for each channel, state and reason
    Csv,
    /// The object of the API
    Json,
    /// A page for browsers and paper, which needs nothing else
    Html,
}

/// How a report is shown.
#[derive(Clone, Debug, clap::Args)]
pub struct Form {
    /// How it is shown [default: text; json with --json]
    #[arg(long, value_enum, value_name = "FORM")]
    format: Option<Format>,
    /// Language of the page: en or fr [default: that of the environment]
    #[arg(long, value_name = "LANGUAGE", value_parser = parse_locale)]
    locale: Option<Locale>,
}

/// A language that Carillon speaks.
pub fn parse_locale(tag: &str) -> std::result::Result<Locale, String> {
    match tag.split(['-', '_']).next() {
        Some("en" | "fr") => Ok(Locale::from_tag(tag)),
        _ => Err("takes en or fr".into()),
    }
}

/// The language of the environment: `LC_ALL`, `LC_MESSAGES`, `LANG`, the first that is set (POSIX, environment variables §8.2).
pub fn environment_locale(variable: impl Fn(&str) -> Option<String>) -> Locale {
    let named = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    named.map_or(Locale::En, |tag| Locale::from_tag(&tag))
}

/// The id that is meant: the newest notification for `last`.
///
/// # Errors
/// When there is none yet; as [`Client::get`].
pub async fn id_of(client: &Client, id: &str) -> Result<String> {
    if id != "last" {
        return Ok(id.to_owned());
    }
    let newest = client.list(&["notifications"], &[], 1, None).await?.items;
    match newest.first() {
        Some(one) => Ok(text(one, "id").to_owned()),
        None => Err(Trouble::new(Exit::NotFound, "not_found", "no notification was sent yet")),
    }
}

/// Shows the report of a notification.
pub async fn show(client: &Client, out: &Out, id: &str, form: &Form) -> Result<Exit> {
    let format = match (form.format, out.json) {
        (None, true) => Format::Json,
        (None, false) => Format::Text,
        (Some(format), true) if format != Format::Json => {
            return Err(Trouble::usage("--json and --format name different forms; leave one of them out"));
        }
        (Some(format), _) => format,
    };
    let id = id_of(client, id).await?;
    let path = ["notifications", &id, "report"];
    match format {
        Format::Text => {
            let report = client.get(&path, &[]).await?;
            out.line(whole(out, &report));
        }
        Format::Json => out.object(&client.get(&path, &[]).await?),
        Format::Csv | Format::Html => {
            let word = if format == Format::Csv { "csv" } else { "html" };
            let locale = form.locale.unwrap_or_else(|| environment_locale(|name| std::env::var(name).ok()));
            let asked = client.request(Method::GET, &path, &[("format", word)]).header(ACCEPT_LANGUAGE, locale.tag());
            let answer = asked.send().await.map_err(|e| client.unreachable(&e))?;
            let page = client.accepted(answer).await?.bytes().await.map_err(|e| client.unreachable(&e))?;
            // A reader that went away is no error of ours.
            let _ = std::io::stdout().lock().write_all(&page);
        }
    }
    Ok(Exit::Done)
}

/// The whole report in lines and tables.
fn whole(out: &Out, report: &Value) -> String {
    let mut pairs: Vec<(&str, String)> = vec![("id", field(report, "id"))];
    match (text(report, "title"), text(report, "body")) {
        ("", _) => pairs.push(("text", "(not shown)".into())),
        (title, body) => pairs.push(("text", format!("{}\n{}", out.paint(Tone::Strong, cell(&json!(title))), cell(&json!(body))))),
    }
    pairs.push(("sender", field(report, "sender")));
    pairs.push(("accepted at", field(report, "createdAt")));
    pairs.push(("done at", field(report, "doneAt")));
    pairs.push(("state", field(report, "state")));
    let counts = ["recipients", "planned", "accepted", "received", "shown", "opened", "dismissed"];
    pairs.extend(counts.iter().map(|name| (*name, field(report, name))));
    format!("{}\n\n{}", out.pairs(&pairs), beside(out, report))
}

/// Forecast and outcome side by side, and why they differ.
pub fn beside(out: &Out, report: &Value) -> String {
    let forecast = &report["forecast"];
    let mut lines = Vec::new();
    if forecast.is_null() {
        lines.push("This notification is from a version that kept no forecast.".to_owned());
    } else {
        let (reached, people) = (number(forecast, "reached"), counted(number(forecast, "people"), "person", "people"));
        let devices = counted(number(forecast, "devices"), "device", "devices");
        let inbox = number(forecast, "inboxOnly");
        lines.push(out.paint(Tone::Strong, format!("Forecast: {reached} of {people}, {devices}; by inbox only: {inbox}")));
    }
    lines.push(channels(out, report));
    let differences = report["differences"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !differences.is_empty() {
        let rows = differences.iter().map(|one| {
            let code = field(one, "reasonCode");
            vec![field(one, "channel"), field(one, "state"), code.clone(), field(one, "deliveries"), meaning(&code)]
        });
        lines.push(format!("\n{}", out.table(&["fewer than forecast on", "state", "reason", "deliveries", "meaning"], rows)));
    }
    let reasons = keys(&[&forecast["unreachable"], &report["unreachable"]]);
    if !reasons.is_empty() {
        let rows = reasons.iter().map(|code| {
            let of = |counts: &Value| number(counts, code).to_string();
            vec![code.clone(), of(&forecast["unreachable"]), of(&report["unreachable"]), meaning(code)]
        });
        lines.push(format!("\n{}", out.table(&["not reached because", "forecast", "now", "meaning"], rows)));
    }
    lines.join("\n")
}

fn channels(out: &Out, report: &Value) -> String {
    let forecast = &report["forecast"]["byChannel"];
    let names = keys(&[forecast, &report["byChannel"]]);
    if names.is_empty() {
        return "Nothing is planned yet.".into();
    }
    let rows = names.iter().map(|channel| {
        let (before, now) = (&forecast[channel], &report["byChannel"][channel]);
        let lost: u64 = report["differences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|one| one["channel"] == channel.as_str())
            .map(|one| number(one, "deliveries"))
            .sum();
        let waiting = number(now, "scheduled") + number(now, "held");
        let figures = [number(before, "people"), number(before, "deliveries"), number(now, "accepted"), waiting, lost];
        std::iter::once(channel.clone()).chain(figures.iter().map(u64::to_string)).collect()
    });
    out.table(&["channel", "people", "forecast", "accepted", "waiting", "did not go"], rows)
}

/// The names that occur in any of these objects, sorted.
fn keys(objects: &[&Value]) -> Vec<String> {
    let names = objects.iter().filter_map(|object| object.as_object()).flat_map(|object| object.keys().cloned());
    names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn meaning(code: &str) -> String {
    Reason::from_word(code).map_or("", |reason| reason.sentence(Locale::En)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::canned::{Answer, Canned};

    fn report() -> Value {
        json!({"id": "n", "title": "T", "body": "B", "sender": "Ada", "createdAt": "c", "doneAt": null, "state": "sending",
            "recipients": 10, "accepted": 4,
            "forecast": {"people": 10, "reached": 8, "inboxOnly": 2, "devices": 6, "deliveries": 8,
                "byChannel": {"apns": {"people": 6, "deliveries": 6}, "email": {"people": 2, "deliveries": 2}},
                "unreachable": {"no_device": 3}},
            "byChannel": {"apns": {"accepted": 2, "held": 1, "suppressed": 6}, "email": {"accepted": 2}},
            "differences": [{"channel": "apns", "state": "suppressed", "reasonCode": "org_switch_off", "deliveries": 3}],
            "unreachable": {"no_device": 3, "org_switch_off": 3}})
    }

    #[test]
    fn forecast_and_outcome_stand_side_by_side_with_the_reasons() {
        let said = whole(&Out::plain(), &report());
        for part in [
            "Forecast: 8 of 10 people, 6 devices; by inbox only: 2",
            "CHANNEL  PEOPLE  FORECAST  ACCEPTED  WAITING  DID NOT GO",
            "apns     6       6         2         1        3",
            "org_switch_off  3           the organization turned",
            "no_device            3         3    the person has no device",
            "T\n",
        ] {
            assert!(said.contains(part), "{part:?} is not in\n{said}");
        }
        let old = beside(&Out::plain(), &json!({"forecast": null, "byChannel": {}, "unreachable": {}, "differences": []}));
        assert!(old.starts_with("This notification is from a version"), "{old}");
    }

    #[test]
    fn the_language_is_that_of_the_environment_unless_it_is_said() {
        let of = |set: &'static [(&str, &str)]| {
            environment_locale(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[("LANG", "fr_FR.UTF-8")]), Locale::Fr);
        assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "fr_FR.UTF-8")]), Locale::En);
        assert_eq!(of(&[("LC_ALL", ""), ("LC_MESSAGES", "fr")]), Locale::Fr);
        assert_eq!(of(&[]), Locale::En);
        assert_eq!(parse_locale("fr-CA"), Ok(Locale::Fr));
        assert!(parse_locale("de").is_err());
    }

    #[tokio::test]
    async fn last_is_the_newest_one() {
        let server = Canned::start(|_, _| Answer::Json(200, json!({"items": [{"id": "n7"}], "nextCursor": "x"}))).await;
        assert_eq!(id_of(&server.client(), "last").await, Ok("n7".into()));
        assert!(server.asked()[0].starts_with("GET /api/v1/notifications?limit=1 "), "{}", server.asked()[0]);
        assert_eq!(id_of(&server.client(), "n1").await, Ok("n1".into()));
        let empty = Canned::start(|_, _| Answer::Json(200, json!({"items": [], "nextCursor": null}))).await;
        assert_eq!(id_of(&empty.client(), "last").await.expect_err("none").exit, Exit::NotFound);
    }

    #[tokio::test]
    async fn two_forms_at_once_are_refused() {
        let server = Canned::start(|_, _| Answer::Json(200, json!({}))).await;
        let form = Form { format: Some(Format::Csv), locale: None };
        let out = Out::new(true);
        assert_eq!(show(&server.client(), &out, "n", &form).await.expect_err("two forms").exit, Exit::Use);
    }
}
