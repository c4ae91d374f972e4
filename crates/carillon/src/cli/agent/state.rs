//! What a command-line device remembers between runs: its token and its place in the stream. Only its owner may read it.

use crate::cli::trouble::{Result, Trouble};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A device's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentState {
    /// The server.
    pub url: String,
    /// The device's own token.
    pub token: String,
    /// The device.
    pub device_id: String,
    /// Its owner.
    pub user_id: String,
    /// Its owner's name.
    pub display_name: String,
    /// The device's name.
    pub name: String,
    /// The last notification that it got, so that a later stream resumes behind it.
    #[serde(default)]
    pub last_event_id: Option<String>,
}

impl AgentState {
    /// Reads a state file.
    ///
    /// # Errors
    /// When there is none, or it is not one.
    pub fn load(path: &Path) -> Result<AgentState> {
        let text = fs::read_to_string(path).map_err(|e| {
            Trouble::usage(format!("{} cannot be read ({e}); enrol first: carillon agent enroll --code CODE --name NAME", path.display()))
        })?;
        serde_json::from_str(&text)
            .map_err(|e| Trouble::usage(format!("{} is not a state file of an agent ({e}); enrol again", path.display())))
    }

    /// Writes the file anew, mode 0600; a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let wrong = |e: std::io::Error| Trouble::local(format!("{} cannot be written ({e})", path.display()));
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(wrong)?;
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".part");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&partial).map_err(wrong)?;
        let text = serde_json::to_string_pretty(self).expect("texts are JSON");
        writeln!(file, "{text}").map_err(wrong)?;
        drop(file);
        fs::rename(&partial, path).map_err(wrong)
    }
}

/// `$XDG_STATE_HOME/carillon/agent.json`, else below `~/.local/state` (XDG Base Directory Specification).
pub fn usual_path() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local").join("state")));
    state.map(|state| state.join("carillon").join("agent.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_kept_for_its_owner_only() {
        let folder = std::env::temp_dir().join(format!("carillon-agent-{}", uuid::Uuid::new_v4()));
        let path = folder.join("deep").join("agent.json");
        let word = |text: &str| text.to_owned();
        let mut state = AgentState {
            url: word("http://h"),
            token: word("t"),
            device_id: word("d"),
            user_id: word("u"),
            display_name: word("Ada"),
            name: word("n"),
            last_event_id: None,
        };
        state.save(&path).expect("saved");
        state.last_event_id = Some("7".into());
        state.save(&path).expect("saved again");
        assert_eq!(AgentState::load(&path), Ok(state));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("a file").permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::write(&path, "{}").expect("a file");
        assert!(AgentState::load(&path).expect_err("not a state").detail.contains("enrol again"));
        fs::remove_dir_all(&folder).expect("removed");
        assert!(AgentState::load(&path).expect_err("gone").detail.contains("enrol first"));
    }
}
