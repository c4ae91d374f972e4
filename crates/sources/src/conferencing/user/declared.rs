//! What a person's conferencing settings are called, and what can be done to them: the parameters of the documented cmdlets.

use crate::conferencing::fields::{NAME, field, idle};
use model::objects::{ActDeclaration, AmountsTo, FieldDeclaration, FieldType, Naming, ObjectDeclaration, ObjectKind, Onto};
use model::roles::Permission;

const BRIDGE_ID: FieldDeclaration =
    field("bridgeId", FieldType::Object(ObjectKind::ConferencingBridge), "The bridge, by its id.", "Le pont, par son identifiant.");
const BRIDGE_NAME: FieldDeclaration = field(
    "bridgeName",
    FieldType::Object(ObjectKind::ConferencingBridge),
    "The bridge, by its name. Unless told, the one named Default.",
    "Le pont, par son nom. Sans indication, celui nommé Default.",
);
const NUMBER: FieldDeclaration = field(
    "serviceNumber",
    FieldType::Phone,
    "The number that the person's mails name; one of the bridge. Unless told, the bridge's default.",
    "Le numéro indiqué dans les courriels ; l’un de ceux du pont. Sans indication, celui par défaut du pont.",
);
const TOLL_FREE: FieldDeclaration =
    field("tollFreeServiceNumber", FieldType::Phone, "A toll-free number of the bridge.", "Un numéro gratuit du pont.");
const CONFERENCE_ID: FieldDeclaration = field(
    "conferenceId",
    FieldType::Digits { least: 9, most: 9 },
    "The conference ID: nine digits, unique on the bridge. Unless told, one is made.",
    "L’identifiant de conférence : neuf chiffres, unique sur le pont. Sans indication, il est créé.",
);
const PSTN_ONLY: FieldDeclaration = field(
    "allowPstnOnlyMeetings",
    FieldType::Flag,
    "Whether meetings may begin without the organizer. Kept, and told to the bridge.",
    "Les réunions peuvent commencer sans l’organisateur. Conservé et transmis au pont.",
);
const TOLL_FREE_IN: FieldDeclaration = field(
    "allowTollFreeDialIn",
    FieldType::Flag,
    "Whether toll-free numbers may be used. Kept, and told to the bridge.",
    "Les numéros gratuits sont permis. Conservé et transmis au pont.",
);
const SEND: FieldDeclaration = field(
    "sendEmail",
    FieldType::Flag,
    "Send a mail now. When nothing else is to be told: the conference ID and number, never the PIN.",
    "Envoyer un courriel maintenant. S’il n’y a rien d’autre à dire : l’identifiant et le numéro, jamais le code PIN.",
);
const SEND_TO: FieldDeclaration = field(
    "sendEmailToAddress",
    FieldType::Mail,
    "To this address instead of the person's. Needs sendEmail.",
    "À cette adresse au lieu de celle de la personne. Exige sendEmail.",
);
const SEND_FROM: FieldDeclaration = field(
    "sendEmailFromAddress",
    FieldType::Mail,
    "From this address. Needs sendEmail and sendEmailFromDisplayName.",
    "Depuis cette adresse. Exige sendEmail et sendEmailFromDisplayName.",
);
const SEND_FROM_NAME: FieldDeclaration = field(
    "sendEmailFromDisplayName",
    FieldType::Text { most: 128 },
    "From this name. Needs sendEmail and sendEmailFromAddress.",
    "Sous ce nom. Exige sendEmail et sendEmailFromAddress.",
);
const FORCE: FieldDeclaration = idle("force", FieldType::Flag);
const AS_JOB: FieldDeclaration = idle("asJob", FieldType::Flag);
const TENANT: FieldDeclaration = idle("tenant", FieldType::Text { most: 256 });
const DOMAIN_CONTROLLER: FieldDeclaration = idle("domainController", FieldType::Text { most: 256 });

