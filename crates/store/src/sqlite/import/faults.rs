//! What is wrong with the files, cell by cell.

use model::Fault;

/// Most faults that a report names; all are counted.
const NAMED_FAULTS: usize = 1_000;

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults {
    named: Vec<(u32, u32, Fault)>,
    count: u64,
}

impl Faults {
    /// Notes a bad cell. `file` is the number of the file, `name` its name; lines count from 1.
    pub fn cell(&mut self, (file, name): (u32, &str), line: u32, column: &str, message: impl Into<String>) {
        self.count += 1;
        if self.named.len() < NAMED_FAULTS {
            let field = if column.is_empty() { format!("{name}:{line}") } else { format!("{name}:{line}:{column}") };
            self.named.push((file, line, Fault { field, message: message.into() }));
        }
    }

    /// Notes that the import as a whole is refused.
    pub fn whole(&mut self, field: &str, message: impl Into<String>) {
        self.count += 1;
        // Last, and never left out: there are at most five of them.
        self.named.push((u32::MAX, 0, Fault { field: field.into(), message: message.into() }));
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The named ones, in the order of files and lines.
    pub fn into_named(mut self) -> Vec<Fault> {
        self.named.sort_by_key(|(file, line, _)| (*file, *line));
        self.named.into_iter().map(|(_, _, fault)| fault).collect()
    }
}
