//! What an app may do for the device it runs on and the person it belongs to: preferences and registration. The actor is
//! the device's own token; nothing here can name another device.

use super::acts::Deed;
use super::fields::{Faults, Field, check_quiet_hours};
use super::registrations::{RegistrationDraft, RegistrationView};
use super::users::TRIES;
use crate::Engine;
use model::directory::{Environment, NotificationPermission, Service};
use model::roles::Actor;
use model::{DeviceKey, PersonKey, Refusal, RefusalKind};
use serde::{Deserialize, Serialize};
use store::{Device, Person, StoreError, Whom};

/// The person's own choices on this device; quiet hours are the person's and hold on all their devices.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct PreferencesView {
    pub push_enabled: bool,
    pub quiet_hours: Option<String>,
    pub notification_permission: NotificationPermission,
}

/// A change of preferences; what is left out stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct PreferencesDraft {
    pub push_enabled: Field<bool>,
    pub quiet_hours: Field<String>,
    pub notification_permission: Field<String>,
}

/// Which registration an app gives up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RegistrationQuery {
    pub service: Option<String>,
    pub app: Option<String>,
    pub environment: Option<String>,
}

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("device", error)
}

fn preferences(device: &Device, person: &Person) -> PreferencesView {
    PreferencesView {
        push_enabled: device.fields.push_enabled,
        quiet_hours: person.fields.quiet_hours.clone(),
        notification_permission: device.fields.permission,
    }
}

impl Engine {
    /// How many inbox streams are open in this process.
    pub fn open_streams(&self) -> usize {
        self.inner.streams.count()
    }

    async fn own(&self, device: DeviceKey, owner: PersonKey) -> crate::Result<(Device, Person)> {
        let tenant = self.tenant_key();
        let device = self.device_row(device).await?;
        let person = self.inner.store.person(tenant, owner).await.map_err(wrong)?.ok_or_else(|| wrong(StoreError::NotFound))?;
        if device.fields.owner == Some(owner) && person.fields.active {
            Ok((device, person))
        } else {
            // The token was looked up a moment before the device changed hands.
            Err(Refusal::new(RefusalKind::Unauthenticated, "unauthenticated", "the device belongs to somebody else now; enrol it again"))
        }
    }

    /// The preferences of the device that asks.
    ///
    /// # Errors
    /// `forbidden` for an administrator.
    pub async fn device_preferences(&self, actor: &Actor) -> crate::Result<PreferencesView> {
        let (device, owner) = self.own_device(actor)?;
        let (device, person) = self.own(device, owner).await?;
        Ok(preferences(&device, &person))
    }

    /// Changes them. What waits for the device is looked at again at once.
    ///
    /// # Errors
    /// `forbidden` for an administrator; every wrong field.
    pub async fn set_device_preferences(&self, actor: &Actor, draft: PreferencesDraft) -> crate::Result<PreferencesView> {
        let (key, owner) = self.own_device(actor)?;
        let tenant = self.tenant_key();
        for _ in 0..TRIES {
            let (device, person) = self.own(key, owner).await?;
            let (mut fields, mut persons) = (device.fields.clone(), person.fields.clone());
            let (mut faults, draft) = (Faults::default(), draft.clone());
            faults.flag("pushEnabled", draft.push_enabled, &mut fields.push_enabled);
            faults.word("notificationPermission", draft.notification_permission, &mut fields.permission);
            faults.optional("quietHours", draft.quiet_hours.or_empty(), &mut persons.quiet_hours, check_quiet_hours);
            faults.done()?;
            let mut done = Ok(());
            if fields != device.fields {
                let deed = Deed::to("device.preferences", "device", device.id)
                    .with("pushEnabled", [device.fields.push_enabled, fields.push_enabled])
                    .with("notificationPermission", [device.fields.permission, fields.permission]);
                done = self.told(actor, deed).await?.update_device(tenant, key, Some(device.version), fields).await.map(|_| ());
            }
            if done.is_ok() && persons != person.fields {
                let deed = Deed::to_user("user.preferences", Whom::Person(owner))
                    .with("quietHours", [&person.fields.quiet_hours, &persons.quiet_hours]);
                done = self.told(actor, deed).await?.update_person(tenant, owner, Some(person.version), persons).await.map(|_| ());
            }
            match done {
                Ok(()) => {
                    self.inner.doorkeeper.transfers.edited();
                    self.inner.store.end_waiting(tenant, owner, None, None).await.map_err(wrong)?;
                    self.inner.planned.notify_one();
                    let (device, person) = self.own(key, owner).await?;
                    return Ok(preferences(&device, &person));
                }
                Err(StoreError::Stale { .. }) => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        Err(Refusal::unavailable("the device is being changed by others all the time; try again"))
    }

    /// Registers the device that asks with its push service.
    ///
    /// # Errors
    /// `forbidden` for an administrator; every wrong field.
    pub async fn set_device_registration(&self, actor: &Actor, draft: RegistrationDraft) -> crate::Result<RegistrationView> {
        let (device, _) = self.own_device(actor)?;
        self.register(actor, device, draft, None).await
    }

    /// Gives up the device's registrations with a service; app and environment narrow it.
    ///
    /// # Errors
    /// `forbidden` for an administrator; wrong values; `not_found` when there is none.
    pub async fn delete_device_registration(&self, actor: &Actor, query: RegistrationQuery) -> crate::Result<()> {
        let (device, _) = self.own_device(actor)?;
        let mut faults = Faults::default();
        let (mut service, mut environment) = (Service::Apns, Environment::Production);
        match query.service {
            Some(word) => faults.word("service", Field::Given(word), &mut service),
            None => faults.add("service", "is missing; give one of apns, fcm, wns, webpush"),
        }
        let any_environment = query.environment.is_none();
        faults.word("environment", query.environment.map_or(Field::Absent, Field::Given), &mut environment);
        faults.done()?;
        let all = self.inner.store.registrations(self.tenant_key(), device).await.map_err(wrong)?;
        let meant = all.iter().filter(|r| {
            let app = query.app.as_deref().is_none_or(|app| app == r.fields.app);
            r.fields.service == service && app && (any_environment || r.fields.environment == environment)
        });
        let mut found = false;
        for registration in meant {
            let store = self.told_of_registration(actor, "registration.delete", device, &registration.clone().into()).await?;
            store.delete_registration(self.tenant_key(), device, registration.id).await.map_err(wrong)?;
            found = true;
        }
        self.inner.doorkeeper.transfers.edited();
        if found { Ok(()) } else { Err(crate::refusal("registration", StoreError::NotFound)) }
    }
}
