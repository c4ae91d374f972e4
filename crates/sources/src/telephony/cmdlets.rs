//! Cmdlets of telephony (SPEC §7). Their parameters are those of the acts that they reach.

use super::mailbox::POLICY;
use super::mailbox_policy::PLAN;
use model::cmdlets::{CmdletDeclaration, Reaches};
use model::objects::ObjectKind;
use model::objects::ObjectKind::{DialPlan, Mailbox, MailboxPolicy};

const fn show(
    name: &'static str,
    kind: ObjectKind,
    by: &'static [&'static str],
    help: (&'static str, &'static str),
    examples: &'static [&'static str],
) -> CmdletDeclaration {
    CmdletDeclaration { name, aliases: &[], reaches: Reaches::Show { kind, by }, asks: false, help_en: help.0, help_fr: help.1, examples }
}

const fn act(
    name: &'static str,
    kind: ObjectKind,
    act: &'static str,
    asks: bool,
    help: (&'static str, &'static str),
    examples: &'static [&'static str],
) -> CmdletDeclaration {
    CmdletDeclaration { name, aliases: &[], reaches: Reaches::Act { kind, act }, asks, help_en: help.0, help_fr: help.1, examples }
}

/// All of them.
pub(super) const CMDLETS: &[CmdletDeclaration] = &[
    act(
        "New-UMDialPlan",
        DialPlan,
        "create",
        false,
        ("Creates a dial plan and its default mailbox policy.", "Crée un plan de numérotation et sa stratégie de boîte vocale par défaut."),
        &["New-UMDialplan -Name MyUMDialPlan -NumberofDigits 4", "New-UMDialPlan Lyon -NumberOfDigitsInExtension 3 -E164Prefix +33472100"],
    ),
    show(
        "Get-UMDialPlan",
        DialPlan,
        &[],
        ("Shows dial plans: all, or one.", "Affiche les plans de numérotation : tous, ou un seul."),
        &["Get-UMDialPlan", "Get-UMDialPlan MyUMDialPlan"],
    ),
    act(
        "Set-UMDialPlan",
        DialPlan,
        "change",
        false,
        ("Changes a dial plan.", "Modifie un plan de numérotation."),
        &["Set-UMDialPlan MyUMDialPlan -CountryOrRegionCode 33"],
    ),
    act(
        "Remove-UMDialPlan",
        DialPlan,
        "delete",
        true,
        ("Deletes a dial plan that no policy belongs to.", "Supprime un plan de numérotation auquel aucune stratégie n’appartient."),
        &["Remove-UMDialPlan MyUMDialPlan -Confirm:$false"],
    ),
    act(
        "New-UMMailboxPolicy",
        MailboxPolicy,
        "create",
        false,
        ("Creates a mailbox policy in a dial plan.", "Crée une stratégie de boîte vocale dans un plan de numérotation."),
        &["New-UMMailboxPolicy -Name MyUMMailboxPolicy -UMDialPlan MyUMDialPlan"],
    ),
    show(
        "Get-UMMailboxPolicy",
        MailboxPolicy,
        &[PLAN],
        (
            "Shows mailbox policies: all, those of a dial plan, or one.",
            "Affiche les stratégies : toutes, celles d’un plan de numérotation, ou une seule.",
        ),
        &["Get-UMMailboxPolicy", "Get-UMMailboxPolicy -UMDialPlan MyUMDialPlan"],
    ),
    act(
        "Set-UMMailboxPolicy",
        MailboxPolicy,
        "change",
        false,
        (
            "Changes a mailbox policy, for every mailbox under it.",
            "Modifie une stratégie, pour toutes les boîtes vocales qui en dépendent.",
        ),
        &["Set-UMMailboxPolicy -identity MyUMMailboxPolicy -AllowMissedCallNotifications $false"],
    ),
    act(
        "Remove-UMMailboxPolicy",
        MailboxPolicy,
        "delete",
        true,
        ("Deletes a mailbox policy that no mailbox uses.", "Supprime une stratégie qu’aucune boîte vocale n’utilise."),
        &["Remove-UMMailboxPolicy MyUMMailboxPolicy -Confirm:$false"],
    ),
    act(
        "Enable-UMMailbox",
        Mailbox,
        "enable",
        false,
        ("Gives a person a mailbox.", "Donne une boîte vocale à une personne."),
        &["Enable-UMMailbox -Identity ada@example.org -UMMailboxPolicy \"Lyon Default Policy\" -Extensions 102"],
    ),
    act(
        "Disable-UMMailbox",
        Mailbox,
        "disable",
        true,
        ("Takes a person's mailbox away.", "Retire la boîte vocale d’une personne."),
        &["Disable-UMMailbox ada@example.org -Confirm:$false"],
    ),
    show(
        "Get-UMMailbox",
        Mailbox,
        &[POLICY],
        ("Shows mailboxes: all, those of a policy, or one.", "Affiche les boîtes vocales : toutes, celles d’une stratégie, ou une seule."),
        &["Get-UMMailbox", "Get-UMMailbox ada@example.org"],
    ),
    act(
        "Set-UMMailbox",
        Mailbox,
        "change",
        false,
        ("Changes a mailbox.", "Modifie une boîte vocale."),
        &["Set-UMMailbox ada@example.org -MissedCallNotificationEnabled $false"],
    ),
];
