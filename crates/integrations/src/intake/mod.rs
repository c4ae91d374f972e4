//! Where integrations bring what telephone systems say. The engine is one; the tests of protocols have one of their own.

mod desk;

use async_trait::async_trait;
pub use desk::Desk;
pub use engine::gaps::Filled;
use model::calls::Leg;
use model::{Refusal, Timestamp};

/// A voice message, as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The file's name for the reader, without a path.
    pub name: String,
    /// Media type (RFC 2046).
    pub media_type: String,
    /// The audio.
    pub bytes: Vec<u8>,
}

/// One leg of a call, with the audio of the voice message where it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardLeg {
    /// What is said of it.
    pub leg: Leg,
    /// What was recorded.
    pub recording: Option<Recording>,
}

/// Who takes in what was heard.
#[async_trait]
pub trait Intake: Send + Sync + 'static {
    /// Takes in all of it or nothing. It is kept for good when this returns; the same again changes nothing.
    ///
    /// # Errors
    /// `invalid_field` and `too_large` for what can never be taken; `unavailable` for what should be brought again later.
    async fn take(&self, heard: Vec<HeardLeg>) -> Result<(), Refusal>;

    /// Whether an extension of a dial plan, named or by its id, belongs to somebody's mailbox.
    ///
    /// # Errors
    /// `unavailable`: ask again later.
    async fn concerns(&self, dial_plan: &str, extension: &str) -> Result<bool, Refusal>;

    /// Dial plan and extension of the mailbox of the person with this mail address or user principal name.
    ///
    /// # Errors
    /// `unavailable`: ask again later.
    async fn mailbox_of(&self, address: &str) -> Result<Option<(String, String)>, Refusal>;

    /// A connection through which calls are heard was away for a while: what happened then is not known.
    ///
    /// # Errors
    /// `unavailable`: say it again later.
    async fn missed_a_while(&self, integration: &str, from: Timestamp, until: Timestamp) -> Result<(), Refusal>;

    /// Such a while was filled from call records.
    ///
    /// # Errors
    /// `unavailable`: say it again later.
    async fn filled(&self, integration: &str, from: Timestamp, filled: Filled) -> Result<(), Refusal>;

    /// Until when an integration heard everything, as it said last.
    ///
    /// # Errors
    /// `unavailable`: ask again later.
    async fn heard_until(&self, integration: &str) -> Result<Option<Timestamp>, Refusal>;

    /// An integration heard everything until this instant. It outlives the process, so that the next one knows what it missed.
    ///
    /// # Errors
    /// `unavailable`: say it again later.
    async fn note_heard(&self, integration: &str, until: Timestamp) -> Result<(), Refusal>;
}
