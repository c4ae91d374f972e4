//! The way of a call from its legs to events, in the steps in which the engine asks for it: where a leg belongs, what is kept
//! of its call, and what that comes to once it is over.
//!
//! A telephone system may tell of one voice message twice and apart: as a leg of the call, and as a mail with the audio. They
//! find each other by the extension, whichever comes first, while the other is still waited for.

use super::calls::{Finding, Gathering as Call, News, Verdict, judge};
use super::telling::{self, Audio, Called};
use model::calls::{Caller, LEG_TYPE, Leg, LegState};
use model::objects::ObjectKind;
use model::refusal::Refusal;
use model::source::{Belongs, Concluded, Concluding, Conclusion, Existing, Gathered, Gathering, Happening, KeptFile, Met, Sought, Subject};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a call is remembered after it was told of, for legs and voice messages that come late.
const AFTERWARDS: Duration = Duration::from_secs(3600);
/// How the id of a call begins that is known from a mail alone.
pub const BY_MAIL: &str = "mail:";

/// A call as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    /// Its legs.
    call: Call,
    /// The audio that came, by the name that its leg has for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, Audio>,
    /// Whether audio may still come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    follows: bool,
}

impl Kept {
    fn read(document: &Value) -> Kept {
        serde_json::from_value(document.clone()).unwrap_or_default()
    }

    fn call_id(&self) -> &str {
        self.call.pieces().first().map_or("", |piece| &piece.leg.call_id)
    }

    fn by_mail(&self) -> bool {
        self.call_id().starts_with(BY_MAIL)
    }

    /// Takes in a leg under the call's own id.
    fn add(&mut self, leg: Leg, received: Timestamp) -> Result<(), Refusal> {
        let call_id = if self.call.pieces().is_empty() { leg.call_id.clone() } else { self.call_id().to_owned() };
        self.call.add(Leg { call_id, ..leg }, received).map(|_| ())
    }

    /// Takes in everything of a call that is the same.
    fn take(&mut self, other: Kept) -> Result<(), Refusal> {
        for piece in other.call.pieces() {
            self.add(piece.leg.clone(), piece.received)?;
        }
        self.files.extend(other.files);
        self.follows |= other.follows;
        Ok(())
    }

    /// The voice message of an extension for which one half is here and the other may come: the word of the call waits for the
    /// mail with the audio, and the mail for the call.
    fn half_of(&self, leg: &Leg) -> bool {
        let voice = |piece: &&super::calls::Piece| {
            piece.leg.state == LegState::VoiceMessage
                && piece.leg.dial_plan.eq_ignore_ascii_case(&leg.dial_plan)
                && piece.leg.called_extension == leg.called_extension
                && one_caller(&piece.leg.caller, &leg.caller)
        };
        let told = self.call.was_told(&leg.dial_plan, &leg.called_extension, Finding::VoiceMessageLeft);
        self.call.pieces().iter().find(voice).is_some_and(|piece| !told && (self.by_mail() || piece.leg.recording.is_none()))
    }
}

/// Whether two may be one caller: the numbers agree, or one of them is not known. The same number is written with and without
/// its country, and with the zero of a national call.
fn one_caller(one: &Caller, other: &Caller) -> bool {
    match (digits(one), digits(other)) {
        (Some(one), Some(other)) => one.ends_with(&other) || other.ends_with(&one),
        (Some(_), None) | (None, Some(_) | None) => true,
    }
}

/// The digits of a caller's number without the zeros before it.
fn digits(caller: &Caller) -> Option<String> {
    let number = caller.clone().known().number?;
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    (!digits.is_empty()).then(|| digits.to_owned())
}

fn call_key(call_id: &str) -> String {
    format!("call/{call_id}")
}

/// Names under which a voice message waits for its other half, and under which it looks for that: by the end of the caller's
/// number, whose beginning is written in many ways; a caller whom one half does not know may be anybody.
struct VoiceKeys {
    held: [String; 2],
    sought: Vec<String>,
}

