//! The organization's conferencing settings, which are the parameters of `Set-CsOnlineDialInConferencingTenantSettings`. Those
//! from which nothing follows here are kept and shown, and say so.

use model::Fault;
use model::cmdlets::SettingParameter;
use model::policy::{PolicySnapshot, SettingDeclaration, SettingType};
use model::roles::Permission;
use serde_json::Value;

/// Whether people are mailed when something changes for them.
pub(super) const AUTOMATIC_MAILS: &str = "conferencing.automatically_send_emails_to_users";
/// Digits of a new PIN.
pub(super) const PIN_LENGTH: &str = "conferencing.pin_length";
const OVERRIDE: &str = "conferencing.send_email_from_override";
const OVERRIDE_ADDRESS: &str = "conferencing.send_email_from_address";
const OVERRIDE_NAME: &str = "conferencing.send_email_from_display_name";
/// What `AllowPSTNOnlyMeetings` is for people who are enabled from now on.
pub(super) const PSTN_ONLY: &str = "conferencing.allow_pstn_only_meetings_by_default";
/// Whether enabling a person takes them over from another provider.
pub(super) const REPLACE_PROVIDER: &str = "conferencing.automatically_replace_acp_provider";
/// Whether people can be enabled at all.
pub(super) const STATUS: &str = "conferencing.status";

const fn setting(
    key: &'static str,
    kind: SettingType,
    default: &'static str,
    help_en: &'static str,
    help_fr: &'static str,
) -> SettingDeclaration {
    SettingDeclaration { key, kind, default, help_en, help_fr, permission: Permission::ConferencingManage }
}

const fn idle(key: &'static str, kind: SettingType, default: &'static str) -> SettingDeclaration {
    setting(
        key,
        kind,
        default,
        "Kept for compatibility with the documented parameter of this name; it has no effect.",
        "Conservé pour compatibilité avec le paramètre documenté du même nom ; sans effet.",
    )
}

/// All of them.
pub(super) const SETTINGS: &[SettingDeclaration] = &[
    setting(
        AUTOMATIC_MAILS,
        SettingType::Switch,
        "true",
        "Whether people are mailed when their conferencing is turned on or off, or their conference ID, default number or PIN changes. \
         Off stops these mails for everybody, at once; details that an administrator sends by hand still go, without the PIN.",
        "Envoi d’un courriel quand l’audioconférence d’une personne est activée ou désactivée, ou quand son identifiant de conférence, son \
         numéro par défaut ou son code PIN change. Désactivé : plus aucun de ces courriels, immédiatement ; les informations envoyées à la \
         main par un administrateur partent toujours, sans le code PIN.",
    ),
    setting(
        PIN_LENGTH,
        SettingType::Number { least: 4, most: 12 },
        "5",
        "Digits of a PIN. A new length holds for PINs that are made from then on.",
        "Nombre de chiffres d’un code PIN. Une nouvelle longueur vaut pour les codes créés ensuite.",
    ),
    setting(
        OVERRIDE,
        SettingType::Switch,
        "false",
        "Whether conferencing mails come from the address and display name set here instead of the organization's usual ones. Needs both.",
        "Les courriels d’audioconférence partent de l’adresse et du nom définis ici au lieu de ceux de l’organisation. Exige les deux.",
    ),
    setting(
        OVERRIDE_ADDRESS,
        SettingType::Mail,
        "\"\"",
        "Address from which conferencing mails come while conferencing.send_email_from_override is on.",
        "Adresse d’expédition des courriels d’audioconférence quand conferencing.send_email_from_override est activé.",
    ),
    setting(
        OVERRIDE_NAME,
        SettingType::Text { most: 128 },
        "\"\"",
        "Name from which conferencing mails come while conferencing.send_email_from_override is on.",
        "Nom d’expéditeur des courriels d’audioconférence quand conferencing.send_email_from_override est activé.",
    ),
    setting(
        PSTN_ONLY,
        SettingType::Switch,
        "false",
        "Whether meetings may begin without their organizer, for people who are enabled from then on. Others keep what they have.",
        "Réunions possibles sans leur organisateur, pour les personnes activées ensuite. Les autres gardent leur réglage.",
    ),
    setting(
        REPLACE_PROVIDER,
        SettingType::Switch,
        "false",
        "Whether enabling a person who has another conferencing provider takes them over without -ReplaceProvider.",
        "Activer une personne qui a un autre fournisseur la reprend sans -ReplaceProvider.",
    ),
    setting(
        STATUS,
        SettingType::Choice(&["Enabled", "Disabled"]),
        "\"Enabled\"",
        "Whether people can be enabled for conferencing. Disabled refuses new ones and leaves those who are.",
        "Possibilité d’activer des personnes pour l’audioconférence. Disabled refuse les nouvelles et ne change rien aux autres.",
    ),
    idle("conferencing.enable_entry_exit_notifications", SettingType::Switch, "true"),
    idle("conferencing.entry_exit_announcements_type", SettingType::Choice(&["UseNames", "ToneOnly"]), "\"UseNames\""),
    idle("conferencing.enable_name_recording", SettingType::Switch, "true"),
    idle("conferencing.automatically_migrate_user_meetings", SettingType::Switch, "false"),
    idle(
        "conferencing.mask_pstn_numbers_type",
        SettingType::Choice(&["MaskedForExternalUsers", "MaskedForAllUsers", "NoMasking"]),
        "\"MaskedForExternalUsers\"",
    ),
    idle("conferencing.enable_dial_out_join_confirmation", SettingType::Switch, "false"),
    idle("conferencing.migrate_service_numbers_on_cross_forest_move", SettingType::Switch, "false"),
    idle("conferencing.use_unique_conference_ids", SettingType::Switch, "false"),
    idle("conferencing.include_toll_free_number_in_meeting_invites", SettingType::Switch, "false"),
];

