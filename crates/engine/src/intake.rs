//! Intake: takes a draft, and either refuses it whole or has it durable before it answers: event, audience, limit counts
//! and idempotency key in one transaction. A small event is decided, planned and claimed in that same transaction: that
//! is the urgent path.

use crate::addressing::{Order, Reach, Resolved, takes};
use crate::admin::acts::Deed;
use crate::admin::scope::out_of_scope;
use crate::cards::sealing_context;
use crate::deliver::Hand;
use crate::dispatch::{self, People, Planned, Reading, SMALL, Spec};
use crate::inbox::Reached;
use crate::notifications::{Extent, NotificationDraft, NotificationView, ResendOnly};
use crate::{Engine, Repeat, alarms, deliver};
use model::event::EventState;
use model::limits::Counted;
use model::roles::Actor;
use model::source::EventTypeDeclaration;
use model::{EventKey, Lane, PersonKey, Refusal, RefusalKind};
use serde_json::Value;
use std::sync::Arc;
use store::{Acceptance, Accepted, Addressed, Answer, EventRow, Lease, NewEvent, Once, PagePlan, StoreError, Text};
use uuid::Uuid;

/// The kind of event that administrators write.
const CUSTOM: &str = "custom.notification";
/// Most rows of the urgent path; more of them go through dispatch.
const URGENT_ROWS: usize = 400;

/// How often a request is checked again because another process changed the settings meanwhile.
const POLICY_TRIES: usize = 5;
/// The settings by which a request was checked do not stand any more.
const POLICY_MOVED: &str = "policy_moved";

fn policy_moves() -> Refusal {
    Refusal::unavailable("the settings are being changed faster than the request can be checked by them; repeat it in a moment")
}

/// Who asks, for the record.
pub(crate) fn asker(actor: &Actor) -> crate::Result<(Uuid, String)> {
    match (actor, actor.author()) {
        (Actor::Admin { name, .. }, Some(author)) => Ok((author, name.clone())),
        _ => Err(Refusal::forbidden("a device cannot do this; use an administrator's token")),
    }
}

impl Engine {
    /// Accepts a custom notification. When this answers, no crash loses it.
    ///
    /// # Errors
    /// Every fault of the draft; `forbidden`; `over_limit`; what the store says. Then nothing was accepted.
    pub async fn send(&self, actor: &Actor, draft: NotificationDraft, repeat: Option<Repeat>) -> crate::Result<NotificationView> {
        let started = std::time::Instant::now();
        let kind = self.custom()?;
        for _ in 0..POLICY_TRIES {
            let policy = self.inner.standing.version();
            let order = self.order(actor, &draft, kind.expiry).await?;
            match self.accept(actor, kind, (order, policy), Again::No, repeat.clone()).await {
                Err(refusal) if refusal.code == POLICY_MOVED => self.read_policy_again().await?,
                answer => {
                    let view = answer?;
                    metrics::histogram!("carillon_accept_seconds").record(started.elapsed().as_secs_f64());
                    return Ok(view);
                }
            }
        }
        Err(policy_moves())
    }

    /// Another process changed the settings by which something was about to be accepted.
    pub(crate) async fn read_policy_again(&self) -> crate::Result<()> {
        self.inner.standing.read_again(&self.inner).await.map_err(|e| crate::refusal("setting", e))
    }

