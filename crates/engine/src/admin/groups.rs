//! Groups and their members. Members are people, groups or devices; nesting of any depth and cycles are fine.

use super::acts::Deed;
use super::fields::{Faults, Field, check_description};
use super::scope::{Sight, out_of_scope};
use super::users::{TRIES, check_expected};
use super::{pages, repeat};
use crate::notifications::Page;
use crate::{Engine, Repeat};
use model::directory::{Member, MemberKind, check_name};
use model::roles::{Actor, Permission};
use model::{GroupKey, PersonKey, Refusal};
use serde::{Deserialize, Serialize};
use store::{Group, GroupFields, GroupFilter, MemberRow, StoreError, Whom};
use uuid::Uuid;

/// What a caller says about a group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct GroupDraft {
    pub external_id: Field<String>,
    pub name: Field<String>,
    pub description: Field<String>,
}

/// Which groups to list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct GroupQuery {
    pub search: Option<String>,
    pub name: Option<String>,
    pub external_id: Option<String>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct GroupView {
    pub id: Uuid,
    pub external_id: Option<String>,
    pub name: String,
    pub description: String,
    pub version: i64,
}

impl GroupView {
    fn new(id: Uuid, version: i64, fields: GroupFields) -> GroupView {
        GroupView { id, external_id: fields.external_id, name: fields.name, description: fields.description, version }
    }
}

impl From<Group> for GroupView {
    fn from(group: Group) -> GroupView {
        GroupView::new(group.id, group.version, group.fields)
    }
}

/// One member to add or remove; `id` is an id, an external id, a UPN or a unique name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct MemberDraft {
    pub member_type: String,
    pub id: String,
}

/// A change of a group's members.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct MembersDraft {
    pub add: Vec<MemberDraft>,
    pub remove: Vec<MemberDraft>,
}

/// Where to go on in a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct PageQuery {
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct MemberView {
    pub member_type: MemberKind,
    pub id: Uuid,
    pub name: String,
}

/// How many members were added and removed; those that were there already, or not there, do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct MembersChangedView {
    pub added: u64,
    pub removed: u64,
}

/// Fields whose values the audit tells.
const AUDITED: [&str; 2] = ["name", "externalId"];

const LIST: &str = "groups";
const MEMBERS: &str = "members";
/// Most members in one change; more go by import.
pub const MEMBERS_MOST: usize = 1_000;
/// Up to so many members of one change are named, by pseudonym, in the audit.
const FEW: usize = 10;
/// Pages of 500 that a listing within a scope looks through at most.
const SCANS: usize = 20;

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("group", error)
}

fn apply(draft: GroupDraft, into: &mut GroupFields, faults: &mut Faults) {
    faults.optional("externalId", draft.external_id, &mut into.external_id, check_name);
    faults.text("name", draft.name, &mut into.name, check_name);
    faults.defaulted("description", draft.description, &mut into.description, "", check_description);
}

impl Engine {
    /// Some groups, by age of their record.
    ///
    /// # Errors
    /// `forbidden`; a wrong cursor or limit.
    pub async fn groups(&self, actor: &Actor, query: GroupQuery) -> crate::Result<Page<GroupView>> {
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let limit = pages::limit(query.limit)?;
        let mut after = pages::place(LIST, query.cursor.as_deref(), |s| s.parse().ok())?.map_or_else(GroupKey::default, GroupKey);
        let filter = GroupFilter { search: query.search, name: query.name, external_id: query.external_id };
        let mut found: Vec<Group> = Vec::new();
        let mut more_behind = None;
        for scan in 1..=SCANS {
            let asked = if matches!(sight, Sight::Everything) { limit + 1 } else { Engine::PAGE_MOST };
            let page = self.inner.store.groups(self.tenant_key(), filter.clone(), after, asked).await.map_err(wrong)?;
            let full = page.len() == asked as usize;
            after = page.last().map_or(after, |g| g.key);
            found.extend(page.into_iter().filter(|g| sight.group(g.key)));
            if found.len() > limit as usize || !full {
                break;
            }
            if scan == SCANS {
                more_behind = Some(pages::cursor(LIST, &after.to_string()));
            }
        }
        let mut page = pages::page(LIST, limit, found, |g| g.key.to_string(), GroupView::from);
        page.next_cursor = page.next_cursor.or(more_behind);
        Ok(page)
    }

    /// One group.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`.
    pub async fn group(&self, actor: &Actor, id: Uuid) -> crate::Result<GroupView> {
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let key = self.group_by_id(&sight, id).await?;
        Ok(self.group_row(key, id).await?.into())
    }

