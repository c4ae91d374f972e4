//! Cmdlets of the admin shell, as the sources declare them: a name, and what it reaches. Parameters, their types, defaults
//! and help come from the act or the settings that it reaches, so that there is no second list of them.

use crate::objects::ObjectKind;

/// What a cmdlet reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reaches {
    /// Objects of a kind: all, or the one that `-Identity` names. Its further parameters narrow the list by fields.
    Show {
        /// Which kind.
        kind: ObjectKind,
        /// Fields by whose value the list may be narrowed.
        by: &'static [&'static str],
    },
    /// An act. Its parameters are the act's, and `-Identity` where it works on something that is there.
    Act {
        /// On which kind.
        kind: ObjectKind,
        /// Which.
        act: &'static str,
    },
    /// Values of settings.
    ShowSettings(&'static [SettingParameter]),
    /// Changes settings, all that are given or none.
    ChangeSettings(&'static [SettingParameter]),
    /// Returns settings to their defaults.
    ResetSettings(&'static [SettingParameter]),
}

/// A setting under the name that the shell has for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SettingParameter {
    /// The parameter.
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// The setting's key.
    pub key: &'static str,
    /// Whether anything follows from it; what does not is kept, shown, and reported as having no effect.
    pub works: bool,
}

/// One cmdlet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CmdletDeclaration {
    /// Verb and noun.
    pub name: &'static str,
    /// Other spellings that documents have.
    pub aliases: &'static [&'static str],
    /// What it reaches.
    pub reaches: Reaches,
    /// Whether it asks before it does it, unless `-Confirm:$false` is said.
    pub asks: bool,
    /// What it does, in English.
    pub help_en: &'static str,
    /// What it does, in French.
    pub help_fr: &'static str,
    /// Lines that work.
    pub examples: &'static [&'static str],
}
