//! What the shell asks for, as requests of the HTTP API, with the caller's token and no other rights.
//!
//! People's objects come with the person in a field of their own; here their names become properties beside the others, as the
//! documented cmdlets have them. Where a field holds the id of another object, its name is shown.

use super::pace::Pace;
use super::people::Means;
use crate::cli::client::Client;
use crate::cli::trouble::Trouble;
use async_trait::async_trait;
use model::objects::{FieldType, Naming, ObjectDeclaration, ObjectKind, Onto};
use model::{Fault, Locale};
use reqwest::Method;
use serde_json::{Map, Value, json};
use shell::{Backend, Doing, Done, Fields, Page, Refused};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// Objects asked for at once.
const PAGE: &str = "200";
/// Longest that the server's word is taken to come again later; limits that hold for longer are refusals.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it comes again.
const TRIES: u32 = 60;
/// Names of other objects that are remembered; then they are asked for anew.
const NAMES_MOST: usize = 10_000;

/// Pages that are read for one person at most; a name that stands in more is nobody's own.
const LOOKED_THROUGH: usize = 50;
/// Most people of whom it is said that a name may mean them.
const NAMED: usize = 10;

type Outcome<T> = std::result::Result<T, Refused>;

/// The API of one server.
pub struct Http {
    client: Client,
    objects: Vec<&'static ObjectDeclaration>,
    locale: Locale,
    pace: Arc<Pace>,
    names: Mutex<HashMap<(ObjectKind, String), String>>,
}

/// What a request answers beside an error.
enum Body<'b> {
    None,
    Json(&'b Value),
}

/// One request.
struct Request<'r> {
    method: Method,
    path: Vec<&'r str>,
    query: Vec<(&'r str, &'r str)>,
    version: Option<i64>,
    body: Body<'r>,
}

