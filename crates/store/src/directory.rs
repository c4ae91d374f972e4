//! The directory's contract: people, groups, devices, registrations, members, and the facts that decisions read.

use crate::{Once, Result};
use async_trait::async_trait;
use model::directory::{EnrolmentSource, Environment, Member, NotificationPermission, Ownership, Platform, RegistrationState, Service};
use model::{DeviceKey, GroupKey, Locale, PersonKey, RegistrationKey, TenantKey, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

/// What can be said about a person. Fields were checked by the caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PersonFields {
    /// The id of an outside directory; unique where given.
    pub external_id: Option<String>,
    /// User principal name; unique, compared without case.
    pub upn: String,
    /// Name for people.
    pub display_name: String,
    /// Mailbox address.
    pub email: Option<String>,
    /// Language tag.
    pub locale: String,
    /// IANA time zone.
    pub timezone: String,
    /// Licences held.
    pub licenses: Vec<String>,
    /// The manager.
    pub manager: Option<PersonKey>,
    /// Numbers in E.164.
    pub phones: Vec<String>,
    /// Whether the person is active.
    pub active: bool,
    /// The person's own quiet hours, `HH:MM-HH:MM`.
    pub quiet_hours: Option<String>,
}

/// A person.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Inside name.
    pub key: PersonKey,
    /// Outside name.
    pub id: Uuid,
    /// Grows by one at each change.
    pub version: i64,
    /// What is said.
    pub fields: PersonFields,
    /// The manager's UPN, for showing.
    pub manager_upn: Option<String>,
}

/// What can be said about a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupFields {
    /// The id of an outside directory; unique where given.
    pub external_id: Option<String>,
    /// Name; need not be unique.
    pub name: String,
    /// For people.
    pub description: String,
}

/// A group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Inside name.
    pub key: GroupKey,
    /// Outside name.
    pub id: Uuid,
    /// Grows by one at each change of the fields.
    pub version: i64,
    /// What is said.
    pub fields: GroupFields,
}

/// What can be said about a device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceFields {
    /// The id of an outside directory; unique where given.
    pub external_id: Option<String>,
    /// Name; need not be unique.
    pub name: String,
    /// Whose.
    pub owner: Option<PersonKey>,
    /// What it runs.
    pub platform: Platform,
    /// Who owns the hardware.
    pub ownership: Ownership,
    /// Whether it is enrolled.
    pub enrolled: bool,
    /// By whom, where that is known.
    pub enrolled_by: Option<PersonKey>,
    /// How.
    pub enrolled_source: Option<EnrolmentSource>,
    /// When.
    pub enrolled_at: Option<Timestamp>,
    /// Whether the app (or portal) is installed.
    pub app_installed: bool,
    /// Whether the app may notify.
    pub permission: NotificationPermission,
    /// Whether an Android device has Play services; true for other platforms.
    pub play_services: bool,
    /// The person's choice for this device: push or not.
    pub push_enabled: bool,
    /// When the app last spoke to us.
    pub last_seen: Option<Timestamp>,
}

/// A device.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Inside name.
    pub key: DeviceKey,
    /// Outside name.
    pub id: Uuid,
    /// Grows by one at each change (`last_seen` apart).
    pub version: i64,
    /// What is said.
    pub fields: DeviceFields,
    /// The owner's id and UPN, for showing.
    pub owner: Option<(Uuid, String)>,
    /// The enroller's UPN, for showing.
    pub enrolled_by_upn: Option<String>,
}

/// What can be said about a registration.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistrationFields {
    /// With which service.
    pub service: Service,
    /// Of which app (APNs topic, package name); may be empty.
    pub app: String,
    /// Production or sandbox.
    pub environment: Environment,
    /// Token; empty for Web Push.
    pub token: String,
    /// Web Push endpoint or WNS channel URL; empty for others.
    pub endpoint: String,
    /// Web Push public key, base64url; empty for others.
    pub p256dh: String,
    /// Web Push auth secret, sealed by the engine; empty for others.
    pub auth: Vec<u8>,
}

/// A registration of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Inside name.
    pub key: RegistrationKey,
    /// Outside name.
    pub id: Uuid,
    /// Of which device.
    pub device: DeviceKey,
    /// Grows at each change; a retirement carries the one it saw.
    pub version: i64,
    /// What is said.
    pub fields: RegistrationFields,
    /// Active or retired.
    pub state: RegistrationState,
    /// The provider's word for the retirement, or ours.
    pub retired_code: Option<String>,
    /// When it was last registered by the app.
    pub registered_at: Timestamp,
}

/// Which people to list. All given conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct PersonFilter {
    /// Part of UPN, name, external id or mail address, without case.
    pub search: Option<String>,
    /// Exact UPN, without case.
    pub upn: Option<String>,
    /// Exact external id.
    pub external_id: Option<String>,
    /// Active or not.
    pub active: Option<bool>,
}

