//! The contract of a source: a family of event types with its settings, rule and words. Everything else (settings API,
//! explanation, templates) is derived from the declaration.

use crate::channel::ChannelKind;
use crate::cmdlets::CmdletDeclaration;
use crate::decision::Reason;
use crate::objects::{ObjectDeclaration, ObjectKind};
use crate::policy::{EmailRule, PolicySnapshot, SettingDeclaration};
use crate::refusal::{Fault, Refusal};
use crate::text::Locale;
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// One event type of a source.
#[derive(Clone, Copy, Debug)]
pub struct EventTypeDeclaration {
    /// Dotted lower-case name.
    pub name: &'static str,
    /// How long it is worth telling unless the caller says otherwise.
    pub expiry: Duration,
    /// When it also goes by email.
    pub email: EmailRule,
    /// Whether it stands in the inbox; email-only kinds do not.
    pub inbox: bool,
    /// Whether it is pushed.
    pub push: bool,
    /// Whether the secrets that were told the person before, by events of its source, hold no more.
    pub voids_secrets: bool,
}

/// What a source declares.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Name of the source's folder.
    pub name: &'static str,
    /// What can happen.
    pub event_types: &'static [EventTypeDeclaration],
    /// What can be set.
    pub settings: &'static [SettingDeclaration],
    /// What administrators keep for it.
    pub objects: &'static [ObjectDeclaration],
    /// What the admin shell offers of it.
    pub cmdlets: &'static [CmdletDeclaration],
}

/// What an event says, before anybody puts it in words: the author's text or the facts of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// Title, when the author wrote one.
    pub title: String,
    /// Body, when the author wrote one.
    pub body: String,
    /// Everything else, as the event type's schema says.
    pub data: Value,
}

/// An event in words of one language, for every channel to take what it can carry.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// The event.
    pub event: Uuid,
    /// Its type.
    pub kind: &'static str,
    /// In which language.
    pub locale: Locale,
    /// Whether `title` and `body` hold nothing of the content and the app has to fetch it.
    pub private: bool,
    /// What a lock screen shows first.
    pub title: String,
    /// What a lock screen shows next.
    pub body: String,
    /// The mail, when the event type ever goes by mail.
    pub mail: Mail,
}

/// A mail in one language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Subject line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML document.
    pub html: String,
    /// Who writes, where it is not the organization's usual address: name and address.
    pub from: Option<(String, String)>,
    /// Files that go with it, by their names among the event's files.
    pub files: Vec<MailFile>,
    /// A lasting word for what it is about, such as one call: mails to one person under one word are shown together. It begins
    /// with the name of the source, and only a hash of it leaves the house.
    pub thread: Option<String>,
}

/// A file that goes with a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFile {
    /// Its name for the reader.
    pub name: String,
    /// Media type (RFC 2046).
    pub media_type: String,
    /// Which of the event's files.
    pub file: Uuid,
}

