//! Role assignments: which people and groups hold a role, where, and until when. A person holds what is assigned to them
//! and to the groups they are in, nested ones included; several assignments add up.

use super::acts::Deed;
use super::fields::{Faults, Field};
use super::groups::PageQuery;
use super::tokens::{ScopeDraft, ScopeView};
use super::users::{check_expected, conflict};
use super::{pages, repeat};
use crate::notifications::{NameView, Page};
use crate::{Engine, Repeat};
use model::directory::{MemberKind, check_name};
use model::objects::ObjectKind;
use model::roles::{Actor, Grant, Permission, RoleId, Scope};
use model::{GroupKey, PersonKey, Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use store::{NewObject, Object, StoreError, Whom};
use uuid::Uuid;

/// Who shall hold which role, where and how long.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct AssignmentDraft {
    pub name: Field<String>,
    /// A built-in role's word, or the id or name of one's own.
    pub role: Field<String>,
    /// People who hold it: ids, external ids or UPNs.
    pub users: Field<Vec<String>>,
    /// Groups whose people hold it: ids, external ids or unique names.
    pub groups: Field<Vec<String>>,
    /// Left out: the whole organization.
    pub scope: Field<ScopeDraft>,
    /// A span such as `8h` from now; left out: it does not end by itself.
    pub expires_in: Field<String>,
}

/// A role assignment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct AssignmentView {
    pub id: Uuid,
    pub name: String,
    /// A built-in role's word, or the name of one's own.
    pub role: String,
    /// A built-in role's word, or the id of one's own.
    pub role_id: String,
    pub users: Vec<NameView>,
    pub groups: Vec<NameView>,
    pub scope: Option<ScopeView>,
    pub expires_at: Option<Timestamp>,
    pub version: i64,
}

/// What is kept of an assignment beside its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    pub role: RoleId,
    users: Vec<PersonKey>,
    groups: Vec<GroupKey>,
    scope: Scope,
    expires_at: Option<Timestamp>,
}

const LIST: &str = "role-assignments";
/// Most assignments: they are all looked at when somebody comes.
const ASSIGNMENTS_MOST: usize = 500;
/// Most people, and most groups, in one.
const MEMBERS_MOST: usize = 100;

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("role assignment", error)
}

fn kept(object: &Object) -> crate::Result<Kept> {
    Kept::deserialize(&object.document)
        .map_err(|error| wrong(StoreError::Broken(format!("the role assignment {} cannot be read: {error}", object.id))))
}

impl Engine {
    /// Every assignment as it is kept.
    pub(super) async fn kept_assignments(&self) -> crate::Result<Vec<(Object, Kept)>> {
        let most = u32::try_from(ASSIGNMENTS_MOST).unwrap_or(u32::MAX);
        let all = self.inner.store.objects(self.tenant_key(), ObjectKind::RoleAssignment, None, most).await.map_err(wrong)?;
        all.into_iter().map(|object| kept(&object).map(|kept| (object, kept))).collect()
    }

    /// What a person holds now, and when the first of it ends.
    pub(super) async fn grants_of(&self, person: PersonKey, now: Timestamp) -> crate::Result<(Vec<Grant>, Option<Timestamp>)> {
        let (mut grants, mut until): (Vec<Grant>, Option<Timestamp>) = (Vec::new(), None);
        for (_, held) in self.kept_assignments().await? {
            let member = held.users.contains(&person) || self.inner.roster.holds(&held.groups, person);
            if !member || held.expires_at.is_some_and(|end| now >= end) {
                continue;
            }
            grants.push(Grant { permissions: self.permissions_of(held.role).await?, scope: held.scope });
            until = [until, held.expires_at].into_iter().flatten().min();
        }
        Ok((grants, until))
    }

    /// Role assignments in the order in which they were made, ended ones too.
    ///
    /// # Errors
    /// `forbidden`; a wrong cursor or limit.
    pub async fn role_assignments(&self, actor: &Actor, query: PageQuery) -> crate::Result<Page<AssignmentView>> {
        self.allow_everywhere(actor, Permission::RolesManage)?;
        let limit = pages::limit(query.limit)?;
        let after = pages::place(LIST, query.cursor.as_deref(), |s| s.parse().ok())?;
        let rows = self.inner.store.objects(self.tenant_key(), ObjectKind::RoleAssignment, after, limit + 1).await.map_err(wrong)?;
        let page = pages::page(LIST, limit, rows, |object| object.id.to_string(), |object| object);
        let mut items = Vec::with_capacity(page.items.len());
        for object in &page.items {
            items.push(self.assignment_view(object, &kept(object)?).await?);
        }
        Ok(Page { items, next_cursor: page.next_cursor })
    }

