//! Role definitions: the built-in ones of SPEC §10, which nobody edits, and the organization's own. Nobody defines or gives
//! a role that may more than they may themselves in the whole organization: so rights are handed down, never made up.

use super::acts::Deed;
use super::fields::{Faults, Field, check_description};
use super::groups::PageQuery;
use super::users::{check_expected, conflict};
use super::{pages, repeat};
use crate::notifications::Page;
use crate::{Engine, Repeat};
use model::directory::check_name;
use model::objects::ObjectKind;
use model::roles::{Actor, Permission, Permissions, Role, RoleId};
use model::{Refusal, RefusalKind};
use serde::{Deserialize, Serialize};
use store::{NewObject, Object, StoreError, Token, TokenUse};
use uuid::Uuid;

/// What a role is to be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RoleDraft {
    pub name: Field<String>,
    pub description: Field<String>,
    /// Names such as `Notifications/SendToGroups`.
    pub permissions: Field<Vec<String>>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct RoleView {
    /// A built-in role's word, or the id of one's own.
    pub id: String,
    pub name: String,
    pub description: String,
    /// Built-in roles are the same everywhere and cannot be changed.
    pub built_in: bool,
    pub permissions: Vec<&'static str>,
    /// Moves with every change; always 1 for a built-in role.
    pub version: i64,
}

/// What is kept of a role beside its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleDocument {
    description: String,
    permissions: Vec<String>,
}

impl RoleDocument {
    fn of(object: &Object) -> crate::Result<RoleDocument> {
        RoleDocument::deserialize(&object.document)
            .map_err(|error| wrong(StoreError::Broken(format!("the role {} cannot be read: {error}", object.id))))
    }

    /// Names that this program does not know give no right.
    fn permissions(&self) -> Permissions {
        let known = self.permissions.iter().filter_map(|name| permission(name));
        Permissions::of(&known.collect::<Vec<_>>())
    }
}

const LIST: &str = "roles";
/// What the audit tells of a role: all that it is.
const SHOWN: &[&str] = &["name", "description", "permissions"];
/// Most roles of the organization's own.
pub(super) const ROLES_MOST: usize = 200;

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("role", error)
}

fn permission(name: &str) -> Option<Permission> {
    Permission::ALL.iter().copied().find(|permission| permission.word() == name)
}

impl From<Role> for RoleView {
    fn from(role: Role) -> RoleView {
        RoleView {
            id: role.word().to_owned(),
            name: role.word().to_owned(),
            description: role.about().to_owned(),
            built_in: true,
            permissions: role.permissions().names(),
            version: 1,
        }
    }
}

fn view(object: &Object) -> crate::Result<RoleView> {
    let document = RoleDocument::of(object)?;
    Ok(RoleView {
        id: object.id.to_string(),
        name: object.name.clone(),
        permissions: document.permissions().names(),
        description: document.description,
        built_in: false,
        version: object.version,
    })
}

/// A name that no built-in role has.
fn check_role_name(text: &str) -> Result<(), String> {
    check_name(text)?;
    if Role::ALL.iter().any(|role| role.word().eq_ignore_ascii_case(text)) || Uuid::parse_str(text).is_ok() {
        return Err(format!("{text:?} is the name of a built-in role or looks like an id; take another"));
    }
    Ok(())
}

fn apply(draft: RoleDraft, name: &mut String, into: &mut RoleDocument, faults: &mut Faults) {
    faults.text("name", draft.name, name, check_role_name);
    faults.defaulted("description", draft.description, &mut into.description, "", check_description);
    match draft.permissions {
        Field::Absent if !into.permissions.is_empty() => {}
        Field::Given(names) if !names.is_empty() => {
            for (place, name) in names.iter().enumerate().filter(|(_, name)| permission(name).is_none()) {
                let all = Permissions::all().names().join(", ");
                faults.add(format!("permissions[{place}]"), format!("{name:?} is not one of {all}"));
            }
            into.permissions = names.iter().filter_map(|name| permission(name)).map(|one| one.word().to_owned()).collect();
            into.permissions.sort_unstable();
            into.permissions.dedup();
        }
        Field::Absent | Field::Null | Field::Given(_) => faults.add("permissions", "is empty; give at least one permission"),
    }
}

impl Engine {
    /// Every role: the built-in ones, then one's own in the order in which they were made.
    ///
    /// # Errors
    /// `forbidden`; a wrong cursor or limit.
    pub async fn roles(&self, actor: &Actor, query: PageQuery) -> crate::Result<Page<RoleView>> {
        self.allow(actor, Permission::DirectoryRead)?;
        let limit = pages::limit(query.limit)?;
        let after = pages::place(LIST, query.cursor.as_deref(), |s| s.parse::<usize>().ok())?.unwrap_or(0);
        let mut all: Vec<RoleView> = Role::ALL.iter().copied().map(RoleView::from).collect();
        for object in self.own_roles().await? {
            all.push(view(&object)?);
        }
        let rows: Vec<(usize, RoleView)> = (1..).zip(all).skip(after).take(limit as usize + 1).collect();
        Ok(pages::page(LIST, limit, rows, |(place, _)| place.to_string(), |(_, role)| role))
    }

