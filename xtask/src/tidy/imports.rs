//! Who may import whom: the table of the architecture, held against the manifests.

use super::{Fault, Tree};

/// One crate of ours.
struct Room {
    /// Name of the package.
    name: &'static str,
    /// Which of ours it may import.
    may: &'static [&'static str],
    /// Which of ours its tests may import beside those.
    tests_may: &'static [&'static str],
}

/// Every crate. A crate that does not stand here does not exist.
const ROOMS: &[Room] = &[
    Room { name: "model", may: &[], tests_may: &[] },
    Room { name: "sources", may: &["model"], tests_may: &[] },
    Room { name: "channels", may: &["model"], tests_may: &["fakes"] },
    Room { name: "store", may: &["model"], tests_may: &["servers"] },
    Room { name: "engine", may: &["model", "store"], tests_may: &["sources"] },
    Room { name: "integrations", may: &["model", "engine", "web"], tests_may: &["store", "sources"] },
    Room { name: "web", may: &["model", "engine"], tests_may: &["store", "sources"] },
    Room { name: "shell", may: &["model"], tests_may: &[] },
    Room {
        name: "carillon",
        may: &["model", "sources", "channels", "store", "engine", "integrations", "web", "shell", "fakes"],
        tests_may: &[],
    },
    // Stand-ins share no code with what they stand against, so that no mistake is made twice in the same way.
    Room { name: "fakes", may: &[], tests_may: &[] },
    Room { name: "servers", may: &[], tests_may: &[] },
    // Stories and benchmarks drive the real program from outside.
    Room { name: "stories", may: &["fakes", "servers"], tests_may: &["fakes"] },
    Room { name: "benches", may: &["fakes", "servers"], tests_may: &["fakes"] },
    // What strangers write goes through everything that reads it, in one process.
    Room { name: "strangers", may: &["model", "sources", "channels", "store", "engine", "integrations", "web", "shell"], tests_may: &[] },
    Room { name: "carillon-fuzz", may: &["strangers"], tests_may: &[] },
    // The engine from inside, on made-up time and a made-up network.
    Room { name: "simulation", may: &["model", "sources", "store", "engine"], tests_may: &[] },
    Room { name: "xtask", may: &[], tests_may: &[] },
];

/// Reads every manifest's tables of dependencies.
pub fn who_imports_whom(tree: &Tree) -> Vec<Fault> {
    tree.ending("Cargo.toml").filter(|(path, _)| *path != "Cargo.toml").flat_map(|(path, text)| judge(path, text)).collect()
}

fn judge(path: &str, text: &str) -> Vec<Fault> {
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(cause) => return vec![Fault::new(path, format!("is not TOML: {cause}"))],
    };
    let name = manifest.get("package").and_then(|p| p.get("name")).and_then(toml::Value::as_str).unwrap_or("");
    let Some(room) = ROOMS.iter().find(|r| r.name == name) else {
        return vec![Fault::new(
            path,
            format!("the crate {name:?} does not stand in the table of xtask/src/tidy/imports.rs; say there what it may import"),
        )];
    };
    let mut faults = Vec::new();
    for (table, imported) in imports(&manifest) {
        if !ROOMS.iter().any(|r| r.name == imported) {
            continue;
        }
        let allowed = room.may.contains(&imported.as_str()) || (table == "dev-dependencies" && room.tests_may.contains(&imported.as_str()));
        if !allowed {
            faults.push(Fault::new(path, format!("{name} may not import {imported} ({table}); ARCHITECTURE.md says who may import whom")));
        }
    }
    if manifest.get("lints").and_then(|l| l.get("workspace")).and_then(toml::Value::as_bool) != Some(true) {
        faults.push(Fault::new(path, "the workspace's lints do not apply; add [lints] workspace = true"));
    }
    faults
}

/// Every dependency with the name of its table, those for one platform included.
fn imports(manifest: &toml::Table) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let platforms = manifest.get("target").and_then(toml::Value::as_table);
    let tables = std::iter::once(manifest).chain(platforms.into_iter().flat_map(|p| p.values()).filter_map(toml::Value::as_table));
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(list) = table.get(kind).and_then(toml::Value::as_table) else { continue };
            for (key, value) in list {
                let package = value.get("package").and_then(toml::Value::as_str).unwrap_or(key);
                found.push((kind, package.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::*;

    fn faults(manifest: &str) -> Vec<String> {
        let text = format!("{manifest}\n[lints]\nworkspace = true\n");
        who_imports_whom(&made_up(&[("crates/x/Cargo.toml", &text)])).into_iter().map(|f| f.message).collect()
    }

    #[test]
    fn the_model_imports_nothing_of_ours() {
        assert_eq!(faults("[package]\nname = \"model\"\n[dependencies]\nserde = \"1\""), Vec::<String>::new());
        let wrong = faults("[package]\nname = \"model\"\n[dependencies]\nstore.workspace = true");
        assert_eq!(wrong, ["model may not import store (dependencies); ARCHITECTURE.md says who may import whom"]);
    }

    #[test]
    fn renamed_build_and_platform_dependencies_are_seen() {
        assert_eq!(faults("[package]\nname = \"web\"\n[dependencies]\nrows = { package = \"store\", path = \"../store\" }").len(), 1);
        assert_eq!(faults("[package]\nname = \"web\"\n[build-dependencies]\nchannels.workspace = true").len(), 1);
        assert_eq!(faults("[package]\nname = \"web\"\n[target.'cfg(unix)'.dependencies]\nchannels.workspace = true").len(), 1);
    }

    #[test]
    fn tests_may_import_what_the_table_says_and_no_more() {
        assert!(faults("[package]\nname = \"channels\"\n[dev-dependencies]\nfakes.workspace = true").is_empty());
        assert_eq!(faults("[package]\nname = \"channels\"\n[dependencies]\nfakes.workspace = true").len(), 1);
    }

    #[test]
    fn an_unknown_crate_and_missing_lints_are_faults() {
        assert!(faults("[package]\nname = \"surprise\"")[0].contains("does not stand in the table"));
        let tree = made_up(&[("xtask/Cargo.toml", "[package]\nname = \"xtask\"")]);
        assert!(who_imports_whom(&tree)[0].message.contains("lints"));
    }
}