/// Which groups to list.
#[derive(Clone, Debug, Default)]
pub struct GroupFilter {
    /// Part of the name or external id, without case.
    pub search: Option<String>,
    /// Exact name.
    pub name: Option<String>,
    /// Exact external id.
    pub external_id: Option<String>,
}

/// Which devices to list.
#[derive(Clone, Debug, Default)]
pub struct DeviceFilter {
    /// Part of the name or external id, without case.
    pub search: Option<String>,
    /// Whose.
    pub owner: Option<PersonKey>,
    /// What it runs.
    pub platform: Option<Platform>,
    /// Exact name.
    pub name: Option<String>,
    /// Exact external id.
    pub external_id: Option<String>,
}

/// One member, ready for showing.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberRow {
    /// What and which.
    pub member: Member,
    /// Its outside name.
    pub id: Uuid,
    /// UPN, group name or device name.
    pub name: String,
}

/// What an import or a listing names: one object and how people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<K> {
    /// Inside name.
    pub key: K,
    /// Outside name.
    pub id: Uuid,
    /// UPN or name.
    pub name: String,
    /// The id of an outside directory.
    pub external_id: Option<String>,
}

/// The facts of one person that decisions read.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonFacts {
    /// Who.
    pub key: PersonKey,
    /// Active.
    pub active: bool,
    /// Has a mailbox address.
    pub has_email: bool,
    /// Language for the words.
    pub locale: Locale,
    /// The person's own quiet hours.
    pub quiet_hours: Option<Box<str>>,
    /// Time zone; read only when asked for or when the person has own quiet hours.
    pub timezone: Option<Box<str>>,
    /// Address and display name; read only when asked for.
    pub mailbox: Option<Box<(String, String)>>,
}

/// The facts of one device that decisions read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceFacts {
    /// Whose.
    pub owner: PersonKey,
    /// Which.
    pub key: DeviceKey,
    /// What it runs.
    pub platform: Platform,
    /// Enrolled.
    pub enrolled: bool,
    /// Enrolled by somebody who is not the owner.
    pub enrolled_by_other: bool,
    /// App installed.
    pub app_installed: bool,
    /// Permission granted.
    pub permission: NotificationPermission,
    /// Play services present.
    pub play_services: bool,
    /// The person lets it be pushed to.
    pub push_enabled: bool,
}

/// The facts of one registration that decisions and attempts read.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistrationFacts {
    /// Whose.
    pub owner: PersonKey,
    /// Of which device.
    pub device: DeviceKey,
    /// Which.
    pub key: RegistrationKey,
    /// Its version.
    pub version: i64,
    /// With which service.
    pub service: Service,
    /// Active or retired.
    pub state: RegistrationState,
    /// When it was last registered.
    pub registered_at: Timestamp,
    /// Where [`FactsPage::address`] finds the address; read only when asked for.
    pub address: Option<AddressAt>,
}

/// Where a registration is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegistrationAddress<'a> {
    /// Token.
    pub token: &'a str,
    /// App.
    pub app: &'a str,
    /// Sandbox or production.
    pub environment: Environment,
    /// Endpoint.
    pub endpoint: &'a str,
    /// Public key.
    pub p256dh: &'a str,
    /// Sealed secret.
    pub auth: &'a [u8],
}

/// The place of an address in its page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AddressAt {
    text: u32,
    secret: u32,
    /// Of token, app, endpoint, public key and sealed secret; none of them is longer than the limits of their fields.
    lengths: [u16; 5],
    environment: Environment,
}

/// Facts of a page of people. Each list is sorted: people by key, devices by (owner, key), registrations by (owner,
/// device, key). People who no longer exist are missing.
#[derive(Clone, Debug, Default)]
pub struct FactsPage {
    /// The people.
    pub people: Vec<PersonFacts>,
    /// Their devices.
    pub devices: Vec<DeviceFacts>,
    /// Their registrations.
    pub registrations: Vec<RegistrationFacts>,
    /// The addresses' text one behind the other, and their secrets: a thousand of them are two pieces of memory.
    texts: String,
    secrets: Vec<u8>,
}

impl FactsPage {
    /// Of these lists, without addresses.
    pub fn of(people: Vec<PersonFacts>, devices: Vec<DeviceFacts>, registrations: Vec<RegistrationFacts>) -> FactsPage {
        FactsPage { people, devices, registrations, ..FactsPage::default() }
    }

    /// With room for so many people with a device or two.
    pub fn with_capacity(people: usize) -> FactsPage {
        FactsPage {
            people: Vec::with_capacity(people),
            devices: Vec::with_capacity(people + people / 2),
            registrations: Vec::with_capacity(people + people / 2),
            ..FactsPage::default()
        }
    }