/// A family of event types.
pub trait Source: Send + Sync + 'static {
    /// What it declares.
    fn declaration(&self) -> &'static Declaration;

    /// Puts one event in words of one language. `kind` is one of the declared names.
    fn words(&self, telling: &Telling<'_>) -> Words;

    /// Content that is obviously made up, for looking at the mail of an event type and for sending it as a test; `None` where
    /// there is none to show. It holds nothing of anybody, no real number and no real PIN; only what the settings say is real.
    fn sample(&self, kind: &'static str, locale: Locale, settings: &PolicySnapshot, now: Timestamp) -> Option<Content> {
        let _ = (kind, locale, settings, now);
        None
    }

    /// Puts a file into made-up content, in the place of the one that it names, and answers what the file holds; nothing where the mail
    /// has no file. A test is sent with it.
    fn sample_file(&self, kind: &'static str, content: &mut Content, file: Uuid) -> Option<Vec<u8>> {
        let _ = (kind, content, file);
        None
    }

    /// Whether the event is wanted at all, by what it says and by the settings: otherwise the reason with which every row of it is
    /// suppressed, so that `why` can tell.
    fn objection(&self, kind: &'static str, data: &Value, settings: &PolicySnapshot) -> Option<Reason> {
        let _ = (kind, data, settings);
        None
    }

    /// The same for the rows of one channel, where an objection does not hold for all of them: a policy may stop mails and
    /// leave pushes alone.
    fn objection_on(&self, channel: ChannelKind, kind: &'static str, data: &Value, settings: &PolicySnapshot) -> Option<Reason> {
        let _ = channel;
        self.objection(kind, data, settings)
    }

    /// What it was that objected ([`Source::objection_on`]), in words that stand behind the reason's sentence: which policy or setting
    /// turned it off. From what the event says and the settings of the decision, never from what holds now; `None` where the
    /// reason says it all.
    fn objector(&self, reason: Reason, data: &Value, locale: Locale) -> Option<String> {
        let _ = (reason, data, locale);
        None
    }

    /// Whether settings go together that are fine each by itself.
    ///
    /// # Errors
    /// The setting at fault, the rule and the mend.
    fn check_settings(&self, settings: &PolicySnapshot) -> Result<(), Fault> {
        let _ = settings;
        Ok(())
    }

    /// Which other objects an act has to look at, before it is ruled on.
    fn wants(&self, acting: &Acting<'_>) -> Vec<Wanted> {
        let _ = acting;
        Vec::new()
    }

    /// What an act comes to: the source's rule. Called only for declared kinds and acts, with values that were checked.
    ///
    /// # Errors
    /// What stands against it, in the words of the API.
    fn act(&self, acting: &Acting<'_>, tools: &mut dyn Tools) -> Result<Ruling, Refusal> {
        let _ = tools;
        Err(Refusal::not_found("act", acting.act))
    }

    /// Types of what integrations hear outside and bring here, such as `org.carillon.call.leg.v1`.
    fn hears(&self) -> &'static [&'static str] {
        &[]
    }

    /// Where something heard belongs.
    ///
    /// # Errors
    /// What is wrong with it, field by field.
    fn belongs(&self, kind: &str, data: &Value) -> Result<Belongs, Refusal> {
        let _ = data;
        Err(Refusal::not_found("type of event", kind))
    }

    /// Puts something heard to what was heard before.
    ///
    /// # Errors
    /// What is wrong with it; nothing was taken in.
    fn gather(&self, gathering: &Gathering<'_>) -> Result<Gathered, Refusal> {
        Err(Refusal::not_found("type of event", gathering.kind))
    }

    /// An object as it is once a secret of an event of this type did not arrive with its person; `None`: nothing is noted.
    fn undelivered(&self, kind: &'static str, object: &Existing) -> Option<Keeping> {
        let _ = (kind, object);
        None
    }

    /// What a gathering comes to, when it is due.
    fn conclude(&self, concluding: &Concluding<'_>) -> Conclusion {
        let _ = concluding;
        Conclusion::Done(Concluded::default())
    }

    /// What of a kept object is shown: everything, unless something of it is not for showing.
    fn shown(&self, kind: ObjectKind, document: &Value) -> Value {
        let _ = kind;
        document.clone()
    }
}

/// What [`Source::words`] is given.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// The event.
    pub event: Uuid,
    /// One of the declared names.
    pub kind: &'static str,
    /// What it says.
    pub content: &'a Content,
    /// In which language.
    pub locale: Locale,
    /// Push and mail carry no content.
    pub private: bool,
    /// When it was accepted.
    pub at: Timestamp,
    /// Name of the organization, as its mails show it.
    pub organization: &'a str,
    /// How its mails look.
    pub branding: Branding<'a>,
}

/// How an organization's mails look. Empty: as Carillon's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Branding<'a> {
    /// A colour as `#rrggbb`, or empty.
    pub colour: &'a str,
    /// Where the logo is, a URL of `https`, or empty.
    pub logo_url: &'a str,
}

impl Branding<'_> {
    /// From the settings `branding.colour` and `branding.logo_url`.
    pub fn of(settings: &PolicySnapshot) -> Branding<'_> {
        let text = |key: &str| settings.get(key).and_then(Value::as_str).unwrap_or_default();
        Branding { colour: text("branding.colour"), logo_url: text("branding.logo_url") }
    }
}

