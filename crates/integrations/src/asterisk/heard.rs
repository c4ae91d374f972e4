//! What was heard of one call.

use super::login::USER_EVENT;
use super::wire::Block;
use model::calls::{CALLER_CHARS, Caller, LegState};
use model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Most telephones that one call rings: a ring group of a whole house.
const MOST_DIALS: usize = 400;
/// Most mailboxes and called persons of one call.
const MOST_NAMES: usize = 64;
/// Hang-up cause *answered elsewhere* (Asterisk's own, after Q.850).
const ANSWERED_ELSEWHERE: &str = "26";

/// What became of one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub state: LegState,
    pub elsewhere: bool,
}

/// One telephone that was rung.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Dial {
    /// Names under which it may have a mailbox, the likeliest first.
    names: Vec<String>,
    status: Option<LegState>,
    elsewhere: bool,
}

/// What the dialplan said itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    callees: Vec<String>,
    status: Option<LegState>,
    message_left: bool,
    recording: Option<String>,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub began: Timestamp,
    pub heard: Timestamp,
    pub ended: Option<Timestamp>,
    pub caller: Caller,
    /// Its beginning was not heard, or the connection was away in between.
    pub gap: bool,
    dialled: Option<String>,
    dials: BTreeMap<String, Dial>,
    said: Option<Said>,
    status: Option<LegState>,
    mailboxes: BTreeSet<String>,
    rose: BTreeSet<String>,
    message_left: bool,
    file: Option<String>,
}

impl Heard {
    pub(super) fn begin(block: &Block, now: Timestamp) -> Heard {
        Heard {
            began: block.get("Linkedid").and_then(epoch).unwrap_or(now),
            heard: now,
            ended: None,
            caller: Caller::default(),
            gap: block.event() != Some("Newchannel"),
            dialled: None,
            dials: BTreeMap::new(),
            said: None,
            status: None,
            mailboxes: BTreeSet::new(),
            rose: BTreeSet::new(),
            message_left: false,
            file: None,
        }
    }

    /// Takes in one event; `true` when it changed what is known of the call's fate.
    pub(super) fn hear(&mut self, block: &Block, call_id: &str, rises: bool, now: Timestamp) -> bool {
        self.heard = now;
        let callers_own = block.get("Uniqueid") == Some(call_id);
        if callers_own && self.caller == Caller::default() {
            // Callers choose their names themselves: what is too long or cannot be shown must not cost the call.
            let shown = |text: &str| text.chars().filter(|letter| !letter.is_control()).take(CALLER_CHARS).collect::<String>();
            let text = |field: &str| block.get(field).map(shown);
            self.caller = Caller { number: text("CallerIDNum"), name: text("CallerIDName") };
        }
        match block.event() {
            Some("Newchannel") if callers_own => keep(&mut self.dialled, block.get("Exten").filter(|exten| dialable(exten))),
            Some("Newexten") => block.get("AppData").is_some_and(|arguments| self.voice_mail(arguments)),
            Some("VarSet") => self.variable(block, callers_own),
            Some("DialBegin" | "DialEnd") => self.dial(block),
            Some("MessageWaiting") if rises => block.get("Mailbox").is_some_and(|mailbox| insert(&mut self.rose, bare_mailbox(mailbox))),
            Some("UserEvent") if block.get("UserEvent").is_some_and(|name| name.eq_ignore_ascii_case(USER_EVENT)) => {
                let news = self.said(block);
                self.end(callers_own, now) || news
            }
            Some("Hangup") => {
                let elsewhere = block.get("Cause") == Some(ANSWERED_ELSEWHERE) && self.elsewhere(block.get("Uniqueid").unwrap_or_default());
                self.end(callers_own, now) || elsewhere
            }
            Some(_) | None => false,
        }
    }

    fn end(&mut self, callers_own: bool, now: Timestamp) -> bool {
        let news = callers_own && self.ended.is_none();
        if news {
            self.ended = Some(now);
        }
        news
    }

    /// `VoiceMail(102@default&103@default,u)`: whose boxes.
    fn voice_mail(&mut self, arguments: &str) -> bool {
        let boxes = arguments.split([',', '|']).next().unwrap_or_default();
        let mut news = false;
        for mailbox in boxes.split('&').map(bare_mailbox) {
            news |= insert(&mut self.mailboxes, mailbox);
        }
        news
    }

