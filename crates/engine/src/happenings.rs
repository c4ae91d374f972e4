//! What happens to one person because of an act or of something outside: it becomes an event of the person's own, planned
//! whole before it is accepted, so that whoever changes an object can accept it in the same transaction.

use crate::Engine;
use crate::addressing::Order;
use crate::admin::acting::EventRef;
use crate::admin::scope::Sight;
use crate::cards::LOCALE;
use crate::deliver::Hand;
use model::directory::MemberKind;
use model::event::{AudienceMode, EventState};
use model::source::Happening;
use model::{ChannelKind, Locale, Refusal, State, Urgency};
use roaring::RoaringBitmap;
use serde_json::Value;
use store::{Acceptance, Accepted, Addressed, EventRow, PagePlan};
use uuid::Uuid;

/// The field of an event's data under which another mail address stands for this once.
pub(crate) const MAIL_TO: &str = "mailTo";

/// The mail address that an event names for this once.
pub(crate) fn mail_to(data: &Value) -> Option<String> {
    data.get(MAIL_TO)?.as_str().map(str::to_owned)
}

/// The field of an event's data that says that it is a test of a mail, with content that is made up. No source asks for it.
pub(crate) const TEST: &str = "test";
/// The field under which a test names its language, where that is not the person's.
pub(crate) const TEST_LOCALE: &str = "testLocale";

/// Whether an event is a test of a mail.
pub(crate) fn is_test(data: &Value) -> bool {
    data.get(TEST).and_then(Value::as_bool).unwrap_or(false)
}

/// The language of a test, where it is not the person's.
pub(crate) fn test_locale(data: &Value) -> Option<Locale> {
    let tag = data.get(TEST_LOCALE).filter(|_| is_test(data))?.as_str()?;
    Locale::ALL.into_iter().find(|locale| locale.tag() == tag)
}

/// The text of an event beside its data.
pub(crate) struct Text {
    /// Title, when its author wrote one.
    pub title: String,
    /// Body, or what is secret of it.
    pub body: String,
    /// Kept sealed.
    pub sealed: bool,
}

/// An event that is ready to be accepted.
pub(crate) struct Ready {
    kind: &'static str,
    person: Uuid,
    row: EventRow,
    order: Order,
    acceptance: Acceptance,
    hand: Option<Hand>,
}

impl Ready {
    /// What is said of it to whoever caused it; its outside name only where it is accepted.
    pub fn event(&self, accepted: bool) -> EventRef {
        let plan = self.acceptance.plan.as_ref();
        let row = plan.and_then(|plan| plan.rows.iter().find(|row| row.channel == ChannelKind::Email));
        let mail = match row {
            Some(row) if row.state == State::Suppressed => row.reason.word(),
            Some(_) => "goes",
            None if plan.is_some() => "none",
            None => "goes",
        };
        EventRef { id: accepted.then_some(self.row.id), kind: self.kind, user_id: self.person, mail }
    }

    /// Its outside name, once it is accepted.
    pub fn id(&self) -> Uuid {
        self.row.id
    }

    /// Its type.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// To whom.
    pub fn person(&self) -> Uuid {
        self.person
    }

    /// Whether it carries a secret that is to be mailed.
    pub fn is_secret(&self) -> bool {
        self.order.sealed && !is_test(&self.order.data)
    }

    /// What is to be accepted.
    pub fn acceptance(&self) -> Acceptance {
        self.acceptance.clone()
    }
}

impl Engine {
    /// Makes an event of what happens to one person, in the name of its author.
    ///
    /// # Errors
    /// `not_found` for a person who is gone; what the store says.
    pub(crate) async fn ready_for_one(&self, author: &(Uuid, String), happening: &Happening) -> crate::Result<Ready> {
        let body = happening.secret.as_ref().map(Value::to_string).unwrap_or_default();
        self.ready_with(author, happening, Text { title: String::new(), body, sealed: happening.secret.is_some() }).await
    }

    /// The same with a text.
    ///
    /// # Errors
    /// As [`Engine::ready_for_one`].
    pub(crate) async fn ready_with(&self, author: &(Uuid, String), happening: &Happening, text: Text) -> crate::Result<Ready> {
        let (_, kind) = self.inner.event_type(happening.kind).ok_or_else(|| Refusal::not_found("event type", happening.kind))?;
        let name = happening.person.to_string();
        let person = self.person_named(&Sight::Everything, &name).await?;
        let person = person.map_err(|unresolved| unresolved.refusal(MemberKind::User, &name))?.key;
        let policy = self.inner.standing.version();
        let mut data = happening.data.clone();
        if let (Some(address), Some(fields)) = (&happening.mail_to, data.as_object_mut()) {
            fields.insert(MAIL_TO.to_owned(), Value::from(address.as_str()));
        }
        let own = self.inner.store.person(self.tenant_key(), person).await.map_err(|e| crate::refusal("user", e))?;
        if let (Some(own), Some(fields)) = (own, data.as_object_mut()) {
            fields.insert(LOCALE.to_owned(), own.fields.locale.into());
        }
        let roster = self.directory_as_it_is().await?;
        let order = Order {
            title: text.title,
            body: text.body,
            urgency: Urgency::Normal,
            mode: AudienceMode::Frozen,
            private: false,
            due_at: None,
            expires_at: self.now().plus(kind.expiry),
            addressed: Addressed { groups: Vec::new(), users: vec![person], devices: Vec::new() },
            audience: RoaringBitmap::from([person.0]),
            by_device_only: RoaringBitmap::new(),
            directory_version: roster,
            takes: Vec::new(),
            data,
            sealed: text.sealed,
        };
        let (plan, hand): (Option<PagePlan>, Option<Option<Hand>>) = self.small_plan(kind, &order).await?.unzip();
        let mut row = self.row(Uuid::now_v7(), kind, &order, author, None);
        row.state = match &plan {
            None => EventState::Accepted,
            Some(plan) if plan.rows.iter().all(|row| row.state.is_final()) => EventState::Done,
            Some(_) => EventState::Sending,
        };
        let event = self.new_event(&row, &order);
        let acceptance = Acceptance { event, takes: Vec::new(), policy: Some(policy), once: None, plan };
        Ok(Ready { kind: kind.name, person: happening.person, row, order, acceptance, hand: hand.flatten() })
    }

    /// Puts an event on its way that was accepted.
    pub(crate) fn send_off(&self, ready: Ready, accepted: Accepted) {
        let Ready { row, order, acceptance, hand, kind, .. } = ready;
        if let Some(plan) = &acceptance.plan {
            crate::watch::planned(&plan.rows);
        }
        metrics::counter!("carillon_events_accepted_total", "kind" => kind).increment(1);
        self.set_off(row, accepted, &order, hand);
    }
}