fn voice_keys(leg: &Leg) -> VoiceKeys {
    const LAST: usize = 3;
    let key = |of: &str| format!("voice/{}/{}/{of}", leg.dial_plan.to_lowercase(), leg.called_extension);
    let (anybody, nobody) = (key("*"), key("-"));
    match digits(&leg.caller) {
        Some(digits) => {
            let own = key(&digits[digits.len().saturating_sub(LAST)..]);
            VoiceKeys { held: [own.clone(), anybody], sought: vec![own, nobody] }
        }
        None => VoiceKeys { held: [nobody, anybody.clone()], sought: vec![anybody] },
    }
}

/// Where a leg belongs: to its call and, for a voice message, to what waits for one at that extension.
pub(super) fn belongs(kind: &str, data: &Value) -> Result<Belongs, Refusal> {
    if kind != LEG_TYPE {
        return Err(Refusal::not_found("type of event", kind));
    }
    let leg = Leg::parse(data)?;
    let mut keys = vec![call_key(&leg.call_id)];
    if leg.state == LegState::VoiceMessage {
        keys.extend(voice_keys(&leg).sought);
    }
    Ok(Belongs { keys, needs: Some((ObjectKind::DialPlan, leg.dial_plan, "dialPlan")) })
}

pub(super) fn gather(gathering: &Gathering<'_>) -> Result<Gathered, Refusal> {
    let mut leg = Leg::parse(gathering.data)?;
    let (mut own, mut goes_on, mut took) = (Kept::default(), None, Vec::new());
    let mut others = Vec::new();
    for (place, document) in gathering.before.iter().enumerate() {
        let kept = Kept::read(document);
        if kept.call_id() == leg.call_id && goes_on.is_none() {
            (own, goes_on) = (kept, Some(place));
        } else {
            others.push((place, kept));
        }
    }
    // A name alone is no audio, but a promise of it.
    let promised = leg.recording.take().is_some();
    let mut files = BTreeMap::new();
    if let Some(KeptFile { id, name, media_type }) = gathering.file {
        leg.recording = Some(id.to_string());
        files.insert(id.to_string(), Audio { file: *id, name: name.clone(), media_type: media_type.clone() });
    }
    let by_mail = leg.call_id.starts_with(BY_MAIL);
    let half = others.into_iter().find(|(_, kept)| kept.by_mail() != by_mail && kept.half_of(&leg));
    match half {
        // The mail came second: it brings the audio of the call's own leg.
        Some((place, kept)) if by_mail && goes_on.is_none() => {
            (own, goes_on) = (kept, Some(place));
            let waiting = own
                .call
                .pieces()
                .iter()
                .find(|piece| piece.leg.state == LegState::VoiceMessage && piece.leg.called_extension == leg.called_extension);
            if let Some(waiting) = waiting {
                leg = Leg { recording: leg.recording.clone(), ..waiting.leg.clone() };
            }
        }
        // The mail came first: what it brought goes up in the call.
        Some((place, kept)) if !by_mail => {
            own.add(leg.clone(), gathering.now)?;
            own.take(kept)?;
            took.push(place);
        }
        Some(_) | None => {}
    }
    own.add(leg, gathering.now)?;
    own.files.extend(files);
    own.follows |= gathering.files_follow || promised;
    let mut keys = vec![call_key(own.call_id())];
    let voices = own.call.pieces().iter().map(|piece| &piece.leg).filter(|leg| leg.state == LegState::VoiceMessage && own.half_of(leg));
    keys.extend(voices.flat_map(|leg| voice_keys(leg).held));
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    Ok(Gathered { due: own.call.due(own.follows), document: json(&own), keys, goes_on, took })
}

fn json(kept: &Kept) -> Value {
    serde_json::to_value(kept).expect("texts, flags and times are JSON")
}

