//! Managed objects of the sources, as administrators see them: who may see which, by what they are named, in pages. What is
//! done to them stands in [`super::acting`].

use super::names::Unresolved;
use super::pages;
use super::scope::Sight;
use crate::Engine;
use crate::notifications::Page;
use model::directory::MemberKind;
use model::objects::{Naming, ObjectDeclaration, ObjectKind};
use model::roles::Actor;
use model::source::{Existing, Source, Subject};
use model::{PersonKey, Refusal, RefusalKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Object, Person, StoreError};
use uuid::Uuid;

/// A managed object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct ObjectView {
    pub id: Uuid,
    /// Its own name; none for one that belongs to a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whose it is, for one that belongs to a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserRef>,
    /// Moves with every change.
    pub version: i64,
    /// The declared fields.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// A person, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct UserRef {
    pub id: Uuid,
    pub upn: String,
    pub display_name: String,
}

/// Which objects to list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct ObjectQuery {
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// A kind with its source and its declaration.
#[derive(Clone, Copy)]
pub(crate) struct Declared<'e> {
    pub source: &'e dyn Source,
    pub declaration: &'static ObjectDeclaration,
}

/// Objects looked at in one step while a page is filled with what the actor sees.
const STEP: u32 = 500;
/// Such steps for one page at most; then it gives what it has, and a cursor.
const STEPS: usize = 20;

pub(super) fn wrong(declared: Declared<'_>, error: StoreError) -> Refusal {
    crate::refusal(declared.declaration.kind.word(), error)
}

impl Engine {
    /// Every kind of object that the sources of this build declare.
    pub fn object_declarations(&self) -> impl Iterator<Item = &'static ObjectDeclaration> + '_ {
        self.inner.sources.iter().flat_map(|source| source.declaration().objects)
    }

