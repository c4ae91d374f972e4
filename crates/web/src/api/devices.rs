//! Devices and their registrations with push services.

use crate::App;
use crate::answer::{self, Made, Reply, nothing, ok, versioned};
use crate::ask::{Asker, Creation, Ids, IfMatch, Json, Query};
use crate::openapi::shape;
use crate::routes::{Access, Doc, Route, delete, get, patch, post};
use axum::extract::State;
use axum::routing;
use engine::admin::devices::{DeviceDraft, DeviceQuery, DeviceView};
use engine::admin::registrations::{RegistrationDraft, RegistrationView};
use model::directory::Platform;
use model::roles::Permission;

const READ: Access = Access::Admin(Permission::DirectoryRead);
const WRITE: Access = Access::Admin(Permission::DirectoryWrite);
const ALL: &str = "/api/v1/devices";
const ONE: &str = "/api/v1/devices/{id}";
const REGISTRATIONS: &str = "/api/v1/devices/{id}/registrations";
const REGISTRATION: &str = "/api/v1/devices/{id}/registrations/{registrationId}";

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("Devices", id, summary, access)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    let mut routes = device_routes();
    routes.extend(registration_routes());
    routes
}

fn device_routes() -> Vec<Route> {
    vec![
        get(
            ALL,
            routing::get(list),
            doc("listDevices", "List devices", READ)
                .query("search", "Part of the name or external id, without case.", shape::text())
                .query("owner", "The owner: id, external id or UPN.", shape::text())
                .query("platform", "What the device runs.", shape::words(Platform::ALL.iter().map(|p| p.word()).collect()))
                .query("name", "The exact name.", shape::text())
                .query("externalId", "The exact external id.", shape::text())
                .paged()
                .gives(200, "A page of devices.", "DevicePage"),
        ),
        post(
            ALL,
            routing::post(create),
            doc("createDevice", "Create a device", WRITE)
                .sends("NewDevice")
                .creates()
                .gives(201, "The new device.", "Device")
                .etag()
                .location()
                .refuses(409, "taken")
                .refuses(409, "import_in_progress"),
        ),
        get(
            ONE,
            routing::get(show),
            doc("getDevice", "Show a device", READ).id("id", "The device's id.").gives(200, "The device.", "Device").etag(),
        ),
        patch(
            ONE,
            routing::patch(change),
            doc("updateDevice", "Change a device", WRITE)
                .detail("Fields that are left out stay as they are; null clears a field.")
                .id("id", "The device's id.")
                .sends("DeviceChange")
                .conditional()
                .gives(200, "The device as it is now.", "Device")
                .etag()
                .refuses(409, "taken")
                .refuses(409, "import_in_progress"),
        ),
        delete(
            ONE,
            routing::delete(remove),
            doc("deleteDevice", "Delete a device", WRITE)
                .detail("Its registrations, memberships and tokens go too.")
                .id("id", "The device's id.")
                .conditional()
                .gives_nothing("The device is gone.")
                .refuses(409, "import_in_progress"),
        ),
    ]
}

fn registration_routes() -> Vec<Route> {
    vec![
        get(
            REGISTRATIONS,
            routing::get(registrations),
            doc("listRegistrations", "List a device's registrations", READ)
                .detail("All of them in one page. Tokens are shown by their first characters, auth secrets not at all.")
                .id("id", "The device's id.")
                .gives(200, "The registrations.", "RegistrationPage"),
        ),
        post(
            REGISTRATIONS,
            routing::post(register),
            doc("createRegistration", "Register a device with a push service", WRITE)
                .detail(
                    "APNs and FCM take a token, WNS its channel URL as endpoint, Web Push endpoint, p256dh and auth. The same service, app and \
                     environment are replaced; the same address on another device is retired there.",
                )
                .id("id", "The device's id.")
                .sends("NewRegistration")
                .creates()
                .gives(201, "The registration.", "Registration")
                .location()
                .refuses(409, "import_in_progress"),
        ),
        delete(
            REGISTRATION,
            routing::delete(unregister),
            doc("deleteRegistration", "Remove a registration", WRITE)
                .id("id", "The device's id.")
                .id("registrationId", "The registration's id.")
                .gives_nothing("The registration is gone.")
                .refuses(409, "import_in_progress"),
        ),
    ]
}

async fn list(State(app): State<App>, asker: Asker, Query(query): Query<DeviceQuery>) -> Reply {
    ok(&app.engine.devices(&asker.actor, query).await?)
}

async fn create(State(app): State<App>, asker: Asker, creation: Creation) -> Reply {
    let work = |draft: DeviceDraft, repeat| app.engine.create_device(&asker.actor, draft, repeat);
    answer::create(&app, &asker, creation, None, work, |device: &DeviceView| Made {
        id: Some(device.id),
        version: Some(device.version),
        ..Made::default()
    })
    .await
}

async fn show(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    let device = app.engine.device(&asker.actor, id).await?;
    versioned(&device, device.version)
}

async fn change(
    State(app): State<App>,
    asker: Asker,
    Ids([id]): Ids<1>,
    IfMatch(expected): IfMatch,
    Json(draft): Json<DeviceDraft>,
) -> Reply {
    let device = app.engine.update_device(&asker.actor, id, draft, expected).await?;
    versioned(&device, device.version)
}

async fn remove(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, IfMatch(expected): IfMatch) -> Reply {
    app.engine.delete_device(&asker.actor, id, expected).await?;
    nothing()
}

async fn registrations(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    ok(&app.engine.registrations(&asker.actor, id).await?)
}

async fn register(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, creation: Creation) -> Reply {
    let work = |draft: RegistrationDraft, repeat| app.engine.create_registration(&asker.actor, id, draft, repeat);
    answer::create(&app, &asker, creation, None, work, |made: &RegistrationView| Made { id: Some(made.id), ..Made::default() }).await
}

async fn unregister(State(app): State<App>, asker: Asker, Ids([device, id]): Ids<2>) -> Reply {
    app.engine.delete_registration(&asker.actor, device, id).await?;
    nothing()
}
