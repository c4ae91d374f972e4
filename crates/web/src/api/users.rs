//! People and their enrolment codes.

use crate::App;
use crate::answer::{self, Made, Reply, nothing, ok, versioned};
use crate::ask::{Asker, Creation, Ids, IfMatch, Json, Query};
use crate::openapi::shape;
use crate::routes::{Access, Doc, Route, delete, get, patch, post};
use axum::extract::State;
use axum::routing;
use engine::admin::enrolment::CodeView;
use engine::admin::users::{UserDraft, UserQuery, UserView};
use model::roles::Permission;
use serde::Deserialize;

const READ: Access = Access::Admin(Permission::DirectoryRead);
const WRITE: Access = Access::Admin(Permission::DirectoryWrite);
const ALL: &str = "/api/v1/users";
const ONE: &str = "/api/v1/users/{id}";
const CODES: &str = "/api/v1/users/{id}/enrolment-codes";

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("Users", id, summary, access)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        get(
            ALL,
            routing::get(list),
            doc("listUsers", "List users", READ)
                .query("search", "Part of the UPN, name, external id or mail address, without case.", shape::text())
                .query("upn", "The exact UPN, without case.", shape::text())
                .query("externalId", "The exact external id.", shape::text())
                .query("active", "Active users only, or inactive ones only.", shape::flag())
                .paged()
                .gives(200, "A page of users.", "UserPage"),
        ),
        post(
            ALL,
            routing::post(create),
            doc("createUser", "Create a user", WRITE)
                .sends("NewUser")
                .creates()
                .gives(201, "The new user.", "User")
                .etag()
                .location()
                .refuses(409, "taken")
                .refuses(409, "import_in_progress"),
        ),
        get(ONE, routing::get(show), doc("getUser", "Show a user", READ).id("id", "The user's id.").gives(200, "The user.", "User").etag()),
        patch(
            ONE,
            routing::patch(change),
            doc("updateUser", "Change a user", WRITE)
                .detail(
                    "Fields that are left out stay as they are; null clears a field or returns it to its default. A user who is deactivated \
                     loses registrations, device tokens and open codes at once, open streams are closed, and what waits is suppressed as \
                     person_inactive.",
                )
                .id("id", "The user's id.")
                .sends("UserChange")
                .conditional()
                .gives(200, "The user as it is now.", "User")
                .etag()
                .refuses(409, "taken")
                .refuses(409, "import_in_progress"),
        ),
        delete(
            ONE,
            routing::delete(remove),
            doc("deleteUser", "Delete a user", WRITE)
                .detail("Their devices stay and belong to nobody; their registrations and device tokens go.")
                .id("id", "The user's id.")
                .conditional()
                .gives_nothing("The user is gone.")
                .refuses(409, "import_in_progress"),
        ),
        post(
            CODES,
            routing::post(create_code),
            doc("createEnrolmentCode", "Make an enrolment code", WRITE)
                .detail("A single-use code of 24 hours, for the user to type into the app on a new device. It is shown once.")
                .id("id", "The user's id.")
                .creates()
                .gives(201, "The code.", "EnrolmentCode")
                .refuses(409, "person_inactive"),
        ),
    ]
}

async fn list(State(app): State<App>, asker: Asker, Query(query): Query<UserQuery>) -> Reply {
    ok(&app.engine.users(&asker.actor, query).await?)
}

async fn create(State(app): State<App>, asker: Asker, creation: Creation) -> Reply {
    let work = |draft: UserDraft, repeat| app.engine.create_user(&asker.actor, draft, repeat);
    answer::create(&app, &asker, creation, None, work, |user: &UserView| Made {
        id: Some(user.id),
        version: Some(user.version),
        ..Made::default()
    })
    .await
}

async fn show(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    let user = app.engine.user(&asker.actor, id).await?;
    versioned(&user, user.version)
}

async fn change(
    State(app): State<App>,
    asker: Asker,
    Ids([id]): Ids<1>,
    IfMatch(expected): IfMatch,
    Json(draft): Json<UserDraft>,
) -> Reply {
    let user = app.engine.update_user(&asker.actor, id, draft, expected).await?;
    versioned(&user, user.version)
}

async fn remove(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, IfMatch(expected): IfMatch) -> Reply {
    app.engine.delete_user(&asker.actor, id, expected).await?;
    nothing()
}

/// A request that says nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn create_code(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, creation: Creation) -> Reply {
    let work = |_: Nothing, repeat| app.engine.create_code(&asker.actor, id, repeat);
    answer::create(&app, &asker, creation, None, work, |_: &CodeView| Made::default()).await
}
