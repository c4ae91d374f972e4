//! What was heard of one call so far.
//!
//! A piece is one state of one leg. Heard twice it stays one piece, with the earlier time of hearing, so that an echo
//! neither changes a verdict nor puts it off.

use super::judge::{Finding, Verdict, judge};
use model::calls::{Leg, LegState};
use model::refusal::{Refusal, RefusalKind};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long after the caller's hang-up legs are still gathered (SPEC §7).
pub const HANG_UP_GRACE: Duration = Duration::from_secs(5);
/// How long the audio of a voice message is waited for, where something is configured that brings it (SPEC §7).
pub const RECORDING_WAIT: Duration = Duration::from_secs(30);
/// After so long without a word a call whose end was never heard is given up: nothing rings for hours.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(4 * 3600);
/// Most pieces of one call: a ring group of three hundred telephones has nine hundred. More is a fault of the sender.
pub const MOST_PIECES: usize = 1024;

/// One state of one leg, and when it was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// What was said.
    pub leg: Leg,
    /// When it came, by our own clock.
    pub received: Timestamp,
}

/// What is to be told to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Which of the extensions it is told of.
    pub place: usize,
    /// What the call was for them.
    pub verdict: Verdict,
    /// They were told of the call before, and only the voice message is new.
    pub late: bool,
}

/// The legs of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathering {
    pieces: Vec<Piece>,
    /// What was told already: dial plan, extension, finding. A late leg may add to it; nothing is told twice.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    told: BTreeSet<(String, String, Finding)>,
}

impl Gathering {
    /// Takes in one more leg. `true`: it says something new.
    ///
    /// # Errors
    /// A refusal with code `call_full` when the call has [`MOST_PIECES`] pieces; nothing was taken in.
    pub fn add(&mut self, leg: Leg, received: Timestamp) -> Result<bool, Refusal> {
        if let Some(piece) = self.pieces.iter_mut().find(|piece| same(&piece.leg, &leg)) {
            let before = piece.clone();
            piece.received = piece.received.min(received);
            merge(&mut piece.leg, leg);
            return Ok(*piece != before);
        }
        if self.pieces.len() >= MOST_PIECES {
            let detail = format!("the call {:?} has {MOST_PIECES} legs and states already; no call has more", leg.call_id);
            return Err(Refusal::new(RefusalKind::TooLarge, "call_full", detail));
        }
        self.pieces.push(Piece { leg, received });
        Ok(true)
    }

    /// What was heard.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// When to judge, as far as is known now; `None` for an empty gathering. `recordings`: something is configured that
    /// brings the audio of voice messages.
    pub fn due(&self, recordings: bool) -> Option<Timestamp> {
        let last = self.pieces.iter().map(|piece| piece.received).max()?;
        if self.rings() {
            return Some(last.plus(LONGEST_SILENCE));
        }
        let last_end = self.pieces.iter().filter(|piece| !piece.leg.state.open()).map(|piece| piece.received).max().unwrap_or(last);
        let grace = last_end.plus(HANG_UP_GRACE);
        let audio = self.without_audio().map(|piece| piece.received.plus(RECORDING_WAIT)).max().filter(|_| recordings);
        Some(audio.map_or(grace, |audio| audio.max(grace)))
    }

    /// Whether the call goes on: a leg rings of which no end was heard, and nobody took the call. One answer ends the
    /// question for everybody.
    fn rings(&self) -> bool {
        let ended = |leg: &Leg| self.pieces.iter().any(|other| other.leg.leg_id == leg.leg_id && !other.leg.state.open());
        !self.answered() && self.pieces.iter().any(|piece| piece.leg.state.open() && !ended(&piece.leg))
    }

    /// Whether somebody took the call.
    pub fn answered(&self) -> bool {
        self.pieces.iter().any(|piece| piece.leg.says_answered())
    }

    /// Whether the end of the call was never heard, so that nobody knows what became of it.
    pub fn unfinished(&self) -> bool {
        self.rings()
    }

