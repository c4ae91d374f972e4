//! Cards: what workers need of an event, read once and shared: the event, its words in each language and each channel's
//! form, and for a live audience who belongs to it now.

use crate::Engine;
use crate::parts::Inner;
use model::event::AudienceMode;
use model::source::{Branding, Content, EventTypeDeclaration, MailFile, Telling, Words};
use model::{Channel, ChannelKind, EventKey, LetterFile, Locale, PersonKey, Refusal, Rendered};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use std::collections::HashMap;
use std::sync::Arc;
use store::{EventRow, Text};
use tokio::sync::OnceCell;

/// The field of an event's data in which the language of the person stands whose event it is.
pub(crate) const LOCALE: &str = "locale";
/// Cards kept at once: each is a few kilobytes. More events than this are rarely on their way together.
const MOST: usize = 4_096;
/// Stands before the subject and the title of a test, in every language that Carillon speaks.
const TEST_MARK: &str = "[Test] ";

/// One event, ready for workers.
pub struct Card {
    /// The event.
    pub event: EventRow,
    /// Its type.
    pub kind: &'static EventTypeDeclaration,
    /// 22 characters.
    pub collapse_key: String,
    /// What it says; `None` once erased.
    pub content: Option<Content>,
    /// The mail address that stands for the person's own this once.
    pub mail_to: Option<String>,
    rendered: Mutex<HashMap<(ChannelKind, Locale), Arc<Rendered>>>,
    files: OnceCell<Arc<[LetterFile]>>,
    live: Mutex<Option<(i64, Arc<RoaringBitmap>)>>,
}

/// The cards of events on their way.
#[derive(Default)]
pub struct Cards {
    cards: Mutex<HashMap<EventKey, Arc<Card>>>,
}

impl Cards {
    /// Drops cards of events that are done.
    pub fn forget(&self, events: &[EventKey]) {
        let mut cards = self.cards.lock();
        events.iter().for_each(|event| {
            cards.remove(event);
        });
    }
}

impl Engine {
    /// The card of an event.
    pub(crate) async fn card(&self, event: EventKey) -> crate::Result<Arc<Card>> {
        if let Some(card) = self.inner.cards.cards.lock().get(&event) {
            return Ok(card.clone());
        }
        let row = self.inner.store.event(self.inner.tenant_key(), event).await.map_err(|e| crate::refusal("event", e))?;
        let row = row.ok_or_else(|| Refusal::not_found("event", &event.to_string()))?;
        Ok(self.keep_card(row))
    }

    /// Makes the card of an event that was just read.
    pub(crate) fn keep_card(&self, row: EventRow) -> Arc<Card> {
        let card = Arc::new(Card::new(&self.inner, row));
        let mut cards = self.inner.cards.cards.lock();
        if cards.len() >= MOST {
            cards.clear();
        }
        cards.entry(card.event.key).or_insert(card).clone()
    }
}

impl Card {
    fn new(inner: &Inner, event: EventRow) -> Card {
        let (_, kind) = inner.event_type(&event.kind).expect("an accepted event's type is declared; upgrades keep old types");
        let content = content(inner, &event);
        let mail_to = crate::happenings::mail_to(&event.data);
        Card {
            mail_to,
            collapse_key: collapse_key(&event),
            kind,
            content,
            rendered: Mutex::default(),
            files: OnceCell::new(),
            live: Mutex::default(),
            event,
        }
    }

    /// The event in one channel's form and one language, made once. `None` once the text is erased.
    pub(crate) fn rendered(&self, inner: &Inner, channel: &dyn Channel, locale: Locale) -> Option<Arc<Rendered>> {
        let content = self.content.as_ref()?;
        let locale = crate::happenings::test_locale(&self.event.data).unwrap_or(locale);
        let key = (channel.kind(), locale);
        if let Some(ready) = self.rendered.lock().get(&key) {
            return Some(ready.clone());
        }
        let ready = Arc::new(channel.render(&self.words(inner, content, locale)?));
        self.rendered.lock().insert(key, ready.clone());
        Some(ready)
    }

    fn words(&self, inner: &Inner, content: &Content, locale: Locale) -> Option<Words> {
        let (source, kind) = inner.event_type(&self.event.kind)?;
        let policy = inner.standing.policy();
        let mut words = source.words(&Telling {
            event: self.event.id,
            kind: kind.name,
            content,
            locale,
            private: self.event.private,
            at: self.event.due_at,
            organization: policy.organization(&inner.tenant.name),
            branding: Branding::of(&policy),
        });
        if crate::happenings::is_test(&self.event.data) {
            words.title = marked(&self.event, words.title);
            words.mail.subject = marked(&self.event, words.mail.subject);
            // Not shown among the mails about the thing itself.
            words.mail.thread = None;
        }
        Some(words)
    }

