//! What a front end drives: text in, objects and messages out, an exit code at the end.

use crate::backend::{Backend, Terminal};
use crate::catalogue::Catalogue;
use crate::complete::{Candidate, complete};
use crate::grammar::parse;
use crate::item::Item;
use crate::plan::plan;
use crate::run::{Running, Sink};
use crate::view;
use model::Locale;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most objects that are gathered before they are shown to people. A table shows them together; behind this many it begins
/// anew, so that a list of a million needs no memory for all.
const SHOWN_TOGETHER: usize = 1_000;

/// How a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// In which language.
    pub locale: Locale,
    /// Characters of a line; 0 for no bound.
    pub width: usize,
    /// One JSON array of all objects instead of tables and lists.
    pub json: bool,
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// Everything was done.
    Well,
    /// Something was not, and it was said.
    Badly,
    /// `exit` was said, with this number.
    Left(i32),
}

/// A conversation with the shell.
pub struct Session {
    catalogue: Arc<Catalogue>,
    backend: Arc<dyn Backend>,
    manner: Manner,
    failed: bool,
    left: Option<i32>,
    printed: bool,
}

impl Session {
    /// A new one.
    pub fn new(catalogue: Arc<Catalogue>, backend: Arc<dyn Backend>, manner: Manner) -> Session {
        Session { catalogue, backend, manner, failed: false, left: None, printed: false }
    }

    /// The cmdlets that it knows.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Another width, when the terminal has another.
    pub fn set_width(&mut self, width: usize) {
        self.manner.width = width;
    }

    /// Runs a text: a line, or a whole script. A text with a mistake in it is refused as a whole, before anything is done.
    /// Dropping the future stops between two acts.
    pub async fn run(&mut self, text: &str, terminal: &mut dyn Terminal) -> Went {
        let (catalogue, backend) = (self.catalogue.clone(), self.backend.clone());
        let plan = match plan(text, &catalogue) {
            Ok(plan) => plan,
            Err(complaint) => {
                self.failed = true;
                terminal.error(&complaint.show(text, self.manner.locale));
                return Went::Badly;
            }
        };
        let mut running = Running {
            catalogue: &catalogue,
            backend: &*backend,
            terminal,
            locale: self.manner.locale,
            width: self.manner.width,
            json: self.manner.json,
            failed: false,
            left: None,
            standing: None,
            said: BTreeSet::new(),
        };
        let mut shown = Shown { gathered: Vec::new(), printed: self.printed };
        running.run(&plan, &mut shown).await;
        let (failed, left) = (running.failed, running.left);
        self.printed = shown.printed;
        self.failed |= failed;
        self.left = left;
        match left {
            Some(code) => Went::Left(code),
            None if failed => Went::Badly,
            None => Went::Well,
        }
    }

    /// Ends the output, and says with which number to exit: that of `exit`, or 1 when anything was not done.
    pub fn finish(&mut self, terminal: &mut dyn Terminal) -> i32 {
        if self.manner.json {
            terminal.out(if self.printed { "\n]\n" } else { "[]\n" });
        }
        self.left.unwrap_or(i32::from(self.failed))
    }

    /// What could stand at a place of a line.
    pub fn complete(&self, line: &str, cursor: usize) -> Vec<Candidate> {
        complete(&self.catalogue, line, cursor, self.manner.locale)
    }

    /// Whether a text may still become a script with more lines: something is open.
    pub fn unfinished(&self, text: &str) -> bool {
        text.trim_end().ends_with('|') || parse(text).is_err_and(|complaint| complaint.wrong.unfinished())
    }
}

/// What comes out of the pipelines of a session.
struct Shown {
    gathered: Vec<Item>,
    printed: bool,
}

impl Shown {
    fn flush(&mut self, running: &mut Running<'_>) {
        let shown = view::usual(&self.gathered, running.width);
        if !self.gathered.is_empty() {
            running.terminal.out(&format!("{shown}\n"));
        }
        self.gathered.clear();
    }
}

impl Sink for Shown {
    fn take(&mut self, running: &mut Running<'_>, item: Item) {
        if running.json {
            let before = if self.printed { ",\n  " } else { "[\n  " };
            self.printed = true;
            running.terminal.out(&format!("{before}{}", view::object(&item, true, 0)));
            return;
        }
        self.gathered.push(item);
        if self.gathered.len() == SHOWN_TOGETHER {
            self.flush(running);
        }
    }

    fn end(&mut self, running: &mut Running<'_>) {
        self.flush(running);
    }
}
