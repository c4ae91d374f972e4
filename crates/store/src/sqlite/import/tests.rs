//! What the contract's stories cannot show: crashes between two steps, and edits in the middle of an import.

use super::*;
use crate::{DeviceFilter, RegistrationFields};
use crate::{Directory, FactsDepth, ImportFile, ImportMode, Ledger, NewToken, PersonFields, PersonFilter, StoreError, TokenUse};
use model::directory::{Environment, Member, MemberKind, RegistrationState, Service};
use model::{Clock, DeviceKey, GroupKey, PersonKey, Timestamp};
use uuid::Uuid;

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_000_000_000)
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("carillon-import-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Folder(path)
    }

    async fn open(&self) -> Sqlite {
        Sqlite::open(&self.0.join("carillon.db"), Arc::new(Noon)).await.expect("the store can be opened")
    }

    fn import(&self, files: &[(&str, &str)]) -> Import {
        let files = files.iter().map(|(name, text)| {
            let path = self.0.join(name);
            std::fs::write(&path, text).expect("a file can be written");
            ImportFile { name: (*name).into(), path }
        });
        Import {
            files: files.collect(),
            mode: ImportMode::Upsert,
            dry_run: false,
            allow_many_removals: true,
            seal: Arc::new(|_, plain| plain.as_bytes().to_vec()),
            progress: Arc::new(ImportProgress::default()),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const BEFORE: [(&str, &str); 5] = [
    ("people.csv", "external_id,upn,locale\nE1,a@example.org,en\nE2,b@example.org,en\nE3,c@example.org,en\n"),
    ("groups.csv", "external_id,name\nG1,one\nG2,two\n"),
    ("members.csv", "group,member_type,member\nG1,user,E1\nG1,group,G2\n"),
    ("devices.csv", "external_id,name,owner_upn,platform\nD1,phone,a@example.org,ios\nD2,tablet,b@example.org,ios\n"),
    ("registrations.csv", "device,service,token\nD1,apns,00112233\nD2,apns,00112244\n"),
];

/// E1 and E2 swap names, E3 leaves, E4 comes; G2 goes; D1 changes hands.
const AFTER: [(&str, &str); 5] = [
    ("people.csv", "external_id,upn,active\nE1,b@example.org,true\nE2,a@example.org,true\nE4,d@example.org,true\n"),
    ("groups.csv", "external_id,name\nG1,one and only\n"),
    ("members.csv", "group,member_type,member\nG1,user,E1\nG1,user,E4\n"),
    ("devices.csv", "external_id,name,owner_upn,platform\nD1,phone,d@example.org,ios\nD2,tablet,b@example.org,ios\n"),
    ("registrations.csv", "device,service,token\nD1,apns,00112233\nD2,apns,00112255\n"),
];

async fn tenant_of(store: &Sqlite) -> TenantKey {
    store.ensure_tenant("story", Uuid::from_u128(1)).await.expect("a tenant").0.key
}

/// Everything that can be seen of the directory.
async fn picture(store: &Sqlite, tenant: TenantKey) -> String {
    let people = store.people(tenant, PersonFilter::default(), PersonKey(0), 99).await.expect("people");
    let groups = store.groups(tenant, crate::GroupFilter::default(), GroupKey(0), 99).await.expect("groups");
    let devices = store.devices(tenant, DeviceFilter::default(), DeviceKey(0), 99).await.expect("devices");
    let mut registrations = Vec::new();
    for device in &devices {
        registrations.push(store.registrations(tenant, device.key).await.expect("registrations"));
    }
    let members = store.memberships(tenant).await.expect("members").1;
    let depth = FactsDepth { timezones: true, mailboxes: true, addresses: crate::Addresses::Of(Service::Apns) };
    let facts = store.facts_range(tenant, PersonKey(0), PersonKey(u32::MAX), depth).await.expect("facts");
    format!("{people:#?}{groups:#?}{devices:#?}{registrations:#?}{members:#?}{facts:#?}")
}

/// Rows of every version of everything.
async fn rows(store: &Sqlite) -> i64 {
    let count = "SELECT (SELECT count(*) FROM person) + (SELECT count(*) FROM grp) + (SELECT count(*) FROM member) + (SELECT count(*) FROM device) \
        + (SELECT count(*) FROM registration)";
    store.read(move |c| Ok(c.query_row(count, [], |row| row.get(0))?)).await.expect("counted")
}

/// Whether an import was tidied up wholly.
async fn tidy(store: &Sqlite) -> bool {
    let dead = "SELECT (SELECT sum(importing) FROM meta) + (SELECT count(*) FROM person WHERE until <> ?1) + (SELECT count(*) FROM grp WHERE until <> ?1) \
        + (SELECT count(*) FROM member WHERE until <> ?1) + (SELECT count(*) FROM device WHERE until <> ?1) \
        + (SELECT count(*) FROM registration WHERE until <> ?1)";
    store.read(move |c| Ok(c.query_row(dead, [i64::MAX], |row| row.get::<_, i64>(0))?)).await.expect("counted") == 0
}

async fn begun(folder: &Folder) -> (Sqlite, TenantKey) {
    let store = folder.open().await;
    let tenant = tenant_of(&store).await;
    let report = store.import(tenant, folder.import(&BEFORE)).await.expect("imported");
    assert!(report.applied && report.is_clean(), "{report:?}");
    (store, tenant)
}

/// Everything of the second import but its switch.
async fn written(store: &Sqlite, tenant: TenantKey, folder: &Folder) -> Scratch {
    let import = Import { mode: ImportMode::Replace, ..folder.import(&AFTER) };
    let (theirs, report) = check(store.file(), tenant, import).expect("checked");
    assert!(report.is_clean(), "{report:?}");
    apply::write_versions(store, theirs).await.expect("written")
}

#[tokio::test]
async fn a_crash_before_the_switch_leaves_nothing() {
    let folder = Folder::new();
    let (store, tenant) = begun(&folder).await;
    let (before, count) = (picture(&store, tenant).await, rows(&store).await);
    let scratch = written(&store, tenant, &folder).await;
    assert!(rows(&store).await > count, "there are versions that nobody sees");
    assert_eq!(picture(&store, tenant).await, before);
    std::mem::forget(scratch);
    drop(store);
    let store = folder.open().await;
    assert_eq!((picture(&store, tenant).await, rows(&store).await), (before, count));
    assert!(!folder.0.join("carillon.db.import-1").exists(), "the scratch file is gone");
    let report = store.import(tenant, Import { mode: ImportMode::Replace, ..folder.import(&AFTER) }).await.expect("imported");
    assert!(report.applied, "{report:?}");
    assert!(tidy(&store).await, "what nobody sees is deleted");
}

#[tokio::test]
async fn a_crash_after_the_switch_leaves_all_of_it() {
    let folder = Folder::new();
    let (store, tenant) = begun(&folder).await;
    let phone = store.find_devices(tenant, "D1").await.expect("found")[0].key;
    let token = NewToken { id: Uuid::from_u128(5), hash: [5; 32], name: "app".into(), opens: TokenUse::Device(phone), expires_at: None };
    store.create_token(tenant, token, None).await.expect("a token");
    let deactivation = folder.import(&[("people.csv", "external_id,upn,active\nE1,a@example.org,no\n")]);
    let (scratch, report) = check(store.file(), tenant, deactivation).expect("checked");
    assert_eq!(report.deactivated.len(), 1);
    let scratch = apply::write_versions(&store, scratch).await.expect("written");
    std::mem::forget(apply::switch(&store, scratch, None).await.expect("switched"));
    let after = picture(&store, tenant).await;
    assert_eq!(store.registrations(tenant, phone).await.expect("registrations")[0].state, RegistrationState::Retired);
    assert_eq!(store.find_token([5; 32]).await.expect("asked").expect("kept").revoked_at, None, "it died before that");
    let count = rows(&store).await;
    drop(store);
    let store = folder.open().await;
    assert_eq!(picture(&store, tenant).await, after);
    assert_eq!(rows(&store).await, count - 2, "old versions are gone");
    assert!(tidy(&store).await);
    assert!(store.find_token([5; 32]).await.expect("asked").expect("kept").revoked_at.is_some(), "what was left to do is done");
}

#[tokio::test]
async fn an_edit_of_what_an_import_is_about_to_change_is_refused() {
    let folder = Folder::new();
    let (store, tenant) = begun(&folder).await;
    let scratch = written(&store, tenant, &folder).await;
    let ada = store.find_people(tenant, "E1").await.expect("found")[0].key;
    let cleo = store.find_people(tenant, "E3").await.expect("found")[0].key;
    let one = store.find_groups(tenant, "G1").await.expect("found")[0].key;
    let two = store.find_groups(tenant, "G2").await.expect("found")[0].key;
    let phone = store.find_devices(tenant, "D1").await.expect("found")[0].key;
    let fields = store.person(tenant, ada).await.expect("read").expect("there").fields;
    let pending = |answer: std::result::Result<(), StoreError>| matches!(answer, Err(StoreError::ImportPending));
    assert!(pending(store.update_person(tenant, ada, None, fields.clone()).await.map(drop)));
    assert!(pending(store.delete_person(tenant, cleo, None).await));
    let coming = PersonFields { upn: "d@example.org".into(), ..PersonFields::default() };
    assert!(pending(store.create_person(tenant, Uuid::from_u128(9), coming, None).await.map(drop)), "a name that is about to be taken");
    assert!(pending(store.delete_group(tenant, two, None).await));
    let nested = Member { kind: MemberKind::Group, key: two.0 };
    assert!(pending(store.change_members(tenant, one, vec![], vec![nested], None).await.map(drop)));
    let leaving = Member { kind: MemberKind::User, key: cleo.0 };
    assert!(pending(store.change_members(tenant, one, vec![leaving], vec![], None).await.map(drop)), "a member who is about to go");
    let registration = RegistrationFields {
        service: Service::Apns,
        app: "another".into(),
        environment: Environment::Production,
        token: "00112277".into(),
        endpoint: String::new(),
        p256dh: String::new(),
        auth: vec![],
    };
    assert!(
        pending(store.put_registration(tenant, phone, Uuid::from_u128(8), registration, None).await.map(drop)),
        "its device is about to move"
    );
    // What the import does not touch can be edited, and outlives it.
    let eve = PersonFields { upn: "eve@example.org".into(), display_name: "Eve".into(), ..PersonFields::default() };
    let eve = store.create_person(tenant, Uuid::from_u128(7), eve, None).await.expect("a person").key;
    let scratch = apply::switch(&store, scratch, None).await.expect("switched");
    apply::clean(&store, scratch).await.expect("cleaned").remove();
    assert!(tidy(&store).await);
    assert!(store.person(tenant, eve).await.expect("read").is_some());
    assert_eq!(store.find_people(tenant, "b@example.org").await.expect("found")[0].key, ada);
    assert!(store.update_person(tenant, ada, Some(2), fields).await.is_err(), "the name is the other's now");
}

#[tokio::test]
async fn a_change_between_comparing_and_writing_stops_the_import() {
    let folder = Folder::new();
    let (store, tenant) = begun(&folder).await;
    let ada = store.find_people(tenant, "E1").await.expect("found")[0].key;
    let fields = store.person(tenant, ada).await.expect("read").expect("there").fields;
    let import = || Import { mode: ImportMode::Replace, ..folder.import(&AFTER) };
    let edits: [&str; 3] = ["edit", "taken name", "removed owner"];
    for edit in edits {
        let (scratch, _) = check(store.file(), tenant, import()).expect("checked");
        match edit {
            "edit" => drop(store.update_person(tenant, ada, None, fields.clone()).await.expect("an edit")),
            "taken name" => {
                let taken = PersonFields { upn: "d@example.org".into(), ..fields.clone() };
                let taken = PersonFields { external_id: None, ..taken };
                store.create_person(tenant, Uuid::from_u128(77), taken, None).await.expect("a person");
            }
            _ => store.delete_person(tenant, ada, None).await.expect("removed"),
        }
        let before = picture(&store, tenant).await;
        let stopped = apply::write_versions(&store, scratch).await;
        assert!(matches!(&stopped, Err(StoreError::Unavailable(why)) if why.contains("was changed while")), "{edit}: {:?}", stopped.err());
        recover::mend(&store, tenant).await.expect("taken back");
        assert_eq!(picture(&store, tenant).await, before, "{edit}");
    }
    let report = store.import(tenant, import()).await.expect("imported");
    assert!(report.applied && report.is_clean(), "{report:?}");
}

#[tokio::test]
async fn whoever_stops_waiting_stops_the_import() {
    let folder = Folder::new();
    let (store, tenant) = begun(&folder).await;
    let before = picture(&store, tenant).await;
    let people: String =
        std::iter::once("external_id,upn\n".to_owned()).chain((0..20_000).map(|n| format!("X{n},x{n}@example.org\n"))).collect();
    let import = folder.import(&[("people.csv", &people)]);
    let progress = import.progress.clone();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.import(tenant, import).await }
    });
    while progress.written.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    waiting.abort();
    let next = loop {
        match store.import(tenant, folder.import(&[("people.csv", "upn\na@example.org\n")])).await {
            Err(StoreError::Unavailable(why)) if why.contains("another") => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            answer => break answer.expect("answered"),
        }
    };
    assert_eq!(next.users.unchanged, 1);
    assert_eq!(picture(&store, tenant).await, before);
}
