//! People, as administrators see and change them.

use super::acts::Deed;
use super::fields::{Faults, Field, check_quiet_hours};
use super::scope::{Sight, out_of_scope};
use super::{pages, repeat};
use crate::notifications::Page;
use crate::{Engine, Repeat};
use model::directory::{MemberKind, check_email, check_locale, check_name, check_phone, check_time_zone, check_upn};
use model::roles::{Actor, Permission};
use model::{PersonKey, Reason, Refusal, RefusalKind};
use serde::{Deserialize, Serialize};
use store::{Person, PersonFields, PersonFilter, StoreError, Whom};
use uuid::Uuid;

/// What a caller says about a person; a field left out stays as it is, `null` clears it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct UserDraft {
    pub external_id: Field<String>,
    pub upn: Field<String>,
    pub display_name: Field<String>,
    pub email: Field<String>,
    pub locale: Field<String>,
    pub timezone: Field<String>,
    pub licenses: Field<Vec<String>>,
    pub manager_upn: Field<String>,
    pub phones: Field<Vec<String>>,
    pub active: Field<bool>,
    pub quiet_hours: Field<String>,
}

/// Which people to list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct UserQuery {
    pub search: Option<String>,
    pub upn: Option<String>,
    pub external_id: Option<String>,
    pub active: Option<bool>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct UserView {
    pub id: Uuid,
    pub external_id: Option<String>,
    pub upn: String,
    pub display_name: String,
    pub email: Option<String>,
    pub locale: String,
    pub timezone: String,
    pub licenses: Vec<String>,
    pub manager_upn: Option<String>,
    pub phones: Vec<String>,
    pub active: bool,
    pub quiet_hours: Option<String>,
    pub version: i64,
}

impl UserView {
    fn new(id: Uuid, version: i64, fields: PersonFields, manager_upn: Option<String>) -> UserView {
        UserView {
            id,
            external_id: fields.external_id,
            upn: fields.upn,
            display_name: fields.display_name,
            email: fields.email,
            locale: fields.locale,
            timezone: fields.timezone,
            licenses: fields.licenses,
            manager_upn,
            phones: fields.phones,
            active: fields.active,
            quiet_hours: fields.quiet_hours,
            version,
        }
    }
}

impl From<Person> for UserView {
    fn from(person: Person) -> UserView {
        UserView::new(person.id, person.version, person.fields, person.manager_upn)
    }
}

/// Fields whose values the audit tells; of the others, which say who somebody is, only that they changed.
const AUDITED: [&str; 5] = ["active", "locale", "timezone", "licenses", "quietHours"];

const LIST: &str = "users";
/// Language of people of whom nothing is said.
pub const DEFAULT_LOCALE: &str = "en";
/// Time zone of people of whom nothing is said.
pub const DEFAULT_TIMEZONE: &str = "UTC";
/// Pages of 500 that a listing within a scope looks through at most; then it gives what it has, and a cursor.
const SCANS: usize = 20;
/// How often a change without `If-Match` is tried again when somebody else changes the same object.
pub(super) const TRIES: usize = 5;

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("user", error)
}

/// Puts a draft onto the fields; the manager is looked up apart.
fn apply(draft: UserDraft, into: &mut PersonFields, faults: &mut Faults) {
    faults.optional("externalId", draft.external_id, &mut into.external_id, check_name);
    faults.text("upn", draft.upn, &mut into.upn, check_upn);
    faults.text("displayName", draft.display_name, &mut into.display_name, check_name);
    faults.optional("email", draft.email, &mut into.email, check_email);
    faults.defaulted("locale", draft.locale, &mut into.locale, DEFAULT_LOCALE, check_locale);
    faults.defaulted("timezone", draft.timezone, &mut into.timezone, DEFAULT_TIMEZONE, check_time_zone);
    faults.list("licenses", draft.licenses, &mut into.licenses, check_name);
    faults.list("phones", draft.phones, &mut into.phones, check_phone);
    faults.flag("active", draft.active, &mut into.active);
    faults.optional("quietHours", draft.quiet_hours.or_empty(), &mut into.quiet_hours, check_quiet_hours);
}

