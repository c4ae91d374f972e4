//! Why: one event and one person.

use crate::App;
use crate::answer::{Reply, ok};
use crate::ask::{Asker, Ids, Query};
use crate::openapi::shape;
use crate::routes::{Access, Doc, Route, get};
use axum::extract::State;
use axum::routing;
use model::Refusal;
use model::roles::Permission;
use serde::Deserialize;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![get(
        "/api/v1/events/{id}/why",
        routing::get(why),
        Doc::new("Explanation", "explain", "Why somebody got an event, or did not", Access::Admin(Permission::DirectoryRead))
            .detail(
                "One decision for each channel and address, with the rule that decided, what the other rules would have said, the facts it was \
                 made from, and what became of it. Reasons are told in the language of Accept-Language (en, fr).",
            )
            .id("id", "The id of an event or notification.")
            .needed_query("person", "Id, external id or UPN.", shape::text_of(1, 256))
            .header("Accept-Language", "en or fr.", shape::text())
            .gives(200, "The explanation.", "Why")
            .refuses(409, "ambiguous_name"),
    )]
}

/// About whom.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhyQuery {
    #[serde(default)]
    person: String,
}

async fn why(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, Query(query): Query<WhyQuery>) -> Reply {
    if query.person.is_empty() {
        return Err(Refusal::field("person", "is missing; give an id, an external id or a UPN").into());
    }
    ok(&app.engine.why(&asker.actor, id, &query.person, asker.locale).await?)
}