impl<'r> Request<'r> {
    fn new(method: Method, path: &[&'r str]) -> Request<'r> {
        Request { method, path: path.to_vec(), query: Vec::new(), version: None, body: Body::None }
    }
}

impl Http {
    /// Speaks to this server, about these kinds of objects.
    pub fn new(client: Client, objects: Vec<&'static ObjectDeclaration>, locale: Locale, pace: Arc<Pace>) -> Http {
        Http { client, objects, locale, pace, names: Mutex::default() }
    }

    /// Names of objects are asked for anew from here on.
    pub fn forget(&self) {
        self.names.lock().expect("no thread panics with the names").clear();
    }

    fn declared(&self, kind: ObjectKind) -> Outcome<&'static ObjectDeclaration> {
        let found = self.objects.iter().copied().find(|object| object.kind == kind);
        found.ok_or_else(|| Refused { code: "not_found".into(), detail: format!("there are no {kind}s here"), ..Refused::default() })
    }

    /// One request. It is sent again only where it surely was not heard the first time, or the server said so.
    async fn ask(&self, request: Request<'_>) -> Outcome<Value> {
        // One key for all tries: a creation that was heard is not done twice.
        let key = Uuid::new_v4().to_string();
        for tries in 1.. {
            let mut asked = self.client.request(request.method.clone(), &request.path, &request.query);
            asked = asked.header("accept", "application/json").header("accept-language", self.locale.tag());
            if request.method == Method::POST {
                asked = asked.header("idempotency-key", &key);
            }
            if let Some(version) = request.version {
                asked = asked.header("if-match", format!("\"{version}\""));
            }
            if let Body::Json(body) = request.body {
                asked = asked.json(body);
            }
            match self.client.once(asked, request.method == Method::GET).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => match wait(&trouble).filter(|_| tries < TRIES) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(refused(trouble)),
                },
            }
        }
        Err(Refused::default())
    }

    async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Outcome<Value> {
        self.ask(Request { query: query.to_vec(), ..Request::new(Method::GET, path) }).await
    }

    async fn object(&self, declared: &ObjectDeclaration, identity: &str) -> Outcome<Value> {
        self.get(&[declared.path, identity], &[]).await
    }

    /// By what else the API is to be asked for a person whom it does not know by an identity: the forms of documents. Where that is
    /// nobody, what it said stands.
    async fn otherwise(&self, declared: &ObjectDeclaration, identity: &str, said: Refused) -> Outcome<String> {
        let unknown = declared.naming == Naming::Person && said.code == "not_found" && said.faults.is_empty();
        let Some(means) = Some(identity).filter(|_| unknown).and_then(Means::of) else { return Err(said) };
        let search = means.search();
        let (mut found, mut after): (Vec<(u8, Value)>, Option<String>) = (Vec::new(), None);
        let mut whole = false;
        for _ in 0..LOOKED_THROUGH {
            let mut query = vec![("search", search.as_str()), ("limit", PAGE)];
            query.extend(after.as_deref().map(|after| ("cursor", after)));
            // Whoever may not look for people is told what was said first.
            let Ok(answer) = self.get(&["users"], &query).await else { return Err(said) };
            let page = crate::cli::client::Page::of_answer(answer);
            found.extend(page.items.into_iter().filter_map(|person| Some((means.fits(&person)?, person))));
            whole = page.next.is_none();
            after = page.next;
            if whole {
                break;
            }
        }
        let best = found.iter().map(|(fits, _)| *fits).min();
        found.retain(|(fits, _)| Some(*fits) == best);
        match (found.as_slice(), whole) {
            ([], _) => Err(said),
            ([(_, person)], true) => {
                let upn = person["upn"].as_str().unwrap_or_default();
                // The API was asked for this one already.
                if upn.is_empty() || upn.eq_ignore_ascii_case(identity) { Err(said) } else { Ok(upn.to_owned()) }
            }
            (several, _) => Err(self.ambiguous(identity, several)),
        }
    }

    fn ambiguous(&self, identity: &str, found: &[(u8, Value)]) -> Refused {
        let upns: Vec<&str> = found.iter().filter_map(|(_, person)| person["upn"].as_str()).take(NAMED).collect();
        let more = if upns.len() < found.len() || upns.len() < 2 { ", …" } else { "" };
        let upns = format!("{}{more}", upns.join(", "));
        let detail = match self.locale {
            Locale::En => format!("{identity:?} may mean several people: {upns}; give the user principal name of one"),
            Locale::Fr => format!("« {identity} » peut désigner plusieurs personnes : {upns} ; donnez l’UPN de l’une d’elles"),
        };
        Refused { code: "ambiguous_name".to_owned(), detail, ..Refused::default() }
    }

    /// An object as the shell has it.
    async fn flat(&self, declared: &'static ObjectDeclaration, object: Value) -> Fields {
        let Value::Object(mut fields) = object else { return Map::new() };
        if let Some(Value::Object(user)) = fields.remove("user") {
            let part = |name: &str| user.get(name).cloned().unwrap_or_default();
            fields.insert("identity".to_owned(), part("upn"));
            fields.insert("userPrincipalName".to_owned(), part("upn"));
            fields.insert("displayName".to_owned(), part("displayName"));
        }
        for field in declared.fields {
            // `bridgeId` is asked for as an id.
            let FieldType::Object(kind) = field.kind else { continue };
            let Some(id) = fields.get(field.name).and_then(Value::as_str).filter(|_| !field.name.ends_with("Id")) else { continue };
            if let Some(name) = self.name_of(kind, id).await {
                fields.insert(field.name.to_owned(), name.into());
            }
        }
        fields
    }

    /// The name of another object, where it has one and may be seen.
    async fn name_of(&self, kind: ObjectKind, id: &str) -> Option<String> {
        Uuid::parse_str(id).ok()?;
        let known = |names: &HashMap<(ObjectKind, String), String>| names.get(&(kind, id.to_owned())).cloned();
        if let Some(name) = known(&self.names.lock().expect("no thread panics with the names")) {
            return Some(name);
        }
        let found = self.object(self.declared(kind).ok()?, id).await.ok()?;
        let name = found["name"].as_str()?.to_owned();
        let mut names = self.names.lock().expect("no thread panics with the names");
        if names.len() >= NAMES_MOST {
            names.clear();
        }
        names.insert((kind, id.to_owned()), name.clone());
        Some(name)
    }

    /// The values by which a list is narrowed; another object by its id and its name, so that one that is not there is an error.
    async fn wanted(&self, declared: &'static ObjectDeclaration, by: &Map<String, Value>) -> Outcome<Vec<(String, Vec<Value>)>> {
        let mut wanted = Vec::with_capacity(by.len());
        for (name, value) in by {
            let kind = declared.fields.iter().find(|field| field.name == name).map(|field| field.kind);
            let values = match (kind, value.as_str()) {
                (Some(FieldType::Object(kind)), Some(named)) => {
                    let found = self.object(self.declared(kind)?, named).await?;
                    vec![found["id"].clone(), found["name"].clone()]
                }
                (Some(FieldType::Phone), Some(number)) => {
                    let bare = number.trim_start_matches('+');
                    vec![bare.into(), format!("+{bare}").into()]
                }
                _ => vec![value.clone()],
            };
            wanted.push((name.clone(), values));
        }
        Ok(wanted)
    }

    async fn done(&self, doing: &Doing, preview: bool) -> Outcome<Value> {
        let declared = self.declared(doing.kind)?;
        let identity = doing.identity.as_deref().unwrap_or_default();
        match self.done_to(declared, identity, doing, preview).await {
            Err(said) => {
                let other = self.otherwise(declared, identity, said).await?;
                self.done_to(declared, &other, doing, preview).await
            }
            done => done,
        }
    }

    async fn done_to(&self, declared: &ObjectDeclaration, identity: &str, doing: &Doing, preview: bool) -> Outcome<Value> {
        let onto = declared.act(doing.act).map(|act| act.onto);
        let (method, path) = match (onto, doing.act) {
            (Some(Onto::New), _) => (Method::POST, vec![declared.path]),
            (_, "change") => (Method::PATCH, vec![declared.path, identity]),
            (_, "delete") => (Method::DELETE, vec![declared.path, identity]),
            (_, act) => (Method::POST, vec![declared.path, identity, act]),
        };
        let given = Value::Object(doing.given.clone());
        // An act without parameters takes no body.
        let body = if doing.given.is_empty() && onto != Some(Onto::New) { Body::None } else { Body::Json(&given) };
        let query = if preview { vec![("preview", "true")] } else { Vec::new() };
        self.ask(Request { query, version: doing.version, body, ..Request::new(method, &path) }).await
    }
}

