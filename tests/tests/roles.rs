//! Who may do what, and where: the roles of SPEC §10, through tokens.

use reqwest::Method;
use serde_json::{Value, json};
use stories::{Api, Org, Stage};

async fn open() -> Stage {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.person("ada").iphone("ada-phone", "ada").person("bob").iphone("bob-phone", "bob");
    org.group("lyon", &["user:ada"]).group("paris", &["user:bob"]).group("all", &["group:lyon", "group:paris"]).import(&stage.api).await;
    stage
}

fn to(kind: &str, names: &[&str]) -> Value {
    json!({"title": "Words", "body": "Of somebody.", kind: names})
}

async fn status(api: &Api, method: Method, path: &str, body: Option<Value>) -> u16 {
    api.ask(method, path, body.as_ref(), &[]).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_may_do_what_its_column_says_and_nothing_else() {
    let stage = open().await;
    let switch = json!({"value": true});
    let limit = json!({"value": 25});
    let person = json!({"upn": "new@example.org", "displayName": "New"});
    // Send to groups, to a person, to a device; push switches; limits; directory; tokens; read.
    let table = [
        ("notification-admin", [201, 201, 201, 200, 403, 403, 403, 200]),
        ("help-desk", [403, 403, 201, 403, 403, 403, 403, 200]),
        ("auditor", [403, 403, 403, 403, 403, 403, 403, 200]),
        ("reader", [403, 403, 403, 403, 403, 403, 403, 200]),
    ];
    for (role, expected) in table {
        let api = stage.api.with_token(&stage.api.token(role).await);
        let asked = [
            status(&api, Method::POST, "notifications", Some(to("groups", &["all"]))).await,
            status(&api, Method::POST, "notifications", Some(to("users", &["p-ada"]))).await,
            status(&api, Method::POST, "notifications", Some(to("devices", &["ada-phone"]))).await,
            status(&api, Method::PUT, "settings/push.apns.enabled", Some(switch.clone())).await,
            status(&api, Method::PUT, "settings/limits.group_sends_per_hour", Some(limit.clone())).await,
            status(&api, Method::POST, "users", Some(person.clone())).await,
            status(&api, Method::POST, "tokens", Some(json!({"name": "x", "role": "reader"}))).await,
            status(&api, Method::GET, "users", None).await,
        ];
        assert_eq!(asked, expected, "{role}");
        assert_eq!(api.get("me").await["role"], role);
    }
    assert_eq!(stage.api.all("users").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_read_by_owners_auditors_and_their_own_author() {
    let stage = open().await;
    let author = stage.api.with_token(&stage.api.token("notification-admin").await);
    let other = stage.api.with_token(&stage.api.token("notification-admin").await);
    let auditor = stage.api.with_token(&stage.api.token("auditor").await);
    let reader = stage.api.with_token(&stage.api.token("reader").await);
    let sent = author.send(&to("groups", &["all"])).await;
    let id = sent["id"].as_str().expect("an id");
    for (api, readable) in [(&stage.api, true), (&author, true), (&auditor, true), (&other, false), (&reader, false)] {
        let seen = api.notification(id).await;
        let listed = api.all("notifications").await.remove(0);
        let (title, in_list) = (seen["title"].as_str(), listed["title"].as_str());
        assert_eq!((title, in_list), if readable { (Some("Words"), Some("Words")) } else { (None, None) });
        assert_eq!(seen["body"].is_string(), readable);
        assert_eq!(api.why(id, "p-ada").await["event"]["title"].is_string(), readable);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scoped_token_reaches_its_groups_and_what_is_in_them_and_dies_when_it_is_revoked() {
    let stage = open().await;
    let made = stage
        .server
        .cli(&["token", "create", "--name", "Lyon", "--role", "notification-admin", "--group", "lyon", "--expires-in", "1h", "--json"])
        .ended(0)
        .json();
    let lyon = stage.api.with_token(made["token"].as_str().expect("a secret"));
    for (kind, name, expected) in [
        ("groups", "lyon", 201),
        ("users", "p-ada", 201),
        ("devices", "ada-phone", 201),
        ("groups", "paris", 403),
        ("groups", "all", 403),
        ("users", "p-bob", 403),
        ("devices", "bob-phone", 403),
    ] {
        let reply = lyon.post("notifications", &to(kind, &[name])).await;
        assert!(reply.status == expected || (expected == 403 && reply.status == 422), "{kind} {name}: {} {}", reply.status, reply.body);
        assert!(expected != 403 || reply.body["id"].is_null());
    }
    assert_eq!(stage.apple.reached(&stories::token_of("bob-phone")), 0);
    stage.server.cli(&["token", "revoke", made["id"].as_str().expect("an id")]).ended(0);
    assert_eq!(lyon.ask(Method::GET, "me", None, &[]).await.problem(401), "unauthenticated");
    let listed = stage.api.all("tokens").await;
    assert!(listed.iter().all(|token| token.get("token").is_none_or(Value::is_null)), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_defined_assigned_used_and_taken_away_on_the_command_line() {
    let stage = open().await;
    let cli = |args: &[&str]| stage.server.cli(&[args, &["--json"]].concat());
    let permissions = ["--permission", "Notifications/SendToGroups", "--permission", "Directory/Read"];
    let role = cli(&[&["role", "create", "--name", "Duty officer"][..], &permissions].concat()).ended(0).json();
    assert_eq!((role["builtIn"].as_bool(), role["version"].as_i64()), (Some(false), Some(1)));
    assert_eq!(cli(&["role", "list"]).ended(0).json()["items"].as_array().map(Vec::len), Some(9));
    let token = cli(&["token", "create", "--name", "Ada", "--user", "p-ada"]).ended(0).json();
    let secret = token["token"].as_str().expect("a secret");
    let mine = |args: &[&str]| stage.server.cli_as(secret, &[args, &["--json"]].concat());
    assert_eq!(mine(&["role", "mine"]).ended(0).json()["grants"], json!([]));
    let held = cli(&["role", "assign", "Duty officer", "--to-user", "p-ada", "--scope", "lyon", "--expires-in", "1h"]).ended(0).json();
    assert!(held["expiresAt"].is_string(), "{held}");
    let grants = mine(&["role", "mine"]).ended(0).json();
    assert_eq!(grants["grants"][0]["scope"]["groups"][0]["name"], "lyon");
    let send = |group: &str| mine(&["send", "--group", group, "--title", "Words", "--body", "Of Ada."]);
    let sent = send("lyon").ended(0).json();
    assert!([3, 4].contains(&send("paris").code), "outside the scope");
    let shown = cli(&["notification", "show", sent["id"].as_str().expect("an id")]).ended(0).json();
    assert_eq!(shown["sender"], "Name of ada", "the person is the sender");
    assert_eq!(cli(&["role", "delete", "Duty officer"]).code, 5, "somebody holds it");
    cli(&["role", "unassign", held["id"].as_str().expect("an id")]).ended(0);
    assert_eq!(send("lyon").code, 3, "nothing is held any more");
    cli(&["role", "delete", "Duty officer"]).ended(0);
    cli(&["audit", "verify"]).ended(0);
}
