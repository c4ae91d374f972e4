//! The lines that were written, in a file of the user's that nobody else reads. A line that carries a PIN never stands there.

use reedline::{FileBackedHistory, History, HistoryItem, HistoryItemId, HistorySessionId, Result, SearchQuery};
use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Lines that are kept.
const LINES: usize = 2_000;

/// Where the file is: in the folder for what programs remember (XDG Base Directory 0.8, `XDG_STATE_HOME`).
pub fn place(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("carillon/shell-history"))
}

/// A history that leaves out what nobody may read later.
pub struct Discreet(FileBackedHistory);

impl Discreet {
    /// In a file that only its owner reads; without one, as long as the shell runs.
    pub fn open(path: Option<&Path>) -> Option<Discreet> {
        let kept = path.and_then(|path| {
            let folder = path.parent()?;
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).ok()?;
            // A file from elsewhere may be open to others.
            file.set_permissions(std::fs::Permissions::from_mode(0o600)).ok()?;
            FileBackedHistory::with_file(LINES, path.to_owned()).ok()
        });
        kept.or_else(|| FileBackedHistory::new(LINES).ok()).map(Discreet)
    }
}

/// Whether a line gives a PIN: a parameter `-Pin`, in whatever spelling is enough for it.
fn gives_pin(line: &str) -> bool {
    const DASHES: [char; 4] = ['-', '–', '—', '―'];
    let lower = line.to_lowercase();
    lower.match_indices(DASHES).any(|(at, dash)| {
        let word: String = lower[at + dash.len()..].chars().take_while(|c| c.is_alphanumeric()).collect();
        !word.is_empty() && "pin".starts_with(word.as_str())
    })
}

impl History for Discreet {
    fn save(&mut self, item: HistoryItem) -> Result<HistoryItem> {
        if gives_pin(&item.command_line) { Ok(item) } else { self.0.save(item) }
    }

    fn load(&self, id: HistoryItemId) -> Result<HistoryItem> {
        self.0.load(id)
    }

    fn count(&self, query: SearchQuery) -> Result<i64> {
        self.0.count(query)
    }

    fn search(&self, query: SearchQuery) -> Result<Vec<HistoryItem>> {
        self.0.search(query)
    }

    fn update(&mut self, id: HistoryItemId, updater: &dyn Fn(HistoryItem) -> HistoryItem) -> Result<()> {
        self.0.update(id, updater)
    }

    fn clear(&mut self) -> Result<()> {
        self.0.clear()
    }

    fn delete(&mut self, id: HistoryItemId) -> Result<()> {
        self.0.delete(id)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync()
    }

    fn session(&self) -> Option<HistorySessionId> {
        self.0.session()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_pin_is_never_written_and_the_file_is_its_owners() {
        let folder = std::env::temp_dir().join(format!("carillon-history-{}", uuid::Uuid::new_v4()));
        let path = folder.join("state/shell-history");
        let mut history = Discreet::open(Some(&path)).expect("a history");
        for line in ["Get-UMMailbox", "Enable-UMMailbox ada -PIN 48159", "enable-ummailbox ada –pi:48159", "Set-X -PinLength 8"] {
            history.save(HistoryItem::from_command_line(line)).expect("taken");
        }
        history.sync().expect("written");
        let text = std::fs::read_to_string(&path).expect("a file");
        assert_eq!(text, "Get-UMMailbox\nSet-X -PinLength 8\n");
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn the_file_lies_where_programs_keep_what_they_remember() {
        let of = |pairs: &'static [(&str, &str)]| {
            place(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), Some("/s/carillon/shell-history".into()));
        assert_eq!(of(&[("XDG_STATE_HOME", "s"), ("HOME", "/h")]), Some("/h/.local/state/carillon/shell-history".into()));
        assert_eq!(of(&[]), None);
    }
}
