//! Acts on managed objects. Rights, names and values are checked here, against the declaration; what the act comes to is the
//! source's own rule. The object, everything that goes with it, the events that come of it and the audit's entry are one
//! transaction; a preview is the same without it.

use super::acts::Deed;
use super::fields::Faults;
use super::objects::{Declared, ObjectView, existing, name_key, wrong};
use super::repeat;
use super::scope::Sight;
use super::users::{TRIES, check_expected};
use crate::happenings::Ready;
use crate::intake::asker;
use crate::{Engine, Repeat, errands, keys};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::objects::{ActDeclaration, FieldDeclaration, Naming, Need, ObjectKind, Onto};
use model::roles::Actor;
use model::source::{Acting, Compared, Existing, Keeping, Ruling, Subject, Tools, Wanted};
use model::{Locale, PersonKey, Refusal, RefusalKind, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use store::{Change, NewObject, Object, Step, StoreError, Whom};
use uuid::Uuid;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// On which kind.
    pub kind: ObjectKind,
    /// One of its acts.
    pub act: String,
    /// On which object, or whose: an id or a name. None for one that is new.
    pub name: Option<String>,
    /// What is given.
    pub given: Map<String, Value>,
    /// Only at this version of the object.
    pub expected: Option<i64>,
    /// Nothing is done: it is only said what would be.
    pub preview: bool,
    /// Language of sentences for the caller.
    pub locale: Locale,
}

/// What an act came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct ActView {
    /// The object as it is now, or would be; none when it ended, and where it was only asked.
    pub object: Option<ObjectView>,
    /// Events that come of it.
    pub events: Vec<EventRef>,
    /// Shown this once.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub revealed: Map<String, Value>,
    /// Sentences for the caller.
    pub remarks: Vec<String>,
    /// Whether it was done.
    pub done: bool,
    /// Whether an outside system has to confirm first, before the events come.
    pub waits: bool,
}

/// An event that comes of an act.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct EventRef {
    /// None in a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// To whom.
    pub user_id: Uuid,
    /// `goes`, the reason for which no mail goes, or `none` where this type has no mail.
    pub mail: &'static str,
}

/// Steps that are committed with an act, by what it comes to and what it reveals.
pub(crate) type Beside<'a> = dyn Fn(&ActView, &Map<String, Value>) -> Vec<Step> + Send + Sync + 'a;

/// An act whose object and person were found.
pub(super) struct Found {
    pub id: Uuid,
    pub row: Option<Object>,
    pub person: Option<(PersonKey, Subject)>,
}

/// Chance and secrets for one act.
struct Kit<'e> {
    engine: &'e Engine,
}

impl Tools for Kit<'_> {
    fn below(&mut self, most: u32) -> u32 {
        keys::chance(most)
    }

    fn id(&mut self) -> Uuid {
        Uuid::now_v7()
    }

    fn keep(&mut self, secret: &str) -> String {
        self.engine.inner.keys.keep(secret)
    }

    fn is(&mut self, subject: &str, secret: &str, kept: &str) -> Compared {
        let inner = &self.engine.inner;
        inner.wrong_secrets.compare(subject, self.engine.now(), || inner.keys.is(secret, kept))
    }

    fn signing_secret(&mut self, object: Uuid) -> (String, String) {
        let mut key = [0; 32];
        keys::fill(&mut key);
        let kept = self.engine.inner.keys.seal(&errands::signing_context(object), &key);
        (format!("whsec_{}", STANDARD.encode(key)), STANDARD.encode(kept))
    }
}

impl Engine {
    /// Does an act, or says what it would come to.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`, `ambiguous_name`; every wrong parameter; what the source's rule has against it;
    /// `taken`, `in_use`, `stale`.
    pub async fn act_on(&self, actor: &Actor, asked: Asked, repeat: Option<Repeat>) -> crate::Result<ActView> {
        self.act_with(actor, asked, repeat, None).await
    }

