//! The sample organization: imported from CSV like anybody's, then made to hold at least one case for each reason why a
//! notification may not be pushed. A few cases need a history (a refused token, a choice of a person, an open app);
//! they are made here, through the same API as everything else.

use super::providers::Providers;
use crate::cli::agent::state::AgentState;
use crate::cli::agent::{Enrolment, Listening, enrol, listen};
use crate::cli::client::Client;
use crate::cli::import::{How, Source, import};
use crate::cli::output::{number, text};
use crate::cli::{Result, Trouble};
use reqwest::Method;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;

/// The app of every Apple registration.
pub const APP: &str = "org.example.carillon";
/// Somebody with a device for nearly every reason.
pub const CAMILLE: &str = "camille.dubois@example.org";
/// Of an old device of Camille's: the fake Apple says that it is gone while the demo is prepared, so it is retired.
pub const RETIRED_TOKEN: &str = "000000005e7da6f4d294807c1054d3e9c4a356722eb39e98430e0984e0dbc4ad";
/// Gone at the first notification that the visitor sends.
pub const GONE_TOKEN: &str = "0000000090e09a14c6bb455f358fe288dda1a95884781154b6985873040ee76f";
/// Never was a token.
pub const BAD_TOKEN: &str = "00000000bad02f8e44dc408d732ae7209bfbcb35be8ab1f5975e097570e6d059";

/// Unregistered at the first notification that the visitor sends: Valentine's Android phone.
pub const GONE_ANDROID: &str = "GoneAndroid00000000000:APA91bDemoDemoDemoDemoDemoDemoDemoDemoDemoDemoDemoDemoDemo";
/// Its quota is used up for a while: Rosa's Android phone.
pub const BUSY_ANDROID: &str = "BusyAndroid00000000000:APA91bDemoDemoDemoDemoDemoDemoDemoDemoDemoDemoDemoDemoDemo";
/// Expired once Windows push is switched on: Niamh's Windows PC.
pub const GONE_WINDOWS: &str = "https://db5p.notify.windows.com/?token=GoneWindows0000000000000000000000000000000000000000";

/// The subscription of a browser whose person has ended it: Océane's MacBook.
pub const GONE_BROWSER: &str = "Bt57vxALzezt9nrrXpNVuKL27Aa_QJtRoBu6VQus";
/// What stands before the words of the browsers' endpoints in the sample; the demo puts its fake in its place.
pub const SAMPLE_PUSH_SERVICE: &str = "https://push.example.net/send/";

const QUIET: &str = "nadia.benali@example.org";
const PREFERS_NOT: &str = "zoe.perrin@example.org";
const APP_OPEN: &str = "yanis.meunier@example.org";
const APP_STUCK: &str = "priya.nair@example.org";

/// The files of the import.
pub const FILES: [(&str, &str); 5] = [
    ("people.csv", include_str!("sample/people.csv")),
    ("groups.csv", include_str!("sample/groups.csv")),
    ("members.csv", include_str!("sample/members.csv")),
    ("devices.csv", include_str!("sample/devices.csv")),
    ("registrations.csv", include_str!("sample/registrations.csv")),
];

/// How long the preparing notification may take before the demo goes on without its end.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// The apps that the demo itself plays.
pub struct Apps {
    open: AgentState,
    stuck: AgentState,
}

/// Fills an empty server.
///
/// # Errors
/// What the server refused.
pub async fn fill(client: &Client, providers: &Providers) -> Result<Apps> {
    let text = |name: &str, text: &'static str| match name {
        "registrations.csv" => Cow::Owned(providers.subscribed(text)),
        _ => Cow::Borrowed(text),
    };
    let parts = FILES.iter().map(|(name, sample)| ((*name).to_owned(), Source::Text(text(name, sample)))).collect();
    let report = import(client, parts, &How { mode: "upsert", dry_run: false, allow_many_removals: false }).await?;
    if number(&report, "faultCount") > 0 {
        return Err(Trouble::local(format!("the sample organization was refused: {}", report["faults"])));
    }
    // Windows push is off for everybody, as an example of the organization's switch; the guide says how to turn it on.
    client.write(Method::PUT, &["settings", "push.wns.enabled"], &json!({ "value": false })).await?;
    quiet_now(client).await?;
    let silent = phone(client, PREFERS_NOT, "Zoé's new iPhone").await?;
    let device = Client::new(&silent.url, Some(silent.token.clone()))?;
    let mut preferences = device.get(&["device", "preferences"], &[]).await?;
    preferences["pushEnabled"] = json!(false);
    device.write(Method::PUT, &["device", "preferences"], &preferences).await?;
    let apps = Apps {
        open: phone(client, APP_OPEN, "Yanis's iPhone with the app open").await?,
        stuck: phone(client, APP_STUCK, "Priya's iPhone with a stuck app").await?,
    };
    retire(client, providers).await?;
    Ok(apps)
}

