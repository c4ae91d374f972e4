//! Devices, as administrators see and change them.

use super::acts::Deed;
use super::fields::{Faults, Field};
use super::scope::{Sight, out_of_scope};
use super::users::{TRIES, check_expected};
use super::{pages, repeat};
use crate::notifications::Page;
use crate::{Engine, Repeat};
use model::directory::{EnrolmentSource, MemberKind, NotificationPermission, Ownership, Platform, check_name};
use model::roles::{Actor, Permission};
use model::{DeviceKey, PersonKey, Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Device, DeviceFields, DeviceFilter, StoreError, Whom};
use uuid::Uuid;

/// What a caller says about a device. The owner is given by `ownerUpn` (any name of a person) or `ownerId`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct DeviceDraft {
    pub external_id: Field<String>,
    pub name: Field<String>,
    pub owner_upn: Field<String>,
    pub owner_id: Field<String>,
    pub platform: Field<String>,
    pub ownership: Field<String>,
    pub enrolled: Field<bool>,
    pub enrolled_by_upn: Field<String>,
    pub app_installed: Field<bool>,
    pub notification_permission: Field<String>,
    pub play_services: Field<bool>,
    pub push_enabled: Field<bool>,
}

/// Which devices to list; `owner` is any name of a person.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct DeviceQuery {
    pub search: Option<String>,
    pub owner: Option<String>,
    pub platform: Option<String>,
    pub name: Option<String>,
    pub external_id: Option<String>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct DeviceView {
    pub id: Uuid,
    pub external_id: Option<String>,
    pub name: String,
    pub owner_id: Option<Uuid>,
    pub owner_upn: Option<String>,
    pub platform: Platform,
    pub ownership: Ownership,
    pub enrolled: bool,
    pub enrolled_by_upn: Option<String>,
    pub enrolled_source: Option<EnrolmentSource>,
    pub enrolled_at: Option<Timestamp>,
    pub app_installed: bool,
    pub notification_permission: NotificationPermission,
    pub play_services: bool,
    pub push_enabled: bool,
    pub last_seen: Option<Timestamp>,
    pub version: i64,
}

impl DeviceView {
    fn new(id: Uuid, version: i64, fields: DeviceFields, owner: Option<(Uuid, String)>, enrolled_by_upn: Option<String>) -> DeviceView {
        let (owner_id, owner_upn) = owner.unzip();
        DeviceView {
            id,
            external_id: fields.external_id,
            name: fields.name,
            owner_id,
            owner_upn,
            platform: fields.platform,
            ownership: fields.ownership,
            enrolled: fields.enrolled,
            enrolled_by_upn,
            enrolled_source: fields.enrolled_source,
            enrolled_at: fields.enrolled_at,
            app_installed: fields.app_installed,
            notification_permission: fields.permission,
            play_services: fields.play_services,
            push_enabled: fields.push_enabled,
            last_seen: fields.last_seen,
            version,
        }
    }
}

impl From<Device> for DeviceView {
    fn from(device: Device) -> DeviceView {
        DeviceView::new(device.id, device.version, device.fields, device.owner, device.enrolled_by_upn)
    }
}

/// Fields whose values the audit tells; names of devices often hold the names of people.
pub(super) const AUDITED: [&str; 9] = [
    "platform",
    "ownership",
    "enrolled",
    "enrolledSource",
    "enrolledAt",
    "appInstalled",
    "notificationPermission",
    "playServices",
    "pushEnabled",
];

/// The owners before and after, for the audit.
pub(super) fn owners(before: Option<PersonKey>, after: Option<PersonKey>) -> Vec<Whom> {
    before.into_iter().chain(after.filter(|after| Some(*after) != before)).map(Whom::Person).collect()
}

const LIST: &str = "devices";
/// Pages of 500 that a listing within a scope looks through at most.
const SCANS: usize = 20;

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("device", error)
}

/// A device of which nothing is said: not enrolled, nothing known.
pub(super) fn blank(platform: Platform) -> DeviceFields {
    DeviceFields {
        external_id: None,
        name: String::new(),
        owner: None,
        platform,
        ownership: Ownership::Personal,
        enrolled: false,
        enrolled_by: None,
        enrolled_source: None,
        enrolled_at: None,
        app_installed: false,
        permission: NotificationPermission::Default,
        play_services: true,
        push_enabled: true,
        last_seen: None,
    }
}

/// People whom a draft names, for showing them in the answer.
#[derive(Default)]
struct Shown {
    owner: Option<(Uuid, String)>,
    enrolled_by: Option<String>,
}