    async fn own_roles(&self) -> crate::Result<Vec<Object>> {
        let most = u32::try_from(ROLES_MOST).unwrap_or(u32::MAX);
        self.inner.store.objects(self.tenant_key(), ObjectKind::Role, None, most).await.map_err(wrong)
    }

    /// One role: by a built-in role's word, or by the id or name of one's own.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn role(&self, actor: &Actor, name: &str) -> crate::Result<RoleView> {
        self.allow(actor, Permission::DirectoryRead)?;
        match self.role_named(name).await? {
            Some(RoleId::BuiltIn(role)) => Ok(role.into()),
            Some(RoleId::Own(id)) => view(&self.own_role(id).await?),
            None => Err(unknown(name)),
        }
    }

    async fn own_role(&self, id: Uuid) -> crate::Result<Object> {
        let found = self.inner.store.object(self.tenant_key(), ObjectKind::Role, id).await.map_err(wrong)?;
        found.ok_or_else(|| Refusal::not_found("role", &id.to_string()))
    }

    /// The role that a caller means; `None` where there is none.
    pub(super) async fn role_named(&self, name: &str) -> crate::Result<Option<RoleId>> {
        if let Ok(RoleId::BuiltIn(role)) = RoleId::try_from(name.to_owned()) {
            return Ok(Some(RoleId::BuiltIn(role)));
        }
        let store = &self.inner.store;
        let found = match Uuid::parse_str(name) {
            Ok(id) => store.object(self.tenant_key(), ObjectKind::Role, id).await,
            Err(_) => store.object_named(self.tenant_key(), ObjectKind::Role, name).await,
        };
        Ok(found.map_err(wrong)?.map(|object| RoleId::Own(object.id)))
    }

    /// What a role may do now; nothing when it was deleted.
    pub(super) async fn permissions_of(&self, role: RoleId) -> crate::Result<Permissions> {
        match role {
            RoleId::BuiltIn(role) => Ok(role.permissions()),
            RoleId::Own(id) => {
                let found = self.inner.store.object(self.tenant_key(), ObjectKind::Role, id).await.map_err(wrong)?;
                found.map_or(Ok(Permissions::default()), |object| Ok(RoleDocument::of(&object)?.permissions()))
            }
        }
    }

    /// How people know a role.
    pub(super) async fn role_label(&self, role: RoleId) -> crate::Result<String> {
        match role {
            RoleId::BuiltIn(role) => Ok(role.word().to_owned()),
            RoleId::Own(id) => {
                let found = self.inner.store.object(self.tenant_key(), ObjectKind::Role, id).await.map_err(wrong)?;
                Ok(found.map_or_else(|| "(deleted role)".to_owned(), |object| object.name))
            }
        }
    }

    /// Refuses to hand on what the actor may not do everywhere.
    ///
    /// # Errors
    /// `beyond_own_rights`, naming what is too much.
    pub(super) fn may_give(&self, actor: &Actor, permissions: Permissions) -> crate::Result<()> {
        let own = actor.everywhere();
        if own.include(permissions) {
            return Ok(());
        }
        let beyond: Vec<&str> = permissions.names().into_iter().filter(|name| !own.names().contains(name)).collect();
        Err(Refusal {
            code: "beyond_own_rights",
            ..Refusal::forbidden(format!(
                "nobody gives rights that they do not have in the whole organization; yours lack {}",
                beyond.join(", ")
            ))
        })
    }

    /// Defines a role.
    ///
    /// # Errors
    /// `forbidden`, `beyond_own_rights`; every wrong field; `taken`, `too_many`.
    pub async fn create_role(&self, actor: &Actor, draft: RoleDraft, repeat: Option<Repeat>) -> crate::Result<RoleView> {
        self.allow_everywhere(actor, Permission::RolesManage)?;
        let (mut name, mut document, mut faults) = (String::new(), RoleDocument::default(), Faults::default());
        apply(draft, &mut name, &mut document, &mut faults);
        faults.done()?;
        self.may_give(actor, document.permissions())?;
        if self.own_roles().await?.len() >= ROLES_MOST {
            return Err(conflict("too_many", format!("there are {ROLES_MOST} roles already; delete one that nobody holds")));
        }
        let id = Uuid::now_v7();
        let shown = RoleView {
            id: id.to_string(),
            name: name.clone(),
            description: document.description.clone(),
            built_in: false,
            permissions: document.permissions().names(),
            version: 1,
        };
        let once = repeat::created(actor, repeat.as_ref(), &shown, &id.to_string());
        let object = NewObject { id, name, document: serde_json::json!(document), ..NewObject::default() };
        let deed = Deed::to("role.create", "role", id).changing(None::<&RoleView>, Some(&shown), SHOWN);
        let store = self.told(actor, deed).await?;
        let made = store.create_object(self.tenant_key(), ObjectKind::Role, object, once).await.map_err(wrong)?;
        view(&made)
    }

    /// Changes a role of one's own; whoever holds it may the new things within a second.
    ///
    /// # Errors
    /// `forbidden`, `built_in`, `not_found`, `beyond_own_rights`; every wrong field; `taken`; `stale`.
    pub async fn update_role(&self, actor: &Actor, id: &str, draft: RoleDraft, expected: Option<i64>) -> crate::Result<RoleView> {
        self.allow_everywhere(actor, Permission::RolesManage)?;
        let before = self.own_role(changeable(id)?).await?;
        check_expected("role", expected, before.version)?;
        let (mut name, mut document, mut faults) = (before.name.clone(), RoleDocument::of(&before)?, Faults::default());
        apply(draft, &mut name, &mut document, &mut faults);
        faults.done()?;
        self.may_give(actor, document.permissions())?;
        let object = NewObject { id: before.id, name, document: serde_json::json!(document), ..NewObject::default() };
        let after = Object { document: object.document.clone(), name: object.name.clone(), ..before.clone() };
        let deed = Deed::to("role.update", "role", before.id).changing(Some(&view(&before)?), Some(&view(&after)?), SHOWN);
        let store = self.told(actor, deed).await?;
        let changed = store.change_object(self.tenant_key(), ObjectKind::Role, object, Some(before.version)).await.map_err(wrong)?;
        self.inner.doorkeeper.clear();
        view(&changed)
    }

    /// Removes a role of one's own that nobody holds.
    ///
    /// # Errors
    /// `forbidden`, `built_in`, `not_found`, `role_in_use`, `stale`.
    pub async fn delete_role(&self, actor: &Actor, id: &str, expected: Option<i64>) -> crate::Result<()> {
        self.allow_everywhere(actor, Permission::RolesManage)?;
        let id = changeable(id)?;
        let role = self.own_role(id).await?;
        check_expected("role", expected, role.version)?;
        if let Some(holder) = self.holder_of(id).await? {
            return Err(conflict("role_in_use", format!("{holder} has this role; take it away first")));
        }
        let deed = Deed::to("role.delete", "role", id).with("name", &role.name);
        self.told(actor, deed).await?.delete_object(self.tenant_key(), ObjectKind::Role, id, expected).await.map_err(wrong)?;
        self.inner.doorkeeper.clear();
        Ok(())
    }

    /// Who holds a role of one's own, as a word for people.
    async fn holder_of(&self, id: Uuid) -> crate::Result<Option<String>> {
        let held = self.kept_assignments().await?;
        if let Some((assignment, _)) = held.iter().find(|(_, kept)| kept.role == RoleId::Own(id)) {
            return Ok(Some(format!("the role assignment {:?}", assignment.name)));
        }
        let now = self.now();
        let live = |t: &Token| t.revoked_at.is_none() && t.expires_at.is_none_or(|end| end > now);
        let of_role = |t: &Token| matches!(t.opens, TokenUse::Admin { role: RoleId::Own(held), .. } if held == id);
        let mut after = None;
        loop {
            let rows = self.inner.store.tokens(self.tenant_key(), after, Engine::PAGE_MOST).await.map_err(wrong)?;
            if let Some(token) = rows.iter().find(|t| live(t) && of_role(t)) {
                return Ok(Some(format!("the token {:?}", token.name)));
            }
            match rows.last() {
                Some(last) if rows.len() == Engine::PAGE_MOST as usize => after = Some(last.id),
                _ => return Ok(None),
            }
        }
    }
}

/// The id of a role that may be changed.
fn changeable(id: &str) -> crate::Result<Uuid> {
    match RoleId::try_from(id.to_owned()) {
        Ok(RoleId::Own(id)) => Ok(id),
        Ok(RoleId::BuiltIn(role)) => Err(conflict("built_in", format!("{role} is a built-in role, which nobody changes; define your own"))),
        Err(_) => Err(unknown(id)),
    }
}

fn unknown(name: &str) -> Refusal {
    let built_in: Vec<&str> = Role::ALL.iter().map(|role| role.word()).collect();
    let detail = format!("there is no role {name:?}; built in are {}, the others have an id or a name", built_in.join(", "));
    Refusal::new(RefusalKind::NotFound, "not_found", detail)
}

/// What the fault of a field says about a role that there is not.
pub(super) fn no_such_role(name: &str) -> String {
    unknown(name).detail
}
