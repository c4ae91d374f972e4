//! Acts on their way into the audit: who acts, on what, and what changes. An operation that changes something takes its
//! handle on the store from [`Engine::told`], so that the change and its entry are one transaction.
//!
//! Refusals and readings of other people's texts change nothing; their entries are written by themselves, and not more often
//! than somebody could want to read them.

use crate::Engine;
use crate::keys;
use model::roles::{Actor, Scope};
use model::{DeviceKey, EventKey, GroupKey, PersonKey, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;
use store::{Act, By, EventRow, Shared, Thing, Whom};
use uuid::Uuid;

/// A refusal of the same operation to the same token is written once in this time, with how many there were since.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);
/// That a token reads the texts of a notification is written once in this time.
const READ_AGAIN: Duration = Duration::from_secs(3_600);
/// Refusals and readings that are remembered at once. Whoever makes more of them than that within their time is written
/// about in full, which the limits on requests bound.
const MOST: usize = 4_096;
/// Most refusals that are written in [`REFUSED_AGAIN`], of all tokens together; more are counted.
const REFUSALS_MOST: u64 = 120;

/// What was written lately.
struct Lately<K> {
    seen: Mutex<HashMap<K, (Timestamp, u64)>>,
    again: Duration,
}

impl<K: Hash + Eq> Lately<K> {
    fn new(again: Duration) -> Lately<K> {
        Lately { seen: Mutex::new(HashMap::new()), again }
    }

    /// Whether it is time to write about this again; then, how many were not written since the last.
    fn due(&self, what: K, now: Timestamp) -> Option<u64> {
        let mut seen = self.seen.lock();
        if let Some((since, unwritten)) = seen.get_mut(&what)
            && now >= *since
            && now.since(*since) < self.again
        {
            *unwritten += 1;
            return None;
        }
        if seen.len() >= MOST {
            seen.retain(|_, (since, _)| now.since(*since) < self.again);
        }
        if seen.len() >= MOST {
            seen.clear();
        }
        Some(seen.insert(what, (now, 0)).map_or(0, |(_, unwritten)| unwritten))
    }

    /// Forgets that it was written: it was not, after all.
    fn undo(&self, what: &K) {
        self.seen.lock().remove(what);
    }
}

/// What this process wrote lately about refusals and readings.
pub struct Acts {
    refused: Lately<(Uuid, String, &'static str)>,
    read: Lately<(Uuid, EventKey)>,
    /// Since when refusals are counted, how many were written, and how many were not.
    refusals: Mutex<(Timestamp, u64, u64)>,
}

impl Default for Acts {
    fn default() -> Acts {
        Acts { refused: Lately::new(REFUSED_AGAIN), read: Lately::new(READ_AGAIN), refusals: Mutex::new((Timestamp(0), 0, 0)) }
    }
}

impl Acts {
    /// Takes one of the refusals that may be written now; answers how many were not since the last window.
    fn room(&self, now: Timestamp) -> Option<u64> {
        let mut window = self.refusals.lock();
        let (since, written, unwritten) = *window;
        if now < since || now.since(since) >= REFUSED_AGAIN {
            *window = (now, 1, 0);
            return Some(unwritten);
        }
        if written >= REFUSALS_MOST {
            window.2 += 1;
            return None;
        }
        window.1 += 1;
        Some(0)
    }
}

/// Who acts, as far as the audit names it: the one place that looks into an actor for it.
enum Who {
    /// A token; `person` is whose it is, where it stands for somebody of the organization.
    Token { id: Uuid, name: String, person: Option<PersonKey> },
    /// An app on a person's device.
    Device { device: DeviceKey, owner: PersonKey },
}

fn who(actor: &Actor) -> Who {
    match actor {
        Actor::Admin { token, name, person, .. } => Who::Token { id: *token, name: name.clone(), person: person.map(|(key, _)| key) },
        Actor::Device { device, owner } => Who::Device { device: *device, owner: *owner },
    }
}

/// What is done, before it is known by whom.
#[derive(Clone)]
pub(crate) struct Deed {
    operation: Cow<'static, str>,
    object: Option<Thing>,
    people: Vec<Whom>,
    changes: Map<String, Value>,
}

impl Deed {
    /// Something without an object.
    pub fn of(operation: impl Into<Cow<'static, str>>) -> Deed {
        Deed { operation: operation.into(), object: None, people: Vec::new(), changes: Map::new() }
    }

    /// To an object that is not a person.
    pub fn to(operation: impl Into<Cow<'static, str>>, kind: &'static str, id: impl ToString) -> Deed {
        Deed { object: Some(Thing::Object(kind, id.to_string())), ..Deed::of(operation) }
    }

    /// To a person.
    pub fn to_user(operation: &'static str, whom: Whom) -> Deed {
        Deed { object: Some(Thing::User(whom)), ..Deed::of(operation) }
    }

    /// To this, where there is anything to name.
    pub fn on(self, object: Option<Thing>) -> Deed {
        Deed { object, ..self }
    }

    /// It concerns this person too.
    pub fn about(mut self, whom: impl IntoIterator<Item = Whom>) -> Deed {
        self.people.extend(whom);
        self
    }

    /// With a fact about it. It is no content, no secret and no address, and names nobody.
    pub fn with(mut self, name: &'static str, value: impl Serialize) -> Deed {
        self.changes.insert(name.into(), json!(value));
        self
    }

    /// The same with a name that is not known beforehand.
    pub fn also(mut self, name: &str, value: &Value) -> Deed {
        self.changes.insert(name.to_owned(), value.clone());
        self
    }

    /// With every field that differs between two views of the object: those in `shown` with their values before and after,
    /// of others only that they changed.
    pub fn changing(mut self, before: Option<&impl Serialize>, after: Option<&impl Serialize>, shown: &[&str]) -> Deed {
        let fields = |view: Option<Value>| match view {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let (before, after) = (fields(before.map(|view| json!(view))), fields(after.map(|view| json!(view))));
        let mut names: Vec<&String> = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))).collect();
        names.retain(|name| !matches!(name.as_str(), "id" | "version"));
        for name in names {
            let value = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or(Value::Null);
            let (old, new) = (value(&before), value(&after));
            if old != new {
                let said = if shown.contains(&name.as_str()) { json!([old, new]) } else { json!("changed") };
                self.changes.insert(name.clone(), said);
            }
        }
        self
    }
}

