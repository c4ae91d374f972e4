//! `Get-Help` and `Get-Command`: what the declarations say, for people, in their language.

use crate::catalogue::{Catalogue, Cmdlet, Does, Parameter, Takes, said};
use crate::compare::like;
use crate::item::{Item, Object};
use crate::wrong::{Mishap, Wrong};
use model::Locale;
use model::objects::FieldType;
use model::policy::SettingType;

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Much {
    /// What it does and how it is written.
    Usual,
    /// And every parameter.
    Full,
    /// Only the examples.
    Examples,
}

/// Words of the pages.
struct Headings {
    name: &'static str,
    syntax: &'static str,
    parameters: &'static str,
    examples: &'static str,
    aliases: &'static str,
    must: &'static str,
    default: &'static str,
    idle: &'static str,
    asks: &'static str,
    more: &'static str,
}

fn headings(locale: Locale) -> Headings {
    match locale {
        Locale::En => Headings {
            name: "NAME",
            syntax: "SYNTAX",
            parameters: "PARAMETERS",
            examples: "EXAMPLES",
            aliases: "Also: ",
            must: "required",
            default: "default: ",
            idle: "has no effect here",
            asks: "Asks first, unless -Confirm:$false is given.",
            more: "Get-Help NAME -Full tells every parameter, -Examples shows lines that work.",
        },
        Locale::Fr => Headings {
            name: "NOM",
            syntax: "SYNTAXE",
            parameters: "PARAMÈTRES",
            examples: "EXEMPLES",
            aliases: "Aussi : ",
            must: "obligatoire",
            default: "par défaut : ",
            idle: "sans effet ici",
            asks: "Demande d’abord, sauf avec -Confirm:$false.",
            more: "Get-Help NOM -Full décrit chaque paramètre, -Examples donne des lignes qui fonctionnent.",
        },
    }
}

/// Help about one cmdlet, or about all.
///
/// # Errors
/// There is no such cmdlet.
pub(crate) fn help(catalogue: &Catalogue, name: Option<&str>, much: Much, locale: Locale) -> Result<String, Wrong> {
    let Some(name) = name else { return Ok(overview(catalogue, locale)) };
    match catalogue.find(name) {
        Some(cmdlet) => Ok(page(cmdlet, much, locale)),
        None => Err(Mishap::NoHelp { name: name.to_owned(), near: catalogue.near(name) }.into()),
    }
}

fn overview(catalogue: &Catalogue, locale: Locale) -> String {
    let width = catalogue.cmdlets().iter().map(|cmdlet| cmdlet.name.len()).max().unwrap_or(0);
    let line = |cmdlet: &Cmdlet| format!("{:width$}  {}", cmdlet.name, said(cmdlet.help, locale));
    let lines: Vec<String> = catalogue.cmdlets().iter().map(line).collect();
    format!("{}\n\n{}", lines.join("\n"), headings(locale).more)
}

fn page(cmdlet: &Cmdlet, much: Much, locale: Locale) -> String {
    let words = headings(locale);
    let mut parts = Vec::new();
    if much != Much::Examples {
        let also = if cmdlet.aliases.is_empty() { String::new() } else { format!("\n    {}{}", words.aliases, cmdlet.aliases.join(", ")) };
        let asks = if cmdlet.asks { format!("\n    {}", words.asks) } else { String::new() };
        parts.push(format!("{}\n    {}\n    {}{also}{asks}", words.name, cmdlet.name, said(cmdlet.help, locale)));
        parts.push(format!("{}\n    {}", words.syntax, syntax(cmdlet, locale)));
    }
    if much == Much::Full && !cmdlet.parameters.is_empty() {
        let all: Vec<String> = cmdlet.parameters.iter().map(|parameter| described(parameter, &words, locale)).collect();
        parts.push(format!("{}\n{}", words.parameters, all.join("\n")));
    }
    if much != Much::Usual && !cmdlet.examples.is_empty() {
        parts.push(format!("{}\n    {}", words.examples, cmdlet.examples.join("\n    ")));
    }
    if much == Much::Usual {
        parts.push(words.more.replace("NAME", cmdlet.name).replace("NOM", cmdlet.name));
    }
    parts.join("\n\n")
}

/// A cmdlet on one line, as manuals write it.
fn syntax(cmdlet: &Cmdlet, locale: Locale) -> String {
    let parameter = |(at, parameter): (usize, &Parameter)| {
        let value = match parameter.takes {
            Takes::Switch => String::new(),
            _ => format!(" <{}>", takes(parameter, locale)),
        };
        let name = if cmdlet.first == Some(at) { format!("[-{}]", parameter.name) } else { format!("-{}", parameter.name) };
        if parameter.must { format!("{name}{value}") } else { format!("[{name}{value}]") }
    };
    std::iter::once(cmdlet.name.to_owned()).chain(cmdlet.parameters.iter().enumerate().map(parameter)).collect::<Vec<_>>().join(" ")
}

