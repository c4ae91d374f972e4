//! What the admin shell offers of conferencing, under the documented names and the spellings that the documents have.

use super::settings::{CONFIGURATION, PARAMETERS};
use model::cmdlets::{CmdletDeclaration, Reaches};
use model::objects::ObjectKind;

const fn cmdlet(name: &'static str, reaches: Reaches, help_en: &'static str, help_fr: &'static str) -> CmdletDeclaration {
    CmdletDeclaration { name, aliases: &[], reaches, asks: false, help_en, help_fr, examples: &[] }
}

const fn on_users(act: &'static str) -> Reaches {
    Reaches::Act { kind: ObjectKind::ConferencingUser, act }
}

const fn on_bridges(act: &'static str) -> Reaches {
    Reaches::Act { kind: ObjectKind::ConferencingBridge, act }
}

/// All of them.
pub(super) const CMDLETS: &[CmdletDeclaration] = &[
    CmdletDeclaration {
        aliases: &["Get-CsOnlineDialInConferencingTenantSetting"],
        examples: &["Get-CsOnlineDialInConferencingTenantSettings"],
        ..cmdlet(
            "Get-CsOnlineDialInConferencingTenantSettings",
            Reaches::ShowSettings(PARAMETERS),
            "Shows the organization's conferencing settings.",
            "Affiche les réglages d’audioconférence de l’organisation.",
        )
    },
    CmdletDeclaration {
        aliases: &["Set-CsOnlineDialInConferencingTenantSetting"],
        examples: &[
            "Set-CsOnlineDialInConferencingTenantSetting -AutomaticallySendEmailsToUsers $false",
            "Set-CsOnlineDialInConferencingTenantSettings -PinLength 8",
            "Set-CsOnlineDialInConferencingTenantSetting -SendEmailOverride $true -SendEmailFromAddress amos.marble@example.org \
             -SendEmailFromDisplayName \"Amos Marble\"",
        ],
        ..cmdlet(
            "Set-CsOnlineDialInConferencingTenantSettings",
            Reaches::ChangeSettings(PARAMETERS),
            "Changes the organization's conferencing settings.",
            "Modifie les réglages d’audioconférence de l’organisation.",
        )
    },
    CmdletDeclaration {
        aliases: &[
            "Remove-CsOnlineDialInConferencingTenantSetting",
            "Supprimer-CsOnlineDialInConferencingTenantSettings",
            "Supprimer-CsOnlineDialInConferencingTenantSetting",
        ],
        asks: true,
        examples: &["Remove-CsOnlineDialInConferencingTenantSettings"],
        ..cmdlet(
            "Remove-CsOnlineDialInConferencingTenantSettings",
            Reaches::ResetSettings(PARAMETERS),
            "Returns the organization's conferencing settings to their defaults.",
            "Rétablit les réglages d’audioconférence par défaut.",
        )
    },
    CmdletDeclaration {
        examples: &["Get-CsOnlineDialinConferencingTenantConfiguration"],
        ..cmdlet(
            "Get-CsOnlineDialinConferencingTenantConfiguration",
            Reaches::ShowSettings(CONFIGURATION),
            "Shows whether people can be enabled for conferencing.",
            "Indique si des personnes peuvent être activées pour l’audioconférence.",
        )
    },
    CmdletDeclaration {
        examples: &[
            "Get-CsOnlineDialInConferencingUser -Identity ines.moreau@example.org",
            "Get-CsOnlineDialInConferencingUser | Where-Object { $_.BridgeName -eq \"Paris\" } | Set-CsOnlineDialInConferencingUser -ResetLeaderPin",
        ],
        ..cmdlet(
            "Get-CsOnlineDialInConferencingUser",
            Reaches::Show {
                kind: ObjectKind::ConferencingUser,
                by: &["bridgeId", "bridgeName", "serviceNumber", "tollFreeServiceNumber", "provider", "pinToBeHandedOver"],
            },
            "Shows people's conferencing settings. A PIN is never shown.",
            "Affiche les réglages d’audioconférence des personnes. Un code PIN n’est jamais affiché.",
        )
    },
    CmdletDeclaration {
        examples: &[
            "Set-CsOnlineDialInConferencingUser -id amos.marble@example.org -SendEmail",
            "Set-CsOnlineDialInConferencingUser -Identity ines.moreau@example.org -ResetLeaderPin",
            "Set-CsOnlineDialInConferencingUser -Identity ines.moreau@example.org -BridgeName Paris -ServiceNumber +33155501234",
        ],
        ..cmdlet(
            "Set-CsOnlineDialInConferencingUser",
            on_users("change"),
            "Changes a person's conferencing settings, and mails them what changed.",
            "Modifie les réglages d’audioconférence d’une personne et lui envoie ce qui a changé.",
        )
    },
    CmdletDeclaration {
        examples: &["Enable-CsOnlineDialInConferencingUser -Identity ines.moreau@example.org -BridgeName Paris"],
        ..cmdlet(
            "Enable-CsOnlineDialInConferencingUser",
            on_users("enable"),
            "Gives a person the licence and turns conferencing on. For somebody who has it, nothing happens.",
            "Attribue la licence et active l’audioconférence. Sans effet pour qui l’a déjà.",
        )
    },
    CmdletDeclaration {
        examples: &["Disable-CsOnlineDialInConferencingUser -Identity ines.moreau@example.org"],
        ..cmdlet(
            "Disable-CsOnlineDialInConferencingUser",
            on_users("disable"),
            "Takes the licence from a person and turns conferencing off. The conference ID is free for others.",
            "Retire la licence et désactive l’audioconférence. L’identifiant de conférence redevient libre.",
        )
    },
    CmdletDeclaration {
        examples: &["Send-CsOnlineDialInConferencingUserInfo -Identity ines.moreau@example.org"],
        ..cmdlet(
            "Send-CsOnlineDialInConferencingUserInfo",
            on_users("send-info"),
            "Mails a person their conference ID and number once more, never the PIN.",
            "Renvoie à une personne son identifiant de conférence et son numéro, jamais le code PIN.",
        )
    },
    CmdletDeclaration {
        examples: &["Get-CsOnlineDialInConferencingBridge -Identity Default"],
        ..cmdlet(
            "Get-CsOnlineDialInConferencingBridge",
            Reaches::Show { kind: ObjectKind::ConferencingBridge, by: &["recordOnly"] },
            "Shows conferencing bridges with their numbers.",
            "Affiche les ponts de conférence avec leurs numéros.",
        )
    },
    CmdletDeclaration {
        examples: &["Set-CsOnlineDialInConferencingBridge -Identity Paris -DefaultServiceNumber +33155501234"],
        ..cmdlet(
            "Set-CsOnlineDialInConferencingBridge",
            on_bridges("change"),
            "Changes a bridge. People who have a number keep it.",
            "Modifie un pont. Qui a déjà un numéro le garde.",
        )
    },
    CmdletDeclaration {
        examples: &["New-CsOnlineDialInConferencingBridge -Name Paris"],
        ..cmdlet("New-CsOnlineDialInConferencingBridge", on_bridges("create"), "Makes a bridge.", "Crée un pont.")
    },
    CmdletDeclaration {
        asks: true,
        examples: &["Remove-CsOnlineDialInConferencingBridge -Identity Paris -Confirm:$false"],
        ..cmdlet(
            "Remove-CsOnlineDialInConferencingBridge",
            on_bridges("delete"),
            "Deletes a bridge that nobody is on.",
            "Supprime un pont dont personne ne se sert.",
        )
    },
];
