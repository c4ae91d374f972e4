//! Everything about one person: as one document, for the person to read (GDPR article 15), and gone, when that was asked for
//! (article 17). What stays after an erasure are numbers that lead to nobody.

use super::acts::Deed;
use super::devices::DeviceView;
use super::registrations::RegistrationView;
use super::users::UserView;
use crate::Engine;
use crate::notifications::NameView;
use model::objects::Naming;
use model::roles::{Actor, Permission};
use model::{ChannelKind, PersonKey, Reason, ReceiptKind, Refusal, State, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{DeviceFilter, EventRow, StoreError, Thing, Whom};
use uuid::Uuid;

/// Everything that Carillon keeps about one person.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonalDataView {
    /// When this was put together.
    pub at: Timestamp,
    /// What the directory says.
    pub user: UserView,
    /// Groups of which the person is a direct member.
    pub groups: Vec<NameView>,
    /// The person's devices.
    pub devices: Vec<PersonalDeviceView>,
    /// What was for the person and is kept still, newest first.
    pub notifications: Vec<PersonalNotificationView>,
    /// What sources keep for the person alone, such as a mailbox, by the path of its kind.
    pub objects: Map<String, Value>,
    /// Entries of the audit that name the person.
    pub audit: Vec<Map<String, Value>>,
    /// The pseudonym under which they do.
    pub pseudonym: Option<String>,
}

/// A device and how push services reach it.
#[derive(Clone, Debug, Serialize)]
pub struct PersonalDeviceView {
    /// The device.
    #[serde(flatten)]
    pub device: DeviceView,
    /// Its registrations; tokens by their first characters.
    pub registrations: Vec<RegistrationView>,
}

/// A notification as far as it concerns the person.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct PersonalNotificationView {
    pub id: Uuid,
    pub kind: String,
    pub created_at: Timestamp,
    pub sender: String,
    /// `null` once erased, and where it carries a secret; the same for the body.
    pub title: Option<String>,
    pub body: Option<String>,
    pub deliveries: Vec<PersonalDeliveryView>,
    pub receipts: Vec<PersonalReceiptView>,
}

/// One way in which it was to reach the person.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct PersonalDeliveryView {
    pub channel: ChannelKind,
    pub state: State,
    pub reason_code: Option<Reason>,
    pub attempts: usize,
}

/// What a device of the person said.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)]
pub struct PersonalReceiptView {
    pub kind: ReceiptKind,
    pub at: Timestamp,
}

/// The word of whoever erases.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureDraft {
    /// The person's UPN, typed again.
    pub confirm: String,
}

/// What an erasure took away.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasureView {
    /// Devices, with registrations and tokens.
    pub devices: u64,
    /// Notifications to this person alone, of which the text is gone.
    pub texts: u64,
    /// Rows of delivery that led to a device of the person.
    pub deliveries: u64,
    /// Audit entries that lead to nobody now.
    pub audit_entries: u64,
}

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("user", error)
}

impl Engine {
    /// Everything that is kept about a person.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`.
    pub async fn personal_data(&self, actor: &Actor, id: Uuid) -> crate::Result<PersonalDataView> {
        self.allow_everywhere(actor, Permission::SettingsManage)?;
        let key = self.person_by_id(&super::scope::Sight::Everything, id).await?;
        self.note(actor, Deed::to_user("user.export", Whom::Person(key))).await?;
        let user = self.person_row(key, id).await?.into();
        Ok(PersonalDataView {
            at: self.now(),
            user,
            groups: self.groups_of_person(key).await?,
            devices: self.devices_of_person(key).await?,
            notifications: self.notifications_of_person(key).await?,
            objects: self.objects_of_person(id).await?,
            audit: self.entries_of_person(key).await?,
            pseudonym: self.inner.store.alias(self.tenant_key(), key).await.map_err(wrong)?,
        })
    }

    async fn groups_of_person(&self, person: PersonKey) -> crate::Result<Vec<NameView>> {
        let mut groups = Vec::new();
        for key in self.inner.store.groups_of(self.tenant_key(), person).await.map_err(wrong)? {
            let group = self.inner.store.group(self.tenant_key(), key).await.map_err(wrong)?;
            groups.extend(group.map(|group| NameView { id: Some(group.id), name: group.fields.name }));
        }
        Ok(groups)
    }

    async fn objects_of_person(&self, person: Uuid) -> crate::Result<Map<String, Value>> {
        let mut objects = Map::new();
        for declaration in self.object_declarations().filter(|one| one.naming == Naming::Person) {
            let declared = self.declared_object(declaration.kind)?;
            if let Some(row) = self.named_object(declared, &person.to_string()).await? {
                objects.insert(declaration.path.to_owned(), declared.source.shown(declaration.kind, &row.document));
            }
        }
        Ok(objects)
    }

