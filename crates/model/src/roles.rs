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
        /// See message texts.
        ContentRead = 8 "Content/Read",
        /// See the texts of one's own sends.
        ContentReadOwn = 9 "Content/ReadOwn",
        /// Issue and revoke tokens.
        TokensManage = 10 "Tokens/Manage",
        /// Define roles and assign them.
        RolesManage = 11 "Roles/Manage",
        /// See the audit.
        AuditRead = 12 "Audit/Read",
        /// Conferencing settings, PIN and conference ID.
        ConferencingManage = 13 "Conferencing/Manage",
        /// Send somebody their conferencing details again.
        ConferencingResend = 14 "Conferencing/Resend",
        /// Check a conference ID and a PIN, as a conferencing bridge does.
        ConferencingVerify = 18 "Conferencing/Verify",
        /// Dial plans, mailbox policies, mailboxes.
        TelephonyManage = 15 "Telephony/Manage",
        /// Modes and rules of mail apps.
        MailAppsManage = 16 "MailApps/Manage",
        /// Allow, block or release one mail app.
        MailAppsDecide = 17 "MailApps/Decide",
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

    /// Whether all of `these` are among them.
    pub fn include(self, these: Permissions) -> bool {
        self.0 & these.0 == these.0
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
        /// Conferencing.
        ConferencingAdmin = 6 "conferencing-admin",
        /// Calls and voice mail.
        TelephonyAdmin = 7 "telephony-admin",
        /// Mail apps.
        MailAccessAdmin = 8 "mail-access-admin",
    }
}

impl Role {
    /// What the role may do: the table of SPEC §10.
    pub fn permissions(self) -> Permissions {
        use Permission::*;
        match self {
            Role::Owner => Permissions::all(),
            Role::NotificationAdmin => {
                Permissions::of(&[PushSwitches, OrganizationUpdate, SendToGroups, SendToDevice, DirectoryRead, ContentReadOwn])
            }
            Role::ConferencingAdmin => Permissions::of(&[ConferencingManage, ConferencingResend, ConferencingVerify, DirectoryRead]),
            Role::TelephonyAdmin => Permissions::of(&[TelephonyManage, DirectoryRead]),
            Role::MailAccessAdmin => Permissions::of(&[MailAppsManage, MailAppsDecide, DirectoryRead]),
            Role::HelpDesk => Permissions::of(&[SendToDevice, ConferencingResend, MailAppsDecide, DirectoryRead]),
            Role::Auditor => Permissions::of(&[DirectoryRead, ContentRead, AuditRead]),
            Role::Reader => Permissions::of(&[DirectoryRead]),
        }
    }

    /// For whom it is, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Role::Owner => "May do everything, also give rights to others.",
            Role::NotificationAdmin => "Push switches, and notifications to groups, people and devices.",
            Role::ConferencingAdmin => "Conferencing settings, PINs and conference IDs.",
            Role::TelephonyAdmin => "Dial plans, mailbox policies and mailboxes.",
            Role::MailAccessAdmin => "Modes and rules of mail apps, and decisions about one app.",
            Role::HelpDesk => "One person at a time: a notification to a device, conferencing details, one mail app.",
            Role::Auditor => "Sees everything, message texts and the audit too, and changes nothing.",
            Role::Reader => "Sees people, devices and decisions.",
        }
    }
}

/// Which role: a built-in one, or one of the organization's own. Written as the word of the former, the id of the latter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum RoleId {
    /// One of SPEC §10.
    BuiltIn(Role),
    /// One that was defined here.
    Own(Uuid),
}

impl std::fmt::Display for RoleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RoleId::BuiltIn(role) => f.write_str(role.word()),
            RoleId::Own(id) => write!(f, "{id}"),
        }
    }
}

impl From<RoleId> for String {
    fn from(role: RoleId) -> String {
        role.to_string()
    }
}

impl TryFrom<String> for RoleId {
    type Error = String;