impl Engine {
    /// A handle on the store whose next edit is this deed: both are committed, or neither.
    ///
    /// # Errors
    /// What the store says about who acts.
    pub(crate) async fn told(&self, actor: &Actor, deed: Deed) -> crate::Result<Shared> {
        let act = self.act(actor, deed).await?;
        Ok(self.inner.store.told(self.tenant_key(), act))
    }

    /// The same for whoever holds an enrolment code, and for the server itself.
    pub(crate) fn told_by(&self, by: By, deed: Deed) -> Shared {
        let act = act(by, None, deed);
        self.inner.store.told(self.tenant_key(), act)
    }

    /// Writes down what changes nothing in the store.
    ///
    /// # Errors
    /// What the store says: then it is not written, and must not be done.
    pub(crate) async fn note(&self, actor: &Actor, deed: Deed) -> crate::Result<()> {
        let act = self.act(actor, deed).await?;
        self.inner.store.note(self.tenant_key(), act).await.map_err(|e| crate::refusal("audit", e))
    }

    /// The same for the server itself.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn note_by(&self, by: By, deed: Deed) -> crate::Result<()> {
        self.inner.store.note(self.tenant_key(), act(by, None, deed)).await.map_err(|e| crate::refusal("audit", e))
    }

    async fn act(&self, actor: &Actor, deed: Deed) -> crate::Result<Act> {
        let by = match who(actor) {
            Who::Token { id, person: Some(person), .. } => By::Person { token: id, person },
            Who::Token { id, name, person: None } => By::Token { id, name },
            Who::Device { device, owner } => {
                let row = self.inner.store.device(self.tenant_key(), device).await.map_err(|e| crate::refusal("device", e))?;
                By::Device { id: row.map_or(Uuid::nil(), |row| row.id), owner }
            }
        };
        Ok(act(by, self.scope_of(actor).await?, deed))
    }

    /// The groups within which an actor may act, by their outside names.
    async fn scope_of(&self, actor: &Actor) -> crate::Result<Option<Vec<String>>> {
        let Actor::Admin { grants, .. } = actor else { return Ok(None) };
        let mut keys: Vec<GroupKey> = Vec::new();
        for grant in grants {
            match &grant.scope {
                Scope::Everything => return Ok(None),
                Scope::Groups(groups) => keys.extend(groups.iter().filter(|key| !keys.contains(key)).copied().collect::<Vec<_>>()),
            }
        }
        let mut groups = Vec::with_capacity(keys.len());
        for key in &keys {
            let group = self.inner.store.group(self.tenant_key(), *key).await.map_err(|e| crate::refusal("group", e))?;
            groups.extend(group.map(|group| group.id.to_string()));
        }
        Ok(Some(groups))
    }

    /// Writes down that an operation was refused for want of a right, at most once a minute for each token, operation and
    /// reason. A store that fails then is told in the log: the refusal stands all the same.
    pub async fn refused(&self, actor: &Actor, operation: &str, code: &'static str) {
        let now = self.now();
        let acts = &self.inner.doorkeeper.acts;
        let token = match who(actor) {
            Who::Token { id, .. } => id,
            Who::Device { device, .. } => Uuid::from_u128(u128::from(device.0)),
        };
        let Some(unwritten) = acts.refused.due((token, operation.to_owned(), code), now) else { return };
        let Some(others) = acts.room(now) else { return };
        let mut deed = Deed::of("");
        for (name, count) in [("more", unwritten), ("moreOfOthers", others)] {
            if count > 0 {
                deed = deed.with(name, count);
            }
        }
        let noted = match self.act(actor, deed).await {
            Ok(act) => {
                let act = Act { operation: operation.to_owned().into(), outcome: code.into(), ..act };
                self.inner.store.note(self.tenant_key(), act).await.map_err(|error| error.to_string())
            }
            Err(refusal) => Err(refusal.detail),
        };
        if let Err(error) = noted {
            tracing::error!(error, operation, code, "a refusal could not be written into the audit");
        }
    }

    /// Writes down that an actor reads texts that others wrote, once an hour for each notification. Where that cannot be
    /// written the texts are not shown.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn reads_texts(&self, actor: &Actor, rows: &[&EventRow]) -> crate::Result<()> {
        let Who::Token { id: token, .. } = who(actor) else { return Ok(()) };
        let now = self.now();
        let lately = &self.inner.doorkeeper.acts.read;
        let mut fresh: Vec<&EventRow> = Vec::new();
        for row in rows {
            let foreign = row.text.is_some() && actor.author() != Some(row.actor.0) && self.may_read(actor, row).await?;
            if foreign && lately.due((token, row.key), now).is_some() {
                fresh.push(row);
            }
        }
        let deed = match fresh.as_slice() {
            [] => return Ok(()),
            [one] => Deed::to("notification.read", "notification", one.id),
            [first, .., last] => {
                Deed::of("notification.read").with("notifications", fresh.len()).with("from", first.id).with("to", last.id)
            }
        };
        let noted = self.note(actor, deed).await;
        if noted.is_err() {
            fresh.iter().for_each(|row| lately.undo(&(token, row.key)));
        }
        noted
    }
}

