//! What can be wrong, in French.

use super::{Foreign, Misfit, Mishap, Opened, Unreadable, brief, some};
use model::Locale;

/// Most names that a sentence lists.
const LISTED: usize = 40;

/// A text between French quotes.
pub(crate) fn cited(text: &str) -> String {
    format!("« {} »", brief(text))
}

fn foreign(what: &Foreign) -> String {
    let named = match what {
        Foreign::Variable(name) => {
            format!("il n’y a pas de variables comme ${name}, seulement $_, $true, $false et $null ; écrivez la valeur elle-même")
        }
        Foreign::Assignment => "il n’y a pas d’affectation ; écrivez la valeur là où elle sert, ou utilisez un pipeline".to_owned(),
        Foreign::Keyword(word) => format!("{} n’existe pas ici ; Where-Object choisit et ForEach-Object répète", cited(word)),
        Foreign::Method(name) => format!("la méthode .{name}(…) n’existe pas ici ; comparez avec -like ou -match"),
        Foreign::Index => "[…] ne choisit pas dans une liste ici ; utilisez Select-Object -First ou -Last".to_owned(),
        Foreign::TypeName => {
            "les types comme [int] n’existent pas ici ; omettez-les, ou mettez entre guillemets un texte qui commence ainsi".to_owned()
        }
        Foreign::Subexpression => {
            "$( … ) ne contient que $_ ou une de ses propriétés, comme $($_.Name), et seulement entre guillemets doubles".to_owned()
        }
        Foreign::CommandInBrackets => "une commande entre parenthèses n’est pas une valeur ici ; utilisez un pipeline".to_owned(),
        Foreign::ListBrackets => "@( … ) n’existe pas ici ; séparez les valeurs par des virgules".to_owned(),
        Foreign::HereString => {
            "les here-strings n’existent pas ici ; mettez le texte entre guillemets, même sur plusieurs lignes".to_owned()
        }
        Foreign::Splat => "@nom n’existe pas ici ; écrivez les paramètres, ou mettez entre guillemets un mot qui commence par @".to_owned(),
        Foreign::Redirection => {
            "> et < n’existent pas ici ; utilisez Export-Csv et Import-Csv, ou redirigez ce que carillon affiche".to_owned()
        }
        Foreign::CallOperator | Foreign::DotSource => {
            "aucun autre programme ni script n’est lancé d’ici ; utilisez carillon shell -f FICHIER".to_owned()
        }
        Foreign::Background => "rien ne s’exécute en arrière-plan ici ; mettez & entre guillemets".to_owned(),
        Foreign::Chain(sign) => format!("{sign} n’existe pas ici ; enchaînez les commandes avec ;"),
        Foreign::Arithmetic(sign) => {
            format!("il n’y a pas de calcul ici ; mettez {} entre guillemets si c’est du texte", cited(&sign.to_string()))
        }
        Foreign::Operator(word) => format!(
            "-{word} n’est pas un opérateur ici ; il y a -eq -ne -gt -ge -lt -le -like -notlike -match -notmatch -contains -notcontains -in -notin -and -or -not"
        ),
        Foreign::LooseBlock => "un bloc { … } se place derrière Where-Object ou ForEach-Object".to_owned(),
    };
    format!("ceci n’est pas un PowerShell général : {named}")
}

