//! What ends with a person: the objects of the sources that belong to them. An extension is free for others, a bridge is told
//! that a conference ID is dead. The person is not there any more to be told.

use super::acting::Found;
use super::objects::subject;
use super::users::TRIES;
use crate::Engine;
use model::objects::{Naming, ObjectDeclaration, Onto};
use model::roles::Actor;
use model::source::Subject;
use model::{Locale, PersonKey, Refusal};
use serde_json::Map;
use store::Person;

impl Engine {
    /// Ends every object of a person who goes, or is just gone, each with its entry in the audit.
    ///
    /// # Errors
    /// What a source or the store says.
    pub(super) async fn end_objects_of(&self, actor: &Actor, person: Person) -> crate::Result<()> {
        let key = person.key;
        let subject = subject(person);
        let declarations: Vec<_> = self.object_declarations().filter(|one| one.naming == Naming::Person).collect();
        for declaration in declarations {
            self.end_object_of(actor, declaration, key, &subject).await?;
        }
        Ok(())
    }

    async fn end_object_of(
        &self,
        actor: &Actor,
        declaration: &'static ObjectDeclaration,
        key: PersonKey,
        subject: &Subject,
    ) -> crate::Result<()> {
        let declared = self.declared_object(declaration.kind)?;
        let Some(act) = declaration.acts.iter().find(|act| act.onto == Onto::Gone) else { return Ok(()) };
        for _ in 0..TRIES {
            let Some(row) = self.named_object(declared, &subject.id.to_string()).await? else { return Ok(()) };
            let found = Found { id: row.id, row: Some(row), person: Some((key, subject.clone())) };
            let given = Map::new();
            let mut ruling = self.ruling(declared, act, &found, &given).await?;
            ruling.happenings.clear();
            if self.done(actor, (declared, act), found, &given, (ruling, Locale::default()), (None, None, false)).await?.is_some() {
                return Ok(());
            }
        }
        Err(Refusal::unavailable(format!("the {} of this person is being changed by others; repeat it in a moment", declaration.kind)))
    }
}
