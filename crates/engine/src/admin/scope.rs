//! Permission and scope: whether an actor may do something at all, and to whom. A grant whose scope is some groups reaches
//! these groups, those nested in them, the people in them, and the devices of these people or in these groups. Several
//! grants add up for each permission by itself: a scope never lends itself to a permission of another grant.

use crate::Engine;
use model::directory::{Member, MemberKind};
use model::roles::{Actor, Permission, Scope};
use model::{DeviceKey, GroupKey, PersonKey, Refusal};
use roaring::RoaringBitmap;
use std::collections::HashSet;

/// What an actor sees, worked out once per operation.
#[derive(Clone, Debug)]
pub(crate) enum Sight {
    /// The whole organization.
    Everything,
    /// A part of it.
    Part {
        /// Everybody in the groups, nested ones included.
        people: RoaringBitmap,
        /// The groups and those nested in them.
        groups: HashSet<GroupKey>,
    },
}

impl Sight {
    pub fn person(&self, key: PersonKey) -> bool {
        match self {
            Sight::Everything => true,
            Sight::Part { people, .. } => people.contains(key.0),
        }
    }

    pub fn group(&self, key: GroupKey) -> bool {
        match self {
            Sight::Everything => true,
            Sight::Part { groups, .. } => groups.contains(&key),
        }
    }
}

impl Engine {
    /// The actor's token id and what the actor sees, when it holds the permission.
    ///
    /// # Errors
    /// `forbidden`, naming the permission.
    pub(crate) fn allow(&self, actor: &Actor, permission: Permission) -> crate::Result<Sight> {
        self.allow_any(actor, &[permission])
    }

    /// As [`Engine::allow`], where any of several permissions is enough; the refusal names the first.
    ///
    /// # Errors
    /// `forbidden`, naming the permission.
    pub(crate) fn allow_any(&self, actor: &Actor, permissions: &[Permission]) -> crate::Result<Sight> {
        let Actor::Admin { grants, name, .. } = actor else {
            return Err(Refusal::forbidden("this operation is for administrators; a device's token cannot do it"));
        };
        let mut held = grants.iter().filter(|grant| permissions.iter().any(|one| grant.permissions.has(*one))).peekable();
        if held.peek().is_none() {
            let wanted = permissions.first().map_or("", |one| one.word());
            return Err(Refusal::forbidden(format!(
                "this needs the permission {wanted}, which {name:?} does not have; ask an owner for a role that has it"
            )));
        }
        let mut reached: Vec<GroupKey> = Vec::new();
        for grant in held {
            match &grant.scope {
                Scope::Everything => return Ok(Sight::Everything),
                Scope::Groups(groups) => reached.extend(groups),
            }
        }
        Ok(Sight::Part { people: self.inner.roster.people_of(&reached), groups: self.inner.roster.groups_within(&reached) })
    }

    /// As [`Engine::allow`], for what concerns the whole organization: a scope of some groups is not enough.
    ///
    /// # Errors
    /// `forbidden`; `out_of_scope`.
    pub(crate) fn allow_everywhere(&self, actor: &Actor, permission: Permission) -> crate::Result<()> {
        match self.allow(actor, permission)? {
            Sight::Everything => Ok(()),
            Sight::Part { .. } => Err(out_of_scope("this concerns the whole organization, and the token's scope is some groups")),
        }
    }

    /// Whether a device is within sight: by its owner, or as a member of a group.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn sees_device(&self, sight: &Sight, device: DeviceKey, owner: Option<PersonKey>) -> crate::Result<bool> {
        let Sight::Part { groups, .. } = sight else { return Ok(true) };
        if owner.is_some_and(|owner| sight.person(owner)) {
            return Ok(true);
        }
        let wanted = Member { kind: MemberKind::Device, key: device.0 };
        for group in groups {
            if self.is_member(*group, wanted).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn tenant_key(&self) -> model::TenantKey {
        self.inner.tenant_key()
    }

    /// Who and whose, for what an app does for itself.
    ///
    /// # Errors
    /// `forbidden` for an administrator.
    pub(crate) fn own_device(&self, actor: &Actor) -> crate::Result<(DeviceKey, PersonKey)> {
        match actor {
            Actor::Device { device, owner } => Ok((*device, *owner)),
            Actor::Admin { .. } => {
                Err(Refusal::forbidden("this operation is for apps on devices; use a token that a device got when it enrolled"))
            }
        }
    }
}

/// The thing lies outside the scope of the token.
pub(crate) fn out_of_scope(detail: impl Into<String>) -> Refusal {
    Refusal { code: "out_of_scope", ..Refusal::forbidden(detail) }
}
