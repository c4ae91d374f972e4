//! The cmdlets that every pipeline needs. They touch nothing but what is in the pipeline, and files that are named.

use super::{Cmdlet, Does, For, Parameter, Takes};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    Where,
    ForEach,
    Select,
    Sort,
    Measure,
    ImportCsv,
    ExportCsv,
    FormatTable,
    FormatList,
    ToJson,
    Write,
    Help,
    Command,
    Exit,
}

impl BuiltIn {
    /// Whether it makes something of its own and takes nothing from a pipeline.
    pub(crate) fn begins(self) -> bool {
        matches!(self, BuiltIn::ImportCsv | BuiltIn::Help | BuiltIn::Command | BuiltIn::Exit)
    }

    /// Whether it can only work on what comes through a pipeline.
    pub(crate) fn needs_input(self) -> bool {
        !self.begins() && self != BuiltIn::Write
    }
}

/// A parameter: its name, what it takes, its help in both languages.
type Row = (&'static str, Takes, &'static str, &'static str);
/// A cmdlet: which one, name, other names, help in both languages, parameters (the first is for values without a name), examples.
type Entry = (BuiltIn, &'static str, &'static [&'static str], &'static str, &'static str, &'static [Row], &'static [&'static str]);

const PROPERTY: Row =
    ("Property", Takes::Any, "Names of properties, with commas between them.", "Noms de propriétés, séparés par des virgules.");
const PATH: Row = ("Path", Takes::Any, "The file.", "Le fichier.");
const DELIMITER: Row = (
    "Delimiter",
    Takes::Any,
    "What stands between two cells, in quotes: ',' unless told.",
    "Ce qui sépare deux cellules, entre guillemets : ',' par défaut.",
);

const TABLE: &[Entry] = &[
    (
        BuiltIn::Where,
        "Where-Object",
        &["where", "?"],
        "Lets those objects through for which the condition holds.",
        "Laisse passer les objets pour lesquels la condition est vraie.",
        &[(
            "FilterScript",
            Takes::Block,
            "The condition, between { and }; $_ is the object.",
            "La condition, entre { et } ; $_ est l’objet.",
        )],
        &["'a1', 'b2' | Where-Object { $_ -like \"a*\" }"],
    ),
    (
        BuiltIn::ForEach,
        "ForEach-Object",
        &["foreach", "%"],
        "Runs the block once for each object.",
        "Exécute le bloc une fois pour chaque objet.",
        &[(
            "Process",
            Takes::Block,
            "What to run, between { and }; $_ is the object.",
            "Ce qui est à exécuter, entre { et } ; $_ est l’objet.",
        )],
        &["'a', 'b' | ForEach-Object { Write-Output \"user $_\" }"],
    ),
    (
        BuiltIn::Select,
        "Select-Object",
        &["select"],
        "Takes some of the objects, or some of their properties.",
        "Prend certains des objets, ou certaines de leurs propriétés.",
        &[
            PROPERTY,
            ("ExpandProperty", Takes::Any, "Gives the values of this property alone.", "Donne seulement les valeurs de cette propriété."),
            ("First", Takes::Count, "How many from the beginning.", "Combien depuis le début."),
            ("Last", Takes::Count, "How many from the end.", "Combien depuis la fin."),
            ("Skip", Takes::Count, "How many to leave out first.", "Combien en omettre d’abord."),
            ("Unique", Takes::Switch, "Each only once.", "Chacun une seule fois."),
        ],
        &["'a', 'b', 'a' | Select-Object -Unique"],
    ),
    (
        BuiltIn::Sort,
        "Sort-Object",
        &["sort"],
        "Sorts by properties.",
        "Trie selon des propriétés.",
        &[
            PROPERTY,
            ("Descending", Takes::Switch, "The greatest first.", "Le plus grand d’abord."),
            ("Unique", Takes::Switch, "Each only once.", "Chacun une seule fois."),
        ],
        &["3, 1, 2 | Sort-Object -Descending"],
    ),
    (
        BuiltIn::Measure,
        "Measure-Object",
        &["measure"],
        "Counts objects, and adds up a property.",
        "Compte les objets, et additionne une propriété.",
        &[
            PROPERTY,
            ("Sum", Takes::Switch, "The sum, too.", "La somme aussi."),
            ("Average", Takes::Switch, "The mean, too.", "La moyenne aussi."),
            ("Minimum", Takes::Switch, "The least, too.", "Le plus petit aussi."),
            ("Maximum", Takes::Switch, "The greatest, too.", "Le plus grand aussi."),
        ],
        &["1, 2, 3 | Measure-Object -Sum"],
    ),
    (
        BuiltIn::ImportCsv,
        "Import-Csv",
        &["ipcsv"],
        "Reads a CSV file in UTF-8: an object for each row, all or nothing.",
        "Lit un fichier CSV en UTF-8 : un objet par ligne, tout ou rien.",
        &[
            PATH,
            DELIMITER,
            (
                "Header",
                Takes::Any,
                "Names of the columns, for a file without a heading.",
                "Noms des colonnes, pour un fichier sans en-tête.",
            ),
            ("Encoding", Takes::Any, "UTF8, the only one.", "UTF8, le seul."),
        ],
        &["Import-Csv new-hires.csv | Select-Object -First 3"],
    ),
    (
        BuiltIn::ExportCsv,
        "Export-Csv",
        &["epcsv"],
        "Writes objects into a CSV file in UTF-8; what was there is replaced.",
        "Écrit des objets dans un fichier CSV en UTF-8 ; l’ancien contenu est remplacé.",
        &[
            PATH,
            DELIMITER,
            ("NoTypeInformation", Takes::Switch, "As it is anyway.", "C’est le cas de toute façon."),
            ("Encoding", Takes::Any, "UTF8, the only one.", "UTF8, le seul."),
        ],
        &["'a', 'b' | Export-Csv list.csv"],
    ),
    (
        BuiltIn::FormatTable,
        "Format-Table",
        &["ft"],
        "Shows objects as a table.",
        "Affiche les objets en tableau.",
        &[
            PROPERTY,
            ("AutoSize", Takes::Switch, "As it is anyway.", "C’est le cas de toute façon."),
            ("Wrap", Takes::Switch, "As it is anyway.", "C’est le cas de toute façon."),
        ],
        &["'a', 'b' | Format-Table"],
    ),
    (
        BuiltIn::FormatList,
        "Format-List",
        &["fl"],
        "Shows objects as lists, a property a line.",
        "Affiche les objets en listes, une propriété par ligne.",
        &[PROPERTY],
        &["'a', 'b' | Format-List"],
    ),
    (
        BuiltIn::ToJson,
        "ConvertTo-Json",
        &[],
        "Makes JSON text of the objects.",
        "Fait des objets un texte JSON.",
        &[
            ("Depth", Takes::Count, "Everything is shown anyway.", "Tout est affiché de toute façon."),
            ("Compress", Takes::Switch, "On one line.", "Sur une ligne."),
        ],
        &["'a', 'b' | ConvertTo-Json"],
    ),
    (
        BuiltIn::Write,
        "Write-Output",
        &["echo", "write"],
        "Puts values into the pipeline.",
        "Met des valeurs dans le pipeline.",
        &[("InputObject", Takes::Any, "The values.", "Les valeurs.")],
        &["Write-Output \"ready\""],
    ),
    (
        BuiltIn::Help,
        "Get-Help",
        &["help", "man"],
        "What a cmdlet does and takes.",
        "Ce qu’une cmdlet fait et accepte.",
        &[
            ("Name", Takes::Any, "Which one.", "Laquelle."),
            ("Examples", Takes::Switch, "Lines that work.", "Des lignes qui fonctionnent."),
            ("Full", Takes::Switch, "Everything.", "Tout."),
            ("Detailed", Takes::Switch, "Everything.", "Tout."),
        ],
        &["Get-Help Where-Object -Examples"],
    ),
    (
        BuiltIn::Command,
        "Get-Command",
        &["gcm"],
        "Which cmdlets there are.",
        "Quelles cmdlets existent.",
        &[
            ("Name", Takes::Any, "Only those that fit, such as *-Object.", "Seulement celles qui conviennent, comme *-Object."),
            ("Verb", Takes::Any, "Only those with this verb.", "Seulement celles qui ont ce verbe."),
            ("Noun", Takes::Any, "Only those with this noun.", "Seulement celles qui ont ce nom."),
        ],
        &["Get-Command -Verb Get"],
    ),
    (
        BuiltIn::Exit,
        "exit",
        &["quit"],
        "Leaves the shell.",
        "Quitte le shell.",
        &[("Code", Takes::Count, "The number that the caller sees.", "Le nombre que voit l’appelant.")],
        &["exit"],
    ),
];

/// All of them.
pub(super) fn all() -> Vec<Cmdlet> {
    let parameter = |(name, takes, en, fr): &Row| Parameter {
        name: (*name).to_owned(),
        aliases: Vec::new(),
        takes: *takes,
        must: false,
        default: "",
        works: true,
        help: (en, fr),
        target: For::Own(name),
    };
    let cmdlet = |(which, name, aliases, en, fr, rows, examples): &Entry| Cmdlet {
        name,
        aliases,
        parameters: rows.iter().map(parameter).collect(),
        help: (en, fr),
        examples,
        asks: false,
        does: Does::BuiltIn(*which),
        first: (*which != BuiltIn::ToJson).then_some(0),
    };
    TABLE.iter().map(cmdlet).collect()
}
