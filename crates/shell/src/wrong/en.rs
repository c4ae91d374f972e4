//! What can be wrong, in English.

use super::{Foreign, Misfit, Mishap, Opened, Unreadable, brief, some};

/// Most names that a sentence lists.
const LISTED: usize = 40;

fn foreign(what: &Foreign) -> String {
    let named = match what {
        Foreign::Variable(name) => {
            format!("there are no variables such as ${name}, only $_, $true, $false and $null; write the value itself")
        }
        Foreign::Assignment => "there are no assignments; write the value where it is needed, or use a pipeline".to_owned(),
        Foreign::Keyword(word) => format!("{word:?} is not here; use Where-Object to choose and ForEach-Object to repeat"),
        Foreign::Method(name) => format!("the method .{name}(…) is not here; compare with -like or -match instead"),
        Foreign::Index => "[…] does not pick from a list here; use Select-Object -First or -Last".to_owned(),
        Foreign::TypeName => "types such as [int] are not here; leave them out, or put a text that begins so in quotes".to_owned(),
        Foreign::Subexpression => "$( … ) holds only $_ or a property of it, such as $($_.Name), and only in double quotes".to_owned(),
        Foreign::CommandInBrackets => "a command in brackets is not a value here; use a pipeline".to_owned(),
        Foreign::ListBrackets => "@( … ) is not here; write the values with commas between them".to_owned(),
        Foreign::HereString => "here-strings are not here; put the text in quotes, which may go over several lines".to_owned(),
        Foreign::Splat => "@name is not here; write the parameters out, or put a word that begins with @ in quotes".to_owned(),
        Foreign::Redirection => "> and < are not here; use Export-Csv and Import-Csv, or redirect what carillon prints".to_owned(),
        Foreign::CallOperator | Foreign::DotSource => {
            "no other programs or scripts are run from here; use carillon shell -f FILE".to_owned()
        }
        Foreign::Background => "nothing runs in the background here; put an & in quotes".to_owned(),
        Foreign::Chain(sign) => format!("{sign} is not here; put one command after the other with ;"),
        Foreign::Arithmetic(sign) => format!("there is no arithmetic, so nothing for {sign:?} to do; put it in quotes if it is text"),
        Foreign::Operator(word) => format!(
            "-{word} is not an operator here; there are -eq -ne -gt -ge -lt -le -like -notlike -match -notmatch -contains -notcontains -in -notin -and -or -not"
        ),
        Foreign::LooseBlock => "a block { … } belongs behind Where-Object or ForEach-Object".to_owned(),
    };
    format!("this is not a general PowerShell: {named}")
}

