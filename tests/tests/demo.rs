//! The demo: one command, its own URL first, three commands to try, and a clean end.

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use stories::{Api, Folder, carillon, eventually};

/// How long the demo may take to be ready on a busy machine.
const READY: Duration = Duration::from_secs(90);

struct Demo {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    _folder: Folder,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    fn start() -> Demo {
        let folder = Folder::fresh();
        let port = stories::free_port().to_string();
        let mut command = Command::new(carillon());
        command.args(["demo", "--port", &port]).env("NO_COLOR", "1").env("TMPDIR", folder.path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let said = Arc::new(Mutex::new(Vec::new()));
        let (pipe, lines) = (child.stdout.take().expect("a pipe"), said.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                lines.lock().expect("nobody panics with the lock").push(line);
            }
        });
        Demo { child, said, _folder: folder }
    }

    fn lines(&self) -> Vec<String> {
        self.said.lock().expect("nobody panics with the lock").clone()
    }

    /// Everything that it says when it is ready.
    async fn guide(&mut self) -> Vec<String> {
        let began = Instant::now();
        loop {
            let lines = self.lines();
            if lines.iter().any(|line| line.contains("Ctrl-C")) {
                return lines;
            }
            let ended = self.child.try_wait().ok().flatten();
            assert!(ended.is_none() && began.elapsed() < READY, "the demo is not ready ({ended:?}): {lines:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn first_url(lines: &[String]) -> String {
    let text = lines.join("\n");
    let at = text.find("http").expect("the demo names a URL");
    text[at..].split(|c: char| c.is_whitespace() || c == '\'').next().unwrap_or_default().to_owned()
}

fn shell(line: &str) -> (i32, String) {
    let output = Command::new("sh").args(["-c", line]).env("NO_COLOR", "1").stdin(Stdio::null()).output().expect("a shell");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), text)
}

