//! Mails as administrators look at them: which there are, how each looks, and one sent to a person as a test.
//!
//! In: the name of an event type. Out: its mail with content that its source made up, in the organization's name and colours.
//! A test is an ordinary event of one person and goes through everything that other events do, but for its source's own
//! switch; its subject is marked. Nothing else changes by it, and it holds nothing of anybody.

use super::acting::EventRef;
use super::acts::Deed;
use super::fields::Faults;
use super::names::Unresolved;
use super::repeat;
use super::scope::Sight;
use crate::happenings::{TEST, TEST_LOCALE, Text};
use crate::hearing::FILES_KEPT;
use crate::intake::asker;
use crate::keys::sealed_file;
use crate::{Engine, Repeat};
use model::directory::MemberKind;
use model::policy::EmailRule;
use model::roles::{Actor, Permission};
use model::source::{Branding, Content, EventTypeDeclaration, Happening, Source, Telling};
use model::{Locale, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Change, NewFile, Person, StoreError, Whom};
use uuid::Uuid;

/// How often a test is made ready again because another process changed the settings meanwhile.
const TRIES: usize = 5;

/// A mail that there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct MailKindView {
    /// The event type.
    pub kind: &'static str,
    /// Which source it is of.
    pub source: &'static str,
    /// Whether it goes by mail only.
    pub mail_only: bool,
    /// Which permission a test needs.
    pub permission: &'static str,
}

/// A mail with made-up content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct MailPreview {
    pub kind: &'static str,
    pub locale: Locale,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Who writes, where it is not the organization's usual address.
    pub from: Option<MailSender>,
}

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct MailSender {
    pub name: String,
    pub address: String,
}

/// A request to send a test.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MailTestDraft {
    /// Who gets it: an id, an external id or a UPN.
    pub user: String,
    /// `en` or `fr`; the person's own language by default.
    #[serde(default)]
    pub locale: Option<String>,
}

/// A test that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct MailTestView {
    pub id: Uuid,
    pub kind: &'static str,
    pub user_id: Uuid,
    /// The language that was asked for; `null` for the person's own.
    pub locale: Option<Locale>,
    /// `goes`, or the reason for which no mail goes.
    pub mail: &'static str,
}

/// A mail that was found by its name.
struct Found<'e> {
    source: &'e dyn Source,
    kind: &'static EventTypeDeclaration,
    permission: Permission,
}

/// The permission that manages the settings of a source.
fn permission(source: &dyn Source) -> Permission {
    source.declaration().settings.first().map_or(Permission::SettingsManage, |setting| setting.permission)
}