    fn variable(&mut self, block: &Block, callers_own: bool) -> bool {
        let Some(value) = block.get("Value") else { return false };
        match block.get("Variable") {
            Some("DIALSTATUS") if callers_own => keep(&mut self.status, status(value)),
            Some("VMSTATUS") if value.eq_ignore_ascii_case("SUCCESS") => !std::mem::replace(&mut self.message_left, true),
            Some("VM_MESSAGEFILE") => keep(&mut self.file, Some(value.to_owned())),
            _ => false,
        }
    }

    fn dial(&mut self, block: &Block) -> bool {
        let Some(id) = block.get("DestUniqueid") else { return false };
        if !self.dials.contains_key(id) && self.dials.len() >= MOST_DIALS {
            return false;
        }
        let dial = self.dials.entry(id.to_owned()).or_default();
        let before = dial.clone();
        let peer = block.get("DestChannel").map(peer);
        let dialled = block.get("DialString").map(|text| text.split(['/', '@', ',']).next().unwrap_or(text));
        for name in
            [peer, dialled, block.get("DestExten").filter(|exten| dialable(exten)), block.get("DestCallerIDNum")].into_iter().flatten()
        {
            if !name.is_empty() && dial.names.len() < MOST_NAMES && dial.names.iter().all(|known| known != name) {
                dial.names.push(name.to_owned());
            }
        }
        let ended = block.get("DialStatus").filter(|_| block.event() == Some("DialEnd")).and_then(status);
        // An answer stands, whatever is said of the same telephone afterwards.
        if dial.status != Some(LegState::Answered) {
            dial.status = ended.or(dial.status);
        }
        *dial != before
    }

    fn elsewhere(&mut self, unique: &str) -> bool {
        self.dials.get_mut(unique).is_some_and(|dial| !std::mem::replace(&mut dial.elsewhere, true))
    }

    fn said(&mut self, block: &Block) -> bool {
        let mut said = self.said.clone().unwrap_or_default();
        for callee in block.get("Callee").unwrap_or_default().split([',', '&', ' ']).filter(|callee| !callee.is_empty()) {
            if said.callees.len() < MOST_NAMES && said.callees.iter().all(|known| known != callee) {
                said.callees.push(callee.to_owned());
            }
        }
        if said.status != Some(LegState::Answered) {
            said.status = block.get("DialStatus").and_then(status).or(said.status);
        }
        said.message_left |= block.get("VMStatus").is_some_and(|value| value.eq_ignore_ascii_case("SUCCESS"));
        said.recording = block.get("VmMsg").map(str::to_owned).or(said.recording);
        let said = Some(said);
        let news = said != self.said;
        self.said = said;
        news
    }

    /// Who may have been called, in the order in which they are asked for a mailbox. Each tier is a list of telephones, each
    /// with the spellings of its extension.
    pub(super) fn tiers(&self) -> Vec<Vec<Vec<String>>> {
        let each = |names: Vec<String>| names.into_iter().map(|name| vec![name]).collect::<Vec<_>>();
        vec![
            each(self.said.as_ref().map(|said| said.callees.clone()).unwrap_or_default()),
            self.dials.values().map(|dial| dial.names.clone()).collect(),
            each(self.mailboxes.iter().cloned().collect()),
            each(self.dialled.iter().cloned().collect()),
        ]
    }

    fn answered(&self) -> bool {
        let taken = Some(LegState::Answered);
        self.status == taken
            || self.said.as_ref().is_some_and(|said| said.status == taken)
            || self.dials.values().any(|dial| dial.status == taken)
    }

    /// The legs of one extension: one for each of its telephones, or one for the whole call where it had none.
    pub(super) fn fates_of(&self, extension: &str, has_mailbox: &impl Fn(&str) -> bool) -> Vec<(String, Fate)> {
        let own = |dial: &&Dial| dial.names.iter().find(|name| has_mailbox(name)).is_some_and(|name| name == extension);
        let rung: Vec<(String, Option<Fate>)> =
            self.dials.iter().filter(|(_, dial)| own(dial)).map(|(id, dial)| (id.clone(), self.fate(dial))).collect();
        let whole = |fate: Fate| (format!("call:{extension}"), fate);
        let mut legs: Vec<(String, Fate)> = rung.into_iter().filter_map(|(id, fate)| Some((id, fate?))).collect();
        let taken = legs.iter().any(|(_, fate)| fate.state == LegState::Answered);
        if self.answered() && !taken {
            // Somebody took the call. Whether here is known only where nobody else's telephone did.
            let by_another = self.dials.values().any(|dial| dial.status == Some(LegState::Answered));
            let state = if by_another { LegState::Cancelled } else { LegState::Answered };
            legs.push(whole(Fate { state, elsewhere: by_another }));
        } else if legs.is_empty() {
            legs.extend(self.overall().map(whole));
        }
        legs
    }

