//! People, groups, devices: passed on. Changes of memberships are noted with their versions.

use super::Seam;
use crate::invariant::Invariant;
use async_trait::async_trait;
use model::directory::Member;
use model::{DeviceKey, GroupKey, PersonKey, TenantKey, Timestamp};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use store::{
    Device, DeviceFields, DeviceFilter, Directory, Enrolment, FactsDepth, FactsPage, Group, GroupFields, GroupFilter, MemberRow, Named,
    Once, Person, PersonFields, PersonFilter, Registration, RegistrationFields, Result,
};
use uuid::Uuid;

#[async_trait]
impl Directory for Seam {
    async fn create_person(&self, tenant: TenantKey, id: Uuid, fields: PersonFields, once: Option<Once>) -> Result<Person> {
        self.moving("create_person", self.store.create_person(tenant, id, fields, once)).await
    }

    async fn update_person(&self, tenant: TenantKey, key: PersonKey, expected: Option<i64>, fields: PersonFields) -> Result<Person> {
        self.moving("update_person", self.store.update_person(tenant, key, expected, fields)).await
    }

    async fn delete_person(&self, tenant: TenantKey, key: PersonKey, expected: Option<i64>) -> Result<()> {
        self.moving("delete_person", self.store.delete_person(tenant, key, expected)).await
    }

    async fn person(&self, tenant: TenantKey, key: PersonKey) -> Result<Option<Person>> {
        self.pass("person", self.store.person(tenant, key)).await
    }

    async fn people(&self, tenant: TenantKey, filter: PersonFilter, after: PersonKey, limit: u32) -> Result<Vec<Person>> {
        self.pass("people", self.store.people(tenant, filter, after, limit)).await
    }

    async fn find_people(&self, tenant: TenantKey, name: &str) -> Result<Vec<Named<PersonKey>>> {
        self.pass("find_people", self.store.find_people(tenant, name)).await
    }

    async fn people_with_phone(&self, tenant: TenantKey, number: &str) -> Result<Vec<String>> {
        self.pass("people_with_phone", self.store.people_with_phone(tenant, number)).await
    }

    async fn create_group(&self, tenant: TenantKey, id: Uuid, fields: GroupFields, once: Option<Once>) -> Result<Group> {
        self.moving("create_group", self.store.create_group(tenant, id, fields, once)).await
    }

    async fn update_group(&self, tenant: TenantKey, key: GroupKey, expected: Option<i64>, fields: GroupFields) -> Result<Group> {
        self.moving("update_group", self.store.update_group(tenant, key, expected, fields)).await
    }

    async fn delete_group(&self, tenant: TenantKey, key: GroupKey, expected: Option<i64>) -> Result<()> {
        self.moving("delete_group", self.store.delete_group(tenant, key, expected)).await
    }

    async fn group(&self, tenant: TenantKey, key: GroupKey) -> Result<Option<Group>> {
        self.pass("group", self.store.group(tenant, key)).await
    }

    async fn groups(&self, tenant: TenantKey, filter: GroupFilter, after: GroupKey, limit: u32) -> Result<Vec<Group>> {
        self.pass("groups", self.store.groups(tenant, filter, after, limit)).await
    }

    async fn find_groups(&self, tenant: TenantKey, name: &str) -> Result<Vec<Named<GroupKey>>> {
        self.pass("find_groups", self.store.find_groups(tenant, name)).await
    }

    async fn members(&self, tenant: TenantKey, group: GroupKey, after: Option<Member>, limit: u32) -> Result<Vec<MemberRow>> {
        self.pass("members", self.store.members(tenant, group, after, limit)).await
    }

    async fn create_device(&self, tenant: TenantKey, id: Uuid, fields: DeviceFields, once: Option<Once>) -> Result<Device> {
        self.moving("create_device", self.store.create_device(tenant, id, fields, once)).await
    }

    async fn update_device(&self, tenant: TenantKey, key: DeviceKey, expected: Option<i64>, fields: DeviceFields) -> Result<Device> {
        self.moving("update_device", self.store.update_device(tenant, key, expected, fields)).await
    }

    async fn touch_device(&self, tenant: TenantKey, key: DeviceKey, at: Timestamp) -> Result<()> {
        self.pass("touch_device", self.store.touch_device(tenant, key, at)).await
    }

    async fn delete_device(&self, tenant: TenantKey, key: DeviceKey, expected: Option<i64>) -> Result<()> {
        self.moving("delete_device", self.store.delete_device(tenant, key, expected)).await
    }

    async fn device(&self, tenant: TenantKey, key: DeviceKey) -> Result<Option<Device>> {
        self.pass("device", self.store.device(tenant, key)).await
    }