/// Why a text is not a script.
pub(super) fn unreadable(wrong: &Unreadable) -> String {
    match wrong {
        Unreadable::TooLong { most } => {
            format!("le texte est trop long ; {most} octets au plus, mettez les données dans un fichier pour Import-Csv")
        }
        Unreadable::TooDeep { most } => format!("les parenthèses et les blocs sont trop imbriqués ; {most} niveaux au plus"),
        Unreadable::TooManyOperators { most } => format!("la condition est trop longue ; {most} opérateurs au plus"),
        Unreadable::TooManyStages { most } => format!("le pipeline est trop long ; {most} étapes au plus"),
        Unreadable::Unclosed(opened) => {
            let what = match opened {
                Opened::SingleQuote | Opened::DoubleQuote => "ce texte",
                Opened::Block => "ce bloc",
                Opened::Table => "cette table",
                Opened::Bracket => "cette parenthèse",
                Opened::Remark => "cette remarque",
            };
            format!("{what} ne finit pas ; terminez par {}", opened.closer())
        }
        Unreadable::NotPowerShell(what) => foreign(what),
        Unreadable::Unexpected(Some(sign)) => {
            format!("{} n’a pas sa place ici ; mettez des guillemets si cela fait partie d’une valeur", cited(&sign.to_string()))
        }
        Unreadable::Unexpected(None) => "la ligne finit trop tôt".to_owned(),
        Unreadable::CommandMissing => "il manque ici une cmdlet, comme Get-Help".to_owned(),
        Unreadable::NotACommand(word) => format!("{} n’est pas un nom de cmdlet ; Get-Command les affiche", cited(word)),
        Unreadable::ValueInPipe => "une valeur ne peut qu’ouvrir un pipeline ; une cmdlet doit suivre |".to_owned(),
        Unreadable::ValueMissing => "il manque ici une valeur".to_owned(),
        Unreadable::NotAParameter(word) => {
            format!("-{0} n’est pas un paramètre ; une valeur s’écrit sans tiret, comme -Identity {0}", brief(word.trim_end_matches('=')))
        }
        Unreadable::LooseDash => "un tiret est seul ; faites-le suivre d’un nom de paramètre, ou mettez-le entre guillemets".to_owned(),
        Unreadable::LooseBacktick => "un accent grave à la fin du texte ne continue rien ; retirez-le".to_owned(),
        Unreadable::QuoteInWord => "un guillemet au milieu d’un mot ; mettez toute la valeur entre guillemets de l’autre sorte".to_owned(),
        Unreadable::DollarInWord => {
            "$ au milieu d’un mot ; mettez toute la valeur entre guillemets doubles, ou simples si rien n’est à remplacer".to_owned()
        }
        Unreadable::PropertyInText(name) => format!("entre guillemets doubles, une propriété s’écrit $($_.{name})"),
        Unreadable::OperatorWithoutLeft(word) => {
            format!("il manque quelque chose à gauche de -{word} ; une ligne ne continue que derrière un accent grave tout à la fin")
        }
        Unreadable::KeyMissing => "il manque ici un nom, comme dans @{Add=\"a\"; Remove=\"b\"}".to_owned(),
        Unreadable::KeyTwice(key) => format!("{} figure deux fois dans le même @{{…}}", cited(key)),
        Unreadable::EqualsMissing(key) => format!("il manque = derrière {}", cited(key)),
    }
}

/// Why a script does not fit the cmdlets.
pub(super) fn misfit(wrong: &Misfit) -> String {
    match wrong {
        Misfit::UnknownCmdlet { name, near } if near.is_empty() => {
            format!(
                "il n’y a pas de cmdlet {} ; Get-Command affiche celles qui existent. Ceci n’est pas un PowerShell général",
                cited(name)
            )
        }
        Misfit::UnknownCmdlet { name, near } => format!("il n’y a pas de cmdlet {} ; vouliez-vous dire {} ?", cited(name), near.join(", ")),
        Misfit::TranslatedVerb { name, meant } => {
            format!("{} est une traduction de {meant} ; les noms de cmdlets ne se traduisent pas, écrivez {meant}", cited(name))
        }
        Misfit::UnknownParameter { cmdlet, name, near } if near.is_empty() => {
            format!("{cmdlet} n’a pas de paramètre -{} ; Get-Help {cmdlet} -Full les affiche", brief(name))
        }
        Misfit::UnknownParameter { cmdlet, name, near } => {
            let near = near.join(" ou ");
            format!("{cmdlet} n’a pas de paramètre -{} ; vouliez-vous dire {near} ? Get-Help {cmdlet} -Full les affiche tous", brief(name))
        }
        Misfit::NoSuchConcept { name, why } => format!("-{name} n’est pas accepté : {}", why.1),
        Misfit::AmbiguousParameter { name, candidates } => {
            format!("-{name} peut vouloir dire {} ; écrivez-en plus", candidates.join(" ou "))
        }
        Misfit::ParameterTwice { name } => format!("-{name} est donné deux fois ; donnez-le une fois"),
        Misfit::ValueNeeded { parameter, takes } => format!("-{parameter} demande une valeur : {}", takes.fr),
        Misfit::SurplusValue { cmdlet, value } => {
            format!("{cmdlet} n’a pas d’usage pour {} ; mettez devant le nom du paramètre", cited(value))
        }
        Misfit::ValueBehindSwitch { parameter, value } => {
            format!("-{parameter} prend $true, $false ou rien, pas {} ; omettez-le, ou nommez le paramètre voulu", cited(value))
        }
        Misfit::ParametersMissing { cmdlet, names } => format!("{cmdlet} demande -{}", names.join(", -")),
        Misfit::BadValue { parameter, why } => format!("-{parameter} {}", why.fr),
        Misfit::NotAFlag { parameter, value } => format!("-{parameter} prend $true ou $false, pas {}", cited(value)),
        Misfit::BlockNeeded { cmdlet } => format!("{cmdlet} demande un bloc, comme {{ Get-Something -Identity $_.Identity }}"),
        Misfit::ConditionNeeded => "il faut ici une condition, comme { $_.BridgeName -eq \"Paris\" }".to_owned(),
        Misfit::ItemOutside => "$_ est l’objet du pipeline et n’existe qu’entre { … } ; mettez ceci dans ForEach-Object { … }".to_owned(),
        Misfit::IdentityAndFilter { cmdlet } => {
            format!("{cmdlet} prend -Identity, ou des paramètres qui restreignent la liste, pas les deux")
        }
        Misfit::NothingGiven { cmdlet } => format!("rien n’est à changer ; donnez à {cmdlet} un paramètre, voir Get-Help {cmdlet}"),
        Misfit::NoInput { cmdlet } => format!("{cmdlet} traite ce qui vient par un pipeline ; mettez devant une cmdlet et |"),
        Misfit::NotAfterPipe { cmdlet } => format!("{cmdlet} ne prend rien d’un pipeline ; commencez-en un par elle"),
        Misfit::IdentityTwice { cmdlet } => format!("l’identité vient par le pipeline et figure aussi derrière {cmdlet} ; retirez-en une"),
        Misfit::AddRemoveOnly { parameter } => format!("-{parameter} prend des valeurs, ou @{{Add=…; Remove=…}} sans autre nom"),
        Misfit::AddRemoveNew { parameter } => {
            format!("-{parameter} n’a pas encore de valeurs à compléter ; écrivez les valeurs elles-mêmes")
        }
        Misfit::NotAList { parameter } => format!("-{parameter} n’est pas une liste ; @{{…}} ne convient pas"),
        Misfit::BadPattern { pattern, why } => format!("{} n’est pas un motif pour -match, à cause de {why}", cited(pattern)),
        Misfit::TooComplex { pattern } => format!("{} est trop long pour un motif", cited(pattern)),
    }
}

