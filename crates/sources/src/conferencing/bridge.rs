//! Conferencing bridges: the numbers by which meetings are called, and where the system is that answers them.
//!
//! In: acts on a bridge. Out: what is kept of it. A bridge without an adapter is *record only*: what is set for people is
//! kept and mailed, and nobody else is told. A bridge keeps its name, and stays as long as people are on it.

use super::fields::{NAME, field, idle};
use super::{kept, text};
use model::objects::{ActDeclaration, FieldDeclaration, FieldType, Naming, Need, ObjectDeclaration, ObjectKind, Onto, same_phone};
use model::roles::Permission;
use model::source::{Acting, Compared, Existing, Keeping, Ruling, Tools, Wanted};
use model::{Refusal, RefusalKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The bridge that is used unless another is named. Every organization has it.
pub(super) const DEFAULT: &str = "Default";

/// Most numbers of one bridge.
const NUMBERS_MOST: usize = 500;
/// Most other languages of a number.
const LANGUAGES_MOST: usize = 4;
/// People who are looked at before numbers are taken from a bridge.
const LOOKED_AT: u32 = 1_000;

const NUMBER: &[FieldDeclaration] = &[
    FieldDeclaration {
        need: Need::Must,
        ..field("number", FieldType::Phone, "The number: digits, or + and digits.", "Le numéro : des chiffres, ou + et des chiffres.")
    },
    FieldDeclaration {
        default: "false",
        ..field("tollFree", FieldType::Flag, "Whether calling it is free of charge.", "L’appel est gratuit.")
    },
    field("primaryLanguage", FieldType::Language, "Language of its announcements.", "Langue de ses annonces."),
    FieldDeclaration {
        default: "[]",
        ..field(
            "secondaryLanguages",
            FieldType::List { of: &FieldType::Language, most: LANGUAGES_MOST },
            "Further languages that a caller may choose, in this order.",
            "Autres langues au choix de l’appelant, dans cet ordre.",
        )
    },
];
const NUMBERS: FieldDeclaration = FieldDeclaration {
    default: "[]",
    ..field(
        "serviceNumbers",
        FieldType::Records { fields: NUMBER, most: NUMBERS_MOST },
        "The numbers by which its meetings are called.",
        "Les numéros par lesquels on appelle ses réunions.",
    )
};
const DEFAULT_NUMBER: FieldDeclaration = field(
    "defaultServiceNumber",
    FieldType::Phone,
    "The number that people get unless another is chosen; one of serviceNumbers. People who have a number keep it.",
    "Le numéro donné aux personnes sauf autre choix ; l’un de serviceNumbers. Qui a déjà un numéro le garde.",
);
const SECRET: FieldDeclaration = field(
    "adapterSecret",
    FieldType::Text { most: 64 },
    "The key that signs what the adapter is sent (Standard Webhooks). Made with adapterUrl, shown then and never again.",
    "La clé qui signe ce que reçoit l’adaptateur (Standard Webhooks). Créée avec adapterUrl, montrée alors et jamais plus.",
);
const ADAPTER: FieldDeclaration = FieldDeclaration {
    default: "\"\"",
    ..field(
        "adapterUrl",
        FieldType::Text { most: 500 },
        "Where changes are sent to be confirmed, as signed webhooks: a URL of https, or of http on this machine. Empty: record only.",
        "Adresse à laquelle les changements sont envoyés pour confirmation, en webhooks signés : une URL https, ou http sur cette machine. \
         Vide : simple enregistrement.",
    )
};

/// The declaration.
pub(super) const BRIDGES: ObjectDeclaration = ObjectDeclaration {
    kind: ObjectKind::ConferencingBridge,
    path: "conferencing-bridges",
    tag: "Conferencing",
    naming: Naming::Own { most: super::fields::NAME_MOST },
    fields: &[
        NUMBERS,
        DEFAULT_NUMBER,
        ADAPTER,
        field("recordOnly", FieldType::Flag, "Whether there is no adapter.", "Simple enregistrement : il n’y a pas d’adaptateur."),
        SECRET,
    ],
    acts: &[
        ActDeclaration {
            name: "create",
            onto: Onto::New,
            parameters: &[
                FieldDeclaration { need: Need::Must, ..field("name", NAME, "Its name, for good.", "Son nom, définitif.") },
                NUMBERS,
                DEFAULT_NUMBER,
                ADAPTER,
            ],
            permission: Permission::ConferencingManage,
            amounts_to: None,
            help_en: "Makes a bridge.",
            help_fr: "Crée un pont.",
        },
        ActDeclaration {
            name: "change",
            onto: Onto::Existing,
            parameters: &[NUMBERS, DEFAULT_NUMBER, ADAPTER, idle("setDefault", FieldType::Flag), idle("force", FieldType::Flag)],
            permission: Permission::ConferencingManage,
            amounts_to: None,
            help_en: "Changes a bridge. The bridge named Default stays the one that is used unless another is named.",
            help_fr: "Modifie un pont. Le pont nommé Default reste celui qui sert sauf autre choix.",
        },
        ActDeclaration {
            name: "verify",
            onto: Onto::Existing,
            parameters: &[
                FieldDeclaration {
                    need: Need::Must,
                    ..field(
                        "conferenceId",
                        FieldType::Digits { least: 9, most: 9 },
                        "The conference ID that was dialled.",
                        "L’identifiant de conférence composé.",
                    )
                },
                field(
                    "pin",
                    FieldType::Digits { least: 1, most: 12 },
                    "The PIN, where the caller says to be the organizer.",
                    "Le code PIN, si l’appelant se dit organisateur.",
                ),
            ],
            permission: Permission::ConferencingVerify,
            amounts_to: None,
            help_en: "Says whether a caller may go on. In revealed, valid is whether the conference ID holds on this bridge and the PIN, where one is given, is its organizer's; organizer, with a PIN only, is whether the PIN is right; userId is whose the conference ID is, also with a wrong PIN, and is left out where it is nobody's. After five wrong PINs nothing is compared for a quarter of an hour: lockedForSeconds says for how long, and valid and organizer are false. Nothing of the bridge itself is answered.",
            help_fr: "Indique si un appelant peut continuer. Dans revealed, valid dit si l’identifiant de conférence est valable sur ce pont et si le code PIN, s’il est donné, est celui de l’organisateur ; organizer, seulement avec un code PIN, dit si ce code est le bon ; userId dit à qui est l’identifiant, même avec un code erroné, et manque s’il n’est à personne. Après cinq codes erronés, rien n’est comparé pendant un quart d’heure : lockedForSeconds dit combien de temps encore, et valid et organizer sont faux. Rien du pont lui-même n’est répondu.",
        },
        ActDeclaration {
            name: "delete",
            onto: Onto::Gone,
            parameters: &[],
            permission: Permission::ConferencingManage,
            amounts_to: None,
            help_en: "Deletes a bridge that nobody is on.",
            help_fr: "Supprime un pont dont personne ne se sert.",
        },
    ],
    reading: Permission::DirectoryRead,
    conflicts: &["default_bridge"],
    help_en: "A conferencing bridge, with the numbers by which it is called.",
    help_fr: "Un pont de conférence, avec les numéros par lesquels on l’appelle.",
};

/// One number of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceNumber {
    /// As [`FieldType::Phone`] keeps it.
    pub number: String,
    /// Whether calling it is free of charge.
    pub toll_free: bool,
    primary_language: Option<String>,
    secondary_languages: Vec<String>,
}