/// How long to wait before it is asked again; nothing where the answer stands.
fn wait(trouble: &Trouble) -> Option<Duration> {
    if trouble.code == "idempotency_in_progress" {
        return Some(Duration::from_millis(300));
    }
    let seconds = trouble.retry_after().filter(|_| trouble.code == "over_limit")?;
    Some(Duration::from_secs(seconds.max(1))).filter(|wait| *wait <= PATIENCE)
}

fn refused(trouble: Trouble) -> Refused {
    let id = |id: &Value| id.as_str().or_else(|| id["id"].as_str()).and_then(|id| Uuid::parse_str(id).ok());
    let ids = trouble.document.as_ref().and_then(|document| document["ids"].as_array()).into_iter().flatten().filter_map(id).collect();
    let detail = match trouble.retry_after() {
        Some(seconds) => format!("{} ({seconds} s)", trouble.detail),
        None => trouble.detail,
    };
    Refused { code: trouble.code, detail, faults: trouble.faults, ids }
}

/// Whether two values are the same, texts without regard to case.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.to_lowercase() == other.to_lowercase(),
        _ => one == other,
    }
}

/// That an act is told only when an outside system has confirmed it.
fn waits(answer: &Value, locale: Locale) -> Option<String> {
    let mailed = answer["events"].as_array().is_some_and(|events| events.iter().any(|event| event["mail"] == "goes"));
    let said = match (locale, mailed) {
        (Locale::En, true) => "The bridge has to confirm this first; the mail goes when it has.",
        (Locale::En, false) => "The bridge has to confirm this.",
        (Locale::Fr, true) => "Le pont doit d’abord le confirmer ; le courriel part ensuite.",
        (Locale::Fr, false) => "Le pont doit le confirmer.",
    };
    (answer["waits"] == true).then(|| said.to_owned())
}

