//! What the backend says in names of the API, in the names that the shell has for them: `sendEmail` is `-SendEmail`, and a setting
//! is the parameter that changes it.

use crate::catalogue::{Catalogue, Cmdlet, For};
use model::objects::spelled;

/// A field at fault: a parameter where it is one.
pub(super) fn field(name: &str, cmdlet: &Cmdlet, catalogue: &Catalogue) -> String {
    parameter(name, cmdlet).unwrap_or_else(|| sentence(name, cmdlet, catalogue))
}

/// A sentence, in which whole words that name a parameter are replaced. What stands between quotes is what somebody wrote, and stays.
pub(super) fn sentence(text: &str, cmdlet: &Cmdlet, catalogue: &Catalogue) -> String {
    let mut said = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(letter) = rest.chars().next() {
        let end = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
        if end == 0 {
            let escaped = said.ends_with('\\');
            quoted ^= letter == '"' && !escaped;
            said.push(letter);
            rest = &rest[letter.len_utf8()..];
            continue;
        }
        let (word, behind) = rest.split_at(end);
        // A full stop at the end of a word is the sentence's.
        let name = word.trim_end_matches('.');
        let plain = !quoted && !said.ends_with('-');
        match known(name, said.is_empty(), cmdlet, catalogue).filter(|_| plain) {
            Some(spoken) => said.extend([spoken.as_str(), &word[name.len()..]]),
            None => said.push_str(word),
        }
        rest = behind;
    }
    said
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '.'
}

/// The parameter of a cmdlet that gives this field or setting.
fn parameter(name: &str, cmdlet: &Cmdlet) -> Option<String> {
    let found = cmdlet.parameters.iter().find(|p| matches!(p.target, For::Field(known) | For::Setting(known) if known == name));
    found.map(|parameter| format!("-{}", parameter.name))
}

/// How a word is said, if it is a name. `provider` or `name` are words of every sentence, and names only where one begins it; what
/// has a capital, a dot or an underscore within is a name anywhere.
fn known(word: &str, first: bool, cmdlet: &Cmdlet, catalogue: &Catalogue) -> Option<String> {
    let own = || parameter(word, cmdlet);
    if !word.contains(|c: char| c.is_ascii_uppercase() || c == '_' || c == '.') {
        return own().filter(|_| first);
    }
    let related = |other: &&Cmdlet| other.kind().is_none() || other.kind() == cmdlet.kind();
    let alike = || catalogue.cmdlets().iter().filter(related).find_map(|other| parameter(word, other));
    // Of another kind of object it is a property.
    let elsewhere = || catalogue.cmdlets().iter().any(|other| parameter(word, other).is_some()).then(|| spelled(word));
    own().or_else(alike).or_else(elsewhere)
}
