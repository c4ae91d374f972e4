//! Who may do what: permissions, the built-in roles, and the actor in whose name something is done.

use crate::ids::{DeviceKey, GroupKey, PersonKey};
use crate::words;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

words! {
    /// One right. The names follow SPEC §4 and §10.
    Permission {
        /// Roles, tokens, providers, retention, limits.
        SettingsManage = 1 "Settings/Manage",
        /// Push switches, quiet hours, mobility policies.
        PushSwitches = 2 "Push/Manage",
        /// Send to groups and persons, cancel, resend.
        OrganizationUpdate = 3 "Organization/Update",
        /// The narrower form of the same for custom notifications alone.
        SendToGroups = 4 "Notifications/SendToGroups",
        /// Send to one device.
        SendToDevice = 5 "RemoteTasks/SendCustomNotification",
        /// Change the directory, import.
        DirectoryWrite = 6 "Directory/Write",
        /// See people, devices, decisions.
        DirectoryRead = 7 "Directory/Read",
        /// See message texts and the audit.
        ContentRead = 8 "Content/Read",
        /// See the texts of one's own sends.
        ContentReadOwn = 9 "Content/ReadOwn",
        /// Issue and revoke tokens.
        TokensManage = 10 "Tokens/Manage",
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(pub u32);

impl Permissions {
    /// Of these.
    pub fn of(list: &[Permission]) -> Permissions {
        Permissions(list.iter().fold(0, |bits, p| bits | (1 << p.number())))
    }

    /// Every one.
    pub fn all() -> Permissions {
        Permissions::of(Permission::ALL)
    }

    /// Whether `one` is among them.
    pub fn has(self, one: Permission) -> bool {
        self.0 & (1 << one.number()) != 0
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Permissions) -> Permissions {
        Permissions(self.0 | other.0)
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        Permission::ALL.iter().filter(|p| self.has(**p)).map(|p| p.word()).collect()
    }
}

words! {
    /// The built-in roles of SPEC §10.
    Role {
        /// May do everything.
        Owner = 1 "owner",
        /// Push switches and notifications.
        NotificationAdmin = 2 "notification-admin",
        /// One device, one user.
        HelpDesk = 3 "help-desk",
        /// Sees texts and audit.
        Auditor = 4 "auditor",
        /// Sees people, devices and decisions.
        Reader = 5 "reader",
    }
}

impl Role {
    /// What the role may do.
    pub fn permissions(self) -> Permissions {
        use Permission::*;
        match self {
            Role::Owner => Permissions::all(),
            Role::NotificationAdmin => {
                Permissions::of(&[PushSwitches, OrganizationUpdate, SendToGroups, SendToDevice, DirectoryRead, ContentReadOwn])
            }
            Role::HelpDesk => Permissions::of(&[SendToDevice, DirectoryRead]),
            Role::Auditor => Permissions::of(&[DirectoryRead, ContentRead]),
            Role::Reader => Permissions::of(&[DirectoryRead]),
        }
    }
}

/// What a role assignment may touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// The whole organization.
    Everything,
    /// These groups, what is nested in them, and the people and devices there.
    Groups(Vec<GroupKey>),
}

/// In whose name something is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Actor {
    /// An administrator or a program of theirs.
    Admin {
        /// The token by which they came.
        token: Uuid,
        /// The name shown as the sender.
        name: String,
        /// What they may do.
        permissions: Permissions,
        /// Where.
        scope: Scope,
    },
    /// An app on a person's device.
    Device {
        /// Which.
        device: DeviceKey,
        /// Whose.
        owner: PersonKey,
    },
}

impl Actor {
    /// Whether the actor holds a permission, anywhere.
    pub fn may(&self, one: Permission) -> bool {
        match self {
            Actor::Admin { permissions, .. } => permissions.has(one),
            Actor::Device { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_desk_may_send_to_one_device_and_not_to_groups() {
        let rights = Role::HelpDesk.permissions();
        assert!(rights.has(Permission::SendToDevice) && !rights.has(Permission::OrganizationUpdate));
        assert!(!Role::Reader.permissions().has(Permission::ContentRead));
        assert!(Permission::ALL.iter().all(|p| Role::Owner.permissions().has(*p)));
    }
}
