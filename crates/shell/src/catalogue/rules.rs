//! The rules of values in French, for values that break them. The English sentences are the model's own, which the API answers too.

use crate::wrong::{brief, cited};
use model::Locale;
use model::objects::{FieldDeclaration, FieldType, Need};
use model::policy::{SettingDeclaration, SettingType};
use serde_json::Value;

/// A value as it is said back.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| brief(&value.to_string()), cited)
}

/// What a field takes, where this is something else.
pub(super) fn of_field(kind: FieldType, value: &Value) -> String {
    let got = shown(value);
    match kind {
        FieldType::Text { most } => format!("prend une ligne de texte d’au plus {most} caractères, pas {got}"),
        FieldType::Flag => format!("prend $true ou $false, pas {got}"),
        FieldType::Whole { least, most } => format!("prend un nombre entier de {least} à {most}, pas {got}"),
        FieldType::WholeOrUnlimited { least, most } => format!("prend un nombre entier de {least} à {most}, ou Unlimited, pas {got}"),
        FieldType::Choice(words) => format!("prend une valeur parmi {}, pas {got}", words.join(", ")),
        FieldType::Digits { least, most } if least == most => format!("prend {least} chiffres, pas {got}"),
        FieldType::Digits { least, most } => format!("prend de {least} à {most} chiffres, pas {got}"),
        FieldType::Phone => format!("prend un numéro de téléphone comme +33155501234, pas {got}"),
        FieldType::Mail => format!("prend une adresse de courriel comme equipe@example.org, pas {got}"),
        FieldType::Language => format!("prend une langue comme fr-FR, pas {got}"),
        FieldType::Object(kind) => format!("prend un nom ou un identifiant ({}), pas {got}", kind.said(Locale::Fr)),
        FieldType::List { of, most } => match value.as_array() {
            None => format!("prend une liste, pas {got}"),
            Some(items) if items.len() > most => format!("prend au plus {most} valeurs, pas {}", items.len()),
            Some(items) => {
                let wrong = items.iter().find(|item| of.check(item).is_err());
                wrong.map_or_else(|| "contient deux fois la même valeur".to_owned(), |item| of_field(*of, item))
            }
        },
        FieldType::Records { fields, most } => match value.as_array() {
            None => format!("prend une liste d’enregistrements, pas {got}"),
            Some(items) if items.len() > most => format!("prend au plus {most} enregistrements, pas {}", items.len()),
            Some(items) => items.iter().find_map(|item| of_record(fields, item)).unwrap_or_default(),
        },
    }
}

fn of_record(fields: &[FieldDeclaration], value: &Value) -> Option<String> {
    let Some(given) = value.as_object() else { return Some(format!("prend des enregistrements, pas {}", shown(value))) };
    if let Some(unknown) = given.keys().find(|name| fields.iter().all(|field| field.name != *name)) {
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        return Some(format!("a un champ {} qui n’est pas connu ici ; il y a {}", cited(unknown), known.join(", ")));
    }
    fields.iter().find_map(|field| match given.get(field.name) {
        Some(value) if !value.is_null() => field.check(value).is_err().then(|| format!("{} : {}", field.name, of_field(field.kind, value))),
        _ => (field.need == Need::Must).then(|| format!("{} manque ; donnez-lui une valeur", field.name)),
    })
}

/// What a setting takes, where this is something else.
pub(super) fn of_setting(setting: &SettingDeclaration, value: &Value) -> String {
    let got = shown(value);
    match setting.kind {
        SettingType::Switch => of_field(FieldType::Flag, value),
        SettingType::Number { least, most } => format!("prend un nombre entier de {least} à {most}, pas {got}"),
        SettingType::Choice(words) => of_field(FieldType::Choice(words), value),
        SettingType::DailySpan => format!("prend une plage de la journée comme 22:00-07:00, ou \"\" pour aucune, pas {got}"),
        SettingType::Text { most } => of_field(FieldType::Text { most }, value),
        SettingType::Mail => format!("prend une adresse de courriel comme equipe@example.org, ou \"\" pour aucune, pas {got}"),
        SettingType::Colour => format!("prend une couleur comme \"#1f4e79\", ou \"\" pour aucune, pas {got}"),
    }
}
