//! Dial plans: the extensions of one telephone system, and how long they are.
//!
//! Creating one also creates its default policy, `<name> Default Policy`, unless that is not wanted. The store keeps a plan
//! as long as a policy is linked to it.

use super::fields::{changed, fresh, idle, idle_remarks, may, must, name, text};
use super::mailbox_policy;
use model::objects::{ActDeclaration, FieldDeclaration, FieldType, Naming, ObjectDeclaration, ObjectKind, Onto};
use model::refusal::Refusal;
use model::roles::Permission;
use model::source::{Acting, Keeping, Other, Ruling, Tools};
use serde_json::Value;
use uuid::Uuid;

/// What the name of a plan's default policy ends in.
const POLICY_SUFFIX: &str = " Default Policy";
/// Most characters of a plan's name: its default policy's name has 15 more, and at most 64.
pub(super) const NAME_CHARS: usize = mailbox_policy::NAME_CHARS - POLICY_SUFFIX.len();

/// Field with the length of extensions; policies and their mailboxes carry it on.
pub(super) const DIGITS: &str = "numberOfDigitsInExtension";

const NAME: FieldDeclaration = must(
    "name",
    FieldType::Text { most: 256 },
    "Name: at most 49 characters, because the default policy is called \"NAME Default Policy\" and may have 64; none of \" / \\ [ ] : ; | = , + * ? < >.",
    "Nom : 49 caractères au plus, car la stratégie par défaut s’appelle « NOM Default Policy » et peut en avoir 64 ; aucun des signes \" / \\ [ ] : ; | = , + * ? < >.",
);
const RENAME: FieldDeclaration = FieldDeclaration { need: model::objects::Need::May, ..NAME };
const EXTENSION_DIGITS: FieldDeclaration = must(
    DIGITS,
    FieldType::Whole { least: 1, most: 20 },
    "Digits of every extension, 1 to 20. Cannot be changed later.",
    "Nombre de chiffres de chaque numéro de poste, de 1 à 20. Ne peut pas être modifié ensuite.",
);
const COUNTRY: FieldDeclaration = may(
    "countryOrRegionCode",
    FieldType::Digits { least: 1, most: 4 },
    "",
    "Country code of the telephone numbers, such as 33.",
    "Indicatif de pays des numéros, par exemple 33.",
);
const PREFIX: FieldDeclaration = may(
    "e164Prefix",
    FieldType::Phone,
    "",
    "What stands before an extension in the whole number, such as +3315550: calls to the whole number then reach the extension.",
    "Ce qui précède le numéro de poste dans le numéro complet, par exemple +3315550 : les appels au numéro complet atteignent alors le poste.",
);
const URI_TYPE: FieldDeclaration = may(
    "uriType",
    FieldType::Choice(&["TelExtn", "SipName", "E164"]),
    "\"TelExtn\"",
    "How the telephone system names people: TelExtn by extension, SipName by SIP address, E164 by number. Cannot be changed later.",
    "Comment le système téléphonique désigne les personnes : TelExtn par poste, SipName par adresse SIP, E164 par numéro. Ne peut pas être modifié ensuite.",
);
const SECURITY: FieldDeclaration = idle(
    "voipSecurity",
    FieldType::Choice(&["Unsecured", "SIPSecured", "Secured"]),
    "\"Unsecured\"",
    "Kept without effect: Carillon carries no calls.",
    "Conservé sans effet : Carillon ne transporte pas d’appels.",
);
const LANGUAGE: FieldDeclaration = idle(
    "defaultLanguage",
    FieldType::Language,
    "\"en-US\"",
    "Kept without effect: mails are in the reader's own language.",
    "Conservé sans effet : les courriels sont dans la langue du lecteur.",
);
const FAX: FieldDeclaration = idle(
    "faxEnabled",
    FieldType::Flag,
    "true",
    "Kept without effect: Carillon takes no faxes.",
    "Conservé sans effet : Carillon ne reçoit pas de télécopies.",
);
const GENERATE: FieldDeclaration = may(
    "generateUmMailboxPolicy",
    FieldType::Flag,
    "true",
    "Whether the default policy is created with the plan.",
    "Si la stratégie par défaut est créée avec le plan.",
);

const FIELDS: &[FieldDeclaration] = &[EXTENSION_DIGITS, COUNTRY, PREFIX, URI_TYPE, SECURITY, LANGUAGE, FAX];

