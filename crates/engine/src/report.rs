//! The report of a notification: what outlives its text. What the plan forecast stands beside what became of it, and the
//! difference is told by reason. Both are running totals of the store, so a report costs the same for a million people as
//! for one: nothing is counted when it is asked for, and acceptance pays nothing for it.

use crate::Engine;
use crate::notifications::CountsView;
use crate::reach::ChannelReach;
use model::event::EventState;
use model::roles::Actor;
use model::{ChannelKind, Reason, State, Timestamp, Urgency};
use serde::Serialize;
use std::collections::BTreeMap;
use store::{Count, Counts};
use uuid::Uuid;

/// What the plan decided first, and so forecast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForecastView {
    /// People planned so far; all recipients once the plan is complete.
    pub people: u64,
    /// People of these to whom a push or a mail was to go, at once or later.
    pub reached: u64,
    /// People of these to whom neither was to go; those who are active have it in their inbox.
    pub inbox_only: u64,
    /// Devices that were to get a push.
    pub devices: u64,
    /// Deliveries that were to go.
    pub deliveries: u64,
    /// The same by channel.
    pub by_channel: BTreeMap<ChannelKind, ChannelReach>,
    /// reason → deliveries that were not to go, but those whose person was to be reached in another way.
    pub unreachable: BTreeMap<Reason, u64>,
}

/// Deliveries that were to go and did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct DifferenceView {
    pub channel: ChannelKind,
    pub state: State,
    pub reason_code: Option<Reason>,
    pub deliveries: u64,
}

/// Deliveries of one channel, state and reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LineView {
    /// How.
    pub channel: ChannelKind,
    /// Where they stand.
    pub state: State,
    /// Why; `null` where nothing objected.
    pub reason_code: Option<Reason>,
    /// How many the plan put here.
    pub forecast: u64,
    /// How many are here now.
    pub deliveries: u64,
}

/// What outlives the text.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct ReportView {
    pub id: Uuid,
    /// `null` once erased, or for a caller who may not read texts; the same for the body.
    pub title: Option<String>,
    pub body: Option<String>,
    pub private: bool,
    pub urgency: Urgency,
    pub sender: String,
    pub created_at: Timestamp,
    pub due_at: Timestamp,
    pub done_at: Option<Timestamp>,
    pub state: EventState,
    #[serde(flatten)]
    pub counts: CountsView,
    /// channel → state → deliveries.
    pub by_channel: BTreeMap<ChannelKind, BTreeMap<State, u64>>,
    /// reason → deliveries, of everything that something objected to, whether it waits or ended.
    pub by_reason: BTreeMap<Reason, u64>,
    /// reason → deliveries that ended without arriving, but those whose person was reached in another way.
    pub unreachable: BTreeMap<Reason, u64>,
    /// `null` for notifications of versions that kept none.
    pub forecast: Option<ForecastView>,
    /// Why fewer were accepted than were forecast.
    pub differences: Vec<DifferenceView>,
    /// The whole, one line for each channel, state and reason.
    pub lines: Vec<LineView>,
}

impl Engine {
    /// The report of a notification.
    ///
    /// # Errors
    /// As [`Engine::notification`].
    pub async fn report(&self, actor: &Actor, id: Uuid) -> crate::Result<ReportView> {
        let row = self.visible_row(actor, id).await?;
        self.reads_texts(actor, &[&row]).await?;
        let counts = self.counts_of(&row).await?;
        let readable = self.may_read(actor, &row).await?;
        let (title, body) = crate::cards::told(&self.inner, &row).filter(|_| readable).unzip();
        Ok(ReportView {
            id,
            title,
            body,
            private: row.private,
            urgency: row.urgency,
            sender: row.actor.1.clone(),
            created_at: row.accepted_at,
            due_at: row.due_at,
            done_at: row.done_at,
            state: row.state,
            by_channel: by_channel(&counts.deliveries),
            by_reason: by_reason(&counts.deliveries, |count| (count.reason != Reason::None).then_some(count.rows)),
            unreachable: by_reason(&counts.deliveries, |count| is_unreachable(count).then_some(count.rows)),
            forecast: forecast(&counts),
            differences: differences(&counts.deliveries),
            lines: counts.deliveries.iter().map(line).collect(),
            counts: CountsView::of(&counts, row.recipients),
        })
    }
}

fn named(reason: Reason) -> Option<Reason> {
    Some(reason).filter(|r| *r != Reason::None)
}

fn line(count: &Count) -> LineView {
    let Count { channel, state, reason, rows, planned, .. } = *count;
    LineView { channel, state, reason_code: named(reason), forecast: planned, deliveries: rows }
}

/// Reasons under which the person has it all the same: by another registration, by a push instead of a mail, in the open
/// app.
fn reached_otherwise(reason: Reason) -> bool {
    matches!(reason, Reason::OtherRegistration | Reason::EmailNotNeeded | Reason::ShownInApp)
}

/// Whether deliveries that stand here ended without arriving.
fn is_unreachable(count: &Count) -> bool {
    count.state.is_final() && count.state != State::Accepted && !reached_otherwise(count.reason)
}

fn by_channel(counts: &[Count]) -> BTreeMap<ChannelKind, BTreeMap<State, u64>> {
    let mut sums: BTreeMap<ChannelKind, BTreeMap<State, u64>> = BTreeMap::new();
    for count in counts.iter().filter(|count| count.rows > 0) {
        *sums.entry(count.channel).or_default().entry(count.state).or_default() += count.rows;
    }
    sums
}