    /// Voice messages whose audio has not come, by whichever of the legs that tell of one.
    fn without_audio(&self) -> impl Iterator<Item = &Piece> {
        let of_message = |leg: &Leg| leg.state == LegState::VoiceMessage;
        let same =
            |one: &Leg, other: &Leg| one.dial_plan.eq_ignore_ascii_case(&other.dial_plan) && one.called_extension == other.called_extension;
        let has_come = move |leg: &Leg| {
            self.pieces.iter().any(|other| of_message(&other.leg) && other.leg.recording.is_some() && same(leg, &other.leg))
        };
        self.pieces.iter().filter(move |piece| of_message(&piece.leg) && !has_come(&piece.leg))
    }

    /// What has to be told now and was not told before, and notes it as told. `whose` says to whom an extension belongs, by its place
    /// in [`judge`]'s answer: who has several is told of the call once, of the strongest that it was. After that only a voice
    /// message that turns up late is told, because it would be lost. A call whose end was not heard tells nothing.
    pub fn tell<W: Ord>(&mut self, whose: impl Fn(usize) -> Option<W>) -> Vec<News> {
        let verdicts = judge(self);
        let mut of: BTreeMap<W, Vec<usize>> = BTreeMap::new();
        for place in 0..verdicts.len() {
            if let Some(owner) = whose(place) {
                of.entry(owner).or_default().push(place);
            }
        }
        let told = |places: &[usize], finding: Option<Finding>| {
            let told = |verdict: &Verdict, (plan, extension, of): &(String, String, Finding)| {
                *plan == verdict.dial_plan.to_lowercase() && *extension == verdict.extension && finding.is_none_or(|finding| finding == *of)
            };
            places.iter().any(|place| self.told.iter().any(|one| told(&verdicts[*place], one)))
        };
        let news = of.into_values().filter_map(|places| {
            let place = *places.iter().min_by_key(|place| (strength(verdicts[**place].finding), verdicts[**place].ending, **place))?;
            let (before, voice) = (told(&places, None), Finding::VoiceMessageLeft);
            let late = verdicts[place].finding == voice && !told(&places, Some(voice));
            let at = places.iter().map(|place| verdicts[*place].at).min()?;
            (!before || late).then(|| News { place, verdict: Verdict { at, ..verdicts[place].clone() }, late: before })
        });
        let news = news.collect();
        self.told.extend(verdicts.into_iter().map(|verdict| (verdict.dial_plan.to_lowercase(), verdict.extension, verdict.finding)));
        news
    }

    /// Whether this was told before.
    pub fn was_told(&self, dial_plan: &str, extension: &str, finding: Finding) -> bool {
        self.told.contains(&(dial_plan.to_lowercase(), extension.to_owned(), finding))
    }
}

/// Which finding counts where several are one person's: the smallest.
fn strength(finding: Finding) -> u8 {
    match finding {
        Finding::VoiceMessageLeft => 0,
        Finding::Answered => 1,
        Finding::AnsweredElsewhere => 2,
        Finding::Missed => 3,
    }
}

/// Whether both say the same state of the same leg.
fn same(one: &Leg, other: &Leg) -> bool {
    one.leg_id == other.leg_id
        && one.state == other.state
        && one.called_extension == other.called_extension
        && one.dial_plan.eq_ignore_ascii_case(&other.dial_plan)
}

/// Puts an echo into what is there. Each part takes the greater or the smaller of the two, so that the order of echoes does
/// not matter.
fn merge(kept: &mut Leg, echo: Leg) {
    kept.at = kept.at.min(echo.at);
    kept.dial_plan = std::mem::take(&mut kept.dial_plan).min(echo.dial_plan);
    kept.answered_elsewhere = kept.answered_elsewhere.max(echo.answered_elsewhere);
    let better =
        (echo.caller.number.is_some(), echo.caller.name.is_some()).cmp(&(kept.caller.number.is_some(), kept.caller.name.is_some()));
    if better.then_with(|| kept.caller.cmp(&echo.caller)).is_gt() {
        kept.caller = echo.caller;
    }
    kept.recording = match (kept.recording.take(), echo.recording) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}