    fn fate(&self, dial: &Dial) -> Option<Fate> {
        // A telephone whose end was not heard rang until the caller hung up, unless something may have been missed.
        let state = dial.status.or((!self.gap).then_some(LegState::Cancelled));
        let state = if dial.elsewhere { Some(LegState::Cancelled) } else { state };
        state.map(|state| Fate { state, elsewhere: dial.elsewhere })
    }

    /// What became of a call of which no telephone is known.
    fn overall(&self) -> Option<Fate> {
        let said = self.said.as_ref().and_then(|said| said.status);
        let state = said.or(self.status).or((!self.gap || self.said.is_some()).then_some(LegState::Ended));
        state.map(|state| Fate { state, elsewhere: false })
    }

    /// For whom voice messages were left: the mailboxes that the call was led to. A mailbox that is nobody's here stands for
    /// the one person who was called, if it was one.
    pub(super) fn messages_for(&self, called: &BTreeSet<String>, has_mailbox: &impl Fn(&str) -> bool) -> BTreeSet<String> {
        let said = self.said.as_ref().is_some_and(|said| said.message_left);
        if !self.message_left && !said && (self.rose.is_empty() || self.mailboxes.is_empty()) {
            return BTreeSet::new();
        }
        let mut boxes: BTreeSet<String> = self.mailboxes.intersection(&self.rose).filter(|name| has_mailbox(name)).cloned().collect();
        if boxes.is_empty() {
            boxes = self.mailboxes.iter().filter(|name| has_mailbox(name)).cloned().collect();
        }
        if boxes.is_empty() && called.len() == 1 {
            boxes.clone_from(called);
        }
        boxes
    }

    /// Where Asterisk keeps the audio of the voice message.
    pub(super) fn recording(&self) -> Option<String> {
        self.file.clone().or_else(|| self.said.as_ref().and_then(|said| said.recording.clone()))
    }
}

/// Asterisk's words for what became of a `Dial`.
fn status(word: &str) -> Option<LegState> {
    match word.to_ascii_uppercase().as_str() {
        "ANSWER" | "CONTINUE" | "GOTO" => Some(LegState::Answered),
        "NOANSWER" | "DONTCALL" | "TORTURE" => Some(LegState::NoAnswer),
        "CANCEL" | "ABORT" => Some(LegState::Cancelled),
        "BUSY" => Some(LegState::Busy),
        "CHANUNAVAIL" | "CONGESTION" | "INVALIDARGS" => Some(LegState::Unreachable),
        _ => None,
    }
}

/// When a channel began, from its id: `1795189112.4`, or `pbx-1795189112.4` where the system has a name.
pub(super) fn epoch(id: &str) -> Option<Timestamp> {
    let seconds = id.rsplit('-').next()?.split('.').next()?;
    seconds.parse::<i64>().ok().filter(|seconds| (1..=253_402_300_799).contains(seconds)).map(|seconds| Timestamp(seconds * 1000))
}

/// The telephone of a channel: `102` of `PJSIP/102-0000000f`, of `Local/102@internal-00000001;1`, of `SIP/102-0a`.
fn peer(channel: &str) -> &str {
    let name = channel.split_once('/').map_or(channel, |(_, name)| name);
    let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
    name.split('@').next().unwrap_or(name)
}

/// `102` of `102@default`.
fn bare_mailbox(mailbox: &str) -> String {
    mailbox.trim().split('@').next().unwrap_or_default().to_owned()
}

/// Whether an extension is one that a person dials: `s`, `h` and `s-NOANSWER` are the dialplan's own.
fn dialable(exten: &str) -> bool {
    !exten.is_empty() && exten.bytes().any(|byte| byte.is_ascii_digit()) && !exten.starts_with("s-")
}

/// Keeps a value that is there; `true` when that is news.
fn keep<T: PartialEq>(place: &mut Option<T>, value: Option<impl Into<T>>) -> bool {
    let value = value.map(Into::into);
    let news = value.is_some() && *place != value;
    if news {
        *place = value;
    }
    news
}

fn insert(set: &mut BTreeSet<String>, name: String) -> bool {
    !name.is_empty() && set.len() < MOST_NAMES && set.insert(name)
}