    async fn devices_of_person(&self, person: PersonKey) -> crate::Result<Vec<PersonalDeviceView>> {
        let (mut views, mut after) = (Vec::new(), model::DeviceKey::default());
        let filter = DeviceFilter { owner: Some(person), ..DeviceFilter::default() };
        loop {
            let page = self.inner.store.devices(self.tenant_key(), filter.clone(), after, Engine::PAGE_MOST).await.map_err(wrong)?;
            let Some(last) = page.last().map(|device| device.key) else { return Ok(views) };
            after = last;
            for device in page {
                let registrations = self.inner.store.registrations(self.tenant_key(), device.key).await.map_err(wrong)?;
                let registrations = registrations.into_iter().map(RegistrationView::from).collect();
                views.push(PersonalDeviceView { device: device.into(), registrations });
            }
        }
    }

    async fn notifications_of_person(&self, person: PersonKey) -> crate::Result<Vec<PersonalNotificationView>> {
        let (mut views, mut before) = (Vec::new(), None);
        loop {
            let page = self.inner.store.events(self.tenant_key(), None, before, Engine::PAGE_MOST).await.map_err(wrong)?;
            let Some(last) = page.last().map(|event| event.key) else { return Ok(views) };
            before = Some(last);
            for event in page {
                if self.inner.store.in_audience(event.key, person).await.map_err(wrong)?.is_some() {
                    views.push(self.notification_of_person(&event, person).await?);
                }
            }
        }
    }

    async fn notification_of_person(&self, event: &EventRow, person: PersonKey) -> crate::Result<PersonalNotificationView> {
        let (deliveries, receipts) = self.inner.store.deliveries_of(event.key, person).await.map_err(wrong)?;
        let (title, body) = crate::cards::told(&self.inner, event).unzip();
        let delivery = |row: &store::DeliveryRecord| PersonalDeliveryView {
            channel: row.channel,
            state: row.state,
            reason_code: Some(row.reason).filter(|reason| *reason != Reason::None),
            attempts: row.attempts.len(),
        };
        Ok(PersonalNotificationView {
            id: event.id,
            kind: event.kind.clone(),
            created_at: event.accepted_at,
            sender: event.actor.1.clone(),
            title,
            body,
            deliveries: deliveries.iter().map(delivery).collect(),
            receipts: receipts.iter().map(|receipt| PersonalReceiptView { kind: receipt.kind, at: receipt.at }).collect(),
        })
    }

    async fn entries_of_person(&self, person: PersonKey) -> crate::Result<Vec<Map<String, Value>>> {
        let (mut entries, mut from) = (Vec::new(), 1);
        loop {
            let page = self.inner.store.entries_about(self.tenant_key(), person, from, Engine::PAGE_MOST).await.map_err(wrong)?;
            let Some(last) = page.last() else { return Ok(entries) };
            from = last.sequence + 1;
            entries.extend(page.into_iter().map(|entry| entry.body));
        }
    }

    /// Erases a person and everything about them; `confirm` is their UPN. Numbers of campaigns stay right, and the audit stays
    /// whole: its entries lead to nobody then.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`; a fault of `confirm`; `import_in_progress`.
    pub async fn erase_user(&self, actor: &Actor, id: Uuid, draft: ErasureDraft) -> crate::Result<ErasureView> {
        self.allow_everywhere(actor, Permission::SettingsManage)?;
        let key = self.person_by_id(&super::scope::Sight::Everything, id).await?;
        let person = self.person_row(key, id).await?;
        if !person.fields.upn.eq_ignore_ascii_case(draft.confirm.trim()) {
            return Err(Refusal::field("confirm", "is not the UPN of this user; type it to confirm that everything about them is to go"));
        }
        self.unassign_person(actor, key).await?;
        self.end_objects_of(actor, person).await?;
        // The entry of the erasure carries the pseudonym of before: with its key gone, it leads to nobody either.
        let alias = self.inner.store.alias(self.tenant_key(), key).await.map_err(wrong)?;
        let deed = Deed::of("user.erase").on(alias.map(|alias| Thing::Object("user", alias)));
        let store = self.told(actor, deed).await?;
        let erased = store.erase_person(self.tenant_key(), key).await.map_err(wrong)?;
        self.inner.doorkeeper.transfers.edited();
        self.inner.doorkeeper.clear();
        self.person_left(key).await?;
        self.inner.roster.changed(&self.inner).await.map_err(wrong)?;
        self.inner.planned.notify_one();
        Ok(ErasureView { devices: erased.devices, texts: erased.texts, deliveries: erased.deliveries, audit_entries: erased.entries })
    }
}
