//! Everything that a store says of itself, in words, so that two can be compared.

use super::story::{self, PEOPLE, THEN};
use crate::{DeliveryFilter, DeviceFilter, GroupFilter, PersonFilter, Shared};
use model::{DeviceKey, EventKey, GroupKey, PersonKey, TenantKey};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

/// What is asked, and what was answered.
pub type Picture = BTreeMap<String, String>;

/// Which numbers a store of the first version cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// All are known.
    Known,
    /// What a plan decided first was not kept before `forecast.sql`.
    Unknown,
}

/// Asks everything.
///
/// # Panics
/// When the store does not answer.
pub async fn picture(store: &Shared, tenant: TenantKey, forecast: Forecast) -> Picture {
    let mut picture = Picture::new();
    let mut say = |what: String, said: &dyn Debug| drop(picture.insert(what, format!("{said:#?}")));
    say("people".into(), &store.people(tenant, PersonFilter::default(), PersonKey(0), u32::MAX).await.expect("people"));
    say("groups".into(), &store.groups(tenant, GroupFilter::default(), GroupKey(0), u32::MAX).await.expect("groups"));
    say("memberships".into(), &store.memberships(tenant).await.expect("memberships"));
    say("directory".into(), &store.directory_version(tenant).await.expect("a version"));
    let devices = store.devices(tenant, DeviceFilter::default(), DeviceKey(0), u32::MAX).await.expect("devices");
    for device in &devices {
        say(format!("registrations of {}", device.key), &store.registrations(tenant, device.key).await.expect("registrations"));
    }
    say("devices".into(), &devices);
    say("settings".into(), &store.settings(tenant).await.expect("settings"));
    say("settings at 2".into(), &store.settings_at(tenant, 2).await.expect("settings"));
    say("tokens".into(), &store.tokens(tenant, None, u32::MAX).await.expect("tokens"));
    for number in (1..=u8::try_from(PEOPLE).expect("few")).chain([101, 102]) {
        say(format!("token {number}"), &store.find_token([number; 32]).await.expect("a token"));
    }
    say("answer".into(), &store.answered(tenant, story::id(7, 1), "first").await.expect("an answer"));
    say("alarms".into(), &store.alarms(tenant, u32::MAX).await.expect("alarms"));
    say("inbox head".into(), &store.inbox_head(tenant).await.expect("a head"));
    let since = THEN.minus(Duration::from_secs(60));
    let people: Vec<PersonKey> = (1..=PEOPLE).map(PersonKey).collect();
    say("recent pushes".into(), &store.recent_pushes(tenant, people.clone(), since).await.expect("pushes"));
    for person in &people {
        say(format!("inbox of {person}"), &store.inbox(tenant, *person, None, None, 100, true).await.expect("an inbox"));
    }
    for event in store.events(tenant, None, None, u32::MAX).await.expect("events") {
        let key = event.key;
        say(format!("event {key}"), &event);
        say(format!("audience of {key}"), &store.audience_page(key, None, u32::MAX).await.expect("an audience"));
        let mut counts = store.counts(key).await.expect("counts");
        if forecast == Forecast::Unknown {
            counts.deliveries.iter_mut().for_each(|count| (count.planned, count.people) = (0, 0));
            counts.deliveries.retain(|count| count.rows > 0);
            counts.reached_people = 0;
        }
        say(format!("counts of {key}"), &counts);
        let rows = store.deliveries(key, DeliveryFilter::default(), None, u32::MAX).await.expect("deliveries");
        assert_eq!(counts.deliveries.iter().map(|count| count.rows).sum::<u64>(), rows.len() as u64, "the totals are those of the rows");
        say(format!("deliveries of {key}"), &rows);
        say(format!("receipts of {key}"), &receipts(store, key).await);
        say(format!("failed people of {key}"), &store.failed_people(key).await.expect("people"));
        say(format!("unopened people of {key}"), &store.unopened_people(key).await.expect("people"));
    }
    picture
}

async fn receipts(store: &Shared, event: EventKey) -> Vec<(PersonKey, Vec<crate::ReceiptRow>)> {
    let mut all = Vec::new();
    for person in (1..=PEOPLE).map(PersonKey) {
        all.push((person, store.deliveries_of(event, person).await.expect("a person's part").1));
    }
    all
}

/// Where two pictures differ.
pub fn differences(a: &Picture, b: &Picture) -> Vec<String> {
    let all: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differ = all.into_iter().filter(|what| a.get(*what) != b.get(*what));
    differ.map(|what| format!("{what}: {:?} and {:?}", a.get(what), b.get(what))).collect()
}
