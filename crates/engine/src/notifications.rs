//! Custom notifications as administrators see them: what they ask for, and what they are shown. The operations stand in
//! `intake` (send, resend, cancel), `reach` and `explain`; reading stands here.

use crate::Engine;
use crate::addressing::Reach;
use crate::admin::scope::Sight;
use crate::inbox::{number_cursor, page_limit};
use model::event::{AudienceMode, EventState};
use model::roles::{Actor, Permission};
use model::{ChannelKind, DeliveryId, EventKey, PersonKey, Reason, Refusal, State, Timestamp, Urgency};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use store::{Addressed, Count, Counts, DeliveryFilter, EventRow, PlannedRow};
use uuid::Uuid;

/// A request to send: whom, what, how. Names are ids, external ids, UPNs or unique names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationDraft {
    /// Title, 1–50 characters.
    #[serde(default)]
    pub title: String,
    /// Body, 1–500 characters.
    #[serde(default)]
    pub body: String,
    /// Groups, directly; at most 25 by default.
    #[serde(default)]
    pub groups: Vec<String>,
    /// People, directly; at most 100 by default.
    #[serde(default)]
    pub users: Vec<String>,
    /// Devices, directly.
    #[serde(default)]
    pub devices: Vec<String>,
    /// `very-low`, `low`, `normal` (default) or `high`.
    #[serde(default)]
    pub urgency: Option<String>,
    /// When to begin, RFC 3339; at once by default.
    #[serde(default)]
    pub at: Option<String>,
    /// How long it is worth telling, from `at`: `90m`, `2h`, `3d`.
    #[serde(default)]
    pub expires_in: Option<String>,
    /// Until when it is worth telling, RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// Push carries no content.
    #[serde(default)]
    pub private: bool,
    /// `frozen` (default) or `live`.
    #[serde(default)]
    pub audience: Option<String>,
}

/// An object and how people know it.
#[derive(Clone, Debug, Serialize)]
pub struct NameView {
    /// Outside name.
    pub id: Option<Uuid>,
    /// For people.
    pub name: String,
}

/// Whom a notification names.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AddressedView {
    /// Groups.
    pub groups: Vec<NameView>,
    /// People.
    pub users: Vec<NameView>,
    /// Devices.
    pub devices: Vec<NameView>,
}

/// Numbers of a notification. `accepted` is the provider's word, not proof of delivery; receipts are counted by person.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct CountsView {
    pub recipients: u64,
    pub planned: u64,
    pub deliveries: u64,
    pub scheduled: u64,
    pub held: u64,
    pub accepted: u64,
    pub suppressed: u64,
    pub rejected: u64,
    pub gone: u64,
    pub expired: u64,
    pub cancelled: u64,
    pub received: u64,
    pub shown: u64,
    pub opened: u64,
    pub dismissed: u64,
}

/// A notification.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct NotificationView {
    pub id: Uuid,
    pub event_id: Uuid,
    pub kind: String,
    /// `null` once erased, or for a caller who may not read texts.
    pub title: Option<String>,
    pub body: Option<String>,
    pub private: bool,
    pub urgency: Urgency,
    pub audience_mode: AudienceMode,
    pub created_at: Timestamp,
    pub due_at: Timestamp,
    pub expires_at: Timestamp,
    pub state: EventState,
    pub sender: String,
    pub addressed: AddressedView,
    pub resend_of: Option<Uuid>,
    pub counts: CountsView,
    pub done_at: Option<Timestamp>,
    /// What the author should know (SPEC §4).
    pub warnings: Vec<String>,
}

/// One delivery in a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct DeliveryView {
    /// The id under which it travels.
    pub id: Uuid,
    pub user_id: Option<Uuid>,
    pub upn: Option<String>,
    pub channel: ChannelKind,
    pub device_id: Option<Uuid>,
    pub device_name: Option<String>,
    pub state: State,
    pub reason_code: Option<Reason>,
    pub attempts: usize,
    pub due: Option<Timestamp>,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeliveryQuery {
    /// Only in this state.
    pub state: Option<State>,
    /// Only on this channel.
    pub channel: Option<ChannelKind>,
    /// Only for this reason.
    pub reason: Option<Reason>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// How many, 1–500.
    pub limit: Option<u32>,
}