fn sentences(answer: &Value, field: &str) -> Vec<String> {
    answer[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[async_trait]
impl Backend for Http {
    async fn list(&self, kind: ObjectKind, by: &Map<String, Value>, after: Option<&str>) -> Outcome<Page> {
        let declared = self.declared(kind)?;
        let wanted = self.wanted(declared, by).await?;
        let mut query = vec![("limit", PAGE)];
        query.extend(after.map(|after| ("cursor", after)));
        let answer = crate::cli::client::Page::of_answer(self.get(&[declared.path], &query).await?);
        let mut objects = Vec::with_capacity(answer.items.len());
        for object in answer.items {
            let fits = |(name, values): &(String, Vec<Value>)| values.iter().any(|value| alike(value, &object[name]));
            if wanted.iter().all(fits) {
                objects.push(self.flat(declared, object).await);
            }
        }
        Ok(Page { objects, next: answer.next })
    }

    async fn find(&self, kind: ObjectKind, identity: &str) -> Outcome<Fields> {
        let declared = self.declared(kind)?;
        let object = match self.object(declared, identity).await {
            Err(said) => self.object(declared, &self.otherwise(declared, identity, said).await?).await?,
            Ok(object) => object,
        };
        Ok(self.flat(declared, object).await)
    }

    async fn act(&self, doing: &Doing) -> Outcome<Done> {
        let answer = self.done(doing, false).await;
        self.pace.count();
        let mut answer = answer?;
        let declared = self.declared(doing.kind)?;
        let object = match answer["object"].take() {
            Value::Null => None,
            object => Some(self.flat(declared, object).await),
        };
        let revealed = match answer["revealed"].take() {
            Value::Object(revealed) => revealed,
            _ => Map::new(),
        };
        let mut remarks = sentences(&answer, "remarks");
        remarks.extend(waits(&answer, self.locale));
        Ok(Done { object, revealed, remarks })
    }

    async fn preview(&self, doing: &Doing) -> Outcome<Vec<String>> {
        let answer = self.done(doing, true).await?;
        let mut said = sentences(&answer, "remarks");
        said.extend(waits(&answer, self.locale));
        for event in answer["events"].as_array().into_iter().flatten() {
            let kind = event["type"].as_str().unwrap_or_default();
            said.push(match self.locale {
                Locale::En => format!("This event would come of it: {kind}."),
                Locale::Fr => format!("Cet événement en résulterait : {kind}."),
            });
        }
        Ok(said)
    }

    async fn settings(&self, keys: &[&'static str]) -> Outcome<BTreeMap<String, Value>> {
        let answer = self.get(&["settings"], &[]).await?;
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = |item: &Value| item["key"].as_str().filter(|key| keys.contains(key)).map(|key| (key.to_owned(), item["value"].clone()));
        Ok(items.iter().filter_map(named).collect())
    }

    async fn set(&self, changes: &BTreeMap<&'static str, Option<Value>>) -> Outcome<Vec<String>> {
        let body = json!({ "values": changes });
        let changed = self.ask(Request { body: Body::Json(&body), ..Request::new(Method::PATCH, &["settings"]) }).await;
        let bare = |fault: Fault| match fault.field.strip_prefix("values.") {
            Some(key) => Fault { field: key.to_owned(), ..fault },
            None => fault,
        };
        changed.map(|_| Vec::new()).map_err(|refused| Refused { faults: refused.faults.into_iter().map(bare).collect(), ..refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::canned::{Answer, Canned};

    fn declared() -> Vec<&'static ObjectDeclaration> {
        sources::all().iter().flat_map(|source| source.declaration().objects).collect()
    }

    fn backend(server: &Canned) -> Http {
        Http::new(server.client(), declared(), Locale::En, Arc::new(Pace::default()))
    }

    fn doing(act: &'static str, given: Value) -> Doing {
        let given = given.as_object().cloned().unwrap_or_default();
        Doing { kind: ObjectKind::ConferencingUser, act, identity: Some("a/b c".into()), given, version: Some(7) }
    }

    #[tokio::test]
    async fn an_act_goes_to_its_path_with_the_version_and_names_are_escaped() {
        let user = json!({"id": "1", "upn": "ada@example.org", "displayName": "Ada"});
        let done = json!({"object": {"id": "2", "version": 8, "user": user}, "events": [], "revealed": {"pin": "48159"}, "remarks": ["R"], "done": true});
        let server = Canned::start(move |_, _| Answer::Json(200, done.clone())).await;
        let done = backend(&server).act(&doing("change", json!({"resetLeaderPin": true}))).await.expect("done");
        let object = done.object.expect("an object");
        assert_eq!((object["userPrincipalName"].as_str(), object["identity"].as_str()), (Some("ada@example.org"), Some("ada@example.org")));
        assert_eq!((done.revealed["pin"].as_str(), done.remarks), (Some("48159"), vec!["R".to_owned()]));
        backend(&server).preview(&doing("send-info", json!({}))).await.expect("said");
        let asked = server.asked();
        assert!(asked[0].starts_with("PATCH /api/v1/conferencing-users/a%2Fb%20c HTTP"), "{}", asked[0]);
        assert!(asked[0].contains("if-match: \"7\"") && asked[0].ends_with("{\"resetLeaderPin\":true}"), "{}", asked[0]);
        assert!(asked[1].starts_with("POST /api/v1/conferencing-users/a%2Fb%20c/send-info?preview=true HTTP"), "{}", asked[1]);
    }

    /// What a session says of a line, beside its output.
    async fn said(server: &Canned, locale: Locale, line: &str) -> Vec<String> {
        struct Notes(Vec<String>);
        impl shell::Terminal for Notes {
            fn out(&mut self, _: &str) {}
            fn warn(&mut self, text: &str) {
                self.0.push(text.to_owned());
            }
            fn error(&mut self, text: &str) {
                self.0.push(text.to_owned());
            }
            fn ask(&mut self, _: &str) -> shell::Answer {
                shell::Answer::Nobody
            }
            fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
                Err("there are no files".to_owned())
            }
            fn write(&mut self, _: &str, _: &[u8]) -> Result<(), String> {
                Err("there are no files".to_owned())
            }
        }
        let (catalogue, objects) = super::super::catalogue();
        let backend = Http::new(server.client(), objects, locale, Arc::new(Pace::default()));
        let manner = shell::Manner { locale, width: 0, json: false };
        let mut notes = Notes(Vec::new());
        shell::Session::new(Arc::new(catalogue), Arc::new(backend), manner).run(line, &mut notes).await;
        notes.0
    }

    #[tokio::test]
    async fn what_is_refused_is_said_in_the_names_of_parameters() {
        let fault =
            |field: &str, message: &str| json!({"code": "invalid_field", "detail": "d", "errors": [{"field": field, "message": message}]});
        let table = [
            (
                "Set-CsOnlineDialInConferencingUser ida -ConferenceId 123456789 -ResetConferenceId",
                fault("conferenceId", "is given together with resetConferenceId; give one of them"),
                "-ConferenceId is given together with -ResetConferenceId; give one of them",
            ),
            (
                "Set-CsOnlineDialInConferencingUser ida -SendEmailToAddress a@example.org",
                fault("sendEmailToAddress", "needs sendEmail; add it, or leave this out"),
                "-SendEmailToAddress needs -SendEmail; add it",
            ),
            (
                "Set-CsOnlineDialInConferencingUser ida -ResetLeaderPin",
                json!({"code": "third_party_provider", "detail": "the provider of ida is Acme; enable them with replaceProvider first"}),
                "the provider of ida is Acme; enable them with -ReplaceProvider first",
            ),
            (
                "Set-CsOnlineDialInConferencingUser ida -ServiceNumber +331",
                fault("serviceNumber", "+331 is not a number of the person's bridge \"sendEmail\"; choose one of its serviceNumbers"),
                "-ServiceNumber +331 is not a number of the person's bridge \"sendEmail\"; choose one of its ServiceNumbers",
            ),
            (
                "Set-CsOnlineDialInConferencingTenantSettings -SendEmailFromOverride $true",
                fault(
                    "values.conferencing.send_email_from_address",
                    "conferencing.send_email_from_override needs conferencing.send_email_from_address and conferencing.send_email_from_display_name.",
                ),
                "-SendEmailFromAddress: -SendEmailFromOverride needs -SendEmailFromAddress and -SendEmailFromDisplayName.",
            ),
            (
                "New-UMDialPlan Lyon -NumberOfDigitsInExtension 3",
                json!({"code": "taken", "detail": "name is taken by the mailbox policy of another name"}),
                "-Name is taken by the mailbox policy of another name",
            ),
        ];
        for (line, document, expected) in table {
            let server = Canned::start(move |_, _| Answer::Json(409, document.clone())).await;
            let said = said(&server, Locale::En, line).await.join("\n");
            assert!(said.contains(expected), "{line}\n{said}");
        }
        let remarked = json!({"object": {}, "events": [], "remarks": ["setDefault was taken and has no effect."], "done": true});
        let server = Canned::start(move |_, _| Answer::Json(200, remarked.clone())).await;
        let said = said(&server, Locale::En, "Set-CsOnlineDialInConferencingBridge Paris -SetDefault").await;
        assert_eq!(said, ["-SetDefault was taken and has no effect."]);
    }

    #[tokio::test]
    async fn what_waits_for_a_bridge_is_said_with_what_becomes_of_its_mail() {
        let done = |mail: &str| json!({"object": null, "events": [{"type": "t", "userId": "1", "mail": mail}], "remarks": [], "done": true, "waits": true});
        for (locale, mail, expected) in [
            (Locale::En, "goes", "The bridge has to confirm this first; the mail goes when it has."),
            (Locale::Fr, "goes", "Le pont doit d’abord le confirmer ; le courriel part ensuite."),
            (Locale::En, "policy_off", "The bridge has to confirm this."),
            (Locale::Fr, "policy_off", "Le pont doit le confirmer."),
        ] {
            let answer = done(mail);
            let server = Canned::start(move |_, _| Answer::Json(200, answer.clone())).await;
            assert_eq!(said(&server, locale, "Set-CsOnlineDialInConferencingUser ida -ResetConferenceId").await, [expected]);
        }
    }

    /// A server that knows Ida by her principal name, and everybody in its list of people.
    async fn with_people() -> Canned {
        let person = |upn: &str, name: &str, email: &str| json!({"upn": upn, "displayName": name, "email": email});
        let people = json!({"items": [
            person("ida@example.org", "Ida Test", "ida.test@mail.example.org"),
            person("tom@example.org", "Tom Twin", "tom@mail.example.org"),
            person("tom2@example.org", "tom twin", "tom@mail.example.org"),
        ], "nextCursor": null});
        Canned::start(move |_, request| match request.split(' ').nth(1).unwrap_or_default() {
            path if path.starts_with("/api/v1/users?") => Answer::Json(200, people.clone()),
            path if path.contains("-users/ida@example.org") || path.contains("-users/ida%40example.org") => {
                Answer::Json(200, json!({"id": "2"}))
            }
            _ => Answer::Json(404, json!({"code": "not_found", "detail": "there is no user of that name"})),
        })
        .await
    }

    #[tokio::test]
    async fn somebody_whom_the_api_does_not_know_is_looked_for_in_the_forms_of_documents() {
        let forms = ["sip:ida@example.org", "IDA.test@mail.example.org", "ida test", "CONTOSO\\ida", "CN=Ida Test,OU=People"];
        for identity in forms {
            let server = with_people().await;
            let found = backend(&server).find(ObjectKind::ConferencingUser, identity).await;
            assert_eq!(found.as_ref().map(|found| found["id"].clone()), Ok(json!("2")), "{identity}");
            assert_eq!(server.asked().len(), 3, "one request more to look, and one to ask again");
            let doing = Doing { identity: Some(identity.to_owned()), ..doing("send-info", json!({})) };
            backend(&server).act(&doing).await.expect("done");
            backend(&server).preview(&doing).await.expect("said");
        }
        let server = with_people().await;
        for identity in ["Tom Twin", "tom@mail.example.org"] {
            let refused = backend(&server).find(ObjectKind::ConferencingUser, identity).await.expect_err("two of them");
            assert_eq!(refused.code, "ambiguous_name");
            assert!(refused.detail.contains("tom@example.org, tom2@example.org;"), "{}", refused.detail);
        }
        for nobody in ["Nobody", "tom@example.org", "01975a3e-0000-7000-8000-000000000001"] {
            let refused = backend(&server).find(ObjectKind::ConferencingUser, nobody).await.expect_err("nobody");
            assert_eq!((refused.code.as_str(), refused.detail.as_str()), ("not_found", "there is no user of that name"));
        }
        let before = server.asked().len();
        backend(&server).find(ObjectKind::ConferencingBridge, "Ida Test").await.expect_err("no bridge");
        assert_eq!(server.asked().len(), before + 1, "only people are looked for");
    }

    #[tokio::test]
    async fn an_act_that_may_have_been_heard_is_not_sent_again() {
        let server = Canned::start(|_, _| Answer::Cut).await;
        let refused = backend(&server).act(&doing("change", json!({}))).await.expect_err("cut off");
        assert_eq!((refused.code.as_str(), server.asked().len()), ("lost", 1));
        assert!(refused.detail.contains("not known"), "{}", refused.detail);
    }

    #[tokio::test]
    async fn a_server_that_says_slower_is_asked_again_and_faults_come_back_under_their_names() {
        let slower = || json!({"code": "over_limit", "detail": "slower", "limit": {"name": "x", "retryAfterSeconds": 0}});
        let fault = || json!({"code": "invalid_field", "detail": "d", "errors": [{"field": "values.push.apns.enabled", "message": "m"}]});
        let server = Canned::start(move |n, _| if n == 0 { Answer::Json(429, slower()) } else { Answer::Json(422, fault()) }).await;
        let refused = backend(&server).set(&BTreeMap::from([("push.apns.enabled", None)])).await.expect_err("a fault");
        assert_eq!((refused.faults[0].field.as_str(), server.asked().len()), ("push.apns.enabled", 2));
        assert!(server.asked()[1].ends_with("{\"values\":{\"push.apns.enabled\":null}}"), "{}", server.asked()[1]);
    }
}
