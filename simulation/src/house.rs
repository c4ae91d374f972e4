//! The organization of a run: people with phones and mailboxes, groups that nest and turn in circles. Put straight into
//! the store before the first process starts.

use crate::chance::Chance;
use crate::truth::PersonTruth;
use crate::world::World;
use model::directory::{Environment, Member, MemberKind, NotificationPermission, Ownership, Platform, Service};
use model::objects::ObjectKind;
use model::roles::{Actor, Grant, Role, Scope};
use model::source::Existing;
use model::{DeviceKey, GroupKey, PersonKey, TenantKey};
use serde_json::json;
use std::sync::Arc;
use store::{DeviceFields, GroupFields, NewObject, PersonFields, RegistrationFields, Shared};
use uuid::Uuid;

/// Somebody.
#[derive(Clone, Debug)]
pub struct Someone {
    /// Inside name.
    pub key: PersonKey,
    /// Outside name.
    pub id: Uuid,
    /// Their devices.
    pub devices: Vec<(DeviceKey, Uuid, Service)>,
}

/// The organization.
#[derive(Clone, Debug)]
pub struct House {
    /// Inside name.
    pub tenant: TenantKey,
    /// Everybody.
    pub people: Vec<Someone>,
    /// Groups; the last holds everybody, the one before is the scope of the local administrator.
    pub groups: Vec<(GroupKey, Uuid)>,
    /// Extensions with a mailbox, and whose it is.
    pub extensions: Vec<(String, u32)>,
}

/// Its name.
pub const NAME: &str = "Simulation";
/// Its dial plan.
pub const PLAN: &str = "Lyon";

impl House {
    /// May do everything.
    pub fn owner(&self) -> Actor {
        Actor::Admin {
            token: Uuid::from_u128(1),
            name: "owner".into(),
            person: None,
            grants: vec![Grant { permissions: Role::Owner.permissions(), scope: Scope::Everything }],
        }
    }

    /// May send inside one group.
    pub fn local(&self) -> (Actor, Vec<GroupKey>) {
        let scope = vec![self.groups[self.groups.len() - 2].0];
        let permissions = Role::Owner.permissions();
        (
            Actor::Admin {
                token: Uuid::from_u128(2),
                name: "local".into(),
                person: None,
                grants: vec![Grant { permissions, scope: Scope::Groups(scope.clone()) }],
            },
            scope,
        )
    }

    /// Builds it.
    ///
    /// # Panics
    /// When the store does not take it.
    pub fn build(world: &Arc<World>, store: &Shared, chance: &mut Chance) -> House {
        let (tenant, _) = world.run(store.ensure_tenant(NAME, Uuid::from_u128(3))).expect("a fresh store takes a tenant");
        let tenant = tenant.key;
        let count = *chance.one_of(&[4, 12, 12, 30, 30, 130, 220]);
        let people: Vec<Someone> = (0..count).map(|n| person(world, store, tenant, n, chance)).collect();
        let mut groups = Vec::new();
        for n in 0..5u32 {
            let fields = GroupFields { name: format!("group {n}"), ..GroupFields::default() };
            let id = Uuid::from_u128(0x6000 + u128::from(n));
            let group = world.run(store.create_group(tenant, id, fields, None)).expect("a group");
            let everybody = n == 4;
            let mut members: Vec<Member> = people
                .iter()
                .filter(|_| everybody || chance.below(3) == 0)
                .map(|p| Member { kind: MemberKind::User, key: p.key.0 })
                .collect();
            if let Some((inner, _)) = groups.last().filter(|_| n == 1 || n == 2) {
                let inner: &GroupKey = inner;
                members.push(Member { kind: MemberKind::Group, key: inner.0 });
            }
            if !members.is_empty() {
                world.run(store.change_members(tenant, group.key, members, Vec::new(), None)).expect("members");
            }
            groups.push((group.key, id));
        }
        // A circle.
        let circle = vec![Member { kind: MemberKind::Group, key: groups[2].0.0 }];
        world.run(store.change_members(tenant, groups[0].0, circle, Vec::new(), None)).expect("members");
        let (version, members) = world.run(store.memberships(tenant)).expect("memberships");
        {
            let state = &mut *world.state();
            state.between.member_log.push((version, Vec::new()));
            state.truth.memberships.insert(version, Arc::new(members));
            for person in &people {
                let of = |service| person.devices.iter().filter(|d| d.2 == service).map(|d| d.0).collect();
                state.truth.people.insert(person.key.0, PersonTruth { apple: of(Service::Apns), google: of(Service::Fcm) });
            }
        }
        let extensions = mailboxes(world, store, tenant, &people);
        House { tenant, people, groups, extensions }
    }
}