fn act(by: By, scope: Option<Vec<String>>, deed: Deed) -> Act {
    let Deed { operation, object, people, changes } = deed;
    Act { by, operation, object, people, scope, outcome: "done".into(), changes, seed: keys::seed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shown_fields_tell_their_values() {
        let before = json!({"id": 1, "version": 1, "active": true, "upn": "ada@example.org", "locale": "en"});
        let after = json!({"id": 1, "version": 2, "active": false, "upn": "lady@example.org", "locale": "en"});
        let deed = Deed::of("user.update").changing(Some(&before), Some(&after), &["active", "locale"]);
        assert_eq!(Value::Object(deed.changes), json!({"active": [true, false], "upn": "changed"}));
        let made = Deed::of("user.create").changing(None::<&Value>, Some(&before), &["active"]);
        assert_eq!(Value::Object(made.changes), json!({"active": [null, true], "upn": "changed", "locale": "changed"}));
    }

    #[test]
    fn a_repeated_refusal_is_written_once_a_minute_with_the_number_of_the_others() {
        let lately = Lately::new(REFUSED_AGAIN);
        assert_eq!(lately.due(1, Timestamp(0)), Some(0));
        assert_eq!((lately.due(1, Timestamp(1)), lately.due(1, Timestamp(59_999))), (None, None));
        assert_eq!(lately.due(2, Timestamp(2)), Some(0), "another one is its own");
        assert_eq!(lately.due(1, Timestamp(60_000)), Some(2));
    }

    #[test]
    fn a_flood_of_different_refusals_is_bounded_too() {
        let acts = Acts::default();
        let start = Timestamp(1_000_000);
        let written = (0..1_000).filter(|_| acts.room(start).is_some()).count() as u64;
        assert_eq!(written, REFUSALS_MOST);
        assert_eq!(acts.room(start.plus(REFUSED_AGAIN)), Some(1_000 - REFUSALS_MOST));
        for n in 0..2 * MOST {
            acts.refused.due((Uuid::from_u128(n as u128), String::new(), "forbidden"), start);
        }
        assert!(acts.refused.seen.lock().len() <= MOST);
    }

    /// Edits that somebody answers for.
    const EDITS: [&str; 24] = [
        "create_object",
        "change_object",
        "delete_object",
        "create_person",
        "update_person",
        "delete_person",
        "create_group",
        "update_group",
        "delete_group",
        "change_members",
        "create_device",
        "update_device",
        "delete_device",
        "put_registration",
        "delete_registration",
        "create_code",
        "enrol",
        "put_setting",
        "put_settings",
        "create_token",
        "revoke_token",
        "accept",
        "cancel",
        "erase_person",
    ];

    fn sources(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn no_edit_goes_past_the_audit() {
        let all = sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        assert!(all.len() > 30, "{all:?}");
        for path in all {
            let text: String = std::fs::read_to_string(&path).expect("a source").split_whitespace().collect();
            for edit in EDITS {
                let past = format!("inner.store.{edit}(");
                assert!(!text.contains(&past), "{}: take the handle for {edit} from Engine::told", path.display());
            }
        }
    }
}