/// What a call comes to. Everything that has to be known is asked for in three rounds: dial plans; mailboxes and callers;
/// policies and people.
pub(super) fn conclude(concluding: &Concluding<'_>) -> Conclusion {
    let mut kept = Kept::read(concluding.document);
    let verdicts = judge(&kept.call);
    let (count, met) = (verdicts.len(), concluding.met);
    let plan = |at: usize| object(met.get(at));
    if met.len() < count {
        let plans = verdicts.iter().map(|verdict| Sought::Object(ObjectKind::DialPlan, verdict.dial_plan.clone()));
        return Conclusion::Seeks(plans.collect());
    }
    if count > 0 && met.len() < 4 * count {
        return Conclusion::Seeks(verdicts.iter().enumerate().flat_map(|(at, verdict)| around(plan(at), verdict)).collect());
    }
    let mailbox = |at: usize| object(met.get(count + 3 * at));
    let colleague = |at: usize| object(met.get(count + 3 * at + 1));
    if count > 0 && met.len() < 7 * count {
        return Conclusion::Seeks((0..count).flat_map(|at| behind(mailbox(at), colleague(at))).collect());
    }
    let mut happenings = Vec::new();
    for News { place: at, verdict, late } in kept.call.tell(|at| mailbox(at).map(|mailbox| mailbox.id)) {
        let last = 4 * count + 3 * at;
        let (policy, colleague) = (object(met.get(last)), person(met.get(last + 2)));
        let (Some(mailbox), Some(policy), Some(person)) = (mailbox(at), policy, person(met.get(last + 1))) else { continue };
        let caller = match (colleague, met.get(count + 3 * at + 2)) {
            (Some(colleague), _) => Some(colleague.display_name.as_str()),
            (None, Some(Met::Name(name))) => name.as_deref(),
            (None, _) => None,
        };
        let audio = verdict.recording.as_ref().and_then(|name| kept.files.get(name));
        let called = Called { person, mailbox, policy, plan: plan(at), caller_in_directory: caller, audio };
        happenings.extend(telling::happenings(&verdict, &called, late) as Vec<Happening>);
    }
    let last = kept.call.pieces().iter().map(|piece| piece.received).max().unwrap_or(concluding.now);
    let until = last.plus(AFTERWARDS);
    let keeps = (concluding.now < until && !kept.call.unfinished()).then(|| (json(&kept), call_key(kept.call_id()), until));
    Conclusion::Done(Concluded { happenings, keeps })
}

fn object(met: Option<&Met>) -> Option<&Existing> {
    match met {
        Some(Met::Object(found)) => found.as_ref(),
        Some(Met::Person(_) | Met::Name(_)) | None => None,
    }
}

fn person(met: Option<&Met>) -> Option<&Subject> {
    match met {
        Some(Met::Person(found)) => found.as_ref(),
        Some(Met::Object(_) | Met::Name(_)) | None => None,
    }
}

/// The mailbox of who was called, that of the caller in the same plan, and the caller in the directory.
fn around(plan: Option<&Existing>, verdict: &Verdict) -> [Sought; 3] {
    let Some(plan) = plan else {
        return [Sought::Keyed(ObjectKind::Mailbox, vec![]), Sought::Keyed(ObjectKind::Mailbox, vec![]), Sought::Phone(vec![])];
    };
    let caller = verdict.caller.clone().known().number;
    let keys = |called: &str| super::mailbox_keys(plan, called);
    let colleague = caller.as_deref().map(keys).unwrap_or_default();
    let spellings = caller.map(|number| telling::spellings(&number, &plan.document)).unwrap_or_default();
    [Sought::Keyed(ObjectKind::Mailbox, keys(&verdict.extension)), Sought::Keyed(ObjectKind::Mailbox, colleague), Sought::Phone(spellings)]
}

/// The policy of a mailbox, whose it is, and who the colleague is who called.
fn behind(mailbox: Option<&Existing>, colleague: Option<&Existing>) -> [Sought; 3] {
    let text = |field: &str| mailbox.and_then(|mailbox| super::fields::text(&mailbox.document, field)).unwrap_or_default().to_owned();
    let whose = |mailbox: Option<&Existing>| Sought::Person(mailbox.map(|mailbox| mailbox.name.clone()).unwrap_or_default());
    [Sought::Object(ObjectKind::MailboxPolicy, text(super::mailbox::POLICY)), whose(mailbox), whose(colleague)]
}