/// A dial plan, a policy, and a mailbox for every second person.
fn mailboxes(world: &World, store: &Shared, tenant: TenantKey, people: &[Someone]) -> Vec<(String, u32)> {
    let make = |kind, object| world.run(store.create_object(tenant, kind, object, None)).expect("an object");
    let object = |id: u128, name: &str, document| NewObject {
        id: Uuid::from_u128(id),
        name: name.into(),
        document,
        // The further name by which the engine finds an object.
        keys: vec![format!("name/{}", name.to_lowercase())],
        links: Vec::new(),
        due: None,
    };
    let plan = make(ObjectKind::DialPlan, object(0x7000, PLAN, json!({"numberOfDigitsInExtension": 4})));
    let policy = object(0x7001, "Lyon Default Policy", json!({"umDialPlan": plan.id, "numberOfDigitsInExtension": 4}));
    let policy = make(ObjectKind::MailboxPolicy, NewObject { links: vec![plan.id], ..policy });
    let plan = Existing { kind: ObjectKind::DialPlan, id: plan.id, name: plan.name, document: plan.document };
    let with = people.iter().step_by(2).zip(1000_u32..);
    with.map(|(person, number)| {
        let extension = number.to_string();
        let document = json!({"umMailboxPolicy": policy.id, "umDialPlan": plan.id, "extensions": [extension]});
        let mut mailbox = object(0x8000 + u128::from(number), &person.id.to_string(), document);
        mailbox.keys.extend(sources::telephony::mailbox_keys(&plan, &extension));
        make(ObjectKind::Mailbox, NewObject { links: vec![policy.id], ..mailbox });
        (extension, person.key.0)
    })
    .collect()
}

fn person(world: &World, store: &Shared, tenant: TenantKey, n: u32, chance: &mut Chance) -> Someone {
    let night = chance.below(12) == 0;
    let fields = PersonFields {
        upn: format!("p{n}@example.org"),
        display_name: format!("Person {n}"),
        email: (chance.below(4) > 0).then(|| format!("p{n}@mail.example.org")),
        locale: (*chance.one_of(&["en", "fr"])).into(),
        timezone: "UTC".into(),
        active: true,
        // The run begins at eight.
        quiet_hours: night.then(|| format!("07:00-08:{:02}", chance.between(1, 8))),
        ..PersonFields::default()
    };
    let id = Uuid::from_u128(0x1_0000 + u128::from(n));
    let person = world.run(store.create_person(tenant, id, fields, None)).expect("a person");
    let mut devices = Vec::new();
    for d in 0..*chance.one_of(&[0, 1, 1, 1, 2, 3]) {
        let (platform, service) = *chance.one_of(&[(Platform::Ios, Service::Apns), (Platform::Android, Service::Fcm)]);
        let fields = DeviceFields {
            external_id: None,
            name: format!("device {d} of p{n}"),
            owner: Some(person.key),
            platform,
            ownership: Ownership::Personal,
            enrolled: true,
            enrolled_by: Some(person.key),
            enrolled_source: None,
            enrolled_at: None,
            app_installed: chance.below(12) > 0,
            permission: NotificationPermission::Granted,
            play_services: true,
            push_enabled: chance.below(12) > 0,
            last_seen: None,
        };
        let id = Uuid::from_u128(0x100_0000 + u128::from(n) * 16 + d);
        let device = world.run(store.create_device(tenant, id, fields, None)).expect("a device");
        if chance.below(10) > 0 {
            let fields = registration(service, device.key, 0);
            world
                .run(store.put_registration(tenant, device.key, Uuid::from_u128(0x1000_0000 + id.as_u128()), fields, None))
                .expect("registered");
        }
        devices.push((device.key, id, service));
    }
    Someone { key: person.key, id, devices }
}

/// A registration of a device; `turn` makes its token.
pub fn registration(service: Service, device: DeviceKey, turn: u64) -> RegistrationFields {
    RegistrationFields {
        service,
        app: String::new(),
        environment: Environment::Production,
        token: format!("{:032x}{turn:032x}", device.0),
        endpoint: String::new(),
        p256dh: String::new(),
        auth: Vec::new(),
    }
}