    async fn group_row(&self, key: GroupKey, id: Uuid) -> crate::Result<Group> {
        let group = self.inner.store.group(self.tenant_key(), key).await.map_err(wrong)?;
        group.ok_or_else(|| Refusal::not_found("group", &id.to_string()))
    }

    /// Adds a group without members.
    ///
    /// # Errors
    /// `forbidden`; every wrong field; `taken`.
    pub async fn create_group(&self, actor: &Actor, draft: GroupDraft, repeat: Option<Repeat>) -> crate::Result<GroupView> {
        if matches!(self.allow(actor, Permission::DirectoryWrite)?, Sight::Part { .. }) {
            return Err(out_of_scope("a new group is in no other group, so outside the scope of this token"));
        }
        let mut faults = Faults::default();
        let mut fields = GroupFields::default();
        apply(draft, &mut fields, &mut faults);
        faults.done()?;
        let id = Uuid::now_v7();
        let view = GroupView::new(id, 1, fields.clone());
        let once = repeat::created(actor, repeat.as_ref(), &view, &id.to_string());
        let deed = Deed::to("group.create", "group", id).changing(None::<&GroupView>, Some(&view), &AUDITED);
        let group = self.told(actor, deed).await?.create_group(self.tenant_key(), id, fields, once).await.map_err(wrong)?;
        self.inner.doorkeeper.transfers.edited();
        Ok(group.into())
    }