impl Engine {
    /// Some people, by age of their record.
    ///
    /// # Errors
    /// `forbidden`; a wrong cursor or limit.
    pub async fn users(&self, actor: &Actor, query: UserQuery) -> crate::Result<Page<UserView>> {
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let limit = pages::limit(query.limit)?;
        let after = pages::place(LIST, query.cursor.as_deref(), |s| s.parse().ok())?.map_or_else(PersonKey::default, PersonKey);
        let filter = PersonFilter { search: query.search, upn: query.upn, external_id: query.external_id, active: query.active };
        let (rows, cut) = self.people_in_sight(&sight, filter, after, limit + 1).await?;
        let more_behind = cut.map(|key| pages::cursor(LIST, &key.to_string()));
        let mut page = pages::page(LIST, limit, rows, |p| p.key.to_string(), UserView::from);
        page.next_cursor = page.next_cursor.or(more_behind);
        Ok(page)
    }

    /// People whom the actor sees; for a scope, also how far the search got when it ended before the list did.
    async fn people_in_sight(
        &self,
        sight: &Sight,
        filter: PersonFilter,
        mut after: PersonKey,
        wanted: u32,
    ) -> crate::Result<(Vec<Person>, Option<PersonKey>)> {
        let (tenant, store) = (self.tenant_key(), &self.inner.store);
        let Sight::Part { people, .. } = sight else {
            return Ok((store.people(tenant, filter, after, wanted).await.map_err(wrong)?, None));
        };
        let mut found = Vec::new();
        for _ in 0..SCANS {
            // Straight to the next person within sight: a small scope in a large directory is not a long walk.
            let Some(next) = people.range(after.0.saturating_add(1)..).next() else { return Ok((found, None)) };
            after = PersonKey(next - 1);
            let page = store.people(tenant, filter.clone(), after, Engine::PAGE_MOST).await.map_err(wrong)?;
            let Some(last) = page.last().map(|p| p.key) else { return Ok((found, None)) };
            found.extend(page.into_iter().filter(|p| sight.person(p.key)));
            if found.len() >= wanted as usize {
                found.truncate(wanted as usize);
                return Ok((found, None));
            }
            after = last;
        }
        Ok((found, Some(after)))
    }

    /// One person.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`.
    pub async fn user(&self, actor: &Actor, id: Uuid) -> crate::Result<UserView> {
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let key = self.person_by_id(&sight, id).await?;
        Ok(self.person_row(key, id).await?.into())
    }

    pub(super) async fn person_row(&self, key: PersonKey, id: Uuid) -> crate::Result<Person> {
        let person = self.inner.store.person(self.tenant_key(), key).await.map_err(wrong)?;
        person.ok_or_else(|| Refusal::not_found("user", &id.to_string()))
    }