/// Why a text is not a script.
pub(super) fn unreadable(wrong: &Unreadable) -> String {
    match wrong {
        Unreadable::TooLong { most } => {
            format!("the text is too long; at most {most} bytes are read, put what is data into a file for Import-Csv")
        }
        Unreadable::TooDeep { most } => format!("brackets and blocks are nested too deep; at most {most} levels are read"),
        Unreadable::TooManyOperators { most } => format!("the condition is too long; it may hold at most {most} operators"),
        Unreadable::TooManyStages { most } => format!("the pipeline is too long; it may have at most {most} stages"),
        Unreadable::Unclosed(opened) => {
            let what = match opened {
                Opened::SingleQuote | Opened::DoubleQuote => "text",
                Opened::Block => "block",
                Opened::Table => "table",
                Opened::Bracket => "bracket",
                Opened::Remark => "remark",
            };
            format!("this {what} does not end; close it with {}", opened.closer())
        }
        Unreadable::NotPowerShell(what) => foreign(what),
        Unreadable::Unexpected(Some(sign)) => format!("{sign:?} has no place here; put it in quotes if it is part of a value"),
        Unreadable::Unexpected(None) => "the line ends too early".to_owned(),
        Unreadable::CommandMissing => "a cmdlet is missing here, such as Get-Help".to_owned(),
        Unreadable::NotACommand(word) => format!("{:?} is not the name of a cmdlet; Get-Command lists them", brief(word)),
        Unreadable::ValueInPipe => "a value can only begin a pipeline; a cmdlet has to follow |".to_owned(),
        Unreadable::ValueMissing => "a value is missing here".to_owned(),
        Unreadable::NotAParameter(word) => {
            format!("-{0} is not a parameter; a value stands without a dash, such as -Identity {0}", brief(word.trim_end_matches('=')))
        }
        Unreadable::LooseDash => "a dash stands alone; put the name of a parameter behind it, or put it in quotes".to_owned(),
        Unreadable::LooseBacktick => "a backtick at the end of the text continues nothing; take it away".to_owned(),
        Unreadable::QuoteInWord => "a quote within a word; put the whole value in quotes, the other kind around it".to_owned(),
        Unreadable::DollarInWord => {
            "$ within a word; put the whole value in double quotes, or in single ones if nothing is to be filled in".to_owned()
        }
        Unreadable::PropertyInText(name) => format!("within double quotes a property is written $($_.{name})"),
        Unreadable::OperatorWithoutLeft(word) => {
            format!("-{word} needs something on its left; a line goes on with the next one only behind a backtick at its very end")
        }
        Unreadable::KeyMissing => "a name is missing here, as in @{Add=\"a\"; Remove=\"b\"}".to_owned(),
        Unreadable::KeyTwice(key) => format!("{:?} stands twice in the same @{{…}}", brief(key)),
        Unreadable::EqualsMissing(key) => format!("= is missing behind {:?}", brief(key)),
    }
}

/// Why a script does not fit the cmdlets.
pub(super) fn misfit(wrong: &Misfit) -> String {
    match wrong {
        Misfit::UnknownCmdlet { name, near } if near.is_empty() => {
            format!("there is no cmdlet {:?}; Get-Command lists those that there are. This is not a general PowerShell", brief(name))
        }
        Misfit::UnknownCmdlet { name, near } => format!("there is no cmdlet {:?}; did you mean {}?", brief(name), near.join(", ")),
        Misfit::TranslatedVerb { name, meant } => {
            format!("{:?} is a translation of {meant}; names of cmdlets are not translated, write {meant}", brief(name))
        }
        Misfit::UnknownParameter { cmdlet, name, near } if near.is_empty() => {
            format!("{cmdlet} has no parameter -{}; Get-Help {cmdlet} -Full lists those that it has", brief(name))
        }
        Misfit::UnknownParameter { cmdlet, name, near } => {
            let near = near.join(" or ");
            format!("{cmdlet} has no parameter -{}; did you mean {near}? Get-Help {cmdlet} -Full lists all", brief(name))
        }
        Misfit::NoSuchConcept { name, why } => format!("-{name} is not taken: {}", why.0),
        Misfit::AmbiguousParameter { name, candidates } => format!("-{name} may mean {}; write more of it", candidates.join(" or ")),
        Misfit::ParameterTwice { name } => format!("-{name} is given twice; give it once"),
        Misfit::ValueNeeded { parameter, takes } => format!("-{parameter} needs a value: {}", takes.en),
        Misfit::SurplusValue { cmdlet, value } => {
            format!("{cmdlet} does not know what to do with {:?}; put the parameter's name before it", brief(value))
        }
        Misfit::ValueBehindSwitch { parameter, value } => {
            format!(
                "-{parameter} takes $true, $false or nothing, not {:?}; leave it out, or name the parameter that it is for",
                brief(value)
            )
        }
        Misfit::ParametersMissing { cmdlet, names } => format!("{cmdlet} needs -{}", names.join(", -")),
        Misfit::BadValue { parameter, why } => format!("-{parameter} {}", why.en),
        Misfit::NotAFlag { parameter, value } => format!("-{parameter} takes $true or $false, not {:?}", brief(value)),
        Misfit::BlockNeeded { cmdlet } => format!("{cmdlet} needs a block, such as {{ Get-Something -Identity $_.Identity }}"),
        Misfit::ConditionNeeded => "a condition is needed here, such as { $_.BridgeName -eq \"Paris\" }".to_owned(),
        Misfit::ItemOutside => {
            "$_ is the object in the pipeline and stands only within { … }; put this into ForEach-Object { … }".to_owned()
        }
        Misfit::IdentityAndFilter { cmdlet } => format!("{cmdlet} takes -Identity, or parameters that narrow the list, not both"),
        Misfit::NothingGiven { cmdlet } => format!("nothing is to be changed; give {cmdlet} a parameter, which Get-Help {cmdlet} lists"),
        Misfit::NoInput { cmdlet } => format!("{cmdlet} works on what comes through a pipeline; put a cmdlet and | before it"),
        Misfit::NotAfterPipe { cmdlet } => format!("{cmdlet} takes nothing from a pipeline; begin one with it"),
        Misfit::IdentityTwice { cmdlet } => {
            format!("the identity comes through the pipeline and stands behind {cmdlet} too; take one away")
        }
        Misfit::AddRemoveOnly { parameter } => format!("-{parameter} takes values, or @{{Add=…; Remove=…}} and no other names"),
        Misfit::AddRemoveNew { parameter } => {
            format!("-{parameter} has no values yet that something could be added to; write the values themselves")
        }
        Misfit::NotAList { parameter } => format!("-{parameter} is not a list; @{{…}} does not fit it"),
        Misfit::BadPattern { pattern, why } => format!("{:?} is not a pattern for -match, because of {why:?}", brief(pattern)),
        Misfit::TooComplex { pattern } => format!("{:?} is too long for a pattern", brief(pattern)),
    }
}