impl Engine {
    /// Every mail that can be looked at.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn mails(&self, actor: &Actor) -> crate::Result<Vec<MailKindView>> {
        self.allow(actor, Permission::DirectoryRead)?;
        let (now, policy) = (self.now(), self.inner.standing.policy());
        let mut all = Vec::new();
        for source in &self.inner.sources {
            for kind in source.declaration().event_types {
                if kind.email != EmailRule::Never && source.sample(kind.name, Locale::En, &policy, now).is_some() {
                    let (mail_only, permission) = (kind.email == EmailRule::Only, permission(source.as_ref()).word());
                    all.push(MailKindView { kind: kind.name, source: source.declaration().name, mail_only, permission });
                }
            }
        }
        Ok(all)
    }

    /// How a mail looks.
    ///
    /// # Errors
    /// `forbidden`; `not_found` for what is no mail.
    pub fn preview_mail(&self, actor: &Actor, kind: &str, locale: Locale) -> crate::Result<MailPreview> {
        self.allow(actor, Permission::DirectoryRead)?;
        let found = self.mail_named(kind)?;
        let content = self.sample(&found, locale)?;
        let policy = self.inner.standing.policy();
        let words = found.source.words(&Telling {
            event: Uuid::nil(),
            kind: found.kind.name,
            content: &content,
            locale,
            private: false,
            at: self.now(),
            organization: policy.organization(&self.inner.tenant.name),
            branding: Branding::of(&policy),
        });
        let from = words.mail.from.map(|(name, address)| MailSender { name, address });
        Ok(MailPreview { kind: found.kind.name, locale, subject: words.mail.subject, text: words.mail.text, html: words.mail.html, from })
    }

    /// Sends a mail to a person as a test. When this answers, no crash loses it.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`; `not_found` for what is no mail; whose name it is not; what the store says.
    pub async fn test_mail(&self, actor: &Actor, kind: &str, draft: MailTestDraft, repeat: Option<Repeat>) -> crate::Result<MailTestView> {
        let found = self.mail_named(kind)?;
        let sight = self.allow(actor, found.permission)?;
        let locale = draft.locale.as_deref().map(language).transpose()?;
        let person = self.tested(&sight, &draft.user).await?;
        let spoken = locale.unwrap_or_else(|| Locale::from_tag(&person.fields.locale));
        let mut content = self.sample(&found, spoken)?;
        let files = self.sample_file(&found, &mut content);
        let happening =
            Happening { kind: found.kind.name, person: person.id, data: marked(content.data, locale), secret: None, mail_to: None };
        let author = asker(actor)?;
        for _ in 0..TRIES {
            // A body without a title is what the source keeps sealed.
            let sealed = content.title.is_empty() && !content.body.is_empty();
            let text = Text { title: content.title.clone(), body: content.body.clone(), sealed };
            let ready = self.ready_with(&author, &happening, text).await?;
            let view = view(&ready.event(true), locale);
            let (id, kind) = (view.id, view.kind);
            let once = repeat.as_ref().map(|repeat| repeat::kept(actor, repeat, 201, &view, format!("{}/{id}", repeat.place)));
            let deed = Deed::to("mail.test", "notification", id).about([Whom::Person(person.key)]).with("kind", kind);
            let store = self.told(actor, deed).await?;
            let change = Change { steps: Vec::new(), files: files.clone(), events: vec![ready.acceptance()], once };
            match store.change(self.tenant_key(), change).await {
                Ok(accepted) => {
                    std::iter::once(ready).zip(accepted).for_each(|(one, accepted)| self.send_off(one, accepted));
                    return Ok(view);
                }
                Err(StoreError::Stale { .. }) => self.read_policy_again().await?,
                Err(error) => return Err(crate::refusal("mail", error)),
            }
        }
        Err(Refusal::unavailable("the settings are being changed faster than the test can be checked by them; repeat it in a moment"))
    }

    /// The person who gets a test.
    async fn tested(&self, sight: &Sight, name: &str) -> crate::Result<Person> {
        let key = match self.person_named(sight, name).await? {
            Ok(named) => named.key,
            Err(Unresolved::OutOfScope) => return Err(Unresolved::OutOfScope.refusal(MemberKind::User, name)),
            Err(unresolved) => {
                let mut faults = Faults::default();
                unresolved.fault(&mut faults, "user", MemberKind::User, name);
                faults.done()?;
                return Err(Refusal::not_found("user", name));
            }
        };
        let person = self.inner.store.person(self.tenant_key(), key).await.map_err(|e| crate::refusal("user", e))?;
        person.ok_or_else(|| Refusal::not_found("user", name))
    }

    fn mail_named(&self, name: &str) -> crate::Result<Found<'_>> {
        let found = self.inner.event_type(name).filter(|(_, kind)| kind.email != EmailRule::Never);
        let (source, kind) = found.ok_or_else(|| Refusal::not_found("mail", name))?;
        Ok(Found { source, kind, permission: permission(source) })
    }

    fn sample(&self, found: &Found<'_>, locale: Locale) -> crate::Result<Content> {
        let sample = found.source.sample(found.kind.name, locale, &self.inner.standing.policy(), self.now());
        sample.ok_or_else(|| Refusal::not_found("mail", found.kind.name))
    }

    /// The made-up file of a test, if its mail has one.
    fn sample_file(&self, found: &Found<'_>, content: &mut Content) -> Vec<NewFile> {
        let id = Uuid::now_v7();
        let held = found.source.sample_file(found.kind.name, content, id);
        let file = |held: Vec<u8>| NewFile { id, content: sealed_file(&self.inner.keys, id, &held), until: self.now().plus(FILES_KEPT) };
        held.map(file).into_iter().collect()
    }
}

fn view(event: &EventRef, locale: Option<Locale>) -> MailTestView {
    MailTestView { id: event.id.unwrap_or_default(), kind: event.kind, user_id: event.user_id, locale, mail: event.mail }
}

/// The data of a test.
fn marked(data: Value, locale: Option<Locale>) -> Value {
    let mut fields = match data {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.insert(TEST.to_owned(), Value::Bool(true));
    if let Some(locale) = locale {
        fields.insert(TEST_LOCALE.to_owned(), Value::from(locale.tag()));
    }
    Value::Object(fields)
}

/// A language that mails are written in, by its subtag.
fn language(tag: &str) -> crate::Result<Locale> {
    let found = Locale::ALL.into_iter().find(|locale| locale.tag() == tag);
    found.ok_or_else(|| Refusal::field("locale", format!("{tag:?} is not a language of mails; there are en, fr")))
}
