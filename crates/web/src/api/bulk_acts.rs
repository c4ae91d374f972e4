//! One act for many people: what it would come to, doing it in the background, and what became of each.

use crate::App;
use crate::answer::{self, Made, Reply, ok};
use crate::ask::{Asker, Creation, Ids, Query, parse};
use crate::openapi::shape;
use crate::routes::{Access, Doc, Route, get, post};
use axum::extract::State;
use axum::routing;
use engine::admin::bulk_acts::{BulkActView, BulkDraft};
use http::StatusCode;
use serde::Deserialize;

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BulkQuery {
    preview: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ResultsQuery {
    cursor: Option<String>,
}

const TAG: &str = "Bulk acts";

/// The routes.
pub fn routes() -> Vec<Route> {
    let doc = |id, summary| Doc::new(TAG, id, summary, Access::ActOwner);
    vec![
        post(
            "/api/v1/bulk-acts",
            routing::post(start),
            doc("startBulkAct", "Do one act for many people")
                .detail(
                    "It is kept before it is answered, goes on over restarts, and is done with the rights that its author has at the time. With preview \
                     nothing is done: the answer (200) says of each person what would come of it and which mails would go.",
                )
                .query("preview", "True: nothing is done, and it is said what would be.", shape::flag())
                .sends("BulkActDraft")
                .creates()
                .gives(200, "What it would come to.", "BulkActPreview")
                .gives(202, "It is kept, and goes on in the background.", "BulkAct")
                .location(),
        ),
        get(
            "/api/v1/bulk-acts/{id}",
            routing::get(show),
            doc("getBulkAct", "How far a bulk act is").id("id", "The bulk act.").gives(200, "How far it is.", "BulkAct"),
        ),
        get(
            "/api/v1/bulk-acts/{id}/results",
            routing::get(results),
            doc("listBulkActResults", "What became of each person")
                .detail("In the order in which they were named, for a day after its end. Secrets, such as new PINs, are shown to whoever reads them first.")
                .id("id", "The bulk act.")
                .query("cursor", "Where to go on: nextCursor of the page before.", shape::text())
                .gives(200, "Fifty people.", "BulkActResults"),
        ),
        post(
            "/api/v1/bulk-acts/{id}/stop",
            routing::post(stop),
            doc("stopBulkAct", "Stop a bulk act")
                .detail("Whoever was not reached yet is left alone; what was done stays.")
                .id("id", "The bulk act.")
                .gives(200, "Where it stopped.", "BulkAct"),
        ),
    ]
}

async fn start(State(app): State<App>, asker: Asker, Query(query): Query<BulkQuery>, creation: Creation) -> Reply {
    if query.preview {
        let draft: BulkDraft = parse(&creation.body)?;
        return ok(&app.engine.preview_bulk(&asker.actor, draft, asker.locale).await?);
    }
    let work = |draft, repeat| app.engine.start_bulk(&asker.actor, draft, repeat);
    let made = |view: &BulkActView| Made { id: Some(view.id), version: None, status: Some(StatusCode::ACCEPTED) };
    answer::create(&app, &asker, creation, None, work, made).await
}

async fn show(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    ok(&app.engine.bulk(&asker.actor, id).await?)
}

async fn results(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, Query(query): Query<ResultsQuery>) -> Reply {
    ok(&app.engine.bulk_results(&asker.actor, id, query.cursor.as_deref()).await?)
}

async fn stop(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    ok(&app.engine.stop_bulk(&asker.actor, id).await?)
}
