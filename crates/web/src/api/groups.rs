//! Groups and their members.

use crate::App;
use crate::answer::{self, Made, Reply, nothing, ok, versioned};
use crate::ask::{Asker, Creation, Ids, IfMatch, Json, Query};
use crate::openapi::shape;
use crate::routes::{Access, Doc, Route, delete, get, patch, post};
use axum::extract::State;
use axum::routing;
use engine::admin::groups::{GroupDraft, GroupQuery, GroupView, MembersChangedView, MembersDraft, PageQuery};
use http::StatusCode;
use model::roles::Permission;

const READ: Access = Access::Admin(Permission::DirectoryRead);
const WRITE: Access = Access::Admin(Permission::DirectoryWrite);
const ALL: &str = "/api/v1/groups";
const ONE: &str = "/api/v1/groups/{id}";
const MEMBERS: &str = "/api/v1/groups/{id}/members";

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("Groups", id, summary, access)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        get(
            ALL,
            routing::get(list),
            doc("listGroups", "List groups", READ)
                .query("search", "Part of the name or external id, without case.", shape::text())
                .query("name", "The exact name.", shape::text())
                .query("externalId", "The exact external id.", shape::text())
                .paged()
                .gives(200, "A page of groups.", "GroupPage"),
        ),
        post(
            ALL,
            routing::post(create),
            doc("createGroup", "Create a group", WRITE)
                .sends("NewGroup")
                .creates()
                .gives(201, "The new group, without members.", "Group")
                .etag()
                .location()
                .refuses(409, "taken")
                .refuses(409, "import_in_progress"),
        ),
        get(
            ONE,
            routing::get(show),
            doc("getGroup", "Show a group", READ).id("id", "The group's id.").gives(200, "The group.", "Group").etag(),
        ),
        patch(
            ONE,
            routing::patch(change),
            doc("updateGroup", "Change a group", WRITE)
                .id("id", "The group's id.")
                .sends("GroupChange")
                .conditional()
                .gives(200, "The group as it is now.", "Group")
                .etag()
                .refuses(409, "taken")
                .refuses(409, "import_in_progress"),
        ),
        delete(
            ONE,
            routing::delete(remove),
            doc("deleteGroup", "Delete a group", WRITE)
                .detail("Its members stay; its places in other groups go.")
                .id("id", "The group's id.")
                .conditional()
                .gives_nothing("The group is gone.")
                .refuses(409, "import_in_progress"),
        ),
        get(
            MEMBERS,
            routing::get(members),
            doc("listMembers", "List members", READ)
                .detail("Direct members: users, then groups, then devices.")
                .id("id", "The group's id.")
                .paged()
                .gives(200, "A page of members.", "MemberPage"),
        ),
        post(
            MEMBERS,
            routing::post(change_members),
            doc("changeMembers", "Add and remove members", WRITE)
                .detail("All or nothing; who is a member already, or is not one, is no error. At most 1,000 at once.")
                .id("id", "The group's id.")
                .sends("MembersChange")
                .creates()
                .gives(200, "How many members changed.", "MembersChanged")
                .refuses(403, "beyond_own_rights")
                .refuses(409, "import_in_progress"),
        ),
    ]
}

async fn list(State(app): State<App>, asker: Asker, Query(query): Query<GroupQuery>) -> Reply {
    ok(&app.engine.groups(&asker.actor, query).await?)
}

async fn create(State(app): State<App>, asker: Asker, creation: Creation) -> Reply {
    let work = |draft: GroupDraft, repeat| app.engine.create_group(&asker.actor, draft, repeat);
    answer::create(&app, &asker, creation, None, work, |group: &GroupView| Made {
        id: Some(group.id),
        version: Some(group.version),
        ..Made::default()
    })
    .await
}

async fn show(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    let group = app.engine.group(&asker.actor, id).await?;
    versioned(&group, group.version)
}

async fn change(
    State(app): State<App>,
    asker: Asker,
    Ids([id]): Ids<1>,
    IfMatch(expected): IfMatch,
    Json(draft): Json<GroupDraft>,
) -> Reply {
    let group = app.engine.update_group(&asker.actor, id, draft, expected).await?;
    versioned(&group, group.version)
}

async fn remove(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, IfMatch(expected): IfMatch) -> Reply {
    app.engine.delete_group(&asker.actor, id, expected).await?;
    nothing()
}

async fn members(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, Query(query): Query<PageQuery>) -> Reply {
    ok(&app.engine.members(&asker.actor, id, query).await?)
}

async fn change_members(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, creation: Creation) -> Reply {
    let work = |draft: MembersDraft, repeat| app.engine.change_members(&asker.actor, id, draft, repeat);
    answer::create(&app, &asker, creation, None, work, |_: &MembersChangedView| Made { status: Some(StatusCode::OK), ..Made::default() })
        .await
}
