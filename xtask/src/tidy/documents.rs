//! Rules about documents: that they speak of what is there, and that their links lead somewhere.

use super::{Fault, Tree};

/// Every crate stands in the architecture, the changelog has a place for the next release, and the manual's table of
/// contents names every chapter.
pub fn what_documents_must_say(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    match tree.text("CHANGELOG.md") {
        Some(text) if text.lines().any(|l| l.trim() == "## [Unreleased]") => {}
        _ => faults.push(Fault::new("CHANGELOG.md", "has no section \"## [Unreleased]\"")),
    }
    let architecture = tree.text("ARCHITECTURE.md").unwrap_or("");
    for (path, _) in tree.ending("/Cargo.toml") {
        let folder = path.trim_end_matches("/Cargo.toml");
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let named = [format!("{name}/"), format!("`{name}`"), format!("`{folder}`")].iter().any(|n| architecture.contains(n));
        if !named {
            faults.push(Fault::new("ARCHITECTURE.md", format!("does not name {folder}; say what it is for")));
        }
    }
    let contents = tree.text("docs/src/SUMMARY.md").unwrap_or("");
    for (path, _) in tree.ending(".md").filter(|(path, _)| path.starts_with("docs/src/") && !path.ends_with("SUMMARY.md")) {
        let chapter = path.trim_start_matches("docs/src/");
        if !contents.contains(&format!("({chapter})")) && !contents.contains(&format!("(./{chapter})")) {
            faults.push(Fault::new("docs/src/SUMMARY.md", format!("does not name {chapter}")));
        }
    }
    faults
}

/// Links between documents lead to a file or folder of the tree.
pub fn links(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in tree.ending(".md") {
        for (number, line) in text.lines().enumerate() {
            for target in targets(line) {
                let resolved = resolve(path, target);
                let there = resolved.is_empty() || tree.folders.contains(&resolved) || tree.text(&resolved).is_some();
                if !there {
                    faults.push(Fault::new(format!("{path}:{}", number + 1), format!("links to {target}, which is not there")));
                }
            }
        }
    }
    faults
}

/// Local targets of a line's links, without their fragments.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.split('#').next().unwrap_or("")).filter(|t| {
        let elsewhere = t.contains("://") || t.starts_with("mailto:");
        !t.is_empty() && !elsewhere && !t.contains(' ')
    })
}

/// The path that `target` means when it is written in the file `from`.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::*;

    #[test]
    fn the_architecture_names_every_crate_and_the_changelog_is_open() {
        let whole = made_up(&[
            ("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n"),
            ("ARCHITECTURE.md", "`model` and\n  store/   rows"),
            ("crates/model/Cargo.toml", ""),
            ("crates/store/Cargo.toml", ""),
        ]);
        assert_eq!(what_documents_must_say(&whole), []);
        let torn = made_up(&[("CHANGELOG.md", "## 0.1"), ("ARCHITECTURE.md", ""), ("crates/model/Cargo.toml", "")]);
        let places: Vec<String> = what_documents_must_say(&torn).into_iter().map(|f| f.place).collect();
        assert_eq!(places, ["CHANGELOG.md", "ARCHITECTURE.md"]);
    }

    #[test]
    fn a_chapter_outside_the_table_of_contents_is_a_fault() {
        let changelog = ("CHANGELOG.md", "## [Unreleased]");
        let tree = made_up(&[changelog, ("docs/src/SUMMARY.md", "- [A](a.md)"), ("docs/src/a.md", ""), ("docs/src/b/c.md", "")]);
        assert_eq!(what_documents_must_say(&tree), [Fault::new("docs/src/SUMMARY.md", "does not name b/c.md")]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let text = "[a](b.md#x) [c](../README.md) [d](https://x.org/y.md) [e](#here)\n![f](gone.svg)";
        let tree = made_up(&[("docs/a.md", text), ("docs/b.md", ""), ("README.md", "")]);
        assert_eq!(links(&tree), [Fault::new("docs/a.md:2", "links to gone.svg, which is not there")]);
    }
}
