//! A cmdlet from its declaration: its parameters are those of the act, the fields or the settings that it reaches.

use super::{Cmdlet, Does, For, Parameter, Takes};
use model::cmdlets::{CmdletDeclaration, Reaches, SettingParameter};
use model::objects::{FieldDeclaration, FieldType, Naming, Need, ObjectDeclaration, ObjectKind, Onto};
use model::policy::{SettingDeclaration, SettingType};

/// Most characters of an identity: a name of 64, or an address of 254, and some.
const IDENTITY_MOST: usize = 512;

/// The cmdlet, or what is wrong with its declaration.
pub(super) fn cmdlet(
    declared: &'static CmdletDeclaration,
    objects: &[&'static ObjectDeclaration],
    settings: &[&'static SettingDeclaration],
) -> Result<Cmdlet, String> {
    let object = |kind: ObjectKind| objects.iter().copied().find(|o| o.kind == kind).ok_or_else(|| format!("no source declares {kind}"));
    let (does, parameters) = match declared.reaches {
        Reaches::Show { kind, by } => show(object(kind)?, by)?,
        Reaches::Act { kind, act } => acts(object(kind)?, act)?,
        Reaches::ShowSettings(list) => {
            of_settings(list, settings)?;
            (Does::ShowSettings(list), std::iter::once(identity(false)).chain(elsewhere()).collect())
        }
        Reaches::ChangeSettings(list) => {
            let mut parameters = vec![identity(false)];
            parameters.extend(of_settings(list, settings)?);
            parameters.extend(elsewhere());
            parameters.extend(common());
            (Does::ChangeSettings(list), parameters)
        }
        Reaches::ResetSettings(list) => {
            of_settings(list, settings)?;
            (Does::ResetSettings(list), std::iter::once(identity(false)).chain(elsewhere()).chain(common()).collect())
        }
    };
    let named = |target: For| parameters.iter().position(|p| p.target == target);
    Ok(Cmdlet {
        first: named(For::Identity).or_else(|| named(For::Field("name"))),
        name: declared.name,
        aliases: declared.aliases,
        help: (declared.help_en, declared.help_fr),
        examples: declared.examples,
        asks: declared.asks,
        parameters,
        does,
    })
}

fn show(object: &'static ObjectDeclaration, by: &'static [&'static str]) -> Result<(Does, Vec<Parameter>), String> {
    let mut parameters = vec![identity(false)];
    for name in by {
        let field = object.fields.iter().find(|field| field.name == *name).ok_or_else(|| format!("{} has no field {name}", object.kind))?;
        parameters.push(Parameter { must: false, default: "", ..of_field(field) });
    }
    parameters.push(Parameter {
        takes: Takes::Count,
        ..own("ResultSize", For::ResultSize, "Most objects; Unlimited for all.", "Nombre maximal d’objets ; Unlimited : tous.")
    });
    Ok((Does::Show(object), parameters))
}

fn acts(object: &'static ObjectDeclaration, name: &str) -> Result<(Does, Vec<Parameter>), String> {
    let act = object.act(name).ok_or_else(|| format!("{} has no act {name:?}", object.kind))?;
    let mut parameters = match act.onto {
        Onto::New if object.naming != Naming::Person => Vec::new(),
        Onto::New | Onto::Existing | Onto::Person | Onto::Gone => vec![identity(true)],
    };
    let common = common();
    // An act may declare -Force, which documents give it; here it is the one that every cmdlet has.
    let own = |field: &&FieldDeclaration| common.iter().all(|other| !other.name.eq_ignore_ascii_case(field.name));
    parameters.extend(act.parameters.iter().filter(own).map(of_field));
    parameters.extend(common);
    Ok((Does::Act(object, act), parameters))
}

fn of_settings(list: &'static [SettingParameter], settings: &[&'static SettingDeclaration]) -> Result<Vec<Parameter>, String> {
    let parameter = |one: &'static SettingParameter| {
        let setting =
            settings.iter().copied().find(|s| s.key == one.key).ok_or_else(|| format!("nobody declares the setting {}", one.key))?;
        Ok(Parameter {
            name: one.name.to_owned(),
            aliases: one.aliases.to_vec(),
            takes: match setting.kind {
                SettingType::Switch => Takes::Field(FieldType::Flag),
                SettingType::Number { .. }
                | SettingType::Choice(_)
                | SettingType::DailySpan
                | SettingType::Text { .. }
                | SettingType::Mail
                | SettingType::Colour => Takes::Setting(setting),
            },
            must: false,
            default: setting.default,
            works: one.works,
            help: (setting.help_en, setting.help_fr),
            target: For::Setting(one.key),
        })
    };
    list.iter().map(parameter).collect()
}

fn of_field(field: &'static FieldDeclaration) -> Parameter {
    Parameter {
        name: field.parameter(),
        aliases: field.aliases.to_vec(),
        takes: Takes::Field(field.kind),
        must: field.need == Need::Must,
        default: field.default,
        works: field.works,
        help: (field.help_en, field.help_fr),
        target: For::Field(field.name),
    }
}

fn own(name: &str, target: For, en: &'static str, fr: &'static str) -> Parameter {
    Parameter {
        name: name.to_owned(),
        aliases: Vec::new(),
        takes: Takes::Switch,
        must: false,
        default: "",
        works: true,
        help: (en, fr),
        target,
    }
}

fn identity(must: bool) -> Parameter {
    let takes = Takes::Field(FieldType::Text { most: IDENTITY_MOST });
    let en = "The object: its id or its name, or whatever names the person. Comes through the pipeline, too.";
    let fr = "L’objet : son identifiant ou son nom, ou ce qui désigne la personne. Vient aussi par le pipeline.";
    Parameter { takes, must, ..own("Identity", For::Identity, en, fr) }
}

/// What documents give to cmdlets for settings and says nothing here: the token says which organization is meant.
fn elsewhere() -> [Parameter; 2] {
    let en = "Taken for compatibility; has no effect. The token says which organization is meant.";
    let fr = "Accepté pour compatibilité ; sans effet. Le jeton dit de quelle organisation il s’agit.";
    ["Tenant", "Instance"].map(|name| Parameter { takes: Takes::Any, works: false, ..own(name, For::Own("elsewhere"), en, fr) })
}

fn common() -> [Parameter; 3] {
    [
        own("WhatIf", For::WhatIf, "Says what would happen, and changes nothing.", "Dit ce qui se passerait, et ne change rien."),
        own("Confirm", For::Confirm, "Asks first; -Confirm:$false does not.", "Demande d’abord ; -Confirm:$false ne demande pas."),
        own("Force", For::Force, "Does not ask.", "Ne demande pas."),
    ]
}
