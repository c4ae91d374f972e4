//! The cmdlets that there are: those that the sources declare, with parameters derived from acts, fields and settings, and the
//! few that every pipeline needs.

mod builtin;
mod convert;
mod declared;
mod rules;

pub(crate) use builtin::BuiltIn;

use crate::item::same;
use crate::wrong::Misfit;
use model::Locale;
use model::cmdlets::{CmdletDeclaration, SettingParameter};
use model::objects::{ActDeclaration, FieldType, ObjectDeclaration, ObjectKind};
use model::policy::SettingDeclaration;

/// What a parameter takes.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// What a field takes.
    Field(FieldType),
    /// What a setting takes.
    Setting(&'static SettingDeclaration),
    /// Nothing, or `:$false`.
    Switch,
    /// A whole number of objects.
    Count,
    /// A block.
    Block,
    /// Anything.
    Any,
}

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Names the object.
    Identity,
    /// Asks, or does not.
    Confirm,
    /// Says and does not do.
    WhatIf,
    /// Does not ask.
    Force,
    /// Bounds a list.
    ResultSize,
    /// A field of the object or the act.
    Field(&'static str),
    /// A setting, by its key.
    Setting(&'static str),
    /// A built-in cmdlet's own.
    Own(&'static str),
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, as it is shown.
    pub name: String,
    /// Other spellings.
    pub aliases: Vec<&'static str>,
    /// What it takes.
    pub takes: Takes,
    /// Whether it has to be given.
    pub must: bool,
    /// Its default as JSON, or nothing.
    pub default: &'static str,
    /// Whether anything follows from it.
    pub works: bool,
    /// What it is, in English and in French.
    pub help: (&'static str, &'static str),
    pub(crate) target: For,
}

/// What a cmdlet does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Shows objects.
    Show(&'static ObjectDeclaration),
    /// Acts on one.
    Act(&'static ObjectDeclaration, &'static ActDeclaration),
    /// Shows settings.
    ShowSettings(&'static [SettingParameter]),
    /// Changes settings.
    ChangeSettings(&'static [SettingParameter]),
    /// Returns them to their defaults.
    ResetSettings(&'static [SettingParameter]),
    /// Works on what is in the pipeline.
    BuiltIn(BuiltIn),
}

/// One cmdlet.
#[derive(Clone, Debug)]
pub struct Cmdlet {
    /// Verb and noun.
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// What it takes.
    pub parameters: Vec<Parameter>,
    /// What it does, in English and in French.
    pub help: (&'static str, &'static str),
    /// Lines that work.
    pub examples: &'static [&'static str],
    /// Whether it asks first.
    pub asks: bool,
    pub(crate) does: Does,
    /// The parameter that the first value without a name is for.
    pub(crate) first: Option<usize>,
}

/// Every cmdlet.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    cmdlets: Vec<Cmdlet>,
    faults: Vec<String>,
}

/// Most names that somebody may have meant; more would be a list to read.
const NEAR_MOST: usize = 3;
/// Fewest letters of which it is said which names hold them: fewer stand in most names.
const HELD_LEAST: usize = 4;

/// Verbs as translated documentation has them, and what they are.
const TRANSLATED: &[(&str, &str)] = &[
    ("supprimer", "Remove"),
    ("obtenir", "Get"),
    ("définir", "Set"),
    ("definir", "Set"),
    ("activer", "Enable"),
    ("désactiver", "Disable"),
    ("desactiver", "Disable"),
    ("nouveau", "New"),
    ("nouvelle", "New"),
    ("nouvel", "New"),
    ("accorder", "Grant"),
];

/// What the documented systems take and this one has no use for, and why not.
const NO_SUCH: &[(&str, &str, &str)] = &[
    ("Tenant", "the token says which organization it is; leave it out", "le jeton dit de quelle organisation il s’agit ; omettez-le"),
    ("Instance", "give the values themselves as parameters", "donnez les valeurs elles-mêmes en paramètres"),
    ("LocalStore", "there is one store; leave it out", "il n’y a qu’un magasin ; omettez-le"),
    ("InMemory", "nothing is made in memory only; use -WhatIf to try", "rien n’est créé seulement en mémoire ; essayez avec -WhatIf"),
    ("DomainController", "there is none; leave it out", "il n’y en a pas ; omettez-le"),
    ("Filter", "pipe into Where-Object { … } instead", "utilisez plutôt | Where-Object { … }"),
    ("ErrorAction", "errors of one object are reported and the rest goes on", "les erreurs d’un objet sont signalées et le reste continue"),
    ("AsJob", "nothing runs in the background here; leave it out", "rien ne s’exécute en arrière-plan ici ; omettez-le"),
];

impl Catalogue {
    /// From what the sources and the engine declare.
    pub fn new(
        cmdlets: impl IntoIterator<Item = &'static CmdletDeclaration>,
        objects: impl IntoIterator<Item = &'static ObjectDeclaration>,
        settings: impl IntoIterator<Item = &'static SettingDeclaration>,
    ) -> Catalogue {
        let (objects, settings) = (objects.into_iter().collect::<Vec<_>>(), settings.into_iter().collect::<Vec<_>>());
        let mut catalogue = Catalogue { cmdlets: builtin::all(), faults: Vec::new() };
        for declaration in cmdlets {
            match declared::cmdlet(declaration, &objects, &settings) {
                Ok(cmdlet) => catalogue.take(cmdlet),
                Err(fault) => catalogue.faults.push(format!("{}: {fault}", declaration.name)),
            }
        }
        catalogue.cmdlets.sort_by_key(|cmdlet| cmdlet.name);
        for cmdlet in &catalogue.cmdlets {
            for line in cmdlet.examples {
                if let Err(complaint) = crate::plan::plan(line, &catalogue) {
                    catalogue.faults.push(format!("{}: the example {line:?}: {}", cmdlet.name, complaint.wrong.say(Locale::En)));
                }
            }
        }
        catalogue
    }

    fn take(&mut self, cmdlet: Cmdlet) {
        for name in cmdlet.names() {
            if self.cmdlets.iter().any(|known| known.names().any(|other| same(name, other))) {
                self.faults.push(format!("{}: the name {name} is taken already", cmdlet.name));
            }
        }
        let mut spellings: Vec<String> = cmdlet.parameters.iter().flat_map(|p| p.spellings().map(str::to_lowercase)).collect();
        spellings.sort();
        if let Some(pair) = spellings.windows(2).find(|pair| pair[0] == pair[1]) {
            self.faults.push(format!("{}: two parameters are called -{}", cmdlet.name, pair[0]));
        }
        self.cmdlets.push(cmdlet);
    }

    /// What is wrong with the declarations: what they refer to and is not there, names that are taken twice, examples that do not
    /// run. Empty in a program that was tested.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Every cmdlet, in the order of their names.
    pub fn cmdlets(&self) -> &[Cmdlet] {
        &self.cmdlets
    }

    /// One cmdlet, by any of its names in any case.
    pub fn find(&self, name: &str) -> Option<&Cmdlet> {
        self.cmdlets.iter().find(|cmdlet| cmdlet.names().any(|known| same(known, name)))
    }

    /// The same, or why there is none.
    pub(crate) fn resolve(&self, name: &str) -> Result<&Cmdlet, Misfit> {
        if let Some(cmdlet) = self.find(name) {
            return Ok(cmdlet);
        }
        let translated = name.split_once('-').and_then(|(verb, noun)| {
            let (_, plain) = TRANSLATED.iter().find(|(foreign, _)| same(foreign, verb))?;
            self.find(&format!("{plain}-{noun}"))
        });
        match translated {
            Some(cmdlet) => Err(Misfit::TranslatedVerb { name: name.to_owned(), meant: cmdlet.name.to_owned() }),
            None => Err(Misfit::UnknownCmdlet { name: name.to_owned(), near: self.near(name) }),
        }
    }

    /// Cmdlets whose names are nearly this one.
    pub(crate) fn near(&self, name: &str) -> Vec<String> {
        let allowed = (name.chars().count() / 5).min(4);
        let mut found: Vec<(usize, &str)> = self
            .cmdlets
            .iter()
            .flat_map(|cmdlet| cmdlet.names().map(|known| (distance(known, name, allowed + 1), cmdlet.name)).min())
            .filter(|(distance, _)| *distance <= allowed)
            .collect();
        found.sort_unstable();
        found.into_iter().take(NEAR_MOST).map(|(_, name)| name.to_owned()).collect()
    }
}

impl Cmdlet {
    /// Its name and the other spellings of it.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The parameter that a name, or the beginning of one, means.
    pub(crate) fn parameter(&self, name: &str) -> Result<usize, Misfit> {
        let begins = |spelling: &str| spelling.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
        if let Some(exact) = self.parameters.iter().position(|p| p.spellings().any(|spelling| same(spelling, name))) {
            return Ok(exact);
        }
        let found: Vec<usize> = (0..self.parameters.len()).filter(|at| self.parameters[*at].spellings().any(begins)).collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(self.unknown(name)),
            many => {
                let candidates = many.iter().map(|at| format!("-{}", self.parameters[*at].name)).collect();
                Err(Misfit::AmbiguousParameter { name: name.to_owned(), candidates })
            }
        }
    }

    fn unknown(&self, name: &str) -> Misfit {
        if let Some((known, en, fr)) = NO_SUCH.iter().find(|(known, _, _)| same(known, name)) {
            return Misfit::NoSuchConcept { name: (*known).to_owned(), why: (en, fr) };
        }
        Misfit::UnknownParameter { cmdlet: self.name.to_owned(), name: name.to_owned(), near: self.near(name) }
    }

    /// Parameters whose names are nearly this one, or hold it.
    fn near(&self, name: &str) -> Vec<String> {
        let (allowed, wanted) = ((name.chars().count() / 3).clamp(1, 4), name.to_lowercase());
        let far = |parameter: &Parameter| {
            let one = |spelling: &str| {
                let holds = wanted.len() >= HELD_LEAST && spelling.to_lowercase().contains(&wanted);
                if holds { 0 } else { distance(spelling, name, allowed + 1) }
            };
            parameter.spellings().map(one).min().unwrap_or(allowed + 1)
        };
        let mut found: Vec<(usize, String)> = self.parameters.iter().map(|one| (far(one), format!("-{}", one.name))).collect();
        found.retain(|(distance, _)| *distance <= allowed);
        found.sort_unstable();
        found.into_iter().take(NEAR_MOST).map(|(_, name)| name).collect()
    }

    /// On which kind of object it works.
    pub(crate) fn kind(&self) -> Option<ObjectKind> {
        match self.does {
            Does::Show(object) | Does::Act(object, _) => Some(object.kind),
            Does::ShowSettings(_) | Does::ChangeSettings(_) | Does::ResetSettings(_) | Does::BuiltIn(_) => None,
        }
    }

    /// Where the parameter with this purpose stands.
    pub(crate) fn position(&self, target: For) -> Option<usize> {
        self.parameters.iter().position(|parameter| parameter.target == target)
    }
}

impl Parameter {
    /// Its name and its other spellings.
    pub fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().copied())
    }

    /// Whether it may stand without a value.
    pub(crate) fn is_flag(&self) -> bool {
        match self.takes {
            Takes::Switch | Takes::Field(FieldType::Flag) => true,
            Takes::Setting(_) | Takes::Field(_) | Takes::Count | Takes::Block | Takes::Any => false,
        }
    }

    /// Whether every cmdlet that changes something has it.
    pub(crate) fn is_common(&self) -> bool {
        matches!(self.target, For::Confirm | For::WhatIf | For::Force)
    }

    /// What it is, in a language.
    pub fn help(&self, locale: Locale) -> &'static str {
        said(self.help, locale)
    }
}

/// One of a pair of texts.
pub(crate) fn said(pair: (&'static str, &'static str), locale: Locale) -> &'static str {
    match locale {
        Locale::En => pair.0,
        Locale::Fr => pair.1,
    }
}

/// How many letters two names differ by (Levenshtein), counted up to a bound.
fn distance(one: &str, other: &str, most: usize) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.to_lowercase().chars().collect(), other.to_lowercase().chars().collect());
    if one.len().abs_diff(other.len()) >= most {
        return most;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut above = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let here = (above + usize::from(a != b)).min(row[j] + 1).min(row[j + 1] + 1);
            above = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[other.len()].min(most)
}
