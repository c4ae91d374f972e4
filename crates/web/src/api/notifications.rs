//! Custom notifications: send, look ahead, follow, stop, repeat.

use crate::App;
use crate::answer::{self, Made, Reply, json, ok};
use crate::ask::{Asker, Creation, Ids, Json, Query};
use crate::openapi::shape;
use crate::report::{self, Format};
use crate::routes::{Access, Doc, Route, get, post};
use axum::extract::State;
use axum::routing;
use engine::notifications::{DeliveryQuery, NotificationDraft, NotificationQuery, NotificationView, ResendOnly};
use engine::reach::ReachQuery;
use http::{HeaderMap, HeaderValue, StatusCode, header};
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
                .detail(
                    "Newest first, and every event among them, also one of which nothing goes. Texts are null once erased, and for callers who may \
                     not read them.",
                )
                .query("kind", "Only of this type of event, such as `call.missed`.", shape::text())
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
                .detail(
                    "What outlives the text: sender, time, and counts by channel and reason; what the plan forecast beside what became of it. \
                     As JSON, as CSV with one line for each channel, state and reason, or as a page in the caller's language: by format, else by \
                     the Accept header.",
                )
                .id("id", "The notification's id.")
                .query("format", "The form; wins over the Accept header.", shape::words(Format::ALL.iter().map(|f| f.word()).collect()))
                .gives(200, "The report.", "Report")
                .also(Format::Csv.media())
                .also(Format::Html.media()),
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

async fn list(State(app): State<App>, asker: Asker, Query(query): Query<NotificationQuery>) -> Reply {
    ok(&app.engine.notifications(&asker.actor, query).await?)
}

async fn show(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    ok(&app.engine.notification(&asker.actor, id).await?)
}

/// In which form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportQuery {
    format: Option<Format>,
}

async fn report(State(app): State<App>, asker: Asker, headers: HeaderMap, Ids([id]): Ids<1>, Query(query): Query<ReportQuery>) -> Reply {
    let report = app.engine.report(&asker.actor, id).await?;
    let mut response = match query.format.unwrap_or_else(|| Format::accepted(&headers)) {
        Format::Json => json(StatusCode::OK, &report),
        Format::Csv => {
            let name = format!("attachment; filename=\"report-{id}.csv\"");
            let mut response = answer::text("text/csv; charset=utf-8; header=present", report::csv(&report));
            let name = HeaderValue::try_from(name).expect("an id is visible ASCII");
            response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
            response
        }
        Format::Html => {
            let page = report::html(&report, &app.engine.tenant().name, asker.locale, app.engine.now());
            let mut response = answer::text("text/html; charset=utf-8", page);
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, report::policy());
            response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(asker.locale.tag()));
            response
        }
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept, accept-language"));
    Ok(response)
}

async fn deliveries(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, Query(query): Query<DeliveryQuery>) -> Reply {
    ok(&app.engine.deliveries(&asker.actor, id, query).await?)
}
