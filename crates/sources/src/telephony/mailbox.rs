//! Mailboxes: one person's extensions in a dial plan, under one policy. A called extension belongs to the mailbox that was
//! enabled with it in that dial plan; the store sees to it that there is at most one.

use super::dial_plan::DIGITS;
use super::fields::{changed, fresh, idle, idle_remarks, may, must, text, unknown};
use super::mailbox_policy::PLAN;
use model::objects::{ActDeclaration, FieldDeclaration, FieldType, Naming, Need, ObjectDeclaration, ObjectKind, Onto};
use model::refusal::{Refusal, RefusalKind};
use model::roles::Permission;
use model::source::{Acting, Existing, Keeping, Ruling, Wanted};
use serde_json::{Map, Value};

/// Field with the policy's id.
pub(super) const POLICY: &str = "umMailboxPolicy";
/// Field of the person's own say about missed calls.
pub(super) const MISSED_CALLS: &str = "missedCallNotificationEnabled";
const EXTENSIONS: &str = "extensions";
const SIP: &str = "sipResourceIdentifier";
/// Most extensions of one mailbox.
const MOST_EXTENSIONS: usize = 16;

const POLICY_FIELD: FieldDeclaration = must(
    POLICY,
    FieldType::Object(ObjectKind::MailboxPolicy),
    "The mailbox policy that holds for it. Its dial plan is the mailbox's.",
    "La stratégie de boîte vocale qui s’y applique. Son plan de numérotation est celui de la boîte.",
);
const PLAN_FIELD: FieldDeclaration =
    may(PLAN, FieldType::Object(ObjectKind::DialPlan), "", "The dial plan of its policy.", "Le plan de numérotation de sa stratégie.");
const EXTENSIONS_FIELD: FieldDeclaration = must(
    EXTENSIONS,
    FieldType::List { of: &FieldType::Digits { least: 1, most: 20 }, most: MOST_EXTENSIONS },
    "Extensions of the person in the dial plan, each as long as the plan says. A dial plan has each extension once.",
    "Postes de la personne dans le plan de numérotation, de la longueur fixée par le plan. Un poste n’existe qu’une fois par plan.",
);
const SIP_FIELD: FieldDeclaration = may(
    SIP,
    FieldType::Text { most: 128 },
    "",
    "SIP address or E.164 number under which the telephone system names the person, for dial plans of type SipName or E164.",
    "Adresse SIP ou numéro E.164 sous lequel le système téléphonique désigne la personne, pour les plans de type SipName ou E164.",
);
const MISSED_FIELD: FieldDeclaration = may(
    MISSED_CALLS,
    FieldType::Flag,
    "true",
    "Whether the person gets mails about missed calls, where the policy allows them.",
    "Si la personne reçoit des courriels d’appels manqués, quand la stratégie les autorise.",
);
const PIN: FieldDeclaration = idle(
    "pin",
    FieldType::Digits { least: 4, most: 24 },
    "",
    "Not kept: the PIN of a voice mailbox is the telephone system's.",
    "Non conservé : le code de la boîte vocale relève du système téléphonique.",
);
const PIN_EXPIRED: FieldDeclaration = idle(
    "pinExpired",
    FieldType::Flag,
    "",
    "Not kept: the PIN of a voice mailbox is the telephone system's.",
    "Non conservé : le code de la boîte vocale relève du système téléphonique.",
);
const NOTIFY: FieldDeclaration = idle(
    "notifyEmail",
    FieldType::Mail,
    "",
    "Not kept: enabling a mailbox sends no mail.",
    "Non conservé : activer une boîte vocale n’envoie aucun courriel.",
);

const FIELDS: &[FieldDeclaration] = &[POLICY_FIELD, PLAN_FIELD, EXTENSIONS_FIELD, SIP_FIELD, MISSED_FIELD];
const ENABLE: &[FieldDeclaration] = &[POLICY_FIELD, EXTENSIONS_FIELD, SIP_FIELD, MISSED_FIELD, PIN, PIN_EXPIRED, NOTIFY];
const CHANGE: &[FieldDeclaration] = &[
    FieldDeclaration { need: Need::May, ..POLICY_FIELD },
    FieldDeclaration { need: Need::May, ..EXTENSIONS_FIELD },
    SIP_FIELD,
    MISSED_FIELD,
];

