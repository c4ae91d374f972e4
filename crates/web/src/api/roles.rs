//! Roles and who holds them.

use crate::App;
use crate::answer::{self, Made, Reply, nothing, ok, versioned};
use crate::ask::{Asker, Creation, Ids, IfMatch, Json, Query, Word};
use crate::openapi::shape;
use crate::routes::{Access, Doc, Route, delete, get, patch, post};
use axum::extract::State;
use axum::routing;
use engine::admin::assignments::{AssignmentDraft, AssignmentView};
use engine::admin::groups::PageQuery;
use engine::admin::roles::{RoleDraft, RoleView};
use model::roles::Permission;
use uuid::Uuid;

const READ: Access = Access::Admin(Permission::DirectoryRead);
const MANAGE: Access = Access::Admin(Permission::RolesManage);
const ROLES: &str = "/api/v1/roles";
const ROLE: &str = "/api/v1/roles/{id}";
const ASSIGNMENTS: &str = "/api/v1/role-assignments";
const ASSIGNMENT: &str = "/api/v1/role-assignments/{id}";
const ID: &str = "A built-in role's word, or the id of one's own.";

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("Rights", id, summary, access)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    let mut all = definitions();
    all.extend(assignments());
    all
}

fn definitions() -> Vec<Route> {
    vec![
        get(
            ROLES,
            routing::get(list),
            doc("listRoles", "List roles", READ).detail("The built-in ones first, then the organization's own.").paged().gives(
                200,
                "A page of roles.",
                "RolePage",
            ),
        ),
        post(
            ROLES,
            routing::post(create),
            doc("createRole", "Define a role", MANAGE)
                .detail("Nobody defines a role that may more than they may themselves in the whole organization.")
                .sends("NewRole")
                .creates()
                .gives(201, "The new role.", "Role")
                .etag()
                .location()
                .refuses(403, "beyond_own_rights")
                .refuses(409, "taken")
                .refuses(409, "too_many"),
        ),
        get(
            ROLE,
            routing::get(show),
            doc("getRole", "Show a role", READ).word("id", ID, shape::text()).gives(200, "The role.", "Role").etag(),
        ),
        patch(
            ROLE,
            routing::patch(change),
            doc("updateRole", "Change a role", MANAGE)
                .detail("Whoever holds it has the new rights within a second. Built-in roles cannot be changed.")
                .word("id", ID, shape::text())
                .sends("RoleChange")
                .conditional()
                .gives(200, "The role as it is now.", "Role")
                .etag()
                .refuses(403, "beyond_own_rights")
                .refuses(409, "built_in")
                .refuses(409, "taken"),
        ),
        delete(
            ROLE,
            routing::delete(remove),
            doc("deleteRole", "Delete a role", MANAGE)
                .detail("Only one that no assignment and no living token has.")
                .word("id", ID, shape::text())
                .conditional()
                .gives_nothing("The role is gone.")
                .refuses(409, "built_in")
                .refuses(409, "role_in_use"),
        ),
    ]
}

fn assignments() -> Vec<Route> {
    vec![
        get(
            ASSIGNMENTS,
            routing::get(list_assignments),
            doc("listRoleAssignments", "List role assignments", MANAGE)
                .detail("In the order in which they were made; ended ones too.")
                .paged()
                .gives(200, "A page of role assignments.", "RoleAssignmentPage"),
        ),
        post(
            ASSIGNMENTS,
            routing::post(create_assignment),
            doc("createRoleAssignment", "Assign a role", MANAGE)
                .detail("To people and groups, for the whole organization or for some groups, for ever or for a time.")
                .sends("NewRoleAssignment")
                .creates()
                .gives(201, "The new assignment.", "RoleAssignment")
                .etag()
                .location()
                .refuses(403, "beyond_own_rights")
                .refuses(409, "taken")
                .refuses(409, "too_many"),
        ),
        get(
            ASSIGNMENT,
            routing::get(show_assignment),
            doc("getRoleAssignment", "Show a role assignment", MANAGE)
                .id("id", "The assignment's id.")
                .gives(200, "The assignment.", "RoleAssignment")
                .etag(),
        ),
        patch(
            ASSIGNMENT,
            routing::patch(change_assignment),
            doc("updateRoleAssignment", "Change a role assignment", MANAGE)
                .detail("It holds within a second on every process.")
                .id("id", "The assignment's id.")
                .sends("RoleAssignmentChange")
                .conditional()
                .gives(200, "The assignment as it is now.", "RoleAssignment")
                .etag()
                .refuses(403, "beyond_own_rights")
                .refuses(409, "taken"),
        ),
        delete(
            ASSIGNMENT,
            routing::delete(remove_assignment),
            doc("deleteRoleAssignment", "Take a role away", MANAGE)
                .id("id", "The assignment's id.")
                .conditional()
                .gives_nothing("The assignment is gone."),
        ),
    ]
}

async fn list(State(app): State<App>, asker: Asker, Query(query): Query<PageQuery>) -> Reply {
    ok(&app.engine.roles(&asker.actor, query).await?)
}

async fn create(State(app): State<App>, asker: Asker, creation: Creation) -> Reply {
    let work = |draft: RoleDraft, repeat| app.engine.create_role(&asker.actor, draft, repeat);
    let made = |role: &RoleView| Made { id: Uuid::parse_str(&role.id).ok(), version: Some(role.version), ..Made::default() };
    answer::create(&app, &asker, creation, None, work, made).await
}

async fn show(State(app): State<App>, asker: Asker, Word(id): Word) -> Reply {
    let role = app.engine.role(&asker.actor, &id).await?;
    versioned(&role, role.version)
}

async fn change(State(app): State<App>, asker: Asker, Word(id): Word, IfMatch(expected): IfMatch, Json(draft): Json<RoleDraft>) -> Reply {
    let role = app.engine.update_role(&asker.actor, &id, draft, expected).await?;
    versioned(&role, role.version)
}

async fn remove(State(app): State<App>, asker: Asker, Word(id): Word, IfMatch(expected): IfMatch) -> Reply {
    app.engine.delete_role(&asker.actor, &id, expected).await?;
    nothing()
}

async fn list_assignments(State(app): State<App>, asker: Asker, Query(query): Query<PageQuery>) -> Reply {
    ok(&app.engine.role_assignments(&asker.actor, query).await?)
}

async fn create_assignment(State(app): State<App>, asker: Asker, creation: Creation) -> Reply {
    let work = |draft: AssignmentDraft, repeat| app.engine.create_role_assignment(&asker.actor, draft, repeat);
    let made = |held: &AssignmentView| Made { id: Some(held.id), version: Some(held.version), ..Made::default() };
    answer::create(&app, &asker, creation, None, work, made).await
}

async fn show_assignment(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    let held = app.engine.role_assignment(&asker.actor, id).await?;
    versioned(&held, held.version)
}

async fn change_assignment(
    State(app): State<App>,
    asker: Asker,
    Ids([id]): Ids<1>,
    IfMatch(expected): IfMatch,
    Json(draft): Json<AssignmentDraft>,
) -> Reply {
    let held = app.engine.update_role_assignment(&asker.actor, id, draft, expected).await?;
    versioned(&held, held.version)
}

async fn remove_assignment(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, IfMatch(expected): IfMatch) -> Reply {
    app.engine.delete_role_assignment(&asker.actor, id, expected).await?;
    nothing()
}
