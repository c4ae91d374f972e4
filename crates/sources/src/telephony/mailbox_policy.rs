//! Mailbox policies: what holds for the mailboxes that are linked to one. A policy belongs to one dial plan for good.
//!
//! Of the many parameters of the documented systems one decides who is told: `allowMissedCallNotifications`. One adds words
//! to voice-mail mails: `voiceMailText`. The rest belongs to systems that answer calls themselves; it is kept, shown, and
//! reported as having no effect ([`super::policy_fields`]).

use super::dial_plan::DIGITS;
use super::fields::{changed, fresh, idle_remarks, may, must, name, text, unknown};
use super::policy_fields::{ATTEMPTS, FAILURES, FIELDS};
use model::objects::{ActDeclaration, FieldDeclaration, FieldType, Naming, Need, ObjectDeclaration, ObjectKind, Onto};
use model::refusal::Refusal;
use model::roles::Permission;
use model::source::{Acting, Keeping, Ruling, Wanted};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Most characters of a policy's name.
pub(super) const NAME_CHARS: usize = 64;
/// Field with the dial plan's id.
pub(super) const PLAN: &str = "umDialPlan";

const NAME: FieldDeclaration = must(
    "name",
    FieldType::Text { most: 256 },
    "Name: at most 64 characters, none of \" / \\ [ ] : ; | = , + * ? < >.",
    "Nom : 64 caractères au plus, aucun des signes \" / \\ [ ] : ; | = , + * ? < >.",
);
pub(super) const PLAN_FIELD: FieldDeclaration = must(
    PLAN,
    FieldType::Object(ObjectKind::DialPlan),
    "The dial plan that it belongs to. Cannot be changed later.",
    "Le plan de numérotation auquel elle appartient. Ne peut pas être modifié ensuite.",
);
pub(super) const DIGITS_FIELD: FieldDeclaration = may(
    DIGITS,
    FieldType::Whole { least: 1, most: 20 },
    "",
    "Digits of the extensions of its dial plan.",
    "Nombre de chiffres des postes de son plan de numérotation.",
);

/// What `create` takes: the name, the plan, and whatever `change` takes.
const CREATE: [FieldDeclaration; FIELDS.len()] = {
    let mut parameters = [NAME; FIELDS.len()];
    parameters[1] = PLAN_FIELD;
    let mut at = 2;
    while at < FIELDS.len() {
        parameters[at] = FIELDS[at];
        at += 1;
    }
    parameters
};
/// What `change` takes.
const CHANGE: [FieldDeclaration; FIELDS.len() - 1] = {
    let mut parameters = [FieldDeclaration { need: Need::May, ..NAME }; FIELDS.len() - 1];
    let mut at = 2;
    while at < FIELDS.len() {
        parameters[at - 1] = FIELDS[at];
        at += 1;
    }
    parameters
};

/// What a mailbox policy is.
pub(super) const DECLARATION: ObjectDeclaration = ObjectDeclaration {
    kind: ObjectKind::MailboxPolicy,
    path: "mailbox-policies",
    tag: "Telephony",
    naming: Naming::Own { most: NAME_CHARS },
    fields: &FIELDS,
    acts: &[
        ActDeclaration {
            name: "create",
            onto: Onto::New,
            parameters: &CREATE,
            permission: Permission::TelephonyManage,
            amounts_to: None,
            help_en: "Creates a mailbox policy in a dial plan.",
            help_fr: "Crée une stratégie de boîte vocale dans un plan de numérotation.",
        },
        ActDeclaration {
            name: "change",
            onto: Onto::Existing,
            parameters: &CHANGE,
            permission: Permission::TelephonyManage,
            amounts_to: None,
            help_en: "Changes a mailbox policy, for every mailbox under it.",
            help_fr: "Modifie une stratégie, pour toutes les boîtes vocales qui en dépendent.",
        },
        ActDeclaration {
            name: "delete",
            onto: Onto::Gone,
            parameters: &[],
            permission: Permission::TelephonyManage,
            amounts_to: None,
            help_en: "Deletes a mailbox policy that no mailbox uses.",
            help_fr: "Supprime une stratégie qu’aucune boîte vocale n’utilise.",
        },
    ],
    reading: Permission::DirectoryRead,
    conflicts: &[],
    help_en: "What holds for the mailboxes under it; above all, whether missed calls are mailed.",
    help_fr: "Ce qui s’applique aux boîtes vocales qui en dépendent, avant tout l’envoi des appels manqués par courriel.",
};

/// A new policy looks at its dial plan.
pub(super) fn wants(acting: &Acting<'_>) -> Vec<Wanted> {
    let plan = acting.given.get(PLAN).and_then(Value::as_str).filter(|_| acting.act == "create");
    plan.map(|plan| Wanted::Named(ObjectKind::DialPlan, plan.to_owned())).into_iter().collect()
}

/// What an act on a mailbox policy comes to.
pub(super) fn act(acting: &Acting<'_>) -> Result<Ruling, Refusal> {
    let named = name(acting.given, NAME_CHARS, "")?;
    let (keeping, parameters): (Keeping, &[FieldDeclaration]) = match (acting.act, acting.before) {
        ("create", _) => {
            let name = named.ok_or_else(|| Refusal::field("name", "is missing; give the policy a name"))?;
            let asked = acting.given.get(PLAN).and_then(Value::as_str).unwrap_or_default();
            let plan = acting.found.first().and_then(|found| found.first()).ok_or_else(|| unknown(PLAN, ObjectKind::DialPlan, asked))?;
            (fresh_policy(name, plan.id, &plan.document, acting.given), &CREATE)
        }
        ("change", Some(before)) => {
            let mut document = changed(&FIELDS, &before.document, acting.given);
            // The plan is for good, whatever an integration of old may hand in.
            for fixed in [PLAN, DIGITS] {
                document.insert(fixed.to_owned(), before.document[fixed].clone());
            }
            let links = text(&before.document, PLAN).and_then(|id| id.parse().ok()).into_iter().collect();
            (Keeping { name: named.unwrap_or_else(|| before.name.clone()), document: document.into(), keys: Vec::new(), links }, &CHANGE)
        }
        ("delete", _) => return Ok(Ruling::default()),
        _ => return Err(Refusal::not_found("act", acting.act)),
    };
    check_attempts(&keeping.document)?;
    Ok(Ruling { keeping: Some(keeping), remarks: idle_remarks(parameters, acting.given), ..Ruling::default() })
}

/// A policy as it begins.
pub(super) fn fresh_policy(name: String, plan: Uuid, plan_document: &Value, given: &Map<String, Value>) -> Keeping {
    let mut document = fresh(&FIELDS, given);
    document.insert(PLAN.to_owned(), plan.to_string().into());
    document.insert(DIGITS.to_owned(), plan_document[DIGITS].clone());
    Keeping { name, document: document.into(), keys: Vec::new(), links: vec![plan] }
}

/// The PIN is reset before the mailbox is locked.
fn check_attempts(document: &Value) -> Result<(), Refusal> {
    match (document[FAILURES].as_u64(), document[ATTEMPTS].as_u64()) {
        (Some(failures), Some(attempts)) if failures >= attempts => {
            let message = format!("is {failures}; it has to be below {ATTEMPTS}, which is {attempts}");
            Err(Refusal::field(FAILURES, message))
        }
        (None, Some(attempts)) if document[FAILURES] == "Unlimited" => {
            let message = format!("is Unlimited; it has to be below {ATTEMPTS}, which is {attempts}. Set that to Unlimited, too");
            Err(Refusal::field(FAILURES, message))
        }
        _ => Ok(()),
    }
}