fn by_reason(counts: &[Count], rows: impl Fn(&Count) -> Option<u64>) -> BTreeMap<Reason, u64> {
    let mut sums = BTreeMap::new();
    for count in counts {
        if let Some(rows) = rows(count).filter(|rows| *rows > 0) {
            *sums.entry(count.reason).or_default() += rows;
        }
    }
    sums
}

fn forecast(counts: &Counts) -> Option<ForecastView> {
    let (rows, planned) = counts.deliveries.iter().fold((0, 0), |(rows, planned), c| (rows + c.rows, planned + c.planned));
    if rows > 0 && planned == 0 {
        return None;
    }
    let mut view = ForecastView {
        people: counts.planned_people,
        reached: counts.reached_people,
        inbox_only: counts.planned_people.saturating_sub(counts.reached_people),
        unreachable: by_reason(&counts.deliveries, |count| is_unreachable(count).then_some(count.planned)),
        ..ForecastView::default()
    };
    for count in counts.deliveries.iter().filter(|count| !count.state.is_final() && count.planned > 0) {
        view.deliveries += count.planned;
        view.devices += if count.channel.service().is_some() { count.planned } else { 0 };
        let channel = view.by_channel.entry(count.channel).or_default();
        channel.people += count.people;
        channel.deliveries += count.planned;
    }
    Some(view)
}

/// What was to go and ended otherwise: final rows beyond those that the plan put there. A decided row is never revived, so
/// nothing leaves a final state but by being counted as accepted after all.
fn differences(counts: &[Count]) -> Vec<DifferenceView> {
    let ended = counts.iter().filter(|count| count.state.is_final() && count.state != State::Accepted && count.rows > count.planned);
    ended
        .map(|count| DifferenceView {
            channel: count.channel,
            state: count.state,
            reason_code: named(count.reason),
            deliveries: count.rows - count.planned,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(channel: ChannelKind, state: State, reason: Reason, planned: u64, rows: u64) -> Count {
        Count { channel, state, reason, rows, planned, people: planned }
    }

    /// Ten people: six were to get a push; one switch was turned off midway, one token was gone, one is still waiting.
    fn counts() -> Counts {
        use ChannelKind::{Apns, Email};
        Counts {
            deliveries: vec![
                count(Apns, State::Scheduled, Reason::None, 6, 0),
                count(Apns, State::Held, Reason::ProviderUnavailable, 0, 1),
                count(Apns, State::Accepted, Reason::None, 0, 2),
                count(Apns, State::Suppressed, Reason::OrgSwitchOff, 1, 3),
                count(Apns, State::Suppressed, Reason::NoDevice, 3, 3),
                count(Apns, State::Gone, Reason::ProviderGone, 0, 1),
                count(Email, State::Scheduled, Reason::None, 2, 0),
                count(Email, State::Accepted, Reason::None, 0, 2),
                count(Email, State::Suppressed, Reason::EmailNotNeeded, 8, 8),
            ],
            receipts: [0; 4],
            planned_people: 10,
            reached_people: 8,
        }
    }

    #[test]
    fn the_forecast_is_what_the_plan_put_where_something_goes() {
        let view = forecast(&counts()).expect("a forecast");
        assert_eq!((view.people, view.reached, view.inbox_only, view.devices, view.deliveries), (10, 8, 2, 6, 8));
        assert_eq!(view.by_channel[&ChannelKind::Apns], ChannelReach { people: 6, deliveries: 6 });
        assert_eq!(view.unreachable, BTreeMap::from([(Reason::OrgSwitchOff, 1), (Reason::NoDevice, 3)]), "a mail not needed is no loss");
    }

    #[test]
    fn what_was_to_go_is_accepted_or_waits_or_is_told_by_reason() {
        let counts = counts();
        let told = differences(&counts.deliveries);
        let seen: Vec<_> = told.iter().map(|d| (d.channel, d.state, d.reason_code, d.deliveries)).collect();
        let switch = (ChannelKind::Apns, State::Suppressed, Some(Reason::OrgSwitchOff), 2);
        assert_eq!(seen, [switch, (ChannelKind::Apns, State::Gone, Some(Reason::ProviderGone), 1)]);
        let sum = |state: fn(State) -> bool| counts.deliveries.iter().filter(|c| state(c.state)).map(|c| c.rows).sum::<u64>();
        let (accepted, waiting) = (sum(|s| s == State::Accepted), sum(|s| !s.is_final()));
        let lost: u64 = told.iter().map(|d| d.deliveries).sum();
        assert_eq!(forecast(&counts).expect("a forecast").deliveries, accepted + waiting + lost);
    }

    #[test]
    fn the_unreachable_are_told_by_reason_and_those_reached_otherwise_are_not_among_them() {
        let unreachable = by_reason(&counts().deliveries, |count| is_unreachable(count).then_some(count.rows));
        assert_eq!(unreachable, BTreeMap::from([(Reason::OrgSwitchOff, 3), (Reason::NoDevice, 3), (Reason::ProviderGone, 1)]));
        assert!(by_channel(&counts().deliveries).values().all(|states| states.values().all(|rows| *rows > 0)));
    }

    #[test]
    fn a_notification_of_an_earlier_version_has_no_forecast() {
        let old = Counts { deliveries: vec![count(ChannelKind::Apns, State::Accepted, Reason::None, 0, 5)], ..Counts::default() };
        assert_eq!(forecast(&old), None);
        assert_eq!(forecast(&Counts::default()), Some(ForecastView::default()), "nothing is planned yet");
    }
}