    /// Puts an address away.
    ///
    /// # Panics
    /// When a field is longer than 65,535 bytes or the page holds four gigabytes: fields are limited to a few kilobytes.
    pub fn keep_address(&mut self, address: RegistrationAddress<'_>) -> AddressAt {
        let place = |bytes: usize| u32::try_from(bytes).expect("a page holds some hundred kilobytes of addresses");
        let (text, secret) = (place(self.texts.len()), place(self.secrets.len()));
        let mut lengths = [0; 5];
        let length = |bytes: usize| u16::try_from(bytes).expect("the fields of a registration are limited");
        for (kept, part) in lengths.iter_mut().zip([address.token, address.app, address.endpoint, address.p256dh]) {
            self.texts.push_str(part);
            *kept = length(part.len());
        }
        self.secrets.extend_from_slice(address.auth);
        lengths[4] = length(address.auth.len());
        AddressAt { text, secret, lengths, environment: address.environment }
    }

    /// A registration's address, if it was read.
    pub fn address(&self, registration: &RegistrationFacts) -> Option<RegistrationAddress<'_>> {
        let AddressAt { text, secret, lengths, environment } = registration.address?;
        let mut from = text as usize;
        let mut part = |length: u16| {
            let part = &self.texts[from..from + usize::from(length)];
            from += usize::from(length);
            part
        };
        let (token, app, endpoint, p256dh) = (part(lengths[0]), part(lengths[1]), part(lengths[2]), part(lengths[3]));
        let auth = &self.secrets[secret as usize..][..usize::from(lengths[4])];
        Some(RegistrationAddress { token, app, environment, endpoint, p256dh, auth })
    }
}

/// Of which registrations addresses are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// Of none.
    #[default]
    None,
    /// Of those with this service.
    Of(Service),
    /// Of all.
    All,
}

impl Addresses {
    /// Whether they are read for this service.
    pub fn include(self, service: Service) -> bool {
        match self {
            Addresses::None => false,
            Addresses::Of(one) => one == service,
            Addresses::All => true,
        }
    }
}

/// How much of the facts to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactsDepth {
    /// Time zones of everybody, because the organization has quiet hours.
    pub timezones: bool,
    /// Mailbox addresses and names.
    pub mailboxes: bool,
    /// Of which registrations the addresses are read.
    pub addresses: Addresses,
}

/// What an enrolment code gives: the device and its token.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// SHA-256 of the code.
    pub code: [u8; 32],
    /// The new device's id.
    pub device_id: Uuid,
    /// The new device, its owner left out (the code says who).
    pub device: DeviceFields,
    /// Its token.
    pub token: crate::NewToken,
}

/// People, groups, devices. Lists are by key, `after` excluded.
#[async_trait]
pub trait Directory {
    /// Adds a person.
    async fn create_person(&self, tenant: TenantKey, id: Uuid, fields: PersonFields, once: Option<Once>) -> Result<Person>;
    /// Replaces a person's fields; with `expected`, only at that version. A person who stops being active loses, in the
    /// same transaction, registrations (retired as `person_inactive`), tokens of their devices and open codes.
    async fn update_person(&self, tenant: TenantKey, key: PersonKey, expected: Option<i64>, fields: PersonFields) -> Result<Person>;
    /// Removes a person; their devices stay without an owner, their registrations go.
    async fn delete_person(&self, tenant: TenantKey, key: PersonKey, expected: Option<i64>) -> Result<()>;
    /// One person.
    async fn person(&self, tenant: TenantKey, key: PersonKey) -> Result<Option<Person>>;
    /// Some people.
    async fn people(&self, tenant: TenantKey, filter: PersonFilter, after: PersonKey, limit: u32) -> Result<Vec<Person>>;
    /// Everybody whom `name` may mean: by id, else external id, else UPN; at most ten.
    async fn find_people(&self, tenant: TenantKey, name: &str) -> Result<Vec<Named<PersonKey>>>;
    /// Display names of the people who have this telephone number, two at most.
    async fn people_with_phone(&self, tenant: TenantKey, number: &str) -> Result<Vec<String>>;

