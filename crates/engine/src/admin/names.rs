//! From what people write to objects: an id, the id of an outside directory, a UPN (people) or a unique name. A name that
//! may mean several objects is refused with the ids of all of them; what lies outside the actor's scope is not found by
//! name and refused by id.

use super::fields::{Faults, NamedView};
use super::scope::{Sight, out_of_scope};
use crate::Engine;
use model::directory::MemberKind;
use model::roles::{Actor, Permission};
use model::{DeviceKey, GroupKey, PersonKey, Refusal, RefusalKind};
use store::Named;
use uuid::Uuid;

/// Why a name did not lead to one object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unresolved {
    /// No object bears it.
    Unknown,
    /// Several do.
    Ambiguous(Vec<Uuid>),
    /// One does, and the actor may not touch it.
    OutOfScope,
}

/// One object, or why not.
pub(crate) type Resolved<K> = Result<Named<K>, Unresolved>;

impl Unresolved {
    /// What a field at fault is told.
    pub fn message(&self, kind: MemberKind, name: &str) -> String {
        let what = what(kind);
        match self {
            Unresolved::Unknown => format!("there is no {what} {name:?}; give an id, an external id{}", also(kind)),
            Unresolved::Ambiguous(ids) => {
                format!(
                    "{name:?} is the name of {}{} {what}s; give the id of one",
                    ids.len(),
                    if ids.len() >= MOST { " or more" } else { "" }
                )
            }
            Unresolved::OutOfScope => format!("the {what} {name:?} lies outside the scope of this token"),
        }
    }

    /// Reports it as the fault of a field.
    pub fn fault(self, faults: &mut Faults, field: impl Into<String>, kind: MemberKind, name: &str) {
        let message = self.message(kind, name);
        match self {
            Unresolved::Ambiguous(ids) => faults.add_with_ids(field, message, ids),
            Unresolved::Unknown | Unresolved::OutOfScope => faults.add(field, message),
        }
    }

    /// Reports it as the refusal of a lookup.
    pub fn refusal(self, kind: MemberKind, name: &str) -> Refusal {
        let message = self.message(kind, name);
        match self {
            Unresolved::Unknown => Refusal::new(RefusalKind::NotFound, "not_found", message),
            Unresolved::Ambiguous(ids) => Refusal { ids, ..Refusal::new(RefusalKind::Conflict, "ambiguous_name", message) },
            Unresolved::OutOfScope => out_of_scope(message),
        }
    }
}

/// The store names at most so many.
const MOST: usize = 10;

fn what(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::User => "user",
        MemberKind::Group => "group",
        MemberKind::Device => "device",
    }
}

fn also(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::User => " or a user principal name",
        MemberKind::Group | MemberKind::Device => " or a name that only one has",
    }
}

/// One of the candidates. An object outside the scope does not make a visible one ambiguous.
fn one<K: Copy>(found: Vec<Named<K>>, visible: Vec<bool>) -> Resolved<K> {
    let any = !found.is_empty();
    let mut seen: Vec<Named<K>> = found.into_iter().zip(visible).filter(|(_, visible)| *visible).map(|(named, _)| named).collect();
    match (seen.len(), any) {
        (0, false) => Err(Unresolved::Unknown),
        (0, true) => Err(Unresolved::OutOfScope),
        (1, _) => Ok(seen.remove(0)),
        _ => Err(Unresolved::Ambiguous(seen.iter().map(|named| named.id).collect())),
    }
}

impl Engine {
    /// The person that `name` means.
    ///
    /// # Errors
    /// What the store says; the inner error says why there is not one.
    pub(crate) async fn person_named(&self, sight: &Sight, name: &str) -> crate::Result<Resolved<PersonKey>> {
        let found = self.inner.store.find_people(self.tenant_key(), name).await.map_err(|e| crate::refusal("user", e))?;
        let visible = found.iter().map(|named| sight.person(named.key)).collect();
        Ok(one(found, visible))
    }

    /// The group that `name` means.
    ///
    /// # Errors
    /// As [`Engine::person_named`].
    pub(crate) async fn group_named(&self, sight: &Sight, name: &str) -> crate::Result<Resolved<GroupKey>> {
        let found = self.inner.store.find_groups(self.tenant_key(), name).await.map_err(|e| crate::refusal("group", e))?;
        let visible = found.iter().map(|named| sight.group(named.key)).collect();
        Ok(one(found, visible))
    }

    /// The device that `name` means.
    ///
    /// # Errors
    /// As [`Engine::person_named`].
    pub(crate) async fn device_named(&self, sight: &Sight, name: &str) -> crate::Result<Resolved<DeviceKey>> {
        let found = self.inner.store.find_devices(self.tenant_key(), name).await.map_err(|e| crate::refusal("device", e))?;
        let visible = self.visible_devices(sight, found.iter().map(|named| named.key).collect()).await?;
        Ok(one(found, visible))
    }

