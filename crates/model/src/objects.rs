//! Managed objects: what administrators keep beside the directory, each kind under names of its own.

use crate::words;

words! {
    /// What a managed object is.
    ObjectKind {
        /// A role of the organization's own.
        Role = 1 "role",
        /// Who holds a role, and where.
        RoleAssignment = 2 "role assignment",
    }
}
