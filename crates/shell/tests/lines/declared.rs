//! Declarations that mirror those of conferencing and telephony, for the tests of the shell alone.

use model::cmdlets::{CmdletDeclaration, Reaches, SettingParameter};
use model::objects::{ActDeclaration, FieldDeclaration, FieldType, Naming, Need, ObjectDeclaration, ObjectKind, Onto};
use model::policy::{SettingDeclaration, SettingType};
use model::roles::Permission;
use shell::Catalogue;

const fn field(
    name: &'static str,
    kind: FieldType,
    default: &'static str,
    help_en: &'static str,
    help_fr: &'static str,
) -> FieldDeclaration {
    FieldDeclaration { name, aliases: &[], kind, need: Need::May, default, works: true, help_en, help_fr }
}

const fn act(name: &'static str, onto: Onto, parameters: &'static [FieldDeclaration]) -> ActDeclaration {
    ActDeclaration {
        name,
        onto,
        parameters,
        permission: Permission::TelephonyManage,
        amounts_to: None,
        help_en: "Does it.",
        help_fr: "Le fait.",
    }
}

const NAME: FieldDeclaration =
    FieldDeclaration { need: Need::Must, ..field("name", FieldType::Text { most: 64 }, "", "Its name.", "Son nom.") };
const DIGITS: FieldDeclaration = FieldDeclaration {
    need: Need::Must,
    ..field("numberOfDigitsInExtension", FieldType::Whole { least: 1, most: 20 }, "", "Digits of an extension.", "Chiffres d’un poste.")
};
const URI: FieldDeclaration = FieldDeclaration {
    works: false,
    ..field("uRIType", FieldType::Choice(&["TelExtn", "SipName", "E164"]), "\"TelExtn\"", "Kind of addresses.", "Type d’adresses.")
};
const PLAN: FieldDeclaration =
    field("uMDialPlan", FieldType::Object(ObjectKind::DialPlan), "", "The dial plan it belongs to.", "Le plan de numérotation.");
const MISSED: FieldDeclaration = field(
    "allowMissedCallNotifications",
    FieldType::Flag,
    "true",
    "Missed calls are told by mail.",
    "Les appels manqués sont signalés par courriel.",
);
const PIN_LENGTH: FieldDeclaration =
    field("minPINLength", FieldType::Whole { least: 4, most: 24 }, "6", "Fewest digits of a PIN.", "Nombre minimal de chiffres d’un code.");
const LIFETIME: FieldDeclaration =
    field("pINLifetime", FieldType::WholeOrUnlimited { least: 1, most: 999 }, "60", "Days a PIN lasts.", "Durée d’un code, en jours.");
const LANGUAGES: FieldDeclaration =
    field("languages", FieldType::List { of: &FieldType::Language, most: 4 }, "[]", "Languages of the greeting.", "Langues de l’accueil.");
const TEXT: FieldDeclaration =
    field("uMEnabledText", FieldType::Text { most: 512 }, "\"\"", "What the welcome mail adds.", "Ce que le message de bienvenue ajoute.");
const POLICY: FieldDeclaration =
    field("uMMailboxPolicy", FieldType::Object(ObjectKind::MailboxPolicy), "", "The mailbox policy.", "La stratégie de boîte vocale.");
const EXTENSIONS: FieldDeclaration = field(
    "extensions",
    FieldType::List { of: &FieldType::Digits { least: 1, most: 20 }, most: 5 },
    "[]",
    "Extensions in the dial plan.",
    "Postes dans le plan de numérotation.",
);
const PIN: FieldDeclaration =
    field("pIN", FieldType::Digits { least: 4, most: 24 }, "", "A PIN; one is made if none is given.", "Un code.");

const BRIDGE: FieldDeclaration =
    field("bridgeName", FieldType::Object(ObjectKind::ConferencingBridge), "", "The bridge.", "Le pont de conférence.");
const NUMBER: FieldDeclaration = field("serviceNumber", FieldType::Phone, "", "The default number.", "Le numéro par défaut.");
const RESET_PIN: FieldDeclaration = field("resetLeaderPin", FieldType::Flag, "false", "Makes a new PIN.", "Crée un nouveau code.");
const RESET_ID: FieldDeclaration =
    field("resetConferenceId", FieldType::Flag, "false", "Makes a new conference ID.", "Crée un nouvel identifiant de conférence.");
const SEND: FieldDeclaration = field("sendEmail", FieldType::Flag, "false", "Sends the details.", "Envoie les informations.");
const SEND_TO: FieldDeclaration = field("sendEmailToAddress", FieldType::Mail, "", "To this address instead.", "À cette adresse plutôt.");
const NUMBERS: FieldDeclaration = field(
    "serviceNumbers",
    FieldType::Records {
        fields: &[
            FieldDeclaration { need: Need::Must, ..field("number", FieldType::Phone, "", "The number.", "Le numéro.") },
            field("tollFree", FieldType::Flag, "false", "Free for the caller.", "Gratuit pour l’appelant."),
        ],
        most: 50,
    },
    "[]",
    "Numbers by which it is called.",
    "Numéros d’appel.",
);