impl Engine {
    /// Some devices, by age of their record.
    ///
    /// # Errors
    /// `forbidden`; wrong values of `cursor`, `limit`, `platform`, `owner`.
    pub async fn devices(&self, actor: &Actor, query: DeviceQuery) -> crate::Result<Page<DeviceView>> {
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let limit = pages::limit(query.limit)?;
        let mut after = pages::place(LIST, query.cursor.as_deref(), |s| s.parse().ok())?.map_or_else(DeviceKey::default, DeviceKey);
        let filter = self.device_filter(&sight, query).await?;
        let mut found: Vec<Device> = Vec::new();
        let mut more_behind = None;
        for scan in 1..=SCANS {
            let asked = if matches!(sight, Sight::Everything) { limit + 1 } else { Engine::PAGE_MOST };
            let page = self.inner.store.devices(self.tenant_key(), filter.clone(), after, asked).await.map_err(wrong)?;
            let full = page.len() == asked as usize;
            after = page.last().map_or(after, |d| d.key);
            for device in page {
                if self.sees_device(&sight, device.key, device.fields.owner).await? {
                    found.push(device);
                }
            }
            if found.len() > limit as usize || !full {
                break;
            }
            if scan == SCANS {
                more_behind = Some(pages::cursor(LIST, &after.to_string()));
            }
        }
        let mut page = pages::page(LIST, limit, found, |d| d.key.to_string(), DeviceView::from);
        page.next_cursor = page.next_cursor.or(more_behind);
        Ok(page)
    }

    async fn device_filter(&self, sight: &Sight, query: DeviceQuery) -> crate::Result<DeviceFilter> {
        let mut faults = Faults::default();
        let mut filter = DeviceFilter { search: query.search, name: query.name, external_id: query.external_id, ..DeviceFilter::default() };
        if let Some(word) = query.platform {
            let mut platform = Platform::Ios;
            faults.word("platform", Field::Given(word), &mut platform);
            filter.platform = Some(platform);
        }
        if let Some(name) = query.owner {
            match self.person_named(sight, &name).await? {
                Ok(named) => filter.owner = Some(named.key),
                Err(wrong) => wrong.fault(&mut faults, "owner", MemberKind::User, &name),
            }
        }
        faults.done()?;
        Ok(filter)
    }

    /// One device.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`.
    pub async fn device(&self, actor: &Actor, id: Uuid) -> crate::Result<DeviceView> {
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let key = self.device_by_id(&sight, id).await?;
        Ok(self.device_row(key).await?.into())
    }

    pub(super) async fn device_row(&self, key: DeviceKey) -> crate::Result<Device> {
        let device = self.inner.store.device(self.tenant_key(), key).await.map_err(wrong)?;
        device.ok_or_else(|| wrong(StoreError::NotFound))
    }

