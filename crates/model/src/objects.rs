//! Managed objects: what administrators keep beside the directory (roles, bridges, dial plans), as their sources declare
//! them. A declaration says which fields an object has and which acts change it; the API, the shell, the descriptions and
//! the checks are derived from it. What an act comes to is the source's own rule ([`crate::source::Source::act`]).

use crate::Locale;
use crate::roles::Permission;
use crate::words;
use serde_json::Value;
use std::fmt;

words! {
    /// What a managed object is.
    ObjectKind {
        /// A role of the organization's own.
        Role = 1 "role",
        /// Who holds a role, and where.
        RoleAssignment = 2 "role assignment",
        /// A conferencing bridge, with the numbers by which it is called.
        ConferencingBridge = 3 "conferencing bridge",
        /// One person's conferencing settings.
        ConferencingUser = 4 "conferencing user",
        /// Extensions of a telephone system.
        DialPlan = 5 "dial plan",
        /// What holds for the mailboxes that are linked to it.
        MailboxPolicy = 6 "mailbox policy",
        /// One person's extension and voice mail.
        Mailbox = 7 "mailbox",
        /// Something that is not finished yet: a call that goes on, a change that another system has to confirm, a bulk act. No
        /// source declares it, and nobody is shown it.
        Work = 8 "work",
    }
}

impl ObjectKind {
    /// What it is called, in a language.
    pub fn said(self, locale: Locale) -> &'static str {
        match (locale, self) {
            (Locale::En, kind) => kind.word(),
            (Locale::Fr, ObjectKind::Role) => "rôle",
            (Locale::Fr, ObjectKind::RoleAssignment) => "attribution de rôle",
            (Locale::Fr, ObjectKind::ConferencingBridge) => "pont de conférence",
            (Locale::Fr, ObjectKind::ConferencingUser) => "réglages d’audioconférence",
            (Locale::Fr, ObjectKind::DialPlan) => "plan de numérotation",
            (Locale::Fr, ObjectKind::MailboxPolicy) => "stratégie de boîte vocale",
            (Locale::Fr, ObjectKind::Mailbox) => "boîte vocale",
            (Locale::Fr, ObjectKind::Work) => "travail",
        }
    }
}

/// What values a field takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldType {
    /// Text of one line, up to so many characters.
    Text {
        /// Most characters.
        most: usize,
    },
    /// `true` or `false`.
    Flag,
    /// A whole number between two bounds, both allowed.
    Whole {
        /// Smallest value.
        least: i64,
        /// Largest value.
        most: i64,
    },
    /// The same, or the word `Unlimited`.
    WholeOrUnlimited {
        /// Smallest value.
        least: i64,
        /// Largest value.
        most: i64,
    },
    /// One of these words, in any case; kept as it stands here.
    Choice(&'static [&'static str]),
    /// Decimal digits only.
    Digits {
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
    /// A telephone number: digits, `+` and digits, or either behind `tel:`. Kept without `tel:` and without blanks, dots,
    /// dashes and brackets.
    Phone,
    /// A mail address (RFC 5321 §4.1.2, at most 254 bytes).
    Mail,
    /// A language tag (BCP 47), such as `fr-FR`.
    Language,
    /// Another object, by its id or its name.
    Object(ObjectKind),
    /// Several of these, each once.
    List {
        /// Of what.
        of: &'static FieldType,
        /// Most of them.
        most: usize,
    },
    /// Several records, each with these fields.
    Records {
        /// Fields of one.
        fields: &'static [FieldDeclaration],
        /// Most of them.
        most: usize,
    },
}

/// When a field has to be, or may be, given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must be given.
    Must,
    /// It may be given.
    May,
}

/// One field of an object, or one parameter of an act.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldDeclaration {
    /// Name in JSON; the shell's parameter is the same with a capital.
    pub name: &'static str,
    /// Other spellings that the shell takes.
    pub aliases: &'static [&'static str],
    /// What it takes.
    pub kind: FieldType,
    /// Whether it has to be given.
    pub need: Need,
    /// Its value until somebody gives another, as JSON; empty for none.
    pub default: &'static str,
    /// Whether anything follows from it. What the documented systems take and this one has no use for is kept, shown, and
    /// reported as having no effect.
    pub works: bool,
    /// What it is, in English.
    pub help_en: &'static str,
    /// What it is, in French.
    pub help_fr: &'static str,
}

/// On what an act works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// It makes a new object.
    New,
    /// It changes an object that is there.
    Existing,
    /// It works on a person, whether the person has an object of this kind yet or not.
    Person,
    /// It ends an object.
    Gone,
}

