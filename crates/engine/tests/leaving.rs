//! What belongs to people who are gone: it ends however they went, and whenever the process that removed them was stopped.

use engine::keys::Keys;
use engine::{Duties, Engine, Parts};
use model::objects::{ActDeclaration, Naming, ObjectDeclaration, ObjectKind, Onto};
use model::roles::Permission;
use model::source::{Acting, Declaration, Happening, Mail, Ruling, Source, Telling, Tools, Words};
use model::{Clock, PersonKey, Refusal, TenantKey, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::sqlite::Sqlite;
use store::{NewObject, PersonFields, Shared};
use uuid::Uuid;

const BOX: ObjectKind = ObjectKind::Mailbox;

static BOXES: Declaration = Declaration {
    name: "boxes",
    event_types: &[],
    settings: &[],
    objects: &[ObjectDeclaration {
        kind: BOX,
        path: "mailboxes",
        tag: "Calls",
        naming: Naming::Person,
        fields: &[],
        acts: &[ActDeclaration {
            name: "disable",
            onto: Onto::Gone,
            parameters: &[],
            permission: Permission::TelephonyManage,
            amounts_to: None,
            help_en: "",
            help_fr: "",
        }],
        reading: Permission::DirectoryRead,
        conflicts: &[],
        help_en: "",
        help_fr: "",
    }],
    cmdlets: &[],
};

/// Ends every mailbox but the one that is stuck, and would tell its person.
struct Boxes;

impl Source for Boxes {
    fn declaration(&self) -> &'static Declaration {
        &BOXES
    }

    fn words(&self, telling: &Telling<'_>) -> Words {
        Words {
            event: telling.event,
            kind: telling.kind,
            locale: telling.locale,
            private: telling.private,
            title: String::new(),
            body: String::new(),
            mail: Mail::default(),
        }
    }

    fn act(&self, acting: &Acting<'_>, _: &mut dyn Tools) -> Result<Ruling, Refusal> {
        if acting.before.is_some_and(|before| before.document["stuck"] == true) {
            return Err(Refusal::unavailable("it is stuck"));
        }
        let told = Happening { kind: "box.ended", person: acting.id, data: Value::Null, secret: None, mail_to: None };
        Ok(Ruling { happenings: vec![told], ..Ruling::default() })
    }
}

struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

struct House {
    store: Shared,
    folder: std::path::PathBuf,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl House {
    async fn new() -> House {
        let folder = std::env::temp_dir().join(format!("carillon-leaving-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let store = Sqlite::open(&folder.join("carillon.db"), Arc::new(RealClock)).await.expect("a fresh store");
        House { store: Arc::new(store), folder }
    }

    async fn engine(&self) -> Engine {
        let parts = Parts {
            messenger: None,
            files_follow: false,
            store: self.store.clone(),
            channels: Vec::new(),
            sources: vec![Box::new(Boxes)],
            clock: Arc::new(RealClock),
            keys: Keys::new(vec![[7; 32]]),
            organization: "Test".into(),
            scratch: self.folder.clone(),
            duties: Duties::ALL,
            node: Uuid::new_v4(),
            predecessor: None,
            sending: None,
        };
        Engine::start(parts).await.expect("the engine starts").0
    }

    /// Somebody with a mailbox; answers their key and its id.
    async fn person(&self, tenant: TenantKey, name: &str, document: Value) -> (PersonKey, Uuid) {
        let fields = PersonFields {
            upn: format!("{name}@example.org"),
            display_name: name.into(),
            locale: "en".into(),
            timezone: "UTC".into(),
            active: true,
            ..PersonFields::default()
        };
        let person = self.store.create_person(tenant, Uuid::new_v4(), fields, None).await.expect("a person");
        let object = NewObject { id: Uuid::new_v4(), name: person.id.to_string(), document, ..NewObject::default() };
        let id = self.store.create_object(tenant, BOX, object, None).await.expect("a mailbox").id;
        (person.key, id)
    }

    async fn is_there(&self, tenant: TenantKey, id: Uuid) -> bool {
        self.store.object(tenant, BOX, id).await.expect("asked").is_some()
    }
}

#[tokio::test]
async fn what_a_crash_left_ends_with_the_next_start_in_the_servers_name_and_nobody_is_told() {
    let house = House::new().await;
    let engine = house.engine().await;
    let tenant = engine.tenant().key;
    let (ada, gone) = house.person(tenant, "ada", json!({})).await;
    let (stuck_person, stuck) = house.person(tenant, "stuck", json!({"stuck": true})).await;
    let (_, stays) = house.person(tenant, "ben", json!({})).await;
    assert!(engine.stop(Duration::from_secs(10)).await);
    // As a process that was killed between the end of a person and that of what is theirs.
    for person in [ada, stuck_person] {
        house.store.delete_person(tenant, person, None).await.expect("gone");
    }
    let engine = house.engine().await;
    for _ in 0..1_000 {
        if !house.is_there(tenant, gone).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!house.is_there(tenant, gone).await, "what nobody has ends");
    assert!(house.is_there(tenant, stays).await, "what somebody has stays");
    assert!(house.is_there(tenant, stuck).await, "what cannot be ended keeps nothing else");
    let entries = house.store.entries(tenant, 1, 100).await.expect("the audit");
    let ends: Vec<_> = entries.iter().filter(|entry| entry.body["operation"] == "mailbox.disable").collect();
    assert_eq!(ends.len(), 1);
    let (actor, object, changes) = (&ends[0].body["actor"], &ends[0].body["object"]["id"], ends[0].body.get("changes"));
    assert_eq!((actor, object, changes), (&json!({"kind": "server"}), &json!(gone), None));
    assert!(engine.stop(Duration::from_secs(10)).await);
}
