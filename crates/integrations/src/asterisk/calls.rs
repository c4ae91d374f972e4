//! Events of one Asterisk, grouped by `Linkedid`: what became of each leg of each call.
//!
//! A call is reported when its caller's channel hangs up (`Uniqueid` equals `Linkedid`), and again when something that bears
//! on it comes after that. What was heard twice changes nothing. Call records are not believed: to them voice mail is an
//! answer, and a ring group writes that nobody answered a call that was taken.
//!
//! Who was called: those whom the dialplan's own `UserEvent(CarillonHangup, …, Callee: …)` names, else the destinations of
//! `Dial`, else the mailbox of `VoiceMail`, else the extension that was dialled; the first of these with a mailbox of ours
//! decides.

use super::heard::{Fate, Heard};
use super::login::wanted;
use super::wire::Block;
use model::calls::{ID_CHARS, Leg, LegState};
use model::time::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Most calls at once: a telephone system with more is a call centre's, and has call records to fill gaps from.
pub const MOST_CALLS: usize = 10_000;
/// How long a call is remembered after its caller hung up: call records and lamps come up to a second later.
pub const AFTERWARDS: Duration = Duration::from_secs(30);
/// How long to wait after a call's end before its legs are handed on: the dialplan's last word may come just after it. What comes
/// later is handed on later and stands for what was said before; what was not handed on yet is lost when the process is killed, so this
/// is short.
pub const SETTLING: Duration = Duration::from_millis(200);
/// After so long without an event a call is given up.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(4 * 3600);

/// One call, as far as it is known.
#[derive(Clone, Debug)]
pub struct Ended {
    pbx: String,
    dial_plan: String,
    call_id: String,
    call: Heard,
}

/// The calls of one Asterisk.
#[derive(Debug)]
pub struct Calls {
    pbx: String,
    dial_plan: String,
    calls: HashMap<String, Heard>,
    /// Messages that wait, by mailbox as Asterisk writes it: only a rise says that one was left.
    waiting: HashMap<String, u32>,
}

impl Calls {
    /// Of the integration with this name; extensions are those of this dial plan.
    pub fn new(pbx: &str, dial_plan: &str) -> Calls {
        Calls { pbx: pbx.to_owned(), dial_plan: dial_plan.to_owned(), calls: HashMap::new(), waiting: HashMap::new() }
    }

    /// Takes in one event. The answer names a call that has ended and about which there is news: its [`Ended::legs`] are to be
    /// handed on, [`SETTLING`] later.
    pub fn hear(&mut self, block: &Block, now: Timestamp) -> Option<String> {
        if !wanted(block) {
            return None;
        }
        let unique = block.get("Uniqueid")?;
        let linked = block.get("Linkedid").unwrap_or(unique);
        if linked.chars().count() > ID_CHARS / 2 {
            return None;
        }
        // A caller who was joined to an older call by a transfer hangs up under that call's name.
        let joined = unique != linked && block.event() == Some("Hangup") && self.calls.contains_key(unique);
        let call_id = if joined { unique } else { linked }.to_owned();
        let rises = self.rises(block);
        if !self.calls.contains_key(&call_id) && self.calls.len() >= MOST_CALLS {
            return None;
        }
        let call = self.calls.entry(call_id.clone()).or_insert_with(|| Heard::begin(block, now));
        let news = call.hear(block, &call_id, rises, now);
        (news && call.ended.is_some()).then_some(call_id)
    }

    /// Whether an event says that more messages wait in a mailbox than before.
    fn rises(&mut self, block: &Block) -> bool {
        let counts = block.get("Mailbox").zip(block.get("New").and_then(|count| count.parse::<u32>().ok()));
        let Some((mailbox, new)) = counts.filter(|_| block.event() == Some("MessageWaiting")) else { return false };
        if self.waiting.len() >= MOST_CALLS {
            self.waiting.clear();
        }
        let before = self.waiting.insert(mailbox.to_owned(), new);
        before.map_or(new > 0, |before| new > before)
    }

    /// What is known of a call now, to be judged on its own while the events go on.
    pub fn ended(&self, call_id: &str) -> Option<Ended> {
        let call = self.calls.get(call_id)?.clone();
        Some(Ended { pbx: self.pbx.clone(), dial_plan: self.dial_plan.clone(), call_id: call_id.to_owned(), call })
    }

    /// The connection broke: of calls that go on, something may be missed.
    pub fn lost(&mut self) {
        for call in self.calls.values_mut().filter(|call| call.ended.is_none()) {
            call.gap = true;
        }
    }

    /// Forgets calls that ended a while ago. The answer names those that are given up because nothing was heard of them: their
    /// end fell into a gap.
    pub fn forget(&mut self, now: Timestamp) -> Vec<String> {
        let mut given_up = Vec::new();
        self.calls.retain(|call_id, call| {
            let silent = now.since(call.heard);
            let forgotten = call.ended.is_some() && silent > AFTERWARDS;
            let stale = call.ended.is_none() && silent > LONGEST_SILENCE;
            if stale {
                given_up.push(call_id.clone());
            }
            !(forgotten || stale)
        });
        given_up.sort();
        given_up
    }

    /// Calls that go on as far as is known.
    pub fn going_on(&self) -> usize {
        self.calls.values().filter(|call| call.ended.is_none()).count()
    }
}

impl Ended {
    /// The call's id, as Asterisk has it.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Dial plan of its extensions.
    pub fn dial_plan(&self) -> &str {
        &self.dial_plan
    }

    /// Every extension that the call may have been for: of these it has to be known which have mailboxes.
    pub fn candidates(&self) -> BTreeSet<String> {
        self.call.tiers().into_iter().flatten().flatten().collect()
    }

    /// The legs of the call, for the extensions that have mailboxes. None where nobody knows what became of them: the connection
    /// was away in between.
    pub fn legs(&self, has_mailbox: impl Fn(&str) -> bool) -> Vec<Leg> {
        // The names of one telephone in a tier are spellings of one extension: the first that has a mailbox.
        let decided = self.call.tiers().into_iter().map(|tier| {
            let found = tier.into_iter().filter_map(|spellings| spellings.into_iter().find(|name| has_mailbox(name)));
            found.collect::<BTreeSet<String>>()
        });
        let called: BTreeSet<String> = decided.into_iter().find(|tier| !tier.is_empty()).unwrap_or_default();
        let mut legs = Vec::new();
        for extension in &called {
            let fates = self.call.fates_of(extension, &has_mailbox);
            legs.extend(fates.into_iter().map(|(leg_id, fate)| self.leg(leg_id, extension, fate)));
        }
        for extension in self.call.messages_for(&called, &has_mailbox) {
            let voice = Fate { state: LegState::VoiceMessage, elsewhere: false };
            let leg = self.leg(format!("{}:voice:{extension}", self.call_id), &extension, voice);
            legs.push(Leg { recording: self.call.recording(), ..leg });
        }
        legs
    }

    fn leg(&self, leg_id: String, extension: &str, fate: Fate) -> Leg {
        Leg {
            call_id: format!("{}:{}", self.pbx, self.call_id),
            leg_id,
            dial_plan: self.dial_plan.clone(),
            called_extension: extension.to_owned(),
            caller: self.call.caller.clone().known(),
            state: fate.state,
            at: self.call.began,
            answered_elsewhere: fate.elsewhere.then_some(true),
            recording: None,
        }
    }
}