/// One thing that can be done to objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActDeclaration {
    /// `create`, `change` and `delete` are the API's POST, PATCH and DELETE; every other act is a POST to a path of its own
    /// below the object.
    pub name: &'static str,
    /// On what.
    pub onto: Onto,
    /// What may be given.
    pub parameters: &'static [FieldDeclaration],
    /// Who may do it.
    pub permission: Permission,
    /// When it comes to no more than another act of its kind, whose permission is enough then.
    pub amounts_to: Option<AmountsTo>,
    /// What it does, in English.
    pub help_en: &'static str,
    /// What it does, in French.
    pub help_fr: &'static str,
}

/// That an act comes to no more than another one, when nothing but these parameters is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmountsTo {
    /// The other act.
    pub act: &'static str,
    /// One of these is given, or several, and nothing else.
    pub with: &'static [&'static str],
}

/// Where names of a kind of object come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Each has a name of its own, unique within the kind without regard to case, of at most so many characters.
    Own {
        /// Most characters.
        most: usize,
    },
    /// Each belongs to one person and is found by whatever names the person.
    Person,
}

/// A kind of managed object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ObjectDeclaration {
    /// Which.
    pub kind: ObjectKind,
    /// Last part of its path in the API, such as `dial-plans`.
    pub path: &'static str,
    /// The group of operations that it belongs to in the API's description.
    pub tag: &'static str,
    /// How objects are named.
    pub naming: Naming,
    /// What an object shows beside its id, name and version.
    pub fields: &'static [FieldDeclaration],
    /// What can be done.
    pub acts: &'static [ActDeclaration],
    /// Who may see them.
    pub reading: Permission,
    /// Codes with which its source's rule refuses what contradicts the present state, beside those of every kind (`taken`,
    /// `in_use`).
    pub conflicts: &'static [&'static str],
    /// What it is, in English.
    pub help_en: &'static str,
    /// What it is, in French.
    pub help_fr: &'static str,
}

impl ObjectDeclaration {
    /// One of its acts.
    pub fn act(&self, name: &str) -> Option<&'static ActDeclaration> {
        self.acts.iter().find(|act| act.name == name)
    }

    /// The permission that one of its acts needs when these parameters are given.
    pub fn permission<'n>(&self, act: &ActDeclaration, mut given: impl Iterator<Item = &'n str>) -> Permission {
        let lesser = act.amounts_to.and_then(|less| self.act(less.act).map(|other| (less.with, other.permission)));
        match (lesser, given.next()) {
            (Some((with, permission)), Some(first)) if with.contains(&first) && given.all(|name| with.contains(&name)) => permission,
            _ => act.permission,
        }
    }
}

/// Names that documents spell with more capitals than their first.
const SPELLED: &[&str] = &[
    "AllowPSTNOnlyMeetings",
    "AllowSMSNotification",
    "AllowTUIAccessToCalendar",
    "AllowTUIAccessToDirectory",
    "AllowTUIAccessToEmail",
    "AllowTUIAccessToPersonalContacts",
    "GenerateUMMailboxPolicy",
    "LogonFailuresBeforePINReset",
    "MinPINLength",
    "PINExpired",
    "PINHistoryCount",
    "PINLifetime",
    "ResetPINText",
    "SIPResourceIdentifier",
    "UMDialPlan",
    "UMEnabledText",
    "UMMailboxPolicy",
    "URIType",
    "VoIPSecurity",
];