    fn custom(&self) -> crate::Result<&'static EventTypeDeclaration> {
        let kind = self.inner.event_type(CUSTOM).map(|(_, kind)| kind);
        kind.ok_or_else(|| Refusal::not_found("event type", CUSTOM))
    }

    /// Sends a notification again, to its whole audience as it is now, or to part of the first one's.
    ///
    /// # Errors
    /// As [`Engine::send`]; `text_erased` when there is nothing left to send; `nobody_left` when the part is empty.
    pub async fn resend(
        &self,
        actor: &Actor,
        id: Uuid,
        only: Option<ResendOnly>,
        repeat: Option<Repeat>,
    ) -> crate::Result<NotificationView> {
        for _ in 0..POLICY_TRIES {
            let policy = self.inner.standing.version();
            let order = self.order_again(actor, id, only).await?;
            match self.accept(actor, self.custom()?, (order, policy), Again::Of(id, only), repeat.clone()).await {
                Err(refusal) if refusal.code == POLICY_MOVED => self.read_policy_again().await?,
                answer => return answer,
            }
        }
        Err(policy_moves())
    }

    /// What a repeat comes to.
    async fn order_again(&self, actor: &Actor, id: Uuid, only: Option<ResendOnly>) -> crate::Result<Order> {
        let event = self.notification_row(id).await?;
        let reach = self.may_stop_or_repeat(actor, &event).await?;
        if event.kind != self.custom()?.name {
            let detail = format!("{} tells what happened once; only notifications that somebody wrote are sent again", event.kind);
            return Err(Refusal::new(RefusalKind::Conflict, "not_repeatable", detail));
        }
        let content = crate::cards::content(&self.inner, &event).ok_or_else(|| {
            Refusal::new(RefusalKind::Conflict, "text_erased", "the text was erased (retention.days); write the notification anew")
        })?;
        let Resolved { addressed, mut audience, mut by_device_only, directory_version } =
            self.resolve_audience(&reach, event.addressed.clone()).await?;
        let wrong = |e| crate::refusal("notification", e);
        let part = match only {
            None => None,
            Some(ResendOnly::Failed) => Some(self.inner.store.failed_people(event.key).await.map_err(wrong)?),
            Some(ResendOnly::Unopened) => Some(self.inner.store.unopened_people(event.key).await.map_err(wrong)?),
        };
        if let Some(part) = part {
            if part.is_empty() {
                return Err(Refusal::new(RefusalKind::Conflict, "nobody_left", "nobody is left to send it to again"));
            }
            by_device_only &= &part;
            audience = part;
        }
        let now = self.now();
        let policy = self.inner.standing.policy();
        Ok(Order {
            title: content.title,
            body: content.body,
            urgency: event.urgency,
            mode: event.mode,
            private: event.private,
            due_at: None,
            expires_at: now.plus(event.expires_at.since(event.due_at)),
            takes: takes(&addressed, &policy),
            addressed,
            audience,
            by_device_only,
            directory_version,
            data: Value::Null,
            sealed: event.private,
        })
    }

    /// Stops a notification: what was not sent is not sent any more; open apps take it away.
    ///
    /// # Errors
    /// `forbidden`; `not_found`; `already_final` when there is nothing left to stop.
    pub async fn cancel(&self, actor: &Actor, id: Uuid) -> crate::Result<NotificationView> {
        let event = self.notification_row(id).await?;
        self.may_stop_or_repeat(actor, &event).await?;
        if event.state == EventState::Done {
            return Err(Refusal::new(RefusalKind::Conflict, "already_final", "every delivery is final; there is nothing left to stop"));
        }
        let inner = &self.inner;
        let store = self.told(actor, Deed::to("notification.cancel", "notification", id)).await?;
        store.cancel(inner.tenant_key(), event.key).await.map_err(|e| crate::refusal("notification", e))?;
        self.stopped(event.key, id);
        self.notification(actor, id).await
    }

    /// An event was cancelled in the store: after this, nothing of it starts here.
    pub(crate) fn stopped(&self, event: EventKey, id: Uuid) {
        let inner = &self.inner;
        // Behind the gate.
        inner.closed(|| inner.cancelled.write().insert(event));
        inner.planned.notify_one();
        inner.changed.notify_one();
        self.withdraw(id);
    }

    async fn may_stop_or_repeat(&self, actor: &Actor, event: &EventRow) -> crate::Result<Reach> {
        let Addressed { groups, users, devices } = &event.addressed;
        let reach = self.may_reach(actor, !groups.is_empty() || !users.is_empty(), !devices.is_empty())?;
        if self.sees_event(actor, &reach, event, Extent::Whole).await? {
            return Ok(reach);
        }
        Err(out_of_scope("the notification names somebody outside the scope of the token"))
    }

    async fn accept(
        &self,
        actor: &Actor,
        kind: &'static EventTypeDeclaration,
        (order, policy): (Order, i64),
        again: Again,
        repeat: Option<Repeat>,
    ) -> crate::Result<NotificationView> {
        let id = Uuid::now_v7();
        let (by, actor) = (actor, asker(actor)?);
        let (plan, hand) = self.small_plan(kind, &order).await?.unzip();
        let planned = plan.as_ref().map(|p| p.rows.as_slice()).unwrap_or_default();
        let mut row = self.row(id, kind, &order, &actor, again.of());
        let counts = crate::notifications::planned_counts(planned, row.recipients, plan.is_some());
        if plan.as_ref().is_some_and(|p| p.rows.iter().all(|r| r.state.is_final())) {
            row.state = EventState::Done;
        } else if plan.is_some() {
            row.state = EventState::Sending;
        }
        // The kept answer is part of the transaction; without one the answer is written while the event is on its way.
        let (kept, once) = match repeat {
            Some(repeat) => {
                let view = self.view(&row, &counts, true).await?;
                let once = once(&actor.0, repeat, &view)?;
                (Some(view), Some(once))
            }
            None => (None, None),
        };
        if let Some(plan) = &plan {
            crate::watch::planned(&plan.rows);
        }
        let acceptance = Acceptance { event: self.new_event(&row, &order), takes: order.takes.clone(), policy: Some(policy), once, plan };
        let store = self.told(by, deed(&row, again)).await?;
        let accepted = store.accept(self.inner.tenant_key(), acceptance).await;
        match &accepted {
            Ok(_) => alarms::store_works(self).await,
            Err(StoreError::Unavailable(cause)) => alarms::store_failed(self, &format!("nothing can be accepted: {cause}")),
            Err(_) => {}
        }
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(StoreError::Stale { .. }) => return Err(Refusal { code: POLICY_MOVED, ..policy_moves() }),
            Err(error) => return Err(self.not_accepted(error).await),
        };
        metrics::counter!("carillon_events_accepted_total", "kind" => kind.name).increment(1);
        tracing::debug!(event = %row.id, kind = kind.name, recipients = row.recipients, "an event was accepted");
        self.set_off(row.clone(), accepted, &order, hand.flatten());
        match kept {
            Some(view) => Ok(view),
            None => self.view(&row, &counts, true).await,
        }
    }

    /// What the store says against an event. A device that is over its limit is named by its id: it may be one of many.
    async fn not_accepted(&self, error: StoreError) -> Refusal {
        let device = match &error {
            StoreError::OverLimit { counted: Counted::DeviceSends(device), .. } => Some(*device),
            _ => None,
        };
        let mut refusal = crate::refusal("notification", error);
        if let Some(key) = device
            && let Ok(Some(device)) = self.inner.store.device(self.tenant_key(), key).await
        {
            refusal.detail = format!("the device {:?}: {}", device.fields.name, refusal.detail);
            refusal.ids = vec![device.id];
        }
        refusal
    }

    /// Puts an accepted event on its way.
    pub(crate) fn set_off(&self, mut row: EventRow, accepted: Accepted, order: &Order, hand: Option<Hand>) {
        row.key = accepted.key;
        row.inbox_seq = accepted.inbox_seq;
        let due = order.due_at.is_none();
        let planned = matches!(row.state, EventState::Sending | EventState::Done);
        if due && planned {
            self.publish_or_tell(&row, &Reached { audience: &order.audience, by_device_only: &order.by_device_only });
        }
        if !accepted.claims.is_empty() {
            self.keep_card(row);
            deliver::carry_now(self, accepted.claims, hand);
        } else if !planned {
            self.inner.accepted.notify_one();
        } else {
            self.inner.planned.notify_one();
        }
    }

    /// The whole plan of an event that is small and due now, and what it can be sent from.
    pub(crate) async fn small_plan(
        &self,
        kind: &'static EventTypeDeclaration,
        order: &Order,
    ) -> crate::Result<Option<(PagePlan, Option<Hand>)>> {
        if order.due_at.is_some() || order.audience.len() > SMALL {
            return Ok(None);
        }
        let people: Arc<[PersonKey]> = order.audience.iter().map(PersonKey).collect();
        let cursor = people.last().copied().unwrap_or_default();
        let by_device = order.by_device_only.iter().map(PersonKey).collect();
        let spec =
            Spec { kind, data: &order.data, urgency: order.urgency, expires_at: order.expires_at, devices: &order.addressed.devices };
        let planned = dispatch::rows(self, &spec, People { people, by_device }, Reading::Everything).await?;
        if planned.rows.len() > URGENT_ROWS {
            return Ok(None);
        }
        let hand = Hand::of(&planned, self.now());
        let Planned { rows, policy_version, .. } = planned;
        let lease = Lease { node: self.inner.node, until: self.now().plus(self.lease()) };
        let channels = self.inner.channels.iter().map(|c| c.kind()).collect();
        let claim = self.inner.duties.deliver.then_some((lease, channels));
        let plan = PagePlan { event: model::EventKey(0), rows, policy_version, lane: Lane::Urgent, cursor, last: true, claim };
        Ok(Some((plan, hand)))
    }

    pub(crate) fn row(
        &self,
        id: Uuid,
        kind: &EventTypeDeclaration,
        order: &Order,
        actor: &(Uuid, String),
        resend_of: Option<Uuid>,
    ) -> EventRow {
        let now = self.now();
        EventRow {
            key: model::EventKey(0),
            tenant: self.inner.tenant_key(),
            id,
            kind: kind.name.to_owned(),
            actor: actor.clone(),
            accepted_at: now,
            due_at: order.due_at.unwrap_or(now),
            expires_at: order.expires_at,
            urgency: order.urgency,
            mode: order.mode,
            private: order.private,
            state: if order.due_at.is_some() { EventState::Scheduled } else { EventState::Accepted },
            addressed: order.addressed.clone(),
            data: order.data.clone(),
            text: Some(self.text(id, order)),
            recipients: order.audience.len(),
            directory_version: order.directory_version,
            policy_version: self.inner.standing.version(),
            cursor: PersonKey(0),
            resend_of,
            inbox_seq: None,
            done_at: None,
        }
    }

    fn text(&self, id: Uuid, order: &Order) -> Text {
        if !order.sealed {
            return Text { title: order.title.clone().into_bytes(), body: order.body.clone().into_bytes(), sealed: false };
        }
        let seal = |field: &str, text: &str| self.inner.keys.seal(&sealing_context(id, field), text.as_bytes());
        Text { title: seal("title", &order.title), body: seal("body", &order.body), sealed: true }
    }

    /// Whether an event stands in the inbox: its kind does, and its source has nothing against it there.
    fn stands_in_inbox(&self, row: &EventRow) -> bool {
        let found = self.inner.event_type(&row.kind);
        let policy = self.inner.standing.policy();
        found.is_some_and(|(_, kind)| {
            kind.inbox && self.inner.terms(&policy, kind, &row.data).objection(model::ChannelKind::Inbox).is_none()
        })
    }

    pub(crate) fn new_event(&self, row: &EventRow, order: &Order) -> NewEvent {
        NewEvent {
            inbox: self.stands_in_inbox(row),
            id: row.id,
            kind: row.kind.clone(),
            actor: row.actor.clone(),
            due_at: order.due_at,
            expires_at: row.expires_at,
            urgency: row.urgency,
            mode: row.mode,
            private: row.private,
            text: row.text.clone().unwrap_or_default(),
            data: row.data.clone(),
            addressed: row.addressed.clone(),
            audience: order.audience.clone(),
            by_device_only: order.by_device_only.clone(),
            directory_version: row.directory_version,
            resend_of: row.resend_of,
        }
    }

    /// The row of a notification.
    pub(crate) async fn notification_row(&self, id: Uuid) -> crate::Result<EventRow> {
        let inner = &self.inner;
        let row = inner.store.event_by_id(inner.tenant_key(), id).await.map_err(|e| crate::refusal("notification", e))?;
        row.ok_or_else(|| Refusal::not_found("notification", &id.to_string()))
    }
}