/// Which notifications to list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationQuery {
    /// Only of this type of event.
    pub kind: Option<String>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// How many, 1–500.
    pub limit: Option<u32>,
}

/// A page of a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on; `null` at the end.
    pub next_cursor: Option<String>,
}

/// Which part of a resend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResendOnly {
    /// People for whom something failed and nothing was accepted.
    Failed,
    /// People who have it and did not open it.
    Unopened,
}

impl Engine {
    /// The most that a list gives at once.
    pub const PAGE_MOST: u32 = 500;
    /// What a list gives unless asked otherwise.
    pub const PAGE_USUAL: u32 = 50;
}

/// How much of what an event names has to lie within a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Some: enough to see it.
    Part,
    /// All: needed to stop it or to send it again.
    Whole,
}

/// Numbers of an event that is accepted together with its plan.
pub(crate) fn planned_counts(rows: &[PlannedRow], recipients: u64, whole: bool) -> Counts {
    let mut totals: BTreeMap<(ChannelKind, State, Reason), (u64, HashSet<PersonKey>)> = BTreeMap::new();
    let mut reached = HashSet::new();
    for row in rows {
        let (rows, people) = totals.entry((row.channel, row.state, row.reason)).or_default();
        *rows += 1;
        people.insert(row.person);
        if !row.state.is_final() {
            reached.insert(row.person);
        }
    }
    let count = |((channel, state, reason), (rows, people)): (_, (u64, HashSet<PersonKey>))| Count {
        channel,
        state,
        reason,
        rows,
        planned: rows,
        people: people.len() as u64,
    };
    Counts {
        deliveries: totals.into_iter().map(count).collect(),
        receipts: [0; 4],
        planned_people: if whole { recipients } else { 0 },
        reached_people: reached.len() as u64,
    }
}

impl CountsView {
    pub(crate) fn of(counts: &Counts, recipients: u64) -> CountsView {
        let [received, shown, opened, dismissed] = counts.receipts;
        let state = |state: State| counts.deliveries.iter().filter(|c| c.state == state).map(|c| c.rows).sum();
        CountsView {
            recipients,
            planned: counts.planned_people,
            deliveries: counts.deliveries.iter().map(|c| c.rows).sum(),
            scheduled: state(State::Scheduled),
            held: state(State::Held),
            accepted: state(State::Accepted),
            suppressed: state(State::Suppressed),
            rejected: state(State::Rejected),
            gone: state(State::Gone),
            expired: state(State::Expired),
            cancelled: state(State::Cancelled),
            received,
            shown,
            opened,
            dismissed,
        }
    }
}

/// What the author of a custom notification should know (SPEC §4).
const WARNINGS: [&str; 3] = [
    "It passes through third parties (Apple, Google, Microsoft, mail relays) and may appear on lock screens.",
    "Other apps on Android devices may read it; write nothing sensitive, or mark it private.",
    "Delivery is not guaranteed and may be late or never; do not use it for anything urgent.",
];

