//! Stories of imports and exports: all or nothing, visible at once, every bad cell named.

use super::scene::Stage;
use super::stories;
use crate::import::ImportCount;
use crate::{FactsDepth, Import, ImportFile, ImportMode, ImportProgress, ImportReport, NewToken, PersonFilter, StoreError, TokenUse};
use model::directory::{EnrolmentSource, RegistrationState};
use model::{GroupKey, PersonKey};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

stories![
    files_and_rows_may_stand_in_any_order,
    the_same_files_again_change_nothing,
    every_bad_cell_is_named_and_nothing_is_applied,
    the_lines_named_are_those_of_the_file,
    a_file_of_an_unknown_kind_or_with_wrong_columns_is_refused,
    what_must_be_there_once_is_found_twice,
    an_absent_column_leaves_what_was_and_an_empty_cell_clears,
    names_may_be_swapped_in_one_import,
    an_ambiguous_name_lists_what_it_may_mean,
    an_import_is_seen_all_at_once,
    a_stopped_import_leaves_nothing,
    one_import_runs_at_a_time,
    a_replace_removes_what_is_not_named_and_has_a_ceiling,
    a_dry_run_reports_and_writes_nothing,
    whoever_an_import_deactivates_is_shut_out,
    a_device_changes_hands_by_import,
    a_token_found_on_another_device_moves,
    an_export_imports_back_without_change,
];

