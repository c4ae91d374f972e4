//! The rules of the tree that no compiler keeps: who may import whom, how long a file may be, which names and words
//! do not occur, that the documents speak of what is there.
//!
//! In: every text file of the tree. Out: faults, each with a place, the rule and the mend. Each rule is a function of
//! the texts alone, so that each is tested on trees made up for it.

mod documents;
mod imports;
mod texts;

use crate::steps::Ending;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::path::Path;

/// Folders that hold nothing of ours.
const PASSED_OVER: [&str; 4] = ["target", ".git", "docs/book", "node_modules"];

/// The tree, as far as it is text. Paths are relative to the root and use `/`.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Every folder.
    pub folders: Vec<String>,
    /// Every text file with its content, sorted by path.
    pub files: Vec<(String, String)>,
}

impl Tree {
    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|(p, _)| p == path).map(|(_, text)| text.as_str())
    }

    /// Files whose path ends so, such as `.rs`.
    pub fn ending<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files.iter().filter(move |(path, _)| path.ends_with(suffix)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    fn read(root: &Path) -> Result<Tree> {
        let mut tree = Tree::default();
        tree.read_folder(root, "")?;
        tree.folders.sort();
        tree.files.sort();
        Ok(tree)
    }

    fn read_folder(&mut self, root: &Path, folder: &str) -> Result<()> {
        for entry in std::fs::read_dir(root.join(folder)).with_context(|| format!("cannot read the folder {folder:?}"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if PASSED_OVER.contains(&path.as_str()) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.read_folder(root, &path)?;
                self.folders.push(path);
            } else if kind.is_file()
                && let Ok(text) = String::from_utf8(std::fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?)
            {
                self.files.push((path, text));
            }
        }
        Ok(())
    }
}

/// Something that is not as the rules want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// File, with a line where there is one.
    pub place: String,
    /// The rule and the mend.
    pub message: String,
}

impl Fault {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault { place: place.into(), message: message.into() }
    }
}

/// Every rule.
const RULES: [fn(&Tree) -> Vec<Fault>; 8] = [
    imports::who_imports_whom,
    texts::long_files,
    texts::folder_names,
    texts::stories,
    texts::unfinished,
    texts::workplaces,
    documents::what_documents_must_say,
    documents::links,
];

fn judge(tree: &Tree) -> Vec<Fault> {
    RULES.iter().flat_map(|rule| rule(tree)).collect()
}

/// Prints every fault; true when there is none.
///
/// # Errors
/// When the tree cannot be read.
pub fn tidy(workspace: &Workspace) -> Result<bool> {
    let tree = Tree::read(&workspace.root)?;
    let faults = judge(&tree);
    for fault in &faults {
        println!("{}: {}", fault.place, fault.message);
    }
    println!("tidy: {} files, {} faults", tree.files.len(), faults.len());
    Ok(faults.is_empty())
}

/// The same as a step of the check.
pub fn step(workspace: &Workspace) -> Ending {
    match tidy(workspace) {
        Ok(true) => Ending::Passed(String::new()),
        Ok(false) => Ending::Failed("the tree is not tidy".into()),
        Err(cause) => Ending::Failed(format!("{cause:#}")),
    }
}

#[cfg(test)]
fn made_up(files: &[(&str, &str)]) -> Tree {
    let files: Vec<_> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let folders = files.iter().filter_map(|(path, _)| path.rsplit_once('/')).map(|(folder, _)| folder.to_owned()).collect();
    Tree { folders, files }
}