/// What a dial plan is.
pub(super) const DECLARATION: ObjectDeclaration = ObjectDeclaration {
    kind: ObjectKind::DialPlan,
    path: "dial-plans",
    tag: "Telephony",
    naming: Naming::Own { most: NAME_CHARS },
    fields: FIELDS,
    acts: &[
        ActDeclaration {
            name: "create",
            onto: Onto::New,
            parameters: &[NAME, EXTENSION_DIGITS, COUNTRY, PREFIX, URI_TYPE, SECURITY, LANGUAGE, FAX, GENERATE],
            permission: Permission::TelephonyManage,
            amounts_to: None,
            help_en: "Creates a dial plan and its default mailbox policy.",
            help_fr: "Crée un plan de numérotation et sa stratégie de boîte vocale par défaut.",
        },
        ActDeclaration {
            name: "change",
            onto: Onto::Existing,
            parameters: CHANGEABLE,
            permission: Permission::TelephonyManage,
            amounts_to: None,
            help_en: "Changes a dial plan.",
            help_fr: "Modifie un plan de numérotation.",
        },
        ActDeclaration {
            name: "delete",
            onto: Onto::Gone,
            parameters: &[],
            permission: Permission::TelephonyManage,
            amounts_to: None,
            help_en: "Deletes a dial plan that no mailbox policy belongs to.",
            help_fr: "Supprime un plan de numérotation auquel aucune stratégie n’appartient.",
        },
    ],
    reading: Permission::DirectoryRead,
    conflicts: &[],
    help_en: "The extensions of a telephone system: how long they are, and which numbers lead to them.",
    help_fr: "Les postes d’un système téléphonique : leur longueur, et les numéros qui y mènent.",
};

const CHANGEABLE: &[FieldDeclaration] = &[RENAME, COUNTRY, PREFIX, SECURITY, LANGUAGE, FAX];

/// What an act on a dial plan comes to.
pub(super) fn act(acting: &Acting<'_>, tools: &mut dyn Tools) -> Result<Ruling, Refusal> {
    match (acting.act, acting.before) {
        ("create", _) => create(acting, tools),
        ("change", Some(before)) => {
            let name = plan_name(acting)?.unwrap_or_else(|| before.name.clone());
            let document = Value::from(changed(FIELDS, &before.document, acting.given));
            check_prefix(&document)?;
            let keeping = Keeping { name, document, ..Keeping::default() };
            Ok(Ruling { keeping: Some(keeping), remarks: idle_remarks(CHANGEABLE, acting.given), ..Ruling::default() })
        }
        ("delete", _) => Ok(Ruling::default()),
        _ => Err(Refusal::not_found("act", acting.act)),
    }
}

fn create(acting: &Acting<'_>, tools: &mut dyn Tools) -> Result<Ruling, Refusal> {
    let name = plan_name(acting)?.ok_or_else(|| Refusal::field("name", "is missing; give the dial plan a name"))?;
    let document = Value::from(fresh(FIELDS, acting.given));
    check_prefix(&document)?;
    let wanted = acting.given.get(GENERATE.name).and_then(Value::as_bool).unwrap_or(true);
    let others = if wanted { vec![default_policy(&name, acting.id, &document, tools)] } else { Vec::new() };
    let mut remarks = idle_remarks(FIELDS, acting.given);
    if let Some(policy) = others.first() {
        let policy = &policy.keeping.name;
        remarks.push((
            format!("The mailbox policy {policy:?} was created with it."),
            format!("La stratégie de boîte vocale « {policy} » a été créée avec lui."),
        ));
    }
    let keeping = Keeping { name, document, ..Keeping::default() };
    Ok(Ruling { keeping: Some(keeping), others, remarks, ..Ruling::default() })
}

fn plan_name(acting: &Acting<'_>) -> Result<Option<String>, Refusal> {
    let because = format!(
        ", because the default policy of a dial plan is named \"NAME{POLICY_SUFFIX}\" and the name of a policy has at most {} characters",
        mailbox_policy::NAME_CHARS
    );
    name(acting.given, NAME_CHARS, &because)
}

/// A whole number (E.164 §6) has at most 15 digits.
fn check_prefix(document: &Value) -> Result<(), Refusal> {
    const MOST: u64 = 15;
    let Some(prefix) = text(document, PREFIX.name) else { return Ok(()) };
    if !prefix.starts_with('+') {
        return Err(Refusal::field(PREFIX.name, format!("takes a number that begins with + and the country code, not {prefix:?}")));
    }
    let digits = u64::try_from(prefix.len() - 1).unwrap_or(MOST) + document[DIGITS].as_u64().unwrap_or(0);
    if digits > MOST {
        let message = format!(
            "with it and an extension a number has {digits} digits; E.164 allows {MOST}, so shorten the prefix by {}",
            digits - MOST
        );
        return Err(Refusal::field(PREFIX.name, message));
    }
    Ok(())
}

fn default_policy(plan: &str, plan_id: Uuid, document: &Value, tools: &mut dyn Tools) -> Other {
    let keeping = mailbox_policy::fresh_policy(format!("{plan}{POLICY_SUFFIX}"), plan_id, document, &serde_json::Map::new());
    Other { kind: ObjectKind::MailboxPolicy, id: tools.id(), new: true, keeping }
}