/// The name of a field as the shell shows it: with a capital first, or as the documents spell it.
pub fn spelled(name: &str) -> String {
    if let Some(documented) = SPELLED.iter().find(|documented| documented.eq_ignore_ascii_case(name)) {
        return (*documented).to_owned();
    }
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// Most characters of a language tag.
const LANGUAGE_MOST: usize = 35;
/// Most digits of a telephone number (ITU-T E.164 §6.2.1).
const PHONE_MOST: usize = 15;

impl FieldDeclaration {
    /// The default as a JSON value, where there is one.
    pub fn default_value(&self) -> Option<Value> {
        (!self.default.is_empty()).then(|| serde_json::from_str(self.default).expect("a declared default is JSON; a test parses each"))
    }

    /// The parameter's name in the shell: the field's with a capital, or as the documents spell it.
    pub fn parameter(&self) -> String {
        spelled(self.name)
    }

    /// Accepts a value as it is kept, or says what is wrong with it.
    ///
    /// # Errors
    /// A sentence with the rule and the mend.
    pub fn check(&self, value: &Value) -> Result<Value, String> {
        self.kind.check(value)
    }
}

impl FieldType {
    /// Accepts a value as it is kept, or says what is wrong with it.
    ///
    /// # Errors
    /// A sentence with the rule and the mend.
    pub fn check(&self, value: &Value) -> Result<Value, String> {
        let text = || value.as_str().map(str::trim);
        let got = Brief(value);
        match *self {
            FieldType::Text { most } => match text() {
                Some(text) if text.chars().count() <= most && !text.chars().any(char::is_control) => Ok(text.into()),
                _ => Err(format!("takes one line of text of at most {most} characters, not {got}")),
            },
            FieldType::Flag if value.is_boolean() => Ok(value.clone()),
            FieldType::Flag => Err(format!("takes true or false, not {got}")),
            FieldType::Whole { least, most } => match value.as_i64() {
                Some(n) if (least..=most).contains(&n) => Ok(n.into()),
                _ => Err(format!("takes a whole number from {least} to {most}, not {got}")),
            },
            FieldType::WholeOrUnlimited { least, most } => match (value.as_i64(), text()) {
                (Some(n), _) if (least..=most).contains(&n) => Ok(n.into()),
                (_, Some(word)) if word.eq_ignore_ascii_case("unlimited") => Ok("Unlimited".into()),
                _ => Err(format!("takes a whole number from {least} to {most}, or Unlimited, not {got}")),
            },
            FieldType::Choice(words) => {
                let found = text().and_then(|text| words.iter().find(|word| word.eq_ignore_ascii_case(text)));
                found.map(|word| (*word).into()).ok_or_else(|| format!("takes one of {}, not {got}", words.join(", ")))
            }
            FieldType::Digits { least, most } => match text() {
                Some(digits) if (least..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(digits.into()),
                _ if least == most => Err(format!("takes {least} digits, not {got}")),
                _ => Err(format!("takes {least} to {most} digits, not {got}")),
            },
            FieldType::Phone => {
                let number = text().and_then(phone);
                number.map(Value::from).ok_or_else(|| format!("takes a telephone number such as +33155501234, not {got}"))
            }
            FieldType::Mail => match text() {
                Some(address) if crate::directory::check_email(address).is_ok() => Ok(address.into()),
                _ => Err(format!("takes a mail address such as team@example.org, not {got}")),
            },
            FieldType::Language => match text() {
                Some(tag) if is_language(tag) => Ok(tag.into()),
                _ => Err(format!("takes a language tag such as fr-FR, not {got}")),
            },
            FieldType::Object(kind) => match text() {
                Some(name) if !name.is_empty() => Ok(name.into()),
                _ => Err(format!("takes the id or the name of a {kind}, not {got}")),
            },
            FieldType::List { of, most } => {
                let items = value.as_array().ok_or_else(|| format!("takes a list, not {got}"))?;
                if items.len() > most {
                    return Err(format!("takes at most {most} values, not {}", items.len()));
                }
                let mut kept: Vec<Value> = Vec::with_capacity(items.len());
                for item in items {
                    let item = of.check(item)?;
                    if kept.contains(&item) {
                        return Err(format!("names {item} twice"));
                    }
                    kept.push(item);
                }
                Ok(kept.into())
            }
            FieldType::Records { fields, most } => {
                let items = value.as_array().ok_or_else(|| format!("takes a list of records, not {got}"))?;
                if items.len() > most {
                    return Err(format!("takes at most {most} records, not {}", items.len()));
                }
                items.iter().map(|item| record(fields, item)).collect::<Result<Vec<_>, _>>().map(Value::from)
            }
        }
    }
}

/// One record, whole: what is left out has its default.
fn record(fields: &[FieldDeclaration], value: &Value) -> Result<Value, String> {
    let given = value.as_object().ok_or_else(|| format!("takes records, not {}", Brief(value)))?;
    if let Some(unknown) = given.keys().find(|name| fields.iter().all(|field| field.name != *name)) {
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        return Err(format!("has a field {unknown:?} that is not known here; there are {}", known.join(", ")));
    }
    let mut kept = serde_json::Map::new();
    for field in fields {
        let value = match given.get(field.name) {
            Some(value) if !value.is_null() => Some(field.check(value).map_err(|wrong| format!("{}: {wrong}", field.name))?),
            _ if field.need == Need::Must => return Err(format!("{} is missing; give it a value", field.name)),
            _ => field.default_value(),
        };
        kept.insert(field.name.to_owned(), value.unwrap_or_default());
    }
    Ok(kept.into())
}

/// A value as it is said back to whoever gave it: not longer than a line.
struct Brief<'v>(&'v Value);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 60;
        let text = self.0.to_string();
        match text.char_indices().nth(MOST) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

/// A telephone number as it is kept, or nothing.
pub fn phone(text: &str) -> Option<String> {
    let bare = text.get(..4).filter(|head| head.eq_ignore_ascii_case("tel:")).map_or(text, |_| &text[4..]);
    let mut number = String::new();
    for (place, letter) in bare.trim().chars().enumerate() {
        match letter {
            '+' if place == 0 => number.push('+'),
            digit if digit.is_ascii_digit() => number.push(digit),
            ' ' | '\u{a0}' | '\u{202f}' | '.' | '-' | '(' | ')' => {}
            _ => return None,
        }
    }
    let digits = number.trim_start_matches('+').len();
    (digits > 0 && digits <= PHONE_MOST).then_some(number)
}

/// Whether two telephone numbers as they are kept are one: documents write a number with its `+` or without.
pub fn same_phone(one: &str, other: &str) -> bool {
    one.trim_start_matches('+') == other.trim_start_matches('+')
}

/// Whether a text has the shape of a language tag (BCP 47 §2.1): parts of one to eight letters and digits, the first of two
/// to three letters.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic()));
    first
        && tag.len() <= LANGUAGE_MOST
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_kept_in_one_spelling() {
        let kept = |kind: FieldType, value: Value| kind.check(&value);
        assert_eq!(kept(FieldType::Phone, json!("tel:+33 1 55 50-12.34")), Ok(json!("+33155501234")));
        assert_eq!(kept(FieldType::Phone, json!("(0) 155")), Ok(json!("0155")));
        assert_eq!(kept(FieldType::Choice(&["UseNames", "ToneOnly"]), json!("toneonly")), Ok(json!("ToneOnly")));
        assert_eq!(kept(FieldType::WholeOrUnlimited { least: 1, most: 9 }, json!("unlimited")), Ok(json!("Unlimited")));
        assert_eq!(kept(FieldType::List { of: &FieldType::Language, most: 4 }, json!(["fr-FR", "en"])), Ok(json!(["fr-FR", "en"])));
        assert_eq!(kept(FieldType::Text { most: 4 }, json!(" été ")), Ok(json!("été")));
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_rule() {
        let wrong = |kind: FieldType, value: Value| kind.check(&value).expect_err("a refusal");
        assert_eq!(wrong(FieldType::Digits { least: 4, most: 12 }, json!("12a4")), "takes 4 to 12 digits, not \"12a4\"");
        assert_eq!(wrong(FieldType::Digits { least: 9, most: 9 }, json!("1")), "takes 9 digits, not \"1\"");
        assert!(wrong(FieldType::Phone, json!("12ab")).starts_with("takes a telephone number"));
        assert!(wrong(FieldType::Phone, json!("1".repeat(16))).starts_with("takes a telephone number"));
        assert!(wrong(FieldType::Mail, json!("nobody")).starts_with("takes a mail address"));
        assert!(wrong(FieldType::Language, json!("f")).starts_with("takes a language tag"));
        assert_eq!(wrong(FieldType::List { of: &FieldType::Language, most: 4 }, json!(["fr", "fr"])), "names \"fr\" twice");
        assert_eq!(wrong(FieldType::Text { most: 3 }, json!("abcd")), "takes one line of text of at most 3 characters, not \"abcd\"");
        let long = wrong(FieldType::Mail, json!("é".repeat(2_000)));
        assert!(long.ends_with("é…") && long.chars().count() < 130, "{long}");
        assert!(FieldType::Text { most: 9 }.check(&json!("a\nb")).is_err() && FieldType::Flag.check(&json!("true")).is_err());
    }

    #[test]
    fn a_record_is_checked_field_by_field() {
        const NUMBER: FieldDeclaration = FieldDeclaration {
            name: "number",
            aliases: &[],
            kind: FieldType::Phone,
            need: Need::Must,
            default: "",
            works: true,
            help_en: "n",
            help_fr: "n",
        };
        const FREE: FieldDeclaration =
            FieldDeclaration { name: "tollFree", kind: FieldType::Flag, need: Need::May, default: "false", ..NUMBER };
        let records = FieldType::Records { fields: &[NUMBER, FREE], most: 2 };
        assert_eq!(records.check(&json!([{"number": "+33 1"}])), Ok(json!([{"number": "+331", "tollFree": false}])));
        assert_eq!(records.check(&json!([{}])), Err("number is missing; give it a value".to_owned()));
        assert!(records.check(&json!([{"number": "1", "x": 1}])).is_err_and(|e| e.contains("there are number, tollFree")));
        assert_eq!(NUMBER.parameter(), "Number");
        assert_eq!((FREE.parameter().as_str(), spelled("umDialPlan").as_str()), ("TollFree", "UMDialPlan"));
    }
}