/// Whether something is sent for the first time.
#[derive(Clone, Copy)]
enum Again {
    No,
    /// What, and which part of its audience.
    Of(Uuid, Option<ResendOnly>),
}

impl Again {
    fn of(self) -> Option<Uuid> {
        match self {
            Again::No => None,
            Again::Of(id, _) => Some(id),
        }
    }
}

/// What the audit says of a send: the numbers, and nothing of the text. Whom it names stands in the notification.
fn deed(row: &EventRow, again: Again) -> Deed {
    let operation = match again {
        Again::No => "notification.send",
        Again::Of(..) => "notification.resend",
    };
    let mut deed = Deed::to(operation, "notification", row.id).with("recipients", row.recipients);
    let named = [("groups", row.addressed.groups.len()), ("users", row.addressed.users.len()), ("devices", row.addressed.devices.len())];
    for (name, count) in named.into_iter().filter(|(_, count)| *count > 0) {
        deed = deed.with(name, count);
    }
    if let Again::Of(first, only) = again {
        let part = match only {
            None => "all",
            Some(ResendOnly::Failed) => "failed",
            Some(ResendOnly::Unopened) => "unopened",
        };
        deed = deed.with("resendOf", first).with("only", part);
    }
    if row.state == EventState::Scheduled { deed.with("dueAt", row.due_at) } else { deed }
}

/// The answer that is kept for repeats of the request, less secrets: a private text is not kept in clear.
fn once(token: &Uuid, repeat: Repeat, view: &NotificationView) -> crate::Result<Once> {
    let mut kept = view.clone();
    if kept.private {
        (kept.title, kept.body) = (None, None);
    }
    let body = serde_json::to_vec(&kept).map_err(|e| Refusal::unavailable(format!("the answer cannot be written: {e}")))?;
    let location = format!("{}/{}", repeat.place, view.id);
    let answer = Answer { request: repeat.request, status: 201, body, location };
    Ok(Once { token: *token, key: repeat.key, request: repeat.request, answer })
}
