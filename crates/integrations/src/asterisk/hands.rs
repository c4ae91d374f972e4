//! The pieces of work of [`super::handing`]: what is brought to the intake, one at a time, and what that came to.

use super::audio::{self, Look};
use super::calls::Ended;
use super::settings::Settings;
use super::spool;
use super::tail;
use crate::intake::{Filled, HeardLeg, Intake};
use model::calls::{Leg, LegState, RECORDING_CHARS};
use model::time::Timestamp;
use model::{Refusal, RefusalKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a piece of work came to.
pub(super) enum Done {
    /// These legs are kept for good.
    Taken(Vec<Leg>),
    /// The audio is not there.
    NotYet,
    /// The audio will not come.
    Never(&'static str),
    /// The gap is kept.
    Told,
    /// The call records are read, and their legs kept for good.
    Filled(Vec<Leg>),
    /// The call records cannot be read.
    Unread(String),
    /// It is kept until when everything was heard.
    Noted,
}

/// What a piece of work needs.
#[derive(Clone)]
pub(super) struct Hands {
    pub intake: Arc<dyn Intake>,
    pub settings: Arc<Settings>,
}

impl Hands {
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Hands on the legs of a call, as far as they were not handed on `before`.
    pub(super) async fn hand(self, ended: Box<Ended>, before: Vec<Leg>) -> Result<Done, Refusal> {
        self.hand_on(&ended, &before).await.map(Done::Taken)
    }

    async fn hand_on(&self, ended: &Ended, before: &[Leg]) -> Result<Vec<Leg>, Refusal> {
        let mut ours = BTreeSet::new();
        for extension in ended.candidates() {
            if self.intake.concerns(ended.dial_plan(), &extension).await? {
                ours.insert(extension);
            }
        }
        let mut legs = ended.legs(|extension| ours.contains(extension));
        for leg in &mut legs {
            // A name is a promise that the audio may come: not where nobody looks for it.
            let can_come = self.settings.spool_dir.is_some() && leg.state == LegState::VoiceMessage;
            leg.recording = leg.recording.take().filter(|name| can_come && name.len() <= RECORDING_CHARS && spool::below(name).is_some());
        }
        legs.retain(|leg| !before.contains(leg));
        if !legs.is_empty() {
            self.intake.take(legs.iter().map(|leg| HeardLeg { leg: leg.clone(), recording: None }).collect()).await?;
        }
        Ok(legs)
    }

    /// Hands on the calls of a while in which nothing was heard, as far as call records know them. Those of them that were handed on
    /// before change nothing.
    pub(super) async fn fill(self, span: (Timestamp, Timestamp)) -> Result<Done, Refusal> {
        let settings = self.settings.clone();
        let Some(cdr_file) = settings.cdr_file.clone() else { return Ok(Done::Filled(Vec::new())) };
        let look = tokio::task::spawn_blocking(move || tail::look(&settings, &cdr_file, span)).await;
        let found = match look.unwrap_or_else(|e| Err(format!("reading them failed ({e})"))) {
            Ok(found) => found,
            Err(why) => return Ok(Done::Unread(why)),
        };
        let (calls, unknown) = (found.calls.len(), found.unknown);
        let mut legs = Vec::new();
        for ended in &found.calls {
            match self.hand_on(ended, &[]).await {
                Ok(handed) => legs.extend(handed),
                Err(refusal) if matches!(refusal.kind, RefusalKind::Unavailable { .. } | RefusalKind::OverLimit { .. }) => {
                    return Err(refusal);
                }
                Err(refusal) => tracing::error!(integration = self.name(), code = refusal.code, "a call record is refused and given up"),
            }
        }
        self.intake.filled(self.name(), span.0, Filled { calls, unknown }).await?;
        tracing::info!(integration = self.name(), calls, unknown, "the time without Asterisk is filled from its call records");
        Ok(Done::Filled(legs))
    }

    /// Keeps until when everything was heard.
    pub(super) async fn note(self, until: Timestamp) -> Result<Done, Refusal> {
        self.intake.note_heard(self.name(), until).await?;
        Ok(Done::Noted)
    }

    /// Hands on a leg once more with its audio, if that is there.
    pub(super) async fn bring(self, leg: Box<Leg>) -> Result<Done, Refusal> {
        let Some(spool_dir) = self.settings.spool_dir.clone() else { return Ok(Done::Never("no spool folder is configured")) };
        let wanted = leg.clone();
        let look = tokio::task::spawn_blocking(move || audio::look(&spool_dir, &wanted)).await;
        match look.unwrap_or(Look::NotYet) {
            Look::Here(recording) => {
                self.intake.take(vec![HeardLeg { leg: (*leg).clone(), recording: Some(recording) }]).await?;
                Ok(Done::Taken(vec![*leg]))
            }
            Look::NotYet => Ok(Done::NotYet),
            Look::Never(why) => Ok(Done::Never(why)),
        }
    }

    /// Says that nothing was heard for a while. Where it is the `only` one whose call records are still to be read, everything was
    /// heard until it began: a process that ends before they are read leaves that to the next.
    pub(super) async fn tell(self, (from, until): (Timestamp, Timestamp), only: bool) -> Result<Done, Refusal> {
        self.intake.missed_a_while(self.name(), from, until).await?;
        if only {
            self.intake.note_heard(self.name(), from).await?;
        }
        Ok(Done::Told)
    }
}