    /// One of them.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn role_assignment(&self, actor: &Actor, id: Uuid) -> crate::Result<AssignmentView> {
        self.allow_everywhere(actor, Permission::RolesManage)?;
        let object = self.assignment_object(id).await?;
        self.assignment_view(&object, &kept(&object)?).await
    }

    async fn assignment_object(&self, id: Uuid) -> crate::Result<Object> {
        let found = self.inner.store.object(self.tenant_key(), ObjectKind::RoleAssignment, id).await.map_err(wrong)?;
        found.ok_or_else(|| Refusal::not_found("role assignment", &id.to_string()))
    }

    /// Assigns a role.
    ///
    /// # Errors
    /// `forbidden`, `beyond_own_rights`; every wrong field; `taken`, `too_many`.
    pub async fn create_role_assignment(
        &self,
        actor: &Actor,
        draft: AssignmentDraft,
        repeat: Option<Repeat>,
    ) -> crate::Result<AssignmentView> {
        self.allow_everywhere(actor, Permission::RolesManage)?;
        let (name, new) = self.drafted(actor, draft, None).await?;
        if self.kept_assignments().await?.len() >= ASSIGNMENTS_MOST {
            return Err(conflict("too_many", format!("there are {ASSIGNMENTS_MOST} role assignments already; delete one")));
        }
        let id = Uuid::now_v7();
        let now = self.now();
        let document = serde_json::json!(new);
        let shape = Object { id, name: name.clone(), version: 1, document: document.clone(), created_at: now, changed_at: now };
        let view = self.assignment_view(&shape, &new).await?;
        let once = repeat::created(actor, repeat.as_ref(), &view, &id.to_string());
        let object = NewObject { id, name, document, ..NewObject::default() };
        let store = self.told(actor, deed("role.assign", id, &new, Some(&view))).await?;
        store.create_object(self.tenant_key(), ObjectKind::RoleAssignment, object, once).await.map_err(wrong)?;
        self.inner.doorkeeper.clear();
        Ok(view)
    }

    /// Changes one; it holds within a second on every process.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `beyond_own_rights`; every wrong field; `taken`; `stale`.
    pub async fn update_role_assignment(
        &self,
        actor: &Actor,
        id: Uuid,
        draft: AssignmentDraft,
        expected: Option<i64>,
    ) -> crate::Result<AssignmentView> {
        self.allow_everywhere(actor, Permission::RolesManage)?;
        let before = self.assignment_object(id).await?;
        check_expected("role assignment", expected, before.version)?;
        let (name, new) = self.drafted(actor, draft, Some((before.name.clone(), kept(&before)?))).await?;
        let object = NewObject { id, name, document: serde_json::json!(new), ..NewObject::default() };
        let shape = Object { document: object.document.clone(), name: object.name.clone(), ..before.clone() };
        let view = self.assignment_view(&shape, &new).await?;
        let store = self.told(actor, deed("role.assignment.update", id, &new, Some(&view))).await?;
        let changed = store.change_object(self.tenant_key(), ObjectKind::RoleAssignment, object, Some(before.version)).await;
        let changed = changed.map_err(wrong)?;
        self.inner.doorkeeper.clear();
        self.assignment_view(&changed, &new).await
    }

    /// Takes a role away.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `stale`.
    pub async fn delete_role_assignment(&self, actor: &Actor, id: Uuid, expected: Option<i64>) -> crate::Result<()> {
        self.allow_everywhere(actor, Permission::RolesManage)?;
        let held = kept(&self.assignment_object(id).await?)?;
        let store = self.told(actor, deed("role.unassign", id, &held, None)).await?;
        store.delete_object(self.tenant_key(), ObjectKind::RoleAssignment, id, expected).await.map_err(wrong)?;
        self.inner.doorkeeper.clear();
        Ok(())
    }

    /// Refuses to make somebody a member of a group that holds a role (`None`: of any group, by an import) to whoever could not
    /// give that role: else the right to write the directory would be every right.
    ///
    /// # Errors
    /// `beyond_own_rights`; what the store says.
    pub(super) async fn may_fill(&self, actor: &Actor, group: Option<GroupKey>) -> crate::Result<()> {
        let now = self.now();
        for (_, held) in self.kept_assignments().await? {
            let lasts = held.expires_at.is_none_or(|end| now < end);
            let leads_there = |group| self.inner.roster.groups_within(&held.groups).contains(&group);
            if lasts && group.map_or(!held.groups.is_empty(), leads_there) {
                self.may_give(actor, self.permissions_of(held.role).await?)?;
            }
        }
        Ok(())
    }

    /// Takes every role away that a person holds by name: an assignment to others too stays theirs, under a name that cannot
    /// hold the person's; one to nobody else goes.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn unassign_person(&self, actor: &Actor, person: PersonKey) -> crate::Result<()> {
        for (object, held) in self.kept_assignments().await?.into_iter().filter(|(_, held)| held.users.contains(&person)) {
            let mut left = held.clone();
            left.users.retain(|key| *key != person);
            let store = self.told(actor, deed("role.unassign", object.id, &held, None)).await?;
            if left.users.is_empty() && left.groups.is_empty() {
                store.delete_object(self.tenant_key(), ObjectKind::RoleAssignment, object.id, None).await.map_err(wrong)?;
                continue;
            }
            let name = format!("{} {}", self.role_label(left.role).await?, object.id);
            let changed = NewObject { id: object.id, name, document: serde_json::json!(left), ..NewObject::default() };
            store.change_object(self.tenant_key(), ObjectKind::RoleAssignment, changed, None).await.map_err(wrong)?;
        }
        Ok(())
    }

    /// What a draft makes of an assignment, or of none.
    async fn drafted(&self, actor: &Actor, draft: AssignmentDraft, before: Option<(String, Kept)>) -> crate::Result<(String, Kept)> {
        let mut faults = Faults::default();
        let is_new = before.is_none();
        let none =
            Kept { role: RoleId::Own(Uuid::nil()), users: Vec::new(), groups: Vec::new(), scope: Scope::Everything, expires_at: None };
        let (mut name, mut new) = before.unwrap_or_else(|| (String::new(), none));
        faults.text("name", draft.name, &mut name, check_name);
        match draft.role {
            Field::Given(role) => match self.role_named(&role).await? {
                Some(role) => new.role = role,
                None => faults.add("role", super::roles::no_such_role(&role)),
            },
            Field::Absent if !is_new => {}
            Field::Absent | Field::Null => faults.add("role", "is missing; name a role"),
        }
        self.members_drafted(draft.users, draft.groups, &mut new, &mut faults).await?;
        match draft.scope {
            Field::Absent => {}
            Field::Null => new.scope = Scope::Everything,
            given @ Field::Given(_) => new.scope = self.scope_named(given, &mut faults).await?,
        }
        match draft.expires_in {
            Field::Absent => {}
            Field::Null => new.expires_at = None,
            given @ Field::Given(_) => new.expires_at = self.token_end(given, &mut faults),
        }
        faults.done()?;
        self.may_give(actor, self.permissions_of(new.role).await?)?;
        Ok((name, new))
    }

    async fn members_drafted(
        &self,
        users: Field<Vec<String>>,
        groups: Field<Vec<String>>,
        new: &mut Kept,
        faults: &mut Faults,
    ) -> crate::Result<()> {
        let all = super::scope::Sight::Everything;
        if users.is_there() {
            new.users.clear();
            for (place, name) in within(users, "users", faults).iter().enumerate() {
                match self.person_named(&all, name).await? {
                    Ok(found) if new.users.contains(&found.key) => {}
                    Ok(found) => new.users.push(found.key),
                    Err(unresolved) => unresolved.fault(faults, format!("users[{place}]"), MemberKind::User, name),
                }
            }
        }
        if groups.is_there() {
            new.groups.clear();
            for (place, name) in within(groups, "groups", faults).iter().enumerate() {
                match self.group_named(&all, name).await? {
                    Ok(found) if new.groups.contains(&found.key) => {}
                    Ok(found) => new.groups.push(found.key),
                    Err(unresolved) => unresolved.fault(faults, format!("groups[{place}]"), MemberKind::Group, name),
                }
            }
        }
        if new.users.is_empty() && new.groups.is_empty() {
            faults.add("users", "nobody would hold the role; name at least one person or group");
        }
        Ok(())
    }

    async fn assignment_view(&self, object: &Object, kept: &Kept) -> crate::Result<AssignmentView> {
        let (store, tenant) = (&self.inner.store, self.tenant_key());
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        // Who was deleted since holds nothing and is not shown.
        for key in &kept.users {
            users.extend(store.person(tenant, *key).await.map_err(wrong)?.map(|p| NameView { id: Some(p.id), name: p.fields.upn }));
        }
        for key in &kept.groups {
            groups.extend(store.group(tenant, *key).await.map_err(wrong)?.map(|g| NameView { id: Some(g.id), name: g.fields.name }));
        }
        Ok(AssignmentView {
            id: object.id,
            name: object.name.clone(),
            role: self.role_label(kept.role).await?,
            role_id: kept.role.to_string(),
            users,
            groups,
            scope: self.scope_view(&kept.scope).await?,
            expires_at: kept.expires_at,
            version: object.version,
        })
    }
}

/// What the audit tells of an assignment: the role, its place and its end as they are now, groups by id, people under their
/// pseudonyms. Its name is free text and may hold a person's, so it is left out.
fn deed(operation: &'static str, id: Uuid, held: &Kept, now: Option<&AssignmentView>) -> Deed {
    let mut deed =
        Deed::to(operation, "role assignment", id).about(held.users.iter().map(|key| Whom::Person(*key))).with("role", held.role);
    if let Some(view) = now {
        let ids = |names: &[NameView]| names.iter().filter_map(|name| name.id).collect::<Vec<Uuid>>();
        deed = deed.with("groups", ids(&view.groups)).with("scope", view.scope.as_ref().map(|scope| ids(&scope.groups)));
        deed = deed.with("expiresAt", view.expires_at);
    }
    deed
}

/// The names of a field, if there are not too many.
fn within(field: Field<Vec<String>>, name: &str, faults: &mut Faults) -> Vec<String> {
    let names = field.given().unwrap_or_default();
    if names.len() > MEMBERS_MOST {
        faults.add(name, format!("has {} values; at most {MEMBERS_MOST} are allowed: put people into a group", names.len()));
        return Vec::new();
    }
    names
}