fn described(parameter: &Parameter, words: &Headings, locale: Locale) -> String {
    let mut notes = vec![takes(parameter, locale)];
    if parameter.must {
        notes.push(words.must.to_owned());
    }
    if !parameter.default.is_empty() {
        notes.push(format!("{}{}", words.default, parameter.default));
    }
    if !parameter.works {
        notes.push(words.idle.to_owned());
    }
    let also = if parameter.aliases.is_empty() { String::new() } else { format!(" (-{})", parameter.aliases.join(", -")) };
    format!("    -{}{also}  {}\n        {}", parameter.name, notes.join("; "), parameter.help(locale))
}

/// What a parameter takes, in a few words.
pub(crate) fn takes(parameter: &Parameter, locale: Locale) -> String {
    let pair = |en: &str, fr: &str| match locale {
        Locale::En => en.to_owned(),
        Locale::Fr => fr.to_owned(),
    };
    match parameter.takes {
        Takes::Field(kind) => of_field(kind, locale),
        Takes::Setting(setting) => match setting.kind {
            SettingType::Switch => "$true | $false".to_owned(),
            SettingType::Number { least, most } => pair(&format!("{least} to {most}"), &format!("{least} à {most}")),
            SettingType::Choice(words) => words.join(" | "),
            SettingType::DailySpan => pair("span, such as 22:00-07:00", "plage, comme 22:00-07:00"),
            SettingType::Text { .. } => pair("text", "texte"),
            SettingType::Mail => pair("mail address", "adresse de courriel"),
            SettingType::Colour => "#rrggbb".to_owned(),
        },
        Takes::Switch => pair("switch", "commutateur"),
        Takes::Count => pair("number", "nombre"),
        Takes::Block => "{ … }".to_owned(),
        Takes::Any => pair("value", "valeur"),
    }
}

fn of_field(kind: FieldType, locale: Locale) -> String {
    let pair = |en: String, fr: String| match locale {
        Locale::En => en,
        Locale::Fr => fr,
    };
    let range =
        |least: &dyn std::fmt::Display, most: &dyn std::fmt::Display| pair(format!("{least} to {most}"), format!("{least} à {most}"));
    match kind {
        FieldType::Text { .. } => pair("text".to_owned(), "texte".to_owned()),
        FieldType::Flag => "$true | $false".to_owned(),
        FieldType::Whole { least, most } => range(&least, &most),
        FieldType::WholeOrUnlimited { least, most } => format!("{} | Unlimited", range(&least, &most)),
        FieldType::Choice(words) => words.join(" | "),
        FieldType::Digits { least, most } if least == most => pair(format!("{least} digits"), format!("{least} chiffres")),
        FieldType::Digits { least, most } => pair(format!("{least} to {most} digits"), format!("{least} à {most} chiffres")),
        FieldType::Phone => pair("telephone number".to_owned(), "numéro de téléphone".to_owned()),
        FieldType::Mail => pair("mail address".to_owned(), "adresse de courriel".to_owned()),
        FieldType::Language => pair("language, such as fr-FR".to_owned(), "langue, comme fr-FR".to_owned()),
        FieldType::Object(kind) => pair(format!("{kind}, by name or id"), format!("{}, par nom ou identifiant", kind.said(locale))),
        FieldType::List { of, .. } => format!("{}, …", of_field(*of, locale)),
        FieldType::Records { fields, .. } => {
            let names: Vec<String> = fields.iter().map(|field| format!("{}=…", field.name)).collect();
            format!("@{{{}}}, …", names.join("; "))
        }
    }
}

/// The cmdlets that fit, as objects.
pub(crate) fn commands(catalogue: &Catalogue, name: &str, verb: &str, noun: &str, locale: Locale) -> Vec<Item> {
    let fits = |cmdlet: &&Cmdlet| {
        let (has_verb, has_noun) = cmdlet.name.split_once('-').unwrap_or(("", cmdlet.name));
        cmdlet.names().any(|known| like(name, known)) && like(verb, has_verb) && like(noun, has_noun)
    };
    let object = |cmdlet: &Cmdlet| {
        let kind = if matches!(cmdlet.does, Does::BuiltIn(_)) { "built-in" } else { "declared" };
        let help = said(cmdlet.help, locale);
        Item::Object(Object::from_pairs([
            ("Name".to_owned(), cmdlet.name.into()),
            ("Kind".to_owned(), kind.into()),
            ("Aliases".to_owned(), cmdlet.aliases.to_vec().into()),
            ("Synopsis".to_owned(), help.into()),
        ]))
    };
    catalogue.cmdlets().iter().filter(fits).map(object).collect()
}