impl Engine {
    /// One notification.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn notification(&self, actor: &Actor, id: Uuid) -> crate::Result<NotificationView> {
        let row = self.visible_row(actor, id).await?;
        self.reads_texts(actor, &[&row]).await?;
        let counts = self.counts_of(&row).await?;
        self.view(&row, &counts, self.may_read(actor, &row).await?).await
    }

    /// Notifications, newest first.
    ///
    /// # Errors
    /// `forbidden`; a wrong kind, cursor or limit.
    pub async fn notifications(&self, actor: &Actor, query: NotificationQuery) -> crate::Result<Page<NotificationView>> {
        let reach = Reach::alike(self.allow(actor, Permission::DirectoryRead)?);
        let limit = page_limit(query.limit)?;
        let kind = query.kind.map(|kind| self.known_kind(kind)).transpose()?;
        let before = query.cursor.as_deref().map(number_cursor::<i64>).transpose()?.map(EventKey);
        let inner = &self.inner;
        let rows = inner.store.events(inner.tenant_key(), kind, before, limit + 1).await.map_err(|e| crate::refusal("notification", e))?;
        let more = rows.len() > limit as usize;
        let mut seen = Vec::new();
        for row in rows.iter().take(limit as usize) {
            if self.sees_event(actor, &reach, row, Extent::Part).await? {
                seen.push(row);
            }
        }
        self.reads_texts(actor, &seen).await?;
        let mut items = Vec::with_capacity(seen.len());
        for row in seen {
            let counts = self.counts_of(row).await?;
            items.push(self.view(row, &counts, self.may_read(actor, row).await?).await?);
        }
        let next_cursor = rows.get(limit as usize - 1).filter(|_| more).map(|row| row.key.to_string());
        Ok(Page { items, next_cursor })
    }

    fn known_kind(&self, kind: String) -> crate::Result<String> {
        if self.inner.event_type(&kind).is_some() {
            return Ok(kind);
        }
        let known: Vec<&str> = self.inner.sources.iter().flat_map(|source| source.declaration().event_types).map(|one| one.name).collect();
        Err(Refusal::field("kind", format!("takes one of {}, not {kind:?}", known.join(", "))))
    }

    /// Deliveries of a notification.
    ///
    /// # Errors
    /// As [`Engine::notifications`].
    pub async fn deliveries(&self, actor: &Actor, id: Uuid, query: DeliveryQuery) -> crate::Result<Page<DeliveryView>> {
        let limit = page_limit(query.limit)?;
        let row = self.visible_row(actor, id).await?;
        // A notification may also have gone to people whom the actor does not see: their deliveries are left out.
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let after = query.cursor.as_deref().map(|c| delivery_cursor(row.key, c)).transpose()?;
        let filter = DeliveryFilter { state: query.state, channel: query.channel, reason: query.reason };
        let inner = &self.inner;
        let wrong = |e| crate::refusal("delivery", e);
        let records = inner.store.deliveries(row.key, filter, after, limit + 1).await.map_err(wrong)?;
        let more = records.len() > limit as usize;
        let mut items = Vec::new();
        for record in records.iter().take(limit as usize) {
            if !sight.person(record.id.person) {
                continue;
            }
            let person = inner.store.person(inner.tenant_key(), record.id.person).await.map_err(wrong)?;
            let device = match record.device {
                Some(key) => inner.store.device(inner.tenant_key(), key).await.map_err(wrong)?,
                None => None,
            };
            items.push(DeliveryView {
                id: record.id.wire().uuid(),
                user_id: person.as_ref().map(|p| p.id),
                upn: person.map(|p| p.fields.upn),
                channel: record.channel,
                device_id: device.as_ref().map(|d| d.id),
                device_name: device.map(|d| d.fields.name),
                state: record.state,
                reason_code: Some(record.reason).filter(|r| *r != Reason::None),
                attempts: record.attempts.len(),
                due: (!record.state.is_final()).then_some(record.due),
            });
        }
        let last = records.get(limit as usize - 1).filter(|_| more);
        let next_cursor = last.map(|r| format!("{}.{}", r.id.person, r.id.seq));
        Ok(Page { items, next_cursor })
    }

    pub(crate) async fn visible_row(&self, actor: &Actor, id: Uuid) -> crate::Result<EventRow> {
        let reach = Reach::alike(self.allow(actor, Permission::DirectoryRead)?);
        let row = self.notification_row(id).await?;
        if self.sees_event(actor, &reach, &row, Extent::Part).await? {
            Ok(row)
        } else {
            Err(Refusal::not_found("notification", &id.to_string()))
        }
    }

    /// Whether an event lies within the actor's scope: one's own always; else some of what it names, or all of it.
    pub(crate) async fn sees_event(&self, actor: &Actor, reach: &Reach, row: &EventRow, extent: Extent) -> crate::Result<bool> {
        let own = actor.author() == Some(row.actor.0);
        if own || matches!((&reach.many, &reach.devices), (Sight::Everything, Sight::Everything)) {
            return Ok(true);
        }
        let Addressed { groups, users, devices } = &row.addressed;
        let owners = match devices.as_slice() {
            [] => Vec::new(),
            _ => self.inner.store.owners_of(self.inner.tenant_key(), devices.clone()).await.map_err(|e| crate::refusal("device", e))?,
        };
        let mut seen =
            groups.iter().map(|g| reach.many.group(*g)).chain(users.iter().map(|p| reach.many.person(*p))).collect::<Vec<bool>>();
        for (device, owner) in owners {
            seen.push(self.sees_device(&reach.devices, device, owner).await?);
        }
        Ok(match extent {
            Extent::Part => seen.contains(&true),
            Extent::Whole => !seen.contains(&false),
        })
    }

    /// Whether the actor may read the text: with `Content/Read` what lies in that right's own scope, with `Content/ReadOwn`
    /// the actor's own sends.
    pub(crate) async fn may_read(&self, actor: &Actor, row: &EventRow) -> crate::Result<bool> {
        if actor.author() == Some(row.actor.0) && (actor.may(Permission::ContentReadOwn) || actor.may(Permission::ContentRead)) {
            return Ok(true);
        }
        match self.allow(actor, Permission::ContentRead) {
            Ok(sight) => self.sees_event(actor, &Reach::alike(sight), row, Extent::Part).await,
            Err(_) => Ok(false),
        }
    }

    pub(crate) async fn counts_of(&self, row: &EventRow) -> crate::Result<Counts> {
        self.inner.store.counts(row.key).await.map_err(|e| crate::refusal("notification", e))
    }

    /// An event as administrators see it; its text only where `readable`.
    pub(crate) async fn view(&self, row: &EventRow, counts: &Counts, readable: bool) -> crate::Result<NotificationView> {
        let (title, body) = crate::cards::told(&self.inner, row).filter(|_| readable).unzip();
        Ok(NotificationView {
            id: row.id,
            event_id: row.id,
            kind: row.kind.clone(),
            title,
            body,
            private: row.private,
            urgency: row.urgency,
            audience_mode: row.mode,
            created_at: row.accepted_at,
            due_at: row.due_at,
            expires_at: row.expires_at,
            state: row.state,
            sender: row.actor.1.clone(),
            addressed: self.addressed_view(&row.addressed).await?,
            resend_of: row.resend_of,
            counts: CountsView::of(counts, row.recipients),
            done_at: row.done_at,
            warnings: WARNINGS.iter().map(|w| (*w).to_owned()).collect(),
        })
    }

    async fn addressed_view(&self, addressed: &Addressed) -> crate::Result<AddressedView> {
        let (store, tenant) = (&self.inner.store, self.inner.tenant_key());
        let wrong = |e| crate::refusal("object", e);
        let gone = |what: &str| NameView { id: None, name: format!("(a {what} that no longer exists)") };
        let mut view = AddressedView::default();
        for key in &addressed.groups {
            let group = store.group(tenant, *key).await.map_err(wrong)?;
            view.groups.push(group.map_or_else(|| gone("group"), |g| NameView { id: Some(g.id), name: g.fields.name }));
        }
        for key in &addressed.users {
            let person = store.person(tenant, *key).await.map_err(wrong)?;
            view.users.push(person.map_or_else(|| gone("person"), |p| NameView { id: Some(p.id), name: p.fields.upn }));
        }
        for key in &addressed.devices {
            let device = store.device(tenant, *key).await.map_err(wrong)?;
            view.devices.push(device.map_or_else(|| gone("device"), |d| NameView { id: Some(d.id), name: d.fields.name }));
        }
        Ok(view)
    }
}

fn delivery_cursor(event: EventKey, cursor: &str) -> crate::Result<DeliveryId> {
    let (person, seq) = cursor.split_once('.').unwrap_or((cursor, "0"));
    Ok(DeliveryId { event, person: PersonKey(number_cursor(person)?), seq: number_cursor(seq)? })
}