static DIAL_PLAN: ObjectDeclaration = ObjectDeclaration {
    tag: "Telephony",
    kind: ObjectKind::DialPlan,
    path: "dial-plans",
    naming: Naming::Own { most: 64 },
    fields: &[DIGITS, URI],
    acts: &[act("create", Onto::New, &[NAME, DIGITS, URI]), act("delete", Onto::Gone, &[])],
    reading: Permission::DirectoryRead,
    conflicts: &[],
    help_en: "A dial plan.",
    help_fr: "Un plan de numérotation.",
};

static MAILBOX_POLICY: ObjectDeclaration = ObjectDeclaration {
    kind: ObjectKind::MailboxPolicy,
    path: "mailbox-policies",
    fields: &[PLAN, MISSED, PIN_LENGTH, LIFETIME, LANGUAGES, TEXT],
    acts: &[
        act("create", Onto::New, &[NAME, FieldDeclaration { need: Need::Must, ..PLAN }]),
        act("change", Onto::Existing, &[MISSED, PIN_LENGTH, LIFETIME, LANGUAGES, TEXT]),
        act("delete", Onto::Gone, &[]),
    ],
    ..DIAL_PLAN
};

static MAILBOX: ObjectDeclaration = ObjectDeclaration {
    kind: ObjectKind::Mailbox,
    path: "mailboxes",
    naming: Naming::Person,
    fields: &[POLICY, EXTENSIONS],
    acts: &[
        act("enable", Onto::Person, &[FieldDeclaration { need: Need::Must, ..POLICY }, EXTENSIONS, PIN]),
        act("change", Onto::Existing, &[POLICY, EXTENSIONS]),
        act("disable", Onto::Gone, &[]),
    ],
    ..DIAL_PLAN
};

static CONFERENCING_USER: ObjectDeclaration = ObjectDeclaration {
    kind: ObjectKind::ConferencingUser,
    path: "conferencing-users",
    naming: Naming::Person,
    fields: &[BRIDGE, NUMBER],
    acts: &[act("change", Onto::Existing, &[BRIDGE, NUMBER, RESET_PIN, RESET_ID, SEND, SEND_TO]), act("disable", Onto::Gone, &[])],
    ..DIAL_PLAN
};

static CONFERENCING_BRIDGE: ObjectDeclaration = ObjectDeclaration {
    kind: ObjectKind::ConferencingBridge,
    path: "bridges",
    fields: &[NUMBERS],
    acts: &[act("change", Onto::Existing, &[NUMBERS])],
    ..DIAL_PLAN
};

const fn setting(
    key: &'static str,
    kind: SettingType,
    default: &'static str,
    help_en: &'static str,
    help_fr: &'static str,
) -> SettingDeclaration {
    SettingDeclaration { key, kind, default, help_en, help_fr, permission: Permission::ConferencingManage }
}

static SETTINGS: [SettingDeclaration; 5] = [
    setting(
        "conferencing.mail",
        SettingType::Switch,
        "true",
        "People get mail about changes.",
        "Les changements sont annoncés par courriel.",
    ),
    setting(
        "conferencing.pin_length",
        SettingType::Number { least: 4, most: 12 },
        "5",
        "Digits of new PINs.",
        "Chiffres des nouveaux codes.",
    ),
    setting("conferencing.from.override", SettingType::Switch, "false", "Another sender.", "Un autre expéditeur."),
    setting("conferencing.from.address", SettingType::Mail, "\"\"", "The sender’s address.", "L’adresse de l’expéditeur."),
    setting("conferencing.from.name", SettingType::Text { most: 100 }, "\"\"", "The sender’s name.", "Le nom de l’expéditeur."),
];

