//! What integrations hear outside (the legs of calls) is gathered here until it is whole, and then told.
//!
//! In: pieces in any order, each with or without a file. They are kept before the caller hears that they were taken, so
//! a crash loses none, and a piece heard twice changes nothing. When a gathering is due its source says what it comes to, and
//! that is accepted as events in the same transaction in which the gathering is noted as told: nothing is told twice.
//! What belongs together and what it comes to are the source's rules.

use crate::Engine;
use crate::happenings::Ready;
use crate::keys::sealed_file;
use crate::work::{Todo, Work};
use model::objects::ObjectKind;
use model::source::{Concluded, Concluding, Conclusion, Gathering, KeptFile, Met, Sought, Source};
use model::{PersonKey, Refusal, RefusalKind, Timestamp};
use serde_json::Value;
use std::time::Duration;
use store::{Change, NewFile, NewObject, Object, Person, PersonFilter, Step, StoreError};
use uuid::Uuid;

/// Something that was heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Its type, such as `org.carillon.call.leg.v1`.
    pub kind: String,
    /// What it says.
    pub data: Value,
    /// A file that came with it.
    pub file: Option<HeardFile>,
}

/// A file that came with something heard.
#[derive(Clone, Debug, PartialEq)]
pub struct HeardFile {
    /// Its name for the reader, without a path.
    pub name: String,
    /// Media type (RFC 2046).
    pub media_type: String,
    /// What it holds.
    pub content: Vec<u8>,
}

/// How long a file is kept: longer than anything that is told of it may take to arrive.
pub(crate) const FILES_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// People looked at for a mail address: those whose texts it stands in.
const PEOPLE_LOOKED_AT: u32 = 10;
/// How often a change is tried that others overtake.
const TRIES: usize = 20;
/// Rounds in which a source may ask for what it has to know.
const ROUNDS: usize = 8;

impl Engine {
    /// Takes in what was heard. All of it is checked before anything is kept; where the store fails in the middle all of it is brought
    /// again, and what was kept already changes nothing. `by` says who brings it, for the record.
    ///
    /// # Errors
    /// What is wrong with a piece, with its place where there are several; `unavailable`: bring it again.
    pub async fn hear(&self, by: &str, pieces: Vec<Piece>) -> crate::Result<()> {
        let several = pieces.len() > 1;
        for (place, piece) in pieces.iter().enumerate() {
            let checked = self.check_piece(piece).await;
            checked.map_err(|refusal| if several { at_place(place, refusal) } else { refusal })?;
        }
        for piece in pieces {
            self.take_in(by, piece).await?;
        }
        self.inner.work.notify_one();
        Ok(())
    }

    /// Whether something heard would be told to anybody, as things are.
    ///
    /// # Errors
    /// What is wrong with it; what the store says.
    pub async fn would_tell(&self, kind: &str, data: &Value) -> crate::Result<bool> {
        let source = self.hearer(kind)?;
        let gathering = Gathering { kind, data, file: None, files_follow: false, before: &[], now: self.now() };
        let gathered = source.gather(&gathering)?;
        Ok(!self.concluded(source, &gathered.document).await?.happenings.is_empty())
    }

    fn hearer(&self, kind: &str) -> crate::Result<&dyn Source> {
        let found = self.inner.sources.iter().find(|source| source.hears().contains(&kind));
        found.map(AsRef::as_ref).ok_or_else(|| {
            let known: Vec<&str> = self.inner.sources.iter().flat_map(|source| source.hears()).copied().collect();
            Refusal::field("type", format!("{kind:?} is not known here; there is {}", known.join(", ")))
        })
    }