/// What goes wrong while it runs.
pub(super) fn mishap(wrong: &Mishap) -> String {
    match wrong {
        Mishap::EmptyIdentity => "the identity is empty; it never means all objects, so name one".to_owned(),
        Mishap::SeveralIdentities => "several identities at once; pipe them, as in \"a\", \"b\" | Get-…".to_owned(),
        Mishap::WildcardIdentity(identity) => {
            format!("{:?} names no single object; leave it out and use | Where-Object {{ $_.Name -like \"…\" }}", brief(identity))
        }
        Mishap::OnlyGlobal(identity) => {
            format!("{:?} is not there; an organization has these settings once, under the identity Global", brief(identity))
        }
        Mishap::OtherKind { is, wants } => format!("this works on a {wants}, and what comes through the pipeline is a {is}"),
        Mishap::NoIdentity { there } => {
            format!(
                "what comes through the pipeline has no Identity, UserPrincipalName, UPN or Id; it has {}. Use ForEach-Object {{ … -Identity $_.Column }}",
                some(there, LISTED)
            )
        }
        Mishap::NobodyToAsk => {
            "this asks before it is done, and nobody is here to answer; add -Confirm:$false. Nothing was done".to_owned()
        }
        Mishap::NoProperty { name, there } => format!("there is no property {:?}; there are {}", brief(name), some(there, LISTED)),
        Mishap::NotANumber { property, value } => format!("{property} of one object is {:?}, which is not a number", brief(value)),
        Mishap::TooMany { most } => format!("more than {most} objects at once; narrow them down with Where-Object first"),
        Mishap::CannotRead { path, cause } => format!("{path:?} cannot be read: {cause}"),
        Mishap::CannotWrite { path, cause } => format!("{path:?} cannot be written: {cause}"),
        Mishap::FileTooLarge { path, most } => format!("{path:?} is larger than {most} bytes; part it"),
        Mishap::NotUtf8 { path } => format!("{path:?} is not in UTF-8; save it as \"CSV UTF-8\""),
        Mishap::BadCsv { path, line, cause } => format!("{path:?}, line {line}: {}; nothing was read", cause.en),
        Mishap::TwiceInHeader { path, name } => format!("{path:?} has the column {:?} twice; nothing was read", brief(name)),
        Mishap::NoHelp { name, near } if near.is_empty() => {
            format!("there is no help about {:?}; Get-Command lists the cmdlets", brief(name))
        }
        Mishap::NoHelp { name, near } => format!("there is no help about {:?}; did you mean {}?", brief(name), near.join(", ")),
    }
}
