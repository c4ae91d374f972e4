//! CSV in and out: all or nothing, every bad row named, the same file again changes nothing.

use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use stories::{Org, Stage, token_of};

/// Writes an organization's files into the story's folder; answers their paths.
fn written(stage: &Stage, folder: &str, org: &Org) -> Vec<String> {
    let at = stage.server.folder().path().join(folder);
    std::fs::create_dir_all(&at).expect("a folder");
    let write = |(name, text): (&str, String)| {
        let path: PathBuf = at.join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    org.files().into_iter().map(write).collect()
}

fn import(stage: &Stage, files: &[String], more: &[&str]) -> stories::Said {
    let mut args = vec!["import", "--json"];
    args.extend(files.iter().map(String::as_str));
    args.extend(more);
    stage.server.cli(&args)
}

fn sums(report: &Value, kind: &str) -> (u64, u64, u64, u64) {
    let number = |what: &str| report[kind][what].as_u64().unwrap_or(0);
    (number("created"), number("updated"), number("unchanged"), number("removed"))
}

const KINDS: [&str; 5] = ["users", "groups", "members", "devices", "registrations"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_visible_at_once_and_the_same_files_again_change_nothing() {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.crowd("staff", 40).group("all", &["group:staff"]);
    org.person_with("quoted", |p| p.display_name = "Ada \"The First\", Countess".into());
    let files = written(&stage, "one", &org);
    let dry = import(&stage, &files, &["--dry-run"]).ended(0).json();
    assert_eq!((&dry["dryRun"], &dry["applied"], sums(&dry, "users").0), (&json!(true), &json!(false), 41), "{dry}");
    assert!(stage.api.all("users").await.is_empty(), "a dry run changes nothing");
    let report = import(&stage, &files, &[]).ended(0).json();
    assert_eq!(report["applied"], true, "{report}");
    let created: Vec<u64> = KINDS.iter().map(|kind| sums(&report, kind).0).collect();
    assert_eq!(created, [41, 2, 41, 40, 40], "{report}");
    let id = stage.api.tell("all", "Visible").await;
    assert_eq!(stage.api.done(&id).await["counts"]["accepted"], 40, "visible as soon as the command returns");
    let ada = stage.server.cli(&["user", "show", "quoted@example.org", "--json"]).ended(0).json();
    assert_eq!(ada["displayName"], "Ada \"The First\", Countess");
    let versions = stage.api.all("users").await.iter().map(|u| u["version"].clone()).collect::<Vec<_>>();

    let same = import(&stage, &files, &[]).ended(0).json();
    assert_eq!(same["applied"], false, "{same}");
    for kind in KINDS {
        let (created, updated, _, removed) = sums(&same, kind);
        assert_eq!((created, updated, removed), (0, 0, 0), "{kind}: {same}");
    }
    assert_eq!(stage.api.all("users").await.iter().map(|u| u["version"].clone()).collect::<Vec<_>>(), versions);

    let mut change = Org::new();
    change.person_with("staff-7", |p| p.display_name = "Another Name".into());
    let report = import(&stage, &written(&stage, "two", &change), &[]).ended(0).json();
    assert_eq!(sums(&report, "users"), (0, 1, 0, 0), "upsert leaves what the file does not name: {report}");
    assert_eq!(stage.api.all("users").await.len(), 41);
    // Some columns may be missing: what they hold stays.
    let part = stage.server.folder().write("part.csv", "upn,active\nstaff-7@example.org,true\n").display().to_string();
    import(&stage, &[part], &[]).ended(0);
    assert_eq!(stage.server.cli(&["user", "show", "p-staff-7", "--json"]).ended(0).json()["displayName"], "Another Name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_row_and_column_is_named_and_nothing_is_applied() {
    let stage = Stage::open().await;
    Org::new().crowd("staff", 3).import(&stage.api).await;
    let people = "external_id,upn,display_name,email,active\n\
                  p-1,one@example.org,One,one@example.org,true\n\
                  p-2,not-a-upn,Two,two@example.org,true\n\
                  p-3,three@example.org,Three,not an address,true\n\
                  p-4,four@example.org,Four,four@example.org,perhaps\n\
                  p-1,five@example.org,Five,,true\n";
    let devices = "external_id,name,owner_upn,platform,notification_permission\n\
                   d-1,one,nobody@example.org,ios,granted\n\
                   d-2,two,one@example.org,pager,granted\n\
                   d-3,three,one@example.org,ios,sometimes\n";
    let members = "group,member_type,member\ng-staff,user,p-1\ng-nowhere,user,p-1\ng-staff,robot,p-1\ng-staff,user,p-99\n";
    let token = token_of("d-9");
    let registrations =
        format!("device,service,token\nd-9,apns,{token}\nd-staff-0-phone,telegram,{token}\nd-staff-1-phone,apns,not hexadecimal\n");
    let folder = stage.server.folder();
    let files: Vec<String> =
        [("people.csv", people), ("devices.csv", devices), ("members.csv", members), ("registrations.csv", registrations.as_str())]
            .iter()
            .map(|(name, text)| folder.write(name, text).display().to_string())
            .collect();
    let refused = import(&stage, &files, &[]).ended(2);
    let problem = refused.problem();
    assert_eq!(problem["code"], "import_invalid", "{problem}");
    let fields: Vec<&str> = problem["errors"].as_array().expect("errors").iter().filter_map(|e| e["field"].as_str()).collect();
    for field in [
        "people.csv:3:upn",
        "people.csv:4:email",
        "people.csv:5:active",
        "people.csv:6:external_id",
        "devices.csv:2:owner_upn",
        "devices.csv:3:platform",
        "devices.csv:4:notification_permission",
        "members.csv:3:group",
        "members.csv:4:member_type",
        "members.csv:5:member",
        "registrations.csv:2:device",
        "registrations.csv:3:service",
        "registrations.csv:4:token",
    ] {
        assert!(fields.contains(&field), "{field} is not named among {fields:?}");
    }
    assert_eq!(problem["faultCount"], 13, "{problem}");
    assert_eq!(stage.api.all("users").await.len(), 3, "nothing is partly applied");
    let strange = folder.write("strange.csv", "colour,shape\nred,round\n").display().to_string();
    let refused = import(&stage, &[strange], &[]).ended(2);
    assert!(refused.err.contains("strange.csv"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replace_removes_what_is_missing_and_stops_above_five_percent_unless_told() {
    let stage = Stage::open().await;
    Org::new().crowd("staff", 100).import(&stage.api).await;
    let org = |people: usize| {
        let mut org = Org::new();
        for n in 0..people {
            org.person(&format!("staff-{n}"));
        }
        org
    };
    let four_gone = written(&stage, "four", &org(96));
    let dry = import(&stage, &four_gone, &["--mode", "replace", "--dry-run"]).ended(0).json();
    assert_eq!(sums(&dry, "users").3, 4, "it shows first what it removes: {dry}");
    assert!(dry["removals"].as_array().is_some_and(|r| r.iter().any(|name| name.to_string().contains("staff-99"))), "{dry}");
    assert_eq!(stage.api.all("users").await.len(), 100);
    let report = import(&stage, &four_gone, &["--mode", "replace"]).ended(0).json();
    assert_eq!((sums(&report, "users").3, &report["applied"]), (4, &json!(true)), "{report}");
    assert_eq!(stage.api.all("users").await.len(), 96);
    assert_eq!(stage.api.all("groups").await.len(), 1, "kinds that the files do not hold stay");

    let many_gone = written(&stage, "many", &org(80));
    let refused = import(&stage, &many_gone, &["--mode", "replace"]).ended(2);
    assert!(refused.problem().to_string().contains("5 %"), "{}", refused.err);
    assert_eq!(stage.api.all("users").await.len(), 96);
    import(&stage, &many_gone, &["--mode", "replace", "--allow-many-removals"]).ended(0);
    assert_eq!(stage.api.all("users").await.len(), 80);
    let id = stage.api.tell("staff", "Who is left").await;
    assert_eq!(stage.api.done(&id).await["counts"]["recipients"], 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_imports_back_unchanged_here_and_makes_the_same_directory_elsewhere() {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.crowd("staff", 30).group("all", &["group:staff", "group:all", "device:staff-0-phone"]);
    org.person_with("zoé", |p| {
        p.display_name = "Zoé, \"Z\"\u{2028}".replace('\u{2028}', "");
        p.email = "zoe@mail.example.org".into();
        p.locale = "fr".into();
        p.timezone = "Europe/Paris".into();
        p.active = false;
    });
    org.device("tablet", "staff-1", |d| {
        d.platform = "android".into();
        d.play_services = false;
        d.ownership = "personal".into();
        d.permission = "default".into();
    });
    org.import(&stage.api).await;
    let folder = stage.server.folder().path().join("export");
    let exported = stage.server.cli(&["export", &folder.display().to_string(), "--json"]).ended(0).json();
    assert_eq!(exported["files"].as_array().map(Vec::len), Some(5), "{exported}");
    let names = ["people.csv", "groups.csv", "members.csv", "devices.csv", "registrations.csv"];
    let files: Vec<String> = names.iter().map(|name| folder.join(name).display().to_string()).collect();
    let again = import(&stage, &files, &["--mode", "replace"]).ended(0).json();
    assert_eq!(again["applied"], false, "{again}");

    let elsewhere = Stage::open().await;
    import(&elsewhere, &files, &[]).ended(0);
    let copy = elsewhere.server.folder().path().join("export");
    elsewhere.server.cli(&["export", &copy.display().to_string()]).ended(0);
    for name in names {
        let lines = |folder: &PathBuf| {
            let text = std::fs::read_to_string(folder.join(name)).expect("an exported file");
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines[1..].sort();
            lines
        };
        assert_eq!(lines(&folder), lines(&copy), "{name}");
    }
    let tokens = std::fs::read_to_string(folder.join("registrations.csv")).expect("registrations");
    assert!(tokens.contains(&token_of("staff-0-phone")), "an export is whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_change_the_directory_imports_and_a_big_one_leaves_the_server_answering() {
    let stage = Stage::open().await;
    let reader = stage.api.with_token(&stage.api.token("reader").await);
    let mut few = Org::new();
    few.crowd("crowd", 5);
    assert_eq!(few.try_import(&reader, "").await.problem(403), "forbidden");
    assert_eq!(few.try_import(&stage.api.with_token("stranger"), "").await.status, 401);
    let mut org = Org::new();
    org.crowd("crowd", 5_000);
    let files = written(&stage, "big", &org);
    let mut args = vec!["import", "--json"];
    args.extend(files.iter().map(String::as_str));
    let mut running = stage.server.cli_command(&stage.server.token(), &args);
    let mut child = running.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("the program starts");
    let (mut looks, mut slowest) = (0u32, std::time::Duration::ZERO);
    let mut seen = std::collections::BTreeSet::new();
    while child.try_wait().expect("our own child").is_none() {
        let began = std::time::Instant::now();
        let page = stage.api.ask(Method::GET, "resolve?kind=user&name=p-crowd-0", None, &[]).await.fine();
        slowest = slowest.max(began.elapsed());
        seen.insert(page["items"].as_array().map_or(0, Vec::len));
        looks += 1;
    }
    assert!(child.wait().expect("our own child").success());
    assert!(looks > 3 && slowest < std::time::Duration::from_secs(3), "{looks} looks, the slowest took {slowest:?}");
    assert!(seen.is_subset(&[0, 1].into()), "{seen:?}");
    assert_eq!(stage.api.all("users?search=crowd-4999").await.len(), 1);
}
