//! What an app on a device does, with the device's own token.

use crate::App;
use crate::answer::{REPLAYED, Reply, json, nothing, ok};
use crate::ask::{Asker, Creation, Json, Query, parse};
use crate::openapi::shape;
use crate::routes::{Access, Doc, Route, delete, get, post, put};
use crate::stream;
use axum::extract::State;
use axum::routing;
use engine::Repeat;
use engine::admin::enrolment::EnrolDraft;
use engine::admin::own::{PreferencesDraft, RegistrationQuery};
use engine::admin::registrations::RegistrationDraft;
use engine::inbox::InboxQuery;
use engine::receipts::ReceiptDraft;
use http::{HeaderValue, StatusCode};
use model::directory::{Environment, Service};
use serde::{Deserialize, Serialize};

const REGISTRATION: &str = "/api/v1/device/registration";
const PREFERENCES: &str = "/api/v1/device/preferences";

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("App", id, summary, access)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    let mut routes = reading();
    routes.extend(telling());
    routes
}

fn reading() -> Vec<Route> {
    vec![
        post(
            "/api/v1/device/enrol",
            routing::post(enrol),
            doc("enrolDevice", "Enrol this device", Access::Anyone)
                .detail("With a single-use code. The device belongs to the code's user and is enrolled by them; its token is shown this once.")
                .sends("Enrolment")
                .creates()
                .gives(201, "The device and its token.", "Enrolled")
                .refuses(409, "spent"),
        ),
        get(
            "/api/v1/device/inbox",
            routing::get(inbox),
            doc("readInbox", "Read the inbox", Access::Device)
                .detail("What the device's user has, newest first.")
                .query("dismissed", "Those that were put away, too.", shape::flag())
                .paged()
                .gives(200, "A page of the inbox.", "InboxPage"),
        ),
        get(
            "/api/v1/device/inbox/stream",
            routing::get(stream::open),
            doc("streamInbox", "Follow the inbox", Access::Device)
                .detail(
                    "Server-sent events: `notification` (its id is the place in the inbox, its data an inbox item) and `withdrawn` (data \
                     {\"eventId\": …}) when one was stopped. A comment every 15 seconds keeps the stream alive. With Last-Event-ID it begins behind \
                     that event, without it with what comes next. While it is open, notifications appear here and not as a push, once they are \
                     confirmed by a `received` receipt.",
                )
                .header("Last-Event-ID", "The id of the last event that was seen.", shape::text())
                .query("lastEventId", "The same, for clients that cannot set the header.", shape::text())
                .gives_text(200, "The stream.", "text/event-stream")
                .refuses(400, "invalid_last_event_id"),
        ),
    ]
}

fn telling() -> Vec<Route> {
    vec![
        get(
            "/api/v1/push/web-push-key",
            routing::get(web_push_key),
            doc("getWebPushKey", "The key with which browsers subscribe", Access::Anyone)
                .detail(
                    "For `applicationServerKey` of `pushManager.subscribe()`: the server's VAPID public key (RFC 8292), an uncompressed P-256 \
                     point in base64url. Subscriptions are bound to it, so an app whose subscription names another key subscribes anew.",
                )
                .gives(200, "The key.", "WebPushKey"),
        ),
        post(
            "/api/v1/device/receipts",
            routing::post(receipts),
            doc("sendReceipts", "Confirm notifications", Access::Device)
                .detail("Up to 500 at once; a repeat is no error.")
                .sends("Receipts")
                .gives(200, "How many were new.", "ReceiptsTaken"),
        ),
        put(
            REGISTRATION,
            routing::put(register),
            doc("registerDevice", "Register this device with its push service", Access::Device)
                .detail("Whenever the push service gives the app a token: the same service, app and environment are replaced.")
                .sends("NewRegistration")
                .gives(200, "The registration.", "Registration")
                .refuses(409, "import_in_progress"),
        ),
        delete(
            REGISTRATION,
            routing::delete(unregister),
            doc("unregisterDevice", "Give up this device's registrations", Access::Device)
                .needed_query("service", "With which service.", shape::words(Service::ALL.iter().map(|s| s.word()).collect()))
                .query("app", "Only of this app.", shape::text())
                .query("environment", "Only in this environment.", shape::words(Environment::ALL.iter().map(|e| e.word()).collect()))
                .gives_nothing("They are gone.")
                .refuses(404, "not_found"),
        ),
        get(
            PREFERENCES,
            routing::get(preferences),
            doc("getPreferences", "Show this device's preferences", Access::Device).gives(200, "The preferences.", "Preferences"),
        ),
        put(
            PREFERENCES,
            routing::put(set_preferences),
            doc("setPreferences", "Change this device's preferences", Access::Device)
                .detail("What is left out stays. Quiet hours are the user's and hold on all their devices.")
                .sends("PreferencesChange")
                .gives(200, "The preferences as they are now.", "Preferences")
                .refuses(409, "import_in_progress"),
        ),
    ]
}

async fn enrol(State(app): State<App>, creation: Creation) -> Reply {
    let Creation { body, key, request, path } = creation;
    let repeat = key.map(|key| Repeat { key, request, place: path });
    let may_be_repeated = repeat.is_some();
    let view = app.engine.enrol(parse::<EnrolDraft>(&body)?, repeat).await?;
    let mut response = json(StatusCode::CREATED, &view);
    if may_be_repeated && view.token.is_none() {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn inbox(State(app): State<App>, asker: Asker, Query(query): Query<InboxQuery>) -> Reply {
    ok(&app.engine.device_inbox(&asker.actor, query).await?)
}

/// Some receipts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptsDraft {
    #[serde(default)]
    receipts: Vec<ReceiptDraft>,
}

async fn receipts(State(app): State<App>, asker: Asker, Json(draft): Json<ReceiptsDraft>) -> Reply {
    ok(&app.engine.receive_receipts(&asker.actor, draft.receipts).await?)
}

async fn register(State(app): State<App>, asker: Asker, Json(draft): Json<RegistrationDraft>) -> Reply {
    ok(&app.engine.set_device_registration(&asker.actor, draft).await?)
}

async fn unregister(State(app): State<App>, asker: Asker, Query(query): Query<RegistrationQuery>) -> Reply {
    app.engine.delete_device_registration(&asker.actor, query).await?;
    nothing()
}

/// The answer to [`web_push_key`].
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebPushKey<'a> {
    public_key: &'a str,
}

async fn web_push_key(State(app): State<App>) -> Reply {
    ok(&WebPushKey { public_key: &app.extras.web_push_key })
}

async fn preferences(State(app): State<App>, asker: Asker) -> Reply {
    ok(&app.engine.device_preferences(&asker.actor).await?)
}

async fn set_preferences(State(app): State<App>, asker: Asker, Json(draft): Json<PreferencesDraft>) -> Reply {
    ok(&app.engine.set_device_preferences(&asker.actor, draft).await?)
}
