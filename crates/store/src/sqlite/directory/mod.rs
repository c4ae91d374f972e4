//! The directory in the embedded store. Each verb is one short job on the writer, or one read transaction.

pub(super) mod devices;
pub(super) mod groups;
pub(super) mod people;
pub(super) mod registrations;
pub(crate) mod versions;

use super::{Sqlite, WriteLane, facts};
use crate::*;
use async_trait::async_trait;
use model::directory::{Member, MemberKind};
use model::{DeviceKey, GroupKey, PersonKey, TenantKey, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

/// Room for memberships that is asked for at once; what is not used costs nothing. More than 32 MiB, because the allocator of
/// the C library takes a large piece that is given back as a reason to keep pieces of up to that size from then on.
const MEMBERS_AT_ONCE: usize = 3 << 20;

#[async_trait]
impl Directory for Sqlite {
    async fn create_person(&self, tenant: TenantKey, id: Uuid, fields: PersonFields, once: Option<Once>) -> Result<Person> {
        self.write_facts(move |c, now| people::create(c, now, tenant, id, &fields, once.as_ref())).await
    }

    async fn update_person(&self, tenant: TenantKey, key: PersonKey, expected: Option<i64>, fields: PersonFields) -> Result<Person> {
        self.write_facts(move |c, now| people::update(c, now, tenant, key, expected, &fields)).await
    }

    async fn delete_person(&self, tenant: TenantKey, key: PersonKey, expected: Option<i64>) -> Result<()> {
        self.write_facts(move |c, now| people::delete(c, now, tenant, key, expected)).await
    }

    async fn person(&self, tenant: TenantKey, key: PersonKey) -> Result<Option<Person>> {
        self.read(move |c| people::get(c, tenant, key)).await
    }

    async fn people(&self, tenant: TenantKey, filter: PersonFilter, after: PersonKey, limit: u32) -> Result<Vec<Person>> {
        self.read(move |c| people::list(c, tenant, &filter, after, limit)).await
    }

    async fn find_people(&self, tenant: TenantKey, name: &str) -> Result<Vec<Named<PersonKey>>> {
        let name = name.to_owned();
        self.read(move |c| people::find(c, tenant, &name)).await
    }

    async fn people_with_phone(&self, tenant: TenantKey, number: &str) -> Result<Vec<String>> {
        let number = number.to_owned();
        self.read(move |c| people::with_phone(c, tenant, &number)).await
    }

    async fn create_group(&self, tenant: TenantKey, id: Uuid, fields: GroupFields, once: Option<Once>) -> Result<Group> {
        self.write(WriteLane::Urgent, move |c, now| groups::create(c, now, tenant, id, &fields, once.as_ref())).await
    }

    async fn update_group(&self, tenant: TenantKey, key: GroupKey, expected: Option<i64>, fields: GroupFields) -> Result<Group> {
        self.write(WriteLane::Urgent, move |c, _| groups::update(c, tenant, key, expected, &fields)).await
    }

    async fn delete_group(&self, tenant: TenantKey, key: GroupKey, expected: Option<i64>) -> Result<()> {
        self.write(WriteLane::Urgent, move |c, _| groups::delete(c, tenant, key, expected)).await
    }

    async fn group(&self, tenant: TenantKey, key: GroupKey) -> Result<Option<Group>> {
        self.read(move |c| groups::get(c, tenant, key)).await
    }

    async fn groups(&self, tenant: TenantKey, filter: GroupFilter, after: GroupKey, limit: u32) -> Result<Vec<Group>> {
        self.read(move |c| groups::list(c, tenant, &filter, after, limit)).await
    }

    async fn find_groups(&self, tenant: TenantKey, name: &str) -> Result<Vec<Named<GroupKey>>> {
        let name = name.to_owned();
        self.read(move |c| groups::find(c, tenant, &name)).await
    }

    async fn change_members(
        &self,
        tenant: TenantKey,
        group: GroupKey,
        add: Vec<Member>,
        remove: Vec<Member>,
        once: Option<Once>,
    ) -> Result<(u64, u64)> {
        self.write(WriteLane::Urgent, move |c, now| groups::change_members(c, now, tenant, group, (&add, &remove), once.as_ref())).await
    }

    async fn members(&self, tenant: TenantKey, group: GroupKey, after: Option<Member>, limit: u32) -> Result<Vec<MemberRow>> {
        self.read(move |c| groups::members(c, tenant, group, after, limit)).await
    }

    async fn create_device(&self, tenant: TenantKey, id: Uuid, fields: DeviceFields, once: Option<Once>) -> Result<Device> {
        self.write_facts(move |c, now| devices::create(c, now, tenant, id, &fields, once.as_ref())).await
    }

    async fn update_device(&self, tenant: TenantKey, key: DeviceKey, expected: Option<i64>, fields: DeviceFields) -> Result<Device> {
        self.write_facts(move |c, _| devices::update(c, tenant, key, expected, &fields)).await
    }

    async fn touch_device(&self, tenant: TenantKey, key: DeviceKey, at: Timestamp) -> Result<()> {
        self.write(WriteLane::Plan, move |c, _| devices::touch(c, tenant, key, at)).await
    }

    async fn delete_device(&self, tenant: TenantKey, key: DeviceKey, expected: Option<i64>) -> Result<()> {
        self.write_facts(move |c, now| devices::delete(c, now, tenant, key, expected)).await
    }

    async fn device(&self, tenant: TenantKey, key: DeviceKey) -> Result<Option<Device>> {
        self.read(move |c| devices::get(c, tenant, key)).await
    }

    async fn devices(&self, tenant: TenantKey, filter: DeviceFilter, after: DeviceKey, limit: u32) -> Result<Vec<Device>> {
        self.read(move |c| devices::list(c, tenant, &filter, after, limit)).await
    }

    async fn find_devices(&self, tenant: TenantKey, name: &str) -> Result<Vec<Named<DeviceKey>>> {
        let name = name.to_owned();
        self.read(move |c| devices::find(c, tenant, &name)).await
    }

    async fn put_registration(
        &self,
        tenant: TenantKey,
        device: DeviceKey,
        id: Uuid,
        fields: RegistrationFields,
        once: Option<Once>,
    ) -> Result<Registration> {
        self.write_facts(move |c, now| registrations::put(c, now, tenant, device, id, &fields, once.as_ref())).await
    }

    async fn delete_registration(&self, tenant: TenantKey, device: DeviceKey, id: Uuid) -> Result<()> {
        self.write_facts(move |c, _| registrations::delete(c, tenant, device, id)).await
    }

    async fn registrations(&self, tenant: TenantKey, device: DeviceKey) -> Result<Vec<Registration>> {
        self.read(move |c| registrations::list(c, tenant, device)).await
    }

    async fn create_code(
        &self,
        tenant: TenantKey,
        code: [u8; 32],
        person: PersonKey,
        expires: Timestamp,
        once: Option<Once>,
    ) -> Result<()> {
        self.write(WriteLane::Urgent, move |c, now| registrations::create_code(c, now, tenant, code, (person, expires), once.as_ref()))
            .await
    }

    async fn enrol(&self, enrolment: Enrolment, once: Option<Once>, now: Timestamp) -> Result<(TenantKey, Device)> {
        self.write_facts(move |c, _| registrations::enrol(c, &enrolment, once.as_ref(), now)).await
    }

    fn facts_version(&self) -> u64 {
        self.inner.writer.facts_version()
    }

    async fn facts(&self, tenant: TenantKey, people: Arc<[PersonKey]>, depth: FactsDepth) -> Result<FactsPage> {
        self.read(move |c| facts::page(c, tenant, &people, depth)).await
    }

    async fn facts_range(&self, tenant: TenantKey, from: PersonKey, to: PersonKey, depth: FactsDepth) -> Result<FactsPage> {
        self.read(move |c| facts::range(c, tenant, from, to, depth)).await
    }

    async fn directory_version(&self, tenant: TenantKey) -> Result<(i64, PersonKey)> {
        self.read(move |c| {
            // The largest key may be one that an import has not shown yet: it bounds, it does not count.
            let mut statement =
                c.prepare_cached("SELECT directory, (SELECT max(key) FROM person WHERE tenant = ?1) FROM meta WHERE tenant = ?1")?;
            let mut rows = statement.query([tenant.0])?;
            let row = rows.next()?.ok_or(StoreError::NotFound)?;
            Ok((row.get(0)?, PersonKey(row.get::<_, Option<u32>>(1)?.unwrap_or(0))))
        })
        .await
    }

    async fn memberships(&self, tenant: TenantKey) -> Result<(i64, Vec<(GroupKey, Member)>)> {
        self.read(move |c| {
            let mut version = c.prepare_cached("SELECT directory, generation FROM meta WHERE tenant = ?1")?;
            let mut rows = version.query([tenant.0])?;
            let row = rows.next()?.ok_or(StoreError::NotFound)?;
            let (version, generation): (i64, i64) = (row.get(0)?, row.get(1)?);
            let mut statement = c.prepare_cached(
                "SELECT grp, kind, key FROM member WHERE tenant = ?1 AND since <= ?2 AND until > ?2 ORDER BY grp, kind, key",
            )?;
            let mut rows = statement.query([i64::from(tenant.0), generation])?;
            let mut members = Vec::with_capacity(MEMBERS_AT_ONCE);
            while let Some(row) = rows.next()? {
                let kind = super::columns::word(MemberKind::from_number, row.get(1)?, "kind of member")?;
                members.push((GroupKey(row.get(0)?), Member { kind, key: row.get(2)? }));
            }
            Ok((version, members))
        })
        .await
    }

    async fn owners_of(&self, tenant: TenantKey, devices: Vec<DeviceKey>) -> Result<Vec<(DeviceKey, Option<PersonKey>)>> {
        self.read(move |c| devices::owners_of(c, tenant, &devices)).await
    }
}
