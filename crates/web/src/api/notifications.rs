//! Custom notifications: send, look ahead, follow, stop, repeat.

use crate::App;
use crate::answer::{self, Made, Reply, json, ok};
use crate::ask::{Asker, Creation, Ids, Json, Query};
use crate::openapi::shape;
use crate::routes::{Access, Doc, Route, get, post};
use axum::extract::State;
use axum::routing;
use engine::admin::groups::PageQuery;
use engine::notifications::{DeliveryQuery, NotificationDraft, NotificationView, ResendOnly};
use engine::reach::ReachQuery;
use http::StatusCode;
use model::roles::Permission;
use model::{ChannelKind, Reason, State as Standing};
use serde::Deserialize;

const READ: Access = Access::Admin(Permission::DirectoryRead);
const ALL: &str = "/api/v1/notifications";
const REACH: &str = "/api/v1/notifications/reach";
const ONE: &str = "/api/v1/notifications/{id}";
const CANCEL: &str = "/api/v1/notifications/{id}/cancel";
const RESEND: &str = "/api/v1/notifications/{id}/resend";
const REPORT: &str = "/api/v1/notifications/{id}/report";
const DELIVERIES: &str = "/api/v1/notifications/{id}/deliveries";

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("Notifications", id, summary, access)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    let mut routes = sending();
    routes.extend(following());
    routes
}

fn sending() -> Vec<Route> {
    vec![
        post(
            ALL,
            routing::post(send),
            doc("sendNotification", "Send a notification", Access::Sender)
                .detail(
                    "To groups (nested ones included), users and devices, each named by id, external id, UPN or unique name. Answered when it is \
                     durable: after this no crash loses it. Title 1 to 50 characters, body 1 to 500, counted after composition (NFC).",
                )
                .sends("NewNotification")
                .creates()
                .gives(201, "The notification, with what its author should know.", "Notification")
                .location()
                .refuses(429, "over_limit"),
        ),
        post(
            REACH,
            routing::post(reach),
            doc("previewReach", "See whom a notification would reach", Access::Sender)
                .detail("Nothing is sent or counted; title and body may be left out. With list, also the people and devices of one part.")
                .query("list", "`reason:CODE`, `channel:KIND`, `inboxOnly` or `unreachable`.", shape::text())
                .paged()
                .sends("ReachRequest")
                .gives(200, "The reach.", "Reach"),
        ),
        post(
            CANCEL,
            routing::post(cancel),
            doc("cancelNotification", "Stop a notification", Access::Sender)
                .detail("What was not sent is not sent any more, and open apps take it away.")
                .id("id", "The notification's id.")
                .gives(200, "The notification as it is now.", "Notification")
                .refuses(409, "already_final"),
        ),
        post(
            RESEND,
            routing::post(resend),
            doc("resendNotification", "Send a notification again", Access::Sender)
                .detail("To its whole audience as it is now, to those for whom something failed, or to those who have it and did not open it.")
                .id("id", "The notification's id.")
                .may_send("Resend")
                .creates()
                .gives(201, "The new notification.", "Notification")
                .location()
                .refuses(409, "text_erased")
                .refuses(409, "nobody_left")
                .refuses(429, "over_limit"),
        ),
    ]
}

fn following() -> Vec<Route> {
    vec![
        get(
            ALL,
            routing::get(list),
            doc("listNotifications", "List notifications", READ)
                .detail("Newest first. Texts are null once erased, and for callers who may not read them.")
                .paged()
                .gives(200, "A page of notifications.", "NotificationPage"),
        ),
        get(
            ONE,
            routing::get(show),
            doc("getNotification", "Show a notification", READ)
                .detail("With its counts so far; they are running totals, so this is cheap enough to poll.")
                .id("id", "The notification's id.")
                .gives(200, "The notification.", "Notification"),
        ),
        get(
            REPORT,
            routing::get(report),
            doc("getReport", "Report on a notification", READ)
                .detail("What outlives the text: sender, time, and counts by channel and reason.")
                .id("id", "The notification's id.")
                .gives(200, "The report.", "Report"),
        ),
        get(
            DELIVERIES,
            routing::get(deliveries),
            doc("listDeliveries", "List deliveries", READ)
                .detail("One row for each person and address.")
                .id("id", "The notification's id.")
                .query("state", "Only those in this state.", shape::words(Standing::ALL.iter().map(|s| s.word()).collect()))
                .query("channel", "Only those on this channel.", shape::words(ChannelKind::ALL.iter().map(|c| c.word()).collect()))
                .query("reason", "Only those with this reason.", shape::words(Reason::ALL.iter().map(|r| r.word()).collect()))
                .paged()
                .gives(200, "A page of deliveries.", "DeliveryPage"),
        ),
    ]
}

async fn send(State(app): State<App>, asker: Asker, creation: Creation) -> Reply {
    let work = |draft: NotificationDraft, repeat| app.engine.send(&asker.actor, draft, repeat);
    answer::create(&app, &asker, creation, None, work, place).await
}

fn place(made: &NotificationView) -> Made {
    Made { id: Some(made.id), ..Made::default() }
}

async fn reach(State(app): State<App>, asker: Asker, Query(query): Query<ReachQuery>, Json(draft): Json<NotificationDraft>) -> Reply {
    ok(&app.engine.reach(&asker.actor, draft, query).await?)
}

async fn cancel(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    Ok(json(StatusCode::OK, &app.engine.cancel(&asker.actor, id).await?))
}

/// Which part to send again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResendDraft {
    #[serde(default)]
    only: Option<ResendOnly>,
}

async fn resend(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, creation: Creation) -> Reply {
    let work = |draft: ResendDraft, repeat| app.engine.resend(&asker.actor, id, draft.only, repeat);
    answer::create(&app, &asker, creation, Some(ALL), work, place).await
}

async fn list(State(app): State<App>, asker: Asker, Query(query): Query<PageQuery>) -> Reply {
    ok(&app.engine.notifications(&asker.actor, query.limit, query.cursor).await?)
}

async fn show(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    ok(&app.engine.notification(&asker.actor, id).await?)
}

async fn report(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    ok(&app.engine.report(&asker.actor, id).await?)
}

async fn deliveries(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, Query(query): Query<DeliveryQuery>) -> Reply {
    ok(&app.engine.deliveries(&asker.actor, id, query).await?)
}
