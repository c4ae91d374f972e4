//! What the organization is called: its name in the configuration is only a name, and nothing is lost when it changes.

use engine::keys::Keys;
use engine::{Duties, Engine, Parts};
use model::{Clock, Timestamp};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::sqlite::Sqlite;
use store::{PersonFields, Shared};
use uuid::Uuid;

struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

struct House {
    store: Shared,
    folder: PathBuf,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl House {
    async fn new() -> House {
        let folder = std::env::temp_dir().join(format!("carillon-naming-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let store = Sqlite::open(&folder.join("carillon.db"), Arc::new(RealClock)).await.expect("a fresh store");
        House { store: Arc::new(store), folder }
    }

    async fn start(&self, organization: &str) -> engine::Result<(Engine, bool)> {
        let parts = Parts {
            messenger: None,
            files_follow: false,
            store: self.store.clone(),
            channels: Vec::new(),
            sources: Vec::new(),
            clock: Arc::new(RealClock),
            keys: Keys::new(vec![[7; 32]]),
            organization: organization.into(),
            scratch: self.folder.clone(),
            duties: Duties::ALL,
            node: Uuid::new_v4(),
            predecessor: None,
            sending: None,
        };
        Engine::start(parts).await
    }

    /// What the store calls its organizations.
    async fn names(&self) -> Vec<String> {
        let (tenants, new) = self.store.found("nobody's", Uuid::new_v4()).await.expect("there");
        assert!(!new);
        tenants.into_iter().map(|tenant| tenant.name).collect()
    }

    /// From what to what the audit says that the organization was renamed, and by whom.
    async fn renamings(&self, engine: &Engine) -> Vec<(Value, Value)> {
        let entries = self.store.entries(engine.tenant().key, 1, 100).await.expect("the audit");
        let renamings = entries.into_iter().filter(|entry| entry.body["operation"] == "organization.rename");
        renamings.map(|entry| (entry.body["actor"]["kind"].clone(), entry.body["changes"]["name"].clone())).collect()
    }
}

const REST: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_changed_name_renames_the_organization_and_everything_stays() {
    let house = House::new().await;
    let (engine, fresh) = house.start("Little Shop").await.expect("started");
    assert!(fresh);
    let tenant = engine.tenant().clone();
    let ada = PersonFields { upn: "ada@example.org".into(), locale: "en".into(), timezone: "UTC".into(), ..PersonFields::default() };
    let ada = house.store.create_person(tenant.key, Uuid::new_v4(), ada, None).await.expect("a person");
    let token = engine.create_owner_token("bootstrap").await.expect("a token");
    assert!(engine.stop(REST).await);

    let (engine, fresh) = house.start("Large Shop").await.expect("started");
    assert!(!fresh);
    assert_eq!((engine.tenant().key, engine.tenant().id, engine.tenant().name.as_str()), (tenant.key, tenant.id, "Large Shop"));
    assert!(engine.actor(&token).await.is_ok(), "tokens open as before");
    assert_eq!(house.store.person(engine.tenant().key, ada.key).await.expect("asked").map(|p| p.id), Some(ada.id));
    assert_eq!(house.names().await, ["Large Shop"]);
    let told = [(json!("server"), json!(["Little Shop", "Large Shop"]))];
    assert_eq!(house.renamings(&engine).await, told);
    assert!(engine.stop(REST).await);

    let (engine, fresh) = house.start("Large Shop").await.expect("started");
    assert!(!fresh);
    assert_eq!(house.renamings(&engine).await, told, "an unchanged name is no renaming");
    assert!(engine.stop(REST).await);
}

#[tokio::test]
async fn of_two_processes_with_different_names_the_last_start_decides_and_they_take_no_turns() {
    let house = House::new().await;
    let (first, _) = house.start("One").await.expect("started");
    let (second, fresh) = house.start("Two").await.expect("started");
    assert!(!fresh && second.tenant().key == first.tenant().key);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(house.names().await, ["Two"]);
    assert_eq!(house.renamings(&second).await.len(), 1);
    assert!(first.stop(REST).await && second.stop(REST).await);
}

#[tokio::test]
async fn of_several_organizations_that_an_older_version_made_the_one_of_this_name_is_served_and_none_is_added() {
    let house = House::new().await;
    let (old, _) = house.store.ensure_tenant("Old", Uuid::new_v4()).await.expect("made");
    house.store.ensure_tenant("New", Uuid::new_v4()).await.expect("made");
    let (engine, fresh) = house.start("Old").await.expect("started");
    assert!(!fresh && engine.tenant() == &old);
    assert!(engine.stop(REST).await);
    let Err(refused) = house.start("Third").await else { panic!("it started for nobody") };
    for word in ["\"Old\"", "\"New\"", "\"Third\"", "[server] organization"] {
        assert!(refused.detail.contains(word), "{refused:?}");
    }
    assert_eq!(house.names().await, ["Old", "New"]);
}
