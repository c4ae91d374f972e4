//! What ends with a person: the objects of the sources that belong to them. An extension is free for others, a bridge is told
//! that a conference ID is dead. The person is not there any more to be told.
//!
//! Whoever deletes or erases a person ends them at once. What an import leaves behind, or a crash, is found by looking for objects whose
//! person is not there ([`run`]): when a process takes this up, and whenever somebody may have gone. So nothing has to be remembered of who
//! went, and it may be interrupted anywhere.

use super::acting::{Found, deed, steps};
use super::objects::{Declared, subject, wrong};
use super::users::TRIES;
use crate::Engine;
use crate::intake::asker;
use model::objects::{ActDeclaration, Naming, ObjectDeclaration, Onto};
use model::roles::Actor;
use model::source::Subject;
use model::{PersonKey, Refusal};
use serde_json::Map;
use std::time::Duration;
use store::{By, Change, Object, Person, StoreError};
use tokio::time::Instant;

/// Objects whose people are looked at in one go.
const PAGE: u32 = 1_000;
/// How soon it is noticed here that another process removed people.
const SHARED_NAP: Duration = Duration::from_secs(1);
/// The same where this process hears of all that goes.
const NAP: Duration = Duration::from_secs(30);
/// After this, what could not be ended is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// A directory that is edited all the time is looked through for at most one part in so many of the time.
const REST: u32 = 100;
/// Who ends what nobody asked to end, where an errand says in whose name it goes.
const SERVER: &str = "server";

/// In whose name an object ends.
#[derive(Clone, Copy)]
enum Name<'a> {
    Of(&'a Actor),
    Server,
}

/// The loop.
pub(crate) async fn run(engine: Engine) {
    let inner = &engine.inner;
    let mut bell = inner.left.bell();
    // The version of the directory of which nothing is left.
    let mut clear = None;
    loop {
        let mut nap = if inner.store.is_shared() || !inner.roster.is_loaded() { SHARED_NAP } else { NAP };
        let version = inner.roster.version();
        if inner.roster.is_loaded() && clear != Some(version) && engine.holds_role("leavers").await {
            let began = Instant::now();
            match engine.end_what_is_left().await {
                Ok(true) => clear = Some(version),
                Ok(false) => nap = AGAIN,
                Err(refusal) => {
                    tracing::warn!(%refusal, "it cannot be seen now what people who are gone have left");
                    nap = AGAIN;
                }
            }
            nap = nap.max(began.elapsed() * REST);
        }
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            () = bell.changed() => clear = None,
            () = tokio::time::sleep(nap) => {}
        }
    }
}

impl Engine {
    /// Ends every object of a person who goes, or is just gone, each with its entry in the audit.
    ///
    /// # Errors
    /// What a source or the store says.
    pub(super) async fn end_objects_of(&self, actor: &Actor, person: Person) -> crate::Result<()> {
        let key = person.key;
        let subject = subject(person);
        for (declared, act) in self.ends_with_people()? {
            if let Some(row) = self.named_object(declared, &subject.id.to_string()).await? {
                self.end_object(Name::Of(actor), (declared, act), row, Some((key, subject.clone()))).await?;
            }
        }
        Ok(())
    }

    /// Kinds of object that belong to people, each with the act that ends one.
    fn ends_with_people(&self) -> crate::Result<Vec<(Declared<'_>, &'static ActDeclaration)>> {
        let of_people = self.object_declarations().filter(|one| one.naming == Naming::Person);
        let ends = |one: &'static ObjectDeclaration| one.acts.iter().find(|act| act.onto == Onto::Gone).map(|act| (one.kind, act));
        of_people.filter_map(ends).map(|(kind, act)| Ok((self.declared_object(kind)?, act))).collect()
    }

    /// Ends the objects of people who are not in the directory. Answers whether none is left.
    async fn end_what_is_left(&self) -> crate::Result<bool> {
        let mut clear = true;
        for (declared, act) in self.ends_with_people()? {
            let kind = declared.declaration.kind;
            let mut after = Some(String::new());
            while let Some(name) = after {
                let page = self.inner.store.objects_left(self.tenant_key(), kind, &name, PAGE).await;
                let (left, last) = page.map_err(|e| wrong(declared, e))?;
                for row in left {
                    if self.inner.stop.is_cancelled() {
                        return Ok(false);
                    }
                    let id = row.id;
                    if let Err(refusal) = self.end_object(Name::Server, (declared, act), row, None).await {
                        tracing::warn!(%refusal, %kind, %id, "what somebody who is gone has left cannot be ended now");
                        clear = false;
                    }
                }
                after = last;
                // Another process may have taken over meanwhile.
                if after.is_some() && !self.holds_role("leavers").await {
                    return Ok(false);
                }
            }
        }
        Ok(clear)
    }

    /// Ends an object whose person goes or is gone, or finds it ended.
    async fn end_object(
        &self,
        name: Name<'_>,
        (declared, act): (Declared<'_>, &'static ActDeclaration),
        row: Object,
        person: Option<(PersonKey, Subject)>,
    ) -> crate::Result<()> {
        let (kind, id) = (declared.declaration.kind, row.id);
        let mut row = Some(row);
        for _ in 0..TRIES {
            let Some(at) = row else { return Ok(()) };
            if self.end_at(name, (declared, act), at, person.clone()).await? {
                return Ok(());
            }
            row = self.inner.store.object(self.tenant_key(), kind, id).await.map_err(|e| wrong(declared, e))?;
        }
        Err(Refusal::unavailable(format!("the {kind} of this person is being changed by others; repeat it in a moment")))
    }

    /// The same at the version that was read; answers whether it was still at that.
    async fn end_at(
        &self,
        name: Name<'_>,
        (declared, act): (Declared<'_>, &'static ActDeclaration),
        row: Object,
        person: Option<(PersonKey, Subject)>,
    ) -> crate::Result<bool> {
        let found = Found { id: row.id, row: Some(row), person };
        let given = Map::new();
        let mut ruling = self.ruling(declared, act, &found, &given).await?;
        ruling.happenings.clear();
        let mut steps = steps(declared, &found, &ruling);
        if let Some(errand) = &ruling.errand {
            let by = match name {
                Name::Of(actor) => asker(actor)?.1,
                Name::Server => SERVER.to_owned(),
            };
            steps.push(self.errand_step(by, found.id, errand, &[]).await?);
        }
        let deed = deed(declared, act, &found, &given, &ruling);
        let store = match name {
            Name::Of(actor) => self.told(actor, deed).await?,
            Name::Server => self.told_by(By::Server, deed),
        };
        match store.change(self.tenant_key(), Change { steps, ..Change::default() }).await {
            Ok(_) => {
                if ruling.errand.is_some() {
                    self.inner.work.notify_one();
                }
                Ok(true)
            }
            Err(StoreError::Stale { .. } | StoreError::NotFound) => Ok(false),
            Err(error) => Err(wrong(declared, error)),
        }
    }
}
