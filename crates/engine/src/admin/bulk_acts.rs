//! One act for many people: what it would come to for each, doing it in the background, and what became of each.
//!
//! A bulk act is kept before it is answered. Each person's act is committed together with its result and the bulk act's
//! progress, so a crash in between repeats nobody and leaves nobody out. It is done with the rights that its author has at the time, and is
//! one entry of the audit. Secrets that an act reveals are kept sealed until they are read, once.

use super::acting::{ActView, Asked, EventRef};
use super::acts::Deed;
use super::objects::ObjectQuery;
use super::repeat;
use crate::hearing::transient;
use crate::intake::asker;
use crate::work::{Todo, Work};
use crate::{Engine, Repeat};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::objects::{Naming, ObjectKind};
use model::roles::Actor;
use model::{Fault, Locale, Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::time::Duration;
use store::{Change, NewObject, Object, Step, StoreError, Whom};
use uuid::Uuid;

/// Most people of one bulk act.
pub const MOST: usize = 10_000;
/// People whose results are kept together, and given together.
const CHUNK: usize = 50;
/// Acts that are done before other work has its turn.
const TURN: usize = 20;
/// How long results are kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What is asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BulkDraft {
    /// Path of the kind of object, such as `conferencing-users`.
    pub object: String,
    /// Which act.
    pub act: String,
    /// Parameters for everybody.
    pub given: Map<String, Value>,
    /// Who, by id, external id or user principal name.
    pub users: Vec<String>,
    /// Who, each with parameters of their own, which win.
    pub items: Vec<BulkItem>,
    /// Everybody in this group, nested ones included.
    pub group: Option<String>,
    /// Everybody whose object shows these values.
    #[serde(rename = "where")]
    pub by: Map<String, Value>,
}

/// One person of a bulk act.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs)]
pub struct BulkItem {
    pub user: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub given: Map<String, Value>,
}

/// A bulk act on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bulk {
    id: Uuid,
    kind: u8,
    act: String,
    token: Uuid,
    total: usize,
    next: usize,
    failed: usize,
    began: Timestamp,
    #[serde(default)]
    ended: Option<Timestamp>,
    #[serde(default)]
    stopped: Option<String>,
}

/// How far a bulk act is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct BulkActView {
    pub id: Uuid,
    pub object: String,
    pub act: String,
    /// `running`, `done` or `stopped`.
    pub state: String,
    /// Why it stopped, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub total: usize,
    /// Done or refused so far.
    pub finished: usize,
    pub failed: usize,
    pub created_by: String,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// What became, or would become, of one person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct BulkResult {
    pub user: String,
    /// Whether it was done, or in a preview would be.
    pub done: bool,
    pub events: Vec<Value>,
    pub remarks: Vec<String>,
    /// Shown this once.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub revealed: Map<String, Value>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<BulkProblem>,
}

/// Why an act was not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct BulkProblem {
    pub code: String,
    pub detail: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
}

/// What a bulk act would come to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct BulkPreview {
    pub total: usize,
    /// Who would be refused.
    pub failed: usize,
    /// Mails that would go, by the event's type.
    pub mails: Map<String, Value>,
    pub results: Vec<BulkResult>,
}

/// Results of a bulk act, in the order in which people were named.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct BulkResults {
    pub items: Vec<BulkResult>,
    pub next_cursor: Option<String>,
}

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("bulk act", error)
}

fn main_key(id: Uuid) -> String {
    format!("bulk/{id}")
}

fn part_key(id: Uuid, what: &str, number: usize) -> String {
    format!("bulk/{id}/{what}/{number}")
}

fn result_of(user: &str, outcome: Result<&ActView, &Refusal>, revealed: &Map<String, Value>) -> BulkResult {
    let user = user.to_owned();
    match outcome {
        Ok(view) => {
            let events = view.events.iter().map(|event: &EventRef| json!(event)).collect();
            BulkResult { user, done: true, events, remarks: view.remarks.clone(), revealed: revealed.clone(), problem: None }
        }
        Err(refusal) => {
            let problem = BulkProblem { code: refusal.code.to_owned(), detail: refusal.detail.clone(), errors: refusal.faults.clone() };
            BulkResult { user, done: false, events: vec![], remarks: vec![], revealed: Map::new(), problem: Some(problem) }
        }
    }
}

