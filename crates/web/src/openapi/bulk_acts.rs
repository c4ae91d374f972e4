//! The components of bulk acts.

use super::shape::Needed::{No, Yes};
use super::shape::{Shape, anything, count, flag, given, id, list, list_of, map, named, sent, text, text_of, time, words};
use engine::admin::bulk_acts::MOST;

/// What is sent and answered about bulk acts.
pub(super) fn bulk_acts() -> Vec<(&'static str, Shape)> {
    let parameters = || map(anything()).about("Parameters of the act, as a single act takes them.");
    let item = sent(vec![("user", text_of(1, 256).about("Id, external id or user principal name."), Yes), ("given", parameters(), No)]);
    let draft = sent(vec![
        ("object", text_of(1, 64).about("Path of the kind of object, such as conferencing-users or mailboxes."), Yes),
        ("act", text_of(1, 64).about("The act, such as enable or change."), Yes),
        ("given", parameters(), No),
        ("users", list_of(text_of(1, 256), MOST).about("Who, by id, external id or user principal name."), No),
        ("items", list_of(named("BulkActItem"), MOST).about("Who, each with parameters of their own, which win."), No),
        ("group", text_of(1, 256).or_null().about("Everybody in this group, nested ones included: id, external id or name."), No),
        ("where", map(anything()).about("Everybody whose object shows these values, such as {\"bridgeName\": \"Paris\"}."), No),
    ]);
    let act = given(vec![
        ("id", id(), Yes),
        ("object", text(), Yes),
        ("act", text(), Yes),
        ("state", words(vec!["running", "done", "stopped"]), Yes),
        ("reason", text().about("Why it stopped: stopped_by_hand, or token_ended."), No),
        ("total", count(), Yes),
        ("finished", count().about("Done or refused so far."), Yes),
        ("failed", count(), Yes),
        ("createdBy", text(), Yes),
        ("createdAt", time(), Yes),
        ("endedAt", time().or_null(), Yes),
    ]);
    let problem = given(vec![("code", text(), Yes), ("detail", text(), Yes), ("errors", list(named("Fault")), No)]);
    let result = given(vec![
        ("user", text().about("As the person was named."), Yes),
        ("done", flag().about("Whether it was done; in a preview, whether it would be."), Yes),
        ("events", list(named("ActEvent")), Yes),
        ("remarks", list(text()), Yes),
        ("revealed", map(anything()).about("Shown this once."), No),
        ("problem", problem.about("Why not."), No),
    ]);
    let preview = given(vec![
        ("total", count(), Yes),
        ("failed", count().about("Who would be refused."), Yes),
        ("mails", map(count()).about("Mails that would go, by the type of their event."), Yes),
        ("results", list(named("BulkActResult")), Yes),
    ]);
    let results = given(vec![
        ("items", list(named("BulkActResult")), Yes),
        ("nextCursor", text().or_null().about("Where to go on; null at the end."), Yes),
    ]);
    vec![
        ("BulkActItem", item),
        ("BulkActDraft", draft),
        ("BulkAct", act),
        ("BulkActResult", result),
        ("BulkActPreview", preview),
        ("BulkActResults", results),
    ]
}