/// What is kept of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    service_numbers: Vec<ServiceNumber>,
    default_service_number: Option<String>,
    adapter_url: String,
    /// The key that signs what is sent to the adapter, sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter_secret: Option<String>,
}

/// A bridge, as far as people's settings need it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bridge {
    /// Outside name.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    document: Document,
}

impl Bridge {
    /// From what is kept.
    pub(super) fn of(existing: &Existing) -> Result<Bridge, Refusal> {
        Ok(Bridge { id: existing.id, name: existing.name.clone(), document: kept(existing)? })
    }

    /// The bridge with which every organization begins, record only and without numbers.
    pub(super) fn first(id: Uuid) -> (Bridge, Keeping) {
        let document = Document::default();
        let keeping = Keeping { name: DEFAULT.to_owned(), document: value(&document), ..Keeping::default() };
        (Bridge { id, name: DEFAULT.to_owned(), document }, keeping)
    }

    /// Whether somebody has to confirm what changes.
    pub(super) fn has_adapter(&self) -> bool {
        !self.document.adapter_url.is_empty()
    }

    /// One of its numbers, given with its `+` or without.
    pub(super) fn number(&self, number: &str) -> Option<&ServiceNumber> {
        self.document.service_numbers.iter().find(|known| same_phone(&known.number, number))
    }