/// What a mailbox is.
pub(super) const DECLARATION: ObjectDeclaration = ObjectDeclaration {
    kind: ObjectKind::Mailbox,
    path: "mailboxes",
    tag: "Telephony",
    naming: Naming::Person,
    fields: FIELDS,
    acts: &[
        ActDeclaration {
            name: "enable",
            onto: Onto::Person,
            parameters: ENABLE,
            permission: Permission::TelephonyManage,
            amounts_to: None,
            help_en: "Gives a person a mailbox: extensions in a dial plan, under a policy.",
            help_fr: "Donne une boîte vocale à une personne : des postes dans un plan de numérotation, sous une stratégie.",
        },
        ActDeclaration {
            name: "change",
            onto: Onto::Existing,
            parameters: CHANGE,
            permission: Permission::TelephonyManage,
            amounts_to: None,
            help_en: "Changes a mailbox.",
            help_fr: "Modifie une boîte vocale.",
        },
        ActDeclaration {
            name: "disable",
            onto: Onto::Gone,
            parameters: &[],
            permission: Permission::TelephonyManage,
            amounts_to: None,
            help_en: "Takes a person's mailbox away; its extensions are free again.",
            help_fr: "Retire la boîte vocale d’une personne ; ses postes sont de nouveau libres.",
        },
    ],
    reading: Permission::DirectoryRead,
    conflicts: &["already_enabled"],
    help_en: "One person's extensions, and what they are told about calls to them.",
    help_fr: "Les postes d’une personne, et ce qui lui est annoncé des appels qu’elle y reçoit.",
};

/// Every act but `disable` looks at the policy that will hold.
pub(super) fn wants(acting: &Acting<'_>) -> Vec<Wanted> {
    let given = acting.given.get(POLICY).and_then(Value::as_str);
    let kept = acting.before.and_then(|before| text(&before.document, POLICY));
    match (acting.act, given.or(kept)) {
        ("enable" | "change", Some(policy)) => vec![Wanted::Named(ObjectKind::MailboxPolicy, policy.to_owned())],
        _ => Vec::new(),
    }
}

/// What an act on a mailbox comes to.
pub(super) fn act(acting: &Acting<'_>) -> Result<Ruling, Refusal> {
    match (acting.act, acting.before) {
        ("enable", Some(_)) => {
            let who = acting.person.map_or("the person", |person| &person.upn);
            let detail = format!("{who} has a mailbox already; change it with Set-UMMailbox, or take it away first with Disable-UMMailbox");
            Err(Refusal::new(RefusalKind::Conflict, "already_enabled", detail))
        }
        ("enable", None) => {
            let person = acting.person.ok_or_else(|| Refusal::not_found("person", &acting.id.to_string()))?;
            let keeping = kept(acting, person.upn.clone(), fresh(FIELDS, acting.given))?;
            let mut remarks = idle_remarks(ENABLE, acting.given);
            if person.email.is_none() {
                remarks.push((
                    format!("{} has no mail address: missed calls and voice messages reach only their devices and inbox.", person.upn),
                    format!("{} n’a pas d’adresse de courriel : appels manqués et messages vocaux n’atteignent que ses appareils et sa boîte de réception.", person.upn),
                ));
            }
            Ok(Ruling { keeping: Some(keeping), remarks, ..Ruling::default() })
        }
        ("change", Some(before)) => {
            let keeping = kept(acting, before.name.clone(), changed(FIELDS, &before.document, acting.given))?;
            Ok(Ruling { keeping: Some(keeping), remarks: idle_remarks(CHANGE, acting.given), ..Ruling::default() })
        }
        ("disable", _) => Ok(Ruling::default()),
        _ => Err(Refusal::not_found("act", acting.act)),
    }
}

/// The mailbox as it will be, held against the policy's dial plan.
fn kept(acting: &Acting<'_>, name: String, mut document: Map<String, Value>) -> Result<Keeping, Refusal> {
    let asked = document.get(POLICY).and_then(Value::as_str).unwrap_or_default();
    let policy = acting.found.first().and_then(|found| found.first()).ok_or_else(|| unknown(POLICY, ObjectKind::MailboxPolicy, asked))?;
    let plan = text(&policy.document, PLAN).unwrap_or_default().to_owned();
    let extensions = extensions(policy, document.get(EXTENSIONS))?;
    let sip = document.get(SIP).and_then(Value::as_str).map(str::trim).filter(|address| !address.is_empty()).map(str::to_ascii_lowercase);
    let keys = extensions.iter().map(String::as_str).chain(sip.as_deref()).map(|extension| key(&plan, extension)).collect();
    document.insert(POLICY.to_owned(), policy.id.to_string().into());
    document.insert(PLAN.to_owned(), plan.into());
    document.insert(SIP.to_owned(), sip.map_or(Value::Null, Value::from));
    Ok(Keeping { name, document: document.into(), keys, links: vec![policy.id] })
}

/// The key by which a called extension is found.
pub(super) fn key(plan: &str, extension: &str) -> String {
    format!("{plan}/{}", extension.to_ascii_lowercase())
}

fn extensions(policy: &Existing, given: Option<&Value>) -> Result<Vec<String>, Refusal> {
    let digits = policy.document[DIGITS].as_u64().and_then(|digits| usize::try_from(digits).ok());
    let list: Vec<String> = given.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if list.is_empty() {
        return Err(Refusal::field(EXTENSIONS, "is empty; give at least one extension of the dial plan"));
    }
    match (digits, list.iter().find(|extension| digits.is_some_and(|digits| extension.len() != digits))) {
        (Some(digits), Some(wrong)) => {
            let message = format!("holds {wrong:?}, which has {} digits; extensions of this policy's dial plan have {digits}", wrong.len());
            Err(Refusal::field(EXTENSIONS, message))
        }
        _ => Ok(list),
    }
}
