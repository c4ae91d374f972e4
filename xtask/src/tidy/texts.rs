//! Rules about single files: how long, how named, how they begin, and what does not occur in them.

use super::{Fault, Tree};

/// Most lines of a source file: an afternoon's reading.
const LONGEST: usize = 600;

/// Files that may be longer, and why. An entry that is no longer needed is itself a fault.
const LONG: &[(&str, &str)] = &[];

/// Folder names that say nothing about what lies inside.
const EMPTY_NAMES: [&str; 4] = ["common", "utils", "helpers", "types"];

/// What stands only in unfinished work. Written in two parts, so that this file does not find itself.
const UNFINISHED: [(&str, &str); 5] = [("todo", "!("), ("unimplemented", "!("), ("#[ign", "ore"), ("FIX", "ME"), ("XX", "X:")];

/// Beginnings of paths that exist on one machine only.
const WORKPLACES: [(&str, &str); 5] = [("/ho", "me/"), ("/wo", "rk/"), ("/ro", "ot/"), ("/Us", "ers/"), ("C:\\", "Users")];

/// No source file is longer than [`LONGEST`] lines, but for the exceptions.
pub fn long_files(tree: &Tree) -> Vec<Fault> {
    let mut faults = long_files_but(tree, LONG);
    for (path, _) in LONG {
        if tree.text(path).is_none_or(|text| text.lines().count() <= LONGEST) {
            faults.push(Fault::new(*path, "is not too long (any more); take it out of the exceptions in xtask/src/tidy/texts.rs"));
        }
    }
    faults
}

fn long_files_but(tree: &Tree, exceptions: &[(&str, &str)]) -> Vec<Fault> {
    // What a machine wrote, as data of tests, is read by nobody from end to end.
    let sources = tree.ending(".rs").chain(tree.ending(".sql")).filter(|(path, _)| !path.contains("/fixtures/"));
    sources
        .filter(|(path, _)| !exceptions.iter().any(|(exception, _)| exception == path))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(path, lines)| Fault::new(path, format!("has {lines} lines; at most {LONGEST}: part it by reason to change")))
        .collect()
}

/// Folders are named for what lies inside.
pub fn folder_names(tree: &Tree) -> Vec<Fault> {
    let names = tree.folders.iter().map(|f| (f.as_str(), f.rsplit('/').next().unwrap_or(f)));
    let modules = tree.ending(".rs").map(|(path, _)| (path, path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs")));
    names
        .chain(modules)
        .filter(|(_, name)| EMPTY_NAMES.contains(name))
        .map(|(path, name)| Fault::new(path, format!("{name:?} says nothing about what is inside; name it by the word of the domain")))
        .collect()
}

/// Every source file opens with its story.
pub fn stories(tree: &Tree) -> Vec<Fault> {
    tree.ending(".rs")
        .filter(|(_, text)| !text.trim_start().starts_with("//!"))
        .map(|(path, _)| Fault::new(path, "does not open with its story (//!): who is here, what comes in, what goes out"))
        .collect()
}

/// Nothing unfinished is called done.
pub fn unfinished(tree: &Tree) -> Vec<Fault> {
    let rust = tree.ending(".rs").chain(tree.ending(".sql")).chain(tree.ending(".html"));
    rust.flat_map(|(path, text)| find(path, text, &UNFINISHED, "is unfinished work; finish it or take it out")).collect()
}

/// The tree speaks of no machine on which it was written.
pub fn workplaces(tree: &Tree) -> Vec<Fault> {
    tree.files
        .iter()
        .flat_map(|(path, text)| find(path, text, &WORKPLACES, "is a path of one machine; make it relative or an example of any machine"))
        .collect()
}

/// Finds words that do not continue a longer path or name to their left.
fn find(path: &str, text: &str, words: &[(&str, &str)], message: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (a, b) in words {
            let word = format!("{a}{b}");
            let own = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}*".contains(c));
            if line.match_indices(&word).any(|(at, _)| own(at)) {
                faults.push(Fault::new(format!("{path}:{}", number + 1), format!("{word:?} {message}")));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::*;

    fn joined(words: (&str, &str)) -> String {
        format!("{}{}", words.0, words.1)
    }

    #[test]
    fn a_long_file_is_a_fault_unless_it_is_an_exception() {
        let (long, longest) = ("x\n".repeat(601), "x\n".repeat(9000));
        let tree = made_up(&[("a.rs", &long), ("b.rs", &"x\n".repeat(600)), ("c.md", &longest), ("d/fixtures/e.sql", &longest)]);
        assert_eq!(long_files_but(&tree, &[]), [Fault::new("a.rs", "has 601 lines; at most 600: part it by reason to change")]);
        assert!(long_files_but(&tree, &[("a.rs", "a table")]).is_empty());
    }

    #[test]
    fn folders_and_modules_with_empty_names_are_faults() {
        let tree = made_up(&[("crates/x/src/utils/mod.rs", ""), ("crates/x/src/helpers.rs", ""), ("crates/x/src/utilities.rs", "")]);
        assert_eq!(folder_names(&tree).len(), 2);
    }

    #[test]
    fn a_file_opens_with_its_story() {
        let tree = made_up(&[("a.rs", "\n//! Story.\n"), ("b.rs", "use std::fmt;\n"), ("c.rs", "// a licence\n//! Story.")]);
        assert_eq!(stories(&tree).iter().map(|f| f.place.as_str()).collect::<Vec<_>>(), ["b.rs", "c.rs"]);
    }

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        for words in UNFINISHED {
            let tree = made_up(&[("a.rs", &format!("//! Story.\n    {}\"later\")", joined(words)))]);
            assert_eq!(unfinished(&tree).first().map(|f| f.place.as_str()), Some("a.rs:2"), "{words:?}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found_and_addresses_are_not() {
        for words in WORKPLACES {
            let tree = made_up(&[("a.md", &format!("see `{}x`", joined(words)))]);
            assert_eq!(workplaces(&tree).len(), 1, "{words:?}");
        }
        let address = format!("https://example.org{}x and docs{}", joined(WORKPLACES[0]), joined(WORKPLACES[1]));
        assert!(workplaces(&made_up(&[("a.md", &address)])).is_empty());
    }
}