    pub(crate) fn declared_object(&self, kind: ObjectKind) -> crate::Result<Declared<'_>> {
        let found = self.inner.sources.iter().find_map(|source| {
            let declaration = source.declaration().objects.iter().find(|one| one.kind == kind)?;
            Some(Declared { source: source.as_ref(), declaration })
        });
        found.ok_or_else(|| Refusal::not_found("kind of object", kind.word()))
    }

    /// Objects of a kind, in pages.
    ///
    /// # Errors
    /// `forbidden`; a wrong cursor or limit.
    pub async fn objects(&self, actor: &Actor, kind: ObjectKind, query: ObjectQuery) -> crate::Result<Page<ObjectView>> {
        let declared = self.declared_object(kind)?;
        let sight = self.allow(actor, declared.declaration.reading)?;
        let limit = pages::limit(query.limit)?;
        let list = declared.declaration.path;
        let mut after = pages::place(list, query.cursor.as_deref(), |text| Uuid::parse_str(text).ok())?;
        let (mut items, mut more) = (Vec::new(), true);
        for _ in 0..STEPS {
            let rows = self.inner.store.objects(self.tenant_key(), kind, after, STEP).await.map_err(|e| wrong(declared, e))?;
            more = rows.len() == STEP as usize;
            for row in rows {
                if items.len() == limit as usize {
                    more = true;
                    break;
                }
                let id = row.id;
                items.extend(self.seen(&sight, declared, row).await?);
                after = Some(id);
            }
            if !more || items.len() == limit as usize {
                break;
            }
        }
        let next_cursor = after.filter(|_| more).map(|after| pages::cursor(list, &after.to_string()));
        Ok(Page { items, next_cursor })
    }

    /// One object: by its id, its name or, for one that belongs to a person, by whatever names the person.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`, `ambiguous_name`.
    pub async fn object(&self, actor: &Actor, kind: ObjectKind, name: &str) -> crate::Result<ObjectView> {
        let declared = self.declared_object(kind)?;
        let sight = self.allow(actor, declared.declaration.reading)?;
        let found = self.object_row(&sight, declared, name).await?;
        self.view_object(declared, found).await
    }

    /// The row that a caller means.
    ///
    /// # Errors
    /// `out_of_scope`, `not_found`, `ambiguous_name`.
    pub(super) async fn object_row(&self, sight: &Sight, declared: Declared<'_>, name: &str) -> crate::Result<Object> {
        let kind = declared.declaration.kind;
        let unknown = || Refusal::not_found(kind.word(), name);
        if declared.declaration.naming == Naming::Person {
            // The object's own id is as good as the person's.
            if let Some(row) = self.named_object(declared, name).await? {
                self.must_see(sight, &row).await?;
                return Ok(row);
            }
            let person = self.subject_named(sight, name).await?;
            return self.named_object(declared, &person.1.id.to_string()).await?.ok_or_else(unknown);
        }
        self.named_object(declared, name).await?.ok_or_else(unknown)
    }

    /// The object with this id or this name.
    pub(crate) async fn named_object(&self, declared: Declared<'_>, name: &str) -> crate::Result<Option<Object>> {
        let (tenant, kind, store) = (self.tenant_key(), declared.declaration.kind, &self.inner.store);
        if let Ok(id) = Uuid::parse_str(name)
            && let Some(row) = store.object(tenant, kind, id).await.map_err(|e| wrong(declared, e))?
        {
            return Ok(Some(row));
        }
        store.object_keyed(tenant, kind, &name_key(name)).await.map_err(|e| wrong(declared, e))
    }

    async fn must_see(&self, sight: &Sight, row: &Object) -> crate::Result<()> {
        let Ok(person) = Uuid::parse_str(&row.name) else { return Ok(()) };
        self.person_by_id(sight, person).await.map(|_| ())
    }

    /// The person that a name means, whom the actor has to see.
    ///
    /// # Errors
    /// `out_of_scope`, `not_found`, `ambiguous_name`.
    pub(super) async fn subject_named(&self, sight: &Sight, name: &str) -> crate::Result<(PersonKey, Subject)> {
        let named = self.person_named(sight, name).await?.map_err(|unresolved: Unresolved| unresolved.refusal(MemberKind::User, name))?;
        let person = self.inner.store.person(self.tenant_key(), named.key).await.map_err(|e| crate::refusal("user", e))?;
        let person = person.ok_or_else(|| Refusal::not_found("user", name))?;
        Ok((person.key, subject(person)))
    }

    /// What the actor sees of a row: nothing of a person outside the scope.
    async fn seen(&self, sight: &Sight, declared: Declared<'_>, row: Object) -> crate::Result<Option<ObjectView>> {
        if declared.declaration.naming == Naming::Person
            && let Err(refusal) = self.must_see(sight, &row).await
        {
            // Somebody who was deleted, or is none of the actor's business.
            return match refusal.kind {
                RefusalKind::Forbidden | RefusalKind::NotFound => Ok(None),
                _ => Err(refusal),
            };
        }
        self.view_object(declared, row).await.map(Some)
    }

    pub(super) async fn view_object(&self, declared: Declared<'_>, row: Object) -> crate::Result<ObjectView> {
        let shown = declared.source.shown(declared.declaration.kind, &row.document);
        let fields = match shown {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let (mut name, mut user) = (Some(row.name.clone()), None);
        if declared.declaration.naming == Naming::Person {
            name = None;
            let sight = Sight::Everything;
            let (_, person) = self.subject_named(&sight, &row.name).await?;
            user = Some(UserRef { id: person.id, upn: person.upn, display_name: person.display_name });
        }
        Ok(ObjectView { id: row.id, name, user, version: row.version, fields })
    }
}

/// The further name by which an object's name is found without regard to case.
pub(super) fn name_key(name: &str) -> String {
    format!("name/{}", name.to_lowercase())
}

/// A person as sources know them.
pub(crate) fn subject(person: Person) -> Subject {
    let Person { id, fields, .. } = person;
    Subject {
        id,
        upn: fields.upn,
        display_name: fields.display_name,
        email: fields.email,
        timezone: Some(fields.timezone),
        licenses: fields.licenses,
        phones: fields.phones,
        active: fields.active,
    }
}

/// A row as sources know it.
pub(crate) fn existing(kind: ObjectKind, row: &Object) -> Existing {
    Existing { kind, id: row.id, name: row.name.clone(), document: row.document.clone() }
}