/// What goes wrong while it runs.
pub(super) fn mishap(wrong: &Mishap) -> String {
    match wrong {
        Mishap::EmptyIdentity => "l’identité est vide ; elle ne veut jamais dire tous les objets, nommez-en un".to_owned(),
        Mishap::SeveralIdentities => "plusieurs identités à la fois ; passez-les par un pipeline, comme \"a\", \"b\" | Get-…".to_owned(),
        Mishap::WildcardIdentity(identity) => {
            format!("{} ne nomme pas un seul objet ; omettez-le et utilisez | Where-Object {{ $_.Name -like \"…\" }}", cited(identity))
        }
        Mishap::OnlyGlobal(identity) => {
            format!("{} n’existe pas ; une organisation a ces paramètres une seule fois, sous l’identité Global", cited(identity))
        }
        Mishap::OtherKind { is, wants } => {
            let (wants, is) = (cited(wants.said(Locale::Fr)), cited(is.said(Locale::Fr)));
            format!("il faut un objet {wants}, et ce qui vient par le pipeline est un objet {is}")
        }
        Mishap::NoIdentity { there } => format!(
            "ce qui vient par le pipeline n’a ni Identity, ni UserPrincipalName, ni UPN, ni Id ; il y a {}. Utilisez ForEach-Object {{ … -Identity $_.Colonne }}",
            some(there, LISTED)
        ),
        Mishap::NobodyToAsk => {
            "une confirmation est nécessaire, et personne n’est là pour répondre ; ajoutez -Confirm:$false. Rien n’a été fait".to_owned()
        }
        Mishap::NoProperty { name, there } => format!("il n’y a pas de propriété {} ; il y a {}", cited(name), some(there, LISTED)),
        Mishap::NotANumber { property, value } => format!("{property} d’un objet vaut {}, qui n’est pas un nombre", cited(value)),
        Mishap::TooMany { most } => format!("plus de {most} objets à la fois ; restreignez-les d’abord avec Where-Object"),
        Mishap::CannotRead { path, cause } => format!("{} ne peut pas être lu : {cause}", cited(path)),
        Mishap::CannotWrite { path, cause } => format!("{} ne peut pas être écrit : {cause}", cited(path)),
        Mishap::FileTooLarge { path, most } => format!("{} dépasse {most} octets ; divisez-le", cited(path)),
        Mishap::NotUtf8 { path } => format!("{} n’est pas en UTF-8 ; enregistrez-le en « CSV UTF-8 »", cited(path)),
        Mishap::BadCsv { path, line, cause } => format!("{}, ligne {line} : {} ; rien n’a été lu", cited(path), cause.fr),
        Mishap::TwiceInHeader { path, name } => format!("{} a deux fois la colonne {} ; rien n’a été lu", cited(path), cited(name)),
        Mishap::NoHelp { name, near } if near.is_empty() => {
            format!("il n’y a pas d’aide sur {} ; Get-Command affiche les cmdlets", cited(name))
        }
        Mishap::NoHelp { name, near } => format!("il n’y a pas d’aide sur {} ; vouliez-vous dire {} ?", cited(name), near.join(", ")),
    }
}