impl Engine {
    /// Kind and act that a draft names, for an actor who may do it somewhere.
    fn bulk_act(&self, actor: &Actor, object: &str, act: &str) -> crate::Result<(ObjectKind, &'static str)> {
        let all = || self.object_declarations().filter(|one| one.naming == Naming::Person);
        let declared = all().find(|one| one.path == object).ok_or_else(|| {
            let known: Vec<&str> = all().map(|one| one.path).collect();
            Refusal::field("object", format!("{object:?} is no kind of object that belongs to people; there are {}", known.join(", ")))
        })?;
        let found = declared.act(act).ok_or_else(|| {
            let known: Vec<&str> = declared.acts.iter().map(|act| act.name).collect();
            Refusal::field("act", format!("{act:?} is no act on {object}; there are {}", known.join(", ")))
        })?;
        self.allow(actor, found.permission)?;
        Ok((declared.kind, found.name))
    }

    /// Everybody whom a draft names, each once, with the parameters for each.
    async fn bulk_items(&self, actor: &Actor, kind: ObjectKind, draft: &BulkDraft) -> crate::Result<Vec<BulkItem>> {
        let mut items: Vec<BulkItem> = draft.items.clone();
        items.extend(draft.users.iter().map(|user| BulkItem { user: user.clone(), given: Map::new() }));
        if let Some(group) = &draft.group {
            items.extend(self.people_of_group(actor, group, MOST).await?.into_iter().map(|user| BulkItem { user, given: Map::new() }));
        }
        if !draft.by.is_empty() {
            items.extend(self.people_by_fields(actor, kind, &draft.by).await?.into_iter().map(|user| BulkItem { user, given: Map::new() }));
        }
        let mut seen = HashSet::new();
        items.retain(|item| seen.insert(item.user.trim().to_lowercase()));
        for item in &mut items {
            item.user = item.user.trim().to_owned();
            for (name, value) in &draft.given {
                item.given.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        if items.is_empty() {
            return Err(Refusal::field("users", "names nobody; name people in users, items, group or where"));
        }
        if items.len() > MOST {
            return Err(Refusal::field("users", format!("names {} people; one bulk act takes {MOST} at most: make several", items.len())));
        }
        Ok(items)
    }

    async fn people_of_group(&self, actor: &Actor, group: &str, most: usize) -> crate::Result<Vec<String>> {
        let sight = self.allow(actor, model::roles::Permission::DirectoryRead)?;
        let found = self.group_named(&sight, group).await?;
        let found = found.map_err(|unresolved| unresolved.refusal(model::directory::MemberKind::Group, group))?;
        self.caught_up().await?;
        let (_, people) = self.inner.roster.resolve(&[found.key]);
        let mut names = Vec::new();
        for key in people.iter().take(most + 1) {
            let person = self.inner.store.person(self.tenant_key(), model::PersonKey(key)).await.map_err(wrong)?;
            names.extend(person.filter(|person| person.fields.active).map(|person| person.fields.upn));
        }
        Ok(names)
    }

    async fn people_by_fields(&self, actor: &Actor, kind: ObjectKind, by: &Map<String, Value>) -> crate::Result<Vec<String>> {
        let declared = self.declared_object(kind)?;
        if let Some(unknown) = by.keys().find(|name| declared.declaration.fields.iter().all(|field| field.name != name.as_str())) {
            let known: Vec<&str> = declared.declaration.fields.iter().map(|field| field.name).collect();
            return Err(Refusal::field("where", format!("{unknown:?} is not shown; there are {}", known.join(", "))));
        }
        let same = |shown: Option<&Value>, wanted: &Value| match (shown, wanted) {
            (Some(Value::String(shown)), Value::String(wanted)) => shown.eq_ignore_ascii_case(wanted),
            (shown, wanted) => shown.unwrap_or(&Value::Null) == wanted,
        };
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.objects(actor, kind, ObjectQuery { limit: Some(500), cursor }).await?;
            let fits = page.items.iter().filter(|object| by.iter().all(|(name, wanted)| same(object.fields.get(name), wanted)));
            names.extend(fits.filter_map(|object| object.user.as_ref().map(|user| user.upn.clone())));
            if page.next_cursor.is_none() || names.len() > MOST {
                return Ok(names);
            }
            cursor = page.next_cursor;
        }
    }

    /// What a bulk act would come to, person by person. Nothing is done.
    ///
    /// # Errors
    /// `forbidden`; who or what is named wrongly. What is wrong with one person is told with that person.
    pub async fn preview_bulk(&self, actor: &Actor, draft: BulkDraft, locale: Locale) -> crate::Result<BulkPreview> {
        let (kind, act) = self.bulk_act(actor, &draft.object, &draft.act)?;
        let items = self.bulk_items(actor, kind, &draft).await?;
        let (mut results, mut failed, mut mails) = (Vec::with_capacity(items.len()), 0, Map::new());
        for item in items {
            let asked = asked(kind, act, &item, true, locale);
            let result = match self.act_on(actor, asked, None).await {
                Ok(view) => result_of(&item.user, Ok(&view), &Map::new()),
                Err(refusal) if transient(&refusal) => return Err(refusal),
                Err(refusal) => result_of(&item.user, Err(&refusal), &Map::new()),
            };
            failed += usize::from(!result.done);
            for event in result.events.iter().filter(|event| event["mail"] == "goes") {
                let count = mails.entry(event["type"].as_str().unwrap_or_default()).or_insert_with(|| json!(0));
                *count = json!(count.as_u64().unwrap_or(0) + 1);
            }
            results.push(result);
        }
        Ok(BulkPreview { total: results.len(), failed, mails, results })
    }

    /// Keeps a bulk act. From here on it is done, whatever happens to this process.
    ///
    /// # Errors
    /// `forbidden`; who or what is named wrongly; what the store says.
    pub async fn start_bulk(&self, actor: &Actor, draft: BulkDraft, repeat: Option<Repeat>) -> crate::Result<BulkActView> {
        let (kind, act) = self.bulk_act(actor, &draft.object, &draft.act)?;
        let items = self.bulk_items(actor, kind, &draft).await?;
        let Actor::Admin { token, .. } = actor else { return Err(Refusal::forbidden("bulk acts are for administrators")) };
        let (id, now) = (Uuid::now_v7(), self.now());
        let bulk = Bulk {
            id,
            kind: kind.number(),
            act: act.to_owned(),
            token: *token,
            total: items.len(),
            next: 0,
            failed: 0,
            began: now,
            ended: None,
            stopped: None,
        };
        let by = asker(actor)?.1;
        let mut people = Vec::new();
        for item in &items {
            let named = self.inner.store.find_people(self.tenant_key(), &item.user).await.map_err(wrong)?;
            people.extend(named.first().map(|person| Whom::Person(person.key)));
        }
        let mut steps: Vec<Step> = Vec::new();
        for (number, part) in items.chunks(CHUNK).enumerate() {
            steps.push(Step::Make(ObjectKind::Work, self.bulk_part(Uuid::now_v7(), id, "items", number, &json!(part))));
        }
        let view = self.bulk_view(&by, &bulk);
        steps.push(Step::Make(ObjectKind::Work, bulk_object(&by, &bulk, Some(now))));
        let once = repeat.as_ref().map(|repeat| repeat::kept(actor, repeat, 202, &view, format!("{}/{id}", repeat.place)));
        let word = kind.word().replace(' ', "-");
        let deed = Deed::to(format!("{word}.{act}.bulk"), "bulk act", id).about(people).with("people", items.len());
        let store = self.told(actor, deed).await?;
        store.change(self.tenant_key(), Change { steps, once, ..Change::default() }).await.map_err(wrong)?;
        self.inner.work.notify_one();
        Ok(view)
    }

    fn bulk_part(&self, object: Uuid, id: Uuid, what: &str, number: usize, content: &Value) -> NewObject {
        let key = part_key(id, what, number);
        let sealed = self.inner.keys.seal(&key, content.to_string().as_bytes());
        let document = json!({ "sealed": STANDARD.encode(sealed) });
        NewObject { id: object, name: object.to_string(), document, keys: vec![key], links: vec![], due: None }
    }

    async fn read_part(&self, id: Uuid, what: &str, number: usize) -> crate::Result<Option<(Object, Value)>> {
        let key = part_key(id, what, number);
        let Some(row) = self.inner.store.object_keyed(self.tenant_key(), ObjectKind::Work, &key).await.map_err(wrong)? else {
            return Ok(None);
        };
        let sealed = row.document["sealed"].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        let content = self.inner.keys.open(&key, &sealed).and_then(|text| serde_json::from_slice(&text).ok());
        let content = content.ok_or_else(|| Refusal::unavailable("a part of a bulk act cannot be opened; its at-rest key is missing"))?;
        Ok(Some((row, content)))
    }

    fn bulk_view(&self, by: &str, bulk: &Bulk) -> BulkActView {
        let kind = ObjectKind::from_number(bulk.kind);
        let path = self.object_declarations().find(|one| Some(one.kind) == kind).map_or("", |one| one.path);
        let state = match (&bulk.stopped, bulk.ended) {
            (Some(_), _) => "stopped",
            (None, Some(_)) => "done",
            (None, None) => "running",
        };
        BulkActView {
            id: bulk.id,
            object: path.to_owned(),
            act: bulk.act.clone(),
            state: state.to_owned(),
            reason: bulk.stopped.clone(),
            total: bulk.total,
            finished: bulk.next,
            failed: bulk.failed,
            created_by: by.to_owned(),
            created_at: bulk.began,
            ended_at: bulk.ended,
        }
    }

    async fn bulk_row(&self, actor: &Actor, id: Uuid) -> crate::Result<(Object, Work, Bulk)> {
        let row = self.inner.store.object_keyed(self.tenant_key(), ObjectKind::Work, &main_key(id)).await.map_err(wrong)?;
        let unknown = || Refusal::not_found("bulk act", &id.to_string());
        let row = row.ok_or_else(unknown)?;
        let work = Work::read(&row.document)?;
        let Todo::Bulk(bulk) = &work.todo else { return Err(unknown()) };
        let bulk = bulk.clone();
        // Its author's; others who may do the act everywhere see it too.
        let own = matches!(actor, Actor::Admin { token, .. } if *token == bulk.token);
        if !own {
            let view = self.bulk_view(&work.by, &bulk);
            let declared = self.object_declarations().find(|one| one.path == view.object).and_then(|one| one.act(&bulk.act));
            self.allow_everywhere(actor, declared.ok_or_else(unknown)?.permission)?;
        }
        Ok((row, work, bulk))
    }

    /// How far a bulk act is.
    ///
    /// # Errors
    /// `not_found`; `forbidden`.
    pub async fn bulk(&self, actor: &Actor, id: Uuid) -> crate::Result<BulkActView> {
        let (_, work, bulk) = self.bulk_row(actor, id).await?;
        Ok(self.bulk_view(&work.by, &bulk))
    }

    /// Stops a bulk act: whoever was not reached yet is left alone.
    ///
    /// # Errors
    /// `not_found`; `forbidden`; what the store says.
    pub async fn stop_bulk(&self, actor: &Actor, id: Uuid) -> crate::Result<BulkActView> {
        for _ in 0..50 {
            let (row, work, mut bulk) = self.bulk_row(actor, id).await?;
            if bulk.ended.is_some() {
                return Ok(self.bulk_view(&work.by, &bulk));
            }
            let now = self.now();
            (bulk.ended, bulk.stopped) = (Some(now), Some("stopped_by_hand".to_owned()));
            let object = NewObject { id: row.id, ..bulk_object(&work.by, &bulk, Some(now.plus(KEPT))) };
            let step = Step::Change(ObjectKind::Work, object, Some(row.version));
            let store = self.told(actor, Deed::to("bulk.stop", "bulk act", id).with("finished", bulk.next)).await?;
            match store.change(self.tenant_key(), Change { steps: vec![step], ..Change::default() }).await {
                Ok(_) => return Ok(self.bulk_view(&work.by, &bulk)),
                Err(StoreError::Stale { .. }) => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        Err(Refusal::unavailable("the bulk act goes on faster than it can be stopped; repeat it in a moment"))
    }

    /// Results of a bulk act, fifty at a time. Secrets among them are shown to whoever reads them first, and erased.
    ///
    /// # Errors
    /// `not_found`; `forbidden`; a wrong cursor.
    pub async fn bulk_results(&self, actor: &Actor, id: Uuid, cursor: Option<&str>) -> crate::Result<BulkResults> {
        let (_, _, bulk) = self.bulk_row(actor, id).await?;
        let number = match cursor {
            None => 0,
            Some(text) => text.parse().map_err(|_| Refusal::field("cursor", "is not one of this list; take nextCursor as it was given"))?,
        };
        let Some((row, content)) = self.read_part(id, "results", number).await? else {
            return Ok(BulkResults { items: Vec::new(), next_cursor: None });
        };
        let items: Vec<BulkResult> = serde_json::from_value(content).unwrap_or_default();
        if items.iter().any(|item| !item.revealed.is_empty()) {
            let kept: Vec<BulkResult> = items.iter().map(|item| BulkResult { revealed: Map::new(), ..item.clone() }).collect();
            let part = self.bulk_part(row.id, id, "results", number, &json!(kept));
            let step = Step::Change(ObjectKind::Work, part, Some(row.version));
            self.inner.store.change(self.tenant_key(), Change { steps: vec![step], ..Change::default() }).await.map_err(wrong)?;
        }
        let more = bulk.next > (number + 1) * CHUNK || (items.len() == CHUNK && bulk.ended.is_none());
        Ok(BulkResults { items, next_cursor: more.then(|| (number + 1).to_string()) })
    }

    /// Does a turn of a bulk act, or forgets one that ended long ago.
    ///
    /// # Errors
    /// What the store says; it stays due.
    pub(crate) async fn bulk_turn(&self, row: &Object, work: &Work, bulk: &Bulk) -> crate::Result<()> {
        if bulk.ended.is_some() {
            return self.forget_bulk(row, bulk).await;
        }
        let (mut version, mut bulk) = (row.version, bulk.clone());
        let actor = match self.actor_of(bulk.token).await {
            Ok(actor) => actor,
            Err(refusal) if transient(&refusal) => return Err(refusal),
            // The token was revoked since, or its person left.
            Err(_) => {
                bulk.stopped = Some("token_ended".to_owned());
                return self.end_bulk(row.id, version, &work.by, bulk).await;
            }
        };
        let kind =
            ObjectKind::from_number(bulk.kind).ok_or_else(|| Refusal::unavailable("a bulk act is about an unknown kind of object"))?;
        let act = self.declared_object(kind)?.declaration.act(&bulk.act).ok_or_else(|| Refusal::not_found("act", &bulk.act))?.name;
        for _ in 0..TURN {
            if bulk.next >= bulk.total {
                return self.end_bulk(row.id, version, &work.by, bulk).await;
            }
            if self.inner.stop.is_cancelled() {
                return Ok(());
            }
            let number = bulk.next / CHUNK;
            let items = self.read_part(bulk.id, "items", number).await?.map(|(_, items)| items).unwrap_or_default();
            let item: BulkItem = serde_json::from_value(items[bulk.next % CHUNK].clone()).unwrap_or_default();
            let before = self.read_part(bulk.id, "results", number).await?;
            let steps = |result: BulkResult, now: Timestamp| {
                let mut next = bulk.clone();
                next.next += 1;
                next.failed += usize::from(!result.done);
                let object = NewObject { id: row.id, ..bulk_object(&work.by, &next, Some(now)) };
                let mut results = before.as_ref().and_then(|(_, content)| content.as_array().cloned()).unwrap_or_default();
                results.push(json!(result));
                let own = before.as_ref().map_or_else(Uuid::now_v7, |(row, _)| row.id);
                let part = self.bulk_part(own, bulk.id, "results", number, &json!(results));
                let part = match &before {
                    None => Step::Make(ObjectKind::Work, part),
                    Some((row, _)) => Step::Change(ObjectKind::Work, part, Some(row.version)),
                };
                vec![Step::Change(ObjectKind::Work, object, Some(version)), part]
            };
            let beside = |view: &ActView, revealed: &Map<String, Value>| steps(result_of(&item.user, Ok(view), revealed), self.now());
            let asked = asked(kind, act, &item, false, Locale::En);
            let failed = match self.act_with(&actor, asked, None, Some(&beside)).await {
                Ok(_) => false,
                Err(refusal) if transient(&refusal) => return Err(refusal),
                Err(refusal) => {
                    let steps = steps(result_of(&item.user, Err(&refusal), &Map::new()), self.now());
                    let done = self.inner.store.change(self.tenant_key(), Change { steps, ..Change::default() }).await;
                    match done {
                        Ok(_) => true,
                        // Stopped by hand, or done by another process.
                        Err(StoreError::Stale { .. } | StoreError::Taken { .. } | StoreError::NotFound) => return Ok(()),
                        Err(error) => return Err(wrong(error)),
                    }
                }
            };
            version += 1;
            bulk.next += 1;
            bulk.failed += usize::from(failed);
        }
        Ok(())
    }

    async fn end_bulk(&self, object: Uuid, version: i64, by: &str, bulk: Bulk) -> crate::Result<()> {
        let now = self.now();
        let bulk = Bulk { ended: Some(now), ..bulk };
        let object = NewObject { id: object, ..bulk_object(by, &bulk, Some(now.plus(KEPT))) };
        let steps = vec![Step::Change(ObjectKind::Work, object, Some(version))];
        match self.inner.store.change(self.tenant_key(), Change { steps, ..Change::default() }).await {
            Ok(_) | Err(StoreError::Stale { .. } | StoreError::NotFound) => Ok(()),
            Err(error) => Err(wrong(error)),
        }
    }

    async fn forget_bulk(&self, row: &Object, bulk: &Bulk) -> crate::Result<()> {
        let mut steps = Vec::new();
        for number in 0..bulk.total.div_ceil(CHUNK) {
            for what in ["items", "results"] {
                let key = part_key(bulk.id, what, number);
                let part = self.inner.store.object_keyed(self.tenant_key(), ObjectKind::Work, &key).await.map_err(wrong)?;
                steps.extend(part.map(|part| Step::End(ObjectKind::Work, part.id, None)));
            }
        }
        steps.push(Step::End(ObjectKind::Work, row.id, Some(row.version)));
        match self.inner.store.change(self.tenant_key(), Change { steps, ..Change::default() }).await {
            Ok(_) | Err(StoreError::Stale { .. } | StoreError::NotFound) => Ok(()),
            Err(error) => Err(wrong(error)),
        }
    }
}

fn asked(kind: ObjectKind, act: &str, item: &BulkItem, preview: bool, locale: Locale) -> Asked {
    Asked { kind, act: act.to_owned(), name: Some(item.user.clone()), given: item.given.clone(), expected: None, preview, locale }
}

fn bulk_object(by: &str, bulk: &Bulk, due: Option<Timestamp>) -> NewObject {
    let work = Work { by: by.to_owned(), todo: Todo::Bulk(bulk.clone()) };
    NewObject { id: bulk.id, name: bulk.id.to_string(), document: work.document(), keys: vec![main_key(bulk.id)], links: vec![], due }
}