    /// The same with steps of whoever does many, which are committed with it and take the place of an audit entry of its own.
    ///
    /// # Errors
    /// As [`Engine::act_on`].
    pub(crate) async fn act_with(
        &self,
        actor: &Actor,
        asked: Asked,
        repeat: Option<Repeat>,
        beside: Option<&Beside<'_>>,
    ) -> crate::Result<ActView> {
        let declared = self.declared_object(asked.kind)?;
        let act = declared.declaration.act(&asked.act).ok_or_else(|| Refusal::not_found("act", &asked.act))?;
        let permission = declared.declaration.permission(act, asked.given.keys().map(String::as_str));
        let sight = match declared.declaration.naming {
            Naming::Own { .. } => self.allow_everywhere(actor, permission).map(|()| Sight::Everything)?,
            Naming::Person => self.allow(actor, permission)?,
        };
        let given = checked(act, asked.given)?;
        for tries in 1.. {
            let found = self.found(&sight, declared, act, asked.name.as_deref()).await?;
            match &found.row {
                Some(row) => check_expected(asked.kind.word(), asked.expected, row.version)?,
                // Whoever has read a version means an object that has ended meanwhile.
                None => check_expected(asked.kind.word(), asked.expected, 0)?,
            }
            let ruling = match self.ruling(declared, act, &found, &given).await {
                Ok(ruling) => ruling,
                Err(refusal) => return Err(self.told_by_name(actor, refusal).await),
            };
            if let Some(row) = unchanged(&found, &ruling) {
                let object = Some(self.view_object(declared, row).await?);
                let remarks = said(ruling.remarks, asked.locale);
                let view = ActView { object, events: Vec::new(), revealed: Map::new(), remarks, done: !asked.preview, waits: false };
                if let Some(beside) = beside.filter(|_| !asked.preview) {
                    // Whoever does many goes on all the same.
                    let change = Change { steps: beside(&view, &Map::new()), ..Change::default() };
                    self.inner.store.change(self.tenant_key(), change).await.map_err(|_| moving(asked.kind))?;
                }
                return Ok(view);
            }
            if asked.preview || ruling.asked_only {
                let revealed = if asked.preview { Map::new() } else { ruling.revealed.clone() };
                let view = self.previewed(&asker(actor)?, declared, found, ruling, asked.locale).await?;
                return Ok(ActView { revealed, ..view });
            }
            match self.done(actor, (declared, act), found, &given, (ruling, asked.locale), (repeat.as_ref(), beside, tries < TRIES)).await?
            {
                Some(view) => return Ok(view),
                None if tries < TRIES => self.read_policy_again().await?,
                None => break,
            }
        }
        Err(moving(asked.kind))
    }

    /// The object and the person that are meant.
    async fn found(&self, sight: &Sight, declared: Declared<'_>, act: &ActDeclaration, name: Option<&str>) -> crate::Result<Found> {
        let kind = declared.declaration.kind.word();
        let missing = || Refusal::field("name", format!("is missing; say which {kind} is meant"));
        match act.onto {
            Onto::New => Ok(Found { id: Uuid::now_v7(), row: None, person: None }),
            Onto::Existing | Onto::Gone => {
                let row = self.object_row(sight, declared, name.ok_or_else(missing)?).await?;
                let person = match declared.declaration.naming {
                    Naming::Own { .. } => None,
                    Naming::Person => Some(self.subject_named(sight, &row.name).await?),
                };
                Ok(Found { id: row.id, row: Some(row), person })
            }
            Onto::Person => {
                let name = name.ok_or_else(missing)?;
                // The object's own id is as good as the person's.
                let own = self.named_object(declared, name).await?;
                let person = self.subject_named(sight, own.as_ref().map_or(name, |row| &row.name)).await?;
                let row = match own {
                    Some(row) => Some(row),
                    None => self.named_object(declared, &person.1.id.to_string()).await?,
                };
                let id = row.as_ref().map_or_else(Uuid::now_v7, |row| row.id);
                Ok(Found { id, row, person: Some(person) })
            }
        }
    }

    /// Asks the source, which is told what else it wants to know.
    pub(super) async fn ruling(
        &self,
        declared: Declared<'_>,
        act: &'static ActDeclaration,
        found: &Found,
        given: &Map<String, Value>,
    ) -> crate::Result<Ruling> {
        let settings = self.inner.standing.policy();
        let before = found.row.as_ref().map(|row| existing(declared.declaration.kind, row));
        let mut acting = Acting {
            kind: declared.declaration.kind,
            act: act.name,
            id: found.id,
            given,
            before: before.as_ref(),
            person: found.person.as_ref().map(|(_, subject)| subject),
            settings: &settings,
            found: &[],
            now: self.now(),
        };
        let mut answers = Vec::new();
        for wanted in declared.source.wants(&acting) {
            answers.push(self.wanted(wanted).await?);
        }
        acting.found = &answers;
        // Keeping a secret is slow on purpose; other work goes on meanwhile.
        let rule = || declared.source.act(&acting, &mut Kit { engine: self });
        let mut ruling = match tokio::runtime::Handle::current().runtime_flavor() {
            tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(rule),
            _ => rule(),
        }?;
        // What belongs to a person is found by the person, whatever they are called later.
        if let (Naming::Person, Some((_, person)), Some(keeping)) = (declared.declaration.naming, &found.person, &mut ruling.keeping) {
            keeping.name = person.id.to_string();
        }
        Ok(ruling)
    }

