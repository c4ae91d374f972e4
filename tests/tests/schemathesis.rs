//! Schemathesis (from PyPI, in an environment of its own below the target folder) asks every operation of the description,
//! rightly and wrongly, as an owner, a reader, a device and nobody: no answer is a failure of the server, every answer is as
//! described, and nobody gets what is not theirs. Where Python or PyPI is out of reach this says so and is skipped.

use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use stories::{Api, App, Org, Server};

/// Pinned: another version asks other questions.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// The same questions each time.
const SEED: &str = "20261120";

/// The program, or why there is none.
fn program() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let (python, program) = (folder.join("bin/python"), folder.join("bin/schemathesis"));
    let ready = || run(&program, &["--version"]).is_ok_and(|said| SCHEMATHESIS.ends_with(said.trim().rsplit(' ').next().unwrap_or("-")));
    if ready() {
        return Ok(program);
    }
    let place = folder.to_str().ok_or("the target folder has no plain name")?;
    run(Path::new("python3"), &["-m", "venv", "--clear", place])?;
    run(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20", SCHEMATHESIS])?;
    if ready() { Ok(program.clone()) } else { Err("Schemathesis was installed and does not run".into()) }
}

fn run(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{} cannot be started ({e})", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or("it says nothing").to_owned();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(out) } else { Err(format!("{} {}: {last}", program.display(), arguments.join(" "))) }
}

/// Asks as one caller; answers what Schemathesis printed when it found something.
fn ask(program: &Path, server: &Server, who: &str, token: &str, examples: u32) -> Option<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis");
    let mut command = Command::new(program);
    command
        .arg("--config-file")
        .arg(here.join("schemathesis.toml"))
        .args(["--no-color", "run"])
        .arg(format!("{}/openapi.json", server.url()));
    command.args(["--url", &server.url(), "--seed", SEED, "--max-examples", &examples.to_string()]);
    command.args(["--generation-database", "none", "--request-timeout", "30", "--continue-on-failure", "--warnings", "off"]);
    command.env("CARILLON_TOKEN", token).env("CARILLON_WHO", who).env("SCHEMATHESIS_HOOKS", "rights").env("PYTHONPATH", &here);
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(server.folder().path()).stdin(Stdio::null());
    let output = command.output().expect("it ran a moment ago");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let asked = said.lines().find(|line| line.contains(" generated")).unwrap_or("").trim();
    println!("{who}: {asked}");
    assert!(asked.split(' ').next().and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n > 300), "{who} asked too little:\n{said}");
    (!output.status.success()).then(|| format!("as {who}:\n{said}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_as_described_and_nobody_gets_what_is_not_theirs() {
    let program = match tokio::task::spawn_blocking(program).await.expect("no panic") {
        Ok(program) => program,
        Err(why) => {
            // Past the test harness, which keeps what passing tests print.
            let _ = writeln!(std::io::stdout(), "SKIPPED: Schemathesis over the API ({why})");
            return;
        }
    };
    let server = Server::start("").await;
    let api = Api::new(&server.url(), &server.token());
    let mut org = Org::new();
    org.person("ada").iphone("ada-phone", "ada").person("bob").android("bob-phone", "bob");
    org.group("lyon", &["user:ada"]).group("outer", &["group:lyon", "user:bob"]);
    org.import(&api).await;
    api.send(&json!({"title": "t", "body": "b", "groups": ["outer"]})).await;
    // Those who may change nothing go first, while everything is as it was.
    let reader = api.token("reader").await;
    let device = App::enrol(&api, "ada@example.org", "phone", "ios").await;
    let callers = [
        ("nobody", "car_nobody".to_owned(), 3),
        ("reader", reader, 3),
        ("device", device.token().to_owned(), 5),
        ("owner", server.token(), 10),
    ];
    let mut found = Vec::new();
    for (who, token, examples) in callers {
        let asked = tokio::task::block_in_place(|| ask(&program, &server, who, &token, examples));
        found.extend(asked);
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    let log = server.log();
    assert!(!log.contains("panicked") && !log.contains("answered with a failure"), "{log}");
    assert_eq!(api.get("me").await["role"], "owner", "the owner's token was there all the time");
}