    async fn devices(&self, tenant: TenantKey, filter: DeviceFilter, after: DeviceKey, limit: u32) -> Result<Vec<Device>> {
        self.pass("devices", self.store.devices(tenant, filter, after, limit)).await
    }

    async fn find_devices(&self, tenant: TenantKey, name: &str) -> Result<Vec<Named<DeviceKey>>> {
        self.pass("find_devices", self.store.find_devices(tenant, name)).await
    }

    async fn put_registration(
        &self,
        tenant: TenantKey,
        device: DeviceKey,
        id: Uuid,
        fields: RegistrationFields,
        once: Option<Once>,
    ) -> Result<Registration> {
        self.moving("put_registration", self.store.put_registration(tenant, device, id, fields, once)).await
    }

    async fn delete_registration(&self, tenant: TenantKey, device: DeviceKey, id: Uuid) -> Result<()> {
        self.moving("delete_registration", self.store.delete_registration(tenant, device, id)).await
    }

    async fn registrations(&self, tenant: TenantKey, device: DeviceKey) -> Result<Vec<Registration>> {
        self.pass("registrations", self.store.registrations(tenant, device)).await
    }

    async fn create_code(
        &self,
        tenant: TenantKey,
        code: [u8; 32],
        person: PersonKey,
        expires: Timestamp,
        once: Option<Once>,
    ) -> Result<()> {
        self.moving("create_code", self.store.create_code(tenant, code, person, expires, once)).await
    }

    async fn enrol(&self, enrolment: Enrolment, once: Option<Once>, now: Timestamp) -> Result<(TenantKey, Device)> {
        self.moving("enrol", self.store.enrol(enrolment, once, now)).await
    }

    async fn facts(&self, tenant: TenantKey, people: Arc<[PersonKey]>, depth: FactsDepth) -> Result<FactsPage> {
        self.pass("facts", self.store.facts(tenant, people, depth)).await
    }

    async fn facts_range(&self, tenant: TenantKey, from: PersonKey, to: PersonKey, depth: FactsDepth) -> Result<FactsPage> {
        self.pass("facts_range", self.store.facts_range(tenant, from, to, depth)).await
    }

    async fn memberships(&self, tenant: TenantKey) -> Result<(i64, Vec<(GroupKey, Member)>)> {
        self.pass("memberships", self.store.memberships(tenant)).await
    }

    async fn owners_of(&self, tenant: TenantKey, devices: Vec<DeviceKey>) -> Result<Vec<(DeviceKey, Option<PersonKey>)>> {
        self.pass("owners_of", self.store.owners_of(tenant, devices)).await
    }

    async fn change_members(
        &self,
        tenant: TenantKey,
        group: GroupKey,
        add: Vec<Member>,
        remove: Vec<Member>,
        once: Option<Once>,
    ) -> Result<(u64, u64)> {
        let changes: Vec<_> = remove.iter().map(|m| (group, *m, false)).chain(add.iter().map(|m| (group, *m, true))).collect();
        let change = async {
            let done = self.store.change_members(tenant, group, add, remove, once).await?;
            Ok((done, self.store.memberships(tenant).await?))
        };
        let seen = |done: &Result<((u64, u64), (i64, Vec<(GroupKey, Member)>))>| {
            let Ok((_, (version, members))) = done else { return };
            let now = self.world().now_ms();
            let state = &mut *self.world().state();
            let before = state.truth.memberships.insert(*version, Arc::new(members.clone()));
            match before {
                None => state.between.member_log.push((*version, changes)),
                // What was there already changes nothing, and moves nothing.
                Some(before) if *before == *members => {}
                Some(_) => {
                    let what = format!("version {version} of the memberships means two things");
                    state.breach(now, Invariant::AudienceIsRight, None, what);
                }
            }
            state.trace.note(now, None, &format!("p{} changes group {group} (memberships {version})", self.process.number));
        };
        Ok(self.call("change_members", change, seen).await?.0)
    }

    async fn directory_version(&self, tenant: TenantKey) -> Result<(i64, PersonKey)> {
        let (version, most) = self.pass("directory_version", self.store.directory_version(tenant)).await?;
        Ok((self.version_seen(version), most))
    }

    fn facts_version(&self) -> u64 {
        if !self.process.shared {
            return self.store.facts_version();
        }
        // What others changed is noticed twice a second, what this process changed at once.
        let halves = self.process.tick().unsigned_abs() / 500;
        (halves << 20) + self.process.moves.load(Ordering::SeqCst)
    }
}

impl Seam {
    /// A call that changes what facts are read from.
    async fn moving<T>(&self, verb: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.call(verb, work, |_| {
            self.process.moves.fetch_add(1, Ordering::SeqCst);
        })
        .await
    }
}
