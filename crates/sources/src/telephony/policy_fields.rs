//! The parameters of a mailbox policy, with the defaults and bounds of the documented system.
//!
//! Those made by `without!` are kept and shown and have no effect: they belong to a system that answers calls itself.

use super::fields::{idle, may};
use super::mailbox_policy::{DIGITS_FIELD, PLAN_FIELD};
use model::objects::{FieldDeclaration, FieldType};

/// Field that says whether missed calls are mailed.
pub(super) const MISSED_CALLS: &str = "allowMissedCallNotifications";
/// Field with words for the mails that carry a voice message.
pub(super) const VOICE_MAIL_TEXT: &str = "voiceMailText";
/// Field with the wrong PINs after which a PIN is reset.
pub(super) const FAILURES: &str = "logonFailuresBeforePinReset";
/// Field with the wrong PINs after which a mailbox is locked.
pub(super) const ATTEMPTS: &str = "maxLogonAttempts";

/// Texts of the documented system: at most 512 characters.
const TEXT: FieldType = FieldType::Text { most: 512 };
const PROTECTION: FieldType = FieldType::Choice(&["None", "Private", "All"]);

/// A parameter from which nothing follows here.
macro_rules! without {
    ($name:expr, $kind:expr, $default:literal, $en:literal, $fr:literal) => {
        idle($name, $kind, $default, concat!("Kept without effect: ", $en, "."), concat!("Conservé sans effet : ", $fr, "."))
    };
}

/// What a policy shows: the plan and what it says first, then the parameters.
pub(super) const FIELDS: [FieldDeclaration; 35] = [
    DIGITS_FIELD,
    PLAN_FIELD,
    may(
        MISSED_CALLS,
        FieldType::Flag,
        "true",
        "Whether missed calls are mailed to the people under this policy. Pushes follow the push switches.",
        "Si les appels manqués sont envoyés par courriel aux personnes de cette stratégie. Les notifications poussées suivent leurs propres réglages.",
    ),
    may(
        VOICE_MAIL_TEXT,
        TEXT,
        "\"\"",
        "Words that stand at the end of every mail with a voice message, as they are; at most 512 characters.",
        "Texte ajouté tel quel à la fin de chaque courriel portant un message vocal ; 512 caractères au plus.",
    ),
    without!("allowVoiceMailPreview", FieldType::Flag, "true", "written previews of voice messages", "transcription des messages vocaux"),
    without!("allowMessageWaitingIndicator", FieldType::Flag, "true", "the lamp for waiting messages", "voyant de message en attente"),
    without!("allowSmsNotification", FieldType::Flag, "true", "text messages about calls", "SMS d’avis d’appel"),
    without!("allowPlayOnPhone", FieldType::Flag, "true", "playing messages on a telephone", "lecture des messages au téléphone"),
    without!(
        "allowSubscriberAccess",
        FieldType::Flag,
        "true",
        "access to the mailbox by telephone",
        "accès à la boîte vocale par téléphone"
    ),
    without!("allowCallAnsweringRules", FieldType::Flag, "true", "people's own rules for answering", "règles personnelles de réponse"),
    without!("allowAutomaticSpeechRecognition", FieldType::Flag, "true", "commands by voice", "commandes vocales"),
    without!("allowTuiAccessToCalendar", FieldType::Flag, "true", "the calendar by telephone", "agenda par téléphone"),
    without!("allowTuiAccessToDirectory", FieldType::Flag, "true", "the directory by telephone", "annuaire par téléphone"),
    without!("allowTuiAccessToEmail", FieldType::Flag, "true", "mail by telephone", "courriel par téléphone"),
    without!(
        "allowTuiAccessToPersonalContacts",
        FieldType::Flag,
        "true",
        "personal contacts by telephone",
        "contacts personnels par téléphone"
    ),
    without!("allowDialPlanSubscribers", FieldType::Flag, "true", "dialling others of the dial plan", "appel des abonnés du plan"),
    without!("allowExtensions", FieldType::Flag, "true", "dialling extensions", "appel des postes"),
    without!("allowFax", FieldType::Flag, "true", "fax", "télécopie"),
    without!(
        "allowPinlessVoiceMailAccess",
        FieldType::Flag,
        "false",
        "access to voice mail without a PIN",
        "accès à la messagerie sans code"
    ),
    without!("allowCommonPatterns", FieldType::Flag, "false", "simple PINs", "codes triviaux"),
    without!(
        "requireProtectedPlayOnPhone",
        FieldType::Flag,
        "false",
        "protected messages only on a telephone",
        "messages protégés lus au téléphone seulement"
    ),
    without!("minPinLength", FieldType::Whole { least: 4, most: 24 }, "6", "shortest PIN", "longueur minimale du code"),
    without!(
        "pinLifetime",
        FieldType::WholeOrUnlimited { least: 1, most: 999 },
        "60",
        "days until a PIN expires",
        "jours de validité du code"
    ),
    without!("pinHistoryCount", FieldType::Whole { least: 1, most: 20 }, "5", "PINs before one may return", "codes avant réutilisation"),
    without!(
        FAILURES,
        FieldType::WholeOrUnlimited { least: 0, most: 999 },
        "5",
        "wrong PINs until it is reset; below maxLogonAttempts",
        "codes erronés avant réinitialisation ; inférieur à maxLogonAttempts"
    ),
    without!(
        ATTEMPTS,
        FieldType::WholeOrUnlimited { least: 1, most: 999 },
        "15",
        "wrong PINs until the mailbox is locked",
        "codes erronés avant verrouillage"
    ),
    without!(
        "maxGreetingDuration",
        FieldType::Whole { least: 1, most: 10 },
        "5",
        "longest greeting, in minutes",
        "durée maximale de l’accueil, en minutes"
    ),
    without!(
        "voiceMailPreviewPartnerMaxDeliveryDelay",
        FieldType::Whole { least: 300, most: 86_400 },
        "1200",
        "longest wait for a preview, in seconds",
        "attente maximale d’une transcription, en secondes"
    ),
    without!(
        "voiceMailPreviewPartnerMaxMessageDuration",
        FieldType::Whole { least: 60, most: 86_400 },
        "180",
        "longest message with a preview, in seconds",
        "durée maximale d’un message transcrit, en secondes"
    ),
    without!(
        "umEnabledText",
        TEXT,
        "\"\"",
        "words of the welcome mail, which Carillon does not send",
        "texte du courriel de bienvenue, que Carillon n’envoie pas"
    ),
    without!(
        "resetPinText",
        TEXT,
        "\"\"",
        "words of the PIN mail, which Carillon does not send",
        "texte du courriel de code, que Carillon n’envoie pas"
    ),
    without!("faxMessageText", TEXT, "\"\"", "words of fax mails", "texte des courriels de télécopie"),
    without!("protectedVoiceMailText", TEXT, "\"\"", "words of protected messages", "texte des messages protégés"),
    without!(
        "protectAuthenticatedVoiceMail",
        PROTECTION,
        "\"None\"",
        "protection of messages by known callers",
        "protection des messages d’appelants connus"
    ),
    without!(
        "protectUnauthenticatedVoiceMail",
        PROTECTION,
        "\"None\"",
        "protection of messages by unknown callers",
        "protection des messages d’appelants inconnus"
    ),
];