    /// Adds a group.
    async fn create_group(&self, tenant: TenantKey, id: Uuid, fields: GroupFields, once: Option<Once>) -> Result<Group>;
    /// Replaces a group's fields.
    async fn update_group(&self, tenant: TenantKey, key: GroupKey, expected: Option<i64>, fields: GroupFields) -> Result<Group>;
    /// Removes a group, its memberships and its places in other groups.
    async fn delete_group(&self, tenant: TenantKey, key: GroupKey, expected: Option<i64>) -> Result<()>;
    /// One group.
    async fn group(&self, tenant: TenantKey, key: GroupKey) -> Result<Option<Group>>;
    /// Some groups.
    async fn groups(&self, tenant: TenantKey, filter: GroupFilter, after: GroupKey, limit: u32) -> Result<Vec<Group>>;
    /// Every group that `name` may mean: by id, else external id, else name; at most ten.
    async fn find_groups(&self, tenant: TenantKey, name: &str) -> Result<Vec<Named<GroupKey>>>;
    /// Adds and removes members; what is there already, or not there, is no error. Answers how many were added and removed.
    async fn change_members(
        &self,
        tenant: TenantKey,
        group: GroupKey,
        add: Vec<Member>,
        remove: Vec<Member>,
        once: Option<Once>,
    ) -> Result<(u64, u64)>;
    /// Members of a group, by (kind, key), `after` excluded.
    async fn members(&self, tenant: TenantKey, group: GroupKey, after: Option<Member>, limit: u32) -> Result<Vec<MemberRow>>;

    /// Adds a device.
    async fn create_device(&self, tenant: TenantKey, id: Uuid, fields: DeviceFields, once: Option<Once>) -> Result<Device>;
    /// Replaces a device's fields.
    async fn update_device(&self, tenant: TenantKey, key: DeviceKey, expected: Option<i64>, fields: DeviceFields) -> Result<Device>;
    /// Notes that a device's app spoke to us.
    async fn touch_device(&self, tenant: TenantKey, key: DeviceKey, at: Timestamp) -> Result<()>;
    /// Removes a device, its registrations, memberships and tokens.
    async fn delete_device(&self, tenant: TenantKey, key: DeviceKey, expected: Option<i64>) -> Result<()>;
    /// One device.
    async fn device(&self, tenant: TenantKey, key: DeviceKey) -> Result<Option<Device>>;
    /// Some devices.
    async fn devices(&self, tenant: TenantKey, filter: DeviceFilter, after: DeviceKey, limit: u32) -> Result<Vec<Device>>;
    /// Every device that `name` may mean: by id, else external id, else name; at most ten.
    async fn find_devices(&self, tenant: TenantKey, name: &str) -> Result<Vec<Named<DeviceKey>>>;

    /// Registers a device: the same (device, service, app, environment) is replaced and becomes active again; the same
    /// token on another device is retired there as `moved`.
    async fn put_registration(
        &self,
        tenant: TenantKey,
        device: DeviceKey,
        id: Uuid,
        fields: RegistrationFields,
        once: Option<Once>,
    ) -> Result<Registration>;
    /// Removes a registration.
    async fn delete_registration(&self, tenant: TenantKey, device: DeviceKey, id: Uuid) -> Result<()>;
    /// A device's registrations.
    async fn registrations(&self, tenant: TenantKey, device: DeviceKey) -> Result<Vec<Registration>>;

    /// Keeps an enrolment code (its SHA-256) until it is used or `expires`.
    async fn create_code(&self, tenant: TenantKey, code: [u8; 32], person: PersonKey, expires: Timestamp, once: Option<Once>)
    -> Result<()>;
    /// Uses a code: adds the device, owned and enrolled by the code's person, and its token, all or nothing.
    /// A repeat is answered with `Replay` before the code is looked at.
    async fn enrol(&self, enrolment: Enrolment, once: Option<Once>, now: Timestamp) -> Result<(TenantKey, Device)>;

    /// A number that moves with every change of people, devices and registrations, once the change can be read: facts that
    /// were read at the number that stands now are still true. Where processes share the store it also moves twice a second,
    /// so that what another one changed holds here half a second later at the latest.
    fn facts_version(&self) -> u64;
    /// Facts of some people, whose keys are sorted.
    async fn facts(&self, tenant: TenantKey, people: Arc<[PersonKey]>, depth: FactsDepth) -> Result<FactsPage>;
    /// Facts of everybody with a key in the range, both ends included: for reports over a whole organization.
    async fn facts_range(&self, tenant: TenantKey, from: PersonKey, to: PersonKey, depth: FactsDepth) -> Result<FactsPage>;
    /// The directory's version and the largest key of a person: the version moves with every change of membership.
    async fn directory_version(&self, tenant: TenantKey) -> Result<(i64, PersonKey)>;
    /// Every membership as of one version, for the resident copy: (version, sorted by group).
    async fn memberships(&self, tenant: TenantKey) -> Result<(i64, Vec<(GroupKey, Member)>)>;
    /// Whose each of these devices is: nobody's where it has no owner or does not exist.
    async fn owners_of(&self, tenant: TenantKey, devices: Vec<DeviceKey>) -> Result<Vec<(DeviceKey, Option<PersonKey>)>>;
}