    /// Adds a person.
    ///
    /// # Errors
    /// `forbidden`; every wrong field; `taken`.
    pub async fn create_user(&self, actor: &Actor, mut draft: UserDraft, repeat: Option<Repeat>) -> crate::Result<UserView> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        if matches!(sight, Sight::Part { .. }) {
            return Err(out_of_scope("a new user is in no group, so outside the scope of this token"));
        }
        let mut faults = Faults::default();
        let mut fields = PersonFields { active: true, ..PersonFields::default() };
        let manager = std::mem::take(&mut draft.manager_upn);
        apply(draft, &mut fields, &mut faults);
        let manager_upn = self.set_manager(&sight, manager, None, &mut fields, &mut faults).await?;
        faults.done()?;
        let id = Uuid::now_v7();
        let view = UserView::new(id, 1, fields.clone(), manager_upn);
        let once = repeat::created(actor, repeat.as_ref(), &view, &id.to_string());
        let deed = Deed::to_user("user.create", Whom::Named(id)).changing(None::<&UserView>, Some(&view), &AUDITED);
        let person = self.told(actor, deed).await?.create_person(self.tenant_key(), id, fields, once).await.map_err(wrong)?;
        self.inner.doorkeeper.transfers.edited();
        Ok(person.into())
    }

    async fn set_manager(
        &self,
        sight: &Sight,
        field: Field<String>,
        this: Option<PersonKey>,
        fields: &mut PersonFields,
        faults: &mut Faults,
    ) -> crate::Result<Option<String>> {
        match field {
            Field::Absent => {}
            Field::Null => fields.manager = None,
            Field::Given(name) => match self.person_named(sight, &name).await? {
                Ok(named) if Some(named.key) == this => faults.add("managerUpn", "a user cannot be their own manager"),
                Ok(named) => {
                    fields.manager = Some(named.key);
                    return Ok(Some(named.name));
                }
                Err(wrong) => wrong.fault(faults, "managerUpn", MemberKind::User, &name),
            },
        }
        Ok(None)
    }

    /// Changes a person. Deactivation takes away registrations, tokens and open codes, ends what waits, and closes open
    /// streams, at once (SPEC §3).
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`; every wrong field; `taken`; `stale` when `expected` is an older version.
    pub async fn update_user(&self, actor: &Actor, id: Uuid, draft: UserDraft, expected: Option<i64>) -> crate::Result<UserView> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let key = self.person_by_id(&sight, id).await?;
        for tries in 1.. {
            let person = self.person_row(key, id).await?;
            check_expected("user", expected, person.version)?;
            let mut faults = Faults::default();
            let mut fields = person.fields.clone();
            let mut draft = draft.clone();
            let manager = std::mem::take(&mut draft.manager_upn);
            apply(draft, &mut fields, &mut faults);
            let manager_upn = self.set_manager(&sight, manager, Some(key), &mut fields, &mut faults).await?;
            faults.done()?;
            if fields == person.fields {
                return Ok(person.into());
            }
            let manager_upn = manager_upn.or_else(|| person.manager_upn.clone().filter(|_| fields.manager == person.fields.manager));
            let (old, new) = (UserView::from(person.clone()), UserView::new(id, person.version, fields.clone(), manager_upn));
            let deed = Deed::to_user("user.update", Whom::Person(key)).changing(Some(&old), Some(&new), &AUDITED);
            let store = self.told(actor, deed).await?;
            match store.update_person(self.tenant_key(), key, Some(person.version), fields).await {
                Ok(after) => {
                    self.person_changed(&person.fields, &after).await?;
                    return Ok(after.into());
                }
                Err(StoreError::Stale { .. }) if expected.is_none() && tries < TRIES => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        unreachable!("the loop ends by returning")
    }

    async fn person_changed(&self, before: &PersonFields, after: &Person) -> crate::Result<()> {
        self.inner.doorkeeper.transfers.edited();
        let tenant = self.tenant_key();
        if before.active && !after.fields.active {
            self.person_left(after.key).await?;
        } else if before.quiet_hours != after.fields.quiet_hours || before.timezone != after.fields.timezone {
            self.inner.store.end_waiting(tenant, after.key, None, None).await.map_err(wrong)?;
        }
        self.inner.planned.notify_one();
        Ok(())
    }

    /// What becomes of a person who is not active any more, beside what the store does in its transaction.
    pub(super) async fn person_left(&self, key: PersonKey) -> crate::Result<()> {
        self.inner.doorkeeper.forget_person(key);
        self.inner.streams.close_person(key);
        self.inner.store.end_waiting(self.tenant_key(), key, None, Some(Reason::PersonInactive)).await.map_err(wrong)?;
        Ok(())
    }

    /// Removes a person and the managed objects that belong to them; their devices stay and belong to nobody.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`, `stale`.
    pub async fn delete_user(&self, actor: &Actor, id: Uuid, expected: Option<i64>) -> crate::Result<()> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let key = self.person_by_id(&sight, id).await?;
        let person = self.person_row(key, id).await?;
        let store = self.told(actor, Deed::to_user("user.delete", Whom::Person(key))).await?;
        store.delete_person(self.tenant_key(), key, expected).await.map_err(wrong)?;
        if let Err(refusal) = self.end_objects_of(actor, person).await {
            tracing::warn!(%refusal, "what belonged to a person who was deleted could not all be ended; it is tried again");
            self.inner.left.notify_one();
        }
        self.inner.doorkeeper.transfers.edited();
        self.person_left(key).await?;
        self.inner.roster.changed(&self.inner).await.map_err(wrong)?;
        self.inner.planned.notify_one();
        Ok(())
    }
}

/// The caller's version against today's, before anything is looked at.
pub(super) fn check_expected(what: &str, expected: Option<i64>, current: i64) -> crate::Result<()> {
    match expected {
        Some(expected) if expected != current => Err(crate::refusal(what, StoreError::Stale { current })),
        _ => Ok(()),
    }
}

/// There may be only so many; the caller says which.
pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Conflict, code, detail)
}
