//! Refusals that are about another object: what has a name already, or still refers to this. A person is called by the user
//! principal name and any other object by its own name, for an actor who may read it; of what belongs to somebody else's
//! people it is only said that there is somebody, without an id.

use super::objects::Declared;
use crate::Engine;
use model::objects::Naming;
use model::roles::Actor;
use model::{Fault, Refusal, RefusalKind};
use store::{Object, StoreError};
use uuid::Uuid;

/// What a person is called to whoever may not see them.
const SOMEBODY: &str = "somebody";

/// An object that is in the way.
struct Holder {
    row: Object,
    /// Who or what it is, within a sentence.
    words: String,
    /// Whom it belongs to, for one that belongs to a person.
    who: Option<String>,
    /// Whether the actor may know more of it.
    seen: bool,
}

impl Engine {
    async fn holder(&self, actor: &Actor, id: Uuid) -> crate::Result<Option<Holder>> {
        for declaration in self.object_declarations() {
            let kind = declaration.kind;
            let found = self.inner.store.object(self.tenant_key(), kind, id).await.map_err(|e| crate::refusal(kind.word(), e))?;
            let Some(row) = found else { continue };
            // Whoever may not read these objects at all sees none of them.
            let sight = self.allow(actor, declaration.reading).ok();
            if matches!(declaration.naming, Naming::Own { .. }) {
                let seen = sight.is_some();
                let words = if seen { format!("the {kind} {:?}", row.name) } else { format!("another {kind}") };
                return Ok(Some(Holder { words, who: None, seen, row }));
            }
            let person = match &sight {
                Some(sight) => self.subject_named(sight, &row.name).await.ok(),
                None => None,
            };
            let seen = person.is_some();
            let who = person.map_or_else(|| SOMEBODY.to_owned(), |(_, person)| person.upn);
            return Ok(Some(Holder { words: format!("{who} ({kind})"), who: Some(who), seen, row }));
        }
        Ok(None)
    }

    /// What the store has against an act, with the name of what is in the way.
    pub(super) async fn refused_for_holder(&self, actor: &Actor, declared: Declared<'_>, error: StoreError) -> Refusal {
        let kind = declared.declaration.kind;
        let by = match &error {
            StoreError::Taken { by, .. } | StoreError::InUse { by } => *by,
            _ => return super::objects::wrong(declared, error),
        };
        let holder = match self.holder(actor, by).await {
            Ok(Some(holder)) => holder,
            Ok(None) => return super::objects::wrong(declared, error),
            Err(refusal) => return refusal,
        };
        let words = &holder.words;
        match error {
            StoreError::Taken { field, .. } => Refusal {
                faults: vec![Fault { field: field.to_owned(), message: format!("{words} has this value; it must be unique") }],
                ..Refusal::new(RefusalKind::Conflict, "taken", format!("{field} is taken by {words}"))
            },
            _ => Refusal {
                ids: if holder.seen { vec![by] } else { Vec::new() },
                ..Refusal::new(RefusalKind::Conflict, "in_use", format!("the {kind} is in use by {words}; change or delete that first"))
            },
        }
    }

    /// A source's refusal for the actor's eyes. A source knows an object of a person by the person's id: where it names one that is in
    /// the way (`ids`), the sentence gets the person's name instead.
    pub(super) async fn told_by_name(&self, actor: &Actor, mut refusal: Refusal) -> Refusal {
        if refusal.code != "in_use" {
            return refusal;
        }
        for id in std::mem::take(&mut refusal.ids) {
            match self.holder(actor, id).await {
                Ok(Some(holder)) => {
                    if let Some(who) = &holder.who {
                        refusal.detail = refusal.detail.replace(&holder.row.name, who);
                    }
                    refusal.ids.extend(holder.seen.then_some(id));
                }
                Ok(None) => refusal.ids.push(id),
                Err(refusal) => return refusal,
            }
        }
        refusal
    }
}
