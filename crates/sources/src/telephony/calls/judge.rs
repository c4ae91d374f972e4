//! What a call was, for every extension that was called (SPEC §7, and the rule of the telephony table).
//!
//! An answer anywhere means that nobody missed the call. A voice message for an extension is that extension's own, whoever
//! answered elsewhere: nothing that was recorded is lost. Everything else that rang, or could not ring, was missed.

use super::gathering::{Gathering, Piece};
use model::calls::{Caller, Leg, LegState};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a call was for one extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nobody took it, and no voice message was left here.
    Missed,
    /// The caller left a voice message here.
    VoiceMessageLeft,
    /// It was taken here.
    Answered,
    /// It was taken elsewhere.
    AnsweredElsewhere,
}

/// How a missed call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It rang until its time was up.
    NoAnswer,
    /// The person was on another call, or refused this one.
    Busy,
    /// The caller hung up while it rang.
    Cancelled,
    /// It could not ring.
    Unreachable,
}

/// The ruling for one called extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The call.
    pub call_id: String,
    /// Dial plan of the extension, as the telephone system wrote it.
    pub dial_plan: String,
    /// Who was called.
    pub extension: String,
    /// What the call was for them.
    pub finding: Finding,
    /// How it ended for them.
    pub ending: Ending,
    /// Who called.
    pub caller: Caller,
    /// When it began to ring, by the telephone system's clock where that can be believed.
    pub at: Timestamp,
    /// Where the audio of the voice message is, when it came.
    pub recording: Option<String>,
}

/// How far ahead a clock may be before the time of hearing is taken instead of what it says.
const AHEAD: Duration = Duration::from_secs(15 * 60);
/// How long ago a call may have been: it is told late where it was read from call records, or its mail waited in a queue.
const AGO: Duration = Duration::from_secs(7 * 24 * 3600);

/// Every called extension and what the call was for it, by dial plan and extension. Nothing for a call whose end was not
/// heard.
pub fn judge(call: &Gathering) -> Vec<Verdict> {
    if call.unfinished() {
        return Vec::new();
    }
    let mut called: BTreeMap<(String, &str), Vec<&Piece>> = BTreeMap::new();
    for piece in call.pieces() {
        called.entry((piece.leg.dial_plan.to_lowercase(), piece.leg.called_extension.as_str())).or_default().push(piece);
    }
    let anywhere = call.answered();
    called.into_values().filter_map(|pieces| verdict(&pieces, call, anywhere)).collect()
}

fn verdict(pieces: &[&Piece], call: &Gathering, anywhere: bool) -> Option<Verdict> {
    let has = |state: LegState| pieces.iter().any(|piece| piece.leg.state == state);
    let finding = if has(LegState::VoiceMessage) {
        Finding::VoiceMessageLeft
    } else if has(LegState::Answered) {
        Finding::Answered
    } else if anywhere {
        Finding::AnsweredElsewhere
    } else {
        Finding::Missed
    };
    let legs = || pieces.iter().map(|piece| &piece.leg);
    Some(Verdict {
        call_id: legs().map(|leg| &leg.call_id).min()?.clone(),
        dial_plan: legs().map(|leg| &leg.dial_plan).min()?.clone(),
        extension: legs().next()?.called_extension.clone(),
        finding,
        ending: ending(has),
        caller: caller(legs()).or_else(|| caller(call.pieces().iter().map(|piece| &piece.leg))).unwrap_or_default(),
        at: pieces.iter().map(|piece| believed(piece)).min()?,
        recording: legs().filter_map(|leg| leg.recording.as_ref()).min().cloned(),
    })
}

/// The strongest word for how it ended, whatever came last.
fn ending(has: impl Fn(LegState) -> bool) -> Ending {
    if has(LegState::NoAnswer) {
        Ending::NoAnswer
    } else if has(LegState::Busy) {
        Ending::Busy
    } else if has(LegState::Unreachable) && !has(LegState::Ringing) {
        Ending::Unreachable
    } else {
        Ending::Cancelled
    }
}

/// Who called: the most that any leg knows. Legs of one call name one caller; where they do not, the choice is the same in
/// any order.
fn caller<'a>(legs: impl Iterator<Item = &'a Leg>) -> Option<Caller> {
    let known = legs.map(|leg| &leg.caller).filter(|caller| caller.number.is_some());
    known.max_by(|one, other| one.name.is_some().cmp(&other.name.is_some()).then_with(|| other.cmp(one))).cloned()
}

/// The time that a piece says, unless its clock is plainly wrong.
fn believed(piece: &Piece) -> Timestamp {
    let (at, received) = (piece.leg.at, piece.received);
    let believed = if at > received { at.since(received) <= AHEAD } else { received.since(at) <= AGO };
    if believed { at } else { received }
}