    /// Changes a group's name, description or external id.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`; every wrong field; `taken`; `stale`.
    pub async fn update_group(&self, actor: &Actor, id: Uuid, draft: GroupDraft, expected: Option<i64>) -> crate::Result<GroupView> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let key = self.group_by_id(&sight, id).await?;
        for tries in 1.. {
            let group = self.group_row(key, id).await?;
            check_expected("group", expected, group.version)?;
            let mut faults = Faults::default();
            let mut fields = group.fields.clone();
            apply(draft.clone(), &mut fields, &mut faults);
            faults.done()?;
            if fields == group.fields {
                return Ok(group.into());
            }
            let (old, new) = (GroupView::from(group.clone()), GroupView::new(id, group.version, fields.clone()));
            let store = self.told(actor, Deed::to("group.update", "group", id).changing(Some(&old), Some(&new), &AUDITED)).await?;
            match store.update_group(self.tenant_key(), key, Some(group.version), fields).await {
                Ok(after) => {
                    self.inner.doorkeeper.transfers.edited();
                    return Ok(after.into());
                }
                Err(StoreError::Stale { .. }) if expected.is_none() && tries < TRIES => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Removes a group, its memberships and its places in other groups. Its members stay.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`, `stale`.
    pub async fn delete_group(&self, actor: &Actor, id: Uuid, expected: Option<i64>) -> crate::Result<()> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let key = self.group_by_id(&sight, id).await?;
        let store = self.told(actor, Deed::to("group.delete", "group", id)).await?;
        store.delete_group(self.tenant_key(), key, expected).await.map_err(wrong)?;
        self.inner.doorkeeper.transfers.edited();
        self.inner.roster.changed(&self.inner).await.map_err(wrong)
    }

    /// Direct members of a group: people, then groups, then devices.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`; a wrong cursor or limit.
    pub async fn members(&self, actor: &Actor, id: Uuid, query: PageQuery) -> crate::Result<Page<MemberView>> {
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let limit = pages::limit(query.limit)?;
        let after = pages::place(MEMBERS, query.cursor.as_deref(), read_member)?;
        let key = self.group_by_id(&sight, id).await?;
        let rows = self.inner.store.members(self.tenant_key(), key, after, limit + 1).await.map_err(wrong)?;
        let place = |row: &MemberRow| format!("{}.{}", row.member.kind.number(), row.member.key);
        Ok(pages::page(MEMBERS, limit, rows, place, |row| MemberView { member_type: row.member.kind, id: row.id, name: row.name }))
    }

    /// Adds and removes members, all or nothing.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`; every wrong field.
    pub async fn change_members(
        &self,
        actor: &Actor,
        id: Uuid,
        draft: MembersDraft,
        repeat: Option<Repeat>,
    ) -> crate::Result<MembersChangedView> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let group = self.group_by_id(&sight, id).await?;
        let mut faults = Faults::default();
        if draft.add.is_empty() && draft.remove.is_empty() {
            faults.add("add", "add and remove are both empty; name at least one member");
        }
        if draft.add.len() + draft.remove.len() > MEMBERS_MOST {
            faults.add("add", format!("add and remove may name {MEMBERS_MOST} members together; use an import for more"));
            faults.done()?;
            unreachable!("a fault was just added");
        }
        let add = self.members_named(&sight, "add", &draft.add, &mut faults).await?;
        let remove = self.members_named(&sight, "remove", &draft.remove, &mut faults).await?;
        if let Some(place) = add.iter().position(|member| remove.contains(member)) {
            faults.add(format!("add[{place}]"), "is also in remove; name it in one of the two");
        }
        faults.done()?;
        if !add.is_empty() {
            self.may_fill(actor, Some(group)).await?;
        }
        self.apply_members(actor, (group, id), add, remove, repeat).await
    }

    async fn apply_members(
        &self,
        actor: &Actor,
        (group, id): (GroupKey, Uuid),
        add: Vec<Member>,
        remove: Vec<Member>,
        repeat: Option<Repeat>,
    ) -> crate::Result<MembersChangedView> {
        let turn = self.inner.roster.turn().await;
        let once = match repeat {
            None => None,
            Some(repeat) => {
                // Nobody else changes members while the turn is held, so this is what the store will answer.
                let told = MembersChangedView {
                    added: add.len() as u64 - self.members_among(group, &add).await?,
                    removed: self.members_among(group, &remove).await?,
                };
                Some(repeat::kept(actor, &repeat, 200, &told, String::new()))
            }
        };
        let deed = Deed::to("group.members", "group", id).with("add", add.len()).with("remove", remove.len()).about(few(&add, &remove));
        let changed = self.told(actor, deed).await?.change_members(self.tenant_key(), group, add.clone(), remove.clone(), once).await;
        let (added, removed) = changed.map_err(wrong)?;
        let inner = &self.inner;
        if inner.store.is_shared() {
            // Another process may have changed something in between.
            let (version, _) = inner.store.directory_version(self.tenant_key()).await.map_err(wrong)?;
            inner.roster.catch_up_in_turn(&inner.store, self.tenant_key(), version).await.map_err(wrong)?;
            inner.changed.notify_one();
        } else if (added, removed) != (0, 0) {
            // What changes nothing does not move the store's version, so it moves none here.
            inner.roster.apply(group, &add, &remove);
        }
        drop(turn);
        self.inner.doorkeeper.transfers.edited();
        Ok(MembersChangedView { added, removed })
    }

    async fn members_among(&self, group: GroupKey, members: &[Member]) -> crate::Result<u64> {
        let mut found = 0;
        for member in members {
            found += u64::from(self.is_member(group, *member).await?);
        }
        Ok(found)
    }

    /// Whether something is a direct member of a group.
    pub(super) async fn is_member(&self, group: GroupKey, member: Member) -> crate::Result<bool> {
        let before = Member { key: member.key.saturating_sub(1), ..member };
        let found = self.inner.store.members(self.tenant_key(), group, Some(before), 1).await.map_err(wrong)?;
        Ok(found.first().is_some_and(|row| row.member == member))
    }

    async fn members_named(&self, sight: &Sight, list: &str, drafts: &[MemberDraft], faults: &mut Faults) -> crate::Result<Vec<Member>> {
        let mut members = Vec::with_capacity(drafts.len());
        for (place, draft) in drafts.iter().enumerate() {
            let field = |name: &str| format!("{list}[{place}].{name}");
            let Some(kind) = MemberKind::from_word(&draft.member_type) else {
                faults.add(field("memberType"), format!("{:?} is not one of user, group, device", draft.member_type));
                continue;
            };
            if draft.id.is_empty() {
                faults.add(field("id"), "is missing; give an id, an external id or a name");
                continue;
            }
            let key = match kind {
                MemberKind::User => self.person_named(sight, &draft.id).await?.map(|named| named.key.0),
                MemberKind::Group => self.group_named(sight, &draft.id).await?.map(|named| named.key.0),
                MemberKind::Device => self.device_named(sight, &draft.id).await?.map(|named| named.key.0),
            };
            match key {
                Ok(key) if members.contains(&Member { kind, key }) => {}
                Ok(key) => members.push(Member { kind, key }),
                Err(wrong) => wrong.fault(faults, field("id"), kind, &draft.id),
            }
        }
        Ok(members)
    }
}

/// The people among the members of a change, when it is about a few only: a bulk act is told by its numbers.
fn few(add: &[Member], remove: &[Member]) -> Vec<Whom> {
    if add.len() + remove.len() > FEW {
        return Vec::new();
    }
    let people = add.iter().chain(remove).filter(|member| member.kind == MemberKind::User);
    people.map(|member| Whom::Person(PersonKey(member.key))).collect()
}

fn read_member(text: &str) -> Option<Member> {
    let (kind, key) = text.split_once('.')?;
    Some(Member { kind: MemberKind::from_number(kind.parse().ok()?)?, key: key.parse().ok()? })
}