/// The command lines that the demo offers: what stands alone, indented, below a numbered line.
fn commands(lines: &[String]) -> Vec<String> {
    let numbered = |line: &str| line.split_once(". ").is_some_and(|(n, _)| n.parse::<u8>().is_ok());
    let pairs = lines.windows(2).filter(|pair| numbered(&pair[0]) && pair[1].starts_with("   "));
    pairs.map(|pair| pair[1].trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_says_its_own_url_first_how_to_sign_in_and_three_commands_that_work() {
    let mut demo = Demo::start();
    let lines = demo.guide().await;
    let url = first_url(&lines);
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(Api::new(&url, "").page("/readyz").await.status, 200, "the first URL is its own");
    let text = lines.join("\n");
    assert!(text.contains("fake") && text.contains("Apple"), "fakes are named as fakes: {text}");

    let exports: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| line.starts_with("export ")).collect();
    assert_eq!(exports.len(), 2, "how to sign in: {text}");
    let program = carillon().display();
    let (code, said) = shell(&format!("{}; {program} settings list", exports.join("; ")));
    assert_eq!(code, 0, "{said}");

    let commands = commands(&lines);
    assert_eq!(commands.len(), 3, "{text}");
    let (code, said) = shell(&commands[0]);
    assert_eq!(code, 0, "{}\n{said}", commands[0]);
    assert!(said.contains("accepted") && said.contains("Fire drill"), "{said}");
    let (code, said) = shell(&commands[1]);
    assert_eq!(code, 0, "{}\n{said}", commands[1]);
    assert!(said.contains("├─") && said.contains("apns"), "a decision tree: {said}");
    let browsers = lines.iter().find(|line| line.contains("fake push service")).expect("the browsers' fake is named");
    let log = browsers.rsplit(' ').next().and_then(|url| url.strip_suffix("/_fake/log")).expect("what it got");
    let arrived = Api::new(log, "").page("/_fake/log").await.with(200);
    let fire_drills = arrived["items"].as_array().into_iter().flatten().filter(|item| item.to_string().contains("Fire drill")).count();
    assert!(fire_drills > 10, "browsers are pushed to: {arrived}");
    assert!(commands[2].contains("/_fake/log"), "{}", commands[2]);
    let (code, said) = shell(&commands[2]);
    if code == 127 {
        println!("SKIPPED: there is no curl here to run the third command with");
    } else {
        assert_eq!(code, 0, "{}\n{said}", commands[2]);
        let log: Value = serde_json::from_str(&said).expect("the fake answers in JSON");
        assert!(log["items"].as_array().is_some_and(|items| !items.is_empty()), "{log}");
    }
    interrupt_ends_it(&mut demo);
}

fn interrupt_ends_it(demo: &mut Demo) {
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", demo.child.id())]).status().expect("a shell");
    assert!(sent.success());
    let began = Instant::now();
    let status = loop {
        if let Some(status) = demo.child.try_wait().expect("our own child") {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "Ctrl-C does not end the demo");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0), "Ctrl-C stops it cleanly");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_organization_holds_a_case_of_every_reason_that_a_device_cannot_receive() {
    let mut demo = Demo::start();
    let lines = demo.guide().await;
    let url = first_url(&lines);
    let token_line = lines.iter().find(|line| line.contains("CARILLON_TOKEN")).expect("how to sign in");
    let (_, token) = shell(&format!("{}; printf %s \"$CARILLON_TOKEN\"", token_line.trim()));
    let api = Api::new(&url, &token);
    let people = api.all("users").await;
    assert!((55..=65).contains(&people.len()), "about 60 people: {}", people.len());
    let languages: BTreeSet<String> = people.iter().filter_map(|p| p["locale"].as_str()).map(|l| l.chars().take(2).collect()).collect();
    assert_eq!(languages, BTreeSet::from(["en".to_owned(), "fr".to_owned()]));
    let devices = api.all("devices").await;
    assert!((130..=170).contains(&devices.len()), "about 150 devices: {}", devices.len());
    let platforms: BTreeSet<&str> = devices.iter().filter_map(|d| d["platform"].as_str()).collect();
    assert_eq!(platforms.len(), 7, "{platforms:?}");
    let groups = api.all("groups").await;
    let ids: Vec<&str> = groups.iter().filter_map(|g| g["id"].as_str()).collect();
    let mut edges = Vec::new();
    for id in &ids {
        for member in api.all(&format!("groups/{id}/members")).await {
            if member["memberType"] == "group" {
                edges.push(((*id).to_owned(), member["id"].as_str().unwrap_or("").to_owned()));
            }
        }
    }
    assert!(has_cycle(&edges), "nested groups with a cycle: {edges:?}");

    let draft = serde_json::json!({"title": "x", "body": "x", "groups": ids.iter().take(25).collect::<Vec<_>>()});
    let reach = api.post("notifications/reach", &draft).await.with(200);
    let reasons: BTreeSet<&str> = reach["byReason"].as_object().expect("reasons").keys().map(String::as_str).collect();
    for reason in [
        "person_inactive",
        "not_enrolled",
        "enrolled_by_other",
        "app_missing",
        "permission_denied",
        "no_play_services",
        "platform_unsupported",
        "other_registration",
        "email_not_needed",
        "no_device",
        "no_registration",
        "registration_retired",
        "no_email",
        "preference_off",
    ] {
        assert!(reasons.contains(reason), "nobody in the demo has {reason}: {reasons:?}");
    }
    eventually("alarms to be readable", Duration::from_secs(5), async || Some(api.all("alarms").await)).await;
    interrupt_ends_it(&mut demo);
}

/// Whether some group leads back to itself.
fn has_cycle(edges: &[(String, String)]) -> bool {
    edges.iter().any(|(start, _)| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(group) = next.pop() {
            for (_, to) in edges.iter().filter(|(from, _)| *from == group) {
                if to == start {
                    return true;
                }
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        false
    })
}
