//! A backend of a few objects that writes down what it is asked, and a terminal that writes down what it is told.

use async_trait::async_trait;
use model::objects::ObjectKind;
use serde_json::{Map, Value, json};
use shell::{Answer, Backend, Doing, Done, Fields, Page, Refused, Terminal};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What was asked and told, in its order.
pub type Told = Arc<Mutex<Vec<String>>>;

pub struct MadeUp {
    pub told: Told,
}

fn policy(number: u8, name: &str, plan: &str) -> Value {
    let id = format!("00000000-0000-0000-0000-0000000000{number:02}");
    json!({"id": id, "name": name, "version": 3, "uMDialPlan": plan, "allowMissedCallNotifications": true, "minPINLength": 6, "pINLifetime": 60, "languages": ["en-US", "fr-FR"]})
}

fn user(number: u8, name: &str, bridge: &str) -> Value {
    let id = format!("00000000-0000-0000-0000-0000000000{number:02}");
    json!({"id": id, "userPrincipalName": format!("{name}@example.org"), "bridgeName": bridge, "serviceNumber": "+33155501234", "version": 1})
}

fn objects(kind: ObjectKind) -> Vec<Fields> {
    let all = match kind {
        ObjectKind::MailboxPolicy => {
            vec![
                policy(1, "MyUMMailboxPolicy", "MyUMDialPlan"),
                policy(2, "Lyon Default Policy", "Lyon"),
                policy(3, "Paris\u{1b}[2J", "Paris"),
            ]
        }
        ObjectKind::DialPlan => {
            vec![
                json!({"id": "00000000-0000-0000-0000-000000000009", "name": "Lyon", "numberOfDigitsInExtension": 4, "uRIType": "TelExtn", "version": 1}),
            ]
        }
        ObjectKind::ConferencingUser => {
            vec![user(11, "amos.marble", "Paris"), user(12, "zoe", "Lyon"), user(13, "refused", "paris"), user(14, "li", "Paris")]
        }
        ObjectKind::ConferencingBridge => vec![json!({"id": "00000000-0000-0000-0000-000000000020", "name": "Paris", "version": 7,
            "serviceNumbers": [{"number": "+331", "tollFree": true}]})],
        ObjectKind::Mailbox => {
            vec![json!({"id": "00000000-0000-0000-0000-000000000031", "userPrincipalName": "zoe@example.org", "extensions": ["1001"]})]
        }
        ObjectKind::Role | ObjectKind::RoleAssignment | ObjectKind::Work => Vec::new(),
    };
    all.into_iter().filter_map(|object| object.as_object().cloned()).collect()
}

impl MadeUp {
    fn note(&self, what: String) {
        self.told.lock().expect("a note").push(format!("asked: {what}"));
    }

    fn look(&self, kind: ObjectKind, identity: &str) -> Result<Fields, Refused> {
        let named = |object: &Fields| {
            ["id", "name", "userPrincipalName"].iter().any(|key| object.get(*key).and_then(Value::as_str) == Some(identity))
        };
        let found = objects(kind).into_iter().find(named);
        found.ok_or_else(|| model::Refusal::not_found(kind.word(), identity).into())
    }

    fn check(&self, doing: &Doing) -> Result<Option<Fields>, Refused> {
        let Some(identity) = doing.identity.as_deref() else { return Ok(None) };
        if doing.act == "enable" {
            return Ok(Some(Map::from_iter([("userPrincipalName".to_owned(), identity.into())])));
        }
        let found = self.look(doing.kind, identity)?;
        match found.get("userPrincipalName").and_then(Value::as_str) {
            Some("refused@example.org") => Err(model::Refusal::field("serviceNumber", "is not a number of this bridge").into()),
            _ => Ok(Some(found)),
        }
    }
}

#[async_trait]
impl Backend for MadeUp {
    async fn list(&self, kind: ObjectKind, by: &Map<String, Value>, after: Option<&str>) -> Result<Page, Refused> {
        self.note(format!("list {kind} {} after {}", Value::from(by.clone()), after.unwrap_or("nothing")));
        let from: usize = after.and_then(|after| after.parse().ok()).unwrap_or(0);
        let all: Vec<Fields> =
            objects(kind).into_iter().filter(|object| by.iter().all(|(name, value)| object.get(name) == Some(value))).collect();
        let next = (all.len() > from + 2).then(|| (from + 2).to_string());
        Ok(Page { objects: all.into_iter().skip(from).take(2).collect(), next })
    }

    async fn find(&self, kind: ObjectKind, identity: &str) -> Result<Fields, Refused> {
        self.note(format!("find {kind} {identity:?}"));
        self.look(kind, identity)
    }

    async fn act(&self, doing: &Doing) -> Result<Done, Refused> {
        let version = doing.version.map(|version| format!(" of version {version}")).unwrap_or_default();
        let on = doing.identity.as_ref().map(|identity| format!(" {identity:?}")).unwrap_or_default();
        self.note(format!("{} {}{on}{version} {}", doing.act, doing.kind, Value::from(doing.given.clone())));
        let object = self.check(doing)?;
        let mut done = Done { object: object.or_else(|| Some(doing.given.clone())), ..Done::default() };
        if doing.given.contains_key("resetLeaderPin") {
            done.revealed = Map::from_iter([("pin".to_owned(), "48159".into())]);
            done.remarks = vec!["Mail is off: hand the PIN over yourself.".to_owned()];
        }
        Ok(done)
    }

    async fn preview(&self, doing: &Doing) -> Result<Vec<String>, Refused> {
        self.note(format!("preview {} {}", doing.act, doing.kind));
        self.check(doing)?;
        Ok(vec!["One mail would go out.".to_owned()])
    }

    async fn settings(&self, keys: &[&'static str]) -> Result<BTreeMap<String, Value>, Refused> {
        self.note(format!("settings {}", keys.join(" ")));
        Ok(BTreeMap::from([("conferencing.mail".to_owned(), true.into()), ("conferencing.pin_length".to_owned(), 5.into())]))
    }

    async fn set(&self, changes: &BTreeMap<&'static str, Option<Value>>) -> Result<Vec<String>, Refused> {
        self.note(format!("set {}", serde_json::to_string(changes).expect("settings are JSON")));
        let given = |key: &str| changes.get(key).is_some_and(Option::is_some);
        if given("conferencing.from.override") && !given("conferencing.from.name") {
            return Err(model::Refusal::field("conferencing.from.override", "needs an address and a display name").into());
        }
        Ok(Vec::new())
    }
}

pub struct Screen {
    pub told: Told,
    pub answers: Vec<Answer>,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Screen {
    fn note(&self, prefix: &str, text: &str) {
        for line in text.trim_end_matches('\n').split('\n') {
            self.told.lock().expect("a note").push(format!("{prefix}: {line}").trim_end().to_owned());
        }
    }
}

impl Terminal for Screen {
    fn out(&mut self, text: &str) {
        self.note("out", text.trim_start_matches('\n'));
    }

    fn warn(&mut self, text: &str) {
        self.note("warning", text);
    }

    fn error(&mut self, text: &str) {
        self.note("error", text);
    }

    fn ask(&mut self, question: &str) -> Answer {
        self.note("question", question);
        if self.answers.is_empty() { Answer::Nobody } else { self.answers.remove(0) }
    }

    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        self.files.get(path).cloned().ok_or_else(|| "there is no such file".to_owned())
    }

    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), String> {
        self.note("file", &String::from_utf8_lossy(content));
        self.files.insert(path.to_owned(), content.to_vec());
        Ok(())
    }
}
