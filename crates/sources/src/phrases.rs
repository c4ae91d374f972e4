//! A source's phrases in every language, written in Fluent files beside it.
//!
//! In: the text of `en.ftl` and `fr.ftl`. Out: one phrase in one language with its variables filled in. Isolating marks
//! are off: the phrases go into plain text, subjects and lock screens, where the marks would show.

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use model::Locale;
use unic_langid::LanguageIdentifier;

/// The phrases of one source.
pub(crate) struct Phrases {
    en: FluentBundle<FluentResource>,
    fr: FluentBundle<FluentResource>,
}

impl Phrases {
    /// Reads both files. They are part of the program, so a fault in them is a fault of the build and a test finds it.
    pub(crate) fn new(en: &'static str, fr: &'static str) -> Phrases {
        Phrases { en: bundle("en", en), fr: bundle("fr", fr) }
    }

    /// One phrase. `variables` are names and values, put in as they are: whoever writes HTML escapes the result.
    pub(crate) fn say(&self, locale: Locale, phrase: &str, variables: &[(&str, &str)]) -> String {
        let bundle = match locale {
            Locale::En => &self.en,
            Locale::Fr => &self.fr,
        };
        let message = bundle.get_message(phrase).expect("every phrase of the code stands in both files; a test holds them together");
        let pattern = message.value().expect("every phrase has a value; a test holds both files together");
        let mut arguments = FluentArgs::new();
        for (name, value) in variables {
            arguments.set(*name, *value);
        }
        let mut faults = Vec::new();
        bundle.format_pattern(pattern, Some(&arguments), &mut faults).into_owned()
    }
}

fn bundle(language: &str, text: &str) -> FluentBundle<FluentResource> {
    let language: LanguageIdentifier = language.parse().expect("en and fr are language tags");
    let resource = FluentResource::try_new(text.to_owned()).expect("the phrase file is well-formed Fluent; a test reads it");
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    bundle.set_use_isolating(false);
    bundle.add_resource(resource).expect("no phrase is defined twice; a test reads the file");
    bundle
}

/// Every phrase of a Fluent file with the variables that it uses; for tests that hold the languages together.
#[cfg(test)]
pub(crate) fn outline(text: &str) -> std::collections::BTreeMap<String, std::collections::BTreeSet<String>> {
    let mut phrases = std::collections::BTreeMap::new();
    let mut current = String::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        if let Some((name, _)) = line.split_once(" =").filter(|_| line.starts_with(|c: char| c.is_ascii_alphabetic())) {
            current = name.to_owned();
            phrases.insert(current.clone(), std::collections::BTreeSet::new());
        }
        for after in line.split('$').skip(1) {
            let variable: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').collect();
            phrases.get_mut(&current).expect("a variable stands inside a phrase").insert(variable);
        }
    }
    phrases
}

#[cfg(test)]
mod tests {
    use super::*;

    const EN: &str = "greeting = Hello { $name }!\nlines = First\n    and { $second }\n";
    const FR: &str = "greeting = Bonjour { $name } !\nlines = D’abord\n    puis { $second }\n";

    #[test]
    fn a_phrase_is_said_in_its_language_without_isolating_marks() {
        let phrases = Phrases::new(EN, FR);
        assert_eq!(phrases.say(Locale::En, "greeting", &[("name", "Zoé")]), "Hello Zoé!");
        assert_eq!(phrases.say(Locale::Fr, "greeting", &[("name", "Zoé")]), "Bonjour Zoé !");
    }

    #[test]
    fn a_variable_that_looks_like_a_placeholder_is_put_in_as_it_is() {
        let phrases = Phrases::new(EN, FR);
        assert_eq!(phrases.say(Locale::En, "greeting", &[("name", "{ $name } <b>")]), "Hello { $name } <b>!");
    }

    #[test]
    fn an_outline_names_phrases_and_their_variables() {
        let outline = outline(EN);
        assert_eq!(outline.keys().collect::<Vec<_>>(), ["greeting", "lines"]);
        assert!(outline["greeting"].contains("name") && outline["lines"].contains("second"));
    }
}
