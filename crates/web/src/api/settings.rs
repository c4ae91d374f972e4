//! Settings.

use crate::App;
use crate::answer::{Reply, ok, versioned};
use crate::ask::{Asker, IfMatch, Json, Word};
use crate::openapi::shape;
use crate::routes::{Access, Doc, Route, delete, get, patch, put};
use axum::extract::State;
use axum::routing;
use engine::admin::settings::{SettingDraft, SettingsDraft};
use model::roles::Permission;

const READ: Access = Access::Admin(Permission::DirectoryRead);
const ALL: &str = "/api/v1/settings";
const ONE: &str = "/api/v1/settings/{key}";

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("Settings", id, summary, access)
}

fn about_one(id: &'static str, summary: &'static str, access: Access) -> Doc {
    let key = shape::text().example("push.apns.enabled");
    doc(id, summary, access).word("key", "The setting's name.", key)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        get(
            ALL,
            routing::get(list),
            doc("listSettings", "List settings", READ)
                .detail("All of them in one page. Help is told in the language of Accept-Language (en, fr).")
                .gives(200, "The settings.", "SettingPage"),
        ),
        patch(
            ALL,
            routing::patch(change_several),
            doc("changeSettings", "Set several values", Access::SettingOwner)
                .detail(
                    "All of them or none, as one version. Needs the permission of every setting that is named; null returns one to its \
                     default. When this is answered, nothing starts by the old values.",
                )
                .sends("SettingsChange")
                .conditional()
                .gives(200, "The settings that were named, as they are now.", "SettingPage"),
        ),
        get(ONE, routing::get(show), about_one("getSetting", "Show a setting", READ).gives(200, "The setting.", "Setting").etag()),
        put(
            ONE,
            routing::put(change),
            about_one("setSetting", "Set a value", Access::SettingOwner)
                .detail("When this is answered, nothing starts by the old value. The ETag is the version of all settings together.")
                .sends("SettingChange")
                .conditional()
                .gives(200, "The setting as it is now.", "Setting")
                .etag(),
        ),
        delete(
            ONE,
            routing::delete(reset),
            about_one("resetSetting", "Return a setting to its default", Access::SettingOwner)
                .conditional()
                .gives(200, "The setting as it is now.", "Setting")
                .etag(),
        ),
    ]
}

async fn list(State(app): State<App>, asker: Asker) -> Reply {
    ok(&app.engine.settings(&asker.actor, asker.locale)?)
}

async fn change_several(State(app): State<App>, asker: Asker, IfMatch(expected): IfMatch, Json(draft): Json<SettingsDraft>) -> Reply {
    ok(&app.engine.change_settings(&asker.actor, draft, expected, asker.locale).await?)
}

async fn show(State(app): State<App>, asker: Asker, Word(key): Word) -> Reply {
    let setting = app.engine.read_setting(&asker.actor, &key, asker.locale)?;
    versioned(&setting, setting.version)
}

async fn change(
    State(app): State<App>,
    asker: Asker,
    Word(key): Word,
    IfMatch(expected): IfMatch,
    Json(draft): Json<SettingDraft>,
) -> Reply {
    let setting = app.engine.set_setting(&asker.actor, &key, Some(draft.value), expected, asker.locale).await?;
    versioned(&setting, setting.version)
}

async fn reset(State(app): State<App>, asker: Asker, Word(key): Word, IfMatch(expected): IfMatch) -> Reply {
    let setting = app.engine.set_setting(&asker.actor, &key, None, expected, asker.locale).await?;
    versioned(&setting, setting.version)
}
