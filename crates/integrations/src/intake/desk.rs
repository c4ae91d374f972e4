//! The engine as the one who takes in calls.

use super::{Filled, HeardLeg, Intake};
use async_trait::async_trait;
use engine::Engine;
use engine::hearing::{HeardFile, Piece};
use model::calls::{Caller, LEG_TYPE, Leg, LegState};
use model::objects::ObjectKind;
use model::{Refusal, Timestamp};
use serde_json::Value;

/// An engine, in the name of one integration.
#[derive(Clone)]
pub struct Desk {
    engine: Engine,
    /// Who brings the calls, for the record.
    by: String,
}

impl Desk {
    /// Calls are brought to this engine in this name.
    pub fn new(engine: Engine, by: impl Into<String>) -> Desk {
        Desk { engine, by: by.into() }
    }
}

fn data(leg: &Leg) -> Value {
    serde_json::to_value(leg).expect("a leg has only names as keys")
}

#[async_trait]
impl Intake for Desk {
    async fn take(&self, heard: Vec<HeardLeg>) -> Result<(), Refusal> {
        let piece = |heard: HeardLeg| Piece {
            kind: LEG_TYPE.to_owned(),
            data: data(&heard.leg),
            file: heard.recording.map(|audio| HeardFile { name: audio.name, media_type: audio.media_type, content: audio.bytes }),
        };
        self.engine.hear(&self.by, heard.into_iter().map(piece).collect()).await
    }

    async fn concerns(&self, dial_plan: &str, extension: &str) -> Result<bool, Refusal> {
        let leg = Leg {
            call_id: "concerns".to_owned(),
            leg_id: "concerns".to_owned(),
            dial_plan: dial_plan.to_owned(),
            called_extension: extension.to_owned(),
            caller: Caller::default(),
            state: LegState::NoAnswer,
            at: self.engine.now(),
            answered_elsewhere: None,
            recording: None,
        };
        self.engine.would_tell(LEG_TYPE, &data(&leg)).await
    }

    async fn mailbox_of(&self, address: &str) -> Result<Option<(String, String)>, Refusal> {
        let Some(mailbox) = self.engine.object_of_person(ObjectKind::Mailbox, address).await? else { return Ok(None) };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let extension = mailbox.get("extensions").and_then(|list| list.get(0)).and_then(text);
        Ok(mailbox.get("umDialPlan").and_then(text).zip(extension))
    }

    async fn missed_a_while(&self, integration: &str, from: Timestamp, until: Timestamp) -> Result<(), Refusal> {
        self.engine.note_gap(integration, from, until).await
    }

    async fn filled(&self, integration: &str, from: Timestamp, filled: Filled) -> Result<(), Refusal> {
        self.engine.note_filled(integration, from, filled).await
    }

    async fn heard_until(&self, integration: &str) -> Result<Option<Timestamp>, Refusal> {
        self.engine.heard_until(integration).await
    }

    async fn note_heard(&self, integration: &str, until: Timestamp) -> Result<(), Refusal> {
        self.engine.note_heard(integration, until).await
    }
}