    /// Types of what can be heard.
    pub fn heard_types(&self) -> Vec<&'static str> {
        self.inner.sources.iter().flat_map(|source| source.hears()).copied().collect()
    }

    /// Checks a piece, and that what it names is there.
    async fn check_piece(&self, piece: &Piece) -> crate::Result<()> {
        let belongs = self.hearer(&piece.kind)?.belongs(&piece.kind, &piece.data)?;
        let Some((kind, name, field)) = belongs.needs else { return Ok(()) };
        match self.named_object(self.declared_object(kind)?, &name).await? {
            Some(_) => Ok(()),
            None => Err(Refusal::field(field, format!("there is no {kind} {name:?}; make it first, or name one that is there"))),
        }
    }

    async fn take_in(&self, by: &str, piece: Piece) -> crate::Result<()> {
        let (store, tenant) = (&self.inner.store, self.tenant_key());
        let source = self.hearer(&piece.kind)?;
        let file =
            piece.file.as_ref().map(|file| KeptFile { id: Uuid::now_v7(), name: file.name.clone(), media_type: file.media_type.clone() });
        let files: Vec<NewFile> = piece
            .file
            .iter()
            .zip(&file)
            .map(|(heard, kept)| NewFile {
                id: kept.id,
                content: sealed_file(&self.inner.keys, kept.id, &heard.content),
                until: self.now().plus(FILES_KEPT),
            })
            .collect();
        for _ in 0..TRIES {
            let belongs = source.belongs(&piece.kind, &piece.data)?;
            let mut rows: Vec<Object> = Vec::new();
            for key in &belongs.keys {
                let row = store.object_keyed(tenant, ObjectKind::Work, key).await.map_err(wrong)?;
                rows.extend(row.filter(|row| rows.iter().all(|other| other.id != row.id)));
            }
            let before: Vec<Work> = rows.iter().map(|row| Work::read(&row.document)).collect::<Result<_, _>>()?;
            let documents: Vec<Value> = before.iter().map(Work::gathered).collect();
            let gathering = Gathering {
                kind: &piece.kind,
                data: &piece.data,
                file: file.as_ref(),
                files_follow: self.inner.files_follow,
                before: &documents,
                now: self.now(),
            };
            let gathered = source.gather(&gathering)?;
            let onto = gathered.goes_on.map(|place| &rows[place]);
            if onto.is_some_and(|_| {
                gathered.took.is_empty() && files.is_empty() && documents[gathered.goes_on.unwrap_or_default()] == gathered.document
            }) {
                return Ok(());
            }
            let mut keys = Vec::with_capacity(gathered.keys.len());
            for (place, key) in gathered.keys.iter().enumerate() {
                let free =
                    |row: &Object| onto.is_some_and(|onto| onto.id == row.id) || gathered.took.iter().any(|took| rows[*took].id == row.id);
                let other = store.object_keyed(tenant, ObjectKind::Work, key).await.map_err(wrong)?;
                if place == 0 || other.is_none_or(|row| free(&row)) {
                    keys.push(key.clone());
                }
            }
            let id = onto.map_or_else(Uuid::now_v7, |row| row.id);
            let work = Work {
                by: by.to_owned(),
                todo: Todo::Conclude { source: source.declaration().name.to_owned(), document: gathered.document },
            };
            let object = NewObject { id, name: id.to_string(), document: work.document(), keys, links: Vec::new(), due: gathered.due };
            let mut steps: Vec<Step> =
                gathered.took.iter().map(|took| Step::End(ObjectKind::Work, rows[*took].id, Some(rows[*took].version))).collect();
            steps.push(match onto {
                None => Step::Make(ObjectKind::Work, object),
                Some(row) => Step::Change(ObjectKind::Work, object, Some(row.version)),
            });
            match store.change(tenant, Change { steps, files: files.clone(), ..Change::default() }).await {
                Ok(_) => return Ok(()),
                // Somebody else took in a piece of the same meanwhile.
                Err(StoreError::Stale { .. } | StoreError::Taken { .. } | StoreError::NotFound) => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        Err(Refusal::unavailable("others take in pieces of the same faster than this can be; bring it again in a moment"))
    }

    /// What an object holds that belongs to the person with this user principal name or mail address.
    ///
    /// # Errors
    /// What the store says.
    pub async fn object_of_person(&self, kind: ObjectKind, address: &str) -> crate::Result<Option<Value>> {
        let (store, tenant) = (&self.inner.store, self.tenant_key());
        let named = store.find_people(tenant, address).await.map_err(wrong)?;
        let mut found = named.first().map(|one| one.id);
        if found.is_none() {
            let filter = PersonFilter { search: Some(address.to_owned()), ..PersonFilter::default() };
            let people = store.people(tenant, filter, PersonKey(0), PEOPLE_LOOKED_AT).await.map_err(wrong)?;
            let own = |person: &&Person| person.fields.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(address));
            found = people.iter().find(own).map(|person| person.id);
        }
        let Some(person) = found else { return Ok(None) };
        let row = self.named_object(self.declared_object(kind)?, &person.to_string()).await?;
        Ok(row.map(|row| row.document))
    }

    /// Tells what a gathering comes to that is due.
    ///
    /// # Errors
    /// What the store says; it stays due.
    pub(crate) async fn conclude(&self, row: &Object, by: &str, source: &str, document: &Value) -> crate::Result<()> {
        let found = self.inner.sources.iter().find(|one| one.declaration().name == source);
        let Some(source) = found.map(AsRef::as_ref) else {
            return Err(Refusal::not_found("source", source));
        };
        let Concluded { happenings, keeps } = self.concluded(source, document).await?;
        let mut ready: Vec<Ready> = Vec::with_capacity(happenings.len());
        for happening in &happenings {
            match self.ready_for_one(&(Uuid::nil(), by.to_owned()), happening).await {
                Ok(one) => ready.push(one),
                // The person was deleted since.
                Err(refusal) if refusal.kind == RefusalKind::NotFound => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let step = match keeps {
            None => Step::End(ObjectKind::Work, row.id, Some(row.version)),
            Some((document, key, until)) => {
                let work = Work { by: by.to_owned(), todo: Todo::Conclude { source: source.declaration().name.to_owned(), document } };
                let (id, keys) = (row.id, vec![key]);
                let object = NewObject { id, name: row.name.clone(), document: work.document(), keys, links: Vec::new(), due: Some(until) };
                Step::Change(ObjectKind::Work, object, Some(row.version))
            }
        };
        let change = Change { steps: vec![step], events: ready.iter().map(Ready::acceptance).collect(), ..Change::default() };
        match self.inner.store.change(self.tenant_key(), change).await {
            Ok(accepted) => ready.into_iter().zip(accepted).for_each(|(one, accepted)| self.send_off(one, accepted)),
            // Another piece came, or the policy moved: it is looked at again.
            Err(StoreError::Stale { .. } | StoreError::NotFound) => {}
            Err(error) => return Err(wrong(error)),
        }
        Ok(())
    }

    /// Asks the source, and looks up for it what it has to know.
    async fn concluded(&self, source: &dyn Source, document: &Value) -> crate::Result<Concluded> {
        let settings = self.inner.standing.policy();
        let mut met: Vec<Met> = Vec::new();
        for _ in 0..ROUNDS {
            let concluding = Concluding { document, met: &met, settings: &settings, now: self.now() };
            match source.conclude(&concluding) {
                Conclusion::Done(concluded) => return Ok(concluded),
                Conclusion::Seeks(sought) => {
                    for one in sought {
                        let one = self.meet(one).await?;
                        met.push(one);
                    }
                }
            }
        }
        Err(Refusal::unavailable(format!("the source {} asks without end", source.declaration().name)))
    }

    async fn meet(&self, sought: Sought) -> crate::Result<Met> {
        use crate::admin::objects::{existing, subject};
        let (store, tenant) = (&self.inner.store, self.tenant_key());
        Ok(match sought {
            Sought::Object(kind, name) if name.is_empty() => {
                let _ = kind;
                Met::Object(None)
            }
            Sought::Object(kind, name) => {
                let row = self.named_object(self.declared_object(kind)?, &name).await?;
                Met::Object(row.map(|row| existing(kind, &row)))
            }
            Sought::Keyed(kind, keys) => {
                let mut found = None;
                for key in keys {
                    found = store.object_keyed(tenant, kind, &key).await.map_err(wrong)?;
                    if found.is_some() {
                        break;
                    }
                }
                Met::Object(found.map(|row| existing(kind, &row)))
            }
            Sought::Person(id) => {
                let found = if id.is_empty() { Vec::new() } else { store.find_people(tenant, &id).await.map_err(wrong)? };
                let person = match found.first() {
                    Some(one) => store.person(tenant, one.key).await.map_err(wrong)?,
                    None => None,
                };
                Met::Person(person.map(subject))
            }
            Sought::Phone(numbers) => {
                for number in numbers {
                    // Two people with one number: none of them is named.
                    if let [name] = &store.people_with_phone(tenant, &number).await.map_err(wrong)?[..] {
                        return Ok(Met::Name(Some(name.clone())));
                    }
                }
                Met::Name(None)
            }
        })
    }
}

/// Whether a refusal says nothing against what was asked: it may be asked again.
pub(crate) fn transient(refusal: &Refusal) -> bool {
    matches!(refusal.kind, RefusalKind::Unavailable { .. })
}

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("what was heard", error)
}

fn at_place(place: usize, mut refusal: Refusal) -> Refusal {
    for fault in &mut refusal.faults {
        fault.field = format!("{place}.{}", fault.field);
    }
    refusal.detail = format!("event {place}: {}", refusal.detail);
    refusal
}

/// When something is looked at again that could not be done.
pub(crate) fn later(now: Timestamp, tries: u32) -> Timestamp {
    const STEPS: [u64; 7] = [2, 5, 15, 60, 300, 900, 3600];
    let step = STEPS[usize::try_from(tries).unwrap_or(usize::MAX).min(STEPS.len() - 1)];
    now.plus(Duration::from_secs(step))
}