    async fn wanted(&self, wanted: Wanted) -> crate::Result<Vec<Existing>> {
        match wanted {
            Wanted::Named(kind, name) => {
                let row = self.named_object(self.declared_object(kind)?, &name).await?;
                Ok(row.iter().map(|row| existing(kind, row)).collect())
            }
            Wanted::Keyed(kind, key) => {
                let row = self.inner.store.object_keyed(self.tenant_key(), kind, &key).await.map_err(|e| crate::refusal(kind.word(), e))?;
                Ok(row.iter().map(|row| existing(kind, row)).collect())
            }
            Wanted::LinkedTo(kind, target, most) => {
                let rows = self.inner.store.objects_linked(self.tenant_key(), kind, target, most).await;
                Ok(rows.map_err(|e| crate::refusal(kind.word(), e))?.iter().map(|row| existing(kind, row)).collect())
            }
        }
    }

    async fn previewed(
        &self,
        author: &(Uuid, String),
        declared: Declared<'_>,
        found: Found,
        ruling: Ruling,
        locale: Locale,
    ) -> crate::Result<ActView> {
        let object = match ruling.keeping {
            None => None,
            Some(keeping) => Some(self.view_object(declared, would_be(&found, &keeping, self.now())).await?),
        };
        let mut events = Vec::with_capacity(ruling.happenings.len());
        for happening in &ruling.happenings {
            events.push(self.ready_for_one(author, happening).await?.event(false));
        }
        let waits = ruling.errand.is_some();
        Ok(ActView { object, events, revealed: Map::new(), remarks: said(ruling.remarks, locale), done: false, waits })
    }