/// A person, as far as a source may know them.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Outside name.
    pub id: Uuid,
    /// User principal name.
    pub upn: String,
    /// For people.
    pub display_name: String,
    /// Mail address.
    pub email: Option<String>,
    /// IANA time zone, where it is known.
    pub timezone: Option<String>,
    /// Licences, as the directory has them.
    pub licenses: Vec<String>,
    /// Telephone numbers.
    pub phones: Vec<String>,
    /// Whether they belong to the organization still.
    pub active: bool,
}

/// A managed object that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Existing {
    /// Which kind.
    pub kind: ObjectKind,
    /// Outside name.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it holds.
    pub document: Value,
}

/// Another object that an act has to look at.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// The one of this kind with this id or name.
    Named(ObjectKind, String),
    /// Those of this kind that are linked to the object with this id, at most so many.
    LinkedTo(ObjectKind, Uuid, u32),
    /// The one of this kind that has this further name.
    Keyed(ObjectKind, String),
}

/// An act on a managed object, checked against its declaration: the names are the declared ones, the values as they are kept.
#[derive(Clone, Debug)]
pub struct Acting<'a> {
    /// On which kind.
    pub kind: ObjectKind,
    /// One of the declared acts.
    pub act: &'static str,
    /// The object's outside name; for a new one, the name it will have.
    pub id: Uuid,
    /// What is given. What was left out is not here; nothing is filled in.
    pub given: &'a Map<String, Value>,
    /// The object, if it is there.
    pub before: Option<&'a Existing>,
    /// The person whose object it is, for kinds that belong to people.
    pub person: Option<&'a Subject>,
    /// The organization's settings.
    pub settings: &'a PolicySnapshot,
    /// What was found for each [`Source::wants`], in its order; empty while that is being asked.
    pub found: &'a [Vec<Existing>],
    /// When.
    pub now: Timestamp,
}

/// What a source is handed for an act: chance, and secrets that can be compared later and never read.
pub trait Tools {
    /// A number below `most`, each as likely as the others; from the system's secure source.
    fn below(&mut self, most: u32) -> u32;
    /// A new outside name.
    fn id(&mut self) -> Uuid;
    /// A secret in the form in which it may be kept: Argon2id over an HMAC with the at-rest key. Slow on purpose.
    fn keep(&mut self, secret: &str) -> String;
    /// Whether a secret is the one that was kept. `subject` names what it opens: after too many wrong ones nothing is compared
    /// for a while.
    fn is(&mut self, subject: &str, secret: &str, kept: &str) -> Compared;
    /// A new secret for signing what goes to an outside system (Standard Webhooks: `whsec_` and base64 of 32 bytes), in clear
    /// and in the form in which the object with this id keeps it.
    fn signing_secret(&mut self, object: Uuid) -> (String, String);
}

/// What came of comparing a secret with the one that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It is the one.
    Same,
    /// It is another.
    Different,
    /// Nothing was compared: too many were wrong. Again after this.
    Locked(Duration),
}

/// Something that happened to one person because of an act: it becomes an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// One of the declared event types.
    pub kind: &'static str,
    /// To whom.
    pub person: Uuid,
    /// What there is to say.
    pub data: Value,
    /// The part of it that is sealed while it waits and erased once it was delivered.
    pub secret: Option<Value>,
    /// Another mail address for this once.
    pub mail_to: Option<String>,
}

/// Another object that an act makes or changes with its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    /// Which kind.
    pub kind: ObjectKind,
    /// Outside name.
    pub id: Uuid,
    /// Whether it is new.
    pub new: bool,
    /// What it is to be.
    pub keeping: Keeping,
}

/// What is kept of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keeping {
    /// Its name, unique within its kind.
    pub name: String,
    /// What it holds.
    pub document: Value,
    /// Further names that are unique within its kind, such as an extension in a dial plan.
    pub keys: Vec<String>,
    /// Objects that have to stay as long as it refers to them.
    pub links: Vec<Uuid>,
}