/// The declaration.
pub(in crate::conferencing) const USERS: ObjectDeclaration = ObjectDeclaration {
    kind: ObjectKind::ConferencingUser,
    path: "conferencing-users",
    tag: "Conferencing",
    naming: Naming::Person,
    fields: &[
        field("licensed", FieldType::Flag, "Whether the person has the licence.", "La personne a la licence."),
        field("provider", NAME, "Own, None, or another provider's name.", "Own, None, ou le nom d’un autre fournisseur."),
        BRIDGE_ID,
        BRIDGE_NAME,
        CONFERENCE_ID,
        NUMBER,
        TOLL_FREE,
        PSTN_ONLY,
        TOLL_FREE_IN,
        field("pin", FieldType::Text { most: 8 }, "Asterisks when there is a PIN.", "Des astérisques s’il y a un code PIN."),
        field(
            "pinToBeHandedOver",
            FieldType::Flag,
            "Whether no mail carried the PIN, so that it has to be handed over.",
            "Aucun courriel n’a porté le code PIN : il doit être remis autrement.",
        ),
    ],
    acts: &[
        ActDeclaration {
            name: "enable",
            onto: Onto::Person,
            parameters: &[
                BRIDGE_ID,
                BRIDGE_NAME,
                NUMBER,
                TOLL_FREE,
                CONFERENCE_ID,
                PSTN_ONLY,
                TOLL_FREE_IN,
                field(
                    "replaceProvider",
                    FieldType::Flag,
                    "Take the person over from another provider.",
                    "Reprendre la personne à un autre fournisseur.",
                ),
                SEND,
                SEND_TO,
                SEND_FROM,
                SEND_FROM_NAME,
                FORCE,
                AS_JOB,
                TENANT,
                DOMAIN_CONTROLLER,
            ],
            permission: Permission::ConferencingManage,
            amounts_to: None,
            help_en: "Assigns the licence and turns conferencing on: a conference ID, a number and a PIN.",
            help_fr: "Attribue la licence et active l’audioconférence : un identifiant, un numéro et un code PIN.",
        },
        ActDeclaration {
            name: "change",
            onto: Onto::Person,
            parameters: &[
                BRIDGE_ID,
                BRIDGE_NAME,
                NUMBER,
                TOLL_FREE,
                CONFERENCE_ID,
                field(
                    "resetConferenceId",
                    FieldType::Flag,
                    "Make another conference ID; the old one is dead at once.",
                    "Créer un autre identifiant ; l’ancien ne vaut plus, immédiatement.",
                ),
                field(
                    "resetLeaderPin",
                    FieldType::Flag,
                    "Make another PIN. It is mailed, or shown once here when no mail carries it.",
                    "Créer un autre code PIN. Il est envoyé, ou affiché ici une seule fois si aucun courriel ne le porte.",
                ),
                PSTN_ONLY,
                TOLL_FREE_IN,
                field(
                    "provider",
                    NAME,
                    "Who provides conferencing: Own (or Microsoft), None, or another provider's name.",
                    "Qui fournit l’audioconférence : Own (ou Microsoft), None, ou le nom d’un autre fournisseur.",
                ),
                SEND,
                SEND_TO,
                SEND_FROM,
                SEND_FROM_NAME,
                FORCE,
                AS_JOB,
                TENANT,
                DOMAIN_CONTROLLER,
            ],
            permission: Permission::ConferencingManage,
            amounts_to: Some(AmountsTo { act: "send-info", with: &[SEND.name, SEND_TO.name] }),
            help_en: "Changes a person's conferencing settings.",
            help_fr: "Modifie les réglages d’audioconférence d’une personne.",
        },
        ActDeclaration {
            name: "disable",
            onto: Onto::Gone,
            parameters: &[FORCE, AS_JOB, TENANT, DOMAIN_CONTROLLER],
            permission: Permission::ConferencingManage,
            amounts_to: None,
            help_en: "Removes the licence and ends conferencing. The conference ID is free for others.",
            help_fr: "Retire la licence et met fin à l’audioconférence. L’identifiant redevient libre.",
        },
        ActDeclaration {
            name: "send-info",
            onto: Onto::Existing,
            parameters: &[],
            permission: Permission::ConferencingResend,
            amounts_to: None,
            help_en: "Mails the conference ID and number to the person, also while automatic mails are off. Never the PIN.",
            help_fr: "Envoie à la personne son identifiant et son numéro, même si les courriels automatiques sont désactivés. Jamais le code PIN.",
        },
    ],
    reading: Permission::DirectoryRead,
    conflicts: &["no_license", "third_party_provider", "conferencing_disabled", "two_adapters"],
    help_en: "One person's conferencing settings.",
    help_fr: "Les réglages d’audioconférence d’une personne.",
};
