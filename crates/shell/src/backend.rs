//! What the shell asks of the world. The binary hands it a backend that speaks the HTTP API with the caller's own rights, so
//! that the shell can do nothing that the API would refuse, and a terminal.

use async_trait::async_trait;
use model::objects::ObjectKind;
use model::{Fault, Refusal};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// An object as the API has it: `id`, `name`, `version` and its fields, in camel case.
pub type Fields = Map<String, Value>;

/// Some of the objects of a kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The objects.
    pub objects: Vec<Fields>,
    /// What to ask for the next page with; nothing behind the last.
    pub next: Option<String>,
}

/// An act, with parameters that fit their declarations.
#[derive(Clone, Debug, PartialEq)]
pub struct Doing {
    /// On which kind.
    pub kind: ObjectKind,
    /// Name of the declared act.
    pub act: &'static str,
    /// On which object or person; nothing for a new one.
    pub identity: Option<String>,
    /// The act's parameters.
    pub given: Map<String, Value>,
    /// Which version it was computed from, when it was (`@{Add=…}`): another one must be refused.
    pub version: Option<i64>,
}

/// What an act came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// The object as it is now, when there still is one.
    pub object: Option<Fields>,
    /// Shown this once and never again, such as a new PIN.
    pub revealed: Map<String, Value>,
    /// Sentences for the reader, in their language.
    pub remarks: Vec<String>,
}

/// Why the backend did not do something.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refused {
    /// A stable word for programs, such as `not_found`.
    pub code: String,
    /// A sentence for people.
    pub detail: String,
    /// Fields at fault, by their names in the API.
    pub faults: Vec<Fault>,
    /// For a name that may mean several objects: their ids.
    pub ids: Vec<Uuid>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused { code: refusal.code.to_owned(), detail: refusal.detail, faults: refusal.faults, ids: refusal.ids }
    }
}

/// Who does what the shell is told.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Objects of a kind, a page at a time, narrowed by the values of fields.
    ///
    /// # Errors
    /// What stands against it.
    async fn list(&self, kind: ObjectKind, by: &Map<String, Value>, after: Option<&str>) -> Result<Page, Refused>;

    /// The one object with this id or name, or of this person. One that does not exist is an error.
    ///
    /// # Errors
    /// What stands against it; `not_found` when there is none.
    async fn find(&self, kind: ObjectKind, identity: &str) -> Result<Fields, Refused>;

    /// Does it.
    ///
    /// # Errors
    /// What stands against it: then nothing was done.
    async fn act(&self, doing: &Doing) -> Result<Done, Refused>;

    /// Says what it would do, in sentences in the reader's language, and changes nothing.
    ///
    /// # Errors
    /// What would stand against it.
    async fn preview(&self, doing: &Doing) -> Result<Vec<String>, Refused>;

    /// The values of settings.
    ///
    /// # Errors
    /// What stands against it.
    async fn settings(&self, keys: &[&'static str]) -> Result<BTreeMap<String, Value>, Refused>;

    /// Changes settings, all or none; without a value, back to the default. Sentences for the reader come back.
    ///
    /// # Errors
    /// What stands against it: then none was changed.
    async fn set(&self, changes: &BTreeMap<&'static str, Option<Value>>) -> Result<Vec<String>, Refused>;
}

/// What somebody says when they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Do it.
    Yes,
    /// Do it, and do not ask again in this pipeline.
    YesToAll,
    /// Leave it.
    No,
    /// Leave it, and everything else in this pipeline.
    NoToAll,
    /// There is nobody to ask.
    Nobody,
}

/// Who reads what the shell says.
pub trait Terminal: Send {
    /// A text for standard output; lines are not ended yet.
    fn out(&mut self, text: &str);
    /// A warning, or a notice, beside the output.
    fn warn(&mut self, text: &str);
    /// An error, beside the output.
    fn error(&mut self, text: &str);
    /// Whether somebody wants it to stop: then nothing more is begun, and what came of what was done is shown.
    fn stopped(&self) -> bool {
        false
    }
    /// Asks; the front end says in its own way what can be answered.
    fn ask(&mut self, question: &str) -> Answer;
    /// A file for `Import-Csv`.
    ///
    /// # Errors
    /// Why not, in words.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String>;
    /// A file for `Export-Csv`; what was there is replaced.
    ///
    /// # Errors
    /// Why not, in words.
    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), String>;
}