const fn parameter(name: &'static str, key: &'static str) -> SettingParameter {
    SettingParameter { name, aliases: &[], key, works: true }
}

const fn idle_parameter(name: &'static str, key: &'static str) -> SettingParameter {
    SettingParameter { works: false, ..parameter(name, key) }
}

/// Their names in the shell.
pub(super) const PARAMETERS: &[SettingParameter] = &[
    parameter("AutomaticallySendEmailsToUsers", AUTOMATIC_MAILS),
    parameter("PinLength", PIN_LENGTH),
    SettingParameter { aliases: &["SendEmailOverride"], ..parameter("SendEmailFromOverride", OVERRIDE) },
    parameter("SendEmailFromAddress", OVERRIDE_ADDRESS),
    parameter("SendEmailFromDisplayName", OVERRIDE_NAME),
    parameter("AllowPSTNOnlyMeetingsByDefault", PSTN_ONLY),
    parameter("AutomaticallyReplaceAcpProvider", REPLACE_PROVIDER),
    idle_parameter("EnableEntryExitNotifications", "conferencing.enable_entry_exit_notifications"),
    idle_parameter("EntryExitAnnouncementsType", "conferencing.entry_exit_announcements_type"),
    idle_parameter("EnableNameRecording", "conferencing.enable_name_recording"),
    idle_parameter("AutomaticallyMigrateUserMeetings", "conferencing.automatically_migrate_user_meetings"),
    idle_parameter("MaskPstnNumbersType", "conferencing.mask_pstn_numbers_type"),
    idle_parameter("EnableDialOutJoinConfirmation", "conferencing.enable_dial_out_join_confirmation"),
    idle_parameter("MigrateServiceNumbersOnCrossForestMove", "conferencing.migrate_service_numbers_on_cross_forest_move"),
    idle_parameter("UseUniqueConferenceIds", "conferencing.use_unique_conference_ids"),
    idle_parameter("IncludeTollFreeNumberInMeetingInvites", "conferencing.include_toll_free_number_in_meeting_invites"),
];

/// What `Get-CsOnlineDialinConferencingTenantConfiguration` shows.
pub(super) const CONFIGURATION: &[SettingParameter] = &[parameter("Status", STATUS)];

fn text<'a>(settings: &'a PolicySnapshot, key: &str) -> &'a str {
    settings.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether settings go together: another sender needs an address and a name, and a logo is fetched over HTTPS.
pub(super) fn check(settings: &PolicySnapshot) -> Result<(), Fault> {
    let fault = |key: &str, message: String| Err(Fault { field: key.to_owned(), message });
    for key in [OVERRIDE_ADDRESS, OVERRIDE_NAME] {
        if settings.switch(OVERRIDE) && text(settings, key).trim().is_empty() {
            return fault(key, format!("{OVERRIDE} needs {OVERRIDE_ADDRESS} and {OVERRIDE_NAME}; set {key} too, or turn it off"));
        }
    }
    let logo = model::source::Branding::of(settings).logo_url;
    if !logo.is_empty() && !logo.starts_with("https://") {
        return fault("branding.logo_url", format!("takes an address that begins with https://, or \"\" for none, not {logo:?}"));
    }
    Ok(())
}

/// Name and address from which mails come, where they do not come from the organization's own.
pub(super) fn sender(settings: &PolicySnapshot) -> Option<(String, String)> {
    let (name, address) = (text(settings, OVERRIDE_NAME), text(settings, OVERRIDE_ADDRESS));
    (settings.switch(OVERRIDE) && !name.trim().is_empty() && !address.is_empty()).then(|| (name.to_owned(), address.to_owned()))
}

/// Whether people can be enabled.
pub(super) fn on(settings: &PolicySnapshot) -> bool {
    text(settings, STATUS) != "Disabled"
}