    fn try_from(text: String) -> Result<RoleId, String> {
        let built_in = Role::ALL.iter().copied().find(|role| role.word() == text).map(RoleId::BuiltIn);
        let own = || Uuid::parse_str(&text).ok().map(RoleId::Own);
        built_in.or_else(own).ok_or_else(|| format!("{text:?} is neither a built-in role nor the id of a role"))
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

/// A set of permissions, and where it holds. An actor may hold several: each permission holds in the scopes of those grants
/// that contain it, and in no other.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// What.
    pub permissions: Permissions,
    /// Where.
    pub scope: Scope,
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
        /// The person to whom the token belongs, inside and outside name; none for a program.
        person: Option<(PersonKey, Uuid)>,
        /// What they may do, and where.
        grants: Vec<Grant>,
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
        self.permissions().has(one)
    }

    /// Everything that the actor may do, somewhere.
    pub fn permissions(&self) -> Permissions {
        match self {
            Actor::Admin { grants, .. } => grants.iter().fold(Permissions::default(), |all, grant| all.and(grant.permissions)),
            Actor::Device { .. } => Permissions::default(),
        }
    }

    /// What the actor may do in the whole organization.
    pub fn everywhere(&self) -> Permissions {
        let Actor::Admin { grants, .. } = self else { return Permissions::default() };
        let whole = grants.iter().filter(|grant| grant.scope == Scope::Everything);
        whole.fold(Permissions::default(), |all, grant| all.and(grant.permissions))
    }

    /// The outside name under which an administrator's acts are kept: the person's, or the token's where there is none.
    pub fn author(&self) -> Option<Uuid> {
        match self {
            Actor::Admin { token, person, .. } => Some(person.map_or(*token, |(_, id)| id)),
            Actor::Device { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of SPEC §10, row by row: which roles hold the permission.
    #[test]
    fn the_built_in_roles_are_the_columns_of_the_table_of_rights() {
        use Permission::*;
        use Role::*;
        let table: [(&[Permission], &[Role]); 11] = [
            (&[SettingsManage, TokensManage, RolesManage], &[Owner]),
            (&[PushSwitches], &[Owner, NotificationAdmin]),
            (&[OrganizationUpdate, SendToGroups], &[Owner, NotificationAdmin]),
            (&[SendToDevice], &[Owner, NotificationAdmin, HelpDesk]),
            (&[ConferencingManage, ConferencingVerify], &[Owner, ConferencingAdmin]),
            (&[ConferencingResend], &[Owner, ConferencingAdmin, HelpDesk]),
            (&[TelephonyManage], &[Owner, TelephonyAdmin]),
            (&[MailAppsManage], &[Owner, MailAccessAdmin]),
            (&[MailAppsDecide], &[Owner, MailAccessAdmin, HelpDesk]),
            (&[DirectoryWrite], &[Owner]),
            (&[ContentRead, AuditRead], &[Owner, Auditor]),
        ];
        for (permissions, roles) in table {
            for (permission, role) in permissions.iter().flat_map(|p| Role::ALL.iter().map(move |r| (p, r))) {
                assert_eq!(role.permissions().has(*permission), roles.contains(role), "{role} {permission}");
            }
        }
        assert!(Role::ALL.iter().all(|role| role.permissions().has(DirectoryRead)));
        let own: Vec<Role> = Role::ALL.iter().copied().filter(|role| role.permissions().has(ContentReadOwn)).collect();
        assert_eq!(own, [Owner, NotificationAdmin]);
    }

    #[test]
    fn grants_add_up_and_only_those_of_everywhere_hold_everywhere() {
        let grant = |role: Role, scope| Grant { permissions: role.permissions(), scope };
        let grants = vec![grant(Role::Reader, Scope::Everything), grant(Role::HelpDesk, Scope::Groups(vec![GroupKey(1)]))];
        let actor = Actor::Admin { token: Uuid::nil(), name: "x".into(), person: None, grants };
        assert!(actor.may(Permission::SendToDevice) && !actor.may(Permission::SendToGroups));
        assert_eq!(actor.everywhere(), Role::Reader.permissions());
        assert!(actor.permissions().include(actor.everywhere()) && !actor.everywhere().include(actor.permissions()));
    }
}