    /// The number for people who chose none.
    pub(super) fn default_number(&self) -> Option<&str> {
        self.document.default_service_number.as_deref()
    }
}

fn value(document: &Document) -> Value {
    serde_json::to_value(document).expect("a bridge is texts, lists and switches")
}

/// Who is on the bridge, where that matters: before it goes, and before it loses numbers.
pub(super) fn wants(acting: &Acting<'_>) -> Vec<Wanted> {
    let people = |most| vec![Wanted::LinkedTo(ObjectKind::ConferencingUser, acting.id, most)];
    match acting.act {
        "delete" => people(1),
        "verify" => {
            let id = acting.given.get("conferenceId").and_then(Value::as_str).unwrap_or_default();
            vec![Wanted::Keyed(ObjectKind::ConferencingUser, super::user::key(acting.id, id))]
        }
        "change" if acting.given.contains_key("serviceNumbers") => people(LOOKED_AT),
        _ => Vec::new(),
    }
}

/// What an act on a bridge comes to.
pub(super) fn act(acting: &Acting<'_>, tools: &mut dyn Tools) -> Result<Ruling, Refusal> {
    if acting.act == "verify" {
        return Ok(verified(acting, tools));
    }
    let conflict = |code: &'static str, detail: String| Err(Refusal::new(RefusalKind::Conflict, code, detail));
    let people = acting.found.first().map(Vec::as_slice).unwrap_or_default();
    let before = acting.before.map(Bridge::of).transpose()?;
    let name = before.as_ref().map(|bridge| bridge.name.clone()).or_else(|| text(acting, "name").map(str::to_owned)).unwrap_or_default();
    if acting.act == "delete" {
        if name.eq_ignore_ascii_case(DEFAULT) {
            return conflict("default_bridge", format!("the bridge {DEFAULT} is used unless another is named; it cannot be deleted"));
        }
        if let Some(somebody) = people.first() {
            let detail = format!("the bridge {name:?} is used by {} and perhaps others; move them to another bridge first", somebody.name);
            return Err(in_use(somebody, detail));
        }
        return Ok(Ruling::default());
    }
    if name.trim().is_empty() {
        return Err(Refusal::field("name", format!("is missing; give it 1 to {} characters", super::fields::NAME_MOST)));
    }
    let had_adapter = before.as_ref().is_some_and(Bridge::has_adapter);
    let mut document = changed(before.map(|bridge| bridge.document).unwrap_or_default(), acting)?;
    still_used(&document, people)?;
    let mut revealed = Map::new();
    // A new adapter has a key of its own.
    if acting.given.contains_key("adapterUrl") {
        document.adapter_secret = None;
        if !document.adapter_url.is_empty() {
            let (secret, kept) = tools.signing_secret(acting.id);
            document.adapter_secret = Some(kept);
            revealed.insert(SECRET.name.to_owned(), secret.into());
        }
    }
    let mut ruling =
        Ruling { revealed, keeping: Some(Keeping { name, document: value(&document), ..Keeping::default() }), ..Ruling::default() };
    if acting.act == "change" && !had_adapter && !document.adapter_url.is_empty() {
        ruling.remarks.push((
            "The adapter is told what changes from now on; what was set for people before is not sent to it.".to_owned(),
            "L’adaptateur reçoit les changements à partir de maintenant ; les réglages antérieurs ne lui sont pas envoyés.".to_owned(),
        ));
    }
    Ok(ruling)
}