    /// The files that go with the event's mail, read once. One that was forgotten is left out.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn files(&self, engine: &Engine) -> crate::Result<Arc<[LetterFile]>> {
        self.files.get_or_try_init(|| self.read_files(engine)).await.cloned()
    }

    async fn read_files(&self, engine: &Engine) -> crate::Result<Arc<[LetterFile]>> {
        let inner = &engine.inner;
        let named = self.content.as_ref().and_then(|content| self.words(inner, content, Locale::En)).map(|words| words.mail.files);
        let mut files = Vec::new();
        for MailFile { name, media_type, file } in named.unwrap_or_default() {
            let sealed = inner.store.file(inner.tenant_key(), file).await.map_err(|e| crate::refusal("file", e))?;
            match sealed.and_then(|sealed| crate::keys::opened_file(&inner.keys, file, &sealed)) {
                Some(bytes) => files.push(LetterFile { name, media_type, bytes: bytes.into() }),
                None => tracing::warn!(%file, event = %self.event.id, "a file of a mail is gone"),
            }
        }
        Ok(files.into())
    }

    /// For a live audience: whether the person belongs to it now. True for a frozen one.
    pub(crate) fn still_addressed(&self, inner: &Inner, person: PersonKey) -> bool {
        if self.event.mode == AudienceMode::Frozen || self.event.addressed.users.contains(&person) {
            return true;
        }
        if self.event.addressed.groups.is_empty() {
            return true;
        }
        let version = inner.roster.version();
        let mut live = self.live.lock();
        if live.as_ref().is_none_or(|(at, _)| *at != version) {
            let (version, people) = inner.roster.resolve(&self.event.addressed.groups);
            *live = Some((version, Arc::new(people)));
        }
        live.as_ref().is_some_and(|(_, people)| people.contains(person.0))
    }
}

fn collapse_key(row: &EventRow) -> String {
    model::event::collapse_key(row.id)
}

/// Title and body of an event for whoever may read it: the author's own, or the source's words in the language of the person
/// whose event it is. Nothing of an event that carries a secret: that goes to the person alone.
pub(crate) fn told(inner: &Inner, event: &EventRow) -> Option<(String, String)> {
    if event.text.as_ref()?.sealed && !event.private {
        return None;
    }
    let content = content(inner, event)?;
    if !content.title.is_empty() {
        return Some((marked(event, content.title), content.body));
    }
    let (source, kind) = inner.event_type(&event.kind)?;
    let policy = inner.standing.policy();
    let own = || event.data.get(LOCALE).and_then(serde_json::Value::as_str).map_or(Locale::En, Locale::from_tag);
    let locale = crate::happenings::test_locale(&event.data).unwrap_or_else(own);
    let words = source.words(&Telling {
        event: event.id,
        kind: kind.name,
        content: &content,
        locale,
        private: false,
        at: event.due_at,
        organization: policy.organization(&inner.tenant.name),
        branding: Branding::of(&policy),
    });
    Some((marked(event, words.title), words.body))
}

/// A title or a subject, with a mark where the event is a test.
fn marked(event: &EventRow, title: String) -> String {
    if crate::happenings::is_test(&event.data) { format!("{TEST_MARK}{title}") } else { title }
}

/// What an event says, unsealed.
pub(crate) fn content(inner: &Inner, event: &EventRow) -> Option<Content> {
    let text = event.text.as_ref()?;
    let part = |name: &str, bytes: &[u8]| open(inner, event, name, bytes, text);
    Some(Content { title: part("title", &text.title)?, body: part("body", &text.body)?, data: event.data.clone() })
}

fn open(inner: &Inner, event: &EventRow, name: &str, bytes: &[u8], text: &Text) -> Option<String> {
    let plain = if text.sealed { inner.keys.open(&sealing_context(event.id, name), bytes)? } else { bytes.to_vec() };
    String::from_utf8(plain).ok()
}

/// What a sealed text is bound to, so that it cannot be moved to another event or field.
pub(crate) fn sealing_context(event: uuid::Uuid, field: &str) -> String {
    format!("event/{event}/{field}")
}
