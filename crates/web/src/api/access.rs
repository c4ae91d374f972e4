//! Tokens, alarms, and who is asking.

use crate::App;
use crate::answer::{self, Made, Reply, nothing, ok};
use crate::ask::{Asker, Creation, Ids, Query};
use crate::routes::{Access, Doc, Route, delete, get, post};
use axum::extract::State;
use axum::routing;
use engine::admin::groups::PageQuery;
use engine::admin::tokens::{NewTokenView, TokenDraft};
use model::roles::Permission;

const MANAGE: Access = Access::Admin(Permission::TokensManage);
const ALL: &str = "/api/v1/tokens";

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("Access", id, summary, access)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        get(
            ALL,
            routing::get(tokens),
            doc("listTokens", "List tokens", MANAGE)
                .detail("Newest first, revoked and expired ones too; never their secrets.")
                .paged()
                .gives(200, "A page of tokens.", "TokenPage"),
        ),
        post(
            ALL,
            routing::post(create_token),
            doc("createToken", "Make a token", MANAGE)
                .detail("For a program: with a role, for the whole organization or for some groups. For a person: it may what their role assignments say.")
                .sends("NewToken")
                .creates()
                .gives(201, "The token; its secret is shown this once.", "CreatedToken")
                .location()
                .refuses(403, "beyond_own_rights"),
        ),
        delete(
            "/api/v1/tokens/{id}",
            routing::delete(revoke),
            doc("revokeToken", "Revoke a token", MANAGE)
                .detail("It ends at once.")
                .id("id", "The token's id.")
                .gives_nothing("The token is revoked.")
                .refuses(409, "last_owner"),
        ),
        get(
            "/api/v1/alarms",
            routing::get(alarms),
            doc("listAlarms", "List alarms", Access::Admin(Permission::DirectoryRead))
                .detail("What a person has to mend: open ones first, one for each code.")
                .gives(200, "The alarms.", "AlarmPage"),
        ),
        get(
            "/api/v1/me",
            routing::get(me),
            doc("whoAmI", "Who is asking", Access::Anybody).gives(200, "The token's name, role, permissions and scope.", "Me"),
        ),
    ]
}

async fn tokens(State(app): State<App>, asker: Asker, Query(query): Query<PageQuery>) -> Reply {
    ok(&app.engine.tokens(&asker.actor, query).await?)
}

async fn create_token(State(app): State<App>, asker: Asker, creation: Creation) -> Reply {
    let work = |draft: TokenDraft, repeat| app.engine.create_token(&asker.actor, draft, repeat);
    answer::create(&app, &asker, creation, None, work, |token: &NewTokenView| Made { id: Some(token.id), ..Made::default() }).await
}

async fn revoke(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    app.engine.revoke_token(&asker.actor, id).await?;
    nothing()
}

async fn alarms(State(app): State<App>, asker: Asker) -> Reply {
    ok(&app.engine.alarms(&asker.actor).await?)
}

async fn me(State(app): State<App>, asker: Asker) -> Reply {
    ok(&app.engine.me(&asker.actor).await?)
}
