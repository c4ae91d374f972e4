//! The audit, and everything about one person: to be read, and to be gone.

use crate::App;
use crate::answer::{Reply, ok};
use crate::ask::{Asker, Ids, Json, Query};
use crate::openapi::shape;
use crate::routes::{Access, Doc, Route, get, post};
use axum::extract::State;
use axum::routing;
use engine::admin::audit::AuditQuery;
use engine::admin::personal::ErasureDraft;
use model::roles::Permission;

const READ: Access = Access::Admin(Permission::AuditRead);
const OWN: Access = Access::Admin(Permission::SettingsManage);

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("Audit", id, summary, access)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        get(
            "/api/v1/audit",
            routing::get(list),
            doc("listAudit", "List the audit", READ)
                .detail(
                    "Oldest first. Every entry is a link of one chain: its `hash` is SHA-256 over the entry without the member `hash`, as JSON \
                     with sorted keys and without blanks, and its `previous` is the hash of the entry before. People appear under pseudonyms.",
                )
                .query("from", "The sequence to begin with; 1 is the oldest.", shape::number_of(1, i64::MAX))
                .query("user", "Only entries that name this person: an id, external id or UPN.", shape::text())
                .paged()
                .gives(200, "A page of entries.", "AuditPage")
                .refuses(404, "not_found")
                .refuses(409, "ambiguous_name"),
        ),
        get(
            "/api/v1/audit/head",
            routing::get(head),
            doc("auditHead", "Sign where the audit ends", READ)
                .detail(
                    "Keep it outside this server: with it, `carillon audit verify --head FILE` finds out later whether anything up to here was \
                     changed, removed or cut off. The signature (Ed25519) is over the object without the member `signature`, as JSON with sorted \
                     keys and without blanks.",
                )
                .gives(200, "The signed head.", "AuditHead"),
        ),
        get(
            "/api/v1/users/{id}/data",
            routing::get(data),
            doc("exportPersonalData", "Everything about one user", OWN)
                .detail("What the directory, devices, notifications, receipts and the audit say about the user, as one document.")
                .id("id", "The user's id.")
                .gives(200, "The document.", "PersonalData"),
        ),
        post(
            "/api/v1/users/{id}/erasure",
            routing::post(erase),
            doc("eraseUser", "Erase a user and everything about them", OWN)
                .detail(
                    "The user, their devices, registrations, tokens, memberships, inbox and receipts, texts that were for them alone, and the key of \
                     their pseudonym in the audit. The numbers of notifications stay right and the audit stays whole; neither leads to anybody. It \
                     cannot be undone.",
                )
                .id("id", "The user's id.")
                .sends("Erasure")
                .gives(200, "What went.", "Erased")
                .refuses(409, "import_in_progress"),
        ),
    ]
}

async fn list(State(app): State<App>, asker: Asker, Query(query): Query<AuditQuery>) -> Reply {
    ok(&app.engine.audit(&asker.actor, query).await?)
}

async fn head(State(app): State<App>, asker: Asker) -> Reply {
    ok(&app.engine.audit_head(&asker.actor).await?)
}

async fn data(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    ok(&app.engine.personal_data(&asker.actor, id).await?)
}

async fn erase(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>, Json(draft): Json<ErasureDraft>) -> Reply {
    ok(&app.engine.erase_user(&asker.actor, id, draft).await?)
}