    /// That a name is another's: which parameter gave it, or which object comes with this one. With it, whether nobody gave it:
    /// then the rule may make another.
    async fn taken(
        &self,
        actor: &Actor,
        (declared, act): (Declared<'_>, &ActDeclaration),
        given: &Map<String, Value>,
        ruling: &Ruling,
        by: Uuid,
    ) -> crate::Result<(Refusal, bool)> {
        let kind = declared.declaration.kind;
        let own = ruling.keeping.iter().map(|keeping| (kind, keeping));
        for (kind, keeping) in own.chain(ruling.others.iter().map(|other| (other.kind, &other.keeping))) {
            let fault = |field| self.refused_for_holder(actor, declared, StoreError::Taken { field, by });
            for key in &keeping.keys {
                let row = self.inner.store.object_keyed(self.tenant_key(), kind, key).await.map_err(|e| wrong(declared, e))?;
                if row.is_some_and(|row| row.id == by) {
                    let holder = holder(act, given, key);
                    return Ok((fault(holder.unwrap_or("name")).await, holder.is_none()));
                }
            }
            let row = self.named_object(self.declared_object(kind)?, &keeping.name).await?;
            if row.is_some_and(|row| row.id == by) {
                return Ok((fault("name").await, false));
            }
        }
        Ok((self.refused_for_holder(actor, declared, StoreError::Taken { field: "name", by }).await, false))
    }

    /// Commits what an act comes to; `None` when the object moved meanwhile or, as long as the caller is patient, when a name that the
    /// rule made up is another's.
    pub(super) async fn done(
        &self,
        actor: &Actor,
        (declared, act): (Declared<'_>, &'static ActDeclaration),
        found: Found,
        given: &Map<String, Value>,
        (ruling, locale): (Ruling, Locale),
        (repeat, beside, patient): (Option<&Repeat>, Option<&Beside<'_>>, bool),
    ) -> crate::Result<Option<ActView>> {
        let kind = declared.declaration.kind;
        let mut ready = Vec::with_capacity(ruling.happenings.len());
        let mut steps = steps(declared, &found, &ruling);
        let author = asker(actor)?;
        for happening in &ruling.happenings {
            ready.push(self.ready_for_one(&author, happening).await?);
        }
        let waits = ruling.errand.is_some();
        let events: Vec<EventRef> = ready.iter().map(|one| one.event(!waits)).collect();
        if let Some(errand) = &ruling.errand {
            // Told when the outside system has confirmed.
            steps.push(self.errand_step(author.1.clone(), found.id, errand, &ruling.happenings).await?);
            ready.clear();
        }
        steps.extend(self.follow_secrets(&ready).await?);
        let object = match &ruling.keeping {
            None => None,
            Some(keeping) => Some(self.view_object(declared, would_be(&found, keeping, self.now())).await?),
        };
        let mut view = ActView { object, events, revealed: Map::new(), remarks: said(ruling.remarks.clone(), locale), done: true, waits };
        let once = repeat.map(|repeat| {
            let status = if act.onto == Onto::New { 201 } else { 200 };
            let place = if act.onto == Onto::New { format!("{}/{}", repeat.place, found.id) } else { String::new() };
            repeat::kept(actor, repeat, status, &view, place)
        });
        if let Some(beside) = beside {
            steps.extend(beside(&view, &ruling.revealed));
        }
        let change = Change { steps, files: Vec::new(), events: ready.iter().map(Ready::acceptance).collect(), once };
        let store = match beside {
            None => self.told(actor, deed(declared, act, &found, given, &ruling)).await?,
            Some(_) => self.inner.store.clone(),
        };
        match store.change(self.tenant_key(), change).await {
            Ok(accepted) => {
                ready.into_iter().zip(accepted).for_each(|(one, accepted)| self.send_off(one, accepted));
                self.inner.work.notify_one();
            }
            Err(StoreError::Stale { .. }) => return Ok(None),
            Err(StoreError::Taken { by, .. }) => match self.taken(actor, (declared, act), given, &ruling, by).await? {
                (_, true) if patient => return Ok(None),
                (refusal, _) => return Err(refusal),
            },
            Err(error) => return Err(self.refused_for_holder(actor, declared, error).await),
        }
        view.revealed = ruling.revealed;
        tracing::debug!(kind = kind.word(), act = act.name, "an act was done");
        Ok(Some(view))
    }
}

fn moving(kind: ObjectKind) -> Refusal {
    Refusal::unavailable(format!("the {kind} is being changed by others faster than this can be; repeat it in a moment"))
}

/// Which parameter holds a further name of an object, such as an extension in its dial plan: what stands behind the last `/`.
fn holder(act: &ActDeclaration, given: &Map<String, Value>, key: &str) -> Option<&'static str> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let is = |value: &Value| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(name));
    let holds = |value: &Value| is(value) || value.as_array().is_some_and(|list| list.iter().any(is));
    act.parameters.iter().find(|field| given.get(field.name).is_some_and(holds)).map(|field| field.name)
}

/// The object as it is, where nothing at all comes of an act: then nothing is kept, told or audited.
fn unchanged(found: &Found, ruling: &Ruling) -> Option<Object> {
    let (row, keeping) = (found.row.as_ref()?, ruling.keeping.as_ref()?);
    let same = row.name == keeping.name && row.document == keeping.document;
    let alone = ruling.others.is_empty() && ruling.happenings.is_empty() && ruling.errand.is_none() && ruling.revealed.is_empty();
    (same && alone && !ruling.asked_only).then(|| row.clone())
}

/// What is given, in the spelling in which it is kept. A field that is not known makes the request malformed, as everywhere;
/// all values that break their rule are reported at once, those of another type among them.
fn checked(act: &ActDeclaration, given: Map<String, Value>) -> crate::Result<Map<String, Value>> {
    let mut faults = Faults::default();
    let mut kept = Map::new();
    let missing = act.parameters.iter().filter(|field| field.need == Need::Must && !given.contains_key(field.name));
    let missing: Vec<&FieldDeclaration> = missing.collect();
    for (name, value) in given {
        let Some(field) = act.parameters.iter().find(|field| field.name == name) else { return Err(unknown_field(act, name)) };
        match value_of(field, &value) {
            Ok(Some(value)) => drop(kept.insert(name, value)),
            Ok(None) => {}
            Err(message) => faults.add(name, message),
        }
    }
    for field in missing {
        faults.add(field.name, "is missing; give it a value");
    }
    faults.done()?;
    Ok(kept)
}

fn unknown_field(act: &ActDeclaration, name: String) -> Refusal {
    let known: Vec<&str> = act.parameters.iter().map(|field| field.name).collect();
    let known = if known.is_empty() { "nothing is expected".to_owned() } else { format!("there are {}", known.join(", ")) };
    let refusal = Refusal::field(name, format!("is not known here; {known}"));
    Refusal { kind: RefusalKind::Malformed, code: "unknown_field", ..refusal }
}

/// `null` returns a field to its default, where it has one, and otherwise clears it.
fn value_of(field: &FieldDeclaration, value: &Value) -> Result<Option<Value>, String> {
    if !value.is_null() {
        return field.check(value).map(Some);
    }
    match field.need {
        Need::Must => Err("must have a value, not null".to_owned()),
        Need::May => Ok(Some(field.default_value().unwrap_or(Value::Null))),
    }
}

/// The object as it will be.
fn would_be(found: &Found, keeping: &Keeping, now: Timestamp) -> Object {
    let before = found.row.as_ref();
    Object {
        id: found.id,
        name: keeping.name.clone(),
        version: before.map_or(1, |row| row.version + 1),
        document: keeping.document.clone(),
        created_at: before.map_or(now, |row| row.created_at),
        changed_at: now,
    }
}

pub(crate) fn new_object(id: Uuid, keeping: &Keeping) -> NewObject {
    let mut keys = vec![name_key(&keeping.name)];
    keys.extend(keeping.keys.iter().cloned());
    NewObject { id, name: keeping.name.clone(), document: keeping.document.clone(), keys, links: keeping.links.clone(), due: None }
}

/// The changes, in an order in which what is referred to is there: others that are new come first.
pub(super) fn steps(declared: Declared<'_>, found: &Found, ruling: &Ruling) -> Vec<Step> {
    let kind = declared.declaration.kind;
    let other = |one: &model::source::Other| {
        let object = new_object(one.id, &one.keeping);
        if one.new { Step::Make(one.kind, object) } else { Step::Change(one.kind, object, None) }
    };
    let own = match (&ruling.keeping, &found.row) {
        (Some(keeping), None) => Some(Step::Make(kind, new_object(found.id, keeping))),
        (Some(keeping), Some(row)) => Some(Step::Change(kind, new_object(found.id, keeping), Some(row.version))),
        (None, Some(row)) => Some(Step::End(kind, row.id, Some(row.version))),
        (None, None) => None,
    };
    let refers_to_own = |one: &&model::source::Other| one.keeping.links.contains(&found.id);
    let before = ruling.others.iter().filter(|one| !refers_to_own(one)).map(other);
    let after = ruling.others.iter().filter(refers_to_own).map(other);
    before.chain(own).chain(after).collect()
}

/// What the audit tells: the act, on what, whom it concerns, which parameters were given; values only where they are switches or
/// numbers, because everything else may be an address, a number or a secret.
pub(super) fn deed(
    declared: Declared<'_>,
    act: &'static ActDeclaration,
    found: &Found,
    given: &Map<String, Value>,
    ruling: &Ruling,
) -> Deed {
    let kind = declared.declaration.kind;
    let mut deed = Deed::to(format!("{}.{}", kind.word().replace(' ', "-"), act.name), kind.word(), found.id);
    if let Some((person, _)) = &found.person {
        deed = deed.about([Whom::Person(*person)]);
    }
    for (name, value) in given {
        let Some(field) = act.parameters.iter().find(|field| field.name == name) else { continue };
        let shown = value.is_boolean() || value.is_i64();
        deed = deed.with(field.name, if shown { value.clone() } else { "given".into() });
    }
    for (name, value) in &ruling.audited {
        deed = deed.also(name, value);
    }
    let kinds: Vec<&str> = ruling.happenings.iter().map(|one| one.kind).collect();
    if kinds.is_empty() { deed } else { deed.with("events", kinds) }
}

fn said(remarks: Vec<(String, String)>, locale: Locale) -> Vec<String> {
    let say = |(english, french): (String, String)| match locale {
        Locale::En => english,
        Locale::Fr => french,
    };
    remarks.into_iter().map(say).collect()
}