/// A folder that goes with the story.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("carillon-story-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Folder(path)
    }

    pub(super) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> ImportFile {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file can be written");
        ImportFile { name: name.into(), path }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A story that left something behind has failed already.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn import_of(files: Vec<ImportFile>) -> Import {
    Import {
        files,
        mode: ImportMode::Upsert,
        dry_run: false,
        allow_many_removals: false,
        // Never the same twice, as a real seal.
        seal: Arc::new(|_, plain| [Uuid::new_v4().as_bytes(), plain.as_bytes()].concat()),
        progress: Arc::new(ImportProgress::default()),
    }
}

async fn import(stage: &Stage, files: &[(&str, &str)]) -> ImportReport {
    let folder = Folder::new();
    let files = files.iter().map(|(name, text)| folder.file(name, text)).collect();
    stage.store.import(stage.tenant, import_of(files)).await.expect("an import is answered")
}

pub(super) async fn imported(stage: &Stage, files: &[(&str, &str)]) -> ImportReport {
    let report = import(stage, files).await;
    assert!(report.is_clean() && report.applied, "{report:?}");
    report
}

fn faults(report: &ImportReport) -> Vec<(&str, &str)> {
    report.faults.iter().map(|fault| (fault.field.as_str(), fault.message.as_str())).collect()
}

const PEOPLE: &str = "external_id,upn,display_name,email,locale,timezone,licenses,manager_upn,phones,active\n\
    E2,bob@example.org,Bob,bob@example.org,fr,Europe/Paris,calls;meetings,ada@example.org,+33155501234;+33155501235,true\n\
    E1,ada@example.org,Ada,,en,UTC,,,,yes\n";
const GROUPS: &str = "external_id,name,description\nG1,Everybody,All of us\n,Ops,\"Those, who operate\"\n";
const MEMBERS: &str =
    "group,member_type,member\nG1,group,Ops\nOps,group,G1\nOps,user,E1\nEverybody,user,BOB@example.org\nG1,device,tablet\n";
const DEVICES: &str = "external_id,name,owner_upn,platform,ownership,enrolled,app_installed,notification_permission,play_services\n\
    D1,phone,Ada@Example.org,ios,personal,1,1,granted,\n,tablet,,android,corporate,no,0,,false\n";
const REGISTRATIONS: &str = "device,service,app,environment,token,endpoint,p256dh,auth\n\
    phone,apns,org.example.app,sandbox,00ff00ff00ff,,,\ntablet,fcm,,,token-1,,,\n\
    D1,webpush,,,,https://push.example.org/1,BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,AAAAAAAAAAAAAAAAAAAAAA\n";

pub(super) fn all_files() -> [(&'static str, &'static str); 5] {
    [
        ("registrations.csv", REGISTRATIONS),
        ("members.csv", MEMBERS),
        ("devices.csv", DEVICES),
        ("groups.csv", GROUPS),
        ("people.csv", PEOPLE),
    ]
}

async fn person_key(stage: &Stage, name: &str) -> PersonKey {
    stage.store.find_people(stage.tenant, name).await.expect("looked for").first().expect("there is one").key
}

async fn files_and_rows_may_stand_in_any_order(stage: Stage) {
    let report = imported(&stage, &all_files()).await;
    let created = |created| ImportCount { created, ..ImportCount::default() };
    assert_eq!((report.users, report.groups, report.members), (created(2), created(2), created(5)));
    assert_eq!((report.devices, report.registrations), (created(2), created(3)));
    let (store, tenant) = (&stage.store, stage.tenant);
    let (ada, bob) = (person_key(&stage, "E1").await, person_key(&stage, "E2").await);
    let shown = store.person(tenant, bob).await.expect("read").expect("there");
    assert_eq!((shown.fields.manager, shown.manager_upn.as_deref()), (Some(ada), Some("ada@example.org")));
    assert_eq!(shown.fields.licenses, ["calls", "meetings"]);
    assert_eq!((shown.fields.phones.len(), shown.fields.timezone.as_str(), shown.fields.locale.as_str()), (2, "Europe/Paris", "fr"));
    assert_eq!(store.person(tenant, ada).await.expect("read").expect("there").fields.email, None);
    let phone = store.find_devices(tenant, "phone").await.expect("found")[0].key;
    let phone = store.device(tenant, phone).await.expect("read").expect("there");
    assert_eq!(
        (phone.fields.owner, phone.fields.enrolled_source, phone.fields.enrolled_at),
        (Some(ada), Some(EnrolmentSource::Import), Some(stage.now()))
    );
    assert!(phone.fields.play_services && phone.fields.push_enabled);
    let registrations = store.registrations(tenant, phone.key).await.expect("registrations");
    assert_eq!(registrations.iter().map(|r| r.state).collect::<Vec<_>>(), [RegistrationState::Active; 2]);
    assert!(registrations.iter().any(|r| r.fields.auth.ends_with(b"AAAA") && r.fields.auth.len() == 38), "the secret is sealed");
    let ops = store.find_groups(tenant, "Ops").await.expect("found")[0].key;
    let members = store.members(tenant, ops, None, 9).await.expect("members");
    assert_eq!(members.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["ada@example.org", "Everybody"]);
}

async fn the_same_files_again_change_nothing(stage: Stage) {
    imported(&stage, &all_files()).await;
    let before = (
        stage.store.directory_version(stage.tenant).await.expect("a version"),
        stage.store.people(stage.tenant, PersonFilter::default(), PersonKey(0), 9).await.expect("people"),
    );
    let mut files = all_files();
    files.reverse();
    let report = import(&stage, &files).await;
    assert!(report.is_clean() && !report.applied, "{report:?}");
    let unchanged = |unchanged| ImportCount { unchanged, ..ImportCount::default() };
    assert_eq!((report.users, report.groups, report.members), (unchanged(2), unchanged(2), unchanged(5)));
    assert_eq!((report.devices, report.registrations), (unchanged(2), unchanged(3)));
    let after = (
        stage.store.directory_version(stage.tenant).await.expect("a version"),
        stage.store.people(stage.tenant, PersonFilter::default(), PersonKey(0), 9).await.expect("people"),
    );
    assert_eq!(before, after);
}

async fn every_bad_cell_is_named_and_nothing_is_applied(stage: Stage) {
    let people = "external_id,upn,display_name,email,locale,timezone,licenses,manager_upn,phones,active\n\
        ,ada,Ada,a@b@c,english,Europe/Lutetia,,nobody@example.org,0155501234,maybe\n\
        ,ok@example.org,,,,,,,,\n";
    let devices =
        "name,owner_upn,platform,ownership,enrolled,notification_permission\nphone,gone@example.org,symbian,mine,si,perhaps\ntv,,,,,\n";
    let registrations = "device,service,environment,token,endpoint,p256dh,auth\n\
        nothing,apns,production,xyz,,,\nphone,pigeon,,,,,\nphone,fcm,moon,a b,,,\nphone,webpush,,t,ftp://x,short,short\n";
    let members = "group,member_type,member\nnone,user,nobody\n,robot,x\n";
    let report =
        import(&stage, &[("people.csv", people), ("devices.csv", devices), ("registrations.csv", registrations), ("members.csv", members)])
            .await;
    assert!(!report.applied);
    let cells: Vec<&str> = faults(&report).into_iter().map(|(field, _)| field).collect();
    let expected = [
        "people.csv:2:upn",
        "people.csv:2:email",
        "people.csv:2:locale",
        "people.csv:2:timezone",
        "people.csv:2:phones",
        "people.csv:2:active",
        "people.csv:2:manager_upn",
        "people.csv:3:display_name",
        "devices.csv:2:platform",
        "devices.csv:2:ownership",
        "devices.csv:2:enrolled",
        "devices.csv:2:notification_permission",
        "devices.csv:2:owner_upn",
        "devices.csv:3:platform",
        "registrations.csv:2:token",
        "registrations.csv:2:device",
        "registrations.csv:3:service",
        "registrations.csv:4:environment",
        "registrations.csv:4:token",
        "registrations.csv:5:token",
        "registrations.csv:5:p256dh",
        "registrations.csv:5:auth",
        "registrations.csv:5:endpoint",
        "members.csv:2:group",
        "members.csv:2:member",
        "members.csv:3:group",
        "members.csv:3:member_type",
    ];
    for cell in expected {
        assert!(cells.contains(&cell), "{cell} is not among {cells:#?}");
    }
    assert_eq!(report.fault_count, expected.len() as u64, "{cells:#?}");
    assert!(faults(&report).contains(&("people.csv:2:timezone", "\"Europe/Lutetia\" is not an IANA time zone such as Europe/Paris")));
    assert_eq!(stage.store.people(stage.tenant, PersonFilter::default(), PersonKey(0), 9).await.expect("people"), []);
    let many: String = std::iter::once("upn\n".to_owned()).chain((0..1_500).map(|n| format!("wrong {n}\n"))).collect();
    let report = import(&stage, &[("people.csv", &many)]).await;
    assert_eq!((report.faults.len(), report.fault_count), (1_000, 1_500), "a thousand are named, all are counted");
}

async fn the_lines_named_are_those_of_the_file(stage: Stage) {
    let people = "\u{feff}upn,display_name\r\nada@example.org,\"Ada\r\nLovelace\"\r\n\r\nbob,Bob\r\n";
    let report = import(&stage, &[("people.csv", people)]).await;
    let cells: Vec<&str> = faults(&report).into_iter().map(|(field, _)| field).collect();
    assert_eq!(cells, ["people.csv:2:display_name", "people.csv:5:upn"]);
    let folder = Folder::new();
    let latin = folder.file("latin.csv", b"upn,display_name\nada@example.org,Ada\nb@example.org,Andr\xe9\n");
    let ragged = folder.file("ragged.csv", b"upn,display_name\nc@example.org\nd@example.org,\"open\n");
    let report = stage.store.import(stage.tenant, import_of(vec![latin, ragged])).await.expect("answered");
    let cells: Vec<&str> = faults(&report).into_iter().map(|(field, _)| field).collect();
    assert_eq!(cells, ["latin.csv:3:display_name", "ragged.csv:2", "ragged.csv:3"]);
    let fine = "\u{feff}upn,display_name\r\nada@example.org,\"Ada \"\"L\"\"\"\r\n";
    imported(&stage, &[("people.csv", fine)]).await;
    let ada = person_key(&stage, "ada@example.org").await;
    assert_eq!(stage.store.person(stage.tenant, ada).await.expect("read").expect("there").fields.display_name, "Ada \"L\"");
}

async fn a_file_of_an_unknown_kind_or_with_wrong_columns_is_refused(stage: Stage) {
    let report = import(
        &stage,
        &[
            ("what.csv", "a,b\n1,2\n"),
            ("people.csv", "upn,shoe_size,upn\nx@example.org,44,y\n"),
            ("members.csv", "group,member_type\n"),
            ("empty.csv", ""),
        ],
    )
    .await;
    let cells: Vec<&str> = faults(&report).into_iter().map(|(field, _)| field).collect();
    assert_eq!(cells, ["what.csv:1", "people.csv:1:shoe_size", "people.csv:1:upn", "members.csv:1:member", "empty.csv:1"]);
    assert!(faults(&report)[0].1.contains("external_id,upn,display_name"), "it says what would do");
    let missing = import_of(vec![ImportFile { name: "gone.csv".into(), path: "/nowhere/gone.csv".into() }]);
    assert!(stage.store.import(stage.tenant, missing).await.is_err());
    let report = import(&stage, &[("people.csv", "upn\n")]).await;
    assert!(report.is_clean() && !report.applied, "a file without rows is no fault: {report:?}");
}

async fn what_must_be_there_once_is_found_twice(stage: Stage) {
    let people = "external_id,upn\nE1,a@example.org\nE1,b@example.org\n,A@example.org\n";
    let groups = "external_id,name\n,Ops\nG1,Ops\n";
    let devices = "external_id,name,platform\nD1,phone,ios\n,tablet,ios\n";
    let members = "group,member_type,member\nG1,user,a@example.org\nG1,user,A@EXAMPLE.ORG\n";
    let registrations = "device,service,token\nphone,apns,00112233\nD1,apns,00112244\ntablet,apns,00112233\n";
    let files = [
        ("people.csv", people),
        ("groups.csv", groups),
        ("devices.csv", devices),
        ("members.csv", members),
        ("registrations.csv", registrations),
    ];
    let report = import(&stage, &files).await;
    let cells: Vec<&str> = faults(&report).into_iter().map(|(field, _)| field).collect();
    assert_eq!(
        cells,
        [
            "people.csv:3:external_id",
            "people.csv:4:upn",
            "groups.csv:3:name",
            "members.csv:3:member",
            "registrations.csv:3:device",
            "registrations.csv:4:token"
        ]
    );
    assert!(faults(&report)[0].1.contains("line 2"));
    imported(&stage, &[("people.csv", "external_id,upn\nE1,a@example.org\nE2,b@example.org\n")]).await;
    let report = import(&stage, &[("people.csv", "external_id,upn\nE1,a@example.org\nE1,c@example.org\n")]).await;
    assert!(report.faults.iter().any(|fault| fault.field.starts_with("people.csv:3:")), "{report:?}");
    let report = import(&stage, &[("people.csv", "external_id,upn\nE1,b@example.org\n")]).await;
    let bob = stage.store.find_people(stage.tenant, "E2").await.expect("found")[0].id.to_string();
    assert!(faults(&report)[0].0 == "people.csv:2:upn" && faults(&report)[0].1.contains(&bob), "{report:?}");
}

async fn an_absent_column_leaves_what_was_and_an_empty_cell_clears(stage: Stage) {
    imported(&stage, &all_files()).await;
    let bob = person_key(&stage, "E2").await;
    let report = imported(&stage, &[("people.csv", "upn,email\nBOB@example.org,new@example.org\n")]).await;
    assert_eq!(report.users, ImportCount { updated: 1, ..ImportCount::default() });
    let read = || async { stage.store.person(stage.tenant, bob).await.expect("read").expect("there") };
    let person = read().await;
    assert_eq!((person.fields.upn.as_str(), person.version), ("BOB@example.org", 2));
    assert_eq!((person.fields.external_id.as_deref(), person.fields.email.as_deref()), (Some("E2"), Some("new@example.org")));
    assert_eq!((person.fields.licenses.len(), person.fields.phones.len(), person.fields.manager.is_some()), (2, 2, true));
    imported(&stage, &[("people.csv", "upn,external_id,email,licenses,manager_upn,timezone\nbob@example.org,,,,,\n")]).await;
    let person = read().await;
    assert_eq!((&person.fields.external_id, &person.fields.email, person.fields.manager), (&None, &None, None));
    assert_eq!((person.fields.licenses.len(), person.fields.timezone.as_str(), person.fields.phones.len()), (0, "UTC", 2));
    let report = imported(&stage, &[("devices.csv", "external_id,name,enrolled\nD1,phone of Ada,false\n")]).await;
    assert_eq!((report.devices.updated, report.registrations.updated), (1, 0));
    let phone = stage.store.find_devices(stage.tenant, "D1").await.expect("found")[0].key;
    let phone = stage.store.device(stage.tenant, phone).await.expect("read").expect("there");
    assert_eq!((phone.fields.name.as_str(), phone.fields.enrolled, phone.fields.enrolled_at), ("phone of Ada", false, None));
    assert!(phone.fields.owner.is_some() && phone.fields.app_installed);
}

async fn names_may_be_swapped_in_one_import(stage: Stage) {
    imported(&stage, &[("people.csv", "external_id,upn\nE1,a@example.org\nE2,b@example.org\n")]).await;
    let (a, b) = (person_key(&stage, "E1").await, person_key(&stage, "E2").await);
    imported(&stage, &[("people.csv", "external_id,upn\nE1,b@example.org\nE2,a@example.org\n")]).await;
    assert_eq!((person_key(&stage, "b@example.org").await, person_key(&stage, "a@example.org").await), (a, b));
    // The old holder of a name is renamed, and a new person takes it over.
    let report = imported(&stage, &[("people.csv", "external_id,upn\nE3,a@example.org\nE2,old@example.org\n")]).await;
    assert_eq!((report.users.created, report.users.updated), (1, 1));
    assert_eq!(person_key(&stage, "old@example.org").await, b);
    assert!(person_key(&stage, "a@example.org").await > b);
}

async fn an_ambiguous_name_lists_what_it_may_mean(stage: Stage) {
    imported(&stage, &[("groups.csv", "external_id,name\nG1,Ops\nG2,Ops\n"), ("people.csv", "upn\na@example.org\n")]).await;
    let ids: Vec<Uuid> = stage.store.find_groups(stage.tenant, "Ops").await.expect("found").into_iter().map(|g| g.id).collect();
    let report = import(&stage, &[("members.csv", "group,member_type,member\nOps,user,a@example.org\n")]).await;
    assert_eq!(faults(&report)[0].0, "members.csv:2:group");
    assert!(ids.iter().all(|id| report.faults[0].message.contains(&id.to_string())), "{report:?}");
    let report = import(&stage, &[("groups.csv", "name,description\nOps,which?\n")]).await;
    assert!(ids.iter().all(|id| report.faults[0].message.contains(&id.to_string())), "{report:?}");
    let by_id = format!("group,member_type,member\n{},user,a@example.org\n", ids[0]);
    assert_eq!(imported(&stage, &[("members.csv", &by_id)]).await.members.created, 1);
    let described = format!("external_id,name,description\n{},Ops,the second\n", ids[1]);
    assert_eq!(imported(&stage, &[("groups.csv", &described)]).await.groups.updated, 1);
    let second = stage.store.find_groups(stage.tenant, "G2").await.expect("found")[0].key;
    let second = stage.store.group(stage.tenant, second).await.expect("read").expect("there");
    assert_eq!(
        (second.fields.description.as_str(), second.fields.external_id.as_deref()),
        ("the second", Some("G2")),
        "an id of ours leaves the external id"
    );
}

/// People of a company, with a device and a registration each.
fn company(size: u32, locale: &str) -> [(&'static str, String); 3] {
    let mut people = String::from("external_id,upn,locale\n");
    let mut devices = String::from("external_id,name,owner_upn,platform,enrolled\n");
    let mut registrations = String::from("device,service,token\n");
    for n in 0..size {
        people.push_str(&format!("E{n},p{n}@example.org,{locale}\n"));
        devices.push_str(&format!("D{n},phone,p{n}@example.org,ios,true\n"));
        registrations.push_str(&format!("D{n},apns,{n:016x}\n"));
    }
    [("people.csv", people), ("devices.csv", devices), ("registrations.csv", registrations)]
}

async fn an_import_is_seen_all_at_once(stage: Stage) {
    const SIZE: u32 = 3_000;
    let folder = Folder::new();
    let files = |locale: &str| company(SIZE, locale).map(|(name, text)| folder.file(name, text)).to_vec();
    for (locale, was) in [("en", 0), ("fr", SIZE as usize)] {
        let running = tokio::spawn({
            let (store, tenant, import) = (stage.store.clone(), stage.tenant, import_of(files(locale)));
            async move { store.import(tenant, import).await }
        });
        let mut looks = 0;
        loop {
            let last = running.is_finished();
            let page =
                stage.store.facts_range(stage.tenant, PersonKey(0), PersonKey(u32::MAX), FactsDepth::default()).await.expect("facts");
            let new = page.people.iter().filter(|p| p.locale.tag() == locale).count();
            let seen = (page.people.len(), page.devices.len(), page.registrations.len(), new);
            let (before, after) = ((was, was, was, 0), (SIZE as usize, SIZE as usize, SIZE as usize, SIZE as usize));
            assert!(seen == before && !last || seen == after, "a part was seen: {seen:?}");
            looks += 1;
            if last {
                break;
            }
        }
        let report = running.await.expect("not cancelled").expect("answered");
        assert!(report.applied && looks > 1, "{report:?}");
    }
}

async fn a_stopped_import_leaves_nothing(stage: Stage) {
    let folder = Folder::new();
    let files = || company(4_000, "en").map(|(name, text)| folder.file(name, text)).to_vec();
    imported(&stage, &[("people.csv", "external_id,upn,display_name\nE0,p0@example.org,Zero\nE1,old@example.org,One\n")]).await;
    let before = stage.store.people(stage.tenant, PersonFilter::default(), PersonKey(0), 9).await.expect("people");
    let import = import_of(files());
    let progress = import.progress.clone();
    let running = tokio::spawn({
        let (store, tenant) = (stage.store.clone(), stage.tenant);
        async move { store.import(tenant, import).await }
    });
    while progress.written.load(Ordering::Relaxed) == 0 {
        assert!(!running.is_finished(), "it ended before it wrote anything");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    progress.stop.store(true, Ordering::Relaxed);
    let answer = running.await.expect("not cancelled");
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert_eq!(stage.store.people(stage.tenant, PersonFilter::default(), PersonKey(0), 9).await.expect("people"), before);
    // Nothing of it is in the way of edits, of a restart, or of the same import.
    let one = before[1].clone();
    stage.store.update_person(stage.tenant, one.key, Some(one.version), one.fields.clone()).await.expect("an edit");
    let stage = stage.reopen().await;
    let report = stage.store.import(stage.tenant, import_of(files())).await.expect("answered");
    assert!(report.applied, "{report:?}");
    assert_eq!((report.users.created, report.users.updated), (3_998, 1), "{report:?}");
}

async fn one_import_runs_at_a_time(stage: Stage) {
    let folder = Folder::new();
    let files = || company(4_000, "en").map(|(name, text)| folder.file(name, text)).to_vec();
    let first = import_of(files());
    let progress = first.progress.clone();
    let running = tokio::spawn({
        let (store, tenant) = (stage.store.clone(), stage.tenant);
        async move { store.import(tenant, first).await }
    });
    while progress.total.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let second = stage.store.import(stage.tenant, import_of(vec![])).await;
    assert!(matches!(&second, Err(StoreError::Unavailable(why)) if why.contains("another import")), "{second:?}");
    assert!(running.await.expect("not cancelled").expect("answered").applied);
    assert_eq!(progress.read.load(Ordering::Relaxed), 12_000);
    assert_eq!(progress.written.load(Ordering::Relaxed), progress.to_write.load(Ordering::Relaxed));
}

async fn a_replace_removes_what_is_not_named_and_has_a_ceiling(stage: Stage) {
    imported(&stage, &all_files()).await;
    let folder = Folder::new();
    let replace = |allow: bool| {
        let people =
            folder.file("people.csv", PEOPLE.lines().take(2).map(|line| line.replace("ada@example.org", "") + "\n").collect::<String>());
        let groups = folder.file("groups.csv", "external_id,name\nG1,Everybody\n");
        Import { mode: ImportMode::Replace, allow_many_removals: allow, ..import_of(vec![people, groups]) }
    };
    let refused = stage.store.import(stage.tenant, replace(false)).await.expect("answered");
    assert!(!refused.applied && refused.fault_count == 2, "{refused:?}");
    let told = &refused.faults[0];
    assert!(told.field == "mode" && told.message.contains("1 of 2 users") && told.message.contains("--allow-many-removals"), "{told:?}");
    let report = stage.store.import(stage.tenant, replace(true)).await.expect("answered");
    assert!(report.applied && report.is_clean(), "{report:?}");
    assert_eq!((report.users.removed, report.groups.removed, report.members.removed), (1, 1, 3), "{report:?}");
    for removed in ["user ada@example.org", "group Ops", "member Everybody: Ops", "registration phone: apns"] {
        assert!(report.removals.iter().any(|name| name == removed), "{removed} is not among {:?}", report.removals);
    }
    let (store, tenant) = (&stage.store, stage.tenant);
    assert_eq!(store.find_people(tenant, "E1").await.expect("looked for"), []);
    assert_eq!(store.groups(tenant, crate::GroupFilter::default(), GroupKey(0), 9).await.expect("groups").len(), 1);
    let phone = store.find_devices(tenant, "phone").await.expect("found")[0].key;
    assert_eq!(store.device(tenant, phone).await.expect("read").expect("it stays").fields.owner, None);
    assert_eq!(store.registrations(tenant, phone).await.expect("registrations"), []);
    let tablet = store.find_devices(tenant, "tablet").await.expect("found")[0].key;
    assert_eq!(store.registrations(tenant, tablet).await.expect("registrations").len(), 1, "what no file is about stays");
    assert_eq!(store.memberships(tenant).await.expect("members").1.len(), 2);
}

async fn a_dry_run_reports_and_writes_nothing(stage: Stage) {
    let folder = Folder::new();
    let files = all_files().map(|(name, text)| folder.file(name, text)).to_vec();
    let report = stage.store.import(stage.tenant, Import { dry_run: true, ..import_of(files) }).await.expect("answered");
    assert!(report.dry_run && !report.applied && report.is_clean());
    assert_eq!((report.users.created, report.members.created, report.registrations.created), (2, 5, 3));
    assert_eq!(stage.store.people(stage.tenant, PersonFilter::default(), PersonKey(0), 9).await.expect("people"), []);
    assert_eq!(stage.store.directory_version(stage.tenant).await.expect("a version").1, PersonKey(0));
}

async fn whoever_an_import_deactivates_is_shut_out(stage: Stage) {
    imported(&stage, &all_files()).await;
    let (store, tenant) = (&stage.store, stage.tenant);
    let ada = person_key(&stage, "E1").await;
    let phone = store.find_devices(tenant, "phone").await.expect("found")[0].key;
    let token = NewToken { id: stage.id(), hash: [1; 32], name: "app".into(), opens: TokenUse::Device(phone), expires_at: None };
    store.create_token(tenant, token, None).await.expect("a token");
    store.create_code(tenant, [2; 32], ada, stage.now().plus(Duration::from_secs(60)), None).await.expect("a code");
    let report = imported(&stage, &[("people.csv", "external_id,upn,active\nE1,ada@example.org,no\n")]).await;
    assert_eq!(report.deactivated, [ada]);
    assert_eq!((report.users.updated, report.registrations.updated), (1, 2));
    for registration in store.registrations(tenant, phone).await.expect("registrations") {
        assert_eq!((registration.state, registration.retired_code.as_deref()), (RegistrationState::Retired, Some("person_inactive")));
    }
    assert!(store.find_token([1; 32]).await.expect("asked").expect("kept").revoked_at.is_some());
    let enrolment = crate::Enrolment {
        code: [2; 32],
        device_id: stage.id(),
        device: store.device(tenant, phone).await.expect("read").expect("there").fields,
        token: NewToken { id: stage.id(), hash: [3; 32], name: "app".into(), opens: TokenUse::Device(phone), expires_at: None },
    };
    assert!(matches!(store.enrol(enrolment, None, stage.now()).await, Err(StoreError::Spent)));
    let again =
        import(&stage, &[("people.csv", "external_id,upn,active\nE1,ada@example.org,no\n"), ("registrations.csv", REGISTRATIONS)]).await;
    assert!(again.is_clean() && !again.applied && again.deactivated.is_empty(), "the same again: {again:?}");
}

async fn a_device_changes_hands_by_import(stage: Stage) {
    imported(&stage, &all_files()).await;
    let (store, tenant) = (&stage.store, stage.tenant);
    let (ada, bob) = (person_key(&stage, "E1").await, person_key(&stage, "E2").await);
    let phone = store.find_devices(tenant, "phone").await.expect("found")[0].key;
    let before = store.registrations(tenant, phone).await.expect("registrations");
    let report = imported(&stage, &[("devices.csv", "name,owner_upn\nphone,bob@example.org\n")]).await;
    assert_eq!((report.devices.updated, report.registrations.updated), (1, 2));
    let page = store.facts(tenant, [ada.min(bob), ada.max(bob)].into(), FactsDepth::default()).await.expect("facts");
    assert_eq!(page.devices.iter().map(|d| (d.owner, d.key)).collect::<Vec<_>>(), [(bob, phone)]);
    assert_eq!(page.registrations.iter().map(|r| r.owner).collect::<Vec<_>>(), [bob, bob]);
    let after = store.registrations(tenant, phone).await.expect("registrations");
    let same =
        |of: &[crate::Registration]| of.iter().map(|r| (r.key, r.id, r.fields.clone(), r.state, r.registered_at)).collect::<Vec<_>>();
    assert_eq!(same(&before), same(&after), "they stay what they are");
}

async fn a_token_found_on_another_device_moves(stage: Stage) {
    imported(&stage, &all_files()).await;
    let (store, tenant) = (&stage.store, stage.tenant);
    stage.clock.pass(Duration::from_secs(1));
    imported(
        &stage,
        &[(
            "registrations.csv",
            "device,service,app,environment,token\ntablet,apns,org.example.app,sandbox,00ff00ff00ff\nphone,apns,other,,00ff00ff0011\n",
        )],
    )
    .await;
    let phone = store.find_devices(tenant, "phone").await.expect("found")[0].key;
    let registrations = store.registrations(tenant, phone).await.expect("registrations");
    let old = registrations.iter().find(|r| r.fields.token == "00ff00ff00ff").expect("it is kept");
    assert_eq!((old.state, old.retired_code.as_deref()), (RegistrationState::Retired, Some("moved")));
    let new = registrations.iter().find(|r| r.fields.app == "other").expect("it is new");
    assert_eq!((new.state, new.registered_at), (RegistrationState::Active, stage.now()));
    imported(&stage, &[("registrations.csv", "device,service,app,environment,token\nphone,apns,org.example.app,sandbox,00ff00ff0022\n")])
        .await;
    let again = store.registrations(tenant, phone).await.expect("registrations");
    let again = again.iter().find(|r| r.key == old.key).expect("it is kept");
    assert_eq!(
        (again.state, again.retired_code.as_deref(), again.version),
        (RegistrationState::Active, None, 3),
        "a new token brings it back"
    );
}

async fn an_export_imports_back_without_change(stage: Stage) {
    imported(&stage, &all_files()).await;
    imported(&stage, &[("groups.csv", "external_id,name\nG7,\"a \"\"b\"\", c\"\nG8,twin\n")]).await;
    for _ in 0..2 {
        let twin = crate::GroupFields { external_id: None, name: "twin".into(), description: "same name".into() };
        let twin = stage.store.create_group(stage.tenant, stage.id(), twin, None).await.expect("a group").key;
        let ada = person_key(&stage, "E1").await;
        let member = model::directory::Member { kind: model::directory::MemberKind::User, key: ada.0 };
        stage.store.change_members(stage.tenant, twin, vec![member], vec![], None).await.expect("a member");
    }
    let folder = Folder::new();
    let paths = stage.store.export(stage.tenant, folder.0.clone()).await.expect("exported");
    let names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["people.csv", "groups.csv", "members.csv", "devices.csv", "registrations.csv"]);
    let files = || paths.iter().zip(&names).map(|(path, name)| ImportFile { name: name.clone(), path: path.clone() }).collect::<Vec<_>>();
    for mode in [ImportMode::Upsert, ImportMode::Replace] {
        let report = stage.store.import(stage.tenant, Import { mode, ..import_of(files()) }).await.expect("answered");
        assert!(report.is_clean() && !report.applied, "{mode:?}: {report:?}");
        assert_eq!((report.users.unchanged, report.groups.unchanged, report.members.unchanged), (2, 6, 7));
        assert_eq!((report.devices.unchanged, report.registrations.unchanged), (2, 3));
    }
    let text = std::fs::read_to_string(&paths[4]).expect("readable");
    assert!(!text.contains("AAAAAAAAAAAAAAAAAAAAAA\n"), "secrets stay inside");
    // Elsewhere all of it can be imported but the subscriptions, whose secrets are not in the files.
    let (other, _) = stage.store.ensure_tenant("other", Uuid::from_u128(2)).await.expect("another tenant");
    let report = stage.store.import(other.key, import_of(files())).await.expect("answered");
    assert_eq!(faults(&report).len(), 1);
    assert!(faults(&report)[0].0.starts_with("registrations.csv:") && faults(&report)[0].0.ends_with(":auth"), "{report:?}");
    let without: String = text.lines().filter(|line| !line.contains("webpush")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&paths[4], without).expect("writable");
    let report = stage.store.import(other.key, import_of(files())).await.expect("answered");
    assert!(report.applied && report.is_clean(), "{report:?}");
    assert_eq!((report.users.created, report.groups.created, report.members.created, report.registrations.created), (2, 6, 7, 2));
}
