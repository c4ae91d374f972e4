//! The resident copy of group membership: sorted keys of people, bitmaps where a group is large, lists of nested groups.
//! Resolving an audience of a million people takes milliseconds here and half a second in SQL. The store holds the truth.

use crate::parts::Inner;
use model::directory::{Member, MemberKind};
use model::{GroupKey, PersonKey, TenantKey};
use parking_lot::RwLock;
use roaring::RoaringBitmap;
use std::collections::{HashMap, HashSet};
use store::Shared;
use tokio::sync::watch;

/// Up to this many people a group keeps their keys as they are: a bitmap of people who lie far apart costs several times
/// as much.
const FEW: usize = 4_096;

#[derive(Default)]
struct Group {
    people: People,
    groups: Vec<GroupKey>,
}

enum People {
    /// Sorted, not repeated.
    Few(Vec<u32>),
    Many(RoaringBitmap),
}

impl Default for People {
    fn default() -> People {
        People::Few(Vec::new())
    }
}

impl People {
    fn insert(&mut self, key: u32) {
        match self {
            // Members are read in order, so most are put at the end.
            People::Few(keys) if keys.last().is_none_or(|last| *last < key) => keys.push(key),
            People::Few(keys) => {
                if let Err(at) = keys.binary_search(&key) {
                    keys.insert(at, key);
                }
            }
            People::Many(keys) => {
                keys.insert(key);
            }
        }
        if let People::Few(keys) = self
            && keys.len() > FEW
        {
            *self = People::Many(keys.iter().copied().collect());
        }
    }

    fn remove(&mut self, key: u32) {
        match self {
            People::Few(keys) => keys.retain(|k| *k != key),
            People::Many(keys) => {
                keys.remove(key);
            }
        }
    }

    fn contains(&self, key: u32) -> bool {
        match self {
            People::Few(keys) => keys.binary_search(&key).is_ok(),
            People::Many(keys) => keys.contains(key),
        }
    }
}

/// People of many groups, gathered once each: a plain bit for every key, in pages of 65,536 that are made when they are
/// first needed.
#[derive(Default)]
struct Crowd {
    pages: Vec<Option<Box<[u8; CROWD_PAGE]>>>,
}

const CROWD_PAGE: usize = 65_536 / 8;

impl Crowd {
    fn add(&mut self, people: &People) {
        match people {
            People::Few(keys) => keys.iter().for_each(|key| self.insert(*key)),
            People::Many(keys) => keys.iter().for_each(|key| self.insert(key)),
        }
    }

    fn insert(&mut self, key: u32) {
        let page = (key >> 16) as usize;
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| Box::new([0; CROWD_PAGE]));
        page[(key & 0xFFFF) as usize / 8] |= 1 << (key & 7);
    }

    fn into_bitmap(self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        for (number, page) in (0u32..).zip(self.pages) {
            if let Some(page) = page {
                all |= RoaringBitmap::from_lsb0_bytes(number << 16, &page[..]);
            }
        }
        all
    }
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
                MemberKind::User => entry.people.remove(member.key),
                MemberKind::Group => entry.groups.retain(|g| g.0 != member.key),
                MemberKind::Device => {}
            }
        }
        for member in add {
            entry.insert(*member);
        }
    }

    /// Takes over what other processes changed, up to the store's version at least.
    pub(crate) async fn catch_up(&self, store: &Shared, tenant: TenantKey, version: i64) -> store::Result<()> {
        if self.version() >= version {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        self.catch_up_in_turn(store, tenant, version).await
    }

    /// As [`Roster::catch_up`], by whoever holds the turn.
    pub(crate) async fn catch_up_in_turn(&self, store: &Shared, tenant: TenantKey, version: i64) -> store::Result<()> {
        let from = self.version();
        if from >= version {
            return Ok(());
        }
        match store.member_changes(tenant, from).await? {
            Some((reached, changes)) => {
                for (group, member, added) in &changes {
                    let one = std::slice::from_ref(member);
                    if *added { self.apply(*group, one, &[]) } else { self.apply(*group, &[], one) }
                }
                self.resident.write().version = reached;
            }
            None => *self.resident.write() = Resident::read(store, tenant).await?,
        }
        Ok(())
    }

    /// Reads everything again when the store's version moved: after an import, or when objects were deleted.
    pub(crate) async fn changed(&self, inner: &Inner) -> store::Result<()> {
        self.load(&inner.store, inner.tenant_key()).await
    }

    /// Everybody in these groups, nested ones included, once each; cycles are walked once. Also the version that says so.
    pub fn resolve(&self, groups: &[GroupKey]) -> (i64, RoaringBitmap) {
        let resident = self.resident.read();
        let mut crowd = Crowd::default();
        resident.walk(groups, |group| crowd.add(&group.people));
        (resident.version, crowd.into_bitmap())
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
            MemberKind::User => self.people.insert(member.key),
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
        // They are sorted by group. Each list is made at its full size: grown one by one they would leave the heap full of
        // holes, and there are ten thousand of them.
        for members in rows.chunk_by(|one, next| one.0 == next.0) {
            let group = groups.entry(members[0].0).or_default();
            let people = members.iter().filter(|(_, member)| member.kind == MemberKind::User).count();
            if people <= FEW {
                group.people = People::Few(Vec::with_capacity(people));
            }
            members.iter().for_each(|(_, member)| group.insert(*member));
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
    fn a_large_group_and_keys_that_lie_far_apart_are_gathered_like_small_ones() {
        let roster = Roster::default();
        let many: Vec<Member> = (0..10_000).rev().map(|n| member(MemberKind::User, n * 400_000 + 1)).collect();
        roster.apply(GroupKey(1), &many, &[]);
        roster.apply(GroupKey(2), &[member(MemberKind::User, 1), member(MemberKind::User, u32::MAX), member(MemberKind::Group, 1)], &[]);
        let (_, people) = roster.resolve(&[GroupKey(2)]);
        let mut expected: Vec<u32> = (0..10_000).map(|n| n * 400_000 + 1).chain([u32::MAX]).collect();
        expected.sort_unstable();
        assert_eq!(people.iter().collect::<Vec<_>>(), expected);
        assert!(roster.holds(&[GroupKey(2)], PersonKey(400_001)) && !roster.holds(&[GroupKey(2)], PersonKey(2)));
        roster.apply(GroupKey(1), &[], &many[1..]);
        assert_eq!(roster.people_of(&[GroupKey(1)]).iter().collect::<Vec<_>>(), [9_999 * 400_000 + 1]);
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