/// What has to be told to an outside system, and confirmed by it, before people are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Errand {
    /// Which kind of object says where the outside system is.
    pub kind: ObjectKind,
    /// That object.
    pub at: Uuid,
    /// What it is told, less secrets.
    pub data: Value,
    /// What it is told beside that; sealed while it waits.
    pub secret: Option<Value>,
}

/// What an act comes to. All of it is done in one transaction, or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ruling {
    /// What is kept of the object from now on; `None` ends it.
    pub keeping: Option<Keeping>,
    /// Other objects that go with it.
    pub others: Vec<Other>,
    /// What happened to people by it, told at once or, with an errand, when that is confirmed.
    pub happenings: Vec<Happening>,
    /// What an outside system has to confirm first.
    pub errand: Option<Errand>,
    /// Nothing is kept and nobody is told: it was only asked.
    pub asked_only: bool,
    /// Shown to the caller this once, and kept nowhere.
    pub revealed: Map<String, Value>,
    /// What the audit says of it, beside which fields were given.
    pub audited: Map<String, Value>,
    /// Sentences for the caller: what was kept without effect, what they have to do now. English and French.
    pub remarks: Vec<(String, String)>,
}

/// Where something that was heard belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Belongs {
    /// Under which names what was gathered before may stand.
    pub keys: Vec<String>,
    /// An object that has to be there, by its id or name, and the field that names it.
    pub needs: Option<(ObjectKind, String, &'static str)>,
}

/// A file that came with something heard and is kept beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile {
    /// Outside name.
    pub id: Uuid,
    /// Its name for the reader.
    pub name: String,
    /// Media type (RFC 2046).
    pub media_type: String,
}

/// Something that was heard, and what was gathered under its names before.
#[derive(Clone, Debug)]
pub struct Gathering<'a> {
    /// Type of what was heard.
    pub kind: &'a str,
    /// What was heard.
    pub data: &'a Value,
    /// The file that came with it.
    pub file: Option<&'a KeptFile>,
    /// Whether files may still come for what was heard without one.
    pub files_follow: bool,
    /// What stands under the names of [`Source::belongs`], each once, in the order of the names.
    pub before: &'a [Value],
    /// When it was heard.
    pub now: Timestamp,
}

/// What is kept of a gathering.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    /// What was gathered so far.
    pub document: Value,
    /// Names under which it is found. The first is its own; of the others it has those that are free.
    pub keys: Vec<String>,
    /// When it is to be concluded.
    pub due: Option<Timestamp>,
    /// Which of [`Gathering::before`] it goes on from; none for a new one.
    pub goes_on: Option<usize>,
    /// Which of them went up in it.
    pub took: Vec<usize>,
}

/// A gathering that is due.
#[derive(Clone, Debug)]
pub struct Concluding<'a> {
    /// What was gathered.
    pub document: &'a Value,
    /// What was found of what was sought, in its order.
    pub met: &'a [Met],
    /// The organization's settings.
    pub settings: &'a PolicySnapshot,
    /// Now.
    pub now: Timestamp,
}

/// Something that has to be looked up before a gathering can be concluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// The object of this kind with this id or name.
    Object(ObjectKind, String),
    /// The first object of this kind that is found under one of these further names.
    Keyed(ObjectKind, Vec<String>),
    /// A person, by outside name.
    Person(String),
    /// The name of the one person who has one of these telephone numbers.
    Phone(Vec<String>),
}

/// What was found; nothing where there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Met {
    /// An object.
    Object(Option<Existing>),
    /// A person.
    Person(Option<Subject>),
    /// A name.
    Name(Option<String>),
}

/// What a gathering comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Conclusion {
    /// This has to be looked up first; it is asked again with it behind what was met before.
    Seeks(Vec<Sought>),
    /// This.
    Done(Concluded),
}

/// The end of a gathering, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Concluded {
    /// What happened to people.
    pub happenings: Vec<Happening>,
    /// What is kept for pieces that come late, with its own name, until then; `None` when nothing can come any more.
    pub keeps: Option<(Value, String, Timestamp)>,
}