const fn named(name: &'static str, aliases: &'static [&'static str], key: &'static str) -> SettingParameter {
    SettingParameter { name, aliases, key, works: true }
}

const TENANT: &[SettingParameter] = &[
    named("AutomaticallySendEmailsToUsers", &[], "conferencing.mail"),
    named("PinLength", &[], "conferencing.pin_length"),
    named("SendEmailFromOverride", &["SendEmailOverride"], "conferencing.from.override"),
    named("SendEmailFromAddress", &[], "conferencing.from.address"),
    named("SendEmailFromDisplayName", &[], "conferencing.from.name"),
];

const fn cmdlet(name: &'static str, reaches: Reaches, help_en: &'static str, help_fr: &'static str) -> CmdletDeclaration {
    CmdletDeclaration { name, aliases: &[], reaches, asks: false, help_en, help_fr, examples: &[] }
}

const fn acts(name: &'static str, kind: ObjectKind, act: &'static str) -> CmdletDeclaration {
    cmdlet(name, Reaches::Act { kind, act }, "Does it.", "Le fait.")
}

static CMDLETS: [CmdletDeclaration; 18] = [
    CmdletDeclaration {
        aliases: &["Set-CsOnlineDialInConferencingTenantSetting"],
        examples: &["Set-CsOnlineDialInConferencingTenantSetting -AutomaticallySendEmailsToUsers $false"],
        ..cmdlet("Set-CsOnlineDialInConferencingTenantSettings", Reaches::ChangeSettings(TENANT), "Changes them.", "Les change.")
    },
    CmdletDeclaration {
        aliases: &["Get-CsOnlineDialInConferencingTenantSetting"],
        ..cmdlet("Get-CsOnlineDialInConferencingTenantSettings", Reaches::ShowSettings(TENANT), "Shows them.", "Les affiche.")
    },
    CmdletDeclaration {
        asks: true,
        ..cmdlet(
            "Remove-CsOnlineDialInConferencingTenantSettings",
            Reaches::ResetSettings(TENANT),
            "Back to the defaults.",
            "Retour aux défauts.",
        )
    },
    cmdlet(
        "Get-CsOnlineDialInConferencingUser",
        Reaches::Show { kind: ObjectKind::ConferencingUser, by: &["bridgeName"] },
        "Shows people’s conferencing.",
        "Affiche les conférences des personnes.",
    ),
    acts("Set-CsOnlineDialInConferencingUser", ObjectKind::ConferencingUser, "change"),
    CmdletDeclaration { asks: true, ..acts("Disable-CsOnlineDialInConferencingUser", ObjectKind::ConferencingUser, "disable") },
    acts("Set-CsOnlineDialInConferencingBridge", ObjectKind::ConferencingBridge, "change"),
    acts("New-UMDialPlan", ObjectKind::DialPlan, "create"),
    cmdlet("Get-UMDialPlan", Reaches::Show { kind: ObjectKind::DialPlan, by: &[] }, "Shows dial plans.", "Affiche les plans."),
    CmdletDeclaration { asks: true, ..acts("Remove-UMDialPlan", ObjectKind::DialPlan, "delete") },
    acts("New-UMMailboxPolicy", ObjectKind::MailboxPolicy, "create"),
    cmdlet(
        "Get-UMMailboxPolicy",
        Reaches::Show { kind: ObjectKind::MailboxPolicy, by: &["uMDialPlan"] },
        "Shows mailbox policies.",
        "Affiche les stratégies.",
    ),
    CmdletDeclaration {
        examples: &["Set-UMMailboxPolicy -identity MyUMMailboxPolicy -AllowMissedCallNotifications $false"],
        ..cmdlet(
            "Set-UMMailboxPolicy",
            Reaches::Act { kind: ObjectKind::MailboxPolicy, act: "change" },
            "Changes a mailbox policy.",
            "Change une stratégie.",
        )
    },
    CmdletDeclaration { asks: true, ..acts("Remove-UMMailboxPolicy", ObjectKind::MailboxPolicy, "delete") },
    cmdlet(
        "Get-UMMailbox",
        Reaches::Show { kind: ObjectKind::Mailbox, by: &["uMMailboxPolicy"] },
        "Shows mailboxes.",
        "Affiche les boîtes.",
    ),
    acts("Enable-UMMailbox", ObjectKind::Mailbox, "enable"),
    acts("Set-UMMailbox", ObjectKind::Mailbox, "change"),
    CmdletDeclaration { asks: true, ..acts("Disable-UMMailbox", ObjectKind::Mailbox, "disable") },
];

static OBJECTS: [&ObjectDeclaration; 5] = [&DIAL_PLAN, &MAILBOX_POLICY, &MAILBOX, &CONFERENCING_USER, &CONFERENCING_BRIDGE];

pub fn catalogue() -> Catalogue {
    Catalogue::new(&CMDLETS, OBJECTS, &SETTINGS)
}

/// With everything in it that a declaration can have wrong.
pub fn faulty() -> Catalogue {
    static WRONG: [CmdletDeclaration; 4] = [
        acts("Set-Role", ObjectKind::Role, "change"),
        acts("Paint-UMDialPlan", ObjectKind::DialPlan, "paint"),
        cmdlet("Get-Help", Reaches::Show { kind: ObjectKind::DialPlan, by: &["colour"] }, "x", "x"),
        CmdletDeclaration {
            aliases: &["sort"],
            examples: &["Get-UMDialPlan -Colour red"],
            ..acts("Get-UMDialPlan", ObjectKind::DialPlan, "delete")
        },
    ];
    Catalogue::new(&WRONG, OBJECTS, &SETTINGS)
}
