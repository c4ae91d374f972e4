//! The resident copy of group membership: bitmaps of people, lists of nested groups. Resolving an audience of a million
//! people takes milliseconds here and half a second in SQL. The store holds the truth.

use crate::parts::Inner;
use model::directory::{Member, MemberKind};
use model::{GroupKey, PersonKey, TenantKey};
use parking_lot::RwLock;
use roaring::{MultiOps, RoaringBitmap};
use std::collections::{HashMap, HashSet};
use store::Shared;
use tokio::sync::watch;

#[derive(Default)]
struct Group {
    people: RoaringBitmap,
    groups: Vec<GroupKey>,
}

#[derive(Default)]
struct Resident {
    version: i64,
    groups: HashMap<GroupKey, Group>,
}

/// Group membership in memory. Until it is loaded, whoever needs it waits at [`Roster::loaded`].
#[derive(Default)]
pub struct Roster {
    resident: RwLock<Resident>,
    turn: tokio::sync::Mutex<()>,
    loaded: watch::Sender<bool>,
}

impl Roster {
    /// Reads every membership; a million and a half of them take most of a second, so the server starts meanwhile.
    pub(crate) async fn load(&self, store: &Shared, tenant: TenantKey) -> store::Result<()> {
        let _turn = self.turn.lock().await;
        let resident = Resident::read(store, tenant).await?;
        *self.resident.write() = resident;
        self.loaded.send_replace(true);
        Ok(())
    }

    /// Resolves once the memberships are loaded.
    pub async fn loaded(&self) {
        if *self.loaded.borrow() {
            return;
        }
        // The sender lives in this roster, so waiting ends with the value.
        let _ = self.loaded.subscribe().wait_for(|loaded| *loaded).await;
    }

    /// Whether the memberships are loaded.
    pub fn is_loaded(&self) -> bool {
        *self.loaded.borrow()
    }

    /// Held over a change of membership in the store and its [`Roster::apply`], so that both happen in one order.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Takes over a change that the store has committed. The caller holds the turn.
    pub fn apply(&self, group: GroupKey, add: &[Member], remove: &[Member]) {
        let mut resident = self.resident.write();
        resident.version += 1;
        let entry = resident.groups.entry(group).or_default();
        for member in remove {
            match member.kind {
                MemberKind::User => {
                    entry.people.remove(member.key);
                }
                MemberKind::Group => entry.groups.retain(|g| g.0 != member.key),
                MemberKind::Device => {}
            }
        }
        for member in add {
            entry.insert(*member);
        }
    }

    /// Reads everything again when the store's version moved: after an import, or when objects were deleted.
    pub(crate) async fn changed(&self, inner: &Inner) -> store::Result<()> {
        self.load(&inner.store, inner.tenant_key()).await
    }

    /// Everybody in these groups, nested ones included, once each; cycles are walked once. Also the version that says so.
    pub fn resolve(&self, groups: &[GroupKey]) -> (i64, RoaringBitmap) {
        let resident = self.resident.read();
        let mut found: Vec<&RoaringBitmap> = Vec::new();
        resident.walk(groups, |group| found.push(&group.people));
        (resident.version, found.union())
    }

    /// As [`Roster::resolve`], without the version.
    pub fn people_of(&self, groups: &[GroupKey]) -> RoaringBitmap {
        self.resolve(groups).1
    }

    /// These groups and all that are nested in them.
    pub fn groups_within(&self, groups: &[GroupKey]) -> HashSet<GroupKey> {
        self.resident.read().walk(groups, |_| ())
    }

    /// The version of the resident copy; moves with every change.
    pub fn version(&self) -> i64 {
        self.resident.read().version
    }

    /// Whether `person` is in one of the groups, nested ones included.
    pub fn holds(&self, groups: &[GroupKey], person: PersonKey) -> bool {
        let mut found = false;
        self.resident.read().walk(groups, |group| found |= group.people.contains(person.0));
        found
    }
}

impl Group {
    fn insert(&mut self, member: Member) {
        match member.kind {
            MemberKind::User => {
                self.people.insert(member.key);
            }
            MemberKind::Group if !self.groups.contains(&GroupKey(member.key)) => self.groups.push(GroupKey(member.key)),
            // A device in a group never receives because of it (SPEC §4).
            MemberKind::Group | MemberKind::Device => {}
        }
    }
}

impl Resident {
    async fn read(store: &Shared, tenant: TenantKey) -> store::Result<Resident> {
        let (version, rows) = store.memberships(tenant).await?;
        let mut groups: HashMap<GroupKey, Group> = HashMap::new();
        for (group, member) in rows {
            groups.entry(group).or_default().insert(member);
        }
        Ok(Resident { version, groups })
    }

    fn walk<'a>(&'a self, roots: &[GroupKey], mut visit: impl FnMut(&'a Group)) -> HashSet<GroupKey> {
        let mut seen: HashSet<GroupKey> = HashSet::new();
        let mut open: Vec<GroupKey> = roots.to_vec();
        while let Some(key) = open.pop() {
            if !seen.insert(key) {
                continue;
            }
            if let Some(group) = self.groups.get(&key) {
                visit(group);
                open.extend(group.groups.iter().filter(|g| !seen.contains(g)));
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(kind: MemberKind, key: u32) -> Member {
        Member { kind, key }
    }

    #[test]
    fn nested_groups_with_a_cycle_give_each_person_once() {
        let roster = Roster::default();
        roster.apply(GroupKey(1), &[member(MemberKind::Group, 2), member(MemberKind::User, 10)], &[]);
        roster.apply(GroupKey(2), &[member(MemberKind::Group, 3), member(MemberKind::User, 10), member(MemberKind::User, 11)], &[]);
        roster.apply(GroupKey(3), &[member(MemberKind::Group, 1), member(MemberKind::User, 12), member(MemberKind::Device, 99)], &[]);
        let (_, people) = roster.resolve(&[GroupKey(1)]);
        assert_eq!(people.iter().collect::<Vec<_>>(), [10, 11, 12]);
        assert_eq!(roster.groups_within(&[GroupKey(2)]).len(), 3);
        assert!(roster.holds(&[GroupKey(2)], PersonKey(12)) && !roster.holds(&[GroupKey(2)], PersonKey(99)));
    }

    #[test]
    fn a_removed_member_is_gone_and_the_version_moves() {
        let roster = Roster::default();
        roster.apply(GroupKey(1), &[member(MemberKind::User, 1), member(MemberKind::Group, 2)], &[]);
        let before = roster.version();
        roster.apply(GroupKey(1), &[], &[member(MemberKind::User, 1), member(MemberKind::Group, 2)]);
        assert!(roster.version() > before);
        assert!(roster.people_of(&[GroupKey(1)]).is_empty());
    }
}