    async fn visible_devices(&self, sight: &Sight, keys: Vec<DeviceKey>) -> crate::Result<Vec<bool>> {
        if matches!(sight, Sight::Everything) {
            return Ok(vec![true; keys.len()]);
        }
        let owners = self.inner.store.owners_of(self.tenant_key(), keys.clone()).await.map_err(|e| crate::refusal("device", e))?;
        let mut visible = Vec::with_capacity(keys.len());
        for key in keys {
            let owner = owners.iter().find(|(device, _)| *device == key).and_then(|(_, owner)| *owner);
            visible.push(self.sees_device(sight, key, owner).await?);
        }
        Ok(visible)
    }

    /// The person with this id.
    ///
    /// # Errors
    /// `not_found`; `out_of_scope`.
    pub(crate) async fn person_by_id(&self, sight: &Sight, id: Uuid) -> crate::Result<PersonKey> {
        let name = id.to_string();
        let found = self.person_named(sight, &name).await?.and_then(|named| same(named, id));
        found.map_err(|wrong| wrong.refusal(MemberKind::User, &name))
    }

    /// The group with this id.
    ///
    /// # Errors
    /// `not_found`; `out_of_scope`.
    pub(crate) async fn group_by_id(&self, sight: &Sight, id: Uuid) -> crate::Result<GroupKey> {
        let name = id.to_string();
        let found = self.group_named(sight, &name).await?.and_then(|named| same(named, id));
        found.map_err(|wrong| wrong.refusal(MemberKind::Group, &name))
    }

    /// The device with this id.
    ///
    /// # Errors
    /// `not_found`; `out_of_scope`.
    pub(crate) async fn device_by_id(&self, sight: &Sight, id: Uuid) -> crate::Result<DeviceKey> {
        let name = id.to_string();
        let found = self.device_named(sight, &name).await?.and_then(|named| same(named, id));
        found.map_err(|wrong| wrong.refusal(MemberKind::Device, &name))
    }

    /// Every object of a kind that `name` may mean, as far as the actor sees: none, one or several.
    ///
    /// # Errors
    /// `forbidden`; a fault of `kind`; what the store says.
    pub async fn lookup(&self, actor: &Actor, kind: &str, name: &str) -> crate::Result<Vec<NamedView>> {
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let Some(kind) = MemberKind::from_word(kind) else {
            return Err(Refusal::field("kind", format!("{kind:?} is not one of user, group, device")));
        };
        if name.is_empty() {
            return Err(Refusal::field("name", "is missing; give an id, an external id or a name"));
        }
        let (tenant, store) = (self.tenant_key(), &self.inner.store);
        let wrong = |e| crate::refusal(what(kind), e);
        Ok(match kind {
            MemberKind::User => views(store.find_people(tenant, name).await.map_err(wrong)?, |key| sight.person(key)),
            MemberKind::Group => views(store.find_groups(tenant, name).await.map_err(wrong)?, |key| sight.group(key)),
            MemberKind::Device => {
                let found = store.find_devices(tenant, name).await.map_err(wrong)?;
                let visible = self.visible_devices(&sight, found.iter().map(|named| named.key).collect()).await?;
                let mut visible = visible.into_iter();
                views(found, |_| visible.next().unwrap_or(false))
            }
        })
    }
}

/// A UUID in a path is an id and nothing else, even where some external id looks the same.
fn same<K>(named: Named<K>, id: Uuid) -> Result<K, Unresolved> {
    if named.id == id { Ok(named.key) } else { Err(Unresolved::Unknown) }
}

fn views<K: Copy>(found: Vec<Named<K>>, mut visible: impl FnMut(K) -> bool) -> Vec<NamedView> {
    let seen = found.into_iter().filter(|named| visible(named.key));
    seen.map(|named| NamedView { id: named.id, name: named.name, external_id: named.external_id }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: u32) -> Named<PersonKey> {
        Named { key: PersonKey(key), id: Uuid::from_u128(u128::from(key)), name: "ada".into(), external_id: None }
    }

    #[test]
    fn an_object_out_of_scope_does_not_make_a_visible_one_ambiguous() {
        assert_eq!(one(vec![named(1), named(2)], vec![false, true]).map(|n| n.key), Ok(PersonKey(2)));
        assert_eq!(one(vec![named(1)], vec![false]), Err(Unresolved::OutOfScope));
        assert_eq!(one::<PersonKey>(vec![], vec![]), Err(Unresolved::Unknown));
    }

    #[test]
    fn an_ambiguous_name_lists_the_ids() {
        let wrong = one(vec![named(1), named(2)], vec![true, true]).expect_err("two");
        let refusal = wrong.refusal(MemberKind::Group, "Sales");
        assert_eq!((refusal.code, refusal.ids.len()), ("ambiguous_name", 2));
        assert_eq!(refusal.detail, "\"Sales\" is the name of 2 groups; give the id of one");
    }

    #[test]
    fn a_uuid_in_a_path_is_never_an_external_id() {
        assert_eq!(same(named(1), Uuid::from_u128(1)), Ok(PersonKey(1)));
        assert_eq!(same(named(1), Uuid::from_u128(2)), Err(Unresolved::Unknown));
    }
}
