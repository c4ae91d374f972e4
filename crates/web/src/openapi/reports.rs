//! Components of the report of a notification: forecast, outcome, and what lies between.

use super::components::COUNTS;
use super::shape::Needed::Yes;
use super::shape::{Shape, count, flag, given, id, list, map, named, text, time, words};
use model::event::EventState;
use model::{ChannelKind, Reason, State, Urgency};

pub(super) fn report() -> Shape {
    let mut fields = vec![
        ("id", id(), Yes),
        ("title", text().or_null().about("null once erased, or for callers who may not read it."), Yes),
        ("body", text().or_null(), Yes),
        ("private", flag(), Yes),
        ("urgency", words(Urgency::ALL.iter().map(|v| v.word()).collect()), Yes),
        ("sender", text(), Yes),
        ("createdAt", time(), Yes),
        ("dueAt", time(), Yes),
        ("doneAt", time().or_null(), Yes),
        ("state", words(EventState::ALL.iter().map(|v| v.word()).collect()), Yes),
    ];
    fields.extend(COUNTS.map(|n| (n, count(), Yes)));
    fields.extend([
        ("byChannel", map(map(count())).about("Rows by channel and state."), Yes),
        ("byReason", map(count()).about("Rows by reason, of everything that something objected to, whether it waits or ended."), Yes),
        (
            "unreachable",
            map(count()).about("Rows by reason that ended without arriving, but those whose person was reached in another way."),
            Yes,
        ),
        ("forecast", named("Forecast").or_null().about("What the plan decided first; null where a version kept none."), Yes),
        ("differences", list(named("Difference")).about("Why fewer were accepted than were forecast."), Yes),
        ("lines", list(named("ReportLine")).about("The whole, one line for each channel, state and reason."), Yes),
    ]);
    given(fields)
}

pub(super) fn forecast() -> Shape {
    let channel = given(vec![("people", count(), Yes), ("deliveries", count(), Yes)]);
    given(vec![
        ("people", count().about("Planned so far; all recipients once the plan is complete."), Yes),
        ("reached", count().about("Of these, to whom a push or a mail was to go."), Yes),
        ("inboxOnly", count().about("Of these, to whom neither was to go; those who are active have it in their inbox."), Yes),
        ("devices", count().about("That were to get a push."), Yes),
        ("deliveries", count().about("That were to go, at once or later."), Yes),
        ("byChannel", map(channel), Yes),
        (
            "unreachable",
            map(count()).about("Rows by reason that were not to go, but those whose person was to be reached in another way."),
            Yes,
        ),
    ])
}

pub(super) fn line(forecast: bool) -> Shape {
    let mut fields = vec![
        ("channel", words(ChannelKind::ALL.iter().map(|v| v.word()).collect()), Yes),
        ("state", words(State::ALL.iter().map(|v| v.word()).collect()), Yes),
        ("reasonCode", words(Reason::ALL.iter().map(|v| v.word()).collect()).or_null(), Yes),
    ];
    if forecast {
        fields.push(("forecast", count().about("How many the plan put here."), Yes));
    }
    fields.push(("deliveries", count(), Yes));
    given(fields)
}