/// An iPhone that enrols with a code and registers, as the app does.
async fn phone(client: &Client, owner: &str, name: &str) -> Result<AgentState> {
    let id = client.resolve("user", owner).await?;
    let code = client.post(&["users", &id, "enrolment-codes"], &json!({})).await?;
    let stranger = Client::new(client.base(), None)?;
    let enrolment = Enrolment { code: text(&code, "code"), name, platform: "ios", ownership: Some("personal"), permission: "granted" };
    let agent = enrol(&stranger, &enrolment).await?;
    let device = Client::new(&agent.url, Some(agent.token.clone()))?;
    let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let registration = json!({ "service": "apns", "app": APP, "environment": "production", "token": token });
    device.write(Method::PUT, &["device", "registration"], &registration).await?;
    Ok(agent)
}

/// Quiet hours of one person that hold now and for hours to come, in the person's own time zone.
async fn quiet_now(client: &Client) -> Result<()> {
    let id = client.resolve("user", QUIET).await?;
    let person = client.get(&["users", &id], &[]).await?;
    let span = quiet_span(jiff::Timestamp::now(), text(&person, "timezone"));
    client.write(Method::PATCH, &["users", &id], &json!({ "quietHours": span })).await?;
    Ok(())
}

/// From an hour ago for nine hours, such as `21:14-06:14`.
fn quiet_span(now: jiff::Timestamp, zone: &str) -> String {
    let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let minute = |hours: i64| {
        let at = (now + jiff::SignedDuration::from_hours(hours)).to_zoned(zone.clone());
        format!("{:02}:{:02}", at.hour(), at.minute())
    };
    format!("{}-{}", minute(-1), minute(8))
}

/// Sends Camille a first notification; the fake Apple says of her old device that it is gone, and Carillon retires it.
async fn retire(client: &Client, providers: &Providers) -> Result<()> {
    // Later than the registrations, as Apple would say it; an earlier time would mean an older owner of the token.
    providers.refuse_some(jiff::Timestamp::now().as_millisecond() + 1000);
    let welcome = json!({ "title": "Bienvenue / Welcome", "body": "Carillon vous parle. Carillon speaks to you.", "users": [CAMILLE] });
    let sent = client.post(&["notifications"], &welcome).await?;
    let began = tokio::time::Instant::now();
    while began.elapsed() < PATIENCE {
        let now: Value = client.get(&["notifications", text(&sent, "id")], &[]).await?;
        if matches!(text(&now, "state"), "done" | "cancelled") {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    providers.forget();
    Ok(())
}

impl Apps {
    /// Plays the apps until the caller has had enough: one shows what arrives and says so, one holds a stream and says
    /// nothing, as a phone does whose network died.
    ///
    /// # Errors
    /// When the server refuses a device's token.
    pub async fn play(mut self) -> Result<()> {
        let attentive = Listening { auto_open: false, receipts: true, count: None };
        let silent = Listening { receipts: false, ..attentive };
        let open = listen(&mut self.open, &attentive, |_, _| Ok(()));
        let stuck = listen(&mut self.stuck, &silent, |_, _| Ok(()));
        tokio::try_join!(open, stuck).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;
    use model::time::DailySpan;

    #[test]
    fn quiet_hours_hold_at_every_hour_of_the_day() {
        for hour in 0..24 {
            let now: jiff::Timestamp = format!("2026-11-20T{hour:02}:30:00Z").parse().expect("a time");
            let span = DailySpan::parse(&quiet_span(now, "Europe/Paris")).expect("a span");
            let end = span.ends_at(Timestamp(now.as_millisecond()), "Europe/Paris").expect("it is quiet");
            assert_eq!(end.0 - now.as_millisecond(), 8 * 3_600_000, "at {hour}");
        }
    }
}