    /// Adds a device.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`; every wrong field; `taken`.
    pub async fn create_device(&self, actor: &Actor, draft: DeviceDraft, repeat: Option<Repeat>) -> crate::Result<DeviceView> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let mut faults = Faults::default();
        if !draft.platform.is_there() {
            faults.add("platform", "is missing; give one of ios, ipados, android, windows, macos, linux, browser");
        }
        let mut fields = blank(Platform::Ios);
        let shown = self.apply_device(&sight, draft, &mut fields, &mut faults).await?;
        faults.done()?;
        if matches!(sight, Sight::Part { .. }) && fields.owner.is_none() {
            return Err(out_of_scope("a device without an owner lies outside the scope of this token; give an owner inside it"));
        }
        let id = Uuid::now_v7();
        let view = DeviceView::new(id, 1, fields.clone(), shown.owner, shown.enrolled_by);
        let once = repeat::created(actor, repeat.as_ref(), &view, &id.to_string());
        let deed = Deed::to("device.create", "device", id).changing(None::<&DeviceView>, Some(&view), &AUDITED);
        let store = self.told(actor, deed.about(owners(None, fields.owner))).await?;
        let device = store.create_device(self.tenant_key(), id, fields, once).await.map_err(wrong)?;
        self.inner.doorkeeper.transfers.edited();
        Ok(device.into())
    }

    /// Changes a device. A device that changes hands keeps its token, which then speaks for the new owner.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`; every wrong field; `taken`; `stale`.
    pub async fn update_device(&self, actor: &Actor, id: Uuid, draft: DeviceDraft, expected: Option<i64>) -> crate::Result<DeviceView> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let key = self.device_by_id(&sight, id).await?;
        for tries in 1.. {
            let device = self.device_row(key).await?;
            check_expected("device", expected, device.version)?;
            let mut faults = Faults::default();
            let mut fields = device.fields.clone();
            let shown = self.apply_device(&sight, draft.clone(), &mut fields, &mut faults).await?;
            faults.done()?;
            if fields == device.fields {
                return Ok(device.into());
            }
            let owner = if fields.owner == device.fields.owner { device.owner.clone() } else { shown.owner };
            let (old, new) =
                (DeviceView::from(device.clone()), DeviceView::new(id, 0, fields.clone(), owner, device.enrolled_by_upn.clone()));
            let deed = Deed::to("device.update", "device", id).changing(Some(&old), Some(&new), &AUDITED);
            let store = self.told(actor, deed.about(owners(device.fields.owner, fields.owner))).await?;
            match store.update_device(self.tenant_key(), key, Some(device.version), fields).await {
                Ok(after) => {
                    self.device_changed(&device, &after).await?;
                    return Ok(after.into());
                }
                Err(StoreError::Stale { .. }) if expected.is_none() && tries < TRIES => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// What a change of a device touches: who its token speaks for, and what waits for it.
    pub(super) async fn device_changed(&self, before: &Device, after: &Device) -> crate::Result<()> {
        self.inner.doorkeeper.transfers.edited();
        if before.fields.owner != after.fields.owner {
            self.inner.doorkeeper.forget_device(after.key);
            if let Some(owner) = before.fields.owner {
                self.inner.streams.close_person(owner);
            }
        }
        for owner in [before.fields.owner, after.fields.owner].into_iter().flatten() {
            self.inner.store.end_waiting(self.tenant_key(), owner, Some(after.key), None).await.map_err(wrong)?;
        }
        self.inner.planned.notify_one();
        Ok(())
    }

    /// Puts a draft onto a device's fields. Enrolling through the API is noted with its hour; unless the caller says by
    /// whom, the owner enrolled it.
    async fn apply_device(&self, sight: &Sight, draft: DeviceDraft, into: &mut DeviceFields, faults: &mut Faults) -> crate::Result<Shown> {
        let mut shown = Shown::default();
        let was_enrolled = into.enrolled;
        faults.optional("externalId", draft.external_id, &mut into.external_id, check_name);
        faults.text("name", draft.name, &mut into.name, check_name);
        faults.word("platform", draft.platform, &mut into.platform);
        faults.word("ownership", draft.ownership, &mut into.ownership);
        faults.flag("enrolled", draft.enrolled, &mut into.enrolled);
        faults.flag("appInstalled", draft.app_installed, &mut into.app_installed);
        faults.word("notificationPermission", draft.notification_permission, &mut into.permission);
        faults.flag("playServices", draft.play_services, &mut into.play_services);
        faults.flag("pushEnabled", draft.push_enabled, &mut into.push_enabled);
        self.set_owner(sight, draft.owner_upn, draft.owner_id, into, &mut shown, faults).await?;
        if into.enrolled && !was_enrolled {
            into.enrolled_at = Some(self.now());
            into.enrolled_source = Some(EnrolmentSource::Api);
            into.enrolled_by = into.owner;
            shown.enrolled_by = shown.owner.as_ref().map(|(_, upn)| upn.clone());
        }
        if !into.enrolled {
            (into.enrolled_at, into.enrolled_source, into.enrolled_by, shown.enrolled_by) = (None, None, None, None);
        }
        match draft.enrolled_by_upn {
            Field::Absent => {}
            Field::Null => (into.enrolled_by, shown.enrolled_by) = (None, None),
            Field::Given(_) if !into.enrolled => {
                faults.add("enrolledByUpn", "belongs to an enrolled device only; set enrolled to true, or leave it out")
            }
            Field::Given(name) => {
                if let Some((key, _, upn)) = self.named_person(sight, "enrolledByUpn", name, faults).await? {
                    (into.enrolled_by, shown.enrolled_by) = (Some(key), Some(upn));
                }
            }
        }
        Ok(shown)
    }

    async fn set_owner(
        &self,
        sight: &Sight,
        upn: Field<String>,
        id: Field<String>,
        into: &mut DeviceFields,
        shown: &mut Shown,
        faults: &mut Faults,
    ) -> crate::Result<()> {
        let (field, given) = match (upn, id) {
            (Field::Absent, Field::Absent) => return Ok(()),
            (upn, Field::Absent) => ("ownerUpn", upn),
            (Field::Absent, id) => ("ownerId", id),
            _ => {
                faults.add("ownerId", "is given together with ownerUpn; give one of the two");
                return Ok(());
            }
        };
        match given.given() {
            Some(name) => {
                if let Some((key, id, upn)) = self.named_person(sight, field, name, faults).await? {
                    (into.owner, shown.owner) = (Some(key), Some((id, upn)));
                }
            }
            None => into.owner = None,
        }
        Ok(())
    }

    async fn named_person(
        &self,
        sight: &Sight,
        field: &str,
        name: String,
        faults: &mut Faults,
    ) -> crate::Result<Option<(PersonKey, Uuid, String)>> {
        match self.person_named(sight, &name).await? {
            Ok(named) => Ok(Some((named.key, named.id, named.name))),
            Err(wrong) => {
                wrong.fault(faults, field, MemberKind::User, &name);
                Ok(None)
            }
        }
    }

    /// Removes a device, its registrations, memberships and tokens.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`, `stale`.
    pub async fn delete_device(&self, actor: &Actor, id: Uuid, expected: Option<i64>) -> crate::Result<()> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let key = self.device_by_id(&sight, id).await?;
        let device = self.device_row(key).await?;
        let deed = Deed::to("device.delete", "device", id).about(owners(device.fields.owner, None));
        self.told(actor, deed).await?.delete_device(self.tenant_key(), key, expected).await.map_err(wrong)?;
        self.inner.doorkeeper.transfers.edited();
        self.inner.doorkeeper.forget_device(key);
        if let Some(owner) = device.fields.owner {
            self.inner.streams.close_person(owner);
            self.inner.store.end_waiting(self.tenant_key(), owner, Some(key), None).await.map_err(wrong)?;
        }
        self.inner.planned.notify_one();
        Ok(())
    }
}