/// What a bridge is told that asks about a caller.
fn verified(acting: &Acting<'_>, tools: &mut dyn Tools) -> Ruling {
    let text = |field: &str| acting.given.get(field).and_then(Value::as_str);
    let person = acting.found.first().and_then(|found| found.first());
    let mut revealed = Map::new();
    let mut valid = person.is_some();
    if let Some(person) = person {
        revealed.insert("userId".to_owned(), person.name.as_str().into());
    }
    if let Some(pin) = text("pin") {
        let subject = format!("conferencing/{}/{}", acting.id, text("conferenceId").unwrap_or_default());
        let kept = person.and_then(|person| person.document.get(super::PIN_FIELD)).and_then(Value::as_str).unwrap_or_default();
        // Compared also where there is nobody, so that an answer takes as long and guesses are counted.
        let organizer = match tools.is(&subject, pin, kept) {
            Compared::Same => true,
            Compared::Different => false,
            Compared::Locked(wait) => {
                revealed.insert("lockedForSeconds".to_owned(), wait.as_secs().max(1).into());
                false
            }
        };
        revealed.insert("organizer".to_owned(), organizer.into());
        valid &= organizer;
    }
    revealed.insert("valid".to_owned(), valid.into());
    // Nothing of the bridge itself: whoever may ask this need not see where it is.
    Ruling { asked_only: true, revealed, ..Ruling::default() }
}

fn changed(mut document: Document, acting: &Acting<'_>) -> Result<Document, Refusal> {
    if let Some(numbers) = acting.given.get("serviceNumbers") {
        let wrong = |e: serde_json::Error| Refusal::field("serviceNumbers", e.to_string());
        document.service_numbers = serde_json::from_value(numbers.clone()).map_err(wrong)?;
        for (place, number) in document.service_numbers.iter().enumerate() {
            if document.service_numbers[..place].iter().any(|earlier| same_phone(&earlier.number, &number.number)) {
                return Err(Refusal::field("serviceNumbers", format!("names {} twice", number.number)));
            }
        }
        if document.service_numbers.is_empty() {
            document.default_service_number = None;
        }
    }
    if let Some(number) = text(acting, "defaultServiceNumber") {
        document.default_service_number = Some(number.to_owned());
    }
    if let Some(url) = text(acting, "adapterUrl") {
        if !url.is_empty() && !is_adapter(url) {
            let message = format!("takes https://…, or http:// with 127.0.0.1, [::1] or localhost, or \"\" for record only, not {url:?}");
            return Err(Refusal::field("adapterUrl", message));
        }
        document.adapter_url = url.to_owned();
    }
    if let Some(number) = &document.default_service_number {
        let Some(known) = document.service_numbers.iter().find(|known| same_phone(&known.number, number)) else {
            let message = format!("{number} is not among the bridge's serviceNumbers; add it there, or choose one of them");
            return Err(Refusal::field("defaultServiceNumber", message));
        };
        document.default_service_number = Some(known.number.clone());
    }
    Ok(document)
}

/// A PIN goes there, so it goes encrypted, or does not leave the machine.
fn is_adapter(url: &str) -> bool {
    let local = |rest: &str| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        ["127.0.0.1", "[::1]", "localhost"]
            .iter()
            .any(|name| host.strip_prefix(name).is_some_and(|port| port.is_empty() || port.starts_with(':')))
    };
    let well_formed = url.bytes().all(|b| b.is_ascii_graphic()) && !url.contains('@');
    well_formed && (url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()) || url.strip_prefix("http://").is_some_and(local))
}

/// No number goes that one of these people has as their own.
fn still_used(document: &Document, people: &[Existing]) -> Result<(), Refusal> {
    for person in people {
        for field in ["serviceNumber", "tollFreeServiceNumber"] {
            let number = person.document.get(field).and_then(Value::as_str);
            if let Some(number) = number.filter(|number| document.service_numbers.iter().all(|known| !same_phone(&known.number, number))) {
                let detail = format!("{number} is the number of {}; give them another number before it goes", person.name);
                return Err(in_use(person, detail));
            }
        }
    }
    Ok(())
}

fn in_use(by: &Existing, detail: String) -> Refusal {
    Refusal { ids: vec![by.id], ..Refusal::new(RefusalKind::Conflict, "in_use", detail) }
}

/// A bridge as it is shown.
pub(super) fn shown(document: &Value) -> Value {
    let mut shown = document.clone();
    let record_only = document.get("adapterUrl").and_then(Value::as_str).unwrap_or_default().is_empty();
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("recordOnly".to_owned(), record_only.into());
        let secret = fields.get(SECRET.name).filter(|secret| !secret.is_null()).map_or(Value::Null, |_| super::user::MASKED.into());
        fields.insert(SECRET.name.to_owned(), secret);
    }
    shown
}
